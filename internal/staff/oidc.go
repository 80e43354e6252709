package staff

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// IdentityProvider is an OpenID Connect provider that vouches for users' e-mail
// addresses.
type IdentityProvider struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// Client calls the provider.
	Client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider
}

// discover reads what the provider says of itself, when it is first needed: a
// provider that is down must not keep a gateway from starting.
func (p *IdentityProvider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider == nil {
		// The provider keeps the context's client for its keys; not its end.
		found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.Client), p.Issuer)
		if err != nil {
			return nil, fmt.Errorf("ask the identity provider: %w", err)
		}
		p.provider = found
	}
	return p.provider, nil
}

func (p *IdentityProvider) client(provider *oidc.Provider, callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: callback, Scopes: []string{oidc.ScopeOpenID, "email"},
	}
}

// visitData is what the answer of a provider is checked against.
type visitData struct {
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Next     string `json:"next"`
}

// AskProvider begins a visit to the identity provider, which answers at the
// callback's address. State goes to the browser as a cookie, and comes back with
// the answer; next is kept for the caller.
func (d *Desk) AskProvider(ctx context.Context, u *User, callback, next string) (address, state string, err error) {
	if d.OIDC == nil {
		return "", "", ErrDenied
	}
	if !d.begins.AllowN(d.Now(), 1) {
		return "", "", &WaitError{time.Second}
	}
	provider, err := d.OIDC.discover(ctx)
	if err != nil {
		return "", "", err
	}
	state, digest := newToken()
	nonce, _ := newToken()
	visit := visitData{Nonce: nonce, Verifier: oauth2.GenerateVerifier(), Next: next}
	data, err := json.Marshal(visit)
	if err != nil {
		return "", "", err
	}
	ticket := &Ticket{Digest: digest, Kind: oidcTicket, Data: data, ExpiresAt: d.Now().Add(ceremony)}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(visit.Verifier)}
	if u != nil { // who proves once more who it is
		ticket.User = u.ID
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	if err := d.Store.KeepTicket(ctx, ticket, false); err != nil {
		return "", "", err
	}
	return d.OIDC.client(provider, callback).AuthCodeURL(state, options...), state, nil
}

// SignInByProvider lets in the user whose verified e-mail address the provider
// names; it makes no users. The provider stands for the password alone: who has
// a second factor is asked for it. U and s are those of a user who is signed
// in, or nil. [ErrDenied] or [ErrNoTicket] where the answer is no good.
func (d *Desk) SignInByProvider(ctx context.Context, u *User, s *Session, callback, cookie, state, code string, from Visitor) (token string, opened *Session, next string, err error) {
	if d.OIDC == nil || state == "" || subtle.ConstantTimeCompare([]byte(cookie), []byte(state)) != 1 {
		return "", nil, "", ErrDenied
	}
	t, err := d.Store.TakeTicket(ctx, digestOf(state), oidcTicket)
	if err != nil {
		return "", nil, "", err
	}
	var visit visitData
	if err := json.Unmarshal(t.Data, &visit); err != nil {
		return "", nil, "", fmt.Errorf("read a visit: %w", err)
	}
	proving := t.User != 0
	if !d.Now().Before(t.ExpiresAt) || proving && (u == nil || s == nil || u.ID != t.User) {
		return "", nil, "", ErrNoTicket
	}
	email, loggedInAt, err := d.vouched(ctx, visit, callback, code)
	if err != nil {
		return "", nil, "", err
	}
	found, err := d.Store.FindUserByEmail(ctx, email)
	if errors.Is(err, ErrNoUser) {
		return "", nil, "", d.refuse(ctx, nil, "identity provider", from)
	}
	if err != nil {
		return "", nil, "", err
	}
	if !proving {
		token, opened, err = d.open(ctx, found, "identity provider", found.HasSecond(), nil, from)
		return token, opened, visit.Next, err
	}
	// Another person's answer, or one from before it was asked for, proves nothing.
	if found.ID != u.ID || d.Now().Sub(loggedInAt) > ceremony || found.HasSecond() {
		return "", nil, "", d.refuse(ctx, u, "identity provider", from)
	}
	token, opened, err = d.open(ctx, found, "identity provider", false, s, from)
	return token, opened, visit.Next, err
}

// vouched is the e-mail address that the provider vouches for, and when its
// bearer logged in there.
func (d *Desk) vouched(ctx context.Context, visit visitData, callback, code string) (email string, loggedInAt time.Time, err error) {
	provider, err := d.OIDC.discover(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	ctx = oidc.ClientContext(ctx, d.OIDC.Client)
	tokens, err := d.OIDC.client(provider, callback).Exchange(ctx, code, oauth2.VerifierOption(visit.Verifier))
	if err != nil {
		return "", time.Time{}, errors.Join(ErrDenied, err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: d.OIDC.ClientID, Now: d.Now}).Verify(ctx, raw)
	if err != nil {
		return "", time.Time{}, errors.Join(ErrDenied, err)
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		AuthTime int64  `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil {
		return "", time.Time{}, errors.Join(ErrDenied, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(visit.Nonce)) != 1 || !claims.Verified {
		return "", time.Time{}, ErrDenied
	}
	if email, err = ParseEmail(claims.Email); err != nil {
		return "", time.Time{}, errors.Join(ErrDenied, err)
	}
	return email, time.Unix(claims.AuthTime, 0), nil
}
