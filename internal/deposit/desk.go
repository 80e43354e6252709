package deposit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/trace"
	"github.com/milaan/milaan/internal/webhook"
)

// Errors of the desk.
var (
	// ErrBusy means that more requests wait than the desk takes on. Nothing
	// was done; the caller should try again shortly.
	ErrBusy = errors.New("too many requests are waiting: try again shortly")
	// ErrTooMany means that too many requests of one caller wait. Nothing was
	// done; the caller should send fewer at once.
	ErrTooMany = errors.New("too many of your requests are waiting: send fewer at once")
	// ErrClosed means that the desk is shutting down; nothing was done.
	ErrClosed = errors.New("the gateway is shutting down: try again shortly")
)

const (
	batchWeight  = 256                    // records that share a commit
	queueLength  = 4096                   // requests that may wait
	callerShare  = 1024                   // and of one caller
	stallAfter   = 2 * time.Second        // a batch that takes longer holds all others up
	stalledQueue = batchWeight            // requests that may wait then: the next batch
	stalledShare = 64                     // and of one caller
	outagePause  = 100 * time.Millisecond // between batches while the engine fails
	troubleFor   = 5 * time.Second        // after a batch that failed
	mostUntaken  = 16                     // requests in a row that can't be carried out: more are the engine's doing
	idBlock      = 16_384                 // ids reserved at a time
	conflictRuns = 8                      // runs of a batch that other gateways get in the way of
	expiryBatch  = 500                    // claims ended in one go
)

// Outbox takes events that were committed, for delivery at once. It may drop
// them: what is not delivered becomes due again in the store.
type Outbox interface {
	// Offer hands events over without waiting.
	Offer(events []postback.Event)
}

// Config is what a desk works with.
type Config struct {
	Store     Store
	Directory *directory.Cache
	Policy    Policy
	Now       func() time.Time
	// RatesID names the exchange rates in force.
	RatesID func() int64
	// Outbox is nil where no worker of this process delivers.
	Outbox Outbox
	// Outage tells errors of a database that can't do now what it is asked, from
	// those that a request brings about; nil for none.
	Outage func(error) bool
	// Tracer is nil where nothing is traced.
	Tracer  *trace.Tracer
	Metrics *Metrics
	Log     *slog.Logger
	// Committers is how many batches may be in flight: 1 on SQLite, which has
	// one writer.
	Committers int
}

// Desk settles requests in group commits: what waits at the same time shares a
// transaction. There is no artificial delay; a request that comes alone is
// committed alone.
type Desk struct {
	Config
	queue  chan *pending
	closed chan struct{}

	began  []atomic.Pointer[time.Time] // of each committer: its batch under way
	failed atomic.Pointer[time.Time]   // when the database took no batch, where it did not take the last
	// untaken counts requests in a row that could not be carried out, alone, for
	// reasons other than an outage.
	untaken atomic.Int64

	mu      sync.Mutex
	waiting map[string]int // requests by caller
}

type pending struct {
	command
	ctx     context.Context //nolint:containedctx // the request's own life, to skip what nobody waits for
	done    chan error
	passage *passage // nil where it is not traced
}

// NewDesk makes a desk; it settles nothing until Run.
func NewDesk(c Config) *Desk {
	if c.Outage == nil {
		c.Outage = func(error) bool { return false }
	}
	return &Desk{
		Config: c, queue: make(chan *pending, queueLength), closed: make(chan struct{}), waiting: make(map[string]int),
		began: make([]atomic.Pointer[time.Time], max(c.Committers, 1)),
	}
}

// Trouble says what keeps requests waiting or failing, for health checks; it is
// empty where nothing does. After a batch that met an outage there is trouble for a
// while, so that a gateway which is sent nothing is tried again. A request that
// alone can't be carried out is none, for it says nothing of the others; that many
// can't, and not one can, is.
func (d *Desk) Trouble() string {
	failed := d.failed.Load()
	switch {
	case d.stalled():
		return "the database is slow, and requests are turned away"
	case failed != nil && d.Now().Sub(*failed) < troubleFor:
		return "the database did not take what came last"
	default:
		return ""
	}
}

// stalled reports whether every committer has been at its batch for too long: what
// is queued behind that would wait longer than anybody wants to.
func (d *Desk) stalled() bool {
	now := d.Now()
	for i := range d.began {
		if began := d.began[i].Load(); began == nil || now.Sub(*began) < stallAfter {
			return false
		}
	}
	return true
}

