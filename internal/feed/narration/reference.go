package narration

import (
	"regexp"
	"slices"
	"strings"

	"github.com/milaan/milaan/upi"
)

// system are the words that banks put around a reference: they are neither the
// name of somebody nor a note, and a reference may follow them directly.
var system = map[string]bool{
	"UPI": true, "IMPS": true, "MMT": true, "NEFT": true, "RTGS": true, "UTR": true, "RRN": true, "CR": true, "DR": true,
	"P2A": true, "P2M": true, "P2P": true, "P2V": true, "P2U": true, "M2P": true, "IN": true, "NO": true, "REF": true,
	"INWARD": true, "OUTWARD": true, "INW": true, "CREDIT": true, "DEBIT": true, "INB": true, "FT": true, "MB": true,
	"MOB": true, "TXN": true, "BY": true, "FROM": true, "TRANSFER": true, "PAYMENT": true, "RTGSCR": true, "NEFTCR": true,
	"UPICR": true, "UPIIN": true, "UPIAB": true, "UPIAR": true, "OUT": true, "UPIOUT": true, "NEFTIN": true, "RTGSIN": true, "IMPSIN": true, "OF": true, "TRANSACTION": true, "ID": true,
	"TFR": true, "TRF": true, "RECD": true, "RECEIVED": true, "VIA": true, "INET": true, "IFI": true, "IMPSAB": true, "IMPSAR": true, "NFT": true,
}

// comeback are the words of a payment that came back.
var comeback = map[string]bool{
	"REV": true, "REVERSAL": true, "REVERSED": true, "REVERSE": true, "RVSL": true, "RVRSL": true, "REVSL": true,
	"RETURN": true, "RETURNED": true, "RTN": true, "RET": true, "RETD": true, "REFUND": true, "REFUNDED": true,
	"FAILED": true, "CHARGEBACK": true, "UPIRET": true, "UPIREV": true,
}

// certain are those of them that hardly a payer writes as a note.
var certain = regexp.MustCompile(`\b(?:REVERSAL|REVERSED|RVSL|RVRSL|UPIREV|UPIRET|CHARGEBACK|(?:CREDIT|CR) ADJ(?:USTMENT)?|FAILED (?:TXN|TRANSACTION|PAYMENT)|(?:TXN|TRANSACTION|PAYMENT) FAILED)\b`)

// allSystem reports whether a part says only which system moved the money.
func allSystem(p part) bool {
	for _, w := range p.words {
		if !system[w] && !comeback[w] {
			return false
		}
	}
	return true
}

// reversed reports whether the text says that a payment came back. "Return" and
// "refund" are also what payers write of a loan: they count where the bank has
// its own words, at the front, or where nobody is named who could have written
// them.
func reversed(upper string, parts []part, n Narration) bool {
	maybe := strings.Contains(upper, "RV") || strings.Contains(upper, "REV") || strings.Contains(upper, "RET") || strings.Contains(upper, "BACK") ||
		strings.Contains(upper, " ADJ") || strings.Contains(upper, "FAILED")
	if maybe && certain.MatchString(upper) {
		return true
	}
	for i, p := range parts {
		if !slices.ContainsFunc(p.words, func(w string) bool { return comeback[w] }) || !allSystem(p) {
			continue
		}
		if i < 2 || p.upper == "REV" || n.PayerName == "" && n.PayerVPA == "" {
			return true
		}
	}
	// "RETURN OF NEFT …", "REFUND FLIPKART …": the bank's word comes first.
	if len(parts) > 0 && len(parts[0].words) > 0 && comeback[parts[0].words[0]] && n.Channel != UPI {
		return true
	}
	return false
}

// rrn finds the reference of a UPI or IMPS payment: the only number of 12 digits
// of its own, or of several the one that stands where banks print it. Digits
// within a VPA or an account number are none.
func rrn(parts []part) upi.UTR {
	type found struct {
		number string
		sure   bool // directly after the system's name, "CR", "P2A" or an IFSC
	}
	var all []found
	after := true // so far only words of the system
	for i, p := range parts {
		for j, w := range p.words {
			// A part that is one word is a field; of a part of several, only words after the system's are read.
			switch {
			case len(w) == rrnDigits && digits(w) == rrnDigits && (len(p.words) == 1 || after || onlyNumberAtEdge(p, j)):
				all = append(all, found{number: w, sure: after || i > 0 && isIFSC(parts[i-1].upper)})
				after = false
			case !system[w] && !comeback[w]:
				after = false
			}
		}
	}
	all = slices.DeleteFunc(all, func(f found) bool {
		// 91 and a mobile number: a payer's telephone, unless it stands in the reference's own place.
		_, err := upi.ParseRRN(f.number)
		return err != nil || !f.sure && mobile.MatchString(f.number)
	})
	pick := func(fs []found) upi.UTR {
		if len(fs) == 0 {
			return ""
		}
		for _, f := range fs[1:] {
			if f.number != fs[0].number {
				return ""
			}
		}
		return upi.UTR(fs[0].number)
	}
	if one := pick(all); one != "" {
		return one
	}
	return pick(slices.DeleteFunc(all, func(f found) bool { return !f.sure }))
}

