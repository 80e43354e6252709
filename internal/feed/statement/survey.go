package statement

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed/narration"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// evidence is what the whole file says, gathered in one reading.
type evidence struct {
	entries                int
	from, to               time.Time
	dayOver12, monthOver12 int // all-number dates with 13 or more in the first, second place
	ascending, descending  int
	// Neighbours whose balances tie, by which order of rows and which reading of
	// the headings explains them.
	pairs, forward, backward, forwardSwapped, backwardSwapped int
	hintsFor, hintsAgainst                                    int // narrations that say their direction
	verdicts                                                  [4]int
	negatives, flags                                          int
	refAgrees, refDiffers                                     int
	moves                                                     map[upi.UTR]moves
	credits, debits                                           int
	credited, debited                                         money.Paise
	overflow                                                  bool
	first, last                                               judged // with a balance
	otherAccount                                              string // named between rows
	accounts                                                  bool   // rows follow it
	stated                                                    stated
}

// survey reads the table once under a plan.
func (l *layout) survey(ctx context.Context, p *plan) (*evidence, error) {
	ev := &evidence{moves: map[upi.UTR]moves{}}
	for _, above := range l.preamble {
		ev.stated.read(strings.Split(above, "\x00"))
	}
	var before *judged
	var beforeDay day
	text := func(cells []string) {
		ev.stated.read(cells)
		if m := accountText.FindStringSubmatch(strings.Join(cells, " ")); m != nil && l.tail != "" {
			if next := tail(m[1]); next != "" && !strings.HasSuffix(l.tail, next) && !strings.HasSuffix(next, l.tail) {
				ev.otherAccount = next
			}
		}
	}
	for j, err := range l.judge(ctx, p, text) {
		if err != nil {
			return nil, err
		}
		ev.entries++
		ev.verdicts[j.verdict]++
		if a, b, _, _, _, ok := dateParts(j.date); ok && isDigit(b[0]) && len(a) <= 2 {
			first, _ := strconv.Atoi(a)
			second, _ := strconv.Atoi(b)
			if first > 12 {
				ev.dayOver12++
			}
			if second > 12 {
				ev.monthOver12++
			}
		}
		if d, err := l.day(&j.entry, p); err == nil {
			if !beforeDay.at.IsZero() {
				switch c := d.at.Compare(beforeDay.at); {
				case c > 0:
					ev.ascending++
				case c < 0:
					ev.descending++
				}
			}
			beforeDay = d
			if ev.from.IsZero() || d.at.Before(ev.from) {
				ev.from = d.at
			}
			if d.at.After(ev.to) {
				ev.to = d.at
			}
		}
		if j.flag != none {
			ev.flags++
		}
		if j.amount.paise < 0 {
			ev.negatives++
		}
		if before != nil {
			ev.pair(before, &j)
		}
		switch {
		case j.carried, j.void():
		case j.problem != "" || j.side == none:
			// It may have been the debit that a later credit undoes.
			ev.move(narration.Read(j.narration, narration.Out, l.bank).UTR, debit, j.place)
		default:
			ev.count(l, &j)
		}
		if ev.otherAccount != "" {
			ev.accounts = true
		}
		if j.balance.there {
			if !ev.first.balance.there {
				ev.first = j
			}
			ev.last = j
		}
		held := j
		before = &held
	}
	return ev, nil
}

// pair counts which orders and readings explain two neighbours' balances.
func (ev *evidence) pair(a, b *judged) {
	if !a.balance.there || !b.balance.there {
		return
	}
	moved, err := b.balance.paise.Sub(a.balance.paise)
	if err != nil || moved == 0 {
		return
	}
	ev.pairs++
	tie := func(j *judged, moved money.Paise, straight, swapped *int) {
		if j.paise == 0 {
			return
		}
		if s := j.signed(); j.side != none && moved == s || j.side == none && (moved == j.paise || moved == -j.paise) {
			*straight++
		} else if moved == -s {
			*swapped++
		}
	}
	tie(b, moved, &ev.forward, &ev.forwardSwapped)
	tie(a, -moved, &ev.backward, &ev.backwardSwapped)
}

