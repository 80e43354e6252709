package server_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store/storetest"
)

// collector takes traces by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []span
	raw     bytes.Buffer
	headers http.Header
}

// span is a span as a collector sees it.
type span struct {
	*tracepb.Span
	instance string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent tracepb.TracesData // on the wire the same as an export request
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headers = r.Header
		c.raw.Write(body)
		for _, rs := range sent.ResourceSpans {
			instance := ""
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.instance.id" {
					instance = a.Value.GetStringValue()
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.spans = append(c.spans, span{s, instance})
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// named are the spans of a name, in the order they ended.
func (c *collector) named(name string) (found []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// only is the one span of a name.
func (c *collector) only(t *testing.T, name string) span {
	t.Helper()
	found := c.named(name)
	if len(found) != 1 {
		t.Fatalf("there are %d spans %q, not one", len(found), name)
	}
	return found[0]
}

// told is an attribute as a text, empty where there is none.
func (s span) told(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

// under reports whether a span is a child of another.
func (s span) under(parent span) bool {
	return bytes.Equal(s.TraceId, parent.TraceId) && bytes.Equal(s.ParentSpanId, parent.SpanId)
}

// linksTo reports whether a span points to another.
func (s span) linksTo(to span) bool {
	return slices.ContainsFunc(s.Links, func(l *tracepb.Span_Link) bool {
		return bytes.Equal(l.TraceId, to.TraceId) && bytes.Equal(l.SpanId, to.SpanId)
	})
}

const (
	activateRoute = "POST activate"
	feedRoute     = "POST feed"
)

// tracedShop is a shop, and what it takes to run gateways for it.
type tracedShop struct {
	*httptest.Server
	refuses  atomic.Bool
	attempts chan http.Header
	config   server.Config
	file     *apply.File
}

func newTracedShop(t *testing.T, database, collector string) *tracedShop {
	t.Helper()
	s := &tracedShop{attempts: make(chan http.Header, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if s.refuses.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}
		s.attempts <- r.Header
	}))
	t.Cleanup(s.Close)
	s.config = server.DefaultConfig()
	s.config.DatabaseURL, s.config.SecretKey = database, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	s.config.Listen, s.config.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	s.config.AllowPrivateTargets, s.config.PostbackFirstRetry = true, 50*time.Millisecond
	s.config.OTLPEndpoint, s.config.OTLPHeaders = collector, "X-Scope=prod,X-Token=collectors-secret"
	var err error
	s.file, err = apply.Parse("shop.yaml", []byte(strings.Replace(installation, "withdrawal_private_key: wkey",
		"withdrawal_private_key: wkey, postback: {url: '"+s.URL+"/?key=token-of-url', access_key: AK, private_key: PK}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a gateway until stop, which returns when its traces are sent.
func (s *tracedShop) run(t *testing.T, log *slog.Logger) (gateway *server.Gateway, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := server.Open(ctx, s.config, log)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if _, err := apply.Run(ctx, g.Store(), s.file, apply.Options{Now: time.Now}); err != nil {
		t.Error(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	t.Cleanup(stop)
	return g, stop
}

// send sends a request with a trace that the sender is in.
func send(t *testing.T, url, bearer, body, parent string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Traceparent", parent)
	req.Header.Set("Tracestate", "vendor=text-of-a-stranger")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

const (
	tracedUTR  = "321323438267"
	parentID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent     = "00-" + parentID + "-00f067aa0ba902b7-01"
	payment    = `{"currency_code":"INR","wallet_type":"upi_l","label":"label-of-payer","key1":"` + tracedUTR + `","amount":4711.25,"custom_transaction_id":"order-of-shop"}`
	creditOfIt = `{"credits":[{"utr":"` + tracedUTR + `","amount":"4711.25","payer_vpa":"rahul.sharma@okaxis","payer_name":"RAHUL SHARMA","note":"note-of-payer"}]}`
)

func (s *tracedShop) attempt(t *testing.T) http.Header {
	t.Helper()
	select {
	case h := <-s.attempts:
		return h
	case <-time.After(time.Minute):
		t.Fatal("no postback came")
		return nil
	}
}

// delivered waits until the books say that the shop confirmed.
func delivered(t *testing.T, g *server.Gateway) {
	t.Helper()
	c, err := g.Store().FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: "shop", CustomID: "order-of-shop"})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		p, err := g.Store().Postback(t.Context(), c.ID)
		if err == nil && p.DeliveredAt.Unix() > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the postback was not recorded as delivered")
}

func onEngines(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	for name, fresh := range map[string]storetest.Fresh{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t).URL)
		})
	}
}

// TestTraceOfClaim: a claim is one trace from the request to its postback, also
// where another gateway delivers it, and tells nothing of who pays.
func TestTraceOfClaim(t *testing.T) {
	t.Parallel()
	onEngines(t, traceClaim)
}

func traceClaim(t *testing.T, database string) {
	t.Helper()
	to := newCollector(t)
	shop := newTracedShop(t, database, to.URL)
	shop.refuses.Store(true)
	g, stop := shop.run(t, slog.New(slog.DiscardHandler))
	base := "http://" + g.Addr().String()
	if said := send(t, base+"/feeds/bank1", "feedtoken", creditOfIt, parent); !strings.Contains(said, `"accepted":1`) {
		t.Fatalf("the feed is answered %s", said)
	}
	if said := send(t, base+"/api/v1/transaction/activate", "s3cret", payment, parent); !strings.Contains(said, `"deposit":true`) {
		t.Fatalf("the activation is answered %s", said)
	}
	if said := send(t, base+"/api/v1/transaction/activate", "guessed", payment, parent); said != "Not found" {
		t.Fatalf("a stranger is answered %s", said)
	}
	shop.attempt(t)
	stop()
	shop.refuses.Store(false)
	g, stop = shop.run(t, slog.New(slog.DiscardHandler))
	delivered(t, g)
	stop()
	for len(shop.attempts) > 0 {
		if h := shop.attempt(t); h.Get("Traceparent") != "" || h.Get("Tracestate") != "" || h.Get("Baggage") != "" {
			t.Errorf("the shop is sent %v", h)
		}
	}

	request := to.only(t, activateRoute)
	if hex.EncodeToString(request.TraceId) == parentID || len(request.ParentSpanId) != 0 {
		t.Error("the caller's trace was continued")
	}
	if len(request.Links) != 1 || hex.EncodeToString(request.Links[0].TraceId) != parentID || request.Links[0].TraceState != "" {
		t.Errorf("the request links to %v, and not to its caller's trace", request.Links)
	}
	if request.told("milaan.merchant") != "shop" || request.told("http.response.status_code") != "200" {
		t.Errorf("the request tells %v", request.Attributes)
	}
	var wait, commit, match span
	for name, into := range map[string]*span{"wait for a batch": &wait, "commit": &commit, "match": &match} {
		for _, s := range to.named(name) {
			if bytes.Equal(s.TraceId, request.TraceId) {
				*into = s
			}
		}
		if into.Span == nil {
			t.Fatalf("the claim's trace has no span %q", name)
		}
	}
	if !wait.under(request) || !commit.under(request) || !match.under(commit) || match.told("milaan.state") != "credited" {
		t.Errorf("the spans are not where they belong: %v, %v, %v", wait, commit, match)
	}
	batches := to.named("batch")
	if len(batches) != 2 { // the feed's, and the claim's
		t.Fatalf("there are %d batches", len(batches))
	}
	batch := batches[1]
	if !batch.linksTo(commit) || !commit.linksTo(batch) || bytes.Equal(batch.TraceId, request.TraceId) {
		t.Error("the batch and what shares it don't link to each other")
	}
	for _, phase := range []string{"load facts", "decide", "write and commit"} {
		if !slices.ContainsFunc(to.named(phase), func(s span) bool { return s.under(batch) }) {
			t.Errorf("the batch has no span %q", phase)
		}
	}
	attempts := to.named("postback")
	if len(attempts) < 2 {
		t.Fatalf("there are %d attempts", len(attempts))
	}
	for _, a := range attempts {
		if !a.under(request) || a.Kind != tracepb.Span_SPAN_KIND_CLIENT || a.told("milaan.event") != match.told("milaan.claim") {
			t.Errorf("the attempt %v is not the claim's", a)
		}
	}
	first, last := attempts[0], attempts[len(attempts)-1]
	if first.instance == last.instance || first.told("milaan.attempt") != "1" || first.told("milaan.result") != "due" ||
		first.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || last.told("milaan.result") != "delivered" ||
		last.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("the attempts tell %v, and by another gateway %v", first, last)
	}
	if to.headers.Get("X-Scope") != "prod" || to.headers.Get("X-Token") != "collectors-secret" {
		t.Error("the collector is not sent its headers")
	}
	for _, secret := range []string{
		tracedUTR, tracedUTR[:8], tracedUTR[4:], "4711", "471125", "rahul", "okaxis", "RAHUL", "SHARMA", "note-of", "label-of", "order-of",
		"s3cret", "feedtoken", "guessed", "token-of-url", "wkey", "collectors-secret", "text-of-a-stranger", shop.URL, shop.Listener.Addr().String(),
	} {
		if bytes.Contains(to.raw.Bytes(), []byte(secret)) {
			t.Errorf("a trace tells %q", secret)
		}
	}
}

// TestTraceOfLateCredit: a credit that meets a waiting claim goes on in the claim's
// trace, and both requests point to each other.
func TestTraceOfLateCredit(t *testing.T) {
	t.Parallel()
	onEngines(t, traceLateCredit)
}

func traceLateCredit(t *testing.T, database string) {
	t.Helper()
	to := newCollector(t)
	shop := newTracedShop(t, database, to.URL)
	g, stop := shop.run(t, slog.New(slog.DiscardHandler))
	if said := send(t, "http://"+g.Addr().String()+"/api/v1/transaction/activate", "s3cret", payment, ""); !strings.Contains(said, "possible_transaction_created") {
		t.Fatalf("the activation is answered %s", said)
	}
	stop()
	g, stop = shop.run(t, slog.New(slog.DiscardHandler)) // the credit may reach another gateway
	if said := send(t, "http://"+g.Addr().String()+"/feeds/bank1", "feedtoken", creditOfIt, ""); !strings.Contains(said, `"matched":1`) {
		t.Fatalf("the feed is answered %s", said)
	}
	delivered(t, g)
	stop()
	request, report := to.only(t, activateRoute), to.only(t, feedRoute)
	settle, told := to.only(t, "settle"), to.only(t, "postback")
	if !settle.under(request) || settle.told("milaan.state") != "credited" || settle.told("milaan.command") != "ingest" || !settle.linksTo(report) {
		t.Errorf("the claim's trace goes on with %v", settle)
	}
	if !told.under(request) {
		t.Errorf("the postback is in another trace: %v", told)
	}
	if !slices.ContainsFunc(to.named("match"), func(s span) bool { return bytes.Equal(s.TraceId, report.TraceId) && s.linksTo(request) }) {
		t.Error("the report does not link to the claim that it settled")
	}
}

// TestTraceOfDoors: a payer's form begins a trace, whatever it brings along; the
// management API's calls are named by their routes and link to their callers' traces.
func TestTraceOfDoors(t *testing.T) {
	t.Parallel()
	to := newCollector(t)
	shop := newTracedShop(t, storetest.SQLite(t).URL, to.URL)
	g, stop := shop.run(t, slog.New(slog.DiscardHandler))
	base := "http://" + g.Addr().String()
	key, token, err := access.New("test", "shop", []string{"deposits:read"}, time.Now(), time.Hour)
	if err == nil {
		_, err = g.Store().AddKey(t.Context(), key, access.HashOf(token), "test")
	}
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, bearer, body string) (page string, here string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", parent)
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), res.Header.Get("Content-Location")
	}
	_, here := call(http.MethodGet, "/pay?merchant=shop&label=55&currency_code=INR&wallet_type=upi_l&fixed_amount=500&custom_transaction_id=order-of-shop", "", "")
	if !strings.HasPrefix(here, "/pay/") {
		t.Fatalf("the link leads to %q", here)
	}
	call(http.MethodPost, here+"/utr", "", "utr="+tracedUTR)
	if list, _ := call(http.MethodGet, "/v3/deposits/order-of-shop", token.Reveal(), ""); !strings.Contains(list, "waiting") {
		t.Fatalf("the API answers %s", list)
	}
	call(http.MethodGet, "/v3/deposits/order-of-shop", "mln_guessed", "")
	stop()
	form := to.only(t, "POST /pay/{token}/utr")
	if len(form.Links) != 0 || form.told("milaan.merchant") != "shop" {
		t.Errorf("the form's span is %v", form)
	}
	if !slices.ContainsFunc(to.named("match"), func(s span) bool {
		return bytes.Equal(s.TraceId, form.TraceId) && s.told("milaan.state") == "waiting"
	}) {
		t.Error("the claim is not in the form's trace")
	}
	asked := to.only(t, "GET /v3/deposits/{custom_id}")
	if len(asked.Links) != 1 || asked.told("milaan.key") == "" || asked.told("http.response.status_code") != "200" {
		t.Errorf("the call's span is %v", asked)
	}
	for _, secret := range []string{tracedUTR, here, strings.TrimPrefix(here, "/pay/"), token.Reveal(), "order-of-shop"} {
		if bytes.Contains(to.raw.Bytes(), []byte(secret)) {
			t.Errorf("a trace tells %q", secret)
		}
	}
}

