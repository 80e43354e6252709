package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
)

// outcomes are the protocol's answers, byte for byte.
var outcomes = []struct {
	name  string
	claim deposit.Claim
	want  string
}{
	{"ok", credited(500 * money.Rupee), `{"status":"ok","deposit":true,"deposit_amount":500,"currency":{"code":"INR","symbol":"INR"}}`},
	{"ok with paise", credited(500_50), `{"status":"ok","deposit":true,"deposit_amount":500.5,"currency":{"code":"INR","symbol":"INR"}}`},
	{"ok below a rupee", credited(10), `{"status":"ok","deposit":true,"deposit_amount":0.1,"currency":{"code":"INR","symbol":"INR"}}`},
	{"ok beyond a float", credited(90071992547409_93), `{"status":"ok","deposit":true,"deposit_amount":90071992547409.93,"currency":{"code":"INR","symbol":"INR"}}`},
	{"pending", in(deposit.Pending), `{"status":"pending","message":"The deposit status check has been started. The operation may take longer than expected. Upon completion of the verification, the funds will be credited to your account"}`},
	{"waiting", in(deposit.Waiting), `{"status":"possible_transaction_created","message":"Transaction not found. Possible transaction created"}`},
	{"refused", in(deposit.Refused), `{"status":"fail","message":"This UTR has already been used for another payment: check it and try again"}`},
	{"rejected", in(deposit.Rejected), `{"status":"fail","message":"This payment was checked and rejected: contact support"}`},
	{"expired", in(deposit.Expired), `{"status":"fail","message":"No payment with this UTR arrived in time: check the UTR and try again"}`},
}

func in(state deposit.State) deposit.Claim {
	return deposit.Claim{
		ID: 7, Merchant: "shop", CustomID: "123465477897", Label: "55", State: state,
		Currency: money.INR, CreatedAt: now, SettledAt: now,
	}
}

func TestActivateOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{claim: tt.claim})
			expect(t, h.post(activateURL, activation), 200, tt.want)
			if got := h.desk.activations; len(got) != 1 || got[0] != activated {
				t.Errorf("asked the desk for %+v", got)
			}
		})
	}
}

func TestErrorsOfTheDesk(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		desk   desk
		status int
		retry  string
		want   string
	}{
		{"refusal", desk{err: &deposit.Refusal{Code: deposit.MethodOff, Message: "Payment method upi_l is switched off"}},
			200, "", `{"status":"fail","message":"Payment method upi_l is switched off"}`},
		{"busy", desk{err: deposit.ErrBusy}, 503, "1", `{"status":"fail","message":"Too many requests are waiting: try again shortly"}`},
		{"closed", desk{err: deposit.ErrClosed}, 503, "1", `{"status":"fail","message":"The gateway is shutting down: try again shortly"}`},
		{"other", desk{err: errors.New("a hidden detail")}, 500, "", `{"status":"fail","message":"Internal error: try again"}`},
		{"panic", desk{panics: true}, 500, "", `{"status":"fail","message":"Internal error: try again"}`},
		{"unknown state", desk{claim: deposit.Claim{State: "a hidden detail"}}, 500, "", `{"status":"fail","message":"Internal error: try again"}`},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &tt.desk)
			w := h.post(activateURL, activation)
			expect(t, w, tt.status, tt.want)
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After %q, want %q", got, tt.retry)
			}
			if log := h.log.String(); strings.Contains(log, "a hidden detail") != (tt.status == 500) || strings.Contains(log, "s3cret") {
				t.Errorf("log %s", log)
			}
		})
	}
}

// with is the activation with one field in another spelling.
func with(field, value string) string {
	fields := map[string]string{
		"currency_code": `"INR"`, "wallet_type": `"upi_l"`, "label": `"55"`, "key1": `"321323438267"`,
		"amount": `500`, "custom_transaction_id": `"123465477897"`,
	}
	fields[field] = value
	var b strings.Builder
	b.WriteByte('{')
	for _, f := range []string{"currency_code", "wallet_type", "label", "key1", "amount", "custom_transaction_id"} {
		if fields[f] != "" {
			fmt.Fprintf(&b, "%q:%s,", f, fields[f])
		}
	}
	return b.String() + `"unknown":[{}]}`
}

