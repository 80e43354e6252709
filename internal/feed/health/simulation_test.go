package health_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed/health"
)

var india = time.FixedZone("IST", 5*3600+1800)

// monday is a midnight in India.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, india)

// shop is a feed as one comes of a kind of shop.
type shop struct {
	name string
	// rate is items per hour at a time of day, in minutes, of a day of the week.
	rate func(minute int, on time.Weekday) int
	// jitter is by how many minutes a day may begin and end early or late.
	jitter int
	// slow is how much less, and more, a day may bring, in percent.
	slow int
	// bunch is the most items that come at once; 1 where it is 0.
	bunch int
	// batch is when, in minutes of the day, a day's items all come at once.
	batch int
	// outage is a day of the first month on which the feed was down.
	outage int
	// within is how many minutes of an open shop its death may go unseen.
	within int
}

func between(from, to, rate int) func(int, time.Weekday) int {
	return func(m int, _ time.Weekday) int {
		if m >= from*60 && m < to*60 {
			return rate
		}
		return 0
	}
}

func closed(on time.Weekday, rate func(int, time.Weekday) int) func(int, time.Weekday) int {
	return func(m int, d time.Weekday) int {
		if d == on {
			return 0
		}
		return rate(m, d)
	}
}

func shops() []shop {
	restaurant := func(m int, d time.Weekday) int {
		rate := 4
		switch {
		case m < 11*60 || m >= 23*60:
			return 0
		case m >= 13*60 && m < 15*60, m >= 19*60 && m < 22*60:
			rate = 25
		}
		if d == time.Saturday || d == time.Sunday {
			rate *= 2
		}
		return rate
	}
	online := func(m int, _ time.Weekday) int {
		if m < 7*60 {
			return 6
		}
		return 40
	}
	halfSunday := func(m int, d time.Weekday) int {
		if d == time.Sunday && m >= 13*60 {
			return 0
		}
		return between(9, 21, 30)(m, d)
	}
	return []shop{
		{name: "busy shop, 60 an hour", rate: between(10, 21, 60), jitter: 30, slow: 30, within: 30},
		{name: "busy shop that was down for a day", rate: between(10, 21, 60), jitter: 30, slow: 30, outage: 17, within: 35},
		{name: "grocer, 20 an hour", rate: between(7, 22, 20), jitter: 30, slow: 40, within: 120},
		{name: "shop closed on Tuesdays, 30 an hour", rate: closed(time.Tuesday, between(10, 20, 30)), jitter: 30, slow: 30, within: 90},
		{name: "shop closed on Sunday afternoons, 30 an hour", rate: halfSunday, jitter: 30, slow: 30, within: 24 * 60},
		{name: "restaurant with two peaks", rate: restaurant, jitter: 30, slow: 40, within: 600},
		{name: "online shop, day and night", rate: online, slow: 30, within: 60},
		{name: "temple: items in bunches of up to 8", rate: between(6, 20, 6), jitter: 20, slow: 40, bunch: 8, within: 1500},
		{name: "office closed on Sundays, 6 an hour", rate: closed(time.Sunday, between(10, 18, 6)), jitter: 30, slow: 40, within: 2200},
		{name: "1 an hour", rate: between(9, 21, 1), jitter: 60, slow: 50, within: 8000},
		{name: "3 credits a day", rate: between(10, 13, 1), jitter: 120, within: 8000},
		{name: "daily statement, not on Sundays", batch: 6*60 + 20, jitter: 40, within: 8000},
	}
}

const secondsOfHour = 3600

// arrivals simulates when items come within that many days.
func (s shop) arrivals(rng *rand.Rand, days int) []time.Time {
	var at []time.Time
	spread := func(by int) int {
		if by == 0 {
			return 0
		}
		return rng.IntN(2*by+1) - by
	}
	for d := range days {
		midnight := monday.AddDate(0, 0, d)
		early, late, pace := spread(s.jitter), spread(s.jitter), 100+spread(s.slow)
		switch {
		case s.outage != 0 && d == s.outage:
		case s.batch != 0:
			if midnight.Weekday() != time.Sunday {
				for range 150 + rng.IntN(200) {
					at = append(at, midnight.Add(time.Duration(s.batch+early)*time.Minute))
				}
			}
		default:
			for sec := range 24 * secondsOfHour {
				shift := early
				if sec > 14*secondsOfHour {
					shift = late
				}
				minute := min(max(sec/60-shift, 0), 24*60-1)
				if rng.IntN(100*secondsOfHour) < s.rate(minute, midnight.Weekday())*pace {
					for range 1 + rng.IntN(max(s.bunch, 1)) {
						at = append(at, midnight.Add(time.Duration(sec)*time.Second))
					}
				}
			}
		}
	}
	return at
}

