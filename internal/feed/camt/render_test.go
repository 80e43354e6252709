package camt_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/camt"
	"github.com/milaan/milaan/money"
)

// What is written as camt reads back the same, in the form of every version.
func TestWriteAndReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawAccount(t)
		w := writer{}
		w.account(&want)
		got, err := read(strings.NewReader(w.String()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]account{want}, got, equal); diff != "" {
			t.Fatalf("%s\n%s", w.String(), diff)
		}
	})
}

// drawAccount draws an account whose entries are payments of their own or batches; those of a
// batch are neighbours with one line.
func drawAccount(t *rapid.T) account {
	text := rapid.StringMatching(`([A-Za-z0-9@&<>"'é₹/-]{1,9}( [A-Za-z0-9@&/-]{1,9}){0,2})?`)
	days := rapid.Custom(func(t *rapid.T) time.Time {
		return day(2020, 1, 1).AddDate(0, 0, rapid.IntRange(0, 365*20).Draw(t, "day"))
	})
	a := account{Account: camt.Account{
		Kind:    rapid.SampledFrom([]camt.Kind{camt.Report, camt.Statement, camt.Notification}).Draw(t, "kind"),
		Version: rapid.IntRange(2, 13).Draw(t, "version"),
		ID:      text.Draw(t, "id"), Number: text.Draw(t, "number"), Currency: money.INR, Verified: true,
		Balances: []camt.Balance{{
			Code: "OPBD", Amount: money.Paise(rapid.Int64Range(-1e13, 1e13).Draw(t, "opening")), Currency: money.INR, Day: days.Draw(t, "opening day"),
		}},
	}}
	sum := a.Balances[0].Amount
	for n := range rapid.IntRange(0, 4).Draw(t, "entries") {
		whole := camt.Entry{
			Line: n + 2, Status: rapid.SampledFrom([]string{"BOOK", "PDNG", "INFO"}).Draw(t, "status"),
			Credit: rapid.Bool().Draw(t, "credit"), Reversal: rapid.Bool().Draw(t, "reversal"), Currency: money.INR,
			BookingDay: days.Draw(t, "booking day"), ValueDay: days.Draw(t, "value day"), BankCode: text.Draw(t, "bank's code"),
			EntryInfo: text.Draw(t, "entry's information"),
		}
		whole.Booked = whole.Status == "BOOK"
		whole.Refs.Entry, whole.Refs.EntryServicer = text.Draw(t, "entry"), text.Draw(t, "entry's servicer")
		for range rapid.IntRange(1, 3).Draw(t, "transactions") {
			e := whole
			e.Amount = money.Paise(rapid.Int64Range(0, 1e13).Draw(t, "amount"))
			e.Refs.EndToEnd, e.Refs.Transaction, e.Refs.UETR = text.Draw(t, "end to end"), text.Draw(t, "transaction"), text.Draw(t, "UETR")
			e.Refs.Servicer, e.Refs.ClearingSystem = text.Draw(t, "servicer"), text.Draw(t, "clearing system")
			e.Debtor = camt.Party{Name: text.Draw(t, "debtor"), Account: text.Draw(t, "debtor's account")}
			e.Remittance, e.CreditorReference = text.Draw(t, "remittance"), text.Draw(t, "reference")
			e.Info = text.Draw(t, "information")
			a.Entries = append(a.Entries, e)
			switch {
			case !e.Booked:
			case e.Credit:
				sum += e.Amount
			default:
				sum -= e.Amount
			}
		}
	}
	a.Balances = append(a.Balances, camt.Balance{Code: "CLBD", Amount: sum, Currency: money.INR, Day: days.Draw(t, "closing day")})
	return a
}

// writer writes a message, an entry a line.
type writer struct{ strings.Builder }

