package payout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
)

// Times of the worker. A provider is asked again sooner at first: most payouts
// are through within seconds, and what is not may take days.
const (
	workBatch   = 50
	callTimeout = 30 * time.Second
	// leaseFor is how long a gateway may work on a withdrawal before another takes
	// it up: longer than a call.
	leaseFor  = time.Minute
	askFirst  = 5 * time.Second
	askAtMost = 30 * time.Minute
	// mostTries bounds how often an order is tried that definitely does not leave;
	// after that, hours later, a person sees why.
	mostTries = 20
	// maxWait bounds how long a provider may ask to be left alone.
	maxWait = time.Hour
)

// Round sends what is approved and asks after what was sent, as far as it is due.
// One process at a time may do so; a withdrawal that two take up nevertheless is
// sent under one reference.
func (o *Office) Round(ctx context.Context) error {
	ids, err := o.Store.DueWithdrawals(ctx, o.Now(), workBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		if err := o.attend(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("withdrawal %d: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// attend takes one withdrawal a step further.
func (o *Office) attend(ctx context.Context, id int64) error {
	// What was begun is finished: an order that left must be known to have.
	ctx = context.WithoutCancel(ctx)
	w, err := o.lease(ctx, id)
	if err != nil || w == nil {
		return err
	}
	provider, err := o.providerOf(w)
	if errors.Is(err, errNoProvider) {
		return o.postpone(ctx, w, time.Time{}, "people serve its desk now") // a person sees to it
	}
	if err != nil {
		return errors.Join(err, o.postpone(ctx, w, o.now().Add(askAtMost), "its desk can't be used: "+err.Error()))
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := o.call(call, provider, w)
	if errors.Is(err, errLost) {
		return nil
	}
	if err != nil {
		return o.wait(ctx, w, err)
	}
	switch answer.Standing {
	case Paid, Refused:
		_, err := o.Settle(ctx, w.ID, answer, "desk:"+w.Desk)
		return err
	case Accepted, Absent, Unclear:
	}
	return o.note(ctx, w, answer)
}

// lease takes a withdrawal for a while: an approved one becomes processing before
// anything is sent, so that a crash leaves it to be asked about and not to be
// sent as if it were new. Nil means that there is nothing to do any more.
func (o *Office) lease(ctx context.Context, id int64) (leased *Withdrawal, err error) {
	err = o.Store.ChangeWithdrawal(ctx, Find{ID: id, Wallets: o.payers(), Today: startOfDay(o.now())}, func(f *Facts) (*Changes, error) {
		leased = nil
		w := f.Withdrawal
		now := o.now()
		if w == nil || w.AskAt.IsZero() || w.AskAt.After(now) || w.State != Approved && w.State != Processing {
			return nil, nil
		}
		c := o.change(w, now)
		_, err := o.providerOf(w)
		switch {
		case w.State == Processing:
		case w.Contested || errors.Is(err, errNoProvider):
			w.AskAt = time.Time{} // it waits for a person, or a file
			return &c.Changes, nil
		case err != nil:
			o.Log.WarnContext(ctx, "a withdrawal can't be paid yet", "withdrawal", w.ID, "error", err)
			w.AskAt, w.Why = now.Add(askAtMost), err.Error()
			return &c.Changes, nil
		default:
			err := o.enter(c, f, Processing)
			if refusal, refused := errors.AsType[*Refusal](err); refused {
				o.Log.WarnContext(ctx, "a withdrawal can't be paid yet", "withdrawal", w.ID, "error", err)
				w.State, w.AskAt, w.Why = Approved, now.Add(askAtMost), refusal.Message
				return &c.Changes, nil
			}
			if err != nil {
				return nil, err
			}
			w.SentAt, w.Why = now, ""
			c.record("desk:"+w.Desk, "withdrawal.processing", "from wallet "+w.Wallet)
			c.tell()
		}
		w.AskAt = now.Add(leaseFor)
		held := *w
		leased = &held
		return &c.Changes, nil
	})
	return leased, err
}

// call sends the order the first time, and from then on asks first: only what the
// provider knows nothing of is sent again, under the same reference. An Absent
// that it gives back is not believed.
func (o *Office) call(ctx context.Context, provider Provider, w *Withdrawal) (Answer, error) {
	order := Order{
		Reference: w.Reference(), Beneficiary: w.Beneficiary, Amount: w.Amount, Currency: w.Currency,
		ProviderRef: w.ProviderRef, At: w.SentAt, Wallet: w.Wallet,
	}
	if w.Tries > 0 {
		answer, err := provider.Ask(ctx, order)
		if err != nil || answer.Standing != Absent {
			return answer, err
		}
		switch {
		case w.Taken:
			return Answer{Standing: Absent, Why: "its desk says that it has no such order, and said before that it has: see what the bank says"}, nil
		case w.SentBy != o.sender(w):
			return Answer{Standing: Absent, Why: "its desk was changed since it was sent, and does not know it: see what the bank says"}, nil
		}
	}
	if err := o.count(ctx, w); err != nil {
		return Answer{}, err
	}
	return provider.Send(ctx, order)
}

// sender is who is given a withdrawal by its desk as it is now: an account at a
// provider. What one account does not know, another may have paid.
func (o *Office) sender(w *Withdrawal) string {
	if w.Test {
		return "test"
	}
	for _, d := range o.Directory.Current().Payouts {
		if d.ID == w.Desk {
			return strings.Join([]string{d.Kind, d.Account, d.Address}, " ")
		}
	}
	return ""
}

// errLost says that somebody else has taken the withdrawal up, or settled it.
var errLost = errors.New("the withdrawal is another's by now")

// count writes down that the order is about to be sent, if that is still for this
// worker to do.
func (o *Office) count(ctx context.Context, w *Withdrawal) error {
	return o.Store.ChangeWithdrawal(ctx, Find{ID: w.ID}, func(f *Facts) (*Changes, error) {
		now := f.Withdrawal
		if now.State != Processing || !now.AskAt.Equal(w.AskAt) {
			return nil, errLost
		}
		now.Tries++
		now.SentBy = o.sender(now)
		w.Tries = now.Tries
		return &Changes{Withdrawal: now}, nil
	})
}

// wait has a withdrawal that a provider gave no answer to asked about again:
// nothing is known, so nothing is decided. One that again and again did not even
// leave is left to a person.
func (o *Office) wait(ctx context.Context, w *Withdrawal, err error) error {
	pause := backoff(w, o.now())
	if b, ok := errors.AsType[busy](err); ok {
		pause = max(pause, min(b.RetryAfter(), maxWait))
	}
	o.Log.WarnContext(ctx, "a provider gave no answer; the withdrawal is asked about again", "withdrawal", w.ID, "desk", w.Desk, "error", err)
	if !errors.Is(err, ErrNotSent) || w.Tries < mostTries {
		return o.postpone(ctx, w, o.now().Add(pause), err.Error())
	}
	return o.Store.ChangeWithdrawal(ctx, Find{ID: w.ID}, func(f *Facts) (*Changes, error) {
		c := o.change(f.Withdrawal, o.now())
		if f.Withdrawal.State != Processing {
			return nil, nil
		}
		o.doubt(ctx, c, "desk:"+w.Desk, fmt.Sprintf("it did not leave in %d tries: %v", w.Tries, err))
		f.Withdrawal.AskAt, f.Withdrawal.Why = time.Time{}, err.Error()
		return &c.Changes, nil
	})
}

// note keeps what a provider said of an order that is under way.
func (o *Office) note(ctx context.Context, w *Withdrawal, answer Answer) error {
	return o.Store.ChangeWithdrawal(ctx, Find{ID: w.ID}, func(f *Facts) (*Changes, error) {
		kept := f.Withdrawal
		if kept.State != Processing { // somebody settled it meanwhile
			return nil, nil
		}
		keep(&kept.ProviderRef, answer.ProviderRef)
		keep(&kept.BankRef, answer.BankRef)
		kept.Why = answer.Why
		kept.Taken = kept.Taken || answer.Standing == Accepted || answer.ProviderRef != ""
		c := o.change(kept, o.now())
		if answer.Standing == Absent {
			o.doubt(ctx, c, "desk:"+w.Desk, cmp.Or(answer.Why, "its desk took it and says that it has no such order"))
		}
		kept.AskAt = c.now.Add(backoff(kept, c.now))
		return &c.Changes, nil
	})
}

// postpone has a withdrawal asked about again at a time; zero leaves it to people.
func (o *Office) postpone(ctx context.Context, w *Withdrawal, at time.Time, why string) error {
	return o.Store.ChangeWithdrawal(ctx, Find{ID: w.ID}, func(f *Facts) (*Changes, error) {
		if f.Withdrawal.State != Approved && f.Withdrawal.State != Processing {
			return nil, nil
		}
		f.Withdrawal.AskAt, f.Withdrawal.Why = at, why
		return &Changes{Withdrawal: f.Withdrawal}, nil
	})
}

// backoff is how long to wait before a provider is asked again: as long as the
// withdrawal is under way already, within bounds.
func backoff(w *Withdrawal, now time.Time) time.Duration {
	return min(max(now.Sub(w.SentAt), askFirst), askAtMost)
}

func (o *Office) providerOf(w *Withdrawal) (Provider, error) {
	if w.Test {
		return testProvider{}, nil
	}
	for _, d := range o.Directory.Current().Payouts {
		if d.ID == w.Desk {
			provider, err := o.Provider(d)
			if err == nil && provider == nil {
				err = errNoProvider
			}
			return provider, err
		}
	}
	return nil, fmt.Errorf("desk %s is gone: declare it again", w.Desk)
}

// testProvider pays every test withdrawal, with nothing.
type testProvider struct{}

// Send pays.
func (testProvider) Send(_ context.Context, order Order) (Answer, error) {
	return Answer{Standing: Paid, ProviderRef: "test", BankRef: order.Reference}, nil
}

// Ask says that it was paid.
func (testProvider) Ask(_ context.Context, order Order) (Answer, error) {
	return Answer{Standing: Paid, ProviderRef: "test", BankRef: order.Reference}, nil
}

// Desk returns a payout desk that is not retired, or nil.
func Desk(dir *directory.Snapshot, id string) *directory.PayoutDesk {
	for _, d := range dir.Payouts {
		if d.ID == id && !d.Retired {
			return d
		}
	}
	return nil
}