// count adds a row whose amount could be read.
func (ev *evidence) count(l *layout, j *judged) {
	direction, total, n := narration.In, &ev.credited, &ev.credits
	if j.side == debit {
		direction, total, n = narration.Out, &ev.debited, &ev.debits
	}
	*n++
	sum, err := total.Add(j.paise)
	ev.overflow = ev.overflow || err != nil
	*total = sum
	text := l.unwrapped(j, direction)
	switch saysDirection(j.narration) {
	case none:
	case j.side:
		ev.hintsFor++
	default:
		ev.hintsAgainst++
	}
	utr := text.UTR
	if ref := narration.Reference(unlabelled(j.reference), text.Channel); utr != "" && ref != "" {
		if ref == utr {
			ev.refAgrees++
		} else {
			ev.refDiffers++
		}
	}
	if utr == "" {
		utr = narration.Reference(j.utr, text.Channel)
	}
	ev.move(utr, j.side, j.place)
}

// move keeps where a UTR was first credited and first debited.
func (ev *evidence) move(utr upi.UTR, side role, place int) {
	if utr == "" {
		return
	}
	m, known := ev.moves[utr]
	if !known {
		utr = upi.UTR(strings.Clone(string(utr))) // not to keep the row it was cut from
	}
	switch {
	case side == credit && m.credit == 0:
		m.credit = place
	case side == debit && m.debit == 0:
		m.debit = place
	default:
		return
	}
	ev.moves[utr] = m
}

// saysDirection is the direction that the narration itself names, in forms that
// only the bank writes.
func saysDirection(text string) role {
	upper := strings.ToUpper(text)
	for _, mark := range []string{"UPI/CR/", "BY TRANSFER", "NEFT CR-", "RTGS CR-", "DEP TFR", "INT.PD", "CREDIT INTEREST", "CASH DEP", "BY CASH", "ACHCR"} {
		if strings.Contains(upper, mark) {
			return credit
		}
	}
	for _, mark := range []string{"UPI/DR/", "TO TRANSFER", "NEFT DR-", "WDL TFR", "ATM WDL", "CASH WDL", "ATW-", "NWD-", "POS ", "CHARGES", "ACHDR", "EMI "} {
		if strings.Contains(upper, mark) {
			return debit
		}
	}
	return none
}

// unlabelled takes the system's name off a reference: "IMPS-412345678902".
func unlabelled(ref string) string {
	if i := strings.IndexByte(ref, '-'); i == 3 || i == 4 {
		switch strings.ToUpper(ref[:i]) {
		case "UPI", "IMPS":
			return ref[i+1:]
		}
	}
	return ref
}

const (
	// minTies are the balances that must tie before they overrule the headings.
	minTies = 2
	// gapsPerTie is how many balances that do not follow, for each that does, a
	// file may have whose balances are still held against its rows. An export of
	// chosen rows alone has next to none that follow.
	gapsPerTie = 4
)

// planned reads the file until what it says and how it is read agree: most
// often once, and once more where the order of rows, the headings or the dates
// are not the usual ones.
func (l *layout) planned(ctx context.Context) (plan, *evidence, error) {
	var p plan
	var ev *evidence
	for range 3 {
		var err error
		if ev, err = l.survey(ctx, &p); err != nil {
			return p, nil, err
		}
		next := l.conclude(ev, &p)
		again := next.dates != p.dates || next.newestFirst != p.newestFirst || next.swapped != p.swapped ||
			next.owed != p.owed || next.signed != p.signed || next.flagless != p.flagless || (next.opening == nil) != (p.opening == nil)
		p = next
		if !again {
			break
		}
	}
	p.chained = ev.verdicts[gap] <= gapsPerTie*ev.verdicts[ties]
	p.refIsUTR = ev.refAgrees >= 3 && ev.refDiffers == 0 && l.bank != "kotak"
	p.opposite = map[upi.UTR]moves{}
	for utr, m := range ev.moves {
		if m.credit != 0 && m.debit != 0 {
			p.opposite[utr] = m
		}
	}
	ev.moves = nil
	return p, ev, nil
}

