package management

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

// Installation is the directory in the form of the apply file, without secrets
// and without what is retired. Applied as it is, it changes nothing.
type Installation struct {
	Merchants []Merchant `json:"merchants" nullable:"false"`
	Methods   []Method   `json:"methods" nullable:"false"`
	Wallets   []Wallet   `json:"wallets" nullable:"false"`
	Feeds     []Feed     `json:"feeds" nullable:"false"`
	Rules     []Rule     `json:"rules" nullable:"false"`
	Payouts   []Payout   `json:"payouts" nullable:"false"`
	Webhooks  []Webhook  `json:"webhooks" nullable:"false" doc:"The installation's own; merchants' are with them."`
}

// Merchant is a merchant of the apply file, see docs/apply.md for the fields.
type Merchant struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Domain         string            `json:"domain,omitempty"`
	Timezone       string            `json:"timezone"`
	Postback       *PostbackTarget   `json:"postback,omitempty"`
	RedirectURLs   map[string]string `json:"redirect_urls,omitempty"`
	FrameAncestors []string          `json:"frame_ancestors,omitempty" nullable:"false"`
	Look           *Look             `json:"look,omitempty"`
	Methods        map[string]bool   `json:"methods,omitempty"`
	Fee            Fee               `json:"fee"`
	AmountPolicy   string            `json:"amount_policy" enum:"exact,actual"`
	Settlement     *Settlement       `json:"settlement,omitempty"`
	Reports        *Reports          `json:"reports,omitempty"`
	AllowedIPs     []string          `json:"allowed_ips,omitempty" nullable:"false"`
	Webhooks       []Webhook         `json:"webhooks,omitempty" nullable:"false"`
}

// Reports are the e-mail addresses that a merchant's reports go to.
type Reports struct {
	Daily   []string `json:"daily,omitempty" nullable:"false" example:"accounts@shop.example"`
	Monthly []string `json:"monthly,omitempty" nullable:"false" example:"accounts@shop.example"`
}

// PostbackTarget is where deposits are announced.
type PostbackTarget struct {
	URL      string   `json:"url"`
	Schedule []string `json:"schedule,omitempty" nullable:"false" doc:"Waits between attempts."`
	Ed25519  bool     `json:"ed25519,omitempty"`
}

// Look is how the payment window shows a merchant.
type Look struct {
	Colour string `json:"colour,omitempty" example:"#0a6b4d"`
	Logo   string `json:"logo,omitempty" doc:"A data URI."`
}

// Fee is what the operator keeps.
type Fee struct {
	DepositPercent    string `json:"deposit_percent" example:"1.5"`
	DepositFixed      string `json:"deposit_fixed" doc:"Rupees." example:"2.00"`
	WithdrawalPercent string `json:"withdrawal_percent" example:"0"`
	WithdrawalFixed   string `json:"withdrawal_fixed" doc:"Rupees." example:"0.00"`
}

// Webhook is an endpoint that is told of events, see docs/events.md.
type Webhook struct {
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Events   []string `json:"events" nullable:"false" doc:"Types, groups such as deposit.*, or *."`
	Schedule []string `json:"schedule,omitempty" nullable:"false" doc:"Waits between attempts."`
	Ed25519  bool     `json:"ed25519,omitempty"`
}

// Settlement is where a merchant's balance is paid out to, and when.
type Settlement struct {
	Account  string `json:"account_number" example:"998877665544"`
	Name     string `json:"account_name"`
	IFSC     string `json:"ifsc" example:"HDFC0000001"`
	Method   string `json:"method" example:"imps_ib"`
	Schedule string `json:"schedule,omitempty" enum:"daily,weekdays,weekly,monthly" doc:"Left out where settlement is on demand."`
	Day      string `json:"day,omitempty" doc:"Of a weekly or monthly one." example:"mon"`
	At       string `json:"at,omitempty" doc:"In the merchant's time zone." example:"18:00"`
	Least    string `json:"least" doc:"Rupees: below this nothing is settled." example:"0.00"`
	Keep     string `json:"keep" doc:"Rupees that stay in the balance." example:"0.00"`
}

