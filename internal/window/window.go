// Package window is the door of payers: the payment window of the protocol,
// section 4. It opens a merchant's link as a payment, shows where to pay,
// takes the UTR and follows the outcome until the payer goes back.
//
// The window moves no money. It keeps how far a payer came
// ([payment.Payment]) and hands what the payer says to the desk, which decides
// as it does for a merchant's own call.
package window

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/trace"
	"github.com/milaan/milaan/internal/words"
	"github.com/milaan/milaan/money"
)

// Desk decides; a [deposit.Desk] is one.
type Desk interface {
	// Activate gives the claim of a payment, see [deposit.Desk.Activate].
	Activate(ctx context.Context, a deposit.Activation) (deposit.Claim, error)
	// Amend corrects the UTR of a claim, see [deposit.Desk.Amend].
	Amend(ctx context.Context, a deposit.Activation) (deposit.Claim, error)
	// Assign picks the wallet a payer is shown, see [deposit.Desk.Assign].
	Assign(ctx context.Context, r deposit.AssignmentRequest) (deposit.Assignment, error)
}

// Store is what the window keeps and reads itself.
type Store interface {
	payment.Store
	// FindClaimByKey returns the claim with that custom id, or
	// [deposit.ErrNoClaim].
	FindClaimByKey(ctx context.Context, key deposit.CustomKey) (*deposit.Claim, error)
	// WalletUse gives what each wallet received on a day, in paise. Its map is
	// read only.
	WalletUse(ctx context.Context, day deposit.Day) (map[string]money.Paise, error)
}

// Config is what a window works with; every field but AllowLoopback, ClientAddr,
// Outage and Tracer is needed.
type Config struct {
	Desk      Desk
	Store     Store
	Directory *directory.Cache
	Now       func() time.Time
	// AllowLoopback lets hashed URLs be http on loopback: tests and local use.
	AllowLoopback bool
	// ClientAddr tells the address a request comes from. Nil takes the
	// connection's: right where no proxy stands before the gateway.
	ClientAddr func(*http.Request) netip.Addr
	// Outage tells errors of a database that can't do now what it is asked, from
	// faults of ours. Nil takes all for faults.
	Outage func(error) bool
	Tracer *trace.Tracer // nil where nothing is traced
	Log    *slog.Logger
}

// What one payer may do; the pace of others is in limit.go.
const (
	mostAmends = 5 // corrections of the UTR, in a payment's life

	opensOfLabel = 20 // links opened at once, then one each…
	opensEvery   = 15 * time.Second
	postsOfLabel = 20 // forms sent at once, then one each…
	postsEvery   = 10 * time.Second
)

// Door serves payers.
type Door struct {
	Config
	langs *words.Languages
	paper *printer
	site  http.Handler

	opens, posts *paces

	amending sync.Mutex // counts amendments one at a time
	watch    *watchers
}

// New makes a window. It fails only on files of its own that are damaged.
func New(c Config) (*Door, error) {
	if c.ClientAddr == nil {
		c.ClientAddr = connectionAddr
	}
	langs, err := words.Load(langFiles)
	if err != nil {
		return nil, err
	}
	paper, err := newPrinter()
	if err != nil {
		return nil, err
	}
	d := &Door{
		Config: c, langs: langs, paper: paper, watch: newWatchers(),
		opens: newPaces(opensEvery, opensOfLabel), posts: newPaces(postsEvery, postsOfLabel),
	}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*visit) error{
		"GET /{$}":                 d.open,
		"GET /pay":                 d.open,
		"GET /pay/{token}":         d.ofPayment(d.look),
		"GET /pay/{token}/state":   d.ofPayment(d.state),
		"GET /pay/{token}/events":  d.ofPayment(d.events),
		"POST /pay/{token}/method": d.ofPayment(d.chooseMethod),
		"POST /pay/{token}/amount": d.ofPayment(d.sayAmount),
		"POST /pay/{token}/utr":    d.ofPayment(d.giveUTR),
		// A browser asks for the address of a form again when it is reloaded or
		// gone back to.
		"GET /pay/{token}/{form}": d.ofPayment(func(v *visit) error { return v.toPayment() }),
		"/":                       func(*visit) error { return errNotFound },
	} {
		mux.Handle(pattern, d.serve(serve))
	}
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(d.serve(func(*visit) error { return errForeign }))
	d.site = csrf.Handler(mux)
	return d, nil
}

// Before serves what is the window's, plugin.{server_URL} and /pay on any other
// host, and leaves the rest to next.
func (d *Door) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, plugin := d.owner(r)
		if plugin || r.URL.Path == "/pay" || strings.HasPrefix(r.URL.Path, "/pay/") {
			d.site.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Close ends the connections that wait for news, so that a stop need not wait
// for them.
func (d *Door) Close() { d.watch.close() }

// owner is the merchant whose host a request came to, or nil, and whether it is
// the merchant's plugin.{server_URL}.
func (d *Door) owner(r *http.Request) (m *directory.Merchant, plugin bool) {
	sub, domain, _ := strings.Cut(hostname(r.Host), ".")
	m = d.Directory.Current().MerchantByDomain(domain)
	if m == nil && sub == "plugin" {
		m = d.Directory.Look(r.Context()).MerchantByDomain(domain)
	}
	return m, m != nil && sub == "plugin"
}

// hostname is a Host header as names are compared: without port and the root's
// dot, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// connectionAddr is the address at the other end of the connection, where that
// is a payer's: a loopback or private one is a proxy's, which stands for all
// payers at once and tells nothing of any.
func connectionAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().WithZone("").Unmap()
	if addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	return addr
}

