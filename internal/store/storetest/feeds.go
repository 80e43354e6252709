package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func (h *House) mustHold(code string, want money.Paise) {
	h.Helper()
	var balance int64
	if err := h.raw().QueryRowContext(h.Context(), `SELECT balance FROM accounts WHERE id = $1`, h.mustAccount(code)).Scan(&balance); err != nil {
		h.Fatal(err)
	}
	if money.Paise(balance) != want {
		h.Errorf("%s holds %d paise, want %d", code, balance, want)
	}
}

func provisional(e feed.Entry) feed.Entry {
	e.Trust = feed.Provisional
	return e
}

// testMovements plays statements: what they confirm, contradict, take back and
// add to the ledger.
func testMovements(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"debits and interest", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			out := h.movement(feed.Debit, "", 100_00)
			h.mustMove("till", out, feed.Recorded)
			h.mustMove("till", out, feed.Known) // an overlapping statement
			h.mustMove("till", h.movement(feed.Other, "", 7_00), feed.Recorded)
			h.mustHold(ledger.WalletCode("till"), 407_00)
			h.mustHold(ledger.OutflowCode("till"), 100_00)
			h.mustHold(ledger.IncomeCode("till"), -7_00)
			h.mustHold(ledger.SuspenseCode("till"), -500_00)
		}},
		{"an unclaimed credit is taken back", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReverse("till", UTR(1))
			if c := h.MustCredit("till", UTR(1)); c.State != deposit.Reversed {
				h.Errorf("the credit is %s", c.State)
			}
			h.mustHold(ledger.WalletCode("till"), 0)
			h.mustHold(ledger.SuspenseCode("till"), 0)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditReversal)
		}},
		{"taken back before it came", Setup{}, func(h *House) {
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.mustMove("till", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
			h.mustHold(ledger.OutflowCode("till"), 500_00)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			if c := h.MustCredit("till", UTR(1)); c.State != deposit.Reversed {
				h.Errorf("the credit is %s", c.State)
			}
			h.mustSettle("a", deposit.Pending, deposit.CreditReversal)
			h.mustHold(ledger.WalletCode("till"), 0)
			h.mustHold(ledger.OutflowCode("till"), 0)
		}},
		{"taken back after it was credited", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.mustMove("till", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
			if c := h.MustCredit("till", UTR(1)); c.State != deposit.Bound || !c.Contested {
				h.Errorf("the credit is %s, contested %v", c.State, c.Contested)
			}
			h.mustHold(ledger.WalletCode("till"), 0)
			h.mustHold(ledger.OutflowCode("till"), 500_00)
			h.mustHold(ledger.MerchantCode(Shop), -500_00)
			disputes, err := h.Store.Disputes(h.Context(), 0, 10)
			if err != nil || len(disputes) != 1 || disputes[0].UTR != UTR(1) {
				h.Fatalf("the disputes are %+v, %v", disputes, err)
			}
			if err := h.Desk.Clear(h.Context(), disputes[0].ID, "operator:asha", "the bank's error"); err != nil {
				h.Fatal(err)
			}
			h.mustRefuse(h.Desk.Clear(h.Context(), disputes[0].ID, "operator:asha", ""), deposit.NotContested)
			if err := h.Desk.Clear(h.Context(), 999999, "operator:asha", ""); !errors.Is(err, deposit.ErrNoCredit) {
				h.Errorf("no credit gives %v", err)
			}
			if disputes, err = h.Store.Disputes(h.Context(), 0, 10); err != nil || len(disputes) != 0 {
				h.Errorf("then the disputes are %+v, %v", disputes, err)
			}
		}},
		{"another amount was taken back before it came", Setup{}, func(h *House) {
			h.mustMove("till", h.movement(feed.Debit, UTR(1), 400_00), feed.Recorded)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
			h.mustHold(ledger.WalletCode("till"), 100_00)
		}},
		{"taken back on the account's other wallet before it came", Setup{Change: twin("spare", "till", nil)}, func(h *House) {
			h.mustMove("spare", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Waiting)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.mustSettle("a", deposit.Pending, deposit.CreditContested)
		}},
		{"taken back on another account before it came", Setup{}, func(h *House) {
			h.mustMove("spare", h.movement(feed.Debit, UTR(1), 500_00), feed.Recorded)
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
		}},
		{"taken back before it was corrected", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			h.mustMove("till", h.movement(feed.Debit, UTR(1), 50_00), feed.Recorded)
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 50_00))
			if c := h.MustCredit("till", UTR(1)); c.State != deposit.Reversed {
				h.Errorf("the credit is %s", c.State)
			}
			h.mustHold(ledger.OutflowCode("till"), 0)
			h.mustHold(ledger.WalletCode("till"), 0)
		}},
		{"another amount is taken back", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.mustMove("till", h.movement(feed.Debit, UTR(1), 400_00), feed.Recorded)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditContested)
		}},
		{"a statement corrects an SMS", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 50_00))
			if c := h.MustCredit("till", UTR(1)); c.Amount != 50_00 || c.Trust != feed.Confirmed || !c.Contested {
				h.Errorf("the credit is %+v", c)
			}
			h.mustHold(ledger.SuspenseCode("till"), -50_00)
			h.MustReport("till", 0, 0, 0, provisional(h.Entry(UTR(1), 500_00))) // and an SMS corrects no statement
			h.mustHold(ledger.SuspenseCode("till"), -50_00)
			h.MustApprove(h.MustActivate(Claim("a", UTR(1), 50_00), deposit.Pending, deposit.CreditContested).ID)
			h.mustHold(ledger.MerchantCode(Shop), -50_00)
		}},
		{"corrected upwards, then taken back", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 50_00)))
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustReverse("till", UTR(1))
			h.mustHold(ledger.WalletCode("till"), 0)
		}},
		{"the bank says that an SMS was old", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			e := h.Entry(UTR(1), 500_00)
			e.At = e.At.AddDate(0, 0, -200)
			h.MustReport("till", 0, 1, 0, e)
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Pending, deposit.CreditTooOld)
		}},
		{"a statement contradicts a deposit", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 50_00))
			if c := h.MustCredit("till", UTR(1)); c.Amount != 500_00 || !c.Contested {
				h.Errorf("the credit is %+v", c)
			}
		}},
		{"a correction in one report with the reversal, in either order", Setup{}, func(h *House) {
			for i, utr := range []upi.UTR{UTR(1), UTR(2)} {
				h.MustReport("till", 1, 0, 0, provisional(h.Entry(utr, 500_00)))
				e, m := h.Entry(utr, 50_00), h.movement(feed.Debit, utr, 50_00)
				items := []feed.Item{{Credit: &e}, {Place: 1, Movement: m}}
				if i == 1 {
					items = []feed.Item{{Movement: m}, {Place: 1, Credit: &e}}
				}
				if _, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed("till"), items); err != nil {
					h.Fatal(err)
				}
				if c := h.MustCredit("till", utr); c.State != deposit.Reversed {
					h.Errorf("credit %d is %s", i, c.State)
				}
			}
			h.mustHold(ledger.WalletCode("till"), 0)
			h.mustHold(ledger.OutflowCode("till"), 0)
		}},
		{"both in one report, in either order", Setup{}, func(h *House) {
			for i, utr := range []upi.UTR{UTR(1), UTR(2)} {
				e, m := h.Entry(utr, 500_00), h.movement(feed.Debit, utr, 500_00)
				items := []feed.Item{{Credit: &e}, {Place: 1, Movement: m}}
				if i == 1 {
					items = []feed.Item{{Movement: m}, {Place: 1, Credit: &e}}
				}
				taken, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed("till"), items)
				if err != nil || taken.Summary.Accepted != 1 {
					h.Fatalf("%+v, %v", taken, err)
				}
				if c := h.MustCredit("till", utr); c.State != deposit.Reversed {
					h.Errorf("credit %d is %s", i, c.State)
				}
			}
			h.mustHold(ledger.WalletCode("till"), 0)
		}},
		{"another currency, and too much", Setup{}, func(h *House) {
			m := h.movement(feed.Debit, "", 1_00)
			m.Currency = "USD"
			h.mustMove("till", m, feed.Refused)
			h.mustMove("till", h.movement(feed.Debit, "", deposit.MaxAmount+1), feed.Refused)
		}},
	})
}

