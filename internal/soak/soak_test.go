//go:build unix

// Package soak_test lets the program live through a day's troubles: gateways and
// the database are killed, merchants hang, forgers forge, and money comes in all
// the while. At the end the books of the test must be those of the gateway.
//
// A short form runs with every `go test`. The long one is asked for:
//
//	MILAAN_TEST_SOAK=30m go test ./internal/soak -run TestSoak/PostgreSQL -timeout 2h -v
//
// MILAAN_TEST_SOAK_RATE is how many payments begin in a second, as many as
// make half of the calls that `milaan load` reaches here where it is absent; MILAAN_TEST_SOAK_REPORT names a
// page whose part of that engine is written anew.
package soak_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/internal/server"
	"github.com/milaan/milaan/money"
)

// soak is one run on one engine.
type soak struct {
	*testing.T

	engine, program, dir string
	url                  string   // of the database
	env                  []string // of every command
	long                 bool
	peak                 int // activations/s that `milaan load` reached; 0 where it was not asked
	rate                 int // payments that begin in a second
	load, warm, calm     time.Duration
	later                time.Duration // after which a client that gave up asks again, about
	seed                 uint64

	database  *postgres // nil for SQLite
	gateways  []*gateway
	shops     []*shop
	infirmary *shop // where the merchants that were never well are at last
	hook      *shop // alpha's webhook
	owner     *shop // the installation's
	accounts  []*ledger
	books     *books
	watch     *watch
	web       *http.Client

	turn, uploads atomic.Int64
	heard         atomic.Pointer[call] // what a forger heard last of a phone that signs
	looking       sync.WaitGroup       // payers who look at their page
	skipped       int                  // payments that the generator did not begin: too many were open
	mistakes      atomic.Int64
	start, end    float64 // goroutines of the first gateway, before the load and after it
}

// wrong is something that must not be.
func (s *soak) wrong(format string, args ...any) {
	if n := s.mistakes.Add(1); n <= 30 {
		s.Errorf(format, args...)
	}
}

func (s *soak) draw(n int) order { return draw(s.seed, n, s.long) }

func TestSoak(t *testing.T) {
	t.Parallel()
	program := build(t)
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		s := newSoak(t, "PostgreSQL", program)
		s.database = newPostgres(t, s.long)
		s.at(s.database.url("postgres", "soak"))
		s.measure("MILAAN_DATABASE_URL=" + s.database.url("postgres", "peak"))
		for _, name := range []string{"a", "b"} {
			s.gateways = append(s.gateways, newGateway(t, name, program, s.dir, append(s.env, "MILAAN_DATABASE_URL="+s.database.url(name, "soak"))...))
		}
		s.run()
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		s := newSoak(t, "SQLite", program)
		s.at("sqlite://" + filepath.Join(s.dir, "milaan.db"))
		s.measure("MILAAN_DATABASE_URL=sqlite://" + filepath.Join(s.dir, "peak.db"))
		s.gateways = append(s.gateways, newGateway(t, "a", program, s.dir, s.env...))
		s.run()
	})
}

// secretKey guards nothing at all.
const secretKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// at names the database.
func (s *soak) at(url string) {
	s.url = url
	s.env = append(s.env, "MILAAN_DATABASE_URL="+url)
}

func newSoak(t *testing.T, engine, program string) *soak {
	t.Helper()
	s := &soak{
		T: t, engine: engine, program: program, dir: t.TempDir(), seed: 20261123,
		rate: 40, load: 8 * time.Second, warm: 500 * time.Millisecond, calm: 500 * time.Millisecond, later: 700 * time.Millisecond,
		books: &books{payouts: make(map[string]*payout), bodies: make(map[string]uint64), kinds: make(map[string]int)}, watch: newWatch(),
		web: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	retry := "100ms"
	if text := os.Getenv("MILAAN_TEST_SOAK"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil || length < 4*time.Minute {
			t.Fatalf("MILAAN_TEST_SOAK is %q: give a time from 4m on", text)
		}
		s.long, s.rate, retry = true, 0, "500ms"
		s.load, s.warm, s.calm, s.later = length, length/10, length/10, 40*time.Second
	}
	if text := os.Getenv("MILAAN_TEST_SOAK_RATE"); text != "" {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 {
			t.Fatalf("MILAAN_TEST_SOAK_RATE is %q: give payments a second", text)
		}
		s.rate = rate
	}
	s.env = append(os.Environ(), "MILAAN_ALLOW_PRIVATE_TARGETS=true", "MILAAN_POSTBACK_FIRST_RETRY="+retry, "MILAAN_LOG_LEVEL=warn",
		"MILAAN_SECRET_KEY="+secretKey,
		// Every wrong UTR counts, and none of so many brings a merchant into review.
		"MILAAN_MERCHANT_FAILURES=100000000", "MILAAN_UNCLAIMED_AFTER=2m", "MILAAN_CLAIM_TTL=10m")
	t.Cleanup(s.web.CloseIdleConnections)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, g := range s.gateways {
			if lines, err := g.complaints(); err == nil {
				t.Logf("gateway %s logged %v", g.name, lines)
			}
		}
	})
	return s
}

