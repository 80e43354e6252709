package notice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"text/template"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// sendTimeout bounds a delivery from first to last.
const sendTimeout = 15 * time.Second

// WebhookSettings are where and how notices are posted.
type WebhookSettings struct {
	// URL takes the notices: https, or http on this machine. It may carry a token
	// and is not told in errors.
	URL string
	// Secret signs them (standardwebhooks.com): base64, with or without "whsec_".
	// Empty is no signature.
	Secret string
	// Template makes the body, as a text/template over Notice; {{json .Text}} is a
	// value as JSON. It must come out as JSON. Empty is milaan's own body.
	Template string
	// Transport goes out; the caller's guards against forged requests. Required.
	Transport http.RoundTripper
	Now       func() time.Time // for the signature
}

// Webhook posts notices as JSON. Its own body is that of Standard Webhooks:
//
//	{
//	  "type": "notice.raised",                  or "notice.cleared"
//	  "timestamp": "2026-05-04T04:50:30Z",      when it became due
//	  "data": {
//	    "id": "notice_5b2c…",                   the same when it is sent again
//	    "key": "feed/phone1/silent",
//	    "code": "silent",
//	    "severity": "critical",                 or "warning"
//	    "subject": "Feed phone1 is silent",
//	    "text": "Nothing has come for …",
//	    "since": "2026-05-04T04:50:30Z",
//	    "raised": true
//	  }
//	}
//
// Any answer from 200 to 299 confirms it. A redirect is not followed and does
// not.
type Webhook struct {
	url    string
	sign   *standardwebhooks.Webhook // nil without a secret
	body   *template.Template        // nil for the own body
	client *http.Client
	now    func() time.Time
}

// NewWebhook checks the settings. Its errors say what to change.
func NewWebhook(s WebhookSettings) (*Webhook, error) {
	target, err := url.Parse(s.URL)
	switch {
	case err != nil || target.Host == "":
		return nil, errors.New("the webhook's URL is not one: give it as https://host/path")
	case target.Scheme != "https" && (target.Scheme != "http" || !loopback(target.Hostname())):
		return nil, errors.New("the webhook's URL must begin with https://")
	case target.User != nil:
		return nil, errors.New("the webhook's URL has a user: put a token into its path instead")
	case s.Transport == nil || s.Now == nil:
		return nil, errors.New("a webhook needs a transport and a clock")
	}
	w := &Webhook{url: s.URL, now: s.Now, client: &http.Client{
		Transport:     s.Transport,
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if s.Secret != "" {
		if w.sign, err = standardwebhooks.NewWebhook(s.Secret); err != nil {
			return nil, errors.New("the webhook's secret is not base64: make one with openssl rand -base64 32")
		}
	}
	if s.Template != "" {
		if w.body, err = template.New("body").Option("missingkey=error").Funcs(template.FuncMap{"json": asJSON}).Parse(s.Template); err != nil {
			return nil, fmt.Errorf("the webhook's template: %w", err)
		}
		// Quotes and line ends show what a template forgot to escape.
		if _, err = w.render(Notice{ID: "notice_0", Key: `a"b`, Code: "silent", Severity: Warning, Subject: `a "test"`, Text: "of\nthe template", Raised: true}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// TelegramTemplate is the body that a Telegram bot takes for a chat, at
// https://api.telegram.org/bot<token>/sendMessage
// (https://core.telegram.org/bots/api#sendmessage). It needs no secret.
func TelegramTemplate(chatID string) string {
	// A chat's number may be given as text; a channel's name is one.
	return `{"chat_id":{{` + "json " + strconv.Quote(chatID) + `}},"text":{{printf "%s\n\n%s" .Subject .Text | json}},"link_preview_options":{"is_disabled":true}}`
}

func asJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

type webhookBody struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	ID       string    `json:"id"`
	Key      string    `json:"key"`
	Code     string    `json:"code"`
	Severity Severity  `json:"severity"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`
	Raised   bool      `json:"raised"`
}

func (w *Webhook) render(n Notice) ([]byte, error) {
	if w.body == nil {
		body := webhookBody{Type: "notice.raised", Timestamp: n.At.UTC(), Data: webhookData{
			ID: n.ID, Key: n.Key, Code: n.Code, Severity: n.Severity,
			Subject: n.Subject, Text: n.Text, Since: n.Since.UTC(), Raised: n.Raised,
		}}
		if !n.Raised {
			body.Type = "notice.cleared"
		}
		return json.Marshal(body)
	}
	var out bytes.Buffer
	if err := w.body.Execute(&out, n); err != nil {
		return nil, fmt.Errorf("the webhook's template: %w", err)
	}
	if !json.Valid(out.Bytes()) {
		return nil, errors.New("the webhook's template makes no JSON: write texts as {{json .Text}}, without quotes around")
	}
	return out.Bytes(), nil
}

// Send posts a notice.
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	body, err := w.render(n)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook's URL is not one")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "milaan")
	if w.sign != nil {
		at := w.now()
		signature, err := w.sign.Sign(n.ID, at, body)
		if err != nil {
			return fmt.Errorf("sign the notice: %w", err)
		}
		req.Header.Set(standardwebhooks.HeaderWebhookID, n.ID)
		req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		// The URL may carry a token: an error leaves it out.
		if at := (*url.Error)(nil); errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("post the notice: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // lets the connection be kept
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("post the notice: answered %d", resp.StatusCode)
	}
	return nil
}

// loopback says that a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
