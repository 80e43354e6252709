package api_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/api"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/money"
)

// now is 2026-01-02 15:04:05 in Kolkata.
var now = time.Date(2026, 1, 2, 9, 34, 5, 0, time.UTC)

// desk is a double: it answers what a test tells it to and keeps what it was
// asked.
type desk struct {
	claim      deposit.Claim
	assignment deposit.Assignment
	summary    feed.Summary
	err        error
	panics     bool

	mu          sync.Mutex
	activations []deposit.Activation
	assigns     []deposit.AssignmentRequest
	feed        *directory.Feed
	items       []feed.Item
}

func (d *desk) Activate(_ context.Context, a deposit.Activation) (deposit.Claim, error) {
	if d.panics {
		panic("a hidden detail")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.activations = append(d.activations, a)
	return d.claim, d.err
}

func (d *desk) Assign(_ context.Context, r deposit.AssignmentRequest) (deposit.Assignment, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.assigns = append(d.assigns, r)
	return d.assignment, d.err
}

func (d *desk) Ingest(_ context.Context, f *directory.Feed, items []feed.Item) (feed.Taken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.feed, d.items = f, items
	return feed.Taken{Summary: d.summary}, d.err
}

// store is a double of what the door reads.
type store struct {
	claims map[deposit.CustomKey]*deposit.Claim
	use    map[string]money.Paise
	err    error
	days   []deposit.Day // asked for
}

func (s *store) FindClaimByKey(_ context.Context, key deposit.CustomKey) (*deposit.Claim, error) {
	if s.err != nil {
		return nil, s.err
	}
	if c := s.claims[key]; c != nil {
		return c, nil
	}
	return nil, deposit.ErrNoClaim
}

func (s *store) WalletUse(_ context.Context, day deposit.Day) (map[string]money.Paise, error) {
	s.days = append(s.days, day)
	return s.use, s.err
}

// contents is a directory that never moves.
type contents directory.Contents

func (c contents) LoadDirectory(context.Context) (directory.Contents, error) {
	return directory.Contents(c), nil
}
func (c contents) DirectoryVersion(context.Context) (int64, error) { return c.Version, nil }

func secrets(s ...directory.Secret) directory.MerchantSecrets {
	return directory.MerchantSecrets{PluginAPI: s}
}

func signing(key directory.Secret, s directory.MerchantSecrets) directory.MerchantSecrets {
	s.WithdrawalKey = key
	return s
}

func sample() contents {
	return contents{
		Version: 1,
		Merchants: []*directory.Merchant{
			{ID: "shop", Domain: "shop.localhost", Timezone: "Asia/Kolkata", Secrets: signing("wkey", secrets("new-s3cret", "s3cret"))},
			{ID: "other", Domain: "other.example", Timezone: "UTC", Secrets: secrets("other-s3cret"),
				Methods: map[string]bool{"upi_w": false}},
			{ID: "fenced", Timezone: "UTC", Secrets: secrets("fenced-s3cret"),
				AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}},
			{ID: "gone", Timezone: "UTC", Secrets: secrets("gone-s3cret"), Retired: true},
		},
		Methods: []*directory.Method{
			{Type: "upi_w", Name: map[string]string{"en": "UPI wallet"}, Enabled: true, Order: 2},
			{Type: "upi_l", Name: map[string]string{"en": "UPI", "hi": "यूपीआई"}, Enabled: true, Order: 1},
			{Type: "upi_ib", Name: map[string]string{"en": "Net banking"}, Order: 3},
			{Type: "upi_m", Name: map[string]string{"en": "No wallets"}, Enabled: true, Order: 4},
		},
		Wallets: []*directory.Wallet{
			{ID: "w1", Method: "upi_l", VPA: "test@upi", Name: "Test & Sons", Currency: money.INR,
				Merchants: []string{"shop", "other"}, DailyLimit: 1000 * money.Rupee, Enabled: true},
			{ID: "w2", Method: "upi_w", VPA: "second@upi", Name: "Second", Currency: money.INR,
				Merchants: []string{"shop", "other"}, Enabled: true},
			{ID: "w3", Method: "upi_ib", VPA: "third@upi", Name: "Third", Currency: money.INR,
				Merchants: []string{"shop"}, Enabled: true},
			{ID: "w4", Method: "upi_m", VPA: "closed@upi", Name: "Closed", Currency: money.INR,
				Merchants: []string{"shop"}},
		},
		Feeds: []*directory.Feed{
			{ID: "bank1", Kind: directory.FeedJSON, Wallet: "w1", Token: "feedtoken"},
			{ID: "phone1", Kind: directory.FeedSMS, Wallet: "w1", Token: "smstoken"},
			{ID: "razor", Kind: "razorpay", Wallet: "w1", Token: "unused", Secrets: directory.FeedSecrets{Signing: "hook-secret"}},
			{ID: "bare", Kind: "razorpay", Wallet: "w1", Token: "unused"},
			{ID: "upload", Kind: directory.FeedStatement, Wallet: "w1", Token: "filetoken"},
			{ID: "letters", Kind: directory.FeedEmail, Wallet: "w1", Token: "mailtoken"},
			{ID: "old", Kind: directory.FeedJSON, Wallet: "w1", Token: "oldtoken", Retired: true},
			{ID: "blank", Kind: directory.FeedJSON, Wallet: "w1"},
		},
	}
}

