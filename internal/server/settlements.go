package server

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/settlement"
)

// settleEvery is how often settlements that fell due are looked for.
const settleEvery = 10 * time.Second

// settling gives the round that settles balances by their schedules. One gateway
// does it for all; two at once would settle nothing twice.
func (g *Gateway) settling() func(ctx context.Context, held bool) error {
	scheduler := settlement.Scheduler{Settler: &settlement.Settler{Store: g.store, Office: g.office, Log: g.log}}
	return func(ctx context.Context, held bool) error {
		if !held {
			return nil
		}
		return scheduler.Round(ctx)
	}
}
