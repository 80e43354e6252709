//go:build unix

package soak_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// sample is what is seen of everything at one moment.
type sample struct {
	at       time.Duration
	gateways []figures     // zero where one did not answer
	faulty   bool          // a fault lasted, or did a moment ago
	payments int           // begun since the last one
	answers  int           // calls answered since the last one
	p50, p99 time.Duration // of claims answered since the last one; 0 where there were none
	lag      time.Duration // how long the oldest deposit of merchants that are well has waited to be told
	toldP99  time.Duration // of those that were told since the last one
}

// figures are a gateway's own.
type figures struct {
	start                           float64 // tells one process from the next
	memory, heap, goroutines, files float64
	live                            float64 // heap right after a collection; 0 where none was asked for
	connections                     float64 // to PostgreSQL
}

// watch takes the time of calls, and looks at everything every few seconds.
type watch struct {
	mu      sync.Mutex
	lately  []time.Duration // of claims, since the last sample
	answers int             // since the last sample
	all     map[string][]time.Duration
	calm    map[string][]time.Duration // of them, those while no fault lasted
	faulty  bool                       // a fault lasts, or did a moment ago
	errors  map[string]int             // calls that were not answered, by why
	samples []sample
	issued  int
}

func newWatch() *watch {
	return &watch{all: make(map[string][]time.Duration), calm: make(map[string][]time.Duration), errors: make(map[string]int)}
}

func (w *watch) answered(kind string, took time.Duration) {
	if kind == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	w.all[kind] = append(w.all[kind], took)
	if !w.faulty {
		w.calm[kind] = append(w.calm[kind], took)
	}
	if kind == "claim" {
		w.lately = append(w.lately, took)
	}
}

func (w *watch) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	why := "the connection broke"
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "the connection was refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		why = "no answer in 5 s"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[why]++
}

func (w *watch) turned(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors["answered "+map[int]string{429: "429", 500: "500", 502: "502", 503: "503", 504: "504"}[status]]++
}

// trouble says whether a fault lasts.
func (w *watch) trouble(lasts bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty = lasts
}

// percentile of durations, which it sorts.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*p/100)]
}

// collectEvery is how many samples there are to a collection of garbage that is
// asked for: what is left then is what a leak would add to.
const collectEvery = 6

// take looks at everything once.
func (w *watch) take(ctx context.Context, s *soak) {
	now := sample{at: s.books.since()}
	var connections map[string]float64
	if s.database != nil {
		connections, _ = s.database.connections(ctx) // none while it is down
	}
	for _, g := range s.gateways {
		var f figures
		live := len(w.samples)%collectEvery == 0 && g.collect(ctx)
		if m, err := g.metrics(ctx); err == nil {
			f = figures{start: m["process_start_time_seconds"], memory: m["process_resident_memory_bytes"], heap: m["go_memstats_heap_inuse_bytes"],
				goroutines: m["go_goroutines"], files: m["process_open_fds"], connections: connections[g.name]}
			if live {
				f.live = m["go_memstats_heap_alloc_bytes"]
			}
		}
		now.gateways = append(now.gateways, f)
	}
	var delays []time.Duration
	now.lag, delays = s.books.lag(func(shop int) bool { return merchants[shop].manner < flaky })
	now.toldP99 = percentile(delays, 99)
	begun := s.books.count()
	w.mu.Lock()
	defer w.mu.Unlock()
	now.p50, now.p99 = percentile(w.lately, 50), percentile(w.lately, 99)
	now.answers, now.payments = w.answers, begun-w.issued
	w.lately, w.answers, w.issued, now.faulty = w.lately[:0], 0, begun, w.faulty
	w.samples = append(w.samples, now)
}

// until samples until ctx ends.
func (w *watch) until(ctx context.Context, s *soak, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.take(context.WithoutCancel(ctx), s)
		}
	}
}

// stretch is a time in which a gateway was one process, within the load and after
// the warm-up.
type stretch struct {
	from, to    time.Duration
	first, last figures // medians of its first and last third
}

// stretches are a gateway's, those that are long enough to show a trend. What was
// seen while a fault lasted, and 10 s after it, does not count.
func stretches(samples []sample, g int, from, to, least time.Duration) (all []stretch) {
	for start := 0; start < len(samples); {
		process := samples[start].gateways[g].start
		end := start
		for end < len(samples) && (samples[end].gateways[g].start == process || samples[end].gateways[g].start == 0) && samples[end].at <= to {
			end++
		}
		if process != 0 && samples[start].at >= from {
			run := make([]figures, 0, end-start)
			for _, x := range samples[start:end] {
				if f := x.gateways[g]; f.start != 0 && !x.faulty {
					run = append(run, f)
				}
			}
			if length := samples[end-1].at - samples[start].at; length >= least && len(run) >= 6 {
				third := len(run) / 3
				all = append(all, stretch{samples[start].at, samples[end-1].at, median(run[:third]), median(run[len(run)-third:])})
			}
			start = max(end, start+1)
			continue
		}
		start++
	}
	return all
}

// median takes each figure's.
func median(run []figures) figures {
	of := func(get func(figures) float64) float64 {
		var values []float64
		for _, f := range run {
			if v := get(f); v > 0 { // what was not asked for is none
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			return 0
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		memory: of(func(f figures) float64 { return f.memory }), heap: of(func(f figures) float64 { return f.heap }),
		goroutines: of(func(f figures) float64 { return f.goroutines }), files: of(func(f figures) float64 { return f.files }),
		connections: of(func(f figures) float64 { return f.connections }), live: of(func(f figures) float64 { return f.live }),
	}
}
