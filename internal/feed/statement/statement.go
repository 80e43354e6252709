// Package statement reads the account statements that Indian banks let their
// customers download: CSV and other text tables, XLSX, XLS, the HTML and text
// files that some name .xls, and the messages MT940 and camt.052 to 054.
//
// No bank writes a standard, and each changes its export at will, so nothing is
// asked of a file's name or of a list of known layouts. The table is found by
// its headings, the order of rows and of dates, and which column is the debit,
// by what all rows together say, above all the running balance. A row of which
// this says anything contradictory is handed on as unparsed, with the reason; it
// is never dropped and never guessed at.
//
// A file is read twice: [Read] surveys it as a whole, then [Statement.Lines]
// reads the rows, so that what is wrong with the file is known before its first
// row is used. Neither holds more than a few rows and the payments' references.
package statement

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/biff"
	"github.com/milaan/milaan/internal/feed/narration"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Options of [Read].
type Options struct {
	Format Format // "" is [Auto]
	// Now is the present. Rows that lie more than a year ahead are misread.
	// Zero leaves that unchecked.
	Now time.Time
}

// Line is a row of a statement.
type Line struct {
	feed.Reading
	Number    int          // of the row in the file, as a person counts, from 1
	Narration string       // as printed, its continuation rows joined
	ValueDate time.Time    // first moment of the day in India, in UTC; zero where the file has none
	Balance   *money.Paise // after this row, below zero when overdrawn; nil where the file has none
	// Doubt is why a row that can be read must not be booked, such as a balance
	// that contradicts it. Such a row is [feed.Unparsed].
	Doubt string
}

// Summary is what a file as a whole is and says.
type Summary struct {
	Format      Format
	Bank        string // such as "hdfc"; "" unless the file says whose it is
	AccountTail string // the last digits of the account, up to four
	Headings    []string
	From, To    time.Time // first and last day, in UTC; zero without rows
	Opening     *money.Paise
	Closing     *money.Paise
	Rows        int // that [Statement.Lines] gives
	NewestFirst bool
	// Problems are for the person who imports: what the file says of itself and
	// its rows do not bear out.
	Problems []string
	// Untrusted is why no row of the file may be booked; "" where they may.
	Untrusted string
}

// Statement is a statement file that has been read once as a whole. It must be
// closed, and the source must stay open as long.
type Statement struct {
	Summary
	lines func(context.Context) iter.Seq2[Line, error]
	close func() error
}

// Lines reads the rows in the file's order, each time it is called. After an
// error there are no more.
func (s *Statement) Lines(ctx context.Context) iter.Seq2[Line, error] { return s.lines(ctx) }

// Close releases what reading the file took.
func (s *Statement) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Read surveys a statement file of the given size in bytes. The error is
// [ErrEncrypted] or [ErrFormat], with a word on what to do, or that of reading.
func Read(ctx context.Context, src io.ReaderAt, size int64, opts Options) (*Statement, error) {
	file := io.NewSectionReader(src, 0, size)
	format := opts.Format
	sniffed, err := formatOf(file)
	if err != nil {
		return nil, err
	}
	if format == "" || format == Auto {
		format = sniffed
	}
	var s *Statement
	switch format {
	case Text, HTML, XLSX, XLS:
		s, err = readTable(ctx, file, format, opts)
	case MT:
		s, err = readMessage(ctx, mtMessage(file), format)
	case CAMT:
		s, err = readMessage(ctx, camtMessage(file), format)
	default:
		return nil, formatError("%q is no format: use one of %v", format, Formats())
	}
	if err != nil {
		return nil, err
	}
	s.Format = format
	return s, nil
}

// readTable reads a file that is a table.
func readTable(ctx context.Context, file *io.SectionReader, format Format, opts Options) (*Statement, error) {
	t, err := openTable(ctx, file, format)
	if err != nil {
		return nil, err
	}
	s, err := t.statement(ctx, format, opts)
	if err != nil {
		t.close() //nolint:errcheck // the error that led here is the one to return
		return nil, err
	}
	s.close = t.close
	s.Problems = append(s.Problems, t.notes...)
	return s, nil
}

