// Package mail holds what reaches the gateway as a bank's alert e-mail: it
// opens messages, proves that the bank wrote them, and fetches them from a
// mailbox.
//
// [Open] reads a message and says nothing of who wrote it. Only after
// [Verifier.Verify] are its texts the bank's word. What the texts mean is not
// read here.
package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	netmail "net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"
	gomail "github.com/emersion/go-message/mail"

	"github.com/milaan/milaan/internal/feed"
)

// MaxSize is the most bytes that a message may have, attachments included. A
// bank's alert has some 50 KiB.
const MaxSize = 1 << 20

const (
	maxHeader = 128 << 10 // relays add to it; 30 KiB are seen
	maxParts  = 64
	maxDepth  = 8
)

// Errors of a message that can't be opened. Neither goes away by trying again.
var (
	// ErrTooLarge is of a message of more than [MaxSize] bytes.
	ErrTooLarge = errors.New("the message is larger than 1 MiB: no bank's alert is")
	// ErrMalformed is of a message that is cut off, or not as RFC 5322 and MIME
	// want it; its text adds what is wrong.
	ErrMalformed = errors.New("the message can't be read")
)

// Message is an e-mail that was read. Nothing in it is to be believed before
// [Verifier.Verify].
type Message struct {
	// From is the address of the only author, in lower case. The name shown
	// beside it is worth nothing and not kept.
	From string
	// To are the addresses of the To field, in lower case.
	To []string
	// Date is when the author says it was written, in UTC.
	Date    time.Time
	ID      string // Message-ID, without its brackets; may be empty
	Subject string // decoded, one line
	// Texts are what the body says, in its order. The parts of
	// multipart/alternative say the same in two ways, as far as the sender cares.
	// What was forwarded (message/rfc822) is not among them: somebody else wrote it.
	Texts       []Text
	Attachments []Attachment

	raw    []byte // lines end in CRLF, as signed
	header message.Header
}

// Text is one text of a message's body, normalised by [Normalize].
type Text struct {
	Type string // text/plain, or text/html for what was made readable from HTML
	Text string
}

// Attachment is a file that came with a message.
type Attachment struct {
	Name string // as the sender calls it: not a safe file name
	Type string // media type, in lower case
	Data []byte
}

// Open reads a message, with lines ending in CRLF or LF. The error is
// [ErrTooLarge], [ErrMalformed], or the reader's own.
func Open(r io.Reader) (*Message, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	if len(raw) > MaxSize {
		return nil, ErrTooLarge
	}
	// Signatures count CRLF (RFC 6376, section 5.3); files and hooks have LF.
	raw = bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	if err := checkHeader(raw); err != nil {
		return nil, err
	}
	entity, unreadable := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader + 4096})
	if entity == nil {
		return nil, malformed("its header: %v", unreadable)
	}
	m := &Message{raw: raw, header: entity.Header}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	b := body{message: m}
	if err := b.read(entity, unreadable, 0); err != nil {
		return nil, err
	}
	if len(m.Texts) == 0 && b.unread != nil {
		return nil, malformed("its text: %v", b.unread)
	}
	return m, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// checkHeader holds the header to what every reader of it, the verifier's as
// much as ours, understands alike. Forgeries live where two readers differ.
func checkHeader(raw []byte) error {
	end := bytes.Index(raw, []byte("\r\n\r\n"))
	switch {
	case end < 0:
		return malformed("its header does not end: it may be cut off")
	case end > maxHeader:
		return malformed("its header has more than %d KiB", maxHeader>>10)
	}
	for i, line := range bytes.Split(raw[:end], []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\x00") {
			return malformed("line %d of its header has a control character", i+1)
		}
		if i > 0 && (line[0] == ' ' || line[0] == '\t') {
			continue
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return malformed("line %d of its header is no field", i+1)
		}
	}
	return nil
}

// onceFields may stand in a header once (RFC 5322, section 3.6; RFC 2045).
// Which of two a reader shows is chance, and a signature covers only one.
var onceFields = []string{
	"From", "Sender", "To", "Date", "Subject", "Message-Id",
	"Mime-Version", "Content-Type", "Content-Transfer-Encoding",
}

func (m *Message) readHeader() error {
	for _, name := range onceFields {
		if fields := m.header.FieldsByKey(name); fields.Len() > 1 {
			return malformed("it has %d %s fields", fields.Len(), name)
		}
	}
	header := gomail.Header{Header: m.header}
	from, err := header.AddressList("From")
	if err != nil || len(from) != 1 {
		return malformed("it must be from exactly one address")
	}
	m.From = strings.ToLower(from[0].Address)
	to, err := header.AddressList("To")
	if err == nil { // mail without a To that can be read is for nobody we know
		for _, address := range to {
			m.To = append(m.To, strings.ToLower(address.Address))
		}
	}
	if m.Date, err = parseDate(m.header.Get("Date")); err != nil {
		return malformed("it has no Date that can be read")
	}
	m.ID = strings.Trim(strings.TrimSpace(m.header.Get("Message-Id")), "<>")
	subject, err := header.Subject()
	if err != nil { // in a charset that nobody knows: the text decides, not the subject
		subject = m.header.Get("Subject")
	}
	m.Subject = strings.ReplaceAll(Normalize(subject), "\n", " ")
	return nil
}

func parseDate(field string) (time.Time, error) {
	at, err := netmail.ParseDate(field)
	if err != nil {
		return time.Time{}, err
	}
	// An abbreviation means nothing to package time, which then reads UTC.
	if zone, offset := at.Zone(); zone == "IST" && offset == 0 {
		at = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, feed.India())
	}
	return at.UTC(), nil
}

