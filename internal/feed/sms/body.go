package sms

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/feed"
)

// Bounds of a report. Texts are counted in characters.
const (
	maxBody    = 1 << 20
	maxRecords = 500
	maxText    = 4000 // the longest SMS has 255 parts, banks send up to 4
	maxSender  = 64
	maxID      = 100
)

// ErrShape is a body or record of no known app. The message names what is
// expected.
var ErrShape = errors.New("must be an SMS: an object with the sender (sender, from, phoneNumber, contact, address " +
	"or sender_number) and the text (message, text, content, org_content, body or sms_text)")

// ParseBody reads the body that an SMS forwarder posts: JSON of capcom6,
// bogkonstantin, pppscn, httpSMS, textbee, sa3dany, sms2webhook or of a user's
// own template, an array of these, or the same fields as a form. For apps that
// can't escape a text there is the form of a letter, as text/plain: a line
// "from: VM-HDFCBK-S", an empty line, and the SMS as it is. Now is the measure
// of plausible times.
//
// A key that comes twice is refused, whatever its values: two readers of one
// body must not see two messages. So are two names of the same field, such as
// from and sender, with different values.
//
// The error is for the sender of the body: nothing of it was read.
func ParseBody(contentType string, body []byte, now time.Time) (Report, error) {
	records, batch, err := splitBody(contentType, body)
	if err != nil {
		return Report{}, err
	}
	var report Report
	for i, record := range records {
		switch messages, why, err := readRecord(record, now); {
		case err != nil && !batch:
			return Report{}, err
		case err != nil:
			report.Refused = append(report.Refused, feed.Refusal{Index: i, Error: err.Error()})
		case why != "":
			report.Skipped = append(report.Skipped, Skipped{i, why})
		default:
			for _, m := range messages {
				m.Index = i
				report.Messages = append(report.Messages, m)
			}
		}
	}
	return report, nil
}

// fields are the members of one JSON object, by their exact names.
type fields map[string]jsontext.Value

// splitBody finds the records of a body; batch tells an array from a single one.
func splitBody(contentType string, body []byte) (records []fields, batch bool, err error) {
	if len(body) > maxBody {
		return nil, false, fmt.Errorf("must have at most %d bytes: send fewer messages at once", maxBody)
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, false, errors.New("has a Content-Type that can't be read: use application/json")
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return nil, false, errors.New("must be UTF-8: set the charset so")
	}
	if !utf8.Valid(body) {
		return nil, false, errors.New("must be valid UTF-8")
	}
	// Several apps post JSON under the type of a form, or under none: what it
	// begins with decides, and no form of ours begins so.
	switch body := bytes.TrimSpace(body); {
	case len(body) == 0:
		return nil, false, fmt.Errorf("is empty: %w", ErrShape)
	case body[0] == '{':
		var record fields
		if err := unmarshal(body, &record); err != nil {
			return nil, false, err
		}
		return []fields{record}, false, nil
	case body[0] == '[':
		if err := unmarshal(body, &records); err != nil {
			return nil, true, err
		}
		if len(records) > maxRecords {
			return nil, true, fmt.Errorf("must have at most %d messages: send the rest in another report", maxRecords)
		}
		return records, true, nil
	case media == "application/x-www-form-urlencoded":
		record, err := parseForm(string(body))
		return []fields{record}, false, err
	case media == "text/plain":
		record, err := parseLetter(string(body))
		return []fields{record}, false, err
	}
	return nil, false, ErrShape
}

// unmarshal is strict: no key twice, no broken UTF-8, names match exactly.
func unmarshal(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("must not have a key twice: check the template")
	case errors.As(err, &syntax):
		return fmt.Errorf("must be JSON, and goes wrong at byte %d: line breaks and quotes of the SMS must be escaped "+
			`(\n, \"), so use the app's placeholder that does`, syntax.ByteOffset)
	}
	return ErrShape
}

func parseForm(body string) (fields, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, errors.New("must be a form with its values percent-encoded")
	}
	record := make(fields, len(form))
	for key, values := range form {
		if len(values) > 1 {
			return nil, errors.New("must not have a key twice: check the template")
		}
		// What was escaped may still be broken.
		if record[key], err = jsontext.AppendQuote(nil, values[0]); err != nil || !utf8.ValidString(key) {
			return nil, errors.New("must be valid UTF-8")
		}
	}
	return record, nil
}

// parseLetter reads the sender's line and the SMS after it. No SMS can pass for
// the sender: it comes behind the first line break.
func parseLetter(body string) (fields, error) {
	head, text, ok := strings.Cut(strings.ReplaceAll(body, "\r\n", "\n"), "\n\n")
	name, sender, colon := strings.Cut(head, ":")
	if !ok || !colon || strings.Contains(head, "\n") || !strings.EqualFold(strings.TrimSpace(name), "from") {
		return nil, errors.New(`must begin with a line "from: SENDER" and an empty line, then the SMS`)
	}
	record := make(fields, 2)
	for key, value := range map[string]string{"sender": sender, "message": text} {
		quoted, err := jsontext.AppendQuote(nil, value)
		if err != nil {
			return nil, errors.New("must be valid UTF-8")
		}
		record[key] = quoted
	}
	return record, nil
}

// object is a member that is itself an object; nil where it is none.
func (f fields) object(name string) fields {
	var inner fields
	if raw := f[name]; raw.Kind() != '{' || unmarshal(raw, &inner) != nil {
		return nil
	}
	return inner
}

// text is a member as text: a string, or a number as it was written; "" where
// there is none or something else.
func (f fields) text(name string) string {
	switch raw := f[name]; raw.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return ""
		}
		return string(text)
	case '0':
		return string(raw)
	}
	return ""
}

// one is the value of a field that goes by several names. They may repeat it,
// not contradict it.
func (f fields) one(what string, names ...string) (string, error) {
	var found string
	for _, name := range names {
		if !slices.Contains([]jsontext.Kind{'"', '0', 'n', 0}, f[name].Kind()) {
			return "", fmt.Errorf("has %s that is no text: %w", name, ErrShape)
		}
		value := f.text(name)
		if value != "" && found != "" && value != found {
			return "", fmt.Errorf("names the %s twice, and differently: check the template", what)
		}
		if value != "" {
			found = value
		}
	}
	return found, nil
}
