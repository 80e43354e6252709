package demo_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/money"
)

var quiet = slog.New(slog.DiscardHandler)

// gateway answers as the doors of a real one do, with what the test sets.
type gateway struct {
	*httptest.Server
	mu      sync.Mutex
	outcome string              // for activations and their status
	claimed bool                // whether there is a claim to ask the status of
	bodies  map[string][]string // requests by path
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{outcome: `{"status":"possible_transaction_created","message":"…"}`, bodies: make(map[string][]string)}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	g.bodies[r.URL.Path] = append(g.bodies[r.URL.Path], string(body))
	answer := g.outcome
	switch path := r.URL.Path; {
	case r.Header.Get("Authorization") != "Bearer s3cret":
		http.Error(w, "Not found", http.StatusNotFound)
		return
	case strings.HasPrefix(path, "/api/v1/transaction/create/"):
		answer = `{"status":"ok","params":{"identifier":"a@sandbox","name":"<b>Shop</b>","upi_link":"upi://pay?pa=a@sandbox&pn=Shop&am=499.00&cu=INR","expires_at":"2026-01-02T15:04:05+05:30"}}`
	case path == "/api/v1/transaction/activate":
		g.claimed = true
	case path == "/api/v1/transaction/status" && g.claimed:
		answer = strings.TrimSuffix(g.outcome, "}") + `,"custom_transaction_id":"` + r.URL.Query().Get("custom_transaction_id") + `"}`
	case path == "/api/v1/transaction/status":
		answer = `{"status":"fail","message":"This custom_transaction_id is not known"}`
	case strings.HasPrefix(path, "/feeds/"):
		answer = `{"accepted":1,"duplicate":0,"matched":0,"refused":[]}`
	}
	_, _ = io.WriteString(w, answer)
}

func (g *gateway) say(outcome string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.outcome, g.claimed = outcome, true
}

func (g *gateway) calls(path string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bodies[path]
}

var keys = client.Keys{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "hook"}

func newShop(t *testing.T) (*demo.Shop, *gateway) {
	t.Helper()
	g := newGateway(t)
	s, err := demo.NewShop(demo.ShopConfig{
		Gateway: g.URL, Merchant: "shop", Secret: "s3cret", Keys: keys, URL: "http://shop.example", Bank: "http://bank.example",
		File: filepath.Join(t.TempDir(), "shop.json"), Now: time.Now, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, g
}

func newBank(t *testing.T, soon time.Duration) (*demo.Bank, *gateway) {
	t.Helper()
	g := newGateway(t)
	b, err := demo.NewBank(demo.BankConfig{
		Gateway: g.URL, Accounts: []demo.Account{{VPA: "a@sandbox", Name: "Shop", Feed: "bank1", Token: "s3cret"}},
		Soon: soon, File: filepath.Join(t.TempDir(), "bank.json"), Now: time.Now, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, g
}

// visit sends a request as a browser of the same site does.
func visit(t *testing.T, h http.Handler, method, target string, fields url.Values) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// buy places an order and enters a UTR for it.
func buy(t *testing.T, s *demo.Shop) *demo.Order {
	t.Helper()
	o, err := s.Place("customer-55", "chai")
	if err == nil {
		o, err = s.Claim(t.Context(), o.ID, "355015818634")
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func rupeesJSON(t *testing.T, p money.Paise) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
