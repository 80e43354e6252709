package alert

import (
	"regexp"
	"strings"

	"github.com/milaan/milaan/upi"
)

var (
	address = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z][A-Za-z0-9]+`)
	// A name behind "from" or a narration's number, up to what can't be in one.
	fromName = regexp.MustCompile(`(?i)\b(?:from|sender(?: name)?:)\s+((?:[A-Za-z][A-Za-z.&'/ -]{1,59}?))\s*(?:[.;,(\n]|$|\bon\b|\bvia\b|\bref\b|\bupi\b|\brrn\b|\bimps\b|\bneft\b|-\s|\s-|\bin your\b|\bto\b|\bfor\b)`)
	pathName = regexp.MustCompile(`(?i)\b(?:upi|imps|neft|rtgs)(?:/[a-z0-9]{2,5}){0,2}/[a-z0-9]{12,22}/(?:cr/|dr/)?\s?([A-Za-z][A-Za-z.&' -]{1,59}?)\s*(?:[/.\n(]|$|\bon\b|-\s)`)
)

// apps pass payments on; they pay nothing.
var apps = words("phonepe gpay google paytm bhim amazon cred upi imps neft rtgs")

// payer is who paid, as far as the text surely says it.
func (d *document) payer() (vpa, name string) {
	for _, m := range address.FindAllStringIndex(d.text, 4) {
		if m[1] < len(d.text)-1 && d.text[m[1]] == '.' && isLetter(rune(d.text[m[1]+1])) && d.text[m[1]+1]|0x20 == d.text[m[1]+1] {
			continue // an e-mail address goes on
		}
		before := strings.TrimRight(d.lower[:m[0]], " :(")
		n := d.tokenAt(m[0])
		if d.wordAt(n-1) == "to" && d.wordAt(n-2) != "linked" || strings.HasSuffix(before, "your vpa") || strings.HasSuffix(before, "your upi id") {
			continue // the own one
		}
		found, err := upi.ParseVPA(d.text[m[0]:m[1]])
		if err != nil {
			continue
		}
		if user := found.User(); strings.Contains(user, "-") && user != strings.ToLower(user) {
			continue // "A KUMAR-9000000000@upi": where the address starts is unclear
		}
		if vpa != "" && vpa != string(found) {
			vpa = ""
			break
		}
		vpa = string(found)
	}
	for _, pattern := range []*regexp.Regexp{pathName, fromName} {
		m := pattern.FindStringSubmatchIndex(d.text)
		if m == nil || addressAt(d.text, m[2]) {
			continue
		}
		candidate := strings.Trim(d.text[m[2]:m[3]], " .-/")
		lower := lowerASCII(candidate)
		if accountWords[strings.Fields(lower + " .")[0]] || strings.Contains(lower, "a/c") || strings.HasPrefix(lower, "vpa") ||
			strings.HasPrefix(lower, "your") || apps[lower] || strings.HasPrefix(lower, "bank") {
			continue
		}
		name = strings.Join(strings.Fields(candidate), " ")
		break
	}
	return vpa, name
}
