package statement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/camt"
	"github.com/milaan/milaan/internal/feed/mt940"
	"github.com/milaan/milaan/internal/feed/narration"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// movement is an entry of a message that banks send each other, MT940 or camt:
// what a row of a table says, said in fields.
type movement struct {
	number           int
	account          string
	problem          string // why it can't be read
	pending          bool   // announced, not booked
	credit, reversal bool
	reading          feed.Reading // amount, currency, time and parties
	valued           time.Time
	text             string   // of the narration
	texts            []string // that may hold the UTR, besides
	references       []string // that may be the UTR, where the text names the system
	unproved         bool     // the balances of its statement do not prove it
}

// messageLine reads a movement. The text's own UTR comes first; one of the
// references counts where all that have the UTR's shape agree.
func messageLine(m *movement, template string) Line {
	line := Line{Number: m.number, Narration: m.text, ValueDate: m.valued, Reading: m.reading}
	line.Template, line.AccountTail = template, tail(m.account)
	empty := feed.Reading{At: line.At, DateOnly: line.DateOnly, Template: template, AccountTail: line.AccountTail}
	switch {
	case m.problem != "":
		line.Reading, line.Kind, line.Why = empty, feed.Unparsed, m.problem
		return line
	case m.pending:
		line.Reading, line.Kind, line.Why = empty, feed.Ignored, "announced, not booked"
		return line
	case line.Amount == 0:
		line.Reading, line.Kind, line.Why = empty, feed.Ignored, "moved nothing"
		return line
	case m.unproved:
		line.Doubt = "the balances of its statement do not prove it"
		line.Reading, line.Kind, line.Why = empty, feed.Unparsed, line.Doubt
		return line
	}
	direction := narration.Out
	if m.credit {
		direction = narration.In
	}
	text := narration.Read(m.text, direction, "")
	line.Kind, line.UTR, line.Why, line.Reversal = text.Kind, text.UTR, text.Why, text.Reversal
	for _, more := range m.texts {
		if line.UTR == "" && more != "" {
			second := narration.Read(more, direction, "")
			if line.UTR = second.UTR; text.Channel == "" {
				text.Channel = second.Channel
			}
			if second.Reversal {
				line.Kind, line.Why, line.Reversal = second.Kind, second.Why, true
			}
		}
	}
	if line.UTR == "" {
		line.UTR = agreed(m.references, text.Channel)
	}
	if line.PayerVPA == "" {
		line.PayerVPA = text.PayerVPA
	}
	if line.PayerName == "" {
		line.PayerName = text.PayerName
	}
	if line.Note == "" {
		line.Note = text.Note
	}
	if m.reversal && !line.Reversal {
		if line.Reversal = true; m.credit {
			line.Kind, line.Why = feed.Other, "an own payment came back"
		} else {
			line.Why = "an earlier credit was taken back"
		}
	}
	return line
}

// agreed is the one UTR among references; "" where two differ.
func agreed(references []string, channel narration.Channel) upi.UTR {
	var utr upi.UTR
	for _, ref := range references {
		switch next := narration.Reference(unlabelled(ref), channel); {
		case next == "":
		case utr != "" && utr != next:
			return ""
		default:
			utr = next
		}
	}
	return utr
}

func tail(account string) string {
	n := len(account)
	for n > 0 && isDigit(account[n-1]) {
		n--
	}
	digits := account[n:]
	return digits[max(0, len(digits)-shownDigits):]
}

// midnight is a day, given as midnight UTC, at its first moment in India.
func midnight(day time.Time) time.Time {
	if day.IsZero() {
		return day
	}
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, feed.India()).UTC()
}

// message is a file of movements, which can be read again and again. Done tells
// of each of its statements how it ended.
type message func(ctx context.Context, done func(ending)) iter.Seq2[movement, error]

// ending is how a statement of a file ended.
type ending struct {
	number           int // of the statement in the file, from 0
	problem          error
	badLines         bool         // some line could not be read
	opening, closing *money.Paise // nil where it says none
}

// readMessage reads a file of movements: once to see what its balances prove,
// then for its lines.
func readMessage(ctx context.Context, m message, format Format) (*Statement, error) {
	s := &Statement{Summary: Summary{Format: format}}
	unproved := map[int]bool{} // statements of the file whose balances deny their lines
	statements := 0
	done := func(e ending) {
		if statements++; statements == 1 {
			s.Opening = e.opening
		}
		s.Closing = e.closing // the last one's
		if e.problem == nil {
			return
		}
		s.Problems = append(s.Problems, e.problem.Error())
		if errors.Is(e.problem, mt940.ErrBalance) || errors.Is(e.problem, camt.ErrBalance) {
			s.Untrusted = e.problem.Error() + ": download the file again"
			// MT940's lines may be a payer's text; a line that can't be read explains the balance.
			unproved[e.number] = format == MT && !e.badLines
		}
	}
	for move, err := range m(ctx, done) {
		if err != nil {
			return nil, err
		}
		s.Rows++
		if s.AccountTail == "" {
			s.AccountTail = tail(move.account)
		}
		if at := move.reading.At; !at.IsZero() {
			if s.From.IsZero() || at.Before(s.From) {
				s.From = at
			}
			if at.After(s.To) {
				s.To = at
			}
		}
	}
	s.lines = func(ctx context.Context) iter.Seq2[Line, error] {
		return func(yield func(Line, error) bool) {
			number := 0
			next := func(ending) { number++ }
			for move, err := range m(ctx, next) {
				if err != nil {
					yield(Line{}, err)
					return
				}
				move.unproved = unproved[number]
				if !yield(messageLine(&move, string(format)), nil) {
					return
				}
			}
		}
	}
	return s, nil
}

