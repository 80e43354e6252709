package postback_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// BenchmarkQueue has ten thousand postbacks wait for a thousand merchants, each
// on an address of its own, of which a hundred hang and a hundred fail. It
// reports when the healthy ones got theirs, from the worker's start on, and,
// to compare, the same with all of them healthy.
//
//	go test ./internal/postback -run '^$' -bench Queue -benchtime 1x
func BenchmarkQueue(b *testing.B) {
	for name, bad := range map[string]int{"all healthy": 0, "100 hang, 100 fail": 200} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				delays := drain(b, bad)
				slices.Sort(delays)
				for _, p := range []int{50, 90, 99, 100} {
					b.ReportMetric(delays[(len(delays)-1)*p/100].Seconds(), fmt.Sprintf("s/p%d", p))
				}
			}
		})
	}
}

// drain delivers the queue and returns the delays of the healthy merchants.
func drain(b *testing.B, bad int) (delays []time.Duration) {
	b.Helper()
	const merchants, each = 1000, 10
	var mu sync.Mutex
	var start time.Time
	all := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n, err := strconv.Atoi(r.URL.Path[1:])
		switch {
		case err != nil || n < bad && n%2 == 1:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case n < bad:
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"status":"ok"}`)
		mu.Lock()
		defer mu.Unlock()
		if delays = append(delays, time.Since(start)); len(delays) == (merchants-bad)*each {
			close(all)
		}
	})
	var listen net.ListenConfig
	listener, err := listen.Listen(b.Context(), "tcp", "0.0.0.0:0") // every address of loopback
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener = listener
	server.Start()
	defer server.Close()
	defer server.CloseClientConnections()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	list := make([]*directory.Merchant, merchants)
	for i := range list {
		list[i] = shop(fmt.Sprintf("m%04d", i), fmt.Sprintf("http://127.0.%d.%d:%s/%d", 1+i/200, 1+i%200, port, i))
	}
	store, dir := newOutbox(), newShops(b)
	dir.replace(b, list...)
	for i := range int64(merchants * each) {
		store.put(event(i, list[i%merchants].ID, time.Now()), time.Now().Add(-time.Second))
	}
	c := config(b, store, dir, postback.NewTransport(true))
	c.Grace = time.Millisecond
	start = time.Now()
	_, stop := run(b, c)
	<-all
	stop()
	return delays
}
