package server

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/razorpayx"
	"github.com/milaan/milaan/internal/payout/sandbox"
)

// payoutsEvery is how often due withdrawals are looked for.
const payoutsEvery = time.Second

// sendPayouts does what is due. One gateway does it for all: providers remember
// what they sent.
func (g *Gateway) sendPayouts(ctx context.Context, held bool) error {
	if !held {
		return nil
	}
	return g.office.Round(ctx)
}

// providers are what sends the withdrawals of desks, made when they are first
// needed and again when their desk was changed.
type providers struct {
	outside http.RoundTripper
	mu      sync.Mutex
	made    map[string]madeProvider
}

type madeProvider struct {
	desk     *directory.PayoutDesk
	provider payout.Provider
}

// of gives a desk's provider; nil for one that people serve.
func (p *providers) of(desk *directory.PayoutDesk) (payout.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made, ok := p.made[desk.ID]; ok && reflect.DeepEqual(made.desk, desk) {
		return made.provider, nil
	}
	provider, err := p.open(desk)
	if err != nil {
		return nil, fmt.Errorf("desk %s: %w", desk.ID, err)
	}
	if p.made == nil {
		p.made = make(map[string]madeProvider)
	}
	p.made[desk.ID] = madeProvider{desk, provider}
	return provider, nil
}

func (p *providers) open(desk *directory.PayoutDesk) (payout.Provider, error) {
	switch desk.Kind {
	case directory.PayoutManual, directory.PayoutFiles:
		return nil, nil
	case directory.PayoutSandbox:
		return sandbox.New(time.Now), nil
	case directory.PayoutRazorpayX:
		return razorpayx.New(razorpayx.Config{
			BaseURL: desk.Address, KeyID: desk.KeyID, KeySecret: desk.Secrets.Key.Reveal(), Account: desk.Account,
			WebhookSecret: desk.Secrets.Webhook.Reveal(), Transport: p.outside, Now: time.Now,
		})
	default:
		return nil, fmt.Errorf("kind %s is not served by this version", desk.Kind)
	}
}
