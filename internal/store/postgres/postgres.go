// Package postgres is the engine for more than one machine: any number of
// gateways share one database.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/records"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database.
type DB struct {
	records.Records

	pool  *pgxpool.Pool // for what is sent in groups
	plain *sql.DB       // for everything else
}

// The plans of a group commit look single rows up by index, whatever the
// statistics say: they were made when tables were empty, or are stale after a
// bulk load, and a plan that scans would stay in the cache (seen to cost a
// factor of five). So plans are made once, and made to use the indexes.
var settleSettings = map[string]string{
	"plan_cache_mode":  "force_generic_plan",
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"enable_material":  "off",
	// Workers take longer to start than rows that an index finds to be read.
	"max_parallel_workers_per_gather": "0",
	"jit":                             "off",
	"application_name":                "milaan",
	"statement_timeout":               "30000",
	// An acknowledged payment survives the server's crash (invariant 7).
	"synchronous_commit": "on",
	// A gateway that vanishes amid a batch must not keep the others waiting for
	// its locks until TCP gives it up.
	"idle_in_transaction_session_timeout": "10000",
}

// survey keeps PostgreSQL from joining everything with everything row by row, as it
// does where it takes tables for nearly empty that nobody has analyzed yet: a young
// database of 200,000 payments was not verified after eleven minutes, where it takes
// five seconds.
const survey = `SELECT set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)`

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, url string, key seal.Key) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read MILAAN_DATABASE_URL: %w", err)
	}
	endure(config.ConnConfig)
	db := &DB{}
	db.plain = openPlain(config.ConnConfig)
	db.plain.SetMaxOpenConns(max(8, 2*runtime.GOMAXPROCS(0)))
	db.plain.SetMaxIdleConns(4)
	db.plain.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.plain.Close())
	}
	maps.Copy(config.ConnConfig.RuntimeParams, settleSettings)
	config.MaxConns = 8
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to PostgreSQL: %w", err), db.plain.Close())
	}
	db.Records = newRecords(db.plain, key)
	db.Write = db.transact
	if err := checkEncoding(ctx, db.plain); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.CheckKey(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openPlain opens connections for everything that is not sent in groups.
func openPlain(config *pgx.ConnConfig) *sql.DB {
	plain := config.Copy()
	plain.RuntimeParams["application_name"] = "milaan"
	for _, name := range []string{"synchronous_commit", "idle_in_transaction_session_timeout"} {
		plain.RuntimeParams[name] = settleSettings[name]
	}
	return stdlib.OpenDB(*plain)
}

// newRecords are the records of a database; how they are written is not said.
func newRecords(plain *sql.DB, key seal.Key) records.Records {
	return records.Records{
		Read: plain, Key: key, SkipLocked: "FOR UPDATE SKIP LOCKED",
		Snapshot: &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Patience: patience, Survey: survey, Engine: "postgres", Catalog: catalog,
	}
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
	// Gateways that start together take turns. The lock spares them a failed
	// start; the version table alone keeps the schema right.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(5, 720)) // an hour: adding up a large ledger takes its time
	if err != nil {
		return nil, fmt.Errorf("lock migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(), goose.WithSessionLocker(locker))
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
	provider, err := newProvider(db.plain)
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if !pending {
		return records.CheckSchema(ctx, db.plain, newest(provider))
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// checkEncoding makes sure that names in any script can be kept.
func checkEncoding(ctx context.Context, db *sql.DB) error {
	var encoding string
	if err := db.QueryRowContext(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return fmt.Errorf("read the database's encoding: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s: make it with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// Close closes all connections when the work on them is done.
func (db *DB) Close() error {
	if db.pool != nil {
		db.pool.Close()
	}
	return db.plain.Close()
}

// transact runs a function in one durable transaction.
func (db *DB) transact(ctx context.Context, run func(records.Tx) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	conn, err := db.plain.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // back to the pool, or it is broken and gone
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if err := run(tx); err != nil {
		return err
	}
	var on *pgconn.PgConn
	if err := conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("no connection of pgx, but a %T", driver)
		}
		on = c.Conn().PgConn()
		return nil
	}); err != nil {
		return err
	}
	if err := uncancelled(on, tx.Commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// uncancelled commits on a connection, and lets no request to cancel that go out
// where the commit takes too long. A server whose standbys are silent takes one for
// leave to show what no standby has (PostgreSQL, synchronous_commit): whoever asked
// again would be told of money that a failover loses. So it goes on waiting, though
// nobody waits for it any more, and keeps its locks.
func uncancelled(conn *pgconn.PgConn, commit func() error) error {
	key := slices.Clone(conn.SecretKey())
	clear(conn.SecretKey()) // without it a request to cancel is for nobody
	err := commit()
	if err == nil {
		copy(conn.SecretKey(), key)
	}
	return err
}

// SQLSTATEs that mean: another gateway was there first, run the batch again.
var conflicts = map[string]bool{
	"23505": true, // unique_violation
	"40001": true, // serialization_failure
	"40P01": true, // deadlock_detected
}

// conflict turns what another gateway caused into deposit.ErrConflict.
func conflict(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && conflicts[pgErr.Code] {
		return fmt.Errorf("%w (%w)", deposit.ErrConflict, err)
	}
	return err
}

const (
	// workTimeout ends work on a network that went silent; the server's own
	// statement_timeout, which is shorter, ends it where it still answers.
	workTimeout     = 45 * time.Second
	rollbackTimeout = 5 * time.Second
)

// flight is a pipeline of statements that cross the wire together, each with
// what is done with its result.
type flight struct {
	batch pgx.Batch
}

func (f *flight) exec(query string, args ...any) { f.batch.Queue(query, args...) }

func (f *flight) each(scan func(records.Row) error, query string, args ...any) {
	f.batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (f *flight) send(ctx context.Context, conn *pgxpool.Conn) error {
	return conn.SendBatch(ctx, &f.batch).Close()
}

// Size is what the database takes of its disk.
func (db *DB) Size(ctx context.Context) (size records.Size, err error) {
	if err := db.plain.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&size.Total); err != nil {
		return size, fmt.Errorf("read the database's size: %w", err)
	}
	return size, nil
}
