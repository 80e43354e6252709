package camt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed/camt"
)

// TestFeeds reads the collected camt files and holds them against their notes.
func TestFeeds(t *testing.T) {
	t.Parallel()
	feeds := os.Getenv("MILAAN_TEST_FEEDS")
	if feeds == "" {
		t.Skip("MILAAN_TEST_FEEDS names no folder of bank feeds")
	}
	notes, err := filepath.Glob(filepath.Join(feeds, "statements", "camt*.meta.json"))
	if err != nil || len(notes) == 0 {
		t.Fatalf("no camt files in %s: %v", feeds, err)
	}
	for _, note := range notes {
		path := strings.TrimSuffix(note, ".meta.json")
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			var meta struct {
				Credits   []struct{ Amount, Date, Description string }
				DebitRows int `json:"debit_rows"`
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

			var credits [][3]string
			debits := 0
			for item, err := range camt.Read(bytes.NewReader(file)) {
				switch {
				case err != nil:
					t.Fatal(err)
				case item.Entry == nil:
					t.Logf("%s version %d, account %s: verified %t, %v", item.Account.Kind, item.Account.Version, item.Account.Number, item.Account.Verified, item.Account.Problem)
				case item.Entry.Err != nil:
					t.Log(item.Entry.Err)
					fallthrough
				case !item.Entry.Credit:
					debits++
				case item.Entry.Booked:
					credits = append(credits, [3]string{
						item.Entry.Amount.Fixed(), item.Entry.BookingDay.Format(time.DateOnly), item.Entry.Remittance,
					})
				}
			}
			var want [][3]string
			for _, c := range meta.Credits {
				want = append(want, [3]string{c.Amount, c.Date, c.Description})
			}
			if !slices.Equal(credits, want) {
				t.Errorf("credits are %v, want %v", credits, want)
			}
			if debits != meta.DebitRows {
				t.Errorf("%d debits, want %d", debits, meta.DebitRows)
			}
		})
	}
}
