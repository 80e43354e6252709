package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// statements are prepared once on the write connection: preparing costs more
// than running.
type statements struct {
	version, claimsByKey, claimByID, contenders, credits               *sql.Stmt
	assignments, vainLabels, vainOfLabel, vainOfAddr, vainOfMerchant   *sql.Stmt
	refusedOf, walletUse                                               *sql.Stmt
	setClaim, setCredit, moveCredit, addAssignment, addUse, addBalance *sql.Stmt
	auditHead, setAuditHead, setPostback                               *sql.Stmt
	movementsByUTR, movementByLine, addMovement, setMovement           *sql.Stmt
	addMessage, addReport, addAttempt, addEvent                        *sql.Stmt
	depositByID, owed, undoDeposit, addUndone, hushPostback, addTally  *sql.Stmt
	begin, commit, rollback                                            *sql.Stmt

	claims, newCredits, deposits, postings, postbacks, audit insertion
}

// wide is how many keys one look-up takes: the statement costs more than each
// key does.
const wide = 32

var places = strings.Join(slices.Repeat([]string{"?"}, wide), ", ")

// widely splits keys into chunks of the width of a look-up, the last one filled
// up with NULLs, which find nothing.
func widely(keys []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for chunk := range slices.Chunk(keys, wide) {
			if len(chunk) < wide {
				chunk = append(slices.Clone(chunk), make([]any, wide-len(chunk))...)
			}
			if !yield(chunk) {
				return
			}
		}
	}
}

// preparation is a statement and where it goes.
type preparation struct {
	into  **sql.Stmt
	query string
}

