package window

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/words"
	"github.com/milaan/milaan/money"
)

// Kind is an outcome as the merchant's page is told of it (protocol, section
// 4): the kind of a hashed URL, and the status a payer comes back with.
type Kind string

// The kinds of outcome.
const (
	Success Kind = "success"
	Pending Kind = "pending"
	Fail    Kind = "fail"
)

// HashURL makes the value of success_url, pending_url or fail_url (protocol,
// section 4, hashed URLs). The key is the merchant's postback private key;
// label and customID are those of the link, empty where it has none.
func HashURL(key directory.Secret, kind Kind, label, customID, address string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(address)) + "." + hex.EncodeToString(hashOfURL(key, kind, label, customID, address))
}

func hashOfURL(key directory.Secret, kind Kind, label, customID, address string) []byte {
	return mac(key, string(kind)+"\n"+label+"\n"+customID+"\n"+address)
}

// ReturnSignature signs what a payer comes back to the merchant with (protocol,
// section 4): hex, over the custom id and the status.
func ReturnSignature(key directory.Secret, customID string, status Kind) string {
	return hex.EncodeToString(mac(key, customID+"\n"+string(status)))
}

func mac(key directory.Secret, message string) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	_, _ = h.Write([]byte(message)) // a hash never fails
	return h.Sum(nil)
}

// returnURL is the merchant's address with the signed outcome appended to
// whatever query it has.
func returnURL(key directory.Secret, address, customID string, status Kind) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read a return address: %w", err)
	}
	query := "custom_transaction_id=" + url.QueryEscape(customID) + "&status=" + string(status)
	if key != "" { // anybody could sign with an empty key
		query += "&signature=" + ReturnSignature(key, customID, status)
	}
	if u.RawQuery != "" {
		query = strings.TrimSuffix(u.RawQuery, "&") + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

// linkError names the parameter of a link that is wrong, for the merchant.
type linkError struct{ field string }

func (e *linkError) Error() string { return "the link's " + e.field + " is not valid" }

// ErrLink is wrapped by errors of links that no payer should be given; the text
// says which parameter is wrong.
var ErrLink = errors.New("such a link can't be opened")

// Unwrap gives ErrLink.
func (*linkError) Unwrap() error { return ErrLink }

// CheckLink reports whether a merchant's payers could open a link with these
// parameters; the error wraps [ErrLink].
func CheckLink(query url.Values, m *directory.Merchant, dir *directory.Snapshot) error {
	l := &link{query: query, merchant: m, dir: dir}
	_, err := l.read()
	return err
}

// ErrReturn: payers are not led to such an address.
var ErrReturn = errors.New("payers are led back to https addresses alone, without user or password, of at most 2048 characters")

// CheckReturn reports whether payers may be led to an address, or fails with
// [ErrReturn].
func CheckReturn(address string) error {
	if len(address) > maxURL || !safeURL(address, false) {
		return ErrReturn
	}
	return nil
}

// ExpiresParameter is a link's parameter after which it opens no new payment: in
// seconds since 1970 (docs/window.md). Like every part of a link it can be changed
// by whoever has the link: it ends an offer, and locks nothing.
const ExpiresParameter = "expires_at"

// Longest parameters (protocol, sections 2 to 4), in characters.
const (
	maxText   = 190
	maxAmount = 256
	maxURL    = 2048

	lastMoment = 253402300799 // the end of the year 9999, in seconds since 1970
)

// link reads the parameters of a payment link.
type link struct {
	query    url.Values
	merchant *directory.Merchant
	dir      *directory.Snapshot
	langs    *words.Languages // nil takes any
	// loopback allows http to this machine: local use.
	loopback bool
	wrong    string // the first parameter that is not valid
	// expires is when the link ends; zero for never.
	expires time.Time
}

// parameters are all that a link is read for.
var parameters = []string{
	"merchant", "label", "currency_code", "lang", "wallet_type", "custom_transaction_id", "fixed_amount",
	"payment_url_success_id", "payment_url_pending_id", "payment_url_fail_id", "success_url", "pending_url", "fail_url",
	ExpiresParameter,
}

// read makes a payment of the link; it has no token yet. The error is a
// *linkError.
func (l *link) read() (payment.Payment, error) {
	for _, name := range parameters {
		if len(l.query[name]) > 1 { // no two readers may see different payments
			l.refuse(name)
		}
	}
	p := payment.Payment{
		Merchant: l.merchant.ID,
		Label:    l.text("label"),
		CustomID: l.text("custom_transaction_id"),
		Currency: l.currency(),
		Lang:     l.lang(),
		Method:   l.method(),
		Amount:   l.amount(),
	}
	l.end()
	p.MethodFixed, p.AmountFixed = p.Method != "", p.Amount > 0
	if p.Label == "" {
		l.refuse("label")
	}
	p.Return = payment.Return{Success: l.address(Success), Pending: l.address(Pending), Fail: l.address(Fail)}
	if l.wrong != "" {
		return payment.Payment{}, &linkError{l.wrong}
	}
	if p.CustomID == "" {
		p.CustomID = rand.Text()
	}
	return p, nil
}

func (l *link) refuse(field string) {
	if l.wrong == "" {
		l.wrong = field
	}
}

// text reads a text that every store and log can keep.
func (l *link) text(name string) string {
	text := strings.TrimSpace(l.query.Get(name))
	bad := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	if utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, bad) {
		l.refuse(name)
		return ""
	}
	return text
}

