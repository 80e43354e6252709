package mt940_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed/mt940"
)

// TestFeeds reads the collected MT940 files and holds them against their notes.
func TestFeeds(t *testing.T) {
	t.Parallel()
	feeds := os.Getenv("MILAAN_TEST_FEEDS")
	if feeds == "" {
		t.Skip("MILAAN_TEST_FEEDS names no folder of bank feeds")
	}
	notes, err := filepath.Glob(filepath.Join(feeds, "statements", "mt940_*.meta.json"))
	if err != nil || len(notes) == 0 {
		t.Fatalf("no MT940 files in %s: %v", feeds, err)
	}
	for _, note := range notes {
		path := strings.TrimSuffix(note, ".meta.json")
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			var meta struct {
				Credits   []struct{ Amount, Date, Description string }
				DebitRows int `json:"debit_rows"`
				Note      string
			}
			text, err := os.ReadFile(note)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &meta); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}

			var credits [][2]string
			debits, refused := 0, 0
			for item, err := range mt940.Read(bytes.NewReader(file)) {
				switch {
				case err != nil:
					t.Fatal(err)
				case item.Line == nil:
					t.Logf("account %s in %s: verified %t, %v", item.Statement.Account, item.Statement.Currency, item.Statement.Verified, item.Statement.Problem)
				case item.Line.Err != nil:
					t.Log(item.Line.Err)
					refused++
				case !item.Line.Credit:
					debits++
				case item.Line.Amount > 0:
					credits = append(credits, [2]string{item.Line.Amount.Fixed(), item.Line.ValueDate.Format(time.DateOnly)})
					if n := len(credits); n <= len(meta.Credits) {
						told := item.Line.CustomerRef + "//" + item.Line.BankRef + " " + item.Line.Details
						if !strings.Contains(told, meta.Credits[n-1].Description) {
							t.Errorf("line %d says %q, want %q", item.Line.Number, told, meta.Credits[n-1].Description)
						}
					}
				}
			}
			var want [][2]string
			for _, c := range meta.Credits {
				want = append(want, [2]string{c.Amount, c.Date})
			}
			if !slices.Equal(credits, want) {
				t.Errorf("credits are %v, want %v", credits, want)
			}
			wantRefused := 0
			if strings.Contains(meta.Note, "impossible date") {
				wantRefused = 1
			}
			if refused != wantRefused || debits+refused != meta.DebitRows {
				t.Errorf("%d debits and %d lines with errors, want %d and %d", debits, refused, meta.DebitRows-wantRefused, wantRefused)
			}
		})
	}
}
