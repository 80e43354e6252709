// Package month lives through a month of an installation, so that a demo opens on
// one that has been at work: deposits, review, withdrawals, settlements,
// statements, postbacks that arrived and such that did not.
//
// Nothing of it is written into the database by hand. The month's clock is set
// back, and the real rooms work by it: feeds' texts are read, claims matched,
// withdrawals approved and sent, postbacks signed, delivered and verified, and
// the ledger and the audit log come about as they do in earnest. What is made
// up is what comes from outside: payers, banks and the merchants' servers.
package month

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Days is how long the month is, today with it.
const Days = 30

// Config is what a month is made with; every field is needed.
type Config struct {
	// Store has the installation of the demo applied, dated [Begin], and nothing
	// else.
	Store store.Store
	// Until is the month's end, the present.
	Until time.Time
	// Seed chooses the month: the same seed and end give the same payments, at the
	// same times, with the same outcomes. Ids may differ among payments of the same
	// moment.
	Seed uint64
	// Password is everybody's, see [Staff].
	Password string
}

// Begin is when a month that ends at a time begins: a day before its first, in
// which the installation is set up.
func Begin(until time.Time) time.Time {
	y, m, d := until.In(india).Date()
	return time.Date(y, m, d-Days, 10, 0, 0, 0, india).UTC()
}

// Live lives through the month.
func Live(ctx context.Context, c Config) error {
	dice := rand.New(rand.NewPCG(c.Seed, 2)) //nolint:gosec // a story that is the same each time, and no secret
	w := &world{
		rooms: rooms{clock: &clock{at: Begin(c.Until)}, store: c.Store}, dice: dice, until: c.Until.UTC().Truncate(time.Second),
		trades: trades(dice), accounts: accounts(), references: references{dice, make(map[upi.UTR]bool)}, orders: make(map[string]int), seen: make(map[int64]bool),
	}
	if err := w.open(ctx, w.outages()); err != nil {
		return err
	}
	return w.during(ctx, func(ctx context.Context) (err error) {
		if err := w.recruit(ctx, c.Password); err != nil {
			return err
		}
		w.trade()
		w.work()
		w.payOut()
		w.oddities()
		slices.SortStableFunc(w.happenings, func(a, b happening) int { return a.at.Compare(b.at) })
		for _, h := range w.happenings {
			if h.at.After(w.ago(beforeTheEnd)) {
				break
			}
			w.clock.reach(h.at)
			if err := errors.Join(h.do(ctx), w.courier.failure()); err != nil {
				return fmt.Errorf("on %s: %w", h.at.In(india).Format(time.DateTime), err)
			}
		}
		w.clock.reach(w.until)
		return nil
	})
}

// world is the month while it is lived through.
type world struct {
	rooms
	references
	dice       *rand.Rand
	until      time.Time
	trades     []*trade
	accounts   map[string]*account
	orders     map[string]int // last custom id, by merchant
	happenings []happening
	people     map[staff.Role]*staff.User
	seen       map[int64]bool // withdrawals that are in their bank's book
}

// happening is what is done at a time.
type happening struct {
	at time.Time
	do func(context.Context) error
}

func (w *world) happen(at time.Time, do func(context.Context) error) {
	w.happenings = append(w.happenings, happening{at, do})
}

// ago is a time before the end.
func (w *world) ago(d time.Duration) time.Time { return w.until.Add(-d) }

// midnight is the beginning of a day, counted from 0 to Days-1.
func (w *world) midnight(day int) time.Time {
	y, m, d := w.until.In(india).Date()
	return time.Date(y, m, d-Days+1+day, 0, 0, 0, 0, india)
}

// What goes wrong at the end of the month, so that there is something to find.
const (
	sbiSilent     = 47 * time.Hour     // since so long the phone with SBI's SMS is off
	iciciWording  = 15 * time.Hour     // ICICI words its SMS anew
	recently      = 40 * time.Hour     // payments of this time have moments of their own
	shownLately   = 3 * 24 * time.Hour // wallets shown before are forgotten by now
	leftForPeople = 20 * time.Hour     // what came since waits for a person still
	beforeTheEnd  = 4 * time.Minute    // nothing begins that could end after the present
)