// testMessages keeps what feeds were told, and counts it.
func testMessages(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	message := func(text string, r feed.Reading) *feed.Message {
		return &feed.Message{Raw: []byte(text), Digest: sha256.Sum256([]byte(text)), Sender: "VM-HDFCBK-S", SentAt: h.Clock.Now(), Reading: r}
	}
	credited := h.Entry(UTR(1), 500_00)
	items := []feed.Item{
		{Place: 0, Credit: &credited, Message: message("credited", feed.Reading{Kind: feed.Credit, UTR: UTR(1), Amount: 500_00, At: h.Clock.Now().Add(-time.Minute), Template: "hdfc/upi"})},
		{Place: 1, Message: message("no reference", feed.Reading{Kind: feed.Credit, Amount: 700_00, Why: "it names no UTR"})},
		{Place: 2, Message: message("your code is 123456", feed.Reading{Kind: feed.Ignored, Why: "a code"})},
		{Place: 3, Message: message("what is this", feed.Reading{Kind: feed.Unparsed, Why: "nothing fits"})},
		{Place: 4, Message: message("forged", feed.Reading{Kind: feed.Credit, UTR: UTR(2), Amount: 900_00}), Refusal: "the sender is not the bank's"},
	}
	for range 2 { // a forwarder sends again
		taken, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), items)
		if err != nil {
			t.Fatal(err)
		}
		if r := taken.Summary.Refused; len(r) != 1 || r[0] != (feed.Refusal{Index: 4, Error: "the sender is not the bank's"}) {
			t.Errorf("refused %+v", r)
		}
	}
	var kept, readable, linked int
	err := h.raw().QueryRowContext(t.Context(), `SELECT COUNT(*), SUM(CASE WHEN raw = $1 THEN 1 ELSE 0 END),
		SUM(CASE WHEN credit_id <> 0 THEN 1 ELSE 0 END) FROM messages`, []byte("credited")).Scan(&kept, &readable, &linked)
	if err != nil || kept != 5 || readable != 0 || linked != 1 {
		t.Errorf("%d messages are kept, %d unsealed, %d linked to credits, %v", kept, readable, linked, err)
	}
	if r := h.MustVerify(); r.Credits != 1 || r.Held != 500_00 {
		t.Errorf("the books say %+v", r)
	}

	inbox, err := h.Store.Inbox(t.Context(), "", 0, 10)
	if err != nil || len(inbox) != 3 || inbox[0].Outcome.Result != feed.NoUTR || inbox[1].Outcome.Result != feed.Unread || inbox[2].Outcome.Result != feed.Refused {
		t.Fatalf("the inbox has %+v, %v", inbox, err)
	}
	if m := inbox[0]; !bytes.Equal(m.Raw, []byte("no reference")) || m.Feed != "till" || m.Why() != "it names no UTR" || m.Amount != 700_00 || m.Sender != "VM-HDFCBK-S" {
		t.Errorf("the first is %+v", m)
	}
	if none, err := h.Store.Inbox(t.Context(), "spare", 0, 10); err != nil || len(none) != 0 {
		t.Errorf("another feed's inbox has %+v, %v", none, err)
	}
	hours, err := h.Store.FeedHours(t.Context(), h.Clock.Now().Add(-time.Hour))
	n := hours[deposit.FeedHour{Feed: "till", Hour: h.Clock.Now().Unix() / 3600}]
	if err != nil || n.Items != 10 || n.Credits != 1 || n.Unread != 4 || n.Refused != 2 || n.Timed != 1 || n.MostLag != time.Minute || !n.LastAt.Equal(h.Clock.Now()) {
		t.Errorf("the hour has %+v, %v", n, err)
	}
	dropped, err := h.Store.DropMessages(t.Context(), h.Clock.Now().Add(time.Second), 3)
	if err != nil || dropped != 3 {
		t.Errorf("dropped %d, %v", dropped, err)
	}
	if dropped, err = h.Store.DropMessages(t.Context(), h.Clock.Now().Add(time.Second), 30); err != nil || dropped != 2 {
		t.Errorf("then dropped %d, %v", dropped, err)
	}
	if inbox, err = h.Store.Inbox(t.Context(), "till", 0, 10); err != nil || len(inbox) != 3 || inbox[0].Raw != nil {
		t.Errorf("after that the inbox has %+v, %v", inbox, err)
	}
}

