// Package sms reads what the SMS forwarder apps of phones post, and says whom
// of it to believe: what the app signed, which sender header is the bank's,
// and whether the account is the wallet's. What the text of a message means is
// read elsewhere.
package sms

import (
	"time"

	"github.com/milaan/milaan/internal/feed"
)

// Message is one SMS as the forwarding phone reported it. Everything in it is
// the phone's word: see [Trusted] for the sender.
type Message struct {
	Index  int    // place in the report, from 0
	Sender string // as the phone shows it, such as "VM-HDFCBK-S"
	Text   string // whole, with its line breaks
	// SentAt is the time of the operator's centre, ReceivedAt that of the phone;
	// in UTC, zero where unknown or not plausible.
	SentAt, ReceivedAt time.Time
	Forwarder          string // the app whose shape it is, such as "capcom6"
	// ID is the app's own for the message, "" where it has none. It tells retries
	// apart in a log; apps derive it from the text, so it is no key.
	ID string
}

// Skipped is a record that is well understood and holds no incoming SMS.
type Skipped struct {
	Index int
	Why   string
}

// Report is what [ParseBody] found. Records of a batch stand for themselves:
// good ones are kept when others are refused (contract, Feeds).
type Report struct {
	Messages []Message
	Skipped  []Skipped      // nothing to read in them: answer as if taken
	Refused  []feed.Refusal // a word to the sender on what to do
}
