package client

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // the protocol fixes the algorithm (section 5)
	"crypto/sha1" //nolint:gosec // likewise; the Standard Webhooks signature stands beside it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Keys are what a merchant verifies postbacks with (apply file: postback).
type Keys struct {
	AccessKey  string `json:"-"`
	PrivateKey string `json:"-"`
	// WebhookSecret is whsec_ and base64, or any other text, whose bytes are
	// the key. Where it is empty, the bytes of PrivateKey serve.
	WebhookSecret string `json:"-"`
}

// Direction is which way money went.
type Direction string

// The directions.
const (
	Ingoing  Direction = "ingoing"  // a deposit
	Outgoing Direction = "outgoing" // a withdrawal
)

// Postback is what the gateway tells of a deposit, or of a withdrawal that
// came to its end (protocol, sections 5 and 6). Its times are time.DateTime in
// the merchant's zone (Asia/Kolkata unless the operator set another).
type Postback struct {
	ID        string // webhook-id: the same for every repeat
	Direction Direction
	Method    string // wallet_type
	Amount    money.Paise
	Currency  money.Currency
	Label     string  // the paying user, as the merchant named it
	CustomID  string  // custom_transaction_id
	UTR       upi.UTR // of a deposit; of a withdrawal the bank's reference
	CreditID  int64   // stockpiling_id
	Payer     string  // masked
	Created   string
	Activated string
	// Converted is the amount in other currencies, digit for digit as it was
	// sent. No float holds it.
	Converted map[money.Currency]json.Number
	// Withdrawal is nil for deposits.
	Withdrawal *WithdrawalResult
}

// WithdrawalResult is how a withdrawal ended.
type WithdrawalResult struct {
	ID            string
	State         WithdrawalState
	AccountNumber string
	AccountName   string
	IFSC          upi.IFSC
}

// Key names what happened, whatever delivers it how often: the payment of a
// deposit, the end of a withdrawal.
func (p *Postback) Key() string {
	if p.Withdrawal != nil {
		return "withdrawal\n" + p.Withdrawal.ID + "\n" + string(p.Withdrawal.State)
	}
	return "deposit\n" + p.CustomID + "\n" + string(p.UTR)
}

// body is a postback as it is sent.
type body struct {
	Signature  string                         `json:"signature"`
	Method     string                         `json:"wallet_type"`
	Amount     money.Paise                    `json:"amount"`
	Currency   money.Currency                 `json:"currency_code"`
	Label      string                         `json:"label"`
	Converted  map[money.Currency]json.Number `json:"converted_amount"`
	Direction  Direction                      `json:"direction"`
	Created    string                         `json:"created_datetime"`
	AccessKey  string                         `json:"access_key"`
	Additional json.RawMessage                `json:"additional_data"`
}

// item is the one element of additional_data.
type item struct {
	Activated        string          `json:"activated_datetime"`
	Payer            string          `json:"exchanger_identifier"`
	Amount           money.Paise     `json:"amount"`
	Currency         money.Currency  `json:"currency_code"`
	Method           string          `json:"wallet_type"`
	CreditID         int64           `json:"stockpiling_id"`
	UTR              upi.UTR         `json:"transaction_id"`
	Type             int             `json:"transaction_type"`
	CustomID         string          `json:"plugin_custom_order_id"`
	WithdrawalID     string          `json:"withdrawal_id"`
	WithdrawalStatus WithdrawalState `json:"withdrawal_status"`
	AccountNumber    string          `json:"account_number"`
	AccountName      string          `json:"account_name"`
	Bank             struct {
		BranchCode upi.IFSC `json:"branch_code"`
	} `json:"bank_details"`
}

// ErrPostback is a postback that is not the gateway's, or not in itself true.
var ErrPostback = errors.New("client: not a genuine postback")

// Tolerance is how far a postback's timestamp may be from the clock. Every
// repeat is sent under a timestamp of its own.
const Tolerance = 5 * time.Minute

// Verifier tells the gateway's postbacks from others.
type Verifier struct {
	keys  []Keys
	hooks []*standardwebhooks.Webhook
}

// NewVerifier makes a verifier of one set of keys, or of two while they are
// replaced: a repeat keeps the signature it was first sent with.
func NewVerifier(keys ...Keys) (*Verifier, error) {
	if len(keys) == 0 {
		return nil, errors.New("client: keys are needed to verify postbacks: access_key and private_key of the apply file")
	}
	v := &Verifier{keys: keys}
	for _, k := range keys {
		if k.AccessKey == "" || k.PrivateKey == "" {
			return nil, errors.New("client: AccessKey and PrivateKey are needed: anybody could sign with an empty key")
		}
		secret := []byte(k.WebhookSecret)
		if encoded, ok := strings.CutPrefix(k.WebhookSecret, "whsec_"); ok {
			var err error
			if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil || len(secret) == 0 {
				return nil, errors.New("client: what follows whsec_ in WebhookSecret is not base64")
			}
		}
		if len(secret) == 0 {
			secret = []byte(k.PrivateKey)
		}
		hook, err := standardwebhooks.NewWebhookRaw(secret)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		v.hooks = append(v.hooks, hook)
	}
	return v, nil
}

// Check is one thing that a postback is held to.
type Check struct {
	Name string // for people, such as "webhook signature"
	Err  error  // why it failed; nil where it holds
}

