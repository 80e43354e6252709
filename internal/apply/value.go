package apply

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// document is a file while it is read.
type document struct {
	file string
	errs Errors
}

// wrong reports what concerns a line and no field.
func (d *document) wrong(line int, format string, args ...any) {
	d.errs = append(d.errs, Error{File: d.file, Line: line, Message: fmt.Sprintf(format, args...)})
}

// value is a piece of the file that knows what it is called.
type value struct {
	doc  *document
	path string
	*node
}

// problem words an error at the value.
func (v value) problem(format string, args ...any) Error {
	return Error{File: v.doc.file, Line: v.line, Path: v.path, Message: fmt.Sprintf(format, args...)}
}

// wrong reports an error at the value.
func (v value) wrong(format string, args ...any) {
	v.doc.errs = append(v.doc.errs, v.problem(format, args...))
}

// object is a mapping whose keys are known.
type object struct {
	value
	fields map[string]value
}

// object reads a mapping and reports keys that are not among the known ones.
// The fields of a value that is no mapping are all missing.
func (v value) object(known ...string) object {
	o := object{value: v, fields: make(map[string]value)}
	for _, e := range v.mapping() {
		at := value{v.doc, v.child(e.key), e.value}
		at.node = &node{line: e.line, kind: e.value.kind, text: e.value.text, items: e.value.items, entries: e.value.entries}
		if !slices.Contains(known, e.key) {
			at.path = v.path
			at.wrong("%s", unknownKey(e, known))
			continue
		}
		if _, twice := o.fields[e.key]; twice {
			at.wrong("given twice: keep one of them")
			continue
		}
		o.fields[e.key] = at
	}
	return o
}

func unknownKey(e *entry, known []string) string {
	if e.value.kind == null && e.key != "" && strings.Trim(e.key, "0123456789.") == "" {
		return fmt.Sprintf("%s stands alone: an amount with commas inside { } needs quotes, as in \"1,00,000\"", quote(e.key))
	}
	if near := nearest(e.key, known); near != "" {
		return fmt.Sprintf("unknown key %s: did you mean %s?", quote(e.key), near)
	}
	return fmt.Sprintf("unknown key %s: the keys here are %s", quote(e.key), strings.Join(known, ", "))
}

// mapping gives the entries, or reports that there are none.
func (v value) mapping() []*entry {
	switch v.kind {
	case mapping:
		return v.entries
	case null:
		v.wrong("is empty: write its keys under it, or remove the line")
	default:
		v.wrong("must be a mapping: write its keys under it, each as name: value")
	}
	return nil
}

// pairs reads a mapping whose keys are the operator's.
func (v value) pairs(each func(key string, at value)) {
	seen := make(map[string]bool)
	for _, e := range v.mapping() {
		at := value{v.doc, v.child(e.key), e.value}
		if seen[e.key] {
			at.wrong("given twice: keep one of them")
			continue
		}
		seen[e.key] = true
		each(e.key, at)
	}
}

// elements gives the items of a list, or reports that it is none.
func (v value) elements() []value {
	switch v.kind {
	case sequence:
	case null:
		v.wrong("is empty: write [] where there are to be none, or remove the line to leave things as they are")
	default:
		v.wrong("must be a list: write [a, b], or each item on its own line after a dash")
	}
	out := make([]value, len(v.items))
	for i, item := range v.items {
		out[i] = value{v.doc, fmt.Sprintf("%s[%d]", v.path, i), item}
	}
	return out
}

