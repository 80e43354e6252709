package staff

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"
)

// Digest is the SHA-256 of a secret that only its holder has.
type Digest [sha256.Size]byte

// MarshalText writes a digest in hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(d) {
		return errors.New("a digest has 64 hexadecimal digits")
	}
	copy(d[:], raw)
	return nil
}

// newToken makes a secret of 256 bits, and its digest, which alone is kept.
func newToken() (token string, digest Digest) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	token = base64.RawURLEncoding.EncodeToString(raw)
	return token, digestOf(token)
}

func digestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

// How long things last.
const (
	// Idle ends a session that nobody used.
	Idle = 30 * time.Minute
	// Lifetime ends a session however much it is used.
	Lifetime = 12 * time.Hour
	// Sure is how long after proving who they are users may do what is
	// dangerous.
	Sure = 10 * time.Minute

	touchEvery = time.Minute // a session's last use is written no oftener
	halfway    = 10 * time.Minute
)

// Session is one browser in which a user is signed in.
type Session struct {
	Digest Digest // of the token that the browser holds
	User   int64
	Epoch  int64 // the user's when it was opened
	// Waiting says that the second factor is outstanding: such a session can do
	// nothing else.
	Waiting  bool
	Way      string // how the user proved who they are
	OpenedAt time.Time
	SeenAt   time.Time
	SureAt   time.Time // when the user last proved who they are
	Network  string    // see [Visitor.Network]
	Agent    string
}

// ErrNoSession means that nobody is signed in: the session ended, or never was.
var ErrNoSession = errors.New("not signed in")

// ID names the session to its user; it opens nothing.
func (s *Session) ID() string { return hex.EncodeToString(s.Digest[:8]) }

// Sure reports whether the user proved who they are recently enough for what is
// dangerous.
func (s *Session) Sure(now time.Time) bool { return !s.Waiting && now.Sub(s.SureAt) < Sure }

// alive reports whether the session is still good for its user.
func (s *Session) alive(u *User, now time.Time) bool {
	limit := Idle
	if s.Waiting {
		limit = halfway
	}
	return s.Epoch == u.Epoch && now.Sub(s.SeenAt) < limit && now.Sub(s.OpenedAt) < Lifetime
}

// Kinds of ticket.
const (
	linkTicket    = "link"    // sets a password: an invitation, or a reset
	ownerTicket   = "owner"   // makes the first owner
	passkeyTicket = "passkey" // a ceremony in progress
	oidcTicket    = "oidc"    // a visit to the identity provider
)

// Ticket is good once, for one thing, for a while.
type Ticket struct {
	Digest    Digest // of the token that its holder has
	Kind      string
	User      int64 // whose it is; 0: nobody's yet
	Data      []byte
	ExpiresAt time.Time
}

// ErrNoTicket means that a link or a step was used already, or came too late.
var ErrNoTicket = errors.New("that was used already, or is too old")

// How long tickets are good.
const (
	OwnerLink  = time.Hour
	InviteLink = 72 * time.Hour
	ceremony   = 5 * time.Minute
)
