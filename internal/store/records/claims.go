package records

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// FindClaim returns the claim with that id, or deposit.ErrNoClaim.
func (r *Records) FindClaim(ctx context.Context, id int64) (*deposit.Claim, error) {
	return found(ScanClaim(r.Read.QueryRowContext(ctx, `SELECT `+ClaimColumns+` FROM claims WHERE id = $1`, id)))
}

// FindClaimByKey returns the claim with that custom id, or deposit.ErrNoClaim.
func (r *Records) FindClaimByKey(ctx context.Context, key deposit.CustomKey) (*deposit.Claim, error) {
	return found(ScanClaim(r.Read.QueryRowContext(ctx,
		`SELECT `+ClaimColumns+` FROM claims WHERE merchant = $1 AND custom_id = $2`, key.Merchant, key.CustomID)))
}

func found(c *deposit.Claim, err error) (*deposit.Claim, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, deposit.ErrNoClaim
	}
	return c, err
}

// FindCredit returns the credit with that id, or deposit.ErrNoCredit.
func (r *Records) FindCredit(ctx context.Context, id int64) (*deposit.Credit, error) {
	c, err := ScanCredit(r.Read.QueryRowContext(ctx, `SELECT `+CreditColumns+` FROM credits WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, deposit.ErrNoCredit
	}
	return c, err
}

// DueClaims lists waiting claims that ended at or before now.
func (r *Records) DueClaims(ctx context.Context, now time.Time, limit int) ([]deposit.ClaimRef, error) {
	var refs []deposit.ClaimRef
	err := each(ctx, r.Read, func(row Row) error {
		var id int64
		var utr string
		err := row.Scan(&id, &utr)
		refs = append(refs, deposit.ClaimRef{ID: id, UTR: upi.UTR(utr)})
		return err
	}, `SELECT id, utr FROM claims WHERE state = 'waiting' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`, Micros(now), limit)
	return refs, err
}

// PendingClaims lists the claims in review by id, each with the credits of its
// UTR.
func (r *Records) PendingClaims(ctx context.Context, after int64, limit int) ([]deposit.Review, error) {
	var reviews []deposit.Review
	err := each(ctx, r.Read, func(row Row) error {
		c, err := ScanClaim(row)
		reviews = append(reviews, deposit.Review{Claim: c})
		return err
	}, `SELECT `+ClaimColumns+` FROM claims WHERE state = 'pending' AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range reviews {
		err := each(ctx, r.Read, func(row Row) error {
			c, err := ScanCredit(row)
			reviews[i].Credits = append(reviews[i].Credits, c)
			return err
		}, `SELECT `+CreditColumns+` FROM credits WHERE utr = $1 ORDER BY id`, string(reviews[i].Claim.UTR))
		if err != nil {
			return nil, err
		}
	}
	return reviews, nil
}

// WalletUse gives what each wallet received on a day.
func (r *Records) WalletUse(ctx context.Context, day deposit.Day) (map[string]money.Paise, error) {
	use := make(map[string]money.Paise)
	err := each(ctx, r.Read, func(row Row) error {
		var wallet string
		var received int64
		err := row.Scan(&wallet, &received)
		use[wallet] = money.Paise(received)
		return err
	}, `SELECT wallet, received FROM wallet_days WHERE day = $1`, int64(day))
	return use, err
}
