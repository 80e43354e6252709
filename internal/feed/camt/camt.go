// Package camt reads the bank statements of ISO 20022: camt.053 (statement), camt.052 (report
// within the day) and camt.054 (notification of single entries), versions 001.02 to 001.13 of
// each, whatever namespace or envelope they come in. The element names and their meaning are
// those of ISO 20022's message definition report "Bank-to-Customer Cash Management".
//
// It reads a file as a stream. There are no document types and so no entities in these
// messages: a file with one is refused.
//
// What is known of an entry only if the file is whole, such as that the balances prove the
// entries, comes at its end: before money is credited from a file, read it to the end once.
package camt

import (
	"errors"
	"io"
	"iter"
	"time"

	"github.com/milaan/milaan/money"
)

// Why a file or a part of it was not read.
var (
	// ErrFormat: the file is no camt.052, 053 or 054 message.
	ErrFormat = errors.New("not a camt.052, camt.053 or camt.054 message: download the file from the bank again in one of these formats")
	// ErrXML: the file is not well-formed XML, or cut short.
	ErrXML = errors.New("the XML is damaged or cut short: download the file from the bank again")
	// ErrDTD: the file has a document type, which no bank's message has.
	ErrDTD = errors.New("the XML has a document type, which a bank's message never has")
	// ErrTooLarge: something in the file is larger or nested deeper than in any bank's message.
	ErrTooLarge = errors.New("a part of the XML is larger or deeper than in any bank's message")
	// ErrEntry: an entry lacks what it must have, or holds an amount or date that is none.
	ErrEntry = errors.New("not a readable entry")
	// ErrBatch: the transactions of an entry do not add up to its amount.
	ErrBatch = errors.New("the transactions do not add up to their entry")
	// ErrBalance: opening balance and entries do not add up to the closing balance.
	ErrBalance = errors.New("the balances do not prove the entries")
)

// Kind is the message a statement came in.
type Kind string

// The kinds of message. Only a Statement is final; the others tell of entries that the day's
// statement tells again.
const (
	Report       Kind = "camt.052"
	Statement    Kind = "camt.053"
	Notification Kind = "camt.054"
)

// Account is one account's part of a message (Stmt, Rpt, Ntfctn) besides its entries. While
// entries are read, Verified and Problem are not known; they are with the item that ends it.
type Account struct {
	Kind    Kind
	Version int // of the message: 2 for camt.053.001.02; 0 where the namespace does not say
	ID      string
	// Number is the IBAN, else the bank's own number of the account; "" when absent.
	Number   string
	Currency money.Currency // "" when absent
	// Duplicate says that the bank sends this a second time (CpyDplctInd DUPL or CODU).
	Duplicate bool
	Balances  []Balance
	// Verified says that the opening balance and the booked entries add up to the closing
	// balance (OPBD or PRCD, and CLBD).
	Verified bool
	// Problem says why this should not be trusted as a whole; it wraps ErrBalance. It is nil
	// where there are no balances to prove anything.
	Problem error

	sum         money.Paise // of the booked entries
	sumCurrency money.Currency
	addError    error // why they cannot be added up
}

// Balance is one balance of the account.
type Balance struct {
	Code     string      // OPBD, CLBD, PRCD, ITBD, CLAV … or the bank's own
	Amount   money.Paise // below zero for a debit balance; in 1/100 of the currency
	Currency money.Currency
	Day      time.Time // midnight UTC
	Err      error     // why it could not be read; only Code counts then
}

// Entry is one payment: a transaction of an entry (Ntry/NtryDtls/TxDtls), or the entry itself
// where it names none.
type Entry struct {
	Line int // where its Ntry starts in the file, from 1
	// Status is as written, such as BOOK, PDNG or INFO. Booked is true for BOOK alone, and in a
	// camt.053, which by its definition holds booked entries, where the bank leaves it out.
	Status string
	Booked bool
	// Credit says that it adds to the account. With Reversal it undoes a debit then, else it
	// undoes a credit.
	Credit   bool
	Reversal bool
	Amount   money.Paise // never negative; in 1/100 of the currency
	Currency money.Currency
	// BookingDay and ValueDay are days as written, as midnight UTC; zero when absent.
	BookingDay time.Time
	ValueDay   time.Time
	// BookedAt is the time of booking in UTC; zero where the file gives none or not its zone.
	BookedAt time.Time
	// Code is the bank transaction code "PMNT/RCDT/ESCT", BankCode the bank's own.
	Code     string
	BankCode string
	Refs     Refs
	Debtor   Party
	Creditor Party
	// Remittance is what the payer wrote (Ustrd, AddtlRmtInf); CreditorReference what the
	// merchant asked for (CdtrRefInf).
	Remittance        string
	CreditorReference string
	Info              string // AddtlTxInf
	EntryInfo         string // AddtlNtryInf, the same for all transactions of an entry
	// Returned says that it is a payment that came back (RtrInf).
	Returned     bool
	ReturnReason string
	// Batch is of how many payments it is the sum, where the bank says so and does not list
	// them; else 0.
	Batch int
	// Err says why it cannot be used: ErrEntry or ErrBatch. Then it stands for a whole Ntry.
	Err error
}

// Refs are the references of a payment. All but those of the entry belong to it alone.
type Refs struct {
	EndToEnd       string // EndToEndId; "NOTPROVIDED" is left as it is
	Instruction    string // InstrId
	Transaction    string // TxId
	UETR           string
	Servicer       string // Refs/AcctSvcrRef
	ClearingSystem string // ClrSysRef
	Proprietary    string // Prtry/Ref
	Entry          string // NtryRef
	EntryServicer  string // Ntry/AcctSvcrRef
}

// Party is one side of a payment.
type Party struct {
	Name    string
	Account string // IBAN, else another number or address, such as a VPA
	Proxy   string // what the account is known by, such as a VPA or a mobile number
}

// Item is an entry of an account, or with a nil Entry the account's end.
type Item struct {
	Account *Account // the same pointer for all items of an account
	Entry   *Entry
}

// Read reads a message in the order of the file, holding one entry at a time.
//
// An error ends the iteration: ErrFormat, ErrXML, ErrDTD, ErrTooLarge or the reader's own.
func Read(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		p := newParser(r, yield)
		if err := p.document(); err != nil && !errors.Is(err, errStop) {
			yield(Item{}, err)
		}
	}
}
