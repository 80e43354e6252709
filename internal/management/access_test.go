package management_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/store/storetest"
)

// routes are the operations under /v3, as the document names them.
func routes(t *testing.T, o *office) map[string]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string                `json:"operationId"`
			Security    []map[string][]string `json:"security"`
		}
	}
	if err := json.Unmarshal(o.door.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	scopes := make(map[string]string)
	for path, item := range doc.Paths {
		for method, op := range item {
			if strings.HasPrefix(path, "/v3/") {
				scopes[strings.ToUpper(method)+" "+path] = strings.Join(op.Security[0]["key"], " ")
			}
		}
	}
	return scopes
}

// filled is a route with something in its path.
func filled(route string) request {
	method, path, _ := strings.Cut(route, " ")
	path = strings.NewReplacer("{custom_id}", "a", "{withdrawal_id}", "w", "{id}", "7", "{wallet}", "till").Replace(path)
	return request{method: method, path: path}
}

// TestEveryRouteNeedsItsScope goes through the whole document: no route answers
// strangers, or a key without its scope, or a merchant where it is the operator's.
func TestEveryRouteNeedsItsScope(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	all := access.Scopes("")
	merchants := o.mustKey(storetest.Shop)
	count := 0
	for route, scope := range routes(t, o) {
		count++
		r := filled(route)
		o.mustRefuse(http.StatusUnauthorized, "unauthorized", r)
		o.Clock.Advance(2 * time.Second) // or the next would be one too many
		if scope == "" {
			continue
		}
		r.key = o.mustKey(access.Operator, slices.DeleteFunc(slices.Clone(all), func(s access.Scope) bool { return string(s) == scope })...)
		if p := o.mustRefuse(http.StatusForbidden, "forbidden", r); !strings.Contains(p.Detail, scope) {
			t.Errorf("%s does not say that %s is missing: %s", route, scope, p.Detail)
		}
		r.key = o.mustKey(access.Operator, access.Scope(scope))
		if status, _ := o.ask(r); status == http.StatusForbidden || status == http.StatusUnauthorized || status >= 500 {
			t.Errorf("%s answers a key with its scope with %d", route, status)
		}
		if !slices.Contains(access.Scopes(storetest.Shop), access.Scope(scope)) {
			r.key = merchants
			o.mustRefuse(http.StatusForbidden, "forbidden", r)
		}
	}
	if count < 25 {
		t.Errorf("only %d routes are in the document", count)
	}
}

