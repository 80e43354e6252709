package server

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/store"
)

// openManagement makes the door of the management API.
func (g *Gateway) openManagement() (*management.Door, error) {
	return management.New(management.Config{
		Desk: g.desk, Office: g.office, Postbacks: g.control, Store: g.store, Directory: g.directory, Reconcile: g.reconcile, Now: time.Now,
		Tracer: g.tracer, Metrics: management.NewMetrics(g.registry), Outage: store.Outage, Log: g.log,
	})
}

// reconcile compares a statement with the books, in the words of the API.
func (g *Gateway) reconcile(ctx context.Context, s feed.Statement) (management.Reconciliation, error) {
	r, err := g.store.Reconcile(ctx, s)
	if err != nil {
		return management.Reconciliation{}, err
	}
	books := management.Books{
		Statement: s, Settled: r.Settled(), Credits: r.Credits, Income: r.Income, Debits: r.Debits, Ledger: r.Ledger,
		Open: r.Open, Unseen: r.Unseen, Contested: r.Contested, More: r.MoreOpen || r.MoreUnseen || r.MoreContested,
	}
	if difference, ok := r.Difference(); ok {
		books.Difference = &difference
	}
	return management.NewReconciliation(&books), nil
}
