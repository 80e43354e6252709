package postback_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// server is a merchant's server that keeps what it was asked.
type server struct {
	mu     sync.Mutex
	says   roundTrip
	at     []time.Time
	url    []string
	events []string
	bodies map[string][]string // by event
	flying int
	most   int // attempts at once
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	id := r.Header.Get("webhook-id")
	var body []byte
	if r.Body != nil {
		body = make([]byte, r.ContentLength)
		if _, err := r.Body.Read(body); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.at, s.url, s.events = append(s.at, time.Now()), append(s.url, r.URL.String()), append(s.events, id)
	if s.bodies == nil {
		s.bodies = make(map[string][]string)
	}
	s.bodies[id] = append(s.bodies[id], string(body))
	s.flying++
	s.most = max(s.most, s.flying)
	says := s.says
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.flying--; s.mu.Unlock() }()
	return says(r)
}

// change gives the server another answer, and forgets how busy it was.
func (s *server) change(says roundTrip) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says, s.most = says, 0
}

func (s *server) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// status answers with a status and headers, given as name, value, ….
func status(code int, headers ...string) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		a := answer(code, "{}")
		for i := 0; i < len(headers); i += 2 {
			a.Header.Set(headers[i], headers[i+1])
		}
		return a, nil
	}
}

func confirm(*http.Request) (*http.Response, error) { return ok() }

// outage is a worker with one merchant, whose server is as it is told to be.
func outage(t *testing.T, sweep time.Duration, events int, says roundTrip) (s *server, o *outbox, dir *shops, stop func()) {
	t.Helper()
	s = &server{says: says}
	o, dir = newOutbox(), newShops(t, shop("shop", "https://shop.example/"))
	now := time.Now()
	for i := range int64(events) {
		o.put(event(i, "shop", now), now)
	}
	c := config(t, o, dir, s)
	c.SweepEvery = sweep
	_, stop = run(t, c)
	return s, o, dir, stop
}

func (o *outbox) mustAll(t *testing.T, state postback.State) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, r := range o.rows {
		if r.state != state {
			t.Fatalf("event %d is %s after %d attempts, want %s", id, r.state, r.attempts, state)
		}
	}
}

// An endpoint that fails is asked rarely, by one event at a time; what waits
// loses nothing by it, and goes out as soon as it answers.
func TestFailingEndpointIsProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const events = 1000
		s, o, _, stop := outage(t, time.Second, events, status(500))
		defer stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		if made := s.attempts(); made < 10 || made > 25 {
			t.Errorf("%d attempts within an hour of failing", made)
		}
		if s.most != 1 {
			t.Errorf("%d attempts at once", s.most)
		}
		if e := o.endpoint("shop"); e.State != postback.EndpointFailing || e.Why != "answered 500 instead of 200" || e.Target != postback.Target("https://shop.example/") {
			t.Errorf("the endpoint is %+v", e)
		}
		s.change(confirm)
		time.Sleep(5*time.Minute + postback.Lease + 2*time.Second)
		synctest.Wait()
		if s.most > 8 {
			t.Errorf("%d attempts at once", s.most)
		}
		// All but those that were tried, whose own time has not come.
		left := 0
		for i := range int64(events) {
			if r := o.row(i); r.state != postback.StateDelivered {
				left++
				if r.state != postback.StateDue || r.attempts == 0 {
					t.Errorf("event %d is %s after %d attempts", i, r.state, r.attempts)
				}
			}
		}
		if left > 20 {
			t.Errorf("%d events are not delivered", left)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		o.mustAll(t, postback.StateDelivered)
		if e := o.endpoint("shop"); e.State != "" {
			t.Errorf("the endpoint is %+v", e)
		}
	})
}

