package demo

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

//go:embed web
var web embed.FS

// india is the zone that the pages show times in; it has no daylight saving.
var india = time.FixedZone("IST", 5*3600+30*60)

var templateFuncs = template.FuncMap{
	"rupees":  func(p money.Paise) string { return money.Format(p, money.English) },
	"clock":   func(t time.Time) string { return t.In(india).Format("2 Jan, 15:04:05") },
	"pretty":  Pretty,
	"spaced":  spaced,
	"initial": initial,
}

// spaced sets a UTR in groups of four, as people read it out.
func spaced(u upi.UTR) []string {
	var groups []string
	for s := string(u); s != ""; {
		n := min(4, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	return groups
}

// initial is the letter of a name's round badge.
func initial(name string) string {
	for _, r := range strings.ToUpper(name) {
		return string(r)
	}
	return "?"
}

// parsePages reads a layout and the pages that stand in it.
func parsePages(layout string, names ...string) map[string]*template.Template {
	pages := make(map[string]*template.Template, len(names))
	for _, name := range names {
		pages[name] = template.Must(template.New(layout).Funcs(templateFuncs).ParseFS(web, "web/"+layout, "web/pieces.html", "web/"+name+".html"))
	}
	return pages
}

func drawing(name string) template.HTML {
	svg, err := web.ReadFile("web/" + name + ".svg")
	if err != nil {
		panic(err) // embedded: it is there or the program was not built
	}
	return template.HTML(svg) //nolint:gosec // our own drawing
}

// site is what the shop's and the bank's pages have in common.
type site struct {
	pages map[string]*template.Template
	log   *slog.Logger
}

// view is what a page is made of.
type view struct {
	Title   string
	Refresh int    // seconds until the page looks again; 0 for never
	Error   string // what went wrong, for the reader
	Data    any
}

func (s *site) show(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	var out bytes.Buffer
	if err := s.pages[page].Execute(&out, v); err != nil {
		s.log.ErrorContext(r.Context(), "a page could not be made", "page", page, "error", err)
		http.Error(w, "This page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a reader who went away misses nothing
}

// fail shows an error that is meant for the reader.
func (s *site) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	s.show(w, r, status, "error", view{Title: "That did not work", Error: sentence(err)})
}

// sentence makes an error's text stand alone on a page.
func sentence(err error) string {
	text := strings.TrimPrefix(err.Error(), "upi: ")
	if first, rest, ok := cutRune(text); ok {
		text = strings.ToUpper(first) + rest
	}
	return strings.TrimSuffix(text, ".") + "."
}

func cutRune(s string) (first, rest string, ok bool) {
	for i := range s {
		if i > 0 {
			return s[:i], s[i:], true
		}
	}
	return s, "", s != ""
}

const maxForm = 16 << 10 // bytes

// policy is the Content-Security-Policy of every page.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// protect sets what every answer of a site has, and lets nobody post from
// another one.
func protect(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	return csrf.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	}))
}

// style serves the one style sheet.
func style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, web, "web/style.css")
}