// hours counts what came until now.
type hours struct{ list []health.Hour }

func (h *hours) take(at time.Time) {
	n := at.Unix() / 3600
	if len(h.list) == 0 || h.list[len(h.list)-1].Hour != n {
		h.list = append(h.list, health.Hour{Hour: n})
	}
	x := &h.list[len(h.list)-1]
	x.Items++
	x.Credits++
	x.LastAt = at
}

// window is what a store would give: the last four weeks.
func (h *hours) window(now time.Time) []health.Hour {
	first := now.Unix()/3600 - 28*24
	i, _ := slices.BinarySearchFunc(h.list, first, func(x health.Hour, hour int64) int { return int(x.Hour - hour) })
	return h.list[i:]
}

func finding(h health.Health, code health.Code) *health.Finding {
	for i := range h.Findings {
		if h.Findings[i].Code == code {
			return &h.Findings[i]
		}
	}
	return nil
}

// alarms counts the gaps that would have been called silent. An alarm lasts
// until the next item, so it is enough to look just before each.
func alarms(t *testing.T, at []time.Time, from time.Time) (gaps, alarms int) {
	t.Helper()
	var h hours
	for i, x := range at {
		if i > 0 && x.After(from) && x.Sub(at[i-1]) >= 3*time.Minute {
			gaps++
			judged := health.Judge(health.Feed{ID: "f", Hours: h.window(x)}, x.Add(-time.Second), health.Limits{})
			if f := finding(judged, health.Silent); f != nil {
				alarms++
				t.Logf("%s after %s: %s", x.In(india).Format("Mon 02 15:04"), x.Sub(at[i-1]), f.Text)
			}
		}
		h.take(x)
	}
	return gaps, alarms
}

// detect is how long after its death, at a time of day, a feed is found silent.
func detect(at []time.Time, dies time.Time, step time.Duration) (time.Duration, bool) {
	var h hours
	for _, x := range at {
		if x.Before(dies) {
			h.take(x)
		}
	}
	for now := dies; now.Before(dies.AddDate(0, 0, 10)); now = now.Add(step) {
		if finding(health.Judge(health.Feed{ID: "f", Hours: h.window(now)}, now, health.Limits{}), health.Silent) != nil {
			return now.Sub(dies), true
		}
	}
	return 0, false
}

// TestSilenceOfShops prints, for shops of many kinds, how often a month brings a
// false alarm, and how soon a dead phone is seen.
func TestSilenceOfShops(t *testing.T) {
	t.Parallel()
	for i, s := range shops() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(2026, uint64(i)))
			at := s.arrivals(rng, 57)
			gaps, wrong := alarms(t, at, monday.AddDate(0, 0, 29))
			if wrong != 0 {
				t.Errorf("%d false alarms in a month", wrong)
			}

			var delays []time.Duration
			for d := 35; d < 42; d++ { // a day after the other
				dies := monday.AddDate(0, 0, d).Add(12*time.Hour + 7*time.Minute)
				if s.rate != nil && s.rate(12*60+7, dies.Weekday()) == 0 {
					continue
				}
				delay, seen := detect(at, dies, time.Duration(1+s.within/500)*time.Minute)
				if !seen {
					t.Errorf("dead on %s: not seen within ten days", dies.Weekday())
				}
				delays = append(delays, delay)
			}
			slices.Sort(delays)
			median, most := delays[len(delays)/2], delays[len(delays)-1]
			t.Logf("%-46s %6d gaps, %d false alarms; dead at 12:07 seen after %s (median), %s (most)", s.name, gaps, wrong, median, most)
			if limit := time.Duration(s.within) * time.Minute; most > limit {
				t.Errorf("seen after %s, want %s at most", most, limit)
			}
		})
	}
}
