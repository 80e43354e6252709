package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// tellers drives an office of withdrawals with all that can happen to them, and
// keeps a simple model beside it: what was asked for, what providers and people
// really paid, and what the office was told. Providers answer late, twice, not
// at all and against what they said before; the process dies between any two
// commits; others do things meanwhile.
type tellers struct {
	*House
	t    *rapid.T // of the present action
	seen map[string]int

	run     int
	base    int64 // the last id before this run
	utrs    int   // given out, in all runs
	lines   int   // of statements, in all runs
	started map[string]money.Paise
	came    map[string]money.Paise // to merchants in this run
	orders  []*outgoing
	stale   []*outgoing // what somebody listed for a batch
	office  *payout.Office
	calm    bool // nothing breaks, and nobody lies, any more
	nested  bool // something happens meanwhile already
	alone   bool // nothing may happen meanwhile
}

// outgoing is a withdrawal as the model knows it.
type outgoing struct {
	request payout.Request
	last    payout.Withdrawal // as it was after the last action
	path    []payout.State    // its final states

	// What the office was told.
	approved, canceled                      bool
	toldPaid, toldRefused, toldBack, handed bool

	// What really happened.
	received     int  // orders that reached the provider
	inFlight     bool // an order that has yet to reach it
	refuses      bool
	payments     int
	wallet       string // that paid
	returned     bool
	contradicted bool // somebody said that it was not paid, and it was

	debits, backs []*feed.Movement // lines of statements that show it
}

// String keeps the log of a failed run readable.
func (o *outgoing) String() string {
	return fmt.Sprintf("withdrawal %d of %s, %s by %s, %s, test %v, paid %d times, returned %v, contradicted %v",
		o.last.ID, o.request.Merchant, o.request.Amount, o.last.Desk, o.last.State, o.request.Test, o.payments, o.returned, o.contradicted)
}

// GoString is what the checker prints of a draw.
func (o *outgoing) GoString() string { return o.String() }

// The desks of the machine: one whose provider pays a reference once, one whose
// provider pays whatever it is sent, and one that people serve.
const (
	knowing = "imps_ib"
	naive   = "imps_n"
	people  = "imps_p"
)

var machineDesks = Setup{
	Policy: func(p *deposit.Policy) {
		p.LabelFailures, p.MerchantFailures, p.SharedFailures, p.CreditMaxAge = 0, 0, 0, 0
	},
	Change: func(c *directory.Change) {
		c.Merchants[0].Fee = directory.Fee{WithdrawalFixed: 5 * money.Rupee}
		c.Merchants[1].Fee = directory.Fee{}
		c.Payouts = []*directory.PayoutDesk{
			{
				ID: "knowing", Kind: directory.PayoutSandbox, Method: knowing, Min: 10_00, Max: 2000_00, ApproveAbove: 500_00,
				Wallets: []string{"till", "bar"}, WalletDay: machineWalletDay,
			},
			{ID: "naive", Kind: directory.PayoutSandbox, Method: naive, Min: 10_00, ApproveAbove: 500_00},
			{ID: "people", Kind: directory.PayoutFiles, Method: people, Min: 10_00, ApproveAbove: 500_00, Wallets: []string{"till", "bar"}},
		}
	},
}

const machineWalletDay money.Paise = 3000_00

// owns are the wallets whose money is a merchant's own in the machine.
var owns = map[string]string{Shop: "till", Cafe: "bar"}

var (
	// errBroken is a store that could not do what it was asked to, or did and could
	// not say so.
	errBroken = errors.New("the connection to the store broke")
	errSilent = errors.New("the provider did not answer")
)

// died is what a process that dies panics with.
type died struct{}

// waitError is a provider's wish to be left alone.
type waitError struct{ error }

// RetryAfter is how long.
func (waitError) RetryAfter() time.Duration { return 7 * time.Minute }

// Unwrap gives what was wrong.
func (e waitError) Unwrap() error { return e.error }

// testPayoutMachine checks that, whatever happens in whatever order, nothing is
// paid twice, nothing that was paid counts as not paid without anybody seeing it,
// and the books are whole.
func testPayoutMachine(t *testing.T, fresh Fresh) {
	t.Helper()
	m := &tellers{House: MustOpenHouse(t, fresh(t), machineDesks), seen: make(map[string]int)}
	rapid.Check(t, func(t *rapid.T) {
		m.begin(t)
		t.Repeat(map[string]func(*rapid.T){
			"deposit": m.act("deposit", m.deposit), "create": m.act("create", m.create), "create more": m.act("create", m.create),
			"create again": m.act("create again", m.again), "other content": m.act("other content", m.contradict),
			"approve": m.act("approve", m.approve), "cancel": m.act("cancel", m.cancel), "hand": m.act("hand", m.hand),
			"list for a batch": m.act("list", m.listForBatch), "batch": m.act("batch", m.batch),
			"work": m.act("work", m.work), "work more": m.act("work", m.work), "work on": m.act("work", m.work),
			"news": m.act("news", m.news), "debit": m.act("debit", m.debit), "come back": m.act("come back", m.comeBack),
			"line again": m.act("line again", m.lineAgain), "double debit": m.act("double debit", m.doubleDebit),
			"double return": m.act("double return", m.doubleReturn),
			"clear":         m.act("clear", m.clear), "wait": m.act("wait", m.wait), "": m.check,
		})
		m.end(t)
		if m.run%50 == 0 {
			m.MustVerify()
		}
	})
	r := m.MustVerify()
	var said []string
	for _, what := range slices.Sorted(maps.Keys(m.seen)) {
		said = append(said, fmt.Sprintf("%s %d", what, m.seen[what]))
	}
	t.Logf("%d sequences, %d postings: %s", m.run, r.Postings, strings.Join(said, ", "))
}

