package directory

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// AmountPolicy says what happens when a claim names another amount than the
// credit with its UTR.
type AmountPolicy string

// Amount policies (contract, apply file: amount_policy).
const (
	// PolicyExact sends the claim to review.
	PolicyExact AmountPolicy = "exact"
	// PolicyActual credits what arrived.
	PolicyActual AmountPolicy = "actual"
)

// Fee is what the operator keeps of a merchant's money.
type Fee struct {
	DepositPercent    money.Percent `json:"deposit_percent"`
	DepositFixed      money.Paise   `json:"deposit_fixed"` // paise per deposit
	WithdrawalPercent money.Percent `json:"withdrawal_percent"`
	WithdrawalFixed   money.Paise   `json:"withdrawal_fixed"` // paise per withdrawal
}

// OfDeposit is the fee on a deposit of that many paise; never more than the
// deposit itself, so that crediting can't take a merchant's balance down.
func (f Fee) OfDeposit(amount money.Paise) money.Paise {
	return min(max(f.DepositPercent.Of(amount)+f.DepositFixed, 0), amount)
}

// OfWithdrawal is the fee on a withdrawal of that many paise, on top of the
// amount. One that no balance could hold is the most there is, and so refused.
func (f Fee) OfWithdrawal(amount money.Paise) money.Paise {
	fee, err := f.WithdrawalPercent.Of(amount).Add(f.WithdrawalFixed)
	if err != nil {
		return math.MaxInt64
	}
	return max(fee, 0)
}

// Merchant is a business that is paid through this installation.
type Merchant struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Domain         string            `json:"domain,omitempty"` // {server_URL} of the protocol
	Timezone       string            `json:"timezone"`         // IANA name
	RedirectURLs   map[string]string `json:"redirect_urls,omitempty"`
	FrameAncestors []string          `json:"frame_ancestors,omitempty"`
	Look           Look              `json:"look,omitzero"`
	// Methods switches methods on or off for this merchant alone; a method
	// that is not named follows its own switch.
	Methods      map[string]bool `json:"methods,omitempty"`
	Fee          Fee             `json:"fee"`
	AmountPolicy AmountPolicy    `json:"amount_policy"`
	// Reports are whom its reports are mailed to.
	Reports Reports `json:"reports,omitzero"`
	// Settlement is where the balance is paid out to; nil where nobody said.
	Settlement  *Settlement `json:"settlement,omitempty"`
	PostbackURL string      `json:"postback_url,omitempty"`
	// PostbackWaits are the waits before the second and every later attempt at
	// a postback; empty is the installation's schedule.
	PostbackWaits []time.Duration `json:"postback_waits,omitempty"`
	// PostbackEd25519 adds the asymmetric signature to postbacks.
	PostbackEd25519 bool `json:"postback_ed25519,omitempty"`
	// AllowedIPs limits who may call the API; empty allows everybody.
	AllowedIPs []netip.Prefix `json:"allowed_ips,omitempty"`
	// Retired merchants left the apply file: their history stays, nothing
	// new is taken for them.
	Retired bool `json:"retired,omitempty"`

	Secrets MerchantSecrets `json:"-"` // stored sealed, apart from the rest

	location *time.Location
}

// Reports are the e-mail addresses that a merchant's reports go to when a day, or a
// month, of its zone is over.
type Reports struct {
	Daily   []string `json:"daily,omitempty"`
	Monthly []string `json:"monthly,omitempty"`
}

// MerchantSecrets are the keys of a merchant. They are sealed at rest.
type MerchantSecrets struct {
	// PluginAPI authenticates API calls; up to two are valid at once, so
	// that a merchant can rotate without an outage. The first is the newest.
	PluginAPI []Secret
	// WithdrawalKey signs withdrawal requests (protocol, section 6).
	WithdrawalKey Secret
	// AccessKey and PrivateKey make the legacy postback signature.
	AccessKey  Secret
	PrivateKey Secret
	// Webhook is the Standard Webhooks secret. Where it is empty the bytes of
	// PrivateKey serve, so that an installation needs only one key.
	Webhook Secret
	// PrivateKeyPrevious and WebhookPrevious are those that a rotation replaces:
	// while they are there, webhooks are signed with both.
	PrivateKeyPrevious Secret
	WebhookPrevious    Secret
	// Ed25519 makes the asymmetric signature: whsk_ and the seed in base64.
	Ed25519 Secret
	// ClientCert and ClientKey (PEM) tell the merchant's server who calls, where
	// it asks for mutual TLS.
	ClientCert Secret
	ClientKey  Secret
}

// webhookPrefix starts a secret in the form of the Standard Webhooks
// specification: the rest is the key in base64.
const webhookPrefix = "whsec_"

// WebhookKey is the key of the Standard Webhooks signature, as raw bytes.
func (s MerchantSecrets) WebhookKey() []byte { return webhookKey(s.Webhook, s.PrivateKey) }

// WebhookKeys are the keys that webhooks are signed with: WebhookKey and,
// during a rotation, the one before it.
func (s MerchantSecrets) WebhookKeys() [][]byte {
	keys := [][]byte{s.WebhookKey()}
	switch {
	case s.WebhookPrevious != "":
		keys = append(keys, webhookKey(s.WebhookPrevious, ""))
	case s.Webhook == "" && s.PrivateKeyPrevious != "":
		keys = append(keys, []byte(s.PrivateKeyPrevious.Reveal()))
	}
	return keys
}

func webhookKey(secret, fallback Secret) []byte {
	if secret == "" {
		return []byte(fallback.Reveal())
	}
	if key, err := ParseWebhookSecret(secret); err == nil {
		return key
	}
	return []byte(secret.Reveal())
}

// Prefixes of asymmetric keys (Standard Webhooks specification).
const (
	signingPrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// NewSigningKey makes a key for the asymmetric signature.
func NewSigningKey() (Secret, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", fmt.Errorf("generate an ed25519 key: %w", err)
	}
	return Secret(signingPrefix + base64.StdEncoding.EncodeToString(key.Seed())), nil
}

// SigningKey is the key of the asymmetric signature; nil where there is none.
func (s MerchantSecrets) SigningKey() ed25519.PrivateKey {
	seed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Ed25519.Reveal(), signingPrefix))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil
	}
	return ed25519.NewKeyFromSeed(seed)
}

// PublicKey is what the merchant verifies the asymmetric signature with, as
// Standard Webhooks writes it: whpk_ and base64. Empty where there is no key.
func (s MerchantSecrets) PublicKey() string {
	key := s.SigningKey()
	if key == nil {
		return ""
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// ParseWebhookSecret reads a Standard Webhooks secret: whsec_ and base64, or
// any other text, whose bytes are the key. It fails on whsec_ with anything
// but base64 behind it.
func ParseWebhookSecret(secret Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret.Reveal(), webhookPrefix)
	if !ok {
		return []byte(secret.Reveal()), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows whsec_ is not base64")
	}
	return key, nil
}

// Location is the zone in which the merchant reads dates: that of the postback's
// datetimes and of its days.
func (m *Merchant) Location() *time.Location {
	if m.location == nil {
		return time.UTC
	}
	return m.location
}

// MethodOn reports whether the merchant takes payments by that method now.
func (m *Merchant) MethodOn(method *Method) bool {
	if m.Retired || !method.Usable() {
		return false
	}
	on, named := m.Methods[method.Type]
	return on || !named
}

// Allows reports whether the API may be called from that address.
func (m *Merchant) Allows(addr netip.Addr) bool {
	if len(m.AllowedIPs) == 0 {
		return true
	}
	addr = addr.Unmap()
	for _, p := range m.AllowedIPs {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
