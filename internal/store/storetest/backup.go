package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/postgres"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/internal/store/sqlite"
	"github.com/milaan/milaan/upi"
)

// RunBackups makes backups of databases of one engine and restores them into
// databases of one engine, the same or the other.
func RunBackups(t *testing.T, source, target Fresh) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, source, target Fresh){
		"WhileWritten": testBackupWhileWritten, "Same": testBackupSame, "Refused": testRestoreRefused,
		"Withdrawals": testRestoredWithdrawals, "Older": testRestoreOlder, "Unfinished": testRestoreUnfinished,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, source, target)
		})
	}
}

var restoring = records.Restoring{Now: Start.Add(time.Hour), Actor: "operator:asha"}

// restore fills the database from a backup.
func (d *Database) restore(tb testing.TB, data []byte, how records.Restoring) (backup.Summary, error) {
	tb.Helper()
	location, err := store.ParseLocation(d.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return store.Restore(context.Background(), location, Key, bytes.NewReader(data), how)
}

// mustRestore restores a backup into a new database and opens a house there.
func mustRestore(tb testing.TB, target Fresh, data []byte, how records.Restoring) *House {
	tb.Helper()
	db := target(tb)
	if _, err := db.restore(tb, data, how); err != nil {
		tb.Fatalf("restore: %v", err)
	}
	h := &House{TB: tb, Database: db, Store: db.Open(tb), Clock: &Clock{now: how.Now}}
	h.start()
	return h
}

// mustBackUp backs the house up without opening its database as a gateway does.
func (h *House) mustBackUp() []byte {
	h.Helper()
	location, err := store.ParseLocation(h.Database.URL)
	if err != nil {
		h.Fatal(err)
	}
	var data bytes.Buffer
	summary, err := store.Backup(context.Background(), location, &data, h.Clock.Now())
	if err != nil {
		h.Fatalf("back up: %v", err)
	}
	if summary.Size != int64(data.Len()) || !summary.MadeAt().Equal(h.Clock.Now()) {
		h.Errorf("the summary of %d bytes is %+v", data.Len(), summary)
	}
	return data.Bytes()
}

// contents are all rows of a backup, by table, in order of what they say.
func contents(tb testing.TB, data []byte) map[string][]string {
	tb.Helper()
	r, err := backup.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	tables := make(map[string][]string)
	for {
		table, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tables
		}
		if err != nil {
			tb.Fatal(err)
		}
		rows := []string{fmt.Sprint(table.Columns)}
		for {
			row, err := r.Row()
			if err != nil {
				tb.Fatal(err)
			}
			if row == nil {
				break
			}
			rows = append(rows, fmt.Sprintf("%q", row))
		}
		slices.Sort(rows)
		tables[table.Name] = rows
	}
}

