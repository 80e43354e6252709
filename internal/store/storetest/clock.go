package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
)

// testClockJumps makes payments while the gateway's clock jumps ahead and back, as
// one does that is set by hand. Claims may expire too early or too late by it, and
// credits look old; but no credit is lost or given twice, and whoever asks again
// gets the answer that holds.
func testClockJumps(t *testing.T, fresh Fresh) {
	t.Helper()
	h := MustOpenHouse(t, fresh(t), Setup{})
	seed := rand.Uint64() //nolint:gosec // of a test
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // of a test
	jumps := []time.Duration{time.Second, time.Hour, 24 * time.Hour, 10 * 24 * time.Hour, 365 * 24 * time.Hour}
	jump := func() {
		d := jumps[random.IntN(len(jumps))]
		if random.IntN(2) == 0 {
			d = -d
		}
		h.Clock.Advance(d)
	}
	const payments = 60
	states := make(map[int]deposit.Claim)
	claim := func(n int) {
		c, err := h.Desk.Activate(t.Context(), Claim(fmt.Sprint("jump", n), UTR(7000+n), Rupees(500)))
		var refusal *deposit.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if was := states[n]; was.State == deposit.Credited && (c.ID != was.ID || c.State != was.State || c.CreditID != was.CreditID) {
			t.Errorf("claim %d was %+v and is %+v", n, was, c)
		}
		states[n] = c
	}
	report := func(n int) {
		if s, err := h.Report("till", h.Entry(UTR(7000+n), Rupees(500))); err != nil || s.Accepted+s.Duplicate != 1 {
			t.Fatalf("credit %d: %+v, %v", n, s, err)
		}
	}
	for n := range payments {
		steps := []func(int){claim, report, claim, report}
		random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			step(n)
			jump()
		}
		if _, err := h.Desk.ExpireDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for n := range payments {
		claim(n)
	}
	r := h.MustVerify()
	if r.Credits != payments {
		t.Errorf("%d credits are there of %d", r.Credits, payments)
	}
	if r.Deposits == 0 {
		t.Error("nothing was credited: the jumps test nothing")
	}
}
