package server_test

import (
	"context"
	"errors"
	"log/slog"
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
