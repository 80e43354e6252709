package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Errors of a refund; their text is meant for the customer.
var (
	ErrNotPaid     = errors.New("this order is not paid: there is nothing to refund")
	ErrManyRefunds = errors.New("this order had too many refunds that failed: buy something new")
)

// Payee is the account that a refund goes to.
type Payee struct {
	Account upi.AccountNumber // the sandbox chooses the outcome by its last two digits
	IFSC    upi.IFSC
	Name    string // 1 to 30 letters and spaces
}

// Refund is a try at giving a customer the money back, by IMPS (protocol,
// section 6).
type Refund struct {
	// ID is the withdrawal_id. It is the order's with a number, kept before the
	// gateway is asked: asked again, it is the same withdrawal.
	ID     string
	To     Payee
	Amount money.Paise
	At     time.Time // UTC
	// State is empty as long as it is not known whether the gateway took it. Only
	// a postback makes it final.
	State   client.WithdrawalState
	BankRef upi.UTR // once it succeeded
	Refused string  // why the gateway did not take it; empty where it may have
}

// Over says whether the money is with the shop, so that it may be refunded
// again.
func (r *Refund) Over() bool {
	return r.Refused != "" || r.State == client.WithdrawalFailed || r.State == client.WithdrawalCanceled
}

// Refund is the latest of the order, or nil.
func (o *Order) Refund() *Refund {
	if len(o.Refunds) == 0 {
		return nil
	}
	return &o.Refunds[len(o.Refunds)-1]
}

// nextRefund is the id of a refund that is to be made.
func (o *Order) nextRefund() string { return fmt.Sprintf("%s-%d", o.ID, len(o.Refunds)+1) }

// mostRefunds bounds the tries of an order.
const mostRefunds = 10

// Refund gives money of a paid order back. While there is a refund that is not
// over, it asks for no other one: if it is not known whether the gateway took it,
// the same is sent again. That the gateway refuses it is no error; it is written
// down with the refund.
func (s *Shop) Refund(ctx context.Context, id string, to Payee, amount money.Paise) (*Order, error) {
	s.refunding.Lock()
	defer s.refunding.Unlock()
	o, err := s.change(id, func(o *Order) error {
		switch r := o.Refund(); {
		case !o.paid():
			return ErrNotPaid
		case r != nil && !r.Over():
			return nil
		case len(o.Refunds) >= mostRefunds:
			return ErrManyRefunds
		}
		o.Refunds = append(o.Refunds, Refund{ID: o.nextRefund(), To: to, Amount: amount, At: s.config.Now().UTC()})
		return nil
	})
	if err != nil || o.Refund().State != "" {
		return o, err
	}
	r := o.Refund()
	var said []Exchange
	_, asked := s.sdk.Withdraw(record(ctx, &said), client.Withdrawal{
		ID: r.ID, Label: o.Customer, Amount: r.Amount, AccountNumber: string(r.To.Account), AccountName: r.To.Name, IFSC: r.To.IFSC,
	})
	return s.change(id, func(o *Order) error {
		o.note(said...)
		switch r := o.Refund(); {
		case errors.Is(asked, client.ErrUncertain) || r.State != "": // the postback may be here already
		case asked != nil:
			r.Refused = inWords(asked)
		default:
			r.State = client.WithdrawalNew
		}
		return nil
	})
}

// inWords is a refusal for people.
func inWords(err error) string {
	if errors.Is(err, client.ErrInsufficientBalance) {
		return "insufficient balance."
	}
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		return sentence(refusal)
	}
	return sentence(err)
}

// refreshRefund asks how a refund under way stands. What it says of the end is
// left to the postback.
func (s *Shop) refreshRefund(ctx context.Context, o *Order) (*Order, error) {
	r := o.Refund()
	if r == nil || r.Over() || r.State == "" || r.State.Final() {
		return o, nil
	}
	var said []Exchange
	p, err := s.sdk.WithdrawalStatus(record(ctx, &said), r.ID)
	if err != nil || p.State == r.State || p.State.Final() {
		return o, err
	}
	return s.change(o.ID, func(o *Order) error {
		if now := o.Refund(); now.ID == r.ID && !now.State.Final() {
			now.State = p.State
			o.note(said...)
		}
		return nil
	})
}

// receiveRefund takes a verified postback of a refund. A repeat changes nothing;
// nor does that it succeeded, once it is known that the money came back. The error
// is ErrNoOrder where it is no refund of this shop.
func (s *Shop) receiveRefund(p client.Postback, body string) (*Order, error) {
	id, _, _ := strings.Cut(p.Withdrawal.ID, "-")
	return s.change(id, func(o *Order) error {
		i := slices.IndexFunc(o.Refunds, func(r Refund) bool { return r.ID == p.Withdrawal.ID })
		if i < 0 || o.Customer != p.Label || o.Refunds[i].Amount != p.Amount || p.Currency != money.INR || !p.Withdrawal.State.Final() {
			return ErrNoOrder
		}
		r := &o.Refunds[i]
		if r.State == p.Withdrawal.State || r.Over() {
			return nil
		}
		r.State, r.BankRef = p.Withdrawal.State, p.UTR
		o.note(s.received(body))
		return nil
	})
}

// Balance asks what the shop has at the gateway.
func (s *Shop) Balance(ctx context.Context) (balance client.Balance, x Exchange, err error) {
	var said []Exchange
	balances, err := s.sdk.Balances(record(ctx, &said))
	if len(said) > 0 {
		x = said[0]
	}
	i := slices.IndexFunc(balances, func(b client.Balance) bool { return b.Currency == money.INR })
	if err == nil && i < 0 {
		err = fmt.Errorf("%w: it told no balance in rupees", errGateway)
	}
	if err != nil {
		return balance, x, err
	}
	return balances[i], x, nil
}

// sandboxAccount is an account number without its last two digits, another one for
// every refund: the same amount to the same account would wait for a person.
func sandboxAccount(refund string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(refund)) // never fails
	return fmt.Sprintf("5010%07d", h.Sum32()%10_000_000)
}

// recorder is the SDK's way to the gateway. It keeps the calls that are made with
// a context of record.
type recorder struct{ now func() time.Time }

type recordKey struct{}

func record(ctx context.Context, said *[]Exchange) context.Context {
	return context.WithValue(ctx, recordKey{}, said)
}

// RoundTrip makes a call.
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	said, ok := req.Context().Value(recordKey{}).(*[]Exchange)
	if !ok {
		return http.DefaultTransport.RoundTrip(req)
	}
	x := Exchange{At: r.now().UTC(), Call: req.Method + " " + req.URL.RequestURI()}
	defer func() { *said = append(*said, x) }()
	asked, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	x.Request = string(asked)
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(asked))
	res, err := http.DefaultTransport.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	x.Status, x.Answer = res.StatusCode, string(answer)
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, nil
}
