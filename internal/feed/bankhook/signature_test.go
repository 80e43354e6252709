package bankhook_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed/bankhook"
)

func hmacSHA256(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func phonepeAuthorization(s bankhook.Secrets) string {
	sum := sha256.Sum256([]byte(s.User + ":" + s.Password))
	return hex.EncodeToString(sum[:])
}

func razorpaySigned(body string) Case {
	return Case{Kind: "razorpay", Body: body, ContentType: "application/json", Now: time.Unix(1770805900, 0),
		Headers: map[string]string{"X-Razorpay-Signature": hex.EncodeToString(hmacSHA256(hookSecret, body))}}
}

func cashfreeSigned(body string) Case {
	stamp := "1770805860000"
	return Case{Kind: "cashfree", Body: body, ContentType: "application/json", Now: time.Unix(1770805900, 0), Headers: map[string]string{
		"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": base64.StdEncoding.EncodeToString(hmacSHA256(hookSecret, stamp+body))}}
}

func decentroSigned(body string) Case {
	return Case{Kind: "decentro", Body: body, ContentType: "application/json", Now: time.Unix(1770805900, 0),
		Headers: map[string]string{"X-Hook-Key": hookSecret}}
}

func phonepeSigned(body string) Case {
	s := bankhook.Secrets{User: "milaan_hook", Password: "Passw0rd77"}
	return Case{Kind: "phonepe", Body: body, ContentType: "application/json", Now: time.Unix(1770805900, 0),
		Headers: map[string]string{"Authorization": phonepeAuthorization(s)}}
}

func phonepeV1Signed(response string) Case {
	text := base64.StdEncoding.EncodeToString([]byte(response))
	sum := sha256.Sum256([]byte(text + hookSecret))
	return Case{Kind: "phonepe", Body: `{"response":"` + text + `"}`, ContentType: "application/json", Now: time.Unix(1770805900, 0),
		Headers: map[string]string{"X-Verify": hex.EncodeToString(sum[:]) + "###1"}}
}

// checksummed adds Paytm's checksum to a form.
func checksummed(tb testing.TB, form string) string {
	tb.Helper()
	values, err := url.ParseQuery(form)
	if err != nil {
		tb.Fatal(err)
	}
	var names, parts []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, values.Get(name))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "|") + "|salt"))
	text := pad([]byte(hex.EncodeToString(sum[:]) + "salt"))
	block, err := aes.NewCipher([]byte(paytmKey))
	if err != nil {
		tb.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, []byte("@@@@&&&&####$$$$")).CryptBlocks(text, text)
	return form + "&CHECKSUMHASH=" + url.QueryEscape(base64.StdEncoding.EncodeToString(text))
}

func paytmSigned(tb testing.TB, form string) Case {
	tb.Helper()
	return Case{Kind: "paytm", Body: checksummed(tb, form), ContentType: "application/x-www-form-urlencoded", Now: time.Unix(1770805900, 0)}
}

// sealFor encrypts as the bank does.
func sealFor(tb testing.TB, key *rsa.PublicKey, plain []byte) []byte {
	tb.Helper()
	session := bytes.Repeat([]byte{7}, 16)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, key, session) //nolint:staticcheck // the bank's protocol
	if err != nil {
		tb.Fatal(err)
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		tb.Fatal(err)
	}
	text := make([]byte, aes.BlockSize, aes.BlockSize+len(plain)+aes.BlockSize)
	text = append(text, pad(plain)...)
	cipher.NewCBCEncrypter(block, text[:aes.BlockSize]).CryptBlocks(text[aes.BlockSize:], text[aes.BlockSize:])
	body, err := json.Marshal(map[string]string{"requestId": "r-1", "service": "", "iv": "",
		"encryptedKey": base64.StdEncoding.EncodeToString(wrapped), "encryptedData": base64.StdEncoding.EncodeToString(text)})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func iciciSigned(tb testing.TB, plain string) Case {
	tb.Helper()
	return Case{Kind: "icici", Body: string(sealFor(tb, &privateKey(tb, "merchant.pem").PublicKey, []byte(plain))),
		ContentType: "application/json", Endpoint: "mis-posting", Now: time.Unix(1770805900, 0), Headers: map[string]string{"X-Hook-Key": hookSecret}}
}

