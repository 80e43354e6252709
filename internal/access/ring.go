package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/milaan/milaan/internal/directory"
)

// Keys keep the keys.
type Keys interface {
	// AddKey keeps a key under its token's hash and gives it its id. The actor is
	// for the audit log.
	AddKey(ctx context.Context, key Key, hash Hash, actor string) (int64, error)
	// FindKey returns the key with that hash, in force or not, or ErrNoKey.
	FindKey(ctx context.Context, hash Hash) (Key, error)
	// Keys lists all keys, the newest first.
	Keys(ctx context.Context) ([]Key, error)
	// RevokeKey ends a key for good. It returns ErrNoKey where there is none that
	// was not ended before.
	RevokeKey(ctx context.Context, id int64, now time.Time, actor string) error
	// KeyUsed notes that a key was used.
	KeyUsed(ctx context.Context, id int64, now time.Time) error
}

const (
	// cachedFor is how long a key is believed before it is looked up again: so long
	// another gateway may take it after it was revoked.
	cachedFor  = 5 * time.Second
	mostCached = 10_000
	// usedEvery is how exact a key's last use is known.
	usedEvery = 10 * time.Minute
)

// TooManyError means that too many wrong keys came from an address.
type TooManyError struct{ Wait time.Duration }

// Error says when to come again.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many wrong keys came from this address: try again in %s", e.Wait.Round(time.Second))
}

// Ring knows callers by their tokens.
type Ring struct {
	keys Keys
	now  func() time.Time
	log  *slog.Logger

	mu        sync.Mutex
	cache     map[Hash]cached
	strangers map[netip.Addr]*stranger
}

type cached struct {
	Key
	until time.Time
}

// NewRing makes a ring.
func NewRing(keys Keys, now func() time.Time, log *slog.Logger) *Ring {
	return &Ring{keys: keys, now: now, log: log, cache: make(map[Hash]cached), strangers: make(map[netip.Addr]*stranger)}
}

// Find is the key in force with that token. It returns ErrNoKey, or a
// *TooManyError for an address from which too many wrong ones came; keys in use
// are taken from there all the same.
//
// Tokens are compared by their hashes: the time that it takes tells nothing that
// helps to guess one.
func (r *Ring) Find(ctx context.Context, token directory.Secret, from netip.Addr) (Key, error) {
	now := r.now()
	hash := HashOf(token)
	if key, ok := r.remembered(hash, now); ok {
		return key, nil
	}
	if wait := r.strange(from, now); wait > 0 {
		return Key{}, &TooManyError{wait}
	}
	key, err := Key{}, ErrNoKey
	if strings.HasPrefix(token.Reveal(), tokenPrefix) {
		key, err = r.keys.FindKey(ctx, hash)
	}
	if err != nil && !errors.Is(err, ErrNoKey) {
		return Key{}, fmt.Errorf("look a key up: %w", err)
	}
	if err != nil || !key.InForce(now) {
		r.count(from, now)
		return Key{}, ErrNoKey
	}
	if now.Sub(key.UsedAt) >= usedEvery {
		if err := r.keys.KeyUsed(ctx, key.ID, now); err != nil {
			r.log.WarnContext(ctx, "the use of a key was not noted", "key", key.ID, "error", err)
		}
	}
	r.remember(hash, key, now)
	return key, nil
}

// Forget makes this gateway look every key up again.
func (r *Ring) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.cache)
}

func (r *Ring) remembered(hash Hash, now time.Time) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.cache[hash]
	return c.Key, ok && now.Before(c.until) && c.InForce(now)
}

func (r *Ring) remember(hash Hash, key Key, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cache) >= mostCached {
		clear(r.cache)
	}
	r.cache[hash] = cached{key, now.Add(cachedFor)}
}

// stranger is an address from which a wrong key came.
type stranger struct {
	*rate.Limiter
	seen time.Time
}

// What an address may get wrong: a burst, then one each time strangeEvery passes.
const (
	strangeEvery  = 2 * time.Second
	strangeBurst  = 20
	mostStrangers = 20_000
)

// strange is how long an address has to wait for its next guess.
func (r *Ring) strange(from netip.Addr, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.strangers[network(from)]
	if s == nil || s.TokensAt(now) >= 1 {
		return 0
	}
	return strangeEvery
}

func (r *Ring) count(from netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from = network(from)
	s := r.strangers[from]
	if s == nil {
		r.makeRoom(now)
		s = &stranger{Limiter: rate.NewLimiter(rate.Every(strangeEvery), strangeBurst)}
		r.strangers[from] = s
	}
	s.seen = now
	s.AllowN(now, 1)
}

// makeRoom forgets addresses that have their whole allowance back, and where
// there are none, any.
func (r *Ring) makeRoom(now time.Time) {
	if len(r.strangers) < mostStrangers {
		return
	}
	for addr, s := range r.strangers {
		if now.Sub(s.seen) >= strangeBurst*strangeEvery {
			delete(r.strangers, addr)
		}
	}
	for addr := range r.strangers {
		if len(r.strangers) < mostStrangers {
			return
		}
		delete(r.strangers, addr)
	}
}

// network is what counts as one address: of IPv6 the /64 that one line has.
func network(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); !addr.Is6() {
		return addr
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
