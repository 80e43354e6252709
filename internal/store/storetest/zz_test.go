package storetest

import (
	"testing"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
)

var engines = map[string]Fresh{"SQLite": SQLite, "PostgreSQL": Postgres}

// A thief typed the victim's UTR with the right amount before the bank reported;
// the credit itself names the victim's payment. docs/matching.md: "taken as if
// that payment's payer had typed the credit's UTR, in the same commit: every rule
// above holds" - so rival_claims: both wait. Today the thief is credited.
func TestAttackReferenceLosesToTypedUTR(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			play(t, fresh, []scenario{{"same amount", Setup{}, func(h *House) {
				p := h.mustOpenPayment("a", 500_00)
				thief := Claim("thief", UTR(1), 500_00)
				thief.Label = "66"
				h.MustActivate(thief, deposit.Waiting)
				if _, err := h.Report("till", noted(h.Entry(UTR(1), 500_00), p.Reference)); err != nil {
					h.Fatal(err)
				}
				h.mustSettle("thief", deposit.Pending, deposit.RivalClaims)
				h.mustSettle("a", deposit.Pending, deposit.RivalClaims)
			}}})
		})
	}
}

// The bank took another amount back, told of before the credit (newest-first
// statement, or statement before a late SMS). After the credit it contests
// ("another amount is taken back"); before it nothing happens, and the claim is
// credited in full.
func TestAttackPartialReversalFirst(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			play(t, fresh, []scenario{{"another amount", Setup{}, func(h *House) {
				h.mustMove("till", h.movement(feed.Debit, UTR(1), 400_00), feed.Recorded)
				h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
				h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
			}}, {"an SMS that is corrected to the amount taken back", Setup{}, func(h *House) {
				h.mustMove("till", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
				h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 50_00)))
				h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 500_00)) // the bank's word: what was taken back
				c := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
				_ = c
			}}})
		})
	}
}

// The same, on another wallet of the same account (same VPA).
func TestAttackReversalOnTwinFirst(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			play(t, fresh, []scenario{{"a twin", Setup{Change: func(c *directory.Change) {
				for _, w := range c.Wallets {
					if w.ID == "spare" {
						w.VPA = "till@upi"
					}
				}
			}}, func(h *House) {
				h.mustMove("spare", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
				h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
				h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
			}}})
		})
	}
}

// A feed that contradicts a credit that was reversed, then claims.
func TestAttackContradictedAfterReversal(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			play(t, fresh, []scenario{{"reversed, then another amount", Setup{}, func(h *House) {
				h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
				h.MustReverse("till", UTR(1))
				h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 600_00))
				h.MustActivate(Claim("a", UTR(1), 600_00), deposit.Pending, deposit.CreditReversal, deposit.CreditContested, deposit.AmountDiffers)
			}}})
		})
	}
}

// OPEN, lower: an SMS without a date, sent again after months by a restored phone
// (sentStamp now), makes a young credit; the statement that confirms it says
// how old it is, and takeAgain keeps the SMS's time: credit_too_old never holds.
// Not in /tmp/attack-deposit.patch (At also keys wallet_days).
func TestAttackConfirmedButOld(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			play(t, fresh, []scenario{{"the bank says when", Setup{}, func(h *House) {
				h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
				e := h.Entry(UTR(1), 500_00)
				e.At = e.At.AddDate(0, 0, -200)
				h.MustReport("till", 0, 1, 0, e)
				h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditTooOld)
			}}})
		})
	}
}
