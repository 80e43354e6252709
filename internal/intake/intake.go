// Package intake turns what reaches a feed into what the desk books: it finds
// out whether the sender is to be believed, has the text read, and keeps what
// it was read from.
//
// Nothing is guessed here either: what is not for certain a payment that came in
// on the feed's wallet is kept for a person and counts for nothing.
package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
	"github.com/milaan/milaan/internal/feed/bankhook"
	"github.com/milaan/milaan/internal/feed/mail"
	"github.com/milaan/milaan/internal/feed/sms"
	"github.com/milaan/milaan/internal/payment"
)

// Errors of a request to a feed.
var (
	// ErrStranger means that the sender did not prove itself: it is answered as
	// if the feed were not there.
	ErrStranger = errors.New("the sender did not prove itself")
	// ErrTemporary means that nothing can be said yet: the sender should try
	// again.
	ErrTemporary = errors.New("the report can't be checked now: send it again")
	// ErrSetup means that the feed lacks something: the operator has to act.
	ErrSetup = errors.New("the feed is not set up")
)

// BodyError is a body that can't be read at all; its text is for the sender.
type BodyError struct{ Why string }

func (e *BodyError) Error() string { return e.Why }

// Request is what reached a feed.
type Request struct {
	Header http.Header
	Body   []byte
	// Address is the full URL it came to, Endpoint what follows the feed's own
	// address in it.
	Address, Endpoint string
}

// Report is what a request says.
type Report struct {
	Items []feed.Item
	// Refused are records that could not be read.
	Refused []feed.Refusal
	// Answer is what the sender wants to hear instead of a summary; nil for one.
	Answer *bankhook.Answer
	// Kept is called once the items are kept; it may be nil.
	Kept func()
}

// Reader reads requests.
type Reader struct {
	alerts    *alert.Reader
	lookupTXT mail.LookupTXT
	now       func() time.Time

	mu       sync.Mutex
	forwards map[string]*forward // by feed
}

// forward is the verifier of a feed of SMS, which remembers what was taken.
type forward struct {
	scheme   string
	secret   directory.Secret
	verifier *sms.Verifier
}

// New makes a reader. LookupTXT finds the keys of banks' mail. It fails only on
// templates that are damaged.
func New(lookupTXT mail.LookupTXT, now func() time.Time) (*Reader, error) {
	alerts, err := alert.New()
	if err != nil {
		return nil, err
	}
	return &Reader{alerts: alerts, lookupTXT: mail.CacheTXT(lookupTXT, now), now: now, forwards: make(map[string]*forward)}, nil
}

// NeedsToken reports whether a feed's sender has to send its token: all do but
// those that prove themselves by a signature of their own.
func NeedsToken(f *directory.Feed) bool {
	if _, hook := bankhook.For(f.Kind); hook {
		return false
	}
	return f.Kind != directory.FeedSMS || f.Scheme == "" || !sms.Scheme(f.Scheme).ReplacesToken()
}

// MaxBody is how many bytes a report of a kind may have.
func MaxBody(kind string) int64 {
	switch kind {
	case directory.FeedStatement:
		return MaxStatement
	case directory.FeedEmail:
		return mail.MaxSize
	default:
		return 1 << 20
	}
}

// Read reads a request to a feed. The error is ErrStranger, ErrTemporary,
// ErrSetup, a *BodyError, or the context's own.
func (r *Reader) Read(ctx context.Context, f *directory.Feed, w *directory.Wallet, req Request) (*Report, error) {
	switch f.Kind {
	case directory.FeedJSON:
		return r.readJSON(req)
	case directory.FeedSMS:
		return r.readSMS(f, w, req)
	case directory.FeedEmail:
		return r.readMail(ctx, f, w, req.Body)
	}
	if provider, ok := bankhook.For(f.Kind); ok {
		return r.readHook(provider, f, w, req)
	}
	return nil, fmt.Errorf("%w: feed %s is of kind %s, which this version does not read", ErrSetup, f.ID, f.Kind)
}

