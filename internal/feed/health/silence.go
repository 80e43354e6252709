package health

import (
	"math/bits"
	"slices"
	"time"
)

// silence judges the time since the last item. It says about how many items are
// missing, and whether that is more than chance or the shop's hours explain.
//
// The silent stretch is laid over what usually comes in those hours, and the
// usual counts are added up to the items that are missing, m. If items come
// independently of each other (Poisson), nothing comes where m are expected with
// the probability e^-m. A feed has as many chances of a false alarm as it has
// gaps, so the alarm is for m >= ln(items in four weeks × odds), at least 7
// (0.1 %): about 13 for a shop with 60 an hour, which is 13 minutes.
//
// Shops are not that regular, so m is estimated from below:
//
//   - Usual is the same hour of the same weekday in the four weeks before,
//     without the least and the most of the four: neither an earlier outage nor a
//     backlog that came at once counts. India has one time zone without summer
//     time, so hours of UTC are hours of its day, too; weekdays are India's. A
//     weekday on which the shop is closed is a weekday with nothing to miss.
//   - Of each hour and both its neighbours the least counts: opening late or closing
//     early by half an hour is no silence, and nights have nothing to miss.
//   - Bunching: of k items spread over an hour, the last comes 1/(k+1) of an hour
//     before its end, on average. Where that quiet end tells of fewer than came,
//     items come in bunches, and a bunch counts as one.
//   - Pace: if the hours before the silence, or the week, were slower than usual, so
//     is what is missing.
//
// Hours say little of feeds with few items. For those the whole stretch, less two
// hours at each end, is laid over the same stretch of each of the four weeks, and
// what came in the second least of them is missing, bunches and pace considered.
//
// That leaves feeds that bring everything at once, as statements do. For those a
// day counts as missing if it is over, and everyone of the same weekday before
// had something: three such days are an alarm.
//
// In its first week a feed is given two days, and judged only if it is busy.
func (p *history) silence(odds int64) (missing int64, silent bool) {
	if p.learning() {
		return 0, p.items >= busy && p.now.Sub(p.lastAt) > 2*day*time.Hour
	}
	m := p.missing()
	least := max(7*thousand, thousandthLn2*int64(bits.Len64(uint64(p.items)*uint64(odds)))) //nolint:gosec // both are above zero
	if m >= least {
		return m / thousand, true
	}
	return m / thousand, p.missingDays() >= 3
}

const (
	busy          = 50 // items in a feed's first days that make two silent days an alarm
	thousand      = 1000
	thousandthLn2 = 693 // ln 2, in thousandths
)

// missing is how many items would usually have come since the last, in
// thousandths.
func (p *history) missing() int64 {
	var m int64
	bunches, bunch := p.bunching()
	from := p.lastAt.UnixMilli()
	to := p.now.UnixMilli()
	for h := p.last; h <= p.nowHour; h++ {
		begin, end := max(from, h*hourMilli), min(to, (h+1)*hourMilli)
		if begin >= end {
			continue
		}
		if least := min(p.usual(h-1), p.usual(h), p.usual(h+1)); least > 0 {
			m += least * thousand / bunches[h%day] * (end - begin) / hourMilli
		}
	}
	return max(m, p.missed(bunch)) * min(p.pace(6), p.pace(week)) / thousand
}

// missed is how many items came within the same stretch of earlier weeks, in
// thousandths: the second least of four, the least of three. A stretch counts up
// to a week.
func (p *history) missed(bunch int64) int64 {
	first, end := p.last+3, min(p.nowHour-2, p.last+week)
	var counts []int64
	for back := int64(week); back <= weeks*week && first-back >= p.begun; back += week {
		var n int64
		for h := first - back; h < end-back; h++ {
			n += p.hours[h].Items
		}
		counts = append(counts, n*thousand*thousand/bunch)
	}
	if len(counts) < weeks-1 {
		return 0
	}
	slices.Sort(counts)
	return counts[len(counts)-weeks+1]
}

