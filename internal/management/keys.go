package management

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
)

// Key is a key without its token.
type Key struct {
	ID        int64      `json:"id"`
	Name      string     `json:"name"`
	Owner     string     `json:"owner" doc:"operator, or the merchant's id."`
	Scopes    []string   `json:"scopes" nullable:"false"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"When it was used last, give or take ten minutes."`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

func viewKey(k *access.Key) Key {
	v := Key{
		ID: k.ID, Name: k.Name, Owner: k.Owner(), Scopes: make([]string, len(k.Scopes)),
		CreatedAt: k.CreatedAt.UTC(), ExpiresAt: k.ExpiresAt.UTC(), UsedAt: instant(k.UsedAt), RevokedAt: instant(k.RevokedAt),
	}
	for i, s := range k.Scopes {
		v.Scopes[i] = string(s)
	}
	return v
}

// NewKey is a key that was just made.
type NewKey struct {
	Key
	Token string `json:"token" doc:"The key itself: shown this once and never again." example:"mln_…"`
}

// KeyWanted is a key to be made.
type KeyWanted struct {
	Name      string    `json:"name" minLength:"1" maxLength:"64" doc:"For people."`
	Owner     string    `json:"owner" minLength:"1" maxLength:"64" doc:"operator, or a merchant's id."`
	Scopes    []string  `json:"scopes" minItems:"1" maxItems:"20" nullable:"false" doc:"None that the calling key lacks."`
	ExpiresAt time.Time `json:"expires_at" doc:"Not after the calling key's own."`
}

func (d *Door) ofKeys(api huma.API) {
	tags := []string{"Keys"}
	register(d, api, access.KeysRead, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/v3/keys", Tags: tags,
		Summary: "List keys", Description: "All keys, the newest first, revoked and expired ones too.",
	}, func(ctx context.Context, _ *struct{}) (*output[List[Key]], error) {
		keys, err := d.Store.Keys(ctx)
		return listOf(keys, viewKey, ""), err
	})
	register(d, api, access.KeysWrite, huma.Operation{
		OperationID: "add-key", Method: http.MethodPost, Path: "/v3/keys", Tags: tags, DefaultStatus: http.StatusCreated,
		Summary: "Make a key", Description: "No key can be made that allows more, or longer, than the one that makes it.",
	}, d.addKey)
	register(d, api, access.KeysWrite, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: "/v3/keys/{id}", Tags: tags, DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a key", Description: "It ends at once on this gateway, within five seconds on others.", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID int64 `path:"id" minimum:"1"`
	}) (*struct{}, error) {
		err := d.Store.RevokeKey(ctx, in.ID, d.Now(), callOf(ctx).key.Actor())
		d.ring.Forget()
		return nil, err
	})
}

func (d *Door) addKey(ctx context.Context, in *struct{ Body KeyWanted }) (*output[NewKey], error) {
	maker := &callOf(ctx).key
	merchant := in.Body.Owner
	if merchant == access.Operator {
		merchant = ""
	} else if m := d.Directory.Look(ctx).Merchant(merchant); m == nil || m.Retired {
		return nil, invalid.problem("A key is the operator's or a merchant's").in("body.owner", "expected operator or a merchant's id")
	}
	now := d.Now().UTC().Truncate(time.Microsecond)
	key, token, err := access.New(in.Body.Name, merchant, in.Body.Scopes, now, in.Body.ExpiresAt.Sub(now))
	if err != nil {
		return nil, invalid.problem("%v", err)
	}
	for _, scope := range key.Scopes {
		if !maker.Allows(scope) {
			return nil, forbidden.problem("This key lacks the scope %s and can't give it", scope)
		}
	}
	if key.ExpiresAt.After(maker.ExpiresAt) {
		return nil, forbidden.problem("This key ends before that: give an expires_at up to its own")
	}
	if key.ID, err = d.Store.AddKey(ctx, key, access.HashOf(token), maker.Actor()); err != nil {
		return nil, err
	}
	return &output[NewKey]{NewKey{viewKey(&key), token.Reveal()}}, nil
}
