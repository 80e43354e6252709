package razorpayx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"github.com/milaan/milaan/internal/payout"
)

const (
	callTimeout = 30 * time.Second
	maxBody     = 1 << 20 // a full page of 100 payouts has some 80 kB
	maxWait     = time.Hour
)

// Error is an answer by which RazorpayX refuses a request (docs/errors/x). It
// names neither the beneficiary nor an account.
type Error struct {
	Call        string // what was asked for
	Status      int    // of HTTP
	Code        string // "BAD_REQUEST_ERROR"
	Reason      string // "input_validation_failed"
	Field       string
	Description string // for people; empty where it might name somebody
	wait        time.Duration

	// aboutKey: the idempotency key was used before, with another body.
	aboutKey bool
	// ours: it is about the account that pays, not about the order, which may be
	// sent when that is put right.
	ours bool
	// unknownID: there is no payout of the id asked for.
	unknownID bool
}

func (e *Error) Error() string {
	said := slices.DeleteFunc([]string{strconv.Itoa(e.Status), e.Code, e.Reason, e.Field, e.Description}, func(s string) bool { return s == "" })
	text := "razorpayx: " + e.Call + ": answered " + strings.Join(said, ", ")
	switch e.Status {
	case http.StatusUnauthorized:
		text += ": check the key id and secret"
	case http.StatusForbidden:
		text += ": check in the dashboard that the key may pay out and this machine's IP is allowed"
	}
	return text
}

// RetryAfter is how long RazorpayX asks to wait before the next request; 0 if
// it does not say.
func (e *Error) RetryAfter() time.Duration { return e.wait }

// turnedAway says that the request was stopped at the door: not authenticated,
// not allowed, too many.
func (e *Error) turnedAway() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || e.Status == http.StatusTooManyRequests
}

// definite says that the request was read and refused.
func (e *Error) definite() bool {
	return e.Status == http.StatusBadRequest && e.Code == "BAD_REQUEST_ERROR"
}

// transportError is a call that was not answered.
type transportError struct {
	call string
	err  error
}

func (e *transportError) Error() string {
	return fmt.Sprintf("razorpayx: %s: no answer: %v", e.call, e.err)
}
func (e *transportError) Unwrap() error { return e.err }

// unreached says for certain that a request never left: there was no connection.
func unreached(err error) bool {
	call, ok := errors.AsType[*transportError](err)
	if !ok {
		return false
	}
	op, ok := errors.AsType[*net.OpError](call.err)
	return ok && op.Op == "dial"
}

// call is one request.
type call struct {
	name, method, path string
	query              url.Values
	key                string // of idempotency
	body               any
	beneficiary        payout.Beneficiary // whom no error may name
}

const idempotencyHeader = "X-Payout-Idempotency"

// do makes a call and reads its answer into a value. The error is an [*Error]
// where RazorpayX refused, a *transportError where it did not answer, and
// another where the answer can't be read.
func (p *Provider) do(ctx context.Context, c call, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	target := p.c.BaseURL + c.path
	if c.query != nil {
		target += "?" + c.query.Encode()
	}
	var body io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body, json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("razorpayx: %s: the request can't be written", c.name)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, body)
	if err != nil {
		return fmt.Errorf("razorpayx: %s: the base URL is not one", c.name)
	}
	req.SetBasicAuth(p.c.KeyID, p.c.KeySecret)
	req.Header.Set("User-Agent", "milaan")
	req.Header.Set("Accept", "application/json")
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set(idempotencyHeader, c.key)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		// The URL may have the account that pays: an error leaves it out.
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err
		}
		return &transportError{c.name, err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return &transportError{c.name, fmt.Errorf("the body breaks off: %w", err)}
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated:
		return p.refusal(c, resp, text)
	case len(text) > maxBody || json.Unmarshal(text, into) != nil:
		// What does not fit may quote the request: it is not repeated.
		return fmt.Errorf("razorpayx: %s: the answer can't be read", c.name)
	}
	return nil
}

// token is what may be repeated of an answer without reading it: "imps_not_allowed".
var token = regexp.MustCompile(`^[A-Za-z][A-Za-z_.\-]{0,63}$`)

func tokenOf(s string) string {
	if !token.MatchString(s) || s == "null" || s == "NA" {
		return ""
	}
	return s
}

func (p *Provider) refusal(c call, resp *http.Response, text []byte) *Error {
	refusal := &Error{Call: c.name, Status: resp.StatusCode, wait: p.retryAfter(resp.Header.Get("Retry-After"))}
	var body struct {
		Error struct {
			Code        string `json:"code"`
			Reason      string `json:"reason"`
			Field       string `json:"field"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if len(text) > maxBody || json.Unmarshal(text, &body) != nil {
		return refusal
	}
	refusal.Code, refusal.Reason, refusal.Field = tokenOf(body.Error.Code), tokenOf(body.Error.Reason), tokenOf(body.Error.Field)
	refusal.Description = impersonal(body.Error.Description, c.beneficiary.Name)
	// There is no code for these; the texts are those of docs/errors/x.
	says := func(words string) bool { return strings.Contains(strings.ToLower(body.Error.Description), words) }
	refusal.aboutKey = body.Error.Field == idempotencyHeader || says("idempoten")
	refusal.ours = body.Error.Field == "account_number" || says("balance") || says("this ip")
	refusal.unknownID = resp.StatusCode == http.StatusNotFound || refusal.definite() && says("does not exist")
	return refusal
}

// retryAfter reads the header: seconds, or a date (RFC 9110, 10.2.3).
func (p *Provider) retryAfter(s string) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		wait = at.Sub(p.c.Now())
	}
	return min(max(wait, 0), maxWait)
}

// impersonal is a description that names nobody: without any digit, and without
// any word of the name; else "".
func impersonal(description, name string) string {
	const longest = 200
	if len(description) > longest || strings.ContainsFunc(description, func(r rune) bool { return unicode.IsDigit(r) || !unicode.IsPrint(r) }) {
		return ""
	}
	lower := strings.ToLower(description)
	for word := range strings.FieldsSeq(strings.ToLower(name)) {
		if strings.Contains(lower, word) {
			return ""
		}
	}
	return description
}
