// Package bulkfile writes payouts as the files a bank's corporate internet banking
// takes, and reads the files it gives back: ISO 20022 pain.001 and pain.002, and
// tables whose columns a layout describes (docs/payout-files.md).
//
// A file is written whole or not at all: one order that cannot be written exactly
// refuses all of them, since a file of which the bank drops a row is a payout
// nobody is waiting for. And nothing read here is paid without a definite status
// of the bank: what a file does not say for certain is payout.Unclear.
//
// The package opens nothing but the layout file that Open is given.
package bulkfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Why a file is refused; wrapped by the errors of this package.
var (
	// ErrBatch: the batch cannot be written as it is.
	ErrBatch = errors.New("the payouts cannot be written to a file")
	// ErrLayout: the layout is not one that can be used.
	ErrLayout = errors.New("not a usable layout")
	// ErrFile: the bank's file is damaged or of another layout.
	ErrFile = errors.New("the file cannot be read")
	// ErrContradiction: the file's own counts or totals disagree with its rows, so
	// that nothing in it is trusted.
	ErrContradiction = errors.New("the file contradicts itself, nothing was read from it")
	// ErrTooLarge: the file is larger than a bank's answer can be.
	ErrTooLarge = errors.New("the file is too large")
)

// Batch is what goes to the bank in one file: orders paid from one account.
type Batch struct {
	// ID names the file to the bank: letters and digits, at most 35. A file that is
	// made again for the same orders keeps it.
	ID string
	// At is when the file is made, UTC. The payouts are to be made on that day in
	// India.
	At time.Time
	// Sequence counts the files of the day from 1; only some file names need it.
	Sequence int
	Debit    Debit
	// Note is what the payer's statement shows beside the reference; optional.
	Note string
	// Email is where the bank sends its advices; optional.
	Email string
	// Orders are what is paid, all from one wallet.
	Orders []payout.Order
}

// Debit is the account the orders are paid from.
type Debit struct {
	Account upi.AccountNumber
	IFSC    upi.IFSC
	Name    string // of the account's holder
	// Codes are what the bank gave its customer to write in files, by the names a
	// layout has for them, such as "client_code".
	Codes map[string]string
}

// Result is what a file of the bank says of one order.
type Result struct {
	// Reference is the order's; empty where the row holds none that could be one.
	Reference string
	// Amount is what the file says was to be paid, 0 where it does not say. The
	// caller compares it: a row of another amount is not the order's.
	Amount money.Paise
	payout.Answer
}

// maxOrders bounds the rows of a file, both ways; banks take far fewer.
const maxOrders = 100_000

var (
	referencePattern = regexp.MustCompile(`^[A-Z0-9]{1,20}$`) // payout.Order
	batchPattern     = regexp.MustCompile(`^[A-Za-z0-9]{1,35}$`)
	// namePattern is the names the protocol lets merchants give (section 6), after
	// white space is made single spaces. A name that starts with a sign would be a
	// formula to whoever opens the file in a spreadsheet.
	namePattern = regexp.MustCompile(`^[A-Za-z]+( [A-Za-z]+)*$`)
	// plainPattern is what the operator's own texts may hold: printable ASCII but double
	// quotes, which no two banks read the same way.
	plainPattern = regexp.MustCompile(`^[ !#-~]*$`)
)

// total checks every order and gives their sum.
func (b *Batch) total() (money.Paise, error) {
	switch {
	case !batchPattern.MatchString(b.ID):
		return 0, fmt.Errorf("%w: its id must be 1 to 35 letters and digits", ErrBatch)
	case b.At.IsZero():
		return 0, fmt.Errorf("%w: it has no time", ErrBatch)
	case len(b.Orders) == 0:
		return 0, fmt.Errorf("%w: there are none", ErrBatch)
	case len(b.Orders) > maxOrders:
		return 0, fmt.Errorf("%w: more than %d in one file", ErrBatch, maxOrders)
	}
	if err := b.Debit.check(); err != nil {
		return 0, err
	}
	for what, text := range map[string]string{"note": b.Note, "e-mail address": b.Email} {
		if !plain(text) {
			return 0, fmt.Errorf("%w: the %s must be plain letters, digits and signs without quotes", ErrBatch, what)
		}
	}
	var sum money.Paise
	seen := make(map[string]bool, len(b.Orders))
	for i := range b.Orders {
		order := &b.Orders[i]
		if err := checkOrder(order); err != nil {
			return 0, err
		}
		if seen[order.Reference] {
			return 0, fmt.Errorf("%w: %s is in it twice", ErrBatch, order.Reference)
		}
		seen[order.Reference] = true
		if order.Wallet != b.Orders[0].Wallet {
			return 0, fmt.Errorf("%w: %s is paid from another wallet", ErrBatch, order.Reference)
		}
		var err error
		if sum, err = sum.Add(order.Amount); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrBatch, err)
		}
	}
	return sum, nil
}

