package records

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
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

// Lease takes due events, see postback.Store.
func (r *Records) Lease(ctx context.Context, wants []postback.Want, now, until time.Time) ([]postback.Job, error) {
	var jobs []postback.Job
	err := r.Write(ctx, func(tx Tx) error {
		jobs = jobs[:0]
		for _, want := range wants {
			if err := each(ctx, tx, func(row Row) error {
				job := postback.Job{LeasedUntil: until}
				var body []byte
				var createdAt int64
				err := row.Scan(&job.ID, &job.Attempts, &body, &job.Webhook, &createdAt)
				if len(body) > 0 {
					job.Body = body
				}
				if job.Webhook != "" { // its body tells all
					job.Merchant, job.CreatedAt, job.ActivatedAt = want.Merchant, Time(createdAt), Time(createdAt)
				}
				jobs = append(jobs, job)
				return err
				// Materialized: a sub-query in its place may be run more than once, and
				// would then lock more rows than asked for.
			}, `WITH due AS MATERIALIZED (
					SELECT id FROM postbacks WHERE merchant = $1 AND state IN ('due', 'held') AND next_at <= $2
					ORDER BY next_at LIMIT $3 `+r.SkipLocked+`)
				UPDATE postbacks SET next_at = $4 WHERE id IN (SELECT id FROM due)
				RETURNING id, attempts, body, event, created_at`, want.Merchant, Micros(now), want.Limit, Micros(until)); err != nil {
				return fmt.Errorf("lease events of %s: %w", want.Merchant, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Deposits never change: others need not wait while they are read.
	for i := range jobs {
		if jobs[i].Webhook != "" {
			continue
		}
		if err := loadEvent(ctx, r.Read, &jobs[i].Event); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// rowReader is a database or a transaction.
type rowReader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// loadEvent fills in what an event tells, from the deposit it is about, or else the
// withdrawal.
func loadEvent(ctx context.Context, tx rowReader, e *postback.Event) error {
	var (
		amount, createdAt, activatedAt     int64
		currency, utr, payerVPA, payerName string
	)
	err := tx.QueryRowContext(ctx, `SELECT d.merchant, c.method, c.label, c.custom_id, d.amount, c.currency,
			r.payer_vpa, r.payer_name, d.credit_id, c.utr, c.created_at, d.at, d.rates_id, c.trace
		FROM (SELECT `+DepositColumns+` FROM deposits WHERE id = $1 UNION ALL SELECT `+DepositColumns+` FROM undone WHERE id = $2) AS d
			JOIN claims c ON c.id = d.id JOIN credits r ON r.id = d.credit_id`, e.ID, e.ID).
		Scan(&e.Merchant, &e.Method, &e.Label, &e.CustomID, &amount, &currency,
			&payerVPA, &payerName, &e.CreditID, &utr, &createdAt, &activatedAt, &e.RatesID, &e.Trace)
	if errors.Is(err, sql.ErrNoRows) {
		return loadWithdrawal(ctx, tx, e)
	}
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

// loadWithdrawal fills in an event that tells of a withdrawal.
func loadWithdrawal(ctx context.Context, tx rowReader, e *postback.Event) error {
	var (
		amount, createdAt, settledAt             int64
		currency, bankRef, account, name, branch string
		payment                                  postback.Payment
	)
	err := tx.QueryRowContext(ctx, `SELECT w.merchant, w.method, w.label, w.withdrawal_id, w.amount, w.currency, p.told, w.bank_ref,
			w.account, w.name, w.ifsc, w.created_at, w.settled_at, w.rates_id
		FROM postbacks p JOIN withdrawals w ON w.id = p.withdrawal_id WHERE p.id = $1 AND p.withdrawal_id <> 0`, e.ID).
		Scan(&e.Merchant, &e.Method, &e.Label, &payment.WithdrawalID, &amount, &currency, &payment.Status, &bankRef,
			&account, &name, &branch, &createdAt, &settledAt, &e.RatesID)
	if err != nil {
		return fmt.Errorf("read the withdrawal of event %d: %w", e.ID, err)
	}
	e.Amount, e.Currency, e.UTR = money.Paise(amount), money.Currency(currency), upi.UTR(bankRef)
	e.CreatedAt, e.ActivatedAt = Time(createdAt), Time(settledAt)
	payment.AccountNumber, payment.AccountName, payment.BranchCode = account, name, branch
	e.Payment = &payment
	return nil
}

// RecordStatement writes one result; see RecordValues for its parameters.
const RecordStatement = `UPDATE postbacks SET
		state = $1, next_at = $2,
		attempts = CASE WHEN $3 > 0 THEN $4 ELSE attempts END,
		last_status = CASE WHEN $5 > 0 THEN $6 ELSE last_status END,
		last_error = CASE WHEN $7 > 0 THEN $8 ELSE last_error END,
		delivered_at = $9,
		body = CASE WHEN $10 > 0 THEN $11 ELSE body END,
		refused = $12, latency = $13
	WHERE id = $14 AND ($15 > 0 OR (next_at = $16 AND state IN ('due', 'held')))`

// plainAnswer is the answer of most merchants.
const plainAnswer = `{"status":"ok"}`

// plain reports whether a result is a first attempt that was simply confirmed.
// That is most of them, and the postback's own row can tell all of it: a row in
// the attempts' table would cost a tenth of all that is delivered.
func plain(result *postback.Result) bool {
	return result.State == postback.StateDelivered && result.Attempt.Number == 1 && result.Attempt.Status == http.StatusOK &&
		result.Attempt.Error == "" && string(result.Attempt.Answer) == plainAnswer
}

// AttemptStatement writes the attempt of a result that the postback's own row
// does not tell; see AttemptValues.
const AttemptStatement = `INSERT INTO postback_attempts (postback, number, at, latency, status, error, answer)
	VALUES ($1, $2, $3, $4, $5, $6, $7)`

// AttemptValues are the parameters of AttemptStatement for a result; nil where
// there is none to write.
func AttemptValues(result *postback.Result) []any {
	a := &result.Attempt
	if a.Number == 0 || plain(result) {
		return nil
	}
	answer := a.Answer
	if answer == nil {
		answer = []byte{}
	}
	return []any{result.EventID, int64(a.Number), Micros(a.At), a.Latency.Microseconds(), int64(a.Status), a.Error, answer}
}

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
	var latency int64
	if plain(result) {
		latency = max(1, result.Attempt.Latency.Microseconds())
	}
	return []any{
		string(result.State), Micros(result.NextAt),
		number, number, number, int64(result.Attempt.Status), number, result.Attempt.Error, deliveredAt,
		int64(len(body)), body, result.Refused, latency, result.EventID, Flag(delivered), Micros(result.LeasedUntil),
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

// Endpoints lists the endpoints that are not open, see postback.Store.
func (r *Records) Endpoints(ctx context.Context) (list []postback.Endpoint, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		e, err := scanEndpoint(row)
		list = append(list, e)
		return err
	}, `SELECT merchant, target, state, since, why FROM postback_endpoints ORDER BY merchant`)
	return list, err
}

func scanEndpoint(row Row) (e postback.Endpoint, err error) {
	var since int64
	err = row.Scan(&e.Merchant, &e.Target, &e.State, &since, &e.Why)
	e.Since = Time(since)
	return e, err
}

// SetEndpoint stores where an endpoint stands, see postback.Store.
func (r *Records) SetEndpoint(ctx context.Context, e postback.Endpoint, over []postback.EndpointState, told []webhook.Event, entries ...audit.Entry) (done bool, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		done = false
		was, err := scanEndpoint(tx.QueryRowContext(ctx, `SELECT merchant, target, state, since, why FROM postback_endpoints WHERE merchant = $1`, e.Merchant))
		none := errors.Is(err, sql.ErrNoRows)
		if err != nil && !none {
			return err
		}
		stands := was.State
		if none || was.Target != e.Target && was.State != postback.EndpointPaused {
			stands = postback.EndpointOpen
		}
		if !slices.Contains(over, stands) {
			return nil
		}
		var result sql.Result
		switch {
		case e.State == postback.EndpointOpen:
			result, err = tx.ExecContext(ctx, `DELETE FROM postback_endpoints WHERE merchant = $1 AND state = $2`, e.Merchant, string(was.State))
		case none:
			result, err = tx.ExecContext(ctx, `INSERT INTO postback_endpoints (merchant, target, state, since, why) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (merchant) DO NOTHING`, e.Merchant, e.Target, string(e.State), Micros(e.Since), e.Why)
		default:
			result, err = tx.ExecContext(ctx, `UPDATE postback_endpoints SET target = $1, state = $2, since = $3, why = $4
				WHERE merchant = $5 AND state = $6 AND target = $7`,
				e.Target, string(e.State), Micros(e.Since), e.Why, e.Merchant, string(was.State), was.Target)
		}
		if err != nil {
			return fmt.Errorf("set the endpoint of %s: %w", e.Merchant, err)
		}
		n, err := result.RowsAffected()
		if err != nil || n == 0 { // another was quicker
			return err
		}
		done = true
		if err := appendAudit(ctx, tx, entries); err != nil {
			return err
		}
		return insertEvents(ctx, tx, told) // ids come after the head of the audit log, as everywhere
	})
	return done, err
}

// Refused lists targets that were refused for safety, see postback.Store.
func (r *Records) Refused(ctx context.Context) (list []postback.Refusal, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		var refusal postback.Refusal
		err := row.Scan(&refusal.Merchant, &refusal.Target)
		list = append(list, refusal)
		return err
	}, `SELECT DISTINCT merchant, refused FROM postbacks WHERE refused <> '' ORDER BY merchant, refused`)
	return list, err
}

// Revive makes events that died of a refused target due, see postback.Store.
func (r *Records) Revive(ctx context.Context, refusal postback.Refusal, now time.Time) error {
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE postbacks SET state = 'due', next_at = $1, attempts = 0, refused = ''
			WHERE merchant = $2 AND refused = $3 AND refused <> '' AND state = 'dead'`, Micros(now), refusal.Merchant, refusal.Target)
		return err
	})
}

const (
	summaryColumns = summaryHead + `COALESCE(c.custom_id, w.withdrawal_id, ''), COALESCE(d.amount, u.amount, w.amount, c.amount, r.amount, 0)` + summaryTail
	summaryHead    = `p.id, p.merchant, p.event, p.told, `
	summaryTail    = `, p.state, p.attempts, p.next_at, p.last_status, p.last_error, p.created_at, p.delivered_at`
	// summaryTables join what a postback or event is about.
	summaryTables = `postbacks p LEFT JOIN deposits d ON d.id = p.id LEFT JOIN undone u ON u.id = p.id
		LEFT JOIN claims c ON c.id = CASE WHEN p.event = '' THEN p.id WHEN p.event LIKE 'deposit.%' THEN p.subject ELSE 0 END
		LEFT JOIN withdrawals w ON w.id = CASE WHEN p.event = '' THEN p.withdrawal_id WHEN p.event LIKE 'withdrawal.%' THEN p.subject ELSE 0 END
		LEFT JOIN credits r ON r.id = CASE WHEN p.event LIKE 'credit.%' THEN p.subject ELSE 0 END`
)

func scanSummary(row Row, s *postback.Summary, more ...any) error {
	var amount, nextAt, createdAt, deliveredAt int64
	err := row.Scan(append([]any{&s.ID, &s.Merchant, &s.Webhook, &s.Told, &s.CustomID, &amount, &s.State, &s.Attempts, &nextAt, &s.LastStatus, &s.LastError,
		&createdAt, &deliveredAt}, more...)...)
	s.Amount, s.NextAt, s.CreatedAt, s.DeliveredAt = money.Paise(amount), Time(nextAt), Time(createdAt), Time(deliveredAt)
	return err
}

// Postbacks lists what a filter asks for, see postback.Archive.
func (r *Records) Postbacks(ctx context.Context, f postback.Filter) (list []postback.Summary, err error) {
	var where []string
	var args []any
	also := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	also("p.id < $%d", cmp.Or(f.Before, math.MaxInt64))
	switch f.State {
	case "":
	case postback.StateDead: // as the index has it
		where = append(where, "p.state = 'dead'")
	default:
		also("p.state = $%d", string(f.State))
	}
	if f.Merchant != "" {
		also("p.merchant = $%d", f.Merchant)
	}
	if !f.From.IsZero() {
		also("p.created_at >= $%d", Micros(f.From))
	}
	if !f.To.IsZero() {
		also("p.created_at < $%d", Micros(f.To))
	}
	args = append(args, f.Limit)
	err = each(ctx, r.Read, func(row Row) error {
		var s postback.Summary
		err := scanSummary(row, &s)
		list = append(list, s)
		return err
	}, fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY p.id DESC LIMIT $%d`, summaryColumns, summaryTables, strings.Join(where, " AND "), len(args)), args...)
	return list, err
}

// Postback gives one with its attempts, see postback.Archive.
func (r *Records) Postback(ctx context.Context, id int64) (*postback.Detail, error) {
	d := &postback.Detail{Event: postback.Event{ID: id}}
	var micros int64
	err := scanSummary(r.Read.QueryRowContext(ctx, `SELECT `+summaryColumns+`, p.body, p.latency
		FROM `+summaryTables+` WHERE p.id = $1`, id), &d.Summary, &d.Body, &micros)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, postback.ErrNoPostback
	}
	if err != nil {
		return nil, err
	}
	if d.Event.Webhook = d.Webhook; d.Webhook != "" {
		d.Event.Merchant, d.Event.CreatedAt, d.Event.ActivatedAt = d.Merchant, d.CreatedAt, d.CreatedAt
	} else if err := loadEvent(ctx, r.Read, &d.Event); err != nil {
		return nil, err
	}
	err = each(ctx, r.Read, func(row Row) error {
		var a postback.Attempt
		var at, latency int64
		err := row.Scan(&a.Number, &at, &latency, &a.Status, &a.Error, &a.Answer)
		a.At, a.Latency = Time(at), time.Duration(latency)*time.Microsecond
		d.Tries = append(d.Tries, a)
		return err
	}, `SELECT number, at, latency, status, error, answer FROM postback_attempts WHERE postback = $1 ORDER BY id`, id)
	if micros > 0 {
		latency := time.Duration(micros) * time.Microsecond
		d.Tries = append(d.Tries, postback.Attempt{
			Number: 1, At: d.DeliveredAt.Add(-latency), Latency: latency, Status: http.StatusOK, Answer: []byte(plainAnswer),
		})
	}
	return d, err
}

