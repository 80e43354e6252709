package narration

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/milaan/milaan/upi"
)

// clock is the time BoB prints within the narration.
var clock = regexp.MustCompile(`^\d{2}:\d{2}(?::\d{2})?$`)

// address finds VPAs wherever they stand, hyphens included.
var address = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z][A-Za-z0-9]+`)

// isAccount reports whether the text is an account or telephone number, masked
// or not, and so never a name.
func isAccount(text string) bool { return text != "" && strings.Trim(text, "Xx*0123456789") == "" }

// parties fills in who the other side is and what was written. A part that
// might be either is the name where banks print the name. Free text without
// separators names nobody for certain but by address.
func (n *Narration) parties(parts []part, separated, slashed bool, bank string) {
	if n.Channel != UPI && n.Channel != IMPS && n.Channel != NEFT && n.Channel != RTGS {
		return
	}
	whole := make([]string, 0, len(parts))
	for _, p := range parts {
		whole = append(whole, p.text)
	}
	var from, until int
	n.PayerVPA, from, until = findVPA(whole)
	var texts []string
	named := 0 // of them, those before the address
	for i, p := range parts {
		switch text := n.written(p); {
		case from <= i && i <= until, text == "":
		default:
			texts = append(texts, text)
			if i < from {
				named++
			}
		}
	}
	if len(texts) == 0 || !separated {
		return
	}
	switch {
	case bank == "icici" && (n.Channel == UPI || n.Channel == IMPS) && slashed:
		// ICICI prints what was written before the payer, and the bank after.
		if n.Note = texts[0]; len(texts) > 1 && from < 0 {
			n.PayerName = texts[1]
		}
	case from >= 0 && named == 0:
		n.Note = texts[len(texts)-1]
	default:
		if n.PayerName = texts[0]; len(texts) > 1 {
			n.Note = texts[len(texts)-1]
		}
	}
}

// written is what of a part may be a name or a note.
func (n *Narration) written(p part) string {
	switch {
	case allSystem(p), isIFSC(p.upper), strings.Contains(p.text, ":") && clock.MatchString(p.text), isAccount(p.text), bankCode[p.upper]:
		return ""
	case n.UTR != "" && strings.Contains(p.upper, string(n.UTR)):
		_, after, _ := strings.Cut(p.upper, string(n.UTR))
		return strings.Trim(p.text[len(p.text)-len(after):], " /-")
	case !strings.ContainsFunc(p.text, unicode.IsLetter):
		return ""
	}
	return p.text
}

// findVPA returns the address and the first and last part it stands in. HDFC
// separates by hyphens, which the address itself may hold: parts before the @
// belong to it as long as they are no name, so the shortest form that is an
// address is taken unless the hyphen leaves it without letters or digits.
func findVPA(parts []string) (vpa string, from, until int) {
	for i, text := range parts {
		if !strings.Contains(text, "@") {
			continue
		}
		m := address.FindString(text)
		if m == "" {
			continue
		}
		from = i
		for from > 0 && digitsOnly(strings.SplitN(m, "@", 2)[0]) && len(strings.SplitN(m, "@", 2)[0]) < 4 && !strings.Contains(parts[from-1], " ") {
			from--
			m = parts[from] + "-" + m
		}
		if parsed, err := upi.ParseVPA(m); err == nil {
			return string(parsed), from, i
		}
	}
	return "", -1, -1
}

func digitsOnly(s string) bool { return digits(s) == len(s) }

// bankCode are the codes and short names by which narrations name the other bank.
var bankCode = map[string]bool{
	"HDFC": true, "ICIC": true, "SBIN": true, "UTIB": true, "KKBK": true, "YESB": true, "PUNB": true, "BARB": true,
	"UBIN": true, "CNRB": true, "IDIB": true, "IOBA": true, "BKID": true, "CBIN": true, "IDFB": true, "INDB": true,
	"FDRL": true, "PYTM": true, "AIRP": true, "JIOP": true, "IBKL": true, "MAHB": true, "UCBA": true, "PSIB": true,
	"KARB": true, "KVBL": true, "CIUB": true, "SIBL": true, "TMBL": true, "RATN": true, "AUBL": true, "BDBL": true,
	"CITI": true, "SCBL": true, "HSBC": true, "DBSS": true, "DLXB": true, "NSPB": true, "IPOS": true, "ESFB": true,
	"ICICI": true, "AXIS": true, "SBI": true, "KOTAK": true, "YES": true, "PNB": true, "BOB": true,
	"ICICIBAN": true, "AXISBANK": true, "HDFCBANK": true, "STATEBAN": true, "KOTAKMAH": true,
}
