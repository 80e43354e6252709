package records

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Lists are in the order of time and of ids: created_at + 0 and at + 0, as the
// indexes claims_listed and deposits_listed have it. They are written so to be
// the lists' alone: by plain names they would look good to queries of the group
// commit, which have far smaller indexes of their own.

// mostLookedAt is how many records a page looks at, where its filters have no
// index of their own.
const mostLookedAt = 20_000

// query is a query in the making: its text, and the values of its parameters.
type query struct {
	where []string
	args  []any
}

// and adds a condition; each $ in it stands for the next of the values.
func (q *query) and(condition string, values ...any) {
	for _, value := range values {
		q.args = append(q.args, value)
		condition = strings.Replace(condition, "$", fmt.Sprintf("\x00%d", len(q.args)), 1)
	}
	q.where = append(q.where, strings.ReplaceAll(condition, "\x00", "$"))
}

// beyond asks for what lies beyond a place in the order of time. It says so in two
// conditions: of a comparison of pairs no engine makes the bounds of an index on a
// sum.
func (q *query) beyond(at, id, than string, place lookup.Place) {
	q.and(at+" "+than+"= $", Micros(place.At))
	q.and("("+at+" "+than+" $ OR "+id+" "+than+" $)", Micros(place.At), place.ID)
}

func (q *query) String() string { return strings.Join(q.where, " AND ") }

// walk is how a list is walked: newest first, along an index.
type walk struct {
	table    string // with its alias
	at, id   string // the columns of the order
	merchant string // condition on the index's first columns
	args     []any
	lookup.Range
	after *lookup.Place
	look  int // mostLookedAt where zero
}

// listed is a place of a row in its list.
func listed(at, id int64) lookup.Place { return lookup.Place{At: Time(at), ID: id} }