// TestForged holds every case to its proof: without it, with another's, or with
// one byte of what it covers changed, it is refused.
func TestForged(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		t.Run(c.Kind+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			p, s := provider(t, c.Kind), secrets(t, c.Kind)
			refused := func(what string, want error, r bankhook.Request, s bankhook.Secrets) {
				t.Helper()
				if err := p.Verify(r, s); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			other := s
			other.Secret, other.Password = strings.ToLower(s.Secret[:15])+"~", "another7"
			refused("another secret", bankhook.ErrSignature, c.request(), other)
			refused("no secret", bankhook.ErrSecrets, c.request(), bankhook.Secrets{})

			if len(c.Headers) == 0 { // the proof is in the form
				r := c.request()
				r.Body = []byte(strings.NewReplacer("CHECKSUMHASH=", "X=", "signature=", "x=").Replace(c.Body))
				refused("no proof", bankhook.ErrUnsigned, r, s)
			} else {
				r := c.request()
				r.Header = http.Header{"User-Agent": {"someone"}}
				refused("no proof", bankhook.ErrUnsigned, r, s)
				for _, name := range []string{"X-Razorpay-Signature", "X-Webhook-Signature", "X-Hook-Key", "Authorization", "X-Verify"} {
					r := c.request()
					if r.Header.Get(name) == "" {
						continue
					}
					value := []byte(r.Header.Get(name))
					value[0] ^= 1
					r.Header.Set(name, string(value))
					refused("a proof with a bit changed", bankhook.ErrSignature, r, s)
					r = c.request()
					r.Header.Add(name, r.Header.Get(name))
					refused("a proof twice", bankhook.ErrSignature, r, s)
				}
			}
			r := c.request()
			r.Body = append(r.Body, bytes.Repeat([]byte(" "), bankhook.MaxBody)...)
			refused("a huge body", bankhook.ErrBody, r, s)
			if _, err := p.Read(r, s); !errors.Is(err, bankhook.ErrBody) {
				t.Errorf("reading a huge body: %v", err)
			}
		})
	}
}

func TestTampered(t *testing.T) {
	t.Parallel()
	tests := []struct{ kind, name, old, new string }{
		{"razorpay", "QR code", `"amount":250075`, `"amount":950075`},
		{"razorpay", "failed", `payment.failed`, `order.paidXXX`},
		{"razorpay", "QR code", `{"entity"`, ` {"entity"`},
		{"cashfree", "UPI, less than the order", `999.5`, `9999.5`},
		{"cashfree", "Auto Collect", `amount=640.00`, `amount=940.00`},
		{"phonepe", "v1", `{"response":"e`, `{"response":"f`},
		{"paytm", "UPI", `TXNAMOUNT=88.08`, `TXNAMOUNT=98.08`},
		{"paytm", "pending", `STATUS=PENDING`, `STATUS=TXN_SUCCESS`},
		{"paytm", "UPI", `ORDERID=RS-777`, `ORDERID=RS-778`},
	}
	for _, tt := range tests {
		t.Run(tt.kind+"/"+tt.name+"/"+tt.new, func(t *testing.T) {
			t.Parallel()
			c := named(t, tt.kind, tt.name)
			body := strings.Replace(c.Body, tt.old, tt.new, 1)
			if body == c.Body {
				t.Fatalf("nothing to tamper with: %q", tt.old)
			}
			c.Body = body
			if err := provider(t, c.Kind).Verify(c.request(), secrets(t, c.Kind)); !errors.Is(err, bankhook.ErrSignature) {
				t.Errorf("error %v, want %v", err, bankhook.ErrSignature)
			}
		})
	}
}

