package notice_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/internal/notice"
)

const secret = "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdA=="

func example() notice.Notice {
	return notice.Notice{
		ID: "notice_17", Key: "feed/phone1/silent", Code: "silent", Severity: notice.Critical,
		Subject: "Feed phone1 is silent: ₹0", Text: "Nothing has \"come\".\nLook at <the phone>.",
		At: start, Since: start.Add(-time.Hour), Raised: true,
	}
}

// receiver is a server that keeps what was posted.
type receiver struct {
	*httptest.Server
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.header = req.Header
		r.body, _ = io.ReadAll(req.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func newWebhook(t *testing.T, s notice.WebhookSettings) *notice.Webhook {
	t.Helper()
	s.Transport, s.Now = http.DefaultTransport, time.Now
	w, err := notice.NewWebhook(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusNoContent)
	if err := newWebhook(t, notice.WebhookSettings{URL: r.URL + "/notices", Secret: secret}).Send(t.Context(), example()); err != nil {
		t.Fatal(err)
	}
	check, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Verify(r.body, r.header); err != nil {
		t.Error(err)
	}
	if got := r.header.Get("webhook-id"); got != "notice_17" {
		t.Errorf("webhook-id %s", got)
	}
	var got map[string]any
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	// Everything there is: nothing else may go out.
	want := map[string]any{
		"type": "notice.raised", "timestamp": "2026-05-04T04:50:00Z", "data": map[string]any{
			"id": "notice_17", "key": "feed/phone1/silent", "code": "silent", "severity": "critical",
			"subject": "Feed phone1 is silent: ₹0", "text": "Nothing has \"come\".\nLook at <the phone>.",
			"since": "2026-05-04T03:50:00Z", "raised": true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookOver(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusOK)
	n := example()
	n.Raised = false
	if err := newWebhook(t, notice.WebhookSettings{URL: r.URL}).Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(r.body), `"type":"notice.cleared"`) {
		t.Errorf("posted %s", r.body)
	}
	if r.header.Get("webhook-signature") != "" {
		t.Error("signed without a secret")
	}
}

func TestTelegram(t *testing.T) {
	t.Parallel()
	for _, chat := range []string{"-1001234567890", "@shop_alerts", `a"}}b`} {
		r := newReceiver(t, http.StatusOK)
		w := newWebhook(t, notice.WebhookSettings{URL: r.URL + "/bot1:token/sendMessage", Template: notice.TelegramTemplate(chat)})
		if err := w.Send(t.Context(), example()); err != nil {
			t.Fatal(err)
		}
		var got struct {
			ChatID string `json:"chat_id"`
			Text   string `json:"text"`
		}
		if err := json.Unmarshal(r.body, &got); err != nil {
			t.Fatal(err)
		}
		n := example()
		if got.ChatID != chat || got.Text != n.Subject+"\n\n"+n.Text {
			t.Errorf("posted %s", r.body)
		}
	}
}

func TestWebhookRefused(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusFound:               "answered 302",
		http.StatusNotFound:            "answered 404",
		http.StatusInternalServerError: "answered 500",
	} {
		r := newReceiver(t, status)
		err := newWebhook(t, notice.WebhookSettings{URL: r.URL + "/token"}).Send(t.Context(), example())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	r := newReceiver(t, http.StatusOK)
	w := newWebhook(t, notice.WebhookSettings{URL: r.URL + "/token"})
	r.Close()
	if err := w.Send(t.Context(), example()); err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestWebhookSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s    notice.WebhookSettings
		want string // of the error; empty where it is fine
	}{
		"https":               {notice.WebhookSettings{URL: "https://shop.example/notices"}, ""},
		"loopback":            {notice.WebhookSettings{URL: "http://[::1]:8080/"}, ""},
		"http":                {notice.WebhookSettings{URL: "http://shop.example/"}, "https://"},
		"loopback's sister":   {notice.WebhookSettings{URL: "http://localhost.shop.example/"}, "https://"},
		"no URL":              {notice.WebhookSettings{URL: "shop.example"}, "not one"},
		"file":                {notice.WebhookSettings{URL: "file://shop/etc"}, "https://"},
		"user":                {notice.WebhookSettings{URL: "https://me:pass@shop.example/"}, "has a user"},
		"secret":              {notice.WebhookSettings{URL: "https://shop.example/", Secret: "%"}, "base64"},
		"template":            {notice.WebhookSettings{URL: "https://shop.example/", Template: "{{"}, "template"},
		"template's field":    {notice.WebhookSettings{URL: "https://shop.example/", Template: "{{.Payer}}"}, "template"},
		"template's escaping": {notice.WebhookSettings{URL: "https://shop.example/", Template: `{"text":"{{.Subject}}"}`}, "makes no JSON"},
		"good template":       {notice.WebhookSettings{URL: "https://shop.example/", Template: `{"text":{{json .Subject}}}`}, ""},
	} {
		c.s.Transport, c.s.Now = http.DefaultTransport, time.Now
		_, err := notice.NewWebhook(c.s)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pass@")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := notice.NewWebhook(notice.WebhookSettings{URL: "https://shop.example/"}); err == nil {
		t.Error("a webhook without a transport")
	}
}
