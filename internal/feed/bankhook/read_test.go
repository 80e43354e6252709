package bankhook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/bankhook"
)

// Short bodies that are credits as they stand, for the tables to spoil.
const (
	razorpayCredit = `{"event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","amount":250075,"currency":"INR","status":"captured","method":"upi","amount_refunded":0,"acquirer_data":{"rrn":"604217733012"},"created_at":1770805800}}}}`
	cashfreeCredit = `{"type":"PAYMENT_SUCCESS_WEBHOOK","data":{"order":{"order_id":"R1"},"payment":{"payment_status":"SUCCESS","payment_amount":10.50,"payment_currency":"INR","payment_time":"2026-02-11T15:59:21+05:30","bank_reference":"604217700345","payment_method":{"upi":{"upi_id":"a@ybl"}}}}}`
	decentroCredit = `{"type":"credit","timestamp":"2026-02-11 15:40:12","transferType":"UPI","transactionAmount":350.10,"bankReferenceNumber":"604217733045","payerName":"M"}`
	phonepeCredit  = `{"event":"pg.order.completed","payload":{"merchantOrderId":"R1","state":"COMPLETED","amount":1200,"paymentDetails":[{"timestamp":1770805800000,"amount":1200,"state":"COMPLETED","splitInstruments":[{"amount":1200,"rail":{"type":"UPI","utr":"604217799001"}}]}]}}`
	phonepeV1      = `{"code":"PAYMENT_SUCCESS","data":{"merchantTransactionId":"R1","amount":4550,"state":"COMPLETED","paymentInstrument":{"type":"UPI","utr":"604217799077"}}}`
	paytmCredit    = `BANKTXNID=604217733099&CURRENCY=INR&ORDERID=R1&PAYMENTMODE=UPI&RESPCODE=01&STATUS=TXN_SUCCESS&TXNAMOUNT=88.08&TXNDATE=2026-02-11+15%3A59%3A58.0`
	iciciCredit    = `{"VirtualAccountNumber":"RAOS0421","Mode":"UPI","UTR":"604217731234","Amount":"1100.00","PayerName":"O","PayerPaymentDate":"20260211"}`
)

// signed is the case of a body that its provider really sent.
func signed(tb testing.TB, kind, body string) Case {
	tb.Helper()
	switch kind {
	case "razorpay":
		return razorpaySigned(body)
	case "cashfree":
		return cashfreeSigned(body)
	case "decentro":
		return decentroSigned(body)
	case "phonepe":
		return phonepeSigned(body)
	case "phonepe-v1":
		return phonepeV1Signed(body)
	case "paytm":
		return paytmSigned(tb, body)
	case "icici":
		return iciciSigned(tb, body)
	}
	tb.Fatalf("no kind %q", kind)
	return Case{}
}

var credits = map[string]string{
	"razorpay": razorpayCredit, "cashfree": cashfreeCredit, "decentro": decentroCredit, "phonepe": phonepeCredit,
	"phonepe-v1": phonepeV1, "paytm": paytmCredit, "icici": iciciCredit,
}

