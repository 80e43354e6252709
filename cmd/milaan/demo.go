package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/internal/server"
)

type demoCommand struct {
	Dir   string `type:"path" placeholder:"DIR" help:"Keep the demo's data there; else a temporary folder, removed at the end."`
	Auto  bool   `help:"Play payments and a refund through, print each step with its JSON, and exit."`
	Empty bool   `help:"Begin with no payments: leave out the month that the console shows else."`
}

// Help stands under the one line of the command.
func (demoCommand) Help() string {
	return "--listen=ADDRESS moves the gateway to that address of this computer, such as 127.0.0.1:9000, " +
		"and the shop and the bank to the next two ports. Without it, the demo takes 8080 to 8082, or free ports instead of those in use."
}

// Run shows everything on this computer. Of the settings it heeds only the
// flag --listen: what the environment and a file say is meant for a real
// gateway.
func (d demoCommand) Run(ctx context.Context, s *settings, term terminal) error {
	log := slog.New(slog.NewTextHandler(term.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err := demo.Run(ctx, demo.Options{
		Dir: d.Dir, Listen: s.flags.given()["listen"], Auto: d.Auto, Empty: d.Empty, Out: term.out, Now: time.Now, Log: log,
		Open: func(ctx context.Context, i demo.Installation) (demo.Gateway, error) { return openDemo(ctx, i, log) },
	})
	if errors.Is(err, demo.ErrListen) {
		return usageError{err}
	}
	return err
}

// demoGateway is a gateway that the demo may verify, too.
type demoGateway struct{ *server.Gateway }

// Verify checks every invariant.
func (g demoGateway) Verify(ctx context.Context) (demo.Books, error) {
	report, err := g.Store().Verify(ctx)
	return demo.Books{
		Credits: report.Credits, Claims: report.Claims, Deposits: report.Deposits, Postings: report.Postings,
		Postbacks: report.Postbacks, AuditEntries: report.AuditEntries,
		Held: report.Held, Unclaimed: report.Unclaimed, Owed: report.Owed, OnHold: report.OnHold, Fees: report.Fees, Problems: report.Problems,
	}, err
}

// openDemo opens a gateway on a database that the demo prepared: it knows the
// installation from its first request on.
func openDemo(ctx context.Context, i demo.Installation, log *slog.Logger) (demo.Gateway, error) {
	config := server.DefaultConfig()
	config.DatabaseURL, config.Listen = i.DatabaseURL, i.Listen
	config.AdminListen = "127.0.0.1:0"
	config.AllowPrivateTargets = true // the shop is on loopback
	config.PostbackFirstRetry = time.Second
	db, err := server.OpenStore(ctx, config)
	if err != nil {
		return nil, err
	}
	if err = errors.Join(i.Prepare(ctx, db), db.Close()); err != nil {
		return nil, err
	}
	gateway, err := server.Open(ctx, config, log)
	if err != nil {
		return nil, err // not gateway: a nil *server.Gateway is no nil Gateway
	}
	return demoGateway{gateway}, nil
}
