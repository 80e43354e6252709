package postback_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/postback"
)

// sent is one attempt as a merchant saw it.
type sent struct {
	at                time.Time
	id, stamp, merits string // Standard Webhooks headers
	body              string
}

func TestWholeSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := newShops(t, shop("shop", "https://shop.example/hook"))
		store := newOutbox()
		var mu sync.Mutex
		var log []sent
		attempts := func() []sent {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(log)
		}
		c := config(t, store, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
			h := r.Header
			mu.Lock()
			defer mu.Unlock()
			log = append(log, sent{time.Now(), h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature"), string(read(t, r))})
			return answer(http.StatusInternalServerError, "no"), nil
		}))
		source := &changingRates{set: bundled(t).set}
		c.Rates = source
		c.SweepEvery = 5 * time.Second
		w, stop := run(t, c)
		start := time.Now()
		e := event(1, "shop", start)
		store.put(e, start.Add(postback.Lease))
		w.Offer([]postback.Event{e})
		synctest.Wait()

		// Neither the keys and zone in force later nor other rates change what
		// repeats carry.
		other := shop("shop", "https://shop.example/moved")
		other.Timezone, other.Secrets.AccessKey, other.Secrets.PrivateKey = "UTC", "AK2", "PK2"
		dir.replace(t, other)
		source.change(&fx.Rates{})

		at := start
		for n := 1; n < postback.MaxAttempts; n++ {
			if made := len(attempts()); made != n {
				t.Fatalf("%d attempts, want %d", made, n)
			}
			wait, _ := postback.Schedule{}.After(n)
			at = at.Add(wait)
			time.Sleep(time.Until(at) - time.Nanosecond)
			synctest.Wait()
			if len(attempts()) != n {
				t.Fatalf("attempt %d came before its time", n+1)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
		}
		time.Sleep(48 * time.Hour)
		stop()
		seen := attempts()
		if len(seen) != postback.MaxAttempts {
			t.Errorf("%d attempts in all, want %d", len(seen), postback.MaxAttempts)
		}
		for i, s := range seen {
			if s.body != seen[0].body || s.id != "deposit_1" {
				t.Errorf("attempt %d: id %s, body %s", i+1, s.id, s.body)
			}
			if s.stamp != fmt.Sprint(s.at.Unix()) {
				t.Errorf("attempt %d at %d says %s", i+1, s.at.Unix(), s.stamp)
			}
		}
		row := store.row(1)
		if row.state != postback.StateDead || row.attempts != postback.MaxAttempts || string(row.body) != seen[0].body {
			t.Errorf("the event is %s after %d attempts, body kept: %t", row.state, row.attempts, row.body != nil)
		}
		if last := row.results[len(row.results)-1].Attempt; last.Status != 500 || last.Error != "answered 500 instead of 200" || last.Number != 10 {
			t.Errorf("last attempt %+v", last)
		}
		if dead := testutil.ToFloat64(c.Metrics.Attempts.WithLabelValues("dead")); dead != 1 {
			t.Errorf("%v dead attempts counted", dead)
		}
	})
}

type changingRates struct {
	mu  sync.Mutex
	set *fx.Rates
	err error
}

func (c *changingRates) change(set *fx.Rates) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.err = set, nil
}

func (c *changingRates) Rates(context.Context, int64) (*fx.Rates, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set, c.err
}

// A merchant that hangs takes its own places only: not one other event waits,
// not a nanosecond.
func TestHangingMerchantDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := newShops(t, shop("hangs", "https://hangs.example/"), shop("a", "https://a.example/"), shop("b", "https://b.example/"))
		store := newOutbox()
		var hanging atomic.Int64
		c := config(t, store, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "hangs.example" {
				hanging.Add(1)
				return hang(r)
			}
			return ok()
		}))
		w, stop := run(t, c)
		defer stop()
		now := time.Now()
		var events []postback.Event
		for i := range int64(600) {
			e := event(i, []string{"hangs", "a", "b"}[i%3], now)
			store.put(e, now.Add(postback.Lease))
			events = append(events, e)
		}
		w.Offer(events)
		synctest.Wait()
		if !time.Now().Equal(now) {
			t.Fatal("the test's clock moved")
		}
		if hanging.Load() != 1 {
			t.Errorf("%d attempts hang, want 1: it has answered none yet", hanging.Load())
		}
		for _, e := range events {
			if state := store.row(e.ID).state; e.Merchant != "hangs" && state != postback.StateDelivered {
				t.Fatalf("event %d of %s is %s", e.ID, e.Merchant, state)
			}
		}
		if busy := testutil.ToFloat64(c.Metrics.InFlight); busy != 1 {
			t.Errorf("%v in flight", busy)
		}
	})
}

