package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
)

// smallTables have one row, or are walked on purpose: of credits the few that are
// contested, and accounts, of which there are few.
var smallTables = regexp.MustCompile(`^SCAN (installation|accounts USING COVERING INDEX|audit_head|id_blocks|c USING INDEX credits_contested|\d+-ROW VALUES CLAUSE|\(subquery-\d+\))`)

// TestPlans holds every statement of a group commit to its index: one that
// scans a table would cost more with every payment there ever was.
func TestPlans(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "milaan.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// Some have an index made for them, which holds part of a table.
	made := map[**sql.Stmt]string{&db.statements.movementsByUTR: "movements_utr (utr=?)", &db.statements.movementByLine: "movements_line (line_key=?)"}
	explained := 0
	for _, statement := range db.statements.all() {
		if strings.HasPrefix(statement.query, "BEGIN") || statement.query == "COMMIT" || statement.query == "ROLLBACK" {
			continue
		}
		for _, step := range plan(t, db, statement.query) {
			if index := made[statement.into]; !strings.Contains(step, index) {
				t.Errorf("%s\n\tplan: %s, not by %s", statement.query, step, index)
			}
			if strings.HasPrefix(step, "SCAN") && !smallTables.MatchString(step) {
				t.Errorf("%s\n\tplan: %s", statement.query, step)
			}
			explained++
		}
	}
	if explained < 10 {
		t.Errorf("only %d steps were explained", explained)
	}
}