// TestSpoiled changes one thing in a credit and sees that what no longer is one
// for certain is none, or loses its reference.
func TestSpoiled(t *testing.T) {
	t.Parallel()
	const noUTR = feed.Kind("credit without UTR")
	tests := []struct {
		kind, old, new string
		want           feed.Kind
	}{
		{"razorpay", ``, ``, feed.Credit},
		{"razorpay", `"captured",`, `"authorized",`, feed.Ignored},
		{"razorpay", `"captured",`, `"refunded",`, feed.Ignored},
		{"razorpay", `"captured",`, `"Captured",`, feed.Ignored},
		{"razorpay", `"status":"captured",`, ``, feed.Unparsed},
		{"razorpay", `"status"`, `"Status"`, feed.Unparsed},
		{"razorpay", `"captured",`, `true,`, feed.Unparsed},
		{"razorpay", `250075`, `250075.0`, feed.Unparsed},
		{"razorpay", `250075`, `2.5e5`, feed.Unparsed},
		{"razorpay", `250075`, `-250075`, feed.Unparsed},
		{"razorpay", `250075`, `0`, feed.Unparsed},
		{"razorpay", `250075`, `null`, feed.Unparsed},
		{"razorpay", `250075`, `[250075]`, feed.Unparsed},
		{"razorpay", `250075`, `99999999999999999999999`, feed.Unparsed},
		{"razorpay", `"amount":250075`, `"Amount":250075`, feed.Unparsed},
		{"razorpay", `"INR"`, `"USD"`, feed.Unparsed},
		{"razorpay", `"currency":"INR",`, ``, feed.Unparsed},
		{"razorpay", `"amount_refunded":0`, `"amount_refunded":75`, feed.Unparsed},
		{"razorpay", `{"payment":{"entity":`, `{"payments":{"entity":`, feed.Unparsed},
		{"razorpay", `"event":"payment.captured",`, ``, feed.Unparsed},
		{"razorpay", `"payload":{`, `"payload":[],"was":{`, feed.Unparsed},
		{"razorpay", `payment.captured`, `payment.dispute.created`, feed.Ignored},
		{"razorpay", `payment.captured`, `invoice.paid`, feed.Ignored},
		{"razorpay", `"acquirer_data":{"rrn":"604217733012"}`, `"acquirer_data":[]`, noUTR},
		{"razorpay", `"604217733012"`, `null`, noUTR},
		{"razorpay", `"604217733012"`, `"000000000000"`, noUTR},
		{"razorpay", `"604217733012"`, `"UPI604217733012"`, noUTR},
		{"razorpay", `"upi"`, `"card"`, noUTR},
		{"razorpay", `"upi"`, `"cod"`, feed.Ignored},
		{"razorpay", `"payload":{`, `"payload":{"upi_transfer":{"entity":{"payment_id":"pay_1","amount":250075,"npci_reference_id":"604217733013"}},`, noUTR},
		{"razorpay", `"payload":{`, `"payload":{"upi_transfer":{"entity":{"payment_id":"pay_2","amount":250075,"npci_reference_id":"604217733012"}},`, feed.Unparsed},
		{"razorpay", `"payload":{`, `"payload":{"bank_transfer":{"entity":{"payment_id":"pay_1","amount":250070,"bank_reference":"604217733012"}},`, feed.Unparsed},
		{"razorpay", `"payload":{`, `"payload":{"bank_transfer":{"entity":{}},"upi_transfer":{"entity":{}},`, feed.Unparsed},

		{"cashfree", ``, ``, feed.Credit},
		{"cashfree", `10.50`, `"10.50"`, feed.Credit},
		{"cashfree", `10.50`, `10.505`, feed.Unparsed},
		{"cashfree", `10.50`, `1.05e1`, feed.Unparsed},
		{"cashfree", `10.50`, `"1,000"`, feed.Unparsed},
		{"cashfree", `10.50`, `"NaN"`, feed.Unparsed},
		{"cashfree", `10.50`, `0.00`, feed.Unparsed},
		{"cashfree", `"SUCCESS"`, `"success"`, feed.Ignored},
		{"cashfree", `"SUCCESS"`, `"USER_DROPPED"`, feed.Ignored},
		{"cashfree", `"SUCCESS"`, `null`, feed.Unparsed},
		{"cashfree", `"INR"`, `"inr "`, feed.Unparsed},
		{"cashfree", `"type":"PAYMENT_SUCCESS_WEBHOOK"`, `"event":"AMOUNT_COLLECTED","amount":"5"`, feed.Unparsed},
		{"cashfree", `{"upi":{"upi_id":"a@ybl"}}`, `{"netbanking":{}}`, noUTR},
		{"cashfree", `{"upi":{"upi_id":"a@ybl"}}`, `{"upi":{},"vba_transfer":{}}`, feed.Unparsed},
		{"cashfree", `"bank_reference":"604217700345"`, `"bank_reference":604217700345`, feed.Credit},
		{"cashfree", `"bank_reference":"604217700345"`, `"bank_reference":4217700345`, noUTR},

		{"decentro", ``, ``, feed.Credit},
		{"decentro", `"credit"`, `"Credit"`, feed.Unparsed},
		{"decentro", `"credit"`, `"debit"`, feed.Debit},
		{"decentro", `"type":"credit"`, `"Type":"credit"`, feed.Unparsed},
		{"decentro", `350.10`, `350.10,"transaction_amount":35.10`, feed.Unparsed},
		{"decentro", `350.10`, `350.10,"TransactionAmount":35.10`, feed.Credit},
		{"decentro", `350.10`, `-350.10`, feed.Unparsed},
		{"decentro", `"604217733045"`, `"NA"`, noUTR},
		{"decentro", `"UPI"`, `"UPI","transactionMessage":"UPI/REFUND/604217733045"`, feed.Unparsed},

		{"phonepe", ``, ``, feed.Credit},
		{"phonepe", `"state":"COMPLETED","amount":1200,"paymentDetails"`, `"state":"FAILED","amount":1200,"paymentDetails"`, feed.Ignored},
		{"phonepe", `"state":"COMPLETED","amount":1200,"paymentDetails"`, `"amount":1200,"paymentDetails"`, feed.Unparsed},
		{"phonepe", `"amount":1200,"state"`, `"amount":1300,"state"`, feed.Unparsed},
		{"phonepe", `"event":"pg.order.completed"`, `"type":"PG_ORDER_COMPLETED"`, feed.Unparsed},
		{"phonepe", `pg.order.completed`, `pg.refund.accepted`, feed.Ignored},
		{"phonepe", `"UPI"`, `"PG"`, noUTR},
		{"phonepe", `"splitInstruments":[{"amount":1200`, `"splitInstruments":[{"amount":1100`, noUTR},
		{"phonepe", `"paymentDetails":[`, `"paymentDetails":[{"amount":1200,"state":"COMPLETED"},`, feed.Unparsed},
		{"phonepe", `"payload":{`, `"payload":"","was":{`, feed.Unparsed},
		{"phonepe", `"payload":{`, `"payload":{"currency":"USD",`, feed.Unparsed},

		{"phonepe-v1", ``, ``, feed.Credit},
		{"phonepe-v1", `PAYMENT_SUCCESS`, `PAYMENT_ERROR`, feed.Ignored},
		{"phonepe-v1", `"COMPLETED"`, `"PENDING"`, feed.Ignored},
		{"phonepe-v1", `"data":{`, `"data":{"originalTransactionId":"R0",`, feed.Ignored},
		{"phonepe-v1", `4550`, `45.50`, feed.Unparsed},
		{"phonepe-v1", `"UPI"`, `"CARD"`, noUTR},

		{"paytm", ``, ``, feed.Credit},
		{"paytm", `STATUS=TXN_SUCCESS`, `STATUS=TXN_FAILURE`, feed.Ignored},
		{"paytm", `STATUS=TXN_SUCCESS`, `Status=TXN_SUCCESS`, feed.Unparsed},
		{"paytm", `RESPCODE=01`, `RESPCODE=402`, feed.Unparsed},
		{"paytm", `CURRENCY=INR`, `CURRENCY=`, feed.Unparsed},
		{"paytm", `ORDERID=R1`, `REFUNDID=R1`, feed.Ignored},
		{"paytm", `ORDERID=R1`, `ORDER=R1`, feed.Unparsed},
		{"paytm", `88.08`, `8e1`, feed.Unparsed},
		{"paytm", `PAYMENTMODE=UPI`, `PAYMENTMODE=NB`, noUTR},

		{"icici", ``, ``, feed.Credit},
		{"icici", `"1100.00"`, `"1,100.00"`, feed.Unparsed},
		{"icici", `"1100.00"`, `"1100.00","AMT":"1200.00"`, feed.Unparsed},
		{"icici", `"Amount"`, `"amount"`, feed.Unparsed},
		{"icici", `"UPI"`, `"FT"`, noUTR},
		{"icici", `"Mode":"UPI",`, ``, noUTR},
	}
	for _, tt := range tests {
		t.Run(tt.kind+"/"+tt.old+" to "+tt.new, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(credits[tt.kind], tt.old, tt.new, 1)
			if tt.old != "" && body == credits[tt.kind] {
				t.Fatal("nothing to spoil")
			}
			_, r := read(t, signed(t, tt.kind, body))
			got := r.Kind
			if got == feed.Credit && r.UTR == "" {
				got = noUTR
			}
			if got != tt.want {
				t.Errorf("%s (%s), want %s", got, r.Why, tt.want)
			}
			if (r.Kind == feed.Ignored || r.Kind == feed.Unparsed) && (r.Amount != 0 || r.UTR != "") {
				t.Errorf("%s with %v and %q", r.Kind, r.Amount, r.UTR)
			}
		})
	}
}

