package sms_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/milaan/milaan/internal/feed/sms"
)

// The proofs below were computed with another implementation (Python's hmac).
const (
	secret  = "correct horse battery"
	address = "https://pay.example/feeds/phone1"
	nonce   = "n0nce-0123456789"
	body    = `{"event":"sms:received","id":"e1","payload":{"messageId":"m1","message":"Rs.250.00 credited to a/c XX4321","sender":"VM-HDFCBK-S","receivedAt":"2026-05-04T10:20:30.000+05:30"}}`

	bodyProof    = "cb9c59a5e8689f0215657381d89142045f54dda8aea1f96934bd12058f9fcb7b"
	capcom6Proof = "e676f505beef996db324fae569b19f49f9541a16204e553fb7ea07e87d19f996"
	milaanProof  = "11f93f4d84e991f4e82635ee4d7336ad07ee8728d6cf57dc2a0752317bce5c98"
	pppscnProof  = "9k3p3HNI337XC62nwwMGqijIHWM9lrGX4VvQbcvG9JE"
	token        = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJodHRwczovL3BheS5leGFtcGxlL2ZlZWRzL3Bob25lMSIsImV4cCI6MTc3Nzg3MDgzMCwiaWF0IjoxNzc3ODcwMjMwLCJpc3MiOiJhcGkuaHR0cHNtcy5jb20iLCJuYmYiOjE3Nzc4Njk2MzAsInN1YiI6InUxIn0.nN5juKUVdhIJ0fWSkOFRSi1jYNJMzXAYe-Bv4AVwNA0"
)

var stamped = time.Unix(1777870230, 0)

