package camt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/milaan/milaan/internal/feed/camt"
	"github.com/milaan/milaan/money"
)

// account is an account with all its entries, as a test likes it.
type account struct {
	camt.Account
	Entries []camt.Entry
}

func read(r io.Reader) (all []account, err error) {
	var entries []camt.Entry
	for item, err := range camt.Read(r) {
		switch {
		case err != nil:
			return all, err
		case item.Entry != nil:
			entries = append(entries, *item.Entry)
		default:
			all = append(all, account{Account: *item.Account, Entries: entries})
			entries = nil
		}
	}
	return all, nil
}

// mustRead reads a message of one account.
func mustRead(t *testing.T, text string) account {
	t.Helper()
	all, err := read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("read %d accounts, want one", len(all))
	}
	return all[0]
}

// message puts the content of a Stmt into a camt.053.
func message(version int, content string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.%02d"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt>%s</Stmt></BkToCstmrStmt></Document>`, version, content)
}

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

var equal = cmp.Options{cmpopts.IgnoreUnexported(camt.Account{}), cmpopts.EquateErrors(), cmpopts.EquateEmpty()}

const versionTwo = `<Id>S1</Id>
<Acct><Id><Othr><Id>000123456789</Id></Othr></Id><Ccy>INR</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="INR">10</Amt><CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-10-01</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="INR">490.5</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-02</Dt></Dt></Bal>
<Ntry>
 <NtryRef>17</NtryRef><Amt Ccy="INR">500.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><RvslInd>false</RvslInd><Sts>BOOK</Sts>
 <BookgDt><DtTm>2026-10-02T00:30:00+05:30</DtTm></BookgDt><ValDt><Dt>2026-10-02</Dt></ValDt><AcctSvcrRef>ASR</AcctSvcrRef>
 <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn><Prtry><Cd>UPI</Cd></Prtry></BkTxCd>
 <NtryDtls><TxDtls>
  <Refs><EndToEndId>E2E</EndToEndId><InstrId>INS</InstrId><TxId>526276012345</TxId><AcctSvcrRef>TASR</AcctSvcrRef><ClrSysRef>CLR</ClrSysRef><Prtry><Tp>T</Tp><Ref>P</Ref></Prtry></Refs>
  <AmtDtls><TxAmt><Amt Ccy="INR">500.5</Amt></TxAmt></AmtDtls>
  <RltdPties><Dbtr><Nm>Asha  Traders</Nm></Dbtr><DbtrAcct><Id><Othr><Id>asha@example</Id></Othr></Id></DbtrAcct><Cdtr><Nm>Shop</Nm></Cdtr><CdtrAcct><Id><IBAN>XX00</IBAN></Id></CdtrAcct></RltdPties>
  <RmtInf><Ustrd>RENT</Ustrd><Ustrd>OCT &amp; NOV</Ustrd><Strd><CdtrRefInf><Ref>INV-7</Ref></CdtrRefInf><AddtlRmtInf>PS</AddtlRmtInf></Strd></RmtInf>
  <AddtlTxInf>about it</AddtlTxInf>
 </TxDtls></NtryDtls><AddtlNtryInf>UPI CREDIT</AddtlNtryInf>
</Ntry>`

// The same in the words of version 8 and later.
var versionEight = strings.NewReplacer(
	"<Sts>BOOK</Sts>", "<Sts><Cd>BOOK</Cd></Sts>",
	`<AmtDtls><TxAmt><Amt Ccy="INR">500.5</Amt></TxAmt></AmtDtls>`, `<Amt Ccy="INR">500.5</Amt><CdtDbtInd>CRDT</CdtDbtInd>`,
	"<Dbtr><Nm>Asha  Traders</Nm></Dbtr>", "<Dbtr><Pty><Nm>Asha Traders</Nm></Pty></Dbtr>",
	"<Cdtr><Nm>Shop</Nm></Cdtr>", "<Cdtr><Pty><Nm>Shop</Nm></Pty></Cdtr>",
).Replace(versionTwo)