// However many merchants hang, they leave their places to the others as soon as
// they are found slow, and are only probed after some failures.
func TestManyHangingMerchantsLeaveRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		healthy := shop("healthy", "https://healthy.example/")
		const hangers = 40
		merchants := append(newShops(t, healthy).Current().Merchants, nil)[:1]
		for i := range hangers {
			merchants = append(merchants, shop(fmt.Sprintf("hangs%02d", i), fmt.Sprintf("https://hangs%02d.example/", i)))
		}
		dir := newShops(t, merchants...)
		store := newOutbox()
		var mu sync.Mutex
		hanging, most := 0, 0
		c := config(t, store, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "healthy.example" {
				return ok()
			}
			mu.Lock()
			hanging++
			most = max(most, hanging)
			mu.Unlock()
			defer func() { mu.Lock(); hanging--; mu.Unlock() }()
			return hang(r)
		}))
		const slots = 4
		c.Slots = slots
		w, stop := run(t, c)
		defer stop()
		now := time.Now()
		for i := range int64(hangers * 100) {
			store.put(event(i, merchants[1+i%hangers].ID, now), now)
		}
		// Each is found slow in its turn, which comes when the one before is.
		time.Sleep((hangers/slots + 1) * time.Second)
		synctest.Wait()
		mu.Lock()
		if hanging != hangers || most != hangers {
			t.Errorf("%d attempts hang now and %d did at most, want one for each merchant", hanging, most)
		}
		mu.Unlock()
		var events []postback.Event
		now = time.Now()
		for i := range int64(500) {
			e := event(10_000+i, "healthy", now)
			store.put(e, now.Add(postback.Lease))
			events = append(events, e)
		}
		w.Offer(events)
		synctest.Wait()
		for _, e := range events {
			if state := store.row(e.ID).state; state != postback.StateDelivered {
				t.Fatalf("event %d of the healthy merchant is %s", e.ID, state)
			}
		}
	})
}

// A backlog in the store is drained at the merchant's pace, not the sweep's.
func TestBacklogIsDrainedWithoutWaitingForTheSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutbox()
		start := time.Now()
		for i := range int64(3000) {
			store.put(event(i, "shop", start), start)
		}
		c := config(t, store, newShops(t, shop("shop", "https://shop.example/")), roundTrip(func(*http.Request) (*http.Response, error) { return ok() }))
		c.SweepEvery = time.Hour
		_, stop := run(t, c)
		defer stop()
		for range 3000 {
			if r := <-store.recorded; r.State != postback.StateDelivered {
				t.Fatalf("event %d is %s", r.EventID, r.State)
			}
		}
		if !time.Now().Equal(start) {
			t.Errorf("it took %s", time.Since(start))
		}
	})
}

// An event that waited too long in memory is not sent: by the time of its
// answer somebody else may have taken it up.
func TestLapsedEventsAreLeftToTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutbox()
		hangs := true
		attempts := map[string]int{}
		var mu sync.Mutex
		c := config(t, store, newShops(t, shop("shop", "https://shop.example/")), roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			attempts[r.Header.Get("webhook-id")]++
			if hangs {
				mu.Unlock()
				defer mu.Lock()
				return hang(r)
			}
			return ok()
		}))
		c.MerchantSlots, c.QueueLength = 1, 10
		w, stop := run(t, c)
		now := time.Now()
		var events []postback.Event
		for i := range int64(12) {
			e := event(i, "shop", now)
			store.put(e, now.Add(postback.Lease))
			events = append(events, e)
		}
		w.Offer(events[:1])
		synctest.Wait()
		w.Offer(events[1:])
		synctest.Wait()
		if full := testutil.ToFloat64(c.Metrics.Drops.WithLabelValues("full")); full != 1 {
			t.Errorf("%v dropped because the queue was full, want 1", full)
		}
		time.Sleep(15*time.Second + time.Nanosecond) // the first attempt timed out: too late for the others
		synctest.Wait()
		if lapsed := testutil.ToFloat64(c.Metrics.Drops.WithLabelValues("lapsed")); lapsed != 10 {
			t.Errorf("%v lapsed, want 10", lapsed)
		}
		mu.Lock()
		if len(attempts) != 1 {
			t.Errorf("%d events attempted, want 1", len(attempts))
		}
		hangs = false
		mu.Unlock()
		time.Sleep(time.Hour)
		stop()
		for _, e := range events {
			if r := store.row(e.ID); r.state != postback.StateDelivered {
				t.Errorf("event %d is %s", e.ID, r.state)
			}
		}
	})
}

