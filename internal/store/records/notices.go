package records

import (
	"context"
	"encoding/json"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/notice"
)

// Notices keep what the operator was told, see notice.Store.
func (r *Records) Notices() notice.Store { return notices{r} }

type notices struct{ *Records }

// Load gives what was kept, by the key of the trouble.
func (n notices) Load(ctx context.Context) (map[string]json.RawMessage, error) {
	states := make(map[string]json.RawMessage)
	err := each(ctx, n.Read, func(row Row) error {
		var key, state string
		err := row.Scan(&key, &state)
		states[key] = json.RawMessage(state)
		return err
	}, `SELECT key, state FROM notices`)
	return states, err
}

// Save keeps these states and no others.
func (n notices) Save(ctx context.Context, states map[string]json.RawMessage) error {
	return n.Write(ctx, func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM notices`); err != nil {
			return err
		}
		for key, state := range states {
			if _, err := tx.ExecContext(ctx, `INSERT INTO notices (key, state) VALUES ($1, $2)`, key, string(state)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Disputes lists bound credits that a bank reported otherwise, or took back,
// after they were credited: a person has to decide. Oldest first, from after the
// given id on.
func (r *Records) Disputes(ctx context.Context, after int64, limit int) (list []*deposit.Credit, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		c, err := ScanCredit(row)
		list = append(list, c)
		return err
	}, `SELECT `+CreditColumns+` FROM credits WHERE contested = 1 AND state = 'bound' AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	return list, err
}
