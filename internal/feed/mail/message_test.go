package mail_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/milaan/milaan/internal/feed/mail"
)

const envelope = "From: Bank <alerts@bank.example>\r\nTo: <shop@shop.example>\r\nDate: Sat, 13 Jun 2026 20:04:11 +0530\r\n"

// raw is a message of these further header fields and that body.
func raw(fields, body string) string {
	return envelope + strings.ReplaceAll(fields+"\n"+body, "\n", "\r\n")
}

func texts(m *mail.Message) []string {
	var texts []string
	for _, text := range m.Texts {
		texts = append(texts, text.Type+": "+text.Text)
	}
	return texts
}

func TestOpenReadsHeader(t *testing.T) {
	t.Parallel()
	const fields = "Message-ID: <a.1@bank.example>\nSubject: =?utf-8?b?4oK5?= 75.00 =?iso-8859-1?q?cr=E9dit=E9?=\n =?utf-8?q?_now?=\n"
	m := open(t, strings.Replace(raw(fields, "Hello"), "Bank <alerts@bank.example>", `"hdfcbank.net alerts@hdfcbank.net" <Alerts@Bank.Example>`, 1))
	if m.From != "alerts@bank.example" || !reflect.DeepEqual(m.To, []string{"shop@shop.example"}) ||
		m.ID != "a.1@bank.example" || m.Subject != "₹ 75.00 crédité now" ||
		m.Date != time.Date(2026, 6, 13, 14, 34, 11, 0, time.UTC) {
		t.Errorf("read %+v", m)
	}
}

func TestOpenReadsDates(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]time.Time{
		"13 Jun 2026 20:04:11 +0530":          time.Date(2026, 6, 13, 14, 34, 11, 0, time.UTC),
		"Sat, 13 Jun 2026 20:04:11 IST":       time.Date(2026, 6, 13, 14, 34, 11, 0, time.UTC),
		"Sat, 13 Jun 2026 20:04:11 GMT":       time.Date(2026, 6, 13, 20, 4, 11, 0, time.UTC),
		"Sat, 13 Jun 2026 20:04 +0530 (IST)":  time.Date(2026, 6, 13, 14, 34, 0, 0, time.UTC),
		"Sat,  6 Jun 2026 20:04:11 +0000 (Z)": time.Date(2026, 6, 6, 20, 4, 11, 0, time.UTC),
	} {
		m := open(t, strings.Replace(raw("", "Hello"), "Sat, 13 Jun 2026 20:04:11 +0530", field, 1))
		if !m.Date.Equal(want) || m.Date.Location() != time.UTC {
			t.Errorf("%s is %v, want %v", field, m.Date, want)
		}
	}
}

