// Package access says who may use the management API: keys with scopes and an
// expiry, how one is known again, and how a call that is sent twice is carried
// out once.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
)

// Scope is something that a key allows.
type Scope string

// Scopes. Those of a merchant may be given to its keys and to the operator's,
// the others to the operator's alone.
const (
	DepositsRead     Scope = "deposits:read"
	PostbacksRead    Scope = "postbacks:read"
	PostbacksWrite   Scope = "postbacks:write"
	BalanceRead      Scope = "balance:read"
	StatementRead    Scope = "statement:read"
	WithdrawalsRead  Scope = "withdrawals:read"
	WithdrawalsWrite Scope = "withdrawals:write"
	DirectoryRead    Scope = "directory:read"
	DirectoryWrite   Scope = "directory:write"
	ReviewsRead      Scope = "reviews:read"
	ReviewsWrite     Scope = "reviews:write"
	FeedsRead        Scope = "feeds:read"
	CreditsRead      Scope = "credits:read"
	KeysRead         Scope = "keys:read"
	KeysWrite        Scope = "keys:write"
)

// ofMerchants are the scopes of merchants' keys.
var ofMerchants = []Scope{DepositsRead, PostbacksRead, PostbacksWrite, BalanceRead, StatementRead, WithdrawalsRead}

// ofOperator are the scopes of the operator's keys: all.
var ofOperator = append(slices.Clone(ofMerchants),
	WithdrawalsWrite, DirectoryRead, DirectoryWrite, ReviewsRead, ReviewsWrite, FeedsRead, CreditsRead, KeysRead, KeysWrite)

// Scopes lists the scopes that a key of a merchant may have, or with an empty
// merchant one of the operator.
func Scopes(merchant string) []Scope {
	if merchant == "" {
		return slices.Clone(ofOperator)
	}
	return slices.Clone(ofMerchants)
}

// Operator is what the owner of the operator's keys is called.
const Operator = "operator"

// ErrNoKey means that there is no such key, or none that is in force.
var ErrNoKey = errors.New("no such key")

// Key is what a caller proves itself with. Its token is nowhere in it.
type Key struct {
	ID       int64
	Name     string // for people
	Merchant string // whose it is; empty for the operator
	Scopes   []Scope
	// ExpiresAt ends it, as RevokedAt does where it is set.
	CreatedAt, ExpiresAt, RevokedAt time.Time
	// UsedAt is when it was used last, give or take some minutes; zero for never.
	UsedAt time.Time
}

// Owner is the merchant whose key it is, or "operator".
func (k *Key) Owner() string {
	if k.Merchant == "" {
		return Operator
	}
	return k.Merchant
}

// Actor is who the audit log names for what the key does.
func (k *Key) Actor() string { return fmt.Sprintf("key:%d", k.ID) }

// Allows reports whether the key has a scope.
func (k *Key) Allows(s Scope) bool { return slices.Contains(k.Scopes, s) }

// InForce reports whether the key is valid at a time.
func (k *Key) InForce(now time.Time) bool {
	return k.RevokedAt.IsZero() && now.Before(k.ExpiresAt)
}

// Hash is what a token is stored as. A token has 256 random bits, so that a plain
// hash hides it for good.
type Hash [sha256.Size]byte

const tokenPrefix = "mln_"

// HashOf is the hash of a token.
func HashOf(token directory.Secret) Hash { return sha256.Sum256([]byte(token.Reveal())) }

// Bounds of a key.
const (
	MaxName     = 64                       // characters
	MaxLifetime = 2 * 366 * 24 * time.Hour // how long a key may be valid
)

// New makes a key and its token, which is shown to its owner once and kept
// nowhere. The error is for whoever asked for the key. The id is the store's to
// give.
func New(name, merchant string, scopes []string, now time.Time, lifetime time.Duration) (Key, directory.Secret, error) {
	k := Key{Name: strings.TrimSpace(name), Merchant: merchant, CreatedAt: now, ExpiresAt: now.Add(lifetime)}
	if k.Name == "" || len([]rune(k.Name)) > MaxName || strings.ContainsFunc(k.Name, func(r rune) bool { return r < ' ' }) {
		return Key{}, "", fmt.Errorf("a key needs a name of up to %d characters on one line", MaxName)
	}
	if lifetime <= 0 || lifetime > MaxLifetime {
		return Key{}, "", fmt.Errorf("a key is valid for up to %d hours: give a time within that", MaxLifetime/time.Hour)
	}
	known := Scopes(merchant)
	for _, text := range scopes {
		scope := Scope(text)
		if !slices.Contains(known, scope) {
			return Key{}, "", fmt.Errorf("a key of %s has none but these scopes: %s", k.Owner(), join(known))
		}
		if !k.Allows(scope) {
			k.Scopes = append(k.Scopes, scope)
		}
	}
	if len(k.Scopes) == 0 {
		return Key{}, "", fmt.Errorf("a key needs a scope: %s", join(known))
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails
	return k, directory.Secret(tokenPrefix + base64.RawURLEncoding.EncodeToString(random)), nil
}

func join(scopes []Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}