// testBackupSame: a database that was moved is the one that it was, row by row.
func testBackupSame(t *testing.T, source, target Fresh) {
	t.Helper()
	h := mustOpenDamageable(t, source)
	if err := h.Store.Notices().Save(t.Context(), map[string]json.RawMessage{"odd": []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	h.mustExec(`UPDATE claims SET trace = $1`, trace)
	data := h.mustBackUp()
	before := contents(t, data)
	if !slices.ContainsFunc(before["claims"], func(row string) bool { return strings.Contains(row, trace) }) {
		t.Error("the backup has no traces")
	}
	if len(before) < 20 || len(before["credits"]) != 8 || len(before["directory"]) < 10 {
		t.Fatalf("the backup has %d tables, %d credits", len(before), len(before["credits"])-1)
	}
	for _, table := range []string{"goose_db_version", "utr_stripes", "duties", "turnovers"} {
		if before[table] != nil {
			t.Errorf("%s is in the backup", table)
		}
	}
	how := restoring
	how.Moving = true
	restored := mustRestore(t, target, data, how)
	after := contents(t, restored.mustBackUp())
	for table, rows := range before {
		switch table {
		case "audit":
			if got := after[table]; len(got) != len(rows)+1 || !strings.Contains(strings.Join(got, "\n"), "backup.restored") {
				t.Errorf("audit has %d entries, and had %d", len(got), len(rows))
			}
		case "audit_head":
		default:
			if !slices.Equal(rows, after[table]) {
				t.Errorf("%s was %s\nand is %s", table, rows, after[table])
			}
		}
	}
	made, kept := restored.mustRead("turnovers", "*"), h.mustRead("turnovers", "*")
	slices.SortFunc(made, slices.Compare)
	slices.SortFunc(kept, slices.Compare)
	if len(kept) == 0 || !slices.EqualFunc(made, kept, slices.Equal) {
		t.Errorf("turnovers are %q, and were %q", made, kept)
	}
	if len(after) != len(before) {
		t.Errorf("%d tables, and there were %d", len(after), len(before))
	}
	a, b := h.MustVerify(), restored.MustVerify()
	if b.AuditEntries--; a.Held != b.Held || a.Owed != b.Owed || a.Unclaimed != b.Unclaimed || a.Postings != b.Postings || a.AuditEntries != b.AuditEntries {
		t.Errorf("the books were %+v and are %+v", a, b)
	}
	// Secrets open, and work goes on.
	if m := restored.Directory.Current().Merchant(Shop); m == nil || m.Secrets.PrivateKey != "private-key-of-shop" {
		t.Error("secrets do not open")
	}
	restored.MustReport("till", 1, 0, 0, restored.Entry(UTR(70), 500_00))
	restored.MustActivate(Claim("new", UTR(70), 500_00), deposit.Credited)
	restored.MustVerify()
}

// testBackupWhileWritten: everything acknowledged before a backup began is in it,
// and what is in it adds up, however much is written meanwhile.
func testBackupWhileWritten(t *testing.T, source, target Fresh) {
	t.Helper()
	h := MustOpenHouse(t, source(t), Setup{})
	var n atomic.Int64
	var mu sync.Mutex
	var acknowledged []upi.UTR
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				utr := UTR(int(n.Add(1)))
				if _, err := h.Report("till", h.Entry(utr, 500_00)); err != nil {
					t.Errorf("report: %v", err)
					return
				}
				if _, err := h.Desk.Activate(t.Context(), Claim("c"+string(utr), utr, 500_00)); err != nil {
					t.Errorf("activate: %v", err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, utr)
				mu.Unlock()
			}
		})
	}
	written := func() []upi.UTR {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(acknowledged)
	}
	for len(written()) < 50 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	var before []upi.UTR
	var data bytes.Buffer
	before = written()
	if _, err := h.Store.Backup(t.Context(), slowly{&data}, h.Clock.Now()); err != nil {
		t.Errorf("back up: %v", err)
	}
	after := len(written())
	close(stop)
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if after == len(before) {
		t.Error("nobody could write meanwhile")
	}
	restored := mustRestore(t, target, data.Bytes(), restoring)
	report := restored.MustVerify()
	if report.Credits < int64(len(before)) || report.Credits > n.Load() {
		t.Errorf("%d credits: %d before, %d in all", report.Credits, len(before), n.Load())
	}
	for _, utr := range before {
		if credit := restored.MustCredit("till", utr); credit.State != deposit.Bound {
			t.Errorf("credit %s is %s", utr, credit.State)
		}
	}
	// What was given since the backup is never given again.
	var last int64
	if err := h.raw().QueryRowContext(t.Context(), "SELECT MAX(next) FROM id_blocks").Scan(&last); err != nil {
		t.Fatal(err)
	}
	first, err := restored.Store.ReserveIDs(t.Context(), 1)
	if err != nil || first < last {
		t.Errorf("id %d is given again (%v): the next was %d", first, err, last)
	}
}

// slowly lets others write while a backup is made.
type slowly struct{ io.Writer }

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return s.Writer.Write(p)
}

// untouched makes sure that nothing came of a restore: the next one works.
func (d *Database) untouched(t *testing.T, good []byte) {
	t.Helper()
	if d.Embedded() {
		left, err := filepath.Glob(filepath.Join(filepath.Dir(d.Path), "*"))
		hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(d.Path), ".*"))
		if err != nil || len(left)+len(hidden) != 0 {
			t.Errorf("left behind: %v %v", left, hidden)
		}
	}
	if _, err := d.restore(t, good, restoring); err != nil {
		t.Errorf("the next restore: %v", err)
	}
}

