package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/intake"
)

// ofMerchant lets merchants through (protocol, section 1).
func (d *Door) ofMerchant(next answer) answer {
	return func(c *call) (any, error) {
		if c.merchant = d.caller(c); c.merchant == nil {
			c.dir = d.Directory.Look(c.Context())
			c.merchant = d.caller(c)
		}
		if c.merchant == nil {
			return nil, errNotFound
		}
		d.traced(c, true)
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

// origin is the address under which the caller reached the door, for links in
// answers. Merchants' hosts are served by https (protocol, section 4), whoever
// ends it; a single host on loopback is not.
func (c *call) origin() string {
	host := hostname(c.Host)
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	local := err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
	if c.TLS == nil && local {
		return "http://" + c.Host
	}
	return "https://" + c.Host
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
		if c.feed = c.reporter(); c.feed == nil {
			c.dir = d.Directory.Look(c.Context())
			c.feed = c.reporter()
		}
		if c.feed == nil {
			return nil, errNotFound
		}
		d.traced(c, intake.NeedsToken(c.feed)) // others prove themselves by a signature, later
		return next(c)
	}
}

// reporter is the feed that makes the call, or nil.
func (c *call) reporter() *directory.Feed {
	f := c.dir.Feed(c.PathValue("id"))
	known := f != nil && !f.Retired && f.Token != ""
	if known && !intake.NeedsToken(f) {
		return f // it proves itself by a signature, see report
	}
	var token string
	if known {
		token = f.Token.Reveal()
	}
	given, want := sha256.Sum256([]byte(c.bearer())), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 || !known {
		return nil
	}
	return f
}
