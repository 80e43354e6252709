// Package seal keeps secrets encrypted at rest: AES-256-GCM with a fresh nonce
// for every value, bound to the place it is kept in, so that a sealed value
// copied to another row does not open.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// ErrOpen means that a value was sealed with another key, for another place,
// or was tampered with.
var ErrOpen = errors.New("a sealed value does not open: is MILAAN_SECRET_KEY the key this database was made with?")

// Key seals and opens. The zero value is not usable.
type Key struct{ aead cipher.AEAD }

// NewKey makes a key of 32 bytes.
func NewKey(raw []byte) (Key, error) {
	if len(raw) != KeySize {
		return Key{}, fmt.Errorf("a secret key has %d bytes, not %d", KeySize, len(raw))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return Key{}, fmt.Errorf("make a secret key: %w", err)
	}
	// The nonce is random and travels in front of the sealed value.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Key{}, fmt.Errorf("make a secret key: %w", err)
	}
	return Key{aead}, nil
}

// ParseKey reads a key as MILAAN_SECRET_KEY gives it: 32 bytes in base64, or
// any longer passphrase, of which the SHA-256 is taken.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == KeySize {
		return NewKey(raw)
	}
	if len(text) < KeySize {
		return Key{}, fmt.Errorf("MILAAN_SECRET_KEY is too short: give 32 random bytes in base64 (openssl rand -base64 32)")
	}
	sum := sha256.Sum256([]byte(text))
	return NewKey(sum[:])
}

// LoadKey reads the key kept in a file, and makes both where there is none. The
// file can be read by its owner alone.
func LoadKey(path string) (key Key, made bool, err error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err == nil {
		key, err = ParseKey(string(text))
		return key, false, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Key{}, false, fmt.Errorf("read the secret key: %w", err)
	}
	raw := make([]byte, KeySize)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	// Whole or not at all: two processes that start together must not each
	// go on with a key of its own.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".milaan-key-*")
	if err != nil {
		return Key{}, false, fmt.Errorf("keep the secret key: %w: make its folder first", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(raw) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return Key{}, false, fmt.Errorf("keep the secret key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return LoadKey(path)
		}
		return Key{}, false, fmt.Errorf("keep the secret key: %w", err)
	}
	key, err = NewKey(raw)
	return key, true, err
}

// Seal encrypts a value for a place.
func (k Key) Seal(plain []byte, place string) []byte {
	return k.aead.Seal(nil, nil, plain, []byte(place)) //nolint:gosec // this mode makes a random nonce itself
}

// Open decrypts a value from its place; ErrOpen where that fails.
func (k Key) Open(sealed []byte, place string) ([]byte, error) {
	plain, err := k.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, ErrOpen)
	}
	return plain, nil
}