// What a server asks for is given it, within bounds.
func TestServersMayAskForAPause(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says func(start time.Time) roundTrip
		want time.Duration // to the second attempt, of whatever event
	}{
		"seconds": {func(time.Time) roundTrip { return status(429, "Retry-After", "120") }, 120 * time.Second},
		"a date": {func(start time.Time) roundTrip {
			return status(503, "Retry-After", start.Add(10*time.Minute).UTC().Format(http.TimeFormat))
		}, 10 * time.Minute},
		"too long": {func(time.Time) roundTrip {
			return status(429, "Retry-After", "4000000000")
		}, time.Hour},
		"longer than all": {func(time.Time) roundTrip {
			return status(429, "Retry-After", "99999999999999")
		}, 5 * time.Second},
		"no number":      {func(time.Time) roundTrip { return status(429, "Retry-After", "-5") }, 5 * time.Second},
		"overloaded":     {func(time.Time) roundTrip { return status(502) }, 5 * time.Second},
		"gateway":        {func(time.Time) roundTrip { return status(504) }, 5 * time.Second},
		"not for errors": {func(time.Time) roundTrip { return status(500, "Retry-After", "120") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, o, _, stop := outage(t, time.Second, 20, tt.says(time.Now()))
				defer stop()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				gap := s.at[1].Sub(s.at[0])
				if gap < tt.want || gap > tt.want+2*time.Second {
					t.Errorf("the second attempt came after %s, want %s", gap, tt.want)
				}
				s.change(confirm)
				time.Sleep(12 * time.Hour)
				synctest.Wait()
				o.mustAll(t, postback.StateDelivered)
			})
		})
	}
}

// An endpoint that says it is gone is left alone; its events are held.
func TestGoneEndpointIsDisabled(t *testing.T) {
	t.Parallel()
	for name, revive := range map[string]func(t *testing.T, o *outbox, dir *shops){
		"enabled": func(t *testing.T, o *outbox, _ *shops) {
			t.Helper()
			e := postback.Endpoint{Merchant: "shop", Target: postback.Target("https://shop.example/"), State: postback.EndpointOpen}
			if done, err := o.SetEndpoint(t.Context(), e, []postback.EndpointState{postback.EndpointDisabled}, nil); err != nil || !done {
				t.Error(done, err)
			}
		},
		"moved": func(t *testing.T, _ *outbox, dir *shops) {
			t.Helper()
			dir.replace(t, shop("shop", "https://moved.example/"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, o, dir, stop := outage(t, time.Second, 100, status(http.StatusGone))
				defer stop()
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if s.attempts() != 1 {
					t.Errorf("%d attempts", s.attempts())
				}
				o.mustAll(t, postback.StateHeld)
				e := o.endpoint("shop")
				if e.State != postback.EndpointDisabled || len(o.audit) != 1 || o.audit[0].Action != "endpoint.disabled" {
					t.Errorf("the endpoint is %+v, audit %+v", e, o.audit)
				}
				s.change(confirm)
				revive(t, o, dir)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				o.mustAll(t, postback.StateDelivered)
				if name == "moved" && slices.Contains(s.url[1:], "https://shop.example/") {
					t.Error("the old URL was asked again")
				}
			})
		})
	}
}

// After five days of nothing but failures the operator has to look.
func TestEndpointIsDisabledAfterFiveDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o, _, stop := outage(t, time.Minute, 5, status(500))
		defer stop()
		start := time.Now()
		for i := int64(5); time.Since(start) < 6*24*time.Hour; i++ {
			o.put(event(i, "shop", time.Now()), time.Now())
			time.Sleep(6 * time.Hour)
		}
		synctest.Wait()
		e := o.endpoint("shop")
		if e.State != postback.EndpointDisabled || e.Why != "it failed for 5 days: answered 500 instead of 200" {
			t.Fatalf("the endpoint is %+v", e)
		}
		if since := e.Since.Sub(start); since < 5*24*time.Hour || since > 5*24*time.Hour+12*time.Hour {
			t.Errorf("disabled after %s", since)
		}
		made := s.attempts()
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if s.attempts() != made {
			t.Error("it is sent to still")
		}
		held := 0
		for i := range o.rows {
			if r := o.row(i); r.state == postback.StateHeld {
				held++
			} else if r.state != postback.StateDead {
				t.Errorf("event %d is %s", i, r.state)
			}
		}
		if held == 0 {
			t.Error("no event waits for the operator")
		}
	})
}

