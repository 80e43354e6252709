package client_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/client"
)

// till counts what was taken.
type till struct {
	mu    sync.Mutex
	taken []client.Postback
	fails int // how often it is to fail first
}

func (s *till) take(_ context.Context, p client.Postback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return errors.New("the database is away")
	}
	s.taken = append(s.taken, p)
	return nil
}

func (s *till) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

func newHandler(t *testing.T, c client.HandlerConfig) http.Handler {
	t.Helper()
	c.Keys, c.Now = []client.Keys{keys}, func() time.Time { return noon }
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h, err := client.NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func deliver(t *testing.T, h http.Handler, d *delivery) (status int, said string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/postback", bytes.NewReader(d.body))
	r.Header = d.header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const taken = `{"status":"ok"}`

func TestHandlerTakesOnce(t *testing.T) {
	t.Parallel()
	var s till
	h := newHandler(t, client.HandlerConfig{OnDeposit: s.take})
	again := deposit()
	again.at = noon.Add(time.Minute) // a repeat has a timestamp of its own
	for _, d := range []*delivery{deposit().sign(), deposit().sign(), again.sign()} {
		if status, said := deliver(t, h, d); status != http.StatusOK || said != taken {
			t.Errorf("answered %d %s", status, said)
		}
	}
	if s.count() != 1 {
		t.Errorf("taken %d times", s.count())
	}
	other := deposit()
	other.additional = strings.Replace(other.additional, "A/1", "A/2", 1)
	if _, said := deliver(t, h, other.sign()); said != taken || s.count() != 2 {
		t.Errorf("another payment: %s, taken %d", said, s.count())
	}
}

func TestHandlerTakesOnceAtTheSameTime(t *testing.T) {
	t.Parallel()
	var s till
	h := newHandler(t, client.HandlerConfig{OnDeposit: s.take})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, said := deliver(t, h, deposit().sign()); said != taken {
				t.Errorf("answered %s", said)
			}
		})
	}
	wg.Wait()
	if s.count() != 1 {
		t.Errorf("taken %d times", s.count())
	}
}

// TestHandlerIsAskedAgain: what could not be taken is not confirmed, and is
// taken later.
func TestHandlerIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := till{fails: 2}
	h := newHandler(t, client.HandlerConfig{OnDeposit: s.take})
	for i, want := range []int{500, 500, 200, 200} {
		if status, said := deliver(t, h, deposit().sign()); status != want || (said == taken) != (want == http.StatusOK) {
			t.Errorf("delivery %d: answered %d %s", i, status, said)
		}
	}
	if s.count() != 1 {
		t.Errorf("taken %d times", s.count())
	}
}

func TestHandlerSurvivesPanic(t *testing.T) {
	t.Parallel()
	var s till
	panics := 1
	h := newHandler(t, client.HandlerConfig{OnDeposit: func(ctx context.Context, p client.Postback) error {
		if panics--; panics == 0 {
			panic("a fault")
		}
		return s.take(ctx, p)
	}})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was hidden")
			}
		}()
		deliver(t, h, deposit().sign())
	}()
	if _, said := deliver(t, h, deposit().sign()); said != taken || s.count() != 1 {
		t.Errorf("answered %s, taken %d", said, s.count())
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	var s till
	var log bytes.Buffer
	h := newHandler(t, client.HandlerConfig{OnDeposit: s.take, Log: slog.New(slog.NewTextHandler(&log, nil))})
	long := deposit()
	long.body = bytes.Repeat([]byte(" "), 300<<10)
	for _, tt := range []struct {
		name string
		d    *delivery
		want int
	}{
		{"a changed amount", deposit().sign().swap(`"amount":500.1`, `"amount":5001`), http.StatusForbidden},
		{"nothing", &delivery{header: http.Header{}}, http.StatusForbidden},
		{"a long body", long.signHeaders(), http.StatusRequestEntityTooLarge},
		{"a withdrawal that nobody is there for", withdrawal().sign(), http.StatusInternalServerError},
	} {
		if status, said := deliver(t, h, tt.d); status != tt.want || said != `{"status":"fail"}` {
			t.Errorf("%s: answered %d %s", tt.name, status, said)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/postback", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %d", w.Code)
	}
	if s.count() != 0 {
		t.Errorf("taken %d times", s.count())
	}
	if text := log.String(); strings.Count(text, "was not taken") != 4 || strings.Contains(text, "355015818634") {
		t.Errorf("the log is\n%s", text)
	}
}

func TestHandlerTellsWithdrawals(t *testing.T) {
	t.Parallel()
	var in, out till
	h := newHandler(t, client.HandlerConfig{OnDeposit: in.take, OnWithdrawal: out.take})
	for range 2 {
		if _, said := deliver(t, h, withdrawal().sign()); said != taken {
			t.Errorf("answered %s", said)
		}
	}
	if in.count() != 0 || out.count() != 1 || out.taken[0].Withdrawal.State != client.WithdrawalSucceeded {
		t.Errorf("taken %d deposits and %d withdrawals", in.count(), out.count())
	}
}

func TestMemoryWaitsNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	var m client.Memory
	ctx, cancel := context.WithCancel(t.Context())
	err := m.Once(t.Context(), "a", func(context.Context) error {
		cancel()
		// The key is held by this very call.
		return m.Once(ctx, "a", func(context.Context) error { t.Error("taken at the same time"); return nil })
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestNewHandlerRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []client.HandlerConfig{{OnDeposit: new(till).take}, {Keys: []client.Keys{keys}}} {
		if _, err := client.NewHandler(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
