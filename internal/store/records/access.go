package records

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/audit"
)

const keyColumns = `id, name, merchant, scopes, created_at, expires_at, used_at, revoked_at`

func scanKey(row Row) (k access.Key, err error) {
	var scopes string
	var createdAt, expiresAt, usedAt, revokedAt int64
	err = row.Scan(&k.ID, &k.Name, &k.Merchant, &scopes, &createdAt, &expiresAt, &usedAt, &revokedAt)
	for scope := range strings.SplitSeq(scopes, " ") {
		k.Scopes = append(k.Scopes, access.Scope(scope))
	}
	k.CreatedAt, k.ExpiresAt, k.UsedAt, k.RevokedAt = Time(createdAt), Time(expiresAt), Time(usedAt), Time(revokedAt)
	return k, err
}

// AddKey keeps a key, see access.Keys.
func (r *Records) AddKey(ctx context.Context, k access.Key, hash access.Hash, actor string) (id int64, err error) {
	scopes := make([]string, len(k.Scopes))
	for i, s := range k.Scopes {
		scopes[i] = string(s)
	}
	err = r.Write(ctx, func(tx Tx) error {
		if id, err = reserveIDs(ctx, tx, 1); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO api_keys (hash, `+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`,
			hash[:], id, k.Name, k.Merchant, strings.Join(scopes, " "), Micros(k.CreatedAt), Micros(k.ExpiresAt)); err != nil {
			return err
		}
		return appendAudit(ctx, tx, []audit.Entry{{
			At: k.CreatedAt, Actor: actor, Action: "key.created", Subject: id,
			Why: "of " + k.Owner() + ": " + strings.Join(scopes, " "),
		}})
	})
	if err != nil {
		return 0, fmt.Errorf("keep a key: %w", err)
	}
	return id, nil
}

// FindKey returns the key with that hash, see access.Keys.
func (r *Records) FindKey(ctx context.Context, hash access.Hash) (access.Key, error) {
	k, err := scanKey(r.Read.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = $1`, hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return access.Key{}, access.ErrNoKey
	}
	return k, err
}

// Keys lists all keys, see access.Keys.
func (r *Records) Keys(ctx context.Context) (keys []access.Key, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		k, err := scanKey(row)
		keys = append(keys, k)
		return err
	}, `SELECT `+keyColumns+` FROM api_keys ORDER BY id DESC`)
	return keys, err
}

// RevokeKey ends a key, see access.Keys.
func (r *Records) RevokeKey(ctx context.Context, id int64, now time.Time, actor string) error {
	return r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0`, Micros(now), id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(access.ErrNoKey, err)
		}
		return appendAudit(ctx, tx, []audit.Entry{{At: now, Actor: actor, Action: "key.revoked", Subject: id}})
	})
}

// KeyUsed notes that a key was used, see access.Keys.
func (r *Records) KeyUsed(ctx context.Context, id int64, now time.Time) error {
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE api_keys SET used_at = $1 WHERE id = $2 AND used_at < $3`, Micros(now), id, Micros(now))
		return err
	})
}

// answerPlace is what an answer is sealed for.
func answerPlace(c access.Call) string { return "answer " + c.Owner + " " + c.Key }

// BeginCall takes a call on, see access.Calls.
func (r *Records) BeginCall(ctx context.Context, c access.Call, now time.Time) (answer *access.Answer, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		// Of two at once, one inserts; the other waits for it and inserts nothing. What
		// is too old to count is taken over.
		result, err := tx.ExecContext(ctx, `INSERT INTO answers (owner, key, request, started_at, status, sealed) VALUES ($1, $2, $3, $4, 0, $5)
			ON CONFLICT (owner, key) DO UPDATE SET request = excluded.request, started_at = excluded.started_at, status = 0, sealed = excluded.sealed
			WHERE answers.started_at <= $6 OR answers.status = 0 AND answers.started_at <= $7 AND answers.request = excluded.request`,
			c.Owner, c.Key, c.Request[:], Micros(now), []byte{}, Micros(now.Add(-access.AnswersKept)), Micros(now.Add(-access.CallTime)))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var request, sealed []byte
		var status int
		if err := tx.QueryRowContext(ctx, `SELECT request, status, sealed FROM answers WHERE owner = $1 AND key = $2`, c.Owner, c.Key).
			Scan(&request, &status, &sealed); err != nil {
			return err
		}
		switch {
		case !bytes.Equal(request, c.Request[:]):
			return access.ErrOtherCall
		case status == 0:
			return access.ErrCallRuns
		}
		plain, err := r.Key.Open(sealed, answerPlace(c))
		if err != nil {
			return err
		}
		return json.Unmarshal(plain, &answer)
	})
	if err != nil {
		return nil, fmt.Errorf("begin a call: %w", err)
	}
	return answer, nil
}

// EndCall keeps a call's answer, see access.Calls.
func (r *Records) EndCall(ctx context.Context, c access.Call, answer *access.Answer) error {
	return r.Write(ctx, func(tx Tx) error {
		if answer == nil {
			_, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE owner = $1 AND key = $2 AND status = 0`, c.Owner, c.Key)
			return err
		}
		plain, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE answers SET status = $1, sealed = $2 WHERE owner = $3 AND key = $4 AND request = $5`,
			answer.Status, r.Key.Seal(plain, answerPlace(c)), c.Owner, c.Key, c.Request[:])
		return err
	})
}

// DropAnswers forgets old calls, see access.Calls.
func (r *Records) DropAnswers(ctx context.Context, before time.Time, limit int) (dropped int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE (owner, key) IN (
			SELECT owner, key FROM answers WHERE started_at < $1 ORDER BY started_at LIMIT $2)`, Micros(before), limit)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}
