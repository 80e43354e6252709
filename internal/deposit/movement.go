package deposit

import (
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
)

// Movement is money that moved on a wallet and is no payment, as the bank's
// statement tells it.
type Movement struct {
	ID     int64
	Wallet string
	Feed   string
	feed.Movement
	ReceivedAt time.Time
	// CreditID is the credit that it took back: its money is then that credit's
	// reversal, and posted with it.
	CreditID int64
}

// takeMovement books a line of a statement that is no payment.
func (g *ingest) takeMovement(b *book, m *feed.Movement, out *feed.Outcome) error {
	if known := b.facts.Movements[m.Key]; known != nil {
		out.Result, out.MovementID = feed.Known, known.ID
		return nil
	}
	kept := &Movement{ID: b.nextID(), Wallet: g.feed.Wallet, Feed: g.feed.ID, Movement: *m, ReceivedAt: b.now}
	b.fresh[kept] = true
	b.facts.Movements[m.Key] = kept
	b.changes.Movements = append(b.changes.Movements, kept)
	out.Result, out.MovementID = feed.Recorded, kept.ID
	// A debit with a credit's UTR takes it back, whatever the bank calls it.
	if m.Kind == feed.Debit && m.UTR != "" {
		if credit := b.takenBack(g.feed.Wallet, m); credit != nil {
			out.CreditID = credit.ID
			return b.reverse(g.actor(), credit, kept)
		}
		// What it takes back may be told of later.
		b.facts.Reversals[m.UTR] = append(b.facts.Reversals[m.UTR], kept)
	}
	return b.postMovement(g.actor(), kept)
}

// takenBack is the credit on the account that a reversal names.
func (b *book) takenBack(wallet string, m *feed.Movement) *Credit {
	for _, credit := range b.facts.Credits[m.UTR] {
		if b.sameAccount(credit.Wallet, wallet) && credit.State != Reversed {
			return credit
		}
	}
	return nil
}

// reverse takes a credit back. An unclaimed one dies. One that a deposit has,
// or of another amount, is marked, and a person decides: the money has left the
// wallet all the same.
func (b *book) reverse(actor string, credit *Credit, m *Movement) error {
	if credit.State != Unclaimed || credit.Amount != m.Amount || credit.Wallet != m.Wallet {
		b.contest(actor, credit, fmt.Sprintf("the bank took %s back by movement %d", m.Amount, m.ID))
		// The credit may prove to be of that amount.
		b.facts.Reversals[m.UTR] = append(b.facts.Reversals[m.UTR], m)
		if _, err := b.settleOpen(actor, credit); err != nil {
			return err
		}
		return b.postMovement(actor, m)
	}
	m.CreditID = credit.ID
	credit.State = Reversed
	b.touchCredit(credit)
	if err := b.postCredit(credit, ledger.CreditReversed, -credit.Amount); err != nil {
		return err
	}
	b.record(actor, "movement.recorded", m.ID, fmt.Sprintf("credit %d was taken back", credit.ID))
	b.record(actor, "credit.reversed", credit.ID, "the bank took it back")
	_, err := b.settleOpen(actor, credit)
	return err
}

// reverseEarlier looks whether the bank took a credit back before it was known, or
// known by its right amount: a statement may list that first. A debit with its
// UTR that does not take back all of it marks it, as it would have later.
func (b *book) reverseEarlier(actor string, credit *Credit) error {
	var other *Movement
	for _, m := range b.facts.Reversals[credit.UTR] {
		switch {
		case m.CreditID != 0 || !b.sameAccount(m.Wallet, credit.Wallet):
		case m.Wallet == credit.Wallet && m.Amount == credit.Amount:
			return b.reverseLate(actor, credit, m)
		default:
			other = m
		}
	}
	if other != nil && !credit.Contested {
		b.contest(actor, credit, fmt.Sprintf("the bank took %s back by movement %d", other.Amount, other.ID))
	}
	return nil
}

// reverseLate takes back a credit whose reversal the feed told of first. That
// was posted as money out: it came back with the credit, as far as the wallet
// goes.
func (b *book) reverseLate(actor string, credit *Credit, m *Movement) error {
	out, err := b.dir.Account(ledger.OutflowCode(m.Wallet))
	if err != nil {
		return err
	}
	asset, err := b.dir.Account(ledger.WalletCode(m.Wallet))
	if err != nil {
		return err
	}
	b.changes.Postings = append(b.changes.Postings, ledger.Posting{
		TransactionID: m.ID, Line: 2, Kind: ledger.MovementUndone,
		Debit: asset, Credit: out, Amount: m.Amount, Currency: m.Currency, At: b.now,
	})
	if !b.fresh[m] && !b.changedMovements[m] {
		b.changedMovements[m] = true
		b.changes.ChangedMovements = append(b.changes.ChangedMovements, m)
	}
	m.CreditID = credit.ID
	credit.State = Reversed
	b.touchCredit(credit)
	if err := b.postCredit(credit, ledger.CreditReversed, -credit.Amount); err != nil {
		return err
	}
	b.record(actor, "credit.reversed", credit.ID, fmt.Sprintf("the bank took it back by movement %d", m.ID))
	_, err = b.settleOpen(actor, credit)
	return err
}

// postMovement posts what a movement did to its wallet.
func (b *book) postMovement(actor string, m *Movement) error {
	asset, err := b.dir.Account(ledger.WalletCode(m.Wallet))
	if err != nil {
		return err
	}
	p := ledger.Posting{TransactionID: m.ID, Line: 1, Amount: m.Amount, Currency: m.Currency, At: b.now}
	if m.Kind == feed.Debit {
		p.Kind, p.Credit = ledger.DebitSeen, asset
		p.Debit, err = b.dir.Account(ledger.OutflowCode(m.Wallet))
	} else {
		p.Kind, p.Debit = ledger.IncomeSeen, asset
		p.Credit, err = b.dir.Account(ledger.IncomeCode(m.Wallet))
	}
	if err != nil {
		return err
	}
	b.changes.Postings = append(b.changes.Postings, p)
	b.record(actor, "movement.recorded", m.ID, fmt.Sprintf("%s of %s on wallet %s", m.Kind, m.Amount, m.Wallet))
	return nil
}
