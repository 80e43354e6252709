// Package upi holds the vocabulary of Indian bank transfers: transaction references (UTR, RRN),
// UPI addresses, IFSC and account numbers, the upi:// payment link and its QR code, and how
// each is masked before it is logged or shown.
//
// Parsing here checks shape, not existence: only the banks know which address is open.
// Error texts never repeat the refused text, since it may be somebody's account.
package upi

import (
	"errors"
	"fmt"
	"strings"
)

// UTR is a transaction reference a bank gives to a transfer, in upper case. It is text, not a
// number: leading zeros count. A UTR is unique only per receiving account.
type UTR string

// Kind is the payment system that issued a [UTR], as far as its shape tells.
type Kind string

// The kinds of UTR.
const (
	KindRRN  Kind = "rrn"  // retrieval reference number of UPI and IMPS: 12 digits
	KindNEFT Kind = "neft" // usually 16 characters
	KindRTGS Kind = "rtgs" // 22 characters: bank, R, channel, date, sequence number
)

// ErrUTR: the text does not have the shape of a transaction reference.
var ErrUTR = errors.New("upi: not a UTR")

const (
	rrnLength = 12
	// RBI gives NEFT references 16 and RTGS references 22 characters; Federal Bank's NEFT ones
	// have 15 and HDFC Bank's may have 20.
	minBankLength  = 15
	rtgsLength     = 22
	minBankDigits  = 10 // keeps out words, GSTINs (8 digits) and masked account numbers
	shownUTRDigits = 4
)

// ParseRRN reads the reference of a UPI or IMPS payment as a payer types it: exactly 12 digits,
// not all zero, spaces around it ignored. Nothing more can be asked of it: banks do not all
// follow the year-day-hour scheme. The error wraps ErrUTR.
func ParseRRN(s string) (UTR, error) {
	s = strings.TrimSpace(s)
	if len(s) != rrnLength || !all(s, isDigit) || strings.Trim(s, "0") == "" {
		return "", fmt.Errorf("%w: type the 12 digits your UPI app shows as UTR, UPI reference or RRN", ErrUTR)
	}
	return UTR(s), nil
}

// ParseUTR reads a reference of any kind: an RRN as [ParseRRN] does, or a NEFT or RTGS reference
// of 15 to 22 letters and digits. Lower case becomes upper case; spaces around it are ignored.
//
// An RRN padded with zeros or prefixed with UPI or IMPS, as some statements print it, is
// refused: it would be a second name of the same payment, so the reader of that statement has to
// strip it. The error wraps ErrUTR.
func ParseUTR(s string) (UTR, error) {
	s = strings.TrimSpace(s)
	if len(s) == rrnLength {
		return ParseRRN(s)
	}
	if len(s) < minBankLength || len(s) > rtgsLength {
		return "", fmt.Errorf("%w: it has 12 digits, or 15 to 22 letters and digits", ErrUTR)
	}
	digits := 0
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			digits++
		case !isLetter(s[i]):
			return "", fmt.Errorf("%w: use only letters and digits", ErrUTR)
		}
	}
	if digits < minBankDigits || digits == len(s) {
		return "", fmt.Errorf("%w: a NEFT or RTGS reference has letters and at least %d digits", ErrUTR, minBankDigits)
	}
	s = strings.ToUpper(s)
	for _, system := range []string{"UPI", "IMPS"} {
		if number, ok := strings.CutPrefix(s, system); ok && all(number, isDigit) {
			return "", fmt.Errorf("%w: leave out %q and keep the 12 digits", ErrUTR, system)
		}
	}
	return UTR(s), nil
}

// Kind tells the payment system from the shape; "" for a value no parser returned.
func (u UTR) Kind() Kind {
	switch {
	case len(u) == rrnLength:
		return KindRRN
	case len(u) == rtgsLength && u[4] == 'R' && all(string(u[:4]), isUpper):
		return KindRTGS
	case len(u) >= minBankLength && len(u) <= rtgsLength:
		return KindNEFT
	}
	return ""
}

// Masked keeps the last four characters, for logs: "xxxxxxxx8634". A UTR is what a payer proves a
// payment with, so a whole one does not belong in a log.
func (u UTR) Masked() string { return keepLast(string(u), shownUTRDigits) }

// keepLast replaces all but the last n characters with x; a text of n or fewer has nothing left.
func keepLast(s string, n int) string {
	if len(s) <= n {
		return strings.Repeat("x", len(s))
	}
	return strings.Repeat("x", len(s)-n) + s[len(s)-n:]
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isLetter(c byte) bool { return isUpper(c &^ 0x20) }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
