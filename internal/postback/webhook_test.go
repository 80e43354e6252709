package postback_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// During a rotation a merchant may verify with either key; the library refuses
// all others.
func TestSignaturesDuringARotation(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":"é"}`)
	for name, tt := range map[string]struct {
		secrets directory.MerchantSecrets
		valid   []string
		invalid []string
	}{
		"one key":          {directory.MerchantSecrets{PrivateKey: "PK"}, []string{"PK"}, []string{"OLD", "x"}},
		"private key":      {directory.MerchantSecrets{PrivateKey: "PK", PrivateKeyPrevious: "OLD"}, []string{"PK", "OLD"}, []string{"x"}},
		"webhook secret":   {directory.MerchantSecrets{PrivateKey: "PK", Webhook: "new", WebhookPrevious: "whsec_b2xk"}, []string{"new", "old"}, []string{"PK", "whsec_b2xk"}},
		"of no concern":    {directory.MerchantSecrets{PrivateKey: "PK", PrivateKeyPrevious: "OLD", Webhook: "new"}, []string{"new"}, []string{"PK", "OLD"}},
		"from the default": {directory.MerchantSecrets{PrivateKey: "PK", Webhook: "new", WebhookPrevious: "PK"}, []string{"new", "PK"}, []string{"x"}},
	} {
		header := http.Header{}
		postback.Sign(header, tt.secrets, "deposit_1", time.Now(), body)
		if n := len(strings.Fields(header.Get("webhook-signature"))); n != len(tt.valid) {
			t.Errorf("%s: %d signatures: %s", name, n, header.Get("webhook-signature"))
		}
		verify := func(key string) error {
			hook, err := standardwebhooks.NewWebhookRaw([]byte(key))
			if err != nil {
				t.Fatal(err)
			}
			return hook.Verify(body, header)
		}
		for _, key := range tt.valid {
			if err := verify(key); err != nil {
				t.Errorf("%s: with %s: %v", name, key, err)
			}
		}
		for _, key := range tt.invalid {
			if verify(key) == nil {
				t.Errorf("%s: %s is taken", name, key)
			}
		}
	}
}

func TestEd25519(t *testing.T) {
	t.Parallel()
	key, err := directory.NewSigningKey()
	if err != nil || !strings.HasPrefix(key.Reveal(), "whsk_") {
		t.Fatal(err)
	}
	secrets := directory.MerchantSecrets{PrivateKey: "PK", Ed25519: key}
	header, body := http.Header{}, []byte(`{"a":1}`)
	postback.Sign(header, secrets, "deposit_1", time.Unix(1700000000, 0), body)
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secrets.PublicKey(), "whpk_"))
	if err != nil || len(public) != ed25519.PublicKeySize {
		t.Fatal(secrets.PublicKey(), err)
	}
	fields := strings.Fields(header.Get("webhook-signature"))
	encoded, found := strings.CutPrefix(fields[len(fields)-1], "v1a,")
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if len(fields) != 2 || !found || err != nil || !ed25519.Verify(public, []byte(`deposit_1.1700000000.{"a":1}`), signature) {
		t.Errorf("signed %s", header.Get("webhook-signature"))
	}
	// Beside others, libraries that know only v1 go on.
	if secrets.Ed25519 = "whsk_short"; secrets.PublicKey() != "" || secrets.SigningKey() != nil {
		t.Error("a broken key is used")
	}
}

// The key is used where the merchant has it switched on; a rotation changes
// neither bytes nor legacy signature of what was sent before.
func TestRotationKeepsTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, err := directory.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		m := shop("shop", "https://shop.example/")
		m.Secrets.Ed25519 = key
		s := &server{}
		var signatures []string
		s.says = func(r *http.Request) (*http.Response, error) {
			signatures = append(signatures, r.Header.Get("webhook-signature"))
			return answer(500, ""), nil
		}
		o, dir := newOutbox(), newShops(t, m)
		o.put(event(1, "shop", time.Now()), time.Now())
		_, stop := run(t, config(t, o, dir, s))
		defer stop()
		<-o.recorded
		rotated := shop("shop", "https://shop.example/")
		rotated.PostbackEd25519 = true
		rotated.Secrets = directory.MerchantSecrets{AccessKey: "AK2", PrivateKey: "PK2", PrivateKeyPrevious: "PK", Ed25519: key}
		dir.replace(t, rotated)
		<-o.recorded
		if bodies := s.bodies["deposit_1"]; len(bodies) != 2 || bodies[0] != bodies[1] {
			t.Errorf("sent %q", bodies)
		}
		if len(strings.Fields(signatures[0])) != 1 || len(strings.Fields(signatures[1])) != 3 {
			t.Errorf("signed %q", signatures)
		}
	})
}
