package apply_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
)

// memory is a directory store that keeps everything in memory.
type memory struct {
	mu       sync.Mutex
	contents directory.Contents
	audit    []audit.Entry
	saves    int
	moved    int   // how many saves somebody else comes before
	broken   error // what saving answers
}

func newMemory() *memory {
	return &memory{contents: directory.Contents{Version: 1, Accounts: map[string]int64{}}}
}

func (m *memory) LoadDirectory(context.Context) (directory.Contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.contents
	c.Merchants = clones(c.Merchants)
	c.Methods = clones(c.Methods)
	c.Wallets = clones(c.Wallets)
	c.Feeds = clones(c.Feeds)
	c.Rules = clones(c.Rules)
	c.Payouts = clones(c.Payouts)
	c.Webhooks = clones(c.Webhooks)
	return c, nil
}

func (m *memory) DirectoryVersion(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.contents.Version, nil
}

func (m *memory) SaveDirectory(_ context.Context, change directory.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.broken != nil {
		return m.broken
	}
	if m.moved > 0 {
		m.moved--
		m.contents.Version++
	}
	if change.From != m.contents.Version {
		return directory.ErrMoved
	}
	c := &m.contents
	c.Version++
	c.Merchants = put(c.Merchants, change.Merchants, func(o *directory.Merchant) string { return o.ID })
	c.Methods = put(c.Methods, change.Methods, func(o *directory.Method) string { return o.Type })
	c.Wallets = put(c.Wallets, change.Wallets, func(o *directory.Wallet) string { return o.ID })
	c.Feeds = put(c.Feeds, change.Feeds, func(o *directory.Feed) string { return o.ID })
	c.Rules = put(c.Rules, change.Rules, func(o *directory.Rule) string { return o.Name })
	c.Payouts = put(c.Payouts, change.Payouts, func(o *directory.PayoutDesk) string { return o.ID })
	c.Webhooks = put(c.Webhooks, change.Webhooks, (*directory.Webhook).Key)
	for _, a := range change.Accounts {
		if _, have := c.Accounts[a.Code]; !have {
			c.Accounts[a.Code] = int64(len(c.Accounts) + 1)
		}
	}
	m.audit = append(m.audit, change.Audit...)
	return nil
}

func clones[T any](list []*T) []*T {
	out := make([]*T, len(list))
	for i, o := range list {
		c := *o
		out[i] = &c
	}
	return out
}

func put[T any](stored, changed []*T, id func(*T) string) []*T {
	for _, c := range clones(changed) {
		found := false
		for i, s := range stored {
			if id(s) == id(c) {
				stored[i], found = c, true
			}
		}
		if !found {
			stored = append(stored, c)
		}
	}
	return stored
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func options() apply.Options {
	return apply.Options{Now: func() time.Time { return noon }}
}

// fataler is a test, a fuzz run or a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func mustParse(t fataler, text string) *apply.File {
	t.Helper()
	f, err := apply.Parse("shop.yaml", []byte(text))
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, text)
	}
	return f
}

func (m *memory) mustApply(t fataler, text string) *apply.Plan {
	t.Helper()
	plan, err := apply.Run(context.Background(), m, mustParse(t, text), options())
	if err != nil {
		t.Fatalf("apply: %v\n%s", err, text)
	}
	return plan
}

// snapshot is what a gateway would run on.
func (m *memory) snapshot(tb testing.TB) *directory.Snapshot {
	tb.Helper()
	c, err := m.LoadDirectory(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	s, err := directory.NewSnapshot(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
