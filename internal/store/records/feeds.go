package records

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// MovementColumns are the columns of a movement in the order ScanMovement reads
// them.
const MovementColumns = `id, wallet, feed, kind, utr, amount, currency, booked_at, received_at, reversal, narration, line_key, credit_id`

// ScanMovement reads a row of MovementColumns.
func ScanMovement(row Row) (*deposit.Movement, error) {
	var (
		m                                      deposit.Movement
		kind, utr, currency                    string
		amount, bookedAt, receivedAt, reversal int64
		key                                    []byte
	)
	err := row.Scan(&m.ID, &m.Wallet, &m.Feed, &kind, &utr, &amount, &currency, &bookedAt, &receivedAt, &reversal, &m.Narration, &key, &m.CreditID)
	if err != nil {
		return nil, err
	}
	if len(key) != sha256.Size {
		return nil, fmt.Errorf("movement %d: its key has %d bytes", m.ID, len(key))
	}
	m.Kind, m.UTR, m.Amount, m.Currency = feed.Kind(kind), upi.UTR(utr), money.Paise(amount), money.Currency(currency)
	m.At, m.ReceivedAt, m.Reversal, m.Key = Time(bookedAt), Time(receivedAt), reversal != 0, [sha256.Size]byte(key)
	return &m, nil
}

// AddMovement keeps a movement that was loaded.
func AddMovement(f *deposit.Facts, m *deposit.Movement) {
	if known := f.Movements[m.Key]; known != nil {
		m = known // loaded by its UTR and by its line: one movement
	}
	f.Movements[m.Key] = m
	if m.Kind == feed.Debit && m.UTR != "" && m.CreditID == 0 {
		if slices.Contains(f.Reversals[m.UTR], m) {
			return
		}
		f.Reversals[m.UTR] = append(f.Reversals[m.UTR], m)
	}
}

// messagePlace is what a message is sealed for.
func messagePlace(id int64) string { return "message " + strconv.FormatInt(id, 10) }

// SealMessage is a message as it is stored: sealed, and what was read of it.
func SealMessage(key seal.Key, m *deposit.KeptMessage) (raw []byte, reading string, err error) {
	text, err := json.Marshal(m.Reading)
	if err != nil {
		return nil, "", fmt.Errorf("message %d: %w", m.ID, err)
	}
	return key.Seal(m.Raw, messagePlace(m.ID)), string(text), nil
}

// inboxColumns are the columns of a message in the order scanMessage reads them.
const inboxColumns = `id, feed, wallet, digest, sender, sent_at, received_at, raw, reading, template, result, why, credit_id`

func (r *Records) scanMessage(row Row) (m deposit.KeptMessage, err error) {
	var digest, raw []byte
	var sentAt, receivedAt int64
	var reading, result string
	if err := row.Scan(&m.ID, &m.Feed, &m.Wallet, &digest, &m.Sender, &sentAt, &receivedAt, &raw, &reading, &m.Template, &result,
		&m.Outcome.Why, &m.Outcome.CreditID); err != nil {
		return m, err
	}
	m.SentAt, m.ReceivedAt, m.Outcome.Result = Time(sentAt), Time(receivedAt), feed.Result(result)
	copy(m.Digest[:], digest)
	if len(raw) > 0 {
		if m.Raw, err = r.Key.Open(raw, messagePlace(m.ID)); err != nil {
			return m, fmt.Errorf("message %d: %w", m.ID, err)
		}
	}
	template := m.Template
	if err := json.Unmarshal([]byte(reading), &m.Reading); err != nil {
		return m, fmt.Errorf("message %d: %w", m.ID, err)
	}
	m.Template = template
	return m, nil
}

// Inbox lists messages that a person should look at, oldest first, from after
// the given id on: of one feed, or of all. A message whose time is up has no
// text any more.
func (r *Records) Inbox(ctx context.Context, of string, after int64, limit int) (list []deposit.KeptMessage, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		m, err := r.scanMessage(row)
		list = append(list, m)
		return err
	}, `SELECT `+inboxColumns+` FROM messages WHERE result IN ('unparsed', 'no_utr', 'refused') AND id > $1 AND (feed = $2 OR $2 = '')
		ORDER BY id LIMIT $3`, after, of, limit)
	return list, err
}

// ListMessages gives a page of a feed's messages, see lookup.Store. Messages have
// no index of feeds: the walk looks at so many at most.
func (r *Records) ListMessages(ctx context.Context, ask lookup.Messages) (page lookup.Page[deposit.KeptMessage], err error) {
	newest := int64(math.MaxInt64)
	if ask.After != 0 {
		newest = ask.After
	}
	var last int64
	err = r.Read.QueryRowContext(ctx, fmt.Sprintf(`SELECT id FROM messages WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET %d`, mostLookedAt-1), newest).Scan(&last)
	switch {
	case err == nil:
		page.Next = &lookup.Place{ID: last}
	case !errors.Is(err, sql.ErrNoRows):
		return page, fmt.Errorf("list messages: %w", err)
	}
	var q query
	q.and("id < $ AND id >= $", newest, last)
	// Not by the index of digests, which would have all of the feed's sorted.
	q.and("feed || '' = $", ask.Feed)
	err = each(ctx, r.Read, func(row Row) error {
		m, err := r.scanMessage(row)
		page.Items = append(page.Items, m)
		return err
	}, fmt.Sprintf(`SELECT %s FROM messages WHERE %s ORDER BY id DESC LIMIT %d`, inboxColumns, &q, ask.Limit+1), q.args...)
	if err != nil {
		return page, fmt.Errorf("list messages: %w", err)
	}
	if len(page.Items) > ask.Limit {
		page.Items = page.Items[:ask.Limit]
		page.Next = &lookup.Place{ID: page.Items[ask.Limit-1].ID}
	}
	return page, nil
}

