package management

import (
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
	}, func(ctx context.Context, _ *struct{}) (*versioned[apply.Installation], error) {
		contents, err := d.Store.LoadDirectory(ctx)
		return &versioned[apply.Installation]{etag(contents.Version), apply.InstallationOf(&contents)}, err
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
	object(d, api, "merchants", func(c *directory.Snapshot, id string) (apply.Merchant, bool) {
		m := c.Merchant(id)
		return seen(m, m != nil && !m.Retired, apply.MerchantsWith(c.Webhooks))
	})
	object(d, api, "methods", func(c *directory.Snapshot, id string) (apply.Method, bool) {
		m := c.Method(id)
		return seen(m, m != nil && !m.Retired, apply.MethodOf)
	})
	object(d, api, "wallets", func(c *directory.Snapshot, id string) (apply.Wallet, bool) {
		w := c.Wallet(id)
		return seen(w, w != nil && !w.Retired, apply.WalletOf)
	})
	object(d, api, "feeds", func(c *directory.Snapshot, id string) (apply.Feed, bool) {
		f := c.Feed(id)
		return seen(f, f != nil && !f.Retired, apply.FeedOf)
	})
	object(d, api, "rules", func(c *directory.Snapshot, id string) (apply.Rule, bool) {
		i := slices.IndexFunc(c.Rules, func(r *directory.Rule) bool { return r.Name == id && !r.Retired })
		if i < 0 {
			return apply.Rule{}, false
		}
		return apply.RuleOf(c.Rules[i]), true
	})
	object(d, api, "payouts", func(c *directory.Snapshot, id string) (apply.Payout, bool) {
		i := slices.IndexFunc(c.Payouts, func(p *directory.PayoutDesk) bool { return p.ID == id && !p.Retired })
		if i < 0 {
			return apply.Payout{}, false
		}
		return apply.PayoutOf(c.Payouts[i]), true
	})
	object(d, api, "webhooks", func(c *directory.Snapshot, id string) (apply.Webhook, bool) {
		w := c.Webhook("/" + id)
		return seen(w, w != nil && !w.Retired, apply.WebhookOf)
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
