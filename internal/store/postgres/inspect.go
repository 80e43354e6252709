package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/milaan/milaan/internal/store/records"
)

// inspectTimeout is for a server that takes a connection and says nothing.
const inspectTimeout = 10 * time.Second

// Inspect looks at a database and changes nothing.
func Inspect(ctx context.Context, url string) (c records.Condition, err error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return c, fmt.Errorf("read MILAAN_DATABASE_URL: %w", err)
	}
	config.RuntimeParams["application_name"] = "milaan doctor"
	// As a gateway has it, so that a server which forbids that shows.
	config.RuntimeParams["synchronous_commit"] = settleSettings["synchronous_commit"]
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	c.Free = -1
	var version, commit, standbys, encoding string
	var fsync, fullPages string
	var schema *string
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names'), current_setting('server_encoding'), current_setting('fsync'),
		current_setting('full_page_writes'), pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
		pg_database_size(current_database()), to_regclass('goose_db_version')::text`).
		Scan(&version, &commit, &standbys, &encoding, &fsync, &fullPages, &c.ReadOnly, &c.Size, &schema); err != nil {
		return c, err
	}
	c.Engine = "PostgreSQL " + version
	c.Journal = "synchronous_commit " + commit
	if standbys != "" {
		c.Journal += ", with a synchronous standby"
	}
	for _, setting := range []struct{ name, value string }{
		{"fsync", fsync}, {"full_page_writes", fullPages}, {"synchronous_commit", commit},
	} {
		if setting.value == "off" {
			c.Unsafe = append(c.Unsafe, setting.name+" is off")
		}
	}
	if encoding != "UTF8" {
		return c, fmt.Errorf("the database's encoding is %s: make it with ENCODING 'UTF8'", encoding)
	}
	if schema != nil {
		if err := conn.QueryRow(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&c.Schema); err != nil {
			return c, err
		}
	}
	if c.Wanted, err = records.NewestMigration(Migrations()); err != nil {
		return c, err
	}
	// Last, so that nothing but the answer's way lies between the two clocks.
	err = conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&c.Clock)
	return c, err
}
