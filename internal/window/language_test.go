package window

import (
	"io/fs"
	"regexp"
	"testing"

	"github.com/milaan/milaan/internal/words"
)

// TestLanguagesAreComplete: a key that one language lacks, or a place that one
// leaves unfilled, would be seen by payers only.
func TestLanguagesAreComplete(t *testing.T) {
	t.Parallel()
	all, err := words.Load(langFiles)
	if err != nil {
		t.Fatal(err)
	}
	if tags := all.Tags(); len(tags) < 2 {
		t.Errorf("the window speaks %v", tags)
	}
	for _, gap := range all.Gaps() {
		t.Error(gap)
	}
}

// TestLanguagesHaveWhatPagesSay looks for every key that the template and the
// code name.
func TestLanguagesHaveWhatPagesSay(t *testing.T) {
	t.Parallel()
	all, err := words.Load(langFiles)
	if err != nil {
		t.Fatal(err)
	}
	html, err := fs.ReadFile(web, "web/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`\.T "([a-z.]+)"`).FindAllStringSubmatch(string(html), -1) {
		if !all.ByTag(words.Fallback).Has(found[1]) {
			t.Errorf("the page says %s, which is in no catalogue", found[1])
		}
	}
	for _, r := range receipts {
		name := r.Name
		if r.App != "" {
			name = r.Way
		}
		for _, key := range []string{name, r.Way} {
			if !all.ByTag(words.Fallback).Has(key) || r.Label() == "" {
				t.Errorf("the drawing for %q lacks its text %s or a label", r.App, key)
			}
		}
	}
	for _, state := range []string{"ok", "pending", "waiting", "refused", "rejected", "expired"} {
		for _, key := range []string{"outcome." + state, "outcome." + state + ".text"} {
			if !all.ByTag(words.Fallback).Has(key) {
				t.Errorf("%s is in no catalogue", key)
			}
		}
	}
}