func TestOpenReadsTexts(t *testing.T) {
	t.Parallel()
	const mixed = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b1\n"
	tests := []struct {
		name, fields, body string
		want               []string
	}{
		{"no type", "", "Rs.75.00 credited\n", []string{"text/plain: Rs.75.00 credited"}},
		{"quoted-printable", "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n",
			"=E2=82=B9 75.0=\n0 cred=69ted\n", []string{"text/plain: ₹ 75.00 credited"}},
		{"base64", "Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: BASE64\n",
			base64.StdEncoding.EncodeToString([]byte("₹ 75.00\r\ncredited")) + "\n", []string{"text/plain: ₹ 75.00\ncredited"}},
		{"windows-1252", "Content-Type: text/plain; charset=Windows-1252\n", "Rs 75 \x96 credited\n", []string{"text/plain: Rs 75 – credited"}},
		{"not the charset it says", "Content-Type: text/plain; charset=utf-8\n", "Rs 75 \x96 credited\n", []string{"text/plain: Rs 75 \uFFFD credited"}},
		{"HTML", "Content-Type: text/html; charset=utf-8\n", "<p>Rs.75.00<br>credited</p>", []string{"text/html: Rs.75.00\ncredited"}},
		{"alternatives", "Content-Type: multipart/alternative; boundary=\"=_b 1\"\n",
			"preamble\n--=_b 1\nContent-Type: text/plain\n\nplain\n--=_b 1\nContent-Type: text/html\n\n<b>rich</b>\n--=_b 1--\nepilogue\n",
			[]string{"text/plain: plain", "text/html: rich"}},
		{"nested", mixed,
			"--b1\nContent-Type: multipart/related; boundary=b2\n\n--b2\nContent-Type: text/html\n\nrich\n--b2\nContent-Type: image/png\n\nxx\n--b2--\n--b1\n\nfooter\n--b1--\n",
			[]string{"text/html: rich", "text/plain: footer"}},
		{"forwarded mail is somebody else's", mixed,
			"--b1\n\nsee below\n--b1\nContent-Type: message/rfc822\n\nFrom: a@b.example\n\nRs.75.00 credited\n--b1--\n",
			[]string{"text/plain: see below"}},
		{"a digest is too", mixed,
			"--b1\n\nsee below\n--b1\nContent-Type: multipart/digest; boundary=b2\n\n--b2\n\nFrom: a@b.example\n\nRs.75.00 credited\n--b2--\n--b1--\n",
			[]string{"text/plain: see below"}},
		{"attached text is no text of the mail", mixed,
			"--b1\n\nsee below\n--b1\nContent-Type: text/plain; name=a.txt\n\nRs.75.00 credited\n--b1\nContent-Type: text/html\nContent-Disposition: attachment\n\nRs.75.00 credited\n--b1--\n",
			[]string{"text/plain: see below"}},
		{"alternative in an unknown charset", mixed,
			"--b1\nContent-Type: text/plain; charset=utf-16\n\nxx\n--b1\n\nplain\n--b1--\n", []string{"text/plain: plain"}},
		{"no text", "Content-Type: application/pdf\n", "%PDF", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := texts(open(t, raw(tt.fields, tt.body))); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOpenReportsAttachments(t *testing.T) {
	t.Parallel()
	m := open(t, raw("Content-Type: multipart/mixed; boundary=b\n",
		"--b\n\nYour statement\n"+
			"--b\nContent-Type: application/vnd.ms-excel; name=\"=?utf-8?q?June=E2=80=932026.xls?=\"\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n"+
			"--b\nContent-Type: Application/PDF\nContent-Disposition: attachment; filename*=utf-8''a%20b.pdf\n\n%PDF\n"+
			"--b\nContent-Type: application/pdf; name=unquoted name.pdf\n\nx\n"+
			"--b\nContent-Type: text/html\nContent-Disposition: attachment; filename=my page.html\n\n<b>x</b>\n"+
			"--b\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\n!!!\n"+
			"--b--\n"))
	want := []mail.Attachment{
		{Name: "June–2026.xls", Type: "application/vnd.ms-excel", Data: []byte("hello")},
		{Name: "a b.pdf", Type: "application/pdf", Data: []byte("%PDF")},
		{Type: "application/pdf", Data: []byte("x")},
		{Type: "text/html", Data: []byte("<b>x</b>")},
	}
	if !reflect.DeepEqual(m.Attachments, want) || len(m.Texts) != 1 {
		t.Errorf("read %q and %q", m.Attachments, texts(m))
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const parts = "Content-Type: multipart/mixed; boundary=b\n"
	replace := func(from, to string) string { return strings.Replace(raw("", "Hello\n"), from, to, 1) }
	deep := func(levels int) string {
		var b strings.Builder
		for range levels {
			b.WriteString("--b\nContent-Type: multipart/mixed; boundary=b\n\n")
		}
		return b.String()
	}
	tests := []struct{ name, message string }{
		{"empty", ""},
		{"no header", "\r\nHello\r\n"},
		{"no end of the header", strings.TrimSuffix(envelope, "\r\n")},
		{"no From", replace("From:", "X-From:")},
		{"two From", replace("To:", "From: alerts@hdfcbank.net\r\nTo:")},
		{"two authors", replace("Bank <alerts@bank.example>", "alerts@bank.example, alerts@hdfcbank.net")},
		{"no author", replace("Bank <alerts@bank.example>", "friends:;")},
		{"From that is no address", replace("Bank <alerts@bank.example>", "alerts@hdfcbank.net <>")},
		{"From of two addresses in one", replace("<alerts@bank.example>", "<alerts@hdfcbank.net><alerts@bank.example>")},
		{"two Subjects", replace("To:", "Subject: a\r\nSubject: b\r\nTo:")},
		{"two Dates", replace("To:", "Date: Sat, 13 Jun 2026 20:04:11 +0530\r\nTo:")},
		{"two To", replace("To:", "To: a@b.example\r\nTo:")},
		{"two Content-Types", raw("Content-Type: text/plain\nContent-Type: text/html\n", "Hello")},
		{"no Date", replace("Date:", "X-Date:")},
		{"Date of another kind", replace("13 Jun", "June the 13th")},
		{"mailbox line", "From alerts@bank.example Sat Jun 13 20:04:11 2026\r\n" + raw("", "Hello")},
		{"space in a field name", replace("To:", "Subject : x\r\nTo:")},
		{"folded first line", " x\r\n" + raw("", "Hello")},
		{"no field", replace("To:", "Hello\r\nTo:")},
		{"carriage return in a field", replace("To:", "X-A: b\rFrom: alerts@hdfcbank.net\r\nTo:")},
		{"zero byte in a field", replace("Bank ", "Bank\x00")},
		{"header too large", replace("To:", "X-A: "+strings.Repeat("x", 200<<10)+"\r\nTo:")},
		{"no boundary", raw("Content-Type: multipart/mixed\n", "Hello\n")},
		{"no parts", raw(parts, "Hello\n")},
		{"parts cut off", raw(parts, "--b\n\nHello\n")},
		{"part's header cut off", raw(parts, "--b\nContent-Type: text/plain")},
		{"parts encoded twice", raw(parts+"Content-Transfer-Encoding: base64\n", "LS1iCgpIZWxsbwotLWItLQo=\n")},
		{"too many parts", raw(parts, strings.Repeat("--b\n\nHello\n", 100)+"--b--\n")},
		{"nested too deep", raw(parts, deep(20))},
		{"text type that can't be read", raw("Content-Type: text/plain; charset\n", "Hello\n")},
		{"type that can't be read", raw("Content-Type: ;;\n", "Hello\n")},
		{"unknown charset", raw("Content-Type: text/plain; charset=klingon\n", "Hello\n")},
		{"charset that rewrites ASCII", raw("Content-Type: text/plain; charset=utf-16be\n", "Hello\n")},
		{"charset with escapes", raw("Content-Type: text/plain; charset=iso-2022-jp\n", "Hello\n")},
		{"unknown encoding", raw("Content-Transfer-Encoding: x-uuencode\n", "Hello\n")},
		{"base64 cut off", raw("Content-Transfer-Encoding: base64\n", "SGVsb")},
		{"no base64", raw("Content-Transfer-Encoding: base64\n", "Rs.75.00 credited\n")},
		{"cut off in an attachment", raw(parts, "--b\n\nHello\n--b\nContent-Type: application/pdf\n\n%PDF\n")},
		{"an attachment alone, encoded twice", raw(parts+"Content-Transfer-Encoding: quoted-printable\n", "--b--\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := mail.Open(strings.NewReader(tt.message))
			if !errors.Is(err, mail.ErrMalformed) || m != nil {
				t.Errorf("read %+v, error %v", m, err)
			}
		})
	}
	if _, err := mail.Open(strings.NewReader(raw("", strings.Repeat("x", mail.MaxSize)))); !errors.Is(err, mail.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// TestWhatBanksSend reads the messages of the test feeds. They hold no
// signatures, so none counts but on the word of the server that they name; and
// the forged ones not even then.
func TestWhatBanksSend(t *testing.T) {
	t.Parallel()
	feeds := os.Getenv("MILAAN_TEST_FEEDS")
	if feeds == "" {
		t.Skip("MILAAN_TEST_FEEDS does not name the folder of bank feeds")
	}
	index, err := os.ReadFile(filepath.Join(feeds, "eml", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var messages []struct{ File string }
	if err := json.Unmarshal(index, &messages); err != nil || len(messages) == 0 {
		t.Fatalf("%d messages, error %v", len(messages), err)
	}
	for _, message := range messages {
		content, err := os.ReadFile(filepath.Join(feeds, "eml", message.File))
		if err != nil {
			t.Fatal(err)
		}
		m := open(t, string(content))
		if len(m.Texts) == 0 {
			t.Errorf("%s: no text", message.File)
		}
		for _, text := range m.Texts {
			if !strings.ContainsAny(text.Text, "0123456789") || strings.ContainsAny(text.Text, "<>") {
				t.Errorf("%s: %s", message.File, text.Text)
			}
		}
		bank := mail.BankOf(m.From)
		for _, relay := range []string{"", m.Receiver()} {
			v := verifier(t, dns(t), func(p *mail.Policy) {
				p.Recipients, p.Relay = m.To, relay
				if bank != "" {
					p.Bank = bank
				}
			})
			genuine := relay != "" && !strings.HasPrefix(message.File, "SPOOF")
			if _, err := v.Verify(t.Context(), m); (err == nil) != genuine || !genuine && !errors.Is(err, mail.ErrUntrusted) {
				t.Errorf("%s, on the word of %q: %v", message.File, relay, err)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(alert))
	f.Add([]byte(raw("Content-Type: multipart/mixed; boundary=b\n", "--b\nContent-Type: text/html\n\n<table><tr><td>UTR<td>516300274911</table>\n--b\nContent-Type: message/rfc822\n\nx\n--b--\n")))
	f.Add([]byte(raw("Content-Type: text/plain; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n", "=80 75=\n.00\n")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := mail.Open(strings.NewReader(string(raw)))
		if err != nil {
			if !errors.Is(err, mail.ErrMalformed) && !errors.Is(err, mail.ErrTooLarge) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !strings.Contains(m.From, "@") || strings.Contains(m.Subject, "\n") {
			t.Fatalf("let %+v through", m)
		}
		for _, text := range m.Texts {
			if text.Text == "" || !utf8.ValidString(text.Text) || mail.Normalize(text.Text) != text.Text {
				t.Fatalf("text %q", text.Text)
			}
		}
		if _, err := verifier(t, dns(t), nil).Verify(t.Context(), m); !errors.Is(err, mail.ErrUntrusted) {
			t.Fatalf("trusted %q: %v", raw, err)
		}
	})
}
