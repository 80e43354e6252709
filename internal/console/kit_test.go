package console

import (
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/storetest"
)

// cheap is a cost of passwords that tests can afford; the real one is tried in
// the staff room.
var cheap = staff.Cost{Memory: 64, Time: 1, Threads: 1}

const password = "seven tall trees in a row"

// house is a gateway with a console.
type house struct {
	*storetest.House
	desk    *staff.Desk
	door    *Door
	server  *httptest.Server
	handler http.Handler
}

// bundled are the exchange rates of a house, whatever their number.
type bundled struct{}

func (bundled) Rates(context.Context, int64) (*fx.Rates, error) { return fx.Bundled() }

func open(tb testing.TB) *house {
	tb.Helper()
	return openWith(tb, storetest.Setup{})
}

// openWith opens a house that is set up otherwise than usual.
func openWith(tb testing.TB, setup storetest.Setup) *house {
	tb.Helper()
	h := &house{House: storetest.MustOpenHouse(tb, storetest.SQLite(tb), setup)}
	log := slog.New(slog.NewTextHandler(tb.Output(), nil))
	h.desk = staff.NewDesk(staff.Config{Store: h.Store.Staff(), Now: h.Clock.Now, Cost: cheap, Log: log})
	var err error
	if h.door, err = New(Config{
		Staff: h.desk, People: h.Store.Staff(), Store: h.Store, Directory: h.Directory, Deposits: h.Desk, Now: h.Clock.Now, Log: log, Works: h.works(log),
		Postbacks: postback.NewControl(h.Store, postback.Config{Directory: h.Directory, Rates: bundled{}, Transport: postback.NewTransport(true), Now: h.Clock.Now}),
		Admin:     h.admin(log),
	}); err != nil {
		tb.Fatal(err)
	}
	h.handler = h.door.Before(http.NotFoundHandler())
	h.server = httptest.NewServer(h.handler)
	tb.Cleanup(h.door.Close)
	tb.Cleanup(h.server.Close)
	return h
}

// admin is what a gateway gives its console for reports and the installation.
func (h *house) admin(log *slog.Logger) Admin {
	return Admin{
		Store:    h.Store,
		Settler:  &settlement.Settler{Store: h.Store, Office: &payout.Office{Config: payout.Config{Store: h.Store, Directory: h.Directory, Now: h.Clock.Now, Log: log}}, Log: log},
		Settings: []Setting{{Name: "listen", Help: "Address.", Value: "127.0.0.1:8080", Source: "default"}, {Name: "secret_key", Help: "Key.", Value: "[secret]", Source: "environment", Secret: true}},
		Backup: func(ctx context.Context, to io.Writer) error {
			location, err := store.ParseLocation(h.Database.URL)
			if err != nil {
				return err
			}
			_, err = store.Backup(ctx, location, to, h.Clock.Now())
			return err
		},
		Alerts: Alerts{Ways: []string{"mail", "telegram"}, Try: func(context.Context, string) ([]notice.Tried, error) {
			return []notice.Tried{{Way: "mail"}, {Way: "telegram", Err: errors.New("answered 401")}}, nil
		}},
	}
}

// works are what a gateway gives its console.
func (h *house) works(log *slog.Logger) Works {
	office := &payout.Office{Config: payout.Config{
		Store: h.Store, Directory: h.Directory, RatesID: func() int64 { return storetest.RatesID }, Now: h.Clock.Now, Log: log,
		Provider: func(*directory.PayoutDesk) (payout.Provider, error) { return nil, nil },
	}}
	return Works{
		Store: h.Store, Clerk: &batch.Clerk{Office: office, Store: h.Store},
		Importer: &intake.Importer{Desk: h.Desk, Ledger: h.Store, Payouts: office, Now: h.Clock.Now},
	}
}

// user makes a user who has a password.
func (h *house) user(email string, grants ...staff.Grant) *staff.User {
	h.Helper()
	u, token, err := h.desk.Add(h.Context(), staff.CommandLine, email, "", grants, staff.Visitor{})
	if err != nil {
		h.Fatal(err)
	}
	if _, _, err := h.desk.UseLink(h.Context(), token, "", "", password, staff.Visitor{}); err != nil {
		h.Fatal(err)
	}
	return h.look(u)
}

// look reads a user anew.
func (h *house) look(u *staff.User) *staff.User {
	h.Helper()
	u, err := h.Store.Staff().FindUser(h.Context(), u.ID)
	if err != nil {
		h.Fatal(err)
	}
	return u
}

// factor gives a user an app, and tells its seed and recovery codes.
func (h *house) factor(u *staff.User) (seed string, codes []string) {
	h.Helper()
	_, s, err := h.desk.SignIn(h.Context(), u.Email, password, staff.Visitor{})
	if err != nil {
		h.Fatal(err)
	}
	if err := h.desk.ProposeTOTP(h.Context(), u); err != nil {
		h.Fatal(err)
	}
	seed = h.look(u).Secrets.TOTP.Proposed
	if _, _, codes, err = h.desk.ConfirmTOTP(h.Context(), h.look(u), s, h.code(seed), staff.Visitor{}); err != nil {
		h.Fatal(err)
	}
	h.Clock.Advance(time.Minute) // a code is good once
	return seed, codes
}

// code is what an app shows now.
func (h *house) code(seed string) string {
	h.Helper()
	code, err := totp.GenerateCode(seed, h.Clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	return code
}

// browser is a browser without a script: it keeps cookies and follows nothing
// by itself.
type browser struct {
	*house
	client *http.Client
	header http.Header
}

func (h *house) browser() *browser {
	h.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.Fatal(err)
	}
	return &browser{house: h, header: http.Header{}, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// answer is what a browser got.
type answer struct {
	status int
	to     string // where it leads
	body   string
	header http.Header
}

func (b *browser) send(method, path string, form url.Values) answer {
	b.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(b.Context()), method, b.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header = b.header.Clone()
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer{res.StatusCode, strings.TrimPrefix(res.Header.Get("Location"), b.server.URL), string(body), res.Header}
}

func (b *browser) get(path string) answer { b.Helper(); return b.send(http.MethodGet, path, nil) }

// post sends a form of pairs of name and value.
func (b *browser) post(path string, pairs ...string) answer {
	b.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.send(http.MethodPost, path, form)
}

func (b *browser) signIn(email string) *browser {
	b.Helper()
	if got := b.post("/console/sign-in", "email", email, "password", password); got.status != http.StatusSeeOther {
		b.Fatalf("signing in is answered with %d: %s", got.status, got.text())
	}
	return b
}

// token is the session's token that the browser holds.
func (b *browser) token() string {
	b.Helper()
	u, err := url.Parse(b.server.URL)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}

var tags = regexp.MustCompile(`(?s)<head>.*</head>|<[^>]*>`)

// text is what a page says.
func (a answer) text() string {
	return html.UnescapeString(strings.Join(strings.Fields(tags.ReplaceAllString(a.body, " ")), " "))
}

// must fails the test unless the answer has a status, and says a text.
func (a answer) must(tb testing.TB, status int, text string) answer {
	tb.Helper()
	if a.status != status || !strings.Contains(a.text(), text) {
		tb.Fatalf("answered %d to %q: %s; want %d and %q", a.status, a.to, a.text(), status, text)
	}
	return a
}

// leads fails the test unless the answer leads to a page.
func (a answer) leads(tb testing.TB, to string) answer {
	tb.Helper()
	if a.status != http.StatusSeeOther || a.to != to {
		tb.Fatalf("answered %d to %q: %s; want to be led to %q", a.status, a.to, a.text(), to)
	}
	return a
}
