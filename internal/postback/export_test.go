package postback

import (
	"net"
	"net/http"
	"net/netip"
)

// AppendString is the string encoder, for tests to attack.
var AppendString = appendString

// NewTransportAsking is NewTransport with a resolver of a test's own.
func NewTransportAsking(resolver *net.Resolver, allow ...netip.Prefix) *http.Transport {
	return newTransport(false, allow, resolver)
}
