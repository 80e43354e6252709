package bulkfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
	"github.com/milaan/milaan/money"
	"pgregory.net/rapid"
)

const header = "Sr,Ref,Amount,Status,UTR,Bank ID,Reason\n"

func read(t *testing.T, layout, file string) ([]bulkfile.Result, error) {
	t.Helper()
	l, err := own(t, layout)
	if err != nil {
		t.Fatal(err)
	}
	return l.Read(strings.NewReader(file))
}

func TestReadRow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, row string
		want      payout.Answer
	}{
		{"paid", "1,MLP1,5.00,Paid,606412345671,77,", payout.Answer{Standing: payout.Paid, BankRef: "606412345671"}},
		{"paid in another case", "1,MLP1,5.00, SUCCESS ,606412345671,AB12345,", payout.Answer{Standing: payout.Paid, BankRef: "606412345671", ProviderRef: "AB12345"}},
		{"a UTR of NEFT in small letters", "1,MLP1,5.00,Paid,n064261234567890,,", payout.Answer{Standing: payout.Paid, BankRef: "N064261234567890"}},
		{"a UTR that a spreadsheet broke", "1,MLP1,5.00,Paid,6.06E+11,,", payout.Answer{Standing: payout.Paid}},
		{"no UTR", "1,MLP1,5.00,Paid,NA,-,", payout.Answer{Standing: payout.Paid}},
		{"refused", "1,MLP1,5.00,Failed,,,No such account 123456789012", payout.Answer{Standing: payout.Refused, Why: "No such account xxxx"}},
		{"pending", "1,MLP1,5.00,In  Process,,,Queue", payout.Answer{Standing: payout.Accepted, Why: "Queue"}},
		{"no status", "1,MLP1,5.00,,,,", payout.Answer{Standing: payout.Unclear, Why: `the status "" is not in the layout`}},
		{"a word within another", "1,MLP1,5.00,Not Paid,,,", payout.Answer{Standing: payout.Unclear, Why: `the status "Not Paid" is not in the layout`}},
		{"a word and more", "1,MLP1,5.00,Paid?,,,Reversed", payout.Answer{Standing: payout.Unclear, Why: `the status "Paid?" is not in the layout; Reversed`}},
		{"letters that only look it", "1,MLP1,5.00,Раid,,,", payout.Answer{Standing: payout.Unclear, Why: `the status "Раid" is not in the layout`}},
		{"a copy", "1,MLP1,5.00,Rejected,,,DUPLICATE transaction", payout.Answer{Standing: payout.Unclear, Why: "refused as a copy: the first may have been paid; DUPLICATE transaction"}},
		{"paid already", "1,MLP1,5.00,Rejected,,,Already processed", payout.Answer{Standing: payout.Unclear, Why: "refused as a copy: the first may have been paid; Already processed"}},
		{"a long reason", "1,MLP1,5.00,Rejected,,," + strings.Repeat("x", 500), payout.Answer{Standing: payout.Refused, Why: strings.Repeat("x", 140) + "…"}},
		{"a reason of two lines", "1,MLP1,5.00,Rejected,,,\"a\n\x01b\"", payout.Answer{Standing: payout.Refused, Why: "a b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, whole, header+c.row+"\n")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]bulkfile.Result{{Reference: "MLP1", Amount: 500, Answer: c.want}}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Whatever the status, a row that names no payout pays none.
	for _, reference := range []string{"", "mlp1", "MLP 1", "MLP123456789012345678901", "6.0E+11", "=MLP1"} {
		got, err := read(t, whole, header+"1,"+reference+",5.00,Paid,606412345671,,\n")
		if err != nil || len(got) != 1 || got[0].Reference != "" || got[0].Standing != payout.Unclear {
			t.Errorf("%q: %+v, %v", reference, got, err)
		}
	}
}

// numbered is a layout of a file without a header, whose last line tells count
// and total.
func numbered(t *testing.T) string {
	t.Helper()
	text := with(t, "response:\n  header: true", "response:\n  header: false\n  controls: [{column: 1, mark: TRL, count: 2, total: 3}]")
	return strings.Replace(text, "{reference: Ref, status: Status, utr: UTR, bank_id: Bank ID, why: Reason, amount: Amount}",
		"{reference: 1, status: 2, amount: 3}", 1)
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	five := bulkfile.Result{Reference: "MLP1", Amount: 500, Answer: payout.Answer{Standing: payout.Paid}}
	seven := bulkfile.Result{Reference: "MLP2", Amount: 700, Answer: payout.Answer{Standing: payout.Refused}}
	torn := bulkfile.Result{Reference: "MLP1", Answer: payout.Answer{Standing: payout.Unclear, Why: "the file tells of it more than once, and differently"}}
	for _, c := range []struct {
		name, layout, file string
		want               []bulkfile.Result
		kind               error
		words              string
	}{
		{"above the header", whole, "Some Bank\n\nAccount,x\n" + header + "1,MLP1,5.00,Paid,,,\n", []bulkfile.Result{five}, nil, ""},
		{"a header of other order and case", whole, "STATUS,utr,reason,bank id,AMOUNT,ref\nPaid,,,,5,MLP1\n", []bulkfile.Result{five}, nil, ""},
		{"empty lines", whole, header + ",,,,,,\n1,MLP1,5.00,Paid,,,\n,,,,,,\n\n", []bulkfile.Result{five}, nil, ""},
		{"a byte order mark", whole, "\xef\xbb\xbf" + header + "1,MLP1,5.00,Paid,,,\n", []bulkfile.Result{five}, nil, ""},
		{"utf-16", whole, "\xff\xfe" + utf16(header+"1,MLP1,5.00,Paid,,,\n"), []bulkfile.Result{five}, nil, ""},
		{"no rows", whole, header, nil, nil, ""},
		{"told twice the same", whole, header + "1,MLP1,5.00,Paid,,,\n2,MLP1,5.00,Paid,,,\n", []bulkfile.Result{five}, nil, ""},
		{"told twice, differently", whole, header + "1,MLP1,5.00,Paid,,,\n2,MLP2,7.00,Failed,,,\n3,MLP1,5.00,Failed,,,\n", []bulkfile.Result{torn, seven}, nil, ""},
		{"told thrice", whole, header + "1,MLP1,5.00,Failed,,,\n2,MLP1,5.00,Paid,,,\n3,MLP1,5.00,Paid,,,\n", []bulkfile.Result{torn}, nil, ""},
		{"other amounts", whole, header + "1,MLP1,5.00,Paid,,,\n3,MLP1,6.00,Paid,,,\n", []bulkfile.Result{torn}, nil, ""},

		{"empty", whole, "", nil, bulkfile.ErrFile, "no line has the layout's headers"},
		{"another file", whole, "Ref,Amount\nMLP1,5.00\n", nil, bulkfile.ErrFile, "no line has the layout's headers"},
		{"a header that stands twice", whole, "Sr,Ref,Amount,Status,Status,UTR,Bank ID,Reason\n1,MLP1,5.00,Paid,Failed,,,\n", nil, bulkfile.ErrFile, "no line has the layout's headers"},
		{"a header far below", whole, strings.Repeat("x\n", 41) + header, nil, bulkfile.ErrFile, "no line has the layout's headers"},
		{"a column less", whole, header + "1,MLP1,5.00,Paid,,\n", nil, bulkfile.ErrFile, "line 2: it has 6 columns"},
		{"a column more", whole, header + "1,MLP1,5.00,Paid,,,\n1,MLP2,5,00,Paid,,,\n", nil, bulkfile.ErrFile, "line 3: it has 8 columns"},
		{"an amount of letters", whole, header + "1,MLP1,five,Paid,,,\n", nil, bulkfile.ErrFile, "line 2: the amount is none"},
		{"an amount below nothing", whole, header + "1,MLP1,-5.00,Paid,,,\n", nil, bulkfile.ErrFile, "line 2: the amount is none"},
		{"an open quote", whole, header + "1,\"MLP1,5.00,Paid,,,\n", nil, bulkfile.ErrFile, "line"},
		{"a wide file", whole, strings.Repeat(",", 600) + "x\n", nil, bulkfile.ErrFile, "too many columns"},
		{"amounts too large", whole, header + strings.Repeat("1,MLP1,90000000000000000.00,Paid,,,\n", 2), nil, bulkfile.ErrFile, "too large"},

		{"controls agree", numbered(t), "MLP1,Paid,5.00\nMLP2,Failed,7.00\nTRL,2,12.00\n", []bulkfile.Result{five, seven}, nil, ""},
		{"another count", numbered(t), "MLP1,Paid,5.00\nTRL,2,5.00\n", nil, bulkfile.ErrContradiction, "tells of 2 payouts and holds 1"},
		{"another total", numbered(t), "MLP1,Paid,5.00\nTRL,1,5.01\n", nil, bulkfile.ErrContradiction, "₹5.01 in all"},
		{"cut off", numbered(t), "MLP1,Paid,5.00\n", nil, bulkfile.ErrFile, `no line of "TRL"`},
		{"two control lines", numbered(t), "MLP1,Paid,5.00\nTRL,1,5.00\nTRL,1,5.00\n", nil, bulkfile.ErrFile, "line 3: a control line stands in it twice"},
		{"a control line without count", numbered(t), "TRL,x,5.00\n", nil, bulkfile.ErrFile, "no count"},
		{"a control line below nothing", numbered(t), "TRL,0,-5.00\n", nil, bulkfile.ErrFile, "no total"},
		{"a short control line", numbered(t), "TRL,0\n", nil, bulkfile.ErrFile, "too short"},
		{"too few columns", numbered(t), "MLP1,Paid\nTRL,1,5.00\n", nil, bulkfile.ErrFile, "the layout needs more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, c.layout, c.file)
			if c.kind != nil {
				refused(t, err, c.kind, c.words)
				if got != nil {
					t.Error("something was read", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// endless gives the same text for ever.
func endless(text string) io.Reader { return &repeated{text, 0} }

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(b), nil
}

func TestReadEnds(t *testing.T) {
	t.Parallel()
	layout, err := own(t, numbered(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"rows":     endless("MLP1,Paid,5.00\n"),
		"one cell": io.MultiReader(strings.NewReader(`"`), endless("x")),
		"blanks":   endless(",,\n"),
	} {
		if _, err := layout.Read(r); !errors.Is(err, bulkfile.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := layout.Read(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// What a layout writes, it reads again: every order once, with its amount, and
// paid by the fixed word of the layout.
func TestWriteThenRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		header := rapid.Bool().Draw(r, "header")
		names := "{reference: 1, amount: 2, status: 6, utr: 7}"
		if header {
			names = "{reference: Ref, amount: Amount, status: Status, utr: UTR}"
		}
		form := fmt.Sprintf("  header: %v\n  separator: %q\n  amount: %s\n  encoding: %s\n", header,
			rapid.SampledFrom([]string{",", ";", "|", "~", "^", "\t", "#"}).Draw(r, "separator"),
			rapid.SampledFrom([]string{"rupees", "short", "paise"}).Draw(r, "amount"),
			rapid.SampledFrom([]string{"utf-8", "windows-1252", "utf-16be", "iso-8859-15"}).Draw(r, "encoding"))
		layout, err := own(t, `
bank: ICIC
upload:
  file: x
  quote: `+rapid.SampledFrom([]string{"needed", "always", "never"}).Draw(r, "quote")+`
  line_end: `+rapid.SampledFrom([]string{"crlf", "lf"}).Draw(r, "line end")+`
`+form+`
  columns:
    - {header: Ref, text: "{reference}"}
    - {header: Amount, text: "{amount}"}
    - {header: Account, text: "{account}"}
    - {header: IFSC, text: "{ifsc}"}
    - {header: Name, text: "{name}"}
    - {header: Status, text: "Done"}
    - {header: UTR, text: "6064{account}", max: 22}
  last: [END, "{count}", "{total}"]
response:
`+form+`
  columns: `+names+`
  words: {paid: [DONE], refused: [no]}
  controls: [{column: 1, mark: end, count: 2, total: 3}]
`)
		if err != nil {
			r.Fatal(err)
		}
		b := batch()
		b.Orders = nil
		for i, n := range rapid.SliceOfN(rapid.Int64Range(1, 1e13), 1, 20).Draw(r, "paise") {
			b.Orders = append(b.Orders, order(fmt.Sprintf("MLP%X", i),
				rapid.StringMatching(`[0-9]{8,17}[1-9]`).Draw(r, "account"),
				rapid.StringMatching(`[A-Z]{4}0[A-Z0-9]{6}`).Draw(r, "ifsc"),
				rapid.StringMatching(`[a-zA-Z][a-zA-Z\t\n ]{0,29}`).Draw(r, "name"), money.Paise(n)))
		}
		var file bytes.Buffer
		if err := layout.Write(&file, b); err != nil {
			r.Fatal(err)
		}
		results, err := layout.Read(&file)
		if err != nil || len(results) != len(b.Orders) {
			r.Fatal(results, err)
		}
		for i, result := range results {
			o := b.Orders[i]
			if result.Reference != o.Reference || result.Amount != o.Amount || result.Standing != payout.Paid {
				r.Fatalf("%+v of %+v", result, o)
			}
		}
	})
}

// Whatever the file, nothing is paid but by a row whose status is the word.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"MLP1,Paid,5.00\nTRL,1,5.00\n", "TRL,0,0\n", "MLP1,Not paid,5.00\nMLP1,Paid,5.00\nTRL,2,10.00\n",
		"\xff\xfeM\x00", "\"MLP1\",\"Paid\n\",5\nTRL,1,5\n", ",,\n\r\n\"\"\n", "MLP1,Paid,1e1\nTRL,1,10\n",
	} {
		f.Add([]byte(seed))
	}
	text := strings.Replace(whole, "response:\n  header: true", "response:\n  header: false\n  controls: [{column: 1, mark: TRL, count: 2, total: 3}]", 1)
	text = strings.Replace(text, "{reference: Ref, status: Status, utr: UTR, bank_id: Bank ID, why: Reason, amount: Amount}", "{reference: 1, status: 2, amount: 3}", 1)
	layout, err := own(f, text)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		results, err := layout.Read(bytes.NewReader(file))
		if err != nil {
			if results != nil {
				t.Fatal("an error, and results")
			}
			return
		}
		seen := map[string]bool{}
		for _, result := range results {
			if result.Reference == "" && result.Standing != payout.Unclear {
				t.Fatalf("of nobody: %+v", result)
			}
			if result.Reference != "" && seen[result.Reference] {
				t.Fatalf("told twice: %+v", result)
			}
			seen[result.Reference] = true
			lower := bytes.ToLower(bytes.ReplaceAll(file, []byte{0}, nil))
			if result.Standing == payout.Paid && !bytes.Contains(lower, []byte("paid")) && !bytes.Contains(lower, []byte("success")) {
				t.Fatalf("paid by nothing: %+v", result)
			}
		}
	})
}
