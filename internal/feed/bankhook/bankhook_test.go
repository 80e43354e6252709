package bankhook_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/bankhook"
)

// Case is a webhook of testdata/cases.jsonl: its signature was made with
// openssl and Python, not with this package.
type Case struct {
	Name        string            `json:"name"`
	Kind        string            `json:"kind"`
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers"`
	Endpoint    string            `json:"endpoint"`
	Now         time.Time         `json:"now"`
	Body        string            `json:"body"`
	Want        map[string]any    `json:"want"`
	ID          string            `json:"id"`
	Answer      string            `json:"answer"` // decrypted, where it is encrypted
}

func (c Case) request() bankhook.Request {
	r := bankhook.Request{Header: http.Header{}, Body: []byte(c.Body), ContentType: c.ContentType, Endpoint: c.Endpoint, Now: c.Now}
	for name, value := range c.Headers {
		r.Header.Set(name, value)
	}
	return r
}

const (
	hookSecret = "hook-secret-of-the-tests"
	paytmKey   = "PaytmKey_0123456"
)

func secrets(tb testing.TB, kind string) bankhook.Secrets {
	tb.Helper()
	s := bankhook.Secrets{Secret: hookSecret, Header: "X-Hook-Key", User: "milaan_hook", Password: "Passw0rd77"}
	switch kind {
	case "paytm":
		s.Secret = paytmKey
	case "icici":
		s.Key, s.BankKey = privateKey(tb, "merchant.pem"), &privateKey(tb, "bank.pem").PublicKey
	}
	return s
}

func privateKey(tb testing.TB, name string) *rsa.PrivateKey {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		tb.Fatalf("%s is a %T", name, key)
	}
	return rsaKey
}

func cases(tb testing.TB) []Case {
	tb.Helper()
	return jsonLines[Case](tb, filepath.Join("testdata", "cases.jsonl"))
}

func jsonLines[T any](tb testing.TB, path string) []T {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var list []T
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			tb.Fatal(err)
		}
		list = append(list, v)
	}
	if err := lines.Err(); err != nil || len(list) == 0 {
		tb.Fatalf("%s: %d records, %v", path, len(list), err)
	}
	return list
}

func named(tb testing.TB, kind, name string) Case {
	tb.Helper()
	for _, c := range cases(tb) {
		if c.Kind == kind && c.Name == name {
			return c
		}
	}
	tb.Fatalf("no case %s %q", kind, name)
	return Case{}
}

func provider(tb testing.TB, kind string) *bankhook.Provider {
	tb.Helper()
	p, ok := bankhook.For(kind)
	if !ok {
		tb.Fatalf("no provider %q", kind)
	}
	return p
}

// read verifies and reads a webhook into its one reading.
func read(tb testing.TB, c Case) (bankhook.Event, feed.Reading) {
	tb.Helper()
	p, s := provider(tb, c.Kind), secrets(tb, c.Kind)
	if err := p.Verify(c.request(), s); err != nil {
		tb.Fatalf("Verify: %v", err)
	}
	e, err := p.Read(c.request(), s)
	if err != nil {
		tb.Fatalf("Read: %v", err)
	}
	if len(e.Readings) != 1 {
		tb.Fatalf("read %d readings", len(e.Readings))
	}
	return e, e.Readings[0]
}

func TestCases(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		t.Run(c.Kind+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			e, reading := read(t, c)
			text, err := json.Marshal(reading)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.Want, got); diff != "" {
				t.Errorf("reading (-want +got):\n%s", diff)
			}
			if e.ID != c.ID {
				t.Errorf("ID %q, want %q", e.ID, c.ID)
			}
			answer := string(e.Answer.Body)
			if c.Kind == "icici" {
				answer = openAnswer(t, e.Answer.Body)
			}
			if want := c.Answer; e.Answer.Status != http.StatusOK || want != "" && answer != want {
				t.Errorf("answer %d %q, want %q", e.Answer.Status, answer, want)
			}
			if reading.Kind != feed.Credit && reading.Kind != feed.Debit && reading.Amount != 0 {
				t.Errorf("%s has an amount: %v", reading.Kind, reading.Amount)
			}
		})
	}
}

