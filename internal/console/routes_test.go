package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// everyone are those who knock at every route; merchants' roles are of the
// shop, the foreigner is the café's admin.
var everyone = []string{
	"nobody", "halfway", "owner", "operator", "reviewer", "viewer",
	"merchant-admin", "merchant-developer", "merchant-viewer", "foreigner",
}

// mayEnter says who is let through, apart from the table in routes.go: it is
// written by hand, and a route that it does not name fails.
func mayEnter(pattern string) []string {
	method, path, _ := strings.Cut(pattern, " ")
	switch {
	case strings.HasPrefix(path, "/sign-in/second"):
		return []string{"halfway"}
	case strings.HasPrefix(path, "/static/"), strings.HasPrefix(path, "/sign-in"), strings.HasPrefix(path, "/link/"):
		return everyone
	case strings.HasPrefix(path, "/account"), strings.HasPrefix(path, "/sure"), path == "/sign-out", path == "/{$}":
		return everyone[2:]
	case path == "/merchants":
		return everyone[2:]
	case path == "/merchants/{merchant}", path == "/merchants/{merchant}/setup" && method == "GET", path == "/merchants/{merchant}/guide":
		return everyone[2:9]
	case strings.HasPrefix(path, "/merchants/{merchant}/keys"), path == "/merchants/{merchant}/return-urls":
		return []string{"owner", "merchant-admin", "merchant-developer"}
	case path == "/merchants/{merchant}/links", path == "/merchants/{merchant}/addresses", path == "/merchants/{merchant}/look":
		return []string{"owner", "operator", "merchant-admin"}
	case path == "/merchants/{merchant}/test-postback":
		return []string{"owner", "operator", "merchant-admin", "merchant-developer"}
	case path == "/merchants/{merchant}/methods":
		return []string{"owner", "operator"}
	case path == "/merchants/{merchant}/terms":
		return []string{"owner"}
	case strings.HasPrefix(path, "/wallets"), strings.HasPrefix(path, "/methods"), strings.HasPrefix(path, "/feeds"),
		path == "/inbox", strings.HasPrefix(path, "/messages"), strings.HasPrefix(path, "/statements"):
		if method == "POST" || path == "/statements/upload" {
			return []string{"owner", "operator"}
		}
		return everyone[2:6]
	case path == "/payouts", path == "/payouts/{withdrawal}":
		return everyone[2:6]
	case strings.HasPrefix(path, "/payout"):
		return []string{"owner", "operator"}
	case strings.HasPrefix(path, "/review") && (strings.HasPrefix(pattern, "POST ") || strings.HasSuffix(path, "/undo")):
		return []string{"owner", "operator", "reviewer"}
	case strings.HasPrefix(path, "/review"):
		return []string{"owner", "operator", "reviewer", "viewer"}
	case strings.HasPrefix(path, "/users"):
		return []string{"owner"}
	case pattern == "POST /postbacks/{id}/resend":
		return []string{"owner", "operator", "merchant-admin", "merchant-developer", "foreigner"}
	case strings.HasPrefix(path, "/merchants/{merchant}/postbacks/"):
		return []string{"owner", "operator", "merchant-admin", "merchant-developer"}
	case strings.HasPrefix(path, "/credits"):
		return []string{"owner", "operator", "reviewer", "viewer"}
	case path == "/find", strings.HasPrefix(path, "/views"), strings.HasPrefix(path, "/deposits"), strings.HasPrefix(path, "/withdrawals"),
		strings.HasPrefix(path, "/postbacks"):
		return everyone[2:]
	case strings.HasPrefix(path, "/audit"):
		return []string{"owner", "operator"}
	case path == "/alerts":
		return []string{"owner", "operator", "reviewer", "viewer"}
	case path == "/alerts/test":
		return []string{"owner", "operator"}
	case strings.HasPrefix(path, "/keys"):
		return []string{"owner", "merchant-admin", "merchant-developer", "foreigner"}
	case strings.HasPrefix(path, "/settings"):
		return []string{"owner"}
	case path == "/reports", path == "/reports/export", strings.HasPrefix(path, "/reports/settlement"):
		return everyone[2:]
	case strings.HasPrefix(path, "/reports/"):
		return []string{"owner", "operator", "reviewer", "viewer"}
	default:
		return nil
	}
}

