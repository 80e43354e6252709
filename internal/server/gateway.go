package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/api"
	"github.com/milaan/milaan/internal/console"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/patience"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/trace"
	"github.com/milaan/milaan/internal/window"
)

// OpenStore opens the database the settings name.
func OpenStore(ctx context.Context, c Config) (store.Store, error) {
	location, err := store.ParseLocation(c.DatabaseURL)
	if err != nil {
		return nil, err
	}
	key, made, err := c.key(location)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, location, key)
	if err != nil && made {
		// The key of a database that is not new is elsewhere; one made up
		// here would only hide that.
		err = errors.Join(err, os.Remove(location.KeyFile()))
	}
	return db, err
}

// Tools are what commands settle things with themselves, beside a gateway or
// without one.
type Tools struct {
	Desk     *deposit.Desk // the caller runs it
	Office   *payout.Office
	Settler  *settlement.Settler
	Importer *intake.Importer
	Store    store.Store // the caller closes it
}

// Clerk pays withdrawals by files.
func (t *Tools) Clerk() *batch.Clerk { return &batch.Clerk{Office: t.Office, Store: t.Store} }

// OpenTools opens the database the settings name, and makes tools for it.
func OpenTools(ctx context.Context, c Config, log *slog.Logger) (*Tools, error) {
	db, err := OpenStore(ctx, c)
	if err != nil {
		return nil, err
	}
	dir, err := directory.OpenCache(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	rates, err := fx.OpenKeeper(ctx, db, nil, "", time.Now)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	t := &Tools{Store: db}
	// No outbox: a running gateway, or the next one, delivers.
	t.Desk = deposit.NewDesk(deposit.Config{
		Store: db, Directory: dir, Policy: c.policy(), Now: time.Now, RatesID: rates.ID, Outage: store.Outage,
		Metrics: deposit.NewMetrics(prometheus.NewRegistry()), Log: log,
	})
	// Nor a worker: the gateway sends.
	t.Office = &payout.Office{Config: payout.Config{
		Store: db, Directory: dir, RatesID: rates.ID, Now: time.Now, Log: log,
		Provider: func(*directory.PayoutDesk) (payout.Provider, error) { return nil, nil },
	}}
	t.Settler = &settlement.Settler{Store: db, Office: t.Office, Log: log}
	t.Importer = &intake.Importer{Desk: t.Desk, Ledger: db, Payouts: t.Office, Now: time.Now}
	return t, nil
}

// OpenControl makes what an operator controls postbacks with, beside a gateway
// or without one: a running gateway, or the next one, sends what is made due.
// The caller closes the store.
func OpenControl(ctx context.Context, c Config) (*postback.Control, store.Store, error) {
	allowed, err := c.postbackAllow()
	if err != nil {
		return nil, nil, err
	}
	db, err := OpenStore(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	dir, err := directory.OpenCache(ctx, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return postback.NewControl(db, postback.Config{
		Directory: dir, Rates: db, Now: time.Now, Transport: postback.NewTransport(c.AllowPrivateTargets, allowed...),
	}), db, nil
}

// Gateway is a gateway of one process: its store, desk, worker and doors.
type Gateway struct {
	config    Config
	log       *slog.Logger
	store     store.Store
	embedded  bool
	directory *directory.Cache
	rates     *fx.Keeper
	desk      *deposit.Desk
	worker    *postback.Worker
	control   *postback.Control
	intake    *intake.Reader
	office    *payout.Office
	importer  *intake.Importer
	outside   http.RoundTripper // for what the operator's settings name
	feeds     *feedGauges
	payouts   *payoutGauges
	growth    *growth
	providers providers
	registry  *prometheus.Registry
	tracer    *trace.Tracer // nil where nothing is traced
	window    *window.Door
	staff     *staff.Desk
	console   *console.Door // nil where it is off
	door      http.Handler
	name      string // tells this process from others, for duties
	ready     atomic.Bool
	draining  atomic.Bool
	unwritten atomic.Bool  // the last attempt to write what a gateway writes anyway failed
	lock      *flock.Flock // of an embedded database, which has one gateway
	public    net.Listener
	crowd     *crowd // the same
	admin     net.Listener

	proxies      []netip.Prefix
	certificates *certificates // nil where a proxy ends TLS
	plain        net.Listener  // redirects to HTTPS; nil where nothing does
}

// Open opens the database and the listeners, so that what is wrong with either
// shows before anything runs.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Gateway, error) {
	location, err := store.ParseLocation(c.DatabaseURL)
	if err != nil {
		return nil, err
	}
	g := &Gateway{config: c, log: log, embedded: location.Embedded(), registry: prometheus.NewRegistry(), name: rand.Text()}
	if g.lock, err = claimDatabase(location); err != nil {
		return nil, err
	}
	if g.store, err = OpenStore(ctx, c); err != nil {
		return nil, errors.Join(err, g.lock.Close())
	}
	if err := g.assemble(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if g.proxies, err = networks("trusted_proxies", c.TrustedProxies); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	if err := g.openCertificates(location); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	var listen net.ListenConfig
	if g.public, err = listen.Listen(ctx, "tcp", c.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: set MILAAN_LISTEN to a free address such as 127.0.0.1:8080", err), g.Close())
	}
	g.crowd = newCrowd(g.public, c.MaxConnections)
	g.public = g.crowd
	if g.admin, err = listen.Listen(ctx, "tcp", c.AdminListen); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: set MILAAN_ADMIN_LISTEN to a free address such as 127.0.0.1:9090", err), g.Close())
	}
	if c.RedirectListen != "" {
		if g.plain, err = listen.Listen(ctx, "tcp", c.RedirectListen); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: set MILAAN_REDIRECT_LISTEN to a free address such as :80", err), g.Close())
		}
		g.plain = netutil.LimitListener(g.plain, c.MaxConnections)
	}
	return g, nil
}

// claimDatabase makes sure that this is the only gateway of an embedded
// database: two would work, but send every postback twice. The lock ends with
// the process, however that ends.
func claimDatabase(location store.Location) (*flock.Flock, error) {
	if !location.Embedded() {
		return flock.New(os.DevNull), nil // never taken
	}
	lock := flock.New(location.Path+".lock", flock.SetPermissions(0o600))
	taken, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w: does its folder exist?", err)
	}
	if !taken {
		return nil, fmt.Errorf("another gateway serves %s: stop it first, or use PostgreSQL for more than one", location.Path)
	}
	return lock, nil
}

