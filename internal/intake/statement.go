package intake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/sms"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// MaxStatement is how many bytes a statement may have: a million lines.
const MaxStatement = 256 << 20

// lineBatch is how many lines are booked at a time: what memory an import takes
// does not depend on the file.
const lineBatch = 256

// Desk books; a [deposit.Desk] is one.
type Desk interface {
	// Ingest books what a feed reports, see [deposit.Desk.Ingest].
	Ingest(ctx context.Context, f *directory.Feed, items []feed.Item) (feed.Taken, error)
}

// Ledger keeps statements.
type Ledger interface {
	// KeepStatement keeps a statement, or finds the one with its digest, and
	// gives its id.
	KeepStatement(ctx context.Context, s *feed.Statement) (id int64, err error)
	// KeepLines keeps what became of lines of a statement, again where they were
	// imported before.
	KeepLines(ctx context.Context, statement int64, lines []feed.StatementLine) error
	// EndStatement marks a statement as imported to its end.
	EndStatement(ctx context.Context, statement int64) error
}

// Payouts learns of lines that may be withdrawals; a [payout.Office] does.
type Payouts interface {
	// Explain tells of a line that is no payment, see [payout.Office.Explain].
	Explain(ctx context.Context, m payout.Movement, narration string) (explained bool, err error)
}

// Importer reads statements into the books.
type Importer struct {
	Desk   Desk
	Ledger Ledger
	// Payouts is nil where nothing is paid out.
	Payouts Payouts
	Now     func() time.Time
}

// File is a statement to import.
type File struct {
	io.ReaderAt
	Size   int64
	Name   string // for people
	Format statement.Format
	Actor  string
	// Progress is told how many of how many lines are done; nil for nobody.
	Progress func(done, of int)
	// Begun is told of the statement once it is read and kept, before its first line
	// is booked; nil for nobody.
	Begun func(feed.Statement)
}

// Imported is what became of a statement. The counts add up to Read.
type Imported struct {
	Statement    feed.Statement
	Read         int
	New          int // credits that nobody had reported
	Known        int // credits and movements that were known
	KnownCredits int // of these: credits
	Recorded     int // debits, interest, reversals that were new
	NotCredit    int // lines that moved nothing
	NoUTR        int // credits that can't be told from others
	Unread       int
	Refused      int
	Matched      int // of the credits: settled a claim
	Payouts      int // of the movements: are withdrawals
	// Open are lines that a person should look at, the first of them.
	Open []feed.StatementLine
	// Problems are what the file says of itself and its lines do not bear out.
	Problems []string
}

// mostOpen bounds how many lines are listed.
const mostOpen = 1000

// ErrStatement is wrapped by errors of a file that is not imported at all; their
// text says what to do.
var ErrStatement = errors.New("the statement is not imported")

