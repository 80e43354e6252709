package statement

import (
	"regexp"
	"slices"
	"strings"
)

// role is what a column holds.
type role int

const (
	none role = iota
	booked
	valued // the value date
	clockTime
	narrated
	reference // the bank's or the cheque's number; what it is of a payment, banks differ in
	utrColumn // said to be the payment's own reference
	debit
	credit
	amount // one column for both directions
	flag   // which of them: Cr or Dr
	balance
	balanceFlag
	currencyColumn
	statusColumn // whether it was booked at all
	other        // serial number, branch, cheque: known, not needed
)

// headings are the words of a heading, without units and marks, and what the
// column holds. A heading that is not listed is read by its words (rules).
var headings = map[string]role{
	"date": booked, "txn date": booked, "tran date": booked, "trans date": booked, "transaction date": booked,
	"post date": booked, "posting date": booked, "posted date": booked, "txn posted date": booked, "booking date": booked,
	"entry date": booked, "date value date": booked, "transaction date time": booked, "date time": booked, "date and time": booked,
	"dt": booked, "txn dt": booked, "tran dt": booked, "post dt": booked, "transaction dt": booked, "datetime": booked, "txndate": booked, "trandate": booked,
	"value date": valued, "value dt": valued, "value dat": valued, "val date": valued, "val dt": valued, "effective date": valued, "valuedate": valued, "cheque date": other,
	"time": clockTime, "txn time": clockTime, "transaction time": clockTime,
	"narration": narrated, "description": narrated, "particulars": narrated, "particular": narrated, "remarks": narrated, "remark": narrated,
	"details": narrated, "transaction remarks": narrated, "transaction details": narrated, "transaction description": narrated,
	"transaction particulars": narrated, "account description": narrated, "naration": narrated, "narrative": narrated, "tran particulars": narrated, "txn description": narrated,
	"utr": utrColumn, "utr no": utrColumn, "utr number": utrColumn, "rrn": utrColumn, "rrn no": utrColumn, "rrn number": utrColumn, "utr rrn": utrColumn, "rrn utr": utrColumn,
	"bank reference": reference, "transaction id": reference, "tran id": reference, "txn id": reference, "instrument id": reference, "inst no": reference,
	"chqno": reference, "chequeno": reference, "chq no": reference, "cheque no": reference, "cheque number": reference, "chq": reference,
	"debit": debit, "debits": debit, "dr": debit, "withdrawal": debit, "withdrawals": debit, "withdraw": debit, "paid out": debit,
	"money out": debit, "payments": debit, "outflow": debit, "payment": debit,
	"credit": credit, "credits": credit, "cr": credit, "deposit": credit, "deposits": credit, "paid in": credit,
	"money in": credit, "receipts": credit, "receipt": credit, "inflow": credit, "lodgement": credit, "lodgements": credit,
	"amount": amount, "transaction": amount, "txn": amount, "tran": amount,
	"type": flag, "dc": flag, "drcr": flag, "crdr": flag, "d c": flag, "c d": flag, "indicator": flag, "sign": flag, "transaction type": flag, "txn type": flag, "tran type": flag, "dr cr indicator": flag,
	"balance": balance, "bal": balance, "closing balance": balance, "closing bal": balance, "running balance": balance, "available balance": balance, "running bal": balance, "account balance": balance, "book balance": balance, "ledger balance": balance,
	"status": statusColumn, "txn status": statusColumn, "transaction status": statusColumn, "payment status": statusColumn,
	"currency": currencyColumn, "ccy": currencyColumn,
	"sl no": other, "s no": other, "sr no": other, "srl no": other, "sno": other, "no": other, "serial no": other, "sol": other, "sol id": other, "init br": other, "branch": other, "branch code": other, "branch name": other, "channel": other, "mode": other, "category": other,
}

var (
	headingNoise = regexp.MustCompile(`(?i)\bin\s+(?:inr|rs|rupees?)\b|\b(?:inr|rs|rupees?|amount|amt|of|the|dd|mm|yy|yyyy|mon|hh|ss|ist)\b|₹`)
	headingWord  = regexp.MustCompile(`[a-z]+`)
)

// words of a heading in lower case: "Withdrawal Amount (INR )" is "withdrawal".
func headingWords(cell string) (text string, hadAmount bool) {
	lower := strings.ToLower(cell)
	hadAmount = strings.Contains(lower, "amount") || strings.Contains(lower, "amt")
	return strings.Join(headingWord.FindAllString(headingNoise.ReplaceAllString(lower, " "), -1), " "), hadAmount
}

const maxHeading = 60 // characters; longer cells are texts

