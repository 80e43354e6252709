package demo_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
)

// genuineSecrets are what the gateway signs with.
var genuineSecrets = directory.MerchantSecrets{AccessKey: "AK", PrivateKey: "PK", Webhook: "hook"}

// genuine is a postback for an order as the gateway itself makes it.
func genuine(o *demo.Order, id int64, amount money.Paise) (http.Header, []byte) {
	return signed(o, id, amount, genuineSecrets)
}

func signed(o *demo.Order, id int64, amount money.Paise, secrets directory.MerchantSecrets) (http.Header, []byte) {
	return sealed(&postback.Event{
		ID: id, Merchant: "shop", Method: o.Method, Label: o.Customer, CustomID: o.ID, UTR: "355015818634",
		Amount: amount, Currency: money.INR, CreditID: 7, Payer: "asha@sandbox", CreatedAt: time.Now(), ActivatedAt: time.Now(),
	}, secrets)
}

// sealed is an event as the gateway sends it.
func sealed(event *postback.Event, secrets directory.MerchantSecrets) (http.Header, []byte) {
	merchant := &directory.Merchant{ID: "shop", Timezone: "Asia/Kolkata", Secrets: secrets}
	rates, err := fx.Bundled()
	if err != nil {
		panic(err)
	}
	body := postback.AppendBody(nil, event, merchant, rates)
	header := http.Header{}
	postback.Sign(header, secrets, event.MessageID(), time.Now(), body)
	return header, body
}

func deliver(t *testing.T, s *demo.Shop, header http.Header, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/postback", strings.NewReader(string(body)))
	r.Header = header
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestPostbackPays(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o := buy(t, s)
	header, body := genuine(o, 1, o.Total)
	for range 3 { // repeats are answered alike and change nothing
		if w := deliver(t, s, header, body); w.Code != http.StatusOK || w.Body.String() != `{"status":"ok"}` {
			t.Fatalf("answered %d %s", w.Code, w.Body)
		}
	}
	o, err := s.Order(o.ID)
	if err != nil || o.State() != demo.Paid || len(o.Receipts) != 1 {
		t.Fatalf("the order is %s with %d receipts (%v)", o.State(), len(o.Receipts), err)
	}
	page := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil).Body.String()
	if !strings.Contains(page, "Paid. Thank you!") || strings.Contains(page, `http-equiv="refresh"`) {
		t.Errorf("the page does not say that it is paid:\n%s", page)
	}
}

func TestPostbackRefused(t *testing.T) {
	t.Parallel()
	secrets := genuineSecrets
	wrong := func(edit func(*directory.MerchantSecrets)) directory.MerchantSecrets {
		s := secrets
		edit(&s)
		return s
	}
	resign := func(h http.Header, body []byte) { postback.Sign(h, secrets, "deposit_1", time.Now(), body) }
	for name, forge := range map[string]func(*demo.Order) (http.Header, []byte){
		"no signature": func(o *demo.Order) (http.Header, []byte) {
			_, body := genuine(o, 1, o.Total)
			return http.Header{}, body
		},
		"another webhook secret": func(o *demo.Order) (http.Header, []byte) {
			return signed(o, 1, o.Total, wrong(func(s *directory.MerchantSecrets) { s.Webhook = "guess" }))
		},
		"another private key": func(o *demo.Order) (http.Header, []byte) {
			return signed(o, 1, o.Total, wrong(func(s *directory.MerchantSecrets) { s.PrivateKey = "guess" }))
		},
		"another access key": func(o *demo.Order) (http.Header, []byte) {
			return signed(o, 1, o.Total, wrong(func(s *directory.MerchantSecrets) { s.AccessKey = "guess" }))
		},
		"too old": func(o *demo.Order) (http.Header, []byte) {
			h, body := genuine(o, 1, o.Total)
			postback.Sign(h, secrets, "deposit_1", time.Now().Add(-time.Hour), body)
			return h, body
		},
		"changed top level": func(o *demo.Order) (http.Header, []byte) {
			h, body := genuine(o, 1, 1*money.Rupee)
			body = []byte(strings.Replace(string(body), `"amount":1,`, `"amount":`+rupeesJSON(t, o.Total)+`,`, 1))
			resign(h, body)
			return h, body
		},
		"changed additional_data": func(o *demo.Order) (http.Header, []byte) {
			h, body := genuine(o, 1, o.Total)
			body = []byte(strings.Replace(string(body), `"355015818634"`, `"355015818635"`, 1))
			resign(h, body)
			return h, body
		},
		"no JSON": func(*demo.Order) (http.Header, []byte) {
			h, body := http.Header{}, []byte("hello")
			resign(h, body)
			return h, body
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := newShop(t)
			o := buy(t, s)
			header, body := forge(o)
			if w := deliver(t, s, header, body); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "ok") {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
			if o, err := s.Order(o.ID); err != nil || o.State() == demo.Paid || len(o.Receipts) > 0 {
				t.Errorf("the order is %s with %d receipts (%v)", o.State(), len(o.Receipts), err)
			}
		})
	}
}

