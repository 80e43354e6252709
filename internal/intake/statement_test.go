package intake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// line is a line of a statement; an amount below zero went out.
type line struct {
	narration string
	amount    money.Paise
}

func rent(n int, amount money.Paise) line {
	return line{fmt.Sprintf("UPI-ASHA-ASHA@OKAXIS-UTIB0000123-%s-RENT", storetest.UTR(n)), amount}
}

// sheet writes lines as HDFC Bank does, all of one day.
func sheet(lines ...line) string {
	var b strings.Builder
	b.WriteString("Account No :,50100012347310\nDate,Narration,Value Dat,Debit Amount,Credit Amount,Chq/Ref Number,Closing Balance\n")
	balance := money.Paise(5000_00)
	for _, l := range lines {
		balance += l.amount
		out, in := money.Paise(0), l.amount
		if l.amount < 0 {
			out, in = -l.amount, 0
		}
		day := storetest.Start.Format("02/01/06")
		_, _ = fmt.Fprintf(&b, "%s,%s,%s,%s,%s,0,%s\n", day, l.narration, day, out.Fixed(), in.Fixed(), balance.Fixed())
	}
	return b.String()
}

// office is a house that imports statements of its till.
type office struct {
	*storetest.House
	*intake.Importer
	feed   *directory.Feed
	wallet directory.Wallet
}

func openOffice(t *testing.T, fresh storetest.Fresh) *office {
	t.Helper()
	h := storetest.MustOpenHouse(t, fresh(t), storetest.Setup{})
	dir := h.Directory.Current()
	o := &office{House: h, Importer: &intake.Importer{Desk: h.Desk, Ledger: h.Store, Now: h.Clock.Now}, feed: dir.Feed("till"), wallet: *dir.Wallet("till")}
	o.wallet.Bank, o.wallet.Account = "hdfc", "12347310"
	return o
}

func (o *office) file(text string) intake.File {
	return intake.File{ReaderAt: strings.NewReader(text), Size: int64(len(text)), Name: "june.csv", Actor: "operator:asha"}
}

// must imports a statement, and checks that every line is accounted for.
func (o *office) must(text string) intake.Imported {
	o.Helper()
	var told [][2]int
	file := o.file(text)
	file.Progress = func(done, of int) { told = append(told, [2]int{done, of}) }
	i, err := o.Import(o.Context(), o.feed, &o.wallet, file)
	if err != nil {
		o.Fatalf("import: %v", err)
	}
	if sum := i.New + i.Known + i.Recorded + i.NotCredit + i.NoUTR + i.Unread + i.Refused; sum != i.Read || i.Read != i.Statement.Lines {
		o.Errorf("of %d lines %d were read, and %d accounted for: %+v", i.Statement.Lines, i.Read, sum, i)
	}
	if len(told) == 0 || told[len(told)-1] != [2]int{i.Read, i.Read} || !slices.IsSortedFunc(told, func(a, b [2]int) int { return a[0] - b[0] }) {
		o.Errorf("the progress of %d lines was %v", i.Read, told)
	}
	if open := i.NoUTR + i.Unread + i.Refused; len(i.Open) != open || len(i.Summary().Refused) != open {
		o.Errorf("%d lines are open, %d are listed", open, len(i.Open))
	}
	return i
}

func onEveryEngine(t *testing.T, test func(*testing.T, storetest.Fresh)) {
	t.Helper()
	t.Parallel()
	for name, fresh := range map[string]storetest.Fresh{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh)
		})
	}
}

// TestImport: every line is accounted for, and what nobody understands is listed.
func TestImport(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, fresh storetest.Fresh) {
		t.Helper()
		o := openOffice(t, fresh)
		o.MustReport("till", 1, 0, 0, o.Entry(storetest.UTR(1), 500_00))
		o.MustReport("till", 1, 0, 0, o.Entry(storetest.UTR(2), 600_00))
		o.MustActivate(storetest.Claim("a", storetest.UTR(3), 700_00), deposit.Waiting)
		text := sheet(
			rent(1, 500_00), rent(2, 601_00), rent(3, 700_00), rent(4, -40_00), line{"SMS CHARGES", -5_00},
			line{"CASH DEPOSIT BY SELF", 900_00}, line{"INTEREST PAID TILL 30-JUN", 12_00},
		) + "30/02/26,UPI-ASHA,30/02/26,0.00,1.00,0,6669.00\n"
		i := o.must(text)
		if i.New != 1 || i.Known != 1 || i.KnownCredits != 1 || i.Recorded != 3 || i.NoUTR != 1 || i.Unread != 1 || i.Refused != 1 || i.Matched != 1 {
			t.Errorf("imported %+v", i)
		}
		var numbers []int
		for _, l := range i.Open {
			if numbers = append(numbers, l.Number); l.Outcome.Why == "" {
				t.Errorf("line %d is open for no reason", l.Number)
			}
		}
		if !slices.Equal(numbers, []int{4, 8, 10}) {
			t.Errorf("open are the lines %v", numbers)
		}
		list, err := o.Store.Statements(t.Context(), "till", 10)
		if err != nil || len(list) != 1 || list[0].Lines != 8 || list[0].Layout != "hdfc text" || list[0].Name != "june.csv" || list[0].Actor != "operator:asha" {
			t.Errorf("kept %+v, %v", list, err)
		}
		// What it brought is known when it comes again, under any name.
		i = o.must(text + "\n")
		if i.New != 0 || i.Known != 5 || i.KnownCredits != 2 || i.Recorded != 0 || i.Summary().Duplicate != 2 {
			t.Errorf("imported again as %+v", i)
		}
		o.MustVerify()
	})
}

