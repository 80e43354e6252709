package razorpayx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/razorpayx"
)

// impersonal fails if an error or an answer names the beneficiary, an account or
// the secret.
func impersonal(tb testing.TB, texts ...string) {
	tb.Helper()
	for _, text := range texts {
		for _, secret := range []string{someAccount, "Asha", "Rangaswamy", debitAccount, keySecret} {
			if strings.Contains(text, secret) {
				tb.Errorf("%q tells %q", text, secret)
			}
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	answer, err := p.Send(t.Context(), order)
	want := payout.Answer{Standing: payout.Accepted, ProviderRef: "pout_00000000000001", Why: "processing"}
	if err != nil || answer != want {
		t.Fatalf("Send: %+v, %v; want %+v", answer, err, want)
	}
	list, _ := d.of(order.Reference)
	if len(list) != 1 {
		t.Fatalf("%d payouts", len(list))
	}
	for field, want := range (object{
		"amount": int64(order.Amount), "currency": "INR", "mode": "IMPS", "purpose": "payout", "narration": "MLP1 Acme", "fund_account_id": "fa_00000000000001",
	}) {
		if got := list[0].object[field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if key := d.headers[0].Get("X-Payout-Idempotency"); key != "milaan-MLP1" {
		t.Errorf("key %q", key)
	}

	order.ProviderRef = answer.ProviderRef
	d.turn(order.Reference, "processed", "payout_processed")
	answer, err = p.Ask(t.Context(), order)
	if want = (payout.Answer{Standing: payout.Paid, ProviderRef: order.ProviderRef, BankRef: "612345678901"}); err != nil || answer != want {
		t.Fatalf("Ask: %+v, %v; want %+v", answer, err, want)
	}
	d.turn(order.Reference, "reversed", "beneficiary_bank_offline")
	answer, err = p.Ask(t.Context(), order)
	if want = (payout.Answer{Standing: payout.Refused, ProviderRef: order.ProviderRef, BankRef: "612345678901", Why: "reversed: beneficiary_bank_offline"}); err != nil || answer != want {
		t.Fatalf("Ask: %+v, %v; want %+v", answer, err, want)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, reason string
		want           payout.Standing
	}{
		{"pending", "pending_approval", payout.Accepted},
		{"queued", "low_balance", payout.Accepted},
		{"scheduled", "", payout.Accepted},
		{"processing", "beneficiary_bank_confirmation_pending", payout.Accepted},
		{"processed", "payout_processed", payout.Paid},
		{"reversed", "imps_not_allowed", payout.Refused},
		{"reversed", "payout_processed", payout.Refused}, // details of before
		{"rejected", "", payout.Refused},
		{"cancelled", "", payout.Refused},
		{"failed", "bank_account_closed", payout.Refused},
		{"failed", "payout_processed", payout.Unclear},
		{"on_hold", "", payout.Unclear},
		{"Failed", "", payout.Unclear},
	} {
		t.Run(c.status+" "+c.reason, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t)
			p, order := d.provider(t), d.order(1)
			if _, err := p.Send(t.Context(), order); err != nil {
				t.Fatal(err)
			}
			d.turn(order.Reference, c.status, c.reason)
			byReference, err := p.Ask(t.Context(), order)
			if err != nil || byReference.Standing != c.want {
				t.Errorf("by reference: %+v, %v", byReference, err)
			}
			order.ProviderRef = "pout_00000000000001"
			byID, err := p.Ask(t.Context(), order)
			if err != nil || byID != byReference {
				t.Errorf("by id %+v, %v; by reference %+v", byID, err, byReference)
			}
			if c.want == payout.Refused && !strings.HasPrefix(byID.Why, c.status) {
				t.Errorf("Why %q", byID.Why)
			}
			impersonal(t, byID.Why)
		})
	}
}

// What goes wrong at each of the three calls.
func TestFaultsOfSend(t *testing.T) {
	t.Parallel()
	certain := map[fault]bool{tooMany: true, unauthorized: true, forbidden: true}
	for _, f := range faults {
		for call, name := range []string{"contact", "fund account", "payout"} {
			t.Run(name+" "+string(f), func(t *testing.T) {
				t.Parallel()
				d := newDouble(t)
				p, order := d.provider(t), d.order(1)
				for range call {
					d.fail(fine)
				}
				d.fail(f)
				answer, err := p.Send(t.Context(), order)
				harmless := f == fine || f == unfiltered || // and those that distort another call's answer:
					call != 2 && (f == foreign || f == otherAccount || f == undocumented || f == contradiction) ||
					call != 1 && f == otherBank || call == 2 && f == inactive
				switch {
				case harmless:
					if err != nil || answer.Standing != payout.Accepted {
						t.Fatalf("%+v, %v", answer, err)
					}
					return
				case call == 2 && (f == undocumented || f == contradiction):
					if err != nil || answer.Standing != payout.Unclear {
						t.Fatalf("%+v, %v", answer, err)
					}
				case err == nil:
					t.Fatalf("no error, but %+v", answer)
				case errors.Is(err, payout.ErrNotSent) != (call < 2 || certain[f]):
					t.Fatalf("error %v", err)
				default:
					impersonal(t, err.Error())
				}
				// However it was, sending again pays once.
				d.calm()
				d.advance(10 * time.Second)
				again, err := p.Send(t.Context(), order)
				if f == late && call == 2 {
					if err == nil || errors.Is(err, payout.ErrNotSent) {
						t.Fatalf("again, while it is late: %+v, %v", again, err)
					}
					d.advance(time.Hour)
					again, err = p.Send(t.Context(), order)
				}
				if err != nil || again.Standing != payout.Accepted {
					t.Errorf("again: %+v, %v", again, err)
				}
				if list, _ := d.of(order.Reference); len(list) != 1 {
					t.Errorf("%d payouts", len(list))
				}
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	for header, want := range map[string]time.Duration{
		"17":                            17 * time.Second,
		"":                              0,
		"-5":                            0,
		"soon":                          0,
		"1000000":                       time.Hour,
		"Mon, 04 May 2026 04:52:30 GMT": 2 * time.Minute,
		"Mon, 04 May 2026 04:00:00 GMT": 0,
	} {
		p := d.through(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {header}}, Body: http.NoBody}, nil
		})
		order := d.order(1)
		_, err := p.Send(t.Context(), order)
		var wait interface{ RetryAfter() time.Duration }
		if !errors.Is(err, payout.ErrNotSent) || !errors.As(err, &wait) || wait.RetryAfter().Round(time.Second) != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func TestErrorsNameNobody(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	for description, kept := range map[string]bool{
		"The contact is not active":                     true,
		"No contact RANGASWAMY":                         false,
		"Account " + someAccount + " is closed":         false,
		"Line one\nline two":                            false,
		strings.Repeat("A very long description. ", 20): false,
	} {
		body, _ := json.Marshal(object{"error": object{"code": "BAD_REQUEST_ERROR", "reason": description, "field": description, "description": description}})
		p := d.through(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})
		_, err := p.Send(t.Context(), d.order(1))
		refusal, ok := errors.AsType[*razorpayx.Error](err)
		if !ok || refusal.Code != "BAD_REQUEST_ERROR" || (refusal.Description == description) != kept || strings.Contains(err.Error(), description) != kept {
			t.Errorf("%q: %v", description, err)
		}
	}
}

// One order is not sent twice at the same moment, and is not absent while it is
// being sent.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	arrived, leave := make(chan struct{}), make(chan struct{})
	p := d.through(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/v1/contacts" {
			close(arrived)
			<-leave
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	order := d.order(1)
	first := make(chan error)
	go func() {
		_, err := p.Send(t.Context(), order)
		first <- err
	}()
	<-arrived
	if _, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
		t.Errorf("the second: %v", err)
	}
	d.advance(2 * time.Hour)
	if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Unclear {
		t.Errorf("asked: %+v, %v", answer, err)
	}
	close(leave)
	if err := <-first; err != nil || len(d.payouts) != 1 {
		t.Errorf("the first: %v, %d payouts", err, len(d.payouts))
	}
}

// A time-out of the caller's context is unclear once the payout was asked for.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	p := d.through(t, func(r *http.Request) (*http.Response, error) {
		if calls++; calls == 3 {
			resp, err := http.DefaultTransport.RoundTrip(r.Clone(context.WithoutCancel(ctx)))
			if err == nil {
				resp.Body.Close()
			}
			cancel()
			return nil, ctx.Err()
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	order := d.order(1)
	if _, err := p.Send(ctx, order); err == nil || errors.Is(err, payout.ErrNotSent) {
		t.Fatalf("Send: %v", err)
	}
	if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Accepted {
		t.Errorf("Ask: %+v, %v", answer, err)
	}
	cancel()
	if _, err := p.Send(ctx, d.order(2)); !errors.Is(err, payout.ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("Send with a context that has ended: %v", err)
	}
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	d.Close()
	if _, err := p.Send(t.Context(), order); !errors.Is(err, payout.ErrNotSent) {
		t.Errorf("Send: %v", err)
	}
	if _, err := p.Ask(t.Context(), order); err == nil || strings.Contains(err.Error(), debitAccount) {
		t.Errorf("Ask: %v", err)
	}
}

// A refusal of the payout is Refused; one for the account that pays can be put
// right, and one after a try that is not clear says nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tooMuch := func(o payout.Order) payout.Order { o.Amount = 600_000_00; return o }

	t.Run("the order", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		answer, err := d.provider(t).Send(t.Context(), tooMuch(d.order(1)))
		if err != nil || answer.Standing != payout.Refused || !strings.Contains(answer.Why, "amount") {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	t.Run("the balance", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), d.order(1)
		d.broke = true
		if answer, err := p.Send(t.Context(), order); !errors.Is(err, payout.ErrNotSent) || !strings.Contains(err.Error(), "balance") {
			t.Errorf("%+v, %v", answer, err)
		}
		d.broke = false
		if answer, err := p.Send(t.Context(), order); err != nil || answer.Standing != payout.Accepted {
			t.Errorf("with money: %+v, %v", answer, err)
		}
	})
	t.Run("after an unclear try", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), tooMuch(d.order(1))
		d.fail(fine, fine, dropBefore)
		for range 3 {
			if answer, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
				t.Fatalf("%+v, %v", answer, err)
			}
		}
		d.advance(time.Hour)
		if answer, err := p.Send(t.Context(), order); err != nil || answer.Standing != payout.Refused {
			t.Errorf("an hour later: %+v, %v", answer, err)
		}
	})
	t.Run("the beneficiary", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), d.order(1)
		order.IFSC = "XXXX0000053"
		_, err := p.Send(t.Context(), order)
		refusal, ok := errors.AsType[*razorpayx.Error](err)
		if !errors.Is(err, payout.ErrNotSent) || !ok || refusal.Field != "ifsc" || refusal.Description != "" {
			t.Errorf("%v", err)
		}
		impersonal(t, err.Error())
	})
	t.Run("the key", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), d.order(1)
		d.keys["milaan-MLP1"] = &keyed{at: d.now}
		if answer, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