func TestActivateReadsLeniently(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field, value string
		change       func(*deposit.Activation)
	}{
		{"label", `55`, func(*deposit.Activation) {}},
		{"label", `" 55\n"`, func(*deposit.Activation) {}},
		{"label", `"\u0035\u0035"`, func(*deposit.Activation) {}},
		{"label", `5.50e1`, func(a *deposit.Activation) { a.Label = "5.50e1" }},
		{"label", `-0`, func(a *deposit.Activation) { a.Label = "-0" }},
		{"label", `1e400`, func(a *deposit.Activation) { a.Label = "1e400" }},
		{"label", `"राम <b>&\/"`, func(a *deposit.Activation) { a.Label = "राम <b>&/" }},
		{"label", `"` + strings.Repeat("र", 190) + `"`, func(a *deposit.Activation) { a.Label = strings.Repeat("र", 190) }},
		{"label", `"first","label":"last"`, func(a *deposit.Activation) { a.Label = "last" }},
		{"label", `"55","Label":"other"`, func(*deposit.Activation) {}},
		{"key1", `321323438267`, func(*deposit.Activation) {}},
		{"key1", `"001718859181"`, func(a *deposit.Activation) { a.UTR = "001718859181" }},
		{"currency_code", `"inr"`, func(*deposit.Activation) {}},
		{"currency_code", `"USD"`, func(a *deposit.Activation) { a.Currency = "USD" }},
		{"custom_transaction_id", `12345678901234567890123`, func(a *deposit.Activation) { a.CustomID = "12345678901234567890123" }},
		{"amount", `"500.00"`, func(*deposit.Activation) {}},
		{"amount", `" 500 "`, func(*deposit.Activation) {}},
		{"amount", `5e2`, func(*deposit.Activation) {}},
		{"amount", `500.000`, func(*deposit.Activation) {}},
		{"amount", `0.29`, func(a *deposit.Activation) { a.Amount = 29 }},
		{"amount", `"1,00,000.50"`, func(a *deposit.Activation) { a.Amount = 100_000_50 }},
		{"amount", `90071992547409.93`, func(a *deposit.Activation) { a.Amount = 90071992547409_93 }},
		{"amount", `0.` + strings.Repeat("1", 2) + strings.Repeat("0", 252), func(a *deposit.Activation) { a.Amount = 11 }},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{claim: in(deposit.Waiting)})
			if w := h.post(activateURL, with(tt.field, tt.value)); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			want := activated
			tt.change(&want)
			if got := h.desk.activations[0]; got != want {
				t.Errorf("read %+v, want %+v", got, want)
			}
		})
	}
}

const notValid = `{"status":"fail","message":"The request is not valid: correct what errors names and send it again","errors":`

