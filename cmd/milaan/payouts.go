package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/batch"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

type payoutCommand struct {
	List    payoutList    `cmd:"" help:"Withdrawals that are open, oldest first; --all for all."`
	Approve payoutApprove `cmd:"" help:"Let a withdrawal be sent."`
	Reject  payoutReject  `cmd:"" help:"Take back a withdrawal that was not sent: its money returns to the merchant."`
	Batch   payoutBatch   `cmd:"" help:"Write a desk's approved withdrawals into the bank's upload file."`
	Import  payoutImport  `cmd:"" help:"Settle withdrawals by the bank's answer to their file."`
	Clear   payoutClear   `cmd:"" help:"Say that a contested withdrawal was looked at; one that is still to be paid goes on."`
	Mark    payoutMark    `cmd:"" help:"Say what became of a withdrawal: a person paid it, or the bank refused it."`
}

type payoutList struct {
	All       bool   `help:"Final ones, too."`
	Contested bool   `help:"Those alone of which something was told that the books do not say."`
	Desk      string `help:"One desk's alone."`
	After     int64  `help:"Start after this withdrawal." default:"0"`
	Limit     int    `help:"Most withdrawals to list." default:"50"`
}

// Run lists withdrawals with where they stand, and why a person is needed.
func (l payoutList) Run(ctx context.Context, s *settings, term terminal) error {
	states := []payout.State{payout.New, payout.Approved, payout.Processing}
	if l.All {
		states = nil
	}
	var list []*payout.Withdrawal
	if err := s.withStore(ctx, func(db store.Store) (err error) {
		if l.Contested {
			list, err = db.ContestedWithdrawals(ctx, l.After, l.Limit)
			list = slices.DeleteFunc(list, func(w *payout.Withdrawal) bool { return l.Desk != "" && w.Desk != l.Desk })
			return err
		}
		list, err = db.ListWithdrawals(ctx, states, l.Desk, l.After, l.Limit)
		return err
	}); err != nil {
		return err
	}
	if len(list) == 0 {
		none := "no withdrawal is open"
		if l.All || l.Contested {
			none = "there is none"
		}
		_, err := fmt.Fprintln(term.out, none)
		return err
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PAYOUT\tMERCHANT\tID\tAMOUNT\tTO\tIFSC\tNAME\tSTATE\tSINCE\tDESK\tREFERENCE\tWHY")
	for _, p := range list {
		state := string(p.State)
		if p.Test {
			state += " (test)"
		}
		why := p.Why
		if p.State == payout.New {
			why = strings.Join(p.Reasons, ", ")
		}
		if p.Contested {
			why = strings.TrimPrefix(why+"; contested: "+strings.Join(p.Doubts, "; "), "; ")
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Merchant, p.WithdrawalID, money.Format(p.Amount, money.English),
			p.Account, p.IFSC, p.Name, state, p.CreatedAt.Format(time.DateTime), p.Desk, p.Reference(), why)
	}
	return w.Flush()
}

type payoutWord struct {
	Payout int64  `arg:"" help:"The payout's number, from milaan payout list."`
	Actor  string `help:"Who decides: kept in the audit log." env:"USER" default:"operator"`
}

func (p payoutWord) actor() string { return "operator:" + p.Actor }

// tell settles a withdrawal and says where it stands.
func (p payoutWord) tell(ctx context.Context, s *settings, term terminal, word func(context.Context, *payout.Office) (*payout.Withdrawal, error)) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		w, err := word(ctx, t.Office)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "payout %d of %s is %s\n", w.ID, money.Format(w.Amount, money.English), w.State)
		return err
	})
}

type payoutApprove struct{ payoutWord }

// Run approves the withdrawal; the gateway sends it.
func (p payoutApprove) Run(ctx context.Context, s *settings, term terminal) error {
	return p.tell(ctx, s, term, func(ctx context.Context, o *payout.Office) (*payout.Withdrawal, error) {
		return o.Approve(ctx, p.Payout, p.actor())
	})
}

type payoutReject struct {
	payoutWord
	Why string `required:"" help:"Why: kept with it."`
}

// Run takes the withdrawal back.
func (p payoutReject) Run(ctx context.Context, s *settings, term terminal) error {
	return p.tell(ctx, s, term, func(ctx context.Context, o *payout.Office) (*payout.Withdrawal, error) {
		return o.Cancel(ctx, p.Payout, p.actor(), p.Why)
	})
}

type payoutClear struct {
	payoutWord
	Why string `required:"" help:"What was found: kept in the audit log."`
}

