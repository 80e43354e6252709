package biff_test

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// A small writer of workbooks, for what the tests read.

// record is a BIFF record. Numbers are written with their own size, strings as their bytes.
func record(kind uint16, parts ...any) []byte {
	var body []byte
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			body = append(body, part...)
		case []byte:
			body = append(body, part...)
		default:
			var err error
			if body, err = binary.Append(body, binary.LittleEndian, part); err != nil {
				panic(err) // a part that is no number: the test is wrong
			}
		}
	}
	out := binary.LittleEndian.AppendUint16(nil, kind)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(body)))
	return append(out, body...)
}

const (
	biff5 = uint16(0x0500)
	biff8 = uint16(0x0600)
)

func bof(version, kind uint16) []byte {
	return record(0x0809, version, kind, uint16(0x0dbb), uint16(1997), uint32(0), uint32(6))
}

func eof() []byte { return record(0x000a) }

type sheet struct {
	name   string
	hidden byte
	kind   byte // 0 worksheet, 2 chart
	cells  []byte
}

// workbook is a stream of the globals' records and the sheets.
func workbook(version uint16, globals []byte, sheets ...sheet) []byte {
	bound := func(s sheet, at int) []byte {
		if version == biff8 {
			return record(0x0085, uint32(at), s.hidden, s.kind, byte(len(s.name)), byte(0), s.name)
		}
		return record(0x0085, uint32(at), s.hidden, s.kind, byte(len(s.name)), s.name)
	}
	head := append(bof(version, 0x0005), globals...)
	at := len(head) + len(eof())
	for _, s := range sheets {
		at += len(bound(s, 0))
	}
	var bodies []byte
	for _, s := range sheets {
		head = append(head, bound(s, at+len(bodies))...)
		kind := uint16(0x0010)
		if s.kind == 2 {
			kind = 0x0020
		}
		bodies = bytes.Join([][]byte{bodies, bof(version, kind), s.cells, eof()}, nil)
	}
	return bytes.Join([][]byte{head, eof(), bodies}, nil)
}

// join puts records one behind the other.
func join(records ...[]byte) []byte { return bytes.Join(records, nil) }

// wide is text of a BIFF8 string of 16 bits a character, with count and flags.
func wide(s string) []byte {
	units := utf16.Encode([]rune(s))
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(units)))
	out = append(out, 1)
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// narrow is the same of 8 bits a character.
func narrow(s string) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(s))), "\x00"+s...)
}

const (
	sector   = 512
	endChain = 0xfffffffe
	free     = 0xffffffff
)

// compound is an OLE compound file with streams of the given names, each padded to the 4,096
// bytes from which streams lie in sectors of their own, as Excel does.
func compound(names []string, streams ...[]byte) []byte {
	const perTable = sector / 4
	var data []byte
	var table []uint32
	entries := directoryEntry("Root Entry", 5, 1, free, endChain, 0)
	next := 0
	for i, stream := range streams {
		stream = append(bytes.Clone(stream), make([]byte, max(0, 4096-len(stream)))...)
		size := len(stream)
		stream = append(stream, make([]byte, (sector-size%sector)%sector)...)
		right := uint32(free)
		if i+1 < len(streams) {
			right = uint32(i + 2)
		}
		entries = append(entries, directoryEntry(names[i], 2, free, right, uint32(next), uint32(size))...)
		for n := range len(stream) / sector {
			table = append(table, uint32(next+n+1))
		}
		table[len(table)-1] = endChain
		next = len(table)
		data = append(data, stream...)
	}
	// Behind the streams lie the directory and the allocation table.
	entries = append(entries, make([]byte, (sector-len(entries)%sector)%sector)...)
	directory := next
	for n := range len(entries) / sector {
		table = append(table, uint32(directory+n+1))
	}
	table[len(table)-1] = endChain
	first := len(table)
	tables := (first + perTable - 1) / perTable
	for (first+tables+perTable-1)/perTable > tables {
		tables++
	}
	for range tables {
		table = append(table, 0xfffffffd)
	}
	for len(table) < tables*perTable {
		table = append(table, free)
	}

	header := make([]byte, sector)
	copy(header, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(header[at:], v) }
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(header[at:], v) }
	put16(24, 0x3e)
	put16(26, 3)
	put16(28, 0xfffe)
	put16(30, 9)
	put16(32, 6)
	put32(44, uint32(tables))
	put32(48, uint32(directory))
	put32(56, 4096)
	put32(60, endChain)
	put32(68, endChain)
	for i := range 109 {
		put32(76+4*i, free)
	}
	for i := range tables {
		put32(76+4*i, uint32(first+i))
	}
	out := bytes.Join([][]byte{header, data, entries}, nil)
	for _, next := range table {
		out = binary.LittleEndian.AppendUint32(out, next)
	}
	return out
}

func directoryEntry(name string, kind byte, child, right, start, size uint32) []byte {
	out := make([]byte, 128)
	units := utf16.Encode([]rune(name))
	for i, u := range units {
		binary.LittleEndian.PutUint16(out[2*i:], u)
	}
	binary.LittleEndian.PutUint16(out[64:], uint16(2*len(units)+2))
	out[66], out[67] = kind, 1
	binary.LittleEndian.PutUint32(out[68:], free)
	binary.LittleEndian.PutUint32(out[72:], right)
	binary.LittleEndian.PutUint32(out[76:], child)
	binary.LittleEndian.PutUint32(out[116:], start)
	binary.LittleEndian.PutUint32(out[120:], size)
	return out
}
