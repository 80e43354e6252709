package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// activateAll sends activations at once, spread over the houses, and returns
// the claims.
func activateAll(tb testing.TB, houses []*House, activations []deposit.Activation) []deposit.Claim {
	tb.Helper()
	claims := make([]deposit.Claim, len(activations))
	var group sync.WaitGroup
	for i := range activations {
		group.Go(func() {
			var err error
			if claims[i], err = houses[i%len(houses)].Desk.Activate(tb.Context(), activations[i]); err != nil {
				tb.Errorf("activate %s: %v", activations[i].CustomID, err)
			}
		})
	}
	group.Wait()
	return claims
}

func count(claims []deposit.Claim) map[deposit.State]int {
	states := make(map[deposit.State]int)
	for i := range claims {
		states[claims[i].State]++
	}
	return states
}

const crowd = 64

func crowdOf(of func(i int) deposit.Activation) []deposit.Activation {
	list := make([]deposit.Activation, crowd)
	for i := range list {
		list[i] = of(i)
	}
	return list
}

// testRaces sends at once what belongs together, from one desk and from two.
func testRaces(t *testing.T, fresh Fresh) {
	t.Helper()
	for _, gateways := range []int{1, 2} {
		open := func(t *testing.T, setup Setup) []*House {
			t.Helper()
			houses := []*House{MustOpenHouse(t, fresh(t), setup)}
			for len(houses) < gateways {
				houses = append(houses, houses[0].MustOpenBranch())
			}
			return houses
		}
		t.Run(fmt.Sprintf("one UTR, many claims, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			houses := open(t, Setup{})
			houses[0].MustReport("till", 1, 0, 0, houses[0].Entry(UTR(1), 500_00))
			states := count(activateAll(t, houses, crowdOf(func(i int) deposit.Activation {
				return Claim(fmt.Sprint(i), UTR(1), 500_00)
			})))
			if states[deposit.Credited] != 1 || states[deposit.Refused] != crowd-1 {
				t.Errorf("the claims became %v", states)
			}
			houses[0].MustVerify()
		})
		t.Run(fmt.Sprintf("many claims before their credit, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			houses := open(t, Setup{})
			h := houses[0]
			claims := activateAll(t, houses, crowdOf(func(i int) deposit.Activation {
				return Claim(fmt.Sprint(i), UTR(1), 500_00)
			}))
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			for i := range claims {
				h.MustFind(claims[i].ID, deposit.Pending, deposit.RivalClaims)
			}
			// Two operators approve two of them at once.
			var group sync.WaitGroup
			approved := make([]error, len(houses)*2)
			for i := range approved {
				group.Go(func() {
					_, approved[i] = houses[i%len(houses)].Desk.Approve(t.Context(), claims[i].ID, 0, "operator:asha", "")
				})
			}
			group.Wait()
			won := 0
			for _, err := range approved {
				if err == nil {
					won++
				} else if _, refused := errors.AsType[*deposit.Refusal](err); !refused {
					t.Errorf("approve: %v", err)
				}
			}
			r := h.MustVerify()
			if won != 1 || r.Deposits != 1 {
				t.Errorf("%d approvals won, %d deposits", won, r.Deposits)
			}
		})
		t.Run(fmt.Sprintf("one request, many times, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			houses := open(t, Setup{})
			houses[0].MustReport("till", 1, 0, 0, houses[0].Entry(UTR(1), 500_00))
			claims := activateAll(t, houses, crowdOf(func(int) deposit.Activation { return Claim("one", UTR(1), 500_00) }))
			for i := range claims {
				if fmt.Sprintf("%+v", claims[i]) != fmt.Sprintf("%+v", claims[0]) || claims[i].State != deposit.Credited {
					t.Fatalf("answered %+v and %+v", claims[0], claims[i])
				}
			}
			if r := houses[0].MustVerify(); r.Claims != 1 || r.Deposits != 1 {
				t.Errorf("%d claims, %d deposits", r.Claims, r.Deposits)
			}
		})
		t.Run(fmt.Sprintf("one id, many contents, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			houses := open(t, Setup{})
			var group sync.WaitGroup
			var mu sync.Mutex
			made := 0
			for i := range crowd {
				group.Go(func() {
					_, err := houses[i%len(houses)].Desk.Activate(t.Context(), Claim("one", UTR(i+1), 500_00))
					var refusal *deposit.Refusal
					switch {
					case err == nil:
						mu.Lock()
						made++
						mu.Unlock()
					case !errors.As(err, &refusal) || refusal.Code != deposit.CustomIDUsed:
						t.Errorf("activate: %v", err)
					}
				})
			}
			group.Wait()
			if r := houses[0].MustVerify(); made != 1 || r.Claims != 1 {
				t.Errorf("%d were taken, %d claims kept", made, r.Claims)
			}
		})
		t.Run(fmt.Sprintf("claims and credits meet, %d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			houses := open(t, Setup{})
			if !houses[0].Database.Embedded() {
				houses = open(t, Setup{Committers: 3})
			}
			meet(t, houses)
		})
		for _, race := range feedRaces {
			t.Run(fmt.Sprintf("%s, %d gateways", race.name, gateways), func(t *testing.T) {
				t.Parallel()
				houses := open(t, Setup{})
				race.run(t, houses)
				houses[0].mustNotDeadlock()
			})
		}
	}
	t.Run("the directory changes meanwhile", func(t *testing.T) {
		t.Parallel()
		h := MustOpenHouse(t, fresh(t), Setup{})
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				m := *h.Directory.Current().Merchant(Shop)
				m.Name = fmt.Sprint("Shop ", i)
				version, err := h.Store.DirectoryVersion(ctx)
				if err == nil {
					err = h.Store.SaveDirectory(ctx, directory.Change{From: version, Merchants: []*directory.Merchant{&m}})
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("change the directory: %v", err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
		claims := activateAll(t, []*House{h}, crowdOf(func(i int) deposit.Activation { return Claim(fmt.Sprint(i), UTR(i+1), 500_00) }))
		stop()
		group.Wait()
		if states := count(claims); states[deposit.Waiting] != crowd {
			t.Errorf("the claims became %v", states)
		}
		h.MustVerify()
	})
}

// feedRaces send at once what feeds tell of one thing.
var feedRaces = []struct {
	name string
	run  func(t *testing.T, houses []*House)
}{
	{"one line of a statement", func(t *testing.T, houses []*House) {
		t.Helper()
		line := houses[0].movement(feed.Debit, "", 100_00)
		taken := ingestAll(t, houses, "till", func(int) []feed.Item { return []feed.Item{{Movement: line}} })
		if n := results(taken); n[feed.Recorded] != 1 || n[feed.Known] != crowd-1 {
			t.Errorf("the lines became %v", n)
		}
		for i := range taken {
			if taken[i].Outcomes[0].MovementID != taken[0].Outcomes[0].MovementID {
				t.Errorf("one line is movement %d and %d", taken[i].Outcomes[0].MovementID, taken[0].Outcomes[0].MovementID)
			}
		}
		if r := houses[0].MustVerify(); r.Outflow != 100_00 || r.Held != -100_00 {
			t.Errorf("the books say %+v", r)
		}
	}},
	{"one statement, up and down", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		const lines = 40
		var items, turned []feed.Item
		for i := range lines {
			items = append(items, feed.Item{Place: i, Movement: h.movement(feed.Other, "", Rupees(int64(i+1))), Message: told("line", i)})
		}
		turned = slices.Clone(items)
		slices.Reverse(turned)
		taken := ingestAll(t, houses, "till", func(i int) []feed.Item {
			if i/len(houses)%2 == i%len(houses) { // each gateway has both
				return turned
			}
			return items
		})
		if n := results(taken); n[feed.Recorded] != lines || n[feed.Known] != (crowd-1)*lines {
			t.Errorf("the lines became %v", n)
		}
		if r := h.MustVerify(); r.Income != Rupees(lines*(lines+1)/2) {
			t.Errorf("the books say %+v", r)
		}
		h.mustCount("till", crowd*lines, lines)
	}},
	{"one account's statements of two feeds, up and down", func(t *testing.T, houses []*House) {
		t.Helper()
		const rounds, lines = 30, 120
		for round := range rounds {
			var items, turned []feed.Item
			for i := range lines {
				items = append(items, feed.Item{Place: i, Movement: houses[0].movement(feed.Other, "", Rupees(int64(round*lines+i+1)))})
			}
			turned = slices.Clone(items)
			slices.Reverse(turned)
			var group sync.WaitGroup
			for i, list := range [][]feed.Item{items, turned} {
				h := houses[i%len(houses)]
				group.Go(func() {
					if _, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed([]string{"till", "spare"}[i]), list); err != nil {
						t.Errorf("report: %v", err)
					}
				})
			}
			group.Wait()
		}
		if r := houses[0].MustVerify(); r.Income != Rupees(rounds*lines*(rounds*lines+1)/2) {
			t.Errorf("the books say %+v", r)
		}
	}},
	{"one statement, imported by many", func(t *testing.T, houses []*House) {
		t.Helper()
		s := feed.Statement{Wallet: "till", Feed: "till", Digest: sha256.Sum256([]byte("june")), Name: "june.csv", From: Start, To: Start, Lines: 2, ImportedAt: Start}
		lines := []feed.StatementLine{
			{Number: 1, Kind: feed.Debit, Amount: 100_00, At: Start, Outcome: feed.Outcome{Result: feed.Unread}},
			{Number: 2, Kind: feed.Debit, Amount: 100_00, At: Start, Outcome: feed.Outcome{Result: feed.Unread}},
		}
		ids := make([]int64, crowd)
		var group sync.WaitGroup
		for i := range ids {
			h := houses[i%len(houses)]
			group.Go(func() {
				var err error
				if ids[i], err = h.Store.KeepStatement(t.Context(), &s); err == nil {
					err = errors.Join(h.Store.KeepLines(t.Context(), ids[i], lines), h.Store.EndStatement(t.Context(), ids[i]))
				}
				if err != nil {
					t.Errorf("import: %v", err)
				}
			})
		}
		group.Wait()
		if ids = slices.Compact(ids); len(ids) != 1 {
			t.Fatalf("one statement has the ids %v", ids)
		}
		list, err := houses[0].Store.Statements(t.Context(), "till", 10)
		if err != nil || len(list) != 1 {
			t.Fatalf("listed %+v, %v", list, err)
		}
		if r, err := houses[0].Store.Reconcile(t.Context(), list[0]); err != nil || len(r.Open) != len(lines) {
			t.Errorf("compared: %+v, %v", r, err)
		}
		houses[0].MustVerify()
	}},
	{"one reversal", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
		back := h.movement(feed.Debit, UTR(1), 500_00)
		taken := ingestAll(t, houses, "till", func(int) []feed.Item { return []feed.Item{{Movement: back}} })
		if n := results(taken); n[feed.Recorded] != 1 || n[feed.Known] != crowd-1 {
			t.Errorf("the lines became %v", n)
		}
		if r := h.MustVerify(); r.Held != 0 || r.Outflow != 0 {
			t.Errorf("the books say %+v", r)
		}
	}},
	{"one message", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		e := h.Entry(UTR(1), 500_00)
		taken := ingestAll(t, houses, "till", func(int) []feed.Item { return []feed.Item{{Credit: &e, Message: told("credited", 1)}} })
		if n := results(taken); n[feed.New] != 1 || n[feed.Known] != crowd-1 {
			t.Errorf("the messages became %v", n)
		}
		if r := h.MustVerify(); r.Credits != 1 || r.Held != 500_00 {
			t.Errorf("the books say %+v", r)
		}
		h.mustCount("till", crowd, 1)
	}},
	{"messages that are not told apart by a UTR", func(t *testing.T, houses []*House) {
		t.Helper()
		// Each is in many reports, in another order each time, and of two feeds.
		const messages = 12
		feeds := []string{"till", "spare"}
		var group sync.WaitGroup
		for i := range crowd {
			group.Go(func() {
				var items []feed.Item
				for _, n := range rand.New(rand.NewPCG(uint64(i), 1)).Perm(messages) { //nolint:gosec // an order, no secret
					items = append(items, feed.Item{Place: len(items), Message: told("unread", n)})
				}
				h := houses[i%len(houses)]
				if _, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed(feeds[i/2%2]), items); err != nil {
					t.Errorf("report: %v", err)
				}
			})
		}
		group.Wait()
		houses[0].MustVerify()
		for _, id := range feeds {
			houses[0].mustCount(id, crowd/2*messages, messages)
		}
	}},
	{"a reversal and a claim", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		entries := make([]feed.Entry, 0, crowd)
		for i := range crowd {
			entries = append(entries, h.Entry(UTR(i+1), 500_00))
		}
		h.MustReport("till", crowd, 0, 0, entries...)
		meetEach(t, houses, func(h *House, i int) error {
			_, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), []feed.Item{{Movement: h.movement(feed.Debit, UTR(i+1), 500_00)}})
			return err
		}, func(h *House, i int) error {
			_, err := h.Desk.Activate(t.Context(), raced(i, 500_00))
			return err
		})
		for i := range crowd {
			c, credit := h.mustSettled(i), h.MustCredit("till", UTR(i+1))
			credited := c.State == deposit.Credited && credit.State == deposit.Bound && credit.Contested
			held := c.State == deposit.Pending && c.Reasons.Has(deposit.CreditReversal) && credit.State == deposit.Reversed
			if !credited && !held {
				t.Errorf("claim %d is %s (%s), its credit %s, contested %v", i, c.State, c.Reasons, credit.State, credit.Contested)
			}
		}
		if r := h.MustVerify(); r.Held != 0 || r.Unclaimed != 0 || r.Outflow != r.Owed {
			t.Errorf("the books say %+v", r)
		}
	}},
	{"a correction and a claim", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		entries := make([]feed.Entry, 0, crowd)
		for i := range crowd {
			entries = append(entries, provisional(h.Entry(UTR(i+1), 500_00)))
		}
		h.MustReport("till", crowd, 0, 0, entries...)
		meetEach(t, houses, func(h *House, i int) error {
			_, err := h.Report("till", h.Entry(UTR(i+1), 50_00))
			return err
		}, func(h *House, i int) error {
			_, err := h.Desk.Activate(t.Context(), raced(i, 500_00))
			return err
		})
		for i := range crowd {
			c, credit := h.mustSettled(i), h.MustCredit("till", UTR(i+1))
			credited := c.State == deposit.Credited && c.Deposited == 500_00 && credit.State == deposit.Bound && credit.Amount == 500_00
			held := c.State == deposit.Pending && credit.State == deposit.Unclaimed && credit.Amount == 50_00
			if !credit.Contested || !credited && !held {
				t.Errorf("claim %d is %s (%s), its credit %s of %s, contested %v", i, c.State, c.Reasons, credit.State, credit.Amount, credit.Contested)
			}
		}
		h.MustVerify()
	}},
	{"a reversal and its credit", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		meetEach(t, houses, func(h *House, i int) error {
			_, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), []feed.Item{{Movement: h.movement(feed.Debit, UTR(i+1), 500_00)}})
			return err
		}, func(h *House, i int) error {
			_, err := h.Report("till", h.Entry(UTR(i+1), 500_00))
			return err
		})
		for i := range crowd {
			if credit := h.MustCredit("till", UTR(i+1)); credit.State != deposit.Reversed {
				t.Errorf("credit %d is %s", i, credit.State)
			}
		}
		if r := h.MustVerify(); r.Held != 0 || r.Outflow != 0 {
			t.Errorf("the books say %+v", r)
		}
	}},
	{"a payment's note and its claim", func(t *testing.T, houses []*House) {
		t.Helper()
		h := houses[0]
		notes := make([]string, crowd)
		for i := range notes {
			notes[i] = h.mustOpenPayment(fmt.Sprint("raced", i), 500_00).Reference
		}
		meetEach(t, houses, func(h *House, i int) error {
			_, err := h.Report("till", noted(h.Entry(UTR(i+1), 500_00), notes[i]))
			return err
		}, func(h *House, i int) error {
			_, err := h.Desk.Activate(t.Context(), raced(i, 500_00))
			return err
		})
		for i := range crowd {
			if c := h.mustSettled(i); c.State != deposit.Credited || c.UTR != UTR(i+1) {
				t.Errorf("claim %d is %s (%s)", i, c.State, c.Reasons)
			}
		}
		if r := h.MustVerify(); r.Deposits != crowd || r.Claims != crowd {
			t.Errorf("the books say %+v", r)
		}
	}},
}

