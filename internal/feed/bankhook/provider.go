// Package bankhook reads the webhooks by which payment providers and banks tell
// of money: who really sent one, and what it says.
//
// A webhook is a [feed.Credit] only where its provider says, in the words of
// its own documentation, that the money came. Everything else is a debit, or
// ignored, or left unparsed for a person; nothing is guessed. Settlement is
// another matter: what a provider reports may lie with the provider first and
// reach the merchant's bank days later, as one sum less fees.
package bankhook

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/feed"
)

// MaxBody is the size in bytes of the largest body that is looked at. The
// bodies of all providers are a few kilobytes.
const MaxBody = 256 << 10

// What can be wrong with a webhook. Errors wrap one of them, and hold no
// secrets and nothing of the payer.
var (
	// ErrUnsigned: the webhook carries nothing that could prove its sender, as
	// the test buttons of some dashboards send. Book nothing, answer 401.
	ErrUnsigned = errors.New("bankhook: the webhook is not signed")
	// ErrSignature: what should prove the sender is wrong. Book nothing, answer 401.
	ErrSignature = errors.New("bankhook: wrong signature: check that the secret is the one of this feed")
	// ErrStale: signed, but at a time too far from now. Answer 401.
	ErrStale = errors.New("bankhook: signed too long ago or ahead of time: check the clock of this machine")
	// ErrSecrets: the feed lacks the secret to check the webhook with, or has one
	// that cannot be right. Answer 503, so that the provider tries again.
	ErrSecrets = errors.New("bankhook: the feed lacks a usable secret: set it as the provider shows it")
	// ErrBody: not what the provider sends. Keep it for the operator, answer 400.
	ErrBody = errors.New("bankhook: not a body of this provider")
)

// Request is a webhook as it arrived.
type Request struct {
	Header      http.Header
	Body        []byte // as received: signatures cover its bytes
	ContentType string // the Content-Type header
	// Endpoint is what follows the feed's own address in the URL. Only ICICI's
	// calls are told apart by it: "mis-posting" and "msg-hold".
	Endpoint string
	Now      time.Time // when it arrived
}

// Event is what a webhook says.
type Event struct {
	// ID is the provider's own id of the event or payment, for people and logs.
	// Duplicates are known by the UTR, never by it: several events tell of one
	// payment.
	ID       string
	Readings []feed.Reading
	// Answer is what the provider wants to hear once the readings are kept.
	Answer Answer
}

// Answer is an HTTP response.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Provider is a sender of webhooks.
type Provider struct {
	kind   string
	verify func(Request, Secrets) error
	read   func(Request, Secrets) (Event, error)
}

// providers are all there are, by kind.
var providers = map[string]Provider{
	"razorpay": {"razorpay", verifyRazorpay, readRazorpay},
	"cashfree": {"cashfree", verifyCashfree, readCashfree},
	"decentro": {"decentro", verifyHeader, readDecentro},
	"phonepe":  {"phonepe", verifyPhonePe, readPhonePe},
	"paytm":    {"paytm", verifyPaytm, readPaytm},
	"icici":    {"icici", verifyHeader, readICICI},
}

// For is the provider of that kind, in lower case; ok is false for a kind that
// is none.
func For(kind string) (p *Provider, ok bool) {
	found, ok := providers[kind]
	return &found, ok
}

// Kinds are the kinds of all providers, in alphabetical order.
func Kinds() []string {
	kinds := make([]string, 0, len(providers))
	for kind := range providers {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Kind is the name a feed's configuration has for the provider: "razorpay".
func (p *Provider) Kind() string { return p.kind }

// Verify reports whether the provider sent the webhook. The error wraps
// [ErrUnsigned], [ErrSignature], [ErrStale], [ErrSecrets] or [ErrBody].
func (p *Provider) Verify(r Request, s Secrets) error {
	if len(r.Body) > MaxBody {
		return fmt.Errorf("%w: larger than %d bytes", ErrBody, MaxBody)
	}
	return p.verify(r, s)
}

// Read understands a webhook that [Provider.Verify] let pass. A body that is
// of the provider's kind but says something unexpected is one
// [feed.Unparsed] reading, not an error. The secrets are those of Verify; only
// ICICI's bodies need them, being encrypted. The error wraps [ErrBody], or
// [ErrSecrets] where a key is missing.
func (p *Provider) Read(r Request, s Secrets) (Event, error) {
	if len(r.Body) > MaxBody {
		return Event{}, fmt.Errorf("%w: larger than %d bytes", ErrBody, MaxBody)
	}
	e, err := p.read(r, s)
	if err != nil {
		return Event{}, err
	}
	for i := range e.Readings {
		tidy(&e.Readings[i], r.Now)
	}
	if e.Answer.Status == 0 {
		e.Answer = Answer{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte("ok")}
	}
	return e, nil
}

// event is an event of one reading.
func event(id string, r feed.Reading) Event {
	return Event{ID: line(id, maxReference), Readings: []feed.Reading{r}}
}

// ignored is an event that moved no money.
func ignored(id, template, why string) Event {
	return event(id, feed.Reading{Kind: feed.Ignored, Template: template, Why: why})
}

// unparsed is an event that a person has to look at.
func unparsed(id, template, why string) Event {
	return event(id, feed.Reading{Kind: feed.Unparsed, Template: template, Why: why})
}
