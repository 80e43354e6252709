package lookup

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
)

// Finder finds single records, and all that belongs to one.
type Finder interface {
	// FindDeposits gives deposits of merchants that a word finds at once, the newest
	// first, up to q.Limit; of q it keeps to everything but Merchant and After.
	FindDeposits(ctx context.Context, merchants []string, q Deposits) ([]Deposit, error)
	// FindDepositByID returns the deposit with that number, or ErrNone.
	FindDepositByID(ctx context.Context, id int64) (Deposit, error)
	// FindWithdrawals is to withdrawals what FindDeposits is to deposits; the UTR is
	// the bank's reference.
	FindWithdrawals(ctx context.Context, merchants []string, q Withdrawals) ([]*payout.Withdrawal, error)
	// FindPostbacks gives the postbacks of deposits or withdrawals with these
	// numbers, the newest first.
	FindPostbacks(ctx context.Context, subjects []int64) ([]postback.Summary, error)
	// PostingsOf gives the postings of a credit, deposit, withdrawal or movement.
	PostingsOf(ctx context.Context, id int64) ([]Posting, error)
	// NotesOf gives what the audit log says of records, in its order, up to limit.
	// What is told by the records themselves is left out: that a feed brought a
	// credit, that a claim waits, and that a claim was credited without a person.
	NotesOf(ctx context.Context, ids []int64, limit int) ([]audit.Entry, error)
	// MessagesOf gives the messages that told of a credit, opened, the oldest first.
	MessagesOf(ctx context.Context, credit int64) ([]deposit.KeptMessage, error)
	// LinesOf gives the lines of statements that show a credit.
	LinesOf(ctx context.Context, credit int64) ([]Line, error)
	// FindMovement returns the movement with that number, or ErrNone.
	FindMovement(ctx context.Context, id int64) (*deposit.Movement, error)
}

// Posting is a movement between two accounts, by their codes.
type Posting struct {
	Line          int
	Kind          ledger.PostingKind
	Debit, Credit string
	Amount        money.Paise
	At            time.Time
}

// Line is a line of an imported statement.
type Line struct {
	Statement  int64
	Name       string // of the file
	Number     int
	At         time.Time // the bank's
	Narration  string
	Result     feed.Result
	ImportedAt time.Time
}
