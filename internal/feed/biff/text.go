package biff

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Bits of a BIFF8 string's flags ([MS-XLS] 2.5.293 XLUnicodeRichExtendedString).
const (
	flagWide     = 0x01 // two bytes a character
	flagPhonetic = 0x04
	flagRich     = 0x08
)

// richText reads a BIFF8 string with a length of two bytes and with what may follow its
// characters: formatting runs and pronunciation, which are left out.
func (r *records) richText() (string, error) {
	head, err := r.take(3)
	if err != nil {
		return "", err
	}
	count, flags := int(binary.LittleEndian.Uint16(head)), head[2]
	var tail uint64
	if flags&flagRich != 0 {
		runs, err := r.take(2)
		if err != nil {
			return "", err
		}
		tail += 4 * uint64(binary.LittleEndian.Uint16(runs))
	}
	if flags&flagPhonetic != 0 {
		size, err := r.take(4)
		if err != nil {
			return "", err
		}
		tail += uint64(binary.LittleEndian.Uint32(size))
	}
	text, err := r.characters(count, flags)
	if err != nil {
		return "", err
	}
	return text, r.skip(tail)
}

// characters reads count characters. Where they go on in a CONTINUE record, it begins with
// flags of its own: one part may have two bytes a character and the next only one.
func (r *records) characters(count int, flags byte) (string, error) {
	units := make([]uint16, 0, count)
	for {
		if flags&flagWide != 0 {
			for len(r.body) >= 2 && len(units) < count {
				units = append(units, binary.LittleEndian.Uint16(r.body))
				r.body = r.body[2:]
			}
		} else {
			part := r.body[:min(count-len(units), len(r.body))]
			for _, c := range part {
				units = append(units, uint16(c))
			}
			r.body = r.body[len(part):]
		}
		if len(units) == count {
			return printable(string(utf16.Decode(units))), nil
		}
		if err := r.continued(); err != nil {
			return "", err
		}
		if err := r.need(1); err != nil {
			return "", err
		}
		flags, r.body = r.body[0], r.body[1:]
	}
}

// text reads a string with a length of two bytes, as in LABEL and FORMAT.
func (b *Book) text(r *records) (string, error) {
	if b.biff8 {
		return r.richText()
	}
	head, err := r.take(2)
	if err != nil {
		return "", err
	}
	return b.bytes(r, int(binary.LittleEndian.Uint16(head)))
}

// shortText reads a string with a length of one byte.
func (b *Book) shortText(r *records) (string, error) {
	head, err := r.take(1)
	if err != nil {
		return "", err
	}
	count := int(head[0])
	if !b.biff8 {
		return b.bytes(r, count)
	}
	flags, err := r.take(1)
	if err != nil {
		return "", err
	}
	return r.characters(count, flags[0])
}

// bytes reads a string of BIFF5.
func (b *Book) bytes(r *records, count int) (string, error) {
	raw, err := r.take(count)
	if err != nil {
		return "", err
	}
	return printable(b.decode(raw)), nil
}

// printable replaces control characters, which no database takes; line breaks within a cell
// stay.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' {
			return ' '
		}
		return c
	}, s)
}

// codePage decodes text of a Windows, DOS or Macintosh code page; of one it does not know, as
// Windows-1252, where digits and Latin letters are the same.
func codePage(number uint16) func([]byte) string {
	var e encoding.Encoding
	switch number {
	case 437:
		e = charmap.CodePage437
	case 850:
		e = charmap.CodePage850
	case 866:
		e = charmap.CodePage866
	case 874:
		e = charmap.Windows874
	case 932:
		e = japanese.ShiftJIS
	case 936:
		e = simplifiedchinese.GBK
	case 949:
		e = korean.EUCKR
	case 950:
		e = traditionalchinese.Big5
	case 1250:
		e = charmap.Windows1250
	case 1251:
		e = charmap.Windows1251
	case 1253:
		e = charmap.Windows1253
	case 1254:
		e = charmap.Windows1254
	case 1255:
		e = charmap.Windows1255
	case 1256:
		e = charmap.Windows1256
	case 1257:
		e = charmap.Windows1257
	case 1258:
		e = charmap.Windows1258
	case 0x8000, 10000:
		e = charmap.Macintosh
	default:
		e = charmap.Windows1252
	}
	return func(raw []byte) string {
		text, err := e.NewDecoder().Bytes(raw)
		if err != nil {
			return strings.ToValidUTF8(string(raw), "\uFFFD")
		}
		return string(text)
	}
}
