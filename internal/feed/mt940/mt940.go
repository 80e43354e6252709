// Package mt940 reads bank statements in SWIFT's MT940 form, and the intraday MT942, as banks
// send them: with or without SWIFT's envelope, with any line ends, several statements in one
// file. Rules are those of SWIFT's MT940/MT942 format specification (category 9) and, for
// structured :86: fields, of the German banks' DFÜ agreement and of SWIFT's code words.
//
// A line that cannot be read for certain carries an error instead of a guess; the lines around
// it are read.
//
// A caution that lies in the format: payers choose part of what stands in :86:, and a bank that
// wraps their text carelessly lets it begin a line with ":61:". Only the balances unmask such a
// line, and they are known at the end: before money is credited from a file, read it to the
// end once and look at each statement's Verified and Problem.
package mt940

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// Why a file or a part of it was not read.
var (
	// ErrFormat: the file holds no field of an MT940 statement.
	ErrFormat = errors.New("not an MT940 statement: download the file from the bank again in that format")
	// ErrTooLong: a line or a field is longer than 64 KiB.
	ErrTooLong = errors.New("a field is longer than any bank writes: download the file from the bank again")
	// ErrLine: a :61: line does not follow the format or holds a date that does not exist.
	ErrLine = errors.New("not a readable :61: line")
	// ErrExpected: a :61: line announces an entry that is not booked yet (marks EC and ED).
	ErrExpected = errors.New("expected, not booked yet")
	// ErrBalance: opening balance and lines do not add up to the closing balance, or cannot be
	// added up.
	ErrBalance = errors.New("the balances do not prove the lines")
	// ErrNoClosing: the statement ends without its closing balance; the file may be cut short.
	ErrNoClosing = errors.New("no closing balance: the file may be cut short, download it again")
)

// Statement is what a statement says besides its lines. While its lines are being read, only
// what stands before them is known; Closing, Verified and Problem are known with the item that
// ends it.
type Statement struct {
	Reference string // :20:
	Account   string // :25:, without spaces
	Number    string // :28C:, statement and sequence number
	// Currency is that of the opening balance, else of the floor limit of an MT942; "" when
	// neither is there.
	Currency money.Currency
	// Interim says that this is an MT942: a report within the day, without balances, whose
	// entries the day's MT940 tells again.
	Interim bool
	Opening *Balance // :60F: or :60M:, nil when absent or unreadable
	Closing *Balance // :62F: or :62M:, nil when absent or unreadable
	// Verified says that the opening balance and all lines add up to the closing balance.
	Verified bool
	// Problem says why the statement as a whole should not be trusted; it wraps ErrBalance or
	// ErrNoClosing.
	Problem error

	sum      money.Paise
	addError error // why the lines cannot be added up
}

// Balance is the account's balance on a day.
type Balance struct {
	// Amount is below zero for a debit balance; in 1/100 of the currency.
	Amount   money.Paise
	Currency money.Currency // "" where the bank left it out
	// Date is the day, as midnight UTC.
	Date time.Time
	// Intermediate says that the statement is one page of several (:60M:, :62M:).
	Intermediate bool
}

// Line is one entry, a :61: field with the :86: that follows it.
type Line struct {
	Number int // where it starts in the file, from 1
	// ValueDate and EntryDate are days, as midnight UTC; EntryDate is zero where there is none.
	ValueDate time.Time
	EntryDate time.Time
	// Credit says that the entry adds to the account. The reversal of a credit (RC) takes away,
	// that of a debit (RD) adds.
	Credit   bool
	Reversal bool
	// Amount is never negative and may be zero; in 1/100 of the statement's currency.
	Amount money.Paise
	Type   string // N, F or S and three characters, such as NTRF
	// CustomerRef and BankRef stand around the "//". SWIFT allows 16 characters each: a
	// reference of 16 may be the beginning of a longer one. "NONREF" is left as it is.
	CustomerRef   string
	BankRef       string
	Supplementary string // the lines below the first of :61:
	// Details is the text of :86:. Where it is structured with ?20, it is the remittance text
	// alone (?20 to ?29, ?60 to ?63), since the other fields hold account numbers.
	Details string
	// Fields are the parts of a structured :86: in order, nil for free text.
	Fields []Field
	// Err says why the line cannot be used; it wraps ErrLine or ErrExpected. Only Number,
	// Details and Fields count then.
	Err error
}

// Field is one part of a structured :86:, such as {"32", "RAVI KUMAR"} of ?32RAVI KUMAR or
// {"EREF", "4711"} of /EREF/4711.
type Field struct {
	Code string
	Text string
}

// Item is a line of a statement, or with a nil Line the statement's end.
type Item struct {
	Statement *Statement // the same pointer for all items of a statement
	Line      *Line
}

// Read reads a file statement by statement and line by line, in the order of the file, holding
// one line at a time. Text that is not UTF-8 is taken for Windows-1252, so that letters of other
// code pages come out wrong but nothing else does.
//
// An error ends the iteration: ErrFormat, ErrTooLong or the reader's own.
func Read(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		p := parser{yield: yield}
		for f, err := range fields(r) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !p.field(f) {
				return
			}
		}
		if p.end() && !p.seen {
			yield(Item{}, ErrFormat)
		}
	}
}

