package sms

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1777870230, 0)
	m := memory{limit: 3}
	for i := range 3 {
		if _, err := m.admit(fmt.Sprint(i), nil, now.Add(time.Minute), now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.admit("3", nil, now.Add(time.Minute), now); !errors.Is(err, ErrBusy) {
		t.Errorf("a fourth: %v", err)
	}
	if _, err := m.admit("0", nil, now.Add(time.Minute), now); err != nil {
		t.Errorf("a known one that is not settled: %v", err)
	}
	later := now.Add(2 * time.Minute)
	if _, err := m.admit("3", nil, later.Add(time.Minute), later); err != nil || len(m.seen) != 1 {
		t.Errorf("after the others expired: %v, %d kept", err, len(m.seen))
	}
}

func TestParseBanksRefuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"a: [HDFCBK]\nb: [HDFCBK]", "a: [hdfcbk]", "a: [HDFC8K]", "a: [AB]", "a: HDFCBK", "a: [HDFCBK-S]", "a: [ABCDEFG]"} {
		if _, err := parseBanks([]byte(raw)); err == nil {
			t.Errorf("%q is taken", raw)
		}
	}
}
