package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// WebhookEvent is what a webhook is told, beside the postbacks (docs/events.md).
// One of the pointers is set, by the type's group; none is for a type that this
// package does not know, which is to be ignored. Times are UTC.
type WebhookEvent struct {
	ID   string    // webhook-id: the same for every repeat
	Type string    // such as "deposit.expired"
	At   time.Time // when it happened; events may come in another order
	Data json.RawMessage

	Deposit    *DepositEvent
	Withdrawal *WithdrawalEvent
	Credit     *CreditEvent
	Feed       *FeedEvent
	Endpoint   *EndpointEvent
	Report     *ReportEvent
}

// DepositEvent is the data of deposit.*: a claim as it stood then.
type DepositEvent struct {
	DepositID string         `json:"deposit_id"`
	Merchant  string         `json:"merchant"`
	CustomID  string         `json:"custom_transaction_id"`
	Label     string         `json:"label"`
	Method    string         `json:"wallet_type"`
	Status    string         `json:"status"`
	Amount    money.Paise    `json:"amount"`           // that was claimed
	Deposited *money.Paise   `json:"deposited_amount"` // that was credited; nil before
	Currency  money.Currency `json:"currency"`
	UTR       upi.UTR        `json:"utr"`
	CreditID  string         `json:"credit_id"`
	Payer     string         `json:"payer"` // masked
	CreatedAt time.Time      `json:"created_at"`
	SettledAt time.Time      `json:"settled_at"` // zero before
	Reasons   []string       `json:"reasons"`    // for the installation's owner alone
}

// WithdrawalEvent is the data of withdrawal.*.
type WithdrawalEvent struct {
	WithdrawalID  string          `json:"withdrawal_id"`
	Merchant      string          `json:"merchant"`
	Label         string          `json:"label"`
	PaymentSystem string          `json:"payment_system"`
	Status        WithdrawalState `json:"status"`
	Amount        money.Paise     `json:"amount"`
	Fee           money.Paise     `json:"fee"`
	Currency      money.Currency  `json:"currency"`
	Test          bool            `json:"is_test"`
	TransactionID string          `json:"transaction_id"` // the bank's reference
	CreatedAt     time.Time       `json:"created_at"`
	SettledAt     time.Time       `json:"settled_at"` // zero before
	// What follows is for the installation's owner alone.
	ID      string   `json:"id"`
	Desk    string   `json:"desk"`
	Wallet  string   `json:"wallet"`
	Reasons []string `json:"reasons"`
	Why     string   `json:"why"`
}

// CreditEvent is the data of credit.*.
type CreditEvent struct {
	CreditID   string         `json:"credit_id"`
	Wallet     string         `json:"wallet"`
	Feed       string         `json:"feed"`
	Status     string         `json:"status"`
	Amount     money.Paise    `json:"amount"`
	Currency   money.Currency `json:"currency"`
	UTR        upi.UTR        `json:"utr"`
	Payer      string         `json:"payer"` // masked
	BookedAt   time.Time      `json:"booked_at"`
	ReceivedAt time.Time      `json:"received_at"`
	Why        string         `json:"why"`
}

// FeedEvent is the data of feed.*.
type FeedEvent struct {
	Feed     string    `json:"feed"`
	Finding  string    `json:"finding"`
	Severity string    `json:"severity"`
	Since    time.Time `json:"since"`
	Text     string    `json:"text"`
}

// EndpointEvent is the data of endpoint.*.
type EndpointEvent struct {
	Endpoint string `json:"endpoint"` // "shop": its postback URL; "shop/hook1": a webhook
	Merchant string `json:"merchant"`
	State    string `json:"state"`
	Why      string `json:"why"`
}

