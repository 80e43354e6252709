package bulkfile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// A pain.002 message, CustomerPaymentStatusReport of ISO 20022, as far as it
// tells what became of payouts. The elements are the same from version 03 on.
type (
	statusReport struct {
		XMLName  xml.Name
		Group    groupStatus     `xml:"CstmrPmtStsRpt>OrgnlGrpInfAndSts"`
		Payments []paymentStatus `xml:"CstmrPmtStsRpt>OrgnlPmtInfAndSts"`
	}

	groupStatus struct {
		Message once           `xml:"OrgnlMsgId"`
		Kind    once           `xml:"OrgnlMsgNmId"`
		Count   once           `xml:"OrgnlNbOfTxs"`
		Sum     once           `xml:"OrgnlCtrlSum"`
		Status  once           `xml:"GrpSts"`
		Reasons []statusReason `xml:"StsRsnInf"`
		Per     []perStatus    `xml:"NbOfTxsPerSts"`
	}

	paymentStatus struct {
		ID           once                `xml:"OrgnlPmtInfId"`
		Count        once                `xml:"OrgnlNbOfTxs"`
		Sum          once                `xml:"OrgnlCtrlSum"`
		Status       once                `xml:"PmtInfSts"`
		Reasons      []statusReason      `xml:"StsRsnInf"`
		Per          []perStatus         `xml:"NbOfTxsPerSts"`
		Transactions []transactionStatus `xml:"TxInfAndSts"`
	}

	perStatus struct {
		Count  once `xml:"DtldNbOfTxs"`
		Status once `xml:"DtldSts"`
		Sum    once `xml:"DtldCtrlSum"`
	}

	transactionStatus struct {
		Instruction once           `xml:"OrgnlInstrId"`
		EndToEnd    once           `xml:"OrgnlEndToEndId"`
		Status      once           `xml:"TxSts"`
		Reasons     []statusReason `xml:"StsRsnInf"`
		AtBank      once           `xml:"AcctSvcrRef"`
		AtClearing  once           `xml:"ClrSysRef"`
		Amount      *instructed    `xml:"OrgnlTxRef>Amt>InstdAmt"`
	}

	instructed struct {
		Currency string `xml:"Ccy,attr"`
		Value    string `xml:",chardata"`
	}

	statusReason struct {
		Code        string   `xml:"Rsn>Cd"`
		Proprietary string   `xml:"Rsn>Prtry"`
		Texts       []string `xml:"AddtlInf"`
	}
)

// once is the text of an element that may stand only once: of two, the library
// would take the last, and another reader the first.
type once string

// UnmarshalXML implements xml.Unmarshaler.
func (o *once) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var text string
	if err := d.DecodeElement(&text, &start); err != nil {
		return err
	}
	if *o != "" {
		return fmt.Errorf("%w: an element stands in it twice", ErrFile)
	}
	*o = once(strings.TrimSpace(text))
	return nil
}

// standings are the codes that say something for certain (ISO 20022,
// ExternalPaymentTransactionStatus1Code): ACSC and ACCC are settled on the
// debtor's and the creditor's account; the others are steps on the way.
var standings = map[string]payout.Standing{
	"ACSC": payout.Paid,
	"ACCC": payout.Paid,
	"RJCT": payout.Refused,
	"ACSP": payout.Accepted,
	"ACTC": payout.Accepted,
	"ACCP": payout.Accepted,
	"ACWC": payout.Accepted,
	"PDNG": payout.Accepted,
	"RCVD": payout.Accepted,
}

// copies are the reasons of a refusal that says nothing of the payment: the bank
// has the order, or one like it, already (ExternalStatusReason1Code).
var copies = []string{"AM05", "DU01", "DU02", "DU03", "DU04", "DU05"}

// Report is what a pain.002 message says.
type Report struct {
	// Message is the id of the pain.001 message it answers (OrgnlMsgId).
	Message string
	// Results are the orders the report names, each once.
	Results []Result

	group    verdict
	count    int // of the message's orders, -1 where not told
	payments []paymentVerdict
}

