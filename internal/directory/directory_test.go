package directory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

func merchant(id, domain string, secrets ...directory.Secret) *directory.Merchant {
	return &directory.Merchant{ID: id, Domain: domain, Timezone: "Asia/Kolkata", Secrets: directory.MerchantSecrets{PluginAPI: secrets}}
}

func TestSecretStaysHidden(t *testing.T) {
	t.Parallel()
	m := merchant("shop", "", "s3cret")
	m.Secrets.PrivateKey = "s3cret"
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", m.Secrets.PrivateKey, "all", m.Secrets, "merchant", m)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", m.Secrets.PrivateKey, "all", m.Secrets, "merchant", *m)
	encoded, err := json.Marshal(map[string]any{"a": m.Secrets, "b": m, "c": m.Secrets.PluginAPI})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		log.String(), string(encoded), fmt.Sprint(m.Secrets), fmt.Sprintf("%v %+v %#v %s %q", m.Secrets, *m, m.Secrets, m.Secrets.PrivateKey, m.Secrets.PluginAPI),
	} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("the secret shows in %s", text)
		}
	}
	if m.Secrets.PrivateKey.Reveal() != "s3cret" || directory.Secret("").String() != "" {
		t.Error("a secret is not what it was made of")
	}
}

func TestSnapshotRefuses(t *testing.T) {
	t.Parallel()
	retired := merchant("old", "shop.example", "one")
	retired.Retired = true
	for _, tt := range []struct {
		name      string
		merchants []*directory.Merchant
		want      string // "" for none
	}{
		{"two that differ", []*directory.Merchant{merchant("a", "a.example", "one"), merchant("b", "b.example", "two")}, ""},
		{"no domains", []*directory.Merchant{merchant("a", "", "one"), merchant("b", "", "two")}, ""},
		{"one domain", []*directory.Merchant{merchant("a", "shop.example", "one"), merchant("b", "SHOP.example", "two")}, "a and b have the same domain"},
		{"one secret", []*directory.Merchant{merchant("a", "", "one"), merchant("b", "", "two", "one")}, "a and b have the same plugin API secret"},
		{"one secret twice of one", []*directory.Merchant{merchant("a", "", "one", "one")}, ""},
		{"what a retired one had", []*directory.Merchant{retired, merchant("b", "shop.example", "one")}, ""},
		{"no such zone", []*directory.Merchant{{ID: "a", Timezone: "Asia/Nowhere"}}, "Asia/Nowhere"},
	} {
		_, err := directory.NewSnapshot(directory.Contents{Merchants: tt.merchants})
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "one\"")) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	retired := merchant("old", "old.example", "gone")
	retired.Retired = true
	s, err := directory.NewSnapshot(directory.Contents{
		Merchants: []*directory.Merchant{merchant("a", "Shop.Example", "new", "rotated"), merchant("b", "", "two"), retired},
		Methods:   []*directory.Method{{Type: "y", Order: 2}, {Type: "x", Order: 1}},
		Wallets: []*directory.Wallet{
			{ID: "w1", Method: "x", VPA: "one@upi", Merchants: []string{"a"}, Enabled: true},
			{ID: "w2", Method: "x", VPA: "two@upi", Merchants: []string{"a", "b"}, Retired: true},
			{ID: "w3", Method: "y", VPA: "ONE@upi", Merchants: []string{"b"}},
		},
		Feeds:    []*directory.Feed{{ID: "f", Wallet: "w1"}},
		Rules:    []*directory.Rule{{Name: "second", Order: 2}, {Name: "never", Retired: true}, {Name: "first", Order: 1}},
		Accounts: map[string]int64{"fees": 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := func(wallets []*directory.Wallet) (list []string) {
		for _, w := range wallets {
			list = append(list, w.ID)
		}
		return list
	}
	id := func(m *directory.Merchant) string {
		if m == nil {
			return ""
		}
		return m.ID
	}
	var rules []string
	for _, r := range s.ActiveRules() {
		rules = append(rules, r.Name)
	}
	for _, tt := range []struct {
		what      string
		got, want any
	}{
		{"by domain", id(s.MerchantByDomain("shop.EXAMPLE")), "a"},
		{"by a retired one's domain", id(s.MerchantByDomain("old.example")), ""},
		{"by no domain", id(s.MerchantByDomain("")), ""},
		{"by secret", id(s.MerchantBySecret("new")), "a"},
		{"by the secret before", id(s.MerchantBySecret("rotated")), "a"},
		{"by a retired one's secret", id(s.MerchantBySecret("gone")), ""},
		{"by no secret", id(s.MerchantBySecret("")), ""},
		{"by another's", id(s.MerchantBySecret("NEW")), ""},
		{"retired", id(s.Merchant("old")), "old"},
		{"unknown", id(s.Merchant("x")), ""},
		{"methods", s.Methods[0].Type + s.Methods[1].Type, "xy"},
		{"wallets of a", fmt.Sprint(ids(s.WalletsFor("a", "x"))), "[w1 w2]"},
		{"wallets of b", fmt.Sprint(ids(s.WalletsFor("b", "x"))), "[w2]"},
		{"wallets of nobody", len(s.WalletsFor("c", "x")), 0},
		{"one account", fmt.Sprint(ids(s.OnAccount(s.Wallet("w1")))), "[w1 w3]"},
		{"feed", s.Feed("f").Wallet, "w1"},
		{"no feed", s.Feed("g") == nil, true},
		{"rules", fmt.Sprint(rules), "[first second]"},
		{"zone", s.Merchant("a").Location().String(), "Asia/Kolkata"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if account, err := s.Account("fees"); err != nil || account != 7 {
		t.Errorf("fees are %d, %v", account, err)
	}
	if _, err := s.Account("merchant:a"); err == nil || !strings.Contains(err.Error(), "merchant:a") {
		t.Errorf("a missing account: %v", err)
	}
}

func TestMethodOn(t *testing.T) {
	t.Parallel()
	on, off := &directory.Method{Type: "m", Enabled: true}, &directory.Method{Type: "m"}
	for _, tt := range []struct {
		name     string
		merchant directory.Merchant
		method   *directory.Method
		want     bool
	}{
		{"on", directory.Merchant{}, on, true},
		{"off", directory.Merchant{}, off, false},
		{"unknown", directory.Merchant{}, nil, false},
		{"retired method", directory.Merchant{}, &directory.Method{Type: "m", Enabled: true, Retired: true}, false},
		{"off for the merchant", directory.Merchant{Methods: map[string]bool{"m": false}}, on, false},
		{"on for the merchant", directory.Merchant{Methods: map[string]bool{"m": true}}, on, true},
		{"on for the merchant, off for all", directory.Merchant{Methods: map[string]bool{"m": true}}, off, false},
		{"others off", directory.Merchant{Methods: map[string]bool{"n": false}}, on, true},
		{"retired merchant", directory.Merchant{Retired: true}, on, false},
	} {
		if got := tt.merchant.MethodOn(tt.method); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	m := directory.Merchant{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	for addr, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "192.0.3.7": false, "2001:db8::1": true, "2001:db9::1": false,
	} {
		if got := m.Allows(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	if !(&directory.Merchant{}).Allows(netip.MustParseAddr("203.0.113.1")) {
		t.Error("no list must allow everybody")
	}
}

// A fee is never negative and never more than the deposit.
func TestFeeOfDeposit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		percent, err := money.ParsePercent(fmt.Sprintf("%d.%04d", rapid.IntRange(0, 99).Draw(t, "percent"), rapid.IntRange(0, 9999).Draw(t, "part")))
		if err != nil {
			t.Fatal(err)
		}
		fee := directory.Fee{DepositPercent: percent, DepositFixed: money.Paise(rapid.Int64Range(-1000, 1e12).Draw(t, "fixed"))}
		amount := money.Paise(rapid.Int64Range(1, 1e14).Draw(t, "amount"))
		if got := fee.OfDeposit(amount); got < 0 || got > amount {
			t.Fatalf("the fee of %s is %s", amount, got)
		}
	})
}

// source is a stored directory that a test moves on.
type source struct {
	mu     sync.Mutex
	stored directory.Contents
	broken error
	loads  int
}

func (s *source) LoadDirectory(context.Context) (directory.Contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.stored, s.broken
}

func (s *source) DirectoryVersion(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored.Version, s.broken
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func TestCache(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &source{stored: directory.Contents{Version: 1, Wallets: []*directory.Wallet{{ID: "w", VPA: upi.VPA("a@b")}}}}
	c, err := directory.OpenCache(ctx, s)
	if err != nil || c.Current().Version != 1 || c.Current().Wallet("w") == nil {
		t.Fatalf("opened: %v", err)
	}
	first := c.Current()
	if err := c.Refresh(ctx); err != nil || c.Current() != first || s.loads != 1 {
		t.Errorf("an unmoved directory was loaded %d times, %v", s.loads, err)
	}
	s.set(func(s *source) { s.stored = directory.Contents{Version: 2} })
	if err := c.Refresh(ctx); err != nil || c.Current().Version != 2 || first.Version != 1 {
		t.Errorf("the change was missed: %v", err)
	}
	// What can't be read or makes no sense leaves the last one in force.
	broken := errors.New("unplugged")
	s.set(func(s *source) { s.stored.Version, s.broken = 3, broken })
	if err := c.Refresh(ctx); !errors.Is(err, broken) || c.Current().Version != 2 {
		t.Errorf("a broken source gave %v and version %d", err, c.Current().Version)
	}
	s.set(func(s *source) {
		s.broken = nil
		s.stored.Merchants = []*directory.Merchant{{ID: "m", Timezone: "nowhere"}}
	})
	if err := c.Refresh(ctx); err == nil || c.Current().Version != 2 {
		t.Errorf("nonsense gave %v and version %d", err, c.Current().Version)
	}
	if _, err := directory.OpenCache(ctx, &source{broken: broken}); !errors.Is(err, broken) {
		t.Errorf("a broken source opened: %v", err)
	}

	// Followed, it catches up by itself, errors or not.
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Follow(following, time.Millisecond, slog.New(slog.DiscardHandler))
	}()
	s.set(func(s *source) { s.stored = directory.Contents{Version: 4} })
	for c.Current().Version != 4 {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
}
