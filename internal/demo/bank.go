package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Errors of the bank; their text is meant for whoever pays.
var (
	ErrNoPayee    = errors.New("nobody has this UPI ID in the sandbox: copy it from the shop's payment page")
	ErrNoTransfer = errors.New("there is no such transfer")
	ErrPayerName  = errors.New("type a name of up to 60 characters")
	ErrMuch       = errors.New("a UPI payment is ₹1,00,000 at most")
	ErrWhen       = errors.New("choose when the bank reports the payment")
	ErrHow        = errors.New("choose how to pay")
	ErrFull       = errors.New("the sandbox bank keeps no more transfers: start a new demo")
)

// When says at which time the bank reports a transfer to the gateway.
type When string

// The times to report at.
const (
	AtOnce When = "now"
	Soon   When = "soon" // after BankConfig.Soon
	Held   When = "held" // when somebody releases it
)

// How says what a payer does with the amount that was asked for.
type How string

// The ways to pay: as asked, with another amount, and with two transfers, each
// of the whole amount and with a UTR of its own.
const (
	Asked How = "asked"
	Wrong How = "wrong"
	Twice How = "twice"
)

// wrongAmount is one rupee less than asked for, or more where that leaves
// nothing.
func wrongAmount(asked money.Paise) money.Paise {
	if asked > money.Rupee {
		return asked - money.Rupee
	}
	return asked + money.Rupee
}

// Account is an account at the sandbox bank: a wallet of the gateway, and the
// feed that reports what comes in on it.
type Account struct {
	VPA   upi.VPA
	Name  string
	Feed  string
	Token string
}

// BankConfig is what a bank works with; every field is needed.
type BankConfig struct {
	Gateway  string // base URL of the gateway's feeds
	Accounts []Account
	Soon     time.Duration // the delay of Soon
	File     string        // where the transfers are kept
	Now      func() time.Time
	Log      *slog.Logger
}

// Bank is a sandbox: its UPI app moves money that does not exist, and it
// reports what came in as a bank's feed does.
type Bank struct {
	config BankConfig
	client *http.Client

	mu        sync.Mutex
	transfers []*Transfer // oldest first

	closed chan struct{}
	later  sync.WaitGroup // reports that wait for their time
}

// NewBank opens a bank with the transfers that its file has.
func NewBank(c BankConfig) (*Bank, error) {
	b := &Bank{config: c, client: &http.Client{}, closed: make(chan struct{})}
	return b, load(c.File, &b.transfers)
}

// Close drops the reports that wait for their time; they can be released when
// the bank is opened again.
func (b *Bank) Close() {
	close(b.closed)
	b.later.Wait()
}

// Payment is what a payer fills in.
type Payment struct {
	Payee     upi.VPA
	Note      string // shown on the receipt; may be empty
	PayerVPA  upi.VPA
	PayerName string
	Amount    money.Paise // that was asked for
	How       How
	When      When
}

// Transfer is a payment that was made; Amount is what was moved.
type Transfer struct {
	Payment
	PayeeName string
	UTR       upi.UTR
	Twin      upi.UTR   // the other one of a payment made twice; else empty
	At        time.Time // UTC
	Reports   []Report
}

// Report is one time the bank told the gateway of a transfer.
type Report struct {
	Exchange
	Accepted, Duplicate, Matched int
	Failed                       string // why it did not get through; empty where it did
}

// Reported says whether the gateway knows the transfer.
func (t *Transfer) Reported() bool {
	return slices.ContainsFunc(t.Reports, func(r Report) bool { return r.Failed == "" })
}

// Matched says whether a report of the transfer settled a claim that waited.
func (t *Transfer) Matched() bool {
	return slices.ContainsFunc(t.Reports, func(r Report) bool { return r.Matched > 0 })
}

// Last is the newest report, or nil.
func (t *Transfer) Last() *Report {
	if len(t.Reports) == 0 {
		return nil
	}
	return &t.Reports[len(t.Reports)-1]
}

func (t *Transfer) clone() *Transfer {
	c := *t
	c.Reports = slices.Clone(t.Reports)
	return &c
}

// Bounds of what the sandbox takes.
const (
	maxPayment   = 1_00_000 * money.Rupee // NPCI's general limit of a UPI payment
	maxPayerName = 60                     // characters
	mostReports  = 10                     // of one transfer
	mostTransfer = 5000
)

func (p Payment) validate() error {
	switch name := strings.TrimSpace(p.PayerName); {
	case name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxPayerName || strings.ContainsFunc(name, unicode.IsControl):
		return ErrPayerName
	case p.Amount > maxPayment:
		return ErrMuch
	case p.When != AtOnce && p.When != Soon && p.When != Held:
		return ErrWhen
	case p.How != Asked && p.How != Wrong && p.How != Twice:
		return ErrHow
	default:
		return nil
	}
}