// outages are when merchants' servers do not answer: pathshala's was given up,
// tiffin's fails today.
func (w *world) outages() map[string]Outage {
	return map[string]Outage{
		"pathshala": {w.ago(156 * time.Hour), w.until.Add(time.Hour)},
		"tiffin":    {w.ago(26 * time.Hour), w.until.Add(time.Hour)},
	}
}

// payment is one that somebody means to make.
type payment struct {
	trade    *trade
	at       time.Time
	place    place
	from     payer
	asked    money.Paise // what the claim says
	paid     money.Paise // what the bank says; 0 for a payment that never was
	utr      upi.UTR
	paidAt   time.Time
	late     bool // the bank tells after the claim
	unheard  bool // the feed does not tell at all
	reworded bool // ICICI tells of it in its new words
	silent   bool // nobody claims it
	shown    bool // the merchant asks which wallet to show
	mistyped bool // the UTR is typed wrongly first
}

// mostInMoment and aMoment bound what is told in one commit of the days that are
// long past: the demo is to open soon.
const (
	mostInMoment = 6
	aMoment      = 50 * time.Minute
)

// trade plans the ordinary payments.
func (w *world) trade() {
	var all []*payment
	for day := range Days {
		for _, t := range w.trades {
			for _, at := range t.day(w.dice, w.midnight(day), 90+day) {
				all = append(all, w.ordinary(t, at))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *payment) int { return a.at.Compare(b.at) })
	for len(all) > 0 {
		n := 1
		if all[0].at.Before(w.ago(recently)) {
			for n < min(len(all), mostInMoment) && all[n].at.Sub(all[0].at) < aMoment {
				n++
			}
		}
		moment := all[:n]
		w.happen(moment[0].at, func(ctx context.Context) error { return w.moment(ctx, moment) })
		all = all[n:]
	}
}

// ordinary throws a payment, with what goes wrong with some.
func (w *world) ordinary(t *trade, at time.Time) *payment {
	p := &payment{trade: t, at: at, place: t.place(w.dice), from: t.customer(w.dice), asked: t.price(w.dice)}
	if p.place.wallet == sbi && at.After(w.ago(sbiSilent)) {
		if w.dice.IntN(5) > 0 {
			p.place = place{axis, "upi_ib", 0} // the operator sends payers elsewhere
		} else {
			p.unheard = true
		}
	}
	p.reworded = at.After(w.ago(iciciWording)) && w.dice.IntN(5) > 0
	p.paid = p.asked
	late := 20
	if p.place.wallet == axis {
		late = 55 // its hook is called every few minutes
	}
	p.late = w.dice.IntN(100) < late
	p.shown = at.After(w.ago(shownLately)) && w.dice.IntN(3) == 0
	switch n := w.dice.IntN(1000); {
	case n < 24:
		p.silent = true
	case n < 44:
		p.paid = 0
	case n < 54:
		p.mistyped = true
	case n < 64 && p.asked > 100*money.Rupee:
		p.paid -= money.Paise(1+w.dice.IntN(50)) * money.Rupee
	}
	return p
}

// moment lets payers pay, claim, and be heard of by their banks.
func (w *world) moment(ctx context.Context, payments []*payment) error {
	if err := w.show(ctx, payments); err != nil {
		return err
	}
	var prompt, late []*payment
	for _, p := range payments {
		w.pay(p)
		switch {
		case p.paid == 0 || p.unheard:
		case p.late:
			late = append(late, p)
		default:
			prompt = append(prompt, p)
		}
	}
	w.clock.pass(time.Duration(4000+w.dice.IntN(9000)) * time.Millisecond)
	if err := w.report(ctx, prompt); err != nil {
		return err
	}
	w.clock.pass(time.Duration(15_000+w.dice.IntN(40_000)) * time.Millisecond)
	if err := w.claim(ctx, payments); err != nil {
		return err
	}
	if len(late) > 0 {
		w.clock.pass(time.Duration(12_000+w.dice.IntN(100_000)) * time.Millisecond)
		if err := w.report(ctx, late); err != nil {
			return err
		}
	}
	_, err := w.desk.ExpireDue(ctx)
	return err
}

// show has merchants ask which wallet to show, and sends those payers there.
func (w *world) show(ctx context.Context, payments []*payment) error {
	var asking errgroup.Group
	for _, p := range payments {
		if !p.shown {
			continue
		}
		asking.Go(func() error {
			a, err := w.assign(ctx, p)
			if err == nil && w.accounts[p.place.wallet] != nil && w.accounts[a.Wallet] != nil && !p.unheard {
				p.place.wallet = a.Wallet
			}
			return err
		})
	}
	return asking.Wait()
}

func (w *world) assign(ctx context.Context, p *payment) (deposit.Assignment, error) {
	return w.desk.Assign(ctx, deposit.AssignmentRequest{
		Merchant: p.trade.merchant, Method: p.place.method, Label: p.from.label, Currency: money.INR, Amount: p.asked,
	})
}

// pay moves the money, as far as there is any.
func (w *world) pay(p *payment) {
	if p.utr == "" {
		p.utr = w.next(w.clock.Now())
	}
	p.paidAt = w.clock.Now()
	if p.paid > 0 {
		a := w.accounts[p.place.wallet]
		a.lines = append(a.lines, line{at: p.paidAt, amount: p.paid, utr: p.utr, from: p.from})
	}
}

// report has the banks tell of payments: those of one wallet in one report.
func (w *world) report(ctx context.Context, payments []*payment) error {
	var reports errgroup.Group
	for _, wallet := range []string{hdfc, icici, sbi, axis} {
		var usual []line
		for _, p := range payments {
			if p.place.wallet != wallet {
				continue
			}
			l := line{at: p.paidAt, amount: p.paid, utr: p.utr, from: p.from}
			if p.reworded && wallet == icici {
				a := *w.accounts[icici]
				a.text = iciciNews
				reports.Go(func() error { return w.tell(ctx, &a, l) })
				continue
			}
			usual = append(usual, l)
		}
		if len(usual) > 0 {
			reports.Go(func() error { return w.tell(ctx, w.accounts[wallet], usual...) })
		}
	}
	return reports.Wait()
}

// tell brings a report to an account's feed, as the feeds' door does.
func (w *world) tell(ctx context.Context, a *account, lines ...line) error {
	body, err := a.body(lines)
	if err != nil {
		return err
	}
	return w.post(ctx, a.alerts, body)
}

// post brings a body to a feed.
func (w *world) post(ctx context.Context, id string, body []byte) error {
	f := w.directory.Current().Feed(id)
	if f == nil {
		return fmt.Errorf("there is no feed %s", id)
	}
	report, err := w.reader.Read(ctx, f, w.directory.Current().Wallet(f.Wallet), intake.Request{Header: jsonHeader, Body: body})
	if err != nil {
		return fmt.Errorf("feed %s: %w", id, err)
	}
	if len(report.Refused) > 0 {
		return fmt.Errorf("feed %s: %s", id, report.Refused[0].Error)
	}
	_, err = w.ingest(ctx, f, report.Items)
	return err
}

func (w *world) ingest(ctx context.Context, f *directory.Feed, items []feed.Item) (feed.Taken, error) {
	return w.desk.Ingest(ctx, f, items)
}

// claim has payers claim what they paid. Who mistyped the UTR corrects it.
func (w *world) claim(ctx context.Context, payments []*payment) error {
	var claims errgroup.Group
	var wrong []deposit.Activation
	for _, p := range payments {
		if p.silent {
			continue
		}
		a := w.activation(p)
		if p.mistyped {
			wrong = append(wrong, a)
			a.UTR = w.next(w.clock.Now())
		}
		claims.Go(func() error { _, err := w.desk.Activate(ctx, a); return err })
	}
	if err := claims.Wait(); err != nil || len(wrong) == 0 {
		return err
	}
	w.clock.pass(time.Duration(40+w.dice.IntN(90)) * time.Second)
	for _, a := range wrong {
		if _, err := w.desk.Amend(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// activation is a payment's claim, under the merchant's next order.
func (w *world) activation(p *payment) deposit.Activation {
	n := w.orders[p.trade.merchant]
	w.orders[p.trade.merchant] = n + 1
	via := "api"
	if p.shown || p.mistyped {
		via = "window"
	}
	return deposit.Activation{
		Merchant: p.trade.merchant, CustomID: fmt.Sprintf("%s%d", p.trade.order, 48_211+n), Method: p.place.method, Label: p.from.label,
		UTR: p.utr, Amount: p.asked, Currency: money.INR, Via: via,
	}
}
