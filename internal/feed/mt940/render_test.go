package mt940_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/feed/mt940"
	"github.com/milaan/milaan/money"
)

// What is written as MT940 reads back the same.
func TestWriteAndReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawStatement), 1, 3).Draw(t, "statements")
		w := writer{
			newline:  rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline"),
			envelope: rapid.Bool().Draw(t, "envelope"),
			code:     rapid.SampledFrom([]string{"", "R"}).Draw(t, "funds code"),
		}
		for i := range want {
			w.statement(&want[i])
		}
		got, err := read(strings.NewReader(w.String()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("%s\n%s", w.String(), diff)
		}
	})
}

func drawStatement(t *rapid.T) statement {
	days := rapid.Custom(func(t *rapid.T) time.Time {
		return day(2020, 1, 1).AddDate(0, 0, rapid.IntRange(0, 365*20).Draw(t, "day"))
	})
	amounts := rapid.Int64Range(0, 1e13)
	reference := rapid.StringMatching(`[A-Z0-9]{1,16}`)
	s := statement{Statement: mt940.Statement{
		Reference: reference.Draw(t, "reference"), Account: reference.Draw(t, "account"),
		Number: rapid.StringMatching(`[0-9]{1,5}/[0-9]{1,3}`).Draw(t, "number"), Currency: money.INR,
		Opening: &mt940.Balance{
			Amount: money.Paise(rapid.Int64Range(-1e13, 1e13).Draw(t, "opening")), Currency: money.INR, Date: days.Draw(t, "opening date"),
		},
		Verified: true,
	}}
	sum := s.Opening.Amount
	for range rapid.IntRange(0, 5).Draw(t, "lines") {
		l := mt940.Line{
			ValueDate: days.Draw(t, "value date"),
			Credit:    rapid.Bool().Draw(t, "credit"), Reversal: rapid.Bool().Draw(t, "reversal"),
			Amount:      money.Paise(amounts.Draw(t, "amount")),
			Type:        rapid.StringMatching(`[NFS][A-Z0-9]{3}`).Draw(t, "type"),
			CustomerRef: reference.Draw(t, "customer reference"),
			Details: rapid.StringMatching(`([A-Z]{1,5}[A-Z0-9/.-]{1,90}( [A-Z0-9/.-]{1,70}){0,3})?`).
				Filter(writable).Draw(t, "details"),
		}
		if rapid.Bool().Draw(t, "with a bank reference") {
			l.BankRef = reference.Draw(t, "bank reference")
		}
		if rapid.Bool().Draw(t, "with an entry date") {
			l.EntryDate = l.ValueDate.AddDate(0, 0, rapid.IntRange(-100, 100).Draw(t, "days between"))
		}
		if l.Credit {
			sum += l.Amount
		} else {
			sum -= l.Amount
		}
		s.Lines = append(s.Lines, l)
	}
	s.Closing = &mt940.Balance{Amount: sum, Currency: money.INR, Date: days.Draw(t, "closing date")}
	return s
}

// writable reports whether details can be written: no line of them may be the "-" that ends
// a message, which SWIFT forbids and a reader can't tell from the end.
func writable(details string) bool {
	return !slices.ContainsFunc(wrap(details), func(line string) bool { return line == "-" || line == "-XXX" })
}

// wrap cuts details into lines of SWIFT's width.
func wrap(details string) []string {
	var lines []string
	for part := range slices.Chunk([]byte(details), 65) {
		lines = append(lines, string(part))
	}
	return lines
}

// writer writes statements as a bank does, and notes in them on which line each entry stands.
type writer struct {
	strings.Builder
	newline  string
	envelope bool
	code     string
	lines    int
}

func (w *writer) line(format string, args ...any) {
	w.lines++
	w.WriteString(fmt.Sprintf(format, args...) + w.newline)
}

func (w *writer) statement(s *statement) {
	if w.envelope {
		w.line("{1:F01EXMPINBBAXXX0000000000}{2:I940EXMPINBBXXXXN}{4:")
	}
	w.line(":20:%s", s.Reference)
	w.line(":25:%s", s.Account)
	w.line(":28C:%s", s.Number)
	w.line(":60F:%s", balance(s.Opening))
	for i := range s.Lines {
		l := &s.Lines[i]
		entry, mark, bank := "", "D", ""
		if !l.EntryDate.IsZero() {
			entry = l.EntryDate.Format("0102")
		}
		if l.Credit != l.Reversal {
			mark = "C"
		}
		if l.Reversal {
			mark = "R" + mark
		}
		if l.BankRef != "" {
			bank = "//" + l.BankRef
		}
		w.line(":61:%s%s%s%s%s%s%s%s", l.ValueDate.Format("060102"), entry, mark, w.code, comma(l.Amount), l.Type, l.CustomerRef, bank)
		l.Number = w.lines
		for n, part := range wrap(l.Details) {
			if n == 0 {
				part = ":86:" + part
			}
			w.line("%s", part)
		}
	}
	w.line(":62F:%s", balance(s.Closing))
	if w.envelope {
		w.line("-}")
	} else {
		w.line("-")
	}
}

func balance(b *mt940.Balance) string {
	mark, amount := "C", b.Amount
	if amount < 0 {
		mark, amount = "D", -amount
	}
	return mark + b.Date.Format("060102") + string(b.Currency) + comma(amount)
}

func comma(p money.Paise) string { return strings.Replace(p.Fixed(), ".", ",", 1) }
