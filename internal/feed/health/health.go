// Package health judges how bank feeds are, from what they brought by the hour:
// whether one has fallen silent, brings what can't be read, is refused, late, or
// has a wrong clock. It only judges: it reads no clock, keeps nothing and sends
// nothing.
package health

import (
	"fmt"
	"slices"
	"time"
)

// Hour is what a feed brought within an hour. Hours without anything may be
// left out.
type Hour struct {
	Hour                            int64 // since 1970 UTC
	Items, Credits, Unread, Refused int64
	// Timed credits told the bank's time: Lag is how long they took to arrive in
	// all, MostLag at most.
	Timed        int64
	Lag, MostLag time.Duration
	// Ahead is how far ahead of this gateway's clock the bank's time was at most.
	Ahead  time.Duration
	LastAt time.Time // of the last item within the hour
}

// Feed is a feed to be judged.
type Feed struct {
	ID string
	// Since is when it was configured; zero where that is not known.
	Since time.Time
	// Hours, in any order, reach back four weeks from the last. Where they reach
	// back four weeks from now only, a silence is forgotten after three or four.
	Hours []Hour
}

// State is how a feed is, in a word.
type State string

// States, from the worst.
const (
	Failing  State = "failing"  // has a critical finding
	Strained State = "strained" // has a finding that is a warning
	Never    State = "never"    // has brought nothing yet
	Learning State = "learning" // brings something, for less than a week
	Good     State = "good"
)

// Severity is how bad a finding is.
type Severity string

// Severities.
const (
	Warning  Severity = "warning"  // look at it today
	Critical Severity = "critical" // payments are waiting because of it
)

// Code names a kind of finding.
type Code string

// Codes (docs/feeds-health.md).
const (
	Silent     Code = "silent"
	Unreadable Code = "unreadable"
	Refused    Code = "refused"
	Late       Code = "late"
	Clock      Code = "clock"
	NeverCame  Code = "never"
)

// Finding is something wrong with a feed.
type Finding struct {
	Code     Code
	Text     string // what it means and what to do
	Severity Severity
}

// Health is how a feed is. The figures are of the last 24 hours.
type Health struct {
	Feed  string
	State State
	// Since is when the trouble began, as far as the figures tell: the last item
	// of a silent feed, else the first hour of those that were found at fault.
	// Zero without findings, and for a feed configured nobody knows when.
	Since  time.Time
	LastAt time.Time // of the last item; zero where none came
	// UsualGap is the usual time between items at this hour of this weekday, 0
	// where usually none come or it is not known yet.
	UsualGap             time.Duration
	Items24h, Credits24h int64
	UnreadRate           int64 // unread items in a thousand
	// MeanLag and MostLag are from the bank's time to ours, Ahead is the other way.
	MeanLag, MostLag, Ahead time.Duration
	Findings                []Finding // the worst first
}

// Limits are what is tolerated; zero stands for the default.
type Limits struct {
	// SilentOdds is how many months of a feed a false alarm for silence may come
	// in, by chance alone: 10.
	SilentOdds int64
	// NeverAfter is the time that a new feed has to bring its first: an hour.
	NeverAfter time.Duration
	// UnreadCount and UnreadRate (in a thousand) are the least that count as
	// unreadable: 5 and 50.
	UnreadCount, UnreadRate int64
	// RefusedCount is the least of a day that count as a rise: 3.
	RefusedCount int64
	// LateLag is the longest mean lag of a feed that isn't late by nature: 10
	// minutes.
	LateLag time.Duration
	// ClockAhead is how far a sender's clock may be ahead: 2 minutes.
	ClockAhead time.Duration
}

func (l Limits) orDefault() Limits {
	orElse(&l.SilentOdds, 10)
	orElse(&l.NeverAfter, time.Hour)
	orElse(&l.UnreadCount, 5)
	orElse(&l.UnreadRate, 50)
	orElse(&l.RefusedCount, 3)
	orElse(&l.LateLag, 10*time.Minute)
	orElse(&l.ClockAhead, 2*time.Minute)
	return l
}

