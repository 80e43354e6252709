package bankhook

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
)

// Secrets are what a feed shares with its provider. Which of them a provider
// uses is told with its reader, and in docs/bank-webhooks.md.
type Secrets struct {
	// Secret is Razorpay's webhook secret, Cashfree's client secret, Paytm's
	// merchant key, PhonePe's v1 salt key, and the value of Header for Decentro
	// and ICICI.
	Secret string
	// Header is the name of the header in which Decentro and ICICI send Secret.
	Header string
	// User and Password are those set for a PhonePe v2 webhook.
	User, Password string
	// Key decrypts what ICICI sends; BankKey, of the bank's certificate,
	// encrypts what it is answered.
	Key     *rsa.PrivateKey
	BankKey *rsa.PublicKey
}

// signature is the one value of a header. A header sent twice is no proof: what
// is checked must be what everyone else on the way saw.
func signature(h http.Header, name string) (string, error) {
	switch values := h.Values(name); {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", fmt.Errorf("%w: no header %s", ErrUnsigned, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: more than one header %s", ErrSignature, name)
	default:
		return values[0], nil
	}
}

// mac is the HMAC-SHA256 of the parts, one after the other.
func mac(secret string, parts ...string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	for _, part := range parts {
		m.Write([]byte(part))
	}
	return m.Sum(nil)
}

// sameHex compares a signature in hexadecimal, sameBase64 one in base64, in
// constant time.
func sameHex(given string, want []byte) error {
	got, err := hex.DecodeString(given)
	if err != nil || !hmac.Equal(got, want) {
		return ErrSignature
	}
	return nil
}

func sameBase64(given string, want []byte) error {
	got, err := base64.StdEncoding.Strict().DecodeString(given)
	if err != nil || !hmac.Equal(got, want) {
		return ErrSignature
	}
	return nil
}

// verifyHeader is for providers that sign nothing and send a header agreed upon
// instead. It proves the sender as a password does, and nothing of the body.
func verifyHeader(r Request, s Secrets) error {
	if s.Secret == "" || s.Header == "" {
		return fmt.Errorf("%w: the name and the value of the header", ErrSecrets)
	}
	given, err := signature(r.Header, s.Header)
	if err != nil {
		return err
	}
	// Hashes, so that not even the length shows.
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.Secret))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return ErrSignature
	}
	return nil
}
