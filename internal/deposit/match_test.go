package deposit_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

// agreed is a case with nothing to object to.
func agreed() deposit.Case {
	return deposit.Case{
		Claim: &deposit.Claim{ID: 1, Merchant: "shop", CustomID: "a", Method: "upi_l", Label: "55", UTR: "000000000001",
			Amount: 500_00, Currency: money.INR, Via: "api", State: deposit.Waiting, CreatedAt: noon},
		Merchant: &directory.Merchant{ID: "shop", AmountPolicy: directory.PolicyExact},
		Credits:  []*deposit.Credit{credit(10, "till", 500_00)},
		Policy:   deposit.DefaultPolicy(),
	}
}

func credit(id int64, wallet string, amount money.Paise) *deposit.Credit {
	return &deposit.Credit{ID: id, Wallet: wallet, State: deposit.Unclaimed, Feed: "bank",
		Entry: feed.Entry{UTR: "000000000001", Amount: amount, Currency: money.INR, PayerVPA: "a@b", At: noon.Add(-time.Minute), Trust: feed.Confirmed}}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *deposit.Case)
		want   string // state, credit, reasons
	}{
		{"all agrees", func(*deposit.Case) {}, "credited 10 "},
		{"no credit", func(c *deposit.Case) { c.Credits = nil }, "waiting 0 "},
		{"bound", func(c *deposit.Case) { c.Credits[0].State = deposit.Bound }, "refused 0 utr_taken"},
		{"reversed", func(c *deposit.Case) { c.Credits[0].State = deposit.Reversed }, "pending 10 credit_reversed"},
		{"reversed on one wallet, bound on another", func(c *deposit.Case) {
			c.Credits[0].State = deposit.Bound
			c.Credits = append(c.Credits, credit(11, "spare", 500_00))
			c.Credits[1].State = deposit.Reversed
		}, "pending 11 credit_reversed"},
		{"bound on one wallet, free on another", func(c *deposit.Case) {
			c.Credits[0].State = deposit.Bound
			c.Credits = append(c.Credits, credit(11, "spare", 500_00))
		}, "credited 11 "},
		{"two free, one of the amount", func(c *deposit.Case) { c.Credits = append(c.Credits, credit(11, "spare", 499_00)) }, "credited 10 "},
		{"two free, neither of the amount", func(c *deposit.Case) {
			c.Claim.Amount = 1
			c.Credits = append(c.Credits, credit(11, "spare", 500_00))
		}, "pending 0 credit_ambiguous"},
		{"two free, both of the amount", func(c *deposit.Case) { c.Credits = append(c.Credits, credit(11, "spare", 500_00)) }, "pending 0 credit_ambiguous"},
		{"a paisa less", func(c *deposit.Case) { c.Credits[0].Amount-- }, "pending 10 amount_differs"},
		{"a paisa less, policy actual", func(c *deposit.Case) { c.Credits[0].Amount--; c.Merchant.AmountPolicy = directory.PolicyActual }, "credited 10 "},
		{"an amount policy nobody knows is exact", func(c *deposit.Case) { c.Credits[0].Amount--; c.Merchant.AmountPolicy = "" }, "pending 10 amount_differs"},
		{"a rival", func(c *deposit.Case) { c.Rivals = 1 }, "pending 10 rival_claims"},
		{"contested", func(c *deposit.Case) { c.Credits[0].Contested = true }, "pending 10 credit_contested"},
		{"shown", func(c *deposit.Case) { c.History.Shown = []string{"spare", "till"} }, "credited 10 "},
		{"another shown", func(c *deposit.Case) { c.History.Shown = []string{"spare"} }, "pending 10 wallet_not_shown"},
		{"none shown, strict", func(c *deposit.Case) { c.Policy.Shown = deposit.ShownStrict }, "pending 10 wallet_not_shown"},
		{"another shown, off", func(c *deposit.Case) {
			c.Policy.Shown, c.History.Shown = deposit.ShownOff, []string{"spare"}
		}, "credited 10 "},
		{"label at its limit", func(c *deposit.Case) { c.History.LabelFailures = c.Policy.LabelFailures }, "pending 10 too_many_failures"},
		{"label below its limit", func(c *deposit.Case) { c.History.LabelFailures = c.Policy.LabelFailures - 1 }, "credited 10 "},
		{"address at its limit", func(c *deposit.Case) { c.History.AddressFailures = c.Policy.AddressFailures }, "pending 10 too_many_failures"},
		{"merchant at its limit", func(c *deposit.Case) { c.History.MerchantFailures = c.Policy.MerchantFailures }, "pending 10 too_many_failures"},
		{"no limits", func(c *deposit.Case) {
			c.Policy.LabelFailures, c.Policy.AddressFailures, c.Policy.MerchantFailures = 0, 0, 0
			c.History = deposit.History{LabelFailures: 1e6, AddressFailures: 1e6, MerchantFailures: 1e6}
		}, "credited 10 "},
		{"as old as may be", func(c *deposit.Case) { c.Credits[0].At = noon.Add(-c.Policy.CreditMaxAge) }, "credited 10 "},
		{"too old", func(c *deposit.Case) { c.Credits[0].At = noon.Add(-c.Policy.CreditMaxAge - 1) }, "pending 10 credit_too_old"},
		{"old, no limit", func(c *deposit.Case) { c.Credits[0].At, c.Policy.CreditMaxAge = noon.Add(-1e6*time.Hour), 0 }, "credited 10 "},
		{"unverified at the threshold", func(c *deposit.Case) {
			c.Credits[0].Trust, c.Policy.UnverifiedMax = feed.Provisional, 500_00
		}, "credited 10 "},
		{"unverified above it", func(c *deposit.Case) {
			c.Credits[0].Trust, c.Policy.UnverifiedMax = feed.Provisional, 499_99
		}, "pending 10 credit_unverified"},
		{"unverified, no threshold", func(c *deposit.Case) {
			c.Credits[0].Trust, c.Policy.UnverifiedMax = feed.Provisional, 0
		}, "credited 10 "},
		{"several reasons", func(c *deposit.Case) {
			c.Rivals, c.Credits[0].Contested, c.Claim.Amount = 2, true, 1
		}, "pending 10 credit_contested,amount_differs,rival_claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := agreed()
			tt.change(&c)
			d := deposit.Match(c)
			var id int64
			if d.Credit != nil {
				id = d.Credit.ID
			}
			if got := fmt.Sprintf("%s %d %s", d.State, id, d.Reasons); got != tt.want {
				t.Errorf("decided %q, want %q", got, tt.want)
			}
		})
	}
}

