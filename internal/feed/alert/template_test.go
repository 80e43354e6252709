package alert

import (
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// TestTemplates holds every template to the examples beside it, whoever the
// bank is said to be.
func TestTemplates(t *testing.T) {
	t.Parallel()
	reader, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, tmpl := range reader.templates {
		for _, example := range tmpl.examples {
			t.Run(tmpl.id, func(t *testing.T) {
				t.Parallel()
				want := reading(t, tmpl, example)
				for _, bank := range []string{"", tmpl.bank} {
					if got := reader.Read(Message{Text: example.Text, Bank: bank}); got != want {
						t.Errorf("%q\n read %+v\n want %+v", example.Text, got, want)
					}
				}
				// The general reader may see less, but nothing else.
				general := reader.Read(Message{Text: example.Text, Bank: "none"})
				switch {
				case general.Kind == feed.Unparsed || general.Kind == feed.Ignored:
				case general.Kind != want.Kind || general.Amount != want.Amount || general.UTR != "" && general.UTR != want.UTR:
					t.Errorf("%q\n general %+v\n want %+v", example.Text, general, want)
				}
			})
		}
	}
}

func reading(t *testing.T, tmpl *template, e bankExample) feed.Reading {
	t.Helper()
	r := feed.Reading{
		Kind: tmpl.kind, UTR: upi.UTR(e.UTR), PayerVPA: e.VPA, PayerName: e.Name, Note: e.Note, AccountTail: e.Tail,
		Reversal: tmpl.reversal, Bank: tmpl.bank, Template: tmpl.id, Why: tmpl.why,
	}
	if r.Why == "" {
		r.Why = "an own account was credited"
	}
	if e.Amount != "" {
		amount, err := money.Parse(e.Amount)
		if err != nil {
			t.Fatal(err)
		}
		r.Amount, r.Currency = amount, money.INR
	}
	if e.At != "" {
		at, err := time.Parse(time.RFC3339, e.At)
		if r.DateOnly = err != nil; r.DateOnly {
			if at, err = time.ParseInLocation(time.DateOnly, e.At, feed.India()); err != nil {
				t.Fatal(err)
			}
		}
		r.At = at.UTC()
	}
	return r
}

func TestBankFileErrors(t *testing.T) {
	t.Parallel()
	const head = "bank: x\ntemplates:\n  - id: a\n"
	const examples = "    examples:\n      - text: T\n"
	tests := []struct{ name, file, want string }{
		{"no bank", "templates: []\n", "needs bank"},
		{"unknown field", "bank: x\nbanks: y\n", "banks"},
		{"kind", head + "    kind: income\n    text: T\n" + examples, "write credit"},
		{"no example", head + "    kind: credit\n    text: T\n", "at least one example"},
		{"no why", head + "    kind: debit\n    text: T\n" + examples, "needs why"},
		{"unknown blank", head + "    kind: credit\n    text: \"{sum}\"\n" + examples, "no {sum}"},
		{"open blank", head + "    kind: credit\n    text: \"{amount\"\n" + examples, "{ without its }"},
		{"open option", head + "    kind: credit\n    text: \"a [b\"\n" + examples, "[ without its ]"},
		{"closed option", head + "    kind: credit\n    text: \"a b]\"\n" + examples, "] without its ["},
		{"twice", head + "    kind: credit\n    text: T\n" + examples + "  - id: a\n    kind: credit\n    text: T\n" + examples, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseBank([]byte(tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestFreeFields: what the payer chose must not carry a template's message.
func TestFreeFields(t *testing.T) {
	t.Parallel()
	reader, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X failed", "SELF will be credited", "A debited", "otp 123456", "reversal"} {
		text := "Dear SBI User, your A/c X4410-credited by Rs.750 on 12Mar26 transfer from " + name + " Ref No 607123450918 -SBI"
		if got := reader.Read(Message{Text: text, Bank: "sbi"}); got.Kind == feed.Credit {
			t.Errorf("%q read %+v", text, got)
		}
	}
}
