package report

import (
	"strconv"
	"time"

	"github.com/milaan/milaan/money"
)

// Heads are the columns of a wallet's statement as a table.
func (*Wallet) Heads() []string { return []string{"wallet", "from", "to", "line", "count", "amount"} }

// Write gives the statement as rows of a table, the balances among its lines.
func (w *Wallet) Write(row func(...string) error, zone *time.Location) error {
	put := func(line, count string, amount money.Paise) error {
		return row(w.Wallet, w.From.In(zone).Format(time.RFC3339), w.To.In(zone).Format(time.RFC3339), line, count, amount.Fixed())
	}
	if err := put("opening", "", w.Opening); err != nil {
		return err
	}
	for _, l := range w.Lines {
		if err := put(string(l.Name), strconv.FormatInt(l.Count, 10), l.Amount); err != nil {
			return err
		}
	}
	return put("closing", "", w.Closing)
}

// Heads are the columns of a report on fees as a table.
func (*Fees) Heads() []string {
	return []string{"from", "to", "merchant", "deposits", "deposit_fees", "withdrawals", "withdrawal_fees", "returned", "net"}
}

// Write gives the report as rows of a table, one a merchant.
func (f *Fees) Write(row func(...string) error, zone *time.Location) error {
	for i := range f.Rows {
		r := &f.Rows[i]
		if err := row(f.From.In(zone).Format(time.RFC3339), f.To.In(zone).Format(time.RFC3339), r.Merchant, strconv.FormatInt(r.Deposits, 10), r.OfDeposits.Fixed(),
			strconv.FormatInt(r.Withdrawals, 10), r.OfWithdrawal.Fixed(), r.Returned.Fixed(), r.Net().Fixed()); err != nil {
			return err
		}
	}
	return nil
}
