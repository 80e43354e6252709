package statement_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/money"
)

// movementRow is a made-up row of an account.
type movementRow struct {
	day     time.Time
	credit  bool
	amount  money.Paise
	utr     string
	balance money.Paise
}

func drawRows(t *rapid.T, least int) []movementRow {
	balance := money.Paise(rapid.Int64Range(0, 1e9).Draw(t, "opening"))
	day := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	var rows []movementRow
	for i := range rapid.IntRange(least, 30).Draw(t, "rows") {
		r := movementRow{credit: rapid.Bool().Draw(t, "credit"), amount: money.Paise(rapid.Int64Range(1, 1e8).Draw(t, "amount"))}
		day = day.AddDate(0, 0, rapid.IntRange(1, 20).Draw(t, "days"))
		r.day = day
		r.utr = fmt.Sprintf("%012d", int64(i+1)*1e9+rapid.Int64Range(0, 1e9-1).Draw(t, "rrn"))
		if balance += r.amount; !r.credit {
			balance -= 2 * r.amount
		}
		r.balance = balance
		rows = append(rows, r)
	}
	return rows
}

// grouped prints an amount with lakh, western or no grouping.
func grouped(p money.Paise, style string) string {
	whole, paise, _ := strings.Cut(p.Fixed(), ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	step := map[string]int{"lakh": 2, "western": 3}[style]
	if step == 0 || len(whole) <= 3 {
		return sign + whole + "." + paise
	}
	head, tail := whole[:len(whole)-3], whole[len(whole)-3:]
	for len(head) > step {
		head, tail = head[:len(head)-step], head[len(head)-step:]+","+tail
	}
	return sign + head + "," + tail + "." + paise
}

// render writes the rows in a layout that is drawn piece by piece.
func render(t *rapid.T, rows []movementRow) []byte {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	dates := pick("dates", "02/01/06", "02-01-2006", "02-Jan-2006", "2 Jan 2006", "2006-01-02", "02/01/2006 15:04:05", "02.01.2006", "02-Jan-06", "02/01/2006 03:04 PM")
	style := pick("grouping", "lakh", "western", "none")
	empty := pick("empty", "", "-", " ", "0.00")
	form := pick("form", "two columns", "flag", "suffix", "sign")
	if form == "sign" && !slices.ContainsFunc(rows, func(r movementRow) bool { return !r.credit }) {
		form = "suffix" // nothing would say what an amount without a sign is
	}
	texts := pick("narration", "UPI/CR/%s/ANITA DESAI/SBIN/x", "UPI-ANITA DESAI-ANITA-1@OKSBI-SBIN0004321-%s-A, B", "MMT/IMPS/%s/rent/ANITA/SBIN", "UPI/ANITA/%s/rent", "BY TRANSFER-UPI/CR/%s/ANITA/SBIN--")
	balanceMark := pick("balance", "sign", "suffix")
	newestFirst := rapid.Bool().Draw(t, "newest first")
	signed := func(p money.Paise) string {
		switch {
		case balanceMark == "sign":
			return grouped(p, style)
		case p < 0:
			return grouped(-p, style) + "Dr"
		}
		return grouped(p, style) + "Cr"
	}
	head := []string{
		pick("date heading", "Date", "Txn Date", "Transaction Date", "Tran Date", "Post Date"),
		pick("text heading", "Narration", "Description", "PARTICULARS", "Transaction Remarks", "Remarks", "Details"),
	}
	switch form {
	case "two columns":
		head = append(head, pick("debit heading", "Debit", "DR", "Withdrawal Amt.", "Withdrawal Amount (INR )", "WITHDRAWAL(DR)"), pick("credit heading", "Credit", "CR", "Deposit Amt.", "Deposit Amount (INR )", "DEPOSIT(CR)"))
	case "flag":
		head = append(head, pick("amount heading", "Amount", "Transaction Amount(INR)", "Amount (Rs.)"), pick("flag heading", "Dr / Cr", "Type", "Cr/Dr", "Debit/Credit"))
	default:
		head = append(head, "Amount")
	}
	head = append(head, pick("balance heading", "Balance", "BAL", "Closing Balance", "Available Balance(INR)", "Running Balance"))
	var table [][]string
	for range rapid.IntRange(0, 20).Draw(t, "preamble") {
		table = append(table, []string{"Account holder", "Somebody"})
	}
	table = append(table, head)
	body := slices.Clone(rows)
	if newestFirst {
		slices.Reverse(body)
	}
	for _, r := range body {
		cells := []string{r.day.Format(dates), fmt.Sprintf(texts, r.utr)}
		amount := grouped(r.amount, style)
		mark := map[bool]string{true: "CR", false: "DR"}[r.credit]
		switch {
		case form == "two columns" && r.credit:
			cells = append(cells, empty, amount)
		case form == "two columns":
			cells = append(cells, amount, empty)
		case form == "flag":
			cells = append(cells, amount, mark)
		case form == "suffix":
			cells = append(cells, amount+"("+mark+")")
		case r.credit:
			cells = append(cells, amount)
		default:
			cells = append(cells, "-"+amount)
		}
		table = append(table, append(cells, signed(r.balance)))
	}
	table = append(table, []string{}, []string{"This is a computer generated statement"})
	var b bytes.Buffer
	switch container := pick("container", "csv", "tsv", "semicolons", "html"); container {
	case "html":
		b.WriteString("<html><table>")
		for _, row := range table {
			b.WriteString("<tr>")
			for _, c := range row {
				b.WriteString("<td>" + html.EscapeString(c) + "</td>")
			}
			b.WriteString("</tr>")
		}
		b.WriteString("</table></html>")
	default:
		w := csv.NewWriter(&b)
		w.Comma = map[string]rune{"csv": ',', "tsv": '\t', "semicolons": ';'}[container]
		w.UseCRLF = rapid.Bool().Draw(t, "crlf")
		for _, row := range table {
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
	}
	return b.Bytes()
}

// TestAnyLayout: whatever layout a bank chooses, the rows come out as they were.
func TestAnyLayout(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t, 1)
		content := render(t, rows)
		s, err := statement.Read(t.Context(), bytes.NewReader(content), int64(len(content)), statement.Options{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, content)
		}
		defer func() { _ = s.Close() }()
		var got []movementRow
		for line, err := range s.Lines(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Kind != feed.Credit && line.Kind != feed.Debit {
				t.Fatalf("%+v in\n%s", line, content)
			}
			at := line.At.In(feed.India())
			got = append(got, movementRow{
				day: time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC), credit: line.Kind == feed.Credit,
				amount: line.Amount, utr: string(line.UTR), balance: *line.Balance,
			})
		}
		if s.NewestFirst {
			slices.Reverse(got)
		}
		if !slices.Equal(got, rows) && !(len(rows) == 1 && len(got) == 1 && got[0] == rows[0]) {
			t.Fatalf("read\n%v, want\n%v of\n%s", got, rows, content)
		}
		if s.Untrusted != "" {
			t.Fatal(s.Untrusted)
		}
	})
}