// ReportEvent is the data of report.*: what a day or a month of the merchant's zone
// came to. Opening and the amounts of Lines come to Closing.
type ReportEvent struct {
	Merchant string       `json:"merchant"`
	Period   string       `json:"period"` // 2026-03-01, or 2026-03
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`      // not part of the period
	Opening  money.Paise  `json:"opening"` // what the merchant could withdraw
	Lines    []ReportLine `json:"lines"`
	Closing  money.Paise  `json:"closing"`
}

// ReportLine is a line of a report.
type ReportLine struct {
	Line   string      `json:"line"`
	Count  int64       `json:"count"`
	Amount money.Paise `json:"amount"` // what it did to the balance
}

// ErrWebhook is an event that is not the gateway's.
var ErrWebhook = errors.New("client: not a genuine event")

// WebhookVerifier tells the gateway's events from others.
type WebhookVerifier struct {
	hooks []*standardwebhooks.Webhook
}

// NewWebhookVerifier makes a verifier of a webhook's secret (whsec_…), or of two
// while it is replaced.
func NewWebhookVerifier(secrets ...string) (*WebhookVerifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("client: a webhook's secret is needed: milaan apply printed it, or the apply file has it")
	}
	v := new(WebhookVerifier)
	for _, secret := range secrets {
		encoded, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) == 0 {
			return nil, errors.New("client: a webhook's secret is whsec_ and base64")
		}
		hook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		v.hooks = append(v.hooks, hook)
	}
	return v, nil
}

// Verify reads an event. The body is the request's, byte for byte. The error
// wraps [ErrWebhook].
func (v *WebhookVerifier) Verify(header http.Header, body []byte, now time.Time) (WebhookEvent, error) {
	if err := signedBy(v.hooks, header, body); err != nil {
		return WebhookEvent{}, fmt.Errorf("%w: webhook signature: %w", ErrWebhook, err)
	}
	if err := onTime(header, now); err != nil {
		return WebhookEvent{}, fmt.Errorf("%w: webhook timestamp: %w", ErrWebhook, err)
	}
	var read struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &read); err != nil {
		return WebhookEvent{}, fmt.Errorf("%w: body: %w", ErrWebhook, err)
	}
	e := WebhookEvent{ID: header.Get(standardwebhooks.HeaderWebhookID), Type: read.Type, At: read.Timestamp, Data: read.Data}
	if err := e.readData(); err != nil {
		return WebhookEvent{}, fmt.Errorf("%w: data of %s: %w", ErrWebhook, e.Type, err)
	}
	return e, nil
}

func (e *WebhookEvent) readData() error {
	group, _, _ := strings.Cut(e.Type, ".")
	switch group {
	case "deposit":
		e.Deposit = new(DepositEvent)
		return json.Unmarshal(e.Data, e.Deposit)
	case "withdrawal":
		e.Withdrawal = new(WithdrawalEvent)
		return json.Unmarshal(e.Data, e.Withdrawal)
	case "credit":
		e.Credit = new(CreditEvent)
		return json.Unmarshal(e.Data, e.Credit)
	case "feed":
		e.Feed = new(FeedEvent)
		return json.Unmarshal(e.Data, e.Feed)
	case "endpoint":
		e.Endpoint = new(EndpointEvent)
		return json.Unmarshal(e.Data, e.Endpoint)
	case "report":
		e.Report = new(ReportEvent)
		return json.Unmarshal(e.Data, e.Report)
	default:
		return nil
	}
}

// WebhookConfig is what a handler of events works with. Secrets and OnEvent are
// needed.
type WebhookConfig struct {
	// Secrets are the webhook's; two while it is replaced.
	Secrets []string `json:"-"`
	// OnEvent takes an event. Where it fails, the gateway sends the event again.
	OnEvent func(context.Context, WebhookEvent) error
	// Seen keeps what was taken, by webhook-id; nil for a [Memory] of its own.
	Seen Seen
	// Now is the clock, time.Now where it is nil.
	Now func() time.Time
	// Log takes what went wrong; nil for slog.Default.
	Log *slog.Logger
}

// NewWebhookHandler makes a handler of POST requests that takes the gateway's
// events, each once. It answers 204 only after the event was taken, now or
// before. What is not genuine is answered with 403 and reaches nobody.
func NewWebhookHandler(c WebhookConfig) (http.Handler, error) {
	verifier, err := NewWebhookVerifier(c.Secrets...)
	if err != nil {
		return nil, err
	}
	if c.OnEvent == nil {
		return nil, errors.New("client: OnEvent is needed: it takes the events")
	}
	if c.Seen == nil {
		c.Seen = new(Memory)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &webhookHandler{c, verifier}, nil
}

type webhookHandler struct {
	WebhookConfig
	verifier *WebhookVerifier
}

// ServeHTTP takes one delivery.
func (h *webhookHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if status, err := h.take(w, r); err != nil {
		h.Log.WarnContext(r.Context(), "an event was not taken", "error", err)
		w.WriteHeader(status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take handles a delivery; the status is for what the error says.
func (h *webhookHandler) take(w http.ResponseWriter, r *http.Request) (status int, err error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPostback))
	if err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge, err
		}
		return http.StatusBadRequest, err
	}
	e, err := h.verifier.Verify(r.Header, raw, h.Now())
	if err != nil {
		return http.StatusForbidden, err
	}
	return http.StatusInternalServerError, h.Seen.Once(r.Context(), "webhook\n"+e.ID, func(ctx context.Context) error { return h.OnEvent(ctx, e) })
}
