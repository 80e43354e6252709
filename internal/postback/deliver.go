package postback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"github.com/milaan/milaan/internal/directory"
)

const (
	// attemptTimeout bounds an attempt from first to last.
	attemptTimeout = 15 * time.Second
	// leaseMargin is what is left of a Lease after the longest attempt: for
	// recording it, and for clocks that differ between gateways. The rest is
	// how long a job may wait in memory.
	leaseMargin = 5 * time.Second
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 4 << 10
	// maxError bounds the error text that is kept, in bytes.
	maxError = 200
	// setback is the wait after a fault of this side, which costs the merchant
	// none of its attempts.
	setback = time.Minute
)

// endpoint is where a merchant takes its postbacks. It reports false while
// there is no such place: no merchant (retired, or not yet known here), no
// usable URL, or no key to sign with, without which anybody could.
func endpoint(m *directory.Merchant) (*url.URL, bool) {
	if m == nil || m.Retired || m.Secrets.PrivateKey == "" {
		return nil, false
	}
	target, err := url.Parse(m.PostbackURL)
	if err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return nil, false
	}
	return target, true
}

// deliver works on a job until there is a result for it.
func (w *Worker) deliver(ctx context.Context, job *Job) (result Result) {
	result = Result{EventID: job.ID, Merchant: job.Merchant, LeasedUntil: job.LeasedUntil}
	defer func() {
		// A fault of ours in one event must not take the gateway down.
		if r := recover(); r != nil {
			w.Log.ErrorContext(ctx, "sending a postback panicked", "event", job.ID, "merchant", job.Merchant, "panic", r)
			result = w.putOff(result, setback)
		}
	}()

	merchant := w.Directory.Current().Merchant(job.Merchant)
	if merchant == nil {
		w.Log.WarnContext(ctx, "a postback's merchant is not known yet", "event", job.ID, "merchant", job.Merchant)
		return w.putOff(result, setback)
	}
	target, ok := endpoint(merchant)
	if !ok {
		w.Metrics.Held.Inc()
		result.State, result.NextAt = StateHeld, w.now()
		return result
	}
	body := job.Body
	if body == nil {
		rates, err := w.rates.get(ctx, job.RatesID)
		if err != nil {
			w.Log.ErrorContext(ctx, "a postback can't be made", "event", job.ID, "merchant", job.Merchant, "error", err)
			return w.putOff(result, setback)
		}
		body = AppendBody(nil, &job.Event, merchant, rates)
	}

	began := w.now()
	if job.Attempts == 0 {
		w.Metrics.Delay.Observe(began.Sub(job.ActivatedAt).Seconds())
	}
	status, err := w.send(ctx, target, merchant.Secrets, job.MessageID(), began, body)
	if err != nil && job.Body == nil {
		result.Body = body
	}
	if err != nil && ctx.Err() != nil {
		return w.putOff(result, 0) // cut short by the end of this gateway
	}
	result.Attempt = Attempt{
		Number: job.Attempts + 1, At: began, Latency: w.now().Sub(began), Status: status, Error: shortError(err),
	}
	return w.conclude(ctx, result, err == nil)
}

// putOff leaves a job to be taken up again after a while, as if nobody had
// tried.
func (w *Worker) putOff(result Result, wait time.Duration) Result {
	result.State, result.NextAt = StateDue, w.now().Add(wait)
	return result
}

// conclude draws the consequence of an attempt.
func (w *Worker) conclude(ctx context.Context, result Result, delivered bool) Result {
	wait, again := w.Schedule.After(result.Attempt.Number)
	outcome := "failed"
	switch {
	case delivered:
		outcome = "delivered"
		result.State = StateDelivered
	case again:
		result.State, result.NextAt = StateDue, w.now().Add(wait)
	default:
		outcome = "dead"
		result.State = StateDead
	}
	w.Metrics.Attempts.WithLabelValues(outcome).Inc()
	attrs := []any{
		"event", result.EventID, "merchant", result.Merchant,
		"attempt", result.Attempt.Number, "status", result.Attempt.Status,
	}
	if result.Attempt.Error != "" {
		attrs = append(attrs, "error", result.Attempt.Error)
	}
	switch result.State {
	case StateDelivered:
		w.Log.DebugContext(ctx, "postback delivered", attrs...)
	case StateDead:
		w.Log.ErrorContext(ctx, "postback dead: its last attempt failed", attrs...)
	default:
		w.Log.InfoContext(ctx, "postback attempt failed", attrs...)
	}
	return result
}

// send makes one attempt. The error says why the merchant did not confirm;
// status is 0 where no answer came.
func (w *Worker) send(ctx context.Context, target *url.URL, secrets directory.MerchantSecrets, id string, at time.Time, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "milaan")
	// Not sent: it tells the transport that a request may be repeated on a new
	// connection when the kept one turns out closed.
	req.Header["Idempotency-Key"] = []string{}
	Sign(req.Header, secrets, id, at, body)

	resp, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return resp.StatusCode, fmt.Errorf("answered %d instead of 200", resp.StatusCode)
	case err != nil:
		return resp.StatusCode, fmt.Errorf("read the answer: %w", err)
	case len(answer) > maxAnswer:
		return resp.StatusCode, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case !confirms(answer):
		return resp.StatusCode, errors.New(`the answer is not {"status":"ok"}`)
	}
	return resp.StatusCode, nil
}

// confirms reports whether an answer's body says that the postback was taken
// (protocol §5). A byte order mark is forgiven: PHP files saved with one print
// it before everything else.
func confirms(answer []byte) bool {
	var said struct {
		Status string `json:"status"`
	}
	answer = bytes.TrimPrefix(answer, []byte("\xef\xbb\xbf"))
	return json.Unmarshal(answer, &said) == nil && said.Status == "ok"
}

// shortError is an error for the operator's eyes. The URL is left out, since
// it may carry a token of the merchant's.
func shortError(err error) string {
	if err == nil {
		return ""
	}
	if at := (*url.Error)(nil); errors.As(err, &at) {
		err = at.Err
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = fmt.Sprintf("no answer within %s", attemptTimeout)
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}
