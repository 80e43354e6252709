package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	reports "github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/money"
)

// mustReport holds the reports on a period to what the ledger had at its ends.
func mustReport(h *House, from, to time.Time, was, is map[string]money.Paise) {
	h.Helper()
	for _, id := range []string{"till", "common", "bar"} {
		w, err := reports.OfWallet(h.Context(), h.Store, id, from, to)
		if err != nil {
			h.Fatal(err)
		}
		sum := w.Opening
		for _, l := range w.Lines {
			sum += l.Amount
		}
		code := ledger.WalletCode(id)
		if w.Opening != was[code] || w.Closing != is[code] || sum != w.Closing {
			h.Fatalf("from %s to %s the report on %s is %+v, which comes to %s; the ledger had %s and %s", from, to, id, w, sum, was[code], is[code])
		}
	}
	f, err := reports.OfFees(h.Context(), h.Store, from, to)
	if err != nil {
		h.Fatal(err)
	}
	total := f.Total()
	if f.Opening != -was[ledger.FeesCode] || f.Closing != -is[ledger.FeesCode] || f.Opening+total.Net() != f.Closing {
		h.Fatalf("from %s to %s the report on fees is %+v; the ledger had %s and %s", from, to, f, -was[ledger.FeesCode], -is[ledger.FeesCode])
	}
	for i := range f.Rows {
		if f.Rows[i].Merchant == "" {
			h.Fatalf("fees of nobody: %+v", f.Rows[i])
		}
	}
}

// posted is a posting of an account, as it stands in the ledger.
type posted struct {
	kind  ledger.PostingKind
	in    bool // it took the account's balance up, seen as that of what is owed, or held
	other string
	money.Paise
	at time.Time
}