// parser puts fields together to lines and statements.
type parser struct {
	yield     func(Item, error) bool
	seen      bool // a statement was there
	statement *Statement
	line      *Line // waits for its :86:
	details   []string
}

// field takes the next field; false when the reader of the items has had enough.
func (p *parser) field(f field) bool {
	s := p.statement
	switch f.tag {
	case "86", "NS":
		// Behind the closing balance it speaks of the statement as a whole.
		if p.line != nil {
			p.details = append(p.details, f.lines...)
		}
		return true
	case endOfMessage, "20":
		if !p.end() {
			return false
		}
		if f.tag == "20" {
			p.open(Statement{Reference: f.text()})
		}
		return true
	case "25", "25P":
		// Some banks put several accounts below one :20:.
		account := strings.ReplaceAll(strings.TrimSpace(f.lines[0]), " ", "")
		switch {
		case s == nil:
			p.open(Statement{Account: account})
		case s.Account != "":
			if !p.end() {
				return false
			}
			p.open(Statement{Reference: s.Reference, Account: account})
		default:
			s.Account = account
		}
		return true
	case "60F", "60M":
		if s != nil && (s.Opening != nil || s.Closing != nil) {
			if !p.end() {
				return false
			}
			p.open(Statement{Reference: s.Reference, Account: s.Account})
		}
	case "28", "28C", "13", "13D", "34F", "61", "62F", "62M":
	default:
		return p.flush() // such as :64:, :65:, :90C: and a bank's own
	}

	if !p.flush() {
		return false
	}
	if p.statement == nil {
		p.open(Statement{})
	}
	p.statement.take(f)
	if f.tag == "61" {
		line := parseLine(f)
		p.line = &line
	}
	return true
}

func (p *parser) open(s Statement) {
	p.statement, p.seen = &s, true
}

// flush hands on the line that waited for more.
func (p *parser) flush() bool {
	if p.line == nil {
		return true
	}
	line := p.line
	line.Details, line.Fields = details(p.details)
	p.statement.add(line)
	p.line, p.details = nil, nil
	return p.yield(Item{Statement: p.statement, Line: line}, nil)
}

// end closes the statement, if one is open.
func (p *parser) end() bool {
	if !p.flush() {
		return false
	}
	s := p.statement
	if s == nil {
		return true
	}
	p.statement = nil
	s.prove()
	return p.yield(Item{Statement: s}, nil)
}

// take reads the fields that speak of the statement.
func (s *Statement) take(f field) {
	switch f.tag {
	case "28", "28C":
		s.Number = f.text()
	case "13", "13D":
		s.Interim = s.Opening == nil
	case "34F":
		s.Interim = s.Opening == nil
		if currency, err := money.ParseCurrency(f.text()[:min(3, len(f.text()))]); err == nil && s.Currency == "" {
			s.Currency = currency
		}
	case "60F", "60M":
		s.Interim = false // an MT942 has no balances, whatever else some banks put in both
		s.Opening = s.balance(f)
		if s.Opening != nil && s.Opening.Currency != "" {
			s.Currency = s.Opening.Currency
		}
	case "62F", "62M":
		s.Closing = s.balance(f)
	}
}

func (s *Statement) balance(f field) *Balance {
	b, err := parseBalance(f)
	if err != nil {
		s.blame(fmt.Errorf("%w: line %d: %w", ErrBalance, f.number, err))
		return nil
	}
	return &b
}

// blame keeps the first problem.
func (s *Statement) blame(err error) {
	if s.Problem == nil {
		s.Problem = err
	}
}

// add counts the line towards the closing balance.
func (s *Statement) add(line *Line) {
	if s.addError != nil {
		return
	}
	if errors.Is(line.Err, ErrExpected) {
		return
	}
	if line.Err != nil {
		s.addError = fmt.Errorf("line %d cannot be read", line.Number)
		return
	}
	if line.Credit {
		s.sum, s.addError = s.sum.Add(line.Amount)
	} else {
		s.sum, s.addError = s.sum.Sub(line.Amount)
	}
}

// prove holds the lines against the balances.
func (s *Statement) prove() {
	switch {
	case s.Problem != nil:
		return
	case s.Closing == nil:
		if !s.Interim {
			s.blame(ErrNoClosing)
		}
		return
	case s.Opening == nil:
		s.blame(fmt.Errorf("%w: no opening balance", ErrBalance))
		return
	case s.addError != nil:
		s.blame(fmt.Errorf("%w: %w", ErrBalance, s.addError))
		return
	case s.Closing.Currency != "" && s.Closing.Currency != s.Currency:
		s.blame(fmt.Errorf("%w: they are in two currencies", ErrBalance))
		return
	}
	closing, err := s.Opening.Amount.Add(s.sum)
	if err != nil {
		s.blame(fmt.Errorf("%w: %w", ErrBalance, err))
		return
	}
	if closing != s.Closing.Amount {
		s.blame(fmt.Errorf("%w: opening balance and lines make %s, the closing balance is %s",
			ErrBalance, closing.Fixed(), s.Closing.Amount.Fixed()))
		return
	}
	s.Verified = true
}
