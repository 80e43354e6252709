package notice

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// Security is how a mail server is spoken to.
type Security string

// Securities.
const (
	SMTPS    Security = "smtps"    // TLS from the first byte; port 465 (RFC 8314)
	STARTTLS Security = "starttls" // TLS is demanded before anything is said; port 587
	Plain    Security = "plain"    // on this machine only, without a password
)

// MailSettings are where e-mail is handed in, and to whom it goes.
type MailSettings struct {
	Host           string
	Port           int // 0 is the usual one of the security
	Security       Security
	User, Password string // both or none
	From           string // "milaan <pay@shop.example>"
	To             []string
	// TLS is for servers with a certificate of their own authority; nil trusts what
	// the machine trusts.
	TLS *tls.Config
}

// Mail sends notices as e-mail, text only.
type Mail struct {
	settings MailSettings
	options  []mail.Option
	domain   string // of the sender
}

// NewMail checks the settings. Its errors say what to change.
func NewMail(s MailSettings) (*Mail, error) {
	m := &Mail{settings: s, options: []mail.Option{mail.WithTimeout(sendTimeout), mail.WithoutNoop()}}
	port := s.Port
	switch s.Security {
	case SMTPS:
		port = or(port, 465)
		m.options = append(m.options, mail.WithSSL())
	case STARTTLS:
		port = or(port, 587)
		m.options = append(m.options, mail.WithTLSPolicy(mail.TLSMandatory))
	case Plain:
		if !loopback(s.Host) {
			return nil, errors.New("mail to another machine must be encrypted: set smtps or starttls")
		}
		if s.User != "" {
			return nil, errors.New("a mail password needs smtps or starttls")
		}
		port = or(port, 25)
		m.options = append(m.options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return nil, fmt.Errorf("the mail server's security is %q: set smtps, starttls or, on this machine, plain", s.Security)
	}
	if (s.User == "") != (s.Password == "") {
		return nil, errors.New("a mail user and its password go together: set both or none")
	}
	if s.User != "" {
		m.options = append(m.options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(s.Password))
	}
	if s.TLS != nil {
		m.options = append(m.options, mail.WithTLSConfig(s.TLS.Clone()))
	}
	m.options = append(m.options, mail.WithPort(port))
	if len(s.To) == 0 {
		return nil, errors.New("nobody is set to get the mail: set an address")
	}
	// What can't be written or dialled at all is told now, not with the first trouble.
	if _, err := mail.NewClient(s.Host, m.options...); err != nil {
		return nil, fmt.Errorf("the mail server's settings: %w", err)
	}
	msg := mail.NewMsg()
	if err := m.address(msg, s.To...); err != nil {
		return nil, err
	}
	from := msg.GetFrom()[0].Address
	m.domain = from[strings.LastIndexByte(from, '@')+1:]
	return m, nil
}

func or(port, usual int) int {
	if port == 0 {
		return usual
	}
	return port
}

func (m *Mail) address(msg *mail.Msg, to ...string) error {
	if err := msg.From(m.settings.From); err != nil {
		return fmt.Errorf("the sender of mail: %w", err)
	}
	if err := msg.To(to...); err != nil {
		return fmt.Errorf("the addresses of mail: %w", err)
	}
	return nil
}

// Send hands a notice in at the mail server. A notice sent again has the same
// Message-ID.
func (m *Mail) Send(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	msg, err := m.message(n.ID, n.Subject, n.At, m.settings.To)
	if err != nil {
		return err
	}
	if n.Raised && n.Severity == Critical {
		msg.SetImportance(mail.ImportanceHigh)
	}
	msg.SetBodyString(mail.TypeTextPlain, plain(n.Text)+"\n\n"+n.Key+", since "+inIndia(n.Since)+"\n")
	if err := m.hand(ctx, msg); err != nil {
		return fmt.Errorf("mail the notice: %w", err)
	}
	return nil
}

// Letter is mail that is no notice: it goes to people of its own.
type Letter struct {
	ID            string // the same for the same letter sent again
	To            []string
	Subject, Text string
	At            time.Time
	Files         []File
}

// File is a file that goes with a letter.
type File struct {
	Name, Type string
	Data       []byte
}

// Post hands a letter in at the mail server.
func (m *Mail) Post(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	msg, err := m.message(l.ID, l.Subject, l.At, l.To)
	if err != nil {
		return err
	}
	msg.SetBodyString(mail.TypeTextPlain, plain(l.Text))
	for _, f := range l.Files {
		if err := msg.AttachReader(f.Name, bytes.NewReader(f.Data), mail.WithFileContentType(mail.ContentType(f.Type))); err != nil {
			return fmt.Errorf("attach %s: %w", f.Name, err)
		}
	}
	if err := m.hand(ctx, msg); err != nil {
		return fmt.Errorf("mail the letter: %w", err)
	}
	return nil
}

// message begins a message of the gateway's own.
func (m *Mail) message(id, subject string, at time.Time, to []string) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8))
	if err := m.address(msg, to...); err != nil {
		return nil, err
	}
	msg.Subject("[milaan] " + line(subject))
	msg.SetDateWithValue(at)
	msg.SetMessageIDWithValue(id + "@" + m.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no absence note is wanted (RFC 3834)
	return msg, nil
}

// hand gives a message to the mail server.
func (m *Mail) hand(ctx context.Context, msg *mail.Msg) error {
	client, err := mail.NewClient(m.settings.Host, m.options...)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, msg)
}
