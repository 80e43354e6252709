package statement

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// htmlTable reads the rows of all tables of a page, as the sites of some banks
// name .xls. It follows the tokens only and builds no tree, so depth costs
// nothing; an inner table's cells count as the outer row's end.
func htmlTable(open func() io.Reader) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			z := html.NewTokenizer(bufio.NewReaderSize(open(), 64<<10))
			z.SetMaxBuf(maxRecord)
			var t tableText
			for {
				switch z.Next() {
				case html.ErrorToken:
					err := z.Err()
					if done, ok := t.end(); ok && !yield(done, nil) {
						return
					}
					switch {
					case errors.Is(err, io.EOF):
					case errors.Is(err, html.ErrBufferExceeded):
						yield(row{}, formatError("a cell is longer than %d kB: that is no bank's statement", maxRecord>>10))
					default:
						yield(row{}, err)
					}
					return
				case html.TextToken:
					t.text(z.Text())
				case html.StartTagToken, html.SelfClosingTagToken:
					name, attrs := z.TagName()
					switch tag := string(name); tag {
					case "tr", "table":
						done, ok := t.end()
						if ok && !yield(done, nil) {
							return
						}
						if tag == "tr" {
							t.row++
							t.open = true
						}
					case "td", "th":
						if !t.open { // HTML lets the row's tag be left out
							t.row++
							t.open = true
						}
						if t.start(colspan(z, attrs)); len(t.cells) > maxColumns {
							yield(row{}, formatError("row %d has more than %d columns: that is no bank's statement", t.row, maxColumns))
							return
						}
					case "br", "p", "div":
						t.text([]byte(" "))
					case "script", "style":
						t.skip = true
					}
				case html.EndTagToken:
					name, _ := z.TagName()
					switch string(name) {
					case "tr", "table":
						if done, ok := t.end(); ok && !yield(done, nil) {
							return
						}
					case "td", "th":
						t.closeCell()
					case "script", "style":
						t.skip = false
					}
				case html.CommentToken, html.DoctypeToken:
				}
			}
		}
	}
}

// tableText gathers the row that is being read.
type tableText struct {
	row   int
	open  bool
	skip  bool
	cell  *strings.Builder
	span  int
	cells []string
}

func (t *tableText) text(b []byte) {
	if t.cell != nil && !t.skip && t.cell.Len() <= maxCell {
		t.cell.WriteString(html.UnescapeString(string(b)))
	}
}

func (t *tableText) start(span int) {
	t.closeCell()
	t.cell, t.span = new(strings.Builder), span
}

func (t *tableText) closeCell() {
	if t.cell == nil {
		return
	}
	text := t.cell.String()
	if len(text) <= maxCell {
		text = strings.Join(strings.Fields(text), " ")
	}
	t.cells = append(t.cells, text)
	for i := 1; i < t.span && len(t.cells) <= maxColumns; i++ {
		t.cells = append(t.cells, "")
	}
	t.cell = nil
}

func (t *tableText) end() (row, bool) {
	t.closeCell()
	done := row{number: t.row, cells: t.cells}
	ok := t.open && len(t.cells) > 0
	t.cells, t.open = nil, false
	return done, ok
}

func colspan(z *html.Tokenizer, more bool) int {
	span := 1
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) != "colspan" {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(value))); err == nil && n > 1 {
			span = min(n, maxColumns)
		}
	}
	return span
}
