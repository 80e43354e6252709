package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Errors of the shop whose text is meant for its customers.
var (
	ErrNoOrder   = errors.New("there is no such order")
	ErrNoProduct = errors.New("there is no such product")
	ErrPaid      = errors.New("this order is paid already")
	ErrTooMany   = errors.New("too many UTRs were entered for this order: place a new one")
)

// ShopConfig is what a shop works with; every field is needed.
type ShopConfig struct {
	Gateway string // base URL of the gateway's API
	Secret  string // the merchant's pluginapi_secret
	Keys    PostbackKeys
	Bank    string // base URL of the sandbox bank, for the link to its UPI app
	File    string // where the orders are kept
	Now     func() time.Time
	Log     *slog.Logger
}

// Shop is a merchant of the gateway. It learns of money only by postback.
type Shop struct {
	config  ShopConfig
	gateway caller

	mu      sync.Mutex
	orders  map[string]*Order
	changed chan struct{} // closed at the next change
}

// NewShop opens a shop with the orders that its file has.
func NewShop(c ShopConfig) (*Shop, error) {
	s := &Shop{
		config: c, orders: make(map[string]*Order), changed: make(chan struct{}),
		gateway: caller{base: c.Gateway, token: c.Secret, client: &http.Client{}, now: c.Now},
	}
	return s, load(c.File, &s.orders)
}

// Order is what a customer wants and how its payment goes.
type Order struct {
	ID       string
	Customer string // the label at the gateway
	Product  string
	Total    money.Paise
	PlacedAt time.Time // UTC

	Method   string // wallet_type that the customer pays by
	Payee    upi.VPA
	Name     string // the payee's
	UPILink  string
	Attempts []Attempt
	Receipts []Receipt
	Trail    []Exchange // every call about it, oldest first
}

// Attempt is a UTR that the customer entered, and what the gateway said to it.
// Each is a claim of its own: a mistyped UTR must not bar the right one.
type Attempt struct {
	CustomID string // custom_transaction_id
	UTR      upi.UTR
	Method   string
	Status   string // in the protocol's words; empty until the gateway answered
	Message  string
}

// Receipt is a verified postback.
type Receipt struct {
	MessageID string
	UTR       upi.UTR
	Amount    money.Paise
	At        time.Time // UTC
}

// State is where an order stands.
type State string

// States of an order.
const (
	Awaiting State = "awaiting payment"
	Checking State = "checking"
	Paid     State = "paid"
)

// State tells how the order stands. It is paid when a postback brought exactly
// its total; nothing else makes it so.
func (o *Order) State() State {
	if slices.ContainsFunc(o.Receipts, func(r Receipt) bool { return r.Amount == o.Total }) {
		return Paid
	}
	if last := o.Last(); last != nil && last.Status != statusFail && len(o.Receipts) == 0 {
		return Checking
	}
	return Awaiting
}

// Last is the latest attempt, or nil.
func (o *Order) Last() *Attempt {
	if len(o.Attempts) == 0 {
		return nil
	}
	return &o.Attempts[len(o.Attempts)-1]
}

// Received is what the postbacks brought.
func (o *Order) Received() (sum money.Paise) {
	for _, r := range o.Receipts {
		sum += r.Amount
	}
	return sum
}

func (o *Order) clone() *Order {
	c := *o
	c.Attempts, c.Receipts, c.Trail = slices.Clone(o.Attempts), slices.Clone(o.Receipts), slices.Clone(o.Trail)
	return &c
}

// note keeps an exchange, within bounds.
func (o *Order) note(x Exchange) {
	const most = 40
	if len(o.Trail) < most {
		o.Trail = append(o.Trail, x)
	}
}

// change carries out a change of an order and keeps it. On an error, the
// order is as it was.
func (s *Shop) change(id string, edit func(*Order) error) (*Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.orders[id]
	if was == nil {
		return nil, ErrNoOrder
	}
	o := was.clone()
	if err := edit(o); err != nil {
		return was.clone(), err
	}
	s.orders[id] = o
	if err := save(s.config.File, s.orders); err != nil {
		s.orders[id] = was
		return was.clone(), err
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return o.clone(), nil
}

// Order finds an order, or fails with ErrNoOrder.
func (s *Shop) Order(id string) (*Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.orders[id]; o != nil {
		return o.clone(), nil
	}
	return nil, ErrNoOrder
}

// OrdersOf lists a customer's orders, newest first.
func (s *Shop) OrdersOf(customer string) []*Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Order
	for o := range maps.Values(s.orders) {
		if o.Customer == customer {
			list = append(list, o.clone())
		}
	}
	slices.SortFunc(list, func(a, b *Order) int { return b.PlacedAt.Compare(a.PlacedAt) })
	return list
}