// Method is a way to pay.
type Method struct {
	Type      string            `json:"type" example:"upi_l"`
	Name      map[string]string `json:"name"`
	Enabled   bool              `json:"enabled"`
	Min       string            `json:"min" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Max       string            `json:"max" doc:"Rupees; 0.00 for no bound." example:"100000.00"`
	Reference bool              `json:"reference"`
}

// Wallet is an account that payers pay to.
type Wallet struct {
	ID            string   `json:"id"`
	Method        string   `json:"method"`
	VPA           string   `json:"vpa"`
	MerchantVPA   bool     `json:"merchant_vpa"`
	Name          string   `json:"name"`
	Currency      string   `json:"currency" example:"INR"`
	Merchants     []string `json:"merchants" nullable:"false"`
	DailyLimit    string   `json:"daily_limit" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	PerPaymentMax string   `json:"per_payment_max" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Enabled       bool     `json:"enabled"`
	Bank          string   `json:"bank,omitempty"`
	Account       string   `json:"account,omitempty"`
}

// Feed is a source of bank entries.
type Feed struct {
	ID         string   `json:"id"`
	Kind       string   `json:"kind"`
	Wallet     string   `json:"wallet"`
	Senders    []string `json:"senders,omitempty" nullable:"false"`
	Scheme     string   `json:"scheme,omitempty"`
	Domains    []string `json:"domains,omitempty" nullable:"false"`
	Recipients []string `json:"recipients,omitempty" nullable:"false"`
	Relay      string   `json:"relay,omitempty"`
	Mailbox    *Mailbox `json:"mailbox,omitempty"`
	Header     string   `json:"header,omitempty"`
	User       string   `json:"user,omitempty"`
}

// Mailbox is a mailbox that a feed reads.
type Mailbox struct {
	Address  string `json:"address"`
	StartTLS bool   `json:"starttls"`
	Username string `json:"username"`
	Name     string `json:"name,omitempty"`
}

// Rule is an operator's own review rule.
type Rule struct {
	Name string `json:"name"`
	When string `json:"when"`
	Then string `json:"then"`
}

// Payout is a way that money leaves by.
type Payout struct {
	ID           string            `json:"id"`
	Kind         string            `json:"kind"`
	Method       string            `json:"method"`
	Wallets      []string          `json:"wallets,omitempty" nullable:"false"`
	Min          string            `json:"min" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	Max          string            `json:"max" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	MerchantDay  string            `json:"merchant_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	LabelDay     string            `json:"label_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	WalletDay    string            `json:"wallet_per_day" doc:"Rupees; 0.00 for no bound." example:"0.00"`
	ApproveAbove string            `json:"approve_above" doc:"Rupees; 0.00 has a person approve each." example:"0.00"`
	Layout       string            `json:"layout,omitempty"`
	Codes        map[string]string `json:"codes,omitempty"`
	Account      string            `json:"account,omitempty"`
	KeyID        string            `json:"key_id,omitempty"`
	Address      string            `json:"address,omitempty"`
}

// merchantView views merchants, each with its webhooks.
func merchantView(hooks []*directory.Webhook) func(*directory.Merchant) Merchant {
	return func(m *directory.Merchant) Merchant {
		v := viewMerchant(m)
		if own := webhooksOf(hooks, m.ID); len(own) > 0 {
			v.Webhooks = own
		}
		return v
	}
}

// webhooksOf views the webhooks of a merchant, or the installation's own where
// that is empty.
func webhooksOf(hooks []*directory.Webhook, merchant string) []Webhook {
	return inForce(hooks, func(w *directory.Webhook) bool { return w.Retired || w.Merchant != merchant }, viewWebhook)
}

func viewWebhook(w *directory.Webhook) Webhook {
	v := Webhook{ID: w.ID, URL: w.URL, Events: w.Events, Ed25519: w.Ed25519}
	for _, wait := range w.Waits {
		v.Schedule = append(v.Schedule, wait.String())
	}
	return v
}

