package window

import (
	"strings"
	"unicode"

	"github.com/milaan/milaan/upi"
)

// maxPaste is how many bytes of a pasted text are looked at: a receipt has a
// few hundred.
const maxPaste = 4 << 10

// utrLength is the length of a UPI payment's reference.
const utrLength = 12

// findUTR reads the UTR from what a payer typed, or pasted from an SMS or a
// receipt: the one number of 12 digits that is not part of a longer one. When
// there is none it returns the key of the text that says why.
func findUTR(text string) (utr upi.UTR, problem string) {
	if len(text) > maxPaste {
		return "", "utr.error.none"
	}
	text = latinDigits(text)
	if typed, onlyDigits := joinDigits(text); onlyDigits {
		switch utr, err := upi.ParseRRN(typed); {
		case typed == "":
			return "", "utr.error.empty"
		case err != nil:
			return "", "utr.error.short"
		default:
			return utr, ""
		}
	}
	for start := 0; start < len(text); {
		if !isDigit(text[start]) {
			start++
			continue
		}
		end := start
		for end < len(text) && isDigit(text[end]) {
			end++
		}
		// A telephone number with its country code has 12 digits, too.
		telephone := start > 0 && text[start-1] == '+'
		if end-start == utrLength && !telephone {
			found, err := upi.ParseRRN(text[start:end])
			switch {
			case err != nil:
			case utr == "":
				utr = found
			case utr != found:
				return "", "utr.error.many"
			}
		}
		start = end
	}
	if utr == "" {
		return "", "utr.error.none"
	}
	return utr, ""
}

// joinDigits leaves the spaces and dashes out with which people and apps group
// digits; onlyDigits says that there was nothing else.
func joinDigits(text string) (digits string, onlyDigits bool) {
	var b strings.Builder
	for _, r := range text {
		switch {
		case '0' <= r && r <= '9':
			b.WriteRune(r)
		case unicode.IsSpace(r) || r == '-' || r == '\u200b' || r == '\u200e' || r == '\ufeff':
		default:
			return "", false
		}
	}
	return b.String(), true
}

// latinDigits writes Devanagari digits, which some keyboards give, as Latin
// ones.
func latinDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if '०' <= r && r <= '९' {
			return '0' + r - '०'
		}
		return r
	}, text)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