// Wait waits until an order is as wanted, or for ctx to end.
func (s *Shop) Wait(ctx context.Context, id string, wanted func(*Order) bool) (*Order, error) {
	for {
		s.mu.Lock()
		o, changed := s.orders[id], s.changed
		s.mu.Unlock()
		if o == nil {
			return nil, ErrNoOrder
		}
		if wanted(o) {
			return o.clone(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return o.clone(), ctx.Err()
		}
	}
}

// mostOrders bounds what a sample shop keeps.
const mostOrders = 2000

// Place takes an order and asks the gateway where its customer is to pay to.
func (s *Shop) Place(ctx context.Context, customer, product string) (*Order, error) {
	p, ok := findProduct(product)
	if !ok {
		return nil, ErrNoProduct
	}
	o := &Order{ID: randomID(), Customer: customer, Product: p.ID, Total: p.Price, PlacedAt: s.config.Now().UTC()}
	if err := s.findWallet(ctx, o, defaultMethod); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orders) >= mostOrders {
		return nil, fmt.Errorf("the sample shop takes at most %d orders: start a new demo", mostOrders)
	}
	s.orders[o.ID] = o
	return o.clone(), save(s.config.File, s.orders)
}

// ChooseMethod changes what the customer pays by.
func (s *Shop) ChooseMethod(ctx context.Context, id, method string) (*Order, error) {
	o, err := s.Order(id)
	if err != nil {
		return nil, err
	}
	if o.State() == Paid {
		return o, ErrPaid
	}
	if err := s.findWallet(ctx, o, method); err != nil {
		return o, err
	}
	return s.change(id, func(now *Order) error {
		now.Method, now.Payee, now.Name, now.UPILink = o.Method, o.Payee, o.Name, o.UPILink
		now.note(o.Trail[len(o.Trail)-1])
		return nil
	})
}

const defaultMethod = "upi_l"

// findWallet fills in where an order is to be paid to.
func (s *Shop) findWallet(ctx context.Context, o *Order, method string) error {
	w, x, err := s.gateway.create(ctx, method, createRequest{Currency: money.INR, Label: o.Customer, Amount: o.Total})
	if err != nil {
		return err
	}
	o.Method, o.Payee, o.Name, o.UPILink = method, w.Identifier, w.Name, w.UPILink
	o.Trail = append(o.Trail, x)
	return nil
}

// mostAttempts bounds the UTRs entered for one order.
const mostAttempts = 20

// Claim passes a UTR that the customer entered on to the gateway. The same UTR
// again repeats its call, which changes nothing.
func (s *Shop) Claim(ctx context.Context, id string, utr upi.UTR) (*Order, error) {
	var a Attempt
	o, err := s.change(id, func(o *Order) error {
		if o.State() == Paid {
			return ErrPaid
		}
		for _, known := range o.Attempts {
			if known.UTR == utr && known.Method == o.Method {
				a = known
				return nil
			}
		}
		if len(o.Attempts) >= mostAttempts {
			return ErrTooMany
		}
		a = Attempt{CustomID: o.ID + "-" + strconv.Itoa(len(o.Attempts)+1), UTR: utr, Method: o.Method}
		o.Attempts = append(o.Attempts, a)
		return nil
	})
	if err != nil {
		return o, err
	}
	out, x, err := s.gateway.activate(ctx, activateRequest{
		Currency: money.INR, Method: a.Method, Label: o.Customer, UTR: a.UTR, Amount: o.Total, CustomID: a.CustomID,
	})
	if err != nil {
		return o, err
	}
	return s.change(id, func(o *Order) error {
		o.note(x)
		o.heard(a.CustomID, out)
		return nil
	})
}

// Refresh asks the gateway how the latest attempt stands, while it is open.
func (s *Shop) Refresh(ctx context.Context, id string) (*Order, error) {
	o, err := s.Order(id)
	if err != nil || o.State() != Checking {
		return o, err
	}
	last := o.Last()
	out, x, err := s.gateway.status(ctx, last.CustomID)
	if err != nil || (out.Status == last.Status && out.Message == last.Message) {
		return o, err
	}
	return s.change(id, func(o *Order) error {
		o.note(x)
		o.heard(last.CustomID, out)
		return nil
	})
}

// heard writes down what the gateway said of an attempt.
func (o *Order) heard(customID string, out outcome) {
	for i := range o.Attempts {
		if o.Attempts[i].CustomID == customID {
			o.Attempts[i].Status, o.Attempts[i].Message = out.Status, out.Message
		}
	}
}

// Receive takes a verified postback. A repeat changes nothing. An amount other
// than the order's is written down and pays nothing. A postback for no order
// of this shop fails with ErrNoOrder.
func (s *Shop) Receive(p Postback, body string) (*Order, error) {
	id, ok := s.orderOf(p)
	if !ok {
		return nil, ErrNoOrder
	}
	return s.change(id, func(o *Order) error {
		if slices.ContainsFunc(o.Receipts, func(r Receipt) bool { return r.MessageID == p.MessageID }) {
			return nil
		}
		now := s.config.Now().UTC()
		o.Receipts = append(o.Receipts, Receipt{MessageID: p.MessageID, UTR: p.UTR, Amount: p.Amount, At: now})
		o.note(Exchange{At: now, Call: "Postback received, both signatures right", Request: Shorten(body), Status: http.StatusOK, Answer: postbackOK})
		return nil
	})
}

func (s *Shop) orderOf(p Postback) (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.orders {
		for _, a := range o.Attempts {
			if a.CustomID == p.CustomID && o.Customer == p.Label && p.Currency == money.INR {
				return o.ID, true
			}
		}
	}
	return "", false
}

// randomID is a name that nobody guesses, short enough to read out.
func randomID() string {
	const length = 12
	return rand.Text()[:length]
}
