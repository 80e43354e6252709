package report

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
)

// Store reads the ledger for reports. Times bound what was posted at or after from,
// and before to; balances at both ends are of the same state of the ledger.
type Store interface {
	// WalletTurnover sums what was posted to a wallet's account.
	WalletTurnover(ctx context.Context, wallet string, from, to time.Time) (Turnover, error)
	// FeeTurnover sums what was posted to the account of fees, by merchant.
	FeeTurnover(ctx context.Context, from, to time.Time) (Turnover, error)
}

// Cursor keeps what was sent.
type Cursor interface {
	// ReportedUpTo gives the period up to which a merchant was sent its reports by a
	// way, as [Period.String] writes it; empty where nothing was noted.
	ReportedUpTo(ctx context.Context, merchant string, every Every, way string) (string, error)
	// NoteReported writes that period; an empty one forgets it.
	NoteReported(ctx context.Context, merchant string, every Every, way, period string) error
}

// Turnover is what the ledger says of an account in a period, paise; balances are
// of what the account is for: what is on a wallet, what was earned.
type Turnover struct {
	Opening, Closing money.Paise
	Sums             []Sum
}

// Sum adds up postings of one kind to one side of an account.
type Sum struct {
	Kind     ledger.PostingKind
	Merchant string // of fees: whose they are
	Out      bool   // they took the balance down
	Count    int64
	Amount   money.Paise // never negative
}

// Line is one line of a statement.
type Line struct {
	Name   LineName
	Count  int64
	Amount money.Paise // what it did to the balance: less than 0 took it down
}

// LineName says what a line of a wallet's statement adds up.
type LineName string

// Lines of a wallet's statement, in their order. All are in every statement.
const (
	Received    LineName = "received"     // credits that a feed reported
	Corrected   LineName = "corrected"    // by what a bank changed them, or took them back
	OtherIncome LineName = "other_income" // money in that is no payment
	Withdrawn   LineName = "withdrawn"    // withdrawals that were paid
	CameBack    LineName = "came_back"    // of those, sent back by the bank
	Debited     LineName = "debited"      // other debits of statements, less what turned out to be something else
	Adjusted    LineName = "adjusted"     // everything else
)

var lineOrder = []LineName{Received, Corrected, OtherIncome, Withdrawn, CameBack, Debited, Adjusted}

// Wallet is the statement of a wallet: Opening and Lines come to Closing.
type Wallet struct {
	Wallet           string
	From, To         time.Time // UTC; To is not part of it
	Opening, Closing money.Paise
	Lines            []Line
}

// OfWallet makes a wallet's statement of what was posted to its account.
func OfWallet(ctx context.Context, s Store, wallet string, from, to time.Time) (*Wallet, error) {
	turnover, err := s.WalletTurnover(ctx, wallet, from, to)
	if err != nil {
		return nil, err
	}
	w := &Wallet{Wallet: wallet, From: from, To: to, Opening: turnover.Opening, Closing: turnover.Closing, Lines: make([]Line, len(lineOrder))}
	for i, name := range lineOrder {
		w.Lines[i].Name = name
	}
	for _, sum := range turnover.Sums {
		line := &w.Lines[slices.Index(lineOrder, lineOf(sum.Kind))]
		line.Count += sum.Count
		if sum.Out {
			sum.Amount = -sum.Amount
		}
		line.Amount += sum.Amount
	}
	return w, nil
}

func lineOf(kind ledger.PostingKind) LineName {
	switch kind {
	case ledger.CreditReceived:
		return Received
	case ledger.CreditCorrected, ledger.CreditReversed:
		return Corrected
	case ledger.IncomeSeen:
		return OtherIncome
	case ledger.WithdrawalPaid:
		return Withdrawn
	case ledger.WithdrawalCameBack:
		return CameBack
	case ledger.DebitSeen, ledger.MovementUndone, ledger.MovementExplained:
		return Debited
	default:
		return Adjusted
	}
}

// Fees is what was earned in a period: Opening and the rows' nets come to Closing.
type Fees struct {
	From, To         time.Time // UTC; To is not part of it
	Opening, Closing money.Paise
	Rows             []FeeRow // by merchant, those with fees alone
}

// FeeRow is what one merchant paid.
type FeeRow struct {
	Merchant                 string
	Deposits, Withdrawals    int64 // that cost a fee
	OfDeposits, OfWithdrawal money.Paise
	Returned                 money.Paise // given back, of what was earned then or before
}

// Net is what was earned of the merchant.
func (r FeeRow) Net() money.Paise { return r.OfDeposits + r.OfWithdrawal - r.Returned }

// Total adds the rows up.
func (f *Fees) Total() (total FeeRow) {
	for i := range f.Rows {
		r := &f.Rows[i]
		total.Deposits += r.Deposits
		total.Withdrawals += r.Withdrawals
		total.OfDeposits += r.OfDeposits
		total.OfWithdrawal += r.OfWithdrawal
		total.Returned += r.Returned
	}
	return total
}

// OfFees reports on what was earned.
func OfFees(ctx context.Context, s Store, from, to time.Time) (*Fees, error) {
	turnover, err := s.FeeTurnover(ctx, from, to)
	if err != nil {
		return nil, err
	}
	f := &Fees{From: from, To: to, Opening: turnover.Opening, Closing: turnover.Closing}
	for _, sum := range turnover.Sums {
		i := slices.IndexFunc(f.Rows, func(r FeeRow) bool { return r.Merchant == sum.Merchant })
		if i < 0 {
			i = len(f.Rows)
			f.Rows = append(f.Rows, FeeRow{Merchant: sum.Merchant})
		}
		row := &f.Rows[i]
		switch {
		case sum.Out:
			row.Returned += sum.Amount
		case sum.Kind == ledger.DepositFee:
			row.Deposits += sum.Count
			row.OfDeposits += sum.Amount
		default:
			row.Withdrawals += sum.Count
			row.OfWithdrawal += sum.Amount
		}
	}
	slices.SortFunc(f.Rows, func(a, b FeeRow) int { return strings.Compare(a.Merchant, b.Merchant) })
	return f, nil
}

// Reconciliation compares a statement with the books, line by line.
type Reconciliation struct {
	Statement feed.Statement
	// Credits, Income and Debits are what the books have of the statement's lines,
	// in paise, Debits above zero; the counts are of lines.
	Credits, Income, Debits              money.Paise
	CreditLines, IncomeLines, DebitLines int64
	Open                                 []feed.StatementLine // stand nowhere in the books
	Unseen                               []*deposit.Credit    // in the books, of these days, and in no statement
	Contested                            []*deposit.Credit    // of the statement's lines: a person has to decide
	Ledger                               money.Paise          // the wallet's balance in the books, now
	MoreOpen, MoreUnseen, MoreContested  bool
}

// Booked is what the books say the statement moved.
func (r *Reconciliation) Booked() money.Paise { return r.Credits + r.Income - r.Debits }

// Difference is what the statement moved and the books have not; ok is false
// where the statement has no balances.
func (r *Reconciliation) Difference() (difference money.Paise, ok bool) {
	s := &r.Statement
	if s.Opening == nil || s.Closing == nil {
		return 0, false
	}
	return *s.Closing - *s.Opening - r.Booked(), true
}

// Settled reports whether statement and books agree in everything.
func (r *Reconciliation) Settled() bool {
	difference, _ := r.Difference()
	return difference == 0 && len(r.Open)+len(r.Unseen)+len(r.Contested) == 0
}
