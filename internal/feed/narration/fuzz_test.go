package narration_test

import (
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/narration"
)

// FuzzRead: a UTR stands in the text as it is, and nothing else is one.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"UPI-ANITA DESAI-ANITA.D-2@OKSBI-SBIN0004321-601234567890-FLAT RENT",
		"BY TRANSFER-NEFT*HDFC0000123*HDFCN52026031712345678*ANITA TRADERS--",
		"REV-UPI-50100000012345-SHOP@YBL-601234567910-UPI", "NEFT/ſ/N076261234567890", "UPI/\xff/601234567890/İ",
	} {
		f.Add(seed, true, "icici")
	}
	f.Fuzz(func(t *testing.T, text string, in bool, bank string) {
		direction := narration.Out
		if in {
			direction = narration.In
		}
		n := narration.Read(text, direction, bank)
		if in == (n.Kind == feed.Debit) {
			t.Fatalf("%+v", n)
		}
		if n.UTR == "" {
			return
		}
		if len(n.UTR) < 10 || len(n.UTR) > 22 || strings.Trim(string(n.UTR), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" ||
			!strings.Contains(strings.ToUpper(text), string(n.UTR)) {
			t.Fatalf("%q is no UTR of %q", n.UTR, text)
		}
	})
}
