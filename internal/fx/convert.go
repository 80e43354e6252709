package fx

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/milaan/milaan/money"
)

// factor turns paise into the smallest shown unit of one code: paise × num ÷ den. The fraction is the exact
// rate in lowest terms with the decimals already in it, so a conversion is one multiplication to 128 bits,
// one division and one comparison for the rounding.
type factor struct {
	key      string // the member's name with what stands before it: `,"EUR":`
	num, den uint64
	unit     uint64   // 10^decimals: how many smallest shown units make one
	wide     *big.Rat // the fraction when num or den needs more than 64 bits, else nil
}

// compile precomputes the factors of every configured code.
func compile(quotes []Quote) []factor {
	byCode := make(map[string]Quote, len(quotes))
	for _, q := range quotes {
		byCode[q.Code] = q
	}
	factors := make([]factor, len(configured))
	for i, code := range configured {
		decimals, _ := Decimals(code)
		f := factor{key: `,"` + code + `":`, den: 1, unit: 1}
		if i == 0 {
			f.key = `{"` + code + `":`
		}
		for range decimals {
			f.unit *= 10
		}
		quote, ok := byCode[quotedAs(code)]
		switch {
		case code == rupee:
			f.num = 1 // shown with two decimals, paise are its smallest unit: the amount itself, never a rate
		case ok:
			f.set(perPaisa(quote, f.unit))
		}
		factors[i] = f
	}
	return factors
}

// perPaisa is the exact number of 1/unit parts of the quoted code in one paisa.
func perPaisa(q Quote, unit uint64) *big.Rat {
	const paisePerRupee = 100
	rate := new(big.Rat).Quo(decimal(q.Units), decimal(q.Rupees))
	return rate.Mul(rate, new(big.Rat).SetFrac(new(big.Int).SetUint64(unit), big.NewInt(paisePerRupee)))
}

// decimal reads a Quote's number, which scanDecimal has checked.
func decimal(s string) *big.Rat {
	r, _ := new(big.Rat).SetString(s)
	return r
}

func (f *factor) set(fraction *big.Rat) {
	if fraction.Num().IsUint64() && fraction.Denom().IsUint64() {
		f.num, f.den = fraction.Num().Uint64(), fraction.Denom().Uint64()
		return
	}
	f.wide = fraction
}

// AppendConverted appends the JSON object converted_amount (protocol §5) to dst and returns the longer slice:
// amount, in paise, in every configured code, in the order of Codes, compact, as plain JSON numbers with
// trailing zeros trimmed. Each number is the exact product rounded half away from zero at its last decimal
// (see Decimals). INR is the amount itself. A code without a rate is written as 0, as the protocol's example
// does. It allocates nothing but room in dst, except for amounts beyond 64 bits in a code's smallest unit.
func (r *Rates) AppendConverted(dst []byte, amount money.Paise) []byte {
	factors := r.factors
	if factors == nil { // a Rates made by hand knows no rate
		factors = compile(nil)
	}
	size, negative := uint64(amount), amount < 0 //nolint:gosec // the sign is taken off below
	if negative {
		size = -size // right for the smallest int64 too
	}
	for i := range factors {
		f := &factors[i]
		dst = append(dst, f.key...)
		dst = f.append(dst, size, negative)
	}
	return append(dst, '}')
}

// append writes one converted amount. Whatever does not fit 64 bits goes the long way round.
func (f *factor) append(dst []byte, paise uint64, negative bool) []byte {
	if f.wide != nil {
		return f.appendBig(dst, f.wide, paise, negative)
	}
	hi, lo := bits.Mul64(paise, f.num)
	if hi >= f.den {
		return f.appendBig(dst, f.narrow(), paise, negative)
	}
	units, rest := bits.Div64(hi, lo, f.den)
	if rest >= f.den-rest { // half or more; written so that it cannot overflow
		if units == math.MaxUint64 {
			return f.appendBig(dst, f.narrow(), paise, negative)
		}
		units++
	}
	if negative && units != 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(dst, units/f.unit, 10)
	return f.appendFraction(dst, units%f.unit)
}

// appendFraction writes what follows the whole part, up to the last digit that is not zero.
func (f *factor) appendFraction(dst []byte, rest uint64) []byte {
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for place := f.unit / 10; rest != 0; place /= 10 {
		dst = append(dst, '0'+byte(rest/place)) //nolint:gosec // one digit
		rest %= place
	}
	return dst
}

// narrow is the fraction held in num and den.
func (f *factor) narrow() *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(f.num), new(big.Int).SetUint64(f.den))
}

// appendBig is append without limits.
func (f *factor) appendBig(dst []byte, fraction *big.Rat, paise uint64, negative bool) []byte {
	half := fraction.Denom()
	doubled := new(big.Int).SetUint64(paise)
	doubled.Mul(doubled, fraction.Num()).Lsh(doubled, 1).Add(doubled, half) // (2·n + den) ÷ 2·den is n ÷ den, half up
	units := doubled.Quo(doubled, new(big.Int).Lsh(half, 1))
	if units.Sign() == 0 {
		return append(dst, '0')
	}
	if negative {
		dst = append(dst, '-')
	}
	whole, rest := units.QuoRem(units, new(big.Int).SetUint64(f.unit), new(big.Int))
	return f.appendFraction(whole.Append(dst, 10), rest.Uint64())
}
