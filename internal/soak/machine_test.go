//go:build unix

package soak_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/milaan/milaan/internal/porttest"
)

// build makes milaan as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "milaan")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "github.com/milaan/milaan/cmd/milaan")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build milaan: %v\n%s", err, out)
	}
	return path
}

// gateway is one process of `milaan serve`, which is ended and begun again.
type gateway struct {
	name, program string
	addr, admin   string
	env           []string
	log           *os.File
	mu            sync.Mutex
	cmd           *exec.Cmd    // nil while it does not run
	shunned       atomic.Int64 // until when clients leave it alone, Unix nanoseconds
}

func newGateway(t *testing.T, name, program, dir string, settings ...string) *gateway {
	t.Helper()
	g := &gateway{name: name, program: program, addr: porttest.FreeAddr(t), admin: porttest.FreeAddr(t)}
	g.env = append(append(os.Environ(), settings...), "MILAAN_LISTEN="+g.addr, "MILAAN_ADMIN_LISTEN="+g.admin)
	var err error
	if g.log, err = os.Create(filepath.Join(dir, name+".log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.signal(syscall.SIGCONT)
		_ = g.kill()
		_ = g.log.Close()
	})
	return g
}

// start begins the process and waits until it can serve. While it was away, an
// outgoing connection may have taken its port for a moment: then it is tried again.
func (g *gateway) start(ctx context.Context) (err error) {
	for range 5 {
		if err = g.tryStart(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return err
}

func (g *gateway) tryStart(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), g.program, "serve")
	cmd.Env, cmd.Stderr = g.env, g.log
	if err := cmd.Start(); err != nil {
		return err
	}
	g.mu.Lock()
	g.cmd = cmd
	g.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		// A process is waited for once: here. Those who end it ask whether it is gone.
		err := cmd.Wait()
		g.mu.Lock()
		if g.cmd == cmd {
			g.cmd = nil
		}
		g.mu.Unlock()
		ended <- err
	}()
	for {
		if g.ready(ctx) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("gateway %s ended at its start: %w", g.name, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready asks whether it can serve, its database included.
func (g *gateway) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := get(ctx, "http://"+g.admin+"/readyz")
	return err == nil
}

func get(ctx context.Context, target string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", target, res.Status)
	}
	return string(data), err
}

func (g *gateway) running() *os.Process {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return nil
	}
	return g.cmd.Process
}

func (g *gateway) signal(what os.Signal) error {
	p := g.running()
	if p == nil {
		return os.ErrProcessDone
	}
	return p.Signal(what)
}

// end sends a signal that ends the process, and returns when it is gone.
func (g *gateway) end(what os.Signal) error {
	if err := g.signal(what); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); g.running() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("gateway %s does not end", g.name)
		}
	}
	return nil
}

func (g *gateway) kill() error { return g.end(os.Kill) }

// metrics are the figures that a gateway tells of itself, those without labels.
func (g *gateway) metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	text, err := get(ctx, "http://"+g.admin+"/metrics")
	if err != nil {
		return nil, err
	}
	all := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = x
		}
	}
	return all, nil
}

// collect has the gateway collect its garbage.
func (g *gateway) collect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := get(ctx, "http://"+g.admin+"/debug/pprof/heap?gc=1")
	return err == nil
}

// complaints counts lines of a log, by level and message.
func (g *gateway) complaints() (lines map[string]int, err error) {
	file, err := os.Open(g.log.Name())
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	lines = make(map[string]int)
	all := bufio.NewScanner(file)
	all.Buffer(nil, 1<<20)
	for all.Scan() {
		line := all.Text()
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "panicked") || strings.Contains(line, "DATA RACE") {
			lines["PANIC "+line]++
			continue
		}
		_, rest, found := strings.Cut(line, " level=")
		if !found {
			continue
		}
		level, rest, _ := strings.Cut(rest, " msg=")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			rest, _ = strconv.Unquote(quoted)
		} else {
			rest, _, _ = strings.Cut(rest, " ")
		}
		lines[level+" "+rest]++
	}
	return lines, all.Err()
}

// postgres is a PostgreSQL of this test's own, which it may kill.
type postgres struct {
	program, data, port, password string
	as                            *syscall.SysProcAttr // whoever may run it
	log                           *os.File
	cmd                           *exec.Cmd
	version                       string
}

