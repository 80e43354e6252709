package fx_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/milaan/milaan/internal/fx"
)

// shelf keeps sets in memory.
type shelf struct {
	mu   sync.Mutex
	sets []*fx.Rates
	err  error
}

func (s *shelf) SaveRates(_ context.Context, r *fx.Rates) (*fx.Rates, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if n := len(s.sets); n > 0 && s.sets[n-1].Same(r) {
		return s.sets[n-1], nil
	}
	s.sets = append(s.sets, r.WithID(int64(len(s.sets)+1)))
	return s.sets[len(s.sets)-1], nil
}

func (s *shelf) NewestRates(context.Context) (*fx.Rates, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case len(s.sets) == 0:
		return nil, fx.ErrNoRates
	default:
		return s.sets[len(s.sets)-1], nil
	}
}

func feedFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rates.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func clock() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

const newRates = `{"timestamp":1795400000,"base":"USD","rates":{"INR":90,"EUR":0.9}}`

func TestKeeper(t *testing.T) {
	t.Parallel()
	kept := new(shelf)
	path := feedFile(t, newRates)
	k, err := fx.OpenKeeper(t.Context(), kept, nil, path, clock)
	if err != nil {
		t.Fatal(err)
	}
	first := k.Current()
	if first.ID != 1 || k.ID() != 1 || len(first.Missing()) > 5 {
		t.Errorf("starts with set %d, which lacks %v", first.ID, first.Missing())
	}
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q, ok := k.Current().Quote("EUR"); k.ID() != 2 || !ok || q.Rupees != "90" {
		t.Errorf("after a refresh set %d quotes EUR as %+v", k.ID(), q)
	}
	if q, ok := k.Current().Quote("JPY"); !ok || q.Rupees == "90" {
		t.Errorf("what the feed does not quote keeps its own rate, got %+v, %v", q, ok)
	}
	// The same again is the same set.
	if err := k.Refresh(t.Context()); err != nil || k.ID() != 2 {
		t.Errorf("the same rates again are set %d, %v", k.ID(), err)
	}
	// A feed that fails leaves the rates in force.
	if err := os.WriteFile(path, []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Refresh(t.Context()); !errors.Is(err, fx.ErrFormat) || k.ID() != 2 {
		t.Errorf("a broken feed gives %v and set %d", err, k.ID())
	}
	// The next process goes on with what was kept.
	next, err := fx.OpenKeeper(t.Context(), kept, nil, "", clock)
	if err != nil || next.ID() != 2 {
		t.Errorf("the next process starts with set %d, %v", next.ID(), err)
	}
	if err := next.Refresh(t.Context()); err != nil {
		t.Errorf("without a feed there is nothing to refresh: %v", err)
	}
}

// A store that fails for a moment must not make the bundled rates the newest.
func TestKeeperNeedsItsStore(t *testing.T) {
	t.Parallel()
	if _, err := fx.OpenKeeper(t.Context(), &shelf{err: errors.New("down")}, nil, "", clock); err == nil {
		t.Error("a store that can't be read was passed over")
	}
}

func TestKeeperFollows(t *testing.T) {
	t.Parallel()
	path := feedFile(t, newRates)
	synctest.Test(t, func(t *testing.T) {
		k, err := fx.OpenKeeper(t.Context(), new(shelf), nil, path, clock)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.Follow(ctx, time.Hour, slog.New(slog.DiscardHandler))
		time.Sleep(time.Minute)
		if k.ID() != 2 {
			t.Errorf("the feed was not read at once: set %d", k.ID())
		}
		stop()
		synctest.Wait()
	})
}
