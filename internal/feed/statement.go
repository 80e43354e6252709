package feed

import (
	"crypto/sha256"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Statement is a bank's statement that was imported, as it is kept.
type Statement struct {
	ID     int64
	Wallet string
	Feed   string // that brought it
	Digest [sha256.Size]byte
	Name   string // of the file, for people
	Layout string // what it was read as, such as "hdfc text"
	// From and To are the first moments of its first and last day, in UTC.
	From, To time.Time
	// Opening and Closing are its balances; nil where it has none.
	Opening, Closing *money.Paise
	Lines            int
	ImportedAt       time.Time
	Actor            string
	// Problems are what the file says of itself and its lines do not bear out.
	Problems []string
	// Done says that it was imported to its end.
	Done bool
}

// StatementLine is a line of a statement and what became of it. Every line is
// accounted for.
type StatementLine struct {
	Number    int // as a person counts in the file
	Kind      Kind
	UTR       upi.UTR
	Amount    money.Paise
	At        time.Time
	Narration string
	Outcome   Outcome
}
