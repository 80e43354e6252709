package health

import (
	"slices"
	"time"
)

// history is what a feed brought, by the hour.
type history struct {
	now     time.Time
	nowHour int64
	lastAt  time.Time // not after now; zero where nothing came
	begun   int64     // the first hour in which something came
	last    int64     // the last hour in which something came
	hours   map[int64]Hour
	items   int64 // in all
}

// weeks that count as history. Hours before them are forgotten.
const (
	weeks = 4
	week  = 7 * day
	// reach is a day more, so that all four weeks count in full.
	reach = weeks*week + day
)

func hourOf(t time.Time) int64     { return t.Unix() / 3600 }
func startOf(hour int64) time.Time { return time.Unix(hour*3600, 0).UTC() }

func remember(hours []Hour, now time.Time) *history {
	p := &history{now: now, nowHour: hourOf(now), hours: make(map[int64]Hour, len(hours))}
	for _, x := range hours {
		if x.Items > 0 && x.Hour <= p.nowHour {
			p.last = max(p.last, x.Hour)
		}
	}
	for _, x := range hours {
		// Four weeks before the last item: a long silence doesn't age away what it
		// is to be compared with, where the caller still gives it.
		if x.Items <= 0 || x.Hour > p.nowHour || x.Hour < p.last-reach {
			continue
		}
		if p.begun == 0 || x.Hour < p.begun {
			p.begun = x.Hour
		}
		if x.LastAt.After(p.lastAt) {
			p.lastAt = x.LastAt
		}
		p.items += x.Items
		p.hours[x.Hour] = x
	}
	if p.lastAt.After(now) {
		p.lastAt = now
	}
	return p
}

// learning says that not even a week is known.
func (p *history) learning() bool { return p.nowHour-p.begun < week }

func (x *Hour) add(y Hour) {
	x.Items += y.Items
	x.Credits += y.Credits
	x.Unread += y.Unread
	x.Refused += y.Refused
	x.Timed += y.Timed
	x.Lag += y.Lag
	x.MostLag = max(x.MostLag, y.MostLag)
	x.Ahead = max(x.Ahead, y.Ahead)
}

func (x *Hour) meanLag() time.Duration {
	if x.Timed <= 0 {
		return 0
	}
	return x.Lag / time.Duration(x.Timed)
}

// sum adds up the hours from first to last.
func (p *history) sum(first, last int64) Hour {
	var all Hour
	for h := first; h <= last; h++ {
		all.add(p.hours[h])
	}
	return all
}

// recent adds up the newest hours until there are enough items to judge by, a
// day's at most, and says which is the first: a trouble shows soon, and is soon
// forgotten.
func (p *history) recent() (all Hour, from int64) {
	for from = p.nowHour; ; from-- {
		all.add(p.hours[from])
		if all.Items >= enough || from == p.nowHour-day+1 {
			return all, from
		}
	}
}

// first is when the first hour of the last 24 began of which that is so.
func (p *history) first(is func(Hour) bool) time.Time {
	for h := p.nowHour - day + 1; h <= p.nowHour; h++ {
		if is(p.hours[h]) {
			return startOf(h)
		}
	}
	return p.now
}

// medianDay is the median of a figure of the days before the last 24 hours, 0
// without any. A trouble of less than two weeks doesn't become what is usual.
func (p *history) medianDay(figure func(Hour) (int64, bool)) int64 {
	var days []int64
	for last := p.nowHour - day; last-day+1 >= p.begun; last -= day {
		if v, ok := figure(p.sum(last-day+1, last)); ok {
			days = append(days, v)
		}
	}
	if len(days) == 0 {
		return 0
	}
	slices.Sort(days)
	return days[(len(days)-1)/2]
}

// perMille is part in a thousand of whole, 0 of nothing.
func perMille(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return part * 1000 / whole
}
