package statement

import (
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

func TestParseSum(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		paise money.Paise
		side  role
	}{
		{"500", 50000, none}, {"1,00,000.50", 10000050, none}, {"100,000.5", 10000050, none}, {".50", 50, none}, {"7.", 700, none},
		{"  4439.59 ", 443959, none}, {"380.00(Dr)", 38000, debit}, {"85000.00(Cr)", 8500000, credit}, {"4,622.50 CR", 462250, credit},
		{"10,500.00Cr", 1050000, credit}, {"Cr 12.00", 1200, credit}, {"-1,000.00", -100000, none}, {"500.00-", -50000, none}, {"(500.00)", -50000, none},
		{"+500", 50000, none}, {"₹500.00", 50000, none}, {"Rs. 500", 50000, none}, {"INR 500.00", 50000, none}, {"500 INR", 50000, none},
		{"5.000", 500, none}, {"\u00a012.30\u00a0", 1230, none}, {"12.30 Dr.", 1230, debit}, {"-12.30 Dr", -1230, debit},
	}
	for _, tt := range tests {
		s, err := parseSum(tt.text, false)
		if err != nil || !s.there || s.paise != tt.paise || s.side != tt.side {
			t.Errorf("%q is %+v, %v; want %d", tt.text, s, err, tt.paise)
		}
	}
	for _, text := range []string{"", " ", "-", "--", "NA", "nil", "\u00a0"} {
		if s, err := parseSum(text, false); err != nil || s.there {
			t.Errorf("%q is %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"abc", "1.2.3", "1 000", "12x", "x12", "1e5", "1.005", "4567XXXX1234", "01/05/26", "--5", "()", "Cr", "9999999999999999999"} {
		if s, err := parseSum(text, false); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
	for text, want := range map[string]money.Paise{"0.30000000000000004": 30, "1234.5600000000001": 123456, "1.5E3": 150000, "99.99999999999999": 10000} {
		if s, err := parseSum(text, true); err != nil || s.paise != want {
			t.Errorf("%q is %+v, %v; want %d", text, s, err, want)
		}
	}
}

func TestParseDay(t *testing.T) {
	t.Parallel()
	ist := func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", s, feed.India())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for text, want := range map[string]string{
		"01/05/26": "2026-05-01 00:00:00", "1/5/2026": "2026-05-01 00:00:00", "01-05-2026": "2026-05-01 00:00:00", "01.05.2026": "2026-05-01 00:00:00",
		"1 May 2026": "2026-05-01 00:00:00", "01-May-26": "2026-05-01 00:00:00", "01-MAY-2026": "2026-05-01 00:00:00", "1 September 2026": "2026-09-01 00:00:00",
		"1 Sept 2026": "2026-09-01 00:00:00", "May 1, 2026": "2026-05-01 00:00:00", "2026-05-01": "2026-05-01 00:00:00", "20260501": "2026-05-01 00:00:00",
		"01052026": "2026-05-01 00:00:00", "01MAY2026": "2026-05-01 00:00:00", "01-05-2026 22:04:25": "2026-05-01 22:04:25", "01/05/2026 10:04": "2026-05-01 10:04:00",
		"01/05/2026 02:10:10 PM": "2026-05-01 14:10:10", "2026-05-01T22:04:25": "2026-05-01 22:04:25", "2026-05-01 22:04:25.123": "2026-05-01 22:04:25", "29/02/2024": "2024-02-29 00:00:00",
		"01/05/2026 2:10 PM": "2026-05-01 14:10:00", "01/05/2026 12:00 am": "2026-05-01 00:00:00", "01/05/2026 22:04:25 PM": "2026-05-01 22:04:25",
	} {
		d, err := parseDay(text, dayFirst)
		if err != nil || !d.at.Equal(ist(want)) || d.only == strings.Contains(text, ":") {
			t.Errorf("%q is %v, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "30/02/2026", "31-Apr-2026", "29/02/2026", "32/01/2026", "00/01/2026", "01/13/2026", "1 Foo 2026", "01/05/2026 25:00", "01/05/1026", "Total", "12345"} {
		if d, err := parseDay(text, dayFirst); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
	if d, err := parseDay("05/13/2026", monthBeforeDay); err != nil || !d.at.Equal(ist("2026-05-13 00:00:00")) {
		t.Errorf("%v, %v", d, err)
	}
	for text, want := range map[string]string{"46143": "2026-05-01 00:00:00", "46143.5": "2026-05-01 12:00:00", "46143.920127314814": "2026-05-01 22:04:59"} {
		if d, ok := epoch1900.serial(text); !ok || !d.at.Equal(ist(want)) {
			t.Errorf("%s is %v", text, d.at.In(feed.India()))
		}
	}
	for _, text := range []string{"1", "500.00", "612112345671", "-46143", "1e99", "1e999999999", ""} {
		if d, ok := epoch1900.serial(text); ok {
			t.Errorf("%q is %v", text, d)
		}
	}
}
