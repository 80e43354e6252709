package postback

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// disableAfter is how long an endpoint may fail before it is given up, as
// Standard Webhooks advises: a notice tells the operator, and its postbacks are
// held.
const disableAfter = 5 * 24 * time.Hour

// EndpointState says whether a merchant's endpoint is sent to.
type EndpointState string

// The states of an endpoint.
const (
	// EndpointOpen: it is sent to. Nothing is stored of such a one.
	EndpointOpen EndpointState = "open"
	// EndpointFailing: its last attempts failed; it is probed.
	EndpointFailing EndpointState = "failing"
	// EndpointPaused: an operator holds its postbacks.
	EndpointPaused EndpointState = "paused"
	// EndpointDisabled: it failed for days, or said that it is gone (410). An
	// operator enables it, or another URL takes its place.
	EndpointDisabled EndpointState = "disabled"
)

// Endpoint is where a merchant's endpoint, or a webhook, stands, where that is
// not open.
type Endpoint struct {
	Merchant string // the key of its destination
	// Target tells the URL that this is about from the merchant's next one,
	// without telling the URL, which may carry a token; see [Target]. Whatever
	// was true of another URL is not true of this one, a pause excepted.
	Target string
	State  EndpointState
	Since  time.Time // UTC
	Why    string
}

// Name is the endpoint for people: "merchant shop", or "webhook shop/hook1".
func (e Endpoint) Name() string { return name(e.Merchant) }

// Target is a URL's digest.
func Target(address string) string {
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:16])
}

// standings are the endpoints that are not open, as the store had them last.
type standings struct {
	mu         sync.Mutex
	byMerchant map[string]Endpoint
}

func (s *standings) replace(list []Endpoint) {
	byMerchant := make(map[string]Endpoint, len(list))
	for _, e := range list {
		byMerchant[e.Merchant] = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byMerchant = byMerchant
}

// note keeps what this gateway found until the store says so, too.
func (s *standings) note(e Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.State == EndpointOpen {
		delete(s.byMerchant, e.Merchant)
		return
	}
	s.byMerchant[e.Merchant] = e
}

// of is where a merchant's endpoint with that URL stands.
func (s *standings) of(merchant, postbackURL string) Endpoint {
	s.mu.Lock()
	e, found := s.byMerchant[merchant]
	s.mu.Unlock()
	if found && (e.State == EndpointPaused || e.Target == Target(postbackURL)) {
		return e
	}
	return Endpoint{Merchant: merchant, State: EndpointOpen}
}

// judge is what an attempt that just ended says about its endpoint; it reports
// false where nothing changes. Failures counts those in a row.
func (s *standings) judge(a *attempted, failures int, now time.Time) (Endpoint, bool) {
	e := s.of(a.merchant, a.url)
	next := Endpoint{Merchant: a.merchant, Target: Target(a.url), Since: now}
	switch {
	case a.succeeded:
		next.State = EndpointOpen
		return next, e.State == EndpointFailing
	case a.gone:
		next.State, next.Why = EndpointDisabled, "it answered 410 Gone"
		return next, e.State == EndpointOpen || e.State == EndpointFailing
	case failures < breakAfter:
		return next, false
	case e.State == EndpointOpen:
		next.State, next.Why = EndpointFailing, a.err
		return next, true
	case e.State == EndpointFailing && now.Sub(e.Since) >= disableAfter:
		next.State, next.Why = EndpointDisabled, "it failed for 5 days: "+a.err
		return next, true
	}
	return next, false
}
