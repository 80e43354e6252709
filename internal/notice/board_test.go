package notice_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/notice"
)

var start = time.Date(2026, 5, 4, 4, 50, 0, 0, time.UTC)

// memory is a store in memory.
type memory struct {
	states map[string]json.RawMessage
	err    error
	saves  int
}

func (m *memory) Load(context.Context) (map[string]json.RawMessage, error) {
	return maps.Clone(m.states), m.err
}

func (m *memory) Save(ctx context.Context, states map[string]json.RawMessage) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if m.err == nil {
		m.states = states
		m.saves++
	}
	return m.err
}

var errAway = errors.New("away")

// outbox is a sender that keeps what it was given; failing is how often it fails
// before.
type outbox struct {
	sent     []notice.Notice
	attempts int
	failing  int
}

func (o *outbox) Send(_ context.Context, n notice.Notice) error {
	o.attempts++
	if o.failing > 0 {
		o.failing--
		return errAway
	}
	o.sent = append(o.sent, n)
	return nil
}

// take returns the subjects sent since.
func (o *outbox) take() string {
	var subjects []string
	for _, n := range o.sent {
		subjects = append(subjects, n.Subject)
	}
	o.sent = nil
	return strings.Join(subjects, ", ")
}

func trouble(name string) notice.Trouble {
	return notice.Trouble{
		Key: "feed/" + name + "/silent", Code: "silent", Severity: notice.Warning,
		Subject: name, Text: "Nothing has come.",
	}
}

func newBoard(t interface {
	Helper()
	Fatal(...any)
}, store notice.Store, senders map[string]notice.Sender,
) *notice.Board {
	t.Helper()
	b, err := notice.NewBoard(context.Background(), store, senders, notice.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// step is a Tick that many minutes after the start.
type step struct {
	at       int
	troubles []notice.Trouble
	want     string
}

func TestBoard(t *testing.T) {
	t.Parallel()
	a, b := trouble("a"), trouble("b")
	worse := a
	worse.Severity = notice.Critical
	is := func(l ...notice.Trouble) []notice.Trouble { return l }
	const anHour, aDay = 60, 24 * 60
	for name, steps := range map[string][]step{
		"once": {{0, is(a), "a"}, {1, is(a), ""}, {aDay - 1, is(a), ""}},
		"two":  {{0, is(a), "a"}, {1, is(b, a), "b"}},
		"reminded": {
			{0, is(a), "a"}, {aDay, is(a), "Still: a"}, {aDay + 1, is(a), ""}, {2 * aDay, is(a), "Still: a"},
		},
		"over":          {{0, is(a), "a"}, {5, nil, ""}, {14, nil, ""}, {15, nil, "Over: a"}, {16, nil, ""}},
		"a short gap":   {{0, is(a), "a"}, {5, nil, ""}, {14, is(a), ""}, {20, nil, ""}, {29, nil, ""}, {30, nil, "Over: a"}},
		"not when gone": {{0, is(a), "a"}, {aDay - 5, nil, ""}, {aDay, nil, ""}, {aDay + 5, nil, "Over: a"}},
		"worse":         {{0, is(a), "a"}, {1, is(worse), "a"}, {2, is(worse), ""}, {3, is(a), ""}, {4, is(worse), ""}},
		"other text":    {{0, is(a), "a"}, {1, is(notice.Trouble{Key: a.Key, Subject: "c"}), ""}},
		"again, later":  {{0, is(a), "a"}, {1, nil, ""}, {11, nil, "Over: a"}, {3 * aDay, nil, ""}, {3*aDay + 1, is(a), "a"}, {3*aDay + 2, nil, ""}, {3*aDay + 12, nil, "Over: a"}},
		"flaps are damped": {
			{0, is(a), "a"},
			{1, nil, ""},
			{11, nil, "Over: a"},
			{12, is(a), "a"}, // came back: must be gone for twice as long
			{13, nil, ""},
			{32, nil, ""},
			{33, nil, "Over: a"},
			{34, is(a), "a"},
			{35, nil, ""},
			{74, nil, ""},
			{75, nil, "Over: a"},
		},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				store, out := new(memory), new(outbox)
				senders := map[string]notice.Sender{"out": out}
				board := newBoard(t, store, senders)
				for _, s := range steps {
					if restarts {
						board = newBoard(t, store, senders)
					}
					if err := board.Tick(t.Context(), start.Add(time.Duration(s.at)*time.Minute), s.troubles); err != nil {
						t.Fatal(err)
					}
					if got := out.take(); got != s.want {
						t.Errorf("minute %d, restarts %t: sent %q, want %q", s.at, restarts, got, s.want)
					}
				}
			})
		}
	}
}

