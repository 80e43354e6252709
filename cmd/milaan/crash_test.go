package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/milaan/milaan/internal/porttest"
)

// crashes is how often a gateway is killed under load in each of the two tests.
// MILAAN_TEST_CRASHES is another number.
const crashes = 50

const crashInstallation = `
merchants:
  - id: shop
    name: Sample shop
    plugin_api_secret: s3cret
    withdrawal_private_key: wkey
    postback: {url: %q, access_key: AK, private_key: PK}
    webhooks: [{id: hook, url: %q, events: [deposit.credited]}]
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, name: Test Traders, merchants: [shop]}
feeds:
  - {id: bank1, kind: json, wallet: w1, token: feedtoken}
`

func TestCrashSQLite(t *testing.T) {
	t.Parallel()
	testCrash(t, "sqlite://"+filepath.Join(t.TempDir(), "milaan.db"))
}

func TestCrashPostgres(t *testing.T) {
	t.Parallel()
	admin := os.Getenv("MILAAN_TEST_POSTGRES")
	if admin == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MILAAN_TEST_POSTGRES is not set: run the tests by ./test")
		}
		t.Skip("MILAAN_TEST_POSTGRES is not set: run the tests by ./test")
	}
	conn, err := pgx.Connect(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("crash_%d", rand.Uint32())
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		_ = conn.Close(ctx)
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	testCrash(t, u.String())
}

// testCrash kills a gateway under load again and again, and holds it to
// invariant 7: nothing it acknowledged is lost, nothing it repeats is doubled,
// the books balance, and every deposit's postback arrives.
func testCrash(t *testing.T, database string) {
	t.Helper()
	shop, hook := newShop(t), newHook(t)
	c := &crashTest{
		program: build(t), reported: make(map[string]bool), answered: make(map[string]string),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	c.ask(porttest.FreeAddr(t))
	c.env = append(os.Environ(), "MILAAN_DATABASE_URL="+database, "MILAAN_LISTEN="+c.addr(),
		"MILAAN_ADMIN_LISTEN=127.0.0.1:0", "MILAAN_ALLOW_PRIVATE_TARGETS=true", "MILAAN_POSTBACK_FIRST_RETRY=100ms",
		"MILAAN_SECRET_KEY=a key of a test, which guards nothing at all", "MILAAN_LOG_LEVEL=error")
	file := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, crashInstallation, shop.URL, hook.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	c.command(t, "apply", file)

	rounds := crashes
	if text := os.Getenv("MILAAN_TEST_CRASHES"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		gateway := c.start(t)
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for n := range 4 {
			clients.Go(func() { c.trade(ctx, round*1000+n) })
		}
		if round%4 > 0 { // each fourth dies as soon as it has begun
			c.awaitPayments(5)
		}
		time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
		if err := gateway.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = gateway.Wait() // killed, as it should be
		stop()
		clients.Wait()
	}

	gateway := c.start(t)
	t.Cleanup(func() { _ = gateway.Process.Kill() })
	credited := c.checkAcknowledged(t, rounds)
	shop.wait(t, credited)
	hook.wait(t, credited)
	if err := gateway.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := gateway.Wait(); err != nil {
		t.Fatalf("the gateway did not stop cleanly: %v", err)
	}
	t.Log(strings.Join(strings.Fields(c.command(t, "verify")), " "))
	shop.check(t, credited)
	hook.check(t, credited)
}

// build makes the program as it is shipped, once for all tests: two hundred starts
// of a binary that watches for races take minutes, and nobody would read what it
// found.
func build(t *testing.T) string {
	t.Helper()
	path, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// programs is the folder of what tests build; TestMain removes it.
var programs = filepath.Join(os.TempDir(), fmt.Sprintf("milaan-programs-%d", os.Getpid()))

var shipped = sync.OnceValues(func() (path string, err error) { return compile(".", "milaan") })

// compile makes the program of a folder.
func compile(dir, name string) (path string, err error) {
	path = filepath.Join(programs, name)
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build milaan: %w\n%s", err, out)
	}
	return path, nil
}

// hook is a merchant's webhook: it keeps which events it was told of each order.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string]string          // by webhook-id
	events map[string]map[string]bool // webhook-ids by order
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{bodies: make(map[string]string), events: make(map[string]map[string]bool)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var event struct {
			Data struct {
				Order string `json:"custom_transaction_id"`
			} `json:"data"`
		}
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil { // cut off by a crash: it comes again
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		id := r.Header.Get("Webhook-Id")
		if was, repeat := h.bodies[id]; repeat && was != string(body) {
			t.Errorf("event %s came as %s and as %s", id, was, body)
		}
		h.bodies[id] = string(body)
		if h.events[event.Data.Order] == nil {
			h.events[event.Data.Order] = make(map[string]bool)
		}
		h.events[event.Data.Order][id] = true
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	return h
}

// wait returns once every order was told of.
func (h *hook) wait(t *testing.T, orders map[string]bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		missing := 0
		h.mu.Lock()
		for order := range orders {
			if h.events[order] == nil {
				missing++
			}
		}
		h.mu.Unlock()
		if missing == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the webhook was not told of %d orders of %d", missing, len(orders))
		}
	}
}

