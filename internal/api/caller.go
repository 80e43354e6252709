package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/milaan/milaan/internal/directory"
)

// ofMerchant lets merchants through (protocol, section 1).
func (d *Door) ofMerchant(next answer) answer {
	return func(c *call) (any, error) {
		c.merchant = d.caller(c)
		if c.merchant == nil {
			return nil, errNotFound
		}
		return next(c)
	}
}

// caller is the merchant that makes the call, or nil. On api.{server_URL} it is
// that host's, on a host that is nobody's the secret tells. plugin.{server_URL}
// is where payers are: it has no API.
func (d *Door) caller(c *call) *directory.Merchant {
	m := c.dir.MerchantBySecret(c.secret())
	if m == nil || !m.Allows(d.ClientAddr(c.Request)) {
		return nil
	}
	sub, domain, _ := strings.Cut(hostname(c.Host), ".")
	owner := c.dir.MerchantByDomain(domain)
	switch {
	case owner != nil && sub == "plugin":
		return nil
	case owner != nil && sub == "api" && owner != m:
		return nil
	default:
		return m
	}
}

// secret is what the caller proves itself with. A URL ends up in logs, so the
// header is the better place; the protocol's own is the query.
func (c *call) secret() string {
	if secret := c.query.Get("secret"); secret != "" {
		return secret
	}
	return c.bearer()
}

func (c *call) bearer() string {
	scheme, token, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// hostname is a Host header as names are compared: without port and the root's
// dot, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// connectionAddr is the address at the other end of the connection; the zero
// one where it has none, which no allow list holds.
func connectionAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().WithZone("").Unmap()
}

// ofFeed lets feeds through. A wrong token and a feed that is not there look
// alike, and take alike.
func (d *Door) ofFeed(next answer) answer {
	return func(c *call) (any, error) {
		f := c.dir.Feed(c.PathValue("id"))
		known := f != nil && !f.Retired && f.Token != ""
		var token string
		if known {
			token = f.Token.Reveal()
		}
		given, want := sha256.Sum256([]byte(c.bearer())), sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(given[:], want[:]) != 1 || !known {
			return nil, errNotFound
		}
		c.feed = f
		return next(c)
	}
}
