// Package store opens the database that MILAAN_DATABASE_URL names, on either
// engine. The engines behave alike; storetest holds them to it.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/postgres"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/internal/store/sqlite"
	"github.com/milaan/milaan/internal/webhook"
)

// Store is an open database: what every room needs of it.
type Store interface {
	deposit.Store
	directory.Store
	postback.Archive
	payment.Store
	access.Store
	lookup.Store
	lookup.Reviews
	lookup.Overviews
	payout.Store
	batch.Store
	settlement.Store
	lookup.AuditLog
	report.Store
	report.Cursor
	// SaveRates keeps exchange rates and gives them their number.
	SaveRates(ctx context.Context, rates *fx.Rates) (*fx.Rates, error)
	// NewestRates returns the rates kept last, or fx.ErrNoRates.
	NewestRates(ctx context.Context) (*fx.Rates, error)
	// Rates returns rates by their number, or fx.ErrNoRates.
	Rates(ctx context.Context, id int64) (*fx.Rates, error)
	// Hold takes a duty that one gateway does for all, or keeps it.
	Hold(ctx context.Context, duty, holder string, now time.Time, ttl time.Duration) (bool, error)
	// ReleaseLeases is for the one gateway of an embedded database, at its start.
	ReleaseLeases(ctx context.Context, now time.Time) error
	// Ledger keeps statements.
	intake.Ledger
	// Statements lists the imported statements of a wallet.
	Statements(ctx context.Context, wallet string, limit int) ([]feed.Statement, error)
	// Reconcile compares a statement with the books.
	Reconcile(ctx context.Context, s feed.Statement) (*report.Reconciliation, error)
	// Inbox lists messages that a person should look at.
	Inbox(ctx context.Context, feed string, after int64, limit int) ([]deposit.KeptMessage, error)
	// DropMessages empties messages that came before a time.
	DropMessages(ctx context.Context, before time.Time, limit int) (int64, error)
	// Positions keep how far mailboxes were read.
	intake.Positions
	// DropAssignments forgets wallets that payers were shown before a time.
	DropAssignments(ctx context.Context, before time.Time, limit int) (int64, error)
	// DropAttempts forgets attempts to deliver that began before a time.
	DropAttempts(ctx context.Context, before time.Time, limit int) (int64, error)
	// Staff keeps the people who sign in.
	Staff() staff.Store
	// DropStale forgets sessions that are over, links and steps that are too old.
	DropStale(ctx context.Context, now time.Time, limit int) (int64, error)
	// Backlog gives what is not settled yet, of a merchant or of all.
	Backlog(ctx context.Context, merchant string) (deposit.Backlog, error)
	// TellOnce writes events of webhooks that these were not told before.
	TellOnce(ctx context.Context, events []webhook.Event) error
	// TellUnclaimed writes the events of credits that came up to a time and that
	// nobody claimed, once a credit.
	TellUnclaimed(ctx context.Context, before time.Time, tell func(*deposit.Credit) []webhook.Event) (more bool, err error)
	// LeaveUnclaimed forgets how far TellUnclaimed looked.
	LeaveUnclaimed(ctx context.Context) error
	// Notices keep what the operator was told.
	Notices() notice.Store
	// Disputes lists bound credits that a bank contested.
	Disputes(ctx context.Context, after int64, limit int) ([]*deposit.Credit, error)
	// FeedHours gives what feeds brought by the hour, since a time.
	FeedHours(ctx context.Context, since time.Time) (map[deposit.FeedHour]deposit.FeedCount, error)
	// DropFeedHours forgets hours of feeds that lie before a time.
	DropFeedHours(ctx context.Context, before time.Time, limit int) (int64, error)
	// Size is what the database takes of its disk.
	Size(ctx context.Context) (records.Size, error)
	// Verify checks every invariant.
	Verify(ctx context.Context) (records.Report, error)
	// Backup writes every record as it is at one moment, while others go on
	// writing; what was written counts only if there is no error.
	Backup(ctx context.Context, to io.Writer, now time.Time) (backup.Summary, error)
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close waits for writes in progress and closes the database.
	Close() error
}