func viewMerchant(m *directory.Merchant) Merchant {
	v := Merchant{
		ID: m.ID, Name: m.Name, Domain: m.Domain, Timezone: m.Timezone, RedirectURLs: m.RedirectURLs, FrameAncestors: m.FrameAncestors,
		Methods: m.Methods, AmountPolicy: string(m.AmountPolicy), Settlement: viewSettlement(m.Settlement),
		Fee: Fee{m.Fee.DepositPercent.String(), m.Fee.DepositFixed.Fixed(), m.Fee.WithdrawalPercent.String(), m.Fee.WithdrawalFixed.Fixed()},
	}
	if m.PostbackURL != "" {
		v.Postback = &PostbackTarget{URL: m.PostbackURL, Ed25519: m.PostbackEd25519}
		for _, wait := range m.PostbackWaits {
			v.Postback.Schedule = append(v.Postback.Schedule, wait.String())
		}
	}
	if m.Look != (directory.Look{}) {
		v.Look = &Look{string(m.Look.Colour), m.Look.Logo}
	}
	if len(m.Reports.Daily)+len(m.Reports.Monthly) > 0 {
		v.Reports = &Reports{m.Reports.Daily, m.Reports.Monthly}
	}
	for _, prefix := range m.AllowedIPs {
		v.AllowedIPs = append(v.AllowedIPs, prefix.String())
	}
	return v
}

func viewSettlement(s *directory.Settlement) *Settlement {
	if s == nil {
		return nil
	}
	v := &Settlement{
		Account: string(s.Account), Name: s.Name, IFSC: string(s.IFSC), Method: s.Method,
		Schedule: string(s.Schedule.Every), Day: s.Schedule.DayName(), Least: s.Least.Fixed(), Keep: s.Keep.Fixed(),
	}
	if s.Schedule.On() {
		v.At = s.Schedule.Clock()
	}
	return v
}

func viewMethod(m *directory.Method) Method {
	return Method{m.Type, m.Name, m.Enabled, m.Min.Fixed(), m.Max.Fixed(), !m.IgnoreReference}
}

func viewWallet(w *directory.Wallet) Wallet {
	merchants := w.Merchants
	if merchants == nil {
		merchants = []string{}
	}
	return Wallet{
		ID: w.ID, Method: w.Method, VPA: string(w.VPA), MerchantVPA: w.MerchantVPA, Name: w.Name, Currency: string(w.Currency), Merchants: merchants,
		DailyLimit: w.DailyLimit.Fixed(), PerPaymentMax: w.PerPaymentMax.Fixed(), Enabled: w.Enabled, Bank: w.Bank, Account: w.Account,
	}
}

func viewFeed(f *directory.Feed) Feed {
	v := Feed{f.ID, f.Kind, f.Wallet, f.Senders, f.Scheme, f.Domains, f.Recipients, f.Relay, nil, f.Header, f.User}
	if m := f.Mailbox; m != nil {
		v.Mailbox = &Mailbox{m.Address, m.StartTLS, m.Username, m.Name}
	}
	return v
}

func viewRule(r *directory.Rule) Rule { return Rule{r.Name, r.When, r.Then} }

func viewPayout(p *directory.PayoutDesk) Payout {
	return Payout{
		p.ID, p.Kind, p.Method, p.Wallets, p.Min.Fixed(), p.Max.Fixed(), p.MerchantDay.Fixed(), p.LabelDay.Fixed(), p.WalletDay.Fixed(), p.ApproveAbove.Fixed(),
		p.Layout, p.Codes, p.Account, p.KeyID, p.Address,
	}
}

// inForce views the objects of a kind that are not retired.
func inForce[S, T any](stored []*S, retired func(*S) bool, view func(*S) T) []T {
	out := make([]T, 0, len(stored))
	for _, o := range stored {
		if !retired(o) {
			out = append(out, view(o))
		}
	}
	return out
}

func render(c *directory.Contents) Installation {
	methods, rules := slices.Clone(c.Methods), slices.Clone(c.Rules)
	slices.SortStableFunc(methods, func(a, b *directory.Method) int { return cmp.Compare(a.Order, b.Order) })
	slices.SortStableFunc(rules, func(a, b *directory.Rule) int { return cmp.Compare(a.Order, b.Order) })
	return Installation{
		Merchants: inForce(c.Merchants, func(m *directory.Merchant) bool { return m.Retired }, merchantView(c.Webhooks)),
		Methods:   inForce(methods, func(m *directory.Method) bool { return m.Retired }, viewMethod),
		Wallets:   inForce(c.Wallets, func(w *directory.Wallet) bool { return w.Retired }, viewWallet),
		Feeds:     inForce(c.Feeds, func(f *directory.Feed) bool { return f.Retired }, viewFeed),
		Rules:     inForce(rules, func(r *directory.Rule) bool { return r.Retired }, viewRule),
		Payouts:   inForce(c.Payouts, func(p *directory.PayoutDesk) bool { return p.Retired }, viewPayout),
		Webhooks:  webhooksOf(c.Webhooks, ""),
	}
}

