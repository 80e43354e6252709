package deposit

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// command is a request that a batch decides. Both methods may be called again
// when a batch has to be run again, and run then starts afresh.
type command interface {
	// name is the request's kind, for metrics.
	name() string
	// caller is who makes it: nobody may fill the queue for all.
	caller() string
	// weight is how many records it may write; batches are bounded by it.
	weight() int
	// need names the facts it decides on.
	need(k *Keys, dir *directory.Snapshot)
	// run decides. An error of type *Refusal is the answer of this command
	// alone; any other ends the batch.
	run(b *book) error
}

// Activation is a request to credit a payment (protocol, section 3).
type Activation struct {
	Merchant string
	CustomID string
	Method   string
	Label    string
	UTR      upi.UTR
	Amount   money.Paise
	Currency money.Currency
	Addr     netip.Addr // the payer's, where known
	Via      string     // "api", "window"
}

type activate struct {
	Activation
	claim Claim // the answer
}

func (*activate) name() string     { return "activate" }
func (a *activate) caller() string { return "merchant:" + a.Merchant }
func (*activate) weight() int      { return 1 }

func (a *activate) need(k *Keys, dir *directory.Snapshot) {
	k.UTRs[a.UTR] = struct{}{}
	k.Customs[CustomKey{a.Merchant, a.CustomID}] = struct{}{}
	k.Labels[LabelKey{a.Merchant, a.Method, a.Label}] = struct{}{}
	k.Merchants[a.Merchant] = struct{}{}
	k.share(dir, a.Merchant, a.Method)
	if a.Addr.IsValid() {
		k.Addresses[AddressKey{a.Merchant, a.Addr}] = struct{}{}
	}
}

func (a *activate) run(b *book) error {
	if c := b.facts.Customs[CustomKey{a.Merchant, a.CustomID}]; c != nil {
		if !c.sameRequest(a.Activation) {
			return refuse(CustomIDUsed, "custom_transaction_id was used before with other content: send a new one")
		}
		if err := b.reconsider(a.Via+":"+a.Merchant, c); err != nil {
			return err
		}
		if c.Overdue(b.now) {
			b.close("system", c, Expired, nil)
		}
		a.claim = *c
		return nil
	}
	if _, err := usableMethod(b.dir, a.Merchant, a.Method, a.Currency); err != nil {
		return err
	}
	c := &Claim{
		ID: b.nextID(), Merchant: a.Merchant, CustomID: a.CustomID, Method: a.Method, Label: a.Label,
		UTR: a.UTR, Amount: a.Amount, Currency: a.Currency, Addr: a.Addr, Via: a.Via,
		State: Waiting, CreatedAt: b.now, ExpiresAt: b.now.Add(b.policy.ClaimTTL),
	}
	c.History = b.history(c)
	b.addClaim(c)
	if err := b.follow(a.Via+":"+a.Merchant, c, b.weigh(c)); err != nil {
		return err
	}
	b.noteFailure(c)
	a.claim = *c
	return nil
}

// amend changes the UTR of a claim that has no credit: a payer who mistyped it
// corrects it in the payment window.
type amend struct {
	Activation
	old   ClaimRef
	claim Claim // the answer
}

func (*amend) name() string     { return "amend" }
func (a *amend) caller() string { return "merchant:" + a.Merchant }
func (*amend) weight() int      { return 1 }

func (a *amend) need(k *Keys, dir *directory.Snapshot) {
	(&activate{Activation: a.Activation}).need(k, dir)
	k.UTRs[a.old.UTR] = struct{}{}
}

func (a *amend) run(b *book) error {
	c := b.facts.Customs[CustomKey{a.Merchant, a.CustomID}]
	switch {
	case c == nil:
		return ErrNoClaim
	case c.UTR != a.old.UTR:
		// Somebody amended it first; that is how it stands.
		a.claim = *c
		return nil
	case c.State != Waiting && c.State != Refused:
		return refuse(NotAmendable, fmt.Sprintf("The UTR can't be changed any more: the payment is %s", c.State))
	}
	if _, err := usableMethod(b.dir, a.Merchant, a.Method, a.Currency); err != nil {
		return err
	}
	actor := a.Via + ":" + a.Merchant
	b.record(actor, "claim.amended", c.ID, "UTR "+a.old.UTR.Masked()+" was mistyped")
	// The row forgets the UTR it named before, so the claim itself remembers how
	// many those were: each correction is one more guess.
	history := b.history(c)
	history.LabelFailures = max(history.LabelFailures, c.History.LabelFailures) + 1
	history.SharedFailures = max(history.SharedFailures, c.History.SharedFailures) + 1
	if c.Addr.IsValid() {
		history.AddressFailures = max(history.AddressFailures, c.History.AddressFailures) + 1
	}
	if err := b.rename(actor, c, a.UTR, history); err != nil {
		return err
	}
	b.noteFailure(c)
	a.claim = *c
	return nil
}

// rename gives a claim that waits or was refused another UTR, and weighs it as if
// it were new.
func (b *book) rename(actor string, c *Claim, utr upi.UTR, history History) error {
	b.facts.Contenders[c.UTR] = slices.DeleteFunc(b.facts.Contenders[c.UTR], func(other *Claim) bool { return other == c })
	b.move(c, Waiting)
	c.UTR, c.Reasons, c.SettledAt, c.History = utr, nil, time.Time{}, history
	c.ExpiresAt = b.now.Add(b.policy.ClaimTTL)
	b.facts.Contenders[c.UTR] = append(b.facts.Contenders[c.UTR], c)
	b.touchClaim(c)
	return b.follow(actor, c, b.weigh(c))
}

// usableMethod finds a method that the merchant takes payments by now.
func usableMethod(dir *directory.Snapshot, merchant, walletType string, currency money.Currency) (*directory.Method, error) {
	m := dir.Merchant(merchant)
	if m == nil || m.Retired {
		return nil, refuse(MerchantGone, "This merchant takes no payments")
	}
	method := dir.Method(walletType)
	if method == nil || method.Retired {
		return nil, refuse(MethodUnknown, fmt.Sprintf("Payment method %s is not known here", walletType))
	}
	if !m.MethodOn(method) {
		return nil, refuse(MethodOff, fmt.Sprintf("Payment method %s is switched off", walletType))
	}
	if currency != money.INR {
		return nil, refuse(CurrencyUnknown, fmt.Sprintf("Currency %s is not served: use INR", currency))
	}
	return method, nil
}

// expire ends a claim whose time is up.
type expire struct{ ref ClaimRef }

func (*expire) name() string   { return "expire" }
func (*expire) caller() string { return "system" }
func (*expire) weight() int    { return 1 }

func (e *expire) need(k *Keys, _ *directory.Snapshot) {
	k.UTRs[e.ref.UTR] = struct{}{}
	k.Claims[e.ref.ID] = struct{}{}
}

func (e *expire) run(b *book) error {
	c := b.facts.Claims[e.ref.ID]
	// The credit may have come in the meantime: then there is nothing to end.
	if c == nil || !c.Overdue(b.now) {
		return nil
	}
	if err := b.reconsider("system", c); err != nil {
		return err
	}
	if c.State == Waiting {
		b.close("system", c, Expired, nil)
	}
	return nil
}
