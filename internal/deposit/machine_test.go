package deposit_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// machine drives a desk with random requests and keeps a simple model beside
// it: what came, what was claimed, and where each claim stood last.
type machine struct {
	h    *storetest.House
	name string // of this run: its ids, labels and UTRs are its own

	came      map[place]*arrival
	claims    []*claimed
	approving bool // the present action is an operator's approval
}

type place struct {
	wallet string
	utr    upi.UTR
}

// arrival is a credit as the model knows it.
type arrival struct {
	amount    money.Paise
	confirmed bool
	contested bool
}

// claimed is a claim as the model knows it.
type claimed struct {
	request deposit.Activation
	last    deposit.Claim
	judged  bool // an operator said something about it
}

// String keeps the log of a failed run readable.
func (c *claimed) String() string {
	return fmt.Sprintf("claim %d of %s, UTR %s, %s, %s", c.last.ID, c.request.Merchant, c.request.UTR, c.request.Amount, c.last.State)
}

var (
	wallets = map[string][]string{"till": {storetest.Shop}, "common": {storetest.Shop, storetest.Cafe}, "bar": {storetest.Cafe}}
	amounts = []money.Paise{100_00, 200_00, 300_00}
)

const unverifiedMax = 200_00

// A desk and its books stay right whatever is asked of them in whatever order.
func TestMachine(t *testing.T) {
	t.Parallel()
	h := storetest.MustOpenHouse(t, storetest.SQLite(t), storetest.Setup{Policy: func(p *deposit.Policy) {
		p.LabelFailures, p.MerchantFailures, p.UnverifiedMax, p.CreditMaxAge = 0, 0, unverifiedMax, 0
	}})
	run := 0
	var came, deposited money.Paise // in all runs
	verify := func(t interface{ Fatalf(string, ...any) }) {
		r, err := h.Store.Verify(h.Context())
		if err != nil || len(r.Problems) > 0 {
			t.Fatalf("verify: %v, %v", r.Problems, err)
		}
		if r.Held != came || r.Unclaimed != came-deposited || r.Owed+r.Fees != deposited {
			t.Fatalf("%s came and %s was deposited, but the books say %+v", came, deposited, r)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		run++
		h.Clock.Advance(1000 * time.Hour)
		if _, err := h.Desk.ExpireDue(h.Context()); err != nil {
			t.Fatal(err)
		}
		m := &machine{h: h, name: fmt.Sprint("run", run), came: make(map[place]*arrival)}
		defer func() { // also of a run that fails
			for _, a := range m.came {
				came += a.amount
			}
			for _, c := range m.claims {
				deposited += c.last.Deposited
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"activate": m.activate, "again": m.again, "contradict": m.contradict, "report": m.report,
			"report more": m.report, "approve": m.approve, "reject": m.reject, "wait": m.wait, "": m.checkOpen,
		})
		m.check(t, true)
		m.mustMissNothing(t)
	})
	verify(t)
}

func (m *machine) utr(t *rapid.T) upi.UTR {
	return upi.UTR(fmt.Sprintf("%08d%04d", rapid.IntRange(1, 4).Draw(t, "utr"), len(m.name)) + m.name)
}

func (m *machine) activate(t *rapid.T) {
	c := &claimed{request: deposit.Activation{
		Merchant: rapid.SampledFrom([]string{storetest.Shop, storetest.Cafe}).Draw(t, "merchant"),
		CustomID: fmt.Sprintf("%s/%d", m.name, len(m.claims)), Method: "upi_l", Label: m.name,
		UTR: m.utr(t), Amount: rapid.SampledFrom(amounts).Draw(t, "amount"), Currency: money.INR, Via: "api",
	}}
	var err error
	if c.last, err = m.h.Desk.Activate(m.h.Context(), c.request); err != nil {
		t.Fatalf("activate: %v", err)
	}
	if c.last.State == deposit.Credited {
		m.mustBeRight(t, c, &c.last)
	}
	m.claims = append(m.claims, c)
}

func (m *machine) pick(t *rapid.T) *claimed {
	if len(m.claims) == 0 {
		t.Skip("no claims yet")
	}
	return rapid.SampledFrom(m.claims).Draw(t, "claim")
}

