package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/records"
)

const (
	catalog = `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p')
			AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname, a.attnum`
	// patience lets a transaction last as long as whoever reads or writes the
	// backup needs.
	patience = `SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`
)

// Backup writes a backup of a database, as it is at one moment. It does not
// touch the schema and needs no key; gateways may go on writing.
func Backup(ctx context.Context, url string, to io.Writer, now time.Time) (summary backup.Summary, err error) {
	db, err := openAlone(url)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r := newRecords(db, seal.Key{})
	return r.Backup(ctx, to, now)
}

func openAlone(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read MILAAN_DATABASE_URL: %w", err)
	}
	return openPlain(config), nil
}

// Restore fills an empty database from a backup. All of it is there, or nothing:
// until everything is compared no gateway opens the database.
func Restore(ctx context.Context, url string, key seal.Key, from *backup.Reader, how records.Restoring) (err error) {
	db, err := openAlone(url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkEncoding(ctx, db); err != nil {
		return err
	}
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if from.Header.Schema > newest(provider) {
		return records.ErrNewerSchema
	}
	r := newRecords(db, key)
	r.Write = func(ctx context.Context, run func(records.Tx) error) error {
		return transact(ctx, db, func(_ *sql.Conn, tx *sql.Tx) error { return run(tx) })
	}
	if err := r.CheckEmpty(ctx, db, how.Now); err != nil {
		return err
	}
	if _, err := provider.UpTo(ctx, from.Header.Schema); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	if version, err := provider.GetDBVersion(ctx); err != nil || version != from.Header.Schema {
		return errors.Join(err, fmt.Errorf("%w: this one has no records, but schema %d, and the backup has %d: make a new one", records.ErrNotEmpty, version, from.Header.Schema))
	}
	var keyCheck []byte
	if err := transact(ctx, db, func(conn *sql.Conn, tx *sql.Tx) (err error) {
		// A gateway that starts now waits, and finds a restore that is not finished.
		if _, err := tx.ExecContext(ctx, "LOCK TABLE installation IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		if err := r.CheckEmpty(ctx, tx, how.Now); err != nil {
			return err
		}
		keyCheck, err = r.Load(ctx, tx, from, copyIn(conn))
		return err
	}); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	if err := r.Finish(ctx, from.Header, keyCheck, how); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "ANALYZE") // else the first plans know of empty tables
	return err
}

// transact runs a function in one transaction that has all the time it needs,
// with the connection that the transaction is on.
func transact(ctx context.Context, db *sql.DB, run func(*sql.Conn, *sql.Tx) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, patience); err != nil {
		return err
	}
	if err := run(conn, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// copyIn streams rows with COPY, inside the transaction on a connection.
func copyIn(conn *sql.Conn) records.CopyIn {
	return func(ctx context.Context, table backup.Table, row func() ([]any, error)) (n int64, err error) {
		names := make([]string, len(table.Columns))
		for i, c := range table.Columns {
			names[i] = c.Name
		}
		err = conn.Raw(func(driver any) error {
			c, ok := driver.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("no connection of pgx, but a %T", driver)
			}
			// The server tells a reader's error as text alone.
			var unread error
			n, err = c.Conn().CopyFrom(ctx, pgx.Identifier{table.Name}, names, pgx.CopyFromFunc(func() (values []any, err error) {
				values, unread = row()
				return values, unread
			}))
			if unread != nil {
				return unread
			}
			return err
		})
		return n, err
	}
}
