// Package storetest is the conformance suite of the engines: one set of tests,
// run on SQLite and on PostgreSQL, which hold both to the contracts of the
// rooms and to the invariants of the architecture.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store"
)

// Key is the secret key of every database of the tests.
var Key = mustKey("the secret key of every test's database")

func mustKey(text string) seal.Key {
	key, err := seal.ParseKey(text)
	if err != nil {
		panic(err)
	}
	return key
}

// Database is an empty database of one test; it goes when the test ends.
type Database struct {
	// URL is the database as MILAAN_DATABASE_URL names it.
	URL string
	// Path is the file of an embedded one.
	Path        string
	driver, dsn string
}

// SQLite makes an empty database in a file.
func SQLite(tb testing.TB) *Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "milaan.db")
	return &Database{URL: "sqlite://" + path, Path: path, driver: "sqlite", dsn: "file:" + path + "?_pragma=busy_timeout(10000)"}
}

// Open opens the database until the test ends. Every call is a gateway of its
// own, with its own connections.
func (d *Database) Open(tb testing.TB) store.Store {
	tb.Helper()
	s, err := d.TryOpen(tb, Key)
	if err != nil {
		tb.Fatalf("open the store: %v", err)
	}
	return s
}

// TryOpen is Open with a key that may be the wrong one.
func (d *Database) TryOpen(tb testing.TB, key seal.Key) (store.Store, error) {
	tb.Helper()
	location, err := store.ParseLocation(d.URL)
	if err != nil {
		tb.Fatal(err)
	}
	if d.Embedded() && key == Key {
		d.fill(tb)
	}
	s, err := store.Open(context.Background(), location, key)
	if err == nil {
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Errorf("close the store: %v", err)
			}
		})
	}
	return s, err
}

// fill puts a migrated database where there is no file yet: migrating anew for
// every test costs more than most tests.
func (d *Database) fill(tb testing.TB) {
	tb.Helper()
	f, err := os.OpenFile(d.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err != nil {
		tb.Fatal(err)
	}
	data, err := migrated()
	if err == nil {
		_, err = f.Write(data)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		tb.Fatalf("fill the database: %v", err)
	}
}

// migrated is the file of a new database, made once by opening one.
var migrated = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "milaan-migrated-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "milaan.db")
	s, err := store.Open(context.Background(), store.Location{Path: path}, Key)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Clean(path))
})

// Embedded reports whether the database is a file.
func (d *Database) Embedded() bool { return d.Path != "" }

// Raw opens the database behind the store's back.
func (d *Database) Raw(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Fresh makes an empty database of one engine.
type Fresh func(tb testing.TB) *Database

// Run runs the whole suite on the databases that fresh makes.
func Run(t *testing.T, fresh Fresh) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, fresh Fresh)
	}{
		{"Directory", testDirectory},
		{"Secrets", testSecrets},
		{"Start", testStart},
		{"IDs", testIDs},
		{"Settle", testSettle},
		{"Queries", testQueries},
		{"Outbox", testOutbox},
		{"Control", testControl},
		{"Webhooks", testWebhooks},
		{"Duties", testDuties},
		{"Rates", testRates},
		{"Verify", testVerify},
		{"Activate", testActivate},
		{"Review", testReview},
		{"People", testPeople},
		{"Tallies", testTallies},
		{"Shared", testShared},
		{"Amend", testAmend},
		{"Payments", testPayments},
		{"Refer", testRefer},
		{"Movements", testMovements},
		{"Messages", testMessages},
		{"Statements", testStatements},
		{"Works", testWorks},
		{"Payouts", testPayouts},
		{"PayoutDoubts", testPayoutDoubts},
		{"PayoutMachine", testPayoutMachine},
		{"Settlements", testSettlements},
		{"SettlementsBySchedule", testSettlementsBySchedule},
		{"SettlementReports", testSettlementReports},
		{"Reports", testReports},
		{"Turnovers", testTurnovers},
		{"TurnoversMigrated", testTurnoversMigrated},
		{"AuditLog", testAuditLog},
		{"Keeping", testKeeping},
		{"Access", testAccess},
		{"Stories", testStories},
		{"Staff", testStaff},
		{"Backlog", testBacklog},
		{"Assign", testAssign},
		{"Desk", testDesk},
		{"Races", testRaces},
		{"ClockJumps", testClockJumps},
		{"MigrateOlder", testMigrateOlder},
		{"SchemaAhead", testSchemaAhead},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh)
		})
	}
}
