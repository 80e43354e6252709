package postback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/trace"
	"github.com/milaan/milaan/internal/webhook"
)

// Defaults of a worker.
const (
	defaultSlots      = 256
	defaultSlowSlots  = 256
	defaultLaneSlots  = 8
	defaultQueue      = 512
	defaultSweepEvery = time.Second
	fastestSweep      = 50 * time.Millisecond
	defaultGrace      = 5 * time.Second
)

const (
	leaseBatch    = 256              // jobs leased for a merchant in one go
	merchantPage  = 256              // merchants listed in one go
	wantBatch     = 64               // merchants whose events are leased in one commit
	refusedEvery  = time.Minute      // between looks for refused targets that were replaced
	marksWait     = 256              // news of endpoints that may wait to be stored
	recordBatch   = 256              // results that share a commit
	resultsWait   = 1024             // results that may wait for it
	recordTimeout = 10 * time.Second // for one commit
	recordTries   = time.Minute      // in all, while the store fails
	holdEvery     = time.Minute      // between looks at the events of a merchant out of reach
)

// Config is what a worker works with.
type Config struct {
	Store     Store
	Directory *directory.Cache
	Rates     RateSource
	// Transport carries the requests; see [NewTransport]. Redirects are never
	// followed.
	Transport http.RoundTripper
	Schedule  Schedule
	Now       func() time.Time
	Tracer    *trace.Tracer // nil where nothing is traced
	Metrics   *Metrics
	Log       *slog.Logger

	// What follows has a default where it is 0.

	Slots         int           // attempts in flight at once, of merchants that answer quickly: 256
	SlowSlots     int           // and of those that do not: 256
	MerchantSlots int           // and for one merchant: 8
	QueueLength   int           // offered events that may wait for one merchant: 512
	SweepEvery    time.Duration // between looks for due events: 1 s, less where repeats come sooner
	Grace         time.Duration // for attempts in flight when the worker stops: 5 s
}

// Worker delivers the events of the outbox. Several, on any number of
// machines, may work on one store.
type Worker struct {
	Config
	clients   *clients
	rates     rateCache
	lanes     lanes
	standings standings
	results   chan Result
	marks     chan Endpoint
	hungry    chan struct{}
	flying    sync.WaitGroup

	// Of the sweep alone: when, and at which version of the directory, refused
	// targets were last looked at.
	refusedAt      time.Time
	refusedVersion int64
}

// NewWorker makes a worker; it sends nothing until Run.
func NewWorker(c Config) *Worker {
	setDefault(&c.Slots, defaultSlots)
	setDefault(&c.SlowSlots, defaultSlowSlots)
	setDefault(&c.MerchantSlots, defaultLaneSlots)
	setDefault(&c.QueueLength, defaultQueue)
	setDefault(&c.SweepEvery, max(fastestSweep, min(defaultSweepEvery, c.Schedule.first()/2)))
	setDefault(&c.Grace, defaultGrace)
	w := &Worker{
		Config:    c,
		clients:   newClients(c.Transport),
		rates:     rateCache{source: c.Rates, sets: make(map[int64]*fx.Rates)},
		standings: standings{byMerchant: make(map[string]Endpoint)},
		results:   make(chan Result, resultsWait),
		marks:     make(chan Endpoint, marksWait),
		hungry:    make(chan struct{}, 1),
	}
	w.lanes = lanes{
		slots: c.Slots, slowSlots: c.SlowSlots, laneSlots: c.MerchantSlots,
		length: c.QueueLength, batch: min(leaseBatch, c.QueueLength), probeWait: c.Schedule.first(),
		now: w.now, metrics: c.Metrics, byID: make(map[string]*lane),
		hungry: func() {
			select {
			case w.hungry <- struct{}{}:
			default:
			}
		},
	}
	return w
}

func setDefault[T int | time.Duration](setting *T, value T) {
	if *setting <= 0 {
		*setting = value
	}
}

// now is the time as the engines keep it, so that a lease read back compares
// equal.
func (w *Worker) now() time.Time { return w.Now().UTC().Truncate(time.Microsecond) }

