package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
)

// TestWithdrawalFromEndToEnd: a merchant with the SDK pays out what it received,
// through the sandbox, and is told of each end by a postback.
func TestWithdrawalFromEndToEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	told := make(chan client.Postback, 10)
	keep := func(_ context.Context, p client.Postback) error { told <- p; return nil }
	handler, err := client.NewHandler(client.HandlerConfig{
		Keys: []client.Keys{{AccessKey: "AK", PrivateKey: "PK"}}, OnDeposit: keep, OnWithdrawal: keep, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	shop := httptest.NewServer(handler)
	t.Cleanup(shop.Close)
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.AllowPrivateTargets = true
	file, err := apply.Parse("shop.yaml", []byte(strings.Replace(installation, "withdrawal_private_key: wkey",
		"withdrawal_private_key: wkey, fee: {withdrawal_fixed: 5}, postback: {url: '"+shop.URL+"', access_key: AK, private_key: PK}", 1)+
		"\npayouts:\n  - {id: desk, kind: sandbox, method: imps_ib, approve_above: 1000}\n"))
	if err != nil {
		t.Fatal(err)
	}
	base := serve(t, config, file)
	c, err := client.New(client.Config{API: base, Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey"})
	if err != nil {
		t.Fatal(err)
	}
	if status, said := ask(t, http.MethodPost, base+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"321323438267","amount":"1000"}]}`); status != http.StatusOK {
		t.Fatalf("the feed is answered %d %s", status, said)
	}
	if _, err := c.Activate(ctx, client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 1000 * money.Rupee, CustomID: "A-1"}); err != nil {
		t.Fatal(err)
	}
	<-told // of the deposit

	// The account's last digits choose the outcome: 01 is paid, 02 refused.
	paid := client.Withdrawal{ID: "w1", Label: "55", Amount: 300 * money.Rupee, AccountNumber: "12345678901", AccountName: "Asha Rao", IFSC: "HDFC0000001"}
	refused := paid
	refused.ID, refused.AccountNumber = "w2", "12345678902"
	test := paid
	test.ID, test.Test = "w3", true
	for _, w := range []client.Withdrawal{paid, paid, refused, test} {
		if id, err := c.Withdraw(ctx, w); err != nil || id != w.ID {
			t.Fatalf("withdrawal %s: %s, %v", w.ID, id, err)
		}
	}
	much := paid
	much.ID, much.Amount, much.AccountNumber = "w4", 400*money.Rupee, "22345678901"
	if _, err := c.Withdraw(ctx, much); !errors.Is(err, client.ErrInsufficientBalance) {
		t.Errorf("more than there is gives %v", err)
	}
	ends := make(map[string]string)
	for range 3 {
		select {
		case p := <-told:
			ends[p.Withdrawal.ID] = string(p.Withdrawal.State)
			if p.Direction != client.Outgoing || p.Amount != 300*money.Rupee || p.Method != "imps_ib" {
				t.Errorf("told %+v", p)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("told only %v", ends)
		}
	}
	if ends["w1"] != "success" || ends["w2"] != "failed" || ends["w3"] != "success" {
		t.Errorf("the ends are %v", ends)
	}
	if p, err := c.WithdrawalStatus(ctx, "w1"); err != nil || p.State != "success" || p.Amount != 300*money.Rupee || p.TransactionID == "" {
		t.Errorf("the status is %+v, %v", p, err)
	}
	balances, err := c.Balances(ctx)
	if err != nil || len(balances) != 1 || balances[0].Available != 695*money.Rupee || balances[0].Held != 0 {
		t.Errorf("the balances are %+v, %v", balances, err)
	}
}

// TestWithdrawalByWebhook: a provider tells of payouts by webhooks, which come
// again, in any order, and from strangers.
func TestWithdrawalByWebhook(t *testing.T) {
	t.Parallel()
	bank := newRazorpayX(t)
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	config.AllowPrivateTargets = true
	file, err := apply.Parse("shop.yaml", []byte(strings.Replace(installation, "withdrawal_private_key: wkey",
		"withdrawal_private_key: wkey, fee: {withdrawal_fixed: 5}", 1)+
		"\npayouts:\n  - {id: rx, kind: razorpayx, method: imps_ib, approve_above: 1000, account: '7878780012345678', key_id: rzp_test, key: s, webhook_secret: hook, address: '"+bank.URL+"'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	base := serve(t, config, file)
	c, err := client.New(client.Config{API: base, Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey"})
	if err != nil {
		t.Fatal(err)
	}
	if status, said := ask(t, http.MethodPost, base+"/feeds/bank1", "feedtoken", `{"credits":[{"utr":"321323438267","amount":"1000"}]}`); status != http.StatusOK {
		t.Fatalf("the feed is answered %d %s", status, said)
	}
	if _, err := c.Activate(t.Context(), client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 1000 * money.Rupee, CustomID: "A-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Withdraw(t.Context(), client.Withdrawal{
		ID: "w1", Label: "55", Amount: 300 * money.Rupee, AccountNumber: "12345678901", AccountName: "Asha Rao", IFSC: "HDFC0000001",
	}); err != nil {
		t.Fatal(err)
	}
	var sent map[string]any
	select {
	case sent = <-bank.asked:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was sent")
	}
	is := func(state client.WithdrawalState, available money.Paise) {
		t.Helper()
		p, err := c.WithdrawalStatus(t.Context(), "w1")
		balances, err2 := c.Balances(t.Context())
		if err != nil || err2 != nil || p.State != state || balances[0].Available != available {
			t.Errorf("it is %+v %v, the balances are %+v %v; want %s, %s", p, err, balances, err2, state, available)
		}
	}
	tell := func(desk, event, status, secret string, amount int, want int) {
		t.Helper()
		sent["status"], sent["amount"], sent["utr"] = status, amount, "612345678901"
		body, err := json.Marshal(map[string]any{
			"entity": "event", "event": event, "contains": []string{"payout"},
			"payload": map[string]any{"payout": map[string]any{"entity": sent}},
		})
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/payouts/"+desk, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Razorpay-Signature", hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s for %s is answered %s", event, desk, resp.Status)
		}
	}
	is("processing", 695*money.Rupee)
	tell("rx", "payout.processed", "processed", "guess", 300_00, http.StatusNotFound)
	tell("ry", "payout.processed", "processed", "hook", 300_00, http.StatusNotFound)
	tell("rx", "payout.processed", "processed", "hook", 301_00, http.StatusOK) // not this one's amount
	is("processing", 695*money.Rupee)
	tell("rx", "payout.processed", "processed", "hook", 300_00, http.StatusOK)
	tell("rx", "payout.processed", "processed", "hook", 300_00, http.StatusOK)
	tell("rx", "payout.initiated", "processing", "hook", 300_00, http.StatusOK)
	is("success", 695*money.Rupee)
	tell("rx", "payout.reversed", "reversed", "hook", 300_00, http.StatusOK)
	tell("rx", "payout.processed", "processed", "hook", 300_00, http.StatusOK)
	tell("rx", "payout.reversed", "reversed", "hook", 300_00, http.StatusOK)
	is("failed", 1000*money.Rupee)
}

// razorpayX stands in for the provider: every payout is under way.
type razorpayX struct {
	*httptest.Server
	asked chan map[string]any
}

func newRazorpayX(t *testing.T) *razorpayX {
	t.Helper()
	x := &razorpayX{asked: make(chan map[string]any, 1)}
	var account any
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked map[string]any
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				http.Error(w, "no JSON", http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"entity": "collection", "count": 0, "items": []any{}}
		switch {
		case r.URL.Path == "/v1/contacts":
			answer = map[string]any{"id": "cont_1", "entity": "contact", "active": true}
		case r.URL.Path == "/v1/fund_accounts":
			account = asked["bank_account"]
			answer = map[string]any{"id": "fa_1", "entity": "fund_account", "contact_id": "cont_1", "account_type": "bank_account", "active": true, "bank_account": account}
		case r.Method == http.MethodPost:
			answer = asked
			answer["id"], answer["entity"], answer["status"], answer["created_at"] = "pout_1", "payout", "processing", time.Now().Unix()
			x.asked <- maps.Clone(answer)
		case strings.HasSuffix(r.URL.Path, "/pout_1"):
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(x.Close)
	return x
}
