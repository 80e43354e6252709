package statement_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/money"
)

const small = `Date,Narration,Withdrawal Amt.,Deposit Amt.,Closing Balance
01/05/26,UPI/CR/612112345671/ANITA,,100.00,1100.00
02/05/26,UPI/CR/612212345672/SHREE,,"1,250.50",2350.50
`

const smallWant = `1 credit 2026-05-01 100.00 utr="612112345671" name="ANITA"
1 credit 2026-05-02 1250.50 utr="612212345672" name="SHREE"
`

// rowsOf drops the summary and the numbers of the rows.
func rowsOf(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if number, rest, ok := strings.Cut(line, " "); ok && strings.Trim(number, "0123456789") == "" {
			b.WriteString("1 " + rest)
		}
	}
	return b.String()
}

// TestSameWhateverTheFormat: one statement, in every encoding and container.
func TestSameWhateverTheFormat(t *testing.T) {
	t.Parallel()
	encode := func(s string, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return []byte(s)
	}
	files := map[string][]byte{
		"csv":     []byte(small),
		"crlf":    []byte(strings.ReplaceAll(small, "\n", "\r\n")),
		"bom":     []byte("\xef\xbb\xbf" + small),
		"utf16le": encode(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(small)),
		"utf16be": encode(unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(small)),
		"no bom":  encode(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(small)),
		"1252":    encode(charmap.Windows1252.NewEncoder().String("Café – Straße\n" + small)),
		"xlsx":    xlsxOf(t, [][]string{{"Café"}, {}, {"Date", "Narration", "Withdrawal Amt.", "Deposit Amt.", "Closing Balance"}, {"01/05/26", "UPI/CR/612112345671/ANITA", "", "100.00", "1100.00"}, {"02/05/26", "UPI/CR/612212345672/SHREE", "", "1,250.50", "2350.50"}}),
		"html": []byte(`<table><tr><th>Date<th>Narration<th>Withdrawal Amt.<th>Deposit Amt.<th>Closing Balance
			<tr><td>01/05/26<td>UPI/CR/612112345671/ANITA<td><td>100.00<td>1100.00<tr><td>02/05/26<td>UPI/CR/612212345672/SHREE<td><td>1,250.50<td>2350.50</table>`),
	}
	for name, content := range files {
		got, err := read(t.Context(), content, statement.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if rowsOf(got) != smallWant {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestTypedCells: numbers and dates of a workbook, dates with their time, and
// amounts with the noise of binary fractions.
func TestTypedCells(t *testing.T) {
	t.Parallel()
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	at := time.Date(2026, time.May, 3, 14, 30, 5, 0, time.UTC)
	for i, row := range [][]any{
		{"Transaction Date", "Value Date", "Particulars", "Debit", "Credit", "Balance"},
		{at, at.Truncate(24 * time.Hour), "UPI/CR/612312345671/ANITA", nil, 0.1 + 0.2, 1000.3},
		{at.Truncate(24 * time.Hour), nil, "UPI/CR/612312345672/ANITA", nil, 1234567.89, 1235568.19},
		{"04-05-2026", nil, "UPI/DR/612412345673/SHOP", 68.19, nil, 1235500},
		{46150, nil, "UPI/CR/612412345674/ANITA", nil, 1.005, 1235501.005},
	} {
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("B%d", i+3), &row); err != nil {
			t.Fatal(err)
		}
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t.Context(), b.Bytes(), statement.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `xlsx bank= account= rows=4 newest-first=false
4 credit 2026-05-03 14:30:05 0.30 utr="612312345671" name="ANITA"
5 credit 2026-05-03 1234567.89 utr="612312345672" name="ANITA"
6 debit 2026-05-04 68.19 utr="612412345673" name="SHOP"
7 unparsed 2026-05-08 why="the cell of the credit holds no amount"
`
	if got != want {
		t.Error(got)
	}
}

// zipped packs one file; flags are those of its header, 1 for a password.
func zipped(t *testing.T, name string, flags uint16, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{Name: name, Flags: flags, Method: zip.Store, CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefused(t *testing.T) {
	t.Parallel()
	ole := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 2048)...)
	locked := append(bytes.Clone(ole), "E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00"...)
	tests := map[string]struct {
		content []byte
		want    error
		says    string
	}{
		"empty":         {nil, statement.ErrFormat, "empty"},
		"blank":         {[]byte(" \n\t\n"), statement.ErrFormat, "empty"},
		"prose":         {[]byte("Dear customer,\nyour statement is ready.\n"), statement.ErrFormat, "headings"},
		"no text":       {append([]byte("GIF89a"), make([]byte, 100)...), statement.ErrFormat, "XLS, CSV"},
		"pdf":           {[]byte("%PDF-1.7\n"), statement.ErrFormat, "PDF"},
		"locked pdf":    {[]byte("%PDF-1.7\n" + strings.Repeat(" ", 300<<10) + "trailer << /Encrypt 5 0 R >>"), statement.ErrEncrypted, "XLS, CSV"},
		"locked xlsx":   {locked, statement.ErrEncrypted, "save it without"},
		"locked zip":    {zipped(t, "statement.csv", 1, []byte("secret")), statement.ErrEncrypted, "unpack"},
		"zip":           {zipped(t, "statement.csv", 0, []byte(small)), statement.ErrFormat, "unpack"},
		"ods":           {zipped(t, "content.xml", 0, []byte("<x/>")), statement.ErrFormat, "XLSX or CSV"},
		"broken zip":    {[]byte("PK\x03\x04 and no more"), statement.ErrFormat, "download it again"},
		"broken xlsx":   {zipped(t, "[Content_Types].xml", 0, []byte("<x")), statement.ErrFormat, ""},
		"gzip":          {[]byte("\x1f\x8b\x08\x00\x00"), statement.ErrFormat, "unpack"},
		"one long line": {[]byte("Date,Narration,Credit\n" + strings.Repeat("x", 1<<20)), statement.ErrFormat, "longer than"},
		"many columns":  {[]byte(small + strings.Repeat(",", 100_000) + "\n"), statement.ErrFormat, "columns"},
		"wide html":     {[]byte("<table><tr>" + strings.Repeat("<td>1", 100_000)), statement.ErrFormat, "columns"},
		"deep html":     {[]byte(strings.Repeat("<table><tr><td><div>", 100_000)), statement.ErrFormat, "headings"},
		"long html":     {[]byte("<table><tr><td>" + strings.Repeat("x", 1<<20)), statement.ErrFormat, "longer than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t.Context(), tt.content, statement.Options{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v that says %q; read %s", err, tt.want, tt.says, got)
			}
		})
	}
}

// TestBomb: a workbook that unpacks to far more than it should, and one with
// every column Excel has.
func TestBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"[Content_Types].xml", "xl/worksheets/sheet1.xml"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), b.Bytes(), statement.Options{}); !errors.Is(err, statement.ErrFormat) {
		t.Error(err)
	}
	wide := make([]string, 16_384)
	for i := range wide {
		wide[i] = "Date"
	}
	if _, err := read(t.Context(), xlsxOf(t, [][]string{wide}), statement.Options{}); !errors.Is(err, statement.ErrFormat) {
		t.Error(err)
	}
}