// openAnswer decrypts an answer as the bank would.
func openAnswer(tb testing.TB, body []byte) string {
	tb.Helper()
	var envelope map[string]string
	if err := json.Unmarshal(body, &envelope); err != nil {
		tb.Fatal(err)
	}
	if envelope["requestId"] != "r-1" || envelope["oaepHashingAlgorithm"] != "NONE" {
		tb.Errorf("envelope %v", envelope)
	}
	part := func(name string) []byte {
		b, err := base64.StdEncoding.DecodeString(envelope[name])
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	//nolint:staticcheck // the bank's protocol
	session, err := rsa.DecryptPKCS1v15(nil, privateKey(tb, "bank.pem"), part("encryptedKey"))
	if err != nil {
		tb.Fatal(err)
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		tb.Fatal(err)
	}
	text := part("encryptedData")
	cipher.NewCBCDecrypter(block, part("iv")).CryptBlocks(text, text)
	return string(text[:len(text)-int(text[len(text)-1])])
}

// Two events of one payment must come out as one credit downstream, which
// knows it by UTR and amount.
func TestTwoEventsOfOnePaymentAreOneCredit(t *testing.T) {
	t.Parallel()
	a, first := read(t, named(t, "razorpay", "QR code"))
	b, second := read(t, named(t, "razorpay", "the same QR payment as captured"))
	if first.UTR == "" || first.UTR != second.UTR || first.Amount != second.Amount || first.Currency != second.Currency {
		t.Errorf("%s %v and %s %v", first.UTR, first.Amount, second.UTR, second.Amount)
	}
	if a.ID != b.ID {
		t.Errorf("IDs %s and %s of one payment", a.ID, b.ID)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	want := []string{"cashfree", "decentro", "icici", "paytm", "phonepe", "razorpay"}
	if diff := cmp.Diff(want, bankhook.Kinds()); diff != "" {
		t.Error(diff)
	}
	for _, kind := range want {
		if got := provider(t, kind).Kind(); got != kind {
			t.Errorf("%s is of kind %s", kind, got)
		}
	}
	if _, ok := bankhook.For("Razorpay"); ok {
		t.Error("a kind in another case is known")
	}
}

// feedCase is a record of webhooks.jsonl.
type feedCase struct {
	ID, Provider, Event string
	ContentType         string `json:"content_type"`
	Headers             map[string]string
	Body, Secret        string
	Expected            struct {
		Direction   string  `json:"direction"`
		Amount      string  `json:"amount"`
		UTR         *string `json:"utr"`
		PayerVPA    *string `json:"payer_vpa"`
		PayerName   *string `json:"payer_name"`
		AccountTail *string `json:"account_tail"`
		Time        *string `json:"time"`
		Why         *string `json:"why"`
	}
}

// TestFeeds reads the bodies collected from the providers' documentation, where
// they are at hand.
func TestFeeds(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MILAAN_TEST_FEEDS")
	if dir == "" {
		t.Skip("set MILAAN_TEST_FEEDS to the folder that has webhooks.jsonl to run this test")
	}
	ran := 0
	for _, c := range jsonLines[feedCase](t, filepath.Join(dir, "webhooks.jsonl")) {
		p, ok := bankhook.For(c.Provider)
		if !ok {
			continue // a forwarder of SMS
		}
		ran++
		t.Run(c.ID+" "+c.Event, func(t *testing.T) {
			t.Parallel()
			feedCaseReads(t, p, c)
		})
	}
	if ran == 0 {
		t.Error("no record of a provider")
	}
}

func feedCaseReads(t *testing.T, p *bankhook.Provider, c feedCase) {
	t.Helper()
	s := secrets(t, c.Provider)
	s.Secret, s.Header, s.User, s.Password = c.Secret, "callbackkey", "username", "password"
	body := []byte(c.Body)
	r := Case{ContentType: c.ContentType, Headers: c.Headers, Endpoint: "mis-posting", Now: time.Unix(1790000050, 0)}.request()
	switch c.Provider {
	case "icici": // recorded decrypted
		body = sealFor(t, &s.Key.PublicKey, body)
		r.Header.Set(s.Header, s.Secret)
	case "paytm": // recorded without its checksum
		s.Secret = paytmKey
		body = []byte(checksummed(t, strings.TrimSuffix(c.Body, "&CHECKSUMHASH=NOT-COMPUTED")))
	case "phonepe": // recorded under a user and password of its own
		r.Header.Set("Authorization", phonepeAuthorization(s))
	}
	r.Body = body
	err := p.Verify(r, s)
	if c.Expected.Why != nil && strings.HasPrefix(*c.Expected.Why, "WRONG SIGNATURE") {
		if err == nil {
			t.Fatal("a wrong signature passed")
		}
		return
	}
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	e, err := p.Read(r, s)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	got := e.Readings[0]
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if kind := map[string]feed.Kind{"credit": feed.Credit, "debit": feed.Debit, "none": feed.Ignored}[c.Expected.Direction]; got.Kind != kind {
		t.Fatalf("%s (%s), want %s", got.Kind, got.Why, kind)
	}
	if got.Kind != feed.Credit {
		return
	}
	x := c.Expected
	want := []string{x.Amount, text(x.UTR), text(x.PayerVPA), text(x.PayerName), text(x.AccountTail)}
	if diff := cmp.Diff(want, []string{got.Amount.Fixed(), string(got.UTR), got.PayerVPA, got.PayerName, got.AccountTail}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	layout := time.RFC3339
	if got.DateOnly {
		layout = time.DateOnly
	}
	at, err := time.ParseInLocation(layout, text(x.Time), feed.India())
	if err != nil || !at.Equal(got.At) {
		t.Errorf("at %v, want %v (%v)", got.At, at, err)
	}
}

// pad is PKCS #7 padding.
func pad(b []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	return append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
}
