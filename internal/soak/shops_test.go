//go:build unix

package soak_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/porttest"
	"github.com/milaan/milaan/money"
)

// manner is how a merchant's server treats who calls it.
type manner int32

const (
	well     manner = iota
	slow            // answers in 20 to 80 ms
	flaky           // answers a third with 500
	hanging         // never answers
	refusing        // has nobody who listens
	failing         // answers everything with 500
	gone            // answers 410
)

// merchants are those of the soak. The first four are told at last whatever
// happens; the others only once their servers are mended.
var merchants = [...]struct {
	id     string
	manner manner
	fee    money.Paise // of each deposit
}{
	{"alpha", well, 0}, {"beta", well, 1_50}, {"gamma", slow, 0}, {"delta", flaky, 0},
	{"hang", hanging, 0}, {"refuse", refusing, 0}, {"fail", failing, 0}, {"gone", gone, 0},
}

const soundShops = 4

// payoutFee is what each withdrawal costs.
const payoutFee money.Paise = 5_00

const (
	hookSecret  = "whsec_bWlsYWFuLXNvYWstdGVzdC1ob29rLWtleS0wMQ=="
	ownerSecret = "whsec_bWlsYWFuLXNvYWstdGVzdC1vd25lci1rZXktMDI="
)

// shop is a merchant's server.
type shop struct {
	*soak
	index    int
	verifier *client.Verifier
	manner   atomic.Int32
	addr     string

	mu     sync.Mutex
	server *http.Server // nil while it is down
}

func newShop(s *soak, index int) *shop {
	m := merchants[index]
	h := &shop{soak: s, index: index}
	h.manner.Store(int32(m.manner))
	var err error
	if h.verifier, err = client.NewVerifier(client.Keys{AccessKey: "AK-" + m.id, PrivateKey: "PK-" + m.id}); err != nil {
		s.Fatal(err)
	}
	if m.manner == refusing {
		h.addr = "127.0.0.1:1" // nobody listens there
		return h
	}
	h.addr = porttest.FreeAddr(s.T)
	if err := h.up(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(h.down)
	return h
}

// up lets the server listen.
func (h *shop) up(ctx context.Context) error {
	return h.listen(ctx, http.HandlerFunc(h.take))
}

func (h *shop) listen(ctx context.Context, handler http.Handler) error {
	var config net.ListenConfig
	for {
		l, err := config.Listen(ctx, "tcp", h.addr)
		if err == nil {
			h.mu.Lock()
			h.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
			go func(s *http.Server) { _ = s.Serve(l) }(h.server) // until it is closed
			h.mu.Unlock()
			return nil
		}
		// Somebody's outgoing connection may have the port for a moment.
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// down lets nobody listen, and cuts who is connected off.
func (h *shop) down() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		_ = h.server.Close()
		h.server = nil
	}
}

func (h *shop) become(m manner) { h.manner.Store(int32(m)) }

var digests = maphash.MakeSeed()

// take is told of a deposit or a withdrawal.
func (h *shop) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off: it comes again
	}
	p, err := h.verifier.Verify(r.Header, body, time.Now())
	if err != nil {
		h.wrong("%s was told what does not verify: %v", merchants[h.index].id, err)
		http.Error(w, "no postback", http.StatusBadRequest)
		return
	}
	m := manner(h.manner.Load())
	confirmed := true
	switch m {
	case slow:
		time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
	case flaky:
		confirmed = rand.IntN(3) > 0
	case failing:
		confirmed = false
	case gone:
		confirmed = false
	case hanging:
		for r.Context().Err() == nil && manner(h.manner.Load()) == hanging {
			time.Sleep(50 * time.Millisecond)
		}
		confirmed = false
	default:
	}
	h.keep(&p, maphash.Bytes(digests, body)|1, confirmed)
	switch {
	case confirmed:
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	case m == gone:
		http.Error(w, "gone", http.StatusGone)
	default:
		http.Error(w, "not now", http.StatusInternalServerError)
	}
}

func (h *shop) keep(p *client.Postback, body uint64, confirmed bool) {
	if p.Withdrawal != nil {
		h.books.mu.Lock()
		defer h.books.mu.Unlock()
		if out := h.books.payouts[p.Withdrawal.ID]; out != nil {
			out.told = out.told || confirmed
			if p.Amount != out.amount {
				h.wrong("withdrawal %s of %s was told as %s", out.id, out.amount, p.Amount)
			}
		}
		return
	}
	n := numberIn(p.CustomID)
	if n < 0 || n >= h.books.count() {
		h.wrong("%s was told of %q, which nobody paid", merchants[h.index].id, p.CustomID)
		return
	}
	o := h.draw(n)
	if o.shop != h.index || p.Amount != o.amount || string(p.UTR) != o.utr() || p.Label != o.label() {
		h.wrong("payment %d of %s at %s was told as %s at %s", n, o.amount, merchants[o.shop].id, p.Amount, merchants[h.index].id)
	}
	if o.kind == unclaimed || o.kind == mistyped || o.kind == forged {
		h.wrong("payment %d (%s) was told as credited", n, kinds[o.kind])
	}
	if !h.books.told(n, body, confirmed) {
		h.wrong("payment %d was told in two ways", n)
	}
}