// Activate asks for a payment to be credited. The claim in the answer tells
// the outcome; a *Refusal means that no claim was made. The same activation
// again, however concurrently, gives the same claim.
func (d *Desk) Activate(ctx context.Context, a Activation) (Claim, error) {
	cmd := &activate{Activation: a}
	if err := d.do(ctx, cmd); err != nil {
		d.Metrics.refused(cmd, err)
		return Claim{}, err
	}
	d.Metrics.Activations.WithLabelValues(string(cmd.claim.State)).Inc()
	return cmd.claim, nil
}

// Amend changes the UTR of a claim that waits or was refused, and weighs it
// again: the payer mistyped it. The caller bounds how often; a *Refusal says
// why it can't be.
func (d *Desk) Amend(ctx context.Context, a Activation) (Claim, error) {
	c, err := d.Store.FindClaimByKey(ctx, CustomKey{a.Merchant, a.CustomID})
	if err != nil {
		return Claim{}, err
	}
	if c.UTR == a.UTR {
		return *c, nil
	}
	cmd := &amend{Activation: a, old: ClaimRef{ID: c.ID, UTR: c.UTR}}
	if err := d.do(ctx, cmd); err != nil {
		d.Metrics.refused(cmd, err)
		return Claim{}, err
	}
	return cmd.claim, nil
}

// Assign picks the wallet that a payer is shown. A *Refusal says why there is
// none.
func (d *Desk) Assign(ctx context.Context, r AssignmentRequest) (Assignment, error) {
	cmd := &assign{AssignmentRequest: r}
	if err := d.do(ctx, cmd); err != nil {
		d.Metrics.refused(cmd, err)
		return Assignment{}, err
	}
	return cmd.assignment, nil
}

// Ingest takes a feed's report: good items are kept when others are refused.
// Reports longer than a batch are settled in pieces; an error then says that
// the rest is to be sent again, which does no harm.
func (d *Desk) Ingest(ctx context.Context, f *directory.Feed, items []feed.Item) (feed.Taken, error) {
	total := feed.Taken{Summary: feed.Summary{Refused: []feed.Refusal{}}}
	for piece := range slices.Chunk(items, batchWeight) {
		referrals, err := d.referrals(ctx, piece)
		if err != nil {
			return total, err
		}
		cmd := &ingest{feed: f, items: piece, referrals: referrals}
		if err := d.do(ctx, cmd); err != nil {
			return total, err
		}
		total.Outcomes = append(total.Outcomes, cmd.taken.Outcomes...)
		total.Summary.Add(cmd.taken.Summary)
	}
	d.Metrics.reported(f.ID, &total)
	return total, nil
}

// ExpireDue ends the waiting claims whose time is up and returns how many.
func (d *Desk) ExpireDue(ctx context.Context) (int, error) {
	ended := 0
	for {
		refs, err := d.Store.DueClaims(ctx, d.Now(), expiryBatch)
		if err != nil {
			return ended, err
		}
		group, groupCtx := errgroup.WithContext(ctx)
		for _, ref := range refs {
			group.Go(func() error { return d.do(groupCtx, &expire{ref}) })
		}
		if err := group.Wait(); err != nil {
			return ended, err
		}
		ended += len(refs)
		if len(refs) < expiryBatch {
			return ended, nil
		}
	}
}

// admit counts a caller's request in, or says that it has so many already.
func (d *Desk) admit(caller string, most int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[caller] >= most {
		return false
	}
	d.waiting[caller]++
	return true
}

// release counts a caller's request out.
func (d *Desk) release(caller string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting[caller]--; d.waiting[caller] == 0 {
		delete(d.waiting, caller)
	}
}

