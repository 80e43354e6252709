package month

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/sandbox"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
)

// rooms are those of a gateway, on the month's clock: what they do is what a
// gateway does at that hour, audit entries and postings with it.
type rooms struct {
	clock     *clock
	store     store.Store
	directory *directory.Cache
	desk      *deposit.Desk
	reader    *intake.Reader
	importer  *intake.Importer
	office    *payout.Office
	settler   *settlement.Settler
	scheduler *settlement.Scheduler
	control   *postback.Control
	courier   *courier
	staff     *staff.Desk
}

// open makes the rooms.
func (r *rooms) open(ctx context.Context, outages map[string]Outage) error {
	log, now := slog.New(slog.DiscardHandler), r.clock.Now
	var err error
	if r.directory, err = directory.OpenCache(ctx, r.store); err != nil {
		return err
	}
	rates, err := fx.OpenKeeper(ctx, r.store, nil, "", now)
	if err != nil {
		return err
	}
	if r.reader, err = intake.New(net.DefaultResolver.LookupTXT, now); err != nil {
		return err
	}
	merchants, err := NewReceiver(r.directory.Current(), outages, now, log)
	if err != nil {
		return err
	}
	transport := http.RoundTripper(wire{merchants, r.clock})
	r.courier = &courier{Archive: r.store, ill: merchants.down, moved: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	delivery := postback.Config{
		Store: r.courier, Rates: r.store, Directory: r.directory, Transport: transport, Now: now,
		Metrics: postback.NewMetrics(prometheus.NewRegistry()), Log: log,
		// One at a time, so that an answer's time is its own.
		MerchantSlots: 1, SweepEvery: 2 * time.Millisecond,
	}
	r.courier.worker = postback.NewWorker(delivery)
	r.control = postback.NewControl(r.store, delivery)
	r.desk = deposit.NewDesk(deposit.Config{
		Store: r.store, Directory: r.directory, Policy: deposit.DefaultPolicy(), Now: now, RatesID: rates.ID,
		Outbox: r.courier, Metrics: deposit.NewMetrics(prometheus.NewRegistry()), Log: log, Committers: 1,
	})
	provider := sandbox.New(now)
	r.office = &payout.Office{Config: payout.Config{
		Store: r.store, Directory: r.directory, RatesID: rates.ID, Now: now, Log: log,
		Provider: func(d *directory.PayoutDesk) (payout.Provider, error) {
			if d.Kind == directory.PayoutSandbox {
				return provider, nil
			}
			return nil, nil
		},
	}}
	r.settler = &settlement.Settler{Store: r.store, Office: r.office, Log: log}
	r.scheduler = &settlement.Scheduler{Settler: r.settler}
	r.importer = &intake.Importer{Desk: r.desk, Ledger: r.store, Payouts: r.office, Now: now}
	r.staff = staff.NewDesk(staff.Config{Store: r.store.Staff(), Now: now, Cost: quickCost, Log: log})
	return nil
}

// during runs the desk and the worker while something is done, and ends them as
// a gateway does.
func (r *rooms) during(ctx context.Context, do func(context.Context) error) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var stage errgroup.Group
	stage.Go(func() error { return r.desk.Run(running) })
	stage.Go(func() error { return r.courier.worker.Run(running) })
	err := do(ctx)
	stop()
	if ended := stage.Wait(); err == nil {
		err = ended
	}
	return err
}
