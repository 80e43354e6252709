package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
)

// among asks for a column that has one of some values, of which there is one at
// least.
func (q *query) among(column string, values []any) {
	q.and(column+" IN ("+strings.Join(slices.Repeat([]string{"$"}, len(values)), ", ")+")", values...)
}

func values[T any](list []T) []any {
	all := make([]any, len(list))
	for i := range list {
		all[i] = list[i]
	}
	return all
}

// reached puts ways to a record together, of which each has an index; rows that
// more than one of them finds are one.
type reached struct {
	ways []string
	args []any
}

func (r *reached) by(way string, args ...any) {
	r.ways, r.args = append(r.ways, way), append(r.args, args...)
}

// FindDeposits finds deposits at once, see lookup.Finder.
func (r *Records) FindDeposits(ctx context.Context, merchants []string, ask lookup.Deposits) (items []lookup.Deposit, err error) {
	if len(merchants) == 0 || !ask.Word.AtOnce() {
		return nil, nil
	}
	owners := values(merchants)
	marks := strings.Join(slices.Repeat([]string{"$"}, len(owners)), ", ")
	var ways reached
	if ask.Word.ID != 0 {
		ways.by(`SELECT id FROM claims WHERE id = $`, ask.Word.ID)
	}
	if ask.Word.CustomID != "" {
		ways.by(`SELECT id FROM claims WHERE merchant IN (`+marks+`) AND custom_id = $`, append(slices.Clone(owners), ask.Word.CustomID)...)
	}
	if utr := string(ask.Word.UTR); utr != "" { // see ListDeposits
		ways.by(`SELECT claim_id FROM credits WHERE utr = $`, utr)
		ways.by(`SELECT id FROM claims WHERE utr = $ AND state IN ('waiting', 'pending', 'rejected')`, utr)
		ways.by(`SELECT id FROM claims WHERE utr = $ AND state IN ('refused', 'expired')`, utr)
	}
	var q query
	q.and("c.id IN ("+strings.Join(ways.ways, " UNION ")+")", ways.args...)
	q.among("c.merchant || ''", owners) // leads to no index: see ListDeposits
	q.during("c.created_at", ask.Range)
	q.narrowDeposits(&ask)
	err = each(ctx, r.Read, func(row Row) error {
		item, err := scanDeposit(row)
		items = append(items, item)
		return err
	}, fmt.Sprintf(`SELECT %s FROM claims c LEFT JOIN deposits d ON d.id = c.id WHERE %s ORDER BY c.created_at DESC, c.id DESC LIMIT %d`,
		depositColumns, &q, ask.Limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("find deposits: %w", err)
	}
	return items, nil
}

// FindDepositByID finds a deposit, see lookup.Finder.
func (r *Records) FindDepositByID(ctx context.Context, id int64) (lookup.Deposit, error) {
	return foundOne(scanDeposit(r.Read.QueryRowContext(ctx, `SELECT `+depositColumns+` FROM claims c LEFT JOIN deposits d ON d.id = c.id
		WHERE c.id = $1`, id)))
}

// FindWithdrawals finds withdrawals at once, see lookup.Finder.
func (r *Records) FindWithdrawals(ctx context.Context, merchants []string, ask lookup.Withdrawals) (items []*payout.Withdrawal, err error) {
	if len(merchants) == 0 || !ask.Word.AtOnce() {
		return nil, nil
	}
	owners := values(merchants)
	marks := strings.Join(slices.Repeat([]string{"$"}, len(owners)), ", ")
	var ways reached
	if ask.Word.ID != 0 {
		ways.by(`SELECT id FROM withdrawals WHERE id = $`, ask.Word.ID)
	}
	if ask.Word.CustomID != "" {
		ways.by(`SELECT id FROM withdrawals WHERE merchant IN (`+marks+`) AND withdrawal_id = $`, append(slices.Clone(owners), ask.Word.CustomID)...)
	}
	if ask.Word.UTR != "" {
		ways.by(`SELECT id FROM withdrawals WHERE bank_ref = $ AND bank_ref <> ''`, string(ask.Word.UTR))
	}
	var q query
	q.and("id IN ("+strings.Join(ways.ways, " UNION ")+")", ways.args...)
	q.among("merchant || ''", owners)
	q.during("created_at", ask.Range)
	q.narrowWithdrawals(&ask)
	err = each(ctx, r.Read, func(row Row) error {
		w, err := scanWithdrawal(row)
		items = append(items, w)
		return err
	}, fmt.Sprintf(`SELECT %s FROM withdrawals WHERE %s ORDER BY created_at DESC, id DESC LIMIT %d`, withdrawalColumns, &q, ask.Limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("find withdrawals: %w", err)
	}
	return items, nil
}

// FindPostbacks gives postbacks of deposits or withdrawals, see lookup.Finder.
func (r *Records) FindPostbacks(ctx context.Context, subjects []int64) (items []postback.Summary, err error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	// A postback of a deposit has its id.
	var of, paying query
	of.among("p.id", values(subjects))
	paying.among("p.withdrawal_id", values(subjects))
	paying.and("p.withdrawal_id <> 0")
	for _, q := range []query{of, paying} {
		if err := each(ctx, r.Read, func(row Row) error {
			var s postback.Summary
			err := scanSummary(row, &s)
			items = append(items, s)
			return err
		}, `SELECT `+summaryColumns+` FROM `+summaryTables+` WHERE `+q.String()+` ORDER BY p.id DESC`, q.args...); err != nil {
			return nil, fmt.Errorf("find postbacks: %w", err)
		}
	}
	return items, nil
}

// PostingsOf gives the postings of a transaction, see lookup.Finder.
func (r *Records) PostingsOf(ctx context.Context, id int64) (list []lookup.Posting, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		var p lookup.Posting
		var kind string
		var amount, at int64
		err := row.Scan(&p.Line, &kind, &p.Debit, &p.Credit, &amount, &at)
		p.Kind, p.Amount, p.At = ledger.PostingKind(kind), money.Paise(amount), Time(at)
		list = append(list, p)
		return err
	}, `SELECT p.line, p.kind, d.code, c.code, p.amount, p.at FROM postings p JOIN accounts d ON d.id = p.debit JOIN accounts c ON c.id = p.credit
		WHERE p.transaction_id = $1 ORDER BY p.line`, id)
	if err != nil {
		return nil, fmt.Errorf("read postings of %d: %w", id, err)
	}
	return list, nil
}

