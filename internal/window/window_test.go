package window_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/internal/window"
	"github.com/milaan/milaan/money"
)

const key directory.Secret = "private-key-of-shop"

const (
	single  = "pay.example"
	plugin  = "plugin.shop.example"
	payerIP = "203.0.113.7:40000"
)

// place is a house with a window.
type place struct {
	*storetest.House
	http.Handler
	door *window.Door
}

func open(t *testing.T, change func(*directory.Change)) *place {
	t.Helper()
	p := &place{House: storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Change: func(c *directory.Change) {
		shop := c.Merchants[0]
		shop.Name, shop.Domain = "Chai & Kulhad", "shop.example"
		shop.FrameAncestors = []string{"https://shop.example"}
		shop.RedirectURLs = map[string]string{"1": "https://shop.example/fail", "2": "https://shop.example/done?order=7#top", "3": "https://shop.example/pending"}
		if change != nil {
			change(c)
		}
	}})}
	var err error
	p.door, err = window.New(window.Config{
		Desk: p.Desk, Store: p.Store, Directory: p.Directory, Now: p.Clock.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Handler = p.door.Before(http.NotFoundHandler())
	return p
}

// ask sends a request as a browser would.
func (p *place) ask(method, host, target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	p.Helper()
	r := httptest.NewRequestWithContext(p.Context(), method, target, strings.NewReader(form.Encode()))
	r.Host, r.RemoteAddr = host, payerIP
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func (p *place) get(target string, headers ...string) *httptest.ResponseRecorder {
	p.Helper()
	return p.ask(http.MethodGet, single, target, nil, headers...)
}

// mustPage gets a page and checks its status and what it says.
func (p *place) mustPage(target string, status int, texts ...string) string {
	p.Helper()
	return p.mustSay(p.get(target), status, texts...)
}

func (p *place) mustSay(w *httptest.ResponseRecorder, status int, texts ...string) string {
	p.Helper()
	body := html.UnescapeString(w.Body.String())
	if w.Code != status {
		p.Fatalf("answered %d, want %d: %s", w.Code, status, plain(body))
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			p.Fatalf("the page lacks %q: %s", text, plain(body))
		}
	}
	return w.Body.String()
}

var tags = regexp.MustCompile(`(?s)<(script|style).*?</(script|style)>|<[^>]*>`)

func plain(body string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(body, " ")), " ")
}

// mustOpen opens a link and returns the payment's address.
func (p *place) mustOpen(query string) string {
	p.Helper()
	w := p.get("/pay?merchant=shop&" + query)
	here := addressOf(w)
	if here == "" {
		p.Fatalf("the link answers %d: %s", w.Code, plain(w.Body.String()))
	}
	return here
}

// addressOf is the payment's address that a link led to: the page itself says
// it, or the redirect of a link that names no payment. It is empty where the
// link led to none.
func addressOf(w *httptest.ResponseRecorder) string {
	switch w.Code {
	case http.StatusOK:
		return w.Header().Get("Content-Location")
	case http.StatusSeeOther:
		return w.Header().Get("Location")
	default:
		return ""
	}
}

// mustPost sends a form and checks that the payer is led back to the page.
func (p *place) mustPost(here, form string, values ...string) {
	p.Helper()
	w := p.post(here, form, values...)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != here {
		p.Fatalf("%s answers %d to %s: %s", form, w.Code, w.Header().Get("Location"), plain(w.Body.String()))
	}
}

func (p *place) post(here, form string, values ...string) *httptest.ResponseRecorder {
	p.Helper()
	data := url.Values{}
	for i := 0; i < len(values); i += 2 {
		data.Set(values[i], values[i+1])
	}
	return p.ask(http.MethodPost, single, here+"/"+form, data)
}

func (p *place) payment(here string) *payment.Payment {
	p.Helper()
	found, err := p.Store.FindPayment(p.Context(), strings.TrimPrefix(here, "/pay/"))
	if err != nil {
		p.Fatal(err)
	}
	return found
}

// Computed with openssl, see TestHashedURL.
const (
	vectorURL    = "0bb31df2ca0123940727a32d696a1edce81e2f9757894b9847711e579f23bb3f"
	vectorReturn = "05f8459a41d1bc7e1756c75df616d4a1d6177474824c8bb78ecdb4c057c2f45a"
)