// command runs milaan until it succeeds, as a person does whose database is
// away for a moment.
func (s *soak) command(ctx context.Context, args ...string) (said string, err error) {
	for range 60 {
		cmd := exec.CommandContext(ctx, s.program, args...)
		cmd.Env = s.env
		var out []byte
		if out, err = cmd.CombinedOutput(); err == nil {
			return string(out), nil
		}
		said, err = string(out), fmt.Errorf("milaan %s: %w: %s", strings.Join(args, " "), err, out)
		if ctx.Err() != nil || !strings.Contains(said, "connect") && !strings.Contains(said, "EOF") && !strings.Contains(said, "57P0") && !strings.Contains(said, "locked") {
			return said, err
		}
		if !s.sleep(ctx, 500*time.Millisecond) {
			break
		}
	}
	return said, err
}

func (s *soak) must(args ...string) string {
	s.Helper()
	said, err := s.command(s.Context(), args...)
	if err != nil {
		s.Fatal(err)
	}
	return said
}

// measure asks `milaan load` what this machine reaches, on a database of its own.
func (s *soak) measure(database string) {
	s.Helper()
	if !s.long {
		return
	}
	g := newGateway(s.T, "peak", s.program, s.dir, append(s.env, database)...)
	if err := g.start(s.Context()); err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), s.program, "apply", "../../examples/load.yaml")
	cmd.Env = append(s.env, database)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("apply: %v: %s", err, out)
	}
	said := s.must("load", "--url", "http://"+g.addr, "--secret", "loadsecret", "--feed", "bank1", "--token", "loadtoken", "--activations", "100000")
	found := regexp.MustCompile(`activations .* (\d+)/s`).FindStringSubmatch(said)
	if found == nil {
		s.Fatalf("milaan load says %s", said)
	}
	s.peak, _ = strconv.Atoi(found[1])
	if s.rate == 0 {
		s.rate = s.peak / 4 // each is a report and a claim at least: half of the peak
	}
	if err := g.kill(); err != nil {
		s.Fatal(err)
	}
	s.Logf("milaan load reaches %d activations/s; the soak begins %d payments/s", s.peak, s.rate)
}