// An order that another process sent, and whose answer nobody heard.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	d.fail(fine, fine, dropAfter)
	if _, err := p.Send(t.Context(), order); err == nil {
		t.Fatal("no error")
	}
	d.advance(time.Second)
	p = d.provider(t)
	requests := d.requests
	answer, err := p.Send(t.Context(), order)
	if err != nil || answer.Standing != payout.Accepted || answer.ProviderRef == "" || d.requests != requests+1 {
		t.Errorf("%+v, %v, %d requests", answer, err, d.requests-requests)
	}
	// Without access, nothing can be said of it.
	d.fail(unauthorized)
	if _, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
		t.Errorf("unauthorized: %v", err)
	}
}

// What was turned away may be sent again at once.
func TestAbsentAtOnce(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	d.fail(fine, fine, tooMany)
	if _, err := p.Send(t.Context(), order); !errors.Is(err, payout.ErrNotSent) {
		t.Fatal(err)
	}
	d.advance(5 * time.Minute)
	if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Absent {
		t.Errorf("Ask: %+v, %v", answer, err)
	}
	d.fail(unauthorized)
	if _, err := p.Send(t.Context(), order); !errors.Is(err, payout.ErrNotSent) {
		t.Errorf("again: %v", err)
	}
	d.fail(fine, fine, dropBefore)
	if _, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
		t.Errorf("dropped: %v", err)
	}
	if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Unclear {
		t.Errorf("Ask: %+v, %v", answer, err)
	}
	d.fail(fine, tooMany)
	if _, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
		t.Errorf("after one that may have left: %v", err)
	}
}