func TestBoardNotice(t *testing.T) {
	t.Parallel()
	out := new(outbox)
	board := newBoard(t, new(memory), map[string]notice.Sender{"out": out})
	a := trouble("a\r\nBcc: all@shop.example")
	ctx := t.Context()
	for _, tick := range []struct {
		at       time.Duration
		troubles []notice.Trouble
	}{{0, []notice.Trouble{a}}, {time.Hour, nil}, {2 * time.Hour, nil}} {
		if err := board.Tick(ctx, start.Add(tick.at), tick.troubles); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.sent) != 2 {
		t.Fatalf("%d notices, want 2", len(out.sent))
	}
	up, over := out.sent[0], out.sent[1]
	if up.Subject != "a Bcc: all@shop.example" || !up.Raised || !up.At.Equal(start) || up.Code != "silent" || up.Text != a.Text {
		t.Errorf("raised: %+v", up)
	}
	if want := "This is over. It lasted from 4 May 10:20 IST to 4 May 11:20 IST."; over.Raised || over.Text != want || !over.Since.Equal(start) {
		t.Errorf("over: %+v", over)
	}
	if up.ID == over.ID || strings.Contains(up.ID, "shop") {
		t.Errorf("ids %s and %s", up.ID, over.ID)
	}
}

// TestBoardRetries: what could not be sent stays due, with growing waits, under
// the same id, and by one sender alone.
func TestBoardRetries(t *testing.T) {
	t.Parallel()
	good, bad := new(outbox), &outbox{failing: 5}
	board := newBoard(t, new(memory), map[string]notice.Sender{"good": good, "bad": bad})
	a := []notice.Trouble{trouble("a")}
	var attempts []int
	for minute := range 120 {
		before := bad.attempts
		err := board.Tick(t.Context(), start.Add(time.Duration(minute)*time.Minute), a)
		if bad.attempts > before {
			attempts = append(attempts, minute)
		}
		if failed := bad.attempts > before && minute < 31; failed != errors.Is(err, errAway) {
			t.Errorf("minute %d: error %v", minute, err)
		}
	}
	if want := []int{0, 1, 3, 7, 15, 31}; len(attempts) != len(want) || attempts[5] != 31 {
		t.Errorf("attempts at minutes %v, want %v", attempts, want)
	}
	if len(good.sent) != 1 || len(bad.sent) != 1 || good.sent[0] != bad.sent[0] {
		t.Errorf("sent %+v and %+v, want the same", good.sent, bad.sent)
	}
}

// TestBoardTellsWhatIsOver: that the line was down must not hide that the feed was.
func TestBoardTellsWhatIsOver(t *testing.T) {
	t.Parallel()
	out := &outbox{failing: 1000}
	board := newBoard(t, new(memory), map[string]notice.Sender{"out": out})
	for minute := range 40 {
		var troubles []notice.Trouble
		if minute < 5 {
			troubles = append(troubles, trouble("a"))
		}
		if minute == 39 {
			out.failing = 0
		}
		_ = board.Tick(t.Context(), start.Add(time.Duration(minute)*time.Minute), troubles) // errors of the sender, looked at elsewhere
	}
	if err := board.Tick(t.Context(), start.Add(3*time.Hour), nil); err != nil {
		t.Fatal(err)
	}
	if got := out.take(); got != "a, Over: a" {
		t.Errorf("sent %q", got)
	}
}

func TestBoardRestsFromASenderThatFails(t *testing.T) {
	t.Parallel()
	out := &outbox{failing: 1000}
	board := newBoard(t, new(memory), map[string]notice.Sender{"out": out})
	var many []notice.Trouble
	for _, r := range "abcdefghij" {
		many = append(many, trouble(string(r)))
	}
	for range 4 { // those that failed wait: every one has its turn
		_ = board.Tick(t.Context(), start, many)
	}
	if out.attempts != 10 {
		t.Errorf("%d attempts in four ticks, want 10", out.attempts)
	}
}