// run is the soak: the load with its faults, the drain, and the reckoning.
func (s *soak) run() {
	s.Helper()
	for i := range merchants {
		s.shops = append(s.shops, newShop(s, i))
		s.accounts = append(s.accounts, &ledger{shop: i, balance: 100_000_00})
	}
	s.infirmary = &shop{soak: s, addr: porttest.FreeAddr(s.T)}
	s.hook, s.owner = newHook(s, hookSecret), newHook(s, ownerSecret)
	s.apply(false)
	for _, g := range s.gateways {
		if err := g.start(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	if s.long {
		s.sleep(s.Context(), 5*time.Second)
	}
	s.start = s.goroutines()
	s.books.began = time.Now()
	watching, stopWatching := context.WithCancel(s.Context())
	var watched sync.WaitGroup
	every := time.Second
	if s.long {
		every = 5 * time.Second
	}
	watched.Go(func() { s.watch.until(watching, s, every) })

	plan := s.schedule()
	s.live(plan)
	s.Logf("%s: the load is over after %s", s.engine, s.books.since().Round(time.Second))
	s.drain()
	s.Logf("%s: everything is told after %s", s.engine, s.books.since().Round(time.Second))
	audited := s.audit()
	s.settleDown()
	stopWatching()
	watched.Wait()
	s.stop()
	verified := s.reckon(audited)
	s.judge()
	s.Logf("%s: %d payments, %d calls not answered, %d faults, %s", s.engine, s.books.count(), s.watch.count(), len(plan), verified)
	s.publish(plan, audited, verified)
}

func (w *watch) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, times := range w.errors {
		n += times
	}
	return n
}

func (s *soak) apply(mended bool) {
	s.Helper()
	file := filepath.Join(s.dir, "soak.yaml")
	if err := os.WriteFile(file, []byte(s.installation(mended)), 0o600); err != nil {
		s.Fatal(err)
	}
	s.must("apply", file)
}

func (s *soak) goroutines() float64 {
	m, err := s.gateways[0].metrics(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return m["go_goroutines"]
}

// mostOpen is how many payments may be under way before the generator leaves
// some out: its own memory has an end, too.
const mostOpen = 3_000

// live is the time of the load.
func (s *soak) live(plan []fault) {
	s.Helper()
	// What goes on as long as the load does, and what may take longer.
	loading, over := context.WithTimeout(s.Context(), s.load)
	defer over()
	finishing, late := context.WithTimeout(s.Context(), s.load+5*time.Minute)
	defer late()
	var background, flows sync.WaitGroup
	background.Go(func() { s.breakThings(loading, plan) })
	every := 2 * time.Second
	if s.long {
		every = 20 * time.Second
	}
	background.Go(func() { s.statements(loading, every) })
	background.Go(func() {
		for n := 0; s.sleep(loading, s.load/12); n++ {
			s.settle(finishing, n)
		}
	})
	open, begun := atomic.Int64{}, 0
	for tick := time.NewTicker(10 * time.Millisecond); loading.Err() == nil; {
		select {
		case <-loading.Done():
			tick.Stop()
		case <-tick.C:
		}
		for due := int(s.books.since().Seconds() * float64(s.rate)); begun < due; begun++ {
			if open.Load() >= mostOpen {
				s.skipped++
				continue
			}
			o := s.books.open(s.draw)
			open.Add(1)
			flows.Go(func() {
				defer open.Add(-1)
				if err := s.pay(finishing, o); err != nil {
					s.wrong("payment %d (%s): %v", o.n, kinds[o.kind], err)
				}
			})
			if o.n%150 == 75 || !s.long && o.n%20 == 10 {
				flows.Go(func() { s.withdraw(finishing, o.n) })
			}
		}
	}
	background.Wait()
	flows.Wait()
	s.looking.Wait()
	for _, l := range s.accounts {
		if err := l.send(finishing, s); err != nil {
			s.wrong("the last statement: %v", err)
		}
	}
}

// drain mends the servers that were never well, and waits until every merchant
// was told of everything.
func (s *soak) drain() {
	s.Helper()
	mux := http.NewServeMux()
	for i, m := range merchants {
		if i < soundShops {
			continue
		}
		s.shops[i].become(well)
		mux.HandleFunc("/"+m.id, s.shops[i].take)
	}
	if err := s.infirmary.listen(s.Context(), mux); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(s.infirmary.down)
	s.apply(true)
	began := s.books.began.Add(-time.Minute).Format(time.RFC3339)
	for _, m := range merchants[soundShops:] {
		s.must("postbacks", "resend", "--merchant", m.id, "--from", began)
	}
	everybody := func(int) bool { return true }
	for deadline := time.Now().Add(10 * time.Minute); ; s.sleep(s.Context(), 500*time.Millisecond) {
		missing, untold, events := s.books.missing(everybody), s.books.untold(), s.books.unheard()
		if missing+untold+events == 0 {
			return
		}
		if !s.long {
			// What a gateway took into its grave is leased to it for 30 s: not so long here.
			if err := s.releaseLeases(); err != nil {
				s.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			s.wrong("%d payments and %d withdrawals were not told to their merchants, and %d not to a webhook", missing, untold, events)
			return
		}
	}
}

func (s *soak) releaseLeases() error {
	config := server.DefaultConfig()
	config.DatabaseURL, config.SecretKey = s.url, secretKey
	db, err := server.OpenStore(s.Context(), config)
	if err != nil {
		return err
	}
	return errors.Join(db.ReleaseLeases(s.Context(), time.Now()), db.Close())
}

// untold counts withdrawals that must have ended and whose merchant was not told.
func (b *books) untold() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.payouts {
		if !p.told && (p.ends == "01" || p.ends == "02") {
			n++
		}
	}
	return n
}

// unheard counts payments of alpha's that its webhook was not told of.
func (b *books) unheard() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.payments {
		if p := &b.payments[i]; p.shop == 0 && p.credited() && p.events == 0 {
			n++
		}
	}
	return n
}

// reckoning is what came out, by the doors' own word.
type reckoning struct {
	payments, credits, deposits, repeats int
	contested                            int // withdrawals
	byKind                               [len(kinds)]int
	states                               map[string]int // of withdrawals
	paid, held, owed, fees, unclaimed    money.Paise
	checks                               []string
}

// audit asks the doors about all that was acknowledged.
func (s *soak) audit() *reckoning {
	s.Helper()
	all := s.books.all()
	r := &reckoning{payments: len(all), states: make(map[string]int)}
	net := make([]money.Paise, len(merchants))
	reports := make([][]order, len(merchants))
	ctx := s.Context()
	for i := range all {
		p := &all[i]
		r.byKind[p.kind]++
		if p.told > 0 {
			r.repeats += p.told - 1
		}
		if p.reported {
			r.credits++
			reports[p.shop] = append(reports[p.shop], p.order)
		}
		switch {
		case p.credited():
			r.deposits++
			r.fees += merchants[p.shop].fee
			net[p.shop] += p.amount - merchants[p.shop].fee
		case p.reported:
			r.unclaimed += p.amount
			fallthrough
		default:
			if p.told > 0 || p.events > 0 {
				s.wrong("payment %d (%s) was told, and is not credited", p.n, kinds[p.kind])
			}
		}
		if p.shop == 0 && p.credited() && p.events != 1 {
			s.wrong("payment %d has %d events", p.n, p.events)
		}
	}
	// Every credit that was acknowledged is known: told again, it is a duplicate.
	const batch = 250
	lookUp(s, reports, batch, func(shop int, some []order) error {
		var body strings.Builder
		for i, o := range some {
			fmt.Fprintf(&body, `%s{"utr":%q,"amount":%q}`, strings.Repeat(",", min(i, 1)), o.utr(), o.amount.Fixed())
		}
		sum, _, err := s.tell(ctx, call{method: http.MethodPost, path: "/feeds/" + merchants[shop].id + "-bank", bearer: "token-bank", body: `{"credits":[` + body.String() + `]}`})
		if err == nil && sum.Duplicate != len(some) {
			err = fmt.Errorf("of %d credits that were acknowledged %d are new or refused: %+v", len(some), len(some)-sum.Duplicate, sum)
		}
		return err
	})
	// Every claim that was acknowledged stands as it must: made again, it is answered so.
	claims := make([][]order, len(merchants))
	for i := range all {
		if all[i].claimed {
			claims[all[i].shop] = append(claims[all[i].shop], all[i].order)
		}
	}
	lookUp(s, claims, 1, func(_ int, some []order) error {
		o := some[0]
		c := s.activation(o, o.id())
		c.kind = ""
		said, err := s.ask(ctx, c)
		switch {
		case err != nil:
			return err
		case all[o.n].reported:
			return s.mustSay(said.body, "ok", o)
		case bytes.Contains(said.body, []byte(`"status":"fail"`)): // its time is up
			return nil
		default:
			return s.mustSay(said.body, "possible_transaction_created", o)
		}
	})
	r.fees += s.auditPayouts(r, net)
	for shop := range merchants {
		r.owed += net[shop]
	}
	r.checks = append(r.checks,
		fmt.Sprintf("%s credits that were acknowledged are known: each was reported again, and each was a duplicate.", thousands(r.credits)),
		fmt.Sprintf("%s claims that were acknowledged stand as they must, made again: %s are credited, with their amount; %s, whose UTR no bank reported, are not.",
			thousands(flat(claims)), thousands(r.deposits), thousands(flat(claims)-r.deposits)),
	)
	return r
}

func flat(lists [][]order) (n int) {
	for _, list := range lists {
		n += len(list)
	}
	return n
}

// lookUp goes through orders, by merchant and some at a time.
func lookUp(s *soak, lists [][]order, batch int, look func(shop int, some []order) error) {
	type job struct {
		shop int
		some []order
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for j := range jobs {
				if err := look(j.shop, j.some); err != nil {
					s.wrong("afterwards: %v", err)
				}
			}
		})
	}
	for shop, list := range lists {
		for len(list) > 0 {
			n := min(batch, len(list))
			jobs <- job{shop, list[:n]}
			list = list[n:]
		}
	}
	close(jobs)
	workers.Wait()
}

