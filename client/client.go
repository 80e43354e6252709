// Package client is the Go SDK for merchants of a milaan gateway: it speaks
// the merchant protocol and verifies what the gateway sends back.
//
//   - [Client] asks for wallets, activates payments by their UTR, asks how they
//     stand, makes links to the payment window, and pays out.
//   - [NewHandler] takes postbacks: verified twice over, once each.
//   - [VerifyReturn] reads what a payer brings back from the payment window.
//
// Amounts are [money.Paise] throughout; no float is ever made of one. Only a
// postback moves money: neither what a call answers nor what a payer brings
// back is a reason to deliver.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/milaan/milaan/money"
)

// Config is whose client it is. API and Secret are needed; the rest is for
// what it says.
type Config struct {
	// API is the gateway's base URL: https://api.shop.example, or that of a
	// single host, such as http://127.0.0.1:8080.
	API string
	// Merchant is the merchant's id at the gateway. On a single host, links to
	// the payment window and withdrawals need it.
	Merchant string
	// Secret is the merchant's plugin_api_secret. It is sent as a header, never
	// in a URL.
	Secret string `json:"-"`
	// PrivateKey is the merchant's postback private_key. It signs the return
	// URLs of [Client.WindowURL].
	PrivateKey string `json:"-"`
	// WithdrawalKey is the merchant's withdrawal_private_key. It signs
	// withdrawals.
	WithdrawalKey string `json:"-"`

	// HTTP makes the requests; nil for one of its own. Redirects are never
	// followed.
	HTTP *http.Client
	// Timeout bounds one attempt, 10 s where it is 0. The context bounds the
	// call as a whole.
	Timeout time.Duration
	// Retries is how often a call is repeated that got no answer, or one that
	// says to try again (429, 5xx); 4 where it is 0, none where it is negative.
	// Every call of this package may be repeated: it has the same effect once
	// and twice.
	Retries int
	// Backoff is the wait before the first repeat, 250 ms where it is 0. It
	// doubles each time, up to 8 s; a Retry-After is heeded, up to 30 s.
	Backoff time.Duration
}

const (
	maxAnswer     = 1 << 20 // bytes
	maxBackoff    = 8 * time.Second
	maxRetryAfter = 30 * time.Second
)

// Client speaks to a gateway for one merchant. It is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL // of the API
	http   *http.Client
}

// New makes a client. The error says what the configuration lacks.
func New(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(c.API, "/"))
	switch {
	case err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("client: API must be the gateway's base URL, such as https://api.shop.example")
	case c.Secret == "":
		return nil, errors.New("client: Secret is needed: the merchant's plugin_api_secret")
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Retries == 0 {
		c.Retries = 4
	}
	if c.Backoff <= 0 {
		c.Backoff = 250 * time.Millisecond
	}
	var own http.Client
	if c.HTTP != nil {
		own = *c.HTTP
	}
	// A redirect would carry the call, and maybe the secret, elsewhere.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{config: c, base: base, http: &own}, nil
}

// request is one call of the protocol.
type request struct {
	method, path string
	query        url.Values
	body         any  // sent as JSON; nil for none
	signed       bool // proves itself: the secret stays at home
}

// envelope is what every answer has.
type envelope struct {
	Status  Status              `json:"status"`
	Message message             `json:"message"`
	Errors  map[string][]string `json:"errors"`
}

// refusal is the error of an answer that says no.
func (e envelope) refusal(status int) *Error {
	fields := e.Errors
	if len(fields) == 0 {
		fields = e.Message.fields
	}
	return &Error{Status: status, Message: e.Message.text, Fields: fields}
}

// message is a text, or what is wrong by field (protocol, section 6).
type message struct {
	text   string
	fields map[string][]string
}

// UnmarshalJSON reads either form.
func (m *message) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		return json.Unmarshal(data, &m.fields)
	}
	return json.Unmarshal(data, &m.text)
}

