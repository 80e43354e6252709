package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
)

func person(email string, grants ...staff.Grant) *staff.User {
	return &staff.User{
		Email: email, Handle: []byte("handle of " + email), Grants: grants, CreatedAt: Start,
		Profile: staff.Profile{Name: `Asha <b>"आशा"`, Lang: "hi", Zone: "Asia/Kolkata", Theme: "dark"},
		Secrets: staff.Secrets{
			Password: "$argon2id$secret-of-" + email, TOTP: staff.TOTP{Seed: "SEED" + strings.ToUpper(email), Step: 7},
			Recovery: []staff.Digest{{1}, {2}}, Passkeys: []staff.Passkey{{Name: "phone", AddedAt: Start}},
		},
	}
}

func noteOf(action string) audit.Entry {
	return audit.Entry{At: Start, Actor: "user:test", Action: action}
}

func mustAdd(t *testing.T, s store.Store, u *staff.User) *staff.User {
	t.Helper()
	if err := s.Staff().AddUser(t.Context(), u, noteOf("user.added")); err != nil || u.ID == 0 {
		t.Fatalf("add %s: %v", u.Email, err)
	}
	return u
}

// testStaff keeps the people who sign in.
func testStaff(t *testing.T, fresh Fresh) {
	t.Helper()
	owner, viewer := staff.Grant{Role: staff.Owner}, staff.Grant{Role: staff.Viewer}
	for name, test := range map[string]func(t *testing.T, d *Database, s store.Store){
		"users": func(t *testing.T, d *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			if found, err := people.AnyOwner(ctx); found || err != nil {
				t.Errorf("an empty house has an owner: %v, %v", found, err)
			}
			if _, err := people.FindUserByEmail(ctx, "a@example.com"); !errors.Is(err, staff.ErrNoUser) {
				t.Errorf("nobody gives %v", err)
			}
			a := mustAdd(t, s, person("a@example.com", owner))
			b := mustAdd(t, s, person("b_@example.com", staff.Grant{Role: staff.MerchantAdmin, Merchant: Shop}, viewer))
			twice := person("a@example.com")
			twice.Handle = []byte("another")
			if err := people.AddUser(ctx, twice, noteOf("user.added")); !errors.Is(err, staff.ErrTaken) {
				t.Errorf("a second of that address gives %v", err)
			}
			for how, find := range map[string]func() (*staff.User, error){
				"id":     func() (*staff.User, error) { return people.FindUser(ctx, b.ID) },
				"email":  func() (*staff.User, error) { return people.FindUserByEmail(ctx, b.Email) },
				"handle": func() (*staff.User, error) { return people.FindUserByHandle(ctx, b.Handle) },
			} {
				if got, err := find(); err != nil || !reflect.DeepEqual(got, b) {
					t.Errorf("by %s: %+v, %v; want %+v", how, got, err, b)
				}
			}
			for _, tt := range []struct {
				search, after string
				limit         int
				want          []string
			}{
				{"", "", 9, []string{a.Email, b.Email}}, {"", "", 1, []string{a.Email}}, {"", a.Email, 9, []string{b.Email}},
				{"B_@", "", 9, []string{b.Email}}, {"_", "", 9, []string{b.Email}}, {"%", "", 9, nil}, {"!", "", 9, nil},
			} {
				list, err := people.Users(ctx, tt.search, tt.after, tt.limit)
				var got []string
				for _, u := range list {
					got = append(got, u.Email)
				}
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%+v gives %v, %v", tt, got, err)
				}
			}
			var sealed []byte
			if err := d.Raw(t).QueryRowContext(ctx, `SELECT sealed FROM staff WHERE email = 'a@example.com'`).Scan(&sealed); err != nil ||
				bytes.Contains(sealed, []byte("SEED")) || bytes.Contains(sealed, []byte("argon2id")) {
				t.Errorf("what is kept shows secrets: %q, %v", sealed, err)
			}
		},
		"a change is whole, noted, and nobody else's": func(t *testing.T, d *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			u := mustAdd(t, s, person("a@example.com", owner))
			failed := errors.New("failed")
			if _, err := people.ChangeUser(ctx, u.ID, func(u *staff.User) ([]audit.Entry, error) {
				u.Epoch = 99
				return nil, failed
			}); !errors.Is(err, failed) {
				t.Errorf("a change that fails gives %v", err)
			}
			if _, err := people.ChangeUser(ctx, -1, nil); !errors.Is(err, staff.ErrNoUser) {
				t.Errorf("nobody's change gives %v", err)
			}
			// Two gateways change one user at the same time: nothing is lost.
			other := d.Open(t)
			var group sync.WaitGroup
			const each = 5
			for _, store := range []staff.Store{people, other.Staff()} {
				group.Go(func() {
					for range each {
						if _, err := store.ChangeUser(ctx, u.ID, func(u *staff.User) ([]audit.Entry, error) {
							u.Epoch++
							return []audit.Entry{noteOf("user.changed")}, nil
						}); err != nil {
							t.Errorf("change: %v", err)
						}
					}
				})
			}
			group.Wait()
			if got, err := people.FindUser(ctx, u.ID); err != nil || got.Epoch != 2*each {
				t.Errorf("after %d changes the epoch is %d, %v", 2*each, got.Epoch, err)
			}
			if _, err := s.Verify(ctx); err != nil {
				t.Errorf("verify: %v", err)
			}
		},
		"an owner is left": func(t *testing.T, d *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			a, b := mustAdd(t, s, person("a@example.com", owner)), mustAdd(t, s, person("b@example.com", owner))
			demote := func(u *staff.User) ([]audit.Entry, error) {
				u.Grants = []staff.Grant{viewer}
				return []audit.Entry{noteOf("user.roles")}, nil
			}
			// Each counts on the other: one of them is wrong.
			errs := make(chan error, 2)
			var group sync.WaitGroup
			group.Go(func() { _, err := people.ChangeUser(ctx, a.ID, demote); errs <- err })
			other := d.Open(t).Staff()
			group.Go(func() { errs <- other.RemoveUser(ctx, b.ID, noteOf("user.removed")) })
			group.Wait()
			first, second := <-errs, <-errs
			if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), staff.ErrLastOwner) {
				t.Errorf("both owners go: %v, %v", first, second)
			}
			if found, err := people.AnyOwner(ctx); !found || err != nil {
				t.Errorf("no owner is left: %v", err)
			}
		},
		"sessions": func(t *testing.T, _ *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			u, other := mustAdd(t, s, person("a@example.com", owner)), mustAdd(t, s, person("b@example.com", viewer))
			open := func(d byte, user int64, instead staff.Digest) (*staff.Session, error) {
				session := &staff.Session{
					Digest: staff.Digest{d}, User: user, Epoch: 3, Waiting: true, Way: "password", OpenedAt: Start,
					SeenAt: Start.Add(time.Duration(d) * time.Minute), SureAt: Start, Network: "203.0.113.0/24", Agent: "Browser",
				}
				return session, people.OpenSession(ctx, session, instead, noteOf("user.signed-in"))
			}
			one, err := open(1, u.ID, staff.Digest{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := people.FindSession(ctx, one.Digest); err != nil || !reflect.DeepEqual(got, one) {
				t.Errorf("found %+v, %v", got, err)
			}
			if _, err := open(2, other.ID, one.Digest); !errors.Is(err, staff.ErrNoSession) {
				t.Errorf("in place of another's session: %v", err)
			}
			if _, err := open(2, u.ID, one.Digest); err != nil {
				t.Errorf("in place of one's own: %v", err)
			}
			if _, err := people.FindSession(ctx, one.Digest); !errors.Is(err, staff.ErrNoSession) {
				t.Errorf("the one before is found: %v", err)
			}
			if _, err := open(3, u.ID, one.Digest); !errors.Is(err, staff.ErrNoSession) {
				t.Errorf("in place of one that is gone: %v", err)
			}
			if _, err := open(4, u.ID, staff.Digest{}); err != nil {
				t.Fatal(err)
			}
			if err := people.TouchSession(ctx, staff.Digest{2}, Start.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if list, err := people.Sessions(ctx, u.ID); err != nil || len(list) != 2 || list[0].Digest != (staff.Digest{2}) || !list[0].SeenAt.Equal(Start.Add(time.Hour)) {
				t.Errorf("listed %v, %v", list, err)
			}
			if err := people.EndSession(ctx, other.ID, staff.Digest{4}); !errors.Is(err, staff.ErrNoSession) {
				t.Errorf("another's session is ended: %v", err)
			}
			if err := people.EndSession(ctx, u.ID, staff.Digest{4}, noteOf("user.signed-out")); err != nil {
				t.Error(err)
			}
			if n, err := s.DropStale(ctx, Start.Add(time.Hour+staff.Idle-time.Second), 10); n != 0 || err != nil {
				t.Errorf("dropped %d, %v", n, err)
			}
			if n, err := s.DropStale(ctx, Start.Add(time.Hour+staff.Idle), 10); n != 1 || err != nil {
				t.Errorf("dropped %d, %v", n, err)
			}
		},
		"tickets": func(t *testing.T, d *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			keep := func(n byte, kind string, user int64, only bool) *staff.Ticket {
				ticket := &staff.Ticket{Digest: staff.Digest{n}, Kind: kind, User: user, Data: []byte(`{"secret":1}`), ExpiresAt: Start}
				if err := people.KeepTicket(ctx, ticket, only, noteOf("user.link")); err != nil {
					t.Fatal(err)
				}
				return ticket
			}
			first, second := keep(1, "link", 5, true), keep(2, "link", 5, true)
			keep(3, "link", 6, true)
			third := keep(4, "passkey", 5, false)
			if _, err := people.FindTicket(ctx, first.Digest, "link"); !errors.Is(err, staff.ErrNoTicket) {
				t.Errorf("an earlier link is good: %v", err)
			}
			if _, err := people.FindTicket(ctx, second.Digest, "owner"); !errors.Is(err, staff.ErrNoTicket) {
				t.Errorf("as another kind it is good: %v", err)
			}
			if got, err := people.FindTicket(ctx, second.Digest, "link"); err != nil || !reflect.DeepEqual(got, second) {
				t.Errorf("found %+v, %v", got, err)
			}
			// Two gateways, one ticket.
			others := []staff.Store{people, d.Open(t).Staff()}
			got := make(chan *staff.Ticket, len(others))
			var group sync.WaitGroup
			for _, other := range others {
				group.Go(func() {
					ticket, err := other.TakeTicket(ctx, third.Digest, "passkey")
					if err != nil && !errors.Is(err, staff.ErrNoTicket) {
						t.Error(err)
					}
					got <- ticket
				})
			}
			group.Wait()
			if a, b := <-got, <-got; (a == nil) == (b == nil) {
				t.Errorf("taken by %v and %v", a, b)
			}
			if n, err := s.DropStale(ctx, Start, 1); n != 1 || err != nil {
				t.Errorf("dropped %d, %v", n, err)
			}
		},
		"a user takes all along": func(t *testing.T, _ *Database, s store.Store) {
			t.Helper()
			ctx, people := t.Context(), s.Staff()
			mustAdd(t, s, person("owner@example.com", owner))
			u := mustAdd(t, s, person("a@example.com", viewer))
			session := &staff.Session{Digest: staff.Digest{1}, User: u.ID, OpenedAt: Start, SeenAt: Start}
			ticket := &staff.Ticket{Digest: staff.Digest{1}, Kind: "link", User: u.ID, ExpiresAt: Start}
			if err := errors.Join(people.OpenSession(ctx, session, staff.Digest{}), people.KeepTicket(ctx, ticket, true),
				people.RemoveUser(ctx, u.ID, noteOf("user.removed"))); err != nil {
				t.Fatal(err)
			}
			_, noUser := people.FindUser(ctx, u.ID)
			_, noSession := people.FindSession(ctx, session.Digest)
			_, noTicket := people.FindTicket(ctx, ticket.Digest, "link")
			if !errors.Is(noUser, staff.ErrNoUser) || !errors.Is(noSession, staff.ErrNoSession) || !errors.Is(noTicket, staff.ErrNoTicket) {
				t.Errorf("left: %v, %v, %v", noUser, noSession, noTicket)
			}
			if err := people.RemoveUser(ctx, u.ID); !errors.Is(err, staff.ErrNoUser) {
				t.Errorf("removed again: %v", err)
			}
		},
		"attempts": testAttempts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t)
			test(t, d, d.Open(t))
		})
	}
}

