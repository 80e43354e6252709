package window_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/store/storetest"
)

// press sends keys to whatever has the focus.
func (s *screen) press(keys string) {
	s.Helper()
	must(s.ctx, s.T, chromedp.KeyEvent(keys))
}

// focus names what has the focus; it ends with "unseen" where nothing shows
// that it has.
func (s *screen) focus() string {
	s.Helper()
	return must(s.ctx, s.T, chromedp.Evaluate[string](`(() => {
		const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
		const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.bottom > 0 && box.top < innerHeight;
		return (e.id ? "#" + e.id : e.tagName + " " + e.textContent.trim()) + (seen ? "" : " unseen");
	})()`))
}

// TestKeyboardInBrowser goes the whole way without a mouse: everything is
// reached, in the order of the page, one sees where one is, and the focus goes
// to what a payer has to attend to.
func TestKeyboardInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for _, lang := range []string{"en", "hi"} {
		for mode, script := range map[string]bool{"script": true, "noscript": false} {
			t.Run(lang+"/"+mode, func(t *testing.T) {
				t.Parallel()
				s := browser.sit(t, lang, script, desktop).visiting(t, func(c *directory.Change) {
					for _, m := range c.Methods {
						m.Min = 0
					}
				})
				walk := func(want ...string) {
					t.Helper()
					for _, one := range want {
						s.press(kb.Tab)
						if got := s.focus(); got != one {
							t.Fatalf("the focus is on %q, not on %q", got, one)
						}
					}
				}
				at := func(want string) {
					t.Helper()
					if got := s.focus(); got != want {
						t.Errorf("the page begins at %q, not at %q", got, want)
					}
				}
				enter := func() { t.Helper(); s.leads(func() { s.press(kb.Enter) }) }

				s.open("label=55&currency_code=INR&payment_url_success_id=2&custom_transaction_id=order-1")
				s.sees("method.title")
				walk("BUTTON UPI")
				enter()
				s.sees("amount.title")
				at("#amount")
				s.press("x")
				enter()
				s.sees("amount.error.form")
				at("#amount")
				s.press(kb.End + kb.Backspace + "500")
				enter()
				s.sees("pay.step")
				walk("A " + s.text("amount.change"))
				if script {
					walk("BUTTON " + s.text("pay.copy"))
				}
				walk("#utr", "BUTTON "+s.text("utr.send"), "SUMMARY "+s.text("utr.where"))
				s.press(kb.Enter)
				walk("SUMMARY Google Pay")
				s.press(kb.Enter)
				walk("SUMMARY PhonePe", "SUMMARY Paytm", "SUMMARY BHIM", "SUMMARY "+s.text("utr.bank"), "A "+s.text("method.change"))
				must(s.ctx, t, chromedp.Focus(chromedp.CSS("#utr")))
				s.press("9")
				enter()
				s.sees("utr.error.short")
				at("#utr")
				s.press(kb.End + kb.Backspace + string(storetest.UTR(7)))
				enter()
				s.sees("outcome.waiting")
				at("H1 " + s.text("outcome.waiting") + " unseen") // a heading is no control
				walk("A " + s.text("utr.change"))
				s.MustReport(s.payment(s.here()).Wallet, 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
				s.turns()
				s.sees("outcome.ok")
				at("H1 " + s.text("outcome.ok") + " unseen")
				if script {
					walk("BUTTON " + s.text("return.stop"))
				}
				walk("#return")
			})
		}
	}
}

// here is the payment's address.
func (s *screen) here() string {
	s.Helper()
	return must(s.ctx, s.T, chromedp.Evaluate[string]("document.body.dataset.here"))
}

