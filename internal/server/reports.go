package server

import (
	"context"
	"errors"
	"time"

	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/internal/settlement"
)

// reportEvery is how often it is looked whether a merchant's day or month is over.
const reportEvery = time.Minute

// reporting gives the round that sends merchants their reports. One gateway does it
// for all.
func (g *Gateway) reporting() func(ctx context.Context, held bool) error {
	courier := &report.Courier{
		Store: g.store, Settler: &settlement.Settler{Store: g.store, Office: g.office, Log: g.log}, Directory: g.directory, Now: time.Now, Log: g.log,
	}
	senders, err := g.config.noticeSenders(g.outside)
	if mail, ok := senders["mail"].(*notice.Mail); ok && err == nil {
		courier.Mail = mail
	}
	return func(ctx context.Context, held bool) error {
		if !held {
			return nil
		}
		return errors.Join(err, courier.Round(ctx))
	}
}
