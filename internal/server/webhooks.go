package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/notice"
	"github.com/milaan/milaan/internal/store"
	"github.com/milaan/milaan/internal/webhook"
)

// unclaimedEvery is how often it is looked for credits that nobody claims for a
// time.
func unclaimedEvery(after time.Duration) time.Duration {
	const usual = 10 * time.Second
	if after == 0 {
		return usual
	}
	return min(after, usual)
}

// tellUnclaimed has webhooks told of credits that nobody claimed for
// unclaimed_after, where one asked for it.
func (g *Gateway) tellUnclaimed(ctx context.Context, held bool) error {
	if !held {
		return nil
	}
	if g.config.UnclaimedAfter == 0 || len(g.directory.Current().Subscribers("", string(webhook.CreditUnclaimed))) == 0 {
		return g.store.LeaveUnclaimed(ctx)
	}
	for ctx.Err() == nil {
		now := time.Now()
		more, err := g.store.TellUnclaimed(ctx, now.Add(-g.config.UnclaimedAfter), func(c *deposit.Credit) []webhook.Event {
			return deposit.UnclaimedEvents(g.directory.Current(), c, now)
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// feedEvents is a notice's way to the webhooks of the installation's owner. What
// is found wrong with a feed, and that it is over, is told once; that it is still
// so is no event.
type feedEvents struct {
	store     store.Store
	directory *directory.Cache
}

// Send writes the events of a notice.
func (f feedEvents) Send(ctx context.Context, n notice.Notice) error {
	place, ok := strings.CutPrefix(n.Key, "feed/")
	if !ok {
		return nil
	}
	id, code, _ := strings.Cut(place, "/")
	told := webhook.FeedRecovered
	switch {
	case !n.Raised:
	case code == string(health.Silent) || code == string(health.NeverCame):
		told = webhook.FeedSilent
	default:
		told = webhook.FeedFailing
	}
	// The finding's own number: the same for as long as it lasts.
	sum := sha256.Sum256([]byte(n.Key + "\n" + n.Since.UTC().Format(time.RFC3339Nano)))
	subject := int64(binary.BigEndian.Uint64(sum[:]) >> 1)
	return f.store.TellOnce(ctx, webhook.For(f.directory.Current(), "", told, subject, n.At.UTC().Truncate(time.Microsecond), func(bool) any {
		return webhook.Feed{Feed: id, Finding: code, Severity: string(n.Severity), Since: webhook.Moment(n.Since), Text: n.Text}
	}))
}
