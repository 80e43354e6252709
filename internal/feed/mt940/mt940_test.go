package mt940_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/milaan/milaan/internal/feed/mt940"
	"github.com/milaan/milaan/money"
)

// statement is a statement with all its lines, as a test likes it.
type statement struct {
	mt940.Statement
	Lines []mt940.Line
}

func read(r io.Reader) (all []statement, err error) {
	var lines []mt940.Line
	for item, err := range mt940.Read(r) {
		switch {
		case err != nil:
			return all, err
		case item.Line != nil:
			lines = append(lines, *item.Line)
		default:
			all = append(all, statement{Statement: *item.Statement, Lines: lines})
			lines = nil
		}
	}
	return all, nil
}

func mustRead(t *testing.T, text string) []statement {
	t.Helper()
	all, err := read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// line reads a single :61: field of a statement in rupees.
func line(t *testing.T, fields string) mt940.Line {
	t.Helper()
	all := mustRead(t, ":20:X\n:25:1\n:60F:C261001INR0,00\n"+fields)
	if len(all) != 1 || len(all[0].Lines) != 1 {
		t.Fatalf("read %+v, want one line", all)
	}
	return all[0].Lines[0]
}

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

var equal = cmp.Options{
	cmpopts.IgnoreUnexported(mt940.Statement{}), cmpopts.EquateErrors(), cmpopts.EquateEmpty(),
}

const indian = `{1:F01EXMPINBBAXXX0000000000}{2:O9400900261003EXMPINBBAXXX00000000002610030900N}{4:
:20:STMT0310
:25:000123 4567
:28C:276/1
:60F:C261002INR1000,00
:61:2610021003CR2500,5NTRFNONREF//S5512
RTGS
:86:RTGS CR-EXMPR52026100312345678-ASHA TRADERS
:61:2610031003RD100,NMSC9000000001
:61:261003D0,50NCHG
:86:CHARGES
:62F:C261003INR3600,00
:64:C261003INR3600,00
:86:END OF DAY
-}{5:{CHK:ABCDEF123456}}`

func TestRead(t *testing.T) {
	t.Parallel()
	want := []statement{{
		Statement: mt940.Statement{
			Reference: "STMT0310", Account: "0001234567", Number: "276/1", Currency: "INR",
			Opening: &mt940.Balance{Amount: 100000, Currency: "INR", Date: day(2026, 10, 2)},
			Closing: &mt940.Balance{Amount: 360000, Currency: "INR", Date: day(2026, 10, 3)}, Verified: true,
		},
		Lines: []mt940.Line{
			{
				Number: 6, ValueDate: day(2026, 10, 2), EntryDate: day(2026, 10, 3), Credit: true, Amount: 250050,
				Type: "NTRF", CustomerRef: "NONREF", BankRef: "S5512", Supplementary: "RTGS",
				Details: "RTGS CR-EXMPR52026100312345678-ASHA TRADERS",
			},
			{
				Number: 9, ValueDate: day(2026, 10, 3), EntryDate: day(2026, 10, 3), Credit: true, Reversal: true, Amount: 10000,
				Type: "NMSC", CustomerRef: "9000000001",
			},
			{Number: 10, ValueDate: day(2026, 10, 3), Amount: 50, Type: "NCHG", Details: "CHARGES"},
		},
	}}
	moved := slices.Clone(want[0].Lines) // the same lines where two lines of envelope are missing
	for i := range moved {
		moved[i].Number--
	}
	bare := strings.TrimPrefix(indian, indian[:strings.Index(indian, ":20:")])
	bare = bare[:strings.LastIndex(bare, "\n")]
	plain := []statement{{Statement: want[0].Statement, Lines: moved}}
	twice := []statement{want[0], {Statement: want[0].Statement}}
	for _, l := range want[0].Lines {
		l.Number += 14 // the second envelope begins on the line where the first ends
		twice[1].Lines = append(twice[1].Lines, l)
	}
	for name, test := range map[string]struct {
		text string
		want []statement
	}{
		"as SWIFT sends it":         {indian, want},
		"two messages":              {indian + indian, twice},
		"CRLF":                      {strings.ReplaceAll(indian, "\n", "\r\n"), want},
		"CRCRLF":                    {strings.ReplaceAll(indian, "\n", "\r\r\n"), want},
		"CR":                        {strings.ReplaceAll(indian, "\n", "\r"), want},
		"UTF-8 byte order mark":     {"\ufeff" + indian, want},
		"UTF-16":                    {utf16(indian), want},
		"no envelope, no end":       {bare, plain},
		"end without envelope":      {bare + "\n-\n", plain},
		"another end":               {bare + "\n-XXX\n", plain},
		"preamble without envelope": {":940:" + "\n" + bare, want},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
				got, err := read(r)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got, equal); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func utf16(s string) string {
	out := "\xff\xfe"
	for i := range len(s) {
		out += string([]byte{s[i], 0})
	}
	return out
}

func TestMarks(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]mt940.Line{
		"261001C5500,00NTRFX":     {Credit: true, Amount: 550000},
		"261001CR5500,00NTRFX":    {Credit: true, Amount: 550000}, // R is the funds code of INR
		"261001D5500,00NTRFX":     {Amount: 550000},
		"261001DR5500,00NTRFX":    {Amount: 550000},
		"261001RC5500,00NTRFX":    {Reversal: true, Amount: 550000},
		"261001RCR5500,00NTRFX":   {Reversal: true, Amount: 550000},
		"261001RD5500,00NTRFX":    {Reversal: true, Credit: true, Amount: 550000},
		"261001RDR5500,00NTRFX":   {Reversal: true, Credit: true, Amount: 550000},
		"2610011001RC5500,00NTRF": {Reversal: true, Amount: 550000, EntryDate: day(2026, 10, 1)},
		"261001    CD0,00NTRFX":   {Credit: true},
		"261001C6800,NTRFX":       {Credit: true, Amount: 680000},
		"261001C620,3NTRFX":       {Credit: true, Amount: 62030},
		"261001C000000000025,07S": {Err: mt940.ErrLine}, // type cut off
		"261001C25,07S051":        {Credit: true, Amount: 2507, Type: "S051"},
		"261001C25.07NTRFX":       {Credit: true, Amount: 2507},
		"261001C25.070NTRFX":      {Err: money.ErrSyntax},
		"261001C1.000NTRFX":       {Err: money.ErrSyntax},
		"261001C1,001NTRFX":       {Err: money.ErrPrecision},
		"261001C1,000NTRFX":       {Err: money.ErrPrecision},
		"261001C1.000,00NTRFX":    {Err: mt940.ErrLine},
		"261001C,50NTRFX":         {Err: mt940.ErrLine},
		"261001C-1,00NTRFX":       {Err: mt940.ErrLine},
		"261001C5500NTRFX":        {Err: mt940.ErrLine},
		"261001C5500,0":           {Err: mt940.ErrLine},
		"261001R5500,00NTRFX":     {Err: mt940.ErrLine},
		"261001RR5500,00NTRFX":    {Err: mt940.ErrLine},
		"261001X5500,00NTRFX":     {Err: mt940.ErrLine},
		"2610015500,00NTRFX":      {Err: mt940.ErrLine},
		"261001c5500,00NTRFX":     {Err: mt940.ErrLine},
		"261001EC5500,00NTRFX":    {Err: mt940.ErrExpected},
		"261001ED5500,00NTRFX":    {Err: mt940.ErrExpected},
		"":                        {Err: mt940.ErrLine},

		"261001C99999999999999999999,00NTRFX": {Err: money.ErrRange},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			got := line(t, ":61:"+field)
			if !errors.Is(got.Err, want.Err) {
				t.Fatalf("error is %v, want %v", got.Err, want.Err)
			}
			if got.Err != nil && got.Amount != 0 {
				t.Errorf("a line with an error has the amount %v", got.Amount)
			}
			if got.Credit != want.Credit || got.Reversal != want.Reversal || got.Amount != want.Amount ||
				want.Type != "" && got.Type != want.Type || !want.EntryDate.IsZero() && !got.EntryDate.Equal(want.EntryDate) {
				t.Errorf("read %+v, want %+v", got, want)
			}
		})
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]struct {
		value, entry time.Time
		bad          bool
	}{
		"261231":     {value: day(2026, 12, 31)},
		"2612310101": {value: day(2026, 12, 31), entry: day(2027, 1, 1)},
		"2701021231": {value: day(2027, 1, 2), entry: day(2026, 12, 31)},
		"2806300630": {value: day(2028, 6, 30), entry: day(2028, 6, 30)},
		"2803010229": {value: day(2028, 3, 1), entry: day(2028, 2, 29)},
		"9912310102": {value: day(1999, 12, 31), entry: day(2000, 1, 2)},
		"7901010101": {value: day(2079, 1, 1), entry: day(2079, 1, 1)},
		"2703010229": {bad: true}, // no leap year
		"2602300301": {bad: true},
		"261301":     {bad: true},
		"260000":     {bad: true},
		"2610011301": {bad: true},
		"2610010000": {bad: true},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			got := line(t, ":61:"+field+"C1,00NTRFX")
			if want.bad {
				if !errors.Is(got.Err, mt940.ErrLine) {
					t.Errorf("error is %v, want %v", got.Err, mt940.ErrLine)
				}
				return
			}
			if got.Err != nil || !got.ValueDate.Equal(want.value) || !got.EntryDate.Equal(want.entry) {
				t.Errorf("read %v and %v, %v; want %v and %v", got.ValueDate, got.EntryDate, got.Err, want.value, want.entry)
			}
		})
	}
}

