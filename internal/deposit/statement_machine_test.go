package deposit_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// bank drives the desks of one or two gateways with all that feeds report, and
// keeps a simple model beside them: what came and went on each account, and
// whose it must be. Which claim gets a credit it learns from the answers, and
// judges; everything else it foretells.
type bank struct {
	houses []*storetest.House
	wallet map[string]string // the account of each wallet
	run    int
	day    time.Time
	before map[string]money.Paise // balances before this run

	credits  []*receipt
	lines    map[[sha256.Size]byte]*statementLine
	demands  []*demand
	payments []payment.Payment
	history  []report
	early    feed.Movement // the last debit: its credit may come yet
	word     bool          // the present action is an operator's
	fresh    []*binding    // of the present action
	steps    int
}

// receipt is a credit as the model knows it.
type receipt struct {
	wallet      string
	utr         upi.UTR
	amount      money.Paise
	note        string
	trust       feed.Trust
	state       deposit.CreditState
	contested   bool
	contestable bool // it was contested some time
	// proper says that nothing spoke against binding it when it was bound.
	proper bool
}

func (r *receipt) String() string {
	return fmt.Sprintf("credit %s of %s on %s, %s, trust %d, contested %v", r.utr, r.amount, r.wallet, r.state, r.trust, r.contested)
}

// statementLine is a movement as the model knows it.
type statementLine struct {
	wallet string
	feed.Movement
	took bool // it is a credit's reversal
}

// demand is a claim as the model knows it.
type demand struct {
	last   deposit.Claim
	named  []upi.UTR // all it ever named
	judged bool
	// open is the UTR it stood open with before the present action, and names how
	// many it had named by then.
	open  upi.UTR
	names int
}

func (d *demand) String() string {
	return fmt.Sprintf("claim %d of %s, UTR %s, %s, %s", d.last.ID, d.last.Merchant, d.last.UTR, d.last.Amount, d.last.State)
}

// binding is a claim and the credit it got.
type binding struct {
	*demand
	got *receipt
}

// report is a feed's report, to be sent again.
type report struct {
	wallet string
	items  []feed.Item
}

// serves says whose money the wallets are for.
var serves = map[string][]string{
	"till": {storetest.Shop}, "spare": {storetest.Shop}, "common": {storetest.Shop, storetest.Cafe}, "bar": {storetest.Cafe},
}

var banks = []struct {
	name     string
	gateways int
	twins    bool // till and spare are one account
}{
	{"two gateways", 2, false},
	{"two wallets of one account", 2, true},
}

// Whatever banks report, in whatever order and how often, nothing is lost,
// nothing is credited twice, and the books say what happened.
func TestStatementMachine(t *testing.T) {
	t.Parallel()
	for engine, fresh := range map[string]storetest.Fresh{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		for _, b := range banks {
			t.Run(engine+", "+b.name, func(t *testing.T) {
				t.Parallel()
				playBank(t, fresh(t), b.gateways, b.twins)
			})
		}
	}
}

func playBank(t *testing.T, db *storetest.Database, gateways int, twins bool) {
	t.Helper()
	accounts := make(map[string]string)
	for wallet := range serves {
		accounts[wallet] = wallet
	}
	setup := storetest.Setup{Policy: func(p *deposit.Policy) {
		p.LabelFailures, p.MerchantFailures, p.SharedFailures, p.UnverifiedMax, p.CreditMaxAge = 0, 0, 0, unverifiedMax, 0
	}}
	if twins {
		accounts["spare"] = "till"
		setup.Change = func(c *directory.Change) {
			for _, w := range c.Wallets {
				if w.ID == "spare" {
					w.VPA = "till@upi"
				}
			}
		}
	}
	houses := []*storetest.House{storetest.MustOpenHouse(t, db, setup)}
	for len(houses) < gateways {
		houses = append(houses, houses[0].MustOpenBranch())
	}
	runs, steps := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		h := houses[0]
		h.Clock.Advance(1000 * time.Hour)
		if _, err := h.Desk.ExpireDue(h.Context()); err != nil {
			t.Fatal(err)
		}
		b := &bank{
			houses: houses, wallet: accounts, run: runs, day: h.Clock.Now(), before: h.MustBalances(),
			lines: make(map[[sha256.Size]byte]*statementLine),
		}
		t.Repeat(map[string]func(*rapid.T){
			"report": b.report, "report more": b.report, "report again": b.again, "open a payment": b.open, "activate": b.activate,
			"amend": b.amend, "approve": b.approve, "reject": b.reject, "clear": b.clear, "wait": b.wait, "": b.check,
		})
		b.replay(t)
		steps += b.steps
	})
	r := houses[0].MustVerify()
	t.Logf("%d sequences of %d steps: %d credits, %d claims, %d deposits, %d postings", runs, steps, r.Credits, r.Claims, r.Deposits, r.Postings)
}

