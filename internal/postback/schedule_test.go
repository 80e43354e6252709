package postback_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/postback"
)

func TestScheduleIsStandardWebhooks(t *testing.T) {
	t.Parallel()
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	for i, standard := range want {
		for _, first := range []time.Duration{0, 50 * time.Millisecond, time.Second, 5 * time.Second, time.Minute} {
			scaled := standard
			if first != 0 {
				scaled = time.Duration(int64(standard/(5*time.Second)) * int64(first))
			}
			if got, again := (postback.Schedule{First: first}).After(i + 1); !again || got != scaled {
				t.Errorf("first %s, after %d attempts: %s, %t; want %s", first, i+1, got, again, scaled)
			}
		}
	}
	for _, attempts := range []int{-1, 0, 10, 11} {
		if got, again := (postback.Schedule{}).After(attempts); again {
			t.Errorf("after %d attempts: again in %s", attempts, got)
		}
	}
	if postback.MaxAttempts != 10 {
		t.Errorf("MaxAttempts is %d", postback.MaxAttempts)
	}
}

func TestJitterStaysWithinATenth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "first"))
		attempts := rapid.IntRange(1, postback.MaxAttempts-1).Draw(t, "attempts")
		plain, _ := postback.Schedule{First: first}.After(attempts)
		got, _ := postback.Schedule{First: first, Jitter: func(n int64) int64 {
			return rapid.Int64Range(0, n-1).Draw(t, "jitter")
		}}.After(attempts)
		if plain <= 0 || got < plain-plain/10 || got > plain+plain/10 {
			t.Fatalf("%s became %s", plain, got)
		}
	})
	for _, edge := range []struct {
		jitter func(int64) int64
		want   time.Duration
	}{
		{func(int64) int64 { return 0 }, 4500 * time.Millisecond},
		{func(n int64) int64 { return n - 1 }, 5500 * time.Millisecond},
		{func(n int64) int64 { return n / 2 }, 5 * time.Second},
	} {
		if got, _ := (postback.Schedule{Jitter: edge.jitter}).After(1); got != edge.want {
			t.Errorf("jittered wait %s, want %s", got, edge.want)
		}
	}
}
