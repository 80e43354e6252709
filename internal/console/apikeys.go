package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/staff"
)

// keyList is what the page of API keys shows.
type keyList struct {
	Rows []apiKeyRow
	Next string
}

// apiKeyRow is a key as the list shows it.
type apiKeyRow struct {
	access.Key
	State string // in force, expired or revoked
}

// holds reports whether a key is one that the page may show: of the user's merchants,
// or the operator's for who has the permission for the whole installation.
func (v *visit) holds(k *access.Key) bool { return v.user.May(v.route.needs, k.Merchant) }

func (d *Door) apiKeys(v *visit) error {
	keys, err := d.Admin.Store.Keys(v.Context())
	if err != nil {
		return err
	}
	after := int64(0)
	if text := v.FormValue("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return errNotFound
		}
	}
	var rows []apiKeyRow
	for i := range keys {
		k := &keys[i]
		if !v.holds(k) || after > 0 && k.ID >= after {
			continue
		}
		state := "inforce"
		switch {
		case !k.RevokedAt.IsZero():
			state = "revoked"
		case !k.InForce(v.now):
			state = "expired"
		}
		if rows = append(rows, apiKeyRow{*k, state}); len(rows) > rowsOfPage {
			break
		}
	}
	list := keyList{}
	list.Rows, list.Next = cut(v, rows, func(r apiKeyRow) string { return strconv.FormatInt(r.ID, 10) })
	return v.show(page{Name: "apikeys", Wide: true, Body: list})
}

// OwnerName is whose a key is, in the page's language.
func (v *visit) OwnerName(k access.Key) string {
	if k.Merchant == "" {
		return v.T("apikeys.operator")
	}
	return v.door.merchantName(k.Merchant)
}

// keyForm is what the page of a new key shows.
type keyForm struct {
	form
	Scopes []scopeChoice
}

// scopeChoice is a scope to tick.
type scopeChoice struct {
	Scope    access.Scope
	Chosen   bool
	Operator bool // for the operator's keys alone
}

// apiLifetimes are those that are offered, in days.
var apiLifetimes = []int{30, 90, 180, 365}

func (d *Door) addKeyPage(v *visit) error { return d.showAddKey(v, http.StatusOK, "") }

func (d *Door) showAddKey(v *visit, status int, problem string) error {
	ids, all := v.merchants()
	owner := v.PostFormValue("owner")
	owners := field{Name: "owner", Label: v.T("apikeys.owner"), Type: "select"}
	if all {
		owners.Options = append(owners.Options, option{access.Operator, v.T("apikeys.operator"), owner == access.Operator})
	}
	for _, id := range ids {
		if m := d.Directory.Current().Merchant(id); m != nil && !m.Retired {
			owners.Options = append(owners.Options, option{"merchant:" + id, d.merchantName(id), owner == "merchant:"+id})
		}
	}
	days := field{Name: "days", Label: v.T("apikeys.days"), Type: "select"}
	chosen := cmp.Or(v.PostFormValue("days"), "90")
	for _, n := range apiLifetimes {
		text := strconv.Itoa(n)
		days.Options = append(days.Options, option{text, v.T("apikeys.days.n", "n", text), text == chosen})
	}
	f := keyForm{form: form{Problem: problem, Fields: []field{
		{Name: "name", Label: v.T("apikeys.name"), Value: v.PostFormValue("name"), Hint: v.T("apikeys.name.hint"), Autocomplete: "off", Required: true, Focus: true},
		owners, days,
	}}}
	ofMerchants, asked := access.Scopes("x"), v.PostForm["scope"]
	for _, s := range access.Scopes("") {
		operators := !slices.Contains(ofMerchants, s)
		if all || !operators {
			f.Scopes = append(f.Scopes, scopeChoice{s, slices.Contains(asked, string(s)), operators})
		}
	}
	return v.show(page{Status: status, Name: "addapikey", Body: f})
}

// addKey makes a key, as milaan keys add does, and shows its token, the only time
// that it can be.
func (d *Door) addKey(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return err
	}
	merchant, err := v.keyOwner(v.PostFormValue("owner"))
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(v.PostFormValue("days"))
	if err != nil || !slices.Contains(apiLifetimes, days) {
		return errNotFound
	}
	k, token, err := access.New(v.PostFormValue("name"), merchant, v.PostForm["scope"], v.now.UTC().Truncate(time.Microsecond), time.Duration(days)*24*time.Hour)
	if err != nil {
		problem := v.T("apikeys.problem.name", "most", strconv.Itoa(access.MaxName))
		switch known := access.Scopes(merchant); {
		case len(v.PostForm["scope"]) == 0:
			problem = v.T("apikeys.problem.scope")
		case slices.ContainsFunc(v.PostForm["scope"], func(s string) bool { return !slices.Contains(known, access.Scope(s)) }):
			problem = v.T("apikeys.problem.operators")
		}
		return d.showAddKey(v, http.StatusUnprocessableEntity, problem)
	}
	if k.ID, err = d.Admin.Store.AddKey(v.Context(), k, access.HashOf(token), staff.By(v.user)); err != nil {
		return err
	}
	return v.show(page{Name: "apikeymade", Title: v.T("apikeys.made"), Body: struct {
		access.Key
		Token string
	}{k, token.Reveal()}})
}

// keyOwner reads whose a new key is to be: a merchant's id, or none for the
// operator's. Others' merchants are not there.
func (v *visit) keyOwner(text string) (merchant string, err error) {
	if text == access.Operator {
		if !v.May(v.route.needs) {
			return "", errNotFound
		}
		return "", nil
	}
	for _, m := range v.door.Directory.Current().Merchants {
		if text == "merchant:"+m.ID && !m.Retired && v.user.May(v.route.needs, m.ID) {
			return m.ID, nil
		}
	}
	return "", errNotFound
}

// ofKey finds the key that the address names; one that the page may not show is
// not there.
func (d *Door) ofKey(next func(v *visit, k access.Key) error) func(*visit) error {
	return ofNumber(func(v *visit, id int64) error {
		keys, err := d.Admin.Store.Keys(v.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k access.Key) bool { return k.ID == id })
		if i < 0 || !v.holds(&keys[i]) {
			return errNotFound
		}
		return next(v, keys[i])
	})
}

func (*Door) revokeKeyPage(v *visit, k access.Key) error {
	return v.show(page{Name: "confirm", Body: question{
		Text: v.T("apikeys.revoke.text", "key", k.Name, "owner", v.OwnerName(k)), Button: v.T("apikeys.revoke"), Back: base + "/keys",
	}})
}

func (d *Door) revokeKey(v *visit, k access.Key) error {
	err := d.Admin.Store.RevokeKey(v.Context(), k.ID, v.now.UTC().Truncate(time.Microsecond), staff.By(v.user))
	if err != nil && !errors.Is(err, access.ErrNoKey) { // it was ended before
		return err
	}
	v.say("said.apikey.revoked")
	return v.lead(base + "/keys")
}
