package mt940

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

var (
	// Value date, entry date, mark with funds code, amount, type, references. Citibank leaves
	// blanks for an entry date it does not give, Sberbank in the type.
	linePattern = regexp.MustCompile(`^([0-9]{6})([0-9]{4})? *([A-Z]{1,3})([0-9]+[,.][0-9]*)([NFS][A-Z0-9 ]{3})(.*)$`)
	// R and E before C or D say reversal and expected; a letter behind is the funds code, the
	// third of the currency. So CR is a credit of rupees and RC takes a credit back.
	markPattern = regexp.MustCompile(`^(R|E)?(C|D)[A-Z]?$`)
	// Some banks leave out the currency of an intermediate balance.
	balancePattern = regexp.MustCompile(`^([CD])([0-9]{6})([A-Z]{3})?([0-9]+[,.][0-9]*)$`)
	// The comma is SWIFT's; a dot is taken only where it cannot group thousands.
	amountPattern = regexp.MustCompile(`^([0-9]+)(?:,([0-9]*)|\.([0-9]{2}))$`)
)

func parseLine(f field) Line {
	line := Line{Number: f.number}
	if err := line.parse(f.lines); err != nil {
		return Line{Number: f.number, Err: fmt.Errorf("line %d: %w", f.number, err)}
	}
	return line
}

func (l *Line) parse(lines []string) error {
	parts := linePattern.FindStringSubmatch(lines[0])
	if parts == nil {
		return fmt.Errorf("%w: it should be date, C or D, amount, type and reference", ErrLine)
	}
	mark := markPattern.FindStringSubmatch(parts[3])
	if mark == nil {
		return fmt.Errorf("%w: neither credit nor debit", ErrLine)
	}
	l.Reversal = mark[1] == "R"
	l.Credit = (mark[2] == "C") != l.Reversal

	var err error
	if l.ValueDate, err = parseDate(parts[1]); err != nil {
		return fmt.Errorf("%w: value date: %w", ErrLine, err)
	}
	if parts[2] != "" {
		if l.EntryDate, err = entryDate(l.ValueDate, parts[2]); err != nil {
			return fmt.Errorf("%w: entry date: %w", ErrLine, err)
		}
	}
	if l.Amount, err = parseAmount(parts[4]); err != nil {
		return fmt.Errorf("%w: amount: %w", ErrLine, err)
	}
	l.Type = strings.TrimSpace(parts[5])
	l.CustomerRef, l.BankRef, _ = strings.Cut(strings.TrimSpace(parts[6]), "//")
	l.CustomerRef, l.BankRef = strings.TrimSpace(l.CustomerRef), strings.TrimSpace(l.BankRef)
	l.Supplementary = strings.TrimSpace(strings.Join(lines[1:], " "))
	if mark[1] == "E" {
		return ErrExpected
	}
	return nil
}

func parseBalance(f field) (Balance, error) {
	parts := balancePattern.FindStringSubmatch(f.text())
	if parts == nil {
		return Balance{}, errors.New("it should be C or D, date, currency and amount")
	}
	date, err := parseDate(parts[2])
	if err != nil {
		return Balance{}, err
	}
	amount, err := parseAmount(parts[4])
	if err != nil {
		return Balance{}, err
	}
	if parts[1] == "D" {
		amount = -amount
	}
	return Balance{
		Amount: amount, Currency: money.Currency(parts[3]), Date: date,
		Intermediate: strings.HasSuffix(f.tag, "M"),
	}, nil
}

// parseAmount reads "5500,00", "620,3" and "6800,".
func parseAmount(s string) (money.Paise, error) {
	parts := amountPattern.FindStringSubmatch(s)
	if parts == nil {
		return 0, money.ErrSyntax
	}
	fraction := parts[2] + parts[3]
	if len(fraction) > 2 {
		return 0, money.ErrPrecision
	}
	if fraction == "" {
		fraction = "0"
	}
	return money.Parse(parts[1] + "." + fraction)
}

var errDate = errors.New("there is no such day")

// parseDate reads YYMMDD. By SWIFT's rule years from 80 on lie in the last century.
func parseDate(s string) (time.Time, error) {
	century := "20"
	if s >= "80" {
		century = "19"
	}
	day, err := time.Parse("20060102", century+s)
	if err != nil {
		return time.Time{}, errDate
	}
	return day, nil
}

// entryDate reads MMDD in the year that brings it next to the value date: around New Year the
// two lie in different years.
func entryDate(value time.Time, s string) (time.Time, error) {
	// The year is settled by months, lest 29 February be looked for in the wrong one.
	month, err := time.Parse("01", s[:2])
	if err != nil {
		return time.Time{}, errDate
	}
	const half = 6
	year := value.Year()
	switch apart := month.Month() - value.Month(); {
	case apart > half:
		year--
	case apart < -half:
		year++
	}
	day, err := time.Parse("20060102", fmt.Sprintf("%04d%s", year, s))
	if err != nil {
		return time.Time{}, errDate
	}
	return day, nil
}
