package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/fx"
)

// SaveRates keeps a set of exchange rates and gives it its number. A set that
// says the same as the newest is that one.
func (r *Records) SaveRates(ctx context.Context, rates *fx.Rates) (saved *fx.Rates, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		newest, err := scanRates(tx.QueryRowContext(ctx, newestRates))
		if err == nil && newest.Same(rates) {
			saved = newest
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		id, err := reserveIDs(ctx, tx, 1)
		if err != nil {
			return err
		}
		saved = rates.WithID(id)
		_, err = tx.ExecContext(ctx, `INSERT INTO rates (id, fetched_at, body) VALUES ($1, $2, $3)`,
			id, Micros(rates.FetchedAt), rates.Encode())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep exchange rates: %w", err)
	}
	return saved, nil
}

const newestRates = `SELECT id, body FROM rates ORDER BY id DESC LIMIT 1`

// NewestRates returns the set that was kept last, or fx.ErrNoRates.
func (r *Records) NewestRates(ctx context.Context) (*fx.Rates, error) {
	return ratesFound(scanRates(r.Read.QueryRowContext(ctx, newestRates)))
}

// Rates returns a set by its number, or fx.ErrNoRates.
func (r *Records) Rates(ctx context.Context, id int64) (*fx.Rates, error) {
	return ratesFound(scanRates(r.Read.QueryRowContext(ctx, `SELECT id, body FROM rates WHERE id = $1`, id)))
}

func ratesFound(rates *fx.Rates, err error) (*fx.Rates, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fx.ErrNoRates
	}
	return rates, err
}

func scanRates(row Row) (*fx.Rates, error) {
	var id int64
	var body []byte
	if err := row.Scan(&id, &body); err != nil {
		return nil, err
	}
	rates, err := fx.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("rates %d: %w", id, err)
	}
	return rates.WithID(id), nil
}