// Run says that a person looked at the withdrawal.
func (p payoutClear) Run(ctx context.Context, s *settings, term terminal) error {
	return p.tell(ctx, s, term, func(ctx context.Context, o *payout.Office) (*payout.Withdrawal, error) {
		return o.Clear(ctx, p.Payout, p.actor(), p.Why)
	})
}

type payoutMark struct {
	payoutWord
	Wallet string `help:"The wallet that it was paid from, where it was not handed over before."`
	Paid   string `xor:"word" required:"" placeholder:"UTR" help:"It was paid, under this reference of the bank."`
	Failed string `xor:"word" required:"" placeholder:"WHY" help:"It was definitely not paid, or came back; why."`
}

// Run says what became of the withdrawal. One that a person paid in the bank's
// portal is handed over and paid at once.
func (p payoutMark) Run(ctx context.Context, s *settings, term terminal) error {
	return p.tell(ctx, s, term, func(ctx context.Context, o *payout.Office) (*payout.Withdrawal, error) {
		if p.Paid != "" {
			return o.MarkPaid(ctx, p.Payout, p.Wallet, p.Paid, p.actor())
		}
		return o.MarkFailed(ctx, p.Payout, p.actor(), p.Failed)
	})
}

type payoutBatch struct {
	Desk   string `arg:"" help:"A desk of kind bulkfile."`
	Out    string `required:"" short:"o" type:"path" help:"The file to write; it must not be there yet."`
	Wallet string `required:"" help:"The wallet that pays."`
	IFSC   string `name:"ifsc" help:"IFSC of the wallet's branch, where the file has it."`
	Actor  string `help:"Who makes the file: kept in the audit log." env:"USER" default:"operator"`
}

// Run writes the approved withdrawals of a desk into the bank's upload file, see
// [batch.Clerk.Make].
func (p payoutBatch) Run(ctx context.Context, s *settings, term terminal) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		waiting, err := t.Clerk().Waiting(ctx, p.Desk)
		if err == nil && t.Desk.Directory.Current().Wallet(p.Wallet) == nil {
			err = batch.ErrNoWallet
		}
		if err != nil {
			return err
		}
		if waiting == 0 {
			_, err := fmt.Fprintln(term.out, "no approved withdrawal waits at this desk")
			return err
		}
		file, err := os.OpenFile(filepath.Clean(p.Out), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		made, err := t.Clerk().Make(ctx, batch.Ask{
			Desk: p.Desk, Wallet: p.Wallet, IFSC: upi.IFSC(p.IFSC), Name: filepath.Base(p.Out), Actor: "operator:" + p.Actor,
		})
		if made != nil {
			for _, w := range made.LeftOut {
				_, _ = fmt.Fprintf(term.err, "payout %d is left out: %s\n", w.ID, w.Why)
			}
		}
		if err != nil {
			return errors.Join(err, os.Remove(p.Out))
		}
		_, err = file.Write(made.Content)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("%w: the withdrawals are handed over already: the console has the file, under Payouts", err)
		}
		_, err = fmt.Fprintf(term.out, "%d withdrawals in %s: upload it to the bank, then milaan payout import %s FILE with its answer\n", made.Orders, p.Out, p.Desk)
		return err
	})
}

type payoutImport struct {
	Desk  string `arg:"" help:"A desk of kind bulkfile."`
	File  string `arg:"" type:"existingfile" help:"The bank's answer to a file: in the desk's layout, or pain.002."`
	Actor string `help:"Who imports it: kept in the audit log." env:"USER" default:"operator"`
}

// Run settles withdrawals by the bank's answer to their file, see
// [batch.Clerk.Import].
func (p payoutImport) Run(ctx context.Context, s *settings, term terminal) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) (err error) {
		file, err := os.Open(filepath.Clean(p.File))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		lines, err := t.Clerk().Import(ctx, p.Desk, file, "operator:"+p.Actor)
		settled := 0
		for _, l := range lines {
			switch {
			case l.Settled:
				settled++
				_, _ = fmt.Fprintf(term.out, "%s: %s\n", l.Reference, l.State)
			case l.Why != "":
				_, _ = fmt.Fprintf(term.err, "%s: %s: left as it is\n", l.Reference, l.Why)
			default:
				_, _ = fmt.Fprintf(term.out, "%s: %s: left as it is\n", l.Reference, l.Standing)
			}
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "%d of %d settled\n", settled, len(lines))
		return err
	})
}
