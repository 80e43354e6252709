package api_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/sms"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/money"
)

func (h *house) report(id, authorization, body string) *httptest.ResponseRecorder {
	r := request(http.MethodPost, "/feeds/"+id, body)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return h.do(r)
}

func TestReport(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{summary: feed.Summary{Accepted: 1, Matched: 1, Refused: []feed.Refusal{{Index: 2, Error: "known with another amount"}}}})
	w := h.report("bank1", "Bearer feedtoken", `{"credits":[
		{"utr":55015818634,"amount":"1"},
		{"utr":"355015818634","amount":"1000.00","currency":"INR","payer_vpa":"a@okaxis","payer_name":"A B","note":"rent","at":"2026-01-02T15:04:05+05:30","reference":"R1"},
		{"utr":"355015818635","amount":2},
		{"utr":"355015818636"}]}`)
	expect(t, w, 200, `{"accepted":1,"duplicate":0,"matched":1,"refused":[`+
		`{"index":0,"error":"utr must be a string in quotes: a number loses its leading zeros"},`+
		`{"index":2,"error":"known with another amount"},`+
		`{"index":3,"error":"amount is required: rupees, such as 500 or 500.50"}]}`)
	want := []feed.Item{
		{Place: 1, Credit: &feed.Entry{UTR: "355015818634", Amount: 1000 * money.Rupee, Currency: money.INR, PayerVPA: "a@okaxis", PayerName: "A B",
			Note: "rent", Reference: "R1", At: time.Date(2026, 1, 2, 9, 34, 5, 0, time.UTC), Trust: feed.Confirmed}},
		{Place: 2, Credit: &feed.Entry{UTR: "355015818635", Amount: 2 * money.Rupee, Currency: money.INR, At: now, Trust: feed.Confirmed}},
	}
	if !reflect.DeepEqual(h.desk.items, want) || h.desk.feed.ID != "bank1" {
		t.Errorf("gave the desk %+v of %+v", h.desk.items, h.desk.feed)
	}
	if err := testutil.GatherAndCompare(h.metrics, strings.NewReader(`# HELP milaan_feed_refused_total Records of feeds that were refused, malformed ones included.
# TYPE milaan_feed_refused_total counter
milaan_feed_refused_total{feed="bank1"} 3
`), "milaan_feed_refused_total"); err != nil {
		t.Error(err)
	}
	if log := h.log.String(); !strings.Contains(log, `"feed":"bank1"`) || strings.Contains(log, "feedtoken") {
		t.Errorf("access log %s", log)
	}
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	expect(t, open(t, &desk{}).report("bank1", "Bearer feedtoken", `{"credits":[]}`), 200, `{"accepted":0,"duplicate":0,"matched":0,"refused":[]}`)
}

