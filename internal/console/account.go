package console

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/upi"
)

// zones are suggested; any IANA name is taken.
var zones = []string{
	"Asia/Kolkata", "UTC", "Asia/Dubai", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Colombo", "Asia/Singapore",
	"Asia/Hong_Kong", "Africa/Nairobi", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Sydney",
}

// accountForm is what the page of one's own account shows.
type accountForm struct {
	form
	Zones []string
}

func (d *Door) accountPage(v *visit) error {
	return d.showAccount(v, http.StatusOK, v.user.Profile, "")
}

func (d *Door) showAccount(v *visit, status int, p staff.Profile, problem string) error {
	langs := []option{{"", v.T("account.lang.browser"), p.Lang == ""}}
	for _, tag := range d.langs.Tags() {
		langs = append(langs, option{tag, d.langs.ByTag(tag).Text("language.name"), p.Lang == tag})
	}
	return v.show(page{Status: status, Name: "account", Body: accountForm{Zones: zones, form: form{Problem: problem, Fields: []field{
		{Name: "name", Label: v.T("field.name"), Value: p.Name, Autocomplete: "name"},
		{Name: "lang", Label: v.T("field.lang"), Type: "select", Options: langs},
		{Name: "zone", Label: v.T("field.zone"), Value: p.Zone, Type: "zone", Required: true},
		{Name: "theme", Label: v.T("field.theme"), Type: "select", Options: options(p.Theme,
			"", v.T("account.theme.system"), "light", v.T("account.theme.light"), "dark", v.T("account.theme.dark"))},
	}}}})
}

func (d *Door) saveAccount(v *visit) error {
	p := staff.Profile{
		Name: v.PostFormValue("name"), Lang: v.PostFormValue("lang"), Zone: v.PostFormValue("zone"), Theme: v.PostFormValue("theme"),
	}
	if d.langs.ByTag(p.Lang) == nil {
		p.Lang = ""
	}
	if p.Theme != "light" && p.Theme != "dark" {
		p.Theme = ""
	}
	if err := d.Staff.SaveProfile(v.Context(), v.user, p, v.from()); err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.showAccount(v, status, p, problem) })
	}
	v.say("said.saved")
	return v.lead(base + "/account")
}

func (d *Door) passwordPage(v *visit) error { return d.showPassword(v, http.StatusOK, "") }

func (*Door) showPassword(v *visit, status int, problem string) error {
	return v.show(page{Status: status, Name: "password", Body: form{Problem: problem, Fields: v.newPassword()}})
}

func (d *Door) setPassword(v *visit) error {
	token, s, err := "", v.session, errUnequal
	if password := v.PostFormValue("password"); password == v.PostFormValue("again") {
		token, s, err = d.Staff.SetPassword(v.Context(), v.user, v.session, password, v.from())
	}
	if err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.showPassword(v, status, problem) })
	}
	return d.changed(v, token, s, "said.password", "/account")
}

// changed goes on, under a new token, after what a user is trusted with has
// changed.
func (*Door) changed(v *visit, token string, s *staff.Session, said, next string) error {
	v.wear(token, s)
	v.say(said)
	return v.lead(base + next)
}

// factors is what the page of second factors shows.
type factors struct {
	Problem  string
	AppOn    bool
	QR       template.HTML // what an app is to scan; empty where none is proposed
	Seed     string        // the same, to type
	Code     field
	Passkeys []passkeyRow
	Offer    bool // passkeys work at this address
	Name     field
	Codes    int // recovery codes that are left
}

type passkeyRow struct {
	staff.Passkey
	ID string
}

func (d *Door) factorsPage(v *visit) error { return d.showFactors(v, http.StatusOK, "") }

func (*Door) showFactors(v *visit, status int, problem string) error {
	secrets := v.user.Secrets
	f := factors{
		Problem: problem, AppOn: secrets.TOTP.Seed != "", Codes: len(secrets.Recovery),
		Code: field{Name: "code", Label: v.T("field.appcode"), Autocomplete: "one-time-code", Required: true, Wrong: problem != ""},
		Name: field{Name: "name", Label: v.T("field.passkey"), Hint: v.T("factors.passkey.hint")},
	}
	_, f.Offer = v.ownSite()
	if address := v.user.ProposedURL(); address != "" {
		svg, err := upi.QRSVG(address, upi.QROptions{Label: v.T("factors.qr")})
		if err != nil {
			return err
		}
		f.QR, f.Seed = template.HTML(svg), secrets.TOTP.Proposed //nolint:gosec // a drawing of our own
	}
	for _, p := range secrets.Passkeys {
		f.Passkeys = append(f.Passkeys, passkeyRow{p, base64.RawURLEncoding.EncodeToString(p.Credential.ID)})
	}
	return v.show(page{Status: status, Name: "factors", Body: f})
}

