package postback

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Turns are taken in order: nobody has a second attempt before everybody with
// work had a first, one that hangs is in nobody's way, and one that fails is
// soon left alone.
func TestTurns(t *testing.T) {
	t.Parallel()
	const merchants, each, bad = 1000, 10, 200 // of the bad, the even ones hang and the odd ones fail
	clock := time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)
	var begun []string
	var flights []*flight
	l := lanes{
		slots: defaultSlots, slowSlots: defaultSlowSlots, laneSlots: defaultLaneSlots, length: defaultQueue, batch: leaseBatch,
		probeWait: defaultFirstRetry, now: func() time.Time { return clock },
		metrics: NewMetrics(prometheus.NewRegistry()), hungry: func() {}, byID: make(map[string]*lane),
		begin: func(f *flight, job *Job) {
			begun, flights = append(begun, job.Merchant), append(flights, f)
		},
	}
	number := make(map[string]int)
	var jobs []*Job
	for i := range merchants * each {
		id := strconv.Itoa(i % merchants)
		number[id] = i % merchants
		jobs = append(jobs, &Job{Event: Event{ID: int64(i), Merchant: id}, LeasedUntil: clock.Add(Lease)})
	}
	l.add(jobs)
	l.start()
	for at := 0; at < len(flights); at++ { //nolint:intrange // it grows on the way
		switch n := number[begun[at]]; {
		case n < bad && n%2 == 0:
		case n < bad:
			l.done(flights[at], outcome{tried: true})
		default:
			l.done(flights[at], outcome{tried: true, succeeded: true})
		}
	}
	attempts := make(map[string]int)
	for at, id := range begun {
		if attempts[id]++; at < merchants && attempts[id] > 1 {
			t.Fatalf("attempt number %d is merchant %s's second", at, id)
		}
	}
	for id, n := range number {
		want := each
		switch {
		case n < bad && n%2 == 0:
			want = 1
		case n < bad:
			want = breakAfter
		}
		if attempts[id] != want {
			t.Errorf("merchant %s had %d attempts, want %d", id, attempts[id], want)
		}
	}
	if l.busy != bad/2 || l.slowBusy != 0 {
		t.Errorf("%d quick and %d slow attempts are under way", l.busy, l.slowBusy)
	}
	// What hangs gives its place up before it ends.
	clock = clock.Add(slowAnswer)
	l.wake()
	if l.busy != 0 || l.slowBusy != bad/2 {
		t.Errorf("%d quick and %d slow attempts are under way", l.busy, l.slowBusy)
	}
	for at, id := range begun {
		if n := number[id]; n < bad && n%2 == 0 {
			l.done(flights[at], outcome{tried: true, took: attemptTimeout})
		}
	}
	// Each hangs again in its turn, and takes a slow one's place for it.
	if l.busy != 0 || l.slowBusy != bad/2 {
		t.Errorf("%d quick and %d slow attempts are under way", l.busy, l.slowBusy)
	}
}
