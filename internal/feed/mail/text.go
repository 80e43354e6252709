package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/text/unicode/norm"
)

// Normalize makes a text plain to read: composed (NFC), every kind of space and
// control character one space, nothing that has no width (soft hyphens, joiners,
// marks of direction), lines trimmed, no two empty lines in a row. Only a line
// feed stays a line break: other characters that break lines could come from
// what a payer wrote.
func Normalize(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	empty := 0 // line feeds that are owed
	space := false
	for _, r := range norm.NFC.String(strings.ReplaceAll(text, "\r\n", "\n")) {
		switch {
		case r == '\n':
			empty++
			space = false
		case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
		case unicode.IsSpace(r), unicode.IsControl(r):
			space = true
		default:
			if b.Len() > 0 {
				b.WriteString("\n\n"[:min(empty, 2)])
				if space && empty == 0 {
					b.WriteByte(' ')
				}
			}
			empty, space = 0, false
			b.WriteRune(r)
		}
	}
	return b.String()
}

// htmlText makes HTML readable: what a reader would see, blocks on their own
// lines, tables row by row.
func htmlText(source string) (string, error) {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return "", err
	}
	var f flow
	f.render(root, look{colour: black, background: white})
	return f.b.String(), nil
}

// flow is text as it is laid out.
type flow struct {
	b     strings.Builder
	space bool // one is owed before the next word
	inRow bool // something stands on the line
}

func (f *flow) text(s string) {
	for _, r := range s {
		switch r {
		case ' ', '\t', '\n', '\r', '\f':
			f.space = true
			continue
		}
		if f.space && f.inRow {
			f.b.WriteByte(' ')
		}
		f.b.WriteRune(r)
		f.space, f.inRow = false, true
	}
}

// newline ends the line, even an empty one.
func (f *flow) newline() {
	f.b.WriteByte('\n')
	f.space, f.inRow = false, false
}

// block ends the line if something stands on it.
func (f *flow) block() {
	if f.inRow {
		f.newline()
	}
	f.space = false
}

func (f *flow) render(n *html.Node, l look) {
	switch n.Type {
	case html.TextNode:
		if l.seen() {
			f.text(n.Data)
		}
		return
	case html.ElementNode:
		var shown bool
		if l, shown = l.of(n); !shown {
			return
		}
	case html.DocumentNode:
	default:
		return
	}
	switch n.DataAtom {
	case atom.Head, atom.Script, atom.Style, atom.Template, atom.Noscript, atom.Object, atom.Iframe,
		atom.Svg, atom.Math, atom.Textarea, atom.Select, atom.Audio, atom.Video, atom.Canvas:
		return
	case atom.Br:
		f.newline()
	case atom.Sup, atom.Sub:
		// Beside a number they are not part of it: 500 and a small 00 are not 50000.
		f.space = true
		f.children(n, l)
		f.space = true
	case atom.Table:
		f.block()
		f.table(n, l)
		f.block()
	case atom.Pre:
		f.block()
		f.b.WriteString(preformatted(n, l))
		f.newline()
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Center, atom.Dd, atom.Details,
		atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3,
		atom.H4, atom.H5, atom.H6, atom.Header, atom.Hr, atom.Li, atom.Main, atom.Nav, atom.Ol, atom.P, atom.Section,
		atom.Summary, atom.Ul, atom.Caption:
		f.block()
		f.children(n, l)
		f.block()
	default:
		f.children(n, l)
	}
}

func (f *flow) children(n *html.Node, l look) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		f.render(c, l)
	}
}

