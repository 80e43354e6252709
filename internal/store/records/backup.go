package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/backup"
)

// notKept are the tables that a backup leaves out: what every new database has by
// itself, who does which duty at the moment, and turnovers, which a trigger, or the
// migration of an older backup, adds up while postings are restored.
var notKept = []string{"goose_db_version", "utr_stripes", "duties", "turnovers"}

// installationTable holds the check of the secret key. It comes first in a
// backup: a wrong key is found before anything else is read.
const installationTable = "installation"

// schemaVersion is the number of the last migration.
const schemaVersion = `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied`

// Backup writes every record as it is at one moment, while others go on
// writing: a snapshot that holds all that was acknowledged before. What was
// written is a backup only if there is no error. Now is when that is.
func (r *Records) Backup(ctx context.Context, to io.Writer, now time.Time) (summary backup.Summary, err error) {
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return summary, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if r.Patience != "" {
		if _, err := tx.ExecContext(ctx, r.Patience); err != nil {
			return summary, err
		}
	}
	var schema int64
	if err := tx.QueryRowContext(ctx, schemaVersion).Scan(&schema); err != nil {
		return summary, fmt.Errorf("read the schema's version: %w", err)
	}
	tables, err := r.tables(ctx, tx)
	if err != nil {
		return summary, err
	}
	w, err := backup.NewWriter(to, schema, r.Engine, now)
	if err != nil {
		return summary, err
	}
	defer w.Abandon()
	for _, table := range tables {
		if err := r.writeTable(ctx, tx, w, table); err != nil {
			return summary, fmt.Errorf("copy %s: %w", table.Name, err)
		}
	}
	books, err := readBooks(ctx, tx)
	if err != nil {
		return summary, err
	}
	return w.Close(books)
}

// tables are the tables that a backup has, in its order.
func (r *Records) tables(ctx context.Context, tx Tx) (list []backup.Table, err error) {
	err = each(ctx, tx, func(row Row) error {
		var table, column, kind string
		if err := row.Scan(&table, &column, &kind); err != nil {
			return err
		}
		if slices.Contains(notKept, table) {
			return nil
		}
		if n := len(list); n == 0 || list[n-1].Name != table {
			list = append(list, backup.Table{Name: table})
		}
		t := &list[len(list)-1]
		t.Columns = append(t.Columns, backup.Column{Name: column, Kind: columnKinds[strings.ToLower(kind)]})
		return nil
	}, r.Catalog)
	if err != nil {
		return nil, fmt.Errorf("read which tables there are: %w", err)
	}
	slices.SortStableFunc(list, func(a, b backup.Table) int {
		return int(Flag(b.Name == installationTable) - Flag(a.Name == installationTable))
	})
	return list, nil
}

// columnKinds are what the engines' types hold.
var columnKinds = map[string]backup.Kind{
	"integer": backup.Int, "bigint": backup.Int, "text": backup.Text, "blob": backup.Bytes, "bytea": backup.Bytes,
}

func (r *Records) writeTable(ctx context.Context, tx Tx, w *backup.Writer, table backup.Table) error {
	if err := w.Table(table); err != nil {
		return err
	}
	into := make([]any, len(table.Columns))
	return each(ctx, tx, func(row Row) error {
		values := make([]any, len(into))
		for i := range values {
			into[i] = &values[i]
		}
		if err := row.Scan(into...); err != nil {
			return err
		}
		return w.Row(values)
	}, "SELECT "+columnList(table)+" FROM "+quoted(table.Name))
}

// quoted is a name of the catalog as SQL takes it.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// columnList are a table's columns as SQL takes them.
func columnList(table backup.Table) string {
	names := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		names[i] = quoted(c.Name)
	}
	return strings.Join(names, ", ")
}

// InsertRow is the statement that adds a row of a table, with parameters.
func InsertRow(table backup.Table) string {
	values := make([]string, len(table.Columns))
	for i := range values {
		values[i] = fmt.Sprintf("$%d", i+1)
	}
	return "INSERT INTO " + quoted(table.Name) + " (" + columnList(table) + ") VALUES (" + strings.Join(values, ", ") + ")"
}

