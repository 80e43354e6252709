package bulkfile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/milaan/milaan/money"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

//go:embed layouts/*.yaml
var layouts embed.FS

// Layout is the form of a bank's upload file, and of its answer where that is
// known. It does not change and may be used by many goroutines.
type Layout struct {
	name     string
	upload   upload
	file     template
	modes    modes
	response *response
}

// layoutFile is a layout as it is written (docs/payout-files.md).
type layoutFile struct {
	Bank     string        `yaml:"bank"`  // the first four letters of its IFSCs
	Title    string        `yaml:"title"` // for people
	Sources  []string      `yaml:"sources"`
	Mode     modesFile     `yaml:"mode"`
	Upload   uploadFile    `yaml:"upload"`
	Response *responseFile `yaml:"response"`
}

type modesFile struct {
	Same  modeFile `yaml:"same_bank"`
	Other modeFile `yaml:"other_bank"`
}

type modeFile struct {
	Text string `yaml:"text"`
	Max  string `yaml:"max"` // rupees
}

type uploadFile struct {
	File      string       `yaml:"file"`
	Separator string       `yaml:"separator"`
	Quote     string       `yaml:"quote"`
	LineEnd   string       `yaml:"line_end"`
	Encoding  string       `yaml:"encoding"`
	Amount    string       `yaml:"amount"`
	Header    bool         `yaml:"header"`
	MaxOrders int          `yaml:"max_orders"`
	First     []string     `yaml:"first"`
	Columns   []columnFile `yaml:"columns"`
	Last      []string     `yaml:"last"`
}

type columnFile struct {
	Header string `yaml:"header"`
	Text   string `yaml:"text"`
	Only   string `yaml:"only"`
	Max    int    `yaml:"max"`
	Cut    bool   `yaml:"cut"`
}

