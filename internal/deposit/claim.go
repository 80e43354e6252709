// Package deposit is the core: claims of payers, credits of banks, and the
// rules by which one is bound to the other.
//
// A credit is money a feed reported on a wallet. A claim is what an activation
// asks for. A deposit is a claim bound to a credit. Whether they belong
// together is decided by [Match], a pure function; the [Desk] runs decisions
// in group commits, so that everything one of them changes becomes durable at
// once or not at all.
package deposit

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// State is where a claim stands.
//
//	           ┌──▶ refused
//	activation ┼──▶ waiting ──▶ expired
//	           │       │
//	           │       ▼
//	           ├──▶ pending ──▶ rejected | refused
//	           │       │
//	           └───────┴──────▶ credited
//
// A payer who mistyped the UTR may correct it while the claim waits or was
// refused: it is then weighed as if it were new. A deposit that a person undoes
// ends its claim as rejected.
type State string

// States of a claim.
const (
	Waiting  State = "waiting"  // no feed has reported the UTR yet
	Pending  State = "pending"  // suspect: a person, or a later fact, settles it
	Credited State = "credited" // bound to a credit; left only where a person undoes it
	Refused  State = "refused"  // the credit is another claim's; final
	Rejected State = "rejected" // an operator said no; final
	Expired  State = "expired"  // no credit came in time; final
)

// Open reports whether the claim can still be credited.
func (s State) Open() bool { return s == Waiting || s == Pending }

// CustomKey names a claim from outside: unique per merchant.
type CustomKey struct {
	Merchant string
	CustomID string
}

// Claim is what an activation asks for: "I paid this amount, here is the UTR".
type Claim struct {
	ID       int64
	Merchant string
	CustomID string // custom_transaction_id
	Method   string // wallet_type
	Label    string // the merchant's name of the paying user
	UTR      upi.UTR
	Amount   money.Paise
	Currency money.Currency
	Addr     netip.Addr // the payer's address, where a door knows it
	Via      string     // the door: "api", "window"

	State   State
	Reasons Reasons // why it is pending or refused
	// CreditID is the credit it is bound to, or while pending the candidate; 0
	// where there is none or more than one.
	CreditID int64
	// Deposited is what was credited: always the whole credit.
	Deposited money.Paise
	CreatedAt time.Time
	ExpiresAt time.Time // when a waiting claim ends
	// History is what was known of those who claim at the time they did: a
	// credit that comes later is weighed on that.
	History   History
	SettledAt time.Time // when it left the open states; zero before
	// Trace is the span of the request that made it, as [trace.Span.Text] writes
	// it; empty where that was not traced. What becomes of the claim later is shown
	// below it.
	Trace string
}

// Overdue reports whether a waiting claim's time is up, though nobody has ended
// it yet.
func (c *Claim) Overdue(now time.Time) bool {
	return c.State == Waiting && !c.ExpiresAt.After(now)
}

// Key names the claim from outside.
func (c *Claim) Key() CustomKey { return CustomKey{c.Merchant, c.CustomID} }

// sameRequest reports whether an activation repeats the one that made c.
func (c *Claim) sameRequest(a Activation) bool {
	return c.Method == a.Method && c.Label == a.Label && (c.UTR == a.UTR || c.History.Named == a.UTR) &&
		c.Amount == a.Amount && c.Currency == a.Currency
}

// CreditState is where a credit stands.
type CreditState string

// States of a credit.
const (
	Unclaimed CreditState = "unclaimed" // in suspense
	Bound     CreditState = "bound"     // one deposit has it
	Reversed  CreditState = "reversed"  // the bank took it back; dead
)

// Credit is money a feed reported on a wallet. It is known by wallet and UTR:
// a UTR is unique only per receiving account.
type Credit struct {
	ID     int64
	Wallet string
	feed.Entry
	Feed       string // which feed reported it first
	ReceivedAt time.Time
	State      CreditState
	ClaimID    int64 // the claim it is bound to
	// Contested credits were reported again with another amount, or taken back
	// after they were bound: a person decides.
	Contested bool
	// Lines is how many postings it has: its own, corrections, its reversal.
	Lines int
}

// Deposit is a claim bound to a credit. It has its claim's id.
type Deposit struct {
	ID       int64
	Merchant string
	Wallet   string
	CreditID int64
	Amount   money.Paise
	Fee      money.Paise
	RatesID  int64 // the exchange rates of its hour
	At       time.Time
}

// Undone is a deposit that a person took back: its money is in suspense again,
// and its fee returned.
type Undone struct {
	Deposit
	UndoneAt time.Time
	By       string
	Why      string
}

// Assignment is a wallet that a payer was shown.
type Assignment struct {
	Merchant  string
	Method    string
	Label     string
	Wallet    string
	ShownAt   time.Time
	ExpiresAt time.Time
}

// Reason is a code for why a claim is held or refused.
type Reason string

// Reasons for review and refusal (architecture, "Who gets the money"). An
// operator's own rule gives "rule:" and its name.
const (
	AmountDiffers    Reason = "amount_differs"
	RivalClaims      Reason = "rival_claims"
	ClaimRejected    Reason = "claim_rejected"
	WalletNotShown   Reason = "wallet_not_shown"
	TooManyFailures  Reason = "too_many_failures"
	CreditTooOld     Reason = "credit_too_old"
	CreditUnverified Reason = "credit_unverified"
	CreditReversal   Reason = "credit_reversed"
	CreditContested  Reason = "credit_contested"
	CreditAmbiguous  Reason = "credit_ambiguous"
	UTRTaken         Reason = "utr_taken"
	// ByHand: a person gives the claim a credit, and a second one has to agree.
	ByHand Reason = "by_hand"

	rulePrefix = "rule:"
)

// Reasons is a set of reasons in the order they were found.
type Reasons []Reason

// Has reports whether r is among them.
func (rs Reasons) Has(r Reason) bool {
	return slices.Contains(rs, r)
}

// String joins the codes with commas: the form they are stored in.
func (rs Reasons) String() string {
	parts := make([]string, len(rs))
	for i, r := range rs {
		parts[i] = string(r)
	}
	return strings.Join(parts, ",")
}

// ParseReasons reads the form that String writes.
func ParseReasons(s string) Reasons {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	rs := make(Reasons, len(parts))
	for i, p := range parts {
		rs[i] = Reason(p)
	}
	return rs
}
