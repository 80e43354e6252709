package postback

import (
	"math"
	"time"
)

// defaultFirstRetry is what the schedule's figures are multiples of.
const defaultFirstRetry = 5 * time.Second

// repeats are the waits before the second and every later attempt, as Standard
// Webhooks recommends them: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and
// 24 h, in units of the first. The first attempt is made at once.
var repeats = [...]int64{
	1,
	int64(5 * time.Minute / defaultFirstRetry),
	int64(30 * time.Minute / defaultFirstRetry),
	int64(2 * time.Hour / defaultFirstRetry),
	int64(5 * time.Hour / defaultFirstRetry),
	int64(10 * time.Hour / defaultFirstRetry),
	int64(14 * time.Hour / defaultFirstRetry),
	int64(20 * time.Hour / defaultFirstRetry),
	int64(24 * time.Hour / defaultFirstRetry),
}

// MaxAttempts is how often an event is sent before it is dead.
const MaxAttempts = 1 + len(repeats)

// Schedule says when a failed event is sent again. The zero value is Standard
// Webhooks' own schedule.
type Schedule struct {
	// First is the wait before the first repeat, 5 s where it is 0; all others
	// scale with it.
	First time.Duration
	// Jitter returns a random number from 0 up to, not including, n. It spreads
	// each wait by up to a tenth either way, so that what failed together does
	// not come back together. Nil is no jitter.
	Jitter func(n int64) int64
	// Waits, where there are any, take the schedule's place. First does not
	// scale them.
	Waits []time.Duration
}

// For is the schedule of a merchant with waits of its own, if it has any.
func (s Schedule) For(waits []time.Duration) Schedule {
	s.Waits = waits
	return s
}

// first is the wait before the first repeat.
func (s Schedule) first() time.Duration {
	if s.First <= 0 {
		return defaultFirstRetry
	}
	return s.First
}

// After is the wait after that many failed attempts. It reports false when
// there is to be no other: the event is dead.
func (s Schedule) After(attempts int) (time.Duration, bool) {
	if attempts < 1 {
		return 0, false
	}
	var wait time.Duration
	switch {
	case len(s.Waits) > 0:
		if attempts > len(s.Waits) {
			return 0, false
		}
		wait = s.Waits[attempts-1]
	case attempts >= MaxAttempts:
		return 0, false
	default:
		first, factor := s.first(), repeats[attempts-1]
		// Half the range, so that adding the jitter or a date cannot overflow.
		wait = time.Duration(min(int64(first), math.MaxInt64/2/factor) * factor)
	}
	if s.Jitter != nil {
		tenth := int64(wait / 10)
		wait += time.Duration(s.Jitter(2*tenth+1) - tenth)
	}
	return wait, true
}
