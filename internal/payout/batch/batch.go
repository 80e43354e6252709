// Package batch pays withdrawals by files: it hands a desk's approved withdrawals
// over in a file for the bank's portal, and settles them by the bank's answer
// (docs/payout-files.md).
package batch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Errors that a caller tells apart.
var (
	// ErrNoDesk: there is no such desk, or none that pays by files.
	ErrNoDesk = errors.New("there is no such payout desk of kind bulkfile: milaan apply declares payout desks")
	// ErrNoWallet: there is no such wallet.
	ErrNoWallet = errors.New("there is no such wallet: milaan apply declares wallets")
	// ErrNothing: no approved withdrawal waits at the desk, or none could be handed
	// over.
	ErrNothing = errors.New("no approved withdrawal of this desk can be handed over")
	// ErrNoFile: no file has that number.
	ErrNoFile = errors.New("there is no such payout file")
)

// Layout of ISO 20022's own message, which package bulkfile writes by itself.
const painLayout = "pain.001"

// mostInFile bounds one file.
const mostInFile = 5000

// MaxAnswer is how many bytes a bank's answer may have: far more than that of a
// full file.
const MaxAnswer = 8 << 20

// File is a file for a bank, as it is kept: whoever loses one downloads it again,
// and makes no second one.
type File struct {
	ID     int64
	Desk   string
	Wallet string // that pays
	Name   string // as the bank wants it
	MadeAt time.Time
	Actor  string
	Orders int
	Total  money.Paise
	// Content holds account numbers: it is sealed at rest. Lists leave it out.
	Content []byte
}

// Store keeps files.
type Store interface {
	// KeepPayoutFile keeps a file under a new number, which it gives.
	KeepPayoutFile(ctx context.Context, f *File) (id int64, err error)
	// PayoutFiles lists files without their content, the newest first: those made
	// before the given one, or all where that is 0.
	PayoutFiles(ctx context.Context, before int64, limit int) ([]File, error)
	// PayoutFile gives a file whole, or ErrNoFile.
	PayoutFile(ctx context.Context, id int64) (*File, error)
	// CountPayoutFiles counts the files of a desk that were made since a time.
	CountPayoutFiles(ctx context.Context, desk string, since time.Time) (int, error)
}

// Clerk makes files and reads answers.
type Clerk struct {
	Office *payout.Office
	Store  Store
}

// Ask is what a file is made of.
type Ask struct {
	Desk   string
	Wallet string
	IFSC   upi.IFSC // of the wallet's branch, where the file has it; empty elsewhere
	// Name is what the file is called; empty takes the layout's own name.
	Name  string
	Actor string
}

// Made is a file, and what did not get into it.
type Made struct {
	File
	LeftOut []LeftOut
}

// LeftOut is a withdrawal that could not be handed over, and why.
type LeftOut struct {
	ID  int64
	Why string
}

// Make writes the approved withdrawals of a desk into the bank's upload file. Each
// is handed over in the books before the file is whole: what is in a file is
// never in another, and what did not get into one is for a person to see to. The
// error is ErrNoDesk, ErrNoWallet, ErrNothing or one of package bulkfile's where
// nothing was handed over.
func (c *Clerk) Make(ctx context.Context, ask Ask) (*Made, error) {
	dir := c.Office.Directory.Current()
	desk, wallet := payout.Desk(dir, ask.Desk), dir.Wallet(ask.Wallet)
	switch {
	case desk == nil || desk.Kind != directory.PayoutFiles:
		return nil, ErrNoDesk
	case wallet == nil:
		return nil, ErrNoWallet
	}
	list, err := c.waiting(ctx, desk)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNothing
	}
	now := c.Office.Now().UTC().Truncate(time.Microsecond)
	earlier, err := c.Store.CountPayoutFiles(ctx, desk.ID, startOfDay(now))
	if err != nil {
		return nil, err
	}
	batch := bulkfile.Batch{
		ID: "B" + now.Format("20060102150405"), At: now, Sequence: earlier + 1,
		Debit: bulkfile.Debit{Account: upi.AccountNumber(cmp.Or(desk.Account, wallet.Account)), IFSC: ask.IFSC, Name: wallet.Name, Codes: desk.Codes},
	}
	// The file is tried before anything is handed over.
	for _, w := range list {
		batch.Orders = append(batch.Orders, order(w, wallet.ID, now))
	}
	if err := write(io.Discard, desk.Layout, batch); err != nil {
		return nil, err
	}
	made := &Made{File: File{Desk: desk.ID, Wallet: wallet.ID, Name: ask.Name, MadeAt: now, Actor: ask.Actor}}
	if made.Name == "" {
		if made.Name, err = fileName(desk.Layout, batch); err != nil {
			return nil, err
		}
	}
	batch.Orders = batch.Orders[:0]
	for _, w := range list {
		handed, err := c.Office.HandFrom(ctx, w.ID, wallet.ID, ask.Actor, "in file "+made.Name)
		if refusal, ok := payout.IsRefusal(err); ok {
			made.LeftOut = append(made.LeftOut, LeftOut{w.ID, refusal.Message})
			continue
		}
		if err != nil {
			return nil, handedOver(err, len(batch.Orders))
		}
		batch.Orders = append(batch.Orders, order(handed, wallet.ID, now))
		made.Total += handed.Amount
	}
	if made.Orders = len(batch.Orders); made.Orders == 0 {
		return made, ErrNothing
	}
	var content bytes.Buffer
	if err := write(&content, desk.Layout, batch); err != nil {
		return nil, handedOver(err, made.Orders)
	}
	made.Content = content.Bytes()
	if made.ID, err = c.Store.KeepPayoutFile(ctx, &made.File); err != nil {
		return nil, handedOver(err, made.Orders)
	}
	return made, nil
}

