package statement_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/money"
)

// large is a statement of n rows, headings included.
func large(n int) [][]string {
	table := [][]string{{"Date", "Narration", "Chq./Ref.No.", "Value Dt", "Withdrawal Amt.", "Deposit Amt.", "Closing Balance"}}
	balance := money.Paise(0)
	start := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		day := start.AddDate(0, 0, i*300/n).Format("02/01/06")
		rrn := 600000000000 + i
		amount := money.Paise(100 + i%99_900)
		in, out := amount.Fixed(), ""
		if i%5 == 4 {
			in, out = out, in
			balance -= amount
		} else {
			balance += amount
		}
		table = append(table, []string{
			day, fmt.Sprintf("UPI-PAYER NUMBER %d-PAYER%d@OKBANK-SBIN0004321-%d-ORDER %d", i, i, rrn, i),
			fmt.Sprintf("0000%d", rrn), day, out, in, balance.Fixed(),
		})
	}
	return table
}

func csvOf(table [][]string) []byte {
	var b bytes.Buffer
	for _, row := range table {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(cell)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func xlsxOf(tb testing.TB, table [][]string) []byte {
	tb.Helper()
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		tb.Fatal(err)
	}
	for i, row := range table {
		cells := make([]any, len(row))
		for j, c := range row {
			cells[j] = c
		}
		if err := w.SetRow(fmt.Sprintf("A%d", i+1), cells); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	const rows = 100_000
	table := large(rows)
	for name, content := range map[string][]byte{"csv": csvOf(table), "xlsx": xlsxOf(b, table)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := statement.Read(b.Context(), bytes.NewReader(content), int64(len(content)), statement.Options{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for line, err := range s.Lines(b.Context()) {
					if err != nil {
						b.Fatal(err)
					}
					if line.UTR == "" {
						b.Fatalf("line %d has no UTR: %s", line.Number, line.Why)
					}
					n++
				}
				if n != rows {
					b.Fatalf("%d rows", n)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
