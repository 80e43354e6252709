package console

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
)

// copies makes n rows of a table like its last one, with columns of their own: i
// counts them.
func (h *house) copies(table string, n int, with map[string]string) {
	h.Helper()
	raw := h.Database.Raw(h.TB)
	rows, err := raw.QueryContext(h.Context(), `SELECT name FROM pragma_table_info($1)`, table)
	if err != nil {
		h.Fatal(err)
	}
	var into, from []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			h.Fatal(err)
		}
		into = append(into, name)
		if own, ok := with[name]; ok {
			name = own
		}
		from = append(from, name)
	}
	if err := rows.Err(); err != nil {
		h.Fatal(err)
	}
	_ = rows.Close()
	order := into[0]
	if table == "statement_lines" {
		order = into[1]
	}
	query := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO ` + table + ` (` + strings.Join(into, ", ") +
		`) SELECT ` + strings.Join(from, ", ") + ` FROM n CROSS JOIN (SELECT * FROM ` + table + ` ORDER BY ` + order + ` DESC LIMIT 1)`
	if _, err := raw.ExecContext(h.Context(), query, n); err != nil {
		h.Fatalf("%s: %v", query, err)
	}
}

// BenchmarkWorks measures the pages of the works among as many credits, messages
// and lines of one statement as MILAAN_TEST_DEPOSITS says: docs/console.md has
// what a million gave.
func BenchmarkWorks(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("MILAAN_TEST_DEPOSITS"))
	if err != nil {
		n = 10_000
	}
	h := factory(b)
	h.user("asha@example.com", owner)
	v := h.browser().signIn("asha@example.com")
	m := feed.Message{Raw: []byte("Dear Customer, something happened on your account, and nobody can tell what it was."), Digest: [32]byte{1}, Reading: feed.Reading{Kind: feed.Unparsed, Why: "no template reads it"}}
	if _, err := h.Desk.Ingest(b.Context(), h.Directory.Current().Feed("till"), []feed.Item{{Message: &m}}); err != nil {
		b.Fatal(err)
	}
	statement := v.upload("/console/statements/upload", filePart{"wallet", "", "till"}, filePart{"file", "march.csv", rowsOf(creditRow(1), creditRow(2))})
	w := h.withdraw("W1", "by_hand", 100_00)
	final := h.withdraw("W2", "by_hand", 100_00)
	v.post(fmt.Sprint("/console/payouts/", final.ID, "/reject"), "why", "none")
	const far = "1000000000 + i"
	h.copies("credits", n, map[string]string{"id": far, "utr": "printf('%012d', 700000000000 + i)", "booked_at": "booked_at - i * 1000000"})
	h.copies("messages", n, map[string]string{"id": far, "digest": "CAST(printf('%032d', i) AS BLOB)", "raw": "x''", "feed": "CASE WHEN i % 1000 = 0 THEN 'bar' ELSE 'till' END"})
	h.copies("statement_lines", n, map[string]string{"line": "100 + i", "credit_id": far, "result": "CASE WHEN i % 100000 = 0 THEN 'refused' ELSE 'new' END"})
	h.copies("withdrawals", n/10, map[string]string{"id": far, "withdrawal_id": "printf('W-%d', i)"})
	for _, page := range []struct{ name, path string }{
		{"wallets", "/console/wallets"}, {"wallet", "/console/wallets/till"}, {"method", "/console/methods/upi_l"},
		{"feeds", "/console/feeds"}, {"feed", "/console/feeds/till"}, {"feed-rare", "/console/feeds/bar"}, {"inbox", "/console/inbox"},
		{"statements", "/console/statements"}, {"statement", statement.to}, {"statement-deep", statement.to + fmt.Sprintf("?after=%d", n/2)}, {"statement-open", statement.to + "?lines=open"},
		{"payouts", "/console/payouts"}, {"payouts-contested", "/console/payouts?state=contested"}, {"payout", fmt.Sprint("/console/payouts/", w.ID)}, {"payout-files", "/console/payout-files"},
		{"merchants", "/console/merchants"}, {"setup", "/console/merchants/shop/setup"}, {"keys", "/console/merchants/shop/keys"},
		{"links", "/console/merchants/shop/links?label=55&amount=500"}, {"guide", "/console/merchants/shop/guide"},
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
}
