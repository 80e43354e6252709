package fx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/money"
)

func ecb(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<gesmes:subject>Reference rates</gesmes:subject><gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
` + body + `</gesmes:Envelope>`
}

func latestJSON(rates string) string {
	return `{"timestamp":1749513600,"base":"USD","rates":{` + rates + `}}`
}

func TestParseECB(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/eurofxref-daily.xml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rates, err := fx.ParseECB(file)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2025, 6, 10, 0, 0, 0, 0, time.UTC)
	if rates.Source != "ecb" || !rates.AsOf.Equal(day) {
		t.Errorf("got %s of %s", rates.Source, rates.AsOf)
	}
	want := fx.Quote{Code: "USD", Units: "1.1429", Rupees: "97.8145", Base: "EUR", Source: "ecb", AsOf: day}
	if got, ok := rates.Quote("USD"); !ok || got != want {
		t.Errorf("got %+v, %t, want %+v", got, ok, want)
	}
	amounts := convert(t, rates, 978_145) // ₹9781.45 is €100
	for code, want := range map[string]string{"EUR": "100", "USD": "114.29", "JPY": "16571", "BTC": "0"} {
		if amounts[code] != want {
			t.Errorf("%s: got %s, want %s", code, amounts[code], want)
		}
	}
}

func TestParseOpenExchangeRates(t *testing.T) {
	t.Parallel()
	rates, err := fx.ParseOpenExchangeRates(strings.NewReader("\uFEFF" +
		`{"license":"x","timestamp":1749513600,"base":"USD","rates":{"INR":85.640,"XYZ":"n/a","ANG":0,"BTC":9.1255E-06,"JPY":1.45e2}}`))
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"USD": "1", "BTC": "0.0000091255", "JPY": "145"} {
		quote, ok := rates.Quote(code)
		if !ok || quote.Units != want || quote.Rupees != "85.64" || quote.Base != "USD" {
			t.Errorf("%s: got %+v, %t, want %s", code, quote, ok, want)
		}
	}
	if got := len(rates.Quotes()); got != 3 {
		t.Errorf("%d quotations, want 3", got)
	}
}

func TestRupeeMayBeTheBase(t *testing.T) {
	t.Parallel()
	rates, err := fx.ParseOpenExchangeRates(strings.NewReader(`{"timestamp":1749513600,"base":"INR","rates":{"USD":0.0117}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := convert(t, rates, 100_000); got["USD"] != "11.7" || got["INR"] != "1000" {
		t.Errorf("₹1000: got %s USD and %s INR", got["USD"], got["INR"])
	}
}

// Every hostile or broken feed ends in ErrFormat with a short text saying what is wrong.
func TestRefusedFeeds(t *testing.T) {
	t.Parallel()
	openRates, european := fx.ParseOpenExchangeRates, fx.ParseECB
	tests := []struct {
		name  string
		parse func(io.Reader) (*fx.Rates, error)
		feed  string
		says  string
	}{
		{"empty", openRates, "", "does not parse"},
		{"truncated", openRates, `{"timestamp":1749513600,"base":"USD","rates":{"INR":85`, "does not parse"},
		{"trailing", openRates, latestJSON(`"INR":85`) + "{}", "does not parse"},
		{"huge exponent", openRates, latestJSON(`"INR":85,"EUR":1e999999999`), "EUR: 1e999999999 is not a believable rate"},
		{"huge negative exponent", openRates, latestJSON(`"INR":85,"EUR":1e-999999999`), "EUR: 1e-999999999 is not"},
		{"exponent beyond an int", openRates, latestJSON(`"INR":85,"EUR":1e99999999999999999999`), "not a believable"},
		{"many digits", openRates, latestJSON(`"INR":85,"EUR":` + strings.Repeat("9", 100_000)), "too long"},
		{"too large", openRates, latestJSON(`"INR":85,"EUR":1e16`), "not a believable"},
		{"too small", openRates, latestJSON(`"INR":85,"EUR":1e-16`), "not a believable"},
		{"zero", openRates, latestJSON(`"INR":85,"EUR":0`), "EUR: 0 is not a believable"},
		{"zero rupees", openRates, latestJSON(`"INR":0.0,"EUR":1`), "INR: 0.0 is not a believable"},
		{"negative", openRates, latestJSON(`"INR":85,"EUR":-0.9`), "EUR: -0.9 is not a believable"},
		{"NaN", openRates, latestJSON(`"INR":85,"EUR":NaN`), "does not parse"},
		{"NaN in quotes", openRates, latestJSON(`"INR":85,"EUR":"NaN"`), "not a plain number"},
		{"number in quotes", openRates, latestJSON(`"INR":85,"EUR":"0.9"`), "not a plain number"},
		{"null", openRates, latestJSON(`"INR":85,"EUR":null`), "not a plain number"},
		{"object", openRates, latestJSON(`"INR":85,"EUR":{}`), "not a plain number"},
		{"hexadecimal", openRates, latestJSON(`"INR":85,"EUR":0x1p3`), "does not parse"},
		{"fraction", openRates, latestJSON(`"INR":85,"EUR":1/3`), "does not parse"},
		{"code twice", openRates, latestJSON(`"INR":85,"EUR":0.9,"EUR":9`), "does not parse"},
		{"rates twice", openRates, `{"timestamp":1749513600,"base":"USD","rates":{"INR":85},"rates":{"INR":1}}`, "does not parse"},
		{"no INR", openRates, latestJSON(`"EUR":0.9`), "does not quote INR"},
		{"no rates", openRates, `{"timestamp":1749513600,"base":"USD"}`, "does not quote INR"},
		{"an error for an answer", openRates, `{"error":true,"status":401,"message":"invalid_app_id"}`, `"timestamp"`},
		{"base not one", openRates, latestJSON(`"INR":85,"USD":2`), "one USD is given as"},
		{"no base", openRates, `{"timestamp":1749513600,"rates":{"INR":85}}`, "not a currency code"},
		{"odd base", openRates, `{"timestamp":1749513600,"base":"US$","rates":{"INR":85}}`, "not a currency code"},
		{"timestamp in text", openRates, `{"timestamp":"2025","base":"USD","rates":{"INR":85}}`, "not whole Unix seconds"},
		{"timestamp with decimals", openRates, `{"timestamp":1.5,"base":"USD","rates":{"INR":85}}`, "not whole Unix seconds"},
		{"before the euro", openRates, `{"timestamp":0,"base":"USD","rates":{"INR":85}}`, "1970-01-01T00:00:00Z is not believable"},
		{"end of time", openRates, `{"timestamp":9223372036854775807,"base":"USD","rates":{"INR":85}}`, "not believable"},
		{"deep JSON", openRates, latestJSON(`"INR":` + strings.Repeat("[", 900_000)), "does not parse"},
		{"long", openRates, strings.Repeat(" ", 1<<20) + latestJSON(`"INR":85`), "longer than"},
		{"long name", openRates, latestJSON(`"` + strings.Repeat("A", 900_000) + `":!`), "does not parse"},

		{"empty", european, "", "does not parse"},
		{"other XML", european, "<rss></rss>", "does not parse"},
		{"other namespace", european, "<Envelope><Cube><Cube time='2025-06-10'/></Cube></Envelope>", "does not parse"},
		{"no day", european, ecb(""), "0 days"},
		{"two days", european, ecb(`<Cube><Cube time="2025-06-10"/><Cube time="2025-06-09"/></Cube>`), "2 days: use the daily file"},
		{"no date", european, ecb(`<Cube><Cube time="10/06/2025"/></Cube>`), "not a date"},
		{"no INR", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="USD" rate="1.1"/></Cube></Cube>`), "does not quote INR"},
		{"code twice", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="97"/><Cube currency="INR" rate="9"/></Cube></Cube>`), `"INR" is quoted twice`},
		{"negative", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="-97"/></Cube></Cube>`), "INR: -97 is not a believable"},
		{"NaN", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="NaN"/></Cube></Cube>`), "not a plain number"},
		{"comma", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="97,8"/></Cube></Cube>`), "not a plain number"},
		{"spaces", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate=" 97 "/></Cube></Cube>`), "not a plain number"},
		{"fraction", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="1/3"/></Cube></Cube>`), "not a plain number"},
		{"huge exponent", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="1e999999999"/></Cube></Cube>`), "not a believable"},
		{"euro not one", european, ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="97"/><Cube currency="EUR" rate="1.1"/></Cube></Cube>`), "one EUR is given as"},
		{"deep XML", european, strings.Repeat("<a>", 340_000), "does not parse"},
		{"deep Cubes", european, ecb(strings.Repeat("<Cube>", 100_000)), "does not parse"},
		{"entity expansion", european, `<!DOCTYPE x [<!ENTITY a "9"><!ENTITY b "&a;&a;&a;">]>` +
			strings.TrimPrefix(ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="&b;"/></Cube></Cube>`), `<?xml version="1.0" encoding="UTF-8"?>`), "does not parse"},
		{"external entity", european, `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` +
			strings.TrimPrefix(ecb(`<Cube><Cube time="&a;"/></Cube>`), `<?xml version="1.0" encoding="UTF-8"?>`), "does not parse"},
		{"long", european, ecb(strings.Repeat("<!-- -->", 1<<17)), "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rates, err := tt.parse(strings.NewReader(tt.feed))
			if rates != nil || !errors.Is(err, fx.ErrFormat) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, %v; want ErrFormat saying %q", rates, err, tt.says)
			}
			if len(err.Error()) > 400 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
}

