// Package razorpayx sends withdrawals through RazorpayX, Razorpay's payouts API
// (razorpay.com/docs/api/x). What each rule rests on stands in docs/razorpayx.md.
//
// A payout is made in three calls: the beneficiary becomes a contact, the bank
// account a fund account of it, and the payout goes to the fund account. The
// first two move no money and give back what exists already; only the third
// pays, and it is the same, under the same idempotency key, at every try.
//
// What was not answered clearly is looked up by the order's reference before
// anything is said about it. RazorpayX may show a payout late, so that "there is
// none" counts only after an hour without a try.
package razorpayx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

const (
	// quiet is how long after the last try RazorpayX may still come up with a
	// payout: "if you do not receive any status … after 1 hour, then fail the
	// payout" (docs/errors/x, Mark Failed Status).
	quiet = time.Hour
	// keyLife is how long an idempotency key is relied on. RazorpayX keeps it for
	// 7 days (docs/api/x/payout-idempotency); a day is left for clocks.
	keyLife = 6 * 24 * time.Hour
	// firstTry is how long after its first sending an order counts as never tried
	// before, where this process knows of no try.
	firstTry = time.Minute
	// minAmount is the least payout (docs/api/x/payouts/create).
	minAmount money.Paise = 100
	// maxNarration is the longest narration, of letters, digits and spaces.
	maxNarration = 30
)

// Config is an account at RazorpayX.
type Config struct {
	// BaseURL is the API's: https, or http on this machine. Empty is
	// https://api.razorpay.com.
	BaseURL          string
	KeyID, KeySecret string
	// WebhookSecret is what webhooks are signed with; empty takes none.
	WebhookSecret string
	// Account is the account_number that pays: the current account's number, or
	// RazorpayX Lite's customer identifier. It must not change while orders sent
	// from it are open: they are looked up in it.
	Account string
	// Purpose classifies payouts; one made in the dashboard. Empty is "payout".
	Purpose string
	// Label stands after the reference in the beneficiary's statement: letters,
	// digits and spaces. Empty is none.
	Label string
	// Transport goes out; the caller's guards against forged requests. Required.
	Transport http.RoundTripper
	Now       func() time.Time // required
}

// Provider is a [payout.Provider]. One process at a time may send from an
// account.
type Provider struct {
	c       Config
	client  *http.Client
	started time.Time // before it, others may have sent

	mu sync.Mutex
	// sending are the references of the tries that are under way.
	sending map[string]bool
	// left are the last ends of tries that may have reached RazorpayX; here those of
	// orders of which none has.
	left, here map[string]time.Time
}

var (
	_ payout.Provider = (*Provider)(nil)
	_ payout.Teller   = (*Provider)(nil)
)

var (
	labelShape   = regexp.MustCompile(`^[A-Za-z0-9 ]*$`)
	accountShape = regexp.MustCompile(`^[A-Za-z0-9]{5,35}$`)
)

