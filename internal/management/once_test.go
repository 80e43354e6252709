package management_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/store/storetest"
)

// slowDesk is a desk whose word takes until the test lets it through, or fails.
type slowDesk struct {
	management.Desk
	began, goOn chan struct{}
	fails       bool
}

func (d *slowDesk) Reject(ctx context.Context, claim int64, actor, why string) (deposit.Claim, error) {
	if d.fails {
		return deposit.Claim{}, errors.New("a hidden detail")
	}
	close(d.began)
	<-d.goOn
	return d.Desk.Reject(ctx, claim, actor, why)
}

func TestCallsAreDoneOnce(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	desk := &slowDesk{Desk: o.Desk, began: make(chan struct{}), goOn: make(chan struct{}), fails: true}
	o.door.Desk = desk
	key := o.mustKey(access.Operator)
	o.MustReport("till", 1, 0, 0, o.Entry(storetest.UTR(1), 400_00))
	claim := o.MustActivate(storetest.Claim("a", storetest.UTR(1), 500_00), deposit.Pending, deposit.AmountDiffers)
	r := request{method: http.MethodPost, path: fmt.Sprintf("/v3/reviews/%d/reject", claim.ID), key: key, body: `{"why":"not theirs"}`,
		header: map[string]string{"Idempotency-Key": "k"}}

	for _, bad := range []string{"", strings.Repeat("k", 256)} {
		without := r
		without.header = map[string]string{"Idempotency-Key": bad}
		o.mustRefuse(http.StatusBadRequest, "idempotency-key-missing", without)
	}
	// A fault of ours is not kept: the call may be made again.
	if p := o.mustRefuse(http.StatusInternalServerError, "internal", r); strings.Contains(p.Detail, "hidden") {
		t.Errorf("a fault shows %s", p.Detail)
	}
	desk.fails = false

	var group sync.WaitGroup
	var status int
	var answer string
	group.Go(func() { status, answer = o.ask(r) })
	<-desk.began
	o.mustRefuse(http.StatusConflict, "call-under-way", r)
	other := r
	other.body = `{"why":"another reason"}`
	o.mustRefuse(http.StatusUnprocessableEntity, "idempotency-key-reused", other)
	close(desk.goOn)
	group.Wait()
	if status != http.StatusOK {
		t.Fatalf("the call is answered %d %s", status, answer)
	}
	for range 2 {
		res := o.send(r)
		_ = res.Body.Close()
		again, same := o.ask(r)
		if again != status || same != answer || res.Header.Get("Idempotency-Replayed") != "true" || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("again, it is answered %d %s", again, same)
		}
	}
	for name, change := range map[string]func(*request){
		"body":      func(r *request) { r.body += " " },
		"path":      func(r *request) { r.path = strings.Replace(r.path, "reject", "approve", 1) },
		"query":     func(r *request) { r.path += "?x=1" },
		"other key": func(r *request) { r.key = o.mustKey(access.Operator) },
	} {
		other := r
		change(&other)
		if p := o.mustRefuse(http.StatusUnprocessableEntity, "idempotency-key-reused", other); p.Detail == "" {
			t.Errorf("%s is another call", name)
		}
	}
	o.door.Desk = o.Desk
	// What was refused is answered so again, and a day later all is forgotten.
	o.Clock.Advance(access.AnswersKept - time.Minute) // the key has a minute more
	o.mustRefuse(http.StatusUnauthorized, "unauthorized", request{path: "/v3/key", key: key + "x"})
	if dropped, err := o.Store.DropAnswers(t.Context(), o.Clock.Now().Add(time.Hour-access.AnswersKept), 10); err != nil || dropped != 1 {
		t.Errorf("%d answers are forgotten, %v", dropped, err)
	}
	o.mustRefuse(http.StatusConflict, "refused", r)
	o.mustRefuse(http.StatusConflict, "refused", r)
}

// TestNothingIsEchoed sends a mark in every place there is: no answer holds it.
func TestNothingIsEchoed(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(access.Operator)
	const mark = "eChOeD"
	requests := []request{
		{path: "/v3/" + mark, key: key}, {path: "/v3/key?" + mark + "=1", key: key}, {path: "/v3/key?x=" + mark, key: key},
		{path: "/v3/deposits/" + mark + "?merchant=shop", key: key}, {path: "/v3/merchants/" + mark, key: key}, {path: "/v3/credits/" + mark, key: key},
		{path: "/v3/key", key: mark}, {path: "/v3/key", key: key, header: map[string]string{"Accept": mark}},
		{method: "PATCH", path: "/v3/keys", key: key, body: mark}, {method: http.MethodPost, path: "/v3/keys", key: key, body: mark},
		{method: http.MethodPost, path: "/v3/keys", key: key, body: `{"` + mark + `":1}`},
		{method: http.MethodPost, path: "/v3/keys", key: key, body: `{"name":{"` + mark + `":1},"owner":["` + mark + `"],"scopes":"` + mark + `","expires_at":"` + mark + `"}`},
		{method: http.MethodPost, path: "/v3/keys", key: key, body: `{"name":"` + mark + `\n","owner":"` + mark + `","scopes":["` + mark + `"],"expires_at":"2026-03-15T00:00:00Z"}`},
		{method: http.MethodPost, path: "/v3/keys", key: key, body: `{"name":"` + mark + `\n","owner":"shop","scopes":["` + mark + `"],"expires_at":"2026-03-15T00:00:00Z"}`},
		{method: http.MethodPost, path: "/v3/keys", key: key, body: "{}", header: map[string]string{"Content-Type": mark}},
		put(key, mark, "merchants: []"), put(key, `"1"`, mark+": 1"),
	}
	for _, name := range []string{"merchant", "state", "utr", "amount", "from", "to", "after", "limit", "format", "label", "wallet", "feed"} {
		for _, path := range []string{"deposits", "postbacks", "account-statement", "credits", "inbox", "reviews"} {
			requests = append(requests, request{path: "/v3/" + path + "?" + name + "=" + mark + strings.Repeat("9", 300), key: key})
		}
	}
	for _, r := range requests {
		res := o.send(r)
		_ = res.Body.Close()
		status, body := o.ask(r)
		// The document of PUT is the operator's own, and its faults are named in it.
		if strings.Contains(body+fmt.Sprint(res.Header), mark) && !(r.method == http.MethodPut && status == http.StatusUnprocessableEntity) {
			t.Errorf("%s %s %s is answered %d %s", r.method, r.path, r.body, status, body)
		}
		if status >= 500 {
			t.Errorf("%s %s is answered %d", r.method, r.path, status)
		}
	}
	o.mustRefuse(http.StatusRequestEntityTooLarge, "too-large", put(key, `"1"`, strings.Repeat("#", 1<<20+1)))
}

// TestOtherMethods names those that an address has.
func TestOtherMethods(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	res := o.send(request{method: http.MethodPost, path: "/v3/deposits", key: o.mustKey(storetest.Shop)})
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET" {
		t.Errorf("answered %d, allow %s", res.StatusCode, res.Header.Get("Allow"))
	}
}
