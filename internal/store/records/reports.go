package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/money"
)

// bulk is a kind of posting that every payment has. The table turnovers has what its
// postings come to at an account, by the quarter of an hour; a trigger keeps it.
type bulk struct {
	kind ledger.PostingKind
	// edge reads those postings of an account ($1) that are of less than a quarter,
	// from $2 to before $3.
	edge string
}

var (
	// Wallets' periods are days and months of India, which begin with a quarter: no
	// index is kept for others, which are slow.
	received = bulk{ledger.CreditReceived, `SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM postings
		WHERE debit = $1 AND kind = 'credit' AND at >= $2 AND at < $3`}
	deposited = bulk{ledger.DepositCredited, `SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM postings
		WHERE credit = $1 AND kind = 'deposit' AND at >= $2 AND at < $3`}
	// A fee is posted with its deposit, which has an index.
	depositFees = bulk{ledger.DepositFee, `SELECT COUNT(*), CAST(COALESCE(SUM(f.amount), 0) AS BIGINT) FROM postings p
		JOIN postings f ON f.transaction_id = p.transaction_id AND f.debit = p.credit AND f.kind = 'deposit_fee'
		WHERE p.credit = $1 AND p.kind = 'deposit' AND p.at >= $2 AND p.at < $3`}
)

// quarter is the step of turnovers, in microseconds.
const quarter = int64(deposit.TallyStep / time.Microsecond)

// sums adds up an account's postings of a period, and those since. Whole quarters are
// added up already; the postings of the quarters that it begins and ends amid are read.
func (b bulk) sums(ctx context.Context, tx Tx, account int64, from, to time.Time) (count int64, total, since money.Paise, err error) {
	// Nothing was posted before 1970; in negative numbers quarters would be rounded up.
	begin, end := max(Micros(from), 0), max(Micros(to), 0)
	first, last, later := (begin+quarter-1)/quarter, end/quarter, (end+quarter-1)/quarter // of the period: from first to before last
	err = tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(CASE WHEN quarter < $4 THEN postings ELSE 0 END), 0) AS BIGINT),
			CAST(COALESCE(SUM(CASE WHEN quarter < $4 THEN amount ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN quarter >= $5 THEN amount ELSE 0 END), 0) AS BIGINT)
		FROM turnovers WHERE account = $1 AND kind = $2 AND quarter >= $3`, account, string(b.kind), min(first, later), last, later).
		Scan(&count, (*int64)(&total), (*int64)(&since))
	add := func(from, to int64, count *int64, total *money.Paise) {
		if err != nil || from >= to {
			return
		}
		var n, amount int64
		err = tx.QueryRowContext(ctx, b.edge, account, from, to).Scan(&n, &amount)
		*count, *total = *count+n, *total+money.Paise(amount)
	}
	if first <= last {
		add(begin, first*quarter, &count, &total)
		add(last*quarter, end, &count, &total)
	} else { // it begins and ends amid one quarter
		add(begin, end, &count, &total)
	}
	add(end, later*quarter, new(int64), &since)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("add up %s of account %d: %w", b.kind, account, err)
	}
	return count, total, since, nil
}

// turnover is a turnover in the making: sums, and what they do to the balance at
// the end, which is counted back from that of now.
type turnover struct {
	Tx
	report.Turnover
	from, to time.Time
}

// begin finds an account, whose balance it takes as that of the end for now. There
// is none where nothing was ever posted to it.
func (t *turnover) begin(ctx context.Context, code string, sign money.Paise) (account int64, ok bool, err error) {
	var balance int64
	err = t.QueryRowContext(ctx, `SELECT id, balance FROM accounts WHERE code = $1`, code).Scan(&account, &balance)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	t.Closing = sign * money.Paise(balance)
	return account, err == nil, err
}

func (t *turnover) add(s report.Sum, since money.Paise) {
	if s.Out {
		since = -since
	}
	t.Closing -= since
	if s.Count > 0 {
		t.Sums = append(t.Sums, s)
	}
}

// bulk adds what every payment posts.
func (t *turnover) bulk(ctx context.Context, b bulk, account int64, merchant string) error {
	count, total, since, err := b.sums(ctx, t, account, t.from, t.to)
	t.add(report.Sum{Kind: b.kind, Merchant: merchant, Count: count, Amount: total}, since)
	return err
}

// rest adds everything else that was posted to a side of the account, by its kind
// and the account on the other side.
func (t *turnover) rest(ctx context.Context, side, other string, account int64, out bool) error {
	where := side + ` = $1 AND p.kind NOT IN ('credit', 'deposit', 'deposit_fee') AND p.at >= $2`
	var since int64
	if err := t.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(p.amount), 0) AS BIGINT) FROM postings p WHERE `+where, account, Micros(t.to)).Scan(&since); err != nil {
		return err
	}
	t.add(report.Sum{Out: out}, money.Paise(since))
	return each(ctx, t, func(row Row) error {
		var kind, counter string
		sum := report.Sum{Out: out}
		if err := row.Scan(&kind, &counter, &sum.Count, (*int64)(&sum.Amount)); err != nil {
			return err
		}
		sum.Kind = ledger.PostingKind(kind)
		for _, prefix := range []string{ledger.MerchantCode(""), ledger.HoldCode("")} {
			if merchant, ok := strings.CutPrefix(counter, prefix); ok {
				sum.Merchant = merchant
			}
		}
		t.add(sum, 0)
		return nil
	}, `SELECT p.kind, (SELECT code FROM accounts WHERE id = `+other+`), COUNT(*), CAST(SUM(p.amount) AS BIGINT)
		FROM postings p WHERE `+where+` AND p.at < $3 GROUP BY p.kind, `+other, account, Micros(t.from), Micros(t.to))
}