func (r *Reader) readJSON(req Request) (*Report, error) {
	entries, places, refused, err := feed.ParseJSON(req.Body, r.now())
	if err != nil {
		return nil, &BodyError{err.Error()}
	}
	report := &Report{Items: make([]feed.Item, len(entries)), Refused: refused}
	for i := range entries {
		report.Items[i] = feed.Item{Place: places[i], Credit: &entries[i]}
	}
	return report, nil
}

// readSMS reads what a phone forwards. Who may post is told by the feed's token
// or the app's signature, who wrote the SMS by its header.
func (r *Reader) readSMS(f *directory.Feed, w *directory.Wallet, req Request) (*Report, error) {
	report := &Report{}
	if f.Scheme != "" {
		verifier, err := r.verifier(f)
		if err != nil {
			return nil, err
		}
		kept, err := verifier.Verify(req.Header, req.Body, req.Address, r.now())
		switch {
		case errors.Is(err, sms.ErrReplayed): // our answer was lost: it is taken already
			return report, nil
		case errors.Is(err, sms.ErrBusy):
			return nil, fmt.Errorf("%w: %w", ErrTemporary, err)
		case err != nil:
			return nil, fmt.Errorf("%w: the request %w", ErrStranger, err)
		}
		report.Kept = kept
	}
	body, err := sms.ParseBody(req.Header.Get("Content-Type"), req.Body, r.now())
	if err != nil {
		return nil, &BodyError{err.Error()}
	}
	report.Refused = body.Refused
	for i := range body.Messages {
		m := &body.Messages[i]
		report.Items = append(report.Items, r.itemOfSMS(f, w, m))
	}
	for _, skipped := range body.Skipped {
		report.Items = append(report.Items, feed.Item{
			Place: skipped.Index, Message: &feed.Message{Reading: feed.Reading{Kind: feed.Ignored, Why: skipped.Why}},
		})
	}
	return report, nil
}

// verifier is the feed's: it lives as long as scheme and secret stay.
func (r *Reader) verifier(f *directory.Feed) (*sms.Verifier, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.forwards[f.ID]; known != nil && known.scheme == f.Scheme && known.secret == f.Secrets.Signing {
		return known.verifier, nil
	}
	verifier, err := sms.NewVerifier(sms.Scheme(f.Scheme), f.Secrets.Signing.Reveal(), 0)
	if err != nil {
		return nil, fmt.Errorf("%w: feed %s: %w", ErrSetup, f.ID, err)
	}
	r.forwards[f.ID] = &forward{f.Scheme, f.Secrets.Signing, verifier}
	return verifier, nil
}

// itemOfSMS reads an SMS. The texts of senders who are no bank are nobody's
// business: they are kept only where they claim that money came.
func (r *Reader) itemOfSMS(f *directory.Feed, w *directory.Wallet, m *sms.Message) feed.Item {
	bank, refusal := speaker(m.Sender, w, f)
	reading := r.alerts.Read(alert.Message{Text: m.Text, Bank: bank, Channel: alert.SMS})
	digest := sha256.New()
	_, _ = fmt.Fprintf(digest, "%q %q %d", m.Sender, m.Text, m.SentAt.UnixMilli()) // a hash never fails
	message := &feed.Message{
		Raw: []byte(m.Text), Digest: [sha256.Size]byte(digest.Sum(nil)), Sender: storable(m.Sender), SentAt: m.SentAt, Reading: reading,
	}
	item := feed.Item{Place: m.Index, Message: message}
	if refusal != nil {
		if reading.Kind != feed.Credit {
			item.Message = &feed.Message{Reading: feed.Reading{Kind: feed.Ignored, Why: refusal.Error()}}
			return item
		}
		item.Refusal = refusal.Error()
		return item
	}
	arrived := m.SentAt
	if arrived.IsZero() {
		arrived = m.ReceivedAt
	}
	r.settle(&item, w, feed.Provisional, arrived)
	refer(&item, m.Text)
	return item
}

