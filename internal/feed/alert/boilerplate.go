package alert

import "strings"

// warning starts a sentence that banks put under every alert. The words it is
// made of hold no "not" and no "if", which could belong to what comes behind.
type warning struct {
	start []string
	rest  map[string]bool // the words that may follow; others end the sentence
}

var secrets = words(`your you the any card cards pin pins otp otps cvv cvc mpin tpin upi password passwords passcode user userid id ids urn
	with anyone anybody to and or details number numbers internet net banking debit credit atm bank confidential
	personal info information account sensitive for emi postponement reason other grid values expiry ever via sms email call calls s on phone
	never share disclose ask asks employee employees officials staff link links unknown secret code codes`)

var disputes = words(`call on sms block upi to or and for dispute disputes report issue fwd forward this immediately click tap visit
	any cust id your bank contact raise by you u done txn transaction blockupi ob cc dc no a c card at us branch helpline
	toll free number care customer nearest reply chat whatsapp please pls dial blk within`)

var connectors = words("to or and for on by in at with via within your you the any this a done please pls txn transaction u")

func sentence(start string, rest map[string]bool) warning {
	return warning{strings.Fields(start), rest}
}

var warnings = []warning{
	sentence("never share", secrets), sentence("do not share", secrets), sentence("don t share", secrets), sentence("dont share", secrets),
	sentence("donot share", secrets), sentence("not share", secrets), sentence("never disclose", secrets), sentence("do not disclose", secrets),
	sentence("never asks", secrets), sentence("never ask", secrets), sentence("does not ask", secrets), sentence("never calls", secrets),
	sentence("not you", disputes), sentence("not u", disputes), sentence("if not you", disputes), sentence("if not u", disputes),
	sentence("if not done", disputes), sentence("if not by", disputes), sentence("if not initiated", disputes), sentence("not done by you", disputes),
	sentence("if you have not", disputes), sentence("in case not done", disputes), sentence("report dispute", disputes), sentence("for dispute", disputes),
	sentence("to dispute", disputes), sentence("dispute call", disputes), sentence("to report", disputes), sentence("to block", disputes),
	sentence("for feedback", nil), sentence("view balance", nil), sentence("to view balance", nil), sentence("register for e statement", nil),
	sentence("cheque deposits in a c are subject to clearing", nil), sentence("cheque deposits are subject to clearing", nil),
	sentence("chq deposit subject to clearance", nil), sentence("chq deposits subject to clearing", nil),
	sentence("cheques subject to realisation", nil), sentence("subject to chq realisation", nil),
	sentence("please install", nil), sentence("pls install", nil), sentence("block a c", disputes), sentence("small txns use upi lite", nil),
	sentence("would like to inform", nil), sentence("toll free", disputes),
}

// warningStarts are the first words, to pass the others quickly.
var warningStarts = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range warnings {
		set[w.start[0]] = true
	}
	return set
}()

// dropBoilerplate removes the sentences that stand under every alert, whatever
// it tells, and addresses of the web. Only words such a sentence is made of go
// with it: what comes behind stays to be seen.
func dropBoilerplate(text string, list []token) (kept []token, link bool) {
	kept = list[:0:len(list)]
	for i := 0; i < len(list); {
		if end := webEnd(text, list, i); end > i {
			link = true
			i = end
			continue
		}
		if end := warningEnd(text, list, i); end > i {
			i = end
			continue
		}
		kept = append(kept, list[i])
		i++
	}
	return kept, link
}

func warningEnd(text string, list []token, i int) int {
	if end := disownEnd(list, i); end > i {
		return end
	}
	if !warningStarts[list[i].word] {
		return i
	}
	for _, w := range warnings {
		if len(list)-i < len(w.start) {
			continue
		}
		n := 0
		for n < len(w.start) && list[i+n].word == w.start[n] {
			n++
		}
		if n < len(w.start) {
			continue
		}
		n += i
		for n < len(list) && (w.rest[list[n].word] || w.rest != nil && list[n].digits) &&
			!strings.ContainsAny(text[list[n-1].end:list[n].start], ".;!\n") {
			n++
		}
		for n > i+len(w.start) && connectors[list[n-1].word] {
			n-- // "… to be credited" goes on
		}
		return n
	}
	return i
}

// disownEnd is the token behind "if this was not done by you" and its many
// kin, and behind a toll-free number to call.
func disownEnd(list []token, i int) int {
	switch list[i].word {
	case "please", "pls", "kindly":
		if i+2 < len(list) && list[i+1].word == "call" && list[i+2].digits && strings.HasPrefix(list[i+2].word, "18") {
			return i + 3
		}
	case "if", "case":
		for n := i + 1; n < min(i+6, len(list)); n++ {
			if w := list[n].word; w != "not" && w != "didn" && w != "haven" {
				continue
			}
			for end := n + 1; end < min(n+6, len(list)); end++ {
				if disowned[list[end].word] {
					return end + 1
				}
			}
		}
	}
	return i
}

var disowned = words("done initiated authorised authorized made performed used requested aware recognised recognized availed yours")

// webEnd is the token behind the address that starts at token i.
func webEnd(text string, list []token, i int) int {
	word := list[i].word
	if word != "http" && word != "https" && word != "www" {
		return i
	}
	at := strings.IndexAny(text[list[i].start:], " \n")
	if at < 0 {
		return len(list)
	}
	for at += list[i].start; i < len(list) && list[i].start < at; {
		i++
	}
	return i
}

// closings end the message of an e-mail; greetings and small print follow.
var closings = []string{
	"warm regards", "best regards", "kind regards", "with regards", "thanks & regards", "regards,", "sincerely", "yours faithfully",
	"yours truly", "thank you for banking", "thanks for banking", "this is a system generated", "this is a system-generated",
	"this is an auto", "this is a computer", "this message was sent by", "please do not reply", "do not reply to this", "disclaimer",
	"if you did not authorize", "if you did not authorise", "in case you have not", "if you have not", "never share", "do not share",
	"for any queries", "for any further", "in case of any", "we request you", "important:", "note:", "confidentiality",
}

// message is the part of an e-mail before its greetings and small print.
func message(text, lower string) (string, string) {
	end := len(text)
	for _, c := range closings {
		// What greets at the top is no closing.
		if i := strings.Index(lower[:end], c); i > 60 {
			end = i
		}
	}
	return text[:end], lower[:end]
}
