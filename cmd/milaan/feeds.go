package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

type parseCommand struct {
	SMS       parseSMS       `cmd:"" name:"sms" help:"Read SMS: JSON lines with sender and text, or one text."`
	Email     parseEmail     `cmd:"" help:"Read an e-mail (RFC 822), or JSON lines with sender and text."`
	Statement parseStatement `cmd:"" help:"Read a bank statement."`
}

type source struct {
	File string `arg:"" optional:"" default:"-" help:"The file; - is standard input."`
}

// open opens the file or standard input.
func (s source) open() (io.ReadCloser, error) {
	if s.File == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(filepath.Clean(s.File))
}

// newReader makes a reader for a command, which knows no gateway.
func newReader() (*intake.Reader, error) {
	return intake.New(net.DefaultResolver.LookupTXT, time.Now)
}

// parse prints what read understands, one JSON object a line.
func (s source) parse(term terminal, read func(r *intake.Reader, in io.Reader, show func(any) error) error) (err error) {
	reader, err := newReader()
	if err != nil {
		return err
	}
	in, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out := bufio.NewWriter(term.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := read(reader, in, func(v any) error { return encoder.Encode(v) }); err != nil {
		return errors.Join(err, out.Flush())
	}
	return out.Flush()
}

type parseSMS struct{ source }

// Run prints what milaan understands of SMS; it changes nothing.
func (p parseSMS) Run(term terminal) error {
	return p.parse(term, func(r *intake.Reader, in io.Reader, show func(any) error) error {
		return r.ParseSMS(in, func(reading feed.Reading) error { return show(reading) })
	})
}

type parseEmail struct{ source }

// Run prints what milaan understands of e-mails; it changes nothing.
func (p parseEmail) Run(ctx context.Context, term terminal) error {
	return p.parse(term, func(r *intake.Reader, in io.Reader, show func(any) error) error {
		return r.ParseEmail(ctx, in, func(reading feed.Reading) error { return show(reading) })
	})
}

type parseStatement struct {
	source
	Format statement.Format `default:"auto" help:"How the file is written: ${statement_formats}."`
}

// Run prints what milaan understands of a statement; it changes nothing.
func (p parseStatement) Run(ctx context.Context, term terminal) error {
	return p.parse(term, func(r *intake.Reader, in io.Reader, show func(any) error) error {
		file, err := spool(in)
		if err != nil {
			return err
		}
		defer file.discard()
		return r.ParseStatement(ctx, intake.File{ReaderAt: file, Size: file.size, Format: p.Format}, func(l intake.ParsedLine) error { return show(l) })
	})
}

// spooled is a file that can be read at any place.
type spooled struct {
	*os.File
	size      int64
	temporary bool
}

// spool makes what comes from a pipe readable at any place.
func spool(in io.Reader) (*spooled, error) {
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return &spooled{File: file, size: info.Size()}, nil
		}
	}
	file, err := os.CreateTemp("", "milaan-*")
	if err != nil {
		return nil, err
	}
	s := &spooled{File: file, temporary: true}
	if s.size, err = io.Copy(file, in); err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

func (s *spooled) discard() {
	if s.temporary {
		_, _ = s.Close(), os.Remove(s.Name())
	}
}

type importCommand struct {
	Statement importStatement `cmd:"" help:"Read a bank statement into credits, and into the ledger."`
}

type importStatement struct {
	File   string           `arg:"" type:"existingfile" help:"The statement, as the bank's site gives it."`
	Wallet string           `required:"" help:"The wallet whose account it is of."`
	Format statement.Format `default:"auto" help:"How the file is written: ${statement_formats}."`
	Actor  string           `help:"Who imports it: kept with it." env:"USER" default:"operator"`
}

