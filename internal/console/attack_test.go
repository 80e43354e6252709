package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/staff"
)

// TestForeignForms: what another site sends is not done.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	b := h.browser().signIn(u.Email)
	for name, header := range map[string][2]string{
		"another site's form": {"Sec-Fetch-Site", "cross-site"},
		"a neighbour's form":  {"Sec-Fetch-Site", "same-site"},
		"an older browser's":  {"Origin", "https://evil.example"},
		"a sandboxed frame's": {"Origin", "null"},
	} {
		b.header = http.Header{header[0]: {header[1]}}
		for i := range table {
			r := &table[i]
			if r.method() != http.MethodPost {
				continue
			}
			path := strings.NewReplacer("{user}", strconv.FormatInt(u.ID, 10), "{id}", "x", "{token}", "x", "{merchant}", "shop", "{key}", "x", "{wallet}", "till", "{method}", "upi_l", "{withdrawal}", "1").Replace(r.path())
			b.post(path, "name", "Eve", "role", "viewer").must(t, http.StatusForbidden, "From another site")
		}
		b.header = http.Header{}
		if got := h.look(u); got.Name != "" || !got.Owner() {
			t.Errorf("%s changed %+v", name, got)
		}
		b.get("/console/account").must(t, http.StatusOK, u.Email) // still signed in
	}
}

// TestCookies: the session's cookie is for this host, HTTPS and no script; what
// is sent in the clear is refused.
func TestCookies(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	send := func(host, origin, cookie string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		form := url.Values{"email": {u.Email}, "password": {password}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/console/sign-in", strings.NewReader(form.Encode()))
		r.Host = host
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		h.handler.ServeHTTP(w, r)
		return w
	}
	set := send("console.example.com", "https://console.example.com", "").Header().Get("Set-Cookie")
	for _, want := range []string{"__Host-milaan=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(set, want) || strings.Contains(set, "Domain") {
			t.Errorf("the cookie is %s, without %s", set, want)
		}
	}
	if set := send("localhost:8080", "http://localhost:8080", "").Header().Get("Set-Cookie"); !strings.HasPrefix(set, "milaan=") || strings.Contains(set, "Secure") {
		t.Errorf("on the machine itself it is %s", set)
	}
	if w := send("console.example.com", "http://console.example.com", ""); w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("in the clear it answers %d, %s", w.Code, w.Header().Get("Set-Cookie"))
	}
	// A neighbour can set cookies without the prefix: they count for nothing.
	token, _, err := h.desk.SignIn(t.Context(), u.Email, password, staff.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	for cookie, want := range map[string]int{"milaan=" + token: http.StatusSeeOther, "__Host-milaan=" + token: http.StatusOK} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/account", nil)
		r.Host = "console.example.com"
		r.Header.Set("Cookie", cookie)
		h.handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%.12s… answers %d, want %d", cookie, w.Code, want)
		}
	}
}

// TestFixation: a token that somebody planted before a sign-in is worth nothing
// after it, at any step.
func TestFixation(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	eve := h.user("eve@example.com", viewer)
	planted, _, err := h.desk.SignIn(t.Context(), eve.Email, password, staff.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	origin, err := url.Parse(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{planted, "chosen-by-eve"} {
		b := h.browser()
		b.client.Jar.SetCookies(origin, []*http.Cookie{{Name: sessionCookie, Value: token, Path: "/"}})
		b.signIn(u.Email)
		if b.token() == token {
			t.Error("the planted token is taken up")
		}
		if got, _, err := h.desk.Find(t.Context(), token); err == nil && got.ID == u.ID {
			t.Error("the planted token is the user's")
		}
		// So at the next steps.
		before := b.token()
		b.post("/console/sure", "password", password).leads(t, "/console/")
		if _, _, err := h.desk.Find(t.Context(), before); err == nil {
			t.Error("the token from before the proof is good")
		}
	}
}

// TestBruteForce: guesses cost a wait that grows, to a quarter of an hour and no
// further; the right password is no exception meanwhile.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	b := h.browser()
	guess := func(word string) answer { return b.post("/console/sign-in", "email", u.Email, "password", word) }
	for range 5 {
		guess("wrong wrong wrong").must(t, http.StatusUnprocessableEntity, "did not match")
	}
	var waits []int
	for range 14 {
		refused := guess(password).must(t, http.StatusTooManyRequests, "Too many attempts")
		wait, err := strconv.Atoi(refused.header.Get("Retry-After"))
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
		h.Clock.Advance(time.Duration(wait) * time.Second)
		guess("wrong wrong wrong").must(t, http.StatusUnprocessableEntity, "did not match")
	}
	if want := []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900}; !slices.Equal(waits, want) {
		t.Errorf("the waits are %v, want %v", waits, want)
	}
	// The owner is let in when the wait is over, and starts anew.
	h.Clock.Advance(15 * time.Minute)
	guess(password).leads(t, "/console/")
	guess("wrong wrong wrong").must(t, http.StatusUnprocessableEntity, "did not match")

	// The second factor is no way around it.
	h.factor(h.look(u))
	b.post("/console/sign-in", "email", u.Email, "password", password).leads(t, "/console/sign-in/second")
	for range 5 {
		b.post("/console/sign-in/second", "code", "000000").must(t, http.StatusUnprocessableEntity, "did not match")
	}
	b.post("/console/sign-in/second", "code", "000000").must(t, http.StatusTooManyRequests, "Too many attempts")
}

