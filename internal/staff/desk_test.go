package staff_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/storetest"
)

const password = "seven tall trees in a row"

var (
	cheap  = staff.Cost{Memory: 64, Time: 1, Threads: 1}
	from   = staff.Visitor{Addr: netip.MustParseAddr("203.0.113.77"), Agent: "Browser"}
	owners = []staff.Grant{{Role: staff.Owner}}
)

// front is a desk with a store and a clock.
type front struct {
	*testing.T
	*staff.Desk
	store    store.Store
	database *storetest.Database
	clock    time.Time
	log      *bytes.Buffer
}

func open(t *testing.T) *front {
	t.Helper()
	f := &front{T: t, database: storetest.SQLite(t), clock: storetest.Start, log: new(bytes.Buffer)}
	f.store = f.database.Open(t)
	f.Desk = f.desk(cheap)
	return f
}

func (f *front) desk(c staff.Cost) *staff.Desk {
	return staff.NewDesk(staff.Config{
		Store: f.store.Staff(), Now: func() time.Time { return f.clock }, Cost: c, Log: slog.New(slog.NewTextHandler(f.log, nil)),
	})
}

func (f *front) user(email string) *staff.User {
	f.Helper()
	u, token, err := f.Add(f.Context(), staff.CommandLine, email, "", owners, staff.Visitor{})
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := f.UseLink(f.Context(), token, "", "", password, staff.Visitor{}); err != nil {
		f.Fatal(err)
	}
	return f.look(u.ID)
}

