package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
)

// TestEveryTypeIsDocumented holds docs/events.md to the catalogue: a row and an
// example for each type, and none of a type that there is not. The parts between
// the marks are these texts.
func TestEveryTypeIsDocumented(t *testing.T) {
	t.Parallel()
	var table, examples strings.Builder
	table.WriteString("| type | when | told to |\n| --- | --- | --- |\n")
	examples.WriteString("\n")
	for _, k := range webhook.Catalogue() {
		to := "merchant, owner"
		if k.Owner {
			to = "owner"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", k.Type, k.When, to)
		text, err := json.MarshalIndent(k.Example, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&examples, "### `%s`\n\n```json\n%s\n```\n\n", k.Type, text)
	}
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"table": table.String(), "examples": examples.String()} {
		begin, end := []byte("<!-- "+name+": begin -->\n"), []byte("<!-- "+name+": end -->")
		_, rest, found := bytes.Cut(doc, begin)
		got, _, closed := bytes.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("docs/events.md has no %s between %s and %s", name, begin, end)
		}
		if string(got) != want {
			t.Errorf("docs/events.md: the %s must be\n%s", name, want)
		}
	}
}

// TestNoAmountIsANumber: whoever reads amounts, ids and times gets texts.
func TestNoAmountIsANumber(t *testing.T) {
	t.Parallel()
	for _, k := range webhook.Catalogue() {
		var body struct{ Data map[string]any }
		reader := json.NewDecoder(bytes.NewReader(webhook.Body(k.Type, time.Now(), k.Example)))
		reader.UseNumber()
		if err := reader.Decode(&body); err != nil || len(body.Data) == 0 {
			t.Fatal(err)
		}
		for name, value := range body.Data {
			if _, number := value.(json.Number); number {
				t.Errorf("%s: %s is a number", k.Type, name)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := money.Paise(rapid.Int64Range(0, 1<<60).Draw(t, "paise"))
		back, err := money.Parse(webhook.Rupees(p))
		if err != nil || back != p {
			t.Fatalf("%d paise read back as %d, %v", p, back, err)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern string
		owner   bool
		wrong   string
	}{
		{"deposit.credited", false, ""},
		{"deposit.*", false, ""},
		{"*", false, ""},
		{"*", true, ""},
		{"credit.*", true, ""},
		{"feed.silent", true, ""},
		{"credit.*", false, "owner alone"},
		{"credit.unclaimed", false, "owner alone"},
		{"deposit.expires", true, "is no event: use deposit.credited, "},
		{"deposit", true, "is no event"},
		{"deposit.exp*", true, "is no event"},
		{"dep*", true, "is no event"},
		{"webhook.test", true, "is no event"},
		{".*", true, "is no event"},
		{"", true, "is no event"},
	} {
		err := webhook.Check(tt.pattern, tt.owner)
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%q of the owner %t: %v", tt.pattern, tt.owner, err)
		}
	}
	if err := webhook.Check("x", false); strings.Contains(err.Error(), "credit.unclaimed") {
		t.Errorf("a merchant is offered the owner's: %v", err)
	}
}

func TestFor(t *testing.T) {
	t.Parallel()
	dir, err := directory.NewSnapshot(directory.Contents{Webhooks: []*directory.Webhook{
		{Merchant: "shop", ID: "a", Events: []string{"deposit.*"}},
		{Merchant: "shop", ID: "b", Events: []string{"withdrawal.success"}},
		{Merchant: "shop", ID: "c", Events: []string{"*"}, Retired: true},
		{Merchant: "cafe", ID: "a", Events: []string{"*"}},
		{ID: "ops", Events: []string{"*"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 14, 15, 0, 0, 5000, time.FixedZone("IST", 19800))
	told := func(merchant string, kind webhook.Type) (to []string) {
		asked := make(map[bool]int)
		for _, e := range webhook.For(dir, merchant, kind, 7, at, func(owner bool) any { asked[owner]++; return map[string]bool{"owner": owner} }) {
			to = append(to, e.Destination)
			want := fmt.Sprintf(`{"type":"%s","timestamp":"2026-03-14T09:30:00.000005Z","data":{"owner":%t}}`, kind, e.Destination == "/ops")
			if string(e.Body) != want || e.Type != kind || e.Subject != 7 || !e.At.Equal(at) {
				t.Errorf("%+v says %s, want %s", e, e.Body, want)
			}
		}
		if asked[true] > 1 || asked[false] > 1 {
			t.Errorf("the data was asked %v", asked)
		}
		return to
	}
	for _, tt := range []struct {
		merchant string
		kind     webhook.Type
		want     []string
	}{
		{"shop", webhook.DepositExpired, []string{"shop/a", "/ops"}},
		{"shop", webhook.WithdrawalSuccess, []string{"shop/b", "/ops"}},
		{"cafe", webhook.DepositExpired, []string{"cafe/a", "/ops"}},
		{"other", webhook.DepositExpired, []string{"/ops"}},
		{"", webhook.FeedSilent, []string{"/ops"}},
	} {
		if got := told(tt.merchant, tt.kind); !slices.Equal(got, tt.want) {
			t.Errorf("%s of %q is told to %v, want %v", tt.kind, tt.merchant, got, tt.want)
		}
	}
	none, err := directory.NewSnapshot(directory.Contents{})
	if err != nil {
		t.Fatal(err)
	}
	if got := webhook.For(none, "shop", webhook.DepositExpired, 7, at, func(bool) any { panic("nobody asked") }); got != nil {
		t.Errorf("nobody asked, and %v are told", got)
	}
}
