package statement

import (
	"context"
	"iter"
	"regexp"
	"strings"
)

// entry is a row of the statement, with the rows its narration continues on.
type entry struct {
	number                              int
	date, valueDate, clock              string
	narration, reference, utr, currency string
	debit, credit, amount, balance      sum
	flag                                role
	status                              string // of the payment, where the file says it
	flagText                            string
	problem                             string // why it can't be read
	shifted                             bool   // cells were put back in place, and nothing but the balance can confirm it
	carried                             bool   // only carries a balance: opening, brought forward
	lines                               int
}

func (e *entry) hasAmount() bool {
	return e.debit.paise != 0 || e.credit.paise != 0 || e.amount.paise != 0
}

var (
	// closingText starts what stands below the rows, or between pages.
	closingText = regexp.MustCompile(`(?i)statement summary|account summary|\bopening bal|\bclosing bal|\b(?:grand |sub ?|page )?totals?\b|\b(?:cr|dr|credit|debit) count|end of (?:the )?statement|computer[- ]generated|system[- ]generated|generated (?:on|by|at)|does not require|no signature|\blegends?\b|disclaimer|unless the constituent|\bpage\s*(?:no\.?)?\s*\d+|brought forward|carried forward|contents of this statement|registered office|^\*\*|\bend of report|note\s*:|important (?:message|information)|transactions? (?:count|total)|requested by|this is an? `)
	// carriedText is a row that carries a balance and moves nothing.
	carriedText = regexp.MustCompile(`(?i)^\W*(?:opening balance|closing balance|balance (?:b/?f|c/?f|brought forward|carried forward)|b/?f|c/?f|brought forward|carried forward|op(?:e?ning)? bal(?:ance)?)\b[\s.:*-]*(?:as on .*)?$`)
)

// marksOnly are the cells of a row that is drawn, not written.
const marksOnly = " \t\u00a0*=_~.#+|-"

const maxContinued = 12 // rows a narration may continue on

// entries puts the table's rows together. Text hands on the rows that are no
// entries: what stands below the table and between its pages.
func (l *layout) entries(ctx context.Context, text func(cells []string)) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var pending *entry
		var stopped bool
		flush := func() {
			if pending != nil && !stopped {
				l.complete(pending)
				stopped = !yield(*pending, nil)
			}
			pending = nil
		}
		below := false // a row that closes the table has been seen
		for r, err := range l.table(ctx) {
			if err != nil {
				flush()
				if !stopped {
					yield(entry{}, err)
				}
				return
			}
			if r.number <= l.header {
				continue
			}
			switch kind := l.classify(r, pending, below); kind {
			case blankRow:
				flush()
			case repeatedHeading:
				flush()
			case textRow:
				flush()
				below = below || closingText.MatchString(strings.Join(r.cells, " "))
				text(r.cells)
			case continuedRow:
				l.join(pending, r)
			case entryRow:
				flush()
				below = false
				e := l.entry(r)
				pending = &e
			}
			if stopped {
				return
			}
		}
		flush()
	}
}

type rowKind int

const (
	blankRow rowKind = iota
	repeatedHeading
	textRow
	continuedRow
	entryRow
)

func (l *layout) classify(r row, pending *entry, below bool) rowKind {
	marks, filled := true, 0
	for _, c := range r.cells {
		if strings.TrimSpace(c) != "" {
			filled++
		}
		marks = marks && strings.Trim(c, marksOnly) == ""
	}
	if filled == 0 || marks {
		return blankRow
	}
	if l.same(r.cells) {
		return repeatedHeading
	}
	date := cell(r.cells, l.booked)
	if dateShape(date) || l.isSerial(date) {
		return entryRow
	}
	// A date that only wraps out of its own cell is none: "01/09/2026 10:" is not guessed at.
	text := strings.Join(r.cells, " ")
	paid := false
	for _, i := range []int{l.debit, l.credit, l.amount} {
		s, err := parseSum(cell(r.cells, i), !l.text)
		paid = paid || err == nil && s.paise != 0
	}
	closing := closingText.MatchString(text)
	switch {
	case paid && date == "" && pending != nil && !pending.hasAmount() && !closing && pending.lines < maxContinued:
		return continuedRow // the amounts stand on the narration's last line
	case paid && !below && !closing:
		return entryRow // without a date that can be read
	case paid || closing || date != "":
		return textRow
	case pending != nil && pending.lines < maxContinued && cell(r.cells, l.narration) != "":
		return continuedRow
	case pending != nil && filled == 1 && len(r.cells) <= l.narration && !below:
		return textRow
	}
	return textRow
}

func (l *layout) isSerial(text string) bool {
	if l.text || len(text) < 5 || !isDigit(text[0]) {
		return false
	}
	_, ok := l.serial(text)
	return ok
}

