package apply_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/directory"
)

const svgLogo = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="

func TestLookErrors(t *testing.T) {
	t.Parallel()
	const noColour = " is no colour: write # and six hexadecimal digits, in quotes, such as '#0a6b4d'"
	const noLogo = " is no logo: write data:image/png;base64,… (or svg+xml, or webp), in quotes inside { }"
	big := "data:image/png;base64," + strings.Repeat("A", directory.MaxLogo)
	for name, tt := range map[string]struct{ look, want string }{
		"colour's name":   {"{colour: red}", `shop.yaml:3: merchants[0].look.colour: "red"` + noColour},
		"style in colour": {"\n    colour: '#000;}body{display:none'", `shop.yaml:4: merchants[0].look.colour: "#000;}body{display:none"` + noColour},
		"no quotes":       {"\n    colour: #0a6b4d\n    logo: " + svgLogo, "shop.yaml:4: merchants[0].look.colour: is empty: write the colour in quotes, such as '#0a6b4d', as # begins a comment"},
		"too light":       {"{color: '#777777'}", `shop.yaml:3: merchants[0].look.color: "#777777" is too light: white text on it has a contrast of 4.4:1 and needs 4.5:1; choose a darker one`},
		"two spellings":   {"\n    colour: '#0a6b4d'\n    color: '#0a6b4d'", "shop.yaml:5: merchants[0].look.color: is another spelling of colour: keep one of them"},
		"logo's address":  {"\n    logo: https://shop.example/logo.png", `shop.yaml:4: merchants[0].look.logo: "https://shop.example/logo.png"` + noLogo},
		"a page":          {"{logo: 'data:text/html;base64,PGI+'}", `shop.yaml:3: merchants[0].look.logo: "data:text/html;base64,PGI+"` + noLogo},
		"a GIF":           {"{logo: 'data:image/gif;base64,R0lGODlh'}", `shop.yaml:3: merchants[0].look.logo: "data:image/gif;base64,R0lGODlh"` + noLogo},
		"a false PNG":     {"{logo: 'data:image/png;base64,R0lGODlh'}", `shop.yaml:3: merchants[0].look.logo: "data:image/png;base64,R0lGODlh" is no logo: the image is not of the type image/png`},
		"too large":       {"\n    logo: " + big, `shop.yaml:4: merchants[0].look.logo: "` + big[:64] + `…" has 6166 bytes, and a logo has at most 6144: make the image smaller`},
		"unknown key":     {"{font: Comic}", `shop.yaml:3: merchants[0].look: unknown key "font": the keys here are colour, color, logo`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apply.Parse("shop.yaml", []byte("merchants:\n- id: a\n  look: "+tt.look+"\n"))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := apply.Parse("shop.yaml", []byte(wallet+", merchant_vpa: maybe}\n")); err == nil ||
		err.Error() != `shop.yaml:2: wallets[0].merchant_vpa: "maybe" is no switch: write on or off` {
		t.Errorf("got %v", err)
	}
}

func TestLookAndMerchantVPA(t *testing.T) {
	t.Parallel()
	m := newMemory()
	const rest = "\nwallets:\n- {id: w1, method: upi_l, vpa: a@upi, merchants: [shop]"
	m.mustApply(t, "merchants:\n- id: shop"+rest+"}\n")
	if s := m.snapshot(t); s.Merchant("shop").Look != (directory.Look{}) || s.Wallet("w1").MerchantVPA {
		t.Error("what the file leaves out is there")
	}
	// In lines, as base64 prints it.
	logo := strings.TrimPrefix(svgLogo, "data:image/svg+xml;base64,")
	styled := "merchants:\n- id: shop\n  look:\n    colour: '#7A1F5C'\n    logo: >-\n      data:image/svg+xml;base64,\n      " +
		logo[:20] + "\n      " + logo[20:] + rest + ", merchant_vpa: true}\n"
	first := printed(t, m.mustApply(t, styled))
	want := "~ merchant shop: look.colour none → #7a1f5c, look.logo none → image/svg+xml sha256-"
	if !strings.HasPrefix(first, want) || !strings.Contains(first, "~ wallet w1: merchant_vpa off → on\n") {
		t.Errorf("printed %s", first)
	}
	if s := m.snapshot(t); s.Merchant("shop").Look != (directory.Look{Colour: "#7a1f5c", Logo: svgLogo}) || !s.Wallet("w1").MerchantVPA {
		t.Errorf("stored %+v, %+v", s.Merchant("shop").Look, s.Wallet("w1"))
	}
	if again := m.mustApply(t, strings.Replace(styled, "colour:", "color:", 1)); !again.Empty() {
		t.Errorf("the second time: %s", printed(t, again))
	}
	other := base64.StdEncoding.EncodeToString([]byte("<svg ></svg>"))
	if p := m.mustApply(t, strings.Replace(styled, logo[:20]+"\n      "+logo[20:], other, 1)); len(p.Lines) != 1 {
		t.Errorf("another logo: %s", printed(t, p))
	}
	m.mustApply(t, "merchants:\n- id: shop\n")
	if s := m.snapshot(t); s.Merchant("shop").Look != (directory.Look{}) {
		t.Error("a look that left the file is still there")
	}
}
