package feed_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

var now = time.Date(2026, 1, 2, 9, 34, 5, 123_456_789, time.UTC)

func entry(change func(*feed.Entry)) feed.Entry {
	e := feed.Entry{
		UTR: "355015818634", Amount: 1000 * money.Rupee, Currency: money.INR,
		At: now.Truncate(time.Microsecond), Trust: feed.Confirmed,
	}
	change(&e)
	return e
}

func TestParseJSONReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		record string
		change func(*feed.Entry)
	}{
		{`{"utr":"355015818634","amount":"1000.00"}`, func(*feed.Entry) {}},
		{`{"utr":" 355015818634 ","amount":1e3,"currency":"inr","at":null,"note":null,"other":[1]}`, func(*feed.Entry) {}},
		{`{"utr":"001718859181","amount":0.29}`, func(e *feed.Entry) { e.UTR, e.Amount = "001718859181", 29 }},
		{`{"utr":"sbin125050589474","amount":"1,00,000.50"}`, func(e *feed.Entry) { e.UTR, e.Amount = "SBIN125050589474", 100_000_50 }},
		{`{"utr":"355015818634","amount":1000,"currency":"USD"}`, func(e *feed.Entry) { e.Currency = "USD" }},
		{`{"utr":"355015818634","amount":1,"amount":1000}`, func(*feed.Entry) {}},
		{`{"utr":"355015818634","amount":1000,"payer_vpa":"99xxxx6690","payer_name":"A B","reference":42,"note":" two\r\nlines\u0000 "}`,
			func(e *feed.Entry) {
				e.PayerVPA, e.PayerName, e.Reference, e.Note = "99xxxx6690", "A B", "42", "two  lines"
			}},
		{`{"utr":"355015818634","amount":1000,"note":"` + strings.Repeat("र", 500) + `"}`, func(e *feed.Entry) { e.Note = strings.Repeat("र", 500) }},
		{`{"utr":"355015818634","amount":1000,"at":"2026-01-02T15:04:05.5+05:30"}`,
			func(e *feed.Entry) { e.At = time.Date(2026, 1, 2, 9, 34, 5, 500_000_000, time.UTC) }},
		{`{"utr":"355015818634","amount":1000,"at":"2026-01-03T09:34:05Z"}`,
			func(e *feed.Entry) { e.At = time.Date(2026, 1, 3, 9, 34, 5, 0, time.UTC) }},
	}
	for _, tt := range tests {
		t.Run(tt.record, func(t *testing.T) {
			t.Parallel()
			entries, places, refused, err := feed.ParseJSON([]byte(`{"credits":[`+tt.record+`]}`), now)
			if err != nil || len(refused) > 0 {
				t.Fatalf("refused %v, error %v", refused, err)
			}
			if want := []feed.Entry{entry(tt.change)}; !reflect.DeepEqual(entries, want) || !reflect.DeepEqual(places, []int{0}) {
				t.Errorf("read %+v at %v, want %+v", entries, places, want)
			}
		})
	}
}

func TestParseJSONRefusesRecords(t *testing.T) {
	t.Parallel()
	record := func(field, value string) string {
		return fmt.Sprintf(`{"utr":"355015818634","amount":1000,%q:%s}`, field, value)
	}
	const object = "a credit must be an object with utr and amount"
	tests := []struct{ record, why string }{
		{`null`, object},
		{`5`, object},
		{`[]`, object},
		{`"355015818634"`, object},
		{`{}`, "utr is required"},
		{record("utr", `55015818634`), "utr must be a string in quotes: a number loses its leading zeros"},
		{record("utr", `""`), "utr is required"},
		{record("utr", `"000000000000"`), "utr is not a UTR"},
		{record("utr", `"UPI355015818634"`), "utr is not a UTR"},
		{record("utr", `"3550158186\u000034"`), "utr is not a UTR"},
		{record("utr", `true`), "utr must be a string"},
		{record("amount", `null`), "amount is required"},
		{record("amount", `0`), "amount must be greater than 0"},
		{record("amount", `-0`), "amount must be greater than 0"},
		{record("amount", `"-5"`), "amount must be greater than 0"},
		{record("amount", `1.005`), "amount must have at most two decimals"},
		{record("amount", `1e400`), "amount is out of range"},
		{record("amount", `"ten"`), "amount must be rupees"},
		{record("amount", `{}`), "amount must be a string"},
		{record("currency", `"RUPEE"`), "currency must be a code of 3 letters"},
		{record("at", `"2026-01-02 15:04:05"`), "at must be a time with its zone"},
		{record("at", `1767349445`), "at must be a time with its zone"},
		{record("at", `"2026-01-03T15:04:06+05:30"`), "at lies more than 24 hours ahead"},
		{record("payer_vpa", `"`+strings.Repeat("a", 256)+`"`), "payer_vpa must have at most 255 characters"},
		{record("payer_name", `"`+strings.Repeat("a", 191)+`"`), "payer_name must have at most 190 characters"},
		{record("note", `"`+strings.Repeat("र", 501)+`"`), "note must have at most 500 characters"},
		{record("reference", `[]`), "reference must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.record, func(t *testing.T) {
			t.Parallel()
			good := `{"utr":"355015818635","amount":1}`
			at := now.Add(-123_456_789)
			entries, places, refused, err := feed.ParseJSON([]byte(`{"credits":[`+good+`,`+tt.record+`,`+good+`]}`), at)
			if err != nil {
				t.Fatal(err)
			}
			if len(refused) != 1 || refused[0].Index != 1 || !strings.HasPrefix(refused[0].Error, tt.why) {
				t.Errorf("refused %+v, want %q", refused, tt.why)
			}
			if len(entries) != 2 || !reflect.DeepEqual(places, []int{0, 2}) {
				t.Errorf("read %+v at %v", entries, places)
			}
		})
	}
}