// Run imports the statement, beside a running gateway or without one.
func (i importStatement) Run(ctx context.Context, s *settings, term terminal) (err error) {
	file, err := os.Open(filepath.Clean(i.File))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var imported intake.Imported
	if err := withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		wallet := t.Desk.Directory.Current().Wallet(i.Wallet)
		if wallet == nil {
			return fmt.Errorf("there is no wallet %q: milaan apply declares wallets", i.Wallet)
		}
		imported, err = t.Importer.Import(ctx, intake.ByHand(wallet), wallet, intake.File{
			ReaderAt: file, Size: info.Size(), Name: filepath.Base(i.File), Format: i.Format, Actor: "operator:" + i.Actor,
			Progress: progress(term),
		})
		return err
	}); err != nil {
		return err
	}
	return writeImported(term.out, &imported)
}

// progress shows a bar, where there is a person to see it.
func progress(term terminal) func(done, of int) {
	if !term.interactive {
		return nil
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(term.err), progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	return func(done, of int) {
		if bar.GetMax() != of {
			bar.ChangeMax(of)
		}
		_ = bar.Set(done) // a bar that can't be drawn stops no import
	}
}

func writeImported(out io.Writer, i *intake.Imported) error {
	s := &i.Statement
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := []struct {
		name  string
		value any
	}{
		{"statement", fmt.Sprintf("%s, %s, %s to %s", s.Name, s.Layout, day(s.From), day(s.To))},
		{"read", i.Read}, {"new", i.New}, {"already known", i.Known}, {"matched", i.Matched},
		{"other movements", i.Recorded}, {"of them withdrawals", i.Payouts}, {"no money moved", i.NotCredit}, {"credits without UTR", i.NoUTR},
		{"not understood", i.Unread}, {"refused", i.Refused},
	}
	if s.Closing != nil {
		rows = append(rows, struct {
			name  string
			value any
		}{"closing balance", money.Format(*s.Closing, money.English)})
	}
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, problem := range i.Problems {
		_, _ = fmt.Fprintln(out, "note:", problem)
	}
	for j := range i.Open {
		l := &i.Open[j]
		_, _ = fmt.Fprintf(out, "line %d: %s: %s\n", l.Number, l.Outcome.Result, l.Outcome.Why)
	}
	if more := i.NoUTR + i.Unread + i.Refused - len(i.Open); more > 0 {
		_, _ = fmt.Fprintf(out, "and %d more lines: milaan reconcile %s lists them\n", more, s.Wallet)
	}
	return nil
}

// day is a day as people in India date it.
func day(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.In(feed.India()).Format(time.DateOnly)
}

type reconcileCommand struct {
	Wallet string `arg:"" help:"The wallet."`
	Last   int    `default:"12" help:"How many of its last statements to compare."`
}

// Run compares a wallet's statements with the books, and fails where they differ.
func (r reconcileCommand) Run(ctx context.Context, s *settings, term terminal) error {
	agree := true
	err := s.withStore(ctx, func(db store.Store) error {
		statements, err := db.Statements(ctx, r.Wallet, r.Last)
		if err != nil {
			return err
		}
		if len(statements) == 0 {
			return fmt.Errorf("wallet %s has no statement: milaan import statement FILE --wallet %s reads one", r.Wallet, r.Wallet)
		}
		for _, st := range slices.Backward(statements) {
			rec, err := db.Reconcile(ctx, st)
			if err != nil {
				return err
			}
			if err := writeReconciliation(term.out, rec); err != nil {
				return err
			}
			agree = agree && rec.Settled()
		}
		return nil
	})
	if err == nil && !agree {
		_, _ = fmt.Fprintln(term.err, "milaan: statements and books differ: compare the lines above with the bank")
		return errReported
	}
	return err
}

func writeReconciliation(out io.Writer, r *records.Reconciliation) error {
	s := &r.Statement
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, amount money.Paise, more string) {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", name, money.Format(amount, money.English), more)
	}
	_, _ = fmt.Fprintf(w, "%s: statement %d, %s, %s to %s\n", s.Wallet, s.ID, s.Name, day(s.From), day(s.To))
	if s.Opening != nil {
		row("opening balance", *s.Opening, "")
	}
	row("credits booked", r.Credits, fmt.Sprintf("%d lines", r.CreditLines))
	row("other money in", r.Income, fmt.Sprintf("%d lines", r.IncomeLines))
	row("debits", -r.Debits, fmt.Sprintf("%d lines", r.DebitLines))
	if s.Closing != nil {
		row("closing balance", *s.Closing, "")
	}
	if difference, ok := r.Difference(); ok {
		row("not in the books", difference, "")
	} else {
		_, _ = fmt.Fprintln(w, "  the statement has no balances to compare")
	}
	row("on the wallet's account in the books, now", r.Ledger, "")
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range r.Open {
		l := &r.Open[i]
		_, _ = fmt.Fprintf(out, "  line %d, %s, %s %s: in no book: %s: %s\n", l.Number, day(l.At), l.Kind, money.Format(l.Amount, money.English), l.Outcome.Result, l.Outcome.Why)
	}
	for _, c := range r.Unseen {
		_, _ = fmt.Fprintf(out, "  credit %d, %s, %s, UTR %s, %s: reported by %s and in no statement\n", c.ID, day(c.At), money.Format(c.Amount, money.English), c.UTR, c.State, c.Feed)
	}
	for _, c := range r.Contested {
		_, _ = fmt.Fprintf(out, "  credit %d, %s, %s, UTR %s, %s: contested\n", c.ID, day(c.At), money.Format(c.Amount, money.English), c.UTR, c.State)
	}
	if r.MoreOpen || r.MoreUnseen || r.MoreContested {
		_, _ = fmt.Fprintln(out, "  and more of the same")
	}
	return nil
}

