package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
)

// testStories finds single records by all that names them, and reads what belongs
// to one.
func testStories(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"found at once", Setup{}, func(h *House) {
			shop := h.mustDeposit(Shop, 1)
			cafe := h.mustDeposit(Cafe, 2)
			waits := h.MustActivate(Claim("order-9", UTR(9), 700_00), deposit.Waiting)
			late := h.MustActivate(Claim("late", UTR(8), 700_00), deposit.Waiting)
			h.Clock.Advance(80 * time.Hour)
			h.MustExpire(2)
			both := []string{Cafe, Shop}
			for _, tt := range []struct {
				name      string
				merchants []string
				ask       lookup.Deposits
				want      []int64
			}{
				{"a credited one by UTR", both, lookup.Deposits{Word: lookup.Word{UTR: UTR(1)}}, []int64{shop}},
				{"an expired one by UTR", both, lookup.Deposits{Word: lookup.Word{UTR: UTR(9)}}, []int64{waits.ID}},
				{"by number", both, lookup.Deposits{Word: lookup.Word{ID: cafe}}, []int64{cafe}},
				{"by custom id", both, lookup.Deposits{Word: lookup.Word{CustomID: "order-9"}}, []int64{waits.ID}},
				{"by any of them, newest first", both, lookup.Deposits{Word: lookup.Word{UTR: UTR(2), ID: shop, CustomID: "late"}}, []int64{late.ID, cafe, shop}},
				{"another's by UTR", []string{Shop}, lookup.Deposits{Word: lookup.Word{UTR: UTR(2)}}, nil},
				{"another's by number", []string{Cafe}, lookup.Deposits{Word: lookup.Word{ID: shop}}, nil},
				{"another's by custom id", []string{Cafe}, lookup.Deposits{Word: lookup.Word{CustomID: "order-9"}}, nil},
				{"nobody's", nil, lookup.Deposits{Word: lookup.Word{ID: shop}}, nil},
				{"no word", both, lookup.Deposits{}, nil},
				{"in another state", both, lookup.Deposits{State: deposit.Waiting, Word: lookup.Word{UTR: UTR(1)}}, nil},
				{"on another wallet", both, lookup.Deposits{Wallet: "till", Word: lookup.Word{UTR: UTR(1)}}, nil},
				{"on its wallet", both, lookup.Deposits{Wallet: "common", Method: "upi_l", Word: lookup.Word{UTR: UTR(1)}}, []int64{shop}},
				{"of another time", both, lookup.Deposits{Range: lookup.Range{From: Start.Add(time.Hour)}, Word: lookup.Word{UTR: UTR(1)}}, nil},
			} {
				tt.ask.Limit = 10
				found, err := h.Store.FindDeposits(h.Context(), tt.merchants, tt.ask)
				var got []int64
				for i := range found {
					got = append(got, found[i].ID)
				}
				if err != nil || !slices.Equal(got, tt.want) {
					h.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
				}
			}
			one, err := h.Store.FindDepositByID(h.Context(), cafe)
			if err != nil || one.Merchant != Cafe || one.Wallet != "common" || one.Fee != 9_50 || one.Deposited != 500_00 {
				h.Errorf("found %+v, %v", one, err)
			}
			if _, err := h.Store.FindDepositByID(h.Context(), cafe+1000); !errors.Is(err, lookup.ErrNone) {
				h.Errorf("no deposit gives %v", err)
			}
		}},
		{"along lists", Setup{}, func(h *House) {
			var ids []int64
			for i := range 6 {
				a := Claim(fmt.Sprint("c", i), UTR(i+1), Rupees(int64(100+i)))
				a.Label = fmt.Sprint("payer-", i%2)
				e := h.Entry(a.UTR, a.Amount)
				e.PayerVPA = fmt.Sprintf("Payer%d@okaxis", i%3)
				h.MustReport("till", 1, 0, 0, e)
				ids = append(ids, h.MustActivate(a, deposit.Credited).ID)
				h.Clock.Advance(time.Minute)
			}
			pick := func(places ...int) (want []int64) {
				for _, i := range places {
					want = append(want, ids[i])
				}
				return want
			}
			for _, tt := range []struct {
				name string
				word lookup.Word
				look int
				want []int64
				next bool
			}{
				{name: "a label", word: lookup.Word{Label: "payer-1"}, want: pick(5, 3, 1)},
				{name: "an amount", word: lookup.Word{Amount: 102_00}, want: pick(2)},
				{name: "a VPA", word: lookup.Word{VPA: "payer0@okaxis"}, want: pick(3, 0)},
				{name: "a label or a VPA", word: lookup.Word{Label: "payer-1", VPA: "payer0@okaxis"}, want: pick(5, 3, 1, 0)},
				{name: "what no field can be", word: lookup.Word{ID: ids[0]}},
				{name: "among the newest two", word: lookup.Word{Label: "payer-1"}, look: 2, want: pick(5), next: true},
			} {
				page, err := h.Store.ListDeposits(h.Context(), lookup.Deposits{Merchant: Shop, Word: tt.word, Look: tt.look, Limit: 10})
				var got []int64
				for i := range page.Items {
					got = append(got, page.Items[i].ID)
				}
				if err != nil || !slices.Equal(got, tt.want) || (page.Next != nil) != tt.next {
					h.Errorf("deposits by %s: %v, %v, %v; want %v", tt.name, got, page.Next, err, tt.want)
				}
			}
			for word, want := range map[lookup.Word]int{{VPA: "payer0@okaxis"}: 2, {Amount: 102_00}: 1, {Label: "payer-1"}: 0, {}: 6} {
				page, err := h.Store.ListCredits(h.Context(), lookup.Credits{Wallet: "till", Word: word, Limit: 10})
				if err != nil || len(page.Items) != want {
					h.Errorf("credits by %+v: %d, %v; want %d", word, len(page.Items), err, want)
				}
			}
			for word, want := range map[lookup.Word]int{{Label: "payer-0"}: 3, {Amount: 102_00}: 1, {VPA: "payer0@okaxis"}: 0, {}: 6} {
				page, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Shop, Word: word, Limit: 10})
				if err != nil || len(page.Items) != want {
					h.Errorf("postbacks by %+v: %d, %v; want %d", word, len(page.Items), err, want)
				}
			}
			page, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Shop, Look: 2, Limit: 10})
			if err != nil || len(page.Items) != 2 || page.Next == nil {
				h.Errorf("two postbacks looked at give %d, next %v, %v", len(page.Items), page.Next, err)
			}
		}},
		{"withdrawals", desks, func(h *House) {
			o := mustOpenOffice(h, 5000_00)
			o.bank.says(payout.Answer{Standing: payout.Paid, ProviderRef: "p1", BankRef: string(UTR(77))}, nil)
			paid := o.mustCreate(withdrawal("w-1", 500_00), payout.Approved)
			o.mustWork()
			o.mustStand(paid.ID, payout.Success)
			waits := o.mustCreate(withdrawal("w-2", 1500_00), payout.New, "above_limit")
			for _, tt := range []struct {
				name      string
				merchants []string
				ask       lookup.Withdrawals
				want      []int64
			}{
				{"by the bank's reference", []string{Shop}, lookup.Withdrawals{Word: lookup.Word{UTR: UTR(77)}}, []int64{paid.ID}},
				{"by its id", []string{Shop}, lookup.Withdrawals{Word: lookup.Word{CustomID: "w-2"}}, []int64{waits.ID}},
				{"by number", []string{Cafe, Shop}, lookup.Withdrawals{Word: lookup.Word{ID: waits.ID}}, []int64{waits.ID}},
				{"another's by reference", []string{Cafe}, lookup.Withdrawals{Word: lookup.Word{UTR: UTR(77)}}, nil},
				{"another's by id", []string{Cafe}, lookup.Withdrawals{Word: lookup.Word{CustomID: "w-2"}}, nil},
				{"another's by number", []string{Cafe}, lookup.Withdrawals{Word: lookup.Word{ID: paid.ID}}, nil},
				{"on another wallet", []string{Shop}, lookup.Withdrawals{Wallet: "spare", Word: lookup.Word{ID: paid.ID}}, nil},
				{"in another state", []string{Shop}, lookup.Withdrawals{State: payout.New, Word: lookup.Word{ID: paid.ID}}, nil},
				{"no word", []string{Shop}, lookup.Withdrawals{}, nil},
			} {
				tt.ask.Limit = 10
				found, err := h.Store.FindWithdrawals(h.Context(), tt.merchants, tt.ask)
				var got []int64
				for _, w := range found {
					got = append(got, w.ID)
				}
				if err != nil || !slices.Equal(got, tt.want) {
					h.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
				}
			}
			for word, want := range map[lookup.Word]int{{Label: "55"}: 2, {Amount: 500_00}: 1, {VPA: "x@y"}: 0, {}: 2} {
				page, err := h.Store.ListWithdrawalsOf(h.Context(), lookup.Withdrawals{Merchant: Shop, Word: word, Limit: 10})
				if err != nil || len(page.Items) != want {
					h.Errorf("withdrawals by %+v: %d, %v; want %d", word, len(page.Items), err, want)
				}
			}
			onWallet, err := h.Store.ListWithdrawalsOf(h.Context(), lookup.Withdrawals{Merchant: Shop, Wallet: "till", Method: "imps_ib", Limit: 10})
			if err != nil || len(onWallet.Items) != 1 {
				h.Errorf("of the wallet: %d, %v", len(onWallet.Items), err)
			}
			told, err := h.Store.FindPostbacks(h.Context(), []int64{paid.ID})
			if err != nil || len(told) != 1 || told[0].Kind() != postback.OfWithdrawal || told[0].CustomID != "w-1" || told[0].Merchant != Shop || told[0].ID == paid.ID {
				h.Fatalf("its postback: %+v, %v", told, err)
			}
			own, err := h.Store.FindPostbacks(h.Context(), []int64{told[0].ID})
			if err != nil || len(own) != 1 || own[0].ID != told[0].ID {
				h.Errorf("by its own number: %+v, %v", own, err)
			}
			postings, err := h.Store.PostingsOf(h.Context(), paid.ID)
			if err != nil || len(postings) != 3 || postings[0].Kind != ledger.WithdrawalHeld || postings[0].Debit != ledger.MerchantCode(Shop) ||
				postings[0].Credit != ledger.HoldCode(Shop) || postings[0].Amount != 505_00 || postings[0].Line != 1 {
				h.Errorf("posted %+v, %v", postings, err)
			}
		}},
		{"what belongs to one", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 500_00)
			text := "A/c credited <b>Rs.500</b> UPI 000000000001"
			message := &feed.Message{Raw: []byte(text), Digest: sha256.Sum256([]byte(text)), Sender: "VM-HDFCBK-S", SentAt: h.Clock.Now(),
				Reading: feed.Reading{Kind: feed.Credit, UTR: UTR(1), Amount: 500_00, At: e.At, Template: "hdfc/upi"}}
			if _, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed("till"), []feed.Item{{Credit: &e, Message: message}}); err != nil {
				h.Fatal(err)
			}
			credit := h.MustCredit("till", UTR(1))
			claim := h.MustActivate(Claim("a", UTR(1), 600_00), deposit.Pending, deposit.AmountDiffers)
			h.MustApprove(claim.ID)
			statement := feed.Statement{Wallet: "till", Feed: "till", Digest: sha256.Sum256([]byte("march")), Name: "march.csv", ImportedAt: h.Clock.Now(), From: e.At, To: e.At}
			id, err := h.Store.KeepStatement(h.Context(), &statement)
			if err != nil {
				h.Fatal(err)
			}
			line := feed.StatementLine{Number: 7, Kind: feed.Credit, UTR: UTR(1), Amount: 500_00, At: e.At, Narration: "UPI/1", Outcome: feed.Outcome{Result: feed.Known, CreditID: credit.ID}}
			if err := h.Store.KeepLines(h.Context(), id, []feed.StatementLine{line}); err != nil {
				h.Fatal(err)
			}

			messages, err := h.Store.MessagesOf(h.Context(), credit.ID)
			if err != nil || len(messages) != 1 || string(messages[0].Raw) != text || messages[0].Feed != "till" || messages[0].Template != "hdfc/upi" {
				h.Errorf("messages: %+v, %v", messages, err)
			}
			lines, err := h.Store.LinesOf(h.Context(), credit.ID)
			if err != nil || len(lines) != 1 || lines[0].Name != "march.csv" || lines[0].Number != 7 || lines[0].Narration != "UPI/1" || lines[0].Statement != id {
				h.Errorf("lines: %+v, %v", lines, err)
			}
			notes, err := h.Store.NotesOf(h.Context(), []int64{claim.ID, credit.ID}, 10)
			var said []string
			for _, n := range notes {
				said = append(said, n.Actor+" "+n.Action)
			}
			if want := []string{"api:shop claim.pending", "operator:asha claim.credited"}; err != nil || !slices.Equal(said, want) {
				h.Errorf("the audit log says %q, %v; want %q", said, err, want)
			}
			if notes, err = h.Store.NotesOf(h.Context(), []int64{claim.ID}, 1); err != nil || len(notes) != 1 {
				h.Errorf("one note of it: %+v, %v", notes, err)
			}
			movement := h.mustMove("till", h.movement(feed.Debit, "", 100_00), feed.Recorded)
			m, err := h.Store.FindMovement(h.Context(), movement.MovementID)
			if err != nil || m.Amount != 100_00 || m.Wallet != "till" {
				h.Errorf("the movement is %+v, %v", m, err)
			}
			// What is of nothing is not what has no number.
			for name, find := range map[string]func() (int, error){
				"messages":  func() (int, error) { l, err := h.Store.MessagesOf(h.Context(), 0); return len(l), err },
				"lines":     func() (int, error) { l, err := h.Store.LinesOf(h.Context(), 0); return len(l), err },
				"notes":     func() (int, error) { l, err := h.Store.NotesOf(h.Context(), []int64{0}, 10); return len(l), err },
				"no notes":  func() (int, error) { l, err := h.Store.NotesOf(h.Context(), nil, 10); return len(l), err },
				"postings":  func() (int, error) { l, err := h.Store.PostingsOf(h.Context(), 0); return len(l), err },
				"postbacks": func() (int, error) { l, err := h.Store.FindPostbacks(h.Context(), []int64{0}); return len(l), err },
				"none":      func() (int, error) { l, err := h.Store.FindPostbacks(h.Context(), nil); return len(l), err },
			} {
				if n, err := find(); n != 0 || err != nil {
					h.Errorf("%s of nothing: %d, %v", name, n, err)
				}
			}
			if _, err := h.Store.FindMovement(h.Context(), claim.ID); !errors.Is(err, lookup.ErrNone) {
				h.Errorf("no movement gives %v", err)
			}
		}},
		{"views", Setup{}, func(h *House) {
			people := h.Store.Staff()
			var users []int64
			for _, email := range []string{"a@example.com", "b@example.com"} {
				u := person(email, staff.Grant{Role: staff.Owner})
				if err := people.AddUser(h.Context(), u, audit.Entry{At: Start, Actor: "test", Action: "user.added"}); err != nil {
					h.Fatal(err)
				}
				users = append(users, u.ID)
			}
			keep := func(user int64, list, name, query string) error {
				return people.KeepView(h.Context(), user, staff.View{List: list, Name: name, Query: query})
			}
			for i := range staff.MostViews {
				if err := keep(users[0], "deposits", fmt.Sprintf("view %02d", i), "state=waiting"); err != nil {
					h.Fatal(err)
				}
			}
			if err := keep(users[0], "deposits", "one more", "q=1"); !errors.Is(err, staff.ErrManyViews) {
				h.Errorf("one more gives %v", err)
			}
			if err := errors.Join(keep(users[0], "deposits", "view 03", "q=3"), keep(users[0], "credits", "view 03", "q=4"), keep(users[1], "deposits", "mine", "q=5")); err != nil {
				h.Error(err)
			}
			if err := people.DropView(h.Context(), users[0], "deposits", "view 00"); err != nil {
				h.Error(err)
			}
			if err := people.DropView(h.Context(), users[1], "deposits", "view 01"); err != nil {
				h.Error(err)
			}
			views, err := people.Views(h.Context(), users[0], "deposits")
			if err != nil || len(views) != staff.MostViews-1 || views[0].Name != "view 01" || views[2].Query != "q=3" {
				h.Errorf("views: %+v, %v", views, err)
			}
			if err := people.RemoveUser(h.Context(), users[0]); err != nil {
				h.Fatal(err)
			}
			if views, err = people.Views(h.Context(), users[0], "deposits"); err != nil || len(views) != 0 {
				h.Errorf("of a user who is gone: %+v, %v", views, err)
			}
			if views, err = people.Views(h.Context(), users[1], "deposits"); err != nil || len(views) != 1 {
				h.Errorf("of the other: %+v, %v", views, err)
			}
		}},
	})
}