const hourMilli = 3600 * 1000

// usual is how many items usually come in an hour, in thousandths: the mean of
// those a whole number of weeks before, without the least and the most. Nothing
// is usual of an hour that is not known.
func (p *history) usual(hour int64) int64 {
	var counts []int64
	for h := hour - week; h >= p.begun && len(counts) < weeks; h -= week {
		if h < p.last { // the last hour ends in silence
			counts = append(counts, p.hours[h].Items)
		}
	}
	slices.Sort(counts)
	switch n := len(counts); n {
	case 0:
		return 0
	case 1, 2:
		return counts[0] * thousand
	default:
		var sum int64
		for _, c := range counts[1 : n-1] {
			sum += c
		}
		return sum * thousand / int64(n-2)
	}
}

// usualGap is the usual time between items at this hour.
func (p *history) usualGap() time.Duration {
	usual := p.usual(p.nowHour)
	if usual == 0 {
		return 0
	}
	return time.Hour * thousand / time.Duration(usual)
}

// bunching is the size of the bunches in which items come at each hour of UTC's
// day, in thousandths: one item at least, and not less than at most other hours,
// since what few days show of a single hour is vague; and their size at most
// hours.
func (p *history) bunching() (size [day]int64, most int64) {
	var hours, items, quiet [day]int64 // quiet: milliseconds at the ends of the hours
	for h, x := range p.hours {
		if h < p.last { // the last hour ends in silence
			of := h % day
			hours[of]++
			items[of] += x.Items
			quiet[of] += min(max((h+1)*hourMilli-x.LastAt.UnixMilli(), 1), hourMilli-1)
		}
	}
	var known []int64
	for of, n := range hours {
		if n > 0 {
			// The mean quiet end is 1/(k+1) of an hour, of k bunches.
			size[of] = items[of] * thousand / n * quiet[of] / (n*hourMilli - quiet[of])
			known = append(known, size[of])
		}
	}
	most = thousand
	if len(known) > 0 {
		slices.Sort(known)
		most = max(most, known[len(known)/2])
	}
	for of := range size {
		size[of] = max(size[of], most)
	}
	return size, most
}

// pace is how the hours before the silence compare with what is usual, in
// thousandths, 1 at most. A handful of items that came as usual is added to both
// sides, so that few hours say little.
func (p *history) pace(hours int64) int64 {
	const prior = 5 * thousand
	var came, usual int64
	for h := max(p.last-hours, p.begun+week); h < p.last; h++ {
		came += p.hours[h].Items * thousand
		usual += p.usual(h)
	}
	return min(thousand, (came+prior)*thousand/(usual+prior))
}

// missingDays counts the days of India since the last item that are over, and of
// whose weekday every one that is known had something.
func (p *history) missingDays() int {
	n := 0
	for d := dayOf(p.lastAt) + 1; d < dayOf(p.now); d++ {
		known, all := 0, true
		for e := d - 7; e > dayOf(startOf(p.begun)) && all; e -= 7 {
			if e <= dayOf(p.lastAt) {
				known++
				all = p.anythingOn(e)
			}
		}
		if known >= 2 && all {
			n++
		}
	}
	return n
}

// dayOf is the day of India a time is on, counted since 1970.
func dayOf(t time.Time) int64 { return (t.Unix() + indiaAhead) / (day * 3600) }

const indiaAhead = 5*3600 + 1800 // seconds; India has had no summer time since 1945

// anythingOn says whether anything came on a day of India. An hour belongs to the
// day in which its last item came.
func (p *history) anythingOn(d int64) bool {
	first := hourOf(time.Unix(d*day*3600-indiaAhead, 0))
	for h := first; h <= first+day; h++ {
		if x, ok := p.hours[h]; ok && dayOf(x.LastAt) == d {
			return true
		}
	}
	return false
}
