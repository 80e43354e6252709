package fx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/money"
	"pgregory.net/rapid"
)

// member is one name and number of an object, in the order of the text.
type member struct{ code, number string }

// members reads a flat JSON object of numbers without losing its order or its digits.
func members(t interface{ Fatalf(string, ...any) }, object []byte) []member {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var list []member
	for {
		token, err := decoder.Token()
		if err != nil {
			t.Fatalf("reading %s: %v", object, err)
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '}' {
				return list
			}
		case string:
			list = append(list, member{code: token})
		case json.Number:
			list[len(list)-1].number = token.String()
		}
	}
}

// example is converted_amount as the protocol's example shows it.
func example(t *testing.T) []member {
	t.Helper()
	data, err := os.ReadFile("testdata/deposit-postback.json")
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		ConvertedAmount json.RawMessage `json:"converted_amount"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	return members(t, body.ConvertedAmount)
}

// parse makes a set of the given rates against XTS, ISO 4217's code for testing.
func parse(t interface{ Fatalf(string, ...any) }, rates ...member) *fx.Rates {
	var list []string
	for _, m := range rates {
		list = append(list, fmt.Sprintf("%q:%s", m.code, m.number))
	}
	set, err := fx.ParseOpenExchangeRates(strings.NewReader(
		`{"timestamp":1688366575,"base":"XTS","rates":{` + strings.Join(list, ",") + `}}`))
	if err != nil {
		t.Fatalf("parsing %v: %v", rates, err)
	}
	return set
}

func convert(t interface{ Fatalf(string, ...any) }, rates *fx.Rates, amount money.Paise) map[string]string {
	amounts := map[string]string{}
	for _, m := range members(t, rates.AppendConverted(nil, amount)) {
		amounts[m.code] = m.number
	}
	return amounts
}

// At the rates the example was made with, ₹380 converts to the example, byte for byte.
func TestReproducesTheExample(t *testing.T) {
	t.Parallel()
	var quoted []member
	var want []string
	for _, m := range example(t) {
		if m.number != "0" {
			quoted = append(quoted, m)
		}
		if m.code == "USDTTRC20" || m.code == "USDT20" {
			m.number = "4.60787289" // follow USDT; the example's provider did not quote them
		}
		want = append(want, fmt.Sprintf("%q:%s", m.code, m.number))
	}
	got := parse(t, quoted...).AppendConverted([]byte("before "), 380*money.Rupee)
	if want := "before {" + strings.Join(want, ",") + "}"; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCodesAreTheExamples(t *testing.T) {
	t.Parallel()
	var want []string
	for _, m := range example(t) {
		want = append(want, m.code)
		decimals, ok := fx.Decimals(m.code)
		_, shown, _ := strings.Cut(m.number, ".")
		if !ok || len(shown) > decimals || (len(shown) > 2) != (decimals == 8 && m.number != "0") {
			t.Errorf("%s: %d decimals, %t; the example shows %s", m.code, decimals, ok, m.number)
		}
	}
	if got := fx.Codes(); !slices.Equal(got, want) {
		t.Errorf("Codes() = %v, want %v", got, want)
	}
	fx.Codes()[0] = "changed"
	if fx.Codes()[0] != "USD" {
		t.Error("Codes hands out its own array")
	}
	if _, ok := fx.Decimals("XYZ"); ok {
		t.Error("XYZ is not configured")
	}
}

func TestRounding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code, units, rupees string
		amount              money.Paise
		want                string
	}{
		{"USD", "1", "100", 50, "0.01"},   // half a cent goes up
		{"USD", "1", "100", 49, "0"},      // less than half goes down
		{"USD", "1", "100", -50, "-0.01"}, // half of a debit goes away from zero too
		{"USD", "1", "100", -49, "0"},     // never -0
		{"USD", "1", "100", 10_000, "1"},
		{"USD", "1", "100", 11_000, "1.1"},
		{"USD", "1", "100", 10_100, "1.01"},
		{"USD", "1", "3", 100, "0.33"},
		{"USD", "1", "3", 200, "0.67"},
		{"USD", "1.005", "1", 100, "1.01"}, // as a float 1.005 lies below the half
		{"USD", "2.675", "1", 100, "2.68"},
		{"JPY", "145.19145283", "85.64103153", 100_000, "1695.35"},
		{"BTC", "0.0000091255", "85.64103153", 38_000, "0.00004049"},
		{"BTC", "0.000000005", "1", 100, "0.00000001"},
		{"BTC", "0.0000000049", "1", 100, "0"},
		{"BTC", "1e-8", "1", 100, "0.00000001"}, // plain, never 1e-08
		{"USDT", "1.5", "1", 100, "1.5"},
		{"XAU", "0.0003023897", "85.64103153", 38_000, "0"},
		{"USD", "1", "1", 0, "0"},
		{"USD", "1", "1", math.MaxInt64, "92233720368547758.07"},
		{"USD", "1", "1", math.MinInt64, "-92233720368547758.08"},
		{"USD", "200", "1", math.MaxInt64, "18446744073709551614"},
		{"VEF", "1e15", "1e-15", math.MaxInt64, "92233720368547758070000000000000000000000000000"},
		{"VEF", "123456789012345.678901", "0.000000001234567890123", 1, "1000000000000369999101.43"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d paise at %s for %s %s", tt.amount, tt.rupees, tt.units, tt.code), func(t *testing.T) {
			t.Parallel()
			rates := parse(t, member{"INR", tt.rupees}, member{tt.code, tt.units})
			if got := convert(t, rates, tt.amount)[tt.code]; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The result is the exact fraction, which big.Rat rounds half away from zero, with zeros trimmed.
func TestConversionIsExact(t *testing.T) {
	t.Parallel()
	number := rapid.Custom(func(t *rapid.T) string {
		digits := rapid.StringMatching(`[1-9][0-9]{0,17}`).Draw(t, "digits")
		// Keeps the value between 1e-15 and 1e15 whatever the number of digits.
		return fmt.Sprintf("%se%d", digits, rapid.IntRange(-15, 15-len(digits)).Draw(t, "exponent"))
	})
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom(fx.Codes()).Draw(t, "code")
		units, rupees := number.Draw(t, "units"), number.Draw(t, "rupees")
		amount := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.Int64Range(0, 50_000_000)).Draw(t, "paise")
		if code == "INR" {
			units = rupees
		}
		quoted := code
		if strings.HasPrefix(code, "USDT") {
			quoted = "USDT"
		}
		list := []member{{"INR", rupees}}
		if quoted != "INR" {
			list = append(list, member{quoted, units})
		}
		got := convert(t, parse(t, list...), money.Paise(amount))[code]

		exact, _ := new(big.Rat).SetString(units)
		per, _ := new(big.Rat).SetString(rupees)
		exact.Quo(exact, per).Mul(exact, big.NewRat(amount, 100))
		decimals, _ := fx.Decimals(code)
		want := strings.TrimRight(strings.TrimRight(exact.FloatString(decimals), "0"), ".")
		if want == "" || want == "-" || want == "-0" {
			want = "0"
		}
		if got != want {
			t.Fatalf("%d paise in %s: got %s, want %s", amount, code, got, want)
		}
	})
}

func TestRupeesStayTheAmount(t *testing.T) {
	t.Parallel()
	bundled, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	for amount, want := range map[money.Paise]string{
		0: "0", 1: "0.01", 10: "0.1", 38_050: "380.5", 100_001: "1000.01", -7: "-0.07", math.MaxInt64: "92233720368547758.07",
	} {
		for _, rates := range []*fx.Rates{bundled, {}} {
			if got := convert(t, rates, amount)["INR"]; got != want {
				t.Errorf("%d paise: INR %s, want %s", amount, got, want)
			}
		}
	}
}

func TestCodeWithoutRateIsZero(t *testing.T) {
	t.Parallel()
	rates := parse(t, member{"INR", "80"}, member{"USD", "1"}, member{"ANG", "1.79"}, member{"USDT20", "7"})
	for code, got := range convert(t, rates, 8000) {
		want := "0"
		switch code {
		case "INR":
			want = "80"
		case "USD":
			want = "1"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", code, got, want)
		}
	}
	if got, want := len(rates.Missing()), len(fx.Codes())-2; got != want {
		t.Errorf("%d codes missing, want %d", got, want)
	}
}

func TestAppendConvertedDoesNotAllocate(t *testing.T) {
	rates, err := fx.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 8192)
	for _, amount := range []money.Paise{1, 38_000, 10_000_000_000} {
		if n := testing.AllocsPerRun(20, func() { dst = rates.AppendConverted(dst[:0], amount) }); n != 0 {
			t.Errorf("%d paise: %v allocations", amount, n)
		}
	}
}

func BenchmarkAppendConverted(b *testing.B) {
	rates, err := fx.Bundled()
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 8192)
	b.ReportAllocs()
	for b.Loop() {
		dst = rates.AppendConverted(dst[:0], 38_000)
	}
}