func (s *statements) all() []preparation {
	return slices.Concat([]preparation{
		{&s.begin, `BEGIN IMMEDIATE`},
		{&s.commit, `COMMIT`},
		{&s.rollback, `ROLLBACK`},
		{&s.version, `SELECT directory FROM installation`},
		{&s.claimsByKey, `SELECT ` + records.ClaimColumns + ` FROM claims WHERE merchant = ? AND custom_id IN (` + places + `)`},
		{&s.claimByID, `SELECT ` + records.ClaimColumns + ` FROM claims WHERE id = ?`},
		{&s.contenders, `SELECT ` + records.ClaimColumns + ` FROM claims WHERE utr IN (` + places + `) AND state IN ('waiting', 'pending', 'rejected') ORDER BY id`},
		{&s.credits, `SELECT ` + records.CreditColumns + ` FROM credits WHERE utr IN (` + places + `) ORDER BY id`},
		{&s.assignments, `SELECT label, wallet, shown_at, expires_at FROM assignments
			WHERE merchant = ? AND method = ? AND shown_at > ? AND label IN (` + places + `) ORDER BY expires_at`},
		{&s.vainLabels, `SELECT column1 FROM (VALUES (` + strings.Join(slices.Repeat([]string{"?"}, wide), "), (") + `))
			WHERE EXISTS (SELECT 1 FROM claims WHERE merchant = ? AND label = column1 AND created_at > ?
				AND state IN ('waiting', 'refused', 'rejected', 'expired'))`},
		{&s.vainOfLabel, `SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = ? AND label = ? AND created_at > ?
			AND state IN ('waiting', 'refused', 'rejected', 'expired') ORDER BY created_at DESC LIMIT ?)`},
		{&s.vainOfAddr, `SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = ? AND addr = ? AND created_at > ?
			AND state IN ('waiting', 'refused', 'rejected', 'expired') AND addr <> '' ORDER BY created_at DESC LIMIT ?)`},
		{&s.vainOfMerchant, `SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = ? AND created_at > ?
			AND state IN ('waiting', 'refused', 'rejected', 'expired') ORDER BY created_at DESC LIMIT ?)`},
		{&s.refusedOf, `SELECT count(*) FROM (SELECT 1 FROM claims WHERE merchant = ? AND created_at > ? AND state = 'refused' LIMIT ?)`},
		{&s.walletUse, `SELECT received FROM wallet_days WHERE wallet = ? AND day = ?`},
		{&s.setClaim, `UPDATE claims SET utr = ?, state = ?, reasons = ?, credit_id = ?, deposited = ?, history = ?, expires_at = ?, settled_at = ? WHERE id = ?`},
		{&s.setCredit, `UPDATE credits SET amount = ?, payer_vpa = ?, payer_name = ?, note = ?, reference = ?, trust = ?, state = ?,
			claim_id = ?, contested = ?, lines = ? WHERE id = ?`},
		{&s.moveCredit, `UPDATE credits SET booked_at = ? WHERE id = ?`},
		{&s.movementsByUTR, `SELECT ` + records.MovementColumns + ` FROM movements WHERE utr IN (` + places + `) AND utr <> '' AND kind = 'debit' AND credit_id = 0 AND withdrawal_id = 0`},
		{&s.movementByLine, `SELECT ` + records.MovementColumns + ` FROM movements WHERE line_key = ?`},
		{&s.addMovement, `INSERT INTO movements (` + records.MovementColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&s.setMovement, `UPDATE movements SET credit_id = ? WHERE id = ?`},
		{&s.addMessage, `INSERT INTO messages (id, feed, wallet, digest, sender, sent_at, received_at, raw, reading, template, result, why, credit_id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&s.addReport, `INSERT INTO feed_hours (feed, hour, items, credits, unread, refused, timed, lag, most_lag, ahead, last_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET items = items + excluded.items, credits = credits + excluded.credits, unread = unread + excluded.unread,
				refused = refused + excluded.refused, timed = timed + excluded.timed, lag = lag + excluded.lag,
				most_lag = max(most_lag, excluded.most_lag), ahead = max(ahead, excluded.ahead), last_at = max(last_at, excluded.last_at)`},
		{&s.addAssignment, `INSERT INTO assignments (merchant, method, label, wallet, shown_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET shown_at = excluded.shown_at, expires_at = excluded.expires_at`},
		{&s.addUse, `INSERT INTO wallet_days (wallet, day, received) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET received = received + excluded.received`},
		{&s.addBalance, `UPDATE accounts SET balance = balance + ? WHERE id = ?`},
		{&s.depositByID, `SELECT ` + records.DepositColumns + ` FROM deposits WHERE id = ?`},
		{&s.owed, `SELECT -balance FROM accounts WHERE code = ?`},
		{&s.undoDeposit, `DELETE FROM deposits WHERE id = ?`},
		{&s.addUndone, `INSERT INTO undone (` + records.DepositColumns + `, undone_at, actor, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&s.hushPostback, records.HushStatement},
		{&s.addTally, records.TallyStatement},
		{&s.auditHead, `SELECT seq, hash FROM audit_head`},
		{&s.setPostback, records.RecordStatement},
		{&s.addAttempt, records.AttemptStatement},
		{&s.addEvent, records.EventStatement},
		{&s.setAuditHead, `UPDATE audit_head SET seq = ?, hash = ?`},
	},
		s.claims.to("claims", records.ClaimColumns),
		s.newCredits.to("credits", records.CreditColumns),
		s.deposits.to("deposits", records.DepositColumns),
		s.postings.to("postings", "transaction_id, line, kind, debit, credit, amount, currency, at"),
		s.postbacks.to("postbacks", "id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at"),
		s.audit.to("audit", "seq, at, actor, action, subject, why, hash"))
}

// insertion adds rows to a table: several at once while there are as many, for a
// statement costs as much as the row that it adds.
type insertion struct{ one, several *sql.Stmt }

// several is how many rows are added at once.
const several = 16

// to gives the statements that add rows to a table.
func (in *insertion) to(table, columns string) []preparation {
	row := "(" + strings.Join(slices.Repeat([]string{"?"}, strings.Count(columns, ",")+1), ", ") + ")"
	query := "INSERT INTO " + table + " (" + columns + ") VALUES "
	return []preparation{{&in.one, query + row}, {&in.several, query + strings.Join(slices.Repeat([]string{row}, several), ", ")}}
}

// add adds rows to a table; values appends the values of one, in the order of the columns.
func add[T any](ctx context.Context, in *insertion, rows []T, values func(args []any, row *T) ([]any, error)) error {
	var args []any
	for len(rows) > 0 {
		stmt, n := in.one, 1
		if len(rows) >= several {
			stmt, n = in.several, several
		}
		args = args[:0]
		for i := range n {
			var err error
			if args, err = values(args, &rows[i]); err != nil {
				return err
			}
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range s.all() {
		stmt, err := conn.PrepareContext(ctx, p.query) //nolint:sqlclosecheck // closed with its connection
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.query, err)
		}
		*p.into = stmt
	}
	return nil
}

// Settle runs one group commit, see deposit.Store. With one writer there is
// nobody to keep out.
func (db *DB) Settle(ctx context.Context, keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) (err error) {
	if err := db.take(ctx); err != nil {
		return err
	}
	defer db.give()
	ctx = context.WithoutCancel(ctx) // what began is finished
	s := &db.statements
	if _, err := s.begin.ExecContext(ctx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done {
			_, rollbackErr := s.rollback.ExecContext(ctx)
			err = errors.Join(err, rollbackErr)
		}
	}()
	facts, err := s.load(ctx, keys)
	if err != nil {
		return fmt.Errorf("load facts: %w", err)
	}
	booked := make(map[*deposit.Credit]time.Time, len(facts.Credits))
	for _, credits := range facts.Credits {
		for _, credit := range credits {
			booked[credit] = credit.At
		}
	}
	changes, err := decide(facts)
	if err != nil {
		return err
	}
	if changes.Empty() {
		return nil // the rollback ends a transaction that wrote nothing
	}
	if err := s.save(ctx, db.Key, changes, booked); err != nil {
		return fmt.Errorf("save changes: %w", err)
	}
	if _, err := s.commit.ExecContext(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	return nil
}

func each(ctx context.Context, stmt *sql.Stmt, scan func(records.Row) error, args ...any) (err error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *statements) load(ctx context.Context, keys *deposit.Keys) (*deposit.Facts, error) {
	f := deposit.NewFacts()
	if err := s.version.QueryRowContext(ctx).Scan(&f.DirectoryVersion); err != nil {
		return nil, err
	}
	addClaim := func(row records.Row) error {
		c, err := records.ScanClaim(row)
		if err == nil {
			f.AddClaim(c)
		}
		return err
	}
	var errs []error
	customs := make(map[string][]any)
	for key := range keys.Customs {
		customs[key.Merchant] = append(customs[key.Merchant], key.CustomID)
	}
	for merchant, ids := range customs {
		for chunk := range widely(ids) {
			errs = append(errs, each(ctx, s.claimsByKey, addClaim, append([]any{merchant}, chunk...)...))
		}
	}
	for id := range keys.Claims {
		errs = append(errs, each(ctx, s.claimByID, addClaim, id))
	}
	utrs := make([]any, 0, len(keys.UTRs))
	for utr := range keys.UTRs {
		utrs = append(utrs, string(utr))
	}
	for chunk := range widely(utrs) {
		errs = append(errs, each(ctx, s.contenders, addClaim, chunk...), each(ctx, s.credits, func(row records.Row) error {
			c, err := records.ScanCredit(row)
			if err == nil {
				f.Credits[c.UTR] = append(f.Credits[c.UTR], c)
			}
			return err
		}, chunk...))
	}
	errs = append(errs, s.loadMovements(ctx, keys, f), s.loadPast(ctx, keys, f))
	for id := range keys.Deposits {
		errs = append(errs, each(ctx, s.depositByID, func(row records.Row) error {
			d, err := records.ScanDeposit(row)
			f.Deposits[id] = d
			return err
		}, id))
	}
	for merchant := range keys.Owed {
		errs = append(errs, each(ctx, s.owed, func(row records.Row) error {
			var owed int64
			err := row.Scan(&owed)
			f.Owed[merchant] = money.Paise(owed)
			return err
		}, ledger.MerchantCode(merchant)))
	}
	for key := range keys.WalletDays {
		errs = append(errs, each(ctx, s.walletUse, func(row records.Row) error {
			var received int64
			err := row.Scan(&received)
			f.WalletUse[key] = money.Paise(received)
			return err
		}, key.Wallet, int64(key.Day)))
	}
	// Claims that were loaded by name came first.
	for _, open := range f.Contenders {
		slices.SortFunc(open, func(a, b *deposit.Claim) int { return cmp.Compare(a.ID, b.ID) })
	}
	return f, errors.Join(errs...)
}

// loadMovements loads the lines of statements that a report names, and those that
// took its credits back.
func (s *statements) loadMovements(ctx context.Context, keys *deposit.Keys, f *deposit.Facts) error {
	add := func(row records.Row) error {
		m, err := records.ScanMovement(row)
		if err == nil {
			records.AddMovement(f, m)
		}
		return err
	}
	var errs []error
	utrs := make([]any, 0, len(keys.Reported))
	for utr := range keys.Reported {
		utrs = append(utrs, string(utr))
	}
	for chunk := range widely(utrs) {
		errs = append(errs, each(ctx, s.movementsByUTR, add, chunk...))
	}
	for key := range keys.Movements {
		errs = append(errs, each(ctx, s.movementByLine, add, key[:]))
	}
	return errors.Join(errs...)
}

// loadPast loads what is known of those who claim.
func (s *statements) loadPast(ctx context.Context, keys *deposit.Keys, f *deposit.Facts) error {
	var errs []error
	shownSince, failedSince := records.Micros(keys.ShownSince), records.Micros(keys.FailedSince)
	type method struct{ merchant, method string }
	labels := make(map[method][]any)
	for key := range keys.Labels {
		of := method{key.Merchant, key.Method}
		labels[of] = append(labels[of], key.Label)
	}
	for of, all := range labels {
		key := deposit.LabelKey{Merchant: of.merchant, Method: of.method}
		for chunk := range widely(all) {
			errs = append(errs, each(ctx, s.assignments, func(row records.Row) error {
				a := deposit.Assignment{Merchant: of.merchant, Method: of.method}
				var shownAt, expiresAt int64
				err := row.Scan(&a.Label, &a.Wallet, &shownAt, &expiresAt)
				a.ShownAt, a.ExpiresAt = records.Time(shownAt), records.Time(expiresAt)
				key.Label = a.Label
				f.Assignments[key] = append(f.Assignments[key], a)
				return err
			}, append([]any{of.merchant, of.method, shownSince}, chunk...)...))
			var vain []string // few labels ever name a UTR in vain
			errs = append(errs, each(ctx, s.vainLabels, func(row records.Row) error {
				var label string
				err := row.Scan(&label)
				vain = append(vain, label)
				return err
			}, append(slices.Clone(chunk), of.merchant, failedSince)...))
			for _, label := range vain {
				key.Label = label
				named := make(map[upi.UTR]struct{})
				f.LabelFailures[key] = named
				errs = append(errs, each(ctx, s.vainOfLabel, collectUTR(named), key.Merchant, key.Label, failedSince, keys.Limits.Rows(keys.Limits.Label)))
			}
		}
	}
	for key := range keys.Addresses {
		named := make(map[upi.UTR]struct{})
		f.AddressFailures[key] = named
		errs = append(errs, each(ctx, s.vainOfAddr, collectUTR(named), key.Merchant, records.Addr(key.Addr), failedSince, keys.Limits.Rows(keys.Limits.Address)))
	}
	for merchant := range keys.Sharing {
		named := make(map[upi.UTR]struct{})
		f.SharedFailures[merchant] = named
		errs = append(errs, each(ctx, s.vainOfMerchant, collectUTR(named), merchant, failedSince, keys.Limits.Rows(keys.Limits.Shared)))
	}
	for merchant := range keys.Merchants {
		errs = append(errs, each(ctx, s.refusedOf, func(row records.Row) error {
			var n int
			err := row.Scan(&n)
			f.MerchantFailures[merchant] = n
			return err
		}, merchant, failedSince, keys.Limits.Merchant))
	}
	return errors.Join(errs...)
}

func collectUTR(into map[upi.UTR]struct{}) func(records.Row) error {
	return func(row records.Row) error {
		var utr string
		err := row.Scan(&utr)
		into[upi.UTR(utr)] = struct{}{}
		return err
	}
}

// save writes the changes; booked is when the loaded credits were booked before.
func (s *statements) save(ctx context.Context, key seal.Key, c *deposit.Changes, booked map[*deposit.Credit]time.Time) error {
	if err := add(ctx, &s.claims, c.NewClaims, func(args []any, row **deposit.Claim) ([]any, error) {
		claim := *row
		history, err := records.History(claim.History)
		return append(args, claim.ID, claim.Merchant, claim.CustomID, claim.Method, claim.Label,
			string(claim.UTR), int64(claim.Amount), string(claim.Currency), records.Addr(claim.Addr), claim.Via,
			string(claim.State), claim.Reasons.String(), claim.CreditID, int64(claim.Deposited), history,
			records.Micros(claim.CreatedAt), records.Micros(claim.ExpiresAt), records.Micros(claim.SettledAt), claim.Trace), err
	}); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	for _, claim := range c.Claims {
		history, err := records.History(claim.History)
		if err != nil {
			return err
		}
		if _, err := s.setClaim.ExecContext(ctx, string(claim.UTR), string(claim.State), claim.Reasons.String(), claim.CreditID,
			int64(claim.Deposited), history, records.Micros(claim.ExpiresAt), records.Micros(claim.SettledAt), claim.ID); err != nil {
			return fmt.Errorf("claim %d: %w", claim.ID, err)
		}
	}
	if err := s.saveCredits(ctx, c, booked); err != nil {
		return err
	}
	for _, u := range c.Undone { // before another deposit has the credit
		if _, err := s.undoDeposit.ExecContext(ctx, u.ID); err != nil {
			return fmt.Errorf("undo deposit %d: %w", u.ID, err)
		}
		if _, err := s.addUndone.ExecContext(ctx, u.ID, u.Merchant, u.Wallet, u.CreditID, int64(u.Amount), int64(u.Fee), u.RatesID,
			records.Micros(u.At), records.Micros(u.UndoneAt), u.By, u.Why); err != nil {
			return fmt.Errorf("undo deposit %d: %w", u.ID, err)
		}
		if _, err := s.hushPostback.ExecContext(ctx, u.ID); err != nil {
			return fmt.Errorf("stop the postback of deposit %d: %w", u.ID, err)
		}
	}
	if err := add(ctx, &s.deposits, c.Deposits, func(args []any, row **deposit.Deposit) ([]any, error) {
		d := *row
		return append(args, d.ID, d.Merchant, d.Wallet, d.CreditID, int64(d.Amount), int64(d.Fee), d.RatesID, records.Micros(d.At)), nil
	}); err != nil {
		return fmt.Errorf("deposits: %w", err)
	}
	if err := add(ctx, &s.postbacks, c.Events, func(args []any, e *deposit.Announcement) ([]any, error) {
		return append(args, e.ID, e.Merchant, "due", 0, records.Micros(e.DueAt), []byte{}, 0, "", records.Micros(e.ActivatedAt), 0), nil
	}); err != nil {
		return fmt.Errorf("postbacks: %w", err)
	}
	for i := range c.Webhooks {
		if _, err := s.addEvent.ExecContext(ctx, records.EventValues(&c.Webhooks[i])...); err != nil {
			return fmt.Errorf("event %d: %w", c.Webhooks[i].ID, err)
		}
	}
	for _, a := range c.Assignments {
		if _, err := s.addAssignment.ExecContext(ctx, a.Merchant, a.Method, a.Label, a.Wallet,
			records.Micros(a.ShownAt), records.Micros(a.ExpiresAt)); err != nil {
			return fmt.Errorf("assignment: %w", err)
		}
	}
	for _, tally := range records.TallyValues(c.Tallies) {
		if _, err := s.addTally.ExecContext(ctx, tally...); err != nil {
			return fmt.Errorf("tally: %w", err)
		}
	}
	for key, amount := range c.WalletUse {
		if _, err := s.addUse.ExecContext(ctx, key.Wallet, int64(key.Day), int64(amount)); err != nil {
			return fmt.Errorf("wallet use: %w", err)
		}
	}
	if err := s.saveFeeds(ctx, key, c); err != nil {
		return err
	}
	if err := s.post(ctx, c.Postings); err != nil {
		return err
	}
	return s.chain(ctx, c.Audit)
}

func (s *statements) saveCredits(ctx context.Context, c *deposit.Changes, booked map[*deposit.Credit]time.Time) error {
	if err := add(ctx, &s.newCredits, c.NewCredits, func(args []any, row **deposit.Credit) ([]any, error) {
		credit := *row
		return append(args, credit.ID, credit.Wallet, string(credit.UTR), int64(credit.Amount),
			string(credit.Currency), credit.PayerVPA, credit.PayerName, credit.Note, credit.Reference,
			records.Micros(credit.At), records.Micros(credit.ReceivedAt), credit.Feed, int64(credit.Trust),
			string(credit.State), credit.ClaimID, records.Flag(credit.Contested), credit.Lines), nil
	}); err != nil {
		return fmt.Errorf("credits: %w", err)
	}
	for _, credit := range c.Credits {
		if _, err := s.setCredit.ExecContext(ctx, int64(credit.Amount), credit.PayerVPA, credit.PayerName, credit.Note, credit.Reference, int64(credit.Trust),
			string(credit.State), credit.ClaimID, records.Flag(credit.Contested), credit.Lines, credit.ID); err != nil {
			return fmt.Errorf("credit %d: %w", credit.ID, err)
		}
		if booked[credit].Equal(credit.At) {
			continue // as nearly always, and to write an index anew is dear
		}
		if _, err := s.moveCredit.ExecContext(ctx, records.Micros(credit.At), credit.ID); err != nil {
			return fmt.Errorf("credit %d: %w", credit.ID, err)
		}
	}
	return nil
}

// saveFeeds writes what feeds told beside credits.
func (s *statements) saveFeeds(ctx context.Context, key seal.Key, c *deposit.Changes) error {
	for _, m := range c.Movements {
		if _, err := s.addMovement.ExecContext(ctx, m.ID, m.Wallet, m.Feed, string(m.Kind), string(m.UTR), int64(m.Amount), string(m.Currency),
			records.Micros(m.At), records.Micros(m.ReceivedAt), records.Flag(m.Reversal), m.Narration, m.Key[:], m.CreditID); err != nil {
			return fmt.Errorf("movement %d: %w", m.ID, err)
		}
	}
	for _, m := range c.ChangedMovements {
		if _, err := s.setMovement.ExecContext(ctx, m.CreditID, m.ID); err != nil {
			return fmt.Errorf("movement %d: %w", m.ID, err)
		}
	}
	for i := range c.Messages {
		m := &c.Messages[i]
		raw, reading, err := records.SealMessage(key, m)
		if err != nil {
			return err
		}
		if _, err := s.addMessage.ExecContext(ctx, m.ID, m.Feed, m.Wallet, m.Digest[:], m.Sender, records.Micros(m.SentAt),
			records.Micros(m.ReceivedAt), raw, reading, m.Template, string(m.Outcome.Result), m.Outcome.Why, m.Outcome.CreditID); err != nil {
			return fmt.Errorf("message %d: %w", m.ID, err)
		}
	}
	for hour, n := range c.Reports {
		if _, err := s.addReport.ExecContext(ctx, hour.Feed, hour.Hour, n.Items, n.Credits, n.Unread, n.Refused, n.Timed,
			n.Lag.Microseconds(), n.MostLag.Microseconds(), n.Ahead.Microseconds(), records.Micros(n.LastAt)); err != nil {
			return fmt.Errorf("count what feed %s brought: %w", hour.Feed, err)
		}
	}
	return nil
}

func (s *statements) post(ctx context.Context, postings []ledger.Posting) error {
	if err := add(ctx, &s.postings, postings, func(args []any, p *ledger.Posting) ([]any, error) {
		return append(args, p.TransactionID, p.Line, string(p.Kind), p.Debit, p.Credit, int64(p.Amount), string(p.Currency), records.Micros(p.At)), nil
	}); err != nil {
		return fmt.Errorf("postings: %w", err)
	}
	for account, amount := range ledger.Balances(postings) {
		if _, err := s.addBalance.ExecContext(ctx, int64(amount), account); err != nil {
			return fmt.Errorf("balance of account %d: %w", account, err)
		}
	}
	return nil
}

func (s *statements) chain(ctx context.Context, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var seq int64
	var hash []byte
	if err := s.auditHead.QueryRowContext(ctx).Scan(&seq, &hash); err != nil {
		return fmt.Errorf("audit head: %w", err)
	}
	seq, head := audit.Chain(seq, [sha256.Size]byte(hash), entries)
	if err := add(ctx, &s.audit, entries, func(args []any, e *audit.Entry) ([]any, error) {
		return append(args, e.Seq, records.Micros(e.At), e.Actor, e.Action, e.Subject, e.Why, slices.Clone(e.Hash[:])), nil
	}); err != nil {
		return fmt.Errorf("audit entries: %w", err)
	}
	_, err := s.setAuditHead.ExecContext(ctx, seq, head[:])
	return err
}
