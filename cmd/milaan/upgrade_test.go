//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/milaan/milaan/internal/store/storetest"
)

// previousVariable turns TestRollingUpgrade on, which builds another milaan: it names
// a commit, or is 1 for the one that deploy/previous names.
const previousVariable = "MILAAN_TEST_PREVIOUS"

// TestRollingUpgrade replaces the gateways of an older milaan by those of this one,
// one after the other and under load: the first of the new migrates the database
// while the old ones work on it.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	commit := os.Getenv(previousVariable)
	if commit == "" {
		t.Skip(previousVariable + " is not set: 1 runs this test, against the commit that deploy/previous names")
	}
	if commit == "1" {
		commit = previous(t)
	}
	older := buildOlder(t, commit)
	f := newFleet(t, older, storetest.URL("postgres", storetest.StartServer(t)))
	first, second := f.join(t, older), f.join(t, older)
	f.ask(first.addr, second.addr)
	stop := f.work(t, 6, 0)
	until(t, &f.payments, 200, "payments by the older alone")
	before := schemaOf(t, f)

	f.program = build(t)
	third := f.join(t, f.program)
	if after := schemaOf(t, f); after <= before {
		t.Errorf("the schema was at %d and is at %d: the older milaan is too new to test anything", before, after)
	}
	f.ask(first.addr, second.addr, third.addr)
	until(t, &f.payments, 300, "payments by the older and the newer")
	f.ask(second.addr, third.addr)
	first.leave(t)
	fourth := f.join(t, f.program)
	f.ask(second.addr, third.addr, fourth.addr)
	until(t, &f.payments, 300, "payments by the older and the newer")
	f.ask(third.addr, fourth.addr)
	second.leave(t)
	until(t, &f.payments, 100, "payments by the newer alone")
	stop()

	if n := f.broken.Load(); n > 0 {
		t.Errorf("%d requests got no answer", n)
	}
	f.settle(t, 800)
	third.leave(t)
	fourth.leave(t)
}

// previous is the commit that deploy/previous names.
func previous(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash("../../deploy/previous"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	t.Fatal("deploy/previous names no commit")
	return ""
}

// buildOlder makes the program of a commit. Where the history does not have that,
// as in a copy without one, it says so for everybody to see.
func buildOlder(t *testing.T, commit string) string {
	t.Helper()
	dir := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", "archive", "--format=tar", commit)
	archive.Dir = filepath.FromSlash("../..")
	var tree, said bytes.Buffer
	archive.Stdout, archive.Stderr = &tree, &said
	if err := archive.Run(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s\nrolling upgrades: commit %s is not to be had here, NOT CHECKED: %s%[1]s\n", strings.Repeat("*", 80)+"\n", commit, &said)
		t.Skipf("NOT CHECKED: commit %s is not to be had here: %v: %s", commit, err, &said)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	unpack.Stdin = &tree
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack commit %s: %v\n%s", commit, err, out)
	}
	path, err := compile(filepath.Join(dir, "cmd", "milaan"), "milaan-older")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// schemaOf is the version of the fleet's schema.
func schemaOf(t *testing.T, f *fleet) (version int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}
