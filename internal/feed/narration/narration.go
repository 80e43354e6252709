// Package narration reads the free text that Indian banks print beside an
// amount of a statement: by which system the money moved, under which
// reference, who the other side is and what was written.
//
// There is no standard for it. The forms read here are those of the banks' own
// exports; what does not stand where one of them has its reference is not taken
// for one: a wrong reference would give a payment to a stranger.
package narration

import (
	"regexp"
	"strings"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/upi"
)

// Direction is which way the statement says the money went.
type Direction int

// Directions.
const (
	In  Direction = iota + 1 // deposited on the account
	Out                      // withdrawn from it
)

// Channel is the system that moved the money; "" where the text does not say.
type Channel string

// Channels.
const (
	UPI      Channel = "upi"
	IMPS     Channel = "imps"
	NEFT     Channel = "neft"
	RTGS     Channel = "rtgs"
	ACH      Channel = "ach" // NACH and ECS: mandates, dividends
	Cash     Channel = "cash"
	Cheque   Channel = "cheque"
	Card     Channel = "card"
	Interest Channel = "interest"
	Charges  Channel = "charges"
)

// Narration is what the text says.
type Narration struct {
	// Kind is [feed.Credit] or [feed.Other] of money in, [feed.Debit] of money out.
	Kind    feed.Kind
	Channel Channel
	// UTR is the payment's reference; "" where none stands for certain. NEFT
	// references come as they are printed, also those cut or shortened to fewer
	// than the 15 characters that [upi.ParseUTR] asks of a payer.
	UTR upi.UTR
	// PayerVPA and PayerName are the other side, Note what was written.
	PayerVPA  string
	PayerName string
	Note      string
	// Reversal says that money came back: of money in, an own debit; of money
	// out, an earlier credit.
	Reversal bool
	// Why explains the kind in a few words where it is not the plain one.
	Why string
}

// Read reads the narration of money that moved in the given direction. Bank is
// the account's bank, such as "hdfc", or "": where two banks write alike, it
// tells which part is the name and which the note.
func Read(text string, direction Direction, bank string) Narration {
	t := tidy(text)
	parts := split(t)
	n := Narration{Channel: channelOf(t.upper), Kind: feed.Credit}
	if direction == Out {
		n.Kind = feed.Debit
	}
	switch n.Channel {
	case UPI, IMPS:
		n.UTR = rrn(parts)
	case NEFT, RTGS:
		n.UTR = bankReference(parts)
	default: // no payment system whose reference a payer could know
	}
	n.parties(parts, strings.ContainsAny(t.plain, "/-*"), strings.Count(t.plain, "/") >= 2, bank)
	n.Reversal = reversed(t.upper, parts, n)
	if last := len(parts) - 1; !n.Reversal && n.Note == "" && n.PayerName+n.PayerVPA != "" && comeback[parts[last].upper] {
		n.Note = parts[last].text // "return" of a loan, as payers write
	}
	switch {
	case direction == Out:
		if n.Reversal {
			n.Why = "an earlier credit was taken back"
		}
	case n.Reversal:
		n.Kind, n.Why = feed.Other, "an own payment came back"
	case n.Channel == Interest:
		n.Kind, n.Why = feed.Other, "interest"
	case n.Channel == Charges:
		n.Kind, n.Why = feed.Other, "charges given back"
	case n.Channel == "" && cashback.MatchString(t.upper):
		n.Kind, n.Why = feed.Other, "cashback"
	}
	return n
}

// text is a narration without the bank's framing, as printed and in upper case.
type narrationText struct {
	plain string
	upper string
}

// framing is what SBI and others print before the narration proper. Where it
// may also begin the narration itself, only a mark after it makes it framing.
var framing = []struct {
	words  string
	marked bool
}{
	{"BY TRANSFER", false}, {"TO TRANSFER", false}, {"DEP TFR", false}, {"WDL TFR", false}, {"BY TRF", false},
	{"TO TRF", false}, {"TRF FROM", true}, {"TRF TO", true}, {"TRF", true}, {"TRANSFER", true}, {"INB", false},
}

func tidy(text string) narrationText {
	text = strings.TrimRight(strings.Join(strings.Fields(strings.ToValidUTF8(text, " ")), " "), "-– /")
	t := narrationText{plain: text, upper: upperASCII(text)}
	for again := true; again; {
		again = false
		for _, f := range framing {
			rest, ok := strings.CutPrefix(t.upper, f.words)
			if !ok || rest == "" || f.marked && !strings.ContainsAny(rest[:min(2, len(rest))], "-/") {
				continue
			}
			if inner := strings.TrimLeft(rest, " -/."); len(inner) < len(rest) {
				t.plain, t.upper, again = t.plain[len(t.plain)-len(inner):], inner, true
			}
		}
	}
	return t
}

// channels are tried in order: what names a payment system wins over words that
// a payer may have written, so these are looked for at the front only.
var channels = []struct {
	channel Channel
	pattern *regexp.Regexp
}{
	{UPI, head(`UPI|UPIRET|UPIREV|UPI_IN|UPI_CR|UPICR|UPIIN|UPIOUT|UPI_OUT|UPIAB|UPIAR|UPI[ _]?INWARD`)},
	{IMPS, head(`MMT|IMPS|IMPS_IN|IMPSIN|IMPSAB|IMPSAR|FT[ -]?IMPS|MB[ -]?IMPS|MOB[ -]?IMPS|P2A|P2P`)},
	{NEFT, head(`NEFT|NEFT_IN|NEFTIN|NEFTCR|NFT|NEFT[ _]?INWARD|INW NEFT`)},
	{RTGS, head(`RTGS|RTGS_IN|RTGSIN|RTGSCR|INW RTGS`)},
	{NEFT, regexp.MustCompile(`^N/[A-Z]{4}\w{6}`)}, // IndusInd
	{RTGS, regexp.MustCompile(`^R/[A-Z]{4}\w{6}`)},
	{ACH, regexp.MustCompile(`\b(?:ACH|NACH|ECS)(?:[ _-]?(?:CR|DR|C|D))?\b|\bACHCR|\bACHDR`)},
	{Interest, regexp.MustCompile(`\bINT(?:EREST)?\.?\s*(?:PD|PAID|CREDIT(?:ED)?|CR|CAP(?:ITALI[SZ]ED)?|PAYOUT)\b|\bCREDIT INTEREST\b|^INTEREST\b|\bSB INT\b|\bINTEREST$|\bINT\.(?:PD|CR)`)},
	{Cash, regexp.MustCompile(`\bCASH[ -](?:DEP|DEPOSIT|WDL|WITHDRAWAL)|\bBY CASH\b|\bCDM\b|\bATM\b|\bATW\b|\bNWD\b|\bCWDR\b|\bNFS\b`)},
	{Cheque, regexp.MustCompile(`\bCH(?:E)?Q(?:UE)?\b|\bCLG\b|\bCTS\b|\bCLEARING\b`)},
	{Card, regexp.MustCompile(`\bPOS\b|\bECOM\b|\bVIN\b|\bVPS\b|\bVISA\b|\bMASTERCARD\b|\bDEBIT CARD\b|\bCREDIT CARD\b|\bPURCHASE\b`)},
	{Charges, regexp.MustCompile(`\bCHARGES?\b|\bCHRGS?\b|\bCHGS?\b|\bPENALTY\b|\bSMS ALERT`)},
}

// head matches one of the words among the first of the text, after words of the
// bank alone ("REV-UPI", "CR/NEFT", "INB IMPS").
func head(words string) *regexp.Regexp {
	return regexp.MustCompile(`^(?:(?:BY|TO|CR|DR|CREDIT|DEBIT|INB|MOB|MB|FT|TRF|TFR|FROM|INWARD|OUTWARD|INW|I/W|O/W|REV(?:ERSAL|ERSED|ERSE)?|RVSL|RVRSL|RETURN(?:ED)?|RTN|RET|REFUND|FAILED|OF|CHARGEBACK|PAYMENT|TRANSFER|TXN|RECD|RECEIVED|BULK POSTING|[A-Z]{0,2}\d{0,6})[\s:/_.-]+){0,4}(?:` + words + `)(?:[^A-Z0-9]|$)`)
}

// named is a system that is named further back, with its reference.
var named = regexp.MustCompile(`\b(UPI|IMPS)(?:[ :./#-]*(?:REF(?:ERENCE)?|RRN|TXN|ID|NO))*[ :./#-]*\d{12}(?:\D|$)`)

func channelOf(upper string) Channel {
	for _, c := range channels {
		if c.pattern.MatchString(upper) {
			return c.channel
		}
	}
	if m := named.FindStringSubmatch(upper); m != nil {
		return Channel(strings.ToLower(m[1]))
	}
	return ""
}

var cashback = regexp.MustCompile(`\bCASH ?BACK\b`)

// part is a piece of the narration between the bank's separators.
type part struct {
	text  string
	upper string
	words []string // of upper
}

// separator is what follows the system's name and the bank's words after it.
var separator = regexp.MustCompile(`\b(?:UPI|IMPS|NEFT|RTGS|P2A)\w*(?:[\s/_:*-]+(?:CR|DR|IN|OUT|INW|INWARD|RET|RETURN|REV|P2A|P2M|REF|NO|RRN|UTR|INET|MOB|IFI)\b\.?)*\s*:?\s*([/*-])`)

// split cuts the narration at the separator its form uses: one only, since
// names, VPAs and notes hold the others.
func split(t narrationText) []part {
	var cut func(rune) bool
	if at := separator.FindStringSubmatchIndex(t.upper); at != nil {
		mark := rune(t.upper[at[2]])
		cut = func(r rune) bool { return r == mark }
	} else {
		switch slashes, hyphen := strings.Count(t.plain, "/"), strings.Contains(t.plain, "-"); {
		case slashes >= 2, slashes == 1 && !hyphen:
			cut = func(r rune) bool { return r == '/' }
		case hyphen:
			cut = func(r rune) bool { return r == '-' }
		default:
			cut = func(r rune) bool { return r == '/' || r == ' ' }
		}
	}
	var parts []part
	for _, text := range strings.FieldsFunc(t.plain, cut) {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		upper := upperASCII(text)
		parts = append(parts, part{text: text, upper: upper, words: words(upper)})
	}
	return parts
}

// words are the letters and digits of a part, with what may be a VPA left whole.
func words(upper string) []string {
	return strings.FieldsFunc(upper, func(r rune) bool {
		return r == ' ' || r == '-' || r == '/' || r == ':' || r == ',' || r == '_' || r == '(' || r == ')' || r == '*' || r == ';' || r == '#'
	})
}

// upperASCII keeps every character's place, which case mappings beyond ASCII do not.
func upperASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, text)
}
