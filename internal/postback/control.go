package postback

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
)

// Errors of a [Control].
var (
	// ErrNoPostback: there is no postback with that number.
	ErrNoPostback = errors.New("there is no postback with that number: milaan postbacks list shows them")
	// ErrNoMerchant: there is no merchant with that id, and no webhook.
	ErrNoMerchant = errors.New("there is no merchant or webhook with that id")
	// ErrNothing: the endpoint is not in a state that the word could change.
	ErrNothing = errors.New("nothing to do")
	// ErrNoAddress: there is nothing to send to, or to sign with.
	ErrNoAddress = errors.New("has no postback URL, or no private key to sign with: apply them first")
)

// Archive is the outbox as an operator needs it.
type Archive interface {
	Store
	// Postbacks lists what a filter asks for, the newest first.
	Postbacks(ctx context.Context, f Filter) ([]Summary, error)
	// Postback gives one with its attempts, the oldest first, or ErrNoPostback.
	Postback(ctx context.Context, id int64) (*Detail, error)
	// Resend makes events due at now, as if never sent; bodies that are kept
	// stay. Those that are about to be sent anyway, before soon, stay as they
	// are. It reports how many it made due.
	Resend(ctx context.Context, ids []int64, now, soon time.Time, entries ...audit.Entry) (int64, error)
	// AppendAudit writes audit entries.
	AppendAudit(ctx context.Context, entries ...audit.Entry) error
}

// Filter says which postbacks to list. What is zero does not matter.
type Filter struct {
	State    State
	Merchant string
	From, To time.Time // when they were written: From <= t < To
	Before   int64     // with a smaller number than that: the next page
	Limit    int       // 0: 50
}

// Summary is a postback in a list.
type Summary struct {
	ID          int64
	Merchant    string       // the key of its destination
	Webhook     webhook.Type // of a webhook's event; else empty
	Told        string       // of a withdrawal its state: success, failed or canceled; else empty
	CustomID    string       // or the withdrawal's id
	Amount      money.Paise
	State       State
	Attempts    int       // since it was first or last sent afresh
	NextAt      time.Time // zero where it will not be sent
	LastStatus  int
	LastError   string
	CreatedAt   time.Time
	DeliveredAt time.Time
}

// Kind says what a postback is about.
type Kind string

// Kinds of postback.
const (
	OfDeposit    Kind = "deposit"
	OfWithdrawal Kind = "withdrawal"
)

// Kind says what the postback is about.
func (s *Summary) Kind() Kind {
	if s.Told != "" {
		return OfWithdrawal
	}
	return OfDeposit
}

// Detail is all there is of a postback.
type Detail struct {
	Summary
	Event Event
	// Body is what attempts carried or, where it was not kept, what the next one
	// would: the same bytes as long as the merchant's keys and zone are the same.
	Body     []byte
	BodyKept bool
	// Tries are the attempts that are kept.
	Tries []Attempt
}

// Control is what an operator does about postbacks. Every deed is in the audit
// log under the name of its actor, such as "operator:asha".
type Control struct {
	store     Archive
	directory *directory.Cache
	rates     RateSource
	clients   *clients
	now       func() time.Time
}

// NewControl makes a control. Of the configuration it takes Directory, Rates,
// Transport and Now.
func NewControl(store Archive, c Config) *Control {
	return &Control{store: store, directory: c.Directory, rates: c.Rates, clients: newClients(c.Transport), now: c.Now}
}

// defaultLimit is how many postbacks are listed where nobody says.
const defaultLimit = 50

// List lists postbacks, the newest first.
func (c *Control) List(ctx context.Context, f Filter) ([]Summary, error) {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	return c.store.Postbacks(ctx, f)
}

