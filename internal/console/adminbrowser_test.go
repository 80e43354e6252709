package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"

	"github.com/chromedp/chromedp"
)

// TestAdminInBrowser: an owner makes a key, looks at what the log says of it, at a
// report and at the alerts; every page fits, can be read, and axe-core finds nothing.
func TestAdminInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := busy(t)
			u := h.user("priya@example.com", staff.Grant{Role: staff.Owner})
			board, err := notice.NewBoard(t.Context(), h.Store.Notices(), nil, notice.Settings{})
			if err != nil {
				t.Fatal(err)
			}
			if err := board.Tick(t.Context(), h.Clock.Now(), []notice.Trouble{
				{Key: "feed/till/silent", Code: "silent", Severity: notice.Critical, Subject: "Feed till: silent", Text: "Nothing came for 3 h; usually something does within 20 min."},
				{Key: "postbacks/shop/disabled", Code: "endpoint_disabled", Severity: notice.Warning, Subject: "Postbacks of shop are held", Text: "It answered 410."},
			}); err != nil {
				t.Fatal(err)
			}
			s := h.screen(t, size[0], size[1])
			s.enter(u.Email)
			s.sees("In the review queue")
			s.open("/console/keys/add")
			s.fill("name", "Ledger sync")
			s.click(`[value="credits:read"]`)
			s.click("main form.key button")
			s.sees("never again")
			if token := s.read("#secret"); !strings.HasPrefix(token, "mln_") {
				t.Errorf("the token is %q", token)
			}
			s.open("/console/audit?action=key.")
			s.sees("key.created")
			s.open("/console/reports?merchant=cafe&day=2026-03-14")
			s.sees("Deposit fees")
			s.sees("₹983.00")
			for _, lang := range []string{"en", "hi"} {
				for _, scheme := range []string{"light", "dark"} {
					browsertest.Prefer(s.ctx, t, scheme)
					if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Name: "Priya", Lang: lang, Zone: staff.DefaultZone}, staff.Visitor{}); err != nil {
						t.Fatal(err)
					}
					for _, sight := range []struct{ name, path string }{
						{"reports-statement", "/console/reports?merchant=cafe&day=2026-03-14"}, {"reports-wallet", "/console/reports/wallets?wallet=till&day=2026-03-14"},
						{"reports-fees", "/console/reports/fees?day=2026-03-14"}, {"reports-settlements", "/console/reports/settlements"},
						{"reports-reconciliation", "/console/reports/reconciliation"},
						{"audit-log", "/console/audit?what=all"}, {"alerts", "/console/alerts"}, {"keys-list", "/console/keys"}, {"keys-add", "/console/keys/add"},
						{"settings-list", "/console/settings"},
					} {
						s.open(sight.path)
						axe.Check(s.ctx, t, sight.name+", "+lang+", "+scheme)
						browsertest.MustBeLegible(s.ctx, t)
						s.keep(fmt.Sprintf("console-%s-%s-%s-%s", sight.name, name, lang, scheme))
					}
				}
			}
			s.quiet()
		})
	}
}

// TestReportOnPaper: what is printed is the report, without what is for clicking.
func TestReportOnPaper(t *testing.T) {
	t.Parallel()
	h := busy(t)
	u := h.user("priya@example.com", staff.Grant{Role: staff.Owner})
	h.Clock.Advance(24 * time.Hour)
	s := h.screen(t, 1000, 1400)
	s.enter(u.Email)
	s.sees("In the review queue")
	s.open("/console/reports?merchant=" + storetest.Shop + "&day=2026-03-14")
	s.sees("Closing balance")
	browsertest.Must(s.ctx, t, chromedp.Evaluate[bool](`(window.print = () => { window.printed = true }, document.querySelector('[data-print]').click(), true)`))
	if !browsertest.Must(s.ctx, t, chromedp.Evaluate[bool](`window.printed === true`)) {
		t.Error("the button does not print")
	}
	browsertest.Print(s.ctx, t)
	shown := browsertest.Must(s.ctx, t, chromedp.Evaluate[string](`[...document.querySelectorAll('nav, form, .find, .files, .turn, .side')].filter(e => e.getClientRects().length).map(e => e.className || e.tagName).join(' ')`))
	if shown != "" {
		t.Errorf("on paper there are %s", shown)
	}
	if !browsertest.Must(s.ctx, t, chromedp.Evaluate[bool](`document.querySelector('.printed').getClientRects().length > 0 && document.querySelector('.sums').getClientRects().length > 0`)) {
		t.Error("on paper the report is not there")
	}
	s.keep("console-reports-paper")
	s.quiet()
}