func TestAbsentTakesAnHour(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	ask := func(want payout.Standing) {
		t.Helper()
		if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != want {
			t.Fatalf("%+v, %v; want %s", answer, err, want)
		}
	}
	ask(payout.Unclear)
	d.advance(59 * time.Minute)
	d.fail(fine, fine, fine, dropBefore) // looked up, contact, fund account
	if _, err := p.Send(t.Context(), order); err == nil {
		t.Fatal("no error")
	}
	d.advance(59 * time.Minute)
	ask(payout.Unclear)
	d.advance(time.Minute)
	ask(payout.Absent)
	p = d.provider(t)
	ask(payout.Unclear) // another process may have sent it just before
	d.advance(time.Hour)
	ask(payout.Absent)
}

// RazorpayX forgets a key after 7 days: nothing is paid that is older.
func TestOldOrderIsNotPaid(t *testing.T) {
	t.Parallel()
	d := newDouble(t)
	p, order := d.provider(t), d.order(1)
	d.advance(7 * 24 * time.Hour)
	if answer, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) || len(d.payouts) != 0 {
		t.Errorf("%+v, %v", answer, err)
	}
}

// A payout that bears the reference and is not the order's is never taken for it.
func TestPayoutOfAnother(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*payout.Order){
		"amount": func(o *payout.Order) { o.Amount++ },
		"older":  func(o *payout.Order) { o.At = o.At.Add(24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t)
			p, order := d.provider(t), d.order(1)
			if _, err := p.Send(t.Context(), order); err != nil {
				t.Fatal(err)
			}
			d.turn(order.Reference, "processed", "payout_processed")
			change(&order)
			d.advance(25 * time.Hour)
			for _, id := range []string{"", "pout_00000000000001"} {
				order.ProviderRef = id
				if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Unclear {
					t.Errorf("%+v, %v", answer, err)
				}
			}
		})
	}
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), d.order(1)
		if _, err := p.Send(t.Context(), order); err != nil {
			t.Fatal(err)
		}
		d.payouts = append(d.payouts, d.payouts[0])
		if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Unclear {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	t.Run("the id is not known", func(t *testing.T) {
		t.Parallel()
		d := newDouble(t)
		p, order := d.provider(t), d.order(1)
		order.ProviderRef = "pout_9"
		d.advance(2 * time.Hour)
		if answer, err := p.Ask(t.Context(), order); err != nil || answer.Standing != payout.Unclear {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

func TestImpossibleOrders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*payout.Order)
		refused bool // and not an error of the caller
	}{
		"reference": {func(o *payout.Order) { o.Reference = "MLP&1" }, false},
		"time":      {func(o *payout.Order) { o.At = time.Time{} }, false},
		"id":        {func(o *payout.Order) { o.ProviderRef = "../contacts" }, false},
		"currency":  {func(o *payout.Order) { o.Currency = "USD" }, true},
		"amount":    {func(o *payout.Order) { o.Amount = 99 }, true},
		"account":   {func(o *payout.Order) { o.Account = "12" }, true},
		"IFSC":      {func(o *payout.Order) { o.IFSC = "HDFC" }, true},
		"name":      {func(o *payout.Order) { o.Name = "आशा" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t)
			p, order := d.provider(t), d.order(1)
			c.change(&order)
			answer, err := p.Send(t.Context(), order)
			if errors.Is(err, payout.ErrNotSent) == c.refused || (answer.Standing == payout.Refused) != c.refused || d.requests != 0 {
				t.Errorf("%+v, %v, %d requests", answer, err, d.requests)
			}
			if !c.refused {
				return
			}
			// A version that took it may have sent it.
			d.advance(10 * time.Minute)
			if answer, err := p.Send(t.Context(), order); err == nil || errors.Is(err, payout.ErrNotSent) {
				t.Errorf("later: %+v, %v", answer, err)
			}
		})
	}
}