// TestBroken are bodies that are nothing the provider sends, and that two
// readers could understand differently.
func TestBroken(t *testing.T) {
	t.Parallel()
	tests := []struct{ kind, old, new string }{
		{"razorpay", `"amount":250075`, `"amount":250075,"amount":950075`},
		{"razorpay", `"amount":250075`, `"amount":250075,"\u0061mount":950075`},
		{"razorpay", `}}}}`, `}}}} {}`},
		{"razorpay", `pay_1`, "pay_\xff"},
		{"cashfree", `"data":{`, `"data":{},"data":{`},
		{"cashfree", `{"type"`, `"type"`},
		{"decentro", `350.10`, `350.10,"transactionAmount":350.10`},
		{"decentro", `350.10`, `NaN`},
		{"decentro", `350.10`, `0350.10`},
		{"phonepe-v1", `4550`, `4550,"amount":9550`},
		{"icici", `"Amount":"1100.00"`, `"Amount":"1100.00","Amount":"1200.00"`},
	}
	for _, tt := range tests {
		t.Run(tt.kind+"/"+tt.new, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(credits[tt.kind], tt.old, tt.new, 1)
			if body == credits[tt.kind] {
				t.Fatal("nothing to break")
			}
			c := signed(t, tt.kind, body)
			if e, err := provider(t, c.Kind).Read(c.request(), secrets(t, c.Kind)); !errors.Is(err, bankhook.ErrBody) {
				t.Errorf("read %+v, error %v, want %v", e, err, bankhook.ErrBody)
			}
		})
	}
	for _, kind := range bankhook.Kinds() {
		for _, body := range []string{``, `{`, "\x00", strings.Repeat(`[`, 20_000), "a=1&a=2"} {
			c := Case{Kind: kind, Body: body, ContentType: "application/x-www-form-urlencoded", Endpoint: "mis-posting"}
			if kind != "paytm" && kind != "cashfree" {
				c.ContentType = "application/json"
			}
			e, err := provider(t, kind).Read(c.request(), secrets(t, kind))
			if err == nil && e.Readings[0].Kind == feed.Credit || err != nil && !errors.Is(err, bankhook.ErrBody) {
				t.Errorf("%s %.10q: %+v, %v", kind, body, e, err)
			}
		}
	}
}

