package payment_test

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/payment"
)

func TestReferenceIsFoundAgain(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 1000 {
		ref := payment.NewReference()
		if seen[ref] || len(ref) != 12 {
			t.Fatalf("reference %s was made before, or is no reference", ref)
		}
		seen[ref] = true
		for _, note := range []string{ref, strings.ToLower(ref), "UPI/" + ref + "/x", "chai " + ref + ", thanks"} {
			if got := payment.FindReference("", note, note); got != ref {
				t.Fatalf("%q gives %q", note, got)
			}
		}
	}
}

func TestFindReferenceGuessesNothing(t *testing.T) {
	t.Parallel()
	for _, note := range []string{
		"", "MLN", "MLN7KQ2XW4A", "MLN7KQ2XW4ABC", "XMLN7KQ2XW4AB", "MLN7KQ2XW4A1", "MLN 7KQ2XW4AB",
		"MLN7KQ2XW4AB MLN7KQ2XW4AC", // which of them?
	} {
		if got := payment.FindReference(note); got != "" {
			t.Errorf("%q gives %q", note, got)
		}
	}
}
