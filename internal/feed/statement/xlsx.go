package statement

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/xuri/excelize/v2"
)

// workbook is an XLSX file of which one sheet is the statement.
type workbook struct {
	file *excelize.File
	epoch
}

// openWorkbook opens an XLSX file within bounds. Cells come raw: a date as its
// serial number, since the text Excel shows of it depends on the reader's
// country, and an amount as its digits.
func openWorkbook(src *io.SectionReader) (*workbook, error) {
	parts, err := unzipped(src)
	if err != nil {
		return nil, err
	}
	if src.Size() > maxXLSX {
		return nil, formatError("the workbook is larger than %d MB: export a shorter period", maxXLSX>>20)
	}
	var total uint64
	for _, part := range parts.File {
		total += part.UncompressedSize64
		bomb := part.UncompressedSize64 > maxXMLPart && part.UncompressedSize64/maxSqueeze > part.CompressedSize64
		if total > maxUnzip || bomb {
			return nil, formatError("the workbook unpacks to more than a statement holds: export it again from the bank's site")
		}
	}
	file, err := excelize.OpenReader(io.NewSectionReader(src, 0, src.Size()), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: maxUnzip, UnzipXMLSizeLimit: maxXMLPart,
	})
	switch {
	case errors.Is(err, excelize.ErrWorkbookFileFormat):
		return nil, formatError("it is a zip, but no workbook: unpack it and give the statement in it")
	case err != nil:
		return nil, fmt.Errorf("%w: the workbook can't be opened (%w): export it again from the bank's site", ErrFormat, err)
	}
	w := &workbook{file: file, epoch: epoch1900}
	if props, err := file.GetWorkbookProps(); err == nil && props.Date1904 != nil && *props.Date1904 {
		w.epoch = epoch1904
	}
	return w, nil
}

func (w *workbook) sheets() []sheet {
	var sheets []sheet
	for _, name := range w.file.GetSheetList() {
		sheets = append(sheets, sheet{name, recorded(w.sheet(name))})
	}
	return sheets
}

func (w *workbook) sheet(name string) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			broken := func(err error) {
				yield(row{}, fmt.Errorf("%w: sheet %q can't be read (%w): export it again from the bank's site", ErrFormat, name, err))
			}
			r, err := w.file.Rows(name)
			if err != nil {
				broken(err)
				return
			}
			defer r.Close() //nolint:errcheck // it was only read
			number := 0
			for r.Next() {
				number++
				cells, err := r.Columns()
				if err != nil {
					broken(err)
					return
				}
				for i, c := range cells {
					cells[i] = strings.TrimSpace(c)
				}
				if !yield(row{number: number, cells: cells}, nil) {
					return
				}
			}
			if err := r.Error(); err != nil {
				broken(err)
			}
		}
	}
}