const fixed = "label=55&currency_code=INR&wallet_type=upi_l&fixed_amount=500&custom_transaction_id="

// TestJourney is a payer's way in both languages, from the list of methods to
// the return.
func TestJourney(t *testing.T) {
	t.Parallel()
	for lang, say := range map[string][]string{
		"en": {"How do you want to pay?", "How much do you want to pay?", "Enter the UTR", "Waiting for the bank", "Payment received", "14 March 2026, 3:00\u00a0pm", "₹1,500.50"},
		"hi": {"आप कैसे भुगतान करना चाहते हैं?", "आप कितने रुपये देना चाहते हैं?", "UTR नंबर डालें", "बैंक से पुष्टि का इंतज़ार है", "भुगतान मिल गया", "14 मार्च 2026, 3:00\u00a0pm", "₹1,500.50"},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := open(t, nil)
			here := p.mustOpen("label=55&currency_code=INR&custom_transaction_id=c1&payment_url_success_id=2&lang=" + lang)
			if body := p.mustPage(here, 200, say[0], `<html lang="`+lang+`">`); strings.Contains(body, "upi_m") {
				t.Error("the list has a method that is off")
			}
			p.mustPost(here, "method", "wallet_type", "upi_l")
			p.mustPage(here, 200, say[1], "₹100.00", "₹1,00,000.00")
			p.mustSay(p.post(here, "amount", "amount", "50"), 422, "₹100.00", `aria-invalid`)
			p.mustPost(here, "amount", "amount", "1,500.50")
			p.mustPage(here, 200, say[2], say[6], `role="img"`, "@upi")
			shown := p.payment(here)
			if shown.Amount != 150050 || shown.Wallet == "" {
				t.Fatalf("the payment is %+v", shown)
			}
			p.mustSay(p.post(here, "utr", "utr", "123"), 422, `value="123"`)
			p.mustPost(here, "utr", "utr", "Rs 1500.50 sent. UPI Ref 000000000042. Call 18001234567")
			p.mustPage(here, 200, say[3], "000000000042", `http-equiv="refresh"`)
			p.MustReport(shown.Wallet, 1, 0, 1, p.Entry(storetest.UTR(42), 150050))
			body := p.mustPage(here, 200, say[4], say[5], say[6], "Chai & Kulhad", "c1",
				"https://shop.example/done?order=7&custom_transaction_id=c1&status=success&signature="+window.ReturnSignature(key, "c1", window.Success)+"#top")
			if strings.Contains(body, "http-equiv") {
				t.Error("a final page still refreshes")
			}
			p.MustVerify()
		})
	}
}

// TestLinkTwice: the same link, on whatever device, is one payment, and what a
// form was sent from may be reloaded.
func TestLinkTwice(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	if again := p.mustOpen(fixed + "c1"); again != here {
		t.Errorf("the second time it is %s, not %s", again, here)
	}
	if other := p.mustOpen(strings.TrimSuffix(fixed, "custom_transaction_id=")); other == here {
		t.Error("a link without a custom_transaction_id is another's payment")
	}
	p.mustSay(p.get("/pay?merchant=shop&"+strings.Replace(fixed, "=500", "=501", 1)+"c1"), 409, "used before")
	p.mustSay(p.get("/pay?merchant=shop&"+strings.Replace(fixed, "=55&", "=56&", 1)+"c1"), 409, "used before")
	p.mustPost(here, "utr", "utr", "000000000001")
	p.mustPost(here, "utr", "utr", "000000000001")
	p.mustPost(here, "amount", "amount", "700")
	p.mustPost(here, "method", "wallet_type", "upi_w")
	p.mustPage(here, 200, "Waiting for the bank", "₹500.00")
	if w := p.get(here + "/utr"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != here {
		t.Errorf("the form's address, reloaded, answers %d", w.Code)
	}
	claim, err := p.Store.FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: "shop", CustomID: "c1"})
	if err != nil || claim.Via != "window" || claim.Addr.String() != "203.0.113.7" {
		t.Errorf("the claim is %+v, %v", claim, err)
	}
}

