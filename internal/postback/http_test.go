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

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// deliverOne has a worker deliver one event over a real network and returns
// what came of the first attempt.
func deliverOne(t *testing.T, url string, transport http.RoundTripper) postback.Result {
	t.Helper()
	store := newOutbox()
	w, stop := run(t, config(t, store, newShops(t, shop("shop", url)), transport))
	defer stop()
	e := event(1, "shop", time.Now())
	store.put(e, e.ActivatedAt.Add(postback.Lease))
	w.Offer([]postback.Event{e})
	return <-store.recorded
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		status int
		err    string // "" when it confirms
	}{
		"confirmed":        {plain(200, `{"status":"ok"}`), 200, ""},
		"with more":        {plain(200, " {\"status\" : \"ok\", \"id\": 7, \"x\": {\"status\": \"no\"}}\n"), 200, ""},
		"byte order mark":  {plain(200, "\ufeff{\"status\":\"ok\"}"), 200, ""},
		"created":          {plain(201, `{"status":"ok"}`), 201, "answered 201"},
		"no content":       {plain(204, ""), 204, "answered 204"},
		"server error":     {plain(500, `{"status":"ok"}`), 500, "answered 500"},
		"not modified":     {plain(304, ""), 304, "answered 304"},
		"declined":         {plain(200, `{"status":"fail"}`), 200, "not {"},
		"upper case":       {plain(200, `{"STATUS":"ok"}`), 200, "not {"},
		"upper case value": {plain(200, `{"status":"OK"}`), 200, "not {"},
		"other type":       {plain(200, `{"status":true}`), 200, "not {"},
		"twice":            {plain(200, `{"status":"ok","status":"fail"}`), 200, "not {"},
		"array":            {plain(200, `[{"status":"ok"}]`), 200, "not {"},
		"text":             {plain(200, `ok`), 200, "not {"},
		"text after":       {plain(200, `{"status":"ok"}<br>`), 200, "not {"},
		"empty":            {plain(200, ""), 200, "not {"},
		"huge":             {plain(200, `{"status":"ok"}`+strings.Repeat(" ", 5000)), 200, "longer than 4096"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Much", strings.Repeat("x", 1<<20))
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}, 0, "header"},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"status":"ok"}`)
		}, 200, "unexpected EOF"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			got := deliverOne(t, server.URL+"/hook?token=topsecret", postback.NewTransport(true))
			confirmed := got.State == postback.StateDelivered
			if confirmed != (tt.err == "") || got.Attempt.Status != tt.status || !strings.Contains(got.Attempt.Error, tt.err) {
				t.Errorf("%s: %+v, want status %d and %q", got.State, got.Attempt, tt.status, tt.err)
			}
			if (got.Body == nil) != confirmed {
				t.Errorf("body kept: %t", got.Body != nil)
			}
			if strings.Contains(got.Attempt.Error, "topsecret") {
				t.Errorf("the error tells the URL: %s", got.Attempt.Error)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	hook, err := standardwebhooks.NewWebhookRaw([]byte("PK"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := read(t, r)
		if err := hook.Verify(body, r.Header); err != nil {
			t.Errorf("the merchant's library refuses: %v", err)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.String() != "/hook?a=b" || r.ProtoMajor != 2 {
			t.Errorf("%s %s %s, %s", r.Method, r.URL, r.Proto, r.Header)
		}
		if _, there := r.Header["Idempotency-Key"]; there {
			t.Error("the header for the transport alone was sent")
		}
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	transport := postback.NewTransport(true)
	transport.TLSClientConfig.RootCAs = as[*http.Transport](t, server.Client().Transport).TLSClientConfig.RootCAs
	if got := deliverOne(t, server.URL+"/hook?a=b", transport); got.State != postback.StateDelivered {
		t.Errorf("%s: %s", got.State, got.Attempt.Error)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Store(true)
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	defer target.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(target.URL, code))
		defer server.Close() //nolint:revive // five servers for the test's length
		if got := deliverOne(t, server.URL, postback.NewTransport(true)); got.State != postback.StateDue || got.Attempt.Status != code {
			t.Errorf("%d: %s, %+v", code, got.State, got.Attempt)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

// trickle is an answer's body that never comes to its end.
type trickle struct{ done <-chan struct{} }

func (b trickle) Read(p []byte) (int, error) {
	select {
	case <-b.done:
		return 0, context.DeadlineExceeded
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	}
}

func (trickle) Close() error { return nil }

func TestSlowAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]roundTrip{
		"no headers": hang,
		"slow body": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: trickle{r.Context().Done()}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got := deliverOne(t, "https://shop.example/", answer)
				if a := got.Attempt; got.State != postback.StateDue || a.Latency != 15*time.Second || a.Error != "no answer within 15s" || a.Number != 1 {
					t.Errorf("%s, %+v", got.State, a)
				}
			})
		})
	}
}

// One event from Offer to its record, over loopback with a merchant in the
// same process; many merchants, so that no single one's places are the bound.
func BenchmarkDeliver(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	defer server.Close()
	shops := newShops(b)
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var merchants []*directory.Merchant
	for _, name := range names {
		merchants = append(merchants, shop(name, server.URL))
	}
	shops.replace(b, merchants...)
	store := newOutbox()
	c := config(b, store, shops, postback.NewTransport(true))
	c.SweepEvery = time.Hour // the double's look-ups take the time of its size
	w, stop := run(b, c)
	defer stop()
	const ahead = 512 // events on the way at once
	id, way := int64(0), 0
	for b.Loop() {
		e := event(id, names[id%8], time.Now())
		store.put(e, e.ActivatedAt.Add(postback.Lease))
		w.Offer([]postback.Event{e})
		id++
		if way++; way > ahead {
			<-store.recorded
			way--
		}
	}
	for ; way > 0; way-- {
		<-store.recorded
	}
}
