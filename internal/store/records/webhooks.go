package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/webhook"
)

// EventStatement writes one event of a webhook into the outbox; see EventValues.
const EventStatement = `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at, event, subject)
	VALUES ($1, $2, 'due', 0, $3, $4, 0, '', $5, 0, $6, $7)`

// EventValues are the parameters of EventStatement.
func EventValues(e *webhook.Event) []any {
	return []any{e.ID, e.Destination, Micros(e.At), e.Body, Micros(e.At), string(e.Type), e.Subject}
}

// insertEvents numbers events and writes them. Ids are taken after the head of
// the audit log, where a transaction needs both.
func insertEvents(ctx context.Context, tx Tx, events []webhook.Event) error {
	if len(events) == 0 {
		return nil
	}
	first, err := reserveIDs(ctx, tx, int64(len(events)))
	if err != nil {
		return err
	}
	for i := range events {
		e := events[i]
		e.ID = first + int64(i)
		if _, err := tx.ExecContext(ctx, EventStatement, EventValues(&e)...); err != nil {
			return fmt.Errorf("event %s of %s: %w", e.Type, e.Destination, err)
		}
	}
	return nil
}

// lockAudit keeps everybody else who changes a balance or an event's fact out
// until the transaction ends.
func lockAudit(ctx context.Context, tx Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE audit_head SET seq = seq`)
	return err
}

// TellOnce writes events, except those that their webhook was told with the same
// type and subject before.
func (r *Records) TellOnce(ctx context.Context, events []webhook.Event) error {
	if len(events) == 0 {
		return nil
	}
	return r.Write(ctx, func(tx Tx) error {
		if err := lockAudit(ctx, tx); err != nil {
			return err
		}
		var fresh []webhook.Event
		for i := range events {
			e := &events[i]
			var told int
			err := tx.QueryRowContext(ctx, `SELECT 1 FROM postbacks WHERE subject = $1 AND event = $2 AND event <> '' AND merchant = $3 LIMIT 1`,
				e.Subject, string(e.Type), e.Destination).Scan(&told)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				fresh = append(fresh, *e)
			case err != nil:
				return err
			}
		}
		return insertEvents(ctx, tx, fresh)
	})
}

// unclaimedPage is how many entries of the audit log are looked through at once.
const unclaimedPage = 5000

// TellUnclaimed looks for credits that came up to a time, and that nobody has
// claimed, and writes the events that tell makes of each: once a credit, however
// many gateways look. It looks at a bounded number of credits and reports whether
// there may be more.
//
// What came is read off the audit log, which has an entry for each credit in the
// order of the commits: no index has to be kept for it while payments are
// credited. The first look begins at that time, so that whoever asks to be told
// is not told of what lay there before.
func (r *Records) TellUnclaimed(ctx context.Context, before time.Time, tell func(*deposit.Credit) []webhook.Event) (more bool, err error) {
	var from int64
	err = r.Read.QueryRowContext(ctx, `SELECT seq FROM unclaimed_cursor WHERE id = 1`).Scan(&from)
	if errors.Is(err, sql.ErrNoRows) {
		return false, r.beginUnclaimed(ctx, before)
	}
	if err != nil {
		return false, err
	}
	to, looked := from, 0
	var candidates []int64
	// The end of the page is found without the index of times that there is not.
	err = each(ctx, r.Read, func(row Row) error {
		var seq, at, subject int64
		var action string
		if err := row.Scan(&seq, &at, &action, &subject); err != nil {
			return err
		}
		if looked++; at > Micros(before) {
			return errEnough
		}
		if to = seq; action == "credit.received" {
			candidates = append(candidates, subject)
		}
		return nil
	}, `SELECT seq, at, action, subject FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2`, from, unclaimedPage)
	if err != nil && !errors.Is(err, errEnough) {
		return false, fmt.Errorf("look through the audit log: %w", err)
	}
	if to == from {
		return false, nil
	}
	// Most are claimed by now: that is found out before anybody has to wait.
	open, err := unclaimed(ctx, r.Read, candidates)
	if err != nil {
		return false, err
	}
	candidates = candidates[:0]
	for _, credit := range open {
		candidates = append(candidates, credit.ID)
	}
	return looked == unclaimedPage, r.Write(ctx, func(tx Tx) error {
		// Whoever claims a credit writes the audit log: what is unclaimed from here
		// on stays so until this is committed.
		if err := lockAudit(ctx, tx); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE unclaimed_cursor SET seq = $1 WHERE id = 1 AND seq = $2`, to, from)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // another gateway looked here
		}
		open, err := unclaimed(ctx, tx, candidates)
		if err != nil {
			return err
		}
		var events []webhook.Event
		for _, credit := range open {
			events = append(events, tell(credit)...)
		}
		return insertEvents(ctx, tx, events)
	})
}

var errEnough = errors.New("enough")

// unclaimed are those of the credits that nobody has claimed.
func unclaimed(ctx context.Context, tx Tx, ids []int64) (open []*deposit.Credit, err error) {
	for chunk := range slices.Chunk(ids, 100) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		if err := each(ctx, tx, func(row Row) error {
			c, err := ScanCredit(row)
			open = append(open, c)
			return err
		}, `SELECT `+CreditColumns+` FROM credits WHERE id IN (`+placeholders(len(chunk))+`) AND state = 'unclaimed' ORDER BY id`, args...); err != nil {
			return nil, fmt.Errorf("read unclaimed credits: %w", err)
		}
	}
	return open, nil
}

// beginUnclaimed has the next look begin at a time.
func (r *Records) beginUnclaimed(ctx context.Context, at time.Time) error {
	return r.Write(ctx, func(tx Tx) error {
		var seq int64
		err := tx.QueryRowContext(ctx, `SELECT seq FROM audit WHERE at <= $1 ORDER BY seq DESC LIMIT 1`, Micros(at)).Scan(&seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO unclaimed_cursor (id, seq) VALUES (1, $1) ON CONFLICT DO NOTHING`, seq)
		return err
	})
}

// LeaveUnclaimed forgets how far TellUnclaimed looked: nobody wants to be told
// any more.
func (r *Records) LeaveUnclaimed(ctx context.Context) error {
	var seq int64
	err := r.Read.QueryRowContext(ctx, `SELECT seq FROM unclaimed_cursor WHERE id = 1`).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // as on most installations
	}
	if err != nil {
		return err
	}
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM unclaimed_cursor`)
		return err
	})
}