func testRestoreRefused(t *testing.T, source, target Fresh) {
	t.Helper()
	h := mustOpenDamageable(t, source)
	good := h.mustBackUp()
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"truncated":        {good[:len(good)-1], backup.ErrDamaged},
		"truncated early":  {good[:len(good)/2], backup.ErrDamaged},
		"corrupt":          {slices.Concat(good[:len(good)/2], []byte{good[len(good)/2] ^ 1}, good[len(good)/2+1:]), backup.ErrDamaged},
		"foreign":          {[]byte("SQLite format 3\x00"), backup.ErrForeign},
		"empty":            {nil, backup.ErrForeign},
		"of a new schema":  {rewritten(t, good, func(schema int64) int64 { return schema + 1 }, nil), backup.ErrNewer},
		"books do not add": {rewritten(t, good, nil, func(b *backup.Books) { b.Owed++ }), backup.ErrDamaged},
		"audit differs":    {rewritten(t, good, nil, func(b *backup.Books) { b.AuditHash = []byte{1} }), backup.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := target(t)
			if _, err := db.restore(t, tt.data, restoring); !errors.Is(err, tt.want) {
				t.Errorf("gives %v", err)
			}
			db.untouched(t, good)
		})
	}
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		db := target(t)
		location, err := store.ParseLocation(db.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Restore(t.Context(), location, mustKey("another key than that of the tests"), bytes.NewReader(good), restoring); !errors.Is(err, records.ErrWrongKey) {
			t.Errorf("gives %v", err)
		}
		db.untouched(t, good)
	})
	t.Run("over records", func(t *testing.T) {
		t.Parallel()
		other := mustOpenDamageable(t, target)
		before := contents(t, other.mustBackUp())
		if _, err := other.Database.restore(t, good, restoring); !errors.Is(err, records.ErrNotEmpty) {
			t.Errorf("gives %v", err)
		}
		for table, rows := range contents(t, other.mustBackUp()) {
			if !slices.Equal(rows, before[table]) {
				t.Errorf("%s changed", table)
			}
		}
	})
	t.Run("under a gateway", func(t *testing.T) {
		t.Parallel()
		db := target(t)
		if held, err := db.Open(t).Hold(t.Context(), "sweep", "gateway", restoring.Now, time.Minute); err != nil || !held {
			t.Fatal(held, err)
		}
		if _, err := db.restore(t, good, restoring); !errors.Is(err, records.ErrNotEmpty) {
			t.Errorf("gives %v", err)
		}
	})
}

