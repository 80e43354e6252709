package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/money"
)

type settleCommand struct {
	Pay    settlePay    `cmd:"" default:"withargs" help:"Pay a merchant's balance to its registered account: milaan settle MERCHANT."`
	List   settleList   `cmd:"" help:"Settlements, the newest first, and runs that paid nothing."`
	Report settleReport `cmd:"" help:"What a merchant's balance came from and went to, in a period or up to a settlement."`
}

type settlePay struct {
	Merchant string `arg:"" help:"The merchant's id."`
	Amount   string `help:"Only so many rupees, and not all there is." placeholder:"RUPEES"`
	ID       string `name:"id" help:"Name the settlement: the same again is the same settlement, and pays nothing twice."`
	DryRun   bool   `help:"Print what would be paid, and pay nothing."`
	actorFlag
}

// Run settles, or says what that would come to; the gateway sends the payouts.
func (p settlePay) Run(ctx context.Context, s *settings, term terminal) error {
	order := settlement.Order{Merchant: p.Merchant, ID: p.ID, Actor: p.name()}
	if p.Amount != "" {
		amount, err := money.ParsePositive(p.Amount)
		if err != nil {
			return usageError{fmt.Errorf("--amount: %w", err)}
		}
		order.Amount = amount
	}
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		if p.DryRun {
			return propose(ctx, t.Settler, order, term)
		}
		made, err := t.Settler.Settle(ctx, order)
		if err != nil {
			return err
		}
		payouts, err := t.Settler.Payouts(ctx, made)
		if err != nil {
			return err
		}
		if len(payouts) == 0 {
			return fmt.Errorf("%s paid nothing: %s", made.WithdrawalID, made.Why)
		}
		_, _ = fmt.Fprintf(term.out, "%s: %s to %s, %s, with a fee of %s\n", made.WithdrawalID, rupees(made.Amount), made.Account.Masked(), made.IFSC, rupees(made.Fee))
		if made.Why != "" {
			_, _ = fmt.Fprintln(term.out, made.Why)
		}
		for _, w := range payouts {
			_, _ = fmt.Fprintf(term.out, "payout %d of %s is %s", w.ID, rupees(w.Amount), w.State)
			if w.State == payout.New {
				_, _ = fmt.Fprintf(term.out, " (%s): somebody else approves it with milaan payout approve %d", strings.Join(w.Reasons, ", "), w.ID)
			}
			_, _ = fmt.Fprintln(term.out)
		}
		return nil
	})
}

func rupees(p money.Paise) string { return money.Format(p, money.English) }

// propose prints what an order would come to.
func propose(ctx context.Context, s *settlement.Settler, order settlement.Order, term terminal) error {
	p, err := s.Propose(ctx, order)
	if err != nil {
		return err
	}
	parts := make([]string, len(p.Amounts))
	for i, a := range p.Amounts {
		parts[i] = rupees(a)
	}
	_, _ = fmt.Fprintf(term.out, "would pay %s to %s, %s, as %s, with a fee of %s; %s would stay\n",
		rupees(p.Amount()), p.Account.Masked(), p.IFSC, strings.Join(parts, " + "), rupees(p.Fee), rupees(p.Stays))
	if p.Reason != "" {
		_, _ = fmt.Fprintln(term.out, "the account was registered lately: somebody else would have to approve it")
	}
	_, err = fmt.Fprintln(term.out, "dry run: nothing was paid")
	return err
}

type settleList struct {
	Merchant string `help:"Only this merchant's."`
	Before   int64  `help:"Only with a smaller number: the next page."`
	Limit    int    `default:"50" help:"Most settlements to list."`
}

// Run lists settlements, and why the others paid nothing.
func (l settleList) Run(ctx context.Context, s *settings, term terminal) error {
	var list []*settlement.Settlement
	if err := s.withStore(ctx, func(db store.Store) (err error) {
		list, err = db.Settlements(ctx, settlement.Filter{Merchant: l.Merchant, Before: l.Before, Limit: l.Limit})
		return err
	}); err != nil {
		return err
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(term.out, "no settlements")
		return err
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NUMBER\tMERCHANT\tSETTLEMENT\tDUE\tENDED\tAMOUNT\tFEE\tPAYOUTS\tTO\tBY\tWHY")
	for _, made := range list {
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", made.ID, made.Merchant, made.WithdrawalID, moment(made.DueAt), moment(made.CutAt),
			rupees(made.Amount), rupees(made.Fee), made.Payouts, made.Account.Masked(), made.CreatedBy, made.Why)
	}
	return w.Flush()
}

type settleReport struct {
	Merchant   string `arg:"" help:"The merchant's id."`
	Settlement string `xor:"period" placeholder:"ID" help:"Up to this settlement, from the one before it."`
	From       string `xor:"period" placeholder:"TIME" help:"From this day (2026-11-01) or time (RFC 3339) on, in the merchant's zone."`
	To         string `placeholder:"TIME" help:"Up to and with this day, or before this time; needs --from. Until now without it."`
	Format     string `enum:"text,csv,json" default:"text" help:"text, csv or json."`
}

// Run reports; without a period, on what came since the last settlement.
func (r settleReport) Run(ctx context.Context, s *settings, term terminal) error {
	if r.To != "" && r.From == "" {
		return usageError{errors.New("--to needs --from: give both")}
	}
	return withTools(ctx, s, func(ctx context.Context, t *server.Tools) error {
		report, err := r.report(ctx, t)
		if err != nil {
			return err
		}
		return report.Write(term.out, settlement.Format(r.Format))
	})
}

func (r settleReport) report(ctx context.Context, t *server.Tools) (*settlement.Report, error) {
	switch {
	case r.Settlement != "":
		id := payout.SettlementPrefix + strings.TrimPrefix(r.Settlement, payout.SettlementPrefix)
		return t.Settler.Of(ctx, payout.Key{Merchant: r.Merchant, WithdrawalID: id})
	case r.From == "":
		return t.Settler.Since(ctx, r.Merchant)
	}
	zone := time.UTC
	if m := t.Desk.Directory.Current().Merchant(r.Merchant); m != nil {
		zone = m.Location()
	}
	from, _, err := bound("--from", r.From, zone)
	if err != nil {
		return nil, err
	}
	to := time.Now()
	if r.To != "" {
		var day bool
		if to, day, err = bound("--to", r.To, zone); err != nil {
			return nil, err
		}
		if day {
			to = to.AddDate(0, 0, 1)
		}
	}
	return t.Settler.Period(ctx, r.Merchant, from, to)
}

// bound reads one end of a period: the beginning of a day, or a time.
func bound(flag, text string, zone *time.Location) (at time.Time, day bool, err error) {
	if at, err = time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return at, true, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, false, usageError{fmt.Errorf("%s %q is no day or time: write 2026-11-01 or 2026-11-01T18:00:00+05:30", flag, text)}
	}
	return at, false, nil
}
