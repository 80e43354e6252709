package demo_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/demo"
)

// The values were computed by Python's hmac and base64 modules.
func TestHashURL(t *testing.T) {
	t.Parallel()
	const want = "aHR0cHM6Ly9zaG9wLmV4YW1wbGUvcmV0dXJuP3g9MSZ5PcO8." +
		"2ab6e9ddd6b2607719ea192e2d874da94263fcded948b2f8d6234c7861eb5a68"
	const address = "https://shop.example/return?x=1&y=ü"
	if got := demo.HashURL("PK", demo.Success, "55", "123465477897", address); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, other := range map[string]string{
		"key":     demo.HashURL("PL", demo.Success, "55", "123465477897", address),
		"kind":    demo.HashURL("PK", demo.Pending, "55", "123465477897", address),
		"label":   demo.HashURL("PK", demo.Success, "56", "123465477897", address),
		"id":      demo.HashURL("PK", demo.Success, "55", "123465477898", address),
		"address": demo.HashURL("PK", demo.Success, "55", "123465477897", address+"x"),
	} {
		if _, hash, _ := strings.Cut(other, "."); strings.HasSuffix(want, hash) {
			t.Errorf("another %s has the same hash", name)
		}
	}
}

const (
	signedID  = "123465477897"
	signature = "9429d5c844284f18faaeba5dcccea93eb3b16280501aad84878b69cc30428015" // of success
)

func TestVerifyReturn(t *testing.T) {
	t.Parallel()
	if id, kind, err := demo.VerifyReturn("PK", returned(signedID, "success", signature)); id != signedID || kind != demo.Success || err != nil {
		t.Errorf("got %q, %q, %v", id, kind, err)
	}
	twice := returned(signedID, "success", signature)
	twice.Add("status", "fail")
	for name, query := range map[string]url.Values{
		"nothing":           {},
		"no signature":      returned(signedID, "success", ""),
		"another status":    returned(signedID, "fail", signature),
		"another id":        returned("123465477898", "success", signature),
		"moved border":      returned(signedID+"\nsuccess", "", signature),
		"cut signature":     returned(signedID, "success", signature[:62]),
		"no hex":            returned(signedID, "success", "z"+signature[1:]),
		"two values":        twice,
		"a status of ours?": returned(signedID, "paid", sign("PK", signedID, "paid")),
		"another key":       returned(signedID, "success", sign("PL", signedID, "success")),
	} {
		if id, kind, err := demo.VerifyReturn("PK", query); !errors.Is(err, demo.ErrReturn) || id != "" || kind != "" {
			t.Errorf("%s: got %q, %q, %v", name, id, kind, err)
		}
	}
}

func returned(id, status, signature string) url.Values {
	return url.Values{"custom_transaction_id": {id}, "status": {status}, "signature": {signature}}
}

// sign is what the gateway does with a return.
func sign(key, id, status string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(id + "\n" + status))
	return hex.EncodeToString(h.Sum(nil))
}

func TestOrderOpensTheWindow(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o, err := s.Place("customer-55", "kulhad")
	if err != nil {
		t.Fatal(err)
	}
	page := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil).Body.String()
	link := regexp.MustCompile(`<a class="button" href="([^"]+)">Pay by UPI</a>`).FindStringSubmatch(page)
	if link == nil || !strings.Contains(page, `href="/orders/`+o.ID+`/pay"`) || !strings.Contains(page, `href="/orders/`+o.ID+`/app" target="_blank"`) {
		t.Fatalf("the page lacks a way to pay:\n%s", page)
	}
	u, err := url.Parse(html.UnescapeString(link[1]))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"merchant": {"shop"}, "label": {"customer-55"}, "currency_code": {"INR"}, "wallet_type": {"upi_l"},
		"custom_transaction_id": {o.ID}, "fixed_amount": {"749.50"},
	}
	for _, kind := range []demo.Kind{demo.Success, demo.Pending, demo.Fail} {
		want.Set(string(kind)+"_url", demo.HashURL("PK", kind, "customer-55", o.ID, "http://shop.example/return"))
	}
	if u.Scheme+"://"+u.Host+u.Path != g.URL+"/pay" || u.Query().Encode() != want.Encode() {
		t.Errorf("the link is %s", u)
	}
}

func TestAppIsFilledIn(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o, err := s.Place("customer-55", "chai")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w := visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID+"/app", nil)
		want := "http://bank.example/?link=" + url.QueryEscape("upi://pay?pa=a@sandbox&pn=Shop&am=499.00&cu=INR")
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Fatalf("answered %d to %q", w.Code, got)
		}
	}
	if o, err = s.Order(o.ID); err != nil || len(o.Trail) != 1 {
		t.Errorf("the same answer was noted %d times (%v)", len(o.Trail), err)
	}
}

