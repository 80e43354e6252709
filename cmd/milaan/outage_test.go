//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
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

// TestOutagesOfSQLite: a file that must not grow any more, as on a full disk, and one
// that another process holds.
func TestOutagesOfSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "milaan.db")
	f := newFleet(t, build(t), "sqlite://"+path)
	m := f.join(t, f.program)
	f.ask(m.addr)
	bear(t, f, m, []outage{
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
	})
}
