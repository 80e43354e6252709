package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/store/records"
)

// Record writes what became of leased events, see postback.Store: in one trip.
func (db *DB) Record(ctx context.Context, results []postback.Result) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquire a connection: %w", err)
	}
	defer conn.Release()
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	results = slices.SortedFunc(slices.Values(results), func(a, b postback.Result) int { return cmp.Compare(a.EventID, b.EventID) })
	var f flight
	for i := range results {
		f.exec(records.RecordStatement, records.RecordValues(&results[i])...)
	}
	for i := range results {
		if attempt := records.AttemptValues(&results[i]); attempt != nil {
			f.exec(records.AttemptStatement, attempt...)
		}
	}
	// Statements that cross the wire together are one transaction.
	if err := f.send(ctx, conn); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	return nil
}