// Offer takes events that this gateway just committed, each leased to it until
// a Lease after its activation. It never blocks: events of a merchant whose
// queue is full are dropped, and become due again in the store.
func (w *Worker) Offer(events []Event) {
	jobs := make([]*Job, len(events))
	for i, e := range events {
		jobs[i] = &Job{Event: e, LeasedUntil: e.ActivatedAt.Add(Lease)}
	}
	w.lanes.add(jobs)
}

// Run delivers until ctx ends, then lets attempts in flight finish within the
// grace, gives back what was not attempted and returns when nothing runs any
// more. A worker runs once. What happens to single events is no error of Run.
func (w *Worker) Run(ctx context.Context) error {
	attempts, cutAttempts := context.WithCancel(context.WithoutCancel(ctx))
	defer cutAttempts()
	records, cutRecords := context.WithCancel(context.WithoutCancel(ctx))
	defer cutRecords()

	var recorder sync.WaitGroup
	recorder.Go(func() { w.record(records) })
	recorder.Go(func() { w.mark(records) })
	w.look(ctx) // before anything is sent to an endpoint that is paused
	w.lanes.begin = func(f *flight, job *Job) { w.flying.Go(func() { w.attempt(attempts, f, job) }) }
	w.lanes.start()
	w.sweepUntil(ctx)

	waiting := w.lanes.stop()
	defer time.AfterFunc(w.Grace, cutAttempts).Stop()
	defer time.AfterFunc(2*w.Grace, cutRecords).Stop()
	for _, job := range waiting {
		w.results <- w.putOff(Result{EventID: job.ID, Merchant: job.Merchant, LeasedUntil: job.LeasedUntil}, 0)
	}
	w.flying.Wait()
	close(w.results)
	close(w.marks)
	recorder.Wait()
	return nil
}

// attempt works on one job in its own goroutine.
func (w *Worker) attempt(ctx context.Context, f *flight, job *Job) {
	w.Metrics.InFlight.Inc()
	result, a := w.deliver(ctx, job)
	w.Metrics.InFlight.Dec()
	// While the store can't keep up, the attempt's place stays taken.
	w.results <- result
	failures := w.lanes.done(f, a.outcome)
	if !a.tried {
		return
	}
	if news, changed := w.standings.judge(&a, failures, w.now()); changed {
		w.standings.note(news)
		select {
		case w.marks <- news:
		default: // the next attempt finds the same
		}
	}
}

// mark stores what attempts found out about endpoints.
func (w *Worker) mark(ctx context.Context) {
	for e := range w.marks {
		over := []EndpointState{EndpointOpen}
		var entries []audit.Entry
		var told []webhook.Event
		switch e.State {
		case EndpointOpen:
			over = []EndpointState{EndpointFailing}
		case EndpointDisabled:
			over = []EndpointState{EndpointOpen, EndpointFailing}
			entries = []audit.Entry{{At: e.Since, Actor: "system", Action: "endpoint.disabled", Why: name(e.Merchant) + ": " + e.Why}}
			told = news(w.Directory.Current(), webhook.EndpointDisabled, e)
			w.Log.ErrorContext(ctx, "a merchant's endpoint is disabled; its postbacks are held", "merchant", e.Merchant, "why", e.Why)
		default:
			w.Log.WarnContext(ctx, "a merchant's endpoint fails; it is probed from now on", "merchant", e.Merchant, "why", e.Why)
		}
		storing, cancel := context.WithTimeout(ctx, recordTimeout)
		_, err := w.Store.SetEndpoint(storing, e, over, told, entries...)
		cancel()
		if err != nil {
			// Until the next look at the store, when the next attempt finds the same.
			w.Log.ErrorContext(ctx, "the state of an endpoint was not stored", "merchant", e.Merchant, "error", err)
		}
	}
}

// sweepUntil looks for due events at every interval, and whenever a merchant
// could take more, until ctx ends.
func (w *Worker) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(w.SweepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := w.sweep(ctx); err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "due postbacks can't be looked up; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-w.hungry:
		}
	}
}