// TestEveryRouteInEveryRole tries every row of the table as everybody, over
// HTTP.
func TestEveryRouteInEveryRole(t *testing.T) {
	t.Parallel()
	h := open(t)
	browsers := map[string]*browser{"nobody": h.browser()}
	for _, role := range staff.Roles() {
		g := staff.Grant{Role: role}
		if role.OfMerchant() {
			g.Merchant = storetest.Shop
		}
		h.user(string(role)+"@example.com", g)
	}
	h.user("foreigner@example.com", staff.Grant{Role: staff.MerchantAdmin, Merchant: storetest.Cafe})
	h.factor(h.user("halfway@example.com", staff.Grant{Role: staff.Owner}))
	victim := h.user("victim@example.com", staff.Grant{Role: staff.Viewer})
	for _, who := range everyone[1:] {
		browsers[who] = h.browser().signIn(who + "@example.com")
	}

	// The guards alone answer here: what lies behind them says that it was reached.
	stubs := handlers{}
	for _, r := range table {
		stubs[r.pattern] = func(v *visit) error {
			v.w.WriteHeader(http.StatusTeapot)
			return nil
		}
	}
	mux, err := h.door.mount(table, stubs)
	if err != nil {
		t.Fatal(err)
	}
	guards := httptest.NewServer(mux)
	t.Cleanup(guards.Close)

	origin, err := url.Parse(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	try := func(sure bool) {
		for i := range table {
			r := &table[i]
			for who, b := range browsers {
				allowed := mayEnter(r.pattern)
				if allowed == nil {
					t.Fatalf("%s is not named by the test", r.pattern)
				}
				path := base + strings.NewReplacer("{$}", "", "{merchant}", storetest.Shop, "{user}", strconv.FormatInt(victim.ID, 10),
					"{token}", "none", "{id}", "none", "{file}", "none", "{key}", "none",
					"{wallet}", "till", "{method}", "upi_l", "{feed}", "till", "{message}", "1", "{statement}", "1", "{withdrawal}", "1").Replace(strings.Fields(r.pattern)[1])
				knock, err := http.NewRequestWithContext(t.Context(), r.method(), guards.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range b.client.Jar.Cookies(origin) {
					knock.AddCookie(c)
				}
				res, err := http.DefaultTransport.RoundTrip(knock)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				got := strconv.Itoa(res.StatusCode)
				if res.StatusCode == http.StatusSeeOther {
					got, _, _ = strings.Cut(res.Header.Get("Location"), "?")
				}
				want := strconv.Itoa(http.StatusTeapot)
				switch {
				case slices.Contains(allowed, who) && r.sure && !sure:
					want = "/console/sure"
				case slices.Contains(allowed, who):
				case r.scope == halfway, who == "nobody":
					want = "/console/sign-in"
				case who == "halfway":
					want = "/console/sign-in/second"
				case r.scope == ofMerchant:
					want = "404"
				default:
					want = "403"
				}
				if got != want {
					t.Errorf("%s as %s (sure: %v) gives %s, want %s", r.pattern, who, sure, got, want)
				}
			}
		}
	}
	try(true)
	h.Clock.Advance(staff.Sure)
	browsers["halfway"].signIn("halfway@example.com") // its time was up
	try(false)
}

// TestRouterRefuses: no handler without a row, no row without a handler, no
// permission that is not asked for.
func TestRouterRefuses(t *testing.T) {
	t.Parallel()
	d := new(Door)
	serve := func(*visit) error { return nil }
	for name, tt := range map[string]struct {
		rows  []route
		serve handlers
		want  string
	}{
		"no row":           {nil, handlers{"GET /x": serve}, "GET /x is not in the permission table"},
		"another method":   {[]route{{pattern: "GET /x", scope: signedIn}}, handlers{"GET /x": serve, "POST /x": serve}, "POST /x is not in the permission table"},
		"no handler":       {[]route{{pattern: "GET /x", scope: signedIn}}, nil, "GET /x has no handler"},
		"no permission":    {[]route{{pattern: "GET /x", scope: ofInstallation}}, handlers{"GET /x": serve}, "do not go together"},
		"nothing to scope": {[]route{{pattern: "GET /x", scope: everybody, needs: staff.Review}}, handlers{"GET /x": serve}, "do not go together"},
		"no merchant":      {[]route{{pattern: "GET /x", scope: ofMerchant, needs: staff.Review}}, handlers{"GET /x": serve}, "{merchant}"},
		"merchant unasked": {[]route{{pattern: "GET /{merchant}", scope: ofInstallation, needs: staff.Review}}, handlers{"GET /{merchant}": serve}, "{merchant}"},
	} {
		if _, err := d.mount(tt.rows, tt.serve); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestTableDocumented keeps docs/console.md what the program does; run it with
// MILAAN_TEST_UPDATE=1 to write the tables anew.
func TestTableDocumented(t *testing.T) {
	t.Parallel()
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	en := h.langs.ByTag("en")
	var text strings.Builder
	text.WriteString("| route | page | for whom | permission | proof anew |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range table {
		needs, sure := "", ""
		if r.needs != "" {
			needs = "`" + string(r.needs) + "`"
		}
		if r.sure {
			sure = "yes"
		}
		fmt.Fprintf(&text, "| `%s %s` | %s | %s | %s | %s |\n", r.method(), r.path(), en.Text(r.name), r.scope, needs, sure)
	}
	text.WriteString("\n| permission |")
	for _, role := range staff.Roles() {
		text.WriteString(" " + string(role) + " |")
	}
	text.WriteString("\n| --- |" + strings.Repeat(" --- |", len(staff.Roles())) + "\n")
	for _, p := range staff.Permissions() {
		fmt.Fprintf(&text, "| `%s` |", p)
		for _, role := range staff.Roles() {
			mark := " "
			if slices.Contains(role.Permissions(), p) {
				mark = " ✓ "
			}
			text.WriteString(mark + "|")
		}
		text.WriteString("\n")
	}
	const path, begin, end = "../../docs/console.md", "<!-- permissions: begin -->\n", "<!-- permissions: end -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(data), begin)
	_, tail, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatal("the marks of the tables are missing")
	}
	want := head + begin + text.String() + end + tail
	if want == string(data) {
		return
	}
	if os.Getenv("MILAAN_TEST_UPDATE") == "" {
		t.Fatal("docs/console.md is not what the program does: run this test with MILAAN_TEST_UPDATE=1")
	}
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}