// mustRecall reads all postings of an account behind the store's back. A debit takes an
// asset up, and a credit what is owed.
func (h *House) mustRecall(code string) (all []posted) {
	h.Helper()
	rows, err := h.raw().QueryContext(h.Context(), `SELECT p.kind, d.code, c.code, p.amount, p.at FROM postings p
		JOIN accounts d ON d.id = p.debit JOIN accounts c ON c.id = p.credit WHERE d.code = $1 OR c.code = $2`, code, code)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p posted
		var debit, credit string
		var at int64
		if err := rows.Scan(&p.kind, &debit, &credit, (*int64)(&p.Paise), &at); err != nil {
			h.Fatal(err)
		}
		p.at, p.other, p.in = time.UnixMicro(at), credit, debit == code
		if !strings.HasPrefix(code, ledger.WalletCode("")) {
			p.in = credit == code
		}
		if debit != code {
			p.other = debit
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	return all
}

// summed are an account's balances at the ends of a period, and how often and how
// much each kind of posting of each counterpart moved it.
type summed struct {
	opening, closing money.Paise
	sums             map[string]string
}

// sum adds the postings up one by one.
func sum(all []posted, from, to time.Time, name func(posted) string) summed {
	s := summed{sums: make(map[string]string)}
	count, total := make(map[string]int64), make(map[string]money.Paise)
	for _, p := range all {
		amount := p.Paise
		if !p.in {
			amount = -amount
		}
		if p.at.Before(from) {
			s.opening += amount
		}
		if p.at.Before(to) {
			s.closing += amount
		}
		if !p.at.Before(from) && p.at.Before(to) {
			key := name(p)
			count[key]++
			total[key] += p.Paise
			s.sums[key] = fmt.Sprint(count[key], " ", total[key])
		}
	}
	return s
}

// turnedOver is what the store says of the same, of every account that has deposits.
func (h *House) turnedOver(code string, from, to time.Time) (summed, error) {
	s := summed{sums: make(map[string]string)}
	add := func(key string, count int64, amount money.Paise) {
		s.sums[key] = fmt.Sprint(count, " ", amount)
	}
	if merchant, ok := strings.CutPrefix(code, ledger.MerchantCode("")); ok {
		t, err := h.Store.MerchantTurnover(h.Context(), merchant, from, to)
		s.opening, s.closing = t.Opening, t.Closing
		for _, one := range t.Sums {
			add(string(one.Kind), one.Count, one.Amount)
		}
		return s, err
	}
	t, err := h.Store.WalletTurnover(h.Context(), strings.TrimPrefix(code, ledger.WalletCode("")), from, to)
	if code == ledger.FeesCode {
		t, err = h.Store.FeeTurnover(h.Context(), from, to)
	}
	s.opening, s.closing = t.Opening, t.Closing
	for _, one := range t.Sums {
		add(string(one.Kind)+" "+one.Merchant, one.Count, one.Amount)
	}
	return s, err
}

// busyQuarters posts for some hours, on the quarters and amid them, and has some
// deposits undone. Two gateways do it.
func busyQuarters(h, branch *House) {
	h.Helper()
	quarter := h.Clock.Now().Truncate(deposit.TallyStep).Add(deposit.TallyStep)
	for i, wait := range []time.Duration{
		0, 1, 60_000_000, 0, deposit.TallyStep - 1000, 1000, 7*deposit.TallyStep + 5_000_000_000, 3 * time.Hour, 0, 1_000_000, 26 * time.Hour, 2000,
	} {
		quarter = quarter.Add(wait.Truncate(time.Microsecond))
		h.Clock.Advance(quarter.Sub(h.Clock.Now()))
		for j, at := range []*House{h, branch} {
			merchant := []string{Shop, Cafe}[(i+j)%2]
			id := at.mustDeposit(merchant, 100+2*i+j)
			if (i+j)%5 == 3 {
				h.Clock.Advance(time.Duration(i*j) * time.Minute)
				quarter = h.Clock.Now()
				if _, err := h.Desk.Undo(h.Context(), id, asha, "a wrong one"); err != nil {
					h.Fatal(err)
				}
			}
		}
	}
	h.MustReport("common", 1, 0, 0, h.Entry(UTR(99), 70_00))
	h.MustReverse("common", UTR(99))
}

// testTurnovers holds sums over quarters of an hour to those over the postings.
func testTurnovers(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	branch := h.MustOpenBranch()
	busyQuarters(h, branch)
	h.MustVerify()
	codes := []string{ledger.MerchantCode(Shop), ledger.MerchantCode(Cafe), ledger.WalletCode("common"), ledger.FeesCode}
	ledgers := make(map[string][]posted)
	var times []time.Time
	for _, code := range codes {
		ledgers[code] = h.mustRecall(code)
		for _, p := range ledgers[code] {
			times = append(times, p.at, p.at.Add(time.Microsecond), p.at.Truncate(deposit.TallyStep), p.at.Truncate(deposit.TallyStep).Add(deposit.TallyStep))
		}
	}
	if len(times) < 200 {
		t.Fatalf("only %d postings", len(times)/4)
	}
	end := h.Clock.Now()
	times = append(times, time.Time{}, Start.Add(-time.Hour), Start, end, end.Add(24*time.Hour))
	fees := func(p posted) string {
		if p.kind == ledger.DepositFee || p.kind == ledger.DepositFeeUndone {
			return string(p.kind) + " " + strings.TrimPrefix(p.other, ledger.MerchantCode(""))
		}
		return string(p.kind) + " "
	}
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.OneOf(rapid.SampledFrom(times), rapid.Custom(func(t *rapid.T) time.Time {
			return Start.Add(time.Duration(rapid.Int64Range(-1000, int64(end.Sub(Start)/time.Microsecond)).Draw(t, "micros")) * time.Microsecond)
		}))
		from, to := moment.Draw(t, "from"), moment.Draw(t, "to")
		if to.Before(from) {
			from, to = to, from
		}
		for _, code := range codes {
			name := fees
			if strings.HasPrefix(code, ledger.MerchantCode("")) {
				name = func(p posted) string { return string(p.kind) }
			}
			got, err := h.turnedOver(code, from, to)
			if err != nil {
				t.Fatal(err)
			}
			want := sum(ledgers[code], from, to, name)
			if got.opening != want.opening || got.closing != want.closing || !maps.Equal(got.sums, want.sums) {
				t.Fatalf("%s from %s to %s: %+v, and its postings come to %+v", code, from, to, got, want)
			}
		}
		for _, merchant := range []string{Shop, Cafe} {
			s, err := h.Store.ListAccount(h.Context(), lookup.Account{Merchant: merchant, Range: lookup.Range{From: from}, Limit: 1})
			want := sum(ledgers[ledger.MerchantCode(merchant)], from, from, fees)
			if err != nil || s.Opening != want.opening {
				t.Fatalf("the account of %s from %s on opens with %s, not %s: %v", merchant, from, s.Opening, want.opening, err)
			}
		}
	})
}