// Location is where a database is, as MILAAN_DATABASE_URL says it.
type Location struct {
	// Path is the file of an embedded database, empty for PostgreSQL.
	Path string
	url  string
}

// ParseLocation reads sqlite://milaan.db, sqlite:///abs/path/milaan.db or
// postgres://….
func ParseLocation(text string) (Location, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case ok && scheme == "sqlite" && strings.HasPrefix(rest, ":"):
		return Location{}, errors.New("MILAAN_DATABASE_URL must name a file: payments are kept")
	case ok && scheme == "sqlite" && rest != "":
		path, err := url.PathUnescape(rest)
		if err != nil {
			return Location{}, fmt.Errorf("MILAAN_DATABASE_URL: %w", err)
		}
		return Location{Path: filepath.Clean(path), url: text}, nil
	case ok && (scheme == "postgres" || scheme == "postgresql") && rest != "":
		return Location{url: text}, nil
	default:
		return Location{}, errors.New("MILAAN_DATABASE_URL must be sqlite://FILE or postgres://USER@HOST/DATABASE")
	}
}

// Embedded reports whether the database is a file of this machine.
func (l Location) Embedded() bool { return l.Path != "" }

// KeyFile is where a secret key that no setting gives is kept: beside the
// database, or in the working directory for PostgreSQL.
func (l Location) KeyFile() string {
	if l.Embedded() {
		return filepath.Join(filepath.Dir(l.Path), "milaan.key")
	}
	return "milaan.key"
}

// Open opens the database, makes it where it is missing, and brings its schema
// up to date.
func Open(ctx context.Context, l Location, key seal.Key) (Store, error) {
	if l.Embedded() {
		return sqlite.Open(ctx, l.Path, key)
	}
	return postgres.Open(ctx, l.url, key)
}

// Backup writes a backup of the database as it is at one moment. Unlike Open it
// leaves the schema as it is, and needs no key: what is sealed stays sealed. A
// gateway may go on writing.
func Backup(ctx context.Context, l Location, to io.Writer, now time.Time) (backup.Summary, error) {
	if l.Embedded() {
		return sqlite.Backup(ctx, l.Path, to, now)
	}
	return postgres.Backup(ctx, l.url, to, now)
}

// Restore fills a new database from a backup of either engine, with the key that
// the backup's secrets are sealed with, and brings its schema up to date. It gives
// the backup's figures once all of it is there and compared; with an error there
// is no database that opens. Errors are records.ErrNotEmpty, records.ErrWrongKey,
// backup.ErrForeign, backup.ErrNewer, backup.ErrDamaged and the engines' own.
func Restore(ctx context.Context, l Location, key seal.Key, from io.Reader, how records.Restoring) (summary backup.Summary, err error) {
	r, err := backup.NewReader(from)
	if err != nil {
		return summary, err
	}
	defer r.Close()
	if l.Embedded() {
		err = sqlite.Restore(ctx, l.Path, key, r, how)
	} else {
		err = postgres.Restore(ctx, l.url, key, r, how)
	}
	if err != nil {
		return summary, err
	}
	return backup.Summary{Header: r.Header, Trailer: *r.Trailer()}, nil
}

// Outage reports whether an error of either engine is no fault of what was asked:
// the database is away, full, read-only, held up or too slow. Nothing, or all, of
// what was asked is done; asking the same again is safe, and the way to find out.
func Outage(err error) bool { return sqlite.Outage(err) || postgres.Outage(err) }

// Inspect looks at a database and changes nothing, where Open would make it and
// migrate it. Where there is no file of an embedded one the error is
// fs.ErrNotExist.
func Inspect(ctx context.Context, l Location) (records.Condition, error) {
	if l.Embedded() {
		return sqlite.Inspect(ctx, l.Path)
	}
	return postgres.Inspect(ctx, l.url)
}