// auditPayouts asks how withdrawals ended and what the balances are, and gives
// the fees that were earned by them.
func (s *soak) auditPayouts(r *reckoning, net []money.Paise) (fees money.Paise) {
	s.Helper()
	held := make([]money.Paise, len(merchants))
	may := map[string][]client.WithdrawalState{
		"01": {client.WithdrawalSucceeded}, "02": {client.WithdrawalFailed}, "03": {client.WithdrawalProcessing, client.WithdrawalSucceeded},
		"04": {client.WithdrawalProcessing, client.WithdrawalSucceeded}, "05": {client.WithdrawalProcessing},
	}
	for shop, m := range merchants {
		c, err := client.New(client.Config{API: "http://" + s.gateways[0].addr, Merchant: m.id, Secret: "secret-" + m.id, WithdrawalKey: "withdraw-" + m.id})
		if err != nil {
			s.Fatal(err)
		}
		// A withdrawal may end between being asked about and the balance: then it is asked again.
		for try := 0; ; try++ {
			owed, onHold, paid, earned := net[shop], money.Paise(0), money.Paise(0), money.Paise(0)
			states := make(map[string]int)
			for _, p := range s.books.payouts {
				if p.shop != shop {
					continue
				}
				got, err := c.WithdrawalStatus(s.Context(), p.id)
				if err != nil {
					s.wrong("withdrawal %s was acknowledged: %v", p.id, err)
					continue
				}
				p.state = got.State
				known := false
				for _, state := range may[p.ends] {
					known = known || state == p.state
				}
				if !known || got.Amount != p.amount {
					s.wrong("withdrawal %s of %s to an account with %s is %s, %s", p.id, p.amount, p.ends, p.state, got.Amount)
				}
				states[string(p.state)]++
				switch p.state {
				case client.WithdrawalFailed, client.WithdrawalCanceled:
				case client.WithdrawalSucceeded:
					owed -= p.amount + payoutFee
					paid += p.amount
					earned += payoutFee
				default:
					owed -= p.amount + payoutFee
					onHold += p.amount + payoutFee
				}
			}
			list, err := c.Balances(s.Context())
			if err != nil {
				s.Fatal(err)
			}
			var have client.Balance
			if len(list) > 0 {
				have = list[0]
			}
			if have.Available != owed || have.Held != onHold {
				if try < 5 {
					s.sleep(s.Context(), 500*time.Millisecond)
					continue
				}
				s.wrong("%s has %s and %s held, and ought to have %s and %s", m.id, have.Available, have.Held, owed, onHold)
			}
			net[shop], held[shop] = owed, onHold
			r.paid += paid
			fees += earned
			for state, n := range states {
				r.states[state] += n
			}
			break
		}
		r.held += held[shop]
	}
	r.checks = append(r.checks, fmt.Sprintf("%d withdrawals and settlements ended as their accounts say, and the balances of all %d merchants are those of the test's own books, to the paisa.",
		len(s.books.payouts), len(merchants)))
	return fees
}