// testStatements keeps statements, their lines, and what they compare to.
func testStatements(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	ctx := t.Context()
	h.MustReport("till", 2, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 70_00)) // the second is in no statement
	out := h.mustMove("till", h.movement(feed.Debit, "", 100_00), feed.Recorded)
	opening, closing := money.Paise(1000_00), money.Paise(1412_00)
	day := h.Clock.Now().Truncate(24 * time.Hour)
	s := feed.Statement{
		Wallet: "till", Feed: "till", Digest: sha256.Sum256([]byte("june")), Name: "june.csv", Layout: "hdfc text",
		From: day, To: day, Opening: &opening, Closing: &closing, Lines: 3, ImportedAt: h.Clock.Now(), Actor: "operator:asha",
	}
	var err error
	if s.ID, err = h.Store.KeepStatement(ctx, &s); err != nil {
		t.Fatal(err)
	}
	if again, err := h.Store.KeepStatement(ctx, &s); err != nil || again != s.ID {
		t.Errorf("kept again it is %d, not %d (%v)", again, s.ID, err)
	}
	if list, err := h.Store.Statements(ctx, "till", 10); err != nil || len(list) != 0 {
		t.Errorf("one that was not imported to its end is listed: %+v, %v", list, err)
	}
	lines := []feed.StatementLine{
		{Number: 10, Kind: feed.Credit, UTR: UTR(1), Amount: 500_00, At: day, Narration: "UPI/1", Outcome: feed.Outcome{Result: feed.Known, CreditID: h.MustCredit("till", UTR(1)).ID}},
		{Number: 11, Kind: feed.Debit, Amount: 100_00, At: day, Narration: "CHQ", Outcome: out},
		{Number: 12, Kind: feed.Credit, Amount: 12_00, At: day, Narration: "CASH", Outcome: feed.Outcome{Result: feed.NoUTR, Why: "no UTR"}},
	}
	for range 2 {
		if err := h.Store.KeepLines(ctx, s.ID, lines); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Store.EndStatement(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	list, err := h.Store.Statements(ctx, "till", 10)
	if err != nil || len(list) != 1 || list[0].Name != "june.csv" || *list[0].Closing != closing || list[0].Digest != s.Digest || !list[0].To.Equal(day) {
		t.Fatalf("listed %+v, %v", list, err)
	}
	r, err := h.Store.Reconcile(ctx, list[0])
	if err != nil {
		t.Fatal(err)
	}
	difference, ok := r.Difference()
	if !ok || difference != 12_00 || r.Settled() || r.Credits != 500_00 || r.CreditLines != 1 || r.Debits != 100_00 || r.DebitLines != 1 || r.Income != 0 ||
		r.Ledger != 470_00 || len(r.Open) != 1 || r.Open[0].Number != 12 || len(r.Unseen) != 1 || r.Unseen[0].UTR != UTR(2) || len(r.Contested) != 0 {
		t.Errorf("compared: %+v, difference %d", r, difference)
	}
	// The operator finds what the line was, and imports again.
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 12_00))
	lines[2].Outcome = feed.Outcome{Result: feed.Known, CreditID: h.MustCredit("till", UTR(3)).ID}
	h.MustReverse("till", UTR(2))
	if err := h.Store.KeepLines(ctx, s.ID, lines); err != nil {
		t.Fatal(err)
	}
	if r, err = h.Store.Reconcile(ctx, list[0]); err != nil || !r.Settled() {
		t.Errorf("then: %+v, %v", r, err)
	}
}

