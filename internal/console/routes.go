package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/staff"
)

// base is where the console is on its host.
const base = "/console"

// scope says for whom a route is, before its permission is looked at.
type scope string

const (
	// everybody: people who are not signed in, too.
	everybody scope = "everybody"
	// halfway: those whose second factor is outstanding.
	halfway scope = "second factor outstanding"
	// signedIn: every user, for what is the user's own.
	signedIn scope = "own account"
	// ofInstallation: the permission is needed for the whole installation.
	ofInstallation scope = "installation"
	// ofMerchants: the permission is needed for one merchant at least; the page
	// shows what is of those merchants alone, see visit.merchants.
	ofMerchants scope = "one's merchants"
	// ofMerchant: the permission is needed for the merchant that {merchant} of
	// the pattern names. Others are told that there is no such page.
	ofMerchant scope = "the merchant named"
)

// route is one row of the permission table.
type route struct {
	pattern string // method and path below base
	name    string // key of what the page is called
	scope   scope
	needs   staff.Permission // of the last three scopes
	// sure asks users who they are once more, unless they proved it lately: for
	// what is dangerous.
	sure bool
	menu bool // the page is in the menu of those who may see it
	// upload is how many bytes of a file a form of the row may bring; 0 for forms
	// without one.
	upload int64
}

// table lists every route of the console, section by section. There is no way in
// beside it: a handler whose pattern is not here is refused when the console is
// made, and so is a row without a handler. docs/console.md shows it, and a test
// tries every row in every role.
var table = slices.Concat(
	frontRoutes,
	overviewRoutes,
	reviewRoutes,
	paymentRoutes,
	worksRoutes,
	payoutRoutes,
	merchantRoutes,
	reportRoutes,
	adminRoutes,
	peopleRoutes,
)

// frontRoutes are the ways in.
var frontRoutes = []route{
	{pattern: "GET /static/{file}", name: "page.static", scope: everybody},
	{pattern: "GET /sign-in", name: "page.signin", scope: everybody},
	{pattern: "POST /sign-in", name: "page.signin", scope: everybody},
	{pattern: "POST /sign-in/passkey/ask", name: "page.signin", scope: everybody},
	{pattern: "POST /sign-in/passkey", name: "page.signin", scope: everybody},
	{pattern: "GET /sign-in/provider", name: "page.signin", scope: everybody},
	{pattern: "GET /sign-in/provider/answer", name: "page.signin", scope: everybody},
	{pattern: "GET /link/{token}", name: "page.link", scope: everybody},
	{pattern: "POST /link/{token}", name: "page.link", scope: everybody},

	{pattern: "GET /sign-in/second", name: "page.second", scope: halfway},
	{pattern: "POST /sign-in/second", name: "page.second", scope: halfway},
	{pattern: "POST /sign-in/second/passkey/ask", name: "page.second", scope: halfway},
	{pattern: "POST /sign-in/second/passkey", name: "page.second", scope: halfway},
}

// peopleRoutes are users' own pages and those of their keeper.
var peopleRoutes = []route{
	{pattern: "GET /users", name: "page.users", scope: ofInstallation, needs: staff.ManageUsers, menu: true},
	{pattern: "GET /users/add", name: "page.users.add", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "POST /users/add", name: "page.users.add", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "GET /users/{user}", name: "page.user", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "POST /users/{user}/roles", name: "page.user", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "POST /users/{user}/reset", name: "page.user", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "GET /users/{user}/remove", name: "page.users.remove", scope: ofInstallation, needs: staff.ManageUsers, sure: true},
	{pattern: "POST /users/{user}/remove", name: "page.users.remove", scope: ofInstallation, needs: staff.ManageUsers, sure: true},

	{pattern: "GET /account", name: "page.account", scope: signedIn, menu: true},
	{pattern: "POST /account", name: "page.account", scope: signedIn},
	{pattern: "GET /account/password", name: "page.password", scope: signedIn, sure: true},
	{pattern: "POST /account/password", name: "page.password", scope: signedIn, sure: true},
	{pattern: "GET /account/factors", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/app", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/app/confirm", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/app/remove", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/codes", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/passkeys/ask", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/passkeys", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "POST /account/factors/passkeys/{id}/remove", name: "page.factors", scope: signedIn, sure: true},
	{pattern: "GET /account/sessions", name: "page.sessions", scope: signedIn},
	{pattern: "POST /account/sessions/{id}/end", name: "page.sessions", scope: signedIn},
	{pattern: "POST /account/sessions/end-others", name: "page.sessions", scope: signedIn},

	{pattern: "GET /sure", name: "page.sure", scope: signedIn},
	{pattern: "POST /sure", name: "page.sure", scope: signedIn},
	{pattern: "POST /sure/passkey/ask", name: "page.sure", scope: signedIn},
	{pattern: "POST /sure/passkey", name: "page.sure", scope: signedIn},
	{pattern: "GET /sure/provider", name: "page.sure", scope: signedIn},
	{pattern: "POST /sign-out", name: "page.signout", scope: signedIn},
}

// method and path are the parts of a pattern; the path is below the host's root.
func (r *route) method() string {
	method, _, _ := strings.Cut(r.pattern, " ")
	return method
}

func (r *route) path() string {
	_, path, _ := strings.Cut(r.pattern, " ")
	return base + path
}

// handlers give what serves each pattern.
type handlers map[string]func(*visit) error

// mount makes a mux of the rows of a table and their handlers. It fails on a
// handler without a row and on a row without a handler, on a permission where
// the scope has none and on none where it needs one.
func (d *Door) mount(rows []route, serve handlers) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	var errs []error
	known := make(map[string]bool, len(rows))
	for i := range rows {
		r := &rows[i]
		known[r.pattern] = true
		scoped := r.scope == ofInstallation || r.scope == ofMerchants || r.scope == ofMerchant
		switch {
		case serve[r.pattern] == nil:
			errs = append(errs, fmt.Errorf("%s has no handler", r.pattern))
		case scoped != (r.needs != ""):
			errs = append(errs, fmt.Errorf("%s: scope %q and permission %q do not go together", r.pattern, r.scope, r.needs))
		case (r.scope == ofMerchant) != strings.Contains(r.pattern, "{merchant}"):
			errs = append(errs, fmt.Errorf("%s: {merchant} and the scope %q go together", r.pattern, ofMerchant))
		default:
			mux.Handle(r.method()+" "+r.path(), d.serve(r, serve[r.pattern]))
		}
	}
	for pattern := range serve {
		if !known[pattern] {
			errs = append(errs, fmt.Errorf("%s is not in the permission table: add a row to routes.go", pattern))
		}
	}
	return mux, errors.Join(errs...)
}