// TestEnumeration: nothing tells whether there is an account.
func TestEnumeration(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", owner)
	if _, _, err := h.desk.Add(t.Context(), staff.CommandLine, "invited@example.com", "", []staff.Grant{viewer}, staff.Visitor{}); err != nil {
		t.Fatal(err)
	}
	bodies := map[string][]string{}
	for _, email := range []string{"asha@example.com", "invited@example.com", "nobody@example.com", "no address"} {
		b := h.browser()
		for range 7 {
			got := b.post("/console/sign-in", "email", email, "password", "wrong wrong wrong")
			bodies[email] = append(bodies[email], strconv.Itoa(got.status)+" "+strings.ReplaceAll(got.body, email, "EMAIL")+got.header.Get("Set-Cookie"))
		}
	}
	for email, got := range bodies {
		if !slices.Equal(got, bodies["nobody@example.com"]) {
			t.Errorf("%s is answered otherwise than nobody", email)
		}
	}
}

// TestOpenRedirect: one goes on within the console, or to its first page.
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	for next, want := range map[string]string{
		"/console/users?search=a%20b": "/console/users?search=a%20b",
		"/console/":                   "/console/", "": "/console/",
		"https://evil.example/console/": "/console/", "//evil.example/console/": "/console/", `/\evil.example/console/`: "/console/",
		`\/evil.example`: "/console/", "/console/../pay": "/console/", "/console//evil.example": "/console/", "/console/\t//evil": "/console/",
		"javascript:alert(1)": "/console/", "/consolex": "/console/", "http:/console/": "/console/", "/console/%2e%2e/x": "/console/", " /console/users": "/console/",
		"/console/\r\nSet-Cookie: a=b": "/console/", "//evil.example@/console/": "/console/",
	} {
		b := h.browser()
		b.post("/console/sign-in", "email", u.Email, "password", password, "next", next).leads(t, want)
		b.get("/console/sign-in?"+url.Values{"next": {next}}.Encode()).leads(t, want)
		b.post("/console/sure", "password", password, "next", next).leads(t, want)
	}
}

// TestHostileNames: what people call themselves is shown, and not run.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", owner)
	b := h.browser().signIn(u.Email)
	const name = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`
	b.post("/console/account", "name", name, "zone", "UTC", "lang", `en"><script>`, "theme", `dark"><script>`).leads(t, "/console/account")
	if got := h.look(u).Profile; got.Name != name || got.Lang != "" || got.Theme != "" {
		t.Errorf("kept %+v", got)
	}
	for _, path := range []string{"/console/", "/console/account", "/console/users", "/console/users/" + strconv.FormatInt(u.ID, 10), "/console/users?search=" + url.QueryEscape(name)} {
		got := b.get(path).must(t, http.StatusOK, name)
		if strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "<img src=x") {
			t.Errorf("%s runs a name", path)
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("the policy of %s is %s", path, policy)
		}
		if strings.Contains(got.body, " style=") || strings.Contains(got.body, "<style") || strings.Contains(got.body, " onclick") {
			t.Errorf("%s has what its policy forbids", path)
		}
	}
	b.post("/console/account", "name", "x", "zone", "../../etc/passwd").must(t, http.StatusUnprocessableEntity, "time zone is unknown")
	b.post("/console/account", "name", "x", "zone", "Local").must(t, http.StatusUnprocessableEntity, "time zone is unknown")
	// The flash cookie shows texts of ours alone.
	origin, err := url.Parse(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(origin, []*http.Cookie{{Name: saidCookie, Value: "error.fault", Path: "/"}})
	if got := b.get("/console/account").must(t, http.StatusOK, ""); strings.Contains(got.text(), "went wrong") {
		t.Error("a text that is not to be said is said")
	}
}

// TestMassAssignment: a form changes what it is for, whatever else it brings.
func TestMassAssignment(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", viewer)
	b := h.browser().signIn(u.Email)
	before := h.look(u)
	b.post("/console/account", "name", "Asha", "zone", "UTC", "lang", "hi", "theme", "dark",
		"role", "owner", "grants", "owner", "role:shop", "merchant-admin", "email", "eve@example.com", "id", "1", "epoch", "9", "password", "x").leads(t, "/console/account")
	after := h.look(u)
	if after.Name != "Asha" || after.Lang != "hi" || after.Theme != "dark" || after.Zone != "UTC" {
		t.Errorf("kept %+v", after.Profile)
	}
	if !slices.Equal(after.Grants, before.Grants) || after.Email != before.Email || after.Epoch != before.Epoch || after.Secrets.Password != before.Secrets.Password {
		t.Errorf("the form changed more: %+v", after)
	}
}

// TestLargeForms: more than a form holds is not read.
func TestLargeForms(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.browser()
	got := b.post("/console/sign-in", "email", "a@example.com", "password", strings.Repeat("x", maxForm+1))
	if got.status == http.StatusOK || got.status == http.StatusSeeOther {
		t.Errorf("answered %d", got.status)
	}
}
