package bulkfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
)

// Every layout that comes with milaan writes the file beside it, and reads the
// answer beside it.
func TestLayoutsKeepTheirExamples(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"axis":  "axis_20260305_B7.csv",
		"hdfc":  "KAVE0503.002",
		"icici": "PAB05032026B7.csv",
		"kotak": "KAVE_05032026_B7.txt",
	}
	codes := map[string][]string{"hdfc": {"client_code"}, "kotak": {"client_code", "product_code"}}
	answers := map[string][]bulkfile.Result{
		"axis": {
			{Reference: "MLP1A", Amount: 150000, Answer: payout.Answer{Standing: payout.Paid, BankRef: "606412345671", ProviderRef: "CN0001112223"}},
			{Reference: "MLP1B", Amount: 99999, Answer: payout.Answer{Standing: payout.Refused, ProviderRef: "CX0001112224", Why: "Beneficiary account closed"}},
			{Reference: "MLP1C", Amount: 1, Answer: payout.Answer{Standing: payout.Unclear, ProviderRef: "CN0001112225", Why: `the status "PROCESSING" is not in the layout; With the bank`}},
		},
		"hdfc": {
			{Reference: "MLP1A", Amount: 150000, Answer: payout.Answer{Standing: payout.Paid, BankRef: "606412345671", ProviderRef: "N064261234567890"}},
			{Reference: "MLP1B", Amount: 99999, Answer: payout.Answer{Standing: payout.Refused, Why: "INVALID ACCOUNT xxxx"}},
			{Reference: "MLP1C", Amount: 1, Answer: payout.Answer{Standing: payout.Unclear, Why: `the status "" is not in the layout`}},
		},
	}
	if got := bulkfile.Layouts(); !slices.Equal(got, []string{"axis", "hdfc", "icici", "kotak"}) {
		t.Fatal(got)
	}
	for _, name := range bulkfile.Layouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layout := open(t, name)
			if layout.Name() != name || !slices.Equal(layout.Codes(), codes[name]) || layout.Reads() != (answers[name] != nil) {
				t.Errorf("name %s, codes %v, reads %v", layout.Name(), layout.Codes(), layout.Reads())
			}
			file, err := layout.FileName(batch())
			if err != nil || file != names[name] {
				t.Errorf("file %q, %v", file, err)
			}
			want, err := os.ReadFile("layouts/" + name + ".upload")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), write(t, layout, batch())); diff != "" {
				t.Error(diff)
			}
			if !layout.Reads() {
				_, err := layout.Read(bytes.NewReader(nil))
				refused(t, err, bulkfile.ErrLayout, "add its response")
				return
			}
			answer, err := os.ReadFile("layouts/" + name + ".response")
			if err != nil {
				t.Fatal(err)
			}
			results, err := layout.Read(bytes.NewReader(answer))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(answers[name], results); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The layout in the documentation is one.
func TestDocumentedLayout(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/payout-files.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, ok := strings.Cut(text, "```\n")
	if !ok {
		t.Fatal("it shows no layout")
	}
	layout, err := own(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if file, err := layout.FileName(batch()); err != nil || file != "KAVE0503.002" {
		t.Error(file, err)
	}
	if got := write(t, layout, batch()); !strings.HasPrefix(got, "H,B7,05032026\r\n") || !strings.HasSuffix(got, "T,4,502500.00\r\n") {
		t.Error(got)
	}
	for _, name := range bulkfile.Layouts() {
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("it says nothing of %s", name)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, words string }{
		{"unknown key", with(t, "bank: ICIC", "bank: ICIC\nbnak: x"), "bnak"},
		{"bank", with(t, "bank: ICIC", "bank: icici"), "four capitals"},
		{"max", with(t, `"500000.00"`, `"-5"`), "other_bank: max"},
		{"unknown field", with(t, "{name}", "{payee}"), "{payee} is not a field"},
		{"needless argument", with(t, "{name}", "{name:x}"), "takes nothing"},
		{"missing argument", with(t, "{date:02012006}", "{date}"), "what follows"},
		{"open brace", with(t, "{name}", "{name"), "fields such as"},
		{"date of another language", with(t, "{date:02012006}", "{date:dd/mm/yyyy}"), "second of January"},
		{"date without day", with(t, "{date:02012006}", "{date:01/2006}"), "second of January"},
		{"date without month", with(t, "{date:02012006}", "{date:02/2006}"), "second of January"},
		{"sequence", with(t, "{date:02012006}", "{sequence:0}"), "how many digits"},
		{"code", with(t, "{date:02012006}", "{code:Client Code}"), "small letters"},
		{"account in the file name", with(t, "{batch}", "{account}"), "whole batch"},
		{"own account in the file name", with(t, "{batch}", "{debit_account}"), "no account"},
		{"no file name", with(t, `"x{date:02012006}{batch}.csv"`, `""`), "file"},
		{"order in the last line", with(t, "  header: true\n  columns:\n    - {header: Ref", "  header: true\n  last: [T, \"{amount}\"]\n  columns:\n    - {header: Ref"), "last: cell 2"},
		{"no reference", with(t, "{reference}", "x"), "{reference}"},
		{"no account", with(t, `    - {header: Account, text: "{account}"}`, ""), "{account}"},
		{"reference of some rows only", with(t, `text: "{reference}"`, `text: "{reference}", only: same_bank`), "{reference}"},
		{"only", with(t, `text: "{name}"`, `text: "{name}", only: sometimes`), "only"},
		{"cut account", with(t, `text: "{account}"`, `text: "{account}", max: 9, cut: true`), "only names and notes"},
		{"cut without max", with(t, `text: "{name}"`, `text: "{name}", cut: true`), "needs max"},
		{"negative max", with(t, `text: "{name}"`, `text: "{name}", max: -1`), "below zero"},
		{"quote in a header", with(t, "header: Name", `header: 'N"'`), "header"},
		{"text with a line end", with(t, `"{name}"`, `"{name}\n"`), "plain signs"},
		{"separator of two", with(t, "  header: true", "  separator: \"||\"\n  header: true"), "one sign"},
		{"separator of a letter", with(t, "  header: true", "  separator: x\n  header: true"), "one sign"},
		{"separator of a quote", with(t, "  header: true", "  separator: '\"'\n  header: true"), "one sign"},
		{"quote", with(t, "  header: true", "  quote: maybe\n  header: true"), "maybe"},
		{"line end", with(t, "  header: true", "  line_end: cr\n  header: true"), "line_end"},
		{"encoding", with(t, "  header: true", "  encoding: klingon\n  header: true"), "encoding"},
		{"amount", with(t, "  header: true", "  amount: float\n  header: true"), "amount"},
		{"max_orders", with(t, "  header: true", "  max_orders: 1000000\n  header: true"), "max_orders"},
		{"response without status", with(t, "status: Status, ", ""), "status must be told"},
		{"numbers without header", with(t, "response:\n  header: true", "response:\n  header: false"), "numbers from 1"},
		{"word of two meanings", with(t, "[Failed, Rejected]", "[Failed, ' SUCCESS ']"), "twice"},
		{"empty word", with(t, "[Failed, Rejected]", "[Failed, ' ']"), "empty"},
		{"no word for paid", with(t, "[Paid, Success]", "[]"), "must be told"},
		{"control without mark", with(t, "  words:", "  controls: [{column: 1, count: 2}]\n  words:"), "mark"},
		{"control of nothing", with(t, "  words:", "  controls: [{column: 1, mark: T}]\n  words:"), "controls nothing"},
		{"control total without amounts", strings.Replace(with(t, "  words:", "  controls: [{column: 1, mark: T, total: 2}]\n  words:"), ", amount: Amount", "", 1), "amounts"},
		{"no yaml", "\t{", "own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := own(t, c.text)
			refused(t, err, bulkfile.ErrLayout, c.words)
		})
	}
	if _, err := own(t, whole); err != nil {
		t.Error(err)
	}
	_, err := bulkfile.Open("sbi")
	refused(t, err, bulkfile.ErrLayout, "icici")
	_, err = bulkfile.Open(filepath.Join(t.TempDir(), "none.yaml"))
	refused(t, err, os.ErrNotExist, "open a layout")
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*bulkfile.Batch)
		words  string
	}{
		{"id", func(b *bulkfile.Batch) { b.ID = "../7" }, "its id"},
		{"no time", func(b *bulkfile.Batch) { b.At = time.Time{} }, "no time"},
		{"no orders", func(b *bulkfile.Batch) { b.Orders = nil }, "there are none"},
		{"debit account", func(b *bulkfile.Batch) { b.Debit.Account = "12" }, "account to pay from"},
		{"debit IFSC", func(b *bulkfile.Batch) { b.Debit.IFSC = "icic0000044" }, "account to pay from"},
		{"debit name", func(b *bulkfile.Batch) { b.Debit.Name = "=1+1" }, "holder"},
		{"note as formula", func(b *bulkfile.Batch) { b.Note = "@SUM(A1)" }, "note"},
		{"note as formula behind spaces", func(b *bulkfile.Batch) { b.Note = "  =SUM(A1)" }, "note"},
		{"note with a line end", func(b *bulkfile.Batch) { b.Note = "a\nb" }, "note"},
		{"e-mail address with a quote", func(b *bulkfile.Batch) { b.Email = `"x"@y` }, "e-mail"},
		{"code", func(b *bulkfile.Batch) { b.Debit.Codes["client_code"] = "=x" }, "client_code"},
		{"twice", func(b *bulkfile.Batch) { b.Orders[1].Reference = "MLP1A" }, "MLP1A is in it twice"},
		{"two wallets", func(b *bulkfile.Batch) { b.Orders[1].Wallet = "other" }, "MLP1B is paid from another wallet"},
		{"reference", func(b *bulkfile.Batch) { b.Orders[0].Reference = "mlp 1" }, "is no reference"},
		{"account", func(b *bulkfile.Batch) { b.Orders[0].Account = "12345678A" }, "MLP1A: no valid account"},
		{"account with a space", func(b *bulkfile.Batch) { b.Orders[0].Account = " 50100200300401" }, "MLP1A: no valid account"},
		{"IFSC", func(b *bulkfile.Batch) { b.Orders[0].IFSC = "HDFC1000001" }, "MLP1A: no valid IFSC"},
		{"no name", func(b *bulkfile.Batch) { b.Orders[0].Name = " \t" }, "MLP1A: the beneficiary's name"},
		{"formula as name", func(b *bulkfile.Batch) { b.Orders[0].Name = "=cmd" }, "MLP1A: the beneficiary's name"},
		{"separator in a name", func(b *bulkfile.Batch) { b.Orders[0].Name = "Asha,Rao" }, "MLP1A: the beneficiary's name"},
		{"letters that only look it", func(b *bulkfile.Batch) { b.Orders[0].Name = "Аsha" }, "MLP1A: the beneficiary's name"},
		{"nothing", func(b *bulkfile.Batch) { b.Orders[0].Amount = 0 }, "MLP1A: the amount"},
		{"less than nothing", func(b *bulkfile.Batch) { b.Orders[0].Amount = -1 }, "MLP1A: the amount"},
		{"dollars", func(b *bulkfile.Batch) { b.Orders[0].Currency = "USD" }, "MLP1A: only rupees"},
		{"more than IMPS", func(b *bulkfile.Batch) { b.Orders[0].IFSC, b.Orders[0].Amount = "SBIN0000001", 50_000_001 }, "MLP1A: one payout may be ₹500000.00"},
		{"too long a name", func(b *bulkfile.Batch) { b.Orders[0].Name = strings.Repeat("a", 71) }, "MLP1A: column"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range bulkfile.Layouts() {
				b := batch()
				c.change(&b)
				var out bytes.Buffer
				err := open(t, name).Write(&out, b)
				refused(t, err, bulkfile.ErrBatch, c.words)
				if out.Len() > 0 {
					t.Errorf("%s: half a file was written", name)
				}
				for _, o := range b.Orders {
					if len(o.Account) > 5 && strings.Contains(err.Error(), string(o.Account)) {
						t.Errorf("%s: the error holds an account number: %v", name, err)
					}
				}
			}
		})
	}
}

