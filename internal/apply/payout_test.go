package apply_test

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/money"
)

func TestPayoutLimits(t *testing.T) {
	t.Parallel()
	m := newMemory()
	const desk = "payouts:\n- {id: desk, kind: manual, method: imps_ib, label_per_day: 500, wallet_per_day: 1000.50}\n"
	m.mustApply(t, desk)
	if d := m.snapshot(t).Payouts[0]; d.WalletDay != 1000_50 || d.LabelDay != 500*money.Rupee {
		t.Errorf("stored %+v", d)
	}
	if got := printed(t, m.mustApply(t, strings.Replace(desk, "1000.50", "0", 1))); !strings.Contains(got, "wallet_per_day") {
		t.Errorf("printed\n%s", got)
	}
	if d := m.snapshot(t).Payouts[0]; d.WalletDay != 0 {
		t.Errorf("stored %+v", d)
	}
}
