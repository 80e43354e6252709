package console

import (
	"cmp"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
)

// merchantRoutes are the pages of what a merchant is set up with.
var merchantRoutes = []route{
	{pattern: "GET /merchants", name: "page.merchants", scope: ofMerchants, needs: staff.SeeMerchant, menu: true},
	{pattern: "GET /merchants/{merchant}/setup", name: "page.setup", scope: ofMerchant, needs: staff.SeeMerchant},
	{pattern: "POST /merchants/{merchant}/addresses", name: "page.setup", scope: ofMerchant, needs: staff.EditMerchant, sure: true},
	{pattern: "POST /merchants/{merchant}/look", name: "page.setup", scope: ofMerchant, needs: staff.EditMerchant},
	{pattern: "POST /merchants/{merchant}/methods", name: "page.setup", scope: ofMerchant, needs: staff.RunWorks},
	{pattern: "POST /merchants/{merchant}/terms", name: "page.setup", scope: ofMerchant, needs: staff.ManageSettings, sure: true},
	{pattern: "POST /merchants/{merchant}/test-postback", name: "page.setup.test", scope: ofMerchant, needs: staff.RunPostbacks},

	{pattern: "GET /merchants/{merchant}/keys", name: "page.keys", scope: ofMerchant, needs: staff.MerchantKeys, sure: true},
	{pattern: "POST /merchants/{merchant}/keys/{key}/rotate", name: "page.keys", scope: ofMerchant, needs: staff.MerchantKeys, sure: true},
	{pattern: "POST /merchants/{merchant}/keys/{key}/finish", name: "page.keys", scope: ofMerchant, needs: staff.MerchantKeys, sure: true},

	{pattern: "GET /merchants/{merchant}/links", name: "page.links", scope: ofMerchant, needs: staff.EditMerchant},
	{pattern: "GET /merchants/{merchant}/return-urls", name: "page.returnurls", scope: ofMerchant, needs: staff.MerchantKeys},
	{pattern: "POST /merchants/{merchant}/return-urls", name: "page.returnurls", scope: ofMerchant, needs: staff.MerchantKeys},
	{pattern: "GET /merchants/{merchant}/guide", name: "page.guide", scope: ofMerchant, needs: staff.SeeMerchant},
}

func (d *Door) merchantPages() handlers {
	return handlers{
		"GET /merchants":                           d.merchantList,
		"GET /merchants/{merchant}/setup":          d.ofOne(d.setupPage),
		"POST /merchants/{merchant}/addresses":     d.ofOne(d.setAddresses),
		"POST /merchants/{merchant}/look":          d.ofOne(d.setLook),
		"POST /merchants/{merchant}/methods":       d.ofOne(d.setMethods),
		"POST /merchants/{merchant}/terms":         d.ofOne(d.setTerms),
		"POST /merchants/{merchant}/test-postback": d.ofOne(d.testPostback),

		"GET /merchants/{merchant}/keys":               d.ofOne(d.keysPage),
		"POST /merchants/{merchant}/keys/{key}/rotate": d.ofOne(d.rotateKey),
		"POST /merchants/{merchant}/keys/{key}/finish": d.ofOne(d.finishKey),

		"GET /merchants/{merchant}/links":        d.ofOne(d.linksPage),
		"GET /merchants/{merchant}/return-urls":  d.ofOne(d.returnURLsPage),
		"POST /merchants/{merchant}/return-urls": d.ofOne(d.makeReturnURL),
		"GET /merchants/{merchant}/guide":        d.ofOne(d.guidePage),
	}
}

// ofOne finds the merchant that the address names; the table has seen to it that
// the user may.
func (d *Door) ofOne(next func(*visit, *directory.Merchant) error) func(*visit) error {
	return func(v *visit) error {
		m := d.Directory.Current().Merchant(v.PathValue("merchant"))
		if m == nil {
			return errNotFound
		}
		return next(v, m)
	}
}

// merchantRows is what the page of merchants shows.
type merchantRows struct {
	Filter filter
	Rows   []merchantRow
	Next   string
}

type merchantRow struct {
	*directory.Merchant
	Status   status
	Postback status
	Methods  int // that are on
}