// Verify reads a postback. The body is the request's, byte for byte. The error
// wraps [ErrPostback] and names the first check that failed.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) (Postback, error) {
	p, checks := v.Inspect(header, body, now)
	for _, c := range checks {
		if c.Err != nil {
			return Postback{}, fmt.Errorf("%w: %s: %w", ErrPostback, c.Name, c.Err)
		}
	}
	return p, nil
}

// Inspect is [Verifier.Verify] for people: it makes every check, and reads as
// much as there is to read. Its postback is to be believed only where every
// check holds.
func (v *Verifier) Inspect(header http.Header, raw []byte, now time.Time) (Postback, []Check) {
	var b body
	var items []item
	read := json.Unmarshal(raw, &b)
	if read == nil {
		if read = json.Unmarshal(b.Additional, &items); read == nil && len(items) != 1 {
			read = fmt.Errorf("additional_data has %d elements instead of one", len(items))
		}
	}
	checks := []Check{
		{"webhook signature", v.webhookSigned(header, raw)},
		{"webhook timestamp", onTime(header, now)},
		{"body", read},
	}
	if read != nil {
		return Postback{}, checks
	}
	p := postbackOf(header, &b, &items[0])
	return p, append(checks,
		Check{"legacy signature", v.legacySigned(&b)},
		Check{"agreement", agreement(&b, &items[0])},
	)
}

func (v *Verifier) webhookSigned(header http.Header, raw []byte) error {
	err := signedBy(v.hooks, header, raw)
	if errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
		return errors.New("it is signed with another key than webhook_secret (private_key where there is none), or the body or the headers were changed on the way")
	}
	return err
}

// signedBy checks a Standard Webhooks signature by any of the keys.
func signedBy(hooks []*standardwebhooks.Webhook, header http.Header, raw []byte) error {
	var err error
	for _, hook := range hooks {
		if err = hook.VerifyIgnoringTimestamp(raw, header); err == nil {
			return nil
		}
	}
	if errors.Is(err, standardwebhooks.ErrRequiredHeaders) {
		return errors.New("webhook-id, webhook-timestamp or webhook-signature is missing: does a proxy drop headers?")
	}
	return err
}

func onTime(header http.Header, now time.Time) error {
	seconds, err := strconv.ParseInt(header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil {
		return errors.New("there is none")
	}
	const shown = time.Second
	switch ahead := time.Unix(seconds, 0).Sub(now); {
	case ahead > Tolerance:
		return fmt.Errorf("it is %s ahead of this computer's clock", ahead.Round(shown))
	case ahead < -Tolerance:
		return fmt.Errorf("it is %s old: a recording that is played again, or this computer's clock is wrong", (-ahead).Round(shown))
	default:
		return nil
	}
}

// legacySigned checks sha1(access_key + private_key + md5(additional_data)),
// each digest in hex, over the bytes as they came.
func (v *Verifier) legacySigned(b *body) error {
	inner := md5.Sum(b.Additional) //nolint:gosec // fixed by the protocol
	known := false
	for _, k := range v.keys {
		if !hmac.Equal([]byte(b.AccessKey), []byte(k.AccessKey)) {
			continue
		}
		known = true
		outer := sha1.Sum([]byte(k.AccessKey + k.PrivateKey + hex.EncodeToString(inner[:]))) //nolint:gosec // fixed by the protocol
		if hmac.Equal([]byte(b.Signature), []byte(hex.EncodeToString(outer[:]))) {
			return nil
		}
	}
	if !known {
		return errors.New("access_key is another one")
	}
	return errors.New("it is signed with another private_key, or additional_data was changed or written anew on the way")
}

// agreement compares the top level, which the legacy signature does not cover,
// with additional_data.
func agreement(b *body, i *item) error {
	var wrong []string
	for _, pair := range []struct {
		name  string
		agree bool
	}{
		{"amount", b.Amount == i.Amount && b.Amount > 0},
		{"currency_code", b.Currency == i.Currency},
		{"wallet_type", b.Method == i.Method},
		{"direction and transaction_type", b.Direction == Ingoing && i.Type == 0 || b.Direction == Outgoing && i.Type == 1},
		{"direction and withdrawal_id", (b.Direction == Outgoing) == (i.WithdrawalID != "")},
	} {
		if !pair.agree {
			wrong = append(wrong, pair.name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the top level and additional_data disagree in %s", strings.Join(wrong, ", "))
	}
	return nil
}

func postbackOf(header http.Header, b *body, i *item) Postback {
	p := Postback{
		ID:        header.Get(standardwebhooks.HeaderWebhookID),
		Direction: b.Direction, Method: b.Method, Amount: b.Amount, Currency: b.Currency, Label: b.Label,
		CustomID: i.CustomID, UTR: i.UTR, CreditID: i.CreditID, Payer: i.Payer,
		Created: b.Created, Activated: i.Activated, Converted: b.Converted,
	}
	if b.Direction == Outgoing {
		p.Withdrawal = &WithdrawalResult{
			ID: i.WithdrawalID, State: i.WithdrawalStatus,
			AccountNumber: i.AccountNumber, AccountName: i.AccountName, IFSC: i.Bank.BranchCode,
		}
	}
	return p
}
