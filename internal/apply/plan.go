package apply

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
)

// actor is who the audit log names for what a file changed.
const actor = "apply"

// Action is what happens to an object.
type Action string

// Actions.
const (
	Create  Action = "create"
	Alter   Action = "change"
	Retire  Action = "retire"
	Restore Action = "restore"
)

// past gives the audit log's word for each action.
var past = map[Action]string{
	Create: "directory.created", Alter: "directory.changed", Retire: "directory.retired", Restore: "directory.restored",
}

// Line is what happens to one object.
type Line struct {
	Action Action
	Kind   string // "merchant", "method", "wallet", "feed", "rule", "payout", "webhook"
	ID     string
	Fields []Field // those that differ, where the object was stored before
}

// Field is a difference. A secret's is without its texts.
type Field struct {
	Name     string // as in the file
	From, To string // "" where there was or will be none
	Secret   bool
}

// GeneratedSecret is a secret that the file left open and that was made for it.
// It is stored sealed: this is the only time that it can be shown.
type GeneratedSecret struct {
	Kind  string // "merchant", "feed" or "webhook"
	ID    string
	Name  string // the field: "plugin_api_secret", "postback.access_key", "token", …
	Value directory.Secret
}

// Plan is what it takes to make a directory match a file.
type Plan struct {
	// Change is what to store. Its audit entries, and accounts that it registers
	// for settlement, have no time yet.
	Change    directory.Change
	Lines     []Line
	Generated []GeneratedSecret
	// Saved is set by [Run] once the change is stored.
	Saved bool
}

// Empty reports whether the directory matches the file already.
func (p *Plan) Empty() bool { return len(p.Lines) == 0 }

// NewPlan compares a stored directory with a file. Section by section, what the
// file declares is created, changed or restored, and what it leaves out of a
// section that it has is retired; a section that it does not have is left
// alone. Planning the same file on the result gives an empty plan.
//
// Secrets that the file omits stay as they are stored, and are generated where
// none is. Neither the directory nor the file is changed. The error is [Errors]
// where the file refers to what is not there or would turn a wallet into
// another one.
func NewPlan(current directory.Contents, file *File, generate func() (directory.Secret, error)) (*Plan, error) {
	p := &planner{
		Plan: &Plan{Change: directory.Change{From: current.Version}},
		file: file, current: current, generate: generate,
	}
	merchants, err := p.merchants()
	if err != nil {
		return nil, err
	}
	feeds, err := p.feeds()
	if err != nil {
		return nil, err
	}
	webhooks, err := p.webhooks()
	if err != nil {
		return nil, err
	}
	p.checkMerchantSecrets(merchants)
	wallets := wanted(file.wallets, func(w *wallet) directory.Wallet { return w.want })
	p.checkWallets()
	methods := p.methods()
	p.checkReferences()
	p.checkSettlements()
	if err := p.errs.orNil(); err != nil {
		return nil, err
	}

	c := &p.Change
	c.Merchants = reconcile(p, merchantClass, current.Merchants, merchants, file.merchants.declared)
	c.Methods = reconcile(p, methodClass, current.Methods, methods, file.methods.declared)
	c.Wallets = reconcile(p, walletClass, current.Wallets, wallets, file.wallets.declared)
	c.Feeds = reconcile(p, feedClass, current.Feeds, feeds, file.feeds.declared)
	rules := wanted(file.rules, func(r *rule) directory.Rule { return r.want })
	if !file.rules.declared {
		keepOrder(rules, current.Rules, ruleClass, func(r *directory.Rule) *int { return &r.Order })
	}
	c.Rules = reconcile(p, ruleClass, current.Rules, rules, file.rules.declared)
	payouts := p.payouts()
	c.Payouts = reconcile(p, payoutClass, current.Payouts, payouts, file.payouts.declared)
	c.Webhooks = p.reconcileWebhooks(webhooks)
	if !p.Empty() {
		c.Accounts = missingAccounts(after(current, *c))
	}
	return p.Plan, nil
}

type planner struct {
	*Plan
	file     *File
	current  directory.Contents
	generate func() (directory.Secret, error)
	errs     Errors
}

func (p *planner) wrong(at value, format string, args ...any) {
	p.errs = append(p.errs, at.problem(format, args...))
}

