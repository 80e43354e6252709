package notice_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/milaan/milaan/internal/notice"
)

// post is a mail server on this machine that keeps what is handed in.
type post struct {
	mu       sync.Mutex
	from     string
	to       []string
	mail     string
	user     string
	refuse   error
	port     int
	trusting *tls.Config // a client's
}

func (p *post) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{p}, nil }

type session struct{ *post }

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "right" {
			return errors.New("wrong password")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.to = from, nil
	return s.refuse
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = string(text)
	return err
}

// quiet drops what the server says of clients that hang up.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// knows says that it has learnt of a user or a mail.
func (p *post) knows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.user != "" || p.from != "" || p.mail != ""
}

func newPost(t *testing.T, security notice.Security) *post {
	t.Helper()
	// Borrows a test server's certificate, which is for 127.0.0.1.
	web := httptest.NewTLSServer(nil)
	t.Cleanup(web.Close)
	authority := x509.NewCertPool()
	authority.AddCert(web.Certificate())
	p := &post{trusting: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}}
	server := smtp.NewServer(p)
	server.Domain = "mail.shop.example"
	server.EnableSMTPUTF8 = true
	server.ErrorLog = quiet{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = listener.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // it is TCP's
	config := &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	switch security {
	case notice.SMTPS:
		listener = tls.NewListener(listener, config)
	case notice.STARTTLS:
		server.TLSConfig = config
	case notice.Plain:
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return p
}

func (p *post) settings(security notice.Security) notice.MailSettings {
	return notice.MailSettings{
		Host: "127.0.0.1", Port: p.port, Security: security, TLS: p.trusting,
		From: "milaan at the shop <pay@shop.example>", To: []string{"owner@shop.example", "Night <night@shop.example>"},
	}
}

func send(t *testing.T, s notice.MailSettings, n notice.Notice) error {
	t.Helper()
	m, err := notice.NewMail(s)
	if err != nil {
		t.Fatal(err)
	}
	return m.Send(t.Context(), n)
}

func TestMail(t *testing.T) {
	t.Parallel()
	for _, security := range []notice.Security{notice.Plain, notice.STARTTLS, notice.SMTPS} {
		t.Run(string(security), func(t *testing.T) {
			t.Parallel()
			p := newPost(t, security)
			s := p.settings(security)
			if security != notice.Plain {
				s.User, s.Password = "me", "right"
			}
			n := example()
			n.Text += " नमस्ते"
			n.Subject += "\r\nBcc: all@shop.example"
			if err := send(t, s, n); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.from != "pay@shop.example" || strings.Join(p.to, " ") != "owner@shop.example night@shop.example" || p.user != s.User {
				t.Errorf("from %s to %s by %q", p.from, p.to, p.user)
			}
			got, err := mail.ReadMessage(strings.NewReader(p.mail))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
			if want := "[milaan] Feed phone1 is silent: ₹0 Bcc: all@shop.example"; err != nil || subject != want {
				t.Errorf("subject %q: %v", subject, err)
			}
			for name, want := range map[string]string{
				"Bcc": "", "Auto-Submitted": "auto-generated", "Message-Id": "<notice_17@shop.example>",
				"Content-Type": "text/plain; charset=UTF-8", "Content-Transfer-Encoding": "quoted-printable",
				"Date": "Mon, 04 May 2026 04:50:00 +0000",
			} {
				if got := got.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
			if err != nil {
				t.Fatal(err)
			}
			want := n.Text + "\n\nfeed/phone1/silent, since 4 May 09:20 IST\n"
			if text := strings.ReplaceAll(string(body), "\r\n", "\n"); strings.TrimSpace(text) != strings.TrimSpace(want) {
				t.Errorf("body %q, want %q", text, want)
			}
		})
	}
}

func TestMailFails(t *testing.T) {
	t.Parallel()
	p := newPost(t, notice.Plain)

	// A server that offers no TLS gets neither mail nor password.
	s := p.settings(notice.STARTTLS)
	s.User, s.Password = "me", "right"
	if err := send(t, s, example()); err == nil || p.knows() {
		t.Errorf("without TLS: %v", err)
	}
	// Nor one with a certificate of somebody else.
	strict := newPost(t, notice.SMTPS)
	s = strict.settings(notice.SMTPS)
	s.TLS = nil
	if err := send(t, s, example()); err == nil {
		t.Error("a certificate of nobody's was taken")
	}
	s = strict.settings(notice.SMTPS)
	s.User, s.Password = "me", "wrong-password"
	if err := send(t, s, example()); err == nil || strings.Contains(err.Error(), s.Password) {
		t.Errorf("wrong password: %v", err)
	}

	p.mu.Lock()
	p.refuse = &smtp.SMTPError{Code: 451, Message: "later"}
	p.mu.Unlock()
	if err := send(t, p.settings(notice.Plain), example()); err == nil || !strings.Contains(err.Error(), "later") {
		t.Errorf("refused: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m, err := notice.NewMail(p.settings(notice.Plain))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(ended, example()); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

func TestMailSettings(t *testing.T) {
	t.Parallel()
	good := notice.MailSettings{Host: "mail.shop.example", Security: notice.STARTTLS, From: "pay@shop.example", To: []string{"owner@shop.example"}}
	for name, c := range map[string]struct {
		change func(*notice.MailSettings)
		want   string // of the error; empty where it is fine
	}{
		"good":             {func(*notice.MailSettings) {}, ""},
		"plain":            {func(s *notice.MailSettings) { s.Security = notice.Plain }, "encrypted"},
		"plain here":       {func(s *notice.MailSettings) { s.Security, s.Host = notice.Plain, "localhost" }, ""},
		"plain password":   {func(s *notice.MailSettings) { s.Security, s.Host, s.User = notice.Plain, "::1", "me" }, "password"},
		"no security":      {func(s *notice.MailSettings) { s.Security = "" }, "smtps"},
		"half a password":  {func(s *notice.MailSettings) { s.User = "me" }, "both or none"},
		"nobody":           {func(s *notice.MailSettings) { s.To = nil }, "nobody"},
		"no address":       {func(s *notice.MailSettings) { s.To = []string{"owner"} }, "addresses"},
		"no sender":        {func(s *notice.MailSettings) { s.From = "" }, "sender"},
		"no host":          {func(s *notice.MailSettings) { s.Host = "" }, "settings"},
		"no port there is": {func(s *notice.MailSettings) { s.Port = 70000 }, "settings"},
	} {
		s := good
		c.change(&s)
		_, err := notice.NewMail(s)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
