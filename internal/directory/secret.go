package directory

import (
	"crypto/sha256"
	"log/slog"
)

// Secret is a text that must never reach a log, an error or a page. Printing,
// logging and encoding it show only that there is one; [Secret.Reveal] gives
// the text to the code that signs or compares with it.
type Secret string

const redacted = "[secret]"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from every encoder that is not told otherwise.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret's text.
func (s Secret) Reveal() string { return string(s) }

// digest lets secrets be looked up in a map: the time of a look-up then tells
// nothing about the secrets themselves.
func (s Secret) digest() [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
