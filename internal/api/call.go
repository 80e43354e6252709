package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/trace"
)

// call is one request on its way through a door.
type call struct {
	*http.Request
	writer   http.ResponseWriter // only to bound the body; answers are returned
	query    url.Values
	dir      *directory.Snapshot // of the moment the call came
	merchant *directory.Merchant // who calls, where it is a merchant
	feed     *directory.Feed     // who calls, where it is a feed
	now      func() time.Time
	route    string
	span     trace.Span // of a call that is traced; it begins when the caller is known
}

// answer gives what a call is answered with, HTTP 200 and that value as JSON,
// or an error that [Door.reply] has the words for.
type answer func(*call) (any, error)

const (
	maxBody     = 1 << 20  // bytes of a request that are read
	mostDrained = 32 << 20 // and of a longer one that are thrown away
	mostPath    = 200      // bytes of a path that are logged
)

// body reads the request's body of at most so many bytes. The error is a
// *requestError.
func (c *call) body(most int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(max(c.ContentLength, 0), most)) + bytes.MinRead)
	_, err := buf.ReadFrom(http.MaxBytesReader(c.writer, c.Body, most))
	var tooLong *http.MaxBytesError
	switch {
	case err == nil:
		return buf.Bytes(), nil
	case errors.As(err, &tooLong):
		f := badBody(fmt.Sprintf("must have at most %d bytes", most))
		f.status, f.message = http.StatusRequestEntityTooLarge, "The request is too large: send it in smaller pieces"
		// A client that is still sending when the connection closes never
		// reads the answer, so some more of the body is thrown away.
		_, _ = io.CopyN(io.Discard, c.Body, mostDrained)
		return nil, f
	default:
		return nil, badBody("did not arrive whole: send it again")
	}
}

// requestError is a request that is answered with other than HTTP 200. Its message
// and errors are meant for whoever made the request.
type requestError struct {
	status  int
	message string
	errors  fieldErrors
	header  http.Header
}

func (e *requestError) Error() string { return e.message }

func badRequest(errs fieldErrors) *requestError {
	return &requestError{
		status: http.StatusBadRequest, errors: errs,
		message: "The request is not valid: correct what errors names and send it again",
	}
}

func badBody(why string) *requestError { return badRequest(fieldErrors{{"body", why}}) }

// errNotFound answers strangers: nothing tells them what is here.
var errNotFound = errors.New("not found")

func nowhere(*call) (any, error) { return nil, errNotFound }

// failure is every answer that says no (protocol, section 1).
type failure struct {
	Status  string      `json:"status"`
	Message string      `json:"message"`
	Errors  fieldErrors `json:"errors,omitempty"`
}

// reply is an answer as it goes over the wire.
type reply struct {
	status      int
	contentType string
	body        []byte
	header      http.Header
}

func jsonReply(status int, v any) reply {
	return reply{status: status, contentType: "application/json", body: encode(v)}
}

// encode writes compact JSON. The answers hold nothing that can't be encoded;
// if one did, the panic would end that request as an internal fault.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // links keep their &
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// serve makes a handler of an answer: it is given, written, logged and counted.
func (d *Door) serve(route string, next answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := d.Now()
		c := &call{Request: r, writer: w, query: r.URL.Query(), dir: d.Directory.Current(), now: d.Now, route: route}
		out := d.reply(r.Context(), c, next)
		out.write(w)
		c.span.Answered(out.status)
		took := d.Now().Sub(start)

		d.Metrics.Requests.WithLabelValues(route, strconv.Itoa(out.status)).Observe(took.Seconds())
		// The path alone: the query holds the secret.
		attrs := append(make([]slog.Attr, 0, 6),
			slog.String("method", r.Method), slog.String("path", shortened(r.URL.Path)), slog.Int("status", out.status),
			slog.Duration("took", took), slog.Int("bytes", len(out.body)))
		attrs = append(attrs, c.who()...)
		if c.span.Traced() {
			attrs = append(attrs, slog.String("trace", c.span.ID()))
		}
		d.Log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
	})
}

