package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

const withdrawalColumns = `id, merchant, withdrawal_id, method, label, amount, fee, currency, test, account, name, ifsc, request,
	state, reasons, desk, wallet, tries, provider_ref, bank_ref, why, movement_id, created_by, approved_by,
	created_at, approved_at, sent_at, settled_at, ask_at, rates_id, lines, paid_at, back_id, taken, sent_by, doubts, contested`

func scanWithdrawal(row Row) (*payout.Withdrawal, error) {
	var (
		w                                             payout.Withdrawal
		currency, account, ifsc, state, reasons       string
		doubts                                        string
		amount, fee, test, taken, contested, paidAt   int64
		request                                       []byte
		createdAt, approvedAt, sentAt, settledAt, ask int64
	)
	err := row.Scan(&w.ID, &w.Merchant, &w.WithdrawalID, &w.Method, &w.Label, &amount, &fee, &currency, &test, &account, &w.Name, &ifsc,
		&request, &state, &reasons, &w.Desk, &w.Wallet, &w.Tries, &w.ProviderRef, &w.BankRef, &w.Why, &w.MovementID, &w.CreatedBy, &w.ApprovedBy,
		&createdAt, &approvedAt, &sentAt, &settledAt, &ask, &w.RatesID, &w.Lines,
		&paidAt, &w.BackID, &taken, &w.SentBy, &doubts, &contested)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, payout.ErrNoWithdrawal
	}
	if err != nil {
		return nil, err
	}
	w.Amount, w.Fee, w.Currency, w.Test = money.Paise(amount), money.Paise(fee), money.Currency(currency), test != 0
	w.Account, w.IFSC, w.State = upi.AccountNumber(account), upi.IFSC(ifsc), payout.State(state)
	if reasons != "" {
		w.Reasons = strings.Split(reasons, ",")
	}
	if doubts != "" {
		w.Doubts = strings.Split(doubts, "\n")
	}
	copy(w.Request[:], request)
	w.Taken, w.Contested, w.PaidAt = taken != 0, contested != 0, Time(paidAt)
	w.CreatedAt, w.ApprovedAt, w.SentAt, w.SettledAt, w.AskAt = Time(createdAt), Time(approvedAt), Time(sentAt), Time(settledAt), Time(ask)
	return &w, nil
}

// FindWithdrawal returns the withdrawal with that id, or payout.ErrNoWithdrawal.
func (r *Records) FindWithdrawal(ctx context.Context, id int64) (*payout.Withdrawal, error) {
	return scanWithdrawal(r.Read.QueryRowContext(ctx, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE id = $1`, id))
}

// FindWithdrawalByKey returns the one with that key, or payout.ErrNoWithdrawal.
func (r *Records) FindWithdrawalByKey(ctx context.Context, key payout.Key) (*payout.Withdrawal, error) {
	return scanWithdrawal(r.Read.QueryRowContext(ctx, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE merchant = $1 AND withdrawal_id = $2`,
		key.Merchant, key.WithdrawalID))
}

