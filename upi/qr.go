package upi

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode"

	"rsc.io/qr"
)

// QROptions says how a QR code is drawn.
type QROptions struct {
	// Label is read out to those who do not see the code: "Pay ₹500.00 to Test Traders".
	Label string
}

// quietZone is the light margin scanners need around a code, in modules (ISO/IEC 18004).
const quietZone = 4

// QRSVG draws text, such as a [Link], as an SVG QR code. It scales to any size, is dark on light
// whatever the page's theme, and carries no style or script, so the strictest
// Content-Security-Policy lets it stand in a page. It fails when the text is empty or longer than
// a QR code holds (2953 bytes).
//
// Error correction is level L: a screen gathers no dirt, and fewer, larger modules are read from
// further away and are fewer bytes to send.
func QRSVG(text string, opts QROptions) ([]byte, error) {
	if text == "" {
		return nil, fmt.Errorf("upi: drawing a QR code: the text is empty: give it a payment link")
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("upi: drawing a QR code: shorten the text of %d bytes: %w", len(text), err)
	}

	// The modules of row y are strokes along y, so the picture begins half a module above row 0:
	// that keeps every number in the path a small integer.
	side := strconv.Itoa(code.Size + 2*quietZone)
	svg := make([]byte, 0, 4096)
	svg = append(svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4.5 `+side+` `+side+`" shape-rendering="crispEdges" role="img"`...)
	if opts.Label != "" {
		svg = append(svg, ` aria-label="`+attribute(opts.Label)+`"`...)
	}
	svg = append(svg, `><path fill="#fff" d="M-4-4.5h`+side+`v`+side+`h-`+side+`z"/><path stroke="#000" d="`...)
	svg = appendModules(svg, code)
	return append(svg, `"/></svg>`...), nil
}

// appendModules appends one horizontal stroke per run of dark modules, each reached by a relative
// move from the end of the one before it, or by an absolute move at the start of a row.
func appendModules(dst []byte, code *qr.Code) []byte {
	for y := range code.Size {
		end := -1 // where the last stroke of this row ended
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			start := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if end < 0 {
				dst = append(dst, 'M')
				dst = strconv.AppendInt(dst, int64(start), 10)
				dst = append(dst, ' ')
				dst = strconv.AppendInt(dst, int64(y), 10)
			} else {
				dst = append(dst, 'm')
				dst = strconv.AppendInt(dst, int64(start-end), 10)
				dst = append(dst, " 0"...)
			}
			dst = append(dst, 'h')
			dst = strconv.AppendInt(dst, int64(x-start), 10)
			end = x
		}
	}
	return dst
}

// attribute escapes text for a double-quoted XML attribute. XML has no way at all to write most
// control characters, so they are dropped.
func attribute(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' {
			return -1
		}
		return r
	}, text))
}
