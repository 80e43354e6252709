// Package sandbox is a payout provider that moves no money: it plays what can
// become of a withdrawal, for demonstrations and for integrating against.
//
// The last two digits of the beneficiary's account number choose the outcome:
//
//	01   paid at once
//	02   refused at once
//	03   accepted, and paid at the third asking
//	04   no answer for a minute, though it was taken; then paid
//	05   no answer, ever
//	06   paid at once, and reversed a minute later
//	any other   paid at once
//
// State is kept in memory. A sandbox that was started anew knows no order; sent
// again, an order goes the same way from the start.
package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/payout"
)

// The measures of the outcomes.
const (
	asks    = 3           // until 03 is paid
	silence = time.Minute // of 04
	stay    = time.Minute // of 06's money
)

// ErrNoAnswer: nothing is known of the order. It is no [payout.ErrNotSent].
var ErrNoAnswer = errors.New("sandbox: no answer, as the account number's last digits ask for")

// Provider is a [payout.Provider].
type Provider struct {
	now func() time.Time

	mu     sync.Mutex
	orders map[string]*taken
}

var _ payout.Provider = (*Provider)(nil)

// taken is an order that was sent.
type taken struct {
	payout.Order
	at    time.Time
	asked int
}

// New makes a sandbox that goes by a clock.
func New(now func() time.Time) *Provider {
	return &Provider{now: now, orders: map[string]*taken{}}
}

// Send implements [payout.Provider]: the same reference is taken once. With
// another beneficiary or amount it is not sent.
func (p *Provider) Send(_ context.Context, order payout.Order) (payout.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.orders[order.Reference]
	switch {
	case t == nil:
		t = &taken{Order: order, at: p.now()}
		p.orders[order.Reference] = t
	case t.Beneficiary != order.Beneficiary || t.Amount != order.Amount || t.Currency != order.Currency:
		return payout.Answer{}, fmt.Errorf("sandbox: another order has the reference %s: %w", order.Reference, payout.ErrNotSent)
	}
	return t.answer(p.now())
}

// Ask implements [payout.Provider].
func (p *Provider) Ask(_ context.Context, order payout.Order) (payout.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.orders[order.Reference]
	if t == nil {
		return payout.Answer{Standing: payout.Absent}, nil
	}
	t.asked++
	return t.answer(p.now())
}

func (t *taken) answer(now time.Time) (payout.Answer, error) {
	paid := payout.Answer{Standing: payout.Paid, ProviderRef: "sandbox-" + t.Reference, BankRef: rrn(t.Reference)}
	stood := now.Sub(t.at)
	switch outcome := string(t.Account); {
	case strings.HasSuffix(outcome, "02"):
		return payout.Answer{Standing: payout.Refused, ProviderRef: paid.ProviderRef, Why: "refused, as the account number's last digits ask for"}, nil
	case strings.HasSuffix(outcome, "03") && t.asked < asks:
		return payout.Answer{Standing: payout.Accepted, ProviderRef: paid.ProviderRef}, nil
	case strings.HasSuffix(outcome, "04") && stood < silence, strings.HasSuffix(outcome, "05"):
		return payout.Answer{}, ErrNoAnswer
	case strings.HasSuffix(outcome, "06") && stood >= stay:
		paid.Standing, paid.Why = payout.Refused, "reversed"
		return paid, nil
	}
	return paid, nil
}

// rrn is a bank's reference as IMPS gives it: 12 digits, always the same for a
// reference of milaan's.
func rrn(reference string) string {
	const elevenDigits = 100_000_000_000
	sum := sha256.Sum256([]byte(reference))
	return fmt.Sprintf("9%011d", binary.BigEndian.Uint64(sum[:8])%elevenDigits)
}
