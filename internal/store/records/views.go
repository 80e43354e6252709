package records

import (
	"context"
	"fmt"

	"github.com/milaan/milaan/internal/staff"
)

// Views lists a user's views, see staff.Store.
func (p people) Views(ctx context.Context, user int64, list string) (views []staff.View, err error) {
	err = each(ctx, p.Read, func(row Row) error {
		v := staff.View{List: list}
		err := row.Scan(&v.Name, &v.Query)
		views = append(views, v)
		return err
	}, `SELECT name, query FROM staff_views WHERE user_id = $1 AND list = $2 ORDER BY name`, user, list)
	return views, err
}

// KeepView keeps a view, see staff.Store.
func (p people) KeepView(ctx context.Context, user int64, v staff.View) error {
	err := p.Write(ctx, func(tx Tx) error {
		// An update that changes nothing locks the user, and with it the count.
		if _, err := tx.ExecContext(ctx, `UPDATE staff SET id = id WHERE id = $1`, user); err != nil {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM staff_views WHERE user_id = $1 AND list = $2 AND name <> $3`, user, v.List, v.Name).
			Scan(&others); err != nil {
			return err
		}
		if others >= staff.MostViews {
			return staff.ErrManyViews
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO staff_views (user_id, list, name, query) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id, list, name) DO UPDATE SET query = excluded.query`, user, v.List, v.Name, v.Query)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a view: %w", err)
	}
	return nil
}

// DropView forgets a view, see staff.Store.
func (p people) DropView(ctx context.Context, user int64, list, name string) error {
	return p.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM staff_views WHERE user_id = $1 AND list = $2 AND name = $3`, user, list, name)
		return err
	})
}
