package camt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	maxDepth        = 64       // the deepest element of camt.053.001.13 is at 20
	maxToken        = 1 << 20  // bytes of one tag or text
	maxTransaction  = 1 << 20  // bytes of one TxDtls, and of any other part
	maxEntry        = 32 << 20 // bytes of one Ntry
	maxTransactions = 50_000   // of one Ntry
	maxBalances     = 100
)

// tokens is an xml.TokenReader that holds a hostile file to the bounds above; encoding/xml
// itself keeps a token and the open elements in memory, however many.
type tokens struct {
	source *meter
	xml    *xml.Decoder
	depth  int
	until  []int64 // offsets by which the open parts must have ended
}

func newTokens(r io.Reader) *tokens {
	source := &meter{r: transform.NewReader(r, unicode.BOMOverride(encoding.Nop.NewDecoder()))}
	t := &tokens{source: source, xml: xml.NewDecoder(source)}
	t.xml.CharsetReader = func(name string, input io.Reader) (io.Reader, error) {
		if strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return input, nil // the byte order mark was obeyed already
		}
		charset, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("%w: unknown encoding", ErrXML)
		}
		return charset.NewDecoder().Reader(input), nil
	}
	return t
}

// Token gives the next token, raw: names and nesting are looked at by the decoder above.
func (t *tokens) Token() (xml.Token, error) {
	t.source.left = maxToken
	token, err := t.xml.RawToken()
	if err != nil {
		return nil, damaged(err)
	}
	switch token.(type) {
	case xml.Directive:
		return nil, ErrDTD
	case xml.StartElement:
		if t.depth++; t.depth > maxDepth {
			return nil, ErrTooLarge
		}
	case xml.EndElement:
		t.depth--
	}
	for _, end := range t.until {
		if t.xml.InputOffset() > end {
			return nil, ErrTooLarge
		}
	}
	return token, nil
}

// within runs read, which must not take more than size bytes of the file.
func (t *tokens) within(size int64, read func() error) error {
	t.until = append(t.until, t.xml.InputOffset()+size)
	defer func() { t.until = t.until[:len(t.until)-1] }()
	return read()
}

func (t *tokens) line() int {
	line, _ := t.xml.InputPos()
	return line
}

// damaged names the faults of the XML itself; others, such as the reader's, stay as they are.
func damaged(err error) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		// The library's text quotes the file, so only the place is told.
		return fmt.Errorf("%w (line %d)", ErrXML, syntax.Line)
	}
	return err
}

// meter lets only so many bytes pass until left is set again.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err := m.r.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}