// Import reads a statement into the books of a wallet. Importing it again, or one
// that overlaps it, changes nothing twice. The error wraps ErrStatement where
// the file is at fault; any other left off in the middle, and importing again
// goes on.
func (i *Importer) Import(ctx context.Context, f *directory.Feed, w *directory.Wallet, file File) (result Imported, err error) {
	if file.Size > MaxStatement {
		return result, fmt.Errorf("%w: it has more than %d MiB: export a shorter period", ErrStatement, MaxStatement>>20)
	}
	now := i.Now()
	s, err := statement.Read(ctx, file, file.Size, statement.Options{Format: file.Format, Now: now})
	if err != nil {
		if errors.Is(err, statement.ErrFormat) || errors.Is(err, statement.ErrEncrypted) {
			err = fmt.Errorf("%w: %w", ErrStatement, err)
		}
		return result, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch {
	case s.Untrusted != "":
		return result, fmt.Errorf("%w: %s", ErrStatement, s.Untrusted)
	case !sms.TailFits(s.AccountTail, w.Account):
		return result, fmt.Errorf("%w: it is of the account that ends in %s, and wallet %s is %s", ErrStatement, s.AccountTail, w.ID, w.Account)
	case s.Bank != "" && w.Bank != "" && s.Bank != w.Bank:
		return result, fmt.Errorf("%w: it is of %s, and wallet %s is with %s", ErrStatement, s.Bank, w.ID, w.Bank)
	}
	digest, err := digestOf(file)
	if err != nil {
		return result, err
	}
	result.Problems = s.Problems
	result.Statement = feed.Statement{
		Wallet: w.ID, Feed: f.ID, Digest: digest, Name: storable(file.Name), Layout: strings.TrimSpace(s.Bank + " " + string(s.Format)),
		From: s.From, To: s.To, Opening: s.Opening, Closing: s.Closing, Lines: s.Rows, ImportedAt: now.UTC().Truncate(time.Microsecond), Actor: file.Actor,
		Problems: s.Problems,
	}
	if result.Statement.ID, err = i.Ledger.KeepStatement(ctx, &result.Statement); err != nil {
		return result, err
	}
	if file.Begun != nil {
		file.Begun(result.Statement)
	}
	run := importing{Importer: i, feed: f, wallet: w, file: file, of: s.Rows, result: &result, twins: make(map[[sha256.Size]byte]int), undone: make(map[upi.UTR]money.Paise)}
	if err := run.all(ctx, s); err != nil {
		return result, err
	}
	if err := run.explain(ctx); err != nil {
		return result, err
	}
	return result, i.Ledger.EndStatement(ctx, result.Statement.ID)
}

func digestOf(file File) (digest [sha256.Size]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(file, 0, file.Size)); err != nil {
		return digest, fmt.Errorf("read the statement: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// importing is an import under way.
type importing struct {
	*Importer
	feed   *directory.Feed
	wallet *directory.Wallet
	file   File
	of     int
	result *Imported
	// twins count lines that are alike in everything.
	twins map[[sha256.Size]byte]int
	// undone are the amounts that the file says were taken back, by the UTR.
	undone map[upi.UTR]money.Paise

	// moved are movements that may be withdrawals: told of once all lines are
	// booked, what went out before what came back.
	moved []told

	items []feed.Item          // to be booked …
	lines []feed.StatementLine // … beside what is kept anyhow
}

// all takes every line up. A credit of which the same file says that it was
// taken back is booked after that line, wherever they stand: else it would
// settle a claim that waits for it.
func (g *importing) all(ctx context.Context, s *statement.Statement) error {
	for line, err := range s.Lines(ctx) {
		switch {
		case err != nil:
			return err
		case line.Doubt == "" && line.Kind == feed.Debit && line.Reversal && line.UTR != "":
			g.undone[line.UTR] = line.Amount
		}
	}
	var late []statement.Line
	number := 0
	for line, err := range s.Lines(ctx) {
		if err != nil {
			return err
		}
		// The payments of one entry of camt.053 stand in one line of the file, all
		// of them where it has no line breaks; each is kept by a number of its own.
		number = max(number+1, line.Number)
		line.Number = number
		if amount, undone := g.undone[line.UTR]; undone && line.Kind == feed.Credit && line.Amount == amount {
			late = append(late, line)
			continue
		}
		if err := g.add(ctx, &line); err != nil {
			return err
		}
	}
	for i := range late {
		if err := g.add(ctx, &late[i]); err != nil {
			return err
		}
	}
	if err := g.flush(ctx); err != nil {
		return err
	}
	slices.SortFunc(g.result.Open, func(a, b feed.StatementLine) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}

// add takes a line up.
func (g *importing) add(ctx context.Context, line *statement.Line) error {
	kept := feed.StatementLine{
		Number: line.Number, Kind: line.Kind, UTR: line.UTR, Amount: line.Amount, At: line.At, Narration: line.Narration,
		Outcome: feed.Outcome{Place: line.Number},
	}
	message := feed.Message{Reading: line.Reading}
	entry, credit := line.Entry(feed.Confirmed, g.result.Statement.ImportedAt)
	switch {
	case line.Doubt != "":
		kept.Outcome.Result, kept.Outcome.Why = feed.Unread, line.Doubt
	case credit:
		item := feed.Item{Place: line.Number, Credit: &entry}
		refer(&item, line.Narration)
		g.items = append(g.items, item)
	case (line.Kind == feed.Debit || line.Kind == feed.Other) && line.Amount > 0:
		g.items = append(g.items, feed.Item{Place: line.Number, Movement: g.movement(line)})
	default:
		kept.Outcome.Result, kept.Outcome.Why = message.Result(), line.Why
		if kept.Outcome.Result == feed.NoUTR {
			kept.Outcome.Why = "a credit without a UTR: compare it with what feeds reported"
		}
	}
	g.lines = append(g.lines, kept)
	if len(g.lines) < lineBatch {
		return nil
	}
	return g.flush(ctx)
}

// movement is a line that is no payment.
func (g *importing) movement(line *statement.Line) *feed.Movement {
	account := string(g.wallet.VPA.Canonical())
	key := feed.LineKey(account, &line.Reading, line.Narration, line.Balance, 0)
	if n := g.twins[key]; n > 0 {
		g.twins[key]++
		key = feed.LineKey(account, &line.Reading, line.Narration, line.Balance, n)
	} else if line.UTR == "" && line.Balance == nil { // a balance tells lines apart
		g.twins[key] = 1
	}
	return &feed.Movement{
		Kind: line.Kind, UTR: line.UTR, Amount: line.Amount, Currency: cmp.Or(line.Currency, money.INR), At: line.At.UTC(),
		Reversal: line.Reversal, Narration: line.Narration, Key: key,
	}
}

// flush books what was taken up and keeps what became of it.
func (g *importing) flush(ctx context.Context) error {
	if len(g.lines) == 0 {
		return nil
	}
	if len(g.items) > 0 {
		taken, err := g.Desk.Ingest(ctx, g.feed, g.items)
		if err != nil {
			return fmt.Errorf("book lines up to %d: %w", g.lines[len(g.lines)-1].Number, err)
		}
		for i, out := range taken.Outcomes {
			at := slices.IndexFunc(g.lines, func(l feed.StatementLine) bool { return l.Number == out.Place })
			g.lines[at].Outcome = out
			if m := g.items[i].Movement; m != nil && out.MovementID != 0 && (m.UTR != "" || len(payout.References(m.Narration)) > 0) {
				g.moved = append(g.moved, told{payout.Movement{
					ID: out.MovementID, Wallet: g.wallet.ID, In: m.Kind == feed.Other, UTR: m.UTR, Amount: m.Amount,
				}, m.Narration})
			}
		}
	}
	if err := g.Ledger.KeepLines(ctx, g.result.Statement.ID, g.lines); err != nil {
		return err
	}
	for i := range g.lines {
		g.result.count(&g.lines[i])
	}
	g.items, g.lines = g.items[:0], g.lines[:0]
	if g.file.Progress != nil {
		g.file.Progress(g.result.Read, g.of)
	}
	return nil
}

// told is a movement that may be a withdrawal.
type told struct {
	payout.Movement
	narration string
}

// explain tells the payouts of movements.
func (g *importing) explain(ctx context.Context) error {
	if g.Payouts == nil {
		return nil
	}
	for _, in := range []bool{false, true} {
		for i := range g.moved {
			m := &g.moved[i]
			if m.In != in {
				continue
			}
			explained, err := g.Payouts.Explain(ctx, m.Movement, m.narration)
			if err != nil {
				return fmt.Errorf("compare movement %d with withdrawals: %w", m.ID, err)
			}
			if explained {
				g.result.Payouts++
			}
		}
	}
	return nil
}

func (r *Imported) count(line *feed.StatementLine) {
	r.Read++
	if line.Outcome.Settled {
		r.Matched++
	}
	open := false
	switch line.Outcome.Result {
	case feed.New:
		r.New++
	case feed.Known:
		r.Known++
		if line.Outcome.CreditID != 0 {
			r.KnownCredits++
		}
	case feed.Recorded:
		r.Recorded++
	case feed.NotCredit:
		r.NotCredit++
	case feed.NoUTR:
		r.NoUTR++
		open = true
	case feed.Unread:
		r.Unread++
		open = true
	case feed.Refused:
		r.Refused++
		open = true
	}
	if open && len(r.Open) < mostOpen {
		r.Open = append(r.Open, *line)
	}
}

// Summary is the answer to a statement that was posted to a feed (contract,
// Feeds): each refused place is the number of a line in the file.
func (r *Imported) Summary() feed.Summary {
	s := feed.Summary{Accepted: r.New, Duplicate: r.KnownCredits, Matched: r.Matched, Refused: []feed.Refusal{}}
	for i := range r.Open {
		s.Refused = append(s.Refused, feed.Refusal{Index: r.Open[i].Number, Error: r.Open[i].Outcome.Why})
	}
	return s
}
