package bulkfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// template is a cell's text: fixed parts and fields in braces.
type template []part

type part struct {
	text  string // where field is empty
	field string
	arg   string
}

// fields are what a template may hold, and whether a field takes an argument.
var fields = map[string]bool{
	"reference": false, "amount": false, "account": false, "ifsc": false, "bank": false, "name": false, "mode": false,
	"row": false, "note": false, "email": false, "batch": false, "count": false, "total": false,
	"debit_account": false, "debit_ifsc": false, "debit_name": false,
	"date": true, "sequence": true, "code": true,
}

// ofOrder are the fields that only rows have.
var ofOrder = []string{"reference", "amount", "account", "ifsc", "bank", "name", "mode", "row"}

var (
	fieldPattern = regexp.MustCompile(`\{([a-z_]+)(?::([^{}]*))?\}`)
	codePattern  = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
)

func parseTemplate(text string) (template, error) {
	var t template
	rest := text
	literal := func(s string) error {
		if strings.ContainsAny(s, "{}") || !plainPattern.MatchString(s) {
			return fmt.Errorf("%.64q: use plain signs without quotes, and fields such as {amount}", text)
		}
		if s != "" {
			t = append(t, part{text: s})
		}
		return nil
	}
	for _, at := range fieldPattern.FindAllStringSubmatchIndex(text, -1) {
		if err := literal(text[len(text)-len(rest) : at[0]]); err != nil {
			return nil, err
		}
		p := part{field: text[at[2]:at[3]]}
		if at[4] >= 0 {
			p.arg = text[at[4]:at[5]]
		}
		if err := p.check(at[4] >= 0); err != nil {
			return nil, err
		}
		t, rest = append(t, p), text[at[1]:]
	}
	if err := literal(rest); err != nil {
		return nil, err
	}
	return t, nil
}

// check refuses what could only be wrong when a file is written, or silently.
func (p part) check(argument bool) error {
	takes, known := fields[p.field]
	switch {
	case !known:
		return fmt.Errorf("{%s} is not a field", p.field)
	case takes != argument:
		return fmt.Errorf("{%s}: %s", p.field, map[bool]string{true: "write what follows the colon", false: "takes nothing after a colon"}[takes])
	case p.field == "date":
		// Two days that differ in every number must be told apart, and the day told
		// from the month; this also finds forms such as dd/mm/yyyy, which are fixed
		// text to Go.
		a, b := time.Date(2031, 11, 22, 0, 0, 0, 0, time.UTC), time.Date(2031, 12, 22, 0, 0, 0, 0, time.UTC)
		c := time.Date(2031, 11, 23, 0, 0, 0, 0, time.UTC)
		if a.Format(p.arg) == b.Format(p.arg) || a.Format(p.arg) == c.Format(p.arg) {
			return fmt.Errorf("{date:%s}: write the second of January 2006 the bank's way, such as 02/01/2006 or 02012006", p.arg)
		}
	case p.field == "sequence":
		if width, err := strconv.Atoi(p.arg); err != nil || width < 1 || width > 9 {
			return fmt.Errorf("{sequence:%s}: write how many digits, 1 to 9", p.arg)
		}
	case p.field == "code":
		if !codePattern.MatchString(p.arg) {
			return fmt.Errorf("{code:%s}: write a name of small letters, digits and underscores", p.arg)
		}
	}
	return nil
}

// uses reports whether one of the fields is in the template.
func (t template) uses(fields ...string) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.field != "" && slices.Contains(fields, p.field) })
}

// values are what templates are filled with.
type values struct {
	batch  *Batch
	layout *Layout
	total  money.Paise
	order  *payout.Order // nil outside rows
	row    int
	mode   mode
}

// fill gives the text; the error says which field has no value.
func (t template) fill(v *values) (string, error) {
	var b strings.Builder
	for _, p := range t {
		value, err := p.value(v)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

func (p part) value(v *values) (string, error) {
	switch p.field {
	case "":
		return p.text, nil
	case "reference":
		return v.order.Reference, nil
	case "amount":
		return v.layout.upload.amount.write(v.order.Amount), nil
	case "account":
		return string(v.order.Account), nil
	case "ifsc":
		return string(v.order.IFSC), nil
	case "bank":
		return v.order.IFSC.Bank(), nil
	case "name":
		return beneficiary(v.order), nil
	case "mode":
		return v.mode.text, nil
	case "row":
		return strconv.Itoa(v.row), nil
	case "note":
		return v.batch.Note, nil
	case "email":
		return v.batch.Email, nil
	case "batch":
		return v.batch.ID, nil
	case "count":
		return strconv.Itoa(len(v.batch.Orders)), nil
	case "total":
		return v.layout.upload.amount.write(v.total), nil
	case "debit_account":
		return string(v.batch.Debit.Account), nil
	case "debit_ifsc":
		return string(v.batch.Debit.IFSC), nil
	case "debit_name":
		return v.batch.Debit.Name, nil
	case "date":
		return v.batch.day().Format(p.arg), nil
	case "sequence":
		width, _ := strconv.Atoi(p.arg) // checked when the layout was read
		text := fmt.Sprintf("%0*d", width, v.batch.Sequence)
		if v.batch.Sequence < 1 || len(text) > width {
			return "", fmt.Errorf("%w: the layout counts the day's files with %d digits, from 1", ErrBatch, width)
		}
		return text, nil
	case "code":
		code := strings.TrimSpace(v.batch.Debit.Codes[p.arg])
		if code == "" {
			return "", fmt.Errorf("%w: the layout %s writes the %s that the bank gave you: set it for the wallet", ErrBatch, v.layout.name, p.arg)
		}
		return code, nil
	default:
		return "", fmt.Errorf("%w: {%s} is not a field", ErrLayout, p.field)
	}
}