// verdict is what a status says, and whether it refuses the copy of something the
// bank has already: such a refusal says nothing of what is below it either.
type verdict struct {
	payout.Answer
	copy bool
}

// paymentVerdict is what the report says of a payment information.
type paymentVerdict struct {
	verdict
	id    string
	told  bool // it has a status of its own
	count int  // of its orders, -1 where not told
}

// under is what a verdict is worth below those of the parts it stands in.
func (v verdict) under(above ...verdict) payout.Answer {
	for _, a := range above {
		switch {
		case a.copy && v.Standing == payout.Refused:
			return a.Answer
		case a.definite() && v.Standing != a.Standing && v.Standing != payout.Unclear:
			return unclear("the report says of the whole what it does not say of its part")
		}
	}
	return v.Answer
}

func (v verdict) definite() bool { return v.Standing == payout.Paid || v.Standing == payout.Refused }

// ReadPain002 reads an answer to WritePain001: pain.002.001.10, and any version
// from 03 on. A message with a DTD, one that is damaged or no answer to a
// pain.001, and one whose counts or sums disagree with what it names is refused
// whole: the error wraps ErrFile, ErrContradiction or ErrTooLarge, and holds
// nothing of the file.
func ReadPain002(r io.Reader) (*Report, error) {
	var message statusReport
	if err := decodeReport(r, &message); err != nil {
		return nil, err
	}
	group := &message.Group
	if !strings.HasPrefix(string(group.Kind), "pain.001") {
		return nil, fmt.Errorf("%w: it does not answer a pain.001 message", ErrFile)
	}
	report := &Report{Message: string(group.Message), group: judge(group.Status, group.Reasons)}
	var all []transactionStatus
	parts := 0 // orders that payment informations tell of
	for i := range message.Payments {
		payment := &message.Payments[i]
		count, err := tally(payment.Count, payment.Sum, payment.Per, payment.Transactions)
		if err != nil {
			return nil, err
		}
		verdict := judge(payment.Status, payment.Reasons)
		report.payments = append(report.payments, paymentVerdict{verdict, string(payment.ID), payment.Status != "", count})
		parts += max(count, len(payment.Transactions))
		for j := range payment.Transactions {
			result, err := payment.Transactions[j].result(report.group, verdict)
			if err != nil {
				return nil, err
			}
			report.Results = append(report.Results, result)
		}
		all = append(all, payment.Transactions...)
	}
	var err error
	if report.count, err = tally(group.Count, group.Sum, group.Per, all); err != nil {
		return nil, err
	}
	if report.count >= 0 && parts > report.count {
		return nil, fmt.Errorf("%w: its parts tell of %d payouts, the whole of %d", ErrContradiction, parts, report.count)
	}
	report.Results = tell(report.Results)
	return report, nil
}

// Of is what the report says of each order of a batch that went out in the
// message of that id, in the batch's order: by the order itself where it is
// named, else by its payment information, else by the message. What is said of
// the whole counts for an order only where the report tells of as many orders as
// there are; an order named with another amount is Unclear. The error wraps
// ErrFile when the report answers another message.
func (r *Report) Of(message string, batch Batch) ([]Result, error) {
	if r.Message != message {
		return nil, fmt.Errorf("%w: it answers the message %.40q, not %s", ErrFile, r.Message, message)
	}
	named := make(map[string]Result, len(r.Results))
	for _, result := range r.Results {
		named[result.Reference] = result
	}
	rest := r.group.Answer
	if r.count >= 0 && r.count < len(batch.Orders) {
		rest = unclear("the report tells of fewer payouts")
	}
	told := false
	for _, p := range r.payments {
		switch {
		case p.id != batch.ID:
		case p.count >= 0 && p.count != len(batch.Orders):
			rest, told = unclear("the report tells of another number of payouts"), true
		case p.told && told && rest != p.under(r.group):
			rest = unclear("the report tells of the batch more than once, and differently")
		case p.told:
			rest, told = p.under(r.group), true
		}
	}
	results := make([]Result, 0, len(batch.Orders))
	for i := range batch.Orders {
		order := &batch.Orders[i]
		result, ok := named[order.Reference]
		switch {
		case !ok:
			result = Result{Reference: order.Reference, Answer: rest}
		case result.Amount > 0 && result.Amount != order.Amount:
			result.Answer = unclear("the report names it with another amount")
		}
		results = append(results, result)
	}
	return results, nil
}

