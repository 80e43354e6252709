package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
	"github.com/milaan/milaan/internal/feed/mail"
)

// ReadMail reads an e-mail that a mailbox or a request brought, see [Reader.Read].
func (r *Reader) ReadMail(ctx context.Context, f *directory.Feed, w *directory.Wallet, raw []byte) (*Report, error) {
	return r.readMail(ctx, f, w, raw)
}

// readMail reads an e-mail: the bank's word only where its domain signed it.
func (r *Reader) readMail(ctx context.Context, f *directory.Feed, w *directory.Wallet, raw []byte) (*Report, error) {
	m, err := mail.Open(bytes.NewReader(raw))
	if err != nil {
		return nil, &BodyError{err.Error()}
	}
	item := feed.Item{Message: &feed.Message{
		Raw: raw, Digest: sha256.Sum256(raw), Sender: storable(m.From), SentAt: m.Date, Reading: r.readTexts(m, w.Bank),
	}}
	refusal, err := r.doubt(ctx, f, w, m)
	switch {
	case err != nil:
		return nil, err
	case refusal == "":
		r.settle(&item, w, feed.Confirmed, m.Date)
		for _, text := range m.Texts {
			refer(&item, text.Text)
		}
	case item.Message.Kind == feed.Credit:
		item.Refusal = refusal
	default: // somebody's letter
		item.Message = &feed.Message{Reading: feed.Reading{Kind: feed.Ignored, Why: refusal}}
	}
	return &Report{Items: []feed.Item{item}}, nil
}

// doubt says why a message is not believed to be the bank's; "" where it is.
func (r *Reader) doubt(ctx context.Context, f *directory.Feed, w *directory.Wallet, m *mail.Message) (string, error) {
	verifier, err := mail.NewVerifier(mail.Policy{
		Bank: w.Bank, Domains: f.Domains, Recipients: f.Recipients, Relay: f.Relay,
	}, r.lookupTXT, r.now)
	if err != nil {
		return fmt.Sprintf("the feed can't tell the bank's mail from others': %v", err), nil
	}
	_, err = verifier.Verify(ctx, m)
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, mail.ErrUntrusted):
		return err.Error(), nil
	case errors.Is(err, mail.ErrTemporary):
		return "", fmt.Errorf("%w: %w", ErrTemporary, err)
	default:
		return "", err
	}
}

// readTexts reads the texts of a message. The parts of multipart/alternative say
// the same: where two of them say otherwise, neither is believed.
func (r *Reader) readTexts(m *mail.Message, bank string) feed.Reading {
	best := feed.Reading{Kind: feed.Unparsed, Why: "the message has no text"}
	for i := range m.Texts {
		reading := r.alerts.Read(alert.Message{Text: m.Texts[i].Text, Bank: bank, Channel: alert.Email})
		switch {
		case i == 0 || best.Kind == feed.Unparsed:
			best = reading
		case reading.Kind == feed.Unparsed:
		case reading.Kind != best.Kind || reading.Amount != best.Amount || reading.UTR != best.UTR && reading.UTR != "" && best.UTR != "":
			return feed.Reading{Kind: feed.Unparsed, Why: "the message's text and its HTML say different things"}
		case best.UTR == "":
			best = reading
		}
	}
	return best
}
