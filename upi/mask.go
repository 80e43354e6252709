package upi

import (
	"strings"
	"unicode/utf8"
)

// MaskPayer hides who paid, in the style merchants know from postbacks, for whatever a bank
// reports as the payer:
//
//	rahulxyz@okaxis   raxxxxxx@okaxis   an address keeps its handle
//	9912346690@ybl    99xxxx6690@ybl    a number of 8 digits or more keeps 2 and 4
//	+91 99123 46690   99xxxx6690        so does a bare phone or account number
//	Ravi Kumar        Raxxxxxxxx        other text keeps its first two characters
//
// At least one character is always hidden, and a result is never the input itself, even when the
// input looks masked already. Only blank input gives "".
func MaskPayer(payer string) string {
	payer = strings.TrimSpace(payer)
	if payer == "" {
		return ""
	}
	user, handle, _ := strings.Cut(payer, "@")
	if user != "" && looksLikeHandle(handle) {
		return maskName(user) + "@" + handle
	}
	return maskName(payer)
}

// looksLikeHandle is wider than [ParseVPA]: it also takes the domain of an e-mail address or of
// NPCI's own "mobile.npci". Anything else after an @ is masked with the rest.
func looksLikeHandle(s string) bool {
	return s != "" && len(s) <= maxHandleLength && isLetter(s[0]) &&
		all(s, func(c byte) bool { return isAlnum(c) || c == '.' || c == '-' })
}

func maskName(name string) string {
	if number, ok := longNumber(name); ok {
		return number[:2] + strings.Repeat("x", len(number)-6) + number[len(number)-4:]
	}
	length := utf8.RuneCountInString(name)
	kept := min(2, length-1)
	var masked strings.Builder
	for _, r := range name {
		if kept > 0 {
			masked.WriteRune(r)
			kept--
		} else {
			masked.WriteByte('x')
		}
	}
	if masked.String() != name {
		return masked.String()
	}
	// The name ends in x's of its own. A mask of another length does not give it away.
	if length > 2 {
		return "xx"
	}
	return "xxx"
}

// longNumber is the digits of a phone or account number of 8 digits or more, without the spaces,
// hyphens and +91 people write in it.
func longNumber(s string) (string, bool) {
	national, indian := strings.CutPrefix(s, "+91")
	number := strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimPrefix(s, "+"))
	if indian {
		if n := strings.NewReplacer(" ", "", "-", "").Replace(national); len(n) == 10 {
			number = n
		}
	}
	return number, len(number) >= 8 && all(number, isDigit)
}