func TestReportRefused(t *testing.T) {
	t.Parallel()
	const good = `{"credits":[{"utr":"355015818634","amount":1}]}`
	tests := []struct {
		name, feed, authorization, body string
		status                          int
		want                            string
	}{
		{"no token", "bank1", "", good, 404, "Not found"},
		{"wrong token", "bank1", "Bearer feedtoke", good, 404, "Not found"},
		{"another feed's token", "bank1", "Bearer smstoken", good, 404, "Not found"},
		{"unknown feed", "bank9", "Bearer feedtoken", good, 404, "Not found"},
		{"unknown feed, no token", "bank9", "", good, 404, "Not found"},
		{"retired feed", "old", "Bearer oldtoken", good, 404, "Not found"},
		{"a feed without a token", "blank", "Bearer ", good, 404, "Not found"},
		{"token in the URL", "bank1?secret=feedtoken", "", good, 404, "Not found"},
		{"no SMS", "phone1", "Bearer smstoken", good, 400, `{"status":"fail","message":"The request is not valid: correct what errors names and send it again","errors":{"body":["` + sms.ErrShape.Error() + `"]}}`},
		{"no JSON", "bank1", "Bearer feedtoken", `{'credits':[]}`, 400, notValid + `{"body":["must be JSON: {\"credits\":[…]}; it goes wrong at byte 2"]}}`},
		{"no credits", "bank1", "Bearer feedtoken", `{}`, 400, notValid + `{"body":["must be an object with a list of credits: {\"credits\":[…]}"]}}`},
		{"too large", "bank1", "Bearer feedtoken", strings.Repeat(" ", 1<<20+1), 413,
			`{"status":"fail","message":"The request is too large: send it in smaller pieces","errors":{"body":["must have at most 1048576 bytes"]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, &desk{})
			expect(t, h.report(tt.feed, tt.authorization, tt.body), tt.status, tt.want)
			if h.desk.feed != nil {
				t.Error("it reached the desk")
			}
		})
	}
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		expect(t, open(t, &desk{err: deposit.ErrBusy}).report("bank1", "Bearer feedtoken", good), 503,
			`{"status":"fail","message":"Too many requests are waiting: try again shortly"}`)
	})
}

// TestReportSMS: what a forwarder posts becomes a credit with the message it was
// read from; what the phone's owner got from others stays theirs.
func TestReportSMS(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	const text = "Dear Customer, Acct XX123 is credited with Rs 1499.00 on 02-Jan-26 from SAMPLE PAYER. UPI:627812345691-ICICI Bank."
	post := func(from, text string) feed.Item {
		t.Helper()
		body, err := json.Marshal(map[string]any{"from": from, "text": text, "sentStamp": now.UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, h.report("phone1", "Bearer smstoken", string(body)), 200, `{"accepted":0,"duplicate":0,"matched":0,"refused":[]}`)
		return h.desk.items[0]
	}
	item := post("JD-ICICIT-S", text)
	if e := item.Credit; e == nil || e.UTR != "627812345691" || e.Amount != 1499*money.Rupee || e.Trust != feed.Provisional || !e.At.Equal(now) {
		t.Errorf("read %+v of %+v", item.Credit, item.Message)
	}
	if m := item.Message; m == nil || string(m.Raw) != text || m.Sender != "JD-ICICIT-S" {
		t.Errorf("kept %+v", m)
	}
	for _, forger := range []string{"+919812345678", "JD-ICICIT-P", "JD-1C1C1T-S", "AMAZON"} {
		if item := post(forger, text); item.Credit != nil || item.Refusal == "" || item.Message == nil {
			t.Errorf("%s: %+v", forger, item)
		}
		if item := post(forger, "See you at eight"); item.Credit != nil || item.Message == nil || item.Message.Raw != nil {
			t.Errorf("a private message is kept as %+v", item.Message)
		}
	}
}

// TestReportHook: a provider proves itself by its signature, and strangers learn
// nothing.
func TestReportHook(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	const body = `{"entity":"event","event":"payment.captured","contains":["payment"],"payload":{"payment":{"entity":{"id":"pay_A1","entity":"payment",` +
		`"amount":149900,"currency":"INR","status":"captured","method":"upi","vpa":"payer@okaxis","amount_refunded":0,"captured":true,` +
		`"acquirer_data":{"rrn":"627812345680"},"created_at":1767346445}}},"created_at":1767346445}`
	post := func(id, signature string) *httptest.ResponseRecorder {
		r := request(http.MethodPost, "/feeds/"+id, body)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Razorpay-Signature", signature)
		return h.do(r)
	}
	mac := hmac.New(sha256.New, []byte("hook-secret"))
	_, _ = mac.Write([]byte(body))
	signature := hex.EncodeToString(mac.Sum(nil))
	if w := post("razor", signature); w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	if e := h.desk.items[0].Credit; e == nil || e.UTR != "627812345680" || e.Amount != 1499*money.Rupee || e.Trust != feed.Confirmed {
		t.Errorf("read %+v of %+v", e, h.desk.items[0].Message)
	}
	h.desk.items = nil
	expect(t, post("razor", strings.Repeat("0", 64)), 404, "Not found")
	expect(t, post("razor", ""), 404, "Not found")
	if w := post("bare", signature); w.Code != http.StatusServiceUnavailable || !strings.Contains(h.log.String(), "bare") {
		t.Errorf("a feed without a secret answers %d", w.Code)
	}
	if h.desk.items != nil {
		t.Errorf("forged: gave the desk %+v", h.desk.items)
	}
	for _, secret := range []string{"627812345680", "payer@okaxis", "hook-secret"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// TestReportMail: a letter that is nobody's word counts for nothing.
func TestReportMail(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	letter := "From: HDFC Bank <alerts@hdfcbank.net>\r\nTo: shop@example.com\r\nSubject: View: Account update\r\nDate: Fri, 02 Jan 2026 15:00:00 +0530\r\n\r\n" +
		"Dear Customer, Rs. 160.00 is successfully credited to your account **7722 by VPA a@ybl A B on 02-01-26. Your UPI transaction reference number is 620132678501.\r\n"
	expect(t, h.report("letters", "Bearer mailtoken", letter), 200, `{"accepted":0,"duplicate":0,"matched":0,"refused":[]}`)
	if item := h.desk.items[0]; item.Credit != nil || item.Refusal == "" || item.Message.UTR != "620132678501" {
		t.Errorf("an unsigned letter gave %+v", item)
	}
	if w := h.report("letters", "Bearer mailtoken", "no letter"); w.Code != http.StatusBadRequest {
		t.Errorf("no letter answers %d", w.Code)
	}
}

// TestReportStatement: a file as the body, and as a form's field.
func TestReportStatement(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	h.imports.result = intake.Imported{New: 2, Known: 3, KnownCredits: 1, Matched: 1, Open: []feed.StatementLine{
		{Number: 7, Outcome: feed.Outcome{Result: feed.Unread, Why: "no date"}},
	}}
	const answer = `{"accepted":2,"duplicate":1,"matched":1,"refused":[{"index":7,"error":"no date"}]}`
	expect(t, h.report("upload", "Bearer filetoken", "Date,Narration"), 200, answer)
	if h.imports.text != "Date,Narration" {
		t.Errorf("imported %q", h.imports.text)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	field, err := w.CreateFormFile("file", "june.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(field, "A,B"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := request(http.MethodPost, "/feeds/upload", form.String())
	r.Header.Set("Authorization", "Bearer filetoken")
	r.Header.Set("Content-Type", w.FormDataContentType())
	expect(t, h.do(r), 200, answer)
	if h.imports.text != "A,B" || h.imports.name != "june.csv" {
		t.Errorf("imported %q of %s", h.imports.text, h.imports.name)
	}
	h.imports.err = fmt.Errorf("%w: it is locked", intake.ErrStatement)
	if w := h.report("upload", "Bearer filetoken", "x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "it is locked") {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
	expect(t, h.report("upload", "Bearer other", "x"), 404, "Not found")
}

// TestReportStatementSlowly: a statement that takes longer to arrive than the
// server has for other answers is answered all the same.
func TestReportStatementSlowly(t *testing.T) {
	t.Parallel()
	h := open(t, &desk{})
	h.clock = time.Now()
	h.imports.result = intake.Imported{New: 2}
	server := httptest.NewUnstartedServer(h.handler)
	const short = 100 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout = short, short
	server.Start()
	t.Cleanup(server.Close)
	body, file := io.Pipe()
	go func() {
		_, err := io.WriteString(file, "Date,")
		time.Sleep(5 * short)
		if err == nil {
			_, err = io.WriteString(file, "Narration")
		}
		_ = file.CloseWithError(err)
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/feeds/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer filetoken")
	res, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if answer, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(answer), `"accepted":2`) {
		t.Errorf("answered %d %s, %v", res.StatusCode, answer, err)
	}
	if h.imports.text != "Date,Narration" {
		t.Errorf("imported %q", h.imports.text)
	}
}
