// Package settlement pays merchants their own balances: to the account that the
// operator registered for each, on demand and by schedule, and tells what a
// balance came from and went to.
//
// A settlement is one or more withdrawals under ids that follow from its own: the
// same settlement, by whichever gateway and however often, is the same
// withdrawals, and no merchant is paid twice.
package settlement

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// Settlement is one run, or one wish, to pay a merchant its balance.
type Settlement struct {
	ID         int64
	payout.Key // its WithdrawalID is that of its first payout
	payout.Beneficiary
	Method string
	// Scheduled ones fell due by the merchant's schedule; the others somebody
	// asked for.
	Scheduled bool
	DueAt     time.Time // UTC; when a scheduled one fell due, or the other was asked for
	CreatedBy string
	CreatedAt time.Time
	// Wanted is the amount that was asked for, 0 for all there is; Budget is what
	// could be spent on it, fees included. Paise.
	Wanted, Budget money.Paise
	// Reason is why a person has to approve its payouts; empty for none.
	Reason string

	// CutAt is the first moment after it, UTC: reports begin and end there. Zero
	// while it is open.
	CutAt time.Time
	// Payouts counts its withdrawals, Amount and Fee are their sums in paise.
	Payouts     int
	Amount, Fee money.Paise
	Why         string // nothing, or less, was paid
}

// Open reports whether its payouts may not all be made yet.
func (s *Settlement) Open() bool { return s.CutAt.IsZero() }

// payoutID is the id of its n-th payout, from 1.
func (s *Settlement) payoutID(n int) payout.Key {
	key := s.Key
	if n > 1 {
		key.WithdrawalID += fmt.Sprintf("-p%d", n)
	}
	return key
}

// ErrNone is returned where no settlement is found.
var ErrNone = errors.New("no such settlement: milaan settle list shows them")

// Store keeps settlements, and reads the ledger for reports.
type Store interface {
	// KeepSettlement keeps a settlement and gives it its id, or loads into s the one
	// that is kept under its key already; fresh says which.
	KeepSettlement(ctx context.Context, s *Settlement) (fresh bool, err error)
	// EndSettlement writes how a settlement ended, and the audit entry that says so.
	// One that has ended stays as it is, unless with fewer payouts.
	EndSettlement(ctx context.Context, s *Settlement, entry audit.Entry) error
	// FindSettlement returns the settlement with that key, or ErrNone.
	FindSettlement(ctx context.Context, key payout.Key) (*Settlement, error)
	// Settlements lists settlements, the newest first; of all merchants where none
	// is named.
	Settlements(ctx context.Context, filter Filter) ([]*Settlement, error)
	// OpenSettlements lists those that were begun before a time and have not ended.
	OpenSettlements(ctx context.Context, before time.Time) ([]*Settlement, error)
	// MerchantTurnover sums what was posted to a merchant's account in a period, and
	// gives the account's balances at both ends, all of one state of the ledger.
	MerchantTurnover(ctx context.Context, merchant string, from, to time.Time) (Turnover, error)
}

// Filter says which settlements to list.
type Filter struct {
	Merchant string
	// From and To bound their cuts: at or after From, before To. A zero time is no
	// bound.
	From, To time.Time
	Paid     bool // those that paid something alone
	Before   int64
	Limit    int
}

// Turnover is what the ledger says of a merchant's account in a period.
type Turnover struct {
	Opening, Closing money.Paise
	Sums             []Sum
}

// Sum adds up postings of one kind on the merchant's account.
type Sum struct {
	Kind       ledger.PostingKind
	Settlement bool // of withdrawals that settle the balance
	Out        bool // they took the balance down
	Count      int64
	// Amount is their sum, never negative, of which Fee is for the operator.
	Amount, Fee money.Paise
}

// idPattern is what somebody may call a settlement: no date, as scheduled ones
// have, and no hyphen, as their numbers do.
var idPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,19}$`)

// dated is the id of a settlement of a day; n tells those of one day apart. The
// first, 1, is the scheduled one's.
func dated(day time.Time, n int) string {
	id := payout.SettlementPrefix + day.Format(time.DateOnly)
	if n > 1 {
		id += fmt.Sprintf("-%d", n)
	}
	return id
}
