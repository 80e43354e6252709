package postback

import (
	"sync"
	"time"
)

const (
	// slowAnswer is how long an attempt may take before its merchant counts as
	// slow, whether it has answered by then or not.
	slowAnswer = time.Second
	// breakAfter is after how many failures in a row, of whatever events, a
	// merchant is only probed.
	breakAfter = 5
	// ahead is how many jobs are leased for each attempt that a merchant may have
	// in flight: enough to go on with, and few enough that of a thousand
	// merchants' none waits so long that its lease is lost.
	ahead = 16
	// mostProbeWait bounds the wait between probes, in units of the first.
	mostProbeWait = 60
)

// lanes queue jobs by merchant and hand them out fairly, so that a merchant
// that hangs or fails waits behind itself, not in front of others:
//
//   - merchants with work take turns;
//   - each begins with one attempt at a time and is given more with each
//     success, up to a bound; a failure takes it back to one;
//   - attempts that take long move to places of their own, and so do those of
//     merchants that were slow last: they never stand where quick ones could;
//   - after some failures in a row a merchant is probed with one attempt at a
//     time, ever more rarely, until one succeeds. Its other events stay with
//     the store, none of their attempts spent;
//   - a merchant that asks for a pause gets it.
type lanes struct {
	slots     int // attempts in flight at once, of quick merchants
	slowSlots int // and of slow ones
	laneSlots int // and for one merchant
	length    int // jobs that wait for one merchant
	batch     int // jobs that are leased for one merchant at most
	probeWait time.Duration
	now       func() time.Time
	metrics   *Metrics
	// begin starts an attempt; it must return at once, and done must be
	// called at its end.
	begin func(*flight, *Job)
	// hungry is told when a lane runs low while the store has more for it.
	hungry func()

	mu       sync.Mutex
	open     bool // jobs may begin
	closed   bool // no job is taken any more
	byID     map[string]*lane
	turns    []*lane   // lanes with a job and room to start it, in order of their turn
	slow     []*lane   // slow ones of them
	resting  []*lane   // lanes with a job that must wait for its time
	flying   []*flight // quick attempts, in the order they began
	busy     int
	slowBusy int
}

// lane is one merchant's queue. All of it is guarded by lanes.mu.
type lane struct {
	queue     []*Job
	inFlight  int
	window    int       // attempts it may have in flight
	address   string    // where the merchant was last, see appetite
	inTurn    bool      // in lanes.turns, slow or resting
	slow      bool      // its last attempt took long
	batch     int       // jobs that were wanted for it last
	more      bool      // the store had more than was asked for
	failures  int       // in a row
	notBefore time.Time // when the next attempt may be made
	nextHold  time.Time // when events of a merchant out of reach are next looked at
}

// flight is an attempt under way.
type flight struct {
	lane  *lane
	began time.Time
	slow  bool // it has a slow one's place
	over  bool
}

// outcome is what an attempt tells about its merchant.
type outcome struct {
	tried     bool // an attempt was made
	succeeded bool
	took      time.Duration
	quiet     time.Duration // that the merchant asked for
}

func (l *lane) broken() bool { return l.failures >= breakAfter }

// start lets queued jobs begin.
func (l *lanes) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	l.dispatch()
}

// stop lets no job begin any more and returns those that wait.
func (l *lanes) stop() (waiting []*Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.closed = false, true
	for _, lane := range l.byID {
		waiting = append(waiting, lane.queue...)
		lane.queue = nil
	}
	return waiting
}

// add queues jobs, each in its merchant's lane. What finds a lane full is
// dropped, and so is all but the probe of a merchant that fails: the store has
// it, and it becomes due there again.
func (l *lanes) add(jobs []*Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, job := range jobs {
		lane := l.lane(job.Merchant)
		switch {
		case lane.broken() && len(lane.queue)+lane.inFlight > 0:
			l.metrics.Drops.WithLabelValues("broken").Inc()
			continue
		case len(lane.queue) >= l.length:
			l.metrics.Drops.WithLabelValues("full").Inc()
			continue
		}
		lane.queue = append(lane.queue, job)
		l.enqueue(lane)
	}
	l.dispatch()
}

// wake lets go on what waited for its time.
func (l *lanes) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	resting := l.resting
	l.resting = nil
	for _, lane := range resting {
		lane.inTurn = false
		l.enqueue(lane)
	}
	l.dispatch()
}

// appetite is how many jobs to lease for a merchant now. Slow and failing
// merchants get no more than they can start soon: what waits too long loses its
// lease, and leasing costs a write.
//
// Address tells one endpoint of a merchant from the next; it is empty while the
// merchant is out of reach. At a new one the merchant begins anew.
func (l *lanes) appetite(merchant, address string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.lane(merchant)
	now := l.now()
	if address != lane.address {
		lane.address, lane.failures, lane.notBefore, lane.nextHold = address, 0, time.Time{}, time.Time{}
	}
	lane.batch = min(l.batch, ahead*lane.window)
	switch {
	case address == "":
		if now.Before(lane.nextHold) {
			return 0
		}
		lane.nextHold, lane.batch = now.Add(holdEvery), l.batch
	case now.Before(lane.notBefore):
		return 0
	case lane.broken():
		return max(0, 1-len(lane.queue)-lane.inFlight)
	case lane.slow:
		lane.batch = min(l.batch, 2*lane.window)
	}
	if len(lane.queue) > lane.batch/2 {
		return 0
	}
	lane.more = false
	return lane.batch - len(lane.queue)
}

