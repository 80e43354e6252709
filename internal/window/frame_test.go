package window_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/store/storetest"
)

// documentedFrame is what the manual tells merchants to put into their page.
func documentedFrame(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "window.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```html\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the manual has no page to frame the window with")
	}
	return string(block[1])
}

// TestFrameInBrowser puts the manual's own lines into pages of two other
// sites. The merchant's frames the window, becomes as high as it, and goes on
// when the money comes; the other shows nothing, and is told nothing.
func TestFrameInBrowser(t *testing.T) {
	t.Parallel()
	const origin = "https://plugin.example.com"
	snippet := documentedFrame(t)
	if strings.Count(snippet, origin) != 2 {
		t.Fatalf("the manual's lines are not as expected:\n%s", snippet)
	}
	var windowURL string // set below, before the pages are asked for
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			_, _ = w.Write([]byte("<!doctype html><title>shop</title>the shop says thanks"))
			return
		}
		link := windowURL + "/pay?merchant=shop&lang=en&" + order
		filled := regexp.MustCompile(`src="[^"]*"`).ReplaceAllLiteralString(snippet, `src="`+html.EscapeString(link)+`"`)
		_, _ = w.Write([]byte(`<!doctype html><title>shop</title><script>
			const heard = []; addEventListener("message", e => heard.push(e.origin + " " + JSON.stringify(e.data)))</script>` +
			strings.ReplaceAll(filled, origin, windowURL)))
	})
	// Another site, not only another port: the window is at 127.0.0.1.
	shop, stranger := httptest.NewServer(pages), httptest.NewServer(pages)
	t.Cleanup(shop.Close)
	t.Cleanup(stranger.Close)
	atLocalhost := func(s *httptest.Server) string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

	p := open(t, func(c *directory.Change) { c.Merchants[0].FrameAncestors = []string{atLocalhost(shop)} })
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	t.Cleanup(p.door.Close) // runs first
	windowURL = server.URL

	ctx := browsertest.Start(t)
	heard := browsertest.Listen(ctx, t)
	must(ctx, t, chromedp.Navigate(atLocalhost(shop)))
	first := must(ctx, t, chromedp.Poll[string](`heard[0]`))
	if !strings.HasPrefix(first, windowURL+` {"milaan":{"outcome":"","height":`) || !strings.HasSuffix(first, `"custom_transaction_id":"order-1"}}`) {
		t.Errorf("the shop is told %s", first)
	}
	must(ctx, t, chromedp.Poll[bool](`document.getElementById("pay").clientHeight === JSON.parse(heard.at(-1).split(" ")[1]).milaan.height`))

	here := p.mustOpen(order + "&lang=en")
	p.mustPost(here, "utr", "utr", string(storetest.UTR(7)))
	must(ctx, t, chromedp.Navigate(atLocalhost(shop)))
	must(ctx, t, chromedp.Poll[bool](`heard.some(h => h.includes('"outcome":"pending"'))`))
	if complaints := heard.Take(); len(complaints) > 0 {
		t.Errorf("the browser complains of the shop's page: %q", complaints)
	}
	p.MustReport("window", 1, 0, 1, p.Entry(storetest.UTR(7), storetest.Rupees(500)))
	browsertest.MustSee(ctx, t, "the shop says thanks") // nobody touched it
	if at := must(ctx, t, chromedp.Location()); at != atLocalhost(shop)+"/thanks" {
		t.Errorf("the shop's page is %s", at)
	}

	// Neither a stranger nor the shop's server under another name.
	for _, site := range []string{atLocalhost(stranger), shop.URL} {
		must(ctx, t, chromedp.Navigate(site))
		must(ctx, t, chromedp.Poll[bool](`document.readyState === "complete"`)) // the frame's answer is in
		if n := must(ctx, t, chromedp.Evaluate[int]("heard.length")); n != 0 {
			t.Errorf("%s is told something", site)
		}
	}
	refused, complaints := 0, heard.Take()
	for _, complaint := range complaints {
		if strings.Contains(complaint, "frame-ancestors") {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("the window was refused to %d sites, not to 2: %q", refused, complaints)
	}
}
