package bulkfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// responseFile is how a layout describes the bank's answer.
type responseFile struct {
	Separator string          `yaml:"separator"`
	Encoding  string          `yaml:"encoding"`
	Header    bool            `yaml:"header"`
	Amount    string          `yaml:"amount"`
	Columns   responseColumns `yaml:"columns"`
	UTRAfter  string          `yaml:"utr_after"`
	Words     wordsFile       `yaml:"words"`
	Controls  []controlFile   `yaml:"controls"`
}

// responseColumns are headers, or numbers from 1 where there is no header.
type responseColumns struct {
	Reference string `yaml:"reference"`
	Status    string `yaml:"status"`
	UTR       string `yaml:"utr"`
	BankID    string `yaml:"bank_id"`
	Why       string `yaml:"why"`
	Amount    string `yaml:"amount"`
}

type wordsFile struct {
	Paid    []string `yaml:"paid"`
	Refused []string `yaml:"refused"`
	Pending []string `yaml:"pending"`
}

// controlFile is a line that is no order's and tells how many there are.
type controlFile struct {
	Column int    `yaml:"column"`
	Mark   string `yaml:"mark"`
	Count  int    `yaml:"count"`
	Total  int    `yaml:"total"`
}

// Places in response.columns.
const (
	atReference = iota
	atStatus
	atUTR
	atBankID
	atWhy
	atAmount
	places
)

// response is a compiled responseFile.
type response struct {
	separator rune
	charset   encoding.Encoding
	header    bool
	amount    amountForm
	names     [places]string // "" for what the file does not have
	columns   [places]int    // from 0, -1 for none; of a file without a header
	utrAfter  string
	words     map[string]payout.Standing
	controls  []controlFile
}

func (f *responseFile) compile() (*response, error) {
	r := &response{header: f.Header, utrAfter: f.UTRAfter, words: map[string]payout.Standing{}, controls: f.Controls}
	var err error
	if r.separator, err = separator(f.Separator); err != nil {
		return nil, err
	}
	if r.charset, err = charset(f.Encoding); err != nil {
		return nil, err
	}
	if r.amount, err = oneOf("amount", f.Amount, fixed, short, paise); err != nil {
		return nil, err
	}
	r.names = [places]string{f.Columns.Reference, f.Columns.Status, f.Columns.UTR, f.Columns.BankID, f.Columns.Why, f.Columns.Amount}
	if r.names[atReference] == "" || r.names[atStatus] == "" {
		return nil, errors.New("columns: the reference and the status must be told")
	}
	for i, name := range r.names {
		r.columns[i] = -1
		if name == "" || r.header {
			r.names[i] = word(name)
			continue
		}
		number, err := strconv.Atoi(name)
		if err != nil || number < 1 || number > maxColumns {
			return nil, fmt.Errorf("columns: %q: without a header, columns are numbers from 1", name)
		}
		r.columns[i] = number - 1
	}
	for standing, list := range map[payout.Standing][]string{
		payout.Paid: f.Words.Paid, payout.Refused: f.Words.Refused, payout.Accepted: f.Words.Pending,
	} {
		for _, one := range list {
			key := word(one)
			if key == "" {
				return nil, errors.New("words: an empty one says nothing")
			}
			if _, ok := r.words[key]; ok {
				return nil, fmt.Errorf("words: %q is in it twice", one)
			}
			r.words[key] = standing
		}
	}
	if len(f.Words.Paid) == 0 || len(f.Words.Refused) == 0 {
		return nil, errors.New("words: the bank's words for paid and for refused must be told")
	}
	for _, c := range f.Controls {
		switch {
		case c.Column < 1 || c.Column > maxColumns || c.Count < 0 || c.Count > maxColumns || c.Total < 0 || c.Total > maxColumns:
			return nil, errors.New("controls: columns are numbers from 1")
		case word(c.Mark) == "":
			return nil, errors.New("controls: mark: write what tells the line from an order's")
		case c.Count == 0 && c.Total == 0:
			return nil, errors.New("controls: a line without count and total controls nothing")
		case c.Total > 0 && r.names[atAmount] == "":
			return nil, errors.New("controls: total: needs the column of amounts")
		}
	}
	return r, nil
}