func (f *front) look(id int64) *staff.User {
	f.Helper()
	u, err := f.store.Staff().FindUser(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return u
}

// TestRehash: a password is kept at today's cost from the next sign-in on.
func TestRehash(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	dearer := f.desk(staff.Cost{Memory: 128, Time: 2, Threads: 1})
	if _, _, err := dearer.SignIn(t.Context(), u.Email, "wrong wrong wrong", from); !errors.Is(err, staff.ErrDenied) {
		t.Fatal(err)
	}
	if got := f.look(u.ID).Secrets.Password; got != u.Secrets.Password {
		t.Error("a wrong password is kept")
	}
	if _, _, err := dearer.SignIn(t.Context(), u.Email, password, from); err != nil {
		t.Fatal(err)
	}
	if got := f.look(u.ID).Secrets.Password; !strings.Contains(got, "m=128,t=2,p=1") {
		t.Errorf("kept as %s", got)
	}
	if _, _, err := dearer.SignIn(t.Context(), u.Email, password, from); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestStore keeps no token and no password in the clear, wherever one looks.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	token, s, err := f.SignIn(t.Context(), u.Email, password, from)
	if err != nil {
		t.Fatal(err)
	}
	link, err := f.Reset(t.Context(), staff.CommandLine, u, false, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ProposeTOTP(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	seed := f.look(u.ID).Secrets.TOTP.Proposed
	_, _, _, err = f.ConfirmTOTP(t.Context(), f.look(u.ID), s, "000000", from)
	if !errors.Is(err, staff.ErrDenied) {
		t.Fatal(err)
	}
	if _, _, err := f.SignIn(t.Context(), "stranger@example.com", "a secret typed by mistake", from); !errors.Is(err, staff.ErrDenied) {
		t.Fatal(err)
	}
	if _, _, err := f.SignIn(t.Context(), "a secret typed by mistake", "x", from); !errors.Is(err, staff.ErrDenied) {
		t.Fatal(err)
	}
	raw := f.database.Raw(t)
	for _, table := range []string{"staff", "staff_sessions", "staff_tickets", "staff_attempts", "audit"} {
		rows, err := raw.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; rows.Next(); n++ {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				text := fmt.Sprintf("%s", v)
				for _, secret := range []string{token, link, seed, password, u.Secrets.Password, "typed by mistake", "203.0.113.77"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s.%s shows %q", table, columns[i], secret)
					}
				}
			}
		}
		if err := rows.Err(); err != nil || n == 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
		_ = rows.Close()
	}
	if strings.Contains(f.log.String(), "mistake") || strings.Contains(f.log.String(), "113.77") || !strings.Contains(f.log.String(), "203.0.113.0/24") {
		t.Errorf("the log says %s", f.log)
	}
}

// TestAudit: what was done is noted, by whom and from where.
func TestAudit(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	if _, _, err := f.SignIn(t.Context(), u.Email, "wrong wrong wrong", from); !errors.Is(err, staff.ErrDenied) {
		t.Fatal(err)
	}
	_, s, err := f.SignIn(t.Context(), u.Email, password, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SignOut(t.Context(), u, s, from); err != nil {
		t.Fatal(err)
	}
	rows, err := f.database.Raw(t).QueryContext(t.Context(), "SELECT actor, action, subject, why FROM audit ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var e audit.Entry
		if err := rows.Scan(&e.Actor, &e.Action, &e.Subject, &e.Why); err != nil {
			t.Fatal(err)
		}
		if e.Subject != u.ID {
			t.Errorf("%s is about %d", e.Action, e.Subject)
		}
		got = append(got, e.Actor+" "+e.Action+" "+e.Why)
	}
	want := `operator:cli user.added asha@example.com as owner
operator:cli user.link asha@example.com
user:asha@example.com user.password by link
user:asha@example.com user.signed-in by link
stranger user.refused by password from 203.0.113.0/24
user:asha@example.com user.signed-in by password from 203.0.113.0/24
user:asha@example.com user.signed-out from 203.0.113.0/24`
	if err := rows.Err(); err != nil || strings.Join(got, "\n") != want {
		t.Errorf("noted, %v:\n%s\nwant\n%s", err, strings.Join(got, "\n"), want)
	}
}

// TestPlaces: one place that guesses at many accounts waits as well; others do
// not.
func TestPlaces(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	guess := func(i int, addr string) error {
		_, _, err := f.SignIn(t.Context(), fmt.Sprintf("user%d@example.com", i), "wrong", staff.Visitor{Addr: netip.MustParseAddr(addr)})
		return err
	}
	for i := range 30 {
		if err := guess(i, fmt.Sprintf("2001:db8::%d", i)); !errors.Is(err, staff.ErrDenied) { // one household
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	var slow *staff.WaitError
	if err := guess(99, "2001:db8::ffff"); !errors.As(err, &slow) || slow.Wait != time.Second {
		t.Errorf("the next one from there: %v", err)
	}
	if _, _, err := f.SignIn(t.Context(), u.Email, password, staff.Visitor{Addr: netip.MustParseAddr("2001:db8:0:1::1")}); err != nil {
		t.Errorf("the neighbours: %v", err)
	}
}

// TestGuessesAtOnce: guesses that are made at the same time all count.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	var group sync.WaitGroup
	answers := make(chan error, 20)
	for range cap(answers) {
		group.Go(func() {
			_, _, err := f.SignIn(context.WithoutCancel(t.Context()), u.Email, "wrong wrong wrong", from)
			answers <- err
		})
	}
	group.Wait()
	close(answers)
	looked := 0
	for err := range answers {
		if errors.Is(err, staff.ErrDenied) {
			looked++
		}
	}
	if looked != 5 {
		t.Errorf("%d of 20 guesses were looked at, want 5", looked)
	}
}

// TestLinks: a link is good once, for a while, and for one thing.
func TestLinks(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("asha@example.com")
	use := func(token string) error {
		_, _, err := f.UseLink(t.Context(), token, "", "", password, from)
		return err
	}
	first, err := f.Reset(t.Context(), staff.CommandLine, u, false, from)
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.Reset(t.Context(), staff.CommandLine, u, false, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(first); !errors.Is(err, staff.ErrNoTicket) {
		t.Errorf("a link that was replaced: %v", err)
	}
	f.clock = f.clock.Add(staff.InviteLink)
	if err := use(second); !errors.Is(err, staff.ErrNoTicket) {
		t.Errorf("a link that is too old: %v", err)
	}
	third, err := f.Reset(t.Context(), staff.CommandLine, u, false, from)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	answers := make(chan error, 4)
	for range cap(answers) {
		group.Go(func() { answers <- use(third) })
	}
	group.Wait()
	close(answers)
	good := 0
	for err := range answers {
		switch {
		case err == nil:
			good++
		case !errors.Is(err, staff.ErrNoTicket):
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("a link was used %d times", good)
	}
	offer, err := f.OfferOwner(t.Context())
	if err != nil || offer != "" {
		t.Errorf("offered %q, %v", offer, err)
	}
}

// TestOwnerLinkEnds: the first owner's link is good for an hour, and no more
// once there is an owner.
func TestOwnerLinkEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	use := func(token string) error {
		_, _, err := f.UseLink(t.Context(), token, "asha@example.com", "Asha", password, from)
		return err
	}
	token, err := f.OfferOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.clock = f.clock.Add(staff.OwnerLink)
	if err := use(token); !errors.Is(err, staff.ErrNoTicket) {
		t.Errorf("an hour later: %v", err)
	}
	if token, err = f.OfferOwner(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.user("ravi@example.com")
	if err := use(token); !errors.Is(err, staff.ErrNoTicket) {
		t.Errorf("beside another owner: %v", err)
	}
}

// provider is an identity provider of the test.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any // of the next ID token
	asked  url.Values     // what the token endpoint was asked
	pkce   string         // the challenge that goes with the code
}

func provide(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			known.ServeHTTP(w, r)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.asked = r.PostForm
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != p.pkce {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		claims, err := json.Marshal(p.claims)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": oidctest.SignIDToken(key, "k", "RS256", string(claims)),
		})
	}))
	known.SetIssuer(p.URL)
	t.Cleanup(p.Close)
	return p
}

