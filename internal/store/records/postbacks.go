package records

import (
	"context"
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// DueMerchants lists merchants with an event that is due, see postback.Store.
// It steps from merchant to merchant along the index, so that a merchant with
// a million open events costs no more than one with one.
func (r *Records) DueMerchants(ctx context.Context, now time.Time, after string, limit int) ([]string, error) {
	var merchants []string
	err := each(ctx, r.Read, func(row Row) error {
		var merchant string
		err := row.Scan(&merchant)
		merchants = append(merchants, merchant)
		return err
	}, `WITH RECURSIVE step (merchant) AS (
			SELECT (SELECT merchant FROM postbacks WHERE state IN ('due', 'held') AND merchant > $1 ORDER BY merchant LIMIT 1)
			UNION ALL
			SELECT (SELECT p.merchant FROM postbacks p WHERE p.state IN ('due', 'held') AND p.merchant > step.merchant ORDER BY p.merchant LIMIT 1)
			FROM step WHERE step.merchant IS NOT NULL
		)
		SELECT merchant FROM step WHERE merchant IS NOT NULL AND EXISTS (
			SELECT 1 FROM postbacks p WHERE p.merchant = step.merchant AND p.state IN ('due', 'held') AND p.next_at <= $2)
		ORDER BY merchant LIMIT $3`, after, Micros(now), limit)
	return merchants, err
}

// Lease takes due events of a merchant, see postback.Store.
func (r *Records) Lease(ctx context.Context, merchant string, now, until time.Time, limit int) ([]postback.Job, error) {
	var jobs []postback.Job
	err := r.Write(ctx, func(tx Tx) error {
		jobs = jobs[:0]
		if err := each(ctx, tx, func(row Row) error {
			job := postback.Job{LeasedUntil: until}
			var body []byte
			err := row.Scan(&job.ID, &job.Attempts, &body)
			if len(body) > 0 {
				job.Body = body
			}
			jobs = append(jobs, job)
			return err
			// Materialized: a sub-query in its place may be run more than once, and
			// would then lock more rows than asked for.
		}, `WITH due AS MATERIALIZED (
				SELECT id FROM postbacks WHERE merchant = $1 AND state IN ('due', 'held') AND next_at <= $2
				ORDER BY next_at LIMIT $3 `+r.SkipLocked+`)
			UPDATE postbacks SET next_at = $4 WHERE id IN (SELECT id FROM due)
			RETURNING id, attempts, body`, merchant, Micros(now), limit, Micros(until)); err != nil {
			return fmt.Errorf("lease events of %s: %w", merchant, err)
		}
		for i := range jobs {
			if err := loadEvent(ctx, tx, &jobs[i].Event); err != nil {
				return err
			}
		}
		return nil
	})
	return jobs, err
}

// loadEvent fills in what an event tells, from the deposit it is about.
func loadEvent(ctx context.Context, tx Tx, e *postback.Event) error {
	var (
		amount, createdAt, activatedAt     int64
		currency, utr, payerVPA, payerName string
	)
	err := tx.QueryRowContext(ctx, `SELECT d.merchant, c.method, c.label, c.custom_id, d.amount, c.currency,
			r.payer_vpa, r.payer_name, d.credit_id, c.utr, c.created_at, d.at, d.rates_id
		FROM deposits d JOIN claims c ON c.id = d.id JOIN credits r ON r.id = d.credit_id WHERE d.id = $1`, e.ID).
		Scan(&e.Merchant, &e.Method, &e.Label, &e.CustomID, &amount, &currency,
			&payerVPA, &payerName, &e.CreditID, &utr, &createdAt, &activatedAt, &e.RatesID)
	if err != nil {
		return fmt.Errorf("read the deposit of event %d: %w", e.ID, err)
	}
	e.Amount, e.Currency, e.UTR = money.Paise(amount), money.Currency(currency), upi.UTR(utr)
	e.CreatedAt, e.ActivatedAt = Time(createdAt), Time(activatedAt)
	e.Payer = payerVPA
	if e.Payer == "" {
		e.Payer = payerName
	}
	return nil
}

// RecordStatement writes one result; see RecordValues for its parameters.
const RecordStatement = `UPDATE postbacks SET
		state = $1, next_at = $2,
		attempts = CASE WHEN $3 > 0 THEN $4 ELSE attempts END,
		last_status = CASE WHEN $5 > 0 THEN $6 ELSE last_status END,
		last_error = CASE WHEN $7 > 0 THEN $8 ELSE last_error END,
		delivered_at = $9,
		body = CASE WHEN $10 > 0 THEN $11 ELSE body END
	WHERE id = $12 AND ($13 > 0 OR (next_at = $14 AND state IN ('due', 'held')))`

// RecordValues are the parameters of RecordStatement for a result. A delivery
// holds whoever has the lease; anything else gives way to who leased since.
func RecordValues(result *postback.Result) []any {
	number := int64(result.Attempt.Number)
	delivered := result.State == postback.StateDelivered
	var deliveredAt int64
	if delivered {
		deliveredAt = Micros(result.Attempt.At.Add(result.Attempt.Latency))
	}
	body := result.Body
	if body == nil {
		body = []byte{}
	}
	return []any{
		string(result.State), Micros(result.NextAt),
		number, number, number, int64(result.Attempt.Status), number, result.Attempt.Error, deliveredAt,
		int64(len(body)), body, result.EventID, Flag(delivered), Micros(result.LeasedUntil),
	}
}

// ReleaseLeases makes events that a gateway took with it into its end due at
// once. Only the one gateway of an embedded database may do so, at its start:
// among several, leases run out by themselves.
func (r *Records) ReleaseLeases(ctx context.Context, now time.Time) error {
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE postbacks SET next_at = $1
			WHERE state IN ('due', 'held') AND next_at > $2 AND next_at <= $3`,
			Micros(now), Micros(now), Micros(now.Add(postback.Lease)))
		return err
	})
}
