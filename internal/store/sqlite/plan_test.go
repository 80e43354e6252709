package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/seal"
)

// smallTables have one row, or are walked on purpose.
var smallTables = regexp.MustCompile(`^SCAN (installation|audit_head|\d+-ROW VALUES CLAUSE|\(subquery-\d+\))`)

// TestPlans holds every statement of a group commit to its index: one that
// scans a table would cost more with every payment there ever was.
func TestPlans(t *testing.T) {
	t.Parallel()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "milaan.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	explained := 0
	for _, s := range db.statements.all() {
		if strings.HasPrefix(s.query, "BEGIN") || s.query == "COMMIT" || s.query == "ROLLBACK" {
			continue
		}
		rows, err := db.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.query, make([]any, strings.Count(s.query, "?")+strings.Count(s.query, "$"))...)
		if err != nil {
			t.Fatalf("%s: %v", s.query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN") && !smallTables.MatchString(detail) {
				t.Errorf("%s\n\tplan: %s", s.query, detail)
			}
			explained++
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if explained < 10 {
		t.Errorf("only %d steps were explained", explained)
	}
}