// mtMessage is an MT940 file.
func mtMessage(src *io.SectionReader) message {
	return func(ctx context.Context, done func(ending)) iter.Seq2[movement, error] {
		return func(yield func(movement, error) bool) {
			number, bad := 0, false
			for item, err := range mt940.Read(io.NewSectionReader(src, 0, src.Size())) {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					yield(movement{}, messageError(err))
					return
				}
				if item.Line == nil {
					end := ending{number: number, problem: item.Statement.Problem, badLines: bad}
					if b := item.Statement.Opening; b != nil {
						end.opening = &b.Amount
					}
					if b := item.Statement.Closing; b != nil {
						end.closing = &b.Amount
					}
					done(end)
					number, bad = number+1, false
					continue
				}
				bad = bad || errors.Is(item.Line.Err, mt940.ErrLine)
				if !yield(mtMovement(item), nil) {
					return
				}
			}
		}
	}
}

// SWIFT cuts the reference of :61: at 16 characters. A NEFT reference has as
// many; what has the day within it is the beginning of one of 22.
var cutReference = regexp.MustCompile(`^[A-Z]{4}[A-Z]\d20\d{2}[01]\d[0-3]\d`)

func mtMovement(item mt940.Item) movement {
	l := item.Line
	m := movement{number: l.Number, account: item.Statement.Account, text: l.Details, texts: []string{l.Supplementary}}
	for _, f := range l.Fields {
		m.texts = append(m.texts, f.Text)
	}
	switch {
	case errors.Is(l.Err, mt940.ErrExpected):
		m.pending = true
		return m
	case l.Err != nil:
		m.problem = l.Err.Error()
		return m
	}
	for _, ref := range []string{l.CustomerRef, l.BankRef} {
		if !cutReference.MatchString(strings.ToUpper(ref)) {
			m.references = append(m.references, ref)
		}
	}
	day := l.EntryDate
	if day.IsZero() || l.ValueDate.Before(day) {
		day = l.ValueDate
	}
	m.credit, m.reversal, m.valued = l.Credit, l.Reversal, midnight(l.ValueDate)
	m.reading = feed.Reading{Amount: l.Amount, Currency: item.Statement.Currency, At: midnight(day), DateOnly: true}
	return m
}

// camtMessage is a camt.052, 053 or 054 file.
func camtMessage(src *io.SectionReader) message {
	return func(ctx context.Context, done func(ending)) iter.Seq2[movement, error] {
		return func(yield func(movement, error) bool) {
			number, bad := 0, false
			for item, err := range camt.Read(io.NewSectionReader(src, 0, src.Size())) {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					yield(movement{}, messageError(err))
					return
				}
				if item.Entry == nil {
					end := ending{number: number, problem: item.Account.Problem, badLines: bad}
					end.opening = camtBalance(item.Account, "OPBD", "PRCD")
					end.closing = camtBalance(item.Account, "CLBD")
					done(end)
					number, bad = number+1, false
					continue
				}
				bad = bad || item.Entry.Err != nil
				if !yield(camtMovement(item), nil) {
					return
				}
			}
		}
	}
}

// camtBalance is the balance of the first of the codes that a statement has.
func camtBalance(a *camt.Account, codes ...string) *money.Paise {
	for _, code := range codes {
		for i := range a.Balances {
			if b := &a.Balances[i]; b.Code == code && b.Err == nil {
				return &b.Amount
			}
		}
	}
	return nil
}

func camtMovement(item camt.Item) movement {
	e := item.Entry
	m := movement{
		number: e.Line, account: item.Account.Number, text: e.Remittance, texts: []string{e.Info, e.EntryInfo},
		references: []string{e.Refs.ClearingSystem, e.Refs.Transaction, e.Refs.EndToEnd, e.Refs.Servicer},
		credit:     e.Credit, reversal: e.Reversal || e.Returned, valued: midnight(e.ValueDay),
	}
	switch {
	case e.Err != nil:
		m.problem = e.Err.Error()
		return m
	case e.Batch > 1:
		m.problem = fmt.Sprintf("the sum of %d payments, which are not listed", e.Batch)
		return m
	}
	m.pending = !e.Booked
	if m.text == "" {
		m.text = strings.TrimSpace(e.Info + " " + e.EntryInfo)
	}
	other := e.Debtor
	if !e.Credit {
		other = e.Creditor
	}
	m.reading = feed.Reading{
		Amount: e.Amount, Currency: e.Currency, At: e.BookedAt, PayerName: other.Name, Reference: e.CreditorReference, Note: e.Remittance,
	}
	for _, address := range []string{other.Proxy, other.Account} {
		if vpa, err := upi.ParseVPA(address); err == nil && m.reading.PayerVPA == "" {
			m.reading.PayerVPA = string(vpa)
		}
	}
	if m.reading.At.IsZero() {
		day := e.BookingDay
		if day.IsZero() {
			day = e.ValueDay
		}
		m.reading.At, m.reading.DateOnly = midnight(day), !day.IsZero()
	}
	return m
}

// messageError is an error for the person who gave the file, unless it is the
// reader's own.
func messageError(err error) error {
	for _, format := range []error{mt940.ErrFormat, mt940.ErrTooLong, camt.ErrFormat, camt.ErrXML, camt.ErrDTD, camt.ErrTooLarge} {
		if errors.Is(err, format) {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	return err
}
