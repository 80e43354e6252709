package fx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Store is where sets of rates are kept.
type Store interface {
	// SaveRates keeps a set and gives it its number.
	SaveRates(ctx context.Context, rates *Rates) (*Rates, error)
	// NewestRates returns the set that was kept last, or ErrNoRates.
	NewestRates(ctx context.Context) (*Rates, error)
}

// Keeper holds the rates in force and renews them from a feed.
type Keeper struct {
	store    Store
	client   *http.Client
	location string // of the feed; empty for none
	now      func() time.Time
	current  atomic.Pointer[Rates]
}

// OpenKeeper takes up the newest kept rates, or the bundled snapshot where that
// is newer or there are none. Location is a URL or file for Load, or empty.
func OpenKeeper(ctx context.Context, store Store, client *http.Client, location string, now func() time.Time) (*Keeper, error) {
	k := &Keeper{store: store, client: client, location: location, now: now}
	bundled, err := Bundled()
	if err != nil {
		return nil, err
	}
	rates := bundled
	kept, err := store.NewestRates(ctx)
	switch {
	case err == nil:
		rates = Merge(bundled, kept)
	case !errors.Is(err, ErrNoRates):
		return nil, fmt.Errorf("read the kept exchange rates: %w", err)
	}
	saved, err := store.SaveRates(ctx, rates)
	if err != nil {
		return nil, err
	}
	k.current.Store(saved)
	return k, nil
}

// Current returns the rates in force.
func (k *Keeper) Current() *Rates { return k.current.Load() }

// ID is the number of the rates in force.
func (k *Keeper) ID() int64 { return k.current.Load().ID }

// Refresh reads the feed and puts its rates in force. On an error the rates in
// force stay.
func (k *Keeper) Refresh(ctx context.Context) error {
	if k.location == "" {
		return nil
	}
	loaded, err := Load(ctx, k.client, k.location, k.now())
	if err != nil {
		return err
	}
	saved, err := k.store.SaveRates(ctx, Merge(k.Current(), loaded))
	if err != nil {
		return fmt.Errorf("keep the new rates: %w", err)
	}
	k.current.Store(saved)
	return nil
}

// Follow refreshes at once and then at every interval, until ctx ends.
func (k *Keeper) Follow(ctx context.Context, every time.Duration, log *slog.Logger) {
	if k.location == "" {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := k.Refresh(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "exchange rates not refreshed; the last ones stay in force",
				"error", err, "as_of", k.Current().AsOf)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
