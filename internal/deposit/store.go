package deposit

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// ErrConflict is returned by [Store.Settle] when another gateway wrote the same
// claim or credit first. Nothing was written; running the batch again sees
// what the other wrote.
var ErrConflict = errors.New("another gateway wrote the same record first")

// Store is what the desk needs of an engine.
type Store interface {
	// Settle runs one group commit. It begins a transaction, keeps every
	// other writer of the UTRs in keys out, loads the facts that keys name,
	// has decide work on them, writes the changes it returns and commits.
	// When Settle returns nil the changes are durable; on any error none of
	// them was written.
	Settle(ctx context.Context, keys *Keys, decide func(*Facts) (*Changes, error)) error
	// ReserveIDs gives n ids that nobody else has, counted from the first.
	ReserveIDs(ctx context.Context, n int64) (first int64, err error)
	// DueClaims lists up to limit waiting claims that ended at or before now.
	DueClaims(ctx context.Context, now time.Time, limit int) ([]ClaimRef, error)
	// FindClaim returns the claim with that id, or ErrNoClaim.
	FindClaim(ctx context.Context, id int64) (*Claim, error)
	// FindClaimByKey returns the claim with that custom id, or ErrNoClaim.
	FindClaimByKey(ctx context.Context, key CustomKey) (*Claim, error)
	// PendingClaims lists the claims in review, oldest first, each with the
	// credits of its UTR, from after the given id on.
	PendingClaims(ctx context.Context, after int64, limit int) ([]Review, error)
	// FindCredit returns the credit with that id, or ErrNoCredit.
	FindCredit(ctx context.Context, id int64) (*Credit, error)
	// FindReferrals returns what is known of the payments with those references;
	// unknown ones are left out.
	FindReferrals(ctx context.Context, references []string) ([]Referral, error)
	// WalletUse gives what each wallet received on a day.
	WalletUse(ctx context.Context, day Day) (map[string]money.Paise, error)
}

// Errors of what is not found.
var (
	ErrNoClaim  = errors.New("no such claim")
	ErrNoCredit = errors.New("no such credit")
)

// ClaimRef points at a claim in a way that a batch can lock.
type ClaimRef struct {
	ID  int64
	UTR upi.UTR
}

// Review is a claim in review beside the credits with its UTR.
type Review struct {
	Claim   *Claim
	Credits []*Credit
}

// Day is a calendar day in India, as 20060102: the day of a wallet's limit.
type Day int

// India is the zone of bank days, wherever the gateway runs (IST, no daylight
// saving since 1945).
var India = time.FixedZone("IST", 5*3600+1800)

// DayOf is the bank day of a time.
func DayOf(t time.Time) Day {
	y, m, d := t.In(India).Date()
	return Day(y*10000 + int(m)*100 + d)
}

// Keys name the facts that a batch needs.
type Keys struct {
	// UTRs are locked; their credits, and their open and rejected claims, are
	// loaded.
	UTRs map[upi.UTR]struct{}
	// Customs and Claims are claims to load, by either name.
	Customs map[CustomKey]struct{}
	Claims  map[int64]struct{}
	// Deposits are deposits to load, Owed merchants whose free balance is.
	Deposits map[int64]struct{}
	Owed     map[string]struct{}
	// Reported are the UTRs that feeds report: the movements that took such
	// credits back are loaded.
	Reported map[upi.UTR]struct{}
	// Movements are lines of statements to look for.
	Movements map[[sha256.Size]byte]struct{}
	// Labels are those whose assignments (since ShownSince) and failures
	// (since FailedSince) are loaded.
	Labels      map[LabelKey]struct{}
	Addresses   map[AddressKey]struct{}
	Merchants   map[string]struct{} // whose refused claims are counted
	Sharing     map[string]struct{} // merchants on shared accounts, whose failures are loaded
	WalletDays  map[WalletDay]struct{}
	Today       Day
	ShownSince  time.Time
	FailedSince time.Time
	// Limits are where counting failures stops: beyond them a number more or
	// less changes nothing.
	Limits Limits
}

// Limits bound how much of a history is looked at.
type Limits struct{ Label, Address, Merchant, Shared int }

// vainRows is how many claims are read for each failure that counts: several may
// name one UTR, and no caller must make its history long to read.
const vainRows = 20

// Rows is how many of the newest claims are read to find failures up to a limit.
func (Limits) Rows(limit int) int { return vainRows * limit }

// LabelKey is a paying user at a method of a merchant.
type LabelKey struct{ Merchant, Method, Label string }

// AddressKey is an address from which claims at a merchant are made.
type AddressKey struct {
	Merchant string
	Addr     netip.Addr
}

// WalletDay is a wallet on a day.
type WalletDay struct {
	Wallet string
	Day    Day
}

