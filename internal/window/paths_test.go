package window_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/store/storetest"
)

// screen is what a payer has before them: a tab, a language, with or without
// scripts, at a window of its own.
type screen struct {
	*testing.T
	*place
	ctx    context.Context //nolint:containedctx // a tab is a context to chromedp
	server string
	lang   string
	say    map[string]string // the catalogue of lang
	script bool
	heard  *browsertest.Complaints
	shots  int
}

// screenTimeout is far beyond what a way takes: it ends one that hangs before
// it holds up the others of its browser.
const screenTimeout = 2 * time.Minute

// look is how wide a screen is, and whether a finger points on it.
type look struct {
	width, height int64
	touch         bool
}

var (
	phone   = look{360, 740, true}
	desktop = look{1280, 800, false}
)

func (l look) String() string { return fmt.Sprint(l.width) }

// catalogueOf reads a language's texts as they are shipped.
func catalogueOf(t *testing.T, lang string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("lang", lang+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var say map[string]string
	if err := json.Unmarshal(data, &say); err != nil {
		t.Fatal(err)
	}
	return say
}

// chromium is a browser that several screens share.
type chromium struct {
	ctx context.Context //nolint:containedctx // a browser is one, too
}

// share starts a browser for screens: it has to run before they do.
func share(t *testing.T) chromium {
	t.Helper()
	ctx := browsertest.Start(t)
	must(ctx, t, chromedp.Navigate("about:blank"))
	return chromium{ctx}
}

// sit opens a tab.
func (c chromium) sit(t *testing.T, lang string, script bool, at look) *screen {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	s := &screen{T: t, ctx: ctx, lang: lang, say: catalogueOf(t, lang), script: script}
	options := []chromedp.EmulateViewportOption{}
	if at.touch {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	must(ctx, t, chromedp.EmulateViewport(at.width, at.height, options...))
	s.heard = browsertest.Listen(ctx, t)
	if !script {
		if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
	}
	// Tabs of one browser share its focus otherwise.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

// visiting is the screen before a house of its own, for one test.
func (s *screen) visiting(t *testing.T, change func(*directory.Change)) *screen {
	t.Helper()
	p := open(t, change)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	t.Cleanup(p.door.Close) // runs first
	visit := *s
	visit.T, visit.place, visit.server = t, p, server.URL
	var cancel context.CancelFunc
	visit.ctx, cancel = context.WithTimeout(s.ctx, screenTimeout)
	t.Cleanup(cancel)
	return &visit
}

// open follows a merchant's link.
func (s *screen) open(query string) {
	s.Helper()
	must(s.ctx, s.T, chromedp.Navigate(s.server+"/pay?merchant=shop&lang="+s.lang+"&"+query))
}

// text is a text of the screen's language with its places filled.
func (s *screen) text(key string) string {
	s.Helper()
	text, ok := s.say[key]
	if !ok {
		s.Fatalf("the catalogue lacks %s", key)
	}
	return strings.NewReplacer("{merchant}", "Chai & Kulhad", "{amount}", "₹500.00").Replace(text)
}

// sees waits for texts of the catalogue, then looks at the page as a whole.
func (s *screen) sees(keys ...string) {
	s.Helper()
	for _, key := range keys {
		browsertest.MustSee(s.ctx, s.T, s.text(key))
	}
	s.legible()
	s.keep()
}

func (s *screen) giveUTR(utr string) {
	s.Helper()
	must(s.ctx, s.T, chromedp.SetValue(chromedp.CSS("#utr"), utr))
	s.click("#enter form button")
}

// click presses what leads to another page, and waits for that.
func (s *screen) click(selector string) {
	s.Helper()
	s.leads(func() { must(s.ctx, s.T, chromedp.Click(chromedp.CSS(selector))) })
}

// leads waits for the page that something leads to.
func (s *screen) leads(act func()) {
	s.Helper()
	must(s.ctx, s.T, chromedp.Evaluate[bool]("document.left = true"))
	act()
	for {
		there, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](`document.left !== true && document.readyState === "complete"`))
		if there {
			return
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("no page followed: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// turns is what a payer waits for: with a script the page turns by itself,
// without one it reloads every ten seconds, which is not waited for.
func (s *screen) turns() {
	s.Helper()
	if !s.script {
		must(s.ctx, s.T, chromedp.Reload())
	}
}

func (s *screen) legible() {
	s.Helper()
	browsertest.MustBeLegible(s.ctx, s.T)
}

// keep takes a picture of the page where somebody wants to look at it.
func (s *screen) keep() {
	s.Helper()
	folder := os.Getenv("MILAAN_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	s.shots++
	name := strings.NewReplacer("/", "-", "'", "").Replace(strings.TrimPrefix(s.T.Name(), "Test"))
	path := filepath.Join(folder, fmt.Sprintf("%s-%d.png", name, s.shots))
	if err := os.WriteFile(filepath.Clean(path), must(s.ctx, s.T, chromedp.FullScreenshot(100)), 0o600); err != nil {
		s.Fatal(err)
	}
}

// claim is the claim of order-1.
func (s *screen) claim() *deposit.Claim {
	s.Helper()
	c, err := s.Store.FindClaimByKey(s.Context(), deposit.CustomKey{Merchant: "shop", CustomID: "order-1"})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// paths are the ways a payment can go, each with what is seen on it. upi_w has
// one wallet, so that money can come to it before it is shown.
var paths = map[string]func(*screen){
	"paid": func(s *screen) {
		s.MustReport("window", 1, 0, 0, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
		s.open(order)
		s.sees("pay.step", "utr.step", "pay.exact", "utr.hint")
		s.giveUTR("Rs 500 debited. UPI Ref 000000000007. Call +919876543210")
		s.sees("outcome.ok", "outcome.ok.text", "receipt.received", "return.link")
	},
	"by its note": func(s *screen) { // nothing is typed
		s.open(order)
		s.sees("pay.step")
		p, err := s.Store.OpenPayment(s.Context(), payment.Payment{Merchant: "shop", CustomID: "order-1"})
		if err != nil {
			s.Fatal(err)
		}
		browsertest.MustSee(s.ctx, s.T, p.Reference)
		e := s.Entry(storetest.UTR(7), storetest.Rupees(500))
		e.Note = p.Reference
		s.MustReport("window", 1, 0, 1, e)
		s.turns()
		s.sees("outcome.ok", "outcome.ok.text")
	},
	"wrong amount": func(s *screen) {
		s.MustReport("window", 1, 0, 0, s.Entry(storetest.UTR(7), storetest.Rupees(400)))
		s.open(order)
		s.sees("pay.step")
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("outcome.pending", "outcome.pending.text")
		s.MustApprove(s.claim().ID)
		s.turns()
		s.sees("outcome.ok", "outcome.ok.text")
		browsertest.MustSee(s.ctx, s.T, "₹400.00")
	},
	"rejected": func(s *screen) {
		s.MustReport("window", 1, 0, 0, s.Entry(storetest.UTR(7), storetest.Rupees(400)))
		s.open(order)
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("outcome.pending")
		s.MustReject(s.claim().ID)
		s.turns()
		s.sees("outcome.rejected", "outcome.rejected.text", "return.link")
	},
	"unknown UTR": func(s *screen) {
		s.open(order)
		s.giveUTR("12345")
		s.sees("utr.error.short")
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("outcome.waiting", "outcome.waiting.text", "utr.change")
		s.MustReport("window", 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
		s.turns()
		s.sees("outcome.ok", "outcome.ok.text")
	},
	"somebody else's UTR": func(s *screen) {
		s.MustReport("window", 1, 0, 0, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
		other := storetest.Claim("other", storetest.UTR(7), storetest.Rupees(500))
		other.Method, other.Label = "upi_w", "77"
		s.MustActivate(other, deposit.Credited)
		s.open(order)
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("outcome.refused", "outcome.refused.text", "utr.correct", "utr.resend")
		// The payer's own is taken yet.
		s.MustReport("window", 1, 0, 0, s.Entry(storetest.UTR(8), storetest.Rupees(500)))
		s.giveUTR(string(storetest.UTR(8)))
		s.sees("outcome.ok")
	},
	"expired": func(s *screen) {
		s.open(order)
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("outcome.waiting")
		s.Clock.Advance(deposit.DefaultPolicy().ClaimTTL)
		s.MustExpire(1)
		s.turns()
		s.sees("outcome.expired", "outcome.expired.text")
	},
	"tampered hash": func(s *screen) {
		s.open(order + "&success_url=aHR0cHM6Ly9ldmlsLmV4YW1wbGUv." + strings.Repeat("0", 64))
		s.sees("error.link", "error.link.text")
		browsertest.MustSee(s.ctx, s.T, "success_url")
		if links := must(s.ctx, s.T, chromedp.Evaluate[int](`document.links.length`)); links != 0 {
			s.Errorf("the page has %d links", links)
		}
	},
	"switched off": func(s *screen) {
		s.open(strings.Replace(order, "wallet_type=upi_w&", "", 1))
		s.sees("method.title")
		s.click(`form:has([value="upi_w"]) button`)
		s.sees("pay.step", "method.change")
		off := *s.Directory.Current().Method("upi_w")
		off.Enabled = false
		s.MustChange(directory.Change{Methods: []*directory.Method{&off}})
		if err := s.Directory.Refresh(s.Context()); err != nil {
			s.Fatal(err)
		}
		s.giveUTR(string(storetest.UTR(7)))
		s.sees("problem.off", "problem.off.text", "problem.retry")
		s.click(`a[href$="step=method"]`)
		s.sees("method.title")
		s.click(`form:has([value="upi_l"]) button`)
		s.sees("pay.step")
	},
	"own amount": func(s *screen) {
		s.open(strings.Replace(strings.Replace(order, "fixed_amount=500&", "", 1), "upi_w", "upi_l", 1))
		s.sees("amount.title", "amount.label")
		must(s.ctx, s.T, chromedp.SendKeys(chromedp.CSS("#amount"), "500.005"))
		s.click("form button")
		s.sees("amount.error.decimals")
		must(s.ctx, s.T, chromedp.SetValue(chromedp.CSS("#amount"), "500"))
		s.click("form button")
		s.sees("pay.step", "amount.change")
	},
}

const order = "label=55&currency_code=INR&wallet_type=upi_w&fixed_amount=500&" +
	"payment_url_success_id=2&payment_url_pending_id=3&payment_url_fail_id=1&custom_transaction_id=order-1"

// TestPathsInBrowser goes every way a payment can take, in both languages, with
// and without scripts, on a phone and on a desktop: each page says what it has
// to in the catalogue's words, fits the screen, and the browser has nothing
// against it. Of the eight combinations it takes the four that have every two of
// these together, and all with MILAAN_TEST_PATHS=all. With
// MILAAN_TEST_SCREENSHOTS set to a folder it leaves a picture of every page
// there.
func TestPathsInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for _, lang := range []string{"en", "hi"} {
		for mode, script := range map[string]bool{"script": true, "noscript": false} {
			for _, at := range []look{phone, desktop} {
				t.Run(fmt.Sprintf("%s/%s/%s", lang, mode, at), func(t *testing.T) {
					t.Parallel()
					if chosen := (lang == "en") == script == (at == phone); !chosen && os.Getenv("MILAAN_TEST_PATHS") != "all" {
						t.Skip("MILAAN_TEST_PATHS=all takes this one, too")
					}
					tab := browser.sit(t, lang, script, at)
					for name, walk := range paths {
						t.Run(name, func(t *testing.T) {
							s := tab.visiting(t, nil)
							walk(s)
							if heard := s.heard.Take(); len(heard) > 0 {
								t.Errorf("the browser complains: %q", heard)
							}
							s.MustVerify()
						})
					}
				})
			}
		}
	}
}

// TestOpenAppsInBrowser: what opens an app on this device is there where a
// finger points, and nowhere else.
func TestOpenAppsInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for mode, script := range map[string]bool{"script": true, "noscript": false} {
		for _, at := range []look{phone, desktop} {
			t.Run(mode+at.String(), func(t *testing.T) {
				t.Parallel()
				s := browser.sit(t, "en", script, at).visiting(t, func(c *directory.Change) {
					for _, w := range c.Wallets {
						w.MerchantVPA = true
					}
				})
				s.open(order)
				s.sees("pay.step")
				seen := must(s.ctx, t, chromedp.Evaluate[string]("document.body.innerText"))
				for key, want := range map[string]bool{"pay.app": at.touch, "pay.else": at.touch, "pay.scan": at.touch, "pay.scan.desk": !at.touch} {
					if strings.Contains(seen, s.text(key)) != want {
						t.Errorf("%q is seen: %v", s.text(key), !want)
					}
				}
			})
		}
	}
}

// TestZoomInBrowser: a page twice as large, or with letters twice as large,
// loses nothing; nor does one whose payer wants no motion, or few colours.
func TestZoomInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for _, lang := range []string{"en", "hi"} {
		for name, zoom := range map[string]struct {
			at      look
			letters string
		}{
			"zoom":                  {look{320, 400, false}, "100%"}, // 640 pixels, each two wide
			"letters":               {look{640, 800, false}, "200%"},
			"letters on a phone":    {look{360, 740, true}, "200%"},
			"letters at the narrow": {look{320, 640, true}, "200%"},
		} {
			t.Run(name+" "+lang, func(t *testing.T) {
				t.Parallel()
				s := browser.sit(t, lang, true, zoom.at).visiting(t, func(c *directory.Change) {
					for _, w := range c.Wallets {
						w.MerchantVPA = true
					}
				})
				enlarge := func() {
					must(s.ctx, t, chromedp.Evaluate[string](`document.documentElement.style.fontSize = "`+zoom.letters+`"`))
				}
				s.open(order)
				enlarge()
				s.sees("pay.step")
				must(s.ctx, t, chromedp.Evaluate[int](`document.querySelector("details").open = true, 1`))
				for i := range must(s.ctx, t, chromedp.Evaluate[int](`document.querySelectorAll("details details").length`)) {
					must(s.ctx, t, chromedp.Evaluate[int](fmt.Sprintf(`document.querySelectorAll("details details")[%d].open = true, 1`, i)))
					s.sees("utr.where")
				}
				s.giveUTR("1")
				browsertest.MustSee(s.ctx, t, s.text("utr.error.short"))
				enlarge()
				s.sees("utr.error.short")
				s.giveUTR(string(storetest.UTR(7)))
				browsertest.MustSee(s.ctx, t, s.text("outcome.waiting"))
				enlarge()
				s.sees("outcome.waiting")
				s.MustReport("window", 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
				browsertest.MustSee(s.ctx, t, s.text("outcome.ok"))
				enlarge()
				s.sees("outcome.ok", "return.stop") // with the countdown
			})
		}
	}
}

func TestMediaInBrowser(t *testing.T) {
	t.Parallel()
	s := share(t).sit(t, "en", true, phone).visiting(t, nil)
	s.open(order)
	s.giveUTR(string(storetest.UTR(7)))
	s.sees("outcome.waiting")
	for value, want := range map[string]int{"no-preference": 1, "reduce": 0} {
		s.prefers("prefers-reduced-motion", value)
		if moving := must(s.ctx, t, chromedp.Evaluate[int]("document.getAnimations().length")); moving != want {
			t.Errorf("with %s, %d things move", value, moving)
		}
	}
	// What only a ground of another colour would tell is gone with forced
	// colours: buttons keep an edge, a field its own, the code its white.
	s.prefers("forced-colors", "active")
	s.open(strings.Replace(order, "order-1", "order-2", 1))
	s.sees("pay.step")
	const edges = `["#utr", "#enter form button", ".vpa .small"].filter(s => {
		const c = getComputedStyle(document.querySelector(s));
		return c.borderTopStyle === "none" || c.borderTopWidth === "0px" }).join()`
	if lost := must(s.ctx, t, chromedp.Evaluate[string](edges)); lost != "" {
		t.Errorf("without an edge: %s", lost)
	}
	if ground := must(s.ctx, t, chromedp.Evaluate[string](`getComputedStyle(document.querySelector(".qr")).backgroundColor`)); ground != "rgb(255, 255, 255)" {
		t.Errorf("the code stands on %s", ground)
	}
}

func (s *screen) prefers(feature, value string) {
	s.Helper()
	if _, err := chromedp.Call(s.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
	}); err != nil {
		s.Fatal(err)
	}
}
