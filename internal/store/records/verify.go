package records

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/money"
)

// Report is the outcome of a verification.
type Report struct {
	Credits, Claims, Deposits, Postings, Postbacks, AuditEntries int64
	Held                                                         money.Paise // on wallets
	Unclaimed                                                    money.Paise // in suspense
	Owed                                                         money.Paise // to merchants
	Fees                                                         money.Paise
	OnHold                                                       money.Paise // by withdrawals
	Outflow                                                      money.Paise // debits that nothing explains
	Income                                                       money.Paise // that is no payment
	// Problems are the invariants that do not hold, each with the records
	// concerned.
	Problems []string
}

// check is an invariant as a query for what breaks it: every row it gives is a
// problem, described by its columns.
type check struct {
	broken string // what a row means, with a verb for each column
	query  string
}

// checks are the invariants of the architecture, by number.
var checks = []check{
	// 1: the books balance.
	{"account %v has balance %v paise, but its postings add up to %v", `SELECT a.code, a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT account, SUM(amount) AS total FROM (
			SELECT debit AS account, amount FROM postings UNION ALL SELECT credit, -amount FROM postings) AS moves GROUP BY account) AS s
		ON s.account = a.id WHERE a.balance <> COALESCE(s.total, 0)`},
	{"balances of %v add up to %v paise instead of 0", `SELECT currency, SUM(balance) FROM accounts GROUP BY currency HAVING SUM(balance) <> 0`},
	{"posting %v/%v touches an account that does not exist or has another currency", `SELECT p.transaction_id, p.line FROM postings p
		LEFT JOIN accounts d ON d.id = p.debit AND d.currency = p.currency LEFT JOIN accounts c ON c.id = p.credit AND c.currency = p.currency
		WHERE d.id IS NULL OR c.id IS NULL`},
	// 2: a credit binds at most one deposit, a deposit exactly one credit.
	{"wallet %v has UTR of credit %v more than once", `SELECT wallet, MIN(id) FROM credits GROUP BY wallet, utr HAVING COUNT(*) > 1`},
	{"credit %v is %v with claim %v, but its deposit says otherwise", `SELECT r.id, r.state, r.claim_id FROM credits r LEFT JOIN deposits d ON d.credit_id = r.id
		WHERE (r.state = 'bound') <> (d.id IS NOT NULL) OR (d.id IS NOT NULL AND r.claim_id <> d.id) OR (d.id IS NULL AND r.claim_id <> 0)`},
	{"claim %v is %v, but its deposit says otherwise", `SELECT c.id, c.state FROM claims c LEFT JOIN deposits d ON d.id = c.id
		WHERE (c.state = 'credited') <> (d.id IS NOT NULL)
			OR (d.id IS NOT NULL AND (c.credit_id <> d.credit_id OR c.deposited <> d.amount OR c.merchant <> d.merchant))`},
	{"deposit %v does not agree with its credit in wallet, UTR, amount or currency", `SELECT d.id FROM deposits d LEFT JOIN credits r ON r.id = d.credit_id LEFT JOIN claims c ON c.id = d.id
		WHERE r.id IS NULL OR c.id IS NULL OR r.wallet <> d.wallet OR r.amount <> d.amount OR r.utr <> c.utr OR r.currency <> c.currency`},
	// 3: a merchant's ids are unique.
	{"merchant %v has more than one claim with the custom id of claim %v", `SELECT merchant, MIN(id) FROM claims GROUP BY merchant, custom_id HAVING COUNT(*) > 1`},
	// 4: money on wallets is what came, suspense what nobody claimed.
	{"wallet %v holds %v paise, but its credits and movements add up to %v", `SELECT a.code, a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'wallet:' || wallet AS code, SUM(amount) AS total FROM (
			SELECT wallet, amount FROM credits WHERE state <> 'reversed'
			UNION ALL SELECT wallet, CASE kind WHEN 'debit' THEN -amount ELSE amount END FROM movements WHERE credit_id = 0 AND withdrawal_id = 0
			UNION ALL SELECT wallet, -amount FROM withdrawals WHERE state = 'success' AND test = 0) AS moves
			GROUP BY wallet) AS s ON s.code = a.code
		WHERE a.code LIKE 'wallet:%' AND a.balance <> COALESCE(s.total, 0)`},
	{"%v holds %v paise, but the debits add up to %v", `SELECT a.code, a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'outflow:' || wallet AS code, SUM(amount) AS total FROM movements WHERE kind = 'debit' AND credit_id = 0 AND withdrawal_id = 0 GROUP BY wallet) AS s ON s.code = a.code
		WHERE a.code LIKE 'outflow:%' AND a.balance <> COALESCE(s.total, 0)`},
	{"%v holds %v paise, but what came in without being a payment adds up to %v", `SELECT a.code, -a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'income:' || wallet AS code, SUM(amount) AS total FROM movements WHERE kind = 'other' AND withdrawal_id = 0 GROUP BY wallet) AS s ON s.code = a.code
		WHERE a.code LIKE 'income:%' AND -a.balance <> COALESCE(s.total, 0)`},
	{"%v holds %v paise, but its unclaimed credits add up to %v", `SELECT a.code, -a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'suspense:' || wallet AS code, SUM(amount) AS total FROM credits WHERE state = 'unclaimed' GROUP BY wallet) AS s ON s.code = a.code
		WHERE a.code LIKE 'suspense:%' AND -a.balance <> COALESCE(s.total, 0)`},
	{"%v is owed %v paise, but its deposits less fees and withdrawals add up to %v", `SELECT a.code, -a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'merchant:' || merchant AS code, SUM(amount) AS total FROM (
			SELECT merchant, amount - fee AS amount FROM deposits
			UNION ALL SELECT merchant, -(amount + fee) FROM withdrawals WHERE test = 0 AND state NOT IN ('failed', 'canceled')) AS moves
			GROUP BY merchant) AS s ON s.code = a.code
		WHERE a.code LIKE 'merchant:%' AND -a.balance <> COALESCE(s.total, 0)`},
	{"%v holds %v paise, but the open withdrawals add up to %v", `SELECT a.code, -a.balance, COALESCE(s.total, 0) FROM accounts a
		LEFT JOIN (SELECT 'hold:' || merchant AS code, SUM(amount + fee) AS total FROM withdrawals
			WHERE test = 0 AND state IN ('new', 'approved', 'processing') GROUP BY merchant) AS s ON s.code = a.code
		WHERE a.code LIKE 'hold:%' AND -a.balance <> COALESCE(s.total, 0)`},
	{"%v is owed %v paise: more was withdrawn than there was", `SELECT code, -balance FROM accounts WHERE code LIKE 'merchant:%' AND balance > 0`},
	{"wallet %v received %v paise by its days, but its credits add up to %v", `SELECT wallet, SUM(by_day), SUM(came) FROM (
			SELECT wallet, received AS by_day, 0 AS came FROM wallet_days UNION ALL SELECT wallet, 0, amount FROM credits) AS both_ways
		GROUP BY wallet HAVING SUM(by_day) <> SUM(came)`},
	{"%v did otherwise in quarter %v than is tallied: claims %v, credited %v, lost %v, deposits %v, paise %v, fees %v", `SELECT merchant, quarter, SUM(made), SUM(won), SUM(lost), SUM(deposits), SUM(amount), SUM(fees) FROM (
			SELECT merchant, quarter, made, won, lost, deposits, amount, fees FROM tallies WHERE merchant <> ''
			UNION ALL SELECT merchant, created_at / 900000000, -1, CASE state WHEN 'credited' THEN -1 ELSE 0 END,
				CASE WHEN state IN ('refused', 'rejected', 'expired') THEN -1 ELSE 0 END, 0, 0, 0 FROM claims
			UNION ALL SELECT merchant, at / 900000000, 0, 0, 0, -1, -amount, -fee FROM deposits) AS kept
		GROUP BY merchant, quarter HAVING SUM(made) <> 0 OR SUM(won) <> 0 OR SUM(lost) <> 0 OR SUM(deposits) <> 0 OR SUM(amount) <> 0 OR SUM(fees) <> 0`},
	{"the merchants' tallies of quarter %v do not add up to that of all", `SELECT quarter FROM tallies GROUP BY quarter
		HAVING SUM(CASE merchant WHEN '' THEN -made ELSE made END) <> 0 OR SUM(CASE merchant WHEN '' THEN -won ELSE won END) <> 0 OR SUM(CASE merchant WHEN '' THEN -lost ELSE lost END) <> 0
			OR SUM(CASE merchant WHEN '' THEN -deposits ELSE deposits END) <> 0 OR SUM(CASE merchant WHEN '' THEN -amount ELSE amount END) <> 0 OR SUM(CASE merchant WHEN '' THEN -fees ELSE fees END) <> 0`},
	{"the deposits of %v in quarter %v took otherwise than is tallied", `SELECT merchant, quarter FROM tallies WHERE wait_10s + wait_1m + wait_5m + wait_30m + wait_2h + wait_more <> deposits`},
	{"the turnover of account %v by %v in quarter %v is off by %v postings, %v paise", `SELECT account, kind, quarter, SUM(postings), SUM(amount) FROM (
			SELECT account, kind, quarter, postings, amount FROM turnovers
			UNION ALL SELECT CASE kind WHEN 'deposit' THEN credit ELSE debit END, kind, at / 900000000, -1, -amount FROM postings
				WHERE kind IN ('credit', 'deposit', 'deposit_fee')) AS kept
		GROUP BY account, kind, quarter HAVING SUM(postings) <> 0 OR SUM(amount) <> 0`},
	// … and each record's own posting says so, not only their sums.
	{"credit %v was not posted as it is", `SELECT r.id FROM credits r
		LEFT JOIN accounts w ON w.code = 'wallet:' || r.wallet LEFT JOIN accounts s ON s.code = 'suspense:' || r.wallet
		LEFT JOIN (SELECT transaction_id, currency, MIN(debit) AS debit, MIN(credit) AS credit, MAX(debit) AS last_debit, MAX(credit) AS last_credit, COUNT(*) AS lines,
				SUM(CASE WHEN kind = 'credit' AND line = 1 THEN 1 ELSE 0 END) AS firsts, SUM(amount) AS amount
			FROM (SELECT transaction_id, line, kind, currency, debit, credit, amount FROM postings WHERE kind = 'credit'
				UNION ALL SELECT p.transaction_id, p.line, p.kind, p.currency,
					CASE WHEN d.kind = 'asset' THEN p.debit ELSE p.credit END, CASE WHEN d.kind = 'asset' THEN p.credit ELSE p.debit END,
					CASE WHEN d.kind = 'asset' THEN p.amount ELSE -p.amount END
				FROM postings p JOIN accounts d ON d.id = p.debit WHERE p.kind IN ('credit_corrected', 'credit_reversed')) AS moves
			GROUP BY transaction_id, currency) AS p
			ON p.transaction_id = r.id AND p.debit = w.id AND p.credit = s.id AND p.last_debit = w.id AND p.last_credit = s.id AND p.currency = r.currency AND p.firsts = 1 AND p.lines = r.lines
				AND p.amount = CASE r.state WHEN 'reversed' THEN 0 ELSE r.amount END
		WHERE p.lines IS NULL`},
	{"movement %v was not posted as it is", `SELECT m.id FROM movements m
		LEFT JOIN accounts w ON w.code = 'wallet:' || m.wallet
		LEFT JOIN accounts o ON o.code = CASE m.kind WHEN 'debit' THEN 'outflow:' ELSE 'income:' END || m.wallet
		LEFT JOIN (SELECT transaction_id, SUM(CASE WHEN kind = 'movement_undone' THEN -amount ELSE amount END) AS amount,
				MIN(CASE WHEN kind = 'debit' THEN credit WHEN kind = 'income' THEN debit END) AS wallet,
				MIN(CASE WHEN kind = 'debit' THEN debit WHEN kind = 'income' THEN credit END) AS other, MIN(currency) AS currency
			FROM postings WHERE kind IN ('debit', 'income', 'movement_undone') GROUP BY transaction_id) AS p ON p.transaction_id = m.id
		WHERE COALESCE(p.amount, 0) <> CASE WHEN m.credit_id = 0 THEN m.amount ELSE 0 END
			OR p.transaction_id IS NOT NULL AND (p.wallet <> w.id OR p.other <> o.id OR p.currency <> m.currency)`},
	{"movement %v took back credit %v, which is not reversed", `SELECT m.id, m.credit_id FROM movements m LEFT JOIN credits r ON r.id = m.credit_id
		WHERE m.credit_id <> 0 AND (r.id IS NULL OR r.state <> 'reversed' OR r.amount <> m.amount OR r.wallet <> m.wallet)`},
	{"credit %v is reversed by no movement", `SELECT r.id FROM credits r LEFT JOIN movements m ON m.credit_id = r.id WHERE r.state = 'reversed' AND m.id IS NULL`},
	{"deposit %v was not posted as it is", `SELECT d.id FROM deposits d
		LEFT JOIN accounts s ON s.code = 'suspense:' || d.wallet LEFT JOIN accounts m ON m.code = 'merchant:' || d.merchant
		LEFT JOIN postings p ON p.transaction_id = d.id AND p.line = 1 AND p.kind = 'deposit' AND p.debit = s.id AND p.credit = m.id
			AND p.amount = d.amount WHERE p.line IS NULL`},
	{"deposit %v was undone, but its postings do not come to nothing", `SELECT u.id FROM undone u
		LEFT JOIN accounts s ON s.code = 'suspense:' || u.wallet LEFT JOIN accounts m ON m.code = 'merchant:' || u.merchant LEFT JOIN accounts f ON f.code = 'fees'
		WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.transaction_id = u.id AND p.line = 1 AND p.kind = 'deposit' AND p.debit = s.id AND p.credit = m.id AND p.amount = u.amount)
			OR NOT EXISTS (SELECT 1 FROM postings p WHERE p.transaction_id = u.id AND p.line = 3 AND p.kind = 'deposit_undone' AND p.debit = m.id AND p.credit = s.id AND p.amount = u.amount)
			OR u.fee > 0 AND NOT EXISTS (SELECT 1 FROM postings p WHERE p.transaction_id = u.id AND p.line = 4 AND p.kind = 'deposit_fee_undone' AND p.debit = f.id AND p.credit = m.id AND p.amount = u.fee)`},
	{"deposit %v was undone, but it is there, its claim is not rejected, or the audit log does not say so", `SELECT u.id FROM undone u
		LEFT JOIN deposits d ON d.id = u.id LEFT JOIN claims c ON c.id = u.id AND c.state = 'rejected' AND c.deposited = 0 AND c.merchant = u.merchant
		LEFT JOIN audit a ON a.subject = u.id AND a.action = 'deposit.undone' WHERE d.id IS NOT NULL OR c.id IS NULL OR a.seq IS NULL`},
	{"withdrawal %v is %v, and its postings come to %v paise of its merchant's money", `SELECT w.id, w.state, COALESCE(p.total, 0) FROM withdrawals w
		LEFT JOIN (SELECT p.transaction_id, SUM(CASE WHEN p.debit = m.id THEN p.amount WHEN p.credit = m.id THEN -p.amount ELSE 0 END) AS total
			FROM postings p JOIN withdrawals o ON o.id = p.transaction_id JOIN accounts m ON m.code = 'merchant:' || o.merchant GROUP BY p.transaction_id) AS p
			ON p.transaction_id = w.id
		WHERE COALESCE(p.total, 0) <> CASE WHEN w.test = 1 OR w.state IN ('failed', 'canceled') THEN 0 ELSE w.amount + w.fee END`},
	{"withdrawal %v is %v without a time of settling, or open with one", `SELECT id, state FROM withdrawals
		WHERE (state IN ('new', 'approved', 'processing')) <> (settled_at = 0)`},
	{"withdrawal %v is %v, but the audit log does not say so", `SELECT w.id, w.state FROM withdrawals w
		LEFT JOIN (SELECT subject, MAX(seq) AS seq FROM audit WHERE action LIKE 'withdrawal.%' GROUP BY subject) AS l ON l.subject = w.id
		LEFT JOIN audit a ON a.seq = l.seq AND a.action = 'withdrawal.' || CASE w.state WHEN 'new' THEN 'created' ELSE w.state END WHERE a.seq IS NULL`},
	{"withdrawal %v is %v, and no postback tells so", `SELECT w.id, w.state FROM withdrawals w LEFT JOIN postbacks p ON p.withdrawal_id = w.id AND p.told = w.state AND p.merchant = w.merchant
		WHERE w.state IN ('success', 'failed', 'canceled') AND p.id IS NULL`},
	{"merchant %v has more than one withdrawal with the id of %v", `SELECT merchant, MIN(id) FROM withdrawals GROUP BY merchant, withdrawal_id HAVING COUNT(*) > 1`},
	{"%v of %v paid %v paise in %v payouts by its record, but its withdrawals say otherwise", `SELECT s.settlement_id, s.merchant, s.amount, s.payouts FROM settlements s
		LEFT JOIN (SELECT * FROM withdrawals WHERE substr(withdrawal_id, 1, 11) = 'settlement-') AS w ON w.merchant = s.merchant AND (w.withdrawal_id = s.settlement_id OR w.withdrawal_id LIKE s.settlement_id || '-p%')
		WHERE s.cut_at > 0 GROUP BY s.id, s.settlement_id, s.merchant, s.amount, s.fee, s.payouts
		HAVING COUNT(w.id) <> s.payouts OR COALESCE(SUM(w.amount), 0) <> s.amount OR COALESCE(SUM(w.fee), 0) <> s.fee`},
	{"withdrawal %v has the id of a settlement, %v, and is of none", `SELECT w.id, w.withdrawal_id FROM withdrawals w
		LEFT JOIN settlements s ON s.merchant = w.merchant AND (w.withdrawal_id = s.settlement_id OR w.withdrawal_id LIKE s.settlement_id || '-p%')
		WHERE substr(w.withdrawal_id, 1, 11) = 'settlement-' AND s.id IS NULL`},
	{"posting %v/%v is of a credit, movement, withdrawal or deposit that is not kept", `SELECT p.transaction_id, p.line FROM postings p
		LEFT JOIN credits r ON r.id = p.transaction_id LEFT JOIN deposits d ON d.id = p.transaction_id
		LEFT JOIN movements m ON m.id = p.transaction_id LEFT JOIN withdrawals w ON w.id = p.transaction_id LEFT JOIN undone u ON u.id = p.transaction_id
		WHERE p.kind IN ('credit', 'credit_corrected', 'credit_reversed') AND r.id IS NULL
			OR p.kind IN ('debit', 'income', 'movement_undone') AND m.id IS NULL
			OR (p.kind LIKE 'withdrawal%' OR p.kind = 'movement_explained') AND w.id IS NULL OR p.kind IN ('deposit', 'deposit_fee') AND d.id IS NULL AND u.id IS NULL
			OR p.kind IN ('deposit_undone', 'deposit_fee_undone') AND u.id IS NULL`},
	{"message %v is of credit %v, which is not kept", `SELECT m.id, m.credit_id FROM messages m LEFT JOIN credits r ON r.id = m.credit_id
		WHERE m.credit_id <> 0 AND r.id IS NULL`},
	{"line %v of statement %v is of credit %v and movement %v, of which one is not kept", `SELECT l.line, l.statement, l.credit_id, l.movement_id FROM statement_lines l
		LEFT JOIN credits r ON r.id = l.credit_id LEFT JOIN movements m ON m.id = l.movement_id
		WHERE l.credit_id <> 0 AND r.id IS NULL OR l.movement_id <> 0 AND m.id IS NULL`},
	{"the next id would be %v, which was given before", `SELECT next FROM id_blocks
		WHERE next <= (SELECT COALESCE(MAX(id), 0) FROM claims) OR next <= (SELECT COALESCE(MAX(id), 0) FROM credits)
			OR next <= (SELECT COALESCE(MAX(id), 0) FROM movements) OR next <= (SELECT COALESCE(MAX(id), 0) FROM messages)
			OR next <= (SELECT COALESCE(MAX(id), 0) FROM statements) OR next <= (SELECT COALESCE(MAX(id), 0) FROM accounts)
			OR next <= (SELECT COALESCE(MAX(id), 0) FROM settlements) OR next <= (SELECT COALESCE(MAX(id), 0) FROM withdrawals) OR next <= (SELECT COALESCE(MAX(id), 0) FROM postbacks)`},
	// 5: every deposit has its postback.
	{"postback %v is %v with delivery at %v", `SELECT id, state, delivered_at FROM postbacks WHERE (state = 'delivered') <> (delivered_at > 0)`},
	{"deposit %v has no postback, or one of another merchant", `SELECT d.id FROM deposits d LEFT JOIN postbacks p ON p.id = d.id AND p.merchant = d.merchant WHERE p.id IS NULL`},
	{"postback %v has no deposit", `SELECT p.id FROM postbacks p LEFT JOIN deposits d ON d.id = p.id LEFT JOIN undone u ON u.id = p.id
		WHERE d.id IS NULL AND u.id IS NULL AND p.withdrawal_id = 0 AND p.event = ''`},
	{"deposit %v was undone, but its postback will tell of it", `SELECT u.id FROM undone u LEFT JOIN postbacks p ON p.id = u.id AND p.merchant = u.merchant
		WHERE p.id IS NULL OR p.state IN ('due', 'held')`},
	{"postback %v has no withdrawal", `SELECT p.id FROM postbacks p LEFT JOIN withdrawals w ON w.id = p.withdrawal_id AND w.merchant = p.merchant
		WHERE w.id IS NULL AND p.withdrawal_id <> 0`},
	// … and every event of a webhook its fact, told to nobody else and once.
	{"event %v (%v to %v) is of no claim that is so", `SELECT p.id, p.event, p.merchant FROM postbacks p LEFT JOIN claims c ON c.id = p.subject
			AND (substr(p.merchant, 1, 1) = '/' OR substr(p.merchant, 1, length(c.merchant) + 1) = c.merchant || '/')
			AND (p.event IN ('deposit.pending', 'deposit.refused') OR p.event = 'deposit.' || c.state
				OR p.event = 'deposit.credited' AND EXISTS (SELECT 1 FROM undone u WHERE u.id = c.id))
		WHERE p.event LIKE 'deposit.%' AND c.id IS NULL`},
	{"event %v (%v to %v) is of no withdrawal that was so", `SELECT p.id, p.event, p.merchant FROM postbacks p LEFT JOIN withdrawals w ON w.id = p.subject
			AND (substr(p.merchant, 1, 1) = '/' OR substr(p.merchant, 1, length(w.merchant) + 1) = w.merchant || '/')
		LEFT JOIN (SELECT DISTINCT subject, action FROM audit WHERE action LIKE 'withdrawal.%') AS a ON a.subject = p.subject AND a.action = p.event
		WHERE p.event LIKE 'withdrawal.%' AND (w.id IS NULL OR a.subject IS NULL)`},
	{"event %v (%v to %v) is of no credit, or told to a merchant", `SELECT p.id, p.event, p.merchant FROM postbacks p LEFT JOIN credits r ON r.id = p.subject
		WHERE p.event LIKE 'credit.%' AND (r.id IS NULL OR substr(p.merchant, 1, 1) <> '/')`},
	{"event %v (%v to %v) is of an endpoint that the audit log says nothing of", `SELECT p.id, p.event, p.merchant FROM postbacks p
		LEFT JOIN (SELECT DISTINCT action, at FROM audit WHERE action LIKE 'endpoint.%') AS a ON a.action = p.event AND a.at = p.created_at
		WHERE p.event LIKE 'endpoint.%' AND a.at IS NULL`},
	{"%v was told %v of %v more than once", `SELECT merchant, event, subject FROM postbacks
		WHERE event <> '' AND event NOT IN ('deposit.pending', 'deposit.refused', 'credit.contested') AND subject <> 0
		GROUP BY merchant, event, subject HAVING COUNT(*) > 1`},
	{"event %v has no body or no webhook, or a postback has a webhook's", `SELECT id FROM postbacks
		WHERE (event <> '') <> (merchant LIKE '%/%') OR event <> '' AND length(body) = 0`},
	{"attempt %v is at postback %v, which is not kept", `SELECT a.id, a.postback FROM postback_attempts a LEFT JOIN postbacks p ON p.id = a.postback WHERE p.id IS NULL`},
	{"postback %v is %v with a refused target, or will be sent although it has no time", `SELECT id, state FROM postbacks
		WHERE (refused <> '' AND state <> 'dead') OR (state IN ('due', 'held')) <> (next_at > 0)`},
	// 6: states are drawn, and each is in the audit log.
	{"claim %v is %v without a time of settling, or open with one", `SELECT id, state FROM claims WHERE (state IN ('waiting', 'pending')) <> (settled_at = 0)`},
	{"claim %v is %v, but the audit log does not say so", `SELECT c.id, c.state FROM claims c
		LEFT JOIN (SELECT subject, MAX(seq) AS seq FROM audit WHERE action LIKE 'claim.%' GROUP BY subject) AS l ON l.subject = c.id
		LEFT JOIN audit a ON a.seq = l.seq AND a.action = 'claim.' || c.state WHERE a.seq IS NULL`},
	{"claim %v is in the audit log, but not kept", `SELECT DISTINCT a.subject FROM audit a LEFT JOIN claims c ON c.id = a.subject
		WHERE a.action LIKE 'claim.%' AND c.id IS NULL`},
	{"credit %v is not in the audit log", `SELECT r.id FROM credits r
		LEFT JOIN (SELECT DISTINCT subject FROM audit WHERE action = 'credit.received') AS a ON a.subject = r.id WHERE a.subject IS NULL`},
	{"credit %v is reversed, but the audit log does not say so", `SELECT r.id FROM credits r
		LEFT JOIN (SELECT DISTINCT subject FROM audit WHERE action = 'credit.reversed') AS a ON a.subject = r.id
		WHERE r.state = 'reversed' AND a.subject IS NULL`},
	{"credit %v has the mark %v of a contested one, but the audit log says otherwise", `SELECT r.id, r.contested FROM credits r
		LEFT JOIN (SELECT subject, MAX(seq) AS seq FROM audit WHERE action IN ('credit.contested', 'credit.cleared') GROUP BY subject) AS l ON l.subject = r.id
		LEFT JOIN audit a ON a.seq = l.seq AND a.action = 'credit.contested' WHERE (r.contested = 1) <> (a.seq IS NOT NULL)`},
	{"movement %v is not in the audit log", `SELECT m.id FROM movements m
		LEFT JOIN (SELECT DISTINCT subject FROM audit WHERE action = 'movement.recorded') AS a ON a.subject = m.id WHERE a.subject IS NULL`},
}