// Waiting tells how many approved withdrawals wait for a file of a desk, as many as
// fit into one at most. The error is ErrNoDesk where there is no such desk.
func (c *Clerk) Waiting(ctx context.Context, deskID string) (int, error) {
	desk := payout.Desk(c.Office.Directory.Current(), deskID)
	if desk == nil || desk.Kind != directory.PayoutFiles {
		return 0, ErrNoDesk
	}
	list, err := c.waiting(ctx, desk)
	return len(list), err
}

func (c *Clerk) waiting(ctx context.Context, desk *directory.PayoutDesk) ([]*payout.Withdrawal, error) {
	list, err := c.Office.Store.ListWithdrawals(ctx, []payout.State{payout.Approved}, desk.ID, 0, mostInFile)
	// The gateway plays tests: a file would pay them.
	return slices.DeleteFunc(list, func(w *payout.Withdrawal) bool { return w.Test }), err
}

// handedOver says that an error came too late to leave everything as it was.
func handedOver(err error, orders int) error {
	if orders == 0 {
		return err
	}
	return fmt.Errorf("%w: %d withdrawals are handed over already, and in no file: milaan payout list shows them", err, orders)
}

func startOfDay(t time.Time) time.Time {
	y, m, d := t.In(feed.India()).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, feed.India()).UTC()
}

func order(w *payout.Withdrawal, wallet string, now time.Time) payout.Order {
	return payout.Order{Reference: w.Reference(), Beneficiary: w.Beneficiary, Amount: w.Amount, Currency: w.Currency, At: now, Wallet: wallet}
}

func fileName(layout string, b bulkfile.Batch) (string, error) {
	if layout == painLayout {
		return b.ID + ".xml", nil
	}
	l, err := bulkfile.Open(layout)
	if err != nil {
		return "", err
	}
	return l.FileName(b)
}

func write(out io.Writer, layout string, b bulkfile.Batch) error {
	if layout == painLayout {
		return bulkfile.WritePain001(out, b.ID, b)
	}
	l, err := bulkfile.Open(layout)
	if err != nil {
		return err
	}
	return l.Write(out, b)
}

// Line is what an answer said of one order, and what came of it.
type Line struct {
	Reference string
	Standing  payout.Standing
	// ID and State are the withdrawal's; 0 and empty where it is none of the desk's.
	ID      int64
	State   payout.State
	Settled bool   // it is settled now, by this answer or before
	Why     string // it was left as it is; empty where the answer is not definite
}

// Import settles withdrawals by the bank's answer to their file. What it does not
// say for certain stays as it is; the same answer again changes nothing. The
// error is ErrNoDesk or one of package bulkfile's where nothing was settled.
func (c *Clerk) Import(ctx context.Context, deskID string, answer io.Reader, actor string) ([]Line, error) {
	desk := payout.Desk(c.Office.Directory.Current(), deskID)
	if desk == nil || desk.Kind != directory.PayoutFiles {
		return nil, ErrNoDesk
	}
	results, err := read(answer, desk.Layout)
	if err != nil {
		return nil, err
	}
	lines := make([]Line, 0, len(results))
	for i := range results {
		line, err := c.settle(ctx, desk.ID, &results[i], actor)
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (c *Clerk) settle(ctx context.Context, desk string, r *bulkfile.Result, actor string) (Line, error) {
	line := Line{Reference: r.Reference, Standing: r.Answer.Standing}
	id, ours := payout.ParseReference(r.Reference)
	if !ours || r.Answer.Standing != payout.Paid && r.Answer.Standing != payout.Refused {
		return line, nil
	}
	w, err := c.Office.Store.FindWithdrawal(ctx, id)
	if errors.Is(err, payout.ErrNoWithdrawal) {
		w, err = &payout.Withdrawal{}, nil // of no desk
	}
	if err != nil {
		return line, err
	}
	if w.Desk != desk || r.Amount != 0 && r.Amount != w.Amount {
		line.Why = "no withdrawal of this desk and amount"
		return line, nil
	}
	line.ID, line.State = w.ID, w.State
	w, err = c.Office.Hear(ctx, id, r.Answer, actor)
	if refusal, ok := payout.IsRefusal(err); ok {
		line.Why = refusal.Message
		return line, nil
	}
	if err != nil {
		return line, err
	}
	line.State, line.Settled = w.State, true
	return line, nil
}

func read(in io.Reader, layout string) ([]bulkfile.Result, error) {
	if layout == painLayout {
		report, err := bulkfile.ReadPain002(in)
		if err != nil {
			return nil, err
		}
		return report.Results, nil
	}
	l, err := bulkfile.Open(layout)
	if err != nil {
		return nil, err
	}
	return l.Read(in)
}
