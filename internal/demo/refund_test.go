package demo_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// told is the end of an order's latest refund as the gateway tells it.
func told(o *demo.Order, state client.WithdrawalState) *postback.Event {
	r := o.Refund()
	event := &postback.Event{
		ID: 20, Merchant: "shop", Method: "imps_ib", Label: o.Customer, Amount: r.Amount, Currency: money.INR,
		CreatedAt: time.Now(), ActivatedAt: time.Now(), Payment: &postback.Payment{
			WithdrawalID: r.ID, Status: string(state),
			AccountNumber: string(r.To.Account), AccountName: r.To.Name, BranchCode: string(r.To.IFSC),
		},
	}
	if state == client.WithdrawalSucceeded {
		event.UTR = "936569836450"
	}
	return event
}

func tell(t *testing.T, s *demo.Shop, event *postback.Event) int {
	t.Helper()
	header, body := sealed(event, genuineSecrets)
	return deliver(t, s, header, body).Code
}

// paid is an order that a postback paid.
func paid(t *testing.T, s *demo.Shop) *demo.Order {
	t.Helper()
	o := buy(t, s)
	header, body := genuine(o, 1, o.Total)
	if w := deliver(t, s, header, body); w.Code != http.StatusOK {
		t.Fatalf("the payment is answered %d", w.Code)
	}
	return o
}

func filled(edit func(url.Values)) url.Values {
	f := url.Values{"account": {"50101234567"}, "ends": {"01"}, "ifsc": {"hdfc0000001"}, "name": {"Asha Rao"}, "amount": {"paid"}}
	if edit != nil {
		edit(f)
	}
	return f
}

func page(t *testing.T, s *demo.Shop, o *demo.Order) string {
	t.Helper()
	w := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil)
	if w.Code != http.StatusOK {
		t.Fatalf("the order's page is answered %d", w.Code)
	}
	return w.Body.String()
}

func has(t *testing.T, page string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func current(t *testing.T, s *demo.Shop, id string) *demo.Order {
	t.Helper()
	o, err := s.Order(id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// However often somebody clicks, the money goes out once.
func TestRefundOnce(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o := paid(t, s)
	has(t, page(t, s, o), "Get your money back", "₹1,000.00", "₹400.50 held", "GET /v2/balance")
	var clicks sync.WaitGroup
	for range 4 {
		clicks.Go(func() { visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil)) })
	}
	clicks.Wait()
	visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(func(f url.Values) { f.Set("account", "99999999999") }))
	calls := g.calls("/v2/withdrawal/create")
	if len(calls) != 1 || !strings.Contains(calls[0], `"withdrawal_id":"`+o.ID+`-1"`) || !strings.Contains(calls[0], `"account_number":"5010123456701"`) ||
		!strings.Contains(calls[0], `"branch_code":"HDFC0000001"`) || !strings.Contains(calls[0], `"amount":499,`) {
		t.Fatalf("the gateway was asked %q", calls)
	}
	has(t, page(t, s, o), "Refund under way", "is on its way", `http-equiv="refresh"`, "/v2/withdrawal/create", "/v2/withdrawal/status")

	o = current(t, s, o.ID)
	for range 2 {
		if code := tell(t, s, told(o, client.WithdrawalSucceeded)); code != http.StatusOK {
			t.Fatalf("the postback is answered %d", code)
		}
	}
	p := page(t, s, o)
	has(t, p, "Refunded</h1>", "<span>9365</span><span>6983</span><span>6450</span>", "&#34;direction&#34;: &#34;outgoing&#34;")
	if strings.Contains(p, `http-equiv="refresh"`) || strings.Contains(p, "/refund") || strings.Count(p, "outgoing") != 1 {
		t.Errorf("the page goes on:\n%s", p)
	}
	visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil))
	if calls := g.calls("/v2/withdrawal/create"); len(calls) != 1 {
		t.Errorf("a refunded order was refunded again: %q", calls)
	}
}

