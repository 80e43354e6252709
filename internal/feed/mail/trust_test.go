package mail_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/mail"
)

var now = time.Date(2026, 6, 13, 15, 0, 0, 0, time.UTC)

const (
	merchant = "accounts@shop.example"
	alert    = "From: HDFC Bank InstaAlerts <alerts@hdfcbank.net>\r\n" +
		"To: Shop <Accounts@Shop.example>\r\n" +
		"Subject: Account update\r\n" +
		"Date: Sat, 13 Jun 2026 20:04:11 +0530\r\n" +
		"Message-ID: <1@hdfcbank.net>\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"\r\n" +
		"Rs.75.00 is credited to your account **4321 by VPA asha@okaxis. UPI reference 516300274911.\r\n"
)

// signer is a domain's key.
type signer struct {
	domain   string
	selector string
	key      crypto.Signer
	keys     []string // signed fields; nil for all that are needed
	until    time.Time
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func (s signer) name() string { return s.selector + "._domainkey." + s.domain }

func (s signer) record(t *testing.T) string {
	t.Helper()
	switch key := s.key.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	default:
		public, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
	}
}

func (s signer) sign(t *testing.T, message string) string {
	t.Helper()
	keys := s.keys
	if keys == nil {
		keys = []string{"From", "To", "Subject", "Date", "Message-ID", "Content-Type"}
	}
	var signed bytes.Buffer
	err := dkim.Sign(&signed, strings.NewReader(message), &dkim.SignOptions{
		Domain: s.domain, Selector: s.selector, Signer: s.key, HeaderKeys: keys, Expiration: s.until,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed.String()
}

func bank(domain string) signer {
	return signer{domain: domain, selector: "s1", key: rsaKey()}
}

// dns answers with the keys of these signers.
func dns(t *testing.T, signers ...signer) mail.LookupTXT {
	t.Helper()
	records := make(map[string]string)
	for _, s := range signers {
		records[s.name()] = s.record(t)
	}
	return func(_ context.Context, name string) ([]string, error) {
		if record, found := records[name]; found {
			return []string{record}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
}

func verifier(t *testing.T, lookup mail.LookupTXT, change func(*mail.Policy)) *mail.Verifier {
	t.Helper()
	policy := mail.Policy{Bank: "hdfc", Recipients: []string{merchant}}
	if change != nil {
		change(&policy)
	}
	v, err := mail.NewVerifier(policy, lookup, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func open(t *testing.T, raw string) *mail.Message {
	t.Helper()
	m, err := mail.Open(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestVerifyTrusts(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		message string
		signer  signer
		policy  func(*mail.Policy)
		after   func(signed string) string // what happens on the way
	}{
		{name: "the bank's own", message: alert, signer: bank("hdfcbank.net")},
		{name: "Ed25519", message: alert, signer: signer{domain: "hdfcbank.net", selector: "ed", key: edKey}},
		{name: "another domain of the bank", message: strings.ReplaceAll(alert, "hdfcbank.net", "hdfcbank.bank.in"), signer: bank("hdfcbank.bank.in")},
		{name: "sent from below the signing domain", message: strings.ReplaceAll(alert, "@hdfcbank.net", "@alerts.hdfcbank.net"), signer: bank("hdfcbank.net")},
		{name: "signed below the sending domain", message: alert, signer: bank("mailer.hdfcbank.net")},
		{name: "capitals", message: strings.ReplaceAll(alert, "alerts@hdfcbank.net", "Alerts@HDFCBank.NET"), signer: bank("hdfcbank.net")},
		{name: "valid for long", message: alert, signer: signer{domain: "hdfcbank.net", selector: "s1", key: rsaKey(), until: now.AddDate(100, 0, 0)}},
		{name: "without Content-Type signed", message: alert,
			signer: signer{domain: "hdfcbank.net", selector: "s1", key: rsaKey(), keys: []string{"From", "To", "Subject", "Date"}}},
		{name: "operator's domain", message: strings.ReplaceAll(alert, "hdfcbank.net", "smallbank.example"), signer: bank("smallbank.example"),
			policy: func(p *mail.Policy) { p.Bank, p.Domains = "", []string{" SmallBank.example "} }},
		{name: "a subject with a colon", message: strings.Replace(alert, "Account update", "View: Account update", 1), signer: bank("hdfcbank.net")},
		{name: "automatic", message: strings.Replace(alert, "Message-ID:", "Auto-Submitted: auto-generated\r\nMessage-ID:", 1), signer: bank("hdfcbank.net")},
		{name: "a sender that is named", message: alert, signer: bank("hdfcbank.net"),
			policy: func(p *mail.Policy) { p.Senders = []string{"insta@hdfcbank.net", "Alerts@hdfcbank.net"} }},
		{name: "among several recipients", message: strings.ReplaceAll(alert, "To: ", "To: partner@shop.example, "), signer: bank("hdfcbank.net")},
		{name: "relays wrote above", message: alert, signer: bank("hdfcbank.net"), after: func(signed string) string {
			return "Received: by mx.example\r\nDKIM-Signature: v=1; a=rsa-sha256; d=mx.example; s=x; h=from; bh=; b=\r\n" + signed
		}},
		{name: "lines end in LF", message: alert, signer: bank("hdfcbank.net"),
			after: func(signed string) string { return strings.ReplaceAll(signed, "\r\n", "\n") }},
		{name: "one of two signatures is broken", message: alert, signer: bank("hdfcbank.net"), after: func(signed string) string {
			return "DKIM-Signature: v=1; a=rsa-sha256; d=hdfcbank.net; s=gone; h=from; bh=AAAA; b=AAAA\r\n" + signed
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			signed := tt.signer.sign(t, tt.message)
			if tt.after != nil {
				signed = tt.after(signed)
			}
			proof, err := verifier(t, dns(t, tt.signer), tt.policy).Verify(t.Context(), open(t, signed))
			if want := (mail.Proof{Domain: tt.signer.domain}); err != nil || proof != want {
				t.Errorf("proof %+v, error %v; want %+v", proof, err, want)
			}
		})
	}
}

// TestVerifyRefuses is the table of forgeries. Each message is one that
// TestVerifyTrusts accepts, but for what its name says.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	replace := func(from, to string) func(string) string {
		return func(signed string) string {
			if !strings.Contains(signed, from) {
				t.Fatalf("%q is not in the message", from)
			}
			return strings.Replace(signed, from, to, 1)
		}
	}
	from := func(address string) string { return strings.ReplaceAll(alert, "alerts@hdfcbank.net", address) }
	keys := func(fields ...string) signer {
		s := bank("hdfcbank.net")
		s.keys = fields
		return s
	}
	expired := bank("hdfcbank.net")
	expired.until = now.Add(-time.Minute)
	tests := []struct {
		name    string
		message string
		signer  signer
		after   func(signed string) string
		reason  mail.Reason
	}{
		{"only the shown name is the bank's", strings.ReplaceAll(alert, "HDFC Bank InstaAlerts <alerts@hdfcbank.net>", `"alerts@hdfcbank.net" <x@evil.example>`), bank("evil.example"), nil, mail.ReasonSender},
		{"lookalike domain", from("alerts@hdfcbank-net.com"), bank("hdfcbank-net.com"), nil, mail.ReasonSender},
		{"longer domain", from("alerts@myhdfcbank.net"), bank("myhdfcbank.net"), nil, mail.ReasonSender},
		{"bank's domain in front of another", from("alerts@hdfcbank.net.evil.com"), bank("hdfcbank.net.evil.com"), nil, mail.ReasonSender},
		{"bank.in in front of another", from("alerts@hdfcbank.bank.in.evil"), bank("hdfcbank.bank.in.evil"), nil, mail.ReasonSender},
		{"bank.in turned round", from("alerts@bank.in.evil"), bank("bank.in.evil"), nil, mail.ReasonSender},
		{"another bank", from("alerts@icici.bank.in"), bank("icici.bank.in"), nil, mail.ReasonSender},
		{"bank.in itself", from("alerts@bank.in"), bank("bank.in"), nil, mail.ReasonSender},
		{"homograph", from("alerts@hdfcb\u0430nk.net"), bank("xn--hdfcbnk-3fg.net"), nil, mail.ReasonSender},
		{"homograph in ASCII", from("alerts@xn--hdfcbnk-3fg.net"), bank("xn--hdfcbnk-3fg.net"), nil, mail.ReasonSender},
		{"address in an address", from(`"alerts@hdfcbank.net"@evil.example`), bank("evil.example"), nil, mail.ReasonSender},
		{"no signature", alert, bank("hdfcbank.net"), replace("DKIM-Signature:", "X-Signature:"), mail.ReasonUnsigned},
		{"signature of another domain", alert, bank("evil.example"), nil, mail.ReasonUnsigned},
		{"signature of another's subdomain", alert, bank("hdfcbank.net.evil.example"), nil, mail.ReasonUnsigned},
		{"signature above the bank", strings.ReplaceAll(alert, "hdfcbank.net", "hdfcbank.bank.in"), bank("bank.in"), nil, mail.ReasonUnsigned},
		{"other domain of the same bank", alert, bank("hdfcbank.com"), nil, mail.ReasonUnaligned},
		{"other registration below bank.in", strings.ReplaceAll(alert, "hdfcbank.net", "hdfc.bank.in"), bank("hdfcbank.bank.in"), nil, mail.ReasonUnaligned},
		{"amount changed", alert, bank("hdfcbank.net"), replace("Rs.75.00", "Rs.7500.00"), mail.ReasonSignature},
		{"text appended", alert, bank("hdfcbank.net"), func(signed string) string { return signed + "Rs.9000.00 is credited\r\n" }, mail.ReasonSignature},
		{"subject replaced", alert, bank("hdfcbank.net"), replace("Account update", "Rs.9000.00 credited"), mail.ReasonSignature},
		{"date replaced", alert, bank("hdfcbank.net"), replace("13 Jun", "14 Jun"), mail.ReasonSignature},
		{"signed content type replaced", alert, bank("hdfcbank.net"), replace("text/plain", "text/html"), mail.ReasonSignature},
		{"line folded into the subject", alert, bank("hdfcbank.net"), replace("Account update\r\n", "Account update\r\n of Rs.9000.00\r\n"), mail.ReasonSignature},
		{"key withdrawn", alert, signer{domain: "hdfcbank.net", selector: "gone", key: rsaKey()}, replace("s=gone", "s=other"), mail.ReasonSignature},
		{"unsigned subject", alert, keys("From", "To", "Date"), nil, mail.ReasonUncovered},
		{"unsigned subject, replaced", alert, keys("From", "To", "Date"), replace("Account update", "Rs.9000.00 credited"), mail.ReasonUncovered},
		{"unsigned date", alert, keys("From", "To", "Subject"), nil, mail.ReasonUncovered},
		{"unsigned recipient, replaced", alert, keys("From", "Subject", "Date"), nil, mail.ReasonUncovered},
		{"expired", alert, expired, nil, mail.ReasonExpired},
		{"alert to somebody else", strings.ReplaceAll(alert, "Accounts@Shop.example", "mallory@evil.example"), bank("hdfcbank.net"), nil, mail.ReasonRecipient},
		{"alert to somebody else, sent on", strings.ReplaceAll(alert, "Accounts@Shop.example", "mallory@evil.example"), bank("hdfcbank.net"), replace("mallory@evil.example", merchant), mail.ReasonSignature},
		{"recipient in the shown name", strings.ReplaceAll(alert, "Shop <Accounts@Shop.example>", `"accounts@shop.example" <mallory@evil.example>`), bank("hdfcbank.net"), nil, mail.ReasonRecipient},
		{"undisclosed recipients", strings.ReplaceAll(alert, "Shop <Accounts@Shop.example>", "undisclosed-recipients:;"), bank("hdfcbank.net"), nil, mail.ReasonRecipient},
		{"reply", strings.Replace(alert, "Message-ID:", "In-Reply-To: <mallory@evil.example>\r\nMessage-ID:", 1), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"reply by its subject", strings.Replace(alert, "Account update", "RE: Rs.9000 credited", 1), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"forward by its subject", strings.Replace(alert, "Account update", "Fwd : Rs.9000 credited", 1), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"automatic reply", strings.Replace(alert, "Message-ID:", "Auto-Submitted: Auto-Replied (holiday)\r\nMessage-ID:", 1), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"returned mail", strings.ReplaceAll(alert, "alerts@", "MAILER-DAEMON@"), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"report", strings.Replace(alert, "text/plain; charset=utf-8\r\n\r\n", "multipart/report; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b--\r\n", 1), bank("hdfcbank.net"), nil, mail.ReasonReply},
		{"a server's word that nobody asked for", alert, bank("hdfcbank.net"), func(signed string) string {
			return "Authentication-Results: mx.shop.example; dkim=pass header.d=hdfcbank.net\r\n" + strings.Replace(signed, "Rs.75", "Rs.7500", 1)
		}, mail.ReasonSignature},
		{"too many signatures to look for the bank's", alert, bank("hdfcbank.net"), func(signed string) string {
			return strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=x; h=from; bh=; b=\r\n", 10) + signed
		}, mail.ReasonUnsigned},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			signed := tt.signer.sign(t, tt.message)
			if tt.after != nil {
				signed = tt.after(signed)
			}
			proof, err := verifier(t, dns(t, tt.signer), nil).Verify(t.Context(), open(t, signed))
			var untrusted *mail.UntrustedError
			if !errors.As(err, &untrusted) || untrusted.Reason != tt.reason || proof != (mail.Proof{}) {
				t.Errorf("proof %+v, error %v; want reason %s", proof, err, tt.reason)
			}
			if !errors.Is(err, mail.ErrUntrusted) || errors.Is(err, mail.ErrTemporary) {
				t.Errorf("error %v is not for good", err)
			}
		})
	}
}

// handSigned signs as the library would not: with these tags, over a body cut
// to length, by simple canonicalization.
func handSigned(t *testing.T, hash crypto.Hash, algorithm, tags string, length int) string {
	t.Helper()
	sum := func(text string) []byte {
		if hash == crypto.SHA1 {
			s := sha1.Sum([]byte(text))
			return s[:]
		}
		s := sha256.Sum256([]byte(text))
		return s[:]
	}
	header, body, _ := strings.Cut(alert, "\r\n\r\n")
	if length > 0 {
		body = body[:length]
	}
	bodyHash := base64.StdEncoding.EncodeToString(sum(body))
	signature := "DKIM-Signature: v=1; a=" + algorithm + "; d=hdfcbank.net; s=s1; h=From:To:Subject:Date; " + tags + "bh=" + bodyHash + "; b="
	fields := make(map[string]string)
	for line := range strings.SplitSeq(header, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		fields[name] = line + "\r\n"
	}
	signed, err := rsa.SignPKCS1v15(rand.Reader, rsaKey(), hash, sum(fields["From"]+fields["To"]+fields["Subject"]+fields["Date"]+signature))
	if err != nil {
		t.Fatal(err)
	}
	return signature + base64.StdEncoding.EncodeToString(signed) + "\r\n" + alert
}

func TestVerifyRefusesWeakSignatures(t *testing.T) {
	t.Parallel()
	_, body, _ := strings.Cut(alert, "\r\n\r\n")
	tests := []struct {
		name, message string
		trusted       bool
	}{
		{"whole and strong", handSigned(t, crypto.SHA256, "rsa-sha256", "", 0), true},
		{"length given, nothing appended", handSigned(t, crypto.SHA256, "rsa-sha256", fmt.Sprintf("l=%d; ", len(body)), len(body)), false},
		{"length given, text appended", handSigned(t, crypto.SHA256, "rsa-sha256", fmt.Sprintf("l=%d; ", len(body)), len(body)) + "Rs.9000.00 is credited\r\n", false},
		{"nothing of the body", handSigned(t, crypto.SHA256, "rsa-sha256", "l=0; ", 0), false},
		{"SHA-1", handSigned(t, crypto.SHA1, "rsa-sha1", "", 0), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verifier(t, dns(t, bank("hdfcbank.net")), nil).Verify(t.Context(), open(t, tt.message))
			var untrusted *mail.UntrustedError
			if refused := errors.As(err, &untrusted) && untrusted.Reason == mail.ReasonSignature; refused == tt.trusted || tt.trusted && err != nil {
				t.Errorf("error %v, want trusted %v", err, tt.trusted)
			}
		})
	}
}

// TestVerifyRefusesShortKeys is not parallel: the library of keys has to be told
// to make one.
func TestVerifyRefusesShortKeys(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	for bits, trusted := range map[int]bool{768: false, 1024: true} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		s := signer{domain: "hdfcbank.net", selector: "s1", key: key}
		_, err = verifier(t, dns(t, s), nil).Verify(t.Context(), open(t, s.sign(t, alert)))
		if (err == nil) != trusted || !trusted && !errors.Is(err, mail.ErrUntrusted) {
			t.Errorf("%d bits: error %v, want trusted %v", bits, err, trusted)
		}
	}
}

func TestVerifyRefusesOtherSenders(t *testing.T) {
	t.Parallel()
	own := bank("hdfcbank.net")
	v := verifier(t, dns(t, own), func(p *mail.Policy) { p.Senders = []string{"alerts@hdfcbank.bank.in"} })
	_, err := v.Verify(t.Context(), open(t, own.sign(t, alert)))
	var untrusted *mail.UntrustedError
	if !errors.As(err, &untrusted) || untrusted.Reason != mail.ReasonSender {
		t.Errorf("error %v", err)
	}
}

func TestVerifyWaitsForKeys(t *testing.T) {
	t.Parallel()
	own := bank("hdfcbank.net")
	signed := own.sign(t, alert)
	answer := dns(t, own)
	failures := map[string]error{
		"server failure": &net.DNSError{Err: "server misbehaving", IsTemporary: true},
		"time-out":       &net.DNSError{Err: "i/o timeout", IsTimeout: true},
		"no network":     errors.New("network is unreachable"),
	}
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			down := true
			v := verifier(t, mail.CacheTXT(func(ctx context.Context, name string) ([]string, error) {
				if down {
					return nil, failure
				}
				return answer(ctx, name)
			}, func() time.Time { return now }), nil)
			if _, err := v.Verify(t.Context(), open(t, signed)); !errors.Is(err, mail.ErrTemporary) || errors.Is(err, mail.ErrUntrusted) {
				t.Fatalf("error %v, want to try later", err)
			}
			down = false
			if _, err := v.Verify(t.Context(), open(t, signed)); err != nil {
				t.Errorf("error %v once the key is there", err)
			}
		})
	}
	t.Run("another's key", func(t *testing.T) {
		t.Parallel()
		evil := bank("evil.example")
		v := verifier(t, func(_ context.Context, name string) ([]string, error) {
			t.Errorf("looked up %s", name)
			return nil, errors.New("down")
		}, nil)
		if _, err := v.Verify(t.Context(), open(t, evil.sign(t, alert))); !errors.Is(err, mail.ErrUntrusted) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		ctx, stop := context.WithCancel(t.Context())
		v := verifier(t, func(ctx context.Context, _ string) ([]string, error) {
			stop()
			return nil, ctx.Err()
		}, nil)
		if _, err := v.Verify(ctx, open(t, signed)); !errors.Is(err, context.Canceled) || errors.Is(err, mail.ErrUntrusted) {
			t.Errorf("error %v", err)
		}
	})
}

