package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/internal/settlement"
)

// An operator settles a balance to an account that was registered a moment ago:
// a second person approves it, a running gateway pays it, and the report says so.
func TestSettleByCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr := porttest.FreeAddr(t)
	settings := []string{"--database-url", "sqlite://" + filepath.Join(dir, "milaan.db"), "--listen", addr, "--admin-listen", "127.0.0.1:0", "--log-level", "error"}
	milaan := func(wantCode int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), append(args, settings...), &out, &out); code != wantCode {
			t.Errorf("milaan %s ended with %d:\n%s", strings.Join(args, " "), code, out.String())
		}
		return out.String()
	}
	says := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("no %q in\n%s", text, out)
			}
		}
	}
	file := filepath.Join(dir, "shop.yaml")
	// An account that ends in 01 is one that the sandbox pays.
	if err := os.WriteFile(file, []byte(`
merchants:
- id: shop
  plugin_api_secret: s3cret
  fee: {deposit_percent: 1, withdrawal_percent: 0.5, withdrawal_fixed: 2}
  settlement: {account_number: "998877665501", account_name: Shop Traders, ifsc: HDFC0000001, method: imps_ib, schedule: daily, at: "18:00", least: 100, keep: 50}
wallets:
- {id: till, method: upi_l, vpa: shop@upi, merchants: [shop]}
feeds:
- {id: bank, kind: json, wallet: till, token: token}
payouts:
- {id: desk, kind: sandbox, method: imps_ib, max: 600, approve_above: 1000}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	milaan(exitDone, "apply", file)
	says(milaan(exitFailed, "settle", "shop"), "there is nothing to settle: the balance is ₹0.00")
	says(milaan(exitFailed, "settle", "nobody"), `there is no merchant "nobody"`)
	says(milaan(exitUsage, "settle", "shop", "--amount", "lots"), "--amount")
	says(milaan(exitDone, "settle", "list"), "no settlements")

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
		for range 200 {
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
				t.Fatalf("%s answered %d", path, resp.StatusCode)
			}
			return
		}
		t.Fatal("the gateway does not answer")
	}
	post("/feeds/bank", "token", `{"credits":[{"utr":"321323438267","amount":"1000.00"}]}`)
	post("/api/v1/transaction/activate", "s3cret",
		`{"currency_code":"INR","wallet_type":"upi_l","label":"55","key1":"321323438267","amount":1000,"custom_transaction_id":"order-1"}`)

	// 990 came, 50 stays; 600 cost 5, and 331.34 cost 3.66.
	says(milaan(exitDone, "settle", "shop", "--dry-run"), "would pay ₹931.34 to xxxxxxxx5501, HDFC0000001, as ₹600.00 + ₹331.34, with a fee of ₹8.66; ₹50.00 would stay",
		"somebody else would have to approve it", "nothing was paid")
	says(milaan(exitFailed, "settle", "shop", "--amount", "931.35"), "at most ₹931.34 can now")
	out := milaan(exitDone, "settle", "shop", "--id", "november", "--actor", "asha")
	says(out, "settlement-november: ₹931.34 to xxxxxxxx5501, HDFC0000001, with a fee of ₹8.66", "of ₹600.00 is new (account_new): somebody else approves it with milaan payout approve")
	if again := milaan(exitDone, "settle", "shop", "--id", "november", "--actor", "asha"); again != out {
		t.Errorf("the same again prints\n%s", again)
	}
	var payouts []string
	for line := range strings.Lines(out) {
		if number, ok := strings.CutPrefix(line, "payout "); ok {
			payouts = append(payouts, strings.Fields(number)[0])
		}
	}
	for _, number := range payouts {
		says(milaan(exitFailed, "payout", "approve", number, "--actor", "asha"), "can't approve it")
		says(milaan(exitDone, "payout", "approve", number, "--actor", "ravi"), "is approved")
	}
	says(milaan(exitDone, "settle", "list", "--merchant", "shop"), "settlement-november", "₹931.34", "operator:asha")

	report := func(args ...string) string {
		t.Helper()
		return milaan(exitDone, append([]string{"settle", "report", "shop"}, args...)...)
	}
	paid := false
	for range 400 {
		if paid = strings.Count(report("--settlement", "november"), "  success  ") == 2; paid {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !paid {
		t.Errorf("not paid:\n%s", report("--settlement", "november"))
	}
	says(report("--settlement", "settlement-november"), "settlement-november of shop, the beginning to ", "₹1,000.00", "-₹931.34", "-₹8.66", "₹50.00")
	says(report(), "balance of shop", "Opening balance")
	var got settlement.Report
	if err := json.Unmarshal([]byte(report("--format", "json")), &got); err != nil || got.Opening != 50_00 || got.Closing != 50_00 || len(got.Payouts) != 0 {
		t.Errorf("since then it reports %+v, %v", got, err)
	}
	today := time.Now().Add(24 * time.Hour).Format(time.DateOnly)
	rows, err := csv.NewReader(strings.NewReader(report("--from", "2026-01-01", "--to", today, "--format", "csv"))).ReadAll()
	if err != nil || len(rows) != 14 || rows[1][4] != "opening" || rows[1][6] != "0.00" || rows[11][4] != "closing" || rows[11][6] != "50.00" {
		t.Errorf("in all it reports %q, %v", rows, err)
	}
	says(milaan(exitFailed, "settle", "report", "shop", "--settlement", "none"), "no such settlement")
	says(milaan(exitFailed, "settle", "report", "shop", "--from", "2026-02-01", "--to", "2026-01-01"), "ends before it begins")
	says(milaan(exitUsage, "settle", "report", "shop", "--from", "yesterday"), "is no day or time")
	says(milaan(exitUsage, "settle", "report", "shop", "--to", "2026-01-01"), "--to needs --from")
	says(milaan(exitUsage, "settle", "report", "shop", "--format", "xml"), "format")
	says(milaan(exitDone, "verify"), "every invariant holds")
}
