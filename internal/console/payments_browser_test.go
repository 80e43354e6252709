package console

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/staff"
)

// TestPaymentsInBrowser walks an operator's way: from the search box to a story,
// its postback sent again, a view kept; and looks at every page on a phone and a
// desk, in both languages, light and dark.
func TestPaymentsInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := openTillOf(t, "Ravi Kumar")
			h.seeds(70)
			s := h.screen(t, size[0], size[1])
			s.enter("operator@example.com")
			s.sees("In the review queue")
			browsertest.Must(s.ctx, t, chromedp.SetValue(chromedp.CSS("#find"), "000000000001"))
			s.click(".find button")
			s.sees("The payer said: paid")
			s.open(h.postback(h.shopPostback))
			s.click(".acts form button")
			s.sees("The postback is sent again.")
			s.open("/console/deposits?state=waiting")
			browsertest.Must(s.ctx, t, chromedp.SetValue(chromedp.CSS("#f-view"), "To wait for"))
			s.click(`form[action$="/views"] button`)
			s.sees("The view is saved.")

			u := h.door.mustFind(t, "operator@example.com")
			for _, look := range []struct{ lang, scheme string }{{"en", "light"}, {"en", "dark"}, {"hi", "light"}} {
				browsertest.Prefer(s.ctx, t, look.scheme)
				if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Lang: look.lang, Zone: staff.DefaultZone}, staff.Visitor{}); err != nil {
					t.Fatal(err)
				}
				for _, page := range []struct{ name, path string }{
					{"list", "/console/deposits"}, {"view", "/console/deposits?state=waiting"}, {"credits", "/console/credits"},
					{"withdrawals", "/console/withdrawals"}, {"postbacks", "/console/postbacks?merchant=shop"}, {"found", "/console/find?q=000000000077"},
					{"story", h.deposit(h.shopDeposit.ID)}, {"credit", addressOf("credits", h.credit.ID)}, {"withdrawal", h.withdrawal(h.shopWithdrawal.ID)},
					{"postback", h.postback(h.shopPostback)}, {"pause", "/console/merchants/shop/postbacks/pause"},
				} {
					s.open(page.path)
					axe.Check(s.ctx, t, fmt.Sprint(page.name, ", ", look))
					browsertest.MustBeLegible(s.ctx, t)
					s.keep(fmt.Sprintf("console-payments-%s-%s-%s-%s", page.name, name, look.lang, look.scheme))
				}
			}
			s.quiet()
		})
	}
}
