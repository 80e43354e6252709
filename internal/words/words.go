// Package words holds what pages say, in each of their languages: texts by key,
// and amounts and times as a language writes them.
package words

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/milaan/milaan/money"
)

// Fallback is the language of readers whose own the pages do not speak.
const Fallback = "en"

// Language is what pages say in one language, by key.
type Language struct {
	tag   string
	texts map[string]string
}

// Languages are all languages of some pages.
type Languages struct {
	byTag   map[string]*Language
	order   []*Language // as the matcher numbers them
	matcher language.Matcher
}

// Load reads lang/*.json: one file is one language, named by its BCP 47 tag. It
// fails on files that are damaged or named otherwise.
func Load(files fs.FS) (*Languages, error) {
	names, err := fs.Glob(files, "lang/*.json")
	if err != nil {
		return nil, err
	}
	all := &Languages{byTag: make(map[string]*Language, len(names))}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		l := &Language{tag: strings.TrimSuffix(path.Base(name), ".json")}
		if err := json.Unmarshal(data, &l.texts); err != nil {
			return nil, fmt.Errorf("language file %s: %w", name, err)
		}
		all.byTag[l.tag] = l
		if l.tag == Fallback { // the matcher's first is what it falls back to
			all.order = append([]*Language{l}, all.order...)
		} else {
			all.order = append(all.order, l)
		}
	}
	if all.byTag[Fallback] == nil {
		return nil, fmt.Errorf("there is no lang/%s.json", Fallback)
	}
	tags := make([]language.Tag, len(all.order))
	for i, l := range all.order {
		if tags[i], err = language.Parse(l.tag); err != nil {
			return nil, fmt.Errorf("language file %s.json is not named by a BCP 47 tag: %w", l.tag, err)
		}
	}
	all.matcher = language.NewMatcher(tags)
	return all, nil
}

// Choose gives the language asked for, or the one that a browser prefers.
func (all *Languages) Choose(lang, acceptLanguage string) *Language {
	if l := all.byTag[lang]; l != nil {
		return l
	}
	// What can't be read has no tags, and so falls back.
	tags, _, _ := language.ParseAcceptLanguage(acceptLanguage)
	_, i, _ := all.matcher.Match(tags...)
	return all.order[i]
}

// ByTag gives the language with that tag, or nil.
func (all *Languages) ByTag(tag string) *Language { return all.byTag[tag] }

// Tags lists the languages, the fallback first.
func (all *Languages) Tags() []string {
	tags := make([]string, len(all.order))
	for i, l := range all.order {
		tags[i] = l.tag
	}
	return tags
}

var places = regexp.MustCompile(`\{[a-z]+\}`)

func placesOf(text string) string {
	found := places.FindAllString(text, -1)
	slices.Sort(found)
	return strings.Join(slices.Compact(found), " ")
}

// Gaps lists what keeps the languages from saying the same: keys that one
// lacks, empty texts, places that one leaves unfilled. Readers alone would see
// them, so a test of each door looks.
func (all *Languages) Gaps() (gaps []string) {
	found := func(format string, args ...any) { gaps = append(gaps, fmt.Sprintf(format, args...)) }
	want := all.byTag[Fallback].texts
	for tag, l := range all.byTag {
		for key, text := range want {
			switch got, ok := l.texts[key]; {
			case !ok:
				found("%s lacks %s", tag, key)
			case strings.TrimSpace(got) == "":
				found("%s: %s is empty", tag, key)
			case placesOf(got) != placesOf(text):
				found("%s: %s has the places %q, want %q", tag, key, placesOf(got), placesOf(text))
			}
		}
		for key := range l.texts {
			if _, ok := want[key]; !ok {
				found("%s has %s, which %s has not", tag, key, Fallback)
			}
		}
		if n := len(strings.Split(l.Text("language.months"), ",")); n != 12 {
			found("%s has %d months", tag, n)
		}
	}
	slices.Sort(gaps)
	return gaps
}

// Tag is the language's BCP 47 tag.
func (l *Language) Tag() string { return l.tag }

// Has reports whether there is a text of that key.
func (l *Language) Has(key string) bool {
	_, ok := l.texts[key]
	return ok
}

// Text gives the text of a key; pairs of name and value fill its {name}
// places.
func (l *Language) Text(key string, pairs ...string) string {
	text, ok := l.texts[key]
	if !ok {
		return key // tests keep the languages complete, see Gaps
	}
	if len(pairs) == 0 {
		return text
	}
	fill := make([]string, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		fill[i], fill[i+1] = "{"+pairs[i]+"}", pairs[i+1]
	}
	return strings.NewReplacer(fill...).Replace(text)
}

// Money writes an amount.
func (l *Language) Money(p money.Paise) string { return money.Format(p, money.Lang(l.tag)) }

// Day writes a date.
func (l *Language) Day(t time.Time) string {
	months := strings.Split(l.Text("language.months"), ",")
	return l.Text("language.day", "day", strconv.Itoa(t.Day()), "month", months[int(t.Month()-1)%len(months)], "year", strconv.Itoa(t.Year()))
}

// Datetime writes a time on the clock of its location.
func (l *Language) Datetime(t time.Time) string {
	months := strings.Split(l.Text("language.months"), ",")
	return l.Text("language.datetime",
		"day", strconv.Itoa(t.Day()), "month", months[int(t.Month()-1)%len(months)],
		"year", strconv.Itoa(t.Year()), "time", t.Format("3:04\u00a0pm"))
}