// readBooks reads what copies are compared by.
func readBooks(ctx context.Context, tx Tx) (b backup.Books, err error) {
	var r Report
	if err := r.count(ctx, tx); err != nil {
		return b, err
	}
	b = backup.Books{
		Postings: r.Postings, Held: r.Held, Unclaimed: r.Unclaimed, Owed: r.Owed, OnHold: r.OnHold, Fees: r.Fees, Outflow: r.Outflow, Income: r.Income,
	}
	if err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head`).Scan(&b.AuditSeq, &b.AuditHash); err != nil {
		return b, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return b, nil
}

var (
	// ErrNotEmpty means that a backup is to be restored over what is there.
	ErrNotEmpty = errors.New("a backup is restored into an empty database only")
	// ErrUnfinished means that a restore ended half way.
	ErrUnfinished = errors.New("a restore into this database was not finished: restore into a new, empty one")
	// ErrNewerSchema means that a backup's schema is one that only a later milaan
	// knows.
	ErrNewerSchema = fmt.Errorf("%w (its schema is newer)", backup.ErrNewer)
)

// seeded are the tables that a new database has a row in.
var seeded = []string{"id_blocks", "audit_head", installationTable}

// CheckEmpty gives ErrNotEmpty where a database holds anything but its schema.
func (r *Records) CheckEmpty(ctx context.Context, tx Tx, now time.Time) error {
	tables, err := r.tables(ctx, tx)
	if err != nil {
		return err
	}
	for _, table := range tables {
		query := "SELECT EXISTS (SELECT 1 FROM " + quoted(table.Name) + ")"
		switch {
		case table.Name == "audit_head":
			query = "SELECT EXISTS (SELECT 1 FROM audit_head WHERE seq > 0)"
		case slices.Contains(seeded, table.Name):
			continue
		}
		var some bool
		if err := tx.QueryRowContext(ctx, query).Scan(&some); err != nil {
			return fmt.Errorf("look into %s: %w", table.Name, err)
		}
		if some {
			return fmt.Errorf("%w: this one has records of its own (%s)", ErrNotEmpty, table.Name)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	var running bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM duties WHERE until > $1)`, Micros(now)).Scan(&running); err != nil {
		return fmt.Errorf("look for gateways: %w", err)
	}
	if running {
		return fmt.Errorf("%w: a gateway runs on this one: stop it first", ErrNotEmpty)
	}
	return nil
}

// CopyIn writes rows of a table until there is none any more, and says how many.
type CopyIn func(ctx context.Context, table backup.Table, row func() ([]any, error)) (int64, error)

// Load fills an empty database of a backup's schema from it, inside a
// transaction that its caller commits, and compares the copy with what the
// backup says. It returns the check of the key; until Finish puts it back, the
// database does not open.
func (r *Records) Load(ctx context.Context, tx Tx, from *backup.Reader, copyIn CopyIn) (keyCheck []byte, err error) {
	known, err := r.tables(ctx, tx)
	if err != nil {
		return nil, err
	}
	for {
		table, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(known, func(k backup.Table) bool { return k.Name == table.Name })
		if at < 0 {
			continue // somebody else's table that was beside milaan's
		}
		if !sameColumns(*table, known[at]) {
			return nil, fmt.Errorf("%w (%s has other columns than its schema says)", backup.ErrDamaged, table.Name)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+quoted(table.Name)); err != nil { // what is seeded
			return nil, fmt.Errorf("empty %s: %w", table.Name, err)
		}
		if _, err := copyIn(ctx, *table, from.Row); err != nil {
			return nil, fmt.Errorf("fill %s: %w", table.Name, err)
		}
		if table.Name == installationTable {
			if keyCheck, err = withholdKey(ctx, tx, r.Key); err != nil {
				return nil, err
			}
		}
	}
	return keyCheck, r.compare(ctx, tx, known, from.Trailer())
}

func sameColumns(a, b backup.Table) bool {
	byName := func(x, y backup.Column) int { return strings.Compare(x.Name, y.Name) }
	return slices.Equal(slices.SortedFunc(slices.Values(a.Columns), byName), slices.SortedFunc(slices.Values(b.Columns), byName))
}

