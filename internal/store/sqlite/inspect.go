package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/milaan/milaan/internal/store/records"
)

// Inspect looks at a database and changes nothing. Where there is none the error
// is fs.ErrNotExist.
func Inspect(ctx context.Context, path string) (c records.Condition, err error) {
	file, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	c.Size = file.Size()
	if wal, err := os.Stat(path + "-wal"); err == nil {
		c.Size += wal.Size()
	}
	if writable, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY, 0); err != nil {
		c.ReadOnly = true
	} else if err := writable.Close(); err != nil {
		return c, err
	}
	c.Free = free(filepath.Dir(path))
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "query_only(ON)"}}))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var version string
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		return c, fmt.Errorf("open %s: %w", path, err)
	}
	c.Engine = "SQLite " + version
	var journal string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal); err != nil {
		return c, err
	}
	c.Journal = "journal " + journal + ", synchronous FULL"
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'`).Scan(&tables); err != nil {
		return c, err
	}
	if tables > 0 {
		if err := db.QueryRowContext(ctx, `SELECT MAX(version_id) FROM goose_db_version`).Scan(&c.Schema); err != nil {
			return c, err
		}
		if journal != "wal" {
			c.Unsafe = append(c.Unsafe, "journal_mode is "+journal+", not wal")
		}
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return c, err
	}
	c.Wanted, err = records.NewestMigration(files)
	return c, err
}