// A payer's browser carries Paytm's form: values moved across their borders
// have the same joined text.
func TestPaytmBordersAreSigned(t *testing.T) {
	t.Parallel()
	c := named(t, "paytm", "UPI")
	c.Body = strings.Replace(c.Body, "STATUS=TXN_SUCCESS&TXNAMOUNT=88.08", "STATUS=TXN_SUCCESS%7C88.08", 1)
	if err := provider(t, "paytm").Verify(c.request(), secrets(t, "paytm")); !errors.Is(err, bankhook.ErrSignature) {
		t.Errorf("error %v, want %v", err, bankhook.ErrSignature)
	}
}

// PhonePe's v1 signature covers the response alone: an order beside it is not
// read, and one in its place is not let in by it.
func TestPhonePeReadsOnlyWhatIsSigned(t *testing.T) {
	t.Parallel()
	v1, v2 := named(t, "phonepe", "v1 pending"), named(t, "phonepe", "checkout.order.completed")
	beside := v1
	beside.Body = strings.TrimSuffix(v1.Body, "}") + "," + strings.TrimPrefix(v2.Body, "{")
	if _, reading := read(t, beside); reading.Kind != "ignored" {
		t.Errorf("read %s: %s", reading.Kind, reading.Why)
	}
	v2.Headers = v1.Headers
	if err := provider(t, "phonepe").Verify(v2.request(), secrets(t, "phonepe")); !errors.Is(err, bankhook.ErrUnsigned) {
		t.Errorf("error %v, want %v", err, bankhook.ErrUnsigned)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	c := named(t, "cashfree", "UPI, less than the order")
	ms, err := strconv.ParseInt(c.Headers["x-webhook-timestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	signed := time.UnixMilli(ms)
	tests := []struct {
		now  time.Time
		want error
	}{
		{signed, nil},
		{signed.Add(48 * time.Hour), nil},
		{signed.Add(48*time.Hour + time.Millisecond), bankhook.ErrStale},
		{signed.Add(-15 * time.Minute), nil},
		{signed.Add(-15*time.Minute - time.Millisecond), bankhook.ErrStale},
	}
	for _, tt := range tests {
		c.Now = tt.now
		if err := provider(t, "cashfree").Verify(c.request(), secrets(t, "cashfree")); !errors.Is(err, tt.want) {
			t.Errorf("%v after it was signed: %v, want %v", tt.now.Sub(signed), err, tt.want)
		}
	}
	// A time that is not the signed one.
	c.Now, c.Headers = signed, map[string]string{"x-webhook-timestamp": "1770805861000", "x-webhook-signature": c.Headers["x-webhook-signature"]}
	if err := provider(t, "cashfree").Verify(c.request(), secrets(t, "cashfree")); !errors.Is(err, bankhook.ErrSignature) {
		t.Errorf("another time: %v", err)
	}
	// A digit moved from the body to the time, and none there at all.
	for _, stamp := range []string{"+1770805860000", "", "x"} {
		c := cashfreeSigned(`{}`)
		c.Headers = map[string]string{"x-webhook-timestamp": stamp,
			"x-webhook-signature": base64.StdEncoding.EncodeToString(hmacSHA256(hookSecret, stamp+`{}`))}
		if err := provider(t, "cashfree").Verify(c.request(), secrets(t, "cashfree")); err == nil {
			t.Errorf("the time %q passed", stamp)
		}
	}
}

// A replay is let in: it is the same credit again, which the UTR tells.
func TestReplayIsTheSameCredit(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		_, first := read(t, c)
		c.Now = c.Now.Add(time.Hour)
		if _, again := read(t, c); again != first {
			t.Errorf("%s/%s: %+v, then %+v", c.Kind, c.Name, first, again)
		}
	}
}
