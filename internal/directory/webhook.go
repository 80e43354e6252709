package directory

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
)

// Webhook is an endpoint that is told of events by Standard Webhooks, beside the
// protocol's postback (docs/events.md).
type Webhook struct {
	// Merchant is whose endpoint it is, and whose events it is told; empty for the
	// installation's owner, who is told everybody's.
	Merchant string `json:"merchant,omitempty"`
	ID       string `json:"id"` // unique for its merchant
	URL      string `json:"url"`
	// Events are the types it asked for: whole names, "deposit.*" or "*".
	Events []string `json:"events"`
	// Waits are as [Merchant.PostbackWaits].
	Waits []time.Duration `json:"waits,omitempty"`
	// Ed25519 adds the asymmetric signature.
	Ed25519 bool `json:"ed25519,omitempty"`
	Retired bool `json:"retired,omitempty"`

	Secrets WebhookSecrets `json:"-"` // stored sealed
}

// WebhookSecrets are what a webhook is signed with.
type WebhookSecrets struct {
	// Signing is whsec_ and the key in base64; Previous the one that it replaces,
	// with which requests are signed, too, while it is there.
	Signing, Previous Secret
	// Ed25519 is as [MerchantSecrets.Ed25519].
	Ed25519 Secret
}

// Key names the webhook among all destinations of events: "shop/hook1", and
// "/ops" for the owner's. A merchant's own key, which is its id, has no slash.
func (w *Webhook) Key() string { return w.Merchant + "/" + w.ID }

// Wants reports whether it asked for events of a type.
func (w *Webhook) Wants(event string) bool {
	return slices.ContainsFunc(w.Events, func(pattern string) bool {
		group, all := strings.CutSuffix(pattern, "*")
		return pattern == event || all && strings.HasPrefix(event, group)
	})
}

// Signers are the secrets in the form that requests are signed with: the
// ed25519 key stays stored while it is switched off.
func (w *Webhook) Signers() MerchantSecrets {
	s := MerchantSecrets{Webhook: w.Secrets.Signing, WebhookPrevious: w.Secrets.Previous}
	if w.Ed25519 {
		s.Ed25519 = w.Secrets.Ed25519
	}
	return s
}

// Lengths of a signing key in bytes (Standard Webhooks specification).
const (
	leastWebhookKey = 24
	mostWebhookKey  = 64
)

// CheckSigningSecret holds a webhook's secret to the Standard Webhooks
// specification: whsec_ and 24 to 64 bytes in base64.
func CheckSigningSecret(secret Secret) error {
	key, err := ParseWebhookSecret(secret)
	if err != nil || !strings.HasPrefix(secret.Reveal(), webhookPrefix) || len(key) < leastWebhookKey || len(key) > mostWebhookKey {
		return errors.New("is no Standard Webhooks secret: write whsec_ and 24 to 64 bytes in base64, or leave it out to have one made")
	}
	return nil
}

// SigningSecret writes a text of at least 24 bytes that nobody guesses as a
// Standard Webhooks secret.
func SigningSecret(text Secret) Secret {
	return Secret(webhookPrefix + base64.StdEncoding.EncodeToString([]byte(text.Reveal())))
}

// Webhook returns the webhook with that [Webhook.Key], retired ones too, or nil.
func (s *Snapshot) Webhook(key string) *Webhook { return s.webhooks[key] }

// Subscribers are the webhooks that are told of a merchant's event: the
// merchant's that asked for it and the owner's; the owner's alone where merchant
// is empty.
func (s *Snapshot) Subscribers(merchant, event string) []*Webhook {
	if len(s.byMerchant) == 0 { // most installations, at every payment
		return nil
	}
	var list []*Webhook
	add := func(all []*Webhook) {
		for _, w := range all {
			if w.Wants(event) {
				list = append(list, w)
			}
		}
	}
	if merchant != "" {
		add(s.byMerchant[merchant])
	}
	add(s.byMerchant[""])
	return list
}
