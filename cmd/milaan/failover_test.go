//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/milaan/milaan/internal/store/storetest"
)

// TestFailover kills the PostgreSQL that two gateways work on, and promotes its
// synchronous standby. What the gateways acknowledged is there, once; clients are
// told to try again meanwhile; and the gateways go on by themselves.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := storetest.StartServer(t)
	// It must not wait for a standby of its own once it is the primary.
	standby := primary.Standby(t, "standby", "synchronous_standby_names=")
	primary.Do(t, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (standby)'")
	primary.Do(t, "SELECT pg_reload_conf()")
	primary.Await(t, "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE application_name = 'standby' AND sync_state = 'quorum')")

	f := newFleet(t, build(t), storetest.URL("postgres", primary, standby))
	first, second := f.join(t, f.program), f.join(t, f.program)
	f.ask(first.addr, second.addr)
	stop := f.work(t, 6, 0)
	until(t, &f.payments, 200, "payments")

	primary.Kill(t)
	until(t, &f.shed, 50, "answers that say to try again")
	promoted := time.Now()
	standby.Promote(t)
	until(t, &f.payments, 1, "payments after the promotion")
	t.Logf("the first payment %v after the order to promote", time.Since(promoted).Round(time.Millisecond))
	until(t, &f.payments, 200, "payments after the promotion")
	stop()

	if n := f.broken.Load(); n > 0 {
		t.Errorf("%d requests got no answer, though the gateways lived", n)
	}
	f.settle(t, 300)
	first.leave(t)
	second.leave(t)
}
