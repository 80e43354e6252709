package settlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// Report tells what moved a merchant's balance in a period, by the postings of
// the ledger: Opening and the sums of Lines come to Closing. The balance is what
// the merchant may withdraw: a withdrawal leaves it when it is asked for, and
// returns to it when it is not paid.
type Report struct {
	Merchant   string    `json:"merchant"`
	Settlement string    `json:"settlement,omitempty"` // that the period ends with
	From       time.Time `json:"from"`                 // UTC
	To         time.Time `json:"to"`                   // not part of the period
	// Paise, as are the lines; rupees in JSON.
	Opening money.Paise `json:"opening"`
	Lines   []Line      `json:"lines"`
	Closing money.Paise `json:"closing"`
	// Payouts are those of the period's settlements, as they stand now.
	Payouts []Payout `json:"payouts"`

	zone *time.Location
}

// Line is one line of a report.
type Line struct {
	Name   LineName    `json:"line"`
	Count  int64       `json:"count"`
	Amount money.Paise `json:"amount"` // what it did to the balance: less than 0 took it down
}

// LineName says what a line adds up.
type LineName string

// Lines of a report, in their order. All are in every report.
const (
	Deposits            LineName = "deposits"
	DepositFees         LineName = "deposit_fees"
	Withdrawals         LineName = "withdrawals"     // asked for, without their fees
	WithdrawalFees      LineName = "withdrawal_fees" // of those
	WithdrawalsReturned LineName = "withdrawals_returned"
	Settlements         LineName = "settlements"
	SettlementFees      LineName = "settlement_fees"
	SettlementsReturned LineName = "settlements_returned" // with their fees, as WithdrawalsReturned
	Adjustments         LineName = "adjustments"          // everything else
)

var lineOrder = []LineName{
	Deposits, DepositFees, Withdrawals, WithdrawalFees, WithdrawalsReturned, Settlements, SettlementFees, SettlementsReturned, Adjustments,
}

// Payout is one payout of a settlement.
type Payout struct {
	ID           int64        `json:"payout"`
	WithdrawalID string       `json:"withdrawal_id"`
	Amount       money.Paise  `json:"amount"`
	Fee          money.Paise  `json:"fee"`
	State        payout.State `json:"state"`
	Account      string       `json:"account"` // masked
	BankRef      string       `json:"bank_reference"`
}

// ErrPeriod is returned for a period that ends before it begins.
var ErrPeriod = errors.New("the period ends before it begins: give --from before --to")

// Period reports on a merchant's balance from a time until before another.
func (s *Settler) Period(ctx context.Context, merchant string, from, to time.Time) (*Report, error) {
	m := s.Office.Directory.Current().Merchant(merchant)
	if m == nil {
		return nil, refuse("there is no merchant %q: milaan apply declares merchants", merchant)
	}
	if !from.Before(to) {
		return nil, ErrPeriod
	}
	turnover, err := s.Store.MerchantTurnover(ctx, merchant, from, to)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	r := &Report{
		Merchant: merchant, From: from.UTC(), To: to.UTC(), Opening: turnover.Opening, Closing: turnover.Closing,
		Lines: lines(turnover.Sums), Payouts: []Payout{}, zone: m.Location(),
	}
	// A settlement's cut is the first moment after it.
	list, err := s.Store.Settlements(ctx, Filter{Merchant: merchant, From: from.Add(time.Microsecond), To: to.Add(time.Microsecond), Paid: true})
	if err != nil {
		return nil, err
	}
	for _, made := range slices.Backward(list) {
		payouts, err := s.Payouts(ctx, made)
		if err != nil {
			return nil, err
		}
		for _, w := range payouts {
			r.Payouts = append(r.Payouts, Payout{
				ID: w.ID, WithdrawalID: w.WithdrawalID, Amount: w.Amount, Fee: w.Fee, State: w.State, Account: w.Account.Masked(), BankRef: w.BankRef,
			})
		}
	}
	return r, nil
}

// Of reports on the period of a settlement: from the one before it that paid
// something, up to its own cut. The error is ErrNone where there is none.
func (s *Settler) Of(ctx context.Context, key payout.Key) (*Report, error) {
	made, err := s.Store.FindSettlement(ctx, key)
	if err != nil {
		return nil, err
	}
	if made.Open() {
		return nil, refuse("%s is not finished: a running gateway ends it within a minute", made.WithdrawalID)
	}
	from, err := s.lastCut(ctx, key.Merchant, made.CutAt)
	if err != nil {
		return nil, err
	}
	r, err := s.Period(ctx, key.Merchant, from, made.CutAt)
	if r != nil {
		r.Settlement = made.WithdrawalID
	}
	return r, err
}

// Since reports on what came after a merchant's last settlement, up to now.
func (s *Settler) Since(ctx context.Context, merchant string) (*Report, error) {
	now := s.now().Add(time.Microsecond)
	from, err := s.lastCut(ctx, merchant, now.Add(time.Microsecond))
	if err != nil {
		return nil, err
	}
	if !from.Before(now) {
		now = from.Add(time.Microsecond)
	}
	return s.Period(ctx, merchant, from, now)
}

// lastCut is where the last settlement before a time ended that paid something;
// the beginning of all times where there was none.
func (s *Settler) lastCut(ctx context.Context, merchant string, before time.Time) (time.Time, error) {
	list, err := s.Store.Settlements(ctx, Filter{Merchant: merchant, To: before, Paid: true, Limit: 1})
	if err != nil || len(list) == 0 {
		return time.UnixMicro(0).UTC(), err
	}
	return list[0].CutAt, nil
}

// lines sorts the ledger's sums into the lines of a report. Nothing is left out:
// what has no line of its own is an adjustment.
func lines(sums []Sum) []Line {
	byName := make(map[LineName]*Line, len(lineOrder))
	all := make([]Line, len(lineOrder))
	for i, name := range lineOrder {
		all[i].Name = name
		byName[name] = &all[i]
	}
	add := func(name LineName, count int64, amount money.Paise) {
		byName[name].Count += count
		byName[name].Amount += amount
	}
	for _, s := range sums {
		amount := s.Amount
		if s.Out {
			amount = -amount
		}
		asked, fees, returned := Withdrawals, WithdrawalFees, WithdrawalsReturned
		if s.Settlement {
			asked, fees, returned = Settlements, SettlementFees, SettlementsReturned
		}
		switch {
		case s.Kind == ledger.DepositCredited && !s.Out:
			add(Deposits, s.Count, amount)
		case s.Kind == ledger.DepositFee && s.Out:
			add(DepositFees, s.Count, amount)
		case s.Kind == ledger.WithdrawalHeld && s.Out:
			add(asked, s.Count, amount+s.Fee)
			if s.Fee > 0 {
				add(fees, s.Count, -s.Fee)
			}
		case (s.Kind == ledger.WithdrawalReturned || s.Kind == ledger.WithdrawalCameBack) && !s.Out:
			add(returned, s.Count, amount)
		default:
			add(Adjustments, s.Count, amount)
		}
	}
	return all
}
