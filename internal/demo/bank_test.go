package demo_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func payment() url.Values {
	return url.Values{
		"payee": {"A@sandbox"}, "payee_name": {"Shop"}, "note": {"for <chai>"}, "payer_name": {"Asha <b>Rao</b>"},
		"payer_vpa": {"asha@sandbox"}, "amount": {"1,499.50"}, "how": {"asked"}, "when": {"held"},
	}
}

func TestPayAndRelease(t *testing.T) {
	t.Parallel()
	b, g := newBank(t, 0)
	h := b.Handler()
	paid := visit(t, h, http.MethodPost, "/pay", payment())
	receipt := paid.Header().Get("Location")
	utr, err := upi.ParseRRN(strings.TrimPrefix(receipt, "/transfers/"))
	if paid.Code != http.StatusSeeOther || err != nil {
		t.Fatalf("answered %d to %q (%v)\n%s", paid.Code, receipt, err, paid.Body)
	}
	for _, target := range []string{receipt, "/ledger"} {
		page := visit(t, h, http.MethodGet, target, nil).Body.String()
		if !strings.Contains(page, "₹1,499.50") || !strings.Contains(page, "Asha &lt;b&gt;Rao") || strings.Contains(page, "<b>") {
			t.Errorf("%s is\n%s", target, page)
		}
	}
	if len(g.calls("/feeds/bank1")) > 0 {
		t.Error("a held transfer was reported")
	}
	// Releasing twice reports twice: the gateway knows that it is one credit.
	for range 2 {
		if w := visit(t, h, http.MethodPost, receipt+"/report", nil); w.Code != http.StatusSeeOther {
			t.Fatalf("answered %d\n%s", w.Code, w.Body)
		}
	}
	calls := g.calls("/feeds/bank1")
	if len(calls) != 2 || calls[0] != calls[1] || !strings.Contains(calls[0], `"utr":"`+string(utr)+`","amount":"1499.5","currency":"INR","payer_vpa":"asha@sandbox"`) {
		t.Errorf("the gateway was told %q", calls)
	}
	if tr, err := b.Transfer(utr); err != nil || !tr.Reported() || tr.Matched() {
		t.Errorf("the transfer is %+v (%v)", tr, err)
	}
}

