package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/browsertest"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// week makes a house that has been at work for a week and a day: each hour a
// deposit of the shop's, of more every day, and every fourth a claim in vain.
func week(h *house) {
	h.Helper()
	n := 1000
	for range 8 * 24 {
		h.Clock.Advance(time.Hour)
		n++
		amount := storetest.Rupees(int64(500 + n%24*40 + n))
		if n%4 == 0 {
			h.MustActivate(storetest.Claim(fmt.Sprint("vain", n), storetest.UTR(900_000+n), amount), deposit.Waiting)
		}
		late := n%10 == 0
		if late {
			h.MustActivate(storetest.Claim(fmt.Sprint("claim", n), storetest.UTR(n), amount), deposit.Waiting)
			h.Clock.Advance(40 * time.Second)
		}
		e := h.Entry(storetest.UTR(n), amount)
		e.At, e.Trust = h.Clock.Now().Add(-20*time.Second), feed.Confirmed
		matched := 0
		if late {
			matched = 1
		}
		h.MustReport([]string{"till", "spare", "common"}[n%3], 1, 0, matched, e)
		if !late {
			h.MustActivate(storetest.Claim(fmt.Sprint("claim", n), storetest.UTR(n), amount), deposit.Credited)
		}
	}
	if _, err := h.Desk.ExpireDue(h.Context()); err != nil {
		h.Fatal(err)
	}
}

func TestOverviewOfAWeek(t *testing.T) {
	t.Parallel()
	h := open(t)
	till := *h.Directory.Current().Wallet("till")
	till.Name = hostileScript
	h.MustChange(directory.Change{Wallets: []*directory.Wallet{&till}})
	if err := h.Directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	week(h)
	cafes := storetest.Claim("cafe", storetest.UTR(7), 777_00)
	cafes.Merchant = storetest.Cafe
	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(7), 777_00))
	h.MustActivate(cafes, deposit.Credited)

	h.user("owner@example.com", owner)
	h.user("shop@example.com", staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Shop})
	h.user("cafe@example.com", staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Cafe})
	all := h.browser().signIn("owner@example.com").get("/console/")
	text := all.text()
	// 9:30 UTC is 3 pm in India, and it is a little later by now: since midnight, a
	// deposit each hour, and the café's.
	for _, want := range []string{
		"Deposits 17 +6 % 16 16", "80 % of 21", "Half were credited within 10 seconds", "Wallets", "till", "bar", "Credited today, by the hour", "Yesterday: ₹",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the owner's overview lacks %q: %s", want, text)
		}
	}
	if strings.Contains(all.body, "<script>alert") || strings.Contains(all.body, "style=") {
		t.Error("the overview runs what a name says, or has styles of its own")
	}
	if len(all.body) > 100_000 {
		t.Errorf("the overview has %d bytes", len(all.body))
	}
	shop := h.browser().signIn("shop@example.com").get("/console/").text()
	cafe := h.browser().signIn("cafe@example.com").get("/console/").text()
	if !strings.Contains(cafe, "Deposits 1 0") || strings.Contains(shop, "777.00") {
		t.Errorf("merchants see each other's deposits: %s", cafe)
	}
	for _, page := range []string{shop, cafe} {
		for _, secret := range []string{"Wallets", "bar", "Feeds", "Unclaimed"} {
			if strings.Contains(page, secret) {
				t.Errorf("a merchant sees %q", secret)
			}
		}
	}
	h.browser().signIn("shop@example.com").get("/console/merchants/cafe").must(t, http.StatusNotFound, "No such page")
}

func TestOverviewOfNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("owner@example.com", owner)
	h.browser().signIn("owner@example.com").get("/console/").must(t, http.StatusOK, "Deposits 0")
}

func TestRoundUp(t *testing.T) {
	t.Parallel()
	for p, want := range map[money.Paise]money.Paise{0: 1_00, 1_00: 1_00, 1_01: 2_00, 3_00: 5_00, 5_01: 10_00, 74_000_00: 100_000_00, 1_00_00_000_00: 1_00_00_000_00} {
		if got := roundUp(p); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change, of int64
		want       string
	}{{0, 7, "±0 %"}, {7, 7, "+100 %"}, {-7, 7, "−100 %"}, {1, 3, "+33 %"}, {-1, 1000, "±0 %"}} {
		if got := percent(tt.change, tt.of); got != tt.want {
			t.Errorf("%d of %d: %s, want %s", tt.change, tt.of, got, tt.want)
		}
	}
}

// TestOverviewLooksInBrowser looks at the first page as its readers do.
func TestOverviewLooksInBrowser(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	h := open(t)
	week(h)
	layOut(h)
	u := h.user("asha@example.com", owner)
	merchant := h.user("meera@example.com", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop})
	s := h.screen(t, 1280, 800)
	s.open("/console/sign-in")
	for _, sight := range []struct {
		name, lang, theme string
		width             int64
		who               *staff.User
	}{
		{"desk", "en", "light", 1280, u}, {"desk-dark", "en", "dark", 1280, u}, {"phone", "hi", "light", 360, u}, {"merchant", "en", "light", 1280, merchant},
	} {
		browsertest.Must(s.ctx, t, emulate(sight.width))
		if err := h.desk.SaveProfile(t.Context(), h.look(sight.who), staff.Profile{Name: "Asha", Lang: sight.lang, Zone: staff.DefaultZone, Theme: sight.theme}, staff.Visitor{}); err != nil {
			t.Fatal(err)
		}
		token, _, err := h.desk.SignIn(t.Context(), sight.who.Email, password, staff.Visitor{})
		if err != nil {
			t.Fatal(err)
		}
		s.wear(token)
		s.open("/console/")
		axe.Check(s.ctx, t, "overview, "+sight.name)
		browsertest.MustBeLegible(s.ctx, t)
		s.keep("console-overview-" + sight.name)
	}
	s.quiet()
}