// wanted gives fresh objects, so that no store can change the file's.
func wanted[S, T any](s section[S], want func(*S) T) []*T {
	out := make([]*T, len(s.items))
	for i := range s.items {
		object := want(&s.items[i])
		out[i] = &object
	}
	return out
}

// reconcile works out one kind: the objects to write, in the file's order.
func reconcile[T any](p *planner, c class[T], stored, want []*T, retireRest bool) []*T {
	have := make(map[string]*T, len(stored))
	for _, s := range stored {
		have[c.id(s)] = s
	}
	var changed []*T
	named := make(map[string]bool, len(want))
	for _, w := range want {
		id := c.id(w)
		named[id] = true
		old := have[id]
		if old == nil {
			changed = append(changed, w)
			p.record(Line{Action: Create, Kind: c.kind, ID: id})
			continue
		}
		fields := differences(c.attributes(old), c.attributes(w))
		switch {
		case *c.retired(old):
			p.record(Line{Action: Restore, Kind: c.kind, ID: id, Fields: fields})
		case len(fields) > 0:
			p.record(Line{Action: Alter, Kind: c.kind, ID: id, Fields: fields})
		default:
			continue
		}
		changed = append(changed, w)
	}
	if !retireRest {
		return changed
	}
	for _, s := range stored {
		if named[c.id(s)] || *c.retired(s) {
			continue
		}
		gone := *s
		*c.retired(&gone) = true
		changed = append(changed, &gone)
		p.record(Line{Action: Retire, Kind: c.kind, ID: c.id(s)})
	}
	return changed
}

// record notes an action for the terminal and for the audit log, which gets
// names of fields and none of their values.
func (p *planner) record(l Line) {
	p.Lines = append(p.Lines, l)
	why := l.Kind + " " + l.ID
	if len(l.Fields) > 0 {
		changed := make([]string, len(l.Fields))
		for i, f := range l.Fields {
			changed[i] = f.Name
		}
		why += ": " + strings.Join(changed, ", ")
	}
	p.Change.Audit = append(p.Change.Audit, audit.Entry{Actor: actor, Action: past[l.Action], Why: why})
}

// secret gives what the file says, else what is stored, else a new one.
func (p *planner) secret(kind, id, name string, want, have directory.Secret) (directory.Secret, error) {
	switch {
	case want != "":
		return want, nil
	case have != "":
		return have, nil
	}
	return p.make(kind, id, name, func(text directory.Secret) directory.Secret { return text })
}

// make generates a secret, in a form.
func (p *planner) make(kind, id, name string, form func(directory.Secret) directory.Secret) (directory.Secret, error) {
	made, err := p.generate()
	if err != nil {
		return "", fmt.Errorf("generate %s of %s %s: %w", name, kind, id, err)
	}
	made = form(made)
	p.Generated = append(p.Generated, GeneratedSecret{Kind: kind, ID: id, Name: name, Value: made})
	return made, nil
}

// merchants are those the file wants, with all their secrets.
func (p *planner) merchants() ([]*directory.Merchant, error) {
	out := make([]*directory.Merchant, 0, len(p.file.merchants.items))
	stored := index(p.current.Merchants, merchantClass)
	for i := range p.file.merchants.items {
		spec := &p.file.merchants.items[i]
		m := spec.want
		var have directory.MerchantSecrets
		old := stored.find(p, spec.field("id"), m.ID)
		if old != nil {
			have = old.Secrets
		}
		m.Settlement = settlement(m.Settlement, old)
		if err := p.merchantSecrets(spec, &m, have); err != nil {
			return nil, err
		}
		out = append(out, &m)
	}
	return out, nil
}

func (p *planner) merchantSecrets(spec *merchant, m *directory.Merchant, have directory.MerchantSecrets) (err error) {
	want := m.Secrets
	s := have // what belongs to postbacks stays while there are none
	s.PluginAPI = slices.Clone(want.PluginAPI)
	if len(s.PluginAPI) == 0 {
		// Both stay: a rotation under way is not ended by a file without secrets.
		s.PluginAPI = slices.Clone(have.PluginAPI)
	}
	if len(s.PluginAPI) == 0 {
		made, err := p.secret("merchant", m.ID, "plugin_api_secret", "", "")
		if err != nil {
			return err
		}
		s.PluginAPI = []directory.Secret{made}
	}
	if s.WithdrawalKey, err = p.secret("merchant", m.ID, "withdrawal_private_key", want.WithdrawalKey, have.WithdrawalKey); err != nil {
		return err
	}
	if spec.postback {
		if err := p.postbackSecrets(m, &s, want, have); err != nil {
			return err
		}
	}
	if spec.noWebhook {
		s.Webhook, s.WebhookPrevious = "", ""
	}
	if spec.noClientCert {
		s.ClientCert, s.ClientKey = "", ""
	}
	m.Secrets = s
	return nil
}

