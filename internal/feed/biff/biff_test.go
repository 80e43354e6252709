package biff_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/biff"
)

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func open(file []byte) (*biff.Book, error) {
	return biff.Open(bytes.NewReader(file), int64(len(file)))
}

func rows(file []byte) (all [][]biff.Cell, err error) {
	book, err := open(file)
	if err != nil {
		return nil, err
	}
	for row, err := range book.Rows() {
		if err != nil {
			return all, err
		}
		all = append(all, row)
	}
	return all, nil
}

func mustRows(t *testing.T, file []byte) [][]biff.Cell {
	t.Helper()
	all, err := rows(file)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func text(s string) biff.Cell   { return biff.Cell{Text: s} }
func number(s string) biff.Cell { return biff.Cell{Text: s, Number: true} }

func at(row, column, xf int) []byte {
	return record(0, uint16(row), uint16(column), uint16(xf))[4:]
}

// double writes a NUMBER cell.
func double(row, column, xf int, bits uint64) []byte {
	return record(0x0203, at(row, column, xf), bits)
}

func TestCells(t *testing.T) {
	t.Parallel()
	pi := math.Float64bits(math.Pi)
	formula := func(result ...any) []byte {
		return record(0x0006, append(append([]any{at(0, 0, 0)}, result...), uint16(0), uint32(0), "\x02\x00\x1e\x01")...)
	}
	for name, test := range map[string]struct {
		cells []byte
		want  []biff.Cell
	}{
		"text in the table":      {record(0x00fd, at(0, 0, 0), uint32(1)), []biff.Cell{text("रुपये")}},
		"text of its own":        {record(0x0204, at(0, 0, 0), narrow("RENT")), []biff.Cell{text("RENT")}},
		"wide text":              {record(0x0204, at(0, 0, 0), wide("₹ किराया 😀")), []biff.Cell{text("₹ किराया 😀")}},
		"formatted text":         {record(0x00d6, at(0, 0, 0), narrow("RENT"), "\x01\x00\x00\x05"), []biff.Cell{text("RENT")}},
		"control characters":     {record(0x0204, at(0, 0, 0), narrow("A\x00B\nC")), []biff.Cell{text("A B\nC")}},
		"half a character":       {record(0x0204, at(0, 0, 0), "\x01\x00\x01\x00\xd8"), []biff.Cell{text("\ufffd")}},
		"a double":               {double(0, 0, 0, pi), []biff.Cell{number("3.14159265358979")}},
		"nothing":                {record(0x0201, at(0, 0, 0)), nil},
		"a gap":                  {record(0x0204, at(0, 2, 0), narrow("C")), []biff.Cell{{}, {}, text("C")}},
		"columns in disorder":    {join(double(0, 1, 0, 0), record(0x0204, at(0, 0, 0), narrow("A"))), []biff.Cell{text("A"), number("0")}},
		"true":                   {record(0x0205, at(0, 0, 0), "\x01\x00"), []biff.Cell{text("TRUE")}},
		"false":                  {record(0x0205, at(0, 0, 0), "\x00\x00"), []biff.Cell{text("FALSE")}},
		"an error":               {record(0x0205, at(0, 0, 0), "\x07\x01"), []biff.Cell{text("#DIV/0!")}},
		"many short numbers":     {record(0x00bd, uint16(0), uint16(1), "\x00\x00", uint32(2501<<2|3), "\x00\x00", uint32(7<<2|2), uint16(2)), []biff.Cell{{}, number("25.01"), number("7")}},
		"a formula's number":     {formula(pi), []biff.Cell{number("3.14159265358979")}},
		"a formula's text":       {join(formula("\x00\x00\x00\x00\x00\x00\xff\xff"), record(0x0207, narrow("UTR"))), []biff.Cell{text("UTR")}},
		"a shared formula":       {join(formula("\x00\x00\x00\x00\x00\x00\xff\xff"), record(0x04bc, "x"), record(0x0207, narrow("UTR"))), []biff.Cell{text("UTR")}},
		"a formula's long text":  {join(formula("\x00\x00\x00\x00\x00\x00\xff\xff"), record(0x0207, "\x06\x00\x00RE"), record(0x003c, "\x01N\x00T\x00"), record(0x003c, "\x00 5")), []biff.Cell{text("RENT 5")}},
		"a text of no formula":   {record(0x0207, narrow("UTR")), nil},
		"a formula's truth":      {formula("\x01\x00\x01\x00\x00\x00\xff\xff"), []biff.Cell{text("TRUE")}},
		"a formula's error":      {formula("\x02\x00\x2a\x00\x00\x00\xff\xff"), []biff.Cell{text("#N/A")}},
		"a formula's empty text": {formula("\x03\x00\x00\x00\x00\x00\xff\xff"), []biff.Cell{{}}},
		"a chart in the sheet":   {join(bof(biff8, 0x0020), double(9, 9, 0, pi), eof(), record(0x0204, at(0, 0, 0), narrow("A"))), []biff.Cell{text("A")}},
		"not a number":           {double(0, 0, 0, math.Float64bits(math.NaN())), []biff.Cell{text("#NUM!")}},
		"infinite":               {double(0, 0, 0, math.Float64bits(math.Inf(-1))), []biff.Cell{text("#NUM!")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			globals := record(0x00fc, uint32(2), uint32(2), narrow("first"), wide("रुपये"))
			stream := workbook(biff8, globals, sheet{name: "S", cells: test.cells})
			want := [][]biff.Cell{test.want}
			if test.want == nil {
				want = nil
			}
			for form, file := range map[string][]byte{
				"bare": stream, "compound": compound([]string{"Workbook"}, stream),
			} {
				if diff := cmp.Diff(want, mustRows(t, file)); diff != "" {
					t.Errorf("%s: %s", form, diff)
				}
			}
		})
	}
}

// Rows are numbered as in Excel: those without cells are there.
func TestRows(t *testing.T) {
	t.Parallel()
	file := workbook(biff8, nil, sheet{name: "S", cells: join(double(2, 1, 0, 0), double(4, 0, 0, 0))})
	want := [][]biff.Cell{nil, nil, {{}, number("0")}, nil, {number("0")}}
	if diff := cmp.Diff(want, mustRows(t, file)); diff != "" {
		t.Error(diff)
	}
	book, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	for stop := range want {
		next, done := iter.Pull2(book.Rows())
		for range stop {
			if _, _, ok := next(); !ok {
				t.Fatalf("no row before the %dth", stop)
			}
		}
		done()
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for want, bits := range map[string]uint64{
		"1234.5":                       math.Float64bits(1234.5),
		"0.1":                          math.Float64bits(0.1),
		"-0.01":                        math.Float64bits(-0.01),
		"0":                            math.Float64bits(math.Copysign(0, -1)),
		"0.3":                          0x3fd3333333333334, // 0.1+0.2
		"1.15":                         math.Float64bits(1.15),
		"100000":                       math.Float64bits(99999.99999999999),
		"526276012345":                 math.Float64bits(526276012345),
		"123456789012346000":           math.Float64bits(123456789012345678),
		"90071992547409.9":             math.Float64bits(90071992547409.92),
		"10000000000":                  math.Float64bits(1e10),
		"0.000000000123":               math.Float64bits(1.23e-10),
		"1" + strings.Repeat("0", 300): math.Float64bits(1e300),
	} {
		t.Run(want[:min(len(want), 20)], func(t *testing.T) {
			t.Parallel()
			got := mustRows(t, workbook(biff8, nil, sheet{name: "S", cells: double(0, 0, 0, bits)}))
			if got[0][0] != number(want) {
				t.Errorf("read %+v, want %s", got[0][0], want)
			}
		})
	}
}

func TestShortNumbers(t *testing.T) {
	t.Parallel()
	upper := func(bits uint64) uint32 { return uint32(bits>>32) &^ 3 }
	for want, rk := range map[string]uint32{
		"0":           2,
		"500":         500<<2 | 2,
		"500.05":      50005<<2 | 3,
		"0.07":        7<<2 | 3,
		"-1":          0xfffffffe,
		"-0.01":       0xffffffff,
		"536870911":   0x1fffffff<<2 | 2,
		"-5368709.12": 0x80000003,
		"1.5":         upper(math.Float64bits(1.5)),
		"0.015":       upper(math.Float64bits(1.5)) | 1,
		"-125000":     upper(math.Float64bits(-125000)),
		"-1250":       upper(math.Float64bits(-125000)) | 1,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			got := mustRows(t, workbook(biff8, nil, sheet{name: "S", cells: record(0x027e, at(0, 0, 0), rk)}))
			if got[0][0] != number(want) {
				t.Errorf("read %+v, want %s", got[0][0], want)
			}
		})
	}
}