// TestTracesOff: nothing is traced without a collector, and nothing that was not
// drawn, whatever the caller wishes.
func TestTracesOff(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*server.Config){
		"no collector": func(c *server.Config) { c.OTLPEndpoint = "" },
		"none drawn":   func(c *server.Config) { c.OTLPRatio = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newCollector(t)
			shop := newTracedShop(t, storetest.SQLite(t).URL, to.URL)
			set(&shop.config)
			g, stop := shop.run(t, slog.New(slog.DiscardHandler))
			base := "http://" + g.Addr().String()
			send(t, base+"/feeds/bank1", "feedtoken", creditOfIt, parent)
			if said := send(t, base+"/api/v1/transaction/activate", "s3cret", payment, parent); !strings.Contains(said, `"deposit":true`) {
				t.Fatalf("the activation is answered %s", said)
			}
			delivered(t, g)
			c, err := g.Store().FindClaimByKey(t.Context(), deposit.CustomKey{Merchant: "shop", CustomID: "order-of-shop"})
			if err != nil || c.Trace != "" {
				t.Errorf("the claim keeps the trace %q, %v", c.Trace, err)
			}
			stop()
			if to.raw.Len() > 0 {
				t.Errorf("%d bytes were sent", to.raw.Len())
			}
		})
	}
}