// testKeeping keeps and drops what surrounds feeds.
func testKeeping(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	ctx := t.Context()
	if validity, uid, err := h.Store.MailboxPosition(ctx, "till"); validity != 0 || uid != 0 || err != nil {
		t.Errorf("a mailbox that was never read stands at %d, %d, %v", validity, uid, err)
	}
	for _, uid := range []uint32{7, 4_000_000_000} {
		if err := h.Store.SaveMailboxPosition(ctx, "till", 3_000_000_000, uid); err != nil {
			t.Fatal(err)
		}
	}
	if validity, uid, err := h.Store.MailboxPosition(ctx, "till"); validity != 3_000_000_000 || uid != 4_000_000_000 || err != nil {
		t.Errorf("the mailbox stands at %d, %d, %v", validity, uid, err)
	}

	board := h.Store.Notices()
	for _, states := range []map[string]json.RawMessage{{"a": json.RawMessage(`{"n":1}`), "b": json.RawMessage(`{}`)}, {"b": json.RawMessage(`{"n":2}`)}} {
		if err := board.Save(ctx, states); err != nil {
			t.Fatal(err)
		}
		got, err := board.Load(ctx)
		if err != nil || !maps.EqualFunc(got, states, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("kept %s as %s, %v", states, got, err)
		}
	}

	for _, label := range []string{"1", "2", "3"} {
		h.MustAssign(Shop, label)
		h.Clock.Advance(time.Hour)
	}
	// The first is over; the second was shown before that time, and is still the
	// payer's at it.
	if n, err := h.Store.DropAssignments(ctx, h.Clock.Now().Add(-2*time.Hour+time.Second), 10); n != 1 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}

	// Hours of feeds: three of till's, of which two are old.
	for i := range 3 {
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(i+1), 1_00))
		h.Clock.Advance(time.Hour)
	}
	for _, want := range []int64{1, 1, 0} {
		if n, err := h.Store.DropFeedHours(ctx, h.Clock.Now().Add(-time.Hour), 1); n != want || err != nil {
			t.Errorf("dropped %d hours, %v; want %d", n, err, want)
		}
	}
	if hours, err := h.Store.FeedHours(ctx, Start.Add(-time.Hour)); err != nil || len(hours) != 1 {
		t.Errorf("%d hours are left, %v", len(hours), err)
	}

	size, err := h.Store.Size(ctx)
	if err != nil || size.Total < 100_000 || size.Free+size.Log > size.Total || (size.Log > 0) != h.Database.Embedded() {
		t.Errorf("the size is %+v, %v", size, err)
	}
}
