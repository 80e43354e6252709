package directory

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Look is how the payment window shows a merchant. The zero Look is the
// window's own.
type Look struct {
	Colour Colour `json:"colour,omitempty"` // of buttons and links; empty for the window's own
	Logo   string `json:"logo,omitempty"`   // a data URI, see ParseLogo; empty for the initial of the name
}

// Colour is an opaque sRGB colour, #rrggbb in small letters.
type Colour string

// White is what stands on a merchant's colour in light mode.
const White Colour = "#ffffff"

// Ratio is a contrast or a share of light: nothing that is counted in money.
type Ratio float64 //nolint:forbidigo // see above

// ReadableContrast is the least contrast of text with what is behind it (WCAG
// 2.2, success criterion 1.4.3, level AA).
const ReadableContrast Ratio = 4.5

// MaxLogo bounds a logo's data URI, in bytes: it comes with every page, and a
// page is to be one round trip.
const MaxLogo = 6 << 10

var (
	colourPattern = regexp.MustCompile(`^#[0-9a-f]{6}$`)
	logoPattern   = regexp.MustCompile(`^data:(image/(?:svg\+xml|png|webp));base64,(.+)$`)
)

// ParseColour reads a colour that white text is readable on. Nothing else
// passes: the colour goes into a style sheet.
func ParseColour(s string) (Colour, error) {
	c := Colour(strings.ToLower(s))
	if !colourPattern.MatchString(string(c)) {
		return "", errors.New("is no colour: write # and six hexadecimal digits, in quotes, such as '#0a6b4d'")
	}
	if contrast := c.Contrast(White); contrast < ReadableContrast {
		// Rounded down, so that what is too little does not read as enough.
		tenths := int(contrast * 10)
		return "", fmt.Errorf("is too light: white text on it has a contrast of %d.%d:1 and needs 4.5:1; choose a darker one", tenths/10, tenths%10)
	}
	return c, nil
}

// Contrast is WCAG's contrast ratio of two colours, 1 to 21.
func (c Colour) Contrast(other Colour) Ratio {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// Mix is the colour with that many percent of another in it.
func (c Colour) Mix(other Colour, percent int) Colour {
	a, b := c.channels(), other.channels()
	for i := range a {
		a[i] += (b[i] - a[i]) * percent / 100
	}
	return Colour(fmt.Sprintf("#%02x%02x%02x", a[0], a[1], a[2]))
}

// luminance is WCAG's relative luminance, 0 to 1.
func (c Colour) luminance() Ratio {
	var sum Ratio
	for i, weight := range []Ratio{0.2126, 0.7152, 0.0722} {
		v := Ratio(c.channels()[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = Ratio(math.Pow(float64(v+0.055)/1.055, 2.4)) //nolint:forbidigo // math knows no Ratio
		}
		sum += weight * v
	}
	return sum
}

// channels are red, green and blue, 0 to 255; black for what is no colour.
func (c Colour) channels() [3]int {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(c), "#"), 16, 24)
	if err != nil {
		return [3]int{}
	}
	return [3]int{int(n >> 16), int(n >> 8 & 0xff), int(n & 0xff)}
}

// ParseLogo reads a data URI of an SVG, PNG or WebP image in base64, of at most
// MaxLogo bytes. An SVG may hold what it likes: shown by an img element it runs
// no script and loads nothing.
func ParseLogo(s string) (string, error) {
	if len(s) > MaxLogo {
		return "", fmt.Errorf("has %d bytes, and a logo has at most %d: make the image smaller", len(s), MaxLogo)
	}
	found := logoPattern.FindStringSubmatch(s)
	if found == nil {
		return "", errors.New("is no logo: write data:image/png;base64,… (or svg+xml, or webp), in quotes inside { }")
	}
	image, err := base64.StdEncoding.Strict().DecodeString(found[2])
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return "", errors.New("is no logo: what follows the comma is not base64")
	}
	is := http.DetectContentType(image) == found[1]
	if found[1] == "image/svg+xml" {
		is = utf8.Valid(image) && strings.Contains(string(image), "<svg")
	}
	if !is {
		return "", fmt.Errorf("is no logo: the image is not of the type %s", found[1])
	}
	return s, nil
}