func (p *planner) postbackSecrets(m *directory.Merchant, s *directory.MerchantSecrets, want, have directory.MerchantSecrets) (err error) {
	if s.AccessKey, err = p.secret("merchant", m.ID, "postback.access_key", want.AccessKey, have.AccessKey); err != nil {
		return err
	}
	if s.PrivateKey, err = p.secret("merchant", m.ID, "postback.private_key", want.PrivateKey, have.PrivateKey); err != nil {
		return err
	}
	// A key ends its rotation by standing alone; one that is left out leaves a
	// rotation under way as it is.
	if want.PrivateKey != "" {
		s.PrivateKeyPrevious = want.PrivateKeyPrevious
	}
	if want.Webhook != "" {
		s.Webhook, s.WebhookPrevious = want.Webhook, want.WebhookPrevious
	}
	if want.ClientKey != "" {
		s.ClientCert, s.ClientKey = want.ClientCert, want.ClientKey
	}
	if m.PostbackEd25519 && s.Ed25519 == "" {
		// Not a secret to hand out: milaan postbacks key prints its public half.
		s.Ed25519, err = directory.NewSigningKey()
	}
	return err
}

// checkMerchantSecrets reports plugin API secrets that would name two
// merchants: one from the file, one kept from before.
func (p *planner) checkMerchantSecrets(merchants []*directory.Merchant) {
	owner := make(map[directory.Secret]string)
	for i, m := range merchants {
		if len(p.file.merchants.items[i].want.Secrets.PluginAPI) == 0 {
			for _, s := range m.Secrets.PluginAPI {
				owner[s] = m.ID
			}
		}
	}
	for i := range p.file.merchants.items {
		spec := &p.file.merchants.items[i]
		for j, s := range spec.want.Secrets.PluginAPI {
			if other, taken := owner[s]; taken {
				key := []string{"plugin_api_secret", "plugin_api_secret_previous"}[j]
				p.wrong(spec.field(key), "merchant %s has this secret already: give each its own", other)
			}
		}
	}
}

func (p *planner) feeds() ([]*directory.Feed, error) {
	out := make([]*directory.Feed, 0, len(p.file.feeds.items))
	stored := index(p.current.Feeds, feedClass)
	for i := range p.file.feeds.items {
		spec := &p.file.feeds.items[i]
		f := spec.want
		var have directory.Secret
		if old := stored.find(p, spec.field("id"), f.ID); old != nil {
			have = old.Token
			if old.Kind == f.Kind {
				f.Secrets = keepSecrets(f.Secrets, old.Secrets)
			}
			if old.Wallet != f.Wallet {
				p.wrong(spec.field("wallet"), "feed %s reports on wallet %s and can't be turned to %s: what it reported would be misread; declare a new feed under a new id", f.ID, old.Wallet, f.Wallet)
			}
		}
		if f.Scheme != "" && f.Secrets.Signing == "" {
			p.wrong(spec.field("scheme"), "needs the secret that the app signs with: add secret")
		}
		var err error
		if f.Token, err = p.secret("feed", f.ID, "token", f.Token, have); err != nil {
			return nil, err
		}
		out = append(out, &f)
	}
	return out, nil
}

// keepSecrets fills in what the file omits: it stays as it is stored.
func keepSecrets(s, have directory.FeedSecrets) directory.FeedSecrets {
	return directory.FeedSecrets{
		Signing: cmp.Or(s.Signing, have.Signing), Password: cmp.Or(s.Password, have.Password),
		PrivateKey: cmp.Or(s.PrivateKey, have.PrivateKey), BankKey: cmp.Or(s.BankKey, have.BankKey),
	}
}

