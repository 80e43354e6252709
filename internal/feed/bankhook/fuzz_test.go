package bankhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/bankhook"
	"github.com/milaan/milaan/money"
)

// fuzzRead holds whatever a body says to what the desk relies on: a credit is
// above zero, its amount and reference stand in the body as they are, and what
// moved no money has no amount.
func fuzzRead(f *testing.F, kind string, inPaise bool, prepare func(tb testing.TB, body []byte) (bankhook.Request, bool)) {
	f.Helper()
	p, _ := bankhook.For(kind)
	s := secrets(f, kind)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, ok := prepare(t, body)
		if !ok {
			return
		}
		e, err := p.Read(r, s)
		if err != nil {
			if !errors.Is(err, bankhook.ErrBody) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(e.Readings) != 1 {
			t.Fatalf("%d readings", len(e.Readings))
		}
		reading := e.Readings[0]
		switch reading.Kind {
		case feed.Credit, feed.Debit:
			literals := scalars(body)
			if reading.Amount <= 0 || !stands(reading.Amount, literals, inPaise) {
				t.Errorf("%s of %v, which does not stand in %q", reading.Kind, reading.Amount, literals)
			}
			if utr := string(reading.UTR); utr != "" && !contained(utr, literals) {
				t.Errorf("UTR %s, which does not stand in %q", utr, literals)
			}
		case feed.Ignored, feed.Unparsed:
			if reading.Amount != 0 || reading.UTR != "" || reading.Why == "" {
				t.Errorf("%s with %v, %q, %q", reading.Kind, reading.Amount, reading.UTR, reading.Why)
			}
		default:
			t.Errorf("kind %q", reading.Kind)
		}
	})
}

// scalars are all strings and numbers of a JSON or form body, the JSON inside
// a base64 text included.
func scalars(body []byte) []string {
	var found []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			found = append(found, v)
			if inner, err := base64.StdEncoding.DecodeString(v); err == nil && bytes.HasPrefix(bytes.TrimSpace(inner), []byte("{")) {
				found = append(found, scalars(inner)...)
			}
		case json.Number:
			found = append(found, v.String())
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) == nil {
		walk(v)
	}
	if values, err := url.ParseQuery(string(body)); err == nil {
		for _, list := range values {
			found = append(found, list...)
		}
	}
	return found
}

func stands(amount money.Paise, literals []string, inPaise bool) bool {
	for _, text := range literals {
		got, err := money.Parse(text)
		if inPaise {
			got /= 100 // what reads as rupees is a count of paise
		}
		if err == nil && got == amount {
			return true
		}
	}
	return false
}

func contained(utr string, literals []string) bool {
	for _, text := range literals {
		if strings.Contains(strings.ToUpper(text), utr) {
			return true
		}
	}
	return false
}

func seed(f *testing.F, kind string) {
	f.Helper()
	for _, c := range cases(f) {
		if c.Kind == kind {
			f.Add([]byte(c.Body))
		}
	}
}

func plainRequest(c Case) func(testing.TB, []byte) (bankhook.Request, bool) {
	return func(_ testing.TB, body []byte) (bankhook.Request, bool) {
		r := c.request()
		r.Body = body
		return r, true
	}
}

func FuzzReadRazorpay(f *testing.F) {
	seed(f, "razorpay")
	f.Add([]byte(razorpayCredit))
	fuzzRead(f, "razorpay", true, plainRequest(razorpaySigned("")))
}

func FuzzReadCashfree(f *testing.F) {
	seed(f, "cashfree")
	f.Add([]byte(cashfreeCredit))
	fuzzRead(f, "cashfree", false, func(_ testing.TB, body []byte) (bankhook.Request, bool) {
		r := cashfreeSigned("").request()
		r.Body = body
		if !bytes.HasPrefix(body, []byte("{")) {
			r.ContentType = "application/x-www-form-urlencoded"
		}
		return r, true
	})
}

func FuzzReadDecentro(f *testing.F) {
	seed(f, "decentro")
	f.Add([]byte(decentroCredit))
	fuzzRead(f, "decentro", false, plainRequest(decentroSigned("")))
}

func FuzzReadPhonePe(f *testing.F) {
	seed(f, "phonepe")
	f.Add([]byte(phonepeCredit))
	fuzzRead(f, "phonepe", true, plainRequest(phonepeSigned("")))
}

func FuzzReadPaytm(f *testing.F) {
	seed(f, "paytm")
	f.Add([]byte(paytmCredit))
	fuzzRead(f, "paytm", false, plainRequest(Case{ContentType: "application/x-www-form-urlencoded"}))
}

// FuzzReadICICI is about what stands inside the encryption.
func FuzzReadICICI(f *testing.F) {
	f.Add([]byte(iciciCredit))
	f.Add([]byte(strings.NewReplacer("Amount", "AMT", "Payer", "Payee", `"UPI"`, `"NEFT"`).Replace(iciciCredit)))
	key := &privateKey(f, "merchant.pem").PublicKey
	fuzzRead(f, "icici", false, func(tb testing.TB, body []byte) (bankhook.Request, bool) {
		tb.Helper()
		if len(body) > 4096 {
			return bankhook.Request{}, false
		}
		c := Case{ContentType: "application/json", Endpoint: "mis-posting"}
		c.Body = string(sealFor(tb, key, body))
		return c.request(), true
	})
}
