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
		if whole.Err == nil && len(e.transactions) > 0 {
			if err := e.reconcile(whole); err != nil {
				whole.Err = fmt.Errorf("%w: line %d: %w", ErrBatch, e.line, err)
			}
		}
		if whole.Err != nil || len(e.transactions) == 0 {
			yield(whole)
			return
		}
		for i := range e.transactions {
			t := &e.transactions[i]
			payment := whole
			if amount, ok := t.amount(); ok {
				payment.Amount, _, _ = amount.parse() // reconcile saw that it is one
			}
			if t.Mark != "" {
				payment.Credit, _ = parseMark(t.Mark)
			}
			t.fill(&payment)
			if !yield(payment) {
				return
			}
		}
	}
}

// reconcile holds the transactions against the entry: each has its own amount and together
// they are the entry's. A single transaction may leave the amount to the entry.
func (e *entryElement) reconcile(whole Entry) error {
	if e.unlisted > 0 {
		return errors.New("the bank counts more payments than it lists")
	}
	var sum money.Paise
	for i := range e.transactions {
		t := &e.transactions[i]
		credit := whole.Credit
		if t.Mark != "" {
			var err error
			if credit, err = parseMark(t.Mark); err != nil {
				return err
			}
		}
		amount, currency := whole.Amount, whole.Currency
		if element, ok := t.amount(); ok {
			var err error
			if amount, currency, err = element.parse(); err != nil {
				return err
			}
		} else if len(e.transactions) > 1 {
			return errors.New("a transaction has no amount")
		}
		if currency != whole.Currency {
			return errors.New("a transaction is in another currency")
		}
		if credit != whole.Credit {
			amount = -amount
		}
		var err error
		if sum, err = sum.Add(amount); err != nil {
			return err
		}
	}
	if sum != whole.Amount {
		return fmt.Errorf("they make %s of %s", sum.Fixed(), whole.Amount.Fixed())
	}
	return nil
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
