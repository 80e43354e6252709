// Package ledger is the double-entry book: accounts, postings, balances.
//
// A posting moves an amount from the account it credits to the account it
// debits, so that every posting, and with it every transaction, sums to zero
// by construction. Balances are kept debit-positive: what the business holds
// (wallets) is positive, what it owes (merchants, unclaimed money) negative.
// Postings are only ever added; a correction is a further transaction.
package ledger

import (
	"time"

	"github.com/milaan/milaan/money"
)

// AccountKind is the accountant's class of an account.
type AccountKind string

// Kinds of account.
const (
	Asset     AccountKind = "asset"
	Liability AccountKind = "liability"
	Revenue   AccountKind = "revenue"
)

// Account is a place money stands in.
type Account struct {
	ID       int64
	Code     string // unique, see the functions below
	Kind     AccountKind
	Currency money.Currency
	Balance  money.Paise // debit-positive
}

// FeesCode is the account of what the operator earned.
const FeesCode = "fees"

// WalletCode is the account of the money on a wallet: an asset.
func WalletCode(wallet string) string { return "wallet:" + wallet }

// SuspenseCode is the account of credits on a wallet that nobody claimed yet:
// a liability towards payers unknown.
func SuspenseCode(wallet string) string { return "suspense:" + wallet }

// OutflowCode is the account of money that left a wallet and that nothing
// explains yet: what the bank's statement calls a debit.
func OutflowCode(wallet string) string { return "outflow:" + wallet }

// IncomeCode is the account of money that came in on a wallet and is no payment:
// interest, own debits that came back.
func IncomeCode(wallet string) string { return "income:" + wallet }

// HoldCode is the account of a merchant's money that withdrawals hold: still owed
// to the merchant, and not free.
func HoldCode(merchant string) string { return "hold:" + merchant }

// MerchantCode is the account of what is owed to a merchant: a liability.
func MerchantCode(merchant string) string { return "merchant:" + merchant }

// PostingKind says what moved the money.
type PostingKind string

// Kinds of posting.
const (
	// CreditReceived: the bank reported money; wallet to suspense.
	CreditReceived PostingKind = "credit"
	// CreditReversed: the bank took an unclaimed credit back.
	CreditReversed PostingKind = "credit_reversed"
	// CreditCorrected: the bank reported another amount than a feed before.
	CreditCorrected PostingKind = "credit_corrected"
	// DebitSeen: the bank's statement has a debit; outflow to wallet.
	DebitSeen PostingKind = "debit"
	// IncomeSeen: the statement has money in that is no payment; wallet to income.
	IncomeSeen PostingKind = "income"
	// MovementUndone: a debit turned out to be a credit's reversal.
	MovementUndone PostingKind = "movement_undone"
	// DepositCredited: a claim was bound to a credit; suspense to merchant.
	DepositCredited PostingKind = "deposit"
	// WithdrawalHeld: a withdrawal was asked for; merchant to hold.
	WithdrawalHeld PostingKind = "withdrawal_held"
	// WithdrawalPaid: it was paid; hold to wallet.
	WithdrawalPaid PostingKind = "withdrawal"
	// WithdrawalFee: the operator's share of it; hold to fees.
	WithdrawalFee PostingKind = "withdrawal_fee"
	// WithdrawalReturned: it was not paid; hold to merchant.
	WithdrawalReturned PostingKind = "withdrawal_returned"
	// WithdrawalCameBack: it was paid, and the bank sent it back; wallet, and fees,
	// to merchant.
	WithdrawalCameBack PostingKind = "withdrawal_came_back"
	// MovementExplained: a statement's movement is a withdrawal's, which has been
	// posted; what the movement posted is undone.
	MovementExplained PostingKind = "movement_explained"
	// DepositFee: the operator's share; merchant to fees.
	DepositFee PostingKind = "deposit_fee"
	// DepositUndone: a person took a deposit back; merchant to suspense.
	DepositUndone PostingKind = "deposit_undone"
	// DepositFeeUndone: its fee; fees to merchant.
	DepositFeeUndone PostingKind = "deposit_fee_undone"
)

// Posting is one movement. A transaction is the postings with one
// TransactionID; they are written in one commit.
type Posting struct {
	// TransactionID is the id of what caused the movement: the credit, or the
	// deposit. Ids are unique across kinds.
	TransactionID int64
	Line          int // from 1, within the transaction
	Kind          PostingKind
	Debit         int64 // account id whose balance grows
	Credit        int64 // account id whose balance shrinks
	Amount        money.Paise
	Currency      money.Currency
	At            time.Time
}

// Balances adds up what postings do to each account, so that a batch touches
// every balance once, however hot the account.
func Balances(postings []Posting) map[int64]money.Paise {
	sums := make(map[int64]money.Paise, 8)
	for i := range postings {
		p := &postings[i]
		sums[p.Debit] += p.Amount
		sums[p.Credit] -= p.Amount
	}
	return sums
}
