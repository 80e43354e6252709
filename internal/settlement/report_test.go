package settlement

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

var kinds = []ledger.PostingKind{
	ledger.DepositCredited, ledger.DepositFee, ledger.WithdrawalHeld, ledger.WithdrawalReturned, ledger.WithdrawalCameBack,
	ledger.WithdrawalPaid, ledger.CreditReversed, "a kind that is not known yet",
}

// Whatever the ledger sums, the lines come to what it did to the balance.
func TestLinesAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sums := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Sum {
			s := Sum{
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Settlement: rapid.Bool().Draw(t, "settlement"), Out: rapid.Bool().Draw(t, "out"),
				Count: rapid.Int64Range(1, 1e6).Draw(t, "count"), Amount: money.Paise(rapid.Int64Range(1, 1e12).Draw(t, "amount")),
			}
			if s.Kind == ledger.WithdrawalHeld {
				s.Fee = money.Paise(rapid.Int64Range(0, int64(s.Amount)).Draw(t, "fee"))
			}
			return s
		})).Draw(t, "sums")
		var want, got money.Paise
		for _, s := range sums {
			if s.Out {
				want -= s.Amount
			} else {
				want += s.Amount
			}
		}
		all := lines(sums)
		for _, l := range all {
			got += l.Amount
		}
		if got != want || len(all) != len(lineOrder) {
			t.Fatalf("%+v come to %s, want %s", all, got, want)
		}
	})
}

func sample(t *testing.T) *Report {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	return &Report{
		Merchant: "shop", Settlement: "settlement-2026-11-23", From: time.UnixMicro(0).UTC(), To: time.Date(2026, 11, 23, 12, 30, 0, 123457000, time.UTC),
		Opening: 0, Closing: 100_00, zone: zone,
		Lines: lines([]Sum{
			{Kind: ledger.DepositCredited, Count: 3, Amount: 1500_00},
			{Kind: ledger.DepositFee, Out: true, Count: 3, Amount: 15_00},
			{Kind: ledger.WithdrawalHeld, Settlement: true, Out: true, Count: 1, Amount: 1385_00, Fee: 5_00},
		}),
		Payouts: []Payout{{ID: 7, WithdrawalID: "settlement-2026-11-23", Amount: 1380_00, Fee: 5_00, State: payout.Success, Account: "xxxx5544", BankRef: `=HYPERLINK("http://evil.example","5")`}},
	}
}

func written(t *testing.T, f Format) string {
	t.Helper()
	var b strings.Builder
	if err := sample(t).Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	got := strings.Split(written(t, Text), "\n")
	want := []string{
		"settlement-2026-11-23 of shop, the beginning to 2026-11-23 18:00:00 (Asia/Kolkata)", "", "COUNT AMOUNT", "Opening balance ₹0.00",
		"Deposits 3 ₹1,500.00", "Deposit fees 3 -₹15.00", "Withdrawals 0 ₹0.00", "Withdrawal fees 0 ₹0.00", "Withdrawals returned 0 ₹0.00",
		"Settlements 1 -₹1,380.00", "Settlement fees 1 -₹5.00", "Settlements returned 0 ₹0.00", "Adjustments 0 ₹0.00", "Closing balance ₹100.00", "",
		"PAYOUT ID AMOUNT FEE TO STATE UTR",
		`7 settlement-2026-11-23 ₹1,380.00 ₹5.00 xxxx5544 success =HYPERLINK("http://evil.example","5")`, "",
	}
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(strings.NewReader(written(t, CSV))).ReadAll()
	if err != nil || len(rows) != 1+len(lineOrder)+2+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	var sum money.Paise
	for _, row := range rows[1:] {
		for i, text := range row {
			if i != 6 && text != "" && strings.ContainsAny(text[:1], "=+-@\t\r\n") {
				t.Errorf("a spreadsheet computes %q", text)
			}
		}
		if row[6] == "" {
			continue
		}
		amount, err := money.Parse(row[6])
		if err != nil {
			t.Fatal(err)
		}
		if row[4] == "closing" {
			if sum != amount {
				t.Errorf("the rows come to %s, not to %s", sum, amount)
			}
			break
		}
		sum += amount
	}
	if last := rows[len(rows)-1]; last[6] != "" || last[7] != "1380.00" || last[10] != `'=HYPERLINK("http://evil.example","5")` {
		t.Errorf("the payout is %q", last)
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "shop": "shop", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\tx": "'\tx", "\r": "'\r",
	} {
		if got := cell(text); got != want {
			t.Errorf("%q is written as %q, want %q", text, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	var got Report
	if err := json.Unmarshal([]byte(written(t, JSON)), &got); err != nil {
		t.Fatal(err)
	}
	if want := sample(t); got.Closing != want.Closing || len(got.Lines) != len(lineOrder) || got.Lines[0] != want.Lines[0] || !got.To.Equal(want.To) || got.Payouts[0] != want.Payouts[0] {
		t.Errorf("read back as %+v", got)
	}
	var b strings.Builder
	if err := sample(t).Write(&b, "xml"); err == nil || b.Len() > 0 {
		t.Errorf("xml is written: %v", err)
	}
}
