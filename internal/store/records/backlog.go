package records

import (
	"context"
	"fmt"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
)

// Backlog gives what is not settled yet: of one merchant, or of all where that
// is empty. It costs as much as there is of it, however long the history.
func (r *Records) Backlog(ctx context.Context, merchant string) (b deposit.Backlog, err error) {
	const of = ` AND ($1 = '' OR merchant = $2)`
	for _, count := range []struct {
		into  *int64
		query string
	}{
		{&b.Waiting, `SELECT count(*) FROM claims WHERE state = 'waiting'` + of},
		{&b.Review, `SELECT count(*) FROM claims WHERE state = 'pending'` + of},
		{&b.Withdrawals, `SELECT count(*) FROM withdrawals WHERE state IN ('new', 'approved', 'processing')` + of},
	} {
		if err := r.Read.QueryRowContext(ctx, count.query, merchant, merchant).Scan(count.into); err != nil {
			return b, fmt.Errorf("count what is not settled: %w", err)
		}
	}
	if merchant != "" {
		return b, nil
	}
	// Suspense accounts hold it, one for each wallet; credit makes them negative.
	var suspense int64
	if err := r.Read.QueryRowContext(ctx, `SELECT COALESCE(CAST(SUM(balance) AS BIGINT), 0) FROM accounts WHERE code LIKE 'suspense:%'`).Scan(&suspense); err != nil {
		return b, fmt.Errorf("add up what is unclaimed: %w", err)
	}
	b.Unclaimed = money.Paise(-suspense)
	return b, nil
}