func orElse[T int64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

const day = 24 // hours

// Judge says how a feed is.
func Judge(f Feed, now time.Time, limits Limits) Health {
	limits = limits.orDefault()
	h := Health{Feed: f.ID, State: Good}
	past := remember(f.Hours, now)
	if past.lastAt.IsZero() {
		h.State = Never
		if f.Since.IsZero() || now.Sub(f.Since) >= limits.NeverAfter {
			h.Since = f.Since
			h.find(NeverCame, Warning, f.Since, "Nothing has come from this feed yet. "+
				"Send a rupee to its account, then look whether the address, token and sender that are set up match the feed's.")
		}
		return h
	}

	lastDay := past.sum(past.nowHour-day+1, past.nowHour)
	h.LastAt = past.lastAt
	h.UsualGap = past.usualGap()
	h.Items24h, h.Credits24h = lastDay.Items, lastDay.Credits
	h.UnreadRate = perMille(lastDay.Unread, lastDay.Items)
	h.MeanLag, h.MostLag, h.Ahead = lastDay.meanLag(), lastDay.MostLag, lastDay.Ahead
	if past.learning() {
		h.State = Learning
	}

	h.judgeSilence(past, limits)
	h.judgeUnread(past, limits)
	h.judgeRefused(past, lastDay, limits)
	h.judgeLag(past, limits)
	h.judgeClock(past, lastDay, limits)
	slices.SortStableFunc(h.Findings, func(a, b Finding) int { return rank(b.Severity) - rank(a.Severity) })
	if len(h.Findings) > 0 {
		h.State = Strained
		if h.Findings[0].Severity == Critical {
			h.State = Failing
		}
	}
	return h
}

func rank(s Severity) int {
	if s == Critical {
		return 1
	}
	return 0
}

// find adds a finding of a trouble that began then.
func (h *Health) find(code Code, severity Severity, since time.Time, format string, args ...any) {
	h.Findings = append(h.Findings, Finding{Code: code, Severity: severity, Text: fmt.Sprintf(format, args...)})
	if h.Since.IsZero() || since.Before(h.Since) {
		h.Since = since
	}
}

func (h *Health) judgeSilence(past *history, limits Limits) {
	missing, silent := past.silence(limits.SilentOdds)
	if !silent {
		return
	}
	about := "something came every day of such a stretch before"
	if missing > 0 {
		about = fmt.Sprintf("at least %d items would be usual in that time", missing)
	}
	h.find(Silent, Critical, past.lastAt, "Nothing has come for %s; %s. Payments are not being seen. "+
		"If the shop is open: look whether the phone, mailbox or hook behind the feed is on, online and allowed to send.",
		spell(past.now.Sub(past.lastAt)), about)
}

// enough is how many of the newest items tell how a feed is now.
const enough = 30

// outlies says that a count is far above what is expected: by more than five
// standard deviations of a Poisson variable, whose variance is its mean.
// Expected is in thousandths.
func outlies(count, expected int64) bool {
	above := min(count*1000-expected, 1_000_000_000) // whose square fits
	return above > 0 && above*above/1000 > 25*expected
}

func (h *Health) judgeUnread(past *history, limits Limits) {
	recent, from := past.recent()
	usual := past.medianDay(func(d Hour) (int64, bool) { return perMille(d.Unread, d.Items), d.Items > 0 })
	rate := perMille(recent.Unread, recent.Items)
	if recent.Unread < limits.UnreadCount || rate < limits.UnreadRate || rate < 2*usual || !outlies(recent.Unread, recent.Items*usual) {
		return
	}
	severity := Warning
	if rate >= 500 {
		severity = Critical
	}
	h.find(Unreadable, severity, startOf(from), "%d of the last %d items could not be read; %d in a hundred is usual. "+
		"The bank may have changed its texts. Look at the unread messages, credit by hand what is a payment, and report the new form.",
		recent.Unread, recent.Items, (usual+5)/10)
}

func (h *Health) judgeRefused(past *history, lastDay Hour, limits Limits) {
	usual := past.medianDay(func(d Hour) (int64, bool) { return d.Refused, true })
	if lastDay.Refused < limits.RefusedCount || !outlies(lastDay.Refused, usual*1000) {
		return
	}
	h.find(Refused, Warning, past.first(func(x Hour) bool { return x.Refused > 0 }),
		"%d items were refused within a day; %d is usual. Somebody forges reports, the feed is set up with the wrong senders or account, "+
			"or two reports of a payment name different amounts. Look at why they were refused; if they are not yours, change the feed's token.",
		lastDay.Refused, usual)
}

// leastTimed is how many lags make a mean.
const leastTimed = 3

func (h *Health) judgeLag(past *history, limits Limits) {
	recent, from := past.recent()
	// A statement is late by nature.
	usual := past.medianDay(func(d Hour) (int64, bool) { return int64(d.meanLag()), d.Timed > 0 })
	if lag := recent.meanLag(); recent.Timed >= leastTimed && lag > max(limits.LateLag, 3*time.Duration(usual)) {
		h.find(Late, Warning, startOf(from), "Payments arrive %s after the bank's time on average; %s is usual. "+
			"The bank's messages are slow, or the phone queues them: look at its network, battery saving and the app's queue.",
			spell(lag), spell(time.Duration(usual)))
	}
}

func (h *Health) judgeClock(past *history, lastDay Hour, limits Limits) {
	if lastDay.Ahead <= limits.ClockAhead {
		return
	}
	h.find(Clock, Warning, past.first(func(x Hour) bool { return x.Ahead > limits.ClockAhead }),
		"A payment's time was %s ahead of this gateway's clock. Set the sender's clock to network time; "+
			"if several feeds say so, set this gateway's.", spell(lastDay.Ahead))
}

// spell writes a duration for a person.
func spell(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/(day*time.Hour))
	}
}
