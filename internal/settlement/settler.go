package settlement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// label is the label of every settlement's withdrawals.
const label = "settlement"

// Settler works out what to settle, and has the payout office pay it. It is safe
// for concurrent use, and beside others on the same database.
type Settler struct {
	Store  Store
	Office *payout.Office // its clock and directory are the settler's, too
	Log    *slog.Logger
}

// Order asks for a settlement.
type Order struct {
	Merchant string
	// ID names it: letters and digits, beginning with a letter. The same again
	// gives the same settlement. Empty for one by the date, anew each time.
	ID     string
	Amount money.Paise // 0 for all there is
	Actor  string      // "operator:NAME"
}

// Refusal is an order that can't be carried out, or a run that pays nothing. Its
// message says why.
type Refusal struct{ Message string } //nolint:errname // an answer first, an error to Go second

// Error gives the message.
func (r *Refusal) Error() string { return r.Message }

func refuse(format string, args ...any) *Refusal { return &Refusal{fmt.Sprintf(format, args...)} }

// Proposal is what an order would come to now.
type Proposal struct {
	payout.Beneficiary
	Amounts []money.Paise // of its payouts
	Fee     money.Paise   // of all of them
	Stays   money.Paise   // in the balance
	Reason  string        // a person has to approve it; empty where none is asked for this
}

// Amount is the sum of the payouts.
func (p *Proposal) Amount() money.Paise { return total(p.Amounts) }

// Propose works an order out and does nothing. The error is a *Refusal where
// nothing, or not that much, can be settled.
func (s *Settler) Propose(ctx context.Context, o Order) (*Proposal, error) {
	p, _, err := s.propose(ctx, o.Merchant, o.Amount)
	return p, err
}

// propose also gives the budget.
func (s *Settler) propose(ctx context.Context, id string, wanted money.Paise) (*Proposal, money.Paise, error) {
	merchant, err := s.merchant(id)
	if err != nil {
		return nil, 0, err
	}
	to := merchant.Settlement
	outlook, err := s.outlook(ctx, payout.Key{Merchant: id, WithdrawalID: payout.SettlementPrefix}, to.Method)
	if err != nil {
		return nil, 0, err
	}
	l := limitsOf(merchant, outlook)
	budget := max(outlook.Available-to.Keep, 0)
	amounts := l.split(budget, wanted)
	sum := total(amounts)
	switch {
	case wanted > 0 && sum < wanted:
		return nil, 0, refuse("%s can't be settled: at most %s can now, of a balance of %s%s", rupees(wanted), rupees(total(l.split(budget, 0))), rupees(outlook.Available), l.bound())
	case sum == 0:
		return nil, 0, refuse("there is nothing to settle: the balance is %s, of which %s stays%s", rupees(outlook.Available), rupees(to.Keep), l.bound())
	case sum < to.Least:
		return nil, 0, refuse("%s could be settled, and the least is %s%s", rupees(sum), rupees(to.Least), l.bound())
	}
	p := &Proposal{Beneficiary: payout.Beneficiary{Account: to.Account, Name: to.Name, IFSC: to.IFSC}, Amounts: amounts}
	for _, a := range amounts {
		p.Fee += merchant.Fee.OfWithdrawal(a)
	}
	p.Stays = outlook.Available - sum - p.Fee
	if s.Office.Now().Before(to.CoolAt()) {
		p.Reason = payout.ReasonAccount
	}
	return p, budget, nil
}

// merchant is one whose balance can be settled.
func (s *Settler) merchant(id string) (*directory.Merchant, error) {
	m := s.Office.Directory.Current().Merchant(id)
	switch {
	case m == nil || m.Retired:
		return nil, refuse("there is no merchant %q: milaan apply declares merchants", id)
	case m.Settlement == nil:
		return nil, refuse("merchant %s has no registered account: declare its settlement, see docs/settlement.md", id)
	}
	return m, nil
}

