package console

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/milaan/milaan/internal/staff"
)

// userList is what the page of users shows.
type userList struct {
	Filter filter
	Rows   []*staff.User
	Next   string
}

func (d *Door) users(v *visit) error {
	search := v.FormValue("search")
	list, err := d.People.Users(v.Context(), search, v.FormValue("after"), rowsOfPage+1)
	if err != nil {
		return err
	}
	body := userList{Filter: filter{Fields: []field{{Name: "search", Label: v.T("users.search"), Type: "search", Value: search}}}}
	if search != "" {
		body.Filter.Clear = base + "/users"
	}
	body.Rows, body.Next = cut(v, list, func(u *staff.User) string { return u.Email })
	return v.show(page{Name: "users", Wide: true, Body: body})
}

// GrantName says a grant in the page's language.
func (v *visit) GrantName(g staff.Grant) string {
	if g.Merchant == "" {
		return v.T("role." + string(g.Role))
	}
	return v.T("role."+string(g.Role)) + " · " + v.door.merchantName(g.Merchant)
}

func (d *Door) merchantName(id string) string {
	if m := d.Directory.Current().Merchant(id); m != nil && m.Name != "" {
		return m.Name
	}
	return id
}

// userForm is what the pages of one user show.
type userForm struct {
	form
	User  *staff.User
	Roles []field
	Self  bool
}

// roleFields are one select for the installation, and one for each merchant.
func (v *visit) roleFields(grants []staff.Grant) (fields []field) {
	had := make(map[string]staff.Role, len(grants))
	for _, g := range grants {
		had[g.Merchant] = g.Role
	}
	one := func(name, label, merchant string) field {
		f := field{Name: name, Label: label, Type: "select", Options: []option{{"", v.T("role.none"), had[merchant] == ""}}}
		for _, r := range staff.Roles() {
			if r.OfMerchant() == (merchant != "") {
				f.Options = append(f.Options, option{string(r), v.T("role." + string(r)), had[merchant] == r})
			}
		}
		return f
	}
	fields = append(fields, one("role", v.T("users.installation"), ""))
	for _, m := range v.door.Directory.Current().Merchants {
		if !m.Retired || had[m.ID] != "" {
			fields = append(fields, one("role:"+m.ID, v.door.merchantName(m.ID), m.ID))
		}
	}
	return fields
}

var errNoRole = errors.New("a user needs a role")

// readGrants reads what roleFields asked.
func (v *visit) readGrants() (grants []staff.Grant, err error) {
	add := func(name, merchant string) error {
		role := v.PostFormValue(name)
		if role == "" {
			return nil
		}
		g, err := staff.ParseGrant(role, merchant)
		if err != nil {
			return errors.Join(errNoRole, err)
		}
		grants = append(grants, g)
		return nil
	}
	if err := add("role", ""); err != nil {
		return nil, err
	}
	for _, m := range v.door.Directory.Current().Merchants {
		if err := add("role:"+m.ID, m.ID); err != nil {
			return nil, err
		}
	}
	if len(grants) == 0 {
		return nil, errNoRole
	}
	return grants, nil
}

func (d *Door) addUserPage(v *visit) error { return d.showAddUser(v, http.StatusOK, nil, "") }

func (*Door) showAddUser(v *visit, status int, grants []staff.Grant, problem string) error {
	return v.show(page{Status: status, Name: "adduser", Body: userForm{Roles: v.roleFields(grants), form: form{Problem: problem, Fields: []field{
		{Name: "email", Label: v.T("field.email"), Value: v.PostFormValue("email"), Type: "email", Autocomplete: "off", Required: true, Focus: true},
		{Name: "name", Label: v.T("field.name"), Value: v.PostFormValue("name"), Autocomplete: "off"},
	}}}})
}

func (d *Door) addUser(v *visit) error {
	grants, err := v.readGrants()
	var token string
	var u *staff.User
	if err == nil {
		u, token, err = d.Staff.Add(v.Context(), staff.By(v.user), v.PostFormValue("email"), v.PostFormValue("name"), grants, v.from())
	}
	if err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.showAddUser(v, status, grants, problem) })
	}
	return d.showLinkMade(v, u, token)
}

// linkMade is what the page of a new link shows, the only time that it can be.
type linkMade struct {
	User *staff.User
	Link string
}

func (*Door) showLinkMade(v *visit, u *staff.User, token string) error {
	site, _ := v.ownSite()
	return v.show(page{Name: "linkmade", Title: v.T("linkmade.title"), Body: linkMade{u, LinkAddress(site.Origin, token)}})
}

// LinkAddress is the address of a one-time link of the console at an origin,
// such as https://console.example.com.
func LinkAddress(origin, token string) string { return origin + base + "/link/" + token }

// ofUser finds the user whom the address names.
func (d *Door) ofUser(next func(v *visit, u *staff.User) error) func(*visit) error {
	return func(v *visit) error {
		id, err := strconv.ParseInt(v.PathValue("user"), 10, 64)
		if err != nil {
			return errNotFound
		}
		u, err := d.People.FindUser(v.Context(), id)
		if err != nil {
			return err
		}
		return next(v, u)
	}
}

func (d *Door) userPage(v *visit, u *staff.User) error {
	return d.showUser(v, http.StatusOK, u, "")
}

func (*Door) showUser(v *visit, status int, u *staff.User, problem string) error {
	return v.show(page{Status: status, Name: "user", Title: u.Email, Body: userForm{
		User: u, Roles: v.roleFields(u.Grants), Self: u.ID == v.user.ID, form: form{Problem: problem},
	}})
}

func (d *Door) setRoles(v *visit, u *staff.User) error {
	grants, err := v.readGrants()
	if err == nil {
		_, err = d.Staff.SetGrants(v.Context(), staff.By(v.user), u.ID, grants, v.from())
	}
	if err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.showUser(v, status, u, problem) })
	}
	v.say("said.roles")
	return v.lead(base + "/users")
}

func (d *Door) resetUser(v *visit, u *staff.User) error {
	token, err := d.Staff.Reset(v.Context(), staff.By(v.user), u, v.PostFormValue("factors") == "drop", v.from())
	if err != nil {
		return err
	}
	return d.showLinkMade(v, u, token)
}

func (d *Door) removeUserPage(v *visit, u *staff.User) error {
	return d.askRemoveUser(v, http.StatusOK, u, "")
}

func (*Door) askRemoveUser(v *visit, status int, u *staff.User, problem string) error {
	return v.show(page{Status: status, Name: "confirm", Body: question{
		Problem: problem, Text: v.T("users.remove.text", "user", u.Email), Button: v.T("users.remove"),
		Back: base + "/users/" + strconv.FormatInt(u.ID, 10),
	}})
}

func (d *Door) removeUser(v *visit, u *staff.User) error {
	if err := d.Staff.Remove(v.Context(), staff.By(v.user), u, v.from()); err != nil {
		return d.again(v, err, func(status int, problem string) error { return d.askRemoveUser(v, status, u, problem) })
	}
	v.say("said.removed")
	return v.lead(base + "/users")
}