// payouts are the desks that the file wants. Secrets that it omits stay as they are
// stored.
func (p *planner) payouts() []*directory.PayoutDesk {
	desks := wanted(p.file.payouts, func(d *payout) directory.PayoutDesk { return d.want })
	stored := index(p.current.Payouts, payoutClass)
	for i, d := range desks {
		if old := stored.find(p, p.file.payouts.items[i].field("id"), d.ID); old != nil && old.Kind == d.Kind {
			d.Secrets.Key = cmp.Or(d.Secrets.Key, old.Secrets.Key)
			d.Secrets.Webhook = cmp.Or(d.Secrets.Webhook, old.Secrets.Webhook)
		}
	}
	return desks
}

// checkWallets holds wallets to what they were: money stands booked on them.
func (p *planner) checkWallets() {
	stored := index(p.current.Wallets, walletClass)
	for i := range p.file.wallets.items {
		spec := &p.file.wallets.items[i]
		old := stored.find(p, spec.field("id"), spec.want.ID)
		if old == nil {
			continue
		}
		const advice = "money would be booked to the wrong account; declare a new wallet under a new id"
		if old.Method != spec.want.Method {
			p.wrong(spec.field("method"), "wallet %s is of method %s and stays so: %s", old.ID, old.Method, advice)
		}
		if !old.VPA.Equal(spec.want.VPA) {
			p.wrong(spec.field("vpa"), "wallet %s has the VPA %s and keeps it: %s", old.ID, old.VPA, advice)
		}
		if old.Currency != spec.want.Currency {
			p.wrong(spec.field("currency"), "wallet %s is in %s and stays so: %s", old.ID, old.Currency, advice)
		}
	}
}

// methods are those the file wants: declared ones, and built-in ones that
// something names.
func (p *planner) methods() []*directory.Method {
	methods := wanted(p.file.methods, func(m *method) directory.Method { return m.want })
	known := make(map[string]bool)
	last := 0
	for _, m := range methods {
		known[m.Type] = true
		last = max(last, m.Order)
	}
	if !p.file.methods.declared {
		keepOrder(methods, p.current.Methods, methodClass, func(m *directory.Method) *int { return &m.Order })
		for _, m := range p.current.Methods {
			known[m.Type] = known[m.Type] || !m.Retired
			last = max(last, m.Order)
		}
	}
	named := p.namedMethods()
	for _, walletType := range builtIn {
		if known[walletType] || !named[walletType] {
			continue
		}
		last++
		m := newMethod(walletType)
		m.Order = last
		methods = append(methods, &m)
	}
	return methods
}

// keepOrder leaves what is changed alone in its place, and puts what is new behind
// the rest.
func keepOrder[T any](want, stored []*T, c class[T], order func(*T) *int) {
	have := index(stored, c)
	last := 0
	for _, o := range stored {
		last = max(last, *order(o))
	}
	for _, o := range want {
		if old := have[c.id(o)]; old != nil {
			*order(o) = *order(old)
			continue
		}
		last++
		*order(o) = last
	}
}

// namedMethods are the types that wallets and merchants name once the file is
// applied. Those stored count where the file may not retire them with their
// section: else one file would retire what another needs, and back.
func (p *planner) namedMethods() map[string]bool {
	named := make(map[string]bool)
	for i := range p.file.wallets.items {
		named[p.file.wallets.items[i].want.Method] = true
	}
	for i := range p.file.merchants.items {
		for walletType := range p.file.merchants.items[i].want.Methods {
			named[walletType] = true
		}
	}
	if !p.file.methods.declared {
		return named
	}
	if !p.file.wallets.declared {
		for _, w := range p.current.Wallets {
			named[w.Method] = named[w.Method] || !w.Retired
		}
	}
	if !p.file.merchants.declared {
		for _, m := range p.current.Merchants {
			for walletType := range m.Methods {
				named[walletType] = named[walletType] || !m.Retired
			}
		}
	}
	return named
}

// checkReferences reports names of what will not be there.
func (p *planner) checkReferences() {
	merchants := inForce(p.file.merchants, func(m *merchant) string { return m.want.ID }, p.current.Merchants, merchantClass)
	methods := inForce(p.file.methods, func(m *method) string { return m.want.Type }, p.current.Methods, methodClass)
	wallets := inForce(p.file.wallets, func(w *wallet) string { return w.want.ID }, p.current.Wallets, walletClass)
	for _, walletType := range append([]string{payoutMethod}, builtIn...) {
		methods[walletType] = true
	}
	for i := range p.file.merchants.items {
		if switches, ok := p.file.merchants.items[i].fields["methods"]; ok {
			switches.pairs(func(walletType string, at value) { p.refer(at, "method", walletType, methods) })
		}
	}
	for i := range p.file.wallets.items {
		spec := &p.file.wallets.items[i]
		p.refer(spec.field("method"), "method", spec.want.Method, methods)
		for j, at := range spec.field("merchants").elements() {
			p.refer(at, "merchant", spec.want.Merchants[j], merchants)
		}
	}
	for i := range p.file.feeds.items {
		spec := &p.file.feeds.items[i]
		p.refer(spec.field("wallet"), "wallet", spec.want.Wallet, wallets)
	}
	for i := range p.file.payouts.items {
		spec := &p.file.payouts.items[i]
		p.refer(spec.field("method"), "method", spec.want.Method, methods)
	}
}