// TestTracesWithoutCollector: payments and postbacks go on where the collector is
// gone or refuses; what is lost is counted, and logged.
func TestTracesWithoutCollector(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such tenant\nforged=line", http.StatusUnauthorized)
	}))
	t.Cleanup(refuses.Close)
	for name, endpoint := range map[string]string{"gone": gone.URL, "refuses": refuses.URL + "/otlp/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logged
			shop := newTracedShop(t, storetest.SQLite(t).URL, endpoint)
			g, stop := shop.run(t, slog.New(slog.NewTextHandler(&log, nil)))
			base := "http://" + g.Addr().String()
			send(t, base+"/feeds/bank1", "feedtoken", creditOfIt, "")
			if said := send(t, base+"/api/v1/transaction/activate", "s3cret", payment, ""); !strings.Contains(said, `"deposit":true`) {
				t.Fatalf("the activation is answered %s", said)
			}
			delivered(t, g)
			for {
				_, metrics := ask(t, http.MethodGet, "http://"+g.AdminAddr().String()+"/metrics", "", "")
				if strings.Contains(metrics, `milaan_trace_spans_total{result="failed"}`) {
					break
				}
				time.Sleep(50 * time.Millisecond) // spans are sent once a second
			}
			stop()
			if text := log.String(); strings.Count(text, "traces can't be sent") != 1 || strings.Contains(text, "collectors-secret") || strings.Contains(text, "\nforged") {
				t.Errorf("the log says %s", text)
			}
		})
	}
}

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
