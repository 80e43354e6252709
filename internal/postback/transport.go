package postback

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"code.dny.dev/ssrf"
)

const maxAnswerHeader = 16 << 10 // bytes

// NewTransport makes the transport that postbacks go out by. It asks no proxy
// and, unless allowPrivate, connects to public addresses only: the check is
// made on the address itself when it is dialled, so a name that resolves to
// the inside helps nobody.
func NewTransport(allowPrivate bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	if !allowPrivate {
		dialer.Control = ssrf.New(ssrf.WithAnyPort()).Safe
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
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
