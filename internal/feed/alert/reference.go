package alert

import (
	"strings"

	"github.com/milaan/milaan/upi"
)

// railWords name a payment system: a number right behind one is its reference.
var railWords = words("upi imps neft rtgs utr rrn")

// isRail tells the names of payment systems, also glued to what follows:
// "NEFTINWARD", "UPIRRN".
func isRail(w string) bool {
	if railWords[w] {
		return true
	}
	for _, rail := range []string{"neft", "rtgs", "imps", "upi"} {
		if rest, ok := strings.CutPrefix(w, rail); ok && railSuffixes[rest] {
			return true
		}
	}
	return false
}

var railSuffixes = words("inward inw in cr ref refno rrn utr txn id no p")

// referenceWords name a reference of any kind.
var referenceWords = words("ref refno reference refid")

// fillerWords stand between a label and its number.
var fillerWords = words("no nos number num nbr id is the")

// otherNumbers are labels and owners of numbers that are no UTR, even when
// they call it a reference.
var otherNumbers = words(`arn umrn umn urn mobile mob phone call sms cust customer card order policy claim folio cheque chq
	loan ticket complaint request bill invoice receipt gstin pan aadhaar booking recharge wallet mandate consumer fastag
	a ac acct account acc awb tracking application service helpline cin to on at dial`)

// utrIn finds the UTR of the text: the one value that is named as one. Why says
// what is unclear; both are empty when the text has none.
func (d *document) utrIn() (utr upi.UTR, why string) {
	var named, pathed []upi.UTR
	unknown := false
	for i := 0; i < len(d.text); {
		if !isAlnum(rune(d.text[i])) {
			i++
			continue
		}
		start := i
		for i < len(d.text) && isAlnum(rune(d.text[i])) {
			i++
		}
		value := d.text[start:i]
		label := labelUnknown
		first := d.tokenAt(start)
		if first == len(d.tokens) || d.tokens[first].start != start {
			continue // in a warning or an address of the web
		}
		// The label may touch its number: "UPI624912345678", "RefNo624912345678".
		if at := strings.IndexFunc(value, isDigit); at > 0 && len(value)-at == rrnDigits && allDigits(value[at:]) {
			switch word := lowerASCII(value[:at]); {
			case isRail(word), referenceWords[word], word == "no":
				value, first = value[at:], first+1
			case len(word) == 1 && (word == "c" || word == "d") && d.inPath(start):
				// Bandhan Bank marks the side in the number: UPI/CR/C624912345678.
				value, first = value[at:], first+1
				label = labelPath
			}
		}
		digits := allDigits(value)
		if len(value) < 10 || strings.HasPrefix(lowerASCII(value), "xxx") || digits && strings.Trim(value, "0") == "" || d.inAddress(start, i) {
			continue
		}
		if label == labelUnknown {
			label = d.labelOf(first)
		}
		parsed, err := upi.ParseUTR(value)
		switch {
		case err != nil && digits && label == labelRail:
			// UPI and IMPS references have 12 digits: this one is cut or made up.
			why = "a reference of the wrong length"
		case err != nil || label == labelOther:
		case label == labelRail:
			named = append(named, parsed)
		case label == labelPath:
			pathed = append(pathed, parsed)
		default:
			unknown = true
		}
	}
	if why != "" {
		return "", why
	}
	if len(named) == 0 {
		named = pathed
	}
	for _, u := range named {
		if u != named[0] {
			return "", "more than one reference"
		}
	}
	switch {
	case len(named) > 0:
		return named[0], ""
	case unknown:
		return "", "a number that may be its reference, but isn't named as one"
	}
	return "", ""
}

const rrnDigits = 12

// What stands before a number.
type label int

const (
	labelUnknown label = iota
	labelRail          // UPI, IMPS, RRN, Ref No …
	labelPath          // a part of a narration such as IMPS-NAME-number
	labelOther         // somebody's mobile, card, order …
)

// labelOf judges the number at token n by the words before it.
func (d *document) labelOf(n int) label {
	i := n - 1
	for i >= 0 && fillerWords[d.tokens[i].word] && d.near(i, n) {
		i--
	}
	if i < 0 || !d.near(i, n) {
		return labelUnknown
	}
	if before := d.lower[:d.tokens[n].start]; strings.HasSuffix(before, "p2a/") || strings.HasSuffix(before, "p2m/") {
		return labelRail
	}
	word := d.tokens[i].word
	switch {
	case isRail(word):
		return labelRail
	case referenceWords[word]:
		// "Wallet Ref No", "Order reference": another's.
		for j := i - 1; j >= max(0, i-3); j-- {
			w := d.tokens[j].word
			if isRail(w) || strings.ContainsAny(d.text[d.tokens[j].end:d.tokens[j+1].start], ".;,:(") {
				break
			}
			if otherNumbers[w] && w != "mob" && w != "customer" && w != "cust" && w != "a" && w != "acct" && w != "ac" && w != "account" && w != "acc" {
				return labelOther
			}
		}
		return labelRail
	case word == "txn" || word == "trxn" || word == "transaction" || word == "trans" || word == "tran":
		if d.has("upi", "imps", "neft", "rtgs") {
			return labelRail
		}
		return labelUnknown
	}
	glued := strings.ContainsAny(d.text[d.tokens[i].end:d.tokens[n].start], "/-*|")
	switch {
	case (glued || !otherNumbers[word]) && d.inPath(d.tokens[n].start):
		return labelPath
	case otherNumbers[word]:
		return labelOther
	}
	return labelUnknown
}

// near: no sentence ends between tokens i and n.
func (d *document) near(i, n int) bool {
	return i == n || d.tokens[n].start-d.tokens[i].end <= 24
}

// inPath tells whether the byte at is inside a narration of a payment system:
// "UPI/CR/…", "NEFT Cr-…-…", "IMPS -name- …", "P2A/…".
func (d *document) inPath(at int) bool {
	before := d.lower[max(0, at-96):at]
	if last := strings.TrimRight(before, " "); last == "" || strings.IndexByte("/-*:|", last[len(last)-1]) < 0 {
		return false
	}
	for _, name := range []string{"upi", "imps", "neft", "rtgs"} {
		i := strings.LastIndex(before, name)
		if i < 0 || i > 0 && isLetter(rune(before[i-1])) {
			continue
		}
		path := strings.TrimPrefix(strings.TrimLeft(before[i+len(name):], " "), "cr")
		path = strings.TrimLeft(path, " ")
		if path != "" && strings.IndexByte("/-*:|", path[0]) >= 0 && !strings.Contains(path, ". ") && !strings.Contains(path, " bal") {
			return true
		}
	}
	return false
}

// inAddress tells whether the bytes are part of a UPI address, a masked number
// or a number with decimals.
func (d *document) inAddress(start, end int) bool {
	i := end
	for i < min(len(d.text), end+maxAddress) && (isAlnum(rune(d.text[i])) || strings.IndexByte("._-", d.text[i]) >= 0) {
		i++
	}
	if i < len(d.text) && d.text[i] == '@' {
		return true
	}
	if start > 0 && d.text[start-1] == '*' && !d.inPath(start) || start > 0 && strings.IndexByte("@_", d.text[start-1]) >= 0 || end < len(d.text) && strings.IndexByte("_@", d.text[end]) >= 0 {
		return true
	}
	return end+1 < len(d.text) && d.text[end] == '.' && isDigit(rune(d.text[end+1])) ||
		start > 1 && strings.IndexByte(".,", d.text[start-1]) >= 0 && isDigit(rune(d.text[start-2]))
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !isDigit(r) }) < 0
}
