package sms

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// readRecord reads one record in the shape of whichever app it is. Why says of
// a record without messages that there are none to read.
func readRecord(f fields, now time.Time) (messages []Message, why string, err error) {
	switch {
	case strings.Contains(f.text("event"), ":"): // sms:received, system:ping
		return readCapcom6(f, now)
	case f["specversion"] != nil:
		return readHTTPSMS(f, now)
	case f["webhookEvent"] != nil:
		return readTextbee(f, now)
	case f["address"] != nil && f["type"] != nil:
		return readProviderRow(f, now)
	}
	return readFlat(f, flatForwarder(f), now)
}

// readCapcom6 reads SMS Gateway for Android
// (docs.sms-gate.app/features/webhooks): {event, id, payload}. Versions before
// the end of 2025 call the sender phoneNumber.
func readCapcom6(f fields, now time.Time) ([]Message, string, error) {
	payload := f.object("payload")
	switch event := f.text("event"); event {
	case "sms:received", "sms:batch:received":
		if f.flat() {
			return nil, "", ErrShape
		}
	}
	switch event := f.text("event"); event {
	case "sms:received":
		return readFlat(payload, "capcom6", now)
	case "sms:batch:received":
		var inner []fields
		if err := unmarshal(payload["messages"], &inner); err != nil {
			return nil, "", err
		}
		if len(inner) > maxRecords {
			return nil, "", fmt.Errorf("must have at most %d messages: send the rest in another report", maxRecords)
		}
		var all []Message
		for _, one := range inner {
			messages, _, err := readFlat(one, "capcom6", now)
			if err != nil {
				return nil, "", err // the app sends the batch again as a whole
			}
			all = append(all, messages...)
		}
		return all, whyNone(all), nil
	default:
		return nil, "the event is no received SMS", nil
	}
}

// readHTTPSMS reads the CloudEvents of httpSMS (docs.httpsms.com/webhooks).
func readHTTPSMS(f fields, now time.Time) ([]Message, string, error) {
	if f.text("type") != "message.phone.received" {
		return nil, "the event is no received SMS", nil
	}
	if f.flat() {
		return nil, "", ErrShape
	}
	data := f.object("data")
	if data["encrypted"].Kind() == 't' {
		return nil, "", errors.New("is encrypted end to end: turn encryption off in the httpSMS app")
	}
	return readFlat(data, "httpsms", now)
}

// readTextbee reads textbee (textbee.dev, webhook MESSAGE_RECEIVED).
func readTextbee(f fields, now time.Time) ([]Message, string, error) {
	if f.text("webhookEvent") != "MESSAGE_RECEIVED" {
		return nil, "the event is no received SMS", nil
	}
	return readFlat(f, "textbee", now)
}

// readProviderRow reads sms2webhook, which posts rows of Android's SMS store as
// they are (Telephony.TextBasedSmsColumns): type 1 is received, 2 was sent, the
// others wait in the phone. What was sent is typed by whoever holds the phone.
func readProviderRow(f fields, now time.Time) ([]Message, string, error) {
	if f.text("type") != "1" {
		return nil, "the phone did not receive this SMS: it is sent, or a draft", nil
	}
	return readFlat(f, "sms2webhook", now)
}

func flatForwarder(f fields) string {
	switch {
	case f["sentStamp"] != nil || f["receivedStamp"] != nil:
		return "bogkonstantin"
	case f["org_content"] != nil || f["content"] != nil:
		return "pppscn"
	case f["from"] != nil && f["body"] != nil && f["timestamp"] != nil:
		return "sa3dany"
	}
	return "template"
}

// senderNames and textNames are what apps call the two fields that matter.
var (
	senderNames = []string{"sender", "from", "phoneNumber", "contact", "address", "sender_number"}
	textNames   = []string{"message", "text", "content", "org_content", "body", "sms_text"}
)

// flat says whether a record has a sender or a text of its own. No app has them
// beside its envelope: a template that escapes nothing has let a text write the
// rest of the body, and the envelope is the text's word.
func (f fields) flat() bool {
	return slices.ContainsFunc(slices.Concat(senderNames, textNames), func(name string) bool { return f[name] != nil })
}