// FindMessage returns a message, see lookup.Store.
func (r *Records) FindMessage(ctx context.Context, id int64) (deposit.KeptMessage, error) {
	return foundOne(r.scanMessage(r.Read.QueryRowContext(ctx, `SELECT `+inboxColumns+` FROM messages WHERE id = $1`, id)))
}

// WalletBooks gives what the books have on wallets, see lookup.Store.
func (r *Records) WalletBooks(ctx context.Context, wallets []string) (map[string]lookup.WalletBook, error) {
	books := make(map[string]lookup.WalletBook, len(wallets))
	for _, id := range wallets {
		var balance, lastAt int64
		err := r.Read.QueryRowContext(ctx, `SELECT COALESCE(MAX(balance), 0) FROM accounts WHERE code = $1`, ledger.WalletCode(id)).Scan(&balance)
		if err == nil {
			err = r.Read.QueryRowContext(ctx, `SELECT COALESCE(MAX(booked_at), 0) FROM credits WHERE wallet = $1`, id).Scan(&lastAt)
		}
		if err != nil {
			return nil, fmt.Errorf("read the books of wallet %s: %w", id, err)
		}
		books[id] = lookup.WalletBook{Balance: money.Paise(balance), LastAt: Time(lastAt)}
	}
	return books, nil
}

// DropMessages empties up to limit messages that came before a time, and says
// how many: what was read of them stays.
func (r *Records) DropMessages(ctx context.Context, before time.Time, limit int) (dropped int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE messages SET raw = $1 WHERE id IN (
			SELECT id FROM messages WHERE received_at < $2 AND raw <> $3 ORDER BY received_at LIMIT $4)`, []byte{}, Micros(before), []byte{}, limit)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}

// FeedHours gives what feeds brought by the hour, since a time.
func (r *Records) FeedHours(ctx context.Context, since time.Time) (map[deposit.FeedHour]deposit.FeedCount, error) {
	hours := make(map[deposit.FeedHour]deposit.FeedCount)
	err := each(ctx, r.Read, func(row Row) error {
		var hour deposit.FeedHour
		var n deposit.FeedCount
		var lag, mostLag, ahead, lastAt int64
		err := row.Scan(&hour.Feed, &hour.Hour, &n.Items, &n.Credits, &n.Unread, &n.Refused, &n.Timed, &lag, &mostLag, &ahead, &lastAt)
		n.Lag, n.MostLag, n.LastAt = time.Duration(lag)*time.Microsecond, time.Duration(mostLag)*time.Microsecond, Time(lastAt)
		n.Ahead = time.Duration(ahead) * time.Microsecond
		hours[hour] = n
		return err
	}, `SELECT feed, hour, items, credits, unread, refused, timed, lag, most_lag, ahead, last_at FROM feed_hours WHERE hour >= $1`, since.Unix()/3600)
	return hours, err
}

// DropFeedHours forgets up to limit hours of feeds that lie before a time, and
// says how many.
func (r *Records) DropFeedHours(ctx context.Context, before time.Time, limit int) (dropped int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM feed_hours WHERE (feed, hour) IN (
			SELECT feed, hour FROM feed_hours WHERE hour < $1 LIMIT $2)`, before.Unix()/3600, limit)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}

// MailboxPosition is how far the mailbox of a feed was read; zeros for never.
func (r *Records) MailboxPosition(ctx context.Context, of string) (validity, uid uint32, err error) {
	err = r.Read.QueryRowContext(ctx, `SELECT validity, uid FROM mailboxes WHERE feed = $1`, of).Scan(&validity, &uid)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return validity, uid, err
}

// SaveMailboxPosition keeps how far the mailbox of a feed was read.
func (r *Records) SaveMailboxPosition(ctx context.Context, of string, validity, uid uint32) error {
	return r.Write(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mailboxes (feed, validity, uid) VALUES ($1, $2, $3)
			ON CONFLICT (feed) DO UPDATE SET validity = excluded.validity, uid = excluded.uid`, of, int64(validity), int64(uid))
		return err
	})
}

// DropAssignments forgets up to limit wallets that payers were shown before a
// time, and says how many.
func (r *Records) DropAssignments(ctx context.Context, before time.Time, limit int) (dropped int64, err error) {
	err = r.Write(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM assignments WHERE (merchant, method, label, wallet) IN (
			SELECT merchant, method, label, wallet FROM assignments WHERE shown_at < $1 AND expires_at < $2 ORDER BY shown_at LIMIT $3)`,
			Micros(before), Micros(before), limit)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}
