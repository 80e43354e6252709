package bankhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/upi"
)

// How far the time Cashfree signs may lie from now. Cashfree tries again for
// hours, and refusing a late try would lose a credit; the UTR already stops a
// replay from counting twice.
const (
	cashfreeAge   = 48 * time.Hour
	cashfreeAhead = 15 * time.Minute
)

// verifyCashfree: x-webhook-signature is the HMAC-SHA256 of x-webhook-timestamp
// (unix milliseconds) and the raw body, with nothing between them, under the
// client secret, in base64
// (cashfree.com/docs/api-reference/webhooks/payloads-and-signatures).
//
// The old Auto Collect form carries its signature in a field: the same HMAC of
// the other values that are not empty, in the order of their names, with
// nothing between them. As names and borders are not covered, it proves less.
func verifyCashfree(r Request, s Secrets) error {
	if s.Secret == "" {
		return fmt.Errorf("%w: the client secret", ErrSecrets)
	}
	if isForm(r) {
		values, err := form(r)
		if err != nil {
			return err
		}
		given := values.Get("signature")
		if given == "" {
			return fmt.Errorf("%w: no field signature", ErrUnsigned)
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if name != "signature" {
				parts = append(parts, values.Get(name))
			}
		}
		return sameBase64(given, mac(s.Secret, parts...))
	}
	given, err := signature(r.Header, "X-Webhook-Signature")
	if err != nil {
		return err
	}
	stamp, err := signature(r.Header, "X-Webhook-Timestamp")
	if err != nil {
		return err
	}
	if err := sameBase64(given, mac(s.Secret, stamp, string(r.Body))); err != nil {
		return err
	}
	// Digits alone: no sign or digit may wander between the time and the body.
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || stamp[0] < '0' || stamp[0] > '9' {
		return fmt.Errorf("%w: the timestamp is no number", ErrSignature)
	}
	if at := time.UnixMilli(ms); at.Before(r.Now.Add(-cashfreeAge)) || at.After(r.Now.Add(cashfreeAhead)) {
		return ErrStale
	}
	return nil
}

type cashfreeEvent struct {
	Type      scalar `json:"type"`
	EventTime scalar `json:"event_time"`
	Data      struct {
		Order struct {
			ID scalar `json:"order_id"`
		} `json:"order"`
		Payment struct {
			ID        scalar `json:"cf_payment_id"`
			Status    scalar `json:"payment_status"`
			Amount    scalar `json:"payment_amount"` // rupees
			Currency  scalar `json:"payment_currency"`
			Time      scalar `json:"payment_time"`
			Reference scalar `json:"bank_reference"`
			Method    struct {
				UPI *struct {
					ID scalar `json:"upi_id"`
				} `json:"upi"`
				VBA *struct {
					UTR           scalar `json:"utr"`
					RemitterName  scalar `json:"remitter_name"`
					AccountNumber scalar `json:"vaccount_number"`
				} `json:"vba_transfer"`
			} `json:"payment_method"`
		} `json:"payment"`
		Refund struct {
			ID     scalar `json:"cf_refund_id"`
			Status scalar `json:"refund_status"`
			Amount scalar `json:"refund_amount"`
		} `json:"refund"`
	} `json:"data"`
}

