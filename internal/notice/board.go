package notice

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Store keeps what the operator was told, by the key of the trouble, as JSON of
// this package's own.
type Store interface {
	// Load returns what was saved last, nothing at first.
	Load(ctx context.Context) (map[string]json.RawMessage, error)
	// Save keeps these states and no others. The map is not to be changed.
	Save(ctx context.Context, states map[string]json.RawMessage) error
}

// Settings are when a Board speaks; zero stands for the default.
type Settings struct {
	// RemindAfter is when a trouble that lasts is told again: 24 hours.
	RemindAfter time.Duration
	// ClearAfter is how long a trouble must be gone to be over: 10 minutes. It
	// doubles with every time the trouble comes back within a day, up to 32 times:
	// what flaps is told once and lasts.
	ClearAfter time.Duration
	// RetryAfter is the wait after a notice could not be sent: a minute. It doubles
	// up to an hour.
	RetryAfter time.Duration
}

const (
	flapMemory  = 24 * time.Hour // for which a trouble that was over is remembered
	mostFlaps   = 5              // doublings of ClearAfter
	mostRetries = 6              // doublings of RetryAfter
	mostRetry   = time.Hour
	saveTimeout = 5 * time.Second
	mostFaults  = 3 // after so many in a row a sender rests until the next Tick
)

// state is a trouble as it is kept.
type state struct {
	Code     string    `json:"code"`
	Severity Severity  `json:"severity"` // the worst so far
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Since    time.Time `json:"since"` // the episode's begin
	// GoneAt is since when it is gone; zero while it is there.
	GoneAt  time.Time        `json:"gone_at,omitzero"`
	Over    bool             `json:"over,omitempty"`  // gone for long enough
	Flaps   uint             `json:"flaps,omitempty"` // times it came back within a day
	Episode int              `json:"episode"`         // counts from 1
	Told    map[string]*told `json:"told,omitempty"`  // by the sender's name
}

// told is what a sender has said of a trouble.
type told struct {
	Raised    int       `json:"raised,omitempty"`  // the last episode it told of
	Cleared   int       `json:"cleared,omitempty"` // the last episode whose end it told of
	Severity  Severity  `json:"severity,omitempty"`
	At        time.Time `json:"at,omitzero"` // when it last spoke
	Reminders int       `json:"reminders,omitempty"`
	// Due is what is to be said, and DueAt since when; Failed counts the attempts in
	// vain, and RetryAt is when the next may be.
	Due     kind      `json:"due,omitempty"`
	DueAt   time.Time `json:"due_at,omitzero"`
	Failed  uint      `json:"failed,omitempty"`
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// Board knows the troubles there are and what the operator was told of them. It
// is used by one goroutine; make it with NewBoard.
type Board struct {
	store    Store
	senders  map[string]Sender
	settings Settings
	states   map[string]*state
	saved    map[string]json.RawMessage // what the store has
}

// NewBoard makes a board that goes on where the one before it ended. The names of
// senders are kept: under a new name a sender is told everything that is wrong
// once.
func NewBoard(ctx context.Context, store Store, senders map[string]Sender, settings Settings) (*Board, error) {
	settings.RemindAfter = cmp.Or(settings.RemindAfter, 24*time.Hour)
	settings.ClearAfter = cmp.Or(settings.ClearAfter, 10*time.Minute)
	settings.RetryAfter = cmp.Or(settings.RetryAfter, time.Minute)
	kept, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the notices: %w", err)
	}
	b := &Board{store: store, senders: senders, settings: settings, states: make(map[string]*state, len(kept)), saved: kept}
	for key, text := range kept {
		s := new(state)
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("load the notice %q: %w", key, err)
		}
		b.states[key] = s
	}
	return b, nil
}

// Tick takes all the troubles there are now, and tells what is to be told. What
// could not be sent, or kept, is in the error, and is tried again by the next
// Tick. Call it every minute or so.
func (b *Board) Tick(ctx context.Context, now time.Time, troubles []Trouble) error {
	now = now.UTC()
	b.note(now, troubles)
	// Kept before it is told, too: a notice keeps its id when a gateway that died
	// over it is back.
	before := b.save(ctx)
	untold := b.tell(ctx, now)
	b.forget(now)
	// Kept though this gateway ends meanwhile, or it would be told again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return errors.Join(before, untold, b.save(ctx))
}

