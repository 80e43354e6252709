package window

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits bound how often something may be done, by a name: an address, a label
// of a merchant. It keeps a bounded number of names; when there are more, those
// that were quiet long enough to have their whole allowance back are forgotten
// first, then any.
type limits struct {
	every time.Duration // one more is allowed each time that long passes
	burst int           // and so many at once

	mu     sync.Mutex
	byName map[string]*limit
}

type limit struct {
	*rate.Limiter
	seen time.Time
}

// mostNames is how many names a limit keeps: some megabytes.
const mostNames = 20_000

func newLimits(every time.Duration, burst int) *limits {
	return &limits{every: every, burst: burst, byName: make(map[string]*limit)}
}

// take counts one for the name. A wait above zero says that it was one too
// many, and when to come again.
func (l *limits) take(name string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.byName[name]
	if one == nil {
		l.makeRoom(now)
		one = &limit{Limiter: rate.NewLimiter(rate.Every(l.every), l.burst)}
		l.byName[name] = one
	}
	one.seen = now
	r := one.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *limits) makeRoom(now time.Time) {
	if len(l.byName) < mostNames {
		return
	}
	whole := l.every * time.Duration(l.burst)
	for name, one := range l.byName {
		if now.Sub(one.seen) >= whole {
			delete(l.byName, name)
		}
	}
	for name := range l.byName {
		if len(l.byName) < mostNames {
			return
		}
		delete(l.byName, name)
	}
}
