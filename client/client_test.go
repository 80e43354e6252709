package client_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

// gateway answers with what it was told to, one answer a request, the last one
// again and again.
type gateway struct {
	*httptest.Server
	mu      sync.Mutex
	answers []answer
	asked   []asked
}

type answer struct {
	status int
	body   string
	header http.Header
	drop   bool // the connection, without an answer
}

type asked struct {
	Call   string // method, path and query
	Body   string
	Bearer string
}

func newGateway(t *testing.T, answers ...answer) *gateway {
	t.Helper()
	g := &gateway{answers: answers}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		g.asked = append(g.asked, asked{r.Method + " " + r.RequestURI, string(body), bearer})
		a := g.answers[0]
		if len(g.answers) > 1 {
			g.answers = g.answers[1:]
		}
		if a.drop {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), a.header)
		w.WriteHeader(max(a.status, http.StatusOK))
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		API: g.URL, Merchant: "shop", Secret: "s3cret", PrivateKey: "PK", WithdrawalKey: "wkey", Backoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (g *gateway) requests() []asked {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

func say(body string) answer { return answer{body: body} }

func TestCalls(t *testing.T) {
	t.Parallel()
	activation := client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 50010, CustomID: "A-1042"}
	activated := asked{"POST /api/v1/transaction/activate",
		`{"currency_code":"INR","wallet_type":"upi_l","label":"55","key1":"321323438267","amount":500.1,"custom_transaction_id":"A-1042"}`, "s3cret"}
	created := asked{"POST /api/v1/transaction/create/upi_l", `{"currency":"INR","label":"55","amount":0.1}`, "s3cret"}
	ist := time.FixedZone("", 5*3600+1800)
	for _, tt := range []struct {
		name, answer string
		status       int
		call         func(context.Context, *client.Client) (any, error)
		asked        asked
		want         any
		wantErr      string
	}{
		{
			name:   "create",
			answer: `{"status":"ok","params":{"identifier":"test@upi","name":"Test","upi_link":"upi://pay?pa=test@upi","expires_at":"2026-01-02T15:04:05+05:30"}}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				w, err := c.Create(ctx, client.Assignment{Method: "upi_l", Label: "55", Amount: 10})
				w.ExpiresAt = w.ExpiresAt.In(ist)
				return w, err
			},
			asked: created,
			want:  client.Wallet{Identifier: "test@upi", Name: "Test", UPILink: "upi://pay?pa=test@upi", ExpiresAt: time.Date(2026, 1, 2, 15, 4, 5, 0, ist)},
		},
		{
			name: "create without an amount", answer: `{"status":"fail","message":"This method is off"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Create(ctx, client.Assignment{Method: "upi_l", Label: "55"})
			},
			asked: asked{created.Call, `{"currency":"INR","label":"55"}`, "s3cret"}, want: client.Wallet{}, wantErr: "This method is off",
		},
		{
			name: "activate: ok", answer: `{"status":"ok","deposit":true,"deposit_amount":500.1,"currency":{"code":"INR","symbol":"INR"}}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Activate(ctx, activation) },
			asked: activated, want: client.Outcome{Status: client.StatusOK, Amount: 50010, Currency: money.INR},
		},
		{
			name: "activate: waiting", answer: `{"status":"possible_transaction_created","message":"Not found"}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Activate(ctx, activation) },
			asked: activated, want: client.Outcome{Status: client.StatusWaiting, Message: "Not found"},
		},
		{
			name: "activate: fail", answer: `{"status":"fail","message":"Used"}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Activate(ctx, activation) },
			asked: activated, want: client.Outcome{Status: client.StatusFail, Message: "Used"},
		},
		{
			name: "activate: a status of the future", answer: `{"status":"maybe"}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Activate(ctx, activation) },
			asked: activated, want: client.Outcome{}, wantErr: "does not know: maybe",
		},
		{
			name: "activate: not valid", status: http.StatusBadRequest,
			answer: `{"status":"fail","message":"Not valid","errors":{"key1":["must be 12 digits"],"amount":["is required"]}}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Activate(ctx, activation) },
			asked:  activated, want: client.Outcome{}, wantErr: "HTTP 400: Not valid; amount: is required; key1: must be 12 digits",
		},
		{
			name: "status", answer: `{"status":"ok","deposit":true,"deposit_amount":500,"currency":{"code":"INR","symbol":"INR"},` +
				`"custom_transaction_id":"A 1","label":"55","created_datetime":"2026-01-02 15:04:05","activated_datetime":"2026-01-02 15:04:06"}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "A 1") },
			asked: asked{"GET /api/v1/transaction/status?custom_transaction_id=A+1", "", "s3cret"},
			want: client.Payment{
				Outcome:  client.Outcome{Status: client.StatusOK, Amount: 50000, Currency: money.INR},
				CustomID: "A 1", Label: "55", Created: "2026-01-02 15:04:05", Activated: "2026-01-02 15:04:06",
			},
		},
		{
			name: "status: refused", answer: `{"status":"fail","message":"Used","custom_transaction_id":"A","label":"55","created_datetime":"2026-01-02 15:04:05","activated_datetime":null}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "A") },
			asked: asked{"GET /api/v1/transaction/status?custom_transaction_id=A", "", "s3cret"},
			want: client.Payment{
				Outcome:  client.Outcome{Status: client.StatusFail, Message: "Used"},
				CustomID: "A", Label: "55", Created: "2026-01-02 15:04:05",
			},
		},
		{
			name: "status: unknown", answer: `{"status":"fail","message":"not known"}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Status(ctx, "A") },
			asked: asked{"GET /api/v1/transaction/status?custom_transaction_id=A", "", "s3cret"},
			want:  client.Payment{}, wantErr: client.ErrUnknown.Error(),
		},
		{
			name: "methods", answer: `{"status":"ok","params":{"currency_data":[{"code":"INR","symbol":"₹"}],"wallets":[` +
				`{"type":"upi_l","currency_code":"INR","order":1,"name":"UPI","logo":"https://x/upi.svg","is_manual":true}]}}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Methods(ctx, "55") },
			asked: asked{"GET /api/v1/payment-systems/available?currency_code%5B%5D=INR&label=55", "", "s3cret"},
			want:  []client.Method{{Type: "upi_l", Currency: money.INR, Order: 1, Name: "UPI", Logo: "https://x/upi.svg", IsManual: true}},
		},
		{
			name: "withdrawal status", answer: `{"status":"ok","withdrawal_id":"297","withdrawal_status":"processing","amount":1218,"currency_code":"INR","transaction_id":null}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.WithdrawalStatus(ctx, "297") },
			asked: asked{"GET /v2/withdrawal/status?withdrawal_id=297", "", "s3cret"},
			want:  client.Payout{ID: "297", State: client.WithdrawalProcessing, Amount: 121800, Currency: money.INR},
		},
		{
			name: "balance", answer: `{"status":"ok","balances":[{"currency_code":"INR","balance":1000.5,"held":200,"available":800.5}]}`,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Balances(ctx) },
			asked: asked{"GET /v2/balance", "", "s3cret"},
			want:  []client.Balance{{Currency: money.INR, Total: 100050, Held: 20000, Available: 80050}},
		},
		{
			name: "a stranger", answer: "Not found", status: http.StatusNotFound,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Balances(ctx) },
			asked: asked{"GET /v2/balance", "", "s3cret"}, want: []client.Balance(nil), wantErr: client.ErrNotFound.Error(),
		},
		{
			name: "somebody else's page", answer: "<html>",
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Balances(ctx) },
			asked: asked{"GET /v2/balance", "", "s3cret"}, want: []client.Balance(nil), wantErr: "check Config.API",
		},
		{
			name: "a redirect", answer: "", status: http.StatusFound,
			call:  func(ctx context.Context, c *client.Client) (any, error) { return c.Balances(ctx) },
			asked: asked{"GET /v2/balance", "", "s3cret"}, want: []client.Balance(nil), wantErr: "HTTP 302",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, answer{status: tt.status, body: tt.answer, header: http.Header{"Location": {"/elsewhere"}}})
			got, err := tt.call(t.Context(), g.client(t))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if text := errorText(err); (tt.wantErr == "") != (err == nil) || !strings.Contains(text, tt.wantErr) {
				t.Errorf("the error is %q, want %q", text, tt.wantErr)
			}
			if diff := cmp.Diff([]asked{tt.asked}, g.requests()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestErrorsAreTyped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer answer
		want   client.Error
		is     error
	}{
		{answer{status: 404, body: "Not found"}, client.Error{Status: 404}, client.ErrNotFound},
		{
			answer{status: 400, body: `{"status":"fail","message":"No","errors":{"label":["is required"]}}`},
			client.Error{Status: 400, Message: "No", Fields: map[string][]string{"label": {"is required"}}}, nil,
		},
		{answer{body: `{"status":"fail","message":"Off"}`}, client.Error{Status: 200, Message: "Off"}, nil},
	} {
		_, err := newGateway(t, tt.answer).client(t).Create(t.Context(), client.Assignment{Method: "upi_l", Label: "55"})
		var got *client.Error
		if !errors.As(err, &got) {
			t.Errorf("%s gives %v", tt.answer.body, err)
			continue
		}
		if diff := cmp.Diff(&tt.want, got); diff != "" {
			t.Error(diff)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%v is not %v", err, tt.is)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	const ok = `{"status":"possible_transaction_created","message":"…"}`
	again := answer{status: http.StatusServiceUnavailable, body: `{"status":"fail","message":"try again"}`}
	for _, tt := range []struct {
		name    string
		answers []answer
		tries   int
		fails   bool
	}{
		{"at once", []answer{say(ok)}, 1, false},
		{"after a lost connection", []answer{{drop: true}, say(ok)}, 2, false},
		{"after being asked to", []answer{again, {status: 429, body: "{}"}, {status: 502, body: "<html>"}, {status: 500}, say(ok)}, 5, false},
		{"never", []answer{again}, 5, true},
		{"not what was refused", []answer{{status: 400, body: `{"status":"fail","message":"No"}`}, say(ok)}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, tt.answers...)
			_, err := g.client(t).Activate(t.Context(), client.Activation{Method: "upi_l", Label: "55", UTR: "321323438267", Amount: 100, CustomID: "A"})
			if (err != nil) != tt.fails {
				t.Errorf("the error is %v", err)
			}
			calls := g.requests()
			if len(calls) != tt.tries {
				t.Fatalf("%d attempts, want %d", len(calls), tt.tries)
			}
			for _, c := range calls {
				if c != calls[0] {
					t.Errorf("a repeat differs: %v", c)
				}
			}
		})
	}
}

