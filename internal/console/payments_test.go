package console

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// hostile is what payers and merchants' servers may send to be shown.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`

// bank pays every withdrawal.
type bank struct{}

func (bank) Send(context.Context, payout.Order) (payout.Answer, error) {
	return payout.Answer{Standing: payout.Paid, ProviderRef: "prov-1", BankRef: string(storetest.UTR(77))}, nil
}

func (b bank) Ask(ctx context.Context, o payout.Order) (payout.Answer, error) { return b.Send(ctx, o) }

// till is a house in which shop and cafe have payments of every kind.
type till struct {
	*house
	office                                 *payout.Office
	shopDeposit, cafeDeposit, waits, held  deposit.Claim
	shopWithdrawal, cafeWithdrawal, asked  *payout.Withdrawal
	shopPostback, cafePostback, ofShopPaid int64
	credit                                 *deposit.Credit
}

// openTill opens it, with a user of each role by the role's name, and of the café
// one by the name of foreigner.
func openTill(tb testing.TB) *till {
	tb.Helper()
	return openTillOf(tb, hostile)
}

// openTillOf opens it with a payer of that name.
func openTillOf(tb testing.TB, payer string) *till {
	tb.Helper()
	h := &till{house: openWith(tb, storetest.Setup{Change: func(c *directory.Change) {
		c.Payouts = []*directory.PayoutDesk{{
			ID: "imps-desk", Kind: directory.PayoutSandbox, Method: "imps_ib", Min: 10_00, Max: 50_000_00, MerchantDay: 100_000_00,
			LabelDay: 60_000_00, ApproveAbove: 300_00, Wallets: []string{"till", "bar"},
		}}
	}})}
	h.office = &payout.Office{Config: payout.Config{
		Store: h.Store, Directory: h.Directory, Now: h.Clock.Now, RatesID: func() int64 { return storetest.RatesID }, Log: slog.New(slog.DiscardHandler),
		Provider: func(*directory.PayoutDesk) (payout.Provider, error) { return bank{}, nil },
	}}
	for _, role := range staff.Roles() {
		g := staff.Grant{Role: role}
		if role.OfMerchant() {
			g.Merchant = storetest.Shop
		}
		h.user(string(role)+"@example.com", g)
	}
	h.user("foreigner@example.com", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Cafe})

	// A payer of the shop, as an SMS tells it.
	e := h.Entry(storetest.UTR(1), 500_00)
	e.PayerVPA, e.PayerName, e.Note = "", payer, payer
	sms := "Rs.500 credited by " + payer + " \u202egnihton UPI 000000000001"
	h.ingest("till", feed.Item{Credit: &e, Message: &feed.Message{Raw: []byte(sms), Digest: sha256.Sum256([]byte(sms)), Sender: "VM-HDFCBK-S", SentAt: h.Clock.Now(),
		Reading: feed.Reading{Kind: feed.Credit, UTR: e.UTR, Amount: e.Amount, At: e.At, Template: "hdfc/upi"}}})
	a := storetest.Claim("order-"+payer[:8], storetest.UTR(1), 500_00)
	a.Label = "=1+1" + payer
	h.shopDeposit = h.MustActivate(a, deposit.Credited)
	h.credit = h.MustCredit("till", storetest.UTR(1))

	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(2), 800_00))
	b := storetest.Claim("cafe-order", storetest.UTR(2), 800_00)
	b.Merchant, b.Label = storetest.Cafe, "cafe-payer"
	h.cafeDeposit = h.MustActivate(b, deposit.Credited)
	h.Clock.Advance(time.Minute)
	h.MustReport("spare", 1, 0, 0, h.Entry(storetest.UTR(3), 200_00))
	h.held = h.MustActivate(storetest.Claim("held", storetest.UTR(3), 900_00), deposit.Pending, deposit.AmountDiffers)
	h.Clock.Advance(time.Minute)
	h.waits = h.MustActivate(storetest.Claim("waits", storetest.UTR(4), 150_00), deposit.Waiting)

	pay := func(merchant, id string, amount money.Paise) *payout.Withdrawal {
		w, err := h.office.Create(h.Context(), payout.Request{
			Key: payout.Key{Merchant: merchant, WithdrawalID: id}, Method: "imps_ib", Label: "label-of-" + merchant, Amount: amount, Currency: money.INR,
			Beneficiary: payout.Beneficiary{Account: "123456789012", Name: "Asha Rao", IFSC: "HDFC0000001"}, CreatedBy: "api:" + merchant,
		})
		if err != nil {
			h.Fatal(err)
		}
		return w
	}
	h.shopWithdrawal, h.cafeWithdrawal = pay(storetest.Shop, "shop-paid", 100_00), pay(storetest.Cafe, "cafe-paid", 120_00)
	h.asked = pay(storetest.Shop, "shop-asked", 350_00)
	h.Clock.Advance(time.Hour)
	if err := h.office.Round(h.Context()); err != nil {
		h.Fatal(err)
	}
	h.shopPostback, h.cafePostback = h.shopDeposit.ID, h.cafeDeposit.ID
	told, err := h.Store.FindPostbacks(h.Context(), []int64{h.shopWithdrawal.ID})
	if err != nil || len(told) != 1 {
		h.Fatalf("%+v, %v", told, err)
	}
	h.ofShopPaid = told[0].ID
	jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: storetest.Shop, Limit: 10}}, h.Clock.Now(), h.Clock.Now().Add(postback.Lease))
	if err != nil {
		h.Fatal(err)
	}
	for i := range jobs {
		if jobs[i].ID != h.shopPostback {
			continue
		}
		if err := h.Store.Record(h.Context(), []postback.Result{{
			EventID: jobs[i].ID, Merchant: storetest.Shop, LeasedUntil: jobs[i].LeasedUntil, State: postback.StateDue, NextAt: h.Clock.Now().Add(time.Hour),
			Attempt: postback.Attempt{Number: 1, At: h.Clock.Now(), Latency: 1234 * time.Millisecond, Status: 502, Error: "answered 502", Answer: []byte("down " + payer)},
		}}); err != nil {
			h.Fatal(err)
		}
	}
	return h
}

