package apply

import (
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	events "github.com/milaan/milaan/internal/webhook"
)

// readWebhook reads a webhook of a merchant, or of the installation's owner where
// that is empty.
func readWebhook(v value, merchant string) webhook {
	o := v.object("id", "url", "events", "secret", "secret_previous", "ed25519", "schedule")
	o.need("id", "url", "events")
	h := webhook{object: o, want: directory.Webhook{
		Merchant: merchant,
		ID:       o.matching("id", checkID),
		URL:      o.matching("url", checkPostback),
		Events: o.list("events", func(pattern string) (string, error) {
			return pattern, events.Check(pattern, merchant == "")
		}),
		Ed25519: o.toggle("ed25519", false),
		Secrets: directory.WebhookSecrets{Signing: o.secret("secret"), Previous: o.previous("secret")},
	}}
	slices.Sort(h.want.Events)
	if v, ok := o.fields["events"]; ok && v.kind == sequence && len(v.elements()) == 0 {
		v.wrong("is empty: name what it is told, such as [deposit.credited], or remove the webhook")
	}
	if v, ok := o.fields["schedule"]; ok {
		h.want.Waits = readWaits(v)
	}
	for _, key := range []string{"secret", "secret_previous"} {
		if v, ok := o.fields[key]; ok {
			text, _ := v.scalar()
			if err := directory.CheckSigningSecret(directory.Secret(text)); err != nil {
				v.wrong("%v", err)
			}
		}
	}
	return h
}

// allWebhooks are the merchants' webhooks and the owner's.
func (f *File) allWebhooks() []*webhook {
	var all []*webhook
	for i := range f.merchants.items {
		m := &f.merchants.items[i]
		for j := range m.webhooks {
			all = append(all, &m.webhooks[j])
		}
	}
	for i := range f.webhooks.items {
		all = append(all, &f.webhooks.items[i])
	}
	return all
}

// checkWebhooks reports webhooks of one name.
func (f *File) checkWebhooks() {
	ids := make(names)
	for _, h := range f.allWebhooks() {
		if h.want.ID != "" {
			ids.claim(h.field("id"), strings.ToLower(h.want.Key()), quote(h.want.ID))
		}
	}
}

// webhooks works out the webhooks to write. A merchant's are declared with it, so
// that whichever the section of merchants leaves out is retired; the owner's have
// a section of their own.
func (p *planner) webhooks() ([]*directory.Webhook, error) {
	stored := index(p.current.Webhooks, webhookClass)
	var wanted []*directory.Webhook
	for _, spec := range p.file.allWebhooks() {
		h := spec.want
		h.Events = slices.Clone(h.Events)
		var have directory.WebhookSecrets
		if old := stored.find(p, spec.field("id"), h.Key()); old != nil {
			have = old.Secrets
		}
		if err := p.webhookSecrets(&h, have); err != nil {
			return nil, err
		}
		wanted = append(wanted, &h)
	}
	return wanted, nil
}

func (p *planner) webhookSecrets(h *directory.Webhook, have directory.WebhookSecrets) error {
	want := h.Secrets
	h.Secrets = have
	switch {
	case want.Signing != "": // one that stands alone ends its rotation
		h.Secrets.Signing, h.Secrets.Previous = want.Signing, want.Previous
	case have.Signing == "":
		made, err := p.make("webhook", h.Key(), "secret", directory.SigningSecret)
		if err != nil {
			return err
		}
		h.Secrets.Signing = made
	}
	if h.Ed25519 && h.Secrets.Ed25519 == "" {
		// Not a secret to hand out: milaan postbacks key prints its public half.
		made, err := directory.NewSigningKey()
		if err != nil {
			return err
		}
		h.Secrets.Ed25519 = made
	}
	return nil
}

// reconcileWebhooks compares merchants' webhooks and the owner's, each with their
// own section.
func (p *planner) reconcileWebhooks(wanted []*directory.Webhook) []*directory.Webhook {
	var out []*directory.Webhook
	for _, part := range []struct {
		owner, declared bool
	}{{false, p.file.merchants.declared}, {true, p.file.webhooks.declared}} {
		mine := func(all []*directory.Webhook) []*directory.Webhook {
			return slices.DeleteFunc(slices.Clone(all), func(w *directory.Webhook) bool { return (w.Merchant == "") != part.owner })
		}
		out = append(out, reconcile(p, webhookClass, mine(p.current.Webhooks), mine(wanted), part.declared)...)
	}
	return out
}

var webhookClass = class[directory.Webhook]{
	kind:    "webhook",
	id:      (*directory.Webhook).Key,
	retired: func(w *directory.Webhook) *bool { return &w.Retired },
	attributes: func(w *directory.Webhook) []attribute {
		return []attribute{
			{name: "url", text: w.URL},
			{name: "events", text: strings.Join(w.Events, " ")},
			{name: "schedule", text: joined(w.Waits, time.Duration.String)},
			hidden("secret", w.Secrets.Signing),
			hidden("secret_previous", w.Secrets.Previous),
			{name: "ed25519", text: onOff(w.Ed25519)},
		}
	},
}