func TestContextEndsCall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	g := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(); panic(http.ErrAbortHandler) }))
	t.Cleanup(g.Close)
	c, err := client.New(client.Config{API: g.URL, Secret: "s", Backoff: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Balances(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestTimeoutEndsAttempt(t *testing.T) {
	t.Parallel()
	g := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(g.Close)
	c, err := client.New(client.Config{API: g.URL, Secret: "s", Timeout: 20 * time.Millisecond, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Balances(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []client.Config{
		{}, {API: "shop.example", Secret: "s"}, {API: "ftp://shop.example", Secret: "s"}, {API: "https://shop.example"},
		{API: "https://u:p@shop.example", Secret: "s"}, {API: "https://shop.example?secret=s", Secret: "s"},
	} {
		if _, err := client.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// signedAs makes a withdrawal's signature as protocol section 6 has it, of the
// fields as they were sent.
func signedAs(t *testing.T, key string, fields map[string]json.RawMessage) (text, signature string) {
	t.Helper()
	var join func(map[string]json.RawMessage) string
	join = func(fields map[string]json.RawMessage) string {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			raw := fields[name]
			var s string
			var object map[string]json.RawMessage
			switch {
			case string(raw) == "true":
				s = "1"
			case string(raw) == "false" || string(raw) == "null":
			case raw[0] == '"':
				if err := json.Unmarshal(raw, &s); err != nil {
					t.Error(err)
				}
			case raw[0] == '{':
				if err := json.Unmarshal(raw, &object); err != nil {
					t.Error(err)
				}
				s = join(object)
			default:
				s = string(raw)
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ":")
	}
	text = join(fields)
	inner := md5.Sum([]byte(text))
	outer := sha1.Sum([]byte(key + hex.EncodeToString(inner[:])))
	return text, hex.EncodeToString(outer[:])
}

func sample() client.Withdrawal {
	return client.Withdrawal{
		ID: "297", Label: "125199", Amount: 1218 * money.Rupee, AccountNumber: "123456789", AccountName: "TestNameAcc", IFSC: "ICIC0123456",
	}
}

func TestWithdrawalIsSigned(t *testing.T) {
	t.Parallel()
	fraction, test := sample(), sample()
	fraction.Amount, test.Test = 121850, true
	for _, tt := range []struct {
		w    client.Withdrawal
		want string
	}{
		{sample(), "TestNameAcc:123456789:1218:ICIC0123456:INR::125199:imps_ib::297"},
		{fraction, "TestNameAcc:123456789:1218.5:ICIC0123456:INR::125199:imps_ib::297"},
		{test, "TestNameAcc:123456789:1218:ICIC0123456:INR:1:125199:imps_ib::297"},
	} {
		g := newGateway(t, say(`{"status":"ok","withdrawal_id":"297"}`))
		id, err := g.client(t).Withdraw(t.Context(), tt.w)
		if err != nil || id != "297" {
			t.Fatalf("%q, %v", id, err)
		}
		sent := g.requests()[0]
		if sent.Call != "POST /v2/withdrawal/create?merchant=shop" || sent.Bearer != "" {
			t.Errorf("asked %s, bearer %q", sent.Call, sent.Bearer)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(sent.Body), &fields); err != nil {
			t.Fatal(err)
		}
		given := string(fields["signature"])
		delete(fields, "signature")
		text, signature := signedAs(t, "wkey", fields)
		if text != tt.want {
			t.Errorf("signed is %s, want %s", text, tt.want)
		}
		if given != `"`+signature+`"` {
			t.Errorf("the signature is %s, want %q", given, signature)
		}
	}
}

func TestWithdrawalIsMadeOnce(t *testing.T) {
	t.Parallel()
	lost := answer{drop: true}
	taken := say(`{"status":"fail","message":{"withdrawal_id":["is taken"]}}`)
	short := say(`{"status":"fail","message":{"withdrawals_sum_amount":["Insufficient balance"]}}`)
	known := say(`{"status":"ok","withdrawal_id":"297","withdrawal_status":"new","amount":1218}`)
	unknown := say(`{"status":"fail","message":"not known"}`)
	for _, tt := range []struct {
		name    string
		answers []answer
		is      error // nil for success
		refused bool
	}{
		{"taken at once", []answer{say(`{"status":"ok"}`)}, nil, false},
		{"refused", []answer{short}, client.ErrInsufficientBalance, true},
		{"taken, its answer lost", []answer{lost, taken, known}, nil, false},
		{"refused, an answer lost", []answer{lost, short, unknown}, client.ErrInsufficientBalance, true},
		{"never answered", []answer{lost}, client.ErrUncertain, false},
		{"a fault", []answer{{status: 500}}, client.ErrUncertain, false},
		{"not valid", []answer{{status: 400, body: `{"status":"fail","message":{"withdrawals_sum_amount":["No"]}}`}}, client.ErrInsufficientBalance, true},
		{"answer lost and no status", []answer{lost, taken, {status: 404}}, client.ErrUncertain, false},
		{"somebody else's page", []answer{say("<html>")}, client.ErrUncertain, false},
		{"a status of the future", []answer{say(`{"status":"queued"}`)}, client.ErrUncertain, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := newGateway(t, tt.answers...).client(t).Withdraw(t.Context(), sample())
			if id != "297" || !errors.Is(err, tt.is) {
				t.Errorf("%q, %v", id, err)
			}
			if tt.refused == errors.Is(err, client.ErrUncertain) && err != nil {
				t.Errorf("refused and uncertain at once: %v", err)
			}
		})
	}
}

// TestWithdrawalHasAnID: one that the caller gave no id can be asked for.
func TestWithdrawalHasAnID(t *testing.T) {
	t.Parallel()
	g := newGateway(t, say(`{"status":"ok"}`))
	w := sample()
	w.ID = ""
	id, err := g.client(t).Withdraw(t.Context(), w)
	if err != nil || id == "" || len(id) > 36 || !strings.Contains(g.requests()[0].Body, `"withdrawal_id":"`+id+`"`) {
		t.Errorf("%q, %v: %v", id, err, g.requests())
	}
}

// TestSecretsAreNotPrinted: what is logged by mistake tells no key.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	config := client.Config{API: "https://api.shop.example", Merchant: "shop", Secret: "topsecret", PrivateKey: "topsecret", WithdrawalKey: "topsecret"}
	keys := client.Keys{AccessKey: "topsecret", PrivateKey: "topsecret", WebhookSecret: "topsecret"}
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	v, err := client.NewVerifier(keys)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, value := range []any{config, &config, c, keys, &keys, v, client.HandlerConfig{Keys: []client.Keys{keys}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "topsecret") {
				t.Errorf("%s of a %T: %s", verb, value, text)
			}
		}
		slog.New(slog.NewJSONHandler(&log, nil)).Info("", "value", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "value", value)
	}
	if strings.Contains(log.String(), "topsecret") {
		t.Errorf("logged: %s", &log)
	}
}
