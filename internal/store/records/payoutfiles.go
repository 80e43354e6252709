package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/money"
)

// payoutFilePlace is what a file for a bank is sealed for.
func payoutFilePlace(id int64) string { return "payout file " + strconv.FormatInt(id, 10) }

// KeepPayoutFile keeps a file for a bank under a new number.
func (r *Records) KeepPayoutFile(ctx context.Context, f *batch.File) (id int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		if id, err = reserveIDs(ctx, tx, 1); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO payout_files (id, desk, wallet, name, made_at, actor, orders, total, content)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, f.Desk, f.Wallet, f.Name, Micros(f.MadeAt), f.Actor, int64(f.Orders), int64(f.Total), r.Key.Seal(f.Content, payoutFilePlace(id)))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keep a payout file: %w", err)
	}
	return id, nil
}

const payoutFileColumns = `id, desk, wallet, name, made_at, actor, orders, total`

func scanPayoutFile(row Row, more ...any) (f batch.File, err error) {
	var madeAt, total int64
	err = row.Scan(append([]any{&f.ID, &f.Desk, &f.Wallet, &f.Name, &madeAt, &f.Actor, &f.Orders, &total}, more...)...)
	f.MadeAt, f.Total = Time(madeAt), money.Paise(total)
	return f, err
}

// PayoutFiles lists files for banks without their content, the newest first.
func (r *Records) PayoutFiles(ctx context.Context, before int64, limit int) (list []batch.File, err error) {
	query, args := `SELECT `+payoutFileColumns+` FROM payout_files`, []any{}
	if before != 0 {
		query, args = query+` WHERE id < $1`, append(args, before)
	}
	err = each(ctx, r.Read, func(row Row) error {
		f, err := scanPayoutFile(row)
		list = append(list, f)
		return err
	}, fmt.Sprintf(`%s ORDER BY id DESC LIMIT %d`, query, limit), args...)
	return list, err
}

// PayoutFile gives a file for a bank, or batch.ErrNoFile.
func (r *Records) PayoutFile(ctx context.Context, id int64) (*batch.File, error) {
	var sealed []byte
	f, err := scanPayoutFile(r.Read.QueryRowContext(ctx, `SELECT `+payoutFileColumns+`, content FROM payout_files WHERE id = $1`, id), &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, batch.ErrNoFile
	}
	if err != nil {
		return nil, err
	}
	if f.Content, err = r.Key.Open(sealed, payoutFilePlace(id)); err != nil {
		return nil, fmt.Errorf("payout file %d: %w", id, err)
	}
	return &f, nil
}

// CountPayoutFiles counts the files of a desk since a time.
func (r *Records) CountPayoutFiles(ctx context.Context, desk string, since time.Time) (count int, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT COUNT(*) FROM payout_files WHERE desk = $1 AND made_at >= $2`, desk, Micros(since)).Scan(&count)
	return count, err
}