// again repeats a request: it is answered with the claim as it stands.
func (m *machine) again(t *rapid.T) {
	c := m.pick(t)
	got, err := m.h.Desk.Activate(m.h.Context(), c.request)
	if err != nil || got.ID != c.last.ID || got.State != c.last.State {
		t.Fatalf("claim %d is %s; asked again: %d, %s, %v", c.last.ID, c.last.State, got.ID, got.State, err)
	}
}

func (m *machine) contradict(t *rapid.T) {
	request := m.pick(t).request
	request.Amount++
	_, err := m.h.Desk.Activate(m.h.Context(), request)
	var refusal *deposit.Refusal
	if !errors.As(err, &refusal) || refusal.Code != deposit.CustomIDUsed {
		t.Fatalf("other content under a used id: %v", err)
	}
}

func (m *machine) report(t *rapid.T) {
	wallet := rapid.SampledFrom([]string{"bar", "common", "till"}).Draw(t, "wallet")
	var entries []feed.Entry
	var want feed.Summary
	for range rapid.IntRange(1, 3).Draw(t, "entries") {
		utr := m.utr(t)
		if slices.ContainsFunc(entries, func(e feed.Entry) bool { return e.UTR == utr }) {
			continue // so that the model knows what came before what
		}
		e := m.h.Entry(utr, rapid.SampledFrom(amounts).Draw(t, "amount"))
		e.Trust = rapid.SampledFrom([]feed.Trust{feed.Provisional, feed.Confirmed}).Draw(t, "trust")
		entries = append(entries, e)
		known := m.came[place{wallet, e.UTR}]
		switch {
		case known == nil:
			m.came[place{wallet, e.UTR}] = &arrival{amount: e.Amount, confirmed: e.Trust == feed.Confirmed}
			want.Accepted++
		case known.amount != e.Amount:
			known.contested = true
			if e.Trust == feed.Confirmed && !known.confirmed && m.h.MustCredit(wallet, e.UTR).State == deposit.Unclaimed {
				known.amount, known.confirmed = e.Amount, true // whoever speaks for the bank is right
			}
		default:
			known.confirmed = known.confirmed || e.Trust == feed.Confirmed
			want.Duplicate++
		}
	}
	got, err := m.h.Report(wallet, entries...)
	if err != nil || got.Accepted != want.Accepted || got.Duplicate != want.Duplicate ||
		len(got.Refused) != len(entries)-want.Accepted-want.Duplicate {
		t.Fatalf("report: %+v, %v; want %+v", got, err, want)
	}
}

func (m *machine) approve(t *rapid.T) {
	c := m.pick(t)
	c.judged, m.approving = true, true
	_, err := m.h.Desk.Approve(m.h.Context(), c.last.ID, 0, "operator:asha", "")
	m.mustAnswer(t, c, err)
}

func (m *machine) reject(t *rapid.T) {
	c := m.pick(t)
	c.judged = true
	_, err := m.h.Desk.Reject(m.h.Context(), c.last.ID, "operator:asha", "")
	m.mustAnswer(t, c, err)
}

func (m *machine) mustAnswer(t *rapid.T, c *claimed, err error) {
	var refusal *deposit.Refusal
	if err != nil && !errors.As(err, &refusal) || (refusal != nil && refusal.Code == deposit.NotPending) != (c.last.State != deposit.Pending) {
		t.Fatalf("a %s claim: %v", c.last.State, err)
	}
}

func (m *machine) wait(t *rapid.T) {
	m.h.Clock.Advance(time.Duration(rapid.IntRange(1, 50).Draw(t, "hours")) * time.Hour)
	if _, err := m.h.Desk.ExpireDue(m.h.Context()); err != nil {
		t.Fatalf("expire: %v", err)
	}
}

// steps are the ways a claim may go (see deposit.State).
var steps = map[deposit.State][]deposit.State{
	deposit.Waiting: {deposit.Pending, deposit.Credited, deposit.Expired},
	deposit.Pending: {deposit.Credited, deposit.Refused, deposit.Rejected},
}

// checkOpen looks at the claims that an action could have moved.
func (m *machine) checkOpen(t *rapid.T) { m.check(t, false) }

