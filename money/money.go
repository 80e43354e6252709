// Package money holds amounts of Indian rupees as whole paise, their text forms, and the few
// sums a payment gateway does with them.
//
// There is no floating point anywhere: an amount is parsed from its digits, kept as an int64
// and printed from that int64. What cannot be represented exactly is refused, never rounded;
// only a percentage is rounded, half up.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Paise is an amount in paise, 1/100 of a rupee. Databases store it as a 64-bit integer
// (int64(p), Paise(n)); JSON shows rupees.
type Paise int64

// Rupee is one rupee: 500*money.Rupee is ₹500.
const Rupee Paise = 100

// The reasons an amount is refused. Parse and its kin wrap them in a [ParseError]; the
// arithmetic returns ErrOverflow.
var (
	// ErrSyntax: the text is not an amount.
	ErrSyntax = errors.New("not an amount: write rupees as 500, 500.50 or 1,00,000.00")
	// ErrPrecision: the amount has a part smaller than the smallest unit.
	ErrPrecision = errors.New("too many decimals: use at most two for rupees, four for a percentage")
	// ErrRange: well formed, but too large for an int64 of paise, not positive where that is
	// asked for, or not a percentage from 0 to 100.
	ErrRange = errors.New("out of range: use an amount greater than zero and below 90 quadrillion, or a percentage from 0 to 100")
	// ErrOverflow: a sum or product does not fit in an int64 of paise.
	ErrOverflow = errors.New("money: amount too large: split it into smaller amounts")
)

// ParseError says which text was refused and why; Err is ErrSyntax, ErrPrecision or ErrRange.
type ParseError struct {
	Input string // the refused text, cut short when it is long
	Err   error
}

func (e *ParseError) Error() string {
	return "money: " + strconv.Quote(e.Input) + ": " + e.Err.Error()
}

// Unwrap gives the reason to errors.Is.
func (e *ParseError) Unwrap() error { return e.Err }

func refuse(input string, reason error) error {
	const shown = 32
	if len(input) > shown {
		input = input[:shown] + "…"
	}
	// The copy lets callers parse from a buffer they reuse.
	return &ParseError{Input: strings.Clone(input), Err: reason}
}

// Parse reads an amount of rupees: "500", "500.5", "-0.50", with lakh ("1,00,000.00"), western
// ("100,000.00") or mixed grouping, as Indian banks print them, or with an exponent as JSON
// numbers allow ("5e2"). Spaces around it are ignored. Zeros beyond the second decimal carry
// no value and are accepted (banks print "5.000" for five rupees); other digits there are not.
//
// The error is a *[ParseError] of ErrSyntax, ErrPrecision or ErrRange.
func Parse(s string) (Paise, error) {
	p, err := parse(s)
	if err != nil {
		return 0, refuse(s, err)
	}
	return p, nil
}

// ParsePositive is [Parse] for amounts that must be greater than zero; others are ErrRange.
func ParsePositive(s string) (Paise, error) {
	p, err := Parse(s)
	if err == nil && p <= 0 {
		return 0, refuse(s, ErrRange)
	}
	return p, err
}

func parse(s string) (Paise, error) {
	magnitude, negative, err := scan(s, 2)
	switch {
	case err != nil:
		return 0, err
	case negative && magnitude <= 1<<63:
		return Paise(-magnitude), nil // two's complement: also right for the smallest int64
	case negative || magnitude > math.MaxInt64:
		return 0, ErrRange
	}
	return Paise(magnitude), nil
}

// String is the canonical form: plain rupees with trailing zeros trimmed: "500", "500.5",
// "0.1", "-123.45". It is also the JSON form.
func (p Paise) String() string { return string(p.AppendTo(make([]byte, 0, 24))) }

// Fixed is plain rupees with exactly two decimals, "500.00", as UPI links and bank files want.
func (p Paise) Fixed() string { return string(p.appendFixed(make([]byte, 0, 24))) }

