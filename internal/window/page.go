package window

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/words"
)

//go:embed web
var web embed.FS

// langFiles hold one language each: a further file is a further language.
//
//go:embed lang/*.json
var langFiles embed.FS

// page is what one page is made of. Texts are whole sentences in the payer's
// language; the template escapes them.
type page struct {
	status int
	words  *words.Language

	Title    string
	Merchant string // its name; empty where there is none to show
	Origins  string // that may frame the page, separated by spaces
	Step     string // which part of the template is shown
	Error    bool   // the page is an error alone
	Text     string
	Field    string // what a merchant has to look at
	Retry    string // address to try again

	Here    string // the payment's address; empty outside a payment
	ID      string // its custom_transaction_id
	State   string
	Outcome Kind // empty before there is one
	Live    bool // the state may change by itself
	Refresh bool // reload without JavaScript

	Problem string // what is wrong with what was typed
	Typed   string

	Methods         []methodChoice
	CanChooseMethod bool
	CanChooseAmount bool
	Bounds          string

	Amount      string
	VPA         string
	Payee       string
	QR          template.HTML
	Note        string // what the link carries to the bank
	Apps        []app  // that pay the wallet by a link
	Gallery     bool   // a screenshot of the code is of use, and limited
	SecondsLeft int
	MinutesLeft string

	Received   bool // Amount is what came, not what was said
	UTR        string
	Time       string
	ReturnURL  string
	Leaves     bool // goes there by itself
	Final      bool
	CanAmend   bool
	Amending   bool
	AmendsLeft string

	Look   directory.Look
	Style  template.HTML
	Script template.HTML
}

type methodChoice struct{ Type, Name string }

// Lang is the language of the page.
func (p *page) Lang() string { return p.words.Tag() }

// T is a text of the page's language.
func (p *page) T(key string, pairs ...string) string { return p.words.Text(key, pairs...) }

// Receipts are the drawings of where apps show the UTR.
func (*page) Receipts() []receipt { return receipts[:] }

// AtForm reports whether what the payer has to attend to first is the field to
// type in, not what the page says.
func (p *page) AtForm() bool {
	return p.Problem != "" || p.Amending && p.State != string(deposit.Refused)
}

// Initial stands for the merchant where a logo would.
func (p *page) Initial() string {
	for _, r := range p.Merchant {
		return strings.ToUpper(string(r))
	}
	return ""
}

// Logo is the merchant's image; empty where its initial stands for it.
func (p *page) Logo() template.URL {
	if _, err := directory.ParseLogo(p.Look.Logo); err != nil {
		return ""
	}
	return template.URL(p.Look.Logo) //nolint:gosec // an image in base64, see above
}

// printer makes pages of templates, one style and one script.
type printer struct {
	pages  *template.Template
	style  template.HTML
	script template.HTML
	styles string // the Content-Security-Policy up to the styles
	policy string // the rest, less who may frame
	gzips  sync.Pool
}

// Comments and line ends cost payers bytes; the shipped files have whole-line
// comments only, and no line that needs the one before it to end.
var (
	lineComments = regexp.MustCompile(`(?m)^\s*//.*\n`)
	indentation  = regexp.MustCompile(`(?m)^\s+`)
)

func newPrinter() (*printer, error) {
	pages, err := template.ParseFS(web, "web/page.html")
	if err != nil {
		return nil, err
	}
	css, err := web.ReadFile("web/page.css")
	if err != nil {
		return nil, err
	}
	js, err := web.ReadFile("web/page.js")
	if err != nil {
		return nil, err
	}
	style := strings.ReplaceAll(string(css), "\n", "")
	script := indentation.ReplaceAllString(lineComments.ReplaceAllString(string(js), ""), "")
	return &printer{
		pages: pages,
		// Ours, embedded, and held to by hash: a page runs and wears nothing else.
		style:  template.HTML("<style>" + style + "</style>"),    //nolint:gosec // embedded, see above
		script: template.HTML("<script>" + script + "</script>"), //nolint:gosec // embedded, see above
		styles: fmt.Sprintf("default-src 'none'; style-src '%s'", sourceHash(style)),
		policy: fmt.Sprintf("; script-src '%s'; img-src data:; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors ", sourceHash(script)),
		gzips: sync.Pool{New: func() any {
			z, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
			if err != nil {
				panic(err) // the level is one of gzip's own
			}
			return z
		}},
	}, nil
}

// sourceHash is how a Content-Security-Policy names an inline style or script.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// protect sets the headers of every answer; origins are those that may frame
// it, rule is a style that the answer has beside the page's own, or empty.
func (pr *printer) protect(h http.Header, origins, rule string) {
	if origins == "" {
		origins = "'none'"
	}
	styles := pr.styles
	if rule != "" {
		styles += " '" + sourceHash(rule) + "'"
	}
	h.Set("Content-Security-Policy", styles+pr.policy+origins)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// To other origins nothing is sent. With no-referrer, browsers that have no
	// Sec-Fetch-Site would hide the origin of our own forms from us, too.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
}

// write writes a page, compressed where the browser takes that.
func (pr *printer) write(w http.ResponseWriter, r *http.Request, p *page) error {
	p.Style, p.Script = pr.style, pr.script
	rule := coloured(p.Look.Colour)
	if rule != "" {
		p.Style += template.HTML("<style>" + rule + "</style>") //nolint:gosec // colours alone, see coloured
	}
	var body bytes.Buffer
	if err := pr.pages.ExecuteTemplate(&body, "page", p); err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	h := w.Header()
	pr.protect(h, p.Origins, rule)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.Lang())
	h.Add("Vary", "Accept-Encoding, Accept-Language")
	if p.status == 0 {
		p.status = http.StatusOK
	}
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		var packed bytes.Buffer
		z, ok := pr.gzips.Get().(*gzip.Writer)
		if !ok {
			return fmt.Errorf("the pool holds %T", z)
		}
		z.Reset(&packed)
		_, err := z.Write(body.Bytes())
		if err == nil {
			err = z.Close()
		}
		pr.gzips.Put(z)
		if err != nil {
			return fmt.Errorf("compress the page: %w", err)
		}
		h.Set("Content-Encoding", "gzip")
		body = packed
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // a payer who went away misses nothing
	}
	return nil
}

// takesGzip reads Accept-Encoding; "gzip;q=0" says no.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

// minutes rounds up, so that no time left is not shown while there is some.
func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }
