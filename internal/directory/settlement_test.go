package directory_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

func TestScheduleLast(t *testing.T) {
	t.Parallel()
	zone := func(name string) *time.Location {
		l, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	india, berlin := zone("Asia/Kolkata"), zone("Europe/Berlin")
	daily := directory.Schedule{Every: directory.Daily, At: 18 * 60}
	for _, tt := range []struct {
		name     string
		schedule directory.Schedule
		zone     *time.Location
		now      string // UTC
		want     string // in the zone; empty for none
	}{
		{"none", directory.Schedule{}, india, "2026-11-23T18:00:00Z", ""},
		{"at the minute", daily, india, "2026-11-23T12:30:00Z", "2026-11-23 18:00"},
		{"a moment before", daily, india, "2026-11-23T12:29:59Z", "2026-11-22 18:00"},
		{"the day is the merchant's", daily, india, "2026-11-23T20:00:00Z", "2026-11-23 18:00"},
		{"over a new year", daily, india, "2026-12-31T20:00:00Z", "2026-12-31 18:00"},
		{"no weekend", directory.Schedule{Every: directory.Weekdays, At: 9*60 + 5}, india, "2026-11-23T03:00:00Z", "2026-11-20 09:05"},
		{"on a weekday", directory.Schedule{Every: directory.Weekdays, At: 9*60 + 5}, india, "2026-11-23T04:00:00Z", "2026-11-23 09:05"},
		{"weekly", directory.Schedule{Every: directory.Weekly, Weekday: time.Sunday}, india, "2026-11-21T18:00:00Z", "2026-11-15 00:00"},
		{"weekly, at midnight", directory.Schedule{Every: directory.Weekly, Weekday: time.Sunday}, india, "2026-11-21T18:30:00Z", "2026-11-22 00:00"},
		{"monthly", directory.Schedule{Every: directory.Monthly, Day: 28, At: 23*60 + 59}, india, "2026-03-28T18:00:00Z", "2026-02-28 23:59"},
		{"monthly, on the day", directory.Schedule{Every: directory.Monthly, Day: 1}, india, "2026-02-28T18:30:00Z", "2026-03-01 00:00"},
		{"a time that clocks leave out", directory.Schedule{Every: directory.Daily, At: 2*60 + 30}, berlin, "2026-03-29T06:00:00Z", "2026-03-29 03:30"},
		{"a time that comes twice", directory.Schedule{Every: directory.Daily, At: 2*60 + 30}, berlin, "2026-10-25T06:00:00Z", "2026-10-25 02:30"},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		got := tt.schedule.Last(now, tt.zone)
		text := ""
		if !got.IsZero() {
			text = got.In(tt.zone).Format("2006-01-02 15:04")
		}
		if text != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, text, tt.want)
		}
	}
}

// Whatever the schedule, the last run is not to come, and its next one is not past.
func TestScheduleLastIsLast(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("IST", 5*3600+1800)
	rapid.Check(t, func(t *rapid.T) {
		s := directory.Schedule{
			Every:   rapid.SampledFrom([]directory.Interval{directory.Daily, directory.Weekdays, directory.Weekly, directory.Monthly}).Draw(t, "every"),
			Weekday: time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")), Day: rapid.IntRange(1, 28).Draw(t, "day"), At: rapid.IntRange(0, 24*60-1).Draw(t, "at"),
		}
		now := time.Unix(rapid.Int64Range(1.7e9, 2e9).Draw(t, "now"), 0)
		last := s.Last(now, zone)
		if last.IsZero() || last.After(now) || now.Sub(last) > 31*24*time.Hour {
			t.Fatalf("%+v: the last before %s is %s", s, now, last)
		}
		if again := s.Last(last, zone); !again.Equal(last) {
			t.Fatalf("%+v: the last at %s is %s", s, last, again)
		}
		for at := last.Add(time.Minute); at.Before(now); at = at.Add(6 * time.Hour) {
			if between := s.Last(at, zone); !between.Equal(last) {
				t.Fatalf("%+v: between %s and %s there is %s", s, last, now, between)
			}
		}
	})
}

func TestFeeOfWithdrawal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		percent      string
		fixed        money.Paise
		amount, want money.Paise
	}{
		{"0", 0, 100_00, 0},
		{"0", 5_00, 1, 5_00},
		{"1.25", 0, 100_00, 1_25},
		{"1.25", 30, 100_00, 1_55},
		{"0.5", 0, 99, 0},  // 0.495 paise
		{"0.5", 0, 100, 1}, // 0.5: half up
		{"2.25", 0, 999_00, 22_48},
		{"0.0001", 0, 4999_99, 0},
		{"0.0001", 0, 5000_00, 1},
		{"100", 0, 12_34, 12_34},
		{"100", 1, math.MaxInt64, math.MaxInt64},
		{"0", math.MaxInt64, 1, math.MaxInt64},
	} {
		percent, err := money.ParsePercent(tt.percent)
		if err != nil {
			t.Fatal(err)
		}
		fee := directory.Fee{WithdrawalPercent: percent, WithdrawalFixed: tt.fixed}
		if got := fee.OfWithdrawal(tt.amount); got != tt.want {
			t.Errorf("%s %% and %s of %s is %s, want %s", tt.percent, tt.fixed, tt.amount, got, tt.want)
		}
	}
}
