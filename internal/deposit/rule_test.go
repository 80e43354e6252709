package deposit_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		when  string
		holds bool
	}{
		{`true`, true},
		{`false`, false},
		{`amount == 500`, true},
		{`500 == amount`, true},
		{`amount != 500`, false},
		{`amount > 499.99`, true},
		{`amount > 500.00`, false},
		{`amount >= 500.00`, true},
		{`amount < 500.01`, true},
		{`amount <= 499.99`, false},
		{`499.99 < amount && 500.01 > amount`, true},
		{`amount == credit.amount`, true},
		{`amount < credit.amount or amount > credit.amount`, false},
		{`credit.amount >= 100000`, false},
		{`merchant == "shop" and method in ["upi_l", "upi_w"]`, true},
		{`label startsWith "5" && custom_id == "a" && via == "api"`, true},
		{`utr matches "^0+1$"`, true},
		{`credit.wallet == "till" and credit.feed == "bank"`, true},
		{`credit.payer_vpa endsWith "@b" and credit.payer_name == ""`, true},
		{`credit.age_minutes >= 1 and credit.age_minutes < 2`, true},
		{`credit.verified`, true},
		{`history.label_failures + history.address_failures + history.merchant_failures > 5`, true},
		{`history.rivals > 0`, false},
		{`history.shown`, true},
	} {
		c := agreed()
		c.History = deposit.History{Shown: []string{"till"}, LabelFailures: 1, AddressFailures: 2, MerchantFailures: 3}
		c.Rules = mustCompile(t, tt.when)
		d := deposit.Match(c)
		if got := d.Reasons.Has("rule:own"); got != tt.holds {
			t.Errorf("%s: %t (%s)", tt.when, got, d.Reasons)
		}
	}
}

func TestRulesThatDoNotCompile(t *testing.T) {
	t.Parallel()
	for _, when := range []string{
		``, `amount`, `1`, `"yes"`, `nil`, `amount >`, `sum > 5`, `claim.amount > 5`,
		// Amounts are compared, and nothing else: sums over binary numbers are not exact.
		`amount + 1 > 5`, `amount - credit.amount > 5`, `amount * 2 > 5`, `credit.amount / 2 > 5`, `-amount < 5`, `amount % 100 == 0`,
		`amount > "500"`, `amount == nil`, `amount in [500, 99.50]`, `amount in [500, label]`, `label in ["x", amount]`, `amount in [500, 1000]`, `amount in 1..500`, `not (amount in [credit.amount])`, `[500] == [amount]`,
		`any([500], # == amount && false) || amount in {"a": 1}`,
		`max(amount, credit.amount) == amount`, `int(amount) > 5`, `float(amount) > 5`,
		`amount > 0.001`, `amount == 1e300`, `amount < 99999999999999999999.0`,
		// The same case must be decided the same way tomorrow.
		`now().Hour() > 3`, `date("2026-01-01") < now()`,
	} {
		_, err := deposit.CompileRules([]*directory.Rule{{Name: "fine", When: `true`}, {Name: "night watch", When: when}})
		if err == nil {
			t.Errorf("%s was accepted", when)
		} else if !strings.Contains(err.Error(), "night watch") {
			t.Errorf("%s: the error names no rule: %v", when, err)
		}
	}
}

// A rule that cannot be read must hold.
func TestRuleThatFailsHolds(t *testing.T) {
	t.Parallel()
	c := agreed()
	c.Rules = mustCompile(t, `merchant == "shop" && ["x"][history.label_failures] == "y"`)
	c.History.LabelFailures = 7
	if d := deposit.Match(c); d.State != deposit.Pending || !d.Reasons.Has("rule:own") {
		t.Errorf("decided %s for %s", d.State, d.Reasons)
	}
}