// AppendTo appends [Paise.String] to dst.
func (p Paise) AppendTo(dst []byte) []byte {
	dst = p.appendFixed(dst)
	// Exactly three bytes, ".dd", follow the rupees.
	switch n := len(dst); {
	case dst[n-1] != '0':
		return dst
	case dst[n-2] != '0':
		return dst[:n-1]
	default:
		return dst[:n-3]
	}
}

func (p Paise) appendFixed(dst []byte) []byte {
	magnitude := uint64(p)
	if p < 0 {
		dst = append(dst, '-')
		magnitude = -magnitude
	}
	dst = strconv.AppendUint(dst, magnitude/100, 10)
	paise := byte(magnitude % 100)
	return append(dst, '.', '0'+paise/10, '0'+paise%10)
}

// AppendJSON appends the amount as a JSON number in rupees: 500, 500.5, 0.1.
func (p Paise) AppendJSON(dst []byte) []byte { return p.AppendTo(dst) }

// MarshalJSON writes the amount as a JSON number in rupees: 500, 500.5, 0.1.
func (p Paise) MarshalJSON() ([]byte, error) { return p.AppendJSON(make([]byte, 0, 24)), nil }

// UnmarshalJSON reads rupees from a JSON number or a string holding what [Parse] accepts. The
// digits are read as they are written, never through a float. Null changes nothing, as
// encoding/json asks.
func (p *Paise) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	text, err := jsonText(data)
	if err != nil {
		return err
	}
	return p.UnmarshalText(text)
}

// MarshalText writes [Paise.String].
func (p Paise) MarshalText() ([]byte, error) { return p.AppendTo(make([]byte, 0, 24)), nil }

// UnmarshalText is [Parse]; configuration files use it.
func (p *Paise) UnmarshalText(text []byte) error {
	// parse keeps nothing of its argument, so this conversion stays off the heap.
	parsed, err := parse(string(text))
	if err != nil {
		return refuse(string(text), err)
	}
	*p = parsed
	return nil
}

// Add is p+q, or ErrOverflow.
func (p Paise) Add(q Paise) (Paise, error) {
	sum := p + q
	// The sum of two numbers of one sign must keep that sign.
	if (p < 0) == (q < 0) && (sum < 0) != (p < 0) {
		return 0, fmt.Errorf("adding %v and %v: %w", p, q, ErrOverflow)
	}
	return sum, nil
}

// Sub is p−q, or ErrOverflow.
func (p Paise) Sub(q Paise) (Paise, error) {
	difference := p - q
	if (p < 0) != (q < 0) && (difference < 0) != (p < 0) {
		return 0, fmt.Errorf("subtracting %v from %v: %w", q, p, ErrOverflow)
	}
	return difference, nil
}

// Sum adds the amounts from left to right. It is ErrOverflow when a partial sum does not fit.
func Sum(amounts ...Paise) (Paise, error) {
	var total Paise
	for _, p := range amounts {
		var err error
		if total, err = total.Add(p); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// MulBasisPoints is bp basis points (1/100 of a percent) of p, rounded half up to a whole
// paisa, away from zero when negative, so that a refunded fee mirrors the fee. ErrOverflow
// when it does not fit.
func MulBasisPoints(p Paise, bp int64) (Paise, error) {
	product, ok := mulRatio(p, bp, 10_000)
	if !ok {
		return 0, fmt.Errorf("taking %d basis points of %v: %w", bp, p, ErrOverflow)
	}
	return product, nil
}

// mulRatio is p*numerator/denominator in 128 bits, rounded half away from zero.
func mulRatio(p Paise, numerator int64, denominator uint64) (_ Paise, ok bool) {
	negative := (p < 0) != (numerator < 0)
	hi, lo := bits.Mul64(magnitude(int64(p)), magnitude(numerator))
	lo, carry := bits.Add64(lo, denominator/2, 0)
	hi += carry
	if hi >= denominator {
		return 0, false
	}
	quotient, _ := bits.Div64(hi, lo, denominator)
	switch {
	case negative && quotient <= 1<<63:
		return Paise(-quotient), true
	case negative || quotient > math.MaxInt64:
		return 0, false
	}
	return Paise(quotient), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