func TestUnreadableFeed(t *testing.T) {
	t.Parallel()
	for _, parse := range []func(io.Reader) (*fx.Rates, error){fx.ParseECB, fx.ParseOpenExchangeRates} {
		if _, err := parse(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, fx.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want ErrUnavailable and the reader's error", err)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	wide, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	european := func(day, rate string) *fx.Rates {
		rates, err := fx.ParseECB(strings.NewReader(ecb(fmt.Sprintf(
			`<Cube><Cube time="%s"><Cube currency="INR" rate="%s"/></Cube></Cube>`, day, rate))))
		if err != nil {
			t.Fatal(err)
		}
		return rates
	}
	day := func(n int) time.Time { return time.Date(2025, 6, n, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name       string
		prev, next *fx.Rates
		asOf       time.Time
		euro, btc  string // what ₹100 is; for BTC the source and day of the quotation
	}{
		{"newer wins, the rest stays", wide, european("2025-06-12", "100"), day(12), "1", "bundled 10"},
		{"same time, next wins", wide, european("2025-06-10", "100"), day(10), "1", "bundled 10"},
		{"older never pushes out", wide, european("2025-06-09", "100"), day(10), "1.03", "bundled 10"},
		{"wide over narrow", european("2025-06-11", "200"), wide, day(11), "0.5", "bundled 10"},
		{"nothing before", nil, european("2025-06-12", "100"), day(12), "1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := tt.next.Encode()
			merged := fx.Merge(tt.prev, tt.next)
			if merged.Source != tt.next.Source || !merged.AsOf.Equal(tt.asOf) || merged.ID != 0 {
				t.Errorf("got %d, %s of %s, want %s of %s", merged.ID, merged.Source, merged.AsOf, tt.next.Source, tt.asOf)
			}
			if got := convert(t, merged, 100*money.Rupee)["EUR"]; got != tt.euro {
				t.Errorf("₹100 is €%s, want €%s", got, tt.euro)
			}
			btc := ""
			if quote, ok := merged.Quote("BTC"); ok {
				btc = fmt.Sprint(quote.Source, " ", quote.AsOf.Day())
			}
			if btc != tt.btc {
				t.Errorf("BTC is quoted by %q, want %q", btc, tt.btc)
			}
			if !bytes.Equal(tt.next.Encode(), before) {
				t.Error("Merge changed its argument")
			}
		})
	}
}

func TestBundled(t *testing.T) {
	t.Parallel()
	rates, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(rates.Missing()); got != "[CLF SSP]" {
		t.Errorf("no rate for %s, want [CLF SSP]", got)
	}
	if got := rates.Age(time.Date(2025, 6, 12, 6, 0, 0, 0, time.UTC)); got != 54*time.Hour {
		t.Errorf("Age = %s, want 54h", got)
	}
	amounts := convert(t, rates, 85_641*money.Rupee)
	for code, want := range map[string]string{
		"USD": "1000", "EUR": "877.96", "INR": "85641", "BTC": "0.0091255", "XAU": "0.3", "USDT": "1000.47167166",
		"USDTTRC20": "1000.47167166", "USDT20": "1000.47167166", "CLF": "0",
	} {
		if amounts[code] != want {
			t.Errorf("₹85641 is %s %s, want %s", amounts[code], code, want)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	rates, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	data := rates.WithID(7).Encode()
	if !bytes.Equal(data, rates.Encode()) {
		t.Error("the number is in the stored form")
	}
	if rates.ID != 0 {
		t.Error("WithID changed the set")
	}
	decoded, err := fx.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(decoded.Encode(), data) || !decoded.AsOf.Equal(rates.AsOf) || decoded.Source != rates.Source {
		t.Error("the set changed on its way through the store")
	}
	if got, want := decoded.AppendConverted(nil, 38_000), rates.AppendConverted(nil, 38_000); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const head = `{"source":"s","as_of":"2025-06-10T00:00:00Z","fetched_at":"2025-06-10T00:00:00Z","quotes":[`
	quote := func(code, units, rupees string) string {
		return fmt.Sprintf(`{"code":%q,"units":%q,"rupees":%q,"base":"USD","source":"s","as_of":"2025-06-10T00:00:00Z"}`, code, units, rupees)
	}
	if _, err := fx.Decode([]byte(head + quote("USD", "1", "85") + "," + quote("EUR", "0.9", "85") + "]}")); err != nil {
		t.Fatalf("a sound set is refused: %v", err)
	}
	for name, data := range map[string]string{
		"nothing":        "",
		"unknown member": `{"quotas":[]}`,
		"unknown code":   head + quote("XYZ", "1", "85") + "]}",
		"rupee":          head + quote("INR", "1", "1") + "]}",
		"alias":          head + quote("USDT20", "1", "85") + "]}",
		"twice":          head + quote("USD", "1", "85") + "," + quote("USD", "2", "85") + "]}",
		"out of order":   head + quote("EUR", "1", "85") + "," + quote("USD", "2", "85") + "]}",
		"zero":           head + quote("USD", "0", "85") + "]}",
		"no rupees":      head + quote("USD", "1", "") + "]}",
		"not canonical":  head + quote("USD", "1.0", "85") + "]}",
		"exponent":       head + quote("USD", "1e999999999", "85") + "]}",
	} {
		if _, err := fx.Decode([]byte(data)); !errors.Is(err, fx.ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
}

// checkSet holds for every set any parser ever returns.
func checkSet(t *testing.T, rates *fx.Rates, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, fx.ErrFormat) || rates != nil {
			t.Fatalf("got %v with %v", rates, err)
		}
		return
	}
	data := rates.Encode()
	decoded, err := fx.Decode(data)
	if err != nil || !bytes.Equal(decoded.Encode(), data) {
		t.Fatalf("does not survive the store: %v\n%s", err, data)
	}
	for _, amount := range []money.Paise{0, 1, -38_050, 1<<63 - 1} {
		converted := rates.AppendConverted(nil, amount)
		if !json.Valid(converted) || len(members(t, converted)) != len(fx.Codes()) {
			t.Fatalf("%d paise: %s", amount, converted)
		}
	}
}

func FuzzParseECB(f *testing.F) {
	f.Add([]byte(ecb(`<Cube><Cube time="2025-06-10"><Cube currency="INR" rate="97.8145"/></Cube></Cube>`)))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "9">]><x>&a;</x>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rates, err := fx.ParseECB(bytes.NewReader(data))
		checkSet(t, rates, err)
	})
}

func FuzzParseOpenExchangeRates(f *testing.F) {
	f.Add([]byte(latestJSON(`"INR":85.64,"EUR":0.87,"BTC":9.1255e-06`)))
	f.Add([]byte(latestJSON(`"INR":85.64,"EUR":1e999999999`)))
	f.Add([]byte(`{"timestamp":1749513600,"base":"INR","rates":{"IRR":491.67,"INR":1.0}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rates, err := fx.ParseOpenExchangeRates(bytes.NewReader(data))
		checkSet(t, rates, err)
	})
}
