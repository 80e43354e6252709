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

// lineFeed hands a CSV reader one line at each Read, so that it never holds
// more than the record it is at, and ends what grows beyond all measure: a
// quote that is never closed, or a file without line ends.
type lineFeed struct {
	in     *bufio.Reader
	rest   []byte
	record int // bytes since the record's start
}

var errRecordTooLong = errors.New("record too long")

func (f *lineFeed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		line, err := f.in.ReadSlice('\n')
		if len(line) == 0 && err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, err
		}
		f.rest = line
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	if f.record += n; f.record > maxRecord {
		return 0, errRecordTooLong
	}
	return n, nil
}

// delimited is a text table with a separator between its cells.
func delimited(open func() io.Reader, comma rune) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			feed := &lineFeed{in: bufio.NewReaderSize(open(), 64<<10)}
			r := csv.NewReader(feed)
			r.Comma = comma
			r.LazyQuotes = true
			r.FieldsPerRecord = -1
			r.ReuseRecord = true
			r.TrimLeadingSpace = comma != '\t' // else an empty cell would swallow the next separator
			for {
				feed.record = 0
				cells, err := r.Read()
				if errors.Is(err, io.EOF) {
					return
				}
				if errors.Is(err, errRecordTooLong) {
					err = formatError("a line is longer than %d kB: that is no bank's statement, or a quote is never closed", maxRecord>>10)
				}
				if err != nil {
					yield(row{}, err)
					return
				}
				line, _ := r.FieldPos(0)
				out := row{number: line, cells: cells}
				for _, c := range cells {
					if inner := swallowed(c); inner {
						out.broken = "a quote is not closed: the lines after it became part of it"
					}
				}
				if !yield(out, nil) {
					return
				}
			}
		}
	}
}

// swallowed reports whether a quoted cell holds what looks like further rows.
func swallowed(cell string) bool {
	_, rest, found := strings.Cut(cell, "\n")
	for found {
		var line string
		line, rest, found = strings.Cut(rest, "\n")
		for _, field := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' || r == '|' }) {
			if dateShape(strings.Trim(field, `" `)) {
				return true
			}
		}
	}
	return false
}

// plainLines is text that is cut by position, not by a separator.
func plainLines(open func() io.Reader, cut func(string) []string) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			lines := bufio.NewScanner(open())
			lines.Buffer(make([]byte, 64<<10), maxRecord)
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
				yield(row{}, formatError("a line is longer than %d kB: that is no bank's statement", maxRecord>>10))
			}
		}
	}
}
