package console

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// notes writes what the books and the audit log have of the deposits that seeds
// made, beside what it writes itself: the credits' postings, fees, and three entries
// of the log for each, with an act of a person now and then.
func (h *house) notes(n int) {
	h.Helper()
	raw := h.Database.Raw(h.TB)
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	account := func(code string) string { return "(SELECT id FROM accounts WHERE code = '" + code + "')" }
	const at = "(SELECT MAX(at) FROM deposits) - ($1 - i) * 1000000"
	for _, fill := range []struct {
		rows  int
		query string
	}{
		{n, `INSERT INTO postings (transaction_id, line, kind, debit, credit, amount, currency, at)
			SELECT 1000000001 + i * 4, 1, 'credit', ` + account("wallet:till") + `, ` + account("suspense:till") + `, 10000, 'INR', ` + at + ` FROM n`},
		{n, `INSERT INTO postings (transaction_id, line, kind, debit, credit, amount, currency, at)
			SELECT 1000000000 + ($1 - i) * 4, 2, 'deposit_fee', ` + account("merchant:shop") + `, ` + account("fees") + `, 100, 'INR', ` + at + ` FROM n`},
		{3 * n, `INSERT INTO audit (seq, at, actor, action, subject, why, hash)
			SELECT (SELECT MAX(seq) FROM audit) + i, (SELECT MAX(at) FROM audit) - ($1 - i) * 333333, CASE WHEN i % 5003 = 0 THEN 'user:ravi@example.com' ELSE 'api:shop' END,
				CASE WHEN i % 5003 = 0 THEN 'endpoint.paused' WHEN i % 3 = 0 THEN 'credit.received' WHEN i % 3 = 1 THEN 'claim.waiting' ELSE 'claim.credited' END,
				1000000000 + i / 3 * 4, 'credit 30: wallet, method, UTR and amount agree', randomblob(32) FROM n`},
		{1, `UPDATE audit_head SET seq = (SELECT MAX(seq) FROM audit) WHERE $1 > 0`},
	} {
		if _, err := raw.ExecContext(h.Context(), many+fill.query, fill.rows); err != nil {
			h.Fatalf("%s: %v", fill.query, err)
		}
	}
}

// BenchmarkAdmin measures the pages of reports and of the audit log among as many
// deposits as MILAAN_TEST_DEPOSITS says: docs/reports.md has what a million gave.
func BenchmarkAdmin(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("MILAAN_TEST_DEPOSITS"))
	if err != nil {
		n = 10_000
	}
	h := open(b)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(n)
	h.notes(n)
	h.user("asha@example.com", staff.Grant{Role: staff.Owner})
	v := h.browser().signIn("asha@example.com")
	middle := h.Clock.Now().Add(-time.Duration(n) * time.Second / 2).Format(time.DateOnly)
	for _, page := range []struct{ name, path string }{
		{"statement", "/console/reports?merchant=shop"},
		{"statement-of-day", "/console/reports?merchant=shop&day=" + middle},
		{"statement-of-month", "/console/reports?merchant=shop&every=monthly&day=" + middle},
		{"wallet", "/console/reports/wallets?wallet=till"},
		{"wallet-of-month", "/console/reports/wallets?wallet=till&every=monthly&day=" + middle},
		{"fees", "/console/reports/fees"},
		{"fees-of-month", "/console/reports/fees?every=monthly&day=" + middle},
		{"reconciliation", "/console/reports/reconciliation"},
		{"settlements", "/console/reports/settlements"},
		{"audit", "/console/audit"},
		{"audit-all", "/console/audit?what=all"},
		{"audit-by-actor", "/console/audit?actor=user:ravi"},
		{"audit-by-rare-actor", "/console/audit?what=all&actor=user:nobody"},
		{"audit-of-day", "/console/audit?what=all&from=" + middle + "&to=" + middle},
		{"audit-of-object", fmt.Sprintf("/console/audit?object=%d", 1000000000+4*(n/2))},
		{"alerts", "/console/alerts"},
		{"keys", "/console/keys"},
		{"settings", "/console/settings"},
	} {
		b.Run(page.name, func(b *testing.B) {
			var size int
			for b.Loop() {
				got := v.get(page.path)
				if got.status != http.StatusOK {
					b.Fatalf("%s: %d %s", page.path, got.status, got.text())
				}
				size = len(got.body)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
	// The balance of years ago is that of now less all quarters since, each of which
	// had payments.
	const quarters = 10 * 365 * 24 * 4
	if _, err := h.Database.Raw(b).ExecContext(b.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO turnovers SELECT account, kind, (SELECT MIN(quarter) FROM turnovers) - i, 30, 300000 FROM n
			CROSS JOIN (SELECT DISTINCT account, kind FROM turnovers)`, quarters); err != nil {
		b.Fatal(err)
	}
	for _, years := range []int{1, 5, 10} {
		b.Run(fmt.Sprintf("statement-of-%d-years-ago", years), func(b *testing.B) {
			day := h.Clock.Now().AddDate(-years, 0, 0).Format(time.DateOnly)
			for b.Loop() {
				if got := v.get("/console/reports?merchant=shop&day=" + day); got.status != http.StatusOK {
					b.Fatalf("%d %s", got.status, got.text())
				}
			}
		})
	}
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			if got := v.get("/console/reports/export?merchant=shop&every=monthly&as=csv&day=" + middle); got.status != http.StatusOK {
				b.Fatalf("%d %s", got.status, got.text())
			}
		}
	})
}
