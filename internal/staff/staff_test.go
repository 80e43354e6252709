package staff_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/staff"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" Asha@Example.COM ": "asha@example.com", "a.b+c@sub.example.co.in": "a.b+c@sub.example.co.in",
		"": "", "asha": "", "asha@": "", "@example.com": "", "Asha <asha@example.com>": "", "a@b.c, d@e.f": "", "a b@example.com": "",
		"asha@example.com\r\nBcc: x@y.z": "", "a\x00@example.com": "", strings.Repeat("a", 250) + "@example.com": "",
	} {
		if got, err := staff.ParseEmail(text); got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, staff.ErrEmail) {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{"asha@example.com", "A@B", "Asha <a@b.c>", "\"a b\"@c.d", "ä@ö.example", "a@[127.0.0.1]", "İ@example.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := staff.ParseEmail(text)
		if err != nil {
			return
		}
		if again, err := staff.ParseEmail(email); err != nil || again != email {
			t.Fatalf("%q is read as %q, and that as %q, %v", text, email, again, err)
		}
		if strings.ContainsAny(email, "\r\n\x00 ") || !strings.Contains(email, "@") {
			t.Fatalf("%q is read as %q", text, email)
		}
	})
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" Asha ": "Asha", "आशा क्\u200dष": "आशा क्\u200dष", "": "", "<b>": "<b>", strings.Repeat("आ", staff.MostName): strings.Repeat("आ", staff.MostName),
	} {
		if got, err := staff.ParseName(text); got != want || err != nil {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a\nb", "a\u202eb", strings.Repeat("a", staff.MostName+1), "a\x00"} {
		if got, err := staff.ParseName(text); !errors.Is(err, staff.ErrName) {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
}

func TestParseGrant(t *testing.T) {
	t.Parallel()
	for _, r := range staff.Roles() {
		with, withErr := staff.ParseGrant(string(r), "shop")
		without, withoutErr := staff.ParseGrant(string(r), "")
		if (withErr == nil) != r.OfMerchant() || (withoutErr == nil) == r.OfMerchant() {
			t.Errorf("%s with a merchant: %v, %v; without: %v, %v", r, with, withErr, without, withoutErr)
		}
	}
	if g, err := staff.ParseGrant("king", ""); err == nil {
		t.Errorf("%v is a role", g)
	}
}

// TestMay: a merchant's role never reaches beyond that merchant, a role of the
// installation reaches everywhere, and more roles never allow less.
func TestMay(t *testing.T) {
	t.Parallel()
	grant := rapid.Custom(func(t *rapid.T) staff.Grant {
		g := staff.Grant{Role: rapid.SampledFrom(staff.Roles()).Draw(t, "role")}
		if g.Role.OfMerchant() {
			g.Merchant = rapid.SampledFrom([]string{"shop", "cafe"}).Draw(t, "merchant")
		}
		return g
	})
	rapid.Check(t, func(t *rapid.T) {
		u := &staff.User{Grants: rapid.SliceOfN(grant, 0, 4).Draw(t, "grants")}
		p := rapid.SampledFrom(staff.Permissions()).Draw(t, "permission")
		for _, merchant := range []string{"", "shop", "cafe", "bar"} {
			want := false
			for _, g := range u.Grants {
				covers := g.Merchant == "" || g.Merchant == merchant
				want = want || covers && slices.Contains(g.Role.Permissions(), p)
			}
			if got := u.May(p, merchant); got != want {
				t.Fatalf("%v may %s of %q: %v", u.Grants, p, merchant, got)
			}
		}
		merchants, all := u.Merchants(p)
		if all != u.May(p, "") {
			t.Fatalf("all: %v", all)
		}
		for _, merchant := range []string{"shop", "cafe"} {
			if !all && slices.Contains(merchants, merchant) != u.May(p, merchant) {
				t.Fatalf("%v: %s of %v", u.Grants, p, merchants)
			}
		}
		more := &staff.User{Grants: append(slices.Clone(u.Grants), grant.Draw(t, "more"))}
		if u.May(p, "shop") && !more.May(p, "shop") {
			t.Fatal("another role takes a permission away")
		}
	})
	// A role that is stored and is none any more allows nothing.
	if u := (&staff.User{Grants: []staff.Grant{{Role: "king"}, {Role: staff.MerchantAdmin}}}); u.May(staff.SeePayments, "") || u.May(staff.SeePayments, "shop") {
		t.Error("a role that is none allows something")
	}
	// What only owners may.
	for _, p := range []staff.Permission{staff.ManageUsers, staff.ManageSettings} {
		for _, r := range staff.Roles() {
			if slices.Contains(r.Permissions(), p) != (r == staff.Owner) {
				t.Errorf("%s and %s", r, p)
			}
		}
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"203.0.113.77": "203.0.113.0/24", "::ffff:203.0.113.77": "203.0.113.0/24", "2001:db8:1:2:3:4:5:6": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := (staff.Visitor{Addr: netip.MustParseAddr(addr)}).Network(); got != want {
			t.Errorf("%s is kept as %s, want %s", addr, got, want)
		}
	}
	if got := (staff.Visitor{}).Network(); got != "" {
		t.Errorf("what is not known is kept as %s", got)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := staff.Attempt{Free: rapid.IntRange(1, 50).Draw(t, "free")}
		n := rapid.IntRange(0, 1_000_000).Draw(t, "attempts")
		wait, next := a.Wait(n), a.Wait(n+1)
		if (wait == 0) != (n < a.Free) || next < wait || wait > 15*time.Minute {
			t.Fatalf("%d attempts of %d wait %v, one more %v", n, a.Free, wait, next)
		}
	})
}
