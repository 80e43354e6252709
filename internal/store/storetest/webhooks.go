package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
)

// whsec is a signing secret of a test.
const whsec directory.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

// withWebhooks gives the shop a webhook that is told all its events, the café one
// for deposits, and the owner one for everything.
func withWebhooks(c *directory.Change) {
	for _, w := range []*directory.Webhook{
		{Merchant: Shop, ID: "all", Events: []string{"*"}},
		{Merchant: Cafe, ID: "deposits", Events: []string{"deposit.*"}},
		{ID: "ops", Events: []string{"*"}},
		{ID: "gone", Events: []string{"*"}, Retired: true},
	} {
		w.URL, w.Secrets.Signing = "https://hooks.example"+w.Key(), whsec
		c.Webhooks = append(c.Webhooks, w)
	}
}

var hooked = Setup{Change: withWebhooks}

// told are the events of a destination in the order they were written, as
// "type subject".
func (h *House) told(destination string) []string {
	h.Helper()
	rows, err := h.raw().QueryContext(h.Context(), `SELECT event, subject, body, created_at FROM postbacks WHERE event <> '' AND merchant = $1 ORDER BY id`, destination)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	list := []string{}
	for rows.Next() {
		var event string
		var subject, at int64
		var text []byte
		if err := rows.Scan(&event, &subject, &text, &at); err != nil {
			h.Fatal(err)
		}
		var body struct {
			Type      string
			Timestamp time.Time
			Data      map[string]any
		}
		if err := json.Unmarshal(text, &body); err != nil || body.Type != event || body.Timestamp.UnixMicro() != at || len(body.Data) == 0 {
			h.Errorf("event %s at %d says %s, %v", event, at, text, err)
		}
		list = append(list, fmt.Sprint(event, " ", subject))
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	return list
}

func (h *House) mustHaveTold(destination string, want ...string) {
	h.Helper()
	if got := h.told(destination); !slices.Equal(got, append([]string{}, want...)) {
		h.Errorf("%s was told\n\t%s\nwant\n\t%s", destination, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// mustHaveToldNobody makes sure that an installation without webhooks has no row
// more than it had before there were any.
func (h *House) mustHaveToldNobody() {
	h.Helper()
	if len(h.Directory.Current().Webhooks) > 0 {
		return
	}
	var rows, cursors int
	if err := h.raw().QueryRowContext(h.Context(), `SELECT (SELECT COUNT(*) FROM postbacks WHERE event <> '' OR subject <> 0), (SELECT COUNT(*) FROM unclaimed_cursor)`).
		Scan(&rows, &cursors); err != nil || rows != 0 || cursors != 0 {
		h.Errorf("without webhooks there are %d events and %d cursors, %v", rows, cursors, err)
	}
}

// tellUnclaimed looks once for credits that nobody claimed for half an hour.
func (h *House) tellUnclaimed() error {
	for {
		more, err := h.Store.TellUnclaimed(h.Context(), h.Clock.Now().Add(-30*time.Minute), func(c *deposit.Credit) []webhook.Event {
			return deposit.UnclaimedEvents(h.Directory.Current(), c, h.Clock.Now())
		})
		if err != nil || !more {
			return err
		}
	}
}

func (h *House) mustTellUnclaimed() {
	h.Helper()
	if err := h.tellUnclaimed(); err != nil {
		h.Fatal(err)
	}
}

// testWebhooks holds both engines to this: no fact without its event, no event
// without its fact, each once.
func testWebhooks(t *testing.T, fresh Fresh) {
	t.Helper()
	event := func(t webhook.Type, id int64) string { return fmt.Sprint(t, " ", id) }
	play(t, fresh, []scenario{
		{"claims", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			credited := h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited) // once
			refused := h.MustActivate(Claim("b", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 700_00))
			pending := h.MustActivate(Claim("c", UTR(2), 500_00), deposit.Pending, deposit.AmountDiffers)
			h.MustReject(pending.ID)
			waiting := h.MustActivate(Claim("d", UTR(3), 500_00), deposit.Waiting)
			cafes := h.MustActivate(cafesClaim("e", UTR(4), 500_00), deposit.Waiting)
			h.Clock.Advance(100 * time.Hour)
			h.MustExpire(2)
			h.MustExpire(0)
			shops := []string{
				event(webhook.DepositCredited, credited.ID), event(webhook.DepositRefused, refused.ID), event(webhook.DepositPending, pending.ID),
				event(webhook.DepositRejected, pending.ID),
			}
			h.mustHaveTold("shop/all", append(shops, event(webhook.DepositExpired, waiting.ID))...)
			h.mustHaveTold("cafe/deposits", event(webhook.DepositExpired, cafes.ID))
			h.mustHaveTold("/gone")
			ops := h.told("/ops")
			if len(ops) != 6 || !slices.Equal(ops[:4], shops) {
				h.Errorf("the owner was told %v", ops)
			}
			// The protocol's postback is there as ever, once, and nothing beside it.
			h.mustLease(Shop, h.Clock.Now(), 10, credited.ID)
			h.mustLease(Cafe, h.Clock.Now(), 10)
		}},
		{"what a merchant is told, and what the owner", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(2), 700_00))
			h.MustActivate(Claim("c", UTR(2), 500_00), deposit.Pending, deposit.AmountDiffers)
			for destination, reasons := range map[string]string{"shop/all": "", "/ops": `,"reasons":["amount_differs"]`} {
				jobs, err := h.Store.Lease(h.Context(), []postback.Want{{Merchant: destination, Limit: 10}}, h.Clock.Now(), h.Clock.Now().Add(time.Minute))
				if err != nil || len(jobs) != 1 {
					h.Fatalf("leased %+v, %v", jobs, err)
				}
				c := jobs[0]
				var id string
				if _, err := fmt.Sscanf(string(c.Body), `{"type":"deposit.pending","timestamp":"2026-03-14T09:30:00.123456Z","data":{"deposit_id":%q`, &id); err != nil {
					h.Error(err)
				}
				want := `{"type":"deposit.pending","timestamp":"2026-03-14T09:30:00.123456Z","data":{"deposit_id":"` + id + `","merchant":"shop","custom_transaction_id":"c",` +
					`"label":"55","wallet_type":"upi_l","status":"pending","amount":"500.00","deposited_amount":null,"currency":"INR","utr":"000000000002",` +
					`"credit_id":null,"payer":null,"created_at":"2026-03-14T09:30:00.123456Z","settled_at":null` + reasons + `}}`
				if string(c.Body) != want || c.Webhook != webhook.DepositPending || c.Merchant != destination || c.MessageID() != fmt.Sprint("evt_", c.ID) || !c.CreatedAt.Equal(Start) {
					h.Errorf("leased %+v\n%s\nwant\n%s", c, c.Body, want)
				}
				d, err := h.Store.Postback(h.Context(), c.ID)
				if err != nil || d.Webhook != webhook.DepositPending || d.CustomID != "c" || d.Amount != 500_00 || string(d.Body) != want || d.Event.Merchant != destination {
					h.Errorf("kept %+v, %v", d, err)
				}
			}
			list, err := h.Store.Postbacks(h.Context(), postback.Filter{Merchant: "/ops", Limit: 10})
			if err != nil || len(list) != 1 || list[0].Webhook != webhook.DepositPending {
				h.Errorf("listed %+v, %v", list, err)
			}
		}},
		{"the payer is masked", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_05))
			h.MustActivate(Claim("a", UTR(1), 500_05), deposit.Credited)
			for _, destination := range []string{"shop/all", "/ops"} {
				var body string
				if err := h.raw().QueryRowContext(h.Context(), `SELECT body FROM postbacks WHERE merchant = $1`, destination).Scan(&body); err != nil {
					h.Fatal(err)
				}
				if !strings.Contains(body, `"payer":"paxxx@okaxis"`) || strings.Contains(body, "payer@okaxis") || strings.Contains(body, "Asha") ||
					!strings.Contains(body, `"deposited_amount":"500.05"`) {
					h.Errorf("%s was told %s", destination, body)
				}
			}
		}},
		{"more events than the ids at hand", hooked, func(h *House) {
			// One credit ends two dozen claims: four dozen events, while the desk's block
			// of ids is nearly used up.
			for i := range 24 {
				h.MustActivate(Claim(fmt.Sprint("r", i), UTR(1), 500_00), deposit.Waiting)
			}
			h.Clock.Advance(100 * time.Hour)
			left, utr := h.idsLeft(), 100
			for left > 10 {
				entries := make([]feed.Entry, min(left-10, 256))
				for i := range entries {
					entries[i] = h.Entry(UTR(utr), 500_00)
					utr++
				}
				h.MustReport("spare", len(entries), 0, 0, entries...)
				left -= len(entries)
			}
			if n := h.idsLeft(); n != 10 {
				h.Fatalf("%d ids are left", n)
			}
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			if n := len(h.told("shop/all")); n != 24 {
				h.Errorf("the shop was told of %d ends", n)
			}
			if n := h.idsLeft(); n < 1000 {
				h.Errorf("%d ids are left: no block was taken", n)
			}
		}},
		{"credits that nobody claims", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00)) // before anybody asked
			h.Clock.Advance(time.Hour)
			h.mustTellUnclaimed()
			h.MustReport("till", 2, 0, 0, h.Entry(UTR(2), 600_00), h.Entry(UTR(3), 700_00))
			h.Clock.Advance(29 * time.Minute)
			h.mustTellUnclaimed()
			h.mustHaveTold("/ops")
			h.MustActivate(Claim("a", UTR(3), 700_00), deposit.Credited)
			h.Clock.Advance(2 * time.Minute)
			for range 3 {
				h.mustTellUnclaimed()
			}
			ops := h.told("/ops")
			credit, err := h.Store.FindCredit(h.Context(), h.unclaimedID(UTR(2)))
			if err != nil {
				h.Fatal(err)
			}
			if len(ops) != 2 || ops[1] != event(webhook.CreditUnclaimed, credit.ID) {
				h.Errorf("the owner was told %v, want %d", ops, credit.ID)
			}
			for _, e := range h.told("shop/all") {
				if strings.HasPrefix(e, "credit.") {
					h.Errorf("the shop was told %s", e)
				}
			}
			// Whoever leaves and asks again is not told of what lay there meanwhile.
			if err := h.Store.LeaveUnclaimed(h.Context()); err != nil {
				h.Fatal(err)
			}
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(4), 600_00))
			h.Clock.Advance(time.Hour)
			h.mustTellUnclaimed()
			h.mustTellUnclaimed()
			if again := h.told("/ops"); !slices.Equal(again, ops) {
				h.Errorf("the owner was told %v", again)
			}
		}},
		{"credits that a bank contests", hooked, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			id := h.unclaimedID(UTR(1))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 400_00))
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 400_00))
			if ops := h.told("/ops"); len(ops) != 2 || ops[1] != event(webhook.CreditContested, id) {
				h.Errorf("the owner was told %v", ops)
			}
		}},
		{"withdrawals", Setup{Change: func(c *directory.Change) { desks.Change(c); withWebhooks(c) }}, func(h *House) {
			o := mustOpenOffice(h, 5000_00)
			o.bank.says(payout.Answer{Standing: payout.Paid, BankRef: "REF1"}, nil)
			small := o.mustCreate(withdrawal("w1", 100_00), payout.Approved)
			o.mustCreate(withdrawal("w1", 100_00), payout.Approved)
			o.mustWork()
			o.mustStand(small.ID, payout.Success)
			large := o.mustCreate(withdrawal("w2", 2000_00), payout.New, payout.ReasonAmount)
			if _, err := o.Cancel(h.Context(), large.ID, "operator:asha", "not today"); err != nil {
				h.Fatal(err)
			}
			if _, err := o.Settle(h.Context(), small.ID, payout.Answer{Standing: payout.Refused, Why: "came back"}, "operator:asha"); err != nil {
				h.Fatal(err)
			}
			var want []string
			for _, e := range []struct {
				t webhook.Type
				w *payout.Withdrawal
			}{
				{webhook.WithdrawalCreated, small}, {webhook.WithdrawalApproved, small}, {webhook.WithdrawalProcessing, small}, {webhook.WithdrawalSuccess, small},
				{webhook.WithdrawalCreated, large}, {webhook.WithdrawalCanceled, large}, {webhook.WithdrawalFailed, small},
			} {
				want = append(want, event(e.t, e.w.ID))
			}
			got := h.told("shop/all")
			if !slices.Equal(got[1:], want) || !slices.Equal(h.told("/ops"), got) {
				h.Errorf("the shop was told %v\nwant %v", got, want)
			}
			var shops, owners string
			if err := h.raw().QueryRowContext(h.Context(), `SELECT s.body, o.body FROM postbacks s JOIN postbacks o ON o.event = s.event AND o.subject = s.subject
				WHERE s.merchant = 'shop/all' AND o.merchant = '/ops' AND s.event = 'withdrawal.canceled'`).Scan(&shops, &owners); err != nil {
				h.Fatal(err)
			}
			if strings.Contains(shops+owners, "123456789") || strings.Contains(shops, "not today") || strings.Contains(shops, "above_limit") ||
				!strings.Contains(owners, `"why":"not today"`) || !strings.Contains(owners, `"reasons":["above_limit"]`) || !strings.Contains(shops, `"fee":"5.00"`) {
				h.Errorf("the shop was told %s\nthe owner %s", shops, owners)
			}
			// The legacy postbacks of both are listed, too.
			list, err := h.Store.Postbacks(h.Context(), postback.Filter{Merchant: Shop, Limit: 10})
			if err != nil || len(list) != 4 || list[0].CustomID != "w1" || list[0].Amount != 100_00 || list[0].Webhook != "" {
				h.Errorf("listed %+v, %v", list, err)
			}
			if d, err := h.Store.Postback(h.Context(), list[0].ID); err != nil || d.Event.Payment == nil {
				h.Errorf("kept %+v, %v", d, err)
			}
		}},
		{"endpoints, in the commit of their state", hooked, func(h *House) {
			e := postback.Endpoint{Merchant: Shop, Target: "t", State: postback.EndpointDisabled, Since: Start, Why: "gone"}
			told := []webhook.Event{{Destination: "/ops", Type: webhook.EndpointDisabled, At: Start, Body: webhook.Body(webhook.EndpointDisabled, Start, map[string]string{"endpoint": Shop})}}
			entry := audit.Entry{At: Start, Actor: "system", Action: "endpoint.disabled", Why: "merchant shop: gone"}
			for i, want := range []bool{true, false} {
				if done, err := h.Store.SetEndpoint(h.Context(), e, []postback.EndpointState{postback.EndpointOpen}, told, entry); err != nil || done != want {
					h.Errorf("the %d. time: %t, %v", i, done, err)
				}
			}
			h.mustHaveTold("/ops", event(webhook.EndpointDisabled, 0))
		}},
		{"told once", hooked, func(h *House) {
			told := webhook.For(h.Directory.Current(), "", webhook.FeedSilent, 77, Start, func(bool) any { return webhook.Feed{Feed: "till"} })
			branch := h.MustOpenBranch()
			var group sync.WaitGroup
			for i := range 8 {
				group.Go(func() {
					if err := []*House{h, branch}[i%2].Store.TellOnce(h.Context(), told); err != nil {
						h.Error(err)
					}
				})
			}
			group.Wait()
			h.mustHaveTold("/ops", event(webhook.FeedSilent, 77))
			h.mustHaveTold("shop/all")
		}},
		{"verify finds what is told and not so", hooked, func(h *House) {
			c := h.MustActivate(Claim("d", UTR(3), 500_00), deposit.Waiting)
			insert := func(id int, destination, event, body string, subject int64) {
				if _, err := h.raw().ExecContext(h.Context(), `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at, event, subject)
					VALUES ($1, $2, 'due', 0, 1, $3, 0, '', 1, 0, $4, $5)`, id, destination, []byte(body), event, subject); err != nil {
					h.Fatal(err)
				}
			}
			for name, wrong := range map[string]func(){
				"no claim":           func() { insert(-1, "shop/all", "deposit.expired", "{}", 9999) },
				"not expired":        func() { insert(-1, "shop/all", "deposit.expired", "{}", c.ID) },
				"another merchant's": func() { insert(-1, "cafe/deposits", "deposit.pending", "{}", c.ID) },
				"no withdrawal":      func() { insert(-1, "shop/all", "withdrawal.success", "{}", c.ID) },
				"no credit":          func() { insert(-1, "/ops", "credit.unclaimed", "{}", c.ID) },
				"no endpoint":        func() { insert(-1, "/ops", "endpoint.disabled", "{}", 0) },
				"no body":            func() { insert(-1, "/ops", "feed.silent", "", 5) },
				"twice":              func() { insert(-1, "/ops", "feed.silent", "{}", 5); insert(-2, "/ops", "feed.silent", "{}", 5) },
				"no event":           func() { insert(-1, "shop/all", "", "{}", 0) },
			} {
				wrong()
				r, err := h.Store.Verify(h.Context())
				if err != nil || len(r.Problems) == 0 {
					h.Errorf("%s: %v, %v", name, r.Problems, err)
				}
				if _, err := h.raw().ExecContext(h.Context(), `DELETE FROM postbacks WHERE id < 0`); err != nil {
					h.Fatal(err)
				}
			}
		}},
	})
	t.Run("gateways that do the same at once tell it once", func(t *testing.T) { raceWebhooks(t, fresh) })
}

