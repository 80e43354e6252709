package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/store/storetest"
)

// TestYoungDatabase: before PostgreSQL has looked at what its tables hold, payments
// must not cost the more the more there are. Plans that were made of empty tables
// walked all claims of the merchant to find one.
func TestYoungDatabase(t *testing.T) { //nolint:tparallel // what its part reads is looked at behind it
	t.Parallel()
	const claims, atATime = 6000, 20
	db := storetest.Postgres(t)
	raw := db.Raw(t)
	t.Run("payments", func(t *testing.T) { // its end closes the connections, which then tell what they read
		h := storetest.MustOpenHouse(t, db, storetest.Setup{})
		if _, err := raw.ExecContext(t.Context(), `ALTER TABLE claims SET (autovacuum_enabled = off)`); err != nil {
			t.Fatal(err)
		}
		entries := make([]feed.Entry, claims)
		for n := range entries {
			entries[n] = h.Entry(storetest.UTR(n), 500_00)
		}
		h.MustReport("till", claims, 0, 0, entries...)
		var payers sync.WaitGroup
		for payer := range atATime {
			payers.Go(func() {
				for n := payer; n < claims; n += atATime {
					utr := storetest.UTR(n)
					if _, err := h.Desk.Activate(t.Context(), storetest.Claim(string(utr), utr, 500_00)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		payers.Wait()
	})
	var searches, read int64
	for range 100 {
		if err := raw.QueryRowContext(t.Context(), `SELECT SUM(idx_scan), SUM(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'claims'`).Scan(&searches, &read); err != nil {
			t.Fatal(err)
		}
		if searches >= 2*claims {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if searches < 2*claims {
		t.Fatalf("only %d searches among %d claims are known of: nothing was measured", searches, claims)
	}
	// While tables are tiny any plan is good: it may walk all of the first two thousand.
	if most := int64(400 * claims); read > most {
		t.Errorf("%d searches among %d claims went through %d entries of indexes, more than %d", searches, claims, read, most)
	}
}