func TestRead(t *testing.T) {
	t.Parallel()
	want := func(version int) account {
		return account{
			Account: camt.Account{
				Kind: camt.Statement, Version: version, ID: "S1", Number: "000123456789", Currency: "INR", Verified: true,
				Balances: []camt.Balance{
					{Code: "OPBD", Amount: -1000, Currency: "INR", Day: day(2026, 10, 1)},
					{Code: "CLBD", Amount: 49050, Currency: "INR", Day: day(2026, 10, 2)},
				},
			},
			Entries: []camt.Entry{{
				Line: 6, Status: "BOOK", Booked: true, Credit: true, Amount: 50050, Currency: "INR",
				BookingDay: day(2026, 10, 2), ValueDay: day(2026, 10, 2), BookedAt: time.Date(2026, 10, 1, 19, 0, 0, 0, time.UTC),
				Code: "PMNT/RCDT/ESCT", BankCode: "UPI",
				Refs: camt.Refs{
					EndToEnd: "E2E", Instruction: "INS", Transaction: "526276012345", Servicer: "TASR", ClearingSystem: "CLR",
					Proprietary: "P", Entry: "17", EntryServicer: "ASR",
				},
				Debtor: camt.Party{Name: "Asha Traders", Account: "asha@example"}, Creditor: camt.Party{Name: "Shop", Account: "XX00"},
				Remittance: "RENT OCT & NOV PS", CreditorReference: "INV-7", Info: "about it", EntryInfo: "UPI CREDIT",
			}},
		}
	}
	for version := 2; version <= 13; version++ {
		content := versionTwo
		if version >= 8 {
			content = versionEight
		}
		text := message(version, content)
		envelope := "<Envelope xmlns=\"urn:bank\"><AppHdr xmlns=\"urn:head\"/>" + strings.TrimPrefix(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") + "</Envelope>"
		for name, form := range map[string]string{
			"as it is":           text,
			"CRLF":               strings.ReplaceAll(text, "\n", "\r\n"),
			"byte order mark":    "\ufeff" + text,
			"UTF-16":             utf16(strings.Replace(text, "UTF-8", "UTF-16", 1)),
			"Latin-1":            strings.Replace(text, "UTF-8", "ISO-8859-1", 1),
			"prefixed namespace": strings.Replace(prefixed(text), "xmlns=", "xmlns:c=", 1),
			"in an envelope":     "\n" + envelope,
		} {
			t.Run(fmt.Sprint(version, " ", name), func(t *testing.T) {
				t.Parallel()
				got, err := read(iotest.OneByteReader(strings.NewReader(form)))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]account{want(version)}, got, equal); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// prefixed writes every element as <c:…>.
func prefixed(text string) string {
	head, body, _ := strings.Cut(text, "?>")
	return head + "?>" + strings.NewReplacer("</", "</c:", "<", "<c:").Replace(body)
}

func utf16(s string) string {
	out := "\xff\xfe"
	for i := range len(s) {
		out += string([]byte{s[i], 0})
	}
	return out
}

func TestKinds(t *testing.T) {
	t.Parallel()
	entry := `<Ntry><Amt Ccy="INR">1</Amt><CdtDbtInd>CRDT</CdtDbtInd>%s</Ntry>`
	for name, test := range map[string]struct {
		message, account string
		status           string
		kind             camt.Kind
		booked           bool
	}{
		"statement":                {"BkToCstmrStmt", "Stmt", "<Sts>BOOK</Sts>", camt.Statement, true},
		"no status in a statement": {"BkToCstmrStmt", "Stmt", "", camt.Statement, true},
		"pending":                  {"BkToCstmrStmt", "Stmt", "<Sts>PDNG</Sts>", camt.Statement, false},
		"information":              {"BkToCstmrStmt", "Stmt", "<Sts><Cd>INFO</Cd></Sts>", camt.Statement, false},
		"the bank's own status":    {"BkToCstmrStmt", "Stmt", "<Sts><Prtry>DONE</Prtry></Sts>", camt.Statement, false},
		"report":                   {"BkToCstmrAcctRpt", "Rpt", "<Sts><Cd>BOOK</Cd></Sts>", camt.Report, true},
		"no status in a report":    {"BkToCstmrAcctRpt", "Rpt", "", camt.Report, false},
		"notification":             {"BkToCstmrDbtCdtNtfctn", "Ntfctn", "<Sts>BOOK</Sts>", camt.Notification, true},
		"no status in a notice":    {"BkToCstmrDbtCdtNtfctn", "Ntfctn", "", camt.Notification, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustRead(t, fmt.Sprintf("<Document><%[1]s><%[2]s>%[3]s</%[2]s></%[1]s></Document>",
				test.message, test.account, fmt.Sprintf(entry, test.status)))
			if got.Kind != test.kind || len(got.Entries) != 1 || got.Entries[0].Booked != test.booked {
				t.Errorf("read %+v", got)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	const head = `<CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>`
	transaction := func(amount string, more ...string) string {
		return `<TxDtls><Refs><TxId>T` + amount + `</TxId></Refs><Amt Ccy="INR">` + amount + `</Amt>` + strings.Join(more, "") + `</TxDtls>`
	}
	credits := func(amounts ...money.Paise) (entries []camt.Entry) {
		for _, a := range amounts {
			entries = append(entries, camt.Entry{Credit: true, Amount: a})
		}
		return entries
	}
	failed := func(err error) []camt.Entry { return []camt.Entry{{Err: err}} }
	for name, test := range map[string]struct {
		entry string
		want  []camt.Entry
	}{
		"no transactions":      {`<Amt Ccy="INR">5.00</Amt>` + head, credits(500)},
		"no amount of its own": {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><TxDtls/></NtryDtls>`, credits(500)},
		"a batch":              {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>` + transaction("2") + transaction("3") + `</NtryDtls>`, credits(200, 300)},
		"two batches":          {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("2") + `</NtryDtls><NtryDtls>` + transaction("3") + `</NtryDtls>`, credits(200, 300)},
		"a batch with a charge": {
			`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("6") + transaction("1", "<CdtDbtInd>DBIT</CdtDbtInd>") + `</NtryDtls>`,
			[]camt.Entry{{Credit: true, Amount: 600}, {Amount: 100}},
		},
		"a batch that is not listed": {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch></NtryDtls>`, []camt.Entry{{Credit: true, Amount: 500, Batch: 2}}},
		"the payer's currency":       {`<Amt Ccy="INR">830</Amt>` + head + `<NtryDtls><TxDtls><Amt Ccy="USD">10</Amt></TxDtls></NtryDtls>`, credits(83000)},
		"a debit":                    {`<Amt Ccy="INR">5</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>`, []camt.Entry{{Amount: 500}}},
		"a debit taken back":         {`<Amt Ccy="INR">5</Amt><RvslInd>1</RvslInd>` + head, []camt.Entry{{Credit: true, Reversal: true, Amount: 500}}},
		"a credit taken back":        {`<Amt Ccy="INR">5</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts>BOOK</Sts>`, []camt.Entry{{Reversal: true, Amount: 500}}},
		"a payment that came back": {
			`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><TxDtls><RtrInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>closed</AddtlInf></RtrInf></TxDtls></NtryDtls>`,
			[]camt.Entry{{Credit: true, Amount: 500, Returned: true, ReturnReason: "AC04 closed"}},
		},
		"a proxy": {
			`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><TxDtls><RltdPties><DbtrAcct><Prxy><Id>asha@example</Id></Prxy></DbtrAcct></RltdPties></TxDtls></NtryDtls>`,
			[]camt.Entry{{Credit: true, Amount: 500, Debtor: camt.Party{Proxy: "asha@example"}}},
		},
		"a text cut in a reference": {
			`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><TxDtls><RmtInf><Ustrd>` + strings.Repeat("x", 135) + `52627</Ustrd><Ustrd>6012345</Ustrd></RmtInf></TxDtls></NtryDtls>`,
			[]camt.Entry{{Credit: true, Amount: 500, Remittance: strings.Repeat("x", 135) + "526276012345"}},
		},
		"a time without zone": {`<Amt Ccy="INR">5</Amt>` + head + `<BookgDt><DtTm>2026-10-01T23:00:00</DtTm></BookgDt>`, []camt.Entry{{Credit: true, Amount: 500, BookingDay: day(2026, 10, 1)}}},
		"a day with zone":     {`<Amt Ccy="INR">5</Amt>` + head + `<BookgDt><Dt>2026-10-01+05:30</Dt></BookgDt>`, []camt.Entry{{Credit: true, Amount: 500, BookingDay: day(2026, 10, 1)}}},
		"zero":                {`<Amt Ccy="INR">0.00</Amt>` + head, credits(0)},
		"many zeros":          {`<Amt Ccy="INR">5.00000</Amt>` + head, credits(500)},

		"does not add up":                    {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("2") + transaction("2.99") + `</NtryDtls>`, failed(camt.ErrBatch)},
		"one that differs":                   {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("4") + `</NtryDtls>`, failed(camt.ErrBatch)},
		"one without amount":                 {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("5") + `<TxDtls/></NtryDtls>`, failed(camt.ErrBatch)},
		"one listed of two":                  {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch><TxDtls/></NtryDtls>`, failed(camt.ErrBatch)},
		"two currencies":                     {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("5") + `<TxDtls><Amt Ccy="USD">0</Amt></TxDtls></NtryDtls>`, failed(camt.ErrBatch)},
		"other directions":                   {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("5", "<CdtDbtInd>DBIT</CdtDbtInd>") + `</NtryDtls>`, failed(camt.ErrBatch)},
		"a transaction in no direction":      {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("5", "<CdtDbtInd>X</CdtDbtInd>") + `</NtryDtls>`, failed(camt.ErrBatch)},
		"a transaction's amount is none":     {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("5e0") + `</NtryDtls>`, failed(camt.ErrBatch)},
		"a sum beyond any":                   {`<Amt Ccy="INR">5</Amt>` + head + `<NtryDtls>` + transaction("90000000000000000") + transaction("90000000000000000") + `</NtryDtls>`, failed(money.ErrOverflow)},
		"no amount":                          {head, failed(camt.ErrEntry)},
		"no currency":                        {`<Amt>5</Amt>` + head, failed(money.ErrCurrency)},
		"below zero":                         {`<Amt Ccy="INR">-5</Amt>` + head, failed(camt.ErrEntry)},
		"an exponent":                        {`<Amt Ccy="INR">5e3</Amt>` + head, failed(camt.ErrEntry)},
		"groups":                             {`<Amt Ccy="INR">5,000</Amt>` + head, failed(camt.ErrEntry)},
		"three decimals":                     {`<Amt Ccy="INR">5.001</Amt>` + head, failed(money.ErrPrecision)},
		"no direction":                       {`<Amt Ccy="INR">5</Amt><Sts>BOOK</Sts>`, failed(camt.ErrEntry)},
		"neither reversal nor not":           {`<Amt Ccy="INR">5</Amt><RvslInd>yes</RvslInd>` + head, failed(camt.ErrEntry)},
		"30 February":                        {`<Amt Ccy="INR">5</Amt>` + head + `<BookgDt><Dt>2026-02-30</Dt></BookgDt>`, failed(camt.ErrEntry)},
		"30 February as value date":          {`<Amt Ccy="INR">5</Amt>` + head + `<ValDt><Dt>2026-02-30</Dt></ValDt>`, failed(camt.ErrEntry)},
		"25 o'clock":                         {`<Amt Ccy="INR">5</Amt>` + head + `<BookgDt><DtTm>2026-02-20T25:00:00Z</DtTm></BookgDt>`, failed(camt.ErrEntry)},
		"no amount, but of the transactions": {head + `<NtryDtls>` + transaction("5") + `</NtryDtls>`, failed(camt.ErrEntry)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Its neighbours are read whatever it is.
			neighbour := `<Ntry><Amt Ccy="INR">7</Amt>` + head + `</Ntry>`
			got := mustRead(t, message(4, neighbour+"<Ntry>"+test.entry+"</Ntry>"+neighbour)).Entries
			if n := len(got); n < 3 || got[0].Amount != 700 || got[n-1].Amount != 700 {
				t.Fatalf("read %+v", got)
			}
			got = got[1 : len(got)-1]
			if len(got) != len(test.want) {
				t.Fatalf("read %d entries, want %d", len(got), len(test.want))
			}
			for i, want := range test.want {
				e := got[i]
				if want.Err != nil {
					if !errors.Is(e.Err, want.Err) {
						t.Errorf("error is %v, want %v", e.Err, want.Err)
					}
					continue
				}
				// The rest is the same for all and TestRead's.
				e.Line, e.Status, e.Booked, e.Currency, e.Refs = 0, "", false, "", camt.Refs{}
				if diff := cmp.Diff(want, e, equal); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestProof(t *testing.T) {
	t.Parallel()
	balance := func(code, amount, currency string) string {
		return `<Bal><Tp><CdOrPrtry><Cd>` + code + `</Cd></CdOrPrtry></Tp><Amt Ccy="` + currency + `">` + amount + `</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-01</Dt></Dt></Bal>`
	}
	entry := func(amount, mark, status, currency string) string {
		return `<Ntry><Amt Ccy="` + currency + `">` + amount + `</Amt><CdtDbtInd>` + mark + `</CdtDbtInd><Sts>` + status + `</Sts></Ntry>`
	}
	for name, test := range map[string]struct {
		content  string
		verified bool
		problem  error
	}{
		"adds up":             {balance("OPBD", "1", "INR") + balance("CLBD", "3", "INR") + entry("5", "CRDT", "BOOK", "INR") + entry("3", "DBIT", "BOOK", "INR"), true, nil},
		"from the day before": {balance("PRCD", "1", "INR") + balance("CLBD", "3", "INR") + entry("2", "CRDT", "BOOK", "INR"), true, nil},
		"pending":             {balance("OPBD", "1", "INR") + balance("CLBD", "1", "INR") + entry("2", "CRDT", "PDNG", "INR"), true, nil},
		"no balances":         {entry("2", "CRDT", "BOOK", "INR"), false, nil},
		"no closing":          {balance("OPBD", "1", "INR") + balance("CLAV", "1", "INR"), false, nil},
		"does not add up":     {balance("OPBD", "1", "INR") + balance("CLBD", "3", "INR") + entry("5", "CRDT", "BOOK", "INR"), false, camt.ErrBalance},
		"a bad entry":         {balance("OPBD", "1", "INR") + balance("CLBD", "1", "INR") + entry("x", "CRDT", "BOOK", "INR"), false, camt.ErrEntry},
		"a bad balance":       {balance("OPBD", "1", "INR") + balance("CLBD", "x", "INR"), false, camt.ErrBalance},
		"two currencies":      {balance("OPBD", "1", "INR") + balance("CLBD", "1", "USD"), false, camt.ErrBalance},
		"entries of another":  {balance("OPBD", "1", "INR") + balance("CLBD", "1", "INR") + entry("0", "CRDT", "BOOK", "USD"), false, camt.ErrBalance},
		"entries of two":      {balance("OPBD", "1", "INR") + balance("CLBD", "1", "INR") + entry("0", "CRDT", "BOOK", "INR") + entry("0", "CRDT", "BOOK", "USD"), false, camt.ErrBalance},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustRead(t, message(8, test.content))
			if got.Verified != test.verified || !errors.Is(got.Problem, test.problem) {
				t.Errorf("verified %t, problem %v; want %t, %v", got.Verified, got.Problem, test.verified, test.problem)
			}
		})
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	if !mustRead(t, message(2, "<CpyDplctInd>DUPL</CpyDplctInd>")).Duplicate {
		t.Error("a duplicate is not marked")
	}
	if mustRead(t, message(2, "<CpyDplctInd>COPY</CpyDplctInd>")).Duplicate {
		t.Error("a copy is marked as a duplicate")
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	open, _, _ := strings.Cut(message(2, "|"), "|")
	entry := open + `<Ntry><Amt Ccy="INR">5</Amt><CdtDbtInd>CRDT</CdtDbtInd>`
	for name, test := range map[string]struct {
		file io.Reader
		want error
	}{
		"nothing":              {strings.NewReader(""), camt.ErrFormat},
		"other XML":            {strings.NewReader("<html><Ntry/></html>"), camt.ErrFormat},
		"no XML":               {strings.NewReader("Date,Amount\n"), camt.ErrFormat},
		"MT940":                {strings.NewReader(":20:X\n:25:1\n"), camt.ErrFormat},
		"a PDF":                {strings.NewReader("%PDF-1.4 <</Type /Catalog>>"), camt.ErrXML},
		"two roots open":       {strings.NewReader("<a></b>"), camt.ErrXML},
		"billion laughs":       {strings.NewReader(`<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>` + message(2, "&b;")), camt.ErrDTD},
		"a file fetched":       {strings.NewReader(`<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + message(2, "&x;")), camt.ErrDTD},
		"a DTD within":         {strings.NewReader(entry + `<!DOCTYPE x>`), camt.ErrDTD},
		"an entity":            {strings.NewReader(message(2, "<Id>&b;</Id>")), camt.ErrXML},
		"an encoding":          {strings.NewReader(`<?xml version="1.0" encoding="EBCDIC-X"?><a/>`), camt.ErrXML},
		"deep":                 {endless("<a>"), camt.ErrTooLarge},
		"deep in a part":       {io.MultiReader(strings.NewReader(open), endless("<a>")), camt.ErrTooLarge},
		"deep in what is read": {io.MultiReader(strings.NewReader(entry+"<NtryDtls><TxDtls>"), endless("<Refs>")), camt.ErrTooLarge},

		"an endless text":             {io.MultiReader(strings.NewReader(open+"<Id>"), endless("A")), camt.ErrTooLarge},
		"an endless name":             {io.MultiReader(strings.NewReader("<"), endless("A")), camt.ErrTooLarge},
		"endless attributes":          {io.MultiReader(strings.NewReader("<a"), endless(" b=''")), camt.ErrTooLarge},
		"an endless comment":          {io.MultiReader(strings.NewReader("<!--"), endless("A")), camt.ErrTooLarge},
		"an endless DTD":              {io.MultiReader(strings.NewReader("<!DOCTYPE a ["), endless("<!ENTITY a 'b'>")), camt.ErrTooLarge},
		"an endless transaction":      {io.MultiReader(strings.NewReader(entry+"<NtryDtls><TxDtls><RmtInf>"), endless("<Ustrd>A</Ustrd>")), camt.ErrTooLarge},
		"transactions without end":    {io.MultiReader(strings.NewReader(entry+"<NtryDtls>"), endless("<TxDtls/>")), camt.ErrTooLarge},
		"unknown parts without end":   {io.MultiReader(strings.NewReader(entry), endless("<X>"+strings.Repeat("A", 1<<19)+"</X>")), camt.ErrTooLarge},
		"balances without end":        {io.MultiReader(strings.NewReader(open), endless("<Bal/>")), camt.ErrTooLarge},
		"text between without end":    {io.MultiReader(strings.NewReader(entry), endless("A")), camt.ErrTooLarge},
		"a reader that breaks":        {io.MultiReader(strings.NewReader(open), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
		"a reader that breaks inside": {io.MultiReader(strings.NewReader(entry+"<Sts>"), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(test.file); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
}

// endless repeats a text for ever.
func endless(text string) io.Reader { return &repeater{text: text} }

type repeater struct {
	text string
	at   int
}

func (e *repeater) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(b), nil
}

// A message that is cut anywhere is an error, and what was read before was in the whole one.
func TestTruncated(t *testing.T) {
	t.Parallel()
	text := message(8, versionEight)
	for n := range len(text) {
		all, err := read(strings.NewReader(text[:n]))
		if !errors.Is(err, camt.ErrXML) && !errors.Is(err, camt.ErrFormat) {
			t.Fatalf("%d bytes: error is %v", n, err)
		}
		if stmt := strings.Index(text, "</Stmt>"); len(all) > 0 && n < stmt {
			t.Fatalf("%d bytes: an account that did not end", n)
		}
	}
}

// The reader may stop at any item.
func TestStop(t *testing.T) {
	t.Parallel()
	for stop := range 3 {
		next, done := iter.Pull2(camt.Read(strings.NewReader(message(2, versionTwo))))
		for range stop {
			if _, _, ok := next(); !ok {
				t.Fatalf("no item before the %dth", stop)
			}
		}
		done()
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(message(2, versionTwo)))
	f.Add([]byte(message(8, versionEight)))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := read(bytes.NewReader(data))
		for _, a := range all {
			for _, e := range a.Entries {
				if e.Amount < 0 {
					t.Errorf("amount %v", e.Amount)
				}
				if e.Err == nil && e.Currency == "" {
					t.Error("no currency, no error")
				}
				if !utf8.ValidString(fmt.Sprint(e)) {
					t.Error("text is not UTF-8")
				}
			}
			if a.Verified && a.Problem != nil {
				t.Errorf("verified, but %v", a.Problem)
			}
		}
		if err == nil && !bytes.ContainsAny(data, "<") {
			t.Error("neither XML nor an error")
		}
	})
}
