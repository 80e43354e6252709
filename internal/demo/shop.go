package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Errors of the shop whose text is meant for its customers.
var (
	ErrNoOrder   = errors.New("there is no such order")
	ErrNoProduct = errors.New("there is no such product")
	ErrPaid      = errors.New("this order is paid already")
	ErrFullShop  = errors.New("the sample shop takes no more orders: start a new demo")
)

// ShopConfig is what a shop works with; every field is needed.
type ShopConfig struct {
	Gateway       string      // base URL of the gateway's API and of its payment window
	Merchant      string      // the shop's id at the gateway
	Secret        string      // the merchant's pluginapi_secret
	WithdrawalKey string      // the merchant's withdrawal_private_key: it signs refunds
	Keys          client.Keys // to verify postbacks with
	URL           string      // base URL of the shop itself: payers come back to it
	Bank          string      // base URL of the sandbox bank, for the link to its UPI app
	Operator      string      // what a command of the gateway's operator begins with, to be shown: milaan
	// Others are the other merchants' servers, at /merchants/; nil where there are none.
	Others http.Handler
	File   string // where the orders are kept
	Now    func() time.Time
	Log    *slog.Logger
}

// Shop is a merchant of the gateway. It learns of money only by postback.
type Shop struct {
	config  ShopConfig
	gateway caller
	sdk     *client.Client   // for refunds
	proof   *client.Verifier // of postbacks

	refunding sync.Mutex // a refund asked for twice is asked for one after the other

	mu      sync.Mutex
	orders  map[string]*Order
	changed chan struct{} // closed at the next change
}

