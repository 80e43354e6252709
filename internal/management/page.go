package management

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// sheet is the document as the page shows it.
type sheet struct {
	Style    template.CSS
	Title    string
	About    []string
	Sections []section
	Schemas  []schema
	Problems []kindRow
}

type section struct {
	Name, About string
	Operations  []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Scope                     string // that a key needs
	About                     []string
	Parameters                []field
	Body                      []field
	Answers                   []field
	Problems                  []string // statuses of those
}

// field is a parameter, a property or an answer: a row of a table.
type field struct {
	Name, In string
	Type     typeText
	Required bool
	About    string
}

// typeText is a type in words, and the schema that it names.
type typeText struct{ Text, Link string }

type schema struct {
	Name, About string
	Fields      []field
}

type kindRow struct {
	Name, Title string
	Status      int
}

// What the page reads of the document.
type (
	openDocument struct {
		Info       struct{ Title, Description string }
		Tags       []struct{ Name, Description string }
		Paths      map[string]map[string]openOperation
		Webhooks   map[string]map[string]openOperation
		Components struct{ Schemas map[string]openSchema }
	}
	openOperation struct {
		OperationID string `json:"operationId"`
		Summary     string
		Description string
		Tags        []string
		Security    []map[string][]string
		Parameters  []struct {
			Name, In, Description string
			Required              bool
			Schema                openSchema
		}
		RequestBody struct{ Content map[string]openMedia } `json:"requestBody"`
		Responses   map[string]struct {
			Description string
			Content     map[string]openMedia
		}
	}
	openMedia  struct{ Schema openSchema }
	openSchema struct {
		Ref         string `json:"$ref"`
		Type        any
		Description string
		Format      string
		Enum        []any
		Items       *openSchema
		Properties  map[string]openSchema
		Required    []string
		OneOf       []openSchema `json:"oneOf"`
		AllOf       []openSchema `json:"allOf"`
	}
)

func (s openSchema) text() typeText {
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return typeText{name, name}
	}
	var alternatives []string
	for _, other := range slices.Concat(s.OneOf, s.AllOf) {
		alternatives = append(alternatives, other.text().Text)
	}
	if len(alternatives) > 0 {
		return typeText{Text: strings.Join(alternatives, ", ")}
	}
	var kind string
	switch t := s.Type.(type) {
	case string:
		kind = t
	case []any:
		kind = strings.Trim(fmt.Sprint(t), "[]")
	}
	switch {
	case s.Items != nil:
		of := s.Items.text()
		return typeText{"list of " + of.Text, of.Link}
	case len(s.Enum) > 0:
		return typeText{Text: strings.ReplaceAll(strings.Trim(fmt.Sprint(s.Enum), "[]"), " ", " | ")}
	case s.Format == "date-time":
		return typeText{Text: "time"}
	default:
		return typeText{Text: kind}
	}
}

func (op *openOperation) scope() string {
	for _, way := range op.Security {
		if scopes := way[securityScheme]; len(scopes) > 0 {
			return strings.Join(scopes, " ")
		}
	}
	return ""
}

func (s openSchema) fields() []field {
	var out []field
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		out = append(out, field{Name: name, Type: p.text(), Required: slices.Contains(s.Required, name), About: p.Description})
	}
	return out
}

// readable makes the page of a document: plain HTML, which needs no script.
func readable(document []byte) ([]byte, error) {
	var doc openDocument
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	page := sheet{Style: template.CSS(pageStyle), Title: doc.Info.Title, About: paragraphs(doc.Info.Description)} //nolint:gosec // our own
	for _, tag := range doc.Tags {
		s := section{Name: tag.Name, About: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			s.add(path, tag.Name, doc.Paths[path])
		}
		for _, name := range slices.Sorted(maps.Keys(doc.Webhooks)) {
			s.add("postback: "+name, tag.Name, doc.Webhooks[name])
		}
		page.Sections = append(page.Sections, s)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		s := doc.Components.Schemas[name]
		page.Schemas = append(page.Schemas, schema{name, s.Description, s.fields()})
	}
	for _, k := range kinds {
		page.Problems = append(page.Problems, kindRow{k.name, k.title, k.status})
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("read the page's template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, page); err != nil {
		return nil, fmt.Errorf("make the page: %w", err)
	}
	return out.Bytes(), nil
}

func (s *section) add(path, tag string, item map[string]openOperation) {
	for _, method := range []string{"get", "post", "put", "delete"} {
		op, ok := item[method]
		if !ok || !slices.Contains(op.Tags, tag) {
			continue
		}
		o := operation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary, Scope: op.scope()}
		// The scope has a place of its own.
		o.About = slices.DeleteFunc(paragraphs(op.Description), func(p string) bool { return p == "Scope: "+o.Scope })
		for _, p := range op.Parameters {
			o.Parameters = append(o.Parameters, field{Name: p.Name, In: p.In, Type: p.Schema.text(), Required: p.Required, About: p.Description})
		}
		for _, kind := range slices.Sorted(maps.Keys(op.RequestBody.Content)) {
			media := op.RequestBody.Content[kind]
			o.Body = append(o.Body, field{Name: kind, Type: media.Schema.text(), Required: true, About: media.Schema.Description})
			o.Body = append(o.Body, media.Schema.fields()...)
		}
		for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
			answer := field{Name: status, About: op.Responses[status].Description}
			if content := op.Responses[status].Content; len(content) > 0 {
				answer.Type = content[slices.Sorted(maps.Keys(content))[0]].Schema.text()
			}
			if answer.Type.Link == "Problem" {
				o.Problems = append(o.Problems, status)
				continue
			}
			o.Answers = append(o.Answers, answer)
		}
		s.Operations = append(s.Operations, o)
	}
}

func paragraphs(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}

// serveSheet answers with the page, which may load and run nothing.
func serveSheet(w http.ResponseWriter, page []byte) {
	sum := sha256.Sum256([]byte(pageStyle))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(page) // a client that went away misses nothing
}
