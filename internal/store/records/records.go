// Package records holds the SQL that reads and writes milaan's records in the
// words both engines know: parameters as $1, times as microseconds, amounts as
// paise. What has to be fast, a group commit, each engine says in its own way.
package records

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Tx is a transaction in progress, or a connection inside one.
type Tx interface {
	// QueryContext is that of *sql.Tx.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// QueryRowContext is that of *sql.Tx.
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	// ExecContext is that of *sql.Tx.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Records are the records of an open database.
type Records struct {
	// Read is a pool for queries.
	Read *sql.DB
	// Write runs a function in one durable transaction that waits for its
	// turn; an error undoes it all.
	Write func(ctx context.Context, run func(Tx) error) error
	// Key seals secrets.
	Key seal.Key
	// SkipLocked makes a SELECT lock its rows and pass over locked ones, on an
	// engine with more than one writer; empty on the other.
	SkipLocked string
	// Snapshot begins a transaction that sees one state of the database.
	Snapshot *sql.TxOptions
	// Patience is a statement that lets a snapshot last as long as a backup needs;
	// empty where nothing ends it early.
	Patience string
	// Survey is a statement that has the rest of a transaction planned for queries that
	// read all there is, whatever the engine thinks there is; empty where it needs none.
	Survey string
	// Engine is the engine's name.
	Engine string
	// Catalog lists the columns of all tables: table, column and type, in order.
	Catalog string
}

// Row is one row of a result, of either driver.
type Row interface {
	// Scan is that of *sql.Rows.
	Scan(dest ...any) error
}

// Micros is how a time is stored; 0 stands for no time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time reads what Micros wrote.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// ClaimColumns are the columns of a claim in the order ScanClaim reads them
// and ClaimValues gives them.
const ClaimColumns = `id, merchant, custom_id, method, label, utr, amount, currency, addr, via,
	state, reasons, credit_id, deposited, history, created_at, expires_at, settled_at, trace`

// ScanClaim reads a row of ClaimColumns.
func ScanClaim(row Row) (*deposit.Claim, error) {
	var (
		c                                                  deposit.Claim
		utr, currency, addr, state, reasons, history       string
		amount, deposited, createdAt, expiresAt, settledAt int64
	)
	err := row.Scan(&c.ID, &c.Merchant, &c.CustomID, &c.Method, &c.Label, &utr, &amount, &currency, &addr, &c.Via,
		&state, &reasons, &c.CreditID, &deposited, &history, &createdAt, &expiresAt, &settledAt, &c.Trace)
	if err != nil {
		return nil, err
	}
	c.UTR, c.Amount, c.Currency = upi.UTR(utr), money.Paise(amount), money.Currency(currency)
	c.State, c.Reasons, c.Deposited = deposit.State(state), deposit.ParseReasons(reasons), money.Paise(deposited)
	c.CreatedAt, c.ExpiresAt, c.SettledAt = Time(createdAt), Time(expiresAt), Time(settledAt)
	if addr != "" {
		if c.Addr, err = netip.ParseAddr(addr); err != nil {
			return nil, fmt.Errorf("claim %d: %w", c.ID, err)
		}
	}
	if history != noHistory {
		if err := json.Unmarshal([]byte(history), &c.History); err != nil {
			return nil, fmt.Errorf("claim %d: history: %w", c.ID, err)
		}
	}
	return &c, nil
}

const noHistory = "{}"

// Addr is how an address is stored; empty where there is none.
func Addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// History is how a claim's history is stored.
func History(h deposit.History) (string, error) {
	if len(h.Shown) == 0 && h.LabelFailures|h.AddressFailures|h.MerchantFailures|h.SharedFailures == 0 && h.Named == "" && h.Approval == nil && h.Undoing == nil {
		return noHistory, nil // most of them; the encoder says the same at a price
	}
	text, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encode a claim's history: %w", err)
	}
	return string(text), nil
}

// CreditColumns are the columns of a credit in the order ScanCredit reads them.
const CreditColumns = `id, wallet, utr, amount, currency, payer_vpa, payer_name, note, reference,
	booked_at, received_at, feed, trust, state, claim_id, contested, lines`

// ScanCredit reads a row of CreditColumns.
func ScanCredit(row Row) (*deposit.Credit, error) {
	var (
		c                                              deposit.Credit
		utr, currency, state                           string
		amount, bookedAt, receivedAt, trust, contested int64
	)
	err := row.Scan(&c.ID, &c.Wallet, &utr, &amount, &currency, &c.PayerVPA, &c.PayerName, &c.Note, &c.Reference,
		&bookedAt, &receivedAt, &c.Feed, &trust, &state, &c.ClaimID, &contested, &c.Lines)
	if err != nil {
		return nil, err
	}
	c.UTR, c.Amount, c.Currency = upi.UTR(utr), money.Paise(amount), money.Currency(currency)
	c.At, c.ReceivedAt, c.Trust = Time(bookedAt), Time(receivedAt), feed.Trust(trust)
	c.State, c.Contested = deposit.CreditState(state), contested != 0
	return &c, nil
}

