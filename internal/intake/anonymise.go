package intake

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// bankWords are what alerts are made of, in order; everything else may be a
// name.
//
//go:embed words.txt
var bankWords string

var (
	knownWords = strings.Fields(bankWords)
	pieces     = regexp.MustCompile(`[\p{L}\p{M}\p{N}]+`)
)

// Anonymise masks what could tell whose message it is, and keeps its form: each
// digit becomes 0, each letter of a word that is not one of banks' own becomes
// x or X. Names of months and what stands in words.txt stay.
func Anonymise(text string) string {
	return pieces.ReplaceAllStringFunc(text, func(word string) string {
		lower := strings.ToLower(word)
		if _, known := slices.BinarySearch(knownWords, lower); known || isMonth(lower) || utf8.RuneCountInString(word) == 1 && !unicode.IsNumber([]rune(word)[0]) {
			return word
		}
		return strings.Map(func(r rune) rune {
			switch {
			case unicode.IsNumber(r):
				return '0'
			case unicode.IsUpper(r):
				return 'X'
			default:
				return 'x'
			}
		}, word)
	})
}

func isMonth(word string) bool {
	const months = " jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august september october november december "
	return utf8.RuneCountInString(word) >= 3 && strings.Contains(months, " "+word+" ")
}
