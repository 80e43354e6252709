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
// returns its money to the merchant. Reports whether it was either. A line that
// names a withdrawal and contradicts the books changes no balance: the withdrawal
// is kept as contested.
func (o *Office) Explain(ctx context.Context, m Movement, narration string) (explained bool, err error) {
	references := References(narration)
	if len(references) == 0 && m.UTR == "" {
		return false, nil
	}
	candidates, err := o.Store.Explanations(ctx, references, m.UTR, m.Amount)
	if err != nil {
		return false, err
	}
	var matches, odd []*Withdrawal
	for _, w := range candidates {
		switch {
		case explains(w, &m):
			matches = append(matches, w)
		case contradicts(w, &m):
			odd = append(odd, w)
		}
	}
	if len(matches) > 1 {
		return false, nil // which of them? A person decides
	}
	if len(matches) == 1 {
		odd = matches
	}
	for _, w := range odd {
		one, err := o.explain(ctx, w.ID, m.ID)
		if err != nil {
			return false, err
		}
		explained = explained || one
	}
	return explained, nil
}

// explains reports whether a line of a statement can be the withdrawal's.
func explains(w *Withdrawal, m *Movement) bool {
	if w.Test || w.Wallet != m.Wallet || w.Amount != m.Amount {
		return false
	}
	// One that came back by a provider's word has its lines, too.
	was := w.State == Success || w.State == Failed && !w.PaidAt.IsZero()
	if m.In {
		return was && w.BackID == 0
	}
	return w.MovementID == 0 && (was || w.State == Processing)
}

// contradicts reports whether a line that names a withdrawal, and can't be its,
// says what the books do not: that money left for it, or came back.
func contradicts(w *Withdrawal, m *Movement) bool {
	switch {
	case w.Test || m.ID == w.MovementID || m.ID == w.BackID:
		return false
	case !m.In:
		return true
	case w.Wallet != "" && w.Wallet != m.Wallet:
		return false // a wallet of the business was paid, and shows that
	}
	return w.State != Processing // its debit may come yet
}

// explain makes of one line and one withdrawal what is to be made of them.
func (o *Office) explain(ctx context.Context, id, movement int64) (explained bool, err error) {
	err = o.Store.ChangeWithdrawal(ctx, Find{ID: id, MovementID: movement}, func(f *Facts) (*Changes, error) {
		explained = false
		w, m := f.Withdrawal, f.Movement
		if w == nil || m == nil || w.Amount != m.Amount {
			return nil, nil
		}
		c := o.change(w, o.now())
		if explained = explains(w, m); explained {
			c.Explains = true
			if m.In {
				return &c.Changes, o.cameBack(c, f)
			}
			return &c.Changes, o.wasPaid(c, f)
		}
		said := "took its money out of wallet "
		if m.In {
			said = "brought its money back to wallet "
		}
		if !contradicts(w, m) || !o.doubt(ctx, c, "statement", fmt.Sprintf("movement %d %s%s, while it was %s", m.ID, said, m.Wallet, w.State)) {
			return nil, nil
		}
		return &c.Changes, nil
	})
	return explained, err
}

// wasPaid settles a withdrawal by its debit, and undoes what the debit was posted
// as by itself.
func (o *Office) wasPaid(c *changing, f *Facts) error {
	w := c.Withdrawal
	if w.State == Processing {
		if err := o.enter(c, f, Success); err != nil {
			return err
		}
		keep(&w.BankRef, string(f.Movement.UTR))
		c.record("statement", "withdrawal.success", fmt.Sprintf("movement %d is its debit", f.Movement.ID))
		c.tell()
	}
	if w.BankRef == "" {
		w.BankRef = string(f.Movement.UTR)
	}
	w.MovementID = f.Movement.ID
	return c.post(o.Directory.Current(), ledger.MovementExplained, ledger.WalletCode(w.Wallet), ledger.OutflowCode(w.Wallet), w.Amount)
}

// cameBack fails a paid withdrawal that the bank sent back.
func (o *Office) cameBack(c *changing, f *Facts) error {
	w := c.Withdrawal
	if w.State == Success {
		if err := o.enter(c, f, Failed); err != nil {
			return err
		}
		w.Why = "the bank sent it back"
		c.record("statement", "withdrawal.failed", fmt.Sprintf("movement %d brought it back", f.Movement.ID))
		c.tell()
	}
	w.BackID = f.Movement.ID
	return c.post(o.Directory.Current(), ledger.MovementExplained, ledger.IncomeCode(w.Wallet), ledger.WalletCode(w.Wallet), w.Amount)
}

// IsRefusal reports whether an error is an answer to the caller.
func IsRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }
