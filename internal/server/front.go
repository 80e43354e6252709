package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// networks reads a setting that lists networks, separated by commas.
func networks(setting, list string) (read []netip.Prefix, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no network: write it as 10.1.2.0/24 or 10.1.2.3/32", setting, text)
		}
		read = append(read, network.Masked())
	}
	return read, nil
}

// front stands before all doors: it makes a request that came through a trusted
// proxy look as if it had come without, and sets the headers that every answer
// has. Doors set their own over them.
type front struct {
	proxies  []netip.Prefix
	draining *atomic.Bool // nil where nothing drains
	next     http.Handler
}

// stayOnHTTPS is a year. Other names of a domain are not milaan's to speak for.
const stayOnHTTPS = "max-age=31536000"

// ServeHTTP hands the request on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure := r.TLS != nil
	if len(f.proxies) > 0 {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && f.trusted(peer.Addr()) {
			// The last proxy's word; what a client wrote itself stands before it.
			secure = secure || strings.EqualFold(last(r.Header.Values("X-Forwarded-Proto")), "https")
			r = r.WithContext(r.Context()) // a copy: requests are not changed
			r.RemoteAddr = f.client(r.Header.Values("X-Forwarded-For"), peer.Addr())
		}
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if secure {
		h.Set("Strict-Transport-Security", stayOnHTTPS)
	}
	if f.draining != nil && f.draining.Load() {
		h.Set("Connection", "close") // the next request finds another gateway
	}
	f.next.ServeHTTP(w, r)
}

func (f *front) trusted(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	return slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// client is the address that the request came from: the last of the list that is
// no trusted proxy's. Each proxy appends whom it was asked by, so what stands
// before that one is a stranger's word. Where the list holds something else than
// an address, the last proxy that was believed stands for whoever that is.
func (f *front) client(lists []string, proxy netip.Addr) string {
	client := proxy
	hops := strings.Split(strings.Join(lists, ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, err := hopAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		client = addr
		if !f.trusted(addr) {
			break
		}
	}
	return netip.AddrPortFrom(client, 0).String()
}

// hopAddr reads an entry of X-Forwarded-For; some proxies write a port, too.
func hopAddr(hop string) (netip.Addr, error) {
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return addr.WithZone("").Unmap(), err
}

// last is the last entry of a header that lists.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}
