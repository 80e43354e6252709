package staff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/milaan/milaan/internal/audit"
)

// Site is where the console is, as browsers see it. A passkey is bound to it.
type Site struct {
	Host   string // without port
	Origin string // https://console.example.com
}

// party is the relying party of a site. That the site is what the request says
// is no weakness: browsers sign for the site they are on, and authenticators
// hold no key of the user's for another.
func (site Site) party() (*webauthn.WebAuthn, error) {
	party, err := webauthn.New(&webauthn.Config{
		RPID: site.Host, RPDisplayName: issuer, RPOrigins: []string{site.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", site.Host, err)
	}
	return party, nil
}

// bearer is a user as the WebAuthn library sees one.
type bearer struct{ *User }

// WebAuthnID is the user's handle.
func (b bearer) WebAuthnID() []byte { return b.Handle }

// WebAuthnName tells the user's accounts from each other.
func (b bearer) WebAuthnName() string { return b.Email }

// WebAuthnDisplayName is for people to read.
func (b bearer) WebAuthnDisplayName() string {
	if b.Name != "" {
		return b.Name
	}
	return b.Email
}

// WebAuthnCredentials are the user's keys.
func (b bearer) WebAuthnCredentials() []webauthn.Credential {
	keys := make([]webauthn.Credential, len(b.Secrets.Passkeys))
	for i, p := range b.Secrets.Passkeys {
		keys[i] = p.Credential
	}
	return keys
}

// Limits of passkeys.
const (
	mostPasskeys = 20
	mostResponse = 64 << 10 // bytes of a browser's answer
)

// ErrManyPasskeys means that a user has as many as can be.
var ErrManyPasskeys = fmt.Errorf("a user has at most %d passkeys: remove one first", mostPasskeys)

// keepCeremony keeps what a browser's answer is checked against; once.
func (d *Desk) keepCeremony(ctx context.Context, user int64, session *webauthn.SessionData) (token string, err error) {
	data, err := json.Marshal(session)
	if err != nil {
		return "", err
	}
	token, digest := newToken()
	return token, d.Store.KeepTicket(ctx, &Ticket{Digest: digest, Kind: passkeyTicket, User: user, Data: data, ExpiresAt: d.Now().Add(ceremony)}, false)
}

func (d *Desk) takeCeremony(ctx context.Context, token string, user int64) (session webauthn.SessionData, err error) {
	t, err := d.Store.TakeTicket(ctx, digestOf(token), passkeyTicket)
	if err != nil {
		return session, err
	}
	if t.User != user || !d.Now().Before(t.ExpiresAt) {
		return session, ErrNoTicket
	}
	return session, json.Unmarshal(t.Data, &session)
}

// BeginPasskey offers a browser to make a passkey. The options go to the browser
// as JSON; the token comes back with its answer.
func (d *Desk) BeginPasskey(ctx context.Context, u *User, site Site) (options any, token string, err error) {
	if len(u.Secrets.Passkeys) >= mostPasskeys {
		return nil, "", ErrManyPasskeys
	}
	party, err := site.party()
	if err != nil {
		return nil, "", err
	}
	required := true
	creation, session, err := party.BeginRegistration(bearer{u},
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &required,
			UserVerification: protocol.VerificationRequired,
		}),
		webauthn.WithExclusions(webauthn.Credentials(bearer{u}.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, "", fmt.Errorf("offer a passkey: %w", err)
	}
	token, err = d.keepCeremony(ctx, u.ID, session)
	return creation, token, err
}

// AddPasskey keeps the passkey that a browser made. [ErrDenied] or
// [ErrNoTicket] where its answer is not to what it was offered.
func (d *Desk) AddPasskey(ctx context.Context, u *User, s *Session, site Site, token, name string, response io.Reader, from Visitor) (string, *Session, error) {
	party, err := site.party()
	if err != nil {
		return "", nil, err
	}
	if name, err = ParseName(name); err != nil {
		return "", nil, err
	}
	data, err := d.takeCeremony(ctx, token, u.ID)
	if err != nil {
		return "", nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBody(io.LimitReader(response, mostResponse))
	if err != nil {
		return "", nil, errors.Join(ErrDenied, err)
	}
	key, err := party.CreateCredential(bearer{u}, data, parsed)
	if err != nil {
		return "", nil, errors.Join(ErrDenied, err)
	}
	return d.change(ctx, u, s, "user.passkey-added", from, func(u *User) error {
		switch {
		case len(u.Secrets.Passkeys) >= mostPasskeys:
			return ErrManyPasskeys
		case u.passkey(key.ID) != nil:
			return ErrDenied
		}
		u.Secrets.Passkeys = append(u.Secrets.Passkeys, Passkey{Name: name, AddedAt: d.Now().UTC().Truncate(time.Second), Credential: *key})
		u.endSessions()
		return nil
	})
}

func (u *User) passkey(id []byte) *Passkey {
	for i := range u.Secrets.Passkeys {
		if bytes.Equal(u.Secrets.Passkeys[i].Credential.ID, id) {
			return &u.Secrets.Passkeys[i]
		}
	}
	return nil
}

// RemovePasskey forgets a passkey.
func (d *Desk) RemovePasskey(ctx context.Context, u *User, s *Session, id []byte, from Visitor) (string, *Session, error) {
	return d.change(ctx, u, s, "user.passkey-removed", from, func(u *User) error {
		u.Secrets.Passkeys = slices.DeleteFunc(u.Secrets.Passkeys, func(p Passkey) bool { return bytes.Equal(p.Credential.ID, id) })
		u.endSessions()
		u.dropRecovery()
		return nil
	})
}

// AskPasskey asks a browser for a passkey: of one user, or of whoever it is
// where u is nil. It fails with a *[WaitError] when too many ask.
func (d *Desk) AskPasskey(ctx context.Context, u *User, site Site) (options any, token string, err error) {
	party, err := site.party()
	if err != nil {
		return nil, "", err
	}
	var assertion *protocol.CredentialAssertion
	var session *webauthn.SessionData
	var user int64
	if u == nil {
		if !d.begins.AllowN(d.Now(), 1) {
			return nil, "", &WaitError{time.Second}
		}
		assertion, session, err = party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	} else {
		user = u.ID
		assertion, session, err = party.BeginLogin(bearer{u}, webauthn.WithUserVerification(protocol.VerificationRequired))
	}
	if err != nil {
		return nil, "", errors.Join(ErrDenied, err)
	}
	token, err = d.keepCeremony(ctx, user, session)
	return assertion, token, err
}

// SignInByPasskey lets the user in whose passkey answers. A passkey that its
// device guards is two factors in one; nothing is outstanding afterwards. In
// place of a session, where there is one, the same user's: it finishes a
// sign-in, or proves once more who it is. [ErrDenied] or [ErrNoTicket] where the
// answer is no good.
func (d *Desk) SignInByPasskey(ctx context.Context, u *User, s *Session, site Site, token string, response io.Reader, from Visitor) (string, *Session, error) {
	party, err := site.party()
	if err != nil {
		return "", nil, err
	}
	var user int64
	if u != nil {
		user = u.ID
	}
	data, err := d.takeCeremony(ctx, token, user)
	if err != nil {
		return "", nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBody(io.LimitReader(response, mostResponse))
	if err != nil {
		return "", nil, errors.Join(ErrDenied, err)
	}
	if u == nil {
		if u, err = d.Store.FindUserByHandle(ctx, parsed.Response.UserHandle); err != nil {
			if errors.Is(err, ErrNoUser) {
				return "", nil, d.refuse(ctx, nil, "passkey", from)
			}
			return "", nil, err
		}
	}
	changed, err := d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
		var key *webauthn.Credential
		var err error
		if user == 0 {
			_, key, err = party.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
				if !bytes.Equal(handle, u.Handle) {
					return nil, ErrDenied
				}
				return bearer{u}, nil
			}, data, parsed)
		} else {
			key, err = party.ValidateLogin(bearer{u}, data, parsed)
		}
		if err != nil {
			return nil, errors.Join(ErrDenied, err)
		}
		if key.Authenticator.CloneWarning {
			return nil, errors.Join(ErrDenied, errors.New("the passkey was copied"))
		}
		if kept := u.passkey(key.ID); kept != nil {
			kept.Credential = *key
		}
		return nil, nil
	})
	if errors.Is(err, ErrDenied) {
		return "", nil, d.refuse(ctx, u, "passkey", from)
	}
	if err != nil {
		return "", nil, err
	}
	way := "passkey"
	if s != nil && s.Waiting {
		way = s.Way + " and passkey"
	}
	return d.open(ctx, changed, way, false, s, from)
}
