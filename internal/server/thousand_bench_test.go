package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/server"
)

// BenchmarkThousandMerchants is a whole gateway on SQLite with ten thousand
// postbacks that wait for a thousand merchants, each at an address of its own, of
// which a hundred hang and a hundred refuse. It reports when the healthy ones got
// theirs, from the moment on that their addresses were declared.
//
//	go test ./internal/server -run '^$' -bench ThousandMerchants -benchtime 1x
func BenchmarkThousandMerchants(b *testing.B) {
	for name, bad := range map[string]int{"all healthy": 0, "100 hang, 100 refuse": 200} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				delays := deliverAll(b, bad)
				slices.Sort(delays)
				for _, p := range []int{50, 90, 99, 100} {
					b.ReportMetric(delays[(len(delays)-1)*p/100].Seconds(), fmt.Sprintf("s/p%d", p))
				}
			}
		})
	}
}

func deliverAll(b *testing.B, bad int) []time.Duration {
	b.Helper()
	const merchants, each = 1000, 10
	sink := newSink(b, bad, (merchants-bad)*each)
	config := server.DefaultConfig()
	config.DatabaseURL = "sqlite://" + filepath.Join(b.TempDir(), "milaan.db")
	config.Listen, config.AdminListen, config.AllowPrivateTargets = "127.0.0.1:0", "127.0.0.1:0", true
	config.StopAfter = time.Second
	ctx, stop := context.WithCancel(b.Context())
	g, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	declare := func(postback func(int) string) {
		var text strings.Builder
		var ids []string
		text.WriteString("merchants:\n")
		for i := range merchants {
			fmt.Fprintf(&text, "  - {id: m%d, name: M, plugin_api_secret: secret-%d%s}\n", i, i, postback(i))
			ids = append(ids, fmt.Sprintf("m%d", i))
		}
		fmt.Fprintf(&text, "wallets:\n  - {id: w1, method: upi_l, vpa: test@upi, name: Test Traders, merchants: [%s]}\n", strings.Join(ids, ", "))
		text.WriteString("feeds:\n  - {id: bank1, kind: json, wallet: w1, token: feedtoken}\n")
		file, err := apply.Parse("shop.yaml", []byte(text.String()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := apply.Run(ctx, g.Store(), file, apply.Options{Now: time.Now}); err != nil {
			b.Fatal(err)
		}
	}
	declare(func(int) string { return "" })
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	base := "http://" + g.Addr().String()
	var clients errgroup.Group
	clients.SetLimit(32)
	for from := range merchants * each / 1000 {
		var credits bytes.Buffer
		for n := range 1000 {
			fmt.Fprintf(&credits, `,{"utr":"4%011d","amount":"100"}`, from*1000+n)
		}
		clients.Go(func() error {
			return post(ctx, base+"/feeds/bank1", "feedtoken", `{"credits":[`+credits.String()[1:]+`]}`)
		})
	}
	if err := clients.Wait(); err != nil {
		b.Fatal(err)
	}
	for n := range merchants * each {
		clients.Go(func() error {
			return post(ctx, base+"/api/v1/transaction/activate", "secret-"+strconv.Itoa(n%merchants), fmt.Sprintf(
				`{"currency_code":"INR","wallet_type":"upi_l","label":"p%d","key1":"4%011d","amount":100,"custom_transaction_id":"o%d"}`, n, n, n))
		})
	}
	if err := clients.Wait(); err != nil {
		b.Fatal(err)
	}
	sink.begin(time.Now())
	declare(func(i int) string {
		return fmt.Sprintf(", postback: {url: 'http://127.0.%d.%d:%s/%d', access_key: AK, private_key: PK}", 1+i/200, 1+i%200, sink.port, i)
	})
	select {
	case <-sink.all:
	case <-time.After(2 * time.Minute):
		b.Fatal("not all healthy merchants got theirs")
	}
	sink.CloseClientConnections()
	stop()
	if err := <-stopped; err != nil {
		b.Fatal(err)
	}
	return sink.delays
}

func post(ctx context.Context, url, bearer, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	said, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !bytes.Contains(said, []byte(`"ok"`)) && !bytes.Contains(said, []byte(`"refused":[]`)) {
		return fmt.Errorf("%s: %s %.200s %w", url, res.Status, said, err)
	}
	return nil
}

// sink takes the postbacks of merchants by their number: of the first bad ones,
// every other hangs and every other refuses.
type sink struct {
	*httptest.Server
	port   string
	all    chan struct{}
	mu     sync.Mutex
	from   time.Time
	delays []time.Duration
}

func newSink(b *testing.B, bad, want int) *sink {
	b.Helper()
	s := &sink{all: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.delays = append(s.delays, time.Since(s.from)); len(s.delays) == want {
			close(s.all)
		}
	}))
	var listen net.ListenConfig
	listener, err := listen.Listen(b.Context(), "tcp", "0.0.0.0:0") // every address of loopback
	if err != nil {
		b.Fatal(err)
	}
	if _, s.port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		b.Fatal(err)
	}
	s.Listener = listener
	s.Start()
	b.Cleanup(s.Close)
	return s
}

func (s *sink) begin(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = at
}