// testAttempts: attempts add up, at any concurrency, and fade.
func testAttempts(t *testing.T, d *Database, s store.Store) {
	t.Helper()
	ctx, people := t.Context(), s.Staff()
	account, place := staff.Attempt{Name: "account", Free: 2}, staff.Attempt{Name: "place", Free: 4}
	both := []staff.Attempt{place, account}
	now := Start
	count := func(attempts ...staff.Attempt) time.Duration {
		t.Helper()
		wait, err := people.CountAttempts(ctx, attempts, now)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for i, want := range []time.Duration{0, 0, time.Second, time.Second} {
		if got := count(both...); got != want {
			t.Errorf("attempt %d waits %v, want %v", i+1, got, want)
		}
	}
	// One that was refused counts on nothing.
	if got := count(place) + count(place); got != 0 {
		t.Errorf("the place waits %v after two attempts", got)
	}
	if got := count(place); got != time.Second {
		t.Errorf("the place waits %v after four", got)
	}
	now = now.Add(time.Second)
	if err := people.ForgiveAttempts(ctx, []staff.Attempt{account}, true); err != nil {
		t.Fatal(err)
	}
	if err := people.ForgiveAttempts(ctx, []staff.Attempt{place, {Name: "never tried"}}, false); err != nil {
		t.Fatal(err)
	}
	if got := count(both...); got != 0 {
		t.Errorf("forgiven, but waits %v", got)
	}
	if got := count(place); got != time.Second {
		t.Errorf("the place was forgiven one, not more: %v", got)
	}
	now = now.Add(staff.AttemptsFade)
	for range place.Free {
		if got := count(place); got != 0 {
			t.Errorf("a day later it waits %v", got)
		}
	}
	if n, err := s.DropStale(ctx, now.Add(staff.AttemptsFade), 10); n != 2 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}

	guess := staff.Attempt{Name: "guess", Free: 5}
	var group sync.WaitGroup
	passed := make(chan bool, 20)
	for _, gateway := range []staff.Store{people, d.Open(t).Staff()} {
		for range cap(passed) / 2 {
			group.Go(func() {
				wait, err := gateway.CountAttempts(context.WithoutCancel(ctx), []staff.Attempt{guess, {Name: fmt.Sprint("place", 1), Free: 99}}, now)
				if err != nil {
					t.Error(err)
				}
				passed <- wait == 0
			})
		}
	}
	group.Wait()
	close(passed)
	n := 0
	for ok := range passed {
		if ok {
			n++
		}
	}
	if n != guess.Free {
		t.Errorf("%d guesses at once were let through, want %d", n, guess.Free)
	}
}

// testBacklog counts what is not settled.
func testBacklog(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{{"of all and of one", Setup{}, func(h *House) {
		h.MustActivate(Claim("waits", UTR(1), 500_00), "waiting")
		h.MustActivate(cafesClaim("waits", UTR(2), 500_00), "waiting")
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(3), 700_00))
		h.MustActivate(Claim("differs", UTR(3), 600_00), "pending", "amount_differs")
		h.MustReport("bar", 1, 0, 0, h.Entry(UTR(4), 80_00))
		for merchant, want := range map[string][3]int64{"": {2, 1, 780_00}, Shop: {1, 1, 0}, Cafe: {1, 0, 0}, "none": {0, 0, 0}} {
			b, err := h.Store.Backlog(h.Context(), merchant)
			if got := [3]int64{b.Waiting, b.Review, int64(b.Unclaimed)}; err != nil || got != want || b.Withdrawals != 0 {
				h.Errorf("%q: %+v, %v; want %v", merchant, b, err, want)
			}
		}
	}}})
}
