package console

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// seeds copies what a house has of a deposit, so many times, a second apart and
// into the past, with UTRs, labels, amounts and merchants of their own.
func (h *house) seeds(n int) {
	h.Helper()
	raw := h.Database.Raw(h.TB)
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	// A deposit's number is 4 times its place, its credit's one more.
	const claim, credit, moved = "1000000000 + ($1 - i) * 4", "1000000001 + ($1 - i) * 4", " - i * 1000000"
	merchant := "CASE WHEN i % 10 = 0 THEN 'cafe' ELSE 'shop' END"
	for _, table := range []struct {
		name string
		of   string // the row that is copied
		with map[string]string
	}{
		{"credits", "id = (SELECT credit_id FROM deposits WHERE id < 1000000000 ORDER BY id DESC LIMIT 1)", map[string]string{
			"id": credit, "utr": "printf('%012d', 700000000000 + i)", "wallet": "CASE WHEN i % 10 = 0 THEN 'bar' ELSE 'till' END", "amount": "10000 + i % 90000 * 100",
			"payer_vpa": "printf('payer%d@okaxis', i % 50000)", "booked_at": "booked_at" + moved, "received_at": "received_at" + moved, "claim_id": claim,
		}},
		{"claims", "id = (SELECT max(id) FROM deposits WHERE id < 1000000000)", map[string]string{
			"id": claim, "credit_id": credit, "utr": "printf('%012d', 700000000000 + i)", "merchant": merchant, "custom_id": "printf('order-%d', i)",
			"label": "printf('payer-%d', i % 50000)", "amount": "10000 + i % 90000 * 100", "deposited": "10000 + i % 90000 * 100",
			"created_at": "created_at" + moved, "expires_at": "expires_at" + moved, "settled_at": "settled_at" + moved,
		}},
		{"deposits", "id = (SELECT max(id) FROM deposits WHERE id < 1000000000)", map[string]string{"id": claim, "credit_id": credit, "merchant": merchant, "amount": "10000 + i % 90000 * 100", "at": "at" + moved,
			"wallet": "CASE WHEN i % 10 = 0 THEN 'bar' ELSE 'till' END"}},
		{"postings", "transaction_id = (SELECT max(id) FROM deposits WHERE id < 1000000000) AND line = 1", map[string]string{"transaction_id": claim, "amount": "10000 + i % 90000 * 100", "at": "at" + moved}},
		{"postbacks", "id = (SELECT max(id) FROM deposits WHERE id < 1000000000)", map[string]string{"id": claim, "merchant": merchant, "created_at": "created_at" + moved}},
	} {
		rows, err := raw.QueryContext(h.Context(), `SELECT name FROM pragma_table_info($1)`, table.name)
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
			if with, ok := table.with[name]; ok {
				name = with
			}
			from = append(from, name)
		}
		if err := rows.Err(); err != nil {
			h.Fatal(err)
		}
		_ = rows.Close()
		query := many + "INSERT INTO " + table.name + " (" + strings.Join(into, ", ") + ") SELECT " + strings.Join(from, ", ") +
			" FROM n CROSS JOIN (SELECT * FROM " + table.name + " WHERE " + table.of + ")"
		if _, err := raw.ExecContext(h.Context(), query, n); err != nil {
			h.Fatalf("%s: %v", query, err)
		}
	}
}

// BenchmarkPayments measures the pages of payments among as many deposits as
// MILAAN_TEST_DEPOSITS says: docs/console.md has what a million gave.
func BenchmarkPayments(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("MILAAN_TEST_DEPOSITS"))
	if err != nil {
		n = 10_000
	}
	h := open(b)
	h.MustReport("till", 1, 0, 0, h.Entry(storetest.UTR(1), 500_00))
	first := h.MustActivate(storetest.Claim("first", storetest.UTR(1), 500_00), deposit.Credited)
	h.seeds(n)
	h.user("asha@example.com", staff.Grant{Role: staff.Owner})
	v := h.browser().signIn("asha@example.com")
	day := h.Clock.Now().Add(-time.Duration(n) * time.Second / 2).Format(time.DateOnly)
	for _, page := range []struct{ name, path string }{
		{"deposits", "/console/deposits"},
		{"deposits-deep", fmt.Sprintf("/console/deposits?after=%d.1", h.Clock.Now().Add(-time.Duration(n)*time.Second/2).UnixMicro())},
		{"deposits-of-day", "/console/deposits?from=" + day + "&to=" + day},
		{"deposits-waiting", "/console/deposits?state=waiting"},
		{"deposits-by-utr", fmt.Sprintf("/console/deposits?q=%d", 700000000000+n/2)},
		{"deposits-by-label", "/console/deposits?q=payer-49999"},
		{"deposits-by-amount", "/console/deposits?q=4321.00"},
		{"deposits-by-vpa", "/console/deposits?q=payer777@okaxis"},
		{"deposits-of-wallet", "/console/deposits?wallet=spare"},
		{"credits", "/console/credits"},
		{"credits-unclaimed", "/console/credits?state=unclaimed"},
		{"credits-by-vpa", "/console/credits?q=payer777@okaxis"},
		{"withdrawals", "/console/withdrawals"},
		{"postbacks", "/console/postbacks"},
		{"postbacks-dead", "/console/postbacks?state=dead"},
		{"find-utr", fmt.Sprintf("/console/find?q=%d", 700000000000+n/2)},
		{"find-label", "/console/find?q=payer-49999"},
		{"find-nothing", "/console/find?q=nobody"},
		{"deposit", fmt.Sprintf("/console/deposits/%d", 1000000000+4*(n/2))},
		{"credit", fmt.Sprintf("/console/credits/%d", 1000000001+4*(n/2))},
		{"postback", fmt.Sprintf("/console/postbacks/%d", first.ID)},
	} {
		b.Run(page.name, func(b *testing.B) {
			var size int
			for b.Loop() {
				got := v.get(page.path)
				if got.status != http.StatusOK && got.status != http.StatusSeeOther {
					b.Fatalf("%s: %d %s", page.path, got.status, got.text())
				}
				size = len(got.body)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
	for _, as := range []string{"csv", "xlsx"} {
		b.Run("export-"+as, func(b *testing.B) {
			for b.Loop() {
				if got := v.get("/console/deposits/export?as=" + as); got.status != http.StatusOK {
					b.Fatalf("%d %s", got.status, got.text())
				}
			}
		})
	}
}
