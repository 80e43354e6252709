//go:build linux

package main

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// replica is a database that Litestream copies elsewhere as it is written.
type replica struct {
	program, config, path string
}

// newReplica makes what copies a database; nothing is copied yet. Litestream takes
// minutes to build, so it is used where there is one already.
func newReplica(t *testing.T, path string) *replica {
	t.Helper()
	name := os.Getenv("MILAAN_TEST_LITESTREAM")
	if name == "" {
		name = "litestream"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skip("SKIPPED: litestream is neither on PATH nor named by MILAAN_TEST_LITESTREAM")
	}
	r := &replica{program: program, config: filepath.Join(t.TempDir(), "litestream.yml"), path: path}
	text := fmt.Sprintf("dbs:\n- path: %s\n  replica: {type: file, path: %s}\n", path, filepath.Join(t.TempDir(), "replica"))
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// replicate copies until the process is killed.
func (r *replica) replicate(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), r.program, "replicate", "-config", r.config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// restore makes a database of the copy, and gives the orders that are credited in it.
// Where there is no copy yet, there is no database.
func (r *replica) restore(t *testing.T, args ...string) (path string, credited map[string]bool) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "restored.db")
	args = append(append([]string{"restore", "-config", r.config, "-if-replica-exists", "-integrity-check", "full", "-o", path}, args...), r.path)
	if out, err := exec.CommandContext(t.Context(), r.program, args...).CombinedOutput(); err != nil {
		t.Fatalf("litestream restore: %v\n%s", err, out)
	}
	credited = make(map[string]bool)
	if _, err := os.Stat(path); err != nil {
		return path, credited
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), "SELECT custom_id FROM claims WHERE state = 'credited'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var order string
		if err := rows.Scan(&order); err != nil {
			t.Fatal(err)
		}
		credited[order] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return path, credited
}

// TestLitestream: under load a gateway and Litestream beside it are killed, and the
// file with them is lost. What comes back is sound, to the end and to any moment;
// what had been copied is all there; and what was not comes back by asking again.
func TestLitestream(t *testing.T) {
	t.Parallel()
	original := filepath.Join(t.TempDir(), "milaan.db")
	r := newReplica(t, original)
	f := newFleet(t, build(t), "sqlite://"+original)
	m := f.join(t, f.program)
	f.ask(m.addr)
	copier := r.replicate(t)
	f.pause = 100 * time.Millisecond
	stop := f.work(t, 20, 0)
	acknowledged := func() map[string]string {
		f.mu.Lock()
		defer f.mu.Unlock()
		all := maps.Clone(f.answered)
		maps.DeleteFunc(all, func(_, status string) bool { return status != "ok" })
		return all
	}
	missing := func(credited map[string]bool, orders map[string]string) (n int) {
		for order := range orders {
			if !credited[order] {
				n++
			}
		}
		return n
	}
	until(t, &f.payments, 100, "payments")
	early := acknowledged()
	for range 120 { // the copy follows while payments go on
		if _, credited := r.restore(t); missing(credited, early) == 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	// Whole seconds: what a person would name. The copy has that moment once it is past.
	moment := time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
	time.Sleep(time.Until(moment.Add(2 * time.Second)))
	until(t, &f.payments, 100, "payments")
	for _, cmd := range []*exec.Cmd{m.Cmd, copier} {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it should be
	}
	stop()
	all := acknowledged()

	path, credited := r.restore(t)
	then, before := r.restore(t, "-timestamp", moment.Format(time.RFC3339))
	if missing(credited, early) > 0 || missing(before, early) > 0 {
		t.Errorf("of %d payments that had been copied %d are not in what came back, and %d not as of later", len(early), missing(credited, early), missing(before, early))
	}
	if len(before) >= len(credited) {
		t.Errorf("a moment before the end has %d payments, the end %d", len(before), len(credited))
	}
	t.Logf("%d payments were answered with ok: %d came back, %d as of an earlier moment", len(all), len(all)-missing(credited, all), len(all)-missing(before, all))

	on := func(database string, args ...string) {
		t.Helper()
		cmd := f.milaan(t.Context(), args...)
		cmd.Env = append(cmd.Env, "MILAAN_DATABASE_URL=sqlite://"+database)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("milaan %v: %v\n%s", args, err, out)
		}
	}
	on(then, "verify")
	// As docs/backup.md has it: through a backup, so that ids jump.
	backup, anew := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "milaan.db")
	on(path, "backup", backup)
	on(anew, "restore", backup)
	m = f.join(t, f.program, "MILAAN_DATABASE_URL=sqlite://"+anew)
	f.ask(m.addr)
	for order := range all {
		var n int
		if _, err := fmt.Sscanf(order, "order-%d", &n); err != nil {
			t.Fatal(err)
		}
		if err := f.reportCredit(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if status, err := f.activate(t.Context(), n); err != nil || status != "ok" {
			t.Errorf("asked again, %s is %s, error %v", order, status, err)
		}
	}
	m.leave(t)
	on(anew, "verify")
}
