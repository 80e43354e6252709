package health_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/health"
)

// now is a Wednesday, 15:30 in India, as an hour of UTC begins.
var now = time.Date(2026, 5, 6, 10, 0, 0, 0, time.UTC)

// steady is a feed with 60 items an hour, day and night, until now.
func steady(days int) []health.Hour {
	var list []health.Hour
	for h := now.Unix()/3600 - int64(days)*24; h < now.Unix()/3600; h++ {
		list = append(list, health.Hour{
			Hour: h, Items: 60, Credits: 50, Timed: 50, Lag: 50 * 4 * time.Second, MostLag: 9 * time.Second,
			LastAt: time.Unix((h+1)*3600-30, 0),
		})
	}
	return list
}

// last changes the last n hours.
func last(n int, change func(*health.Hour)) []health.Hour {
	list := steady(28)
	for i := len(list) - n; i < len(list); i++ {
		change(&list[i])
	}
	return list
}

func codes(h health.Health) string {
	var all []string
	for _, f := range h.Findings {
		all = append(all, string(f.Code)+" "+string(f.Severity))
	}
	return strings.Join(all, ", ")
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	for name, c := range map[string]struct {
		feed   health.Feed
		at     time.Duration // after now
		limits health.Limits
		state  health.State
		want   string
	}{
		"good":               {feed: health.Feed{Hours: steady(28)}, state: health.Good},
		"learning":           {feed: health.Feed{Hours: steady(6)}, state: health.Learning},
		"learning no longer": {feed: health.Feed{Hours: steady(7)}, state: health.Good},
		"out of order":       {feed: health.Feed{Hours: reversed(steady(28))}, state: health.Good},
		"of the future":      {feed: health.Feed{Hours: steady(28)}, at: -5 * time.Minute, state: health.Good},

		"never":                {state: health.Never, want: "never warning"},
		"not yet":              {feed: health.Feed{Since: now.Add(-time.Minute)}, state: health.Never},
		"never for an hour":    {feed: health.Feed{Since: now.Add(-h)}, state: health.Never, want: "never warning"},
		"only hours of naught": {feed: health.Feed{Hours: []health.Hour{{Hour: now.Unix() / 3600}}}, state: health.Never, want: "never warning"},

		"silent for 10 minutes":     {feed: health.Feed{Hours: steady(28)}, at: 10 * time.Minute, state: health.Good},
		"silent for 20 minutes":     {feed: health.Feed{Hours: steady(28)}, at: 20 * time.Minute, state: health.Failing, want: "silent critical"},
		"more odds, later":          {feed: health.Feed{Hours: steady(28)}, at: 20 * time.Minute, limits: health.Limits{SilentOdds: 1_000_000}, state: health.Good},
		"silent for a week":         {feed: health.Feed{Hours: steady(28)}, at: 7 * 24 * h, state: health.Failing, want: "silent critical"},
		"silent for three weeks":    {feed: health.Feed{Hours: steady(28)}, at: 21 * 24 * h, state: health.Failing, want: "silent critical"},
		"silent in its first week":  {feed: health.Feed{Hours: steady(3)}, at: 49 * h, state: health.Failing, want: "silent critical"},
		"two days are not over yet": {feed: health.Feed{Hours: steady(3)}, at: 47 * h, state: health.Learning},
		"a first item, long ago":    {feed: health.Feed{Hours: steady(28)[:1]}, at: 0, state: health.Good},

		"unread, all":            {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Unread, x.Credits = 60, 0 })}, state: health.Failing, want: "unreadable critical"},
		"unread, some":           {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Unread = 6 })}, state: health.Strained, want: "unreadable warning"},
		"unread, few":            {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Unread = 4 })}, state: health.Good},
		"unread, few of many":    {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Items, x.Unread = 600, 20 })}, state: health.Good},
		"unread as usual":        {feed: health.Feed{Hours: last(28*24, func(x *health.Hour) { x.Unread = 20 })}, state: health.Good},
		"unread, twice as usual": {feed: health.Feed{Hours: append(last(28*24, func(x *health.Hour) { x.Unread = 20 })[:27*24+23], health.Hour{Hour: now.Unix()/3600 - 1, Items: 60, Unread: 48, LastAt: now})}, state: health.Failing, want: "unreadable critical"},
		"unread, but no longer":  {feed: health.Feed{Hours: last(5, func(x *health.Hour) { x.Unread = 60 * ((now.Unix()/3600 - 1 - x.Hour) / 3) })}, state: health.Good},
		"unread for a week":      {feed: health.Feed{Hours: last(7*24, func(x *health.Hour) { x.Unread = 30 })}, state: health.Failing, want: "unreadable critical"},

		"refused":          {feed: health.Feed{Hours: last(20, func(x *health.Hour) { x.Refused = x.Hour & 1 })}, state: health.Strained, want: "refused warning"},
		"refused, two":     {feed: health.Feed{Hours: last(2, func(x *health.Hour) { x.Refused = 1 })}, state: health.Good},
		"refused as usual": {feed: health.Feed{Hours: last(28*24, func(x *health.Hour) { x.Refused = 1 })}, state: health.Good},
		"refused, and more than that": {feed: health.Feed{Hours: last(28*24, func(x *health.Hour) {
			x.Refused = 1
			if x.Hour > now.Unix()/3600-10 {
				x.Refused = 5
			}
		})}, state: health.Strained, want: "refused warning"},

		"late":             {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Lag = 50 * 11 * time.Minute })}, state: health.Strained, want: "late warning"},
		"nearly late":      {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Lag = 50 * 10 * time.Minute })}, state: health.Good},
		"late by nature":   {feed: health.Feed{Hours: last(28*24, func(x *health.Hour) { x.Lag = 50 * 11 * h })}, state: health.Good},
		"late, too few":    {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Timed, x.Lag = 2, 2*h })}, state: health.Good},
		"late beyond that": {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Lag = 50 * 11 * h })}, limits: health.Limits{LateLag: 12 * h}, state: health.Good},

		"clock":              {feed: health.Feed{Hours: last(20, func(x *health.Hour) { x.Ahead = 3 * time.Minute })}, state: health.Strained, want: "clock warning"},
		"clock, a little":    {feed: health.Feed{Hours: last(20, func(x *health.Hour) { x.Ahead = 2 * time.Minute })}, state: health.Good},
		"clock, put right":   {feed: health.Feed{Hours: slices.Concat(last(30, func(x *health.Hour) { x.Ahead = h })[:27*24-6], steady(1))}, state: health.Good},
		"the worst is first": {feed: health.Feed{Hours: last(1, func(x *health.Hour) { x.Ahead = h })}, at: 20 * time.Minute, state: health.Failing, want: "silent critical, clock warning"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := health.Judge(c.feed, now.Add(c.at), c.limits)
			if got.State != c.state || codes(got) != c.want {
				t.Errorf("%s with %q, want %s with %q", got.State, codes(got), c.state, c.want)
			}
			for _, f := range got.Findings {
				t.Logf("%s: %s", f.Code, f.Text)
			}
		})
	}
}

