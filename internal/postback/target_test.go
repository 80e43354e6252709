package postback_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/postback"
)

// inside is a server that nothing from outside may reach.
func inside(t *testing.T) (port string, reached *atomic.Bool) {
	t.Helper()
	reached = new(atomic.Bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Store(true)
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), reached
}

// Every way to spell or reach what is not public is refused, at once and for
// good.
func TestHostileTargets(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	for name, hosts := range map[string][]string{
		"loopback":       {"127.0.0.1", "127.8.9.10", "[::1]", "localhost"},
		"unspecified":    {"0.0.0.0", "[::]", "0.1.2.3"},
		"private":        {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "[fc00::1]", "[fd12:3456::1]"},
		"link-local":     {"169.254.1.1", "[fe80::1]", "[fe80::1%25lo]"},
		"metadata":       {"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192"},
		"shared":         {"100.64.0.1", "100.127.255.255"},
		"multicast":      {"224.0.0.1", "239.255.255.250", "[ff02::1]"},
		"broadcast":      {"255.255.255.255", "240.0.0.1"},
		"mapped":         {"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]"},
		"compatible":     {"[::127.0.0.1]", "[::7f00:1]"},
		"translated":     {"[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]"},
		"6to4":           {"[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "192.88.99.1"},
		"Teredo":         {"[2001:0:7f00:1::1]"},
		"site-local":     {"[fec0::1]"},
		"documentation":  {"192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]"},
		"benchmarking":   {"198.18.0.1"},
		"decimal":        {"2130706433", "2852039166"},
		"octal":          {"0177.0.0.1", "017700000001", "0251.0376.0251.0376"},
		"hexadecimal":    {"0x7f000001", "0x7f.0.0.1", "0x7F.0x0.0x0.0x1", "0xA9FEA9FE"},
		"short":          {"127.1", "127.0.1", "10.1", "0"},
		"a dot at last":  {"127.0.0.1.", "2130706433."},
		"number of name": {"shop.example.127", "1.2.3.4.5", "shop.0x1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, host := range hosts {
				got := deliverOne(t, "http://"+host+":"+port+"/", postback.NewTransport(false))
				if got.State != postback.StateDead || got.Refused == "" || got.Attempt.Status != 0 || !strings.Contains(got.Attempt.Error, "refused for safety") {
					t.Errorf("%s: %s, %+v", host, got.State, got.Attempt)
				}
			}
		})
	}
	t.Cleanup(func() {
		if reached.Load() {
			t.Error("the inside was reached")
		}
	})
}

// An operator may open a network, and no other.
func TestAllowedNetworks(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	transport := postback.NewTransport(false, netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8"))
	if got := deliverOne(t, "http://127.0.0.1:"+port, transport); got.State != postback.StateDelivered || !reached.Load() {
		t.Errorf("%s: %+v", got.State, got.Attempt)
	}
	for _, host := range []string{"127.0.0.2", "10.0.0.1", "[::1]", "2130706433"} {
		if got := deliverOne(t, "http://"+host+":"+port, transport); got.State != postback.StateDead {
			t.Errorf("%s: %s", host, got.State)
		}
	}
}

// fickle is a name server that gives another address at every question.
func fickle(t *testing.T, addresses ...[4]byte) *net.Resolver {
	t.Helper()
	var listen net.ListenConfig
	conn, err := listen.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var mu sync.Mutex
	asked := 0
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(packet[:n]) != nil {
				continue
			}
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true}, Questions: query.Questions}
			if q := query.Questions[0]; q.Type == dnsmessage.TypeA {
				mu.Lock()
				a := addresses[min(asked, len(addresses)-1)]
				asked++
				mu.Unlock()
				reply.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}, Body: &dnsmessage.AResource{A: a},
				}}
			}
			if packed, err := reply.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name that was public when somebody looked is not when it is dialled.