func (h *till) ingest(wallet string, items ...feed.Item) {
	h.Helper()
	if _, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed(wallet), items); err != nil {
		h.Fatal(err)
	}
}

func (h *till) as(name string) *browser {
	h.Helper()
	return h.browser().signIn(name + "@example.com")
}

func (h *till) deposit(id int64) string    { return addressOf("deposits", id) }
func (h *till) withdrawal(id int64) string { return addressOf("withdrawals", id) }
func (h *till) postback(id int64) string   { return addressOf("postbacks", id) }

// pages are those that show what openTill made.
func (h *till) pages() []string {
	return []string{
		"/console/deposits", "/console/credits", "/console/withdrawals", "/console/postbacks",
		h.deposit(h.shopDeposit.ID), h.deposit(h.held.ID), h.deposit(h.waits.ID), addressOf("credits", h.credit.ID),
		h.withdrawal(h.shopWithdrawal.ID), h.withdrawal(h.asked.ID), h.postback(h.shopPostback), h.postback(h.ofShopPaid),
		"/console/find?q=55", "/console/deposits?q=" + url.QueryEscape(hostile), "/console/deposits?state=" + url.QueryEscape(hostile),
	}
}

// TestStories: a page of each kind tells what happened, from the claim to the
// answer of the merchant's server.
func TestStories(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	b := h.as("owner")
	for path, want := range map[string][]string{
		h.deposit(h.shopDeposit.ID): {
			"₹500.00", "Credited", "The payer said: paid", "The money came in", "A message told of it", "Rs.500 credited by <script>alert(1)</script>", "VM-HDFCBK-S", "hdfc/upi",
			"The UTR names this credit", "The amount is what was claimed.", "no rule objected", "The postback was written", "Attempt 1 to deliver", "502", "1.234s", "down <script>",
			"wallet:till", "suspense:till", "merchant:shop",
		},
		h.deposit(h.held.ID):              {"In review", "the amount differs", "Held for review", "api:shop", "₹900.00", "₹200.00", "spare"},
		h.deposit(h.waits.ID):             {"Waiting", "Waits until", "000000000004"},
		addressOf("credits", h.credit.ID): {"Claimed", "A message told of it", "A claim names this UTR", "Credited to the merchant", "Payer's note", "the bank itself"},
		h.withdrawal(h.shopWithdrawal.ID): {"Paid", "Asked for; the money is held", "Approved", "Handed over for payment", "imps-desk", "000000000077", upi.MaskPayer("123456789012"), "withdrawal_held", "The postback was written"},
		h.withdrawal(h.asked.ID):          {"New", "₹350.00", "above_limit"},
		h.postback(h.shopPostback):        {"Due", "Attempt 1 to deliver", "502", "down <script>", "Send again", "Pause postbacks", `"plugin_custom_order_id"`},
		h.postback(h.ofShopPaid):          {"Withdrawal", "shop-paid", "Paid"},
	} {
		got := b.get(path).must(t, http.StatusOK, "What happened")
		for _, text := range want {
			if !strings.Contains(got.text(), text) {
				t.Errorf("%s does not say %q: %s", path, text, got.text())
			}
		}
		for _, secret := range []string{"123456789012", "access-key-of-shop", "private-key-of-shop", "&#34;signature", "Asha Rao"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s says %q", path, secret)
			}
		}
	}
	// A person's deed says who did it.
	h.MustApprove(h.held.ID)
	b.get(h.deposit(h.held.ID)).must(t, http.StatusOK, "operator:asha").must(t, http.StatusOK, "A person decided in review.").
		must(t, http.StatusOK, "seen on the statement")
}