func form(fields ...string) string {
	return "from=VM-HDFCBK-S&content=x&timestamp=1777870230123&sign=" + pppscnProof + strings.Join(fields, "")
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func verifier(t *testing.T, scheme sms.Scheme) *sms.Verifier {
	t.Helper()
	v, err := sms.NewVerifier(scheme, secret, 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	t.Parallel()
	isForm := []string{"Content-Type", formType}
	capcom := []string{"X-Signature", capcom6Proof, "X-Timestamp", "1777870230"}
	own := []string{"X-Milaan-Signature", milaanProof, "X-Milaan-Timestamp", "1777870230", "X-Milaan-Nonce", nonce}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) []string {
		claims := jwt.MapClaims{
			"iss": "api.httpsms.com", "aud": address, "nbf": stamped.Add(-10 * time.Minute).Unix(), "exp": stamped.Add(10 * time.Minute).Unix(),
		}
		if change != nil {
			change(claims)
		}
		signed, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + signed}
	}
	drop := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	for _, tt := range []struct {
		name   string
		scheme sms.Scheme
		header []string
		body   string
		at     time.Time
		want   error
	}{
		{"capcom6", sms.Capcom6, capcom, body, stamped, nil},
		{"capcom6, capitals", sms.Capcom6, []string{"x-signature", strings.ToUpper(capcom6Proof), "x-timestamp", "1777870230"}, body, stamped, nil},
		{"capcom6, five minutes", sms.Capcom6, capcom, body, stamped.Add(5 * time.Minute), nil},
		{"capcom6, later", sms.Capcom6, capcom, body, stamped.Add(5*time.Minute + time.Second), sms.ErrStale},
		{"capcom6, ahead", sms.Capcom6, capcom, body, stamped.Add(-5*time.Minute - time.Second), sms.ErrStale},
		{"capcom6, other text", sms.Capcom6, capcom, strings.Replace(body, "250", "950", 1), stamped, sms.ErrSignature},
		{"capcom6, other time", sms.Capcom6, []string{"X-Signature", capcom6Proof, "X-Timestamp", "1777870231"}, body, stamped, sms.ErrSignature},
		{"capcom6, time written otherwise", sms.Capcom6, []string{"X-Signature", capcom6Proof, "X-Timestamp", "+1777870230"}, body, stamped, sms.ErrSignature},
		{"capcom6, time moved into the body", sms.Capcom6, []string{"X-Signature", capcom6Proof, "X-Timestamp", "0"}, body + "177787023", stamped, sms.ErrStale},
		{"capcom6, no time", sms.Capcom6, []string{"X-Signature", bodyProof}, body, stamped, sms.ErrUnsigned},
		{"capcom6, two signatures", sms.Capcom6, append([]string{"X-Signature", "00"}, capcom...), body, stamped, sms.ErrUnsigned},
		{"capcom6, nothing", sms.Capcom6, nil, body, stamped, sms.ErrUnsigned},
		{"capcom6, no hex", sms.Capcom6, []string{"X-Signature", "zz", "X-Timestamp", "1777870230"}, body, stamped, sms.ErrSignature},
		{"capcom6, cut", sms.Capcom6, []string{"X-Signature", capcom6Proof[:32], "X-Timestamp", "1777870230"}, body, stamped, sms.ErrSignature},

		{"body", sms.Body, []string{"X-Signature", bodyProof}, body, stamped.Add(48 * time.Hour), nil},
		{"body, tampered", sms.Body, []string{"X-Signature", bodyProof}, body + " ", stamped, sms.ErrSignature},
		{"body, nothing", sms.Body, nil, body, stamped, sms.ErrUnsigned},
		{"body, empty", sms.Body, []string{"X-Signature", ""}, body, stamped, sms.ErrUnsigned},

		{"milaan", sms.Milaan, own, body, stamped, nil},
		{"milaan, stale", sms.Milaan, own, body, stamped.Add(time.Hour), sms.ErrStale},
		{"milaan, tampered", sms.Milaan, own, strings.Replace(body, "4321", "4322", 1), stamped, sms.ErrSignature},
		{"milaan, other nonce", sms.Milaan, []string{"X-Milaan-Signature", milaanProof, "X-Milaan-Timestamp", "1777870230", "X-Milaan-Nonce", nonce + "0"}, body, stamped, sms.ErrSignature},
		{"milaan, short nonce", sms.Milaan, []string{"X-Milaan-Signature", milaanProof, "X-Milaan-Timestamp", "1777870230", "X-Milaan-Nonce", "n"}, body, stamped, sms.ErrUnsigned},
		{"milaan, no nonce", sms.Milaan, own[:4], body, stamped, sms.ErrUnsigned},
		{"milaan, another scheme's", sms.Milaan, capcom, body, stamped, sms.ErrUnsigned},

		{"pppscn", sms.Pppscn, isForm, form("%3D"), stamped, nil},
		{"pppscn, escaped twice", sms.Pppscn, isForm, form("%253D"), stamped, nil},
		{"pppscn, JSON", sms.Pppscn, nil, `{"from":"A","org_content":"b","timestamp":"1777870230123","sign":"` + pppscnProof + `%3D"}`, stamped, nil},
		{"pppscn, stale", sms.Pppscn, isForm, form("%3D"), stamped.Add(6 * time.Minute), sms.ErrStale},
		{"pppscn, other time", sms.Pppscn, isForm, strings.Replace(form("%3D"), "0123", "0124", 1), stamped, sms.ErrSignature},
		{"pppscn, other sign", sms.Pppscn, isForm, strings.Replace(form("%3D"), "9k3p", "9k3q", 1), stamped, sms.ErrSignature},
		{"pppscn, two times", sms.Pppscn, isForm, form("%3D", "&timestamp=1"), stamped, sms.ErrUnsigned},
		{"pppscn, no sign", sms.Pppscn, isForm, "from=A&content=b&timestamp=1777870230123", stamped, sms.ErrUnsigned},
		{"pppscn, batch", sms.Pppscn, nil, `[{"timestamp":"1777870230123","sign":"` + pppscnProof + `="},{"from":"A"}]`, stamped, sms.ErrUnsigned},

		{"httpSMS", sms.HTTPSMS, []string{"Authorization", "Bearer " + token}, body, stamped, nil},
		{"httpSMS, made here", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), nil), body, stamped, nil},
		{"httpSMS, expired", sms.HTTPSMS, []string{"Authorization", "Bearer " + token}, body, stamped.Add(11 * time.Minute), sms.ErrStale},
		{"httpSMS, not yet", sms.HTTPSMS, []string{"Authorization", "Bearer " + token}, body, stamped.Add(-11 * time.Minute), sms.ErrStale},
		{"httpSMS, tampered", sms.HTTPSMS, []string{"Authorization", "Bearer " + token[:len(token)-3] + "AAA"}, body, stamped, sms.ErrSignature},
		{"httpSMS, another feed", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["aud"] = address + "2" }), body, stamped, sms.ErrSignature},
		{"httpSMS, another issuer", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["iss"] = "x" }), body, stamped, sms.ErrSignature},
		{"httpSMS, another key", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte("other"), nil), body, stamped, sms.ErrSignature},
		{"httpSMS, another algorithm", sms.HTTPSMS, sign(jwt.SigningMethodHS512, []byte(secret), nil), body, stamped, sms.ErrSignature},
		{"httpSMS, none", sms.HTTPSMS, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), body, stamped, sms.ErrSignature},
		{"httpSMS, no end", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), drop("exp")), body, stamped, sms.ErrSignature},
		{"httpSMS, no beginning", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), drop("nbf")), body, stamped, sms.ErrSignature},
		{"httpSMS, no issuer", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), drop("iss")), body, stamped, sms.ErrSignature},
		{"httpSMS, no address", sms.HTTPSMS, sign(jwt.SigningMethodHS256, []byte(secret), drop("aud")), body, stamped, sms.ErrSignature},
		{"httpSMS, the feed's token", sms.HTTPSMS, []string{"Authorization", "Bearer smstoken"}, body, stamped, sms.ErrUnsigned},
		{"httpSMS, nothing", sms.HTTPSMS, nil, body, stamped, sms.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settle, err := verifier(t, tt.scheme).Verify(headers(tt.header...), []byte(tt.body), address, tt.at)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				settle()
			}
		})
	}
}

