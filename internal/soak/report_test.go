//go:build unix

package soak_test

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// replacePart puts an engine's part of the page in its place, or at the end.
func replacePart(page, engine, part string) string {
	begin, end := "<!-- soak "+engine+": begin -->\n", "<!-- soak "+engine+": end -->\n"
	before, rest, found := strings.Cut(page, begin)
	if !found {
		return page + "\n" + begin + part + end
	}
	_, after, _ := strings.Cut(rest, end)
	return before + begin + part + end + after
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Microsecond).String()
	}
}

// page is what came out, as Markdown.
func (s *soak) page(plan []fault, r *reckoning, verified time.Duration) string {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	var f strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&f, format+"\n", args...) }
	engine := s.engine
	if s.database != nil {
		engine += " " + s.database.version
	}
	verdict := "Everything below held."
	if s.Failed() {
		verdict = "**It failed**: see the test's output."
	}
	line("## %s, %s\n", s.engine, strings.TrimSuffix(s.load.String(), "0s"))
	gateways := "one gateway"
	if len(s.gateways) > 1 {
		gateways = "two gateways"
	}
	line("%s, %s, %s, %d cores, %s. `milaan load` reached %s activations/s on this machine just before; the load was %d payments/s. %s\n",
		engine, gateways, runtime.Version(), runtime.NumCPU(), s.books.began.UTC().Format(time.DateOnly), thousands(s.peak), s.rate, verdict)

	line("### What happened\n")
	line("| what | how many |\n| --- | ---: |")
	row := func(what string, n int) { line("| %s | %s |", what, thousands(n)) }
	row("payments begun", r.payments)
	for k, n := range r.byKind {
		row("… "+kinds[k], n)
	}
	row("payments that the generator left out, as too many were open", s.skipped)
	row("deposits credited", r.deposits)
	row("credits that nobody claimed", r.credits-r.deposits)
	row("claims made twice at once", s.books.repeats)
	row("claims of somebody else's UTR, refused", s.books.thieves)
	row("forged messages", s.books.forgeries)
	row("genuine messages replayed", s.books.replays)
	for _, state := range slices.Sorted(maps.Keys(r.states)) {
		row("withdrawals and settlements that are "+state, r.states[state])
	}
	row("… of them contested, for a person to look at", r.contested)
	row("postbacks that came again", r.repeats)
	for _, kind := range slices.Sorted(maps.Keys(s.books.kinds)) {
		row("events `"+kind+"`", s.books.kinds[kind])
	}
	for _, why := range slices.Sorted(maps.Keys(s.watch.errors)) {
		row("calls that were made again: "+why, s.watch.errors[why])
	}

	line("\n### What held\n")
	for _, check := range r.checks {
		line("- %s", check)
	}
	line("- No forged message became a credit: `milaan verify` counts %s credits, those that banks told of and no other.", thousands(r.credits))
	line("- Every one of the %s deposits was told to its merchant, %s of them more than once, each time with the same bytes and signatures that verify; those of the four merchants whose servers hung, refused, failed or were gone once these were mended.",
		thousands(r.deposits), thousands(r.repeats))
	line("- `milaan verify` holds (%s), and agrees with the test's books: %s owed to merchants, %s held by withdrawals, %s unclaimed, %s of fees.", brief(verified),
		money.Format(r.owed, money.English), money.Format(r.held, money.English), money.Format(r.unclaimed, money.English), money.Format(r.fees, money.English))
	line("- No gateway panicked. After the load the first gateway has %.0f goroutines; before it, it had %.0f.", s.end, s.start)

	line("\n### Answers\n")
	line("| call | answered | p50 | p99 | p50 without faults | p99 without faults |\n| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, kind := range slices.Sorted(maps.Keys(s.watch.all)) {
		all, calm := s.watch.all[kind], s.watch.calm[kind]
		line("| %s | %s | %s | %s | %s | %s |", kind, thousands(len(all)), brief(percentile(all, 50)), brief(percentile(all, 99)), brief(percentile(calm, 50)), brief(percentile(calm, 99)))
	}
	line("\nA call's time is that of the attempt that was answered. Without faults: from the start to the end of the load, less each fault until 10 s after everything could serve again.")

	line("\n### Memory, goroutines, files, connections\n")
	line("Medians of the first and the last third of each time in which a gateway was one process, within the load and after the warm-up of %s; shorter ones than %s are left out, and so is what was seen while a fault lasted and until 10 s after it. Live is what a collection of garbage leaves.\n", brief(s.warm), brief(s.load/15))
	line("| gateway | from | to | resident | heap in use | live heap | goroutines | files | connections to the database |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for i, g := range s.gateways {
		for _, x := range stretches(s.watch.samples, i, s.warm, s.load, s.load/15) {
			connections := "none"
			if s.database != nil {
				connections = fmt.Sprintf("%.0f → %.0f", x.first.connections, x.last.connections)
			}
			line("| %s | %s | %s | %s → %s | %s → %s | %s → %s | %.0f → %.0f | %.0f → %.0f | %s |", g.name, clock(x.from), clock(x.to), megabytes(x.first.memory), megabytes(x.last.memory),
				megabytes(x.first.heap), megabytes(x.last.heap), megabytes(x.first.live), megabytes(x.last.live), x.first.goroutines, x.last.goroutines, x.first.files, x.last.files, connections)
		}
	}

	line("\n### Over time\n")
	line("From left to right the whole run, drain included; `x` is a fault.\n\n```")
	s.graphs(&f, plan)
	line("```\n")

	line("### Faults\n")
	line("From when it is started or mended: how long that takes, and until every gateway says that it is ready.\n")
	line("| at | what | for | started after | all ready after |\n| ---: | --- | ---: | ---: | ---: |")
	for _, x := range plan {
		line("| %s | %s | %s | %s | %s |", clock(x.at), x.what, brief(x.lasts), brief(x.back), brief(x.well))
	}
	line("")
	return f.String()
}

