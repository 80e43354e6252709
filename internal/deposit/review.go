package deposit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// What people decide. Everything here is somebody's word, with a reason; the
// rules of [Match] do not object to it, but those of the books do: a credit is
// had once, and by those only whose wallet it came on.

// Approval is a first person's word that a claim gets a credit, or that its deposit is
// undone, where a second person's is needed (see [Policy.FourEyes]).
type Approval struct {
	By     string      `json:"by"` // as the audit log names them
	Credit int64       `json:"credit"`
	Amount money.Paise `json:"amount"` // of the credit as they saw it
	At     time.Time   `json:"at"`
	Why    string      `json:"why"`
}

// Approve credits a claim on an operator's word: a pending one with the credit of
// that id or, for 0, its candidate, a waiting one with the credit that is named.
// The credit may have another UTR than the claim, which was mistyped then. Above
// the policy's FourEyes the first person's word is kept in the claim, which stays
// pending, and another person's credits it. A *Refusal says why it can't be.
func (d *Desk) Approve(ctx context.Context, claim, credit int64, actor, why string) (Claim, error) {
	c, err := d.Store.FindClaim(ctx, claim)
	if err != nil {
		return Claim{}, err
	}
	cmd := &review{ref: ClaimRef{ID: c.ID, UTR: c.UTR}, approve: true, credit: credit, actor: actor, why: why}
	if wanted := cmp.Or(credit, c.CreditID); wanted != 0 {
		switch found, err := d.Store.FindCredit(ctx, wanted); {
		case err == nil:
			cmd.utr = found.UTR
		case !errors.Is(err, ErrNoCredit): // which the batch refuses
			return Claim{}, err
		}
	}
	err = d.do(ctx, cmd)
	return cmd.claim, err
}

// Reject ends a pending claim on an operator's word.
func (d *Desk) Reject(ctx context.Context, claim int64, actor, why string) (Claim, error) {
	c, err := d.Store.FindClaim(ctx, claim)
	if err != nil {
		return Claim{}, err
	}
	cmd := &review{ref: ClaimRef{ID: c.ID, UTR: c.UTR}, actor: actor, why: why}
	err = d.do(ctx, cmd)
	return cmd.claim, err
}

// Clear takes the mark off a contested credit on an operator's word: they compared
// it with the bank. A *Refusal says why it can't be. Claims in review because of
// it are approved or rejected apart.
func (d *Desk) Clear(ctx context.Context, credit int64, actor, why string) error {
	c, err := d.Store.FindCredit(ctx, credit)
	if err != nil {
		return err
	}
	return d.do(ctx, &clearing{id: c.ID, utr: c.UTR, actor: actor, why: why})
}

// Gift is an unclaimed credit and the label that a person gives it to.
type Gift struct {
	Credit   int64
	Merchant string // one that a wallet of the credit's account serves
	Label    string // the merchant's name of the paying user, 1 to 36 characters
	// CustomID is the claim's custom_transaction_id, 1 to 36 characters; where
	// empty, "credit-" and the credit's number.
	CustomID string
}

// mostGifts is how often one credit may be given under a custom id of its own,
// having been taken back each time.
const mostGifts = 20

// Give credits an unclaimed credit to a label on an operator's word, by a claim
// made for it; the merchant's postback follows as for any other. Where a claim
// asks for the credit already, that one is to be decided: a *Refusal says so, and
// why else it can't be. Four eyes are needed as in [Desk.Approve]: the second
// person gives the same, or approves the claim.
func (d *Desk) Give(ctx context.Context, g Gift, actor, why string) (Claim, error) {
	if !nameable(g.Label) || g.CustomID != "" && !nameable(g.CustomID) {
		return Claim{}, refuse(LabelInvalid, "A label, and a custom id, has 1 to 36 characters that can be seen")
	}
	credit, err := d.Store.FindCredit(ctx, g.Credit)
	if err != nil {
		return Claim{}, err
	}
	custom, again := g.CustomID, (*Claim)(nil)
	for n := 1; again == nil; n++ {
		if g.CustomID == "" {
			custom = fmt.Sprintf("credit-%d", credit.ID)
			if n > 1 {
				custom = fmt.Sprintf("credit-%d.%d", credit.ID, n)
			}
		}
		before, err := d.Store.FindClaimByKey(ctx, CustomKey{g.Merchant, custom})
		if errors.Is(err, ErrNoClaim) || n == mostGifts {
			break
		}
		if err != nil {
			return Claim{}, err
		}
		switch {
		case before.State == Pending && before.Via == viaHand && before.UTR == credit.UTR && before.Label == g.Label:
			again = before // the second person gives what the first gave
		case g.CustomID != "":
			return Claim{}, refuse(CustomIDUsed, fmt.Sprintf("%s has a payment with the custom id %s already: name another", g.Merchant, custom))
		}
	}
	if again != nil {
		return d.Approve(ctx, again.ID, credit.ID, actor, why)
	}
	cmd := &give{Gift: g, custom: custom, utr: credit.UTR, actor: actor, why: why}
	err = d.do(ctx, cmd)
	return cmd.claim, err
}

