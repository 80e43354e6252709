package statement

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/milaan/milaan/money"
)

// stated is what the file says of itself above and below its rows.
type stated struct {
	opening, closing, credited, debited *money.Paise
	credits, debits                     *int
	labels                              []string // of the row before, where it was one of labels alone
}

// labelled finds the labels within a cell; what follows each up to the next is
// its value.
var labelled = regexp.MustCompile(`(?i)\b(?:opening bal(?:ance)?|closing bal(?:ance)?|total (?:of )?(?:debits?|withdrawals?|credits?|deposits?)(?: amount| count)?|(?:dr|cr|debit|credit) count|debits|credits)\b(?: ?\((?:inr|rs\.?)\))?(?: amount)?\s*[:\-=]*`)

// read takes what a row outside the table states. A label's value stands in the
// same cell, in the next, or below it in a row of values.
func (s *stated) read(cells []string) {
	if s.labels != nil {
		for i, label := range s.labels {
			if label != "" && i < len(cells) {
				s.set(label, cells[i])
			}
		}
		s.labels = nil
	}
	labels := make([]string, len(cells))
	alone := 0
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		found := labelled.FindAllStringIndex(cell, -1)
		for n, at := range found {
			end := len(cell)
			if n+1 < len(found) {
				end = found[n+1][0]
			}
			label, value := cell[at[0]:at[1]], cell[at[1]:end]
			if strings.TrimSpace(value) != "" {
				if len(label) <= len("credits:") {
					continue
				}
				s.set(label, value)
				continue
			}
			if len(found) == 1 && at[0] == 0 {
				bare := len(label) <= len("credits:") // may as well head a count
				if next := following(cells[i+1:]); bare || !s.set(label, next) {
					labels[i] = label
					alone++
				}
			}
		}
	}
	if alone >= 2 {
		s.labels = labels
	}
}

func following(cells []string) string {
	for _, c := range cells {
		if c = strings.TrimSpace(c); c != "" && c != ":" && c != "-" {
			return c
		}
	}
	return ""
}

// set keeps the first value of a label; false where the text is no value.
func (s *stated) set(label, text string) bool {
	label = strings.ToLower(label)
	if strings.Contains(label, "count") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return false
		}
		if strings.Contains(label, "cr") {
			s.credits = firstOf(s.credits, n)
		} else {
			s.debits = firstOf(s.debits, n)
		}
		return true
	}
	v, err := parseSum(text, true)
	if err != nil || !v.there {
		return false
	}
	if v.side == debit && v.paise > 0 && (strings.HasPrefix(label, "opening") || strings.HasPrefix(label, "closing")) {
		v.paise = -v.paise
	}
	switch {
	case strings.HasPrefix(label, "opening"):
		s.opening = firstOf(s.opening, v.paise)
	case strings.HasPrefix(label, "closing"):
		s.closing = firstOf(s.closing, v.paise)
	case strings.Contains(label, "debit"), strings.Contains(label, "withdraw"):
		s.debited = firstOf(s.debited, v.paise)
	default:
		s.credited = firstOf(s.credited, v.paise)
	}
	return true
}

func firstOf[T any](have *T, v T) *T {
	if have != nil {
		return have
	}
	return &v
}