// TestForeignLooksUnknown holds every route that a merchant's key may call to its
// merchant: what is another's looks like what is nowhere.
func TestForeignLooksUnknown(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	o.MustReport("bar", 1, 0, 0, o.Entry(storetest.UTR(1), 500_00))
	a := storetest.Claim("theirs", storetest.UTR(1), 500_00)
	a.Merchant = storetest.Cafe
	theirs := o.MustActivate(a, deposit.Credited)
	id := fmt.Sprint(theirs.ID)
	if _, err := o.door.Office.Cancel(t.Context(), o.mustAskFor(storetest.Cafe, "theirs", 100_00, "api:cafe").ID, "test", "x"); err != nil {
		t.Fatal(err)
	}
	mine := o.mustKey(storetest.Shop)

	type pair struct{ foreign, unknown string }
	const since = `{"from":"2020-01-01T00:00:00Z"}`
	pairs := map[string][]pair{
		"GET /v3/deposits/{custom_id}":        {{"/v3/deposits/theirs", "/v3/deposits/nobodys"}, {"/v3/deposits/theirs?merchant=cafe", "/v3/deposits/theirs?merchant=nobody"}},
		"GET /v3/postbacks/{id}":              {{"/v3/postbacks/" + id, "/v3/postbacks/999999"}, {"/v3/postbacks/" + id + "?merchant=cafe", "/v3/postbacks/" + id + "?merchant=nobody"}},
		"GET /v3/withdrawals/{withdrawal_id}": {{"/v3/withdrawals/theirs", "/v3/withdrawals/nobodys"}, {"/v3/withdrawals/theirs?merchant=cafe", "/v3/withdrawals/theirs?merchant=nobody"}},
		"GET /v3/withdrawals":                 {{"/v3/withdrawals?merchant=cafe", "/v3/withdrawals?merchant=nobody"}},
		"GET /v3/deposits":                    {{"/v3/deposits?merchant=cafe", "/v3/deposits?merchant=nobody"}},
		"GET /v3/postbacks":                   {{"/v3/postbacks?merchant=cafe", "/v3/postbacks?merchant=nobody"}},
		"POST /v3/postbacks/{id}/resend":      {{"/v3/postbacks/" + id + "/resend", "/v3/postbacks/999999/resend"}, {"/v3/postbacks/" + id + "/resend?merchant=cafe", "/v3/postbacks/" + id + "/resend?merchant=nobody"}},
		"POST /v3/postbacks/resend":           {{"/v3/postbacks/resend?merchant=cafe", "/v3/postbacks/resend?merchant=nobody"}},
		"POST /v3/postbacks/test":             {{"/v3/postbacks/test?merchant=cafe", "/v3/postbacks/test?merchant=nobody"}},
		"GET /v3/endpoints":                   {{"/v3/endpoints?merchant=cafe", "/v3/endpoints?merchant=nobody"}},
		"POST /v3/endpoints/pause":            {{"/v3/endpoints/pause?merchant=cafe", "/v3/endpoints/pause?merchant=nobody"}},
		"POST /v3/endpoints/resume":           {{"/v3/endpoints/resume?merchant=cafe", "/v3/endpoints/resume?merchant=nobody"}},
		"POST /v3/endpoints/enable":           {{"/v3/endpoints/enable?merchant=cafe", "/v3/endpoints/enable?merchant=nobody"}},
		"GET /v3/balance":                     {{"/v3/balance?merchant=cafe", "/v3/balance?merchant=nobody"}},
		"GET /v3/account-statement":           {{"/v3/account-statement?merchant=cafe", "/v3/account-statement?merchant=nobody"}, {"/v3/account-statement?merchant=cafe&format=csv", "/v3/account-statement?merchant=nobody&format=csv"}},
	}
	for route, scope := range routes(t, o) {
		if scope != "" && slices.Contains(access.Scopes(storetest.Shop), access.Scope(scope)) && pairs[route] == nil {
			t.Errorf("%s is not tried", route)
		}
	}
	for route, list := range pairs {
		method, _, _ := strings.Cut(route, " ")
		for _, p := range list {
			call := func(path, key string) (int, string) {
				r := request{method: method, path: path, key: key}
				if strings.HasPrefix(path, "/v3/postbacks/resend") {
					r.body = since
				}
				return o.ask(r)
			}
			before := o.MustVerify().AuditEntries
			foreign, body := call(p.foreign, mine)
			unknown, other := call(p.unknown, mine)
			if o.MustVerify().AuditEntries != before {
				t.Errorf("%s: something was done", route)
			}
			if foreign != http.StatusNotFound || unknown != foreign || body != other {
				t.Errorf("%s: %s answers %d %s, %s answers %d %s", route, p.foreign, foreign, body, p.unknown, unknown, other)
			}
			// It is there for those whose it is; what is open can't be resumed, and the like.
			if status, body := call(p.foreign, o.mustKey(storetest.Cafe)); status != http.StatusOK && (status != http.StatusConflict || !strings.Contains(route, "/endpoints/")) {
				t.Errorf("%s answers its merchant with %d %s", p.foreign, status, body)
			}
		}
	}
	// Lists hold nothing of others, by whatever filter.
	for _, path := range []string{
		"/v3/deposits", "/v3/deposits?utr=" + string(storetest.UTR(1)), "/v3/deposits?custom_id=theirs", "/v3/deposits?label=55",
		"/v3/deposits?amount=500", "/v3/postbacks", "/v3/postbacks?kind=withdrawal", "/v3/endpoints", "/v3/withdrawals", "/v3/withdrawals?label=55", "/v3/account-statement?from=2020-01-01T00:00:00Z", "/v3/balance",
	} {
		if status, body := o.ask(request{path: path, key: mine}); status != http.StatusOK || strings.Contains(body, "theirs") || strings.Contains(body, "500.00") {
			t.Errorf("%s answers %d %s", path, status, body)
		}
	}
}

