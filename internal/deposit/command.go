package deposit

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payment"
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
	c.UTR, c.State, c.Reasons, c.SettledAt, c.History = utr, Waiting, nil, time.Time{}, history
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

// MaxAmount bounds one credit, at a trillion rupees: far above any payment, and
// far enough below what a balance holds that a bank's whole day of them fits.
const MaxAmount money.Paise = 1_000_000_000_000_00

// ingest takes a feed's report.
type ingest struct {
	feed    *directory.Feed
	entries []feed.Entry
	places  []int // each entry's place in the report
	// referrals are the payments whose references the entries carry.
	referrals map[string]*Referral

	summary feed.Summary // the answer
}

func (*ingest) name() string     { return "ingest" }
func (g *ingest) caller() string { return "feed:" + g.feed.ID }
func (g *ingest) weight() int    { return len(g.entries) + len(g.referrals) }

func (g *ingest) need(k *Keys, dir *directory.Snapshot) {
	for i := range g.entries {
		k.UTRs[g.entries[i].UTR] = struct{}{}
	}
	for _, r := range g.referrals {
		r.need(k, dir)
	}
}

func (g *ingest) run(b *book) error {
	g.summary = feed.Summary{}
	wallet := b.dir.Wallet(g.feed.Wallet)
	if wallet == nil {
		return fmt.Errorf("feed %s: wallet %s is not in the directory", g.feed.ID, g.feed.Wallet)
	}
	for i := range g.entries {
		e := &g.entries[i]
		if e.Currency != wallet.Currency {
			g.refuse(i, fmt.Sprintf("currency %s is not the wallet's: it takes %s", e.Currency, wallet.Currency))
			continue
		}
		if e.Amount > MaxAmount {
			g.refuse(i, fmt.Sprintf("amount is above %s rupees, the most that is taken for one payment", MaxAmount))
			continue
		}
		if err := g.take(b, i, e); err != nil {
			return err
		}
	}
	return nil
}

func (g *ingest) refuse(i int, why string) {
	g.summary.Refused = append(g.summary.Refused, feed.Refusal{Index: g.places[i], Error: why})
}

func (g *ingest) take(b *book, i int, e *feed.Entry) error {
	actor := "feed:" + g.feed.ID
	for _, known := range b.facts.Credits[e.UTR] {
		if b.sameAccount(known.Wallet, g.feed.Wallet) {
			return g.takeAgain(b, actor, i, known, e)
		}
	}
	credit := &Credit{
		ID: b.nextID(), Wallet: g.feed.Wallet, Entry: *e, Feed: g.feed.ID,
		ReceivedAt: b.now, State: Unclaimed,
	}
	asset, err := b.dir.Account(ledger.WalletCode(credit.Wallet))
	if err != nil {
		return err
	}
	suspense, err := b.dir.Account(ledger.SuspenseCode(credit.Wallet))
	if err != nil {
		return err
	}
	b.fresh[credit] = true
	b.changes.NewCredits = append(b.changes.NewCredits, credit)
	b.facts.Credits[e.UTR] = append(b.facts.Credits[e.UTR], credit)
	b.changes.WalletUse[WalletDay{credit.Wallet, DayOf(credit.At)}] += credit.Amount
	b.changes.Postings = append(b.changes.Postings, ledger.Posting{
		TransactionID: credit.ID, Line: 1, Kind: ledger.CreditReceived,
		Debit: asset, Credit: suspense, Amount: credit.Amount, Currency: credit.Currency, At: b.now,
	})
	b.record(actor, "credit.received", credit.ID, "on wallet "+credit.Wallet)
	g.summary.Accepted++
	return g.settle(b, actor, credit)
}

