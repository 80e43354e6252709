package client_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

var keys = client.Keys{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "hook"}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// delivery is a postback under way, to be changed before it is signed, or
// after.
type delivery struct {
	amount, label, method, direction, converted, additional string

	keys   client.Keys // that it is signed with
	at     time.Time
	header http.Header
	body   []byte
}

func deposit() *delivery {
	return &delivery{
		amount: "500.1", label: "55", method: "upi_l", direction: "ingoing", converted: `{"USD":5.84,"BTC":0.00008123,"INR":500.1}`,
		additional: `[{"activated_datetime":"2026-01-02 17:30:02","exchanger_identifier":"raxxxxxx@okaxis","comment":"","amount":"500.1","currency_code":"INR",` +
			`"wallet_type":"upi_l","stockpiling_id":9007199254740993,"transaction_id":"355015818634","transaction_type":0,"plugin_custom_order_id":"A/1 ₹",` +
			`"withdrawal_id":null,"withdrawal_status":null,"account_number":"","account_name":"","account_email":"","bank_details":{"bank_code":"","branch_code":""}}]`,
		keys: keys, at: noon,
	}
}

func withdrawal() *delivery {
	d := deposit()
	d.method, d.direction = "imps_ib", "outgoing"
	d.additional = strings.NewReplacer(`"upi_l"`, `"imps_ib"`, `"transaction_type":0`, `"transaction_type":1`, `"A/1 ₹"`, `""`,
		`"withdrawal_id":null,"withdrawal_status":null,"account_number":"","account_name":""`,
		`"withdrawal_id":"297","withdrawal_status":"success","account_number":"123456789","account_name":"TestNameAcc"`,
		`"branch_code":""`, `"branch_code":"ICIC0123456"`).Replace(d.additional)
	return d
}

// sign writes the postback and its headers (protocol, section 5).
func (d *delivery) sign() *delivery {
	inner := md5.Sum([]byte(d.additional))
	outer := sha1.Sum([]byte(d.keys.AccessKey + d.keys.PrivateKey + hex.EncodeToString(inner[:])))
	d.body = []byte(`{"signature":"` + hex.EncodeToString(outer[:]) + `","wallet_type":"` + d.method + `","amount":` + d.amount +
		`,"currency_code":"INR","label":"` + d.label + `","converted_amount":` + d.converted + `,"direction":"` + d.direction +
		`","created_datetime":"2026-01-02 17:30:00","access_key":"` + d.keys.AccessKey + `","additional_data":` + d.additional + `}`)
	return d.signHeaders()
}

// signHeaders signs the body as it now is.
func (d *delivery) signHeaders() *delivery {
	key := []byte(d.keys.WebhookSecret)
	if len(key) == 0 {
		key = []byte(d.keys.PrivateKey)
	}
	timestamp := strconv.FormatInt(d.at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("deposit_7." + timestamp + "." + string(d.body)))
	d.header = http.Header{}
	d.header.Set("webhook-id", "deposit_7")
	d.header.Set("webhook-timestamp", timestamp)
	d.header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return d
}

// swap changes the body and leaves the signatures.
func (d *delivery) swap(old, replacement string) *delivery {
	d.body = []byte(strings.Replace(string(d.body), old, replacement, 1))
	return d
}