// house is a door with doubles behind it.
type house struct {
	desk    *desk
	store   *store
	clock   time.Time
	log     strings.Builder
	metrics *prometheus.Registry
	handler http.Handler
	imports importer
	vault   vault
}

// importer is a double that keeps what it was given.
type importer struct {
	name, text string
	result     intake.Imported
	err        error
}

func (i *importer) Import(_ context.Context, _ *directory.Feed, _ *directory.Wallet, file intake.File) (intake.Imported, error) {
	text := make([]byte, file.Size)
	if _, err := file.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return intake.Imported{}, err
	}
	i.name, i.text = file.Name, string(text)
	return i.result, i.err
}

func open(tb testing.TB, desk *desk) *house {
	tb.Helper()
	h := &house{desk: desk, store: &store{claims: map[deposit.CustomKey]*deposit.Claim{}}, clock: now, metrics: prometheus.NewRegistry()}
	h.handler = h.serve(tb, slog.New(slog.NewJSONHandler(&h.log, nil)))
	return h
}

func (h *house) serve(tb testing.TB, log *slog.Logger) http.Handler {
	tb.Helper()
	cache, err := directory.OpenCache(context.Background(), sample())
	if err != nil {
		tb.Fatal(err)
	}
	reader, err := intake.New(func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such name", IsNotFound: true}
	}, func() time.Time { return h.clock })
	if err != nil {
		tb.Fatal(err)
	}
	door := api.New(api.Config{
		Desk: h.desk, Store: h.store, Directory: cache, Log: log,
		Intake: reader, Importer: &h.imports, Office: &h.vault, Vault: &h.vault,
		Now:     func() time.Time { return h.clock },
		Metrics: api.NewMetrics(h.metrics),
	})
	mux := http.NewServeMux()
	mux.Handle("/", door.Merchants())
	mux.Handle("/feeds/", door.Feeds())
	mux.Handle("/payouts/{desk}", door.Payouts())
	return mux
}

