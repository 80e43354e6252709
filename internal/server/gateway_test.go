package server_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store/records"
)

const installation = `
merchants:
  - {id: shop, name: Sample shop, domain: shop.localhost, plugin_api_secret: s3cret, withdrawal_private_key: wkey}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, name: Test Traders, merchants: [shop]}
feeds:
  - {id: bank1, kind: json, wallet: w1, token: feedtoken}
`

type running struct {
	*server.Gateway
	database string // its file
	stop     context.CancelFunc
	stopped  chan error
}

// start runs a gateway with the sample installation on a database of its own.
func start(t *testing.T) *running {
	t.Helper()
	config := server.DefaultConfig()
	database := filepath.Join(t.TempDir(), "milaan.db")
	config.DatabaseURL = "sqlite://" + database
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.StopAfter = 5 * time.Second
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Gateway: g, database: database, stop: stop, stopped: make(chan error, 1)}
	file, err := apply.Parse("shop.yaml", []byte(installation))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Run(ctx, g.Store(), file, apply.Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	go func() { r.stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-r.stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	return r
}

func ask(t *testing.T, method, url, bearer, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

func TestGatewayServes(t *testing.T) {
	t.Parallel()
	g := start(t)
	base, admin := "http://"+g.Addr().String(), "http://"+g.AdminAddr().String()
	for _, tt := range []struct{ method, url, bearer, body, want string }{
		{"GET", admin + "/healthz", "", "", "ok"},
		{"GET", admin + "/readyz", "", "", "ready"},
		{"POST", base + "/feeds/bank1", "feedtoken", `{"credits":[{"utr":"321323438267","amount":"500.00"}]}`,
			`{"accepted":1,"duplicate":0,"matched":0,"refused":[]}`},
		{"POST", base + "/api/v1/transaction/activate", "s3cret",
			`{"currency_code":"INR","wallet_type":"upi_l","label":"55","key1":"321323438267","amount":500,"custom_transaction_id":"1"}`,
			`{"status":"ok","deposit":true,"deposit_amount":500,"currency":{"code":"INR","symbol":"INR"}}`},
	} {
		// What was applied a moment ago holds for the first request.
		status, got := ask(t, tt.method, tt.url, tt.bearer, tt.body)
		if status != http.StatusOK || strings.TrimSpace(got) != tt.want {
			t.Errorf("%s answered %d %s, want %s", tt.url, status, got, tt.want)
		}
	}
	_, metrics := ask(t, "GET", admin+"/metrics", "", "")
	for _, want := range []string{
		`milaan_activations_total{state="credited"} 1`, `milaan_credits_total{result="accepted"} 1`,
		`milaan_activations_total{state="refused"} 0`, `milaan_postback_attempts_total{result="failed"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, "milaan_rates_age_seconds") {
		t.Error("the age of rates that nobody reads anew is shown, and would be an alarm for ever")
	}
	if strings.Contains(metrics, "321323438267") {
		t.Error("the metrics show a UTR")
	}
	if status, _ := ask(t, "GET", base+"/metrics", "", ""); status != http.StatusNotFound {
		t.Errorf("the public listener answers /metrics with %d", status)
	}
}

// TestGatewayIsReadyBesidesPoison: one request that the database refuses, and would
// refuse again, does not take the gateway out of its load balancer.
func TestGatewayIsReadyBesidesPoison(t *testing.T) {
	t.Parallel()
	g := start(t)
	db, err := sql.Open("sqlite", "file:"+g.database+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `CREATE TRIGGER poison BEFORE INSERT ON claims WHEN NEW.label = 'poison'
		BEGIN SELECT RAISE(ABORT, 'it does not like this one'); END`); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		label, utr string
		status     int
	}{{"poison", "321323438267", http.StatusInternalServerError}, {"55", "321323438268", http.StatusOK}, {"poison", "321323438269", http.StatusInternalServerError}} {
		status, got := ask(t, "POST", "http://"+g.Addr().String()+"/api/v1/transaction/activate", "s3cret",
			fmt.Sprintf(`{"currency_code":"INR","wallet_type":"upi_l","label":%q,"key1":%q,"amount":500,"custom_transaction_id":%q}`, tt.label, tt.utr, tt.utr))
		if status != tt.status || strings.Contains(got, "like") {
			t.Errorf("label %s is answered %d %s", tt.label, status, got)
		}
		if status, got := ask(t, "GET", "http://"+g.AdminAddr().String()+"/readyz", "", ""); status != http.StatusOK {
			t.Errorf("after label %s /readyz says %d %s", tt.label, status, got)
		}
	}
}

func TestGatewayRefusesTakenAddress(t *testing.T) {
	t.Parallel()
	g := start(t)
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen = g.Addr().String()
	if _, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "MILAAN_LISTEN") {
		t.Errorf("a taken address gives %v", err)
	}
}

// TestGatewayIsAlone: two gateways on one embedded database would send every
// postback twice.
func TestGatewayIsAlone(t *testing.T) {
	t.Parallel()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	first, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("a second gateway gives %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := server.Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("after the first one's end: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestGatewayKeepsNoWrongKey: where the key file of a database is lost, a new
// key is no help, and must not stay to be taken for the right one.
func TestGatewayKeepsNoWrongKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(dir, "milaan.db")
	db, err := server.OpenStore(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "milaan.key")
	if err := os.Rename(key, key+".lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.OpenStore(t.Context(), config); !errors.Is(err, records.ErrWrongKey) {
		t.Errorf("without its key the database gives %v", err)
	}
	if _, err := os.Stat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the wrong key was kept: %v", err)
	}
	if err := os.Rename(key+".lost", key); err != nil {
		t.Fatal(err)
	}
	if db, err = server.OpenStore(t.Context(), config); err != nil {
		t.Fatalf("with its key: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestGatewayCutsSlowClients: a client that sends its header, or its body, a
// byte at a time does not hold a connection for ever.
func TestGatewayCutsSlowClients(t *testing.T) {
	t.Parallel()
	g := start(t)
	const head = "POST /feeds/bank1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer feedtoken\r\nContent-Length: 1000\r\n"
	for name, sent := range map[string]string{"header": head, "body": head + "\r\n{"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			// Well beyond the time-outs: were the client not cut off, this
			// would be what ends the test.
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection is still open")
			}
		})
	}
}

// TestGatewayDrains: a request in flight when the gateway is told to stop is
// still answered.
func TestGatewayDrains(t *testing.T) {
	t.Parallel()
	g := start(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const body = `{"credits":[]}`
	if _, err := io.WriteString(conn, "POST /feeds/bank1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer feedtoken\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // the body is being read
		t.Fatalf("the server says %q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	g.stop()
	time.Sleep(200 * time.Millisecond)
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
		t.Errorf("the request in flight got %q", answer)
	}
}
