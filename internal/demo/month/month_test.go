package month_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/demo/month"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
)

// A Tuesday evening, whose day before had its Monday's statement.
var until = time.Date(2026, 11, 24, 15, 30, 0, 0, time.UTC)

const seed, password = 7, "month of the demo"

// lived gives a database with the month in it.
func lived(tb testing.TB) store.Store {
	tb.Helper()
	text, err := os.ReadFile("../demo.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	page, err := template.New("").Funcs(template.FuncMap{"secret": rand.Text}).Parse(string(text))
	if err != nil {
		tb.Fatal(err)
	}
	var filled bytes.Buffer
	if err := page.Execute(&filled, map[string]any{
		"Month": true, "Merchant": "shop", "Secret": "shop-secret", "WithdrawalKey": "key", "Shop": "http://127.0.0.1:8081", "Accounts": nil,
		"Keys": map[string]string{"AccessKey": "access", "PrivateKey": "private", "WebhookSecret": "hook"},
	}); err != nil {
		tb.Fatal(err)
	}
	file, err := apply.Parse("demo.yaml", []byte(strings.ReplaceAll(filled.String(), "secret: hook", "secret: whsec_"+strings.Repeat("MfKQ", 8))))
	if err != nil {
		tb.Fatal(err)
	}
	location, err := store.ParseLocation("sqlite://" + filepath.Join(tb.TempDir(), "demo.db"))
	if err != nil {
		tb.Fatal(err)
	}
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	db, err := store.Open(tb.Context(), location, key)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	if _, err := apply.Run(tb.Context(), db, file, apply.Options{Now: func() time.Time { return month.Begin(until) }}); err != nil {
		tb.Fatal(err)
	}
	if err := month.Live(context.WithoutCancel(tb.Context()), month.Config{Store: db, Until: until, Seed: seed, Password: password}); err != nil {
		tb.Fatal(err)
	}
	return db
}

// claims lists all claims by their custom ids.
func claims(t *testing.T, db store.Store) map[string]lookup.Deposit {
	t.Helper()
	all := make(map[string]lookup.Deposit)
	for _, merchant := range []string{"mela", "khel", "pathshala", "tiffin"} {
		q := lookup.Deposits{Merchant: merchant, Limit: lookup.MaxPage}
		for more := true; more; more = q.After != nil {
			page, err := db.ListDeposits(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Items {
				all[merchant+" "+d.CustomID] = d
			}
			q.After = page.Next
		}
	}
	return all
}

func TestMonth(t *testing.T) {
	t.Parallel()
	one := lived(t)
	t.Run("shows everything", func(t *testing.T) { t.Parallel(); showsEverything(t, one) })
	t.Run("statements", func(t *testing.T) { t.Parallel(); statements(t, one) })
	t.Run("the same twice", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("MILAAN_TEST_MONTH") != "twice" {
			t.Skip("MILAAN_TEST_MONTH=twice lives the month twice")
		}
		same(t, one, lived(t))
	})
}

// showsEverything holds a month to what the console has to show.
func showsEverything(t *testing.T, db store.Store) {
	t.Helper()
	ctx := t.Context()
	report, err := db.Verify(ctx)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %v, %v", report.Problems, err)
	}
	if n := report.Deposits; n < 1500 || n > 3000 {
		t.Errorf("%d deposits are no plausible month", n)
	}

	found := make(map[string]int)
	var byHour [24]int
	for _, c := range claims(t, db) {
		found["claim "+string(c.State)]++
		found["via "+c.Via]++
		for _, r := range c.Reasons {
			found["reason "+string(r)]++
		}
		if c.CreatedAt.After(until) || c.CreatedAt.Before(month.Begin(until)) {
			t.Errorf("claim %s was made on %v", c.CustomID, c.CreatedAt)
		}
		byHour[c.CreatedAt.Add(5*time.Hour+30*time.Minute).UTC().Hour()]++
	}
	if evening, morning := byHour[19]+byHour[20]+byHour[21], byHour[3]+byHour[4]+byHour[5]; evening < 10*morning {
		t.Errorf("%d payments of the evening are not many beside %d of the early morning", evening, morning)
	}
	pending, err := db.PendingClaims(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range pending {
		if r.Claim.History.Approval != nil {
			found["queue approved once"]++
		}
		for _, reason := range r.Claim.Reasons {
			found["queue "+string(reason)]++
		}
	}
	for _, wallet := range []string{"mela-hdfc", "mela-icici", "khel-sbi", "khel-axis"} {
		for _, state := range []deposit.CreditState{deposit.Unclaimed, deposit.Bound, deposit.Reversed} {
			page, err := db.ListCredits(ctx, lookup.Credits{Wallet: wallet, State: state, Limit: lookup.MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			found["credit "+string(state)] += len(page.Items)
		}
	}
	withdrawals, err := db.ListWithdrawals(ctx, nil, "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range withdrawals {
		found["withdrawal "+string(w.State)]++
		if w.Contested {
			found["withdrawal contested"]++
		}
		if w.Test {
			found["withdrawal test"]++
		}
		if w.MovementID != 0 {
			found["withdrawal on a statement"]++
		}
		if w.State == payout.Approved && w.Desk != "bank-portal" {
			t.Errorf("withdrawal %s is stuck: %s", w.WithdrawalID, w.Why)
		}
	}
	for _, state := range []postback.State{postback.StateDelivered, postback.StateDue, postback.StateDead, postback.StateHeld} {
		list, err := db.Postbacks(ctx, postback.Filter{State: state, Limit: 3000})
		if err != nil {
			t.Fatal(err)
		}
		found["postback "+string(state)] += len(list)
		for _, p := range list {
			if p.Attempts > 1 {
				found["postback "+string(state)+" after several attempts"]++
			}
			if p.Told != "" {
				found["postback of a withdrawal"]++
			}
		}
	}
	endpoints, err := db.Endpoints(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		found["endpoint "+string(e.State)]++
	}
	settlements, err := db.Settlements(ctx, settlement.Filter{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settlements {
		switch {
		case s.Payouts == 0:
			found["settlement of nothing"]++
		case s.Scheduled:
			found["settlement by schedule"]++
		default:
			found["settlement on demand"]++
		}
	}
	inbox, err := db.Inbox(ctx, "", 0, 200)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range inbox {
		found["message "+string(m.Outcome.Result)]++
	}
	dir, err := directory.OpenCache(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	judged, err := intake.Health(ctx, db, dir.Current(), until)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range judged {
		found["feed "+string(h.State)]++
		for _, f := range h.Findings {
			found["feed "+string(f.Code)]++
		}
	}
	people, err := db.Staff().Users(ctx, "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range people {
		found["role "+string(u.Grants[0].Role)]++
	}

	for _, state := range []string{
		"claim waiting", "claim pending", "claim credited", "claim refused", "claim rejected", "claim expired", "via api", "via window",
		"reason utr_taken",
		"queue amount_differs", "queue rival_claims", "queue claim_rejected", "queue wallet_not_shown", "queue too_many_failures", "queue credit_too_old",
		"queue credit_unverified", "queue credit_reversed", "queue credit_contested", "queue credit_ambiguous", "queue rule:large", "queue approved once",
		"credit unclaimed", "credit bound", "credit reversed",
		"withdrawal new", "withdrawal approved", "withdrawal processing", "withdrawal success", "withdrawal failed", "withdrawal canceled",
		"withdrawal contested", "withdrawal test", "withdrawal on a statement",
		"postback delivered", "postback delivered after several attempts", "postback due", "postback due after several attempts", "postback dead", "postback held",
		"postback of a withdrawal", "endpoint failing", "endpoint disabled",
		"settlement by schedule", "settlement on demand", "settlement of nothing",
		"message unparsed", "message no_utr", "message refused", "feed good", "feed failing", "feed silent", "feed unreadable",
		"role owner", "role operator", "role reviewer", "role viewer", "role merchant-admin", "role merchant-developer", "role merchant-viewer",
	} {
		if found[state] == 0 {
			t.Errorf("there is no %s", state)
		}
	}
}

// statements: one wallet's agree with the books, the other's differ by what only
// the bank knows of.
func statements(t *testing.T, db store.Store) {
	t.Helper()
	for wallet, want := range map[string]money.Paise{"mela-hdfc": 0, "mela-icici": 118 * money.Rupee} {
		list, err := db.Statements(t.Context(), wallet, 10)
		if err != nil || len(list) < 3 {
			t.Fatalf("%s has %d statements, %v", wallet, len(list), err)
		}
		for _, s := range list {
			r, err := db.Reconcile(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			difference, balanced := r.Difference()
			if !balanced || difference != want || r.Settled() != (want == 0) {
				t.Errorf("%s differs by %s (%t), %d open, %d unseen, %d contested", s.Name, difference, balanced, len(r.Open), len(r.Unseen), len(r.Contested))
			}
		}
	}
}

// same: the seed chooses the month.
func same(t *testing.T, this, that store.Store) {
	t.Helper()
	one, other := claims(t, this), claims(t, that)
	if len(one) != len(other) {
		t.Errorf("%d claims and %d", len(one), len(other))
	}
	for id, c := range one {
		d := other[id]
		// Payments of one moment are settled in any order: the clock goes on by what
		// the postbacks of some take.
		if c.State != d.State || c.UTR != d.UTR || c.Amount != d.Amount || c.Deposited != d.Deposited || c.Label != d.Label || c.CreatedAt.Sub(d.CreatedAt).Abs() > 10*time.Second {
			t.Errorf("%s: %+v and %+v", id, c, d)
		}
	}
}

func BenchmarkLive(b *testing.B) {
	for b.Loop() {
		lived(b)
	}
}
