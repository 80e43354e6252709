package payout

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/milaan/milaan/internal/ledger"
)

// Statements print narrations in capitals or not, and cut them after the
// reference at most.
var referencePattern = regexp.MustCompile(`(?i)\b` + referencePrefix + `[0-9A-Z]{1,13}\b`)

// References finds milaan's own references in a narration.
func References(narration string) []string {
	found := referencePattern.FindAllString(narration, -1)
	for i := range found {
		found[i] = strings.ToUpper(found[i])
	}
	return found
}

// Explain tells the office of a line of a statement that is no payment: a debit
// may be a withdrawal's, which it settles; money that came in with a paid
// withdrawal's reference is that withdrawal come back, which fails it and
// returns its money to the merchant. Reports whether it was either.
func (o *Office) Explain(ctx context.Context, m Movement, narration string) (explained bool, err error) {
	references := References(narration)
	if len(references) == 0 && m.UTR == "" {
		return false, nil
	}
	candidates, err := o.Store.Explanations(ctx, references, m.UTR, m.Amount)
	if err != nil {
		return false, err
	}
	var match *Withdrawal
	for _, w := range candidates {
		fits := !w.Test && w.Wallet == m.Wallet
		if m.In {
			fits = fits && w.State == Success
		} else {
			fits = fits && (w.State == Processing || w.State == Success) && w.MovementID == 0
		}
		if !fits {
			continue
		}
		if match != nil {
			return false, nil // which of them? A person decides
		}
		match = w
	}
	if match == nil {
		return false, nil
	}
	err = o.Store.ChangeWithdrawal(ctx, Find{ID: match.ID, MovementID: m.ID}, func(f *Facts) (*Changes, error) {
		explained = false
		w := f.Withdrawal
		if f.Movement == nil || f.Movement.Amount != w.Amount || f.Movement.Wallet != w.Wallet {
			return nil, nil
		}
		c := o.change(w, o.now())
		var err error
		if m.In {
			explained, err = o.cameBack(c, f)
		} else {
			explained, err = o.wasPaid(c, f)
		}
		if err != nil || !explained {
			return nil, err
		}
		c.Explains = true
		return &c.Changes, nil
	})
	return explained, err
}

// wasPaid settles a withdrawal by its debit, and undoes what the debit was posted
// as by itself.
func (o *Office) wasPaid(c *changing, f *Facts) (bool, error) {
	w := c.Withdrawal
	dir := o.Directory.Current()
	switch w.State {
	case Processing:
		if err := o.enter(c, f, Success); err != nil {
			return false, err
		}
		keep(&w.BankRef, string(f.Movement.UTR))
		c.record("statement", "withdrawal.success", fmt.Sprintf("movement %d is its debit", f.Movement.ID))
		c.tell()
	case Success:
		if w.MovementID != 0 {
			return false, nil
		}
	case New, Approved, Failed, Canceled:
		return false, nil
	}
	w.MovementID = f.Movement.ID
	return true, c.post(dir, ledger.MovementExplained, ledger.WalletCode(w.Wallet), ledger.OutflowCode(w.Wallet), w.Amount)
}

// cameBack fails a paid withdrawal that the bank sent back.
func (o *Office) cameBack(c *changing, f *Facts) (bool, error) {
	w := c.Withdrawal
	if w.State != Success {
		return false, nil
	}
	if err := o.enter(c, f, Failed); err != nil {
		return false, err
	}
	w.Why = "the bank sent it back"
	c.record("statement", "withdrawal.failed", fmt.Sprintf("movement %d brought it back", f.Movement.ID))
	c.tell()
	return true, c.post(o.Directory.Current(), ledger.MovementExplained, ledger.IncomeCode(w.Wallet), ledger.WalletCode(w.Wallet), w.Amount)
}

// IsRefusal reports whether an error is an answer to the caller.
func IsRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }
