package alert

import (
	"strings"

	"github.com/milaan/milaan/money"
)

// amount is a number of rupees in a text.
type amount struct {
	value      money.Paise
	first, end int  // its tokens
	balance    bool // a balance or a limit: nothing that moved
}

var currencyWords = words("rs inr rupees")

// balanceWords stand before an amount that only lies there.
var balanceWords = words(`bal balance balances avl aval avail available avbl avlbl avblbal avlbal avbal availbal
	availablebal clrbal totbal totalbal acbal newbal clbal ledger lmt limit outstanding overdraft closing due`)

// numberEnd is the end of the number that starts at i: digits with commas and
// decimals. It is false where the number does not stop cleanly, as in "15,OOO"
// or "1.2.3".
func numberEnd(text string, i int) (end int, ok bool) {
	digit := func(i int) bool { return i < len(text) && isDigit(rune(text[i])) }
	for digit(i) || i+1 < len(text) && text[i] == ',' && digit(i+1) {
		i++
	}
	if i < len(text) && text[i] == '.' && digit(i+1) {
		for i++; digit(i); i++ {
		}
		if i < len(text) && (text[i] == '.' || text[i] == ',') && digit(i+1) {
			return i, false
		}
	}
	// Letters that pass for zeros and ones: "15,OOO", "Rs.1OO".
	j := i
	if j < len(text) && text[j] == ',' {
		j++
	}
	k := j
	for k < len(text) && isLetter(rune(text[k])) {
		k++
	}
	if k > j && strings.Trim(text[j:k], "OoIl") == "" || i < len(text) && text[i] == '%' {
		return i, false
	}
	// Masked: "1xxx", "5*".
	if i < len(text) && (text[i] == '*' || text[i] == 'x' || text[i] == 'X') {
		return i, false
	}
	return i, true
}

// amounts finds what is marked as rupees in the text. It is false when a mark
// stands before something that can't be read as an amount: then nothing of the
// text is certain.
func (d *document) findAmounts() bool {
	for i := 0; i < len(d.tokens); i++ {
		t := d.tokens[i]
		if !currencyWords[t.word] {
			continue
		}
		// Marks can be doubled: "INR Rs.15000.00".
		n := i + 1
		for n < len(d.tokens) && currencyWords[d.tokens[n].word] {
			n++
		}
		if n == len(d.tokens) {
			break
		}
		gap := d.text[d.tokens[n-1].end:d.tokens[n].start]
		if !d.tokens[n].digits || len(gap) > 4 || strings.Trim(gap, " \n.:,/=~-") != "" {
			continue // a mark of its own, such as behind a number
		}
		start := d.tokens[n].start
		if start > 0 && d.text[start-1] == '-' && strings.TrimLeft(gap, ".: ") == "-" && len(gap) > 1 {
			return false // negative
		}
		if start > 0 && d.text[start-1] == '.' && strings.Contains(gap, " .") {
			return false // "Rs .50"
		}
		if !d.addAmount(i, n) {
			return false
		}
		i = d.amounts[len(d.amounts)-1].end - 1
	}
	if len(d.amounts) > 0 {
		return true
	}
	for i, t := range d.tokens { // the mark behind: "500 INR"; no mark: "credited by 185.0"
		if !t.digits || i == 0 {
			continue
		}
		end, ok := numberEnd(d.text, t.start)
		behind := d.tokenAt(end)
		marked := behind < len(d.tokens) && currencyWords[d.tokens[behind].word] && d.tokens[behind].start-end <= 1
		before := d.tokens[i-1].word
		bare := i > 1 && (before == "by" || before == "for" || before == "with") && isMovement(d.tokens[i-2].word) &&
			ok && strings.Contains(d.text[t.start:end], ".")
		if marked || bare {
			return d.addAmount(i, i)
		}
	}
	return true
}

// addAmount reads the number at token n, whose mark is token first.
func (d *document) addAmount(first, n int) bool {
	end, ok := numberEnd(d.text, d.tokens[n].start)
	a := amount{first: first, end: d.tokenAt(end)}
	back := 0
	if len(d.amounts) > 0 {
		back = d.amounts[len(d.amounts)-1].end
	}
	for i := first - 1; i >= max(back, first-8); i-- {
		w := d.tokens[i].word
		if balanceWords[w] {
			a.balance = true
			break
		}
		if isMovement(w) {
			break
		}
	}
	var err error
	if a.value, err = money.Parse(d.text[d.tokens[n].start:end]); (err != nil || !ok) && !a.balance {
		return false
	}
	d.amounts = append(d.amounts, a)
	return true
}

// moved is the one amount that moved; ok is false when there is none, or more
// than one.
func (d *document) moved() (a amount, why string) {
	for _, b := range d.amounts {
		switch {
		case b.balance:
		case a.end == 0:
			a = b
		case a.value != b.value:
			return amount{}, "more than one amount"
		}
	}
	switch {
	case a.end == 0:
		return amount{}, "no amount that moved"
	case a.value <= 0:
		return amount{}, "an amount of zero"
	}
	return a, ""
}
