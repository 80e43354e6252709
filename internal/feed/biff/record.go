package biff

import (
	"encoding/binary"
	"fmt"
)

// Record types of [MS-XLS] 2.3 and, for BIFF5, of the same numbers.
const (
	recFormula    = 0x0006
	recEOF        = 0x000a
	recDateMode   = 0x0022
	recFilePass   = 0x002f
	recContinue   = 0x003c
	recCodePage   = 0x0042
	recBoundSheet = 0x0085
	recMulRK      = 0x00bd
	recRString    = 0x00d6
	recXF         = 0x00e0
	recSST        = 0x00fc
	recLabelSST   = 0x00fd
	recNumber     = 0x0203
	recLabel      = 0x0204
	recBoolErr    = 0x0205
	recString     = 0x0207
	recRK         = 0x027e
	recFormat     = 0x041e
	recBOF        = 0x0809
)

// records walks through a stream of records.
type records struct {
	stream []byte
	at     int // of the next record
	kind   uint16
	body   []byte
}

// next goes to the next record. A stream that ends without an EOF record is cut short.
func (r *records) next() error {
	rest := r.stream[min(r.at, len(r.stream)):]
	if len(rest) < 4 {
		return fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	size := int(binary.LittleEndian.Uint16(rest[2:]))
	if len(rest) < 4+size {
		return fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	r.kind, r.body = binary.LittleEndian.Uint16(rest), rest[4:4+size]
	r.at += 4 + size
	return nil
}

// need says whether the record has at least n bytes.
func (r *records) need(n int) error {
	if len(r.body) < n {
		return fmt.Errorf("%w: record %#04x is too short", ErrDamaged, r.kind)
	}
	return nil
}

func (r *records) uint16(at int) uint16 { return binary.LittleEndian.Uint16(r.body[at:]) }
func (r *records) uint32(at int) uint32 { return binary.LittleEndian.Uint32(r.body[at:]) }

// take cuts the next n bytes off the record, going on in CONTINUE records where it ends.
func (r *records) take(n int) ([]byte, error) {
	if len(r.body) >= n {
		taken := r.body[:n]
		r.body = r.body[n:]
		return taken, nil
	}
	taken := make([]byte, 0, min(n, 1<<16))
	for len(taken) < n {
		if len(r.body) == 0 {
			if err := r.continued(); err != nil {
				return nil, err
			}
		}
		part := r.body[:min(n-len(taken), len(r.body))]
		taken = append(taken, part...)
		r.body = r.body[len(part):]
	}
	return taken, nil
}

// skip leaves the next n bytes out, going on in CONTINUE records.
func (r *records) skip(n uint64) error {
	for uint64(len(r.body)) < n {
		n -= uint64(len(r.body))
		if err := r.continued(); err != nil {
			return err
		}
	}
	r.body = r.body[n:]
	return nil
}

// continued goes to the CONTINUE record that must follow.
func (r *records) continued() error {
	kind := r.kind
	if err := r.next(); err != nil {
		return err
	}
	if r.kind != recContinue {
		return fmt.Errorf("%w: record %#04x is too short", ErrDamaged, kind)
	}
	return nil
}
