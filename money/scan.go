package money

import (
	"encoding/json"
	"math"
	"strings"
)

// scan reads a decimal number exactly, in units of 10^-decimals, in one pass and without
// allocating, whatever the length or exponent of the text. The sign is apart, so that the
// caller sets its own range.
func scan(s string, decimals int) (units uint64, negative bool, err error) {
	s = strings.TrimSpace(s)
	s, negative = strings.CutPrefix(s, "-")

	var d digits
	i, grouped, ok := d.integer(s)
	if !ok {
		return 0, false, ErrSyntax
	}
	fraction := 0
	if i < len(s) && s[i] == '.' {
		i++
		for ; i < len(s) && isDigit(s[i]); i++ {
			d.push(s[i])
			fraction++
		}
		if fraction == 0 {
			return 0, false, ErrSyntax
		}
	}
	exponent := 0
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') && !grouped {
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return 0, false, ErrSyntax
		}
		i = len(s)
	}
	if i < len(s) {
		return 0, false, ErrSyntax
	}
	units, err = d.scaled(exponent - fraction + decimals)
	return units, negative, err
}

// digits is a number read digit by digit: significand × 10^zeros. Zeros are held back until a
// non-zero digit follows, so trailing zeros, however many, never overflow the significand.
type digits struct {
	significand uint64
	zeros       int
	tooLong     bool // more significant digits than any amount has
}

func (d *digits) push(c byte) {
	if c == '0' {
		if d.significand != 0 {
			d.zeros++
		}
		return
	}
	shift := d.zeros + 1
	d.zeros = 0
	if d.tooLong {
		return
	}
	for range shift {
		if d.significand > (math.MaxUint64-9)/10 {
			d.tooLong = true
			return
		}
		d.significand *= 10
	}
	d.significand += uint64(c - '0')
}

// integer reads the digits before the decimal point and checks their grouping: a first group of
// one to three digits, then groups of two (lakh, crore) or three (western), the last of three.
// It returns how far it read.
func (d *digits) integer(s string) (end int, grouped, ok bool) {
	group := 0 // digits in the current group
	for ; end < len(s); end++ {
		c := s[end]
		if isDigit(c) {
			d.push(c)
			group++
			continue
		}
		if c != ',' {
			break
		}
		switch {
		case !grouped && (group < 1 || group > 3 || s[0] == '0'):
			// "0,500" is refused too: it is half a rupee to some writers.
			return 0, false, false
		case grouped && group != 2 && group != 3:
			return 0, false, false
		}
		grouped, group = true, 0
	}
	if grouped {
		return end, true, group == 3
	}
	return end, false, group > 0
}

// scaled is the number × 10^power.
func (d *digits) scaled(power int) (uint64, error) {
	if d.significand == 0 {
		return 0, nil
	}
	power += d.zeros
	if power < 0 {
		return 0, ErrPrecision
	}
	if d.tooLong || power > 19 {
		return 0, ErrRange
	}
	units := d.significand
	for range power {
		if units > math.MaxUint64/10 {
			return 0, ErrRange
		}
		units *= 10
	}
	return units, nil
}

// parseExponent reads what follows the "e". It saturates: beyond the limit every exponent is
// refused alike, and none may overflow.
func parseExponent(s string) (exponent int, ok bool) {
	const limit = 1 << 30
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		exponent = min(exponent*10+int(s[i]-'0'), limit)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// jsonText gives the text of a JSON number or string.
func jsonText(data []byte) ([]byte, error) {
	if len(data) < 2 || data[0] != '"' {
		return data, nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, refuse(string(data), ErrSyntax)
	}
	return []byte(s), nil
}
