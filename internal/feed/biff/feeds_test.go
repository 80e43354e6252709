package biff_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed/biff"
)

// TestFeeds reads the collected .xls files and looks for the rows that their notes name.
func TestFeeds(t *testing.T) {
	t.Parallel()
	feeds := os.Getenv("MILAAN_TEST_FEEDS")
	if feeds == "" {
		t.Skip("MILAAN_TEST_FEEDS names no folder of bank feeds")
	}
	paths, err := filepath.Glob(filepath.Join(feeds, "statements", "*.xls"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no .xls files in %s: %v", feeds, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			var meta struct {
				Format  string
				Credits []struct{ Amount, Description string }
			}
			notes, err := os.ReadFile(path + ".meta.json")
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(notes, &meta); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			book, err := open(file)
			if !strings.Contains(meta.Format, "BIFF") {
				wantError(t, err, biff.ErrFormat) // text that is called .xls
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var rows [][]string
			for row, err := range book.Rows() {
				if err != nil {
					t.Fatal(err)
				}
				var texts []string
				for _, cell := range row {
					texts = append(texts, cell.Text)
				}
				rows = append(rows, texts)
			}
			for _, credit := range meta.Credits {
				amount := strings.TrimSuffix(strings.TrimSuffix(credit.Amount, "0"), ".0")
				if !slices.ContainsFunc(rows, func(row []string) bool {
					return slices.Contains(row, credit.Description) && slices.Contains(row, amount)
				}) {
					t.Errorf("no row with %s and %q", amount, credit.Description)
				}
			}
			t.Logf("%d rows", len(rows))
		})
	}
}