// TestStrangers sends what proves nothing: all are answered alike.
func TestStrangers(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(storetest.Shop)
	operators := o.mustKey(access.Operator)
	id := mustAsk[struct{ ID int64 }](o, http.StatusOK, request{path: "/v3/key", key: operators}).ID
	if err := o.Store.RevokeKey(o.Context(), id, o.Clock.Now(), "test"); err != nil {
		t.Fatal(err)
	}
	o.mustRefuseIn(t, 6*time.Second, request{path: "/v3/key", key: operators}) // what a gateway may still believe

	_, usual := o.ask(request{path: "/v3/key"})
	for name, r := range map[string]request{
		"nothing": {}, "in the query": {path: "/v3/key?key=" + key}, "secret": {path: "/v3/key?secret=plugin-secret-of-shop"},
		"plugin secret": {key: "plugin-secret-of-shop"}, "cut": {key: key[:len(key)-1]}, "longer": {key: key + "a"}, "case": {key: strings.ToUpper(key)},
		"basic": {header: map[string]string{"Authorization": "Basic " + key}}, "other's host": {key: key, host: "api.cafe.localhost"},
		"payers' host": {key: key, host: "plugin.shop.localhost:8080"},
	} {
		if r.path == "" {
			r.path = "/v3/key"
		}
		status, body := o.ask(r)
		if status != http.StatusUnauthorized || body != usual {
			t.Errorf("%s: answered %d %s", name, status, body)
		}
	}
	for _, host := range []string{"api.shop.localhost", "API.shop.localhost.:8080", "127.0.0.1", "gateway.example"} {
		if status, body := o.ask(request{path: "/v3/key", key: key, host: host}); status != http.StatusOK {
			t.Errorf("on %s the merchant is answered %d %s", host, status, body)
		}
	}
	if status, _ := o.ask(request{path: "/v3/key", key: o.mustKey(access.Operator), host: "api.shop.localhost"}); status != http.StatusOK {
		t.Errorf("on a merchant's host the operator is answered %d", status)
	}
	o.Clock.Advance(24 * time.Hour)
	if status, body := o.ask(request{path: "/v3/key", key: key}); status != http.StatusUnauthorized || body != usual {
		t.Errorf("an expired key is answered %d %s", status, body)
	}
}

func (o *office) mustRefuseIn(t *testing.T, wait time.Duration, r request) {
	t.Helper()
	o.Clock.Advance(wait)
	o.mustRefuse(http.StatusUnauthorized, "unauthorized", r)
}

// TestGuessingIsSlow sends wrong keys: their address has to wait, and those with
// a key in use do not.
func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(storetest.Shop)
	if status, _ := o.ask(request{path: "/v3/key", key: key}); status != http.StatusOK {
		t.Fatal("the key is not taken")
	}
	for i := range 20 {
		o.mustRefuse(http.StatusUnauthorized, "unauthorized", request{path: "/v3/key", key: fmt.Sprint("mln_guess", i)})
	}
	res := o.send(request{path: "/v3/key", key: "mln_guess"})
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("the next guess is answered %d", res.StatusCode)
	}
	if status, _ := o.ask(request{path: "/v3/key", key: key}); status != http.StatusOK {
		t.Errorf("a key in use is answered %d", status)
	}
	o.Clock.Advance(3 * time.Second)
	o.mustRefuse(http.StatusUnauthorized, "unauthorized", request{path: "/v3/key", key: "mln_guess"})
	o.mustRefuse(http.StatusTooManyRequests, "too-many", request{path: "/v3/key", key: "mln_guess"})
}

// TestMerchantsThatMayNotCall tries keys of merchants that are gone, or elsewhere.
func TestMerchantsThatMayNotCall(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	shop, cafe := o.mustKey(storetest.Shop), o.mustKey(storetest.Cafe)
	operator := o.mustKey(access.Operator)
	doc := mustAsk[map[string]any](o, http.StatusOK, request{path: "/v3/installation", key: operator})
	merchants, _ := doc["merchants"].([]any)
	for _, m := range merchants {
		if m, ok := m.(map[string]any); ok && m["id"] == storetest.Shop {
			m["allowed_ips"] = []string{"203.0.113.0/24"}
			body, err := json.Marshal(map[string]any{"merchants": []any{m}, "wallets": []any{}, "feeds": []any{}})
			if err != nil {
				t.Fatal(err)
			}
			mustAsk[any](o, http.StatusOK, request{method: http.MethodPut, path: "/v3/installation", key: operator, body: string(body),
				header: map[string]string{"If-Match": `"1"`}})
		}
	}
	for _, key := range []string{shop, cafe} {
		o.mustRefuse(http.StatusUnauthorized, "unauthorized", request{path: "/v3/key", key: key})
	}
	if m := o.Directory.Current().Merchant(storetest.Cafe); !m.Retired {
		t.Error("the café is not retired")
	}
	// What it had is still to be seen for the operator.
	mustAsk[any](o, http.StatusOK, request{path: "/v3/balance?merchant=cafe", key: operator})
}
