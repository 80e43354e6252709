package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Scheme is how an app signs what it posts.
type Scheme string

// Schemes. A feed is configured with one of them: were the scheme guessed from
// the request, whoever forges one would choose the weakest.
const (
	// Capcom6 is SMS Gateway for Android: X-Signature is the hex HMAC-SHA256 of
	// body and X-Timestamp (Unix seconds). The app signs anew at every attempt.
	Capcom6 Scheme = "capcom6"
	// Body is textbee, and bogkonstantin with its HMAC option: X-Signature is the
	// hex HMAC-SHA256 of the body. No time is signed; a repeat is the same SMS.
	Body Scheme = "body"
	// Pppscn is SmsForwarder: the fields timestamp (Unix milliseconds) and sign =
	// urlencode(base64(HMAC-SHA256(timestamp + "\n" + secret, secret))). It does
	// not cover the message.
	Pppscn Scheme = "pppscn"
	// HTTPSMS is a JWT (HS256) in the Authorization header, made for the URL. It
	// does not cover the message.
	HTTPSMS Scheme = "httpsms"
	// Milaan is for apps that can compute but have no scheme of their own:
	// X-Milaan-Signature is the hex HMAC-SHA256 of X-Milaan-Timestamp (Unix
	// seconds), X-Milaan-Nonce (16 to 64 letters, digits, - and _) and the body,
	// joined by line feeds.
	Milaan Scheme = "milaan"
)

// ParseScheme reads the name of a scheme.
func ParseScheme(text string) (Scheme, error) {
	all := []Scheme{Capcom6, Body, Pppscn, HTTPSMS, Milaan}
	if !slices.Contains(all, Scheme(text)) {
		return "", fmt.Errorf("no way of signing is called so: use one of %v", all)
	}
	return Scheme(text), nil
}

// ReplacesToken says whether a right signature is enough without the feed's
// token, which capcom6 and textbee can't send and in whose header httpSMS puts
// its own. Only pppscn has to send both: its signature proves no more than the
// token would, and it can.
func (s Scheme) ReplacesToken() bool { return s != Pppscn }

// Errors of [Verifier.Verify]. Their texts are for the sender.
var (
	ErrUnsigned  = errors.New("is not signed the way this feed expects: check the app's signing settings")
	ErrSignature = errors.New("has a signature that is not right: check the signing secret on both sides")
	ErrStale     = errors.New("was signed too long ago, or ahead of time: check the phone's clock")
	// ErrReplayed: what was signed has been taken already. An honest app sends
	// again when our answer was lost, so answer as if it were taken now.
	ErrReplayed = errors.New("was taken already")
	// ErrBusy: more came within the window than are remembered. The app should
	// try again later.
	ErrBusy = errors.New("more is signed at once than this feed takes: try again later")
)

// DefaultWindow is how far the signed time may be from now. Apps sign when they
// send, retries included, so that a queue of two days needs no more.
const DefaultWindow = 5 * time.Minute

const (
	minSecret  = 8
	maxAdvance = 5 * time.Minute     // what a phone's clock may be ahead
	issuer     = "api.httpsms.com"   // of the tokens of httpSMS, wherever it is hosted
	remembered = 1 << 16             // proofs a feed remembers, some 8 MB
	maxWindow  = 30 * 24 * time.Hour // a longer one remembers nothing useful
)

// Verifier checks the signatures of one feed and remembers what was spent. It
// is safe for concurrent use. Its memory is its own: a restart or another
// gateway does not share it, which a credit's (wallet, UTR) makes harmless.
type Verifier struct {
	scheme Scheme
	secret []byte
	window time.Duration
	spent  memory
}

// NewVerifier makes the verifier of one feed. A window of zero is
// [DefaultWindow]; a longer one is for apps that sign once and queue.
func NewVerifier(scheme Scheme, secret string, window time.Duration) (*Verifier, error) {
	if _, err := ParseScheme(string(scheme)); err != nil {
		return nil, err
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a signing secret needs at least %d characters: make a random one", minSecret)
	}
	if window == 0 {
		window = DefaultWindow
	}
	if window < 0 || window > maxWindow {
		return nil, errors.New("a signing window lies between 1 second and 30 days")
	}
	return &Verifier{scheme: scheme, secret: []byte(secret), window: window, spent: memory{limit: remembered}}, nil
}

// Verify checks what the app signed. The address is the feed's full URL as it
// is configured in the app; only [HTTPSMS] needs it.
//
// Call settle once the messages are kept. From then on the same proof is
// ErrReplayed; before, the same request may come again, since an app repeats
// what failed on our side. Another body with a spent or pending proof never
// passes.
//
// Errors: ErrUnsigned, ErrSignature, ErrStale, ErrReplayed, ErrBusy.
func (v *Verifier) Verify(header http.Header, body []byte, address string, now time.Time) (settle func(), err error) {
	switch v.scheme {
	case Capcom6:
		return v.verifyCapcom6(header, body, now)
	case Body:
		given, err := only(header, "X-Signature")
		if err != nil {
			return nil, err
		}
		return func() {}, v.compareHex(given, body)
	case Pppscn:
		return v.verifyPppscn(header, body, now)
	case HTTPSMS:
		return func() {}, v.verifyHTTPSMS(header, address, now)
	case Milaan:
		return v.verifyMilaan(header, body, now)
	}
	return nil, ErrUnsigned
}