// TestLinkEnds: from its end on a link opens no new payment; who gave the UTR
// still sees what became of it.
func TestLinkEnds(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	ends := fmt.Sprintf("&expires_at=%d", p.Clock.Now().Add(time.Hour).Unix())
	link := func(id string) string { return "/pay?merchant=shop&" + fixed + id + ends }
	here := p.mustOpen(fixed + "paid" + ends)
	p.mustOpen(fixed + "idle" + ends)
	p.mustPost(here, "utr", "utr", "000000000001")
	for _, end := range []string{"x", "-1", "0", "99999999999999999999", "1.5"} {
		p.mustSay(p.get("/pay?merchant=shop&"+fixed+"c1&expires_at="+end), 400, "expires_at")
	}
	p.mustSay(p.get(link("c1")+"&expires_at=9999999999"), 400, "expires_at")
	p.Clock.Advance(time.Hour)
	p.mustSay(p.get(link("new")), 410, "The time of this payment link is up")
	p.mustSay(p.get(link("idle")), 410, "The time of this payment link is up")
	p.mustSay(p.get("/pay?merchant=shop&"+strings.TrimSuffix(fixed, "&custom_transaction_id=")+ends), 410, "is up")
	p.mustSay(p.get(link("paid")), 200, "Waiting for the bank")
	p.mustPage(here, 200, "Waiting for the bank") // the payment's own address stays
}

// TestClaimOfAnother: a custom_transaction_id that the merchant's server used
// for somebody else shows nothing of that.
func TestClaimOfAnother(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	a := storetest.Claim("c1", storetest.UTR(1), storetest.Rupees(500))
	a.Label = "56"
	p.MustActivate(a, deposit.Waiting)
	body := p.mustPage("/pay?merchant=shop&"+fixed+"c1", 409, "used before")
	if strings.Contains(body, "000000000001") {
		t.Error("the page shows another's UTR")
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const urls = "&payment_url_success_id=2&payment_url_pending_id=3&payment_url_fail_id=1"
	for name, tt := range map[string]struct {
		before func(*place)
		after  func(*place, int64)
		title  string
		state  string
		status window.Kind
	}{
		"waiting":      {nil, nil, "Waiting for the bank", "waiting", window.Pending},
		"wrong amount": {func(p *place) { p.MustReport("window", 1, 0, 0, p.Entry(storetest.UTR(9), storetest.Rupees(400))) }, nil, "Payment is being checked", "pending", window.Pending},
		"approved": {func(p *place) { p.MustReport("window", 1, 0, 0, p.Entry(storetest.UTR(9), storetest.Rupees(400))) },
			func(p *place, id int64) { p.MustApprove(id) }, "₹400.00", "ok", window.Success},
		"rejected": {func(p *place) { p.MustReport("window", 1, 0, 0, p.Entry(storetest.UTR(9), storetest.Rupees(400))) },
			func(p *place, id int64) { p.MustReject(id) }, "Payment not accepted", "rejected", window.Fail},
		"somebody else's": {func(p *place) {
			p.MustReport("window", 1, 0, 0, p.Entry(storetest.UTR(9), storetest.Rupees(500)))
			other := storetest.Claim("other", storetest.UTR(9), storetest.Rupees(500))
			other.Method, other.Label = "upi_w", "77"
			p.MustActivate(other, deposit.Credited)
		}, nil, "This UTR can't be used", "refused", window.Fail},
		"expired, not swept": {nil, func(p *place, _ int64) { p.Clock.Advance(deposit.DefaultPolicy().ClaimTTL) }, "No payment found", "expired", window.Fail},
		"expired":            {nil, func(p *place, _ int64) { p.Clock.Advance(deposit.DefaultPolicy().ClaimTTL); p.MustExpire(1) }, "No payment found", "expired", window.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, nil)
			if tt.before != nil {
				tt.before(p)
			}
			here := p.mustOpen(strings.Replace(fixed, "upi_l", "upi_w", 1) + "c1" + urls)
			p.mustPage(here, 200, "₹500.00")
			p.mustPost(here, "utr", "utr", "000000000009")
			if tt.after != nil {
				claim, err := p.Store.FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: "shop", CustomID: "c1"})
				if err != nil {
					t.Fatal(err)
				}
				tt.after(p, claim.ID)
			}
			p.mustPage(here, 200, tt.title, "status="+string(tt.status)+"&signature="+window.ReturnSignature(key, "c1", tt.status))
			want := `{"state":"` + tt.state + `","outcome":"` + string(tt.status) + `","custom_transaction_id":"c1"}`
			if got := p.get(here + "/state").Body.String(); got != want {
				t.Errorf("the state is %s, want %s", got, want)
			}
			p.MustVerify()
		})
	}
}

// TestCorrection: a mistyped UTR is corrected, a few times.
func TestCorrection(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200)
	wallet := p.payment(here).Wallet
	p.mustPost(here, "utr", "utr", "000000000001")
	p.mustPage(here, 200, "Check or change the UTR")
	if body := p.mustPage(here+"?step=utr", 200, "Correct UTR", "Changes left: 5"); strings.Contains(body, "http-equiv") {
		t.Error("the page reloads while the payer types")
	}
	p.mustSay(p.post(here, "utr", "utr", "nonsense"), 422, "no 12-digit UTR", "Correct UTR")
	for n := 2; n <= 6; n++ {
		p.mustPost(here, "utr", "utr", string(storetest.UTR(n)))
	}
	p.mustSay(p.post(here, "utr", "utr", "000000000007"), 422, "can't be changed any more")
	if body := p.mustPage(here, 200, "000000000006"); strings.Contains(body, "Check or change") {
		t.Error("the page offers a change that is not allowed")
	}
	p.MustReport(wallet, 1, 0, 1, p.Entry(storetest.UTR(6), storetest.Rupees(500)))
	p.mustPage(here, 200, "Payment received")
	p.mustSay(p.post(here, "utr", "utr", "000000000008"), 422, "can't be changed now", "Payment received")
	p.MustVerify()
}

// TestMethodSwitchedOff: mid-way, before and after the payer has paid.
func TestMethodSwitchedOff(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200, "Enter the UTR")
	free := p.mustOpen("label=57&currency_code=INR&fixed_amount=500&custom_transaction_id=c2")
	p.mustPost(free, "method", "wallet_type", "upi_l")
	off := *p.Directory.Current().Method("upi_l")
	off.Enabled = false
	p.MustChange(directory.Change{Methods: []*directory.Method{&off}})
	if err := p.Directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := p.mustPage(here, 200, "switched off", "c1"); strings.Contains(body, "Enter the UTR") || strings.Contains(body, "step=method") {
		t.Error("a link with a fixed method leads on, or to the list")
	}
	p.mustPost(here, "utr", "utr", "000000000001")
	p.mustPage(here, 200, "switched off")
	p.mustPage(free, 200, "switched off", "step=method")
	p.mustPost(free, "method", "wallet_type", "upi_w")
	p.mustPage(free, 200, "Enter the UTR", "window@upi")
	p.mustSay(p.get("/pay?merchant=shop&"+fixed+"c3"), 200, "switched off")
}

// TestOneMethod: where one method is open there is no list.
func TestOneMethod(t *testing.T) {
	t.Parallel()
	p := open(t, func(c *directory.Change) { c.Merchants[0].Methods = map[string]bool{"upi_w": false} })
	here := p.mustOpen("label=55&currency_code=INR")
	if body := p.mustPage(here, 200, "How much do you want to pay?"); strings.Contains(body, "step=method") {
		t.Error("there is a way to a list of one")
	}
}

func TestNoWalletFree(t *testing.T) {
	t.Parallel()
	p := open(t, func(c *directory.Change) {
		for _, w := range c.Wallets {
			w.PerPaymentMax = storetest.Rupees(300)
		}
	})
	p.mustPage(p.mustOpen(fixed+"c1"), 200, "No UPI ID is free right now")
	p.mustPage(p.mustOpen("label=55&currency_code=INR&fixed_amount=500"), 200, "No way of paying is open")
	p.mustPage(p.mustOpen("label=55&currency_code=INR&wallet_type=upi_l&fixed_amount=50"), 200, "The least you can pay this way is ₹100.00")
}

