//go:build unix

package soak_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

// kind is how a payment comes about.
type kind uint8

const (
	known     kind = iota // the bank tells of it, then the payer names it
	early                 // the payer names it, then the bank tells of it
	visited               // the same, and the payer does so in the window
	listed                // the payer names it, and only a statement has it
	unclaimed             // the bank tells of it, and nobody asks for it
	mistyped              // the payer names one that never was
	forged                // a forger tells of it, and a thief names it
)

var kinds = [...]string{"known before it is claimed", "claimed before it is known", "claimed in the window", "known by a statement alone",
	"never claimed", "claimed by a wrong UTR", "forged, and claimed"}

// order is a payment as it is meant to go. It follows from its number and the
// seed alone.
type order struct {
	n      int
	kind   kind
	shop   int
	amount money.Paise
	pause  time.Duration // between the two sides
	phone  int           // 0 the bank's own program tells of it, 1 a phone, 2 a phone that signs
	both   bool          // a second feed of the account tells of it, too, at once
	twice  bool          // the merchant's server asks twice at once
	thief  bool          // somebody names the same UTR once it is credited
	eager  bool          // whoever gets no answer asks again at once; others come back later
}

// draw gives the n-th payment.
func draw(seed uint64, n int, long bool) order {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	o := order{n: n, amount: money.Paise(10_00 + r.Int64N(4_990_00)), kind: pick[kind](r, 42, 41, 3, 4, 4, 3, 3), shop: pick[int](r, 40, 26, 12, 10, 3, 3, 3, 3),
		phone: pick[int](r, 75, 15, 10), both: r.IntN(5) == 0, twice: r.IntN(20) == 0, thief: r.IntN(50) == 0, eager: r.IntN(10) > 0}
	longest := 300 * time.Millisecond
	if long {
		longest = 3 * time.Second
	}
	o.pause = time.Duration(r.Int64N(int64(longest)))
	return o
}

// pick draws an index by weights of a hundred.
func pick[T ~int | ~uint8](r *rand.Rand, weights ...int) T {
	at := r.IntN(100)
	for i, w := range weights {
		if at -= w; at < 0 {
			return T(i)
		}
	}
	return 0
}

// scatter is coprime to the number of UTRs: no two payments have the same one,
// and neighbours are far apart.
const (
	scatter = 61_803_398_873
	utrs    = 100_000_000_000
)

func utrOf(lead string, n int) string { return fmt.Sprintf("%s%011d", lead, n*scatter%utrs) }

func (o order) utr() string {
	switch o.kind {
	case forged:
		return utrOf("5", o.n)
	case mistyped:
		return utrOf("6", o.n)
	default:
		return utrOf("4", o.n)
	}
}

// id is the merchant's own; neighbours sort far apart, as in life.
func (o order) id() string {
	return strconv.FormatUint(uint64(o.n)*0x9e3779b97f4a7c15, 36) + "-" + strconv.Itoa(o.n)
}

// numberIn is the payment's number in an id of [order.id]'s; -1 in another.
func numberIn(id string) int {
	_, digits, _ := strings.Cut(id, "-")
	n, err := strconv.Atoi(digits)
	if err != nil || (order{n: n}).id() != id {
		return -1
	}
	return n
}

func (o order) label() string { return "payer-" + strconv.Itoa(o.n%50_000) }
func (o order) payer() string { return "payer" + strconv.Itoa(o.n) + "@okaxis" }

// payment is what is known of an order by what the gateways answered, and by
// what merchants were told.
type payment struct {
	order
	reported bool          // a report of its credit was acknowledged
	claimed  bool          // a claim of it was
	settled  time.Duration // since the start, when both were
	told     int           // how often its merchant was told and confirmed it
	toldAt   time.Duration // the first time
	body     uint64        // digest of what the merchant was told
	events   int           // events deposit.credited of it
}

func (p *payment) credited() bool { return p.reported && p.claimed }

// payout is a withdrawal that was acknowledged.
type payout struct {
	shop   int
	id     string
	amount money.Paise
	ends   string // last digits of its account, which choose its end
	told   bool
	state  client.WithdrawalState // at the end
}

// books are the test's own: what must be so.
type books struct {
	began time.Time

	mu       sync.Mutex
	payments []payment
	payouts  map[string]*payout // by id
	oldest   int                // below it every payment is told that must be
	delays   []time.Duration    // from credit to being told, since the last look
	bodies   map[string]uint64  // digests of events by webhook-id
	kinds    map[string]int     // events by type

	thieves, forgeries, replays, repeats int // that were turned away, or changed nothing
}

// chargeOf is what a bank takes for its SMS.
const chargeOf money.Paise = 5_00

func (b *books) since() time.Duration { return time.Since(b.began) }

// open begins the next payment.
func (b *books) open(draw func(n int) order) order {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := draw(len(b.payments))
	b.payments = append(b.payments, payment{order: o})
	return o
}

func (b *books) note(n int, see func(*payment)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.payments[n]
	before := p.credited()
	see(p)
	if !before && p.credited() {
		p.settled = b.since()
	}
}

func (b *books) reported(n int) { b.note(n, func(p *payment) { p.reported = true }) }
func (b *books) claimed(n int)  { b.note(n, func(p *payment) { p.claimed = true }) }

// told takes what a merchant was told of a payment; it reports false where that
// is not what it was told before.
func (b *books) told(n int, body uint64, confirmed bool) (same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.payments[n]
	same = p.body == 0 || p.body == body
	p.body = body
	if !confirmed {
		return same
	}
	if p.told++; p.told == 1 {
		p.toldAt = b.since()
		if p.credited() {
			b.delays = append(b.delays, max(0, p.toldAt-p.settled))
		}
	}
	return same
}

// lag is how long the oldest payment of a merchant that is well has waited to be
// told, and what the delays were since the last look.
func (b *books) lag(well func(shop int) bool) (oldest time.Duration, delays []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delays, b.delays = b.delays, nil
	now, passed := b.since(), true
	for n := b.oldest; n < len(b.payments); n++ {
		p := &b.payments[n]
		if due := p.credited() && p.told == 0 && well(p.shop); due {
			oldest = max(oldest, now-p.settled)
		}
		// The next look begins where something is still under way.
		open := p.kind != unclaimed && p.kind != mistyped && p.kind != forged && p.told == 0 && well(p.shop)
		if passed = passed && !open; passed {
			b.oldest = n + 1
		}
	}
	return oldest, delays
}

// missing counts payments that are credited and whose merchant was not told.
func (b *books) missing(of func(shop int) bool) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.payments {
		if p := &b.payments[i]; p.credited() && p.told == 0 && of(p.shop) {
			n++
		}
	}
	return n
}

// all is a copy of what is known.
func (b *books) all() []payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]payment(nil), b.payments...)
}
