package feed

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Kind is what a bank's message, or a line of a statement, tells of (contract,
// milaan parse).
type Kind string

// Kinds of reading.
const (
	// Credit is a payment that came in.
	Credit Kind = "credit"
	// Other is money in that is no payment: interest, cashback of the bank, the
	// reversal of an own debit.
	Other Kind = "other"
	// Debit is money that went out.
	Debit Kind = "debit"
	// Ignored moved no money on the account: a code, a promotion, a balance, a
	// failure, a request to pay.
	Ignored Kind = "ignored"
	// Unparsed may be anything. It is kept for a person rather than guessed at.
	Unparsed Kind = "unparsed"
)

// Reading is what a parser understood of one bank message or one line of a
// statement. Whatever the text did not say for certain is left empty.
type Reading struct { //nolint:recvcheck // encoding/json needs the value for one way and the pointer for the other
	Kind Kind
	// UTR is the payment's reference; "" where the text holds none that is one
	// for certain.
	UTR      upi.UTR
	Amount   money.Paise // above zero for Credit, Other and Debit, else 0
	Currency money.Currency
	// PayerVPA and PayerName are the other side: who paid, or who was paid.
	PayerVPA  string
	PayerName string
	// AccountTail are the last digits of the own account, as many as are printed.
	AccountTail string
	Note        string // what the payer wrote
	Reference   string // the merchant's own reference, where the bank carries one
	// At is the bank's time, in UTC; zero where the text has none. With DateOnly
	// it is the first moment of that day in India.
	At       time.Time
	DateOnly bool
	// Reversal says of an Other that an own debit came back, and of a Debit that
	// a credit was taken back: the UTR is then that credit's.
	Reversal bool
	// Bank is the bank whose format it is, such as "hdfc", where known.
	Bank string
	// Template names what read it, such as "hdfc/upi-credit".
	Template string
	// Why explains the kind in a few words, for a person.
	Why string
}

// india is the zone of the times that banks print (IST, no daylight saving
// since 1945).
var india = time.FixedZone("IST", 5*3600+1800)

// India is the zone of the times that banks print, wherever the gateway runs.
func India() *time.Location { return india }

// readingJSON is a reading as milaan parse prints it (contract): rupees and times
// as strings, null where there is nothing.
type readingJSON struct {
	Kind        Kind    `json:"kind"`
	UTR         *string `json:"utr"`
	Amount      *string `json:"amount"`
	PayerVPA    *string `json:"payer_vpa"`
	PayerName   *string `json:"payer_name"`
	AccountTail *string `json:"account_tail"`
	Time        *string `json:"time"`
	Note        *string `json:"note"`
	Reference   *string `json:"reference"`
	Bank        *string `json:"bank"`
	Template    *string `json:"template"`
	Why         *string `json:"why"`
}

// MarshalJSON writes the reading as milaan parse prints it.
func (r Reading) MarshalJSON() ([]byte, error) {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	out := readingJSON{
		Kind: r.Kind, UTR: text(string(r.UTR)), PayerVPA: text(r.PayerVPA), PayerName: text(r.PayerName),
		AccountTail: text(r.AccountTail), Note: text(r.Note), Reference: text(r.Reference),
		Bank: text(r.Bank), Template: text(r.Template), Why: text(r.Why),
	}
	if r.Amount != 0 {
		out.Amount = text(r.Amount.Fixed())
	}
	switch {
	case r.At.IsZero():
	case r.DateOnly:
		out.Time = text(r.At.In(india).Format(time.DateOnly))
	default:
		out.Time = text(r.At.In(india).Format(time.RFC3339))
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Reading) UnmarshalJSON(data []byte) error {
	var in readingJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	*r = Reading{
		Kind: in.Kind, UTR: upi.UTR(text(in.UTR)), PayerVPA: text(in.PayerVPA), PayerName: text(in.PayerName),
		AccountTail: text(in.AccountTail), Note: text(in.Note), Reference: text(in.Reference),
		Bank: text(in.Bank), Template: text(in.Template), Why: text(in.Why),
	}
	var err error
	if in.Amount != nil {
		if r.Amount, err = money.Parse(*in.Amount); err != nil {
			return fmt.Errorf("amount: %w", err)
		}
	}
	if in.Time == nil {
		return nil
	}
	if r.At, err = time.Parse(time.RFC3339, *in.Time); err != nil {
		r.DateOnly = true
		if r.At, err = time.ParseInLocation(time.DateOnly, *in.Time, india); err != nil {
			return fmt.Errorf("time: %w", err)
		}
	}
	r.At = r.At.UTC()
	return nil
}

// Entry makes the normal form of a credit with a UTR; ok is false for every
// other reading. Arrived stands in for the time of a text that has none, or no
// more than that day.
func (r *Reading) Entry(trust Trust, arrived time.Time) (e Entry, ok bool) {
	if r.Kind != Credit || r.UTR == "" || r.Amount <= 0 {
		return Entry{}, false
	}
	at := r.At
	if at.IsZero() || r.DateOnly && at.In(india).Format(time.DateOnly) == arrived.In(india).Format(time.DateOnly) {
		at = arrived
	}
	currency := r.Currency
	if currency == "" {
		currency = money.INR
	}
	return Entry{
		UTR: r.UTR, Amount: r.Amount, Currency: currency, PayerVPA: r.PayerVPA, PayerName: r.PayerName,
		Note: r.Note, Reference: r.Reference, At: at.UTC().Truncate(time.Microsecond), Trust: trust,
	}, true
}