// TestWalletLapses: a wallet that is not the payer's any more is assigned anew.
func TestWalletLapses(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200, "Time left")
	first := p.payment(here)
	p.Clock.Advance(deposit.DefaultPolicy().AssignmentTTL)
	p.mustPage(here, 200, "Time left")
	if second := p.payment(here); !second.ShownUntil.After(first.ShownUntil) {
		t.Errorf("shown until %s, then until %s", first.ShownUntil, second.ShownUntil)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	query := "?" + fixed + "c1"
	w := p.ask(http.MethodGet, plugin, "/"+query, nil)
	here := addressOf(w)
	if w.Code != http.StatusOK || !strings.HasPrefix(here, "/pay/") || len(here) != len("/pay/")+26 {
		t.Fatalf("the plugin host answers %d to %s", w.Code, here)
	}
	for _, tt := range []struct {
		host, target string
		want         int
	}{
		{plugin, here, 200},
		{"PLUGIN.shop.example.:8443", here, 200},
		{single, here, 200},
		{plugin, "/pay" + query, 200},
		{"plugin.other.example", "/" + query, 404}, // nobody's: not the window's
		{single, "/" + query, 404},
		{single, "/pay" + query, 404},
		{single, "/pay" + query + "&merchant=nobody", 404},
		{"api.shop.example", "/pay" + query + "&merchant=cafe", 404},
		{plugin, "/api/v1/transaction/status", 404},
		{plugin, "/feeds/till", 404},
		{single, "/pay/" + strings.Repeat("A", 26), 404},
		{single, "/pay/x", 404},
		{single, here + "/nothing", 303},
		{single, here + "/a/b", 404},
	} {
		if w := p.ask(http.MethodGet, tt.host, tt.target, nil); w.Code != tt.want {
			t.Errorf("%s%s answers %d, want %d", tt.host, tt.target, w.Code, tt.want)
		}
	}
	// A guessed token and a stranger's page look alike.
	if a, b := p.get("/pay/"+strings.Repeat("A", 26)).Body.String(), p.get("/pay/"+strings.Repeat("B", 26)).Body.String(); a != b {
		t.Error("two guesses look different")
	}
}

// TestHashedURL holds the hashes to a vector that was computed apart:
//
//	printf 'success\n55\nc1\nhttps://shop.example/ok' | openssl dgst -sha256 -hmac private-key-of-shop
func TestHashedURL(t *testing.T) {
	t.Parallel()
	got := window.HashURL(key, window.Success, "55", "c1", "https://shop.example/ok")
	if want := "aHR0cHM6Ly9zaG9wLmV4YW1wbGUvb2s." + vectorURL; got != want {
		t.Errorf("the hashed URL is %s, want %s", got, want)
	}
	if got := window.ReturnSignature(key, "c1", window.Success); got != vectorReturn {
		t.Errorf("the signature is %s, want %s", got, vectorReturn)
	}
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1&payment_url_success_id=unknown&success_url=" + got)
	if to := p.payment(here).Return.Success; to != "https://shop.example/ok" {
		t.Errorf("the payer goes to %s", to)
	}
}

