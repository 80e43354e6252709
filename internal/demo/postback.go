package demo

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // the protocol fixes the algorithm (section 5)
	"crypto/sha1" //nolint:gosec // likewise; the Standard Webhooks signature stands beside it
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// ErrPostback is a postback that is not the gateway's, or not in itself true.
var ErrPostback = errors.New("not a genuine postback")

// PostbackKeys are what a merchant verifies postbacks with (contract, apply
// file: postback).
type PostbackKeys struct {
	AccessKey, PrivateKey, WebhookSecret string
}

// Postback is a verified deposit postback, as far as the shop needs it.
type Postback struct {
	MessageID string // the same for every repeat
	CreditID  int64
	UTR       upi.UTR
	CustomID  string
	Label     string
	Amount    money.Paise
	Currency  money.Currency
}

// VerifyPostback checks both signatures over a postback (protocol, section 5)
// and that its two halves agree: the older signature does not cover the top
// level. The error wraps ErrPostback.
//
// The clock of the Standard Webhooks signature is the library's own, the
// system's.
func VerifyPostback(header http.Header, body []byte, keys PostbackKeys) (Postback, error) {
	hook, err := standardwebhooks.NewWebhookRaw([]byte(keys.WebhookSecret))
	if err != nil {
		return Postback{}, fmt.Errorf("%w: %w", ErrPostback, err)
	}
	if err := hook.Verify(body, header); err != nil {
		return Postback{}, fmt.Errorf("%w: Standard Webhooks signature: %w", ErrPostback, err)
	}
	var b struct {
		Signature  string          `json:"signature"`
		AccessKey  string          `json:"access_key"`
		Amount     money.Paise     `json:"amount"`
		Currency   money.Currency  `json:"currency_code"`
		Label      string          `json:"label"`
		Direction  string          `json:"direction"`
		Method     string          `json:"wallet_type"`
		Additional json.RawMessage `json:"additional_data"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return Postback{}, fmt.Errorf("%w: %w", ErrPostback, err)
	}
	if !legacySigned(b.Signature, b.Additional, keys) {
		return Postback{}, fmt.Errorf("%w: the signature in the body is wrong", ErrPostback)
	}
	var items []struct {
		Amount   money.Paise    `json:"amount"`
		Currency money.Currency `json:"currency_code"`
		Method   string         `json:"wallet_type"`
		CreditID int64          `json:"stockpiling_id"`
		UTR      upi.UTR        `json:"transaction_id"`
		CustomID string         `json:"plugin_custom_order_id"`
	}
	if err := json.Unmarshal(b.Additional, &items); err != nil {
		return Postback{}, fmt.Errorf("%w: additional_data: %w", ErrPostback, err)
	}
	switch {
	case len(items) != 1:
		return Postback{}, fmt.Errorf("%w: additional_data has %d items instead of one", ErrPostback, len(items))
	case b.AccessKey != keys.AccessKey:
		return Postback{}, fmt.Errorf("%w: it has another access key", ErrPostback)
	case b.Direction != "ingoing":
		return Postback{}, fmt.Errorf("%w: it is no deposit", ErrPostback)
	case b.Amount <= 0 || items[0].Amount != b.Amount || items[0].Currency != b.Currency || items[0].Method != b.Method:
		return Postback{}, fmt.Errorf("%w: its top level and additional_data disagree", ErrPostback)
	}
	return Postback{
		MessageID: header.Get(standardwebhooks.HeaderWebhookID), CreditID: items[0].CreditID, UTR: items[0].UTR,
		CustomID: items[0].CustomID, Label: b.Label, Amount: b.Amount, Currency: b.Currency,
	}, nil
}

// legacySigned checks sha1(access_key + private_key + md5(additional_data)),
// each digest in hex.
func legacySigned(signature string, additional json.RawMessage, keys PostbackKeys) bool {
	var compact bytes.Buffer
	if json.Compact(&compact, additional) != nil {
		return false
	}
	inner := md5.Sum(compact.Bytes())                                                          //nolint:gosec // fixed by the protocol
	outer := sha1.Sum([]byte(keys.AccessKey + keys.PrivateKey + hex.EncodeToString(inner[:]))) //nolint:gosec // fixed by the protocol
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(outer[:])), []byte(signature)) == 1
}
