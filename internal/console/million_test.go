package console

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store/storetest"
)

// MillionVariable names the environment variable that has BenchmarkPages seed a
// million deposits: it takes minutes.
const MillionVariable = "MILAAN_TEST_MILLION"

// tallied are the statements that tally what is there.
var tallied = regexp.MustCompile(`(?s)INSERT INTO tallies.*?;`)

// BenchmarkPages is how long the gateway works on the pages of the overview and the
// review, over a million deposits of the last thirty days.
func BenchmarkPages(b *testing.B) {
	if os.Getenv(MillionVariable) == "" {
		b.Skip(MillionVariable + " is not set")
	}
	h := open(b)
	const deposits = 1_000_000
	db := h.Database.Raw(b)
	exec := func(query string, args ...any) {
		b.Helper()
		if _, err := db.ExecContext(b.Context(), query, args...); err != nil {
			b.Fatal(err)
		}
	}
	until := h.Clock.Now().UnixMicro()
	const gap = 30 * 24 * 3600 * 1_000_000 / deposits
	// Paid before it was claimed, by one payer in a thousand, to the labels in turn; every
	// fiftieth is still unclaimed.
	numbers := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)`, deposits)
	exec(`INSERT INTO credits (id, wallet, utr, amount, currency, payer_vpa, payer_name, note, reference, booked_at, received_at, feed, trust, state, claim_id, contested, lines) `+
		numbers+` SELECT 1000000 + i, CASE i % 2 WHEN 0 THEN 'till' ELSE 'spare' END, printf('%012d', i), 10000 + i % 500 * 100, 'INR', 'payer' || (i % 1000) || '@upi', '', '', '',
			?1 - (?2 - i) * ?3, ?1 - (?2 - i) * ?3, 'till', 3, CASE WHEN i % 50 = 0 THEN 'unclaimed' ELSE 'bound' END, CASE WHEN i % 50 = 0 THEN 0 ELSE 5000000 + i END, 0, 1 FROM n`, until, deposits, gap)
	exec(`INSERT INTO claims (id, merchant, custom_id, method, label, utr, amount, currency, addr, via, state, reasons, credit_id, deposited, history, created_at, expires_at, settled_at) `+
		numbers+` SELECT 5000000 + i, 'shop', 'c' || i, 'upi_l', 'label' || (i % 20000), printf('%012d', CASE WHEN i % 50 = 0 THEN 900000000000 + i ELSE i END), 10000 + i % 500 * 100, 'INR', '', 'api',
			CASE WHEN i % 50 <> 0 THEN 'credited' WHEN i % 400 = 0 THEN 'waiting' ELSE 'expired' END, '', CASE WHEN i % 50 = 0 THEN 0 ELSE 1000000 + i END,
			CASE WHEN i % 50 = 0 THEN 0 ELSE 10000 + i % 500 * 100 END, '{}', ?1 - (?2 - i) * ?3 + 5000000, ?1 + 100000000000, CASE WHEN i % 400 = 0 THEN 0 ELSE ?1 - (?2 - i) * ?3 + 5000000 END FROM n`, until, deposits, gap)
	exec(`INSERT INTO deposits (id, merchant, wallet, credit_id, amount, fee, rates_id, at)
		SELECT claim_id, 'shop', wallet, id, amount, 0, 1, received_at + 5000000 FROM credits WHERE state = 'bound'`)
	exec(`INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at)
		SELECT id, merchant, CASE WHEN id % 1000 = 1 THEN 'due' ELSE 'delivered' END, 1, CASE WHEN id % 1000 = 1 THEN at + 1 ELSE 0 END, x'', 200, '', at,
			CASE WHEN id % 1000 = 1 THEN 0 ELSE at + 1 END FROM deposits`)
	migration, err := os.ReadFile("../store/sqlite/migrations/00017_review.sql")
	if err != nil {
		b.Fatal(err)
	}
	for _, statement := range tallied.FindAllString(string(migration), -1) {
		exec(statement)
	}
	exec(`INSERT INTO feed_hours (feed, hour, items, credits, unread, refused, timed, lag, most_lag, ahead, last_at)
		SELECT w.column1, ?1 / 3600000000 - n.i, 100, 100, 0, 0, 0, 0, 0, 0, ?1 - n.i * 3600000000 FROM (VALUES ('till'), ('spare'), ('common'), ('bar')) AS w,
			(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1343) SELECT i FROM n) AS n`, until)
	exec(`UPDATE id_blocks SET next = 100000000`)
	exec(`ANALYZE`)

	h.MustReport("till", 1, 0, 0, h.Entry("777777777777", 321_00))
	claim := storetest.Claim("suspect", "777777777777", 400_00)
	claim.Label = "label7"
	c := h.MustActivate(claim, deposit.Pending, deposit.AmountDiffers)
	h.user("owner@example.com", staff.Grant{Role: staff.Owner})
	browser := h.browser().signIn("owner@example.com")
	for name, path := range map[string]string{
		"overview": "/console/", "merchant": "/console/merchants/shop", "queue": reviewPath, "claim": claimPath(c.ID),
		"unclaimed": reviewPath + "/unclaimed", "credit": creditPath(1_000_050), "credited": claimPath(5_000_001),
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := b.Elapsed()
				got := browser.get(path)
				took = append(took, b.Elapsed()-start)
				if got.status != http.StatusOK {
					b.Fatalf("answered %d: %s", got.status, got.text())
				}
				b.ReportMetric(float64(len(got.body)), "bytes")
			}
			b.ReportMetric(float64(slices.Max(took).Milliseconds()), "ms-at-most")
		})
	}
}