// outlook turns the office's refusals into ours.
func (s *Settler) outlook(ctx context.Context, key payout.Key, method string) (payout.Outlook, error) {
	o, err := s.Office.Outlook(ctx, key, method)
	if refusal, ok := payout.IsRefusal(err); ok {
		return o, refuse("%s", refusal.Message)
	}
	return o, err
}

func limitsOf(m *directory.Merchant, o payout.Outlook) limits {
	l := limits{fee: m.Fee, least: o.Desk.Min, most: o.Desk.Max, day: -1}
	if o.Desk.MerchantDay > 0 {
		l.day = max(o.Desk.MerchantDay-o.Today, 0)
	}
	return l
}

// bound says what the day's limit leaves.
func (l limits) bound() string {
	if l.day < 0 {
		return ""
	}
	return fmt.Sprintf("; the desk's limit leaves %s for today", rupees(l.day))
}

func rupees(p money.Paise) string { return money.Format(p, money.English) }

// Settle carries an order out. The error is a *Refusal where nothing was done.
func (s *Settler) Settle(ctx context.Context, o Order) (*Settlement, error) {
	if o.ID != "" {
		if !idPattern.MatchString(o.ID) {
			return nil, refuse("%q is no id of a settlement: use up to 20 letters and digits, beginning with a letter", o.ID)
		}
		made, err := s.Store.FindSettlement(ctx, payout.Key{Merchant: o.Merchant, WithdrawalID: payout.SettlementPrefix + o.ID})
		if err == nil {
			if made.Wanted != o.Amount {
				return nil, refuse("settlement %s was of another amount: give another id", o.ID)
			}
			return made, s.pay(ctx, made)
		}
		if !errors.Is(err, ErrNone) {
			return nil, err
		}
	}
	p, budget, err := s.propose(ctx, o.Merchant, o.Amount)
	if err != nil {
		return nil, err
	}
	merchant, err := s.merchant(o.Merchant)
	if err != nil {
		return nil, err
	}
	now := s.now()
	for n := 2; ; n++ {
		made := &Settlement{
			Key: payout.Key{Merchant: o.Merchant, WithdrawalID: dated(now.In(merchant.Location()), n)}, Beneficiary: p.Beneficiary,
			Method: merchant.Settlement.Method, DueAt: now, CreatedBy: o.Actor, CreatedAt: now, Wanted: o.Amount, Budget: budget, Reason: p.Reason,
		}
		if o.ID != "" {
			made.WithdrawalID = payout.SettlementPrefix + o.ID
		}
		fresh, err := s.Store.KeepSettlement(ctx, made)
		if err != nil {
			return nil, err
		}
		if fresh || o.ID != "" {
			return made, s.pay(ctx, made)
		}
	}
}

// pay makes the payouts of a settlement that are not made yet, and ends it.
func (s *Settler) pay(ctx context.Context, made *Settlement) error {
	if !made.Open() {
		return nil
	}
	sums, err := s.payouts(ctx, made)
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		return fmt.Errorf("%s of %s: %w", made.WithdrawalID, made.Merchant, err)
	}
	if refusal != nil {
		made.Why = refusal.Message
	}
	return s.end(ctx, made, sums)
}

