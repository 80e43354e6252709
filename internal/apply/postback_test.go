package apply_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
)

// withPostback is a file with a merchant whose postback has these lines.
func withPostback(lines ...string) string {
	return "merchants:\n- id: shop\n  postback:\n    url: https://shop.example/hook\n    " + strings.Join(lines, "\n    ") + "\n"
}

// block writes a text after a key, in as many lines as it has.
func block(key, text string) string {
	return key + ": |\n      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ")
}

// pair makes a client's certificate.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestPostbackOptions(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, withPostback("schedule: [5s, 5m, 2h30m]", "ed25519: on"))
	shop := m.snapshot(t).Merchant("shop")
	if want := []time.Duration{5 * time.Second, 5 * time.Minute, 150 * time.Minute}; !slices.Equal(shop.PostbackWaits, want) || !shop.PostbackEd25519 {
		t.Errorf("read as %v, %t", shop.PostbackWaits, shop.PostbackEd25519)
	}
	key := shop.Secrets.Ed25519
	if !strings.HasPrefix(shop.Secrets.PublicKey(), "whpk_") {
		t.Errorf("the public key is %q", shop.Secrets.PublicKey())
	}
	// Switched off and on again, it is the same key.
	plan := m.mustApply(t, withPostback("private_key: PK"))
	if out := printed(t, plan); !strings.Contains(out, "postback.schedule 5s, 5m0s, 2h30m0s →") || !strings.Contains(out, "postback.ed25519 on → off") {
		t.Errorf("printed %s", out)
	}
	m.mustApply(t, withPostback("ed25519: on"))
	if m.snapshot(t).Merchant("shop").Secrets.Ed25519 != key {
		t.Error("the key is another one")
	}
}

func TestPostbackKeysRotate(t *testing.T) {
	t.Parallel()
	m := newMemory()
	keys := func(want ...string) {
		t.Helper()
		var got []string
		for _, key := range m.snapshot(t).Merchant("shop").Secrets.WebhookKeys() {
			got = append(got, string(key))
		}
		if !slices.Equal(got, want) {
			t.Errorf("signed with %q, want %q", got, want)
		}
	}
	m.mustApply(t, withPostback("private_key: A"))
	keys("A")
	m.mustApply(t, withPostback("private_key: B", "private_key_previous: A"))
	keys("B", "A")
	m.mustApply(t, withPostback()) // a file without keys ends no rotation
	keys("B", "A")
	m.mustApply(t, withPostback("private_key: B"))
	keys("B")
	m.mustApply(t, withPostback("webhook_secret: w", "webhook_secret_previous: B"))
	keys("w", "B")
	m.mustApply(t, withPostback("webhook_secret: w"))
	keys("w")
	m.mustApply(t, withPostback("webhook_secret: ''"))
	keys("B")
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	m := newMemory()
	cert, key := pair(t)
	other, _ := pair(t)
	m.mustApply(t, withPostback(block("client_cert", cert), block("client_key", key)))
	if s := m.snapshot(t).Merchant("shop").Secrets; strings.TrimSpace(s.ClientCert.Reveal()) != strings.TrimSpace(cert) || strings.TrimSpace(s.ClientKey.Reveal()) != strings.TrimSpace(key) {
		t.Error("the pair was not kept as it was written")
	}
	if plan := m.mustApply(t, withPostback()); !plan.Empty() {
		t.Errorf("leaving it out does: %s", printed(t, plan))
	}
	_, err := apply.Parse("shop.yaml", []byte(withPostback(block("client_cert", other), block("client_key", key))))
	if err == nil || !strings.Contains(err.Error(), "are no pair") || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("two halves of different pairs: %v", err)
	}
	m.mustApply(t, withPostback("client_cert: ''", "client_key: ''"))
	if s := m.snapshot(t).Merchant("shop").Secrets; s.ClientCert != "" || s.ClientKey != "" {
		t.Error("it was not taken back")
	}
}

func TestPostbackOptionsRefused(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"schedule: []":               "postback.schedule: must have 1 to 30 waits",
		"schedule: 5s":               "postback.schedule: must be a list",
		"schedule: [5]":              `postback.schedule[0]: "5" is no wait: write 1s to 720h`,
		"schedule: [5s, 0s]":         `postback.schedule[1]: "0s" is no wait`,
		"schedule: [721h]":           "is no wait",
		"schedule: [-5s]":            "is no wait",
		"private_key_previous: A":    "postback.private_key_previous: needs private_key beside it",
		"webhook_secret_previous: A": "postback.webhook_secret_previous: needs webhook_secret beside it",
		"client_cert: x":             "postback: client_key is missing",
		"ed25519: maybe":             "is no switch",
		"webhook_secret: x\n    webhook_secret_previous: whsec_-": "postback.webhook_secret_previous: what follows whsec_ is not base64",
	} {
		_, err := apply.Parse("shop.yaml", []byte(withPostback(lines)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
}