func (b *bank) house(t *rapid.T) *storetest.House {
	return b.houses[rapid.IntRange(0, len(b.houses)-1).Draw(t, "gateway")]
}

func (b *bank) named(n int) upi.UTR { return upi.UTR(fmt.Sprintf("%d%07d%04d", n, b.run, n)) }

func (b *bank) utr(t *rapid.T) upi.UTR { return b.named(rapid.IntRange(1, utrs).Draw(t, "utr")) }

// utrs is how many UTRs a run knows.
const utrs = 6

func (b *bank) all() (list []upi.UTR) {
	for n := range utrs {
		list = append(list, b.named(n+1))
	}
	return list
}

func (b *bank) amount(t *rapid.T) money.Paise { return rapid.SampledFrom(amounts).Draw(t, "amount") }

// report sends what an alert or a statement tells.
func (b *bank) report(t *rapid.T) {
	r := report{wallet: rapid.SampledFrom([]string{"bar", "common", "spare", "till"}).Draw(t, "wallet")}
	if known := len(b.credits); known > 0 && rapid.Bool().Draw(t, "on the account of a credit") {
		r.wallet = b.credits[rapid.IntRange(0, known-1).Draw(t, "credit")].wallet
	}
	trust := rapid.SampledFrom([]feed.Trust{feed.Provisional, feed.Confirmed}).Draw(t, "trust")
	for i := range rapid.IntRange(1, 4).Draw(t, "items") {
		kind := feed.Credit
		if trust == feed.Confirmed {
			kind = rapid.SampledFrom([]feed.Kind{feed.Credit, feed.Debit, feed.Other}).Draw(t, "kind")
		}
		item := feed.Item{Place: i}
		reading := feed.Reading{Kind: kind, UTR: b.utr(t), Amount: b.amount(t), At: b.day}
		if known := len(b.credits); known > 0 && rapid.IntRange(0, 3).Draw(t, "of a credit") > 0 {
			r := b.credits[rapid.IntRange(0, known-1).Draw(t, "credit")]
			reading.UTR, reading.Amount = r.utr, r.amount
		} else if early := b.early; early.UTR != "" && rapid.Bool().Draw(t, "of the last debit") {
			reading.UTR, reading.Amount = early.UTR, early.Amount
		}
		switch kind {
		case feed.Credit:
			e := b.houses[0].Entry(reading.UTR, reading.Amount)
			e.Trust = trust
			if len(b.payments) > 0 && rapid.Bool().Draw(t, "with a note") {
				e.Note = b.payments[rapid.IntRange(0, len(b.payments)-1).Draw(t, "of")].Reference
			}
			item.Credit = &e
		default:
			narration := fmt.Sprint("run ", b.run, " line ", rapid.IntRange(1, 3).Draw(t, "line"))
			if rapid.Bool().Draw(t, "without a UTR") {
				reading.UTR = ""
			}
			item.Movement = &feed.Movement{
				Kind: kind, UTR: reading.UTR, Amount: reading.Amount, Currency: money.INR, At: b.day, Reversal: reading.UTR != "",
				Narration: narration, Key: feed.LineKey(b.wallet[r.wallet], &reading, narration, nil, 0),
			}
		}
		if rapid.Bool().Draw(t, "with a message") {
			text := fmt.Sprint(b.run, r.wallet, trust, reading)
			item.Message = &feed.Message{Raw: []byte(text), Digest: sha256.Sum256([]byte(text)), Sender: "bank", SentAt: b.day, Reading: reading}
		}
		r.items = append(r.items, item)
	}
	b.history = append(b.history, r)
	b.send(t, b.house(t), r)
}