// readFlat reads the fields of a message under any of their names.
func readFlat(f fields, forwarder string, now time.Time) ([]Message, string, error) {
	m := Message{Forwarder: forwarder}
	sender, err := f.one("sender", senderNames...)
	if err != nil {
		return nil, "", err
	}
	m.Sender = strings.TrimSpace(sender)
	names := textNames
	if f.text("org_content") != "" {
		// pppscn's content is the same message, wrapped.
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "content" })
	}
	hasText := slices.ContainsFunc(names, func(name string) bool { return f[name] != nil })
	if m.Text, err = f.one("text", names...); err != nil {
		return nil, "", err
	}
	if f["content"] != nil {
		m.Text = unwrap(m.Text, m.Sender)
	}
	// PostgreSQL keeps no NUL, and no SMS has one.
	m.Text = strings.TrimSpace(strings.ReplaceAll(m.Text, "\x00", " "))
	switch {
	case m.Sender == "" || !hasText:
		return nil, "", ErrShape
	case m.Text == "":
		return nil, "the SMS is empty", nil
	case utf8.RuneCountInString(m.Sender) > maxSender:
		return nil, "", fmt.Errorf("has a sender of more than %d characters: check the template", maxSender)
	case utf8.RuneCountInString(m.Text) > maxText:
		return nil, "", fmt.Errorf("has a text of more than %d characters: check the template", maxText)
	}
	m.SentAt = f.when(now, "sentStamp", "date_sent", "sentAt")
	m.ReceivedAt = f.when(now, "receivedStamp", "receivedAt", "date", "timestamp", "time")
	m.ID = firstText(f, "messageId", "message_id", "smsId", "_id", "id")
	if len(m.ID) > maxID {
		m.ID = ""
	}
	return []Message{m}, "", nil
}

func whyNone(messages []Message) string {
	if len(messages) == 0 {
		return "there is no SMS in it"
	}
	return ""
}

func firstText(f fields, names ...string) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = f.text(name)
	}
	return cmp.Or(texts...)
}

var (
	wrapTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
	wrapSIM  = regexp.MustCompile(`^(SIM\d|SubId)`)
)

// unwrap takes the SMS out of pppscn's default template: a line with the
// sender, the SMS, lines on the SIM, the time, and the device's name. Where head
// and foot are not both there it is left alone: it may be a template of the
// user's, or already the plain SMS.
func unwrap(text, sender string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if strings.TrimSpace(lines[0]) != sender {
		return text
	}
	// The last time in it is the template's: whatever a payer wrote comes before.
	for end := len(lines) - 1; end > 1 && end >= len(lines)-3; end-- {
		if !wrapTime.MatchString(strings.TrimSpace(lines[end])) {
			continue
		}
		for end > 1 && wrapSIM.MatchString(lines[end-1]) {
			end--
		}
		return strings.Join(lines[1:end], "\n")
	}
	return text
}

// The times that are believed: from when UPI began to a day ahead, as clocks
// and zones of phones are off.
var earliest = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)

const maxAhead = 24 * time.Hour

// when is the first plausible time among the fields, zero where none is: a
// phone with a wrong clock must not cost the payment.
func (f fields) when(now time.Time, names ...string) time.Time {
	for _, name := range names {
		if at := parseTime(f.text(name)); !at.Before(earliest) && !at.After(now.Add(maxAhead)) {
			return at
		}
	}
	return time.Time{}
}

// parseTime reads RFC 3339, or a Unix time in seconds or milliseconds. A time
// without a zone is none: phones write their own.
func parseTime(text string) time.Time {
	text = strings.TrimSpace(text)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC()
	}
	const seconds = 100_000_000_000 // up to the year 5138; milliseconds from 1973
	switch n, err := strconv.ParseInt(text, 10, 64); {
	case err != nil || n <= 0 || n > math.MaxInt64/1_000_000:
		return time.Time{}
	case n < seconds:
		return time.Unix(n, 0).UTC()
	default:
		return time.UnixMilli(n).UTC()
	}
}