// A line that cannot be read does not take its neighbours along.
func TestBadLineAmongGood(t *testing.T) {
	t.Parallel()
	all := mustRead(t, `:20:X
:60F:C261001INR0,00
:61:261001C1,00NTRFA
:61:260230C5,00NTRFB
:86:STILL TOLD
:61:261001C2,00NTRFC
:62F:C261001INR8,00`)
	lines := all[0].Lines
	if len(lines) != 3 || lines[0].Amount != 100 || lines[2].Amount != 200 {
		t.Fatalf("read %+v", lines)
	}
	if !errors.Is(lines[1].Err, mt940.ErrLine) || lines[1].Number != 4 || lines[1].Details != "STILL TOLD" {
		t.Errorf("the bad line is %+v", lines[1])
	}
	if all[0].Verified || !errors.Is(all[0].Problem, mt940.ErrBalance) {
		t.Errorf("verified %t, problem %v", all[0].Verified, all[0].Problem)
	}
}

func TestDetails(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("NEFT CR-", 8) // 64 characters
	for name, test := range map[string]struct {
		lines   string
		details string
		fields  []mt940.Field
	}{
		"free text":          {lines: "UPI/526276012345/RENT", details: "UPI/526276012345/RENT"},
		"wrapped":            {lines: "UPI/526276012345\nRENT", details: "UPI/526276012345 RENT"},
		"cut in a reference": {lines: full + "E\nXMPN52026", details: full + "EXMPN52026"},
		"digits on two short lines": {
			lines: "AMOUNT 500\n526276012", details: "AMOUNT 500 526276012",
		},
		"slashes that are no code words": {lines: "/UPI/526276012345/RENT/NAME/X", details: "/UPI/526276012345/RENT/NAME/X"},
		"code words": {
			lines:   "/EREF/526276012345/ORDP//NAME/ASHA/REMI/RENT",
			details: "/EREF/526276012345/ORDP//NAME/ASHA/REMI/RENT",
			fields:  []mt940.Field{{"EREF", "526276012345"}, {"ORDP", ""}, {"NAME", "ASHA"}, {"REMI", "RENT"}},
		},
		"parts": {
			lines:   "166?00CREDIT?20UPI 526276012345?21RENT\n OCT?30EXMP0001?31112233445566?32ASHA\n?33TRADERS?60PS",
			details: "UPI 526276012345 RENT OCT PS",
			fields: []mt940.Field{
				{"00", "CREDIT"}, {"20", "UPI 526276012345"}, {"21", "RENT OCT"}, {"30", "EXMP0001"}, {"31", "112233445566"},
				{"32", "ASHA"}, {"33", "TRADERS"}, {"60", "PS"},
			},
		},
		"parts cut in a reference": {
			lines:   "?20ABCDEFGHIJKLMNOPQRSTUVW5262?2176012345",
			details: "ABCDEFGHIJKLMNOPQRSTUVW526276012345",
			fields:  []mt940.Field{{"20", "ABCDEFGHIJKLMNOPQRSTUVW5262"}, {"21", "76012345"}},
		},
		"Windows-1252":        {lines: "CAF\xc9 \x80 5", details: "CAFÉ € 5"},
		"Windows-1251":        {lines: "\xd0\xe0\xb3 526276012345", details: "Ðà³ 526276012345"},
		"control characters":  {lines: "A\x00B\tC", details: "A B C"},
		"a dash":              {lines: "RENT\n- OCTOBER", details: "RENT - OCTOBER"},
		"a colon":             {lines: "RENT\n:OCTOBER: 61:", details: "RENT :OCTOBER: 61:"},
		"a brace":             {lines: "RENT\n{OCTOBER}", details: "RENT {OCTOBER}"},
		"a second field":      {lines: "RENT\n:86:OCTOBER", details: "RENT OCTOBER"},
		"a bank's own fields": {lines: "RENT\n:NS:15ASHA", details: "RENT 15ASHA"},
		"empty":               {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := line(t, ":61:261001C1,00NTRFX\n:86:"+test.lines)
			if got.Details != test.details {
				t.Errorf("details are %q, want %q", got.Details, test.details)
			}
			if diff := cmp.Diff(test.fields, got.Fields, equal); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProof(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text     string
		verified bool
		problem  error
	}{
		"adds up":      {":60F:C261001INR1,00\n:61:261001D3,00NTRFX\n:62F:D261001INR2,00", true, nil},
		"no lines":     {":60F:C261001INR1,00\n:62F:C261001INR1,00", true, nil},
		"intermediate": {":60M:C261001INR1,00\n:62M:C2610011,00", true, nil},
		"does not add up": {
			":60F:C261001INR1,00\n:61:261001C3,00NTRFX\n:62F:C261001INR1,00", false, mt940.ErrBalance,
		},
		"a forged line in a note": {
			":60F:C261001INR1,00\n:61:261001C1,00NTRFX\n:86:RENT\n:61:261001C9000,00NTRFX\n:62F:C261001INR2,00", false, mt940.ErrBalance,
		},
		"cut short":         {":60F:C261001INR1,00\n:61:261001C3,00NTRFX", false, mt940.ErrNoClosing},
		"no opening":        {":61:261001C3,00NTRFX\n:62F:C261001INR1,00", false, mt940.ErrBalance},
		"bad opening":       {":60F:C260230INR1,00\n:62F:C261001INR1,00", false, mt940.ErrBalance},
		"bad closing":       {":60F:C261001INR1,00\n:62F:C261001INR1.000", false, mt940.ErrBalance},
		"two currencies":    {":60F:C261001INR1,00\n:62F:C261001USD1,00", false, mt940.ErrBalance},
		"within the day":    {":34F:INR0,00\n:13D:2610011200+0530\n:61:261001C3,00NTRFX\n:90C:1INR3,00", false, nil},
		"expected entries":  {":60F:C261001INR1,00\n:61:261001EC3,00NTRFX\n:62F:C261001INR1,00", true, nil},
		"more than any sum": {":60F:C261001INR90000000000000000,00\n:61:261001C90000000000000000,00NTRFX\n:62F:C261001INR1,00", false, money.ErrOverflow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := mustRead(t, ":20:X\n:25:1\n"+test.text+"\n-")
			if len(all) != 1 {
				t.Fatalf("read %d statements", len(all))
			}
			if all[0].Verified != test.verified || !errors.Is(all[0].Problem, test.problem) {
				t.Errorf("verified %t, problem %v; want %t, %v", all[0].Verified, all[0].Problem, test.verified, test.problem)
			}
		})
	}
}

func TestIntraday(t *testing.T) {
	t.Parallel()
	all := mustRead(t, ":20:X\n:25:1\n:34F:INRD10,00\n:34F:INRC10,00\n:61:261001C3,00NTRFX\n")
	if s := all[0]; !s.Interim || s.Currency != money.INR || len(s.Lines) != 1 {
		t.Errorf("read %+v", s)
	}
	// Some banks tell the time in an MT940, too.
	for _, text := range []string{":13D:2610011200+0530\n:60F:C261001INR0,00", ":60F:C261001INR0,00\n:13D:2610011200+0530"} {
		if mustRead(t, ":20:X\n:25:1\n"+text)[0].Interim {
			t.Errorf("%q is taken for an MT942", text)
		}
	}
}

func TestSeveralStatements(t *testing.T) {
	t.Parallel()
	text := `:20:A
:25:1
:60F:C261001INR0,00
:61:261001C1,00NTRFX
:62F:C261001INR1,00
:25:2
:60F:C261001USD0,00
:61:261001CD2,00NTRFX
:62F:C261001USD2,00
:60F:C261002USD2,00
:62F:C261002USD2,00
:20:B
:25:3
`
	var got []string
	for _, s := range mustRead(t, text) {
		got = append(got, fmt.Sprint(s.Reference, " ", s.Account, " ", s.Currency, " ", len(s.Lines), " ", s.Verified))
	}
	want := []string{"A 1 INR 1 true", "A 2 USD 1 true", "A 2 USD 0 true", "B 3  0 false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file io.Reader
		want error
	}{
		"nothing":          {strings.NewReader(""), mt940.ErrFormat},
		"a web page":       {strings.NewReader("<html>:61:</html>"), mt940.ErrFormat},
		"a csv":            {strings.NewReader("Date,Amount\n01/10/2026,5\n"), mt940.ErrFormat},
		"zeros":            {io.LimitReader(endless("\x00"), 1<<20), mt940.ErrTooLong},
		"an endless line":  {endless("A"), mt940.ErrTooLong},
		"an endless field": {io.MultiReader(strings.NewReader(":86:"), endless("A\n")), mt940.ErrTooLong},
		"empty lines":      {io.MultiReader(strings.NewReader(":86:"), endless("\n")), mt940.ErrTooLong},
		"a broken reader":  {io.MultiReader(strings.NewReader(":20:X\n"), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(test.file); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
}

// endless repeats a text for ever.
type endless string

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e[i%len(e)]
	}
	return len(b), nil
}

// However a file is cut, what is read was in the whole file, and a statement that was cut is
// not verified.
func TestTruncated(t *testing.T) {
	t.Parallel()
	whole := mustRead(t, indian)[0]
	end := strings.Index(indian, ",00\n:64:")
	for n := range end {
		all, err := read(strings.NewReader(indian[:n]))
		if err != nil && !errors.Is(err, mt940.ErrFormat) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for _, s := range all {
			if s.Verified {
				t.Errorf("%d bytes: verified", n)
			}
			for i, l := range s.Lines {
				if l.Err == nil && (l.Amount != whole.Lines[i].Amount || l.Credit != whole.Lines[i].Credit) {
					t.Errorf("%d bytes: line %d is %v, credit %t", n, l.Number, l.Amount, l.Credit)
				}
			}
		}
	}
}

// The reader may stop at any item.
func TestStop(t *testing.T) {
	t.Parallel()
	for stop := range 4 {
		next, done := iter.Pull2(mt940.Read(strings.NewReader(indian)))
		for range stop {
			if _, _, ok := next(); !ok {
				t.Fatalf("no item before the %dth", stop)
			}
		}
		done()
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(indian))
	f.Add([]byte(":20:X\n:25:1\n:60F:C261001INR0,00\n:61:2610011001RDR1,5S   X//Y\nZ\n:86:166?20A?21B\n:62F:C261001INR1,50\n-"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := read(bytes.NewReader(data))
		if err == nil && len(all) == 0 {
			t.Error("neither a statement nor an error")
		}
		for _, s := range all {
			sum := money.Paise(0)
			for _, l := range s.Lines {
				if l.Amount < 0 || l.Err != nil && l.Amount != 0 {
					t.Errorf("amount %v, error %v", l.Amount, l.Err)
				}
				if l.Err == nil && l.ValueDate.IsZero() {
					t.Error("no date, no error")
				}
				if !utf8.ValidString(l.Details + l.CustomerRef + l.BankRef + l.Supplementary) {
					t.Error("text is not UTF-8")
				}
				if l.Credit {
					sum += l.Amount
				} else {
					sum -= l.Amount
				}
			}
			if s.Verified && (s.Problem != nil || s.Opening.Amount+sum != s.Closing.Amount) {
				t.Errorf("verified %v + %v = %v, problem %v", s.Opening.Amount, sum, s.Closing.Amount, s.Problem)
			}
		}
	})
}
