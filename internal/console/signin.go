package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/staff"
)

// wayIn is what the pages show where people prove who they are.
type wayIn struct {
	form
	Passkey  string // address of the routes that ask for a passkey; empty without
	Provider string // address that leads to the identity provider; empty without
	Password bool
	Code     bool
}

func (d *Door) signInPage(v *visit) error {
	if v.User() != nil {
		return v.lead(safeNext(v.FormValue("next")))
	}
	return d.showSignIn(v, http.StatusOK, "", v.FormValue("next"), "")
}

func (d *Door) showSignIn(v *visit, status int, email, next, problem string) error {
	w := wayIn{Password: true, form: form{Problem: problem, Next: safeNext(next), Fields: []field{
		{Name: "email", Label: v.T("field.email"), Value: email, Type: "email", Autocomplete: "username", Required: true, Focus: true, Wrong: problem != ""},
		{Name: "password", Label: v.T("field.password"), Type: "password", Autocomplete: "current-password", Required: true, Wrong: problem != ""},
	}}}
	if _, ok := v.ownSite(); ok {
		w.Passkey = base + "/sign-in/passkey"
	}
	if d.Staff.OIDC != nil {
		w.Provider = withNext("/sign-in/provider", w.Next)
	}
	return v.show(page{Status: status, Name: "signin", Body: w})
}

func (d *Door) signIn(v *visit) error {
	// A cookie that is for HTTPS alone would be dropped, and signing in go round
	// in circles.
	if origin, err := url.Parse(v.Header.Get("Origin")); err == nil && origin.Scheme == "http" && v.secure() {
		return errInsecure
	}
	email := v.PostFormValue("email")
	token, s, err := d.Staff.SignIn(v.Context(), email, v.PostFormValue("password"), v.from())
	if err != nil {
		return d.again(v, err, func(status int, problem string) error {
			return d.showSignIn(v, status, email, v.PostFormValue("next"), problem)
		})
	}
	return d.signedIn(v, token, s, v.PostFormValue("next"))
}

// again shows a form once more with what was wrong with what was typed.
func (*Door) again(v *visit, err error, show func(status int, problem string) error) error {
	problem, ok := v.problem(err)
	if !ok {
		return err
	}
	status := http.StatusUnprocessableEntity
	if errors.As(err, new(*staff.WaitError)) {
		status = http.StatusTooManyRequests
	}
	return show(status, problem)
}

// signedIn goes on with a new session.
func (*Door) signedIn(v *visit, token string, s *staff.Session, next string) error {
	v.wear(token, s)
	return v.lead(after(s, next))
}

func after(s *staff.Session, next string) string {
	if s.Waiting {
		return withNext("/sign-in/second", next)
	}
	return safeNext(next)
}

func (d *Door) secondPage(v *visit) error {
	return d.showSecond(v, http.StatusOK, v.FormValue("next"), "")
}

func (d *Door) showSecond(v *visit, status int, next, problem string) error {
	w := wayIn{form: form{Problem: problem, Next: safeNext(next)}}
	if v.user.Secrets.TOTP.Seed != "" || len(v.user.Secrets.Recovery) > 0 {
		w.Code = true
		w.Fields = []field{{
			Name: "code", Label: v.T("field.code"), Hint: v.T("second.hint"), Autocomplete: "one-time-code", Required: true, Focus: true, Wrong: problem != "",
		}}
	}
	if _, ok := v.ownSite(); ok && len(v.user.Secrets.Passkeys) > 0 {
		w.Passkey = base + "/sign-in/second/passkey"
	}
	return v.show(page{Status: status, Name: "second", Body: w})
}

func (d *Door) second(v *visit) error {
	token, s, err := d.Staff.SecondByCode(v.Context(), v.user, v.session, v.PostFormValue("code"), v.from())
	if err != nil {
		return d.again(v, err, func(status int, problem string) error {
			return d.showSecond(v, status, v.PostFormValue("next"), problem)
		})
	}
	return d.signedIn(v, token, s, v.PostFormValue("next"))
}

func (d *Door) surePage(v *visit) error {
	return d.showSure(v, http.StatusOK, v.FormValue("next"), "")
}

func (d *Door) showSure(v *visit, status int, next, problem string) error {
	w := wayIn{form: form{Problem: problem, Next: safeNext(next)}}
	secrets := v.user.Secrets
	if secrets.Password != "" {
		w.Password = true
		w.Fields = append(w.Fields, field{
			Name: "password", Label: v.T("field.password"), Type: "password", Autocomplete: "current-password", Required: true, Focus: true, Wrong: problem != "",
		})
		if secrets.TOTP.Seed != "" {
			w.Fields = append(w.Fields, field{
				Name: "code", Label: v.T("field.code"), Hint: v.T("second.hint"), Autocomplete: "one-time-code", Required: true, Wrong: problem != "",
			})
		}
	}
	if _, ok := v.ownSite(); ok && len(secrets.Passkeys) > 0 {
		w.Passkey = base + "/sure/passkey"
	}
	if d.Staff.OIDC != nil && !v.user.HasSecond() {
		w.Provider = withNext("/sure/provider", w.Next)
	}
	return v.show(page{Status: status, Name: "sure", Body: w})
}

func (d *Door) prove(v *visit) error {
	token, s, err := d.Staff.Prove(v.Context(), v.user, v.session, v.PostFormValue("password"), v.PostFormValue("code"), v.from())
	if err != nil {
		return d.again(v, err, func(status int, problem string) error {
			return d.showSure(v, status, v.PostFormValue("next"), problem)
		})
	}
	return d.signedIn(v, token, s, v.PostFormValue("next"))
}