// New checks the configuration. Its errors say what to change.
//
// A provider remembers its tries for an hour, and for that hour trusts nothing
// of before its beginning: make one per account, and keep it.
func New(c Config) (*Provider, error) {
	if c.BaseURL == "" {
		c.BaseURL = "https://api.razorpay.com"
	}
	if c.Purpose == "" {
		c.Purpose = "payout"
	}
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Host == "" || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("razorpayx: the base URL is not one: give it as https://host")
	case base.User != nil:
		return nil, errors.New("razorpayx: the base URL has a user: give the key by itself")
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())):
		return nil, errors.New("razorpayx: the base URL must begin with https://")
	case c.KeyID == "" || strings.Contains(c.KeyID, ":") || c.KeySecret == "":
		return nil, errors.New("razorpayx: give the key id and the key secret of the RazorpayX dashboard")
	case !accountShape.MatchString(c.Account):
		return nil, errors.New("razorpayx: give the account that pays: the current account's number, or the customer identifier")
	case !labelShape.MatchString(c.Label):
		return nil, errors.New("razorpayx: the label may have only letters, digits and spaces")
	case c.Transport == nil || c.Now == nil:
		return nil, errors.New("razorpayx: a transport and a clock are needed")
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	return &Provider{
		c: c, started: c.Now(),
		client: &http.Client{
			Transport:     c.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		sending: map[string]bool{}, left: map[string]time.Time{}, here: map[string]time.Time{},
	}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Send implements [payout.Provider]. The order's At must be set.
//
// An error wraps [payout.ErrNotSent] only while no try of the order can have
// reached RazorpayX: what this try came to says nothing of an earlier one that
// timed out. Such an error is an [*Error] where RazorpayX gave it.
func (p *Provider) Send(ctx context.Context, order payout.Order) (payout.Answer, error) {
	if err := checkName(order); err != nil {
		return payout.Answer{}, notSent(err)
	}
	if !p.begin(order.Reference) {
		return payout.Answer{}, errors.New("razorpayx: the order is being sent at this moment")
	}
	try := asBefore
	defer func() { p.end(order.Reference, try) }()

	mayHaveLeft := p.mayHaveLeft(order)
	if mayHaveLeft {
		answer, err := p.find(ctx, order)
		if err != nil || answer.Standing != payout.Absent {
			return answer, err
		}
		mayHaveLeft = !p.quietFor(order)
	}
	if p.c.Now().Sub(order.At) > keyLife {
		return payout.Answer{}, errors.New("razorpayx: first sent too long ago to be sent again without the danger of paying twice: " +
			"see in the dashboard that there is no payout with its reference, and settle it by hand")
	}
	// certain is an error of a try that did not leave.
	certain := func(err error) error {
		if mayHaveLeft {
			try = asBefore
			return err
		}
		try = here
		return notSent(err)
	}
	if err := checkPayable(order); err != nil {
		if mayHaveLeft {
			return payout.Answer{}, err
		}
		return payout.Answer{Standing: payout.Refused, Why: err.Error()}, nil
	}
	fundAccount, err := p.fundAccount(ctx, order)
	if err != nil {
		return payout.Answer{}, certain(err)
	}
	if err := ctx.Err(); err != nil {
		return payout.Answer{}, certain(fmt.Errorf("razorpayx: before paying: %w", err))
	}

	try = left
	e, err := p.pay(ctx, order, fundAccount)
	if err == nil {
		if why := e.foreign(order); why != "" || e.FundAccount != fundAccount {
			return payout.Answer{}, errors.New("razorpayx: answered with the payout of another order")
		}
		return e.answer(), nil
	}
	refusal, answered := errors.AsType[*Error](err)
	switch {
	case unreached(err), answered && refusal.turnedAway():
		return payout.Answer{}, certain(err)
	case !answered || !refusal.definite():
		return payout.Answer{}, err
	}
	// The request was refused. An earlier one may not have been.
	answer, lookErr := p.find(ctx, order)
	switch {
	case lookErr != nil:
		return payout.Answer{}, fmt.Errorf("%w; looking it up: %w", err, lookErr)
	case answer.Standing != payout.Absent:
		return answer, nil
	case mayHaveLeft || refusal.aboutKey:
		// The key is known, so that another try was or is there.
		return payout.Answer{}, err
	case refusal.ours:
		return payout.Answer{}, certain(err)
	}
	return payout.Answer{Standing: payout.Refused, Why: refusal.Error()}, nil
}

// Ask implements [payout.Provider]. Absent is answered where no try has left, as
// far as this provider knows all of them, and else only when an hour has gone by
// since the last try and since this provider began; before, a payout that is not
// found is Unclear.
func (p *Provider) Ask(ctx context.Context, order payout.Order) (payout.Answer, error) {
	if err := checkName(order); err != nil {
		return payout.Answer{}, err
	}
	answer, err := p.find(ctx, order)
	if err != nil || answer.Standing != payout.Absent {
		return answer, err
	}
	if p.isSending(order.Reference) || !p.isHere(order.Reference) && !p.quietFor(order) {
		return payout.Answer{Standing: payout.Unclear, Why: "no payout is seen yet; one may still come up within the hour"}, nil
	}
	return answer, nil
}

// find is what RazorpayX has of an order now, by its id or its reference. Absent
// says that it shows none, as yet.
func (p *Provider) find(ctx context.Context, order payout.Order) (payout.Answer, error) {
	unclear := func(why string) (payout.Answer, error) {
		return payout.Answer{Standing: payout.Unclear, Why: why}, nil
	}
	var gone bool
	if order.ProviderRef != "" {
		e, err := p.payoutByID(ctx, order.ProviderRef)
		refusal, answered := errors.AsType[*Error](err)
		switch {
		case err == nil:
			if why := e.foreign(order); why != "" {
				return unclear("the payout of this id " + why)
			}
			return e.answer(), nil
		case !answered || !refusal.unknownID:
			return payout.Answer{}, err
		}
		gone = true
	}
	list, err := p.payoutsByReference(ctx, order.Reference)
	switch {
	case err != nil:
		return payout.Answer{}, err
	case len(list) > 1:
		return unclear(fmt.Sprintf("%d payouts are given for this reference: compare them in the dashboard", len(list)))
	case len(list) == 1:
		if why := list[0].foreign(order); why != "" {
			return unclear("the payout given for this reference " + why)
		}
		return list[0].answer(), nil
	case gone:
		return unclear("the payout's id is not known any more: look it up in the dashboard")
	}
	return payout.Answer{Standing: payout.Absent}, nil
}

// referenceShape is that of an order's reference.
var referenceShape = regexp.MustCompile(`^[A-Za-z0-9]{1,20}$`)

// checkName holds an order to what it can be known by.
func checkName(order payout.Order) error {
	switch {
	case !referenceShape.MatchString(order.Reference):
		return errors.New("razorpayx: the reference must have 1 to 20 letters and digits")
	case order.At.IsZero():
		return errors.New("razorpayx: the order lacks the time it was first sent")
	case order.ProviderRef != "" && !payoutID.MatchString(order.ProviderRef):
		return errors.New("razorpayx: the provider's reference is not the id of a payout")
	}
	return nil
}

// checkPayable holds an order to what can be paid at all. The error is for the
// operator and names nobody.
func checkPayable(order payout.Order) error {
	_, accountErr := upi.ParseAccountNumber(string(order.Account))
	_, ifscErr := upi.ParseIFSC(string(order.IFSC))
	switch {
	case order.Currency != money.INR:
		return errors.New("RazorpayX pays out in INR only")
	case order.Amount < minAmount:
		return errors.New("RazorpayX pays out 1 rupee at least")
	case accountErr != nil:
		return errors.New("the beneficiary's account number is not one")
	case ifscErr != nil:
		return errors.New("the beneficiary's IFSC is not one")
	case len(name(order.Name, maxContactName)) < minName:
		return errors.New("the beneficiary's name must have at least 3 letters of the Latin alphabet")
	}
	return nil
}

func notSent(err error) error { return fmt.Errorf("%w: %w", payout.ErrNotSent, err) }

// begin marks a try as under way; false if one is already.
func (p *Provider) begin(reference string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sending[reference] {
		return false
	}
	p.sending[reference] = true
	return true
}

// whereabouts of an order's tries.
type whereabouts int

const (
	asBefore whereabouts = iota // the try did not leave, and says nothing of others
	left                        // the try may have reached RazorpayX
	here                        // neither it nor any before it did
)

// end ends a try. What is older than quiet is forgotten: an order that old is
// looked up first anyway.
func (p *Provider) end(reference string, w whereabouts) {
	now := p.c.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sending, reference)
	switch w {
	case asBefore:
	case left:
		p.left[reference] = now
		delete(p.here, reference)
	case here:
		p.here[reference] = now
	}
	for _, tries := range []map[string]time.Time{p.left, p.here} {
		maps.DeleteFunc(tries, func(_ string, at time.Time) bool { return now.Sub(at) > quiet })
	}
}

func (p *Provider) isSending(reference string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sending[reference]
}

// isHere reports whether it is known that no try of the order left.
func (p *Provider) isHere(reference string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := p.here[reference]
	return known && p.c.Now().Sub(at) <= quiet
}

// mayHaveLeft reports whether an earlier try of the order may have reached
// RazorpayX: this process knows of one, or another process may have made one.
func (p *Provider) mayHaveLeft(order payout.Order) bool {
	if order.ProviderRef != "" {
		return true
	}
	if p.isHere(order.Reference) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, tried := p.left[order.Reference]
	return tried || !order.At.After(p.started) || p.c.Now().Sub(order.At) > firstTry
}

// quietFor reports whether the last try of the order is so long ago that a
// payout would have come up.
func (p *Provider) quietFor(order payout.Order) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.c.Now()
	for _, at := range []time.Time{order.At, p.started, p.left[order.Reference]} {
		if now.Sub(at) < quiet {
			return false
		}
	}
	return true
}
