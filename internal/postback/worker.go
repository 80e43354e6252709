package postback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
)

// Defaults of a worker.
const (
	defaultSlots      = 256
	defaultLaneSlots  = 8
	defaultQueue      = 512
	defaultSweepEvery = time.Second
	fastestSweep      = 50 * time.Millisecond
	defaultGrace      = 5 * time.Second
)

const (
	leaseBatch    = 256              // jobs leased for a merchant in one go
	merchantPage  = 256              // merchants listed in one go
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
	Metrics   *Metrics
	Log       *slog.Logger

	// What follows has a default where it is 0.

	Slots         int           // attempts in flight at once: 256
	MerchantSlots int           // and for one merchant: 8
	QueueLength   int           // offered events that may wait for one merchant: 512
	SweepEvery    time.Duration // between looks for due events: 1 s, less where repeats come sooner
	Grace         time.Duration // for attempts in flight when the worker stops: 5 s
}

// Worker delivers the events of the outbox. Several, on any number of
// machines, may work on one store.
type Worker struct {
	Config
	client  *http.Client
	rates   rateCache
	lanes   lanes
	results chan Result
	hungry  chan struct{}
	flying  sync.WaitGroup
}

// NewWorker makes a worker; it sends nothing until Run.
func NewWorker(c Config) *Worker {
	setDefault(&c.Slots, defaultSlots)
	setDefault(&c.MerchantSlots, defaultLaneSlots)
	setDefault(&c.QueueLength, defaultQueue)
	setDefault(&c.SweepEvery, max(fastestSweep, min(defaultSweepEvery, c.Schedule.first()/2)))
	setDefault(&c.Grace, defaultGrace)
	w := &Worker{
		Config: c,
		client: &http.Client{
			Transport:     c.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		rates:   rateCache{source: c.Rates, sets: make(map[int64]*fx.Rates)},
		results: make(chan Result, resultsWait),
		hungry:  make(chan struct{}, 1),
	}
	w.lanes = lanes{
		slots: c.Slots, laneSlots: c.MerchantSlots, length: c.QueueLength, lowWater: min(leaseBatch, c.QueueLength) / 2,
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
	w.lanes.begin = func(lane *lane, job *Job) { w.flying.Go(func() { w.attempt(attempts, lane, job) }) }
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
	recorder.Wait()
	return nil
}

// attempt works on one job in its own goroutine.
func (w *Worker) attempt(ctx context.Context, lane *lane, job *Job) {
	w.Metrics.InFlight.Inc()
	result := w.deliver(ctx, job)
	w.Metrics.InFlight.Dec()
	// While the store can't keep up, the attempt's place stays taken.
	w.results <- result
	w.lanes.done(lane, result.Attempt.Latency)
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
	after := ""
	var errs []error
	for {
		merchants, err := w.Store.DueMerchants(ctx, w.now(), after, merchantPage)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list merchants with due postbacks: %w", err))...)
		}
		for _, merchant := range merchants {
			// What ails one merchant's events must not hold up the next one's.
			if err := w.lease(ctx, merchant); err != nil {
				errs = append(errs, err)
			}
		}
		if len(merchants) < merchantPage {
			return errors.Join(errs...)
		}
		after = merchants[len(merchants)-1]
	}
}

func (w *Worker) lease(ctx context.Context, merchant string) error {
	_, reachable := endpoint(w.Directory.Current().Merchant(merchant))
	limit := w.lanes.appetite(merchant, reachable)
	if limit <= 0 {
		return nil
	}
	now := w.now()
	leased, err := w.Store.Lease(ctx, merchant, now, now.Add(Lease), limit)
	if err != nil {
		return fmt.Errorf("lease postbacks of merchant %s: %w", merchant, err)
	}
	jobs := make([]*Job, len(leased))
	for i := range leased {
		jobs[i] = &leased[i]
	}
	w.lanes.add(jobs)
	if len(leased) == limit && reachable {
		w.lanes.moreToCome(merchant)
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
