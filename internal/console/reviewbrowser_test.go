package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// desk of cases: a queue with all that a reviewer meets.
type cases struct {
	suspect, ambiguous, large, typo deposit.Claim
	unclaimed                       int64
}

func layOut(h *house) (k cases) {
	h.Helper()
	for i := range 4 { // the payer's past
		e := h.Entry(storetest.UTR(50+i), storetest.Rupees(int64(250*(i+1))))
		e.At = e.At.Add(-time.Duration(i) * time.Hour)
		h.MustReport("till", 1, 0, 0, e)
		h.MustActivate(storetest.Claim(fmt.Sprint("past", i), storetest.UTR(50+i), storetest.Rupees(int64(250*(i+1)))), deposit.Credited)
	}
	h.MustReport("till", 4, 0, 0, h.Entry(storetest.UTR(1), 499_00), h.Entry(storetest.UTR(2), 700_00), h.Entry(storetest.UTR(3), 75_000_00), h.Entry(storetest.UTR(412), 900_00))
	second := h.Entry(storetest.UTR(2), 700_00)
	second.PayerVPA, second.Note = "ravi.kumar@ybl", "order 4711"
	h.MustReport("spare", 1, 0, 0, second)
	k.suspect = h.MustActivate(storetest.Claim("order-1041", storetest.UTR(1), 500_00), deposit.Pending, deposit.AmountDiffers)
	k.ambiguous = h.MustActivate(storetest.Claim("order-1042", storetest.UTR(2), 700_00), deposit.Pending, deposit.CreditAmbiguous)
	k.large = h.MustActivate(storetest.Claim("order-1043", storetest.UTR(3), 57_000_00), deposit.Pending, deposit.AmountDiffers)
	k.typo = h.MustActivate(storetest.Claim("order-1044", storetest.UTR(421), 900_00), deposit.Waiting)
	sms := h.Entry(storetest.UTR(60), 33_000_00)
	sms.Trust = feed.Provisional
	h.MustReport("till", 1, 0, 0, sms)
	a := storetest.Claim("order-1045", storetest.UTR(60), 33_000_00)
	a.Label = "ग्राहक-88"
	h.MustActivate(a, deposit.Pending, deposit.CreditUnverified)
	k.unclaimed = h.MustCredit("till", storetest.UTR(412)).ID
	return k
}

// keyed waits until a page of the review shows a text and listens to its keys.
func (s *screen) keyed(text string) {
	s.t.Helper()
	s.sees(text)
	for !browsertest.Must(s.ctx, s.t, chromedp.Evaluate[bool](`document.querySelector("[data-keys-off]:not([hidden])") !== null`)) {
		time.Sleep(20 * time.Millisecond)
	}
}

// TestReviewInBrowser decides a queue by the keyboard alone.
func TestReviewInBrowser(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := layOut(h)
	h.user("asha@example.com", staff.Grant{Role: staff.Reviewer})
	s := h.screen(t, 1280, 800)
	s.enter("asha@example.com")
	s.sees("In the review queue")
	s.open("/console/review")
	s.keyed("Another amount")
	press := func(keys string) {
		t.Helper()
		browsertest.Must(s.ctx, t, chromedp.KeyEvent(keys))
	}
	press("j")
	press("\r")
	s.keyed(fmt.Sprint("Claim ", k.suspect.ID))
	press("?")
	s.sees("next and previous")
	press("j")
	s.keyed(fmt.Sprint("Claim ", k.ambiguous.ID))
	press("k")
	s.keyed(fmt.Sprint("Claim ", k.suspect.ID))
	press("a")
	press("Seen on the bank statement\r")
	s.sees("The deposit is credited.")
	s.keyed(fmt.Sprint("Claim ", k.ambiguous.ID))
	press("r")
	press("Not their payment\r")
	s.keyed("The claim is rejected.")
	h.MustFind(k.suspect.ID, deposit.Credited)
	h.MustFind(k.ambiguous.ID, deposit.Rejected, deposit.CreditAmbiguous)
	press("a")
	press("The payer's screenshot agrees\r")
	s.sees("A second person has to agree.")
	h.MustFind(k.large.ID, deposit.Pending, deposit.AmountDiffers)

	// Who switches the keys off types in peace.
	s.open(claimPath(k.large.ID))
	s.keyed(fmt.Sprint("Claim ", k.large.ID))
	press("?")
	s.click("#keys-off")
	s.open(claimPath(k.large.ID))
	s.keyed(fmt.Sprint("Claim ", k.large.ID))
	press("j")
	s.keyed(fmt.Sprint("Claim ", k.large.ID))
	s.quiet()
}

// TestReviewLooksInBrowser looks at the pages of the review on a phone and a desk,
// in both languages, light and dark.
func TestReviewLooksInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			k := layOut(h)
			u := h.user("asha@example.com", staff.Grant{Role: staff.Owner})
			if _, err := h.Desk.Approve(t.Context(), k.large.ID, 0, "user:ravi@example.com", "Seen on the bank statement"); err != nil {
				t.Fatal(err)
			}
			token, _, err := h.desk.SignIn(t.Context(), u.Email, password, staff.Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			s := h.screen(t, size[0], size[1])
			s.open("/console/sign-in")
			s.wear(token)
			credited, err := h.Store.FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: storetest.Shop, CustomID: "past0"})
			if err != nil {
				t.Fatal(err)
			}
			for _, lang := range []string{"en", "hi"} {
				scheme := map[string]string{"en": "light", "hi": "dark"}[lang]
				if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Name: "Asha", Lang: lang, Zone: staff.DefaultZone, Theme: scheme}, staff.Visitor{}); err != nil {
					t.Fatal(err)
				}
				for _, sight := range []struct{ name, path string }{
					{"queue", reviewPath}, {"claim", claimPath(k.suspect.ID)}, {"ambiguous", claimPath(k.ambiguous.ID)}, {"large", claimPath(k.large.ID)},
					{"typo", claimPath(k.typo.ID)}, {"unclaimed", reviewPath + "/unclaimed"}, {"credit", creditPath(k.unclaimed)},
					{"undo", claimPath(credited.ID) + "/undo"}, {"contested", reviewPath + "/contested"},
				} {
					s.open(sight.path)
					axe.Check(s.ctx, t, sight.name+", "+lang)
					browsertest.MustBeLegible(s.ctx, t)
					s.keep(fmt.Sprintf("console-review-%s-%s-%s", sight.name, name, lang))
				}
			}
			s.quiet()
		})
	}
}

func emulate(width int64) chromedp.Action[struct{}] { return chromedp.EmulateViewport(width, 800) }