func (g *Gateway) assemble(ctx context.Context) error {
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if g.directory, err = directory.OpenCache(ctx, g.store); err != nil {
		return err
	}
	client := &http.Client{Timeout: 30 * time.Second}
	if g.rates, err = fx.OpenKeeper(ctx, g.store, client, g.config.RatesURL, time.Now); err != nil {
		return err
	}
	if err := g.registerRates(); err != nil {
		return err
	}
	if err := g.openTracer(ctx); err != nil {
		return err
	}
	if g.embedded {
		// What the last process took with it into its end is due again.
		if err := g.store.ReleaseLeases(ctx, time.Now()); err != nil {
			return err
		}
	}
	allowed, err := g.config.postbackAllow()
	if err != nil {
		return err
	}
	outgoing := postback.NewTransport(g.config.AllowPrivateTargets, allowed...)
	g.control = postback.NewControl(g.store, postback.Config{Directory: g.directory, Rates: g.store, Transport: outgoing, Now: time.Now})
	g.worker = postback.NewWorker(postback.Config{
		Store: g.store, Rates: g.store, Directory: g.directory, Now: time.Now,
		Transport: outgoing,
		Schedule:  postback.Schedule{First: g.config.PostbackFirstRetry, Jitter: mathrand.Int64N},
		Tracer:    g.tracer,
		Metrics:   postback.NewMetrics(g.registry), Log: g.log,
	})
	g.outside = postback.NewTransport(g.config.AllowPrivateTargets)
	g.providers.outside = g.outside
	g.feeds = newFeedGauges(g.registry)
	g.payouts = newPayoutGauges(g.registry)
	g.growth = newGrowth(g.registry)
	g.desk = deposit.NewDesk(deposit.Config{
		Store: g.store, Directory: g.directory, Policy: g.config.policy(), Now: time.Now, RatesID: g.rates.ID,
		Outbox: g.worker, Outage: store.Outage, Tracer: g.tracer, Metrics: deposit.NewMetrics(g.registry), Log: g.log,
		// Two at once on PostgreSQL made smaller batches and did no more.
		Committers: 1,
	})
	g.office = &payout.Office{Config: payout.Config{
		Store: g.store, Directory: g.directory, Provider: g.providers.of, RatesID: g.rates.ID, Now: time.Now, Log: g.log,
	}}
	if g.intake, err = intake.New(net.DefaultResolver.LookupTXT, time.Now); err != nil {
		return err
	}
	g.importer = &intake.Importer{Desk: g.desk, Ledger: g.store, Payouts: g.office, Now: time.Now}
	door := api.New(api.Config{
		Desk: g.desk, Store: g.store, Directory: g.directory, Now: time.Now,
		Office: g.office, Vault: g.store,
		Intake: g.intake, Importer: g.importer, Outage: store.Outage,
		Tracer: g.tracer, Metrics: api.NewMetrics(g.registry), Log: g.log,
	})
	mux := http.NewServeMux()
	mux.Handle("/feeds/", door.Feeds()) //nolint:contextcheck // a call holds its request, and with it the context
	manage, err := g.openManagement()   //nolint:contextcheck // a call holds its request, and with it the context
	if err != nil {
		return err
	}
	mux.Handle("/v3/", manage)
	mux.Handle("/payouts/{desk}", door.Payouts())
	mux.Handle("/", door.Merchants())            //nolint:contextcheck // the same
	if g.window, err = window.New(window.Config{ //nolint:contextcheck // a visit holds its request
		Desk: g.desk, Store: g.store, Directory: g.directory, Now: time.Now,
		AllowLoopback: g.config.AllowPrivateTargets, Outage: store.Outage, Tracer: g.tracer, Log: g.log,
	}); err != nil {
		return err
	}
	g.door = g.window.Before(mux)
	return g.openConsole() //nolint:contextcheck // a visit holds its request
}

