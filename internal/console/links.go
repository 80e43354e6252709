package console

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/window"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// linkMaker is what the page that makes payment links shows.
type linkMaker struct {
	Problem string
	Tabs    []tab
	Fields  []field
	Link    string
	QR      template.HTML
	Expires time.Time // zero for never
}

// lifetimes are how long a payment link may be open, in hours.
var lifetimes = []int{1, 24, 3 * 24, 7 * 24, 30 * 24}

// linksPage makes a payment link of what was typed: nothing is kept, and the same
// fields make the same link but for its end.
func (d *Door) linksPage(v *visit, m *directory.Merchant) error {
	body := linkMaker{Tabs: v.tabs(m)}
	given := func(name string) string { return strings.TrimSpace(v.FormValue(name)) }
	methods := []string{"", v.T("links.method.any")}
	for _, method := range d.Directory.Current().Methods {
		if m.MethodOn(method) {
			methods = append(methods, method.Type, method.Label(v.Lang())+" · "+method.Type)
		}
	}
	ends := []string{"", v.T("links.expires.never")}
	for _, hours := range lifetimes {
		ends = append(ends, strconv.Itoa(hours), v.T("links.expires."+strconv.Itoa(hours)))
	}
	langs := []string{"", v.T("account.lang.browser")}
	for _, tag := range d.langs.Tags() {
		langs = append(langs, tag, d.langs.ByTag(tag).Text("language.name"))
	}
	body.Fields = []field{
		{Name: "label", Label: v.T("links.label"), Value: given("label"), Hint: v.T("links.label.hint"), Required: true},
		{Name: "amount", Label: v.T("links.amount"), Value: given("amount"), Hint: v.T("links.amount.hint")},
		{Name: "order", Label: v.T("links.order"), Value: given("order"), Hint: v.T("links.order.hint")},
		{Name: "method", Label: v.T("wallets.method"), Type: "select", Options: options(given("method"), methods...)},
		{Name: "lang", Label: v.T("field.lang"), Type: "select", Options: options(given("lang"), langs...)},
		{Name: "hours", Label: v.T("links.expires"), Type: "select", Options: options(given("hours"), ends...)},
	}
	status := http.StatusOK
	if v.URL.RawQuery != "" {
		if err := d.makeLink(v, m, &body); err != nil {
			problem, ok := v.problem(err)
			if !ok {
				return err
			}
			status, body.Problem = http.StatusUnprocessableEntity, problem
		}
	}
	return v.show(page{Status: status, Name: "links", Title: v.T("links.title", "merchant", d.merchantName(m.ID)), Body: body})
}

// makeLink makes the link, as docs/window.md has it.
func (d *Door) makeLink(v *visit, m *directory.Merchant, body *linkMaker) error {
	query := url.Values{}
	set := func(name, field string) {
		if text := strings.TrimSpace(v.FormValue(field)); text != "" {
			query.Set(name, text)
		}
	}
	set("label", "label")
	set("custom_transaction_id", "order")
	set("wallet_type", "method")
	set("lang", "lang")
	query.Set("currency_code", string(money.INR))
	if lang := query.Get("lang"); lang != "" && d.langs.ByTag(lang) == nil {
		return errForm
	}
	if text := strings.TrimSpace(v.FormValue("amount")); text != "" {
		amount, err := money.ParsePositive(text)
		if err != nil {
			return err
		}
		query.Set("fixed_amount", amount.Fixed())
	}
	if text := v.FormValue("hours"); text != "" {
		hours, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(lifetimes, hours) {
			return errForm
		}
		body.Expires = v.now.Add(time.Duration(hours) * time.Hour).UTC().Truncate(time.Second)
		query.Set(window.ExpiresParameter, strconv.FormatInt(body.Expires.Unix(), 10))
	}
	if err := window.CheckLink(query, m, d.Directory.Current()); err != nil {
		return err
	}
	body.Link = d.windowAddress(v, m, query)
	svg, err := upi.QRSVG(body.Link, upi.QROptions{Label: v.T("links.qr")})
	if err != nil {
		return err
	}
	body.QR = template.HTML(svg) //nolint:gosec // drawn by upi, which escapes the label
	return nil
}