// Every amount up to 9,999 crore with paise comes out as it was typed.
func TestAmountsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		paise := rapid.Int64Range(0, 9_999_00_00_000_00).Draw(t, "paise")
		bits := math.Float64bits(float64(paise) / 100) //nolint:forbidigo // what Excel does to the amount that is typed
		got, err := rows(workbook(biff8, nil, sheet{name: "S", cells: double(0, 0, 0, bits)}))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", paise/100, paise%100), "0"), ".")
		if got[0][0] != number(want) {
			t.Fatalf("read %+v, want %s", got[0][0], want)
		}
	})
}

func TestDates(t *testing.T) {
	t.Parallel()
	date := func(s string) biff.Cell {
		layout := time.DateTime[:len(s)]
		d, err := time.Parse(layout, s)
		if err != nil {
			t.Fatal(err)
		}
		return biff.Cell{Text: s, Date: d, Number: true}
	}
	const custom = 164
	for name, test := range map[string]struct {
		format any // the number of a built-in format, or a custom one's code
		serial uint64
		old    bool // counts from 1904
		want   biff.Cell
	}{
		"built-in date":      {14, math.Float64bits(46296), false, date("2026-10-01")},
		"built-in time":      {22, math.Float64bits(46296.6875), false, date("2026-10-01 16:30:00")},
		"custom":             {"dd/mm/yyyy", math.Float64bits(46296), false, date("2026-10-01")},
		"with a language":    {`[$-4009]d\ mmm\ yyyy;@`, math.Float64bits(46296), false, date("2026-10-01")},
		"seconds":            {"yyyy-mm-dd hh:mm:ss.000", math.Float64bits(46296.99998842593), false, date("2026-10-01 23:59:59")},
		"rounds up":          {"h:mm", math.Float64bits(46296.999999), false, date("2026-10-02")},
		"from 1904":          {14, math.Float64bits(44834), true, date("2026-10-01")},
		"first":              {14, math.Float64bits(1), false, date("1900-01-01")},
		"before the leap":    {14, math.Float64bits(59), false, date("1900-02-28")},
		"29 February 1900":   {14, math.Float64bits(60), false, number("60")},
		"after the leap":     {14, math.Float64bits(61), false, date("1900-03-01")},
		"last":               {14, math.Float64bits(2958465), false, date("9999-12-31")},
		"after the last":     {14, math.Float64bits(2958466), false, number("2958466")},
		"a time of day":      {20, math.Float64bits(0.5), false, number("0.5")},
		"below zero":         {14, math.Float64bits(-1), false, number("-1")},
		"a duration":         {"[h]:mm", math.Float64bits(46296), false, number("46296")},
		"general":            {0, math.Float64bits(46296), false, number("46296")},
		"general in letters": {"General", math.Float64bits(46296), false, number("46296")},
		"an amount":          {4, math.Float64bits(46296), false, number("46296")},
		"rupees":             {`"Rs. "#,##0.00;[Red]-"days "#,##0.00`, math.Float64bits(46296), false, number("46296")},
		"rupees unquoted":    {`Rs. #,##0.00`, math.Float64bits(46296), false, number("46296")},
		"debit unquoted":     {`#,##0.00 Dr`, math.Float64bits(46296), false, number("46296")},
		"red":                {`[Magenta]0.00`, math.Float64bits(46296), false, number("46296")},
		"lakh":               {`[>=100000]##\,##\,##0;##,##0`, math.Float64bits(46296), false, number("46296")},
		"scientific":         {"0.00E+00", math.Float64bits(46296), false, number("46296")},
		"text":               {"@", math.Float64bits(46296), false, number("46296")},
		"leading zeros":      {"000000000000", math.Float64bits(46296), false, number("000000046296")},
		"too few zeros":      {"000", math.Float64bits(46296), false, number("46296")},
		"zeros of a part":    {"000000000000", math.Float64bits(46296.5), false, number("46296.5")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var globals []byte
			if test.old {
				globals = record(0x0022, uint16(1))
			}
			var id int
			switch format := test.format.(type) {
			case int:
				id = format
			case string:
				id = custom
				globals = append(globals, record(0x041e, uint16(id), narrow(format))...)
			}
			globals = join(globals, record(0x00e0, uint16(0), uint16(0), "rest"), record(0x00e0, uint16(0), uint16(id), "rest"))
			got := mustRows(t, workbook(biff8, globals, sheet{name: "S", cells: double(0, 0, 1, test.serial)}))
			if diff := cmp.Diff(test.want, got[0][0]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSheets(t *testing.T) {
	t.Parallel()
	cell := func(s string) []byte { return record(0x0204, at(0, 0, 0), narrow(s)) }
	book, err := open(workbook(biff8, nil,
		sheet{name: "Chart", kind: 2}, sheet{name: "Lists", hidden: 2, cells: cell("hidden")},
		sheet{name: "Statement", cells: cell("shown")}, sheet{name: "More", cells: cell("more")}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range book.Sheets {
		for row, err := range s.Rows() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(s.Name, " ", s.Hidden, " ", row[0].Text))
		}
	}
	want := []string{"Lists true hidden", "Statement false shown", "More false more"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for row, err := range book.Rows() {
		if err != nil || row[0].Text != "shown" {
			t.Errorf("the first visible sheet begins with %+v, %v", row, err)
		}
	}
}

func TestBIFF5(t *testing.T) {
	t.Parallel()
	globals := join(record(0x0042, uint16(1251)), record(0x041e, uint16(164), "\x08dd/mm/yy"), record(0x00e0, uint16(0), uint16(164)))
	stream := workbook(biff5, globals, sheet{name: "S", cells: join(
		record(0x0204, at(0, 0, 9), uint16(5), "\xd0\xe0\xf5\xb3\xed"),
		double(0, 1, 0, math.Float64bits(46296)),
		record(0x00d6, at(0, 2, 9), uint16(4), "RENT", "\x01\x00\x01"),
		record(0x0006, at(0, 3, 9), "\x00\x00\x00\x00\x00\x00\xff\xff", uint16(0), uint32(0)), record(0x0207, uint16(3), "UTR"),
	)})
	want := [][]biff.Cell{{
		text("Рахін"), {Text: "2026-10-01", Date: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), Number: true}, text("RENT"), text("UTR"),
	}}
	if diff := cmp.Diff(want, mustRows(t, compound([]string{"Book"}, stream))); diff != "" {
		t.Error(diff)
	}
}

// A table of texts reads back whatever is in it and wherever it goes on in another record.
func TestSharedStrings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.StringMatching(`[A-Z0-9 éक₹😀]{0,60}`), 1, 20).Draw(t, "strings")
		w := tableWriter{size: rapid.IntRange(30, 90).Draw(t, "size of a record"), kind: 0x00fc}
		w.body = record(0, uint32(len(want)), uint32(len(want)))[4:]
		var cells []byte
		for i, s := range want {
			runs, phonetic := 0, 0
			if rapid.Bool().Draw(t, "rich") {
				runs = rapid.IntRange(1, 20).Draw(t, "runs")
			}
			if rapid.Bool().Draw(t, "phonetic") {
				phonetic = rapid.IntRange(1, 200).Draw(t, "size of phonetic")
			}
			w.put(t, s, runs, phonetic)
			cells = append(cells, record(0x00fd, at(i, 0, 0), uint32(i))...)
		}
		w.next()
		got, err := rows(workbook(biff8, w.out, sheet{name: "S", cells: cells}))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("read %d rows, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i][0].Text != want[i] {
				t.Fatalf("string %d is %q, want %q", i, got[i][0].Text, want[i])
			}
		}
	})
}