// One success within the five days and it counts from anew.
func TestSuccessForgivesFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o, _, stop := outage(t, time.Minute, 6, status(500))
		defer stop()
		for day := range int64(12) {
			time.Sleep(24 * time.Hour)
			says := status(500)
			if day%3 == 2 {
				says = confirm
			}
			s.change(says)
			for i := range int64(6) {
				o.put(event(100+10*day+i, "shop", time.Now()), time.Now())
			}
		}
		synctest.Wait()
		if e := o.endpoint("shop"); e.State == postback.EndpointDisabled {
			t.Errorf("the endpoint is %+v", e)
		}
	})
}

func TestPausedEndpointHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{says: confirm}
		o, dir := newOutbox(), newShops(t, shop("shop", "https://shop.example/"))
		o.endpoints["shop"] = postback.Endpoint{Merchant: "shop", State: postback.EndpointPaused}
		w, stop := run(t, config(t, o, dir, s))
		defer stop()
		e := event(1, "shop", time.Now())
		o.put(e, e.ActivatedAt.Add(postback.Lease))
		w.Offer([]postback.Event{e})
		o.put(event(2, "shop", time.Now()), time.Now())
		time.Sleep(time.Hour)
		dir.replace(t, shop("shop", "https://moved.example/")) // is paused, too
		time.Sleep(time.Hour)
		synctest.Wait()
		o.mustAll(t, postback.StateHeld)
		if s.attempts() != 0 {
			t.Errorf("%d attempts", s.attempts())
		}
		o.mu.Lock()
		delete(o.endpoints, "shop")
		o.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		o.mustAll(t, postback.StateDelivered)
	})
}

// A refusal for safety is final; another URL is another matter. The bytes stay.
func TestRefusedTargetIsDeadUntilReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, o, dir, stop := outage(t, time.Second, 3, func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("dial: %w: 10.0.0.1", postback.ErrRefused)
		})
		defer stop()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		o.mustAll(t, postback.StateDead)
		if s.attempts() != 3 {
			t.Errorf("%d attempts at 3 events", s.attempts())
		}
		if r := o.row(1); r.refused != postback.Target("https://shop.example/") || r.results[0].Attempt.Error != "dial: refused for safety: 10.0.0.1" {
			t.Errorf("%+v", r)
		}
		s.change(confirm)
		changed := shop("shop", "https://shop.example/") // the same URL
		changed.Timezone = "UTC"
		dir.replace(t, changed)
		time.Sleep(time.Hour)
		synctest.Wait()
		o.mustAll(t, postback.StateDead)
		dir.replace(t, shop("shop", "https://moved.example/"))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		o.mustAll(t, postback.StateDelivered)
		for id, bodies := range s.bodies {
			if len(bodies) != 2 || bodies[0] != bodies[1] || bodies[0] == "" {
				t.Errorf("%s was sent as %q", id, bodies)
			}
		}
	})
}

// A merchant's own schedule takes the installation's place.
func TestMerchantsOwnSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{says: status(500)}
		m := shop("shop", "https://shop.example/")
		m.PostbackWaits = []time.Duration{10 * time.Second, time.Minute, 2 * time.Hour}
		o, dir := newOutbox(), newShops(t, m)
		start := time.Now()
		o.put(event(1, "shop", start), start)
		_, stop := run(t, config(t, o, dir, s))
		defer stop()
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		o.mustAll(t, postback.StateDead)
		var waits []time.Duration
		for i, at := range s.at[1:] {
			waits = append(waits, at.Sub(s.at[i]))
		}
		if !slices.Equal(waits, m.PostbackWaits) {
			t.Errorf("waited %v", waits)
		}
	})
}

