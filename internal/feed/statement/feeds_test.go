package statement_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
)

// meta says what a real file holds.
type meta struct {
	Credits    []movement `json:"credits"`
	NotCredits []movement `json:"not_credits"`
}

type movement struct {
	Amount string  `json:"amount"`
	UTR    *string `json:"utr"`
	Date   string  `json:"date"`
}

func (m movement) utr() string {
	if m.UTR == nil {
		return ""
	}
	return *m.UTR
}

// TestFeeds reads the banks' own files, where they are at hand.
func TestFeeds(t *testing.T) {
	t.Parallel()
	root := os.Getenv("MILAAN_TEST_FEEDS")
	if root == "" {
		t.Skip("MILAAN_TEST_FEEDS names no folder of real bank feeds")
	}
	files, err := filepath.Glob(filepath.Join(root, "statements", "*.meta.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements in %s: %v", root, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".meta.json")
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want meta
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := statement.Read(t.Context(), bytes.NewReader(content), int64(len(content)), statement.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			got := map[movement]int{}
			lines := 0
			for line, err := range s.Lines(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				lines++
				t.Logf("%d %s %s utr=%q %s vpa=%q name=%q note=%q %s", line.Number, line.Kind, line.Amount, line.UTR, line.At.In(feed.India()).Format(time.DateOnly), line.PayerVPA, line.PayerName, line.Note, line.Why)
				if line.Kind == feed.Credit || line.Kind == feed.Other && !line.Reversal {
					got[movement{Amount: line.Amount.Fixed() + " " + string(line.UTR), Date: line.At.In(feed.India()).Format(time.DateOnly)}]++
				}
			}
			t.Logf("%+v", s.Summary)
			if lines != s.Rows {
				t.Errorf("%d lines, %d rows surveyed", lines, s.Rows)
			}
			for _, m := range want.Credits {
				key := movement{Amount: m.Amount + " " + m.utr(), Date: m.Date[:10]}
				// A message whose own balances deny its lines is listed, not read.
				if got[key]--; got[key] < 0 && s.Untrusted == "" {
					t.Errorf("credit %v is not read", key)
				}
			}
			for key, n := range got {
				if n > 0 {
					t.Errorf("%v is read as a credit, and is none", key)
				}
			}
		})
	}
}