// raced is the claim of the payer of the i-th UTR.
func raced(i int, amount money.Paise) deposit.Activation {
	return Claim(fmt.Sprint("raced", i), UTR(i+1), amount)
}

func (h *House) mustSettled(i int) *deposit.Claim {
	h.Helper()
	c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: raced(i, 0).CustomID})
	if err != nil {
		h.Fatalf("claim %d: %v", i, err)
	}
	return c
}

// told is a bank's message of a kind.
func told(kind string, n int) *feed.Message {
	text := fmt.Sprint(kind, " ", n)
	return &feed.Message{Raw: []byte(text), Digest: sha256.Sum256([]byte(text)), Sender: "bank", SentAt: Start, Reading: feed.Reading{Kind: feed.Unparsed}}
}

// ingestAll sends as many reports at once, spread over the houses.
func ingestAll(t *testing.T, houses []*House, id string, of func(i int) []feed.Item) []feed.Taken {
	t.Helper()
	taken := make([]feed.Taken, crowd)
	var group sync.WaitGroup
	for i := range taken {
		h := houses[i%len(houses)]
		group.Go(func() {
			var err error
			if taken[i], err = h.Desk.Ingest(t.Context(), h.Directory.Current().Feed(id), of(i)); err != nil {
				t.Errorf("report: %v", err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return taken
}

func results(taken []feed.Taken) map[feed.Result]int {
	counts := make(map[feed.Result]int)
	for i := range taken {
		for _, out := range taken[i].Outcomes {
			counts[out.Result]++
		}
	}
	return counts
}

// meetEach does two things to each of a crowd at once, each at another house where
// there is one.
func meetEach(t *testing.T, houses []*House, one, other func(h *House, i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := range crowd {
		for j, do := range []func(*House, int) error{one, other} {
			h := houses[(i+j)%len(houses)]
			group.Go(func() {
				if err := do(h, i); err != nil {
					t.Errorf("%d, side %d: %v", i, j, err)
				}
			})
		}
	}
	group.Wait()
}

// mustNotDeadlock checks that no gateway ever waited for one that waited for it: the
// engine would have ended that, after a second in which nobody got on.
func (h *House) mustNotDeadlock() {
	h.Helper()
	if h.Database.Embedded() {
		return // one writer
	}
	var n int
	if err := h.raw().QueryRowContext(h.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n); err != nil || n != 0 {
		h.Errorf("%d deadlocks, %v", n, err)
	}
}

// mustCount checks how many items a feed was counted, and how many messages are
// kept.
func (h *House) mustCount(id string, items int64, messages int) {
	h.Helper()
	hours, err := h.Store.FeedHours(h.Context(), Start.Add(-time.Hour))
	if n := hours[deposit.FeedHour{Feed: id, Hour: Start.Unix() / 3600}]; err != nil || n.Items != items {
		h.Errorf("feed %s was counted %+v, %v; want %d items", id, n, err, items)
	}
	var kept int
	if err := h.raw().QueryRowContext(h.Context(), `SELECT COUNT(*) FROM messages WHERE feed = $1`, id).Scan(&kept); err != nil || kept != messages {
		h.Errorf("%d messages of feed %s are kept, %v; want %d", kept, id, err, messages)
	}
}

// meet has claims and credits of the same UTRs arrive in any order at any of
// the gateways: whatever comes first, each UTR with one claim and one credit
// that match ends credited.
func meet(t *testing.T, houses []*House) {
	t.Helper()
	const (
		pairs   = 300
		workers = 16
	)
	h := houses[0]
	random := rand.New(rand.NewPCG(uint64(pairs), 1)) //nolint:gosec // an order, no secret
	type work struct {
		utr    upi.UTR
		credit bool
	}
	var list []work
	for i := range pairs {
		list = append(list, work{UTR(i + 1), true}, work{UTR(i + 1), false})
	}
	// Near each other, so that both sides of a pair are often in flight at once.
	for i := range list {
		j := min(len(list)-1, i+random.IntN(8))
		list[i], list[j] = list[j], list[i]
	}
	merchants := []string{Shop, Cafe}
	queue := make(chan work)
	var group sync.WaitGroup
	for i := range workers {
		g := houses[i%len(houses)]
		group.Go(func() {
			for w := range queue {
				if w.credit {
					s, err := g.Report("common", g.Entry(w.utr, 500_00))
					if err != nil || s.Accepted != 1 {
						t.Errorf("report: %+v, %v", s, err)
					}
					continue
				}
				a := Claim(string(w.utr), w.utr, 500_00)
				a.Label = "payer of " + string(w.utr)
				a.Merchant = merchants[int(w.utr[len(w.utr)-1])%2]
				if _, err := g.Desk.Activate(t.Context(), a); err != nil {
					t.Errorf("activate: %v", err)
				}
			}
		})
	}
	for _, w := range list {
		queue <- w
	}
	close(queue)
	group.Wait()
	for i := range pairs {
		key := deposit.CustomKey{Merchant: merchants[int(UTR(i + 1)[11])%2], CustomID: string(UTR(i + 1))}
		c, err := h.Store.FindClaimByKey(t.Context(), key)
		if err != nil || c.State != deposit.Credited {
			t.Errorf("claim %v missed its credit: %+v, %v", key, c, err)
		}
	}
	if r := h.MustVerify(); r.Deposits != pairs || r.Unclaimed != 0 {
		t.Errorf("%d deposits of %d pairs, %s unclaimed", r.Deposits, pairs, r.Unclaimed)
	}
}

// testDesk tests what the desk promises to those who wait at it.
func testDesk(t *testing.T, fresh Fresh) {
	t.Helper()
	t.Run("a text no engine takes", func(t *testing.T) {
		t.Parallel()
		h := MustOpenHouse(t, fresh(t), Setup{})
		poisoned := Claim("poison", UTR(1000), 0) // an amount of nothing, and bytes that are no text
		poisoned.Label = "\xff\x00"
		activations := crowdOf(func(i int) deposit.Activation { return Claim(fmt.Sprint(i), UTR(i+1), 500_00) })
		activations = slices.Insert(activations, crowd/2, poisoned)
		var group sync.WaitGroup
		for i := range activations {
			group.Go(func() {
				_, err := h.Desk.Activate(t.Context(), activations[i])
				if failed := err != nil; failed != (activations[i].CustomID == "poison") {
					t.Errorf("activate %s: %v", activations[i].CustomID, err)
				}
			})
		}
		group.Wait()
		if r := h.MustVerify(); r.Claims != crowd {
			t.Errorf("%d claims", r.Claims)
		}
	})
	t.Run("closing", func(t *testing.T) {
		t.Parallel()
		h := MustOpenHouse(t, fresh(t), Setup{})
		config := h.Desk.Config
		desk := deposit.NewDesk(config)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- desk.Run(ctx) }()
		answers := make(chan error, crowd)
		for i := range crowd {
			go func() {
				_, err := desk.Activate(t.Context(), Claim(fmt.Sprint(i), UTR(i+1), 500_00))
				answers <- err
			}()
		}
		stop()
		settled := 0
		for range crowd {
			switch err := <-answers; {
			case err == nil:
				settled++
			case !errors.Is(err, deposit.ErrClosed):
				t.Errorf("activate: %v", err)
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := desk.Activate(t.Context(), Claim("late", UTR(999), 1)); !errors.Is(err, deposit.ErrClosed) {
			t.Errorf("a closed desk answers %v", err)
		}
		if r := h.MustVerify(); r.Claims != int64(settled) {
			t.Errorf("%d were acknowledged, %d kept", settled, r.Claims)
		}
	})
	t.Run("what was acknowledged outlives the gateway", func(t *testing.T) {
		t.Parallel()
		h := MustOpenHouse(t, fresh(t), Setup{})
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
		a := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
		next := h.MustOpenBranch()
		if again := next.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited); again.ID != a.ID {
			t.Errorf("claim %d is %d to the next gateway", a.ID, again.ID)
		}
		if b := next.MustActivate(Claim("b", UTR(2), 500_00), deposit.Waiting); b.ID == a.ID {
			t.Error("an id came twice")
		}
		next.MustVerify()
	})
}

// BenchmarkActivate measures activations whose credit is known, from 64 callers.
func BenchmarkActivate(b *testing.B, fresh Fresh) {
	b.Helper()
	benchmarkActivate(b, fresh, nil)
}

// BenchmarkActivateTold is BenchmarkActivate with two webhooks that are told of
// each deposit.
func BenchmarkActivateTold(b *testing.B, fresh Fresh) {
	b.Helper()
	benchmarkActivate(b, fresh, withWebhooks)
}

func benchmarkActivate(b *testing.B, fresh Fresh, change func(*directory.Change)) {
	b.Helper()
	h := MustOpenHouse(b, fresh(b), Setup{Change: change, Policy: func(p *deposit.Policy) { p.LabelFailures = 0 }})
	report(b, h, b.N)
	callers(b, func(i int) error {
		c, err := h.Desk.Activate(b.Context(), Claim(fmt.Sprint(i), UTR(i), 500_00))
		if err == nil && c.State != deposit.Credited {
			err = fmt.Errorf("claim %d is %s", i, c.State)
		}
		return err
	})
	h.MustVerify()
}

// BenchmarkIngest measures reports of one credit each, from 64 callers.
func BenchmarkIngest(b *testing.B, fresh Fresh) {
	b.Helper()
	h := MustOpenHouse(b, fresh(b), Setup{})
	callers(b, func(i int) error {
		_, err := h.Report("till", h.Entry(UTR(i), 500_00))
		return err
	})
	h.MustVerify()
}

func report(b *testing.B, h *House, n int) {
	b.Helper()
	entries := make([]feed.Entry, n)
	for i := range entries {
		entries[i] = h.Entry(UTR(i), 500_00)
	}
	if _, err := h.Report("till", entries...); err != nil {
		b.Fatal(err)
	}
}

// callers has 64 callers share b.N calls.
func callers(b *testing.B, call func(i int) error) {
	b.Helper()
	work := make(chan int, b.N)
	for i := range b.N {
		work <- i
	}
	close(work)
	b.ResetTimer()
	var group sync.WaitGroup
	for range crowd {
		group.Go(func() {
			for i := range work {
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s") //nolint:forbidigo // a rate, not money
}