// repeats says whether the message is made from another one: a reply, also an
// automatic one (RFC 3834), a forward, or a report on its delivery (RFC 6522).
func (m *Message) repeats() bool {
	mailbox, _, _ := strings.Cut(m.From, "@")
	prefix, _, prefixed := strings.Cut(strings.ToLower(m.Subject), ":")
	return m.header.Has("In-Reply-To") ||
		strings.Contains(strings.ToLower(m.header.Get("Auto-Submitted")), "auto-replied") ||
		strings.HasPrefix(strings.ToLower(strings.TrimSpace(m.header.Get("Content-Type"))), "multipart/report") ||
		mailbox == "mailer-daemon" || mailbox == "postmaster" ||
		prefixed && slices.Contains([]string{"re", "aw", "fw", "fwd", "automatic reply", "auto reply", "undeliverable"}, strings.TrimSpace(prefix))
}

// body collects the parts of a message's body.
type body struct {
	message *Message
	parts   int
	unread  error // why a text could not be decoded
}

// read takes in one part, and those inside it. Unreadable is why its content is
// not decoded, if it isn't.
func (b *body) read(part *message.Entity, unreadable error, depth int) error {
	mediaType, params, err := "text/plain", map[string]string(nil), error(nil) // RFC 2045, section 5.2
	if field := part.Header.Get("Content-Type"); field != "" {
		mediaType, params, err = mime.ParseMediaType(field)
	}
	container := strings.HasPrefix(mediaType, "multipart/")
	disposition, named, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition")) // as far as it can be read
	attached := disposition == "attachment" || named["filename"] != "" || params["name"] != ""
	switch {
	case strings.HasPrefix(mediaType, "message/") || mediaType == "multipart/digest":
		return nil // somebody else's
	case container:
		if err != nil || params["boundary"] == "" {
			return malformed("its Content-Type: no boundary between the parts")
		}
		return b.readParts(part, depth+1)
	case !attached && (mediaType == "text/plain" || mediaType == "text/html"):
		switch {
		case err != nil:
			return malformed("its Content-Type: %v", err)
		case unreadable != nil:
			b.unread = unreadable
			return nil //nolint:nilerr // another part may say the same readably
		case !readsASCII(params["charset"]):
			b.unread = fmt.Errorf("the charset %q", params["charset"])
			return nil
		}
		return b.readText(part, mediaType)
	case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter): // such as a file name without its quotes
		return malformed("its Content-Type: %v", err)
	}
	b.readAttachment(part, unreadable, mediaType, named["filename"], params["name"])
	return nil
}

func (b *body) readParts(part *message.Entity, depth int) error {
	if depth > maxDepth {
		return malformed("its parts are nested more than %d deep", maxDepth)
	}
	switch encoding := strings.ToLower(part.Header.Get("Content-Transfer-Encoding")); encoding {
	case "", "7bit", "8bit", "binary":
	default: // RFC 2045, section 6.4
		return malformed("its parts are encoded twice")
	}
	parts := part.MultipartReader()
	for {
		inner, err := parts.NextPart()
		switch {
		case err == io.EOF: //nolint:errorlint // a wrapped EOF is a body that is cut off
			return nil
		case inner == nil:
			return malformed("its parts: %v", err)
		}
		if b.parts++; b.parts > maxParts {
			return malformed("it has more than %d parts", maxParts)
		}
		if err := b.read(inner, err, depth); err != nil {
			return err
		}
	}
}

func (b *body) readText(part *message.Entity, mediaType string) error {
	content, err := io.ReadAll(part.Body)
	if err != nil {
		return malformed("its text: %v", err)
	}
	text := strings.ToValidUTF8(string(content), "\uFFFD")
	if mediaType == "text/html" {
		if text, err = htmlText(text); err != nil {
			return malformed("its HTML: %v", err)
		}
	}
	if text = Normalize(text); text != "" {
		b.message.Texts = append(b.message.Texts, Text{Type: mediaType, Text: text})
	}
	return nil
}

func (b *body) readAttachment(part *message.Entity, unreadable error, mediaType string, names ...string) {
	if unreadable != nil && !message.IsUnknownCharset(unreadable) {
		return // a file that nobody can decode is no use, and no reason to lose the text
	}
	data, err := io.ReadAll(part.Body)
	if err != nil {
		return // as above; where the message is cut off, the parts around tell
	}
	a := Attachment{Type: mediaType, Data: data}
	for _, name := range names {
		if a.Name == "" {
			a.Name = decodeWords(name)
		}
	}
	b.message.Attachments = append(b.message.Attachments, a)
}

// decodeWords reads a file name as many mailers write it, against RFC 2231.
func decodeWords(s string) string {
	decoder := mime.WordDecoder{CharsetReader: charset.Reader}
	decoded, err := decoder.DecodeHeader(s)
	if err != nil {
		decoded = s
	}
	return strings.ReplaceAll(Normalize(decoded), "\n", " ")
}

// readsASCII says whether text in a charset shows plain ASCII as what it is.
// Content-Type is often left out of a signature, so a charset that turns the
// signed bytes into other words (UTF-7, UTF-16, ISO-2022 …) would be a way to
// rewrite them. No Indian bank needs one.
func readsASCII(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return true
	}
	return strings.HasPrefix(name, "iso-8859-") || strings.HasPrefix(name, "windows-125")
}
