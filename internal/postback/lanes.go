package postback

import (
	"sync"
	"time"
)

// slowAnswer is how long an answer may take before its merchant counts as slow.
const slowAnswer = 5 * time.Second

// lanes queue jobs by merchant and hand them out fairly: merchants with work
// take turns, each has a bounded number of attempts in flight, and slow
// merchants together hold at most half of all attempts, however many of them
// there are. So a merchant that hangs waits behind itself, not in front of
// others.
type lanes struct {
	slots     int // attempts in flight at once, in all
	laneSlots int // and for one merchant
	length    int // jobs that wait for one merchant
	lowWater  int // below which a lane asks the store for more
	now       func() time.Time
	metrics   *Metrics
	// begin starts an attempt; it must return at once, and done must be
	// called at its end.
	begin func(*lane, *Job)
	// hungry is told when a lane runs low while the store has more for it.
	hungry func()

	mu       sync.Mutex
	open     bool // jobs may begin
	closed   bool // no job is taken any more
	byID     map[string]*lane
	turns    []*lane // lanes with a job and room to start it, in order of their turn
	parked   []*lane // slow lanes whose turn came while slow ones held their half
	busy     int
	slowBusy int
}

// lane is one merchant's queue. All of it is guarded by lanes.mu.
type lane struct {
	queue    []*Job
	inFlight int
	inTurn   bool // in lanes.turns or lanes.parked
	slow     bool
	more     bool      // the store had more than was asked for
	nextHold time.Time // when events of a merchant out of reach are next looked at
}

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
// dropped: the store has it, and it becomes due there again.
func (l *lanes) add(jobs []*Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, job := range jobs {
		lane := l.lane(job.Merchant)
		if len(lane.queue) >= l.length {
			l.metrics.Drops.WithLabelValues("full").Inc()
			continue
		}
		lane.queue = append(lane.queue, job)
		l.enqueue(lane)
	}
	l.dispatch()
}

// appetite is how many jobs to lease for a merchant now. Slow merchants get no
// more than they can start soon: what waits too long loses its lease, and
// leasing costs a write.
func (l *lanes) appetite(merchant string, reachable bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.lane(merchant)
	batch := 2 * l.lowWater
	if lane.slow {
		batch = min(batch, 2*l.laneSlots)
	}
	if len(lane.queue) > batch/2 {
		return 0
	}
	if !reachable {
		now := l.now()
		if now.Before(lane.nextHold) {
			return 0
		}
		lane.nextHold = now.Add(holdEvery)
	}
	lane.more = false
	return batch - len(lane.queue)
}

// moreToCome notes that the store has more due for a merchant.
func (l *lanes) moreToCome(merchant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.lane(merchant)
	lane.more = true
	l.askForMore(lane)
}

// done ends an attempt that took so long.
func (l *lanes) done(lane *lane, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wasSlow := lane.slow
	if wasSlow {
		l.slowBusy -= lane.inFlight
	}
	l.busy--
	lane.inFlight--
	lane.slow = took >= slowAnswer
	if lane.slow {
		l.slowBusy += lane.inFlight
	}
	if wasSlow {
		// The slow ones' half has room again, or this is one of them no longer.
		l.turns = append(l.turns, l.parked...)
		l.parked = nil
	}
	l.enqueue(lane)
	l.dispatch()
}

func (l *lanes) lane(merchant string) *lane {
	found := l.byID[merchant]
	if found == nil {
		found = &lane{}
		l.byID[merchant] = found
	}
	return found
}

// enqueue gives a lane a turn, unless it has one or nothing to start.
func (l *lanes) enqueue(lane *lane) {
	if !lane.inTurn && len(lane.queue) > 0 && lane.inFlight < l.laneSlots {
		lane.inTurn = true
		l.turns = append(l.turns, lane)
	}
}

// dispatch starts what may start.
func (l *lanes) dispatch() {
	for l.open && l.busy < l.slots && len(l.turns) > 0 {
		lane := l.turns[0]
		l.turns = l.turns[1:]
		if lane.slow && l.slowBusy >= max(1, l.slots/2) {
			l.parked = append(l.parked, lane)
			continue
		}
		lane.inTurn = false
		job := l.next(lane)
		if job == nil {
			continue
		}
		l.busy++
		lane.inFlight++
		if lane.slow {
			l.slowBusy++
		}
		l.enqueue(lane)
		l.begin(lane, job)
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
	if lane.more && !lane.slow && len(lane.queue) <= l.lowWater {
		lane.more = false
		l.hungry()
	}
}