// A bank that refuses leaves the money with the shop: another account is another
// withdrawal.
func TestRefundRefusedByBank(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o := paid(t, s)
	for i, state := range []client.WithdrawalState{client.WithdrawalFailed, client.WithdrawalCanceled} {
		visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil))
		if o = current(t, s, o.ID); len(o.Refunds) != i+1 || o.State() != demo.Refunding {
			t.Fatalf("there are %d refunds, the order is %s", len(o.Refunds), o.State())
		}
		// That it succeeded comes late, and changes nothing any more.
		for _, state := range []client.WithdrawalState{state, client.WithdrawalSucceeded} {
			if code := tell(t, s, told(o, state)); code != http.StatusOK {
				t.Fatalf("the postback is answered %d", code)
			}
		}
		if o = current(t, s, o.ID); o.Refund().State != state || o.State() != demo.Paid {
			t.Errorf("the refund is %s, the order %s", o.Refund().State, o.State())
		}
		says := map[client.WithdrawalState]string{
			client.WithdrawalFailed: "The refund failed: the bank refused to credit xxxxxxxxx6701", client.WithdrawalCanceled: "The refund was not approved",
		}
		has(t, page(t, s, o), says[state], "Get your money back")
	}
	if calls := g.calls("/v2/withdrawal/create"); len(calls) != 2 || !strings.Contains(calls[1], o.ID+`-2"`) {
		t.Errorf("the gateway was asked %q", calls)
	}
}

// A bank that sends back what it had paid.
func TestRefundComesBack(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o := paid(t, s)
	visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil))
	o = current(t, s, o.ID)
	tell(t, s, told(o, client.WithdrawalSucceeded))
	before := current(t, s, o.ID)
	tell(t, s, told(o, client.WithdrawalFailed))
	if after := current(t, s, o.ID); before.State() != demo.Refunded || after.State() != demo.Paid {
		t.Errorf("the order is %s, then %s", before.State(), after.State())
	}
}

func TestRefundRefusedByGateway(t *testing.T) {
	t.Parallel()
	for answer, says := range map[string]string{
		`{"status":"fail","message":{"withdrawals_sum_amount":["Insufficient balance"]}}`: "The gateway refused to refund ₹600.50: insufficient balance.",
		`{"status":"fail","message":"The most for a day is reached <b>"}`:                 "The most for a day is reached &lt;b&gt;.",
	} {
		s, g := newShop(t)
		o := paid(t, s)
		g.pays(answer, "")
		visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(func(f url.Values) { f.Set("amount", "much") }))
		if calls := g.calls("/v2/withdrawal/create"); len(calls) != 1 || !strings.Contains(calls[0], `"amount":600.5,`) {
			t.Errorf("the gateway was asked %q", calls)
		}
		has(t, page(t, s, o), says, "No refund yet", "Get your money back")
	}
}

// Where no answer came, the same withdrawal is sent again, and no other.
func TestRefundWithoutAnswer(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o := paid(t, s)
	g.pays("", "")
	visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil))
	has(t, page(t, s, o), "it is not known whether the gateway took this refund", "Ask again")
	g.pays(`{"status":"ok"}`, "new")
	visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", url.Values{})
	calls := g.calls("/v2/withdrawal/create")
	if len(calls) < 2 || calls[0] != calls[len(calls)-1] {
		t.Errorf("the gateway was asked %q", calls)
	}
	has(t, page(t, s, o), "A person has to approve this refund", operator+" payout approve NUMBER", o.ID+"-1")
}

// What was asked for stands in the shop's file before the gateway is asked.
func TestRefundOutlivesTheShop(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	config := demo.ShopConfig{
		Gateway: g.URL, Merchant: "shop", Secret: "s3cret", WithdrawalKey: "wkey", Keys: keys, URL: "http://shop.example", Bank: "http://bank.example",
		Operator: operator, File: filepath.Join(t.TempDir(), "shop.json"), Now: time.Now, Log: quiet,
	}
	open := func() *demo.Shop {
		s, err := demo.NewShop(config)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	o := paid(t, s)
	gone, leave := context.WithCancel(t.Context())
	leave() // before the answer
	if _, err := s.Refund(gone, o.ID, demo.Payee{Account: "5010123456701", IFSC: "HDFC0000001", Name: "Asha Rao"}, o.Total); err != nil {
		t.Fatal(err)
	}
	s = open()
	if r := current(t, s, o.ID).Refund(); r == nil || r.State != "" || r.Refused != "" {
		t.Fatalf("the refund is %+v", r)
	}
	if o, err := s.Refund(t.Context(), o.ID, demo.Payee{Account: "9999999999901", IFSC: "HDFC0000001", Name: "Asha Rao"}, 1); err != nil || len(o.Refunds) != 1 || o.Refund().Amount != o.Total {
		t.Errorf("asked again it is %+v, %v", o.Refunds, err)
	}
}

func TestRefundPostbackRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forge  func(e *postback.Event)
		body   func(string) string
		key    string
		status int
	}{
		"another key":      {status: http.StatusForbidden, key: "guess"},
		"changed state":    {status: http.StatusForbidden, body: func(b string) string { return strings.Replace(b, `"failed"`, `"success"`, 1) }},
		"a deposit's":      {status: http.StatusForbidden, body: func(b string) string { return strings.Replace(b, `"outgoing"`, `"ingoing"`, 1) }},
		"another amount":   {status: http.StatusNotFound, forge: func(e *postback.Event) { e.Amount++ }},
		"another customer": {status: http.StatusNotFound, forge: func(e *postback.Event) { e.Label = "customer-56" }},
		"another refund":   {status: http.StatusNotFound, forge: func(e *postback.Event) { e.Payment.WithdrawalID += "1" }},
		"another order":    {status: http.StatusNotFound, forge: func(e *postback.Event) { e.Payment.WithdrawalID = "none-1" }},
		"not its end":      {status: http.StatusNotFound, forge: func(e *postback.Event) { e.Payment.Status = "processing" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := newShop(t)
			o := paid(t, s)
			visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(nil))
			event := told(current(t, s, o.ID), client.WithdrawalFailed)
			if c.forge != nil {
				c.forge(event)
			}
			secrets := genuineSecrets
			if c.key != "" {
				secrets.PrivateKey = directory.Secret(c.key)
			}
			header, body := sealed(event, secrets)
			if c.body != nil { // whoever knows one key: the legacy signature stays wrong
				body = []byte(c.body(string(body)))
				header = http.Header{}
				postback.Sign(header, secrets, event.MessageID(), time.Now(), body)
			}
			if w := deliver(t, s, header, body); w.Code != c.status || strings.Contains(w.Body.String(), "ok") {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if o := current(t, s, o.ID); o.State() != demo.Refunding {
				t.Errorf("the order is %s", o.State())
			}
		})
	}
}

func TestRefundForm(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o := paid(t, s)
	for name, edit := range map[string]func(url.Values){
		"The account number has 9 to 18 digits": func(f url.Values) { f.Set("account", "12x4567") },
		"Choose what the bank does":             func(f url.Values) { f.Set("ends", "77") },
		"The IFSC looks like":                   func(f url.Values) { f.Set("ifsc", `"><script>`) },
		"The name has 1 to 30":                  func(f url.Values) { f.Set("name", "Asha 2") },
	} {
		w := visit(t, s.Handler(), http.MethodPost, "/orders/"+o.ID+"/refund", filled(edit))
		if w.Code != http.StatusUnprocessableEntity || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: answered %d\n%s", name, w.Code, w.Body)
		}
		has(t, w.Body.String(), name, " open><summary>")
	}
	unpaid, err := s.Place("customer-55", "chai")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refund(t.Context(), unpaid.ID, demo.Payee{Account: upi.AccountNumber("5010123456701")}, 1); !errors.Is(err, demo.ErrNotPaid) {
		t.Errorf("an order that is not paid is refunded: %v", err)
	}
	for target, want := range map[string]int{"/orders/" + unpaid.ID + "/refund": http.StatusUnprocessableEntity, "/orders/none/refund": http.StatusNotFound} {
		if w := visit(t, s.Handler(), http.MethodPost, target, filled(nil)); w.Code != want {
			t.Errorf("%s: answered %d", target, w.Code)
		}
	}
	if calls := g.calls("/v2/withdrawal/create"); len(calls) > 0 {
		t.Errorf("the gateway was asked %q", calls)
	}
}