func TestNoEndpointHoldsUntilThereIsOne(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*directory.Merchant){
		"no URL":      func(m *directory.Merchant) { m.PostbackURL = "" },
		"useless URL": func(m *directory.Merchant) { m.PostbackURL = "ftp://shop.example" },
		"retired":     func(m *directory.Merchant) { m.Retired = true },
		"no key":      func(m *directory.Merchant) { m.Secrets.PrivateKey = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := shop("shop", "https://shop.example/")
				spoil(m)
				dir := newShops(t, m)
				store := newOutbox()
				var attempts atomic.Int64
				c := config(t, store, dir, roundTrip(func(*http.Request) (*http.Response, error) { attempts.Add(1); return ok() }))
				w, stop := run(t, c)
				now := time.Now()
				offered, swept := event(1, "shop", now), event(2, "shop", now)
				store.put(offered, now.Add(postback.Lease))
				store.put(swept, now)
				w.Offer([]postback.Event{offered})
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				// When it is offered, at the first sweep, which may come after that,
				// and once a minute.
				for _, id := range []int64{1, 2} {
					if r := store.row(id); r.state != postback.StateHeld || r.attempts != 0 || len(r.results) > 12 {
						t.Errorf("event %d is %s with %d attempts and %d writes", id, r.state, r.attempts, len(r.results))
					}
				}
				dir.replace(t, shop("shop", "https://shop.example/"))
				time.Sleep(2 * time.Second)
				stop()
				for _, id := range []int64{1, 2} {
					if r := store.row(id); r.state != postback.StateDelivered || r.attempts != 1 {
						t.Errorf("event %d is %s with %d attempts", id, r.state, r.attempts)
					}
				}
				if attempts.Load() != 2 {
					t.Errorf("%d attempts", attempts.Load())
				}
			})
		})
	}
}

// Faults of this side cost the merchant nothing.
func TestOwnFaultsAreNoAttempts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		broken, whole *changingRates
		known         bool
	}{
		"rates can't be read": {broken: &changingRates{err: errAway}, known: true},
		"rates are missing":   {broken: &changingRates{}, known: true}, // a nil set: the attempt panics
		"merchant not loaded": {broken: &changingRates{set: bundled(t).set}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dir := newShops(t)
				if tt.known {
					dir.replace(t, shop("shop", "https://shop.example/"))
				}
				store := newOutbox()
				var attempts atomic.Int64
				c := config(t, store, dir, roundTrip(func(*http.Request) (*http.Response, error) { attempts.Add(1); return ok() }))
				c.Rates = tt.broken
				w, stop := run(t, c)
				e := event(1, "shop", time.Now())
				store.put(e, e.ActivatedAt.Add(postback.Lease))
				w.Offer([]postback.Event{e})
				time.Sleep(5*time.Minute + time.Second)
				synctest.Wait()
				if r := store.row(1); r.state != postback.StateDue || r.attempts != 0 || r.body != nil || attempts.Load() != 0 || len(r.results) == 0 {
					t.Errorf("the event is %s after %d attempts and %d writes", r.state, r.attempts, len(r.results))
				}
				tt.broken.change(bundled(t).set)
				dir.replace(t, shop("shop", "https://shop.example/"))
				time.Sleep(3 * time.Minute)
				stop()
				if r := store.row(1); r.state != postback.StateDelivered || r.attempts != 1 {
					t.Errorf("the event is %s after %d attempts", r.state, r.attempts)
				}
			})
		})
	}
}

// A gateway that stops gives back what it has not finished; the next one sends
// the same bytes.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := newShops(t, shop("shop", "https://shop.example/"))
		store := newOutbox()
		var mu sync.Mutex
		hangs, bodies := true, map[string][]string{}
		c := config(t, store, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			id := r.Header.Get("webhook-id")
			bodies[id] = append(bodies[id], string(read(t, r)))
			if hangs {
				mu.Unlock()
				defer mu.Lock()
				return hang(r)
			}
			return ok()
		}))
		w, stop := run(t, c)
		now := time.Now()
		var events []postback.Event
		for i := range int64(20) {
			e := event(i, "shop", now)
			store.put(e, now.Add(postback.Lease))
			events = append(events, e)
		}
		w.Offer(events)
		synctest.Wait()
		stop()
		if took := time.Since(now); took != 5*time.Second {
			t.Errorf("stopping took %s, want the grace", took)
		}
		for _, e := range events {
			if r := store.row(e.ID); r.state != postback.StateDue || r.attempts != 0 || r.nextAt.After(time.Now()) {
				t.Errorf("event %d: %s, %d attempts, next at %s", e.ID, r.state, r.attempts, r.nextAt)
			}
		}
		w.Offer(events) // by a desk that stops later: not taken, not a block

		mu.Lock()
		hangs = false
		mu.Unlock()
		other := shop("shop", "https://shop.example/")
		other.Secrets.PrivateKey = "PK2"
		dir.replace(t, other)
		again := time.Now()
		_, stop = run(t, c)
		synctest.Wait()
		stop()
		if !time.Now().Equal(again) {
			t.Error("the next gateway waited")
		}
		for _, e := range events {
			if r := store.row(e.ID); r.state != postback.StateDelivered || r.attempts != 1 {
				t.Errorf("event %d: %s, %d attempts", e.ID, r.state, r.attempts)
			}
			sent := bodies[e.MessageID()]
			if e.ID < 1 && len(sent) != 2 || e.ID >= 1 && len(sent) != 1 || sent[0] != sent[len(sent)-1] {
				t.Errorf("event %d was sent %d times", e.ID, len(sent))
			}
		}
	})
}

// A gateway that dies without a word loses nothing: its leases run out.
func TestCrashInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := newShops(t, shop("shop", "https://shop.example/"))
		store := newOutbox()
		now := time.Now()
		store.put(event(1, "shop", now), now)
		jobs, err := store.Lease(t.Context(), []postback.Want{{Merchant: "shop", Limit: 10}}, now, now.Add(postback.Lease))
		if err != nil || len(jobs) != 1 {
			t.Fatal(jobs, err)
		}
		store.blind = 3 // and the store is away for a moment
		_, stop := run(t, config(t, store, dir, roundTrip(func(*http.Request) (*http.Response, error) { return ok() })))
		time.Sleep(postback.Lease - time.Nanosecond)
		synctest.Wait()
		if state := store.row(1).state; state != postback.StateDue {
			t.Errorf("within the lease of another the event is %s", state)
		}
		time.Sleep(time.Second)
		stop()
		if state := store.row(1).state; state != postback.StateDelivered {
			t.Errorf("after the lease of another the event is %s", state)
		}
	})
}

// While the store fails, results wait; nothing is sent twice for it.
func TestRecordingOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutbox()
		store.failing = 6
		var attempts atomic.Int64
		w, stop := run(t, config(t, store, newShops(t, shop("shop", "https://shop.example/")), roundTrip(func(*http.Request) (*http.Response, error) {
			attempts.Add(1)
			return ok()
		})))
		defer stop()
		e := event(1, "shop", time.Now())
		store.put(e, e.ActivatedAt.Add(postback.Lease))
		w.Offer([]postback.Event{e})
		if r := <-store.recorded; r.State != postback.StateDelivered || attempts.Load() != 1 {
			t.Errorf("the event is %s after %d attempts", r.State, attempts.Load())
		}
	})
}

// When a result can't be recorded at all, the event is sent again: once too
// often, never once too few.
func TestUnrecordedEventsAreSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutbox()
		store.failing = 1 << 30
		var attempts atomic.Int64
		c := config(t, store, newShops(t, shop("shop", "https://shop.example/")), roundTrip(func(*http.Request) (*http.Response, error) {
			attempts.Add(1)
			return ok()
		}))
		w, stop := run(t, c)
		e := event(1, "shop", time.Now())
		store.put(e, e.ActivatedAt.Add(postback.Lease))
		w.Offer([]postback.Event{e})
		synctest.Wait()
		before := time.Now()
		stop() // does not wait for the store for ever
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("stopping took %s", took)
		}
		store.failing = 0
		_, stop = run(t, c)
		defer stop()
		if r := <-store.recorded; r.State != postback.StateDelivered || attempts.Load() != 2 {
			t.Errorf("the event is %s after %d attempts", r.State, attempts.Load())
		}
	})
}

// outcome is what a merchant does with one attempt.
type outcome int

const (
	accepts outcome = iota
	refuses
	declines
	breaks
	hangs
)

func (o outcome) answer(r *http.Request) (*http.Response, error) {
	switch o {
	case accepts:
		return ok()
	case refuses:
		return answer(http.StatusBadGateway, `{"status":"ok"}`), nil
	case declines:
		return answer(http.StatusOK, `{"status":"fail"}`), nil
	case breaks:
		return nil, io.ErrUnexpectedEOF
	default:
		return hang(r)
	}
}

// Whatever merchants do, with several gateways on one store, some of them
// stopped on the way: every event is delivered or visibly dead, never sent
// twice at a time, never more often than the schedule has it, always with the
// same bytes, and never again once it was accepted.
func TestEveryEventComesToItsEnd(t *testing.T) {
	t.Parallel()
	set := bundled(t)
	rapid.Check(t, func(rt *rapid.T) {
		plans := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]outcome{refuses, declines, breaks, hangs}), 0, 12), 1, 30).Draw(rt, "plans")
		offered := rapid.SliceOfN(rapid.Bool(), len(plans), len(plans)).Draw(rt, "offered")
		restartAfter := time.Duration(rapid.IntRange(0, 200).Draw(rt, "restart")) * time.Second
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
			flying, made, bodies := map[string]bool{}, map[string]int{}, map[string][]byte{}
			transport := roundTrip(func(r *http.Request) (*http.Response, error) {
				id, body := r.Header.Get("webhook-id"), read(t, r)
				mu.Lock()
				if flying[id] {
					fault("%s is sent twice at a time", id)
				}
				if bodies[id] != nil && !bytes.Equal(bodies[id], body) {
					fault("%s has another body", id)
				}
				var index int
				if _, err := fmt.Sscanf(id, "deposit_%d", &index); err != nil {
					fault("%s: %v", id, err)
				}
				plan := slices.Concat(plans[index], []outcome{accepts})
				n := made[id]
				flying[id], bodies[id] = true, body
				made[id]++
				mu.Unlock()
				defer func() { mu.Lock(); flying[id] = false; mu.Unlock() }()
				if n >= len(plan) {
					fault("%s is sent again after it was accepted", id)
					return ok()
				}
				return plan[n].answer(r)
			})
			dir := newShops(t, shop("a", "https://a.example"), shop("b", "https://b.example"), shop("c", "https://c.example"))
			store := newOutbox()
			start := func() (*postback.Worker, func()) {
				c := config(t, store, dir, transport)
				c.Rates, c.Schedule.First, c.SweepEvery = set, 50*time.Millisecond, time.Second
				c.MerchantSlots, c.Grace = 2, 20*time.Second // attempts are never cut: the plan counts them
				return run(t, c)
			}
			w, stop := start()
			_, stopOther := start()
			for i := range plans {
				e := event(int64(i), []string{"a", "b", "c"}[i%3], time.Now())
				if offered[i] {
					store.put(e, e.ActivatedAt.Add(postback.Lease))
					w.Offer([]postback.Event{e})
				} else {
					store.put(e, e.ActivatedAt)
				}
			}
			time.Sleep(restartAfter)
			stop()
			_, stop = start()
			time.Sleep(time.Hour) // the schedule is 46 minutes long, and hanging takes its time
			stop()
			stopOther()
			for i, plan := range plans {
				r := store.row(int64(i))
				want, attempts := postback.StateDelivered, len(plan)+1
				if attempts > postback.MaxAttempts {
					want, attempts = postback.StateDead, postback.MaxAttempts
				}
				if r.state != want || r.attempts != attempts || made[r.MessageID()] != attempts {
					fault("event %d is %s after %d attempts, want %s after %d; %d were made", i, r.state, r.attempts, want, attempts, made[r.MessageID()])
				}
			}
		})
		if len(faults) > 0 {
			rt.Fatal(strings.Join(faults, "\n"))
		}
	})
}
