package upi

import (
	"errors"
	"strings"
)

// VPA is a UPI address, "name@bank" (virtual payment address), as it was written. Compare with
// [VPA.Equal] or by [VPA.Canonical]: case does not matter in it.
type VPA string

// ErrVPA: the text does not have the shape of a UPI address.
var ErrVPA = errors.New("upi: not a UPI address: write it as name@bank, such as shop@okaxis")

const (
	maxUserLength   = 256
	minHandleLength = 2
	maxHandleLength = 64
)

// ParseVPA reads a UPI address, spaces around it ignored: up to 256 letters, digits, dots, hyphens
// or underscores, one @, and a handle of 2 to 64 letters and digits that starts with a letter.
// This is the account@provider form of NPCI's UPI specifications (the pa field of the UPI Linking
// Specification) with the handles NPCI assigns to apps and banks. The error is ErrVPA.
func ParseVPA(s string) (VPA, error) {
	s = strings.TrimSpace(s)
	user, handle, _ := strings.Cut(s, "@")
	switch {
	case len(user) < 1 || len(user) > maxUserLength || !all(user, isUserByte):
	case len(handle) < minHandleLength || len(handle) > maxHandleLength:
	case !isLetter(handle[0]) || !all(handle, isAlnum):
	default:
		return VPA(s), nil
	}
	return "", ErrVPA
}

func isUserByte(c byte) bool { return isAlnum(c) || c == '.' || c == '-' || c == '_' }

// User is the part before the @.
func (v VPA) User() string {
	user, _, _ := strings.Cut(string(v), "@")
	return user
}

// Handle is the part after the @, naming the payment app or bank.
func (v VPA) Handle() string {
	_, handle, _ := strings.Cut(string(v), "@")
	return handle
}

// Canonical is the address in lower case, to look it up by.
func (v VPA) Canonical() VPA { return VPA(strings.ToLower(string(v))) }

// Equal reports whether both are the same address, whatever their case.
func (v VPA) Equal(other VPA) bool { return v.Canonical() == other.Canonical() }

// Masked is [MaskPayer]: "raxxxxxx@okaxis", "99xxxx6690@ybl".
func (v VPA) Masked() string { return MaskPayer(string(v)) }

// AccountNumber is a bank account number: 9 to 18 digits, leading zeros count.
type AccountNumber string

// ErrAccountNumber: the text is not an account number.
var ErrAccountNumber = errors.New("upi: not an account number: write its 9 to 18 digits without spaces")

// ParseAccountNumber reads an account number, spaces around it ignored. The lengths are those
// Indian banks issue; there is no common check digit. The error is ErrAccountNumber.
func ParseAccountNumber(s string) (AccountNumber, error) {
	s = strings.TrimSpace(s)
	if len(s) < 9 || len(s) > 18 || !all(s, isDigit) || strings.Trim(s, "0") == "" {
		return "", ErrAccountNumber
	}
	return AccountNumber(s), nil
}

// Masked keeps the last four digits: "xxxxxxxx1234".
func (a AccountNumber) Masked() string { return keepLast(string(a), 4) }

// IFSC is the code of a bank branch in RBI's Indian Financial System Code, in upper case.
type IFSC string

// ErrIFSC: the text does not have the shape of an IFSC.
var ErrIFSC = errors.New("upi: not an IFSC: it has four letters, a zero and six letters or digits, such as HDFC0000001")

// ParseIFSC reads an IFSC in either case, spaces around it ignored: four letters for the bank, a
// zero RBI keeps for later, six letters or digits for the branch. The error is ErrIFSC.
func ParseIFSC(s string) (IFSC, error) {
	s = strings.TrimSpace(s)
	if len(s) != 11 || !all(s[:4], isLetter) || s[4] != '0' || !all(s[5:], isAlnum) {
		return "", ErrIFSC
	}
	return IFSC(strings.ToUpper(s)), nil
}

// Bank is the four letters of the bank: "HDFC".
func (i IFSC) Bank() string {
	if len(i) < 4 {
		return ""
	}
	return string(i[:4])
}
