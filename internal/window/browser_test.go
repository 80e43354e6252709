package window_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/store/storetest"
)

func must[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	return browsertest.Must(ctx, t, action)
}

// words are what a payer looks for in each language.
var words = map[string]struct{ waiting, paid, money string }{
	"en": {"Waiting for the bank", "Payment received", "₹500.00"},
	"hi": {"बैंक से पुष्टि का इंतज़ार", "भुगतान मिल गया", "₹500.00"},
}

// TestPayerInBrowser walks on the narrowest phone: the outcome comes by itself
// when the bank reports the money, leads back to the merchant, and is there
// again whenever the link is opened.
func TestPayerInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for lang, say := range words {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			s := browser.sit(t, lang, true, look{320, 640, true}).visiting(t, nil)
			s.open(order)
			browsertest.MustSee(s.ctx, t, say.money)
			s.legible()
			s.giveUTR(string(storetest.UTR(7)))
			browsertest.MustSee(s.ctx, t, say.waiting)
			s.legible()
			s.MustReport("window", 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
			browsertest.MustSee(s.ctx, t, say.paid) // nobody touched the page
			s.legible()
			back := must(s.ctx, t, chromedp.Evaluate[string](`document.querySelector("#return").href`))
			if !strings.HasPrefix(back, "https://shop.example/done?order=7&custom_transaction_id=order-1&status=success&signature=") {
				t.Errorf("the way back is %s", back)
			}
			// The same link, refreshed or on another device, is the same payment.
			s.leads(func() { s.open(order) })
			browsertest.MustSee(s.ctx, t, say.paid)
		})
	}
}

// TestFirstPageInBrowser: the pay page brings everything it needs with it.
func TestFirstPageInBrowser(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ctx := browsertest.Start(t)
	must(ctx, t, chromedp.Navigate(server.URL+"/pay?merchant=shop&label=55&currency_code=INR&fixed_amount=500&wallet_type=upi_l&custom_transaction_id=order-3"))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS("#utr")))
	if extra := must(ctx, t, chromedp.Evaluate[int](`performance.getEntriesByType("resource").length`)); extra != 0 {
		t.Errorf("the first page fetched %d more files", extra)
	}
	if blocked := must(ctx, t, chromedp.Evaluate[bool](`getComputedStyle(document.querySelector(".sum")).fontWeight >= 600 && !document.querySelector("[data-copy]").hidden`)); !blocked {
		t.Error("style or script did not run: does the policy know their hashes?")
	}
}

// TestAccessible runs axe-core on every page of the way, in both languages,
// light and dark.
func TestAccessible(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ctx := browsertest.Start(t)
	must(ctx, t, chromedp.EmulateViewport(320, 720))
	for lang, say := range words {
		for _, scheme := range []string{"light", "dark"} {
			browsertest.Prefer(ctx, t, scheme)
			check := func(page string) {
				t.Helper()
				axe.Check(ctx, t, page+", "+lang+", "+scheme)
			}
			link := server.URL + "/pay?merchant=shop&label=55&currency_code=INR&lang=" + lang
			must(ctx, t, chromedp.Navigate(link+"&custom_transaction_id=list-"+lang+scheme))
			check("the list of methods")
			must(ctx, t, chromedp.Navigate(link+"&custom_transaction_id=amount-"+lang+scheme+"&wallet_type=upi_l"))
			check("the amount")
			must(ctx, t, chromedp.Navigate(link+"&custom_transaction_id=pay-"+lang+scheme+"&wallet_type=upi_l&fixed_amount=500"))
			check("where to pay")
			// One drawing after the other: opening one closes the one before.
			drawings := must(ctx, t, chromedp.Evaluate[int](`document.querySelector("details").open = true, document.querySelectorAll("details details").length`))
			for i := range drawings {
				must(ctx, t, chromedp.Evaluate[bool](fmt.Sprintf(`document.querySelectorAll("details details")[%d].open = true`, i)))
				check(fmt.Sprintf("drawing %d", i))
			}
			must(ctx, t, chromedp.SendKeys(chromedp.CSS("#utr"), "999999999999"))
			must(ctx, t, chromedp.Click(chromedp.CSS("#enter form button")))
			browsertest.MustSee(ctx, t, say.waiting)
			check("waiting")
			must(ctx, t, chromedp.Navigate(link+"&success_url=bad.00"))
			check("a link that is refused")
		}
	}
}
