package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/porttest"
)

// An operator looks at a postback, sends it again, tests the shop and holds its
// postbacks, all beside a running gateway.
func TestPostbacksByCommand(t *testing.T) {
	t.Parallel()
	shop := newShop(t)
	var refuses atomic.Bool
	refuses.Store(true)
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refuses.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer closed.Close()
	dir := t.TempDir()
	addr := porttest.FreeAddr(t)
	settings := []string{
		"--database-url", "sqlite://" + filepath.Join(dir, "milaan.db"), "--listen", addr, "--admin-listen", "127.0.0.1:0",
		"--allow-private-targets", "true", "--log-level", "error",
	}
	milaan := func(wantCode int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), append(args, settings...), &out, &out); code != wantCode {
			t.Errorf("milaan %s ended with %d:\n%s", strings.Join(args, " "), code, out.String())
		}
		return out.String()
	}
	file := filepath.Join(dir, "shop.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
merchants:
- {id: shop, plugin_api_secret: s3cret, postback: {url: "%s", ed25519: on}, webhooks: [{id: hook1, url: "%s/nobody", events: [deposit.*], ed25519: on}]}
wallets:
- {id: till, method: upi_l, vpa: shop@upi, merchants: [shop]}
feeds:
- {id: bank, kind: json, wallet: till, token: token}
`, shop.URL, closed.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	milaan(exitDone, "apply", file)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan int, 1)
	go func() { served <- run(ctx, append([]string{"serve"}, settings...), os.Stderr, os.Stderr) }()
	defer func() {
		stop()
		if code := <-served; code != exitDone {
			t.Errorf("serve ended with %d", code)
		}
	}()

	post := func(path, token, body string) {
		t.Helper()
		for range 100 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil { // it is starting
				time.Sleep(50 * time.Millisecond)
				continue
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s answered %d", path, resp.StatusCode)
			}
			return
		}
		t.Fatal("the gateway does not answer")
	}
	post("/feeds/bank", "token", `{"credits":[{"utr":"321323438267","amount":"500.00"}]}`)
	post("/api/v1/transaction/activate", "s3cret",
		`{"currency_code":"INR","wallet_type":"upi_l","label":"55","key1":"321323438267","amount":500,"custom_transaction_id":"order-1"}`)
	shop.wait(t, map[string]bool{"order-1": true})

	// delivered waits until the answer is recorded, and gives the postback's number.
	delivered := func() string {
		t.Helper()
		for range 500 {
			list := milaan(exitDone, "postbacks", "list", "--state", "delivered", "--merchant", "shop")
			if lines := strings.Split(list, "\n"); len(lines) > 1 && strings.Contains(lines[1], "order-1") {
				return strings.Fields(lines[1])[0]
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("the postback is not delivered")
		return ""
	}
	number := delivered()
	if out := milaan(exitDone, "postbacks", "inspect", number); !strings.Contains(out, "attempt 1") || !strings.Contains(out, `{"status":"ok"}`) || !strings.Contains(out, `"plugin_custom_order_id":"order-1"`) {
		t.Errorf("inspected\n%s", out)
	}
	milaan(exitDone, "postbacks", "resend", number)
	shop.waitRepeats(t, "order-1", 2)
	delivered()
	milaan(exitDone, "postbacks", "resend", "--merchant", "shop", "--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	shop.waitRepeats(t, "order-1", 3)

	if out := milaan(exitDone, "postbacks", "test", "shop"); !strings.Contains(out, "confirmed the test") {
		t.Errorf("tested: %s", out)
	}
	if out := milaan(exitDone, "postbacks", "key", "shop"); !strings.HasPrefix(out, "whpk_") {
		t.Errorf("the key is %s", out)
	}

	// A webhook is handled as a postback is, by its own name.
	event := ""
	for range 500 {
		list := milaan(exitDone, "postbacks", "list", "--merchant", "shop/hook1")
		if lines := strings.Split(list, "\n"); len(lines) > 1 && strings.Contains(lines[1], "502 instead of 2xx") {
			event = strings.Fields(lines[1])[0]
			if !strings.Contains(lines[1], "deposit.credited") || !strings.Contains(lines[1], "order-1") || !strings.Contains(lines[1], "₹500.00") {
				t.Errorf("listed %s", list)
			}
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if out := milaan(exitDone, "postbacks", "inspect", event); !strings.Contains(out, "(deposit.credited) to shop/hook1, order order-1") || !strings.Contains(out, `{"type":"deposit.credited","timestamp":`) {
		t.Errorf("inspected\n%s", out)
	}
	milaan(exitFailed, "postbacks", "test", "shop/hook1")
	refuses.Store(false)
	if out := milaan(exitDone, "postbacks", "test", "shop/hook1"); !strings.Contains(out, "confirmed the test") {
		t.Errorf("tested: %s", out)
	}
	milaan(exitDone, "postbacks", "pause", "shop/hook1")
	if out := milaan(exitDone, "postbacks", "endpoints"); !strings.Contains(out, "shop/hook1") {
		t.Errorf("endpoints: %s", out)
	}
	milaan(exitDone, "postbacks", "resume", "shop/hook1")
	milaan(exitDone, "postbacks", "resend", event)
	if out := milaan(exitDone, "postbacks", "key", "shop/hook1"); !strings.HasPrefix(out, "whpk_") {
		t.Errorf("the key is %s", out)
	}
	milaan(exitDone, "postbacks", "pause", "shop")
	if out := milaan(exitDone, "postbacks", "endpoints"); !strings.Contains(out, "paused") {
		t.Errorf("endpoints: %s", out)
	}
	milaan(exitDone, "postbacks", "resume", "shop")
	for _, args := range [][]string{{"enable", "shop"}, {"resume", "shop"}, {"pause", "none"}, {"test", "none"}, {"pause", "shop/none"}, {"inspect", "999999"}, {"resend", "999999"}} {
		milaan(exitFailed, append([]string{"postbacks"}, args...)...)
	}
	for _, args := range [][]string{{"resend"}, {"resend", "--merchant", "shop"}, {"resend", number, "--merchant", "shop"}, {"list", "--state", "lost"}} {
		milaan(exitUsage, append([]string{"postbacks"}, args...)...)
	}
	if out := milaan(exitDone, "verify"); !strings.Contains(out, "every invariant holds") {
		t.Errorf("verified: %s", out)
	}
	shop.check(t, map[string]bool{"order-1": true})
}

// waitRepeats returns when an order was announced that often, with the same
// bytes each time.
func (s *shop) waitRepeats(t *testing.T, order string, times int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		s.mu.Lock()
		came := 0
		for _, n := range s.bodies[order] {
			came += n
		}
		s.mu.Unlock()
		if came >= times {
			return
		}
		select {
		case <-s.came:
		case <-deadline:
			t.Fatalf("%s came %d times, want %d", order, came, times)
		}
	}
}
