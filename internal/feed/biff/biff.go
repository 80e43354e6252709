// Package biff reads the cells of old Excel workbooks (.xls): BIFF8 of Excel 97 and later and
// BIFF5 of Excel 5 and 95, as a stream of their own or inside an OLE compound file. Sources are
// Microsoft's [MS-XLS] and, for BIFF5, OpenOffice.org's documentation of the Excel file format.
//
// Cells come out as a person sees them in Excel's general format: numbers as exact decimal
// text of at most 15 digits, dates as dates. Formulas give the result that was saved with them.
//
// A hostile file ends in an error. What is held in memory is the workbook's stream (at most
// 32 MiB), its string table (at most a million strings) and one row. The compound file is read
// by mscfb, which trusts sizes and counts in the file: so they are compared with the size of the
// file before, and what mscfb reads of directories and allocation tables is metered.
package biff

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Why a workbook was not read.
var (
	// ErrFormat: the file is no Excel workbook of the old kind.
	ErrFormat = errors.New("not an .xls workbook: download it from the bank again, or as .xlsx or .csv")
	// ErrEncrypted: the workbook is protected by a password.
	ErrEncrypted = errors.New("the workbook is protected by a password: open it in Excel, take the password away and save it")
	// ErrVersion: the workbook is older than Excel 5.
	ErrVersion = errors.New("the workbook is older than Excel 5: open it in Excel and save it as .xlsx")
	// ErrDamaged: the workbook does not follow the format, or is cut short.
	ErrDamaged = errors.New("the workbook is damaged: download it again, or open it in Excel and save it as .xlsx")
	// ErrTooLarge: the workbook is larger than any bank's statement.
	ErrTooLarge = errors.New("the workbook is too large: download a shorter period")
	// ErrNoSheet: the workbook has no visible worksheet.
	ErrNoSheet = errors.New("the workbook has no visible worksheet")
)

const (
	maxStream  = 32 << 20 // bytes; 65,536 rows of eight columns take about a third
	maxStrings = 1 << 20
	maxSheets  = 1000
	maxColumns = 256
	maxCells   = 1 << 22 // of a sheet, empty ones counted
)

// Book is an open workbook. It holds the workbook's stream in memory.
type Book struct {
	Sheets []Sheet // worksheets in the order of their tabs; charts and macros are left out

	stream  []byte
	biff8   bool
	decode  func([]byte) string // of the code page, for BIFF5
	epoch   time.Time           // the day of serial number 0
	strings []string
	formats map[uint16]format
	cellXF  []uint16 // number format of each extended format
}

// Sheet is a worksheet.
type Sheet struct {
	Name   string
	Hidden bool

	book   *Book
	offset int
}

// Cell is one cell; the zero Cell is an empty one.
type Cell struct {
	// Text is what the cell shows: text as it is (with its line breaks), numbers as decimals such
	// as "1234.5", dates as "2026-10-01" or "2026-10-01 16:30:00", TRUE and FALSE, errors such as
	// "#N/A".
	Text string
	// Date is set where a number is formatted as a date: the date and time on the wall, as UTC.
	Date time.Time
	// Number says that the cell holds a number and not text that looks like one.
	Number bool
}

// Open reads what the sheets of a workbook share. The error wraps one of this package's.
func Open(r io.ReaderAt, size int64) (*Book, error) {
	stream, err := workbookStream(r, size)
	if err != nil {
		return nil, err
	}
	b := &Book{stream: stream, formats: map[uint16]format{}, epoch: epoch1900, decode: codePage(1252)}
	if err := b.globals(); err != nil {
		return nil, err
	}
	return b, nil
}

// Rows gives the rows of the first visible worksheet.
func (b *Book) Rows() iter.Seq2[[]Cell, error] {
	for i := range b.Sheets {
		if !b.Sheets[i].Hidden {
			return b.Sheets[i].Rows()
		}
	}
	return func(yield func([]Cell, error) bool) { yield(nil, ErrNoSheet) }
}

// Rows gives the rows of the sheet from the first on, up to the last cell that is not empty;
// rows without cells are there, and empty, so that counting gives Excel's row numbers. Each row
// is a slice of its own. An error ends the iteration.
func (s *Sheet) Rows() iter.Seq2[[]Cell, error] {
	return func(yield func([]Cell, error) bool) {
		p := sheetParser{book: s.book, yield: yield}
		if err := p.read(s.offset); err != nil && !errors.Is(err, errStop) {
			yield(nil, fmt.Errorf("row %d: %w", p.row+1, err))
		}
	}
}
