package alert_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
)

func newReader(tb testing.TB) *alert.Reader {
	tb.Helper()
	r, err := alert.New()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// sample is a collected alert and what a person read in it.
type sample struct {
	ID, Bank, Sender, Text string
	BodyText               string `json:"body_text"`
	BodyHTML               string `json:"body_html"`
	Direction, Kind        string
	Amount, UTR            string
	PayerVPA               string `json:"payer_vpa"`
	AccountTail            string `json:"account_tail"`
	PayerName              string `json:"payer_name"`
	Time                   string
	email                  bool
}

var tag = regexp.MustCompile(`<[^>]*>`)

func samples(t *testing.T) []sample {
	t.Helper()
	dir := os.Getenv("MILAAN_TEST_FEEDS")
	if dir == "" {
		t.Skip("MILAAN_TEST_FEEDS names no folder of collected alerts")
	}
	var list []sample
	for _, name := range []string{"sms.jsonl", "emails.jsonl"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var s sample
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Fatal(err)
			}
			if s.email = s.Text == ""; s.email {
				s.Text = s.BodyText
				if s.Text == "" {
					s.Text = html.UnescapeString(tag.ReplaceAllString(strings.ReplaceAll(s.BodyHTML, "<br>", "\n"), " "))
				}
			}
			list = append(list, s)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return list
}

// untrusted senders are for the caller to turn away: the text alone is that of
// a bank.
var untrusted = regexp.MustCompile(`^\+?\d{10,12}$|-P$`)

func TestCollectedAlerts(t *testing.T) {
	t.Parallel()
	type tally struct{ all, utr, read, exact, ignored, unparsed int }
	reader, banks, total := newReader(t), map[string]*tally{}, &tally{}
	for _, s := range samples(t) {
		if untrusted.MatchString(s.Sender) {
			continue
		}
		m := alert.Message{Text: s.Text}
		if s.email {
			m.Channel = alert.Email
		}
		got := reader.Read(m)
		if banks[s.Bank] == nil {
			banks[s.Bank] = &tally{}
		}
		show := func(problem string) {
			t.Errorf("%s: %s\n  %q\n  read %+v", s.ID, problem, s.Text, got)
		}
		for _, n := range []*tally{banks[s.Bank], total} {
			n.all++
			switch got.Kind {
			case feed.Ignored:
				n.ignored++
			case feed.Unparsed:
				n.unparsed++
			default:
			}
			if s.Direction == "credit" && (got.Kind == feed.Credit || got.Kind == feed.Other) {
				n.read++
			}
			if s.Direction == "credit" && s.UTR != "" {
				n.utr++
				if got.Kind == feed.Credit && string(got.UTR) == s.UTR && got.Amount.Fixed() == s.Amount {
					n.exact++
				}
			}
		}
		if got.Kind != feed.Credit && got.Why == "" {
			show("no reason given")
		}
		switch s.Direction {
		case "none":
			if got.Kind == feed.Credit {
				show("a false credit")
			}
			continue
		case "debit":
			if got.Kind == feed.Credit || got.Kind == feed.Other {
				show("a debit that counts as money in")
			}
			if got.Kind == feed.Debit && got.Amount.Fixed() != s.Amount {
				show("a debit of another amount")
			}
			continue
		}
		switch got.Kind {
		case feed.Credit, feed.Other:
		case feed.Unparsed, feed.Ignored:
			if s.UTR != "" || got.Kind == feed.Ignored {
				show("a credit that was not read")
			} else {
				t.Logf("%s: credit without a UTR not read: %s\n  %q", s.ID, got.Why, s.Text)
			}
			continue
		default:
			show("a credit that is none")
			continue
		}
		if got.Amount.Fixed() != s.Amount {
			show("another amount than " + s.Amount)
		}
		if s.UTR != string(got.UTR) && (s.UTR != "" || !strings.HasPrefix(string(got.UTR), "SAMPLE")) {
			show("another UTR than " + s.UTR)
		}
		if s.UTR != "" && got.Kind != feed.Credit {
			show("a payment that is read as " + string(got.Kind))
		}
		if got.AccountTail != "" && s.AccountTail != "" && !strings.HasSuffix(got.AccountTail, s.AccountTail) {
			show("another account than " + s.AccountTail)
		}
		if name := strings.Join(strings.Fields(s.PayerName), " "); got.PayerName != "" && got.PayerName != name {
			show("another name than " + name)
		}
		if got.PayerVPA != "" && got.PayerVPA != s.PayerVPA {
			show("another payer than " + s.PayerVPA)
		}
		if !got.At.IsZero() {
			layout := "2006-01-02T15:04:05Z07:00"
			if got.DateOnly {
				layout = "2006-01-02"
			}
			if at := got.At.In(feed.India()).Format(layout); at != s.Time && strings.Replace(at, ":00+05:30", "+05:30", 1) != s.Time {
				show("another time than " + s.Time + ": " + at)
			}
		}
	}
	names := make([]string, 0, len(banks))
	for name := range banks {
		names = append(names, name)
	}
	sort.Strings(names)
	var table strings.Builder
	fmt.Fprintf(&table, "%-26s %5s %9s %9s %8s %9s\n", "bank", "all", "money in", "with UTR", "exact", "unparsed")
	for _, name := range append(names, "") {
		n := banks[name]
		if name == "" {
			name, n = "total", total
		}
		fmt.Fprintf(&table, "%-26s %5d %9d %9d %8d %9d\n", name, n.all, n.read, n.utr, n.exact, n.unparsed)
	}
	t.Log("\n" + table.String())
}

func BenchmarkRead(b *testing.B) {
	reader := newReader(b)
	texts := []string{
		"Dear SBI User, your A/c X4410-credited by Rs.750 on 12Mar26 transfer from KAVITA RAO Ref No 607123450918 -SBI",
		"Rs.310.00 debited from A/C XXXXXX9130 and credited to tea@apl UPI Ref:607123450919. Not you? Call 18005700 -BOB",
		"771204 is your OTP for txn of Rs.500.00 at Shop. Do not share. -SBI",
		"Your SB A/c *1188 Credited for Rs:80038 on 30-12-2025 06:00:27 by NEFT/ALPHA TRADERS.UTR:0811OP2112257999 Avl Bal Rs:180416.82 -Union Bank of India",
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		reader.Read(alert.Message{Text: texts[i%len(texts)]})
	}
}
