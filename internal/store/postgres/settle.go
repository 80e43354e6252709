package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/seal"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// stripes is how many rows utr_stripes has.
const stripes = 16384

// Settle runs one group commit, see deposit.Store: in three trips to the
// server. The first begins, locks the stripes of the UTRs, in order, and loads
// the facts; the second writes; the third chains the audit log and commits.
// What every gateway fights for, turnovers (by the trigger on postings), the head of
// the audit log and the balances, is locked last and in one order.
func (db *DB) Settle(ctx context.Context, keys *deposit.Keys, decide func(*deposit.Facts) (*deposit.Changes, error)) (err error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquire a connection: %w", err)
	}
	defer conn.Release()
	done := false
	defer func() {
		if !done && !conn.Conn().IsClosed() {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
			defer cancel()
			if _, rollback := conn.Exec(undo, "ROLLBACK"); rollback != nil {
				err = errors.Join(err, rollback)
			}
		}
	}()
	if err := planAnew(ctx, conn); err != nil {
		return err
	}
	facts, err := load(ctx, keys, func(f *flight) error { return f.send(ctx, conn) })
	if err != nil {
		return conflict(fmt.Errorf("load facts: %w", err))
	}
	changes, err := decide(facts)
	if err != nil || changes.Empty() {
		return err
	}
	var head chainHead
	var rows writes
	if err := save(&rows, db.Key, changes); err != nil {
		return err
	}
	addPostings(&rows, changes.Postings)
	var write flight
	undo(&write, changes.Undone) // before another deposit has the credit
	rows.send(&write)
	if len(changes.Audit) > 0 {
		head.lock(&write)
	}
	addToBalances(&write, ledger.Balances(changes.Postings))
	addTallies(&write, changes.Tallies)
	overdrawn := false
	findOverdrawn(&write, changes.Postings, &overdrawn)
	if err := write.send(ctx, conn); err != nil {
		return conflict(fmt.Errorf("save changes: %w", err))
	}
	if overdrawn {
		return fmt.Errorf("undo a deposit: its money was paid out meanwhile: %w", deposit.ErrConflict)
	}
	var finish flight
	head.chain(&finish, changes.Audit)
	committed := false
	finish.batch.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT" // a broken transaction answers ROLLBACK
		return nil
	})
	if err := uncancelled(conn.Conn().PgConn(), func() error { return finish.send(ctx, conn) }); err != nil {
		return conflict(fmt.Errorf("commit: %w", err))
	}
	if !committed {
		return errors.New("commit: the server rolled the batch back")
	}
	done = true
	g := growthOf(conn)
	g.claims += len(changes.NewClaims)
	g.credits += len(changes.NewCredits)
	return nil
}

// growth is what a connection has saved of claims and of credits, and had when its
// plans were made.
type growth struct{ claims, plannedClaims, credits, plannedCredits int }

func growthOf(conn *pgxpool.Conn) *growth {
	const key = "growth"
	data := conn.Conn().PgConn().CustomData()
	g, ok := data[key].(*growth)
	if !ok {
		g = &growth{}
		data[key] = g
	}
	return g
}

// planAnew forgets the plans of a connection that has saved twice as much as when
// they were made. A plan is made for tables as large as they are just then, and
// kept until they are analyzed, which a new database waits a minute for: of an empty
// table, where every index is as good as any other, it may take one that walks all
// of a merchant's claims to find one (seen to cost a factor of fifteen). To analyze
// them from here held the payments up for longer.
func planAnew(ctx context.Context, conn *pgxpool.Conn) error {
	g := growthOf(conn)
	if g.claims <= 2*g.plannedClaims && g.credits <= 2*g.plannedCredits {
		return nil
	}
	if _, err := conn.Exec(ctx, "DISCARD PLANS"); err != nil {
		return fmt.Errorf("forget plans: %w", err)
	}
	g.plannedClaims, g.plannedCredits = g.claims, g.credits
	return nil
}

func stripesOf(utrs map[upi.UTR]struct{}) []int64 {
	ids := make([]int64, 0, len(utrs))
	for utr := range utrs {
		h := fnv.New32a()
		_, _ = h.Write([]byte(utr)) // a hash never fails
		ids = append(ids, int64(h.Sum32()%stripes))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// columns collects keys of several parts as the parallel arrays that unnest
// takes.
func columns[K comparable](keys map[K]struct{}, parts ...func(K) string) []any {
	arrays := make([][]string, len(parts))
	for key := range keys {
		for i, part := range parts {
			arrays[i] = append(arrays[i], part(key))
		}
	}
	args := make([]any, len(parts))
	for i := range arrays {
		args[i] = arrays[i]
	}
	return args
}

func load(ctx context.Context, keys *deposit.Keys, send func(*flight) error) (*deposit.Facts, error) {
	facts := deposit.NewFacts()
	utrs := make([]string, 0, len(keys.UTRs))
	for utr := range keys.UTRs {
		utrs = append(utrs, string(utr))
	}
	var f flight
	f.exec("BEGIN")
	if len(utrs) > 0 {
		f.exec(`SELECT id FROM utr_stripes WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE`, stripesOf(keys.UTRs))
	}
	f.each(func(row records.Row) error { return row.Scan(&facts.DirectoryVersion) }, `SELECT directory FROM installation`)
	addClaim := func(row records.Row) error {
		c, err := records.ScanClaim(row)
		if err == nil {
			facts.AddClaim(c)
		}
		return err
	}
	const byCustom = `SELECT ` + records.ClaimColumns + ` FROM unnest($1::text[], $2::text[]) AS k (of_merchant, of_id)
		JOIN claims ON merchant = of_merchant AND custom_id = of_id`
	const byUTR = `SELECT ` + records.ClaimColumns + ` FROM claims WHERE utr = ANY($%d::text[]) AND state IN ('waiting', 'pending', 'rejected')`
	customs := columns(keys.Customs,
		func(k deposit.CustomKey) string { return k.Merchant },
		func(k deposit.CustomKey) string { return k.CustomID })
	switch {
	case len(keys.Customs) > 0 && len(utrs) > 0: // the common case: one statement for both
		f.each(addClaim, byCustom+` UNION ALL `+fmt.Sprintf(byUTR, 3), append(customs, utrs)...)
	case len(keys.Customs) > 0:
		f.each(addClaim, byCustom, customs...)
	case len(utrs) > 0:
		f.each(addClaim, fmt.Sprintf(byUTR, 1), utrs)
	}
	if len(keys.Claims) > 0 {
		f.each(addClaim, `SELECT `+records.ClaimColumns+` FROM claims WHERE id = ANY($1::bigint[])`,
			slices.Collect(maps.Keys(keys.Claims)))
	}
	if len(utrs) > 0 {
		f.each(func(row records.Row) error {
			c, err := records.ScanCredit(row)
			if err == nil {
				facts.Credits[c.UTR] = append(facts.Credits[c.UTR], c)
			}
			return err
		}, `SELECT `+records.CreditColumns+` FROM credits WHERE utr = ANY($1::text[]) ORDER BY id`, utrs)
	}
	loadUndoable(&f, keys, facts)
	loadMovements(&f, keys, facts)
	vain := make(map[deposit.LabelKey]struct{})
	loadPast(&f, keys, facts, vain)
	if len(keys.WalletDays) > 0 {
		loadUse(&f, keys, facts)
	}
	if err := send(&f); err != nil {
		return nil, err
	}
	if len(vain) > 0 {
		var more flight
		loadVain(&more, keys, vain, facts)
		if err := send(&more); err != nil {
			return nil, err
		}
	}
	// An engine that does not keep the order of ids across an array look-up
	// must not change which claim comes first.
	for _, open := range facts.Contenders {
		slices.SortFunc(open, func(a, b *deposit.Claim) int { return cmp.Compare(a.ID, b.ID) })
	}
	return facts, ctx.Err()
}

// loadUndoable loads deposits that may be undone, and what is owed to their merchants.
func loadUndoable(f *flight, keys *deposit.Keys, facts *deposit.Facts) {
	if len(keys.Deposits) > 0 {
		f.each(func(row records.Row) error {
			d, err := records.ScanDeposit(row)
			if err == nil {
				facts.Deposits[d.ID] = d
			}
			return err
		}, `SELECT `+records.DepositColumns+` FROM deposits WHERE id = ANY($1::bigint[])`, slices.Collect(maps.Keys(keys.Deposits)))
	}
	if len(keys.Owed) > 0 {
		merchants := slices.Collect(maps.Keys(keys.Owed))
		codes := make([]string, len(merchants))
		for i, merchant := range merchants {
			codes[i] = ledger.MerchantCode(merchant)
		}
		f.each(func(row records.Row) error {
			var merchant string
			var owed int64
			err := row.Scan(&merchant, &owed)
			facts.Owed[merchant] = money.Paise(owed)
			return err
		}, `SELECT of_merchant, -balance FROM unnest($1::text[], $2::text[]) AS k (of_merchant, of_code) JOIN accounts ON code = of_code`, merchants, codes)
	}
}

// undo moves deposits that were undone out of the others, and stops their postbacks.
func undo(f *flight, undone []*deposit.Undone) {
	for _, u := range undone {
		f.exec(`DELETE FROM deposits WHERE id = $1`, u.ID)
		f.exec(`INSERT INTO undone (`+records.DepositColumns+`, undone_at, actor, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			u.ID, u.Merchant, u.Wallet, u.CreditID, int64(u.Amount), int64(u.Fee), u.RatesID, records.Micros(u.At), records.Micros(u.UndoneAt), u.By, u.Why)
		f.exec(records.HushStatement, u.ID)
	}
}

// addTallies adds to what happened. It comes behind the head of the audit log, so that
// one gateway does at a time.
func addTallies(f *flight, tallies map[deposit.TallyKey]deposit.Tally) {
	for _, tally := range records.TallyValues(tallies) {
		f.exec(records.TallyStatement, tally...)
	}
}

// findOverdrawn tells whether a merchant could not pay back a deposit that was
// undone. The balances are locked by now: what was seen before may have been spent.
func findOverdrawn(f *flight, postings []ledger.Posting, overdrawn *bool) {
	var merchants []int64
	for i := range postings {
		if postings[i].Kind == ledger.DepositUndone {
			merchants = append(merchants, postings[i].Debit)
		}
	}
	if len(merchants) > 0 {
		f.each(func(row records.Row) error { return row.Scan(overdrawn) },
			`SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ANY($1::bigint[]) AND balance > 0)`, merchants)
	}
}

// loadMovements loads the lines of statements that a report names, and those that
// took its credits back.
func loadMovements(f *flight, keys *deposit.Keys, facts *deposit.Facts) {
	add := func(row records.Row) error {
		m, err := records.ScanMovement(row)
		if err == nil {
			records.AddMovement(facts, m)
		}
		return err
	}
	if len(keys.Reported) > 0 {
		utrs := make([]string, 0, len(keys.Reported))
		for utr := range keys.Reported {
			utrs = append(utrs, string(utr))
		}
		f.each(add, `SELECT `+records.MovementColumns+` FROM movements
			WHERE utr = ANY($1::text[]) AND utr <> '' AND kind = 'debit' AND credit_id = 0 AND withdrawal_id = 0
			ORDER BY id FOR UPDATE`, utrs)
	}
	if len(keys.Movements) > 0 {
		lines := make([][]byte, 0, len(keys.Movements))
		for key := range keys.Movements {
			lines = append(lines, key[:])
		}
		f.each(add, `SELECT `+records.MovementColumns+` FROM movements WHERE line_key = ANY($1::bytea[])`, lines)
	}
}

// loadVain loads the UTRs that labels named in vain.
func loadVain(f *flight, keys *deposit.Keys, vain map[deposit.LabelKey]struct{}, facts *deposit.Facts) {
	args := columns(vain,
		func(k deposit.LabelKey) string { return k.Merchant },
		func(k deposit.LabelKey) string { return k.Method },
		func(k deposit.LabelKey) string { return k.Label })
	f.each(func(row records.Row) error {
		var key deposit.LabelKey
		var utr string
		err := row.Scan(&key.Merchant, &key.Method, &key.Label, &utr)
		addFailure(facts.LabelFailures, key, utr)
		return err
	}, `SELECT of_merchant, of_method, of_label, v.utr FROM unnest($1::text[], $2::text[], $3::text[]) AS k (of_merchant, of_method, of_label)
		CROSS JOIN LATERAL (SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = of_merchant AND label = of_label
			AND created_at > $4 AND state IN ('waiting', 'refused', 'rejected', 'expired') ORDER BY created_at DESC LIMIT $5) AS newest) AS v`,
		append(args, records.Micros(keys.FailedSince), keys.Limits.Rows(keys.Limits.Label))...)
}

// loadPast loads what is known of those who claim. Labels that named a UTR in
// vain are few: they are noted in vain, for loadVain.
func loadPast(f *flight, keys *deposit.Keys, facts *deposit.Facts, vain map[deposit.LabelKey]struct{}) {
	shownSince, failedSince := records.Micros(keys.ShownSince), records.Micros(keys.FailedSince)
	if len(keys.Labels) > 0 {
		args := columns(keys.Labels,
			func(k deposit.LabelKey) string { return k.Merchant },
			func(k deposit.LabelKey) string { return k.Method },
			func(k deposit.LabelKey) string { return k.Label })
		f.each(func(row records.Row) error {
			var a deposit.Assignment
			var shownAt, expiresAt int64
			err := row.Scan(&a.Merchant, &a.Method, &a.Label, &a.Wallet, &shownAt, &expiresAt)
			a.ShownAt, a.ExpiresAt = records.Time(shownAt), records.Time(expiresAt)
			key := deposit.LabelKey{Merchant: a.Merchant, Method: a.Method, Label: a.Label}
			facts.Assignments[key] = append(facts.Assignments[key], a)
			return err
		}, `SELECT merchant, method, label, wallet, shown_at, expires_at FROM unnest($1::text[], $2::text[], $3::text[]) AS k (of_merchant, of_method, of_label)
			JOIN assignments ON merchant = of_merchant AND method = of_method AND label = of_label
			WHERE shown_at > $4 ORDER BY expires_at`, append(args, shownSince)...)
		f.each(func(row records.Row) error {
			var key deposit.LabelKey
			err := row.Scan(&key.Merchant, &key.Method, &key.Label)
			vain[key] = struct{}{}
			return err
		}, `SELECT of_merchant, of_method, of_label FROM unnest($1::text[], $2::text[], $3::text[]) AS k (of_merchant, of_method, of_label)
			WHERE EXISTS (SELECT 1 FROM claims WHERE merchant = of_merchant AND label = of_label AND created_at > $4
				AND state IN ('waiting', 'refused', 'rejected', 'expired'))`, append(args, failedSince)...)
	}
	if len(keys.Addresses) > 0 {
		addrs := make(map[string]deposit.AddressKey, len(keys.Addresses))
		for key := range keys.Addresses {
			addrs[key.Merchant+" "+records.Addr(key.Addr)] = key
		}
		args := columns(keys.Addresses,
			func(k deposit.AddressKey) string { return k.Merchant },
			func(k deposit.AddressKey) string { return records.Addr(k.Addr) })
		f.each(func(row records.Row) error {
			var merchant, addr, utr string
			err := row.Scan(&merchant, &addr, &utr)
			addFailure(facts.AddressFailures, addrs[merchant+" "+addr], utr)
			return err
		}, `SELECT of_merchant, of_addr, v.utr FROM unnest($1::text[], $2::text[]) AS k (of_merchant, of_addr)
			CROSS JOIN LATERAL (SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = of_merchant AND addr = of_addr AND addr <> ''
				AND created_at > $3 AND state IN ('waiting', 'refused', 'rejected', 'expired') ORDER BY created_at DESC LIMIT $4) AS newest) AS v`, append(args, failedSince, keys.Limits.Rows(keys.Limits.Address))...)
	}
	if len(keys.Sharing) > 0 {
		f.each(func(row records.Row) error {
			var merchant, utr string
			err := row.Scan(&merchant, &utr)
			addFailure(facts.SharedFailures, merchant, utr)
			return err
		}, `SELECT of_merchant, v.utr FROM unnest($1::text[]) AS k (of_merchant)
			CROSS JOIN LATERAL (SELECT DISTINCT utr FROM (SELECT utr FROM claims WHERE merchant = of_merchant
				AND created_at > $2 AND state IN ('waiting', 'refused', 'rejected', 'expired') ORDER BY created_at DESC LIMIT $3) AS newest) AS v`,
			slices.Collect(maps.Keys(keys.Sharing)), failedSince, keys.Limits.Rows(keys.Limits.Shared))
	}
	if len(keys.Merchants) > 0 {
		f.each(func(row records.Row) error {
			var merchant string
			var n int
			err := row.Scan(&merchant, &n)
			facts.MerchantFailures[merchant] = n
			return err
		}, `SELECT of_merchant, v.n FROM unnest($1::text[]) AS k (of_merchant)
			CROSS JOIN LATERAL (SELECT count(*) AS n FROM (SELECT 1 FROM claims WHERE merchant = of_merchant
				AND created_at > $2 AND state = 'refused' LIMIT $3) AS few) AS v`,
			slices.Collect(maps.Keys(keys.Merchants)), failedSince, keys.Limits.Merchant)
	}
}

func addFailure[K comparable](failures map[K]map[upi.UTR]struct{}, key K, utr string) {
	if failures[key] == nil {
		failures[key] = make(map[upi.UTR]struct{})
	}
	failures[key][upi.UTR(utr)] = struct{}{}
}

func loadUse(f *flight, keys *deposit.Keys, facts *deposit.Facts) {
	var wallets []string
	var days []int64
	for key := range keys.WalletDays {
		wallets = append(wallets, key.Wallet)
		days = append(days, int64(key.Day))
	}
	f.each(func(row records.Row) error {
		var wallet string
		var day, received int64
		err := row.Scan(&wallet, &day, &received)
		facts.WalletUse[deposit.WalletDay{Wallet: wallet, Day: deposit.Day(day)}] = money.Paise(received)
		return err
	}, `SELECT wallet, day, received FROM unnest($1::text[], $2::bigint[]) AS k (of_wallet, of_day)
		JOIN wallet_days ON wallet = of_wallet AND day = of_day`, wallets, days)
}

// table collects rows as the parallel arrays that unnest takes: one statement
// writes them all.
type table struct {
	texts map[int][]string
	ints  map[int][]int64
	blobs map[int][][]byte
	width int
}

func (t *table) add(values ...any) {
	if t.texts == nil {
		t.texts, t.ints, t.blobs, t.width = make(map[int][]string), make(map[int][]int64), make(map[int][][]byte), len(values)
	}
	for i, value := range values {
		switch v := value.(type) {
		case string:
			t.texts[i] = append(t.texts[i], v)
		case int64:
			t.ints[i] = append(t.ints[i], v)
		case []byte:
			t.blobs[i] = append(t.blobs[i], v)
		default:
			panic(fmt.Sprintf("column %d of a batch is a %T", i, value))
		}
	}
}

// args are the arrays, in the order of the columns.
func (t *table) args() []any {
	args := make([]any, t.width)
	for i := range args {
		switch {
		case t.texts[i] != nil:
			args[i] = t.texts[i]
		case t.blobs[i] != nil:
			args[i] = t.blobs[i]
		default:
			args[i] = t.ints[i]
		}
	}
	return args
}

// writes collects the tables of a batch into one statement: on small batches
// the server's work on each statement outweighs that on its rows.
type writes struct {
	parts []string
	args  []any
}

var parameter = regexp.MustCompile(`\$\d+`)

// add takes up what a table has to be written; its query counts parameters
// from $1.
func (w *writes) add(t *table, query string) {
	if t.width == 0 {
		return
	}
	offset := len(w.args)
	w.parts = append(w.parts, parameter.ReplaceAllStringFunc(query, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil {
			panic(err) // the pattern takes digits only
		}
		return "$" + strconv.Itoa(n+offset)
	}))
	w.args = append(w.args, t.args()...)
}

// send queues the statement.
func (w *writes) send(f *flight) {
	if len(w.parts) == 0 {
		return
	}
	var text strings.Builder
	for i, part := range w.parts {
		text.WriteString([]string{"WITH ", ", "}[min(i, 1)])
		fmt.Fprintf(&text, "part%d AS (%s)", i, part)
	}
	text.WriteString(" SELECT 1")
	f.exec(text.String(), w.args...)
}

func save(f *writes, key seal.Key, c *deposit.Changes) error {
	// Gateways that insert the same claims do so in one order.
	slices.SortFunc(c.NewClaims, func(a, b *deposit.Claim) int {
		return cmp.Or(cmp.Compare(a.Merchant, b.Merchant), cmp.Compare(a.CustomID, b.CustomID))
	})
	var claims, changed, deposits, postbacks, events table
	for _, claim := range c.NewClaims {
		history, err := records.History(claim.History)
		if err != nil {
			return err
		}
		claims.add(claim.ID, claim.Merchant, claim.CustomID, claim.Method, claim.Label, string(claim.UTR),
			int64(claim.Amount), string(claim.Currency), records.Addr(claim.Addr), claim.Via, string(claim.State),
			claim.Reasons.String(), claim.CreditID, int64(claim.Deposited), history,
			records.Micros(claim.CreatedAt), records.Micros(claim.ExpiresAt), records.Micros(claim.SettledAt), claim.Trace)
	}
	f.add(&claims, `INSERT INTO claims (`+records.ClaimColumns+`) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[],
		$4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
		$13::bigint[], $14::bigint[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::text[])`)
	for _, claim := range c.Claims {
		history, err := records.History(claim.History)
		if err != nil {
			return err
		}
		changed.add(claim.ID, string(claim.UTR), string(claim.State), claim.Reasons.String(), claim.CreditID, int64(claim.Deposited),
			history, records.Micros(claim.ExpiresAt), records.Micros(claim.SettledAt))
	}
	f.add(&changed, `UPDATE claims SET utr = n.utr, state = n.state, reasons = n.reasons, credit_id = n.credit_id, deposited = n.deposited,
			history = n.history, expires_at = n.expires_at, settled_at = n.settled_at
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[])
			AS n (id, utr, state, reasons, credit_id, deposited, history, expires_at, settled_at) WHERE claims.id = n.id`)
	saveCredits(f, c)
	for _, d := range c.Deposits {
		deposits.add(d.ID, d.Merchant, d.Wallet, d.CreditID, int64(d.Amount), int64(d.Fee), d.RatesID, records.Micros(d.At))
	}
	f.add(&deposits, `INSERT INTO deposits (id, merchant, wallet, credit_id, amount, fee, rates_id, at) SELECT * FROM
		unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])`)
	for i := range c.Events {
		e := &c.Events[i]
		postbacks.add(e.ID, e.Merchant, records.Micros(e.DueAt), records.Micros(e.ActivatedAt))
	}
	f.add(&postbacks, `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at)
		SELECT id, merchant, 'due', 0, due_at, '', 0, '', created_at, 0
		FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS n (id, merchant, due_at, created_at)`)
	for i := range c.Webhooks {
		events.add(records.EventValues(&c.Webhooks[i])...)
	}
	f.add(&events, `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at, event, subject)
		SELECT id, merchant, 'due', 0, due_at, body, 0, '', created_at, 0, event, subject
		FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[], $6::text[], $7::bigint[]) AS n (id, merchant, due_at, body, created_at, event, subject)`)
	saveAssignments(f, c)
	return saveFeeds(f, key, c)
}

// saveFeeds writes what feeds told beside credits.
func saveFeeds(f *writes, key seal.Key, c *deposit.Changes) error {
	// No UTR keeps gateways apart that are told the same lines and messages: they
	// write them in one order, or each would wait for the other.
	slices.SortFunc(c.Movements, func(a, b *deposit.Movement) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	slices.SortFunc(c.Messages, func(a, b deposit.KeptMessage) int {
		return cmp.Or(cmp.Compare(a.Feed, b.Feed), bytes.Compare(a.Digest[:], b.Digest[:]))
	})
	var movements, changed, messages, reports table
	for _, m := range c.Movements {
		movements.add(m.ID, m.Wallet, m.Feed, string(m.Kind), string(m.UTR), int64(m.Amount), string(m.Currency), records.Micros(m.At),
			records.Micros(m.ReceivedAt), records.Flag(m.Reversal), m.Narration, m.Key[:], m.CreditID)
	}
	f.add(&movements, `INSERT INTO movements (`+records.MovementColumns+`) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[],
		$5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bytea[], $13::bigint[])`)
	for _, m := range c.ChangedMovements {
		changed.add(m.ID, m.CreditID)
	}
	f.add(&changed, `UPDATE movements SET credit_id = n.credit_id FROM unnest($1::bigint[], $2::bigint[]) AS n (id, credit_id) WHERE movements.id = n.id`)
	for i := range c.Messages {
		m := &c.Messages[i]
		raw, reading, err := records.SealMessage(key, m)
		if err != nil {
			return err
		}
		messages.add(m.ID, m.Feed, m.Wallet, m.Digest[:], m.Sender, records.Micros(m.SentAt), records.Micros(m.ReceivedAt), raw, reading,
			m.Template, string(m.Outcome.Result), m.Outcome.Why, m.Outcome.CreditID)
	}
	f.add(&messages, `INSERT INTO messages (id, feed, wallet, digest, sender, sent_at, received_at, raw, reading, template, result, why, credit_id)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[], $9::text[],
			$10::text[], $11::text[], $12::text[], $13::bigint[]) ON CONFLICT (feed, digest) DO NOTHING`)
	hours := slices.SortedFunc(maps.Keys(c.Reports), func(a, b deposit.FeedHour) int {
		return cmp.Or(cmp.Compare(a.Feed, b.Feed), cmp.Compare(a.Hour, b.Hour))
	})
	for _, hour := range hours {
		n := c.Reports[hour]
		reports.add(hour.Feed, hour.Hour, n.Items, n.Credits, n.Unread, n.Refused, n.Timed, n.Lag.Microseconds(), n.MostLag.Microseconds(),
			n.Ahead.Microseconds(), records.Micros(n.LastAt))
	}
	f.add(&reports, `INSERT INTO feed_hours (feed, hour, items, credits, unread, refused, timed, lag, most_lag, ahead, last_at)
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
		ON CONFLICT (feed, hour) DO UPDATE SET items = feed_hours.items + excluded.items, credits = feed_hours.credits + excluded.credits,
			unread = feed_hours.unread + excluded.unread, refused = feed_hours.refused + excluded.refused, timed = feed_hours.timed + excluded.timed,
			lag = feed_hours.lag + excluded.lag, most_lag = greatest(feed_hours.most_lag, excluded.most_lag),
			ahead = greatest(feed_hours.ahead, excluded.ahead), last_at = greatest(feed_hours.last_at, excluded.last_at)`)
	return nil
}

func saveCredits(f *writes, c *deposit.Changes) {
	var credits, changed table
	for _, credit := range c.NewCredits {
		credits.add(credit.ID, credit.Wallet, string(credit.UTR), int64(credit.Amount), string(credit.Currency),
			credit.PayerVPA, credit.PayerName, credit.Note, credit.Reference, records.Micros(credit.At),
			records.Micros(credit.ReceivedAt), credit.Feed, int64(credit.Trust), string(credit.State), credit.ClaimID,
			records.Flag(credit.Contested), int64(credit.Lines))
	}
	f.add(&credits, `INSERT INTO credits (`+records.CreditColumns+`) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[],
		$4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::text[],
		$13::bigint[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[])`)
	for _, credit := range c.Credits {
		changed.add(credit.ID, credit.PayerVPA, credit.PayerName, credit.Note, credit.Reference, int64(credit.Trust),
			string(credit.State), credit.ClaimID, records.Flag(credit.Contested), int64(credit.Amount), int64(credit.Lines),
			records.Micros(credit.At))
	}
	f.add(&changed, `UPDATE credits SET payer_vpa = n.payer_vpa, payer_name = n.payer_name, note = n.note, reference = n.reference,
		trust = n.trust, state = n.state, claim_id = n.claim_id, contested = n.contested, amount = n.amount, lines = n.lines, booked_at = n.booked_at
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
			AS n (id, payer_vpa, payer_name, note, reference, trust, state, claim_id, contested, amount, lines, booked_at) WHERE credits.id = n.id`)
}

// saveAssignments writes rows that several gateways may hold in their batches
// at once, in one order.
func saveAssignments(f *writes, c *deposit.Changes) {
	slices.SortFunc(c.Assignments, func(a, b deposit.Assignment) int {
		return cmp.Or(cmp.Compare(a.Merchant, b.Merchant), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.Label, b.Label), cmp.Compare(a.Wallet, b.Wallet))
	})
	var assignments, use table
	for _, a := range c.Assignments {
		assignments.add(a.Merchant, a.Method, a.Label, a.Wallet, records.Micros(a.ShownAt), records.Micros(a.ExpiresAt))
	}
	f.add(&assignments, `INSERT INTO assignments (merchant, method, label, wallet, shown_at, expires_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
		ON CONFLICT (merchant, method, label, wallet) DO UPDATE SET shown_at = excluded.shown_at, expires_at = excluded.expires_at`)
	days := slices.SortedFunc(maps.Keys(c.WalletUse), func(a, b deposit.WalletDay) int {
		return cmp.Or(cmp.Compare(a.Wallet, b.Wallet), cmp.Compare(a.Day, b.Day))
	})
	for _, day := range days {
		use.add(day.Wallet, int64(day.Day), int64(c.WalletUse[day]))
	}
	f.add(&use, `INSERT INTO wallet_days (wallet, day, received) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
		ON CONFLICT (day, wallet) DO UPDATE SET received = wallet_days.received + excluded.received`)
}

func addPostings(f *writes, postings []ledger.Posting) {
	var rows table
	for i := range postings {
		p := &postings[i]
		rows.add(p.TransactionID, int64(p.Line), string(p.Kind), p.Debit, p.Credit, int64(p.Amount), string(p.Currency), records.Micros(p.At))
	}
	f.add(&rows, `INSERT INTO postings (transaction_id, line, kind, debit, credit, amount, currency, at) SELECT * FROM
		unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[])`)
}

// addToBalances adds what postings do to the balances, locked in account order:
// two gateways that lock them as they come would deadlock.
func addToBalances(f *flight, sums map[int64]money.Paise) {
	accounts := slices.Sorted(maps.Keys(sums))
	if len(accounts) == 0 {
		return
	}
	amounts := make([]int64, len(accounts))
	for i, account := range accounts {
		amounts[i] = int64(sums[account])
	}
	f.exec(`SELECT id FROM accounts WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE`, accounts)
	f.exec(`UPDATE accounts SET balance = balance + n.amount FROM unnest($1::bigint[], $2::bigint[]) AS n (id, amount) WHERE accounts.id = n.id`,
		accounts, amounts)
}

// chainHead is the head of the audit log, which all gateways chain on.
type chainHead struct {
	seq  int64
	hash []byte
}

func (h *chainHead) lock(f *flight) {
	f.each(func(row records.Row) error { return row.Scan(&h.seq, &h.hash) }, `SELECT seq, hash FROM audit_head FOR UPDATE`)
}

func (h *chainHead) chain(f *flight, entries []audit.Entry) {
	if len(entries) == 0 {
		return
	}
	seq, head := audit.Chain(h.seq, [sha256.Size]byte(h.hash), entries)
	var rows table
	hashes := make([][]byte, len(entries))
	for i := range entries {
		e := &entries[i]
		rows.add(e.Seq, records.Micros(e.At), e.Actor, e.Action, e.Subject, e.Why)
		hashes[i] = e.Hash[:]
	}
	f.exec(`WITH entries AS (INSERT INTO audit (seq, at, actor, action, subject, why, hash) SELECT * FROM
			unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[]))
		UPDATE audit_head SET seq = $8, hash = $9`, append(rows.args(), hashes, seq, head[:])...)
}
