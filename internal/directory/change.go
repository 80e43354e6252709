package directory

import (
	"context"
	"errors"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/ledger"
)

// ErrMoved means that somebody else changed the directory first; nothing was
// written, and the change must be worked out again on the new version.
var ErrMoved = errors.New("the directory was changed by somebody else in the meantime: try again")

// Change is what one edit of the directory writes: whole objects, new or in
// their new form. Objects are never deleted, only retired: money has a history.
type Change struct {
	// From is the version that the change was worked out on.
	From      int64
	Merchants []*Merchant
	Methods   []*Method
	Wallets   []*Wallet
	Feeds     []*Feed
	Rules     []*Rule
	Payouts   []*PayoutDesk
	Webhooks  []*Webhook
	// Accounts are opened where no account has their code; ids are the
	// store's to give.
	Accounts []ledger.Account
	Audit    []audit.Entry
}

// Store is a source that can be changed.
type Store interface {
	Source
	// SaveDirectory writes a change in one commit and moves the version on.
	// It returns ErrMoved when the stored version is not the change's From.
	SaveDirectory(ctx context.Context, change Change) error
}
