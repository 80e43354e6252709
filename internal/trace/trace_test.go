package trace_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/milaan/milaan/internal/trace"
)

// sink is a collector that keeps spans by name.
type sink struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string]*tracepb.Span
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{spans: make(map[string]*tracepb.Span)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent tracepb.TracesData
		if err != nil || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, rs := range sent.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, one := range ss.Spans {
					s.spans[one.Name] = one
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func open(tb testing.TB, endpoint string, ratio float64) (*trace.Tracer, *trace.Metrics) {
	tb.Helper()
	to, err := trace.ParseEndpoint(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	m := trace.NewMetrics(prometheus.NewRegistry())
	tracer, err := trace.Open(tb.Context(), trace.Settings{Endpoint: to, Ratio: ratio, Instance: "one", Log: slog.New(slog.DiscardHandler), Metrics: m})
	if err != nil {
		tb.Fatal(err)
	}
	tracer.Start()
	return tracer, m
}

func request(tb testing.TB) *http.Request {
	tb.Helper()
	return httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", nil)
}

// TestSpansBelongTogether: what is written down by one gateway goes on at another,
// and a batch links to all that share it, however many.
func TestSpansBelongTogether(t *testing.T) {
	t.Parallel()
	to := newSink(t)
	first, _ := open(t, to.URL, 1)
	other, _ := open(t, to.URL, 0)
	r, span := first.Request(request(t), "activate", false)
	if !span.Traced() || trace.Of(r.Context()) != span || len(span.ID()) != 32 {
		t.Fatalf("the request's span is %v", span)
	}
	send := other.Send(span.Text(), "postback")
	send.Tell(trace.Attempt(2))
	send.End()
	shared := make([]trace.Span, 256)
	for i := range shared {
		_, shared[i] = first.Request(request(t), "other", false)
	}
	first.Together("batch", shared).End()
	span.Answered(http.StatusBadGateway)
	for _, tracer := range []*trace.Tracer{first, other} {
		if err := tracer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	begun, sent, batch := to.spans["POST activate"], to.spans["postback"], to.spans["batch"]
	if begun == nil || sent == nil || batch == nil {
		t.Fatalf("the collector has %v", to.spans)
	}
	if !bytes.Equal(sent.TraceId, begun.TraceId) || !bytes.Equal(sent.ParentSpanId, begun.SpanId) {
		t.Error("the postback is not below the request")
	}
	if begun.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Error("a request answered with 502 did not fail")
	}
	if len(batch.Links) != len(shared) {
		t.Errorf("the batch has %d links of %d", len(batch.Links), len(shared))
	}
	if to.spans["POST other"] != nil {
		t.Error("a span that did not end was sent")
	}
}

// TestNothingIsTraced: a tracer that is off, and a text that is no trace, give
// spans that do nothing.
func TestNothingIsTraced(t *testing.T) {
	t.Parallel()
	none, _ := open(t, newSink(t).URL, 0)
	for _, tracer := range []*trace.Tracer{nil, none} {
		r, span := tracer.Request(request(t), "activate", true)
		for _, s := range []trace.Span{
			span, trace.Of(r.Context()), span.Child("child"), tracer.Together("batch", nil), tracer.Continue("", "x"), tracer.Continue("no trace", "x"),
			tracer.Send("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x"),
		} {
			if s.Traced() || s.Text() != "" || s.ID() != "" {
				t.Errorf("%v is traced", s)
			}
			s.Tell(trace.Claim(1))
			s.Link(span)
			s.LinkTo("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			s.Route(http.MethodGet, "route")
			s.Fail()
			s.Answered(http.StatusOK)
			s.End()
		}
		if err := tracer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestRatio: about as many are drawn as were asked for.
func TestRatio(t *testing.T) {
	t.Parallel()
	tracer, _ := open(t, newSink(t).URL, 0.25)
	drawn := 0
	for range 10_000 {
		if _, span := tracer.Request(request(t), "activate", false); span.Traced() {
			drawn++
		}
	}
	if drawn < 2200 || drawn > 2800 { // seven standard deviations
		t.Errorf("%d of 10,000 were drawn", drawn)
	}
}

// TestCollectorHangs: spans that find no room are dropped and counted, and a stop
// does not wait longer than it may.
func TestCollectorHangs(t *testing.T) {
	t.Parallel()
	const room, spans = 8192, 10_000
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(release) })
	tracer, m := open(t, hangs.URL, 1)
	for range spans {
		_, span := tracer.Request(request(t), "activate", false)
		span.End()
	}
	if dropped := testutil.ToFloat64(m.Spans.WithLabelValues("dropped")); dropped != spans-room {
		t.Errorf("%v of %d spans were dropped, with room for %d", dropped, spans, room)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Close(ctx); err == nil {
		t.Error("a stop without time says that all was sent")
	}
}

// TestLinksAreWhatTheStandardSays: what is read as a traceparent, and what is not,
// as OpenTelemetry's own reader does.
func TestLinksAreWhatTheStandardSays(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tracer, _ := open(t, newSink(t).URL, 1)
	for _, text := range []string{
		good, good[:53] + "00", "cc" + good[2:] + "-later", "cc" + good[2:], // the last of a later version
		"", good + "-x", "ff" + good[2:], good[:52], strings.ToUpper(good), "00-" + strings.Repeat("0", 32) + good[35:], good[:36] + strings.Repeat("0", 16) + good[52:],
		"0-" + good[3:], strings.Repeat("-", 100), "x" + good,
	} {
		ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": text})
		want := otel.SpanContextFromContext(ctx)
		span := tracer.Continue(text, "x")
		if span.Traced() != want.IsValid() || want.IsValid() && span.ID() != want.TraceID().String() {
			t.Errorf("%q is read as %q, want %v", text, span.ID(), want.TraceID())
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http://127.0.0.1:4318", "https://otlp.example.com/otlp/v1/traces"} {
		if u, err := trace.ParseEndpoint(text); err != nil || u.String() != text {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for _, text := range []string{"127.0.0.1:4318", "grpc://x:4317", "http://", "https://user:hidden@x", "https://x?key=hidden", "https://x#hidden", "http://hidden\x00"} {
		if _, err := trace.ParseEndpoint(text); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func TestParseHeaders(t *testing.T) {
	t.Parallel()
	headers, err := trace.ParseHeaders("Authorization=Basic YTpiYw==, x-scope = prod\nx-empty=,")
	if err != nil || len(headers) != 3 || headers["Authorization"] != "Basic YTpiYw==" || headers["x-scope"] != "prod" {
		t.Errorf("%v, %v", headers, err)
	}
	for _, text := range []string{"hidden", "a b=hidden", "=hidden", "a=hidden\x01"} {
		if _, err := trace.ParseHeaders(text); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, ratio := range map[string]float64{"none drawn": 0, "all drawn": 1} {
		b.Run(name, func(b *testing.B) {
			release := make(chan struct{})
			hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
			defer hangs.Close()
			defer close(release)
			tracer, _ := open(b, hangs.URL, ratio)
			r := request(b)
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Request(r, "activate", true)
				span.Answered(http.StatusOK)
			}
		})
	}
}
