package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/backup"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
)

// standard is the name of standard input and output.
const standard = "-"

type backupCommand struct {
	File string `arg:"" help:"The file to make; - for standard output."`
}

// Run copies the database. The secret key is not in the copy.
func (b backupCommand) Run(ctx context.Context, s *settings, term terminal) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	if b.File == standard {
		if isTerminal(term.out) {
			return usageError{errors.New("a backup is no text for a terminal: name a file, or send it on to a program")}
		}
		summary, err := server.Backup(ctx, config, term.out)
		if err != nil {
			return fmt.Errorf("what was written is no backup: %w", err)
		}
		return writeSummary(term.err, summary)
	}
	var summary backup.Summary
	if err := writeWhole(b.File, func(to io.Writer) (err error) {
		summary, err = server.Backup(ctx, config, to)
		return err
	}); err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	return writeSummary(term.out, summary)
}

// writeWhole makes a file that only its owner reads, whole or not at all: it has
// its name when everything is on the disk. It replaces none.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	if err := free(path); err != nil {
		return err
	}
	folder := filepath.Dir(path)
	tmp, err := os.CreateTemp(folder, ".milaan-backup-*") // made with 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	buffer := bufio.NewWriterSize(tmp, 1<<18)
	if err := errors.Join(write(buffer), buffer.Flush(), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := free(path); err != nil { // not every disk for backups knows links, which replace nothing
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Clean(folder))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// free gives an error where there is something of a name.
func free(path string) error {
	_, err := os.Lstat(path)
	if err == nil {
		return fmt.Errorf("%s is there already: name another file", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func writeSummary(to io.Writer, s backup.Summary) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"made", s.MadeAt().Format(time.RFC3339)}, {"from", fmt.Sprintf("%s, schema %d", s.Engine, s.Schema)},
		{"rows", s.Total()}, {"postings", s.Books.Postings}, {"audit entries", s.Books.AuditSeq},
		{"on wallets", money.Format(s.Books.Held, money.English)},
		{"owed to merchants", money.Format(s.Books.Owed, money.English)},
		{"bytes", s.Size}, {"SHA-256 of the contents", fmt.Sprintf("%x", s.SHA256)},
	} {
		if row.name != "bytes" || s.Size > 0 {
			_, _ = fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
		}
	}
	return w.Flush()
}

type restoreCommand struct {
	File   string `arg:"" help:"The backup; - for standard input."`
	Moving bool   `help:"Nothing happened since the backup was made: the gateway was stopped before. Ids and open withdrawals go on as they were."`
	Actor  string `help:"Who restores it: kept in the audit log." env:"USER" default:"operator"`
}

// Run makes the database and checks every invariant in it.
func (r restoreCommand) Run(ctx context.Context, s *settings, term terminal) (err error) {
	config, err := s.load()
	if err != nil {
		return err
	}
	from := io.Reader(os.Stdin)
	if r.File != standard {
		file, err := os.Open(filepath.Clean(r.File))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		from = file
	}
	summary, err := server.Restore(ctx, config, bufio.NewReaderSize(from, 1<<18), records.Restoring{Now: time.Now(), Actor: "operator:" + r.Actor, Moving: r.Moving})
	if err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	if err := writeSummary(term.out, summary); err != nil {
		return err
	}
	if !r.Moving {
		if err := s.tellHeld(ctx, term); err != nil {
			return err
		}
	}
	return verifyCommand{}.Run(ctx, s, term)
}

// tellHeld says how many withdrawals wait for a person.
func (s *settings) tellHeld(ctx context.Context, term terminal) error {
	var held int
	if err := s.withStore(ctx, func(db store.Store) error {
		list, err := db.ContestedWithdrawals(ctx, 0, mostHeld)
		held = len(list)
		return err
	}); err != nil || held == 0 {
		return err
	}
	more := ""
	if held == mostHeld {
		more = " or more"
	}
	_, err := fmt.Fprintf(term.out, "%d withdrawals%s wait for a person, since they may have been paid after the backup: milaan payout list --contested\n", held, more)
	return err
}

// mostHeld is how many withdrawals are counted.
const mostHeld = 100