// TestNoFalseCredit: a debit is no credit, whatever single cell of the file is
// changed, cut or swapped with its neighbour.
func TestNoFalseCredit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t, 4) // enough balances to know that they follow from each other
		lines := strings.Split(string(csvRows(rows)), "\n")
		at := rapid.IntRange(2, len(rows)+1).Draw(t, "row")
		cells := strings.Split(lines[at], ",")
		i := rapid.IntRange(0, len(cells)-1).Draw(t, "cell")
		switch rapid.SampledFrom([]string{"cut", "swap", "comma", "spoil", "drop"}).Draw(t, "harm") {
		case "cut":
			cells = slices.Delete(cells, i, i+1)
		case "swap":
			j := rapid.IntRange(0, len(cells)-1).Draw(t, "with")
			cells[i], cells[j] = cells[j], cells[i]
		case "comma":
			cells = slices.Insert(cells, i, "PUNE")
		case "spoil":
			cells[i] += "x"
		case "drop":
			lines = slices.Delete(lines, at, at+1)
			at = 0
		}
		if at > 0 {
			lines[at] = strings.Join(cells, ",")
		}
		content := []byte(strings.Join(lines, "\n"))
		s, err := statement.Read(t.Context(), bytes.NewReader(content), int64(len(content)), statement.Options{})
		if err != nil {
			return // refusing the file is no false credit
		}
		defer func() { _ = s.Close() }()
		credits := map[string]movementRow{}
		for _, r := range rows {
			if r.credit {
				credits[r.utr] = r
			}
		}
		for line, err := range s.Lines(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Kind != feed.Credit || line.UTR == "" {
				continue
			}
			if r, ok := credits[string(line.UTR)]; !ok || r.amount != line.Amount {
				t.Fatalf("false credit %+v of\n%s", line.Reading, content)
			}
		}
	})
}

func csvRows(rows []movementRow) []byte {
	var b bytes.Buffer
	opening := rows[0].balance + rows[0].amount
	if rows[0].credit {
		opening = rows[0].balance - rows[0].amount
	}
	fmt.Fprintf(&b, "Opening Balance,%s\n", opening.Fixed())
	b.WriteString("Date,Narration,Withdrawal Amt.,Deposit Amt.,Closing Balance\n")
	for _, r := range rows {
		in, out := "", r.amount.Fixed()
		if r.credit {
			in, out = out, in
		}
		fmt.Fprintf(&b, "%s,UPI/ANITA DESAI/%s/rent,%s,%s,%s\n", r.day.Format("02/01/06"), r.utr, out, in, r.balance.Fixed())
	}
	return b.Bytes()
}
