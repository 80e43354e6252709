package mt940

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	utf "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxField bounds a field, and with it a line of the file. SWIFT's longest field is six lines
// of 65 characters; banks that do not wrap write some hundreds.
const maxField = 64 << 10

// field is one tagged field with its continuation lines.
type field struct {
	tag    string // "61", or endOfMessage
	number int    // its line in the file, from 1
	lines  []string
}

// text is the field in one line.
func (f field) text() string {
	return strings.TrimSpace(strings.Join(f.lines, " "))
}

// endOfMessage stands for the line "-" that ends a message, and for an envelope.
const endOfMessage = "-"

var (
	// NS is the German cooperative banks' "non SWIFT" field; 940 is a preamble of Rabobank's.
	tagPattern = regexp.MustCompile(`^:(NS|[0-9]{2}[A-Z]?|940):`)
	// A block of SWIFT's envelope: a brace alone may begin a line of a payer's text.
	envelopePattern = regexp.MustCompile(`^\{[1-5]:`)
	// ING ends messages with "-XXX".
	endPattern = regexp.MustCompile(`^-(XXX|\}.*)?$`)
)

// fields splits the file. What stands outside of any field, such as an envelope or a bank's own
// preamble, is left out.
func fields(r io.Reader) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		// A byte order mark says UTF-16 or UTF-8; without one the bytes are taken as they are.
		lines := bufio.NewScanner(transform.NewReader(r, utf.BOMOverride(encoding.Nop.NewDecoder())))
		lines.Buffer(nil, maxField)
		lines.Split(splitLines)

		var open *field
		size := 0
		// flush hands on the field that was open.
		flush := func() bool {
			f := open
			open, size = nil, 0
			return f == nil || yield(*f, nil)
		}
		for number := 1; lines.Scan(); number++ {
			line := decode(lines.Bytes())
			if envelopePattern.MatchString(line) {
				if !flush() || !yield(field{tag: endOfMessage, number: number}, nil) {
					return
				}
				_, line, _ = strings.Cut(line, "{4:")
			}
			if endPattern.MatchString(line) {
				if !flush() || !yield(field{tag: endOfMessage, number: number}, nil) {
					return
				}
				_, line, _ = strings.Cut(line, "{4:") // the next message may begin on the same line
			}
			if tag := tagPattern.FindStringSubmatch(line); tag != nil {
				if !flush() {
					return
				}
				open = &field{tag: tag[1], number: number}
				line = line[len(tag[0]):]
			}
			if open == nil {
				continue
			}
			if size += len(line) + 1; size > maxField {
				yield(field{}, ErrTooLong)
				return
			}
			open.lines = append(open.lines, line)
		}
		if err := lines.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = ErrTooLong
			}
			yield(field{}, err)
			return
		}
		flush()
	}
}

// splitLines is a bufio.SplitFunc for lines that end with LF, CRLF, CRCRLF (as some transfers
// make of CRLF) or a lone CR.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	end := bytes.IndexAny(data, "\r\n")
	if end < 0 {
		if !atEOF || len(data) == 0 {
			return 0, nil, nil
		}
		return len(data), data, nil
	}
	next := end
	for next < len(data) && data[next] == '\r' {
		next++
	}
	if next == len(data) && !atEOF {
		return 0, nil, nil // whether LF follows is not known yet
	}
	if next < len(data) && data[next] == '\n' {
		return next + 1, data[:end], nil
	}
	return end + 1, data[:end], nil
}

// decode makes the line's text valid UTF-8 without control characters, which no database takes.
func decode(line []byte) string {
	if !utf8.Valid(line) {
		if latin, err := charmap.Windows1252.NewDecoder().Bytes(line); err == nil {
			line = latin
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, string(line))
}
