package biff

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/richardlehane/mscfb"
)

const compoundSignature = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// workbookStream gives the records of the workbook.
func workbookStream(r io.ReaderAt, size int64) ([]byte, error) {
	header := make([]byte, 512)
	n, err := r.ReadAt(header, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	header = header[:n]
	if !bytes.HasPrefix(header, []byte(compoundSignature)) {
		if len(header) < 4 || header[1] > 0x08 || header[0] != 0x09 {
			return nil, ErrFormat
		}
		if size > maxStream {
			return nil, ErrTooLarge
		}
		return io.ReadAll(io.NewSectionReader(r, 0, size))
	}
	if n < 512 {
		return nil, ErrDamaged
	}
	return compoundStream(r, size, header)
}

// compoundStream reads the stream Workbook (BIFF8) or Book (BIFF5) of a compound file.
func compoundStream(r io.ReaderAt, size int64, header []byte) ([]byte, error) {
	if err := checkHeader(header, size); err != nil {
		return nil, err
	}
	meter := &meter{r: r, left: maxDirectory}
	file, err := mscfb.New(meter)
	if err != nil {
		return nil, damaged(err)
	}
	var book *mscfb.File
	for _, f := range file.File {
		if len(f.Path) > 0 || f.FileInfo().IsDir() {
			continue // an embedded workbook is not this one
		}
		switch f.Name {
		case "EncryptedPackage": // an .xlsx with a password
			return nil, ErrEncrypted
		case "Workbook":
			book = f
		case "Book":
			// Excel 97 can save both forms in one file; the newer one is whole.
			if book == nil {
				book = f
			}
		}
	}
	if book == nil {
		return nil, ErrFormat
	}
	if book.Size > size {
		return nil, fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	if book.Size > maxStream {
		return nil, ErrTooLarge
	}
	meter.left = 4 * maxStream // the stream and, per sector, an entry of the allocation table
	var stream bytes.Buffer
	if _, err := io.CopyN(&stream, book, book.Size); err != nil {
		return nil, damaged(err)
	}
	return stream.Bytes(), nil
}

// checkHeader refuses counts of sectors that the file has no room for.
func checkHeader(header []byte, size int64) error {
	sectors := size >> 9
	for _, at := range []int{
		40, // directory
		44, // allocation table
		64, // allocation table of small streams
		72, // list of the allocation table's sectors
	} {
		if int64(binary.LittleEndian.Uint32(header[at:])) > sectors {
			return fmt.Errorf("%w: it is cut short", ErrDamaged)
		}
	}
	return nil
}

// damaged marks an error of mscfb, whatever it is, as the file's fault.
func damaged(err error) error {
	return fmt.Errorf("%w (%w)", ErrDamaged, err)
}

// maxDirectory bounds what is read to find the streams: 2,000 entries would fit, a workbook has
// a dozen. mscfb keeps some hundred bytes and the path of each.
const maxDirectory = 256 << 10

// meter lets only so many bytes be read. It also bounds time, since chains of sectors that run
// in circles are read again and again.
type meter struct {
	r    io.ReaderAt
	left int
}

func (m *meter) ReadAt(b []byte, offset int64) (int, error) {
	if m.left -= len(b); m.left < 0 {
		return 0, ErrTooLarge
	}
	n, err := m.r.ReadAt(b, offset)
	if n > 0 && n < len(b) && err == io.EOF {
		// Some writers do not fill up the last sector.
		clear(b[n:])
		return len(b), nil
	}
	return n, err
}