func verifier(t *testing.T, keys ...client.Keys) *client.Verifier {
	t.Helper()
	v, err := client.NewVerifier(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifyReads(t *testing.T) {
	t.Parallel()
	d := deposit().sign()
	got, err := verifier(t, keys).Verify(d.header, d.body, noon)
	want := client.Postback{
		ID: "deposit_7", Direction: client.Ingoing, Method: "upi_l", Amount: 50010, Currency: money.INR, Label: "55",
		CustomID: "A/1 ₹", UTR: "355015818634", CreditID: 9007199254740993, Payer: "raxxxxxx@okaxis",
		Created: "2026-01-02 17:30:00", Activated: "2026-01-02 17:30:02",
		Converted: map[money.Currency]json.Number{"USD": "5.84", "BTC": "0.00008123", "INR": "500.1"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}

	d = withdrawal().sign()
	got, err = verifier(t, keys).Verify(d.header, d.body, noon)
	want.Direction, want.Method, want.CustomID = client.Outgoing, "imps_ib", ""
	want.Withdrawal = &client.WithdrawalResult{
		ID: "297", State: client.WithdrawalSucceeded, AccountNumber: "123456789", AccountName: "TestNameAcc", IFSC: "ICIC0123456",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// TestVerifyHoldsToEachCheck: each change is found, and by the check that is
// there for it alone.
func TestVerifyHoldsToEachCheck(t *testing.T) {
	t.Parallel()
	edit := func(change func(*delivery)) *delivery { d := deposit(); change(d); return d.sign() }
	legacy := func(k client.Keys) *delivery {
		d := deposit()
		d.keys = k
		d.sign()
		d.keys = keys
		return d.signHeaders()
	}
	for _, tt := range []struct {
		name   string
		d      *delivery
		failed string // checks
	}{
		{"nothing", deposit().sign(), ""},
		{"the amount on the way", deposit().sign().swap(`"amount":500.1`, `"amount":5000.1`), "webhook signature, agreement"},
		{"both amounts on the way", deposit().sign().swap(`"amount":500.1`, `"amount":600`).swap(`"amount":"500.1"`, `"amount":"600"`), "webhook signature, legacy signature"},
		{"the label on the way", deposit().sign().swap(`"label":"55"`, `"label":"56"`), "webhook signature"},
		{"the order on the way", deposit().sign().swap(`A/1`, `A/2`), "webhook signature, legacy signature"},
		{"the order of keys on the way", deposit().sign().swap(`"comment":"","amount":"500.1"`, `"amount":"500.1","comment":""`), "webhook signature, legacy signature"},
		{"a space on the way", deposit().sign().swap(`,"label"`, `, "label"`), "webhook signature"},
		{"only the legacy key", legacy(client.Keys{AccessKey: "AK", PrivateKey: "other"}), "legacy signature"},
		{"only the access key", legacy(client.Keys{AccessKey: "other", PrivateKey: "PK"}), "legacy signature"},
		{"only the webhook key", func() *delivery {
			d := deposit().sign()
			d.keys = client.Keys{WebhookSecret: "other"}
			return d.signHeaders()
		}(), "webhook signature"},
		{"the headers are missing", func() *delivery { d := deposit().sign(); d.header = http.Header{}; return d }(), "webhook signature, webhook timestamp"},
		{"a delivery of yesterday", edit(func(d *delivery) { d.at = noon.Add(-24 * time.Hour) }), "webhook timestamp"},
		{"a delivery of tomorrow", edit(func(d *delivery) { d.at = noon.Add(6 * time.Minute) }), "webhook timestamp"},
		{"a timestamp made fresh", func() *delivery {
			d := edit(func(d *delivery) { d.at = noon.Add(-24 * time.Hour) })
			d.header.Set("webhook-timestamp", strconv.FormatInt(noon.Unix(), 10))
			return d
		}(), "webhook signature"},
		{"halves that disagree", edit(func(d *delivery) { d.amount = "5001" }), "agreement"},
		{"methods that disagree", edit(func(d *delivery) { d.method = "upi_ib" }), "agreement"},
		{"directions that disagree", edit(func(d *delivery) { d.direction = "outgoing" }), "agreement"},
		{"nothing paid", edit(func(d *delivery) {
			d.amount, d.additional = "0", strings.Replace(d.additional, `"500.1"`, `"0"`, 1)
		}), "agreement"},
		{"two payments in one", edit(func(d *delivery) {
			d.additional = strings.TrimSuffix(d.additional, "]") + "," + strings.TrimPrefix(d.additional, "[")
		}), "body"},
		{"an amount finer than a paisa", edit(func(d *delivery) { d.amount = "500.101" }), "body"},
		{"no JSON", func() *delivery { d := deposit(); d.body = []byte("{"); return d.signHeaders() }(), "body"},
		{"no additional_data", func() *delivery { d := deposit(); d.body = []byte("{}"); return d.signHeaders() }(), "body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, keys)
			var failed []string
			_, checks := v.Inspect(tt.d.header, tt.d.body, noon)
			for _, c := range checks {
				if c.Err != nil {
					failed = append(failed, c.Name)
				}
			}
			if got := strings.Join(failed, ", "); got != tt.failed {
				t.Errorf("failed: %q, want %q: %v", got, tt.failed, checks)
			}
			_, err := v.Verify(tt.d.header, tt.d.body, noon)
			if errors.Is(err, client.ErrPostback) != (tt.failed != "") || errors.Is(err, client.ErrPostback) != (err != nil) {
				t.Errorf("the error is %v", err)
			}
			if text := errorText(err); strings.Contains(text, "PK") || strings.Contains(text, "hook\"") {
				t.Errorf("the error tells a key: %s", text)
			}
		})
	}
}

// TestVerifyWhileKeysAreReplaced: a repeat is in the body what it first was,
// and signed anew in the headers.
func TestVerifyWhileKeysAreReplaced(t *testing.T) {
	t.Parallel()
	next := client.Keys{AccessKey: "AK2", PrivateKey: "PK2"} // and no webhook secret
	both := verifier(t, next, keys)
	for _, d := range []*delivery{
		deposit().sign(),
		func() *delivery { d := deposit(); d.keys = next; return d.sign() }(),
		func() *delivery { d := deposit().sign(); d.keys = next; return d.signHeaders() }(),
	} {
		if _, err := both.Verify(d.header, d.body, noon); err != nil {
			t.Error(err)
		}
	}
	// One pair's access key does not go with the other's private key.
	mixed := deposit()
	mixed.keys = client.Keys{AccessKey: "AK2", PrivateKey: "PK", WebhookSecret: "hook"}
	mixed.sign()
	if _, err := both.Verify(mixed.header, mixed.body, noon); err == nil {
		t.Error("keys of two pairs were taken together")
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	for _, k := range [][]client.Keys{
		nil, {{AccessKey: "AK"}}, {{PrivateKey: "PK"}}, {keys, {}},
		{{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "whsec_%"}}, {{AccessKey: "AK", PrivateKey: "PK", WebhookSecret: "whsec_"}},
	} {
		if _, err := client.NewVerifier(k...); err == nil {
			t.Errorf("%v are taken", k)
		}
	}
	d := deposit()
	d.keys.WebhookSecret = "\x01\x02"
	d.sign()
	k := keys
	k.WebhookSecret = "whsec_AQI="
	if _, err := verifier(t, k).Verify(d.header, d.body, noon); err != nil {
		t.Error(err)
	}
}

// FuzzVerify: nothing that anybody sends is taken without the keys, and none of
// it ends the program, whatever it is signed with.
func FuzzVerify(f *testing.F) {
	f.Add(deposit().sign().body, true)
	f.Add(withdrawal().sign().body, true)
	f.Add([]byte(`{"additional_data":[{}]}`), false)
	f.Add([]byte(`{"additional_data":[null],"amount":1e2}`), true)
	v, err := client.NewVerifier(keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		d := &delivery{body: body, at: noon, keys: keys}
		if !signed {
			d.keys.WebhookSecret = "other"
		}
		d.signHeaders()
		p, err := v.Verify(d.header, d.body, noon)
		if !signed && err == nil {
			t.Fatal("taken without the key")
		}
		if err == nil && (p.Amount <= 0 || p.Direction != client.Ingoing && p.Direction != client.Outgoing || (p.Direction == client.Outgoing) != (p.Withdrawal != nil)) {
			t.Errorf("taken: %+v", p)
		}
	})
}
