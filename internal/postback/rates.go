package postback

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/milaan/milaan/internal/fx"
)

// RateSource gives the rates that an activation remembers.
type RateSource interface {
	// Rates returns the set with that id.
	Rates(ctx context.Context, id int64) (*fx.Rates, error)
}

const (
	keptRates   = 32 // sets in memory: new ones come by the hour, not by the event
	ratesWithin = 5 * time.Second
)

// rateCache keeps the sets that were used last, by the order they came in.
type rateCache struct {
	source  RateSource
	loading singleflight.Group

	mu    sync.Mutex
	sets  map[int64]*fx.Rates
	order []int64 // oldest first
}

func (c *rateCache) get(ctx context.Context, id int64) (*fx.Rates, error) {
	if set := c.kept(id); set != nil {
		return set, nil
	}
	// All who wait for a set share one read, which no single one of them ends.
	loaded, err, _ := c.loading.Do(strconv.FormatInt(id, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ratesWithin)
		defer cancel()
		set, err := c.source.Rates(ctx, id)
		if err != nil {
			return nil, err
		}
		c.keep(id, set)
		return set, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read exchange rates %d: %w", id, err)
	}
	return loaded.(*fx.Rates), nil //nolint:errcheck,forcetypeassert // what the function above returns
}

func (c *rateCache) kept(id int64) *fx.Rates {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sets[id]
}

func (c *rateCache) keep(id int64, set *fx.Rates) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets[id] == nil {
		c.order = append(c.order, id)
	}
	c.sets[id] = set
	if len(c.order) > keptRates {
		delete(c.sets, c.order[0])
		c.order = c.order[1:]
	}
}
