package statement

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decoded is the file as UTF-8. A byte order mark decides; without one a file
// that is not valid UTF-8 as a whole is Windows-1252, the only other encoding
// that banks' sites write.
func decoded(src *io.SectionReader) func() io.Reader {
	start := func() io.Reader {
		return io.NewSectionReader(src, 0, src.Size())
	}
	mark := make([]byte, 4)
	n, _ := src.ReadAt(mark, 0)
	mark = mark[:n]
	switch {
	case strings.HasPrefix(string(mark), "\xff\xfe"), strings.HasPrefix(string(mark), "\xfe\xff"):
		return func() io.Reader {
			return transform.NewReader(start(), unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder())
		}
	case n == 4 && mark[0] != 0 && mark[1] == 0 && mark[2] != 0 && mark[3] == 0:
		return func() io.Reader {
			return transform.NewReader(start(), unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder())
		}
	case strings.HasPrefix(string(mark), "\xef\xbb\xbf"):
		return func() io.Reader { return io.NewSectionReader(src, 3, src.Size()-3) }
	case !validUTF8(start()):
		return func() io.Reader { return charmap.Windows1252.NewDecoder().Reader(start()) }
	}
	return start
}

func validUTF8(r io.Reader) bool {
	buf := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		b := buf[:kept+n]
		for len(b) > 0 {
			// A character may be cut by the end of the buffer, not by the end of the file.
			if !utf8.FullRune(b) && err == nil {
				break
			}
			c, size := utf8.DecodeRune(b)
			if c == utf8.RuneError && size <= 1 {
				return false
			}
			b = b[size:]
		}
		if err != nil {
			return true
		}
		kept = copy(buf, b)
	}
}

// delimited is a text table with a separator between its cells. Each line is
// read by itself, so that a quote which is never closed spoils one row and not
// all that follow; only a cell whose quotes are still open at the end of its
// line goes on with the next, unless that is plainly a row of its own.
func delimited(open func() io.Reader, comma rune) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			lines := lineReader(open())
			record := bufio.NewReader(nil)
			cells := func(text string) ([]string, error) {
				record.Reset(strings.NewReader(text))
				r := csv.NewReader(record)
				r.Comma = comma
				r.LazyQuotes = true
				r.FieldsPerRecord = -1
				r.TrimLeadingSpace = comma != '\t' // else an empty cell would swallow the next separator
				return r.Read()
			}
			give := func(number int, text string) bool {
				c, err := cells(text)
				if errors.Is(err, io.EOF) { // an empty line
					return true
				}
				if err != nil {
					return yield(row{number: number, cells: []string{text}, broken: "the line can't be cut into cells"}, nil)
				}
				return yield(row{number: number, cells: c}, nil)
			}
			number := 0
			var unclosed []string // lines of a quoted cell that has not ended
			flush := func() bool {
				for i, text := range unclosed {
					if !give(number-len(unclosed)+i, text) {
						return false
					}
				}
				unclosed = nil
				return true
			}
			for lines.Scan() {
				number++
				text := strings.TrimRight(lines.Text(), "\r")
				odd := strings.Count(text, `"`)%2 == 1
				switch {
				case len(unclosed) == 0 && !odd:
					if !give(number, text) {
						return
					}
				case len(unclosed) == 0:
					unclosed = []string{text}
				case startsRow(text, comma) || len(unclosed) > maxContinued:
					if !flush() {
						return
					}
					if odd {
						unclosed = []string{text}
					} else if !give(number, text) {
						return
					}
				case odd:
					first := number - len(unclosed)
					whole := strings.Join(append(unclosed, text), "\n")
					unclosed = nil
					if !give(first, whole) {
						return
					}
				default:
					unclosed = append(unclosed, text)
				}
			}
			number++
			if flush() && lines.Err() != nil {
				yield(row{}, tooLong(lines.Err()))
			}
		}
	}
}

// startsRow reports whether a line begins as a row of the table does: with a
// date, or a serial number and a date.
func startsRow(line string, comma rune) bool {
	for range 3 {
		field, rest, more := strings.Cut(line, string(comma))
		if dateShape(strings.Trim(field, `" `)) {
			return true
		}
		if !more {
			return false
		}
		line = rest
	}
	return false
}

func lineReader(in io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxRecord)
	return lines
}

func tooLong(err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		return formatError("a line is longer than %d kB: that is no bank's statement", maxRecord>>10)
	}
	return err
}

// plainLines is text that is cut by position, not by a separator.
func plainLines(open func() io.Reader, cut func(string) []string) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			lines := lineReader(open())
			number := 0
			for lines.Scan() {
				number++
				text := strings.TrimRight(lines.Text(), " \r\f")
				if text == "" {
					continue
				}
				if !yield(row{number: number, cells: cut(text)}, nil) {
					return
				}
			}
			if err := lines.Err(); err != nil {
				yield(row{}, tooLong(err))
			}
		}
	}
}
