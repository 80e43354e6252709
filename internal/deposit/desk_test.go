package deposit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/upi"
)

// belated is a store whose list of due claims is as old as the test wants.
type belated struct {
	deposit.Store

	mu   sync.Mutex
	refs []deposit.ClaimRef
}

func (b *belated) DueClaims(context.Context, time.Time, int) ([]deposit.ClaimRef, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	refs := b.refs
	b.refs = nil
	return slices.Clone(refs), nil
}

// A claim whose credit came between the list of what is due and its end keeps
// its money.
func TestExpiryComesTooLate(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	var ids []int64
	refs := []deposit.ClaimRef{{ID: 999_999, UTR: storetest.UTR(9)}} // one that is not there at all
	for i := range 2 {
		h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(i), storetest.Rupees(500)))
	}
	keep := func(c deposit.Claim) {
		ids = append(ids, c.ID)
		refs = append(refs, deposit.ClaimRef{ID: c.ID, UTR: c.UTR})
	}
	keep(h.MustActivate(storetest.Claim("a", storetest.UTR(0), storetest.Rupees(500)), deposit.Credited))
	keep(h.MustActivate(storetest.Claim("b", storetest.UTR(1), storetest.Rupees(501)), deposit.Pending, deposit.AmountDiffers))
	keep(h.MustActivate(storetest.Claim("c", storetest.UTR(0), storetest.Rupees(500)), deposit.Refused, deposit.UTRTaken))
	early := h.MustActivate(storetest.Claim("early", storetest.UTR(5), storetest.Rupees(500)), deposit.Waiting)
	h.Clock.Advance(time.Hour)
	refs = append(refs, deposit.ClaimRef{ID: early.ID, UTR: early.UTR}) // its time is not up
	expire(t, h, refs)
	h.MustFind(early.ID, deposit.Waiting)
	h.Clock.Advance(1000 * time.Hour)
	expire(t, h, refs[:len(refs)-1])
	h.MustFind(ids[0], deposit.Credited)
	h.MustFind(ids[1], deposit.Pending, deposit.AmountDiffers)
	h.MustFind(ids[2], deposit.Refused, deposit.UTRTaken)
	h.MustVerify()
}

// expire ends claims at a desk of its own, on a list that is out of date.
func expire(t *testing.T, h *storetest.House, refs []deposit.ClaimRef) {
	t.Helper()
	config := h.Desk.Config
	config.Store = &belated{Store: h.Store, refs: refs}
	desk := deposit.NewDesk(config)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- desk.Run(ctx) }()
	if _, err := desk.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// run runs a desk of the house on a store of its own, until the test ends.
