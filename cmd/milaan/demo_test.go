package main

import (
	"bytes"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/staff"
)

func TestDemoPlaysThrough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Twice in one folder: a demo goes on where the last one ended.
	for range 2 {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"demo", "--auto", "--dir", dir, "--listen", "127.0.0.1:0"}, &out, &errs); code != exitDone {
			t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
		}
		text := out.String()
		for _, want := range []string{
			" 1. The shop creates a payment", "/api/v1/transaction/create/upi_l", "upi://pay?pa=sample.shop@sandbox&pn=Sample%20Shop&am=499.00&cu=INR",
			" 2. The payer pays", " 3. The payer enters the UTR", `"status": "possible_transaction_created"`,
			" 4. The bank's feed reports", `"matched": 1`,
			" 5. The postback arrives", `more"`, "both signatures verified", `answered {"status":"ok"}`,
			" 6. The shop asks for the status", " 7. The same activation again", "still one deposit",
			" 8. A second payment", "credited at once", " 9. Somebody else claims", `"status": "fail"`,
			"10. The first order is refunded by IMPS", "/v2/withdrawal/create", `"withdrawal_status": "failed"`, "may name another account",
			"11. The customer names another account", `"direction": "outgoing"`, `"withdrawal_status": "success"`, "the order is refunded",
			"12. The ledger", "every invariant holds; ₹1,248.50 came in, ₹499.00 went out, and ₹749.50 is the shop's", "Everything went as expected.",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the output lacks %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "\x1b[") {
			t.Error("colours were written to what is no terminal")
		}
		if errs.Len() > 0 {
			t.Errorf("standard error has %s", &errs)
		}
	}
}

// runningDemo is a demo that stands open, with what it printed.
type runningDemo struct {
	text string
	stop context.CancelFunc
	code chan int
	errs bytes.Buffer // to be read once code came
}

// startDemo starts one; without a month behind it where flags say so.
func startDemo(t *testing.T, flags ...string) *runningDemo {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	d := &runningDemo{stop: stop, code: make(chan int, 1)}
	read, write := io.Pipe()
	go func() {
		d.code <- run(ctx, append([]string{"demo", "--listen", "127.0.0.1:0"}, flags...), write, &d.errs)
		_ = write.Close() // so that one that failed to start is not awaited
	}()
	var shown strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(shown.String(), "Ctrl-C ends the demo.") {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, &shown, &d.errs)
		}
		shown.Write(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	d.text = shown.String()
	return d
}

func (d *runningDemo) end(t *testing.T) {
	t.Helper()
	d.stop()
	if code := <-d.code; code != exitDone {
		t.Errorf("exit code %d: %s", code, &d.errs)
	}
}

func TestDemoEndsCleanly(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	startDemo(t, "--empty").end(t)
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// payer is somebody with a browser that runs no scripts.
type payer struct {
	*http.Client
	at   *url.URL
	page string
}

func newPayer(t *testing.T) *payer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &payer{Client: &http.Client{Jar: jar}}
}

// open goes to an address, or sends fields there where there are any, and
// follows where that leads.
func (p *payer) open(t *testing.T, address string, fields url.Values) {
	t.Helper()
	method := http.MethodGet
	if fields != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w, err := p.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	page, err := io.ReadAll(w.Body)
	if err != nil || w.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: answered %s (%v)\n%s", method, address, w.Status, err, page)
	}
	p.at, p.page = w.Request.URL, string(page)
}

// find is what the page has at the place that the pattern's group marks.
func (p *payer) find(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(p.page)
	if found == nil {
		t.Fatalf("%s has nothing like %s:\n%s", p.at, pattern, p.page)
	}
	return html.UnescapeString(found[1])
}

// until reloads the page until it has what is wanted.
func (p *payer) until(t *testing.T, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(p.page, want) {
		if time.Now().After(deadline) {
			t.Fatalf("%s never has %q:\n%s", p.at, want, p.page)
		}
		time.Sleep(20 * time.Millisecond)
		p.open(t, p.at.String(), nil)
	}
}

