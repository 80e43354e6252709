//go:build linux

package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// Disk is a small disk of a test's own, in memory, to be filled.
type Disk struct {
	// Path is a folder on it that a Server may write.
	Path string
}

// NewDisk makes a disk of so many megabytes, which is gone with the test. Where the
// test may not mount one it is skipped.
func NewDisk(tb testing.TB, megabytes int) *Disk {
	tb.Helper()
	path := dataFolder(tb)
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%dm,mode=0755", megabytes)); err != nil {
		tb.Skipf("SKIPPED: filling a disk needs one of its own, and mounting is for root: %v", err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			tb.Errorf("unmount %s: %v", path, err)
		}
	})
	d := &Disk{Path: filepath.Join(path, "data")}
	if err := os.Mkdir(d.Path, 0o700); err != nil {
		tb.Fatal(err)
	}
	if uid, gid, ok := serverAccount(); ok {
		if err := os.Chown(d.Path, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func (d *Disk) ballast() string { return filepath.Join(filepath.Dir(d.Path), "ballast") }

// Fill takes all that is left of the disk.
func (d *Disk) Fill(tb testing.TB) {
	tb.Helper()
	f, err := os.Create(d.ballast())
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}

// Free gives back what Fill took.
func (d *Disk) Free(tb testing.TB) {
	tb.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		tb.Fatal(err)
	}
}

// NewTablespace makes a tablespace on a disk and gives its name.
func (s *Server) NewTablespace(tb testing.TB, d *Disk) string {
	tb.Helper()
	name := "space_" + rand.Text()[:8]
	s.Do(tb, fmt.Sprintf("CREATE TABLESPACE %q LOCATION '%s'", name, d.Path))
	return name
}

// MoveLog restarts the server with its log of transactions (pg_wal) on a disk.
func (s *Server) MoveLog(tb testing.TB, d *Disk) {
	tb.Helper()
	s.Kill(tb)
	from, to := filepath.Join(s.dir, "pg_wal"), filepath.Join(d.Path, "pg_wal")
	if out, err := exec.CommandContext(tb.Context(), "mv", from, to).CombinedOutput(); err != nil { //nolint:gosec // folders of the test
		tb.Fatalf("move the log: %v\n%s", err, out)
	}
	if err := os.Symlink(to, from); err != nil {
		tb.Fatal(err)
	}
	s.Restart(tb)
}

// Revive returns once the server answers; where it ended by itself, it is started
// again.
func (s *Server) Revive(tb testing.TB) {
	tb.Helper()
	for range 1200 {
		select {
		case <-s.ended:
			tb.Log("PostgreSQL had ended by itself")
			s.Restart(tb)
			return
		default:
		}
		if conn, err := pgx.Connect(tb.Context(), URL("postgres", s)); err == nil {
			_ = conn.Close(context.WithoutCancel(tb.Context()))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	tb.Fatal("the server neither answers nor ends")
}
