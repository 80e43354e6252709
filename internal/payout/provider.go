package payout

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// Provider sends withdrawals: a bank's or a payment company's way of paying out.
// Implementations are safe for concurrent use.
type Provider interface {
	// Send hands an order over. It may be called again with the same order after a
	// crash or an unclear answer, and must not pay twice then: the order's
	// reference is the provider's idempotency key. An error says that nothing is
	// known, unless it is ErrNotSent. One with a method RetryAfter() time.Duration
	// says how long the provider wants to be left alone.
	Send(ctx context.Context, order Order) (Answer, error)
	// Ask asks what became of an order that was, or may have been, sent. The
	// answer Absent says for certain that the provider has no such order.
	Ask(ctx context.Context, order Order) (Answer, error)
}

// ErrNotSent is wrapped by errors of Send that are certain: the order never left.
var ErrNotSent = errors.New("the order was not sent")

// busy is an error by which a provider asks to be left alone for a while.
type busy interface {
	error
	RetryAfter() time.Duration
}

// Order is a withdrawal as a provider is given it.
type Order struct {
	Reference string // letters and digits, at most 20; the same at every try
	Beneficiary
	Amount   money.Paise
	Currency money.Currency
	// ProviderRef is what the provider called it in an earlier answer.
	ProviderRef string
	At          time.Time // when it was first sent, UTC
	Wallet      string    // that pays
}

// Standing is what a provider says of an order.
type Standing string

// Standings. Only Paid and Refused are definite.
const (
	Accepted Standing = "accepted" // under way
	Paid     Standing = "paid"
	Refused  Standing = "refused" // definitely not paid, and never will be
	Absent   Standing = "absent"  // the provider has no such order
	Unclear  Standing = "unclear" // nothing can be told from the answer
)

// Answer is a provider's answer.
type Answer struct {
	Standing    Standing
	ProviderRef string // its own id
	BankRef     string // UTR, where it is known
	Why         string // for the operator; no secrets, no account numbers
}

// referencePrefix tells milaan's own payouts in statements.
const referencePrefix = "MLP"

// ParseReference reads what Reference wrote.
func ParseReference(ref string) (id int64, ok bool) {
	digits, ok := strings.CutPrefix(strings.ToUpper(ref), referencePrefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(digits, 36, 64)
	return id, err == nil && id > 0
}

// reference is "MLP" and the id in base 36, in capitals.
func reference(id int64) string {
	return referencePrefix + strings.ToUpper(strconv.FormatInt(id, 36))
}
