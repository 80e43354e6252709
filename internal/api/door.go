// Package api is the door of merchants' servers, which speak the JSON of
// protocol.md, sections 1 to 3 and 6, and of the feeds that report bank entries.
//
// A door translates: it finds out who calls, reads the request, hands it to
// the [deposit.Desk] and puts the outcome into the words of the protocol. It
// decides nothing about money.
package api

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/trace"
	"github.com/milaan/milaan/money"
)

// Desk decides; a [deposit.Desk] is one.
type Desk interface {
	// Activate gives the claim of a payment, see [deposit.Desk.Activate].
	Activate(ctx context.Context, a deposit.Activation) (deposit.Claim, error)
	// Assign picks the wallet a payer is shown, see [deposit.Desk.Assign].
	Assign(ctx context.Context, r deposit.AssignmentRequest) (deposit.Assignment, error)
	// Ingest takes a feed's report, see [deposit.Desk.Ingest].
	Ingest(ctx context.Context, f *directory.Feed, items []feed.Item) (feed.Taken, error)
}

// Store is read where nothing is to be decided; every [deposit.Store] is one.
type Store interface {
	// FindClaimByKey returns the claim with that custom id, or
	// [deposit.ErrNoClaim].
	FindClaimByKey(ctx context.Context, key deposit.CustomKey) (*deposit.Claim, error)
	// WalletUse gives what each wallet received on a day, in paise. Its map is
	// read only.
	WalletUse(ctx context.Context, day deposit.Day) (map[string]money.Paise, error)
}

// Config is what a door works with; every field but ClientAddr, Outage and Tracer
// is needed.
type Config struct {
	Desk      Desk
	Store     Store
	Directory *directory.Cache
	Intake    Intake
	Importer  Importer
	Office    Office
	Vault     Vault
	Now       func() time.Time
	// ClientAddr tells the address a request comes from, for the merchants'
	// allow lists. Nil takes the connection's: right where no proxy stands
	// before the gateway.
	ClientAddr func(*http.Request) netip.Addr
	// Outage tells errors of a database that can't do now what it is asked, from
	// faults of ours. Nil takes all for faults.
	Outage  func(error) bool
	Tracer  *trace.Tracer // nil where nothing is traced
	Metrics *Metrics
	Log     *slog.Logger
}

// Metrics measure the doors. docs/metrics.md lists them.
type Metrics struct {
	Requests      *prometheus.HistogramVec // seconds, by route and status
	FeedRefusals  *prometheus.CounterVec   // records, by feed
	FeedStrangers *prometheus.CounterVec   // requests, by feed
	// PayoutStrangers are webhooks for payouts that nothing proves.
	PayoutStrangers prometheus.Counter
}

// NewMetrics registers the doors' metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		Requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "milaan_api_request_seconds", Help: "Time to answer a request of a merchant or a feed.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"route", "status"}),
		FeedRefusals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_feed_refused_total", Help: "Records of feeds that were refused, malformed ones included.",
		}, []string{"feed"}),
		FeedStrangers: f.NewCounterVec(prometheus.CounterOpts{
			Name: "milaan_feed_strangers_total", Help: "Requests to feeds whose sender did not prove itself by signature.",
		}, []string{"feed"}),
		PayoutStrangers: f.NewCounter(prometheus.CounterOpts{
			Name: "milaan_payout_strangers_total", Help: "Webhooks for payouts whose sender did not prove itself.",
		}),
	}
}

// Door serves merchants and feeds.
type Door struct {
	Config
	use walletUse
}

// New makes a door.
func New(c Config) *Door {
	if c.ClientAddr == nil {
		c.ClientAddr = connectionAddr
	}
	if c.Outage == nil {
		c.Outage = func(error) bool { return false }
	}
	return &Door{Config: c}
}

// methodLogo is drawn for milaan: the marks of UPI and its apps are not ours.
//
//go:embed upi.svg
var methodLogo []byte

const methodLogoPath = "/assets/methods/upi.svg"

// Merchants serves /api/ on every host but the payment windows', and
// /assets/methods/, the drawings that its answers point to.
func (d *Door) Merchants() http.Handler {
	mux := http.NewServeMux()
	for _, route := range []struct {
		name, method, path string
		answer             answer
	}{
		{"create", http.MethodPost, "/api/v1/transaction/create/{wallet_type}", d.create},
		{"activate", http.MethodPost, "/api/v1/transaction/activate", d.activate},
		{"status", http.MethodGet, "/api/v1/transaction/status", d.status},
		{"available", http.MethodGet, "/api/v1/payment-systems/available", d.available},
	} {
		mux.Handle(route.path, d.serve(route.name, d.ofMerchant(only(route.method, route.answer))))
	}
	mux.Handle("/v2/withdrawal/create", d.serve("withdraw", d.signer(only(http.MethodPost, d.withdraw))))
	mux.Handle("/v2/withdrawal/status", d.serve("withdrawal status", d.ofMerchant(only(http.MethodGet, d.withdrawalStatus))))
	mux.Handle("/v2/balance", d.serve("balance", d.ofMerchant(only(http.MethodGet, d.balance))))
	mux.Handle("/", d.serve("unknown", nowhere))
	mux.HandleFunc("GET "+methodLogoPath, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "image/svg+xml")
		h.Set("Cache-Control", "public, max-age=86400")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(methodLogo) // a client that went away misses nothing
	})
	return mux
}

// Feeds serves /feeds/{id}, and what banks call below it.
func (d *Door) Feeds() http.Handler {
	mux := http.NewServeMux()
	report := d.serve("feed", d.ofFeed(only(http.MethodPost, d.report)))
	mux.Handle("/feeds/{id}", report)
	mux.Handle("/feeds/{id}/{endpoint}", report)
	mux.Handle("/", d.serve("unknown", nowhere))
	return mux
}

// Payouts serves /payouts/{desk}, which payout providers call.
func (d *Door) Payouts() http.Handler {
	return d.serve("payout news", only(http.MethodPost, d.news))
}

// only lets one HTTP method through. It stands behind the authentication:
// strangers learn no routes.
func only(method string, next answer) answer {
	return func(c *call) (any, error) {
		if c.Method != method {
			return nil, &requestError{
				status: http.StatusMethodNotAllowed, message: "Call this address with " + method,
				header: http.Header{"Allow": {method}},
			}
		}
		return next(c)
	}
}