// TestPaymentsOfOthers: nobody reaches another merchant's things, by any way.
func TestPaymentsOfOthers(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	foreigner := h.as("foreigner")
	for _, path := range []string{
		h.deposit(h.shopDeposit.ID), h.deposit(h.held.ID), h.withdrawal(h.shopWithdrawal.ID), h.postback(h.shopPostback), h.postback(h.ofShopPaid),
		"/console/deposits?merchant=shop", "/console/withdrawals?merchant=shop", "/console/postbacks?merchant=shop", "/console/find?merchant=shop&q=1",
		"/console/deposits/export?as=csv&merchant=shop", "/console/withdrawals/export?as=xlsx&merchant=shop", "/console/postbacks/export?as=csv&merchant=shop",
		"/console/merchants/shop/postbacks/pause", h.deposit(99999999), h.withdrawal(99999999), h.postback(99999999),
	} {
		foreigner.get(path).must(t, http.StatusNotFound, "No such page")
	}
	for _, path := range []string{
		h.postback(h.shopPostback) + "/resend", h.postback(h.ofShopPaid) + "/resend",
		"/console/merchants/shop/postbacks/pause", "/console/merchants/shop/postbacks/resume", "/console/merchants/shop/postbacks/enable",
	} {
		foreigner.post(path).must(t, http.StatusNotFound, "No such page")
	}
	for _, path := range []string{"/console/credits", addressOf("credits", h.credit.ID), "/console/credits/export?as=csv"} {
		foreigner.get(path).must(t, http.StatusForbidden, "")
	}
	// What the café's own pages, exports and searches say of the shop: nothing.
	shops := []string{"000000000001", "000000000003", "000000000004", "order-", "shop-paid", "shop-asked", "label-of-shop", "waits", ">till<", ">spare<", ",till,", ",spare,"}
	quiet := func(path string) {
		t.Helper()
		got := foreigner.get(path)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d", path, got.status)
		}
		_, main, _ := strings.Cut(got.body, "<h1>")
		if main == "" {
			main = got.body
		}
		for _, text := range shops {
			if strings.Contains(main, text) && !strings.Contains(path, text) {
				t.Errorf("%s says %q: %s", path, text, got.text())
			}
		}
	}
	for _, path := range []string{
		"/console/deposits", "/console/withdrawals", "/console/postbacks", h.deposit(h.cafeDeposit.ID), h.withdrawal(h.cafeWithdrawal.ID), h.postback(h.cafePostback),
		"/console/deposits/export?as=csv", "/console/withdrawals/export?as=csv", "/console/postbacks/export?as=csv",
	} {
		quiet(path)
	}
	for _, q := range []string{
		string(h.shopDeposit.UTR), h.shopDeposit.CustomID, fmt.Sprint(h.shopDeposit.ID), "waits", "900.00", "55", "shop-paid", fmt.Sprint(h.shopWithdrawal.ID),
		h.shopWithdrawal.Reference(), "label-of-shop", fmt.Sprint(h.ofShopPaid), fmt.Sprint(h.credit.ID), "payer@okaxis",
	} {
		query := url.Values{"q": {q}}.Encode()
		foreigner.get("/console/find?"+query).must(t, http.StatusOK, "")
		for _, list := range []string{"deposits", "withdrawals", "postbacks"} {
			got := foreigner.get("/console/" + list + "?" + query)
			for _, id := range []int64{h.shopDeposit.ID, h.held.ID, h.waits.ID, h.shopWithdrawal.ID, h.asked.ID, h.ofShopPaid} {
				if strings.Contains(got.body, fmt.Sprintf("/%d\"", id)) {
					t.Errorf("%s by %q lead the café to %d", list, q, id)
				}
			}
		}
	}
	// Its own it has.
	foreigner.get(h.deposit(h.cafeDeposit.ID)).must(t, http.StatusOK, "cafe-order")
	foreigner.get("/console/find?q=cafe-order").leads(t, h.deposit(h.cafeDeposit.ID))
	foreigner.get("/console/find?q=000000000002").leads(t, h.deposit(h.cafeDeposit.ID))
}

