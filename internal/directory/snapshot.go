package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/milaan/milaan/upi"
)

// Contents is the directory as it is stored: every object, retired ones too.
type Contents struct {
	Version   int64 // moves on with every change
	Merchants []*Merchant
	Methods   []*Method
	Wallets   []*Wallet
	Feeds     []*Feed
	Rules     []*Rule
	Payouts   []*PayoutDesk
	Webhooks  []*Webhook
	// Accounts gives the ledger account ids by code, see package ledger.
	Accounts map[string]int64
}

// Snapshot is the directory at one version, indexed for look-ups. It is
// immutable: callers share it and its objects and must not change them.
type Snapshot struct {
	Contents

	merchants map[string]*Merchant
	domains   map[string]*Merchant
	secrets   map[[sha256.Size]byte]*Merchant
	methods   map[string]*Method
	wallets   map[string]*Wallet
	serving   map[servingKey][]*Wallet
	accounts  map[upi.VPA][]*Wallet
	feeds     map[string]*Feed
	rules     []*Rule
	webhooks  map[string]*Webhook
	// byMerchant are the webhooks that are told, by merchant; the owner's under "".
	byMerchant map[string][]*Webhook
}

type servingKey struct{ merchant, method string }

// NewSnapshot indexes the contents. It fails on contents that contradict
// themselves: an unknown time zone, two merchants with one domain or secret.
func NewSnapshot(c Contents) (*Snapshot, error) {
	s := &Snapshot{
		Contents:   c,
		merchants:  make(map[string]*Merchant, len(c.Merchants)),
		domains:    make(map[string]*Merchant, len(c.Merchants)),
		secrets:    make(map[[sha256.Size]byte]*Merchant, len(c.Merchants)),
		methods:    make(map[string]*Method, len(c.Methods)),
		wallets:    make(map[string]*Wallet, len(c.Wallets)),
		serving:    make(map[servingKey][]*Wallet),
		accounts:   make(map[upi.VPA][]*Wallet, len(c.Wallets)),
		feeds:      make(map[string]*Feed, len(c.Feeds)),
		webhooks:   make(map[string]*Webhook, len(c.Webhooks)),
		byMerchant: make(map[string][]*Webhook),
	}
	var errs []error
	for _, m := range c.Merchants {
		if err := s.addMerchant(m); err != nil {
			errs = append(errs, err)
		}
	}
	sort.SliceStable(s.Contents.Methods, func(i, j int) bool { return s.Contents.Methods[i].Order < s.Contents.Methods[j].Order })
	for _, m := range c.Methods {
		s.methods[m.Type] = m
	}
	for _, w := range c.Wallets {
		s.wallets[w.ID] = w
		account := w.VPA.Canonical()
		s.accounts[account] = append(s.accounts[account], w)
		for _, merchant := range w.Merchants {
			key := servingKey{merchant, w.Method}
			s.serving[key] = append(s.serving[key], w)
		}
	}
	for _, f := range c.Feeds {
		s.feeds[f.ID] = f
	}
	for _, w := range c.Webhooks {
		s.webhooks[w.Key()] = w
		if !w.Retired {
			s.byMerchant[w.Merchant] = append(s.byMerchant[w.Merchant], w)
		}
	}
	for _, r := range c.Rules {
		if !r.Retired {
			s.rules = append(s.rules, r)
		}
	}
	sort.SliceStable(s.rules, func(i, j int) bool { return s.rules[i].Order < s.rules[j].Order })
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("directory version %d: %w", c.Version, err)
	}
	return s, nil
}

func (s *Snapshot) addMerchant(m *Merchant) error {
	loc, err := time.LoadLocation(m.Timezone)
	if err != nil {
		return fmt.Errorf("merchant %s: time zone %q is unknown: use an IANA name such as Asia/Kolkata", m.ID, m.Timezone)
	}
	m.location = loc
	s.merchants[m.ID] = m
	if m.Retired {
		return nil
	}
	if m.Domain != "" {
		domain := strings.ToLower(m.Domain)
		if other := s.domains[domain]; other != nil {
			return fmt.Errorf("merchants %s and %s have the same domain %s: give each its own", other.ID, m.ID, m.Domain)
		}
		s.domains[domain] = m
	}
	for _, secret := range m.Secrets.PluginAPI {
		if other := s.secrets[secret.digest()]; other != nil && other != m {
			return fmt.Errorf("merchants %s and %s have the same plugin API secret: give each its own", other.ID, m.ID)
		}
		s.secrets[secret.digest()] = m
	}
	return nil
}

// Merchant returns the merchant with that id, retired ones too, or nil.
func (s *Snapshot) Merchant(id string) *Merchant { return s.merchants[id] }

// MerchantByDomain returns the merchant whose {server_URL} that is, or nil.
func (s *Snapshot) MerchantByDomain(domain string) *Merchant {
	return s.domains[strings.ToLower(domain)]
}

// MerchantBySecret returns the merchant whose plugin API secret that is, or
// nil. The time it takes tells nothing about the secrets: it compares digests.
func (s *Snapshot) MerchantBySecret(secret string) *Merchant {
	if secret == "" {
		return nil
	}
	return s.secrets[Secret(secret).digest()]
}

// Method returns the method of that wallet_type, or nil.
func (s *Snapshot) Method(walletType string) *Method { return s.methods[walletType] }

// Wallet returns the wallet with that id, or nil.
func (s *Snapshot) Wallet(id string) *Wallet { return s.wallets[id] }

// WalletsFor returns the wallets of a method on which money may be the
// merchant's, closed and retired ones too: money can still arrive on them.
func (s *Snapshot) WalletsFor(merchant, method string) []*Wallet {
	return s.serving[servingKey{merchant, method}]
}

// OnAccount returns the wallets that stand for the same bank account as w: w
// itself, and those that share its VPA. Money that came to one came to all.
func (s *Snapshot) OnAccount(w *Wallet) []*Wallet { return s.accounts[w.VPA.Canonical()] }

// Feed returns the feed with that id, or nil.
func (s *Snapshot) Feed(id string) *Feed { return s.feeds[id] }

// ActiveRules returns the operator's rules in their order.
func (s *Snapshot) ActiveRules() []*Rule { return s.rules }

// Account returns the ledger account with that code. Accounts are made with
// the objects they belong to, so a missing one means a damaged database.
func (s *Snapshot) Account(code string) (int64, error) {
	id, ok := s.Accounts[code]
	if !ok {
		return 0, fmt.Errorf("ledger account %s is missing: run milaan verify", code)
	}
	return id, nil
}
