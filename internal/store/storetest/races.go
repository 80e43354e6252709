package storetest

import (
	"context"
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
	h := MustOpenHouse(b, fresh(b), Setup{Policy: func(p *deposit.Policy) { p.LabelFailures = 0 }})
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
