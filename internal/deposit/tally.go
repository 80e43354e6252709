package deposit

import (
	"time"

	"github.com/milaan/milaan/money"
)

// TallyStep is the time that a tally is of: every zone in use is a multiple of it
// away from UTC, so that tallies add up to anybody's days.
const TallyStep = 15 * time.Minute

// TallyKey names a tally: of a merchant, or of all where that is empty, in a
// quarter of an hour, counted from 1970 UTC.
type TallyKey struct {
	Merchant string
	Quarter  int64
}

// QuarterOf is the quarter of an hour that a time lies in.
func QuarterOf(t time.Time) int64 { return t.Unix() / int64(TallyStep/time.Second) }

// WaitBounds divide deposits by how long they took, from the claim to the credit:
// up to each bound, and longer than the last.
var WaitBounds = [...]time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

// Tally is what happened in a quarter of an hour: kept with every commit, since to
// count a day's claims anew would cost as much as there are. It is what the claims
// and deposits add up to.
type Tally struct {
	Made int64 // claims made in it
	Won  int64 // of those, credited by now
	Lost int64 // of those, refused, rejected or expired

	Deposits     int64 // credited in it, and not undone
	Amount, Fees money.Paise
	Waits        [len(WaitBounds) + 1]int64 // the deposits by how long they took
}

// Add adds a tally.
func (t *Tally) Add(other *Tally) {
	t.Made += other.Made
	t.Won += other.Won
	t.Lost += other.Lost
	t.Deposits += other.Deposits
	t.Amount += other.Amount
	t.Fees += other.Fees
	for i := range t.Waits {
		t.Waits[i] += other.Waits[i]
	}
}

// tally adds to what happened at a merchant, and at all, at a time.
func (b *book) tally(merchant string, at time.Time, t Tally) {
	for _, of := range [...]string{merchant, ""} {
		key := TallyKey{of, QuarterOf(at)}
		sum := b.changes.Tallies[key]
		sum.Add(&t)
		b.changes.Tallies[key] = sum
	}
}

// move brings a claim to a state.
func (b *book) move(c *Claim, to State) {
	var t Tally
	outcome(&t, c.State, -1)
	outcome(&t, to, 1)
	if t != (Tally{}) {
		b.tally(c.Merchant, c.CreatedAt, t)
	}
	c.State = to
}

func outcome(t *Tally, s State, n int64) {
	switch s {
	case Credited:
		t.Won += n
	case Refused, Rejected, Expired:
		t.Lost += n
	case Waiting, Pending:
	}
}

// tallyDeposit counts a deposit of a claim, or one that is undone with a sign of -1.
func (b *book) tallyDeposit(c *Claim, d *Deposit, sign int64) {
	t := Tally{Deposits: sign, Amount: d.Amount * money.Paise(sign), Fees: d.Fee * money.Paise(sign)}
	wait := 0
	for wait < len(WaitBounds) && d.At.Sub(c.CreatedAt) > WaitBounds[wait] {
		wait++
	}
	t.Waits[wait] = sign
	b.tally(c.Merchant, d.At, t)
}