// Every attempt is told to the store with the beginning of its answer.
func TestAttemptsKeepTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := make([]byte, 3000)
		for i := range long {
			long[i] = 'x'
		}
		s, o, _, stop := outage(t, time.Second, 1, func(*http.Request) (*http.Response, error) { return answer(500, string(long)), nil })
		defer stop()
		if a := (<-o.recorded).Attempt; string(a.Answer) != string(long[:2048]) {
			t.Errorf("kept %d bytes", len(a.Answer))
		}
		s.change(confirm)
		if a := (<-o.recorded).Attempt; string(a.Answer) != `{"status":"ok"}` || a.Number != 2 {
			t.Errorf("kept %+v", a)
		}
	})
}

// Ten thousand postbacks wait for a thousand merchants, of which a hundred hang
// and a hundred fail: the others get theirs in turn, and without the clock
// moving at all.
func TestThousandMerchants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const merchants, each, bad = 1000, 10, 200
		var list []*directory.Merchant
		for i := range merchants {
			list = append(list, shop("m"+strconv.Itoa(i), fmt.Sprintf("https://m%d.example/%d", i, i)))
		}
		kind := func(url string) (i int, hangs, fails bool) {
			if _, err := fmt.Sscanf(url[len("https://m"):], "%d", &i); err != nil {
				t.Error(err)
			}
			return i, i < bad && i%2 == 0, i < bad && i%2 == 1
		}
		s := &server{says: func(r *http.Request) (*http.Response, error) {
			switch _, hangs, fails := kind(r.URL.String()); {
			case hangs:
				return hang(r)
			case fails:
				return answer(500, ""), nil
			}
			return ok()
		}}
		o, dir := newOutbox(), newShops(t, list...)
		w := postback.NewWorker(config(t, o, dir, s))
		start := time.Now()
		var events []postback.Event
		for i := range int64(merchants * each) {
			e := event(i, list[i%merchants].ID, start)
			o.put(e, start.Add(postback.Lease))
			events = append(events, e)
		}
		w.Offer(events)
		stop := goOn(t, w)
		defer stop()
		synctest.Wait()
		if !time.Now().Equal(start) {
			t.Fatal("the clock moved")
		}
		for i := range int64(merchants * each) {
			if m := i % merchants; m >= bad && o.row(i).state != postback.StateDelivered {
				t.Fatalf("event %d of merchant %d is %s", i, m, o.row(i).state)
			}
		}
	})
}

// Even where more merchants hang than there are places, the others wait for no
// more than it takes to find out.
func TestMoreHangThanThereArePlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const hangers, healthy = 1000, 200
		var list []*directory.Merchant
		for i := range hangers {
			list = append(list, shop(fmt.Sprintf("a%04d", i), "https://hangs.example/"))
		}
		for i := range healthy {
			list = append(list, shop(fmt.Sprintf("b%04d", i), "https://answers.example/"))
		}
		s := &server{says: func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "hangs.example" {
				return hang(r)
			}
			return ok()
		}}
		o, dir := newOutbox(), newShops(t, list...)
		start := time.Now()
		for i, m := range list {
			for j := range int64(5) {
				o.put(event(int64(i)*10+j, m.ID, start), start)
			}
		}
		_, stop := run(t, config(t, o, dir, s))
		defer stop()
		time.Sleep(6 * time.Second) // 1000 merchants in places for 256, a second each, and the sweeps between
		synctest.Wait()
		for i := hangers; i < len(list); i++ {
			for j := range int64(5) {
				if r := o.row(int64(i)*10 + j); r.state != postback.StateDelivered {
					t.Fatalf("event %d of merchant %d is %s", j, i, r.state)
				}
			}
		}
	})
}