// nameable reports whether a text is fit for a label or a custom id (protocol,
// section 3).
func nameable(text string) bool {
	n := utf8.RuneCountInString(text)
	return n >= 1 && n <= 36 && utf8.ValidString(text) && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, unicode.IsControl)
}

// Undo takes a deposit back on an operator's word: its money goes from the
// merchant to suspense, its fee back to the merchant, its credit is free again
// and its claim rejected. A postback that was not delivered yet is stopped. Above
// the policy's FourEyes the first person's word is kept in the claim, which stays
// credited, and another person's undoes it. A *Refusal says why it can't be: the
// merchant's free balance must cover it.
func (d *Desk) Undo(ctx context.Context, claim int64, actor, why string) (Claim, error) {
	c, err := d.Store.FindClaim(ctx, claim)
	if err != nil {
		return Claim{}, err
	}
	cmd := &undo{ref: ClaimRef{ID: c.ID, UTR: c.UTR}, merchant: c.Merchant, actor: actor, why: why}
	err = d.do(ctx, cmd)
	return cmd.claim, err
}

// person is the caller of all that people decide.
const person = "operator"

// viaHand is the door of claims that a person made.
const viaHand = "operator"

// review is an operator's word on a claim.
type review struct {
	ref     ClaimRef
	actor   string
	why     string
	approve bool
	credit  int64   // the credit to bind; 0 takes the candidate
	utr     upi.UTR // the credit's

	claim Claim // the answer
}

func (*review) name() string   { return "review" }
func (*review) caller() string { return person }
func (*review) weight() int    { return 1 }

func (r *review) need(k *Keys, _ *directory.Snapshot) {
	k.UTRs[r.ref.UTR] = struct{}{}
	k.Claims[r.ref.ID] = struct{}{}
	if r.utr != "" {
		k.UTRs[r.utr] = struct{}{}
	}
}

