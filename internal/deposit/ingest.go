package deposit

import (
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/money"
)

// MaxAmount bounds one credit, at a trillion rupees: far above any payment, and
// far enough below what a balance holds that a bank's whole day of them fits.
const MaxAmount money.Paise = 1_000_000_000_000_00

// ingest takes a feed's report.
type ingest struct {
	feed  *directory.Feed
	items []feed.Item
	// referrals are the payments whose references the credits carry.
	referrals map[string]*Referral

	taken feed.Taken // the answer
}

func (*ingest) name() string     { return "ingest" }
func (g *ingest) caller() string { return "feed:" + g.feed.ID }

// weight counts a credit or movement, and a claim for each referral, whose ids
// must do for the messages' own, too.
func (g *ingest) weight() int {
	n := len(g.items) + len(g.referrals)
	for i := range g.items {
		if g.items[i].Message != nil {
			n++
		}
	}
	return n
}

func (g *ingest) need(k *Keys, dir *directory.Snapshot) {
	for i := range g.items {
		item := &g.items[i]
		switch {
		case item.Refusal != "":
		case item.Credit != nil:
			k.UTRs[item.Credit.UTR] = struct{}{}
			k.Reported[item.Credit.UTR] = struct{}{}
		case item.Movement != nil:
			k.Movements[item.Movement.Key] = struct{}{}
			if item.Movement.UTR != "" {
				k.UTRs[item.Movement.UTR] = struct{}{}
			}
		}
	}
	for _, r := range g.referrals {
		r.need(k, dir)
	}
}

func (g *ingest) run(b *book) error {
	g.taken = feed.Taken{Outcomes: make([]feed.Outcome, len(g.items))}
	wallet := b.dir.Wallet(g.feed.Wallet)
	if wallet == nil {
		return fmt.Errorf("feed %s: wallet %s is not in the directory", g.feed.ID, g.feed.Wallet)
	}
	for i := range g.items {
		item := &g.items[i]
		out := feed.Outcome{Place: item.Place}
		if err := g.take(b, wallet, item, &out); err != nil {
			return err
		}
		if item.Message != nil {
			b.keepMessage(g.feed, item.Message, &out)
		}
		b.countReport(g.feed.ID, item, &out)
		g.taken.Outcomes[i] = out
		g.taken.Summary.Count(out)
	}
	return nil
}

// take books an item.
func (g *ingest) take(b *book, wallet *directory.Wallet, item *feed.Item, out *feed.Outcome) error {
	var amount money.Paise
	var currency money.Currency
	switch {
	case item.Refusal != "":
		refuseItem(out, item.Refusal)
		return nil
	case item.Credit != nil:
		amount, currency = item.Credit.Amount, item.Credit.Currency
	case item.Movement != nil:
		amount, currency = item.Movement.Amount, item.Movement.Currency
	default:
		out.Result, out.Why = item.Message.Result(), item.Message.Why
		return nil
	}
	switch {
	case currency != wallet.Currency:
		refuseItem(out, fmt.Sprintf("currency %s is not the wallet's: it takes %s", currency, wallet.Currency))
		return nil
	case amount > MaxAmount:
		refuseItem(out, fmt.Sprintf("amount is above %s rupees, the most that is taken for one payment", MaxAmount))
		return nil
	case item.Credit != nil:
		return g.takeCredit(b, item.Credit, out)
	default:
		return g.takeMovement(b, item.Movement, out)
	}
}

func refuseItem(out *feed.Outcome, why string) { out.Result, out.Why = feed.Refused, why }

func (g *ingest) actor() string { return "feed:" + g.feed.ID }