// do queues a command and waits for its batch. When ctx ends first the command
// may still be carried out; asking again tells.
func (d *Desk) do(ctx context.Context, cmd command) error {
	p := &pending{command: cmd, ctx: ctx, done: make(chan error, 1)}
	select {
	case <-d.closed:
		return ErrClosed
	default:
	}
	caller, share, long, tooMany := cmd.caller(), callerShare, queueLength, ErrTooMany
	if d.stalled() { // which no caller can be blamed for
		share, long, tooMany = stalledShare, stalledQueue, ErrBusy
	}
	if len(d.queue) >= long {
		d.Metrics.Shed.Inc()
		return ErrBusy
	}
	if !d.admit(caller, share) {
		d.Metrics.Shed.Inc()
		return tooMany
	}
	defer d.release(caller)
	d.passing(p)
	select {
	case d.queue <- p:
	default:
		p.passage.leave(ErrBusy)
		d.Metrics.Shed.Inc()
		return ErrBusy
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closed:
		// The last batch may have been this one's.
		select {
		case err := <-p.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// Run settles requests until ctx ends; what waits then is still settled. It
// returns when nothing is in flight any more.
func (d *Desk) Run(ctx context.Context) error {
	var group errgroup.Group
	for i := range d.began {
		c := &committer{desk: d, began: &d.began[i]}
		group.Go(func() error { c.loop(ctx); return nil })
	}
	err := group.Wait()
	close(d.closed)
	return err
}

// committer runs batches, one at a time.
type committer struct {
	desk   *Desk
	began  *atomic.Pointer[time.Time]
	nextID int64
	endID  int64
	rules  []Rule
	// rulesOf is the directory version that rules were compiled from.
	rulesOf int64
	// webhookIDs is how many ids the last batch wanted for events of webhooks, which
	// no weight foresees.
	webhookIDs int64
}

func (c *committer) loop(ctx context.Context) {
	// Batches outlive the signal to stop: what was taken is finished.
	work := context.WithoutCancel(ctx)
	for {
		select {
		case p := <-c.desk.queue:
			c.settle(work, c.gather(p))
			continue
		default:
		}
		select {
		case p := <-c.desk.queue:
			c.settle(work, c.gather(p))
		case <-ctx.Done():
			if len(c.desk.queue) == 0 {
				return
			}
		}
	}
}

// gather takes what waits besides the first request, and no more.
func (c *committer) gather(first *pending) []*pending {
	batch := make([]*pending, 1, 64)
	batch[0] = first
	for weight := first.weight(); weight < batchWeight; {
		select {
		case p := <-c.desk.queue:
			if p.ctx.Err() != nil {
				p.answer(p.ctx.Err())
				continue
			}
			batch = append(batch, p)
			weight += p.weight()
		default:
			return batch
		}
	}
	return batch
}

// settle runs a batch and answers each of its requests. A batch that fails is
// run again request by request, so that one that can't be carried out takes no
// other down; when the engine itself fails two in a row, or other gateways keep
// both from being carried out, the rest is told so at once.
func (c *committer) settle(ctx context.Context, batch []*pending) {
	began := c.desk.Now()
	shared := c.desk.shared(batch)
	// Whoever is answered finds the committer free, however far its clock moves next.
	timed := func(batch []*pending) ([]error, error) {
		c.began.Store(&began)
		defer c.began.Store(nil)
		return c.run(ctx, batch, shared)
	}
	answers, err := timed(batch)
	if err == nil {
		c.desk.failed.Store(nil)
		c.desk.untaken.Store(0)
		for i, p := range batch {
			p.answer(answers[i])
		}
		shared.End()
		return
	}
	shared.Fail()
	// A batch of one is run again, too: a connection may have broken.
	c.desk.Log.ErrorContext(ctx, "a batch failed", "requests", len(batch), "error", err)
	failures, sick := 0, false
	for _, p := range batch {
		if failures < 2 {
			answers, err = timed([]*pending{p})
			switch {
			case err == nil:
				failures, sick, err = 0, false, answers[0]
				c.desk.untaken.Store(0)
			case errors.Is(err, ErrConflict):
				failures++
			case c.desk.Outage(err), c.desk.untaken.Add(1) > mostUntaken:
				failures++
				sick = true
			default: // the engine works, and does not take this one
				failures = 0
			}
		}
		p.answer(err)
	}
	shared.End()
	if sick {
		now := c.desk.Now()
		c.desk.failed.Store(&now)
	}
	if failures > 1 {
		// What comes meanwhile is tried, and told, together: a database that is away
		// is not asked thousands of times a second.
		time.Sleep(outagePause)
	}
}

var (
	errDirectoryMoved = errors.New("the directory changed while the batch was prepared")
	errFewIDs         = errors.New("the batch tells webhooks more than there are ids for")
)

// run commits a batch; on success there is an answer for each request. What it
// does is traced below shared.
func (c *committer) run(ctx context.Context, batch []*pending, shared trace.Span) (answers []error, err error) {
	for range conflictRuns {
		answers, err = c.try(ctx, batch, shared)
		switch {
		case errors.Is(err, errDirectoryMoved):
			if err := c.desk.Directory.Refresh(ctx); err != nil {
				return nil, err
			}
		case errors.Is(err, ErrConflict):
			c.desk.Metrics.Conflicts.Inc()
		case errors.Is(err, errFewIDs): // reserved now
		default:
			return answers, err
		}
	}
	return nil, err
}

func (c *committer) try(ctx context.Context, batch []*pending, shared trace.Span) (answers []error, err error) {
	// A panic is a fault of ours in one command: it must not take the gateway,
	// and everybody's payments, down.
	defer func() {
		if r := recover(); r != nil {
			answers, err = nil, fmt.Errorf("settling a batch panicked: %v\n%s", r, debug.Stack())
		}
	}()
	d := c.desk
	dir := d.Directory.Current()
	if err := c.compile(dir); err != nil {
		return nil, err
	}
	weight := 0
	now := d.Now().UTC().Truncate(time.Microsecond) // what the engines keep
	keys := newKeys(now, d.Policy)
	for _, p := range batch {
		p.need(keys, dir)
		weight += p.weight()
	}
	if err := c.reserve(ctx, int64(weight)+c.webhookIDs); err != nil {
		return nil, err
	}
	var events []postback.Event
	var seen *tracing
	phase := shared.Child("load facts")
	defer func() { phase.End() }()
	err = d.Store.Settle(ctx, keys, func(facts *Facts) (*Changes, error) {
		if facts.DirectoryVersion != dir.Version {
			return nil, errDirectoryMoved
		}
		b := newBook(facts)
		b.now, b.dir, b.rules, b.policy = now, dir, c.rules, d.Policy
		b.ratesID, b.handOff, b.nextID = d.RatesID(), d.Outbox != nil, c.takeID
		if d.Tracer.On() {
			seen = &tracing{tracer: d.Tracer}
			b.tracing = seen
		}
		phase.End()
		phase = shared.Child("decide")
		answers, err = decide(b, batch)
		phase.End()
		phase = shared.Child("write and commit")
		if err == nil {
			err = c.number(b.changes.Webhooks)
		}
		events = events[:0]
		for i := range b.changes.Events {
			if b.changes.Events[i].HandOff {
				events = append(events, b.changes.Events[i].Event)
			}
		}
		return &b.changes, err
	})
	if err != nil {
		return nil, err
	}
	seen.durable()
	d.Metrics.settled(weight)
	if d.Outbox != nil && len(events) > 0 {
		d.Outbox.Offer(events)
	}
	return answers, nil
}

// decide runs the commands on the book. A refusal is its command's answer, any
// other error the batch's end.
func decide(b *book, batch []*pending) (answers []error, err error) {
	answers = make([]error, len(batch))
	for i, p := range batch {
		err := b.tracing.decided(b, p)
		var refusal *Refusal
		if err != nil && !errors.As(err, &refusal) && !errors.Is(err, ErrNoClaim) {
			return nil, fmt.Errorf("%s: %w", p.name(), err)
		}
		answers[i] = err
	}
	return answers, nil
}

func (c *committer) compile(dir *directory.Snapshot) error {
	if c.rules != nil && c.rulesOf == dir.Version {
		return nil
	}
	rules, err := CompileRules(dir.ActiveRules())
	if err != nil {
		return err
	}
	c.rules, c.rulesOf = rules, dir.Version
	return nil
}

// reserve makes sure that a batch has the ids it may need: taken in blocks, in
// a commit of their own, so that ids cost a batch nothing.
func (c *committer) reserve(ctx context.Context, n int64) error {
	if c.endID-c.nextID >= n {
		return nil
	}
	first, err := c.desk.Store.ReserveIDs(ctx, max(n, idBlock))
	if err != nil {
		return fmt.Errorf("reserve ids: %w", err)
	}
	c.nextID, c.endID = first, first+max(n, idBlock)
	return nil
}

// number gives events of webhooks their ids, or reports errFewIDs.
func (c *committer) number(events []webhook.Event) error {
	c.webhookIDs = int64(len(events))
	if c.endID-c.nextID < c.webhookIDs {
		return errFewIDs
	}
	for i := range events {
		events[i].ID = c.takeID()
	}
	return nil
}

func (c *committer) takeID() int64 {
	if c.nextID >= c.endID {
		panic("a batch takes more ids than its weight says")
	}
	c.nextID++
	return c.nextID - 1
}