// Resend makes events due, see postback.Archive.
func (r *Records) Resend(ctx context.Context, ids []int64, now, soon time.Time, entries ...audit.Entry) (sent int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		sent = 0
		for _, id := range ids {
			// The attempt that its row tells of moves to the others.
			if _, err := tx.ExecContext(ctx, `INSERT INTO postback_attempts (postback, number, at, latency, status, error, answer)
				SELECT id, 1, delivered_at - latency, latency, 200, '', $1 FROM postbacks WHERE id = $2 AND state = 'delivered' AND latency > 0
					AND NOT EXISTS (SELECT 1 FROM undone u WHERE u.id = postbacks.id)`,
				[]byte(plainAnswer), id); err != nil {
				return fmt.Errorf("keep the attempt at event %d: %w", id, err)
			}
			result, err := tx.ExecContext(ctx, `UPDATE postbacks SET state = 'due', next_at = $1, attempts = 0, delivered_at = 0, refused = '', latency = 0
				WHERE id = $2 AND (state IN ('delivered', 'dead') OR next_at > $3)
					AND NOT EXISTS (SELECT 1 FROM undone u WHERE u.id = postbacks.id)`, Micros(now), id, Micros(soon))
			if err != nil {
				return fmt.Errorf("resend event %d: %w", id, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			sent += n
		}
		return appendAudit(ctx, tx, entries)
	})
	return sent, err
}

// AppendAudit writes audit entries by themselves.
func (r *Records) AppendAudit(ctx context.Context, entries ...audit.Entry) error {
	return r.Write(ctx, func(tx Tx) error { return appendAudit(ctx, tx, entries) })
}

// DropAttempts forgets attempts to deliver that began before a time, up to
// limit of the oldest; it reports how many.
func (r *Records) DropAttempts(ctx context.Context, before time.Time, limit int) (dropped int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		// They stand in the order they were recorded in, which is that of their
		// times to a minute: the oldest are found without an index on those.
		result, err := tx.ExecContext(ctx, `DELETE FROM postback_attempts WHERE id IN (
			SELECT id FROM (SELECT id, at FROM postback_attempts ORDER BY id LIMIT $1) AS oldest WHERE at < $2)`, limit, Micros(before))
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}
