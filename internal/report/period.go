// Package report tells what a day or a month came to: of a merchant's balance, of a
// wallet, of the fees; and whether bank statements and books agree. It reads what
// the ledger posted, so that a period that is over gives the same report for ever,
// and writes it for spreadsheets and into the mail.
package report

import (
	"fmt"
	"time"
)

// Every is how long the period of a report is.
type Every string

// Lengths of periods.
const (
	Daily   Every = "daily"
	Monthly Every = "monthly"
)

// Settled is how long after its end a period's report is final: until then a gateway
// whose clock is behind may still post into it.
const Settled = 5 * time.Minute

// Period is a day or a month by the calendar of whoever reads about it.
type Period struct {
	Every Every
	first time.Time // its first day, at midnight UTC, which all days have
}

const monthLayout = "2006-01"

// At is the period that a time is in, in a zone.
func At(every Every, t time.Time, zone *time.Location) Period {
	year, month, day := t.In(zone).Date()
	if every == Monthly {
		day = 1
	}
	return Period{every, time.Date(year, month, day, 0, 0, 0, 0, time.UTC)}
}

// Parse reads a day (2026-11-22) or a month (2026-11).
func Parse(text string) (Period, error) {
	for every, layout := range map[Every]string{Daily: time.DateOnly, Monthly: monthLayout} {
		if first, err := time.Parse(layout, text); err == nil && first.Year() >= 1970 && first.Year() < 9999 {
			return Period{every, first}, nil
		}
	}
	return Period{}, fmt.Errorf("%q is no day and no month: write 2026-11-22 or 2026-11", text)
}

// String names the period as Parse reads it.
func (p Period) String() string {
	if p.Every == Monthly {
		return p.first.Format(monthLayout)
	}
	return p.first.Format(time.DateOnly)
}

// IsZero reports whether it is no period.
func (p Period) IsZero() bool { return p.Every == "" }

// Next is the period after it, and Previous the one before.
func (p Period) Next() Period { return p.move(1) }

// Previous is the period before it.
func (p Period) Previous() Period { return p.move(-1) }

func (p Period) move(n int) Period {
	if p.Every == Monthly {
		p.first = p.first.AddDate(0, n, 0)
	} else {
		p.first = p.first.AddDate(0, 0, n)
	}
	return p
}

// Before reports whether it begins before another period.
func (p Period) Before(other Period) bool { return p.first.Before(other.first) }

// In gives when it begins in a zone, and the first moment after it, UTC. A midnight
// that a zone leaves out is the moment that follows.
func (p Period) In(zone *time.Location) (from, to time.Time) {
	begin := func(p Period) time.Time {
		return time.Date(p.first.Year(), p.first.Month(), p.first.Day(), 0, 0, 0, 0, zone).UTC()
	}
	return begin(p), begin(p.Next())
}

// LastOver is the last period that is over, and its report final, at a time.
func LastOver(every Every, now time.Time, zone *time.Location) Period {
	return At(every, now.Add(-Settled), zone).Previous()
}