func (d *Door) proposeApp(v *visit) error {
	if err := d.Staff.ProposeTOTP(v.Context(), v.user); err != nil {
		return err
	}
	return v.lead(base + "/account/factors")
}

func (d *Door) confirmApp(v *visit) error {
	token, s, codes, err := d.Staff.ConfirmTOTP(v.Context(), v.user, v.session, v.PostFormValue("code"), v.from())
	if err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.showFactors(v, status, problem) })
	}
	return d.showCodes(v, token, s, codes)
}

// showCodes shows recovery codes, the only time that they can be.
func (*Door) showCodes(v *visit, token string, s *staff.Session, codes []string) error {
	v.wear(token, s)
	return v.show(page{Name: "codes", Title: v.T("codes.title"), Body: codes})
}

func (d *Door) removeApp(v *visit) error {
	token, s, err := d.Staff.RemoveTOTP(v.Context(), v.user, v.session, v.from())
	if err != nil {
		return err
	}
	return d.changed(v, token, s, "said.appoff", "/account/factors")
}

func (d *Door) renewCodes(v *visit) error {
	token, s, codes, err := d.Staff.RenewRecovery(v.Context(), v.user, v.session, v.from())
	if err != nil {
		return err
	}
	return d.showCodes(v, token, s, codes)
}

func (d *Door) offerPasskey(v *visit) error {
	site, ok := v.ownSite()
	if !ok {
		return errNotFound
	}
	options, token, err := d.Staff.BeginPasskey(v.Context(), v.user, site)
	if err != nil {
		return d.tell(v, err)
	}
	return v.answer(http.StatusOK, asked{options, token})
}

func (d *Door) addPasskey(v *visit) error {
	site, ok := v.ownSite()
	if !ok {
		return errNotFound
	}
	a, err := v.readAnswer()
	if err != nil {
		return d.tell(v, err)
	}
	token, s, err := d.Staff.AddPasskey(v.Context(), v.user, v.session, site, a.Token, a.Name, bytes.NewReader(a.Response), v.from())
	if err != nil {
		return d.tell(v, err)
	}
	v.wear(token, s)
	v.say("said.passkey")
	return v.answer(http.StatusOK, led{Next: base + "/account/factors"})
}

func (d *Door) removePasskey(v *visit) error {
	id, err := base64.RawURLEncoding.DecodeString(v.PathValue("id"))
	if err != nil {
		return errNotFound
	}
	token, s, err := d.Staff.RemovePasskey(v.Context(), v.user, v.session, id, v.from())
	if err != nil {
		return err
	}
	return d.changed(v, token, s, "said.passkeyoff", "/account/factors")
}

// sessionRow is a session as the list shows it.
type sessionRow struct {
	*staff.Session
	Here bool
}

func (d *Door) sessionsPage(v *visit) error {
	sessions, err := d.Staff.Sessions(v.Context(), v.user)
	if err != nil {
		return err
	}
	rows := make([]sessionRow, len(sessions))
	for i, s := range sessions {
		rows[i] = sessionRow{s, s.Digest == v.session.Digest}
	}
	return v.show(page{Name: "sessions", Wide: true, Body: rows})
}

func (d *Door) endSession(v *visit) error {
	err := d.Staff.EndSession(v.Context(), v.user, v.PathValue("id"), v.from())
	if errors.Is(err, staff.ErrNoSession) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	v.say("said.sessionended")
	return v.lead(base + "/account/sessions")
}

func (d *Door) endOtherSessions(v *visit) error {
	token, s, err := d.Staff.EndOtherSessions(v.Context(), v.user, v.session, v.from())
	if err != nil {
		return err
	}
	return d.changed(v, token, s, "said.sessionsended", "/account/sessions")
}
