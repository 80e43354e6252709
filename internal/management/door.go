// Package management is the door of the management API, /v3/: merchants look at
// their own deposits, withdrawals, postbacks and account, and see to their postbacks;
// operators run the installation and decide on withdrawals.
//
// Callers prove themselves with keys, see package access. Operations are declared
// with their types; the OpenAPI document is made from them, and the page at
// /v3/docs from the document.
package management

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/trace"
)

// Desk decides reviews; a [deposit.Desk] is one.
type Desk interface {
	// Approve credits a claim, see [deposit.Desk.Approve].
	Approve(ctx context.Context, claim, credit int64, actor, why string) (deposit.Claim, error)
	// Reject ends a claim, see [deposit.Desk.Reject].
	Reject(ctx context.Context, claim int64, actor, why string) (deposit.Claim, error)
	// Clear takes the mark off a credit, see [deposit.Desk.Clear].
	Clear(ctx context.Context, credit int64, actor, why string) error
}

// Store is what the door reads, and where keys and the directory are kept.
type Store interface {
	access.Store
	lookup.Store
	directory.Store
	intake.Hours
	// PendingClaims lists the claims in review, see [deposit.Store].
	PendingClaims(ctx context.Context, after int64, limit int) ([]deposit.Review, error)
	// FindCredit returns the credit with that id, or [deposit.ErrNoCredit].
	FindCredit(ctx context.Context, id int64) (*deposit.Credit, error)
	// Disputes lists bound credits that a bank contested.
	Disputes(ctx context.Context, after int64, limit int) ([]*deposit.Credit, error)
	// Inbox lists messages that a person should look at.
	Inbox(ctx context.Context, feed string, after int64, limit int) ([]deposit.KeptMessage, error)
	// Postback gives a postback with its attempts, see [postback.Archive].
	Postback(ctx context.Context, id int64) (*postback.Detail, error)
	// ListWithdrawals lists withdrawals of all merchants, see [payout.Store].
	ListWithdrawals(ctx context.Context, states []payout.State, desk string, after int64, limit int) ([]*payout.Withdrawal, error)
	// Statements lists the imported statements of a wallet, the last period first.
	Statements(ctx context.Context, wallet string, limit int) ([]feed.Statement, error)
}

// Config is what a door works with; every field but ClientAddr, Outage and Tracer
// is needed.
type Config struct {
	Desk      Desk
	Office    *payout.Office
	Postbacks *postback.Control
	Store     Store
	Directory *directory.Cache
	// Reconcile compares a statement with the books.
	Reconcile func(ctx context.Context, s feed.Statement) (Reconciliation, error)
	Now       func() time.Time
	// ClientAddr tells the address a request comes from. Nil takes the
	// connection's.
	ClientAddr func(*http.Request) netip.Addr
	// Outage tells errors of a database that can't do now what it is asked, from
	// faults of ours. Nil takes all for faults.
	Outage  func(error) bool
	Tracer  *trace.Tracer // nil where nothing is traced
	Metrics *Metrics
	Log     *slog.Logger
}

// Metrics measure the door. docs/metrics.md lists them.
type Metrics struct {
	Requests *prometheus.HistogramVec // seconds, by route and status
}

// NewMetrics registers the door's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{Requests: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name: "milaan_management_request_seconds", Help: "Time to answer a request of the management API.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, []string{"route", "status"})}
}

// Door serves /v3/.
type Door struct {
	Config
	ring     *access.Ring
	mux      *http.ServeMux // of the operations
	document []byte         // OpenAPI, JSON
	page     []byte         // HTML
	testing  sync.Map       // merchants whose endpoint is being tested
}

// New makes a door.
func New(c Config) (*Door, error) {
	if c.ClientAddr == nil {
		c.ClientAddr = connectionAddr
	}
	d := &Door{Config: c, ring: access.NewRing(c.Store, c.Now, c.Log), mux: http.NewServeMux()}
	api := humago.New(d.mux, describe())
	d.ofMerchants(api)
	d.ofOperator(api)
	d.mux.HandleFunc("/", d.nowhere)
	var err error
	if d.document, err = finish(api.OpenAPI()); err != nil {
		return nil, err
	}
	if d.page, err = readable(d.document); err != nil {
		return nil, err
	}
	return d, nil
}

// Document is the OpenAPI document, as it is served.
func (d *Door) Document() []byte { return d.document }

// call is a request on its way through the door.
type call struct {
	ctx context.Context //nolint:containedctx // the request's own
	key access.Key
	// body is an unsafe call's, whole.
	body []byte
	// merchant is whose key it is; nil for the operator's.
	merchant *directory.Merchant
	span     trace.Span // of a call that is traced
}

// who names the caller in logs.
func (c *call) who() []slog.Attr {
	if c.key.ID == 0 {
		return nil
	}
	list := []slog.Attr{slog.Int64("key", c.key.ID), slog.String("owner", c.key.Owner())}
	if c.span.Traced() {
		list = append(list, slog.String("trace", c.span.ID()))
	}
	return list
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call) // every operation has one
	return c
}