// visit is one request of a payer.
type visit struct {
	*http.Request
	w        http.ResponseWriter
	now      time.Time
	dir      *directory.Snapshot
	words    *words.Language
	merchant *directory.Merchant
	payment  *payment.Payment
	claim    *deposit.Claim // nil before the payer gave a UTR
	span     trace.Span     // of a form that is traced
}

// Errors a page is shown for.
var (
	errNotFound = errors.New("not found")
	errForeign  = errors.New("the request comes from another site")
	errUsed     = errors.New("the custom_transaction_id is another payment's")
)

// slowError is a payer, or a gateway, that has to wait.
type slowError struct {
	status int
	wait   time.Duration
}

func (*slowError) Error() string { return "too many requests" }

// awaySeconds is when a payer may try again while the database can't be used.
const awaySeconds = 5

const maxForm = 16 << 10 // bytes

// serve makes a handler that shows the errors of next as pages.
func (d *Door) serve(next func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		v := &visit{
			Request: r, w: w, now: d.Now(), dir: d.Directory.Current(),
			words: d.langs.Choose(langOf(r), r.Header.Get("Accept-Language")),
		}
		d.paper.protect(w.Header(), "", "") // a redirect has no page to set them
		if err := next(v); err != nil {
			d.fail(v, err) //nolint:contextcheck // a visit holds its request, and with it the context
		}
		v.span.End()
	})
}

// langOf is the language a link asks for, for errors before it is read.
func langOf(r *http.Request) string {
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can be read of it
	return query.Get("lang")
}

// fail shows an error.
func (d *Door) fail(v *visit, err error) {
	p := &page{words: v.words, Error: true}
	say := func(status int, key string) { p.status, p.Title, p.Text = status, p.T(key), p.T(key+".text") }
	var wrong *linkError
	var slow *slowError
	switch {
	case errors.As(err, &wrong):
		say(http.StatusBadRequest, "error.link")
		p.Field = p.T("error.link.field", "field", wrong.field)
	case errors.As(err, &slow):
		seconds := strconv.Itoa(int(math.Ceil(max(slow.wait, time.Second).Seconds())))
		say(slow.status, "error.slow")
		p.Text = p.T("error.slow.text", "seconds", seconds)
		v.w.Header().Set("Retry-After", seconds)
	case errors.Is(err, deposit.ErrBusy), errors.Is(err, deposit.ErrTooMany), errors.Is(err, deposit.ErrClosed):
		d.fail(v, &slowError{http.StatusServiceUnavailable, 2 * time.Second})
		return
	case v.Context().Err() != nil, d.Outage != nil && d.Outage(err):
		seconds := strconv.Itoa(awaySeconds)
		say(http.StatusServiceUnavailable, "error.away")
		p.Text = p.T("error.away.text", "seconds", seconds)
		v.w.Header().Set("Retry-After", seconds)
	case errors.Is(err, errOver):
		say(http.StatusGone, "error.over")
	case errors.Is(err, errUsed):
		say(http.StatusConflict, "error.used")
	case errors.Is(err, errForeign):
		say(http.StatusForbidden, "error.origin")
	case errors.Is(err, errNotFound), errors.Is(err, payment.ErrNoPayment):
		say(http.StatusNotFound, "error.notfound")
	default:
		d.Log.ErrorContext(v.Context(), "the payment window failed", "error", err)
		v.span.Fail()
		say(http.StatusInternalServerError, "error.fault")
	}
	if v.payment != nil {
		p.Retry = v.here()
		p.Origins = strings.Join(v.merchant.FrameAncestors, " ")
	}
	if err := d.paper.write(v.w, v.Request, p); err != nil {
		d.Log.ErrorContext(v.Context(), "an error page could not be made", "error", err)
		http.Error(v.w, "This page could not be made.", http.StatusInternalServerError)
	}
}

