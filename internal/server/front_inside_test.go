package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestClientAddressBehindProxies(t *testing.T) {
	t.Parallel()
	proxies, err := networks("trusted_proxies", "10.0.0.0/8, fd00::/8,127.0.0.1/32")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, peer, want string
		forwarded        []string
	}{
		{"a stranger's word is nothing", "198.51.100.7:1000", "198.51.100.7:1000", []string{"203.0.113.9"}},
		{"a proxy's is", "10.1.1.1:1000", "203.0.113.9:0", []string{"203.0.113.9"}},
		{"what the client wrote itself is not", "10.1.1.1:1000", "203.0.113.9:0", []string{"192.0.2.1, 203.0.113.9"}},
		{"however many headers it wrote", "10.1.1.1:1000", "203.0.113.9:0", []string{"192.0.2.1", "10.9.9.9", "203.0.113.9"}},
		{"proxies behind proxies", "10.1.1.1:1000", "203.0.113.9:0", []string{"192.0.2.1, 203.0.113.9, 10.2.2.2,127.0.0.1"}},
		{"nobody but proxies", "10.1.1.1:1000", "10.3.3.3:0", []string{"10.3.3.3, 10.2.2.2"}},
		{"no list", "10.1.1.1:1000", "10.1.1.1:0", nil},
		{"something else in the list", "10.1.1.1:1000", "10.2.2.2:0", []string{"203.0.113.9, unknown, 10.2.2.2"}},
		{"IPv6, with a port as some write it", "[fd00::1]:1000", "[2001:db8::9]:0", []string{"[2001:db8::9]:4711"}},
		{"IPv4 with a port", "10.1.1.1:1", "203.0.113.9:0", []string{"203.0.113.9:52000"}},
		{"IPv4 written as IPv6", "[::ffff:10.1.1.1]:1000", "203.0.113.9:0", []string{"::ffff:203.0.113.9"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		for _, list := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", list)
		}
		var got string
		f := &front{proxies, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })}
		f.ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("%s: the request is from %s, not %s", tt.name, got, tt.want)
		}
		if r.RemoteAddr != tt.peer {
			t.Errorf("%s: the request itself was changed", tt.name)
		}
	}
}

// TestNobodyForgesAnAddress: whatever a client writes before the proxy's own
// entry, the request is from whom the proxy says.
func TestNobodyForgesAnAddress(t *testing.T) {
	t.Parallel()
	f := &front{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	rapid.Check(t, func(t *rapid.T) {
		forged := rapid.SliceOf(rapid.String()).Draw(t, "forged")
		if got := f.client(append(forged, "203.0.113.9"), netip.MustParseAddr("10.1.1.1")); got != "203.0.113.9:0" {
			t.Fatalf("the request is from %s", got)
		}
	})
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, peer, proto string
		hsts              bool
	}{
		{"in the clear", "198.51.100.7:1", "", false},
		{"a stranger says https", "198.51.100.7:1", "https", false},
		{"the proxy says https", "10.1.1.1:1", "https", true},
		{"the proxy says http of a client that says https", "10.1.1.1:1", "https, http", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		if tt.proto != "" {
			r.Header.Set("X-Forwarded-Proto", tt.proto)
		}
		w := httptest.NewRecorder()
		(&front{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil, http.NotFoundHandler()}).ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security") != ""; got != tt.hsts {
			t.Errorf("%s: Strict-Transport-Security is there: %v", tt.name, got)
		}
	}
}