// idsLeft is how many ids of its block the desk has left.
func (h *House) idsLeft() (left int) {
	h.Helper()
	if err := h.raw().QueryRowContext(h.Context(), `SELECT next - 1 - (SELECT MAX(id) FROM (SELECT id FROM claims UNION ALL SELECT id FROM credits UNION ALL SELECT id FROM postbacks) AS used) FROM id_blocks`).
		Scan(&left); err != nil {
		h.Fatal(err)
	}
	return left
}

// unclaimedID is the id of the credit with a UTR.
func (h *House) unclaimedID(utr any) (id int64) {
	h.Helper()
	if err := h.raw().QueryRowContext(h.Context(), `SELECT id FROM credits WHERE utr = $1`, fmt.Sprint(utr)).Scan(&id); err != nil {
		h.Fatal(err)
	}
	return id
}

// raceWebhooks has gateways expire the same claims, look for the same unclaimed
// credits, and claim these in the same moment.
func raceWebhooks(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{Change: withWebhooks, Policy: func(p *deposit.Policy) { p.LabelFailures, p.CreditMaxAge = 0, 0 }})
	houses := []*House{h, h.MustOpenBranch(), h.MustOpenBranch()}
	h.mustTellUnclaimed() // from here on
	h.Clock.Advance(time.Minute)
	const n = 60
	entries := make([]feed.Entry, n)
	for i := range n {
		h.MustActivate(Claim(fmt.Sprint("w", i), UTR(1000+i), 500_00), deposit.Waiting)
		entries[i] = h.Entry(UTR(i), 500_00)
	}
	h.MustReport("till", n, 0, 0, entries...)
	h.Clock.Advance(100 * time.Hour)
	var group sync.WaitGroup
	for _, house := range houses {
		group.Go(func() {
			if _, err := house.Desk.ExpireDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			for range 5 {
				if err := house.tellUnclaimed(); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for i := range n / 2 {
				if _, err := house.Desk.Activate(t.Context(), Claim(fmt.Sprint("c", i), UTR(i), 500_00)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	h.mustTellUnclaimed()
	for _, destination := range []string{"shop/all", "/ops"} {
		seen := make(map[string]int)
		for _, e := range h.told(destination) {
			kind, _, _ := strings.Cut(e, " ")
			seen[kind]++
			seen[e]++
			if seen[e] > 1 {
				t.Errorf("%s was told twice: %s", destination, e)
			}
		}
		if seen["deposit.expired"] != n || seen["deposit.credited"] != n/2 {
			t.Errorf("%s was told of %d ends and %d deposits", destination, seen["deposit.expired"], seen["deposit.credited"])
		}
		if got := seen["credit.unclaimed"]; destination == "/ops" && (got < n/2 || got > n) || destination != "/ops" && got != 0 {
			t.Errorf("%s was told of %d unclaimed credits", destination, got)
		}
	}
	h.MustVerify()
	h.mustNotDeadlock()
}