// testTurnoversMigrated: what was posted before turnovers were kept is in them, what
// gateways post that know nothing of them is, too, and a restored database has the same.
func testTurnoversMigrated(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	busyQuarters(h, h)
	read := func(h *House) [][]string {
		rows := h.mustRead("turnovers", "*")
		slices.SortFunc(rows, slices.Compare)
		return rows
	}
	kept := read(h)
	if len(kept) < 20 {
		t.Fatalf("there are %d turnovers", len(kept))
	}
	restored := mustRestore(t, fresh, h.mustBackUp(), restoring)
	if got := read(restored); !slices.EqualFunc(got, kept, slices.Equal) {
		t.Errorf("restored, turnovers are\n%q\nand were\n%q", got, kept)
	}
	if _, err := h.migrations().DownTo(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	if _, err := h.raw().ExecContext(t.Context(), `SELECT 1 FROM turnovers`); err == nil {
		t.Error("the schema of before has turnovers")
	}
	// The house goes on as a gateway that was there before: it only posts.
	h.mustDeposit(Cafe, 300)
	older := h.mustBackUp()
	if _, err := h.migrations().Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.mustDeposit(Cafe, 301)
	h.MustVerify()
	if !h.Database.Embedded() {
		return // a backup of before wants a database without a schema: see testRestoreOlder
	}
	mustRestore(t, fresh, older, restoring).MustVerify()
}

// testReports posts what wallets and fees have lines for, and keeps what was sent.
func testReports(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"lines", Setup{}, func(h *House) {
			day := reports.At(reports.Daily, h.Clock.Now(), time.UTC)
			from, to := day.In(time.UTC)
			h.mustDeposit(Cafe, 1)
			h.mustDeposit(Cafe, 2)
			h.MustReport("common", 1, 0, 0, h.Entry(UTR(3), 70_00))
			h.MustReverse("common", UTR(3))
			w, err := reports.OfWallet(h.Context(), h.Store, "common", from, to)
			if err != nil {
				h.Fatal(err)
			}
			lines := make(map[reports.LineName]reports.Line)
			for _, l := range w.Lines {
				lines[l.Name] = l
			}
			if l := lines[reports.Received]; l.Count != 3 || l.Amount != 1070_00 || lines[reports.Corrected].Amount != -70_00 || w.Closing != 1000_00 {
				h.Errorf("the wallet's day is %+v", w)
			}
			f, err := reports.OfFees(h.Context(), h.Store, from, to)
			if err != nil || len(f.Rows) != 1 || f.Rows[0] != (reports.FeeRow{Merchant: Cafe, Deposits: 2, OfDeposits: 19_00}) {
				h.Errorf("the day's fees are %+v, %v", f, err)
			}
			// The day after began with what the day ended with, and had nothing.
			h.Clock.Advance(48 * time.Hour)
			h.mustDeposit(Cafe, 4)
			from, to = day.Next().In(time.UTC)
			if after, err := reports.OfWallet(h.Context(), h.Store, "common", from, to); err != nil || after.Opening != w.Closing || after.Closing != w.Closing {
				h.Errorf("the day after is %+v, %v", after, err)
			}
			if none, err := reports.OfWallet(h.Context(), h.Store, "nowhere", from, to); err != nil || none.Closing != 0 || len(none.Lines) == 0 {
				h.Errorf("a wallet that is not there gives %+v, %v", none, err)
			}
		}},
		{"what was sent", Setup{}, func(h *House) {
			must := func(want string) {
				h.Helper()
				if got, err := h.Store.ReportedUpTo(h.Context(), Shop, reports.Daily, "mail"); got != want || err != nil {
					h.Errorf("reported up to %q, %v; want %q", got, err, want)
				}
			}
			note := func(merchant string, every reports.Every, way, period string) {
				h.Helper()
				if err := h.Store.NoteReported(h.Context(), merchant, every, way, period); err != nil {
					h.Fatal(err)
				}
			}
			must("")
			note(Shop, reports.Daily, "mail", "2026-03-13")
			note(Cafe, reports.Daily, "mail", "2026-03-10")
			note(Shop, reports.Monthly, "mail", "2026-02")
			note(Shop, reports.Daily, "webhooks", "2026-03-11")
			must("2026-03-13")
			note(Shop, reports.Daily, "mail", "2026-03-14")
			must("2026-03-14")
			note(Shop, reports.Daily, "mail", "")
			must("")
		}},
	})
}