// registerRates shows how old the exchange rates are, where they are read anew: the
// bundled ones only get older, which is no alarm.
func (g *Gateway) registerRates() error {
	if g.config.RatesURL == "" {
		return nil
	}
	return g.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "milaan_rates_age_seconds", Help: "Age of the exchange rates in force.",
	}, func() float64 { return time.Since(g.rates.Current().AsOf).Seconds() }))
}

// RedirectAddr is where http:// is sent to https:// from; nil where nothing does.
func (g *Gateway) RedirectAddr() net.Addr {
	if g.plain == nil {
		return nil
	}
	return g.plain.Addr()
}

// Addr is where the doors listen.
func (g *Gateway) Addr() net.Addr { return g.public.Addr() }

// AdminAddr is where metrics and health are served.
func (g *Gateway) AdminAddr() net.Addr { return g.admin.Addr() }

// Store is the gateway's database.
func (g *Gateway) Store() store.Store { return g.store }

// Close releases what Open took, of a gateway that does not run.
func (g *Gateway) Close() error {
	var errs []error
	for _, l := range []net.Listener{g.public, g.admin, g.plain} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(append(errs, g.store.Close(), g.lock.Close())...)
}

// Run serves until ctx ends, then stops in order: no new requests, those in
// flight answered, the desk emptied, attempts to deliver finished, the
// database closed.
func (g *Gateway) Run(ctx context.Context) error {
	// Each stage has a life of its own, ended when nothing needs it any more.
	doors, closeDoors := context.WithCancel(ctx)
	defer closeDoors()
	deskLife, closeDesk := context.WithCancel(context.WithoutCancel(ctx))
	defer closeDesk()
	workerLife, closeWorker := context.WithCancel(context.WithoutCancel(ctx))
	defer closeWorker()

	g.tracer.Start()
	var backstage, stage errgroup.Group
	backstage.Go(func() error { return g.worker.Run(workerLife) })
	backstage.Go(func() error {
		defer closeWorker()
		return g.desk.Run(deskLife)
	})
	backstage.Go(func() error { g.directory.Follow(deskLife, followEvery, g.log); return nil })
	backstage.Go(func() error { g.rates.Follow(deskLife, g.config.RatesEvery, g.log); return nil })
	backstage.Go(func() error { g.serveDuty(deskLife, duty{"expire claims", sweepEvery, g.sweep}); return nil })
	watch := watch{Gateway: g}
	backstage.Go(func() error { g.serveDuty(doors, duty{"tell the operator", watchEvery, watch.round}); return nil })
	backstage.Go(func() error { g.serveDuty(doors, duty{"keep house", keepHouseEvery, g.keepHouse}); return nil })
	backstage.Go(func() error { return g.postman().Run(doors) })
	backstage.Go(func() error {
		g.serveDuty(doors, duty{"tell of unclaimed credits", unclaimedEvery(g.config.UnclaimedAfter), g.tellUnclaimed})
		return nil
	})
	backstage.Go(func() error { g.serveDuty(doors, duty{"send withdrawals", payoutsEvery, g.sendPayouts}); return nil })
	backstage.Go(func() error { g.serveDuty(doors, duty{"send reports", reportEvery, g.reporting()}); return nil })
	backstage.Go(func() error { g.serveDuty(doors, duty{"settle balances", settleEvery, g.settling()}); return nil })

	public := g.httpServer(&front{g.proxies, &g.draining, patience.Bound(g.door, answerWithin)})
	public.ConnState = g.crowd.note
	public.RegisterOnShutdown(g.window.Close)
	plain := g.httpServer(nil)
	if g.plain != nil {
		// Not before: certificates count on port 80 once there is what answers it.
		plain.Handler = &front{draining: &g.draining, next: g.redirect()}
		stage.Go(func() error { defer closeDoors(); return serve(plain, g.plain) })
	}
	if g.certificates != nil {
		public.TLSConfig = g.certificates.config()
		backstage.Go(func() error { return g.certificates.keep(doors) })
	}
	admin := g.httpServer(g.adminHandler())
	stage.Go(func() error { defer closeDoors(); return serve(public, g.public) })
	stage.Go(func() error { defer closeDoors(); return serve(admin, g.admin) })
	g.ready.Store(true)
	g.log.InfoContext(ctx, "milaan is ready", "listen", g.Addr().String(), "admin", g.AdminAddr().String())

	<-doors.Done()
	g.ready.Store(false)
	g.log.InfoContext(ctx, "milaan is stopping", "serves_for", g.config.DrainDelay)
	g.drain(ctx, stage.Wait)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.StopAfter)
	defer cancel()
	err := errors.Join(public.Shutdown(stopping), plain.Shutdown(stopping), admin.Shutdown(stopping), stage.Wait())
	if g.console != nil {
		g.console.Close()
	}
	closeDesk()
	err = errors.Join(err, backstage.Wait(), g.store.Close(), g.lock.Close())
	g.closeTracer(stopping) // last: nobody's money waits for it
	return err
}