func TestVerifyTakesTheRelaysWord(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fields string
		trusted      bool
	}{
		{"pass", "mx.shop.example; spf=pass smtp.mailfrom=x@hdfcbank.net; dkim=pass header.d=hdfcbank.net", true},
		{"pass, by identity", "mx.shop.example; dkim=pass (2048 bits) header.i=@hdfcbank.net header.s=s1", true},
		{"folded", "mx.shop.example;\r\n dkim=pass\r\n header.d=mailer.hdfcbank.net", true},
		{"no semicolons", "mx.shop.example; spf=pass dkim=pass\r\n header.d=hdfcbank.net dmarc=pass (p=REJECT)", true},
		{"version", "mx.shop.example 1; dkim=pass header.d=hdfcbank.net", true},
		{"fail, no semicolons", "mx.shop.example; spf=pass dkim=fail header.d=hdfcbank.net dmarc=pass", false},
		{"domain of another result", "mx.shop.example; dkim=pass spf=pass header.d=hdfcbank.net", false},
		{"fail", "mx.shop.example; dkim=fail header.d=hdfcbank.net", false},
		{"none", "mx.shop.example; none", false},
		{"another server", "mx.evil.example; dkim=pass header.d=hdfcbank.net", false},
		{"longer name", "mx.shop.example.evil.example; dkim=pass header.d=hdfcbank.net", false},
		{"not topmost", "mx.shop.example; dkim=fail header.d=hdfcbank.net\r\nAuthentication-Results: mx.shop.example; dkim=pass header.d=hdfcbank.net", false},
		{"another domain", "mx.shop.example; dkim=pass header.d=evil.example", false},
		{"other domain of the bank", "mx.shop.example; dkim=pass header.d=hdfcbank.com", false},
		{"lookalike", "mx.shop.example; dkim=pass header.d=hdfcbank.net.evil.example", false},
		{"in a comment", "mx.shop.example; spf=pass (sender x ; dkim=pass header.d=hdfcbank.net ) smtp.mailfrom=y", false},
		{"domain in a comment", "mx.shop.example; dkim=pass ( header.d=hdfcbank.net )", false},
		{"in quotes", `mx.shop.example; spf=pass smtp.mailfrom="x; dkim=pass header.d=hdfcbank.net"@evil.example`, false},
		{"comment without end", "mx.shop.example; dkim=pass header.d=hdfcbank.net (", false},
	}
	broken := strings.Replace(bank("hdfcbank.net").sign(t, alert), "Rs.75.00", "Rs. 75.00", 1) // a relay mended the text
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := verifier(t, dns(t, bank("hdfcbank.net")), func(p *mail.Policy) { p.Relay = "mx.shop.example" })
			proof, err := v.Verify(t.Context(), open(t, "Authentication-Results: "+tt.fields+"\r\n"+broken))
			if tt.trusted && (err != nil || proof.Relay != "mx.shop.example" || !strings.HasSuffix(proof.Domain, "hdfcbank.net")) {
				t.Errorf("proof %+v, error %v", proof, err)
			}
			if !tt.trusted && !errors.Is(err, mail.ErrUntrusted) {
				t.Errorf("trusted by %+v", proof)
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	to := []string{merchant}
	for name, policy := range map[string]mail.Policy{
		"no bank":               {Recipients: to},
		"unknown bank":          {Bank: "nobank", Recipients: to},
		"no recipient":          {Bank: "hdfc"},
		"recipient without @":   {Bank: "hdfc", Recipients: []string{"shop"}},
		"recipient with a name": {Bank: "hdfc", Recipients: []string{"Shop <shop@shop.example>"}},
		"another's sender":      {Bank: "hdfc", Senders: []string{"alerts@icici.bank.in"}, Recipients: to},
		"all banks":             {Bank: "hdfc", Domains: []string{"bank.in"}, Recipients: to},
		"all of India":          {Bank: "hdfc", Domains: []string{"co.in"}, Recipients: to},
		"everybody":             {Bank: "hdfc", Domains: []string{""}, Recipients: to},
		"nothing below bank.in": {Bank: "hdfc", Domains: []string{".bank.in"}, Recipients: to},
	} {
		if _, err := mail.NewVerifier(policy, dns(t), func() time.Time { return now }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := mail.NewVerifier(mail.Policy{Bank: "coop", Domains: []string{"coop.bank.in"}, Recipients: to}, dns(t), nil); err != nil {
		t.Errorf("an unknown bank with its domain: %v", err)
	}
}

func TestBanksAreNamedByTheirOwnDomains(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("banks.json")
	if err != nil {
		t.Fatal(err)
	}
	var banks map[string][]string
	if err := json.Unmarshal(content, &banks); err != nil || len(banks) < 20 {
		t.Fatalf("%d banks, error %v", len(banks), err)
	}
	owner := make(map[string]string)
	for name, domains := range banks {
		for _, domain := range domains {
			if found := mail.BankOf("alerts@X." + strings.ToUpper(domain)); found != name || mail.BankOf("alerts@x"+domain) != "" {
				t.Errorf("%s is of %q", domain, found)
			}
			if other := owner[domain]; other != "" {
				t.Errorf("%s is of %s and %s", domain, other, name)
			}
			owner[domain] = name
			s := bank("x." + domain)
			m := open(t, s.sign(t, strings.ReplaceAll(alert, "hdfcbank.net", domain)))
			if _, err := verifier(t, dns(t, s), func(p *mail.Policy) { p.Bank = name }).Verify(t.Context(), m); err != nil {
				t.Errorf("%s: %v", domain, err)
			}
			// An operator may name it too: nobody else registers below it.
			if _, err := mail.NewVerifier(mail.Policy{Domains: []string{domain}, Recipients: []string{merchant}}, dns(t), nil); err != nil {
				t.Errorf("%s: %v", domain, err)
			}
		}
	}
}

func TestCacheTXT(t *testing.T) {
	t.Parallel()
	clock, asked := now, 0
	var fails error
	lookup := mail.CacheTXT(func(context.Context, string) ([]string, error) {
		asked++
		return []string{"record"}, fails
	}, func() time.Time { return clock })
	missing := &net.DNSError{IsNotFound: true}
	steps := []struct {
		wait  time.Duration
		name  string
		fails error
		asked int
	}{
		{0, "a", nil, 1},
		{59 * time.Minute, "a", nil, 1},
		{2 * time.Minute, "a", nil, 2},
		{0, "b", errors.New("down"), 3}, // is not kept
		{0, "b", missing, 4},
		{4 * time.Minute, "b", missing, 4},
		{2 * time.Minute, "b", nil, 5},
	}
	for i, step := range steps {
		clock, fails = clock.Add(step.wait), step.fails
		_, err := lookup(t.Context(), step.name)
		if asked != step.asked || (err == nil) != (step.fails == nil) {
			t.Errorf("step %d: asked %d times, want %d; error %v", i, asked, step.asked, err)
		}
	}
	before := asked
	for i := range 5000 {
		if _, err := lookup(t.Context(), fmt.Sprint("n", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lookup(t.Context(), "n0"); err != nil || asked != before+5001 {
		t.Errorf("asked %d times: the cache has no bound", asked-before)
	}
}

// TestVerifyHoldsWhateverIsEdited edits a signed message at random: what is
// still trusted says the same as before.
func TestVerifyHoldsWhateverIsEdited(t *testing.T) {
	t.Parallel()
	own := bank("hdfcbank.net")
	own.keys = []string{"From", "To", "Subject", "Date", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
	header, _, _ := strings.Cut(alert, "Content-Type")
	signed := own.sign(t, header+"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nRs.75.00 credited, UPI 516300274911\r\n"+
		"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<table><tr><td>Amount<td>Rs.=2075.00</table>\r\n--b--\r\n")
	want := open(t, signed)
	v := verifier(t, mail.CacheTXT(dns(t, own), func() time.Time { return now }), nil)
	if _, err := v.Verify(t.Context(), want); err != nil || len(want.Texts) != 2 {
		t.Fatal(err, want.Texts)
	}
	fields := []string{
		"From: alerts@hdfcbank.net", "Subject: Rs.9000", "To: accounts@shop.example", "X-Any: thing", " folded", "Subject : Rs.9000",
		"Content-Type: text/html", "content-type: text/plain", "Content-Transfer-Encoding: base64", "MIME-Version: 2",
		"DKIM-Signature: v=1", "Date: Sun, 14 Jun 2026 20:04:11 +0530", "Resent-From: a@b.example", "", "Rs.9000 credited",
	}
	pieces := []string{"\r\n", "\n", " ", "\t", "\r", "\x00", ":", "=\r\n", "\r\n--b--\r\n", "\r\n\r\n", "9", "l=5; ", "<!--", "\r\nRs.9000 credited"}
	trusted := 0
	edit := func(t *rapid.T) {
		edited := signed
		for range rapid.IntRange(1, 2).Draw(t, "edits") {
			at := rapid.IntRange(0, len(edited)).Draw(t, "at")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0: // anything, in place of some bytes
				until := min(len(edited), at+rapid.IntRange(0, 40).Draw(t, "length"))
				edited = edited[:at] + rapid.SampledFrom(pieces).Draw(t, "piece") + edited[until:]
			case 1: // anything, anywhere
				edited = edited[:at] + rapid.SampledFrom(pieces).Draw(t, "piece") + edited[at:]
			default: // a line, on top of another
				at = strings.LastIndex(edited[:at], "\r\n") + 2
				if at < 2 || rapid.Bool().Draw(t, "topmost") {
					at = 0
				}
				edited = edited[:at] + rapid.SampledFrom(fields).Draw(t, "field") + "\r\n" + edited[at:]
			}
		}
		m, err := mail.Open(strings.NewReader(edited))
		if err != nil {
			return
		}
		if _, err := v.Verify(context.Background(), m); err != nil {
			return
		}
		if m.From != want.From || m.Subject != want.Subject || !m.Date.Equal(want.Date) ||
			!slices.Equal(m.To, want.To) || !slices.Equal(m.Texts, want.Texts) {
			t.Fatalf("trusted as %+v:\n%s", m, edited)
		}
		trusted++
	}
	for range 20 { // few edits leave a message trusted
		rapid.Check(t, edit)
	}
	if trusted == 0 {
		t.Error("no edit left the message trusted: nothing was tested")
	}
}
