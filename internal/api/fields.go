package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Longest texts, in characters (protocol, sections 2 and 3).
const (
	maxText   = 190
	maxAmount = 256
)

// fieldError says what is wrong with a field.
type fieldError struct{ field, why string }

// fieldErrors are written as {"field":["why"]}, in the order the fields stand
// in the protocol.
type fieldErrors []fieldError

// MarshalJSON writes the errors' object.
func (errs fieldErrors) MarshalJSON() ([]byte, error) {
	buf := []byte{'{'}
	for i, e := range errs {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, encode(e.field)...)
		buf = append(buf, ':')
		buf = append(buf, encode([]string{e.why})...)
	}
	return append(buf, '}'), nil
}

// fields read the fields of a request one by one and gather what is wrong with
// them, so that a caller learns everything at once. A field that is wrong reads
// as its zero value.
type fields struct {
	values map[string]json.RawMessage
	errors fieldErrors
}

// readFields reads a JSON object. Of a key that stands twice the last counts;
// keys that nobody asks for are ignored. The error is a *requestError.
func readFields(body []byte) (*fields, error) {
	// encoding/json would mend broken text silently, and store what nobody sent.
	if !utf8.Valid(body) {
		return nil, badBody("must be valid UTF-8")
	}
	f := new(fields)
	err := json.Unmarshal(body, &f.values)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, badBody(fmt.Sprintf(`must be JSON in double quotes, such as {"currency":"INR"}; it goes wrong at byte %d`, syntax.Offset))
	case err != nil || f.values == nil: // an array, a number, null
		return nil, badBody("must be a JSON object")
	}
	return f, nil
}

func (f *fields) wrong(name, why string) {
	f.errors = append(f.errors, fieldError{name, why})
}

// err is nil or the *requestError that names every wrong field.
func (f *fields) err() error {
	if len(f.errors) == 0 {
		return nil
	}
	return badRequest(f.errors)
}

// scalar is a field's text: a string's content, or a number as it was written.
// Clients send either for both. Null, blank and missing fields are "".
func (f *fields) scalar(name, kind string) (text string, ok bool) {
	raw := f.values[name]
	if len(raw) == 0 {
		return "", true
	}
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		text = string(raw[1 : len(raw)-1])
	case c == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			f.wrong(name, "must be "+kind)
			return "", false
		}
	case c == '-' || '0' <= c && c <= '9':
		return string(raw), true
	case c == 'n':
		return "", true
	default:
		f.wrong(name, "must be "+kind)
		return "", false
	}
	return strings.TrimSpace(text), true
}

// text reads a required string.
func (f *fields) text(name string) string {
	text, ok := f.scalar(name, "a string")
	if !ok {
		return ""
	}
	return f.check(name, text)
}

// check holds a required text to the protocol's length and to characters that
// every store and log can keep.
func (f *fields) check(name, text string) string {
	length := 0
	for _, r := range text {
		length++
		// A surrogate without its twin, and broken UTF-8, read as RuneError.
		if unicode.IsControl(r) || r == utf8.RuneError {
			f.wrong(name, "must be plain text without control or broken characters")
			return ""
		}
	}
	switch {
	case length == 0:
		f.wrong(name, "is required")
		return ""
	case length > maxText:
		f.wrong(name, fmt.Sprintf("must have at most %d characters", maxText))
		return ""
	default:
		return text
	}
}

// currency reads a required currency code, in either case.
func (f *fields) currency(name string) money.Currency {
	text := f.text(name)
	if text == "" {
		return ""
	}
	code, err := money.ParseCurrency(text)
	if err != nil {
		f.wrong(name, "must be a currency code of 3 letters, such as INR")
	}
	return code
}

// utr reads the required reference of a UPI payment.
func (f *fields) utr(name string) upi.UTR {
	text := f.text(name)
	if text == "" {
		return ""
	}
	utr, err := upi.ParseRRN(text)
	if err != nil {
		f.wrong(name, "must be the UTR of the payment: 12 digits")
	}
	return utr
}

// amount reads rupees above zero, exactly as they are written; 0 where the
// field is missing.
func (f *fields) amount(name string) money.Paise {
	text, ok := f.scalar(name, "a number")
	if !ok || text == "" {
		return 0
	}
	if len(text) > maxAmount {
		f.wrong(name, fmt.Sprintf("must have at most %d characters", maxAmount))
		return 0
	}
	amount, err := money.Parse(text)
	switch {
	case errors.Is(err, money.ErrPrecision):
		f.wrong(name, "must have at most two decimals")
	case errors.Is(err, money.ErrRange):
		f.wrong(name, "is out of range")
	case err != nil:
		f.wrong(name, "must be a number, such as 500 or 500.50")
	case amount <= 0:
		f.wrong(name, "must be greater than 0")
		return 0
	}
	return amount
}

// requiredAmount is [fields.amount] for a field that must be there.
func (f *fields) requiredAmount(name string) money.Paise {
	before := len(f.errors)
	amount := f.amount(name)
	if amount == 0 && len(f.errors) == before {
		f.wrong(name, "is required")
	}
	return amount
}
