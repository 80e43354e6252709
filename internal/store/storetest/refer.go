package storetest

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/money"
)

// mustOpenPayment keeps a payment of label 55 at the shop, as the window would.
func (h *House) mustOpenPayment(customID string, amount money.Paise) *payment.Payment {
	h.Helper()
	p, err := h.Store.OpenPayment(h.Context(), payment.Payment{
		Token: "token of " + customID, Reference: payment.NewReference(), Merchant: Shop, CustomID: customID, Label: "55",
		Currency: money.INR, Method: "upi_l", MethodFixed: true, Amount: amount, AmountFixed: true, CreatedAt: h.Clock.Now(),
	})
	if err != nil {
		h.Fatalf("open payment %s: %v", customID, err)
	}
	return p
}

// mustSettle checks what a payment's claim came to.
func (h *House) mustSettle(customID string, want deposit.State, reasons ...deposit.Reason) *deposit.Claim {
	h.Helper()
	c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: customID})
	if err != nil {
		h.Fatalf("payment %s: %v", customID, err)
	}
	h.mustBe(c, want, reasons)
	return c
}

// mustNotClaim checks that a payment has no claim.
func (h *House) mustNotClaim(customID string) {
	h.Helper()
	if c, err := h.Store.FindClaimByKey(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: customID}); err == nil {
		h.Errorf("payment %s has claim %d, %s", customID, c.ID, c.State)
	}
}

func noted(e feed.Entry, note string) feed.Entry {
	e.Note = note
	return e
}

// testRefer plays credits that name their payment by its reference.
func testRefer(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"credited without a UTR", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustReport("till", 1, 0, 1, noted(h.Entry(UTR(1), 500_00), "upi/"+strings.ToLower(p.Reference)+"/x"))
			c := h.mustSettle("a", deposit.Credited)
			if c.UTR != UTR(1) || c.Via != "reference" || c.Label != "55" {
				h.Errorf("credited as %+v", c)
			}
			// The payer who types it after all meets the same claim.
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
		}},
		{"by the bank's own reference field", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			e := h.Entry(UTR(1), 500_00)
			e.Reference = p.Reference
			h.MustReport("till", 1, 0, 1, e)
			h.mustSettle("a", deposit.Credited)
		}},
		{"a later report brings the note", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.mustNotClaim("a")
			h.MustReport("till", 0, 1, 1, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustSettle("a", deposit.Credited)
		}},
		{"a correction brings the note", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 50_00)
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			h.MustReport("till", 0, 0, 0, noted(h.Entry(UTR(1), 50_00), p.Reference))
			h.MustApprove(h.mustSettle("a", deposit.Pending, deposit.CreditContested).ID)
		}},
		{"another amount goes to review", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustReport("till", 1, 0, 0, noted(h.Entry(UTR(1), 499_00), p.Reference))
			h.MustApprove(h.mustSettle("a", deposit.Pending, deposit.AmountDiffers).ID)
		}},
		{"never by the amount", Setup{}, func(h *House) {
			p, other := h.mustOpenPayment("a", 500_00), h.mustOpenPayment("b", 500_00)
			h.MustReport("till", 3, 0, 0, h.Entry(UTR(1), 500_00), noted(h.Entry(UTR(2), 500_00), "MLN222222222"),
				noted(h.Entry(UTR(3), 500_00), p.Reference+" "+other.Reference))
			h.mustNotClaim("a")
			h.mustNotClaim("b")
		}},
		{"a mistyped UTR is put right", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustActivate(Claim("a", UTR(9), 500_00), deposit.Waiting)
			h.MustReport("till", 1, 0, 1, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustSettle("a", deposit.Credited)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(9), 500_00))
		}},
		{"paid twice", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustReport("till", 2, 0, 1, noted(h.Entry(UTR(1), 500_00), p.Reference), noted(h.Entry(UTR(2), 500_00), p.Reference))
			if c := h.mustSettle("a", deposit.Credited); c.UTR != UTR(1) {
				h.Errorf("credited with %s", c.UTR)
			}
			if c := h.MustCredit("till", UTR(2)); c.State != deposit.Unclaimed {
				h.Errorf("the second credit is %s", c.State)
			}
		}},
		{"somebody else waits for the UTR", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			thief := Claim("thief", UTR(1), 400_00)
			thief.Label = "66"
			h.MustActivate(thief, deposit.Waiting)
			h.MustReport("till", 1, 0, 0, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustSettle("a", deposit.Pending, deposit.RivalClaims)
		}},
		{"somebody else waits for the UTR with the right amount", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			thief := Claim("thief", UTR(1), 500_00)
			thief.Label = "66"
			h.MustActivate(thief, deposit.Waiting)
			h.MustReport("till", 1, 0, 0, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustSettle("thief", deposit.Pending, deposit.RivalClaims)
			h.mustSettle("a", deposit.Pending, deposit.RivalClaims)
		}},
		{"on a wallet that is not the merchant's", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			h.MustReport("bar", 1, 0, 0, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustNotClaim("a")
		}},
		{"a method that ignores references", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			off := *h.Directory.Current().Method("upi_l")
			off.IgnoreReference = true
			h.MustChange(directory.Change{Methods: []*directory.Method{&off}})
			h.MustReport("till", 1, 0, 0, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustNotClaim("a")
		}},
		{"a method that was switched off meanwhile", Setup{}, func(h *House) {
			p := h.mustOpenPayment("a", 500_00)
			off := *h.Directory.Current().Method("upi_l")
			off.Enabled = false
			h.MustChange(directory.Change{Methods: []*directory.Method{&off}})
			h.MustReport("till", 1, 0, 0, noted(h.Entry(UTR(1), 500_00), p.Reference))
			h.mustNotClaim("a")
		}},
	})
}