// judge is what a status and its reasons say.
func judge(status once, reasons []statusReason) verdict {
	var texts []string
	isCopy := false
	for _, r := range reasons {
		for _, code := range []string{r.Code, r.Proprietary} {
			isCopy = isCopy || slices.Contains(copies, strings.ToUpper(strings.TrimSpace(code)))
			texts = append(texts, code)
		}
		texts = append(texts, r.Texts...)
	}
	said := strings.Join(texts, " ")
	why := reason(said)
	standing, known := standings[string(status)]
	switch {
	case status == "":
		return verdict{Answer: unclear("the report gives no status")}
	case !known:
		return verdict{Answer: unclear(join(fmt.Sprintf("the status %q decides nothing", reason(string(status))), why))}
	case standing == payout.Refused && (isCopy || twice.MatchString(said)):
		return verdict{unclear(join(refusedCopy, why)), true}
	case standing == payout.Paid:
		return verdict{Answer: payout.Answer{Standing: standing}}
	default:
		return verdict{Answer: payout.Answer{Standing: standing, Why: why}}
	}
}

// result is what a transaction's part of the report says.
func (t *transactionStatus) result(above ...verdict) (Result, error) {
	endToEnd := string(t.EndToEnd)
	if endToEnd == "" {
		endToEnd = string(t.Instruction)
	}
	switch {
	case t.Instruction != "" && string(t.Instruction) != endToEnd:
		return Result{Answer: unclear("the report names two references for it")}, nil
	case !referencePattern.MatchString(endToEnd):
		return Result{Answer: unclear("the report names no reference of a payout")}, nil
	}
	result := Result{Reference: endToEnd, Answer: judge(t.Status, t.Reasons).under(above...)}
	result.BankRef, result.ProviderRef = bankReference(string(t.AtClearing)), bankReference(string(t.AtBank))
	var err error
	if t.Amount != nil {
		result.Amount, err = t.Amount.rupees()
	}
	return result, err
}

func (a *instructed) rupees() (money.Paise, error) {
	p, err := money.ParsePositive(a.Value)
	if err != nil || a.Currency != string(money.INR) {
		return 0, fmt.Errorf("%w: an amount is none of rupees", ErrFile)
	}
	return p, nil
}

// tally holds the counts and sums of a part of the report to the transactions it
// names: it may name fewer than it tells of, never more, and where it names all,
// they must agree in everything. It gives the number of orders told of, -1 for
// none.
func tally(count, sum once, per []perStatus, named []transactionStatus) (int, error) {
	all := -1
	var err error
	if count != "" {
		if all, err = number(count); err != nil {
			return 0, err
		}
		if len(named) > all {
			return 0, fmt.Errorf("%w: it tells of %d payouts and names %d", ErrContradiction, all, len(named))
		}
		if err = agree(sum, all, named); err != nil {
			return 0, err
		}
	}
	by := map[once][]transactionStatus{}
	for _, t := range named {
		by[t.Status] = append(by[t.Status], t)
	}
	told := 0
	for _, p := range per {
		n, err := number(p.Count)
		if err != nil {
			return 0, err
		}
		if len(by[p.Status]) > n {
			return 0, fmt.Errorf("%w: it tells of %d payouts of one status and names %d", ErrContradiction, n, len(by[p.Status]))
		}
		if err := agree(p.Sum, n, by[p.Status]); err != nil {
			return 0, err
		}
		delete(by, p.Status)
		told += n
	}
	switch {
	case len(per) == 0:
	case len(by) > 0:
		return 0, fmt.Errorf("%w: it names payouts of a status that it does not count", ErrContradiction)
	case all >= 0 && (told > all || (all == len(named) && told != all)):
		return 0, fmt.Errorf("%w: it tells of %d payouts, and by status of %d", ErrContradiction, all, told)
	}
	return all, nil
}

