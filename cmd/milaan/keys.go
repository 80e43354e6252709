package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/store"
)

type keysCommand struct {
	Add    keysAdd    `cmd:"" help:"Make a key, and print it this once."`
	List   keysList   `cmd:"" help:"List keys, the newest first."`
	Revoke keysRevoke `cmd:"" help:"End a key for good."`
}

type keysAdd struct {
	Name    string        `arg:"" help:"What it is for, for people."`
	Owner   string        `required:"" placeholder:"operator|MERCHANT" help:"Whose it is: operator, or a merchant's id."`
	Scope   []string      `required:"" help:"What it allows, such as deposits:read; may be given more than once. docs/api.md lists the scopes."`
	Expires time.Duration `required:"" help:"How long it is valid, such as 720h."`
	Actor   string        `help:"Who makes it: kept in the audit log." env:"USER" default:"operator"`
}

// Run makes a key.
func (a keysAdd) Run(ctx context.Context, s *settings, term terminal) error {
	merchant := a.Owner
	if merchant == access.Operator {
		merchant = ""
	}
	key, token, err := access.New(a.Name, merchant, a.Scope, time.Now().UTC().Truncate(time.Microsecond), a.Expires)
	if err != nil {
		return usageError{err}
	}
	return s.withStore(ctx, func(db store.Store) error {
		if merchant != "" {
			cache, err := directory.OpenCache(ctx, db)
			if err != nil {
				return err
			}
			if m := cache.Current().Merchant(merchant); m == nil || m.Retired {
				return fmt.Errorf("there is no merchant %q: milaan apply declares merchants", merchant)
			}
		}
		id, err := db.AddKey(ctx, key, access.HashOf(token), "operator:"+a.Actor)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(term.err, "key %d of %s, valid until %s; shown this once and never again:\n", id, key.Owner(), key.ExpiresAt.Format(time.RFC3339))
		_, err = fmt.Fprintln(term.out, token.Reveal())
		return err
	})
}

type keysList struct{}

// Run lists the keys.
func (keysList) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStore(ctx, func(db store.Store) error {
		keys, err := db.Keys(ctx)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			_, err := fmt.Fprintln(term.out, "there is no key: milaan keys add makes one")
			return err
		}
		w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ID\tNAME\tOWNER\tSTATE\tEXPIRES\tLAST USED\tSCOPES")
		now := time.Now()
		for i := range keys {
			k := &keys[i]
			state := "in force"
			switch {
			case !k.RevokedAt.IsZero():
				state = "revoked"
			case !k.InForce(now):
				state = "expired"
			}
			used := "never"
			if !k.UsedAt.IsZero() {
				used = k.UsedAt.Format(time.DateTime)
			}
			scopes := make([]string, len(k.Scopes))
			for j, scope := range k.Scopes {
				scopes[j] = string(scope)
			}
			_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Owner(), state,
				k.ExpiresAt.Format(time.DateTime), used, strings.Join(scopes, " "))
		}
		return w.Flush()
	})
}

type keysRevoke struct {
	ID    int64  `arg:"" help:"The key's number, from milaan keys list."`
	Actor string `help:"Who ends it: kept in the audit log." env:"USER" default:"operator"`
}

// Run ends a key. Running gateways follow within seconds.
func (r keysRevoke) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStore(ctx, func(db store.Store) error {
		err := db.RevokeKey(ctx, r.ID, time.Now(), "operator:"+r.Actor)
		if errors.Is(err, access.ErrNoKey) {
			return fmt.Errorf("there is no key %d that could be revoked: milaan keys list shows them", r.ID)
		}
		if err == nil {
			_, err = fmt.Fprintf(term.out, "key %d is revoked\n", r.ID)
		}
		return err
	})
}
