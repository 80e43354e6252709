package bulkfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// evening is the next day in India.
var evening = time.Date(2026, 3, 4, 20, 15, 0, 0, time.UTC)

func order(reference, account, ifsc, name string, amount money.Paise) payout.Order {
	return payout.Order{
		Reference:   reference,
		Beneficiary: payout.Beneficiary{Account: upi.AccountNumber(account), IFSC: upi.IFSC(ifsc), Name: name},
		Amount:      amount,
		Currency:    money.INR,
		At:          evening,
		Wallet:      "main",
	}
}

// batch pays one beneficiary in each of the banks that layouts come for, so that
// every layout has one within its bank.
func batch() bulkfile.Batch {
	return bulkfile.Batch{
		ID:       "B7",
		At:       evening,
		Sequence: 2,
		Debit: bulkfile.Debit{
			Account: "004405001122",
			IFSC:    "ICIC0000044",
			Name:    "Kaveri Traders & Sons",
			Codes:   map[string]string{"client_code": "KAVE", "product_code": "VPAY"},
		},
		Note:  "Shop payouts",
		Email: "desk@kaveri.example",
		Orders: []payout.Order{
			order("MLP1A", "50100200300401", "HDFC0000001", "Asha Rao", 1500*money.Rupee),
			order("MLP1B", "000701567890", "ICIC0000007", " Ravi\t Kumar  Iyer\n", 99999),
			order("MLP1C", "912010034567890", "UTIB0000012", "Meena", 1),
			order("MLP1D", "0123456789", "KKBK0000958", "Om Prakash", 500_000*money.Rupee),
		},
	}
}

func open(t *testing.T, nameOrPath string) *bulkfile.Layout {
	t.Helper()
	layout, err := bulkfile.Open(nameOrPath)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// own writes a layout of an operator's and opens it.
func own(tb testing.TB, text string) (*bulkfile.Layout, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "own.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return bulkfile.Open(path)
}

func write(t *testing.T, layout *bulkfile.Layout, b bulkfile.Batch) string {
	t.Helper()
	var out bytes.Buffer
	if err := layout.Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// refused fails the test unless the error is of the kind and says the words.
func refused(t *testing.T, err, kind error, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v, want %v with %q", err, kind, words)
	}
}

// whole is a usable layout; tests replace parts of it.
const whole = `
bank: ICIC
mode:
  same_bank: {text: FT}
  other_bank: {text: IMPS, max: "500000.00"}
upload:
  file: "x{date:02012006}{batch}.csv"
  header: true
  columns:
    - {header: Ref, text: "{reference}"}
    - {header: Amount, text: "{amount}"}
    - {header: Account, text: "{account}"}
    - {header: IFSC, text: "{ifsc}"}
    - {header: Name, text: "{name}"}
response:
  header: true
  columns: {reference: Ref, status: Status, utr: UTR, bank_id: Bank ID, why: Reason, amount: Amount}
  words:
    paid: [Paid, Success]
    refused: [Failed, Rejected]
    pending: [In process]
`

func with(t *testing.T, old, replacement string) string {
	t.Helper()
	if !strings.Contains(whole, old) {
		t.Fatalf("%q is not in the layout", old)
	}
	return strings.Replace(whole, old, replacement, 1)
}
