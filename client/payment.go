package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Status is where a payment stands, in the protocol's words (section 3).
type Status string

// The states of a payment.
const (
	// StatusOK: the money is there and credited; the postback follows.
	StatusOK Status = "ok"
	// StatusPending: a person, or a later fact, decides.
	StatusPending Status = "pending"
	// StatusWaiting: no feed has reported the UTR yet; its credit settles the
	// payment by itself.
	StatusWaiting Status = "possible_transaction_created"
	// StatusFail: it is not credited; the message says why.
	StatusFail Status = "fail"
)

// Outcome is where a payment stands.
type Outcome struct {
	Status   Status
	Message  string         // for people; empty with StatusOK
	Amount   money.Paise    // what was credited; 0 unless StatusOK
	Currency money.Currency // of Amount
}

// Open reports whether the outcome can still turn into another.
func (o Outcome) Open() bool { return o.Status == StatusPending || o.Status == StatusWaiting }

// outcomeAnswer is an outcome as it is sent.
type outcomeAnswer struct {
	Amount   money.Paise `json:"deposit_amount"`
	Currency struct {
		Code money.Currency `json:"code"`
	} `json:"currency"`
}

func (a outcomeAnswer) outcome(said envelope) (Outcome, error) {
	switch said.Status {
	case StatusOK, StatusPending, StatusWaiting, StatusFail:
		return Outcome{Status: said.Status, Message: said.Message.text, Amount: a.Amount, Currency: a.Currency.Code}, nil
	default:
		return Outcome{}, errors.New("client: the gateway answered with a status that this version does not know: " + string(said.Status))
	}
}

// Assignment asks where a payer is to pay.
type Assignment struct {
	Method   string         // wallet_type, such as upi_l
	Label    string         // the merchant's name for the paying user, 1 to 190 characters
	Currency money.Currency // INR where it is empty
	Amount   money.Paise    // for the link; 0 leaves it to the payer
}

// Wallet is where a payer is to pay.
type Wallet struct {
	Identifier upi.VPA
	Name       string
	UPILink    string    // upi://pay?…, also the text of a QR code
	ExpiresAt  time.Time // ask again after that
}

// Create assigns a wallet to a payer (protocol, section 2). The same label
// gets the same wallet while its assignment lives. The error is an *[Error]
// of HTTP 200 where the method is off, unknown, or has no wallet free.
func (c *Client) Create(ctx context.Context, a Assignment) (Wallet, error) {
	body := struct {
		Currency money.Currency `json:"currency"`
		Label    string         `json:"label"`
		Amount   money.Paise    `json:"amount,omitzero"`
	}{currencyOr(a.Currency), a.Label, a.Amount}
	if a.Method == "" {
		return Wallet{}, errors.New("client: Method is needed, such as upi_l")
	}
	var answer struct {
		Params struct {
			Identifier upi.VPA   `json:"identifier"`
			Name       string    `json:"name"`
			UPILink    string    `json:"upi_link"`
			ExpiresAt  time.Time `json:"expires_at"`
		} `json:"params"`
	}
	said, _, err := c.call(ctx, request{
		method: http.MethodPost, path: "/api/v1/transaction/create/" + url.PathEscape(a.Method), body: body,
	}, &answer)
	if err == nil && said.Status != StatusOK {
		err = said.refusal(http.StatusOK)
	}
	return Wallet(answer.Params), err
}

// Activation claims a payment by the UTR that the payer was given.
type Activation struct {
	Method   string         // wallet_type
	Label    string         // the paying user, as in [Assignment]
	UTR      upi.UTR        // 12 digits
	Amount   money.Paise    // what was paid
	Currency money.Currency // INR where it is empty
	CustomID string         // the merchant's own id of the payment, unique
}

// Activate asks for a payment to be credited (protocol, section 3). It may be
// called again at any time: the same id with the same content gives the
// payment's present outcome. StatusFail is an outcome, not an error; the error
// is an *[Error] where the request was not valid.
func (c *Client) Activate(ctx context.Context, a Activation) (Outcome, error) {
	body := struct {
		Currency money.Currency `json:"currency_code"`
		Method   string         `json:"wallet_type"`
		Label    string         `json:"label"`
		UTR      upi.UTR        `json:"key1"`
		Amount   money.Paise    `json:"amount"`
		CustomID string         `json:"custom_transaction_id"`
	}{currencyOr(a.Currency), a.Method, a.Label, a.UTR, a.Amount, a.CustomID}
	var answer outcomeAnswer
	said, _, err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/transaction/activate", body: body}, &answer)
	if err != nil {
		return Outcome{}, err
	}
	return answer.outcome(said)
}

// Payment is what the gateway knows of an activated payment. Its times are
// time.DateTime in the merchant's zone (Asia/Kolkata unless the operator set
// another), as the protocol has them.
type Payment struct {
	Outcome
	CustomID  string
	Label     string
	Created   string
	Activated string // empty before it is credited
}

// Status asks how an activated payment stands (protocol, section 3). The error
// is [ErrUnknown] where none was activated under that id.
func (c *Client) Status(ctx context.Context, customID string) (Payment, error) {
	var answer struct {
		outcomeAnswer
		details
	}
	said, _, err := c.call(ctx, request{
		method: http.MethodGet, path: "/api/v1/transaction/status", query: url.Values{"custom_transaction_id": {customID}},
	}, &answer)
	if err != nil {
		return Payment{}, err
	}
	outcome, err := answer.outcome(said)
	if err != nil {
		return Payment{}, err
	}
	if answer.CustomID != customID {
		return Payment{}, ErrUnknown
	}
	return Payment{Outcome: outcome, CustomID: answer.CustomID, Label: answer.Label, Created: answer.Created, Activated: answer.Activated}, nil
}

// details name and date a payment.
type details struct {
	CustomID  string `json:"custom_transaction_id"`
	Label     string `json:"label"`
	Created   string `json:"created_datetime"`
	Activated string `json:"activated_datetime"`
}

// Method is a way to pay that is on and usable now.
type Method struct {
	Type     string         `json:"type"` // wallet_type
	Currency money.Currency `json:"currency_code"`
	Order    int            `json:"order"`
	Name     string         `json:"name"`
	Logo     string         `json:"logo"`      // URL of an image
	IsManual bool           `json:"is_manual"` // the payer types the UTR
}

// Methods lists the ways to pay that are on and have a wallet free (protocol,
// section 3). The label is the paying user, and may be empty.
func (c *Client) Methods(ctx context.Context, label string) ([]Method, error) {
	query := url.Values{"currency_code[]": {string(money.INR)}}
	if label != "" {
		query.Set("label", label)
	}
	var answer struct {
		Params struct {
			Wallets []Method `json:"wallets"`
		} `json:"params"`
	}
	said, _, err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/payment-systems/available", query: query}, &answer)
	if err == nil && said.Status != StatusOK {
		err = said.refusal(http.StatusOK)
	}
	return answer.Params.Wallets, err
}
