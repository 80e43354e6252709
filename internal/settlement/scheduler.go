package settlement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payout"
)

// Scheduler settles what falls due. Its methods are for one goroutine; several
// schedulers, on as many gateways, settle nothing twice.
type Scheduler struct {
	*Settler
	done map[string]time.Time // the last run of each merchant, so as not to ask for it every time
}

// openFor is how long a settlement may be open before it is taken to have been
// left: more than its payouts take.
const openFor = time.Minute

// Round settles what has fallen due and was not settled: of several runs that
// were missed, the last. It finishes what a gateway that went down had begun.
func (s *Scheduler) Round(ctx context.Context) error {
	if s.done == nil {
		s.done = make(map[string]time.Time)
	}
	var errs []error
	left, err := s.Store.OpenSettlements(ctx, s.now().Add(-openFor))
	if err != nil {
		return fmt.Errorf("list open settlements: %w", err)
	}
	for _, made := range left {
		errs = append(errs, s.finish(ctx, made))
	}
	for _, m := range s.Office.Directory.Current().Merchants {
		if ctx.Err() != nil {
			break
		}
		if m.Retired || m.Settlement == nil {
			continue
		}
		due := m.Settlement.Schedule.Last(s.now(), m.Location())
		if due.IsZero() || due.Before(m.Settlement.Schedule.Since) || s.done[m.ID].Equal(due) {
			continue
		}
		if err := s.run(ctx, m, due); err != nil {
			errs = append(errs, fmt.Errorf("settle the balance of %s: %w", m.ID, err))
			continue
		}
		s.done[m.ID] = due
	}
	return errors.Join(errs...)
}

// run settles a merchant's balance as it fell due. It is kept whatever it came
// to, so that a run that paid nothing is not made later in the day.
func (s *Scheduler) run(ctx context.Context, m *directory.Merchant, due time.Time) error {
	to := m.Settlement
	made := &Settlement{
		Key:         payout.Key{Merchant: m.ID, WithdrawalID: dated(due, 1)},
		Beneficiary: payout.Beneficiary{Account: to.Account, Name: to.Name, IFSC: to.IFSC}, Method: to.Method,
		Scheduled: true, DueAt: due.UTC(), CreatedBy: payout.ScheduleActor, CreatedAt: s.now(),
	}
	found, err := s.Store.FindSettlement(ctx, made.Key)
	if err == nil {
		return s.pay(ctx, found)
	}
	if !errors.Is(err, ErrNone) {
		return err
	}
	var refusal *Refusal
	if due.Before(to.CoolAt()) {
		refusal = refuse("the account was registered less than %.0f hours before: the next run pays, or milaan settle, with a second person's approval", directory.Cooling.Hours())
	} else if _, made.Budget, err = s.propose(ctx, m.ID, 0); err != nil && !errors.As(err, &refusal) {
		return err
	}
	fresh, err := s.Store.KeepSettlement(ctx, made)
	if err != nil {
		return err
	}
	if fresh && refusal != nil {
		made.Why = refusal.Message
		return s.end(ctx, made, nil)
	}
	return s.pay(ctx, made)
}

// finish ends what was left open. What somebody asked for is not gone on with:
// they were told that it failed.
func (s *Scheduler) finish(ctx context.Context, made *Settlement) error {
	if made.Scheduled {
		return s.pay(ctx, made)
	}
	payouts, err := s.Payouts(ctx, made)
	if err != nil {
		return err
	}
	made.Why = "it was interrupted: what is missing can be settled again"
	return s.end(ctx, made, payouts)
}