// TestUnclosedQuote: what a quote that is never closed swallows is one row.
func TestUnclosedQuote(t *testing.T) {
	t.Parallel()
	got, err := read(t.Context(), []byte(`Date,Narration,Debit,Credit,Balance
01/05/26,"UPI/CR/612112345671/ANITA,,100.00,1100.00
02/05/26,"UPI/CR/612212345672/SHREE
TRADERS/rent",,50.00,1150.00
03/05/26,UPI/CR/612312345673/2" PIPE,,25.00,1175.00
04/05/26,UPI/CR/612412345674/ANITA,,25.00,1200.00
`), statement.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `text bank= account= rows=4 newest-first=false
2 unparsed 2026-05-01 why="the row has fewer cells than the headings"
3 credit 2026-05-02 50.00 utr="612212345672" name="SHREE TRADERS" note="rent"
5 credit 2026-05-03 25.00 utr="612312345673" name="2\" PIPE"
6 credit 2026-05-04 25.00 utr="612412345674" name="ANITA"
`
	if got != want {
		t.Error(got)
	}
}

func TestAhead(t *testing.T) {
	t.Parallel()
	got, err := read(t.Context(), []byte(small), statement.Options{Now: time.Date(2024, time.May, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(got, "unparsed") != 2 {
		t.Error(got)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	s, err := statement.Read(t.Context(), strings.NewReader(small), int64(len(small)), statement.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 2 { // the lines can be read again, and left early
		for line, err := range s.Lines(t.Context()) {
			if err != nil || line.Kind != feed.Credit || line.Amount != 100*money.Rupee {
				t.Fatalf("%+v, %v", line, err)
			}
			break
		}
	}
}
