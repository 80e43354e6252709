package mail

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

var errNotOfBank = errors.New("the key is not of the bank's domains")

// unavailableError is of a lookup that may do better later. The verifying
// library asks a [net.Error] for it.
type unavailableError struct{ error }

func (e *unavailableError) Unwrap() error   { return e.error }
func (e *unavailableError) Timeout() bool   { return false }
func (e *unavailableError) Temporary() bool { return true }

func notFound(err error) bool {
	var failed *net.DNSError
	return errors.As(err, &failed) && failed.IsNotFound
}

// How long and how many keys are kept. Banks change keys under a new name, so
// an old one is kept wrongly only after it was withdrawn.
const (
	keepKey     = time.Hour
	keepMissing = 5 * time.Minute
	maxKeys     = 1024
)

// keyCache remembers lookups.
type keyCache struct {
	lookup LookupTXT
	now    func() time.Time

	mu   sync.Mutex
	keys map[string]cachedKey
}

type cachedKey struct {
	records []string
	err     error // of a name that does not exist
	until   time.Time
}

// CacheTXT remembers what lookup finds for an hour, and for five minutes that a
// name does not exist. It is safe for use by several verifiers at once.
func CacheTXT(lookup LookupTXT, now func() time.Time) LookupTXT {
	c := &keyCache{lookup: lookup, now: now, keys: make(map[string]cachedKey)}
	return c.find
}

func (c *keyCache) find(ctx context.Context, name string) ([]string, error) {
	c.mu.Lock()
	key, found := c.keys[name]
	c.mu.Unlock()
	if found && c.now().Before(key.until) {
		return slices.Clone(key.records), key.err
	}
	records, err := c.lookup(ctx, name)
	keep := keepKey
	if err != nil {
		if !notFound(err) {
			return nil, err
		}
		keep = keepMissing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= maxKeys {
		clear(c.keys) // a bank has a handful: this many are somebody's game
	}
	c.keys[name] = cachedKey{records: slices.Clone(records), err: err, until: c.now().Add(keep)}
	return records, err
}
