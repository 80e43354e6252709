package statement

import (
	"context"
	"iter"
)

// row is a line of a table.
type row struct {
	number int // as a person counts the file's lines or the sheet's rows, from 1
	cells  []string
	broken string // why the row can't be trusted as it was cut into cells; "" usually
}

// rows reads a table from its start, each time it is called. The slice of cells
// is the reader's until the next row. Every format that is a table (text, XLSX,
// HTML, old XLS) is one of these.
type rows func(ctx context.Context) iter.Seq2[row, error]

// Bounds of what is read, so that a hostile file costs neither memory nor time
// without end. All are far above what a bank exports.
const (
	// MaxRows is the most rows of a table: what an Excel sheet can hold.
	MaxRows    = 1 << 20
	maxColumns = 128
	maxCell    = 32 << 10  // bytes; Excel's limit is 32,767 characters
	maxRecord  = 256 << 10 // bytes of one line
	maxUnzip   = 512 << 20 // bytes of an XLSX file's parts together
	maxXMLPart = 16 << 20  // bytes of one part held in memory; larger ones go through a temporary file
	maxXLSX    = 64 << 20  // bytes of the packed file, which is held in memory
	maxSqueeze = 200       // how many times smaller than its content a large part may be packed
)

// limited ends a table that has too many rows or a row too wide to be a bank's.
func limited(table rows) rows {
	return func(ctx context.Context) iter.Seq2[row, error] {
		return func(yield func(row, error) bool) {
			n := 0
			for r, err := range table(ctx) {
				if err == nil {
					err = ctx.Err()
				}
				n++
				switch {
				case err != nil:
				case n > MaxRows:
					err = formatError("it has more than %d rows: export a shorter period", MaxRows)
				case len(r.cells) > maxColumns:
					err = formatError("row %d has more than %d columns: that is no bank's statement", r.number, maxColumns)
				}
				if err != nil {
					yield(row{}, err)
					return
				}
				for _, c := range r.cells {
					if len(c) > maxCell {
						r.broken = "a cell is too long to be a statement's"
						break
					}
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
