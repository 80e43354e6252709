package api_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
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
		{"other kind", "phone1", "Bearer smstoken", good, 400, `{"status":"fail","message":"Feed phone1 is of kind sms: this version reads json feeds"}`},
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
