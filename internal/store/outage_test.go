//go:build unix

package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/storetest"
)

// TestCommitWaitsForStandby: what no standby has is not to be seen, however long
// its commit takes. Otherwise a gateway that asks again would acknowledge it, and a
// failover would lose it.
func TestCommitWaitsForStandby(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	l, err := store.ParseLocation(storetest.URL("postgres", server))
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParseKey("a key of a test, which guards nothing at all")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), l, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	server.Do(t, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (nobody)'")
	server.Do(t, "SELECT pg_reload_conf()")
	server.Await(t, "SELECT current_setting('synchronous_standby_names') <> ''")

	now := time.Now()
	for name, commit := range map[string]func(context.Context) error{
		"transaction": func(ctx context.Context) error {
			_, err := db.Hold(ctx, "a duty", "a gateway", now, time.Minute)
			return err
		},
		"group commit": func(ctx context.Context) error {
			return db.Settle(ctx, &deposit.Keys{}, func(*deposit.Facts) (*deposit.Changes, error) {
				return &deposit.Changes{Assignments: []deposit.Assignment{{Merchant: "shop", Method: "upi_l", Label: "55", Wallet: "w1", ShownAt: now, ExpiresAt: now}}}, nil
			})
		},
	} {
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := commit(impatient); !store.Outage(err) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a %s without a standby gives %v", name, err)
		}
		cancel()
	}
	const waiting = "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	const seen = "SELECT (SELECT count(*) FROM duties) + (SELECT count(*) FROM assignments) = "
	for range 20 { // a request to cancel would have come by now
		server.Await(t, seen+"0")
		time.Sleep(25 * time.Millisecond)
	}
	server.Await(t, waiting)
	server.Do(t, "ALTER SYSTEM RESET synchronous_standby_names")
	server.Do(t, "SELECT pg_reload_conf()")
	server.Await(t, seen+"2")
}
