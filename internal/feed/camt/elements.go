package camt

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/milaan/milaan/money"
)

// The elements of the messages, as far as they are read. Where versions differ, both forms
// are here. Tags without a namespace match any.

type amountElement struct {
	Currency string `xml:"Ccy,attr"`
	Text     string `xml:",chardata"`
}

// amountPattern is stricter than money.Parse: XML has neither groups nor, here, exponents.
var amountPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

func (a amountElement) parse() (money.Paise, money.Currency, error) {
	text := strings.TrimSpace(a.Text)
	if !amountPattern.MatchString(text) {
		return 0, "", money.ErrSyntax
	}
	amount, err := money.Parse(text)
	if err != nil {
		return 0, "", err
	}
	currency, err := money.ParseCurrency(a.Currency)
	if err != nil {
		return 0, "", err
	}
	return amount, currency, nil
}

// dateElement is a day or a time.
type dateElement struct {
	Date string `xml:"Dt"`
	Time string `xml:"DtTm"`
}

var errDate = errors.New("there is no such day")

// parse gives the day as written and, where it is known, the moment in UTC.
func (d dateElement) parse() (day, at time.Time, err error) {
	text := strings.TrimSpace(d.Time)
	if text == "" {
		text = strings.TrimSpace(d.Date)
	}
	if text == "" {
		return day, at, nil
	}
	// XML lets a zone follow a day, too; the day counts as it is written.
	date, rest := text[:min(len(text), len(time.DateOnly))], text[min(len(text), len(time.DateOnly)):]
	if day, err = time.Parse(time.DateOnly, date); err != nil {
		return day, at, errDate
	}
	if !strings.HasPrefix(rest, "T") {
		return day, at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return day, at.UTC(), nil
	}
	if _, err = time.Parse("2006-01-02T15:04:05", text); err == nil {
		return day, time.Time{}, nil // nobody knows in which zone
	}
	return time.Time{}, time.Time{}, errDate
}

// choice is a code or the bank's own word, and in version 2 of the status plain text.
type choice struct {
	Text        string `xml:",chardata"`
	Code        string `xml:"Cd"`
	Proprietary string `xml:"Prtry"`
}

func (c choice) String() string {
	return clean(first(c.Code, c.Proprietary, c.Text))
}

type accountElement struct {
	IBAN     string `xml:"Id>IBAN"`
	Other    string `xml:"Id>Othr>Id"`
	Proxy    string `xml:"Prxy>Id"`
	Currency string `xml:"Ccy"`
}

func (a accountElement) number() string { return clean(first(a.IBAN, a.Other)) }

type balanceElement struct {
	Type   choice        `xml:"Tp>CdOrPrtry"`
	Amount amountElement `xml:"Amt"`
	Mark   string        `xml:"CdtDbtInd"`
	Date   dateElement   `xml:"Dt"`
}

func (e balanceElement) parse() Balance {
	b := Balance{Code: e.Type.String()}
	credit, err := parseMark(e.Mark)
	if err != nil {
		b.Err = fmt.Errorf("%w: %w", ErrBalance, err)
		return b
	}
	if b.Amount, b.Currency, err = e.Amount.parse(); err != nil {
		return Balance{Code: b.Code, Err: fmt.Errorf("%w: %w", ErrBalance, err)}
	}
	if !credit {
		b.Amount = -b.Amount
	}
	if b.Day, _, err = e.Date.parse(); err != nil {
		return Balance{Code: b.Code, Err: fmt.Errorf("%w: %w", ErrBalance, err)}
	}
	return b
}

type partyElement struct {
	Name      string `xml:"Nm"`
	PartyName string `xml:"Pty>Nm"` // from version 8 on
}

func (p partyElement) party(a accountElement) Party {
	return Party{Name: clean(first(p.PartyName, p.Name)), Account: a.number(), Proxy: clean(a.Proxy)}
}

type codeElement struct {
	Domain      string `xml:"Domn>Cd"`
	Family      string `xml:"Domn>Fmly>Cd"`
	Subfamily   string `xml:"Domn>Fmly>SubFmlyCd"`
	Proprietary string `xml:"Prtry>Cd"`
}

func (c codeElement) code() string {
	if c.Domain == "" {
		return ""
	}
	return clean(c.Domain) + "/" + clean(c.Family) + "/" + clean(c.Subfamily)
}

type batchElement struct {
	Count string `xml:"NbOfTxs"`
}