// again sends a report again.
func (b *bank) again(t *rapid.T) {
	if len(b.history) == 0 {
		t.Skip("no reports yet")
	}
	b.send(t, b.house(t), b.history[rapid.IntRange(0, len(b.history)-1).Draw(t, "report")])
}

func (b *bank) send(t *rapid.T, h *storetest.House, r report) {
	taken, err := h.Desk.Ingest(h.Context(), h.Directory.Current().Feed(r.wallet), r.items)
	if err != nil || len(taken.Outcomes) != len(r.items) {
		t.Fatalf("report: %+v, %v", taken, err)
	}
	for i := range r.items {
		item, out := &r.items[i], taken.Outcomes[i]
		var want feed.Result
		if item.Credit != nil {
			want = b.credit(t, r.wallet, item.Credit, out.Settled)
		} else {
			want = b.move(r.wallet, item.Movement)
		}
		if out.Result != want {
			t.Fatalf("item %d of the report on %s is %s (%s), not %s", i, r.wallet, out.Result, out.Why, want)
		}
	}
}

// on finds the credit with a UTR on the account of a wallet.
func (b *bank) on(wallet string, utr upi.UTR) *receipt {
	for _, r := range b.credits {
		if r.utr == utr && b.wallet[r.wallet] == b.wallet[wallet] {
			return r
		}
	}
	return nil
}

// contest marks a credit for a person.
func (r *receipt) contest() { r.contested, r.contestable = true, true }

// credit foretells what a report of a credit comes to.
func (b *bank) credit(t *rapid.T, wallet string, e *feed.Entry, settled bool) (want feed.Result) {
	r := b.on(wallet, e.UTR)
	switch {
	case r == nil:
		want = feed.New
		r = &receipt{wallet: wallet, utr: e.UTR, amount: e.Amount, note: e.Note, trust: e.Trust, state: deposit.Unclaimed}
		b.credits = append(b.credits, r)
		b.takeBack(r)
	case r.amount == e.Amount:
		want = feed.Known
		r.trust = max(r.trust, e.Trust)
		if r.note == "" {
			r.note = e.Note
		}
	default:
		want = feed.Refused
		r.contest()
		if e.Trust > r.trust && r.state == deposit.Unclaimed { // whoever speaks for the bank is right
			r.amount, r.trust = e.Amount, e.Trust
			if r.note == "" {
				r.note = e.Note
			}
			b.takeBack(r)
		}
	}
	if settled {
		b.bind(t, r)
	}
	return want
}

// takeBack lets debits that came before a credit, or before its right amount,
// take it back.
func (b *bank) takeBack(r *receipt) {
	var others bool
	for _, l := range b.lines {
		if l.Kind != feed.Debit || l.UTR != r.utr || l.took || b.wallet[l.wallet] != b.wallet[r.wallet] {
			continue
		}
		if l.wallet == r.wallet && l.Amount == r.amount {
			l.took, r.state = true, deposit.Reversed
			return
		}
		others = true
	}
	if others {
		r.contest()
	}
}

// move foretells what a line of a statement comes to.
func (b *bank) move(wallet string, m *feed.Movement) feed.Result {
	if b.lines[m.Key] != nil {
		return feed.Known
	}
	if m.Kind == feed.Debit {
		b.early = *m
	}
	l := &statementLine{wallet: wallet, Movement: *m}
	b.lines[m.Key] = l
	if r := b.on(wallet, m.UTR); m.Kind == feed.Debit && m.UTR != "" && r != nil && r.state != deposit.Reversed {
		if r.state == deposit.Unclaimed && r.amount == m.Amount && r.wallet == wallet {
			l.took, r.state = true, deposit.Reversed
		} else {
			r.contest()
		}
	}
	return feed.Recorded
}

