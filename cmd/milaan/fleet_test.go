package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/porttest"
)

// fleet is a merchant, its payers and its bank, before one gateway or several that
// share a database: whoever is told to try again does so, at another gateway where
// there is one. It keeps what was acknowledged, and whatever was answered that
// should never be.
type fleet struct {
	*crashTest
	shop     *shop
	hook     *hook
	database string

	pause time.Duration // before a request is made again

	mu       sync.Mutex
	faults   []string     // answers that no client should get
	shed     atomic.Int64 // answers that said: try again
	broken   atomic.Int64 // connections that broke, or were refused
	payments atomic.Int64 // that were answered with ok
}

// member is a gateway of a fleet.
type member struct {
	*exec.Cmd
	addr, admin string
	log         string // a file
}

// newFleet makes an installation on a database, with no gateway yet. Settings are
// as in the environment.
func newFleet(t *testing.T, program, database string, settings ...string) *fleet {
	t.Helper()
	f := &fleet{shop: newShop(t), hook: newHook(t), database: database, pause: 20 * time.Millisecond}
	f.crashTest = &crashTest{
		program: program, reported: make(map[string]bool), answered: make(map[string]string),
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	f.env = append(os.Environ(), "MILAAN_DATABASE_URL="+database, "MILAAN_ALLOW_PRIVATE_TARGETS=true", "MILAAN_POSTBACK_FIRST_RETRY=100ms",
		"MILAAN_SECRET_KEY=a key of a test, which guards nothing at all", "MILAAN_LOG_LEVEL=warn")
	f.env = append(f.env, settings...)
	file := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, crashInstallation, f.shop.URL, f.hook.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	f.command(t, "apply", file)
	return f
}

// join starts a gateway of a program and waits until it is ready. Requests go
// there only when they are asked.
func (f *fleet) join(t *testing.T, program string, settings ...string) *member {
	t.Helper()
	m := &member{addr: porttest.FreeAddr(t), admin: porttest.FreeAddr(t), log: filepath.Join(t.TempDir(), "log")}
	m.Cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, "serve")
	m.Env = append(append(f.env, "MILAAN_LISTEN="+m.addr, "MILAAN_ADMIN_LISTEN="+m.admin), settings...)
	log, err := os.Create(m.log)
	if err != nil {
		t.Fatal(err)
	}
	m.Stderr = log
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.ProcessState == nil {
			_ = m.Process.Kill()
			_ = m.Wait()
		}
		if t.Failed() {
			text, _ := os.ReadFile(m.log)
			t.Logf("the gateway at %s said at last:\n%s", m.addr, text[max(0, len(text)-4000):])
		}
		_ = log.Close()
	})
	m.await(t, http.StatusOK, "")
	return m
}

// readyz is what /readyz says; 0 where nobody answers.
func (m *member) readyz(t *testing.T) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.admin+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	var said strings.Builder
	if err := res.Write(&said); err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, said.String()
}

// await waits until /readyz answers like this.
func (m *member) await(t *testing.T, status int, text string) {
	t.Helper()
	var got int
	var said string
	for range 1200 {
		if got, said = m.readyz(t); got == status && strings.Contains(said, text) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("/readyz says %d %s, and not %d %s", got, said, status, text)
}

// leave tells a gateway to stop, and waits for its end.
func (m *member) leave(t *testing.T) {
	t.Helper()
	if err := m.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(); err != nil {
		text, _ := os.ReadFile(m.log)
		t.Fatalf("the gateway did not stop cleanly: %v\n%s", err, text)
	}
}

// work pays with so many clients until stop is called, which waits for the payments
// under way.
func (f *fleet) work(t *testing.T, clients, from int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			for n := (from + n) * 100_000; ctx.Err() == nil; n++ {
				f.pay(context.WithoutCancel(ctx), ctx.Done(), n)
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// pay does all of a payment: the credit before the claim or after it, each request
// until it is taken, and sometimes once more. Whoever gives up has not been
// answered, and is owed nothing.
func (f *fleet) pay(ctx context.Context, end <-chan struct{}, n int) {
	paid := false
	steps := []func() error{
		func() error { return f.reportCredit(ctx, n) },
		func() error {
			status, err := f.activate(ctx, n)
			if status == "ok" && !paid {
				paid = true
				f.payments.Add(1)
			}
			return err
		},
	}
	if n%2 == 1 {
		steps[0], steps[1] = steps[1], steps[0]
	}
	if n%3 == 0 {
		steps = append(steps, steps[0], steps[1])
	}
	for _, step := range steps {
		for {
			err := step()
			if err == nil {
				break
			}
			f.judge(err)
			select {
			case <-end:
				return
			case <-time.After(f.pause):
			}
		}
	}
}

// judge keeps an error that a client got. It may be told to try again, and when; it
// learns nothing of the inside.
func (f *fleet) judge(err error) {
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		if refused.status == http.StatusServiceUnavailable && refused.retryAfter != "" && strings.HasPrefix(refused.body, `{"status":"fail","message":"`) &&
			!strings.Contains(refused.body, "SQL") && !strings.Contains(refused.body, "127.0.0.1") {
			f.shed.Add(1)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = append(f.faults, fmt.Sprintf("%v (Retry-After %q)", refused, refused.retryAfter))
	default:
		f.broken.Add(1)
	}
}

// until waits for a count to grow by so much.
func until(t *testing.T, count *atomic.Int64, more int64, what string) {
	t.Helper()
	from := count.Load()
	for range 2400 {
		if count.Load() >= from+more {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("there were %d more %s in a minute, not %d", count.Load()-from, what, more)
}

// settle holds the fleet to everything it said: nothing that was acknowledged is
// lost, nothing is there twice, every deposit is announced, the books balance, and
// nobody was shown a fault. Of the payments at least so many were credited.
func (f *fleet) settle(t *testing.T, least int) {
	t.Helper()
	credited := f.checkAcknowledged(t, least)
	f.shop.wait(t, credited)
	f.hook.wait(t, credited)
	t.Log(strings.Join(strings.Fields(f.command(t, "verify")), " "))
	f.shop.check(t, credited)
	f.hook.check(t, credited)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults[:min(5, len(f.faults))] {
		t.Errorf("a client was answered: %s", fault)
	}
	if n := len(f.faults); n > 5 {
		t.Errorf("and so were %d more", n-5)
	}
	t.Logf("%d answers said to try again, %d connections broke", f.shed.Load(), f.broken.Load())
}