// payouts makes what is not made yet of a settlement's withdrawals, and gives all
// there are. A *Refusal says why there are not more.
func (s *Settler) payouts(ctx context.Context, made *Settlement) (all []*payout.Withdrawal, err error) {
	budget, wanted := made.Budget, made.Wanted
	for n := 1; n <= mostPayouts; {
		key := made.payoutID(n)
		merchant, err := s.merchant(made.Merchant)
		if err != nil {
			return all, err
		}
		// The balance is read together with whether somebody else made this payout:
		// one that is not made is not in it.
		outlook, err := s.outlook(ctx, key, made.Method)
		if err != nil {
			return all, err
		}
		w := outlook.Withdrawal
		if w == nil {
			to := merchant.Settlement
			l := limitsOf(merchant, outlook)
			amounts := l.split(min(budget, outlook.Available-to.Keep), wanted)
			switch {
			case !to.SameAccount(&directory.Settlement{Account: made.Account, Name: made.Name, IFSC: made.IFSC}):
				return all, refuse("the registered account was changed meanwhile")
			case len(amounts) == 0 && n == 1:
				return all, refuse("there is nothing to settle: the balance is %s%s", rupees(outlook.Available), l.bound())
			case len(amounts) == 0:
				return all, s.rest(merchant, outlook, l, budget, wanted)
			}
			w, err = s.Office.Create(ctx, payout.Request{
				Key: key, Method: made.Method, Label: label, Amount: amounts[0], Currency: money.INR, Beneficiary: made.Beneficiary,
				CreatedBy: made.CreatedBy, Settles: true, Reason: made.Reason,
			})
			if refused, ok := payout.IsRefusal(err); ok {
				switch refused.Code {
				case payout.IDUsed, payout.InsufficientBalance, payout.DayLimit:
					continue // somebody was faster: look again
				default:
					return all, refuse("%s", refused.Message)
				}
			}
			if err != nil {
				return all, err
			}
		}
		all = append(all, w)
		budget -= w.Held()
		if wanted > 0 {
			if wanted -= w.Amount; wanted <= 0 {
				return all, nil
			}
		}
		n++
	}
	return all, refuse("more than %d payouts: settle again", mostPayouts)
}

// rest says why no more is paid; nil where the settlement is whole.
func (s *Settler) rest(m *directory.Merchant, o payout.Outlook, l limits, budget, wanted money.Paise) error {
	free := l
	free.day, free.least = -1, 0
	left := total(free.split(min(budget, o.Available-m.Settlement.Keep), wanted))
	switch {
	case left == 0:
		return nil
	case l.day >= 0 && l.day < left && left >= l.least:
		return refuse("%s stays: the desk's limit for a day of %s is reached", rupees(left), rupees(o.Desk.MerchantDay))
	default:
		return refuse("%s stays: it is less than the desk pays at once, %s", rupees(left), rupees(l.least))
	}
}

// end writes how a settlement ended.
func (s *Settler) end(ctx context.Context, made *Settlement, payouts []*payout.Withdrawal) error {
	made.CutAt, made.Payouts, made.Amount, made.Fee = s.now(), len(payouts), 0, 0
	for _, w := range payouts {
		made.Amount += w.Amount
		made.Fee += w.Fee
		if w.CreatedAt.After(made.CutAt) { // on a gateway whose clock is ahead
			made.CutAt = w.CreatedAt
		}
	}
	made.CutAt = made.CutAt.Add(time.Microsecond)
	why := fmt.Sprintf("%s of %s: %s in %d payouts", made.WithdrawalID, made.Merchant, made.Amount, made.Payouts)
	if made.Why != "" {
		why += "; " + made.Why
	}
	if err := s.Store.EndSettlement(ctx, made, audit.Entry{At: made.CutAt, Actor: made.CreatedBy, Action: "settlement.ended", Subject: made.ID, Why: why}); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "a balance was settled", "merchant", made.Merchant, "settlement", made.WithdrawalID, "amount", made.Amount.String(),
		"payouts", made.Payouts, "why", made.Why)
	return nil
}

// Payouts gives the withdrawals of a settlement, as they stand now.
func (s *Settler) Payouts(ctx context.Context, made *Settlement) (all []*payout.Withdrawal, err error) {
	for n := 1; n <= mostPayouts; n++ {
		w, err := s.Office.Store.FindWithdrawalByKey(ctx, made.payoutID(n))
		if errors.Is(err, payout.ErrNoWithdrawal) {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// now is the time as the engines keep it.
func (s *Settler) now() time.Time { return s.Office.Now().UTC().Truncate(time.Microsecond) }
