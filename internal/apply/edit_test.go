package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

// mustEdit changes single objects, as asha.
func (m *memory) mustEdit(t *testing.T, write func(*directory.Contents) any) *apply.Plan {
	t.Helper()
	o := options()
	o.Actor = "user:asha"
	plan, err := apply.Edit(t.Context(), m, o, func(c *directory.Contents) (any, error) { return write(c), nil })
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestEditOfOne: what an edit does not name stays as it is, in its place and with
// its secrets.
func TestEditOfOne(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, sample(t))
	m.mustApply(t, "webhooks:\n- {id: mine, url: 'https://ops.example/', events: ['*']}\n")
	before, err := m.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := m.mustEdit(t, func(c *directory.Contents) any {
		wanted := apply.MethodOf(c.Methods[0])
		wanted.Enabled = !wanted.Enabled
		return map[string]any{"methods": []apply.Method{wanted}}
	})
	if got := printed(t, plan); !strings.Contains(got, "method "+before.Methods[0].Type) || !strings.Contains(got, "enabled") || strings.Count(got, "\n") > 2 {
		t.Errorf("it printed\n%s", got)
	}
	after, err := m.LoadDirectory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Methods[0].Enabled == before.Methods[0].Enabled || after.Methods[0].Order != before.Methods[0].Order {
		t.Errorf("the method became %+v", after.Methods[0])
	}
	after.Methods[0].Enabled = before.Methods[0].Enabled
	if a, b := apply.InstallationOf(&before), apply.InstallationOf(&after); len(a.Webhooks) != 1 || !slices.EqualFunc(a.Wallets, b.Wallets, func(x, y apply.Wallet) bool { return x.ID == y.ID && x.Enabled == y.Enabled }) ||
		len(a.Merchants) != len(b.Merchants) || len(a.Feeds) != len(b.Feeds) || len(a.Rules) != len(b.Rules) || len(a.Webhooks) != len(b.Webhooks) {
		t.Errorf("the installation became\n%+v, from\n%+v", b, a)
	}
	if after.Merchants[0].Secrets.PluginAPI[0] != before.Merchants[0].Secrets.PluginAPI[0] || after.Feeds[0].Token != before.Feeds[0].Token {
		t.Error("secrets changed")
	}
	if last := m.audit[len(m.audit)-1]; last.Actor != "user:asha" || last.Action != "directory.changed" || !last.At.Equal(noon) {
		t.Errorf("the audit log has %+v", last)
	}
	// A new one goes behind the others; the same again is no change.
	add := func(*directory.Contents) any {
		return map[string]any{"rules": []apply.Rule{{Name: "late", When: "amount > 5", Then: "review"}}}
	}
	m.mustEdit(t, add)
	if rules, _ := m.LoadDirectory(t.Context()); rules.Rules[len(rules.Rules)-1].Name != "late" || rules.Rules[len(rules.Rules)-1].Order <= before.Rules[len(before.Rules)-1].Order {
		t.Errorf("the rules are %+v", rules.Rules)
	}
	if plan := m.mustEdit(t, add); !plan.Empty() || plan.Saved {
		t.Error("the same again is a change")
	}
}

// TestEditBesideOthers: an edit is made anew of what somebody else stored
// meanwhile, and refused where it was made for one version alone.
func TestEditBesideOthers(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.mustApply(t, sample(t))
	m.moved = 2
	tries := 0
	m.mustEdit(t, func(c *directory.Contents) any {
		tries++
		wanted := apply.WalletOf(c.Wallets[0])
		wanted.Enabled = false
		return map[string]any{"wallets": []apply.Wallet{wanted}}
	})
	if tries != 3 || m.contents.Wallets[0].Enabled {
		t.Errorf("after %d tries the wallet is %+v", tries, m.contents.Wallets[0])
	}
	on := func(c *directory.Contents) (any, error) {
		wanted := apply.WalletOf(c.Wallets[0])
		wanted.Enabled = true
		return map[string]any{"wallets": []apply.Wallet{wanted}}, nil
	}
	pinned := options()
	pinned.From = m.contents.Version - 1
	if _, err := apply.Edit(t.Context(), m, pinned, on); !errors.Is(err, directory.ErrMoved) {
		t.Errorf("an edit of an old version gives %v", err)
	}
	pinned.From = m.contents.Version
	m.moved = 1
	if _, err := apply.Edit(t.Context(), m, pinned, on); !errors.Is(err, directory.ErrMoved) || m.contents.Wallets[0].Enabled {
		t.Errorf("an edit that somebody came before gives %v", err)
	}
	m.moved = 100
	if _, err := apply.Edit(t.Context(), m, options(), on); !errors.Is(err, directory.ErrMoved) {
		t.Errorf("an edit that never comes through gives %v", err)
	}
	failed := errors.New("no")
	if _, err := apply.Edit(context.WithoutCancel(t.Context()), m, options(), func(*directory.Contents) (any, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("one that can't be written gives %v", err)
	}
	var wrong apply.Errors
	if _, err := apply.Edit(t.Context(), m, options(), func(c *directory.Contents) (any, error) {
		wanted := apply.WalletOf(c.Wallets[0])
		wanted.VPA = "other@upi"
		return map[string]any{"wallets": []apply.Wallet{wanted}}, nil
	}); !errors.As(err, &wrong) {
		t.Errorf("another VPA gives %v", err)
	}
}
