package postback

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
)

// destination is where events go: a merchant's postback.url, or a webhook. All
// that this package does by merchant, it does by destination: lanes, leases,
// endpoints and what an operator asks for are told apart by its key, which is the
// merchant's id, or "shop/hook1", or "/ops" for a webhook of the owner's.
type destination struct {
	key     string
	url     string   // as it was set
	target  *url.URL // nil while nothing can be sent: retired, no usable URL, or no key to sign with
	secrets directory.MerchantSecrets
	waits   []time.Duration
	// merchant is whose postback.url it is; nil for a webhook.
	merchant *directory.Merchant
}

// find is the destination with that key, as the directory has it; nil where it
// has none.
func find(dir *directory.Snapshot, key string) *destination {
	if w := dir.Webhook(key); w != nil {
		d := &destination{key: key, url: w.URL, secrets: w.Signers(), waits: w.Waits}
		// Without a key anybody could sign.
		if !w.Retired && d.secrets.Webhook != "" {
			d.target = parse(w.URL)
		}
		return d
	}
	m := dir.Merchant(key)
	if m == nil {
		return nil
	}
	d := &destination{key: key, url: m.PostbackURL, secrets: m.Secrets, waits: m.PostbackWaits, merchant: m}
	if !m.PostbackEd25519 { // the key stays stored while it is switched off
		d.secrets.Ed25519 = ""
	}
	if !m.Retired && m.Secrets.PrivateKey != "" {
		d.target = parse(m.PostbackURL)
	}
	return d
}

// parse reads a URL that something can be sent to; nil where it is none.
func parse(address string) *url.URL {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return nil
	}
	return target
}

// retired reports whether the destination left the directory.
func (d *destination) retired(dir *directory.Snapshot) bool {
	if d.merchant != nil {
		return d.merchant.Retired
	}
	return dir.Webhook(d.key).Retired
}

// name is the destination for people.
func name(key string) string {
	if strings.Contains(key, "/") {
		return "webhook " + key
	}
	return "merchant " + key
}

// taken reports whether an answer's status says that the event was taken, as far
// as a status can: 200 for a postback, whose body is read then, any 2xx for a
// webhook (Standard Webhooks specification).
func (d *destination) taken(status int) bool {
	if d.merchant != nil {
		return status == http.StatusOK
	}
	return status >= 200 && status < 300
}

// wanted is what taken asks for, for people.
func (d *destination) wanted() string {
	if d.merchant != nil {
		return "200"
	}
	return "2xx"
}

// probe is what a test sends.
func (d *destination) probe(id string, at time.Time, rates *fx.Rates) []byte {
	if d.merchant == nil {
		return webhook.Body(webhook.Test, at, struct {
			Endpoint string `json:"endpoint"`
		}{d.key})
	}
	m := message{
		method: "upi", amount: money.Rupee, currency: money.INR, label: testLabel, direction: "ingoing",
		createdAt: at, activatedAt: at, transactionID: "000000000000", customOrderID: id,
		comment: "This is a test: no money came, and there is no such order.",
	}
	return m.appendBody(nil, d.merchant, rates)
}

// news is what webhooks are told of an endpoint, except itself: it could not take
// it.
func news(dir *directory.Snapshot, t webhook.Type, e Endpoint) []webhook.Event {
	merchant, _, _ := strings.Cut(e.Merchant, "/")
	told := webhook.For(dir, merchant, t, 0, e.Since, func(bool) any {
		return webhook.Endpoint{Endpoint: e.Merchant, Merchant: webhook.Text(merchant), State: string(e.State), Why: e.Why}
	})
	if t == webhook.EndpointDisabled {
		told = slices.DeleteFunc(told, func(n webhook.Event) bool { return n.Destination == e.Merchant })
	}
	return told
}
