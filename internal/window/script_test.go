package window_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/directory"
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
	ctx := browse(t)
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(event any) {
		text := ""
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			text = e.ExceptionDetails.Text
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				text = e.Entry.Text
			}
		}
		if text != "" {
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}

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
	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// TestFrameInBrowser: the merchant's page, and no other, can frame the window
// and is told of the outcome and the height.
func TestFrameInBrowser(t *testing.T) {
	t.Parallel()
	var inner string // set below, before the pages are asked for
	frame := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<!doctype html><iframe src="` + inner + `"></iframe><p>told nothing</p><script>
			addEventListener("message", e => { document.querySelector("p").textContent = JSON.stringify(e.data.milaan); document.body.id = "told" })
			document.querySelector("iframe").onload = () => document.body.className = "loaded"</script>`))
	})
	merchant, stranger := httptest.NewServer(frame), httptest.NewServer(frame)
	t.Cleanup(merchant.Close)
	t.Cleanup(stranger.Close)
	p := open(t, func(c *directory.Change) { c.Merchants[0].FrameAncestors = []string{merchant.URL} })
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	t.Cleanup(p.door.Close) // runs first
	here := p.mustOpen(fixed + "c1")
	p.mustPage(here, 200)
	p.mustPost(here, "utr", "utr", "000000000001")
	inner = server.URL + here

	ctx := browse(t)
	must(ctx, t, chromedp.Navigate(merchant.URL))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS("#told")))
	text := must(ctx, t, chromedp.TextContent(chromedp.CSS("p")))
	if !strings.HasPrefix(text, `{"outcome":"pending","height":`) || !strings.HasSuffix(text, `"custom_transaction_id":"c1"}`) {
		t.Errorf("the merchant's page is told %s", text)
	}
	must(ctx, t, chromedp.Navigate(stranger.URL))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS(".loaded")))
	if text := must(ctx, t, chromedp.TextContent(chromedp.CSS("p"))); text != "told nothing" {
		t.Errorf("a stranger's page is told %s", text)
	}
}
