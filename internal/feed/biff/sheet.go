package biff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// errStop says that the reader of the rows has had enough.
var errStop = errors.New("stop")

// sheetParser puts a sheet's cell records together to rows.
type sheetParser struct {
	book  *Book
	yield func([]Cell, error) bool
	row   int // the row that is being put together, from 0
	cells []Cell
	total int
	// formula is where the text of the last formula belongs, which follows in a STRING record;
	// negative when none is awaited.
	formula int
}

func (p *sheetParser) read(offset int) error {
	r := &records{stream: p.book.stream, at: offset}
	if err := r.next(); err != nil {
		return err
	}
	if err := r.need(4); err != nil || r.kind != recBOF || r.uint16(2) != typeSheet {
		return fmt.Errorf("%w: a worksheet is not where it should be", ErrDamaged)
	}
	p.formula = -1
	depth := 1 // charts within the sheet are sheets of their own
	for {
		if err := r.next(); err != nil {
			return err
		}
		switch r.kind {
		case recBOF:
			depth++
			continue
		case recEOF:
			if depth--; depth == 0 {
				return p.flush()
			}
			continue
		}
		if depth > 1 {
			continue
		}
		if err := p.record(r); err != nil {
			return err
		}
	}
}

func (p *sheetParser) record(r *records) error {
	switch r.kind {
	case recString:
		if p.formula < 0 {
			return nil
		}
		text, err := p.book.text(r)
		if err != nil {
			return err
		}
		p.cells[p.formula] = Cell{Text: text}
		p.formula = -1
		return nil
	case recFilePass:
		return ErrEncrypted
	case recLabelSST, recLabel, recRString, recNumber, recRK, recMulRK, recFormula, recBoolErr:
	default:
		return nil
	}

	p.formula = -1
	if err := r.need(6); err != nil {
		return err
	}
	row, column := int(r.uint16(0)), int(r.uint16(2))
	if row != p.row {
		if err := p.advance(row); err != nil {
			return err
		}
	}
	if r.kind == recMulRK {
		return p.numbers(r, column)
	}
	cell, err := p.cell(r, column)
	if err != nil {
		return err
	}
	return p.set(column, cell)
}

// cell reads a record of a single cell. Behind row and column stands the extended format.
func (p *sheetParser) cell(r *records, column int) (Cell, error) {
	kind, xf := r.kind, r.uint16(4)
	r.body = r.body[6:]
	switch kind {
	case recLabelSST:
		if err := r.need(4); err != nil {
			return Cell{}, err
		}
		index := r.uint32(0)
		if uint64(index) >= uint64(len(p.book.strings)) {
			return Cell{}, fmt.Errorf("%w: a cell's text is missing", ErrDamaged)
		}
		return Cell{Text: p.book.strings[index]}, nil
	case recLabel, recRString:
		text, err := p.book.text(r)
		return Cell{Text: text}, err
	case recRK:
		if err := r.need(4); err != nil {
			return Cell{}, err
		}
		return p.book.number(rkDecimal(r.uint32(0)), xf), nil
	}
	// NUMBER, BOOLERR and FORMULA
	if kind == recBoolErr {
		if err := r.need(2); err != nil {
			return Cell{}, err
		}
		return boolOrError(r.body[0], r.body[1] != 0), nil
	}
	if err := r.need(8); err != nil {
		return Cell{}, err
	}
	if kind == recFormula && r.uint16(6) == 0xffff {
		switch r.body[0] {
		case 0:
			p.formula = column
			return Cell{}, nil
		case 1, 2:
			return boolOrError(r.body[2], r.body[0] == 2), nil
		}
		return Cell{}, nil
	}
	return p.book.number(doubleDecimal(binary.LittleEndian.Uint64(r.body)), xf), nil
}

// numbers reads MULRK: neighbouring cells, each a format and a number, and the last column.
func (p *sheetParser) numbers(r *records, column int) error {
	const size = 6
	cells := r.body[4:]
	if len(cells) < size+2 || (len(cells)-2)%size != 0 {
		return fmt.Errorf("%w: record %#04x is too short", ErrDamaged, r.kind)
	}
	for ; len(cells) > size; column++ {
		xf, rk := binary.LittleEndian.Uint16(cells), binary.LittleEndian.Uint32(cells[2:])
		if err := p.set(column, p.book.number(rkDecimal(rk), xf)); err != nil {
			return err
		}
		cells = cells[size:]
	}
	return nil
}

func (p *sheetParser) set(column int, c Cell) error {
	if column >= maxColumns {
		return fmt.Errorf("%w: it has more than %d columns", ErrDamaged, maxColumns)
	}
	if grow := column + 1 - len(p.cells); grow > 0 {
		if p.total += grow; p.total > maxCells {
			return ErrTooLarge
		}
		p.cells = slices.Grow(p.cells, grow)[:column+1]
	}
	p.cells[column] = c
	return nil
}

// advance hands on the rows before the given one.
func (p *sheetParser) advance(row int) error {
	if row < p.row {
		return fmt.Errorf("%w: its rows are not in order", ErrDamaged)
	}
	for p.row < row {
		cells := p.cells
		p.cells = nil
		p.row++
		if !p.yield(cells, nil) {
			return errStop
		}
	}
	return nil
}

// flush hands on the last row, unless the sheet is empty.
func (p *sheetParser) flush() error {
	if p.cells != nil && !p.yield(p.cells, nil) {
		return errStop
	}
	return nil
}

// boolOrError is the text of a truth value or of an error's code ([MS-XLS] 2.5.10 Bes).
func boolOrError(value byte, isError bool) Cell {
	switch {
	case !isError && value == 0:
		return Cell{Text: "FALSE"}
	case !isError:
		return Cell{Text: "TRUE"}
	}
	switch value {
	case 0x00:
		return Cell{Text: "#NULL!"}
	case 0x07:
		return Cell{Text: "#DIV/0!"}
	case 0x0f:
		return Cell{Text: "#VALUE!"}
	case 0x17:
		return Cell{Text: "#REF!"}
	case 0x1d:
		return Cell{Text: "#NAME?"}
	case 0x24:
		return Cell{Text: "#NUM!"}
	default:
		return Cell{Text: "#N/A"}
	}
}
