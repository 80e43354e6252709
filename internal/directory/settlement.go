package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Settlement is where a merchant's balance is paid out to: the merchant's own
// account, as the operator registered it, and when.
type Settlement struct {
	Account  upi.AccountNumber `json:"account_number"`
	Name     string            `json:"account_name"`
	IFSC     upi.IFSC          `json:"ifsc"`
	Method   string            `json:"method"` // of the payout desk that pays
	Schedule Schedule          `json:"schedule,omitzero"`
	// Least is the smallest settlement, and Keep what stays in the balance; paise.
	Least money.Paise `json:"least,omitempty"`
	Keep  money.Paise `json:"keep,omitempty"`
	// RegisteredAt is when the account was first declared as it is, UTC: a new one
	// has to cool, see [Settlement.CoolAt].
	RegisteredAt time.Time `json:"registered_at"`
}

// Cooling is how long a registered account waits for its first settlement by
// schedule. A changed account is how a balance is stolen: within a day somebody
// looks at the books.
const Cooling = 24 * time.Hour

// CoolAt is when the account is trusted; before, every settlement to it needs
// a person who did not ask for it.
func (s *Settlement) CoolAt() time.Time { return s.RegisteredAt.Add(Cooling) }

// SameAccount reports whether both pay the same account under the same name.
func (s *Settlement) SameAccount(other *Settlement) bool {
	return other != nil && s.Account == other.Account && s.Name == other.Name && s.IFSC == other.IFSC
}

// Schedule says on which days a balance is settled, and when. The zero Schedule
// never does: settlement is on demand.
type Schedule struct {
	Every   Interval     `json:"every"`
	Weekday time.Weekday `json:"weekday,omitempty"` // of a weekly one
	Day     int          `json:"day,omitempty"`     // of a monthly one: 1 to 28, which every month has
	At      int          `json:"at"`                // minutes from midnight, in the merchant's zone
	// Since is when the schedule was declared as it is, UTC: no run was missed
	// before.
	Since time.Time `json:"since"`
}

// Interval is how often a balance is settled.
type Interval string

// Intervals (apply file, settlement.schedule). Bank holidays are not among them:
// IMPS pays on every day, at every hour.
const (
	Daily    Interval = "daily"
	Weekdays Interval = "weekdays" // Monday to Friday
	Weekly   Interval = "weekly"
	Monthly  Interval = "monthly"
)

// DayName is the day as the apply file names it: mon, or 28; empty where every
// day counts.
func (s Schedule) DayName() string {
	switch s.Every {
	case Weekly:
		return WeekdayName(s.Weekday)
	case Monthly:
		return strconv.Itoa(s.Day)
	case Daily, Weekdays:
	}
	return ""
}

// Clock is the time of day as the apply file has it: 18:00.
func (s Schedule) Clock() string { return fmt.Sprintf("%02d:%02d", s.At/60, s.At%60) }

// WeekdayName is a day of the week as the apply file names it: mon.
func WeekdayName(day time.Weekday) string { return strings.ToLower(day.String()[:3]) }

// On reports whether there is a schedule.
func (s Schedule) On() bool { return s.Every != "" }

// Same reports whether both fall due at the same times.
func (s Schedule) Same(other Schedule) bool {
	s.Since, other.Since = time.Time{}, time.Time{}
	return s == other
}

// Last is the run that fell due last, at or before now, in a zone; zero where
// there is none.
func (s Schedule) Last(now time.Time, zone *time.Location) time.Time {
	if !s.On() {
		return time.Time{}
	}
	const longest = 31 // days from one run of a month to the next
	year, month, day := now.In(zone).Date()
	for back := range longest + 1 {
		run := time.Date(year, month, day-back, s.At/60, s.At%60, 0, 0, zone)
		if s.falls(time.Date(year, month, day-back, 0, 0, 0, 0, time.UTC)) && !run.After(now) {
			return run
		}
	}
	return time.Time{}
}

// falls reports whether there is a run on that date. The date is in UTC, whose
// midnights all exist.
func (s Schedule) falls(date time.Time) bool {
	switch s.Every {
	case Daily:
		return true
	case Weekdays:
		return date.Weekday() != time.Saturday && date.Weekday() != time.Sunday
	case Weekly:
		return date.Weekday() == s.Weekday
	case Monthly:
		return date.Day() == s.Day
	default:
		return false
	}
}
