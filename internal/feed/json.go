package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// MaxAhead is how far ahead the bank's time may lie: clocks differ, and banks
// date entries forward.
const MaxAhead = 24 * time.Hour

// Bounds of a JSON report. Texts are counted in characters.
const (
	maxRecords = 20_000
	maxVPA     = 255
	maxName    = 190
	maxNote    = 500
)

// jsonCredit is a record as it was written (contract, Feeds, json).
type jsonCredit struct {
	UTR       json.RawMessage `json:"utr"`
	Amount    json.RawMessage `json:"amount"`
	Currency  json.RawMessage `json:"currency"`
	PayerVPA  json.RawMessage `json:"payer_vpa"`
	PayerName json.RawMessage `json:"payer_name"`
	Note      json.RawMessage `json:"note"`
	At        json.RawMessage `json:"at"`
	Reference json.RawMessage `json:"reference"`
}

// ParseJSON reads the report of a feed of kind json: {"credits":[…]}, see the
// contract. Each entry comes with its record's place in the report; a record
// that can't be read is refused alone, with a word on what to do. Now is the
// time of entries that name none. The entries are [Confirmed]: the feed is the
// operator's own, and authenticated.
//
// The error is for the sender too: the body as a whole can't be read, and none
// of it was.
func ParseJSON(body []byte, now time.Time) (entries []Entry, places []int, refused []Refusal, err error) {
	// encoding/json would mend broken text silently.
	if !utf8.Valid(body) {
		return nil, nil, nil, errors.New("must be valid UTF-8")
	}
	var report struct {
		Credits []json.RawMessage `json:"credits"`
	}
	err = json.Unmarshal(body, &report)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, nil, nil, fmt.Errorf(`must be JSON: {"credits":[…]}; it goes wrong at byte %d`, syntax.Offset)
	case err != nil || report.Credits == nil:
		return nil, nil, nil, errors.New(`must be an object with a list of credits: {"credits":[…]}`)
	case len(report.Credits) > maxRecords:
		return nil, nil, nil, fmt.Errorf("must have at most %d credits: send the rest in another report", maxRecords)
	}
	entries = make([]Entry, 0, len(report.Credits))
	places = make([]int, 0, len(report.Credits))
	for i, raw := range report.Credits {
		entry, err := parseJSONCredit(raw, now)
		if err != nil {
			refused = append(refused, Refusal{Index: i, Error: err.Error()})
			continue
		}
		entries, places = append(entries, entry), append(places, i)
	}
	return entries, places, refused, nil
}

func parseJSONCredit(raw json.RawMessage, now time.Time) (Entry, error) {
	var c jsonCredit
	if raw[0] != '{' || json.Unmarshal(raw, &c) != nil {
		return Entry{}, errors.New("a credit must be an object with utr and amount")
	}
	e := Entry{Trust: Confirmed}
	var err error
	if e.UTR, err = jsonUTR(c.UTR); err != nil {
		return Entry{}, err
	}
	if e.Amount, err = jsonAmount(c.Amount); err != nil {
		return Entry{}, err
	}
	if e.Currency, err = jsonCurrency(c.Currency); err != nil {
		return Entry{}, err
	}
	if e.At, err = jsonTime(c.At, now); err != nil {
		return Entry{}, err
	}
	for _, text := range []struct {
		name string
		raw  json.RawMessage
		most int
		into *string
	}{
		// Banks cut and mask addresses: one that is not whole still names the payer.
		{"payer_vpa", c.PayerVPA, maxVPA, &e.PayerVPA},
		{"payer_name", c.PayerName, maxName, &e.PayerName},
		{"note", c.Note, maxNote, &e.Note},
		{"reference", c.Reference, maxName, &e.Reference},
	} {
		if *text.into, err = jsonText(text.name, text.raw); err != nil {
			return Entry{}, err
		}
		if utf8.RuneCountInString(*text.into) > text.most {
			return Entry{}, fmt.Errorf("%s must have at most %d characters: shorten it", text.name, text.most)
		}
	}
	return e, nil
}

const rrnDigits = 12

func jsonUTR(raw json.RawMessage) (upi.UTR, error) {
	// A number of 12 digits lost nothing; a shorter one may have lost zeros.
	if isNumber(raw) && len(bytes.TrimSpace(raw)) != rrnDigits {
		return "", errors.New("utr must be a string in quotes: a number loses its leading zeros")
	}
	text, err := jsonText("utr", raw)
	if err != nil {
		return "", err
	}
	if text == "" {
		return "", errors.New("utr is required: the bank's reference of the payment")
	}
	utr, err := upi.ParseUTR(text)
	if err != nil {
		return "", fmt.Errorf("utr is %s", strings.TrimPrefix(err.Error(), "upi: "))
	}
	return utr, nil
}

func jsonAmount(raw json.RawMessage) (money.Paise, error) {
	text, err := jsonText("amount", raw)
	if err != nil {
		return 0, err
	}
	if text == "" {
		return 0, errors.New("amount is required: rupees, such as 500 or 500.50")
	}
	amount, err := money.Parse(text)
	switch {
	case errors.Is(err, money.ErrPrecision):
		return 0, errors.New("amount must have at most two decimals")
	case errors.Is(err, money.ErrRange):
		return 0, errors.New("amount is out of range: check it")
	case err != nil:
		return 0, errors.New("amount must be rupees, such as 500 or 500.50")
	case amount <= 0:
		return 0, errors.New("amount must be greater than 0: report only money that came in")
	}
	return amount, nil
}

func jsonCurrency(raw json.RawMessage) (money.Currency, error) {
	text, err := jsonText("currency", raw)
	if err != nil || text == "" {
		return money.INR, err
	}
	currency, err := money.ParseCurrency(text)
	if err != nil {
		return "", errors.New("currency must be a code of 3 letters, such as INR")
	}
	return currency, nil
}

func jsonTime(raw json.RawMessage, now time.Time) (time.Time, error) {
	text, err := jsonText("at", raw)
	if err != nil {
		return time.Time{}, err
	}
	at := now
	if text != "" {
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return time.Time{}, errors.New("at must be a time with its zone, such as 2026-01-02T15:04:05+05:30, or left out")
		}
	}
	if at.After(now.Add(MaxAhead)) {
		return time.Time{}, errors.New("at lies more than 24 hours ahead: check its date and zone")
	}
	return at.UTC().Truncate(time.Microsecond), nil // what the engines keep
}

// jsonText is a string, or a number as it was written; null and missing are
// "". Line breaks and other control characters become spaces: what a payer
// typed must not cost them the payment.
func jsonText(name string, raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "", nil
	case isNumber(raw):
		return string(raw), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("%s must be a string", name)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)), nil
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}
