package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
)

// Problem is every answer that says no (RFC 9457). It shows nothing of the
// request and nothing of the inside.
type Problem struct { //nolint:errname // an answer to the caller first, an error to Go second
	Type   string  `json:"type" doc:"Names the kind of problem: an anchor of the page of this API." example:"/v3/docs#problem-not-found"`
	Title  string  `json:"title" doc:"The kind of problem in words." example:"There is nothing here"`
	Status int     `json:"status" doc:"The HTTP status." example:"404"`
	Detail string  `json:"detail,omitempty" doc:"What is wrong this time, and what to do."`
	Errors []Fault `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request, one by one."`

	header http.Header
}

// Fault is one thing wrong with a request.
type Fault struct {
	Location string `json:"location" doc:"Where: query.limit, body.why, line 3: wallets[0].vpa." example:"query.limit"`
	Message  string `json:"message" doc:"What is wrong there." example:"expected number <= 200"`
}

// Error gives the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus gives the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders gives headers of the answer.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of problems.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// kind is a kind of problem.
type kind struct {
	name   string
	status int
	title  string
}

// Kinds of problem, as docs/api.md lists them.
var (
	invalid        = kind{"invalid", http.StatusUnprocessableEntity, "The request is not valid"}
	malformed      = kind{"malformed", http.StatusBadRequest, "The request can't be read"}
	unauthorized   = kind{"unauthorized", http.StatusUnauthorized, "The key is missing or not valid"}
	forbidden      = kind{"forbidden", http.StatusForbidden, "The key does not allow this"}
	notFound       = kind{"not-found", http.StatusNotFound, "There is nothing here"}
	wrongMethod    = kind{"wrong-method", http.StatusMethodNotAllowed, "This address is called otherwise"}
	refused        = kind{"refused", http.StatusConflict, "The rules of the business turn this down"}
	versionMissing = kind{"version-missing", http.StatusPreconditionRequired, "If-Match is missing"}
	versionMoved   = kind{"version-moved", http.StatusPreconditionFailed, "It was changed in the meantime"}
	keyMissing     = kind{"idempotency-key-missing", http.StatusBadRequest, "Idempotency-Key is missing"}
	keyReused      = kind{"idempotency-key-reused", http.StatusUnprocessableEntity, "The idempotency key was used for another call"}
	callRuns       = kind{"call-under-way", http.StatusConflict, "The same call is under way"}
	tooLarge       = kind{"too-large", http.StatusRequestEntityTooLarge, "The request is too large"}
	wrongType      = kind{"wrong-type", http.StatusUnsupportedMediaType, "The body is of another type"}
	tooMany        = kind{"too-many", http.StatusTooManyRequests, "Too many requests"}
	busy           = kind{"busy", http.StatusServiceUnavailable, "Too busy at the moment"}
	internal       = kind{"internal", http.StatusInternalServerError, "A fault of ours"}

	kinds = []kind{invalid, malformed, unauthorized, forbidden, notFound, wrongMethod, refused, versionMissing, versionMoved,
		keyMissing, keyReused, callRuns, tooLarge, wrongType, tooMany, busy, internal}
)

// problem makes a problem of the kind.
func (k kind) problem(format string, args ...any) *Problem {
	return &Problem{Type: "/v3/docs#problem-" + k.name, Title: k.title, Status: k.status, Detail: fmt.Sprintf(format, args...)}
}

// in says where in the request the problem is.
func (p *Problem) in(location, message string) *Problem {
	p.Errors = append(p.Errors, Fault{location, message})
	return p
}

func (p *Problem) with(header, value string) *Problem {
	p.header = http.Header{header: {value}}
	return p
}

func notHere() *Problem {
	return notFound.problem("No such thing is to be seen with this key")
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that went away misses nothing
}

// problemOf words an error. What no case knows is a fault of ours: it is logged,
// and the caller learns only that it is.
func (d *Door) problemOf(c *call, err error) *Problem {
	var (
		p       *Problem
		refusal *deposit.Refusal
		unpaid  *payout.Refusal
		file    apply.Errors
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return refused.problem("%s", refusal.Message)
	case errors.As(err, &unpaid):
		return refused.problem("%s", unpaid.Message)
	case errors.Is(err, postback.ErrNothing), errors.Is(err, postback.ErrNoAddress):
		return refused.problem("%v", err)
	case errors.As(err, &file):
		p = invalid.problem("The document is not in order; nothing was changed")
		for _, e := range file {
			p = p.in(strings.TrimSuffix(fmt.Sprintf("line %d: %s", e.Line, e.Path), ": "), e.Message)
		}
		return p
	case errors.Is(err, apply.ErrUnfit):
		return invalid.problem("%v", err)
	case errors.Is(err, lookup.ErrNone), errors.Is(err, deposit.ErrNoClaim), errors.Is(err, deposit.ErrNoCredit), errors.Is(err, access.ErrNoKey), errors.Is(err, payout.ErrNoWithdrawal),
		errors.Is(err, postback.ErrNoPostback), errors.Is(err, postback.ErrNoMerchant):
		return notHere()
	case errors.Is(err, directory.ErrMoved):
		return versionMoved.problem("The installation was changed by somebody else: read it again, and send the change made on that")
	case errors.Is(err, deposit.ErrBusy), errors.Is(err, deposit.ErrClosed):
		return busy.problem("Nothing was done: try again shortly").with("Retry-After", "1")
	case errors.Is(err, deposit.ErrConflict), c.ctx.Err() != nil, d.Outage != nil && d.Outage(err):
		return busy.problem("It may be done or not: the same call again tells").with("Retry-After", "1")
	case errors.Is(err, deposit.ErrTooMany):
		return tooMany.problem("Nothing was done: send fewer requests at once").with("Retry-After", "1")
	default:
		d.Log.LogAttrs(c.ctx, slog.LevelError, "a request of the management API failed", append(c.who(), slog.Any("error", err))...)
		return internal.problem("It is in the log: ask whoever runs this gateway")
	}
}

// sayable are how messages begin that tell what is expected and nothing of what
// was sent.
var sayable = []string{"expected ", "required ", "unexpected property", "unknown query parameter", "invalid integer", "invalid boolean"}

// unechoed turns the library's errors into problems: without the values that were
// sent, which it would echo.
func unechoed(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	k := invalid
	switch m.Status {
	case http.StatusBadRequest:
		k = malformed
	case http.StatusRequestEntityTooLarge:
		k = tooLarge
	case http.StatusUnsupportedMediaType:
		return wrongType.problem("Send JSON, and say so: Content-Type: application/json"), nil
	case http.StatusInternalServerError:
		return internal.problem("It is in the log: ask whoever runs this gateway"), nil
	}
	p := k.problem("Correct what errors names, and send the request again")
	p.Status = m.Status
	for _, e := range m.Errors {
		location, message := e.Location, e.Message
		if message == "unexpected property" || message == "unknown query parameter" {
			location = location[:max(strings.LastIndexByte(location, '.'), 0)] // its last part is what was sent
		}
		if strings.HasPrefix(message, "invalid date/time") {
			message = "expected a time such as 2026-03-01T00:00:00Z"
		}
		if !hasPrefix(message, sayable) {
			message = "is not valid"
		}
		p = p.in(location, message)
	}
	return p, nil
}

func hasPrefix(s string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
