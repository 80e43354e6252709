package bulkfile_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/payout/bulkfile"
)

// report is a pain.002 message with the contents of its group and its payments.
func report(group, payments string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
<GrpHdr><MsgId>BANK1</MsgId><CreDtTm>2026-03-05T09:00:00Z</CreDtTm></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>M1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>` + group + `</OrgnlGrpInfAndSts>
` + payments + `</CstmrPmtStsRpt></Document>`
}

// payments is the payment information of batch() with the transactions.
func payments(more string, transactions ...string) string {
	return "<OrgnlPmtInfAndSts><OrgnlPmtInfId>B7</OrgnlPmtInfId>" + more + strings.Join(transactions, "") + "</OrgnlPmtInfAndSts>"
}

func transaction(reference, status, more string) string {
	return "<TxInfAndSts><OrgnlInstrId>" + reference + "</OrgnlInstrId><OrgnlEndToEndId>" + reference +
		"</OrgnlEndToEndId><TxSts>" + status + "</TxSts>" + more + "</TxInfAndSts>"
}

func inr(rupees string) string {
	return `<OrgnlTxRef><Amt><InstdAmt Ccy="INR">` + rupees + `</InstdAmt></Amt></OrgnlTxRef>`
}

func because(code, text string) string {
	return "<StsRsnInf><Rsn><Cd>" + code + "</Cd></Rsn><AddtlInf>" + text + "</AddtlInf></StsRsnInf>"
}

func TestPain002Transactions(t *testing.T) {
	t.Parallel()
	file := report("<OrgnlNbOfTxs>4</OrgnlNbOfTxs><OrgnlCtrlSum>502500.00</OrgnlCtrlSum><GrpSts>PART</GrpSts>"+
		"<NbOfTxsPerSts><DtldNbOfTxs>1</DtldNbOfTxs><DtldSts>ACSC</DtldSts><DtldCtrlSum>1500.00</DtldCtrlSum></NbOfTxsPerSts>"+
		"<NbOfTxsPerSts><DtldNbOfTxs>1</DtldNbOfTxs><DtldSts>RJCT</DtldSts></NbOfTxsPerSts>"+
		"<NbOfTxsPerSts><DtldNbOfTxs>1</DtldNbOfTxs><DtldSts>PDNG</DtldSts></NbOfTxsPerSts>"+
		"<NbOfTxsPerSts><DtldNbOfTxs>1</DtldNbOfTxs><DtldSts>ACWP</DtldSts></NbOfTxsPerSts>",
		payments("<OrgnlNbOfTxs>4</OrgnlNbOfTxs>",
			transaction("MLP1A", "ACSC", "<AcctSvcrRef>ICI0099887</AcctSvcrRef><ClrSysRef>606412345671</ClrSysRef>"+inr("1500.00")),
			transaction("MLP1B", "RJCT", because("AC04", "Closed account 000701567890")+inr("999.99")),
			transaction("MLP1C", "PDNG", inr("0.01")),
			transaction("MLP1D", "ACWP", inr("500000.00"))))
	got, err := bulkfile.ReadPain002(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []bulkfile.Result{
		{Reference: "MLP1A", Amount: 150000, Answer: payout.Answer{Standing: payout.Paid, BankRef: "606412345671", ProviderRef: "ICI0099887"}},
		{Reference: "MLP1B", Amount: 99999, Answer: payout.Answer{Standing: payout.Refused, Why: "AC04 Closed account xxxx"}},
		{Reference: "MLP1C", Amount: 1, Answer: payout.Answer{Standing: payout.Accepted}},
		{Reference: "MLP1D", Amount: 50000000, Answer: payout.Answer{Standing: payout.Unclear, Why: `the status "ACWP" decides nothing`}},
	}
	if diff := cmp.Diff(want, got.Results); diff != "" {
		t.Error(diff)
	}
	of, err := got.Of("M1", batch())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, of); diff != "" {
		t.Error(diff)
	}
	_, err = got.Of("M2", batch())
	refused(t, err, bulkfile.ErrFile, "answers the message")
}

// standings are what the report says of the four orders of batch().
func TestPain002Of(t *testing.T) {
	t.Parallel()
	const paid, no, under, open = payout.Paid, payout.Refused, payout.Accepted, payout.Unclear
	four := "<OrgnlNbOfTxs>4</OrgnlNbOfTxs>"
	for _, c := range []struct {
		name, group, payments string
		want                  [4]payout.Standing
	}{
		{"all paid", four + "<GrpSts>ACSC</GrpSts>", "", [4]payout.Standing{paid, paid, paid, paid}},
		{"all credited", "<GrpSts>ACCC</GrpSts>", "", [4]payout.Standing{paid, paid, paid, paid}},
		{"all refused", "<GrpSts>RJCT</GrpSts>" + because("FF01", "Invalid file"), "", [4]payout.Standing{no, no, no, no}},
		{"all under way", "<GrpSts>ACSP</GrpSts>", "", [4]payout.Standing{under, under, under, under}},
		{"some", "<GrpSts>PART</GrpSts>", payments("", transaction("MLP1B", "RJCT", "")), [4]payout.Standing{open, no, open, open}},
		{"nothing", "", "", [4]payout.Standing{open, open, open, open}},
		{"in small letters", "<GrpSts>acsc</GrpSts>", "", [4]payout.Standing{open, open, open, open}},
		{"the payment before the message", "<GrpSts>PART</GrpSts>", payments("<PmtInfSts>ACSC</PmtInfSts>"), [4]payout.Standing{paid, paid, paid, paid}},
		{"another payment", "<GrpSts>PART</GrpSts>", strings.Replace(payments("<PmtInfSts>ACSC</PmtInfSts>"), "B7", "B8", 1), [4]payout.Standing{open, open, open, open}},
		{"the order before the payment", "", payments("<PmtInfSts>ACSP</PmtInfSts>", transaction("MLP1C", "ACSC", "")), [4]payout.Standing{under, under, paid, under}},

		{"a copy of the message", "<GrpSts>RJCT</GrpSts>" + because("DU01", ""), "", [4]payout.Standing{open, open, open, open}},
		{"a copy in words", "<GrpSts>RJCT</GrpSts>" + because("NARR", "Duplicate file"), "", [4]payout.Standing{open, open, open, open}},
		{"a copy of the message, orders refused", "<GrpSts>RJCT</GrpSts>" + because("DU01", ""),
			payments("<PmtInfSts>RJCT</PmtInfSts>", transaction("MLP1A", "RJCT", "")), [4]payout.Standing{open, open, open, open}},
		{"a copy of an order", "<GrpSts>PART</GrpSts>", payments("", transaction("MLP1A", "RJCT", because("AM05", ""))), [4]payout.Standing{open, open, open, open}},
		{"message and order disagree", "<GrpSts>RJCT</GrpSts>", payments("", transaction("MLP1A", "ACSC", "")), [4]payout.Standing{open, no, no, no}},
		{"payment and order disagree", "", payments("<PmtInfSts>ACSC</PmtInfSts>", transaction("MLP1A", "RJCT", "")), [4]payout.Standing{open, paid, paid, paid}},
		{"message and payment disagree", "<GrpSts>RJCT</GrpSts>", payments("<PmtInfSts>ACSC</PmtInfSts>"), [4]payout.Standing{open, open, open, open}},
		{"a payment told twice", "", payments("<PmtInfSts>ACSC</PmtInfSts>") + payments("<PmtInfSts>RJCT</PmtInfSts>"), [4]payout.Standing{open, open, open, open}},
		{"a payment told twice the same", "", payments("<PmtInfSts>ACSC</PmtInfSts>") + payments("<PmtInfSts>ACSC</PmtInfSts>"), [4]payout.Standing{paid, paid, paid, paid}},
		{"a payment told of another number, then paid", "", payments("<OrgnlNbOfTxs>3</OrgnlNbOfTxs>") + payments("<PmtInfSts>ACSC</PmtInfSts>"), [4]payout.Standing{open, open, open, open}},
		{"a sum of amounts that are not named", four + "<OrgnlCtrlSum>9.00</OrgnlCtrlSum><GrpSts>ACSP</GrpSts>",
			payments("", transaction("MLP1A", "ACSC", ""), transaction("MLP1B", "ACSC", ""), transaction("MLP1C", "ACSC", ""), transaction("MLP1D", "ACSC", "")), [4]payout.Standing{paid, paid, paid, paid}},
		{"an order told twice", "", payments("", transaction("MLP1A", "ACSC", ""), transaction("MLP1A", "RJCT", "")), [4]payout.Standing{open, open, open, open}},
		{"fewer orders", "<OrgnlNbOfTxs>3</OrgnlNbOfTxs><GrpSts>ACSC</GrpSts>", "", [4]payout.Standing{open, open, open, open}},
		{"fewer orders in the payment", "<GrpSts>ACSC</GrpSts>", payments("<OrgnlNbOfTxs>3</OrgnlNbOfTxs><PmtInfSts>ACSC</PmtInfSts>"), [4]payout.Standing{open, open, open, open}},
		{"another amount", "", payments("", transaction("MLP1A", "ACSC", inr("1500.01")), transaction("MLP1B", "ACSC", inr("999.99"))), [4]payout.Standing{open, paid, open, open}},
		{"two references", "", payments("", strings.Replace(transaction("MLP1A", "ACSC", ""), "MLP1A", "MLP1B", 1)), [4]payout.Standing{open, open, open, open}},
		{"no reference", "", payments("", transaction("NOTPROVIDED-", "ACSC", "")), [4]payout.Standing{open, open, open, open}},
		{"no status", "<GrpSts>ACSC</GrpSts>", payments("", strings.Replace(transaction("MLP1A", "ACSC", ""), "<TxSts>ACSC</TxSts>", "", 1)), [4]payout.Standing{open, paid, paid, paid}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := bulkfile.ReadPain002(strings.NewReader(report(c.group, c.payments)))
			if err != nil {
				t.Fatal(err)
			}
			results, err := got.Of("M1", batch())
			if err != nil {
				t.Fatal(err)
			}
			for i, result := range results {
				if result.Reference != batch().Orders[i].Reference || result.Standing != c.want[i] {
					t.Errorf("%s is %s, want %s: %s", result.Reference, result.Standing, c.want[i], result.Why)
				}
			}
		})
	}
}

func TestPain002Refuses(t *testing.T) {
	t.Parallel()
	per := func(count, status string) string {
		return "<NbOfTxsPerSts><DtldNbOfTxs>" + count + "</DtldNbOfTxs><DtldSts>" + status + "</DtldSts></NbOfTxsPerSts>"
	}
	ok := report("<GrpSts>ACSC</GrpSts>", "")
	one := transaction("MLP1A", "ACSC", inr("5.00"))
	for _, c := range []struct {
		name, file string
		kind       error
		words      string
	}{
		{"nothing", "", bulkfile.ErrFile, "no pain.002"},
		{"another message", strings.Replace(ok, "pain.002.001.10", "pain.001.001.09", 1), bulkfile.ErrFile, "no pain.002"},
		{"no namespace", strings.Replace(ok, ` xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"`, "", 1), bulkfile.ErrFile, "no pain.002"},
		{"an old version", strings.Replace(ok, "pain.002.001.10", "pain.002.001.02", 1), bulkfile.ErrFile, "version 03"},
		{"of a direct debit", strings.Replace(ok, "pain.001.001.09", "pain.008.001.08", 1), bulkfile.ErrFile, "pain.001"},
		{"cut off", ok[:len(ok)-30], bulkfile.ErrFile, "damaged"},
		{"crossed tags", strings.Replace(ok, "</GrpHdr>", "</GrpHd>", 1), bulkfile.ErrFile, "damaged"},
		{"two messages", ok + ok[strings.Index(ok, "<Document"):], bulkfile.ErrFile, "more than one"},
		{"a DTD", strings.Replace(ok, "<Document", `<!DOCTYPE Document [<!ENTITY a "ACSC">]><Document`, 1), bulkfile.ErrFile, "document type"},
		{"an entity", report("<GrpSts>&a;</GrpSts>", ""), bulkfile.ErrFile, "damaged"},
		{"an unknown encoding", strings.Replace(ok, "UTF-8", "klingon", 1), bulkfile.ErrFile, "encoding"},
		{"two statuses", report("<GrpSts>RJCT</GrpSts><GrpSts>ACSC</GrpSts>", ""), bulkfile.ErrFile, "twice"},
		{"two groups", strings.Replace(ok, "</CstmrPmtStsRpt>", "<OrgnlGrpInfAndSts><OrgnlMsgId>M1</OrgnlMsgId></OrgnlGrpInfAndSts></CstmrPmtStsRpt>", 1), bulkfile.ErrFile, "twice"},
		{"two statuses of an order", report("", payments("", strings.Replace(one, "<TxSts>", "<TxSts>RJCT</TxSts><TxSts>", 1))), bulkfile.ErrFile, "twice"},
		{"deep", strings.Repeat("<a>", 100), bulkfile.ErrTooLarge, "too large"},
		{"a count of letters", report("<OrgnlNbOfTxs>x</OrgnlNbOfTxs>", ""), bulkfile.ErrFile, "count"},
		{"dollars", report("", payments("", strings.Replace(one, "INR", "USD", 1))), bulkfile.ErrFile, "rupees"},
		{"an amount of letters", report("", payments("", strings.Replace(one, "5.00", "x", 1))), bulkfile.ErrFile, "rupees"},

		{"more than told", report("<OrgnlNbOfTxs>0</OrgnlNbOfTxs>", payments("", one)), bulkfile.ErrContradiction, "names 1"},
		{"more than the payment tells", report("", payments("<OrgnlNbOfTxs>0</OrgnlNbOfTxs>", one)), bulkfile.ErrContradiction, "names 1"},
		{"more in parts", report("<OrgnlNbOfTxs>3</OrgnlNbOfTxs>", payments("<OrgnlNbOfTxs>4</OrgnlNbOfTxs>")), bulkfile.ErrContradiction, "the whole of 3"},
		{"another sum", report("<OrgnlNbOfTxs>1</OrgnlNbOfTxs><OrgnlCtrlSum>6.00</OrgnlCtrlSum>", payments("", one)), bulkfile.ErrContradiction, "₹6.00"},
		{"a sum of letters", report("<OrgnlNbOfTxs>1</OrgnlNbOfTxs><OrgnlCtrlSum>x</OrgnlCtrlSum>", payments("", one)), bulkfile.ErrFile, "control sum"},
		{"a sum beyond numbers", report("<OrgnlNbOfTxs>2</OrgnlNbOfTxs><OrgnlCtrlSum>1</OrgnlCtrlSum>",
			payments("", strings.Replace(one, "5.00", "90000000000000000", 1), strings.Replace(one, "5.00", "90000000000000000", 1))), bulkfile.ErrFile, "too large"},
		{"a broken count of a status", report(per("-1", "ACSC"), payments("", one)), bulkfile.ErrFile, "count"},
		{"another sum of a status", report(strings.Replace(per("1", "ACSC"), "</DtldSts>", "</DtldSts><DtldCtrlSum>6.00</DtldCtrlSum>", 1), payments("", one)), bulkfile.ErrContradiction, "₹6.00"},
		{"fewer of a status", report(per("0", "ACSC"), payments("", one)), bulkfile.ErrContradiction, "one status"},
		{"a status not counted", report(per("1", "RJCT"), payments("", one)), bulkfile.ErrContradiction, "does not count"},
		{"more by status", report("<OrgnlNbOfTxs>1</OrgnlNbOfTxs>"+per("1", "RJCT")+per("1", "ACSC"), ""), bulkfile.ErrContradiction, "by status of 2"},
		{"less by status", report("<OrgnlNbOfTxs>2</OrgnlNbOfTxs>"+per("1", "ACSC"), payments("", one, "<TxInfAndSts/>")), bulkfile.ErrContradiction, "does not count"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := bulkfile.ReadPain002(strings.NewReader(c.file))
			refused(t, err, c.kind, c.words)
			if got != nil {
				t.Error("something was read")
			}
		})
	}
	for name, r := range map[string]io.Reader{
		"a long text":       io.MultiReader(strings.NewReader("<a>"), endless("x")),
		"many transactions": io.MultiReader(strings.NewReader(ok[:strings.Index(ok, "<GrpHdr>")]), endless("<TxInfAndSts/>")),
	} {
		if _, err := bulkfile.ReadPain002(r); !errors.Is(err, bulkfile.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A message in an envelope, in another version, in another encoding.
func TestPain002Forms(t *testing.T) {
	t.Parallel()
	ok := report("<GrpSts>ACSC</GrpSts>", "")
	body := ok[strings.Index(ok, "<Document"):]
	for name, file := range map[string]string{
		"envelope": "<BizMsgEnvlp xmlns='urn:x'>" + body + "</BizMsgEnvlp>",
		"version":  strings.Replace(body, "002.001.10", "002.001.03", 1),
		"mark":     "\xef\xbb\xbf" + ok,
		"utf-16":   "\xff\xfe" + utf16(strings.Replace(ok, "UTF-8", "UTF-16", 1)),
		"latin":    strings.Replace(ok, "UTF-8", "ISO-8859-1", 1),
		"spaces":   strings.Replace(ok, "ACSC", "\n ACSC ", 1),
		"comment":  strings.Replace(ok, "<GrpSts>", "<!-- RJCT --><GrpSts>", 1),
		"prefix":   strings.NewReplacer("xmlns=", "xmlns:p=", "</", "</p:", "<?", "<?", "<", "<p:").Replace(body),
	} {
		got, err := bulkfile.ReadPain002(strings.NewReader(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		of, err := got.Of("M1", batch())
		if err != nil || of[3].Standing != payout.Paid {
			t.Errorf("%s: %v %v", name, of, err)
		}
	}
}

// Whatever the file, nothing is paid without one of the two codes.
func FuzzReadPain002(f *testing.F) {
	f.Add([]byte(report("<GrpSts>ACSC</GrpSts>", "")))
	f.Add([]byte(report("<OrgnlNbOfTxs>1</OrgnlNbOfTxs><GrpSts>PART</GrpSts>", payments("<PmtInfSts>RJCT</PmtInfSts>", transaction("MLP1A", "ACCC", inr("5.00")+because("AM05", "x"))))))
	f.Add([]byte("<Document xmlns='urn:iso:std:iso:20022:tech:xsd:pain.002.001.03'/>"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := bulkfile.ReadPain002(bytes.NewReader(file))
		if err != nil {
			if got != nil {
				t.Fatal("an error, and a report")
			}
			return
		}
		of, err := got.Of(got.Message, batch())
		if err != nil {
			t.Fatal(err)
		}
		// Comments and references may stand within a code, and other encodings hide it.
		plain := !bytes.Contains(file, []byte("<!")) && !bytes.ContainsAny(file, "&\x00") && !bytes.Contains(file, []byte("encoding"))
		for _, result := range append(got.Results, of...) {
			if result.Standing == payout.Paid && plain && !bytes.Contains(file, []byte("ACSC")) && !bytes.Contains(file, []byte("ACCC")) {
				t.Fatalf("paid by nothing: %+v", result)
			}
			if result.Reference == "" && result.Standing != payout.Unclear {
				t.Fatalf("of nobody: %+v", result)
			}
		}
	})
}