// mostProblems bounds how many rows of one check are reported.
const mostProblems = 20

// Verify recomputes the ledger from its postings and checks every invariant,
// on one consistent view of the database. An error means that it could not be
// checked; what is wrong is in the report.
func (r *Records) Verify(ctx context.Context) (report Report, err error) {
	tx, err := r.Read.BeginTx(ctx, r.Snapshot)
	if err != nil {
		return report, fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if r.Survey != "" {
		if _, err := tx.ExecContext(ctx, r.Survey); err != nil {
			return report, fmt.Errorf("prepare to read everything: %w", err)
		}
	}
	if err := report.count(ctx, tx); err != nil {
		return report, err
	}
	for _, c := range checks {
		if err := report.run(ctx, tx, c); err != nil {
			return report, err
		}
	}
	return report, report.walkAudit(ctx, tx)
}

func (p *Report) count(ctx context.Context, tx Tx) error {
	for _, c := range []struct {
		into  *int64
		query string
	}{
		{&p.Credits, `SELECT COUNT(*) FROM credits`},
		{&p.Claims, `SELECT COUNT(*) FROM claims`},
		{&p.Deposits, `SELECT COUNT(*) FROM deposits`},
		{&p.Postings, `SELECT COUNT(*) FROM postings`},
		{&p.Postbacks, `SELECT COUNT(*) FROM postbacks`},
		{(*int64)(&p.Held), `SELECT COALESCE(SUM(balance), 0) FROM accounts WHERE code LIKE 'wallet:%'`},
		{(*int64)(&p.Unclaimed), `SELECT COALESCE(-SUM(balance), 0) FROM accounts WHERE code LIKE 'suspense:%'`},
		{(*int64)(&p.Owed), `SELECT COALESCE(-SUM(balance), 0) FROM accounts WHERE code LIKE 'merchant:%'`},
		{(*int64)(&p.Fees), `SELECT COALESCE(-SUM(balance), 0) FROM accounts WHERE code = 'fees'`},
		{(*int64)(&p.OnHold), `SELECT COALESCE(-SUM(balance), 0) FROM accounts WHERE code LIKE 'hold:%'`},
		{(*int64)(&p.Outflow), `SELECT COALESCE(SUM(balance), 0) FROM accounts WHERE code LIKE 'outflow:%'`},
		{(*int64)(&p.Income), `SELECT COALESCE(-SUM(balance), 0) FROM accounts WHERE code LIKE 'income:%'`},
	} {
		if err := tx.QueryRowContext(ctx, c.query).Scan(c.into); err != nil {
			return fmt.Errorf("%s: %w", c.query, err)
		}
	}
	return nil
}

func (p *Report) run(ctx context.Context, tx Tx, c check) (err error) {
	rows, err := tx.QueryContext(ctx, c.query+fmt.Sprintf(" LIMIT %d", mostProblems+1))
	if err != nil {
		return fmt.Errorf("check %q: %w", c.broken, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for n := 0; rows.Next(); n++ {
		if n == mostProblems {
			p.Problems = append(p.Problems, "… and more of the same")
			break
		}
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		p.Problems = append(p.Problems, fmt.Sprintf(c.broken, values...))
	}
	return rows.Err()
}

// walkAudit follows the audit log's chain from its first entry to its head.
func (p *Report) walkAudit(ctx context.Context, tx Tx) error {
	var head [sha256.Size]byte
	var seq int64
	err := each(ctx, tx, func(row Row) error {
		var e audit.Entry
		var at int64
		var hash []byte
		if err := row.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &e.Why, &hash); err != nil {
			return err
		}
		e.At = Time(at)
		copy(e.Hash[:], hash)
		if e.Seq != seq+1 {
			p.Problems = append(p.Problems, fmt.Sprintf("the audit log goes from entry %d to %d: entries are missing", seq, e.Seq))
		} else if !audit.Verify(head, e) {
			p.Problems = append(p.Problems, fmt.Sprintf("audit entry %d was changed, or the one before it", e.Seq))
		}
		seq, head = e.Seq, e.Hash
		p.AuditEntries++
		return nil
	}, `SELECT seq, at, actor, action, subject, why, hash FROM audit ORDER BY seq`)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	var headSeq int64
	var headHash []byte
	if err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head`).Scan(&headSeq, &headHash); err != nil {
		return fmt.Errorf("read the head of the audit log: %w", err)
	}
	if headSeq != seq || !bytes.Equal(head[:], headHash) {
		p.Problems = append(p.Problems, fmt.Sprintf("the audit log ends at entry %d, but its head says %d: the end is missing or was changed", seq, headSeq))
	}
	return nil
}
