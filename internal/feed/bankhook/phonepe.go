package bankhook

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/feed"
)

// phonepeBody is either form of a PhonePe body. Response, which only v1 has,
// decides: it alone is covered by v1's signature, so nothing beside it is read.
type phonepeBody struct {
	Response *scalar        `json:"response"`
	Event    scalar         `json:"event"`
	Payload  jsontext.Value `json:"payload"`
}

// verifyPhonePe checks v2 webhooks by the Authorization header, the SHA-256 of
// "user:password" in hexadecimal
// (developer.phonepe.com/…/standard-checkout/…/webhook): it proves the sender
// as a password does, and nothing of the body. v1 callbacks carry X-VERIFY, the
// SHA-256 of the response in base64 followed by the salt key, in hexadecimal,
// "###" and the number of the key (developer.phonepe.com/v1/reference/server-to-server-callback-5).
func verifyPhonePe(r Request, s Secrets) error {
	var body phonepeBody
	if err := decode(r.Body, &body); err != nil {
		return fmt.Errorf("%w: %w", ErrBody, err)
	}
	if body.Response != nil {
		if s.Secret == "" {
			return fmt.Errorf("%w: the salt key, for a v1 callback", ErrSecrets)
		}
		given, err := signature(r.Header, "X-Verify")
		if err != nil {
			return err
		}
		sum, _, ok := strings.Cut(given, "###")
		if !ok {
			return fmt.Errorf("%w: no number of the salt key", ErrSignature)
		}
		want := sha256.Sum256([]byte(string(*body.Response) + s.Secret))
		return sameHex(sum, want[:])
	}
	if s.User == "" || s.Password == "" {
		return fmt.Errorf("%w: the webhook's user and password", ErrSecrets)
	}
	given, err := signature(r.Header, "Authorization")
	if err != nil {
		return err
	}
	want := sha256.Sum256([]byte(s.User + ":" + s.Password))
	return sameHex(given, want[:])
}