// openTable finds the table in the file. What it opened is closed by the
// layout's close.
func openTable(ctx context.Context, file *io.SectionReader, format Format) (l layout, err error) {
	var found bool
	release := func() error { return nil }
	defer func() {
		if err == nil && !found {
			err = formatError("no row of headings was found in its first %d rows, such as Date, Narration, Debit, Credit, Balance: give the statement as the bank's site exports it, with its headings", headerWithin)
		}
		if l.close = release; err != nil {
			release() //nolint:errcheck // the error that led here is the one to return
		}
	}()
	switch format {
	case XLSX:
		w, err := openWorkbook(file)
		if err != nil {
			return l, err
		}
		release = w.file.Close
		l, found, err = firstSheet(ctx, w.sheets())
		l.epoch = w.epoch
		return l, err
	case XLS:
		book, err := biff.Open(file, file.Size())
		if err != nil {
			return l, xlsError(err)
		}
		l, found, err = firstSheet(ctx, xlsSheets(book))
		return l, err
	case HTML:
		l, found, err = findLayout(ctx, limited(htmlTable(decoded(file))))
	default:
		l, found, err = textLayout(ctx, decoded(file))
	}
	return l, err
}

// sheet is a sheet of a workbook.
type sheet struct {
	name  string
	table rows
}

// firstSheet finds the first sheet with headings, and notes the others that
// have some: they are not read.
func firstSheet(ctx context.Context, sheets []sheet) (l layout, found bool, err error) {
	var notes []string
	for _, s := range sheets {
		next, ok, err := findLayout(ctx, limited(s.table))
		switch {
		case err != nil:
			return layout{}, false, err
		case ok && found:
			notes = append(notes, fmt.Sprintf("only the first sheet with rows is read, not %q: save it as a file of its own", s.name))
		case ok:
			l, found = next, true
		}
	}
	l.notes = notes
	return l, found, nil
}

// statement surveys the table and makes the statement of it.
func (l *layout) statement(ctx context.Context, format Format, opts Options) (*Statement, error) {
	p, ev, err := l.planned(ctx)
	if err != nil {
		return nil, err
	}
	s := &Statement{Summary: Summary{
		Bank: l.owner, AccountTail: l.tail, Headings: l.names, NewestFirst: p.newestFirst,
		Rows: ev.entries, From: ev.from, To: ev.to, Opening: ev.stated.opening, Closing: ev.stated.closing,
	}}
	s.Problems, s.Untrusted = l.check(&p, ev)
	template := string(format)
	if l.bank != "" {
		template = l.bank + "/" + template
	}
	s.lines = func(ctx context.Context) iter.Seq2[Line, error] {
		return func(yield func(Line, error) bool) {
			for j, err := range l.judge(ctx, &p, func([]string) {}) {
				if err != nil {
					yield(Line{}, err)
					return
				}
				line := l.line(&j, &p, opts.Now)
				line.Bank, line.Template, line.AccountTail = l.owner, template, l.tail
				if line.Currency == "" {
					line.Currency = l.currency
				}
				if !yield(line, nil) {
					return
				}
			}
		}
	}
	return s, nil
}

// line reads a row that has been judged.
func (l *layout) line(j *judged, p *plan, now time.Time) Line {
	line := Line{Number: j.number, Narration: strings.Join(strings.Fields(j.narration), " "), Balance: balanceOf(j)}
	unparsed := func(why string) Line {
		line.Reading = feed.Reading{Kind: feed.Unparsed, At: line.At, DateOnly: line.DateOnly, Why: why}
		return line
	}
	d, err := l.day(&j.entry, p)
	if err == nil {
		line.At, line.DateOnly = d.at, d.only
	}
	if v, err := parseDay(j.valueDate, p.dates); err == nil {
		line.ValueDate = v.at
	} else if v, ok := l.serial(j.valueDate); ok {
		line.ValueDate = v.at
	}
	switch {
	case j.carried:
		line.Reading = feed.Reading{Kind: feed.Ignored, At: line.At, DateOnly: line.DateOnly, Why: "carries a balance"}
		return line
	case j.problem != "":
		return unparsed(j.problem)
	case failed(j.status):
		line.Reading = feed.Reading{Kind: feed.Ignored, At: line.At, DateOnly: line.DateOnly, Why: "its status is " + shorten(j.status)}
		return line
	case !succeeded(j.status):
		return unparsed("its status is " + shorten(j.status))
	case err != nil:
		return unparsed(err.Error())
	case !now.IsZero() && d.at.After(now.AddDate(1, 0, 0)):
		return unparsed("the date lies more than a year ahead")
	case j.side == none:
		return unparsed("nothing says whether it is a debit or a credit")
	}
	if j.currency != "" {
		c, err := money.ParseCurrency(j.currency)
		if err != nil {
			return unparsed("the currency can't be read")
		}
		line.Currency = c
	}
	if line.Doubt = l.doubt(j, p); line.Doubt != "" {
		return unparsed(line.Doubt)
	}
	direction := narration.In
	if j.side == debit {
		direction = narration.Out
	}
	text := l.unwrapped(j, direction)
	line.Kind, line.Amount, line.UTR = text.Kind, j.paise, text.UTR
	line.PayerVPA, line.PayerName, line.Note = text.PayerVPA, text.PayerName, text.Note
	line.Reversal, line.Why = text.Reversal, text.Why
	if line.UTR == "" {
		line.UTR = l.referenceOf(j, p, text)
	}
	if m, ok := p.opposite[line.UTR]; ok && line.UTR != "" {
		// The same reference went both ways: what came later is the other's return.
		later := m.credit > m.debit != p.newestFirst
		switch {
		case line.Kind == feed.Credit && later:
			line.Kind, line.Reversal, line.Why = feed.Other, true, "an own payment of the same reference came back"
		case line.Kind == feed.Debit && !later:
			line.Reversal, line.Why = true, "an earlier credit of the same reference was taken back"
		}
	}
	return line
}

