package server

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/notice"
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

// mostContested is how many contested withdrawals are counted.
const mostContested = 100

// payoutGauges show how the withdrawals are.
type payoutGauges struct {
	contested prometheus.Gauge
}

func newPayoutGauges(reg prometheus.Registerer) *payoutGauges {
	g := &payoutGauges{contested: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "milaan_withdrawals_contested", Help: "Withdrawals that a person has to look at, up to 100.",
	})}
	reg.MustRegister(g.contested)
	return g
}

// payoutTroubles are what is wrong with withdrawals at the moment.
func (g *Gateway) payoutTroubles(ctx context.Context) ([]notice.Trouble, error) {
	contested, err := g.store.ContestedWithdrawals(ctx, 0, mostContested)
	if err != nil {
		return nil, err
	}
	g.payouts.contested.Set(float64(len(contested)))
	if len(contested) == 0 {
		return nil, nil
	}
	return []notice.Trouble{{
		Key: "withdrawals/contested", Code: "withdrawals_contested", Severity: notice.Critical,
		Subject: fmt.Sprintf("Withdrawals that are contested: %d", len(contested)),
		Text: "A provider, a file or a statement says of them what the books do not, such as that one was paid which failed, or they can't be sent. " +
			"Until a person has looked they are not sent. milaan payout list --contested shows why; compare each with the bank, then milaan payout clear PAYOUT.",
	}}, nil
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
