package payment

import (
	"crypto/rand"
	"regexp"
	"slices"
	"strings"
)

// referencePrefix makes a reference stand out among what else banks print.
const referencePrefix = "MLN"

// referenceLetters is how many random letters and digits follow it: 45 bits, so
// that nobody meets another's by chance. Longer ones are cut by more banks.
const referenceLetters = 9

// NewReference makes the text that a payment's upi:// link carries as its note
// (tn), such as MLN7KQ2XW4AB. A bank that reports what a payer wrote tells by it
// which payment a credit is for.
func NewReference() string { return referencePrefix + rand.Text()[:referenceLetters] }

// Banks put notes into capitals or small letters, and between other texts.
var referencePattern = regexp.MustCompile(`(?i)\b` + referencePrefix + `[A-Z2-7]{9}\b`)

// FindReference finds the one reference in texts that a bank reported. It is
// empty where there is none, or more than one.
func FindReference(texts ...string) string {
	var found []string
	for _, text := range texts {
		if len(text) < len(referencePrefix)+referenceLetters { // the hot path: most texts are empty
			continue
		}
		for _, ref := range referencePattern.FindAllString(text, -1) {
			if ref = strings.ToUpper(ref); !slices.Contains(found, ref) {
				found = append(found, ref)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}