// bind notes that a claim got a credit.
func (b *bank) bind(t *rapid.T, r *receipt) {
	if r.state != deposit.Unclaimed {
		t.Fatalf("bound: %s", r)
	}
	r.state = deposit.Bound
	r.proper = !r.contested && (r.trust == feed.Confirmed || r.amount <= unverifiedMax)
}

// open opens a payment in the window, with a reference for the payer's app.
func (b *bank) open(t *rapid.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	if len(b.payments) == 3 {
		t.Skip("enough payments")
	}
	reference := []byte("MLNAAAAAAAAA")
	for i, n := len(reference)-1, b.run*4+len(b.payments); n > 0; i, n = i-1, n/len(letters) {
		reference[i] = letters[n%len(letters)]
	}
	id := fmt.Sprintf("run%d/window%d", b.run, len(b.payments))
	p, err := b.house(t).Store.OpenPayment(b.houses[0].Context(), payment.Payment{
		Token: id, Reference: string(reference), Merchant: rapid.SampledFrom([]string{storetest.Shop, storetest.Cafe}).Draw(t, "merchant"),
		CustomID: id, Label: "run" + fmt.Sprint(b.run), Currency: money.INR, Method: "upi_l", Amount: b.amount(t), CreatedAt: b.houses[0].Clock.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.payments = append(b.payments, *p)
}

// activate claims a UTR: for a new payment, for one of the window, or again.
func (b *bank) activate(t *rapid.T) {
	a := deposit.Activation{
		Merchant: rapid.SampledFrom([]string{storetest.Shop, storetest.Cafe}).Draw(t, "merchant"), Method: "upi_l",
		CustomID: fmt.Sprintf("run%d/%d", b.run, len(b.demands)), Label: "run" + fmt.Sprint(b.run),
		UTR: b.utr(t), Amount: b.amount(t), Currency: money.INR, Via: "api",
	}
	if known := len(b.credits); known > 0 && rapid.Bool().Draw(t, "of a credit") {
		r := b.credits[rapid.IntRange(0, known-1).Draw(t, "credit")]
		a.UTR, a.Amount = r.utr, r.amount
	}
	if len(b.payments) > 0 && rapid.Bool().Draw(t, "of the window") {
		p := b.payments[rapid.IntRange(0, len(b.payments)-1).Draw(t, "payment")]
		a.Merchant, a.CustomID, a.Amount, a.Via = p.Merchant, p.CustomID, p.Amount, "window"
	}
	known := slices.IndexFunc(b.demands, func(d *demand) bool {
		return d.last.Key() == deposit.CustomKey{Merchant: a.Merchant, CustomID: a.CustomID}
	})
	if known >= 0 {
		a.UTR, a.Amount = b.demands[known].last.UTR, b.demands[known].last.Amount
	}
	h := b.house(t)
	c, err := h.Desk.Activate(h.Context(), a)
	if err != nil {
		t.Fatalf("activate: %v", err)
	}
	if known >= 0 {
		d := b.demands[known]
		if expired := c.State == deposit.Expired && d.last.Overdue(h.Clock.Now()); c.ID != d.last.ID || c.State != d.last.State && !expired {
			t.Fatalf("%s was asked again: it is %d, %s", d, c.ID, c.State)
		}
		return
	}
	b.meet(t, c)
}

// meet takes up a claim that is new.
func (b *bank) meet(t *rapid.T, c deposit.Claim) {
	d := &demand{last: c, named: []upi.UTR{c.UTR}}
	d.last.State = deposit.Waiting // as which it began
	b.demands = append(b.demands, d)
	b.follow(t, d, c)
}

func (b *bank) pick(t *rapid.T) *demand {
	if len(b.demands) == 0 {
		t.Skip("no claims yet")
	}
	return b.demands[rapid.IntRange(0, len(b.demands)-1).Draw(t, "claim")]
}

func (b *bank) amend(t *rapid.T) {
	d := b.pick(t)
	c := &d.last
	utr := b.utr(t)
	if utr == c.UTR {
		t.Skip("the same UTR")
	}
	h := b.house(t)
	_, err := h.Desk.Amend(h.Context(), deposit.Activation{
		Merchant: c.Merchant, CustomID: c.CustomID, Method: c.Method, Label: c.Label, UTR: utr, Amount: c.Amount, Currency: c.Currency, Via: c.Via,
	})
	var refusal *deposit.Refusal
	refused := errors.As(err, &refusal) && refusal.Code == deposit.NotAmendable
	if err != nil && !refused || refused == (c.State == deposit.Waiting || c.State == deposit.Refused) {
		t.Fatalf("amend %s: %v", d, err)
	}
}

func (b *bank) approve(t *rapid.T) {
	d := b.pick(t)
	b.word, d.judged = true, d.judged || d.last.State == deposit.Pending
	h := b.house(t)
	_, err := h.Desk.Approve(h.Context(), d.last.ID, 0, "operator:asha", "")
	b.mustAnswer(t, d, err)
}

func (b *bank) reject(t *rapid.T) {
	d := b.pick(t)
	d.judged = d.judged || d.last.State == deposit.Pending
	h := b.house(t)
	_, err := h.Desk.Reject(h.Context(), d.last.ID, "operator:asha", "")
	b.mustAnswer(t, d, err)
}

func (b *bank) mustAnswer(t *rapid.T, d *demand, err error) {
	var refusal *deposit.Refusal
	if err != nil && !errors.As(err, &refusal) || (refusal != nil && refusal.Code == deposit.NotPending) != (d.last.State != deposit.Pending) {
		t.Fatalf("%s: %v", d, err)
	}
}

// clear takes the mark off a credit.
func (b *bank) clear(t *rapid.T) {
	if len(b.credits) == 0 {
		t.Skip("no credits yet")
	}
	r := b.credits[rapid.IntRange(0, len(b.credits)-1).Draw(t, "credit")]
	h := b.house(t)
	for _, c := range h.MustCredits(r.utr) {
		if c.Wallet != r.wallet {
			continue
		}
		err := h.Desk.Clear(h.Context(), c.ID, "operator:asha", "")
		var refusal *deposit.Refusal
		if (err == nil) != r.contested || err != nil && (!errors.As(err, &refusal) || refusal.Code != deposit.NotContested) {
			t.Fatalf("clear %s: %v", r, err)
		}
	}
	r.contested = false
}

func (b *bank) wait(t *rapid.T) {
	h := b.house(t)
	h.Clock.Advance(time.Duration(rapid.SampledFrom([]int{1, 30, 80}).Draw(t, "hours")) * time.Hour)
	if rapid.Bool().Draw(t, "no sweep yet") {
		return
	}
	if _, err := h.Desk.ExpireDue(h.Context()); err != nil {
		t.Fatalf("expire: %v", err)
	}
}

// check compares everything with the model.
func (b *bank) check(t *rapid.T) {
	b.steps++
	h := b.houses[b.steps%len(b.houses)]
	b.checkClaims(t, h)
	for _, bound := range b.fresh {
		if !b.word {
			b.mustBeRight(t, bound)
		}
	}
	for _, d := range b.demands {
		d.open, d.names = "", len(d.named)
		if d.last.State.Open() && !d.last.Overdue(h.Clock.Now()) {
			d.open = d.last.UTR
		}
	}
	b.fresh, b.word = nil, false
	stored := h.MustCredits(b.all()...)
	if len(stored) != len(b.credits) {
		t.Fatalf("%d credits came, %d are kept", len(b.credits), len(stored))
	}
	for _, c := range stored {
		r := b.on(c.Wallet, c.UTR)
		if r == nil || r.wallet != c.Wallet || r.amount != c.Amount || r.trust != c.Trust || r.state != c.State || r.contested != c.Contested || r.note != c.Note {
			t.Fatalf("credit %d of %s on %s is %s, trust %d, contested %v, note %q; the model has %s, note %q",
				c.ID, c.Amount, c.Wallet, c.State, c.Trust, c.Contested, c.Note, r, r.note)
		}
	}
	b.checkBalances(t, h)
}

// checkClaims looks at how claims moved, and at those that references made.
func (b *bank) checkClaims(t *rapid.T, h *storetest.House) {
	now := make([]*deposit.Claim, len(b.demands))
	for i, d := range b.demands {
		if now[i] = &d.last; d.last.State == deposit.Credited || d.last.State == deposit.Rejected || d.last.State == deposit.Expired {
			continue // final
		}
		var err error
		if now[i], err = h.Store.FindClaim(h.Context(), d.last.ID); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
	}
	for i, d := range b.demands {
		b.follow(t, d, *now[i])
	}
	for i := range b.payments {
		p := &b.payments[i]
		key := deposit.CustomKey{Merchant: p.Merchant, CustomID: p.CustomID}
		if slices.ContainsFunc(b.demands, func(d *demand) bool { return d.last.Key() == key }) {
			continue
		}
		c, err := h.Store.FindClaimByKey(h.Context(), key)
		if errors.Is(err, deposit.ErrNoClaim) {
			continue
		}
		if err != nil || !slices.ContainsFunc(b.credits, func(r *receipt) bool { return r.utr == c.UTR && r.note == p.Reference && b.fits(c, r) }) {
			t.Fatalf("payment %s was claimed by nothing that names it: %+v, %v", p.CustomID, c, err)
		}
		b.meet(t, *c)
	}
}

// follow takes note of where a claim went.
func (b *bank) follow(t *rapid.T, d *demand, c deposit.Claim) {
	was := d.last
	d.last = c
	if c.UTR != was.UTR {
		if was.State != deposit.Waiting && was.State != deposit.Refused {
			t.Fatalf("%s had another UTR when it was %s", d, was.State)
		}
		d.named, was.State = append(d.named, c.UTR), deposit.Waiting
	} else if c.State == was.State {
		return
	}
	if c.State != was.State && !slices.Contains(steps[was.State], c.State) && (was.State != deposit.Waiting || c.State != deposit.Refused) {
		t.Fatalf("%s was %s", d, was.State)
	}
	if c.State != deposit.Credited {
		return
	}
	var got *receipt
	for _, stored := range b.houses[0].MustCredits(c.UTR) {
		if stored.ID == c.CreditID {
			got = b.on(stored.Wallet, stored.UTR)
		}
	}
	if got == nil {
		t.Fatalf("%s got credit %d, which never came", d, c.CreditID)
	}
	if got.state == deposit.Unclaimed {
		b.bind(t, got)
	}
	for _, other := range b.demands {
		if other != d && other.last.State == deposit.Credited && other.last.CreditID == c.CreditID {
			t.Fatalf("%s and %s have one credit", d, other)
		}
	}
	if c.Deposited != got.amount || got.state != deposit.Bound || !b.fits(&c, got) {
		t.Fatalf("%s was credited %s by %s", d, c.Deposited, got)
	}
	b.fresh = append(b.fresh, &binding{d, got})
}

// mustBeRight checks a claim that was credited without a person's word.
func (b *bank) mustBeRight(t *rapid.T, bound *binding) {
	c, got := &bound.last, bound.got
	if bound.open == "" && bound.names == len(bound.named) {
		t.Fatalf("%s was credited after its time", bound)
	}
	for _, other := range b.demands {
		if other != bound.demand && other.open == c.UTR && b.fits(&other.last, got) {
			t.Fatalf("%s was credited over %s, which stood open", bound, other)
		}
	}
	exact := b.shared(got) || b.houses[0].Directory.Current().Merchant(c.Merchant).AmountPolicy != directory.PolicyActual
	if !got.proper || exact && c.Amount != got.amount {
		t.Fatalf("%s was credited by %s at once", bound, got)
	}
}

// account are the wallets on the account of a credit.
func (b *bank) account(r *receipt) (wallets []string) {
	for wallet, account := range b.wallet {
		if account == b.wallet[r.wallet] {
			wallets = append(wallets, wallet)
		}
	}
	return wallets
}

func (b *bank) fits(c *deposit.Claim, r *receipt) bool {
	return c.UTR == r.utr && slices.ContainsFunc(b.account(r), func(wallet string) bool { return slices.Contains(serves[wallet], c.Merchant) })
}

func (b *bank) shared(r *receipt) bool { return len(serves[r.wallet]) > 1 }

// checkBalances compares every account with what the model says happened to it.
func (b *bank) checkBalances(t *rapid.T, h *storetest.House) {
	want := make(map[string]money.Paise)
	for _, r := range b.credits {
		if r.state != deposit.Reversed {
			want[ledger.WalletCode(r.wallet)] += r.amount
		}
		if r.state == deposit.Unclaimed {
			want[ledger.SuspenseCode(r.wallet)] -= r.amount
		}
	}
	for _, l := range b.lines {
		switch {
		case l.took:
		case l.Kind == feed.Debit:
			want[ledger.WalletCode(l.wallet)] -= l.Amount
			want[ledger.OutflowCode(l.wallet)] += l.Amount
		default:
			want[ledger.WalletCode(l.wallet)] += l.Amount
			want[ledger.IncomeCode(l.wallet)] -= l.Amount
		}
	}
	for _, d := range b.demands {
		if d.last.State == deposit.Credited {
			fee := h.Directory.Current().Merchant(d.last.Merchant).Fee.OfDeposit(d.last.Deposited)
			want[ledger.MerchantCode(d.last.Merchant)] -= d.last.Deposited - fee
			want[ledger.FeesCode] -= fee
		}
	}
	for code, balance := range h.MustBalances() {
		if moved := balance - b.before[code]; moved != want[code] {
			t.Fatalf("%s moved by %s, not %s", code, moved, want[code])
		}
	}
}

// replay sends all reports again. The first time a payment may find its credit,
// since it was opened or its UTR mistyped later; after that nothing changes any
// more.
func (b *bank) replay(t *rapid.T) {
	for _, r := range b.history {
		b.send(t, b.house(t), r)
		b.check(t)
	}
	b.mustMissNothing(t)
	before := b.houses[0].MustDump()
	for _, r := range b.history {
		b.send(t, b.house(t), r)
	}
	b.check(t)
	if after := b.houses[0].MustDump(); !slices.Equal(before, after) {
		var changed []string
		for _, line := range after {
			if _, was := slices.BinarySearch(before, line); !was {
				changed = append(changed, line)
			}
		}
		t.Fatalf("reports that were sent again changed:\n%s", strings.Join(changed, "\n"))
	}
	r, err := b.houses[0].Store.Verify(b.houses[0].Context())
	if err != nil || len(r.Problems) > 0 || r.Held+r.Outflow != r.Unclaimed+r.Owed+r.Fees+r.Income {
		t.Fatalf("verify: %+v, %v", r, err)
	}
}

// mustMissNothing checks that what nothing speaks against was credited, and that
// a payment whose reference came has a claim.
func (b *bank) mustMissNothing(t *rapid.T) {
	for _, d := range b.demands {
		c := &d.last
		alone := !slices.ContainsFunc(b.demands, func(other *demand) bool { return other != d && slices.Contains(other.named, c.UTR) })
		var fitting []*receipt
		for _, r := range b.credits {
			if b.fits(c, r) {
				fitting = append(fitting, r)
			}
		}
		if !alone || d.judged || c.State == deposit.Expired || len(fitting) != 1 {
			continue
		}
		r := fitting[0]
		agrees := r.amount == c.Amount || !b.shared(r) && b.houses[0].Directory.Current().Merchant(c.Merchant).AmountPolicy == directory.PolicyActual
		if agrees && (r.trust == feed.Confirmed || r.amount <= unverifiedMax) && !r.contestable && r.state != deposit.Reversed && c.State != deposit.Credited {
			t.Fatalf("%s (%s) missed %s, against which nothing speaks", d, c.Reasons, r)
		}
	}
	for i := range b.payments {
		p := &b.payments[i]
		if slices.ContainsFunc(b.demands, func(d *demand) bool {
			return d.last.Key() == deposit.CustomKey{Merchant: p.Merchant, CustomID: p.CustomID}
		}) {
			continue
		}
		for _, r := range b.credits {
			if r.note == p.Reference && r.state == deposit.Unclaimed && b.fits(&deposit.Claim{Merchant: p.Merchant, UTR: r.utr}, r) {
				t.Fatalf("payment %s of %s is not claimed, though %s names it", p.CustomID, p.Merchant, r)
			}
		}
	}
}
