// Package staff holds the people who sign in: who they are, what they may do,
// how they prove it, and for how long.
//
// [Desk] is the one way in. Everything it decides goes to the audit log: who,
// when, from which network, what.
package staff

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/text/unicode/norm"
)

// User is a person who signs in.
type User struct {
	ID int64
	// Email tells users from each other, see [ParseEmail].
	Email string
	// Handle is what passkeys know the user by: random, and never shown.
	Handle []byte
	Profile
	Grants []Grant
	// Epoch moves on when every session of the user must end; a session is good
	// for the epoch it was opened in.
	Epoch     int64
	CreatedAt time.Time
	Secrets   Secrets // stored sealed
}

// Profile is what a user chooses.
type Profile struct {
	Name  string `json:"name"`
	Lang  string `json:"lang"`            // BCP 47 tag; empty for the browser's
	Zone  string `json:"zone"`            // IANA name
	Theme string `json:"theme,omitempty"` // "light", "dark", or empty for the system's
}

// Secrets are what a user proves who they are with.
type Secrets struct {
	// Password is an argon2id hash with its parameters; empty where there is none.
	Password string `json:"password,omitempty"`
	TOTP     TOTP   `json:"totp,omitzero"`
	// Recovery are the digests of the codes that are left.
	Recovery []Digest  `json:"recovery,omitempty"`
	Passkeys []Passkey `json:"passkeys,omitempty"`
}

// Passkey is a key of a phone, a computer or a security stick.
type Passkey struct {
	Name       string              `json:"name"`
	AddedAt    time.Time           `json:"added_at"`
	Credential webauthn.Credential `json:"credential"`
}

// DefaultZone is the zone of users who have chosen none.
const DefaultZone = "Asia/Kolkata"

// Location is where the user reads times.
func (p Profile) Location() *time.Location {
	for _, zone := range []string{p.Zone, DefaultZone} {
		if loc, err := time.LoadLocation(zone); err == nil && zone != "" {
			return loc
		}
	}
	return time.UTC
}

// Errors that a caller tells apart.
var (
	ErrNoUser    = errors.New("there is no such user")
	ErrTaken     = errors.New("there is a user with that e-mail address already")
	ErrLastOwner = errors.New("an installation keeps one owner: make another user an owner first")
	ErrEmail     = errors.New("that is no e-mail address: write it as asha@example.com")
	ErrName      = fmt.Errorf("a name has at most %d characters, all of which can be seen", MostName)
)

// MostName is how many characters a user's or a passkey's name may have.
const MostName = 80

// ParseName reads a name as a person typed it, or returns [ErrName].
func ParseName(text string) (string, error) {
	text = norm.NFC.String(strings.TrimSpace(text))
	if len([]rune(text)) > MostName {
		return "", ErrName
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\u200c' && r != '\u200d' { // joiners, which Indian scripts need
			return "", ErrName
		}
	}
	return text, nil
}

// ParseEmail reads an e-mail address, and gives the form in which it is kept
// and compared: in lower case, without a name around it. Or [ErrEmail].
func ParseEmail(text string) (string, error) {
	text = strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
	parsed, err := mail.ParseAddress(text)
	const most = 254 // RFC 5321, 4.5.3.1.3
	if err != nil || parsed.Address != text || len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		return "", ErrEmail
	}
	return text, nil
}

// Owner reports whether the user is one.
func (u *User) Owner() bool { return slices.Contains(u.Grants, Grant{Role: Owner}) }

// HasSecond reports whether a password alone does not let the user in.
func (u *User) HasSecond() bool { return u.Secrets.TOTP.Seed != "" || len(u.Secrets.Passkeys) > 0 }

// endSessions ends every session of the user, the one in hand too.
func (u *User) endSessions() { u.Epoch++ }

// Visitor is who knocks: what is known of them before they say who they are.
type Visitor struct {
	Addr  netip.Addr // invalid where it is not known
	Agent string     // what the browser calls itself
}

// Network is the visitor's address as it is kept: cut to what tells places
// apart, not persons. Empty where it is not known.
func (v Visitor) Network() string {
	if !v.Addr.IsValid() {
		return ""
	}
	bits := 48
	addr := v.Addr.WithZone("").Unmap()
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}

const mostAgent = 200 // bytes that are kept

func (v Visitor) agent() string {
	text := strings.ToValidUTF8(v.Agent, "")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
	if len(text) > mostAgent {
		text = strings.ToValidUTF8(text[:mostAgent], "")
	}
	return text
}
