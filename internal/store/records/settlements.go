package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

const settlementColumns = `id, merchant, settlement_id, account, name, ifsc, method, scheduled, due_at, created_by, created_at,
	wanted, budget, reason, cut_at, payouts, amount, fee, why`

func scanSettlement(row Row, s *settlement.Settlement) error {
	var account, ifsc string
	var scheduled, dueAt, createdAt, wanted, budget, cutAt, amount, fee int64
	err := row.Scan(&s.ID, &s.Merchant, &s.WithdrawalID, &account, &s.Name, &ifsc, &s.Method, &scheduled, &dueAt, &s.CreatedBy, &createdAt,
		&wanted, &budget, &s.Reason, &cutAt, &s.Payouts, &amount, &fee, &s.Why)
	if errors.Is(err, sql.ErrNoRows) {
		return settlement.ErrNone
	}
	s.Account, s.IFSC, s.Scheduled = upi.AccountNumber(account), upi.IFSC(ifsc), scheduled != 0
	s.DueAt, s.CreatedAt, s.CutAt = Time(dueAt), Time(createdAt), Time(cutAt)
	s.Wanted, s.Budget, s.Amount, s.Fee = money.Paise(wanted), money.Paise(budget), money.Paise(amount), money.Paise(fee)
	return err
}

// KeepSettlement keeps a settlement, or loads the one under its key.
func (r *Records) KeepSettlement(ctx context.Context, s *settlement.Settlement) (fresh bool, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		id, err := reserveIDs(ctx, tx, 1)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO settlements (`+settlementColumns+`)
			VALUES (`+placeholders(14)+`, 0, 0, 0, 0, '') ON CONFLICT (merchant, settlement_id) DO NOTHING`,
			id, s.Merchant, s.WithdrawalID, string(s.Account), s.Name, string(s.IFSC), s.Method, Flag(s.Scheduled), Micros(s.DueAt), s.CreatedBy,
			Micros(s.CreatedAt), int64(s.Wanted), int64(s.Budget), s.Reason)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if fresh = n == 1; fresh {
			s.ID = id
			return nil
		}
		return scanSettlement(tx.QueryRowContext(ctx, `SELECT `+settlementColumns+` FROM settlements WHERE merchant = $1 AND settlement_id = $2`,
			s.Merchant, s.WithdrawalID), s)
	})
	if err != nil {
		return false, fmt.Errorf("keep %s of %s: %w", s.WithdrawalID, s.Merchant, err)
	}
	return fresh, nil
}

// EndSettlement writes how a settlement ended. Whoever made more of its payouts
// knows better than who ended it before.
func (r *Records) EndSettlement(ctx context.Context, s *settlement.Settlement, entry audit.Entry) error {
	return r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE settlements SET cut_at = $1, payouts = $2, amount = $3, fee = $4, why = $5 WHERE id = $6 AND (cut_at = 0 OR payouts < $7)`,
			Micros(s.CutAt), s.Payouts, int64(s.Amount), int64(s.Fee), s.Why, s.ID, s.Payouts)
		if err != nil {
			return fmt.Errorf("end settlement %d: %w", s.ID, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 { // it has ended
			return err
		}
		return appendAudit(ctx, tx, []audit.Entry{entry})
	})
}

// FindSettlement returns the settlement with that key, or settlement.ErrNone.
func (r *Records) FindSettlement(ctx context.Context, key payout.Key) (*settlement.Settlement, error) {
	s := new(settlement.Settlement)
	return s, scanSettlement(r.Read.QueryRowContext(ctx, `SELECT `+settlementColumns+` FROM settlements WHERE merchant = $1 AND settlement_id = $2`,
		key.Merchant, key.WithdrawalID), s)
}