// stretch gives the condition on which a page is walked, and where it ends at the
// latest: behind so many records, the walk goes on with the next page.
func (r *Records) stretch(ctx context.Context, w walk) (q query, end *lookup.Place, err error) {
	q.and(w.merchant, w.args...)
	// One bound at each end, the nearer: of two an engine may take the other, and
	// walk all that lies between them.
	switch {
	case w.after != nil:
		q.beyond(w.at, w.id, "<", *w.after)
	case !w.To.IsZero():
		q.and(w.at+" < $", Micros(w.To))
	}
	whole := query{slices.Clone(q.where), slices.Clone(q.args)}
	if !w.From.IsZero() {
		whole.and(w.at+" >= $", Micros(w.From))
	}
	var at, id int64
	err = r.Read.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s, %s FROM %s WHERE %s ORDER BY %s DESC, %s DESC LIMIT 1 OFFSET %d`,
		w.at, w.id, w.table, &whole, w.at, w.id, cmp.Or(w.look, mostLookedAt)-1), whole.args...).Scan(&at, &id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return whole, nil, nil
	case err != nil:
		return q, nil, err
	}
	place := listed(at, id)
	q.beyond(w.at, w.id, ">", listed(at, id-1)) // itself included
	return q, &place, nil
}

// page cuts a list that was read one record too long.
func page[T any](items []T, limit int, end *lookup.Place, place func(*T) lookup.Place) lookup.Page[T] {
	if len(items) <= limit {
		return lookup.Page[T]{Items: items, Next: end}
	}
	last := place(&items[limit-1])
	return lookup.Page[T]{Items: items[:limit], Next: &last}
}

const depositColumns = `c.id, c.merchant, c.custom_id, c.method, c.label, c.utr, c.amount, c.currency, c.addr, c.via,
	c.state, c.reasons, c.credit_id, c.deposited, c.history, c.created_at, c.expires_at, c.settled_at, c.trace, COALESCE(d.fee, 0), COALESCE(d.wallet, '')`

// withMore reads a record and what stands behind it.
type withMore struct {
	Row
	more []any
}

// Scan reads what is asked for, and then the rest.
func (w withMore) Scan(dest ...any) error { return w.Row.Scan(append(dest, w.more...)...) }

func scanDeposit(row Row) (d lookup.Deposit, err error) {
	var fee int64
	c, err := ScanClaim(withMore{row, []any{&fee, &d.Wallet}})
	if err != nil {
		return lookup.Deposit{}, err
	}
	d.Claim, d.Fee = *c, money.Paise(fee)
	return d, nil
}

// is asks for those who have a value in a column, where there is one to ask for.
func (q *query) is(column, value string) {
	if value != "" {
		q.and(column+" = $", value)
	}
}

// word asks for those of which a field is what a word may be: of the fields that
// the list has, those that the word can't be are left out. Where none is left,
// nothing fits.
func (q *query) word(w *lookup.Word, conditions ...condition) {
	if *w == (lookup.Word{}) {
		return
	}
	parts := []string{"1 = 0"}
	var values []any
	for _, c := range conditions {
		if c.value != "" && c.value != int64(0) {
			parts, values = append(parts, c.text), append(values, c.value)
		}
	}
	q.and("("+strings.Join(parts, " OR ")+")", values...)
}

// condition has one $ for its value: a string or an int64.
type condition struct {
	text  string
	value any
}

// during asks for what is of a stretch of time.
func (q *query) during(column string, r lookup.Range) {
	if !r.From.IsZero() {
		q.and(column+" >= $", Micros(r.From))
	}
	if !r.To.IsZero() {
		q.and(column+" < $", Micros(r.To))
	}
}

// narrowDeposits keeps to what is asked for of deposits, besides what leads to
// them.
func (q *query) narrowDeposits(ask *lookup.Deposits) {
	q.is("c.state", string(ask.State))
	q.is("c.label", ask.Label)
	q.is("c.method", ask.Method)
	q.is("d.wallet", ask.Wallet)
	if ask.Amount != 0 {
		q.and("c.amount = $", int64(ask.Amount))
	}
}

// ListDeposits gives a page of deposits, see lookup.Store.
func (r *Records) ListDeposits(ctx context.Context, ask lookup.Deposits) (lookup.Page[lookup.Deposit], error) {
	var q query
	var end *lookup.Place
	if ask.UTR == "" {
		var err error
		if q, end, err = r.stretch(ctx, walk{
			table: "claims c", at: "c.created_at + 0", id: "c.id", merchant: "c.merchant = $", args: []any{ask.Merchant},
			Range: ask.Range, after: ask.After, look: ask.Look,
		}); err != nil {
			return lookup.Page[lookup.Deposit]{}, fmt.Errorf("list deposits: %w", err)
		}
		// Sums of nothing, so that no index of labels in vain draws the walk away.
		q.word(&ask.Word, condition{"c.label || '' = $", ask.Word.Label}, condition{"c.amount = $", int64(ask.Word.Amount)},
			condition{"EXISTS (SELECT 1 FROM credits r WHERE r.id = c.credit_id AND lower(r.payer_vpa) = $)", ask.Word.VPA})
	} else {
		// Every state has an index that finds the UTR; together they are few.
		utr := string(ask.UTR)
		q.and(`c.id IN (SELECT claim_id FROM credits WHERE utr = $
			UNION SELECT id FROM claims WHERE utr = $ AND state IN ('waiting', 'pending', 'rejected')
			UNION SELECT id FROM claims WHERE utr = $ AND state IN ('refused', 'expired'))`, utr, utr, utr)
		// Joined to nothing, the merchant leads to no index: the merchant's list is long.
		q.and("c.merchant || '' = $", ask.Merchant)
		q.during("c.created_at", ask.Range)
		if ask.After != nil {
			q.beyond("c.created_at", "c.id", "<", *ask.After)
		}
	}
	q.narrowDeposits(&ask)
	var items []lookup.Deposit
	err := each(ctx, r.Read, func(row Row) error {
		item, err := scanDeposit(row)
		items = append(items, item)
		return err
	}, fmt.Sprintf(`SELECT %s FROM claims c LEFT JOIN deposits d ON d.id = c.id WHERE %s ORDER BY c.created_at + 0 DESC, c.id DESC LIMIT %d`,
		depositColumns, &q, ask.Limit+1), q.args...)
	if err != nil {
		return lookup.Page[lookup.Deposit]{}, fmt.Errorf("list deposits: %w", err)
	}
	return page(items, ask.Limit, end, func(d *lookup.Deposit) lookup.Place { return lookup.Place{At: d.CreatedAt, ID: d.ID} }), nil
}

// FindDeposit returns a merchant's deposit, see lookup.Store.
func (r *Records) FindDeposit(ctx context.Context, key deposit.CustomKey) (lookup.Deposit, error) {
	return foundOne(scanDeposit(r.Read.QueryRowContext(ctx, `SELECT `+depositColumns+` FROM claims c LEFT JOIN deposits d ON d.id = c.id
		WHERE c.merchant = $1 AND c.custom_id = $2`, key.Merchant, key.CustomID)))
}

func foundOne[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return v, lookup.ErrNone
	}
	return v, err
}

// Postbacks of deposits are listed along the deposits, whose ids they have: an index
// of their own would cost every deposit. Those of withdrawals have one.
const (
	toldOfDeposits = `deposits d JOIN postbacks p ON p.id = d.id JOIN claims c ON c.id = d.id LEFT JOIN undone u ON u.id = d.id
		LEFT JOIN withdrawals w ON w.id = p.withdrawal_id`
	toldOfUndone = `undone u JOIN postbacks p ON p.id = u.id JOIN claims c ON c.id = u.id LEFT JOIN deposits d ON d.id = u.id
		LEFT JOIN withdrawals w ON w.id = p.withdrawal_id`
	toldOfWithdrawals = `postbacks p JOIN withdrawals w ON w.id = p.withdrawal_id LEFT JOIN deposits d ON d.id = p.id LEFT JOIN undone u ON u.id = p.id
		LEFT JOIN claims c ON c.id = d.id`
	toldColumns = summaryHead + `COALESCE(c.custom_id, w.withdrawal_id), COALESCE(d.amount, u.amount, w.amount)` + summaryTail
)

// ListPostbacks gives a page of postbacks, see lookup.Store.
func (r *Records) ListPostbacks(ctx context.Context, ask lookup.Postbacks) (lookup.Page[postback.Summary], error) {
	var items []postback.Summary
	var end *lookup.Place
	for _, source := range []struct {
		kind   postback.Kind
		tables string
		label  string
		amount string
		walk
	}{
		{postback.OfDeposit, toldOfDeposits, "c.label", "d.amount", walk{table: "deposits d", at: "d.at + 0", id: "d.id", merchant: "d.merchant = $"}},
		{postback.OfDeposit, toldOfUndone, "c.label", "u.amount", walk{table: "undone u", at: "u.at", id: "u.id", merchant: "u.merchant = $"}},
		{postback.OfWithdrawal, toldOfWithdrawals, "w.label", "w.amount", walk{table: "postbacks p", at: "p.created_at", id: "p.id", merchant: "p.withdrawal_id <> 0 AND p.merchant = $"}},
	} {
		if ask.Kind != "" && ask.Kind != source.kind {
			continue
		}
		source.args, source.Range, source.after, source.look = []any{ask.Merchant}, ask.Range, ask.After, ask.Look
		q, last, err := r.stretch(ctx, source.walk)
		if err != nil {
			return lookup.Page[postback.Summary]{}, fmt.Errorf("list postbacks: %w", err)
		}
		if last != nil && (end == nil || newer(*last, *end)) {
			end = last
		}
		q.is("p.state", string(ask.State))
		q.word(&ask.Word, condition{source.label + " || '' = $", ask.Word.Label}, condition{source.amount + " = $", int64(ask.Word.Amount)})
		err = each(ctx, r.Read, func(row Row) error {
			var s postback.Summary
			err := scanSummary(row, &s)
			items = append(items, s)
			return err
		}, fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY %s DESC, %s DESC LIMIT %d`,
			toldColumns, source.tables, &q, source.at, source.id, ask.Limit+1), q.args...)
		if err != nil {
			return lookup.Page[postback.Summary]{}, fmt.Errorf("list postbacks: %w", err)
		}
	}
	place := func(p *postback.Summary) lookup.Place { return lookup.Place{At: p.CreatedAt, ID: p.ID} }
	slices.SortFunc(items, func(a, b postback.Summary) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	if end != nil { // beyond it, one of the two was not looked at
		items = slices.DeleteFunc(items, func(p postback.Summary) bool { return newer(*end, place(&p)) })
	}
	return page(items, ask.Limit, end, place), nil
}