func (g *ingest) takeCredit(b *book, e *feed.Entry, out *feed.Outcome) error {
	for _, known := range b.facts.Credits[e.UTR] {
		if b.sameAccount(known.Wallet, g.feed.Wallet) {
			out.CreditID = known.ID
			return g.takeAgain(b, known, e, out)
		}
	}
	credit := &Credit{
		ID: b.nextID(), Wallet: g.feed.Wallet, Entry: *e, Feed: g.feed.ID,
		ReceivedAt: b.now, State: Unclaimed,
	}
	b.fresh[credit] = true
	b.changes.NewCredits = append(b.changes.NewCredits, credit)
	b.facts.Credits[e.UTR] = append(b.facts.Credits[e.UTR], credit)
	b.changes.WalletUse[WalletDay{credit.Wallet, DayOf(credit.At)}] += credit.Amount
	if err := b.postCredit(credit, ledger.CreditReceived, credit.Amount); err != nil {
		return err
	}
	b.record(g.actor(), "credit.received", credit.ID, "on wallet "+credit.Wallet)
	out.Result, out.CreditID = feed.New, credit.ID
	if err := b.reverseEarlier(g.actor(), credit); err != nil {
		return err
	}
	return g.settle(b, credit, out)
}

// settle weighs the claims that a credit could settle, that of the payment whose
// reference it carries among them: whoever typed its UTR before is that
// payment's rival, and not its better.
func (g *ingest) settle(b *book, credit *Credit, out *feed.Outcome) error {
	var referred bool
	if len(g.referrals) > 0 {
		if r := g.referrals[payment.FindReference(credit.Note, credit.Reference)]; r != nil {
			var err error
			if referred, err = b.refer(credit, r); err != nil {
				return err
			}
		}
	}
	credited, err := b.settleOpen(g.actor(), credit)
	out.Settled = referred || credited
	return err
}

// takeAgain takes a second report of one credit: it may confirm the first, add
// what that left out, or contradict it.
func (g *ingest) takeAgain(b *book, known *Credit, e *feed.Entry, out *feed.Outcome) error {
	if known.Amount != e.Amount {
		return g.contradict(b, known, e, out)
	}
	out.Result = feed.Known
	changed := known.learn(e)
	confirmed := e.Trust > known.Trust
	if confirmed {
		b.datedBack(known, e)
		known.Trust = e.Trust
		b.record(g.actor(), "credit.confirmed", known.ID, "reported by "+g.feed.ID+" too")
	}
	if changed || confirmed {
		b.touchCredit(known)
	}
	// Also where nothing is new about it: a claim may have become able to have
	// the credit since, by a change of the directory.
	return g.settle(b, known, out)
}

// learn takes from a further report what the first left out, and says whether that
// was anything.
func (c *Credit) learn(e *feed.Entry) (changed bool) {
	fill := func(have *string, reported string) {
		if *have == "" && reported != "" {
			*have, changed = reported, true
		}
	}
	if c.State == Unclaimed { // a deposit's postback has told who paid
		fill(&c.PayerVPA, e.PayerVPA)
		fill(&c.PayerName, e.PayerName)
	}
	fill(&c.Note, e.Note)
	fill(&c.Reference, e.Reference)
	return changed
}

// datedBack takes the day of a credit from whoever speaks for the bank, where it
// is an earlier one: an SMS that is forwarded again after months tells no day.
func (b *book) datedBack(known *Credit, e *feed.Entry) {
	if known.State != Unclaimed || DayOf(e.At) >= DayOf(known.At) {
		return
	}
	b.changes.WalletUse[WalletDay{known.Wallet, DayOf(known.At)}] -= known.Amount
	b.changes.WalletUse[WalletDay{known.Wallet, DayOf(e.At)}] += known.Amount
	known.At = e.At
}

