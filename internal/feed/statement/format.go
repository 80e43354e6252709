package statement

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Format is how a statement file is written.
type Format string

// Formats.
const (
	Auto Format = "auto" // told from the content; the file's name is not asked
	Text Format = "text" // CSV, TSV, and text cut by semicolons, bars or position
	XLSX Format = "xlsx"
	XLS  Format = "xls" // the binary workbook of Excel 97 and before
	HTML Format = "html"
	MT   Format = "mt940"
	CAMT Format = "camt"
)

// Formats lists what [Options].Format may be.
func Formats() []Format { return []Format{Auto, Text, XLSX, XLS, HTML, MT, CAMT} }

var (
	// ErrFormat: the file is no statement that can be read. The text says why and
	// what to do.
	ErrFormat = errors.New("not a statement that can be read")
	// ErrEncrypted: the file is locked with a password.
	ErrEncrypted = errors.New("the file is locked with a password")
)

func formatError(text string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(text, args...))
}

const unlock = "open it with its password, save it without one as XLSX or CSV, and import that"

const sniffed = 64 << 10 // bytes at the start that tell the format

var (
	mtStart   = regexp.MustCompile(`(?m)^\s*(?:\{1:|:20:)`)
	mtLine    = regexp.MustCompile(`(?m)^:(?:25|28C?|60[FM]|61)[A-Z]?:`)
	camtStart = regexp.MustCompile(`camt\.05[234]|<(?:\w+:)?BkToCstmr(?:Stmt|DbtCdtNtfctn|AcctRpt)`)
	htmlStart = regexp.MustCompile(`(?i)<(?:!doctype html|html|head|body|table|tr)\b`)
)

// formatOf tells the format from the content, and which files can't be read as
// they are.
func formatOf(src *io.SectionReader) (Format, error) {
	head := make([]byte, min(sniffed, src.Size()))
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("statement: %w", err)
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return "", formatError("the file is empty")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return XLSX, nil
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		if bytes.Contains(head, utf16Name("EncryptedPackage")) || oleHas(src, "EncryptedPackage") {
			return "", fmt.Errorf("%w: %s", ErrEncrypted, unlock)
		}
		return XLS, nil
	case bytes.HasPrefix(head, []byte("\x09\x08")), bytes.HasPrefix(head, []byte("\x09\x04")), bytes.HasPrefix(head, []byte("\x09\x02")), bytes.HasPrefix(head, []byte("\x09\x00")):
		return XLS, nil // a workbook stream without its container
	case bytes.HasPrefix(trimmed, []byte("%PDF-")):
		if pdfEncrypted(src) {
			return "", fmt.Errorf("%w: a PDF can't be imported anyway: download the statement from the bank's site as XLS, CSV or MT940", ErrEncrypted)
		}
		return "", formatError("a PDF does not hold its table in a form that can be read for certain: download the statement as XLS, CSV or MT940")
	case bytes.HasPrefix(head, []byte("Rar!")), bytes.HasPrefix(head, []byte("7z\xbc\xaf")), bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "", formatError("it is packed: unpack it and give the statement in it")
	}
	text := trimmed
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.IndexByte(head, 0) == 1:
		text = bytes.ReplaceAll(head, []byte{0}, nil) // enough to recognise marks by
	case bytes.IndexByte(head, 0) >= 0:
		return "", formatError("it is no text, workbook, MT940 or camt file: download the statement as XLS, CSV or MT940")
	}
	switch {
	case mtStart.Match(text) && mtLine.Match(text):
		return MT, nil
	case camtStart.Match(text):
		return CAMT, nil
	case htmlStart.Match(text) && bytes.Contains(bytes.ToLower(text), []byte("<t")):
		return HTML, nil
	}
	return Text, nil
}

func utf16Name(name string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(name)) {
		b = append(b, byte(u), byte(u>>8)) //nolint:gosec // G115: the two halves are meant
	}
	return b
}

// oleHas looks for a stream's name in the compound file's directory, wherever
// in the file that lies.
func oleHas(src *io.SectionReader, name string) bool {
	return contains(src, utf16Name(name))
}

// pdfEncrypted looks for the dictionary that an encrypted PDF's trailer names.
func pdfEncrypted(src *io.SectionReader) bool { return contains(src, []byte("/Encrypt")) }

// contains looks for a mark in the file, holding little of it at a time.
func contains(src *io.SectionReader, mark []byte) bool {
	buf := make([]byte, 256<<10)
	for at := int64(0); at < src.Size(); at += int64(len(buf) - len(mark) + 1) {
		n, err := src.ReadAt(buf, at)
		if bytes.Contains(buf[:n], mark) {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

// unzipped tells a workbook from other zips.
func unzipped(src *io.SectionReader) (*zip.Reader, error) {
	parts, err := zip.NewReader(src, src.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: the file is damaged or cut short (%w): download it again", ErrFormat, err)
	}
	locked, workbook, odf := false, false, false
	for _, part := range parts.File {
		locked = locked || part.Flags&1 != 0
		workbook = workbook || part.Name == "[Content_Types].xml" || strings.HasPrefix(part.Name, "xl/")
		odf = odf || part.Name == "content.xml"
	}
	switch {
	case locked:
		return nil, fmt.Errorf("%w: unpack the zip with its password and import the statement in it", ErrEncrypted)
	case odf:
		return nil, formatError("it is an OpenDocument sheet: save it as XLSX or CSV")
	case !workbook:
		return nil, formatError("it is a zip: unpack it and give the statement in it")
	}
	return parts, nil
}
