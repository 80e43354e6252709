package staff

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
)

// CommandLine is the actor of what is done on the machine itself.
const CommandLine = "operator:cli"

// By names a signed-in user as the one who did something, see [Desk.Add].
func By(u *User) string { return actor(u) }

// Add makes a user, and a link by which the user sets a password; only its
// token is given. [ErrTaken] where the address is another's.
func (d *Desk) Add(ctx context.Context, by, email, name string, grants []Grant, from Visitor) (u *User, token string, err error) {
	if u, err = d.newUser(email, name, grants); err != nil {
		return nil, "", err
	}
	if err := d.Store.AddUser(ctx, u, d.note(by, "user.added", u, from, u.Email, grantsText(grants))); err != nil {
		return nil, "", err
	}
	token, err = d.issue(ctx, by, u, InviteLink, false, from)
	return u, token, err
}

func (d *Desk) newUser(email, name string, grants []Grant) (*User, error) {
	email, err := ParseEmail(email)
	if err != nil {
		return nil, err
	}
	if name, err = ParseName(name); err != nil {
		return nil, err
	}
	const handleSize = 64 // what the WebAuthn specification asks for
	u := &User{
		Email: email, Handle: make([]byte, handleSize), Profile: Profile{Name: name, Zone: DefaultZone},
		Grants: slices.Clone(grants), CreatedAt: d.Now(),
	}
	_, _ = rand.Read(u.Handle) // never fails, see crypto/rand
	return u, nil
}

func grantsText(grants []Grant) string {
	texts := make([]string, len(grants))
	for i, g := range grants {
		texts[i] = g.String()
	}
	return "as " + strings.Join(texts, ",")
}

// linkData is what a link does besides setting a password.
type linkData struct {
	// DropFactors takes the user's app, passkeys and recovery codes away: for
	// those who lost them.
	DropFactors bool `json:"drop_factors,omitempty"`
}

// issue makes a link's token; the user's earlier links are good no more.
func (d *Desk) issue(ctx context.Context, by string, u *User, ttl time.Duration, dropFactors bool, from Visitor) (string, error) {
	data, err := json.Marshal(linkData{dropFactors})
	if err != nil {
		return "", err
	}
	token, digest := newToken()
	ticket := &Ticket{Digest: digest, Kind: linkTicket, User: u.ID, Data: data, ExpiresAt: d.Now().Add(ttl)}
	action := "user.link"
	if dropFactors {
		action = "user.link-without-factors"
	}
	return token, d.Store.KeepTicket(ctx, ticket, true, d.note(by, action, u, from, u.Email))
}

// Reset makes a link by which a user sets a new password; where dropFactors is
// set, using it also takes away the user's app, passkeys and recovery codes.
// Nothing changes before the link is used.
func (d *Desk) Reset(ctx context.Context, by string, u *User, dropFactors bool, from Visitor) (token string, err error) {
	return d.issue(ctx, by, u, InviteLink, dropFactors, from)
}

// SetGrants gives a user other roles; the user's sessions end. [ErrLastOwner]
// where nobody else is one.
func (d *Desk) SetGrants(ctx context.Context, by string, id int64, grants []Grant, from Visitor) (*User, error) {
	return d.Store.ChangeUser(ctx, id, func(u *User) ([]audit.Entry, error) {
		u.Grants = slices.Clone(grants)
		u.endSessions()
		return []audit.Entry{d.note(by, "user.roles", u, from, u.Email, grantsText(grants))}, nil
	})
}

// Remove removes a user; the user's sessions end. [ErrLastOwner] where nobody
// else is one.
func (d *Desk) Remove(ctx context.Context, by string, u *User, from Visitor) error {
	return d.Store.RemoveUser(ctx, u.ID, d.note(by, "user.removed", u, from, u.Email))
}

// OfferOwner makes the link by which the first owner is made, where there is no
// owner yet. The token is empty where there is one. A link made earlier is good
// no more.
func (d *Desk) OfferOwner(ctx context.Context) (token string, err error) {
	if found, err := d.Store.AnyOwner(ctx); err != nil || found {
		return "", err
	}
	token, digest := newToken()
	ticket := &Ticket{Digest: digest, Kind: ownerTicket, ExpiresAt: d.Now().Add(OwnerLink)}
	return token, d.Store.KeepTicket(ctx, ticket, true, audit.Entry{At: d.Now(), Actor: "system", Action: "user.owner-link"})
}

// Link tells whose password a link sets, without using it; the user is nil
// where it makes the first owner. [ErrNoTicket] where it is not good.
func (d *Desk) Link(ctx context.Context, token string) (*User, error) {
	t, err := d.link(ctx, token, d.Store.FindTicket)
	if err != nil {
		return nil, err
	}
	if t.Kind == ownerTicket {
		// The command line may have made one meanwhile.
		found, err := d.Store.AnyOwner(ctx)
		if err == nil && found {
			err = ErrNoTicket
		}
		return nil, err
	}
	u, err := d.Store.FindUser(ctx, t.User)
	if errors.Is(err, ErrNoUser) {
		return nil, ErrNoTicket
	}
	return u, err
}

func (d *Desk) link(ctx context.Context, token string, get func(context.Context, Digest, string) (*Ticket, error)) (*Ticket, error) {
	for _, kind := range []string{linkTicket, ownerTicket} {
		t, err := get(ctx, digestOf(token), kind)
		if errors.Is(err, ErrNoTicket) {
			continue
		}
		if err == nil && !d.Now().Before(t.ExpiresAt) {
			return nil, ErrNoTicket
		}
		return t, err
	}
	return nil, ErrNoTicket
}

// UseLink sets the password of the user whose link it is, and lets the user in
// as SignIn would. Email and name are those of the first owner, where the link
// makes one. The link is spent only when all is well with what was typed.
func (d *Desk) UseLink(ctx context.Context, token, email, name, password string, from Visitor) (string, *Session, error) {
	u, err := d.Link(ctx, token)
	if err != nil {
		return "", nil, err
	}
	first := u == nil
	if first {
		if u, err = d.newUser(email, name, []Grant{{Role: Owner}}); err != nil {
			return "", nil, err
		}
	}
	if err := CheckPassword(password, u.Email); err != nil {
		return "", nil, err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return "", nil, err
	}
	ticket, err := d.link(ctx, token, d.Store.TakeTicket)
	if err != nil {
		return "", nil, err
	}
	if first {
		u.Secrets.Password = hash
		if err := d.Store.AddUser(ctx, u, d.note("system", "user.first-owner", u, from, u.Email)); err != nil {
			return "", nil, err
		}
		return d.open(ctx, u, "link", false, nil, from)
	}
	var data linkData
	if err := json.Unmarshal(ticket.Data, &data); err != nil {
		return "", nil, fmt.Errorf("read a link: %w", err)
	}
	u, err = d.Store.ChangeUser(ctx, u.ID, func(u *User) ([]audit.Entry, error) {
		u.Secrets.Password = hash
		if data.DropFactors {
			u.Secrets.TOTP, u.Secrets.Passkeys, u.Secrets.Recovery = TOTP{}, nil, nil
		}
		u.endSessions()
		return []audit.Entry{d.note(actor(u), "user.password", u, from, "by link")}, nil
	})
	if err != nil {
		return "", nil, err
	}
	if err := d.Store.ForgiveAttempts(ctx, attemptsOf(u.Email, from)[:1], true); err != nil {
		return "", nil, err
	}
	return d.open(ctx, u, "link", u.HasSecond(), nil, from)
}
