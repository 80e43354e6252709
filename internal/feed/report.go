package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Item is one thing that a feed reports: a record, a message, a line of a
// statement. It is a credit, or another movement, or a message that is neither.
type Item struct {
	Place int // in the report, as its sender counts
	// Credit is a payment that came in, with its UTR.
	Credit *Entry
	// Movement is other money that moved. Only feeds that speak for the bank
	// report any.
	Movement *Movement
	// Message is what it was read from, to be kept; nil where the record itself
	// says everything.
	Message *Message
	// Refusal is why the sender is not believed: the message is kept, and counts
	// for nothing.
	Refusal string
}

// Movement is money that moved on a wallet and is no payment: a debit, a fee,
// interest, the reversal of either side.
type Movement struct {
	Kind     Kind // Debit or Other
	UTR      upi.UTR
	Amount   money.Paise // above zero
	Currency money.Currency
	At       time.Time
	// Reversal says that a credit was taken back (of a Debit: that with the UTR),
	// or that an own debit came back (of an Other).
	Reversal  bool
	Narration string
	// Key is the same for the same line in another file, see LineKey.
	Key [sha256.Size]byte
}

// LineKey identifies a line of a statement that is no credit: the same line in an
// overlapping statement has the same key. Its UTR says enough; without one the
// day, the narration and the balance tell, so that another format of the same
// statement may look new. Account is what the line is on; twin counts lines
// that are alike in everything, from 0.
func LineKey(account string, r *Reading, narration string, balance *money.Paise, twin int) [sha256.Size]byte {
	h := sha256.New()
	text := func(s string) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		_, _ = h.Write([]byte(s)) // a hash never fails
	}
	text(account)
	text(string(r.Kind))
	text(string(r.UTR))
	text(r.Amount.Fixed())
	if r.UTR != "" { // which every format of the same statement has
		return [sha256.Size]byte(h.Sum(nil))
	}
	text(r.At.In(india).Format(time.DateOnly))
	text(strings.Join(strings.Fields(strings.ToUpper(narration)), " "))
	if balance != nil {
		text(balance.Fixed())
	}
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(twin))) //nolint:gosec // a count
	return [sha256.Size]byte(h.Sum(nil))
}

// Message is a bank's message as it came, with what was understood of it.
type Message struct {
	Raw []byte // sealed at rest, dropped when its time is up
	// Digest is the same for the same message sent again.
	Digest [sha256.Size]byte
	Sender string // as claimed: an SMS header, a From address
	SentAt time.Time
	Reading
}

// Result is what became of an item.
type Result string

// Results.
const (
	New       Result = "new"        // a new credit
	Known     Result = "known"      // a credit or movement that was known
	Recorded  Result = "recorded"   // a new movement
	NotCredit Result = "not_credit" // a message of no money that came in
	NoUTR     Result = "no_utr"     // a credit that can't be told from others: a person looks
	Unread    Result = "unparsed"
	Refused   Result = "refused"
)

// Outcome is what became of an item, and why.
type Outcome struct {
	Place  int
	Result Result
	// Settled says that the credit, new or known, settled a claim.
	Settled bool
	Why     string
	// CreditID and MovementID are what it is kept as, 0 where it is not.
	CreditID, MovementID int64
}

// Taken is what became of a report.
type Taken struct {
	Summary  Summary
	Outcomes []Outcome // in the order of the items
}

// Result is what a message comes to by itself, where nothing of it is booked.
func (m *Message) Result() Result {
	switch {
	case m.Kind == Credit && m.UTR == "":
		return NoUTR
	case m.Kind == Unparsed:
		return Unread
	default:
		return NotCredit
	}
}