// settleDown waits until the first gateway is as it was before the load: what
// kept connections alive times out.
func (s *soak) settleDown() {
	s.Helper()
	s.web.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	s.end = s.goroutines()
	if !s.long {
		return
	}
	for deadline := time.Now().Add(4 * time.Minute); s.end > s.start+goroutineSlack && time.Now().Before(deadline); s.end = s.goroutines() {
		s.sleep(s.Context(), time.Second)
	}
	if s.end > s.start+goroutineSlack {
		text, _ := get(s.Context(), "http://"+s.gateways[0].admin+"/debug/pprof/goroutine?debug=1")
		s.wrong("the gateway had %.0f goroutines before the load and has %.0f after it:\n%.5000s", s.start, s.end, text)
	}
}

// Bounds of the long form. They are wide: a leak of one goroutine or a kilobyte
// for each payment is beyond them by orders of magnitude.
const (
	goroutineSlack = 40 // an idle connection to a merchant's server is two, and there are eight
	memorySlack    = 32 << 20
	residentSlack  = 128 << 20 // what a burst took is given back to the system slowly
	memoryGrowth   = 1.3
)

// reckon verifies the books and compares them with the test's own.
func (s *soak) reckon(r *reckoning) (took time.Duration) {
	s.Helper()
	s.settleLate(r)
	start := time.Now()
	said := s.must("verify")
	took = time.Since(start).Round(10 * time.Millisecond)
	for name, want := range map[string]string{
		"credits": strconv.Itoa(r.credits), "deposits": strconv.Itoa(r.deposits),
		"unclaimed": money.Format(r.unclaimed, money.English), "owed to merchants": money.Format(r.owed, money.English),
		"held by withdrawals": money.Format(r.held, money.English), "fees earned": money.Format(r.fees, money.English),
		"left wallets": money.Format(s.charged(), money.English),
	} {
		found := regexp.MustCompile(`(?m)^` + name + `\s+(.*)$`).FindStringSubmatch(said)
		if found == nil || found[1] != want {
			s.wrong("milaan verify says %q of %s, and the test's books say %s:\n%s", found, name, want, said)
		}
	}
	if !strings.Contains(said, "every invariant holds") {
		s.wrong("milaan verify says %s", said)
	}
	// A provider that knows nothing of an order any more, as the sandbox does whose gateway was killed, may
	// contradict what it said: then a person looks at it, and no balance changes.
	if said := s.must("payout", "list", "--contested"); !strings.Contains(said, "there is none") {
		r.contested = strings.Count(said, "\n") - 1
		s.Logf("contested:\n%s", said)
	}
	for _, g := range s.gateways {
		lines, err := g.complaints()
		if err != nil {
			s.wrong("read the log: %v", err)
		}
		for line, n := range lines {
			if strings.HasPrefix(line, "PANIC") {
				s.wrong("gateway %s logged %d times: %s", g.name, n, line)
			}
		}
	}
	return took
}

