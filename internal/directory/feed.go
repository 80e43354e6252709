package directory

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// Feed is a source of bank entries for one wallet.
type Feed struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"` // see below, or a provider's, see package bankhook
	Wallet string `json:"wallet"`

	// Senders of a feed of SMS are headers of the bank that milaan does not know;
	// Scheme is how its forwarder signs, see package sms.
	Senders []string `json:"senders,omitempty"`
	Scheme  string   `json:"scheme,omitempty"`
	// Domains of a feed of e-mail are the bank's beside the known ones,
	// Recipients the addresses at which the bank knows the business, Relay a
	// receiving server whose word on signatures is taken, see package mail.
	Domains    []string `json:"domains,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
	Relay      string   `json:"relay,omitempty"`
	Mailbox    *Mailbox `json:"mailbox,omitempty"` // that is read; nil where messages are posted
	// Header and User are what a provider proves itself with beside secrets, see
	// package bankhook.
	Header string `json:"header,omitempty"`
	User   string `json:"user,omitempty"`

	Retired bool `json:"retired,omitempty"`

	Token   Secret      `json:"-"` // stored sealed, as are the others
	Secrets FeedSecrets `json:"-"`
}

// FeedSecrets are what a feed shares with who reports to it, beside its token.
type FeedSecrets struct {
	Signing    Secret // of a forwarder or provider
	Password   Secret // of a mailbox or provider
	PrivateKey Secret // PEM: decrypts what a bank sends
	BankKey    Secret // PEM: encrypts what a bank is answered; public, but long
}

// Mailbox is a mailbox that a feed of e-mail reads by IMAP.
type Mailbox struct {
	Address  string `json:"address"` // host and port
	StartTLS bool   `json:"starttls,omitempty"`
	Username string `json:"username"`
	Name     string `json:"name,omitempty"` // of the mailbox; empty for INBOX
}

// Kinds of feed (contract, apply file).
const (
	FeedJSON      = "json"
	FeedSMS       = "sms"
	FeedStatement = "statement"
	FeedEmail     = "email"
)

// Errors of keys in PEM.
var (
	ErrPrivateKey = errors.New("is no RSA private key in PEM, such as openssl genpkey writes")
	ErrBankKey    = errors.New("is no RSA public key or certificate in PEM")
)

// ParsePrivateKey reads an RSA private key in PEM (PKCS #8 or #1), or fails with
// ErrPrivateKey.
func ParsePrivateKey(text Secret) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, ErrPrivateKey
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if rsaKey, ok := key.(*rsa.PrivateKey); ok && err == nil {
		return rsaKey, nil
	}
	return nil, ErrPrivateKey
}

// ParseBankKey reads the RSA public key of a bank in PEM, bare or in its
// certificate, or fails with ErrBankKey.
func ParseBankKey(text Secret) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, ErrBankKey
	}
	var key any
	if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
		key = cert.PublicKey
	} else if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, ErrBankKey
	}
	if rsaKey, ok := key.(*rsa.PublicKey); ok {
		return rsaKey, nil
	}
	return nil, ErrBankKey
}
