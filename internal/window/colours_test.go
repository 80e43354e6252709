package window

import (
	"fmt"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/directory"
)

// TestColoursStayReadable: whatever colour a merchant may have, all that stands
// on it, or in it on the page, is readable in both modes.
func TestColoursStayReadable(t *testing.T) {
	t.Parallel()
	const colour = `(#[0-9a-f]{6})`
	const rule = `:root\{--main:` + colour + `;--on:` + colour + `;--link:` + colour + `;--tint:` + colour + `\}`
	form := regexp.MustCompile(`^` + rule + `@media\(prefers-color-scheme:dark\)\{` + rule + `\}$`)
	rapid.Check(t, func(t *rapid.T) {
		c, err := directory.ParseColour(fmt.Sprintf("#%06x", rapid.IntRange(0, 1<<24-1).Draw(t, "colour")))
		if err != nil {
			t.Skip("too light")
		}
		found := form.FindStringSubmatch(coloured(c))
		if found == nil || found[1] != string(c) {
			t.Fatalf("the rule is %s", coloured(c))
		}
		at := func(i int) directory.Colour { return directory.Colour(found[i]) }
		// Grounds and inks are those of page.css.
		for _, pair := range [][2]directory.Colour{
			{at(1), at(2)}, {at(3), "#ffffff"}, {at(3), "#f2f5f4"}, {at(4), "#13201b"}, {at(4), "#52615a"},
			{at(5), at(6)}, {at(7), "#17211e"}, {at(7), "#0e1513"}, {at(8), "#e9f1ed"}, {at(8), "#a5b5ad"},
		} {
			if contrast := pair[0].Contrast(pair[1]); contrast < directory.ReadableContrast {
				t.Errorf("%s with %s has a contrast of %f", pair[0], pair[1], contrast)
			}
		}
	})
}

func TestNoColourNoRule(t *testing.T) {
	t.Parallel()
	for _, c := range []directory.Colour{"", "red", "#ffffff", "#000000}body{display:none", "</style><script>"} {
		if rule := coloured(c); rule != "" {
			t.Errorf("%q makes the rule %s", c, rule)
		}
	}
}