// rewritten is a backup with another schema or other books, and a right sum.
func rewritten(t *testing.T, data []byte, schema func(int64) int64, books func(*backup.Books)) []byte {
	t.Helper()
	r, err := backup.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	version := r.Header.Schema
	if schema != nil {
		version = schema(version)
	}
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, version, r.Header.Engine, r.Header.MadeAt())
	if err != nil {
		t.Fatal(err)
	}
	for {
		table, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Table(*table); err != nil {
			t.Fatal(err)
		}
		for {
			row, err := r.Row()
			if err != nil {
				t.Fatal(err)
			}
			if row == nil {
				break
			}
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	changed := r.Trailer().Books
	if books != nil {
		books(&changed)
	}
	if _, err := w.Close(changed); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// testRestoredWithdrawals: what may have been paid since the backup is paid again
// by no machine, unless nothing happened since.
func testRestoredWithdrawals(t *testing.T, source, target Fresh) {
	t.Helper()
	h := MustOpenHouse(t, source(t), desks)
	o := mustOpenOffice(h, 5000_00)
	sent := o.mustCreate(withdrawal("sent", 100_00), payout.Approved)
	o.bank.says(payout.Answer{Standing: payout.Accepted}, nil)
	o.mustWork()
	o.mustStand(sent.ID, payout.Processing)
	small := o.mustCreate(withdrawal("small", 200_00), payout.Approved)
	big := o.mustCreate(withdrawal("big", 1500_00), payout.New, payout.ReasonAmount)
	data := h.mustBackUp()
	o.bank.says(payout.Answer{Standing: payout.Paid, BankRef: string(UTR(77))}, nil)
	o.mustWork()
	o.mustStand(small.ID, payout.Success)

	how := restoring
	how.Now = h.Clock.Now()
	restored := &office{House: mustRestore(t, target, data, how), bank: o.bank}
	restored.Office = &payout.Office{Config: o.Config}
	restored.Office.Store, restored.Office.Directory, restored.Office.Now = restored.House.Store, restored.House.Directory, restored.Clock.Now
	restored.mustWork()
	restored.mustStand(sent.ID, payout.Success) // its desk was asked, and knows it
	restored.mustStand(small.ID, payout.Approved)
	restored.mustDoubt(small.ID, "it may have been paid since")
	restored.mustDoubt(big.ID, "it may have been paid since")
	for reference, times := range o.bank.sent {
		if times != 1 {
			t.Errorf("%s was sent %d times", reference, times)
		}
	}
	restored.MustVerify()
	// A person found that it was not paid: it goes on.
	restored.mustCommit(func() (*payout.Withdrawal, error) {
		return restored.Clear(t.Context(), small.ID, "operator:ravi", "not on the statement")
	})
	restored.mustWork()
	restored.mustStand(small.ID, payout.Success)
	restored.MustVerify()

	how.Moving = true
	moved := &office{House: mustRestore(t, target, data, how), bank: o.bank}
	moved.Office = &payout.Office{Config: o.Config}
	moved.Office.Store, moved.Office.Directory, moved.Office.Now = moved.House.Store, moved.House.Directory, moved.Clock.Now
	moved.mustWork()
	moved.mustStand(small.ID, payout.Success)
	moved.mustStand(big.ID, payout.New)
	if list, err := moved.House.Store.ContestedWithdrawals(t.Context(), 0, 10); err != nil || len(list) != 0 {
		t.Errorf("moved, and %d wait: %v", len(list), err)
	}
}

// testRestoreOlder: a backup of an older schema is brought up to date.
func testRestoreOlder(t *testing.T, source, target Fresh) {
	t.Helper()
	h := mustOpenDamageable(t, source)
	const older = 13 // before settlements and events
	provider := h.migrations()
	if _, err := provider.DownTo(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	data := h.mustBackUp()
	if version, err := provider.GetDBVersion(t.Context()); err != nil || version != older {
		t.Fatalf("a backup made the schema %d, %v", version, err)
	}
	db := target(t)
	if !db.Embedded() {
		// There is a schema already, of today: it does not fit.
		if _, err := db.restore(t, data, restoring); !errors.Is(err, records.ErrNotEmpty) {
			t.Errorf("restored into a newer schema: %v", err)
		}
		for _, drop := range []string{"DROP SCHEMA public CASCADE", "CREATE SCHEMA public"} {
			if _, err := db.Raw(t).ExecContext(t.Context(), drop); err != nil {
				t.Fatal(err)
			}
		}
	}
	restored := mustRestore(t, func(testing.TB) *Database { return db }, data, restoring)
	report := restored.MustVerify()
	if report.Credits != 7 || report.Claims != 4 || report.Deposits != 1 || report.AuditEntries != 22 {
		t.Errorf("the report is %+v", report)
	}
	restored.MustReport("till", 1, 0, 0, restored.Entry(UTR(70), 500_00))
}

// testMigrateOlder: a database of an older version, with payments in it, opens,
// adds up, and goes on.
func testMigrateOlder(t *testing.T, fresh Fresh) {
	t.Helper()
	h := mustOpenDamageable(t, fresh)
	before := h.MustVerify()
	if _, err := h.migrations().DownTo(t.Context(), 13); err != nil {
		t.Fatal(err)
	}
	branch := h.MustOpenBranch()
	if after := branch.MustVerify(); after.Credits != before.Credits || after.Deposits != before.Deposits || after.Postings != before.Postings {
		t.Errorf("migrated, the report is %+v; it was %+v", after, before)
	}
	branch.MustReport("till", 1, 0, 0, branch.Entry(UTR(70), 500_00))
}

// testSchemaAhead: a database that a later version has migrated does not open.
func testSchemaAhead(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	if _, err := h.raw().ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (10000, $1)", true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Database.TryOpen(t, Key); !errors.Is(err, records.ErrSchemaAhead) {
		t.Errorf("opens: %v", err)
	}
}

// migrations move the schema of a house.
func (h *House) migrations() *goose.Provider {
	h.Helper()
	dialect, files := goose.DialectPostgres, postgres.Migrations()
	if h.Database.Embedded() {
		dialect, files = goose.DialectSQLite3, sqlite.Migrations()
	}
	provider, err := goose.NewProvider(dialect, h.raw(), files)
	if err != nil {
		h.Fatal(err)
	}
	return provider
}

// testRestoreUnfinished: a database that was not restored to the end does not open.
func testRestoreUnfinished(t *testing.T, _, target Fresh) {
	t.Helper()
	h := MustOpenHouse(t, target(t), Setup{})
	if _, err := h.raw().ExecContext(t.Context(), "UPDATE installation SET key_check = $1", []byte{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Database.TryOpen(t, Key); !errors.Is(err, records.ErrUnfinished) {
		t.Errorf("opens: %v", err)
	}
}