// testAuditLog reads the audit log by all that it is searched by, and sees what was
// changed behind its back.
func testAuditLog(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"searched", Setup{}, func(h *House) {
			credited := h.mustDeposit(Shop, 1)
			middle := h.Clock.Now().Add(30 * time.Minute)
			h.Clock.Advance(time.Hour)
			held := h.MustActivate(Claim("order-9", UTR(9), 700_00), deposit.Waiting)
			for i := range 7 {
				if err := h.Store.Staff().Note(h.Context(), audit.Entry{
					At: h.Clock.Now().Add(time.Duration(i) * time.Microsecond), Actor: "user:asha@example.com", Action: "payments.exported", Why: fmt.Sprint(i),
				}); err != nil {
					h.Fatal(err)
				}
			}
			whole := h.mustListAudit(lookup.Audit{})
			if len(whole) < 11 || whole[len(whole)-1].Seq != 1 {
				h.Fatalf("the log has %+v", whole)
			}
			for i, n := range whole {
				if !n.Whole || i > 0 && n.Seq != whole[i-1].Seq-1 {
					h.Errorf("entry %+v stands after %+v", n, whole[max(i-1, 0)])
				}
			}
			of := func(fits func(n lookup.Noted) bool) (want []lookup.Noted) {
				for _, n := range whole {
					if fits(n) {
						want = append(want, n)
					}
				}
				return want
			}
			routine := func(n lookup.Noted) bool {
				return n.Action == "credit.received" || n.Action == "claim.waiting" || n.Action == "claim.credited" && (n.Actor[:4] == "api:" || n.Actor[:4] == "feed")
			}
			begins := func(text, with string) bool { return len(text) >= len(with) && text[:len(with)] == with }
			for _, tt := range []struct {
				name string
				ask  lookup.Audit
				fits func(n lookup.Noted) bool
				few  int // at least
			}{
				{"by actor", lookup.Audit{Actor: "user:asha"}, func(n lookup.Noted) bool { return begins(n.Actor, "user:asha") }, 7},
				{"by action", lookup.Audit{Action: "claim."}, func(n lookup.Noted) bool { return begins(n.Action, "claim.") }, 2},
				{"without what payments write", lookup.Audit{Acts: true}, func(n lookup.Noted) bool { return !routine(n) }, 8},
				{"by both", lookup.Audit{Acts: true, Actor: "user:", Action: "payments.exported"}, func(n lookup.Noted) bool { return n.Action == "payments.exported" }, 7},
				{"by what is no pattern", lookup.Audit{Actor: "%"}, func(lookup.Noted) bool { return false }, 0},
				{"of a deposit", lookup.Audit{Subject: credited}, func(n lookup.Noted) bool { return n.Subject == credited }, 1},
				{"of a waiting claim", lookup.Audit{Subject: held.ID}, func(n lookup.Noted) bool { return n.Subject == held.ID }, 1},
				{"of nobody", lookup.Audit{Subject: 999_999_999}, func(lookup.Noted) bool { return false }, 0},
				{"until", lookup.Audit{Range: lookup.Range{To: middle}}, func(n lookup.Noted) bool { return n.At.Before(middle) }, 3},
				{"since", lookup.Audit{Range: lookup.Range{From: middle}}, func(n lookup.Noted) bool { return !n.At.Before(middle) }, 8},
				{"acts since", lookup.Audit{Acts: true, Range: lookup.Range{From: middle, To: middle.Add(24 * time.Hour)}}, func(n lookup.Noted) bool { return !routine(n) && !n.At.Before(middle) }, 7},
			} {
				got, want := h.mustListAudit(tt.ask), of(tt.fits)
				if !slices.Equal(got, want) || len(got) < tt.few {
					h.Errorf("%s: %d entries %+v; want %d", tt.name, len(got), got, len(want))
				}
			}
		}},
	})
	t.Run("changed", func(t *testing.T) {
		t.Parallel()
		h := mustOpenDamageable(t, fresh)
		h.mustDropGuards()
		mustMiss := func(what string, broken int64) {
			h.Helper()
			for _, n := range h.mustListAudit(lookup.Audit{}) {
				if n.Whole == (n.Seq == broken) {
					h.Errorf("%s: entry %d is whole: %v", what, n.Seq, n.Whole)
				}
			}
		}
		mustMiss("nothing was changed", 0)
		h.mustExec(`UPDATE audit SET why = 'because' WHERE seq = 2`)
		mustMiss("entry 2 was changed", 2)
		h.mustExec(`DELETE FROM audit WHERE seq = 2`)
		mustMiss("entry 2 is gone", 3)
		if page, err := h.Store.ListAudit(h.Context(), lookup.Audit{Limit: 10}); err != nil || !page.Headed {
			h.Errorf("the log is %+v, %v", page, err)
		}
		h.mustExec(`DELETE FROM audit WHERE seq > 7`)
		if page, err := h.Store.ListAudit(h.Context(), lookup.Audit{Limit: 10, Range: lookup.Range{From: Start}}); err != nil || page.Headed || page.Head != 7 {
			h.Errorf("with its end gone the log is %+v, %v", page, err)
		}
	})
}

// mustListAudit reads all pages of what is asked for.
func (h *House) mustListAudit(ask lookup.Audit) (all []lookup.Noted) {
	h.Helper()
	ask.Limit = 3
	if ask.Subject != 0 {
		ask.Limit = 100 // is on one page
	}
	for {
		page, err := h.Store.ListAudit(h.Context(), ask)
		if err != nil || len(page.Items) > ask.Limit || page.Next != 0 && page.Next >= cmp.Or(ask.Before, page.Head+1) {
			h.Fatalf("a page before %d is %+v, %v", ask.Before, page, err)
		}
		all = append(all, page.Items...)
		if page.Next == 0 {
			return all
		}
		ask.Before = page.Next
	}
}
