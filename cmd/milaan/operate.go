package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/store/records"
	"github.com/milaan/milaan/money"
)

type serveCommand struct{}

const gcPercent = 400

// Run serves until the program is told to stop.
func (serveCommand) Run(ctx context.Context, s *settings, term terminal) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	// Little of a gateway's memory lives long: collecting it less often costs
	// a few megabytes and saves a tenth of the work. GOGC, where set, wins.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	gateway, err := server.Open(ctx, config, config.Logger())
	if err != nil {
		return err
	}
	link, err := gateway.OwnerLink(ctx)
	if err != nil {
		return errors.Join(err, gateway.Close())
	}
	switch {
	case link == "":
	case os.Getenv("JOURNAL_STREAM") != "":
		// systemd keeps what is printed, and many may read that: no link.
		_, _ = fmt.Fprintln(term.err, "Nobody can sign in to the console yet. Add its first owner: milaan user add EMAIL --role owner")
	default:
		// For the person at the terminal alone: it is no line of the log.
		_, _ = fmt.Fprintf(term.err, "\nNobody can sign in to the console yet. Make its first owner within the hour:\n\n  %s\n\n", link)
	}
	return gateway.Run(ctx)
}

type applyCommand struct {
	File   string `arg:"" type:"existingfile" help:"The file (YAML); docs/apply.md explains it."`
	DryRun bool   `help:"Print what would change, and change nothing."`
}

// Run applies the file. It works beside a running gateway, which follows.
func (a applyCommand) Run(ctx context.Context, s *settings, term terminal) error {
	data, err := os.ReadFile(filepath.Clean(a.File))
	if err != nil {
		return err
	}
	file, err := apply.Parse(a.File, data)
	if err != nil {
		return err
	}
	return s.withStore(ctx, func(db store.Store) error {
		plan, err := apply.Run(ctx, db, file, apply.Options{DryRun: a.DryRun, Now: time.Now})
		if err != nil {
			return err
		}
		return apply.Write(term.out, plan)
	})
}

