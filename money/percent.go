package money

import "strconv"

// Percent is a percentage from 0 to 100 with up to four decimals, such as a fee. The zero value
// is 0 %. The field is private so that no Percent is out of range and [Percent.Of] cannot fail.
type Percent struct {
	tenThousandths int64 // 1/10000 of a percent: 1.5 % is 15000
}

// percentDecimals and wholePercent tie the unit of Percent to its text and its sums.
const (
	percentDecimals = 4
	onePercent      = 10_000
	wholePercent    = 100 * onePercent
)

// ParsePercent reads "0", "1.5" or "2.25", without a percent sign. The error is a *[ParseError]:
// ErrSyntax, ErrPrecision (more than four decimals) or ErrRange (below 0 or above 100).
func ParsePercent(s string) (Percent, error) {
	units, negative, err := scan(s, percentDecimals)
	if err == nil && (units > wholePercent || negative && units > 0) {
		err = ErrRange
	}
	if err != nil {
		return Percent{}, refuse(s, err)
	}
	return Percent{tenThousandths: int64(units)}, nil
}

// Of is this percentage of p, rounded half up to a whole paisa, away from zero when p is
// negative.
func (c Percent) Of(p Paise) Paise {
	part, _ := mulRatio(p, c.tenThousandths, wholePercent) // at most p itself: always fits
	return part
}

// IsZero reports whether the percentage is 0.
func (c Percent) IsZero() bool { return c == Percent{} }

// String is the number without trailing zeros and without a percent sign: "1.5".
func (c Percent) String() string {
	text := strconv.AppendInt(nil, c.tenThousandths/onePercent, 10)
	if rest := c.tenThousandths % onePercent; rest != 0 {
		text = append(text, '.')
		for unit := int64(onePercent / 10); rest != 0; unit /= 10 {
			text = append(text, '0'+byte(rest/unit))
			rest %= unit
		}
	}
	return string(text)
}

// MarshalText writes [Percent.String].
func (c Percent) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParsePercent]; configuration files use it.
func (c *Percent) UnmarshalText(text []byte) error {
	parsed, err := ParsePercent(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// MarshalJSON writes a JSON number: 1.5.
func (c Percent) MarshalJSON() ([]byte, error) { return c.MarshalText() }

// UnmarshalJSON reads a JSON number or string. Null changes nothing.
func (c *Percent) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	text, err := jsonText(data)
	if err != nil {
		return err
	}
	return c.UnmarshalText(text)
}