// findPostgres is the folder of the newest server programs here, or nothing.
func findPostgres() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int {
		return version(b) - version(a)
	})
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	return ""
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// newPostgres makes a cluster and starts it. Its commits reach the disk where
// durable says so; a killed server needs no more than the kernel for that.
func newPostgres(t *testing.T, durable bool) *postgres {
	t.Helper()
	bin := findPostgres()
	if bin == "" {
		t.Skip("no PostgreSQL server is installed here to be killed (Debian's package postgresql)")
	}
	home, err := os.MkdirTemp("", "milaan-soak-postgres") //nolint:usetesting // the account that runs it can't enter t.TempDir's parents
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	d := &postgres{program: filepath.Join(bin, "postgres"), data: filepath.Join(home, "data"), password: rand.Text()}
	secret := filepath.Join(home, "password")
	if err := os.WriteFile(secret, []byte(d.password), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Root may not run PostgreSQL.
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Skipf("root may not run PostgreSQL, and there is no account for it: %v", err)
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		d.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		for _, path := range []string{home, secret} {
			if err := os.Chown(path, int(uid), int(gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	made := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", d.data, "--username=postgres", "--pwfile="+secret,
		"--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync")
	made.SysProcAttr, made.Dir, made.Env = d.as, home, append(os.Environ(), "LC_ALL=C")
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	settings := "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 100\nlog_min_messages = error\ntimezone = 'UTC'\n"
	if durable {
		settings += "shared_buffers = 1GB\nmax_wal_size = 4GB\n"
	} else {
		settings += "fsync = off\nfull_page_writes = off\n"
	}
	file, err := os.OpenFile(filepath.Join(d.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(settings)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, d.port, _ = net.SplitHostPort(porttest.FreeAddr(t))
	if d.log, err = os.Create(filepath.Join(home, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.kill()
		_ = d.log.Close()
	})
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), d.url("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), "SHOW server_version").Scan(&d.version); err != nil {
		t.Fatal(err)
	}
	d.version, _, _ = strings.Cut(d.version, " ")
	// An account for each gateway: that is how the server tells whose a connection is.
	for _, statement := range []string{
		"CREATE ROLE a SUPERUSER LOGIN PASSWORD '" + d.password + "'", "CREATE ROLE b SUPERUSER LOGIN PASSWORD '" + d.password + "'",
		"CREATE DATABASE soak", "CREATE DATABASE peak",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *postgres) url(account, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%s/%s?sslmode=disable", account, d.password, d.port, database)
}

// start runs the server and waits until it answers. After a kill it is tried
// until the old server's last processes are gone, and their memory with them.
func (d *postgres) start(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		d.cmd = exec.CommandContext(context.WithoutCancel(ctx), d.program, "-D", d.data, "-p", d.port)
		d.cmd.SysProcAttr, d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = d.as, filepath.Dir(d.data), d.log, d.log
		if err := d.cmd.Start(); err != nil {
			return err
		}
		ended := make(chan struct{})
		cmd := d.cmd
		go func() {
			_ = cmd.Wait() // killed, or in the way of what is left of its predecessor
			close(ended)
		}()
		if d.answers(ctx, ended) {
			return nil
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(d.log.Name())
			return fmt.Errorf("PostgreSQL does not start: %s", said)
		}
	}
}

func (d *postgres) answers(ctx context.Context, ended <-chan struct{}) bool {
	for {
		conn, err := pgx.Connect(ctx, d.url("postgres", "postgres"))
		if err == nil {
			return conn.Close(ctx) == nil
		}
		select {
		case <-ended:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill ends the server as a lack of memory would: none of its processes has a
// chance to write anything.
func (d *postgres) kill() error {
	if d.cmd == nil || d.cmd.Process == nil {
		return nil
	}
	err := d.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// connections counts a gateway's connections.
func (d *postgres) connections(ctx context.Context) (byGateway map[string]float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.url("postgres", "postgres"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, "SELECT usename, count(*) FROM pg_stat_activity WHERE application_name = 'milaan' GROUP BY usename")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	byGateway = make(map[string]float64)
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		byGateway[name] = float64(n)
	}
	return byGateway, rows.Err()
}
