package payout

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/webhook"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// ErrNoWithdrawal is returned where no withdrawal is found.
var ErrNoWithdrawal = errors.New("no such withdrawal")

// Store is what the office needs of an engine.
type Store interface {
	// ChangeWithdrawal runs one transaction on a withdrawal, found by id or, where
	// that is 0, by key: nobody else changes it, or any balance, until it is
	// through. It loads the facts, has decide work on them, and writes what that
	// returns; nil writes nothing. On any error nothing was written.
	ChangeWithdrawal(ctx context.Context, find Find, decide func(*Facts) (*Changes, error)) error
	// FindWithdrawal returns the withdrawal with that id, or ErrNoWithdrawal.
	FindWithdrawal(ctx context.Context, id int64) (*Withdrawal, error)
	// FindWithdrawalByKey returns the one with that key, or ErrNoWithdrawal.
	FindWithdrawalByKey(ctx context.Context, key Key) (*Withdrawal, error)
	// DueWithdrawals lists up to limit withdrawals that are to be sent or asked
	// about, the longest due first.
	DueWithdrawals(ctx context.Context, now time.Time, limit int) ([]int64, error)
	// ListWithdrawals lists withdrawals in states (none: in all), of a desk or of
	// all, by id from after the given one on.
	ListWithdrawals(ctx context.Context, states []State, desk string, after int64, limit int) ([]*Withdrawal, error)
	// MerchantBalance gives what a merchant may withdraw, and what is held, in
	// paise.
	MerchantBalance(ctx context.Context, merchant string) (available, held money.Paise, err error)
	// ContestedWithdrawals lists withdrawals that a person has to look at, by id from
	// after the given one on.
	ContestedWithdrawals(ctx context.Context, after int64, limit int) ([]*Withdrawal, error)
	// Explanations lists withdrawals that a movement of a statement may be: those of
	// the references or the UTR, of that amount, in any state.
	Explanations(ctx context.Context, references []string, utr upi.UTR, amount money.Paise) ([]*Withdrawal, error)
	// ReserveIDs gives n ids that nobody else has, counted from the first.
	ReserveIDs(ctx context.Context, n int64) (first int64, err error)
}

// Find names the facts of a change.
type Find struct {
	ID int64
	Key
	// Label and Beneficiary of a new withdrawal: how much they had lately.
	Label   string
	Account upi.AccountNumber
	Amount  money.Paise
	// Today began then, and lately.
	Today, Lately time.Time
	// Wallets are those that could pay.
	Wallets []string
	// MovementID is a line of a statement that may be the withdrawal's.
	MovementID int64
}

// Facts are what a change is decided on.
type Facts struct {
	Withdrawal *Withdrawal // nil where there is none yet
	// Available is what the merchant may withdraw.
	Available money.Paise
	// MerchantToday and LabelToday are the sums of the day's withdrawals that were
	// not turned down.
	MerchantToday, LabelToday money.Paise
	// SameLately counts those of the amount to the account, AccountLately all of
	// the merchant to the account.
	SameLately, AccountLately int
	// WalletBalances are what the wallets hold, WalletToday what the withdrawal's
	// desk has paid from them today.
	WalletBalances, WalletToday map[string]money.Paise
	// Movement is the line of a statement; nil where it is explained already.
	Movement *Movement
}

// Movement is a line of a statement that may be a withdrawal's.
type Movement struct {
	ID     int64
	Wallet string
	In     bool // money came back
	UTR    upi.UTR
	Amount money.Paise
}

// Changes are what a transaction writes.
type Changes struct {
	Withdrawal *Withdrawal
	Postings   []ledger.Posting
	Audit      []audit.Entry
	// Announce has the merchant told by a postback.
	Announce bool
	// Webhooks are what webhooks are told of it.
	Webhooks []webhook.Event
	// Explains says that the movement is the withdrawal's.
	Explains bool
}

// digestOf is what tells one request from another.
func digestOf(parts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	return [sha256.Size]byte(h.Sum(nil))
}
