package records

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/staff"
)

// Staff keeps the people who sign in, see staff.Store.
func (r *Records) Staff() staff.Store { return people{r} }

type people struct{ *Records }

const userColumns = `id, email, handle, epoch, profile, grants, sealed, created_at`

func userPlace(id int64) string { return "staff:" + strconv.FormatInt(id, 10) }

func (p people) scanUser(row Row) (*staff.User, error) {
	var u staff.User
	var profile, grants string
	var sealed []byte
	var createdAt int64
	err := row.Scan(&u.ID, &u.Email, &u.Handle, &u.Epoch, &profile, &grants, &sealed, &createdAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, staff.ErrNoUser
	}
	if err != nil {
		return nil, err
	}
	u.CreatedAt = Time(createdAt)
	secrets, err := p.Key.Open(sealed, userPlace(u.ID))
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		text []byte
		into any
	}{{[]byte(profile), &u.Profile}, {[]byte(grants), &u.Grants}, {secrets, &u.Secrets}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return nil, fmt.Errorf("user %d: %w", u.ID, err)
		}
	}
	return &u, nil
}

// userRow is what a user is stored as, besides the id.
type userRow struct {
	profile, grants string
	sealed          []byte
}

func (p people) rowOf(u *staff.User) (row userRow, err error) {
	profile, profileErr := json.Marshal(u.Profile)
	grants, grantsErr := json.Marshal(u.Grants)
	secrets, secretsErr := json.Marshal(u.Secrets) //nolint:gosec // sealed in the next line
	if err := errors.Join(profileErr, grantsErr, secretsErr); err != nil {
		return row, fmt.Errorf("encode a user: %w", err)
	}
	return userRow{string(profile), string(grants), p.Key.Seal(secrets, userPlace(u.ID))}, nil
}

// AddUser keeps a new user.
func (p people) AddUser(ctx context.Context, u *staff.User, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) (err error) {
		if u.ID, err = reserveIDs(ctx, tx, 1); err != nil {
			return err
		}
		row, err := p.rowOf(u)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO staff (id, email, handle, owner, epoch, profile, grants, sealed, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (email) DO NOTHING`,
			u.ID, u.Email, u.Handle, Flag(u.Owner()), u.Epoch, row.profile, row.grants, row.sealed, Micros(u.CreatedAt))
		if err != nil {
			return fmt.Errorf("keep a user: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, staff.ErrTaken)
		}
		return p.noteOf(ctx, tx, u.ID, notes)
	})
}

// noteOf writes notes about a user who has an id by now.
func (people) noteOf(ctx context.Context, tx Tx, id int64, notes []audit.Entry) error {
	for i := range notes {
		notes[i].Subject = id
	}
	return appendAudit(ctx, tx, notes)
}

// ChangeUser lets change alter a user, alone.
func (p people) ChangeUser(ctx context.Context, id int64, change func(*staff.User) ([]audit.Entry, error)) (u *staff.User, err error) {
	err = p.Write(ctx, func(tx Tx) error {
		// An update that changes nothing locks the row on either engine.
		u, err = p.scanUser(tx.QueryRowContext(ctx, `UPDATE staff SET id = id WHERE id = $1 RETURNING `+userColumns, id))
		if err != nil {
			return err
		}
		wasOwner := u.Owner()
		notes, err := change(u)
		if err != nil {
			return err
		}
		row, err := p.rowOf(u)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE staff SET owner = $1, epoch = $2, profile = $3, grants = $4, sealed = $5 WHERE id = $6`,
			Flag(u.Owner()), u.Epoch, row.profile, row.grants, row.sealed, id); err != nil {
			return fmt.Errorf("change a user: %w", err)
		}
		if err := appendAudit(ctx, tx, notes); err != nil {
			return err
		}
		if wasOwner && !u.Owner() {
			return p.keepOwner(ctx, tx)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// keepOwner fails where no owner is left. Those who ask wait for each other at
// the head of the audit log, so that two owners can't each count on the other.
func (people) keepOwner(ctx context.Context, tx Tx) error {
	if _, err := tx.ExecContext(ctx, `UPDATE audit_head SET seq = seq`); err != nil {
		return err
	}
	var owners int64
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM staff WHERE owner = 1`).Scan(&owners); err != nil {
		return err
	}
	if owners == 0 {
		return staff.ErrLastOwner
	}
	return nil
}

// RemoveUser removes a user and what is the user's.
func (p people) RemoveUser(ctx context.Context, id int64, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) error {
		var owner int64
		err := tx.QueryRowContext(ctx, `DELETE FROM staff WHERE id = $1 RETURNING owner`, id).Scan(&owner)
		if errors.Is(err, sql.ErrNoRows) {
			return staff.ErrNoUser
		}
		if err != nil {
			return err
		}
		for _, table := range []string{"staff_sessions", "staff_tickets", "staff_views"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE user_id = $1`, id); err != nil {
				return err
			}
		}
		if err := appendAudit(ctx, tx, notes); err != nil {
			return err
		}
		if owner == 1 {
			return p.keepOwner(ctx, tx)
		}
		return nil
	})
}

// FindUser returns a user by id.
func (p people) FindUser(ctx context.Context, id int64) (*staff.User, error) {
	return p.scanUser(p.Read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM staff WHERE id = $1`, id))
}

// FindUserByEmail returns a user by address.
func (p people) FindUserByEmail(ctx context.Context, email string) (*staff.User, error) {
	return p.scanUser(p.Read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM staff WHERE email = $1`, email))
}

// FindUserByHandle returns a user by what passkeys know the user by.
func (p people) FindUserByHandle(ctx context.Context, handle []byte) (*staff.User, error) {
	return p.scanUser(p.Read.QueryRowContext(ctx, `SELECT `+userColumns+` FROM staff WHERE handle = $1`, handle))
}

// Users lists users by address.
func (p people) Users(ctx context.Context, search, after string, limit int) (list []*staff.User, err error) {
	pattern := "%" + strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(strings.ToLower(search)) + "%"
	err = each(ctx, p.Read, func(row Row) error {
		u, err := p.scanUser(row)
		list = append(list, u)
		return err
	}, `SELECT `+userColumns+` FROM staff WHERE email > $1 AND email LIKE $2 ESCAPE '!' ORDER BY email LIMIT $3`, after, pattern, limit)
	return list, err
}

// AnyOwner reports whether there is an owner.
func (p people) AnyOwner(ctx context.Context) (bool, error) {
	var n int64
	err := p.Read.QueryRowContext(ctx, `SELECT count(*) FROM staff WHERE owner = 1`).Scan(&n)
	return n > 0, err
}

const sessionColumns = `digest, user_id, epoch, waiting, way, opened_at, seen_at, sure_at, network, agent`

func scanSession(row Row) (*staff.Session, error) {
	var s staff.Session
	var digest []byte
	var waiting, openedAt, seenAt, sureAt int64
	err := row.Scan(&digest, &s.User, &s.Epoch, &waiting, &s.Way, &openedAt, &seenAt, &sureAt, &s.Network, &s.Agent)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, staff.ErrNoSession
	}
	if err != nil {
		return nil, err
	}
	copy(s.Digest[:], digest)
	s.Waiting, s.OpenedAt, s.SeenAt, s.SureAt = waiting != 0, Time(openedAt), Time(seenAt), Time(sureAt)
	return &s, nil
}

// OpenSession keeps a session in place of another.
func (p people) OpenSession(ctx context.Context, s *staff.Session, instead staff.Digest, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) error {
		if instead != (staff.Digest{}) {
			if err := endSession(ctx, tx, s.User, instead); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO staff_sessions (`+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			s.Digest[:], s.User, s.Epoch, Flag(s.Waiting), s.Way, Micros(s.OpenedAt), Micros(s.SeenAt), Micros(s.SureAt), s.Network, s.Agent); err != nil {
			return fmt.Errorf("keep a session: %w", err)
		}
		return appendAudit(ctx, tx, notes)
	})
}

func endSession(ctx context.Context, tx Tx, user int64, d staff.Digest) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM staff_sessions WHERE digest = $1 AND user_id = $2`, d[:], user)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, staff.ErrNoSession)
	}
	return nil
}

// FindSession returns the session with that digest.
func (p people) FindSession(ctx context.Context, d staff.Digest) (*staff.Session, error) {
	return scanSession(p.Read.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM staff_sessions WHERE digest = $1`, d[:]))
}

// TouchSession writes when a session was used.
func (p people) TouchSession(ctx context.Context, d staff.Digest, at time.Time) error {
	return p.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE staff_sessions SET seen_at = $1 WHERE digest = $2`, Micros(at), d[:])
		return err
	})
}

// Sessions lists a user's sessions.
func (p people) Sessions(ctx context.Context, user int64) (list []*staff.Session, err error) {
	err = each(ctx, p.Read, func(row Row) error {
		s, err := scanSession(row)
		list = append(list, s)
		return err
	}, `SELECT `+sessionColumns+` FROM staff_sessions WHERE user_id = $1 ORDER BY seen_at DESC, digest`, user)
	return list, err
}

// EndSession removes a user's session.
func (p people) EndSession(ctx context.Context, user int64, d staff.Digest, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) error {
		if err := endSession(ctx, tx, user, d); err != nil {
			return err
		}
		return appendAudit(ctx, tx, notes)
	})
}

const ticketColumns = `digest, kind, user_id, sealed, expires_at`

func (p people) scanTicket(row Row) (*staff.Ticket, error) {
	var t staff.Ticket
	var digest, sealed []byte
	var expiresAt int64
	err := row.Scan(&digest, &t.Kind, &t.User, &sealed, &expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, staff.ErrNoTicket
	}
	if err != nil {
		return nil, err
	}
	copy(t.Digest[:], digest)
	t.ExpiresAt = Time(expiresAt)
	t.Data, err = p.Key.Open(sealed, ticketPlace(&t))
	return &t, err
}

func ticketPlace(t *staff.Ticket) string { return fmt.Sprintf("staff ticket:%x", t.Digest) }

