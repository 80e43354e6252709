package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
)

// TestEveryEventIsRead: the SDK reads what the gateway sends of every type, and
// loses nothing of it.
func TestEveryEventIsRead(t *testing.T) {
	t.Parallel()
	const secret = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
	at := time.Date(2026, 3, 14, 9, 30, 0, 5000, time.UTC)
	v, err := client.NewWebhookVerifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range webhook.Catalogue() {
		body := webhook.Body(k.Type, at, k.Example)
		header := make(http.Header)
		postback.Sign(header, directory.MerchantSecrets{Webhook: secret}, "evt_1", at, body)
		e, err := v.Verify(header, body, at)
		if err != nil || e.ID != "evt_1" || e.Type != string(k.Type) || !e.At.Equal(at) {
			t.Fatalf("%s: %+v, %v", k.Type, e, err)
		}
		var of string
		var amount string
		switch {
		case e.Deposit != nil:
			of, amount = "deposit", e.Deposit.Amount.Fixed()
			if e.Type == "deposit.credited" && (*e.Deposit.Deposited != 500_00 || e.Deposit.CreditID != "12") {
				t.Errorf("read %+v", e.Deposit)
			}
		case e.Withdrawal != nil:
			of, amount = "withdrawal", e.Withdrawal.Amount.Fixed()
		case e.Credit != nil:
			of, amount = "credit", e.Credit.Amount.Fixed()
		case e.Feed != nil:
			of = "feed"
		case e.Endpoint != nil:
			of = "endpoint"
		case e.Report != nil:
			of = "report"
			if sum := e.Report.Opening + e.Report.Lines[0].Amount + e.Report.Lines[1].Amount; sum != e.Report.Closing || e.Report.From.IsZero() {
				t.Errorf("read %+v", e.Report)
			}
		}
		if !strings.HasPrefix(e.Type, of+".") || amount != "" && !strings.Contains(string(body), `"amount":"`+amount+`"`) {
			t.Errorf("%s is read as one of a %q with %s", e.Type, of, amount)
		}
	}
}
