package sms

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

// memory holds the proofs that were seen while they are fresh. Only what is
// rightly signed enters it, so that strangers can't fill it.
type memory struct {
	limit int

	mu   sync.Mutex
	seen map[[sha256.Size]byte]proof
}

type proof struct {
	body    [sha256.Size]byte
	until   time.Time // stale by itself afterwards
	settled bool
}

// admit lets a proof through until it is settled, with one body only.
func (m *memory) admit(text string, body []byte, until, now time.Time) (settle func(), err error) {
	key, p := sha256.Sum256([]byte(text)), proof{body: sha256.Sum256(body), until: until}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = make(map[[sha256.Size]byte]proof)
	}
	known, ok := m.seen[key]
	switch {
	case ok && !now.After(known.until):
		if known.settled || known.body != p.body {
			return nil, ErrReplayed
		}
	case !ok && len(m.seen) >= m.limit:
		maps.DeleteFunc(m.seen, func(_ [sha256.Size]byte, old proof) bool { return now.After(old.until) })
		if len(m.seen) >= m.limit {
			return nil, ErrBusy
		}
		fallthrough
	default:
		m.seen[key] = p
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p, ok := m.seen[key]; ok {
			p.settled = true
			m.seen[key] = p
		}
	}, nil
}