func (r *review) run(b *book) error {
	c := b.facts.Claims[r.ref.ID]
	switch {
	case c == nil:
		return ErrNoClaim
	case c.State != Pending && !(r.approve && r.credit != 0 && c.State == Waiting && !c.Overdue(b.now)):
		return refuse(NotPending, fmt.Sprintf("Claim %d is %s: only a pending claim can be approved or rejected", c.ID, c.State))
	case c.UTR != r.ref.UTR:
		return refuse(NotPending, fmt.Sprintf("Claim %d was given another UTR meanwhile: look at it again", c.ID))
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
	for _, credit := range slices.Concat(b.facts.Credits[c.UTR], b.facts.Credits[r.utr]) {
		if credit.ID == want && credit.State == Unclaimed && b.fits(c, credit) {
			if err := b.approve(r.actor, c, credit, r.why); err != nil {
				return err
			}
			r.claim = *c
			return nil
		}
	}
	return refuse(CreditNotFree, fmt.Sprintf("Credit %d is not free for claim %d: it is another claim's, was reversed, or is on a wallet that does not serve the merchant", want, c.ID))
}

// approve gives a credit to an open claim on a person's word, or keeps that word
// where a second person's is needed.
func (b *book) approve(actor string, c *Claim, credit *Credit, why string) error {
	if limit := b.policy.FourEyes; limit > 0 && credit.Amount > limit {
		// What a first person saw must be what the second one sees.
		first := c.History.Approval
		if first == nil || first.Credit != credit.ID || first.Amount != credit.Amount {
			b.propose(actor, c, credit, why)
			return nil
		}
		if OnePerson(first.By, actor) {
			return refuse(SamePerson, fmt.Sprintf("You approved claim %d already: above %s rupees a second person has to", c.ID, limit))
		}
	}
	if credit.UTR != c.UTR {
		b.record(actor, "claim.amended", c.ID, fmt.Sprintf("UTR %s was mistyped: credit %d is the payment", c.UTR.Masked(), credit.ID))
		b.facts.Contenders[c.UTR] = slices.DeleteFunc(b.facts.Contenders[c.UTR], func(other *Claim) bool { return other == c })
		if c.History.Named == "" {
			c.History.Named = c.UTR
		}
		c.UTR = credit.UTR
		b.facts.Contenders[c.UTR] = append(b.facts.Contenders[c.UTR], c)
		b.touchClaim(c)
	}
	return b.bind(actor, c, credit, why)
}

// propose keeps a first person's word.
func (b *book) propose(actor string, c *Claim, credit *Credit, why string) {
	if c.State == Waiting {
		b.hold(actor, c, Decision{Credit: credit, Reasons: Reasons{ByHand}})
	}
	c.CreditID = credit.ID
	c.History.Approval = &Approval{By: actor, Credit: credit.ID, Amount: credit.Amount, At: b.now, Why: why}
	b.touchClaim(c)
	b.record(actor, "review.approved", c.ID, fmt.Sprintf("credit %d: %s", credit.ID, why))
}

// OnePerson reports whether two actors are one person, whichever door they came
// by: "user:asha@example.com" and "operator:asha@example.com" are.
func OnePerson(a, b string) bool {
	name := func(actor string) string {
		if _, after, ok := strings.Cut(actor, ":"); ok {
			actor = after
		}
		return strings.ToLower(strings.TrimSpace(actor))
	}
	return name(a) == name(b)
}

// give makes a claim for an unclaimed credit, and credits it.
type give struct {
	Gift
	custom string
	utr    upi.UTR // the credit's
	actor  string
	why    string

	claim Claim // the answer
}

func (*give) name() string   { return "give" }
func (*give) caller() string { return person }
func (*give) weight() int    { return 1 }

func (g *give) need(k *Keys, _ *directory.Snapshot) {
	k.UTRs[g.utr] = struct{}{}
	k.Customs[CustomKey{g.Merchant, g.custom}] = struct{}{}
}

func (g *give) run(b *book) error {
	var credit *Credit
	for _, c := range b.facts.Credits[g.utr] {
		if c.ID == g.Credit {
			credit = c
		}
	}
	if credit == nil || credit.State != Unclaimed {
		return refuse(CreditNotFree, fmt.Sprintf("Credit %d is not free: it is a claim's, or was reversed", g.Credit))
	}
	merchant := b.dir.Merchant(g.Merchant)
	if merchant == nil || merchant.Retired {
		return refuse(MerchantGone, fmt.Sprintf("Merchant %s takes no payments", g.Merchant))
	}
	method := b.methodOf(credit, g.Merchant)
	if method == "" {
		return refuse(CreditNotFree, fmt.Sprintf("Credit %d came on a wallet that does not serve merchant %s", credit.ID, g.Merchant))
	}
	for _, other := range b.facts.Contenders[credit.UTR] {
		if other.State.Open() && !other.Overdue(b.now) && b.fits(other, credit) {
			return refuse(ClaimOpen, fmt.Sprintf("Claim %d asks for credit %d: approve or reject it first", other.ID, credit.ID))
		}
	}
	if b.facts.Customs[CustomKey{g.Merchant, g.custom}] != nil {
		return refuse(CustomIDUsed, fmt.Sprintf("%s has a payment with the custom id %s already: name another", g.Merchant, g.custom))
	}
	c := &Claim{
		ID: b.nextID(), Merchant: g.Merchant, CustomID: g.custom, Method: method, Label: g.Label,
		UTR: credit.UTR, Amount: credit.Amount, Currency: credit.Currency, Via: viaHand,
		State: Waiting, CreatedAt: b.now, ExpiresAt: b.now.Add(b.policy.ClaimTTL),
	}
	b.addClaim(c)
	if err := b.approve(g.actor, c, credit, g.why); err != nil {
		return err
	}
	g.claim = *c
	return nil
}

// methodOf is the method by which a merchant could have a credit: that of the
// wallet it came on, or else of another on its account; empty where none serves
// the merchant.
func (b *book) methodOf(credit *Credit, merchant string) (method string) {
	for _, w := range b.twins(credit.Wallet) {
		if w.Serves(merchant) && (method == "" || w.ID == credit.Wallet) {
			method = w.Method
		}
	}
	return method
}

// undo takes a deposit back.
type undo struct {
	ref      ClaimRef
	merchant string
	actor    string
	why      string

	claim Claim // the answer
}

func (*undo) name() string   { return "undo" }
func (*undo) caller() string { return person }
func (*undo) weight() int    { return 1 }

func (u *undo) need(k *Keys, _ *directory.Snapshot) {
	k.UTRs[u.ref.UTR] = struct{}{}
	k.Reported[u.ref.UTR] = struct{}{} // the bank may have taken it back
	k.Claims[u.ref.ID] = struct{}{}
	k.Deposits[u.ref.ID] = struct{}{}
	k.Owed[u.merchant] = struct{}{}
}

func (u *undo) run(b *book) error {
	c := b.facts.Claims[u.ref.ID]
	if c == nil {
		return ErrNoClaim
	}
	dep := b.facts.Deposits[c.ID]
	if c.State != Credited || dep == nil { // a deposit of this very batch is not loaded
		return refuse(NotCredited, fmt.Sprintf("Claim %d is %s: only a deposit can be undone", c.ID, c.State))
	}
	i := slices.IndexFunc(b.facts.Credits[c.UTR], func(credit *Credit) bool { return credit.ID == dep.CreditID })
	if i < 0 {
		return fmt.Errorf("credit %d of deposit %d is not kept", dep.CreditID, c.ID)
	}
	credit := b.facts.Credits[c.UTR][i]
	merchant, err := b.dir.Account(ledger.MerchantCode(c.Merchant))
	if err != nil {
		return err
	}
	// A liability stands in the books below zero.
	free := b.facts.Owed[c.Merchant] - ledger.Balances(b.changes.Postings)[merchant]
	if free < dep.Amount-dep.Fee {
		return refuse(InsufficientBalance, fmt.Sprintf("%s has %s rupees free, and the deposit brought %s: the rest was paid out or is held by withdrawals",
			c.Merchant, free, dep.Amount-dep.Fee))
	}
	if limit := b.policy.FourEyes; limit > 0 && dep.Amount > limit {
		first := c.History.Undoing
		if first == nil || first.Credit != credit.ID || first.Amount != dep.Amount {
			c.History.Undoing = &Approval{By: u.actor, Credit: credit.ID, Amount: dep.Amount, At: b.now, Why: u.why}
			b.touchClaim(c)
			b.record(u.actor, "deposit.undo_asked", c.ID, fmt.Sprintf("credit %d: %s", credit.ID, u.why))
			u.claim = *c
			return nil
		}
		if OnePerson(first.By, u.actor) {
			return refuse(SamePerson, fmt.Sprintf("You asked to undo deposit %d already: above %s rupees a second person has to", c.ID, limit))
		}
		c.History.Undoing = nil
	}
	if err := b.postUndone(dep, merchant, c.Currency); err != nil {
		return err
	}
	b.changes.Undone = append(b.changes.Undone, &Undone{Deposit: *dep, UndoneAt: b.now, By: u.actor, Why: u.why})
	delete(b.facts.Deposits, c.ID)
	b.tallyDeposit(c, dep, -1)
	b.record(u.actor, "deposit.undone", c.ID, fmt.Sprintf("credit %d: %s", credit.ID, u.why))

	c.Deposited = 0
	b.close(u.actor, c, Rejected, nil)
	b.changes.Audit[len(b.changes.Audit)-1].Why = "the deposit was undone"
	// Whoever claims the credit next meets a claim that a person turned down.
	b.facts.Contenders[c.UTR] = append(b.facts.Contenders[c.UTR], c)
	credit.State = Unclaimed
	credit.ClaimID = 0
	b.touchCredit(credit)
	u.claim = *c
	if err := b.reverseEarlier(u.actor, credit); err != nil || credit.State != Unclaimed {
		return err
	}
	_, err = b.settleOpen(u.actor, credit)
	return err
}

// The lines of a deposit's transaction: see depositPostings for the first two.
const (
	undoneLine    = 3
	feeUndoneLine = 4
)

func (b *book) postUndone(dep *Deposit, merchant int64, currency money.Currency) error {
	suspense, err := b.dir.Account(ledger.SuspenseCode(dep.Wallet))
	if err != nil {
		return err
	}
	b.changes.Postings = append(b.changes.Postings, ledger.Posting{
		TransactionID: dep.ID, Line: undoneLine, Kind: ledger.DepositUndone,
		Debit: merchant, Credit: suspense, Amount: dep.Amount, Currency: currency, At: b.now,
	})
	if dep.Fee == 0 {
		return nil
	}
	fees, err := b.dir.Account(ledger.FeesCode)
	if err != nil {
		return err
	}
	b.changes.Postings = append(b.changes.Postings, ledger.Posting{
		TransactionID: dep.ID, Line: feeUndoneLine, Kind: ledger.DepositFeeUndone,
		Debit: fees, Credit: merchant, Amount: dep.Fee, Currency: currency, At: b.now,
	})
	return nil
}

// clearing is an operator's word on a contested credit: they compared it with the
// bank.
type clearing struct {
	id    int64
	utr   upi.UTR
	actor string
	why   string
}

func (*clearing) name() string   { return "clear" }
func (*clearing) caller() string { return person }
func (*clearing) weight() int    { return 1 }

func (c *clearing) need(k *Keys, _ *directory.Snapshot) { k.UTRs[c.utr] = struct{}{} }

func (c *clearing) run(b *book) error {
	for _, credit := range b.facts.Credits[c.utr] {
		if credit.ID != c.id {
			continue
		}
		if !credit.Contested {
			return refuse(NotContested, fmt.Sprintf("Credit %d is not contested", credit.ID))
		}
		credit.Contested = false
		b.touchCredit(credit)
		b.record(c.actor, "credit.cleared", credit.ID, c.why)
		return nil
	}
	return refuse(NotContested, fmt.Sprintf("There is no credit %d", c.id))
}