// ServeHTTP serves everything below /v3/.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := d.Now()
	c := &call{ctx: r.Context()}
	out := &answer{ResponseWriter: w}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	route := d.guarded(out, r, c)
	c.span.Route(r.Method, route)
	c.span.Answered(out.status())
	took := d.Now().Sub(start)
	d.Metrics.Requests.WithLabelValues(route, strconv.Itoa(out.status())).Observe(took.Seconds())
	d.Log.LogAttrs(r.Context(), slog.LevelInfo, "request", append([]slog.Attr{
		slog.String("method", r.Method), slog.String("route", route), slog.Int("status", out.status()),
		slog.Duration("took", took), slog.Int("bytes", out.bytes),
	}, c.who()...)...)
}

// guarded answers the request, and with a problem where that panics.
func (d *Door) guarded(w *answer, r *http.Request, c *call) (route string) {
	route = "unknown"
	defer func() { //nolint:contextcheck // the request holds the context
		fault := recover()
		if fault == http.ErrAbortHandler { //nolint:errorlint // a panic's value, which is this one itself
			panic(fault) // an answer is cut off on purpose
		}
		if fault != nil {
			d.Log.LogAttrs(r.Context(), slog.LevelError, "a request panicked",
				append(c.who(), slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))...)
			if w.code == 0 {
				internal.problem("It is in the log: ask whoever runs this gateway").write(w)
			}
		}
	}()
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch r.URL.Path {
		case "/v3/openapi.json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(d.document)
			return "openapi"
		case "/v3/docs":
			serveSheet(w, d.page)
			return "docs"
		}
	}
	if p := d.admit(r, c); p != nil {
		p.write(w)
		return route
	}
	if r, c.span = d.Tracer.Request(r, route, true); c.span.Traced() {
		c.span.Tell(trace.Key(c.key.ID))
		if c.merchant != nil {
			c.span.Tell(trace.Merchant(c.merchant.ID))
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.ctx = r.Context()
	if !safe(r.Method) {
		d.once(w, r, c)
	} else {
		d.mux.ServeHTTP(w, r)
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		route = path
	}
	return route
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// admit finds out who calls. All who have no key in force look alike.
func (d *Door) admit(r *http.Request, c *call) *Problem {
	from := d.ClientAddr(r)
	key, err := d.ring.Find(r.Context(), bearer(r), from)
	if many, ok := asTooMany(err); ok {
		return tooMany.problem("Too many wrong keys came from this address").with("Retry-After", strconv.Itoa(int(many.Wait/time.Second)+1))
	}
	stranger := unauthorized.problem("Send a key that is in force as Authorization: Bearer mln_…").with("Www-Authenticate", "Bearer")
	switch {
	case isNoKey(err):
		return stranger
	case err != nil:
		return d.problemOf(c, err)
	}
	dir := d.Directory.Current()
	if key.Merchant != "" {
		m := dir.Merchant(key.Merchant)
		if m == nil {
			m = d.Directory.Look(r.Context()).Merchant(key.Merchant)
		}
		if m == nil || m.Retired || !m.Allows(from) {
			return stranger
		}
		c.merchant = m
	}
	// On api.{server_URL} no other merchant has any business.
	sub, domain, _ := strings.Cut(hostname(r.Host), ".")
	if owner := dir.MerchantByDomain(domain); owner != nil && (sub == "plugin" || sub == "api" && c.merchant != nil && c.merchant.ID != owner.ID) {
		return stranger
	}
	c.key = key
	return nil
}

// bearer is the key that a request came with. It is taken from the header alone: a
// URL ends up in logs.
func bearer(r *http.Request) directory.Secret {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return directory.Secret(strings.TrimSpace(token))
}

// nowhere answers what no operation does.
func (d *Door) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := d.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		methods := strings.Join(allowed, ", ")
		wrongMethod.problem("Call it with %s", methods).with("Allow", methods).write(w)
		return
	}
	notHere().write(w)
}

// register adds an operation that needs a scope; every key may call one that needs
// none.
func register[I, O any](d *Door, api huma.API, scope access.Scope, op huma.Operation, run func(context.Context, *I) (*O, error)) {
	if scope != "" {
		op.Security = []map[string][]string{{securityScheme: {string(scope)}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nScope: " + string(scope))
		op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
			if c := callOf(ctx.Context()); !c.key.Allows(scope) {
				_, w := humago.Unwrap(ctx)
				forbidden.problem("This key lacks the scope %s", scope).write(w)
				return
			}
			next(ctx)
		})
	} else {
		op.Security = []map[string][]string{{securityScheme: {}}}
	}
	op.RejectUnknownQueryParameters = true
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	if !safe(op.Method) {
		op.Parameters = append(op.Parameters, idempotencyParameter())
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusConflict)
	}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, in)
		if err != nil {
			return nil, d.problemOf(callOf(ctx), err)
		}
		return out, nil
	})
}

// hostname is a Host header as names are compared: without port and the root's
// dot, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// connectionAddr is the address at the other end of the connection.
func connectionAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().WithZone("").Unmap()
}

// answer counts what goes out.
type answer struct {
	http.ResponseWriter
	code, bytes int
}

// WriteHeader notes the status.
func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write counts the bytes.
func (a *answer) Write(p []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += n
	return n, err
}

// Unwrap lets deadlines be set.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}