func TestParseJSONRefusesBodies(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, why string }{
		{"empty", ``, "must be JSON"},
		{"single quotes", `{'credits':[]}`, "must be JSON"},
		{"garbage behind", `{"credits":[]}]`, "must be JSON"},
		{"cut off", `{"credits":[{"utr":"355015818634","amount":1}`, "must be JSON"},
		{"deep nesting", `{"credits":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "must be JSON"},
		{"null", `null`, "must be an object with a list of credits"},
		{"list", `[]`, "must be an object with a list of credits"},
		{"no credits", `{}`, "must be an object with a list of credits"},
		{"null credits", `{"credits":null}`, "must be an object with a list of credits"},
		{"credits of another type", `{"credits":{}}`, "must be an object with a list of credits"},
		{"invalid UTF-8", "{\"credits\":[],\"x\":\"\xff\"}", "must be valid UTF-8"},
		{"too many", `{"credits":[` + strings.Repeat("{},", 20_000) + `{}]}`, "must have at most 20000 credits"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, places, refused, err := feed.ParseJSON([]byte(tt.body), now)
			if err == nil || !strings.HasPrefix(err.Error(), tt.why) {
				t.Errorf("error %v, want %q", err, tt.why)
			}
			if entries != nil || places != nil || refused != nil {
				t.Errorf("read %v at %v, refused %v", entries, places, refused)
			}
		})
	}
}

// FuzzParseJSON holds whatever a feed sends to what the desk relies on: each
// record is an entry that is whole and storable, or refused with a reason.
func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"credits":[{"utr":"355015818634","amount":"1000.00","currency":"INR","payer_vpa":"a@okaxis","payer_name":"A B","note":"rent","at":"2026-01-02T15:04:05+05:30","reference":"R"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, places, refused, err := feed.ParseJSON(body, now)
		if err != nil {
			if err.Error() == "" || len(entries)+len(places)+len(refused) > 0 {
				t.Fatalf("error %q beside %v, %v", err, entries, refused)
			}
			return
		}
		var report struct{ Credits []any }
		// Case folding of keys is encoding/json's in both readings.
		if err := json.Unmarshal(body, &report); err == nil && len(report.Credits) != len(entries)+len(refused) {
			t.Fatalf("%d records gave %d entries and %d refusals", len(report.Credits), len(entries), len(refused))
		}
		if len(places) != len(entries) {
			t.Fatalf("%d places of %d entries", len(places), len(entries))
		}
		seen := make(map[int]bool)
		for _, r := range refused {
			if seen[r.Index] || r.Error == "" {
				t.Fatalf("refusals %v", refused)
			}
			seen[r.Index] = true
		}
		for i, e := range entries {
			if seen[places[i]] {
				t.Fatalf("record %d is taken and refused", places[i])
			}
			seen[places[i]] = true
			utr, err := upi.ParseUTR(string(e.UTR))
			if err != nil || utr != e.UTR || e.Amount <= 0 || len(e.Currency) != 3 || e.Trust != feed.Confirmed ||
				e.At.After(now.Add(24*time.Hour)) || e.At.Location() != time.UTC {
				t.Fatalf("let %+v through", e)
			}
			for _, text := range []string{e.PayerVPA, e.PayerName, e.Note, e.Reference} {
				if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 500 || strings.ContainsFunc(text, unicode.IsControl) {
					t.Fatalf("let %q through", text)
				}
			}
		}
	})
}

func BenchmarkParseJSON(b *testing.B) {
	const record = `{"utr":"355015818634","amount":"1000.00","currency":"INR","payer_vpa":"a@okaxis","payer_name":"A B","at":"2026-01-02T15:04:05+05:30"}`
	body := []byte(`{"credits":[` + strings.Repeat(record+",", 99) + record + `]}`)
	b.ReportAllocs()
	for b.Loop() {
		entries, _, _, err := feed.ParseJSON(body, now)
		if err != nil || len(entries) != 100 {
			b.Fatal(err)
		}
	}
}
