// Package apply reads the file in which an operator declares an installation
// (contract, "apply file"), works out what differs from what is stored, and
// stores the difference.
//
// It works in three steps that know little of each other. [Parse] reads the
// text and reports everything that is wrong with it by itself, line by line.
// [NewPlan] holds the file against a stored directory, resolves the references
// between the two, and yields the change. [Run] does it against a store.
package apply

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/directory"
)

// MaxSize is the most bytes a file may have. A thousand merchants need about a
// quarter of it.
const MaxSize = 1 << 20

// File is a parsed apply file. It is well formed in itself; whether what it
// refers to exists is known only beside a stored directory, see [NewPlan].
// It is immutable and may be planned any number of times.
type File struct {
	Name string // as given to Parse, for messages

	merchants section[merchant]
	methods   section[method]
	wallets   section[wallet]
	feeds     section[feed]
	rules     section[rule]
	payouts   section[payout]
	webhooks  section[webhook] // the owner's
}

// alone is the file as one that names only what it changes: it retires nothing.
func (f *File) alone() *File {
	g := *f
	g.merchants.declared, g.methods.declared, g.wallets.declared = false, false, false
	g.feeds.declared, g.rules.declared, g.payouts.declared, g.webhooks.declared = false, false, false, false
	return &g
}

// section is a list of declarations. One that the file does not have says
// nothing about the objects of its kind; an empty one says there are none.
type section[T any] struct {
	declared bool
	items    []T
}

// Each declaration is the object it asks for, and where the file says so.
type (
	merchant struct {
		object
		want directory.Merchant // its empty secrets are those the file omits
		// postback: there is a postback, so keys for it are needed.
		postback bool
		// noWebhook: the file takes the webhook secret back.
		noWebhook bool
		// noClientCert: the file takes the client certificate back.
		noClientCert bool
		webhooks     []webhook
	}
	method struct {
		object
		want directory.Method
	}
	wallet struct {
		object
		want directory.Wallet
	}
	feed struct {
		object
		want directory.Feed // an empty token is one the file omits
	}
	rule struct {
		object
		want directory.Rule
	}
	payout struct {
		object
		want directory.PayoutDesk
	}
	webhook struct {
		object
		want directory.Webhook // its empty secrets are those the file omits
	}
)

// Error is one thing wrong with a file.
type Error struct {
	File    string
	Line    int    // from 1
	Path    string // "wallets[0].vpa"; empty where the whole file is meant
	Message string // what is wrong and what to do; never a secret
}

func (e Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Path, e.Message)
}

// Errors is everything wrong with a file, in the order of its lines.
type Errors []Error

// Error gives one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// orNil sorts the errors by line, and is nil where there are none.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
	return e
}

// Parse reads an apply file. The name is what messages call it. On a file that
// is not in order it returns [Errors] that name everything wrong with it; only
// text that is no YAML at all ends at its first fault.
func Parse(name string, data []byte) (*File, error) {
	d := &document{file: name}
	root := d.read(data)
	if len(d.errs) > 0 {
		return nil, d.errs.orNil()
	}
	top := root.object("merchants", "methods", "wallets", "feeds", "rules", "payouts", "webhooks")
	f := &File{
		Name:      name,
		merchants: list(top, "merchants", readMerchant),
		methods:   list(top, "methods", readMethod),
		wallets:   list(top, "wallets", readWallet),
		feeds:     list(top, "feeds", readFeed),
		rules:     list(top, "rules", readRule),
		payouts:   list(top, "payouts", readPayout),
		webhooks:  list(top, "webhooks", func(v value, _ int) webhook { return readWebhook(v, "") }),
	}
	f.checkUnique()
	if err := d.errs.orNil(); err != nil {
		return nil, err
	}
	return f, nil
}

// list reads a section.
func list[T any](top object, key string, read func(value, int) T) section[T] {
	v, ok := top.fields[key]
	if !ok {
		return section[T]{}
	}
	s := section[T]{declared: true}
	for i, item := range v.elements() {
		s.items = append(s.items, read(item, i))
	}
	return s
}

// checkUnique reports what two declarations must not share.
func (f *File) checkUnique() {
	ids := make(names)
	domains, secrets := make(names), make(names)
	for _, m := range f.merchants.items {
		ids.claim(m.field("id"), strings.ToLower(m.want.ID), quote(m.want.ID))
		domains.claim(m.field("domain"), m.want.Domain, quote(m.want.Domain))
		mine := make(names)
		for i, key := range []string{"plugin_api_secret", "plugin_api_secret_previous"} {
			if i < len(m.want.Secrets.PluginAPI) {
				secret := m.want.Secrets.PluginAPI[i].Reveal()
				if mine.claim(m.field(key), secret, "this secret") {
					secrets.claim(m.field(key), secret, "this secret")
				}
			}
		}
	}
	ids = make(names)
	for _, m := range f.methods.items {
		ids.claim(m.field("type"), m.want.Type, quote(m.want.Type))
	}
	ids = make(names)
	for _, w := range f.wallets.items {
		ids.claim(w.field("id"), strings.ToLower(w.want.ID), quote(w.want.ID))
	}
	ids = make(names)
	for _, d := range f.feeds.items {
		ids.claim(d.field("id"), strings.ToLower(d.want.ID), quote(d.want.ID))
	}
	ids = make(names)
	for _, r := range f.rules.items {
		ids.claim(r.field("name"), strings.ToLower(r.want.Name), quote(r.want.Name))
	}
	ids = make(names)
	for _, p := range f.payouts.items {
		ids.claim(p.field("id"), strings.ToLower(p.want.ID), quote(p.want.ID))
	}
	f.checkWebhooks()
}

// names remembers where a name was first used.
type names map[string]value

// claim takes a name, or reports that it is taken. Names that are empty were
// left out or reported before.
func (n names) claim(at value, name, shown string) bool {
	if name == "" {
		return true
	}
	if first, taken := n[name]; taken {
		at.wrong("%s is used at line %d already, for %s: give each its own", shown, first.line, first.path)
		return false
	}
	n[name] = at
	return true
}