// pays fills the bank's UPI app in for an order and pays; fields are what to fill
// in differently. The payer has the receipt then, with the UTR that is returned.
func (p *payer) pays(t *testing.T, bank, order string, fields url.Values) (utr string) {
	t.Helper()
	p.open(t, order+"/app", nil)
	if !strings.HasPrefix(p.at.String(), bank+"/?link=") {
		t.Fatalf("the UPI app opened at %s", p.at)
	}
	for _, name := range []string{"payee", "payee_name", "note", "amount", "payer_name", "payer_vpa"} {
		if !fields.Has(name) {
			fields.Set(name, p.find(t, `name="`+name+`" value="([^"]*)"`))
		}
	}
	p.open(t, bank+"/pay", fields)
	return p.find(t, `<output[^>]*>(\d{12})</output>`)
}

// The way of a payer: the shop, its UPI app, the payment window, and back.
func TestDemoThroughTheWindow(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--empty")
	place := func(name string) string {
		return (&payer{page: d.text}).find(t, name+` +(http://\S+)`)
	}
	shop, bank, gateway := place("Sample shop"), place("Sandbox bank"), place("Gateway")
	for _, c := range []struct{ how, when, outcome, order string }{
		{"asked", "now", "success", "Paid. Thank you!"},
		{"asked", "held", "pending", "not reported this payment yet"},
		{"wrong", "now", "pending", "a person has to look at it"},
		{"twice", "now", "success", "Paid. Thank you!"},
	} {
		p, phone := newPayer(t), newPayer(t)
		p.open(t, shop+"/orders", url.Values{"product": {"chai"}})
		order := p.at.String()

		fields := url.Values{"how": {c.how}, "when": {c.when}}
		utr := phone.pays(t, bank, order, fields)
		receipt := phone.at.String()

		p.open(t, p.find(t, `href="([^"]+)">Pay by UPI</a>`), nil)
		if !strings.HasPrefix(p.at.String(), gateway+"/pay?") {
			t.Fatalf("the window opened at %s", p.at)
		}
		if vpa := fields.Get("payee"); !strings.Contains(p.page, vpa) || !strings.Contains(p.page, "₹499") {
			t.Errorf("the window does not ask for ₹499 to %s:\n%s", vpa, p.page)
		}
		if !strings.Contains(p.page, `data-origins="`+shop+`"`) {
			t.Errorf("the shop may not embed the window:\n%s", p.page)
		}
		p.open(t, gateway+p.find(t, `action="(/pay/[^"#]+/utr)`), url.Values{"utr": {"Paid. UPI Ref " + utr}})
		p.until(t, `data-outcome="`+c.outcome+`"`)
		window := p.at.String()
		if !strings.HasPrefix(window, gateway+"/pay/") {
			t.Fatalf("the UTR led to %s", window)
		}
		back := p.find(t, `<a id="return"[^>]* href="([^"]+)"`)
		if !strings.HasPrefix(back, shop+"/return?") {
			t.Fatalf("the window leads to %s", back)
		}
		p.open(t, back, nil)
		if p.at.String() != order {
			t.Errorf("the return leads to %s instead of %s", p.at, order)
		}
		p.until(t, c.order)

		if c.when == "held" { // the bank lets go of it, and everything turns by itself
			phone.open(t, receipt+"/report", url.Values{})
			p.until(t, "Paid. Thank you!")
			p.open(t, window, nil)
			p.until(t, `data-outcome="success"`)
		}
	}

	// A payment whose note the bank reports needs no UTR.
	p, phone := newPayer(t), newPayer(t)
	p.open(t, shop+"/orders", url.Values{"product": {"chai"}})
	order := p.at.String()
	p.open(t, p.find(t, `href="([^"]+)">Pay by UPI</a>`), nil)
	phone.pays(t, bank, order, url.Values{"how": {"asked"}, "when": {"now"}, "note": {p.find(t, `note (MLN\w{9})`)}})
	p.until(t, `data-outcome="success"`)
	d.end(t)
}

func TestDemoStaysOnThisComputer(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:8080", "192.0.2.1:8080", "nowhere", "127.0.0.1:65535"} {
		var errs bytes.Buffer
		if code := run(t.Context(), []string{"demo", "--listen", addr}, io.Discard, &errs); code != exitUsage {
			t.Errorf("--listen %s: exit code %d: %s", addr, code, &errs)
		}
	}
}

func TestDemoSparesOtherDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "milaan.db")
	if err := os.WriteFile(other, []byte("not the demo's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"demo", "--auto", "--dir", dir, "--listen", "127.0.0.1:0"}, io.Discard, io.Discard); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "not the demo's" {
		t.Errorf("milaan.db is %q now (%v)", text, err)
	}
}

// The way back: a paid order is refunded by itself, or, where it is much, once the
// operator approved it beside the running demo.
func TestDemoRefunds(t *testing.T) {
	d := startDemo(t, "--empty")
	place := func(name string) string {
		return (&payer{page: d.text}).find(t, name+` +(http://\S+)`)
	}
	shop, bank, gateway := place("Sample shop"), place("Sandbox bank"), place("Gateway")
	t.Setenv("MILAAN_DATABASE_URL", (&payer{page: d.text}).find(t, `MILAAN_DATABASE_URL=(\S+) milaan payout list`))
	for _, c := range []struct{ product, ends, amount, says string }{
		{"chai", "01", "paid", "The bank paid <strong>₹499.00</strong>"},
		{"chai", "02", "paid", "The refund failed"},
		{"chai", "01", "much", "The gateway refused to refund ₹999.00: insufficient balance."},
		{"kulhad", "01", "paid", "A person has to approve this refund"},
	} {
		p, phone := newPayer(t), newPayer(t)
		p.open(t, shop+"/orders", url.Values{"product": {c.product}})
		order := p.at.String()
		utr := phone.pays(t, bank, order, url.Values{"how": {"asked"}, "when": {"now"}})
		p.open(t, p.find(t, `href="([^"]+)">Pay by UPI</a>`), nil)
		p.open(t, gateway+p.find(t, `action="(/pay/[^"#]+/utr)`), url.Values{"utr": {utr}})
		p.open(t, order, nil)
		p.until(t, "Paid. Thank you!")

		fields := url.Values{"ends": {c.ends}, "amount": {c.amount}}
		for _, name := range []string{"account", "name", "ifsc"} {
			fields.Set(name, p.find(t, `name="`+name+`" value="([^"]*)"`))
		}
		p.open(t, order+"/refund", fields)
		p.until(t, c.says)
		if c.product == "kulhad" {
			var out, errs bytes.Buffer
			if code := run(t.Context(), []string{"payout", "list"}, &out, &errs); code != exitDone {
				t.Fatalf("exit code %d: %s", code, &errs)
			}
			number := (&payer{page: out.String()}).find(t, `(?m)^(\d+) `)
			if code := run(t.Context(), []string{"payout", "approve", number}, &out, &errs); code != exitDone {
				t.Fatalf("exit code %d: %s", code, &errs)
			}
			p.until(t, "The bank paid <strong>₹749.50</strong>")
		}
	}
	d.end(t)
}

// Everybody that the demo names signs in to the console with its password, and
// there is a month to look at; a demo that goes on gives them another.
func TestDemoOpensTheConsole(t *testing.T) {
	dir := t.TempDir()
	passwords := make(map[string]bool)
	for range 2 {
		d := startDemo(t, "--dir", dir)
		shown := &payer{page: d.text}
		console, password := shown.find(t, `Console +(http://\S+)`), shown.find(t, `password “([^”]+)”`)
		passwords[password] = true
		for _, role := range staff.Roles() {
			p := newPayer(t)
			p.open(t, console+"/sign-in", url.Values{"email": {shown.find(t, `(?m)^ +(`+string(role)+`@\S+)`)}, "password": {password}})
			if p.at.Path != "/console/" {
				t.Errorf("%s was led to %s", role, p.at)
			}
		}
		t.Setenv("MILAAN_DATABASE_URL", shown.find(t, `MILAAN_DATABASE_URL=(\S+) milaan payout list`))
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"verify"}, &out, &errs); code != exitDone || !strings.Contains(out.String(), "every invariant holds") {
			t.Errorf("exit code %d: %s%s", code, &out, &errs)
		}
		if n, err := strconv.Atoi(regexp.MustCompile(`(?m)^deposits +(\d+)$`).FindStringSubmatch(out.String())[1]); err != nil || n < 1500 {
			t.Errorf("%d deposits are no month (%v)", n, err)
		}
		d.end(t)
	}
	if len(passwords) != 2 {
		t.Error("a password came twice")
	}
}