// succeeded and failed read the status of a payment. What is neither is left
// to a person.
func succeeded(status string) bool {
	switch strings.ToLower(status) {
	case "", "-", "success", "successful", "succeeded", "completed", "complete", "settled", "credited", "debited", "processed", "booked", "posted", "captured", "paid", "received":
		return true
	}
	return false
}

func failed(status string) bool {
	switch strings.ToLower(status) {
	case "failed", "failure", "fail", "declined", "rejected", "cancelled", "canceled", "expired", "pending", "initiated", "in progress", "processing", "timed out", "timeout", "deemed", "created":
		return true
	}
	return false
}

// doubt is what speaks against booking the row as it reads.
func (l *layout) doubt(j *judged, p *plan) string {
	says := "a debit"
	if j.side == credit {
		says = "a credit"
	}
	switch {
	case j.verdict == opposite:
		return "it says " + says + ", but its balance moved the other way"
	case j.verdict == gap && p.chained:
		return "its balance does not follow from the row before and its amount"
	case j.shifted && j.verdict != ties:
		return "commas in the text shifted its cells, and no balance confirms them: save it as XLSX"
	}
	return ""
}

// fullReference is the length of a NEFT reference as RBI gives it.
const fullReference = 16

// unwrapped reads a narration that may go over several lines. Banks cut them
// between words or anywhere: where the two readings hold different references,
// the reference column decides or none is taken.
func (l *layout) unwrapped(j *judged, direction narration.Direction) narration.Narration {
	text := narration.Read(j.narration, direction, l.bank)
	if !strings.Contains(j.narration, "\n") {
		return text
	}
	cut := narration.Read(strings.NewReplacer("\r", "", "\n", "").Replace(j.narration), direction, l.bank)
	if strings.HasSuffix(cut.PayerVPA, text.PayerVPA) {
		text.PayerVPA = cut.PayerVPA
	}
	switch ref := narration.Reference(unlabelled(j.reference), text.Channel); {
	case text.UTR == cut.UTR, cut.UTR == "":
	case text.UTR == "", cut.UTR == ref:
		text.UTR = cut.UTR
	case text.UTR != ref:
		text.UTR = ""
	}
	return text
}

// referenceOf is the UTR of a row whose narration holds none: from a column of
// UTRs, or from the bank's own reference where that is known to be the same.
func (l *layout) referenceOf(j *judged, p *plan, text narration.Narration) (utr upi.UTR) {
	if j.utr != "" {
		if utr = narration.Reference(j.utr, text.Channel); utr != "" {
			return utr
		}
	}
	ref := unlabelled(j.reference)
	bankRef := text.Channel == narration.NEFT || text.Channel == narration.RTGS
	switch {
	case l.bank == "hdfc", p.refIsUTR:
		return narration.Reference(ref, text.Channel)
	case bankRef && l.bank != "kotak" && len(strings.TrimSpace(ref)) >= fullReference:
		// A reference of this length and shape is a transfer's own.
		return narration.Reference(ref, text.Channel)
	}
	return ""
}
