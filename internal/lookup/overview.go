package lookup

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/money"
)

// MostCounted is where counting ends.
const MostCounted = 10_000

// Outbox is what merchants are still to be told, up to [MostCounted] of each.
type Outbox struct {
	Due  int64 // to be delivered, or held for an endpoint
	Dead int64 // given up
}

// Overviews reads how everything is.
type Overviews interface {
	// Tallies gives what happened at a merchant, or at all where that is empty, by
	// quarters of an hour (see deposit.QuarterOf) from the one that holds from to the
	// one before that which holds to. Those in which nothing happened are left out.
	Tallies(ctx context.Context, merchant string, from, to time.Time) (map[int64]deposit.Tally, error)
	// WalletBalances gives what each wallet holds by the books.
	WalletBalances(ctx context.Context) (map[string]money.Paise, error)
	// Outbox counts what a merchant, or all where that is empty, is still to be told.
	Outbox(ctx context.Context, merchant string) (Outbox, error)
}
