package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// HandlerConfig is what a handler of postbacks works with. Keys and OnDeposit
// are needed.
type HandlerConfig struct {
	// Keys are the merchant's; two sets while they are replaced.
	Keys []Keys
	// OnDeposit takes a deposit. Compare its label and amount with those of
	// the order before you mark it paid. Where it fails, the gateway sends the
	// postback again.
	OnDeposit func(context.Context, Postback) error
	// OnWithdrawal takes the end of a withdrawal. Where it is nil, one is not
	// answered with ok, so that it stays visible at the gateway.
	OnWithdrawal func(context.Context, Postback) error
	// Seen keeps what was taken; nil for a [Memory] of its own.
	Seen Seen
	// Now is the clock, time.Now where it is nil.
	Now func() time.Time
	// Log takes what went wrong; nil for slog.Default.
	Log *slog.Logger
}

// Seen remembers which postbacks were taken, by [Postback.Key].
type Seen interface {
	// Once calls take unless a call for this key returned nil before, and
	// returns its error. Of two calls at the same time with one key, the
	// second waits for the first. A database does it best in one transaction
	// with what take writes.
	Once(ctx context.Context, key string, take func(context.Context) error) error
}

// maxPostback bounds a body, in bytes. One with all currencies has about 5 kB.
const maxPostback = 256 << 10

// NewHandler makes a handler of POST requests that takes the gateway's
// postbacks, each once. It answers {"status":"ok"} only after the postback was
// taken, now or before. What is not genuine is answered with 403 and reaches
// nobody.
func NewHandler(c HandlerConfig) (http.Handler, error) {
	verifier, err := NewVerifier(c.Keys...)
	if err != nil {
		return nil, err
	}
	if c.OnDeposit == nil {
		return nil, errors.New("client: OnDeposit is needed: it takes the deposits")
	}
	if c.Seen == nil {
		c.Seen = new(Memory)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &handler{c, verifier}, nil
}

type handler struct {
	HandlerConfig
	verifier *Verifier
}

// errWithdrawal is a withdrawal's postback that nobody is there for.
var errWithdrawal = errors.New("a withdrawal's postback came and HandlerConfig.OnWithdrawal is not set")

// ServeHTTP takes one delivery.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, "fail")
		return
	}
	status, err := h.take(w, r)
	if err != nil {
		h.Log.WarnContext(r.Context(), "a postback was not taken", "error", err)
		reply(w, status, "fail")
		return
	}
	reply(w, http.StatusOK, "ok")
}

func reply(w http.ResponseWriter, status int, said string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"status":"`+said+`"}`) // a gateway that went away asks again
}

// take handles a delivery; the status is for what the error says.
func (h *handler) take(w http.ResponseWriter, r *http.Request) (status int, err error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPostback))
	if err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			return http.StatusRequestEntityTooLarge, err
		}
		return http.StatusBadRequest, err
	}
	p, err := h.verifier.Verify(r.Header, raw, h.Now())
	if err != nil {
		return http.StatusForbidden, err
	}
	on := h.OnDeposit
	if p.Withdrawal != nil {
		on = h.OnWithdrawal
	}
	if on == nil {
		return http.StatusInternalServerError, errWithdrawal
	}
	return http.StatusInternalServerError, h.Seen.Once(r.Context(), p.Key(), func(ctx context.Context) error { return on(ctx, p) })
}

// Memory is a [Seen] of one process. It forgets at the end of the process, so
// what takes the postbacks must itself do nothing twice; where that is in
// doubt, let the database remember. The zero value is ready.
type Memory struct {
	mu   sync.Mutex
	keys map[string]chan struct{} // holds a turn until the key is taken; closed from then on
}

// Once implements [Seen].
func (m *Memory) Once(ctx context.Context, key string, take func(context.Context) error) error {
	turns := m.turns(key)
	select {
	case _, open := <-turns:
		if !open {
			return nil
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	taken := false
	defer func() { // after a panic, too
		if taken {
			close(turns)
		} else {
			turns <- struct{}{}
		}
	}()
	if err := take(ctx); err != nil {
		return err
	}
	taken = true
	return nil
}

func (m *Memory) turns(key string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = make(map[string]chan struct{})
	}
	turns := m.keys[key]
	if turns == nil {
		turns = make(chan struct{}, 1)
		turns <- struct{}{}
		m.keys[key] = turns
	}
	return turns
}
