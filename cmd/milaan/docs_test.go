package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/milaan/milaan/internal/server"
)

// repository is where the documentation stands, seen from here.
const repository = "../.."

// page is a page of the documentation, in pieces.
type page struct {
	path   string   // from the repository
	prose  string   // without blocks of code
	blocks []lesson // fenced
	shown  []string // indented: what is typed into a terminal
	codes  []string // in backticks
}

var (
	fencePattern    = regexp.MustCompile("(?ms)^([ ]*)```(\\w*)\n(.*?)^[ ]*```$")
	codePattern     = regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`")
	linkPattern     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	headingPattern  = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	indentedPattern = regexp.MustCompile(`(?m)^ {4,}(.*)$`)
)

func readPage(t *testing.T, path string) *page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{path: path}
	p.prose = fencePattern.ReplaceAllStringFunc(string(text), func(block string) string {
		m := fencePattern.FindStringSubmatch(block)
		p.blocks = append(p.blocks, lesson{kind: m[2], text: m[3]})
		return ""
	})
	for _, m := range indentedPattern.FindAllStringSubmatch(p.prose, -1) {
		p.shown = append(p.shown, m[1])
	}
	for _, m := range codePattern.FindAllStringSubmatch(p.prose, -1) {
		p.codes = append(p.codes, strings.Join(strings.Fields(m[1]), " "))
	}
	return p
}

// readPages reads every page there is.
func readPages(t *testing.T) (pages []*page) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			from, err := filepath.Rel(repository, path)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, readPage(t, filepath.ToSlash(from)))
		}
	}
	if len(pages) < 40 {
		t.Fatalf("only %d pages are found", len(pages))
	}
	return pages
}

// links are the files that a page leads to, from the repository, each with the
// anchor behind #.
func (p *page) links() (links [][2]string) {
	for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(p.prose, ""), -1) {
		if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
			continue
		}
		file, anchor, _ := strings.Cut(m[1], "#")
		to := p.path
		if file != "" {
			to = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), file))
		}
		links = append(links, [2]string{to, anchor})
	}
	return links
}

// anchors are what a page's headings are reached by, as GitHub makes them.
func (p *page) anchors() (names []string) {
	for _, m := range headingPattern.FindAllStringSubmatch(p.prose, -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, strings.TrimSpace(text))
		for n, of := 1, name; slices.Contains(names, name); n++ {
			name = fmt.Sprintf("%s-%d", of, n)
		}
		names = append(names, name)
	}
	return names
}

// TestPagesAreFound: the list of pages leads to each, and every link to where it
// says.
func TestPagesAreFound(t *testing.T) {
	t.Parallel()
	pages := readPages(t)
	byPath := make(map[string]*page)
	for _, p := range pages {
		byPath[p.path] = p
	}
	listed := make(map[string]bool)
	for _, p := range pages {
		for _, link := range p.links() {
			to, anchor := link[0], link[1]
			if p.path == filepath.ToSlash(filepath.Join(filepath.Dir(to), "README.md")) {
				listed[to] = true
			}
			if _, err := os.Stat(filepath.Join(repository, to)); err != nil {
				t.Errorf("%s leads to %s, which is not there", p.path, to)
			} else if at := byPath[to]; anchor != "" && (at == nil || !slices.Contains(at.anchors(), anchor)) {
				t.Errorf("%s leads to #%s of %s, which has no such heading", p.path, anchor, to)
			}
		}
	}
	for _, p := range pages {
		if strings.HasPrefix(p.path, "docs/") && filepath.Base(p.path) != "README.md" && !listed[p.path] {
			t.Errorf("%s is not in the list of %s/README.md", p.path, filepath.Dir(p.path))
		}
	}
}

// sources gives the program's files, or those of its tests.
func sources(t *testing.T, tests bool, see func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata" || d.Name() == "docs" {
				return filepath.SkipDir
			}
			return nil
		}
		isTest := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/storetest/")
		if isTest != tests || !slices.Contains([]string{".go", ".sql", ".php", ".yaml", ".json", ".html"}, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(filepath.Clean(path))
		if err == nil {
			see(filepath.ToSlash(path), string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// foreign are names that pages use and that are not this program's.
var foreign = map[string]string{
	"shared_buffers": "PostgreSQL", "max_wal_size": "PostgreSQL", "max_connections": "PostgreSQL",
	"pg_upgrade": "PostgreSQL", "target_session_attrs": "PostgreSQL",
	"application_name": "PostgreSQL", "connect_timeout": "PostgreSQL", "synchronous_standby_names": "PostgreSQL", "pg_rewind": "PostgreSQL",
	"pg_cancel_backend": "PostgreSQL", "pg_terminate_backend": "PostgreSQL", "primary_conninfo": "PostgreSQL", "version_id": "goose", "goose_db_version": "goose",
}

// TestPagesNameWhatIsThere: settings, metrics, fields, tests and packages that
// a page names exist.
func TestPagesNameWhatIsThere(t *testing.T) {
	t.Parallel()
	wordPattern := regexp.MustCompile(`[a-z][a-z0-9]*(?:_[a-z0-9]+)+`)
	environmentPattern := regexp.MustCompile(`\bMILAAN_[A-Z_]+[A-Z]`)
	metricPattern := regexp.MustCompile(`\bmilaan_[a-z_]+[a-z]`)
	words, variables, metrics, tests := make(map[string]bool), make(map[string]bool), make(map[string]bool), make(map[string]bool)
	sources(t, false, func(path, text string) {
		for _, word := range wordPattern.FindAllString(text, -1) {
			words[word] = true
		}
		if filepath.Ext(path) == ".go" {
			for _, m := range regexp.MustCompile(`"(milaan_[a-z_]+)"`).FindAllStringSubmatch(text, -1) {
				metrics[m[1]] = true
			}
		}
	})
	sources(t, true, func(_, text string) {
		for _, m := range regexp.MustCompile(`(?m)^func ((?:[Tt]est|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
		for _, name := range environmentPattern.FindAllString(text, -1) {
			variables[name] = true
		}
	})
	for _, s := range server.Settings() {
		words[s.Name] = true
		variables["MILAAN_"+strings.ToUpper(s.Name)] = true
	}
	script, err := os.ReadFile(filepath.Join(repository, "test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range environmentPattern.FindAllString(string(script), -1) {
		variables[name] = true
	}
	known := func(metric string) bool {
		for name := range metrics {
			if name == metric || strings.HasPrefix(name, metric+"_") { // milaan_feed_*
				return true
			}
		}
		return false
	}
	documented := make(map[string]bool)
	for _, p := range readPages(t) {
		everything := p.prose
		for _, b := range p.blocks {
			everything += b.text
		}
		for _, name := range environmentPattern.FindAllString(everything, -1) {
			if !variables[name] {
				t.Errorf("%s names %s, which is no setting", p.path, name)
			}
		}
		for _, name := range metricPattern.FindAllString(everything, -1) {
			documented[name] = documented[name] || p.path == "docs/metrics.md"
			if !known(name) {
				t.Errorf("%s names %s, which is no metric", p.path, name)
			}
		}
		for _, code := range p.codes {
			if word := wordPattern.FindString(code); word == code && !words[word] && foreign[word] == "" && !metrics[word] && !known(word) {
				t.Errorf("%s names %s, which is nowhere in the program, nor among those that are foreign", p.path, code)
			}
			if name := regexp.MustCompile(`^(?:[Tt]est|Fuzz|Benchmark)[A-Z]\w*$`).FindString(code); name != "" && !tests[name] {
				t.Errorf("%s names %s, which is no test", p.path, name)
			}
			if name := regexp.MustCompile(`^(?:internal|cmd|client|examples|docs)/[\w./-]+$`).FindString(code); name != "" {
				if _, err := os.Stat(filepath.Join(repository, name)); err != nil {
					t.Errorf("%s names %s, which is not there", p.path, name)
				}
			}
		}
	}
	for name := range metrics {
		if !documented[name] {
			t.Errorf("docs/metrics.md lacks %s", name)
		}
	}
}

// TestRoomsAreListed: docs/how-it-works.md has every package, and no other.
func TestRoomsAreListed(t *testing.T) {
	t.Parallel()
	named := make(map[string]bool)
	_, table, _ := strings.Cut(readPage(t, "docs/how-it-works.md").prose, "## The rooms")
	table, _, _ = strings.Cut(table, "## The database")
	for line := range strings.Lines(table) {
		if first, _, found := strings.Cut(strings.TrimPrefix(line, "| "), " |"); found {
			for _, m := range codePattern.FindAllStringSubmatch(first, -1) {
				named[m[1]] = true
			}
		}
	}
	for _, tests := range []bool{false, true} {
		sources(t, tests, func(path, _ string) {
			if filepath.Ext(path) != ".go" {
				return
			}
			room := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), repository+"/")
			if strings.HasPrefix(room, "tools/") {
				return // for those who build it
			}
			if _, listed := named[room]; !listed {
				t.Errorf("docs/how-it-works.md lacks %s", room)
			}
			named[room] = false
		})
	}
	for room, missing := range named {
		if missing {
			t.Errorf("docs/how-it-works.md names %s, which has no Go", room)
		}
	}
}