// withholdKey makes sure that the key opens what the backup holds, and takes its
// check away for the while.
func withholdKey(ctx context.Context, tx Tx, key seal.Key) (sealed []byte, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT key_check FROM installation`).Scan(&sealed); err != nil {
		return nil, fmt.Errorf("read the key's check: %w", err)
	}
	if text, err := key.Open(sealed, keyCheckPlace); err != nil || string(text) != keyCheckText {
		return nil, ErrWrongKey
	}
	_, err = tx.ExecContext(ctx, `UPDATE installation SET key_check = $1`, []byte{})
	return sealed, err
}

// compare makes sure that a copy has all rows and the same books.
func (r *Records) compare(ctx context.Context, tx Tx, tables []backup.Table, want *backup.Trailer) error {
	for _, table := range tables {
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+quoted(table.Name)).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", table.Name, err)
		}
		if expected, ok := want.Rows[table.Name]; !ok || n != expected {
			return fmt.Errorf("%w (%s has %d rows instead of %d)", backup.ErrDamaged, table.Name, n, expected)
		}
	}
	books, err := readBooks(ctx, tx)
	if err != nil {
		return err
	}
	if !books.Equal(&want.Books) {
		return fmt.Errorf("%w (the books do not add up to what they did)", backup.ErrDamaged)
	}
	return nil
}

// Restoring is how a backup is restored.
type Restoring struct {
	Now time.Time
	// Actor is who restores it, for the audit log.
	Actor string
	// Moving says that nothing happened since the backup was made: the gateway was
	// stopped before. Otherwise what a person must compare with the bank waits for
	// one.
	Moving bool
}

// idGap is how far ids jump when a backup is restored: what was given since it
// was made, and told to merchants and banks, must not be given again. It is more
// than a gateway at its fastest gives in three days.
const idGap = 10_000_000_000

// Finish makes a database that was loaded, and migrated to the schema of today,
// one that opens.
func (r *Records) Finish(ctx context.Context, made backup.Header, keyCheck []byte, how Restoring) error {
	return r.Write(ctx, func(tx Tx) error {
		why := fmt.Sprintf("made %s from %s, schema %d", made.MadeAt().Format(time.RFC3339), made.Engine, made.Schema)
		entries := []audit.Entry{{At: how.Now, Actor: how.Actor, Action: "backup.restored", Why: why}}
		if !how.Moving {
			if _, err := tx.ExecContext(ctx, `UPDATE id_blocks SET next = next + $1`, int64(idGap)); err != nil {
				return fmt.Errorf("pass over ids: %w", err)
			}
			held, err := holdWithdrawals(ctx, tx, made.MadeAt(), how)
			if err != nil {
				return err
			}
			entries = append(entries, held...)
		}
		if err := appendAudit(ctx, tx, entries); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE installation SET key_check = $1`, keyCheck)
		return err
	})
}

// holdWithdrawals has a person look at every withdrawal that was not handed over
// when the backup was made: it may have been paid since. One that was is asked
// about, under the reference that its desk knows.
func holdWithdrawals(ctx context.Context, tx Tx, madeAt time.Time, how Restoring) (entries []audit.Entry, err error) {
	told := "restored from a backup of " + madeAt.Format(time.RFC3339) + ": it may have been paid since"
	err = each(ctx, tx, func(row Row) error {
		e := audit.Entry{At: how.Now, Actor: how.Actor, Action: "payout.contested", Why: told}
		entries = append(entries, e)
		return row.Scan(&entries[len(entries)-1].Subject)
	}, `UPDATE withdrawals SET contested = 1, doubts = CASE doubts WHEN '' THEN $1 ELSE doubts || $2 END, ask_at = 0
		WHERE test = 0 AND (state IN ('new', 'approved') OR state = 'processing' AND tries = 0) RETURNING id`, told, "\n"+told)
	if err != nil {
		return nil, fmt.Errorf("hold the withdrawals: %w", err)
	}
	return entries, nil
}
