package postback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"github.com/milaan/milaan/internal/trace"
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
	// keptAnswer is how much of it is kept with the attempt, in bytes.
	keptAnswer = 2 << 10
	// maxError bounds the error text that is kept, in bytes.
	maxError = 200
	// setback is the wait after a fault of this side, which costs the merchant
	// none of its attempts.
	setback = time.Minute
	// leastPause is given to a merchant that is overloaded; mostPause is the
	// longest one that a merchant can ask for.
	leastPause = 5 * time.Second
	mostPause  = time.Hour
)

// attempted is what an attempt tells about its endpoint.
type attempted struct {
	outcome
	merchant, url string
	gone          bool   // it answered 410
	err           string // why it failed
}

// deliver works on a job until there is a result for it.
func (w *Worker) deliver(ctx context.Context, job *Job) (result Result, a attempted) {
	result = Result{EventID: job.ID, Merchant: job.Merchant, LeasedUntil: job.LeasedUntil}
	a.merchant = job.Merchant
	defer func() {
		// A fault of ours in one event must not take the gateway down.
		if r := recover(); r != nil {
			w.Log.ErrorContext(ctx, "sending a postback panicked", "event", job.ID, "merchant", job.Merchant, "panic", r)
			result = w.putOff(result, setback)
		}
	}()

	to := find(w.Directory.Current(), job.Merchant)
	if to == nil {
		w.Log.WarnContext(ctx, "a postback's merchant is not known yet", "event", job.ID, "merchant", job.Merchant)
		return w.putOff(result, setback), a
	}
	if !w.open(to) {
		w.Metrics.Held.Inc()
		return w.hold(result), a
	}
	body := job.Body
	if body == nil {
		rates, err := w.rates.get(ctx, job.RatesID)
		if err != nil {
			w.Log.ErrorContext(ctx, "a postback can't be made", "event", job.ID, "merchant", job.Merchant, "error", err)
			return w.putOff(result, setback), a
		}
		body = AppendBody(nil, &job.Event, to.merchant, rates)
	}

	span := w.Tracer.Send(job.Trace, "postback")
	defer span.End()
	if span.Traced() {
		span.Tell(trace.Event(job.ID), trace.Merchant(job.Merchant), trace.Attempt(job.Attempts+1))
	}
	began := w.now()
	if job.Attempts == 0 {
		w.Metrics.Delay.Observe(began.Sub(job.ActivatedAt).Seconds())
	}
	got, err := w.clients.send(ctx, to, job.MessageID(), began, body)
	if err != nil && job.Body == nil {
		result.Body = body
	}
	if err != nil {
		span.Fail()
	}
	if err != nil && ctx.Err() != nil {
		return w.putOff(result, 0), a // cut short by the end of this gateway
	}
	result.Attempt = Attempt{
		Number: job.Attempts + 1, At: began, Latency: w.now().Sub(began),
		Status: got.status, Error: shortError(err), Answer: got.kept(),
	}
	a.outcome = outcome{tried: true, succeeded: err == nil, took: result.Attempt.Latency, quiet: got.pause(w.now())}
	a.url, a.gone, a.err = to.url, got.status == http.StatusGone, result.Attempt.Error
	result = w.conclude(ctx, result, to, &a, err)
	if span.Traced() {
		span.Tell(trace.Status(result.Attempt.Status), trace.Result(string(result.State)))
	}
	return result, a
}

// open reports whether events may be sent to a destination now.
func (w *Worker) open(d *destination) bool {
	if d == nil || d.target == nil {
		return false
	}
	switch w.standings.of(d.key, d.url).State {
	case EndpointPaused, EndpointDisabled:
		return false
	default:
		return true
	}
}

// putOff leaves a job to be taken up again after a while, as if nobody had
// tried.
func (w *Worker) putOff(result Result, wait time.Duration) Result {
	result.State, result.NextAt = StateDue, w.now().Add(wait)
	return result
}

// hold leaves a job until its merchant can be sent to again.
func (w *Worker) hold(result Result) Result {
	result.State, result.NextAt = StateHeld, w.now()
	return result
}

// conclude draws the consequence of an attempt.
func (w *Worker) conclude(ctx context.Context, result Result, to *destination, a *attempted, err error) Result {
	wait, again := w.Schedule.For(to.waits).After(result.Attempt.Number)
	outcome := "failed"
	switch {
	case a.succeeded:
		outcome = "delivered"
		result.State = StateDelivered
	case errors.Is(err, ErrRefused):
		outcome = "dead"
		result.State, result.Refused = StateDead, Target(a.url)
	case a.gone:
		result = w.hold(result)
	case again:
		result.State, result.NextAt = StateDue, w.now().Add(max(wait, a.quiet))
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
		w.Log.ErrorContext(ctx, "postback dead: its last attempt failed, or its target is refused", attrs...)
	default:
		w.Log.InfoContext(ctx, "postback attempt failed", attrs...)
	}
	return result
}

// reply is what came back of an attempt; its status is 0 where nothing did.
type reply struct {
	status     int
	retryAfter string
	answer     []byte
}

// kept is the part of the answer that is kept.
func (r *reply) kept() []byte { return r.answer[:min(len(r.answer), keptAnswer)] }

// pause is how long the merchant wants to be left alone: what Retry-After says,
// within bounds, or a moment where it is overloaded and does not say.
func (r *reply) pause(now time.Time) time.Duration {
	wait := time.Duration(0)
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		wait = leastPause
	case http.StatusServiceUnavailable:
	default:
		return 0
	}
	if seconds, err := strconv.ParseUint(r.retryAfter, 10, 32); err == nil {
		wait = max(wait, time.Duration(seconds)*time.Second)
	} else if at, err := http.ParseTime(r.retryAfter); err == nil {
		wait = max(wait, at.Sub(now))
	}
	return min(wait, mostPause)
}

// send makes one attempt. The error says why the merchant did not confirm.
func (c *clients) send(ctx context.Context, to *destination, id string, at time.Time, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.target.String(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "milaan")
	// Not sent: it tells the transport that a request may be repeated on a new
	// connection when the kept one turns out closed.
	req.Header["Idempotency-Key"] = []string{}
	Sign(req.Header, to.secrets, id, at, body)

	client, err := c.of(to)
	if err != nil {
		return reply{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	got := reply{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
	got.answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case !to.taken(resp.StatusCode):
		return got, fmt.Errorf("answered %d instead of %s", resp.StatusCode, to.wanted())
	case to.merchant == nil: // what it says beside that is nobody's business
		got.answer = got.answer[:min(len(got.answer), maxAnswer)]
		return got, nil
	case err != nil:
		return got, fmt.Errorf("read the answer: %w", err)
	case len(got.answer) > maxAnswer:
		return got, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case !confirms(got.answer):
		return got, errors.New(`the answer is not {"status":"ok"}`)
	}
	return got, nil
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
