package records

import (
	"context"
	"fmt"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/money"
)

// Reconciliation compares a statement with the books, line by line.
type Reconciliation = report.Reconciliation

// mostDifferences bounds how many records of a kind are listed.
const mostDifferences = 1000

// Reconcile compares a statement with the books.
func (r *Records) Reconcile(ctx context.Context, s feed.Statement) (*Reconciliation, error) {
	out := &Reconciliation{Statement: s}
	err := each(ctx, r.Read, func(row Row) error {
		var kind string
		var lines, total int64
		if err := row.Scan(&kind, &lines, &total); err != nil {
			return err
		}
		switch kind {
		case "credit":
			out.CreditLines, out.Credits = lines, money.Paise(total)
		case "other":
			out.IncomeLines, out.Income = lines, money.Paise(total)
		case "debit":
			out.DebitLines, out.Debits = lines, money.Paise(total)
		}
		return nil
	}, `SELECT 'credit', COUNT(*), COALESCE(SUM(c.amount), 0) FROM statement_lines l JOIN credits c ON c.id = l.credit_id
			WHERE l.statement = $1 AND l.movement_id = 0 AND l.result <> 'refused'
		UNION ALL SELECT m.kind, COUNT(*), COALESCE(SUM(m.amount), 0) FROM statement_lines l JOIN movements m ON m.id = l.movement_id
			WHERE l.statement = $2 GROUP BY m.kind`, s.ID, s.ID)
	if err != nil {
		return nil, fmt.Errorf("add up statement %d: %w", s.ID, err)
	}
	if out.Open, err = r.OpenLines(ctx, s.ID, mostDifferences+1); err != nil {
		return nil, err
	}
	credits := func(into *[]*deposit.Credit, query string, args ...any) error {
		return each(ctx, r.Read, func(row Row) error {
			c, err := ScanCredit(row)
			*into = append(*into, c)
			return err
		}, `SELECT `+CreditColumns+` FROM credits c WHERE `+query+fmt.Sprintf(` ORDER BY id LIMIT %d`, mostDifferences+1), args...)
	}
	if err := credits(&out.Unseen, `c.wallet = $1 AND c.booked_at >= $2 AND c.booked_at < $3 AND c.state <> 'reversed'
		AND NOT EXISTS (SELECT 1 FROM statement_lines l WHERE l.credit_id = c.id AND l.credit_id <> 0)`,
		s.Wallet, Micros(s.From), Micros(s.To.AddDate(0, 0, 1))); err != nil {
		return nil, fmt.Errorf("find credits that statement %d lacks: %w", s.ID, err)
	}
	if err := credits(&out.Contested, `c.contested = 1 AND EXISTS (SELECT 1 FROM statement_lines l WHERE l.credit_id = c.id AND l.credit_id <> 0 AND l.statement = $1)`,
		s.ID); err != nil {
		return nil, fmt.Errorf("find contested credits of statement %d: %w", s.ID, err)
	}
	out.Open, out.MoreOpen = cut(out.Open)
	out.Unseen, out.MoreUnseen = cut(out.Unseen)
	out.Contested, out.MoreContested = cut(out.Contested)
	var balance int64
	err = r.Read.QueryRowContext(ctx, `SELECT COALESCE(SUM(balance), 0) FROM accounts WHERE code = $1`, "wallet:"+s.Wallet).Scan(&balance)
	out.Ledger = money.Paise(balance)
	return out, err
}

func cut[T any](list []T) ([]T, bool) {
	if len(list) > mostDifferences {
		return list[:mostDifferences], true
	}
	return list, false
}
