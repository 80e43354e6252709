package money

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bojanz/currency"
)

// Lang is a language people read amounts in, as a BCP 47 primary tag.
type Lang string

// The languages the gateway speaks. Both write Latin digits in lakh groups, as CLDR has them
// for en-IN and hi-IN.
const (
	English Lang = "en"
	Hindi   Lang = "hi"
)

// formatters is written only here. currency.Formatter.Format reads its formatter and changes
// nothing in it, so goroutines may share one.
var formatters = map[Lang]*currency.Formatter{
	English: newFormatter("en-IN"),
	Hindi:   newFormatter("hi-IN"),
}

func newFormatter(locale string) *currency.Formatter {
	f := currency.NewFormatter(currency.NewLocale(locale))
	f.MinDigits, f.MaxDigits = 2, 2 // paise are always shown: ₹500.00
	return f
}

// Format writes the amount for people, by CLDR: "₹1,00,000.00". A language it does not know
// reads as English.
func Format(p Paise, lang Lang) string {
	f, ok := formatters[lang]
	if !ok {
		f = formatters[English]
	}
	// It fails only for an unknown currency code; INR is one of CLDR's.
	amount, _ := currency.NewAmountFromInt64(int64(p), string(INR))
	return f.Format(amount)
}

// Currency is an ISO 4217 currency code: three upper-case letters.
type Currency string

// INR is the Indian rupee, the only currency UPI moves.
const INR Currency = "INR"

// ErrCurrency: the text does not have the shape of a currency code.
var ErrCurrency = errors.New("money: not a currency code: use three letters, such as INR")

// ParseCurrency reads a currency code in either case, spaces around it ignored. It checks the
// shape only, not that ISO 4217 lists the code. The error wraps ErrCurrency.
func ParseCurrency(s string) (Currency, error) {
	code := strings.TrimSpace(s)
	if len(code) != 3 {
		return "", fmt.Errorf("%w: %.12q", ErrCurrency, s)
	}
	for i := range len(code) {
		if c := code[i] | 0x20; c < 'a' || c > 'z' {
			return "", fmt.Errorf("%w: %.12q", ErrCurrency, s)
		}
	}
	return Currency(strings.ToUpper(code)), nil
}
