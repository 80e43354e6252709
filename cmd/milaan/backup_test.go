package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/store/storetest"
)

// A backup is made while the gateway runs, and restored on either engine.
func TestBackupByCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	settings := func(url string) []string {
		return []string{"--database-url", url, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-level", "error"}
	}
	milaan := func(wantCode int, url string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), append(args, settings(url)...), &out, &out); code != wantCode {
			t.Errorf("milaan %s ended with %d:\n%s", strings.Join(args, " "), code, out.String())
		}
		return out.String()
	}
	says := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("no %q in\n%s", text, out)
			}
		}
	}
	first := "sqlite://" + in("milaan.db")
	says(milaan(exitFailed, first, "backup", in("none")), "there is no database")
	if err := os.WriteFile(in("shop.yaml"), []byte("merchants:\n- {id: shop, plugin_api_secret: s3cret}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	milaan(exitDone, first, "apply", in("shop.yaml"))

	ctx, stop := context.WithCancel(t.Context())
	served := make(chan int, 1)
	go func() { served <- run(ctx, append([]string{"serve"}, settings(first)...), io.Discard, os.Stderr) }()
	defer func() {
		stop()
		if code := <-served; code != exitDone {
			t.Errorf("serve ended with %d", code)
		}
	}()
	copied := in("copy")
	says(milaan(exitDone, first, "backup", copied), "sqlite, schema", "audit entries")
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %v, %v", info, err)
	}
	says(milaan(exitFailed, first, "backup", copied), "is there already")
	says(milaan(exitFailed, first, "backup", in("milaan.db")), "is there already")
	says(milaan(exitFailed, first, "restore", copied), "another gateway serves")
	says(milaan(exitFailed, first, "restore", in("nothing")), "nothing")

	if err := os.Mkdir(in("new"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := "sqlite://" + in("new/milaan.db")
	says(milaan(exitFailed, second, "restore", copied), "the secret key is missing", in("new/milaan.key"))
	key, err := os.ReadFile(in("milaan.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(in("new/milaan.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made up: %v", err)
	}
	if err := os.WriteFile(in("new/milaan.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	says(milaan(exitFailed, second, "restore", in("shop.yaml")), "nothing was restored: this is no backup")
	says(milaan(exitDone, second, "restore", copied), "every invariant holds")
	says(milaan(exitDone, second, "apply", "--dry-run", in("shop.yaml")), "no changes")
	says(milaan(exitFailed, second, "restore", copied), "move it away")
	milaan(exitUsage, second, "backup")

	// Through a pipe, and to the other engine.
	if os.Getenv(storetest.PostgresVariable) == "" {
		t.Skip(storetest.PostgresVariable + " is not set: the way to PostgreSQL is not tried")
	}
	third := storetest.Postgres(t).URL
	pipe := exec.CommandContext(t.Context(), os.Args[0], append([]string{"restore", "-", "--moving"}, settings(third)...)...)
	pipe.Env = append(os.Environ(), asMilaan+"=1", "MILAAN_SECRET_KEY="+strings.TrimSpace(string(key)))
	var data, notes, out bytes.Buffer
	if code := run(t.Context(), append([]string{"backup", "-"}, settings(second)...), &data, &notes); code != exitDone {
		t.Fatalf("backup ended with %d: %s", code, notes.String())
	}
	says(notes.String(), "sqlite, schema")
	pipe.Stdin, pipe.Stdout, pipe.Stderr = &data, &out, &out
	if err := pipe.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	says(out.String(), "every invariant holds")
}

// A backup that could not be written whole is not there.
func TestWriteWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "copy")
	full := errors.New("no space left on device")
	if err := writeWhole(path, func(to io.Writer) error {
		_, _ = to.Write(make([]byte, 1<<20))
		return full
	}); !errors.Is(err, full) {
		t.Errorf("gives %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// What came to be there meanwhile is not replaced.
	if err := writeWhole(path, func(io.Writer) error { return os.WriteFile(path, []byte("mine"), 0o600) }); err == nil {
		t.Error("a file was replaced")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if left, err = os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
