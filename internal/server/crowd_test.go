package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/server"
)

// crowded starts a gateway that serves so many connections at once.
func crowded(t *testing.T, most int) string {
	t.Helper()
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(t.TempDir(), "milaan.db")
	config.Listen, config.AdminListen, config.MaxConnections = "127.0.0.1:0", "127.0.0.1:0", most
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("the gateway stopped with %v", err)
		}
	})
	return g.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// request is answered on the connection, which stays. An error says that nobody
// did, for longer than slow clients are borne with.
func request(t *testing.T, conn net.Conn) error {
	t.Helper()
	if _, err := io.WriteString(conn, "GET /assets/methods/upi.svg HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// TestIdleConnectionsGiveWay: whoever keeps all connections for later does not shut
// others out.
func TestIdleConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const most = 200
	addr := crowded(t, most)
	for n := range 5 * most {
		if err := request(t, dial(t, addr)); err != nil {
			t.Fatalf("connection %d, with all before it idle: %v", n+1, err)
		}
	}
}

// TestSlowConnectionsGiveWay: nor does whoever opens connections and says nothing,
// or half of what there is to say.
func TestSlowConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const most = 200
	addr := crowded(t, most)
	for n := range 2 * most {
		conn := dial(t, addr)
		if n%2 == 1 {
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := request(t, dial(t, addr)); err != nil {
		t.Fatalf("behind %d connections that say nothing: %v", 2*most, err)
	}
}
