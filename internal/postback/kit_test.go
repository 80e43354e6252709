package postback_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// outbox is a store in memory that keeps leases as a database would.
type outbox struct {
	mu        sync.Mutex
	rows      map[int64]*row
	endpoints map[string]postback.Endpoint
	audit     []audit.Entry
	told      []webhook.Event
	failing   int // Records to refuse
	blind     int // look-ups to refuse
	recorded  chan postback.Result
}

type row struct {
	postback.Event
	state    postback.State
	attempts int
	nextAt   time.Time
	body     []byte
	refused  string
	results  []postback.Result // that applied
}

var errAway = errors.New("the database is away")

func newOutbox() *outbox {
	return &outbox{rows: make(map[int64]*row), endpoints: make(map[string]postback.Endpoint), recorded: make(chan postback.Result, 10_000)}
}

// put writes an event as the commit of its deposit would.
func (o *outbox) put(e postback.Event, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows[e.ID] = &row{Event: e, state: postback.StateDue, nextAt: due}
}

func (o *outbox) row(id int64) row {
	o.mu.Lock()
	defer o.mu.Unlock()
	return *o.rows[id]
}

func (r *row) due(now time.Time) bool {
	return (r.state == postback.StateDue || r.state == postback.StateHeld) && !r.nextAt.After(now)
}

func (o *outbox) DueMerchants(ctx context.Context, now time.Time, after string, limit int) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.blind > 0 {
		o.blind--
		return nil, errAway
	}
	due := make(map[string]bool)
	for _, r := range o.rows {
		if r.due(now) && r.Merchant > after {
			due[r.Merchant] = true
		}
	}
	merchants := slices.Sorted(maps.Keys(due))
	return merchants[:min(limit, len(merchants))], ctx.Err()
}

func (o *outbox) Lease(ctx context.Context, wants []postback.Want, now, until time.Time) ([]postback.Job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	due := make(map[string][]*row)
	for _, r := range o.rows {
		if r.due(now) {
			due[r.Merchant] = append(due[r.Merchant], r)
		}
	}
	var jobs []postback.Job
	for _, want := range wants {
		due := due[want.Merchant]
		slices.SortFunc(due, func(a, b *row) int { return cmp.Or(a.nextAt.Compare(b.nextAt), cmp.Compare(a.ID, b.ID)) })
		for _, r := range due[:min(want.Limit, len(due))] {
			r.nextAt = until
			jobs = append(jobs, postback.Job{Event: r.Event, Attempts: r.attempts, Body: bytes.Clone(r.body), LeasedUntil: until})
		}
	}
	return jobs, ctx.Err()
}

func (o *outbox) Endpoints(ctx context.Context) ([]postback.Endpoint, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.endpoints)), ctx.Err()
}

func (o *outbox) SetEndpoint(ctx context.Context, e postback.Endpoint, over []postback.EndpointState, told []webhook.Event, entries ...audit.Entry) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, found := o.endpoints[e.Merchant]
	if !found || was.Target != e.Target && was.State != postback.EndpointPaused {
		was.State = postback.EndpointOpen
	}
	if !slices.Contains(over, was.State) {
		return false, ctx.Err()
	}
	o.endpoints[e.Merchant] = e
	if e.State == postback.EndpointOpen {
		delete(o.endpoints, e.Merchant)
	}
	o.audit = append(o.audit, entries...)
	o.told = append(o.told, told...)
	return true, ctx.Err()
}

func (o *outbox) endpoint(merchant string) postback.Endpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.endpoints[merchant]
}

func (o *outbox) Refused(ctx context.Context) ([]postback.Refusal, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []postback.Refusal
	for _, r := range o.rows {
		if refusal := (postback.Refusal{Merchant: r.Merchant, Target: r.refused}); r.refused != "" && !slices.Contains(list, refusal) {
			list = append(list, refusal)
		}
	}
	return list, ctx.Err()
}