// TestPagesShowKeysOfTheApplyFile: keys of the pages' YAML are ones that an apply
// file may have.
func TestPagesShowKeysOfTheApplyFile(t *testing.T) {
	t.Parallel()
	words := make(map[string]bool)
	sources(t, false, func(path, text string) {
		if strings.Contains(path, "/internal/apply/") {
			for _, m := range regexp.MustCompile(`"([a-z][a-z0-9_]*)"`).FindAllStringSubmatch(text, -1) {
				words[m[1]] = true
			}
		}
	})
	// Maps of the file whose keys are somebody's own: methods, languages, URLs.
	free := []string{"methods", "name", "redirect_urls", "codes"}
	count := 0
	for _, p := range readPages(t) {
		for _, b := range p.blocks {
			if b.kind != "yaml" || strings.HasPrefix(b.text, "bank:") || p.path == "docs/feeds-templates.md" || p.path == "docs/payout-files.md" {
				continue // templates and layouts have keys of their own
			}
			file, err := parser.ParseBytes([]byte(strings.ReplaceAll(b.text, "…", "x")), 0)
			if err != nil {
				t.Errorf("%s shows YAML that can't be read: %v\n%s", p.path, err, b.text)
				continue
			}
			for _, doc := range file.Docs {
				ast.Walk(keysOf(func(path []string, key string) {
					count++
					if len(path) > 0 && slices.Contains(free, path[len(path)-1]) {
						return
					}
					if !words[key] {
						t.Errorf("%s shows the key %s, which no apply file has:\n%s", p.path, key, b.text)
					}
				}), doc)
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d keys are seen", count)
	}
}

// keysOf sees every key of a tree with the keys above it.
type keysOf func(path []string, key string)

// Visit is what [ast.Walk] calls.
func (see keysOf) Visit(node ast.Node) ast.Visitor {
	if pair, ok := node.(*ast.MappingValueNode); ok {
		var above []string
		for part := range strings.SplitSeq(strings.TrimPrefix(pair.Key.GetPath(), "$."), ".") {
			above = append(above, regexp.MustCompile(`\[\d+\]$`).ReplaceAllString(part, ""))
		}
		see(above[:len(above)-1], pair.Key.String())
	}
	return see
}

// TestPagesShowCommands: every command of a page is one that milaan has, with
// flags that it has.
func TestPagesShowCommands(t *testing.T) {
	t.Parallel()
	cli, err := kong.New(&commandLine{Plugins: kong.Plugins{newSettingFlags().target()}}, kong.Name("milaan"),
		kong.Vars{"statement_formats": ""}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, p := range readPages(t) {
		lines := append(slices.Clone(p.codes), p.shown...)
		for _, b := range p.blocks {
			if b.kind == "sh" || b.kind == "" {
				lines = append(lines, strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n")...)
			}
		}
		for _, line := range lines {
			m := regexp.MustCompile(`^(?:[A-Z_]+=\S* )*(?:[A-Z]+=\$\()?(?:\./)?milaan ([^#)>]*)`).FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			count++
			if wrong := wrongUse(cli.Model.Node, strings.Fields(m[1])); wrong != "" {
				t.Errorf("%s shows %q: %s", p.path, strings.TrimSpace(line), wrong)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d commands are seen", count)
	}
}

// wrongUse says what is wrong with the words of a command. Words in capitals
// stand for something, as in a page they do.
func wrongUse(node *kong.Node, words []string) string {
	for i, word := range words {
		word = strings.Trim(word, "[],;.:\"")
		switch {
		case word == "" || word == "…":
		case strings.HasPrefix(word, "--"):
			name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
			known := false
			for _, group := range node.AllFlags(false) {
				for _, flag := range group {
					known = known || flag.Name == name
				}
			}
			if !known {
				return "there is no flag --" + name
			}
		case len(node.Children) > 0 && i == depth(node):
			var next *kong.Node
			for alternative := range strings.SplitSeq(word, "|") {
				if alternative == "…" {
					continue
				}
				at := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == alternative })
				if at < 0 {
					if node.DefaultCmd != nil {
						return wrongUse(node.DefaultCmd, words[i:])
					}
					return "there is no command " + alternative
				}
				next = node.Children[at]
			}
			if next == nil {
				return ""
			}
			node = next
		}
	}
	return ""
}

// depth is how many words lead to a command.
func depth(node *kong.Node) int {
	n := 0
	for ; node.Parent != nil; node = node.Parent {
		n++
	}
	return n
}