func preformatted(n *html.Node, l look) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && l.seen() {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// longestLabel is how many characters the name of a field may have. What is
// longer, beside something else, is a sentence in a layout.
const longestLabel = 60

// table writes a table row by row. Two cells are a label and its value; under
// headings each cell is labelled by its own.
func (f *flow) table(table *html.Node, l look) {
	var headings []string
	for section := table.FirstChild; section != nil; section = section.NextSibling {
		if section.DataAtom == atom.Caption {
			f.render(section, l)
			continue
		}
		inSection, shown := l.of(section)
		if section.Type != html.ElementNode || !shown {
			continue
		}
		for row := section.FirstChild; row != nil; row = row.NextSibling {
			inRow, shown := inSection.of(row)
			if row.DataAtom != atom.Tr || !shown {
				continue
			}
			cells, allHeadings := rowCells(row, inRow)
			if allHeadings && len(cells) > 2 {
				f.row(headings) // of headings without rows
				headings = cells
				continue
			}
			if len(headings) == len(cells) && len(cells) > 0 {
				for i, cell := range cells {
					if cell != "" {
						f.line(labelled(headings[i], cell))
					}
				}
				continue
			}
			f.row(cells)
		}
	}
}

// rowCells are the texts of a row's cells, and whether all are headings.
func rowCells(row *html.Node, l look) (cells []string, headings bool) {
	headings = true
	for cell := row.FirstChild; cell != nil; cell = cell.NextSibling {
		if cell.DataAtom != atom.Td && cell.DataAtom != atom.Th {
			continue
		}
		inCell, shown := l.of(cell)
		if !shown {
			continue
		}
		var inner flow
		inner.children(cell, inCell)
		text := Normalize(inner.b.String())
		cells = append(cells, text)
		headings = headings && cell.DataAtom == atom.Th && text != ""
	}
	return cells, headings
}

func (f *flow) row(cells []string) {
	var filled []string
	oneLine := true
	for _, cell := range cells {
		if cell != "" {
			filled = append(filled, cell)
			oneLine = oneLine && !strings.Contains(cell, "\n")
		}
	}
	if len(filled) == 3 && (filled[1] == ":" || filled[1] == "-") {
		filled = []string{filled[0], filled[2]}
	}
	switch {
	case len(filled) == 2 && oneLine && utf8.RuneCountInString(filled[0]) <= longestLabel:
		f.line(labelled(filled[0], filled[1]))
	case len(filled) > 2 && oneLine:
		f.line(strings.Join(filled, " | "))
	default:
		for _, cell := range filled {
			f.line(cell)
		}
	}
}

func labelled(label, value string) string {
	return strings.TrimRight(label, " :-") + ": " + strings.TrimLeft(value, " :")
}

func (f *flow) line(s string) {
	f.b.WriteString(s)
	f.newline()
}

const (
	black = "#000000"
	white = "#ffffff"
)

// look is what decides whether text is seen, as far as it is inherited.
type look struct {
	colour, background string // "" is one that can't be told
	tiny, invisible    bool
}

func (l look) seen() bool {
	return !l.tiny && !l.invisible && (l.colour == "" || l.colour != l.background)
}

// of is the look inside an element; shown is false for one that is hidden with
// all that is in it. Style sheets are not read: banks style mail in attributes,
// as mailers drop sheets.
func (l look) of(n *html.Node) (inside look, shown bool) {
	shown = true
	var clipped, flat bool
	for _, a := range n.Attr {
		switch strings.ToLower(a.Key) {
		case "hidden":
			shown = false
		case "bgcolor":
			l.background = colour(a.Val, l.background)
		case "background":
			l.background = ""
		case "color":
			l.colour = colour(a.Val, l.colour)
		case "style":
			for declaration := range strings.SplitSeq(strings.ToLower(a.Val), ";") {
				property, value, _ := strings.Cut(declaration, ":")
				value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "!important"))
				switch strings.TrimSpace(property) {
				case "display":
					shown = shown && value != "none"
				case "mso-hide":
					shown = shown && value != "all"
				case "opacity":
					shown = shown && !zero(value)
				case "visibility":
					l.invisible = value == "hidden" || value == "collapse"
				case "font-size":
					l.tiny = zero(value) || value == "1px" || value == "1pt"
				case "color":
					l.colour = colour(value, l.colour)
				case "background", "background-color":
					l.background = colour(value, l.background)
				case "overflow":
					clipped = value == "hidden"
				case "height", "max-height", "width", "max-width":
					flat = flat || zero(value)
				}
			}
		}
	}
	return l, shown && !(clipped && flat)
}

// zero says whether a CSS length or number is nothing, in whatever unit.
func zero(value string) bool {
	number := strings.TrimRight(value, "abcdefghijklmnopqrstuvwxyz%")
	return number != "" && strings.Trim(number, "0.") == ""
}

// colour is one form of the colours that hide text; "" for a picture, a
// gradient and what else can't be compared. Inherited is that of the element
// around.
func colour(value, inherited string) string {
	value = strings.ToLower(strings.ReplaceAll(value, " ", ""))
	switch value {
	case "inherit", "transparent", "none":
		return inherited
	case "white", "rgb(255,255,255)":
		return white
	case "black", "rgb(0,0,0)":
		return black
	}
	if len(value) == 4 && value[0] == '#' {
		return string([]byte{'#', value[1], value[1], value[2], value[2], value[3], value[3]})
	}
	if len(value) == 7 && value[0] == '#' {
		return value
	}
	return ""
}
