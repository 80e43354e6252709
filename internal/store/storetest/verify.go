package storetest

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
)

// damages are what verify must find, each done behind the store's back to a
// house with one deposit of 500 rupees ("a", of till), one unclaimed credit, a
// claim in review, one that waits and one that was rejected; a debit of 30 rupees
// and 7 of interest; a credit that was corrected from 100 to 90 (UTR 5), one that
// was reversed (UTR 6), and one that was reversed before it came (UTR 7).
var damages = []struct {
	name string
	// free drops the guards first.
	free bool
	do   string
	want string // in one of the problems
}{
	{"a balance", false, `UPDATE accounts SET balance = balance + 1 WHERE code = 'merchant:shop'`, "account merchant:shop has balance"},
	{"two balances that cancel out", false, `UPDATE accounts SET balance = balance + CASE code WHEN 'wallet:till' THEN 1 ELSE -1 END
		WHERE code IN ('wallet:till', 'merchant:shop')`, "wallet wallet:till holds"},
	{"a posting gone", true, `DELETE FROM postings WHERE kind = 'deposit'`, "but its postings add up to"},
	{"a posting changed", true, `UPDATE postings SET amount = amount + 1 WHERE kind = 'deposit'`, "but its postings add up to"},
	{"a posting to an unknown account", true, `UPDATE postings SET debit = 999999 WHERE kind = 'deposit'`, "touches an account that does not exist"},
	{"a posting in another currency", true, `UPDATE postings SET currency = 'USD' WHERE kind = 'deposit'`, "another currency"},
	{"a postback gone", false, `DELETE FROM postbacks`, "has no postback"},
	{"a postback of another merchant", false, `UPDATE postbacks SET merchant = 'cafe'`, "has no postback"},
	{"a postback of nothing", false, `INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at)
		SELECT 999999, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at FROM postbacks`, "postback 999999 has no deposit"},
	{"a deposit gone", false, `DELETE FROM deposits`, "but its deposit says otherwise"},
	{"a deposit's amount", false, `UPDATE deposits SET amount = amount - 1`, "does not agree with its credit"},
	{"a tally", false, `UPDATE tallies SET won = won + 1 WHERE merchant <> ''`, "than is tallied"},
	{"a tally gone", false, `DELETE FROM tallies WHERE merchant <> ''`, "than is tallied"},
	{"the tally of all", false, `UPDATE tallies SET amount = amount + 1 WHERE merchant = ''`, "do not add up to that of all"},
	{"a turnover", false, `UPDATE turnovers SET amount = amount + 1 WHERE kind = 'deposit'`, "by deposit in quarter"},
	{"how often something was turned over", false, `UPDATE turnovers SET postings = postings - 1 WHERE kind = 'credit'`, "by credit in quarter"},
	{"a turnover gone", false, `DELETE FROM turnovers WHERE kind = 'deposit'`, "by deposit in quarter"},
	{"a turnover of nothing", false, `INSERT INTO turnovers SELECT account, kind, quarter + 1, 1, 1 FROM turnovers WHERE kind = 'deposit'`, "by deposit in quarter"},
	{"how long deposits took", false, `UPDATE tallies SET wait_5m = wait_5m + 1`, "took otherwise than is tallied"},
	{"a deposit's fee", false, `UPDATE deposits SET fee = fee + 1`, "merchant:shop is owed"},
	{"a deposit's wallet", false, `UPDATE deposits SET wallet = 'spare'`, "does not agree with its credit"},
	{"a deposit's merchant", false, `UPDATE deposits SET merchant = 'cafe'`, "but its deposit says otherwise"},
	{"a credit's amount", false, `UPDATE credits SET amount = amount + 1 WHERE state = 'unclaimed'`, "its credits add up to"},
	{"two credits' amounts swapped", false, `UPDATE credits SET amount = 70000 - amount WHERE state = 'unclaimed'`, "its credits add up to"},
	{"a posting of no deposit", true, `INSERT INTO postings (transaction_id, line, kind, debit, credit, amount, currency, at)
		SELECT 999999, 1, kind, debit, credit, amount, currency, at FROM postings WHERE kind = 'deposit'`, "posting 999999/1 is of a credit, movement, withdrawal or deposit that is not kept"},
	{"a posting's kind", true, `UPDATE postings SET kind = 'credit' WHERE kind = 'deposit'`, "was not posted as it is"},
	{"a postback delivered by nobody", false, `UPDATE postbacks SET state = 'delivered'`, "is delivered with delivery at 0"},
	{"a postback that is due without a time", false, `UPDATE postbacks SET next_at = 0`, "although it has no time"},
	{"a refused target that is due", false, `UPDATE postbacks SET refused = 'x'`, "with a refused target"},
	{"an attempt at nothing", false, `INSERT INTO postback_attempts (postback, number, at, latency, status, error, answer)
		SELECT 999999, 1, 1, 1, 200, '', body FROM postbacks`, "is at postback 999999, which is not kept"},
	{"ids given again", false, `UPDATE id_blocks SET next = 1`, "which was given before"},
	{"a credit's state", false, `UPDATE credits SET state = 'unclaimed' WHERE state = 'bound'`, "is unclaimed with claim"},
	{"a credit made free", false, `UPDATE credits SET state = 'unclaimed', claim_id = 0 WHERE state = 'bound'`, "is unclaimed with claim 0"},
	{"a credit bound to nothing", false, `UPDATE credits SET state = 'bound', claim_id = 999999 WHERE state = 'unclaimed'`, "is bound with claim 999999"},
	{"a credit's wallet", false, `UPDATE credits SET wallet = 'spare' WHERE state = 'unclaimed'`, "wallet wallet:till holds"},
	{"a credit's UTR", false, `UPDATE credits SET utr = '999999999999' WHERE state = 'bound'`, "in wallet, UTR, amount or currency"},
	{"a credit gone", false, `DELETE FROM credits WHERE state = 'unclaimed'`, "its credits add up to"},
	{"a credit out of nothing", false, `INSERT INTO credits SELECT 999999, wallet, '999999999998', 1, currency, payer_vpa, payer_name, note, reference,
		booked_at, received_at, feed, trust, state, 0, contested, lines FROM credits WHERE state = 'unclaimed' AND amount = 20000`, "credit 999999 is not in the audit log"},
	{"a credit bound twice", false, `UPDATE claims SET state = 'credited', deposited = 50000, settled_at = 1,
		credit_id = (SELECT credit_id FROM deposits) WHERE custom_id = 'waits'`, "is credited, but its deposit says otherwise"},
	{"a claim credited without a deposit", false, `UPDATE claims SET state = 'credited', settled_at = 1 WHERE custom_id = 'held'`, "is credited, but its deposit says otherwise"},
	{"a credited claim taken back", false, `UPDATE claims SET state = 'rejected' WHERE custom_id = 'a'`, "is rejected, but its deposit says otherwise"},
	{"a claim's merchant", false, `UPDATE claims SET merchant = 'cafe' WHERE custom_id = 'a'`, "but its deposit says otherwise"},
	{"a claim's deposited amount", false, `UPDATE claims SET deposited = deposited + 1 WHERE custom_id = 'a'`, "but its deposit says otherwise"},
	{"a claim rejected by nobody", false, `UPDATE claims SET state = 'rejected', settled_at = 1 WHERE custom_id = 'held'`, "is rejected, but the audit log does not say so"},
	{"a rejected claim that waits again", false, `UPDATE claims SET state = 'pending', settled_at = 0 WHERE custom_id = 'rejected'`, "is pending, but the audit log does not say so"},
	{"an open claim settled", false, `UPDATE claims SET settled_at = 1 WHERE custom_id = 'waits'`, "without a time of settling, or open with one"},
	{"a claim gone", false, `DELETE FROM claims WHERE custom_id = 'waits'`, "is in the audit log, but not kept"},
	{"a wallet's day", false, `UPDATE wallet_days SET received = received + 1`, "by its days"},
	{"an audit entry's text", true, `UPDATE audit SET why = why || '!' WHERE seq = 2`, "audit entry 2 was changed"},
	{"an audit entry's actor", true, `UPDATE audit SET actor = 'operator:bob' WHERE seq = 3`, "audit entry 3 was changed"},
	{"an audit entry gone", true, `DELETE FROM audit WHERE seq = 3`, "entries are missing"},
	{"the audit log's end gone", true, `DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)`, "the end is missing"},
	{"the audit log's head", false, `UPDATE audit_head SET seq = seq - 1`, "the end is missing"},
	{"a debit's amount", false, `UPDATE movements SET amount = amount + 1 WHERE amount = 3000`, "outflow:till holds 3000 paise, but the debits add up to 3001"},
	{"interest's amount", false, `UPDATE movements SET amount = amount - 1 WHERE kind = 'other'`, "but what came in without being a payment adds up to 699"},
	{"two movements' amounts that cancel out", false, `UPDATE movements SET amount = amount + 1 WHERE credit_id = 0`, "was not posted as it is"},
	{"a movement gone", false, `DELETE FROM movements WHERE kind = 'other'`, "is of a credit, movement, withdrawal or deposit that is not kept"},
	{"a movement out of nothing", false, `INSERT INTO movements SELECT 999999, wallet, feed, kind, utr, 1, currency, booked_at, received_at, reversal, narration, substr(line_key, 1, 31), 0, 0
		FROM movements WHERE kind = 'other'`, "movement 999999 was not posted as it is"},
	{"a movement's wallet", false, `UPDATE movements SET wallet = 'spare' WHERE amount = 3000`, "was not posted as it is"},
	{"a debit that becomes income", false, `UPDATE movements SET kind = 'other' WHERE amount = 3000`, "was not posted as it is"},
	{"a movement's currency", false, `UPDATE movements SET currency = 'USD' WHERE amount = 3000`, "was not posted as it is"},
	{"a movement's posting gone", true, `DELETE FROM postings WHERE kind = 'income'`, "was not posted as it is"},
	{"a movement's posting twice", true, `INSERT INTO postings SELECT transaction_id, 2, kind, debit, credit, amount, currency, at FROM postings WHERE kind = 'income'`, "was not posted as it is"},
	{"an undone movement's posting gone", true, `DELETE FROM postings WHERE kind = 'movement_undone'`, "was not posted as it is"},
	{"a posting of no movement", true, `INSERT INTO postings SELECT 999999, line, kind, debit, credit, amount, currency, at FROM postings WHERE kind = 'income'`, "posting 999999/1 is of a credit, movement, withdrawal or deposit that is not kept"},
	{"a movement that nobody recorded", true, `DELETE FROM audit WHERE action = 'movement.recorded'`, "is not in the audit log"},
	{"the outflow's balance", false, `UPDATE accounts SET balance = balance + 1 WHERE code = 'outflow:till'`, "account outflow:till has balance"},
	{"the income's balance", false, `UPDATE accounts SET balance = balance + 1 WHERE code = 'income:till'`, "account income:till has balance"},
	{"outflow and income that cancel out", false, `UPDATE accounts SET balance = balance + CASE code WHEN 'income:till' THEN 1 ELSE -1 END
		WHERE code IN ('income:till', 'outflow:till')`, "outflow:till holds 2999 paise"},
	{"a reversal forgotten", false, `UPDATE movements SET credit_id = 0 WHERE utr = '000000000006'`, "is reversed by no movement"},
	{"a late reversal forgotten", false, `UPDATE movements SET credit_id = 0 WHERE utr = '000000000007'`, "is reversed by no movement"},
	{"a reversal of another credit", false, `UPDATE movements SET credit_id = (SELECT id FROM credits WHERE utr = '000000000005') WHERE utr = '000000000006'`, "which is not reversed"},
	{"a reversal of nothing", false, `UPDATE movements SET credit_id = 999999 WHERE utr = '000000000006'`, "took back credit 999999, which is not reversed"},
	{"two reversals of one credit", false, `UPDATE movements SET credit_id = (SELECT id FROM credits WHERE utr = '000000000006') WHERE utr = '000000000007'`, "is reversed by no movement"},
	{"a reversal of another amount", false, `UPDATE movements SET amount = amount + 1 WHERE utr = '000000000006'`, "which is not reversed"},
	{"a reversed credit made free", false, `UPDATE credits SET state = 'unclaimed' WHERE utr = '000000000006'`, "which is not reversed"},
	{"a reversed credit made free with its movement", false, `UPDATE credits SET state = 'unclaimed' WHERE utr = '000000000006'; UPDATE movements SET credit_id = 0 WHERE utr = '000000000006'`, "was not posted as it is"},
	{"a credit reversed by nobody", false, `UPDATE credits SET state = 'reversed' WHERE utr = '000000000005'`, "is reversed by no movement"},
	{"a reversal's posting gone", true, `DELETE FROM postings WHERE kind = 'credit_reversed' AND transaction_id = (SELECT id FROM credits WHERE utr = '000000000006')`, "was not posted as it is"},
	{"a reversal that nobody recorded", true, `DELETE FROM audit WHERE action = 'credit.reversed'`, "is reversed, but the audit log does not say so"},
	{"a correction undone", false, `UPDATE credits SET amount = 10000 WHERE utr = '000000000005'`, "was not posted as it is"},
	{"a correction's posting gone", true, `DELETE FROM postings WHERE kind = 'credit_corrected'`, "was not posted as it is"},
	{"a correction's posting of another amount", true, `UPDATE postings SET amount = amount + 1 WHERE kind = 'credit_corrected'`, "was not posted as it is"},
	{"a correction's posting on another wallet", true, `UPDATE postings SET credit = (SELECT id FROM accounts WHERE code = 'wallet:spare') WHERE kind = 'credit_corrected'`, "was not posted as it is"},
	{"a credit's lines", false, `UPDATE credits SET lines = lines + 1 WHERE utr = '000000000005'`, "was not posted as it is"},
	{"a doubt taken away", false, `UPDATE credits SET contested = 0 WHERE utr = '000000000005'`, "of a contested one, but the audit log says otherwise"},
	{"a doubt cast", false, `UPDATE credits SET contested = 1 WHERE utr = '000000000002'`, "of a contested one, but the audit log says otherwise"},
	{"a wallet's day without a credit", false, `INSERT INTO wallet_days SELECT 'bar', day, 100 FROM wallet_days`, "wallet bar received 100 paise by its days, but its credits add up to 0"},
	{"a message of a credit that is not kept", false, `UPDATE messages SET credit_id = 999999`, "is of credit 999999, which is not kept"},
	{"a line of a credit that is not kept", false, `UPDATE statement_lines SET credit_id = 999999 WHERE line = 1`, "line 1 of statement"},
	{"a line of a movement that is not kept", false, `UPDATE statement_lines SET movement_id = 999999 WHERE line = 2`, "line 2 of statement"},
	{"a message's id given again", false, `UPDATE messages SET id = 9999999`, "which was given before"},
	{"a statement's id given again", false, `UPDATE statements SET id = 9999999`, "which was given before"},
	{"an account's id given again", false, `UPDATE accounts SET id = 9999999 WHERE code = 'wallet:closed'`, "which was given before"},
	{"the audit log's head cut short", false, `UPDATE audit_head SET hash = substr(hash, 1, 7)`, "the end is missing"},
}

