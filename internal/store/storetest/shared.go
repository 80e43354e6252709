package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// cafesClaim is an activation as the café's server sends it.
func cafesClaim(customID string, utr upi.UTR, amount money.Paise) deposit.Activation {
	a := Claim(customID, utr, amount)
	a.Merchant = Cafe
	return a
}

// twin gives a wallet another one's account.
func twin(id, of string, more func(*directory.Wallet)) func(*directory.Change) {
	return func(c *directory.Change) {
		for _, w := range c.Wallets {
			if w.ID == id {
				w.VPA = upi.VPA(of + "@UPI")
				if more != nil {
					more(w)
				}
			}
		}
	}
}

// testShared plays accounts that several merchants, or several wallets, share:
// where a mistake gives one what is another's.
func testShared(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"a shared account credits no other amount, whatever the policy", Setup{}, func(h *House) {
			early := h.MustActivate(cafesClaim("early", UTR(1), 1_00), deposit.Waiting)
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(1), 5000_00))
			h.MustFind(early.ID, deposit.Pending, deposit.AmountDiffers)
			// Its own account is its own.
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(2), 700_00))
			h.MustActivate(cafesClaim("own", UTR(2), 600_00), deposit.Credited)
		}},
		{"a neighbour who names UTRs in advance is looked at", policy(func(p *deposit.Policy) { p.SharedFailures = 5 }), func(h *House) {
			for i := range 6 {
				a := cafesClaim(fmt.Sprint("guess", i), UTR(100+i), 500_00)
				a.Label = fmt.Sprint("another", i) // each guess under a label of its own
				h.MustActivate(a, deposit.Waiting)
			}
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(105), 500_00))
			late := h.MustActivate(Claim("owner", UTR(105), 500_00), deposit.Pending, deposit.RivalClaims)
			h.MustApprove(late.ID)
			// On an account of its own the same guesses cost nobody anything.
			h.MustReport("bar", 1, 0, 1, h.Entry(UTR(100), 500_00))
		}},
		{"one account under two wallets counts a payment once", Setup{Change: twin("spare", "till", nil)}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReport("spare", 0, 1, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("spare", 0, 1, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
		}},
		{"a twin of another method can have the credit", Setup{Change: twin("window", "till", nil)}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			a := Claim("a", UTR(1), 500_00)
			a.Method = "upi_w"
			h.MustActivate(a, deposit.Credited)
		}},
		{"a retired twin claims nothing, and what it counted stays counted", Setup{Change: twin("till", "bar", func(w *directory.Wallet) { w.Retired = true })}, func(h *House) {
			shops := h.MustActivate(Claim("shop", UTR(1), 500_00), deposit.Waiting)
			h.MustReport("bar", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustFind(shops.ID, deposit.Waiting)
			h.MustActivate(cafesClaim("cafe", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 1, 0, h.Entry(UTR(1), 500_00))
		}},
		{"an overdue claim ends where it is met, before the sweep", Setup{}, func(h *House) {
			asks := h.MustActivate(Claim("asks", UTR(1), 500_00), deposit.Waiting)
			meets := h.MustActivate(Claim("meets", UTR(2), 500_00), deposit.Waiting)
			h.Clock.Advance(72 * time.Hour)
			h.MustActivate(Claim("asks", UTR(1), 500_00), deposit.Expired)
			h.MustFind(asks.ID, deposit.Expired)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 500_00))
			h.MustFind(meets.ID, deposit.Expired)
			// The money is there for who claims it now.
			h.MustActivate(Claim("again", UTR(2), 500_00), deposit.Credited)
		}},
		{"a deposit keeps the payer that its postback named", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 500_00)
			e.PayerVPA = ""
			h.MustReport("till", 1, 0, 0, e)
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 1, 0, h.Entry(UTR(1), 500_00))
			jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: Shop, Limit: 10}}, h.Clock.Now().Add(time.Hour), h.Clock.Now().Add(2*time.Hour))
			if err != nil || len(jobs) != 1 || jobs[0].ID != c.ID || jobs[0].Payer != "Asha" {
				h.Errorf("leased %+v, %v", jobs, err)
			}
		}},
	})
}

