package bankhook

import (
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// scalar is a JSON string, or a number as it was written: rupees as JSON
// numbers must not pass through a float, and a reference written as a number
// keeps its digits. Null, booleans, objects and lists are "": a field of
// another type than documented says nothing, and what depends on it is not
// read.
type scalar string

// UnmarshalJSON never fails: see scalar.
func (s *scalar) UnmarshalJSON(raw []byte) error {
	*s = ""
	switch v := jsontext.Value(raw); v.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return err
		}
		*s = scalar(text)
	case '0':
		*s = scalar(raw)
	}
	return nil
}

// errShape says that a body is JSON, but built otherwise than documented.
var errShape = errors.New("built otherwise than the provider documents")

// decode reads a JSON body strictly: names in exactly the documented case, none
// twice, valid UTF-8, so that no two readers see different amounts. The error
// is errShape where the JSON is sound and its structure is not, else it wraps
// ErrBody.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	// The structure is judged first, and the rest of the text may be broken too.
	if _, semantic := errors.AsType[*json.SemanticError](err); semantic && jsontext.Value(body).IsValid() {
		return errShape
	}
	return fmt.Errorf("%w: not JSON, or a name stands in it twice", ErrBody)
}

// form reads a form body strictly: every name once.
func form(r Request) (url.Values, error) {
	values, err := url.ParseQuery(string(r.Body))
	if err != nil || len(values) == 0 {
		return nil, fmt.Errorf("%w: not a form", ErrBody)
	}
	for name, list := range values {
		if len(list) != 1 || !utf8.ValidString(name) || !utf8.ValidString(list[0]) {
			return nil, fmt.Errorf("%w: a field stands in it twice, or is not UTF-8", ErrBody)
		}
	}
	return values, nil
}

func isForm(r Request) bool {
	kind, _, err := mime.ParseMediaType(r.ContentType)
	return err == nil && kind == "application/x-www-form-urlencoded"
}

var (
	paiseLiteral = regexp.MustCompile(`^[1-9][0-9]{0,14}$`)
	rupeeLiteral = regexp.MustCompile(`^[0-9]{1,13}(\.[0-9]{1,6})?$`)
)

// paise reads an amount in paise; ok is false for what is not a whole number
// above zero.
func paise(s scalar) (p money.Paise, ok bool) {
	if !paiseLiteral.MatchString(string(s)) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	return money.Paise(n), err == nil
}

// rupees reads an amount in rupees above zero, in plain digits.
func rupees(s scalar) (p money.Paise, ok bool) {
	if !rupeeLiteral.MatchString(string(s)) {
		return 0, false
	}
	p, err := money.ParsePositive(string(s))
	return p, err == nil
}

// rrn is the reference of a UPI or IMPS payment, transfer that of any payment;
// "" for what is none.
func rrn(s scalar) upi.UTR {
	utr, err := upi.ParseRRN(string(s))
	if err != nil {
		return ""
	}
	return utr
}

func transfer(s scalar) upi.UTR {
	utr, err := upi.ParseUTR(string(s))
	if err != nil {
		return ""
	}
	return utr
}

// tail are the last four characters of an account number, a virtual one
// included; "" for less.
func tail(account scalar) string {
	s := strings.TrimSpace(string(account))
	if !accountNumber.MatchString(s) {
		return ""
	}
	return s[len(s)-4:]
}

var accountNumber = regexp.MustCompile(`^[0-9A-Za-z]{4,64}$`)

// unix is a time in seconds or milliseconds; zero for what is none of this
// century.
func unix(s scalar, unit time.Duration) time.Time {
	n, err := strconv.ParseInt(string(s), 10, 64)
	limit := int64(4e9) * int64(time.Second/unit)
	if err != nil || n <= 0 || n > limit {
		return time.Time{}
	}
	if unit == time.Millisecond {
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// moment is a time as text: with its zone, or without one and then India's.
func moment(s scalar) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, strings.TrimSpace(string(s)), feed.India()); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

// Bounds of texts, in characters, as [feed.ParseJSON] has them.
const (
	maxVPA       = 255
	maxName      = 190
	maxReference = 190
	maxNote      = 500
	maxAhead     = 24 * time.Hour
)

// tidy holds a reading to what every reading promises: bounded texts of one
// line, no time in the future, and a currency with every amount.
func tidy(r *feed.Reading, now time.Time) {
	r.PayerVPA = line(r.PayerVPA, maxVPA)
	r.PayerName = line(r.PayerName, maxName)
	r.Note = line(r.Note, maxNote)
	// Half a reference could be another's.
	if utf8.RuneCountInString(r.Reference) > maxReference {
		r.Reference = ""
	}
	r.Reference = line(r.Reference, maxReference)
	r.Template, r.Why = line(r.Template, maxReference), line(r.Why, maxNote)
	if r.At.After(now.Add(maxAhead)) {
		r.At, r.DateOnly = time.Time{}, false
	}
	if r.Amount > 0 {
		r.Currency = money.INR
	}
}

// line is a text without control characters, cut to the most characters it may
// have.
func line(s string, most int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most])
	}
	return s
}

// first is the first of the values that is not empty.
func first(values ...scalar) scalar {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
