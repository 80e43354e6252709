package postback

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

const maxAnswerHeader = 16 << 10 // bytes

// ErrRefused means that a target is one that nothing may be sent to: an address
// that is not public, or a host that is spelt to hide one.
var ErrRefused = errors.New("refused for safety")

// NewTransport makes the transport that postbacks go out by. It asks no proxy
// and, unless allowPrivate, connects to public addresses only, and to those in
// allow: loopback, private, link-local, shared, metadata, multicast, mapped and
// translated addresses are [ErrRefused]. The check is made on the address
// itself when it is dialled, so a name that resolves to the inside, now or at
// the second look, helps nobody.
func NewTransport(allowPrivate bool, allow ...netip.Prefix) *http.Transport {
	return newTransport(allowPrivate, allow, nil)
}

func newTransport(allowPrivate bool, allow []netip.Prefix, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second, Resolver: resolver}
	dial := dialer.DialContext
	if !allowPrivate {
		dialer.Control = guard(allow)
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, err := net.SplitHostPort(address); err == nil && disguised(host) {
				return nil, fmt.Errorf("%w: the host is a number that is no address: write the address out", ErrRefused)
			}
			return dialer.DialContext(ctx, network, address)
		}
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true, // a dialer of one's own switches it off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConns:           defaultSlots * 4,
		MaxIdleConnsPerHost:    defaultLaneSlots * 4, // several merchants may share a host
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // an answer is short, and must not grow here
	}
}

// guard refuses connections to the inside.
func guard(allow []netip.Prefix) func(network, address string, _ syscall.RawConn) error {
	var v4, v6 []netip.Prefix
	for _, prefix := range allow {
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix)
		} else {
			v6 = append(v6, prefix)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return func(network, address string, conn syscall.RawConn) error {
		if err := guardian.Safe(network, address, conn); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil
	}
}

// disguised reports whether a host is no address as Go reads it and still one
// to some resolvers, as 2130706433, 0177.0.0.1, 0x7f.1 and 127.1 are: its last
// label is a number (WHATWG URL, "ends in a number").
func disguised(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, found := strings.CutPrefix(last, "0x"); found {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last == "" || strings.Trim(last, "0123456789") == ""
}

// clients are what requests go out by: one client for all merchants, and one
// for each that shows a certificate of its own.
type clients struct {
	transport http.RoundTripper
	plain     *http.Client

	mu     sync.Mutex
	mutual map[string]mutualClient // by merchant
}

type mutualClient struct {
	*http.Client
	digest [sha256.Size]byte // of its certificate and key
}

func newClients(transport http.RoundTripper) *clients {
	return &clients{transport: transport, plain: client(transport), mutual: make(map[string]mutualClient)}
}

// client follows no redirect: it would be a second target, unchecked by the
// operator.
func client(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// of is the client for a destination.
func (c *clients) of(m *destination) (*http.Client, error) {
	if m.secrets.ClientKey == "" {
		return c.plain, nil
	}
	digest := sha256.Sum256([]byte(m.secrets.ClientCert.Reveal() + "\n" + m.secrets.ClientKey.Reveal()))
	c.mu.Lock()
	defer c.mu.Unlock()
	have, found := c.mutual[m.key]
	if found && have.digest == digest {
		return have.Client, nil
	}
	base, ok := c.transport.(*http.Transport)
	if !ok {
		return nil, errors.New("client certificates need a transport of net/http")
	}
	pair, err := tls.X509KeyPair([]byte(m.secrets.ClientCert.Reveal()), []byte(m.secrets.ClientKey.Reveal()))
	if err != nil {
		return nil, errors.New("the client certificate can't be used: apply client_cert and client_key anew")
	}
	own := base.Clone()
	own.TLSClientConfig.Certificates = []tls.Certificate{pair}
	if found {
		have.CloseIdleConnections()
	}
	c.mutual[m.key] = mutualClient{client(own), digest}
	return c.mutual[m.key].Client, nil
}