// TestHostileLinks: whatever a link holds, the page says so in the payer's
// language, leads nowhere and runs nothing.
func TestHostileLinks(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	good := map[string]string{"merchant": "shop", "label": "55", "currency_code": "INR", "custom_transaction_id": "c1"}
	hash := func(kind window.Kind, address string) string { return window.HashURL(key, kind, "55", "c1", address) }
	signed := hash(window.Success, "https://evil.example/")
	for _, tt := range []struct{ name, value string }{
		{"label", ""},
		{"label", strings.Repeat("x", 191)},
		{"label", "a\r\nSet-Cookie: x=1"},
		{"label", "a\x00b"},
		{"label", "\xff\xfe"},
		{"currency_code", ""},
		{"currency_code", "USD"},
		{"currency_code", "<script>"},
		{"lang", `hi"><script>alert(1)</script>`},
		{"lang", "../../etc/passwd"},
		{"lang", "fr"},
		{"wallet_type", "upi_zz"},
		{"wallet_type", "<img src=x onerror=alert(1)>"},
		{"custom_transaction_id", strings.Repeat("é", 191)},
		{"custom_transaction_id", "c1\r\nLocation: https://evil.example"},
		{"fixed_amount", "0"},
		{"fixed_amount", "-500"},
		{"fixed_amount", "500.001"},
		{"fixed_amount", "NaN"},
		{"fixed_amount", "1e99"},
		{"fixed_amount", "99999999999999"},
		{"fixed_amount", "<b>5</b>"},
		{"payment_url_success_id", "99"},
		{"payment_url_fail_id", "https://evil.example"},
		{"success_url", "https://evil.example/"},
		{"success_url", "//evil.example"},
		{"success_url", "javascript:alert(1)"},
		{"success_url", signed[:len(signed)-1] + "0"},
		{"success_url", signed + "00"},
		{"success_url", strings.SplitAfter(signed, ".")[0]},
		{"success_url", "." + strings.Split(signed, ".")[1]},
		{"success_url", "="},
		{"pending_url", hash(window.Success, "https://evil.example/")}, // of another kind
		{"success_url", window.HashURL(key, window.Success, "56", "c1", "https://evil.example/")},
		{"success_url", window.HashURL(key, window.Success, "55", "c2", "https://evil.example/")},
		{"success_url", window.HashURL("", window.Success, "55", "c1", "https://evil.example/")},
		{"success_url", window.HashURL("wrong", window.Success, "55", "c1", "https://evil.example/")},
		// Signed, and still not to be gone to.
		{"success_url", hash(window.Success, "http://evil.example/")},
		{"success_url", hash(window.Success, "http://127.0.0.1/")},
		{"success_url", hash(window.Success, "javascript:alert('evil.example')")},
		{"success_url", hash(window.Success, "data:text/html,evil.example")},
		{"success_url", hash(window.Success, "//evil.example")},
		{"success_url", hash(window.Success, "https:evil.example")},
		{"success_url", hash(window.Success, "https:///evil.example")},
		{"success_url", hash(window.Success, `https:\\evil.example`)},
		{"success_url", hash(window.Success, "https://shop.example@evil.example/")},
		{"success_url", hash(window.Success, "https://evil.example/\r\nX: y")},
	} {
		for lang, title := range map[string]string{"en": "This payment link is not right", "hi": "भुगतान का यह लिंक सही नहीं है"} {
			query := url.Values{}
			for name, value := range good {
				query.Set(name, value)
			}
			query.Set("lang", lang)
			query.Set(tt.name, tt.value)
			w := p.get("/pay?"+query.Encode(), "Accept-Language", lang)
			body := w.Body.String()
			if w.Code != http.StatusBadRequest || !strings.Contains(body, title) || !strings.Contains(body, tt.name) {
				t.Errorf("%s=%.80q (%s) answers %d: %s", tt.name, tt.value, lang, w.Code, plain(body))
			}
			if strings.Contains(body, "evil.example") || strings.Contains(body, "alert(") || w.Header().Get("Location") != "" {
				t.Errorf("%s=%.80q: the page repeats it", tt.name, tt.value)
			}
		}
	}
	for _, query := range []string{"merchant=shop&label=55&label=56&currency_code=INR", "merchant=shop&label=%zz&currency_code=INR"} {
		p.mustSay(p.get("/pay?"+query), 400)
	}
}