type transactionElement struct {
	Refs struct {
		EndToEnd       string `xml:"EndToEndId"`
		Instruction    string `xml:"InstrId"`
		Transaction    string `xml:"TxId"`
		UETR           string `xml:"UETR"`
		Servicer       string `xml:"AcctSvcrRef"`
		ClearingSystem string `xml:"ClrSysRef"`
		Proprietary    string `xml:"Prtry>Ref"`
	} `xml:"Refs"`
	Amount    *amountElement `xml:"Amt"`               // from version 3 on
	OldAmount *amountElement `xml:"AmtDtls>TxAmt>Amt"` // in version 2 the only one
	Mark      string         `xml:"CdtDbtInd"`
	Code      codeElement    `xml:"BkTxCd"`
	Parties   struct {
		Debtor          partyElement   `xml:"Dbtr"`
		DebtorAccount   accountElement `xml:"DbtrAcct"`
		Creditor        partyElement   `xml:"Cdtr"`
		CreditorAccount accountElement `xml:"CdtrAcct"`
	} `xml:"RltdPties"`
	Remittance struct {
		Free       []string `xml:"Ustrd"`
		Structured []struct {
			Reference  string   `xml:"CdtrRefInf>Ref"`
			Additional []string `xml:"AddtlRmtInf"`
		} `xml:"Strd"`
	} `xml:"RmtInf"`
	Return *struct {
		Reason     choice   `xml:"Rsn"`
		Additional []string `xml:"AddtlInf"`
	} `xml:"RtrInf"`
	Info string `xml:"AddtlTxInf"`
}

// amount is the transaction's own amount; ok is false where the bank gives none.
func (t *transactionElement) amount() (element amountElement, ok bool) {
	switch {
	case t.Amount != nil:
		return *t.Amount, true
	case t.OldAmount != nil:
		return *t.OldAmount, true
	}
	return amountElement{}, false
}

// fill sets what a transaction adds to its entry.
func (t *transactionElement) fill(e *Entry) {
	e.Refs.EndToEnd = clean(t.Refs.EndToEnd)
	e.Refs.Instruction = clean(t.Refs.Instruction)
	e.Refs.Transaction = clean(t.Refs.Transaction)
	e.Refs.UETR = clean(t.Refs.UETR)
	e.Refs.Servicer = clean(t.Refs.Servicer)
	e.Refs.ClearingSystem = clean(t.Refs.ClearingSystem)
	e.Refs.Proprietary = clean(t.Refs.Proprietary)
	e.Code = first(t.Code.code(), e.Code)
	e.BankCode = first(clean(t.Code.Proprietary), e.BankCode)
	e.Debtor = t.Parties.Debtor.party(t.Parties.DebtorAccount)
	e.Creditor = t.Parties.Creditor.party(t.Parties.CreditorAccount)
	e.Info = clean(t.Info)

	remittance := []string{unwrap(t.Remittance.Free)}
	for _, s := range t.Remittance.Structured {
		e.CreditorReference = first(e.CreditorReference, clean(s.Reference))
		remittance = append(remittance, unwrap(s.Additional))
	}
	e.Remittance = clean(strings.Join(remittance, " "))
	if t.Return != nil {
		e.Returned = true
		e.ReturnReason = clean(t.Return.Reason.String() + " " + unwrap(t.Return.Additional))
	}
}

// unwrap joins a text that the bank cut into pieces. Pieces that fill the 140 characters of
// Max140Text were cut wherever they ended, within a reference even.
func unwrap(pieces []string) string {
	const width = 140
	var b strings.Builder
	for i, piece := range pieces {
		if i > 0 && len([]rune(pieces[i-1])) < width {
			b.WriteByte(' ')
		}
		b.WriteString(piece)
	}
	return b.String()
}

// parseMark reads CdtDbtInd.
func parseMark(s string) (credit bool, err error) {
	switch strings.TrimSpace(s) {
	case "CRDT":
		return true, nil
	case "DBIT":
		return false, nil
	}
	return false, errors.New("neither CRDT nor DBIT")
}

// parseBool reads xs:boolean; absent is false.
func parseBool(s string) (bool, error) {
	switch strings.TrimSpace(s) {
	case "true", "1":
		return true, nil
	case "", "false", "0":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// clean makes one line of an element's text.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// first is the first text that is not blank.
func first(texts ...string) string {
	for _, s := range texts {
		if strings.TrimSpace(s) != "" {
			return s
		}
	}
	return ""
}

var namespacePattern = regexp.MustCompile(`camt\.05[234]\.001\.([0-9]{2})$`)

// messages are the elements that hold the accounts, and the name of the account's element.
var messages = map[string]struct {
	kind    Kind
	account string
}{
	"BkToCstmrAcctRpt":      {Report, "Rpt"},
	"BkToCstmrStmt":         {Statement, "Stmt"},
	"BkToCstmrDbtCdtNtfctn": {Notification, "Ntfctn"},
}