func (b *Bank) account(vpa upi.VPA) (Account, bool) {
	i := slices.IndexFunc(b.config.Accounts, func(a Account) bool { return a.VPA.Equal(vpa) })
	if i < 0 {
		return Account{}, false
	}
	return b.config.Accounts[i], true
}

// Pay makes a transfer, or two where the payment is made twice, and reports
// when the payment says. It returns the first. That a report fails is no error
// of the payment: it is written down beside it.
func (b *Bank) Pay(ctx context.Context, p Payment) (*Transfer, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	account, ok := b.account(p.Payee)
	if !ok {
		return nil, ErrNoPayee
	}
	utrs, err := b.book(p, account)
	if err != nil {
		return nil, err
	}
	for _, utr := range utrs {
		switch p.When {
		case AtOnce:
			if _, err := b.Report(ctx, utr); err != nil {
				return nil, err
			}
		case Soon:
			b.later.Go(func() { b.reportSoon(context.WithoutCancel(ctx), utr) })
		case Held:
		}
	}
	return b.Transfer(utrs[0])
}

func (b *Bank) reportSoon(ctx context.Context, utr upi.UTR) {
	select {
	case <-time.After(b.config.Soon):
		if _, err := b.Report(ctx, utr); err != nil {
			b.config.Log.WarnContext(ctx, "a transfer was not reported", "error", err)
		}
	case <-b.closed:
	}
}

// book writes down the one or two transfers of a payment.
func (b *Bank) book(p Payment, account Account) (utrs []upi.UTR, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := &Transfer{Payment: p, PayeeName: account.Name, At: b.config.Now().UTC()}
	first.PayerName = strings.TrimSpace(p.PayerName)
	made := []*Transfer{first}
	switch p.How {
	case Asked:
	case Wrong:
		first.Amount = wrongAmount(p.Amount)
	case Twice:
		made = append(made, first.clone())
	}
	if len(b.transfers)+len(made) > mostTransfer {
		return nil, ErrFull
	}
	for _, t := range made {
		for t.UTR == "" || b.find(t.UTR) != nil {
			if t.UTR, err = randomUTR(); err != nil {
				return nil, err
			}
		}
		utrs, b.transfers = append(utrs, t.UTR), append(b.transfers, t)
	}
	if p.How == Twice {
		made[0].Twin, made[1].Twin = utrs[1], utrs[0]
	}
	return utrs, save(b.config.File, b.transfers)
}

// randomUTR makes a reference of the shape of UPI's: 12 digits.
func randomUTR() (upi.UTR, error) {
	const least, span = 100_000_000_000, 900_000_000_000
	n, err := rand.Int(rand.Reader, big.NewInt(span))
	if err != nil {
		return "", fmt.Errorf("make a UTR: %w", err)
	}
	return upi.ParseRRN(n.Add(n, big.NewInt(least)).String())
}

// find needs the lock.
func (b *Bank) find(utr upi.UTR) *Transfer {
	for _, t := range b.transfers {
		if t.UTR == utr {
			return t
		}
	}
	return nil
}

// Transfer finds a transfer, or fails with ErrNoTransfer.
func (b *Bank) Transfer(utr upi.UTR) (*Transfer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.find(utr); t != nil {
		return t.clone(), nil
	}
	return nil, ErrNoTransfer
}

// Transfers lists the latest transfers, newest first.
func (b *Bank) Transfers() []*Transfer {
	const most = 200
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*Transfer
	for _, t := range slices.Backward(b.transfers) {
		if len(list) == most {
			break
		}
		list = append(list, t.clone())
	}
	return list
}

// Report tells the gateway of a transfer, for the first time or again. What
// came of it is the transfer's last report.
func (b *Bank) Report(ctx context.Context, utr upi.UTR) (*Transfer, error) {
	t, err := b.Transfer(utr)
	if err != nil {
		return nil, err
	}
	account, ok := b.account(t.Payee)
	if !ok {
		return t, ErrNoPayee
	}
	gateway := caller{base: b.config.Gateway, token: account.Token, client: b.client, now: b.config.Now}
	s, x, err := gateway.report(ctx, account.Feed, credit{
		UTR: t.UTR, Amount: t.Amount.String(), Currency: money.INR,
		PayerVPA: t.PayerVPA, PayerName: t.PayerName, Note: t.Note, At: t.At.In(india).Truncate(time.Second),
	})
	report := Report{Exchange: x, Accepted: s.Accepted, Duplicate: s.Duplicate, Matched: s.Matched}
	switch {
	case err != nil:
		report.Failed = err.Error()
	case len(s.Refused) > 0:
		report.Failed = s.Refused[0].Error
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.find(utr)
	if len(kept.Reports) >= mostReports {
		kept.Reports = kept.Reports[1:]
	}
	kept.Reports = append(kept.Reports, report)
	return kept.clone(), save(b.config.File, b.transfers)
}
