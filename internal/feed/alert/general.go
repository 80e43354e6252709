package alert

import (
	"strings"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// document is a text taken apart.
type document struct {
	text, lower string
	tokens      []token
	words       string // the tokens that say something, single spaces around each
	amounts     []amount
	accounts    []account
	link        bool // an address of the web stood in it
}

func newDocument(text, lower string) *document {
	d := &document{text: text, lower: lower}
	d.tokens, d.link = dropBoilerplate(text, tokens(text, lower))
	var b strings.Builder
	b.Grow(len(text) + 16)
	b.WriteByte(' ')
	for _, t := range d.tokens {
		if addressAt(text, t.start) {
			continue // reward@upi speaks of nothing
		}
		b.WriteString(t.word)
		b.WriteByte(' ')
	}
	d.words = b.String()
	return d
}

// maxAddress bounds the search for the end of an address.
const maxAddress = 128

// addressAt tells whether the byte at is inside of a UPI or e-mail address.
func addressAt(text string, at int) bool {
	inside := func(c byte) bool { return isAlnum(rune(c)) || c == '.' || c == '-' || c == '_' }
	i := at
	for i < min(len(text), at+maxAddress) && inside(text[i]) {
		i++
	}
	if i < len(text) && text[i] == '@' && i+1 < len(text) && isLetter(rune(text[i+1])) {
		return true
	}
	for i = at; i > 0 && isAlnum(rune(text[i-1])); i-- {
	}
	return i > 1 && text[i-1] == '@' && isAlnum(rune(text[i-2])) && isLetter(rune(text[i]))
}

// tokenAt is the first token at or behind a byte of the text.
func (d *document) tokenAt(at int) int {
	low, high := 0, len(d.tokens)
	for low < high {
		if mid := (low + high) / 2; d.tokens[mid].start < at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// has tells whether one of the words is in the text.
func (d *document) has(list ...string) bool {
	for _, w := range list {
		if strings.Contains(d.words, " "+w+" ") {
			return true
		}
	}
	return false
}

// wordAt is the word of a token, "" beyond the ends.
func (d *document) wordAt(i int) string {
	if i < 0 || i >= len(d.tokens) {
		return ""
	}
	return d.tokens[i].word
}

// A side is what a verb does to the account.
type side int

const (
	none side = iota
	in
	out
)

var inVerbs = words("credited credit credits deposited received recd cr crdt crd")
var outVerbs = words("debited debit debits dr withdrawn withdrawal wdl spent sent paid deducted purchase charged")

// isMovement tells words that move money, whichever way.
func isMovement(w string) bool {
	return inVerbs[w] || outVerbs[w] || w == "transferred" || w == "transfer"
}

// verb is a movement in the text.
type verb struct {
	side side
	at   int // its token
}

// verbs finds the movements in their order.
func (d *document) verbs() []verb {
	var list []verb
	for i, t := range d.tokens {
		w := t.word
		next, last := d.wordAt(i+1), d.wordAt(i-1)
		switch {
		case w == "cr" || w == "dr" || w == "crd":
			if !d.isMark(i) {
				continue
			}
		case w == "paid" && (next == "you" || next == "by" || next == "to" && d.wordAt(i+2) == "you"),
			w == "sent" && (next == "by" || next == "you" || next == "to" && d.wordAt(i+2) == "your"),
			(w == "debit" || w == "credit") && (next == "card" || next == "alert" || next == "limit" || next == "score" || next == "bureau"):
			if w == "paid" && next == "you" || w == "sent" && next == "you" {
				list = append(list, verb{in, i})
			}
			continue
		case (w == "paid" || w == "sent") && len(list) > 0 && list[0].side == in &&
			(next == "via" || next == "through" || next == "using" || w == "sent" && next == "from"):
			continue // a payer's remark: "Paid via …"
		case w == "debit" && (last == "of" || next == "transaction" || next == "txn") && back.in(d.words):
			continue // "reversal of debit transaction"
		case w == "transferred" && (next == "from" && (d.wordAt(i+2) == "a" || d.wordAt(i+2) == "your" || d.wordAt(i+2) == "ac")):
			list = append(list, verb{out, i})
			continue
		case w == "charged" && last == "not":
			continue
		}
		switch {
		case inVerbs[w]:
			list = append(list, verb{in, i})
		case outVerbs[w]:
			list = append(list, verb{out, i})
		}
	}
	return list
}

// isMark tells whether a "Cr" or "Dr" at token i says which way money went: it
// may as well be the sign of a balance or a doctor.
func (d *document) isMark(i int) bool {
	t := d.tokens[i]
	for _, a := range d.amounts {
		if a.end == i && d.tokens[i].start-d.tokens[i-1].end <= 2 {
			return !a.balance || d.wordAt(i+1) == "from" || d.wordAt(i+1) == "to"
		}
	}
	if t.start > 0 && strings.IndexByte("/-*", d.text[t.start-1]) >= 0 && t.end < len(d.text) && strings.IndexByte("/-*", d.text[t.end]) >= 0 {
		return true
	}
	switch d.wordAt(i + 1) {
	case "from", "to", "in", "rs", "inr", "by", "with", "for", "of", "a", "ac", "acct", "and", "xx", "x":
		return d.wordAt(i-1) != "from" && d.wordAt(i-1) != "by"
	}
	return d.wordAt(i-1) == "neft" || d.wordAt(i-1) == "upi" || d.wordAt(i-1) == "imps" || d.wordAt(i-1) == "rtgs"
}

// readGeneral reads a text of an unknown bank.
func readGeneral(text, lower string) feed.Reading {
	d := newDocument(text, lower)
	r := feed.Reading{Template: "general"}
	legible := d.findAmounts()
	d.findAccounts()
	verbs := d.verbs()
	doubt := find(d.words, against)

	ins, outs := 0, 0
	for _, v := range verbs {
		if v.side == in {
			ins++
		} else {
			outs++
		}
	}
	if outs > 0 && !(ins > 0 && d.mirrored(verbs)) {
		return d.debit(r, verbs, doubt, legible)
	}
	if ins == 0 {
		switch {
		case doubt != nil:
			return ignored(r, doubt.why)
		case len(d.amounts) > 0 && d.amounts[0].balance:
			return ignored(r, "a balance")
		case len(d.amounts) == 0 && legible:
			return ignored(r, "no amount and nothing that moved")
		}
		return unparsed(r, "nothing says that money moved")
	}
	own, ok := d.ownAccount(verbs)
	moved, why := d.moved()
	if !legible {
		why = "an amount that can't be read"
	}
	if !ok && why == "" && (doubt == nil || doubt.weight != firm) && d.has("from your", "from ur", "beneficiary") {
		return d.out(r, moved.value, "an own transfer that reached its payee")
	}
	if !ok {
		why = "no own account that was credited"
	}
	utr, unclear := d.utrIn()
	if why == "" {
		why = unclear
	}
	if foreign.in(d.words) {
		return unparsed(r, foreign.why)
	}
	if !d.has("your", "ur") && d.has("fund transfer of", "funds transfer of", "imps of", "neft of", "rtgs of", "upi of", "imps transfer of", "neft transfer of") {
		return unparsed(r, "a transfer that may be an own one")
	}
	if utr.Kind() == upi.KindRRN && d.has("cash", "cheque", "chq", "clearing") && !d.has("upi", "imps", "neft", "rtgs", "rrn", "utr") {
		utr = "" // the bank's own number of a deposit
	}
	reversal, refund, yield := back.in(d.words), refunds.in(d.words), yields.in(d.words)
	switch {
	case doubt != nil && (why != "" || utr == "" && doubt.weight == firm):
		return ignored(r, doubt.why)
	case why != "":
		return unparsed(r, why)
	case doubt != nil && doubt.weight != slight && (!reversal && !refund || doubt.weight == firm):
		// It may be the payer's remark that speaks: nothing is lost on a person.
		return unparsed(r, "it reads as a credit, but: "+doubt.why)
	case reversal && d.has("reversed", "credit reversal", "reversal of credit", "reversal of upi credit"):
		return unparsed(r, "a reversal, but of what is unclear")
	case reversal:
		r.Kind, r.Reversal, r.Why = feed.Other, true, back.why
	case refund:
		r.Kind, r.Why = feed.Other, refunds.why
	case yield && utr == "":
		r.Kind, r.Why = feed.Other, yields.why
	case yield:
		return unparsed(r, "it reads as a credit, but: "+yields.why)
	case d.link && utr == "":
		return unparsed(r, "a link and no reference")
	case own == "" && utr == "":
		// A shop that tops up "your account" writes so too.
		return unparsed(r, "neither an account number nor a reference")
	default:
		r.Kind, r.Why = feed.Credit, "an own account was credited"
	}
	r.UTR, r.Amount, r.AccountTail = utr, moved.value, own
	r.At, r.DateOnly = d.when()
	r.PayerVPA, r.PayerName = d.payer()
	return r
}

func ignored(r feed.Reading, why string) feed.Reading {
	return feed.Reading{Kind: feed.Ignored, Template: r.Template, Why: why}
}

func unparsed(r feed.Reading, why string) feed.Reading {
	return feed.Reading{Kind: feed.Unparsed, Template: r.Template, Why: why}
}

// debit reads a text that takes money from an account, whatever else it says:
// "debited …; SHOP credited" is a debit.
func (d *document) debit(r feed.Reading, verbs []verb, doubt *evidence, legible bool) feed.Reading {
	moved, why := d.moved()
	if doubt != nil && doubt.weight == firm {
		return ignored(r, doubt.why)
	}
	switch {
	case verbs[0].side != out:
		return unparsed(r, "it speaks of a credit and of a debit")
	case why != "" || !legible:
		return unparsed(r, "a debit of an unclear amount")
	}
	r.Reversal = d.has("reversal of credit", "credit reversal", "reversal of upi credit", "wrong credit", "credit reversed", "reversal of your credit")
	return d.out(r, moved.value, "money went out")
}

// out fills in a debit.
func (d *document) out(r feed.Reading, amount money.Paise, why string) feed.Reading {
	r.Kind, r.Amount, r.Why = feed.Debit, amount, why
	if utr, why := d.utrIn(); why == "" {
		r.UTR = utr
	}
	for _, a := range d.accounts {
		if a.tail != "" && (r.AccountTail == "" || a.your && a.before == "from") {
			r.AccountTail = a.tail
		}
	}
	r.At, r.DateOnly = d.when()
	return r
}

// mirrored tells the forms in which a credit names the debit of the payer, as
// NPCI words them: "Your a/c X is credited … and debited from a/c Y", "… and
// a/c linked to NAME is debited". The own account must be the credited one.
func (d *document) mirrored(verbs []verb) bool {
	if len(verbs) != 2 || verbs[0].side != in || verbs[1].side != out {
		return false
	}
	own := false
	for _, a := range d.accounts {
		own = own || a.your && !a.other && a.first < verbs[0].at
	}
	and := verbs[1].at - 1
	for and > verbs[0].at && d.tokens[and].word != "and" && d.tokens[and].word != "your" && d.tokens[and].word != "ur" {
		and--
	}
	if !own || d.wordAt(and) != "and" {
		return false
	}
	rest := and + 1
	switch next := verbs[1].at + 1; {
	case rest == verbs[1].at: // "and debited from a/c"
		return d.wordAt(next) == "from" && d.wordAt(next+1) != "your" && d.wordAt(next+1) != "ur"
	case d.wordAt(verbs[1].at-1) == "is": // "and HDFC A/c linked to NAME is debited"
		for i := rest; i < min(rest+3, verbs[1].at); i++ {
			if accountWords[d.tokens[i].word] || d.tokens[i].word == "a" && d.wordAt(i+1) == "c" {
				return true
			}
		}
	}
	return false
}
