//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver

	"github.com/milaan/milaan/internal/store/storetest"
)

// outage is something that keeps a database from doing its work for a while.
type outage struct {
	name string
	// begin brings it about, and gives what ends it.
	begin func() (end func())
	// says is what /readyz has to say of it; empty for anything.
	says string
}

// bear puts a gateway under load through outages, one after the other. In each the
// clients are told to come again, /readyz says so, and when it is over payments go
// on in the same process.
func bear(t *testing.T, f *fleet, m *member, outages []outage) {
	t.Helper()
	f.pause = 100 * time.Millisecond
	stop := f.work(t, 150, 0)
	until(t, &f.payments, 20, "payments")
	for _, o := range outages {
		t.Logf("%s: %d payments so far, %d answers to come again", o.name, f.payments.Load(), f.shed.Load())
		end := o.begin()
		until(t, &f.shed, 60, o.name+": answers that say to try again")
		m.await(t, http.StatusServiceUnavailable, o.says)
		end()
		until(t, &f.payments, 20, o.name+": payments after it")
		m.await(t, http.StatusOK, "")
	}
	stop()
	if n := f.broken.Load(); n > 0 {
		t.Errorf("%d requests got no answer, though the gateway lived", n)
	}
	f.settle(t, 20*(len(outages)+1))
	m.leave(t)
}

// TestOutagesOfPostgres: a server that is silent, locked, read-only, without a place
// for a connection, or stopped.
func TestOutagesOfPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartServer(t)
	for _, statement := range []string{
		"CREATE ROLE milaan LOGIN PASSWORD 'milaan'", "GRANT pg_read_all_stats TO milaan", "CREATE DATABASE milaan OWNER milaan",
	} {
		server.Do(t, statement)
	}
	database := "postgres://milaan:milaan@" + server.Addr + "/milaan?sslmode=disable"
	network := storetest.NewHush(t, database)
	f := newFleet(t, build(t), network.URL)
	m := f.join(t, f.program)
	f.ask(m.addr)
	both := func(begin, end string, after ...string) func() func() {
		return func() func() {
			server.Do(t, begin)
			for _, statement := range after {
				server.Do(t, statement)
			}
			return func() {
				server.Do(t, end)
				for _, statement := range after {
					server.Do(t, statement)
				}
			}
		}
	}
	const reload = "SELECT pg_reload_conf()"
	bear(t, f, m, []outage{
		{"the network swallows what the server answers", func() func() { network.Hold(); return network.Release }, ""},
		{"somebody holds a lock", func() func() {
			conn, err := pgx.Connect(t.Context(), database)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE claims"); err != nil {
				t.Fatal(err)
			}
			return func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
		}, "slow"},
		{"the server is made read-only", both("ALTER SYSTEM SET default_transaction_read_only = on",
			"ALTER SYSTEM RESET default_transaction_read_only", reload), "can't be written"},
		{"there is no place for connections", both("ALTER ROLE milaan CONNECTION LIMIT 0", "ALTER ROLE milaan CONNECTION LIMIT -1",
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'milaan'"), ""},
		{"the server is stopped, and started again", func() func() {
			server.Kill(t)
			return func() { server.Restart(t) }
		}, "does not answer"},
	})
}

// TestFullDisksOfPostgres: no room for the tables, which fails what needs more of it;
// and none for the log of transactions, at which the server ends itself.
func TestFullDisksOfPostgres(t *testing.T) {
	t.Parallel()
	tables, transactions := storetest.NewDisk(t, 128), storetest.NewDisk(t, 192)
	server := storetest.StartServer(t, "min_wal_size=32MB", "max_wal_size=64MB")
	server.MoveLog(t, transactions)
	server.Do(t, "CREATE DATABASE milaan TABLESPACE "+strconv.Quote(server.NewTablespace(t, tables)))
	f := newFleet(t, build(t), storetest.URL("milaan", server))
	m := f.join(t, f.program)
	f.ask(m.addr)
	bear(t, f, m, []outage{
		{"there is no room for the tables", func() func() {
			tables.Fill(t)
			return func() { tables.Free(t) }
		}, ""},
		{"there is no room for the log", func() func() {
			transactions.Fill(t)
			return func() {
				transactions.Free(t)
				server.Revive(t)
			}
		}, ""},
	})
}

// freeze makes a file that nobody may write, not even who has it open, and gives
// what undoes it; nil where the file system has no such thing, or not for us.
func freeze(t *testing.T, paths ...string) (thaw func()) {
	t.Helper()
	const immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
	set := func(path string, on bool) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		flags &^= immutable
		if on {
			flags |= immutable
		}
		return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	thaw = func() {
		for _, path := range paths {
			if err := set(path, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s can't be written any more (chattr -i): %v", path, err)
			}
		}
	}
	for _, path := range paths {
		if err := set(path, true); err != nil {
			t.Logf("NOT CHECKED: a file that is made read-only, which needs root and a file system such as ext4: %v", err)
			return nil
		}
	}
	return thaw
}

// TestOutagesOfSQLite: a file that must not grow any more, as on a full disk, one
// that another process holds, and one that is made read-only.
func TestOutagesOfSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "milaan.db")
	f := newFleet(t, build(t), "sqlite://"+path)
	m := f.join(t, f.program)
	f.ask(m.addr)
	outages := []outage{
		{"the disk is full", func() func() {
			// No file of the process may have more than this: less than each has.
			var before unix.Rlimit
			if err := unix.Prlimit(m.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY}, &before); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := unix.Prlimit(m.Process.Pid, unix.RLIMIT_FSIZE, &before, nil); err != nil {
					t.Fatal(err)
				}
			}
		}, ""},
		{"another process holds the lock", func() func() {
			db, err := sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=busy_timeout(10000)", path))
			if err != nil {
				t.Fatal(err)
			}
			db.SetMaxOpenConns(1)
			if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
				t.Fatal(err)
			}
			return func() { _ = db.Close() }
		}, ""},
	}
	files := []string{path, path + "-wal"}
	if thaw := freeze(t, files...); thaw != nil {
		thaw()
		outages = append(outages, outage{"the files are made read-only", func() func() {
			thaw := freeze(t, files...)
			t.Cleanup(thaw) // also where the test fails, or they could not be removed
			return thaw
		}, ""})
	}
	bear(t, f, m, outages)
}