// Facts are what a batch decides on, as of its transaction.
type Facts struct {
	// DirectoryVersion is the stored directory's. A batch that was prepared
	// on another one must be prepared again.
	DirectoryVersion int64
	Customs          map[CustomKey]*Claim
	Claims           map[int64]*Claim
	// Contenders are the claims that name a UTR, by id: the open ones, and
	// those that a person rejected.
	Contenders map[upi.UTR][]*Claim
	Credits    map[upi.UTR][]*Credit
	Deposits   map[int64]*Deposit
	Owed       map[string]money.Paise // to a merchant, and free
	// Reversals are the debits with a UTR that took no credit back yet.
	Reversals        map[upi.UTR][]*Movement
	Movements        map[[sha256.Size]byte]*Movement
	Assignments      map[LabelKey][]Assignment
	LabelFailures    map[LabelKey]map[upi.UTR]struct{}
	AddressFailures  map[AddressKey]map[upi.UTR]struct{}
	MerchantFailures map[string]int
	SharedFailures   map[string]map[upi.UTR]struct{}
	WalletUse        map[WalletDay]money.Paise
}

// Changes are what a batch writes. Pointers are shared with the facts: each is
// written once, in its last state.
type Changes struct {
	NewClaims  []*Claim
	Claims     []*Claim // loaded before, changed
	NewCredits []*Credit
	Credits    []*Credit // loaded before, changed
	Movements  []*Movement
	// ChangedMovements were loaded before: their credit is known now.
	ChangedMovements []*Movement
	Messages         []KeptMessage
	Reports          map[FeedHour]FeedCount // to add
	Deposits         []*Deposit
	// Undone deposits leave the others, and the postbacks that were to tell of them
	// are stopped. A merchant that could not pay one back makes the batch fail with
	// ErrConflict: its balance was spent meanwhile.
	Undone   []*Undone
	Postings []ledger.Posting
	Events   []Announcement
	// Webhooks are what webhooks are told of the rest.
	Webhooks    []webhook.Event
	Assignments []Assignment
	WalletUse   map[WalletDay]money.Paise // to add
	Tallies     map[TallyKey]Tally        // to add
	Audit       []audit.Entry             // to number and chain
}

// Announcement is an event for the postback outbox.
type Announcement struct {
	postback.Event
	// HandOff says that this gateway delivers the event itself as soon as the
	// commit is through.
	HandOff bool
	// DueAt is when any worker may take it up; it lies ahead of a hand-off.
	DueAt time.Time
}

func newKeys(now time.Time, p Policy) *Keys {
	return &Keys{
		UTRs:        make(map[upi.UTR]struct{}),
		Reported:    make(map[upi.UTR]struct{}),
		Movements:   make(map[[sha256.Size]byte]struct{}),
		Customs:     make(map[CustomKey]struct{}),
		Claims:      make(map[int64]struct{}),
		Deposits:    make(map[int64]struct{}),
		Owed:        make(map[string]struct{}),
		Labels:      make(map[LabelKey]struct{}),
		Addresses:   make(map[AddressKey]struct{}),
		Merchants:   make(map[string]struct{}),
		Sharing:     make(map[string]struct{}),
		WalletDays:  make(map[WalletDay]struct{}),
		Today:       DayOf(now),
		ShownSince:  now.Add(-p.ClaimTTL),
		FailedSince: now.Add(-p.FailureWindow),
		Limits:      Limits{p.LabelFailures, p.AddressFailures, p.MerchantFailures, p.SharedFailures},
	}
}

// share asks for the failures of a merchant that shares an account of a method
// with others.
func (k *Keys) share(dir *directory.Snapshot, merchant, method string) {
	for _, w := range dir.WalletsFor(merchant, method) {
		if servesMany(dir.OnAccount(w)) {
			k.Sharing[merchant] = struct{}{}
			return
		}
	}
}

// NewFacts makes facts with nothing in them, for a store to fill.
func NewFacts() *Facts {
	return &Facts{
		Customs:          make(map[CustomKey]*Claim),
		Claims:           make(map[int64]*Claim),
		Contenders:       make(map[upi.UTR][]*Claim),
		Credits:          make(map[upi.UTR][]*Credit),
		Deposits:         make(map[int64]*Deposit),
		Owed:             make(map[string]money.Paise),
		Reversals:        make(map[upi.UTR][]*Movement),
		Movements:        make(map[[sha256.Size]byte]*Movement),
		Assignments:      make(map[LabelKey][]Assignment),
		LabelFailures:    make(map[LabelKey]map[upi.UTR]struct{}),
		AddressFailures:  make(map[AddressKey]map[upi.UTR]struct{}),
		MerchantFailures: make(map[string]int),
		SharedFailures:   make(map[string]map[upi.UTR]struct{}),
		WalletUse:        make(map[WalletDay]money.Paise),
	}
}

// AddClaim files a loaded claim under all its names. A claim that was loaded
// by two of them is one claim: the one that is returned.
func (f *Facts) AddClaim(c *Claim) *Claim {
	if have := f.Claims[c.ID]; have != nil {
		return have
	}
	f.Claims[c.ID] = c
	f.Customs[c.Key()] = c
	if c.State.Open() || c.State == Rejected {
		f.Contenders[c.UTR] = append(f.Contenders[c.UTR], c)
	}
	return c
}

// Empty reports whether there is nothing to write.
func (c *Changes) Empty() bool {
	return len(c.NewClaims) == 0 && len(c.Claims) == 0 && len(c.NewCredits) == 0 && len(c.Credits) == 0 &&
		len(c.Assignments) == 0 && len(c.Audit) == 0 && len(c.Messages) == 0 && len(c.Reports) == 0
}
