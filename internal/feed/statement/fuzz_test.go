package statement_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
)

// FuzzRead: whatever the file, reading ends, every row is there both times, and
// only what moved money has an amount.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, ".want") {
			f.Add(content)
		}
	}
	f.Add([]byte(mt))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := statement.Read(t.Context(), bytes.NewReader(content), int64(len(content)), statement.Options{})
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		n := 0
		for line, err := range s.Lines(t.Context()) {
			if err != nil {
				t.Fatalf("the second reading fails: %v", err)
			}
			n++
			switch line.Kind {
			case feed.Credit, feed.Other, feed.Debit:
				if line.Amount <= 0 || line.At.IsZero() {
					t.Fatalf("no amount or time: %+v", line)
				}
			case feed.Unparsed:
				if line.Amount != 0 || line.UTR != "" || line.Why == "" {
					t.Fatalf("half parsed: %+v", line)
				}
			case feed.Ignored:
				if line.Amount != 0 {
					t.Fatalf("ignored with an amount: %+v", line)
				}
			}
			if line.Number <= 0 {
				t.Fatalf("no row number: %+v", line)
			}
		}
		if n != s.Rows {
			t.Fatalf("%d rows, then %d", s.Rows, n)
		}
	})
}