// newer reports whether a place comes before another in a list.
func newer(a, b lookup.Place) bool { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) > 0 }

// accountSource is a kind of entry of a merchant's account: where it is, and what of
// it goes into lookup.Entry. A withdrawal has two entries, what it held and what
// came back; the places of both tell which.
type accountSource struct {
	kind                       lookup.EntryKind
	table, merchant, at, place string
	columns                    string // id, custom id, label, UTR, amount and fee, signed
	total                      string // what they come to together; empty where turnovers have it
}

var accountSources = []accountSource{
	{lookup.EntryDeposit, "deposits d JOIN claims c ON c.id = d.id", "d.merchant = $", "d.at + 0", "d.id * 2",
		"d.id, c.custom_id, c.label, c.utr, d.amount, d.fee", ""},
	{lookup.EntryDeposit, "undone d JOIN claims c ON c.id = d.id", "d.merchant = $", "d.at", "d.id * 2",
		"d.id, c.custom_id, c.label, c.utr, d.amount, d.fee", ""},
	{lookup.EntryUndone, "undone d JOIN claims c ON c.id = d.id", "d.merchant = $", "d.undone_at", "d.id * 2 + 1",
		"d.id, c.custom_id, c.label, c.utr, -d.amount, -d.fee", "d.fee - d.amount"},
	{lookup.EntryWithdrawal, "withdrawals w", "w.test = 0 AND w.merchant = $", "w.created_at", "w.id * 2",
		"w.id, w.withdrawal_id, w.label, w.bank_ref, -w.amount, w.fee", "-w.amount - w.fee"},
	{lookup.EntryReturned, "withdrawals w", "w.test = 0 AND w.state IN ('failed', 'canceled') AND w.merchant = $", "w.settled_at", "w.id * 2 + 1",
		"w.id, w.withdrawal_id, w.label, w.bank_ref, w.amount, -w.fee", "w.amount + w.fee"},
}