func TestICICIDates(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]string{
		"20260921": "2026-09-21", "21-SEP-2026": "2026-09-21", "21-Sep-2026": "2026-09-21", "2026-09-21": "2026-09-21",
		"09/21/2026": "2026-09-21", "21/09/2026": "2026-09-21", "09/09/2026": "2026-09-09",
		"09/10/2026": "", "2026": "", "31-02-2026": "", "": "", "20990101": "",
	} {
		c := iciciSigned(t, strings.Replace(iciciCredit, "20260211", date, 1))
		c.Now = time.Date(2026, 9, 21, 12, 0, 0, 0, time.UTC)
		_, r := read(t, c)
		got := ""
		if !r.At.IsZero() {
			got = r.At.In(feed.India()).Format(time.DateOnly)
		}
		if got != want || r.DateOnly != (want != "") {
			t.Errorf("%q is %q, date only %v; want %q", date, got, r.DateOnly, want)
		}
	}
}

// The body of MSG HOLD is that of MIS POSTING: only the names of the call tell
// them apart, and where they do not agree nothing is a credit.
func TestICICICalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint, service string
		want              feed.Kind
	}{
		{"mis-posting", "", feed.Credit},
		{"/MIS_Posting/", "eCollection", feed.Credit},
		{"", "MIS POSTING", feed.Credit},
		{"mis-posting", "MISPosting", feed.Credit},
		{"mis-posting", "MSG HOLD", feed.Unparsed},
		{"msg-hold", "MIS POSTING", feed.Unparsed},
		{"msg-hold", "", feed.Ignored},
		{"msg-hold", "MSG_HOLD", feed.Ignored},
		{"", "MsgHold", feed.Ignored},
		{"", "", feed.Unparsed},
		{"", "posting", feed.Unparsed},
		{"hook", "", feed.Unparsed},
		{"hook", "MIS POSTING", feed.Unparsed},
	}
	for _, tt := range tests {
		c := iciciSigned(t, iciciCredit)
		c.Endpoint, c.Body = tt.endpoint, strings.Replace(c.Body, `"service":""`, `"service":"`+tt.service+`"`, 1)
		if _, r := read(t, c); r.Kind != tt.want {
			t.Errorf("%q, %q: %s (%s), want %s", tt.endpoint, tt.service, r.Kind, r.Why, tt.want)
		}
	}
}

func TestICICIKeys(t *testing.T) {
	t.Parallel()
	c, s := iciciSigned(t, iciciCredit), secrets(t, "icici")
	s.Key = privateKey(t, "bank.pem")
	if _, err := provider(t, "icici").Read(c.request(), s); !errors.Is(err, bankhook.ErrBody) {
		t.Errorf("encrypted for another: %v", err)
	}
	s.Key = nil
	if _, err := provider(t, "icici").Read(c.request(), s); !errors.Is(err, bankhook.ErrSecrets) {
		t.Errorf("no key: %v", err)
	}
}

// Texts are bounded and of one line, and a time far ahead is none.
func TestTidy(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("म", 600)
	body := strings.NewReplacer(`"payerName":"M"`, `"payerName":"`+long+`","transactionMessage":"a\nb\u0000`+long+`"`,
		"2026-02-11", "2036-02-11").Replace(decentroCredit)
	_, r := read(t, decentroSigned(body))
	if got := len([]rune(r.PayerName)); got != 190 {
		t.Errorf("a name of %d characters", got)
	}
	if got := []rune(r.Note); len(got) != 500 || string(got[:4]) != "a b " {
		t.Errorf("a note of %d characters: %q", len(got), string(got[:4]))
	}
	if !r.At.IsZero() {
		t.Errorf("at %v", r.At)
	}
	body = strings.Replace(cashfreeCredit, `"R1"`, `"`+long+`"`, 1)
	if _, r := read(t, cashfreeSigned(body)); r.Reference != "" {
		t.Errorf("half a reference: %q", r.Reference)
	}
}