// cases draws cases in which every condition often holds and often does not.
func cases(t *rapid.T) deposit.Case {
	few := func(label string) int { return rapid.IntRange(0, 3).Draw(t, label) }
	c := agreed()
	c.Claim.Amount = money.Paise(rapid.IntRange(1, 3).Draw(t, "claimed"))
	c.Merchant.AmountPolicy = rapid.SampledFrom([]directory.AmountPolicy{directory.PolicyExact, directory.PolicyActual}).Draw(t, "policy")
	c.Rivals = max(0, few("rivals")-2)
	c.History = deposit.History{LabelFailures: few("label"), AddressFailures: few("address"), MerchantFailures: few("merchant")}
	c.History.Shown = rapid.SampledFrom([][]string{nil, {"w0"}, {"w1"}, {"w0", "w1", "w2"}}).Draw(t, "shown")
	c.Policy.LabelFailures, c.Policy.AddressFailures, c.Policy.MerchantFailures = few("label limit"), few("address limit"), few("merchant limit")
	c.Policy.UnverifiedMax = money.Paise(few("unverified"))
	c.Policy.CreditMaxAge = time.Duration(few("age")) * time.Hour
	c.Policy.Shown = rapid.SampledFrom([]deposit.ShownPolicy{deposit.ShownOther, deposit.ShownStrict, deposit.ShownOff}).Draw(t, "shown policy")
	c.Credits = nil
	for i := range rapid.IntRange(0, 3).Draw(t, "credits") {
		one := credit(int64(10+i), fmt.Sprint("w", i), money.Paise(rapid.IntRange(1, 3).Draw(t, "amount")))
		one.State = rapid.SampledFrom([]deposit.CreditState{deposit.Unclaimed, deposit.Unclaimed, deposit.Bound, deposit.Reversed}).Draw(t, "state")
		one.Contested = few("contested") == 3
		one.Trust = rapid.SampledFrom([]feed.Trust{feed.Provisional, feed.Confirmed}).Draw(t, "trust")
		one.At = noon.Add(-time.Duration(few("hours")) * time.Hour)
		c.Credits = append(c.Credits, one)
	}
	if rapid.Bool().Draw(t, "rule") {
		c.Rules = mustCompile(t, `amount == 0.02`)
	}
	return c
}