// check holds the webhook to one event for each order; of some the crash kept the
// answer from us.
func (h *hook) check(t *testing.T, orders map[string]bool) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for order := range orders {
		if len(h.events[order]) == 0 {
			t.Errorf("the webhook was not told of order %s", order)
		}
	}
	for order, events := range h.events {
		if len(events) != 1 {
			t.Errorf("order %s has %d events", order, len(events))
		}
	}
}

type crashTest struct {
	program string                   // milaan, or what is it when asMilaan is set
	route   atomic.Pointer[[]string] // the gateways' addresses, which are asked in turn
	turn    atomic.Uint32
	env     []string
	client  *http.Client

	mu       sync.Mutex
	reported map[string]bool   // UTRs of credits that were acknowledged
	answered map[string]string // the status an activation was answered with last, by custom id
	paid     int               // how many were answered with ok
}

// addr is where the next request goes.
func (c *crashTest) addr() string {
	addrs := *c.route.Load()
	return addrs[int(c.turn.Add(1))%len(addrs)]
}

// ask sends requests to these gateways from now on, in turn.
func (c *crashTest) ask(addrs ...string) { c.route.Store(&addrs) }

// awaitPayments waits for so many payments more: a busy machine must not make
// crashes that interrupt nothing. A gateway that credits none fails the test at
// its end.
func (c *crashTest) awaitPayments(more int) {
	paid := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.paid
	}
	from := paid()
	for range 500 {
		if paid() >= from+more {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// milaan is the program with arguments.
func (c *crashTest) milaan(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = c.env
	return cmd
}

func (c *crashTest) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.milaan(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("milaan %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a gateway and waits until it answers.
func (c *crashTest) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := c.milaan(context.WithoutCancel(t.Context()), "serve")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.addr())
		if err == nil {
			_ = conn.Close()
			return cmd
		}
		time.Sleep(25 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	t.Fatalf("the gateway did not start:\n%s", &log)
	return nil
}

// answer is what the doors say, of all that is looked at here.
type answer struct {
	Status    string `json:"status"`
	Accepted  int    `json:"accepted"`
	Duplicate int    `json:"duplicate"`
}

func (c *crashTest) post(ctx context.Context, path, bearer, body string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr()+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := c.client.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	if res.StatusCode != http.StatusOK {
		return a, &refusedError{path, res.StatusCode, res.Header.Get("Retry-After"), string(data)}
	}
	return a, json.Unmarshal(data, &a)
}

// refusedError is an answer that is none.
type refusedError struct {
	path       string
	status     int
	retryAfter string
	body       string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.path, e.status, e.body)
}

func utrOf(n int) string { return fmt.Sprintf("4%011d", n) }

func (c *crashTest) reportCredit(ctx context.Context, n int) error {
	answer, err := c.post(ctx, "/feeds/bank1", "feedtoken", fmt.Sprintf(`{"credits":[{"utr":%q,"amount":"%d"}]}`, utrOf(n), 100+n%900))
	if err != nil {
		return err
	}
	if answer.Accepted+answer.Duplicate != 1 {
		return fmt.Errorf("credit %d: %+v", n, answer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reported[utrOf(n)] = true
	return nil
}

func (c *crashTest) activate(ctx context.Context, n int) (string, error) {
	answer, err := c.post(ctx, "/api/v1/transaction/activate", "s3cret", fmt.Sprintf(
		`{"currency_code":"INR","wallet_type":"upi_l","label":"payer-%d","key1":%q,"amount":%d,"custom_transaction_id":"order-%d"}`,
		n, utrOf(n), 100+n%900, n))
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[fmt.Sprintf("order-%d", n)] = answer.Status
	if answer.Status == "ok" {
		c.paid++
	}
	return answer.Status, nil
}

// trade pays until the gateway dies under it: the credit before the claim or
// after it, and each request sometimes twice.
func (c *crashTest) trade(ctx context.Context, from int) {
	for n := from * 1000; ctx.Err() == nil; n++ {
		steps := []func() error{
			func() error { return c.reportCredit(ctx, n) },
			func() error { _, err := c.activate(ctx, n); return err },
		}
		if n%2 == 1 {
			steps[0], steps[1] = steps[1], steps[0]
		}
		if n%3 == 0 {
			steps = append(steps, steps[0], steps[1])
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return
			}
		}
	}
}

// checkAcknowledged asks again for all that was acknowledged, finishing what
// was interrupted, and returns the custom ids that are credited. Of them at least
// so many were credited before.
func (c *crashTest) checkAcknowledged(t *testing.T, least int) map[string]bool {
	t.Helper()
	credited := make(map[string]bool)
	before, known := maps.Clone(c.answered), maps.Clone(c.reported)
	oks := 0
	for id, status := range before {
		var n int
		if _, err := fmt.Sscanf(id, "order-%d", &n); err != nil {
			t.Fatal(err)
		}
		if known[utrOf(n)] {
			// Acknowledged before the crash, so it must be known now.
			answer, err := c.post(t.Context(), "/feeds/bank1", "feedtoken", fmt.Sprintf(`{"credits":[{"utr":%q,"amount":"%d"}]}`, utrOf(n), 100+n%900))
			if err != nil {
				t.Fatal(err)
			}
			if answer.Duplicate != 1 {
				t.Errorf("credit %s was acknowledged and is lost: %+v", utrOf(n), answer)
			}
		} else if err := c.reportCredit(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		now, err := c.activate(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if now != "ok" {
			t.Errorf("%s is %s, was answered %s", id, now, status)
		}
		if status == "ok" {
			oks++
		}
		credited[id] = true
	}
	if oks < least {
		t.Errorf("only %d payments were credited, not %d: the load does not test anything", oks, least)
	}
	t.Logf("%d credits and %d claims acknowledged (%d as ok)", len(known), len(before), oks)
	return credited
}

// shop receives postbacks.
type shop struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string]map[string]int // by custom id, how often each body came
	came   chan struct{}
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{bodies: make(map[string]map[string]int), came: make(chan struct{}, 1)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var body struct {
			Additional []struct {
				Order string `json:"plugin_custom_order_id"`
			} `json:"additional_data"`
		}
		if err := json.Unmarshal(data, &body); err != nil || len(body.Additional) != 1 {
			http.Error(w, "no postback", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		order := body.Additional[0].Order
		if s.bodies[order] == nil {
			s.bodies[order] = make(map[string]int)
		}
		s.bodies[order][string(data)]++
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"status":"ok"}`)
		select {
		case s.came <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// wait returns when a postback came for every order.
func (s *shop) wait(t *testing.T, orders map[string]bool) {
	t.Helper()
	missing := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for order := range orders {
			if s.bodies[order] == nil {
				n++
			}
		}
		return n
	}
	deadline := time.After(2 * time.Minute)
	for missing() > 0 {
		select {
		case <-s.came:
		case <-deadline:
			t.Fatalf("%d of %d postbacks are missing", missing(), len(orders))
		}
	}
}

// check makes sure that no order was announced in two ways: repeats are equal
// to the last byte.
func (s *shop) check(t *testing.T, orders map[string]bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	repeats := 0
	for order, bodies := range s.bodies {
		if len(bodies) != 1 {
			t.Errorf("%s was announced in %d different ways", order, len(bodies))
		}
		for _, n := range bodies {
			repeats += n - 1
		}
		if !orders[order] {
			// A claim that was never answered can have been credited: then it
			// was credited once, which the books show.
			continue
		}
	}
	t.Logf("%d orders announced, %d repeats", len(s.bodies), repeats)
}