func reversed(list []health.Hour) []health.Hour {
	slices.Reverse(list)
	return list
}

func TestFigures(t *testing.T) {
	t.Parallel()
	hours := last(2, func(x *health.Hour) { x.Unread, x.MostLag, x.Ahead = 20, time.Minute, 3*time.Second })
	got := health.Judge(health.Feed{ID: "phone1", Hours: hours}, now.Add(-time.Second), health.Limits{})
	want := health.Health{
		Feed: "phone1", State: health.Strained, Since: now.Add(-time.Hour), LastAt: now.Add(-30 * time.Second),
		UsualGap: time.Minute, Items24h: 24 * 60, Credits24h: 24 * 50, UnreadRate: 27,
		MeanLag: 4 * time.Second, MostLag: time.Minute, Ahead: 3 * time.Second,
	}
	got.Findings = nil
	if got.LastAt = got.LastAt.UTC(); !equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}

	silent := health.Judge(health.Feed{Hours: hours}, now.Add(30*time.Minute), health.Limits{})
	if f := finding(silent, health.Silent); f == nil || !strings.HasPrefix(f.Text, "Nothing has come for 30 min; at least ") {
		t.Errorf("silent: %+v", f)
	}
	if !silent.Since.Equal(now.Add(-time.Hour)) { // of which enough can't be read
		t.Errorf("since %s", silent.Since)
	}
}

func equal(a, b health.Health) bool {
	a.Findings, b.Findings = nil, nil
	return a.Feed == b.Feed && a.State == b.State && a.Since.Equal(b.Since) && a.LastAt.Equal(b.LastAt) && a.UsualGap == b.UsualGap &&
		a.Items24h == b.Items24h && a.Credits24h == b.Credits24h && a.UnreadRate == b.UnreadRate &&
		a.MeanLag == b.MeanLag && a.MostLag == b.MostLag && a.Ahead == b.Ahead
}

// anyHours draws whatever a store might hold.
func anyHours(t *rapid.T) []health.Hour {
	var list []health.Hour
	for h := now.Unix()/3600 - 30*24; h <= now.Unix()/3600; h += int64(rapid.IntRange(1, 40).Draw(t, "gap")) {
		n := rapid.Int64Range(0, 400).Draw(t, "items")
		part := func(name string) int64 { return rapid.Int64Range(0, n).Draw(t, name) }
		list = append(list, health.Hour{
			Hour: h, Items: n, Credits: part("credits"), Unread: part("unread"), Refused: part("refused"), Timed: part("timed"),
			Lag: time.Duration(part("lag")) * time.Hour, Ahead: time.Duration(part("ahead")) * time.Second,
			LastAt: time.Unix(h*3600+rapid.Int64Range(0, 3599).Draw(t, "second"), 0),
		})
	}
	return list
}

// TestJudgeProperties: of whatever figures, the order doesn't matter, silence does
// not heal by lasting a while longer, something that comes ends it, and state and
// findings agree.
func TestJudgeProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := anyHours(t)
		at := now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hours after")) * time.Hour)
		got := health.Judge(health.Feed{Hours: list}, at, health.Limits{})

		turned := health.Judge(health.Feed{Hours: reversed(slices.Clone(list))}, at, health.Limits{})
		if !equal(got, turned) || codes(got) != codes(turned) {
			t.Fatalf("%+v, in another order %+v", got, turned)
		}
		worst := health.Severity("")
		for _, f := range got.Findings {
			if f.Text == "" || strings.Contains(f.Text, "%!") {
				t.Fatalf("text %q", f.Text)
			}
			if worst == "" || f.Severity == health.Critical {
				worst = f.Severity
			}
		}
		switch {
		case got.State == health.Never:
		case (got.State == health.Failing) != (worst == health.Critical), (got.State == health.Strained) != (worst == health.Warning):
			t.Fatalf("%s with %s", got.State, codes(got))
		}
		if finding(got, health.Silent) == nil {
			return
		}
		if later := health.Judge(health.Feed{Hours: list}, at.Add(time.Hour), health.Limits{}); finding(later, health.Silent) == nil {
			t.Fatalf("silent at %s, not an hour later", at)
		}
		came := append(slices.Clone(list), health.Hour{Hour: at.Unix() / 3600, Items: 1, LastAt: at})
		if after := health.Judge(health.Feed{Hours: came}, at, health.Limits{}); finding(after, health.Silent) != nil {
			t.Fatal("silent right after an item")
		}
	})
}
