// Package lookup is what people look up in the records: lists of deposits,
// postbacks and credits, a merchant's account. It changes nothing.
//
// Lists are read page by page. A page begins behind the [Place] at which the one
// before it ended, so that what is added meanwhile moves nothing, and a page
// costs the same however long the list is.
package lookup

import (
	"context"
	"errors"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// MaxPage is how many records a page has at most.
const MaxPage = 200

// ErrNone means that there is no such record, or that it is another's: nobody
// is told which.
var ErrNone = errors.New("no such record")

// Place is where a page ends in a list that is in the order of time.
type Place struct {
	At time.Time
	ID int64
}

// Range is a stretch of time, its end not included. Zeros leave it open.
type Range struct{ From, To time.Time }

// Page is a part of a list. With filters that no index serves, it is what was
// found among so many records: it may be short, and empty, though Next says that
// there is more.
type Page[T any] struct {
	Items []T
	Next  *Place // nil at the end of the list
}

// Word is what somebody looks for, read as all that it may be: a record fits where
// one of the fields is its own. Zero fields are what it can't be.
type Word struct {
	// By the first four records are found at once.
	ID       int64 // the record's number
	UTR      upi.UTR
	CustomID string // a merchant's own id, of a deposit or a withdrawal
	// By the others they are looked for along the list.
	Label  string
	VPA    string // the payer's, in lower case
	Amount money.Paise
}

// AtOnce reports whether records may be found by the word without looking along a
// list.
func (w *Word) AtOnce() bool { return w.ID != 0 || w.UTR != "" || w.CustomID != "" }

// Along reports whether records may be found by looking along a list.
func (w *Word) Along() bool { return w.Label != "" || w.VPA != "" || w.Amount != 0 }

// Deposits are what of a merchant's deposits is asked for, the newest first. Zero
// fields filter nothing.
type Deposits struct {
	Merchant string
	State    deposit.State
	Label    string
	UTR      upi.UTR
	Amount   money.Paise // as it was claimed
	Method   string
	Wallet   string // on which it was credited
	Word     Word   // of a list, what is looked for along it
	Range           // of their making
	After    *Place
	Limit    int
	Look     int // records that are looked at; 0 for as many as a page may
}

// Deposit is a claim, and where it was credited its fee and its wallet.
type Deposit struct {
	deposit.Claim
	Fee    money.Paise
	Wallet string
}

// Postbacks are what of a merchant's postbacks is asked for, the newest first.
type Postbacks struct {
	Merchant string
	Kind     postback.Kind
	State    postback.State
	Word     Word // label and amount, as of deposits
	Range         // of the deposit's credit, or the withdrawal's end
	After    *Place
	Limit    int
	Look     int // as of deposits
}

// Withdrawals are what of a merchant's withdrawals is asked for, the newest first.
type Withdrawals struct {
	Merchant string
	State    payout.State
	Label    string
	Amount   money.Paise
	Method   string
	Wallet   string // it is paid from
	Word     Word   // as of deposits
	Range           // of their making
	After    *Place
	Limit    int
	Look     int // as of deposits
}

// Account is a stretch of a merchant's account, the oldest first.
type Account struct {
	Merchant string
	Range
	After *Place
	// Balance is what stood behind After; without After it is worked out.
	Balance money.Paise
	Limit   int
}

// EntryKind is what moved money on a merchant's account.
type EntryKind string

// Kinds of entry.
const (
	EntryDeposit    EntryKind = "deposit"
	EntryUndone     EntryKind = "deposit_undone"      // a person took the deposit back
	EntryWithdrawal EntryKind = "withdrawal"          // held from the moment it is asked for
	EntryReturned   EntryKind = "withdrawal_returned" // was not paid, or came back
)

// Entry is a line of a merchant's account, of what is free: money that a
// withdrawal holds has left it.
type Entry struct {
	Place
	Kind     EntryKind
	ID       int64  // the deposit's or withdrawal's
	CustomID string // the merchant's own, of either
	Label    string
	UTR      upi.UTR     // of a withdrawal the bank's reference, once there is one
	Amount   money.Paise // below zero where it left
	Fee      money.Paise // below zero where it came back
	Balance  money.Paise // after it
}

// Net is what the account changed by.
func (e *Entry) Net() money.Paise { return e.Amount - e.Fee }

// Statement is a page of a merchant's account.
type Statement struct {
	Opening money.Paise // before its first entry
	Page[Entry]
}

// Credits are what of the credits is asked for, the newest first: of a UTR, of a
// wallet by the bank's time, or of all by their numbers.
type Credits struct {
	UTR    upi.UTR
	Wallet string
	State  deposit.CreditState
	Amount money.Paise
	Word   Word // VPA and amount
	Range       // of the bank's time; with a wallet only
	After  *Place
	Limit  int
	Look   int // as of deposits; with a wallet only
}

// Lines are what of a statement's lines is asked for, in the file's order.
type Lines struct {
	Statement int64
	// Open asks for those alone that stand nowhere in the books.
	Open  bool
	After int // the number of the line before
	Limit int
}

// BookedLine is a line of a statement, and where it is a credit how that stands now.
type BookedLine struct {
	feed.StatementLine
	Credit deposit.CreditState
}

// LineCounts are the lines of a statement by what became of them, when it was
// imported to its end.
type LineCounts struct {
	Results map[feed.Result]int64 `json:"results"`
	Matched int64                 `json:"matched"` // credits among them that were a deposit's
}

// Messages are what of a feed's messages is asked for, the newest first.
type Messages struct {
	Feed  string
	After int64 // a message's number; 0 for the first page
	Limit int
}

// WalletBook is what the books have on a wallet.
type WalletBook struct {
	Balance money.Paise
	LastAt  time.Time // the bank's time of its newest credit; zero where it has none
}

// Store reads lists.
type Store interface {
	// ListDeposits gives a page of deposits.
	ListDeposits(ctx context.Context, q Deposits) (Page[Deposit], error)
	// FindDeposit returns a merchant's deposit by its custom id, or ErrNone.
	FindDeposit(ctx context.Context, key deposit.CustomKey) (Deposit, error)
	// ListPostbacks gives a page of postbacks.
	ListPostbacks(ctx context.Context, q Postbacks) (Page[postback.Summary], error)
	// ListWithdrawalsOf gives a page of a merchant's withdrawals.
	ListWithdrawalsOf(ctx context.Context, q Withdrawals) (Page[*payout.Withdrawal], error)
	// FindWithdrawalByKey returns a merchant's withdrawal, or payout.ErrNoWithdrawal.
	FindWithdrawalByKey(ctx context.Context, key payout.Key) (*payout.Withdrawal, error)
	// MerchantBalance gives what a merchant may withdraw, and what withdrawals hold.
	MerchantBalance(ctx context.Context, merchant string) (available, held money.Paise, err error)
	// ListAccount gives a page of a merchant's account.
	ListAccount(ctx context.Context, q Account) (Statement, error)
	// ListCredits gives a page of credits.
	ListCredits(ctx context.Context, q Credits) (Page[*deposit.Credit], error)
	// FindStatement returns a wallet's statement, or ErrNone.
	FindStatement(ctx context.Context, wallet string, id int64) (feed.Statement, error)
	// StatementByID returns a statement, also one that was not imported to its end,
	// or ErrNone.
	StatementByID(ctx context.Context, id int64) (feed.Statement, error)
	// NewestStatements gives the statements of a wallet, or of all where that is
	// empty, also those that were not imported to their end, by their numbers from
	// the newest on: those before the given one, or all where that is 0.
	NewestStatements(ctx context.Context, wallet string, before int64, limit int) ([]feed.Statement, error)
	// StatementLines gives a page of a statement's lines.
	StatementLines(ctx context.Context, q Lines) ([]BookedLine, error)
	// LastLine gives the number of the last line that is in the books; 0 before.
	LastLine(ctx context.Context, statement int64) (int, error)
	// CountLines counts a statement's lines.
	CountLines(ctx context.Context, statement int64) (LineCounts, error)
	// ListMessages gives a page of a feed's messages.
	ListMessages(ctx context.Context, q Messages) (Page[deposit.KeptMessage], error)
	// FindMessage returns a message, or ErrNone.
	FindMessage(ctx context.Context, id int64) (deposit.KeptMessage, error)
	// WalletBooks gives what the books have on wallets, by their ids.
	WalletBooks(ctx context.Context, wallets []string) (map[string]WalletBook, error)
	Finder
}