// ListAccount gives a page of a merchant's account, see lookup.Store.
func (r *Records) ListAccount(ctx context.Context, ask lookup.Account) (out lookup.Statement, err error) {
	// The balance and what led to it are read as of one moment.
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return out, fmt.Errorf("read an account: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	out.Opening = ask.Balance
	if ask.After == nil {
		if out.Opening, err = opening(ctx, tx, ask); err != nil {
			return out, fmt.Errorf("add up the account of %s: %w", ask.Merchant, err)
		}
	}
	var items []lookup.Entry
	for i := range accountSources {
		list, err := accountSources[i].entries(ctx, tx, ask)
		if err != nil {
			return out, fmt.Errorf("read the account of %s: %w", ask.Merchant, err)
		}
		items = append(items, list...)
	}
	slices.SortFunc(items, func(a, b lookup.Entry) int {
		return cmp.Or(a.Place.At.Compare(b.Place.At), cmp.Compare(a.Place.ID, b.Place.ID))
	})
	balance := out.Opening
	for i := range items {
		balance += items[i].Net()
		items[i].Balance = balance
	}
	out.Page = page(items, ask.Limit, nil, func(e *lookup.Entry) lookup.Place { return e.Place })
	return out, nil
}

func (s *accountSource) entries(ctx context.Context, tx Tx, ask lookup.Account) (items []lookup.Entry, err error) {
	var q query
	q.and(s.merchant, ask.Merchant)
	if ask.After != nil { // see stretch
		q.beyond(s.at, s.place, ">", *ask.After)
	} else {
		q.and(s.at+" >= $", Micros(ask.From))
	}
	if !ask.To.IsZero() {
		q.and(s.at+" < $", Micros(ask.To))
	}
	err = each(ctx, tx, func(row Row) error {
		e := lookup.Entry{Kind: s.kind}
		var at, place, amount, fee int64
		var utr string
		if err := row.Scan(&at, &place, &e.ID, &e.CustomID, &e.Label, &utr, &amount, &fee); err != nil {
			return err
		}
		e.Place, e.UTR, e.Amount, e.Fee = listed(at, place), upi.UTR(utr), money.Paise(amount), money.Paise(fee)
		items = append(items, e)
		return nil
	}, fmt.Sprintf(`SELECT %s, %s, %s FROM %s WHERE %s ORDER BY %s, %s LIMIT %d`,
		s.at, s.place, s.columns, s.table, &q, s.at, s.place[:strings.IndexByte(s.place, ' ')], ask.Limit+1), q.args...)
	return items, err
}

// opening is the balance at the beginning of a stretch: that of now, less what
// came since. A liability stands in the books below zero.
func opening(ctx context.Context, tx Tx, ask lookup.Account) (money.Paise, error) {
	var account, balance int64
	err := tx.QueryRowContext(ctx, `SELECT id, balance FROM accounts WHERE code = $1`, ledger.MerchantCode(ask.Merchant)).Scan(&account, &balance)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	balance = -balance
	// Deposits are added up already: what was undone later is among them.
	for _, b := range []struct {
		bulk bulk
		sign int64
	}{{deposited, 1}, {depositFees, -1}} {
		_, _, since, err := b.bulk.sums(ctx, tx, account, ask.From, ask.From)
		if err != nil {
			return 0, err
		}
		balance -= b.sign * int64(since)
	}
	for _, s := range accountSources {
		if s.total == "" {
			continue
		}
		var q query
		q.and(s.merchant, ask.Merchant)
		q.and(s.at+" >= $", Micros(ask.From))
		table, _, _ := strings.Cut(s.table, " JOIN")
		var since int64
		// A cast: sums are of no fixed size on one of the engines.
		if err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT CAST(COALESCE(SUM(%s), 0) AS BIGINT) FROM %s WHERE %s`, s.total, table, &q), q.args...).
			Scan(&since); err != nil {
			return 0, err
		}
		balance -= since
	}
	return money.Paise(balance), nil
}

// narrowWithdrawals is to withdrawals what narrowDeposits is to deposits.
func (q *query) narrowWithdrawals(ask *lookup.Withdrawals) {
	q.is("state", string(ask.State))
	q.is("label", ask.Label)
	q.is("method", ask.Method)
	q.is("wallet || ''", ask.Wallet) // not by the index of wallets
	if ask.Amount != 0 {
		q.and("amount = $", int64(ask.Amount))
	}
}

// ListWithdrawalsOf gives a page of a merchant's withdrawals, see lookup.Store.
func (r *Records) ListWithdrawalsOf(ctx context.Context, ask lookup.Withdrawals) (lookup.Page[*payout.Withdrawal], error) {
	q, end, err := r.stretch(ctx, walk{
		table: "withdrawals", at: "created_at", id: "id", merchant: "merchant = $", args: []any{ask.Merchant}, Range: ask.Range, after: ask.After,
		look: ask.Look,
	})
	if err != nil {
		return lookup.Page[*payout.Withdrawal]{}, fmt.Errorf("list withdrawals: %w", err)
	}
	q.narrowWithdrawals(&ask)
	q.word(&ask.Word, condition{"label = $", ask.Word.Label}, condition{"amount = $", int64(ask.Word.Amount)})
	var items []*payout.Withdrawal
	err = each(ctx, r.Read, func(row Row) error {
		w, err := scanWithdrawal(row)
		items = append(items, w)
		return err
	}, fmt.Sprintf(`SELECT %s FROM withdrawals WHERE %s ORDER BY created_at DESC, id DESC LIMIT %d`, withdrawalColumns, &q, ask.Limit+1), q.args...)
	if err != nil {
		return lookup.Page[*payout.Withdrawal]{}, fmt.Errorf("list withdrawals: %w", err)
	}
	return page(items, ask.Limit, end, func(w **payout.Withdrawal) lookup.Place { return lookup.Place{At: (*w).CreatedAt, ID: (*w).ID} }), nil
}

// ListCredits gives a page of credits, see lookup.Store.
func (r *Records) ListCredits(ctx context.Context, ask lookup.Credits) (lookup.Page[*deposit.Credit], error) {
	none := lookup.Page[*deposit.Credit]{}
	order := "id DESC"
	place := func(c **deposit.Credit) lookup.Place { return lookup.Place{ID: (*c).ID} }
	var q query
	var end *lookup.Place
	switch {
	case ask.UTR != "":
		q.and("utr = $", string(ask.UTR))
		if ask.After != nil {
			q.and("id < $", ask.After.ID)
		}
		if ask.Wallet != "" {
			q.and("wallet = $", ask.Wallet)
		}
	case ask.Wallet != "":
		order = "booked_at DESC, id DESC"
		place = func(c **deposit.Credit) lookup.Place { return lookup.Place{At: (*c).At, ID: (*c).ID} }
		var err error
		if q, end, err = r.stretch(ctx, walk{
			table: "credits", at: "booked_at", id: "id", merchant: "wallet = $", args: []any{ask.Wallet}, Range: ask.Range, after: ask.After,
			look: ask.Look,
		}); err != nil {
			return none, fmt.Errorf("list credits: %w", err)
		}
	default:
		q.and("id > 0")
		if ask.After != nil {
			q.and("id < $", ask.After.ID)
		}
		var last int64
		err := r.Read.QueryRowContext(ctx, fmt.Sprintf(`SELECT id FROM credits WHERE %s ORDER BY id DESC LIMIT 1 OFFSET %d`, &q, mostLookedAt-1),
			q.args...).Scan(&last)
		if err == nil {
			q.and("id >= $", last)
			end = &lookup.Place{ID: last}
		} else if !errors.Is(err, sql.ErrNoRows) {
			return none, fmt.Errorf("list credits: %w", err)
		}
	}
	if ask.State != "" {
		q.and("state = $", string(ask.State))
	}
	if ask.Amount != 0 {
		q.and("amount = $", int64(ask.Amount))
	}
	q.word(&ask.Word, condition{"lower(payer_vpa) = $", ask.Word.VPA}, condition{"amount = $", int64(ask.Word.Amount)})
	var items []*deposit.Credit
	err := each(ctx, r.Read, func(row Row) error {
		c, err := ScanCredit(row)
		items = append(items, c)
		return err
	}, fmt.Sprintf(`SELECT %s FROM credits WHERE %s ORDER BY %s LIMIT %d`, CreditColumns, &q, order, ask.Limit+1), q.args...)
	if err != nil {
		return none, fmt.Errorf("list credits: %w", err)
	}
	return page(items, ask.Limit, end, place), nil
}

// FindStatement returns a wallet's statement, see lookup.Store.
func (r *Records) FindStatement(ctx context.Context, wallet string, id int64) (feed.Statement, error) {
	return foundOne(scanStatement(r.Read.QueryRowContext(ctx, `SELECT `+statementColumns+` FROM statements WHERE id = $1 AND wallet = $2 AND done = 1`, id, wallet)))
}