// conclude makes the plan that the evidence asks for. The evidence was gathered
// under the plan before, whose swapping is undone first.
func (l *layout) conclude(ev *evidence, before *plan) plan {
	p := plan{signed: ev.negatives > 0 && l.flag < 0, flagless: l.flag >= 0 && ev.flags == 0, owed: before.owed}
	if ev.monthOver12 > 0 && ev.dayOver12 == 0 {
		p.dates = monthBeforeDay
	}
	forward, backward, forwardSwapped, backwardSwapped := ev.forward, ev.backward, ev.forwardSwapped, ev.backwardSwapped
	hintsFor, hintsAgainst := ev.hintsFor, ev.hintsAgainst
	if before.swapped {
		forward, forwardSwapped = forwardSwapped, forward
		backward, backwardSwapped = backwardSwapped, backward
		hintsFor, hintsAgainst = hintsAgainst, hintsFor
	}
	switch {
	case ev.ascending > 0 && ev.descending == 0:
	case ev.descending > 0 && ev.ascending == 0:
		p.newestFirst = true
	default: // one day, or days out of order: the balances tell
		p.newestFirst = max(backward, backwardSwapped) > max(forward, forwardSwapped)
		if backward != forward { // what the headings say as they stand comes first
			p.newestFirst = backward > forward
		}
	}
	straight, swapped := forward, forwardSwapped
	if p.newestFirst {
		straight, swapped = backward, backwardSwapped
	}
	if swapped >= minTies && straight*10 < swapped && swapped*10 >= ev.pairs*8 {
		// The balance moves against the headings. Either they are the wrong way
		// round, or the balance is what the account's holder owes.
		if l.overdrawn || hintsFor > hintsAgainst {
			p.owed = true
		} else {
			p.swapped = true
		}
	}
	// The balance above the first row: stated, unless it ties with nothing.
	if ev.stated.opening != nil {
		p.opening = ev.stated.opening
	}
	return p
}

// day reads the time of an entry.
func (l *layout) day(e *entry, p *plan) (day, error) {
	text := e.date
	if d, ok := l.serial(text); ok && !l.text {
		return d, nil
	}
	if e.clock != "" {
		if d, err := parseDay(text+" "+e.clock, p.dates); err == nil {
			return d, nil
		}
	}
	return parseDay(text, p.dates)
}

// counted is a number of rows as it reads where an amount might stand.
func counted(n int) money.Paise { return money.Paise(n) * money.Rupee }

// check compares what the file states with its rows. A problem is for a person;
// untrusted is why nothing of the file may be booked.
func (l *layout) check(p *plan, ev *evidence) (problems []string, untrusted string) {
	proved := ev.verdicts[ties] > 0 && ev.verdicts[gap] == 0 && ev.verdicts[opposite] == 0
	add := func(text string, args ...any) { problems = append(problems, fmt.Sprintf(text, args...)) }
	if p.swapped {
		add("the headings of debit and credit are the wrong way round; the running balance shows it")
	}
	if p.owed {
		add("the balance is what is owed: credits lower it")
	}
	if n := ev.verdicts[gap]; n > 0 {
		text := "%d rows do not follow from the balance before them: rows may be missing"
		if !p.chained {
			text = "the balances do not follow from each other, as in an export of chosen rows: %d rows are taken at their word"
		}
		add(text, n)
	}
	if n := ev.verdicts[opposite]; n > 0 {
		add("%d rows move the balance the other way than they say", n)
	}
	differs := func(what string, stated, read money.Paise) {
		add("the file states %s of %s, its rows make %s: rows may be missing", what, stated.Fixed(), read.Fixed())
		if !proved {
			untrusted = "the file's own totals differ from its rows, and no running balance proves the rows: download it again"
		}
	}
	s := &ev.stated
	if ev.accounts {
		untrusted = "the file holds more than one account, " + l.tail + " and " + ev.otherAccount + ": download each by itself"
	}
	if ev.overflow {
		untrusted = "the amounts are too large to be a statement's"
	}
	if s.credited != nil && *s.credited != ev.credited && *s.credited != counted(ev.credits) {
		differs("total credits", *s.credited, ev.credited)
	}
	if s.debited != nil && *s.debited != ev.debited && *s.debited != -ev.debited && *s.debited != counted(ev.debits) {
		differs("total debits", *s.debited, ev.debited)
	}
	if s.credits != nil && *s.credits != ev.credits {
		add("the file counts %d credits, its rows are %d", *s.credits, ev.credits)
	}
	if s.debits != nil && *s.debits != ev.debits {
		add("the file counts %d debits, its rows are %d", *s.debits, ev.debits)
	}
	if s.closing != nil && ev.last.balance.there {
		newest := ev.last
		if p.newestFirst {
			newest = ev.first
		}
		if newest.balance.paise != *s.closing {
			add("the file states a closing balance of %s, its rows end at %s", s.closing.Fixed(), newest.balance.paise.Fixed())
		}
	}
	return problems, untrusted
}
