package settlement

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/money"
)

// Format is how a report is written.
type Format string

// Formats of reports.
const (
	Text Format = "text" // for people
	CSV  Format = "csv"  // for spreadsheets
	JSON Format = "json" // for programs
)

// titles are the lines as people read them.
var titles = map[LineName]string{
	Deposits: "Deposits", DepositFees: "Deposit fees", Withdrawals: "Withdrawals", WithdrawalFees: "Withdrawal fees",
	WithdrawalsReturned: "Withdrawals returned", Settlements: "Settlements", SettlementFees: "Settlement fees",
	SettlementsReturned: "Settlements returned", Adjustments: "Adjustments",
}

// Write writes the report. Times are in the merchant's zone, with their offset
// in all but the text.
func (r *Report) Write(w io.Writer, format Format) error {
	switch format {
	case Text:
		return r.text(w)
	case CSV:
		return r.csv(w)
	case JSON:
		local := *r
		local.From, local.To = r.From.In(r.zone), r.To.In(r.zone)
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(&local)
	default:
		return fmt.Errorf("reports are not written as %q: use text, csv or json", format)
	}
}

func (r *Report) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	name := r.Settlement
	if name == "" {
		name = "balance"
	}
	_, err := fmt.Fprintf(w, "%s of %s, %s to %s (%s)\n\n", name, r.Merchant, r.moment(r.From), r.moment(r.To), r.zone)
	_, _ = fmt.Fprintf(t, "\tCOUNT\tAMOUNT\t\nOpening balance\t\t%s\t\n", rupees(r.Opening))
	for _, l := range r.Lines {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%s\t\n", titles[l.Name], l.Count, rupees(l.Amount))
	}
	_, _ = fmt.Fprintf(t, "Closing balance\t\t%s\t\n", rupees(r.Closing))
	if err := errors.Join(err, t.Flush()); err != nil || len(r.Payouts) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PAYOUT\tID\tAMOUNT\tFEE\tTO\tSTATE\tUTR")
	for _, p := range r.Payouts {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.WithdrawalID, rupees(p.Amount), rupees(p.Fee), p.Account, p.State, p.BankRef)
	}
	return t.Flush()
}

// moment shows a time in the merchant's zone; the beginning of all times is that
// of the books.
func (r *Report) moment(t time.Time) string {
	if t.UnixMicro() == 0 {
		return "the beginning"
	}
	return t.In(r.zone).Format(time.DateTime)
}

// csv writes the rows for spreadsheets.
func (r *Report) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	for _, row := range r.Rows() {
		safe := make([]string, len(row))
		for i, text := range row {
			safe[i] = cell(text)
		}
		_ = out.Write(safe) // see Error
	}
	out.Flush()
	return out.Error()
}

// Rows are the heads of a table, a row for each line, the balances among them, and
// one for each payout. What a payout paid is in a column of its own: the amounts
// alone add up.
func (r *Report) Rows() [][]string {
	rows := [][]string{{"merchant", "settlement", "from", "to", "line", "count", "amount", "paid", "fee", "state", "utr"}}
	row := func(line, count, amount, paid, fee, state, utr string) {
		rows = append(rows, []string{
			r.Merchant, r.Settlement, r.From.In(r.zone).Format(time.RFC3339Nano), r.To.In(r.zone).Format(time.RFC3339Nano),
			line, count, amount, paid, fee, state, utr,
		})
	}
	balance := func(name string, p money.Paise) { row(name, "", p.Fixed(), "", "", "", "") }
	balance("opening", r.Opening)
	for _, l := range r.Lines {
		row(string(l.Name), strconv.FormatInt(l.Count, 10), l.Amount.Fixed(), "", "", "", "")
	}
	balance("closing", r.Closing)
	for _, p := range r.Payouts {
		row(p.WithdrawalID, "", "", p.Amount.Fixed(), p.Fee.Fixed(), string(p.State), p.BankRef)
	}
	return rows
}

// amountPattern is an amount below zero, which begins as a formula does and is none.
var amountPattern = regexp.MustCompile(`^-[0-9]+\.[0-9]{2}$`)

// cell keeps a text from being a formula to a spreadsheet (OWASP, "CSV
// Injection"): a bank's reference is somebody else's text.
func cell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r\n") == 0 && !amountPattern.MatchString(text) {
		return "'" + text
	}
	return text
}
