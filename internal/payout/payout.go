// Package payout holds withdrawals: money that leaves a merchant's balance for a
// bank account by IMPS (protocol, section 6), held first, approved, sent by a
// provider, and confirmed.
//
// The money is held in the commit that takes the request, and leaves or returns
// in the commit that learns what became of it. What is not known for certain is
// never a failure: a withdrawal stays where it is until a definite answer, a
// statement or an operator says what became of it, so that nothing is paid twice.
package payout

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// State is where a withdrawal stands.
//
//	create ──▶ new ──▶ approved ──▶ processing ──▶ success ──▶ failed (came back)
//	            │          │             │
//	            └──────────┴▶ canceled   └──▶ failed
//
// A processing withdrawal whose provider gave no clear answer stays so.
type State string

// States of a withdrawal (protocol, section 6).
const (
	New        State = "new"        // held; waits for approval
	Approved   State = "approved"   // waits to be sent
	Processing State = "processing" // handed to a provider, or about to be: what became of it is not known
	Success    State = "success"    // paid; final, unless the bank sends it back
	Failed     State = "failed"     // definitely not paid; final
	Canceled   State = "canceled"   // taken back before it was sent; final
)

// Final reports whether the state is one that a postback tells of.
func (s State) Final() bool { return s == Success || s == Failed || s == Canceled }

// settles reports whether the state says what became of the money.
func (s State) settles() bool { return s == Success || s == Failed }

// next are the states that may follow each.
var next = map[State][]State{
	New:        {Approved, Canceled},
	Approved:   {Processing, Canceled},
	Processing: {Success, Failed},
	Success:    {Failed},
}

// May reports whether a withdrawal in state s may go to state to.
func (s State) May(to State) bool { return slices.Contains(next[s], to) }

// Beneficiary is who is paid.
type Beneficiary struct {
	Account upi.AccountNumber // account_number
	Name    string            // account_name
	IFSC    upi.IFSC          // bank_details.branch_code
}

// Key names a withdrawal from outside: unique per merchant.
type Key struct {
	Merchant     string
	WithdrawalID string
}

// Withdrawal is one payment out.
type Withdrawal struct {
	ID int64
	Key
	Method   string // payment_system
	Label    string
	Amount   money.Paise
	Fee      money.Paise // on top of the amount
	Currency money.Currency
	// Test withdrawals run the whole way and move no money.
	Test bool
	Beneficiary
	// Request is the SHA-256 of what was asked for: the same id with other
	// content is refused.
	Request [sha256.Size]byte

	State   State
	Reasons []string // why a person has to approve it
	// Desk is the payout desk that sends it, Wallet the account it is paid from;
	// empty until it is sent.
	Desk   string
	Wallet string
	// Tries counts how often it was handed to the provider, always under the same
	// reference: a provider that knows the reference pays it once.
	Tries int
	// ProviderRef is the provider's own id, BankRef the bank's reference (UTR).
	ProviderRef string
	BankRef     string
	Why         string // it failed, was canceled or waits; shown to the operator
	// MovementID is the line of a statement that shows it, BackID the one that
	// brought it back; 0 before.
	MovementID int64
	BackID     int64
	// Taken says that its provider once said that it has the order: it is never
	// sent again then, whatever the provider says later.
	Taken bool
	// SentBy is who was given it: a desk as it then was, or a person (byHand). Only
	// who was given it can say that it is not there.
	SentBy string
	// Doubts are what was told of it that the books do not say, such as that it was
	// paid after it failed. Contested says that a person still has to look: until
	// then it is not sent.
	Doubts    []string
	Contested bool

	CreatedBy  string // "api", "operator:NAME"
	ApprovedBy string
	CreatedAt  time.Time
	ApprovedAt time.Time
	SentAt     time.Time
	// PaidAt is when it was paid, though it may have come back since.
	PaidAt    time.Time
	SettledAt time.Time
	// AskAt is when it is sent, or its provider asked again.
	AskAt   time.Time
	RatesID int64 // the exchange rates of its settling
	Lines   int   // how many postings it has
}

// Reference is what a withdrawal is called to providers and banks: short, of
// letters and digits, and the same at every try.
func (w *Withdrawal) Reference() string { return reference(w.ID) }

// Held is what it holds of the merchant's balance: amount and fee, nothing for a
// test.
func (w *Withdrawal) Held() money.Paise {
	if w.Test {
		return 0
	}
	return w.Amount + w.Fee
}