// withStore does something with the database the settings name.
func (s *settings) withStore(ctx context.Context, do func(store.Store) error) (err error) {
	config, err := s.load()
	if err != nil {
		return err
	}
	db, err := server.OpenStore(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(db)
}

type migrateCommand struct{}

// Run opens the database, which brings its schema up to date.
func (migrateCommand) Run(ctx context.Context, s *settings, term terminal) error {
	return s.withStore(ctx, func(store.Store) error {
		_, err := fmt.Fprintln(term.out, "the schema is up to date")
		return err
	})
}

type verifyCommand struct{}

// Run checks every invariant and fails when one does not hold.
func (verifyCommand) Run(ctx context.Context, s *settings, term terminal) error {
	var report records.Report
	if err := s.withStore(ctx, func(db store.Store) (err error) {
		report, err = db.Verify(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("the books could not be checked: %w", err)
	}
	for _, problem := range report.Problems {
		_, _ = fmt.Fprintln(term.err, "milaan:", problem)
	}
	if len(report.Problems) > 0 {
		_, _ = fmt.Fprintf(term.err, "milaan: %d problems: stop the gateway, keep a copy of the database, and compare with the last backup\n", len(report.Problems))
		return errReported
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"credits", report.Credits}, {"claims", report.Claims}, {"deposits", report.Deposits},
		{"postings", report.Postings}, {"postbacks", report.Postbacks}, {"audit entries", report.AuditEntries},
		{"on wallets", money.Format(report.Held, money.English)},
		{"unclaimed", money.Format(report.Unclaimed, money.English)},
		{"owed to merchants", money.Format(report.Owed, money.English)},
		{"held by withdrawals", money.Format(report.OnHold, money.English)},
		{"fees earned", money.Format(report.Fees, money.English)},
		{"left wallets", money.Format(report.Outflow, money.English)},
		{"other income", money.Format(report.Income, money.English)},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
	}
	_, _ = fmt.Fprintln(w, "every invariant holds")
	return w.Flush()
}

type reviewCommand struct {
	List    reviewList    `cmd:"" help:"Claims that wait for a person, oldest first."`
	Approve reviewApprove `cmd:"" help:"Credit a claim with the credit it names."`
	Reject  reviewReject  `cmd:"" help:"End a claim without money."`
	Give    reviewGive    `cmd:"" help:"Credit money that nobody claimed to a label."`
	Undo    reviewUndo    `cmd:"" help:"Take a deposit back by postings that undo it: its credit is free again."`
	Clear   reviewClear   `cmd:"" help:"Take the mark off a credit that a bank contested, once it was compared with the bank."`
}

type reviewList struct {
	After int64 `help:"Start after this claim." default:"0"`
	Limit int   `help:"Most claims to list." default:"50"`
}

// Run lists claims with why they are held and which credits they could have.
func (l reviewList) Run(ctx context.Context, s *settings, term terminal) error {
	var reviews []deposit.Review
	var disputes []*deposit.Credit
	if err := s.withStore(ctx, func(db store.Store) (err error) {
		if reviews, err = db.PendingClaims(ctx, l.After, l.Limit); err != nil {
			return err
		}
		disputes, err = db.Disputes(ctx, 0, l.Limit)
		return err
	}); err != nil {
		return err
	}
	for _, c := range disputes {
		_, _ = fmt.Fprintf(term.out, "credit %d, UTR %s, %s on %s, is contested by the bank, and claim %d was credited with it: compare with the bank, then milaan review clear %d\n",
			c.ID, c.UTR, money.Format(c.Amount, money.English), c.Wallet, c.ClaimID, c.ID)
	}
	if len(reviews) == 0 {
		_, err := fmt.Fprintln(term.out, "no claim waits for a person")
		return err
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CLAIM\tMERCHANT\tLABEL\tUTR\tCLAIMED\tSINCE\tWHY\tCREDITS")
	for _, r := range reviews {
		c := r.Claim
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t", c.ID, c.Merchant, c.Label, c.UTR,
			money.Format(c.Amount, money.English), c.CreatedAt.Format(time.DateTime), c.Reasons)
		for i, credit := range r.Credits {
			if i > 0 {
				_, _ = fmt.Fprint(w, "; ")
			}
			_, _ = fmt.Fprintf(w, "%d: %s on %s, %s", credit.ID, money.Format(credit.Amount, money.English), credit.Wallet, credit.State)
		}
		_, _ = fmt.Fprintln(w)
	}
	return w.Flush()
}

type reviewWord struct {
	Claim int64  `arg:"" help:"The claim's number, from milaan review list."`
	Why   string `required:"" help:"Why: kept in the audit log."`
	Actor string `help:"Who decides: kept in the audit log." env:"USER" default:"operator"`
}

type reviewApprove struct {
	reviewWord
	Credit int64 `help:"The credit to bind, where the claim could have more than one."`
}

// Run credits the claim; the gateway sends the postback.
func (a reviewApprove) Run(ctx context.Context, s *settings, term terminal) error {
	return decide(ctx, s, term, func(ctx context.Context, desk *deposit.Desk) (deposit.Claim, error) {
		return desk.Approve(ctx, a.Claim, a.Credit, "operator:"+a.Actor, a.Why)
	})
}

type reviewUndo struct{ reviewWord }

// Run takes the deposit back.
func (u reviewUndo) Run(ctx context.Context, s *settings, term terminal) error {
	return decide(ctx, s, term, func(ctx context.Context, desk *deposit.Desk) (deposit.Claim, error) {
		return desk.Undo(ctx, u.Claim, "operator:"+u.Actor, u.Why)
	})
}

type reviewGive struct {
	Credit   int64  `arg:"" help:"The credit's number."`
	Merchant string `required:"" help:"The merchant, which the credit's account has to serve."`
	Label    string `required:"" help:"The merchant's name of the paying user."`
	CustomID string `help:"The deposit's custom id; credit-CREDIT where empty."`
	Why      string `required:"" help:"Why: kept in the audit log."`
	Actor    string `help:"Who decides: kept in the audit log." env:"USER" default:"operator"`
}

// Run makes a claim for the credit; the gateway sends the postback.
func (g reviewGive) Run(ctx context.Context, s *settings, term terminal) error {
	return decide(ctx, s, term, func(ctx context.Context, desk *deposit.Desk) (deposit.Claim, error) {
		return desk.Give(ctx, deposit.Gift{Credit: g.Credit, Merchant: g.Merchant, Label: g.Label, CustomID: g.CustomID}, "operator:"+g.Actor, g.Why)
	})
}

type reviewClear struct {
	Credit int64  `arg:"" help:"The credit's number, from milaan review list."`
	Why    string `required:"" help:"Why: kept in the audit log."`
	Actor  string `help:"Who decides: kept in the audit log." env:"USER" default:"operator"`
}

// Run takes the mark off the credit.
func (c reviewClear) Run(ctx context.Context, s *settings, term terminal) error {
	err := atDesk(ctx, s, func(ctx context.Context, desk *deposit.Desk) error {
		return desk.Clear(ctx, c.Credit, "operator:"+c.Actor, c.Why)
	})
	if err == nil {
		_, err = fmt.Fprintf(term.out, "credit %d is not contested any more\n", c.Credit)
	}
	return err
}

type reviewReject struct{ reviewWord }

// Run ends the claim.
func (r reviewReject) Run(ctx context.Context, s *settings, term terminal) error {
	return decide(ctx, s, term, func(ctx context.Context, desk *deposit.Desk) (deposit.Claim, error) {
		return desk.Reject(ctx, r.Claim, "operator:"+r.Actor, r.Why)
	})
}

// decide settles one claim.
func decide(ctx context.Context, s *settings, term terminal, word func(context.Context, *deposit.Desk) (deposit.Claim, error)) error {
	var claim deposit.Claim
	if err := atDesk(ctx, s, func(ctx context.Context, desk *deposit.Desk) (err error) {
		claim, err = word(ctx, desk)
		return err
	}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(term.out, "claim %d is %s", claim.ID, claim.State)
	if claim.History.Approval != nil {
		_, _ = fmt.Fprint(term.out, ": a second person has to approve it, too")
	}
	if claim.History.Undoing != nil {
		_, _ = fmt.Fprint(term.out, ": a second person has to undo it, too")
	}
	if claim.State == deposit.Credited {
		_, _ = fmt.Fprintf(term.out, ": %s from credit %d", money.Format(claim.Deposited, money.English), claim.CreditID)
	}
	_, _ = fmt.Fprintln(term.out)
	return err
}

// atDesk does something at a desk of its own.
func atDesk(ctx context.Context, s *settings, do func(context.Context, *deposit.Desk) error) error {
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error { return do(ctx, t.Desk) })
}

// withTools settles something itself: it takes the write lock for a moment at a
// time, and a running gateway goes on.
func withTools(ctx context.Context, s *settings, do func(context.Context, *server.Tools) error) (err error) {
	config, err := s.load()
	if err != nil {
		return err
	}
	tools, err := server.OpenTools(ctx, config, config.Logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tools.Store.Close()) }()
	running, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return tools.Desk.Run(running) })
	err = do(ctx, tools)
	stop()
	return errors.Join(err, group.Wait())
}
