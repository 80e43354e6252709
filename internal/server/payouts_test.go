package server

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// The operator is told of withdrawals that are contested, for as long as they are.
func TestContestedWithdrawalsAreTold(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	g, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	key := payout.Key{Merchant: "shop", WithdrawalID: "1"}
	for i, contested := range []bool{false, true, false} {
		if err := g.store.ChangeWithdrawal(t.Context(), payout.Find{Key: key}, func(f *payout.Facts) (*payout.Changes, error) {
			w := f.Withdrawal
			if w == nil {
				w = &payout.Withdrawal{ID: 77, Key: key, Amount: 100, Currency: money.INR, State: payout.Failed}
			}
			w.Contested, w.Doubts = contested, []string{"paid after all"}
			return &payout.Changes{Withdrawal: w}, nil
		}); err != nil {
			t.Fatal(err)
		}
		troubles, err := g.troubles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(troubles, func(t notice.Trouble) bool { return t.Key == "withdrawals/contested" })
		if contested != (at >= 0) || contested && (troubles[at].Severity != notice.Critical || !strings.HasSuffix(troubles[at].Subject, "contested: 1")) {
			t.Errorf("step %d: told of %+v", i, troubles)
		}
		if got := testutil.ToFloat64(g.payouts.contested); (got == 1) != contested {
			t.Errorf("step %d: the gauge shows %v", i, got)
		}
	}
}