// Plan is what an installation's change does, or would do.
type Plan struct {
	Saved     bool        `json:"saved" doc:"Whether it was done."`
	Changes   []Change    `json:"changes" nullable:"false" doc:"Empty where everything is so already."`
	Generated []Generated `json:"generated" nullable:"false" doc:"Secrets that the document left open."`
}

// Change is what happens to one object.
type Change struct {
	Action string        `json:"action" enum:"create,change,retire,restore"`
	Kind   string        `json:"kind"`
	ID     string        `json:"id"`
	Fields []FieldChange `json:"fields" nullable:"false"`
}

// FieldChange is what happens to one field.
type FieldChange struct {
	Name   string `json:"name"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Secret bool   `json:"secret,omitempty" doc:"Whether it is one whose texts are not shown."`
}

// Generated is a secret that was made.
type Generated struct {
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Value string `json:"value,omitempty" doc:"Shown this once and never again; absent in a dry run."`
}

func viewPlan(p *apply.Plan) Plan {
	v := Plan{Saved: p.Saved, Changes: make([]Change, len(p.Lines)), Generated: make([]Generated, len(p.Generated))}
	for i, line := range p.Lines {
		v.Changes[i] = Change{Action: string(line.Action), Kind: line.Kind, ID: line.ID, Fields: make([]FieldChange, len(line.Fields))}
		for j, f := range line.Fields {
			v.Changes[i].Fields[j] = FieldChange{f.Name, f.From, f.To, f.Secret}
		}
	}
	for i, g := range p.Generated {
		v.Generated[i] = Generated{Kind: g.Kind, ID: g.ID, Name: g.Name}
		if p.Saved {
			v.Generated[i].Value = g.Value.Reveal()
		}
	}
	return v
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

type versioned[T any] struct {
	ETag string `header:"ETag" doc:"The installation's version."`
	Body T
}

// pinned is the directory's store at one version: a change that was made on
// another is not planned.
type pinned struct {
	directory.Store
	version string // an ETag; empty for any
	actor   string
}

// LoadDirectory fails with [directory.ErrMoved] on another version.
func (p pinned) LoadDirectory(ctx context.Context) (directory.Contents, error) {
	c, err := p.Store.LoadDirectory(ctx)
	if err == nil && p.version != "" && p.version != etag(c.Version) {
		err = directory.ErrMoved
	}
	return c, err
}

// SaveDirectory says in the audit log who did it.
func (p pinned) SaveDirectory(ctx context.Context, change directory.Change) error {
	for i := range change.Audit {
		change.Audit[i].Actor = p.actor
	}
	return p.Store.SaveDirectory(ctx, change)
}

type installationInput struct {
	DryRun  bool   `query:"dry_run" doc:"Plan only: change nothing."`
	IfMatch string `header:"If-Match" maxLength:"32" doc:"The ETag of the version that the change was made on. Needed but for a dry run." example:"\"7\""`
}

func (d *Door) ofInstallation(api huma.API) {
	tags := []string{"Installation"}
	register(d, api, access.DirectoryRead, huma.Operation{
		OperationID: "get-installation", Method: http.MethodGet, Path: "/v3/installation", Tags: tags,
		Summary: "Get the installation", Description: "As the apply file, without secrets and without what is retired.",
	}, func(ctx context.Context, _ *struct{}) (*versioned[Installation], error) {
		contents, err := d.Store.LoadDirectory(ctx)
		return &versioned[Installation]{etag(contents.Version), render(&contents)}, err
	})
	register(d, api, access.DirectoryWrite, huma.Operation{
		OperationID: "put-installation", Method: http.MethodPut, Path: "/v3/installation", Tags: tags,
		Summary: "Make the installation match a document",
		Description: "The apply file, as JSON or as YAML; docs/apply.md explains it. Secrets that it leaves out stay as they are. " +
			"What it leaves out of a section that it has is retired.",
		Errors: []int{http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, d.putInstallation)
	// Described only now: the library would read the body itself.
	api.OpenAPI().Paths["/v3/installation"].Put.RequestBody = installationBody()
	object(d, api, "merchants", func(c *directory.Snapshot, id string) (Merchant, bool) {
		m := c.Merchant(id)
		return seen(m, m != nil && !m.Retired, merchantView(c.Webhooks))
	})
	object(d, api, "methods", func(c *directory.Snapshot, id string) (Method, bool) {
		m := c.Method(id)
		return seen(m, m != nil && !m.Retired, viewMethod)
	})
	object(d, api, "wallets", func(c *directory.Snapshot, id string) (Wallet, bool) {
		w := c.Wallet(id)
		return seen(w, w != nil && !w.Retired, viewWallet)
	})
	object(d, api, "feeds", func(c *directory.Snapshot, id string) (Feed, bool) {
		f := c.Feed(id)
		return seen(f, f != nil && !f.Retired, viewFeed)
	})
	object(d, api, "rules", func(c *directory.Snapshot, id string) (Rule, bool) {
		i := slices.IndexFunc(c.Rules, func(r *directory.Rule) bool { return r.Name == id && !r.Retired })
		if i < 0 {
			return Rule{}, false
		}
		return viewRule(c.Rules[i]), true
	})
	object(d, api, "payouts", func(c *directory.Snapshot, id string) (Payout, bool) {
		i := slices.IndexFunc(c.Payouts, func(p *directory.PayoutDesk) bool { return p.ID == id && !p.Retired })
		if i < 0 {
			return Payout{}, false
		}
		return viewPayout(c.Payouts[i]), true
	})
	object(d, api, "webhooks", func(c *directory.Snapshot, id string) (Webhook, bool) {
		w := c.Webhook("/" + id)
		return seen(w, w != nil && !w.Retired, viewWebhook)
	})
}

func seen[S, T any](o *S, is bool, view func(*S) T) (v T, ok bool) {
	if is {
		v = view(o)
	}
	return v, is
}

// object registers the GET of one object of a kind.
func object[T any](d *Door, api huma.API, plural string, find func(*directory.Snapshot, string) (T, bool)) {
	singular := strings.TrimSuffix(plural, "s")
	register(d, api, access.DirectoryRead, huma.Operation{
		OperationID: "get-" + singular, Method: http.MethodGet, Path: "/v3/" + plural + "/{id}", Tags: []string{"Installation"},
		Summary: "Get a " + singular, Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64"`
	}) (*output[T], error) {
		// What was applied a moment ago is seen, as in the whole installation.
		v, ok := find(d.Directory.Look(ctx), in.ID)
		if !ok {
			return nil, notHere()
		}
		return &output[T]{v}, nil
	})
}