func TestActivateRefusesFields(t *testing.T) {
	t.Parallel()
	const (
		required = "is required"
		str      = "must be a string"
		plain    = "must be plain text without control or broken characters"
		twelve   = "must be the UTR of the payment: 12 digits"
		rupees   = "must be a number, such as 500 or 500.50"
		positive = "must be greater than 0"
		decimals = "must have at most two decimals"
		rang     = "is out of range"
	)
	tests := []struct{ field, value, why string }{
		{"label", ``, required},
		{"label", `null`, required},
		{"label", `""`, required},
		{"label", `" \t "`, required},
		{"label", `true`, str},
		{"label", `{"a":1}`, str},
		{"label", `["55"]`, str},
		{"label", `"` + strings.Repeat("र", 191) + `"`, "must have at most 190 characters"},
		{"label", `1` + strings.Repeat("0", 190), "must have at most 190 characters"},
		{"label", `"a\u0000b"`, plain},
		{"label", `"a\u007fb"`, plain},
		{"label", `"a\nb"`, plain},
		{"label", `"a\ud800b"`, plain},
		{"label", `"55","label":null`, required},
		{"wallet_type", `"upi\u0000"`, plain},
		{"currency_code", `""`, required},
		{"currency_code", `"RUPEE"`, "must be a currency code of 3 letters, such as INR"},
		{"currency_code", `356`, "must be a currency code of 3 letters, such as INR"},
		{"key1", `"32132343826"`, twelve},
		{"key1", `"3213234382671"`, twelve},
		{"key1", `"32132343826a"`, twelve},
		{"key1", `"३२१३२३४३८२६७"`, twelve},
		{"key1", `3.21323438267e11`, twelve},
		{"key1", `-21323438267`, twelve},
		{"key1", `false`, str},
		{"amount", ``, required},
		{"amount", `""`, required},
		{"amount", `null`, required},
		{"amount", `0`, positive},
		{"amount", `-0`, positive},
		{"amount", `-0.0e5`, positive},
		{"amount", `-5`, positive},
		{"amount", `500.005`, decimals},
		{"amount", `1e-3`, decimals},
		{"amount", `1e400`, rang},
		{"amount", `1e999999999999999999999`, rang},
		{"amount", `92233720368547758.08`, rang},
		{"amount", `"five"`, rupees},
		{"amount", `"NaN"`, rupees},
		{"amount", `"0x10"`, rupees},
		{"amount", `"50,0"`, rupees},
		{"amount", `true`, "must be a number"},
		{"amount", `[500]`, "must be a number"},
		{"amount", `1` + strings.Repeat("0", 256), "must have at most 256 characters"},
		{"custom_transaction_id", ``, required},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{})
			expect(t, h.post(activateURL, with(tt.field, tt.value)), 400, fmt.Sprintf(`%s{%q:[%q]}}`, notValid, tt.field, tt.why))
			if len(h.desk.activations) > 0 {
				t.Error("it reached the desk")
			}
		})
	}
	t.Run("all at once, in the protocol's order", func(t *testing.T) {
		t.Parallel()
		expect(t, open(t, &desk{}).post(activateURL, `{"amount":"x","key1":"1"}`), 400, notValid+
			`{"currency_code":["is required"],"wallet_type":["is required"],"label":["is required"],`+
			`"key1":["must be the UTR of the payment: 12 digits"],"amount":["must be a number, such as 500 or 500.50"],`+
			`"custom_transaction_id":["is required"]}}`)
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	inBody := func(why string) string { return fmt.Sprintf(`%s{"body":[%q]}}`, notValid, why) }
	syntax := func(at int) string {
		return inBody(fmt.Sprintf(`must be JSON in double quotes, such as {"currency":"INR"}; it goes wrong at byte %d`, at))
	}
	const object = "must be a JSON object"
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"empty", ``, 400, syntax(0)},
		{"single quotes", `{'currency': 'INR'}`, 400, syntax(2)},
		{"form", `currency_code=INR&label=55`, 400, syntax(1)},
		{"garbage behind", activation + `x`, 400, syntax(len(activation) + 1)},
		{"two objects", `{}{}`, 400, syntax(3)},
		{"cut off", activation[:40], 400, syntax(40)},
		{"null", `null`, 400, inBody(object)},
		{"list", `[` + activation + `]`, 400, inBody(object)},
		{"string", `"x"`, 400, inBody(object)},
		{"invalid UTF-8", with("label", "\"a\xffb\""), 400, inBody("must be valid UTF-8")},
		{"a raw NUL", with("label", "\"a\x00b\""), 400, syntax(56)},
		{"deep nesting", with("label", strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), 400, syntax(10_053)},
		{"shallow enough nesting", with("label", strings.Repeat("[", 5_000)+strings.Repeat("]", 5_000)), 400, notValid + `{"label":["must be a string"]}}`},
		{"too large", with("unknown", `"`+strings.Repeat("x", 1<<20)+`"`) + strings.Repeat(" ", 1<<20), 413,
			`{"status":"fail","message":"The request is too large: send it in smaller pieces","errors":{"body":["must have at most 1048576 bytes"]}}`},
		{"just small enough", activation + strings.Repeat(" ", 1<<20-len(activation)), 200, outcomes[5].want},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{claim: in(deposit.Waiting)})
			expect(t, h.post(activateURL, tt.body), tt.status, tt.want)
		})
	}
	t.Run("too large, of unknown length", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodPost, activateURL, strings.Repeat(" ", 1<<20+1))
		r.ContentLength = -1
		if w := open(t, &desk{}).do(r); w.Code != 413 {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("of any content type", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodPost, activateURL, activation)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		expect(t, open(t, &desk{claim: in(deposit.Waiting)}).do(r), 200, outcomes[5].want)
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	shown := deposit.Assignment{Wallet: "w1", ExpiresAt: now.Add(30 * time.Minute)}
	tests := []struct {
		name, path, body string
		want             string
		asked            deposit.AssignmentRequest
	}{
		{"without an amount", "upi_l", `{"currency":"INR","label":"eligendi"}`,
			`{"status":"ok","params":{"identifier":"test@upi","name":"Test & Sons","upi_link":"upi://pay?pa=test@upi&pn=Test%20%26%20Sons&cu=INR","expires_at":"2026-01-02T15:34:05+05:30"}}`,
			deposit.AssignmentRequest{Merchant: "shop", Method: "upi_l", Label: "eligendi", Currency: money.INR}},
		{"with an amount", "upi_l", `{"currency":"INR","label":55,"amount":"500.50"}`,
			`{"status":"ok","params":{"identifier":"test@upi","name":"Test & Sons","upi_link":"upi://pay?pa=test@upi&pn=Test%20%26%20Sons&am=500.50&cu=INR","expires_at":"2026-01-02T15:34:05+05:30"}}`,
			deposit.AssignmentRequest{Merchant: "shop", Method: "upi_l", Label: "55", Currency: money.INR, Amount: 500_50}},
		{"any method is the desk's to know", "no%2Fsuch", `{"currency":"INR","label":"x","amount":null}`,
			`{"status":"ok","params":{"identifier":"test@upi","name":"Test & Sons","upi_link":"upi://pay?pa=test@upi&pn=Test%20%26%20Sons&cu=INR","expires_at":"2026-01-02T15:34:05+05:30"}}`,
			deposit.AssignmentRequest{Merchant: "shop", Method: "no/such", Label: "x", Currency: money.INR}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{assignment: shown})
			expect(t, h.post("/api/v1/transaction/create/"+tt.path+"?secret=s3cret", tt.body), 200, tt.want)
			if got := h.desk.assigns; len(got) != 1 || got[0] != tt.asked {
				t.Errorf("asked the desk for %+v", got)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		h := open(t, &desk{err: &deposit.Refusal{Code: deposit.NoHeadroom, Message: "No wallet is free"}})
		expect(t, h.post(createURL, `{"currency":"INR","label":"x"}`), 200, `{"status":"fail","message":"No wallet is free"}`)
	})
	t.Run("not valid", func(t *testing.T) {
		t.Parallel()
		h := open(t, &desk{})
		expect(t, h.post("/api/v1/transaction/create/a%00b?secret=s3cret", `{"amount":0}`), 400, notValid+
			`{"wallet_type":["must be plain text without control or broken characters"],"currency":["is required"],`+
			`"label":["is required"],"amount":["must be greater than 0"]}}`)
		expect(t, h.post("/api/v1/transaction/create/a%ffb?secret=s3cret", `{"currency":"INR","label":"x"}`), 400, notValid+
			`{"wallet_type":["must be plain text without control or broken characters"]}}`)
	})
	t.Run("a wallet that left the directory", func(t *testing.T) {
		t.Parallel()
		h := open(t, &desk{assignment: deposit.Assignment{Wallet: "w9"}})
		expect(t, h.post(createURL, `{"currency":"INR","label":"x"}`), 500, `{"status":"fail","message":"Internal error: try again"}`)
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{})
			tt.claim.ExpiresAt = now.Add(time.Hour)
			h.store.claims[tt.claim.Key()] = &tt.claim
			dates := `,"custom_transaction_id":"123465477897","label":"55","created_datetime":"2026-01-02 15:04:05","activated_datetime":`
			if tt.claim.State == deposit.Credited {
				dates += `"2026-01-02 15:04:07"}`
			} else {
				dates += `null}`
			}
			expect(t, h.get(statusURL+"123465477897"), 200, strings.TrimSuffix(tt.want, "}")+dates)
		})
	}
	const unknown = `{"status":"fail","message":"This custom_transaction_id is not known: activate the payment first"}`
	claim := credited(100)
	h := open(t, &desk{})
	h.store.claims[claim.Key()] = &claim
	expect(t, h.get(statusURL+"none"), 200, unknown)
	expect(t, h.get("/api/v1/transaction/status?secret=other-s3cret&custom_transaction_id=123465477897"), 200, unknown)
	for id, why := range map[string]string{
		"":                       "is required",
		strings.Repeat("1", 191): "must have at most 190 characters",
		"a\x00b":                 "must be plain text without control or broken characters",
		"a\xffb":                 "must be plain text without control or broken characters",
	} {
		expect(t, h.get(statusURL+url.QueryEscape(id)), 400, notValid+`{"custom_transaction_id":["`+why+`"]}}`)
	}
	h.store.err = errors.New("a hidden detail")
	expect(t, h.get(statusURL+"none"), 500, `{"status":"fail","message":"Internal error: try again"}`)
}

