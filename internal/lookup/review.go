package lookup

import (
	"context"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
)

// PaidCredit is a credit, and the claim that has it.
type PaidCredit struct {
	deposit.Credit
	Merchant string // empty where nobody has it
	Label    string
}

// Reviews reads what a person needs who decides about claims and credits.
type Reviews interface {
	// PendingClaims lists the claims in review by their numbers, the oldest first,
	// each with the credits of its UTR, from after the given one on.
	PendingClaims(ctx context.Context, after int64, limit int) ([]deposit.Review, error)
	// PendingAround gives the claims in review next to a number; 0 where there is none.
	PendingAround(ctx context.Context, id int64) (before, after int64, err error)
	// FindClaim returns the claim with that number, or deposit.ErrNoClaim.
	FindClaim(ctx context.Context, id int64) (*deposit.Claim, error)
	// FindCredit returns the credit with that number, or deposit.ErrNoCredit.
	FindCredit(ctx context.Context, id int64) (*deposit.Credit, error)
	// CreditsByUTR gives all credits with the UTR of a claim.
	CreditsByUTR(ctx context.Context, c *deposit.Claim) ([]*deposit.Credit, error)
	// PayerCredits gives what a credit's payer paid on its wallet besides, the newest
	// first, as far as the wallet's newest credits show it.
	PayerCredits(ctx context.Context, c *deposit.Credit, limit int) ([]PaidCredit, error)
	// WaitingClaims gives claims of an amount that wait, those that wait longest from
	// now on first, as far as the newest show it.
	WaitingClaims(ctx context.Context, amount money.Paise, limit int) ([]*deposit.Claim, error)
	// Disputes lists bound credits that a bank contests, by their numbers.
	Disputes(ctx context.Context, after int64, limit int) ([]*deposit.Credit, error)
	// Undone returns a deposit that was undone, or ErrNone.
	Undone(ctx context.Context, id int64) (deposit.Undone, error)
}
