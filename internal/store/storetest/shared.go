package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
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
			jobs, err := h.Store.Lease(h.Context(), Shop, h.Clock.Now().Add(time.Hour), h.Clock.Now().Add(2*time.Hour), 10)
			if err != nil || len(jobs) != 1 || jobs[0].ID != c.ID || jobs[0].Payer != "Asha" {
				h.Errorf("leased %+v, %v", jobs, err)
			}
		}},
	})
}
