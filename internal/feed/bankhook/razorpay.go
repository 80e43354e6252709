package bankhook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/upi"
)

// verifyRazorpay: X-Razorpay-Signature is the HMAC-SHA256 of the raw body under
// the webhook secret, in hexadecimal (razorpay.com/docs/webhooks/validate-test).
// Razorpay signs no time; a webhook sent again changes nothing, for its UTR is
// known by then.
func verifyRazorpay(r Request, s Secrets) error {
	if s.Secret == "" {
		return fmt.Errorf("%w: the webhook secret", ErrSecrets)
	}
	given, err := signature(r.Header, "X-Razorpay-Signature")
	if err != nil {
		return err
	}
	return sameHex(given, mac(s.Secret, string(r.Body)))
}

// razorpayCredits are the events that tell of a payment that came in, each with
// the payment in it (razorpay.com/docs/webhooks).
var razorpayCredits = map[scalar]bool{
	"virtual_account.credited": true,
	"qr_code.credited":         true,
	"payment.captured":         true,
	"order.paid":               true,
	"payment_link.paid":        true,
}

// razorpayEntity wraps every object of a payload.
type razorpayEntity[T any] struct {
	Entity T `json:"entity"`
}

type razorpayPayment struct {
	ID             scalar         `json:"id"`
	Amount         scalar         `json:"amount"` // paise
	AmountRefunded scalar         `json:"amount_refunded"`
	Currency       scalar         `json:"currency"`
	Status         scalar         `json:"status"`
	Method         scalar         `json:"method"`
	OrderID        scalar         `json:"order_id"`
	Description    scalar         `json:"description"`
	VPA            scalar         `json:"vpa"`
	Notes          jsontext.Value `json:"notes"`
	CreatedAt      scalar         `json:"created_at"`
	Acquirer       jsontext.Value `json:"acquirer_data"` // {} or, when empty, []
}

type razorpayBankTransfer struct {
	PaymentID scalar `json:"payment_id"`
	Mode      scalar `json:"mode"`
	Reference scalar `json:"bank_reference"`
	Amount    scalar `json:"amount"`
	Payer     *struct {
		Name scalar `json:"name"`
	} `json:"payer_bank_account"` // null when the payer's bank sent none
}

type razorpayUPITransfer struct {
	PaymentID scalar `json:"payment_id"`
	Amount    scalar `json:"amount"`
	PayerVPA  scalar `json:"payer_vpa"`
	Reference scalar `json:"npci_reference_id"`
}

type razorpayEvent struct {
	Event     scalar `json:"event"`
	CreatedAt scalar `json:"created_at"`
	Payload   struct {
		Payment        *razorpayEntity[razorpayPayment]      `json:"payment"`
		BankTransfer   *razorpayEntity[razorpayBankTransfer] `json:"bank_transfer"`
		UPITransfer    *razorpayEntity[razorpayUPITransfer]  `json:"upi_transfer"`
		VirtualAccount *razorpayEntity[struct {
			Description scalar         `json:"description"`
			Notes       jsontext.Value `json:"notes"`
			Receivers   []struct {
				Entity        scalar `json:"entity"`
				AccountNumber scalar `json:"account_number"`
			} `json:"receivers"`
		}] `json:"virtual_account"`
		QRCode *razorpayEntity[struct {
			Description scalar         `json:"description"`
			Notes       jsontext.Value `json:"notes"`
		}] `json:"qr_code"`
		Order *razorpayEntity[struct {
			Receipt scalar         `json:"receipt"`
			Notes   jsontext.Value `json:"notes"`
		}] `json:"order"`
		PaymentLink *razorpayEntity[struct {
			ReferenceID scalar         `json:"reference_id"`
			Notes       jsontext.Value `json:"notes"`
		}] `json:"payment_link"`
		Refund *razorpayEntity[struct {
			ID     scalar `json:"id"`
			Amount scalar `json:"amount"`
			Status scalar `json:"status"`
		}] `json:"refund"`
	} `json:"payload"`
}