// put writes an element of text, given as its path "Refs/TxId".
func (w *writer) put(path, text string) {
	names := strings.Split(path, "/")
	for _, name := range names {
		w.printf("<%s>", name)
	}
	if err := xml.EscapeText(w, []byte(text)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	for i := range names {
		w.printf("</%s>", names[len(names)-1-i])
	}
}

func (w *writer) printf(format string, args ...any) { w.WriteString(fmt.Sprintf(format, args...)) }

func (w *writer) amount(p money.Paise) { w.printf(`<Amt Ccy="INR">%s</Amt>`, p) }

func (w *writer) mark(credit bool) {
	w.put("CdtDbtInd", map[bool]string{true: "CRDT", false: "DBIT"}[credit])
}

func (w *writer) account(a *account) {
	names := map[camt.Kind][2]string{
		camt.Report: {"BkToCstmrAcctRpt", "Rpt"}, camt.Statement: {"BkToCstmrStmt", "Stmt"}, camt.Notification: {"BkToCstmrDbtCdtNtfctn", "Ntfctn"},
	}[a.Kind]
	w.printf(`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:%s.001.%02d"><%s><%s>`, a.Kind, a.Version, names[0], names[1])
	w.put("Id", a.ID)
	w.WriteString("<Acct>")
	w.put("Id/IBAN", a.Number)
	w.put("Ccy", string(a.Currency))
	w.WriteString("</Acct>")
	for _, b := range a.Balances {
		w.WriteString("<Bal>")
		w.put("Tp/CdOrPrtry/Cd", b.Code)
		w.amount(max(b.Amount, -b.Amount))
		w.mark(b.Amount >= 0)
		w.put("Dt/Dt", b.Day.Format(time.DateOnly))
		w.WriteString("</Bal>")
	}
	for i := 0; i < len(a.Entries); {
		n := 1
		for i+n < len(a.Entries) && a.Entries[i+n].Line == a.Entries[i].Line {
			n++
		}
		w.entry(a.Version, a.Entries[i:i+n])
		i += n
	}
	w.printf("</%s></%s></Document>\n", names[1], names[0])
}

func (w *writer) entry(version int, transactions []camt.Entry) {
	e := transactions[0]
	sum := money.Paise(0)
	for _, t := range transactions {
		sum += t.Amount
	}
	w.WriteString("\n<Ntry>")
	w.put("NtryRef", e.Refs.Entry)
	w.amount(sum)
	w.mark(e.Credit)
	w.put("RvslInd", fmt.Sprint(e.Reversal))
	w.put(map[bool]string{true: "Sts/Cd", false: "Sts"}[version >= 8], e.Status)
	w.put("BookgDt/Dt", e.BookingDay.Format(time.DateOnly))
	w.put("ValDt/Dt", e.ValueDay.Format(time.DateOnly))
	w.put("AcctSvcrRef", e.Refs.EntryServicer)
	w.put("BkTxCd/Prtry/Cd", e.BankCode)
	w.WriteString("<NtryDtls>")
	for _, t := range transactions {
		w.WriteString("<TxDtls><Refs>")
		w.put("AcctSvcrRef", t.Refs.Servicer)
		w.put("EndToEndId", t.Refs.EndToEnd)
		w.put("UETR", t.Refs.UETR)
		w.put("TxId", t.Refs.Transaction)
		w.put("ClrSysRef", t.Refs.ClearingSystem)
		w.WriteString("</Refs>")
		if version >= 3 {
			w.amount(t.Amount)
		} else {
			w.WriteString("<AmtDtls><TxAmt>")
			w.amount(t.Amount)
			w.WriteString("</TxAmt></AmtDtls>")
		}
		w.WriteString("<RltdPties>")
		w.put(map[bool]string{true: "Dbtr/Pty/Nm", false: "Dbtr/Nm"}[version >= 8], t.Debtor.Name)
		w.put("DbtrAcct/Id/Othr/Id", t.Debtor.Account)
		w.WriteString("</RltdPties><RmtInf>")
		w.put("Ustrd", t.Remittance)
		w.put("Strd/CdtrRefInf/Ref", t.CreditorReference)
		w.WriteString("</RmtInf>")
		w.put("AddtlTxInf", t.Info)
		w.WriteString("</TxDtls>")
	}
	w.WriteString("</NtryDtls>")
	w.put("AddtlNtryInf", e.EntryInfo)
	w.WriteString("</Ntry>")
}