// noted is the condition of the index audit_noted.
const noted = `subject <> 0 AND action <> 'credit.received' AND action <> 'claim.waiting'
	AND NOT (action = 'claim.credited' AND substr(actor, 1, 4) IN ('api:', 'feed', 'wind'))`

// NotesOf gives what the audit log says of records, see lookup.Finder.
func (r *Records) NotesOf(ctx context.Context, ids []int64, limit int) (list []audit.Entry, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var q query
	q.among("subject", values(ids))
	q.and(noted)
	err = each(ctx, r.Read, func(row Row) error {
		var e audit.Entry
		var at int64
		err := row.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &e.Why)
		e.At = Time(at)
		list = append(list, e)
		return err
	}, fmt.Sprintf(`SELECT seq, at, actor, action, subject, why FROM audit WHERE %s ORDER BY seq LIMIT %d`, &q, limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return list, nil
}

// MessagesOf gives the messages that told of a credit, see lookup.Finder.
func (r *Records) MessagesOf(ctx context.Context, credit int64) (list []deposit.KeptMessage, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		m, err := r.scanMessage(row)
		list = append(list, m)
		return err
	}, `SELECT `+inboxColumns+` FROM messages WHERE credit_id = $1 AND credit_id <> 0 ORDER BY id`, credit)
	if err != nil {
		return nil, fmt.Errorf("read the messages of credit %d: %w", credit, err)
	}
	return list, nil
}

// LinesOf gives the lines of statements that show a credit, see lookup.Finder.
func (r *Records) LinesOf(ctx context.Context, credit int64) (list []lookup.Line, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		var l lookup.Line
		var at, importedAt int64
		var result string
		err := row.Scan(&l.Statement, &l.Name, &l.Number, &at, &l.Narration, &result, &importedAt)
		l.At, l.ImportedAt, l.Result = Time(at), Time(importedAt), feed.Result(result)
		list = append(list, l)
		return err
	}, `SELECT l.statement, s.name, l.line, l.booked_at, l.narration, l.result, s.imported_at FROM statement_lines l JOIN statements s ON s.id = l.statement
		WHERE l.credit_id = $1 AND l.credit_id <> 0 ORDER BY l.statement, l.line`, credit)
	if err != nil {
		return nil, fmt.Errorf("read the statement lines of credit %d: %w", credit, err)
	}
	return list, nil
}

// FindMovement finds a movement, see lookup.Finder.
func (r *Records) FindMovement(ctx context.Context, id int64) (*deposit.Movement, error) {
	m, err := ScanMovement(r.Read.QueryRowContext(ctx, `SELECT `+MovementColumns+` FROM movements WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, lookup.ErrNone
	}
	return m, err
}