func (d *Door) signOut(v *visit) error {
	if err := d.Staff.SignOut(v.Context(), v.user, v.session, v.from()); err != nil && !errors.Is(err, staff.ErrNoSession) {
		return err
	}
	v.dropCookie(sessionCookie)
	v.say("said.signedout")
	return v.lead(base + "/sign-in")
}

// asked is what a script is told to ask the browser for.
type asked struct {
	Options any    `json:"options"`
	Token   string `json:"token"`
}

// answered is what a script brings back.
type answered struct {
	Token    string          `json:"token"`
	Name     string          `json:"name"`
	Next     string          `json:"next"`
	Response json.RawMessage `json:"response"`
}

// led tells a script where to go on, or what went wrong.
type led struct {
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// proving are the user and the session that a passkey is asked of; nil where
// anybody may sign in.
func (v *visit) proving() (*staff.User, *staff.Session) {
	if v.route.scope == everybody {
		return nil, nil
	}
	return v.user, v.session
}

func (d *Door) askPasskey(v *visit) error {
	site, ok := v.ownSite()
	if !ok {
		return errNotFound
	}
	u, _ := v.proving()
	options, token, err := d.Staff.AskPasskey(v.Context(), u, site)
	if err != nil {
		return d.tell(v, err)
	}
	return v.answer(http.StatusOK, asked{options, token})
}

// tell tells a script what went wrong.
func (d *Door) tell(v *visit, err error) error {
	return d.again(v, err, func(status int, problem string) error { return v.answer(status, led{Problem: problem}) })
}

func (v *visit) readAnswer() (a answered, err error) {
	if err := json.NewDecoder(v.Body).Decode(&a); err != nil {
		return a, errors.Join(staff.ErrDenied, err)
	}
	return a, nil
}

func (d *Door) signInByPasskey(v *visit) error {
	site, ok := v.ownSite()
	if !ok {
		return errNotFound
	}
	a, err := v.readAnswer()
	if err != nil {
		return d.tell(v, err)
	}
	u, s := v.proving()
	token, opened, err := d.Staff.SignInByPasskey(v.Context(), u, s, site, a.Token, bytes.NewReader(a.Response), v.from())
	if err != nil {
		return d.tell(v, err)
	}
	v.wear(token, opened)
	return v.answer(http.StatusOK, led{Next: after(opened, a.Next)})
}

// callback is where the identity provider answers.
func (v *visit) callback() string {
	site, _ := v.ownSite()
	return site.Origin + base + "/sign-in/provider/answer"
}

func (d *Door) askProvider(v *visit) error {
	if d.Staff.OIDC == nil {
		return errNotFound
	}
	u, _ := v.proving()
	address, state, err := d.Staff.AskProvider(v.Context(), u, v.callback(), safeNext(v.FormValue("next")))
	if err != nil {
		return err
	}
	const visitTakes = 5 * time.Minute
	v.setCookie(providerCookie, state, visitTakes)
	return v.lead(address)
}

func (d *Door) signInByProvider(v *visit) error {
	var state string
	if cookie, err := v.Cookie(v.cookieName(providerCookie)); err == nil {
		state = cookie.Value
	}
	v.dropCookie(providerCookie)
	token, s, next, err := d.Staff.SignInByProvider(v.Context(), v.User(), v.session, v.callback(), state, v.FormValue("state"), v.FormValue("code"), v.from())
	if err != nil {
		return err
	}
	return d.signedIn(v, token, s, next)
}

// linkForm is what the page of a one-time link shows.
type linkForm struct {
	form
	First bool // the link makes the first owner
	Email string
}

func (d *Door) linkPage(v *visit) error { return d.showLink(v, http.StatusOK, "") }

func (d *Door) showLink(v *visit, status int, problem string) error {
	u, err := d.Staff.Link(v.Context(), v.PathValue("token"))
	if err != nil {
		return err
	}
	f := linkForm{First: u == nil, form: form{Problem: problem}}
	name := v.PostFormValue("name")
	if f.First {
		f.Fields = append(f.Fields,
			field{Name: "email", Label: v.T("field.email"), Value: v.PostFormValue("email"), Type: "email", Autocomplete: "username", Required: true, Focus: true},
			field{Name: "name", Label: v.T("field.name"), Value: name, Autocomplete: "name"})
	} else {
		f.Email = u.Email
	}
	f.Fields = append(f.Fields, v.newPassword()...)
	return v.show(page{Status: status, Name: "link", Body: f})
}

// newPassword are the fields that a new password is typed into.
func (v *visit) newPassword() []field {
	return []field{
		{Name: "password", Label: v.T("field.newpassword"), Type: "password", Autocomplete: "new-password", Hint: v.T("password.hint"), Required: true},
		{Name: "again", Label: v.T("field.again"), Type: "password", Autocomplete: "new-password", Required: true},
	}
}

var errUnequal = errors.New("the two passwords differ")

func (d *Door) useLink(v *visit) error {
	again := func(err error) error {
		if errors.Is(err, staff.ErrNoTicket) {
			return err
		}
		return d.again(v, err, func(status int, problem string) error { return d.showLink(v, status, problem) })
	}
	password := v.PostFormValue("password")
	if password != v.PostFormValue("again") {
		return again(errUnequal)
	}
	token, s, err := d.Staff.UseLink(v.Context(), v.PathValue("token"), v.PostFormValue("email"), strings.TrimSpace(v.PostFormValue("name")), password, v.from())
	if err != nil {
		return again(err)
	}
	v.say("said.welcome")
	return d.signedIn(v, token, s, base+"/")
}
