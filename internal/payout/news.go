package payout

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/milaan/milaan/money"
)

// Teller is a provider that tells of orders by itself, by webhook.
type Teller interface {
	// Hear proves a webhook and reads it. The error wraps [ErrStranger] where
	// nothing proves who sent it, and [ErrNews] where it can't be read; any other
	// is passing.
	Hear(header http.Header, body []byte) ([]News, error)
}

// News is what a provider tells of an order.
type News struct {
	Reference string      // the order's
	Amount    money.Paise // must be the order's, else it is of somebody else's payout
	Answer    Answer
}

var (
	// ErrStranger: nothing proves that the desk's provider sent a webhook, or the
	// desk has none that does.
	ErrStranger = errors.New("the sender of the webhook is not proven")
	// ErrNews: the webhook is proven, and can't be read.
	ErrNews = errors.New("the webhook can't be read")
)

// TakeNews takes a webhook of a desk's provider. Webhooks come late, again and in any
// order: what is definite of an open withdrawal settles it, Refused after it was
// paid says that it came back, that one was paid which was not sent is kept as a
// doubt, and anything else changes nothing.
func (o *Office) TakeNews(ctx context.Context, desk string, header http.Header, body []byte) error {
	provider, err := o.providerOf(&Withdrawal{Desk: desk})
	teller, tells := provider.(Teller)
	if err != nil || !tells {
		return fmt.Errorf("desk %q takes no webhooks: %w", desk, ErrStranger)
	}
	news, err := teller.Hear(header, body)
	if err != nil {
		return fmt.Errorf("desk %s: %w", desk, err)
	}
	var errs []error
	for _, n := range news {
		errs = append(errs, o.learn(ctx, desk, n))
	}
	return errors.Join(errs...)
}

// learn takes one piece of news.
func (o *Office) learn(ctx context.Context, desk string, n News) error {
	id, ok := ParseReference(n.Reference)
	if !ok {
		return nil
	}
	w, err := o.Store.FindWithdrawal(ctx, id)
	switch {
	case errors.Is(err, ErrNoWithdrawal):
		return nil // of another installation that pays from the account
	case err != nil:
		return err
	case w.Desk != desk, w.Test, w.Amount != n.Amount, w.Tries == 0, w.ProviderRef != "" && n.Answer.ProviderRef != w.ProviderRef:
		o.Log.WarnContext(ctx, "a provider tells of a payout that was not sent by it like that", "withdrawal", id, "desk", desk)
		return nil
	}
	actor := "desk:" + desk
	switch {
	case n.Answer.Standing == Paid && w.PaidAt.IsZero(), n.Answer.Standing == Refused && (w.State == Processing || w.State == Success):
		_, err = o.Settle(ctx, id, n.Answer, actor)
	case n.Answer.Standing == Accepted && w.State == Processing, n.Answer.Standing == Unclear && w.State == Processing:
		err = o.note(ctx, w, n.Answer)
	}
	if _, refused := IsRefusal(err); refused {
		return nil // somebody else settled it meanwhile
	}
	return err
}
