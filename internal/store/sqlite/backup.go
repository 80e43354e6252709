package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/records"
)

const catalog = `SELECT m.name, c.name, c.type FROM sqlite_schema m JOIN pragma_table_info(m.name) c
	WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, c.cid`

// Backup writes a backup of the database in a file, as it is at one moment. It
// does not touch the schema and needs no key; a gateway may go on writing.
func Backup(ctx context.Context, path string, to io.Writer, now time.Time) (summary backup.Summary, err error) {
	if _, err := os.Stat(path); err != nil {
		return summary, fmt.Errorf("there is no database: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": append(slices.Clip(pragmas), "query_only(ON)")}))
	if err != nil {
		return summary, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r := newRecords(db, seal.Key{})
	return r.Backup(ctx, to, now)
}

// Restore makes a new database in a file from a backup. There is a file of that
// name only when all of it is there and compared.
func Restore(ctx context.Context, path string, key seal.Key, from *backup.Reader, how records.Restoring) (err error) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: there is %s already: move it away, or name another file", records.ErrNotEmpty, path+suffix)
		}
	}
	// It has no journal: what is not finished is thrown away.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".milaan-restore-*")
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := fill(ctx, tmp.Name(), key, from, how); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// A link, unlike a new name, never replaces what came to be there meanwhile.
	if err := os.Link(tmp.Name(), path); err != nil {
		return fmt.Errorf("name the database: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a file's name durable.
func syncFolder(path string) error {
	dir, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fill makes a database in an empty file.
func fill(ctx context.Context, path string, key seal.Key, from *backup.Reader, how records.Restoring) (err error) {
	// What indexes are sorted in goes to files: it grows with the backup.
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": []string{
		"journal_mode(OFF)", "synchronous(OFF)", "temp_store(FILE)", "cache_size(-16384)", "locking_mode(EXCLUSIVE)",
	}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if from.Header.Schema > newest(provider) {
		return records.ErrNewerSchema
	}
	if _, err := provider.UpTo(ctx, from.Header.Schema); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	r := newRecords(db, key)
	r.Write = func(ctx context.Context, run func(records.Tx) error) error { return transact(ctx, db, run) }
	var keyCheck []byte
	if err := r.Write(ctx, func(tx records.Tx) (err error) {
		// Indexes are made when everything is there: it is faster by far.
		indexes, err := dropIndexes(ctx, tx)
		if err != nil {
			return err
		}
		if keyCheck, err = r.Load(ctx, tx, from, copyIn(tx)); err != nil {
			return err
		}
		for _, create := range indexes {
			if _, err := tx.ExecContext(ctx, create); err != nil {
				return fmt.Errorf("make an index: %w", err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	// No statistics are made: plans are tested without, and stay as they are tested.
	return r.Finish(ctx, from.Header, keyCheck, how)
}

func transact(ctx context.Context, db *sql.DB, run func(records.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := run(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// dropIndexes drops the indexes that no table needs, and returns what makes them.
func dropIndexes(ctx context.Context, tx records.Tx) (create []string, err error) {
	var drop []string
	if err := func() error {
		rows, err := tx.QueryContext(ctx, `SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, text string
			if err := rows.Scan(&name, &text); err != nil {
				return err
			}
			drop, create = append(drop, `DROP INDEX "`+name+`"`), append(create, text)
		}
		return rows.Err()
	}(); err != nil || len(drop) == 0 {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, strings.Join(drop, ";"))
	return create, err
}

// copyIn adds rows one by one, with a statement that is made once.
func copyIn(tx records.Tx) records.CopyIn {
	return func(ctx context.Context, table backup.Table, row func() ([]any, error)) (n int64, err error) {
		preparer, ok := tx.(*sql.Tx)
		if !ok {
			return 0, fmt.Errorf("no transaction, but a %T", tx)
		}
		insert, err := preparer.PrepareContext(ctx, records.InsertRow(table))
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		for ; ; n++ {
			values, err := row()
			if err != nil || values == nil {
				return n, err
			}
			if _, err := insert.ExecContext(ctx, values...); err != nil {
				return n, err
			}
		}
	}
}