// word is a text as words and headers are compared: whole, in one case, with
// single spaces.
func word(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

const (
	maxFile    = 16 << 20 // bytes; ten thousands of payouts in any of the forms
	maxColumns = 512
	maxAbove   = 40 // lines of a bank's letterhead before the header
)

// limited gives ErrTooLarge where io.LimitReader would end the file quietly.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Reads reports whether the layout knows the bank's answer.
func (l *Layout) Reads() bool { return l.response != nil }

// Read reads the bank's answer to an upload. What a row's status says is taken
// only where the whole cell is one of the layout's words; any other is Unclear,
// and so is a row without a reference, a refusal of a copy, and an order of which
// the file says two things. A file that is damaged, of another form, or whose
// control lines disagree with its rows is refused whole: the error wraps ErrFile,
// ErrContradiction or ErrTooLarge, and holds nothing of the file.
func (l *Layout) Read(r io.Reader) ([]Result, error) {
	if l.response == nil {
		return nil, fmt.Errorf("%w: the layout %s does not describe the bank's answers: add its response", ErrLayout, l.name)
	}
	return l.response.read(r)
}

func (a *response) read(from io.Reader) ([]Result, error) {
	text := transform.NewReader(&limited{r: from, left: maxFile}, unicode.BOMOverride(a.charset.NewDecoder()))
	table := csv.NewReader(text)
	table.Comma, table.FieldsPerRecord, table.ReuseRecord = a.separator, -1, true
	columns, width := a.columns, -1
	found := !a.header
	told := make([]bool, len(a.controls))
	var sums []control
	var results []Result
	var total money.Paise
	for above := 0; ; {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damagedTable(err)
		}
		line, _ := table.FieldPos(0)
		refuse := func(why string) error { return fmt.Errorf("%w: line %d: %s", ErrFile, line, why) }
		switch {
		case len(row) > maxColumns:
			return nil, refuse("too many columns")
		case !slices.ContainsFunc(row, func(cell string) bool { return strings.TrimSpace(cell) != "" }):
			continue // spreadsheets leave lines of separators behind
		}
		if i := a.control(row); i >= 0 {
			if told[i] {
				return nil, refuse("a control line stands in it twice")
			}
			told[i] = true
			one, err := a.controls[i].read(row, a.amount)
			if err != nil {
				return nil, refuse(err.Error())
			}
			sums = append(sums, one)
			continue
		}
		if !found {
			if columns, found = a.find(row); found {
				width = len(row)
			} else if above++; above > maxAbove {
				break
			}
			continue
		}
		if width < 0 {
			width = len(row)
			if slices.Max(columns[:]) >= width {
				return nil, refuse(fmt.Sprintf("it has %d columns, the layout needs more", width))
			}
		}
		if len(row) != width {
			return nil, refuse(fmt.Sprintf("it has %d columns, the lines before have %d", len(row), width))
		}
		if len(results) == maxOrders {
			return nil, ErrTooLarge
		}
		result, err := a.result(row, columns)
		if err != nil {
			return nil, refuse(err.Error())
		}
		if total, err = total.Add(result.Amount); err != nil {
			return nil, refuse("the amounts are too large")
		}
		results = append(results, result)
	}
	if !found {
		return nil, fmt.Errorf("%w: no line has the layout's headers: is it another file, or a newer form?", ErrFile)
	}
	if i := slices.Index(told, false); i >= 0 {
		return nil, fmt.Errorf("%w: it has no line of %q: it may have been cut off", ErrFile, a.controls[i].Mark)
	}
	for _, sum := range sums {
		if sum.count >= 0 && sum.count != len(results) {
			return nil, fmt.Errorf("%w: it tells of %d payouts and holds %d", ErrContradiction, sum.count, len(results))
		}
		if sum.total >= 0 && sum.total != total {
			return nil, fmt.Errorf("%w: it tells of ₹%s in all, its payouts sum up to ₹%s", ErrContradiction, sum.total.Fixed(), total.Fixed())
		}
	}
	return tell(results), nil
}

// damagedTable keeps the library's place of a fault.
func damagedTable(err error) error {
	if fault, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("%w: line %d: %w", ErrFile, fault.Line, fault.Err)
	}
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFile, err)
}

// find looks for the layout's headers in a row. Two columns of one name are none:
// which is meant cannot be told.
func (a *response) find(row []string) ([places]int, bool) {
	columns := a.columns
	for i, name := range a.names {
		if name == "" {
			continue
		}
		for at, cell := range row {
			if word(cell) != name {
				continue
			}
			if columns[i] >= 0 {
				return a.columns, false
			}
			columns[i] = at
		}
		if columns[i] < 0 {
			return a.columns, false
		}
	}
	return columns, true
}

// control is the number of the control line that the row is, -1 for none.
func (a *response) control(row []string) int {
	return slices.IndexFunc(a.controls, func(c controlFile) bool {
		return len(row) >= c.Column && word(row[c.Column-1]) == word(c.Mark)
	})
}

// control is what a control line tells, -1 for what it does not.
type control struct {
	count int
	total money.Paise
}

func (c *controlFile) read(row []string, form amountForm) (control, error) {
	told := control{-1, -1}
	if max(c.Count, c.Total) > len(row) {
		return told, errors.New("the control line is too short")
	}
	var err error
	if c.Count > 0 {
		if told.count, err = strconv.Atoi(strings.TrimSpace(row[c.Count-1])); err != nil || told.count < 0 {
			return told, errors.New("the control line has no count")
		}
	}
	if c.Total > 0 {
		if told.total, err = form.read(row[c.Total-1]); err != nil || told.total < 0 {
			return told, errors.New("the control line has no total")
		}
	}
	return told, nil
}

// result is what a row says. Only an amount that is none is an error: the file is
// then not what the layout takes it for.
func (a *response) result(row []string, columns [places]int) (Result, error) {
	at := func(place int) string {
		if columns[place] < 0 {
			return ""
		}
		return strings.TrimSpace(row[columns[place]])
	}
	var result Result
	if text := at(atAmount); columns[atAmount] >= 0 {
		var err error
		if result.Amount, err = a.amount.read(text); err != nil || result.Amount <= 0 {
			return result, errors.New("the amount is none")
		}
	}
	if reference := at(atReference); referencePattern.MatchString(reference) {
		result.Reference = reference
	}
	status, why := at(atStatus), at(atWhy)
	standing, known := a.words[word(status)]
	switch {
	case result.Reference == "":
		result.Answer = unclear("the row has no reference of a payout")
		return result, nil
	case !known:
		result.Answer = unclear(join(fmt.Sprintf("the status %q is not in the layout", reason(status)), reason(why)))
	case standing == payout.Refused && twice.MatchString(why):
		result.Answer = unclear(join(refusedCopy, reason(why)))
	case standing == payout.Paid:
		result.Answer = payout.Answer{Standing: standing}
	default:
		result.Answer = payout.Answer{Standing: standing, Why: reason(why)}
	}
	utr := at(atUTR)
	if a.utrAfter != "" {
		_, utr, _ = strings.Cut(utr, a.utrAfter)
	}
	result.BankRef, result.ProviderRef = bankReference(utr), bankReference(at(atBankID))
	return result, nil
}