// check looks at how claims moved; closed ones are looked at only where all is
// said: they must not have moved since.
func (m *machine) check(t *rapid.T, all bool) {
	credited := make(map[int64]int64)
	now := make([]deposit.Claim, len(m.claims))
	for i, c := range m.claims {
		now[i] = c.last
		if all || c.last.State.Open() {
			found, err := m.h.Store.FindClaim(m.h.Context(), c.last.ID)
			if err != nil {
				t.Fatalf("claim %d: %v", c.last.ID, err)
			}
			now[i] = *found
		}
		state := now[i].State
		if state != c.last.State && !slices.Contains(steps[c.last.State], state) {
			t.Fatalf("claim %d went from %s to %s", c.last.ID, c.last.State, state)
		}
		if state != deposit.Credited {
			continue
		}
		if other, twice := credited[now[i].CreditID]; twice {
			t.Fatalf("credit %d is claim %d's and %d's", now[i].CreditID, other, c.last.ID)
		}
		credited[now[i].CreditID] = c.last.ID
		if c.last.State != deposit.Credited && !m.approving {
			m.mustBeRight(t, c, &now[i])
		}
	}
	for i, c := range m.claims {
		c.last = now[i]
	}
	m.approving = false
}

// mustBeRight checks a claim that was credited without a person's word: by what
// the model knew when it happened.
func (m *machine) mustBeRight(t *rapid.T, c *claimed, now *deposit.Claim) {
	for _, other := range m.claims {
		if other != c && other.request.UTR == c.request.UTR && other.last.State.Open() && m.share(other, c) {
			t.Fatalf("claim %d was credited over open claim %d", now.ID, other.last.ID)
		}
	}
	if now.Deposited != c.request.Amount && m.policy(c) != directory.PolicyActual {
		t.Fatalf("claim %d of %s was credited %s", now.ID, c.request.Amount, now.Deposited)
	}
	for wallet, serves := range wallets {
		a := m.came[place{wallet, c.request.UTR}]
		if slices.Contains(serves, c.request.Merchant) && a != nil && a.amount == now.Deposited && !a.contested &&
			(a.confirmed || a.amount <= unverifiedMax) {
			return
		}
	}
	t.Fatalf("claim %d was credited %s by nothing that came for it", now.ID, now.Deposited)
}

// policy is what is made of another amount than the claimed: on an account that
// several merchants share, it is always for a person to say.
func (m *machine) policy(c *claimed) directory.AmountPolicy {
	for wallet, serves := range wallets {
		if len(serves) > 1 && slices.Contains(serves, c.request.Merchant) && m.came[place{wallet, c.request.UTR}] != nil {
			return directory.PolicyExact
		}
	}
	return m.h.Directory.Current().Merchant(c.request.Merchant).AmountPolicy
}

// share reports whether one credit that came could be either's.
func (m *machine) share(a, b *claimed) bool {
	for at := range m.came {
		serves := wallets[at.wallet]
		if at.utr == b.request.UTR && slices.Contains(serves, a.request.Merchant) && slices.Contains(serves, b.request.Merchant) &&
			m.free(at, b) {
			return true
		}
	}
	return false
}

// free reports whether no claim but c had the credit at a place before now.
func (m *machine) free(at place, c *claimed) bool {
	for _, other := range m.claims {
		if other != c && other.request.UTR == at.utr && other.last.State == deposit.Credited {
			return false
		}
	}
	return true
}

// mustMissNothing checks that a claim that is alone with its UTR, and has one
// credit that nothing speaks against, was credited.
func (m *machine) mustMissNothing(t *rapid.T) {
	for _, c := range m.claims {
		alone := !slices.ContainsFunc(m.claims, func(other *claimed) bool { return other != c && other.request.UTR == c.request.UTR })
		var fitting []*arrival
		for wallet, serves := range wallets {
			if a := m.came[place{wallet, c.request.UTR}]; a != nil && slices.Contains(serves, c.request.Merchant) {
				fitting = append(fitting, a)
			}
		}
		if !alone || c.judged || c.last.State == deposit.Expired || len(fitting) != 1 {
			continue
		}
		a := fitting[0]
		agrees := a.amount == c.request.Amount || m.policy(c) == directory.PolicyActual
		trusted := a.confirmed || a.amount <= unverifiedMax
		if agrees && trusted && !a.contested && c.last.State != deposit.Credited {
			t.Fatalf("claim %d is %s (%s), though its credit came and nothing speaks against it", c.last.ID, c.last.State, c.last.Reasons)
		}
	}
}