// windowAddress is a merchant's link to the payment window.
func (d *Door) windowAddress(v *visit, m *directory.Merchant, query url.Values) string {
	if m.Domain != "" {
		return "https://plugin." + m.Domain + "/?" + query.Encode()
	}
	query.Set("merchant", m.ID)
	return d.origin(v) + "/pay?" + query.Encode()
}

// apiAddress is where a merchant's shop calls the API.
func (d *Door) apiAddress(v *visit, m *directory.Merchant) string {
	if m.Domain != "" {
		return "https://api." + m.Domain
	}
	return d.origin(v)
}

// returnURLs is what the page that signs return addresses shows.
type returnURLs struct {
	Problem string
	Tabs    []tab
	Fields  []field
	Name    string // of the link's parameter
	Made    string
	NoKey   bool
}

func (d *Door) returnURLsPage(v *visit, m *directory.Merchant) error {
	return d.showReturnURLs(v, http.StatusOK, m, "", "", "")
}

func (d *Door) showReturnURLs(v *visit, code int, m *directory.Merchant, problem, name, made string) error {
	body := returnURLs{Problem: problem, Tabs: v.tabs(m), Name: name, Made: made, NoKey: m.Secrets.PrivateKey == "", Fields: []field{
		{Name: "url", Label: v.T("returns.url"), Type: "url", Value: v.PostFormValue("url"), Hint: v.T("returns.url.hint"), Required: true, Wrong: problem != ""},
		{Name: "kind", Label: v.T("returns.kind"), Type: "select", Options: options(v.PostFormValue("kind"),
			string(window.Success), v.T("returns.success"), string(window.Pending), v.T("returns.pending"), string(window.Fail), v.T("returns.fail"))},
		{Name: "label", Label: v.T("links.label"), Value: v.PostFormValue("label"), Hint: v.T("returns.label.hint")},
		{Name: "order", Label: v.T("links.order"), Value: v.PostFormValue("order"), Hint: v.T("returns.label.hint")},
	}}
	return v.show(page{Status: code, Name: "returnurls", Title: v.T("returns.title", "merchant", d.merchantName(m.ID)), Body: body})
}

// makeReturnURL signs an address that payers may be led back to (docs/window.md,
// hashed URLs).
func (d *Door) makeReturnURL(v *visit, m *directory.Merchant) error {
	kind := window.Kind(v.PostFormValue("kind"))
	target := strings.TrimSpace(v.PostFormValue("url"))
	label, order := strings.TrimSpace(v.PostFormValue("label")), strings.TrimSpace(v.PostFormValue("order"))
	var err error
	switch {
	case m.Secrets.PrivateKey == "":
		err = errNoTarget
	case !slices.Contains([]window.Kind{window.Success, window.Pending, window.Fail}, kind):
		err = errForm
	default:
		err = window.CheckReturn(target)
	}
	if err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showReturnURLs(v, code, m, problem, "", "") })
	}
	return d.showReturnURLs(v, http.StatusOK, m, "", string(kind)+"_url", window.HashURL(m.Secrets.PrivateKey, kind, label, order, target))
}

// guide is what the integration guide shows.
type guide struct {
	Tabs     []tab
	ID       string
	API      string
	Window   string
	Method   string
	Postback string
	Access   string // key of the signature in the body, for those who may see keys
	Public   string // key of the ed25519 signature
	Keys     string // address of the page of keys; empty for those who may not
}

func (d *Door) guidePage(v *visit, m *directory.Merchant) error {
	body := guide{Tabs: v.tabs(m), ID: m.ID, API: d.apiAddress(v, m), Method: "upi_l", Postback: m.PostbackURL, Public: m.Secrets.PublicKey()}
	for _, method := range d.Directory.Current().Methods {
		if m.MethodOn(method) {
			body.Method = method.Type
			break
		}
	}
	body.Window = d.windowAddress(v, m, url.Values{
		"label": {"55"}, "currency_code": {string(money.INR)}, "wallet_type": {body.Method}, "fixed_amount": {"500.00"}, "custom_transaction_id": {"order-1001"},
	})
	if v.user.May(staff.MerchantKeys, m.ID) {
		body.Access = m.Secrets.AccessKey.Reveal()
		body.Keys = merchantPath(m, "keys")
	}
	return v.show(page{Name: "guide", Wide: true, Title: v.T("guide.title", "merchant", d.merchantName(m.ID)), Body: body})
}