func (b *books) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.payments)
}

// newHook is a server that events are told to.
func newHook(s *soak, secret string) *shop {
	h := &shop{soak: s, addr: porttest.FreeAddr(s.T)}
	verifier, err := client.NewWebhookVerifier(secret)
	if err != nil {
		s.Fatal(err)
	}
	err = h.listen(s.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		event, err := verifier.Verify(r.Header, body, time.Now())
		if err != nil {
			s.wrong("an event does not verify: %v", err)
			return
		}
		s.books.hear(s, &event, maphash.Bytes(digests, body))
		w.WriteHeader(http.StatusNoContent)
	}))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(h.down)
	return h
}

// hear keeps an event once, and sees to it that repeats are the same.
func (b *books) hear(s *soak, e *client.WebhookEvent, body uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, repeat := b.bodies[e.ID]
	if repeat {
		if was != body {
			s.wrong("event %s came in two ways", e.ID)
		}
		return
	}
	b.bodies[e.ID] = body
	b.kinds[e.Type]++
	if e.Type != "deposit.credited" || e.Deposit == nil {
		return
	}
	n := numberIn(e.Deposit.CustomID)
	if n < 0 || n >= len(b.payments) {
		s.wrong("event %s tells of %q, which nobody paid", e.ID, e.Deposit.CustomID)
		return
	}
	b.payments[n].events++
}

// installation is the apply file. Where servers are mended, all merchants are at
// the first one's address.
func (s *soak) installation(mended bool) string {
	var f strings.Builder
	schedule := "[" + strings.Repeat("1s, 1s, 2s, 3s, 5s, ", 5) + "5s, 5s, 5s, 5s, 5s]"
	f.WriteString("merchants:\n")
	for i, m := range merchants {
		at := s.shops[i].addr
		if mended && i >= soundShops {
			at = s.infirmary.addr
		}
		fmt.Fprintf(&f, "  - id: %s\n    plugin_api_secret: secret-%s\n    withdrawal_private_key: withdraw-%s\n    fee: {deposit_fixed: %s, withdrawal_fixed: %s}\n",
			m.id, m.id, m.id, m.fee.Fixed(), payoutFee.Fixed())
		fmt.Fprintf(&f, "    postback: {url: 'http://%s/%s', access_key: AK-%s, private_key: PK-%s", at, m.id, m.id, m.id)
		if i < soundShops {
			f.WriteString(", schedule: " + schedule)
		}
		f.WriteString("}\n")
		switch i {
		case 0:
			fmt.Fprintf(&f, "    webhooks: [{id: hook, url: 'http://%s/', events: [deposit.credited], secret: '%s', schedule: %s}]\n", s.hook.addr, hookSecret, schedule)
		case 1:
			f.WriteString("    settlement: {account_number: '998877665501', account_name: Beta Traders, ifsc: HDFC0000001, method: imps_ib}\n")
		}
	}
	fmt.Fprintf(&f, "webhooks: [{id: ops, url: 'http://%s/', events: [withdrawal.*, endpoint.*, feed.*, credit.*, deposit.pending, deposit.expired], secret: '%s', schedule: %s}]\n",
		s.owner.addr, ownerSecret, schedule)
	f.WriteString("wallets:\n")
	for i, m := range merchants {
		fmt.Fprintf(&f, "  - {id: %s, method: upi_l, vpa: %s@hdfcbank, name: %s, bank: hdfc, account: '%s', merchants: [%s]}\n", m.id, m.id, m.id, account(i), m.id)
	}
	f.WriteString("feeds:\n")
	for _, m := range merchants {
		for _, id := range []string{"bank", "second"} {
			fmt.Fprintf(&f, "  - {id: %s-%s, kind: json, wallet: %s, token: token-%s}\n", m.id, id, m.id, id)
		}
		fmt.Fprintf(&f, "  - {id: %s-phone, kind: sms, wallet: %s, token: token-phone}\n", m.id, m.id)
		fmt.Fprintf(&f, "  - {id: %s-signed, kind: sms, wallet: %s, scheme: milaan, secret: secret-of-signed}\n", m.id, m.id)
		fmt.Fprintf(&f, "  - {id: %s-file, kind: statement, wallet: %s, token: token-file}\n", m.id, m.id)
	}
	f.WriteString("payouts:\n  - {id: desk, kind: sandbox, method: imps_ib, approve_above: 100000}\n")
	return f.String()
}

// account is a wallet's account number.
func account(shop int) string { return fmt.Sprintf("5010001234%04d", 7310+shop) }