// readRazorpay reads razorpay.com/docs/webhooks: amounts are whole paise, times
// unix seconds.
func readRazorpay(r Request, _ Secrets) (Event, error) {
	var e razorpayEvent
	switch err := decode(r.Body, &e); {
	case errors.Is(err, errShape):
		return unparsed(r.Header.Get("X-Razorpay-Event-Id"), "razorpay", err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	// The payment's id, where there is one, is the same in all of its events.
	id, template := r.Header.Get("X-Razorpay-Event-Id"), "razorpay/"+string(e.Event)
	if e.Payload.Payment != nil && e.Payload.Payment.Entity.ID != "" {
		id = string(e.Payload.Payment.Entity.ID)
	}
	switch {
	case e.Event == "":
		return unparsed(id, "razorpay", "no event is named"), nil
	case e.Event == "refund.processed" && e.Payload.Refund != nil:
		refund := e.Payload.Refund.Entity
		amount, ok := paise(refund.Amount)
		if !ok || refund.Status != "processed" {
			return ignored(id, template, "a refund: no money came in"), nil
		}
		return event(id, feed.Reading{Kind: feed.Debit, Amount: amount, Template: template,
			At: unix(e.CreatedAt, time.Second), Why: "a refund to the payer"}), nil
	case !razorpayCredits[e.Event]:
		return ignored(id, template, string(e.Event)+" is not an event of money that came in"), nil
	case e.Payload.Payment == nil:
		return unparsed(id, template, "the payment is missing"), nil
	}
	return e.credit(id, template), nil
}

// credit reads an event of money that came in.
func (e *razorpayEvent) credit(id, template string) Event {
	p := &e.Payload.Payment.Entity
	amount, ok := paise(p.Amount)
	switch {
	case p.Status == "":
		return unparsed(id, template, "the payment has no status")
	case p.Status != "captured":
		return ignored(id, template, "the payment is "+string(p.Status)+", not captured")
	case p.Method == "cod":
		return ignored(id, template, "cash on delivery: nothing came to an account")
	case p.Currency != "INR":
		return unparsed(id, template, "not in rupees")
	case !ok:
		return unparsed(id, template, "the amount is not a whole number of paise")
	case p.AmountRefunded != "" && p.AmountRefunded != "0":
		return unparsed(id, template, "the payment was refunded, wholly or in part")
	}
	reading := feed.Reading{
		Kind: feed.Credit, Amount: amount, PayerVPA: string(p.VPA), Template: template, Note: string(p.Description),
		At: unix(first(p.CreatedAt, e.CreatedAt), time.Second), Why: "captured",
	}
	var acquirer struct {
		RRN scalar `json:"rrn"`
	}
	// Cards have an rrn too, which no payer ever sees.
	if p.Method == "upi" && decode(p.Acquirer, &acquirer) == nil {
		reading.UTR = rrn(acquirer.RRN)
	}
	bank, vpa := e.Payload.BankTransfer, e.Payload.UPITransfer
	switch {
	case bank != nil && vpa != nil:
		return unparsed(id, template, "both a bank transfer and a UPI transfer")
	case bank != nil:
		t := bank.Entity
		if t.PaymentID != p.ID || t.Amount != p.Amount {
			return unparsed(id, template, "the bank transfer is not that of the payment")
		}
		reading.UTR = transfer(t.Reference)
		if strings.EqualFold(string(t.Mode), "IMPS") || strings.EqualFold(string(t.Mode), "UPI") {
			reading.UTR = rrn(t.Reference)
		}
		if t.Payer != nil {
			reading.PayerName = string(t.Payer.Name)
		}
	case vpa != nil:
		t := vpa.Entity
		if t.PaymentID != p.ID || t.Amount != p.Amount {
			return unparsed(id, template, "the UPI transfer is not that of the payment")
		}
		reading.UTR, reading.PayerVPA = agreed(rrn(t.Reference), reading.UTR), string(first(t.PayerVPA, p.VPA))
	}
	if reading.UTR == "" {
		reading.Why = "captured, but without the bank's reference"
	}
	e.place(&reading)
	return event(id, reading)
}

// agreed is the reference two fields of one payment give; "" where they differ,
// for then neither is certain.
func agreed(a, b upi.UTR) upi.UTR {
	switch {
	case a == "":
		return b
	case b == "" || a == b:
		return a
	}
	return ""
}

// place fills in what the payment was for and which account it came to.
func (e *razorpayEvent) place(reading *feed.Reading) {
	p := e.Payload.Payment.Entity
	references := []scalar{}
	if link := e.Payload.PaymentLink; link != nil {
		references = append(references, link.Entity.ReferenceID, note(link.Entity.Notes))
	}
	if order := e.Payload.Order; order != nil {
		references = append(references, order.Entity.Receipt, note(order.Entity.Notes))
	}
	references = append(references, note(p.Notes))
	if va := e.Payload.VirtualAccount; va != nil {
		references = append(references, note(va.Entity.Notes), va.Entity.Description)
		var accounts []scalar
		for _, receiver := range va.Entity.Receivers {
			if receiver.Entity == "bank_account" {
				accounts = append(accounts, receiver.AccountNumber)
			}
		}
		if len(accounts) == 1 {
			reading.AccountTail = tail(accounts[0])
		}
	}
	if qr := e.Payload.QRCode; qr != nil {
		references = append(references, note(qr.Entity.Notes), qr.Entity.Description)
	}
	reading.Reference = string(first(append(references, p.OrderID)...))
}

// note is the merchant's reference among the notes it put on an object: the one
// under a name that says so, or the only one. Empty notes are [], not {}.
func note(raw jsontext.Value) scalar {
	var notes map[string]scalar
	if decode(raw, &notes) != nil {
		return ""
	}
	for _, name := range []string{"reference", "reference_id", "order_id", "order", "merchant_order_id", "invoice"} {
		if notes[name] != "" {
			return notes[name]
		}
	}
	if len(notes) == 1 {
		for _, only := range notes {
			return only
		}
	}
	return ""
}
