package alert

import "strings"

// account is a mention of an account.
type account struct {
	first, end int    // its tokens: the word for account, and behind its number
	tail       string // the last digits; "" where none is printed
	your       bool   // "your a/c", "ur A/c"
	before     string // the preposition before it: "to", "from" …; "" if none
	other      bool   // "your Airtel account", "to PPF A/c": no account of a bank
}

var accountWords = words("ac acc acct account accnt accno acno acctno")

// accountFillers stand between the word for account and its number.
var accountFillers = words("no nos number num ending ended with in xx x xxx xxxx xxxxx xxxxxx xxxxxxx xxxxxxxx nn nnn")

// findAccounts finds the accounts the text names.
func (d *document) findAccounts() {
	for i := 0; i < len(d.tokens); i++ {
		end := i + 1
		switch {
		case accountWords[d.tokens[i].word]:
		case (d.tokens[i].word == "savings" || d.tokens[i].word == "current") && d.wordAt(i+1) == "no": // "Savings No XX1234"
		case d.tokens[i].word == "a" && d.wordAt(i+1) == "c" && d.tokens[i+1].start-d.tokens[i].end == 1:
			end = i + 2
		case len(d.tokens[i].word) > 1 && isMask(d.tokens[i].word) && i > 1 && d.tokens[i-1].word == "to" && isMovement(d.tokens[i-2].word):
			end = i // "credited to XXXX6785"
		default:
			continue
		}
		a := account{first: i, end: end}
		if d.wordAt(end) == "linked" {
			continue // "by a/c linked to mobile": the payer's
		}
		a.tail, a.end = d.tailAt(end)
		a.your, a.before, a.other = d.ownerOf(i)
		d.accounts = append(d.accounts, a)
		i = a.end - 1
	}
}

// tailAt reads the number of an account that starts at or soon behind token n:
// "no. XX1234", "ending in 1234", "**1234", "10XXXXXX1234".
func (d *document) tailAt(n int) (tail string, end int) {
	i := n
	for i < len(d.tokens) && (accountFillers[d.tokens[i].word] || isMask(d.tokens[i].word)) {
		i++
	}
	if i == len(d.tokens) || !d.tokens[i].digits {
		return "", n
	}
	gap := d.text[d.tokens[i-1].end:d.tokens[i].start]
	if len(gap) > 24 || strings.Trim(gap, " \n.:#*·•-()/x") != "" {
		return "", n
	}
	// The bank may print the first digits too: "10XXXXXX1234", "074-260***-006".
	start, stop := d.tokens[i].start, d.tokens[i].start
	for stop < len(d.text) && (isDigit(rune(d.text[stop])) || strings.IndexByte("xX*-", d.text[stop]) >= 0) {
		stop++
	}
	if strings.ContainsAny(d.text[start:stop], "xX*") {
		for i+1 < len(d.tokens) && d.tokens[i+1].start < stop {
			i++
		}
		for !d.tokens[i].digits {
			i--
		}
	}
	digits := d.text[d.tokens[i].start:d.tokens[i].end]
	if len(digits) < 2 || len(digits) > 18 {
		return "", n
	}
	return digits, i + 1
}

func isMask(w string) bool { return w != "" && strings.Trim(w, "x") == "" }

var prepositions = words("to in into from by of on and with via through for at towards against")

// bankWords call an account one of a bank. An account called otherwise may be
// one with a shop, a telephone company or a broker.
var bankWords = words(`bank banks sb sba ca cc od cd savings saving current salary nre nro own primary linked registered basic bsbd new
	sbi state hdfc icici axis kotak pnb punjab bob baroda canara union ubi idfc indusind yes federal fedbank idbi iob uco boi bom maha maharashtra
	cbi cboi central indian overseas sib kvb karur cub tmb rbl au bandhan dbs digibank dcb hsbc scb chartered citi equitas ujjivan jana esaf
	suryoday utkarsh fincare unity shivalik nesfb capital sfb ippb jpb jpbl ppbl fino nsdl karnataka kbl jk jammu dhanlaxmi csb saraswat svc
	cosmos tjsb gramin grameena kgb bgb slice jupiter fi niyo sbm psb dop post kotakbank hdfcbank`)