func TestWriteNeedsTheBanksCodes(t *testing.T) {
	t.Parallel()
	b := batch()
	b.Debit.Codes = nil
	refused(t, open(t, "kotak").Write(&bytes.Buffer{}, b), bulkfile.ErrBatch, "client_code")
	_, err := open(t, "hdfc").FileName(b)
	refused(t, err, bulkfile.ErrBatch, "client_code")
	b = batch()
	for _, sequence := range []int{0, 1000} {
		b.Sequence = sequence
		_, err = open(t, "hdfc").FileName(b)
		refused(t, err, bulkfile.ErrBatch, "counts the day's files")
	}
	b = batch()
	b.Debit.Codes["client_code"] = "../x"
	_, err = open(t, "hdfc").FileName(b)
	refused(t, err, bulkfile.ErrBatch, "none for a file")
}

func TestWriteForms(t *testing.T) {
	t.Parallel()
	one := batch()
	one.Orders = one.Orders[:1]
	for _, c := range []struct{ name, text, want string }{
		{"as it is", whole, "Ref,Amount,Account,IFSC,Name\r\nMLP1A,1500.00,50100200300401,HDFC0000001,Asha Rao\r\n"},
		{"lines, bars, short amounts", with(t, "  header: true", "  line_end: lf\n  separator: \"|\"\n  amount: short"), "MLP1A|1500|50100200300401|HDFC0000001|Asha Rao\n"},
		{"quoted, paise", with(t, "  header: true", "  quote: always\n  amount: paise"), "\"MLP1A\",\"150000\",\"50100200300401\",\"HDFC0000001\",\"Asha Rao\"\r\n"},
		{"quoted where needed", with(t, "  header: true", "  separator: \" \"\n"), ""},
		{"around the rows", with(t, "  header: true", "  header: true\n  first: [H, \"{batch}\", \"{debit_account}\"]\n  last: [T, \"{count}\", \"{total}\"]"),
			"H,B7,004405001122\r\nRef,Amount,Account,IFSC,Name\r\nMLP1A,1500.00,50100200300401,HDFC0000001,Asha Rao\r\nT,1,1500.00\r\n"},
		{"cut", with(t, `text: "{name}"`, `text: "{name}", max: 5, cut: true`), "Ref,Amount,Account,IFSC,Name\r\nMLP1A,1500.00,50100200300401,HDFC0000001,Asha\r\n"},
		{"row and mode", with(t, `text: "{name}"`, `text: "{row}{mode}-{name}"`), "Ref,Amount,Account,IFSC,Name\r\nMLP1A,1500.00,50100200300401,HDFC0000001,1IMPS-Asha Rao\r\n"},
		{"quotes for a comma", with(t, `text: "{name}"`, `text: "{name}, {note}"`), "Ref,Amount,Account,IFSC,Name\r\nMLP1A,1500.00,50100200300401,HDFC0000001,\"Asha Rao, Shop payouts\"\r\n"},
		{"utf-16", with(t, "  header: true", "  encoding: utf-16le\n  quote: never"), utf16("MLP1A,1500.00,50100200300401,HDFC0000001,Asha Rao\r\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			layout, err := own(t, c.text)
			if c.want == "" {
				refused(t, err, bulkfile.ErrLayout, "separator")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, write(t, layout, one)); diff != "" {
				t.Error(diff)
			}
		})
	}
	layout, err := own(t, with(t, "  header: true", "  quote: never\n  max_orders: 2"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, layout.Write(&bytes.Buffer{}, batch()), bulkfile.ErrBatch, "takes 2")
	layout, err = own(t, strings.Replace(with(t, "  header: true", "  quote: never"), `text: "{name}"`, `text: "{name}, {note}"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, layout.Write(&bytes.Buffer{}, one), bulkfile.ErrBatch, "MLP1A: a text holds a sign")
}

func utf16(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte(text[i])
		b.WriteByte(0)
	}
	return b.String()
}
