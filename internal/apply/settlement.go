package apply

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/directory"
	withdrawals "github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

var (
	// holderPattern is what the protocol lets an account's holder be called
	// (section 6, account_name).
	holderPattern = regexp.MustCompile(`^[a-zA-Z ]{1,30}$`)
	clockPattern  = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
)

// lastDay is the last day of the month that every month has.
const lastDay = 28

// readSettlement reads where a merchant's balance is paid out to.
func readSettlement(v value) *directory.Settlement {
	o := v.object("account_number", "account_name", "ifsc", "method", "schedule", "day", "at", "least", "keep")
	o.need("account_number", "account_name", "ifsc", "method")
	return &directory.Settlement{
		Account:  upi.AccountNumber(o.unshown("account_number", checkWholeAccount)),
		Name:     o.matching("account_name", checkHolder),
		IFSC:     upi.IFSC(o.matching("ifsc", checkIFSC)),
		Method:   o.matching("method", checkType),
		Schedule: o.schedule(),
		Least:    o.rupees("least"),
		Keep:     o.rupees("keep"),
	}
}

// schedule reads the days and the time of settlements; none are on demand.
func (o object) schedule() directory.Schedule {
	var s directory.Schedule
	if !o.has("schedule") {
		for _, key := range []string{"day", "at"} {
			if o.has(key) {
				o.field(key).wrong("needs schedule beside it: add daily, weekdays, weekly or monthly, or remove this line")
			}
		}
		return s
	}
	s.Every = directory.Interval(o.matching("schedule",
		oneOf(string(directory.Daily), string(directory.Weekdays), string(directory.Weekly), string(directory.Monthly))))
	o.need("at")
	o.matching("at", func(text string) (string, error) {
		if !clockPattern.MatchString(text) {
			return "", errors.New("is no time of day: write hours and minutes in quotes, such as '18:00'")
		}
		at, err := time.Parse("15:04", text)
		s.At = at.Hour()*60 + at.Minute()
		return text, err
	})
	switch s.Every {
	case directory.Weekly:
		o.need("day")
		o.matching("day", func(text string) (string, error) {
			for day := time.Sunday; day <= time.Saturday; day++ {
				if text == directory.WeekdayName(day) {
					s.Weekday = day
					return text, nil
				}
			}
			return "", errors.New("is no day of the week: use sun, mon, tue, wed, thu, fri, sat")
		})
	case directory.Monthly:
		o.need("day")
		o.matching("day", func(text string) (string, error) {
			day, err := strconv.Atoi(text)
			if err != nil || day < 1 || day > lastDay {
				return "", fmt.Errorf("is no day that every month has: use 1 to %d", lastDay)
			}
			s.Day = day
			return text, nil
		})
	case directory.Daily, directory.Weekdays:
		if o.has("day") {
			o.field("day").wrong("is for a weekly or monthly schedule: remove this line")
		}
	}
	return s
}

// unshown is matching for what no message repeats.
func (o object) unshown(key string, check func(string) (string, error)) string {
	v, ok := o.fields[key]
	if !ok {
		return ""
	}
	s, ok := v.oneLine()
	if !ok {
		return ""
	}
	out, err := check(s)
	if err != nil {
		v.wrong("%v", err)
	}
	return out
}

func checkWholeAccount(s string) (string, error) {
	account, err := upi.ParseAccountNumber(s)
	if err != nil || strings.Trim(string(account), string(account[:1])) == "" {
		return "", errors.New("is no account number: write its 9 to 18 digits in quotes, without spaces")
	}
	return string(account), nil
}

func checkHolder(s string) (string, error) {
	if !holderPattern.MatchString(s) || strings.TrimSpace(s) != s {
		return "", errors.New("is no name that banks take: use up to 30 letters and spaces")
	}
	return s, nil
}

func checkIFSC(s string) (string, error) {
	branch, err := upi.ParseIFSC(s)
	if err != nil {
		return "", errors.New("is no IFSC: it has four letters, a zero and six letters or digits, such as HDFC0000001")
	}
	known, err := withdrawals.BankKnown(branch)
	if err != nil {
		return "", err
	}
	if !known {
		return "", fmt.Errorf("is of no bank that is known: check the first four letters, %s", branch.Bank())
	}
	return string(branch), nil
}

// settlement is what the file wants, with the times of what stays as it was. What
// is new has no times yet: they are those of storing it.
func settlement(want *directory.Settlement, old *directory.Merchant) *directory.Settlement {
	if want == nil {
		return nil
	}
	s := *want
	if old == nil || old.Settlement == nil {
		return &s
	}
	have := old.Settlement
	if s.SameAccount(have) {
		s.RegisteredAt = have.RegisteredAt
	}
	if s.Schedule.Same(have.Schedule) && !old.Retired {
		s.Schedule.Since = have.Schedule.Since
	}
	return &s
}

// register dates the accounts and schedules that a change declares.
func register(change *directory.Change, now time.Time) {
	for _, m := range change.Merchants {
		s := m.Settlement
		if s == nil || m.Retired {
			continue
		}
		s.RegisteredAt = cmp.Or(s.RegisteredAt, now)
		if s.Schedule.On() {
			s.Schedule.Since = cmp.Or(s.Schedule.Since, now)
		}
	}
}

// checkSettlements reports accounts that no payout desk would pay.
func (p *planner) checkSettlements() {
	pays := make(map[string]bool)
	for i := range p.file.payouts.items {
		pays[p.file.payouts.items[i].want.Method] = true
	}
	if !p.file.payouts.declared {
		for _, d := range p.current.Payouts {
			pays[d.Method] = pays[d.Method] || !d.Retired
		}
	}
	for i := range p.file.merchants.items {
		spec := &p.file.merchants.items[i]
		s := spec.want.Settlement
		if s == nil || pays[s.Method] {
			continue
		}
		spec.field("settlement").pairs(func(key string, at value) {
			if key == "method" {
				p.wrong(at, "no payout desk pays by %s: declare one under payouts, or name the method of one that is there", quote(s.Method))
			}
		})
	}
}

// settlementAttributes are the fields of a settlement; empty where there is none.
func settlementAttributes(s *directory.Settlement) []attribute {
	if s == nil {
		s = &directory.Settlement{}
	}
	amount := func(name string, p money.Paise) attribute {
		if p == 0 {
			return attribute{name: name}
		}
		return rupees(name, p)
	}
	account := attribute{name: "settlement.account_number", text: string(s.Account)}
	if s.Account != "" {
		account.shown = s.Account.Masked()
	}
	return []attribute{
		account,
		{name: "settlement.account_name", text: s.Name},
		{name: "settlement.ifsc", text: string(s.IFSC)},
		{name: "settlement.method", text: s.Method},
		{name: "settlement.schedule", text: scheduleText(s.Schedule)},
		amount("settlement.least", s.Least),
		amount("settlement.keep", s.Keep),
	}
}

func scheduleText(s directory.Schedule) string {
	if !s.On() {
		return ""
	}
	text := string(s.Every)
	if day := s.DayName(); day != "" {
		text += " " + day
	}
	return text + " at " + s.Clock()
}