// DueWithdrawals lists withdrawals that are to be sent or asked about.
func (r *Records) DueWithdrawals(ctx context.Context, now time.Time, limit int) (ids []int64, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM withdrawals WHERE state IN ('approved', 'processing') AND ask_at > 0 AND ask_at <= $1 ORDER BY ask_at LIMIT $2`, Micros(now), limit)
	return ids, err
}

// ListWithdrawals lists withdrawals by id.
func (r *Records) ListWithdrawals(ctx context.Context, states []payout.State, desk string, after int64, limit int) (list []*payout.Withdrawal, err error) {
	args := []any{after, desk, desk}
	query := `SELECT ` + withdrawalColumns + ` FROM withdrawals WHERE id > $1 AND (desk = $2 OR $3 = '')`
	if len(states) > 0 {
		marks := make([]string, len(states))
		for i, s := range states {
			args = append(args, string(s))
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		query += ` AND state IN (` + strings.Join(marks, ", ") + `)`
		if !slices.ContainsFunc(states, payout.State.Final) { // as the index has it
			query += ` AND state IN ('new', 'approved', 'processing')`
		}
	}
	args = append(args, limit)
	err = each(ctx, r.Read, func(row Row) error {
		w, err := scanWithdrawal(row)
		list = append(list, w)
		return err
	}, query+fmt.Sprintf(` ORDER BY id LIMIT $%d`, len(args)), args...)
	return list, err
}

// ContestedWithdrawals lists withdrawals that a person has to look at.
func (r *Records) ContestedWithdrawals(ctx context.Context, after int64, limit int) (list []*payout.Withdrawal, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		w, err := scanWithdrawal(row)
		list = append(list, w)
		return err
	}, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE contested = 1 AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	return list, err
}

// MerchantBalance gives what a merchant may withdraw, and what is held.
func (r *Records) MerchantBalance(ctx context.Context, merchant string) (available, held money.Paise, err error) {
	err = each(ctx, r.Read, func(row Row) error {
		var code string
		var balance int64
		err := row.Scan(&code, &balance)
		if code == ledger.HoldCode(merchant) {
			held = -money.Paise(balance)
		} else {
			available = -money.Paise(balance)
		}
		return err
	}, `SELECT code, balance FROM accounts WHERE code IN ($1, $2)`, ledger.MerchantCode(merchant), ledger.HoldCode(merchant))
	return available, held, err
}

// Explanations lists withdrawals that a movement of a statement may be.
func (r *Records) Explanations(ctx context.Context, references []string, utr upi.UTR, amount money.Paise) (list []*payout.Withdrawal, err error) {
	seen := make(map[int64]bool)
	add := func(row Row) error {
		w, err := scanWithdrawal(row)
		if err == nil && !seen[w.ID] && w.Amount == amount {
			seen[w.ID] = true
			list = append(list, w)
		}
		return err
	}
	var errs []error
	for _, ref := range references {
		if id, ok := payout.ParseReference(ref); ok {
			errs = append(errs, each(ctx, r.Read, add, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE id = $1`, id))
		}
	}
	if utr != "" {
		errs = append(errs, each(ctx, r.Read, add, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE bank_ref = $1 AND bank_ref <> ''`, string(utr)))
	}
	return list, errors.Join(errs...)
}

// ChangeWithdrawal runs one transaction on a withdrawal, see payout.Store. The
// head of the audit log is taken first: whoever changes a balance needs it, so
// that the balances stand still from then on. A line of a statement is taken
// before it, as the desk of deposits does: the two may not make different things
// of it.
func (r *Records) ChangeWithdrawal(ctx context.Context, find payout.Find, decide func(*payout.Facts) (*payout.Changes, error)) error {
	return r.Write(ctx, func(tx Tx) error {
		if find.MovementID != 0 {
			if _, err := tx.ExecContext(ctx, `UPDATE movements SET credit_id = credit_id WHERE id = $1`, find.MovementID); err != nil {
				return fmt.Errorf("wait for movement %d: %w", find.MovementID, err)
			}
		}
		if err := lockAudit(ctx, tx); err != nil {
			return fmt.Errorf("wait for the balances: %w", err)
		}
		facts, err := loadPayout(ctx, tx, find)
		if err != nil {
			return fmt.Errorf("load facts: %w", err)
		}
		known := facts.Withdrawal != nil
		changes, err := decide(facts)
		if err != nil || changes == nil {
			return err
		}
		return savePayout(ctx, tx, find, known, changes)
	})
}

func loadPayout(ctx context.Context, tx Tx, find payout.Find) (*payout.Facts, error) {
	f := &payout.Facts{WalletBalances: make(map[string]money.Paise), WalletToday: make(map[string]money.Paise)}
	where, args := `id = $1`, []any{find.ID}
	if find.ID == 0 {
		where, args = `merchant = $1 AND withdrawal_id = $2`, []any{find.Merchant, find.WithdrawalID}
	}
	w, err := scanWithdrawal(tx.QueryRowContext(ctx, `SELECT `+withdrawalColumns+` FROM withdrawals WHERE `+where, args...))
	if err != nil && !errors.Is(err, payout.ErrNoWithdrawal) {
		return nil, err
	}
	f.Withdrawal = w
	if find.ID == 0 {
		if err := loadLimits(ctx, tx, find, f); err != nil {
			return nil, err
		}
	}
	for _, wallet := range find.Wallets {
		var balance, underWay, today int64
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(balance), 0) FROM accounts WHERE code = $1`, ledger.WalletCode(wallet)).Scan(&balance); err != nil {
			return nil, err
		}
		// What is under way has not left the books yet.
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(amount), 0) FROM withdrawals WHERE state = 'processing' AND test = 0 AND wallet = $1`, wallet).Scan(&underWay); err != nil {
			return nil, err
		}
		f.WalletBalances[wallet] = money.Paise(balance - underWay)
		if w == nil {
			continue
		}
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(amount), 0) FROM withdrawals
			WHERE wallet = $1 AND sent_at >= $2 AND desk = $3 AND test = 0 AND state IN ('processing', 'success')`, wallet, Micros(find.Today), w.Desk).Scan(&today); err != nil {
			return nil, err
		}
		f.WalletToday[wallet] = money.Paise(today)
	}
	if find.MovementID != 0 {
		var m payout.Movement
		var kind, utr string
		var amount, taken, explained int64
		err := tx.QueryRowContext(ctx, `SELECT id, wallet, kind, utr, amount, credit_id, withdrawal_id FROM movements WHERE id = $1`, find.MovementID).
			Scan(&m.ID, &m.Wallet, &kind, &utr, &amount, &taken, &explained)
		if err != nil {
			return nil, fmt.Errorf("movement %d: %w", find.MovementID, err)
		}
		if m.In, m.UTR, m.Amount = kind == "other", upi.UTR(utr), money.Paise(amount); taken == 0 && explained == 0 {
			f.Movement = &m
		}
	}
	return f, nil
}

