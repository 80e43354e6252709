package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Exchange is one call over HTTP, kept to be shown: what was sent and what was
// answered. Secrets travel in headers and are not part of it.
type Exchange struct {
	At      time.Time // UTC
	Call    string    // "POST /api/v1/transaction/activate"
	Request string    // JSON; empty for a GET
	Status  int
	Answer  string // JSON
}

// errGateway is a call that the gateway did not answer with an outcome.
var errGateway = errors.New("the gateway gave no answer to this: try again in a moment")

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 1 << 20 // bytes
)

// caller speaks to the gateway's public doors, with the token of a merchant or
// of a feed.
type caller struct {
	base, token string
	client      *http.Client
	now         func() time.Time
}

// call sends request as JSON, or nothing where it is nil, and reads the answer
// into answer. The error wraps errGateway; the exchange is whole as far as it
// went.
func (c caller) call(ctx context.Context, method, path string, request, answer any) (Exchange, error) {
	x := Exchange{At: c.now().UTC(), Call: method + " " + path}
	var body io.Reader
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return x, fmt.Errorf("%w: %w", errGateway, err)
		}
		x.Request, body = string(text), bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return x, fmt.Errorf("%w: %w", errGateway, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return x, fmt.Errorf("%w: %w", errGateway, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return x, fmt.Errorf("%w: %w", errGateway, err)
	}
	x.Status, x.Answer = res.StatusCode, string(text)
	if res.StatusCode >= http.StatusInternalServerError {
		return x, fmt.Errorf("%w: %s was answered with HTTP %d", errGateway, x.Call, res.StatusCode)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return x, fmt.Errorf("%w: %s was answered with HTTP %d and no JSON", errGateway, x.Call, res.StatusCode)
	}
	return x, nil
}

// Outcomes of a claim in the words of the protocol, section 3.
const (
	statusOK      = "ok"
	statusPending = "pending"
	statusWaiting = "possible_transaction_created"
	statusFail    = "fail"
)

// outcome is where a payment stands.
type outcome struct {
	Status  string      `json:"status"`
	Message string      `json:"message"`
	Amount  money.Paise `json:"deposit_amount"`
}

// wallet is what a payer pays to (protocol, section 2).
type wallet struct {
	Identifier upi.VPA   `json:"identifier"`
	Name       string    `json:"name"`
	UPILink    string    `json:"upi_link"`
	ExpiresAt  time.Time `json:"expires_at"`
}

type createRequest struct {
	Currency money.Currency `json:"currency"`
	Label    string         `json:"label"`
	Amount   money.Paise    `json:"amount"`
}

// create asks which wallet the payer is to pay to.
func (c caller) create(ctx context.Context, method string, r createRequest) (wallet, Exchange, error) {
	var answer struct {
		outcome
		Params wallet `json:"params"`
	}
	x, err := c.call(ctx, http.MethodPost, "/api/v1/transaction/create/"+url.PathEscape(method), r, &answer)
	if err == nil && answer.Status != statusOK {
		err = fmt.Errorf("this payment is not possible: %s", answer.Message)
	}
	return answer.Params, x, err
}

type activateRequest struct {
	Currency money.Currency `json:"currency_code"`
	Method   string         `json:"wallet_type"`
	Label    string         `json:"label"`
	UTR      upi.UTR        `json:"key1"`
	Amount   money.Paise    `json:"amount"`
	CustomID string         `json:"custom_transaction_id"`
}

// activate claims a payment by its UTR.
func (c caller) activate(ctx context.Context, r activateRequest) (out outcome, x Exchange, err error) {
	x, err = c.call(ctx, http.MethodPost, "/api/v1/transaction/activate", r, &out)
	return out, x, err
}

// status asks how a claim stands now. Known is false while there is none of
// that id.
func (c caller) status(ctx context.Context, customID string) (out outcome, known bool, x Exchange, err error) {
	var answer struct {
		outcome
		CustomID string `json:"custom_transaction_id"`
	}
	x, err = c.call(ctx, http.MethodGet, "/api/v1/transaction/status?custom_transaction_id="+url.QueryEscape(customID), nil, &answer)
	return answer.outcome, answer.CustomID == customID, x, err
}

// credit is one entry of a bank's report (contract, Feeds, json).
type credit struct {
	UTR       upi.UTR        `json:"utr"`
	Amount    string         `json:"amount"`
	Currency  money.Currency `json:"currency"`
	PayerVPA  upi.VPA        `json:"payer_vpa"`
	PayerName string         `json:"payer_name"`
	Note      string         `json:"note,omitempty"` // as the payer left it
	At        time.Time      `json:"at"`
}

// summary is what a report is answered with.
type summary struct {
	Accepted  int `json:"accepted"`
	Duplicate int `json:"duplicate"`
	Matched   int `json:"matched"`
	Refused   []struct {
		Error string `json:"error"`
	} `json:"refused"`
}

// report tells the gateway what came in on a wallet.
func (c caller) report(ctx context.Context, feed string, credits ...credit) (s summary, x Exchange, err error) {
	body := struct {
		Credits []credit `json:"credits"`
	}{credits}
	x, err = c.call(ctx, http.MethodPost, "/feeds/"+url.PathEscape(feed), body, &s)
	if err == nil && x.Status != http.StatusOK {
		err = fmt.Errorf("%w: the report was refused with HTTP %d", errGateway, x.Status)
	}
	return s, x, err
}

// Pretty sets JSON over several lines; other text stays as it is.
func Pretty(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}

// shownRates is how many currencies of converted_amount are shown.
const shownRates = 4

// Shorten leaves out most currencies of a postback's converted_amount, and
// says how many: there are over a hundred and fifty. Other text stays as it
// is.
func Shorten(body string) string {
	var parts struct {
		Converted json.RawMessage `json:"converted_amount"`
	}
	if json.Unmarshal([]byte(body), &parts) != nil || len(parts.Converted) == 0 {
		return body
	}
	d := json.NewDecoder(bytes.NewReader(parts.Converted))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return body
	}
	var short strings.Builder
	short.WriteByte('{')
	n := 0
	for ; d.More(); n++ {
		code, err := d.Token()
		if err != nil {
			return body
		}
		var amount json.RawMessage
		if err := d.Decode(&amount); err != nil {
			return body
		}
		if n < shownRates {
			fmt.Fprintf(&short, "%q:%s,", code, amount)
		}
	}
	if n <= shownRates {
		return body
	}
	fmt.Fprintf(&short, `"…":"%d more"}`, n-shownRates)
	return strings.Replace(body, string(parts.Converted), short.String(), 1)
}
