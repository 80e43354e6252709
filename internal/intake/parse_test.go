package intake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/store/storetest"
)

var now = storetest.Start

// nobody has no keys: parsing asks no name server.
func nobody(_ context.Context, name string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func reader(t *testing.T) *intake.Reader {
	t.Helper()
	r, err := intake.New(nobody, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// jsonKeys are the keys of a printed reading, in their order.
func jsonKeys(t *testing.T, text []byte) (keys []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%s is no object: %v", text, err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fmt.Sprint(key))
		var value any
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		switch value.(type) {
		case nil, string:
		default:
			if key != "line" {
				t.Errorf("%s is no text in %s", key, text)
			}
		}
	}
	return keys
}

const readingKeys = "kind utr amount payer_vpa payer_name account_tail time note reference bank template why"

// TestParseSMS: each line has its place, whatever is in it.
func TestParseSMS(t *testing.T) {
	t.Parallel()
	credit := func(n string) string {
		return fmt.Sprintf(`Credit Alert!\nRs.%s credited to HDFC Bank A/c xx7310 on 14-03-26 from VPA asha@okaxis (UPI 60731234500%s)`, n+".00", n)
	}
	in := strings.Join([]string{
		`{"sender":"VM-HDFCBK-S","text":"` + credit("1") + `"}`,
		`{"from":"AD-HDFCBK-T","body":"` + credit("2") + `"}`,
		``,
		`{"sender":"VM-HDFCBK-S","text":`,
		`nonsense`,
		`{"text":"` + credit("5") + `"}`,
		`{"sender":"+919876543210","text":"` + credit("6") + `"}`,
		`{"sender":"VM-HDFCBK-P","text":"` + credit("7") + `"}`,
		`{"sender":"VM-NEWBNK","text":"` + credit("8") + `"}`,
		`{"sender":7,"text":"x"}`, `null`, `[]`, `"x"`, `{}`,
		`{"sender":"VM-HDFCBK-S","text":"Sent Rs.21.00\nFrom HDFC Bank A/C *7310\nTo Tea Corner\nOn 14/03/26\nRef 607312345015\nNot You?\nCall 18002586161/SMS BLOCK UPI to 7308080808"}`,
	}, "\r\n")
	var kinds []feed.Kind
	err := reader(t).ParseSMS(strings.NewReader("\ufeff\n "+in), func(r feed.Reading) error {
		kinds = append(kinds, r.Kind)
		text, err := json.Marshal(r)
		if got := strings.Join(jsonKeys(t, text), " "); err != nil || got != readingKeys {
			t.Errorf("printed with the keys %s, %v", got, err)
		}
		if r.Kind == feed.Unparsed || r.Kind == feed.Ignored {
			if r.Why == "" {
				t.Errorf("%s says not why", text)
			}
		} else if r.UTR == "" || r.Amount == 0 || r.AccountTail != "7310" {
			t.Errorf("read %s", text)
		}
		return nil
	})
	const c, d, i, u = feed.Credit, feed.Debit, feed.Ignored, feed.Unparsed
	want := []feed.Kind{c, c, u, u, c, i, i, c, u, i, u, u, i, d} // an object without a text says nothing
	if err != nil || fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("read %v, %v, want %v", kinds, err, want)
	}
}

// TestParseSMSText: one bare text is one message, and nothing is none.
func TestParseSMSText(t *testing.T) {
	t.Parallel()
	const text = "Credit Alert!\nRs.1.00 credited to HDFC Bank A/c xx7310 on 14-03-26 from VPA asha@okaxis (UPI 607312345001)\n"
	var out bytes.Buffer
	each := func(r feed.Reading) error { return json.NewEncoder(&out).Encode(r) }
	if err := reader(t).ParseSMS(strings.NewReader(text), each); err != nil {
		t.Fatal(err)
	}
	const want = `{"kind":"credit","utr":"607312345001","amount":"1.00","payer_vpa":"asha@okaxis","payer_name":null,"account_tail":"7310",` +
		`"time":"2026-03-14","note":null,"reference":null,"bank":"hdfc","template":"hdfc/upi-credit-alert","why":"an own account was credited"}`
	if got := strings.TrimSpace(out.String()); got != want {
		t.Errorf("printed\n%s, want\n%s", got, want)
	}
	out.Reset()
	if err := reader(t).ParseSMS(strings.NewReader(" \n\t"), each); err != nil || out.Len() != 0 {
		t.Errorf("of nothing: %s, %v", out.String(), err)
	}
	stop := errors.New("stop")
	if err := reader(t).ParseSMS(strings.NewReader(text), func(feed.Reading) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error came back as %v", err)
	}
	long := `{"text":"` + strings.Repeat("x", 5<<20) + `"}`
	if err := reader(t).ParseSMS(strings.NewReader(long), each); err == nil {
		t.Error("a line without end was read")
	}
}

const hdfcLetter = "Dear Customer, Rs.75.00 is successfully credited to your account **7310 by VPA asha@okaxis ASHA on 14-03-26. Your UPI transaction reference number is 607312345021."

// TestParseEmail: an e-mail is one reading, JSON lines one each; an unproven
// letter is none.
func TestParseEmail(t *testing.T) {
	t.Parallel()
	read := func(in string) (list []feed.Reading) {
		t.Helper()
		if err := reader(t).ParseEmail(t.Context(), strings.NewReader(in), func(r feed.Reading) error {
			list = append(list, r)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	letter := "From: HDFC Bank <alerts@hdfcbank.net>\r\nTo: a@shop.example\r\nSubject: x\r\nDate: Sat, 14 Mar 2026 15:00:00 +0530\r\n\r\n" + hdfcLetter + "\r\n"
	if got := read(letter); len(got) != 1 || got[0].Kind != feed.Ignored || got[0].UTR != "" || got[0].Amount != 0 {
		t.Errorf("an unsigned letter is read as %+v", got)
	}
	proven := "Authentication-Results: mx.shop.example; dkim=pass header.d=hdfcbank.net\r\n" + letter
	if got := read(proven); len(got) != 1 || got[0].Kind != feed.Credit || got[0].UTR != "607312345021" || got[0].Amount != 75_00 {
		t.Errorf("one whose signature the server found good is read as %+v", got)
	}
	if got := read(strings.Replace(proven, "=hdfcbank.net", "=evil.example", 1)); len(got) != 1 || got[0].Kind != feed.Ignored {
		t.Errorf("one that another domain signed is read as %+v", got)
	}
	lines := read(strings.Join([]string{
		`{"sender":"alerts@hdfcbank.net","text":"` + hdfcLetter + `"}`,
		`{"from":"HDFC Bank InstaAlerts <alerts@hdfcbank.net>","body_html":"<p>` + hdfcLetter + `</p>"}`,
		`{"broken"`,
		`{"from":"HDFC Bank <hdfcbank@evil.example>","text":"` + hdfcLetter + `"}`,
		`{"from":"alerts@hdfcbank.net","text":""}`,
	}, "\n"))
	if len(lines) != 5 {
		t.Fatalf("read %+v", lines)
	}
	for i, want := range []feed.Kind{feed.Credit, feed.Credit, feed.Unparsed, feed.Unparsed, feed.Unparsed} {
		if lines[i].Kind != want {
			t.Errorf("line %d is read as %+v, want %s", i, lines[i], want)
		}
	}
	if err := reader(t).ParseEmail(t.Context(), strings.NewReader("no letter"), func(feed.Reading) error { return nil }); err == nil {
		t.Error("what is no letter was read")
	}
	if got := read("\n"); len(got) != 0 {
		t.Errorf("nothing is read as %+v", got)
	}
}

// TestParseStatement: every line is printed, in the file's order; of a file that
// is not to be trusted none is more than unparsed.
func TestParseStatement(t *testing.T) {
	t.Parallel()
	parse := func(text string) (lines []intake.ParsedLine, err error) {
		err = reader(t).ParseStatement(t.Context(), intake.File{ReaderAt: strings.NewReader(text), Size: int64(len(text)), Format: statement.Auto},
			func(l intake.ParsedLine) error {
				lines = append(lines, l)
				return nil
			})
		return lines, err
	}
	text := sheet(rent(1, 500_00), line{"SMS CHARGES", -5_00}, line{"CASH DEPOSIT", 9_00})
	lines, err := parse(text)
	if err != nil || len(lines) != 3 {
		t.Fatalf("read %+v, %v", lines, err)
	}
	for i, want := range []struct {
		kind feed.Kind
		json string
	}{
		{feed.Credit, `"utr":"000000000001","amount":"500.00","payer_vpa":"ASHA@OKAXIS","payer_name":"ASHA","account_tail":"7310","time":"2026-03-14"`},
		{feed.Debit, `"utr":null,"amount":"5.00"`}, {feed.Credit, `"utr":null,"amount":"9.00"`},
	} {
		text, err := json.Marshal(lines[i])
		if err != nil || lines[i].Kind != want.kind || !strings.Contains(string(text), want.json) || lines[i].Line != i+3 {
			t.Errorf("line %d is %s, %v, want %s", i, text, err, want.json)
		}
		if got := strings.Join(jsonKeys(t, text), " "); got != readingKeys+" line narration balance" {
			t.Errorf("printed with the keys %s", got)
		}
	}
	// What a balance denies is left to a person.
	lied := strings.Replace(sheet(rent(1, 10_00), rent(2, 20_00), rent(3, 30_00), rent(4, 40_00), rent(5, 50_00), rent(6, 60_00)), ",40.00,0,5100.00", ",41.00,0,5100.00", 1)
	if lines, err = parse(lied); err != nil || len(lines) != 6 {
		t.Fatalf("read %+v, %v", lines, err)
	}
	for i, l := range lines {
		if denied := i == 3; denied != (l.Kind == feed.Unparsed) || denied != strings.Contains(l.Why, "balance") {
			t.Errorf("line %d is read as %+v", i, l)
		}
	}
	if _, err := parse("no statement"); !errors.Is(err, statement.ErrFormat) {
		t.Errorf("no statement gives %v", err)
	}
}
