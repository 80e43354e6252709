package window

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)
	l := newLimits(10*time.Second, 3)
	for i := range 3 {
		if wait := l.take("a", now); wait > 0 {
			t.Fatalf("number %d waits %s", i+1, wait)
		}
	}
	if wait := l.take("a", now); wait != 10*time.Second {
		t.Errorf("one too many waits %s", wait)
	}
	if wait := l.take("b", now); wait > 0 {
		t.Errorf("another waits %s", wait)
	}
	if wait := l.take("a", now.Add(10*time.Second)); wait > 0 {
		t.Errorf("after the wait it still waits %s: refused ones must not count", wait)
	}
}

func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)
	l := newLimits(time.Second, 1)
	for i := range mostNames + 100 {
		l.take(strconv.Itoa(i), now)
	}
	if len(l.byName) > mostNames {
		t.Errorf("%d names are kept", len(l.byName))
	}
	l.take("late", now.Add(time.Minute))
	if len(l.byName) != 1 {
		t.Errorf("%d names are kept, though all but one are quiet", len(l.byName))
	}
}

func TestWatchersAreBounded(t *testing.T) {
	t.Parallel()
	ws := newWatchers()
	here, there := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	for range mostOfOne {
		if !ws.enter("a", here) {
			t.Fatal("the first of a payment are refused")
		}
	}
	if ws.enter("a", there) {
		t.Error("one payment has too many")
	}
	for i := range mostOfAddr - mostOfOne {
		ws.enter(strconv.Itoa(i), here)
	}
	if ws.enter("b", here) || !ws.enter("b", there) {
		t.Error("one address has too many, or keeps others out")
	}
	for i := ws.all; i < mostWatchers; i++ {
		ws.enter("c"+strconv.Itoa(i), netip.Addr{}) // a proxy's has no bound of its own
	}
	if ws.all != mostWatchers || ws.enter("d", there) {
		t.Errorf("there are %d, and room for more", ws.all)
	}
	ws.leave("a", here)
	if !ws.enter("a", there) {
		t.Error("who left still counts")
	}
}
