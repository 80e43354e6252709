package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout/batch"
)

// testWorks reads what the pages of wallets, feeds and payouts show.
func testWorks(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"wallets in the books", Setup{}, func(h *House) {
			e := h.Entry(UTR(1), 500_00)
			h.MustReport("till", 2, 0, 0, e, h.Entry(UTR(2), 70_00))
			books, err := h.Store.WalletBooks(h.Context(), []string{"till", "bar", "none"})
			if err != nil || len(books) != 3 || books["till"].Balance != 570_00 || books["till"].LastAt.Before(e.At) || !books["bar"].LastAt.IsZero() || books["none"].Balance != 0 {
				h.Errorf("the books are %+v, %v", books, err)
			}
		}},
		{"messages of a feed", Setup{}, func(h *House) {
			var items []feed.Item
			for i := range 5 {
				m := feed.Message{Raw: []byte(fmt.Sprint("message ", i)), Digest: [32]byte{byte(i), 1}, Reading: feed.Reading{Kind: feed.Unparsed, Why: "unknown"}}
				items = append(items, feed.Item{Place: i, Message: &m})
			}
			for _, of := range []string{"till", "bar"} {
				if _, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed(of), items); err != nil {
					h.Fatal(err)
				}
			}
			seen, after := 0, int64(0)
			var last deposit.KeptMessage
			for pages := 0; ; pages++ {
				page, err := h.Store.ListMessages(h.Context(), lookup.Messages{Feed: "till", After: after, Limit: 2})
				if err != nil || pages > 3 {
					h.Fatalf("page %d: %+v, %v", pages, page, err)
				}
				for _, m := range page.Items {
					if m.Feed != "till" || last.ID != 0 && m.ID >= last.ID {
						h.Errorf("message %d of %s comes after %d", m.ID, m.Feed, last.ID)
					}
					last = m
					seen++
				}
				if page.Next == nil {
					break
				}
				after = page.Next.ID
			}
			if seen != 5 {
				h.Errorf("%d messages are listed", seen)
			}
			one, err := h.Store.FindMessage(h.Context(), last.ID)
			if err != nil || string(one.Raw) != "message 0" || one.Why() != "unknown" {
				h.Errorf("found %+v, %v", one, err)
			}
			if _, err := h.Store.FindMessage(h.Context(), 1<<40); !errors.Is(err, lookup.ErrNone) {
				h.Errorf("none is %v", err)
			}
		}},
		{"statements under way", Setup{}, func(h *House) {
			ctx := h.Context()
			h.MustReport("till", 1, 0, 0, h.Entry(UTR(1), 500_00))
			h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
			s := feed.Statement{Wallet: "till", Feed: "till", Digest: sha256.Sum256([]byte("x")), Name: "x.csv", Lines: 3, ImportedAt: h.Clock.Now(), Actor: "user:asha", Problems: []string{"one", "two"}}
			var err error
			if s.ID, err = h.Store.KeepStatement(ctx, &s); err != nil {
				h.Fatal(err)
			}
			lines := []feed.StatementLine{
				{Number: 4, Kind: feed.Credit, UTR: UTR(1), Amount: 500_00, Outcome: feed.Outcome{Result: feed.Known, CreditID: h.MustCredit("till", UTR(1)).ID}},
				{Number: 6, Kind: feed.Unparsed, Outcome: feed.Outcome{Result: feed.Unread, Why: "?"}},
				{Number: 7, Kind: feed.Ignored, Outcome: feed.Outcome{Result: feed.NotCredit}},
			}
			reached := func(want int) {
				if n, err := h.Store.LastLine(ctx, s.ID); err != nil || n != want {
					h.Errorf("line %d is reached, %v; want %d", n, err, want)
				}
			}
			reached(0)
			if err := h.Store.KeepLines(ctx, s.ID, lines); err != nil {
				h.Fatal(err)
			}
			reached(7)
			if got, err := h.Store.StatementByID(ctx, s.ID); err != nil || got.Done || len(got.Problems) != 2 || got.Problems[1] != "two" {
				h.Errorf("under way it is %+v, %v", got, err)
			}
			if err := h.Store.EndStatement(ctx, s.ID); err != nil {
				h.Fatal(err)
			}
			if got, err := h.Store.StatementByID(ctx, s.ID); err != nil || !got.Done {
				h.Errorf("at its end it is %+v, %v", got, err)
			}
			if _, err := h.Store.StatementByID(ctx, 1<<40); !errors.Is(err, lookup.ErrNone) {
				h.Errorf("none is %v", err)
			}
			counts, err := h.Store.CountLines(ctx, s.ID)
			if err != nil || counts.Results[feed.Known] != 1 || counts.Results[feed.Unread] != 1 || counts.Results[feed.NotCredit] != 1 || counts.Matched != 1 {
				h.Errorf("counted %+v, %v", counts, err)
			}
			if _, err := h.Store.CountLines(ctx, 1<<40); !errors.Is(err, lookup.ErrNone) {
				h.Errorf("none is counted: %v", err)
			}
			for _, tt := range []struct {
				ask  lookup.Lines
				want string
			}{
				{lookup.Lines{Limit: 10}, "[4 bound 6  7 ]"}, {lookup.Lines{Limit: 1}, "[4 bound]"}, {lookup.Lines{After: 4, Limit: 1}, "[6 ]"},
				{lookup.Lines{Open: true, Limit: 10}, "[6 ]"}, {lookup.Lines{Open: true, After: 6, Limit: 10}, "[]"},
			} {
				tt.ask.Statement = s.ID
				list, err := h.Store.StatementLines(ctx, tt.ask)
				var got []string
				for _, l := range list {
					got = append(got, fmt.Sprint(l.Number, " ", l.Credit))
				}
				if fmt.Sprint(got) != tt.want || err != nil {
					h.Errorf("%+v gives %q, %v; want %s", tt.ask, got, err, tt.want)
				}
			}
			other := s
			other.Wallet, other.Digest, other.ID = "bar", sha256.Sum256([]byte("y")), 0
			if other.ID, err = h.Store.KeepStatement(ctx, &other); err != nil {
				h.Fatal(err)
			}
			for _, tt := range []struct {
				wallet string
				before int64
				want   []int64
			}{{"", 0, []int64{other.ID, s.ID}}, {"till", 0, []int64{s.ID}}, {"", other.ID, []int64{s.ID}}, {"bar", other.ID, nil}} {
				list, err := h.Store.NewestStatements(ctx, tt.wallet, tt.before, 10)
				var got []int64
				for i := range list {
					got = append(got, list[i].ID)
				}
				if err != nil || fmt.Sprint(got) != fmt.Sprint(tt.want) {
					h.Errorf("of %q before %d: %v, %v; want %v", tt.wallet, tt.before, got, err, tt.want)
				}
			}
		}},
		{"files for banks", Setup{}, func(h *House) {
			ctx := h.Context()
			f := batch.File{Desk: "desk", Wallet: "till", Name: "B1.xml", MadeAt: h.Clock.Now(), Actor: "user:asha", Orders: 2, Total: 300_00, Content: []byte("account 123456789")}
			var err error
			if f.ID, err = h.Store.KeepPayoutFile(ctx, &f); err != nil {
				h.Fatal(err)
			}
			next := f
			next.Name = "B2.xml"
			if next.ID, err = h.Store.KeepPayoutFile(ctx, &next); err != nil {
				h.Fatal(err)
			}
			got, err := h.Store.PayoutFile(ctx, f.ID)
			if err != nil || string(got.Content) != string(f.Content) || got.Total != f.Total || got.Orders != 2 || !got.MadeAt.Equal(f.MadeAt) || got.Actor != f.Actor {
				h.Errorf("found %+v, %v", got, err)
			}
			if _, err := h.Store.PayoutFile(ctx, 1<<40); !errors.Is(err, batch.ErrNoFile) {
				h.Errorf("none is %v", err)
			}
			list, err := h.Store.PayoutFiles(ctx, 0, 10)
			if err != nil || len(list) != 2 || list[0].Name != "B2.xml" || list[0].Content != nil {
				h.Errorf("listed %+v, %v", list, err)
			}
			if list, err = h.Store.PayoutFiles(ctx, next.ID, 10); err != nil || len(list) != 1 {
				h.Errorf("before it: %+v, %v", list, err)
			}
			for since, want := range map[time.Time]int{h.Clock.Now(): 2, h.Clock.Now().Add(time.Second): 0} {
				if n, err := h.Store.CountPayoutFiles(ctx, "desk", since); err != nil || n != want {
					h.Errorf("%d files since %s, %v", n, since, err)
				}
			}
			for _, row := range h.mustRead("payout_files", "content") {
				if row[0] == string(f.Content) {
					h.Error("a file is not sealed")
				}
			}
		}},
	})
}
