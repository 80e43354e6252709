package biff

import (
	"encoding/binary"
	"fmt"
)

// Values of BOF.
const (
	versionBIFF5 = 0x0500
	versionBIFF8 = 0x0600
	typeGlobals  = 0x0005
	typeSheet    = 0x0010
)

// globals reads the part of the stream that all sheets share, up to its EOF.
func (b *Book) globals() error {
	r := &records{stream: b.stream}
	if err := r.next(); err != nil {
		return err
	}
	switch r.kind {
	case 0x0009, 0x0209, 0x0409:
		return ErrVersion // BIFF2, 3 and 4
	case recBOF:
	default:
		return ErrFormat
	}
	if err := r.need(4); err != nil {
		return err
	}
	switch r.uint16(0) {
	case versionBIFF8:
		b.biff8 = true
	case versionBIFF5:
	default:
		return ErrVersion
	}
	if r.uint16(2) != typeGlobals {
		return fmt.Errorf("%w: it does not begin with its list of sheets", ErrDamaged)
	}
	for {
		if err := r.next(); err != nil {
			return err
		}
		if r.kind == recEOF {
			return nil
		}
		if err := b.global(r); err != nil {
			return err
		}
	}
}

func (b *Book) global(r *records) error {
	switch r.kind {
	case recFilePass:
		return ErrEncrypted
	case recCodePage:
		if err := r.need(2); err != nil {
			return err
		}
		b.decode = codePage(r.uint16(0))
	case recDateMode:
		if err := r.need(2); err != nil {
			return err
		}
		if r.uint16(0) == 1 {
			b.epoch = epoch1904
		}
	case recFormat:
		if err := r.need(2); err != nil {
			return err
		}
		id := r.uint16(0)
		r.body = r.body[2:]
		read := b.text
		if !b.biff8 {
			read = b.shortText
		}
		code, err := read(r)
		if err != nil {
			return err
		}
		b.formats[id] = parseFormat(code)
	case recXF:
		if err := r.need(4); err != nil {
			return err
		}
		if len(b.cellXF) > 0xffff {
			return ErrTooLarge
		}
		b.cellXF = append(b.cellXF, r.uint16(2))
	case recBoundSheet:
		return b.boundSheet(r)
	case recSST:
		return b.sharedStrings(r)
	}
	return nil
}

func (b *Book) boundSheet(r *records) error {
	head, err := r.take(6)
	if err != nil {
		return err
	}
	name, err := b.shortText(r)
	if err != nil {
		return err
	}
	if len(b.Sheets) == maxSheets {
		return ErrTooLarge
	}
	const worksheet = 0
	if head[5] != worksheet {
		return nil
	}
	b.Sheets = append(b.Sheets, Sheet{
		Name: name, Hidden: head[4]&3 != 0, book: b, offset: int(binary.LittleEndian.Uint32(head)),
	})
	return nil
}

// sharedStrings reads the table of the texts that LABELSST cells point to.
func (b *Book) sharedStrings(r *records) error {
	head, err := r.take(8)
	if err != nil {
		return err
	}
	count := binary.LittleEndian.Uint32(head[4:])
	if count > maxStrings {
		return ErrTooLarge
	}
	for range count {
		text, err := r.richText()
		if err != nil {
			return fmt.Errorf("string %d: %w", len(b.strings), err)
		}
		b.strings = append(b.strings, text)
	}
	return nil
}
