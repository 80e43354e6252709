package upi_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/milaan/milaan/upi"
)

var usualLink = upi.Link{
	PayeeVPA: "testtraders.shop@okhdfcbank", PayeeName: "Test Traders", Ref: "h8JxcM123DbmAvfn", Note: "Order 55", Amount: 123450,
}

// picture is what a browser sees of the SVG.
type picture struct {
	ViewBox string `xml:"viewBox,attr"`
	Role    string `xml:"role,attr"`
	Label   string `xml:"aria-label,attr"`
	Paths   []struct {
		D      string `xml:"d,attr"`
		Fill   string `xml:"fill,attr"`
		Stroke string `xml:"stroke,attr"`
	} `xml:"path"`
}

func draw(t *testing.T, text, label string) (picture, []byte) {
	t.Helper()
	svg, err := upi.QRSVG(text, upi.QROptions{Label: label})
	if err != nil {
		t.Fatal(err)
	}
	var p picture
	if err := xml.Unmarshal(svg, &p); err != nil {
		t.Fatalf("%v in %s", err, svg)
	}
	return p, svg
}

// TestQRSVGDrawsTheCode follows the path as a browser does and compares every module.
func TestQRSVGDrawsTheCode(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"A", usualLink.String(), strings.Repeat("upi ", 700)} {
		p, _ := draw(t, text, "")
		code, err := qr.Encode(text, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		side := code.Size + 8
		if want := fmt.Sprintf("-4 -4.5 %d %d", side, side); p.ViewBox != want {
			t.Errorf("viewBox %q leaves no quiet zone of 4; want %q", p.ViewBox, want)
		}
		if len(p.Paths) != 2 || p.Paths[0].Fill != "#fff" || p.Paths[1].Stroke != "#000" {
			t.Fatalf("want a white ground and one black path, got %+v", p.Paths)
		}
		drawn := map[[2]int]bool{}
		x, y := 0, 0
		step := regexp.MustCompile(`M(\d+) (\d+)|m(\d+) 0|h(\d+)`)
		if rest := step.ReplaceAllString(p.Paths[1].D, ""); rest != "" {
			t.Fatalf("unknown path commands %q", rest)
		}
		number := func(s string) int { n, _ := strconv.Atoi(s); return n }
		for _, m := range step.FindAllStringSubmatch(p.Paths[1].D, -1) {
			switch m[0][0] {
			case 'M':
				x, y = number(m[1]), number(m[2])
			case 'm':
				x += number(m[3])
			case 'h':
				for range number(m[4]) {
					drawn[[2]int{x, y}] = true
					x++
				}
			}
		}
		for y := range code.Size {
			for x := range code.Size {
				if drawn[[2]int{x, y}] != code.Black(x, y) {
					t.Fatalf("module %d,%d of %.20q is drawn %t", x, y, text, drawn[[2]int{x, y}])
				}
				delete(drawn, [2]int{x, y})
			}
		}
		if len(drawn) != 0 {
			t.Errorf("%d modules are drawn outside the code", len(drawn))
		}
	}
}

func TestQRSVGIsSmallAndStandsUnderAStrictCSP(t *testing.T) {
	t.Parallel()
	_, svg := draw(t, usualLink.String(), "Pay ₹1,234.50 to Test Traders")
	if len(svg) >= 3000 {
		t.Errorf("%d bytes, want less than 3000", len(svg))
	}
	for _, banned := range []string{"style", "script", " on", "href", "url("} {
		if bytes.Contains(svg, []byte(banned)) {
			t.Errorf("holds %q: %s", banned, svg)
		}
	}
}

func TestQRSVGLabel(t *testing.T) {
	t.Parallel()
	p, _ := draw(t, "A", "\"><script>'&\x00\n₹")
	if p.Role != "img" || p.Label != `"><script>'&₹` {
		t.Errorf("role %q, label %q", p.Role, p.Label)
	}
	if _, svg := draw(t, "A", ""); bytes.Contains(svg, []byte("aria-label")) {
		t.Error("an empty label must be left out")
	}
}

func TestQRSVGRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", strings.Repeat("a", 2954)} {
		if svg, err := upi.QRSVG(text, upi.QROptions{}); err == nil || svg != nil {
			t.Errorf("%d bytes were drawn", len(text))
		}
	}
}

func BenchmarkQRSVG(b *testing.B) {
	text := usualLink.String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := upi.QRSVG(text, upi.QROptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
