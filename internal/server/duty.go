package server

import (
	"context"
	"time"
)

// duty is work that is done again and again, and of which one gateway does for
// all.
type duty struct {
	name  string
	every time.Duration
	// work is done on every round. Held says whether this gateway does it for all;
	// what the others do, if anything, is for themselves.
	work func(ctx context.Context, held bool) error
}

// dutyRounds is for how many rounds a gateway that died holds its duty up.
const dutyRounds = 5

// serveDuty does a duty until ctx ends.
func (g *Gateway) serveDuty(ctx context.Context, d duty) {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		held, err := g.store.Hold(ctx, d.name, g.name, time.Now(), dutyRounds*d.every)
		// The smallest thing that is written, and every second by one duty or another.
		g.unwritten.Store(err != nil && ctx.Err() == nil)
		if err == nil {
			err = d.work(ctx, held)
		}
		if err != nil && ctx.Err() == nil {
			g.log.ErrorContext(ctx, "a duty was not done; tried again shortly", "duty", d.name, "error", err)
		}
		select {
		case <-ctx.Done():
			if held {
				g.handBack(ctx, d.name)
			}
			return
		case <-tick.C:
		}
	}
}

// handBack gives a duty up at once, so that the next gateway need not wait for
// it to run out.
func (g *Gateway) handBack(ctx context.Context, duty string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := g.store.Hold(ctx, duty, g.name, time.Now(), 0); err != nil {
		g.log.WarnContext(ctx, "a duty was not handed back; it runs out by itself", "duty", duty, "error", err)
	}
}

// sweepEvery is how often claims whose time is up are ended.
const sweepEvery = time.Second

// sweep ends claims whose time is up.
func (g *Gateway) sweep(ctx context.Context, held bool) error {
	if !held {
		return nil
	}
	_, err := g.desk.ExpireDue(ctx)
	return err
}
