package statement

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/milaan/milaan/internal/feed/biff"
)

// xlsSheets are the sheets of a binary workbook that a person sees.
func xlsSheets(book *biff.Book) []sheet {
	var sheets []sheet
	for i := range book.Sheets {
		if !book.Sheets[i].Hidden {
			sheets = append(sheets, sheet{book.Sheets[i].Name, xlsSheet(&book.Sheets[i])})
		}
	}
	return sheets
}

func xlsError(err error) error {
	if errors.Is(err, biff.ErrEncrypted) {
		return fmt.Errorf("%w: %w", ErrEncrypted, err)
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// xlsSheet reads a sheet as the text its cells show; dates come as ISO dates.
func xlsSheet(sheet *biff.Sheet) rows {
	return func(context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			number := 0
			for cells, err := range sheet.Rows() {
				if err != nil {
					yield(row{}, xlsError(err))
					return
				}
				number++
				r := row{number: number, cells: make([]string, len(cells))}
				for i := range cells {
					r.cells[i] = strings.TrimSpace(cells[i].Text)
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