func mustCompile(t interface {
	Helper()
	Fatal(args ...any)
}, when string) []deposit.Rule {
	t.Helper()
	rules, err := deposit.CompileRules([]*directory.Rule{{Name: "own", When: when}})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// Money is never given away while a single condition of the architecture's
// list holds.
func TestMatchProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := cases(t)
		before := fmt.Sprintf("%+v %+v %+v", *c.Claim, c.History, credits(c))
		d := deposit.Match(c)
		if again := deposit.Match(c); !reflect.DeepEqual(d, again) {
			t.Fatalf("decided %+v, then %+v", d, again)
		}
		if after := fmt.Sprintf("%+v %+v %+v", *c.Claim, c.History, credits(c)); after != before {
			t.Fatalf("matching changed\n%s\nto\n%s", before, after)
		}
		taken := !slices.ContainsFunc(c.Credits, func(r *deposit.Credit) bool { return r.State != deposit.Bound })
		switch {
		case (d.State == deposit.Waiting) != (len(c.Credits) == 0):
			t.Fatalf("%s with %d credits", d.State, len(c.Credits))
		case (d.State == deposit.Refused) != (len(c.Credits) > 0 && taken):
			t.Fatalf("%s where all are taken: %t", d.State, taken)
		case (d.State == deposit.Pending || d.State == deposit.Refused) != (len(d.Reasons) > 0):
			t.Fatalf("%s for %v", d.State, d.Reasons)
		case d.Credit != nil && d.Credit.State == deposit.Bound:
			t.Fatal("a bound credit was picked")
		case d.State != deposit.Credited:
			return
		}
		p, h, r := c.Policy, c.History, d.Credit
		for objection, holds := range map[string]bool{
			"not free":   r.State != deposit.Unclaimed,
			"contested":  r.Contested,
			"amount":     r.Amount != c.Claim.Amount && c.Merchant.AmountPolicy != directory.PolicyActual,
			"rivals":     c.Rivals > 0,
			"not shown":  p.Shown != deposit.ShownOff && len(h.Shown) > 0 && !slices.Contains(h.Shown, r.Wallet),
			"strict":     p.Shown == deposit.ShownStrict && len(h.Shown) == 0,
			"label":      p.LabelFailures > 0 && h.LabelFailures >= p.LabelFailures,
			"address":    p.AddressFailures > 0 && h.AddressFailures >= p.AddressFailures,
			"merchant":   p.MerchantFailures > 0 && h.MerchantFailures >= p.MerchantFailures,
			"age":        p.CreditMaxAge > 0 && noon.Sub(r.At) > p.CreditMaxAge,
			"unverified": p.UnverifiedMax > 0 && r.Trust == feed.Provisional && r.Amount > p.UnverifiedMax,
			"own rule":   len(c.Rules) > 0 && c.Claim.Amount == 2,
		} {
			if holds {
				t.Fatalf("credited in spite of: %s", objection)
			}
		}
	})
}

func credits(c deposit.Case) (list []deposit.Credit) {
	for _, one := range c.Credits {
		list = append(list, *one)
	}
	return list
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	if err := deposit.DefaultPolicy().Validate(); err != nil {
		t.Errorf("the default policy: %v", err)
	}
	for name, change := range map[string]func(*deposit.Policy){
		"no claim time":      func(p *deposit.Policy) { p.ClaimTTL = 0 },
		"no assignment time": func(p *deposit.Policy) { p.AssignmentTTL = -1 },
		"no shown policy":    func(p *deposit.Policy) { p.Shown = "" },
	} {
		p := deposit.DefaultPolicy()
		change(&p)
		if p.Validate() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
