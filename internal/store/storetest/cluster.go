//go:build unix

package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// Server is a PostgreSQL that a test starts for itself, to do to it what must
// not be done to the one that tests share: kill it, fill it, follow it.
type Server struct {
	// Addr is where it listens, on loopback.
	Addr string

	bin      string // the folder of its programs
	dir      string // its data
	password string
	settings []string
	process  *exec.Cmd
	ended    chan struct{} // closed once the process is gone
	log      bytes.Buffer  // to be read once it is
}

// StartServer starts a PostgreSQL with settings such as max_connections=20. It
// ends with the test. Where there are no server programs the test is skipped; in
// CI it fails, since nobody reads there what was skipped.
func StartServer(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s := &Server{bin: serverPrograms(tb), dir: dataFolder(tb), password: rand.Text()}
	file := filepath.Join(s.dir, "password")
	if err := os.WriteFile(file, []byte(s.password), 0o644); err != nil { //nolint:gosec // root writes it, the server's account reads it
		tb.Fatal(err)
	}
	s.dir = filepath.Join(s.dir, "data")
	s.run(tb, "initdb", "-D", s.dir, "--username=postgres", "--pwfile="+file, "--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync")
	s.settings = settings
	s.start(tb)
	return s
}

// Standby makes a copy of the server that follows it by that name, until it is
// promoted. Settings are its own.
func (s *Server) Standby(tb testing.TB, name string, settings ...string) *Server {
	tb.Helper()
	b := &Server{bin: s.bin, dir: filepath.Join(dataFolder(tb), "data"), password: s.password}
	host, port, _ := strings.Cut(s.Addr, ":")
	s.run(tb, "pg_basebackup", "-D", b.dir, "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--write-recovery-conf",
		"-d", fmt.Sprintf("host=%s port=%s user=postgres password=%s application_name=%s", host, port, s.password, name))
	b.settings = settings
	b.start(tb)
	return b
}

// URL is how a database of the server is reached by the superuser. Of several
// servers it is how the one that takes writes is.
func URL(database string, servers ...*Server) string {
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr
	}
	more := ""
	if len(servers) > 1 {
		more = "&target_session_attrs=read-write"
	}
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable%s", servers[0].password, strings.Join(addrs, ","), database, more)
}

// Do executes a statement as the superuser.
func (s *Server) Do(tb testing.TB, statement string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), URL("postgres", s))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	if _, err := conn.Exec(tb.Context(), statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// Await returns once a query gives true.
func (s *Server) Await(tb testing.TB, query string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), URL("postgres", s))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	for range 1200 {
		var so bool
		if err := conn.QueryRow(tb.Context(), query).Scan(&so); err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
		if so {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	tb.Fatalf("%s: still not so", query)
}

// Kill ends the server as a power cut would: nothing is written any more.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if err := s.process.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	<-s.ended
}

// Restart starts a server that was killed, where it was.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if !s.started(tb) {
		tb.Fatalf("PostgreSQL did not start again:\n%s", &s.log)
	}
}

// Promote makes a standby a server of its own.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	s.Do(tb, "SELECT pg_promote()")
}

// start runs the server on a free port.
func (s *Server) start(tb testing.TB) {
	tb.Helper()
	// Somebody else may take the port in between.
	for range 10 {
		l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		s.Addr = l.Addr().String()
		_ = l.Close()
		if s.started(tb) {
			tb.Cleanup(s.stop)
			return
		}
		if !strings.Contains(s.log.String(), "could not create any TCP/IP sockets") {
			break
		}
		s.log.Reset()
	}
	tb.Fatalf("PostgreSQL did not start:\n%s", &s.log)
}

// started runs the server and reports whether it came to answer.
func (s *Server) started(tb testing.TB) bool {
	tb.Helper()
	_, port, _ := strings.Cut(s.Addr, ":")
	args := []string{"-D", s.dir, "-p", port}
	// What a test writes need not outlive the machine; that the server dies harms
	// nothing that it gave to the system.
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "full_page_writes=off", "timezone=UTC", "log_min_messages=fatal",
	}, s.settings...) {
		args = append(args, "-c", setting)
	}
	s.process = s.command("postgres", args...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		tb.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait() // however it ended
		close(s.ended)
	}()
	for {
		conn, err := pgx.Connect(tb.Context(), URL("postgres", s))
		if err == nil {
			_ = conn.Close(tb.Context())
			return true
		}
		select {
		case <-s.ended:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server, if nobody did.
func (s *Server) stop() {
	select {
	case <-s.ended:
		// Whoever is killed leaves a segment of shared memory behind; its number is
		// in the seventh line.
		text, err := os.ReadFile(filepath.Join(s.dir, "postmaster.pid"))
		if lines := strings.Split(string(text), "\n"); err == nil && len(lines) > 6 {
			if fields := strings.Fields(lines[6]); len(fields) == 2 {
				if id, err := strconv.Atoi(fields[1]); err == nil {
					_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
				}
			}
		}
	default:
		_ = s.process.Process.Signal(syscall.SIGQUIT)
		<-s.ended
	}
}

// run executes one of the server's programs.
func (s *Server) run(tb testing.TB, program string, args ...string) {
	tb.Helper()
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// command is one of the server's programs, as whoever may run it: root may not.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, program), args...) //nolint:gosec // a program of the server
	cmd.Dir = filepath.Dir(s.dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if uid, gid, ok := serverAccount(); ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}} //nolint:gosec // ids are not negative
	}
	return cmd
}

// serverAccount is the account that root runs a server as.
func serverAccount() (uid, gid int, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	account, err := user.Lookup("postgres") // Debian's package makes it
	if err != nil {
		return 0, 0, false
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	return uid, gid, uidErr == nil && gidErr == nil
}

// dataFolder is a folder of the test that the server may write.
func dataFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "milaan-postgres-") //nolint:usetesting // the test's own folder lies in one that root alone may enter
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if uid, gid, ok := serverAccount(); ok {
		if err := os.Chown(dir, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// serverPrograms is the folder of the newest PostgreSQL server here. Debian keeps
// its programs off PATH.
func serverPrograms(tb testing.TB) string {
	tb.Helper()
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		tb.Fatal(err)
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if !slices.ContainsFunc([]string{"initdb", "postgres", "pg_basebackup"}, func(program string) bool {
			_, err := exec.LookPath(filepath.Join(dir, program))
			return err != nil
		}) {
			return dir
		}
	}
	const hint = "NOT CHECKED: there are no programs of a PostgreSQL server here (Debian's package postgresql)"
	if os.Getenv("CI") != "" {
		tb.Fatal(hint)
	}
	tb.Skip(hint)
	return ""
}
