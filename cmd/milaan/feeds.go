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
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
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
func (s source) parse(term terminal, read func(r *intake.Reader, in io.Reader, print func(any) error) error) (err error) {
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
	return p.parse(term, func(r *intake.Reader, in io.Reader, print func(any) error) error {
		return r.ParseSMS(in, func(reading feed.Reading) error { return print(reading) })
	})
}

type parseEmail struct{ source }

// Run prints what milaan understands of e-mails; it changes nothing.
func (p parseEmail) Run(ctx context.Context, term terminal) error {
	return p.parse(term, func(r *intake.Reader, in io.Reader, print func(any) error) error {
		return r.ParseEmail(ctx, in, func(reading feed.Reading) error { return print(reading) })
	})
}

type parseStatement struct {
	source
	Format statement.Format `default:"auto" help:"How the file is written: ${statement_formats}."`
}

// Run prints what milaan understands of a statement; it changes nothing.
func (p parseStatement) Run(ctx context.Context, term terminal) error {
	return p.parse(term, func(r *intake.Reader, in io.Reader, print func(any) error) error {
		file, err := spool(in)
		if err != nil {
			return err
		}
		defer file.discard()
		return r.ParseStatement(ctx, intake.File{ReaderAt: file, Size: file.size, Format: p.Format}, func(l intake.ParsedLine) error { return print(l) })
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
	config, err := s.load()
	if err != nil {
		return err
	}
	desk, db, err := server.OpenDesk(ctx, config, config.Logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	wallet := desk.Directory.Current().Wallet(i.Wallet)
	if wallet == nil {
		return fmt.Errorf("there is no wallet %q: milaan apply declares wallets", i.Wallet)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return desk.Run(running) })
	defer func() { stop(); err = errors.Join(err, group.Wait()) }()

	importer := &intake.Importer{Desk: desk, Ledger: db, Now: time.Now}
	imported, err := importer.Import(ctx, statementFeed(wallet), wallet, intake.File{
		ReaderAt: file, Size: info.Size(), Name: filepath.Base(i.File), Format: i.Format, Actor: "operator:" + i.Actor,
		Progress: progress(term),
	})
	if err != nil {
		return err
	}
	return writeImported(term.out, &imported)
}

// statementFeed is what imports by hand are booked as.
func statementFeed(w *directory.Wallet) *directory.Feed {
	return &directory.Feed{ID: "statement:" + w.ID, Kind: directory.FeedStatement, Wallet: w.ID}
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
		{"other movements", i.Recorded}, {"no money moved", i.NotCredit}, {"credits without UTR", i.NoUTR},
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