// readCashfree reads cashfree.com/docs/payments/online/webhooks and
// …/payments/vba/webhooks: amounts are rupees as JSON numbers, times have their
// zone. An order's amount may differ from what was paid; only the payment's
// counts. What the merchant entered about its customer says nothing of the
// payer.
func readCashfree(r Request, _ Secrets) (Event, error) {
	if isForm(r) {
		return readAutoCollect(r)
	}
	var e cashfreeEvent
	switch err := decode(r.Body, &e); {
	case errors.Is(err, errShape):
		return unparsed("", "cashfree", err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	p := &e.Data.Payment
	id, template := string(p.ID), "cashfree/"+string(e.Type)
	switch e.Type {
	case "":
		return unparsed(id, "cashfree", "no event type is named"), nil
	case "REFUND_STATUS_WEBHOOK":
		amount, ok := rupees(e.Data.Refund.Amount)
		if !ok || e.Data.Refund.Status != "SUCCESS" {
			return ignored(string(e.Data.Refund.ID), template, "a refund: no money came in"), nil
		}
		return event(string(e.Data.Refund.ID), feed.Reading{Kind: feed.Debit, Amount: amount, Template: template,
			At: moment(e.EventTime), Why: "a refund to the payer"}), nil
	case "PAYMENT_SUCCESS_WEBHOOK":
	default:
		return ignored(id, template, string(e.Type)+" is not an event of money that came in"), nil
	}
	amount, ok := rupees(p.Amount)
	switch {
	case p.Status == "":
		return unparsed(id, template, "the payment has no status"), nil
	case p.Status != "SUCCESS":
		return ignored(id, template, "the payment is "+string(p.Status)), nil
	case p.Currency != "INR":
		return unparsed(id, template, "not in rupees"), nil
	case !ok:
		return unparsed(id, template, "the amount is not one in rupees and paise"), nil
	}
	reading := feed.Reading{Kind: feed.Credit, Amount: amount, Reference: string(e.Data.Order.ID), At: moment(p.Time),
		Template: template, Why: "successful"}
	switch vba, vpa := p.Method.VBA, p.Method.UPI; {
	case vba != nil && vpa != nil:
		return unparsed(id, template, "both a bank transfer and a UPI payment"), nil
	case vba != nil:
		reading.UTR = unprefixed(vba.UTR)
		if p.Reference != "" && unprefixed(p.Reference) != reading.UTR {
			reading.UTR = "" // one of them is not the bank's, and it does not say which
		}
		reading.PayerName, reading.AccountTail = string(vba.RemitterName), tail(vba.AccountNumber)
	case vpa != nil:
		reading.UTR, reading.PayerVPA = rrn(p.Reference), string(vpa.ID)
	}
	if reading.UTR == "" {
		reading.Why = "successful, but without a bank reference that is certain"
	}
	return event(id, reading), nil
}

// unprefixed is the UTR of a virtual account's payment, before which Cashfree
// may write the merchant's id and an underscore, which no UTR has.
func unprefixed(s scalar) upi.UTR {
	text := string(s)
	return transfer(scalar(text[strings.LastIndexByte(text, '_')+1:]))
}

// readAutoCollect reads the form of Cashfree's old Auto Collect: rupees as
// text, times of India without a zone (cashfree.com/docs/payments/vba/webhooks,
// payload before the migration).
func readAutoCollect(r Request) (Event, error) {
	values, err := form(r)
	if err != nil {
		return Event{}, err
	}
	get := func(name string) scalar { return scalar(values.Get(name)) }
	id, name := string(get("referenceId")), string(get("event"))
	template := "cashfree/" + name
	switch name {
	case "":
		return unparsed(id, "cashfree", "no event is named"), nil
	case "AMOUNT_COLLECTED":
	default:
		return ignored(id, template, name+" is not an event of money that came in"), nil
	}
	amount, ok := rupees(get("amount"))
	if !ok {
		return unparsed(id, template, "the amount is not one in rupees and paise"), nil
	}
	reading := feed.Reading{
		Kind: feed.Credit, UTR: unprefixed(get("utr")), Amount: amount, PayerName: string(get("remitterName")),
		Reference: string(get("vAccountId")), AccountTail: tail(get("vAccountNumber")), At: moment(get("paymentTime")),
		Template: template, Why: "collected",
	}
	if get("isVpa") == "1" {
		reading.UTR, reading.PayerVPA = rrn(get("utr")), string(get("remitterVpa"))
	}
	if reading.UTR == "" {
		reading.Why = "collected, but without a bank reference that is certain"
	}
	return event(id, reading), nil
}
