// Package console is the door of those who run an installation, and of its
// merchants: server-made pages at /console, see docs/console.md.
//
// A page is a row of the permission table (routes.go), a handler, a template
// (web/pages) and its texts (lang). The router lets nobody through whom the
// table does not name; what a page of one's merchants shows, its handler limits
// by visit.merchants.
package console

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/words"
)

// Store is what the console's pages read.
type Store interface {
	// Backlog gives what is not settled yet: of a merchant, or of all where that
	// is empty.
	Backlog(ctx context.Context, merchant string) (deposit.Backlog, error)
	lookup.Store
	lookup.Reviews
	lookup.Overviews
	intake.Hours
	// Endpoints lists where events are not simply sent to.
	Endpoints(ctx context.Context) ([]postback.Endpoint, error)
	// FindWithdrawal returns the withdrawal with that number, or
	// payout.ErrNoWithdrawal.
	FindWithdrawal(ctx context.Context, id int64) (*payout.Withdrawal, error)
	// Postback gives one with its attempts, or postback.ErrNoPostback.
	Postback(ctx context.Context, id int64) (*postback.Detail, error)
}

// Config is what a console works with; every field but Host, ClientAddr and
// Outage is needed.
type Config struct {
	Staff     *staff.Desk
	People    staff.Store // to list them
	Store     Store
	Directory *directory.Cache
	Deposits  *deposit.Desk
	Postbacks *postback.Control
	Now       func() time.Time
	// Host is the one host that has the console, without port; any that is no
	// merchant's where empty.
	Host string
	// ClientAddr tells the address a request comes from. Nil takes the
	// connection's: right where no proxy stands before the gateway.
	ClientAddr func(*http.Request) netip.Addr
	// Outage tells errors of a database that can't do now what it is asked, from
	// faults of ours. Nil takes all for faults.
	Outage func(error) bool
	Log    *slog.Logger
	// Admin is what the pages of reports and of the installation work with.
	Admin Admin
	// Works are what the pages of wallets, feeds, payouts and merchants work with.
	Works Works
}

// Door serves operators and merchants.
type Door struct {
	Config
	langs *words.Languages
	paper *printer
	site  http.Handler
	feeds pulse

	imports *imports
	testing sync.Map // merchants whose endpoints are being tried
}

// New makes a console. It fails only on files of its own that are damaged.
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
	d := &Door{Config: c, langs: langs, paper: paper, imports: newImports()}
	mux, err := d.mount(table, d.handlers())
	if err != nil {
		return nil, err
	}
	mux.Handle("/", d.serve(&route{scope: everybody}, func(*visit) error { return errNotFound }))
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(d.serve(&route{scope: everybody}, func(*visit) error { return errForeign }))
	d.site = csrf.Handler(mux)
	return d, nil
}

// handlers are what serves the table, section by section.
func (d *Door) handlers() handlers {
	all := make(handlers)
	for _, section := range []handlers{
		d.front(),
		d.overview(),
		d.review(),
		d.payments(),
		d.reports(),
		d.admin(),
		d.works(),
		d.payouts(),
		d.merchantPages(),
		d.people(),
	} {
		maps.Copy(all, section)
	}
	return all
}

func (d *Door) front() handlers {
	return handlers{
		"GET /static/{file}": d.static,

		"GET /sign-in":                     d.signInPage,
		"POST /sign-in":                    d.signIn,
		"POST /sign-in/passkey/ask":        d.askPasskey,
		"POST /sign-in/passkey":            d.signInByPasskey,
		"GET /sign-in/provider":            d.askProvider,
		"GET /sign-in/provider/answer":     d.signInByProvider,
		"GET /link/{token}":                d.linkPage,
		"POST /link/{token}":               d.useLink,
		"GET /sign-in/second":              d.secondPage,
		"POST /sign-in/second":             d.second,
		"POST /sign-in/second/passkey/ask": d.askPasskey,
		"POST /sign-in/second/passkey":     d.signInByPasskey,
		"GET /sure":                        d.surePage,
		"POST /sure":                       d.prove,
		"POST /sure/passkey/ask":           d.askPasskey,
		"POST /sure/passkey":               d.signInByPasskey,
		"GET /sure/provider":               d.askProvider,
		"POST /sign-out":                   d.signOut,
	}
}

func (d *Door) people() handlers {
	return handlers{
		"GET /users":                d.users,
		"GET /users/add":            d.addUserPage,
		"POST /users/add":           d.addUser,
		"GET /users/{user}":         d.ofUser(d.userPage),
		"POST /users/{user}/roles":  d.ofUser(d.setRoles),
		"POST /users/{user}/reset":  d.ofUser(d.resetUser),
		"GET /users/{user}/remove":  d.ofUser(d.removeUserPage),
		"POST /users/{user}/remove": d.ofUser(d.removeUser),

		"GET /account":                               d.accountPage,
		"POST /account":                              d.saveAccount,
		"GET /account/password":                      d.passwordPage,
		"POST /account/password":                     d.setPassword,
		"GET /account/factors":                       d.factorsPage,
		"POST /account/factors/app":                  d.proposeApp,
		"POST /account/factors/app/confirm":          d.confirmApp,
		"POST /account/factors/app/remove":           d.removeApp,
		"POST /account/factors/codes":                d.renewCodes,
		"POST /account/factors/passkeys/ask":         d.offerPasskey,
		"POST /account/factors/passkeys":             d.addPasskey,
		"POST /account/factors/passkeys/{id}/remove": d.removePasskey,
		"GET /account/sessions":                      d.sessionsPage,
		"POST /account/sessions/{id}/end":            d.endSession,
		"POST /account/sessions/end-others":          d.endOtherSessions,
	}
}

// Before serves what is the console's and leaves the rest to next. On a host of
// its own the console is alone; merchants' hosts have none.
func (d *Door) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostname(r.Host)
		mine := r.URL.Path == base || strings.HasPrefix(r.URL.Path, base+"/")
		switch {
		case d.Host != "" && !strings.EqualFold(host, d.Host), d.Host == "" && (!mine || d.ofMerchant(host)):
			next.ServeHTTP(w, r)
		case r.URL.Path == base || d.Host != "" && r.URL.Path == "/":
			http.Redirect(w, r, base+"/", http.StatusSeeOther)
		default:
			d.site.ServeHTTP(w, r)
		}
	})
}

// ofMerchant reports whether a host is a merchant's, who must not be able to
// show a console that looks like the operator's.
func (d *Door) ofMerchant(host string) bool {
	dir := d.Directory.Current()
	_, domain, _ := strings.Cut(host, ".")
	return dir.MerchantByDomain(host) != nil || dir.MerchantByDomain(domain) != nil
}

// hostname is a Host header as names are compared: without port and the root's
// dot, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// connectionAddr is the address at the other end of the connection, where that
// is a person's: a loopback or private one may be a proxy's, which stands for
// everybody at once.
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

// Errors a page is shown for.
var (
	errNotFound  = errors.New("not found")
	errForbidden = errors.New("the role does not allow that")
	errForeign   = errors.New("the request comes from another site")
	errInsecure  = errors.New("the console needs HTTPS")
)
