package narration

import (
	"regexp"
	"strings"

	"github.com/milaan/milaan/upi"
)

// clock is the time BoB prints within the narration.
var clock = regexp.MustCompile(`^\d{2}:\d{2}(?::\d{2})?$`)

// address finds VPAs wherever they stand, hyphens included.
var address = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z][A-Za-z0-9]+`)

// masked is an account or telephone number, never a name.
var masked = regexp.MustCompile(`^[X*x]*\d+$`)

// parties fills in who the other side is and what was written. A part that
// might be either is the name where banks print the name.
func (n *Narration) parties(parts []part, bank string) {
	if n.Channel != UPI && n.Channel != IMPS && n.Channel != NEFT && n.Channel != RTGS {
		return
	}
	whole := make([]string, 0, len(parts))
	var texts []string
	for _, p := range parts {
		whole = append(whole, p.text)
	}
	vpa, from, until := findVPA(whole)
	n.PayerVPA = vpa
	for i, p := range parts {
		switch {
		case from <= i && i <= until:
			// HDFC: the name stands before the address.
		case allSystem(p), isIFSC(p.upper), clock.MatchString(p.text), masked.MatchString(p.text), bankCode[p.upper]:
		case n.UTR != "" && strings.Contains(p.upper, string(n.UTR)):
			if rest := strings.TrimSpace(strings.Replace(p.upper, string(n.UTR), "", 1)); len(p.words) > 1 && !allSystem(part{words: words(rest)}) {
				texts = append(texts, strings.TrimSpace(p.text[strings.Index(p.upper, string(n.UTR))+len(n.UTR):]))
			}
		case !strings.ContainsFunc(p.text, func(r rune) bool { return r >= 'A' }):
		default:
			texts = append(texts, p.text)
		}
	}
	if len(texts) == 0 {
		return
	}
	// ICICI prints what was written before the payer.
	if bank == "icici" && (n.Channel == UPI || n.Channel == IMPS) {
		n.Note = texts[0]
		if len(texts) > 1 {
			n.PayerName = texts[1]
		}
		return
	}
	n.PayerName = texts[0]
	if len(texts) > 1 {
		n.Note = texts[len(texts)-1]
	}
}

// findVPA returns the address and the first and last part it stands in. HDFC
// separates by hyphens, which the address itself may hold: parts before the @
// belong to it as long as they are no name, so the shortest form that is an
// address is taken unless the hyphen leaves it without letters or digits.
func findVPA(parts []string) (vpa string, from, until int) {
	for i, text := range parts {
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