func request(method, path, body string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

func (h *house) post(path, body string) *httptest.ResponseRecorder {
	return h.do(request(http.MethodPost, path, body))
}

func (h *house) get(path string) *httptest.ResponseRecorder {
	return h.do(request(http.MethodGet, path, ""))
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	if got := w.Body.String(); got != body {
		t.Errorf("body\n got %s\nwant %s", got, body)
	}
	if want := "application/json"; body != "Not found" && w.Header().Get("Content-Type") != want {
		t.Errorf("content type %q, want %q", w.Header().Get("Content-Type"), want)
	}
}

const (
	activateURL = "/api/v1/transaction/activate?secret=s3cret"
	createURL   = "/api/v1/transaction/create/upi_l?secret=s3cret"
	statusURL   = "/api/v1/transaction/status?secret=s3cret&custom_transaction_id="
	availURL    = "/api/v1/payment-systems/available?secret=s3cret"

	// activation is the original's request, byte for byte.
	activation = `{
    "currency_code": "INR",
    "wallet_type": "upi_l",
    "label": "55",
    "key1": "321323438267",
	"amount": 500,
    "custom_transaction_id": "123465477897"
}`
)

var activated = deposit.Activation{
	Merchant: "shop", CustomID: "123465477897", Method: "upi_l", Label: "55",
	UTR: "321323438267", Amount: 500 * money.Rupee, Currency: money.INR, Via: "api",
}

func credited(amount money.Paise) deposit.Claim {
	return deposit.Claim{
		ID: 7, Merchant: "shop", CustomID: "123465477897", Label: "55", State: deposit.Credited,
		Deposited: amount, Currency: money.INR, CreatedAt: now, SettledAt: now.Add(2 * time.Second),
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, host, query, bearer, remote string
		want                              int
	}{
		{"single host", "localhost:8080", "secret=s3cret", "", "", 200},
		{"the newer secret", "localhost:8080", "secret=new-s3cret", "", "", 200},
		{"header", "localhost", "", "Bearer s3cret", "", 200},
		{"header in lower case", "localhost", "", "bearer s3cret", "", 200},
		{"its host", "api.shop.localhost", "secret=s3cret", "", "", 200},
		{"its host, with port, dot and capitals", "API.Shop.Localhost.:8080", "secret=s3cret", "", "", 200},
		{"a bare address", "[::1]:8080", "secret=s3cret", "", "", 200},
		{"allowed address", "localhost", "secret=fenced-s3cret", "", "10.1.2.3:999", 200},
		{"allowed address mapped into IPv6", "localhost", "secret=fenced-s3cret", "", "[::ffff:10.1.2.3]:999", 200},
		{"allowed IPv6 address with a zone", "localhost", "secret=fenced-s3cret", "", "[2001:db8::1%eth0]:999", 200},
		{"nothing", "localhost", "", "", "", 404},
		{"blank", "localhost", "secret=", "Bearer ", "", 404},
		{"wrong", "localhost", "secret=s3cre", "", "", 404},
		{"other scheme", "localhost", "", "Basic s3cret", "", 404},
		{"retired merchant", "localhost", "secret=gone-s3cret", "", "", 404},
		{"another merchant's host", "api.shop.localhost", "secret=other-s3cret", "", "", 404},
		{"window's host", "plugin.shop.localhost", "secret=s3cret", "", "", 404},
		{"window's host, in capitals", "PLUGIN.SHOP.LOCALHOST:80", "secret=s3cret", "", "", 404},
		{"address not allowed", "localhost", "secret=fenced-s3cret", "", "11.1.2.3:999", 404},
		{"no address", "localhost", "secret=fenced-s3cret", "", "@", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{claim: credited(100)})
			r := request(http.MethodPost, "/api/v1/transaction/activate?"+tt.query, activation)
			r.Host = tt.host
			if tt.bearer != "" {
				r.Header.Set("Authorization", tt.bearer)
			}
			if tt.remote != "" {
				r.RemoteAddr = tt.remote
			}
			w := h.do(r)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d: %s", w.Code, tt.want, w.Body)
			}
			if tt.want == 404 {
				expect(t, w, 404, "Not found")
			}
			if reached := len(h.desk.activations) > 0; reached != (tt.want == 200) {
				t.Errorf("reached the desk: %t", reached)
			}
			if log := h.log.String(); strings.Contains(log, "s3cret") || !strings.Contains(log, `"path":"/api/v1/transaction/activate"`) {
				t.Errorf("access log %s", log)
			}
		})
	}
}

func TestUnknownRoutesLookLikeWrongSecrets(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	for _, path := range []string{"/api/", "/api/v1/", "/api/v2/x?secret=s3cret", "/api/v1/transaction/create/?secret=s3cret", "/feeds/", "/feeds/bank1/x"} {
		expect(t, h.post(path, "{}"), 404, "Not found")
		expect(t, h.get(path), 404, "Not found")
	}
	expect(t, h.get("/api/v1/transaction/activate"), 404, "Not found")
	expect(t, h.get("/feeds/bank1"), 404, "Not found")

	w := h.get(activateURL)
	expect(t, w, 405, `{"status":"fail","message":"Call this address with POST"}`)
	if w.Header().Get("Allow") != "POST" {
		t.Errorf("Allow %q", w.Header().Get("Allow"))
	}
}

func TestLogo(t *testing.T) {
	t.Parallel()
	w := open(t, &desk{}).get("/assets/methods/upi.svg")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(w.Body.String(), "<svg ") {
		t.Errorf("%d %v %.20s", w.Code, w.Header(), w.Body)
	}
}

func TestRequestsAreMeasured(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{claim: credited(100)})
	h.post(activateURL, activation)
	h.post("/api/v1/transaction/activate?secret=wrong", activation)
	families, err := h.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != "milaan_api_request_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				key += l.GetValue() + " "
			}
			counts[key] = m.GetHistogram().GetSampleCount()
		}
	}
	if counts["activate 200 "] != 1 || counts["activate 404 "] != 1 || len(counts) != 2 {
		t.Errorf("counted %v", counts)
	}
	if log := h.log.String(); !strings.Contains(log, `"merchant":"shop"`) || !strings.Contains(log, `"bytes":90`) {
		t.Errorf("access log %s", log)
	}
}

func BenchmarkActivate(b *testing.B) {
	h := open(b, &desk{claim: credited(500 * money.Rupee)})
	h.metrics = prometheus.NewRegistry()
	handler := h.serve(b, slog.New(slog.DiscardHandler))
	url := request(http.MethodPost, activateURL, "").URL
	body := strings.NewReader("")
	b.ReportAllocs()
	for b.Loop() {
		h.desk.activations = h.desk.activations[:0]
		body.Reset(activation)
		r := &http.Request{
			Method: http.MethodPost, Host: "api.shop.localhost", RemoteAddr: "127.0.0.1:9",
			URL: url, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: int64(len(activation)),
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
