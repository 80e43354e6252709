package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/xuri/excelize/v2"
)

// Format is what a table is written as.
type Format string

// Formats of tables.
const (
	CSV  Format = "csv"
	XLSX Format = "xlsx"
)

// Media is the type of a file in a format, empty where there is no such format.
func (f Format) Media() string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8"
	case XLSX:
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	default:
		return ""
	}
}

// Table writes rows of texts as they come; it keeps none of them in memory.
type Table struct {
	out   io.Writer
	lines *csv.Writer
	book  *excelize.File
	sheet *excelize.StreamWriter
	heads []any
	rows  int // of the sheet
	count int // of sheets
}

// sheetRows is how many rows a sheet has at most, the heads among them
// ("Excel specifications and limits").
const sheetRows = 1 << 20

// NewTable begins a table with its heads.
func NewTable(out io.Writer, format Format, heads ...string) (*Table, error) {
	t := &Table{out: out, heads: make([]any, len(heads))}
	for i, head := range heads {
		t.heads[i] = head
	}
	if format == CSV {
		t.lines = csv.NewWriter(out)
		return t, t.lines.Write(heads)
	}
	t.book = excelize.NewFile()
	return t, t.nextSheet()
}

func (t *Table) nextSheet() (err error) {
	t.count++
	name := fmt.Sprintf("Sheet%d", t.count) // a new workbook has the first
	if t.count > 1 {
		if err := t.sheet.Flush(); err != nil {
			return err
		}
		if _, err := t.book.NewSheet(name); err != nil {
			return err
		}
	}
	if t.sheet, err = t.book.NewStreamWriter(name); err != nil {
		return err
	}
	t.rows = 1
	return t.sheet.SetRow("A1", t.heads)
}

// Row writes a row. A text that a spreadsheet would take for a formula is disarmed.
func (t *Table) Row(cells ...string) error {
	if t.lines != nil {
		safe := make([]string, len(cells))
		for i, text := range cells {
			safe[i] = disarmed(text)
		}
		return t.lines.Write(safe)
	}
	if t.rows == sheetRows {
		if err := t.nextSheet(); err != nil {
			return err
		}
	}
	t.rows++
	texts := make([]any, len(cells))
	for i, text := range cells {
		texts[i] = text // a text is no formula
	}
	return t.sheet.SetRow(fmt.Sprintf("A%d", t.rows), texts)
}

// Flush hands on what was written, as far as the format can before its end.
func (t *Table) Flush() error {
	if t.lines == nil {
		return nil
	}
	t.lines.Flush()
	return t.lines.Error()
}

// Close ends the table. Without it a file is not whole.
func (t *Table) Close() error {
	if t.lines != nil {
		return t.Flush()
	}
	if err := t.sheet.Flush(); err != nil {
		return err
	}
	if _, err := t.book.WriteTo(t.out); err != nil {
		return err
	}
	return t.book.Close()
}

// Drop gives up a table that will not be whole, and what it keeps on disk.
func (t *Table) Drop() {
	if t.book != nil {
		_ = t.book.Close() // its temporary files go with it
	}
}

// disarmed is a text that no spreadsheet takes for a formula (OWASP, "CSV
// Injection"). An amount below zero is one, and no formula.
func disarmed(text string) string {
	if text == "" || !strings.ContainsRune("=+-@\t\r\n", rune(text[0])) || amount(text) {
		return text
	}
	return "'" + text
}

// amount reports whether a text is a decimal below zero as milaan writes one.
func amount(text string) bool {
	whole, digits, ok := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	number := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return ok && text[0] == '-' && number(whole) && len(digits) == 2 && number(digits)
}
