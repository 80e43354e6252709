package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/window"
	"github.com/milaan/milaan/money"
)

// merchant is a shop built with the SDK, and the gateway it is a merchant of.
type merchant struct {
	*client.Client
	gateway  string // base URL
	received chan client.Postback
	refuse   chan struct{} // one for each postback it is not to take
}

// newMerchant starts a gateway and a shop that takes its postbacks.
func newMerchant(t *testing.T) *merchant {
	t.Helper()
	m := &merchant{received: make(chan client.Postback, 10), refuse: make(chan struct{}, 10)}
	handler, err := client.NewHandler(client.HandlerConfig{
		Keys: []client.Keys{{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "whsec_aG9vaw=="}},
		OnDeposit: func(_ context.Context, p client.Postback) error {
			select {
			case <-m.refuse:
				return errors.New("the shop's database is away")
			default:
				m.received <- p
				return nil
			}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	shop := httptest.NewServer(handler)
	t.Cleanup(shop.Close)

	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.AllowPrivateTargets, config.PostbackFirstRetry = true, 10*time.Millisecond
	file, err := apply.Parse("shop.yaml", []byte(strings.Replace(installation, "withdrawal_private_key: wkey",
		"withdrawal_private_key: wkey, postback: {url: '"+shop.URL+"', access_key: AK, private_key: PK, webhook_secret: 'whsec_aG9vaw=='}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m.gateway = serve(t, config, file)
	m.Client, err = client.New(client.Config{API: m.gateway, Merchant: "shop", Secret: "s3cret", PrivateKey: "PK"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serve runs a gateway until the end of the test.
func serve(t *testing.T, config server.Config, file *apply.File) (base string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	if _, err := apply.Run(ctx, g.Store(), file, apply.Options{Now: time.Now}); err != nil {
		t.Error(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	return "http://" + g.Addr().String()
}

func (m *merchant) credit(t *testing.T, utr, amount string) {
	t.Helper()
	status, said := ask(t, http.MethodPost, m.gateway+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"`+utr+`","amount":"`+amount+`","payer_vpa":"rahul@okaxis"}]}`)
	if status != http.StatusOK || !strings.Contains(said, `"accepted":1`) {
		t.Fatalf("the feed is answered %d %s", status, said)
	}
}

// TestClientFromEndToEnd: a merchant with the SDK against a real gateway, from
// the wallet to the verified postback.
func TestClientFromEndToEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := newMerchant(t)
	methods, err := m.Methods(ctx, "55")
	if err != nil || len(methods) != 1 || methods[0].Type != "upi_l" || !methods[0].IsManual || methods[0].Logo == "" {
		t.Errorf("the methods are %+v, %v", methods, err)
	}
	wallet, err := m.Create(ctx, client.Assignment{Method: "upi_l", Label: "55", Amount: 50010})
	if err != nil || wallet.Identifier != "test@upi" || !strings.Contains(wallet.UPILink, "am=500.10") || !wallet.ExpiresAt.After(time.Now()) {
		t.Errorf("the wallet is %+v, %v", wallet, err)
	}
	if _, err := m.Status(ctx, "A-1"); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("the status of nothing is %v", err)
	}

	// The first is credited before it is claimed, the second after.
	m.credit(t, "321323438267", "500.10")
	m.refuse <- struct{}{} // and is delivered again
	first := client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 50010, CustomID: "A-1"}
	second := client.Activation{Method: "upi_l", Label: "56", UTR: "321323438268", Amount: money.Rupee, CustomID: "A-2"}
	for range 2 {
		got, err := m.Activate(ctx, first)
		if diff := cmp.Diff(client.Outcome{Status: client.StatusOK, Amount: 50010, Currency: money.INR}, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	p := <-m.received
	if diff := cmp.Diff(client.Postback{
		ID: p.ID, Direction: client.Ingoing, Method: "upi_l", Amount: 50010, Currency: money.INR, Label: "55", CustomID: "A-1",
		UTR: "321323438267", CreditID: p.CreditID, Payer: p.Payer, Created: p.Created, Activated: p.Activated, Converted: p.Converted,
	}, p); diff != "" {
		t.Error(diff)
	}
	if p.Converted[money.INR] != "500.1" || p.Converted["BTC"] == "" || p.CreditID == 0 || p.Payer == "" || strings.Contains(p.Payer, "rahul") {
		t.Errorf("the postback is %+v", p)
	}
	status, err := m.Status(ctx, "A-1")
	if err != nil || status.Status != client.StatusOK || status.Label != "55" || status.Activated != p.Activated || status.Created != p.Created {
		t.Errorf("the status is %+v, %v; the postback's %+v", status, err, p)
	}

	if got, err := m.Activate(ctx, second); err != nil || got.Status != client.StatusWaiting || !got.Open() || got.Message == "" {
		t.Errorf("the second is %+v, %v", got, err)
	}
	m.credit(t, "321323438268", "1.00")
	if p := <-m.received; p.CustomID != "A-2" || p.Amount != money.Rupee {
		t.Errorf("the second postback is %+v", p)
	}

	// A third claims what the first has.
	third := first
	third.CustomID = "A-3"
	if got, err := m.Activate(ctx, third); err != nil || got.Status != client.StatusFail || got.Message == "" {
		t.Errorf("the third is %+v, %v", got, err)
	}
	if got, err := m.Status(ctx, "A-3"); err != nil || got.Status != client.StatusFail || got.CustomID != "A-3" {
		t.Errorf("the third's status is %+v, %v", got, err)
	}

	// What is not valid is told by field; a stranger learns nothing.
	first.UTR = "1"
	var refused *client.Error
	if _, err := m.Activate(ctx, first); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || len(refused.Fields["key1"]) != 1 {
		t.Errorf("a wrong UTR gives %v", err)
	}
	if _, err := m.Create(ctx, client.Assignment{Method: "upi_x", Label: "55"}); !errors.As(err, &refused) || refused.Status != http.StatusOK {
		t.Errorf("an unknown method gives %v", err)
	}
	stranger, err := client.New(client.Config{API: m.gateway, Secret: "guess"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Methods(ctx, ""); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a stranger gets %v", err)
	}
}

// TestClientLinksOpen: the payment window takes the SDK's links, and the SDK
// what a payer brings back.
func TestClientLinksOpen(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	config := client.Link{
		Label: "5 5/ä", CustomID: "A&1", Amount: 50010, Method: "upi_l", Lang: "hi",
		SuccessURL: "https://shop.example/return?a=1&b=ü", PendingURL: "https://shop.example/wait", FailURL: "https://shop.example/fail",
	}
	link, err := m.WindowURL(config)
	if err != nil {
		t.Fatal(err)
	}
	if status, page := ask(t, http.MethodGet, link, "", ""); status != http.StatusOK || !strings.Contains(page, "500.10") {
		t.Errorf("the link is answered with %d", status)
	}
	// The same link signed with another key leads nowhere.
	other, err := client.New(client.Config{API: m.gateway, Merchant: "shop", Secret: "s3cret", PrivateKey: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if link, err = other.WindowURL(config); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(t, http.MethodGet, link, "", ""); status != http.StatusBadRequest {
		t.Errorf("a link signed with another key is answered with %d", status)
	}
}

// TestClientSignsAsWindow: both sides of section 4 make the same signatures.
func TestClientSignsAsWindow(t *testing.T) {
	t.Parallel()
	kinds := map[client.Kind]window.Kind{client.Success: window.Success, client.Pending: window.Pending, client.Fail: window.Fail}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]client.Kind{client.Success, client.Pending, client.Fail}).Draw(t, "kind")
		key, label := rapid.String().Draw(t, "key"), rapid.String().Draw(t, "label")
		id, address := rapid.String().Draw(t, "id"), rapid.String().Draw(t, "address")
		secret := directory.Secret(key)
		if client.HashURL(key, kind, label, id, address) != window.HashURL(secret, kinds[kind], label, id, address) {
			t.Error("the hashed URLs differ")
		}
		signature := window.ReturnSignature(secret, id, kinds[kind])
		back, err := client.VerifyReturn(url.Values{"custom_transaction_id": {id}, "status": {string(kind)}, "signature": {signature}}, key)
		if (err != nil) != (key == "") || err == nil && back != (client.Return{CustomID: id, Status: kind}) {
			t.Errorf("the return is read as %+v, %v", back, err)
		}
	})
}
