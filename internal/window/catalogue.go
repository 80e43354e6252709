package window

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/milaan/milaan/money"
)

// langFiles hold one language each, named by its BCP 47 tag: a further file is
// a further language.
//
//go:embed lang/*.json
var langFiles embed.FS

// fallback is the language of payers whose own the window does not speak.
const fallback = "en"

// catalogue is what the window says in one language, by key.
type catalogue struct {
	tag   string
	texts map[string]string
}

// catalogues are all languages of the window.
type catalogues struct {
	byTag   map[string]*catalogue
	order   []*catalogue // as the matcher numbers them
	matcher language.Matcher
}

func loadCatalogues() (*catalogues, error) {
	files, err := fs.Glob(langFiles, "lang/*.json")
	if err != nil {
		return nil, err
	}
	all := &catalogues{byTag: make(map[string]*catalogue, len(files))}
	for _, file := range files {
		data, err := langFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c := &catalogue{tag: strings.TrimSuffix(path.Base(file), ".json")}
		if err := json.Unmarshal(data, &c.texts); err != nil {
			return nil, fmt.Errorf("language file %s: %w", file, err)
		}
		all.byTag[c.tag] = c
		if c.tag == fallback { // the matcher's first is what it falls back to
			all.order = append([]*catalogue{c}, all.order...)
		} else {
			all.order = append(all.order, c)
		}
	}
	tags := make([]language.Tag, len(all.order))
	for i, c := range all.order {
		if tags[i], err = language.Parse(c.tag); err != nil {
			return nil, fmt.Errorf("language file %s.json is not named by a BCP 47 tag: %w", c.tag, err)
		}
	}
	all.matcher = language.NewMatcher(tags)
	return all, nil
}

// choose gives the language a link asked for, or that a browser prefers.
func (all *catalogues) choose(lang, acceptLanguage string) *catalogue {
	if c := all.byTag[lang]; c != nil {
		return c
	}
	// What can't be read has no tags, and so falls back.
	tags, _, _ := language.ParseAcceptLanguage(acceptLanguage)
	_, i, _ := all.matcher.Match(tags...)
	return all.order[i]
}

// text gives the text of a key; pairs of name and value fill its {name}
// places.
func (c *catalogue) text(key string, pairs ...string) string {
	text, ok := c.texts[key]
	if !ok {
		return key // a test keeps the catalogues complete
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

func (c *catalogue) money(p money.Paise) string { return money.Format(p, money.Lang(c.tag)) }

// datetime writes a time on the clock of its location.
func (c *catalogue) datetime(t time.Time) string {
	months := strings.Split(c.text("language.months"), ",")
	return c.text("language.datetime",
		"day", strconv.Itoa(t.Day()), "month", months[int(t.Month()-1)%len(months)],
		"year", strconv.Itoa(t.Year()), "time", t.Format("3:04\u00a0pm"))
}
