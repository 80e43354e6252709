package razorpayx_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/razorpayx"
)

const hookSecret = "hook secret of the tests"

func signed(body string) http.Header {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	return http.Header{"X-Razorpay-Signature": {hex.EncodeToString(mac.Sum(nil))}}
}

// event is a webhook as docs/webhooks/payouts shows it.
func event(name, status, utr, reference, reason string) string {
	return `{"entity":"event","account_id":"acc_Test0000000001","event":"` + name + `","contains":["payout"],"payload":{"payout":{"entity":{
		"id":"pout_Test0000000001","entity":"payout","fund_account_id":"fa_Test0000000001",
		"fund_account":{"id":"fa_Test0000000001","bank_account":{"name":"` + someName + `","account_number":"` + someAccount + `"}},
		"amount":12345,"currency":"INR","notes":[],"fees":590,"tax":90,"status":"` + status + `","purpose":"payout","utr":` + utr + `,
		"mode":"IMPS","reference_id":` + reference + `,"narration":"MLP1 Acme","batch_id":null,
		"status_details":{"description":"To ` + someName + `","source":"beneficiary_bank","reason":"` + reason + `"},
		"error":{"source":null,"reason":null,"description":null,"code":"NA","step":"NA","metadata":{}},
		"created_at":1777870230,"fee_type":null}}},"created_at":1777870231}`
}

