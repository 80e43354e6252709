package directory_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/directory"
)

func TestContrast(t *testing.T) {
	t.Parallel()
	// As the W3C's and WebAIM's calculators have them.
	for _, tt := range []struct {
		a, b directory.Colour
		want directory.Ratio
	}{
		{"#000000", "#ffffff", 21},
		{"#ffffff", "#ffffff", 1},
		{"#777777", "#ffffff", 4.48},
		{"#767676", "#ffffff", 4.54},
		{"#ff0000", "#ffffff", 4.00},
		{"#0000ff", "#ffffff", 8.59},
	} {
		if got := tt.a.Contrast(tt.b); max(got-tt.want, tt.want-got) > 0.005 || got != tt.b.Contrast(tt.a) {
			t.Errorf("%s on %s has %f, want %f", tt.a, tt.b, got, tt.want)
		}
	}
	if got := directory.Colour("#000000").Mix("#ff8000", 50); got != "#7f4000" {
		t.Errorf("half of #ff8000 is %s", got)
	}
}

func TestParseColour(t *testing.T) {
	t.Parallel()
	if c, err := directory.ParseColour("#0A6B4D"); err != nil || c != "#0a6b4d" {
		t.Errorf("got %s, %v", c, err)
	}
	for _, bad := range []string{
		"", "#", "0a6b4d", "#0a6b4", "#0a6b4d0", "#0a6b4d\n", "red", "#abc", "#0a6b4g",
		"#0a6b4d}body{display:none", "#000;}</style><script>", "rgb(0,0,0)", "#777777", "#ffffff",
	} {
		if c, err := directory.ParseColour(bad); err == nil {
			t.Errorf("%q is %s", bad, c)
		}
	}
}

func TestParseLogo(t *testing.T) {
	t.Parallel()
	uri := func(media, image string) string {
		return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString([]byte(image))
	}
	const png, webp, svg = "\x89PNG\r\n\x1a\n....", "RIFF\x10\x00\x00\x00WEBPVP8 ....", `<svg xmlns="http://www.w3.org/2000/svg"/>`
	for _, good := range []string{uri("image/png", png), uri("image/webp", webp), uri("image/svg+xml", svg)} {
		if got, err := directory.ParseLogo(good); err != nil || got != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"address":          "https://shop.example/logo.png",
		"page":             uri("text/html", "<script>alert(1)</script>"),
		"gif":              uri("image/gif", "GIF89a"),
		"jpeg":             uri("image/jpeg", "\xff\xd8\xff"),
		"svg as png":       uri("image/png", svg),
		"png as svg":       uri("image/svg+xml", png),
		"page as svg":      uri("image/svg+xml", "<html></html>"),
		"not base64":       "data:image/svg+xml,<svg/>",
		"bad base64":       "data:image/png;base64,iVBORw0KGgo*",
		"broken lines":     strings.Replace(uri("image/png", png), ",", ",\n", 1),
		"more parameters":  strings.Replace(uri("image/svg+xml", svg), ";", ";charset=utf-8;", 1),
		"no image":         "data:image/png;base64,",
		"ends in a quote":  uri("image/png", png) + `"onerror="alert(1)`,
		"one byte too big": uri("image/svg+xml", svg+strings.Repeat(" ", directory.MaxLogo)),
	} {
		if _, err := directory.ParseLogo(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
