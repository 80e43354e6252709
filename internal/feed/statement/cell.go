package statement

import (
	"errors"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

// sum is what a cell of an amount says.
type sum struct {
	there  bool // not empty, and not a mark for nothing
	paise  money.Paise
	side   role // debit or credit where the cell says so by itself: "380.00(Dr)"
	signed bool // a sign or brackets were written
}

var (
	errNotAmount = errors.New("not an amount")
	// side marks an amount as Cr or Dr, before or after it, with brackets or without.
	sideAfter  = regexp.MustCompile(`(?i)\s*[(\[]?\s*\b(cr|dr|c|d|credit|debit)\b\.?\s*[)\]]?\s*$|\s*(cr|dr)\.?$`)
	sideBefore = regexp.MustCompile(`(?i)^\(?(cr|dr)\)?\.?\s+`)
	currency   = regexp.MustCompile(`(?i)^(?:₹|rs\.?|inr)\s*|\s*(?:₹|inr|/-)$`)
	digitText  = regexp.MustCompile(`^\d[\d,]*(?:\.\d*)?$|^\.\d+$`)
	serialText = regexp.MustCompile(`^\d+(?:\.\d+)?(?:[eE][+-]?\d\d?)?$`) // an exponent is bounded, as a rational of it is not
)

// parseSum reads an amount as banks print it: lakh and western grouping, padded,
// with or without paise, "-" or nothing in the empty cell, a minus or brackets,
// and Cr or Dr glued to it. Noise are the digits that a workbook's binary
// fractions carry beyond the paisa.
func parseSum(text string, noise bool) (sum, error) {
	text = strings.TrimFunc(text, func(r rune) bool { return r == ' ' || r == '\u00a0' || r == '\'' || r == '\t' || r == '"' })
	switch text {
	case "", "-", "--", "---", ".", "–", "—", "*", "NA", "N/A", "NIL", "Nil", "nil", "null", "NULL":
		return sum{}, nil
	}
	s := sum{there: true}
	if c := text[len(text)-1]; !isDigit(c) || !isDigit(text[0]) {
		if m := sideAfter.FindStringSubmatch(text); m != nil {
			s.side = sideOf(m[1] + m[2])
			text = strings.TrimSuffix(text, m[0])
		} else if m := sideBefore.FindStringSubmatch(text); m != nil {
			s.side = sideOf(m[1])
			text = text[len(m[0]):]
		}
		negative := false
		if inner, ok := strings.CutPrefix(text, "("); ok {
			if inner, ok = strings.CutSuffix(inner, ")"); ok {
				text, negative, s.signed = strings.TrimSpace(inner), true, true
			}
		}
		text = currency.ReplaceAllString(strings.TrimSpace(text), "")
		if rest, ok := strings.CutPrefix(text, "-"); ok {
			text, negative, s.signed = rest, !negative, true
		} else if rest, ok := strings.CutSuffix(text, "-"); ok {
			text, negative, s.signed = rest, !negative, true
		} else if rest, ok := strings.CutPrefix(text, "+"); ok {
			text, s.signed = rest, true
		}
		text = strings.TrimSpace(currency.ReplaceAllString(strings.TrimSpace(text), ""))
		paise, err := plainSum(text, noise)
		if negative {
			paise = -paise
		}
		s.paise = paise
		return s, err
	}
	var err error
	s.paise, err = plainSum(text, noise)
	return s, err
}

func plainSum(text string, noise bool) (money.Paise, error) {
	if digitText.MatchString(text) {
		whole := strings.TrimSuffix(text, ".")
		if whole[0] == '.' {
			whole = "0" + whole
		}
		paise, err := money.Parse(whole)
		if err == nil {
			return paise, nil
		}
	}
	if noise && serialText.MatchString(text) {
		return rounded(text)
	}
	return 0, errNotAmount
}

// rounded takes the noise off a workbook's number: "1234.5600000000001" is
// 1234.56, but 1.005 is refused.
func rounded(text string) (money.Paise, error) {
	if len(text) > 32 || strings.ContainsAny(text, "eE") && len(text) > 26 {
		return 0, errNotAmount
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, errNotAmount
	}
	r.Mul(r, big.NewRat(100, 1))
	near, err := money.Parse(r.FloatString(0))
	if err != nil {
		return 0, errNotAmount
	}
	near /= money.Rupee // FloatString's whole paise were read as rupees
	off := new(big.Rat).Sub(r, new(big.Rat).SetInt64(int64(near)))
	if off.Abs(off).Cmp(big.NewRat(1, 1000)) > 0 {
		return 0, errNotAmount
	}
	return near, nil
}

func sideOf(mark string) role {
	switch strings.ToLower(mark) {
	case "cr", "c", "credit":
		return credit
	case "dr", "d", "debit":
		return debit
	}
	return none
}

// flagOf reads a cell of a Cr/Dr column.
func flagOf(text string) role {
	switch strings.ToUpper(strings.Trim(strings.TrimSpace(text), "().")) {
	case "CR", "C", "CREDIT", "CREDITED", "DEPOSIT", "+", "CREDIT TXN", "IN":
		return credit
	case "DR", "D", "DEBIT", "DEBITED", "WITHDRAWAL", "-", "DEBIT TXN", "OUT":
		return debit
	}
	return none
}

// day is a date of a statement, with the time where it has one.
type day struct {
	at   time.Time // UTC
	only bool      // no time of day
}

// epoch is day 0 of a workbook's serial numbers. Excel counts a 29 February
// 1900 that never was, so its epoch lies a day before 31 December 1899.
type epoch struct{ zero time.Time }

var (
	epoch1900 = epoch{time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)}
	epoch1904 = epoch{time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)}
)