// Names are written as RazorpayX takes them.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Asha  Rangaswamy":          "Asha Rangaswamy",
		"K & R Sons (Pvt) Ltd.":     "K R Sons (Pvt) Ltd.",
		"José Álvarez":              "Jos lvarez",
		"M/s D’Souza -":             "M/s D'Souza",
		"(Asha)":                    "(Asha",
		strings.Repeat("Long ", 30): strings.TrimSpace(strings.Repeat("Long ", 10)),
	} {
		d := newDouble(t)
		order := d.order(1)
		order.Name = name
		if _, err := d.provider(t).Send(t.Context(), order); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		for _, c := range d.contacts {
			if c["name"] != want {
				t.Errorf("%q became %q, want %q", name, c["name"], want)
			}
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Time{} }
	good := razorpayx.Config{KeyID: "k", KeySecret: "s", Account: debitAccount, Transport: http.DefaultTransport, Now: now}
	if _, err := razorpayx.New(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*razorpayx.Config){
		"plain http":   func(c *razorpayx.Config) { c.BaseURL = "http://api.razorpay.com" },
		"no URL":       func(c *razorpayx.Config) { c.BaseURL = "api.razorpay.com" },
		"a user":       func(c *razorpayx.Config) { c.BaseURL = "https://a:b@api.razorpay.com" },
		"no key":       func(c *razorpayx.Config) { c.KeyID = "" },
		"no secret":    func(c *razorpayx.Config) { c.KeySecret = "" },
		"no account":   func(c *razorpayx.Config) { c.Account = "" },
		"label":        func(c *razorpayx.Config) { c.Label = "A&B" },
		"no transport": func(c *razorpayx.Config) { c.Transport = nil },
		"no clock":     func(c *razorpayx.Config) { c.Now = nil },
	} {
		c := good
		change(&c)
		if _, err := razorpayx.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
