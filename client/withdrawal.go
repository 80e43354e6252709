package client

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol fixes the algorithm (section 6)
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // likewise
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// IMPS is the payment system of withdrawals (protocol, section 6).
const IMPS = "imps_ib"

// Withdrawal is a payout to a bank account (protocol, section 6).
type Withdrawal struct {
	// ID is the merchant's own, unique, 1 to 36 characters. Store it before
	// the call: whoever has it can send the same withdrawal again and it stays
	// one. Where it is empty, one is made.
	ID            string
	Label         string         // whom it is for, 1 to 36 characters
	Amount        money.Paise    // within the configured minimum and maximum
	Currency      money.Currency // INR where it is empty
	PaymentSystem string         // IMPS where it is empty
	AccountNumber string         // 9 to 18 digits
	AccountName   string         // 1 to 30 letters and spaces
	IFSC          upi.IFSC       // of the account's branch
	Test          bool           // moves no money and holds none
}

// fields are the withdrawal as it is sent, without its signature.
func (w Withdrawal) fields() map[string]any {
	system := w.PaymentSystem
	if system == "" {
		system = IMPS
	}
	return map[string]any{
		"withdrawal_id":    w.ID,
		"payment_system":   system,
		"amount":           w.Amount,
		"currency_code":    string(currencyOr(w.Currency)),
		"is_test":          w.Test,
		"label":            w.Label,
		"account_number":   w.AccountNumber,
		"account_name":     w.AccountName,
		"bank_details":     map[string]any{"branch_code": string(w.IFSC)},
		"payments_details": map[string]any{},
	}
}

// signWithdrawal is sha1(private_key + md5(s)), each digest in hex, over the
// fields as [signedText] joins them.
func signWithdrawal(key string, fields map[string]any) string {
	inner := md5.Sum([]byte(signedText(fields)))                  //nolint:gosec // fixed by the protocol
	outer := sha1.Sum([]byte(key + hex.EncodeToString(inner[:]))) //nolint:gosec // fixed by the protocol
	return hex.EncodeToString(outer[:])
}

// signedText joins the values of all fields, sorted by name: true is 1, false
// is empty, an object is its own values in the same way.
func signedText(fields map[string]any) string {
	var parts []string
	for _, name := range sortedKeys(fields) {
		switch value := fields[name].(type) {
		case string:
			parts = append(parts, value)
		case money.Paise:
			parts = append(parts, value.String()) // as its JSON is
		case bool:
			text := ""
			if value {
				text = "1"
			}
			parts = append(parts, text)
		case map[string]any:
			parts = append(parts, signedText(value))
		}
	}
	return strings.Join(parts, ":")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ErrUncertain is a withdrawal that may have been taken or not: no answer came,
// or none that tells.
var ErrUncertain = errors.New("whether the withdrawal was taken is not known: ask for its status, or send it again under the same id and never under another")

// Withdraw asks for a payout and returns its id, with an error, too. An
// *[Error] is a withdrawal that was refused, [ErrInsufficientBalance] among
// them; [ErrUncertain] is one that may have been taken.
func (c *Client) Withdraw(ctx context.Context, w Withdrawal) (id string, err error) {
	if c.config.WithdrawalKey == "" {
		return w.ID, errors.New("client: Config.WithdrawalKey is needed: the merchant's withdrawal_private_key")
	}
	if w.ID == "" {
		w.ID = rand.Text()
	}
	body := w.fields()
	body["signature"] = signWithdrawal(c.config.WithdrawalKey, w.fields())
	r := request{method: http.MethodPost, path: "/v2/withdrawal/create", body: body, signed: true}
	if c.config.Merchant != "" {
		r.query = url.Values{"merchant": {c.config.Merchant}} // needed on a single host
	}
	var answer struct{}
	said, repeated, err := c.call(ctx, r, &answer)
	var refusal *Error
	switch {
	case err == nil && said.Status == StatusOK:
		return w.ID, nil
	case err == nil && said.Status == StatusFail:
		refusal = said.refusal(http.StatusOK)
	case err == nil:
		return w.ID, fmt.Errorf("%w: it was answered with status %q", ErrUncertain, said.Status)
	case !errors.As(err, &refusal) || refusal.Status < http.StatusBadRequest || refusal.Status >= http.StatusInternalServerError:
		return w.ID, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	if !repeated {
		return w.ID, refusal
	}
	// An attempt before this one may have been taken, and this one be refused
	// for that alone.
	switch _, err := c.WithdrawalStatus(ctx, w.ID); {
	case err == nil:
		return w.ID, nil
	case errors.Is(err, ErrUnknown):
		return w.ID, refusal
	default:
		return w.ID, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
}

// WithdrawalState is where a withdrawal stands (protocol, section 6).
type WithdrawalState string

// The states of a withdrawal. The amount is held at New, leaves at Succeeded
// and returns at Failed and Canceled.
const (
	WithdrawalNew        WithdrawalState = "new"
	WithdrawalApproved   WithdrawalState = "approved"
	WithdrawalProcessing WithdrawalState = "processing"
	WithdrawalSucceeded  WithdrawalState = "success"
	WithdrawalFailed     WithdrawalState = "failed"
	WithdrawalCanceled   WithdrawalState = "canceled"
)

// Final reports whether the state stays as it is; a postback tells it.
func (s WithdrawalState) Final() bool {
	return s == WithdrawalSucceeded || s == WithdrawalFailed || s == WithdrawalCanceled
}

// Payout is what the gateway knows of a withdrawal.
type Payout struct {
	ID            string          `json:"withdrawal_id"`
	State         WithdrawalState `json:"withdrawal_status"`
	Amount        money.Paise     `json:"amount"`
	Currency      money.Currency  `json:"currency_code"`
	TransactionID string          `json:"transaction_id"` // the bank's reference; empty before it has one
}

// WithdrawalStatus asks how a withdrawal stands. The error is [ErrUnknown]
// where the gateway has none of that id.
func (c *Client) WithdrawalStatus(ctx context.Context, id string) (Payout, error) {
	var answer Payout
	said, _, err := c.call(ctx, request{
		method: http.MethodGet, path: "/v2/withdrawal/status", query: url.Values{"withdrawal_id": {id}},
	}, &answer)
	switch {
	case err != nil:
		return Payout{}, err
	case said.Status == StatusFail:
		return Payout{}, fmt.Errorf("%w: %w", ErrUnknown, said.refusal(http.StatusOK))
	case answer.ID != id:
		return Payout{}, errors.New("client: the gateway answered for another withdrawal")
	default:
		return answer, nil
	}
}

// Balance is what the merchant has in a currency.
type Balance struct {
	Currency  money.Currency `json:"currency_code"`
	Total     money.Paise    `json:"balance"`
	Held      money.Paise    `json:"held"`      // for withdrawals under way
	Available money.Paise    `json:"available"` // for further ones
}

// Balances asks what the merchant has, by currency (protocol, section 6).
func (c *Client) Balances(ctx context.Context) ([]Balance, error) {
	var answer struct {
		Balances []Balance `json:"balances"`
	}
	said, _, err := c.call(ctx, request{method: http.MethodGet, path: "/v2/balance"}, &answer)
	if err == nil && said.Status != StatusOK {
		err = said.refusal(http.StatusOK)
	}
	return answer.Balances, err
}
