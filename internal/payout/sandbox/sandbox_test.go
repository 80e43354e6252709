package sandbox_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/sandbox"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func order(reference, digits string) payout.Order {
	return payout.Order{
		Reference:   reference,
		Beneficiary: payout.Beneficiary{Account: upi.AccountNumber("0045123456" + digits), Name: "Asha Rangaswamy", IFSC: "HDFC0000053"},
		Amount:      500_00, Currency: money.INR,
	}
}

// The outcomes as the package documents them: the answers to Send, and to Ask at
// once, again, and so on; a minute passes at "minute".
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const minute, silent payout.Standing = "minute", ""
	for digits, want := range map[string][]payout.Standing{
		"01": {payout.Paid, payout.Paid, minute, payout.Paid},
		"02": {payout.Refused, payout.Refused, minute, payout.Refused},
		"03": {payout.Accepted, payout.Accepted, payout.Accepted, payout.Paid, payout.Paid},
		"04": {silent, silent, silent, minute, payout.Paid, payout.Paid},
		"05": {silent, silent, minute, silent, minute, silent},
		"06": {payout.Paid, payout.Paid, minute, payout.Refused, payout.Refused},
		"17": {payout.Paid, minute, payout.Paid},
	} {
		t.Run(digits, func(t *testing.T) {
			t.Parallel()
			c := &clock{at: time.Date(2026, 5, 4, 4, 50, 30, 0, time.UTC)}
			p, o := sandbox.New(c.now), order("MLP1", digits)
			if a, err := p.Ask(t.Context(), o); err != nil || a.Standing != payout.Absent {
				t.Errorf("before: %+v, %v", a, err)
			}
			step := p.Send
			for i, w := range want {
				if w == minute {
					c.at = c.at.Add(time.Minute)
					continue
				}
				a, err := step(t.Context(), o)
				if a.Standing != w || errors.Is(err, sandbox.ErrNoAnswer) != (w == silent) || errors.Is(err, payout.ErrNotSent) {
					t.Fatalf("answer %d: %+v, %v; want %s", i, a, err, w)
				}
				if w == payout.Paid {
					if _, err := upi.ParseRRN(a.BankRef); err != nil || a.ProviderRef == "" {
						t.Errorf("answer %d: %+v", i, a)
					}
				}
				if digits == "06" && w == payout.Refused && a.Why != "reversed" {
					t.Errorf("Why %q", a.Why)
				}
				step = p.Ask
			}
		})
	}
}

func TestReferenceOfAnother(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Date(2026, 5, 4, 4, 50, 30, 0, time.UTC)}
	p, o := sandbox.New(c.now), order("MLP1", "01")
	if _, err := p.Send(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.Amount++
	if _, err := p.Send(t.Context(), o); !errors.Is(err, payout.ErrNotSent) {
		t.Errorf("%v", err)
	}
}

// However often an order is sent and asked for, and whenever: once an answer is
// definite it stays, but for the reversal, and the bank's reference is one.
func TestDefiniteAnswersStay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &clock{at: time.Date(2026, 5, 4, 4, 50, 30, 0, time.UTC)}
		p := sandbox.New(c.now)
		digits := rapid.SampledFrom([]string{"01", "02", "03", "04", "05", "06", "77"}).Draw(rt, "digits")
		o := order("MLP1", digits)
		var last payout.Answer
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			c.at = c.at.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "seconds")) * time.Second)
			step := p.Ask
			if rapid.Bool().Draw(rt, "send") {
				step = p.Send
			}
			a, err := step(t.Context(), o)
			switch {
			case err != nil || a.Standing == payout.Absent:
				if last.Standing != "" {
					rt.Fatalf("%+v, then %+v, %v", last, a, err)
				}
				continue
			case last.Standing == payout.Refused && a != last:
				rt.Fatalf("%+v, then %+v", last, a)
			case last.Standing == payout.Paid && a != last && (digits != "06" || a.Standing != payout.Refused || a.BankRef != last.BankRef):
				rt.Fatalf("%+v, then %+v", last, a)
			}
			last = a
		}
	})
}
