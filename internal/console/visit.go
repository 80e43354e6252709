package console

import (
	"encoding/json"
	"errors"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/words"
	"github.com/milaan/milaan/money"
)

// visit is one request, by somebody the permission table let through.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	door    *Door
	now     time.Time
	route   *route
	words   *words.Language
	user    *staff.User    // nil where nobody is signed in
	session *staff.Session // likewise
}

const maxForm = 128 << 10 // bytes

// serve makes a handler of a row of the table: it lets through whom the row
// names, and shows errors as pages.
func (d *Door) serve(r *route, next func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		request.Body = http.MaxBytesReader(w, request.Body, maxForm+r.upload)
		v := &visit{
			Request: request, w: w, door: d, now: d.Now(), route: r,
			words: d.langs.Choose("", request.Header.Get("Accept-Language")),
		}
		d.paper.protect(w.Header())
		if err := v.enter(next); err != nil { //nolint:contextcheck // a visit holds its request, and with it the context
			v.fail(err) //nolint:contextcheck // the same
		}
	})
}

// enter finds out who it is, and goes on where the row allows it.
func (v *visit) enter(next func(*visit) error) error {
	if v.route.name != "page.static" {
		if err := v.recognise(); err != nil {
			return err
		}
	}
	switch v.route.scope {
	case everybody:
		return next(v)
	case halfway:
		if v.session == nil || !v.session.Waiting {
			return v.lead(base + "/sign-in")
		}
		return next(v)
	case signedIn, ofInstallation, ofMerchants, ofMerchant:
	}
	switch {
	case v.session == nil:
		return v.lead(withNext("/sign-in", v.back()))
	case v.session.Waiting:
		return v.lead(withNext("/sign-in/second", v.back()))
	}
	if err := v.allowed(); err != nil {
		return err
	}
	if v.route.sure && !v.session.Sure(v.now) {
		return v.lead(withNext("/sure", v.back()))
	}
	return next(v)
}

func (v *visit) recognise() error {
	cookie, err := v.Cookie(v.cookieName(sessionCookie))
	if errors.Is(err, http.ErrNoCookie) {
		return nil // nobody
	}
	if err != nil {
		return err
	}
	v.user, v.session, err = v.door.Staff.Find(v.Context(), cookie.Value)
	if errors.Is(err, staff.ErrNoSession) {
		return nil
	}
	if err == nil && v.user.Lang != "" {
		v.words = v.door.langs.Choose(v.user.Lang, "")
	}
	return err
}

// allowed reports whether the user has the permission that the row needs.
func (v *visit) allowed() error {
	switch v.route.scope {
	case ofInstallation:
		if !v.user.May(v.route.needs, "") {
			return errForbidden
		}
	case ofMerchants:
		if merchants, all := v.user.Merchants(v.route.needs); !all && len(merchants) == 0 {
			return errForbidden
		}
	case ofMerchant:
		// One that is not there and another's look alike.
		id := v.PathValue("merchant")
		if !v.user.May(v.route.needs, id) || v.door.Directory.Current().Merchant(id) == nil {
			return errNotFound
		}
	case everybody, halfway, signedIn:
	}
	return nil
}

