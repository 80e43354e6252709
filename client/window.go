package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/money"
)

// Kind is an outcome in the words of the payment window (protocol, section 4):
// the kind of a hashed URL, and the status that a payer comes back with.
type Kind string

// The kinds of outcome.
const (
	Success Kind = "success" // the payment is credited
	Pending Kind = "pending" // it waits for the bank, or is being checked
	Fail    Kind = "fail"    // it was refused or rejected, or no payment came in time
)

// Link is a link to the payment window (protocol, section 4).
type Link struct {
	Label    string         // the merchant's name for the paying user, 1 to 190 characters
	CustomID string         // the merchant's own id of the payment, 1 to 190 characters
	Amount   money.Paise    // can't be changed by the payer; 0 lets the payer say how much
	Currency money.Currency // INR where it is empty
	Method   string         // only this wallet_type; empty lets the payer choose
	Lang     string         // en or hi; empty takes the browser's

	// Where the window leads to after each outcome: https, or http on loopback
	// where the gateway is set up for local use. Signed with
	// Config.PrivateKey.
	SuccessURL, PendingURL, FailURL string
	// Ids of URLs that the operator registered; those above win over them.
	SuccessID, PendingID, FailID string
}

// The protocol's limits of a link.
const (
	maxText = 190  // characters
	maxURL  = 2048 // bytes
)

// WindowURL makes the address to send a payer to. The payer can read it, so it
// proves nothing.
func (c *Client) WindowURL(l Link) (string, error) {
	query := url.Values{"currency_code": {string(currencyOr(l.Currency))}}
	for _, text := range []struct{ name, value string }{{"label", l.Label}, {"custom_transaction_id", l.CustomID}} {
		if !plain(text.value) {
			return "", fmt.Errorf("client: %s must be plain text of 1 to %d characters, without spaces around it", text.name, maxText)
		}
		query.Set(text.name, text.value)
	}
	switch {
	case l.Amount < 0:
		return "", errors.New("client: the amount of a link can't be negative")
	case l.Amount > 0:
		query.Set("fixed_amount", l.Amount.Fixed())
	}
	for _, way := range []struct {
		kind        Kind
		address, id string
	}{{Success, l.SuccessURL, l.SuccessID}, {Pending, l.PendingURL, l.PendingID}, {Fail, l.FailURL, l.FailID}} {
		if way.id != "" {
			query.Set("payment_url_"+string(way.kind)+"_id", way.id)
		}
		switch {
		case way.address == "":
			continue
		case c.config.PrivateKey == "":
			return "", errors.New("client: Config.PrivateKey is needed to sign return URLs")
		case !safeURL(way.address):
			return "", fmt.Errorf("client: the window leads to no such %s URL: it must be https, or http on loopback, without a user, up to %d bytes", way.kind, maxURL)
		}
		query.Set(string(way.kind)+"_url", HashURL(c.config.PrivateKey, way.kind, l.Label, l.CustomID, way.address))
	}
	if l.Method != "" {
		query.Set("wallet_type", l.Method)
	}
	if l.Lang != "" {
		query.Set("lang", l.Lang)
	}
	return c.window(query)
}

// window is the payment window's address: plugin.{server_URL} beside
// api.{server_URL}, /pay on a single host.
func (c *Client) window(query url.Values) (string, error) {
	window := *c.base
	domain, own := strings.CutPrefix(window.Host, "api.")
	if own {
		window.Host, window.Path = "plugin."+domain, "/"
	} else {
		if c.config.Merchant == "" {
			return "", errors.New("client: Config.Merchant is needed for links on a host that is not api.{server_URL}")
		}
		query.Set("merchant", c.config.Merchant)
		window = *window.JoinPath("/pay")
	}
	window.RawQuery = query.Encode()
	return window.String(), nil
}

// plain reports whether the window takes a text as it is. One with spaces
// around it would be hashed with them and read without.
func plain(text string) bool {
	bad := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	return text != "" && text == strings.TrimSpace(text) && utf8.RuneCountInString(text) <= maxText && !strings.ContainsFunc(text, bad)
}

func safeURL(address string) bool {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL || u.Hostname() == "" || u.User != nil || u.Opaque != "" ||
		strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == '\\' || unicode.IsControl(r) }) {
		return false
	}
	host := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(host)
	loopback := err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// HashURL makes the value of a link's success_url, pending_url or fail_url
// (protocol, section 4, hashed URLs). The key is the merchant's postback
// private key; label and customID are those of the link, empty where it has
// none.
func HashURL(privateKey string, kind Kind, label, customID, address string) string {
	hash := sign(privateKey, string(kind)+"\n"+label+"\n"+customID+"\n"+address)
	return base64.RawURLEncoding.EncodeToString([]byte(address)) + "." + hex.EncodeToString(hash)
}

// ReturnSignature is the signature that a payer comes back with (protocol,
// section 4).
func ReturnSignature(privateKey, customID string, status Kind) string {
	return hex.EncodeToString(sign(privateKey, customID+"\n"+string(status)))
}

func sign(privateKey, text string) []byte {
	h := hmac.New(sha256.New, []byte(privateKey))
	_, _ = h.Write([]byte(text)) // a hash never fails
	return h.Sum(nil)
}

// ErrReturn is a return from the payment window that the gateway did not sign.
var ErrReturn = errors.New("client: the return is not signed by the gateway: show the order as it stands")

// Return is what a payer brought back from the payment window. It says what to
// show, and is no reason to deliver.
type Return struct {
	CustomID string
	Status   Kind
}

// VerifyReturn reads what the payment window appended to a merchant's URL. The
// keys are the merchant's postback private keys: two while one is replaced.
// The error is [ErrReturn].
func VerifyReturn(query url.Values, privateKeys ...string) (Return, error) {
	for _, name := range []string{"custom_transaction_id", "status", "signature"} {
		if len(query[name]) != 1 { // two readers of two values would see two returns
			return Return{}, ErrReturn
		}
	}
	r := Return{CustomID: query.Get("custom_transaction_id"), Status: Kind(query.Get("status"))}
	switch r.Status {
	case Success, Pending, Fail:
	default:
		return Return{}, ErrReturn
	}
	for _, key := range privateKeys {
		if key != "" && hmac.Equal([]byte(query.Get("signature")), []byte(ReturnSignature(key, r.CustomID, r.Status))) {
			return r, nil
		}
	}
	return Return{}, ErrReturn
}
