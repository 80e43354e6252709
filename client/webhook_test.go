package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/client"
)

const (
	oldSecret     = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"
	unknownSecret = "whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"
	newSecret     = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
)

// expired is the body of an event.
const expired = `{"type":"deposit.expired","timestamp":"2026-03-14T09:30:05.000000Z","data":{"custom_transaction_id":"order-1001","status":"expired","amount":"500.00"}}`

// sent is an event as the gateway sends it, signed with each of the secrets.
func sent(id string, body []byte, at time.Time, secrets ...string) *delivery {
	d := &delivery{header: make(http.Header), body: body}
	var signatures []string
	for _, secret := range secrets {
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			panic(err)
		}
		signature, err := hook.Sign(id, at, body)
		if err != nil {
			panic(err)
		}
		signatures = append(signatures, signature)
	}
	d.header.Set("webhook-id", id)
	d.header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	d.header.Set("webhook-signature", strings.Join(signatures, " "))
	return d
}

// TestEventIsRead: each group has its own type, and a group of later none.
func TestEventIsRead(t *testing.T) {
	t.Parallel()
	v, err := client.NewWebhookVerifier(newSecret)
	if err != nil {
		t.Fatal(err)
	}
	d := sent("evt_1", []byte(`{"type":"deposit.credited","timestamp":"2026-03-14T09:30:05.000000Z","data":{"deposit_id":"17","merchant":"shop",`+
		`"custom_transaction_id":"order-1001","label":"55","wallet_type":"upi_l","status":"credited","amount":"500.05","deposited_amount":"500.10","currency":"INR",`+
		`"utr":"321323438267","credit_id":"12","payer":null,"created_at":"2026-03-14T09:30:00.000000Z","settled_at":null,"of later":1}}`), noon, newSecret)
	e, err := v.Verify(d.header, d.body, noon)
	if err != nil || e.ID != "evt_1" || e.Type != "deposit.credited" || e.At.Unix() != 1773480605 || e.Deposit == nil || e.Withdrawal != nil {
		t.Fatalf("read %+v, %v", e, err)
	}
	if d := e.Deposit; d.CustomID != "order-1001" || d.Amount != 500_05 || *d.Deposited != 500_10 || d.UTR != "321323438267" || d.Payer != "" || !d.SettledAt.IsZero() {
		t.Errorf("read %+v", d)
	}
	d = sent("evt_1", []byte(`{"type":"invoice.sent","timestamp":"2026-03-14T09:30:05Z","data":{"a":"b"}}`), noon, newSecret)
	if e, err := v.Verify(d.header, d.body, noon); err != nil || e.Deposit != nil || string(e.Data) != `{"a":"b"}` {
		t.Errorf("a type of later is read as %+v, %v", e, err)
	}
}

func TestEventsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	v, err := client.NewWebhookVerifier(newSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(expired)
	changed := sent("evt_1", body, noon, newSecret)
	changed.body = bytes.Replace(body, []byte("500.00"), []byte("900.00"), 1)
	renamed := sent("evt_1", body, noon, newSecret)
	renamed.header.Set("webhook-id", "evt_2")
	for name, tt := range map[string]struct {
		*delivery
		genuine bool
	}{
		"new key":        {sent("evt_1", body, noon, newSecret), true},
		"old key":        {sent("evt_1", body, noon, oldSecret), true},
		"both keys":      {sent("evt_1", body, noon, unknownSecret, oldSecret), true},
		"another key":    {sent("evt_1", body, noon, unknownSecret), false},
		"another body":   {changed, false},
		"another id":     {renamed, false},
		"long ago":       {sent("evt_1", body, noon.Add(-time.Hour), newSecret), false},
		"no headers":     {&delivery{header: http.Header{}, body: body}, false},
		"no JSON":        {sent("evt_1", []byte("{"), noon, newSecret), false},
		"wrong amount":   {sent("evt_1", []byte(`{"type":"deposit.expired","timestamp":"2026-03-14T09:30:00Z","data":{"amount":"5.001"}}`), noon, newSecret), false},
		"no time":        {sent("evt_1", []byte(`{"type":"deposit.expired","timestamp":"yesterday","data":{}}`), noon, newSecret), false},
		"data of a list": {sent("evt_1", []byte(`{"type":"deposit.expired","timestamp":"2026-03-14T09:30:00Z","data":[]}`), noon, newSecret), false},
	} {
		_, err := v.Verify(tt.header, tt.body, noon)
		if (err == nil) != tt.genuine || err != nil && !errors.Is(err, client.ErrWebhook) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, secrets := range [][]string{nil, {""}, {"PK"}, {"whsec_"}, {"whsec_!"}} {
		if _, err := client.NewWebhookVerifier(secrets...); err == nil {
			t.Errorf("%q are taken", secrets)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %v", client.WebhookConfig{Secrets: []string{newSecret}}, client.WebhookConfig{Secrets: []string{newSecret}}, client.WebhookConfig{Secrets: []string{newSecret}}, v); strings.Contains(text, newSecret[6:12]) {
		t.Errorf("a secret is shown: %s", text)
	}
}

func TestWebhookHandler(t *testing.T) {
	t.Parallel()
	taken, fails := 0, 1
	h, err := client.NewWebhookHandler(client.WebhookConfig{
		Secrets: []string{newSecret}, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		OnEvent: func(context.Context, client.WebhookEvent) error {
			if fails > 0 {
				fails--
				return errors.New("the database is away")
			}
			taken++
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(expired)
	one, two := sent("evt_1", body, noon, newSecret), sent("evt_2", body, noon, newSecret)
	for i, step := range []struct {
		*delivery
		status, taken int
	}{
		{one, 500, 0}, {one, 204, 1}, {one, 204, 1}, {sent("evt_1", body, noon.Add(time.Minute), newSecret), 204, 1}, {two, 204, 2},
		{sent("evt_3", body, noon, oldSecret), 403, 2}, {sent("evt_3", bytes.Repeat([]byte(" "), 300<<10), noon, newSecret), 413, 2},
	} {
		if status, said := deliver(t, h, step.delivery); status != step.status || said != "" || taken != step.taken {
			t.Errorf("delivery %d: answered %d %q, %d taken", i, status, said, taken)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d", w.Code)
	}
	if _, err := client.NewWebhookHandler(client.WebhookConfig{Secrets: []string{newSecret}}); err == nil {
		t.Error("a handler without OnEvent is made")
	}
	if _, err := client.NewWebhookHandler(client.WebhookConfig{OnEvent: func(context.Context, client.WebhookEvent) error { return nil }}); err == nil {
		t.Error("a handler without a secret is made")
	}
}

func ExampleNewWebhookHandler() {
	handler, err := client.NewWebhookHandler(client.WebhookConfig{
		Secrets: []string{newSecret},
		OnEvent: func(_ context.Context, e client.WebhookEvent) error {
			switch e.Type {
			case "deposit.expired", "deposit.rejected":
				fmt.Println("release order", e.Deposit.CustomID)
			case "withdrawal.failed":
				fmt.Println("tell the customer of", e.Withdrawal.WithdrawalID)
			}
			return nil // also of types that are not known here
		},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	now := time.Now()
	d := sent("evt_4711", []byte(expired), now, newSecret)
	for range 2 { // a repeat is taken once
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, bytes.NewReader(d.body))
		if err != nil {
			panic(err)
		}
		r.Header = d.header
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			panic(err)
		}
		_ = answer.Body.Close()
		fmt.Println(answer.StatusCode)
	}
	// Output:
	// release order order-1001
	// 204
	// 204
}
