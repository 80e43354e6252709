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
	for _, statement := range db.statements.all() {
		if strings.HasPrefix(statement.query, "BEGIN") || statement.query == "COMMIT" || statement.query == "ROLLBACK" {
			continue
		}
		for _, step := range plan(t, db, statement.query) {
			if strings.HasPrefix(step, "SCAN") && !smallTables.MatchString(step) {
				t.Errorf("%s\n\tplan: %s", statement.query, step)
			}
			explained++
		}
	}
	if explained < 10 {
		t.Errorf("only %d steps were explained", explained)
	}
}

func plan(t *testing.T, db *DB, query string) (steps []string) {
	t.Helper()
	parameters := make([]any, strings.Count(query, "?")+strings.Count(query, "$"))
	rows, err := db.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, parameters...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
