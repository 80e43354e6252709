package window

import (
	"strconv"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/payment"
)

// stateOf names where a payment stands, for the page's script: a step, or the
// outcome of the claim.
func stateOf(p *payment.Payment, c *deposit.Claim) string {
	switch {
	case c != nil && c.State == deposit.Credited:
		return "ok"
	case c != nil:
		return string(c.State)
	case p.Method == "":
		return "method"
	case p.Amount == 0:
		return "amount"
	default:
		return "pay"
	}
}

// kindOf is the outcome as the merchant's page is told of it; empty before
// there is a claim.
func kindOf(c *deposit.Claim) Kind {
	switch {
	case c == nil:
		return ""
	case c.State == deposit.Credited:
		return Success
	case c.State.Open():
		return Pending
	default:
		return Fail
	}
}

// amendable reports whether the claim's UTR can be corrected: it waits for a
// credit, or the credit is another's.
func amendable(c *deposit.Claim) bool {
	return c.State == deposit.Waiting || c.State == deposit.Refused
}

// outcome fills the page of a payment that has a claim.
func (d *Door) outcome(v *visit, p *page) error {
	c := v.claim
	p.Step, p.State, p.Outcome = "outcome", stateOf(v.payment, c), kindOf(c)
	p.Title = p.T("outcome." + p.State)
	p.Text = p.T("outcome."+p.State+".text", "merchant", p.Merchant)
	p.Live = c.State.Open()
	p.Final = !p.Live

	left := mostAmends - v.payment.Amends
	correctable := amendable(c) && left > 0
	p.AmendsLeft = strconv.Itoa(left)
	// A refused UTR is there to be corrected; one that waits is mostly right.
	p.Amending = correctable && (c.State == deposit.Refused || v.FormValue("step") == "utr" || p.Problem != "")
	p.CanAmend = correctable && !p.Amending
	if p.Amending && p.Typed == "" {
		p.Typed = string(c.UTR)
	}
	p.Refresh = p.Live && !p.Amending // what is being typed is not thrown away

	p.Amount = v.words.Money(c.Amount)
	at := c.CreatedAt
	if c.State == deposit.Credited {
		p.Received, p.Amount, at = true, v.words.Money(c.Deposited), c.SettledAt
	}
	p.UTR = string(c.UTR)
	p.Time = v.words.Datetime(at.In(v.merchant.Location()))

	address := map[Kind]string{
		Success: v.payment.Return.Success, Pending: v.payment.Return.Pending, Fail: v.payment.Return.Fail,
	}[p.Outcome]
	if address == "" {
		return nil
	}
	var err error
	p.ReturnURL, err = returnURL(v.merchant.Secrets.PrivateKey, address, v.payment.CustomID, p.Outcome)
	// A payer who can still put something right is not sent away.
	p.Leaves = c.State != deposit.Waiting && !p.Amending
	return err
}
