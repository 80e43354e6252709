package window

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/patience"
	"github.com/milaan/milaan/internal/payment"
)

const eventsType = "text/event-stream"

// Live news of a payment: each connection looks once a second, which is one
// read by key.
const (
	lookEvery    = time.Second
	heartbeat    = 15 * time.Second // proxies cut what is silent
	watchFor     = 10 * time.Minute // then the browser comes again by itself
	writeTimeout = 10 * time.Second
	mostWatchers = 1000 // connections of the process that wait for news
	mostOfOne    = 4    // and of one payment
	mostOfAddr   = 100  // and of one address
)

// news is what a page learns of its payment.
type news struct {
	State    string `json:"state"`
	Outcome  Kind   `json:"outcome"`
	CustomID string `json:"custom_transaction_id"`
}

func newsOf(p *payment.Payment, c *deposit.Claim) []byte {
	data, err := json.Marshal(news{stateOf(p, c), kindOf(c), p.CustomID})
	if err != nil {
		panic(err) // three texts
	}
	return data
}

// state tells where the payment stands: GET /pay/{token}/state.
func (d *Door) state(v *visit) error {
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(newsOf(v.payment, v.claim)) // a payer who went away misses nothing
	return nil
}

// events tells where the payment stands, and each time that changes: GET
// /pay/{token}/events, server-sent events (HTML Standard, section 9.2).
func (d *Door) events(v *visit) error {
	h := v.w.Header()
	if v.Method == http.MethodHead { // there is no end to wait for
		h.Set("Content-Type", eventsType)
		return nil
	}
	addr := d.ClientAddr(v.Request)
	if !d.watch.enter(v.payment.Token, addr) {
		return &slowError{http.StatusServiceUnavailable, heartbeat} // the page asks /state instead
	}
	defer d.watch.leave(v.payment.Token, addr)
	h.Set("Content-Type", eventsType)
	h.Set("X-Accel-Buffering", "no") // nginx passes events on at once
	patience.Lift(v.Context())
	stream := eventStream{v.w, http.NewResponseController(v.w)}
	last := newsOf(v.payment, v.claim)
	// The server's time to read a request would end the wait.
	if err := stream.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("let a payer wait for news: %w", err)
	}
	if err := stream.send("retry: 3000\ndata: " + string(last) + "\n\n"); err != nil {
		return nil // the payer went away
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	end := time.NewTimer(watchFor)
	defer end.Stop()
	for {
		text := ":\n\n"
		select {
		case <-v.Context().Done():
			return nil
		case <-d.watch.closed:
			return nil
		case <-end.C:
			return nil
		case <-beat.C:
		case <-tick.C:
			now, err := d.newsNow(v)
			if err != nil {
				d.Log.WarnContext(v.Context(), "news of a payment could not be read", "error", err)
				return nil // the browser comes again
			}
			if string(now) == string(last) {
				continue
			}
			last, text = now, "data: "+string(now)+"\n\n"
		}
		if err := stream.send(text); err != nil {
			return nil // the payer went away
		}
	}
}

// newsNow reads where the payment stands. What the page waits for is the claim;
// the payment itself matters only before there is one.
func (d *Door) newsNow(v *visit) ([]byte, error) {
	c, err := d.claimOf(v.Context(), v.payment)
	if err != nil {
		return nil, err
	}
	p := v.payment
	if c == nil {
		if p, err = d.Store.FindPayment(v.Context(), p.Token); err != nil {
			return nil, err
		}
	}
	return newsOf(p, c), nil
}

// eventStream writes events through to the browser, past the deadline that an
// ordinary answer has.
type eventStream struct {
	w       io.Writer
	control *http.ResponseController
}

func (s eventStream) send(text string) error {
	// Recorders of tests have no deadlines.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("give an event its time: %w", err)
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

// watchers counts the connections that wait for news.
type watchers struct {
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	all     int
	byToken map[string]int
	byAddr  map[netip.Addr]int
}

func newWatchers() *watchers {
	return &watchers{closed: make(chan struct{}), byToken: make(map[string]int), byAddr: make(map[netip.Addr]int)}
}

func (ws *watchers) close() { ws.once.Do(func() { close(ws.closed) }) }

// enter counts one more of a payment, and of its address where that is known,
// or says that there are too many.
func (ws *watchers) enter(token string, addr netip.Addr) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all >= mostWatchers || ws.byToken[token] >= mostOfOne || addr.IsValid() && ws.byAddr[addr] >= mostOfAddr {
		return false
	}
	ws.all++
	ws.byToken[token]++
	ws.byAddr[addr]++
	return true
}

func (ws *watchers) leave(token string, addr netip.Addr) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.all--
	if ws.byToken[token]--; ws.byToken[token] == 0 {
		delete(ws.byToken, token)
	}
	if ws.byAddr[addr]--; ws.byAddr[addr] == 0 {
		delete(ws.byAddr, addr)
	}
}