type feedsCommand struct {
	List   feedsList   `cmd:"" default:"withargs" help:"How each feed is: what it brought, when last, and what is wrong."`
	Credit feedsCredit `cmd:"" help:"Book a credit that the bank shows and no feed could report."`
	Inbox  feedsInbox  `cmd:"" help:"Messages that a person should look at: not understood, without a UTR, refused."`
}

type feedsInbox struct {
	Feed   string `arg:"" optional:"" help:"One feed's messages alone."`
	After  int64  `help:"Start after this message." default:"0"`
	Limit  int    `help:"Most messages to list." default:"50"`
	Export bool   `help:"As JSON lines without names, numbers and addresses, to make a template from."`
}

// Run lists messages, or exports them.
func (f feedsInbox) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStore(ctx, func(db store.Store) error {
		messages, err := db.Inbox(ctx, f.Feed, f.After, f.Limit)
		if err != nil {
			return err
		}
		if f.Export {
			encoder := json.NewEncoder(term.out)
			encoder.SetEscapeHTML(false)
			for i := range messages {
				m := &messages[i]
				if len(m.Raw) == 0 {
					continue
				}
				if err := encoder.Encode(map[string]string{"sender": m.Sender, "text": intake.Anonymise(string(m.Raw)), "why": m.Why()}); err != nil {
					return err
				}
			}
			return nil
		}
		if len(messages) == 0 {
			_, err := fmt.Fprintln(term.out, "no message waits for a person")
			return err
		}
		for i := range messages {
			m := &messages[i]
			_, _ = fmt.Fprintf(term.out, "%d  %s  %s  %s: %s\n", m.ID, m.ReceivedAt.Format(time.DateTime), m.Feed, m.Outcome.Result, m.Why())
			if m.Sender != "" {
				_, _ = fmt.Fprintf(term.out, "    from %s\n", m.Sender)
			}
			text := strings.Join(strings.Fields(string(m.Raw)), " ")
			if text == "" {
				text = "(its text was dropped: its time was up)"
			}
			_, _ = fmt.Fprintf(term.out, "    %s\n", clip(text))
			if err := writeReferral(ctx, db, term.out, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeReferral says which payment a message names by its reference.
func writeReferral(ctx context.Context, db store.Store, out io.Writer, m *deposit.KeptMessage) error {
	ref := payment.FindReference(m.Note, m.Reference, string(m.Raw))
	if ref == "" {
		return nil
	}
	referrals, err := db.FindReferrals(ctx, []string{ref})
	if err != nil {
		return err
	}
	for _, r := range referrals {
		_, _ = fmt.Fprintf(out, "    names payment %s of %s, label %s, %s\n", r.CustomID, r.Merchant, r.Label, money.Format(r.Amount, money.English))
	}
	return nil
}

type feedsCredit struct {
	Wallet string `required:"" help:"The wallet it came in on."`
	UTR    string `required:"" name:"utr" help:"Its UTR, as the bank shows it."`
	Amount string `required:"" help:"Rupees, such as 500 or 500.50."`
	Payer  string `help:"Who paid: a UPI ID or a name."`
	Why    string `required:"" help:"Where you saw it: kept with it."`
	Actor  string `help:"Who says so: kept with it." env:"USER" default:"operator"`
}

// Run books a credit on an operator's word: one that a bank shows, and no feed
// could report.
func (c feedsCredit) Run(ctx context.Context, s *settings, term terminal) error {
	utr, err := upi.ParseUTR(c.UTR)
	if err != nil {
		return usageError{err}
	}
	amount, err := money.ParsePositive(c.Amount)
	if err != nil {
		return usageError{fmt.Errorf("--amount: %w", err)}
	}
	now := time.Now()
	e := feed.Entry{UTR: utr, Amount: amount, Currency: money.INR, Note: c.Why, At: now.UTC().Truncate(time.Microsecond), Trust: feed.Confirmed}
	if vpa, err := upi.ParseVPA(c.Payer); err == nil {
		e.PayerVPA = string(vpa)
	} else {
		e.PayerName = c.Payer
	}
	return atDesk(ctx, s, func(ctx context.Context, desk *deposit.Desk) error {
		if desk.Directory.Current().Wallet(c.Wallet) == nil {
			return fmt.Errorf("there is no wallet %q: milaan apply declares wallets", c.Wallet)
		}
		source := &directory.Feed{ID: "operator:" + c.Actor, Kind: directory.FeedJSON, Wallet: c.Wallet}
		taken, err := desk.Ingest(ctx, source, []feed.Item{{Credit: &e}})
		if err != nil {
			return err
		}
		out := taken.Outcomes[0]
		if out.Result == feed.Refused {
			return errors.New(out.Why)
		}
		_, err = fmt.Fprintf(term.out, "credit %d is %s", out.CreditID, out.Result)
		if out.Settled {
			_, _ = fmt.Fprint(term.out, ", and settled a claim")
		}
		_, _ = fmt.Fprintln(term.out)
		return err
	})
}

// clip keeps a listing readable.
func clip(text string) string {
	const most = 600
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

type feedsList struct{}

// Run lists the feeds with how they are.
func (feedsList) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStore(ctx, func(db store.Store) error {
		cache, err := directory.OpenCache(ctx, db)
		if err != nil {
			return err
		}
		dir := cache.Current()
		judged, err := intake.Health(ctx, db, dir, time.Now())
		if err != nil {
			return err
		}
		if len(judged) == 0 {
			_, err := fmt.Fprintln(term.out, "no feed is declared: milaan apply declares feeds")
			return err
		}
		w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "FEED\tKIND\tWALLET\tSTATE\tLAST\tITEMS 24H\tCREDITS 24H\tUNREAD\tMEAN LAG")
		for i := range judged {
			h := &judged[i]
			last := "never"
			if !h.LastAt.IsZero() {
				last = h.LastAt.In(feed.India()).Format(time.DateTime)
			}
			f := dir.Feed(h.Feed)
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d.%d %%\t%s\n", h.Feed, f.Kind, f.Wallet, h.State, last,
				h.Items24h, h.Credits24h, h.UnreadRate/10, h.UnreadRate%10, h.MeanLag.Round(time.Second))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for i := range judged {
			for _, finding := range judged[i].Findings {
				_, _ = fmt.Fprintf(term.out, "%s: %s: %s\n", judged[i].Feed, finding.Severity, finding.Text)
			}
		}
		return nil
	})
}
