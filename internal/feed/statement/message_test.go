package statement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/feed/statement"
)

const mt = `:20:ST260501
:25:000123454321
:28C:00001
:60F:C260501INR100000,00
:61:2605010501CR1500,00NTRFNONREF//612112345671
:86:UPI/CR/612112345671/ANITA/SBIN/rent
:61:2605020502C20000,00NTRFSBIN126122123456
:86:NEFT CR-SBIN0004321-ANITA TRADERS-OWN SHOP
:61:2605020502C200000,00NTRFHDFCR52026050212
:86:RTGS-HDFCR52026050212345678-ANITA TRADERS
:61:2605030503C300000,00NTRFHDFCR52026050312
:86:RTGS FROM ANITA TRADERS
:61:2605040504C10,00NTRFNONREF//612412345674
:86:UPI FROM ANITA
:61:2605050505D300,00NTRFNONREF//612512345675
:86:UPI/DR/612512345675/SHOP
:61:2605060506RD300,00NTRFNONREF//612512345675
:86:UPI/612512345675/SHOP
:61:2605070507RC10,00NTRFNONREF//612412345674
:86:UPI/612412345674/ANITA
:62F:C260507INR621500,00
-`

func TestMessages(t *testing.T) {
	t.Parallel()
	const mtWant = `mt940 bank= account=4321 rows=8 newest-first=false
5 credit 2026-05-01 1500.00 utr="612112345671" name="ANITA" note="rent"
7 credit 2026-05-02 20000.00 utr="SBIN126122123456" name="ANITA TRADERS" note="OWN SHOP"
9 credit 2026-05-02 200000.00 utr="HDFCR52026050212345678" name="ANITA TRADERS"
11 credit 2026-05-03 300000.00
13 credit 2026-05-04 10.00 utr="612412345674"
15 debit 2026-05-05 300.00 utr="612512345675" name="SHOP"
17 other 2026-05-06 300.00 utr="612512345675" name="SHOP" why="an own payment came back" reversal
19 debit 2026-05-07 10.00 utr="612412345674" name="ANITA" why="an earlier credit was taken back" reversal
`
	const camtHead = `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id><Acct><Id><Othr><Id>000123454321</Id></Othr></Id></Acct>`
	entry := func(direction, status, reversal, refs, text string) string {
		return `
<Ntry><Amt Ccy="INR">500.00</Amt><CdtDbtInd>` + direction + `</CdtDbtInd>` + reversal + `<Sts><Cd>` + status + `</Cd></Sts><BookgDt><Dt>2026-05-01</Dt></BookgDt>
<NtryDtls><TxDtls><Refs>` + refs + `</Refs><RltdPties><Dbtr><Pty><Nm>Anita Desai</Nm></Pty></Dbtr></RltdPties><RmtInf><Ustrd>` + text + `</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`
	}
	tests := map[string]struct{ file, want string }{
		"mt940":                            {mt, mtWant},
		"mt940 whose balances deny a line": {strings.Replace(mt, "621500,00", "619990,00", 1), "unparsed"},
		"camt": {
			camtHead + entry("CRDT", "BOOK", "", "<EndToEndId>NOTPROVIDED</EndToEndId>", "UPI/CR/612112345671/ANITA/SBIN/rent") +
				entry("CRDT", "BOOK", "", "<EndToEndId>612112345672</EndToEndId><TxId>612112345672</TxId>", "UPI payment for May") +
				entry("CRDT", "BOOK", "", "<EndToEndId>612112345673</EndToEndId><TxId>612112345674</TxId>", "UPI payment for May") +
				entry("CRDT", "BOOK", "", "<TxId>SBIN126122123456</TxId>", "NEFT payment") +
				entry("CRDT", "PDNG", "", "", "UPI/CR/612112345675/ANITA/SBIN/rent") +
				entry("CRDT", "BOOK", "<RvslInd>true</RvslInd>", "", "UPI/612112345676/SHOP") +
				`</Stmt></BkToCstmrStmt></Document>`,
			`camt bank= account=4321 rows=6 newest-first=false
2 credit 2026-05-01 500.00 utr="612112345671" name="Anita Desai" note="UPI/CR/612112345671/ANITA/SBIN/rent"
4 credit 2026-05-01 500.00 utr="612112345672" name="Anita Desai" note="UPI payment for May"
6 credit 2026-05-01 500.00 name="Anita Desai" note="UPI payment for May"
8 credit 2026-05-01 500.00 utr="SBIN126122123456" name="Anita Desai" note="NEFT payment"
10 ignored 2026-05-01 why="announced, not booked"
12 other 2026-05-01 500.00 utr="612112345676" name="Anita Desai" note="UPI/612112345676/SHOP" why="an own payment came back" reversal
`,
		},
	}
	for name, tt := range tests {
		got, err := read(t.Context(), []byte(tt.file), statement.Options{})
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(tt.want, "\n"):
			if strings.Count(got, tt.want) != 8 || !strings.Contains(got, "untrusted") {
				t.Errorf("%s: %s", name, got)
			}
		default:
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}
