package alert

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
)

const months = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"

// A date, and the time of day where one follows. The year stands in front, or
// behind a month in digits or letters.
var dateTime = regexp.MustCompile(`\b(?:` +
	`(20\d\d)[-:/.](\d{1,2})[-:/.](\d{1,2})` + // 1 2 3
	`|(\d{1,2})[-/.](\d{1,2})[-/.](20\d\d|\d\d)` + // 4 5 6
	`|(\d{1,2})[-/. ]?(` + months + `)[a-z]{0,6}[-/., ]{0,2}(20\d\d|\d\d)` + // 7 8 9
	`|(` + months + `)[a-z]{0,6} (\d{1,2}), ?(20\d\d)` + // 10 11 12
	`)(?:,?(?:\s*(?:at|time|&)?\s*|[:-])(\d{1,2}):(\d\d)(?::(\d\d))?(?:\s*(am|pm)\b)?)?`) // 13 14 15 16

// when is the time of the movement: the only date of the text, or the one that
// "on" or "date" names. It is zero where the text has none or disagrees.
func (d *document) when() (at time.Time, dateOnly bool) { return whenIn(d.lower) }

func whenIn(lower string) (at time.Time, dateOnly bool) {
	named := false
	for _, m := range dateTime.FindAllStringSubmatchIndex(lower, 4) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return lower[m[2*i]:m[2*i+1]]
		}
		if end := m[1]; end < len(lower) && (isDigit(rune(lower[end])) || lower[end] == ':') {
			continue // a part of a longer number, or "03 AUG 16:02"
		}
		t, clock, ok := makeTime(part)
		if !ok {
			continue
		}
		before := strings.TrimRight(lower[:m[0]], " \n:")
		says := strings.HasSuffix(before, " on") || strings.HasSuffix(before, "date") || strings.HasSuffix(before, "date & time")
		asOn := strings.HasSuffix(before, "as on")
		switch {
		case asOn:
		case at.IsZero(), says && !named:
			at, dateOnly, named = t, !clock, says
		case named && !says:
		case !sameDay(at, t):
			return time.Time{}, false
		case dateOnly && clock:
			at, dateOnly = t, false
		}
	}
	return at, dateOnly
}

func sameDay(a, b time.Time) bool {
	return a.In(feed.India()).Format(time.DateOnly) == b.In(feed.India()).Format(time.DateOnly)
}

func makeTime(part func(int) string) (t time.Time, clock, ok bool) {
	number := func(i int) int { n, _ := strconv.Atoi(part(i)); return n }
	var year, month, day int
	switch {
	case part(1) != "":
		year, month, day = number(1), number(2), number(3)
	case part(4) != "":
		day, month, year = number(4), number(5), number(6)
	case part(7) != "":
		day, month, year = number(7), strings.Index(months, part(8))/4+1, number(9)
	default:
		month, day, year = strings.Index(months, part(10))/4+1, number(11), number(12)
	}
	if year < 100 {
		year += 2000
	}
	hour, minute, second := number(13), number(14), number(15)
	clock = part(13) != ""
	switch half := part(16); {
	case half == "pm" && hour < 12:
		hour += 12
	case half == "am" && hour == 12:
		hour = 0
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, 0, feed.India())
	if t.Day() != day || int(t.Month()) != month || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false, false
	}
	return t.UTC(), clock, true
}
