package apply_test

import (
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

const settled = `
merchants:
- id: shop
  fee: {withdrawal_percent: 1.25}
  settlement: {account_number: "000123456789", account_name: Shop Traders, ifsc: hdfc0000001, method: imps_ib,
    schedule: weekly, day: mon, at: "18:05", least: 500, keep: "1,000.50"}
payouts:
- {id: desk, kind: manual, method: imps_ib}
`

func TestSettlementIsRegistered(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, settled)
	shop := func() *directory.Settlement { return m.snapshot(t).Merchant("shop").Settlement }
	want := directory.Settlement{
		Account: "000123456789", Name: "Shop Traders", IFSC: "HDFC0000001", Method: "imps_ib", Least: 500_00, Keep: 1000_50, RegisteredAt: noon,
		Schedule: directory.Schedule{Every: directory.Weekly, Weekday: time.Monday, At: 18*60 + 5, Since: noon},
	}
	if got := *shop(); got != want {
		t.Errorf("registered %+v, want %+v", got, want)
	}
	if fee := m.snapshot(t).Merchant("shop").Fee.WithdrawalPercent.String(); fee != "1.25" {
		t.Errorf("the fee is %s %%", fee)
	}
	later := noon.Add(48 * time.Hour)
	change := func(from, to string) string {
		t.Helper()
		text := strings.ReplaceAll(settled, from, to)
		plan, err := apply.Run(t.Context(), m, mustParse(t, text), apply.Options{Now: func() time.Time { return later }})
		if err != nil {
			t.Fatal(err)
		}
		return printed(t, plan)
	}
	if got := change("x", "x"); got != "no changes\n" {
		t.Errorf("the same again prints %s", got)
	}
	// Another schedule is new from now on, the account stays as trusted as it was.
	if got := change("schedule: weekly, day: mon", "schedule: monthly, day: 28"); got != "~ merchant shop: settlement.schedule weekly mon at 18:05 → monthly 28 at 18:05\n" {
		t.Errorf("another schedule prints %s", got)
	}
	if got := shop(); !got.RegisteredAt.Equal(noon) || !got.Schedule.Since.Equal(later) || got.Schedule.Day != 28 {
		t.Errorf("another schedule is %+v", got)
	}
	later = later.Add(time.Hour)
	// Another account has to cool, and so has the first when it comes back.
	for _, number := range []string{"999123456789", "000123456789"} {
		later = later.Add(time.Hour)
		if got := change("000123456789", number); !strings.Contains(got, "settlement.account_number xxxxxxxx6789 → xxxxxxxx6789") || strings.Contains(got, "123456789") {
			t.Errorf("another account prints %s", got)
		}
		if got := shop(); !got.RegisteredAt.Equal(later) || got.CoolAt() != later.Add(24*time.Hour) || string(got.Account) != number {
			t.Errorf("another account is %+v", got)
		}
	}
	for _, e := range m.audit {
		if strings.Contains(e.Why, "123456789") {
			t.Errorf("the audit log has the account: %s", e.Why)
		}
	}
	// A name is part of it; one that was taken away is new when it is back.
	later = later.Add(time.Hour)
	change("Shop Traders", "Other Traders")
	if got := shop(); !got.RegisteredAt.Equal(later) {
		t.Errorf("another name is %+v", got)
	}
	m.mustApply(t, "merchants:\n- {id: shop}\n")
	if shop() != nil {
		t.Error("the account is still registered")
	}
	later = later.Add(time.Hour)
	change("x", "x")
	if got := shop(); !got.RegisteredAt.Equal(later) {
		t.Errorf("back again it is %+v", got)
	}
	// A merchant that comes back missed no run.
	m.mustApply(t, "merchants: []\n")
	registered := later
	later = later.Add(time.Hour)
	change("x", "x")
	if got := shop(); !got.RegisteredAt.Equal(registered) || !got.Schedule.Since.Equal(later) {
		t.Errorf("with its merchant back it is %+v", got)
	}
}

func TestSettlementErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, want string }{
		{`"000123456789"`, "12345678", "settlement.account_number: is no account number"},
		{`"000123456789"`, `"777777777777"`, "settlement.account_number: is no account number"},
		{"Shop Traders", "Shop 24", `settlement.account_name: "Shop 24" is no name that banks take`},
		{"Shop Traders", strings.Repeat("a", 31), "is no name that banks take"},
		{"hdfc0000001", "HDFC1000001", `settlement.ifsc: "HDFC1000001" is no IFSC`},
		{"hdfc0000001", "ZZZZ0000001", "is of no bank that is known: check the first four letters, ZZZZ"},
		{"ifsc: hdfc0000001, ", "", "settlement: ifsc is missing: add it"},
		{"imps_ib,", "neft,", `shop.yaml:5: merchants[0].settlement.method: no payout desk pays by "neft"`},
		{"weekly", "hourly", `settlement.schedule: "hourly" is not known here`},
		{"schedule: weekly, ", "", "settlement.day: needs schedule beside it"},
		{"day: mon, ", "", "settlement: day is missing: add it"},
		{"day: mon", "day: monday", `"monday" is no day of the week`},
		{"schedule: weekly, day: mon", "schedule: monthly, day: 29", `"29" is no day that every month has: use 1 to 28`},
		{"schedule: weekly", "schedule: daily", "settlement.day: is for a weekly or monthly schedule"},
		{`, at: "18:05"`, "", "settlement: at is missing: add it"},
		{`"18:05"`, `"24:00"`, `settlement.at: "24:00" is no time of day`},
		{`"18:05"`, "18.05", "is no time of day"},
		{"least: 500", "least: -1", "settlement.least"},
		{"keep:", "stays:", "unknown key"},
		{"withdrawal_percent: 1.25", "withdrawal_percent: 101", "fee.withdrawal_percent"},
	} {
		text := strings.Replace(settled, tt.from, tt.to, 1)
		file, err := apply.Parse("shop.yaml", []byte(text))
		if err == nil {
			_, err = apply.Run(t.Context(), newMemory(), file, options())
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.to, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "777777") {
			t.Errorf("the error shows the account: %v", err)
		}
	}
}
