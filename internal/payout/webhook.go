package payout

import (
	"strconv"

	"github.com/milaan/milaan/internal/webhook"
)

// tell has webhooks told that the withdrawal has come to its state, in the commit
// that brings it there. The account that is paid is not told: it may be asked
// for.
func (c *changing) tell() {
	w := c.Withdrawal
	entered := webhook.Type("withdrawal." + w.State)
	if w.State == New {
		entered = webhook.WithdrawalCreated
	}
	c.Webhooks = append(c.Webhooks, webhook.For(c.dir, w.Merchant, entered, w.ID, c.now, func(owner bool) any {
		data := webhook.Withdrawal{
			WithdrawalID: w.WithdrawalID, Merchant: w.Merchant, Label: w.Label, PaymentSystem: w.Method, Status: string(w.State),
			Amount: webhook.Rupees(w.Amount), Fee: webhook.Rupees(w.Fee), Currency: string(w.Currency), Test: w.Test,
			TransactionID: webhook.Text(w.BankRef), CreatedAt: webhook.Moment(w.CreatedAt), SettledAt: webhook.Moment(w.SettledAt),
		}
		if owner {
			data.Owner = &webhook.Owner{
				ID: strconv.FormatInt(w.ID, 10), Desk: webhook.Text(w.Desk), Wallet: webhook.Text(w.Wallet),
				Reasons: append([]string{}, w.Reasons...), Why: webhook.Text(w.Why),
			}
		}
		return data
	})...)
}