// agree compares a control sum with the amounts, where all of them are named.
func agree(sum once, count int, named []transactionStatus) error {
	if sum == "" || len(named) != count {
		return nil
	}
	want, err := money.Parse(string(sum))
	if err != nil {
		return fmt.Errorf("%w: a control sum is none", ErrFile)
	}
	var got money.Paise
	for _, t := range named {
		if t.Amount == nil {
			return nil
		}
		one, err := t.Amount.rupees()
		if err != nil {
			return err
		}
		if got, err = got.Add(one); err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
	}
	if got != want {
		return fmt.Errorf("%w: it tells of ₹%s in all, its payouts sum up to ₹%s", ErrContradiction, want.Fixed(), got.Fixed())
	}
	return nil
}

func number(text once) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > maxOrders {
		return 0, fmt.Errorf("%w: a count is none", ErrFile)
	}
	return n, nil
}

var reportNamespace = regexp.MustCompile(`^urn:iso:std:iso:20022:tech:xsd:pain\.002\.001\.(\d\d)$`)

// decodeReport reads the one Document of the file, in an envelope or not.
func decodeReport(r io.Reader, into *statusReport) error {
	tokens := newTokens(r)
	decoder := xml.NewTokenDecoder(tokens)
	found := false
	for {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && found:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: it is no pain.002 message", ErrFile)
		case err != nil:
			return damagedXML(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Document" {
			continue
		}
		version := reportNamespace.FindStringSubmatch(start.Name.Space)
		switch {
		case found:
			return fmt.Errorf("%w: it holds more than one message", ErrFile)
		case version == nil:
			return fmt.Errorf("%w: it is no pain.002 message", ErrFile)
		case version[1] < "03":
			return fmt.Errorf("%w: pain.002 before version 03 has another structure: ask the bank for version 10", ErrFile)
		}
		found = true
		if err := decoder.DecodeElement(into, &start); err != nil {
			return damagedXML(err)
		}
	}
}

// damagedXML names a fault without the library's text, which quotes the file.
func damagedXML(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrFile) {
		return err
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return fmt.Errorf("%w: the XML is damaged (line %d)", ErrFile, syntax.Line)
	}
	return fmt.Errorf("%w: the XML is damaged", ErrFile)
}

const (
	maxDepth    = 64
	maxElements = 4_000_000
)

// tokens is an xml.TokenReader without document type declarations, and with
// bounds: encoding/xml itself resolves no entity of a DTD, and keeps whatever it
// is given.
type tokens struct {
	xml             *xml.Decoder
	depth, elements int
}

func newTokens(r io.Reader) *tokens {
	text := transform.NewReader(&limited{r: r, left: maxFile}, unicode.BOMOverride(encoding.Nop.NewDecoder()))
	t := &tokens{xml: xml.NewDecoder(text)}
	t.xml.CharsetReader = func(name string, input io.Reader) (io.Reader, error) {
		if strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return input, nil // the byte order mark was obeyed already
		}
		charset, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("%w: unknown encoding", ErrFile)
		}
		return charset.NewDecoder().Reader(input), nil
	}
	return t
}

// Token gives the next token, raw: the decoder above looks at names and nesting.
func (t *tokens) Token() (xml.Token, error) {
	token, err := t.xml.RawToken()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.Directive:
		return nil, fmt.Errorf("%w: it has a document type declaration, which no message of a bank has", ErrFile)
	case xml.StartElement:
		t.depth++
		t.elements++
		if t.depth > maxDepth || t.elements > maxElements {
			return nil, ErrTooLarge
		}
	case xml.EndElement:
		t.depth--
	}
	return token, nil
}