// Layouts are the names of the layouts that come with milaan, sorted.
func Layouts() []string {
	files, _ := layouts.ReadDir("layouts") // embedded: it cannot fail
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(file.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Open gives the layout of a name that Layouts has, or reads an operator's own
// from the path of a .yaml file. The error wraps ErrLayout when the layout is at
// fault, and says where.
func Open(nameOrPath string) (*Layout, error) {
	if slices.Contains(Layouts(), nameOrPath) {
		raw, err := layouts.ReadFile("layouts/" + nameOrPath + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("open the layout %s: %w", nameOrPath, err)
		}
		return parseLayout(nameOrPath, raw)
	}
	if ext := path.Ext(nameOrPath); ext != ".yaml" && ext != ".yml" {
		return nil, fmt.Errorf("%w: %.64q is none: use %s, or the path of a .yaml file of your own",
			ErrLayout, nameOrPath, strings.Join(Layouts(), ", "))
	}
	raw, err := os.ReadFile(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("open a layout: %w", err)
	}
	name := filepath.Base(nameOrPath)
	return parseLayout(strings.TrimSuffix(name, filepath.Ext(name)), raw)
}

// maxLayout bounds a layout file; the longest that comes with milaan has 5 KiB.
const maxLayout = 256 << 10

func parseLayout(name string, raw []byte) (*Layout, error) {
	refuse := func(err error) error { return fmt.Errorf("%w: %s: %w", ErrLayout, name, err) }
	if len(raw) > maxLayout {
		return nil, refuse(ErrTooLarge)
	}
	var file layoutFile
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&file); err != nil {
		return nil, refuse(err)
	}
	l := &Layout{name: name}
	var err error
	if l.modes, err = file.modes(); err != nil {
		return nil, refuse(err)
	}
	if l.upload, err = file.Upload.compile(); err != nil {
		return nil, refuse(fmt.Errorf("upload: %w", err))
	}
	if l.file, err = parseTemplate(file.Upload.File); err != nil {
		return nil, refuse(fmt.Errorf("upload: file: %w", err))
	}
	if l.file.uses(append(ofOrder, "debit_account")...) || len(l.file) == 0 {
		return nil, refuse(errors.New("upload: file: a file's name holds only what is the whole batch's, and no account"))
	}
	if file.Response != nil {
		if l.response, err = file.Response.compile(); err != nil {
			return nil, refuse(fmt.Errorf("response: %w", err))
		}
	}
	return l, nil
}

// Name is the layout's name: the file's without its ending.
func (l *Layout) Name() string { return l.name }

// Codes are the names of what the bank gave its customer and the layout writes
// (Debit.Codes), sorted.
func (l *Layout) Codes() []string {
	var codes []string
	for _, t := range l.templates() {
		for _, p := range t {
			if p.field == "code" {
				codes = append(codes, p.arg)
			}
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func (l *Layout) templates() []template {
	all := []template{l.file}
	for _, column := range l.upload.columns {
		all = append(all, column.text)
	}
	all = append(all, l.upload.first...)
	return append(all, l.upload.last...)
}

// modes are the bank's words for how an order is paid.
type modes struct {
	bank        string
	same, other mode
}

type mode struct {
	text string
	max  money.Paise // 0: no bound
}

func (f *layoutFile) modes() (modes, error) {
	if len(f.Bank) != 4 || strings.Trim(f.Bank, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return modes{}, errors.New("bank: write the four capitals its IFSCs start with, such as HDFC")
	}
	m := modes{bank: f.Bank}
	for _, one := range []struct {
		to   *mode
		from modeFile
		name string
	}{{&m.same, f.Mode.Same, "same_bank"}, {&m.other, f.Mode.Other, "other_bank"}} {
		one.to.text = one.from.Text
		if one.from.Max == "" {
			continue
		}
		var err error
		if one.to.max, err = money.ParsePositive(one.from.Max); err != nil {
			return modes{}, fmt.Errorf("mode: %s: max: %w", one.name, err)
		}
	}
	return m, nil
}

// upload is a compiled uploadFile.
type upload struct {
	separator rune
	quote     string // always, needed, never
	lineEnd   string
	charset   encoding.Encoding
	amount    amountForm
	header    bool
	max       int
	first     []template
	columns   []column
	last      []template
}

type column struct {
	header string
	text   template
	only   string // same_bank, other_bank, "" for both
	max    int    // characters, 0: no bound
	cut    bool
}

// amountForm is how amounts are written.
type amountForm string

const (
	fixed amountForm = "rupees" // 500.00
	short amountForm = "short"  // 500, 500.5
	paise amountForm = "paise"  // 50000
)

func (f amountForm) write(p money.Paise) string {
	switch f {
	case short:
		return p.String()
	case paise:
		return strconv.FormatInt(int64(p), 10)
	default:
		return p.Fixed()
	}
}

func (f amountForm) read(text string) (money.Paise, error) {
	if f == paise {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return 0, money.ErrSyntax
		}
		return money.Paise(n), nil
	}
	p, err := money.Parse(text)
	if err != nil {
		return 0, money.ErrSyntax // without the text
	}
	return p, nil
}

// oneOf is value where it is among the choices, the first of them where it is
// not written.
func oneOf[T ~string](key, value string, choices ...T) (T, error) {
	if value == "" {
		return choices[0], nil
	}
	if slices.Contains(choices, T(value)) {
		return T(value), nil
	}
	return "", fmt.Errorf("%s: %q is none of %q", key, value, choices)
}

func separator(text string) (rune, error) {
	if text == "" {
		return ',', nil
	}
	r, size := utf8.DecodeRuneInString(text)
	// A letter, digit or point would be found in the cells, where no bank could
	// tell it apart.
	if size != len(text) || r > '~' || (r < '!' && r != '\t') || strings.ContainsRune(`"'.+-@=`, r) ||
		('0' <= r && r <= '9') || ('a' <= r|0x20 && r|0x20 <= 'z') {
		return 0, fmt.Errorf("separator: %q: write one sign, such as a comma, semicolon, bar or tab", text)
	}
	return r, nil
}

func charset(name string) (encoding.Encoding, error) {
	if name == "" {
		name = "utf-8"
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("encoding: %q is not known: use utf-8 or windows-1252", name)
	}
	return e, nil
}

func (f *uploadFile) compile() (upload, error) {
	u := upload{header: f.Header, max: maxOrders}
	var err error
	if u.separator, err = separator(f.Separator); err != nil {
		return u, err
	}
	if u.quote, err = oneOf("quote", f.Quote, "needed", "always", "never"); err != nil {
		return u, err
	}
	ends, err := oneOf("line_end", f.LineEnd, "crlf", "lf")
	if err != nil {
		return u, err
	}
	u.lineEnd = map[string]string{"crlf": "\r\n", "lf": "\n"}[ends]
	if u.charset, err = charset(f.Encoding); err != nil {
		return u, err
	}
	if u.amount, err = oneOf("amount", f.Amount, fixed, short, paise); err != nil {
		return u, err
	}
	if f.MaxOrders < 0 || f.MaxOrders > maxOrders {
		return u, fmt.Errorf("max_orders: at most %d", maxOrders)
	}
	if f.MaxOrders > 0 {
		u.max = f.MaxOrders
	}
	for i, c := range f.Columns {
		compiled, err := c.compile()
		if err != nil {
			return u, fmt.Errorf("column %d (%s): %w", i+1, c.Header, err)
		}
		u.columns = append(u.columns, compiled)
	}
	for _, line := range []struct {
		to    *[]template
		cells []string
		name  string
	}{{&u.first, f.First, "first"}, {&u.last, f.Last, "last"}} {
		for i, cell := range line.cells {
			t, err := parseTemplate(cell)
			if err == nil && t.uses(ofOrder...) {
				err = errors.New("it may hold only what is the whole batch's")
			}
			if err != nil {
				return u, fmt.Errorf("%s: cell %d: %w", line.name, i+1, err)
			}
			*line.to = append(*line.to, t)
		}
	}
	// A file without any of these could pay, or be answered, for nobody knows whom.
	for _, field := range []string{"reference", "amount", "account", "ifsc", "name"} {
		if !slices.ContainsFunc(u.columns, func(c column) bool { return c.only == "" && c.text.uses(field) }) {
			return u, fmt.Errorf("no column of every row has {%s}", field)
		}
	}
	return u, nil
}

func (f *columnFile) compile() (column, error) {
	text, err := parseTemplate(f.Text)
	if err != nil {
		return column{}, err
	}
	c := column{header: f.Header, text: text, max: f.Max, cut: f.Cut}
	if c.only, err = oneOf("only", f.Only, "", "same_bank", "other_bank"); err != nil {
		return c, err
	}
	switch {
	case f.Max < 0:
		return c, errors.New("max: must not be below zero")
	case f.Cut && f.Max == 0:
		return c, errors.New("cut: needs max")
	case f.Cut && text.uses("reference", "amount", "account", "ifsc", "bank", "debit_account", "debit_ifsc", "mode", "date", "total", "code"):
		return c, errors.New("cut: only names and notes may be cut short")
	case !plainPattern.MatchString(f.Header):
		return c, errors.New("header: use plain letters, digits and signs without quotes")
	}
	return c, nil
}