// storable is a text as every database keeps it: PostgreSQL takes neither NUL nor
// what is not UTF-8, and would refuse the payment with it.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// speaker is the bank that a header speaks for, and why it is not believed. A
// wallet that names no bank takes the word of any bank that is known, unless the
// feed names its senders.
func speaker(sender string, w *directory.Wallet, f *directory.Feed) (bank string, refusal error) {
	err := sms.Trusted(sender, w.Bank, f.Senders)
	if errors.Is(err, sms.ErrNoBank) && len(f.Senders) == 0 {
		err = nil
	}
	if err != nil {
		return "", err
	}
	if w.Bank != "" {
		return w.Bank, nil
	}
	bank, _ = sms.BankOf(sender) // one of the feed's own senders is of no bank that is known
	return bank, nil
}

// settle makes a credit of an item whose message is believed and says that money
// came in on the wallet.
func (r *Reader) settle(item *feed.Item, w *directory.Wallet, trust feed.Trust, arrived time.Time) {
	m := item.Message
	if !sms.TailFits(m.AccountTail, w.Account) {
		m.Reading = feed.Reading{
			Kind: feed.Ignored, AccountTail: m.AccountTail, Template: m.Template,
			Why: "it is about another account than the wallet's",
		}
		return
	}
	now := r.now()
	if arrived.IsZero() || arrived.After(now) {
		arrived = now
	}
	entry, ok := m.Entry(trust, arrived)
	switch {
	case !ok:
	case entry.At.After(now.Add(feed.MaxAhead)):
		m.Kind, m.Why = feed.Unparsed, "its time lies ahead by more than a day"
	default:
		item.Credit = &entry
	}
}

// refer notes the payment's reference where the text has it and no field of the
// reading does.
func refer(item *feed.Item, text string) {
	if e := item.Credit; e != nil && e.Reference == "" && payment.FindReference(e.Note) == "" {
		e.Reference = payment.FindReference(text)
	}
}

// readHook reads a provider's webhook.
func (r *Reader) readHook(p *bankhook.Provider, f *directory.Feed, w *directory.Wallet, req Request) (*Report, error) {
	secrets := bankhook.Secrets{
		Secret: f.Secrets.Signing.Reveal(), Header: f.Header, User: f.User, Password: f.Secrets.Password.Reveal(),
	}
	var err error
	if f.Secrets.PrivateKey != "" {
		if secrets.Key, err = directory.ParsePrivateKey(f.Secrets.PrivateKey); err != nil {
			return nil, fmt.Errorf("%w: feed %s: private_key %w", ErrSetup, f.ID, err)
		}
	}
	if f.Secrets.BankKey != "" {
		if secrets.BankKey, err = directory.ParseBankKey(f.Secrets.BankKey); err != nil {
			return nil, fmt.Errorf("%w: feed %s: bank_key %w", ErrSetup, f.ID, err)
		}
	}
	request := bankhook.Request{
		Header: req.Header, Body: req.Body, ContentType: req.Header.Get("Content-Type"), Endpoint: req.Endpoint, Now: r.now(),
	}
	var event bankhook.Event
	if err = p.Verify(request, secrets); err == nil {
		event, err = p.Read(request, secrets)
	}
	switch {
	case errors.Is(err, bankhook.ErrSecrets):
		return nil, fmt.Errorf("%w: feed %s: %w", ErrSetup, f.ID, err)
	case errors.Is(err, bankhook.ErrBody):
		return nil, &BodyError{err.Error()}
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrStranger, err)
	}
	report := &Report{Answer: &event.Answer}
	for i := range event.Readings {
		digest := sha256.New()
		_, _ = fmt.Fprintf(digest, "%d %s", i, req.Body) // a hash never fails
		item := feed.Item{Place: i, Message: &feed.Message{
			Raw: req.Body, Digest: [sha256.Size]byte(digest.Sum(nil)), Sender: p.Kind() + " " + event.ID, Reading: event.Readings[i],
		}}
		if m := item.Message; m.Kind == feed.Credit && !sms.TailFits(m.AccountTail, w.Account) {
			// It may be a virtual account of this very wallet: only a person can tell.
			m.Kind, m.Why = feed.Unparsed, "it came to an account that does not end as the wallet's: correct the wallet's account, or leave it out"
		} else {
			r.settle(&item, w, feed.Confirmed, time.Time{})
		}
		report.Items = append(report.Items, item)
	}
	return report, nil
}