// sweep leases due events for every merchant that has room in its queue.
func (w *Worker) sweep(ctx context.Context) error {
	w.lanes.wake()
	w.look(ctx)
	errs := []error{w.revive(ctx)}
	after := ""
	for {
		merchants, err := w.Store.DueMerchants(ctx, w.now(), after, merchantPage)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list merchants with due postbacks: %w", err))...)
		}
		for batch := range slices.Chunk(merchants, wantBatch) {
			// What ails some merchants' events must not hold up the next ones'.
			if err := w.lease(ctx, batch); err != nil {
				errs = append(errs, err)
			}
		}
		if len(merchants) < merchantPage {
			return errors.Join(errs...)
		}
		after = merchants[len(merchants)-1]
	}
}

// look reads where endpoints stand. While it fails, what was read last holds.
func (w *Worker) look(ctx context.Context) {
	list, err := w.Store.Endpoints(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "the states of endpoints can't be read; trying again", "error", err)
		}
		return
	}
	w.standings.replace(list)
}

// revive takes up again what died of a URL that was replaced since.
func (w *Worker) revive(ctx context.Context) error {
	dir, now := w.Directory.Current(), w.now()
	if dir.Version == w.refusedVersion && now.Sub(w.refusedAt) < refusedEvery {
		return nil
	}
	refusals, err := w.Store.Refused(ctx)
	if err != nil {
		return fmt.Errorf("look up refused targets: %w", err)
	}
	for _, r := range refusals {
		to := find(dir, r.Merchant)
		if to == nil || to.target == nil || Target(to.url) == r.Target {
			continue
		}
		if err := w.Store.Revive(ctx, r, now); err != nil {
			return fmt.Errorf("revive postbacks of merchant %s: %w", r.Merchant, err)
		}
		w.Log.InfoContext(ctx, "postbacks whose target was refused go to the merchant's new one", "merchant", r.Merchant)
	}
	w.refusedAt, w.refusedVersion = now, dir.Version
	return nil
}

func (w *Worker) lease(ctx context.Context, merchants []string) error {
	dir := w.Directory.Current()
	var wants []Want
	reachable := make(map[string]bool)
	for _, id := range merchants {
		address := ""
		if to := find(dir, id); w.open(to) {
			address, reachable[id] = to.url, true
		}
		if limit := w.lanes.appetite(id, address); limit > 0 {
			wants = append(wants, Want{id, limit})
		}
	}
	if len(wants) == 0 {
		return nil
	}
	now := w.now()
	leased, err := w.Store.Lease(ctx, wants, now, now.Add(Lease))
	if err != nil {
		return fmt.Errorf("lease postbacks: %w", err)
	}
	jobs := make([]*Job, len(leased))
	got := make(map[string]int)
	for i := range leased {
		jobs[i] = &leased[i]
		got[leased[i].Merchant]++
	}
	w.lanes.add(jobs)
	for _, want := range wants {
		if got[want.Merchant] == want.Limit && reachable[want.Merchant] {
			w.lanes.moreToCome(want.Merchant)
		}
	}
	return nil
}

// record writes results until there are no more: those that wait share a
// commit.
func (w *Worker) record(ctx context.Context) {
	batch := make([]Result, 0, recordBatch)
	for first := range w.results {
		batch = w.gather(append(batch[:0], first))
		backoff := retry.WithMaxDuration(recordTries, retry.WithCappedDuration(5*time.Second, retry.NewExponential(100*time.Millisecond)))
		err := retry.Do(ctx, backoff, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, recordTimeout)
			defer cancel()
			return retry.RetryableError(w.Store.Record(ctx, batch))
		})
		if err != nil {
			// Nothing is forgotten: their leases run out.
			w.Log.ErrorContext(ctx, "results of postbacks were not recorded: the events will be sent again",
				"results", len(batch), "error", err)
		}
	}
}

func (w *Worker) gather(batch []Result) []Result {
	for len(batch) < recordBatch {
		select {
		case r, more := <-w.results:
			if !more {
				return batch
			}
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}