func TestBoardStore(t *testing.T) {
	t.Parallel()
	if _, err := notice.NewBoard(t.Context(), &memory{err: errAway}, nil, notice.Settings{}); !errors.Is(err, errAway) {
		t.Errorf("load: %v", err)
	}
	broken := &memory{states: map[string]json.RawMessage{"a": json.RawMessage(`[]`)}}
	if _, err := notice.NewBoard(t.Context(), broken, nil, notice.Settings{}); err == nil {
		t.Error("a broken state was loaded")
	}

	// A store that is away stops no notice, and repeats none while this lasts.
	store, out := new(memory), new(outbox)
	board := newBoard(t, store, map[string]notice.Sender{"out": out})
	store.err = errAway
	for minute := range 3 {
		if err := board.Tick(t.Context(), start.Add(time.Duration(minute)*time.Minute), []notice.Trouble{trouble("a")}); !errors.Is(err, errAway) {
			t.Errorf("save: %v", err)
		}
	}
	if got := out.take(); got != "a" {
		t.Errorf("sent %q", got)
	}
	// What doesn't change is not saved again.
	store.err = nil
	for minute := range 10 {
		if err := board.Tick(t.Context(), start.Add(time.Duration(3+minute)*time.Minute), []notice.Trouble{trouble("a")}); err != nil {
			t.Fatal(err)
		}
	}
	if store.saves != 1 {
		t.Errorf("saved %d times, want once", store.saves)
	}
	// What is over and told is dropped after a day.
	for _, hour := range []int{1, 2, 30} {
		if err := board.Tick(t.Context(), start.Add(time.Duration(hour)*time.Hour), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.states) != 0 {
		t.Errorf("kept %s", store.states)
	}
}

// TestBoardProperties: whatever comes and goes, whatever fails and restarts, each
// sender is told begin and end in turn, and in the end of all that was.
func TestBoardProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		store, out := new(memory), new(outbox)
		senders := map[string]notice.Sender{"out": out}
		board := newBoard(t, store, senders)
		names := []string{"a", "b", "c"}
		seen := make(map[string]bool)
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 500).Draw(t, "minutes")) * time.Minute)
			out.failing = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "failing")
			if rapid.Bool().Draw(t, "restart") {
				board = newBoard(t, store, senders)
			}
			var troubles []notice.Trouble
			for _, name := range names {
				if rapid.Bool().Draw(t, name) {
					troubles = append(troubles, trouble(name))
					seen[name] = true
				}
			}
			_ = board.Tick(context.Background(), now, troubles)
		}
		out.failing = 0
		for range 3 { // all is over
			now = now.Add(24 * time.Hour)
			if err := board.Tick(context.Background(), now, nil); err != nil {
				t.Fatal(err)
			}
		}
		up, told, ids := make(map[string]bool), make(map[string]bool), make(map[string]bool)
		for _, n := range out.sent {
			name := n.Subject[len(n.Subject)-1:]
			if ids[n.ID] {
				t.Fatalf("%s sent twice", n.Subject)
			}
			ids[n.ID] = true
			if reminder := strings.HasPrefix(n.Subject, "Still"); up[name] != (reminder || !n.Raised) {
				t.Fatalf("%q sent while raised is %t", n.Subject, up[name])
			}
			up[name], told[name] = n.Raised, true
		}
		for _, name := range names {
			if up[name] || told[name] != seen[name] {
				t.Fatalf("%s: there %t, told %t, still raised %t", name, seen[name], told[name], up[name])
			}
		}
		if len(store.states) != 0 {
			t.Fatalf("kept %s", store.states)
		}
	})
}

// ending is a sender in whose time the gateway ends.
type ending struct {
	outbox
	end context.CancelFunc
}

func (e *ending) Send(ctx context.Context, n notice.Notice) error {
	e.end()
	return e.outbox.Send(ctx, n)
}

func TestBoardKeepsWhatWasSentAtTheEnd(t *testing.T) {
	t.Parallel()
	store := new(memory)
	ctx, cancel := context.WithCancel(t.Context())
	out := &ending{end: cancel}
	senders := map[string]notice.Sender{"out": out}
	for _, ctx := range []context.Context{ctx, t.Context()} {
		if err := newBoard(t, store, senders).Tick(ctx, start, []notice.Trouble{trouble("a")}); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.take(); got != "a" {
		t.Errorf("sent %q", got)
	}
}

// FuzzBoard: whatever a store holds is refused, or can be gone on with.
func FuzzBoard(f *testing.F) {
	f.Add("feed/a/silent", `{"code":"silent","severity":"warning","since":"2026-05-04T04:50:00Z","episode":1,"told":{"out":{"raised":1,"at":"2026-05-04T04:50:00Z"}}}`)
	f.Add("a", `null`)
	f.Add("a", `{"flaps":-1}`)
	f.Add("a", `{"episode":-3,"flaps":99,"told":{"out":null}}`)
	f.Add("a", `{"over":true,"episode":3,"told":{"out":{"due":"cleared","failed":99}}}`)
	f.Fuzz(func(t *testing.T, key, text string) {
		store := &memory{states: map[string]json.RawMessage{key: json.RawMessage(text)}}
		out := &outbox{failing: 1}
		board, err := notice.NewBoard(t.Context(), store, map[string]notice.Sender{"out": out}, notice.Settings{})
		if err != nil {
			return
		}
		for day := range 4 {
			_ = board.Tick(t.Context(), start.AddDate(0, 0, day), []notice.Trouble{trouble("b")})
		}
		if len(out.sent) < 3 { // of b: raised, and reminded
			t.Fatalf("sent %d notices", len(out.sent))
		}
	})
}