// NewShop opens a shop with the orders that its file has.
func NewShop(c ShopConfig) (*Shop, error) {
	proof, err := client.NewVerifier(c.Keys)
	if err != nil {
		return nil, err
	}
	// A page is waiting: the customer is told, rather than the call repeated.
	sdk, err := client.New(client.Config{
		API: c.Gateway, Merchant: c.Merchant, Secret: c.Secret, WithdrawalKey: c.WithdrawalKey,
		HTTP: &http.Client{Transport: recorder{c.Now}}, Timeout: callTimeout, Retries: -1,
	})
	if err != nil {
		return nil, err
	}
	s := &Shop{
		config: c, sdk: sdk, proof: proof, orders: make(map[string]*Order), changed: make(chan struct{}),
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

	// What the API says of it.
	Method  string  // wallet_type that the customer pays by
	Payee   upi.VPA // empty until Create
	Name    string  // the payee's
	UPILink string
	UTR     upi.UTR // as the shop claimed it; empty where the window did
	Status  string  // in the protocol's words; empty until there is a claim
	Message string  // that came with the status

	Returned Kind // what a payer brought back from the window, verified; empty before
	Receipts []Receipt
	Refunds  []Refund   // oldest first; all but the last are over
	Trail    []Exchange // every call about it, oldest first
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
	Awaiting  State = "awaiting payment"
	Checking  State = "checking"
	Paid      State = "paid"
	Refunding State = "refund under way"
	Refunded  State = "refunded"
)

// State tells how the order stands. It is paid when a postback brought exactly
// its total; nothing else makes it so, neither what the API answers nor what a
// payer brings back.
func (o *Order) State() State {
	claimed := o.Status != "" && o.Status != statusFail
	returned := o.Status == "" && (o.Returned == Success || o.Returned == Pending)
	switch r := o.Refund(); {
	case o.paid() && (r == nil || r.Over()):
		return Paid
	case o.paid() && r.State == client.WithdrawalSucceeded:
		return Refunded
	case o.paid():
		return Refunding
	case len(o.Receipts) == 0 && (claimed || returned):
		return Checking
	default:
		return Awaiting
	}
}

// paid says whether the order was paid, whatever was refunded since.
func (o *Order) paid() bool {
	return slices.ContainsFunc(o.Receipts, func(r Receipt) bool { return r.Amount == o.Total })
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
	c.Receipts, c.Refunds, c.Trail = slices.Clone(o.Receipts), slices.Clone(o.Refunds), slices.Clone(o.Trail)
	return &c
}

// note keeps exchanges, within bounds.
func (o *Order) note(said ...Exchange) {
	const most = 60
	o.Trail = append(o.Trail, said[:min(len(said), max(most-len(o.Trail), 0))]...)
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

// Place takes an order.
func (s *Shop) Place(customer, product string) (*Order, error) {
	p, ok := findProduct(product)
	if !ok {
		return nil, ErrNoProduct
	}
	o := &Order{
		ID: randomID(), Customer: customer, Product: p.ID, Total: p.Price, PlacedAt: s.config.Now().UTC(),
		Method: walletType,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orders) >= mostOrders {
		return nil, ErrFullShop
	}
	s.orders[o.ID] = o
	return o.clone(), save(s.config.File, s.orders)
}

// walletType is the method that the shop offers.
const walletType = "upi_l"

// Create asks the gateway where the customer is to pay to. The payment window
// does that by itself; this is for who pays without it.
func (s *Shop) Create(ctx context.Context, id string) (*Order, error) {
	o, err := s.Order(id)
	if err != nil {
		return nil, err
	}
	w, x, err := s.gateway.create(ctx, o.Method, createRequest{Currency: money.INR, Label: o.Customer, Amount: o.Total})
	if err != nil || w.UPILink == o.UPILink {
		return o, err
	}
	return s.change(id, func(o *Order) error {
		o.Payee, o.Name, o.UPILink = w.Identifier, w.Name, w.UPILink
		o.note(x)
		return nil
	})
}

// Claim passes a UTR on to the gateway by the API, for who pays without the
// payment window. An order has one claim: the same UTR again repeats its call,
// which changes nothing.
func (s *Shop) Claim(ctx context.Context, id string, utr upi.UTR) (*Order, error) {
	o, err := s.Order(id)
	if err != nil {
		return nil, err
	}
	if o.paid() {
		return o, ErrPaid
	}
	out, x, err := s.gateway.activate(ctx, activateRequest{
		Currency: money.INR, Method: o.Method, Label: o.Customer, UTR: utr, Amount: o.Total, CustomID: o.ID,
	})
	if err != nil {
		return o, err
	}
	return s.change(id, func(o *Order) error {
		o.UTR, o.Status, o.Message = utr, out.Status, out.Message
		o.note(x)
		return nil
	})
}

// Return takes down what a payer brought back from the payment window,
// verified by VerifyReturn. It pays nothing.
func (s *Shop) Return(id string, kind Kind) (*Order, error) {
	return s.change(id, func(o *Order) error {
		o.Returned = kind
		return nil
	})
}

// Refresh asks the gateway how the payment of an order stands, while it is
// open: the payer may have claimed it in the window. Of one that is paid, it asks
// how a refund under way stands.
func (s *Shop) Refresh(ctx context.Context, id string) (*Order, error) {
	o, err := s.Order(id)
	switch {
	case err != nil:
		return o, err
	case o.paid():
		return s.refreshRefund(ctx, o)
	}
	out, known, x, err := s.gateway.status(ctx, o.ID)
	if err != nil || !known || (out.Status == o.Status && out.Message == o.Message) {
		return o, err
	}
	return s.change(id, func(o *Order) error {
		o.Status, o.Message = out.Status, out.Message
		o.note(x)
		return nil
	})
}

// Receive takes a verified postback, of a payment or a refund. A repeat changes
// nothing. An amount other than the order's is written down and pays nothing. A
// postback for no order of this shop fails with ErrNoOrder.
func (s *Shop) Receive(p client.Postback, body string) (*Order, error) {
	if p.Withdrawal != nil {
		return s.receiveRefund(p, body)
	}
	return s.change(p.CustomID, func(o *Order) error {
		if o.Customer != p.Label || p.Currency != money.INR {
			return ErrNoOrder
		}
		if slices.ContainsFunc(o.Receipts, func(r Receipt) bool { return r.MessageID == p.ID }) {
			return nil
		}
		x := s.received(body)
		o.Receipts = append(o.Receipts, Receipt{MessageID: p.ID, UTR: p.UTR, Amount: p.Amount, At: x.At})
		o.note(x)
		return nil
	})
}

// received is a verified postback as an exchange.
func (s *Shop) received(body string) Exchange {
	return Exchange{
		At: s.config.Now().UTC(), Call: "Postback received, both signatures right",
		Request: Shorten(body), Status: http.StatusOK, Answer: postbackOK,
	}
}

// randomID is a name that nobody guesses, short enough to read out.
func randomID() string {
	const length = 12
	return rand.Text()[:length]
}