func loadLimits(ctx context.Context, tx Tx, find payout.Find, f *payout.Facts) error {
	var balance, ofMerchant, ofLabel int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(balance), 0) FROM accounts WHERE code = $1`, ledger.MerchantCode(find.Merchant)).Scan(&balance); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(SUM(amount), 0), COALESCE(SUM(CASE WHEN label = $1 THEN amount ELSE 0 END), 0) FROM withdrawals
		WHERE merchant = $2 AND created_at >= $3 AND test = 0 AND state NOT IN ('failed', 'canceled')`, find.Label, find.Merchant, Micros(find.Today)).
		Scan(&ofMerchant, &ofLabel); err != nil {
		return err
	}
	f.Available, f.MerchantToday, f.LabelToday = -money.Paise(balance), money.Paise(ofMerchant), money.Paise(ofLabel)
	return tx.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN amount = $1 THEN 1 ELSE 0 END), 0) FROM withdrawals
		WHERE merchant = $2 AND created_at >= $3 AND account = $4 AND test = 0 AND state NOT IN ('failed', 'canceled')`,
		int64(find.Amount), find.Merchant, Micros(find.Lately), string(find.Account)).Scan(&f.AccountLately, &f.SameLately)
}

func savePayout(ctx context.Context, tx Tx, find payout.Find, known bool, c *payout.Changes) error {
	w := c.Withdrawal
	values := []any{
		w.ID, w.Merchant, w.WithdrawalID, w.Method, w.Label, int64(w.Amount), int64(w.Fee), string(w.Currency), Flag(w.Test),
		string(w.Account), w.Name, string(w.IFSC), w.Request[:], string(w.State), strings.Join(w.Reasons, ","), w.Desk, w.Wallet,
		int64(w.Tries), w.ProviderRef, w.BankRef, w.Why, w.MovementID, w.CreatedBy, w.ApprovedBy, Micros(w.CreatedAt), Micros(w.ApprovedAt),
		Micros(w.SentAt), Micros(w.SettledAt), Micros(w.AskAt), w.RatesID, int64(w.Lines),
		Micros(w.PaidAt), w.BackID, Flag(w.Taken), w.SentBy, strings.Join(w.Doubts, "\n"), Flag(w.Contested),
	}
	var err error
	if known {
		_, err = tx.ExecContext(ctx, `UPDATE withdrawals SET state = $1, wallet = $2, tries = $3, provider_ref = $4, bank_ref = $5, why = $6, movement_id = $7,
			approved_by = $8, approved_at = $9, sent_at = $10, settled_at = $11, ask_at = $12, rates_id = $13, lines = $14,
			paid_at = $15, back_id = $16, taken = $17, sent_by = $18, doubts = $19, contested = $20 WHERE id = $21`,
			string(w.State), w.Wallet, int64(w.Tries), w.ProviderRef, w.BankRef, w.Why, w.MovementID, w.ApprovedBy, Micros(w.ApprovedAt),
			Micros(w.SentAt), Micros(w.SettledAt), Micros(w.AskAt), w.RatesID, int64(w.Lines),
			Micros(w.PaidAt), w.BackID, Flag(w.Taken), w.SentBy, strings.Join(w.Doubts, "\n"), Flag(w.Contested), w.ID)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO withdrawals (`+withdrawalColumns+`) VALUES (`+placeholders(len(values))+`)`, values...)
	}
	if err != nil {
		return fmt.Errorf("withdrawal %d: %w", w.ID, err)
	}
	if c.Explains {
		if _, err := tx.ExecContext(ctx, `UPDATE movements SET withdrawal_id = $1 WHERE id = $2`, w.ID, find.MovementID); err != nil {
			return fmt.Errorf("movement %d: %w", find.MovementID, err)
		}
	}
	if err := postEntries(ctx, tx, c.Postings); err != nil {
		return err
	}
	if c.Announce {
		if err := announceWithdrawal(ctx, tx, w); err != nil {
			return err
		}
	}
	if err := insertEvents(ctx, tx, c.Webhooks); err != nil {
		return err
	}
	return appendAudit(ctx, tx, c.Audit)
}

