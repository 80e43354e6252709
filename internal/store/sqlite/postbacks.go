package sqlite

import (
	"context"
	"fmt"

	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/store/records"
)

// Record writes what became of leased events, see postback.Store.
func (db *DB) Record(ctx context.Context, results []postback.Result) error {
	return db.transact(ctx, func(records.Tx) error {
		for i := range results {
			if _, err := db.statements.setPostback.ExecContext(ctx, records.RecordValues(&results[i])...); err != nil {
				return fmt.Errorf("record event %d: %w", results[i].EventID, err)
			}
			if attempt := records.AttemptValues(&results[i]); attempt != nil {
				if _, err := db.statements.addAttempt.ExecContext(ctx, attempt...); err != nil {
					return fmt.Errorf("record an attempt at event %d: %w", results[i].EventID, err)
				}
			}
		}
		return nil
	})
}