func (d *Debit) check() error {
	if account, err := upi.ParseAccountNumber(string(d.Account)); err != nil || account != d.Account {
		return fmt.Errorf("%w: the account to pay from has no valid number", ErrBatch)
	}
	if ifsc, err := upi.ParseIFSC(string(d.IFSC)); err != nil || ifsc != d.IFSC {
		return fmt.Errorf("%w: the account to pay from has no valid IFSC", ErrBatch)
	}
	if len(d.Name) > 140 || strings.TrimSpace(d.Name) == "" || !plain(d.Name) {
		return fmt.Errorf("%w: the holder of the account to pay from must have a name of plain letters, digits and signs", ErrBatch)
	}
	for name, code := range d.Codes {
		if !plain(code) {
			return fmt.Errorf("%w: the bank's code %q must be plain letters, digits and signs without quotes", ErrBatch, name)
		}
	}
	return nil
}

// checkOrder holds an order to what every bank's file can carry. Its errors name
// the order, and nothing of the beneficiary.
func checkOrder(o *payout.Order) error {
	if !referencePattern.MatchString(o.Reference) {
		return fmt.Errorf("%w: %.24q is no reference: 1 to 20 capitals and digits", ErrBatch, o.Reference)
	}
	refuse := func(why string) error { return fmt.Errorf("%w: %s: %s", ErrBatch, o.Reference, why) }
	if account, err := upi.ParseAccountNumber(string(o.Account)); err != nil || account != o.Account {
		return refuse("no valid account number")
	}
	if ifsc, err := upi.ParseIFSC(string(o.IFSC)); err != nil || ifsc != o.IFSC {
		return refuse("no valid IFSC")
	}
	if name := beneficiary(o); len(name) > 140 || !namePattern.MatchString(name) {
		return refuse("the beneficiary's name must be letters and spaces")
	}
	if o.Amount <= 0 {
		return refuse("the amount must be above zero")
	}
	if o.Currency != money.INR {
		return refuse("only rupees can be paid")
	}
	return nil
}

// beneficiary is the name with every run of white space as one space: the
// protocol lets a name hold tabs and line ends, a file does not.
func beneficiary(o *payout.Order) string { return strings.Join(strings.Fields(o.Name), " ") }

// day is when the payouts are made: the file's day in India.
func (b *Batch) day() time.Time { return b.At.In(feed.India()) }

// plain reports whether a text of the operator's is safe in every file. What
// starts as a formula does is not, whatever follows.
func plain(text string) bool { return plainPattern.MatchString(text) && !formula(text) }

// formula reports whether a spreadsheet might calculate the cell (OWASP, CSV
// injection).
func formula(cell string) bool {
	cell = strings.TrimLeft(cell, " ")
	return cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0]))
}

// tell merges what a file says of the same order more than once. Where it says
// different things, nothing is known.
func tell(results []Result) []Result {
	index := make(map[string]int, len(results))
	told := results[:0:0]
	for _, result := range results {
		at, again := index[result.Reference]
		switch {
		case result.Reference == "" || !again:
			index[result.Reference] = len(told)
			told = append(told, result)
		case told[at] != result:
			told[at] = Result{Reference: result.Reference, Answer: unclear("the file tells of it more than once, and differently")}
		}
	}
	return told
}

func unclear(why string) payout.Answer { return payout.Answer{Standing: payout.Unclear, Why: why} }

var (
	digits    = regexp.MustCompile(`[0-9]{6,}`)
	reference = regexp.MustCompile(`^[A-Za-z0-9/]{4,35}$`)
)

// reason is a text of the bank's as it may be kept and shown: without account
// numbers, without what is not printable, and short.
func reason(text string) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = digits.ReplaceAllString(strings.Join(strings.Fields(text), " "), "xxxx")
	const shown = 140
	if runes := []rune(text); len(runes) > shown {
		return string(runes[:shown]) + "…"
	}
	return text
}

// bankReference is the bank's reference where the text is one. Spreadsheets turn
// long numbers into 6.03E+11, which is none.
func bankReference(text string) string {
	text = strings.TrimSpace(text)
	if utr, err := upi.ParseUTR(text); err == nil {
		return string(utr)
	}
	if reference.MatchString(text) && strings.ContainsAny(text, "0123456789") {
		return text
	}
	return ""
}

// join is what milaan says of an answer, and what the bank said.
func join(ours, theirs string) string {
	if theirs == "" {
		return ours
	}
	return ours + "; " + theirs
}

const refusedCopy = "refused as a copy: the first may have been paid"

// twice recognises a refusal that tells nothing of the payment: the bank refuses
// the second copy, and may have paid the first.
var twice = regexp.MustCompile(`(?i)duplicat|already (paid|processed|exist)`)