// KeepTicket keeps a ticket.
func (p people) KeepTicket(ctx context.Context, t *staff.Ticket, only bool, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) error {
		if only {
			if _, err := tx.ExecContext(ctx, `DELETE FROM staff_tickets WHERE user_id = $1 AND kind = $2`, t.User, t.Kind); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO staff_tickets (`+ticketColumns+`) VALUES ($1, $2, $3, $4, $5)`,
			t.Digest[:], t.Kind, t.User, p.Key.Seal(t.Data, ticketPlace(t)), Micros(t.ExpiresAt)); err != nil {
			return fmt.Errorf("keep a ticket: %w", err)
		}
		return appendAudit(ctx, tx, notes)
	})
}

// FindTicket looks at a ticket.
func (p people) FindTicket(ctx context.Context, d staff.Digest, kind string) (*staff.Ticket, error) {
	return p.scanTicket(p.Read.QueryRowContext(ctx, `SELECT `+ticketColumns+` FROM staff_tickets WHERE digest = $1 AND kind = $2`, d[:], kind))
}

// TakeTicket spends a ticket.
func (p people) TakeTicket(ctx context.Context, d staff.Digest, kind string) (t *staff.Ticket, err error) {
	err = p.Write(ctx, func(tx Tx) error {
		t, err = p.scanTicket(tx.QueryRowContext(ctx, `DELETE FROM staff_tickets WHERE digest = $1 AND kind = $2 RETURNING `+ticketColumns, d[:], kind))
		return err
	})
	return t, err
}

// CountAttempts counts one attempt on each name, or on none.
func (p people) CountAttempts(ctx context.Context, attempts []staff.Attempt, now time.Time) (wait time.Duration, err error) {
	err = p.Write(ctx, func(tx Tx) error {
		wait = 0
		counts := make([]int, len(attempts))
		for i, a := range inOrder(attempts) {
			var n, nextAt, lastAt int64
			// Locks the row, see ChangeUser; everybody does so in one order.
			if err := tx.QueryRowContext(ctx, `INSERT INTO staff_attempts (name, attempts, next_at, last_at) VALUES ($1, 0, 0, $2)
				ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING attempts, next_at, last_at`,
				a.Name, Micros(now)).Scan(&n, &nextAt, &lastAt); err != nil {
				return fmt.Errorf("count an attempt: %w", err)
			}
			if now.Sub(Time(lastAt)) < staff.AttemptsFade {
				counts[i] = int(n)
				wait = max(wait, Time(nextAt).Sub(now))
			}
		}
		if wait > 0 {
			return nil
		}
		for i, a := range inOrder(attempts) {
			n := counts[i] + 1
			if _, err := tx.ExecContext(ctx, `UPDATE staff_attempts SET attempts = $1, next_at = $2, last_at = $3 WHERE name = $4`,
				n, Micros(now.Add(a.Wait(n))), Micros(now), a.Name); err != nil {
				return fmt.Errorf("count an attempt: %w", err)
			}
		}
		return nil
	})
	return wait, err
}

func inOrder(attempts []staff.Attempt) []staff.Attempt {
	return slices.SortedFunc(slices.Values(attempts), func(a, b staff.Attempt) int { return cmp.Compare(a.Name, b.Name) })
}

// ForgiveAttempts takes one attempt back from each name, or all.
func (p people) ForgiveAttempts(ctx context.Context, attempts []staff.Attempt, forget bool) error {
	if len(attempts) == 0 {
		return nil
	}
	return p.Write(ctx, func(tx Tx) error {
		for _, a := range inOrder(attempts) {
			if forget {
				if _, err := tx.ExecContext(ctx, `DELETE FROM staff_attempts WHERE name = $1`, a.Name); err != nil {
					return err
				}
				continue
			}
			var n, lastAt int64
			err := tx.QueryRowContext(ctx, `UPDATE staff_attempts SET attempts = attempts - 1 WHERE name = $1 AND attempts > 0
				RETURNING attempts, last_at`, a.Name).Scan(&n, &lastAt)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE staff_attempts SET next_at = $1 WHERE name = $2`,
				Micros(Time(lastAt).Add(a.Wait(int(n)))), a.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Note writes to the audit log.
func (p people) Note(ctx context.Context, notes ...audit.Entry) error {
	return p.Write(ctx, func(tx Tx) error { return appendAudit(ctx, tx, notes) })
}

// DropStale forgets sessions that are over, tickets that are too old and
// attempts that have faded, up to a limit of each.
func (r *Records) DropStale(ctx context.Context, now time.Time, limit int) (dropped int64, err error) {
	for _, old := range []struct {
		table, key, column string
		before             time.Time
	}{
		{"staff_sessions", "digest", "seen_at", now.Add(-staff.Idle)},
		{"staff_tickets", "digest", "expires_at", now},
		{"staff_attempts", "name", "last_at", now.Add(-staff.AttemptsFade)},
	} {
		err := r.Write(ctx, func(tx Tx) error {
			result, err := tx.ExecContext(ctx, `DELETE FROM `+old.table+` WHERE `+old.key+` IN
				(SELECT `+old.key+` FROM `+old.table+` WHERE `+old.column+` <= $1 LIMIT $2)`, Micros(old.before), limit)
			if err != nil {
				return fmt.Errorf("drop old rows of %s: %w", old.table, err)
			}
			n, err := result.RowsAffected()
			dropped = max(dropped, n)
			return err
		})
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}
