package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
)

// report takes what a feed reports: POST /feeds/{id} (contract, Feeds). Good
// records are kept when others are refused; a body that can't be read at all
// changes nothing.
func (d *Door) report(c *call) (any, error) {
	if c.feed.Kind != directory.FeedJSON {
		return nil, &requestError{
			status:  http.StatusBadRequest,
			message: fmt.Sprintf("Feed %s is of kind %s: this version reads json feeds", c.feed.ID, c.feed.Kind),
		}
	}
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	entries, places, refused, err := feed.ParseJSON(body, d.Now())
	if err != nil {
		return nil, badBody(err.Error())
	}
	items := make([]feed.Item, len(entries))
	for i := range entries {
		items[i] = feed.Item{Place: places[i], Credit: &entries[i]}
	}
	taken, err := d.Desk.Ingest(c.Context(), c.feed, items)
	if err != nil {
		return nil, fmt.Errorf("take a report: %w", err)
	}
	summary := taken.Summary
	// Made, not nil: the answer always has the list.
	summary.Refused = append(append(make([]feed.Refusal, 0, len(refused)+len(summary.Refused)), refused...), summary.Refused...)
	slices.SortStableFunc(summary.Refused, func(a, b feed.Refusal) int { return cmp.Compare(a.Index, b.Index) })
	d.Metrics.FeedRefusals.WithLabelValues(c.feed.ID).Add(float64(len(summary.Refused))) //nolint:forbidigo // a count, not money
	return summary, nil
}