// traced begins the span of a call whose caller is known. Strangers' calls have
// none: they can't fill a collector.
func (d *Door) traced(c *call, proven bool) {
	if !d.Tracer.On() {
		return
	}
	if c.Request, c.span = d.Tracer.Request(c.Request, c.route, proven); !c.span.Traced() {
		return
	}
	switch {
	case c.merchant != nil:
		c.span.Tell(trace.Merchant(c.merchant.ID))
	case c.feed != nil:
		c.span.Tell(trace.Feed(c.feed.ID))
	}
}

// shortened keeps strangers from filling the log.
func shortened(path string) string {
	if len(path) <= mostPath {
		return path
	}
	return strings.ToValidUTF8(path[:mostPath], "") + "…"
}

// who names the caller in logs.
func (c *call) who() []slog.Attr {
	switch {
	case c.merchant != nil:
		return []slog.Attr{slog.String("merchant", c.merchant.ID)}
	case c.feed != nil:
		return []slog.Attr{slog.String("feed", c.feed.ID)}
	default:
		return nil
	}
}

// reply runs an answer and puts its error into words. What no case below knows
// is a fault of ours: it is logged, and the caller learns only that it is.
func (d *Door) reply(ctx context.Context, c *call, next answer) (out reply) {
	defer func() {
		if r := recover(); r != nil {
			d.Log.LogAttrs(ctx, slog.LevelError, "a request panicked",
				append(c.who(), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))...)
			out = internalFault()
		}
	}()
	v, err := next(c)
	var refusal *deposit.Refusal
	var bad *requestError
	switch {
	case err == nil:
		if whole, ok := v.(reply); ok {
			return whole
		}
		return jsonReply(http.StatusOK, v)
	case errors.As(err, &refusal):
		return jsonReply(http.StatusOK, failure{Status: "fail", Message: refusal.Message})
	case errors.As(err, &bad):
		out = jsonReply(bad.status, failure{Status: "fail", Message: bad.message, Errors: bad.errors})
		out.header = bad.header
		return out
	case errors.Is(err, errNotFound):
		return reply{status: http.StatusNotFound, contentType: "text/plain; charset=utf-8", body: []byte("Not found")}
	case errors.Is(err, deposit.ErrTooMany):
		out = tryAgain("Too many of your requests are waiting: send fewer at once")
		out.status = http.StatusTooManyRequests
		return out
	case errors.Is(err, deposit.ErrBusy), errors.Is(err, deposit.ErrConflict):
		return tryAgain("Too many requests are waiting: try again shortly")
	case errors.Is(err, deposit.ErrClosed):
		return tryAgain("The gateway is shutting down: try again shortly")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return tryAgain("The request took too long: try again shortly")
	case d.Outage(err):
		// The desk says so once for all that wait.
		d.Log.LogAttrs(ctx, slog.LevelDebug, "a request met an outage", append(c.who(), slog.Any("error", err))...)
		return tryAgain("The gateway can't do this at the moment: try again shortly")
	default:
		d.Log.LogAttrs(ctx, slog.LevelError, "a request failed", append(c.who(), slog.Any("error", err))...)
		return internalFault()
	}
}

func internalFault() reply {
	return jsonReply(http.StatusInternalServerError, failure{Status: "fail", Message: "Internal error: try again"})
}

func tryAgain(message string) reply {
	out := jsonReply(http.StatusServiceUnavailable, failure{Status: "fail", Message: message})
	out.header = http.Header{"Retry-After": {"1"}}
	return out
}

func (out reply) write(w http.ResponseWriter) {
	h := w.Header()
	maps.Copy(h, out.header)
	h.Set("Content-Type", out.contentType)
	h.Set("Content-Length", strconv.Itoa(len(out.body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // a client that went away asks again
}