// call makes a call until it is answered, and reads what is not a refusal into
// answer. It tells whether an attempt before the last may have had its effect
// without its answer being seen. The error is an *[Error] where the gateway
// said no with other than HTTP 200.
func (c *Client) call(ctx context.Context, r request, answer any) (said envelope, repeated bool, err error) {
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return said, false, fmt.Errorf("client: write the request: %w", err)
		}
	}
	var wait time.Duration // what the gateway asked for
	tries := 0
	err = retry.Do(ctx, c.backoff(&wait), func(ctx context.Context) error {
		tries++
		said = envelope{}
		status, header, text, err := c.attempt(ctx, r, body)
		wait = retryAfter(header)
		switch {
		case err != nil:
			return retry.RetryableError(err)
		case status != http.StatusOK:
			_ = json.Unmarshal(text, &said) // a proxy's page has no message: the status tells
			refusal := said.refusal(status)
			if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
				return retry.RetryableError(refusal)
			}
			return refusal
		}
		if err := json.Unmarshal(text, &said); err != nil {
			return &Error{Status: status, Message: "the answer is not the gateway's: check Config.API"}
		}
		if err := json.Unmarshal(text, answer); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
	}
	return said, tries > 1, err
}

// backoff is the schedule of one call.
func (c *Client) backoff(wait *time.Duration) retry.Backoff {
	if c.config.Retries < 0 {
		return retry.BackoffFunc(func() (time.Duration, bool) { return 0, true })
	}
	grow := retry.WithJitterPercent(20, retry.WithCappedDuration(maxBackoff, retry.NewExponential(c.config.Backoff)))
	heed := retry.BackoffFunc(func() (time.Duration, bool) {
		next, stop := grow.Next()
		return max(next, *wait), stop
	})
	return retry.WithMaxRetries(uint64(c.config.Retries), heed)
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// attempt makes a request once.
func (c *Client) attempt(ctx context.Context, r request, body []byte) (status int, header http.Header, text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	target := *c.base
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.JoinPath(r.path).String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	if !r.signed {
		req.Header.Set("Authorization", "Bearer "+c.config.Secret)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "milaan-go")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, res.Header, text, err
}

// ErrNotFound is a call that the gateway takes for a stranger's: the address
// or the secret is wrong, or the merchant's allow list lacks this server.
var ErrNotFound = errors.New("the gateway does not know this caller: check the API's address, the secret and the merchant's allow list")

// ErrInsufficientBalance is a withdrawal above what the merchant has left.
var ErrInsufficientBalance = errors.New("the balance does not cover the withdrawal")

// ErrUnknown is an id that the gateway has not seen.
var ErrUnknown = errors.New("the gateway does not know this id")

// Error is an answer that says no. [ErrNotFound] and [ErrInsufficientBalance]
// can be asked for by errors.Is.
type Error struct {
	// Status is HTTP's: 200 where the gateway understood and refused, 400 where
	// the request was not valid (Fields says why), 404 for strangers, 429 and
	// 5xx where it said to try again and went on doing so.
	Status int
	// Message is the gateway's, for people.
	Message string
	// Fields are what is wrong, by the protocol's field names.
	Fields map[string][]string
}

// Error is the message with the fields, or else the HTTP status.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Message)
	for _, name := range sortedKeys(e.Fields) {
		if text.Len() > 0 {
			text.WriteString("; ")
		}
		text.WriteString(name + ": " + strings.Join(e.Fields[name], ", "))
	}
	switch {
	case e.Status == http.StatusNotFound:
		return ErrNotFound.Error()
	case text.Len() == 0:
		return "answered with HTTP " + strconv.Itoa(e.Status)
	case e.Status != http.StatusOK:
		return "HTTP " + strconv.Itoa(e.Status) + ": " + text.String()
	default:
		return text.String()
	}
}

// insufficient is the field by which the protocol reports it (section 6).
const insufficient = "withdrawals_sum_amount"

// Is gives the sentinel errors of this package to errors.Is.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrInsufficientBalance:
		return len(e.Fields[insufficient]) > 0
	default:
		return false
	}
}

// currencyOr is the currency, rupees where there is none.
func currencyOr(c money.Currency) money.Currency {
	if c == "" {
		return money.INR
	}
	return c
}
