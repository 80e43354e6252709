package console

import (
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/internal/words"
)

var owner, viewer = staff.Grant{Role: staff.Owner}, staff.Grant{Role: staff.Viewer}

// TestLanguagesAreComplete: a key that one language lacks would be seen by
// users only.
func TestLanguagesAreComplete(t *testing.T) {
	t.Parallel()
	all, err := words.Load(langFiles)
	if err != nil {
		t.Fatal(err)
	}
	if tags := all.Tags(); len(tags) < 2 {
		t.Errorf("the console speaks %v", tags)
	}
	for _, gap := range all.Gaps() {
		t.Error(gap)
	}
}

// TestLanguagesHaveWhatPagesSay looks for every key that templates, the code and
// the permission table name, and for keys that nothing names.
func TestLanguagesHaveWhatPagesSay(t *testing.T) {
	t.Parallel()
	all, err := words.Load(langFiles)
	if err != nil {
		t.Fatal(err)
	}
	en := all.ByTag(words.Fallback)
	named := func(key, by string) {
		if !en.Has(key) {
			t.Errorf("%s says %s, which no language has", by, key)
		}
	}
	key := regexp.MustCompile(`\bT "([a-z.-]+)"`)
	err = fs.WalkDir(web, "web", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(web, path)
		for _, found := range key.FindAllStringSubmatch(string(text), -1) {
			named(found[1], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table {
		named(r.name, r.pattern)
	}
	for _, role := range staff.Roles() {
		named("role."+string(role), "a role")
	}
}

// TestFirstOwner: the link makes one owner, once, and no second one.
func TestFirstOwner(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.browser()
	stale, err := h.desk.OfferOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.desk.OfferOwner(t.Context())
	if err != nil || token == "" || token == stale {
		t.Fatalf("offered %q, %v", token, err)
	}
	b.get("/console/link/"+stale).must(t, http.StatusGone, "works no more")
	link := "/console/link/" + token
	b.get(link).must(t, http.StatusOK, "first owner")
	for problem, form := range map[string][]string{
		"12 characters":       {"email", "asha@example.com", "password", "short", "again", "short"},
		"differ":              {"email", "asha@example.com", "password", password, "again", password + "!"},
		"no e-mail address":   {"email", "asha", "password", password, "again", password},
		"that are guessed":    {"email", "asha@example.com", "password", "Password123!", "again", "Password123!"},
		"all of which can be": {"email", "asha@example.com", "name", "a\x01b", "password", password, "again", password},
	} {
		b.post(link, form...).must(t, http.StatusUnprocessableEntity, problem)
	}
	if found, err := h.Store.Staff().AnyOwner(t.Context()); found || err != nil {
		t.Fatalf("there is an owner already: %v", err)
	}
	b.post(link, "email", " Asha@Example.COM ", "name", "Asha", "password", password, "again", password).leads(t, "/console/")
	b.get("/console/").must(t, http.StatusOK, "Your password is set. ")
	b.get("/console/users").must(t, http.StatusOK, "asha@example.com Asha Owner")
	h.browser().post(link, "email", "eve@example.com", "password", password, "again", password).must(t, http.StatusGone, "works no more")
	if token, err := h.desk.OfferOwner(t.Context()); token != "" || err != nil {
		t.Errorf("another owner is offered: %v", err)
	}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.user("asha@example.com", viewer)
	b := h.browser()
	b.get("/console").leads(t, "/console/")
	b.get("/console/account?x=1").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount%3Fx%3D1")
	b.post("/console/sign-in", "email", " ASHA@example.com", "password", password, "next", "/console/account?x=1").leads(t, "/console/account?x=1")
	cookie := b.token()
	if cookie == "" {
		t.Fatal("no session")
	}
	b.get("/console/sign-in?next=/console/account").leads(t, "/console/account")
	b.post("/console/sign-out").leads(t, "/console/sign-in")
	b.get("/console/sign-in").must(t, http.StatusOK, "You are signed out.")
	b.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	// The token is dead, not only forgotten.
	if _, _, err := h.desk.Find(t.Context(), cookie); err == nil {
		t.Error("the token of a session that was ended is good")
	}
	// What has no session has nothing to end.
	b.post("/console/sign-out").leads(t, "/console/sign-in")

	// Half an hour without use; twelve hours with it.
	b.signIn("asha@example.com")
	h.Clock.Advance(staff.Idle - time.Second)
	b.get("/console/account").must(t, http.StatusOK, "Your account")
	h.Clock.Advance(staff.Idle)
	b.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	b.signIn("asha@example.com")
	for range int(staff.Lifetime/(20*time.Minute)) - 1 {
		h.Clock.Advance(20 * time.Minute)
		b.get("/console/account").must(t, http.StatusOK, "Your account")
	}
	h.Clock.Advance(20 * time.Minute)
	b.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
}

// TestSecondFactor: a password alone lets nobody in who has an app; codes are
// good once.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", viewer)
	b := h.browser().signIn(u.Email)
	b.get("/console/account/factors").must(t, http.StatusOK, "Set up an app")
	b.post("/console/account/factors/app").leads(t, "/console/account/factors")
	seed := h.look(u).Secrets.TOTP.Proposed
	shown := b.get("/console/account/factors").must(t, http.StatusOK, seed)
	if !strings.Contains(shown.body, "<svg") {
		t.Error("there is no code to scan")
	}
	b.post("/console/account/factors/app/confirm", "code", "000000").must(t, http.StatusUnprocessableEntity, "did not match")
	before := b.token()
	codes := regexp.MustCompile(`[a-z2-7]{4}(-[a-z2-7]{4}){3}`).FindAllString(b.post("/console/account/factors/app/confirm", "code", h.code(seed)).must(t, http.StatusOK, "Recovery codes").body, -1)
	if len(codes) != 10 || b.token() == before {
		t.Fatalf("%d recovery codes, another token: %v", len(codes), b.token() != before)
	}
	b.get("/console/account/factors").must(t, http.StatusOK, "Codes that are left: 10")

	enter := func() *browser {
		t.Helper()
		other := h.browser()
		other.post("/console/sign-in", "email", u.Email, "password", password, "next", "/console/account").leads(t, "/console/sign-in/second?next=%2Fconsole%2Faccount")
		other.get("/console/account").leads(t, "/console/sign-in/second?next=%2Fconsole%2Faccount")
		return other
	}
	other := enter()
	// The code that proved the app is spent.
	other.post("/console/sign-in/second", "code", h.code(seed)).must(t, http.StatusUnprocessableEntity, "did not match")
	h.Clock.Advance(time.Minute)
	half := other.token()
	spent := h.code(seed)
	other.post("/console/sign-in/second", "code", " "+spent[:3]+" "+spent[3:], "next", "/console/account").leads(t, "/console/account")
	if other.token() == half {
		t.Error("the token of half a sign-in is good for the whole")
	}
	other.get("/console/account").must(t, http.StatusOK, u.Email)
	enter().post("/console/sign-in/second", "code", spent).must(t, http.StatusUnprocessableEntity, "did not match")

	enter().post("/console/sign-in/second", "code", strings.ToUpper(codes[3])).leads(t, "/console/")
	enter().post("/console/sign-in/second", "code", codes[3]).must(t, http.StatusUnprocessableEntity, "did not match")
	if left := len(h.look(u).Secrets.Recovery); left != 9 {
		t.Errorf("%d recovery codes are left", left)
	}
	// What is dangerous asks for both again.
	h.Clock.Advance(staff.Sure)
	other.get("/console/account/factors").leads(t, "/console/sure?next=%2Fconsole%2Faccount%2Ffactors")
	other.post("/console/sure", "password", password, "code", "123").must(t, http.StatusUnprocessableEntity, "did not match")
	other.post("/console/sure", "password", "wrong", "code", h.code(seed)).must(t, http.StatusUnprocessableEntity, "did not match")
	other.post("/console/sure", "password", password, "code", h.code(seed), "next", "/console/account/factors").leads(t, "/console/account/factors")
	other.post("/console/account/factors/app/remove").leads(t, "/console/account/factors")
	if secrets := h.look(u).Secrets; secrets.TOTP.Seed != "" || len(secrets.Recovery) != 0 {
		t.Errorf("left: %+v", secrets)
	}
	h.browser().post("/console/sign-in", "email", u.Email, "password", password).leads(t, "/console/")
}

// TestSessions: one sees where one is signed in, and ends that, and others
// can't.
func TestSessions(t *testing.T) {
	t.Parallel()
	h := open(t)
	u := h.user("asha@example.com", viewer)
	other := h.user("eve@example.com", viewer)
	h.Clock.Advance(staff.Idle) // the session that each began with is over
	here, there, eve := h.browser(), h.browser(), h.browser().signIn(other.Email)
	there.header.Set("User-Agent", `Phone <script>alert(1)</script>`)
	here.signIn(u.Email)
	there.signIn(u.Email)
	list := here.get("/console/account/sessions").must(t, http.StatusOK, "This browser")
	if strings.Contains(list.body, "<script>alert") || !strings.Contains(list.text(), `Phone <script>`) {
		t.Errorf("the other browser is shown as %s", list.body)
	}
	end := regexp.MustCompile(`/console/account/sessions/[0-9a-f]+/end`).FindAllString(list.body, -1)
	if len(end) != 1 {
		t.Fatalf("%d sessions to end", len(end))
	}
	eve.post(end[0]).must(t, http.StatusNotFound, "No such page")
	there.get("/console/account").must(t, http.StatusOK, u.Email)
	here.post(end[0]).leads(t, "/console/account/sessions")
	there.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	here.post(end[0]).must(t, http.StatusNotFound, "No such page")

	there.signIn(u.Email)
	here.post("/console/account/sessions/end-others").leads(t, "/console/account/sessions")
	there.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	here.get("/console/account").must(t, http.StatusOK, u.Email)

	// Another password ends the others, and gives this one a new token.
	there.signIn(u.Email)
	before := here.token()
	const fresh = "quite another row of trees"
	here.post("/console/account/password", "password", fresh, "again", fresh).leads(t, "/console/account")
	here.get("/console/account").must(t, http.StatusOK, "every other browser is signed out")
	there.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	if _, _, err := h.desk.Find(t.Context(), before); err == nil || here.token() == before {
		t.Error("the token from before is good")
	}
	h.browser().post("/console/sign-in", "email", u.Email, "password", password).must(t, http.StatusUnprocessableEntity, "did not match")
	h.browser().post("/console/sign-in", "email", u.Email, "password", fresh).leads(t, "/console/")
}

// TestUsers: an owner invites, changes, resets and removes.
func TestUsers(t *testing.T) {
	t.Parallel()
	h := open(t)
	asha := h.user("asha@example.com", owner)
	b := h.browser().signIn(asha.Email)
	b.post("/console/users/add", "email", "ravi@example.com").must(t, http.StatusUnprocessableEntity, "Choose a role")
	b.post("/console/users/add", "email", "ravi@example.com", "role", "merchant-admin").must(t, http.StatusUnprocessableEntity, "Choose a role")
	b.post("/console/users/add", "email", asha.Email, "role", "viewer").must(t, http.StatusUnprocessableEntity, "already")
	made := b.post("/console/users/add", "email", "ravi@example.com", "name", "Ravi", "role:"+storetest.Shop, "merchant-admin", "role:none", "owner").
		must(t, http.StatusOK, "Send this link to ravi@example.com")
	link := regexp.MustCompile(`/console/link/[\w-]+`).FindString(made.body)
	ravi := h.browser()
	ravi.get(link).must(t, http.StatusOK, "ravi@example.com")
	ravi.post(link, "password", password, "again", password, "email", "other@example.com").leads(t, "/console/")
	h.browser().get(link).must(t, http.StatusGone, "works no more")
	ravi.get("/console/account").must(t, http.StatusOK, "ravi@example.com Merchant's admin · ")
	u, err := h.Store.Staff().FindUserByEmail(t.Context(), "ravi@example.com")
	if err != nil || !slices.Equal(u.Grants, []staff.Grant{{Role: staff.MerchantAdmin, Merchant: storetest.Shop}}) {
		t.Fatalf("made %+v, %v", u, err)
	}

	page := "/console/users/" + strconv.FormatInt(u.ID, 10)
	b.get(page).must(t, http.StatusOK, "ravi@example.com")
	b.post(page+"/roles", "role", "reviewer").leads(t, "/console/users")
	ravi.get("/console/account").leads(t, "/console/sign-in?next=%2Fconsole%2Faccount")
	ravi.signIn(u.Email).get("/console/account").must(t, http.StatusOK, "Reviewer")

	h.factor(h.look(u))
	b.signIn(asha.Email)
	for keep, form := range map[bool][]string{true: nil, false: {"factors", "drop"}} {
		link := regexp.MustCompile(`/console/link/[\w-]+`).FindString(b.post(page+"/reset", form...).must(t, http.StatusOK, "One-time link").body)
		want := "/console/"
		if keep {
			want = "/console/sign-in/second"
		}
		if _, had := h.look(u).Secrets, h.look(u).HasSecond(); !had {
			h.factor(h.look(u))
		}
		h.browser().post(link, "password", password, "again", password).leads(t, want)
	}
	b.get(page+"/remove").must(t, http.StatusOK, "ravi@example.com is signed out everywhere")
	ravi = h.browser()
	b.post(page+"/remove").leads(t, "/console/users")
	b.get(page).must(t, http.StatusNotFound, "No such page")
	ravi.post("/console/sign-in", "email", u.Email, "password", password).must(t, http.StatusUnprocessableEntity, "did not match")

	mine := "/console/users/" + strconv.FormatInt(asha.ID, 10)
	b.post(mine+"/remove").must(t, http.StatusUnprocessableEntity, "keeps one owner")
	b.post(mine+"/roles", "role", "viewer").must(t, http.StatusUnprocessableEntity, "keeps one owner")
	b.get("/console/users/x").must(t, http.StatusNotFound, "No such page")
}

// TestUserPages: a list of many goes on, and is searched.
func TestUserPages(t *testing.T) {
	t.Parallel()
	h := open(t)
	asha := h.user("asha@example.com", owner)
	for i := range rowsOfPage + 5 {
		if _, _, err := h.desk.Add(t.Context(), staff.CommandLine, "user"+strconv.Itoa(1000+i)+"@example.com", "", []staff.Grant{viewer}, staff.Visitor{}); err != nil {
			t.Fatal(err)
		}
	}
	b := h.browser().signIn(asha.Email)
	first := b.get("/console/users?search=user")
	next := html.UnescapeString(regexp.MustCompile(`href="(/console/users\?after[^"]*)"`).FindStringSubmatch(first.body)[1])
	second := b.get(next).must(t, http.StatusOK, "user1054@example.com")
	row := regexp.MustCompile(`user1\d+@example.com`)
	seen := append(row.FindAllString(first.body, -1), row.FindAllString(second.body, -1)...)
	if slices.Sort(seen); len(slices.Compact(seen)) != rowsOfPage+5 || strings.Contains(first.body+second.body, "<th scope=\"row\"><a href=\"/console/users/1\">asha") {
		t.Errorf("%d users on two pages", len(seen))
	}
	if strings.Contains(second.body, "after=") {
		t.Error("the last page leads on")
	}
	b.get("/console/users?search=nobody").must(t, http.StatusOK, "nothing here")
}

// TestOverview: each sees what is theirs.
func TestOverview(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.MustActivate(storetest.Claim("waits", storetest.UTR(1), 500_00), "waiting")
	h.MustReport("bar", 1, 0, 0, h.Entry(storetest.UTR(4), 12345_00))
	h.user("viewer@example.com", viewer)
	h.user("shop@example.com", staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Shop})
	h.user("cafe@example.com", staff.Grant{Role: staff.MerchantViewer, Merchant: storetest.Cafe})
	all := h.browser().signIn("viewer@example.com")
	all.get("/console/").must(t, http.StatusOK, "Waiting for the bank 1 Open withdrawals 0 Unclaimed money ₹12,345.00")
	all.get("/console/merchants/cafe").must(t, http.StatusOK, "Waiting for the bank 0")
	all.get("/console/merchants/none").must(t, http.StatusNotFound, "No such page")
	shop := h.browser().signIn("shop@example.com").get("/console/").must(t, http.StatusOK, "Waiting for the bank 1")
	if strings.Contains(shop.text(), "Unclaimed") || strings.Contains(shop.body, "cafe") || strings.Contains(shop.body, "/console/users") {
		t.Errorf("a merchant sees what is not theirs: %s", shop.text())
	}
	h.browser().signIn("cafe@example.com").get("/console/").must(t, http.StatusOK, "Waiting for the bank 0")
}

// TestHosts: a host of its own has the console and nothing else; merchants'
// hosts have none.
func TestHosts(t *testing.T) {
	t.Parallel()
	h := open(t)
	try := func(host, path string) (status int, to string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Host = host
		h.handler.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Location")
	}
	if code, _ := try("pay.example.net", "/console/sign-in"); code != http.StatusOK {
		t.Errorf("a host that is nobody's answers %d", code)
	}
	h.door.Host = "console.example.com"
	for _, tt := range []struct {
		host, path string
		code       int
		to         string
	}{
		{"console.example.com", "/", http.StatusSeeOther, "/console/"},
		{"Console.Example.com:443", "/console/sign-in", http.StatusOK, ""},
		{"console.example.com", "/pay", http.StatusNotFound, ""},
		{"pay.example.net", "/console/sign-in", http.StatusNotFound, ""},
	} {
		if code, to := try(tt.host, tt.path); code != tt.code || to != tt.to {
			t.Errorf("%s%s answers %d to %q", tt.host, tt.path, code, to)
		}
	}
}
