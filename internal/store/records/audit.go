package records

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/lookup"
)

// acts is the condition of the index audit_acts.
const acts = `action <> 'credit.received' AND action <> 'claim.waiting'
	AND NOT (action = 'claim.credited' AND substr(actor, 1, 4) IN ('api:', 'feed', 'wind'))`

// clockSkew is by how much entries of the audit log may be out of the order of their
// times: gateways have clocks of their own.
const clockSkew = 10 * time.Minute

// ListAudit gives a page of the audit log, see lookup.AuditLog.
func (r *Records) ListAudit(ctx context.Context, ask lookup.Audit) (out lookup.Notes, err error) {
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return out, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	l := auditLog{tx}
	if out.Head, out.Headed, err = l.head(ctx); err != nil {
		return out, fmt.Errorf("read the head of the audit log: %w", err)
	}
	if ask.Subject != 0 {
		out.Items, err = l.of(ctx, ask, out.Head)
	} else {
		out.Items, out.Next, err = l.page(ctx, ask, out.Head)
	}
	if err != nil {
		return out, fmt.Errorf("read the audit log: %w", err)
	}
	return out, nil
}

// auditLog is the audit log as of one moment.
type auditLog struct{ Tx }

// head gives the number of the last entry, and whether the head agrees with it.
func (l auditLog) head(ctx context.Context) (seq int64, agrees bool, err error) {
	var headSeq int64
	var headHash, hash []byte
	if err := l.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head`).Scan(&headSeq, &headHash); err != nil {
		return 0, false, err
	}
	err = l.QueryRowContext(ctx, `SELECT seq, hash FROM audit WHERE seq > 0 ORDER BY seq DESC LIMIT 1`).Scan(&seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, headSeq == 0, nil
	}
	return seq, seq == headSeq && bytes.Equal(hash, headHash), err
}

// from is the number of the first entry that was written at a time or later, as far
// as entries are in the order of time; beyond the head where there is none.
func (l auditLog) from(ctx context.Context, at time.Time, head int64) (int64, error) {
	low, high := int64(1), head+1
	for low < high {
		middle := low + (high-low)/2
		// An entry that is missing must not hide those behind it.
		var seq, micros int64
		err := l.QueryRowContext(ctx, `SELECT seq, at FROM audit WHERE seq >= $1 ORDER BY seq LIMIT 1`, middle).Scan(&seq, &micros)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && micros >= Micros(at):
			high = middle
		case err != nil:
			return 0, err
		default:
			low = seq + 1
		}
	}
	return low, nil
}

// narrow adds what is asked of each entry.
func narrow(q *query, ask *lookup.Audit) {
	for _, begins := range []struct{ column, text string }{{"a.actor", ask.Actor}, {"a.action", ask.Action}} {
		if begins.text != "" {
			// Not LIKE, which engines compare by rules of their own.
			q.and("substr("+begins.column+", 1, $) = $", len([]rune(begins.text)), begins.text)
		}
	}
	if !ask.From.IsZero() {
		q.and("a.at >= $", Micros(ask.From))
	}
	if !ask.To.IsZero() {
		q.and("a.at < $", Micros(ask.To))
	}
}

// page gives a page of the whole log, or of its acts.
func (l auditLog) page(ctx context.Context, ask lookup.Audit, head int64) (items []lookup.Noted, next int64, err error) {
	seq := "a.seq"
	var q query
	if ask.Acts {
		seq = "a.seq + 0"
		q.and(acts)
	}
	before := head + 1
	if ask.Before > 0 {
		before = min(before, ask.Before)
	}
	if !ask.To.IsZero() {
		end, err := l.from(ctx, ask.To.Add(clockSkew), head)
		if err != nil {
			return nil, 0, err
		}
		before = min(before, end)
	}
	q.and(seq+" < $", before)
	if !ask.From.IsZero() {
		begin, err := l.from(ctx, ask.From.Add(-clockSkew), head)
		if err != nil {
			return nil, 0, err
		}
		q.and(seq+" >= $", begin)
	}
	var last int64
	err = l.QueryRowContext(ctx, fmt.Sprintf(`SELECT a.seq FROM audit a WHERE %s ORDER BY %s DESC LIMIT 1 OFFSET %d`, &q, seq, mostLookedAt-1), q.args...).Scan(&last)
	switch {
	case err == nil:
		q.and(seq+" >= $", last)
	case !errors.Is(err, sql.ErrNoRows):
		return nil, 0, err
	}
	narrow(&q, &ask)
	items, err = l.read(ctx, &q, seq+" DESC", ask.Limit+1)
	if len(items) > ask.Limit {
		items = items[:ask.Limit]
		return items, items[ask.Limit-1].Seq, err
	}
	return items, last, err
}

// of gives what the log says of one record: by its index what was done with it, and
// what was written as a matter of course from about the times that the record names.
func (l auditLog) of(ctx context.Context, ask lookup.Audit, head int64) ([]lookup.Noted, error) {
	var q query
	q.and("a.subject = $ AND "+noted, ask.Subject)
	narrow(&q, &ask)
	items, err := l.read(ctx, &q, "a.seq DESC", ask.Limit)
	if err != nil || ask.Acts {
		return items, err
	}
	var times []int64
	err = each(ctx, l, func(row Row) error {
		var first, last int64
		err := row.Scan(&first, &last)
		times = append(times, first, last)
		return err
	}, `SELECT created_at, settled_at FROM claims WHERE id = $1 UNION ALL SELECT received_at, 0 FROM credits WHERE id = $2`, ask.Subject, ask.Subject)
	if err != nil {
		return nil, err
	}
	const around = 2 * time.Second
	for _, at := range times {
		if at == 0 {
			continue
		}
		begin, err := l.from(ctx, Time(at).Add(-around), head)
		if err != nil {
			return nil, err
		}
		end, err := l.from(ctx, Time(at).Add(around), head)
		if err != nil {
			return nil, err
		}
		var q query
		q.and("a.seq >= $ AND a.seq < $ AND a.subject + 0 = $", begin, min(end, begin+mostLookedAt), ask.Subject)
		narrow(&q, &ask)
		near, err := l.read(ctx, &q, "a.seq DESC", ask.Limit)
		if err != nil {
			return nil, err
		}
		items = append(items, near...)
	}
	slices.SortFunc(items, func(a, b lookup.Noted) int { return cmp.Compare(b.Seq, a.Seq) })
	items = slices.CompactFunc(items, func(a, b lookup.Noted) bool { return a.Seq == b.Seq })
	return items[:min(len(items), ask.Limit)], nil
}

// read gives entries and whether each follows from the one before.
func (l auditLog) read(ctx context.Context, q *query, order string, limit int) (items []lookup.Noted, err error) {
	err = each(ctx, l, func(row Row) error {
		var n lookup.Noted
		var at int64
		var hash, before []byte
		if err := row.Scan(&n.Seq, &at, &n.Actor, &n.Action, &n.Subject, &n.Why, &hash, &before); err != nil {
			return err
		}
		n.At = Time(at)
		var head [sha256.Size]byte
		copy(head[:], before)
		copy(n.Hash[:], hash)
		n.Whole = (n.Seq == 1 || len(before) == sha256.Size) && audit.Verify(head, n.Entry)
		items = append(items, n)
		return nil
	}, fmt.Sprintf(`SELECT a.seq, a.at, a.actor, a.action, a.subject, a.why, a.hash, (SELECT b.hash FROM audit b WHERE b.seq = a.seq - 1)
		FROM audit a WHERE %s ORDER BY %s LIMIT %d`, q, order, limit), q.args...)
	return items, err
}