func TestAvailable(t *testing.T) {
	t.Parallel()
	const (
		inr    = `{"status":"ok","params":{"currency_data":[{"code":"INR","symbol":"₹"}],"wallets":[`
		upi    = `{"type":"upi_l","currency_code":"INR","order":1,"name":"UPI","logo":"https://example.com/assets/methods/upi.svg","is_manual":true}`
		hindi  = `{"type":"upi_l","currency_code":"INR","order":1,"name":"यूपीआई","logo":"https://example.com/assets/methods/upi.svg","is_manual":true}`
		wallet = `{"type":"upi_w","currency_code":"INR","order":2,"name":"UPI wallet","logo":"https://example.com/assets/methods/upi.svg","is_manual":true}`
		end    = `]}}`
		none   = `{"status":"ok","params":{"currency_data":[],"wallets":[]}}`
	)
	tests := []struct {
		name, query string
		used        money.Paise
		want        string
	}{
		{"all", "&currency_code[]=INR&label=55", 0, inr + upi + "," + wallet + end},
		{"no currency named", "", 0, inr + upi + "," + wallet + end},
		{"the last paisa of the limit", "", 999_99, inr + upi + "," + wallet + end},
		{"a full wallet", "", 1000_00, inr + wallet + end},
		{"hindi", "&lang=hi", 0, inr + hindi + "," + wallet + end},
		{"unknown language", "&lang=xx", 0, inr + upi + "," + wallet + end},
		{"plain", "&currency_code=inr", 0, inr + upi + "," + wallet + end},
		{"numbered list", "&currency_code%5B0%5D=USD&currency_code%5B1%5D=INR", 0, inr + upi + "," + wallet + end},
		{"other currency", "&currency_code[]=USD&currency_code[]=EUR", 0, none},
		{"no currency at all", "&currency_code[]=%00", 0, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{})
			h.store.use = map[string]money.Paise{"w1": tt.used}
			expect(t, h.get(availURL+tt.query), 200, tt.want)
		})
	}
	t.Run("the merchant's own switches", func(t *testing.T) {
		t.Parallel()
		expect(t, open(t, &desk{}).get("/api/v1/payment-systems/available?secret=other-s3cret"), 200, inr+upi+end)
	})
	t.Run("the store is asked once a second, and anew on a new day", func(t *testing.T) {
		t.Parallel()
		h := open(t, &desk{})
		h.clock = time.Date(2026, 1, 2, 18, 29, 58, 500_000_000, time.UTC)
		for _, wait := range []time.Duration{0, 999 * time.Millisecond, time.Millisecond, 500 * time.Millisecond, time.Millisecond} {
			h.clock = h.clock.Add(wait)
			h.get(availURL)
		}
		if want := []deposit.Day{20260102, 20260102, 20260103}; !reflect.DeepEqual(h.store.days, want) {
			t.Errorf("asked for %v, want %v", h.store.days, want)
		}
	})
	t.Run("a store that fails", func(t *testing.T) {
		t.Parallel()
		h := open(t, &desk{})
		h.store.err = errors.New("a hidden detail")
		expect(t, h.get(availURL), 500, `{"status":"fail","message":"Internal error: try again"}`)
		h.store.err = nil
		expect(t, h.get(availURL), 200, inr+upi+","+wallet+end)
	})
}