// TestWhatMerchantsSee: a merchant's users see what its API tells it, and no more;
// messages of banks are read by those who judge them.
func TestWhatMerchantsSee(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	h.MustApprove(h.held.ID)
	inside := []string{">till<", ",till,", ">spare<", ",spare,", "wallet:", "suspense:", "operator:asha", "api:shop", "the amount differs", "seen on the statement", "Rs.500 credited", "hdfc", "imps-desk", "above_limit", "prov-1"}
	for _, role := range []staff.Role{staff.MerchantAdmin, staff.MerchantDeveloper, staff.MerchantViewer} {
		b := h.as(string(role))
		for _, path := range []string{
			"/console/deposits", h.deposit(h.shopDeposit.ID), h.deposit(h.held.ID), h.withdrawal(h.shopWithdrawal.ID), h.withdrawal(h.asked.ID), h.postback(h.shopPostback),
			"/console/deposits/export?as=csv", "/console/withdrawals/export?as=csv", "/console/deposits?wallet=spare",
		} {
			got := b.get(path).must(t, http.StatusOK, "")
			for _, text := range inside {
				if strings.Contains(got.body, text) && !strings.Contains(path, text) {
					t.Errorf("%s shows %s %q: %s", path, role, text, got.text())
				}
			}
		}
		// A wallet narrows nothing for those who don't know of wallets.
		b.get("/console/deposits?wallet=spare").must(t, http.StatusOK, "waits")
	}
	for role, reads := range map[staff.Role]bool{staff.Owner: true, staff.Operator: true, staff.Reviewer: true, staff.Viewer: false} {
		got := h.as(string(role)).get(h.deposit(h.shopDeposit.ID)).must(t, http.StatusOK, "A message told of it")
		if strings.Contains(got.body, "Rs.500 credited") != reads {
			t.Errorf("%s reads the message: %v", role, !reads)
		}
	}
	// What a postback says is for those who run postbacks.
	for role, reads := range map[staff.Role]bool{staff.Viewer: false, staff.MerchantViewer: false, staff.MerchantDeveloper: true, staff.Operator: true} {
		got := h.as(string(role)).get(h.postback(h.shopPostback)).must(t, http.StatusOK, "Attempt 1")
		if strings.Contains(got.text(), "plugin_custom_order_id") != reads || strings.Contains(got.text(), "Send again") != reads {
			t.Errorf("%s reads the postback's body: %v", role, !reads)
		}
	}
}

var markup = regexp.MustCompile(`(?i)<(script>|img src=x)`)

// TestHostileTexts: what payers, banks' messages and merchants' servers write is
// shown as they wrote it, and never does anything.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	if err := h.Store.Staff().KeepView(t.Context(), h.door.mustFind(t, "owner@example.com").ID, staff.View{List: "deposits", Name: hostile, Query: "state=waiting"}); err != nil {
		t.Fatal(err)
	}
	b := h.as("owner")
	for _, path := range append(h.pages(), "/console/deposits?state=waiting") {
		got := b.get(path)
		if got.status != http.StatusOK || len(got.body) > 100_000 {
			t.Errorf("%s: %d, %d bytes", path, got.status, len(got.body))
		}
		if found := markup.FindString(got.body); found != "" {
			t.Errorf("%s has %s", path, found)
		}
		if strings.Contains(got.body, "\u202e") {
			t.Errorf("%s has a text that turns its direction", path)
		}
		if strings.Contains(got.body, " style=") || strings.Contains(got.body, "<style") || strings.Contains(got.body, "javascript:") {
			t.Errorf("%s has what the policy forbids", path)
		}
	}
}

