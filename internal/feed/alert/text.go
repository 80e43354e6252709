package alert

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is more than any alert has; it bounds the time a text can take.
const maxText = 16 << 10

// clean brings a text to one form: single spaces, a line break where there was
// one, plain hyphens and quotes, no invisible characters. Why is not empty when
// the text holds characters that a person reads as others than they are, or a
// script the reader has no words of: then it must not be taken for a credit.
func clean(s string) (text, why string) {
	var b strings.Builder
	b.Grow(len(s))
	var (
		space   rune // the white space to write before the next character
		last    rune // the last character written
		dropped bool // an invisible character stood between last and the next
	)
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size <= 1 {
				why = "broken characters"
				continue
			}
		}
		if r < utf8.RuneSelf {
			switch {
			case r == '\n':
				space = '\n'
				continue
			case r <= ' ' || r == 0x7f:
				if space == 0 {
					space = ' '
				}
				continue
			}
		} else {
			switch {
			case unicode.IsSpace(r) || unicode.IsControl(r):
				if space == 0 {
					space = ' '
				}
				continue
			case unicode.In(r, unicode.Cf, unicode.Variation_Selector):
				dropped = true
				continue
			case unicode.Is(unicode.Pd, r) || r == '−':
				r = '-'
			case r == '‘' || r == '’':
				r = '\''
			case unicode.In(r, indic...):
				why = "a language that is not read"
			case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r), isEnclosed(r):
				why = "look-alike characters"
			}
		}
		if space != 0 {
			if b.Len() > 0 {
				b.WriteRune(space)
			}
			space, last = 0, ' '
		}
		if dropped && isAlnum(last) && isAlnum(r) {
			why = "hidden characters"
		}
		dropped = false
		b.WriteRune(r)
		last = r
	}
	return b.String(), why
}

// indic are the scripts of India's languages.
var indic = []*unicode.RangeTable{
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil,
	unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Arabic, unicode.Ol_Chiki, unicode.Meetei_Mayek,
}

// isEnclosed tells letters in circles and squares, which Unicode counts among
// the symbols.
func isEnclosed(r rune) bool {
	return 0x249c <= r && r <= 0x24ff || 0x1f100 <= r && r <= 0x1f1ff
}

func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
func isLetter(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }
func isAlnum(r rune) bool  { return isDigit(r) || isLetter(r) }

// token is a run of letters, a run of digits or a rupee sign of a text.
type token struct {
	word       string // lower case; a rupee sign is "rs"
	start, end int    // bytes of the text
	digits     bool
}

// tokens splits a text into words and numbers, also where they touch:
// "Rs.1100credited" is "rs", "1100", "credited".
func tokens(text, lower string) []token {
	list := make([]token, 0, len(text)/4)
	for i := 0; i < len(text); {
		c := rune(text[i])
		start := i
		switch {
		case isDigit(c):
			for i < len(text) && isDigit(rune(text[i])) {
				i++
			}
			list = append(list, token{lower[start:i], start, i, true})
		case isLetter(c):
			for i < len(text) && isLetter(rune(text[i])) {
				i++
			}
			if strings.HasSuffix(lower[:start+1], "a/c") && isMask(lower[start+1:i]) {
				i = start + 1 // "A/cX1234"
			}
			list = append(list, token{lower[start:i], start, i, false})
		case strings.HasPrefix(text[i:], "₹"), strings.HasPrefix(text[i:], "₨"):
			i += len("₹")
			list = append(list, token{"rs", start, i, false})
		default:
			i++
		}
	}
	return list
}

// lowerASCII lowers ASCII letters only, so that byte offsets stay.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
