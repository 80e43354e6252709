package alert

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

//go:embed banks/*.yaml
var banks embed.FS

// bankFile is a file in banks/ (docs/feeds-templates.md).
type bankFile struct {
	Bank      string         `yaml:"bank"`
	Templates []bankTemplate `yaml:"templates"`
}

type bankTemplate struct {
	ID       string        `yaml:"id"`
	Kind     string        `yaml:"kind"`
	Reversal bool          `yaml:"reversal"`
	Text     string        `yaml:"text"`
	Why      string        `yaml:"why"`
	Examples []bankExample `yaml:"examples"`
}

// bankExample is a text of the template and the fields it holds; what is not
// written must be empty.
type bankExample struct {
	Text   string `yaml:"text"`
	Amount string `yaml:"amount"`
	UTR    string `yaml:"utr"`
	VPA    string `yaml:"vpa"`
	Name   string `yaml:"name"`
	Note   string `yaml:"note"`
	Tail   string `yaml:"tail"`
	At     string `yaml:"at"`
}

// template is a compiled one.
type template struct {
	id, bank string // id is "hdfc/upi-credit"
	kind     feed.Kind
	reversal bool
	why      string
	literals []string // lower case, the longest first; a text without one can't fit
	pattern  *regexp.Regexp
	fields   []string // of the pattern's groups
	examples []bankExample
}

func loadTemplates() ([]*template, error) {
	entries, err := banks.ReadDir("banks")
	if err != nil {
		return nil, fmt.Errorf("alert: list the banks' templates: %w", err)
	}
	var list []*template
	for _, entry := range entries {
		data, err := banks.ReadFile(path.Join("banks", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("alert: read the templates %s: %w", entry.Name(), err)
		}
		some, err := parseBank(data)
		if err != nil {
			return nil, fmt.Errorf("alert: banks/%s: %w", entry.Name(), err)
		}
		list = append(list, some...)
	}
	return list, nil
}

func parseBank(data []byte) ([]*template, error) {
	var file bankFile
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		return nil, err
	}
	if file.Bank == "" || len(file.Templates) == 0 {
		return nil, errors.New("needs bank and templates")
	}
	var list []*template
	seen := map[string]bool{}
	for _, b := range file.Templates {
		t, err := compile(file.Bank, b)
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", b.ID, err)
		}
		if seen[b.ID] {
			return nil, fmt.Errorf("template %q is there twice", b.ID)
		}
		seen[b.ID] = true
		list = append(list, t)
	}
	return list, nil
}

// minLiteral keeps words out that are in every text.
const minLiteral = 3

const number = `[0-9][0-9,]*(?:\.[0-9]+)?`

// placeholders are the typed blanks of a template. All are bounded, so that
// reading takes time linear in the text.
var placeholders = map[string]string{
	"amount":  `(?:(?:rs|inr|₹)[.:]{0,2}\s?){1,2}(` + number + `)(?:/-)?`,
	"balance": `(?:(?:rs|inr|₹)[.:]{0,2}\s?){0,2}-?` + number + `(?:\s?cr)?`,
	"tail":    `(?:[0-9]{0,6}[x*.•]{1,16}\s?)?([0-9]{2,18})`,
	"account": `(?:[0-9]{0,6}[x*.•]{1,16}\s?)?[0-9]{2,18}`,
	"date":    `([0-9]{1,4}[-/.:]?(?:[0-9]{1,2}|[a-z]{3,9})[-/.:, ]{0,2}[0-9]{2,4})`,
	"time":    `([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:\s?[ap]m)?)(?:\s?ist)?`,
	"rrn":     `([0-9]{12})`,
	"utr":     `([0-9a-z]{12,22})`,
	"vpa":     `([0-9a-z._-]{1,80}@[a-z][0-9a-z]{1,40})`,
	"name":    `([\pL0-9][^\n@/;:]{0,59}?)`,
	"note":    `([^\n;]{0,160}?)`,
	"word":    `[^\s]{1,40}?`,
	"any":     `([^\n]{0,80}?)`,
	"phone":   `[0-9][0-9 /-]{2,24}`,
	"link":    `(?:https?://|www\.)?[0-9a-z./_?=-]{4,80}`,
}

