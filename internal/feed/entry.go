// Package feed holds the normal form of a bank entry: what every kind of feed,
// whatever it parses, hands on.
package feed

import (
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Trust is how much a report of money is worth by itself.
type Trust int

// Trust levels (architecture, "Who gets the money").
const (
	// Provisional reports can be forged with some effort: SMS.
	Provisional Trust = 1
	// Confirmed reports come from the bank itself: statements, bank hooks,
	// DKIM-signed mail, and the operator's own authenticated JSON.
	Confirmed Trust = 2
)

// Entry is money that a feed says came in on its wallet.
type Entry struct {
	UTR       upi.UTR
	Amount    money.Paise // above zero
	Currency  money.Currency
	PayerVPA  string
	PayerName string
	Note      string // what the payer wrote
	Reference string // the merchant's reference, where the bank carries one
	At        time.Time
	Trust     Trust
}

// Payer is the payer as the feed knows it: the VPA, else the name.
func (e *Entry) Payer() string {
	if e.PayerVPA != "" {
		return e.PayerVPA
	}
	return e.PayerName
}

// Refusal is an entry that could not be taken, and why.
type Refusal struct {
	Index int    `json:"index"` // place in the report, from 0
	Error string `json:"error"`
}

// Summary is the answer to a report (contract, Feeds).
type Summary struct {
	Accepted  int       `json:"accepted"`  // new credits
	Duplicate int       `json:"duplicate"` // already known
	Matched   int       `json:"matched"`   // new credits that settled a waiting claim
	Refused   []Refusal `json:"refused"`
}

// Count adds what became of one item.
func (s *Summary) Count(out Outcome) {
	switch out.Result {
	case New:
		s.Accepted++
	case Known:
		if out.CreditID != 0 {
			s.Duplicate++
		}
	case Refused:
		s.Refused = append(s.Refused, Refusal{Index: out.Place, Error: out.Why})
	case Recorded, NotCredit, NoUTR, Unread:
	}
	if out.Settled {
		s.Matched++
	}
}

// Add adds the summary of another part of the report.
func (s *Summary) Add(part Summary) {
	s.Accepted += part.Accepted
	s.Duplicate += part.Duplicate
	s.Matched += part.Matched
	s.Refused = append(s.Refused, part.Refused...)
}