func TestReplays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scheme sms.Scheme
		header http.Header
		body   string
	}{
		{sms.Capcom6, headers("X-Signature", capcom6Proof, "X-Timestamp", "1777870230"), body},
		{sms.Milaan, headers("X-Milaan-Signature", milaanProof, "X-Milaan-Timestamp", "1777870230", "X-Milaan-Nonce", nonce), body},
		{sms.Pppscn, headers("Content-Type", formType), form("%3D")},
	} {
		v := verifier(t, tt.scheme)
		verify := func(body string, at time.Time) (func(), error) { return v.Verify(tt.header, []byte(body), "", at) }
		if _, err := verify(tt.body, stamped); err != nil {
			t.Fatalf("%s: %v", tt.scheme, err)
		}
		settle, err := verify(tt.body, stamped.Add(time.Second)) // we failed to keep it: the app tries again
		if err != nil {
			t.Fatalf("%s: sent again before it was kept: %v", tt.scheme, err)
		}
		settle()
		if _, err := verify(tt.body, stamped.Add(2*time.Second)); !errors.Is(err, sms.ErrReplayed) {
			t.Errorf("%s: replayed: %v", tt.scheme, err)
		}
		if _, err := verify(tt.body, stamped.Add(time.Hour)); !errors.Is(err, sms.ErrStale) {
			t.Errorf("%s: replayed late: %v", tt.scheme, err)
		}
	}
	// The sign of pppscn covers the time alone: another text must not use it.
	v, header := verifier(t, sms.Pppscn), headers("Content-Type", formType)
	if _, err := v.Verify(header, []byte(form("%3D")), "", stamped); err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(form("%3D"), "content=x", "content=y", 1)
	if _, err := v.Verify(header, []byte(forged), "", stamped); !errors.Is(err, sms.ErrReplayed) {
		t.Errorf("another text with the same sign: %v", err)
	}
}

// A repeat of a signed body is the same SMS: it is let through, as the service
// repeats what we failed to answer, and a credit counts once anyway.
func TestBodyRepeats(t *testing.T) {
	t.Parallel()
	v := verifier(t, sms.Body)
	for range 2 {
		settle, err := v.Verify(headers("X-Signature", bodyProof), []byte(body), "", stamped)
		if err != nil {
			t.Fatal(err)
		}
		settle()
	}
}

func TestVerifyTogether(t *testing.T) {
	t.Parallel()
	v := verifier(t, sms.Milaan)
	header := headers("X-Milaan-Signature", milaanProof, "X-Milaan-Timestamp", "1777870230", "X-Milaan-Nonce", nonce)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if settle, err := v.Verify(header, []byte(body), "", stamped); err == nil {
				settle()
			} else if !errors.Is(err, sms.ErrReplayed) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := v.Verify(header, []byte(body), "", stamped); !errors.Is(err, sms.ErrReplayed) {
		t.Error(err)
	}
}

func TestNewVerifier(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scheme sms.Scheme
		secret string
		window time.Duration
		ok     bool
	}{
		{sms.Capcom6, secret, 48 * time.Hour, true},
		{"none", secret, 0, false},
		{sms.Capcom6, "short", 0, false},
		{sms.Capcom6, "", 0, false},
		{sms.Capcom6, secret, -1, false},
		{sms.Capcom6, secret, 1000 * time.Hour, false},
	} {
		if _, err := sms.NewVerifier(tt.scheme, tt.secret, tt.window); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	// A window of days is for the past only.
	v, err := sms.NewVerifier(sms.Capcom6, secret, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	header := headers("X-Signature", capcom6Proof, "X-Timestamp", "1777870230")
	for at, want := range map[time.Time]error{
		stamped.Add(47 * time.Hour): nil, stamped.Add(49 * time.Hour): sms.ErrStale, stamped.Add(-6 * time.Minute): sms.ErrStale,
	} {
		if _, err := v.Verify(header, []byte(body), "", at); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", at, err, want)
		}
	}
	for scheme, want := range map[sms.Scheme]bool{sms.Capcom6: true, sms.Body: true, sms.Milaan: true, sms.HTTPSMS: true, sms.Pppscn: false} {
		if scheme.ReplacesToken() != want {
			t.Errorf("%s replaces the token: %v", scheme, !want)
		}
	}
}

func ExampleTrusted() {
	fmt.Println(sms.Trusted("JD-HDFCBK-S", "hdfc", nil))
	// Output: <nil>
}
