package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Office takes withdrawals; a [payout.Office] is one.
type Office interface {
	// Create takes a withdrawal, see [payout.Office.Create].
	Create(ctx context.Context, r payout.Request) (*payout.Withdrawal, error)
	// TakeNews takes a webhook of a desk's provider, see [payout.Office.TakeNews].
	TakeNews(ctx context.Context, desk string, header http.Header, body []byte) error
}

// Vault is read for withdrawals and balances; every [payout.Store] is one.
type Vault interface {
	// FindWithdrawalByKey returns a withdrawal, or [payout.ErrNoWithdrawal].
	FindWithdrawalByKey(ctx context.Context, key payout.Key) (*payout.Withdrawal, error)
	// MerchantBalance gives what a merchant may withdraw, and what is held.
	MerchantBalance(ctx context.Context, merchant string) (available, held money.Paise, err error)
}

// signer finds the merchant that a withdrawal names, by host or on a single host
// by ?merchant=; its signature is proven by the call (protocol, section 6).
func (d *Door) signer(next answer) answer {
	return func(c *call) (any, error) {
		if c.merchant = d.named(c); c.merchant == nil {
			c.dir = d.Directory.Look(c.Context())
			c.merchant = d.named(c)
		}
		if c.merchant == nil {
			return nil, errNotFound
		}
		return next(c)
	}
}

func (d *Door) named(c *call) *directory.Merchant {
	sub, domain, _ := strings.Cut(hostname(c.Host), ".")
	m := c.dir.MerchantByDomain(domain)
	switch {
	case m != nil && sub != "api":
		return nil
	case m == nil:
		m = c.dir.Merchant(c.query.Get("merchant"))
	}
	if m == nil || m.Retired || !m.Allows(d.ClientAddr(c.Request)) {
		return nil
	}
	return m
}

// withdraw asks for a withdrawal: POST /v2/withdrawal/create.
func (d *Door) withdraw(c *call) (any, error) {
	body, err := c.body(maxBody)
	if err != nil {
		return nil, err
	}
	switch err := payout.VerifySignature(c.merchant.Secrets.WithdrawalKey.Reveal(), body); {
	case errors.Is(err, payout.ErrSignature):
		return nil, &requestError{status: http.StatusForbidden, message: "The signature is not right: sign the values of all fields but signature, sorted by name, joined with colons"}
	case err != nil:
		if field, ok := errors.AsType[*payout.FieldError](err); ok {
			return nil, badRequest(fieldErrors{{field.Field, field.Err.Error()}})
		}
		return nil, err
	}
	r, err := parseWithdrawal(body)
	if err != nil {
		return nil, err
	}
	r.Merchant, r.CreatedBy = c.merchant.ID, "api:"+c.merchant.ID
	w, err := d.Office.Create(c.Context(), r)
	if refusal, ok := errors.AsType[*payout.Refusal](err); ok {
		if refusal.Code == payout.InsufficientBalance {
			return insufficient{"fail", map[string][]string{"withdrawals_sum_amount": {"Insufficient balance"}}}, nil
		}
		return failure{Status: "fail", Message: refusal.Message}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take a withdrawal: %w", err)
	}
	return withdrawalTaken{"ok", w.WithdrawalID}, nil
}

type withdrawalTaken struct {
	Status       string `json:"status"`
	WithdrawalID string `json:"withdrawal_id"`
}

// insufficient is the one refusal whose message is by field (protocol, section 6).
type insufficient struct {
	Status  string              `json:"status"`
	Message map[string][]string `json:"message"`
}

const maxWithdrawalText = 36

var accountName = regexp.MustCompile(`^[a-zA-Z\s]{1,30}$`)

// parseWithdrawal reads the body (protocol, section 6). The error is a
// *requestError.
func parseWithdrawal(body []byte) (payout.Request, error) {
	f, err := readFields(body)
	if err != nil {
		return payout.Request{}, err
	}
	r := payout.Request{
		Method: f.text("payment_system"), Amount: f.requiredAmount("amount"), Currency: f.currency("currency_code"),
		Test: f.flag("is_test"), Label: f.short("label"),
	}
	if len(f.values["withdrawal_id"]) > 0 && f.values["withdrawal_id"][0] != 'n' {
		r.WithdrawalID = f.short("withdrawal_id")
	}
	if r.Currency != "" && r.Currency != money.INR {
		f.wrong("currency_code", "must be INR")
	}
	if r.Account, err = upi.ParseAccountNumber(f.text("account_number")); err != nil {
		f.wrong("account_number", "must be the 9 to 18 digits of an account number")
	}
	if r.Name = f.text("account_name"); !accountName.MatchString(r.Name) {
		f.wrong("account_name", "must be 1 to 30 letters and spaces")
	}
	details := f.object("bank_details")
	branch := details.optional("branch_code")
	if branch == "" {
		branch = details.optional("bank_code")
	}
	if r.IFSC, err = upi.ParseIFSC(branch); err != nil || string(r.IFSC) != branch {
		f.wrong("bank_details.branch_code", "must be an IFSC such as HDFC0000001")
	}
	f.object("payments_details")
	return r, f.once()
}