// merchantList shows the merchants that the user may see.
func (d *Door) merchantList(v *visit) error {
	dir := d.Directory.Current()
	search := v.FormValue("search")
	body := merchantRows{Filter: filter{Fields: []field{{Name: "search", Label: v.T("wallets.search"), Type: "search", Value: search}}}}
	if search != "" {
		body.Filter.Clear = address("/merchants")
	}
	ids, _ := v.merchants()
	var found []*directory.Merchant
	for _, id := range ids {
		m := dir.Merchant(id)
		if m != nil && id > v.FormValue("after") && strings.Contains(strings.ToLower(m.ID+"\n"+m.Name+"\n"+m.Domain), strings.ToLower(search)) {
			found = append(found, m)
		}
	}
	found, body.Next = cut(v, found, func(m *directory.Merchant) string { return m.ID })
	stands, err := d.Postbacks.Endpoints(v.Context())
	if err != nil {
		return err
	}
	for _, m := range found {
		row := merchantRow{Merchant: m, Status: v.onOff(!m.Retired), Postback: v.endpointStatus(m, stands)}
		if m.Retired {
			row.Status = status{v.T("works.retired"), toneSoft}
		}
		for _, method := range dir.Methods {
			if m.MethodOn(method) {
				row.Methods++
			}
		}
		body.Rows = append(body.Rows, row)
	}
	return v.show(page{Name: "merchants", Wide: true, Body: body})
}

// endpointStatus is how a merchant's address for postbacks stands.
func (v *visit) endpointStatus(m *directory.Merchant, stands []postback.Endpoint) status {
	if m.PostbackURL == "" || m.Secrets.PrivateKey == "" {
		return status{v.T("setup.endpoint.none"), toneSoft}
	}
	for i := range stands {
		if e := &stands[i]; e.Merchant == m.ID {
			tone := toneBad
			if e.State == postback.EndpointPaused {
				tone = toneWait
			}
			return status{v.T("setup.endpoint." + string(e.State)), tone}
		}
	}
	return status{v.T("setup.endpoint.open"), toneGood}
}

// tab is a page of a merchant, in the row of them.
type tab struct {
	Name, Path string
	Here       bool
}

// tabs are the pages of a merchant that the user may see.
func (v *visit) tabs(m *directory.Merchant) (tabs []tab) {
	for _, t := range []struct {
		name, path string
		needs      staff.Permission
	}{
		{"page.setup", "setup", staff.SeeMerchant}, {"page.keys", "keys", staff.MerchantKeys}, {"page.links", "links", staff.EditMerchant},
		{"page.returnurls", "return-urls", staff.MerchantKeys}, {"page.guide", "guide", staff.SeeMerchant},
	} {
		if v.user.May(t.needs, m.ID) {
			path := merchantPath(m, t.path)
			tabs = append(tabs, tab{v.T(t.name), path, v.URL.Path == path})
		}
	}
	return tabs
}

func merchantPath(m *directory.Merchant, page string) string {
	return address("/merchants/" + m.ID + "/" + page)
}

// setup is what the page of a merchant's settings shows.
type setup struct {
	Merchant  *directory.Merchant
	Tabs      []tab
	Problems  map[string]string // by the form that is at fault
	Status    status
	Addresses []field
	Look      []field
	Methods   []methodSwitch
	Terms     []field
	MayEdit   bool
	MayRun    bool
	MayTerms  bool
	MayTest   bool
	Endpoint  status
	Public    string // key that the ed25519 signature is verified with
	Logo      template.URL
}

type methodSwitch struct {
	field
	Status status // what comes of it
}

func (d *Door) setupPage(v *visit, m *directory.Merchant) error {
	return d.showSetup(v, http.StatusOK, m, "", "")
}

// given is what was typed into a form that is shown again, else what is stored.
func (v *visit) given(wrong bool, name, stored string) string {
	if wrong && v.Method == http.MethodPost {
		return v.PostFormValue(name)
	}
	return stored
}