func run(t *testing.T, h *storetest.House, store deposit.Store, outage func(error) bool) *deposit.Desk {
	t.Helper()
	desk := deposit.NewDesk(deposit.Config{
		Store: store, Directory: h.Directory, Policy: deposit.DefaultPolicy(), Now: h.Clock.Now, RatesID: func() int64 { return 1 },
		Outage: outage, Metrics: deposit.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	ended := make(chan error, 1)
	go func() { ended <- desk.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return desk
}

// slow is a store that commits nothing until it is let go.
type slow struct {
	deposit.Store
	let  chan struct{}
	busy atomic.Bool
}

func (s *slow) Settle(ctx context.Context, keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) error {
	s.busy.Store(true)
	<-s.let
	s.busy.Store(false)
	return s.Store.Settle(ctx, keys, decide)
}

// While a batch takes too long, no more wait behind it than the next one takes; the
// rest is told to come again at once.
func TestStallBoundsWhatWaits(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	store := &slow{Store: h.Store, let: make(chan struct{})}
	desk := run(t, h, store, nil)

	results := make(chan error)
	activate := func(i int) {
		_, err := desk.Activate(t.Context(), storetest.Claim(fmt.Sprint("order", i), storetest.UTR(i+1), storetest.Rupees(500)))
		results <- err
	}
	go activate(0)
	store.let <- struct{}{} // the first batch is under way, and passes
	if err := <-results; err != nil || desk.Trouble() != "" {
		t.Fatalf("at first: %v, trouble %q", err, desk.Trouble())
	}
	go activate(1)
	for !store.busy.Load() {
		runtime.Gosched()
	}
	h.Clock.Advance(3 * time.Second)
	if desk.Trouble() == "" {
		t.Error("a batch that takes seconds is no trouble")
	}
	const flood = 500
	for i := range flood {
		go activate(i + 2)
	}
	turnedAway := 0
	for ; turnedAway < flood-63; turnedAway++ { // one caller's share, with what is under way
		if err := <-results; !errors.Is(err, deposit.ErrBusy) {
			t.Fatalf("while a batch takes seconds: %v", err)
		}
	}
	close(store.let)
	for range 1 + flood - turnedAway {
		if err := <-results; err != nil {
			t.Errorf("what waited: %v", err)
		}
	}
	if trouble := desk.Trouble(); trouble != "" {
		t.Errorf("at last there is trouble: %s", trouble)
	}
}

// Whoever is answered may take any time before the others of its batch are: the batch
// is over, and stalls nobody. A month that is lived in seconds asks for that.
func TestAnsweredIsOver(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	store := &slow{Store: h.Store, let: make(chan struct{})}
	desk := run(t, h, store, nil)

	const rounds, together = 5, 100
	for round := range rounds {
		var waiters sync.WaitGroup
		var first sync.Once
		activate := func(i int) {
			a := storetest.Claim(fmt.Sprintf("order%d/%d", round, i), storetest.UTR(round*together+i+1), storetest.Rupees(500))
			if _, err := desk.Activate(t.Context(), a); err != nil {
				t.Error(err)
			}
		}
		waiters.Go(func() { activate(0) })
		for !store.busy.Load() {
			runtime.Gosched()
		}
		for i := 1; i < together; i++ {
			waiters.Go(func() {
				activate(i)
				first.Do(func() {
					h.Clock.Advance(time.Minute)
					if trouble := desk.Trouble(); trouble != "" {
						t.Errorf("round %d: %s", round, trouble)
					}
				})
			})
		}
		for desk.Queued() < together-1 {
			runtime.Gosched()
		}
		store.let <- struct{}{} // the one that came first
		store.let <- struct{}{} // all others, together
		waiters.Wait()
	}
}

// broken is a store that fails while it is told to.
type broken struct {
	deposit.Store
	broken atomic.Bool
	tries  atomic.Int64
}

var errFull = errors.New("the disk is full")

func (s *broken) Settle(ctx context.Context, keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) error {
	if s.broken.Load() {
		s.tries.Add(1)
		return errFull
	}
	return s.Store.Settle(ctx, keys, decide)
}

// A database that fails is trouble, for a while after what it failed; and one that
// takes the next batch is none.
func TestTrouble(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	store := &broken{Store: h.Store}
	desk := run(t, h, store, func(err error) bool { return errors.Is(err, errFull) })
	activate := func(i int) error {
		_, err := desk.Activate(t.Context(), storetest.Claim(fmt.Sprint("order", i), storetest.UTR(i+1), storetest.Rupees(500)))
		return err
	}
	store.broken.Store(true)
	if err := activate(0); !errors.Is(err, errFull) {
		t.Fatalf("a full disk gives %v", err)
	}
	if err := activate(1); !errors.Is(err, errFull) || desk.Trouble() == "" {
		t.Fatalf("a full disk gives %v, trouble %q", err, desk.Trouble())
	}
	h.Clock.Advance(time.Minute)
	if trouble := desk.Trouble(); trouble != "" {
		t.Errorf("a minute later there is still %q", trouble)
	}
	if err := activate(2); !errors.Is(err, errFull) {
		t.Fatalf("a full disk gives %v", err)
	}
	store.broken.Store(false)
	if err := activate(3); err != nil {
		t.Fatal(err)
	}
	if trouble := desk.Trouble(); trouble != "" {
		t.Errorf("after a batch that went well there is %q", trouble)
	}
}

// A database that takes nothing is in trouble, whatever it calls that.
func TestTroubleWithoutAName(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	store := &broken{Store: h.Store}
	desk := run(t, h, store, nil)
	activate := func(i int) error {
		_, err := desk.Activate(t.Context(), storetest.Claim(fmt.Sprint("order", i), storetest.UTR(i+1), storetest.Rupees(500)))
		return err
	}
	store.broken.Store(true)
	const most = 100
	var n int
	for n = 1; n < most && desk.Trouble() == ""; n++ {
		if err := activate(n); !errors.Is(err, errFull) {
			t.Fatalf("a database that takes nothing gives %v", err)
		}
	}
	if n < 10 || n == most {
		t.Errorf("after %d requests it is in trouble: %q", n, desk.Trouble())
	}
	store.broken.Store(false)
	if err := activate(most); err != nil || desk.Trouble() != "" {
		t.Errorf("mended, it gives %v, and is in trouble: %q", err, desk.Trouble())
	}
}

// picky is a store that does not take what names one UTR, and is well otherwise.
type picky struct {
	slow
	poison upi.UTR
}

var errPoison = errors.New("constraint failed")

func (s *picky) Settle(ctx context.Context, keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) error {
	if _, poisoned := keys.UTRs[s.poison]; poisoned {
		return errPoison
	}
	return s.slow.Settle(ctx, keys, decide)
}

// What can't be carried out takes nothing down that came with it, however many there
// are of it, and is no trouble of the database's.
func TestPoisonIsNoTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
		store := &picky{slow: slow{Store: h.Store, let: make(chan struct{})}, poison: storetest.UTR(1)}
		desk := run(t, h, store, nil)
		const many = 5
		well, poisoned := make(chan error, 1+many), make(chan error, many)
		activate := func(order string, utr upi.UTR, result chan<- error) {
			go func() {
				_, err := desk.Activate(t.Context(), storetest.Claim(order, utr, storetest.Rupees(500)))
				result <- err
			}()
			synctest.Wait() // it is under way, or waits behind what is
		}
		activate("first", storetest.UTR(2), well)
		for i := range many {
			activate(fmt.Sprint("poison", i), store.poison, poisoned)
		}
		for i := range many {
			activate(fmt.Sprint("order", i), storetest.UTR(10+i), well)
		}
		close(store.let)
		for range many {
			if err := <-poisoned; !errors.Is(err, errPoison) {
				t.Errorf("what can't be carried out gives %v", err)
			}
		}
		for range 1 + many {
			if err := <-well; err != nil {
				t.Errorf("what came with it gives %v", err)
			}
		}
		activate("alone", store.poison, poisoned)
		if err := <-poisoned; !errors.Is(err, errPoison) || desk.Trouble() != "" {
			t.Errorf("alone it gives %v, trouble %q", err, desk.Trouble())
		}
	})
}

// One merchant's flood while commits are slow turns only that merchant away.
func TestFloodIsItsCallersOwn(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{})
	store := &slow{Store: h.Store, let: make(chan struct{})}
	desk := run(t, h, store, nil)

	const flood = 3000
	results := make(chan error, flood)
	for i := range flood {
		go func() {
			a := storetest.Claim(fmt.Sprint("flood", i), storetest.UTR(i+1), storetest.Rupees(500))
			_, err := desk.Activate(t.Context(), a)
			results <- err
		}()
	}
	// Whoever is turned away is so at once; the others wait for the commit.
	for range flood / 2 {
		if err := <-results; !errors.Is(err, deposit.ErrTooMany) {
			t.Fatalf("turned away with %v", err)
		}
	}
	neighbour := make(chan error, 1)
	go func() {
		a := storetest.Claim("calm", storetest.UTR(flood+1), storetest.Rupees(500))
		a.Merchant = storetest.Cafe
		_, err := desk.Activate(t.Context(), a)
		neighbour <- err
	}()
	close(store.let)
	if err := <-neighbour; err != nil {
		t.Errorf("the neighbour got %v", err)
	}
	taken := 0
	for range flood - flood/2 {
		if err := <-results; err == nil {
			taken++
		}
	}
	if taken == 0 {
		t.Error("nothing of the flood was taken")
	}
}
