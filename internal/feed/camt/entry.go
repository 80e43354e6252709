package camt

import (
	"errors"
	"fmt"
	"iter"

	"github.com/milaan/milaan/money"
)

// entryElement is an Ntry.
type entryElement struct {
	line           int
	amount         amountElement
	mark, reversal string
	status         choice
	booking, value dateElement
	code           codeElement
	ref, servicer  string
	info           string
	transactions   []transactionElement
	unlisted       int // payments that the bank counts and does not list
}

// booked is the status of an entry that is final.
const booked = "BOOK"

// parse reads the entry as a whole, as if it named no transactions.
func (e *entryElement) parse(kind Kind) Entry {
	whole := Entry{
		Line: e.line, Status: e.status.String(), Code: e.code.code(), BankCode: clean(e.code.Proprietary),
		Refs: Refs{Entry: e.ref, EntryServicer: e.servicer}, EntryInfo: e.info,
	}
	if len(e.transactions) == 0 && e.unlisted > 1 {
		whole.Batch = e.unlisted
	}
	whole.Booked = whole.Status == booked || whole.Status == "" && kind == Statement
	fault := func(what string, err error) {
		if whole.Err == nil && err != nil {
			whole.Err = fmt.Errorf("%w: line %d: %s: %w", ErrEntry, e.line, what, err)
		}
	}
	var err error
	whole.Credit, err = parseMark(e.mark)
	fault("CdtDbtInd", err)
	whole.Reversal, err = parseBool(e.reversal)
	fault("RvslInd", err)
	whole.Amount, whole.Currency, err = e.amount.parse()
	fault("Amt", err)
	whole.BookingDay, whole.BookedAt, err = e.booking.parse()
	fault("BookgDt", err)
	whole.ValueDay, _, err = e.value.parse()
	fault("ValDt", err)
	return whole
}

// payments are the entry's transactions, one by one; the whole entry, where it names none or
// they cannot be told apart.
func (e *entryElement) payments(whole Entry) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if whole.Err != nil || len(e.transactions) == 0 {
			yield(whole)
			return
		}
		moves, err := e.reconcile(whole)
		if err != nil {
			whole.Err = fmt.Errorf("%w: line %d: %w", ErrBatch, e.line, err)
			yield(whole)
			return
		}
		for i := range e.transactions {
			payment := whole
			payment.Credit, payment.Amount = moves[i].credit, moves[i].amount
			e.transactions[i].fill(&payment)
			if !yield(payment) {
				return
			}
		}
	}
}

// move is what a transaction did to the account.
type move struct {
	credit bool
	amount money.Paise
}

// reconcile holds the transactions against the entry: each has its own amount and together
// they are the entry's.
func (e *entryElement) reconcile(whole Entry) ([]move, error) {
	if e.unlisted > 0 {
		return nil, errors.New("the bank counts more payments than it lists")
	}
	var sum money.Paise
	moves := make([]move, len(e.transactions))
	for i := range e.transactions {
		m, err := e.transactions[i].move(whole, len(e.transactions) == 1)
		if err != nil {
			return nil, err
		}
		if m.credit == whole.Credit {
			sum, err = sum.Add(m.amount)
		} else {
			sum, err = sum.Sub(m.amount)
		}
		if err != nil {
			return nil, err
		}
		moves[i] = m
	}
	if sum != whole.Amount {
		return nil, fmt.Errorf("they make %s of %s", sum.Fixed(), whole.Amount.Fixed())
	}
	return moves, nil
}

// move reads amount and direction. The only transaction of an entry may leave the amount to it,
// or tell it in the payer's currency: the entry's is what was booked.
func (t *transactionElement) move(whole Entry, only bool) (move, error) {
	m := move{credit: whole.Credit, amount: whole.Amount}
	if t.Mark != "" {
		var err error
		if m.credit, err = parseMark(t.Mark); err != nil {
			return move{}, err
		}
	}
	element, ok := t.amount()
	if !ok {
		if !only {
			return move{}, errors.New("a transaction has no amount")
		}
		return m, nil
	}
	amount, currency, err := element.parse()
	switch {
	case err != nil:
		return move{}, err
	case currency == whole.Currency:
		m.amount = amount
	case !only:
		return move{}, errors.New("a transaction is in another currency")
	}
	return m, nil
}

// add counts an entry towards the closing balance.
func (a *Account) add(whole Entry) {
	switch {
	case a.addError != nil:
		return
	case whole.Err != nil:
		a.addError = whole.Err
		return
	case !whole.Booked:
		return
	case a.sumCurrency == "":
		a.sumCurrency = whole.Currency
	case a.sumCurrency != whole.Currency:
		a.addError = errors.New("the entries are in two currencies")
		return
	}
	if whole.Credit {
		a.sum, a.addError = a.sum.Add(whole.Amount)
	} else {
		a.sum, a.addError = a.sum.Sub(whole.Amount)
	}
}

// prove holds the entries against the balances.
func (a *Account) prove() {
	opening, closing := a.balance("OPBD"), a.balance("CLBD")
	if opening == nil {
		opening = a.balance("PRCD") // the previous day's closing balance
	}
	if opening == nil || closing == nil {
		return
	}
	err := errors.Join(opening.Err, closing.Err, a.addError)
	switch {
	case err != nil:
	case opening.Currency != closing.Currency || a.sumCurrency != "" && a.sumCurrency != opening.Currency:
		err = errors.New("they are in two currencies")
	default:
		var sum money.Paise
		if sum, err = opening.Amount.Add(a.sum); err == nil && sum != closing.Amount {
			err = fmt.Errorf("opening balance and entries make %s, the closing balance is %s", sum.Fixed(), closing.Amount.Fixed())
		}
	}
	if err != nil {
		a.Problem = fmt.Errorf("%w: %w", ErrBalance, err)
		return
	}
	a.Verified = true
}

// balance is the first balance of a code, nil when there is none.
func (a *Account) balance(code string) *Balance {
	for i := range a.Balances {
		if a.Balances[i].Code == code {
			return &a.Balances[i]
		}
	}
	return nil
}