// hook is a provider whose webhooks have that secret.
func hook(tb testing.TB, secret string) *razorpayx.Provider {
	tb.Helper()
	p, err := razorpayx.New(razorpayx.Config{
		KeyID: "rzp_test_key", KeySecret: "s", WebhookSecret: secret, Account: debitAccount, Transport: http.DefaultTransport, Now: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestHear(t *testing.T) {
	t.Parallel()
	const utr = `"612345678901"`
	for _, c := range []struct {
		name, event, status, utr, reference, reason string
		want                                        payout.Answer
	}{
		{"pending", "payout.pending", "pending", "null", `"MLP1"`, "pending_approval", payout.Answer{Standing: payout.Accepted, Why: "pending: pending_approval"}},
		{"queued", "payout.queued", "queued", "null", `"MLP1"`, "low_balance", payout.Answer{Standing: payout.Accepted, Why: "queued: low_balance"}},
		{"initiated", "payout.initiated", "processing", "null", `"MLP1"`, "payout_bank_processing", payout.Answer{Standing: payout.Accepted, Why: "processing: payout_bank_processing"}},
		{"processed", "payout.processed", "processed", utr, `"MLP1"`, "payout_processed", payout.Answer{Standing: payout.Paid, BankRef: "612345678901"}},
		{"processed without UTR", "payout.processed", "processed", "null", `"MLP1"`, "payout_processed", payout.Answer{Standing: payout.Paid}},
		{"updated", "payout.updated", "processed", utr, `"MLP1"`, "payout_processed", payout.Answer{Standing: payout.Paid, BankRef: "612345678901"}},
		{"reversed", "payout.reversed", "reversed", utr, `"MLP1"`, "beneficiary_bank_offline", payout.Answer{Standing: payout.Refused, BankRef: "612345678901", Why: "reversed: beneficiary_bank_offline"}},
		{"failed", "payout.failed", "failed", `"NAME OF ASHA"`, `"MLP1"`, "bank_account_closed", payout.Answer{Standing: payout.Refused, Why: "failed: bank_account_closed"}},
		{"rejected", "payout.rejected", "rejected", "null", `"MLP1"`, "", payout.Answer{Standing: payout.Refused, Why: "rejected"}},
		{"cancelled", "payout.updated", "cancelled", "null", `"MLP1"`, "", payout.Answer{Standing: payout.Refused, Why: "cancelled"}},
		{"contradiction", "payout.failed", "processed", utr, `"MLP1"`, "payout_processed", payout.Answer{Standing: payout.Unclear, Why: "the event contradicts the payout's status"}},
		{"a reason in words", "payout.failed", "failed", "null", `"MLP1"`, "To Asha, " + someAccount, payout.Answer{Standing: payout.Refused, Why: "failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := event(c.event, c.status, c.utr, c.reference, c.reason)
			got, err := hook(t, hookSecret).Hear(signed(body), []byte(body))
			c.want.ProviderRef = "pout_Test0000000001"
			want := []payout.News{{Reference: "MLP1", Amount: 123_45, Answer: c.want}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestWebhooksOfOtherThings(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no reference":          event("payout.processed", "processed", "null", "null", ""),
		"another's reference":   event("payout.processed", "processed", "null", `"Invoice 12/3"`, ""),
		"downtime":              `{"entity":"event","event":"payout.downtime.started","payload":{"payout.downtime":{"entity":{"id":"poutdown_1","status":"started"}}}}`,
		"transaction":           `{"entity":"event","event":"transaction.created","payload":{"transaction":{"entity":{"id":"txn_1"}}}}`,
		"another with a payout": strings.Replace(event("payout.processed", "processed", "null", `"MLP1"`, ""), "payout.processed", "payout_link.processed", 1),
	} {
		if got, err := hook(t, hookSecret).Hear(signed(body), []byte(body)); err != nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestWebhooksThatAreRefused(t *testing.T) {
	t.Parallel()
	good := event("payout.processed", "processed", "null", `"MLP1"`, "")
	for name, body := range map[string]string{
		"not JSON":         "payout=1",
		"status twice":     strings.Replace(good, `"status":`, `"status":"failed","status":`, 1),
		"event twice":      strings.Replace(good, `"event":`, `"event":"payout.failed","event":`, 1),
		"payout twice":     strings.Replace(good, `"payload":{`, `"payload":{"payout":{"entity":{}},`, 1),
		"text after":       good + "{}",
		"not an event":     strings.Replace(good, `"entity":"event"`, `"entity":"payout"`, 1),
		"other case":       strings.Replace(good, `"status":`, `"Status":`, 1),
		"amount as text":   strings.Replace(good, `"amount":12345`, `"amount":"12345"`, 1),
		"half a paisa":     strings.Replace(good, `"amount":12345`, `"amount":123.5`, 1),
		"no amount":        strings.Replace(good, `"amount":12345`, `"amount":0`, 1),
		"another currency": strings.Replace(good, `"INR"`, `"USD"`, 1),
		"another id":       strings.Replace(good, `"id":"pout_`, `"id":"pay_`, 1),
		"too large":        good + strings.Repeat(" ", 1<<20),
	} {
		_, err := hook(t, hookSecret).Hear(signed(body), []byte(body))
		if !errors.Is(err, payout.ErrNews) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		impersonal(t, err.Error())
	}

	two := signed(good)
	two.Add("X-Razorpay-Signature", two.Get("X-Razorpay-Signature"))
	for name, c := range map[string]struct {
		header http.Header
		body   string
		secret string
	}{
		"none":           {http.Header{}, good, hookSecret},
		"another body":   {signed(good), good + " ", hookSecret},
		"another secret": {signed(good), good, hookSecret + "."},
		"no secret":      {signed(good), good, ""},
		"not hex":        {http.Header{"X-Razorpay-Signature": {"zz"}}, good, hookSecret},
		"two":            {two, good, hookSecret},
	} {
		if got, err := hook(t, c.secret).Hear(c.header, []byte(c.body)); !errors.Is(err, payout.ErrStranger) || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Whatever a webhook says, its results can be booked or left.
func FuzzHear(f *testing.F) {
	f.Add(event("payout.processed", "processed", `"612345678901"`, `"MLP1"`, "payout_processed"))
	f.Add(event("payout.reversed", "reversed", "null", `"MLP1"`, "beneficiary_bank_offline"))
	f.Add(event("payout.failed", "failed", "null", `"MLP1"`, "payout_processed"))
	f.Add(`{"entity":"event","event":"payout.downtime.started","payload":{"payout.downtime":{"entity":{}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		results, err := hook(t, hookSecret).Hear(signed(body), []byte(body))
		if err != nil && (!errors.Is(err, payout.ErrNews) || results != nil) {
			t.Fatalf("%+v, %v", results, err)
		}
		for _, r := range results {
			if r.Reference == "" || r.Amount <= 0 || r.Answer.ProviderRef == "" || r.Answer.Standing == payout.Absent || r.Answer.Standing == "" ||
				strings.ContainsAny(r.Answer.Why, "0123456789") {
				t.Fatalf("%+v", r)
			}
			if r.Answer.Standing == payout.Paid && !strings.Contains(body, `processed`) && !strings.Contains(body, `\u`) {
				t.Fatalf("%+v of %s", r, body)
			}
		}
	})
}
