package window_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// TestScriptInBrowser: under the page's own policy the script counts the time
// down, makes a pasted SMS its UTR, turns the page when the credit comes, and
// lets a payer stay; and the browser has nothing to complain of.
func TestScriptInBrowser(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	t.Cleanup(p.door.Close) // runs first
	ctx := browsertest.Start(t)
	heard := browsertest.Listen(ctx, t)

	// A line break between two numbers: the field itself would join them.
	const paste = `(() => { const data = new DataTransfer();
		data.setData('text', 'Rs 500 debited from A/c XX1234.\nUPI Ref 000000000042\n500 left. Call +919876543210');
		const utr = document.querySelector('#utr');
		utr.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
		return utr.value + ' ' + document.querySelector('#found').textContent })()`
	here := p.mustOpen(fixed + "c1&lang=en&payment_url_success_id=2")
	must(ctx, t, chromedp.Navigate(server.URL+here))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS("[data-copy]")))
	if left := must(ctx, t, chromedp.TextContent(chromedp.CSS("[data-left]"))); !strings.Contains(left, ":") {
		t.Errorf("the time left is %q", left)
	}
	if pasted := must(ctx, t, chromedp.Evaluate[string](paste)); pasted != "000000000042 12 digits, looks good" {
		t.Errorf("the pasted SMS gives %q", pasted)
	}
	// What is typed is checked while it is: too much at once, too little once the
	// payer goes on.
	const typed = `(text, event) => { const utr = document.querySelector('#utr'), found = document.querySelector('#found');
		utr.value = text; utr.dispatchEvent(new Event(event));
		return found.className + ' ' + utr.getAttribute('aria-invalid') + ' ' + found.textContent }`
	for _, tt := range []struct{ call, want string }{
		{`("1234", "input")`, "good null "},
		{`("1234", "change")`, "error true A UTR has exactly 12 digits. Check it in your UPI app."},
		{`("1234567890123", "input")`, "error true A UTR has exactly 12 digits. Check it in your UPI app."},
		{`("0000 0000\u200b 0042", "input")`, "good null 12 digits, looks good"},
	} {
		if got := must(ctx, t, chromedp.Evaluate[string]("("+typed+")"+tt.call)); got != tt.want {
			t.Errorf("typed %s says %q, not %q", tt.call, got, tt.want)
		}
	}
	must(ctx, t, chromedp.Click(chromedp.CSS("#enter form button")))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS(".live")))
	p.MustReport(p.payment(here).Wallet, 1, 0, 1, p.Entry(storetest.UTR(42), 500*money.Rupee))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS(".success")))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS("#count")))
	must(ctx, t, chromedp.Click(chromedp.CSS("#count button")))
	must(ctx, t, chromedp.WaitNotVisible(chromedp.CSS("#count")))
	if focus := must(ctx, t, chromedp.Evaluate[string]("document.activeElement.id")); focus != "return" {
		t.Errorf("the focus is on %q", focus)
	}
	if complaints := heard.Take(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}