// readPhonePe reads both forms: amounts are paise, times unix milliseconds.
func readPhonePe(r Request, _ Secrets) (Event, error) {
	var body phonepeBody
	switch err := decode(r.Body, &body); {
	case errors.Is(err, errShape):
		return unparsed("", "phonepe", err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	if body.Response == nil {
		return readPhonePeV2(body), nil
	}
	text, err := base64.StdEncoding.DecodeString(string(*body.Response))
	if err != nil {
		return Event{}, fmt.Errorf("%w: the response is not base64", ErrBody)
	}
	return readPhonePeV1(text)
}

type phonepePayload struct {
	OrderID  scalar `json:"orderId"`
	Merchant scalar `json:"merchantOrderId"`
	State    scalar `json:"state"`
	Amount   scalar `json:"amount"`
	Currency scalar `json:"currency"`
	Payments []struct {
		TransactionID scalar         `json:"transactionId"`
		Timestamp     scalar         `json:"timestamp"`
		Amount        scalar         `json:"amount"`
		State         scalar         `json:"state"`
		Splits        []phonepeSplit `json:"splitInstruments"`
	} `json:"paymentDetails"`
}

type phonepeSplit struct {
	Amount scalar `json:"amount"`
	Rail   struct {
		Type scalar `json:"type"`
		UTR  scalar `json:"utr"`
		VPA  scalar `json:"vpa"`
	} `json:"rail"`
	Instrument struct {
		Holder scalar `json:"accountHolderName"`
	} `json:"instrument"`
}

// readPhonePeV2 goes by event, for type is to be dropped, and by the state of
// the whole order, as PhonePe asks.
func readPhonePeV2(body phonepeBody) Event {
	template := "phonepe/" + string(body.Event)
	var p phonepePayload
	if decode(body.Payload, &p) != nil {
		return unparsed("", template, errShape.Error())
	}
	id := string(p.OrderID)
	amount, ok := paise(p.Amount)
	switch body.Event {
	case "":
		return unparsed(id, "phonepe", "no event is named")
	case "pg.refund.completed":
		if !ok || p.State != "COMPLETED" {
			return ignored(id, template, "a refund: no money came in")
		}
		return event(id, feed.Reading{Kind: feed.Debit, Amount: amount, Template: template, Why: "a refund to the payer"})
	case "checkout.order.completed", "pg.order.completed", "paylink.order.completed":
	default:
		return ignored(id, template, string(body.Event)+" is not an event of money that came in")
	}
	switch {
	case p.State == "":
		return unparsed(id, template, "the order has no state")
	case p.State != "COMPLETED":
		return ignored(id, template, "the order is "+string(p.State))
	case p.Currency != "" && p.Currency != "INR":
		return unparsed(id, template, "not in rupees")
	case !ok:
		return unparsed(id, template, "the amount is not a whole number of paise")
	}
	reading := feed.Reading{Kind: feed.Credit, Amount: amount, Reference: string(p.Merchant), Template: template,
		Why: "completed, but without one UPI reference for the whole amount"}
	// Attempts that failed stand beside the one that paid. Only a payment of the
	// whole amount by one UPI transfer has a UTR; a part paid from elsewhere, such
	// as a wallet, would make the UTR's amount another.
	done := 0
	for _, payment := range p.Payments {
		if payment.State != "COMPLETED" {
			continue
		}
		done++
		if payment.Amount != p.Amount {
			return unparsed(id, template, "the payment is not of the order's amount")
		}
		reading.At = unix(payment.Timestamp, time.Millisecond)
		if len(payment.Splits) != 1 {
			continue
		}
		if split := payment.Splits[0]; split.Rail.Type == "UPI" && split.Amount == p.Amount {
			reading.UTR = rrn(split.Rail.UTR)
			reading.PayerVPA, reading.PayerName = string(split.Rail.VPA), string(split.Instrument.Holder)
		}
	}
	if done > 1 {
		return unparsed(id, template, "more than one payment of the order is completed")
	}
	if reading.UTR != "" {
		reading.Why = "completed"
	}
	return event(id, reading)
}

// readPhonePeV1 reads the response of a v1 callback, which has no time. The
// callback of a refund says PAYMENT_SUCCESS too, and names no instrument that
// was paid with, so without one nothing counts.
func readPhonePeV1(text []byte) (Event, error) {
	const template = "phonepe/v1"
	var response struct {
		Code scalar `json:"code"`
		Data struct {
			Merchant   scalar `json:"merchantTransactionId"`
			Original   scalar `json:"originalTransactionId"`
			ID         scalar `json:"transactionId"`
			Amount     scalar `json:"amount"`
			State      scalar `json:"state"`
			Instrument *struct {
				Type scalar `json:"type"`
				UTR  scalar `json:"utr"`
			} `json:"paymentInstrument"`
		} `json:"data"`
	}
	switch err := decode(text, &response); {
	case errors.Is(err, errShape):
		return unparsed("", template, err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	d := &response.Data
	id := string(d.ID)
	amount, ok := paise(d.Amount)
	switch {
	case response.Code == "":
		return unparsed(id, template, "no code is named"), nil
	case response.Code != "PAYMENT_SUCCESS":
		return ignored(id, template, "the code is "+string(response.Code)), nil
	case d.State == "":
		return unparsed(id, template, "the payment has no state"), nil
	case d.State != "COMPLETED":
		return ignored(id, template, "the payment is "+string(d.State)), nil
	case d.Original != "":
		return ignored(id, template, "a refund: no money came in"), nil
	case d.Instrument == nil || d.Instrument.Type == "":
		return unparsed(id, template, "no instrument is named: it may be a refund"), nil
	case !ok:
		return unparsed(id, template, "the amount is not a whole number of paise"), nil
	}
	reading := feed.Reading{Kind: feed.Credit, Amount: amount, Reference: string(d.Merchant), Template: template, Why: "completed"}
	if d.Instrument.Type == "UPI" {
		reading.UTR = rrn(d.Instrument.UTR)
	}
	if reading.UTR == "" {
		reading.Why = "completed, but without a UPI reference"
	}
	return event(id, reading), nil
}
