package statement

import (
	"context"
	"io"
	"strings"
	"unicode/utf8"
)

// positionWindow is how many lines of a table without separators are looked at
// to find where its columns stand.
const positionWindow = 200

// positioned reads a text whose columns stand at fixed places. They are parted
// where no line of the table, headings and rows alike, has anything; a part
// under no heading of its own belongs to the one before it.
func positioned(ctx context.Context, open func() io.Reader) (layout, bool, error) {
	whole := limited(plainLines(open, func(line string) []string { return []string{line} }))
	var heading []rune
	var lines [][]rune
	n := 0
	for r, err := range whole(ctx) {
		if err != nil {
			return layout{}, false, err
		}
		text := []rune(r.cells[0])
		if n++; heading == nil {
			if _, ok := findColumns(phrases(r.cells[0])); ok {
				heading = text
			} else if n > headerWithin {
				return layout{}, false, nil
			}
			continue
		}
		if first, _, ok := strings.Cut(strings.TrimSpace(r.cells[0]), "  "); ok || first != "" {
			if fields := strings.Fields(first); len(fields) > 0 && (dateShape(fields[0]) || dateShape(first)) {
				lines = append(lines, text)
			}
		}
		if len(lines) >= positionWindow {
			break
		}
	}
	if heading == nil || len(lines) == 0 {
		return layout{}, false, nil
	}
	starts := columnStarts(heading, lines)
	return findLayout(ctx, limited(plainLines(open, func(line string) []string { return cutAt(line, starts) })))
}

// phrases are the parts of a line that two spaces or more stand between.
func phrases(line string) []string {
	var out []string
	for p := range strings.SplitSeq(line, "  ") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// columnStarts are the places where a column begins after a gap that all lines
// share, one for each heading.
func columnStarts(heading []rune, lines [][]rune) []int {
	width := len(heading)
	for _, l := range lines {
		width = max(width, len(l))
	}
	used := make([]bool, width+1)
	mark := func(line []rune) {
		for i, r := range line {
			used[i] = used[i] || r != ' '
		}
	}
	mark(heading)
	for i := 1; i+1 < len(heading); i++ { // the words of one heading
		used[i] = used[i] || heading[i-1] != ' ' && heading[i+1] != ' '
	}
	for _, l := range lines {
		mark(l)
	}
	var starts []int
	for i := range width {
		if !used[i] || i > 0 && used[i-1] {
			continue
		}
		end := i
		for end < width && used[end] {
			end++
		}
		headed := false
		for j := i; j < end && j < len(heading); j++ {
			headed = headed || heading[j] != ' '
		}
		if headed || len(starts) == 0 {
			starts = append(starts, i)
		}
	}
	return starts
}

func cutAt(line string, starts []int) []string {
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "?")
	}
	runes := []rune(line)
	cells := make([]string, 0, len(starts))
	for i, from := range starts {
		until := len(runes)
		if i+1 < len(starts) {
			until = min(until, starts[i+1])
		}
		if i == 0 {
			from = 0
		}
		if from >= until {
			cells = append(cells, "")
			continue
		}
		cells = append(cells, strings.TrimSpace(string(runes[from:until])))
	}
	return cells
}
