package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

//go:embed web
var web embed.FS

//go:embed lang/*.json
var langFiles embed.FS

// page is what a handler shows: a template of web/pages, filled.
type page struct {
	Status int    // 200 where zero
	Name   string // of the template's file
	Title  string // the row's own name where empty
	Wide   bool   // for tables
	Body   any    // what the template is about
}

// sheet is what a template sees: the visit's methods (T, Money, Time, May, …)
// and the page's body.
type sheet struct {
	*visit
	page
	Said  string // what the page before had to say
	Style string // addresses of the files that every page has
	Code  string
}

// printer makes pages.
type printer struct {
	pages map[string]*template.Template
	files map[string]asset // by the name in their address
	style string
	code  string
}

type asset struct {
	mime string
	data []byte
}

func newPrinter() (*printer, error) {
	pr := &printer{pages: make(map[string]*template.Template), files: make(map[string]asset)}
	frame, err := template.ParseFS(web, "web/frame.html", "web/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(web, "web/pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		own, err := frame.Clone()
		if err != nil {
			return nil, err
		}
		if own, err = own.ParseFS(web, name); err != nil {
			return nil, err
		}
		pr.pages[strings.TrimSuffix(path.Base(name), ".html")] = own
	}
	if pr.style, err = pr.add("console.css", "text/css; charset=utf-8"); err != nil {
		return nil, err
	}
	pr.code, err = pr.add("console.js", "text/javascript; charset=utf-8")
	return pr, err
}

// add takes a file in under a name that changes with its content, so that
// browsers may keep it for ever.
func (pr *printer) add(name, mime string) (address string, err error) {
	data, err := web.ReadFile("web/" + name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	named := strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:8]) + ext
	pr.files[named] = asset{mime, data}
	return base + "/static/" + named, nil
}

// protect sets the headers of every answer.
func (*printer) protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// To other origins nothing is sent; to ourselves the page is, so that a form
	// that has to wait for its sender's proof leads back to where it was.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
}

// show writes a page.
func (v *visit) show(p page) error {
	own := v.door.paper.pages[p.Name]
	if own == nil {
		return fmt.Errorf("there is no web/pages/%s.html", p.Name)
	}
	if p.Title == "" {
		p.Title = v.T(v.route.name)
	}
	if p.Status == 0 {
		p.Status = http.StatusOK
	}
	var body bytes.Buffer
	s := sheet{visit: v, page: p, Said: v.said(), Style: v.door.paper.style, Code: v.door.paper.code}
	if err := own.ExecuteTemplate(&body, "frame", s); err != nil {
		return fmt.Errorf("make the page %s: %w", p.Name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang())
	v.w.WriteHeader(p.Status)
	if v.Method != http.MethodHead {
		_, _ = v.w.Write(body.Bytes()) // a browser that went away misses nothing
	}
	return nil
}

// static serves the files that pages are made with.
func (d *Door) static(v *visit) error {
	file, ok := d.paper.files[v.PathValue("file")]
	if !ok {
		return errNotFound
	}
	h := v.w.Header()
	h.Set("Content-Type", file.mime)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = v.w.Write(file.data) // a browser that went away misses nothing
	return nil
}

// field is an input of a form; the template "field" draws it.
type field struct {
	Name, Label, Value string
	Type               string // of the input; "text" where empty, "select" with Options
	Hint               string
	Autocomplete       string
	Options            []option
	Required, Focus    bool
	Wrong              bool // what was typed is what is wrong
}

// option is one choice of a select.
type option struct {
	Value, Label string
	Chosen       bool
}

func options(chosen string, pairs ...string) (list []option) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, option{pairs[i], pairs[i+1], pairs[i] == chosen})
	}
	return list
}

// form is what the pages of forms show.
type form struct {
	Problem string // what is wrong with what was typed
	Next    string // where to go on afterwards
	Fields  []field
}

// question asks before something dangerous is done; the page "confirm" shows it.
type question struct {
	Problem string
	Text    string // what will happen
	Button  string // what it is called to do it
	Back    string // address of the way out
}

// filter is a form that narrows a table; the template "filter" draws it.
type filter struct {
	Fields []field
	Clear  string // address of the whole table; empty where nothing is narrowed
}

// rowsOfPage is how many rows a table shows at once.
const rowsOfPage = 50

// cut makes a page of rows that were read one beyond it, and the address of the
// next page; empty on the last one. Key is what the next page starts after.
func cut[T any](v *visit, rows []T, key func(T) string) (shown []T, next string) {
	if len(rows) <= rowsOfPage {
		return rows, ""
	}
	rows = rows[:rowsOfPage]
	query := v.URL.Query()
	query.Set("after", key(rows[len(rows)-1]))
	return rows, (&url.URL{Path: v.URL.Path, RawQuery: query.Encode()}).String()
}
