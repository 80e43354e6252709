package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"golang.org/x/net/http/httpguts"
)

// Settings say where traces go.
type Settings struct {
	// Endpoint is the collector's address; /v1/traces is added where it does not
	// end so.
	Endpoint *url.URL
	// Headers go with everything that is sent to it.
	Headers map[string]string
	// Ratio is the share of requests that are traced, from 0 to 1.
	Ratio float64
	// Instance tells this process from others, Version what it runs.
	Instance, Version string
	Log               *slog.Logger
	Metrics           *Metrics
}

// Metrics count what becomes of spans. docs/metrics.md lists them.
type Metrics struct {
	Spans *prometheus.CounterVec // by result: sent, failed, dropped
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{Spans: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "milaan_trace_spans_total", Help: "Spans of traces, by what became of them.",
	}, []string{"result"})}
}

// ParseEndpoint reads a collector's address: http or https, without user, query
// and fragment, which would show in logs. Its error shows none of it.
func ParseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("it must be the address of an OTLP collector, such as http://127.0.0.1:4318")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it has a user, a ? or a # in it: put secrets into the headers")
	}
	return u, nil
}

// ParseHeaders reads NAME=VALUE, separated by commas or lines. Its error shows no
// value.
func ParseHeaders(list string) (map[string]string, error) {
	headers := make(map[string]string)
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New("write each header as NAME=VALUE, separated by commas")
		}
		headers[name] = value
	}
	return headers, nil
}

const (
	// queueLength is how many spans wait to be sent at most: some 20 MB.
	queueLength = 8192
	sentAtOnce  = 512
	sendEvery   = time.Second
	sendTimeout = 5 * time.Second
	// retryFor is how long the same spans are tried again while the collector says
	// that it is busy.
	retryFor = 15 * time.Second
	logEvery = time.Minute
	// mostTold bounds what the log is told of a collector's answer, in bytes.
	mostTold = 300
	// scope names the spans' maker.
	scope = "github.com/milaan/milaan"
)

// Open makes a tracer. A collector that is not there is no error: what can't be
// sent is counted, and logged once a minute.
func Open(ctx context.Context, s Settings) (*Tracer, error) {
	path := strings.TrimSuffix(s.Endpoint.Path, "/")
	if !strings.HasSuffix(path, "/v1/traces") {
		path += "/v1/traces"
	}
	endpoint := url.URL{Scheme: s.Endpoint.Scheme, Host: s.Endpoint.Host, Path: path}
	to, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHeaders(s.Headers),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression), otlptracehttp.WithTimeout(sendTimeout),
		otlptracehttp.WithHTTPClient(&http.Client{
			Timeout: sendTimeout,
			// The headers' secrets are for the one address that was named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: sendTimeout, MaxElapsedTime: retryFor}),
	)
	if err != nil {
		return nil, fmt.Errorf("send traces to %s: %w", endpoint.Host, err)
	}
	way := &exporter{SpanExporter: to, metrics: s.Metrics, log: s.Log}
	provider := sdk.NewTracerProvider(
		// What is begun was drawn, or goes on with what was: there is nothing left to sample.
		sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: 200, AttributeCountLimit: 32, LinkCountLimit: 256, EventCountLimit: 0,
			AttributePerEventCountLimit: 0, AttributePerLinkCountLimit: 0,
		}),
		sdk.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName("milaan"), semconv.ServiceVersion(s.Version), semconv.ServiceInstanceID(s.Instance))),
	)
	return &Tracer{provider: provider, otel: provider.Tracer(scope), way: way, below: threshold(s.Ratio)}, nil
}

// Start begins to send spans, until Close. What ended before is not sent.
func (t *Tracer) Start() {
	if t == nil {
		return
	}
	queue := sdk.NewBatchSpanProcessor(t.way, sdk.WithMaxQueueSize(queueLength), sdk.WithMaxExportBatchSize(sentAtOnce),
		sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(retryFor+sendTimeout))
	t.provider.RegisterSpanProcessor(&door{SpanProcessor: queue, way: t.way})
}

// threshold is a ratio of the numbers of 63 bits.
func threshold(ratio float64) uint64 { return uint64(min(max(ratio, 0), 1) * (1 << 63)) }

// Close sends what waits, until ctx ends. A tracer that was not started needs none.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// door lets in as many spans as may wait, so that those which are dropped are
// counted: the queue behind it would drop them silently.
type door struct {
	sdk.SpanProcessor
	way *exporter
}

// OnEnd takes a span.
func (d *door) OnEnd(s sdk.ReadOnlySpan) {
	if d.way.waiting.Add(1) > queueLength {
		d.way.waiting.Add(-1)
		d.way.metrics.Spans.WithLabelValues("dropped").Inc()
		return
	}
	d.SpanProcessor.OnEnd(s)
}

// exporter counts what is sent and keeps its errors here: they are nobody
// else's, and the log is told of them once in a while.
type exporter struct {
	sdk.SpanExporter
	waiting atomic.Int64 // spans
	metrics *Metrics
	log     *slog.Logger

	mu       sync.Mutex
	failed   int // spans, since the log was told
	loggedAt time.Time
}

// ExportSpans sends spans; its error is always nil.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.waiting.Add(int64(-len(spans)))
	result := "sent"
	if err != nil {
		result = "failed"
		e.complain(ctx, len(spans), err)
	}
	e.metrics.Spans.WithLabelValues(result).Add(float64(len(spans)))
	return nil
}

func (e *exporter) complain(ctx context.Context, spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed += spans
	if now := time.Now(); now.Sub(e.loggedAt) >= logEvery {
		e.log.WarnContext(ctx, "traces can't be sent; payments go on", "spans", e.failed, "error", told(err))
		e.failed, e.loggedAt = 0, now
	}
}

// told is an error that may hold what a collector answered.
func told(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if len(text) > mostTold {
		text = strings.ToValidUTF8(text[:mostTold], "") + "…"
	}
	return text
}

// ValidRatio reports whether a share of requests is one.
func ValidRatio(ratio float64) bool { return !math.IsNaN(ratio) && ratio >= 0 && ratio <= 1 }
