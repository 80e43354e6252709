package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shell runs commands on one installation, as an operator would.
type shell struct {
	*testing.T
	dir string
}

func newShell(t *testing.T, file string) *shell {
	t.Helper()
	s := &shell{t, t.TempDir()}
	s.mustRun(exitDone, "", "apply", s.write("install.yaml", file))
	return s
}

func (s *shell) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// mustRun runs a command and checks its exit code, and that it says a text.
func (s *shell) mustRun(code int, says string, args ...string) string {
	s.Helper()
	var out, errs bytes.Buffer
	got := run(s.Context(), append([]string{"--database-url", "sqlite://" + filepath.Join(s.dir, "milaan.db")}, args...), &out, &errs)
	text := out.String() + errs.String()
	if got != code || !strings.Contains(text, says) {
		s.Fatalf("milaan %s: exit code %d, want %d, saying %q:\n%s", strings.Join(args, " "), got, code, says, text)
	}
	return out.String()
}

const installation = `
merchants:
  - {id: shop, name: Shop, domain: shop.localhost, postback: {url: 'http://127.0.0.1:9/', private_key: PK}}
wallets:
  - {id: w1, method: upi_l, vpa: test@upi, merchants: [shop], bank: sbi, account: "2101"}
  - {id: w2, method: upi_l, vpa: other@upi, merchants: [shop], bank: hdfc}
feeds:
  - {id: phone1, kind: sms, wallet: w1, token: smstoken}
`

const statementOfMay = "Account Name\t:\tSAMPLE\nAccount Number\t:\t_00000098765432101\nIFS Code\t:\tSBIN0004321\nBalance as on 1 May 2026\t:\t1,000.00\n\n" +
	"Txn Date\tValue Date\tDescription\tRef No./Cheque No.\tDebit\tCredit\tBalance\n" +
	"1 May 2026\t1 May 2026\tBY TRANSFER-UPI/CR/612112345701/ANITA DE/HDFC/anita.desa/rent --\tTRANSFER FROM 4897736162097\t \t1,500.00\t2,500.00\n" +
	"2 May 2026\t2 May 2026\tTO TRANSFER-UPI/DR/612212345702/SHOP/YESB/shop@ybl/food--\tTRANSFER TO 4897691162095\t380.00\t \t2,120.00\n" +
	"3 May 2026\t3 May 2026\tBY CASH DEPOSIT SELF\t \t \t40.00\t2,160.00\n" +
	"4 May 2026\t4 May 2026\tCREDIT INTEREST\t \t \t12.50\t2,172.50\n"

// TestStatementCommands follows a statement into the books: imported, imported
// again, compared, and put right.
func TestStatementCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, installation)
	file := s.write("may.xls", statementOfMay)

	lines := strings.Split(strings.TrimSpace(s.mustRun(exitDone, "", "parse", "statement", file)), "\n")
	kinds := make([]string, 0, len(lines))
	for _, line := range lines {
		var l struct{ Kind, UTR, Amount string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, l.Kind+" "+l.UTR+" "+l.Amount)
	}
	if got, want := strings.Join(kinds, "; "), "credit 612112345701 1500.00; debit 612212345702 380.00; "; !strings.HasPrefix(got, want) || len(kinds) != 4 {
		t.Errorf("parsed %s", got)
	}

	s.mustRun(exitFailed, "there is no wallet", "import", "statement", file, "--wallet", "none")
	s.mustRun(exitFailed, "wallet w2 is with hdfc", "import", "statement", file, "--wallet", "w2")
	s.mustRun(exitFailed, "not imported", "import", "statement", s.write("empty.csv", "nothing here"), "--wallet", "w1")
	first := s.mustRun(exitDone, "", "import", "statement", file, "--wallet", "w1", "--actor", "asha")
	again := s.mustRun(exitDone, "", "import", "statement", file, "--wallet", "w1")
	for _, want := range []struct{ text, row string }{
		{first, "read 4"}, {first, "new 1"}, {first, "already known 0"}, {again, "read 4"}, {again, "new 0"},
	} {
		if !strings.Contains(strings.Join(strings.Fields(want.text), " "), want.row) {
			t.Errorf("no %q in\n%s", want.row, want.text)
		}
	}
	report := s.mustRun(exitFailed, "statements and books differ", "reconcile", "w1")
	if !strings.Contains(report, "₹40.00") {
		t.Errorf("the cash is not among the differences:\n%s", report)
	}
	s.mustRun(exitUsage, "12 digits", "feeds", "credit", "--wallet", "w1", "--utr", "1", "--amount", "40", "--why", "slip 7")
	s.mustRun(exitDone, "every invariant holds", "verify")
	s.mustRun(exitFailed, "has no statement", "reconcile", "w2")
}

// TestFeedCommands shows feeds, and books a credit by hand.
func TestFeedCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, installation)
	s.mustRun(exitDone, "never", "feeds")
	s.mustRun(exitDone, "no message waits for a person", "feeds", "inbox")
	s.mustRun(exitDone, "is new", "feeds", "credit", "--wallet", "w1", "--utr", "612112345701", "--amount", "40", "--payer", "a@okaxis", "--why", "the bank's site")
	s.mustRun(exitDone, "is known", "feeds", "credit", "--wallet", "w1", "--utr", "612112345701", "--amount", "40", "--why", "again")
	s.mustRun(exitFailed, "known with another amount", "feeds", "credit", "--wallet", "w1", "--utr", "612112345701", "--amount", "41", "--why", "again")
	s.mustRun(exitFailed, "no such credit", "review", "clear", "7", "--why", "x")
	s.mustRun(exitDone, "every invariant holds", "verify")
}

// TestParseMessages: messages keep their order, and a line that is none its
// place (contract, milaan parse).
func TestParseMessages(t *testing.T) {
	t.Parallel()
	s := newShell(t, installation)
	file := s.write("sms.jsonl", `{"sender":"VM-HDFCBK-S","text":"Rs.500.00 credited to HDFC Bank A/c XX1234 on 23-11-26 from VPA payer@okaxis (UPI 632712345678)"}
not json
{"sender":"+919812345678","text":"Rs.500.00 credited to HDFC Bank A/c XX1234 on 23-11-26 from VPA payer@okaxis (UPI 632712345678)"}
{"sender":"VM-HDFCBK-S","text":"123456 is your OTP"}
`)
	var got []string
	for line := range strings.Lines(s.mustRun(exitDone, "", "parse", "sms", file)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"kind", "utr", "amount", "payer_vpa", "payer_name", "account_tail", "time", "why"} {
			if _, there := m[key]; !there {
				t.Errorf("%s lacks %s", line, key)
			}
		}
		kind, _ := m["kind"].(string)
		utr, _ := m["utr"].(string)
		got = append(got, strings.TrimSpace(kind+" "+utr))
	}
	if want := "credit 632712345678, unparsed, ignored, ignored"; strings.Join(got, ", ") != want {
		t.Errorf("read %s, want %s", strings.Join(got, ", "), want)
	}
	s.mustRun(exitFailed, "no such file", "parse", "sms", filepath.Join(s.dir, "none"))
}
