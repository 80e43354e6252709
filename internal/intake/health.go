package intake

import (
	"context"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed/health"
)

// Hours tell what feeds brought.
type Hours interface {
	// FeedHours gives what feeds brought by the hour, since a time.
	FeedHours(ctx context.Context, since time.Time) (map[deposit.FeedHour]deposit.FeedCount, error)
}

// judgedBy is how far back a feed's habits are looked at: so long that a silence
// of a month is one still.
const judgedBy = 8 * 7 * 24 * time.Hour

// Health judges the feeds that are not retired, in the directory's order. Feeds
// of statements are no streams: nobody expects them at an hour.
func Health(ctx context.Context, store Hours, dir *directory.Snapshot, now time.Time) ([]health.Health, error) {
	counts, err := store.FeedHours(ctx, now.Add(-judgedBy))
	if err != nil {
		return nil, err
	}
	hours := make(map[string][]health.Hour)
	for hour, n := range counts {
		hours[hour.Feed] = append(hours[hour.Feed], health.Hour{
			Hour: hour.Hour, Items: n.Items, Credits: n.Credits, Unread: n.Unread, Refused: n.Refused,
			Timed: n.Timed, Lag: n.Lag, MostLag: n.MostLag, Ahead: n.Ahead, LastAt: n.LastAt,
		})
	}
	var judged []health.Health
	for _, f := range dir.Feeds {
		if f.Retired || f.Kind == directory.FeedStatement {
			continue
		}
		judged = append(judged, health.Judge(health.Feed{ID: f.ID, Hours: hours[f.ID]}, now, health.Limits{}))
	}
	return judged, nil
}
