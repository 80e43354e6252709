// Package sqlite is the embedded engine: pure Go, one file, one writer.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver

	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/records"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database. One process may write at a time; others wait for it.
type DB struct {
	records.Records

	path        string
	read, write *sql.DB
	conn        *sql.Conn     // the only one that writes
	turn        chan struct{} // holds one token while somebody writes
	statements  statements
}

// pragmas of every connection. The busy time-out comes first: the others may
// have to wait. FULL makes a commit durable before it is answered (invariant
// 7).
var pragmas = []string{
	"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
	"temp_store(MEMORY)", "cache_size(-16384)", "journal_size_limit(67108864)", "wal_autocheckpoint(4000)",
}

// Open opens the database in a file, makes it where it is missing, and brings
// its schema up to date.
func Open(ctx context.Context, path string, key seal.Key) (*DB, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	values := url.Values{"_pragma": pragmas}
	db := &DB{path: path, turn: make(chan struct{}, 1)}
	var err error
	if db.write, err = sql.Open("sqlite", dsn(path, values)); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.write.SetMaxOpenConns(1)
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	if db.conn, err = db.write.Conn(ctx); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	values.Add("_pragma", "query_only(ON)")
	if db.read, err = sql.Open("sqlite", dsn(path, values)); err != nil {
		return nil, errors.Join(err, db.conn.Close(), db.write.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	db.Records = newRecords(db.read, key)
	db.Write = db.transact
	if err := db.statements.prepare(ctx, db.conn); err != nil {
		return nil, errors.Join(err, db.Close()) //nolint:contextcheck // closing outlives whoever asked for it
	}
	if err := db.CheckKey(ctx); err != nil {
		return nil, errors.Join(err, db.Close()) //nolint:contextcheck // closing outlives whoever asked for it
	}
	return db, nil
}

// newRecords are the records that a pool reads; they are not written.
func newRecords(read *sql.DB, key seal.Key) records.Records {
	return records.Records{Read: read, Key: key, Snapshot: &sql.TxOptions{ReadOnly: true}, Engine: "sqlite", Catalog: catalog}
}

func dsn(path string, values url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: values.Encode()}).String()
}

// private makes a new database readable by its owner alone: it holds payers'
// names.
func private(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return f.Close()
}

// Migrations are the versions of the schema, in order.
func Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant of this package, and valid
	}
	return files
}

// newProvider makes what migrates a database.
func newProvider(db *sql.DB) (*goose.Provider, error) {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, Migrations())
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// newest is the version of the last migration.
func newest(provider *goose.Provider) int64 {
	sources := provider.ListSources()
	return sources[len(sources)-1].Version
}

func (db *DB) migrate(ctx context.Context) error {
	provider, err := newProvider(db.write)
	if err != nil {
		return err
	}
	// Of processes that start together one migrates; what the others tried is
	// undone, and there is nothing left to do when they look again.
	for range 20 {
		if _, err = provider.Up(ctx); err == nil {
			return records.CheckSchema(ctx, db.write, newest(provider))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("migrate the database: %w", err)
}

// Close waits for the write in progress and closes the database. Everything is
// in the one file then, unless another process reads it at that moment: a
// copy of it is whole.
func (db *DB) Close() error {
	db.turn <- struct{}{}
	defer db.give()
	err := db.read.Close()
	// Errors of the checkpoint lose nothing: the log is read at the next start.
	_, _ = db.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(err, db.conn.Close(), db.write.Close())
}

// take waits for the turn to write, for as long as the caller does: another process
// may hold the file's lock.
func (db *DB) take(ctx context.Context) error {
	select {
	case db.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn to write: %w", ctx.Err())
	}
}

func (db *DB) give() { <-db.turn }

// transact runs a function in one durable transaction on the write connection.
func (db *DB) transact(ctx context.Context, run func(records.Tx) error) (err error) {
	if err := db.take(ctx); err != nil {
		return err
	}
	defer db.give()
	// A statement that was cancelled half way leaves the connection in an
	// unknown state, so work that began is finished.
	ctx = context.WithoutCancel(ctx)
	if _, err := db.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done {
			_, rollbackErr := db.conn.ExecContext(ctx, "ROLLBACK")
			err = errors.Join(err, rollbackErr)
		}
	}()
	if err := run(db.conn); err != nil {
		return err
	}
	if _, err := db.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	return nil
}

// Size is what the database takes of its disk.
func (db *DB) Size(ctx context.Context) (size records.Size, err error) {
	if err := db.read.QueryRowContext(ctx, `SELECT p.page_count * s.page_size, f.freelist_count * s.page_size
		FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s`).Scan(&size.Total, &size.Free); err != nil {
		return size, fmt.Errorf("read the database's size: %w", err)
	}
	info, err := os.Stat(db.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return size, nil
	}
	if err != nil {
		return size, err
	}
	size.Log = info.Size()
	size.Total += size.Log
	return size, nil
}
