package alert

import (
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

// Channel is how an alert came.
type Channel int

// The channels. They differ in what stands around the message: an e-mail ends
// in greetings and small print.
const (
	SMS Channel = iota
	Email
)

// Message is one alert.
type Message struct {
	Text    string // the SMS, or the e-mail's body as plain text
	Bank    string // the bank that sent it, such as "hdfc"; "" if unknown
	Channel Channel
}

// Reader reads alerts. It never changes after [New] and may be shared.
type Reader struct {
	templates []*template
	byBank    map[string][]*template
}

// New loads the banks' templates. It fails only when a file in banks/ is wrong;
// the error names file and template.
func New() (*Reader, error) {
	templates, err := loadTemplates()
	if err != nil {
		return nil, err
	}
	r := &Reader{templates: templates, byBank: map[string][]*template{}}
	for _, t := range templates {
		r.byBank[t.bank] = append(r.byBank[t.bank], t)
	}
	return r, nil
}

// Read says what the alert tells of. It never fails: what can't be read for
// certain is [feed.Unparsed], and Why says what is missing.
func (r *Reader) Read(m Message) feed.Reading {
	reading := r.read(m)
	if reading.Bank == "" {
		reading.Bank = m.Bank
	}
	if reading.Amount != 0 {
		reading.Currency = money.INR
	}
	return reading
}

func (r *Reader) read(m Message) feed.Reading {
	if len(m.Text) > maxText {
		return feed.Reading{Kind: feed.Unparsed, Why: "too long for an alert"}
	}
	text, why := clean(m.Text)
	if why != "" {
		return feed.Reading{Kind: feed.Unparsed, Why: why}
	}
	lower := lowerASCII(text)
	templates := r.templates
	if m.Bank != "" {
		templates = r.byBank[m.Bank]
	}
	for _, t := range templates {
		if reading, ok := t.read(text, lower); ok {
			return reading
		}
	}
	if m.Channel == Email {
		text, lower = message(text, lower)
	}
	return readGeneral(text, lower)
}