// testAmend plays payers who correct the UTR they mistyped.
func testAmend(t *testing.T, fresh Fresh) {
	t.Helper()
	amended := func(h *House, a deposit.Activation, want deposit.State, reasons ...deposit.Reason) deposit.Claim {
		h.Helper()
		c, err := h.Desk.Amend(h.Context(), a)
		if err != nil {
			h.Fatalf("amend %s: %v", a.CustomID, err)
		}
		h.mustBe(&c, want, reasons)
		return h.MustFind(c.ID, want, reasons...)
	}
	play(t, fresh, []scenario{
		{"to the UTR that came", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(2), 500_00), deposit.Waiting)
			amended(h, Claim("a", UTR(1), 500_00), deposit.Credited)
			// What came under the mistyped UTR is not this claim's any more.
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 500_00))
			_, err := h.Desk.Amend(h.Context(), Claim("a", UTR(2), 500_00))
			h.mustRefuse(err, deposit.NotAmendable)
		}},
		{"to a UTR that comes later", Setup{}, func(h *House) {
			h.MustActivate(Claim("a", UTR(2), 500_00), deposit.Waiting)
			c := amended(h, Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.MustReport("till", 2, 0, 1, h.Entry(UTR(2), 500_00), h.Entry(UTR(1), 500_00))
			h.MustFind(c.ID, deposit.Credited)
		}},
		{"from somebody else's UTR", Setup{}, func(h *House) {
			h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 500_00))
			h.MustActivate(Claim("first", UTR(1), 500_00), deposit.Credited)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
			amended(h, Claim("a", UTR(2), 500_00), deposit.Credited)
		}},
		{"to a UTR that somebody waits for", Setup{}, func(h *House) {
			h.MustActivate(Claim("first", UTR(1), 500_00), deposit.Waiting)
			h.MustActivate(Claim("a", UTR(2), 500_00), deposit.Waiting)
			c := amended(h, Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustFind(c.ID, deposit.Pending, deposit.RivalClaims)
		}},
		{"each try counts as a guess", policy(func(p *deposit.Policy) { p.LabelFailures = 2 }), func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 500_00))
			h.MustActivate(Claim("other", UTR(9), 500_00), deposit.Waiting)
			h.MustActivate(Claim("a", UTR(2), 500_00), deposit.Waiting)
			amended(h, Claim("a", UTR(3), 500_00), deposit.Pending, deposit.TooManyFailures)
		}},
		{"tries add up", policy(func(p *deposit.Policy) { p.LabelFailures = 3 }), func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(9), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			amended(h, Claim("a", UTR(2), 500_00), deposit.Waiting)
			amended(h, Claim("a", UTR(3), 500_00), deposit.Waiting)
			amended(h, Claim("a", UTR(9), 500_00), deposit.Pending, deposit.TooManyFailures)
		}},
		{"tries on a shared account add up for the merchant", policy(func(p *deposit.Policy) { p.SharedFailures = 2 }), func(h *House) {
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(9), 500_00))
			h.MustActivate(cafesClaim("a", UTR(1), 500_00), deposit.Waiting)
			amended(h, cafesClaim("a", UTR(2), 500_00), deposit.Waiting)
			amended(h, cafesClaim("a", UTR(9), 500_00), deposit.Pending, deposit.TooManyFailures)
		}},
		{"only what is open", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 600_00))
			c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.AmountDiffers)
			_, err := h.Desk.Amend(h.Context(), Claim("a", UTR(2), 500_00))
			h.mustRefuse(err, deposit.NotAmendable)
			h.MustReject(c.ID)
			_, err = h.Desk.Amend(h.Context(), Claim("a", UTR(2), 500_00))
			h.mustRefuse(err, deposit.NotAmendable)
			if _, err := h.Desk.Amend(h.Context(), Claim("none", UTR(2), 500_00)); !errors.Is(err, deposit.ErrNoClaim) {
				h.Errorf("a claim that is not there gives %v", err)
			}
		}},
	})
}

// testPayments keeps what payers do in the window.
func testPayments(t *testing.T, fresh Fresh) {
	t.Helper()
	s := fresh(t).Open(t)
	ctx := t.Context()
	if _, err := s.FindPayment(ctx, "none"); !errors.Is(err, payment.ErrNoPayment) {
		t.Errorf("no payment gives %v", err)
	}
	link := payment.Payment{
		Token: "T1", Merchant: Shop, CustomID: "हिन्दी-1", Label: "55", Currency: money.INR, Method: "upi_l", MethodFixed: true,
		Amount: 500_50, AmountFixed: true, Lang: "hi", CreatedAt: Start,
		Return: payment.Return{Success: "https://shop.example/ok?a=1&b=2", Fail: "https://shop.example/no"},
	}
	first, err := s.OpenPayment(ctx, link)
	if err != nil || *first != link {
		t.Fatalf("opened %+v, %v", first, err)
	}
	// The same link on another device is the same payment, whatever it says now.
	again := link
	again.Token, again.Amount = "T2", 1
	if second, err := s.OpenPayment(ctx, again); err != nil || *second != link {
		t.Errorf("opened again as %+v, %v", second, err)
	}
	if _, err := s.FindPayment(ctx, "T2"); !errors.Is(err, payment.ErrNoPayment) {
		t.Errorf("the second token gives %v", err)
	}
	other := link
	other.Token, other.Merchant = "T3", Cafe
	if _, err := s.OpenPayment(ctx, other); err != nil {
		t.Errorf("another merchant's of that id: %v", err)
	}
	first.Method, first.Amount, first.Wallet, first.ShownUntil, first.Amends = "upi_w", 700, "window", Start.Add(time.Hour), 3
	if err := s.SavePayment(ctx, first); err != nil {
		t.Fatal(err)
	}
	if kept, err := s.FindPayment(ctx, "T1"); err != nil || *kept != *first {
		t.Errorf("kept %+v, %v", kept, err)
	}
}
