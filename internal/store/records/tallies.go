package records

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/money"
)

// TallyColumns are the columns of a tally, in the order of TallyValues.
const TallyColumns = `merchant, quarter, made, won, lost, deposits, amount, fees, wait_10s, wait_1m, wait_5m, wait_30m, wait_2h, wait_more`

// TallyStatement adds to a tally. Gateways that add to the same ones do so while they
// hold the head of the audit log.
const TallyStatement = `INSERT INTO tallies (` + TallyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
	ON CONFLICT (merchant, quarter) DO UPDATE SET made = tallies.made + excluded.made, won = tallies.won + excluded.won,
		lost = tallies.lost + excluded.lost, deposits = tallies.deposits + excluded.deposits, amount = tallies.amount + excluded.amount,
		fees = tallies.fees + excluded.fees, wait_10s = tallies.wait_10s + excluded.wait_10s, wait_1m = tallies.wait_1m + excluded.wait_1m,
		wait_5m = tallies.wait_5m + excluded.wait_5m, wait_30m = tallies.wait_30m + excluded.wait_30m,
		wait_2h = tallies.wait_2h + excluded.wait_2h, wait_more = tallies.wait_more + excluded.wait_more`

// TallyValues are the parameters of TallyStatement for each tally.
func TallyValues(tallies map[deposit.TallyKey]deposit.Tally) [][]any {
	keys := slices.SortedFunc(maps.Keys(tallies), func(a, b deposit.TallyKey) int {
		return cmp.Or(cmp.Compare(a.Merchant, b.Merchant), cmp.Compare(a.Quarter, b.Quarter))
	})
	all := make([][]any, len(keys))
	for i, key := range keys {
		t := tallies[key]
		all[i] = []any{key.Merchant, key.Quarter, t.Made, t.Won, t.Lost, t.Deposits, int64(t.Amount), int64(t.Fees)}
		for _, n := range t.Waits {
			all[i] = append(all[i], n)
		}
	}
	return all
}

// Tallies gives what happened at a merchant, or at all where that is empty, see
// lookup.Overviews.
func (r *Records) Tallies(ctx context.Context, merchant string, from, to time.Time) (map[int64]deposit.Tally, error) {
	tallies := make(map[int64]deposit.Tally)
	err := each(ctx, r.Read, func(row Row) error {
		var t deposit.Tally
		var of string
		var quarter, amount, fees int64
		into := []any{&of, &quarter, &t.Made, &t.Won, &t.Lost, &t.Deposits, &amount, &fees}
		for i := range t.Waits {
			into = append(into, &t.Waits[i])
		}
		err := row.Scan(into...)
		t.Amount, t.Fees = money.Paise(amount), money.Paise(fees)
		tallies[quarter] = t
		return err
	}, `SELECT `+TallyColumns+` FROM tallies WHERE merchant = $1 AND quarter >= $2 AND quarter < $3`, merchant, deposit.QuarterOf(from), deposit.QuarterOf(to))
	if err != nil {
		return nil, fmt.Errorf("read tallies: %w", err)
	}
	return tallies, nil
}

// WalletBalances gives what each wallet holds by the books, see lookup.Overviews.
func (r *Records) WalletBalances(ctx context.Context) (map[string]money.Paise, error) {
	balances := make(map[string]money.Paise)
	err := each(ctx, r.Read, func(row Row) error {
		var code string
		var balance int64
		err := row.Scan(&code, &balance)
		balances[code[len(ledger.WalletCode("")):]] = money.Paise(balance)
		return err
	}, `SELECT code, balance FROM accounts WHERE code LIKE 'wallet:%'`)
	return balances, err
}

// Outbox counts what merchants are still to be told, see lookup.Overviews.
func (r *Records) Outbox(ctx context.Context, merchant string) (o lookup.Outbox, err error) {
	due, dead, args := "", "", []any(nil)
	if merchant != "" {
		// Of those that were given up there is no index by merchant: the newest are looked at.
		due, dead, args = ` AND merchant = $1`, ` WHERE merchant = $1`, []any{merchant}
	}
	for _, count := range []struct {
		into  *int64
		query string
	}{
		{&o.Due, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM postbacks WHERE state IN ('due', 'held')%s LIMIT %d) AS few`, due, lookup.MostCounted)},
		{&o.Dead, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT merchant FROM postbacks WHERE state = 'dead' ORDER BY id DESC LIMIT %d) AS few%s`, lookup.MostCounted, dead)},
	} {
		if err := r.Read.QueryRowContext(ctx, count.query, args...).Scan(count.into); err != nil {
			return o, fmt.Errorf("count postbacks: %w", err)
		}
	}
	return o, nil
}