// installationBody describes what package apply reads by itself.
func installationBody() *huma.RequestBody {
	installation := &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeObject, Description: "The apply file: merchants, methods, wallets, feeds, rules, payouts, webhooks.",
	}}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": installation, "application/yaml": installation}}
}

func (d *Door) putInstallation(ctx context.Context, in *installationInput) (*versioned[Plan], error) {
	if in.IfMatch == "" && !in.DryRun {
		return nil, versionMissing.problem("Send the ETag of the installation that the change was made on as If-Match")
	}
	file, err := apply.Parse("installation", callOf(ctx).body)
	if err != nil {
		return nil, err
	}
	store := pinned{d.Store, in.IfMatch, callOf(ctx).key.Actor()}
	plan, err := apply.Run(ctx, store, file, apply.Options{DryRun: in.DryRun, Now: d.Now})
	if err != nil {
		return nil, err
	}
	version, err := d.Store.DirectoryVersion(ctx)
	if err != nil {
		return nil, err
	}
	if plan.Saved {
		version = plan.Change.From + 1
		if err := d.Directory.Refresh(ctx); err != nil { // the gateway follows by itself
			d.Log.WarnContext(ctx, "directory not refreshed after a change", "error", err)
		}
	}
	return &versioned[Plan]{etag(version), viewPlan(plan)}, nil
}