// postEntries writes postings and what they do to the balances.
func postEntries(ctx context.Context, tx Tx, postings []ledger.Posting) error {
	for i := range postings {
		p := &postings[i]
		if _, err := tx.ExecContext(ctx, `INSERT INTO postings (transaction_id, line, kind, debit, credit, amount, currency, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, p.TransactionID, p.Line, string(p.Kind), p.Debit, p.Credit, int64(p.Amount),
			string(p.Currency), Micros(p.At)); err != nil {
			return fmt.Errorf("posting %d/%d: %w", p.TransactionID, p.Line, err)
		}
	}
	for account, amount := range ledger.Balances(postings) {
		if _, err := tx.ExecContext(ctx, `UPDATE accounts SET balance = balance + $1 WHERE id = $2`, int64(amount), account); err != nil {
			return fmt.Errorf("balance of account %d: %w", account, err)
		}
	}
	return nil
}

// announceWithdrawal writes the event that tells the merchant what a withdrawal
// came to. One that comes back after it was paid has a second one.
func announceWithdrawal(ctx context.Context, tx Tx, w *payout.Withdrawal) error {
	id, err := reserveIDs(ctx, tx, 1)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at,
			withdrawal_id, told) VALUES ($1, $2, 'due', 0, $3, $4, 0, '', $5, 0, $6, $7)`,
		id, w.Merchant, Micros(w.SettledAt), []byte{}, Micros(w.SettledAt), w.ID, string(w.State)); err != nil {
		return fmt.Errorf("announce withdrawal %d: %w", w.ID, err)
	}
	return nil
}
