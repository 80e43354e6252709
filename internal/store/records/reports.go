package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/money"
)

// side is one side of an account's postings: a condition that has an index, with
// the account as $1 and the time from which on as $2.
type side struct {
	where string
	out   bool // it takes down what the account is for
}

// walletSides are what moves a wallet: an asset, which grows by its debits.
var walletSides = []side{
	{`p.debit = $1 AND p.kind = 'credit' AND p.at >= $2`, false},
	{`p.debit = $1 AND p.kind NOT IN ('credit', 'deposit') AND p.at >= $2`, false},
	{`p.credit = $1 AND p.kind <> 'credit' AND p.at >= $2`, true},
}

// feeSides are what moves the fees: revenue, which grows by its credits.
var feeSides = []side{
	{`p.credit = $1 AND p.kind <> 'credit' AND p.at >= $2`, false},
	{`p.debit = $1 AND p.kind NOT IN ('credit', 'deposit') AND p.at >= $2`, true},
}

// WalletTurnover sums a wallet's postings in a period, see report.Store.
func (r *Records) WalletTurnover(ctx context.Context, wallet string, from, to time.Time) (report.Turnover, error) {
	return r.turnover(ctx, ledger.WalletCode(wallet), 1, walletSides, "", from, to)
}

// FeeTurnover sums the postings of fees in a period, see report.Store.
func (r *Records) FeeTurnover(ctx context.Context, from, to time.Time) (report.Turnover, error) {
	return r.turnover(ctx, ledger.FeesCode, -1, feeSides, "p.debit + p.credit - $4", from, to)
}

// turnover sums an account's postings by their kind and, where that is given, by
// the account on the other side. What it had at the ends is counted back from what
// it has now. Sign makes its balance that of what it is for.
func (r *Records) turnover(ctx context.Context, code string, sign money.Paise, sides []side, other string, from, to time.Time) (t report.Turnover, err error) {
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return t, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	var account, balance int64
	err = tx.QueryRowContext(ctx, `SELECT id, balance FROM accounts WHERE code = $1`, code).Scan(&account, &balance)
	if errors.Is(err, sql.ErrNoRows) {
		return t, nil // nothing was ever posted to it
	}
	if err != nil {
		return t, fmt.Errorf("account %s: %w", code, err)
	}
	t.Closing = sign * money.Paise(balance)
	for _, s := range sides {
		var since int64
		if err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(p.amount), 0) AS BIGINT) FROM postings p WHERE `+s.where, account, Micros(to)).Scan(&since); err != nil {
			return t, fmt.Errorf("add up %s: %w", code, err)
		}
		if s.out {
			since = -since
		}
		t.Closing -= money.Paise(since)
	}
	t.Opening = t.Closing
	for _, s := range sides {
		group, args := "0", []any{account, Micros(from), Micros(to)}
		if other != "" {
			group, args = other, append(args, account)
		}
		err := each(ctx, tx, func(row Row) error {
			var kind, counter string
			var amount int64
			sum := report.Sum{Out: s.out}
			if err := row.Scan(&kind, &counter, &sum.Count, &amount); err != nil {
				return err
			}
			sum.Kind, sum.Amount = ledger.PostingKind(kind), money.Paise(amount)
			for _, prefix := range []string{ledger.MerchantCode(""), ledger.HoldCode("")} {
				if merchant, ok := strings.CutPrefix(counter, prefix); ok {
					sum.Merchant = merchant
				}
			}
			t.Sums = append(t.Sums, sum)
			if s.out {
				amount = -amount
			}
			t.Opening -= money.Paise(amount)
			return nil
		}, `SELECT s.kind, COALESCE(a.code, ''), s.lines, s.total FROM (
				SELECT p.kind AS kind, `+group+` AS other, COUNT(*) AS lines, CAST(SUM(p.amount) AS BIGINT) AS total
				FROM postings p WHERE `+s.where+` AND p.at < $3 GROUP BY 1, 2) AS s
			LEFT JOIN accounts a ON a.id = s.other ORDER BY 1, 2`, args...)
		if err != nil {
			return t, fmt.Errorf("add up %s: %w", code, err)
		}
	}
	return t, nil
}

// ReportedUpTo gives the period up to which a merchant was sent its reports, empty
// where nothing was noted yet.
func (r *Records) ReportedUpTo(ctx context.Context, merchant string, every report.Every, way string) (period string, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT period FROM reports_sent WHERE merchant = $1 AND every = $2 AND way = $3`, merchant, string(every), way).Scan(&period)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return period, err
}

// NoteReported writes up to which period a merchant was sent its reports; none
// forgets it.
func (r *Records) NoteReported(ctx context.Context, merchant string, every report.Every, way, period string) error {
	return r.Write(ctx, func(tx Tx) error {
		if period == "" {
			_, err := tx.ExecContext(ctx, `DELETE FROM reports_sent WHERE merchant = $1 AND every = $2 AND way = $3`, merchant, string(every), way)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO reports_sent (merchant, every, way, period) VALUES ($1, $2, $3, $4)
			ON CONFLICT (merchant, every, way) DO UPDATE SET period = excluded.period`, merchant, string(every), way, period)
		return err
	})
}
