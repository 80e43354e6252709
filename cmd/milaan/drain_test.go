package main

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestDrain: a gateway that is told to stop says so first, and serves on until
// whoever sends requests there has noticed. Clients that leave then meet no closed
// door, and the process ends by itself.
func TestDrain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, build(t), "sqlite://"+filepath.Join(t.TempDir(), "milaan.db"))
	m := f.join(t, f.program, "MILAAN_DRAIN_DELAY=15s")
	f.ask(m.addr)
	stop := f.work(t, 4, 0)
	until(t, &f.payments, 20, "payments")

	if err := m.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.await(t, http.StatusServiceUnavailable, "draining")
	until(t, &f.payments, 20, "payments while it drains")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.addr+"/assets/methods/upi.svg", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if !res.Close {
		t.Error("a gateway that drains keeps its connections")
	}
	stop() // as a balancer does that has noticed
	ended := make(chan error, 1)
	go func() { ended <- m.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the gateway did not stop cleanly: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the gateway does not end")
	}
	if n := f.broken.Load() + f.shed.Load(); n > 0 {
		t.Errorf("%d requests met a closed door", n)
	}
	again := f.join(t, f.program)
	f.ask(again.addr)
	f.settle(t, 40)
	again.leave(t)
}
