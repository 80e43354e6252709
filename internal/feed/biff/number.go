package biff

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Excel stores numbers as IEEE doubles. They become decimal text in this file, at once, with
// the 15 digits that Excel keeps and shows; nothing calculates with them.

// doubleDecimal is a double as a plain decimal: "1234.5". What is no number (Excel never writes
// that) is "#NUM!".
func doubleDecimal(bits uint64) string {
	v := math.Float64frombits(bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return notANumber
	}
	// 15 digits: "-1.23450000000000e+03"
	text := strconv.FormatFloat(v, 'e', 14, 64) //nolint:forbidigo // Excel stores numbers as IEEE doubles; they become decimal text at once
	text, negative := strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(text, "e")
	power, err := strconv.Atoi(exponent)
	if err != nil {
		return notANumber
	}
	return plain(mantissa[:1]+mantissa[2:], power+1, negative)
}

const notANumber = "#NUM!"

// rkDecimal is a number in Excel's short form ([MS-XLS] 2.5.217 RkNumber): the upper 30 bits of a
// double or an integer, either to be divided by 100.
func rkDecimal(rk uint32) string {
	hundredth, integer := rk&1 != 0, rk&2 != 0
	var digits string
	var point int
	var negative bool
	if integer {
		digits, negative = strings.CutPrefix(strconv.Itoa(int(int32(rk)>>2)), "-") //nolint:gosec // the sign is the top bit
		point = len(digits)
	} else {
		text := doubleDecimal(uint64(rk&^3) << 32)
		if text == notANumber {
			return text
		}
		text, negative = strings.CutPrefix(text, "-")
		whole, fraction, _ := strings.Cut(text, ".")
		digits, point = whole+fraction, len(whole)
	}
	if hundredth {
		point -= 2
	}
	return plain(digits, point, negative)
}

// plain writes digits with the point behind the first point of them, without superfluous zeros.
func plain(digits string, point int, negative bool) string {
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	whole := strings.TrimLeft(digits[:point], "0")
	fraction := strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	text := whole
	if fraction != "" {
		text += "." + fraction
	}
	if negative && text != "0" {
		text = "-" + text
	}
	return text
}

// format is what a number format says of its cells.
type format struct {
	date  bool
	width int // at least so many digits, for formats such as 000000000000
}

var (
	// A duration, in hours, minutes or seconds beyond a day: no date.
	elapsedPattern = regexp.MustCompile(`\[(h+|m+|s+)\]`)
	// Quoted text, escaped characters, padding and fill, and brackets with a colour, condition or
	// currency.
	literalPattern = regexp.MustCompile(`"[^"]*"?|\\.|_.|\*.|\[[^\]]*\]`)
	zerosPattern   = regexp.MustCompile(`^0{2,40}$`)
)

// parseFormat reads a number format code by the rules of [MS-XLS] 2.4.126 and ECMA-376 18.8.31.
func parseFormat(code string) format {
	if zerosPattern.MatchString(code) {
		return format{width: len(code)}
	}
	code = strings.ToLower(code)
	if elapsedPattern.MatchString(code) {
		return format{}
	}
	positive, _, _ := strings.Cut(literalPattern.ReplaceAllString(code, ""), ";")
	if positive == "general" || strings.ContainsAny(positive, "#?") {
		return format{}
	}
	if strings.ContainsAny(positive, "dyh") {
		return format{date: true}
	}
	// Months or seconds alone are a date only where no digits of a number stand beside them.
	return format{date: strings.ContainsAny(positive, "ms") && !strings.Contains(positive, "0")}
}

// format of an extended format; General where the file names none.
func (b *Book) format(xf uint16) format {
	if int(xf) >= len(b.cellXF) {
		return format{}
	}
	id := b.cellXF[xf]
	if f, ok := b.formats[id]; ok {
		return f
	}
	// Built-in formats (ECMA-376 18.8.30): 14 to 22 and, for East Asian ones, 27 to 36 and 50 to
	// 58; 45 to 47 are times and durations.
	return format{date: id >= 14 && id <= 22 || id >= 27 && id <= 36 || id == 45 || id == 47 || id >= 50 && id <= 58}
}

// number makes a cell of a number.
func (b *Book) number(decimal string, xf uint16) Cell {
	f := b.format(xf)
	if f.date {
		if date, ok := b.date(decimal); ok {
			text := date.Format(time.DateOnly)
			if date.Hour() != 0 || date.Minute() != 0 || date.Second() != 0 {
				text = date.Format(time.DateTime)
			}
			return Cell{Text: text, Date: date, Number: true}
		}
	}
	if f.width > len(decimal) && strings.Trim(decimal, "0123456789") == "" {
		decimal = strings.Repeat("0", f.width-len(decimal)) + decimal
	}
	return Cell{Text: decimal, Number: decimal != notANumber}
}

var (
	epoch1900 = time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
	epoch1904 = time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// date turns a serial number, days since the epoch, into a date and time. Times of day alone,
// numbers out of Excel's range (to the year 9999) and its 29 February 1900 are none.
func (b *Book) date(serial string) (date time.Time, ok bool) {
	whole, fraction, _ := strings.Cut(serial, ".")
	days, err := strconv.Atoi(whole)
	if err != nil || days < 1 || days > 2_958_465 {
		return time.Time{}, false
	}
	// Excel takes 1900 for a leap year, so that up to 28 February it counts a day more.
	if b.epoch.Equal(epoch1900) && days <= 60 {
		if days == 60 {
			return time.Time{}, false
		}
		days++
	}
	const precision = 12
	fraction = (fraction + strings.Repeat("0", precision))[:precision]
	part, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	const whole12, daySeconds = 1_000_000_000_000, 24 * 60 * 60
	seconds := (part*daySeconds + whole12/2) / whole12
	return b.epoch.AddDate(0, 0, days).Add(time.Duration(seconds) * time.Second), true
}