// Inspect gives a postback with its attempts and its body, or ErrNoPostback.
func (c *Control) Inspect(ctx context.Context, id int64) (*Detail, error) {
	d, err := c.store.Postback(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.BodyKept = len(d.Body) > 0; d.BodyKept {
		return d, nil
	}
	to, err := c.destination(d.Merchant)
	if err != nil {
		return nil, err
	}
	if to.merchant == nil {
		return nil, fmt.Errorf("event %d has lost its body: run milaan verify", id)
	}
	rates, err := c.rates.Rates(ctx, d.Event.RatesID)
	if err != nil {
		return nil, fmt.Errorf("read exchange rates %d: %w", d.Event.RatesID, err)
	}
	d.Body = AppendBody(nil, &d.Event, to.merchant, rates)
	return d, nil
}

// Resend has a postback sent again, from the start of the schedule, whatever
// became of it before. The body is that of its first attempt. It reports false
// where it was about to be sent anyway; the error is ErrNoPostback where there
// is none.
func (c *Control) Resend(ctx context.Context, actor string, id int64) (bool, error) {
	if _, err := c.store.Postback(ctx, id); err != nil {
		return false, err
	}
	n, err := c.resend(ctx, []int64{id}, c.entry(actor, "postback.resent", id, ""))
	return n > 0, err
}

// ResendPage has postbacks of a merchant sent again, all in one commit: payments
// wait for it, so let them be few. It reports how many were not about to be sent
// anyway.
func (c *Control) ResendPage(ctx context.Context, actor, merchant string, ids []int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	why := fmt.Sprintf("merchant %s, %d postbacks from %d to %d", merchant, len(ids), slices.Min(ids), slices.Max(ids))
	return c.resend(ctx, ids, c.entry(actor, "postback.resent", 0, why))
}

func (c *Control) resend(ctx context.Context, ids []int64, entry audit.Entry) (int64, error) {
	now := c.moment()
	return c.store.Resend(ctx, ids, now, now.Add(Lease), entry)
}

// resendPage is how many postbacks are made due in one commit: payments never
// wait long for it.
const resendPage = 500

// ResendRange has all postbacks of a merchant sent again that were written in
// From <= t < To and are in the filter's state, or in any; it reports how many.
func (c *Control) ResendRange(ctx context.Context, actor string, f Filter) (sent int64, err error) {
	if _, err := c.destination(f.Merchant); err != nil {
		return 0, err
	}
	for f.Limit = resendPage; ; {
		page, err := c.store.Postbacks(ctx, f)
		if err != nil || len(page) == 0 {
			return sent, err
		}
		ids := make([]int64, len(page))
		for i := range page {
			ids[i] = page[i].ID
		}
		f.Before = ids[len(ids)-1]
		n, err := c.ResendPage(ctx, actor, f.Merchant, ids)
		sent += n
		if err != nil {
			return sent, err
		}
	}
}

// Test sends a merchant a postback that is of no deposit, once, and tells what
// came of it. It is signed like any other; its order, label and comment say
// that it is a test, its UTR is no UTR, and its webhook-id begins with "test_".
// A merchant that looks the order up finds none. A webhook is sent an event of
// type webhook.test.
func (c *Control) Test(ctx context.Context, actor, merchant string) (Attempt, error) {
	to, err := c.destination(merchant)
	if err != nil {
		return Attempt{}, err
	}
	if to.target == nil {
		return Attempt{}, fmt.Errorf("%s %w", name(merchant), ErrNoAddress)
	}
	rates, err := fx.Bundled()
	if err != nil {
		return Attempt{}, err
	}
	if err := c.store.AppendAudit(ctx, c.entry(actor, "postback.tested", 0, name(merchant))); err != nil {
		return Attempt{}, err
	}
	began := c.moment()
	id := testPrefix + rand.Text()
	got, err := c.clients.send(ctx, to, id, began, to.probe(id, began, rates))
	return Attempt{Number: 1, At: began, Latency: c.now().Sub(began), Status: got.status, Error: shortError(err), Answer: got.kept()}, nil
}

// What tells a test's postback from others.
const (
	testPrefix = "test_"
	testLabel  = "test"
)

// Pause holds a merchant's postbacks until Resume.
func (c *Control) Pause(ctx context.Context, actor, merchant string) error {
	return c.set(ctx, actor, "endpoint.paused", merchant, EndpointPaused, EndpointOpen, EndpointFailing, EndpointDisabled)
}

// Resume ends a pause. The endpoint is open then, also where it was disabled
// before.
func (c *Control) Resume(ctx context.Context, actor, merchant string) error {
	return c.set(ctx, actor, "endpoint.resumed", merchant, EndpointOpen, EndpointPaused)
}

// Enable opens an endpoint that was disabled or fails, and takes up again what
// died of its URL being refused. Of one that was disabled webhooks are told.
func (c *Control) Enable(ctx context.Context, actor, merchant string) error {
	err := c.set(ctx, actor, enabled, merchant, EndpointOpen, EndpointDisabled)
	if errors.Is(err, ErrNothing) {
		err = c.set(ctx, actor, enabled, merchant, EndpointOpen, EndpointFailing)
	}
	if errors.Is(err, ErrNothing) {
		err = fmt.Errorf("%w: the endpoint of %s is not disabled or failing", ErrNothing, name(merchant))
	}
	if err != nil && !errors.Is(err, ErrNothing) {
		return err
	}
	refusals, listErr := c.store.Refused(ctx)
	if listErr != nil {
		return listErr
	}
	for _, r := range refusals {
		if r.Merchant != merchant {
			continue
		}
		if err := c.store.Revive(ctx, r, c.moment()); err != nil {
			return err
		}
		if errors.Is(err, ErrNothing) {
			err = c.store.AppendAudit(ctx, c.entry(actor, enabled, 0, name(merchant)))
		}
	}
	return err
}

const enabled = string(webhook.EndpointEnabled)

func (c *Control) set(ctx context.Context, actor, action, merchant string, to EndpointState, over ...EndpointState) error {
	d, err := c.destination(merchant)
	if err != nil {
		return err
	}
	e := Endpoint{Merchant: merchant, Target: Target(d.url), State: to, Since: c.moment(), Why: "by " + actor}
	entry := c.entry(actor, action, 0, name(merchant))
	entry.At = e.Since
	var told []webhook.Event
	if action == enabled && over[0] == EndpointDisabled {
		told = news(c.directory.Current(), webhook.EndpointEnabled, e)
	}
	done, err := c.store.SetEndpoint(ctx, e, over, told, entry)
	if err == nil && !done {
		words := make([]string, len(over))
		for i, state := range over {
			words[i] = string(state)
		}
		return fmt.Errorf("%w: the endpoint of %s is not %s", ErrNothing, name(merchant), strings.Join(words, " or "))
	}
	return err
}

// Endpoints lists the endpoints that are not open: failing, paused, disabled.
func (c *Control) Endpoints(ctx context.Context) ([]Endpoint, error) {
	return CurrentEndpoints(ctx, c.store, c.directory.Current())
}

// CurrentEndpoints lists the endpoints that are not open, without those whose
// URL was replaced since or whose merchant is gone.
func CurrentEndpoints(ctx context.Context, store interface {
	Endpoints(ctx context.Context) ([]Endpoint, error)
}, dir *directory.Snapshot) ([]Endpoint, error) {
	list, err := store.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	current := list[:0]
	for _, e := range list {
		to := find(dir, e.Merchant)
		if to != nil && !to.retired(dir) && (e.State == EndpointPaused || e.Target == Target(to.url)) {
			current = append(current, e)
		}
	}
	return current, nil
}

// PublicKey is what a merchant verifies the ed25519 signature with (whpk_…).
func (c *Control) PublicKey(merchant string) (string, error) {
	to, err := c.destination(merchant)
	if err != nil {
		return "", err
	}
	key := to.secrets.PublicKey()
	if key == "" {
		return "", fmt.Errorf("what goes to %s has no ed25519 signature: apply ed25519: on in its postback or webhook first", name(merchant))
	}
	return key, nil
}

func (c *Control) destination(key string) (*destination, error) {
	if d := find(c.directory.Current(), key); d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoMerchant, key)
}

// moment is the time as the engines keep it.
func (c *Control) moment() time.Time { return c.now().UTC().Truncate(time.Microsecond) }

func (c *Control) entry(actor, action string, subject int64, why string) audit.Entry {
	return audit.Entry{At: c.moment(), Actor: actor, Action: action, Subject: subject, Why: why}
}