// open takes a merchant's link: GET plugin.{server_URL}/?… or /pay?merchant=ID&….
func (d *Door) open(v *visit) error {
	query, err := url.ParseQuery(v.URL.RawQuery)
	if err != nil {
		return &linkError{"address"}
	}
	owner, plugin := d.owner(v.Request)
	id := query.Get("merchant")
	m := owner
	if !plugin {
		if m = v.dir.Merchant(id); m == nil {
			v.dir = d.Directory.Look(v.Context())
			m = v.dir.Merchant(id)
		}
	}
	if m == nil || m.Retired || owner != nil && owner.ID != m.ID {
		return errNotFound
	}
	v.merchant = m
	l := &link{query: query, merchant: m, dir: v.dir, langs: d.langs, loopback: d.AllowLoopback}
	p, err := l.read()
	if err != nil {
		return err
	}
	if err := d.spend(v, d.opens, p.Label); err != nil {
		return err
	}
	if err := d.inTime(v, l.expires, deposit.CustomKey{Merchant: m.ID, CustomID: query.Get("custom_transaction_id")}); err != nil {
		return err
	}
	p.Token, p.Reference = rand.Text(), payment.NewReference()
	p.CreatedAt = v.now.UTC().Truncate(time.Microsecond)
	opened, err := d.Store.OpenPayment(v.Context(), p)
	if err != nil {
		return err
	}
	if !sameLink(opened, &p) {
		return errUsed
	}
	v.payment = opened
	// The next page would cost a payer on a slow network another round trip. A
	// link without an id has to lead on: opened again, it is another payment.
	if query.Get("custom_transaction_id") == "" {
		return v.toPayment()
	}
	if err := d.resume(v); err != nil {
		return err
	}
	v.w.Header().Set("Content-Location", v.here())
	return d.look(v)
}

// errOver: the link's time is up.
var errOver = errors.New("the link's time is up")

// inTime lets a link through that has not ended, and one whose payment the payer
// has told of: the payer sees what became of it.
func (d *Door) inTime(v *visit, expires time.Time, key deposit.CustomKey) error {
	if expires.IsZero() || v.now.Before(expires) {
		return nil
	}
	if key.CustomID != "" {
		_, err := d.Store.FindClaimByKey(v.Context(), key)
		if err == nil || !errors.Is(err, deposit.ErrNoClaim) {
			return err
		}
	}
	return errOver
}

// sameLink reports whether a link that was opened before is this one: nobody
// sees another's payment by its custom_transaction_id alone.
func sameLink(a, b *payment.Payment) bool {
	return a.Label == b.Label && a.Currency == b.Currency && a.MethodFixed == b.MethodFixed && a.AmountFixed == b.AmountFixed &&
		(!b.MethodFixed || a.Method == b.Method) && (!b.AmountFixed || a.Amount == b.Amount)
}

// spend counts one thing that a payer does.
func (d *Door) spend(v *visit, of *paces, label string) error {
	if wait := of.take(v.merchant.ID, label, d.ClientAddr(v.Request), v.now); wait > 0 {
		return &slowError{http.StatusTooManyRequests, wait}
	}
	return nil
}

// ofPayment finds the payment that the address names, its merchant and claim. A
// token that is nobody's and one of another host's merchant look alike.
func (d *Door) ofPayment(next func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		p, err := d.Store.FindPayment(v.Context(), v.PathValue("token"))
		if err != nil {
			return err
		}
		owner, _ := d.owner(v.Request)
		if v.merchant = v.dir.Merchant(p.Merchant); v.merchant == nil {
			v.dir = d.Directory.Look(v.Context())
			v.merchant = v.dir.Merchant(p.Merchant)
		}
		if v.merchant == nil || owner != nil && owner.ID != p.Merchant {
			return errNotFound
		}
		v.payment = p
		d.traced(v)
		if err := d.resume(v); err != nil {
			return err
		}
		return next(v)
	}
}

// traced begins the span of a form that a payer sends; pages and the news that they
// ask for change nothing. A payer proves nothing, and chooses nothing: a trace that
// comes along is passed over.
func (d *Door) traced(v *visit) {
	if !d.Tracer.On() || v.Method != http.MethodPost {
		return
	}
	_, route, _ := strings.Cut(v.Pattern, " ")
	if v.Request, v.span = d.Tracer.Request(v.Request, route, false); v.span.Traced() {
		v.span.Tell(trace.Merchant(v.merchant.ID))
	}
}

// resume takes up a visit's payment where it stands, in its language.
func (d *Door) resume(v *visit) (err error) {
	v.words = d.langs.Choose(v.payment.Lang, v.Header.Get("Accept-Language"))
	v.claim, err = d.claimOf(v.Context(), v.payment)
	return err
}

// claimOf is the claim a payment led to, nil before that. A claim of another
// label with that custom_transaction_id is not this payer's to see.
func (d *Door) claimOf(ctx context.Context, p *payment.Payment) (*deposit.Claim, error) {
	c, err := d.Store.FindClaimByKey(ctx, deposit.CustomKey{Merchant: p.Merchant, CustomID: p.CustomID})
	switch {
	case errors.Is(err, deposit.ErrNoClaim):
		return nil, nil
	case err != nil:
		return nil, err
	case c.Label != p.Label:
		return nil, errUsed
	}
	if c.Overdue(d.Now()) {
		c.State = deposit.Expired // it will be: the sweep has not come by yet
	}
	return c, nil
}

// here is the payment's address on this host.
func (v *visit) here() string { return "/pay/" + v.payment.Token }

// toPayment sends the payer to the payment's page, wherever it stands.
func (v *visit) toPayment() error {
	http.Redirect(v.w, v.Request, v.here(), http.StatusSeeOther)
	return nil
}