// maxNews is the largest webhook of a payout provider.
const maxNews = 1 << 20

// news takes a webhook of a payout desk's provider: POST /payouts/{desk}. A desk
// that is not there and a wrong signature look alike.
func (d *Door) news(c *call) (any, error) {
	body, err := c.body(maxNews)
	if err != nil {
		return nil, err
	}
	desk := c.PathValue("desk")
	switch err := d.Office.TakeNews(c.Context(), desk, c.Header, body); {
	case errors.Is(err, payout.ErrStranger):
		d.Metrics.PayoutStrangers.Inc()
		d.Log.LogAttrs(c.Context(), slog.LevelWarn, "a webhook for payouts was not proven", slog.Any("error", err))
		return nil, errNotFound
	case errors.Is(err, payout.ErrNews):
		return nil, badBody("is not what the provider of this desk sends")
	case err != nil:
		return nil, fmt.Errorf("take a webhook for payouts: %w", err)
	}
	return taken{"ok"}, nil
}

type taken struct {
	Status string `json:"status"`
}

// withdrawalAnswer is where a withdrawal stands.
type withdrawalAnswer struct {
	Status           string      `json:"status"`
	WithdrawalID     string      `json:"withdrawal_id"`
	WithdrawalStatus string      `json:"withdrawal_status"`
	Amount           money.Paise `json:"amount"`
	CurrencyCode     string      `json:"currency_code"`
	Label            string      `json:"label"`
	TransactionID    *string     `json:"transaction_id"` // the bank's reference; null before it is known
	Message          string      `json:"message,omitempty"`
	CreatedAt        string      `json:"created_datetime"`
	SettledAt        *string     `json:"settled_datetime"` // null before it is final
}

// withdrawalStatus tells how a withdrawal stands: GET /v2/withdrawal/status.
func (d *Door) withdrawalStatus(c *call) (any, error) {
	f := new(fields)
	id := f.check("withdrawal_id", c.query.Get("withdrawal_id"))
	if err := f.err(); err != nil {
		return nil, err
	}
	w, err := d.Vault.FindWithdrawalByKey(c.Context(), payout.Key{Merchant: c.merchant.ID, WithdrawalID: id})
	if errors.Is(err, payout.ErrNoWithdrawal) {
		return failure{Status: "fail", Message: "This withdrawal_id is not known: create the withdrawal first"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the withdrawal: %w", err)
	}
	answer := withdrawalAnswer{
		Status: "ok", WithdrawalID: w.WithdrawalID, WithdrawalStatus: string(w.State), Amount: w.Amount, CurrencyCode: string(w.Currency),
		Label: w.Label, CreatedAt: datetime(c.merchant, w.CreatedAt),
	}
	if w.BankRef != "" {
		answer.TransactionID = &w.BankRef
	}
	if w.State.Final() {
		settled := datetime(c.merchant, w.SettledAt)
		answer.SettledAt = &settled
	}
	return answer, nil
}

// balanceAnswer is what a merchant may withdraw.
type balanceAnswer struct {
	Status   string          `json:"status"`
	Balances []balanceOfCode `json:"balances"`
}

// balanceOfCode is the merchant's money in one currency: what is held by
// withdrawals, and what is free.
type balanceOfCode struct {
	Code      string      `json:"currency_code"`
	Balance   money.Paise `json:"balance"`
	Held      money.Paise `json:"held"`
	Available money.Paise `json:"available"`
}

// balance tells what the merchant may withdraw: GET /v2/balance.
func (d *Door) balance(c *call) (any, error) {
	available, held, err := d.Vault.MerchantBalance(c.Context(), c.merchant.ID)
	if err != nil {
		return nil, fmt.Errorf("read the balance: %w", err)
	}
	return balanceAnswer{"ok", []balanceOfCode{{string(money.INR), available + held, held, available}}}, nil
}

// short reads a required text of a withdrawal.
func (f *fields) short(name string) string {
	text := f.text(name)
	if utf8.RuneCountInString(text) > maxWithdrawalText {
		f.wrong(name, fmt.Sprintf("must have at most %d characters", maxWithdrawalText))
	}
	return text
}

// flag reads a switch; missing and null are off.
func (f *fields) flag(name string) bool {
	switch text := string(f.values[name]); text {
	case "true":
		return true
	case "", "null", "false":
		return false
	default:
		f.wrong(name, "must be true or false")
		return false
	}
}

// object reads an object; missing and null are empty. What is wrong inside is the
// caller's to name.
func (f *fields) object(name string) *fields {
	inner := new(fields)
	if raw := f.values[name]; len(raw) > 0 && raw[0] != 'n' {
		if err := json.Unmarshal(raw, &inner.values); err != nil {
			f.wrong(name, "must be an object")
		}
	}
	return inner
}

// optional is a text that may be missing.
func (f *fields) optional(name string) string {
	text, _ := f.scalar(name, "a string")
	return text
}

// once is err with one reason for each field: the first.
func (f *fields) once() error {
	seen := make(map[string]bool)
	f.errors = slices.DeleteFunc(f.errors, func(e fieldError) bool {
		known := seen[e.field]
		seen[e.field] = true
		return known
	})
	return f.err()
}
