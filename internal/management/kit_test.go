package management_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/store/storetest"
)

// office is a house with a management door.
type office struct {
	*storetest.House
	door  *management.Door
	calls atomic.Int64 // unsafe ones, for idempotency keys of their own
	shop  taker        // the shop's server
}

// taker is a merchant's server; it answers as a test says, or takes everything.
type taker struct {
	mu   sync.Mutex
	says func(*http.Request) (*http.Response, error)
}

// RoundTrip answers a request.
func (s *taker) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	says := s.says
	s.mu.Unlock()
	if says == nil {
		return reply(http.StatusOK, `{"status":"ok"}`), nil
	}
	return says(r)
}

func (s *taker) answer(says func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says = says
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func mustOpenOffice(t *testing.T) *office {
	t.Helper()
	o := &office{House: storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Change: func(c *directory.Change) {
		c.Merchants[0].Domain, c.Merchants[1].Domain = "shop.localhost", "cafe.localhost"
		for _, m := range c.Merchants {
			m.PostbackURL, m.PostbackEd25519 = "https://"+m.ID+".example/postback", m.ID == storetest.Shop
			m.Secrets.AccessKey, m.Secrets.PrivateKey = "AK", "PK"
		}
		ed25519, err := directory.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		c.Merchants[0].Secrets.Ed25519 = ed25519
		c.Payouts = []*directory.PayoutDesk{{ID: "desk", Kind: directory.PayoutManual, Method: "imps_ib"}}
	}})}
	bundled, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	rates, err := o.Store.SaveRates(t.Context(), bundled)
	if err != nil {
		t.Fatal(err)
	}
	o.door, err = management.New(management.Config{
		Desk: o.Desk, Store: o.Store,
		Office: &payout.Office{Config: payout.Config{
			Store: o.Store, Directory: o.Directory, RatesID: func() int64 { return rates.ID }, Now: o.Clock.Now, Log: slog.New(slog.DiscardHandler),
			Provider: func(*directory.PayoutDesk) (payout.Provider, error) { return nil, nil },
		}},
		Postbacks: postback.NewControl(o.Store, postback.Config{Directory: o.Directory, Rates: o.Store, Transport: &o.shop, Now: o.Clock.Now}),
		Directory: o.Directory, Now: o.Clock.Now,
		Reconcile: func(ctx context.Context, s feed.Statement) (management.Reconciliation, error) {
			r, err := o.Store.Reconcile(ctx, s)
			if err != nil {
				return management.Reconciliation{}, err
			}
			return management.NewReconciliation(&management.Books{Statement: s, Settled: r.Settled(), Credits: r.Credits, Open: r.Open}), nil
		},
		Metrics: management.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// mustKey makes a key that lasts a day; without scopes it has all that it can.
func (o *office) mustKey(owner string, scopes ...access.Scope) string {
	o.Helper()
	merchant := owner
	if owner == access.Operator {
		merchant = ""
	}
	if len(scopes) == 0 {
		scopes = access.Scopes(merchant)
	}
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	key, token, err := access.New("test", merchant, texts, o.Clock.Now(), 24*time.Hour)
	if err == nil {
		_, err = o.Store.AddKey(o.Context(), key, access.HashOf(token), "test")
	}
	if err != nil {
		o.Fatal(err)
	}
	return token.Reveal()
}

// request is one to be sent; the zero fields are the usual.
type request struct {
	method, path, key, body, host string
	header                        map[string]string
}

func (o *office) send(r request) *http.Response {
	o.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req := httptest.NewRequestWithContext(o.Context(), r.method, r.path, strings.NewReader(r.body))
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.method != http.MethodGet {
		req.Header.Set("Idempotency-Key", fmt.Sprintf("call %d", o.calls.Add(1)))
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if r.host != "" {
		req.Host = r.host
	}
	w := httptest.NewRecorder()
	o.door.ServeHTTP(w, req)
	return w.Result()
}

// ask sends a request and reads the answer.
func (o *office) ask(r request) (int, string) {
	o.Helper()
	res := o.send(r)
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		o.Fatal(err)
	}
	kind := res.Header.Get("Content-Type")
	if (res.StatusCode >= 400) != (kind == "application/problem+json") {
		o.Errorf("%s %s answered %d as %s", r.method, r.path, res.StatusCode, kind)
	}
	return res.StatusCode, string(data)
}

// mustAsk sends a request and decodes what it is answered with.
func mustAsk[T any](o *office, want int, r request) (v T) {
	o.Helper()
	status, body := o.ask(r)
	if status != want {
		o.Fatalf("%s %s answered %d %s, want %d", r.method, r.path, status, body, want)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		o.Fatalf("%s %s answered %s: %v", r.method, r.path, body, err)
	}
	return v
}

// problem is what an answer that says no must be.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Location, Message string }
}

func (o *office) mustRefuse(want int, kind string, r request) problem {
	o.Helper()
	p := mustAsk[problem](o, want, r)
	if p.Type != "/v3/docs#problem-"+kind || p.Status != want || p.Title == "" || p.Detail == "" {
		o.Errorf("%s %s is refused with %+v, want %s", r.method, r.path, p, kind)
	}
	return p
}
