package statement_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
)

var update = flag.Bool("update", false, "write what is read into the .want files, to be read over by a person")

// read prints a statement as its .want file has it.
func read(ctx context.Context, content []byte, opts statement.Options) (string, error) {
	s, err := statement.Read(ctx, bytes.NewReader(content), int64(len(content)), opts)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	var b strings.Builder
	fmt.Fprintf(&b, "%s bank=%s account=%s rows=%d newest-first=%t\n", s.Format, s.Bank, s.AccountTail, s.Rows, s.NewestFirst)
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "problem: %s\n", p)
	}
	if s.Untrusted != "" {
		fmt.Fprintf(&b, "untrusted: %s\n", s.Untrusted)
	}
	for line, err := range s.Lines(ctx) {
		if err != nil {
			return b.String(), err
		}
		at := line.At.In(feed.India()).Format(time.DateTime)
		if line.DateOnly {
			at = at[:len(time.DateOnly)]
		}
		fmt.Fprintf(&b, "%d %s %s", line.Number, line.Kind, at)
		if line.Amount != 0 {
			fmt.Fprintf(&b, " %s", line.Amount.Fixed())
		}
		for _, part := range []struct{ name, text string }{
			{"utr", string(line.UTR)}, {"vpa", line.PayerVPA}, {"name", line.PayerName}, {"note", line.Note}, {"why", line.Why},
		} {
			if part.text != "" {
				fmt.Fprintf(&b, " %s=%q", part.name, part.text)
			}
		}
		if line.Reversal {
			b.WriteString(" reversal")
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// TestLayouts reads a file of each layout, with what banks do to them.
func TestLayouts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want") {
			continue
		}
		tested++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(t.Context(), content, statement.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file+".want", []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
	if tested < 10 {
		t.Errorf("only %d files", tested)
	}
}