// note brings the states up to date.
func (b *Board) note(now time.Time, troubles []Trouble) {
	there := make(map[string]bool, len(troubles))
	for _, t := range troubles {
		there[t.Key] = true
		s := b.states[t.Key]
		switch {
		case s == nil:
			s = &state{Since: now, Episode: 1, Severity: t.Severity}
			b.states[t.Key] = s
		case s.Over:
			s.Since, s.Over, s.Severity = now, false, t.Severity
			s.Episode++
			s.Flaps++
		case worse(t.Severity, s.Severity):
			s.Severity = t.Severity
		}
		s.GoneAt = time.Time{}
		s.Code, s.Subject, s.Text = t.Code, t.Subject, t.Text
	}
	for key, s := range b.states {
		if there[key] {
			continue
		}
		if s.GoneAt.IsZero() {
			s.GoneAt = now
		}
		if now.Sub(s.GoneAt) >= b.settings.ClearAfter<<min(s.Flaps, mostFlaps) {
			s.Over = true
		}
	}
}

func worse(a, b Severity) bool { return a == Critical && b != Critical }

// due is what a sender has to say of a trouble now, if anything.
func (b *Board) due(s *state, t *told, now time.Time) (kind, bool) {
	if t.Cleared < t.Raised && t.Raised < s.Episode {
		// It came back before its end could be told: as told here, it went on.
		t.Raised = s.Episode
	}
	switch {
	// Also of what is over by now: that nobody could be told is no reason not to.
	case t.Raised < s.Episode:
		return raised, true
	case s.Over:
		return cleared, t.Cleared < s.Episode
	case worse(s.Severity, t.Severity):
		return worsened, true
	default:
		return reminded, s.GoneAt.IsZero() && now.Sub(t.At) >= b.settings.RemindAfter
	}
}

// tell sends what is due, by each sender the longest due first.
func (b *Board) tell(ctx context.Context, now time.Time) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(b.senders)) {
		keys := slices.Collect(maps.Keys(b.states))
		retry := func(key string) time.Time {
			if t := b.states[key].Told[name]; t != nil {
				return t.RetryAt
			}
			return time.Time{}
		}
		slices.SortFunc(keys, func(x, y string) int {
			return cmp.Or(retry(x).Compare(retry(y)), b.states[x].Since.Compare(b.states[y].Since), cmp.Compare(x, y))
		})
		for faults, i := 0, 0; i < len(keys) && faults < mostFaults && ctx.Err() == nil; i++ {
			err := b.tellOf(ctx, now, name, keys[i])
			if err == nil {
				faults = 0
				continue
			}
			faults++
			errs = append(errs, fmt.Errorf("send by %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// tellOf sends what a sender has to say of a trouble: at most that it was there
// and that it is over.
func (b *Board) tellOf(ctx context.Context, now time.Time, name, key string) error {
	s := b.states[key]
	t := s.Told[name]
	if t == nil {
		t = new(told)
		if s.Told == nil {
			s.Told = make(map[string]*told)
		}
		s.Told[name] = t
	}
	for {
		k, is := b.due(s, t, now)
		if !is || now.Before(t.RetryAt) {
			return nil
		}
		if t.Due != k {
			t.Due, t.DueAt = k, now
		}
		if err := b.senders[name].Send(ctx, s.notice(key, k, t.Reminders, t.DueAt)); err != nil {
			if ctx.Err() == nil { // else it was this gateway that ended
				t.RetryAt = now.Add(min(b.settings.RetryAfter<<min(t.Failed, mostRetries), mostRetry))
				t.Failed++
			}
			return err
		}
		t.At, t.Severity = now, s.Severity
		t.Due, t.DueAt, t.Failed, t.RetryAt = "", time.Time{}, 0, time.Time{}
		switch k {
		case raised:
			t.Raised, t.Reminders = s.Episode, 0
		case reminded:
			t.Reminders++
		case cleared:
			t.Cleared = s.Episode
		case worsened:
		}
	}
}

// forget drops what is over for long and was told.
func (b *Board) forget(now time.Time) {
	maps.DeleteFunc(b.states, func(_ string, s *state) bool {
		if !s.Over || now.Sub(s.GoneAt) < flapMemory {
			return false
		}
		for name := range b.senders {
			if t := s.Told[name]; t == nil || t.Cleared < s.Episode {
				return false
			}
		}
		return true
	})
}

// save keeps the states where they have changed.
func (b *Board) save(ctx context.Context) error {
	states := make(map[string]json.RawMessage, len(b.states))
	for key, s := range b.states {
		text, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("keep the notice %q: %w", key, err)
		}
		states[key] = text
	}
	if maps.EqualFunc(states, b.saved, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) }) {
		return nil
	}
	if err := b.store.Save(ctx, states); err != nil {
		return fmt.Errorf("keep the notices: %w", err)
	}
	b.saved = states
	return nil
}