// TestProvider: an identity provider lets in who exists, by a verified address,
// in the browser that asked, once.
func TestProvider(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := provide(t)
	u := f.user("asha@example.com")
	f.OIDC = &staff.IdentityProvider{Issuer: p.URL, ClientID: "milaan", ClientSecret: "s3cret", Client: p.Client()}
	const callback = "https://console.example.com/console/sign-in/provider/answer"

	type way struct {
		alter  func(claims map[string]any)
		cookie func(state string) string
		later  time.Duration
		pkce   string
	}
	try := func(w way) (next string, s *staff.Session, err error) {
		t.Helper()
		address, state, err := f.AskProvider(t.Context(), nil, callback, "/console/users")
		if err != nil {
			t.Fatal(err)
		}
		asked, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := asked.Query()
		if q.Get("state") != state || q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != callback || len(q.Get("nonce")) < 40 {
			t.Errorf("asked by %s", address)
		}
		p.pkce = q.Get("code_challenge")
		if w.pkce != "" {
			p.pkce = w.pkce
		}
		p.claims = map[string]any{
			"iss": p.URL, "aud": "milaan", "sub": "7", "exp": f.clock.Add(time.Hour).Unix(), "iat": f.clock.Unix(),
			"nonce": q.Get("nonce"), "email": "Asha@Example.com", "email_verified": true,
		}
		if w.alter != nil {
			w.alter(p.claims)
		}
		cookie := state
		if w.cookie != nil {
			cookie = w.cookie(state)
		}
		f.clock = f.clock.Add(w.later)
		_, s, next, err = f.SignInByProvider(t.Context(), nil, nil, callback, cookie, state, "code", from)
		if err == nil {
			if _, _, _, err := f.SignInByProvider(t.Context(), nil, nil, callback, cookie, state, "code", from); !errors.Is(err, staff.ErrNoTicket) {
				t.Errorf("the same answer again: %v", err)
			}
		}
		return next, s, err
	}
	if next, s, err := try(way{}); err != nil || next != "/console/users" || s.User != u.ID || s.Waiting {
		t.Fatalf("signed in to %q as %+v, %v", next, s, err)
	}
	if p.asked.Get("code_verifier") == "" {
		t.Error("the code was taken without a verifier")
	}
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	for name, w := range map[string]way{
		"another's browser":  {cookie: func(string) string { return "another" }},
		"no cookie":          {cookie: func(string) string { return "" }},
		"not verified":       {alter: set("email_verified", false)},
		"no address":         {alter: set("email", "")},
		"nobody's":           {alter: set("email", "eve@example.com")},
		"another's token":    {alter: set("aud", "another")},
		"another's issuer":   {alter: set("iss", "https://evil.example")},
		"another's nonce":    {alter: set("nonce", "replayed")},
		"an old token":       {alter: set("exp", storetest.Start.Add(-time.Hour).Unix())},
		"another's verifier": {pkce: "another"},
		"too late":           {later: 5 * time.Minute},
	} {
		if _, s, err := try(w); s != nil || !errors.Is(err, staff.ErrDenied) && !errors.Is(err, staff.ErrNoTicket) {
			t.Errorf("%s: signed in as %+v, %v", name, s, err)
		}
	}
	if users, err := f.store.Staff().Users(t.Context(), "", "", 9); err != nil || len(users) != 1 {
		t.Errorf("%d users, %v: the provider makes none", len(users), err)
	}
	// It stands for the password, not for the second factor.
	if _, err := f.store.Staff().ChangeUser(t.Context(), u.ID, func(u *staff.User) ([]audit.Entry, error) {
		u.Secrets.TOTP.Seed = "JBSWY3DPEHPK3PXP"
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, s, err := try(way{}); err != nil || !s.Waiting {
		t.Errorf("with a second factor: %+v, %v", s, err)
	}
}