// TestMarkupIsText: what a good link may hold is shown as text.
func TestMarkupIsText(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	const evil = `"><script>alert(1)</script>{{.}}`
	here := p.mustOpen("label=" + url.QueryEscape(evil) + "&currency_code=INR&wallet_type=upi_w&fixed_amount=500&payment_url_pending_id=3&custom_transaction_id=" + url.QueryEscape(evil))
	check := func(body string) {
		t.Helper()
		if strings.Contains(body, "alert(1)</script>") || strings.Count(body, "<script") != 1 {
			t.Errorf("the page holds the script: %s", body)
		}
	}
	check(p.mustPage(here, 200))
	check(p.post(here, "utr", "utr", evil).Body.String())
	p.mustPost(here, "utr", "utr", "000000000001")
	check(p.mustPage(here, 200, evil, "custom_transaction_id="+url.QueryEscape(evil)+"&status=pending&signature="+window.ReturnSignature(key, evil, window.Pending)))
	free := p.mustOpen("label=55&currency_code=INR&wallet_type=upi_w")
	check(p.mustSay(p.post(free, "amount", "amount", evil), 422, evil))
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	for target, frame := range map[string]string{
		here: "frame-ancestors https://shop.example", "/pay/none": "frame-ancestors 'none'",
		"/pay?merchant=shop": "frame-ancestors 'none'", "/pay?merchant=shop&" + fixed + "c1": "frame-ancestors https://shop.example",
		here + "/state": "frame-ancestors 'none'",
	} {
		h := p.get(target).Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, frame) || !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s has the policy %s", target, policy)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s has the headers %v", target, h)
		}
	}
	body := p.mustPage(here, 200)
	for _, bad := range []string{" style=", " onclick=", "javascript:", "http://", "src=\"http", string(key)} {
		if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if strings.Count(body, "https://shop.example") != 1 || !strings.Contains(body, `data-origins="https://shop.example"`) {
		t.Error("the page does not name the one origin it speaks to")
	}
}

func TestOtherSites(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	w := p.ask(http.MethodPost, single, here+"/utr", url.Values{"utr": {"000000000001"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	p.mustSay(w, 403, "from another site")
	p.mustPage(here, 200, "Enter the UTR")
}

func TestLimitsOfPayers(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200)
	var last *httptest.ResponseRecorder
	for range 40 {
		if last = p.post(here, "utr", "utr", "1"); last.Code != http.StatusUnprocessableEntity {
			break
		}
	}
	p.mustSay(last, 429, "One moment, please", `href="`+here+`"`)
	if last.Header().Get("Retry-After") != "10" {
		t.Errorf("Retry-After is %s", last.Header().Get("Retry-After"))
	}
	for range 40 {
		if last = p.get("/pay?merchant=shop&" + fixed + "c1"); last.Code != http.StatusOK {
			break
		}
	}
	p.mustSay(last, 429, "One moment, please")
	p.mustOpen(strings.Replace(fixed, "=55&", "=56&", 1) + "c2") // another payer is not held up
}

// TestPageSize: what a payer needs first comes in one round trip.
func TestPageSize(t *testing.T) {
	t.Parallel()
	p := open(t, func(c *directory.Change) {
		c.Merchants[0].Look.Colour = "#7a1f5c"
		for _, w := range c.Wallets {
			w.MerchantVPA = true
		}
	})
	for _, lang := range []string{"en", "hi"} {
		here := p.mustOpen(fixed + lang + "&lang=" + lang)
		w := p.get(here, "Accept-Encoding", "br, gzip")
		size := w.Body.Len()
		if w.Header().Get("Content-Encoding") != "gzip" || size > 14<<10 {
			t.Errorf("the %s page has %d bytes, encoded %q", lang, size, w.Header().Get("Content-Encoding"))
		}
		t.Logf("the %s page has %d bytes", lang, size)
		unpacked, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(unpacked)
		if err != nil || !strings.HasSuffix(string(body), "</html>") || !strings.Contains(string(body), "<svg") {
			t.Errorf("the page does not unpack: %v", err)
		}
		if w := p.get(here, "Accept-Encoding", "gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
			t.Error("a browser that takes no gzip gets it")
		}
	}
}

// TestEvents: the page learns of the credit when it arrives, over a real
// connection.
func TestEvents(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	server := httptest.NewServer(p)
	defer server.Close()
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200)
	p.mustPost(here, "utr", "utr", "000000000001")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+here+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("events are %s", got)
	}
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		return ""
	}
	if got := next(); !strings.Contains(got, `"state":"waiting"`) {
		t.Fatalf("the first event is %s", got)
	}
	p.MustReport(p.payment(here).Wallet, 1, 0, 1, p.Entry(storetest.UTR(1), 500*money.Rupee))
	if got := next(); !strings.Contains(got, `"state":"ok","outcome":"success"`) {
		t.Fatalf("the second event is %s", got)
	}
	p.door.Close()
	if got := next(); got != "" || lines.Err() != nil {
		t.Errorf("a window that closes ends with %q, %v", got, lines.Err())
	}
}