// tableWriter writes a table of strings in records of a small size.
type tableWriter struct {
	out, body []byte
	kind      uint16
	size      int
}

func (w *tableWriter) next() {
	w.out = append(w.out, record(w.kind, w.body)...)
	w.body, w.kind = nil, 0x003c
}

func (w *tableWriter) put(t *rapid.T, s string, runs, phonetic int) {
	full := wide(s)[3:]
	flags := byte(1)
	if runs > 0 {
		flags |= 8
	}
	if phonetic > 0 {
		flags |= 4
	}
	head := []byte{byte(len(full) / 2), 0, flags}
	if runs > 0 {
		head = binary.LittleEndian.AppendUint16(head, uint16(runs))
	}
	if phonetic > 0 {
		head = binary.LittleEndian.AppendUint32(head, uint32(phonetic))
	}
	if len(w.body)+len(head) > w.size {
		w.next()
	}
	at := len(w.body) + 2 // of the flags
	w.body = append(w.body, head...)
	// Excel writes each part with as few bytes as it needs.
	for first := true; ; first = false {
		part := full[:min(len(full), max(0, w.size-len(w.body))/2*2)]
		full = full[len(part):]
		narrow := rapid.Bool().Draw(t, "narrow if it can be")
		for i := 1; i < len(part); i += 2 {
			narrow = narrow && part[i] == 0
		}
		if !first {
			at = 0
		}
		if narrow {
			w.body[at] &^= 1
			for i := 0; i < len(part); i += 2 {
				w.body = append(w.body, part[i])
			}
		} else {
			w.body = append(w.body, part...)
		}
		if len(full) == 0 {
			break
		}
		w.next()
		w.body = []byte{1}
	}
	for range 4*runs + phonetic {
		if len(w.body) >= w.size {
			w.next()
		}
		w.body = append(w.body, 0xee)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	cells := func(records ...[]byte) []byte {
		return workbook(biff8, nil, sheet{name: "S", cells: join(records...)})
	}
	valid := compound([]string{"Workbook"}, cells(double(0, 0, 0, 0)))
	patch := func(file []byte, at int, v uint32) []byte {
		file = bytes.Clone(file)
		binary.LittleEndian.PutUint32(file[at:], v)
		return file
	}
	patched := func(at int, v uint32) []byte { return patch(valid, at, v) }
	// The sectors of the valid file: eight of the stream, then directory and allocation table.
	const directory, table = sector * 9, sector * 10
	for name, test := range map[string]struct {
		file []byte
		want error
	}{
		"nothing":               {nil, biff.ErrFormat},
		"text":                  {[]byte("Txn Date\tValue Date\tDescription\n"), biff.ErrFormat},
		"a web page":            {[]byte("<html><table></table></html>"), biff.ErrFormat},
		"a zip":                 {[]byte("PK\x03\x04"), biff.ErrFormat},
		"another compound file": {compound([]string{"WordDocument"}, nil), biff.ErrFormat},
		"a password":            {workbook(biff8, record(0x002f, "\x01\x00"), sheet{name: "S"}), biff.ErrEncrypted},
		"an .xlsx's password":   {compound([]string{"EncryptedPackage", "EncryptionInfo"}, nil, nil), biff.ErrEncrypted},
		"BIFF2":                 {record(0x0009, uint16(2), uint16(0x10)), biff.ErrVersion},
		"BIFF4":                 {compound([]string{"Book"}, record(0x0409, uint16(0), uint16(0x10))), biff.ErrVersion},
		"a later version":       {bof(0x0700, 5), biff.ErrVersion},
		"a sheet alone":         {join(bof(biff8, 0x10), eof()), biff.ErrDamaged},
		"zeros":                 {compound([]string{"Workbook"}, nil), biff.ErrFormat},
		"no sheet":              {workbook(biff8, nil), biff.ErrNoSheet},
		"all hidden":            {workbook(biff8, nil, sheet{name: "S", hidden: 1}), biff.ErrNoSheet},
		"too many sheets":       {workbook(biff8, nil, make([]sheet, 1001)...), biff.ErrTooLarge},
		"too many strings":      {workbook(biff8, record(0x00fc, uint32(9), uint32(1<<31))), biff.ErrTooLarge},
		"strings that lack":     {workbook(biff8, record(0x00fc, uint32(9), uint32(9), narrow("A"))), biff.ErrDamaged},
		"an endless string":     {workbook(biff8, record(0x00fc, uint32(1), uint32(1), "\xff\xff\x01A\x00")), biff.ErrDamaged},
		"endless phonetics":     {workbook(biff8, record(0x00fc, uint32(1), uint32(1), "\x00\x00\x04\xff\xff\xff\xff")), biff.ErrDamaged},
		"a short record":        {workbook(biff8, record(0x0022)), biff.ErrDamaged},
		"too many formats":      {workbook(biff8, bytes.Repeat(record(0x00e0, uint32(0)), 1<<16+1)), biff.ErrTooLarge},
		"a string beyond":       {cells(record(0x00fd, at(0, 0, 0), uint32(0))), biff.ErrDamaged},
		"too many columns":      {cells(double(0, 256, 0, 0)), biff.ErrDamaged},
		"too many in one":       {cells(record(0x00bd, uint16(0), uint16(250), bytes.Repeat([]byte("\x00\x00\x02\x00\x00\x00"), 10), uint16(259))), biff.ErrDamaged},
		"half of many":          {cells(record(0x00bd, uint16(0), uint16(0), "\x00\x00\x02\x00", uint16(0))), biff.ErrDamaged},
		"a short cell":          {cells(record(0x0203, at(0, 0, 0), "\x00")), biff.ErrDamaged},
		"no cell":               {cells(record(0x0203)), biff.ErrDamaged},
		"rows in disorder":      {cells(double(1, 0, 0, 0), double(0, 0, 0, 0)), biff.ErrDamaged},
		"a password within":     {cells(record(0x002f)), biff.ErrEncrypted},
		"charts without end":    {cells(bof(biff8, 0x20)), biff.ErrDamaged},
		"a sheet elsewhere":     {patch(cells(), 24, 7), biff.ErrDamaged},
		"a sheet beyond":        {patch(cells(), 24, 1<<31), biff.ErrDamaged},

		"too many tables":       {patched(44, 1<<30), biff.ErrDamaged},
		"too many small tables": {patched(64, 1<<30), biff.ErrDamaged},
		"too many lists":        {patched(72, 1<<30), biff.ErrDamaged},
		"a directory beyond":    {patched(48, 1<<30), biff.ErrDamaged},
		"a directory in itself": {patched(table+8*4, 8), biff.ErrDamaged},
		"a directory in a ring": {patch(patched(table+8*4, 7), table+7*4, 8), biff.ErrDamaged},
		"a stream beyond":       {patched(directory+128+116, 1<<30), biff.ErrDamaged},
		"a stream too large":    {patched(directory+128+120, 1<<30), biff.ErrDamaged},
		"a tree beyond":         {patched(directory+76, 1<<20), biff.ErrDamaged},
		"a tree in a ring":      {patched(directory+128+76, 1), biff.ErrDamaged},
		"no sector size":        {patched(30, 6<<16|31), biff.ErrDamaged},
		"a header alone":        {valid[:512], biff.ErrDamaged},
		"less than a header":    {valid[:100], biff.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rows(test.file)
			wantError(t, err, test.want)
		})
	}
}