func mustOpenDamageable(t *testing.T, fresh Fresh) *House {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	h.MustReport("till", 4, 0, 0, h.Entry(UTR(1), 500_00), h.Entry(UTR(2), 200_00), h.Entry(UTR(3), 300_00), h.Entry(UTR(4), 400_00))
	h.MustActivate(Claim("a", UTR(1), 500_00), deposit.Credited)
	h.MustActivate(Claim("held", UTR(3), 301_00), deposit.Pending, deposit.AmountDiffers)
	h.MustActivate(Claim("waits", UTR(9), 500_00), deposit.Waiting)
	h.MustReject(h.MustActivate(Claim("rejected", UTR(4), 401_00), deposit.Pending, deposit.AmountDiffers).ID)

	out := h.mustMove("till", h.movement(feed.Debit, "", 30_00), feed.Recorded)
	h.mustMove("till", h.movement(feed.Other, "", 7_00), feed.Recorded)
	alert := provisional(h.Entry(UTR(5), 100_00))
	message := feed.Message{Raw: []byte("credited"), Sender: "VM-HDFCBK-S", SentAt: h.Clock.Now(), Reading: feed.Reading{Kind: feed.Credit, UTR: UTR(5), Amount: 100_00}}
	if _, err := h.Desk.Ingest(t.Context(), h.Directory.Current().Feed("till"), []feed.Item{{Credit: &alert, Message: &message}}); err != nil {
		t.Fatal(err)
	}
	h.MustReport("till", 0, 0, 0, h.Entry(UTR(5), 90_00))
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(6), 60_00))
	h.MustReverse("till", UTR(6))
	h.mustMove("till", h.movement(feed.Debit, UTR(7), 80_00), feed.Recorded)
	h.MustReport("till", 1, 0, 0, h.Entry(UTR(7), 80_00))
	statement, err := h.Store.KeepStatement(t.Context(), &feed.Statement{Wallet: "till", Feed: "till", From: h.Clock.Now(), To: h.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	lines := []feed.StatementLine{
		{Number: 1, Kind: feed.Credit, Outcome: feed.Outcome{Result: feed.Known, CreditID: h.MustCredit("till", UTR(5)).ID}},
		{Number: 2, Kind: feed.Debit, Outcome: feed.Outcome{Result: feed.Recorded, MovementID: out.MovementID}},
	}
	if err := h.Store.KeepLines(t.Context(), statement, lines); err != nil {
		t.Fatal(err)
	}
	return h
}

// mustDropGuards drops the triggers, as somebody with the database's password could.
func (h *House) mustDropGuards() {
	h.Helper()
	if h.Database.Embedded() {
		for _, trigger := range []string{"postings_stay", "postings_remain", "audit_stays", "audit_remains"} {
			h.mustExec(`DROP TRIGGER ` + trigger)
		}
		return
	}
	h.mustExec(`DROP TRIGGER postings_stay ON postings`)
	h.mustExec(`DROP TRIGGER audit_stays ON audit`)
}

func testVerify(t *testing.T, fresh Fresh) {
	t.Helper()
	h := mustOpenDamageable(t, fresh)
	r := h.MustVerify()
	if r.Credits != 7 || r.Claims != 4 || r.Deposits != 1 || r.Postings != 15 || r.Postbacks != 1 || r.AuditEntries != 21 ||
		r.Held != 1467_00 || r.Unclaimed != 990_00 || r.Owed != 500_00 || r.Fees != 0 || r.Outflow != 30_00 || r.Income != 7_00 {
		t.Errorf("the report is %+v", r)
	}

	for _, guarded := range []string{
		`UPDATE postings SET amount = 1`, `DELETE FROM postings`, `UPDATE audit SET why = ''`, `DELETE FROM audit`,
	} {
		if _, err := h.raw().ExecContext(t.Context(), guarded); err == nil {
			t.Fatalf("%s was let through", guarded)
		}
	}
	for _, forbidden := range []string{
		`INSERT INTO deposits SELECT 999999, merchant, wallet, credit_id, amount, fee, rates_id, at FROM deposits`,
		`INSERT INTO credits SELECT 999999, wallet, utr, amount, currency, payer_vpa, payer_name, note, reference, booked_at, received_at,
			feed, trust, state, claim_id, contested, lines FROM credits`,
		`UPDATE claims SET custom_id = 'a' WHERE custom_id = 'held'`,
		`UPDATE credits SET amount = 0`, `UPDATE claims SET state = 'lost'`, `UPDATE deposits SET fee = amount + 1`,
	} {
		if _, err := h.raw().ExecContext(t.Context(), forbidden); err == nil {
			t.Fatalf("%s was let through", forbidden)
		}
	}

	// Each damage is done to a house of its own, so that none hides another.
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			h := mustOpenDamageable(t, fresh)
			if d.free {
				h.mustDropGuards()
			}
			h.mustExec(d.do)
			report, err := h.Store.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(report.Problems, "\n"), d.want) {
				t.Errorf("no problem says %q:\n%s", d.want, strings.Join(report.Problems, "\n"))
			}
		})
	}
	t.Run("many problems of a kind", func(t *testing.T) {
		h := MustOpenHouse(t, fresh(t), Setup{})
		entries := make([]feed.Entry, 0, 30)
		for i := range 30 {
			entries = append(entries, h.Entry(UTR(i+1), 1_00))
		}
		h.MustReport("till", 30, 0, 0, entries...)
		h.mustExec(`UPDATE credits SET claim_id = 1`)
		report, err := h.Store.Verify(t.Context())
		if err != nil || len(report.Problems) != 21 || !strings.Contains(report.Problems[20], "more of the same") {
			t.Errorf("%d problems, %v", len(report.Problems), err)
		}
	})
}