// turnover works a turnover out on one state of the ledger.
func (r *Records) turnover(ctx context.Context, from, to time.Time, work func(t *turnover) error) (out report.Turnover, err error) {
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return out, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	t := &turnover{Tx: tx, from: from, to: to}
	if err := work(t); err != nil {
		return out, fmt.Errorf("add up the ledger: %w", err)
	}
	t.Opening = t.Closing
	for _, s := range t.Sums {
		if s.Out {
			t.Opening += s.Amount
		} else {
			t.Opening -= s.Amount
		}
	}
	return t.Turnover, nil
}

// WalletTurnover sums a wallet's postings in a period, see report.Store. A wallet is
// an asset: it grows by its debits.
func (r *Records) WalletTurnover(ctx context.Context, wallet string, from, to time.Time) (report.Turnover, error) {
	return r.turnover(ctx, from, to, func(t *turnover) error {
		account, ok, err := t.begin(ctx, ledger.WalletCode(wallet), 1)
		if err != nil || !ok {
			return err
		}
		return errors.Join(t.bulk(ctx, received, account, ""), t.rest(ctx, "p.debit", "p.credit", account, false), t.rest(ctx, "p.credit", "p.debit", account, true))
	})
}

// FeeTurnover sums the postings of fees in a period, see report.Store. What
// deposits cost is found at the merchants, whose accounts it left.
func (r *Records) FeeTurnover(ctx context.Context, from, to time.Time) (report.Turnover, error) {
	return r.turnover(ctx, from, to, func(t *turnover) error {
		account, ok, err := t.begin(ctx, ledger.FeesCode, -1)
		if err != nil || !ok {
			return err
		}
		merchants := make(map[int64]string)
		prefix := ledger.MerchantCode("")
		err = each(ctx, t, func(row Row) error {
			var id int64
			var code string
			err := row.Scan(&id, &code)
			merchants[id] = strings.TrimPrefix(code, prefix)
			return err
		}, `SELECT id, code FROM accounts WHERE substr(code, 1, $1) = $2`, len(prefix), prefix)
		for id, merchant := range merchants {
			err = errors.Join(err, t.bulk(ctx, depositFees, id, merchant))
		}
		return errors.Join(err, t.rest(ctx, "p.credit", "p.debit", account, false), t.rest(ctx, "p.debit", "p.credit", account, true))
	})
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
