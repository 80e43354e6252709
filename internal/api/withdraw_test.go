package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// vault is a double of the office and of what is read of withdrawals.
type vault struct {
	heard []byte
	asked []payout.Request
	made  payout.Withdrawal
	err   error
}

func (v *vault) Create(_ context.Context, r payout.Request) (*payout.Withdrawal, error) {
	v.asked = append(v.asked, r)
	v.made.Key = r.Key
	return &v.made, v.err
}

func (v *vault) TakeNews(_ context.Context, desk string, _ http.Header, body []byte) error {
	if desk != "rx" {
		return fmt.Errorf("desk %s: %w", desk, payout.ErrStranger)
	}
	v.heard = body
	return v.err
}

func (v *vault) FindWithdrawalByKey(_ context.Context, key payout.Key) (*payout.Withdrawal, error) {
	if v.made.Key != key {
		return nil, payout.ErrNoWithdrawal
	}
	return &v.made, nil
}

func (v *vault) MerchantBalance(_ context.Context, merchant string) (available, held money.Paise, err error) {
	if merchant != "shop" {
		return 0, 0, fmt.Errorf("asked for %s", merchant)
	}
	return 1000_50, 20_00, nil
}

const (
	withdrawalBody = `{"withdrawal_id":%q,"payment_system":"imps_ib","amount":1218,"currency_code":"INR","is_test":false,"label":"125199",` +
		`"account_number":"123456789","account_name":"TestNameAcc","bank_details":{"branch_code":"ICIC0123456"},"payments_details":{},"signature":%q}`
	withdrawalValues = "TestNameAcc:123456789:1218:ICIC0123456:INR::125199:imps_ib::"
)

func (h *house) withdraw(host, target, body string) *httptest.ResponseRecorder {
	r := request(http.MethodPost, target, body)
	r.Host = host
	return h.do(r)
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	good := fmt.Sprintf(withdrawalBody, "297", payout.Sign("wkey", withdrawalValues+"297"))
	expect(t, h.withdraw("api.shop.localhost", "/v2/withdrawal/create", good), 200, `{"status":"ok","withdrawal_id":"297"}`)
	expect(t, h.withdraw("gateway", "/v2/withdrawal/create?merchant=shop", good), 200, `{"status":"ok","withdrawal_id":"297"}`)
	want := payout.Request{
		Key: payout.Key{Merchant: "shop", WithdrawalID: "297"}, Method: "imps_ib", Label: "125199", Amount: 1218 * money.Rupee, Currency: money.INR,
		Beneficiary: payout.Beneficiary{Account: "123456789", Name: "TestNameAcc", IFSC: "ICIC0123456"}, CreatedBy: "api:shop",
	}
	for _, got := range h.vault.asked {
		if got != want {
			t.Errorf("asked the office for %+v", got)
		}
	}
	h.vault.asked = nil

	for _, tt := range []struct {
		name, host, target, body string
		status                   int
	}{
		{"another key", "api.shop.localhost", "/v2/withdrawal/create", fmt.Sprintf(withdrawalBody, "297", payout.Sign("other", withdrawalValues+"297")), 403},
		{"another amount", "api.shop.localhost", "/v2/withdrawal/create", strings.Replace(good, "1218", "1219", 1), 403},
		{"another merchant's host", "api.other.example", "/v2/withdrawal/create", good, 403},
		{"nobody", "gateway", "/v2/withdrawal/create", good, 404},
		{"a merchant that is gone", "gateway", "/v2/withdrawal/create?merchant=gone", good, 404},
		{"the payment window's host", "plugin.shop.localhost", "/v2/withdrawal/create", good, 404},
		{"no JSON", "api.shop.localhost", "/v2/withdrawal/create", "x", 400},
		{"a field twice", "api.shop.localhost", "/v2/withdrawal/create", strings.Replace(good, `"amount":1218`, `"amount":1,"amount":1218`, 1), 400},
		{"a colon", "api.shop.localhost", "/v2/withdrawal/create", fmt.Sprintf(withdrawalBody, "29:7", payout.Sign("wkey", withdrawalValues+"29:7")), 400},
	} {
		if w := h.withdraw(tt.host, tt.target, tt.body); w.Code != tt.status {
			t.Errorf("%s answers %d: %s", tt.name, w.Code, w.Body)
		}
	}
	if len(h.vault.asked) > 0 {
		t.Errorf("asked the office for %+v", h.vault.asked)
	}
	if strings.Contains(h.log.String(), "123456789") {
		t.Error("the log holds an account number")
	}
}

// TestWithdrawFields: what is wrong with a request that is signed.
func TestWithdrawFields(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	for _, tt := range []struct{ field, value, signed, why string }{
		{"amount", `"x"`, "x", "amount"},
		{"amount", `1.005`, "1.005", "amount"},
		{"amount", `0`, "0", "amount"},
		{"account_number", `"12345678"`, "12345678", "account_number"},
		{"account_number", `"12345678a"`, "12345678a", "account_number"},
		{"account_name", `"Name 1"`, "Name 1", "account_name"},
		{"account_name", `"` + strings.Repeat("a", 31) + `"`, strings.Repeat("a", 31), "account_name"},
		{"bank_details", `{"branch_code":"icic0123456"}`, "icic0123456", "bank_details.branch_code"},
		{"bank_details", `{}`, "", "bank_details.branch_code"},
		{"currency_code", `"USD"`, "USD", "currency_code"},
		{"is_test", `"yes"`, "yes", "is_test"},
		{"label", `"` + strings.Repeat("a", 37) + `"`, strings.Repeat("a", 37), "label"},
		{"payments_details", `"x"`, "x", "payments_details"},
		{"withdrawal_id", `""`, "", "withdrawal_id"},
	} {
		values := map[string][2]string{ // as sent, as signed
			"account_name": {`"TestNameAcc"`, "TestNameAcc"}, "account_number": {`"123456789"`, "123456789"}, "amount": {`1218`, "1218"},
			"bank_details": {`{"bank_code":"ICIC0123456"}`, "ICIC0123456"}, "currency_code": {`"INR"`, "INR"}, "is_test": {`null`, ""},
			"label": {`"125199"`, "125199"}, "payment_system": {`"imps_ib"`, "imps_ib"}, "payments_details": {`{}`, ""}, "withdrawal_id": {`"297"`, "297"},
		}
		values[tt.field] = [2]string{tt.value, tt.signed}
		names := []string{"account_name", "account_number", "amount", "bank_details", "currency_code", "is_test", "label", "payment_system", "payments_details", "withdrawal_id"}
		var body, signed []string
		for _, name := range names {
			body = append(body, fmt.Sprintf("%q:%s", name, values[name][0]))
			signed = append(signed, values[name][1])
		}
		body = append(body, fmt.Sprintf(`"signature":%q`, payout.Sign("wkey", strings.Join(signed, ":"))))
		w := h.withdraw("api.shop.localhost", "/v2/withdrawal/create", "{"+strings.Join(body, ",")+"}")
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"`+tt.why+`":[`) {
			t.Errorf("%s %s answers %d: %s", tt.field, tt.value, w.Code, w.Body)
		}
	}
	if len(h.vault.asked) > 0 {
		t.Errorf("asked the office for %+v", h.vault.asked)
	}
}

func TestWithdrawRefused(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	body := fmt.Sprintf(withdrawalBody, "297", payout.Sign("wkey", withdrawalValues+"297"))
	h.vault.err = &payout.Refusal{Code: payout.InsufficientBalance, Message: "Insufficient balance"}
	expect(t, h.withdraw("api.shop.localhost", "/v2/withdrawal/create", body), 200, `{"status":"fail","message":{"withdrawals_sum_amount":["Insufficient balance"]}}`)
	h.vault.err = &payout.Refusal{Code: payout.DayLimit, Message: "The most for a day is reached"}
	expect(t, h.withdraw("api.shop.localhost", "/v2/withdrawal/create", body), 200, `{"status":"fail","message":"The most for a day is reached"}`)
	h.vault.err = fmt.Errorf("a hidden detail")
	if w := h.withdraw("api.shop.localhost", "/v2/withdrawal/create", body); w.Code != 500 || strings.Contains(w.Body.String(), "hidden") {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}

func TestWithdrawalStatusAndBalance(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	h.vault.made = payout.Withdrawal{
		Key: payout.Key{Merchant: "shop", WithdrawalID: "297"}, Label: "55", Amount: 500_50, Currency: money.INR, State: payout.Success,
		BankRef: "612112345701", CreatedAt: now, SettledAt: now,
	}
	get := func(target string) *httptest.ResponseRecorder { return h.do(request(http.MethodGet, target, "")) }
	expect(t, get("/v2/withdrawal/status?secret=s3cret&withdrawal_id=297"), 200, `{"status":"ok","withdrawal_id":"297","withdrawal_status":"success","amount":500.5,`+
		`"currency_code":"INR","label":"55","transaction_id":"612112345701","created_datetime":"2026-01-02 15:04:05","settled_datetime":"2026-01-02 15:04:05"}`)
	h.vault.made.State, h.vault.made.BankRef = payout.Processing, ""
	expect(t, get("/v2/withdrawal/status?secret=s3cret&withdrawal_id=297"), 200, `{"status":"ok","withdrawal_id":"297","withdrawal_status":"processing","amount":500.5,`+
		`"currency_code":"INR","label":"55","transaction_id":null,"created_datetime":"2026-01-02 15:04:05","settled_datetime":null}`)
	expect(t, get("/v2/withdrawal/status?secret=s3cret&withdrawal_id=298"), 200, `{"status":"fail","message":"This withdrawal_id is not known: create the withdrawal first"}`)
	expect(t, get("/v2/withdrawal/status?secret=wrong&withdrawal_id=297"), 404, "Not found")
	if w := get("/v2/withdrawal/status?secret=other-s3cret&withdrawal_id=297"); !strings.Contains(w.Body.String(), "not known") {
		t.Errorf("another merchant sees %s", w.Body)
	}
	expect(t, get("/v2/balance?secret=s3cret"), 200, `{"status":"ok","balances":[{"currency_code":"INR","balance":1020.5,"held":20,"available":1000.5}]}`)
}

func TestPayoutNews(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, path string
		err                error
		status             int
	}{
		{"heard", http.MethodPost, "/payouts/rx", nil, http.StatusOK},
		{"another desk", http.MethodPost, "/payouts/ry", nil, http.StatusNotFound},
		{"a stranger", http.MethodPost, "/payouts/rx", fmt.Errorf("rx: %w", payout.ErrStranger), http.StatusNotFound},
		{"what can't be read", http.MethodPost, "/payouts/rx", fmt.Errorf("rx: %w", payout.ErrNews), http.StatusBadRequest},
		{"a passing fault, to be sent again", http.MethodPost, "/payouts/rx", errors.New("no database"), http.StatusInternalServerError},
		{"another HTTP method", http.MethodGet, "/payouts/rx", nil, http.StatusMethodNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{})
			h.vault.err = tt.err
			rec := h.do(request(tt.method, tt.path, `{"event":"payout.processed"}`))
			if rec.Code != tt.status {
				t.Errorf("answered %d %s", rec.Code, rec.Body)
			}
			if heard := string(h.vault.heard) == `{"event":"payout.processed"}`; heard != (tt.method == http.MethodPost && tt.path == "/payouts/rx") {
				t.Errorf("heard %s", h.vault.heard)
			}
		})
	}
}
