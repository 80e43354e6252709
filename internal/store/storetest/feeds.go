package storetest

import (
	"bytes"
	"crypto/sha256"
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
		{"a statement contradicts a deposit", Setup{}, func(h *House) {
			h.MustReport("till", 1, 0, 0, provisional(h.Entry(UTR(1), 500_00)))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			h.MustReport("till", 0, 0, 0, h.Entry(UTR(1), 50_00))
			if c := h.MustCredit("till", UTR(1)); c.Amount != 500_00 || !c.Contested {
				h.Errorf("the credit is %+v", c)
			}
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
