package deposit

import (
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/upi"
)

// tell has webhooks told where a claim stands, in the commit that brings it
// there. Credit is the claim's own, nil before it has one.
func (b *book) tell(t webhook.Type, c *Claim, credit *Credit) {
	b.changes.Webhooks = append(b.changes.Webhooks, webhook.For(b.dir, c.Merchant, t, c.ID, b.now, func(owner bool) any {
		data := webhook.Deposit{
			DepositID: decimal(c.ID), Merchant: c.Merchant, CustomID: c.CustomID, Label: c.Label, Method: c.Method,
			Status: string(c.State), Amount: webhook.Rupees(c.Amount), Currency: string(c.Currency), UTR: string(c.UTR),
			CreatedAt: webhook.Moment(c.CreatedAt), SettledAt: webhook.Moment(c.SettledAt),
		}
		if credit != nil {
			data.Deposited, data.CreditID = webhook.Text(webhook.Rupees(credit.Amount)), webhook.Text(decimal(credit.ID))
			data.Payer = webhook.Text(upi.MaskPayer(credit.Payer()))
		}
		if owner {
			data.Reasons = make([]string, len(c.Reasons))
			for i, r := range c.Reasons {
				data.Reasons[i] = string(r)
			}
		}
		return data
	})...)
}

// contest marks a credit that the bank reported otherwise, or took back.
func (b *book) contest(actor string, credit *Credit, why string) {
	credit.Contested = true
	b.touchCredit(credit)
	b.record(actor, "credit.contested", credit.ID, why)
	b.changes.Webhooks = append(b.changes.Webhooks, webhook.For(b.dir, "", webhook.CreditContested, credit.ID, b.now, func(bool) any {
		data := creditData(credit)
		data.Why = webhook.Text(why)
		return data
	})...)
}

// UnclaimedEvents are what webhooks are told of a credit that nobody claimed for
// too long; who writes them knows that nobody has.
func UnclaimedEvents(dir *directory.Snapshot, credit *Credit, now time.Time) []webhook.Event {
	return webhook.For(dir, "", webhook.CreditUnclaimed, credit.ID, now.UTC().Truncate(time.Microsecond), func(bool) any { return creditData(credit) })
}

func creditData(c *Credit) webhook.Credit {
	return webhook.Credit{
		CreditID: decimal(c.ID), Wallet: c.Wallet, Feed: c.Feed, Status: string(c.State), Amount: webhook.Rupees(c.Amount),
		Currency: string(c.Currency), UTR: string(c.UTR), Payer: webhook.Text(upi.MaskPayer(c.Payer())),
		BookedAt: webhook.Moment(c.At), ReceivedAt: webhook.Moment(c.ReceivedAt),
	}
}

func decimal(id int64) string { return strconv.FormatInt(id, 10) }
