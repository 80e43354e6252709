package directory

import (
	"encoding/base64"
	"errors"
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
	DepositPercent  money.Percent `json:"deposit_percent"`
	DepositFixed    money.Paise   `json:"deposit_fixed"`    // paise per deposit
	WithdrawalFixed money.Paise   `json:"withdrawal_fixed"` // paise per withdrawal
}

// OfDeposit is the fee on a deposit of that many paise; never more than the
// deposit itself, so that crediting can't take a merchant's balance down.
func (f Fee) OfDeposit(amount money.Paise) money.Paise {
	return min(max(f.DepositPercent.Of(amount)+f.DepositFixed, 0), amount)
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
	PostbackURL  string          `json:"postback_url,omitempty"`
	// AllowedIPs limits who may call the API; empty allows everybody.
	AllowedIPs []netip.Prefix `json:"allowed_ips,omitempty"`
	// Retired merchants left the apply file: their history stays, nothing
	// new is taken for them.
	Retired bool `json:"retired,omitempty"`

	Secrets MerchantSecrets `json:"-"` // stored sealed, apart from the rest

	location *time.Location
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
}

// webhookPrefix starts a secret in the form of the Standard Webhooks
// specification: the rest is the key in base64.
const webhookPrefix = "whsec_"

// WebhookKey is the key of the Standard Webhooks signature, as raw bytes.
func (s MerchantSecrets) WebhookKey() []byte {
	if s.Webhook == "" {
		return []byte(s.PrivateKey.Reveal())
	}
	if key, err := ParseWebhookSecret(s.Webhook); err == nil {
		return key
	}
	return []byte(s.Webhook.Reveal())
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