// Flag is how a truth is stored.
func Flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// each runs a query and hands every row on.
func each(ctx context.Context, tx Tx, scan func(Row) error, query string, args ...any) (err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
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

// ReserveIDs gives n ids that nobody else has, counted from the first.
func (r *Records) ReserveIDs(ctx context.Context, n int64) (first int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		first, err = reserveIDs(ctx, tx, n)
		return err
	})
	return first, err
}

func reserveIDs(ctx context.Context, tx Tx, n int64) (first int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE id_blocks SET next = next + $1 RETURNING next - $2`, n, n).Scan(&first)
	return first, err
}

// appendAudit numbers, chains and writes entries. It must come late in a
// transaction: others wait for the head of the chain from here on.
func appendAudit(ctx context.Context, tx Tx, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var seq int64
	var hash []byte
	// An update that changes nothing locks the head on either engine.
	if err := tx.QueryRowContext(ctx, `UPDATE audit_head SET seq = seq RETURNING seq, hash`).Scan(&seq, &hash); err != nil {
		return fmt.Errorf("read the head of the audit log: %w", err)
	}
	var head [sha256.Size]byte
	copy(head[:], hash)
	seq, head = audit.Chain(seq, head, entries)
	for i := range entries {
		e := &entries[i]
		if _, err := tx.ExecContext(ctx,
			`INSERT INTO audit (seq, at, actor, action, subject, why, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			e.Seq, Micros(e.At), e.Actor, e.Action, e.Subject, e.Why, e.Hash[:]); err != nil {
			return fmt.Errorf("write the audit log: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE audit_head SET seq = $1, hash = $2`, seq, head[:])
	return err
}

// Hold takes a duty that one gateway does for all, or keeps it; false means
// that another holds it. A holder that dies loses it when its time is up.
//
// One that is held for much longer than anybody asks for was taken by a clock that
// went wrong, and is nobody's.
func (r *Records) Hold(ctx context.Context, duty, holder string, now time.Time, ttl time.Duration) (held bool, err error) {
	wrong := int64(math.MaxInt64)
	if ttl > 0 { // not handed back
		wrong = Micros(now.Add(10 * ttl))
	}
	err = r.Write(ctx, func(tx Tx) error {
		var got string
		err := tx.QueryRowContext(ctx, `INSERT INTO duties (name, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE duties.holder = excluded.holder OR duties.until <= $4 OR duties.until > $5
			RETURNING holder`, duty, holder, Micros(now.Add(ttl)), Micros(now), wrong).Scan(&got)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		held = err == nil
		return err
	})
	return held, err
}

// keyCheckText is sealed in every database, so that a wrong key is found at
// the start and not at the first secret.
const (
	keyCheckText  = "milaan"
	keyCheckPlace = installationTable
)

// ErrSchemaAhead means that a later milaan has migrated the database: this one
// does not know all that would have to be written there.
var ErrSchemaAhead = errors.New("the database's schema is newer than this milaan: start the version that migrated it or a later one, or restore a backup made before (docs/upgrade.md)")

// CheckSchema gives ErrSchemaAhead where a database has migrations after newest,
// the last one that this program brings.
func CheckSchema(ctx context.Context, db *sql.DB, newest int64) error {
	var schema int64
	if err := db.QueryRowContext(ctx, schemaVersion).Scan(&schema); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if schema > newest {
		return fmt.Errorf("%w: it is at %d, and this version knows %d", ErrSchemaAhead, schema, newest)
	}
	return nil
}

// ErrWrongKey means that the database was made with another secret key.
var ErrWrongKey = errors.New("MILAAN_SECRET_KEY is not the key this database was made with: give the right one, or restore the file kept beside the database")

// CheckKey makes sure that the key opens what the database holds; a new
// database takes the key as its own.
func (r *Records) CheckKey(ctx context.Context) error {
	return r.Write(ctx, func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO installation (id, directory, key_check) VALUES (1, 0, $1)
			ON CONFLICT (id) DO NOTHING`, r.Key.Seal([]byte(keyCheckText), keyCheckPlace)); err != nil {
			return fmt.Errorf("keep the key's check: %w", err)
		}
		var sealed []byte
		if err := tx.QueryRowContext(ctx, `SELECT key_check FROM installation`).Scan(&sealed); err != nil {
			return fmt.Errorf("read the key's check: %w", err)
		}
		if len(sealed) == 0 {
			return ErrUnfinished
		}
		if text, err := r.Key.Open(sealed, keyCheckPlace); err != nil || string(text) != keyCheckText {
			return ErrWrongKey
		}
		return nil
	})
}

// Ping reports whether the database answers.
func (r *Records) Ping(ctx context.Context) error { return r.Read.PingContext(ctx) }

// Size is what a database takes of its disk, in bytes.
type Size struct {
	// Total is all of it, indexes and Log included.
	Total int64
	// Free is what was given up and is used again by what is written next; 0 where
	// the engine does not tell.
	Free int64
	// Log is what is written and not yet in its place: of an embedded database.
	Log int64
}
