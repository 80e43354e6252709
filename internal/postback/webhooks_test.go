package postback_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
)

const hookSecret directory.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

func hook(merchant, id, url string) *directory.Webhook {
	return &directory.Webhook{Merchant: merchant, ID: id, URL: url, Events: []string{"*"}, Secrets: directory.WebhookSecrets{Signing: hookSecret}}
}

// withHooks are shops and webhooks.
func withHooks(tb testing.TB, merchants []*directory.Merchant, hooks ...*directory.Webhook) *shops {
	tb.Helper()
	s := newShops(tb)
	s.mu.Lock()
	s.contents = directory.Contents{Version: 2, Merchants: merchants, Webhooks: hooks}
	s.mu.Unlock()
	if err := s.Refresh(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// putHook writes an event of a webhook as the commit of its fact would.
func (o *outbox) putHook(id int64, destination string, at time.Time) []byte {
	at = at.UTC().Truncate(time.Microsecond)
	body := webhook.Body(webhook.DepositExpired, at, map[string]string{"deposit_id": "7"})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows[id] = &row{Event: postback.Event{ID: id, Merchant: destination, Webhook: webhook.DepositExpired, CreatedAt: at, ActivatedAt: at}, state: postback.StateDue, nextAt: at, body: body}
	return body
}

// TestWebhooksAreAnsweredByTheirStatus: any 2xx confirms an event, whatever is
// said beside it; and the request is what Standard Webhooks says.
func TestWebhooksAreAnsweredByTheirStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		answer string
		state  postback.State
		err    string
	}{
		{http.StatusOK, `{"status":"fail"}`, postback.StateDelivered, ""},
		{http.StatusNoContent, "", postback.StateDelivered, ""},
		{http.StatusAccepted, strings.Repeat("x", 100<<10), postback.StateDelivered, ""},
		{http.StatusFound, "", postback.StateDue, "answered 302 instead of 2xx"},
		{http.StatusInternalServerError, `{"status":"ok"}`, postback.StateDue, "answered 500 instead of 2xx"},
		{http.StatusGone, "", postback.StateHeld, "answered 410 instead of 2xx"},
	} {
		var request *http.Request
		var sent []byte
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request = r
			sent, _ = io.ReadAll(r.Body)
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.answer)
		}))
		o := newOutbox()
		body := o.putHook(11, "shop/hook1", time.Now())
		rotated := hook("shop", "hook1", server.URL+"/events")
		rotated.Secrets.Previous, rotated.Secrets.Signing = hookSecret, "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
		_, stop := run(t, config(t, o, withHooks(t, nil, rotated), postback.NewTransport(true)))
		result := <-o.recorded
		stop()
		server.Close()
		if result.State != tt.state || result.Attempt.Error != tt.err || result.Attempt.Status != tt.status || result.Merchant != "shop/hook1" {
			t.Errorf("%d: %+v", tt.status, result)
		}
		if string(sent) != string(body) || request.Header.Get("webhook-id") != "evt_11" || request.URL.Path != "/events" || request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("sent %s with %v", sent, request.Header)
		}
		for _, secret := range []directory.Secret{rotated.Secrets.Signing, rotated.Secrets.Previous} {
			verifier, err := standardwebhooks.NewWebhook(secret.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(sent, request.Header); err != nil {
				t.Errorf("the signature of a key that is live: %v", err)
			}
		}
	}
}

// TestHooksDelayNoPostback: a webhook that hangs, with thousands of events due,
// takes no place that the merchant's own postbacks need.
func TestHooksDelayNoPostback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		for i := range 3000 {
			o.putHook(int64(10_000+i), "shop/hook1", time.Now().Add(-time.Hour))
		}
		dir := withHooks(t, []*directory.Merchant{shop("shop", "https://shop.example/postback")}, hook("shop", "hook1", "https://hook.example/"))
		var hanging atomic.Int64
		w, stop := run(t, config(t, o, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "hook.example" {
				hanging.Add(1)
				return hang(r)
			}
			return ok()
		})))
		defer stop()
		for i := range 200 {
			time.Sleep(500 * time.Millisecond)
			e := event(int64(i+1), "shop", time.Now())
			o.put(e, e.ActivatedAt.Add(postback.Lease))
			began := time.Now()
			w.Offer([]postback.Event{e})
			for {
				result := <-o.recorded
				if result.Merchant != "shop" {
					continue
				}
				if result.State != postback.StateDelivered || time.Since(began) > 10*time.Millisecond {
					t.Fatalf("postback %d is %s after %s", i, result.State, time.Since(began))
				}
				break
			}
		}
		if hanging.Load() == 0 {
			t.Error("the webhook was sent nothing")
		}
	})
}

// TestEndpointsAreTold: that an endpoint is disabled is told to the merchant's other
// webhooks and to the owner's, in the write that says so, and not to itself; that
// it is enabled again to all.
func TestEndpointsAreTold(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	o.putHook(11, "shop/hook1", time.Now())
	o.putHook(12, "/ops", time.Now())
	dir := withHooks(t, []*directory.Merchant{shop("shop", "https://shop.example/")},
		hook("shop", "hook1", "https://gone.example/"), hook("shop", "hook2", "https://hook.example/"), hook("cafe", "hook1", "https://cafe.example/"), hook("", "ops", "https://ops.example/"))
	c := config(t, o, dir, roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "gone.example" {
			return answer(http.StatusGone, ""), nil
		}
		return answer(http.StatusNoContent, ""), nil
	}))
	_, stop := run(t, c)
	<-o.recorded
	<-o.recorded
	stop()
	told := func(n int, want string, to ...string) {
		t.Helper()
		if len(o.told) != n+len(to) {
			t.Fatalf("told %+v", o.told)
		}
		for i, e := range o.told[n:] {
			if e.Destination != to[i] || !strings.Contains(string(e.Body), want) || !strings.Contains(string(e.Body), `"endpoint":"shop/hook1","merchant":"shop"`) {
				t.Errorf("told %s: %s", e.Destination, e.Body)
			}
		}
	}
	told(0, `"type":"endpoint.disabled"`, "shop/hook2", "/ops")
	if e := o.endpoint("shop/hook1"); e.State != postback.EndpointDisabled || e.Name() != "webhook shop/hook1" || len(o.audit) != 1 || !o.audit[0].At.Equal(o.told[0].At) || !strings.HasPrefix(o.audit[0].Why, "webhook shop/hook1: ") {
		t.Errorf("it is %+v, audited as %+v", e, o.audit)
	}
	control := postback.NewControl(archive{o}, c)
	if err := control.Enable(t.Context(), "operator:asha", "shop/hook1"); err != nil {
		t.Fatal(err)
	}
	told(2, `"state":"open","why":"by operator:asha"`, "shop/hook1", "shop/hook2", "/ops")
	if !o.audit[1].At.Equal(o.told[2].At) || o.audit[1].Action != "endpoint.enabled" {
		t.Errorf("audited as %+v", o.audit[1])
	}
}

// archive is an outbox that keeps nothing to look at.
type archive struct{ *outbox }

func (archive) Postbacks(context.Context, postback.Filter) ([]postback.Summary, error) {
	return nil, nil
}

func (archive) Postback(context.Context, int64) (*postback.Detail, error) {
	return nil, postback.ErrNoPostback
}

func (archive) Resend(context.Context, []int64, time.Time, time.Time, ...audit.Entry) (int64, error) {
	return 0, nil
}

func (archive) AppendAudit(context.Context, ...audit.Entry) error { return nil }