func (l *link) currency() money.Currency {
	code, err := money.ParseCurrency(l.query.Get("currency_code"))
	if err != nil || code != money.INR {
		l.refuse("currency_code")
	}
	return code
}

func (l *link) lang() string {
	lang := l.query.Get("lang")
	if lang != "" && l.langs != nil && l.langs.ByTag(lang) == nil {
		l.refuse("lang")
		return ""
	}
	return lang
}

// end reads when the link ends.
func (l *link) end() {
	text := l.query.Get(ExpiresParameter)
	if text == "" {
		return
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 || seconds > lastMoment {
		l.refuse(ExpiresParameter)
		return
	}
	l.expires = time.Unix(seconds, 0).UTC()
}

// method reads wallet_type. One that is switched off is still a good link: the
// page says what is the matter.
func (l *link) method() string {
	name := l.query.Get("wallet_type")
	if m := l.dir.Method(name); name != "" && (m == nil || m.Retired) {
		l.refuse("wallet_type")
		return ""
	}
	return name
}

func (l *link) amount() money.Paise {
	text := l.query.Get("fixed_amount")
	if text == "" {
		return 0
	}
	amount, err := money.ParsePositive(text)
	if err != nil || len(text) > maxAmount || amount > deposit.MaxAmount {
		l.refuse("fixed_amount")
		return 0
	}
	return amount
}

// address is where a payer goes after an outcome: the hashed URL, else the
// registered one.
func (l *link) address(kind Kind) string {
	name := string(kind) + "_url"
	if hashed := l.query.Get(name); hashed != "" {
		address, ok := l.verify(kind, hashed)
		if !ok {
			l.refuse(name)
		}
		return address
	}
	name = "payment_url_" + string(kind) + "_id"
	id := l.query.Get(name)
	if id == "" {
		return ""
	}
	address := l.merchant.RedirectURLs[id]
	if !safeURL(address, true) { // registered by the operator: loopback is theirs to choose
		l.refuse(name)
		return ""
	}
	return address
}

// verify reads a hashed URL. The hash is compared in constant time, before the
// URL is looked at: what the merchant did not sign is not even parsed.
func (l *link) verify(kind Kind, hashed string) (address string, ok bool) {
	key := l.merchant.Secrets.PrivateKey
	encoded, hash, found := strings.Cut(hashed, ".")
	if !found || key == "" || len(encoded) > base64.RawURLEncoding.EncodedLen(maxURL) {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", false
	}
	given, err := hex.DecodeString(hash)
	if err != nil {
		return "", false
	}
	address = string(raw)
	want := hashOfURL(key, kind, l.query.Get("label"), l.query.Get("custom_transaction_id"), address)
	if !hmac.Equal(given, want) || !safeURL(address, l.loopback) {
		return "", false
	}
	return address, true
}

// safeURL reports whether a payer may be sent to an address: https, or http on
// loopback where that is allowed; a plain host without a user in front, which
// would only serve to make it look like another.
func safeURL(address string, loopback bool) bool {
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == '\\' || unicode.IsControl(r) || r == utf8.RuneError }) {
		return false
	}
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		return loopback && isLoopback(strings.ToLower(u.Hostname()))
	default:
		return false
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
