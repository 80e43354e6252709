package intake

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
	"github.com/milaan/milaan/internal/feed/mail"
	"github.com/milaan/milaan/internal/feed/sms"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/money"
)

// longestLine bounds a line of JSON that is parsed.
const longestLine = 4 << 20

// sample is a message to try the readers on, as people collect them.
type sample struct {
	Sender   string `json:"sender"`
	From     string `json:"from"`
	Text     string `json:"text"`
	Body     string `json:"body"`
	BodyText string `json:"body_text"`
	BodyHTML string `json:"body_html"`
	Subject  string `json:"subject"`
}

// ParseSMS reads messages, JSON lines with sender and text or one bare text, and
// hands each one's reading on, in their order. It changes nothing. A sender that
// could be no bank is not believed; a header that is not known is, to try a new
// bank's messages.
func (r *Reader) ParseSMS(in io.Reader, each func(feed.Reading) error) error {
	return samples(in, each, func(s sample) feed.Reading {
		sender := cmp.Or(s.Sender, s.From)
		bank, err := sms.BankOf(sender)
		if sender != "" && (errors.Is(err, sms.ErrNotHeader) || errors.Is(err, sms.ErrPromotional)) {
			return feed.Reading{Kind: feed.Ignored, Why: err.Error()}
		}
		return r.alerts.Read(alert.Message{Text: cmp.Or(s.Text, s.Body, s.BodyText), Bank: bank, Channel: alert.SMS})
	})
}

// ParseEmail reads an e-mail (RFC 822), or JSON lines with sender and text. It
// changes nothing and asks no name server: what the receiving server wrote down
// of the signature is taken as it stands, which no feed does.
func (r *Reader) ParseEmail(ctx context.Context, in io.Reader, each func(feed.Reading) error) error {
	buffered := bufio.NewReader(in)
	if first, err := firstRune(buffered); err != nil || first == '{' {
		return samples(buffered, each, r.parseLetter)
	}
	m, err := mail.Open(buffered)
	if err != nil {
		return err
	}
	reading, err := r.parseMail(ctx, m)
	if err != nil {
		return err
	}
	return each(reading)
}

// parseLetter reads a message of which only the sender's name is known.
func (r *Reader) parseLetter(s sample) feed.Reading {
	sender := cmp.Or(s.From, s.Sender)
	address, err := netmail.ParseAddress(sender)
	if err != nil {
		address = &netmail.Address{Address: sender}
	}
	bank := mail.BankOf(address.Address)
	if sender != "" && bank == "" {
		return feed.Reading{Kind: feed.Unparsed, Why: "the sender is of no bank's domain that is known"}
	}
	text, kind := cmp.Or(s.Text, s.BodyText), "text/plain"
	if text == "" {
		text, kind = cmp.Or(s.BodyHTML, s.Body), "text/html"
	}
	// A message needs a date to be one; nothing is made of it.
	raw := "From: <bank@example.com>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0530\r\nMIME-Version: 1.0\r\nContent-Type: " + kind + "; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
	m, err := mail.Open(bytes.NewReader([]byte(raw)))
	if err != nil {
		return feed.Reading{Kind: feed.Unparsed, Why: err.Error()}
	}
	return r.readTexts(m, bank)
}

// parseMail reads a whole message, as far as it is proven.
func (r *Reader) parseMail(ctx context.Context, m *mail.Message) (feed.Reading, error) {
	bank := mail.BankOf(m.From)
	refused := func(why string) feed.Reading { return feed.Reading{Kind: feed.Ignored, Bank: bank, Why: why} }
	if bank == "" {
		return refused("the sender is of no bank's domain that is known"), nil
	}
	verifier, err := mail.NewVerifier(mail.Policy{Bank: bank, Recipients: m.To, Relay: m.Receiver()}, r.lookupTXT, r.now)
	if err != nil {
		return refused(err.Error()), nil
	}
	switch _, err := verifier.Verify(ctx, m); {
	case errors.Is(err, mail.ErrUntrusted), errors.Is(err, mail.ErrTemporary):
		return refused(err.Error()), nil
	case err != nil:
		return feed.Reading{}, err
	}
	return r.readTexts(m, bank), nil
}

// samples hands the messages of JSON lines on, or a text that is none as one.
func samples(in io.Reader, each func(feed.Reading) error, read func(sample) feed.Reading) error {
	buffered := bufio.NewReader(in)
	first, err := firstRune(buffered)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case first != '{':
		text, err := io.ReadAll(io.LimitReader(buffered, longestLine))
		if err != nil {
			return err
		}
		return each(read(sample{Text: string(text)}))
	}
	lines := bufio.NewScanner(buffered)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var s sample
		reading := feed.Reading{Kind: feed.Unparsed, Why: fmt.Sprintf("line %d is no JSON object with sender and text", n)}
		if err := json.Unmarshal(line, &s); err == nil {
			reading = read(s)
		}
		if err := each(reading); err != nil {
			return err
		}
	}
	return lines.Err()
}

// firstRune is the first that is neither white space nor the mark that editors
// put before a text (U+FEFF); it stays to be read.
func firstRune(in *bufio.Reader) (rune, error) {
	for {
		r, _, err := in.ReadRune()
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n\ufeff", r) {
			return r, in.UnreadRune()
		}
	}
}

// ParsedLine is a line of a statement as milaan parse prints it.
type ParsedLine struct {
	feed.Reading
	Line      int
	Narration string
	Balance   *money.Paise
}

// MarshalJSON writes what the reading has, and where in the file it stands.
func (l ParsedLine) MarshalJSON() ([]byte, error) {
	reading, err := json.Marshal(l.Reading)
	if err != nil {
		return nil, err
	}
	place := struct {
		Line      int     `json:"line"`
		Narration string  `json:"narration"`
		Balance   *string `json:"balance"`
	}{Line: l.Line, Narration: l.Narration}
	if l.Balance != nil {
		balance := l.Balance.Fixed()
		place.Balance = &balance
	}
	rest, err := json.Marshal(place)
	if err != nil {
		return nil, err
	}
	// One object: the reading's keys, then the place's.
	return append(append(bytes.TrimSuffix(reading, []byte("}")), ','), rest[1:]...), nil
}

// ParseStatement reads a statement and hands each line on. It changes nothing.
// Of a file that is not to be trusted no line is more than unparsed.
func (r *Reader) ParseStatement(ctx context.Context, file File, each func(ParsedLine) error) (err error) {
	s, err := statement.Read(ctx, file, file.Size, statement.Options{Format: file.Format, Now: r.now()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for line, err := range s.Lines(ctx) {
		if err != nil {
			return err
		}
		switch {
		case s.Untrusted != "":
			line.Reading = feed.Reading{Kind: feed.Unparsed, Why: s.Untrusted}
		case line.Doubt != "":
			line.Kind, line.Why = feed.Unparsed, line.Doubt
		}
		if err := each(ParsedLine{Reading: line.Reading, Line: line.Number, Narration: line.Narration, Balance: line.Balance}); err != nil {
			return err
		}
	}
	return nil
}