func (d *Door) showSetup(v *visit, code int, m *directory.Merchant, wrong, problem string) error {
	dir := d.Directory.Current()
	stands, err := d.Postbacks.Endpoints(v.Context())
	if err != nil {
		return err
	}
	want := apply.MerchantOf(m)
	body := setup{
		Merchant: m, Tabs: v.tabs(m), Problems: map[string]string{wrong: problem}, Status: v.onOff(!m.Retired),
		MayEdit: v.user.May(staff.EditMerchant, m.ID), MayRun: v.user.May(staff.RunWorks, m.ID), MayTerms: v.user.May(staff.ManageSettings, m.ID),
		MayTest: v.user.May(staff.RunPostbacks, m.ID), Endpoint: v.endpointStatus(m, stands), Public: m.Secrets.PublicKey(),
		Logo: template.URL(m.Look.Logo), //nolint:gosec // directory.ParseLogo let nothing but an image in
	}
	in := func(form, name, label, kind, stored string) field {
		return field{Name: name, Label: v.T("setup." + label), Type: kind, Value: v.given(wrong == form, name, stored), Hint: v.hint("setup." + label + ".hint"), Wrong: wrong == form}
	}
	body.Addresses = []field{
		in("addresses", "postback_url", "postback", "url", m.PostbackURL),
		in("addresses", "redirect_urls", "redirects", "lines", pairLines(m.RedirectURLs)),
		in("addresses", "frame_ancestors", "frames", "lines", strings.Join(m.FrameAncestors, "\n")),
		in("addresses", "allowed_ips", "ips", "lines", strings.Join(want.AllowedIPs, "\n")),
	}
	body.Look = []field{in("look", "colour", "colour", "", string(m.Look.Colour)), {Name: "logo", Label: v.T("setup.logo"), Type: "file", Hint: v.T("setup.logo.hint")}}
	for _, method := range dir.Methods {
		if method.Retired {
			continue
		}
		chosen := ""
		if on, named := m.Methods[method.Type]; named {
			chosen = map[bool]string{true: "on", false: "off"}[on]
		}
		body.Methods = append(body.Methods, methodSwitch{field{
			Name: "method:" + method.Type, Label: method.Label(v.Lang()) + " · " + method.Type, Type: "select",
			Options: options(chosen, "", v.T("setup.method.follow"), "on", v.T("works.on"), "off", v.T("works.off")),
		}, v.onOff(m.MethodOn(method))})
	}
	body.Terms = []field{
		in("terms", "name", "name", "", m.Name), in("terms", "domain", "domain", "", m.Domain), in("terms", "timezone", "timezone", "zone", m.Timezone),
		in("terms", "deposit_percent", "percent", "", want.Fee.DepositPercent), in("terms", "deposit_fixed", "fixed", "", want.Fee.DepositFixed),
		in("terms", "withdrawal_percent", "withdrawalpercent", "", want.Fee.WithdrawalPercent), in("terms", "withdrawal_fixed", "withdrawal", "", want.Fee.WithdrawalFixed),
		{Name: "amount_policy", Label: v.T("setup.policy"), Type: "select", Hint: v.T("setup.policy.hint"), Options: options(
			v.given(wrong == "terms", "amount_policy", string(m.AmountPolicy)), "exact", v.T("setup.policy.exact"), "actual", v.T("setup.policy.actual"))},
	}
	return v.show(page{Status: code, Name: "setup", Title: v.T("setup.title", "merchant", d.merchantName(m.ID)), Wide: true, Body: body})
}

// hint is a text that may be there.
func (v *visit) hint(key string) string {
	if v.Has(key) {
		return v.T(key)
	}
	return ""
}

// pairLines writes ids and URLs for a form: a line each.
func pairLines(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, id+" = "+m[id])
	}
	return strings.Join(lines, "\n")
}

// lines reads the lines of a form's field that are not empty.
func (v *visit) lines(name string) (list []string) {
	for line := range strings.Lines(v.PostFormValue(name)) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// errPair: a line is no id and URL.
var errPair = errors.New("write each page on a line of its own: an id, =, and its URL")

// editMerchant changes a merchant that is not retired.
func (*Door) editMerchant(v *visit, id string, change func(*apply.Merchant) error) error {
	return v.edit(func(c *directory.Contents) (map[string]any, error) {
		for _, m := range c.Merchants {
			if m.ID == id && !m.Retired {
				wanted := apply.MerchantOf(m)
				if err := change(&wanted); err != nil {
					return nil, err
				}
				return map[string]any{"merchants": []apply.Merchant{wanted}}, nil
			}
		}
		return nil, errNotFound
	})
}

// set goes on after a form of the settings, or shows it again.
func (d *Door) set(v *visit, m *directory.Merchant, form string, err error) error {
	if err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showSetup(v, code, m, form, problem) })
	}
	v.say("said.saved")
	return v.lead(merchantPath(m, "setup") + "#" + form)
}

// setAddresses changes where a merchant's postbacks and payers go, and who may
// call its API.
func (d *Door) setAddresses(v *visit, m *directory.Merchant) error {
	return d.set(v, m, "addresses", d.editMerchant(v, m.ID, func(want *apply.Merchant) error {
		target := strings.TrimSpace(v.PostFormValue("postback_url"))
		switch {
		case target == "":
			want.Postback = nil
		case want.Postback == nil:
			want.Postback = &apply.PostbackTarget{URL: target}
		default:
			want.Postback.URL = target
		}
		want.RedirectURLs = make(map[string]string)
		for _, line := range v.lines("redirect_urls") {
			id, page, ok := strings.Cut(line, "=")
			if id = strings.TrimSpace(id); !ok || want.RedirectURLs[id] != "" {
				return errPair
			}
			want.RedirectURLs[id] = strings.TrimSpace(page)
		}
		want.FrameAncestors = v.lines("frame_ancestors")
		want.AllowedIPs = v.lines("allowed_ips")
		return nil
	}))
}

