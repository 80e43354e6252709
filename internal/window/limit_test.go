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

// TestPaces: each bound holds by itself, and what one refuses costs the wider
// ones nothing.
func TestPaces(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 14, 9, 30, 0, 0, time.UTC)
	here, there := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	p := newPaces(time.Hour, 1)
	if p.take("shop", "55", here, now) > 0 || p.take("shop", "55", here, now) == 0 {
		t.Error("a label may do other than one")
	}
	for i := range ofAddress - 1 {
		if wait := p.take("shop", "label "+strconv.Itoa(i), here, now); wait > 0 {
			t.Fatalf("label %d of the address waits %s", i, wait)
		}
	}
	if p.take("shop", "one more", here, now) == 0 || p.take("shop", "elsewhere", there, now) > 0 {
		t.Error("an address has no bound, or holds up another")
	}
	for i := range ofMerchant - ofAddress - 1 {
		if wait := p.take("shop", "crowd "+strconv.Itoa(i), netip.Addr{}, now); wait > 0 {
			t.Fatalf("payer %d of the merchant waits %s", i, wait)
		}
	}
	if p.take("shop", "one more", netip.Addr{}, now) == 0 || p.take("cafe", "55", here, now.Add(time.Hour)) > 0 {
		t.Error("a merchant has no bound, or holds up another")
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