// spoken is what a screen reader is told of a page: a line for each thing, its
// role, its name in quotes, then what describes it and how it stands.
func (s *screen) spoken() []string {
	s.Helper()
	tree, err := chromedp.Call(s.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		s.Fatal(err)
	}
	text := func(v *accessibility.Value) string {
		if v == nil || len(v.Value) == 0 {
			return ""
		}
		var plain any
		if err := json.Unmarshal(v.Value, &plain); err != nil {
			s.Fatal(err)
		}
		return fmt.Sprint(plain)
	}
	byID := make(map[accessibility.NodeID]*accessibility.Node, len(tree.Nodes))
	for _, n := range tree.Nodes {
		byID[n.NodeID] = n
	}
	var lines []string
	var read func(*accessibility.Node)
	read = func(n *accessibility.Node) {
		defer func() {
			for _, id := range n.ChildIDs {
				if child := byID[id]; child != nil {
					read(child)
				}
			}
		}()
		role := text(n.Role)
		if n.Ignored || slices.Contains([]string{"none", "generic", "StaticText", "InlineTextBox", "paragraph"}, role) {
			return
		}
		line := fmt.Sprintf("%s %q", role, text(n.Name))
		if about := text(n.Description); about != "" {
			line += fmt.Sprintf(" about %q", strings.Join(strings.Fields(about), " "))
		}
		stands := make(map[string]string, len(n.Properties))
		for _, p := range n.Properties {
			stands[string(p.Name)] = text(p.Value)
		}
		for _, name := range []string{"level", "live"} {
			if stands[name] != "" {
				line += " " + name + "=" + stands[name]
			}
		}
		for _, name := range []string{"required", "invalid", "focused"} {
			if stands[name] == "true" {
				line += " " + name
			}
		}
		lines = append(lines, line)
	}
	read(tree.Nodes[0])
	return lines
}

// tells checks that a screen reader is told some lines, in that order.
func (s *screen) tells(want ...string) {
	s.Helper()
	spoken := s.spoken()
	rest := spoken
	for _, one := range want {
		i := slices.Index(rest, one)
		if i < 0 {
			s.Errorf("a screen reader is not told %s after what comes before it, but:\n%s", one, strings.Join(spoken, "\n"))
			return
		}
		rest = rest[i+1:]
	}
	tops := 0
	for _, line := range spoken {
		if strings.HasPrefix(line, "heading ") && strings.Contains(line, " level=1") {
			tops++
		}
	}
	if tops != 1 {
		s.Errorf("the page has %d headings of the first level", tops)
	}
}

// TestScreenReaderInBrowser: what a payer who doesn't see the page is told of
// it, step by step.
func TestScreenReaderInBrowser(t *testing.T) {
	t.Parallel()
	browser := share(t)
	for _, lang := range []string{"en", "hi"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			s := browser.sit(t, lang, true, phone).visiting(t, nil)
			s.open(order)
			s.sees("pay.step")
			field := fmt.Sprintf("textbox %q about %q", s.text("utr.label"), s.text("utr.hint"))
			s.tells(
				"main \"\"",
				fmt.Sprintf("heading %q level=1", s.text("head.pay")),
				fmt.Sprintf("button %q live=polite", s.text("pay.copy")),
				fmt.Sprintf("image %q", strings.ReplaceAll(s.text("pay.qr"), "{name}", "window")),
				fmt.Sprintf("heading %q level=2", s.text("utr.step")),
				field+" required",
				fmt.Sprintf("button %q", s.text("utr.send")),
				fmt.Sprintf("DisclosureTriangle %q", s.text("utr.where")),
			)
			must(s.ctx, t, chromedp.Evaluate[int](`document.querySelectorAll("details")[2].open = document.querySelector("details").open = true, 1`))
			s.tells(`DisclosureTriangleGrouped "PhonePe"`, fmt.Sprintf("image %q", strings.ReplaceAll(s.text("utr.drawing"), "{label}", "UTR")))

			s.giveUTR("12345")
			s.sees("utr.error.short")
			s.tells(
				fmt.Sprintf("textbox %q about %q required invalid focused", s.text("utr.label"), s.text("utr.error.short")+" "+s.text("utr.hint")),
				"alert \"\" live=assertive",
			)
			s.giveUTR(string(storetest.UTR(7)))
			s.sees("outcome.waiting")
			s.tells("status \"\" live=polite", fmt.Sprintf("heading %q level=1 focused", s.text("outcome.waiting")))
			s.MustReport("window", 1, 0, 1, s.Entry(storetest.UTR(7), storetest.Rupees(500)))
			s.sees("outcome.ok")
			s.tells("status \"\" live=polite", fmt.Sprintf("heading %q level=1 focused", s.text("outcome.ok")))
		})
	}
}
