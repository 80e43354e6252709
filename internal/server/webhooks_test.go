package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// listener takes events with the SDK.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	events []client.WebhookEvent
	came   chan struct{}
}

func newListener(t *testing.T, secret string) *listener {
	t.Helper()
	l := &listener{came: make(chan struct{}, 1000)}
	h, err := client.NewWebhookHandler(client.WebhookConfig{
		Secrets: []string{secret}, Log: slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e client.WebhookEvent) error {
			l.mu.Lock()
			l.events = append(l.events, e)
			l.mu.Unlock()
			l.came <- struct{}{}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Server = httptest.NewServer(h)
	t.Cleanup(l.Close)
	return l
}

// wait returns the first event of a type, once it came: of all but deposits there
// is one.
func (l *listener) wait(t *testing.T, kind string) client.WebhookEvent {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		var found []client.WebhookEvent
		l.mu.Lock()
		for _, e := range l.events {
			if e.Type == kind {
				found = append(found, e)
			}
		}
		l.mu.Unlock()
		if len(found) > 1 && kind != "deposit.credited" {
			t.Errorf("%s came %d times", kind, len(found))
		}
		if len(found) > 0 {
			return found[0]
		}
		select {
		case <-l.came:
		case <-deadline:
			t.Fatalf("%s did not come", kind)
		}
	}
}

// TestEventsFromEndToEnd: a merchant's webhook and the owner's are told of all that
// becomes of payments and withdrawals, while another webhook of the merchant's
// hangs; the merchant's own postback waits for none of them.
func TestEventsFromEndToEnd(t *testing.T) {
	t.Parallel()
	const shopSecret, opsSecret = "whsec_c2hvcHNob3BzaG9wc2hvcHNob3BzaG9w", "whsec_b3Bzb3Bzb3Bzb3Bzb3Bzb3Bzb3Bzb3Bz"
	shop, ops := newListener(t, shopSecret), newListener(t, opsSecret)
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(release) })
	postbacks := make(chan client.Postback, 100)
	keep := func(_ context.Context, p client.Postback) error { postbacks <- p; return nil }
	legacy, err := client.NewHandler(client.HandlerConfig{
		Keys: []client.Keys{{AccessKey: "AK", PrivateKey: "PK"}}, OnDeposit: keep, OnWithdrawal: keep, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(legacy)
	t.Cleanup(site.Close)

	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.AllowPrivateTargets = true
	config.ClaimTTL, config.AssignmentTTL, config.UnclaimedAfter = 8*time.Second, time.Second, 3*time.Second
	file, err := apply.Parse("shop.yaml", []byte(strings.Replace(installation, "withdrawal_private_key: wkey",
		"withdrawal_private_key: wkey, postback: {url: '"+site.URL+"', access_key: AK, private_key: PK}, webhooks: ["+
			"{id: hook1, url: '"+shop.URL+"', events: [\"*\"], secret: "+shopSecret+"}, {id: broken, url: '"+hangs.URL+"', events: [deposit.credited, withdrawal.success]}]", 1)+
		"\npayouts:\n  - {id: desk, kind: sandbox, method: imps_ib, approve_above: 1000}\n"+
		"webhooks:\n  - {id: ops, url: '"+ops.URL+"', events: [deposit.*, credit.*, withdrawal.success], secret: "+opsSecret+", ed25519: on}\n"))
	if err != nil {
		t.Fatal(err)
	}
	base := serve(t, config, file)
	c, err := client.New(client.Config{API: base, Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	activate := func(order, utr string) {
		t.Helper()
		if _, err := c.Activate(ctx, client.Activation{Method: "upi_l", Label: "55", UTR: upi.UTR(utr), Amount: 500 * money.Rupee, CustomID: order}); err != nil {
			t.Fatal(err)
		}
	}
	// Twenty deposits: their postbacks come though the broken webhook has as many.
	for i := range 20 {
		utr := "3213234382" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		if status, said := ask(t, http.MethodPost, base+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"`+utr+`","amount":"500","payer_vpa":"rahul@okaxis"}]}`); status != http.StatusOK {
			t.Fatalf("the feed is answered %d %s", status, said)
		}
		order := "A-" + utr
		activate(order, utr)
		select {
		case p := <-postbacks:
			if p.CustomID != order {
				t.Errorf("told of %s", p.CustomID)
			}
		case <-time.After(10 * time.Second): // an attempt at the broken one takes 15
			t.Fatal("a postback waited for a webhook")
		}
		if i == 0 {
			e := shop.wait(t, "deposit.credited")
			if d := e.Deposit; d == nil || d.CustomID != order || *d.Deposited != 500*money.Rupee || d.Payer != "raxxx@okaxis" || d.Status != "credited" || d.Reasons != nil || !e.At.Equal(d.SettledAt) {
				t.Errorf("told %+v of %s", d, e.Data)
			}
		}
	}
	// One in review, which a person rejects beside the gateway.
	if status, _ := ask(t, http.MethodPost, base+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"400000000001","amount":"499"}]}`); status != http.StatusOK {
		t.Fatal(status)
	}
	activate("B", "400000000001")
	pending := ops.wait(t, "deposit.pending")
	if d := pending.Deposit; d.CustomID != "B" || d.Amount != 500*money.Rupee || len(d.Reasons) != 1 || d.Reasons[0] != "amount_differs" || d.Deposited != nil {
		t.Errorf("told %+v", d)
	}
	if d := shop.wait(t, "deposit.pending").Deposit; d.Reasons != nil {
		t.Errorf("the shop is told why: %+v", d)
	}
	rejectAll(t, config)
	if d := shop.wait(t, "deposit.rejected").Deposit; d.CustomID != "B" || d.SettledAt.IsZero() {
		t.Errorf("told %+v", d)
	}
	// One that no credit comes for, and a credit that nobody claims.
	activate("C", "500000000001")
	if d := shop.wait(t, "deposit.expired").Deposit; d.CustomID != "C" || d.Status != "expired" {
		t.Errorf("told %+v", d)
	}
	if unclaimed := ops.wait(t, "credit.unclaimed").Credit; unclaimed.UTR != "400000000001" || unclaimed.Amount != 499*money.Rupee || unclaimed.Wallet != "w1" {
		t.Errorf("told %+v", unclaimed)
	}
	// A withdrawal, in all its states.
	if _, err := c.Withdraw(ctx, client.Withdrawal{ID: "w1", Label: "55", Amount: 300 * money.Rupee, AccountNumber: "12345678901", AccountName: "Asha Rao", IFSC: "HDFC0000001"}); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"created", "approved", "processing", "success"} {
		if w := shop.wait(t, "withdrawal."+state).Withdrawal; w.WithdrawalID != "w1" || w.Amount != 300*money.Rupee || w.Desk != "" {
			t.Errorf("%s: told %+v", state, w)
		}
	}
	if w := ops.wait(t, "withdrawal.success").Withdrawal; w.Desk != "desk" || w.Wallet != "w1" || w.Merchant != "shop" {
		t.Errorf("told %+v", w)
	}
	if p := <-postbacks; p.Withdrawal == nil || p.Withdrawal.ID != "w1" {
		t.Errorf("the postback is %+v", p)
	}
}

// rejectAll rejects every claim in review, as milaan review does.
func rejectAll(t *testing.T, config server.Config) {
	t.Helper()
	tools, err := server.OpenTools(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tools.Desk.Run(ctx) }()
	reviews, err := tools.Store.PendingClaims(t.Context(), 0, 10)
	if err != nil || len(reviews) != 1 {
		t.Errorf("in review are %v, %v", reviews, err)
	}
	for _, r := range reviews {
		if _, err := tools.Desk.Reject(t.Context(), r.Claim.ID, "operator:asha", "not theirs"); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := tools.Store.Close(); err != nil {
		t.Error(err)
	}
}