var listedPayout = regexp.MustCompile(`(?m)^\d+\s+\S+\s+(\S+)\s.*\s(new|approved|processing|success|failed|canceled)\s+\d{4}-`)

// settleLate notes withdrawals that were paid after they were asked about and
// before the gateways stopped.
func (s *soak) settleLate(r *reckoning) {
	s.Helper()
	list := listedPayout.FindAllStringSubmatch(s.must("payout", "list", "--all", "--limit", "1000000"), -1)
	if len(list) != len(s.books.payouts) {
		s.wrong("%d withdrawals are listed, and %d were acknowledged", len(list), len(s.books.payouts))
	}
	for _, m := range list {
		p := s.books.payouts[m[1]]
		switch now := client.WithdrawalState(m[2]); {
		case p == nil:
			s.wrong("nobody asked for withdrawal %s", m[1])
		case now == p.state:
		case now == client.WithdrawalSucceeded && (p.ends == "03" || p.ends == "04"):
			r.held -= p.amount + payoutFee
			r.fees += payoutFee
			r.states[string(p.state)]--
			r.states[string(now)]++
		default:
			s.wrong("withdrawal %s to an account with %s was %s and is %s", p.id, p.ends, p.state, now)
		}
	}
}

func (s *soak) charged() (sum money.Paise) {
	for _, l := range s.accounts {
		sum += chargeOf * money.Paise(l.charges)
	}
	return sum
}

// judge holds memory, goroutines and connections to being flat, in the long form.
func (s *soak) judge() {
	s.Helper()
	if !s.long {
		return
	}
	seen := 0
	for i, g := range s.gateways {
		for _, x := range s.trends(i) {
			seen++
			if x.last.live > x.first.live*memoryGrowth+memorySlack {
				s.wrong("gateway %s: %s live from %s on, %s up to %s", g.name, megabytes(x.first.live), x.from, megabytes(x.last.live), x.to)
			}
			if x.last.memory > x.first.memory*memoryGrowth+residentSlack {
				s.wrong("gateway %s: %s resident from %s on, %s up to %s", g.name, megabytes(x.first.memory), x.from, megabytes(x.last.memory), x.to)
			}
			// The load is the same: so is what serves it, but for what a fault left under way.
			if x.last.goroutines > 2*x.first.goroutines+200 {
				s.wrong("gateway %s: %.0f goroutines from %s on, %.0f up to %s", g.name, x.first.goroutines, x.from, x.last.goroutines, x.to)
			}
			if x.last.files > 2*x.first.files+200 || x.last.connections > 16 {
				s.wrong("gateway %s: files %.0f, then %.0f; connections to the database %.0f", g.name, x.first.files, x.last.files, x.last.connections)
			}
		}
	}
	if seen == 0 {
		s.wrong("no gateway ran long enough to be judged")
	}
}

func (s *soak) trends(gateway int) []stretch {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return stretches(s.watch.samples, gateway, s.warm, s.load, s.load/15)
}

// publish writes the page's part of this engine, where a page is named.
func (s *soak) publish(plan []fault, r *reckoning, verified time.Duration) {
	s.Helper()
	path := os.Getenv("MILAAN_TEST_SOAK_REPORT")
	if path == "" || !s.long {
		return
	}
	page, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(replacePart(string(page), s.engine, s.page(plan, r, verified))), 0o644); err != nil {
		s.Fatal(err)
	}
}