func (p *planner) refer(at value, kind, name string, known map[string]bool) {
	if known[name] {
		return
	}
	if near := nearest(name, slices.Sorted(maps.Keys(known))); near != "" {
		p.wrong(at, "there is no %s %s: did you mean %s?", kind, quote(name), near)
		return
	}
	p.wrong(at, "there is no %s %s: declare it under %ss, or name one that is there", kind, quote(name), kind)
}

// inForce names the objects of a kind that are there once the file is applied.
func inForce[S, T any](s section[S], id func(*S) string, stored []*T, c class[T]) map[string]bool {
	out := make(map[string]bool)
	for i := range s.items {
		out[id(&s.items[i])] = true
	}
	if !s.declared {
		for _, o := range stored {
			if !*c.retired(o) {
				out[c.id(o)] = true
			}
		}
	}
	return out
}

// byID finds stored objects.
type byID[T any] map[string]*T

func index[T any](stored []*T, c class[T]) byID[T] {
	out := make(byID[T], len(stored))
	for _, o := range stored {
		out[c.id(o)] = o
	}
	return out
}

// find is the stored object with that id, or nil. One whose id differs only in
// case is an error: it would be retired, and its money left behind.
func (b byID[T]) find(p *planner, at value, id string) *T {
	if o := b[id]; o != nil {
		return o
	}
	for have := range b {
		if strings.EqualFold(have, id) {
			p.wrong(at, "%s is stored as %s: keep its spelling", quote(id), quote(have))
		}
	}
	return nil
}

// missingAccounts are the ledger accounts that the directory needs and does not
// have.
func missingAccounts(c directory.Contents) []ledger.Account {
	var out []ledger.Account
	open := func(code string, kind ledger.AccountKind) {
		if _, have := c.Accounts[code]; !have {
			out = append(out, ledger.Account{Code: code, Kind: kind, Currency: money.INR})
		}
	}
	open(ledger.FeesCode, ledger.Revenue)
	for _, m := range c.Merchants {
		open(ledger.MerchantCode(m.ID), ledger.Liability)
		open(ledger.HoldCode(m.ID), ledger.Liability)
	}
	for _, w := range c.Wallets {
		open(ledger.WalletCode(w.ID), ledger.Asset)
		open(ledger.SuspenseCode(w.ID), ledger.Liability)
		open(ledger.OutflowCode(w.ID), ledger.Asset)
		open(ledger.IncomeCode(w.ID), ledger.Liability)
	}
	return out
}

// after is the directory once a change is stored. It shares no object that
// indexing the result would write to.
func after(current directory.Contents, change directory.Change) directory.Contents {
	return directory.Contents{
		Version:   current.Version,
		Merchants: overlay(current.Merchants, change.Merchants, merchantClass),
		Methods:   overlay(current.Methods, change.Methods, methodClass),
		Wallets:   overlay(current.Wallets, change.Wallets, walletClass),
		Feeds:     overlay(current.Feeds, change.Feeds, feedClass),
		Rules:     overlay(current.Rules, change.Rules, ruleClass),
		Payouts:   overlay(current.Payouts, change.Payouts, payoutClass),
		Webhooks:  overlay(current.Webhooks, change.Webhooks, webhookClass),
		Accounts:  current.Accounts,
	}
}

func overlay[T any](stored, changed []*T, c class[T]) []*T {
	replaced := index(changed, c)
	out := make([]*T, 0, len(stored)+len(changed))
	add := func(o T) { out = append(out, &o) }
	for _, o := range stored {
		if replaced[c.id(o)] == nil {
			add(*o)
		}
	}
	for _, o := range changed {
		add(*o)
	}
	return out
}