func thousands(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// graphs draws figures over time as rows of bars.
func (s *soak) graphs(f *strings.Builder, plan []fault) {
	const width = 90
	samples := s.watch.samples
	if len(samples) == 0 {
		return
	}
	whole := samples[len(samples)-1].at
	column := func(at time.Duration) int { return min(width-1, int(int64(at)*width/max(1, int64(whole)))) }
	// The most of what falls into a column; nothing where nothing did.
	draw := func(name, unit string, scale float64, get func(sample) float64) {
		var most [width]float64
		for _, x := range samples {
			c := column(x.at)
			most[c] = max(most[c], get(x))
		}
		top := slices.Max(most[:])
		bars := []rune(" ▁▂▃▄▅▆▇█")
		text := make([]rune, width)
		for i, v := range most {
			text[i] = ' '
			if v > 0 {
				text[i] = bars[min(8, 1+int(math.Floor(v/top*7.999)))]
			}
		}
		fmt.Fprintf(f, "%-28s│%s│ most %.4g %s\n", name, string(text), top/scale, unit)
	}
	marks := []rune(strings.Repeat(" ", width))
	for _, x := range plan {
		marks[column(x.at)] = 'x'
	}
	seconds := float64(time.Second)
	draw("calls answered", "in 5 s", 1, func(x sample) float64 { return float64(x.answers) })
	draw("claim, p50", "ms", 1e6, func(x sample) float64 { return float64(x.p50) })
	draw("claim, p99", "ms", 1e6, func(x sample) float64 { return float64(x.p99) })
	draw("oldest untold deposit", "s", seconds, func(x sample) float64 { return float64(x.lag) })
	fmt.Fprintf(f, "%-28s│%s│\n", "faults", string(marks))
	for i, g := range s.gateways {
		of := func(get func(figures) float64) func(sample) float64 {
			return func(x sample) float64 { return get(x.gateways[i]) }
		}
		draw("resident, "+g.name, "MiB", 1<<20, of(func(x figures) float64 { return x.memory }))
		draw("live heap, "+g.name, "MiB", 1<<20, of(func(x figures) float64 { return x.live }))
		draw("heap in use, "+g.name, "MiB", 1<<20, of(func(x figures) float64 { return x.heap }))
		draw("goroutines, "+g.name, "", 1, of(func(x figures) float64 { return x.goroutines }))
		draw("open files, "+g.name, "", 1, of(func(x figures) float64 { return x.files }))
		if s.database != nil {
			draw("database connections, "+g.name, "", 1, of(func(x figures) float64 { return x.connections }))
		}
	}
}
