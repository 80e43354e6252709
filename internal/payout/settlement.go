package payout

import (
	"context"
	"strings"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// SettlementPrefix begins the ids of withdrawals that pay a merchant its own
// balance, and of no others: nobody can take the id of one that is to come.
const SettlementPrefix = "settlement-"

// ScheduleActor is who asks for settlements that fall due by schedule.
const ScheduleActor = "settlement"

// Settlement reports whether the withdrawal pays the merchant its own balance.
func (k Key) Settlement() bool { return strings.HasPrefix(k.WithdrawalID, SettlementPrefix) }

// Outlook is what a request would be decided on now.
type Outlook struct {
	Withdrawal *Withdrawal // that has the id already; nil where none does
	Desk       *directory.PayoutDesk
	// Available is what the merchant may withdraw, and Today the sum of the day's
	// withdrawals; paise.
	Available, Today money.Paise
}

// Outlook looks at what a request under that key, and by that method, would be
// decided on: all of one moment. The error is a *Refusal where no desk pays.
func (o *Office) Outlook(ctx context.Context, key Key, method string) (Outlook, error) {
	dir := o.Directory.Current()
	merchant := dir.Merchant(key.Merchant)
	if merchant == nil || merchant.Retired {
		return Outlook{}, refuse(MethodOff, "This merchant pays nothing out")
	}
	desk, err := deskFor(dir, merchant, method)
	if err != nil {
		return Outlook{}, err
	}
	out := Outlook{Desk: desk}
	now := o.now()
	err = o.Store.ChangeWithdrawal(ctx, Find{Key: key, Today: startOfDay(now), Lately: now.Add(-lately)}, func(f *Facts) (*Changes, error) {
		out.Withdrawal, out.Available, out.Today = f.Withdrawal, f.Available, f.MerchantToday
		return nil, nil
	})
	return out, err
}

// BankKnown reports whether the branch is of a bank that is known: to others
// nothing is paid. The error is of the list of banks itself.
func BankKnown(branch upi.IFSC) (bool, error) {
	_, known, err := bankOf(branch)
	return known, err
}