// moreToCome notes that the store has more due for a merchant.
func (l *lanes) moreToCome(merchant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.lane(merchant)
	lane.more = true
	l.askForMore(lane)
}

// done ends an attempt and tells how many have failed in a row.
func (l *lanes) done(f *flight, o outcome) (failures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.over = true
	if f.slow {
		l.slowBusy--
	} else {
		l.busy--
	}
	lane := f.lane
	lane.inFlight--
	if o.tried {
		l.learn(lane, o)
	}
	l.enqueue(lane)
	l.dispatch()
	return lane.failures
}

// learn draws from an attempt how its merchant is to be treated.
func (l *lanes) learn(lane *lane, o outcome) {
	lane.slow = o.took >= slowAnswer
	if o.succeeded {
		lane.window = min(lane.window+1, l.laneSlots)
		lane.failures, lane.notBefore = 0, time.Time{}
		return
	}
	lane.window = 1
	lane.failures++
	wait := o.quiet
	if lane.broken() {
		doubled := min(lane.failures-breakAfter, 6)
		wait = max(wait, min(l.probeWait<<doubled, l.probeWait*mostProbeWait))
		// Their leases run out, and none of their attempts is spent.
		for range lane.queue {
			l.metrics.Drops.WithLabelValues("broken").Inc()
		}
		lane.queue, lane.more = nil, false
	}
	if wait > 0 {
		lane.notBefore = l.now().Add(wait)
	}
}

func (l *lanes) lane(merchant string) *lane {
	found := l.byID[merchant]
	if found == nil {
		found = &lane{window: 1}
		l.byID[merchant] = found
	}
	return found
}

// enqueue gives a lane a turn, unless it has one or nothing to start.
func (l *lanes) enqueue(lane *lane) {
	switch {
	case lane.inTurn || len(lane.queue) == 0 || lane.inFlight >= lane.window:
		return
	case !lane.notBefore.IsZero() && l.now().Before(lane.notBefore):
		l.resting = append(l.resting, lane)
	case lane.slow:
		l.slow = append(l.slow, lane)
	default:
		l.turns = append(l.turns, lane)
	}
	lane.inTurn = true
}

// dispatch starts what may start.
func (l *lanes) dispatch() {
	if !l.open {
		return
	}
	l.moveLingering()
	for l.busy < l.slots && len(l.turns) > 0 {
		lane := l.turns[0]
		l.turns = l.turns[1:]
		l.take(lane)
	}
	for l.slowBusy < l.slowSlots && len(l.slow) > 0 {
		lane := l.slow[0]
		l.slow = l.slow[1:]
		l.take(lane)
	}
}

// take starts a lane's next job, unless things have changed since it was given
// its turn.
func (l *lanes) take(lane *lane) {
	lane.inTurn = false
	if lane.inFlight >= lane.window || l.now().Before(lane.notBefore) ||
		lane.slow && l.slowBusy >= l.slowSlots || !lane.slow && l.busy >= l.slots {
		l.enqueue(lane)
		return
	}
	job := l.next(lane)
	if job == nil {
		return
	}
	f := &flight{lane: lane, began: l.now(), slow: lane.slow}
	if f.slow {
		l.slowBusy++
	} else {
		l.busy++
		l.flying = append(l.flying, f)
	}
	lane.inFlight++
	l.enqueue(lane)
	l.begin(f, job)
}

// moveLingering gives attempts that take long a slow one's place, even beyond
// the number of those: there are at most as many as merchants that were quick
// before.
func (l *lanes) moveLingering() {
	late := l.now().Add(-slowAnswer)
	for len(l.flying) > 0 {
		f := l.flying[0]
		if !f.over {
			if f.began.After(late) {
				return
			}
			f.slow, f.lane.slow = true, true
			l.busy--
			l.slowBusy++
		}
		l.flying[0] = nil
		l.flying = l.flying[1:]
	}
}

// next takes a lane's next job that can still be attempted and recorded within
// its lease; others pass to whoever leases them next.
func (l *lanes) next(lane *lane) *Job {
	latest := l.now().Add(attemptTimeout + leaseMargin)
	for len(lane.queue) > 0 {
		job := lane.queue[0]
		lane.queue[0] = nil
		lane.queue = lane.queue[1:]
		l.askForMore(lane)
		if !latest.After(job.LeasedUntil) {
			return job
		}
		l.metrics.Drops.WithLabelValues("lapsed").Inc()
	}
	return nil
}

func (l *lanes) askForMore(lane *lane) {
	if lane.more && !lane.slow && !lane.broken() && len(lane.queue) <= lane.batch/2 {
		lane.more = false
		l.hungry()
	}
}
