package deposit

import (
	"fmt"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// book is the working set of one batch: the facts as they were loaded and as
// the batch's own decisions have changed them since. A later command of the
// batch sees what an earlier one did, so duplicates within a batch settle
// themselves.
type book struct {
	now     time.Time
	dir     *directory.Snapshot
	rules   []Rule
	policy  Policy
	ratesID int64
	handOff bool // this gateway delivers the batch's events itself
	nextID  func() int64
	facts   *Facts

	changes        Changes
	fresh          map[any]bool // claims and credits the batch made
	changedClaims  map[*Claim]bool
	changedCredits map[*Credit]bool

	changedMovements map[*Movement]bool

	tracing *tracing // nil where nothing is traced
}

func newBook(facts *Facts) *book {
	return &book{
		facts:          facts,
		fresh:          make(map[any]bool),
		changedClaims:  make(map[*Claim]bool),
		changedCredits: make(map[*Credit]bool),
		changes:        Changes{WalletUse: make(map[WalletDay]money.Paise), Reports: make(map[FeedHour]FeedCount), Tallies: make(map[TallyKey]Tally)},

		changedMovements: make(map[*Movement]bool),
	}
}

// touchClaim notes that a loaded claim must be written.
func (b *book) touchClaim(c *Claim) {
	if !b.fresh[c] && !b.changedClaims[c] {
		b.changedClaims[c] = true
		b.changes.Claims = append(b.changes.Claims, c)
	}
}

// touchCredit notes that a loaded credit must be written.
func (b *book) touchCredit(c *Credit) {
	if !b.fresh[c] && !b.changedCredits[c] {
		b.changedCredits[c] = true
		b.changes.Credits = append(b.changes.Credits, c)
	}
}

func (b *book) record(actor, action string, subject int64, why string) {
	b.changes.Audit = append(b.changes.Audit, audit.Entry{
		At: b.now, Actor: actor, Action: action, Subject: subject, Why: why,
	})
}

// addClaim takes a new claim into the book, in its first state.
func (b *book) addClaim(c *Claim) {
	if b.tracing != nil {
		c.Trace = b.tracing.made
	}
	b.fresh[c] = true
	b.changes.NewClaims = append(b.changes.NewClaims, c)
	b.tally(c.Merchant, c.CreatedAt, Tally{Made: 1})
	b.facts.Customs[c.Key()] = c
	b.facts.Claims[c.ID] = c
	b.facts.Contenders[c.UTR] = append(b.facts.Contenders[c.UTR], c)
}

// eligible are the credits with the claim's UTR that could be the claim's: on
// a wallet of its method that serves its merchant. Credits elsewhere are as
// unknown to it as if they did not exist.
func (b *book) eligible(c *Claim) []*Credit {
	var credits []*Credit
	for _, credit := range b.facts.Credits[c.UTR] {
		if b.fits(c, credit) {
			credits = append(credits, credit)
		}
	}
	return credits
}

func (b *book) fits(c *Claim, credit *Credit) bool {
	if credit.Currency != c.Currency {
		return false
	}
	for _, w := range b.twins(credit.Wallet) {
		if w.Method == c.Method && w.Serves(c.Merchant) {
			return true
		}
	}
	return false
}

// shared reports whether one of the credits is on an account that serves more
// than one merchant.
func (b *book) shared(credits []*Credit) bool {
	return slices.ContainsFunc(credits, func(credit *Credit) bool { return servesMany(b.twins(credit.Wallet)) })
}

// servesMany reports whether wallets serve more than one merchant in all.
func servesMany(wallets []*directory.Wallet) bool {
	var first string
	for _, w := range wallets {
		for _, merchant := range w.Merchants {
			if first == "" {
				first = merchant
			}
			if merchant != first {
				return true
			}
		}
	}
	return false
}

// twins are the wallets on the bank account of a wallet: itself, and of the
// others those that are not retired, which claim nothing any more.
func (b *book) twins(wallet string) []*directory.Wallet {
	w := b.dir.Wallet(wallet)
	if w == nil {
		return nil
	}
	all := b.dir.OnAccount(w)
	if len(all) == 1 {
		return all
	}
	var twins []*directory.Wallet
	for _, twin := range all {
		if twin == w || !twin.Retired {
			twins = append(twins, twin)
		}
	}
	return twins
}

// sameAccount reports whether two wallets stand for one bank account, retired
// or not: what was counted once stays counted.
func (b *book) sameAccount(a, other string) bool {
	if a == other {
		return true
	}
	w := b.dir.Wallet(a)
	return w != nil && slices.ContainsFunc(b.dir.OnAccount(w), func(w *directory.Wallet) bool { return w.ID == other })
}

// rivals are the other claims that could have one of the credits: the open
// ones, and those that a person rejected.
func (b *book) rivals(c *Claim, credits []*Credit) (open, rejected []*Claim) {
	for _, other := range b.facts.Contenders[c.UTR] {
		if other == c || !slices.ContainsFunc(credits, func(credit *Credit) bool { return b.fits(other, credit) }) {
			continue
		}
		switch {
		case other.State == Rejected:
			rejected = append(rejected, other)
		case other.State.Open() && !other.Overdue(b.now):
			open = append(open, other)
		}
	}
	return open, rejected
}

// weigh matches an open claim on the facts of this moment.
func (b *book) weigh(c *Claim) Decision {
	credits := b.eligible(c)
	open, rejected := b.rivals(c, credits)
	return Match(Case{
		Claim:    c,
		Merchant: b.dir.Merchant(c.Merchant),
		Credits:  credits,
		Shared:   b.shared(credits),
		Rivals:   len(open),
		Rejected: len(rejected),
		History:  c.History,
		Policy:   b.policy,
		Rules:    b.rules,
	})
}

// reconsider settles a waiting claim whose credit has come after all: to a
// wallet that serves the merchant only since then.
func (b *book) reconsider(actor string, c *Claim) error {
	if c.State != Waiting {
		return nil
	}
	if d := b.weigh(c); d.State == Credited || d.State == Pending {
		return b.follow(actor, c, d)
	}
	return nil
}

// follow carries a decision out on an open claim.
func (b *book) follow(actor string, c *Claim, d Decision) error {
	switch d.State {
	case Credited:
		return b.bind(actor, c, d.Credit, "wallet, method, UTR and amount agree")
	case Refused:
		b.close(actor, c, Refused, d.Reasons)
	case Pending:
		b.hold(actor, c, d)
	case Waiting:
		b.record(actor, "claim.waiting", c.ID, "no feed has reported the UTR")
	default:
		return fmt.Errorf("claim %d: decision %q is none a match gives", c.ID, d.State)
	}
	return nil
}

// hold puts a claim into review, or changes why it is there.
func (b *book) hold(actor string, c *Claim, d Decision) {
	entered := c.State != Pending
	b.move(c, Pending)
	c.Reasons = d.Reasons
	c.CreditID = 0
	c.History.Approval = nil // which was of another case
	if d.Credit != nil {
		c.CreditID = d.Credit.ID
	}
	b.touchClaim(c)
	b.record(actor, "claim.pending", c.ID, d.Reasons.String())
	if entered {
		b.tell(webhook.DepositPending, c, nil)
	}
}

// close ends an open claim without money.
func (b *book) close(actor string, c *Claim, state State, reasons Reasons) {
	b.move(c, state)
	c.Reasons = reasons
	c.CreditID = 0
	c.History.Approval = nil
	c.SettledAt = b.now
	b.touchClaim(c)
	b.record(actor, "claim."+string(state), c.ID, reasons.String())
	b.tell(webhook.Type("deposit."+state), c, nil)
}

// bind gives a credit to a claim: the deposit, its postings, the merchant's
// postback and the audit record, which all become durable with this batch.
func (b *book) bind(actor string, c *Claim, credit *Credit, why string) error {
	if credit.State != Unclaimed || !c.State.Open() {
		return fmt.Errorf("claim %d is %s and credit %d %s: they can't be bound", c.ID, c.State, credit.ID, credit.State)
	}
	merchant := b.dir.Merchant(c.Merchant)
	fee := merchant.Fee.OfDeposit(credit.Amount)
	postings, err := b.depositPostings(c, credit, fee)
	if err != nil {
		return err
	}

	b.move(c, Credited)
	c.Reasons = nil
	c.CreditID = credit.ID
	c.Deposited = credit.Amount
	c.SettledAt = b.now
	b.touchClaim(c)
	credit.State = Bound
	credit.ClaimID = c.ID
	b.touchCredit(credit)

	dep := &Deposit{
		ID: c.ID, Merchant: c.Merchant, Wallet: credit.Wallet, CreditID: credit.ID,
		Amount: credit.Amount, Fee: fee, RatesID: b.ratesID, At: b.now,
	}
	b.changes.Deposits = append(b.changes.Deposits, dep)
	b.tallyDeposit(c, dep, 1)
	b.changes.Postings = append(b.changes.Postings, postings...)
	b.announce(c, credit)
	b.tell(webhook.DepositCredited, c, credit)
	b.record(actor, "claim.credited", c.ID, fmt.Sprintf("credit %d: %s", credit.ID, why))

	open, _ := b.rivals(c, []*Credit{credit})
	for _, rival := range open {
		switch d := b.weigh(rival); {
		case d.State == Refused:
			b.close(actor, rival, Refused, d.Reasons)
		case rival.State == Pending && rival.CreditID == credit.ID:
			b.hold(actor, rival, afterReview(rival.Reasons, d)) // another credit is its candidate now
		}
	}
	return nil
}

func (b *book) depositPostings(c *Claim, credit *Credit, fee money.Paise) ([]ledger.Posting, error) {
	merchant, err := b.dir.Account(ledger.MerchantCode(c.Merchant))
	if err != nil {
		return nil, err
	}
	suspense, err := b.dir.Account(ledger.SuspenseCode(credit.Wallet))
	if err != nil {
		return nil, err
	}
	postings := []ledger.Posting{{
		TransactionID: c.ID, Line: 1, Kind: ledger.DepositCredited,
		Debit: suspense, Credit: merchant, Amount: credit.Amount, Currency: credit.Currency, At: b.now,
	}}
	if fee > 0 {
		fees, err := b.dir.Account(ledger.FeesCode)
		if err != nil {
			return nil, err
		}
		postings = append(postings, ledger.Posting{
			TransactionID: c.ID, Line: 2, Kind: ledger.DepositFee,
			Debit: merchant, Credit: fees, Amount: fee, Currency: credit.Currency, At: b.now,
		})
	}
	return postings, nil
}

func (b *book) announce(c *Claim, credit *Credit) {
	due := b.now
	// A merchant without an address has nothing to be delivered to at once.
	handOff := b.handOff && b.dir.Merchant(c.Merchant).PostbackURL != ""
	if handOff {
		due = due.Add(postback.Lease)
	}
	b.changes.Events = append(b.changes.Events, Announcement{HandOff: handOff, DueAt: due, Event: postback.Event{
		ID: c.ID, Merchant: c.Merchant, Method: c.Method, Label: c.Label, CustomID: c.CustomID,
		Amount: credit.Amount, Currency: credit.Currency, Payer: credit.Payer(),
		CreditID: credit.ID, UTR: credit.UTR,
		CreatedAt: c.CreatedAt, ActivatedAt: b.now, RatesID: b.ratesID, Trace: c.Trace,
	}})
}

// settleOpen weighs the open claims that a new or changed credit could settle.
func (b *book) settleOpen(actor string, credit *Credit) (credited bool, err error) {
	// The list is copied: settling one claim may close others in it.
	for _, c := range slices.Clone(b.facts.Contenders[credit.UTR]) {
		if !c.State.Open() || !b.fits(c, credit) {
			continue
		}
		if c.Overdue(b.now) {
			b.close(actor, c, Expired, nil)
			continue
		}
		d := b.weigh(c)
		if c.State == Pending {
			d = afterReview(c.Reasons, d)
			if d.State == Pending && slices.Equal(d.Reasons, c.Reasons) {
				continue
			}
		}
		if d.State == Waiting {
			continue
		}
		if err := b.follow(actor, c, d); err != nil {
			return credited, err
		}
		credited = credited || d.State == Credited && credit.ClaimID == c.ID
	}
	return credited, nil
}

// afterReview tempers a new decision on a claim that is in review already: a
// bank's confirmation clears the doubt about an unverified report, and nothing
// else; what else held the claim still needs a person.
func afterReview(held Reasons, d Decision) Decision {
	var reasons Reasons
	for _, r := range held {
		if r != CreditUnverified {
			reasons = append(reasons, r)
		}
	}
	for _, r := range d.Reasons {
		if !reasons.Has(r) {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) == 0 {
		return d
	}
	return Decision{State: Pending, Credit: d.Credit, Reasons: reasons}
}

// history gathers what is known of those who make a new claim.
func (b *book) history(c *Claim) History {
	label := LabelKey{c.Merchant, c.Method, c.Label}
	h := History{
		LabelFailures:    others(b.facts.LabelFailures[label], c.UTR),
		MerchantFailures: b.facts.MerchantFailures[c.Merchant],
		SharedFailures:   others(b.facts.SharedFailures[c.Merchant], c.UTR),
	}
	if c.Addr.IsValid() {
		h.AddressFailures = others(b.facts.AddressFailures[AddressKey{c.Merchant, c.Addr}], c.UTR)
	}
	for _, a := range b.facts.Assignments[label] {
		if !a.ShownAt.After(b.now.Add(-b.policy.ClaimTTL)) {
			continue
		}
		for _, w := range b.twins(a.Wallet) {
			h.Shown = append(h.Shown, w.ID)
		}
	}
	return h
}

func others(named map[upi.UTR]struct{}, but upi.UTR) int {
	n := len(named)
	if _, ok := named[but]; ok {
		n--
	}
	return n
}

// noteFailure counts a claim that named a UTR in vain for the rest of the batch.
func (b *book) noteFailure(c *Claim) {
	if c.State == Credited || c.State == Pending {
		return
	}
	name(b.facts.LabelFailures, LabelKey{c.Merchant, c.Method, c.Label}, c.UTR)
	name(b.facts.SharedFailures, c.Merchant, c.UTR)
	if c.Addr.IsValid() {
		name(b.facts.AddressFailures, AddressKey{c.Merchant, c.Addr}, c.UTR)
	}
	if c.State == Refused {
		b.facts.MerchantFailures[c.Merchant]++
	}
}

// name notes a UTR that was named in vain under a key.
func name[K comparable](failures map[K]map[upi.UTR]struct{}, key K, utr upi.UTR) {
	if failures[key] == nil {
		failures[key] = make(map[upi.UTR]struct{})
	}
	failures[key][utr] = struct{}{}
}
