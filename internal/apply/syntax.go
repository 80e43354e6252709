package apply

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep brackets and dashes may nest; the format needs five. It
// keeps a hostile file from exhausting the stack of the YAML parser.
const maxDepth = 32

// node is a piece of YAML with its place. Scalars are kept as the text that was
// written: YAML's own ideas of numbers would turn the token 007 into 7 and an
// amount into a float.
type node struct {
	line    int
	kind    kind
	text    string   // of a scalar
	items   []*node  // of a list
	entries []*entry // of a mapping
}

type entry struct {
	line  int
	key   string
	value *node
}

type kind int

const (
	scalar kind = iota
	null
	sequence
	mapping
)

// read turns the text into its tree. It reports what is not YAML, and what is
// but has no place here.
func (d *document) read(data []byte) value {
	whole := value{doc: d, node: &node{line: 1, kind: null}}
	if len(data) > MaxSize {
		whole.wrong("the file is larger than %d bytes: split it by sections", MaxSize)
		return whole
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at := invalidUTF8(data); at >= 0 {
		d.wrong(1+bytes.Count(data[:at], []byte("\n")), "not UTF-8 text: save the file as UTF-8")
		return whole
	}
	tokens := lexer.Tokenize(string(data))
	d.checkTokens(tokens)
	if len(d.errs) > 0 {
		return whole
	}
	// Repeated keys are ours to find: the parser would stop at the first.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, message := syntaxError(err)
		d.wrong(line, "%s", message)
		return whole
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body == nil:
			body = doc.Body
		default:
			line := doc.Body.GetToken().Position.Line
			if doc.Start != nil {
				line = doc.Start.Position.Line
			}
			d.wrong(line, "a second document begins here: put everything into one, without ---")
			return whole
		}
	}
	if body != nil {
		whole.node = d.convert(body)
	}
	if whole.kind == null || whole.kind == mapping && len(whole.entries) == 0 {
		whole.wrong("the file declares nothing: begin with a section such as merchants: or wallets:")
	}
	return whole
}

// syntaxError is the line and text of an error of the parser. Its own text
// would quote the lines around, and with them secrets.
func syntaxError(err error) (int, string) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return 1, "not valid YAML: check its indentation, quotes and brackets"
	}
	return syntax.GetToken().Position.Line, "not valid YAML, " + syntax.GetMessage() + ": check indentation, quotes and brackets here"
}

// checkTokens refuses what nests too deep, and what makes YAML more than data.
// Without aliases there is nothing to expand, and a file reads as it is written.
func (d *document) checkTokens(tokens token.Tokens) {
	brackets, line, dashes := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			d.wrong(line, "anchors, aliases and merge keys (& * <<) are not read here: write the value out, or in quotes if it begins with such a sign")
		case token.TagType:
			d.wrong(line, "tags (!) are not read here: write the plain value, or in quotes if it begins with such a sign")
		case token.DirectiveType:
			d.wrong(line, "directives (%%) are not read here: remove the line, or put the value in quotes if it begins with such a sign")
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			dashes++
		default:
		}
		if brackets > maxDepth || dashes > maxDepth {
			d.wrong(line, "nested too deep: the format needs five levels")
			return
		}
	}
}

// convert keeps what a declaration needs of the parser's tree.
func (d *document) convert(n ast.Node) *node {
	out := &node{line: n.GetToken().Position.Line}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = mapping
		for _, v := range n.Values {
			d.addEntry(out, v)
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		d.addEntry(out, n)
	case *ast.SequenceNode:
		out.kind = sequence
		for _, v := range n.Values {
			out.items = append(out.items, d.convert(v))
		}
	case *ast.NullNode:
		out.kind = null
	case *ast.LiteralNode: // | and >
		out.text = n.Value.Value
	case *ast.StringNode:
		out.text = n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.text = n.GetToken().Value
	default:
		d.wrong(out.line, "this kind of YAML is not read here: write plain keys and values")
		out.kind = null
	}
	if out.kind == mapping && len(out.entries) > 0 {
		out.line = out.entries[0].line
	}
	return out
}

func (d *document) addEntry(out *node, v *ast.MappingValueNode) {
	e := &entry{line: v.Key.GetToken().Position.Line}
	switch key := v.Key.(type) {
	case *ast.StringNode:
		e.key = key.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		e.key = key.GetToken().Value
	default:
		d.wrong(e.line, "a key must be plain text: write it as name: value")
		return
	}
	e.value = d.convert(v.Value)
	if e.value.kind != mapping && e.value.kind != sequence {
		e.value.line = max(e.value.line, e.line)
	}
	out.entries = append(out.entries, e)
}

// invalidUTF8 is where the text stops being UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return -1
}
