// Package payment holds what a payer does in the payment window: one payment
// for one link, from the first look to the outcome, on whatever device.
//
// A payment is not money. It remembers what the link said and how far the
// payer came; the claim it leads to is the deposit room's.
package payment

import (
	"context"
	"errors"
	"time"

	"github.com/milaan/milaan/money"
)

// Payment is one opened link (protocol, section 4).
type Payment struct {
	// Token names the payment in the window's addresses: random, 26 letters and
	// digits, so that nobody finds another's by counting.
	Token    string
	Merchant string
	CustomID string // custom_transaction_id; made up where the link has none
	Label    string
	Currency money.Currency
	// Method is the wallet_type; MethodFixed where the link named it, and there
	// is no way back to the list.
	Method      string
	MethodFixed bool
	// Amount is in paise, 0 until it is known; AmountFixed where the link named
	// it, and the payer can't change it.
	Amount      money.Paise
	AmountFixed bool
	Lang        string // as the link chose it; empty for the browser's
	// Return holds where the payer goes for each outcome, checked when the link
	// was opened; an outcome without an address has no way back.
	Return Return
	// Reference goes with the payment through the payer's app, where the bank
	// reports what a payer wrote: see NewReference.
	Reference string
	// Wallet is what the payer was shown last, and until when it is theirs.
	Wallet     string
	ShownUntil time.Time
	// Amends counts how often the payer changed the UTR.
	Amends    int
	CreatedAt time.Time
}

// Return holds a merchant's addresses by outcome.
type Return struct {
	Success string `json:"success,omitempty"`
	Pending string `json:"pending,omitempty"`
	Fail    string `json:"fail,omitempty"`
}

// ErrNoPayment is returned where no payment has that token.
var ErrNoPayment = errors.New("no such payment")

// Store keeps payments.
type Store interface {
	// OpenPayment keeps a new payment, or returns the one that the merchant's
	// custom id already has: a link opened twice is one payment.
	OpenPayment(ctx context.Context, p Payment) (*Payment, error)
	// FindPayment returns the payment with that token, or ErrNoPayment.
	FindPayment(ctx context.Context, token string) (*Payment, error)
	// SavePayment writes Method, Amount, Wallet, ShownUntil and Amends back.
	SavePayment(ctx context.Context, p *Payment) error
}
