package console

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// screen is a real browser before a house.
type screen struct {
	*house
	t     *testing.T
	ctx   context.Context //nolint:containedctx // a tab is a context to chromedp
	heard *browsertest.Complaints
}

func (h *house) screen(t *testing.T, width, height int64) *screen {
	t.Helper()
	ctx := browsertest.Start(t)
	browsertest.Must(ctx, t, chromedp.EmulateViewport(width, height))
	return &screen{h, t, ctx, browsertest.Listen(ctx, t)}
}

// open opens a page. Passkeys need a name, so the browser goes to localhost.
func (s *screen) open(path string) {
	s.t.Helper()
	browsertest.Must(s.ctx, s.t, chromedp.Navigate(strings.Replace(s.server.URL, "127.0.0.1", "localhost", 1)+path))
}

func (s *screen) sees(text string) {
	s.t.Helper()
	browsertest.MustSee(s.ctx, s.t, text)
}

func (s *screen) fill(name, value string) {
	s.t.Helper()
	browsertest.Must(s.ctx, s.t, chromedp.SetValue(chromedp.CSS(`main [name="`+name+`"]`), value))
}

func (s *screen) click(css string) {
	s.t.Helper()
	browsertest.Must(s.ctx, s.t, chromedp.Click(chromedp.CSS(css)))
}

func (s *screen) read(css string) string {
	s.t.Helper()
	return browsertest.Must(s.ctx, s.t, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).innerText", css)))
}

// enter signs in by password.
func (s *screen) enter(email string) {
	s.t.Helper()
	s.open("/console/sign-in")
	s.fill("email", email)
	s.fill("password", password)
	s.click("main form button")
}

func (s *screen) leave() {
	s.t.Helper()
	s.click(".broad .who button")
	s.sees("You are signed out.")
}

// quiet fails the test if the browser had something against a page: what its
// policy blocks is among that.
func (s *screen) quiet() {
	s.t.Helper()
	if heard := s.heard.Take(); len(heard) > 0 {
		s.t.Errorf("the browser complains: %q", heard)
	}
}

// device gives the browser something that holds passkeys.
func (s *screen) device() {
	s.t.Helper()
	if _, err := chromedp.Call(s.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := chromedp.Call(s.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: "ctap2", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}}); err != nil {
		s.t.Fatal(err)
	}
}

// TestOwnerInBrowser walks the first owner's way: the link, an app, sign-in by
// password and code, by a recovery code, and the other browser signed out.
func TestOwnerInBrowser(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.screen(t, 1200, 800)
	token, err := h.desk.OfferOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.open("/console/link/" + token)
	s.fill("email", "asha@example.com")
	s.fill("name", "Asha")
	s.fill("password", password)
	s.fill("again", password)
	s.click("main form button")
	s.sees("Your password is set.")

	s.open("/console/account/factors")
	s.click(`form[action$="/app"] button`)
	s.sees("Scan this")
	seed := s.read(".secret")
	s.fill("code", h.code(seed))
	s.click(`form[action$="/confirm"] button`)
	s.sees("Recovery codes")
	codes := strings.Fields(s.read(".codes"))
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes are shown", len(codes))
	}
	s.click("main a.button")
	s.sees("Codes that are left: 10")
	s.leave()

	for _, code := range []func() string{func() string { h.Clock.Advance(time.Minute); return h.code(seed) }, func() string { return codes[0] }} {
		s.enter("asha@example.com")
		s.sees("One more step")
		s.fill("code", code())
		s.click("main form button")
		s.sees("In the review queue")
		s.leave()
	}

	// Another browser signs in; this one ends it.
	other := h.browser()
	other.post("/console/sign-in", "email", "asha@example.com", "password", password).leads(t, "/console/sign-in/second")
	other.post("/console/sign-in/second", "code", codes[1]).leads(t, "/console/")
	s.enter("asha@example.com")
	s.sees("One more step")
	s.fill("code", codes[2])
	s.click("main form button")
	s.sees("In the review queue")
	s.open("/console/account/sessions")
	s.sees("This browser")
	s.click("td form button")
	s.sees("That browser is signed out.")
	other.get("/console/").leads(t, "/console/sign-in")
	s.quiet()
}

// TestPasskeyInBrowser: a passkey is made, signs in alone, is the second factor
// after a password, and proves who one is; a wrong one does none of that.
func TestPasskeyInBrowser(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	s := h.screen(t, 1200, 800)
	s.device()
	s.enter(u.Email)
	s.sees("In the review queue")
	s.open("/console/account/factors")
	s.fill("name", "Asha's phone")
	s.click("[data-passkey]")
	s.sees("The passkey is added.")
	s.sees("Asha's phone")
	s.leave()

	s.click("[data-passkey]")
	s.sees("In the review queue")
	s.leave()

	s.enter(u.Email)
	s.sees("One more step")
	s.click("[data-passkey]")
	s.sees("In the review queue")

	h.Clock.Advance(staff.Sure)
	s.open("/console/users/add")
	s.sees("Is it you?")
	s.click("[data-passkey]")
	s.sees("Invite a user")
	s.open("/console/account/factors")
	s.click("main li form button")
	s.sees("The passkey is removed.")
	s.leave()

	// The device still has what the house has forgotten.
	s.click("[data-passkey]")
	s.sees("That did not match.")
	if n := len(h.look(u).Secrets.Passkeys); n != 0 {
		t.Errorf("%d passkeys are left", n)
	}
	s.quiet()
}