const rrnDigits = 12

var mobile = regexp.MustCompile(`^91[6-9]\d{9}$`)

// onlyNumberAtEdge admits "433189738113 RENT" and "RRN 433189738113", which a
// wrapped line leaves, but no number amid words of a note.
func onlyNumberAtEdge(p part, i int) bool {
	return i == 0 || i > 0 && (p.words[i-1] == "RRN" || p.words[i-1] == "UTR" || p.words[i-1] == "UPI" || p.words[i-1] == "IMPS")
}

// ifsc is a bank branch's code, which stands before the reference and looks
// like a short one; also with a letter O for the zero, and cut short.
var ifsc = regexp.MustCompile(`^[A-Z]{4}[0O][A-Z0-9]{6}$`)

const ifscLength = 11

func isIFSC(upper string) bool { return len(upper) == ifscLength && ifsc.MatchString(upper) }

// label is a word with a number that banks and people write in place of a
// reference: "UTR123456", "NEFT778899", "INV20260910…".
var label = regexp.MustCompile(`^(?:UTR|NEFT|RTGS|IMPS|UPI|REF|TXN|INV|INVOICE|BILL|ORD|ORDER|PO|GST|GSTIN|CUST|CHQ|EMI|POS|ATM|NACH|ACH|SAL|SALARY|ACC|AC|FD|RD|LOAN|POLICY|ID|NO)\d+$`)

// Lengths of a bank's own reference. RBI gives NEFT 16 and RTGS 22 characters;
// shorter ones are printed by some, so those count only in the reference's own
// place.
const (
	minReference   = 10
	maxReference   = 22
	minRefDigits   = 8
	minFullLength  = 15
	minFullNumbers = 10
)

// Reference reads a column or field that holds nothing but a payment's
// reference, padded with zeros as HDFC does ("0000N123456789" and
// "0000627412345678"), for a payment of the given channel. It returns "" for
// labels and numbers of other kinds.
func Reference(text string, channel Channel) upi.UTR {
	s := strings.ToUpper(strings.TrimSpace(text))
	switch channel {
	case UPI, IMPS:
		if n := len(s) - rrnDigits; n > 0 && strings.Trim(s[:n], "0") == "" {
			s = s[n:]
		}
		// A short number with so many zeros before it is a cheque's or the bank's own.
		if utr, err := upi.ParseRRN(s); err == nil && !strings.HasPrefix(s, "00000") {
			return utr
		}
	case NEFT, RTGS:
		if len(s) < minFullLength+2 && strings.HasPrefix(s, "00") || len(s) > maxReference {
			s = strings.TrimLeft(s, "0")
		}
		if isReference(s) {
			return upi.UTR(s)
		}
	default: // no payment system whose reference a payer could know
	}
	return ""
}

// isReference reports whether the word has the shape of a NEFT or RTGS reference.
func isReference(w string) bool {
	if len(w) < minReference || len(w) > maxReference || isIFSC(w) || label.MatchString(w) {
		return false
	}
	n := digits(w)
	return n >= minRefDigits && n < len(w) && strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// bankReference finds the reference of a NEFT or RTGS transfer.
func bankReference(parts []part) upi.UTR {
	var sure, likely []string
	lead := true // so far only words of the system and IFSCs
	for i, p := range parts {
		single := len(p.words) == 1
		for j, w := range p.words {
			switch {
			case isIFSC(w):
				// lead stays: the reference follows, or the payer.
			case isReference(w):
				full := len(w) >= minFullLength && digits(w) >= minFullNumbers
				switch {
				case lead || j > 0 && (p.words[j-1] == "UTR" || j > 1 && p.words[j-2] == "UTR" && p.words[j-1] == "NO"):
					sure = append(sure, w)
				case full && (single || i == len(parts)-1 && (j == 0 || j == len(p.words)-1)):
					likely = append(likely, w)
				}
				lead = false
			case !system[w] && !comeback[w]:
				lead = false
			}
		}
	}
	for _, candidates := range [][]string{sure, likely} {
		slices.Sort(candidates)
		switch candidates = slices.Compact(candidates); len(candidates) {
		case 0:
		case 1:
			return upi.UTR(candidates[0])
		default:
			return ""
		}
	}
	return ""
}

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}
