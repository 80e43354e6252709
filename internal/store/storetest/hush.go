package storetest

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Hush stands between a gateway and its PostgreSQL, and holds back what the
// server answers while it is told to: so does a server that is overloaded, and a
// network that swallows packets.
type Hush struct {
	// URL is the database's, by way of here.
	URL string

	to   string
	gate sync.RWMutex
}

// NewHush listens for connections to a database until the test ends.
func NewHush(tb testing.TB, database string) *Hush {
	tb.Helper()
	u, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h := &Hush{to: u.Host}
	u.Host = l.Addr().String()
	h.URL = u.String()
	go h.serve(l)
	tb.Cleanup(func() { _ = l.Close() })
	return h
}

// Hold keeps answers back from now on.
func (h *Hush) Hold() { h.gate.Lock() }

// Release lets pass what was held back, and all that follows.
func (h *Hush) Release() { h.gate.Unlock() }

func (h *Hush) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		go h.pass(client)
	}
}

func (h *Hush) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", h.to)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // whichever end closes ends both
		_ = server.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		h.gate.RLock()
		_, err = client.Write(buf[:n])
		h.gate.RUnlock()
		if err != nil {
			return
		}
	}
}
