package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/peterldowns/pgtestdb"
	"github.com/pressly/goose/v3"

	"github.com/milaan/milaan/internal/store/postgres"
)

// PostgresVariable names the environment variable with the URL of a PostgreSQL
// superuser; ./test sets it.
const PostgresVariable = "MILAAN_TEST_POSTGRES"

// Postgres makes an empty database on the server that MILAAN_TEST_POSTGRES
// names. Without one the test is skipped; in CI it fails, since nobody reads
// there what was skipped.
func Postgres(tb testing.TB) *Database {
	tb.Helper()
	text := os.Getenv(PostgresVariable)
	if text == "" {
		const hint = PostgresVariable + " is not set: ./test sets it, or give the URL of a PostgreSQL superuser"
		if strings.EqualFold(os.Getenv("CI"), "true") {
			tb.Fatal(hint)
		}
		tb.Skip(hint)
	}
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatalf("%s: %v", PostgresVariable, err)
	}
	password, _ := u.User.Password()
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	config := pgtestdb.Custom(tb, pgtestdb.Config{
		DriverName: "pgx", Host: u.Hostname(), Port: port, User: u.User.Username(), Password: url.QueryEscape(password),
		Database: strings.TrimPrefix(u.Path, "/"), Options: u.RawQuery,
	}, schema{})
	return &Database{URL: config.URL(), driver: "pgx", dsn: config.URL()}
}

// schema lets pgtestdb make one template of the current schema, of which each
// test gets a copy.
type schema struct{}

// Hash tells one schema from the next.
func (schema) Hash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(postgres.Migrations(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(postgres.Migrations(), path)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", path, len(text), text) // a hash never fails
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// Migrate makes the template.
func (schema) Migrate(ctx context.Context, db *sql.DB, _ pgtestdb.Config) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, postgres.Migrations())
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
