package month

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/milaan/milaan/internal/staff"
)

// Person is somebody who can sign in to the demo's console.
type Person struct {
	Email, Name string
	Grant       staff.Grant
}

// People are those of the demo: one of each role, those of a merchant's roles at
// the merchant that is named.
func People(merchant string) []Person {
	people := make([]Person, 0, len(staff.Roles()))
	names := map[staff.Role]string{
		staff.Owner: "Meenakshi (owner)", staff.Operator: "Imran (operator)", staff.Reviewer: "Divya (reviewer)", staff.Viewer: "Suresh (viewer)",
		staff.MerchantAdmin: "Kavita (merchant admin)", staff.MerchantDeveloper: "Rohan (merchant developer)", staff.MerchantViewer: "Tara (merchant viewer)",
	}
	for _, role := range staff.Roles() {
		p := Person{Email: string(role) + "@demo.example", Name: names[role], Grant: staff.Grant{Role: role}}
		if role.OfMerchant() {
			p.Grant.Merchant = merchant
		}
		people = append(people, p)
	}
	return people
}

// quickCost makes the demo's passwords quickly; the first sign-in makes them anew
// at the usual cost.
var quickCost = staff.Cost{Memory: 1 << 10, Time: 1, Threads: 1}

// QuickCost is what the demo makes passwords with.
func QuickCost() staff.Cost { return quickCost }

// office is where the demo's people sit (RFC 5737).
var officeAddr = netip.MustParseAddr("192.0.2.17")

func visitor(agent string) staff.Visitor { return staff.Visitor{Addr: officeAddr, Agent: agent} }

// Staff makes sure that the demo's people are there and sign in with a password:
// those that are missing are added, and all get the password by a link of their
// own. It returns them by their roles.
func Staff(ctx context.Context, desk *staff.Desk, people []Person, password string) (map[staff.Role]*staff.User, error) {
	byRole := make(map[staff.Role]*staff.User, len(people))
	for _, p := range people {
		u, token, err := enlist(ctx, desk, p)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", p.Email, err)
		}
		_, session, err := desk.UseLink(ctx, token, "", "", password, staff.Visitor{})
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", p.Email, err)
		}
		// The link signs in, and nobody sits there.
		if err := desk.SignOut(ctx, u, session, staff.Visitor{}); err != nil {
			return nil, err
		}
		byRole[p.Grant.Role] = u
	}
	return byRole, nil
}

// enlist gives a person, and the token of a link to set the password.
func enlist(ctx context.Context, desk *staff.Desk, p Person) (*staff.User, string, error) {
	u, err := desk.Store.FindUserByEmail(ctx, p.Email)
	if errors.Is(err, staff.ErrNoUser) {
		return desk.Add(ctx, staff.CommandLine, p.Email, p.Name, []staff.Grant{p.Grant}, staff.Visitor{})
	}
	if err != nil {
		return nil, "", err
	}
	token, err := desk.Reset(ctx, staff.CommandLine, u, false, staff.Visitor{})
	return u, token, err
}

// recruit adds the people, and plans when they come to work.
func (w *world) recruit(ctx context.Context, password string) (err error) {
	if w.people, err = Staff(ctx, w.staff, People("mela"), password); err != nil {
		return err
	}
	for day := range Days {
		if day%3 != 1 {
			continue
		}
		for i, role := range []staff.Role{staff.Operator, staff.Reviewer} {
			at := w.midnight(day).Add(9*time.Hour + time.Duration(20+i*11+w.dice.IntN(9))*time.Minute)
			w.happen(at, func(ctx context.Context) error { return w.signIn(ctx, role, password) })
		}
	}
	w.happen(w.midnight(Days-9).Add(20*time.Hour), func(ctx context.Context) error { return w.signIn(ctx, staff.Owner, password) })
	w.happen(w.midnight(Days-5).Add(16*time.Hour), func(ctx context.Context) error { return w.signIn(ctx, staff.MerchantAdmin, password) })
	w.happen(w.midnight(Days-4).Add(11*time.Hour), func(ctx context.Context) error {
		_, _, err := w.staff.SignIn(ctx, w.people[staff.Reviewer].Email, "not her password", visitor("Firefox"))
		if !errors.Is(err, staff.ErrDenied) {
			return fmt.Errorf("a wrong password gave %w", err)
		}
		return nil
	})
	return nil
}

func (w *world) signIn(ctx context.Context, role staff.Role, password string) error {
	u := w.people[role]
	_, _, err := w.staff.SignIn(ctx, u.Email, password, visitor("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140"))
	return err
}

// actor is how the audit log names a person of the demo.
func (w *world) actor(role staff.Role) string { return staff.By(w.people[role]) }