// ownerOf looks back from the word for account at token n: "your HDFC Bank a/c",
// "from A/c".
func (d *document) ownerOf(n int) (your bool, before string, other bool) {
	named, bank, stop := false, false, false
	for i := n - 1; i >= max(0, n-7) && !stop; i-- {
		t := d.tokens[i]
		switch {
		case strings.ContainsAny(d.text[t.end:d.tokens[i+1].start], ",;:!?@\n"), isMovement(t.word):
			stop = true
		case t.word == "your" || t.word == "ur":
			your = true
		case prepositions[t.word]:
			before, stop = t.word, true
		case your:
			stop = true
		case bankWords[t.word]:
			bank = true
		case !t.digits && !currencyWords[t.word]:
			named = true
		}
	}
	return your, before, named && !bank && (your || before != "")
}

// ownAccount finds the own account that the verbs credit. Tail is "" where the
// bank prints none; ok is false when no account is surely the own one.
func (d *document) ownAccount(verbs []verb) (tail string, ok bool) {
	var tails []string
	for _, v := range verbs {
		if v.side != in {
			continue
		}
		for _, a := range d.accounts {
			if d.creditedBy(a, v) {
				ok = true
				if a.tail != "" {
					tails = append(tails, a.tail)
				}
			}
		}
		ok = ok || d.toYou(v)
	}
	for _, a := range d.accounts {
		if a.before == "and" && !a.your {
			return "", false // more than one account
		}
	}
	if len(tails) == 0 {
		// "your account has been credited … Account Number: XX1234"
		for _, a := range d.accounts {
			if a.tail != "" && a.before == "" {
				tails = append(tails, a.tail)
			}
		}
	}
	for _, t := range tails {
		if !strings.HasSuffix(t, tails[0]) && !strings.HasSuffix(tails[0], t) {
			return "", false
		}
	}
	if len(tails) > 0 {
		tail = tails[0]
	}
	return tail, ok
}

// creditedBy tells whether verb v credits account a.
func (d *document) creditedBy(a account, v verb) bool {
	if a.other {
		return false
	}
	switch a.before {
	case "from", "by", "of", "via", "through", "with", "and", "for", "towards", "against", "on", "at":
		return false
	}
	if a.end <= v.at { // "A/c XX1234 is credited", "Airtel Payments Bank a/c is credited"
		if a.tail == "" && !a.your && !d.opens(a) || a.before == "to" && !a.your {
			return false
		}
		if v.at-a.end > 6 {
			return false
		}
		for i := a.end; i < v.at; i++ {
			if prepositions[d.tokens[i].word] && d.tokens[i].word != "on" && d.tokens[i].word != "with" {
				return false
			}
		}
		return true
	}
	if !a.your && d.wordAt(a.end) == "of" {
		return false // "credited to A/c XX1234 of RAVI"
	}
	// "credited to your A/c", "received … in HDFC Bank A/c xx1234"
	if a.tail == "" && !a.your || a.first-v.at > 24 {
		return false
	}
	if a.before == "" && !a.your {
		// "credited A/c no. XX1234", "Amount Credited: … Account Number: XX1234"
		for i := v.at + 1; i < a.first; i++ {
			if w := d.tokens[i].word; w == "to" || w == "of" {
				return false // "credited to RAVI, a/c 1234"
			}
		}
		return a.first-v.at <= 12
	}
	return true
}

// opens tells whether the text opens with the account: "Dear Customer, Acct is
// credited", "Airtel Payments Bank a/c is credited".
func (d *document) opens(a account) bool {
	if a.first > 5 {
		return false
	}
	for _, t := range d.tokens[:a.first] {
		if t.digits || prepositions[t.word] || isMovement(t.word) {
			return false
		}
	}
	return true
}

// toYou tells the forms that name no account but the reader: "Received Rs.500
// from …", "paid you", and the narration of a credit.
func (d *document) toYou(v verb) bool {
	// A school or an insurer writes "Dear Parent, Rs.500 received from …".
	if d.wordAt(0) == "dear" || d.has("towards", "against") {
		return false
	}
	for _, a := range d.accounts {
		if a.other {
			return false
		}
	}
	next := d.wordAt(v.at + 1)
	switch d.wordAt(v.at) {
	case "paid", "sent":
		return next == "you"
	case "received":
		last := d.wordAt(v.at - 1)
		if last == "been" || last == "has" || last == "was" || last == "is" {
			return false
		}
		if d.wordAt(v.at+1) == "a" && d.wordAt(v.at+2) == "credit" {
			return true
		}
		for _, a := range d.amounts {
			if !a.balance && (a.first == v.at+1 && d.wordAt(a.end) == "from" || a.end == v.at && next == "from") {
				return true
			}
		}
	case "cr":
		t := d.tokens[v.at]
		return strings.HasSuffix(d.lower[:t.start], "upi/") || strings.HasSuffix(d.lower[:t.start], "imps/")
	}
	return false
}