// cell is a cell's text; "" for a column that is not there.
func cell(cells []string, i int) string {
	if i < 0 || i >= len(cells) {
		return ""
	}
	text := strings.TrimSpace(cells[i])
	// What keeps Excel from reading text as a number: ="0123" and '0123.
	if inner, ok := strings.CutPrefix(text, `="`); ok {
		text = strings.TrimSuffix(inner, `"`)
	}
	return strings.TrimSpace(strings.TrimPrefix(text, "'"))
}

// entry reads a row's cells.
func (l *layout) entry(r row) entry {
	e := entry{number: r.number, problem: r.broken, lines: 1}
	cells := r.cells
	for len(cells) > l.width && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	if l.text {
		cells = l.realign(cells, &e)
		if last := max(l.debit, l.credit, l.amount, l.balance); len(cells) <= last && e.problem == "" {
			e.problem = "the row has fewer cells than the headings"
		}
	}
	e.date, e.valueDate, e.clock = cell(cells, l.booked), cell(cells, l.valued), cell(cells, l.clock)
	e.narration, e.reference, e.utr = l.narrationOf(cells), cell(cells, l.reference), cell(cells, l.utr)
	e.currency, e.status = cell(cells, l.columns.currency), cell(cells, l.status)
	l.sums(&e, cells)
	if !dateShape(e.date) && !l.isSerial(e.date) && e.problem == "" {
		e.problem = "no date that can be read"
	}
	return e
}

func (l *layout) narrationOf(cells []string) string {
	text := cell(cells, l.narration)
	for _, i := range l.moreNarration {
		if more := cell(cells, i); more != "" && more != text {
			text = strings.TrimSpace(text + " " + more)
		}
	}
	return text
}

// sums reads the row's amounts into an entry that has none yet.
func (l *layout) sums(e *entry, cells []string) {
	read := func(i int, name string) sum {
		s, err := parseSum(cell(cells, i), !l.text)
		if err != nil && e.problem == "" {
			e.problem = "the cell of the " + name + " holds no amount"
		}
		return s
	}
	e.debit, e.credit = read(l.debit, "debit"), read(l.credit, "credit")
	e.amount, e.balance = read(l.amount, "amount"), read(l.balance, "balance")
	e.flagText = cell(cells, l.flag)
	e.flag = flagOf(e.flagText)
	side := e.balance.side
	if side == none {
		side = flagOf(cell(cells, l.balanceFlag))
	}
	if side == debit && e.balance.paise > 0 {
		e.balance.paise = -e.balance.paise
	}
}

// realign puts back the cells of a row whose narration holds commas that no
// quotes enclose: what is left of the narration is counted from the left, what
// is right of it from the right. A date to the right of the narration confirms
// it; else the running balance has to.
func (l *layout) realign(cells []string, e *entry) []string {
	excess := len(cells) - l.width
	if excess <= 0 {
		return cells
	}
	if l.narration < 0 {
		e.problem = "the row has more cells than the headings"
		return cells
	}
	after := l.narration + excess + 1
	out := make([]string, 0, l.width)
	out = append(out, cells[:l.narration]...)
	out = append(out, strings.Join(cells[l.narration:after], l.comma))
	out = append(out, cells[after:]...)
	e.shifted = l.valued < l.narration || !dateShape(cell(out, l.valued))
	return out
}

// join adds a row to the entry it continues.
func (l *layout) join(e *entry, r row) {
	e.lines++
	if !e.hasAmount() && e.problem == "" {
		was := e.balance
		l.sums(e, r.cells)
		if !e.balance.there {
			e.balance = was
		}
	}
	e.narration = joinText(e.narration, l.narrationOf(r.cells))
	if e.reference == "" {
		e.reference = cell(r.cells, l.reference)
	}
}

// joinText joins the lines of a narration. A number cut by the end of the line
// is put together again, unless what stands there is a whole reference; where a
// word may have been cut or not, the line's end is kept.
func joinText(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	last, first := a[len(a)-1], b[0]
	digits := 0
	for i := len(a) - 1; i >= 0 && isDigit(a[i]); i-- {
		digits++
	}
	const rrn = 12
	switch {
	case isDigit(last) && isDigit(first) && digits < rrn,
		strings.IndexByte("/-*:", last) >= 0, strings.IndexByte("/-*:", first) >= 0:
		return a + b
	}
	return a + "\n" + b
}

// complete ends an entry when its last row is known.
func (l *layout) complete(e *entry) {
	e.carried = len(e.narration) < maxHeading && carriedText.MatchString(e.narration) ||
		!e.hasAmount() && e.balance.there && closingText.MatchString(e.narration)
	if !e.hasAmount() && !e.carried && e.problem == "" {
		e.problem = "no amount"
	}
}
