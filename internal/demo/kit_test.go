package demo_test

import (
	"encoding/json"
	"fmt"
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
	"github.com/milaan/milaan/internal/payout"
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
	payout  string              // answer to withdrawals; none at all where it is empty
	state   string              // of a withdrawal
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{outcome: `{"status":"possible_transaction_created","message":"…"}`, bodies: make(map[string][]string), payout: `{"status":"ok","withdrawal_id":"-"}`, state: "processing"}
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
	case path == "/v2/withdrawal/create":
		if r.URL.Query().Get("merchant") != "shop" || payout.VerifySignature("wkey", body) != nil {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		if answer = g.payout; answer == "" {
			panic(http.ErrAbortHandler)
		}
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
	case path == "/v2/withdrawal/status":
		answer = fmt.Sprintf(`{"status":"ok","withdrawal_id":%q,"withdrawal_status":%q}`, r.URL.Query().Get("withdrawal_id"), g.state)
	case path == "/v2/balance":
		answer = `{"status":"ok","balances":[{"currency_code":"INR","balance":1000,"held":400.5,"available":599.5}]}`
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

// pays sets what withdrawals are answered with, and the state that is told of them.
func (g *gateway) pays(answer, state string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payout, g.state = answer, state
}

func (g *gateway) calls(path string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bodies[path]
}

var keys = client.Keys{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "hook"}

const operator = "MILAAN_DATABASE_URL=sqlite:///home/somebody/a-long-name-of-a-folder/demo.db milaan"

func newShop(t *testing.T) (*demo.Shop, *gateway) {
	t.Helper()
	g := newGateway(t)
	s, err := demo.NewShop(demo.ShopConfig{
		Gateway: g.URL, Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey", Keys: keys, URL: "http://shop.example", Bank: "http://bank.example", Operator: operator,
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
