package camt

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/milaan/milaan/money"
)

// errStop says that the reader of the items has had enough.
var errStop = errors.New("stop")

// parser walks through the message. Every method that takes a start element reads up to its
// end.
type parser struct {
	yield  func(Item, error) bool
	tokens *tokens
	xml    *xml.Decoder
}

func newParser(r io.Reader, yield func(Item, error) bool) *parser {
	t := newTokens(r)
	return &parser{yield: yield, tokens: t, xml: xml.NewTokenDecoder(t)}
}

// document looks for the message, which may stand in an envelope.
func (p *parser) document() error {
	found := false
	for {
		token, err := p.xml.Token()
		if errors.Is(err, io.EOF) {
			if !found {
				return ErrFormat
			}
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		message, ok := messages[start.Name.Local]
		if !ok {
			continue
		}
		found = true
		version := 0
		if parts := namespacePattern.FindStringSubmatch(start.Name.Space); parts != nil {
			version, _ = strconv.Atoi(parts[1])
		}
		err = p.children(func(child xml.StartElement) error {
			if child.Name.Local != message.account {
				return p.xml.Skip()
			}
			return p.account(&Account{Kind: message.kind, Version: version})
		})
		if err != nil {
			return err
		}
	}
}

// children calls read for each element within the current one, up to its end.
func (p *parser) children(read func(xml.StartElement) error) error {
	for {
		token, err := p.xml.Token()
		if errors.Is(err, io.EOF) {
			return ErrXML
		}
		if err != nil {
			return damaged(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := read(token); err != nil {
				return damaged(err)
			}
		case xml.EndElement:
			return nil
		}
	}
}

// decode reads a small element.
func (p *parser) decode(into any, start xml.StartElement) error {
	return p.tokens.within(maxTransaction, func() error { return p.xml.DecodeElement(into, &start) })
}

func (p *parser) account(a *Account) error {
	err := p.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "Id":
			return p.text(&a.ID, child)
		case "CpyDplctInd":
			var indicator string
			err := p.text(&indicator, child)
			a.Duplicate = indicator == "DUPL" || indicator == "CODU"
			return err
		case "Acct":
			var e accountElement
			if err := p.decode(&e, child); err != nil {
				return err
			}
			a.Number = e.number()
			if currency, err := money.ParseCurrency(e.Currency); err == nil {
				a.Currency = currency
			}
			return nil
		case "Bal":
			var e balanceElement
			if err := p.decode(&e, child); err != nil {
				return err
			}
			if len(a.Balances) == maxBalances {
				return ErrTooLarge
			}
			a.Balances = append(a.Balances, e.parse())
			return nil
		case "Ntry":
			return p.tokens.within(maxEntry, func() error { return p.entry(a) })
		default:
			return p.xml.Skip()
		}
	})
	if err != nil {
		return err
	}
	a.prove()
	return p.give(Item{Account: a})
}

func (p *parser) give(item Item) error {
	if !p.yield(item, nil) {
		return errStop
	}
	return nil
}

func (p *parser) text(into *string, start xml.StartElement) error {
	err := p.decode(into, start)
	*into = clean(*into)
	return err
}

func (p *parser) entry(a *Account) error {
	e := entryElement{line: p.tokens.line()}
	err := p.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "Amt":
			return p.decode(&e.amount, child)
		case "CdtDbtInd":
			return p.text(&e.mark, child)
		case "RvslInd":
			return p.text(&e.reversal, child)
		case "Sts":
			return p.decode(&e.status, child)
		case "BookgDt":
			return p.decode(&e.booking, child)
		case "ValDt":
			return p.decode(&e.value, child)
		case "BkTxCd":
			return p.decode(&e.code, child)
		case "NtryRef":
			return p.text(&e.ref, child)
		case "AcctSvcrRef":
			return p.text(&e.servicer, child)
		case "AddtlNtryInf":
			return p.text(&e.info, child)
		case "NtryDtls":
			return p.details(&e)
		default:
			return p.xml.Skip()
		}
	})
	if err != nil {
		return err
	}
	whole := e.parse(a.Kind)
	a.add(whole)
	for entry := range e.payments(whole) {
		if err := p.give(Item{Account: a, Entry: &entry}); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) details(e *entryElement) error {
	listed, counted := 0, 0
	err := p.children(func(child xml.StartElement) error {
		switch child.Name.Local {
		case "Btch":
			var batch batchElement
			if err := p.decode(&batch, child); err != nil {
				return err
			}
			counted, _ = strconv.Atoi(strings.TrimSpace(batch.Count)) // what is no number counts nothing
			return nil
		case "TxDtls":
			if len(e.transactions) == maxTransactions {
				return ErrTooLarge
			}
			var transaction transactionElement
			if err := p.decode(&transaction, child); err != nil {
				return err
			}
			listed++
			e.transactions = append(e.transactions, transaction)
			return nil
		default:
			return p.xml.Skip()
		}
	})
	e.unlisted += max(0, counted-listed)
	return err
}