// drain serves on for a while after /readyz said no, so that whoever sends requests
// here finds out before the listeners close. It ends early where one has failed.
func (g *Gateway) drain(ctx context.Context, served func() error) {
	if ctx.Err() == nil || g.config.DrainDelay == 0 { // not told to stop: a listener failed
		return
	}
	g.draining.Store(true)
	over := make(chan struct{})
	go func() {
		_ = served() // told of below
		close(over)
	}()
	select {
	case <-time.After(g.config.DrainDelay):
	case <-over:
	}
}

// postman reads the mailboxes that feeds name.
func (g *Gateway) postman() *intake.Postman {
	return &intake.Postman{
		Reader: g.intake, Desk: g.desk, Directory: g.directory, Positions: g.store, Log: g.log,
		Hold: func(ctx context.Context, duty string) (bool, error) {
			return g.store.Hold(ctx, duty, g.name, time.Now(), time.Minute)
		},
	}
}

func serve(s *http.Server, l net.Listener) error {
	listen := s.Serve
	if s.TLSConfig != nil {
		listen = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	if err := listen(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Limits of a connection: slow and silent clients are cut off.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 20 * time.Second
	answerTimeout = 60 * time.Second
	answerWithin  = 30 * time.Second // after which a request is told to come again
	idleTimeout   = 120 * time.Second
	headerBytes   = 16 << 10
)

func (g *Gateway) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// followEvery is how often a gateway looks for a new directory. Batches look
// themselves; this is for those who only read it.
const followEvery = 250 * time.Millisecond