// A file larger than any bank's is refused before it is read.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	_, err := biff.Open(bytes.NewReader(workbook(biff8, nil)), 1<<40)
	wantError(t, err, biff.ErrTooLarge)

	t.Run("cells", func(t *testing.T) {
		t.Parallel()
		// Each row has one cell, in the last column.
		var cells []byte
		for row := range 1 << 15 {
			cells = append(cells, double(row, 255, 0, 0)...)
		}
		_, err := rows(workbook(biff8, nil, sheet{name: "S", cells: cells}))
		wantError(t, err, biff.ErrTooLarge)
	})
}

// A workbook that is cut anywhere is an error.
func TestTruncated(t *testing.T) {
	t.Parallel()
	stream := workbook(biff8, record(0x00fc, uint32(1), uint32(1), narrow("A")), sheet{name: "S", cells: double(0, 0, 0, 0)})
	for n := range stream {
		if _, err := rows(stream[:n]); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(stream))
		}
	}
	file := compound([]string{"Workbook"}, stream)
	for n := 0; n < len(file); n += 64 {
		if _, err := rows(file[:n]); err == nil && n < len(file)-sector {
			t.Errorf("%d of %d bytes: no error", n, len(file))
		}
	}
}

func FuzzParse(f *testing.F) {
	stream := workbook(biff8,
		join(record(0x041e, uint16(164), narrow("dd/mm/yy")), record(0x00e0, uint16(0), uint16(164)), record(0x00fc, uint32(1), uint32(1), wide("A"))),
		sheet{name: "S", cells: join(record(0x00fd, at(0, 0, 0), uint32(0)), double(1, 1, 0, math.Float64bits(46296.5)), record(0x027e, at(2, 0, 9), uint32(3)))})
	f.Add(stream)
	f.Add(compound([]string{"Workbook"}, stream))
	f.Add(workbook(biff5, nil, sheet{name: "S", cells: record(0x0204, at(0, 0, 0), uint16(1), "A")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		book, err := open(data)
		if err != nil {
			return
		}
		for _, s := range book.Sheets {
			for row, err := range s.Rows() {
				if len(row) > 256 || err != nil && row != nil {
					t.Errorf("%d cells, error %v", len(row), err)
				}
				for _, c := range row {
					if !utf8.ValidString(c.Text) || !c.Date.IsZero() && !c.Number {
						t.Errorf("cell %+v", c)
					}
				}
			}
		}
	})
}
