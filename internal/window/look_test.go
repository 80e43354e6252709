package window_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/directory"
)

var (
	styles = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	opens  = regexp.MustCompile(`<a class="button plain" href="([^"]*)">([^<]*)</a>`)
)

// TestOpenApps: links that open apps are there for merchant VPAs alone, and the
// word on the gallery for the others alone.
func TestOpenApps(t *testing.T) {
	t.Parallel()
	for lang, say := range map[string]struct{ app, gallery string }{
		"en": {"Open UPI app", "from a screenshot"}, "hi": {"UPI ऐप खोलें", "स्क्रीनशॉट से"},
	} {
		for _, merchant := range []bool{false, true} {
			p := open(t, func(c *directory.Change) {
				for _, w := range c.Wallets {
					w.MerchantVPA, w.Name = merchant, `Chai & "Co" <b>`
				}
			})
			here := p.mustOpen(fixed + "c1&lang=" + lang)
			body := p.mustPage(here, 200)
			if strings.Contains(body, say.gallery) == merchant {
				t.Errorf("%s, merchant VPA %v: the gallery is spoken of wrongly", lang, merchant)
			}
			var got []string
			for _, found := range opens.FindAllStringSubmatch(body, -1) {
				got = append(got, found[2]+" "+html.UnescapeString(found[1]))
			}
			var want []string
			if merchant {
				pay := p.payment(here)
				query := "?pa=" + pay.Wallet + "@upi&pn=Chai%20%26%20%22Co%22%20%3Cb%3E&tr=" + pay.Reference + "&tn=" + pay.Reference + "&am=500.00&cu=INR"
				want = []string{say.app + " upi://pay" + query, "Google Pay tez://upi/pay" + query, "PhonePe phonepe://pay" + query, "Paytm paytmmp://pay" + query}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s, merchant VPA %v: got\n%s\nwant\n%s", lang, merchant, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if strings.Contains(body, "ZgotmplZ") {
				t.Error("the template refused an address")
			}
		}
	}
}

// TestLook: a merchant's colour and logo, under a policy that allows no other
// style.
func TestLook(t *testing.T) {
	t.Parallel()
	const logo = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="
	for name, tt := range map[string]struct {
		look   directory.Look
		styles int
		logo   bool
	}{
		"none":           {directory.Look{}, 1, false},
		"colour":         {directory.Look{Colour: "#7a1f5c"}, 2, false},
		"both":           {directory.Look{Colour: "#7a1f5c", Logo: logo}, 2, true},
		"hostile colour": {directory.Look{Colour: "#000}</style><script>alert(1)</script>"}, 1, false},
		"hostile logo":   {directory.Look{Logo: `data:text/html;base64,PGI+`}, 1, false},
		"logo's address": {directory.Look{Logo: "https://evil.example/x.png"}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, func(c *directory.Change) { c.Merchants[0].Look = tt.look })
			here := p.mustOpen(fixed + "c1")
			w := p.get(here)
			body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
			blocks := styles.FindAllStringSubmatch(body, -1)
			allowed := "style-src"
			for _, block := range blocks {
				sum := sha256.Sum256([]byte(block[1]))
				allowed += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
			}
			if len(blocks) != tt.styles || !strings.Contains(policy, allowed+"; script-src") || strings.Contains(policy, "unsafe") {
				t.Errorf("%d styles under the policy %s", len(blocks), policy)
			}
			if tt.styles == 2 && !strings.Contains(blocks[1][1], "--main:#7a1f5c;--on:#ffffff") {
				t.Errorf("the colour is in force as %s", blocks[1][1])
			}
			image := `<img class="logo" src="` + logo + `" alt="">`
			if strings.Contains(html.UnescapeString(body), image) != tt.logo || strings.Contains(body, `class="mark"`) == tt.logo {
				t.Errorf("the header is wrong: %s", body)
			}
			if strings.Contains(body, "alert(1)") || strings.Contains(body, "evil.example") || strings.Contains(body, "text/html;base64") {
				t.Error("what the store holds reached the page unchecked")
			}
			// A page of no merchant wears the window's own style.
			if got := styles.FindAllString(p.get("/pay/none").Body.String(), -1); len(got) != 1 {
				t.Errorf("the error page has %d styles", len(got))
			}
		})
	}
}