// TestImportRefuses: a file that is of another account, or not to be trusted,
// leaves nothing behind.
func TestImportRefuses(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, fresh storetest.Fresh) {
		t.Helper()
		o := openOffice(t, fresh)
		good := sheet(rent(1, 500_00), rent(2, 600_00))
		tests := map[string]struct {
			text   string
			change func(*directory.Wallet)
			size   int64
		}{
			"another account":        {text: good, change: func(w *directory.Wallet) { w.Account = "50100012347311" }},
			"another account's tail": {text: good, change: func(w *directory.Wallet) { w.Account = "311" }},
			"another bank":           {text: good, change: func(w *directory.Wallet) { w.Bank = "sbi" }},
			"too large":              {text: good, size: intake.MaxStatement + 1},
			"no statement":           {text: "I have paid, look into your account"},
			"nothing":                {},
			"balances that lie": {text: strings.NewReplacer(",600.00,0,6100.00", ",600.00,0,4900.00").Replace(
				sheet(rent(1, 500_00), rent(2, 600_00), rent(3, 50_00)))},
		}
		for name, tt := range tests {
			w := o.wallet
			if tt.change != nil {
				tt.change(&w)
			}
			file := o.file(tt.text)
			if tt.size != 0 {
				file.Size = tt.size
			}
			i, err := o.Import(t.Context(), o.feed, &w, file)
			if name == "balances that lie" { // what its balances deny is left to a person, or the file as a whole
				if err == nil && i.Unread == 0 {
					t.Errorf("%s: imported %+v", name, i)
				}
				continue
			}
			if !errors.Is(err, intake.ErrStatement) || i.Read != 0 {
				t.Errorf("%s: %v, %+v", name, err, i)
			}
		}
		mixed := "Account No :,50100012347310\n" + good + "Account No :,50100099998888\n" + sheet(rent(9, 500_00))
		if i, err := o.Import(t.Context(), o.feed, &o.wallet, o.file(mixed)); err == nil && i.Unread == 0 && i.New > 3 {
			t.Errorf("two accounts in one file: %+v", i)
		}
		o.MustVerify()
	})
}

// faulty is a desk that fails after some reports.
type faulty struct {
	intake.Desk
	left int
}

var errDown = errors.New("the database is down")

func (f *faulty) Ingest(ctx context.Context, to *directory.Feed, items []feed.Item) (feed.Taken, error) {
	if f.left == 0 {
		return feed.Taken{}, errDown
	}
	f.left--
	return f.Desk.Ingest(ctx, to, items)
}

// TestImportGoesOn: an import that was cut off is finished by the next, and
// counts nothing twice.
func TestImportGoesOn(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, fresh storetest.Fresh) {
		t.Helper()
		o := openOffice(t, fresh)
		lines := make([]line, 0, 700)
		for n := range 700 {
			if n%7 == 6 {
				lines = append(lines, line{"SMS CHARGES", -1_00}) // alike, but for the balance
				continue
			}
			lines = append(lines, rent(n+1, 10_00))
		}
		text := sheet(lines...)
		whole := o.Importer
		o.Importer = &intake.Importer{Desk: &faulty{o.House.Desk, 2}, Ledger: o.Store, Now: o.Clock.Now}
		i, err := o.Import(t.Context(), o.feed, &o.wallet, o.file(text))
		if !errors.Is(err, errDown) || errors.Is(err, intake.ErrStatement) || i.Read != 512 {
			t.Fatalf("cut off: %v after %d lines", err, i.Read)
		}
		if list, err := o.Store.Statements(t.Context(), "till", 10); err != nil || len(list) != 0 {
			t.Errorf("a statement that was cut off is listed: %+v, %v", list, err)
		}
		o.MustVerify()
		o.Importer = whole
		i = o.must(text)
		if i.New+i.KnownCredits != 600 || i.Recorded+i.Known-i.KnownCredits != 100 || i.Known != 512 {
			t.Errorf("then imported %+v", i)
		}
		if r := o.MustVerify(); r.Credits != 600 || r.Outflow != 100_00 || r.Unclaimed != 6000_00 {
			t.Errorf("the books say %+v", r)
		}
		list, err := o.Store.Statements(t.Context(), "till", 10)
		if err != nil || len(list) != 1 {
			t.Fatalf("listed %+v, %v", list, err)
		}
		if r, err := o.Store.Reconcile(t.Context(), list[0]); err != nil || !r.Settled() {
			t.Errorf("it compares as %+v, %v", r, err)
		}
		// Nor may it be cut off by who asked for it.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := o.Import(ctx, o.feed, &o.wallet, o.file(text)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

const camtHead = `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id><Acct><Id><Othr><Id>50100012347310</Id></Othr></Id></Acct>`

// camtEntry is an entry of several payments.
func camtEntry(utrs ...int) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, `<Ntry><Amt Ccy="INR">%d.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-03-14</Dt></BookgDt><NtryDtls>`, 10*len(utrs))
	for _, n := range utrs {
		_, _ = fmt.Fprintf(&b, `<TxDtls><Amt Ccy="INR">10.00</Amt><RmtInf><Ustrd>UPI/CR/%s/ANITA/SBIN/rent</Ustrd></RmtInf></TxDtls>`, storetest.UTR(n))
	}
	b.WriteString("</NtryDtls></Ntry>")
	return b.String()
}

// TestImportOneLine: the payments of one entry of camt.053, and a whole file
// without line breaks, stand in one line, and are many all the same.
func TestImportOneLine(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, fresh storetest.Fresh) {
		t.Helper()
		o := openOffice(t, fresh)
		o.wallet.Bank = ""
		for name, text := range map[string]string{
			"a batch":        camtHead + "\n" + camtEntry(1, 2, 3) + "\n" + camtEntry(4) + "\n" + camtEntry(5, 6) + "\n</Stmt></BkToCstmrStmt></Document>",
			"no line breaks": camtHead + camtEntry(11) + camtEntry(12, 13) + camtEntry(14) + camtEntry(15) + camtEntry(16) + "</Stmt></BkToCstmrStmt></Document>",
		} {
			i := o.must(text)
			if i.New != 6 {
				t.Errorf("%s: imported %+v", name, i)
			}
			if i = o.must(text); i.Known != 6 {
				t.Errorf("%s: imported again %+v", name, i)
			}
		}
		list, err := o.Store.Statements(t.Context(), "till", 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("listed %+v, %v", list, err)
		}
		for _, s := range list {
			r, err := o.Store.Reconcile(t.Context(), s)
			if err != nil || r.CreditLines != 6 || r.Credits != 60_00 {
				t.Errorf("it compares as %+v, %v", r, err)
			}
		}
		o.MustVerify()
	})
}

// TestImportTakenBack: whatever a statement's order, a claim that waits is not
// given what the same statement says was taken back.
func TestImportTakenBack(t *testing.T) {
	t.Parallel()
	o := openOffice(t, storetest.SQLite)
	n := 1
	for _, between := range []int{0, 1, 300} { // lines, with those of more than one batch
		for _, newestFirst := range []bool{false, true} {
			kept, undone := n, n+1
			n += 2
			lines := []line{rent(kept, 300_00), rent(undone, 500_00)}
			for range between {
				lines = append(lines, line{"SMS CHARGES", -1_00})
			}
			lines = append(lines, line{fmt.Sprintf("UPI-REVERSAL-ASHA@OKAXIS-UTIB0000123-%s-RETURN", storetest.UTR(undone)), -500_00})
			text := sheet(lines...)
			if newestFirst {
				rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
				slices.Reverse(rows[2:])
				text = strings.Join(rows, "\n") + "\n"
			}
			first, second := fmt.Sprint("kept ", kept), fmt.Sprint("undone ", undone)
			o.MustActivate(storetest.Claim(first, storetest.UTR(kept), 300_00), deposit.Waiting)
			o.MustActivate(storetest.Claim(second, storetest.UTR(undone), 500_00), deposit.Waiting)
			if i := o.must(text); i.Matched != 1 || i.New != 2 {
				t.Fatalf("%d lines between, newest first %v: imported %+v", between, newestFirst, i)
			}
			o.MustActivate(storetest.Claim(first, storetest.UTR(kept), 300_00), deposit.Credited)
			o.MustActivate(storetest.Claim(second, storetest.UTR(undone), 500_00), deposit.Pending, deposit.CreditReversal)
		}
	}
	o.MustVerify()
}
