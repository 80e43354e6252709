package notice

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kept is a trouble that the operator was, or is to be, told of.
type Kept struct {
	Key, Code     string
	Severity      Severity
	Subject, Text string
	Since         time.Time
	GoneAt        time.Time // since when it is gone; zero while it is there
	Over          bool      // gone for long enough
	Told          []Telling // by the sender's name
}

// Telling is what one way to the operator said of it.
type Telling struct {
	Way    string
	At     time.Time // when it spoke last; zero for never
	Failed uint      // attempts in vain since
}

// List gives what a Board keeps: what lasts first, the newest first of either.
func List(ctx context.Context, store Store) ([]Kept, error) {
	kept, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the notices: %w", err)
	}
	list := make([]Kept, 0, len(kept))
	for key, text := range kept {
		var s state
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("load the notice %q: %w", key, err)
		}
		k := Kept{Key: key, Code: s.Code, Severity: s.Severity, Subject: s.Subject, Text: s.Text, Since: s.Since, GoneAt: s.GoneAt, Over: s.Over}
		for _, way := range slices.Sorted(maps.Keys(s.Told)) {
			k.Told = append(k.Told, Telling{way, s.Told[way].At, s.Told[way].Failed})
		}
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b Kept) int {
		if a.Over != b.Over {
			if b.Over {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Key, b.Key))
	})
	return list, nil
}

// Tried is how a notice went out by one way.
type Tried struct {
	Way string
	Err error
}

// Try sends a notice that says it is a test by every way at once, whatever the
// board thinks. Who asked for it is told in the text.
func Try(ctx context.Context, senders map[string]Sender, now time.Time, by string) []Tried {
	s := state{
		Code: "test", Severity: Warning, Since: now.UTC(), Subject: "A test of the alerts",
		Text: "This is a test, sent by " + by + ". Nothing is wrong.",
	}
	n := s.notice("test", raised, 0, now)
	tried := make([]Tried, 0, len(senders))
	results := make(chan Tried, len(senders))
	for way, sender := range senders {
		go func() { results <- Tried{way, sender.Send(ctx, n)} }()
	}
	for range senders {
		tried = append(tried, <-results)
	}
	slices.SortFunc(tried, func(a, b Tried) int { return cmp.Compare(a.Way, b.Way) })
	return tried
}
