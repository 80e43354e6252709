package bulkfile

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// A pain.001.001.09 message, CustomerCreditTransferInitiationV09 of ISO 20022, as
// far as a payout by IMPS needs it. The elements stand in the order of the schema.
type (
	initiation struct {
		XMLName xml.Name     `xml:"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09 Document"`
		Header  groupHeader  `xml:"CstmrCdtTrfInitn>GrpHdr"`
		Debits  []paymentInf `xml:"CstmrCdtTrfInitn>PmtInf"`
	}

	groupHeader struct {
		ID      string `xml:"MsgId"`
		Created string `xml:"CreDtTm"`
		Count   int    `xml:"NbOfTxs"`
		Sum     string `xml:"CtrlSum"`
		Name    string `xml:"InitgPty>Nm"`
	}

	paymentInf struct {
		ID      string  `xml:"PmtInfId"`
		Method  string  `xml:"PmtMtd"`
		Batch   bool    `xml:"BtchBookg"`
		Count   int     `xml:"NbOfTxs"`
		Sum     string  `xml:"CtrlSum"`
		Date    string  `xml:"ReqdExctnDt>Dt"`
		Name    string  `xml:"Dbtr>Nm"`
		Account account `xml:"DbtrAcct"`
		Agent   agent   `xml:"DbtrAgt"`
		Charges string  `xml:"ChrgBr"`

		Transfers []transfer `xml:"CdtTrfTxInf"`
	}

	transfer struct {
		Instruction string  `xml:"PmtId>InstrId"`
		EndToEnd    string  `xml:"PmtId>EndToEndId"`
		Service     string  `xml:"PmtTpInf>SvcLvl>Prtry"`
		Instrument  string  `xml:"PmtTpInf>LclInstrm>Prtry"`
		Amount      amount  `xml:"Amt>InstdAmt"`
		Agent       agent   `xml:"CdtrAgt"`
		Name        string  `xml:"Cdtr>Nm"`
		Account     account `xml:"CdtrAcct"`
		Remittance  string  `xml:"RmtInf>Ustrd"`
	}

	amount struct {
		Currency money.Currency `xml:"Ccy,attr"`
		Value    string         `xml:",chardata"`
	}

	account struct {
		Number   upi.AccountNumber `xml:"Id>Othr>Id"`
		Currency money.Currency    `xml:"Ccy,omitempty"`
	}

	agent struct {
		System string   `xml:"FinInstnId>ClrSysMmbId>ClrSysId>Cd"`
		Member upi.IFSC `xml:"FinInstnId>ClrSysMmbId>MmbId"`
	}
)

// infsc is the Indian Financial System Code in the external code set of clearing
// systems (ISO 20022, ExternalClearingSystemIdentification1Code).
const infsc = "INFSC"

// maxDigits are the digits ISO 20022 lets an amount or a control sum have.
const maxDigits = 18

// WritePain001 writes one pain.001.001.09 message of that id (letters and digits,
// at most 35), with one payment information for each batch. The batches have
// their own ids and accounts, and no order stands in two of them. The first
// batch's time and debtor are the message's. The error wraps ErrBatch when the
// batches cannot be written, and nothing is.
func WritePain001(w io.Writer, id string, batches ...Batch) error {
	if !batchPattern.MatchString(id) {
		return fmt.Errorf("%w: the message's id must be 1 to 35 letters and digits", ErrBatch)
	}
	if len(batches) == 0 {
		return fmt.Errorf("%w: there are none", ErrBatch)
	}
	message := initiation{Header: groupHeader{
		ID:      id,
		Created: batches[0].At.UTC().Format(time.RFC3339),
		Name:    batches[0].Debit.Name,
	}}
	var sum money.Paise
	ids, accounts, references := map[string]bool{}, map[upi.AccountNumber]bool{}, map[string]bool{}
	for i := range batches {
		batch := &batches[i]
		total, err := batch.total()
		if err != nil {
			return err
		}
		if ids[batch.ID] || accounts[batch.Debit.Account] {
			return fmt.Errorf("%w: two batches have one id or one account", ErrBatch)
		}
		ids[batch.ID], accounts[batch.Debit.Account] = true, true
		for _, order := range batch.Orders {
			if references[order.Reference] {
				return fmt.Errorf("%w: %s is in two batches", ErrBatch, order.Reference)
			}
			references[order.Reference] = true
		}
		if sum, err = sum.Add(total); err != nil || len(sum.Fixed()) > maxDigits+1 {
			return fmt.Errorf("%w: the sum is more than a message can hold", ErrBatch)
		}
		message.Debits = append(message.Debits, batch.paymentInf(total))
		message.Header.Count += len(batch.Orders)
	}
	message.Header.Sum = sum.Fixed()

	var text bytes.Buffer
	text.WriteString(xml.Header)
	encoder := xml.NewEncoder(&text)
	encoder.Indent("", "  ")
	if err := encoder.Encode(&message); err != nil {
		return fmt.Errorf("write pain.001: %w", err)
	}
	text.WriteByte('\n')
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write pain.001: %w", err)
	}
	return nil
}

func (b *Batch) paymentInf(total money.Paise) paymentInf {
	inf := paymentInf{
		ID:     b.ID,
		Method: "TRF",
		// Every payout is its own line of the statement, which is what confirms it.
		Batch:   false,
		Count:   len(b.Orders),
		Sum:     total.Fixed(),
		Date:    b.day().Format(time.DateOnly),
		Name:    b.Debit.Name,
		Account: account{Number: b.Debit.Account, Currency: money.INR},
		Agent:   agent{infsc, b.Debit.IFSC},
		// The beneficiary gets the whole amount: what the bank takes, the debtor pays.
		Charges:   "DEBT",
		Transfers: make([]transfer, 0, len(b.Orders)),
	}
	for i := range b.Orders {
		inf.Transfers = append(inf.Transfers, b.transfer(&b.Orders[i]))
	}
	return inf
}

func (b *Batch) transfer(o *payout.Order) transfer {
	remittance := o.Reference
	if b.Note != "" {
		remittance += " " + b.Note
	}
	return transfer{
		Instruction: o.Reference,
		EndToEnd:    o.Reference,
		Service:     "IMPS",
		Instrument:  "IMPS",
		Amount:      amount{money.INR, o.Amount.Fixed()},
		Agent:       agent{infsc, o.IFSC},
		Name:        beneficiary(o),
		Account:     account{Number: o.Account},
		Remittance:  remittance[:min(len(remittance), 140)], // ASCII: checked with the batch
	}
}