// wear gives the browser a session's token; none where it is empty.
func (s *screen) wear(token string) {
	s.t.Helper()
	params := network.SetCookieParams{Name: sessionCookie, Value: token, Domain: "localhost", Path: "/"}
	if _, err := chromedp.Call(s.ctx, network.SetCookie, params); err != nil {
		s.t.Fatal(err)
	}
}

// keep takes a picture of the page where somebody wants to look at it.
func (s *screen) keep(name string) {
	s.t.Helper()
	if folder := os.Getenv("MILAAN_TEST_SCREENSHOTS"); folder != "" {
		shot := browsertest.Must(s.ctx, s.t, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(folder, name+".png"), shot, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// sights are pages to look at, by what they are kept as.
var sights = []struct{ name, path string }{
	{"overview", "/console/"}, {"users", "/console/users"}, {"invite", "/console/users/add"}, {"account", "/console/account"},
	{"factors", "/console/account/factors"}, {"sessions", "/console/account/sessions"}, {"password", "/console/account/password"},
	{"sure", "/console/sure"}, {"error", "/console/none"},
}

// settle makes a house that has something to look at, and its owner.
func settle(t *testing.T) (h *house, u *staff.User, seed string) {
	t.Helper()
	h = open(t)
	for i := range 3 {
		h.MustActivate(storetest.Claim(fmt.Sprint("waits", i), storetest.UTR(i), 500_00), "waiting")
	}
	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(40), 1284500_00))
	u = h.user("asha@example.com", owner)
	h.user("ravi.long-name.of-the-review-team@payments.example.com", staff.Grant{Role: staff.Reviewer})
	h.user("meera@shop.example", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop}, staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Cafe})
	seed, _ = h.factor(u)
	return h, h.look(u), seed
}

// TestLooksInBrowser looks at every page on a phone and a desk, in both
// languages, light and dark: it fits, can be read, and axe-core finds nothing.
func TestLooksInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, u, seed := settle(t)
			s := h.screen(t, size[0], size[1])
			for _, lang := range []string{"en", "hi"} {
				for _, scheme := range []string{"light", "dark"} {
					// By the system's wish once, by the user's the other time.
					theme, system := "", scheme
					if lang == "hi" {
						theme, system = scheme, map[string]string{"light": "dark", "dark": "light"}[scheme]
					}
					browsertest.Prefer(s.ctx, t, system)
					if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Name: "आशा Kumari", Lang: lang, Zone: staff.DefaultZone, Theme: theme}, staff.Visitor{}); err != nil {
						t.Fatal(err)
					}
					look := func(page string) {
						t.Helper()
						axe.Check(s.ctx, t, page+", "+lang+", "+scheme)
						browsertest.MustBeLegible(s.ctx, t)
						want := map[string]string{"light": "rgb(242, 245, 244)", "dark": "rgb(14, 21, 19)"}[scheme]
						if got := browsertest.Must(s.ctx, t, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`)); got != want && page != "signin" {
							t.Errorf("%s, %s, %s: the ground is %s", page, lang, scheme, got)
						}
						s.keep(fmt.Sprintf("console-%s-%s-%s-%s", page, name, lang, scheme))
					}
					h.Clock.Advance(time.Minute) // a code is good once
					signedIn, session, err := h.desk.SignIn(t.Context(), u.Email, password, staff.Visitor{})
					if err != nil || !session.Waiting {
						t.Fatalf("%v, %v", session, err)
					}
					s.open("/console/sign-in")
					look("signin")
					s.wear(signedIn)
					s.open("/console/sign-in/second")
					look("second")
					full, _, err := h.desk.SecondByCode(t.Context(), h.look(u), session, h.code(seed), staff.Visitor{Agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"})
					if err != nil {
						t.Fatal(err)
					}
					s.wear(full)
					for _, sight := range sights {
						s.open(sight.path)
						look(sight.name)
					}
					s.open(fmt.Sprintf("/console/users/%d", u.ID))
					look("user")
					s.open(fmt.Sprintf("/console/users/%d/remove", u.ID))
					look("remove")
					if name == "phone" {
						s.click(".narrow summary")
						look("menu")
					}
					s.wear("")
				}
			}
			s.quiet()
		})
	}
}