func TestPayReportsWhenAsked(t *testing.T) {
	t.Parallel()
	p := demo.Payment{Payee: "a@sandbox", PayerVPA: "b@sandbox", PayerName: "B", Amount: 5 * money.Rupee, How: demo.Asked}
	for when, reported := range map[demo.When]bool{demo.AtOnce: true, demo.Held: false} {
		b, g := newBank(t, 0)
		p.When = when
		tr, err := b.Pay(t.Context(), p)
		if err != nil || tr.Reported() != reported || (len(g.calls("/feeds/bank1")) == 1) != reported {
			t.Errorf("%s: %+v (%v)", when, tr, err)
		}
	}
	p.When = demo.Soon
	b, g := newBank(t, time.Millisecond)
	if _, err := b.Pay(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for len(g.calls("/feeds/bank1")) == 0 {
		time.Sleep(time.Millisecond)
	}
	// A bank that closes does not wait for reports that are due much later.
	b, g = newBank(t, time.Hour)
	if _, err := b.Pay(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if calls := g.calls("/feeds/bank1"); len(calls) > 0 {
		t.Errorf("the gateway was told %q", calls)
	}
}

func TestPayOtherwiseThanAsked(t *testing.T) {
	t.Parallel()
	p := demo.Payment{Payee: "a@sandbox", PayerVPA: "b@sandbox", PayerName: "B", When: demo.AtOnce}
	for _, c := range []struct {
		how          demo.How
		asked, moved money.Paise
		times        int
	}{
		{demo.Asked, 499 * money.Rupee, 499 * money.Rupee, 1},
		{demo.Wrong, 499 * money.Rupee, 498 * money.Rupee, 1},
		{demo.Wrong, 150, 50, 1},
		{demo.Wrong, money.Rupee, 2 * money.Rupee, 1},
		{demo.Twice, 499 * money.Rupee, 499 * money.Rupee, 2},
	} {
		b, g := newBank(t, 0)
		p.How, p.Amount = c.how, c.asked
		first, err := b.Pay(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		all := b.Transfers()
		if len(all) != c.times || len(g.calls("/feeds/bank1")) != c.times {
			t.Fatalf("%s: %d transfers, %d of them reported", c.how, len(all), len(g.calls("/feeds/bank1")))
		}
		for _, tr := range all {
			if tr.Amount != c.moved || !tr.Reported() {
				t.Errorf("%s of %s: moved %s, reported %t", c.how, c.asked, tr.Amount, tr.Reported())
			}
		}
		if c.how != demo.Twice {
			continue
		}
		twin, err := b.Transfer(first.Twin)
		if err != nil || twin.Twin != first.UTR || twin.UTR == first.UTR {
			t.Errorf("the transfers are %s with %s, and %+v (%v)", first.UTR, first.Twin, twin, err)
		}
		receipt := visit(t, b.Handler(), http.MethodGet, "/transfers/"+string(first.UTR), nil).Body.String()
		if !strings.Contains(receipt, "Paid twice") || !strings.Contains(receipt, "/transfers/"+string(first.Twin)) {
			t.Errorf("the receipt is\n%s", receipt)
		}
	}
}

func TestReportThatFails(t *testing.T) {
	t.Parallel()
	b, g := newBank(t, 0)
	g.Close()
	tr, err := b.Pay(t.Context(), demo.Payment{Payee: "a@sandbox", PayerVPA: "b@sandbox", PayerName: "B", Amount: money.Rupee, How: demo.Asked, When: demo.AtOnce})
	if err != nil || tr.Reported() || tr.Last().Failed == "" {
		t.Fatalf("the transfer is %+v (%v)", tr, err)
	}
	if page := visit(t, b.Handler(), http.MethodGet, "/ledger", nil).Body.String(); !strings.Contains(page, "not reported") || !strings.Contains(page, "Release the report") {
		t.Errorf("the ledger is\n%s", page)
	}
}

func TestPayRefuses(t *testing.T) {
	t.Parallel()
	b, _ := newBank(t, 0)
	for _, c := range []struct{ field, value, says string }{
		{"amount", "0", "Type the amount"},
		{"amount", "-5", "Type the amount"},
		{"amount", "1.234", "Type the amount"},
		{"amount", `"><script>`, "Type the amount"},
		{"amount", "100000.01", "₹1,00,000 at most"},
		{"payee", "nobody@sandbox", "Nobody has this UPI ID"},
		{"payee", `<script>@x`, "looks like name@bank"},
		{"payer_vpa", "asha", "Your UPI ID looks like"},
		{"payer_name", " ", "Type a name"},
		{"payer_name", strings.Repeat("ä", 61), "Type a name"},
		{"payer_name", "a\nb", "Type a name"},
		{"note", strings.Repeat("x", 51), "50 characters"},
		{"when", "never", "Choose when"},
		{"how", "", "Choose how"},
		{"how", "thrice", "Choose how"},
	} {
		fields := payment()
		fields.Set(c.field, c.value)
		w := visit(t, b.Handler(), http.MethodPost, "/pay", fields)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s %.20q: answered %d\n%s", c.field, c.value, w.Code, w.Body)
		}
	}
	if left := b.Transfers(); len(left) > 0 {
		t.Errorf("there are %d transfers", len(left))
	}
}

func TestAppOpensLinks(t *testing.T) {
	t.Parallel()
	b, _ := newBank(t, 0)
	for _, c := range []struct {
		query, says string
		status      int
	}{
		{"", "To (UPI ID)", http.StatusOK},
		{"?pa=a@sandbox&pn=A%20%3Cb%3E&am=499.00&cu=INR&tn=chai", `value="499.00"`, http.StatusOK},
		{"?pa=a@sandbox&pn=A%20%3Cb%3E", "A &lt;b&gt;", http.StatusOK},
		{"?pa=a@sandbox&pa=b@sandbox&pn=A", "no payment link", http.StatusBadRequest},
		{"?pa=%22%3E%3Cscript%3E&pn=A", "no payment link", http.StatusBadRequest},
		{"?am=1", "no payment link", http.StatusBadRequest},
	} {
		w := visit(t, b.Handler(), http.MethodGet, "/pay"+c.query, nil)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || !strings.Contains(w.Body.String(), "no real money") || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: answered %d\n%s", c.query, w.Code, w.Body)
		}
	}
	const link = "upi://pay?pa=a@sandbox&pn=A%20%3Cb%3E&am=499.00&cu=INR"
	for pasted, c := range map[string]struct {
		says   string
		status int
	}{
		link:                         {`value="499.00"`, http.StatusOK},
		" " + link + "\n":            {"A &lt;b&gt;", http.StatusOK},
		"":                           {"no payment link", http.StatusBadRequest},
		"https://shop.example":       {"no payment link", http.StatusBadRequest},
		`"><script>alert()</script>`: {"no payment link", http.StatusBadRequest},
	} {
		w := visit(t, b.Handler(), http.MethodGet, "/?link="+url.QueryEscape(pasted), nil)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%q pasted: answered %d\n%s", pasted, w.Code, w.Body)
		}
	}
	for _, choice := range []string{"a wrong amount", "twice: two payments, two UTRs", "late: after 0 s", "late: when released"} {
		if page := visit(t, b.Handler(), http.MethodGet, "/", nil).Body.String(); !strings.Contains(page, choice) {
			t.Errorf("the app does not offer %q:\n%s", choice, page)
		}
	}
	if w := visit(t, b.Handler(), http.MethodGet, "/transfers/1", nil); w.Code != http.StatusNotFound {
		t.Errorf("an unknown transfer: answered %d", w.Code)
	}
}