// contradict takes a report that names another amount. Whoever speaks for the
// bank is right about what came; claims on the credit go to a person all the
// same. A deposit stays as it was credited until a person decides.
func (g *ingest) contradict(b *book, known *Credit, e *feed.Entry, out *feed.Outcome) error {
	was := known.Amount
	corrects := e.Trust > known.Trust && known.State == Unclaimed
	if !known.Contested || corrects {
		b.contest(g.actor(), known, fmt.Sprintf("reported again as %s instead of %s", e.Amount, was))
	}
	if corrects {
		known.Amount, known.Trust = e.Amount, e.Trust
		known.learn(e)
		b.changes.WalletUse[WalletDay{known.Wallet, DayOf(known.At)}] += e.Amount - was
		if err := b.postCredit(known, ledger.CreditCorrected, e.Amount-was); err != nil {
			return err
		}
		b.record(g.actor(), "credit.corrected", known.ID, fmt.Sprintf("from %s to %s, which the bank says", was, e.Amount))
		if err := b.reverseEarlier(g.actor(), known); err != nil {
			return err
		}
	}
	if err := g.settle(b, known, out); err != nil {
		return err
	}
	switch {
	case corrects:
		refuseItem(out, fmt.Sprintf("UTR %s was known as %s: corrected, and claims on it are sent to review", e.UTR.Masked(), was))
	case known.State == Bound:
		refuseItem(out, fmt.Sprintf("UTR %s is known with another amount and credited: compare with the bank; credit %d is marked", e.UTR.Masked(), known.ID))
	default:
		refuseItem(out, fmt.Sprintf("UTR %s is known with another amount: claims on it are sent to review", e.UTR.Masked()))
	}
	return nil
}

// postCredit posts what a credit brings to its wallet and to suspense; an amount
// below zero takes it away.
func (b *book) postCredit(credit *Credit, kind ledger.PostingKind, amount money.Paise) error {
	asset, err := b.dir.Account(ledger.WalletCode(credit.Wallet))
	if err != nil {
		return err
	}
	suspense, err := b.dir.Account(ledger.SuspenseCode(credit.Wallet))
	if err != nil {
		return err
	}
	credit.Lines++
	p := ledger.Posting{
		TransactionID: credit.ID, Line: credit.Lines, Kind: kind,
		Debit: asset, Credit: suspense, Amount: amount, Currency: credit.Currency, At: b.now,
	}
	if amount < 0 {
		p.Debit, p.Credit, p.Amount = suspense, asset, -amount
	}
	b.changes.Postings = append(b.changes.Postings, p)
	return nil
}

// keepMessage keeps what an item was read from.
func (b *book) keepMessage(f *directory.Feed, m *feed.Message, out *feed.Outcome) {
	b.changes.Messages = append(b.changes.Messages, KeptMessage{
		ID: b.nextID(), Feed: f.ID, Wallet: f.Wallet, ReceivedAt: b.now, Message: *m, Outcome: *out,
	})
}

// countReport counts an item for the health of its feed.
func (b *book) countReport(id string, item *feed.Item, out *feed.Outcome) {
	n := b.changes.Reports[FeedHour{id, b.now.Unix() / 3600}]
	n.Items++
	n.LastAt = b.now
	switch out.Result {
	case feed.New:
		n.Credits++
		if m := item.Message; m != nil && !m.At.IsZero() && !m.DateOnly {
			lag := b.now.Sub(m.At)
			n.Timed++
			n.Lag += max(lag, 0)
			n.MostLag = max(n.MostLag, lag)
			n.Ahead = max(n.Ahead, -lag)
		}
	case feed.Unread, feed.NoUTR:
		n.Unread++
	case feed.Refused:
		n.Refused++
	case feed.Known, feed.Recorded, feed.NotCredit:
	}
	b.changes.Reports[FeedHour{id, b.now.Unix() / 3600}] = n
}

// KeptMessage is a message as it is kept, with what became of it.
type KeptMessage struct {
	ID         int64
	Feed       string
	Wallet     string
	ReceivedAt time.Time
	feed.Message
	Outcome feed.Outcome
}

// Why is why it is where it is.
func (m *KeptMessage) Why() string { return m.Outcome.Why }

// FeedHour is an hour of a feed, counted since 1970 UTC.
type FeedHour struct {
	Feed string
	Hour int64
}

// FeedCount counts what a feed reported within an hour.
type FeedCount struct {
	Items, Credits, Unread, Refused int64
	// Timed credits told the bank's time: Lag is how long they took to arrive in
	// all, MostLag at most.
	Timed        int64
	Lag, MostLag time.Duration
	// Ahead is how far ahead of this gateway's clock the bank's time was at most.
	Ahead  time.Duration
	LastAt time.Time
}