// settle weighs the claims that a credit could settle, and where none took it
// looks for the payment whose reference it carries.
func (g *ingest) settle(b *book, actor string, credit *Credit) error {
	credited, err := b.settleOpen(actor, credit)
	if err != nil {
		return err
	}
	if len(g.referrals) > 0 && !credited {
		if r := g.referrals[payment.FindReference(credit.Note, credit.Reference)]; r != nil {
			if credited, err = b.refer(credit, r); err != nil {
				return err
			}
		}
	}
	if credited {
		g.summary.Matched++
	}
	return nil
}

// takeAgain takes a second report of one credit: it may confirm the first, add
// what that left out, or contradict it.
func (g *ingest) takeAgain(b *book, actor string, i int, known *Credit, e *feed.Entry) error {
	if known.Amount != e.Amount {
		if !known.Contested {
			known.Contested = true
			b.touchCredit(known)
			b.record(actor, "credit.contested", known.ID, fmt.Sprintf("reported again as %s instead of %s", e.Amount, known.Amount))
			if _, err := b.settleOpen(actor, known); err != nil {
				return err
			}
		}
		if known.State == Bound {
			g.refuse(i, fmt.Sprintf("UTR %s is known with another amount and credited: compare with the bank; credit %d is marked", e.UTR.Masked(), known.ID))
		} else {
			g.refuse(i, fmt.Sprintf("UTR %s is known with another amount: claims on it are sent to review", e.UTR.Masked()))
		}
		return nil
	}
	g.summary.Duplicate++
	changed := false
	fill := func(have *string, reported string) {
		if *have == "" && reported != "" {
			*have, changed = reported, true
		}
	}
	if known.State == Unclaimed { // a deposit's postback has told who paid
		fill(&known.PayerVPA, e.PayerVPA)
		fill(&known.PayerName, e.PayerName)
	}
	fill(&known.Note, e.Note)
	fill(&known.Reference, e.Reference)
	confirmed := e.Trust > known.Trust
	if confirmed {
		known.Trust = e.Trust
		b.record(actor, "credit.confirmed", known.ID, "reported by "+g.feed.ID+" too")
	}
	if changed || confirmed {
		b.touchCredit(known)
	}
	// Also where nothing is new about it: a claim may have become able to have
	// the credit since, by a change of the directory.
	return g.settle(b, actor, known)
}

// review is an operator's word on a pending claim.
type review struct {
	ref     ClaimRef
	actor   string
	why     string
	approve bool
	credit  int64 // the credit to bind; 0 takes the candidate

	claim Claim // the answer
}

func (*review) name() string   { return "review" }
func (*review) caller() string { return "operator" }
func (*review) weight() int    { return 1 }

func (r *review) need(k *Keys, _ *directory.Snapshot) {
	k.UTRs[r.ref.UTR] = struct{}{}
	k.Claims[r.ref.ID] = struct{}{}
}

func (r *review) run(b *book) error {
	c := b.facts.Claims[r.ref.ID]
	if c == nil {
		return ErrNoClaim
	}
	if c.State != Pending {
		return refuse(NotPending, fmt.Sprintf("Claim %d is %s: only a pending claim can be approved or rejected", c.ID, c.State))
	}
	if !r.approve {
		b.close(r.actor, c, Rejected, c.Reasons)
		b.changes.Audit[len(b.changes.Audit)-1].Why = r.why
		r.claim = *c
		return nil
	}
	want := r.credit
	if want == 0 {
		want = c.CreditID
	}
	if want == 0 {
		return refuse(CreditNotFree, fmt.Sprintf("Claim %d could have more than one credit: name the one to bind", c.ID))
	}
	for _, credit := range b.eligible(c) {
		if credit.ID == want && credit.State == Unclaimed {
			if err := b.bind(r.actor, c, credit, r.why); err != nil {
				return err
			}
			r.claim = *c
			return nil
		}
	}
	return refuse(CreditNotFree, fmt.Sprintf("Credit %d is not free for claim %d: it is another claim's, was reversed, or is on a wallet that does not serve the merchant", want, c.ID))
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