// Serial numbers from 2000 to 2100; other numbers in a column of dates are no dates.
const (
	minSerial = 36526
	maxSerial = 73415
)

// serial reads a workbook's date: days, and the time as a fraction of one.
func (e epoch) serial(text string) (day, bool) {
	if e.zero.IsZero() || len(text) > 32 || !serialText.MatchString(text) {
		return day{}, false
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || r.Cmp(big.NewRat(minSerial-1500, 1)) < 0 || r.Cmp(big.NewRat(maxSerial, 1)) > 0 {
		return day{}, false
	}
	const seconds = 24 * 3600
	r.Mul(r, big.NewRat(seconds, 1))
	r.Add(r, big.NewRat(1, 2)) // a second is the finest that banks print
	n := new(big.Int).Quo(r.Num(), r.Denom()).Int64()
	local := e.zero.AddDate(0, 0, int(n/seconds)).Add(time.Duration(n%seconds) * time.Second)
	at := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, feed.India())
	return day{at: at.UTC(), only: n%seconds == 0}, true
}

// dateMark is the outer form of a date, and what may follow it: a time.
var dateMark = regexp.MustCompile(`^(\d{1,4})\s*[-/. ]\s*(\d{1,2}|[A-Za-z]{3,9})\.?\s*[-/. ,]\s*'?(\d{4}|\d{1,2})(?:\s*[T ,:]\s*(\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:\.\d+)?)?)\s*([AaPp]\.?[Mm]\.?)?(?:\s*(?:IST|Z|\+05:?30))?)?$`)

// compactMark are dates without separators: 01Sep2026, 20260901, 01092026.
var compactMark = regexp.MustCompile(`^(\d{1,2})([A-Za-z]{3})(\d{4}|\d{2})$|^(20\d{2})([01]\d)([0-3]\d)$|^([0-3]\d)([01]\d)(20\d{2})$`)

// monthFirst is "Sep 1, 2026".
var monthFirst = regexp.MustCompile(`^([A-Za-z]{3,9})\.?[ -](\d{1,2}),?[ -](\d{4})$`)

// dateShape reports whether a cell is meant as a date, though it may be none.
func dateShape(text string) bool {
	text = strings.TrimSpace(text)
	if len(text) < 6 || len(text) > 40 || !isDigit(text[0]) && !isLetter(text[0]) {
		return false
	}
	return dateMark.MatchString(text) || compactMark.MatchString(text) || monthFirst.MatchString(text)
}

// dateOrder is whether the day or the month of an all-number date comes first.
type dateOrder int

const (
	dayFirst dateOrder = iota
	monthBeforeDay
)

// dateParts takes the three parts of a date, the time and its AM or PM.
func dateParts(text string) (a, b, c, clock, half string, ok bool) {
	if m := dateMark.FindStringSubmatch(text); m != nil {
		return m[1], m[2], m[3], m[4], m[5], true
	}
	if m := monthFirst.FindStringSubmatch(text); m != nil {
		return m[2], m[1], m[3], "", "", true
	}
	if m := compactMark.FindStringSubmatch(text); m != nil {
		switch {
		case m[1] != "":
			return m[1], m[2], m[3], "", "", true
		case m[4] != "":
			return m[4], m[5], m[6], "", "", true
		default:
			return m[7], m[8], m[9], "", "", true
		}
	}
	return "", "", "", "", "", false
}

// parseDay reads a date that stands in the given order. The error is for a
// person: "30 February" is no day.
func parseDay(text string, order dateOrder) (day, error) {
	text = strings.Trim(strings.TrimSpace(text), "'\"")
	a, b, c, clock, half, ok := dateParts(text)
	if !ok {
		return day{}, errors.New("the date can't be read")
	}
	if isLetter(b[0]) && len(b) > 3 {
		b = b[:3] // September, Sept
	}
	layout := "2-1-2006"
	switch {
	case isLetter(b[0]):
		layout = "2-Jan-2006"
	case len(a) == 4:
		layout, a, c = "2-1-2006", c, a // ISO
	case order == monthBeforeDay:
		layout = "1-2-2006"
	}
	if len(c) == 2 {
		layout = strings.Replace(layout, "2006", "06", 1)
	}
	value := a + "-" + b + "-" + c
	if clock != "" {
		clock, _, _ = strings.Cut(strings.ReplaceAll(clock, ".", ":"), ".")
		layout += " 15:04"
		if strings.Count(clock, ":") >= 2 {
			layout += ":05"
			clock = strings.Join(strings.SplitN(clock, ":", 4)[:3], ":")
		}
		hour, _, _ := strings.Cut(clock, ":")
		n, err := strconv.Atoi(hour)
		if half = strings.ToUpper(strings.ReplaceAll(half, ".", "")); half != "" && err == nil && n <= 12 { // some print PM beside 22:04
			layout = strings.Replace(layout, "15", "3", 1) + " PM"
			clock += " " + half
		}
		value += " " + clock
	}
	at, err := time.ParseInLocation(layout, value, feed.India())
	if err != nil {
		return day{}, errors.New("the date does not exist")
	}
	if year := at.Year(); year < 1990 || year > 2100 {
		return day{}, errors.New("the date's year can't be right")
	}
	return day{at: at.UTC(), only: clock == ""}, nil
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