// setLook changes how the payment window shows a merchant.
func (d *Door) setLook(v *visit, m *directory.Merchant) error {
	// All of it fits into what a form may have, and stays in memory.
	if err := v.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return d.set(v, m, "look", partError(err))
	}
	logo, err := v.logo()
	if err == nil {
		err = d.editMerchant(v, m.ID, func(want *apply.Merchant) error {
			look := apply.Look{Colour: strings.TrimSpace(v.PostFormValue("colour"))}
			if want.Look != nil && v.PostFormValue("nologo") == "" {
				look.Logo = want.Look.Logo
			}
			look.Logo = cmp.Or(logo, look.Logo)
			if want.Look = &look; look == (apply.Look{}) {
				want.Look = nil
			}
			return nil
		})
	}
	return d.set(v, m, "look", err)
}

// errLogo wraps what is wrong with an uploaded logo.
var errLogo = errors.New("the logo")

// logo reads the uploaded image as a data URI; empty where there is none.
func (v *visit) logo() (string, error) {
	file, _, err := v.FormFile("logo")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return "", nil
	}
	if err != nil {
		return "", partError(err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(file)
	if err != nil || len(data) == 0 {
		return "", err
	}
	kind := http.DetectContentType(data)
	if strings.Contains(string(data), "<svg") && !strings.HasPrefix(kind, "image/") {
		kind = "image/svg+xml"
	}
	uri, err := directory.ParseLogo("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data))
	if err != nil {
		return "", errors.Join(errLogo, err)
	}
	return uri, nil
}

// setMethods changes which methods are on for a merchant alone.
func (d *Door) setMethods(v *visit, m *directory.Merchant) error {
	return d.set(v, m, "methods", d.editMerchant(v, m.ID, func(want *apply.Merchant) error {
		methods := maps.Clone(want.Methods)
		if methods == nil {
			methods = make(map[string]bool)
		}
		for _, method := range d.Directory.Current().Methods {
			switch v.PostFormValue("method:" + method.Type) {
			case "on":
				methods[method.Type] = true
			case "off":
				methods[method.Type] = false
			case "":
				if v.PostForm.Has("method:" + method.Type) {
					delete(methods, method.Type)
				}
			default:
				return errForm
			}
		}
		want.Methods = methods
		return nil
	}))
}

// setTerms changes what the operator and a merchant agreed on.
func (d *Door) setTerms(v *visit, m *directory.Merchant) error {
	return d.set(v, m, "terms", d.editMerchant(v, m.ID, func(want *apply.Merchant) error {
		text := func(name string) string { return strings.TrimSpace(v.PostFormValue(name)) }
		want.Name, want.Domain, want.Timezone = cmp.Or(text("name"), want.ID), text("domain"), text("timezone")
		want.Fee = apply.Fee{DepositPercent: orZero(text("deposit_percent")), DepositFixed: orZero(text("deposit_fixed")),
			WithdrawalPercent: orZero(text("withdrawal_percent")), WithdrawalFixed: orZero(text("withdrawal_fixed"))}
		want.AmountPolicy = text("amount_policy")
		return nil
	}))
}

// tested is what the page of a test shows.
type tested struct {
	Back    string
	Status  status
	Attempt postback.Attempt
	Answer  string
}

// testPostback sends a postback that is of no deposit, once, and shows what came
// of it. One at a time for each merchant: a server that answers late would else
// hold as many requests as somebody makes.
func (d *Door) testPostback(v *visit, m *directory.Merchant) error {
	if _, busy := d.testing.LoadOrStore(m.ID, true); busy {
		return d.set(v, m, "test", errTesting)
	}
	defer d.testing.Delete(m.ID)
	a, err := d.Postbacks.Test(v.Context(), v.actor(), m.ID)
	if err != nil {
		return d.set(v, m, "test", err)
	}
	body := tested{Back: merchantPath(m, "setup"), Attempt: a, Status: status{v.T("test.failed"), toneBad}, Answer: strings.ToValidUTF8(string(a.Answer), "�")}
	if a.Error == "" && a.Status >= 200 && a.Status < 300 {
		body.Status = status{v.T("test.delivered"), toneGood}
	}
	return v.show(page{Name: "tested", Body: body})
}

// errTesting: a test of the merchant is under way.
var errTesting = errors.New("a test of this merchant is under way: wait for its end")
