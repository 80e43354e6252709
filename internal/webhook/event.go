// Package webhook holds the events that are told by Standard Webhooks, beside the
// protocol's own postbacks: their types, what each tells, and who asked for it
// (docs/events.md). It makes them; the rooms where the facts are write them with
// the facts, and package postback delivers them.
package webhook

import (
	"encoding/json"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// Event is one fact for one webhook, as its row in the outbox keeps it. The body
// is made with the fact: it tells what was so then, whatever changes later.
type Event struct {
	ID          int64  // of its row; whoever writes it gives it
	Destination string // [directory.Webhook.Key]
	Type        Type
	// Subject is the id of the claim, credit or withdrawal that it is about; of a
	// feed's finding a number of its own, 0 where the fact has none.
	Subject int64
	At      time.Time // UTC
	Body    []byte
}

// body is the body in the order of its keys (Standard Webhooks specification,
// "payload structure").
type body struct {
	Type      Type   `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

// Body writes a body.
func Body(t Type, at time.Time, data any) []byte {
	text, err := json.Marshal(body{t, at.UTC().Format(timestamp), data})
	if err != nil {
		panic(err) // the types below hold texts and switches only
	}
	return text
}

// timestamp is RFC 3339 to the microsecond, which the books keep, so that texts
// sort as times do.
const timestamp = "2006-01-02T15:04:05.000000Z07:00"

// For makes an event for each webhook that asked for events of the type of this
// merchant, or of no merchant where that is empty. Data is asked at most once for
// merchants and once for the installation's owner, and not at all where nobody
// asked.
func For(dir *directory.Snapshot, merchant string, t Type, subject int64, at time.Time, data func(owner bool) any) []Event {
	subscribers := dir.Subscribers(merchant, string(t))
	if len(subscribers) == 0 {
		return nil
	}
	events := make([]Event, len(subscribers))
	bodies := make(map[bool][]byte, 2)
	for i, w := range subscribers {
		owner := w.Merchant == ""
		if bodies[owner] == nil {
			bodies[owner] = Body(t, at, data(owner))
		}
		events[i] = Event{Destination: w.Key(), Type: t, Subject: subject, At: at, Body: bodies[owner]}
	}
	return events
}

// Rupees is how an amount stands in a body: a decimal text with two digits, never
// a number that a reader could make a float of.
func Rupees(p money.Paise) string { return p.Fixed() }

// Moment is how a time stands in a body; nil, which is null, for none.
func Moment(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return Text(t.UTC().Format(timestamp))
}

// Text is a text that may be missing: null where it is empty.
func Text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Deposit is the data of deposit.*: a claim as it stands then.
type Deposit struct {
	DepositID string  `json:"deposit_id"`
	Merchant  string  `json:"merchant"`
	CustomID  string  `json:"custom_transaction_id"`
	Label     string  `json:"label"`
	Method    string  `json:"wallet_type"`
	Status    string  `json:"status"`
	Amount    string  `json:"amount"`           // that was claimed
	Deposited *string `json:"deposited_amount"` // that was credited
	Currency  string  `json:"currency"`
	UTR       string  `json:"utr"`
	CreditID  *string `json:"credit_id"` // stockpiling_id of the postback
	Payer     *string `json:"payer"`     // masked, of a credited one
	CreatedAt *string `json:"created_at"`
	SettledAt *string `json:"settled_at"`
	// Reasons are why it is in review or refused: for the owner alone, since they
	// tell what the rules look at.
	Reasons []string `json:"reasons,omitzero"`
}

// Withdrawal is the data of withdrawal.*.
type Withdrawal struct {
	WithdrawalID  string  `json:"withdrawal_id"`
	Merchant      string  `json:"merchant"`
	Label         string  `json:"label"`
	PaymentSystem string  `json:"payment_system"`
	Status        string  `json:"status"`
	Amount        string  `json:"amount"`
	Fee           string  `json:"fee"` // on top of the amount
	Currency      string  `json:"currency"`
	Test          bool    `json:"is_test"`
	TransactionID *string `json:"transaction_id"` // the bank's reference
	CreatedAt     *string `json:"created_at"`
	SettledAt     *string `json:"settled_at"`
	// Owner is for the owner alone.
	*Owner
}

// Owner is what only the owner is told of a withdrawal.
type Owner struct {
	ID      string   `json:"id"` // of milaan payouts
	Desk    *string  `json:"desk"`
	Wallet  *string  `json:"wallet"`
	Reasons []string `json:"reasons"` // why a person has to approve it
	Why     *string  `json:"why"`     // it failed or was canceled
}

// Credit is the data of credit.*, for the owner alone.
type Credit struct {
	CreditID   string  `json:"credit_id"`
	Wallet     string  `json:"wallet"`
	Feed       string  `json:"feed"` // that reported it first
	Status     string  `json:"status"`
	Amount     string  `json:"amount"`
	Currency   string  `json:"currency"`
	UTR        string  `json:"utr"`
	Payer      *string `json:"payer"`     // masked
	BookedAt   *string `json:"booked_at"` // the bank's time
	ReceivedAt *string `json:"received_at"`
	Why        *string `json:"why"` // it is contested
}

// Feed is the data of feed.*, for the owner alone.
type Feed struct {
	Feed     string  `json:"feed"`
	Finding  string  `json:"finding"` // as docs/feeds-health.md names it
	Severity string  `json:"severity"`
	Since    *string `json:"since"`
	Text     string  `json:"text"` // for people
}

// Report is the data of report.*: Opening and the amounts of Lines come to Closing.
type Report struct {
	Merchant string       `json:"merchant"`
	Period   string       `json:"period"`  // 2026-03-01, or 2026-03
	From     *string      `json:"from"`    // the period's beginning
	To       *string      `json:"to"`      // the first moment after it
	Opening  string       `json:"opening"` // what the merchant could withdraw
	Lines    []ReportLine `json:"lines"`
	Closing  string       `json:"closing"`
}

// ReportLine is a line of a report, as milaan settle report names it.
type ReportLine struct {
	Line   string `json:"line"`
	Count  int64  `json:"count"`
	Amount string `json:"amount"` // what it did to the balance
}

// Endpoint is the data of endpoint.*.
type Endpoint struct {
	Endpoint string  `json:"endpoint"` // "shop": its postback.url; "shop/hook1": a webhook
	Merchant *string `json:"merchant"` // null for the owner's
	State    string  `json:"state"`
	Why      string  `json:"why"`
}