func (o *outbox) Revive(ctx context.Context, refusal postback.Refusal, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		if r.Merchant == refusal.Merchant && r.refused == refusal.Target {
			r.state, r.refused, r.nextAt, r.attempts = postback.StateDue, "", now, 0
		}
	}
	return ctx.Err()
}

func (o *outbox) Record(ctx context.Context, results []postback.Result) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failing > 0 {
		o.failing--
		return errAway
	}
	for _, res := range results {
		r := o.rows[res.EventID]
		open := r.state == postback.StateDue || r.state == postback.StateHeld
		if res.State != postback.StateDelivered && (!open || !r.nextAt.Equal(res.LeasedUntil)) {
			continue
		}
		r.state, r.nextAt, r.refused = res.State, res.NextAt, res.Refused
		if res.Attempt.Number > 0 {
			r.attempts = res.Attempt.Number
		}
		if res.Body != nil {
			r.body = bytes.Clone(res.Body)
		}
		r.results = append(r.results, res)
		select {
		case o.recorded <- res:
		default: // more than anybody waits for
		}
	}
	return ctx.Err()
}

// rates is a source with one set under every number.
type rates struct{ set *fx.Rates }

func bundled(tb testing.TB) rates {
	tb.Helper()
	set, err := fx.Bundled()
	if err != nil {
		tb.Fatal(err)
	}
	return rates{set}
}

func (r rates) Rates(_ context.Context, id int64) (*fx.Rates, error) { return r.set.WithID(id), nil }

// shops is a directory that a test changes.
type shops struct {
	*directory.Cache
	mu       sync.Mutex
	contents directory.Contents
}

func newShops(tb testing.TB, merchants ...*directory.Merchant) *shops {
	tb.Helper()
	s := &shops{contents: directory.Contents{Version: 1, Merchants: merchants}}
	cache, err := directory.OpenCache(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	s.Cache = cache
	return s
}

func (s *shops) LoadDirectory(context.Context) (directory.Contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contents, nil
}

func (s *shops) DirectoryVersion(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contents.Version, nil
}

// replace gives the directory other merchants.
func (s *shops) replace(tb testing.TB, merchants ...*directory.Merchant) {
	tb.Helper()
	s.mu.Lock()
	s.contents = directory.Contents{Version: s.contents.Version + 1, Merchants: merchants}
	s.mu.Unlock()
	if err := s.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func shop(id, url string) *directory.Merchant {
	return &directory.Merchant{
		ID: id, Timezone: "Asia/Kolkata", PostbackURL: url,
		Secrets: directory.MerchantSecrets{AccessKey: "AK", PrivateKey: "PK"},
	}
}

// event is the example's, with an id and a merchant of its own.
func event(id int64, merchant string, at time.Time) postback.Event {
	at = at.UTC().Truncate(time.Microsecond)
	return postback.Event{
		ID: id, Merchant: merchant, Method: "upi_hb", Label: "2519566", CustomID: "order-" + strconv.FormatInt(id, 10),
		Amount: 1000 * money.Rupee, Currency: money.INR, Payer: "9912346690@ybl",
		CreditID: 1430926, UTR: upi.UTR("355015818634"),
		CreatedAt: at.Add(-2 * time.Second), ActivatedAt: at, RatesID: 1,
	}
}

// roundTrip is a merchant without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
}

func ok() (*http.Response, error) { return answer(http.StatusOK, `{"status":"ok"}`), nil }

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func read(tb testing.TB, r *http.Request) []byte {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Error(err)
	}
	return body
}

func config(tb testing.TB, store postback.Store, dir *shops, transport http.RoundTripper) postback.Config {
	tb.Helper()
	return postback.Config{
		Store: store, Directory: dir.Cache, Rates: bundled(tb), Transport: transport,
		Now: time.Now, Metrics: postback.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	}
}

// run starts a worker and returns what stops it and waits for its end.
func run(tb testing.TB, c postback.Config) (worker *postback.Worker, stop func()) {
	tb.Helper()
	w := postback.NewWorker(c)
	return w, goOn(tb, w)
}

// goOn runs a worker.
func goOn(tb testing.TB, w *postback.Worker) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
}
