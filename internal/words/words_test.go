package words_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/milaan/milaan/internal/words"
)

const months = "January,February,March,April,May,June,July,August,September,October,November,December"

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

var files = fstest.MapFS{
	"lang/en.json": file(`{"language.months":"` + months + `","language.datetime":"{day} {month} {year}, {time}","hello":"Hello {name}"}`),
	"lang/hi.json": file(`{"language.months":"` + strings.Replace(months, "March", "मार्च", 1) + `","language.datetime":"{day} {month} {year}, {time}","hello":"नमस्ते {name}"}`),
}

func TestLanguageIsChosen(t *testing.T) {
	t.Parallel()
	all, err := words.Load(files)
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
		if got := all.Choose(tt.lang, tt.accept).Tag(); got != tt.want {
			t.Errorf("lang %q, Accept-Language %q gives %s, want %s", tt.lang, tt.accept, got, tt.want)
		}
	}
	at := time.Date(2026, time.March, 14, 15, 0, 0, 0, time.UTC)
	if got := all.ByTag("hi").Datetime(at); got != "14 मार्च 2026, 3:00\u00a0pm" {
		t.Errorf("a Hindi time reads %s", got)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	all, err := words.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if got := all.Tags(); !slices.Equal(got, []string{"en", "hi"}) {
		t.Errorf("the languages are %v", got)
	}
	hi := all.ByTag("hi")
	if got := hi.Text("hello", "name", "{name}<b>"); got != "नमस्ते {name}<b>" {
		t.Errorf("filled as %q", got)
	}
	if got := hi.Text("none"); got != "none" || hi.Has("none") || all.ByTag("ta") != nil {
		t.Errorf("what is not there reads %q", got)
	}
	if got := hi.Money(1234567_50); !strings.Contains(got, "12,34,567.50") {
		t.Errorf("an amount reads %s", got)
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	const rest = `"language.months":"` + months + `","language.datetime":"x"`
	all, err := words.Load(fstest.MapFS{
		"lang/en.json": file(`{` + rest + `,"a":"a","b":"b","c":"{x} {y}"}`),
		"lang/hi.json": file(`{"language.months":"a,b","language.datetime":"x","b":" ","c":"{y} {z}","d":"d"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"hi has 2 months", "hi has d, which en has not", "hi lacks a", "hi: b is empty",
		`hi: c has the places "{y} {z}", want "{x} {y}"`,
	}
	if got := all.Gaps(); !slices.Equal(got, want) {
		t.Errorf("the gaps are %q", got)
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for name, damaged := range map[string]fstest.MapFS{
		"no fallback": {"lang/hi.json": file(`{}`)},
		"no JSON":     {"lang/en.json": file(`{`)},
		"no tag":      {"lang/en.json": file(`{}`), "lang/neither-here-nor-there.json": file(`{}`)},
	} {
		if _, err := words.Load(damaged); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}