// Settlements lists settlements, the newest first.
func (r *Records) Settlements(ctx context.Context, f settlement.Filter) ([]*settlement.Settlement, error) {
	query := `SELECT ` + settlementColumns + ` FROM settlements WHERE id < $1`
	args := []any{f.Before}
	if f.Before == 0 {
		args[0] = int64(math.MaxInt64)
	}
	and := func(condition string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(" AND "+condition+" $%d", len(args))
	}
	order := `id`
	if f.Merchant != "" {
		and("merchant =", f.Merchant)
	}
	if !f.From.IsZero() {
		and("cut_at >=", Micros(f.From))
		order = `cut_at`
	}
	if !f.To.IsZero() {
		and("cut_at <", Micros(f.To))
		order = `cut_at`
	}
	if f.Paid {
		query += ` AND payouts > 0 AND cut_at > 0`
	}
	query += ` ORDER BY ` + order + ` DESC`
	if f.Limit > 0 {
		args = append(args, f.Limit)
		query += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	return r.listSettlements(ctx, query, args...)
}

// OpenSettlements lists those that have not ended.
func (r *Records) OpenSettlements(ctx context.Context, before time.Time) ([]*settlement.Settlement, error) {
	return r.listSettlements(ctx, `SELECT `+settlementColumns+` FROM settlements WHERE cut_at = 0 AND created_at < $1 ORDER BY created_at`, Micros(before))
}

func (r *Records) listSettlements(ctx context.Context, query string, args ...any) (list []*settlement.Settlement, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		s := new(settlement.Settlement)
		err := scanSettlement(row, s)
		list = append(list, s)
		return err
	}, query, args...)
	return list, err
}

// MerchantTurnover sums a merchant's postings in a period, see settlement.Store.
// What it had at the ends is counted back from what it has now.
func (r *Records) MerchantTurnover(ctx context.Context, merchant string, from, to time.Time) (t settlement.Turnover, err error) {
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
	if err := tx.QueryRowContext(ctx, `SELECT id, balance FROM accounts WHERE code = $1`, ledger.MerchantCode(merchant)).Scan(&account, &balance); err != nil {
		return t, fmt.Errorf("account of merchant %s: %w", merchant, err)
	}
	t.Closing = -money.Paise(balance)
	add := func(sum settlement.Sum, since money.Paise) {
		if sum.Out {
			since = -since
		}
		t.Closing -= since
		if sum.Count > 0 {
			t.Sums = append(t.Sums, sum)
		}
	}
	for _, b := range []struct {
		bulk bulk
		out  bool
	}{{deposited, false}, {depositFees, true}} {
		count, total, since, err := b.bulk.sums(ctx, tx, account, from, to)
		if err != nil {
			return t, err
		}
		add(settlement.Sum{Kind: b.bulk.kind, Out: b.out, Count: count, Amount: total}, since)
	}
	for _, side := range []struct {
		account string
		out     bool
	}{{"p.debit", true}, {"p.credit", false}} {
		where := side.account + ` = $1 AND p.kind NOT IN ('credit', 'deposit', 'deposit_fee') AND p.at >= $2`
		var since int64
		if err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(p.amount), 0) AS BIGINT) FROM postings p WHERE `+where, account, Micros(to)).Scan(&since); err != nil {
			return t, err
		}
		add(settlement.Sum{Out: side.out}, money.Paise(since))
		err := each(ctx, tx, func(row Row) error {
			var kind string
			var settles, amount, fee int64
			sum := settlement.Sum{Out: side.out}
			if err := row.Scan(&kind, &settles, &sum.Count, &amount, &fee); err != nil {
				return err
			}
			sum.Kind, sum.Settlement, sum.Amount, sum.Fee = ledger.PostingKind(kind), settles != 0, money.Paise(amount), money.Paise(fee)
			add(sum, 0)
			return nil
		}, `SELECT p.kind, CASE WHEN substr(w.withdrawal_id, 1, 11) = '`+payout.SettlementPrefix+`' THEN 1 ELSE 0 END AS settles, COUNT(DISTINCT p.transaction_id),
				SUM(p.amount), SUM(CASE WHEN p.kind = 'withdrawal_held' THEN w.fee ELSE 0 END)
			FROM postings p LEFT JOIN withdrawals w ON w.id = p.transaction_id WHERE `+where+` AND p.at < $3 GROUP BY 1, 2 ORDER BY 1, 2`,
			account, Micros(from), Micros(to))
		if err != nil {
			return t, err
		}
	}
	t.Opening = t.Closing
	for _, s := range t.Sums {
		if s.Out {
			t.Opening += s.Amount
		} else {
			t.Opening -= s.Amount
		}
	}
	return t, nil
}
