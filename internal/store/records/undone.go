package records

import (
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
)

// DepositColumns are the columns of a deposit, in the order that ScanDeposit reads
// them; undone deposits have them, too.
const DepositColumns = `id, merchant, wallet, credit_id, amount, fee, rates_id, at`

// ScanDeposit reads a deposit.
func ScanDeposit(row Row) (*deposit.Deposit, error) {
	var d deposit.Deposit
	var amount, fee, at int64
	err := row.Scan(&d.ID, &d.Merchant, &d.Wallet, &d.CreditID, &amount, &fee, &d.RatesID, &at)
	d.Amount, d.Fee, d.At = money.Paise(amount), money.Paise(fee), Time(at)
	return &d, err
}

// HushStatement stops the postback of a deposit that was undone, unless the
// merchant was told already. It is never sent again: see Resend.
const HushStatement = `UPDATE postbacks SET state = 'dead', next_at = 0, refused = '', last_error = 'the deposit was undone'
	WHERE id = $1 AND state <> 'delivered'`