func (v *Verifier) verifyCapcom6(header http.Header, body []byte, now time.Time) (func(), error) {
	given, err := only(header, "X-Signature")
	if err != nil {
		return nil, err
	}
	stamp, err := only(header, "X-Timestamp")
	if err != nil {
		return nil, err
	}
	at, err := seconds(stamp)
	if err != nil {
		return nil, err
	}
	if err := v.compareHex(given, body, []byte(stamp)); err != nil {
		return nil, err
	}
	return v.admit(stamp, body, at, now)
}

var nonceForm = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

func (v *Verifier) verifyMilaan(header http.Header, body []byte, now time.Time) (func(), error) {
	given, err := only(header, "X-Milaan-Signature")
	if err != nil {
		return nil, err
	}
	stamp, err := only(header, "X-Milaan-Timestamp")
	if err != nil {
		return nil, err
	}
	nonce, err := only(header, "X-Milaan-Nonce")
	if err != nil {
		return nil, err
	}
	at, err := seconds(stamp)
	if err != nil {
		return nil, err
	}
	if !nonceForm.MatchString(nonce) {
		return nil, fmt.Errorf("needs a nonce of 16 to 64 letters, digits, - and _: %w", ErrUnsigned)
	}
	if err := v.compareHex(given, []byte(stamp+"\n"+nonce+"\n"), body); err != nil {
		return nil, err
	}
	return v.admit(nonce, body, at, now)
}

// verifyPppscn finds the proof where the app puts it: among the fields of the
// body.
func (v *Verifier) verifyPppscn(header http.Header, body []byte, now time.Time) (func(), error) {
	records, _, err := splitBody(header.Get("Content-Type"), body)
	if err != nil || len(records) != 1 {
		return nil, ErrUnsigned
	}
	stamp, sign := records[0].text("timestamp"), records[0].text("sign")
	if stamp == "" || sign == "" {
		return nil, ErrUnsigned
	}
	// The app escapes it once itself, and once more as a form.
	if strings.Contains(sign, "%") {
		if sign, err = url.QueryUnescape(sign); err != nil {
			return nil, ErrSignature
		}
	}
	given, err := base64.StdEncoding.DecodeString(sign)
	if err != nil {
		return nil, ErrSignature
	}
	millis, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, ErrSignature
	}
	if !hmac.Equal(given, v.mac([]byte(stamp+"\n"), v.secret)) {
		return nil, ErrSignature
	}
	return v.admit(stamp, body, time.UnixMilli(millis), now)
}

// verifyHTTPSMS checks the token as the app's service makes it
// (docs.httpsms.com/webhooks). Two messages of the same second carry the same
// token, so that none is remembered.
func (v *Verifier) verifyHTTPSMS(header http.Header, address string, now time.Time) error {
	authorization, err := only(header, "Authorization")
	if err != nil {
		return err
	}
	kind, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(kind, "Bearer") || strings.Count(token, ".") != 2 {
		return ErrUnsigned
	}
	_, err = jwt.ParseWithClaims(strings.TrimSpace(token), &jwt.RegisteredClaims{},
		func(*jwt.Token) (any, error) { return v.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(address),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrSignature
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return ErrStale
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return fmt.Errorf("is signed for another URL: enter exactly the feed's in the app: %w", ErrSignature)
	}
	return ErrSignature
}

// admit checks the signed time and remembers the proof.
func (v *Verifier) admit(proof string, body []byte, at, now time.Time) (func(), error) {
	if at.After(now.Add(min(v.window, maxAdvance))) || at.Before(now.Add(-v.window)) {
		return nil, ErrStale
	}
	// One timestamp of capcom6 serves several messages; what makes its proof
	// one of a kind is the body, which it covers.
	if v.scheme == Capcom6 {
		sum := sha256.Sum256(body)
		proof += string(sum[:])
	}
	return v.spent.admit(proof, body, at.Add(v.window), now)
}

func (v *Verifier) mac(parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, v.secret)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

func (v *Verifier) compareHex(given string, parts ...[]byte) error {
	raw, err := hex.DecodeString(given)
	if err != nil || !hmac.Equal(raw, v.mac(parts...)) {
		return ErrSignature
	}
	return nil
}

// only is the value of a header that must be there once.
func only(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", ErrUnsigned
	}
	return values[0], nil
}

// seconds reads a signed Unix time. The signature covers its text, and there is
// one text for one time.
func seconds(stamp string) (time.Time, error) {
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != stamp {
		return time.Time{}, ErrSignature
	}
	return time.Unix(n, 0), nil
}
