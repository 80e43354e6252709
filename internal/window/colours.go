package window

import "github.com/milaan/milaan/internal/directory"

// What page.css has behind text: the page in light mode, a card in dark mode,
// which is the lighter of its grounds there.
const (
	lightGround directory.Colour = "#f2f5f4"
	darkCard    directory.Colour = "#17211e"
)

// coloured is the style rule of a merchant's colour; empty without one. It
// makes the variants that stay readable: links in light mode stand on the
// page, which is less than white, and in dark mode nearly every colour that
// carries white text is too dark.
func coloured(colour directory.Colour) string {
	// Read once more, whatever the store holds: this goes into a style sheet.
	main, err := directory.ParseColour(string(colour))
	if err != nil {
		return ""
	}
	link := readable(main, "#000000", lightGround)
	dark := readable(main, directory.White, darkCard)
	rule := func(main, on, link, tint directory.Colour) string {
		return ":root{--main:" + string(main) + ";--on:" + string(on) + ";--link:" + string(link) + ";--tint:" + string(tint) + "}"
	}
	// Black is readable on all that is readable on the dark card.
	return rule(main, directory.White, link, directory.White.Mix(main, 10)) +
		"@media(prefers-color-scheme:dark){" + rule(dark, "#000000", dark, darkCard.Mix(dark, 12)) + "}"
}

// readable moves a colour towards another as little as makes it readable on
// the ground.
func readable(colour, towards, ground directory.Colour) directory.Colour {
	for percent := range 100 {
		if c := colour.Mix(towards, percent); c.Contrast(ground) >= directory.ReadableContrast {
			return c
		}
	}
	return towards
}