func TestWindowEmbedded(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o, err := s.Place("customer-55", "chai")
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	w := visit(t, h, http.MethodGet, "/orders/"+o.ID+"/pay", nil)
	for _, want := range []string{
		`<iframe id="window" src="` + g.URL + `/pay?`, `data-gateway="` + g.URL + `"`, `data-order="` + o.ID + `"`, `<script src="/embed.js"></script>`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, w.Body)
		}
	}
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.HasSuffix(csp, "; frame-src "+g.URL+"; script-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is %q", csp)
	}
	if csp := visit(t, h, http.MethodGet, "/orders/"+o.ID, nil).Header().Get("Content-Security-Policy"); strings.Contains(csp, "script-src") || strings.Contains(csp, "frame-src") {
		t.Errorf("the policy of another page is %q", csp)
	}
	script := visit(t, h, http.MethodGet, "/embed.js", nil)
	if script.Code != http.StatusOK || !strings.HasPrefix(script.Header().Get("Content-Type"), "text/javascript") {
		t.Fatalf("the script is answered with %d, %s", script.Code, script.Header())
	}
	for _, check := range []string{"event.origin !== frame.dataset.gateway", "event.source !== frame.contentWindow", "news.custom_transaction_id !== frame.dataset.order"} {
		if !strings.Contains(script.Body.String(), check) {
			t.Errorf("the script does not check %s:\n%s", check, script.Body)
		}
	}

	header, body := genuine(o, 1, o.Total)
	deliver(t, s, header, body)
	if w := visit(t, h, http.MethodGet, "/orders/"+o.ID+"/pay", nil); w.Code != http.StatusSeeOther {
		t.Errorf("a paid order can be paid again: answered %d", w.Code)
	}
}

func TestReturn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, says string
		state        demo.State
	}{
		{"success", "You are back from the payment page", demo.Checking}, // until the postback
		{"pending", "You are back from the payment page", demo.Checking},
		{"fail", "The payment did not succeed", demo.Awaiting},
	} {
		s, _ := newShop(t)
		o, err := s.Place("customer-55", "chai")
		if err != nil {
			t.Fatal(err)
		}
		h := s.Handler()
		w := visit(t, h, http.MethodGet, "/return?"+returned(o.ID, c.status, sign("PK", o.ID, c.status)).Encode(), nil)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/orders/"+o.ID {
			t.Fatalf("%s: answered %d to %q", c.status, w.Code, w.Header().Get("Location"))
		}
		if o, err = s.Order(o.ID); err != nil || o.State() != c.state {
			t.Errorf("%s: the order is %s (%v)", c.status, o.State(), err)
		}
		if page := visit(t, h, http.MethodGet, "/orders/"+o.ID, nil).Body.String(); !strings.Contains(page, c.says) {
			t.Errorf("%s: the page is\n%s", c.status, page)
		}
		header, body := genuine(o, 1, o.Total)
		deliver(t, s, header, body)
		if page := visit(t, h, http.MethodGet, "/orders/"+o.ID, nil).Body.String(); !strings.Contains(page, "Paid. Thank you!") {
			t.Errorf("%s: after the postback the page is\n%s", c.status, page)
		}
	}
}

func TestReturnRefused(t *testing.T) {
	t.Parallel()
	s, _ := newShop(t)
	o, err := s.Place("customer-55", "chai")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query  url.Values
		status int
	}{
		"tampered":      {returned(o.ID, "success", sign("PK", o.ID, "fail")), http.StatusForbidden},
		"unsigned":      {returned(o.ID, "success", ""), http.StatusForbidden},
		"hostile":       {returned(`"><script>`, "success", "00"), http.StatusForbidden},
		"no such order": {returned("none", "success", sign("PK", "none", "success")), http.StatusNotFound},
	} {
		w := visit(t, s.Handler(), http.MethodGet, "/return?"+c.query.Encode(), nil)
		if w.Code != c.status || !strings.Contains(w.Body.String(), "That did not work") || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: answered %d\n%s", name, w.Code, w.Body)
		}
	}
	if o, err = s.Order(o.ID); err != nil || o.State() != demo.Awaiting || o.Returned != "" {
		t.Errorf("the order is %s, %q came back (%v)", o.State(), o.Returned, err)
	}
}

// A payer who used the window and never came back: the shop learns by asking.
func TestOrderPageAsks(t *testing.T) {
	t.Parallel()
	s, g := newShop(t)
	o, err := s.Place("customer-55", "chai")
	if err != nil {
		t.Fatal(err)
	}
	show := func() string { return visit(t, s.Handler(), http.MethodGet, "/orders/"+o.ID, nil).Body.String() }
	if page := show(); !strings.Contains(page, "Awaiting payment") || strings.Contains(page, "not known") {
		t.Errorf("before the claim the page is\n%s", page)
	}
	g.say(`{"status":"possible_transaction_created","message":"…"}`)
	if page := show(); !strings.Contains(page, "not reported this payment yet") || !strings.Contains(page, `http-equiv="refresh"`) {
		t.Errorf("after the claim the page is\n%s", page)
	}
}
