package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDemoPlaysThrough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Twice in one folder: a demo goes on where the last one ended.
	for range 2 {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"demo", "--auto", "--dir", dir, "--listen", "127.0.0.1:0"}, &out, &errs); code != exitDone {
			t.Fatalf("exit code %d\n%s\n%s", code, &out, &errs)
		}
		text := out.String()
		for _, want := range []string{
			" 1. The shop creates a payment", "/api/v1/transaction/create/upi_l", "upi://pay?pa=sample.shop@sandbox&pn=Sample%20Shop&am=499.00&cu=INR",
			" 2. The payer pays", " 3. The payer enters the UTR", `"status": "possible_transaction_created"`,
			" 4. The bank's feed reports", `"matched": 1`,
			" 5. The postback arrives", `more"`, "both signatures verified", `answered {"status":"ok"}`,
			" 6. The shop asks for the status", " 7. The same activation again", "still one deposit",
			" 8. A second payment", "credited at once", " 9. Somebody else claims", `"status": "fail"`,
			"10. The ledger", "every invariant holds; ₹1,248.50 came in", "Everything went as expected.",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the output lacks %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "\x1b[") {
			t.Error("colours were written to what is no terminal")
		}
		if errs.Len() > 0 {
			t.Errorf("standard error has %s", &errs)
		}
	}
}

func TestDemoEndsCleanly(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() { ended <- run(ctx, []string{"demo", "--listen", "127.0.0.1:0"}, write, &errs) }()
	var shown strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(shown.String(), "Ctrl-C ends the demo.") {
		n, err := read.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(buf[:n])
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

func TestDemoStaysOnThisComputer(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:8080", "192.0.2.1:8080", "nowhere", "127.0.0.1:65535"} {
		var errs bytes.Buffer
		if code := run(t.Context(), []string{"demo", "--listen", addr}, io.Discard, &errs); code != exitUsage {
			t.Errorf("--listen %s: exit code %d: %s", addr, code, &errs)
		}
	}
}

func TestDemoSparesOtherDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "milaan.db")
	if err := os.WriteFile(other, []byte("not the demo's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"demo", "--auto", "--dir", dir, "--listen", "127.0.0.1:0"}, io.Discard, io.Discard); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "not the demo's" {
		t.Errorf("milaan.db is %q now (%v)", text, err)
	}
}