func (v value) child(key string) string {
	key = strings.Trim(quote(key), `"`)
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// scalar reads text as it was written, or reports that there is none.
func (v value) scalar() (string, bool) {
	switch v.kind {
	case scalar:
		return v.text, true
	case null:
		v.wrong("is empty: write a value, or remove the line")
	default:
		v.wrong("must be a single value, not a list or mapping")
	}
	return "", false
}

// maxText is how long names and secrets may be: what the protocol allows.
const maxText = 190

// oneLine reads text of one line, not empty.
func (v value) oneLine() (string, bool) {
	s, ok := v.scalar()
	switch {
	case !ok:
		return "", false
	case strings.TrimSpace(s) == "":
		v.wrong("is empty: write a value, or remove the line")
	case utf8.RuneCountInString(s) > maxText:
		v.wrong("is longer than %d characters: shorten it", maxText)
	case strings.ContainsFunc(s, unprintable):
		v.wrong("has a line break or another invisible character: write it on one line, without it")
	default:
		return s, true
	}
	return "", false
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// field is the value of a key; where the key is missing, the object.
func (o object) field(key string) value {
	if v, ok := o.fields[key]; ok {
		return v
	}
	return o.value
}

// has reports whether the key is there.
func (o object) has(key string) bool {
	_, ok := o.fields[key]
	return ok
}

// need reports keys that are missing.
func (o object) need(keys ...string) {
	for _, key := range keys {
		if !o.has(key) && o.kind == mapping {
			o.wrong("%s is missing: add it", key)
		}
	}
}

// text reads a line of text.
func (o object) text(key, fallback string) string {
	if v, ok := o.fields[key]; ok {
		s, _ := v.oneLine()
		return s
	}
	return fallback
}

// matching reads text that check accepts; it returns what is wrong with it.
func (o object) matching(key string, check func(string) (string, error)) string {
	v, ok := o.fields[key]
	if !ok {
		return ""
	}
	return v.matching(check)
}

func (v value) matching(check func(string) (string, error)) string {
	s, ok := v.oneLine()
	if !ok {
		return ""
	}
	out, err := check(s)
	if err != nil {
		v.wrong("%s %v", quote(s), err)
		return ""
	}
	return out
}

// secret reads a secret. Nothing that is said of it shows it.
func (o object) secret(key string) directory.Secret {
	return directory.Secret(o.text(key, ""))
}

// toggle reads a switch.
func (o object) toggle(key string, fallback bool) bool {
	if v, ok := o.fields[key]; ok {
		return v.toggle()
	}
	return fallback
}

func (v value) toggle() bool {
	s, ok := v.scalar()
	if !ok {
		return false
	}
	// YAML 1.2 knows only true and false; people write on, as in the contract.
	switch strings.ToLower(s) {
	case "on", "yes", "true":
		return true
	case "off", "no", "false":
	default:
		v.wrong("%s is no switch: write on or off", quote(s))
	}
	return false
}

// rupees reads an amount that is not negative; 0 where the key is missing.
func (o object) rupees(key string) money.Paise {
	v, ok := o.fields[key]
	if !ok {
		return 0
	}
	s, ok := v.scalar()
	if !ok {
		return 0
	}
	amount, err := money.Parse(s)
	switch {
	case errors.Is(err, money.ErrRange):
		v.wrong("%s is too large: the most is %s", quote(s), money.Paise(math.MaxInt64))
	case errors.Is(err, money.ErrPrecision):
		v.wrong("%s has parts of a paisa: use at most two decimals", quote(s))
	case err != nil:
		v.wrong("%s is no amount: write rupees as 500, 500.50 or 1,00,000", quote(s))
	case amount < 0:
		v.wrong("%s is negative: write 0 or more rupees", quote(s))
	default:
		return amount
	}
	return 0
}

// percent reads a percentage; 0 where the key is missing.
func (o object) percent(key string) money.Percent {
	v, ok := o.fields[key]
	if !ok {
		return money.Percent{}
	}
	s, ok := v.scalar()
	if !ok {
		return money.Percent{}
	}
	percent, err := money.ParsePercent(s)
	if err != nil {
		v.wrong("%s is no percentage: write a number from 0 to 100 with at most four decimals, without a sign", quote(s))
	}
	return percent
}

// quote shows what the file says, cut short where it is long.
func quote(s string) string {
	const shown = 64
	if utf8.RuneCountInString(s) > shown {
		s = string([]rune(s)[:shown]) + "…"
	}
	return strconv.Quote(s)
}

// nearest is the known word that s was most likely meant to be, or "".
func nearest(s string, known []string) string {
	best, bestDistance := "", 1+len(s)/3
	for _, k := range known {
		if d := distance(strings.ToLower(s), k); d < bestDistance || d == bestDistance && best == "" && d <= 2 {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance counts the letters to add, drop or replace (Levenshtein).
func distance(a, b string) int {
	if len(a) > 2*maxText {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
