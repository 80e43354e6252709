package directory

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Source is where the directory is stored.
type Source interface {
	// LoadDirectory reads the whole directory at one version.
	LoadDirectory(ctx context.Context) (Contents, error)
	// DirectoryVersion reads the stored version alone.
	DirectoryVersion(ctx context.Context) (int64, error)
}

// Cache keeps the current snapshot in memory. The zero value is not usable:
// see [OpenCache].
type Cache struct {
	source  Source
	current atomic.Pointer[Snapshot]
	loading sync.Mutex
	looks   *rate.Limiter // for those that anybody can cause
}

// Strangers must not keep the database busy with looks at its version.
const (
	looksPerSecond = 50
	looksAtOnce    = 50
)

// OpenCache loads the directory.
func OpenCache(ctx context.Context, source Source) (*Cache, error) {
	c := &Cache{source: source, looks: rate.NewLimiter(looksPerSecond, looksAtOnce)}
	return c, c.load(ctx)
}

// Current returns the snapshot of this moment.
func (c *Cache) Current() *Snapshot { return c.current.Load() }

// Look is Refresh for a caller who is not known: what another process applied a
// moment ago may say who it is. Looks beyond a rate are passed over, and an
// error leaves the snapshot as it is.
func (c *Cache) Look(ctx context.Context) *Snapshot {
	if c.looks.Allow() {
		_ = c.Refresh(ctx) // Follow reports what is wrong
	}
	return c.Current()
}

// Refresh loads the directory if the stored version is another one.
func (c *Cache) Refresh(ctx context.Context) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	version, err := c.source.DirectoryVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the directory's version: %w", err)
	}
	if version == c.Current().Version {
		return nil
	}
	return c.load(ctx)
}

func (c *Cache) load(ctx context.Context) error {
	contents, err := c.source.LoadDirectory(ctx)
	if err != nil {
		return fmt.Errorf("load the directory: %w", err)
	}
	snapshot, err := NewSnapshot(contents)
	if err != nil {
		return err
	}
	c.current.Store(snapshot)
	return nil
}

// Follow refreshes the snapshot at every interval until ctx ends, so that what
// another process applied takes effect in this one.
func (c *Cache) Follow(ctx context.Context, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "directory not refreshed; the last one stays in force", "error", err)
			}
		}
	}
}
