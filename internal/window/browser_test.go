package window_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/store/storetest"
)

// browserTimeout is far beyond what any step takes: it ends a test that hangs.
const browserTimeout = 8 * time.Minute

// browse starts a real Chromium for the test. Without one the test is skipped;
// in CI it fails, since nobody reads there what was skipped.
func browse(t *testing.T) context.Context {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if errors.Is(err, exec.ErrNotFound) {
		const hint = "chromium is not installed: ./test installs it, or apt-get install chromium"
		if os.Getenv("CI") != "" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()),
		// The tests may run as root, and nothing is to be looked up outside.
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser, whose folder goes away with the test
		cancel()
	})
	return ctx
}

func must[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		keepScreenshot(ctx, t)
		t.Fatal(err)
	}
	return v
}

// keepScreenshot leaves what the payer saw when a test failed.
func keepScreenshot(ctx context.Context, t *testing.T) {
	t.Helper()
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return
	}
	path := filepath.Join(os.TempDir(), "milaan-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
	if os.WriteFile(path, shot, 0o600) == nil {
		t.Logf("the page is kept in %s", path)
	}
}

// mustSee waits until the page shows a text. While a page gives way to the next
// one there is nothing to look at, which is no fault.
func mustSee(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	for {
		seen, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("document.body !== null && document.body.innerText.includes(%q)", text)))
		if seen {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the page never showed %q: %v", text, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
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
			mustSee(s.ctx, t, say.money)
			s.legible()
			s.giveUTR(string(storetest.UTR(7)))
			mustSee(s.ctx, t, say.waiting)
			s.legible()
			s.MustReport("window", 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
			mustSee(s.ctx, t, say.paid) // nobody touched the page
			s.legible()
			back := must(s.ctx, t, chromedp.Evaluate[string](`document.querySelector("#return").href`))
			if !strings.HasPrefix(back, "https://shop.example/done?order=7&custom_transaction_id=order-1&status=success&signature=") {
				t.Errorf("the way back is %s", back)
			}
			// The same link, refreshed or on another device, is the same payment.
			s.leads(func() { s.open(order) })
			mustSee(s.ctx, t, say.paid)
		})
	}
}

// TestFirstPageInBrowser: the pay page brings everything it needs with it.
func TestFirstPageInBrowser(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ctx := browse(t)
	must(ctx, t, chromedp.Navigate(server.URL+"/pay?merchant=shop&label=55&currency_code=INR&fixed_amount=500&wallet_type=upi_l&custom_transaction_id=order-3"))
	must(ctx, t, chromedp.WaitVisible(chromedp.CSS("#utr")))
	if extra := must(ctx, t, chromedp.Evaluate[int](`performance.getEntriesByType("resource").length`)); extra != 0 {
		t.Errorf("the first page fetched %d more files", extra)
	}
	if blocked := must(ctx, t, chromedp.Evaluate[bool](`getComputedStyle(document.querySelector(".sum")).fontWeight >= 600 && !document.querySelector("[data-copy]").hidden`)); !blocked {
		t.Error("style or script did not run: does the policy know their hashes?")
	}
}

// axeRules are those of WCAG 2.2 AA, and good practice besides.
const axeRules = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
	found => found.violations.map(v => v.id + ": " + v.nodes.map(n => n.target).join(" ")).join("; "))`

// TestAccessible runs axe-core on every page of the way, in both languages,
// light and dark.
func TestAccessible(t *testing.T) {
	t.Parallel()
	path := os.Getenv("MILAAN_TEST_AXE")
	if path == "" {
		t.Skip("MILAAN_TEST_AXE is not set: ./test fetches axe-core and sets it")
	}
	axe, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, nil)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ctx := browse(t)
	must(ctx, t, chromedp.EmulateViewport(320, 720))
	for lang, say := range words {
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			}); err != nil {
				t.Fatal(err)
			}
			check := func(page string) {
				t.Helper()
				must(ctx, t, chromedp.Evaluate[bool](string(axe)+";true"))
				if found := must(ctx, t, chromedp.Evaluate[string](axeRules, chromedp.EvalAwaitPromise)); found != "" {
					t.Errorf("%s, %s, %s: %s", page, lang, scheme, found)
				}
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
			mustSee(ctx, t, say.waiting)
			check("waiting")
			must(ctx, t, chromedp.Navigate(link+"&success_url=bad.00"))
			check("a link that is refused")
		}
	}
}
