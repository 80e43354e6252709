package postback

import (
	"time"

	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Event is a fact that a merchant is told. It holds all that the body is made
// of, besides the merchant's own keys and zone, so that a body can be made
// again, byte for byte, at any later time.
type Event struct {
	ID int64 // the deposit's id, or one of its own for a withdrawal's
	// Merchant is the key of its [Destination]: the merchant's id or, of a webhook's
	// event, the webhook's key.
	Merchant string
	// Webhook is the type of a webhook's event; empty where it is the protocol's
	// postback. Its body is kept from the start: of what follows only the times are
	// set then, both when it was written.
	Webhook  webhook.Type
	Method   string // wallet_type
	Label    string
	CustomID string // custom_transaction_id
	Amount   money.Paise
	Currency money.Currency
	Payer    string // VPA or name as the feed gave it; masked in the body
	CreditID int64  // stockpiling_id
	UTR      upi.UTR
	// CreatedAt is when the claim was made, ActivatedAt when it was credited.
	CreatedAt   time.Time
	ActivatedAt time.Time
	RatesID     int64 // the rates of the activation
	// Trace is its claim's, see [trace.Span.Text]; empty where that is not traced.
	Trace string
	// Payment is set where the event tells of a withdrawal.
	Payment *Payment
}

// Payment is what an event tells of a withdrawal (protocol, section 6). The UTR of
// its event is the bank's reference, ActivatedAt when it was settled.
type Payment struct {
	WithdrawalID  string
	Status        string // success, failed or canceled
	AccountNumber string
	AccountName   string
	BranchCode    string // IFSC
}

// Lease is how long a gateway may work on an event before others may take it
// up: longer than an attempt's time-out, so that a slow answer is not asked
// for twice.
const Lease = 30 * time.Second