// What is read beside group commits is held to its index, too. These queries are
// explained as they are run, with their values: some indexes hold only part of a
// table, and serve only a query that says so.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "milaan.db")
	db, err := Open(t.Context(), path, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	heard := &listener{dsn: dsn(path, url.Values{"_pragma": pragmas})}
	open := sql.OpenDB(heard)
	defer func() { _ = open.Close() }()
	r := records.Records{Read: open, Key: key, Write: func(ctx context.Context, run func(records.Tx) error) error {
		tx, err := open.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return errors.Join(run(tx), tx.Rollback())
	}}
	ctx, now := t.Context(), time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)
	if err := db.SaveDirectory(ctx, directory.Change{Accounts: []ledger.Account{
		{Code: ledger.MerchantCode("shop"), Kind: ledger.Liability, Currency: money.INR}, {Code: ledger.WalletCode("till"), Kind: ledger.Asset, Currency: money.INR},
		{Code: ledger.FeesCode, Kind: ledger.Revenue, Currency: money.INR},
	}}); err != nil {
		t.Fatal(err)
	}
	amid := func() error {
		_, err := r.MerchantTurnover(ctx, "shop", now.Add(time.Second), now.Add(time.Hour+time.Second))
		return err
	}
	turnover := func() error { _, err := r.MerchantTurnover(ctx, "shop", now, now.Add(time.Hour)); return err }
	statement := feed.Statement{ID: 1, Wallet: "till", From: now, To: now}
	for _, query := range []struct {
		name, index string
		run         func() error
	}{
		{"the inbox", "messages_inbox", func() error { _, err := r.Inbox(ctx, "", 7, 10); return err }},
		{"the inbox of a feed", "messages_inbox", func() error { _, err := r.Inbox(ctx, "till", 7, 10); return err }},
		{"messages to drop", "messages_kept", func() error { _, err := r.DropMessages(ctx, now, 10); return err }},
		{"assignments to drop", "assignments_shown", func() error { _, err := r.DropAssignments(ctx, now, 10); return err }},
		{"disputes", "credits_contested", func() error { _, err := r.Disputes(ctx, 7, 10); return err }},
		{"payments by reference", "payments_reference", func() error { _, err := r.FindReferrals(ctx, []string{"MLNAAAAAAAAA", "MLNBBBBBBBBB"}); return err }},
		{"a statement's digest", "statements_digest", func() error { _, err := r.KeepStatement(ctx, &statement); return err }},
		{"statements of a wallet", "statements_digest", func() error { _, err := r.Statements(ctx, "till", 10); return err }},
		{"lines that are open", "statement_lines_open", func() error { _, err := r.OpenLines(ctx, 1, 10); return err }},
		{"a page of open lines", "statement_lines_open", func() error {
			_, err := r.StatementLines(ctx, lookup.Lines{Statement: 1, Open: true, After: 5, Limit: 50})
			return err
		}},
		{"a page of lines", "PRIMARY KEY (statement=? AND line>?)", func() error {
			_, err := r.StatementLines(ctx, lookup.Lines{Statement: 1, After: 5, Limit: 50})
			return err
		}},
		{"how far an import is", "PRIMARY KEY (statement=?)", func() error { _, err := r.LastLine(ctx, 1); return err }},
		{"newest statements", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)", func() error { _, err := r.NewestStatements(ctx, "till", 9, 50); return err }},
		{"a statement by its number", "INTEGER PRIMARY KEY", func() error { _, err := r.StatementByID(ctx, 7); return notMissing(err) }},
		{"a message", "INTEGER PRIMARY KEY", func() error { _, err := r.FindMessage(ctx, 7); return notMissing(err) }},
		{"messages of a feed", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)", func() error {
			_, err := r.ListMessages(ctx, lookup.Messages{Feed: "till", After: 9, Limit: 50})
			return err
		}},
		{"wallets in the books", "credits_booked", func() error { _, err := r.WalletBooks(ctx, []string{"till"}); return err }},
		{"files for banks", "INTEGER PRIMARY KEY (rowid<?)", func() error { _, err := r.PayoutFiles(ctx, 9, 50); return err }},
		{"a desk's files of today", "payout_files_day", func() error { _, err := r.CountPayoutFiles(ctx, "desk", now); return err }},
		{"a statement's end", "INTEGER PRIMARY KEY", func() error { return r.EndStatement(ctx, 1) }},
		{"reconciliation", "statement_lines_credit", func() error { _, err := r.Reconcile(ctx, statement); return err }},
		{"credits of some days", "credits_booked", func() error { _, err := r.Reconcile(ctx, statement); return err }},
		{"claims that are due", "claims_expiry", func() error { _, err := r.DueClaims(ctx, now, 10); return err }},
		{"claims in review", "claims_pending", func() error { _, err := r.PendingClaims(ctx, 7, 10); return err }},
		{"a credit", "INTEGER PRIMARY KEY", func() error { _, err := r.FindCredit(ctx, 7); return err }},
		{"a settlement", "settlements_key", func() error {
			_, err := r.FindSettlement(ctx, payout.Key{Merchant: "shop", WithdrawalID: "settlement-1"})
			return err
		}},
		{"a merchant's last settlement", "settlements_cut (merchant=? AND cut_at", func() error {
			_, err := r.Settlements(ctx, settlement.Filter{Merchant: "shop", To: now, Paid: true, Limit: 1})
			return err
		}},
		{"settlements that are open", "settlements_open", func() error { _, err := r.OpenSettlements(ctx, now); return err }},
		{"what left a merchant's account", "postings_out (debit=? AND at>? AND at<?)", turnover},
		{"what came to a merchant's account", "postings_in (credit=? AND at>? AND at<?)", turnover},
		{"what was deposited in whole quarters", "turnovers USING PRIMARY KEY (account=? AND kind=? AND quarter>?)", turnover},
		{"what was deposited amid a quarter", "COVERING INDEX postings_deposits (credit=? AND at>? AND at<?)", amid},
		{"what deposits cost amid a quarter", "SEARCH f USING PRIMARY KEY (transaction_id=?)", amid},
		{"what came to a wallet", "turnovers USING PRIMARY KEY (account=? AND kind=? AND quarter>?)", func() error {
			_, err := r.WalletTurnover(ctx, "till", now, now.Add(time.Hour))
			return err
		}},
		{"what left a wallet", "postings_out (debit=? AND at>? AND at<?)", func() error { _, err := r.WalletTurnover(ctx, "till", now, now.Add(time.Hour)); return err }},
		{"fees", "postings_in (credit=? AND at>? AND at<?)", func() error { _, err := r.FeeTurnover(ctx, now, now.Add(time.Hour)); return err }},
		{"acts in the audit log", "audit_acts (<expr><?)", func() error {
			_, err := r.ListAudit(ctx, lookup.Audit{Acts: true, Actor: "user:", Limit: 10})
			return err
		}},
		{"a page of the audit log", "INTEGER PRIMARY KEY (rowid<?)", func() error { _, err := r.ListAudit(ctx, lookup.Audit{Before: 7, Limit: 10}); return err }},
		{"what the audit log says of a record", "audit_noted (subject=?)", func() error { _, err := r.ListAudit(ctx, lookup.Audit{Subject: 7, Limit: 10}); return err }},
		{"postbacks", "SEARCH w USING INTEGER PRIMARY KEY", func() error { _, err := r.Postbacks(ctx, postback.Filter{Limit: 10}); return err }},
		{"a webhook's events", "SEARCH r USING INTEGER PRIMARY KEY", func() error {
			_, err := r.Postbacks(ctx, postback.Filter{Merchant: "shop/hook1", State: postback.StateDead, Limit: 10})
			return err
		}},
		{"events that were told", "postbacks_event", func() error {
			return r.TellOnce(ctx, []webhook.Event{{Destination: "/ops", Type: webhook.FeedSilent, Subject: 7, At: now, Body: []byte("{}")}})
		}},
		{"unclaimed credits", "SEARCH audit USING INTEGER PRIMARY KEY (rowid>?)", func() error {
			if _, err := db.TellUnclaimed(ctx, now, nil); err != nil { // the cursor
				return err
			}
			_, err := r.TellUnclaimed(ctx, now, nil)
			return err
		}},
		{"a mailbox's position", "mailboxes USING PRIMARY KEY", func() error { _, _, err := r.MailboxPosition(ctx, "till"); return err }},
	} {
		heard.said = nil
		if err := query.run(); err != nil && !errors.Is(err, deposit.ErrNoCredit) && !errors.Is(err, settlement.ErrNone) {
			t.Fatalf("%s: %v", query.name, err)
		}
		var steps []string
		for _, said := range heard.said {
			for _, step := range plan(t, db, said.query, said.args...) {
				if strings.HasPrefix(step, "SCAN") && !smallTables.MatchString(step) {
					t.Errorf("%s: %s\n\tplan: %s", query.name, said.query, step)
				}
				steps = append(steps, step)
			}
		}
		if !slices.ContainsFunc(steps, func(step string) bool { return strings.Contains(step, query.index) }) {
			t.Errorf("%s: no step uses %s:\n%s", query.name, query.index, strings.Join(steps, "\n"))
		}
	}
}

