package month

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// courier has the real worker deliver postbacks while the month's clock stands
// still: the desk answers nobody before its events are delivered.
//
// The worker looks for what is due at its own pace, which knows nothing of the
// month's clock. The courier stands between it and the store, and shows it due
// events only when the month asks for a round; so the same month has the same
// attempts.
type courier struct {
	postback.Archive
	worker *postback.Worker
	ill    func(merchant string) bool // its endpoint does not answer now

	mu      sync.Mutex
	moved   chan struct{} // told of every change below
	asked   chan struct{} // told of a round
	looked  bool          // the worker has begun
	pending int           // events that the worker has and did not record yet
	rounds  bool          // due events are shown
	began   bool          // a look for due events is under way …
	leased  int           // … and took so many
	calm    bool          // nothing was pending at the look before, either
	rest    bool          // a look found nothing
	stuck   error         // why events that were offered did not arrive
}

// patience bounds the wait for what is delivered in memory.
const patience = 30 * time.Second

// Offer hands events to the worker and, unlike another outbox, waits for it.
// Those of merchants out of reach stay with the store, as they do after a restart,
// for the next round.
func (c *courier) Offer(events []postback.Event) {
	var reach []postback.Event
	for _, e := range events {
		if !c.ill(e.Merchant) {
			reach = append(reach, e)
		}
	}
	if len(reach) == 0 {
		return
	}
	c.change(func() { c.pending += len(reach) })
	c.worker.Offer(reach)
	if err := c.await(context.Background(), func() bool { return c.pending == 0 }); err != nil {
		c.change(func() { c.stuck = errors.Join(c.stuck, err) })
	}
}

// Endpoints is what the worker reads before it looks for what is due. It waits
// there for a round to be asked for, and costs nothing meanwhile.
func (c *courier) Endpoints(ctx context.Context) ([]postback.Endpoint, error) {
	c.mu.Lock()
	first, rounds := !c.looked, c.rounds
	c.looked = true
	c.mu.Unlock()
	if !first && !rounds {
		select {
		case <-c.asked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return c.Archive.Endpoints(ctx)
}

// DueMerchants shows who has due events while a round is on and nothing is under
// way: the worker drops what waits behind an endpoint's fifth failure.
func (c *courier) DueMerchants(ctx context.Context, now time.Time, after string, limit int) ([]string, error) {
	shown := false
	c.change(func() {
		switch {
		case !c.rounds || c.rest:
		case after != "": // the next page of a look
			shown = c.began
		case c.pending > 0:
			c.calm = false
		case !c.calm: // the worker may just draw its conclusions
			c.calm = true
		case c.began && c.leased == 0:
			c.rest = true
		default:
			shown, c.began, c.leased = true, true, 0
		}
	})
	if !shown {
		return nil, nil
	}
	return c.Archive.DueMerchants(ctx, now, after, limit)
}

// Lease takes one event of a merchant at a time: none is leased in vain when the
// endpoint fails.
func (c *courier) Lease(ctx context.Context, wants []postback.Want, now, until time.Time) ([]postback.Job, error) {
	for i := range wants {
		wants[i].Limit = 1
	}
	jobs, err := c.Archive.Lease(ctx, wants, now, until)
	c.change(func() {
		c.leased += len(jobs)
		c.pending += len(jobs)
	})
	return jobs, err
}

// Record writes results, and counts them.
func (c *courier) Record(ctx context.Context, results []postback.Result) error {
	err := c.Archive.Record(ctx, results)
	if err == nil {
		c.change(func() { c.pending -= len(results) })
	}
	return err
}

func (c *courier) change(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// round has everything sent again that is due by now.
func (c *courier) round(ctx context.Context) error {
	c.change(func() { c.rounds, c.began, c.calm, c.rest = true, false, false, false })
	defer c.change(func() { c.rounds = false })
	select {
	case c.asked <- struct{}{}:
	default: // it is told already
	}
	return errors.Join(c.await(ctx, func() bool { return c.rest && c.pending == 0 }), c.failure())
}

// failure is why events did not arrive in time; nil where all did.
func (c *courier) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stuck
}

func (c *courier) await(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c.mu.Lock()
		over := done()
		c.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-c.moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for postbacks: %w", ctx.Err())
		}
	}
}

// Outage is a time during which a merchant's server does not take postbacks.
type Outage struct{ From, To time.Time }

// Receiver is the merchants' servers: each verifies its postbacks, as a merchant
// should, and takes them.
type Receiver struct {
	mux     *http.ServeMux
	proofs  map[string]*proof
	outages map[string]Outage
	now     func() time.Time
	log     *slog.Logger
}

// NewReceiver makes the servers of a directory's merchants, whose postbacks go to
// /merchants/ID/postback.
func NewReceiver(dir *directory.Snapshot, outages map[string]Outage, now func() time.Time, log *slog.Logger) (*Receiver, error) {
	r := &Receiver{mux: http.NewServeMux(), proofs: make(map[string]*proof), outages: outages, now: now, log: log}
	for _, m := range dir.Merchants {
		p, err := newProof(m)
		if err != nil {
			return nil, err
		}
		r.proofs[m.ID] = p
	}
	r.mux.HandleFunc("POST /merchants/{merchant}/postback", r.take)
	return r, nil
}

// ServeHTTP takes a postback.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

// down reports whether a merchant's server is out of order now.
func (r *Receiver) down(merchant string) bool {
	o, ok := r.outages[merchant]
	now := r.now()
	return ok && !now.Before(o.From) && now.Before(o.To)
}

func (r *Receiver) take(w http.ResponseWriter, req *http.Request) {
	id := req.PathValue("merchant")
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxPostback))
	proof := r.proofs[id]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case proof == nil || err != nil:
		w.WriteHeader(http.StatusNotFound)
	case r.down(id):
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"fail","message":"database is read-only"}`)
	case proof.verify(req.Header, body, r.now()) != nil:
		r.log.WarnContext(req.Context(), "a sample merchant refused a postback", "merchant", id)
		w.WriteHeader(http.StatusForbidden)
	case proof.stumbles():
		w.WriteHeader(http.StatusInternalServerError) // which asks for no pause, as 503 does
	default:
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}
}

const maxPostback = 1 << 20 // bytes

// wire carries requests to a handler without a network, and lets the time pass
// that an answer takes.
type wire struct {
	to    http.Handler
	clock *clock
}

// RoundTrip implements [http.RoundTripper].
func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		return nil, errors.New("a request without a body")
	}
	defer req.Body.Close()
	a := &answer{header: make(http.Header), status: http.StatusOK}
	w.to.ServeHTTP(a, req)
	w.clock.pass(time.Duration(45+len(req.URL.Path)*3+int(req.ContentLength%160)) * time.Millisecond)
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: req,
	}, nil
}

// answer is what a handler wrote.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter], as do the two below.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader keeps the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write keeps the body.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