// act counts an action and gives the providers its source of chance.
func (m *tellers) act(name string, do func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		m.t = t
		do(t)
		m.seen["steps"]++
		m.seen["do "+name]++
	}
}

func (m *tellers) chance(of int, what string) bool {
	return !m.calm && rapid.IntRange(1, of).Draw(m.t, what) == of
}

// begin starts a run on the books that the runs before it left.
func (m *tellers) begin(t *rapid.T) {
	m.t = t
	m.run++
	m.Clock.Advance(48 * time.Hour)
	m.orders, m.stale, m.calm, m.nested, m.alone, m.came = nil, nil, false, false, false, make(map[string]money.Paise)
	m.office = m.open(shakyStore{m.Store, m})
	// What a failed run left open would get in the way.
	steady := m.steady()
	open, err := m.Store.ListWithdrawals(m.Context(), []payout.State{payout.New, payout.Approved, payout.Processing}, "", 0, 1000)
	for _, w := range open {
		if w.Contested {
			_, cleared := steady.Clear(m.Context(), w.ID, "operator:asha", "left over")
			err = errors.Join(err, cleared)
		}
		end := func() (*payout.Withdrawal, error) {
			return steady.Cancel(m.Context(), w.ID, "operator:asha", "left over")
		}
		if w.State == payout.Processing {
			end = func() (*payout.Withdrawal, error) {
				return steady.Settle(m.Context(), w.ID, payout.Answer{Standing: payout.Refused}, "operator:asha")
			}
		}
		_, ended := end()
		err = errors.Join(err, ended)
	}
	m.started = make(map[string]money.Paise)
	for merchant := range owns {
		m.spend(merchant)
		available, held, read := m.Store.MerchantBalance(m.Context(), merchant)
		if err = errors.Join(err, read); held != 0 {
			t.Fatalf("%s of %s is held by nothing", held, merchant)
		}
		m.started[merchant] = available
	}
	if m.base, err = m.Store.ReserveIDs(m.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// spend pays out what a merchant has beyond a little, so that it may run short.
func (m *tellers) spend(merchant string) {
	available, _, err := m.Store.MerchantBalance(m.Context(), merchant)
	if err != nil {
		m.t.Fatal(err)
	}
	const little = 400_00
	if available <= 3*little {
		return
	}
	steady := m.steady()
	w, err := steady.Create(m.Context(), payout.Request{
		Key: payout.Key{Merchant: merchant, WithdrawalID: fmt.Sprint(m.run)}, Method: people, Label: "spent", Amount: available - little, Currency: money.INR,
		Beneficiary: payout.Beneficiary{Account: "112233445", Name: "Asha Rao", IFSC: "HDFC0000001"}, CreatedBy: "api:shop",
	})
	if err == nil && w.State == payout.New {
		w, err = steady.Approve(m.Context(), w.ID, "operator:asha")
	}
	if err == nil {
		if _, short := steady.HandFrom(m.Context(), w.ID, owns[merchant], "operator:asha", "spent"); short != nil {
			_, err = steady.Cancel(m.Context(), w.ID, "operator:asha", "the wallet is short")
		} else {
			_, err = steady.Settle(m.Context(), w.ID, payout.Answer{Standing: payout.Paid}, "operator:asha")
		}
	}
	if err != nil {
		m.t.Fatalf("spend %s of %s: %v", available, merchant, err)
	}
}

func (m *tellers) open(s payout.Store) *payout.Office {
	return &payout.Office{Config: payout.Config{
		Store: s, Directory: m.Directory, Now: m.Clock.Now, RatesID: func() int64 { return RatesID }, Log: slog.New(slog.DiscardHandler),
		Provider: func(d *directory.PayoutDesk) (payout.Provider, error) {
			switch d.Method {
			case knowing:
				return moody{m, true}, nil
			case naive:
				return moody{m, false}, nil
			default:
				return nil, nil
			}
		},
	}}
}

// steady is an office over a store that does not break: another gateway's, or an
// operator's.
func (m *tellers) steady() *payout.Office { return m.open(m.Store) }

// shakyStore breaks, and has things happen, around any commit.
type shakyStore struct {
	payout.Store
	m *tellers
}

// ChangeWithdrawal is that of the store behind it, where that is reached.
func (s shakyStore) ChangeWithdrawal(ctx context.Context, find payout.Find, decide func(*payout.Facts) (*payout.Changes, error)) error {
	m := s.m
	fate := 0
	if !m.calm && !m.nested {
		fate = rapid.IntRange(0, 24).Draw(m.t, "the store's fate")
	}
	switch fate {
	case 20:
		m.seen["crash before a commit"]++
		panic(died{})
	case 21:
		m.seen["store failed"]++
		return errBroken
	case 22:
		if !m.alone {
			m.meanwhile() //nolint:contextcheck // a house holds its context
		}
	}
	err := s.Store.ChangeWithdrawal(ctx, find, decide)
	switch fate {
	case 23:
		m.seen["crash after a commit"]++
		panic(died{})
	case 24:
		m.seen["store's answer lost"]++
		return errors.Join(err, errBroken)
	}
	return err
}

// attempt does something that the process may die of; alive says that it did not
// and was answered. Errors but those that are made up, and refusals, end the test.
func (m *tellers) attempt(do func() error) (alive bool) {
	defer func() {
		switch dead := recover().(type) {
		case nil:
		case died:
			m.office = m.open(shakyStore{m.Store, m}) // started anew
			alive = false
		default:
			panic(dead)
		}
	}()
	err := do()
	if _, refused := payout.IsRefusal(err); err != nil && !refused && !errors.Is(err, errBroken) {
		m.t.Fatalf("an error of the office: %v", err)
	}
	return !errors.Is(err, errBroken)
}

// meanwhile has something happen between two commits of the office: by another
// gateway, an operator, or a statement.
func (m *tellers) meanwhile() {
	m.nested = true
	defer func() { m.nested = false }()
	office := m.office
	m.office = m.steady()
	defer func() { m.office = office }()
	m.refresh()
	var may []func()
	if o := m.pickThat(func(o *outgoing) bool { return o.last.State == payout.Approved }); o != nil {
		may = append(may, func() { m.handOut(o, "") }, func() { m.takeBack(o) })
	}
	if o := m.pickThat(func(o *outgoing) bool { return o.last.State == payout.Processing }); o != nil {
		may = append(may, func() { m.tell(o) })
		if o.payments > 0 {
			may = append(may, func() { m.showDebit(o) })
		}
	}
	may = append(may, func() {
		m.Clock.Advance(2 * time.Minute)
		m.attempt(func() error { return m.office.Round(m.Context()) })
	})
	m.seen["meanwhile"]++
	may[rapid.IntRange(0, len(may)-1).Draw(m.t, "meanwhile")]()
}

func (m *tellers) pickThat(fits func(*outgoing) bool) *outgoing {
	var fitting []*outgoing
	for _, o := range m.orders {
		if fits(o) {
			fitting = append(fitting, o)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	return rapid.SampledFrom(fitting).Draw(m.t, "withdrawal")
}

// pick is pickThat, or another action.
func (m *tellers) pick(fits func(*outgoing) bool) *outgoing {
	o := m.pickThat(fits)
	if o == nil {
		m.t.Skip("no withdrawal fits")
	}
	return o
}

func (m *tellers) deposit(t *rapid.T) {
	merchant := rapid.SampledFrom([]string{Shop, Cafe}).Draw(t, "merchant")
	amount := Rupees(int64(rapid.SampledFrom([]int{300, 1000, 2500}).Draw(t, "amount")))
	m.utrs++
	e := m.Entry(UTR(m.utrs), amount)
	m.MustReport(owns[merchant], 1, 0, 0, e)
	a := Claim(fmt.Sprint("machine", m.utrs), UTR(m.utrs), amount)
	a.Merchant = merchant
	m.MustActivate(a, deposit.Credited)
	m.came[merchant] += amount
}

func (m *tellers) create(t *rapid.T) {
	o := &outgoing{request: payout.Request{
		Key:    payout.Key{Merchant: rapid.SampledFrom([]string{Shop, Shop, Cafe}).Draw(t, "merchant"), WithdrawalID: fmt.Sprintf("%d/%d", m.run, len(m.orders))},
		Method: rapid.SampledFrom([]string{knowing, naive, people}).Draw(t, "method"), Label: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "label"),
		Amount: Rupees(int64(rapid.SampledFrom([]int{100, 250, 400, 700}).Draw(t, "amount"))), Currency: money.INR,
		Test: rapid.IntRange(0, 9).Draw(t, "test") == 0, CreatedBy: "api:shop",
		Beneficiary: payout.Beneficiary{Account: "123456789", Name: "Asha Rao", IFSC: "HDFC0000001"},
	}}
	if rapid.Bool().Draw(t, "another account") {
		o.request.Account = "987654321"
	}
	want, refused := m.foretell(o)
	m.alone = true
	defer func() { m.alone = false }()
	var made *payout.Withdrawal
	alive := m.attempt(func() (err error) {
		made, err = m.office.Create(m.Context(), o.request)
		if refusal, is := payout.IsRefusal(err); is != refused || is && refusal.Code != payout.InsufficientBalance {
			if is || err == nil {
				t.Fatalf("a request for %s of %s came to %v; want a refusal: %v", o.request.Amount, o.request.Merchant, err, refused)
			}
		}
		return err
	})
	if !alive { // was it taken?
		var err error
		made, err = m.Store.FindWithdrawalByKey(m.Context(), o.request.Key)
		if errors.Is(err, payout.ErrNoWithdrawal) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	} else if refused {
		m.seen["insufficient balance"]++
		return
	}
	if made == nil || made.State != want || made.Amount != o.request.Amount || made.Test != o.request.Test {
		t.Fatalf("made %+v; want it %s", made, want)
	}
	o.last = *made
	m.orders = append(m.orders, o)
}

// foretell says what a new withdrawal must come to.
func (m *tellers) foretell(o *outgoing) (want payout.State, refused bool) {
	r := &o.request
	if r.Test {
		return payout.Approved, false
	}
	available, _ := m.balance(r.Merchant)
	same, all := 0, 0
	for _, other := range m.orders {
		q := &other.request
		alive := other.last.State != payout.Failed && other.last.State != payout.Canceled
		if !q.Test && q.Merchant == r.Merchant && q.Account == r.Account && alive && other.last.CreatedAt.After(m.Clock.Now().Add(-24*time.Hour-time.Second)) {
			all++
			if q.Amount == r.Amount {
				same++
			}
		}
	}
	want = payout.Approved
	if r.Amount > 500_00 || same > 0 || all >= 5 {
		want = payout.New
	}
	return want, available < m.weight(o)
}

// weight is what a withdrawal takes of its merchant's balance.
func (m *tellers) weight(o *outgoing) money.Paise {
	if o.request.Test {
		return 0
	}
	return o.request.Amount + m.Directory.Current().Merchant(o.request.Merchant).Fee.WithdrawalFixed
}

// balance is what a merchant must have.
func (m *tellers) balance(merchant string) (available, held money.Paise) {
	available = m.started[merchant] + m.came[merchant]
	for _, o := range m.orders {
		switch {
		case o.request.Merchant != merchant || o.last.State == payout.Failed || o.last.State == payout.Canceled:
		case o.last.State == payout.Success:
			available -= m.weight(o)
		default:
			available -= m.weight(o)
			held += m.weight(o)
		}
	}
	return available, held
}

func everything(*outgoing) bool { return true }

// again repeats a request: it is answered with the withdrawal as it stands.
func (m *tellers) again(t *rapid.T) {
	o := m.pick(everything)
	m.attempt(func() error {
		w, err := m.office.Create(m.Context(), o.request)
		if err == nil && (w.ID != o.last.ID || w.State != o.last.State && !m.nested && m.calm) {
			t.Fatalf("%v; asked again: %+v", o, w)
		}
		if _, refused := payout.IsRefusal(err); refused {
			t.Fatalf("%v; asked again: %v", o, err)
		}
		return err
	})
}

func (m *tellers) contradict(t *rapid.T) {
	request := m.pick(everything).request
	switch rapid.IntRange(0, 3).Draw(t, "what differs") {
	case 0:
		request.Amount++
	case 1:
		request.Label += "x"
	case 2:
		request.Test = !request.Test
	case 3:
		request.Account += "1"
	}
	m.attempt(func() error {
		_, err := m.office.Create(m.Context(), request)
		if refusal, is := payout.IsRefusal(err); !errors.Is(err, errBroken) && (!is || refusal.Code != payout.IDUsed) {
			t.Fatalf("other content under a used id: %v", err)
		}
		return err
	})
}

func (m *tellers) approve(t *rapid.T) {
	o := m.pick(func(o *outgoing) bool { return o.last.State == payout.New })
	if rapid.IntRange(0, 3).Draw(t, "by its creator") == 0 {
		m.attempt(func() error {
			_, err := m.office.Approve(m.Context(), o.last.ID, o.request.CreatedBy)
			if err == nil {
				t.Fatalf("%v was approved by who asked for it", o)
			}
			return err
		})
		return
	}
	o.approved = true
	m.attempt(func() error {
		_, err := m.office.Approve(m.Context(), o.last.ID, "operator:asha")
		return err
	})
}

func (m *tellers) cancel(*rapid.T) { m.takeBack(m.pick(everything)) }

func (m *tellers) takeBack(o *outgoing) {
	o.canceled = o.canceled || o.last.State == payout.New || o.last.State == payout.Approved
	m.attempt(func() error {
		_, err := m.office.Cancel(m.Context(), o.last.ID, "operator:asha", "a mistake")
		return err
	})
}

func (m *tellers) hand(*rapid.T) {
	m.handOut(m.pick(func(o *outgoing) bool {
		return o.last.State == payout.Approved || o.last.State == payout.Processing
	}), "")
}

// handOut hands a withdrawal to a person, who pays it if that was answered, and
// only then.
func (m *tellers) handOut(o *outgoing, wallet string) {
	var given *payout.Withdrawal
	var err error
	alive := m.attempt(func() error {
		given, err = m.office.HandFrom(m.Context(), o.last.ID, wallet, "operator:asha", "by hand")
		return err
	})
	if !alive || err != nil {
		return
	}
	if o.request.Test {
		m.t.Fatalf("%v was handed to a person, and is a test", o)
	}
	o.handed, o.wallet = true, given.Wallet
	m.seen["handed"]++
	if rapid.IntRange(0, 2).Draw(m.t, "the person pays") == 0 {
		o.refuses = true
		return
	}
	m.pay(o)
}

// pay moves real money.
func (m *tellers) pay(o *outgoing) {
	if o.payments++; o.payments > 1 {
		m.t.Fatalf("%v was paid %d times", o, o.payments)
	}
	m.seen["payments"]++
}

func (m *tellers) listForBatch(*rapid.T) {
	m.stale = nil
	for _, o := range m.orders {
		if o.last.State == payout.Approved && o.request.Method == people {
			m.stale = append(m.stale, o)
		}
	}
}

// batch hands out what somebody listed, perhaps long ago, and perhaps before.
func (m *tellers) batch(*rapid.T) {
	if len(m.stale) == 0 {
		m.t.Skip("nothing was listed")
	}
	for _, o := range m.stale {
		m.handOut(o, owns[o.request.Merchant])
	}
}

func (m *tellers) work(t *rapid.T) {
	m.Clock.Advance(time.Duration(rapid.SampledFrom([]int{0, 10, 90, 3600}).Draw(t, "seconds")) * time.Second)
	m.attempt(func() error { return m.office.Round(m.Context()) })
}

func (m *tellers) wait(t *rapid.T) {
	m.Clock.Advance(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
	for _, o := range m.orders {
		if o.inFlight && rapid.Bool().Draw(t, "it arrives") {
			m.arrive(o)
		}
	}
}

// arrive lets an order reach its provider, which decides.
func (m *tellers) arrive(o *outgoing) {
	o.inFlight = false
	o.received++
	if o.received > 1 { // the provider knows the reference
		return
	}
	m.refreshOne(o)
	switch rapid.IntRange(0, 3).Draw(m.t, "the provider's decision") {
	case 0:
		o.refuses = true
	case 1: // later
	default:
		// Somebody said that it was not paid while it was under way.
		o.contradicted = o.contradicted || o.last.State == payout.Failed
		m.pay(o)
	}
}

// moody is a provider in all its moods.
type moody struct {
	m *tellers
	// knowing: it pays a reference once, however often it is sent.
	knowing bool
}

func (p moody) find(order *payout.Order) *outgoing {
	m := p.m
	id, ok := payout.ParseReference(order.Reference)
	i := slices.IndexFunc(m.orders, func(o *outgoing) bool { return o.last.ID == id })
	if !ok || i < 0 {
		m.t.Fatalf("an order for %s, which nobody made", order.Reference)
	}
	o := m.orders[i]
	if o.request.Test || order.Amount != o.request.Amount || order.Beneficiary != o.request.Beneficiary || order.Wallet == "" || order.At.IsZero() {
		m.t.Fatalf("%v was ordered as %+v", o, order)
	}
	return o
}

// Send takes an order, or not.
func (p moody) Send(_ context.Context, order payout.Order) (payout.Answer, error) {
	m := p.m
	o := p.find(&order)
	m.seen["sent"]++
	w, err := m.Store.FindWithdrawal(m.Context(), o.last.ID) //nolint:contextcheck // a house holds its context
	if err != nil || w.State != payout.Processing || w.Tries == 0 || o.handed {
		m.t.Fatalf("%v is sent while its books say %+v, %v", o, w, err)
	}
	o.wallet = order.Wallet
	if m.chance(6, "it does not leave") {
		m.seen["not sent"]++
		err := fmt.Errorf("%w: no connection", payout.ErrNotSent)
		if m.chance(2, "wait") {
			err = waitError{err}
		}
		return payout.Answer{}, err
	}
	if m.chance(8, "it is lost on its way") {
		m.seen["lost before the provider"]++
		return payout.Answer{}, errSilent
	}
	if p.knowing && m.chance(8, "it arrives later") {
		m.seen["arrives late"]++
		o.inFlight = true
		return payout.Answer{}, errSilent
	}
	if !p.knowing && o.received > 0 {
		m.t.Fatalf("%v is sent again to a provider that has it", o)
	}
	m.arrive(o)        //nolint:contextcheck // a house holds its context
	return p.answer(o) //nolint:contextcheck // a house holds its context
}

// Ask tells what became of an order, as far as it likes.
func (p moody) Ask(_ context.Context, order payout.Order) (payout.Answer, error) {
	m := p.m
	o := p.find(&order)
	m.seen["asked"]++
	if o.inFlight && m.chance(3, "it arrives now") {
		m.arrive(o) //nolint:contextcheck // a house holds its context
	}
	if o.received > 0 && o.payments == 0 && !o.refuses && (m.calm || m.chance(3, "it decides now")) {
		if m.chance(3, "and refuses") {
			o.refuses = true
		} else {
			m.pay(o)
		}
	}
	return p.answer(o) //nolint:contextcheck // a house holds its context
}

func (p moody) answer(o *outgoing) (payout.Answer, error) {
	m := p.m
	if m.chance(5, "the answer is lost") {
		m.seen["answer lost"]++
		return payout.Answer{}, errSilent
	}
	if m.chance(8, "the answer is unclear") {
		return payout.Answer{Standing: payout.Unclear, Why: "come back later"}, nil
	}
	ours := payout.Answer{ProviderRef: "p" + o.last.Reference(), BankRef: m.utrOf(o)}
	w, err := m.Store.FindWithdrawal(m.Context(), o.last.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	switch {
	case o.received == 0:
		return payout.Answer{Standing: payout.Absent}, nil
	case (p.knowing || w.Taken) && m.chance(8, "it denies"):
		m.seen["denied"]++
		return payout.Answer{Standing: payout.Absent}, nil
	case o.payments > 0 && !o.returned:
		if m.chance(4, "the answer is late") {
			return payout.Answer{Standing: payout.Accepted, ProviderRef: ours.ProviderRef}, nil
		}
		ours.Standing = payout.Paid
		o.toldPaid = true
		return ours, nil
	case o.returned || o.refuses:
		ours.Standing, ours.BankRef, ours.Why = payout.Refused, "", "account closed"
		o.toldRefused = true
		if o.payments == 0 && m.chance(5, "and pays all the same") {
			m.seen["paid after refused"]++
			o.refuses, o.contradicted = false, true
			m.pay(o)
		}
		return ours, nil
	default:
		return payout.Answer{Standing: payout.Accepted, ProviderRef: map[bool]string{true: ours.ProviderRef}[m.chance(2, "with an id")]}, nil
	}
}

func (m *tellers) utrOf(o *outgoing) string { return fmt.Sprintf("7%011d", o.last.ID) }

// news is a bank's file, or an operator who saw what became of a withdrawal.
func (m *tellers) news(*rapid.T) {
	m.tell(m.pick(func(o *outgoing) bool { return o.last.State != payout.New && !o.request.Test }))
}

func (m *tellers) tell(o *outgoing) {
	m.refreshOne(o)
	answer := payout.Answer{Standing: payout.Refused, Why: "seen in the portal"}
	switch {
	case o.payments > 0 && !o.returned:
		answer = payout.Answer{Standing: payout.Paid, BankRef: m.utrOf(o)}
		o.toldPaid = true
	case o.received > 0 && o.payments == 0 && !o.refuses:
		return // nobody knows yet
	default:
		// Nothing of it is at the provider, or was refused, or came back: said of an
		// order that is under way still, it proves wrong.
		o.toldRefused, o.toldBack = true, o.returned
	}
	paid := o.payments
	var err error
	alive := m.attempt(func() error {
		_, err = m.office.Settle(m.Context(), o.last.ID, answer, "operator:asha")
		return err
	})
	// What happened while it was said makes it wrong.
	o.contradicted = o.contradicted || answer.Standing == payout.Refused && o.payments > paid
	m.refreshOne(o)
	if !alive || m.nested {
		return
	}
	if answer.Standing == payout.Paid && o.last.State != payout.Success && !m.doubted(o) {
		m.t.Fatalf("%v was told to be paid (%v), and nobody sees it", o, err)
	}
	if answer.Standing == payout.Paid && o.last.State != payout.Success && err == nil {
		m.t.Fatalf("%v was told to be paid, and nobody was refused", o)
	}
}

// doubted reports whether a person sees that something is odd.
func (m *tellers) doubted(o *outgoing) bool {
	m.refreshOne(o)
	list, err := m.Store.ContestedWithdrawals(m.Context(), o.last.ID-1, 1)
	if err != nil {
		m.t.Fatal(err)
	}
	if listed := len(list) == 1 && list[0].ID == o.last.ID; listed != o.last.Contested {
		m.t.Fatalf("%v is contested: %v, listed so: %v", o, o.last.Contested, listed)
	}
	m.seen["doubts seen"]++
	return len(o.last.Doubts) > 0
}

func (m *tellers) debit(*rapid.T) {
	m.showDebit(m.pick(func(o *outgoing) bool { return o.payments > 0 }))
}

// showDebit has a statement show that a withdrawal was paid.
func (m *tellers) showDebit(o *outgoing) {
	if len(o.debits) == 0 {
		o.debits = append(o.debits, m.line(o, feed.Debit))
	}
	o.toldPaid = true
	m.show(o, o.debits[0])
}

func (m *tellers) comeBack(*rapid.T) {
	o := m.pick(func(o *outgoing) bool { return o.payments > 0 && !o.returned })
	o.returned, o.toldBack = true, true
	o.backs = append(o.backs, m.line(o, feed.Other))
	m.seen["returned"]++
	m.show(o, o.backs[0])
}

// lineAgain imports a line of a statement again.
func (m *tellers) lineAgain(t *rapid.T) {
	o := m.pick(func(o *outgoing) bool { return len(o.debits)+len(o.backs) > 0 })
	m.show(o, rapid.SampledFrom(slices.Concat(o.debits, o.backs)).Draw(t, "line"))
}

// doubleDebit shows a second debit of a withdrawal that has one.
func (m *tellers) doubleDebit(*rapid.T) {
	o := m.pick(func(o *outgoing) bool { return o.last.MovementID != 0 && len(o.debits) == 1 })
	o.debits = append(o.debits, m.line(o, feed.Debit))
	m.show(o, o.debits[1])
}

// doubleReturn brings back again what came back.
func (m *tellers) doubleReturn(*rapid.T) {
	o := m.pick(func(o *outgoing) bool { return o.last.BackID != 0 && len(o.backs) == 1 })
	o.backs = append(o.backs, m.line(o, feed.Other))
	m.show(o, o.backs[1])
}

// line is a new line of a statement.
func (m *tellers) line(o *outgoing, kind feed.Kind) *feed.Movement {
	m.lines++
	r := feed.Reading{Kind: kind, Amount: o.request.Amount, At: m.Clock.Now()}
	line := &feed.Movement{Kind: kind, Amount: o.request.Amount, Currency: money.INR, At: r.At, Narration: fmt.Sprintf("IMPS %s ASHA %d", strings.ToLower(o.last.Reference()), m.lines)}
	m.refreshOne(o)
	if o.last.BankRef == m.utrOf(o) && m.chance(3, "the line has the bank's reference alone") {
		line.Narration, line.UTR = fmt.Sprint("IMPS ASHA ", m.lines), upi.UTR(m.utrOf(o))
		r.UTR = line.UTR
	}
	line.Key = feed.LineKey(o.wallet, &r, line.Narration, nil, 0)
	return line
}

// show imports a line, and tells the office of it.
func (m *tellers) show(o *outgoing, line *feed.Movement) {
	taken, err := m.Desk.Ingest(m.Context(), m.Directory.Current().Feed(o.wallet), []feed.Item{{Movement: line}})
	if err != nil || taken.Outcomes[0].MovementID == 0 {
		m.t.Fatalf("a line came to %+v, %v", taken, err)
	}
	m.refreshOne(o)
	was, meanwhile := o.last, m.seen["meanwhile"]
	movement := payout.Movement{ID: taken.Outcomes[0].MovementID, Wallet: o.wallet, In: line.Kind == feed.Other, UTR: line.UTR, Amount: line.Amount}
	var explained bool
	if !m.attempt(func() (err error) {
		explained, err = m.office.Explain(m.Context(), movement, line.Narration)
		return err
	}) || m.nested {
		return
	}
	m.refreshOne(o)
	if o.last.MovementID == movement.ID || o.last.BackID == movement.ID {
		known := was.MovementID == movement.ID || was.BackID == movement.ID
		byOther := !known && m.seen["meanwhile"] > meanwhile // another may have imported it
		if explained == known && !byOther {
			m.t.Fatalf("%v has its line, known before: %v, and now: %v", o, known, explained)
		}
		m.seen["explained"]++
		return
	}
	waits := movement.In && (was.State == payout.Processing || o.last.State == payout.Processing)
	if explained || !waits && !m.doubted(o) {
		m.t.Fatalf("%v has a line that is not its own (explained: %v), and nobody sees it", o, explained)
	}
}

func (m *tellers) clear(*rapid.T) {
	o := m.pick(func(o *outgoing) bool { return o.last.Contested })
	m.attempt(func() error {
		_, err := m.office.Clear(m.Context(), o.last.ID, "operator:asha", "looked at")
		return err
	})
}

// refresh reads where withdrawals stand.
func (m *tellers) refresh() {
	for _, o := range m.orders {
		if !o.last.State.Final() {
			m.refreshOne(o)
		}
	}
}

func (m *tellers) refreshOne(o *outgoing) {
	w, err := m.Store.FindWithdrawal(m.Context(), o.last.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	m.judge(o, w)
}

// reach are the states that one may get to from each, in some steps.
var reach = map[payout.State][]payout.State{
	payout.New:        {payout.Approved, payout.Processing, payout.Success, payout.Failed, payout.Canceled},
	payout.Approved:   {payout.Processing, payout.Success, payout.Failed, payout.Canceled},
	payout.Processing: {payout.Success, payout.Failed},
	payout.Success:    {payout.Failed},
}

// judge holds a withdrawal's way to what was said of it.
func (m *tellers) judge(o *outgoing, w *payout.Withdrawal) {
	was := o.last
	o.last = *w
	if w.State == was.State {
		return
	}
	fail := func(why string) { m.t.Fatalf("%v: it was %s before: %s", o, was.State, why) }
	if !slices.Contains(reach[was.State], w.State) {
		fail("there is no way")
	}
	if was.State == payout.New && w.State != payout.Canceled && !o.approved {
		fail("nobody approved it")
	}
	switch w.State {
	case payout.New, payout.Approved, payout.Processing:
	case payout.Canceled:
		if !o.canceled {
			fail("nobody canceled it")
		}
	case payout.Success:
		if !o.toldPaid && !o.request.Test {
			fail("nobody said that it was paid")
		}
	case payout.Failed:
		if !o.toldRefused && !o.toldBack {
			fail("nobody said that it was not paid")
		}
		if !w.PaidAt.IsZero() && was.State != payout.Success {
			o.path = append(o.path, payout.Success) // both since the last look
		}
	}
	if w.State.Final() {
		o.path = append(o.path, w.State)
	}
}

// check holds the books to the model.
func (m *tellers) check(t *rapid.T) {
	m.t = t
	list, err := m.Store.ListWithdrawals(m.Context(), nil, "", m.base, 1000)
	if err != nil || len(list) != len(m.orders) {
		t.Fatalf("%d withdrawals were made, %d are kept, %v", len(m.orders), len(list), err)
	}
	for _, w := range list {
		i := slices.IndexFunc(m.orders, func(o *outgoing) bool { return o.last.ID == w.ID })
		if i < 0 {
			t.Fatalf("withdrawal %d was made by nobody", w.ID)
		}
		o := m.orders[i]
		m.judge(o, w)
		notPaid := w.State == payout.Failed || w.State == payout.Canceled
		if notPaid && o.payments > 0 && !o.returned && !o.contradicted {
			t.Fatalf("%v, and its money left", o)
		}
		if w.Desk == "naive" && w.Wallet != "" && w.Wallet != owns[w.Merchant] && w.Wallet != "spare" && w.Wallet != "common" {
			t.Fatalf("%v is paid from %s, which is another's", o, w.Wallet)
		}
	}
	m.checkWalletDays(t, list)
	for merchant := range owns {
		available, held, err := m.Store.MerchantBalance(m.Context(), merchant)
		wantAvailable, wantHeld := m.balance(merchant)
		if err != nil || available != wantAvailable || held != wantHeld || available < 0 {
			t.Fatalf("%s has %s and %s held, %v; want %s and %s", merchant, available, held, err, wantAvailable, wantHeld)
		}
	}
}

// checkWalletDays holds the desk to what its wallets may pay in a day.
func (m *tellers) checkWalletDays(t *rapid.T, list []*payout.Withdrawal) {
	type day struct{ wallet, date string }
	paid := make(map[day]money.Paise)
	for _, w := range list {
		worker := w.SentBy != "hand"
		if w.Desk == "knowing" && !w.Test && worker && (w.State == payout.Processing || w.State == payout.Success) {
			at := day{w.Wallet, w.SentAt.Add(5*time.Hour + 30*time.Minute).Format(time.DateOnly)}
			if paid[at] += w.Amount; paid[at] > machineWalletDay {
				t.Fatalf("wallet %s paid %s on %s", at.wallet, paid[at], at.date)
			}
		}
	}
}

// end brings everything to its end, as honest providers, operators and time do,
// and looks back.
func (m *tellers) end(t *rapid.T) {
	m.t, m.calm = t, true
	for range 3 {
		for _, o := range m.orders {
			if o.inFlight {
				m.arrive(o)
			}
		}
		for range 3 {
			m.Clock.Advance(25 * time.Hour)
			m.attempt(func() error { return m.office.Round(m.Context()) })
		}
		m.check(t)
		for _, o := range m.orders {
			if o.last.Contested {
				m.attempt(func() error {
					_, err := m.office.Clear(m.Context(), o.last.ID, "operator:asha", "looked at")
					return err
				})
			}
		}
	}
	for _, o := range m.orders {
		switch {
		case o.last.State == payout.New || o.last.State == payout.Approved:
			m.takeBack(o)
		case o.last.State == payout.Processing && (o.last.SentBy == "hand" || o.last.Taken):
			m.tell(o)
		case o.last.State == payout.Processing:
			t.Fatalf("%v is stuck: %+v", o, o.last)
		}
	}
	m.check(t)
	m.checkEnds(t)
}

// checkEnds looks at what became of all.
func (m *tellers) checkEnds(t *rapid.T) {
	told := make(map[string]map[string]int)
	for _, row := range m.mustReadWhere("postbacks", fmt.Sprint("withdrawal_id > ", m.base), "withdrawal_id", "told") {
		if told[row[0]] == nil {
			told[row[0]] = make(map[string]int)
		}
		told[row[0]][row[1]]++
	}
	for _, o := range m.orders {
		if !o.last.State.Final() {
			t.Fatalf("%v has not ended", o)
		}
		if o.last.State == payout.Success && o.payments == 0 && !o.request.Test {
			t.Fatalf("%v was never paid", o)
		}
		want := make(map[string]int)
		for _, state := range o.path {
			want[string(state)]++
		}
		if got := told[fmt.Sprint(o.last.ID)]; !maps.Equal(got, want) {
			t.Fatalf("%v ended as %v and was told as %v", o, o.path, got)
		}
		m.seen["end "+string(o.last.State)]++
		if o.contradicted {
			m.seen["contradicted"]++
		}
	}
}