// listener connects to a database and keeps what is asked of it.
type listener struct {
	dsn  string
	said []asked
}

type asked struct {
	query string
	args  []any
}

func (l *listener) Driver() driver.Driver { return &sqlite.Driver{} }

func (l *listener) Connect(context.Context) (driver.Conn, error) {
	conn, err := l.Driver().Open(l.dsn)
	if err != nil {
		return nil, err
	}
	able, ok := conn.(talker)
	if !ok {
		return nil, errors.Join(errors.New("the driver's connections can't be listened to"), conn.Close())
	}
	return heardConn{able, l}, nil
}

// talker is what the driver's connections are able to.
type talker interface {
	driver.Conn
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
}

type heardConn struct {
	talker
	*listener
}

func (c heardConn) hear(query string, args []driver.NamedValue) {
	values := make([]any, len(args))
	for i := range args {
		values[i] = args[i].Value
	}
	c.said = append(c.said, asked{query, values})
}

func (c heardConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.hear(query, args)
	return c.talker.QueryContext(ctx, query, args)
}

func (c heardConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.hear(query, args)
	return c.talker.ExecContext(ctx, query, args)
}

// plan explains a query: with values, or for any.
func plan(t *testing.T, db *DB, query string, parameters ...any) (steps []string) {
	t.Helper()
	if parameters == nil {
		parameters = make([]any, strings.Count(query, "?")+strings.Count(query, "$"))
	}
	rows, err := db.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, parameters...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