// compile makes the pattern of a template. Everything outside of {blanks} and
// [optional parts] is literal; case and the amount of white space don't matter.
func compile(bank string, b bankTemplate) (*template, error) {
	kind := feed.Kind(b.Kind)
	switch kind {
	case feed.Credit, feed.Other, feed.Debit, feed.Ignored:
	default:
		return nil, fmt.Errorf("kind is %q: write credit, other, debit or ignored", b.Kind)
	}
	if b.ID == "" || strings.TrimSpace(b.Text) == "" || len(b.Examples) == 0 {
		return nil, errors.New("needs id, text and at least one example")
	}
	t := &template{
		id: bank + "/" + b.ID, bank: bank, kind: kind, reversal: b.Reversal, why: b.Why, examples: b.Examples,
	}
	if t.why == "" && kind != feed.Credit {
		return nil, errors.New("needs why: a few words on what the message is")
	}
	var p, literal strings.Builder
	p.WriteString(`(?is)^`)
	depth := 0
	cut := func() {
		if text := literal.String(); len(text) >= minLiteral && depth == 0 {
			t.literals = append(t.literals, lowerASCII(text))
		}
		literal.Reset()
	}
	text := strings.Join(strings.Fields(b.Text), " ")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, errors.New("a { without its }")
			}
			name := text[i+1 : i+end]
			expression, ok := placeholders[name]
			if !ok {
				return nil, fmt.Errorf("there is no {%s}", name)
			}
			cut()
			p.WriteString(expression)
			if strings.Count(expression, "(") > strings.Count(expression, "(?:") {
				t.fields = append(t.fields, name)
			}
			i += end
		case '[':
			cut()
			depth++
			p.WriteString(`(?:`)
		case ']':
			literal.Reset()
			if depth--; depth < 0 {
				return nil, errors.New("a ] without its [")
			}
			p.WriteString(`)?`)
		case ' ':
			cut()
			if i+1 < len(text) && joins(text[i-1]) && joins(text[i+1]) {
				p.WriteString(`\s+`)
			} else {
				p.WriteString(`\s*`)
			}
		default:
			literal.WriteByte(c)
			p.WriteString(regexp.QuoteMeta(string(c)))
			if strings.IndexByte(".,;:()!", c) >= 0 {
				cut()
				p.WriteString(`\s*`) // banks are careless about spaces behind these
			}
		}
	}
	cut()
	if depth != 0 {
		return nil, errors.New("a [ without its ]")
	}
	p.WriteString(`\s*$`)
	var err error
	if t.pattern, err = regexp.Compile(p.String()); err != nil {
		return nil, err
	}
	slices.SortStableFunc(t.literals, func(a, b string) int { return len(b) - len(a) })
	return t, nil
}

// joins tells the characters of a template that a space keeps apart.
func joins(c byte) bool { return isAlnum(rune(c)) || c == '{' || c == '}' }

// read reads a text that fits the template as a whole; ok is false for others,
// and where a field is not what its blank says.
func (t *template) read(text, lower string) (r feed.Reading, ok bool) {
	for _, literal := range t.literals {
		if !strings.Contains(lower, literal) {
			return r, false
		}
	}
	m := t.pattern.FindStringSubmatchIndex(text)
	if m == nil {
		return r, false
	}
	r = feed.Reading{Kind: t.kind, Reversal: t.reversal, Bank: t.bank, Template: t.id, Why: t.why}
	var when []string
	for i, field := range t.fields {
		if m[2*i+2] < 0 {
			continue
		}
		value := text[m[2*i+2]:m[2*i+3]]
		var err error
		switch field {
		case "amount":
			if _, clean := numberEnd(text, m[2*i+2]); !clean {
				return r, false
			}
			r.Amount, err = money.ParsePositive(value)
		case "rrn":
			r.UTR, err = upi.ParseRRN(value)
		case "utr":
			r.UTR, err = upi.ParseUTR(value)
		case "vpa":
			var vpa upi.VPA
			vpa, err = upi.ParseVPA(value)
			r.PayerVPA = string(vpa)
		case "tail":
			r.AccountTail = value
		case "date", "time":
			when = append(when, value)
		case "name":
			r.PayerName = strings.Join(strings.Fields(value), " ")
		case "note":
			r.Note = strings.TrimSpace(value)
		}
		if err != nil {
			return r, false
		}
		// What the payer or anybody else chose freely must not turn the message
		// into another one.
		if field == "name" || field == "note" || field == "any" {
			if said := newDocument(value, lowerASCII(value)); isForeign(said) {
				return r, false
			}
		}
	}
	if len(when) > 0 {
		if r.At, r.DateOnly = whenIn(lowerASCII(strings.Join(when, " "))); r.At.IsZero() {
			return r, false
		}
	}
	switch t.kind {
	case feed.Ignored, feed.Unparsed:
		r = feed.Reading{Kind: t.kind, Bank: t.bank, Template: t.id, Why: t.why}
	case feed.Credit, feed.Other, feed.Debit:
		if r.Amount <= 0 {
			return r, false
		}
	}
	if r.Why == "" {
		r.Why = "an own account was credited"
	}
	return r, true
}

// isForeign tells whether a free field holds what belongs to another sentence.
func isForeign(d *document) bool {
	if e := find(d.words, against); e != nil && e.weight != slight || d.link {
		return true
	}
	return len(d.verbs()) > 0 || back.in(d.words) || refunds.in(d.words) || len(d.tokens) > 40
}
