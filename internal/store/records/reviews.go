package records

import (
	"context"
	"fmt"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"
)

// leafedThrough is how many records are leafed through to tell what a payer paid
// before, or which claims may be a credit's: recent ones are what helps.
const leafedThrough = 5000

// PendingAround gives the claims in review next to a number, see lookup.Reviews.
func (r *Records) PendingAround(ctx context.Context, id int64) (before, after int64, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT
			COALESCE((SELECT id FROM claims WHERE state = 'pending' AND id < $1 ORDER BY id DESC LIMIT 1), 0),
			COALESCE((SELECT id FROM claims WHERE state = 'pending' AND id > $2 ORDER BY id LIMIT 1), 0)`, id, id).Scan(&before, &after)
	return before, after, err
}

// CreditsByUTR gives all credits with the UTR of a claim, see lookup.Reviews.
func (r *Records) CreditsByUTR(ctx context.Context, c *deposit.Claim) (list []*deposit.Credit, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		credit, err := ScanCredit(row)
		list = append(list, credit)
		return err
	}, `SELECT `+CreditColumns+` FROM credits WHERE utr = $1 ORDER BY id`, string(c.UTR))
	return list, err
}

// PayerCredits gives what a credit's payer paid besides, see lookup.Reviews.
func (r *Records) PayerCredits(ctx context.Context, c *deposit.Credit, limit int) (list []lookup.PaidCredit, err error) {
	column, payer := "payer_vpa", c.PayerVPA
	if payer == "" {
		column, payer = "payer_name", c.PayerName
	}
	if payer == "" {
		return nil, nil
	}
	err = each(ctx, r.Read, func(row Row) error {
		var paid lookup.PaidCredit
		credit, err := ScanCredit(alsoInto{row, []any{&paid.Merchant, &paid.Label}})
		if err == nil {
			paid.Credit = *credit
			list = append(list, paid)
		}
		return err
	}, fmt.Sprintf(`SELECT r.*, COALESCE(c.merchant, ''), COALESCE(c.label, '')
		FROM (SELECT %s FROM credits WHERE wallet = $1 ORDER BY booked_at DESC, id DESC LIMIT %d) AS r LEFT JOIN claims c ON c.id = r.claim_id
		WHERE r.%s = $2 AND r.id <> $3 ORDER BY r.booked_at DESC, r.id DESC LIMIT %d`, CreditColumns, leafedThrough, column, limit), c.Wallet, payer, c.ID)
	return list, err
}

// alsoInto reads more columns behind those that are asked for.
type alsoInto struct {
	Row
	more []any
}

// Scan reads what is asked for, and the rest behind it.
func (a alsoInto) Scan(dest ...any) error { return a.Row.Scan(append(dest, a.more...)...) }

// WaitingClaims gives claims of an amount that wait, see lookup.Reviews.
func (r *Records) WaitingClaims(ctx context.Context, amount money.Paise, limit int) (list []*deposit.Claim, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		c, err := ScanClaim(row)
		list = append(list, c)
		return err
	}, fmt.Sprintf(`SELECT %s FROM (SELECT %s FROM claims WHERE state = 'waiting' ORDER BY expires_at DESC LIMIT %d) AS newest
		WHERE amount = $1 ORDER BY expires_at DESC LIMIT %d`, ClaimColumns, ClaimColumns, leafedThrough, limit), int64(amount))
	return list, err
}

// Undone returns a deposit that was undone, see lookup.Reviews.
func (r *Records) Undone(ctx context.Context, id int64) (deposit.Undone, error) {
	var u deposit.Undone
	var undoneAt int64
	d, err := ScanDeposit(alsoInto{r.Read.QueryRowContext(ctx, `SELECT `+DepositColumns+`, undone_at, actor, why FROM undone WHERE id = $1`, id),
		[]any{&undoneAt, &u.By, &u.Why}})
	u.Deposit, u.UndoneAt = *d, Time(undoneAt)
	return foundOne(u, err)
}
