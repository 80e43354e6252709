package statement

import (
	"context"
	"fmt"
	"iter"

	"github.com/milaan/milaan/money"
)

// verdict is what the running balance says of a row.
type verdict int

const (
	unknown  verdict = iota // there is no balance beside it to compare with
	ties                    // the balance moved by the amount
	opposite                // it moved by the amount, the other way
	gap                     // it moved by something else
)

// judged is an entry with its direction found and its balance checked.
type judged struct {
	entry
	paise   money.Paise // above zero, unless there is a problem
	side    role        // debit or credit; none where nothing says
	verdict verdict
	place   int // in the file, from 1
}

// judge gives each entry its amount and direction, and compares its balance
// with that of the row before it in time, which stands below it in a file of
// newest rows first.
func (l *layout) judge(ctx context.Context, p *plan, text func([]string)) iter.Seq2[judged, error] {
	return func(yield func(judged, error) bool) {
		var held *judged
		place := 0
		last := p.opening
		for e, err := range l.entries(ctx, text) {
			if err != nil {
				if held != nil && !yield(*held, nil) {
					return
				}
				yield(judged{}, err)
				return
			}
			place++
			j := judged{entry: e, place: place}
			l.direct(&j, p)
			if !p.newestFirst {
				j.compare(last, p)
				last = balanceOf(&j)
				if !yield(j, nil) {
					return
				}
				continue
			}
			if held != nil {
				held.compare(balanceOf(&j), p)
				if !yield(*held, nil) {
					return
				}
			}
			held = &j
		}
		if held != nil {
			held.compare(p.opening, p)
			yield(*held, nil)
		}
	}
}

// void reports whether the file says of a row that it was not, or may not have
// been, booked.
func (j *judged) void() bool { return !succeeded(j.status) }

func balanceOf(j *judged) *money.Paise {
	if !j.balance.there {
		return nil
	}
	return &j.balance.paise
}

// direct finds the amount and what the row itself says of its direction.
func (l *layout) direct(j *judged, p *plan) {
	if j.problem != "" || j.carried || j.void() {
		return
	}
	refuse := func(text string, args ...any) { j.problem = fmt.Sprintf(text, args...) }
	var said sum
	switch {
	case l.amount >= 0 && j.amount.paise != 0:
		said = j.amount
		j.side = said.side
		if !p.flagless && l.flag >= 0 {
			switch {
			case j.flag == none && j.side == none:
				refuse("%q says neither debit nor credit", shorten(j.flagText))
				return
			case j.side != none && j.flag != none && j.side != j.flag:
				refuse("the amount and the Cr/Dr column contradict each other")
				return
			case j.flag != none:
				j.side = j.flag
			}
		}
		switch {
		case said.paise < 0 && j.side == credit:
			refuse("a negative credit")
			return
		case said.paise < 0:
			j.side = debit
		case j.side == none && p.signed:
			j.side = credit
		}
	case j.debit.paise != 0 && j.credit.paise != 0:
		refuse("both a debit and a credit")
		return
	case j.debit.paise != 0:
		said, j.side = j.debit, debit
		if said.side == credit {
			refuse("a credit in the column of debits")
			return
		}
	case j.credit.paise != 0:
		said, j.side = j.credit, credit
		if said.side == debit || said.paise < 0 {
			refuse("a debit in the column of credits")
			return
		}
	default:
		refuse("no amount")
		return
	}
	if j.paise = said.paise; j.paise < 0 {
		j.paise = -j.paise
	}
	if p.swapped {
		j.side = opposed(j.side)
	}
}

func opposed(side role) role {
	switch side {
	case debit:
		return credit
	case credit:
		return debit
	default:
		return side
	}
}

// compare sets the verdict, and the direction where only the balance tells it.
func (j *judged) compare(before *money.Paise, p *plan) {
	if before == nil || !j.balance.there || j.problem != "" || j.carried || j.void() {
		return
	}
	moved, err := j.balance.paise.Sub(*before)
	if err != nil {
		j.verdict = gap
		return
	}
	if p.owed {
		moved = -moved
	}
	switch {
	case j.side == none && moved == j.paise:
		j.side, j.verdict = credit, ties
	case j.side == none && moved == -j.paise:
		j.side, j.verdict = debit, ties
	case moved == j.signed():
		j.verdict = ties
	case moved == -j.signed():
		j.verdict = opposite
	default:
		j.verdict = gap
	}
}

// signed is the amount as it moves the balance.
func (j *judged) signed() money.Paise {
	if j.side == debit {
		return -j.paise
	}
	return j.paise
}

// shorten keeps what a bank's cell says presentable in an error.
func shorten(text string) string {
	const most = 20
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
