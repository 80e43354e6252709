package intake_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/intake"
)

// TestAnonymise: the form stays, and who it is does not.
func TestAnonymise(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "",
		"Rs.1,499.00 credited to a/c XX7310 on 14-Mar-26 by VPA asha.rao@okaxis (UPI 607312345001)": "Rs.0,000.00 credited to a/c XX0000 on 00-Mar-00 by VPA xxxx.xxx@xxxxxx (UPI 000000000000)",
		"Dear Asha RAO,": "Dear Xxxx XXX,",
		"आशा राव ने ₹१२३": "xxx xxx xx ₹000",
		"Ünïted ÉCOLE":    "Xxxxxx XXXXX",
		"A1B2C3 9876543":  "X0X0X0 0000000",
	} {
		if got := intake.Anonymise(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestAnonymiseKeepsNobody: no digit but 0 and no word that is not a bank's
// own survives, whatever surrounds it; the text's length and its other
// characters do.
func TestAnonymiseKeepsNobody(t *testing.T) {
	t.Parallel()
	known, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(known))
	if !slices.IsSorted(words) {
		t.Error("the words are not in order, and not all are found")
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringMatching(`([A-Za-z0-9०-९²③ⅣÉé]{1,8}[ .,/@:\n-]{0,2}){0,9}`)).Draw(t, "text")
		out := intake.Anonymise(in)
		if again := intake.Anonymise(out); len([]rune(again)) != len([]rune(out)) {
			t.Fatalf("%q became %q, then %q", in, out, again)
		}
		before, after := []rune(in), []rune(out)
		if len(before) != len(after) {
			t.Fatalf("%q became %q", in, out)
		}
		for i, r := range after {
			if unicode.IsNumber(r) && r != '0' {
				t.Fatalf("%q keeps %q: %q", in, r, out)
			}
			if !unicode.In(before[i], unicode.L, unicode.M, unicode.N) && r != before[i] {
				t.Fatalf("%q lost %q: %q", in, before[i], out)
			}
		}
		for _, word := range strings.FieldsFunc(out, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }) {
			lower := strings.ToLower(word)
			masked := strings.Trim(lower, "x0") == ""
			if _, own := slices.BinarySearch(words, lower); !masked && !own && !month(lower) && len([]rune(word)) > 1 {
				t.Fatalf("%q keeps %q: %q", in, word, out)
			}
		}
	})
}

func month(word string) bool {
	return len(word) >= 3 && slices.ContainsFunc([]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"},
		func(m string) bool { return word == m || word == m[:3] || word == "sept" })
}
