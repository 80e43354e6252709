// Package trace records how a claim goes through the gateway, as spans of
// OpenTelemetry: from the request that makes it to the postback that tells of it
// (docs/traces.md).
//
// It is off where no collector is named. Rooms are given a nil [Tracer] then: what
// they do with it and with its spans does nothing, and costs a look at a pointer.
//
// Rooms know this package and not OpenTelemetry: what a span can tell is what
// attribute.go has a function for, and nothing of payers is among it.
package trace

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// Tracer begins spans. A nil one begins none.
type Tracer struct {
	provider *sdk.TracerProvider
	otel     otel.Tracer
	way      *exporter
	// below it a number that is drawn of 63 bits has a request traced.
	below uint64
}

// Span is a piece of work that a trace shows. The zero Span is of no trace: all
// its methods do nothing. A span that is never ended is as if it had not begun.
type Span struct {
	tracer *Tracer
	otel   otel.Span
}

// On reports whether anything is traced at all.
func (t *Tracer) On() bool { return t != nil }

// Request begins a trace with a request that came to a door, if it is drawn, and
// gives the request that carries it; the door ends it with [Span.Answered].
//
// A trace that the caller sends along is linked to if the caller proved who it is,
// and never continued: who is traced is this gateway's to decide, and one
// merchant's spans have no place in what another can name.
func (t *Tracer) Request(r *http.Request, route string, proven bool) (*http.Request, Span) {
	if t == nil || rand.Uint64()>>1 >= t.below { //nolint:gosec // nothing is guarded by who is traced
		return r, Span{}
	}
	method := method(r.Method)
	ctx, begun := t.otel.Start(r.Context(), method+" "+route, otel.WithNewRoot(), otel.WithSpanKind(otel.SpanKindServer),
		otel.WithAttributes(methodKey.String(method), routeKey.String(route)))
	s := Span{t, begun}
	if proven {
		s.LinkTo(r.Header.Get(traceparent))
	}
	return r.WithContext(context.WithValue(ctx, spanKey{}, s)), s
}

// method keeps what callers make up out of names.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return m
	default:
		return "_OTHER" // so called by OpenTelemetry's conventions
	}
}

// bare carries nothing but the span that it is given: OpenTelemetry hands spans
// over in contexts, and no request's life is the concern of these.
var bare = context.Background()

type spanKey struct{}

// Of is the span of the request that a context is of.
func Of(ctx context.Context) Span {
	s, _ := ctx.Value(spanKey{}).(Span) // none where it is not traced
	return s
}

// Together begins a trace of its own for work that several traces share: it links
// to each of them.
func (t *Tracer) Together(name string, shared []Span) Span {
	if t == nil || len(shared) == 0 {
		return Span{}
	}
	links := make([]otel.Link, len(shared))
	for i, s := range shared {
		links[i] = otel.Link{SpanContext: s.otel.SpanContext()}
	}
	_, begun := t.otel.Start(bare, name, otel.WithLinks(links...))
	return Span{t, begun}
}

// Continue begins a span in the trace that [Span.Text] wrote down, of whichever
// gateway; none where the text is empty or can't be read.
func (t *Tracer) Continue(text, name string) Span {
	return t.resume(text, name, otel.SpanKindInternal)
}

// Send is Continue for a request to somebody else.
func (t *Tracer) Send(text, name string) Span { return t.resume(text, name, otel.SpanKindClient) }

func (t *Tracer) resume(text, name string, kind otel.SpanKind) Span {
	if t == nil || text == "" {
		return Span{}
	}
	parent := read(text)
	if !parent.IsValid() {
		return Span{}
	}
	_, begun := t.otel.Start(otel.ContextWithRemoteSpanContext(bare, parent), name, otel.WithSpanKind(kind))
	return Span{t, begun}
}

// Traced reports whether the span is of a trace.
func (s Span) Traced() bool { return s.otel != nil }

// Child begins a span below this one.
func (s Span) Child(name string) Span {
	if s.otel == nil {
		return s
	}
	_, begun := s.tracer.otel.Start(otel.ContextWithSpan(bare, s.otel), name)
	return Span{s.tracer, begun}
}

// Tell adds what there is to know of the work. A caller in a hurry asks Traced
// before it puts the list together.
func (s Span) Tell(list ...Attribute) {
	if s.otel == nil {
		return
	}
	for _, a := range list {
		s.otel.SetAttributes(a.pair)
	}
}

// Fail marks the work as failed. The log says why: errors may hold what a trace
// must not.
func (s Span) Fail() {
	if s.otel != nil {
		s.otel.SetStatus(codes.Error, "")
	}
}

// Route names a request whose route was not known when it began.
func (s Span) Route(verb, route string) {
	if s.otel != nil {
		s.otel.SetName(method(verb) + " " + route)
		s.otel.SetAttributes(routeKey.String(route))
	}
}

// Answered ends a request's span with the status of its answer.
func (s Span) Answered(status int) {
	if s.otel == nil {
		return
	}
	s.otel.SetAttributes(statusKey.Int(status))
	if status >= http.StatusInternalServerError {
		s.Fail()
	}
	s.otel.End()
}

// Link points to another span.
func (s Span) Link(to Span) {
	if s.otel != nil && to.otel != nil {
		s.otel.AddLink(otel.Link{SpanContext: to.otel.SpanContext()})
	}
}

// LinkTo points to a span that was written down.
func (s Span) LinkTo(text string) {
	if s.otel == nil || text == "" {
		return
	}
	if to := read(text); to.IsValid() {
		s.otel.AddLink(otel.Link{SpanContext: to})
	}
}

// End ends the span.
func (s Span) End() {
	if s.otel != nil {
		s.otel.End()
	}
}

// ID is the id of the trace in 32 hexadecimal digits, as a log may show it; empty
// where there is none.
func (s Span) ID() string {
	if s.otel == nil {
		return ""
	}
	return s.otel.SpanContext().TraceID().String()
}

// traceparent is the header, and the form, of W3C Trace Context.
const traceparent = "traceparent"

// Text writes the span down, for [Tracer.Continue]: as the header traceparent of
// W3C Trace Context, section 3.2. It is empty where nothing is traced.
func (s Span) Text() string {
	if s.otel == nil {
		return ""
	}
	at := s.otel.SpanContext()
	return "00-" + at.TraceID().String() + "-" + at.SpanID().String() + "-01"
}

// read reads what Text wrote, or a caller, of whichever version; it is not valid
// where that is no traceparent. What else a caller's headers tell (tracestate) is
// nothing to keep.
func read(text string) otel.SpanContext {
	parts := strings.Split(text, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) > 4 {
		return otel.SpanContext{}
	}
	trace, badTrace := otel.TraceIDFromHex(parts[1])
	span, badSpan := otel.SpanIDFromHex(parts[2])
	if badTrace != nil || badSpan != nil {
		return otel.SpanContext{}
	}
	// Nothing that is not traced is written down, and who is linked to is not asked.
	return otel.NewSpanContext(otel.SpanContextConfig{TraceID: trace, SpanID: span, TraceFlags: otel.FlagsSampled, Remote: true})
}