// merchants lists the ids of those merchants whose things the page may show, in
// order; all where nothing is kept from the user.
func (v *visit) merchants() (ids []string, all bool) {
	ids, all = v.user.Merchants(v.route.needs)
	if all {
		for _, m := range v.door.Directory.Current().Merchants {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids, all
}

// from is what is known of whoever asks.
func (v *visit) from() staff.Visitor {
	return staff.Visitor{Addr: v.door.ClientAddr(v.Request), Agent: v.UserAgent()}
}

// lead sends the browser to another page.
func (v *visit) lead(to string) error {
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
	return nil
}

// back is where to go on after signing in: the page asked for, or the one whose
// form was sent.
func (v *visit) back() string {
	if v.Method == http.MethodGet || v.Method == http.MethodHead {
		return v.URL.RequestURI()
	}
	referer, err := url.Parse(v.Referer())
	if err != nil || referer.Host != v.Host {
		return base + "/"
	}
	return referer.RequestURI()
}

func withNext(path, next string) string {
	if next = safeNext(next); next == base+"/" {
		return base + path
	}
	return base + path + "?" + url.Values{"next": {next}}.Encode()
}

// safeNext is a page of the console to go on to; its first page where the text
// is anything else. A browser reads "//host", "/\host" and tabs in them as
// other sites.
func safeNext(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) ||
		!strings.HasPrefix(u.Path, base+"/") || strings.Contains(u.Path, "/../") || strings.Contains(u.Path, "//") {
		return base + "/"
	}
	return u.RequestURI()
}

// Cookies of the console.
const (
	sessionCookie  = "milaan"
	providerCookie = "milaan-provider"
	saidCookie     = "milaan-said"
)

// secure reports whether cookies are for HTTPS alone: always but on this
// machine itself.
func (v *visit) secure() bool { return v.TLS != nil || !loopback(hostname(v.Host)) }

// cookieName has the prefix by which browsers take the cookie from this very
// host alone, over HTTPS alone.
func (v *visit) cookieName(name string) string {
	if v.secure() {
		return "__Host-" + name
	}
	return name
}

func (v *visit) setCookie(name, value string, maxAge time.Duration) {
	http.SetCookie(v.w, &http.Cookie{ //nolint:gosec // Secure but on loopback, see secure
		Name: v.cookieName(name), Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
		Secure: v.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (v *visit) dropCookie(name string) { v.setCookie(name, "", -time.Second) }

// wear gives the browser the token of a session.
func (v *visit) wear(token string, s *staff.Session) {
	v.session = s
	v.setCookie(sessionCookie, token, staff.Lifetime)
}

// say shows a text of the catalogue at the top of the next page.
func (v *visit) say(key string) { v.setCookie(saidCookie, key, time.Minute) }

// said is what the page before had to say. Only texts of the catalogue are
// shown, whoever set the cookie.
func (v *visit) said() string {
	cookie, err := v.Cookie(v.cookieName(saidCookie))
	if err != nil {
		return ""
	}
	v.dropCookie(saidCookie)
	if !strings.HasPrefix(cookie.Value, "said.") || !v.words.Has(cookie.Value) {
		return ""
	}
	return v.words.Text(cookie.Value)
}

// ownSite is the console's site for passkeys; ok is false where browsers have none:
// at an address without a name.
func (v *visit) ownSite() (site staff.Site, ok bool) {
	host := hostname(v.Host)
	scheme := "http"
	if v.secure() {
		scheme = "https"
	}
	return staff.Site{Host: host, Origin: scheme + "://" + strings.ToLower(v.Host)}, host != "" && strings.ContainsFunc(host, func(r rune) bool { return r >= 'a' && r <= 'z' }) && !strings.Contains(host, ":")
}

// Lang is the language of the page.
func (v *visit) Lang() string { return v.words.Tag() }

// Theme is "light", "dark", or empty for the system's.
func (v *visit) Theme() string {
	if v.user == nil {
		return ""
	}
	return v.user.Theme
}

// T is a text of the page's language; pairs of name and value fill its places.
func (v *visit) T(key string, pairs ...string) string { return v.words.Text(key, pairs...) }

// Has reports whether the page's language has a text.
func (v *visit) Has(key string) bool { return v.words.Has(key) }

// Money writes an amount in the page's language.
func (v *visit) Money(p money.Paise) string { return v.words.Money(p) }

// Count writes a number.
func (v *visit) Count(n int64) string { return strconv.FormatInt(n, 10) }

// Time writes a time in the page's language, on the user's clock.
func (v *visit) Time(t time.Time) template.HTML {
	zone := staff.Profile{}
	if v.user != nil {
		zone = v.user.Profile
	}
	local := t.In(zone.Location())
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + //nolint:gosec // a format and escaped text
		template.HTMLEscapeString(v.words.Datetime(local)) + `</time>`)
}

// Now is when the page is made.
func (v *visit) Now() time.Time { return v.now }

// May reports whether the user may do something for the whole installation.
func (v *visit) May(p staff.Permission) bool { return v.user != nil && v.user.May(p, "") }

// User is who is signed in, or nil.
func (v *visit) User() *staff.User {
	if v.session == nil || v.session.Waiting {
		return nil
	}
	return v.user
}

// menuItem is a page in the menu.
type menuItem struct {
	Name, Path string
	Here       bool
}

// Menu lists the pages that the user may see.
func (v *visit) Menu() (items []menuItem) {
	if v.User() == nil {
		return nil
	}
	for i := range table {
		r := &table[i]
		if !r.menu {
			continue
		}
		asked := *v
		asked.route = r
		if asked.allowed() == nil {
			path := strings.TrimSuffix(r.path(), "{$}")
			here := v.URL.Path == path || path != base+"/" && strings.HasPrefix(v.URL.Path, path+"/")
			items = append(items, menuItem{v.T(r.name), path, here})
		}
	}
	return items
}

// problem is a text for what went wrong with what was typed; ok is false where
// the fault is not the user's.
func (v *visit) problem(err error) (text string, ok bool) {
	if slow, ok := errors.AsType[*staff.WaitError](err); ok {
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds(slow.Wait)))
		return v.T("problem.wait", "seconds", strconv.Itoa(seconds(slow.Wait))), true
	}
	if text, ok := v.refusal(err); ok {
		return text, true
	}
	for _, known := range []struct {
		err error
		key string
	}{
		{staff.ErrDenied, "problem.denied"},
		{staff.ErrNoTicket, "problem.used"},
		{staff.ErrShortPassword, "problem.password.short"},
		{staff.ErrLongPassword, "problem.password.long"},
		{staff.ErrCommonPassword, "problem.password.common"},
		{errUnequal, "problem.password.unequal"},
		{staff.ErrTaken, "problem.taken"},
		{staff.ErrLastOwner, "problem.lastowner"},
		{staff.ErrEmail, "problem.email"},
		{staff.ErrName, "problem.name"},
		{staff.ErrNoZone, "problem.zone"},
		{staff.ErrManyPasskeys, "problem.passkeys"},
		{errNoRole, "problem.norole"},
	} {
		if errors.Is(err, known.err) {
			return v.T(known.key, "least", strconv.Itoa(staff.LeastPassword)), true
		}
	}
	return "", false
}

func seconds(d time.Duration) int { return int(math.Ceil(max(d, time.Second).Seconds())) }

// fail shows an error.
func (v *visit) fail(err error) {
	status, key := http.StatusInternalServerError, "error.fault"
	var slow *staff.WaitError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &slow):
		status, key = http.StatusTooManyRequests, "error.slow"
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds(slow.Wait)))
	case errors.As(err, &large):
		status, key = http.StatusRequestEntityTooLarge, "error.large"
	case errors.Is(err, errNotFound), errors.Is(err, staff.ErrNoUser):
		status, key = http.StatusNotFound, "error.notfound"
	case errors.Is(err, errForbidden):
		status, key = http.StatusForbidden, "error.forbidden"
	case errors.Is(err, errForeign):
		status, key = http.StatusForbidden, "error.foreign"
	case errors.Is(err, errInsecure):
		status, key = http.StatusForbidden, "error.insecure"
	case errors.Is(err, staff.ErrNoTicket):
		status, key = http.StatusGone, "error.used"
	case errors.Is(err, staff.ErrNoSession), errors.Is(err, staff.ErrDenied):
		status, key = http.StatusForbidden, "error.denied"
	case v.Context().Err() != nil, v.door.Outage != nil && v.door.Outage(err):
		status, key = http.StatusServiceUnavailable, "error.away"
		v.w.Header().Set("Retry-After", "5")
	default:
		v.door.Log.ErrorContext(v.Context(), "the console failed", "error", err)
	}
	if err := v.show(page{Status: status, Name: "error", Title: v.T(key), Body: v.T(key + ".text")}); err != nil {
		v.door.Log.ErrorContext(v.Context(), "an error page could not be made", "error", err)
		http.Error(v.w, "This page could not be made.", http.StatusInternalServerError)
	}
}

// answer answers a script.
func (v *visit) answer(status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(text) // a browser that went away misses nothing
	return nil
}