func (d *Door) mustFind(t *testing.T, email string) *staff.User {
	t.Helper()
	u, err := d.People.FindUserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var toPage = regexp.MustCompile(`href="(/console/deposits/[0-9]+)"`)

// TestPages: page by page a list gives every record once, also of several
// merchants, and filters hold.
func TestPages(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(3000)
	h.user("asha@example.com", owner)
	b := h.browser().signIn("asha@example.com")
	walk := func(path string) (all []string) {
		t.Helper()
		for pages := 0; path != ""; pages++ {
			got := b.get(path).must(t, http.StatusOK, "")
			if len(got.body) > 100_000 || pages > 100 {
				t.Fatalf("%s has %d bytes, page %d", path, len(got.body), pages)
			}
			for _, found := range toPage.FindAllStringSubmatch(got.body, -1) {
				all = append(all, found[1])
			}
			path = ""
			if next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(got.body); next != nil {
				path = strings.ReplaceAll(next[1], "&amp;", "&")
			}
		}
		sorted := slices.Clone(all)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(all) {
			t.Errorf("%s gives a record twice", path)
		}
		return all
	}
	for path, want := range map[string]int{
		"/console/deposits":                                3001,
		"/console/deposits?merchant=cafe":                  300,
		"/console/deposits?q=payer-7&wide=1":               1,
		"/console/deposits?q=payer7%40okaxis":              1,
		"/console/deposits?q=%E2%82%B9101.00":              1,
		"/console/deposits?q=700000000010":                 1,
		"/console/deposits?q=order-10":                     1,
		"/console/deposits?wallet=bar":                     300,
		"/console/deposits?state=waiting":                  0,
		"/console/deposits?method=upi_w":                   0,
		"/console/deposits?from=2026-03-15":                0,
		"/console/deposits?to=2026-03-13":                  0,
		"/console/deposits?from=2026-03-14&to=2026-03-14":  3001,
		"/console/deposits?q=nothing":                      0,
		"/console/deposits?merchant=shop&q=order-10":       0,
		"/console/deposits?merchant=shop&q=700000000011":   1,
		"/console/deposits?state=waiting&q=700000000011":   0,
		"/console/deposits?from=2026-03-15&q=700000000011": 0,
	} {
		if got := walk(path); len(got) != want {
			t.Errorf("%s gives %d deposits, want %d", path, len(got), want)
		}
	}
	b.get("/console/deposits?from=yesterday").must(t, http.StatusOK, "That is no date")
	b.get("/console/deposits?q="+strings.Repeat("x", 300)).must(t, http.StatusOK, "too long")
	for _, path := range []string{
		"/console/deposits?after=1", "/console/deposits?after=a.b", "/console/deposits?merchant=nobody", "/console/deposits/0", "/console/deposits/-1",
		"/console/deposits/abc", "/console/deposits/99999999999999999999", "/console/credits/7", "/console/deposits/export", "/console/deposits/export?as=pdf",
	} {
		b.get(path).must(t, http.StatusNotFound, "No such page")
	}
	b.get("/console/deposits/export?as=csv&from=yesterday").leads(t, "/console/deposits?from=yesterday")
}

// TestDaysAreTheUsers: a day begins when it does where the user is.
func TestDaysAreTheUsers(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.Clock.Advance(11 * time.Hour) // 20:30 in UTC; in India the next day has begun
	h.MustActivate(storetest.Claim("late", storetest.UTR(1), 500_00), deposit.Waiting)
	u := h.user("asha@example.com", owner)
	b := h.browser().signIn("asha@example.com")
	for zone, day := range map[string]string{"Asia/Kolkata": "2026-03-15", "UTC": "2026-03-14"} {
		if err := h.desk.SaveProfile(t.Context(), h.look(u), staff.Profile{Zone: zone}, staff.Visitor{}); err != nil {
			t.Fatal(err)
		}
		b.get("/console/deposits?from="+day+"&to="+day).must(t, http.StatusOK, "late")
		other := map[string]string{"2026-03-15": "2026-03-14", "2026-03-14": "2026-03-15"}[day]
		b.get("/console/deposits?from="+other+"&to="+other).must(t, http.StatusOK, "There is nothing here.")
	}
}

// TestExports: a file has every record that fits, of the user's merchants alone;
// no cell is a formula; and it is noted who took it.
func TestExports(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	h.seeds(2500)
	rows := func(b *browser, path string) (table [][]string) {
		t.Helper()
		got := b.get(path).must(t, http.StatusOK, "")
		if got.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.HasPrefix(got.header.Get("Content-Disposition"), `attachment; filename="milaan-`) {
			t.Errorf("%s comes as %v", path, got.header)
		}
		table, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	all := rows(h.as("owner"), "/console/deposits/export?as=csv")
	if len(all) != 1+2504 {
		t.Errorf("%d rows", len(all))
	}
	column := func(name string) int { return slices.Index(all[0], name) }
	formulas := 0
	for _, row := range all {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("the cell %q begins like a formula", cell)
			}
		}
		if row[column("label")] == "'=1+1"+hostile {
			formulas++
			if row[column("amount")] != "500.00" || row[column("state")] != "credited" || row[column("utr")] != "000000000001" || row[column("created")] != "2026-03-14T15:00:00+05:30" {
				t.Errorf("the row is %q", row)
			}
		}
	}
	if formulas != 1 {
		t.Errorf("%d rows of the payer who calls himself a formula", formulas)
	}
	if got := rows(h.as("owner"), "/console/deposits/export?as=csv&state=waiting"); len(got) != 2 || got[1][column("custom")] != "waits" {
		t.Errorf("narrowed it has %q", got)
	}
	for _, row := range rows(h.as("foreigner"), "/console/deposits/export?as=csv")[1:] {
		if slices.Contains(row, "shop") {
			t.Errorf("the café's file has %q", row)
		}
	}
	for _, list := range []string{"credits", "withdrawals", "postbacks"} {
		if got := rows(h.as("viewer"), "/console/"+list+"/export?as=csv"); len(got) < 3 {
			t.Errorf("%s: %q", list, got)
		}
	}

	got := h.as("owner").get("/console/deposits/export?as=xlsx").must(t, http.StatusOK, "")
	book, err := excelize.OpenReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	sheet, err := book.GetRows("Sheet1")
	if err != nil || len(sheet) != len(all) {
		t.Fatalf("the workbook has %d rows, %v", len(sheet), err)
	}
	if !slices.ContainsFunc(sheet, func(row []string) bool { return row[column("label")] == "=1+1"+hostile }) {
		t.Error("the payer who calls himself a formula is not in the workbook")
	}
	archive, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		t.Fatal(err)
	}
	file, err := archive.Open("xl/worksheets/sheet1.xml")
	if err != nil {
		t.Fatal(err)
	}
	cells, err := io.ReadAll(file)
	if err != nil || bytes.Contains(cells, []byte("<f>")) || bytes.Contains(cells, []byte("<f ")) {
		t.Errorf("the workbook has a formula, %v", err)
	}
	var noted []string
	raw := h.Database.Raw(t)
	list, err := raw.QueryContext(t.Context(), `SELECT actor, why FROM audit WHERE action = 'payments.exported' ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = list.Close() }()
	for list.Next() {
		var actor, why string
		if err := list.Scan(&actor, &why); err != nil {
			t.Fatal(err)
		}
		noted = append(noted, actor+" "+why)
	}
	if len(noted) != 7 || !strings.HasSuffix(noted[0], " deposits as csv, of 2 merchants") || list.Err() != nil {
		t.Errorf("noted: %q", noted)
	}
}

// TestSheets: what one sheet does not hold goes on in the next, under the same
// heads.
func TestSheets(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(24)
	w := httptest.NewRecorder()
	v := &visit{
		Request: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/deposits/export", nil), w: w, door: h.door, now: h.Clock.Now(),
		user: h.user("asha@example.com", owner), route: &route{needs: staff.SeePayments},
	}
	if err := h.door.depositList().workbook(v, &sought{Sources: []string{storetest.Cafe, storetest.Shop}}, 11); err != nil {
		t.Fatal(err)
	}
	book, err := excelize.OpenReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for i, want := range []int{11, 11, 6} {
		rows, err := book.GetRows(fmt.Sprint("Sheet", i+1))
		if err != nil || len(rows) != want || rows[0][0] != "created" {
			t.Fatalf("sheet %d has %d rows, %v", i+1, len(rows), err)
		}
		for _, row := range rows[1:] {
			seen[row[1]] = true
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d deposits are in the workbook", len(seen))
	}
}

// failing is a store whose lists fail from some page on.
type failing struct {
	Store
	pages int
}

func (f *failing) ListDeposits(ctx context.Context, q lookup.Deposits) (lookup.Page[lookup.Deposit], error) {
	if f.pages--; f.pages < 0 {
		return lookup.Page[lookup.Deposit]{}, errors.New("the disk is gone")
	}
	return f.Store.ListDeposits(ctx, q)
}

// TestBrokenExport: half a file is never a whole one.
func TestBrokenExport(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(3000)
	h.user("asha@example.com", owner)
	h.door.Store = &failing{Store: h.door.Store, pages: 3}
	h.door.Log = slog.New(slog.DiscardHandler)
	b := h.browser().signIn("asha@example.com")
	for _, as := range []string{"csv", "xlsx"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+"/console/deposits/export?as="+as, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.client.Do(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s ends as if it were whole", as)
		}
	}
}

// slow is a store whose lists take their time.
type slow struct{ Store }

func (s slow) ListDeposits(ctx context.Context, q lookup.Deposits) (lookup.Page[lookup.Deposit], error) {
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
	}
	return s.Store.ListDeposits(ctx, q)
}

// TestLongExport: an export may take longer than the server has for a page.
func TestLongExport(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(2500)
	h.user("asha@example.com", owner)
	b := h.browser().signIn("asha@example.com")
	h.door.Store = slow{h.door.Store}
	h.server = httptest.NewUnstartedServer(h.handler)
	h.server.Config.ReadTimeout, h.server.Config.WriteTimeout = time.Second, time.Second
	h.server.Start()
	t.Cleanup(h.server.Close)
	for _, as := range []string{"csv", "xlsx"} {
		if got := b.get("/console/deposits/export?as=" + as); got.status != http.StatusOK || as == "csv" && strings.Count(got.body, "\n") != 2502 {
			t.Errorf("%s: %d, %d bytes", as, got.status, len(got.body))
		}
	}
}

// TestSearchBox: the one box leads to what a number, UTR or id names, and lists
// what else fits.
func TestSearchBox(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	b := h.as("operator")
	for q, want := range map[string]string{
		"000000000001":                  h.deposit(h.shopDeposit.ID), // by way of its credit, too
		" 000000000004 ":                h.deposit(h.waits.ID),
		"cafe-order":                    h.deposit(h.cafeDeposit.ID),
		fmt.Sprint(h.held.ID):           h.deposit(h.held.ID),
		fmt.Sprint(h.credit.ID):         h.deposit(h.shopDeposit.ID),
		"shop-asked":                    h.withdrawal(h.asked.ID),
		h.asked.Reference():             h.withdrawal(h.asked.ID),
		fmt.Sprint(h.shopWithdrawal.ID): h.withdrawal(h.shopWithdrawal.ID),
		fmt.Sprint(h.ofShopPaid):        h.postback(h.ofShopPaid),
	} {
		if got := b.get("/console/find?" + url.Values{"q": {q}}.Encode()); got.to != want {
			t.Errorf("%q leads to %q, want %q: %s", q, got.to, want, got.text())
		}
	}
	b.get("/console/find?q=cafe-payer").must(t, http.StatusOK, "cafe-order")
	b.get("/console/find?q=000000000077").must(t, http.StatusOK, "shop-paid").must(t, http.StatusOK, "cafe-paid") // one reference, two withdrawals
	b.get("/console/find?q=nobody-at-all").must(t, http.StatusOK, "Nothing was found")
	b.get("/console/find").must(t, http.StatusOK, "Nothing was found")
	b.get("/console/find?q="+strings.Repeat("9", 400)).must(t, http.StatusOK, "Nothing was found")
	// A credit that nobody claimed is its own page.
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(60), 640_00))
	b.get("/console/find?q=000000000060").leads(t, addressOf("credits", h.MustCredit("till", storetest.UTR(60)).ID))
}

// TestViews: a user keeps what a list is narrowed to; nobody else sees it.
func TestViews(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	b, other := h.as("operator"), h.as("reviewer")
	b.get("/console/deposits?state=waiting").must(t, http.StatusOK, "Save view")
	b.post("/console/views", "list", "deposits", "query", "state=waiting&after=1.1&evil=1", "name", "To wait for").leads(t, "/console/deposits?state=waiting")
	b.get("/console/deposits?state=waiting").must(t, http.StatusOK, "The view is saved.").must(t, http.StatusOK, "Remove the view “To wait for”")
	if got := other.get("/console/deposits"); strings.Contains(got.text(), "To wait for") {
		t.Error("another user sees it")
	}
	if got := b.get("/console/credits"); strings.Contains(got.text(), "To wait for") {
		t.Error("another list has it")
	}
	other.post("/console/views/remove", "list", "deposits", "query", "state=waiting", "name", "To wait for")
	b.get("/console/deposits").must(t, http.StatusOK, "To wait for")
	b.post("/console/views", "list", "deposits", "query", "state=waiting", "name", "  ").leads(t, "/console/deposits?state=waiting")
	b.get("/console/deposits").must(t, http.StatusOK, "Give the view a short name.")
	b.post("/console/views", "list", "users", "query", "", "name", "x").must(t, http.StatusNotFound, "")
	b.post("/console/views", "list", "deposits", "query", "q="+strings.Repeat("x", 3000), "name", "x").must(t, http.StatusNotFound, "")
	b.post("/console/views", "list", "deposits", "query", "%zz", "name", "x").must(t, http.StatusNotFound, "")
	b.post("/console/views/remove", "list", "deposits", "query", "state=waiting", "name", "To wait for").leads(t, "/console/deposits?state=waiting")
	if got := b.get("/console/deposits").text(); strings.Contains(got, "To wait for") {
		t.Error("the view is still there")
	}
	for i := range staff.MostViews {
		b.post("/console/views", "list", "deposits", "query", "state=waiting", "name", fmt.Sprint("view ", i))
	}
	b.post("/console/views", "list", "deposits", "query", "state=waiting", "name", "one more")
	b.get("/console/deposits").must(t, http.StatusOK, "as many saved views as can be")
}

// TestPostbackActs: sent again, paused and resumed by the room that the command
// line uses, under the user's name.
func TestPostbackActs(t *testing.T) {
	t.Parallel()
	h := openTill(t)
	b := h.as("merchant-developer")
	page := h.postback(h.shopPostback)
	b.post(page+"/resend").leads(t, page)
	b.get(page).must(t, http.StatusOK, "The postback is sent again.").must(t, http.StatusOK, "Sent again by a person")
	if p, err := h.Store.Postback(t.Context(), h.shopPostback); err != nil || p.State != postback.StateDue || p.NextAt.After(h.Clock.Now()) || p.Attempts != 0 {
		t.Errorf("it is %+v, %v", p, err)
	}
	notes, err := h.Store.NotesOf(t.Context(), []int64{h.shopPostback}, 10)
	actor := staff.By(h.door.mustFind(t, "merchant-developer@example.com"))
	if err != nil || !slices.ContainsFunc(notes, func(e audit.Entry) bool { return e.Action == "postback.resent" && e.Actor == actor }) {
		t.Errorf("noted: %+v, %v", notes, err)
	}
	b.get("/console/merchants/shop/postbacks/pause").must(t, http.StatusOK, "Nothing is sent to Shop until")
	b.post("/console/merchants/shop/postbacks/pause").leads(t, "/console/postbacks?merchant=shop")
	b.get("/console/postbacks?merchant=shop").must(t, http.StatusOK, "Postbacks are paused.").must(t, http.StatusOK, "Resume postbacks")
	if list, err := h.Store.Endpoints(t.Context()); err != nil || len(list) != 1 || list[0].State != postback.EndpointPaused {
		t.Errorf("the endpoints are %+v, %v", list, err)
	}
	b.post("/console/merchants/shop/postbacks/pause")
	b.get(page).must(t, http.StatusOK, "There was nothing to change")
	b.post("/console/merchants/shop/postbacks/resume")
	b.get(page).must(t, http.StatusOK, "Postbacks are sent again.")
	b.post("/console/merchants/shop/postbacks/enable")
	b.get(page).must(t, http.StatusOK, "There was nothing to change")
	if list, err := h.Store.Endpoints(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("the endpoints are %+v, %v", list, err)
	}
	h.as("merchant-viewer").post(page+"/resend").must(t, http.StatusForbidden, "")
	h.as("viewer").post(page+"/resend").must(t, http.StatusForbidden, "")
	b.post(h.postback(424242)+"/resend").must(t, http.StatusNotFound, "")
	h.header(b, "https://evil.example").post(page+"/resend").must(t, http.StatusForbidden, "")
}

// header gives a browser the origin of another site.
func (h *till) header(b *browser, origin string) *browser {
	b.header.Set("Origin", origin)
	return b
}

// TestPaymentTextsAreThere: every state, reason and column has its text.
func TestPaymentTextsAreThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	en := h.door.langs.ByTag("en")
	keys := []string{"pay.credits.contested", "pay.trust.confirmed", "pay.trust.provisional"}
	for name, states := range map[string][]string{
		"deposits": h.door.depositList().states, "credits": h.door.creditList().states, "withdrawals": h.door.withdrawalList().states,
		"postbacks": h.door.postbackList().states, "kind": h.door.postbackList().kinds,
	} {
		for _, code := range states {
			keys = append(keys, "pay."+name+"."+code)
		}
	}
	for _, reason := range []deposit.Reason{
		deposit.AmountDiffers, deposit.RivalClaims, deposit.ClaimRejected, deposit.WalletNotShown, deposit.TooManyFailures, deposit.CreditTooOld,
		deposit.CreditUnverified, deposit.CreditReversal, deposit.CreditContested, deposit.CreditAmbiguous, deposit.UTRTaken,
	} {
		keys = append(keys, "pay.reason."+string(reason))
	}
	for _, s := range []deposit.State{deposit.Credited, deposit.Refused, deposit.Rejected, deposit.Expired} {
		keys = append(keys, "pay.event."+string(s))
	}
	for _, s := range h.door.withdrawalList().states {
		keys = append(keys, "pay.event.withdrawal."+s)
	}
	for _, name := range []string{"deposits", "credits", "withdrawals", "postbacks"} {
		keys = append(keys, "pay.search."+name)
	}
	for _, c := range h.door.depositList().columns {
		keys = append(keys, "pay.col."+c.key)
	}
	for _, key := range keys {
		if !en.Has(key) {
			t.Errorf("there is no text %s", key)
		}
	}
	// And on no page stands a key in place of a text.
	till := openTill(t)
	b := till.as("owner")
	for _, path := range till.pages() {
		if got := b.get(path).text(); regexp.MustCompile(`\b(pay|page|find|said)\.[a-z]+`).MatchString(got) {
			t.Errorf("%s says a key: %s", path, got)
		}
	}
}

// TestPagesOfOtherSections: a story leads to another section's page where there
// is one, and the user may go there.
func TestPagesOfOtherSections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		grant    staff.Grant
		pattern  string
		merchant string
		want     string
	}{
		{viewer, "/credits/{id}", "", "/console/credits/7"},
		{viewer, "/deposits/{id}", storetest.Shop, "/console/deposits/7"},
		{viewer, "/none/{id}", storetest.Shop, ""},
		{viewer, "/users/{user}", "", ""},
		{staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop}, "/credits/{id}", storetest.Shop, ""},
		{staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop}, "/deposits/{id}", storetest.Shop, "/console/deposits/7"},
		{staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Shop}, "/deposits/{id}", storetest.Cafe, ""},
	} {
		v := &visit{user: &staff.User{Grants: []staff.Grant{tt.grant}}}
		if got := v.pageOf(tt.pattern, tt.merchant, 7); got != tt.want {
			t.Errorf("%s, %s: %s of %q leads to %q, want %q", tt.grant, tt.pattern, tt.pattern, tt.merchant, got, tt.want)
		}
	}
}
