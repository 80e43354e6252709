package month

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// The wallets of the month.
const (
	hdfc  = "mela-hdfc"
	icici = "mela-icici"
	sbi   = "khel-sbi"
	axis  = "khel-axis"
)

// account is a wallet as its bank sees it: what moved on it, and how the bank
// tells of that.
type account struct {
	wallet string
	alerts string // the feed by which it tells at once
	file   string // the feed of its statements; empty for none
	sender string // header of its SMS; empty where it posts JSON
	text   func(line) string
	table  func([]line, money.Paise) ([]byte, error) // of lines and the balance before them
	start  money.Paise                               // before the first line
	lines  []line
}

// line is one movement on an account.
type line struct {
	at        time.Time
	out       bool
	amount    money.Paise
	utr       upi.UTR // empty for what is no transfer
	from      payer
	narration string // as a statement has it; empty for that of a payment by UPI
}

func accounts() map[string]*account {
	list := []*account{
		{wallet: hdfc, alerts: "hdfc-phone", file: "hdfc-statement", sender: "VM-HDFCBK-S", text: hdfcText, table: hdfcTable, start: 25_000 * money.Rupee},
		{wallet: icici, alerts: "icici-phone", file: "icici-statement", sender: "AD-ICICIT-S", text: iciciText, table: iciciTable, start: 10_000 * money.Rupee},
		{wallet: sbi, alerts: "sbi-phone", sender: "VM-SBIUPI-S", text: sbiText},
		{wallet: axis, alerts: "axis-json"},
	}
	byWallet := make(map[string]*account, len(list))
	for _, a := range list {
		byWallet[a.wallet] = a
	}
	return byWallet
}

// The texts are of the banks' own forms, the payments in them of nobody.

func hdfcText(l line) string {
	return fmt.Sprintf("Credit Alert!\nRs.%s credited to HDFC Bank A/c xx4821 on %s from VPA %s (UPI %s)",
		l.amount.Fixed(), l.at.In(india).Format("02-01-06"), l.from.vpa, l.utr)
}

func iciciText(l line) string {
	return fmt.Sprintf("Dear Customer, Acct XX103 is credited with Rs %s on %s from %s. UPI:%s-ICICI Bank.",
		l.amount.Fixed(), l.at.In(india).Format("02-Jan-06"), strings.ToUpper(l.from.name), l.utr)
}

// iciciNews is how the bank words it of late: milaan does not know that yet.
func iciciNews(l line) string {
	return fmt.Sprintf("ICICI Bank: %s sent you money! Rs %s is now in XX103. Track it under %s in the app.",
		strings.ToUpper(l.from.name), l.amount.Fixed(), l.utr)
}

func sbiText(l line) string {
	return fmt.Sprintf("Dear SBI User, your A/c X7745-credited by Rs.%s on %s transfer from %s Ref No %s -SBI",
		l.amount.Fixed(), l.at.In(india).Format("02Jan06"), strings.ToUpper(l.from.name), l.utr)
}

// body is what the phones and the bank's hook post of lines.
func (a *account) body(lines []line) ([]byte, error) {
	if a.sender != "" {
		type message struct {
			Sender string `json:"sender"`
			Text   string `json:"text"`
		}
		texts := make([]message, len(lines))
		for i, l := range lines {
			texts[i] = message{a.sender, a.text(l)}
		}
		return json.Marshal(texts)
	}
	type credit struct {
		UTR       upi.UTR        `json:"utr"`
		Amount    string         `json:"amount"`
		Currency  money.Currency `json:"currency"`
		PayerVPA  string         `json:"payer_vpa"`
		PayerName string         `json:"payer_name"`
		At        time.Time      `json:"at"`
	}
	var report struct {
		Credits []credit `json:"credits"`
	}
	for _, l := range lines {
		report.Credits = append(report.Credits, credit{l.utr, l.amount.String(), money.INR, l.from.vpa, l.from.name, l.at.In(india).Truncate(time.Second)})
	}
	return json.Marshal(report)
}

// statement is the file of the days from one midnight to another.
func (a *account) statement(from, to time.Time) ([]byte, error) {
	balance := a.start
	var within []line
	slices.SortStableFunc(a.lines, func(x, y line) int { return x.at.Compare(y.at) })
	for _, l := range a.lines {
		switch {
		case !l.at.Before(to):
		case l.at.Before(from):
			balance += l.moved()
		default:
			within = append(within, l)
		}
	}
	return a.table(within, balance)
}

// balances stand above a statement's table.
func balances(opening money.Paise, lines []line) [][]string {
	closing := opening
	for _, l := range lines {
		closing += l.moved()
	}
	return [][]string{{"Opening Balance", opening.Fixed()}, {"Closing Balance", closing.Fixed()}}
}

// moved is what a line does to the balance.
func (l line) moved() money.Paise {
	if l.out {
		return -l.amount
	}
	return l.amount
}

func hdfcTable(lines []line, balance money.Paise) ([]byte, error) {
	rows := append(balances(balance, lines), []string{"Date", "Narration", "Value Dat", "Debit Amount", "Credit Amount", "Chq/Ref Number", "Closing Balance"})
	for _, l := range lines {
		balance += l.moved()
		day := l.at.In(india).Format("02/01/06")
		narration := cmp.Or(l.narration, fmt.Sprintf("UPI-%s-%s-DEMO0000001-%s-UPI", strings.ToUpper(l.from.name), strings.ToUpper(l.from.vpa), l.utr))
		debit, credit := amounts(l)
		rows = append(rows, []string{day, narration, day, debit, credit, fmt.Sprintf("%016s", string(l.utr)), balance.Fixed()})
	}
	return table(rows)
}

func iciciTable(lines []line, balance money.Paise) ([]byte, error) {
	rows := append(balances(balance, lines), []string{
		"S No.", "Value Date", "Transaction Date", "Cheque Number", "Transaction Remarks", "Withdrawal Amount (INR )", "Deposit Amount (INR )", "Balance (INR )",
	})
	for i, l := range lines {
		balance += l.moved()
		day := l.at.In(india).Format("02/01/2006")
		narration := cmp.Or(l.narration, fmt.Sprintf("UPI/%s/order/%s/Demo Bank", l.utr, l.from.vpa))
		debit, credit := amounts(l)
		rows = append(rows, []string{fmt.Sprint(i + 1), day, day, "-", narration, debit, credit, balance.Fixed()})
	}
	return table(rows)
}

func amounts(l line) (debit, credit string) {
	if l.out {
		return l.amount.Fixed(), "0.00"
	}
	return "0.00", l.amount.Fixed()
}

func table(rows [][]string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("write a statement: %w", err)
	}
	return out.Bytes(), nil
}

// references makes UTRs of the shape that NPCI gives them: the year's last digit,
// the day of the year, the hour, and six digits.
type references struct {
	dice *rand.Rand
	used map[upi.UTR]bool
}

func (r *references) next(at time.Time) upi.UTR {
	for {
		t := at.In(india)
		utr := upi.UTR(fmt.Sprintf("%d%03d%02d%06d", t.Year()%10, t.YearDay(), t.Hour(), r.dice.IntN(1_000_000)))
		if !r.used[utr] {
			r.used[utr] = true
			return utr
		}
	}
}
