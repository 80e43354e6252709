package money_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want money.Paise
		err  error
	}{
		{in: "500", want: 50000},
		{in: "500.5", want: 50050},
		{in: "500.50", want: 50050},
		{in: "0.1", want: 10},
		{in: "0", want: 0},
		{in: "-0", want: 0},
		{in: "-0.5", want: -50},
		{in: "00500", want: 50000},
		{in: " \t500.50\n", want: 50050},
		{in: "1,00,000.00", want: 10000000},
		{in: "100,000.00", want: 10000000},
		{in: "1,000,00,000", want: 10000000000},
		{in: "12,34,56,789.01", want: 12345678901},
		{in: "-1,000", want: -100000},
		{in: "5.000", want: 500},
		{in: "5.0000000000000000000000000000", want: 500},
		{in: "5e2", want: 50000},
		{in: "1.5E1", want: 1500},
		{in: "1.5e+1", want: 1500},
		{in: "1500e-2", want: 1500},
		{in: "50000000000000000000000000e-23", want: 50000},
		{in: "0e999999999999999999999", want: 0},
		{in: "92233720368547758.07", want: math.MaxInt64},
		{in: "-92233720368547758.08", want: math.MinInt64},

		{in: "", err: money.ErrSyntax},
		{in: " ", err: money.ErrSyntax},
		{in: "-", err: money.ErrSyntax},
		{in: "--5", err: money.ErrSyntax},
		{in: "- 5", err: money.ErrSyntax},
		{in: "+5", err: money.ErrSyntax},
		{in: "5 0", err: money.ErrSyntax},
		{in: ".5", err: money.ErrSyntax},
		{in: "5.", err: money.ErrSyntax},
		{in: "5.0.0", err: money.ErrSyntax},
		{in: "1,0", err: money.ErrSyntax},
		{in: "1,,000", err: money.ErrSyntax},
		{in: ",100", err: money.ErrSyntax},
		{in: "1,000,", err: money.ErrSyntax},
		{in: "1,000,00", err: money.ErrSyntax},
		{in: "1000,000", err: money.ErrSyntax},
		{in: "1,0000,000", err: money.ErrSyntax},
		{in: "1,0,000", err: money.ErrSyntax},
		{in: "0,500", err: money.ErrSyntax},
		{in: "1.000,00", err: money.ErrSyntax},
		{in: "1,000e2", err: money.ErrSyntax},
		{in: "5e", err: money.ErrSyntax},
		{in: "5e+", err: money.ErrSyntax},
		{in: "5e1.5", err: money.ErrSyntax},
		{in: "0x10", err: money.ErrSyntax},
		{in: "1_000", err: money.ErrSyntax},
		{in: "NaN", err: money.ErrSyntax},
		{in: "Inf", err: money.ErrSyntax},
		{in: "₹500", err: money.ErrSyntax},
		{in: "५००", err: money.ErrSyntax},

		{in: "5.001", err: money.ErrPrecision},
		{in: "0.00000000000000000000000000001", err: money.ErrPrecision},
		{in: "1.00000000000000000000000000001", err: money.ErrPrecision},
		{in: "1e-3", err: money.ErrPrecision},
		{in: "1e-99999999999999999999", err: money.ErrPrecision},
		{in: "92233720368547758.075", err: money.ErrPrecision},

		{in: "92233720368547758.08", err: money.ErrRange},
		{in: "-92233720368547758.09", err: money.ErrRange},
		{in: "184467440737095516.16", err: money.ErrRange}, // 2^64 paise: must not wrap to zero
		{in: "18446744073709551616", err: money.ErrRange},
		{in: "1e17", err: money.ErrRange},
		{in: "1e99999999999999999999", err: money.ErrRange},
		{in: strings.Repeat("9", 400), err: money.ErrRange},
	}
	for _, tt := range tests {
		got, err := money.Parse(tt.in)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Parse(%.40q) = %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestParseErrorNamesTheText(t *testing.T) {
	t.Parallel()
	_, err := money.Parse(strings.Repeat("7", 500) + "x")
	var refused *money.ParseError
	if !errors.As(err, &refused) || len(refused.Input) > 40 || !strings.HasPrefix(refused.Input, "777") {
		t.Errorf("got %v; want a ParseError with a short part of the text", err)
	}
}

func TestParsePositive(t *testing.T) {
	t.Parallel()
	if got, err := money.ParsePositive("0.01"); got != 1 || err != nil {
		t.Errorf("0.01 gave %d, %v", got, err)
	}
	for _, s := range []string{"0", "-0", "0.00", "-5"} {
		if got, err := money.ParsePositive(s); got != 0 || !errors.Is(err, money.ErrRange) {
			t.Errorf("ParsePositive(%q) = %d, %v; want ErrRange", s, got, err)
		}
	}
	if _, err := money.ParsePositive("x"); !errors.Is(err, money.ErrSyntax) {
		t.Errorf("got %v, want ErrSyntax", err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		p           money.Paise
		text, fixed string
		english     string
	}{
		{p: 50000, text: "500", fixed: "500.00", english: "₹500.00"},
		{p: 50050, text: "500.5", fixed: "500.50", english: "₹500.50"},
		{p: 10, text: "0.1", fixed: "0.10", english: "₹0.10"},
		{p: 1, text: "0.01", fixed: "0.01", english: "₹0.01"},
		{p: 12345, text: "123.45", fixed: "123.45", english: "₹123.45"},
		{p: -50, text: "-0.5", fixed: "-0.50", english: "-₹0.50"},
		{p: 0, text: "0", fixed: "0.00", english: "₹0.00"},
		{p: 10000000, text: "100000", fixed: "100000.00", english: "₹1,00,000.00"},
		{p: math.MaxInt64, text: "92233720368547758.07", fixed: "92233720368547758.07", english: "₹92,23,37,20,36,85,47,758.07"},
		{p: math.MinInt64, text: "-92233720368547758.08", fixed: "-92233720368547758.08", english: "-₹92,23,37,20,36,85,47,758.08"},
	}
	for _, tt := range tests {
		if got := tt.p.String(); got != tt.text {
			t.Errorf("%d.String() = %q, want %q", int64(tt.p), got, tt.text)
		}
		if got := tt.p.Fixed(); got != tt.fixed {
			t.Errorf("%d.Fixed() = %q, want %q", int64(tt.p), got, tt.fixed)
		}
		if got, err := json.Marshal(tt.p); string(got) != tt.text || err != nil {
			t.Errorf("%d in JSON = %s, %v; want %s", int64(tt.p), got, err, tt.text)
		}
		if got := string(tt.p.AppendJSON([]byte("x"))); got != "x"+tt.text {
			t.Errorf("%d.AppendJSON = %q", int64(tt.p), got)
		}
		for _, lang := range []money.Lang{money.English, money.Hindi, "xx"} {
			if got := money.Format(tt.p, lang); got != tt.english {
				t.Errorf("Format(%d, %s) = %q, want %q", int64(tt.p), lang, got, tt.english)
			}
		}
	}
}

func TestFormatFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				p := money.Paise(i*1000+n) * money.Rupee
				got := money.Format(p, money.Hindi)
				if back, err := money.Parse(strings.TrimPrefix(got, "₹")); back != p || err != nil {
					t.Errorf("Format(%d) = %q", int64(p), got)
				}
			}
		})
	}
	wg.Wait()
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want money.Paise
		err  error
	}{
		{in: `500`, want: 50000},
		{in: `500.00`, want: 50000},
		{in: `"500.00"`, want: 50000},
		{in: `"\u0035"`, want: 500},
		{in: `5e2`, want: 50000},
		{in: `92233720368547758.07`, want: math.MaxInt64}, // a float64 would lose the last digits
		{in: `null`, want: 7},
		{in: `""`, want: 7, err: money.ErrSyntax},
		{in: `true`, want: 7, err: money.ErrSyntax},
		{in: `{}`, want: 7, err: money.ErrSyntax},
		{in: `[1]`, want: 7, err: money.ErrSyntax},
		{in: `0.001`, want: 7, err: money.ErrPrecision},
	}
	for _, tt := range tests {
		got := money.Paise(7)
		err := json.Unmarshal([]byte(tt.in), &got)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("JSON %s gave %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	type config struct {
		Min, Max money.Paise
		Fee      money.Percent
	}
	var got config
	if err := yaml.Unmarshal([]byte("min: 1\nmax: 100000.5\nfee: 1.5\n"), &got); err != nil {
		t.Fatal(err)
	}
	fee, _ := money.ParsePercent("1.5")
	if want := (config{Min: 100, Max: 10000050, Fee: fee}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestArithmeticOverflow(t *testing.T) {
	t.Parallel()
	const top, bottom = money.Paise(math.MaxInt64), money.Paise(math.MinInt64)
	refused := map[string]func() (money.Paise, error){
		"top+1":       func() (money.Paise, error) { return top.Add(1) },
		"bottom-1":    func() (money.Paise, error) { return bottom.Sub(1) },
		"bottom+-1":   func() (money.Paise, error) { return bottom.Add(-1) },
		"0-bottom":    func() (money.Paise, error) { return money.Paise(0).Sub(bottom) },
		"sum":         func() (money.Paise, error) { return money.Sum(top, 1, -1) },
		"bottom*-1":   func() (money.Paise, error) { return money.MulBasisPoints(bottom, -10000) },
		"top*100.01%": func() (money.Paise, error) { return money.MulBasisPoints(top, 10001) },
		"bottom²":     func() (money.Paise, error) { return money.MulBasisPoints(bottom, math.MinInt64) },
	}
	for name, f := range refused {
		if got, err := f(); got != 0 || !errors.Is(err, money.ErrOverflow) {
			t.Errorf("%s = %d, %v; want ErrOverflow", name, int64(got), err)
		}
	}
	if got, err := money.MulBasisPoints(bottom, 10000); got != bottom || err != nil {
		t.Errorf("100%% of the smallest amount = %d, %v", int64(got), err)
	}
	if got, err := money.Sum(); got != 0 || err != nil {
		t.Errorf("the sum of nothing = %d, %v", int64(got), err)
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		percent, text string
		of, want      money.Paise
	}{
		{"0", "0", 10000, 0},
		{"1.5", "1.5", 10000, 150},
		{"2.25", "2.25", 100, 2}, // 2.25 paise
		{"2.5", "2.5", 100, 3},   // 2.5 paise: half up
		{"2.5", "2.5", -100, -3},
		{"2.4999", "2.4999", 100, 2},
		{"0.0500", "0.05", 1000, 1}, // 0.5 paise
		{"0.0001", "0.0001", 499999, 0},
		{"0.0001", "0.0001", 500000, 1},
		{"100", "100", math.MaxInt64, math.MaxInt64},
		{"100.0", "100", math.MinInt64, math.MinInt64},
	}
	for _, tt := range tests {
		c, err := money.ParsePercent(tt.percent)
		if err != nil {
			t.Errorf("ParsePercent(%q): %v", tt.percent, err)
			continue
		}
		if got := c.Of(tt.of); got != tt.want {
			t.Errorf("%s%% of %d = %d, want %d", c, int64(tt.of), int64(got), int64(tt.want))
		}
		if c.String() != tt.text || c.IsZero() != (tt.text == "0") {
			t.Errorf("%q prints as %q, IsZero %t", tt.percent, c, c.IsZero())
		}
		var back money.Percent
		encoded, err := json.Marshal(c)
		if err == nil {
			err = json.Unmarshal(encoded, &back)
		}
		if err != nil || back != c || string(encoded) != tt.text {
			t.Errorf("%s went through JSON as %s to %s, %v", c, encoded, back, err)
		}
	}
	for s, want := range map[string]error{
		"": money.ErrSyntax, "1.5%": money.ErrSyntax, "-1": money.ErrRange,
		"100.0001": money.ErrRange, "1e9": money.ErrRange, "0.00001": money.ErrPrecision,
	} {
		if _, err := money.ParsePercent(s); !errors.Is(err, want) {
			t.Errorf("ParsePercent(%q): %v, want %v", s, err, want)
		}
	}
}

func TestParseCurrency(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"INR", "inr", " Inr "} {
		if got, err := money.ParseCurrency(s); got != money.INR || err != nil {
			t.Errorf("ParseCurrency(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "IN", "INRR", "I1R", "₹", "@@@", "[{|"} {
		if got, err := money.ParseCurrency(s); got != "" || !errors.Is(err, money.ErrCurrency) {
			t.Errorf("ParseCurrency(%q) = %q, %v; want ErrCurrency", s, got, err)
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	buffer := make([]byte, 0, 64)
	encoded := []byte(`1,00,000.00`)
	var p money.Paise
	if n := testing.AllocsPerRun(100, func() {
		p, _ = money.Parse("123456.78")
		buffer = p.AppendJSON(buffer[:0])
		_ = p.UnmarshalJSON(encoded)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

var anyAmount = rapid.Custom(func(t *rapid.T) money.Paise {
	return money.Paise(rapid.Int64().Draw(t, "paise"))
})

func TestEveryTextParsesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := anyAmount.Draw(t, "p")
		encoded, err := json.Marshal(map[string]money.Paise{"n": p})
		if err != nil {
			t.Fatal(err)
		}
		var decoded map[string]money.Paise
		if err := json.Unmarshal(encoded, &decoded); err != nil || decoded["n"] != p {
			t.Fatalf("%d went through JSON as %s to %d, %v", int64(p), encoded, int64(decoded["n"]), err)
		}
		for _, text := range []string{
			p.String(),
			p.Fixed(),
			p.Fixed() + "000",
			fmt.Sprintf("%de-2", int64(p)),
			strings.Replace(money.Format(p, money.English), "₹", "", 1),
			strings.Replace(money.Format(p, money.Hindi), "₹", "", 1),
		} {
			if got, err := money.Parse(text); got != p || err != nil {
				t.Fatalf("Parse(%q) = %d, %v; want %d", text, int64(got), err, int64(p))
			}
		}
	})
}

func TestArithmeticAgreesWithBigIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, q := anyAmount.Draw(t, "p"), anyAmount.Draw(t, "q")
		bp := rapid.Int64().Draw(t, "bp")
		x, y := big.NewInt(int64(p)), big.NewInt(int64(q))
		check := func(name string, want *big.Int, got money.Paise, err error) {
			if want.IsInt64() && (err != nil || int64(got) != want.Int64()) || !want.IsInt64() && err == nil {
				t.Fatalf("%s = %d, %v; want %v", name, int64(got), err, want)
			}
		}
		sum, err := p.Add(q)
		check("add", new(big.Int).Add(x, y), sum, err)
		difference, err := p.Sub(q)
		check("sub", new(big.Int).Sub(x, y), difference, err)

		// Half up, away from zero: (2·|p·bp| + 10000) / 20000 with the sign put back.
		product := new(big.Int).Mul(x, big.NewInt(bp))
		sign := int64(product.Sign())
		product.Abs(product).Lsh(product, 1).Add(product, big.NewInt(10000)).Quo(product, big.NewInt(20000))
		part, err := money.MulBasisPoints(p, bp)
		check("basis points", product.Mul(product, big.NewInt(sign)), part, err)
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"500", "-0.5", "1,00,000.00", "1,0", "5e2", "5.001", "1e-999999999999", "18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := money.Parse(s)
		if err != nil {
			if p != 0 || !errors.Is(err, money.ErrSyntax) && !errors.Is(err, money.ErrPrecision) && !errors.Is(err, money.ErrRange) {
				t.Fatalf("Parse(%q) = %d, %v", s, int64(p), err)
			}
			return
		}
		if back, err := money.Parse(p.String()); back != p || err != nil {
			t.Fatalf("%q is %d, but %s is %d, %v", s, int64(p), p, int64(back), err)
		}
		// An independent reader, where the exponent lets it be cheap.
		plain := strings.ReplaceAll(strings.TrimSpace(s), ",", "")
		if strings.ContainsAny(plain, "eE") {
			return
		}
		rupees, ok := new(big.Rat).SetString(plain)
		if !ok || rupees.Cmp(big.NewRat(int64(p), 100)) != 0 {
			t.Fatalf("Parse(%q) = %d; big.Rat reads %v", s, int64(p), rupees)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"500", "123456.78", "1,00,000.00"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := money.Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	b.ReportAllocs()
	buffer := make([]byte, 0, 32)
	for b.Loop() {
		buffer = money.Paise(12345678).AppendJSON(buffer[:0])
	}
}

func BenchmarkFormat(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		money.Format(12345678, money.English)
	}
}
