package console

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// TestOperatorInBrowser walks an operator's day: a wallet off and on, a statement
// uploaded, a withdrawal approved, taken over and paid.
func TestOperatorInBrowser(t *testing.T) {
	t.Parallel()
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := factory(t)
			u := h.user("asha@example.com", staff.Grant{Role: staff.Operator})
			w := h.withdraw("W1", "by_hand", 1000_00)
			s := h.screen(t, size[0], size[1])
			s.enter(u.Email)
			s.sees("In the review queue")
			s.open("/console/wallets?search=till")
			s.click(`form[action$="/wallets/till/switch"] button`)
			s.sees("Switched off.")
			if h.Directory.Current().Wallet("till").Enabled {
				t.Error("the wallet is on")
			}
			s.click(`form[action$="/wallets/till/switch"] button`)
			s.sees("Switched on.")

			file := filepath.Join(t.TempDir(), "march.csv")
			if err := os.WriteFile(file, []byte(rowsOf(creditRow(1), creditRow(2), creditRow(3))), 0o600); err != nil {
				t.Fatal(err)
			}
			s.open("/console/statements/upload")
			s.fill("wallet", "till")
			browsertest.Must(s.ctx, t, chromedp.SetUploadFiles(chromedp.CSS(`main [name="file"]`), []string{file}))
			s.click("main form button")
			s.sees("3 of 3 lines are accounted for.")

			s.open(fmt.Sprint("/console/payouts/", w.ID))
			s.click(`form[action$="/approve"] button`)
			s.sees("Approved.")
			s.click(`a[href$="/hand"]`)
			s.sees("nobody else can take")
			s.fill("wallet", "till")
			s.click("main form button")
			s.sees("It is yours to pay.")
			s.click(`a[href$="/paid"]`)
			s.sees("Bank's reference")
			s.fill("reference", "307312345678")
			s.click("main form button")
			s.sees("Booked as paid.")
			if got := h.stands(w.ID); got.State != payout.Success || got.BankRef != "307312345678" {
				t.Errorf("the withdrawal is %+v", got)
			}
			s.quiet()
		})
	}
}

// workshop is a factory that has something to look at on every page.
func workshop(t *testing.T) (h *house, pages []struct{ name, path string }) {
	t.Helper()
	h = factory(t)
	add := func(name, path string) { pages = append(pages, struct{ name, path string }{name, path}) }
	for i := range 4 {
		h.MustReport("spare", 1, 0, 0, h.Entry(storetest.UTR(40+i), money.Paise(1+i)*12_345_00))
	}
	h.MustActivate(storetest.Claim("order", storetest.UTR(1), 100_00), deposit.Waiting)
	var items []feed.Item
	for i, text := range []string{
		"Dear Customer, your a/c XX7310 was visited by nobody in particular today. Thank you for banking with us, as ever and always.",
		"प्रिय ग्राहक, आपके खाते में कुछ हुआ है। विवरण के लिए शाखा से मिलें।",
		"Rs.500 credited to a/c XX7310 from RAHUL SHARMA without any reference that could be read",
	} {
		m := feed.Message{Raw: []byte(text), Sender: "AX-HDFCBK", Reading: feed.Reading{Kind: feed.Unparsed, Why: "no template reads it"}, SentAt: h.Clock.Now().Add(-time.Minute)}
		m.Digest = [32]byte{byte(i), 7}
		items = append(items, feed.Item{Place: i, Message: &m})
	}
	if _, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), items); err != nil {
		t.Fatal(err)
	}
	inbox, err := h.Store.Inbox(t.Context(), "", 0, 1)
	if err != nil || len(inbox) == 0 {
		t.Fatal(inbox, err)
	}
	h.user("worker@example.com", owner)
	b := h.browser().signIn("worker@example.com")
	statement := b.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"file", "HDFC till march.csv", rowsOf(creditRow(1), creditRow(2), "CASH DEPOSIT AT BRANCH", creditRow(900))})
	first, second := h.withdraw("W-1001", "imps_ib", 12_500_00), h.withdraw("W-1002", "imps_ib", 8_200_00)
	b.post("/console/payouts/approve", "id", fmt.Sprint(first.ID), "id", fmt.Sprint(second.ID))
	b.post("/console/payout-files/make", "desk", "files", "wallet", "till", "ifsc", "HDFC0000002").must(t, 200, "2 payouts")
	third := h.withdraw("W-1003", "by_hand", 3_000_00)
	h.withdraw("W-1004", "imps_ib", 1_500_00)
	b.post("/console/payouts/approve", "id", fmt.Sprint(third.ID))
	h.withdraw("W-1005", "by_hand", 950_50)
	b.post("/console/merchants/shop/keys/plugin_api_secret/rotate")

	add("wallets", "/console/wallets")
	add("wallet", "/console/wallets/till")
	add("method", "/console/methods/upi_l")
	add("feeds", "/console/feeds")
	add("feed", "/console/feeds/till")
	add("inbox", "/console/inbox")
	add("message", fmt.Sprint("/console/messages/", inbox[0].ID))
	add("statements", "/console/statements")
	add("upload", "/console/statements/upload")
	add("statement", statement.to)
	add("payouts", "/console/payouts")
	add("payout", fmt.Sprint("/console/payouts/", third.ID))
	add("paid", fmt.Sprint("/console/payouts/", first.ID, "/paid"))
	add("payoutfiles", "/console/payout-files")
	add("makefile", "/console/payout-files/make")
	add("answer", "/console/payout-files/answer")
	add("merchants", "/console/merchants")
	add("setup", "/console/merchants/shop/setup")
	add("keys", "/console/merchants/shop/keys")
	add("links", "/console/merchants/shop/links?label=55&amount=1499&order=A-1042&hours=72")
	add("returnurls", "/console/merchants/shop/return-urls")
	add("guide", "/console/merchants/shop/guide")
	return h, pages
}

// TestWorksLooksInBrowser looks at every page of the works on a phone and a desk,
// light and dark, in both languages.
func TestWorksLooksInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	for name, size := range map[string][2]int64{"phone": {360, 740}, "desk": {1280, 800}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, pages := workshop(t)
			u := h.user("asha@example.com", owner)
			s := h.screen(t, size[0], size[1])
			token, _, err := h.desk.SignIn(t.Context(), u.Email, password, staff.Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			s.open("/console/sign-in")
			s.wear(token)
			for lang, scheme := range map[string]string{"en": "light", "hi": "dark"} {
				if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Name: "आशा Kumari", Lang: lang, Zone: staff.DefaultZone, Theme: scheme}, staff.Visitor{}); err != nil {
					t.Fatal(err)
				}
				for _, p := range pages {
					s.open(p.path)
					axe.Check(s.ctx, t, p.name+", "+lang+", "+scheme)
					browsertest.MustBeLegible(s.ctx, t)
					s.keep(fmt.Sprintf("works-%s-%s-%s-%s", p.name, name, lang, scheme))
				}
			}
			s.quiet()
		})
	}
}
