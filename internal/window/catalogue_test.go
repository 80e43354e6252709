package window

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCataloguesAreComplete: a key that one language lacks, or a place that one
// leaves unfilled, would be seen by payers only.
func TestCataloguesAreComplete(t *testing.T) {
	t.Parallel()
	all, err := loadCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	if len(all.order) < 2 || all.order[0].tag != fallback {
		t.Fatalf("%d languages, the first is %s", len(all.order), all.order[0].tag)
	}
	place := regexp.MustCompile(`\{[a-z]+\}`)
	places := func(text string) string {
		found := place.FindAllString(text, -1)
		slices.Sort(found)
		return strings.Join(slices.Compact(found), " ")
	}
	want := all.byTag[fallback].texts
	for tag, c := range all.byTag {
		for key, text := range want {
			switch got, ok := c.texts[key]; {
			case !ok:
				t.Errorf("%s lacks %s", tag, key)
			case strings.TrimSpace(got) == "":
				t.Errorf("%s: %s is empty", tag, key)
			case places(got) != places(text):
				t.Errorf("%s: %s has the places %q, want %q", tag, key, places(got), places(text))
			}
		}
		for key := range c.texts {
			if _, ok := want[key]; !ok {
				t.Errorf("%s has %s, which %s has not", tag, key, fallback)
			}
		}
		if n := len(strings.Split(c.text("language.months"), ",")); n != 12 {
			t.Errorf("%s has %d months", tag, n)
		}
	}
}

// TestCatalogueHasWhatPagesSay looks for every key that the template and the
// code name.
func TestCatalogueHasWhatPagesSay(t *testing.T) {
	t.Parallel()
	all, err := loadCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	html, err := fs.ReadFile(web, "web/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`\.T "([a-z.]+)"`).FindAllStringSubmatch(string(html), -1) {
		if _, ok := all.byTag[fallback].texts[found[1]]; !ok {
			t.Errorf("the page says %s, which is in no catalogue", found[1])
		}
	}
	for _, r := range receipts {
		name := r.Name
		if r.App != "" {
			name = r.Way
		}
		for _, key := range []string{name, r.Way} {
			if _, ok := all.byTag[fallback].texts[key]; !ok || r.Label() == "" {
				t.Errorf("the drawing for %q lacks its text %s or a label", r.App, key)
			}
		}
	}
	for _, state := range []string{"ok", "pending", "waiting", "refused", "rejected", "expired"} {
		for _, key := range []string{"outcome." + state, "outcome." + state + ".text"} {
			if _, ok := all.byTag[fallback].texts[key]; !ok {
				t.Errorf("%s is in no catalogue", key)
			}
		}
	}
}

func TestLanguageIsChosen(t *testing.T) {
	t.Parallel()
	all, err := loadCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ lang, accept, want string }{
		{"", "", "en"},
		{"hi", "en-US,en;q=0.9", "hi"},
		{"", "hi-IN,hi;q=0.9,en;q=0.8", "hi"},
		{"", "ta,fr;q=0.9", "en"},
		{"", "fr,hi;q=0.5", "hi"},
		{"xx", "hi", "hi"},
		{"", ";;;=,\"", "en"},
	} {
		if got := all.choose(tt.lang, tt.accept).tag; got != tt.want {
			t.Errorf("lang %q, Accept-Language %q gives %s, want %s", tt.lang, tt.accept, got, tt.want)
		}
	}
	at := time.Date(2026, time.March, 14, 15, 0, 0, 0, time.UTC)
	if got := all.byTag["hi"].datetime(at); got != "14 मार्च 2026, 3:00\u00a0pm" {
		t.Errorf("a Hindi time reads %s", got)
	}
}