func TestNameChangesItsAddress(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	resolver := fickle(t, [4]byte{93, 184, 215, 14}, [4]byte{127, 0, 0, 1})
	if ips, err := resolver.LookupIP(t.Context(), "ip4", "shop.example"); err != nil || !ips[0].Equal(net.IPv4(93, 184, 215, 14)) {
		t.Fatal(ips, err)
	}
	got := deliverOne(t, "http://shop.example:"+port, postback.NewTransportAsking(resolver))
	if got.State != postback.StateDead || !strings.Contains(got.Attempt.Error, "127.0.0.1") {
		t.Errorf("%s: %+v", got.State, got.Attempt)
	}
	if reached.Load() {
		t.Error("the inside was reached")
	}
}

func TestRedirectsLeadNowhere(t *testing.T) {
	t.Parallel()
	port, reached := inside(t)
	server := httptest.NewServer(http.RedirectHandler("http://localhost:"+port+"/", http.StatusTemporaryRedirect))
	defer server.Close()
	got := deliverOne(t, server.URL, postback.NewTransport(false, netip.MustParsePrefix("127.0.0.1/32")))
	if got.State != postback.StateDue || got.Attempt.Status != http.StatusTemporaryRedirect || reached.Load() {
		t.Errorf("%s: %+v", got.State, got.Attempt)
	}
}

// Whatever comes back, a bounded part of it is read.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write([]byte(`{"status":"ok"}` + strings.Repeat(" ", 16<<20))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var written atomic.Int64
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		err    string
	}{
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for chunk := bytes.Repeat([]byte(" "), 1<<10); ; {
				n, err := w.Write(chunk)
				if err != nil {
					return
				}
				written.Add(int64(n))
			}
		}, "longer than 4096"},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "longer than 4096"},
		"small gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, `{"status":"ok"}`)
			_ = z.Close()
		}, "not {"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Much", strings.Repeat("x", 1<<20))
		}, "header"},
		"many headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 10_000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), "x")
			}
		}, "header"},
		"endless interim answers": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			got := deliverOne(t, server.URL, postback.NewTransport(true))
			if got.State != postback.StateDue || !strings.Contains(got.Attempt.Error, tt.err) || len(got.Attempt.Answer) > 2048 {
				t.Errorf("%s: %+v, want %q", got.State, got.Attempt, tt.err)
			}
		})
	}
	t.Cleanup(func() {
		if n := written.Load(); n > 64<<20 {
			t.Errorf("the endless answer went on for %d bytes", n)
		}
	})
}

// certificate makes one that is signed by itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"ok","certificates":%d}`, len(r.TLS.PeerCertificates))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	transport := postback.NewTransport(true)
	transport.TLSClientConfig.RootCAs = as[*http.Transport](t, server.Client().Transport).TLSClientConfig.RootCAs
	cert, key := certificate(t)
	for name, tt := range map[string]struct {
		secrets directory.MerchantSecrets
		state   postback.State
	}{
		"with":    {directory.MerchantSecrets{PrivateKey: "PK", ClientCert: directory.Secret(cert), ClientKey: directory.Secret(key)}, postback.StateDelivered},
		"without": {directory.MerchantSecrets{PrivateKey: "PK"}, postback.StateDue},
		"broken":  {directory.MerchantSecrets{PrivateKey: "PK", ClientCert: "x", ClientKey: "x"}, postback.StateDue},
	} {
		m := shop("shop", server.URL)
		m.Secrets = tt.secrets
		store := newOutbox()
		store.put(event(1, "shop", time.Now()), time.Now())
		_, stop := run(t, config(t, store, newShops(t, m), transport))
		if got := <-store.recorded; got.State != tt.state {
			t.Errorf("%s: %s, %+v", name, got.State, got.Attempt)
		}
		stop()
	}
}

// Certificates are verified, and nothing before TLS 1.2 is spoken.
func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	for name, versions := range map[string]uint16{"unknown authority": tls.VersionTLS13, "too old": tls.VersionTLS11} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: versions}
		server.StartTLS()
		defer server.Close() //nolint:revive // two servers for the test's length
		if got := deliverOne(t, server.URL, postback.NewTransport(true)); got.State != postback.StateDue || got.Attempt.Status != 0 || got.Attempt.Error == "" {
			t.Errorf("%s: %+v", name, got.Attempt)
		}
	}
}
