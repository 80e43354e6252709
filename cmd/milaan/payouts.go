package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
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

// Run writes the approved withdrawals of a desk into the bank's upload file. Each
// is handed over in the books before the file is whole: what is in a file is
// never in another, and what did not get into one is for a person to see to.
func (p payoutBatch) Run(ctx context.Context, s *settings, term terminal) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		dir := t.Desk.Directory.Current()
		desk, wallet := payout.Desk(dir, p.Desk), dir.Wallet(p.Wallet)
		switch {
		case desk == nil || desk.Kind != directory.PayoutFiles:
			return fmt.Errorf("there is no desk %q of kind bulkfile: milaan apply declares payout desks", p.Desk)
		case wallet == nil:
			return fmt.Errorf("there is no wallet %q: milaan apply declares wallets", p.Wallet)
		}
		list, err := t.Store.ListWithdrawals(ctx, []payout.State{payout.Approved}, p.Desk, 0, mostInFile)
		if err != nil {
			return err
		}
		// The gateway plays tests: a file would pay them.
		list = slices.DeleteFunc(list, func(w *payout.Withdrawal) bool { return w.Test })
		if len(list) == 0 {
			_, err := fmt.Fprintln(term.out, "no approved withdrawal waits at this desk")
			return err
		}
		file, err := os.OpenFile(filepath.Clean(p.Out), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		now := time.Now()
		batch := bulkfile.Batch{
			ID: "B" + now.UTC().Format("20060102150405"), At: now, Sequence: 1,
			Debit: bulkfile.Debit{Account: upi.AccountNumber(cmp.Or(desk.Account, wallet.Account)), IFSC: upi.IFSC(p.IFSC), Name: wallet.Name, Codes: desk.Codes},
		}
		// The file is tried before anything is handed over.
		for _, w := range list {
			batch.Orders = append(batch.Orders, order(w, wallet.ID, now))
		}
		if err := writeBatch(io.Discard, desk.Layout, batch); err != nil {
			return errors.Join(err, os.Remove(p.Out))
		}
		batch.Orders = batch.Orders[:0]
		for _, w := range list {
			handed, err := t.Office.HandFrom(ctx, w.ID, wallet.ID, "operator:"+p.Actor, "in file "+filepath.Base(p.Out))
			if refusal, ok := payout.IsRefusal(err); ok {
				_, _ = fmt.Fprintf(term.err, "payout %d is left out: %s\n", w.ID, refusal.Message)
				continue
			}
			if err != nil {
				return err
			}
			batch.Orders = append(batch.Orders, order(handed, wallet.ID, now))
		}
		if len(batch.Orders) == 0 {
			return errors.Join(errors.New("no withdrawal could be handed over"), os.Remove(p.Out))
		}
		if err := writeBatch(file, desk.Layout, batch); err != nil {
			return fmt.Errorf("%w: the withdrawals are handed over already: milaan payout list shows them", err)
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "%d withdrawals in %s: upload it to the bank, then milaan payout import %s FILE with its answer\n", len(batch.Orders), p.Out, p.Desk)
		return err
	})
}

// mostInFile bounds one file.
const mostInFile = 5000

// painLayout is the layout of ISO 20022's own message.
const painLayout = "pain.001"

func order(w *payout.Withdrawal, wallet string, now time.Time) payout.Order {
	return payout.Order{Reference: w.Reference(), Beneficiary: w.Beneficiary, Amount: w.Amount, Currency: w.Currency, At: now, Wallet: wallet}
}

func writeBatch(out io.Writer, layout string, batch bulkfile.Batch) error {
	if layout == painLayout {
		return bulkfile.WritePain001(out, batch.ID, batch)
	}
	l, err := bulkfile.Open(layout)
	if err != nil {
		return err
	}
	return l.Write(out, batch)
}

type payoutImport struct {
	Desk  string `arg:"" help:"A desk of kind bulkfile."`
	File  string `arg:"" type:"existingfile" help:"The bank's answer to a file: in the desk's layout, or pain.002."`
	Actor string `help:"Who imports it: kept in the audit log." env:"USER" default:"operator"`
}

// Run settles withdrawals by the bank's answer to their file. What it does not say
// for certain stays as it is.
func (p payoutImport) Run(ctx context.Context, s *settings, term terminal) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		desk := payout.Desk(t.Desk.Directory.Current(), p.Desk)
		if desk == nil || desk.Kind != directory.PayoutFiles {
			return fmt.Errorf("there is no desk %q of kind bulkfile: milaan apply declares payout desks", p.Desk)
		}
		results, err := readAnswers(p.File, desk.Layout)
		if err != nil {
			return err
		}
		settled := 0
		for _, r := range results {
			id, ours := payout.ParseReference(r.Reference)
			if !ours || r.Answer.Standing != payout.Paid && r.Answer.Standing != payout.Refused {
				_, _ = fmt.Fprintf(term.out, "%s: %s: left as it is\n", r.Reference, r.Answer.Standing)
				continue
			}
			w, err := t.Store.FindWithdrawal(ctx, id)
			if err != nil || w.Desk != desk.ID || r.Amount != 0 && r.Amount != w.Amount {
				_, _ = fmt.Fprintf(term.err, "%s: no withdrawal of this desk and amount: left as it is\n", r.Reference)
				continue
			}
			w, err = t.Office.Hear(ctx, id, r.Answer, "operator:"+p.Actor)
			if refusal, ok := payout.IsRefusal(err); ok {
				_, _ = fmt.Fprintf(term.err, "%s: %s\n", r.Reference, refusal.Message)
				continue
			}
			if err != nil {
				return err
			}
			settled++
			_, _ = fmt.Fprintf(term.out, "%s: %s\n", r.Reference, w.State)
		}
		_, err = fmt.Fprintf(term.out, "%d of %d settled\n", settled, len(results))
		return err
	})
}

func readAnswers(path, layout string) (results []bulkfile.Result, err error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if layout == painLayout {
		report, err := bulkfile.ReadPain002(file)
		if err != nil {
			return nil, err
		}
		return report.Results, nil
	}
	l, err := bulkfile.Open(layout)
	if err != nil {
		return nil, err
	}
	return l.Read(file)
}