func TestWrongAmountDoesNotPay(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o := buy(t, s)
	header, body := genuine(o, 1, o.Total-1)
	if w := deliver(t, s, header, body); w.Code != http.StatusOK {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	o, err := s.Order(o.ID)
	if err != nil || o.State() != demo.Awaiting || o.Received() != o.Total-1 {
		t.Fatalf("the order is %s with %s (%v)", o.State(), o.Received(), err)
	}
	if page := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil).Body.String(); !strings.Contains(page, "₹498.99 arrived, but the order is ₹499.00") {
		t.Errorf("the page does not say what arrived:\n%s", page)
	}
}

func TestPostbackOfAnotherCustomer(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o := buy(t, s)
	other := *o
	other.Customer = "customer-56"
	header, body := genuine(&other, 1, o.Total)
	if w := deliver(t, s, header, body); w.Code != http.StatusNotFound {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if o, err := s.Order(o.ID); err != nil || o.State() == demo.Paid {
		t.Errorf("the order is %s (%v)", o.State(), err)
	}
}

// Only a postback pays: the gateway's own "ok" does not.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome, says string
		state         demo.State
	}{
		{`{"status":"ok","deposit":true,"deposit_amount":499}`, "The shop is being told", demo.Checking},
		{`{"status":"pending","message":"…"}`, "a person has to look at it", demo.Checking},
		{`{"status":"possible_transaction_created","message":"…"}`, "not reported this payment yet", demo.Checking},
		{`{"status":"fail","message":"<script>no</script>"}`, "&lt;script&gt;no&lt;/script&gt;", demo.Awaiting},
	} {
		s, g := newShop(t)
		g.say(c.outcome)
		o := buy(t, s)
		if o.State() != c.state {
			t.Errorf("%s: the order is %s", c.outcome, o.State())
		}
		page := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil).Body.String()
		if !strings.Contains(page, c.says) || strings.Contains(page, "<script") {
			t.Errorf("%s: the page is\n%s", c.outcome, page)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o := buy(t, s)
	if _, err := s.Claim(t.Context(), o.ID, "355015818634"); err != nil {
		t.Fatal(err)
	}
	calls := g.calls("/api/v1/transaction/activate")
	if len(calls) != 2 || calls[0] != calls[1] || !strings.Contains(calls[0], `"custom_transaction_id":"`+o.ID+`"`) {
		t.Errorf("the gateway was asked %q", calls)
	}
	header, body := genuine(o, 1, o.Total)
	deliver(t, s, header, body)
	if _, err := s.Claim(t.Context(), o.ID, "355015818635"); !errors.Is(err, demo.ErrPaid) {
		t.Errorf("a paid order was claimed again (%v)", err)
	}
}

func TestShopPages(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	h := s.Handler()
	placed := visit(t, h, http.MethodPost, "/orders", url.Values{"product": {"chai"}})
	order := placed.Header().Get("Location")
	if placed.Code != http.StatusSeeOther || !strings.HasPrefix(order, "/orders/") {
		t.Fatalf("answered %d to %q", placed.Code, order)
	}
	hostile := `"><script>alert(1)</script>`
	for _, c := range []struct {
		method, target string
		fields         url.Values
		status         int
	}{
		{http.MethodGet, "/", nil, http.StatusOK},
		{http.MethodGet, "/style.css", nil, http.StatusOK},
		{http.MethodGet, order, nil, http.StatusOK},
		{http.MethodGet, order + "/app", nil, http.StatusSeeOther},
		{http.MethodGet, "/orders/" + url.PathEscape(hostile), nil, http.StatusNotFound},
		{http.MethodGet, "/orders/none/pay", nil, http.StatusNotFound},
		{http.MethodGet, "/orders/none/app", nil, http.StatusNotFound},
		{http.MethodGet, "/nowhere", nil, http.StatusNotFound},
		{http.MethodPost, "/orders", url.Values{"product": {hostile}}, http.StatusBadRequest},
		{http.MethodPost, "/orders", url.Values{"product": {strings.Repeat("1", 20_000)}}, http.StatusBadRequest},
	} {
		w := visit(t, h, c.method, c.target, c.fields)
		if w.Code != c.status || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s %.60s: answered %d\n%s", c.method, c.target, w.Code, w.Body)
		}
		if c.target != "/style.css" && w.Code != http.StatusSeeOther && !strings.Contains(w.Body.String(), "no real money") {
			t.Errorf("%s %.60s: the page has no sandbox sign", c.method, c.target)
		}
	}
	if calls := g.calls("/api/v1/transaction/activate"); len(calls) > 0 {
		t.Errorf("the gateway was bothered with %q", calls)
	}
}

func TestForeignSitesMayNotPost(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	b, _ := newBank(t, 0)
	for target, h := range map[string]http.Handler{"/orders": s.Handler(), "/pay": b.Handler()} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("product=chai"))
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: answered %d", target, w.Code)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	rates := make([]string, 10)
	for i := range rates {
		rates[i] = fmt.Sprintf(`"C%02d":%d.5`, i, i)
	}
	body := `{"a":1,"converted_amount":{` + strings.Join(rates, ",") + `},"z":"/"}`
	if got, want := demo.Shorten(body), `{"a":1,"converted_amount":{"C00":0.5,"C01":1.5,"C02":2.5,"C03":3.5,"…":"6 more"},"z":"/"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, same := range []string{"", "no JSON", `{"converted_amount":{"USD":1}}`, `{"converted_amount":[1]}`, `{}`} {
		if got := demo.Shorten(same); got != same {
			t.Errorf("%s became %s", same, got)
		}
	}
}