// roleOf reads one heading.
func roleOf(cell string) role {
	if cell == "" || len(cell) > maxHeading {
		return none
	}
	text, hadAmount := headingWords(cell)
	if text == "" {
		if hadAmount {
			return amount
		}
		return none
	}
	if r, ok := headings[text]; ok {
		switch {
		case r == flag && hadAmount:
			return amount
		case r == amount && !hadAmount && text != "amount":
			return none
		}
		return r
	}
	words := strings.Fields(text)
	has := func(some ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(some, w) })
	}
	isDebit := has("debit", "debits", "dr", "debited", "outflow") || strings.Contains(text, "withdraw")
	isCredit := has("credit", "credits", "cr", "deposit", "deposits", "deposited", "credited", "inflow", "lodgement")
	switch {
	case len(words) > 6 || has("count", "counts", "total", "opening", "summary", "limit"):
		return none
	case has("bal", "bala") || strings.Contains(text, "balance"):
		if isDebit && isCredit && !hadAmount && !strings.HasPrefix(text, "bal") {
			return balanceFlag
		}
		return balance
	case has("date", "dt") && has("value", "val"):
		return valued
	case has("date", "dt"):
		return booked
	case isDebit && isCredit:
		if hadAmount && len(words) > 2 {
			return amount
		}
		return flag
	case has("cheque", "chq") && has("details"):
		return reference
	case has("narration", "description", "particulars", "remarks", "details", "particular"):
		return narrated
	case isDebit:
		return debit
	case isCredit:
		return credit
	case has("utr", "rrn"):
		if has("cheque", "chq", "instrument") {
			return reference
		}
		return utrColumn
	case has("ref", "reference", "cheque", "chq", "instrument", "chqno", "refno"):
		return reference
	case hadAmount && has("transaction", "txn", "tran"):
		return amount
	case has("branch", "code", "name", "serial"):
		return other
	}
	return none
}

// columns say where in a row each role stands; -1 where nowhere.
type columns struct {
	width                                  int // up to the last heading
	roles                                  []role
	booked, valued, clock                  int
	narration, reference, utr              int
	debit, credit, amount, flag            int
	balance, balanceFlag, currency, status int
	moreNarration                          []int
	names                                  []string
}

// findColumns reads a row as headings; ok is false when it is none. A table of
// transactions has a date, a text and an amount.
func findColumns(cells []string) (c columns, ok bool) {
	c = columns{
		booked: -1, valued: -1, clock: -1, narration: -1, reference: -1, utr: -1, debit: -1, credit: -1, amount: -1,
		flag: -1, balance: -1, balanceFlag: -1, currency: -1, status: -1,
	}
	first := func(into *int, i int) {
		if *into < 0 {
			*into = i
		}
	}
	filled, known := 0, 0
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		if cell != "" {
			filled++
		}
		r := roleOf(cell)
		if r == flag && (c.balance >= 0 && (c.flag >= 0 || c.amount < 0)) {
			r = balanceFlag
		}
		c.roles, c.names = append(c.roles, r), append(c.names, cell)
		if r == none {
			continue
		}
		known++
		c.width = i + 1
		switch r {
		case booked:
			first(&c.booked, i)
		case valued:
			first(&c.valued, i)
		case clockTime:
			first(&c.clock, i)
		case narrated:
			if c.narration >= 0 {
				c.moreNarration = append(c.moreNarration, i)
			}
			first(&c.narration, i)
		case reference:
			first(&c.reference, i)
		case utrColumn:
			first(&c.utr, i)
		case debit:
			first(&c.debit, i)
		case credit:
			first(&c.credit, i)
		case amount:
			first(&c.amount, i)
		case flag:
			first(&c.flag, i)
		case balance:
			first(&c.balance, i)
		case balanceFlag:
			first(&c.balanceFlag, i)
		case currencyColumn:
			first(&c.currency, i)
		case statusColumn:
			first(&c.status, i)
		case none, other:
		}
	}
	for i := c.width; i < len(cells); i++ {
		if strings.TrimSpace(cells[i]) != "" {
			c.width = i + 1
		}
	}
	// "Reference No | Cheque No": the one that says reference is the payment's.
	for i, r := range c.roles {
		if r == reference && strings.Contains(strings.ToLower(c.names[i]), "ref") {
			c.reference = i
			break
		}
	}
	if c.narration < 0 { // Standard Chartered heads the text so
		c.narration = slices.IndexFunc(c.names, func(name string) bool { return strings.EqualFold(name, "transaction") })
		if c.narration >= 0 {
			known++
		}
	}
	if c.booked < 0 {
		c.booked, c.valued = c.valued, -1
	}
	money := c.debit >= 0 || c.credit >= 0 || c.amount >= 0
	if c.narration < 0 && c.reference < 0 && c.utr < 0 {
		return c, false
	}
	// With separate columns the single amount is something else, such as the bill's.
	if c.debit >= 0 && c.credit >= 0 {
		c.amount = -1
		if c.flag > c.balance && c.balance >= 0 && c.balanceFlag < 0 {
			c.balanceFlag = c.flag
		}
		c.flag = -1
	}
	return c, c.booked >= 0 && money && known >= 3 && known*2 > filled
}

// same reports whether a later row repeats the headings, as on each page.
func (c *columns) same(cells []string) bool {
	equal, filled := 0, 0
	for i, name := range c.names {
		if name == "" {
			continue
		}
		filled++
		if i < len(cells) && strings.EqualFold(strings.TrimSpace(cells[i]), name) {
			equal++
		}
	}
	return filled > 0 && equal*4 >= filled*3
}
