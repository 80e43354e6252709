package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/store/storetest"
)

// postbox keeps letters, or refuses them.
type postbox struct {
	letters []notice.Letter
	refuse  error
}

func (p *postbox) Post(_ context.Context, l notice.Letter) error {
	if p.refuse != nil {
		return p.refuse
	}
	p.letters = append(p.letters, l)
	return nil
}

// take gives the subjects of the letters that came since.
func (p *postbox) take() (subjects []string) {
	for _, l := range p.letters {
		subjects = append(subjects, strings.TrimPrefix(l.Subject, "Report of "))
	}
	p.letters = nil
	return subjects
}

// TestCourier: reports go out when a period is over, once, by each way, and what
// was missed is made up for.
func TestCourier(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Change: func(c *directory.Change) {
		c.Merchants[0].Timezone = "Asia/Kolkata"
		c.Merchants[0].Reports = directory.Reports{Daily: []string{"accounts@shop.example"}, Monthly: []string{"ca@shop.example"}}
		c.Webhooks = append(c.Webhooks, &directory.Webhook{ID: "ops", URL: "https://ops.example/", Events: []string{"report.*"}, Secrets: directory.WebhookSecrets{Signing: "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"}})
	}})
	box := new(postbox)
	log := slog.New(slog.DiscardHandler)
	courier := func() *report.Courier {
		return &report.Courier{Store: h.Store, Directory: h.Directory, Mail: box, Now: h.Clock.Now, Log: log, Settler: &settlement.Settler{
			Store: h.Store, Log: log, Office: &payout.Office{Config: payout.Config{Store: h.Store, Directory: h.Directory, Now: h.Clock.Now, Log: log}},
		}}
	}
	c := courier()
	mustRound := func(want ...string) {
		t.Helper()
		if err := c.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := box.take()
		slices.Sort(got)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("at %s the letters are %q, want %q", h.Clock.Now(), got, want)
		}
	}
	mustRound() // who asks anew has missed nothing
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("order-1", storetest.UTR(1), 500_00), deposit.Credited)
	mustRound()
	h.Clock.Advance(9 * time.Hour) // 14 March is over in India at 18:30 UTC, after 9:30
	mustRound()
	h.Clock.Advance(6 * time.Minute)
	if err := c.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(box.letters) != 1 {
		t.Fatalf("%d letters", len(box.letters))
	}
	l := box.letters[0]
	if !slices.Equal(l.To, []string{"accounts@shop.example"}) || !strings.Contains(l.Text, "Deposits") || !strings.Contains(l.Text, "₹500.00") ||
		len(l.Files) != 1 || l.Files[0].Name != "shop-2026-03-14.csv" || !strings.Contains(string(l.Files[0].Data), "closing,,500.00") {
		t.Errorf("the letter is %+v", l)
	}
	first := l.ID
	box.take()
	c = courier() // another gateway
	mustRound()

	// While mail can't be handed in, the report stays due; it is tried again in a
	// while, and the webhooks don't wait for it.
	h.Clock.Advance(24 * time.Hour)
	box.refuse = errors.New("the mail server is full")
	if err := c.Round(t.Context()); !errors.Is(err, box.refuse) {
		t.Fatalf("the round ends with %v", err)
	}
	box.refuse = nil
	mustRound()
	h.Clock.Advance(10 * time.Minute)
	mustRound("shop for 2026-03-15")

	// After a time without a gateway nothing is left out, up to a month of days.
	h.Clock.Advance(17 * 24 * time.Hour)
	var want []string
	for day := 16; day <= 31; day++ {
		want = append(want, fmt.Sprintf("shop for 2026-03-%02d", day))
	}
	want = append(want, "shop for 2026-04-01")
	mustRound(append([]string{"shop for 2026-03"}, want...)...)
	h.Clock.Advance(100 * 24 * time.Hour)
	if err := c.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := box.take(); len(got) != 31+3 {
		t.Errorf("after 100 days %d letters: %q", len(got), got)
	}

	// The owner's webhook was told of every merchant's, once.
	events, err := h.Store.Postbacks(t.Context(), postback.Filter{Merchant: "/ops", Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	if want := 2*(19+31) + 2*(1+3); len(events) != want {
		t.Errorf("the owner was told %d times, want %d", len(events), want)
	}
	if first == "" || h.MustVerify().Deposits != 1 {
		t.Error("the books are not as they were")
	}

	// Who is named no more is forgotten, and begins anew when named again.
	shop := *h.Directory.Current().Merchant(storetest.Shop)
	was := shop.Reports
	shop.Reports = directory.Reports{}
	change := func(m *directory.Merchant) {
		t.Helper()
		h.MustChange(directory.Change{Merchants: []*directory.Merchant{m}})
		if err := h.Directory.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	change(&shop)
	h.Clock.Advance(48 * time.Hour)
	mustRound()
	again := shop
	again.Reports = was
	change(&again)
	mustRound()
	h.Clock.Advance(24 * time.Hour)
	if err := c.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := box.take(); len(got) != 1 {
		t.Errorf("named again, it is sent %q", got)
	}
}