// Comparisons with what a person writes are exact to the paisa, at any size.
func TestRuleSumsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := money.Paise(rapid.Int64Range(0, 1e13).Draw(t, "limit"))
		amount := max(limit+money.Paise(rapid.Int64Range(-2, 2).Draw(t, "off by")), 1)
		for sign, want := range map[string]bool{
			"==": amount == limit, "!=": amount != limit, "<": amount < limit,
			"<=": amount <= limit, ">": amount > limit, ">=": amount >= limit,
		} {
			for _, text := range []string{limit.Fixed(), limit.String()} {
				c := agreed()
				c.Claim.Amount, c.Credits[0].Amount = amount, amount
				c.Rules = mustCompile(t, "amount "+sign+" "+text)
				if got := deposit.Match(c).Reasons.Has("rule:own"); got != want {
					t.Fatalf("%s %s %s is %t", amount, sign, text, got)
				}
			}
		}
	})
}

func TestReasons(t *testing.T) {
	t.Parallel()
	if rs := deposit.ParseReasons(""); rs != nil || rs.String() != "" || rs.Has("") {
		t.Errorf("no reasons are %q", rs)
	}
	rapid.Check(t, func(t *rapid.T) {
		rs := deposit.Reasons(rapid.SliceOf(rapid.SampledFrom([]deposit.Reason{
			deposit.AmountDiffers, deposit.UTRTaken, deposit.CreditUnverified, "rule:night watch", "rule:Größe.1-2_3",
		})).Draw(t, "reasons"))
		back := deposit.ParseReasons(rs.String())
		if len(back) != len(rs) || back.String() != rs.String() {
			t.Fatalf("%q became %q", rs, back)
		}
		for _, r := range rs {
			if !back.Has(r) {
				t.Fatalf("%s was lost", r)
			}
		}
	})
}

func TestDayOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   time.Time
		want deposit.Day
	}{
		{time.Date(2026, 3, 14, 18, 29, 59, 999, time.UTC), 20260314},
		{time.Date(2026, 3, 14, 18, 30, 0, 0, time.UTC), 20260315}, // midnight in India
		{time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), 20270101},
	} {
		if got := deposit.DayOf(tt.at); got != tt.want {
			t.Errorf("%s is of %d, want %d", tt.at, got, tt.want)
		}
	}
}

func TestCanTake(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		wallet       directory.Wallet
		amount, used money.Paise
		want         bool
	}{
		{"open", directory.Wallet{Enabled: true}, 500, 1e15, true},
		{"disabled", directory.Wallet{}, 500, 0, false},
		{"retired", directory.Wallet{Enabled: true, Retired: true}, 500, 0, false},
		{"at the most of a payment", directory.Wallet{Enabled: true, PerPaymentMax: 500}, 500, 0, true},
		{"above the most of a payment", directory.Wallet{Enabled: true, PerPaymentMax: 500}, 501, 0, false},
		{"fills the day", directory.Wallet{Enabled: true, DailyLimit: 1000}, 500, 500, true},
		{"above the day", directory.Wallet{Enabled: true, DailyLimit: 1000}, 500, 501, false},
		{"amount unknown, a paisa left", directory.Wallet{Enabled: true, DailyLimit: 1000}, 0, 999, true},
		{"amount unknown, nothing left", directory.Wallet{Enabled: true, DailyLimit: 1000}, 0, 1000, false},
		{"an absurd amount", directory.Wallet{Enabled: true, DailyLimit: 1000}, 1<<63 - 1, 1000, false},
	} {
		if got := deposit.CanTake(&tt.wallet, tt.amount, tt.used); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestUnverifiedIsTheDefaultThreshold(t *testing.T) {
	t.Parallel()
	c := agreed()
	c.Claim.Amount, c.Credits[0].Amount, c.Credits[0].Trust = 10_000_01, 10_000_01, feed.Provisional
	if d := deposit.Match(c); d.State != deposit.Pending {
		t.Errorf("an SMS alone credited %s", c.Claim.Amount)
	}
}
