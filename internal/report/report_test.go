package report_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/report"
)

func mustZone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

// TestPeriods: a period is a day or a month of a zone, whatever its clocks do.
func TestPeriods(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, zone, from, to string }{
		{"2026-11-22", "Asia/Kolkata", "2026-11-21T18:30:00Z", "2026-11-22T18:30:00Z"},
		{"2026-02", "Asia/Kolkata", "2026-01-31T18:30:00Z", "2026-02-28T18:30:00Z"},
		{"2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{"2026-12", "UTC", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	} {
		p, err := report.Parse(tt.text)
		if err != nil || p.String() != tt.text {
			t.Fatalf("%s is read as %s, %v", tt.text, p, err)
		}
		from, to := p.In(mustZone(t, tt.zone))
		if from.Format(time.RFC3339) != tt.from || to.Format(time.RFC3339) != tt.to {
			t.Errorf("%s in %s goes from %s to %s", tt.text, tt.zone, from, to)
		}
	}
	for _, text := range []string{"", "2026", "2026-13", "2026-02-30", "22.11.2026", "0001-01-01", "9999-12-31", "2026-11-22T00:00:00Z"} {
		if p, err := report.Parse(text); err == nil {
			t.Errorf("%q is read as %s", text, p)
		}
	}
	// The report of a day is final some minutes after it.
	india := mustZone(t, "Asia/Kolkata")
	midnight := time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{midnight: "2026-11-21", midnight.Add(report.Settled): "2026-11-22", midnight.Add(-time.Hour): "2026-11-21"} {
		if got := report.LastOver(report.Daily, at, india).String(); got != want {
			t.Errorf("at %s the last day that is over is %s, want %s", at, got, want)
		}
	}
}

// TestPeriodsLeaveNothingOut: every time is in exactly one day and month.
func TestPeriodsLeaveNothingOut(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC, mustZone(t, "Asia/Kolkata"), mustZone(t, "America/Sao_Paulo"), mustZone(t, "Pacific/Apia"), mustZone(t, "Africa/Cairo")}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0)
		for _, every := range []report.Every{report.Daily, report.Monthly} {
			p := report.At(every, at, zone)
			from, to := p.In(zone)
			if at.Before(from) || !at.Before(to) {
				t.Fatalf("%s is not in %s, from %s to %s", at, p, from, to)
			}
			if _, end := p.Previous().In(zone); !end.Equal(from) {
				t.Fatalf("before %s ends at %s", p, end)
			}
			if p.Next().Previous() != p || !p.Before(p.Next()) {
				t.Fatalf("after %s is %s", p, p.Next())
			}
		}
	})
}

// TestTableDisarms: no text of a table is a formula, and amounts stay amounts.
func TestTableDisarms(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table, err := report.NewTable(&out, report.CSV, "a", "b", "c", "d", "e", "f")
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Row("=1+1", "+911234", "-2+3", "@SUM(A1)", "\tx", "-12.50"); err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || !slices.Equal(rows[1], []string{"'=1+1", "'+911234", "'-2+3", "'@SUM(A1)", "'\tx", "-12.50"}) {
		t.Errorf("written as %q, %v", rows, err)
	}
}
