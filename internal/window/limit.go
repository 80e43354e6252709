package window

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Many payers share an address of a mobile network, and many more a merchant.
// What all payers of a merchant may do on one gateway is far above what they do
// at a merchant's best hour: it bounds a flood from many addresses.
const (
	ofAddress  = 15   // so many times what a label may do
	ofMerchant = 1500 // likewise
)

// paces bound how often one thing may be done: by a paying user, from an
// address, at a merchant.
type paces struct{ labels, addrs, merchants *limits }

// newPaces allows a label burst at once, and then one each time that every
// passes.
func newPaces(every time.Duration, burst int) *paces {
	return &paces{
		labels:    newLimits(every, burst),
		addrs:     newLimits(every/ofAddress, burst*ofAddress),
		merchants: newLimits(every/ofMerchant, burst*ofMerchant),
	}
}

// take counts one. A wait above zero says that it was one too many; what one
// payer is refused is not counted against the others.
func (p *paces) take(merchant, label string, addr netip.Addr, now time.Time) (wait time.Duration) {
	if wait = p.labels.take(merchant+"\n"+label, now); wait > 0 {
		return wait
	}
	if addr.IsValid() {
		if wait = p.addrs.take(addr.String(), now); wait > 0 {
			return wait
		}
	}
	return p.merchants.take(merchant, now)
}

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
