package upi

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/milaan/milaan/money"
)

// Link is a upi://pay link, which a payer's UPI app opens with the payee filled in. It follows
// NPCI's UPI Linking Specification, version 1.6, and holds only what a payee without an acquirer
// can truthfully say: no merchant code, terminal or signature.
type Link struct {
	PayeeVPA  VPA            // pa: who is paid
	PayeeName string         // pn: the name shown to the payer
	Ref       string         // tr: the payee's order reference; may be empty
	Note      string         // tn: shown to both sides; may be empty
	Amount    money.Paise    // am: in paise; 0 leaves it to the payer
	Currency  money.Currency // cu: empty means INR, the only currency UPI moves
}

// ErrLink: a link that no UPI app should be given.
var ErrLink = errors.New("upi: not a payment link")

// maxRefLength and maxNoteLength, in characters, are what UPI apps take; longer ones make some of
// them refuse the whole payment.
const (
	maxRefLength  = 35
	maxNoteLength = 50
)

// Validate reports why a UPI app would refuse the link. The error wraps ErrLink, and ErrVPA where
// the address is at fault.
func (l Link) Validate() error {
	if _, err := ParseVPA(string(l.PayeeVPA)); err != nil {
		return fmt.Errorf("%w: pa: %w", ErrLink, err)
	}
	switch {
	case l.Amount < 0:
		return fmt.Errorf("%w: am is negative: use a positive amount, or 0 to leave it to the payer", ErrLink)
	case l.Currency != "" && l.Currency != money.INR:
		return fmt.Errorf("%w: cu is %.12q: UPI moves INR only", ErrLink, string(l.Currency))
	case strings.TrimSpace(l.PayeeName) == "":
		return fmt.Errorf("%w: pn is empty: give the payee's name", ErrLink)
	case utf8.RuneCountInString(l.Ref) > maxRefLength:
		return fmt.Errorf("%w: tr is longer than %d characters", ErrLink, maxRefLength)
	case utf8.RuneCountInString(l.Note) > maxNoteLength:
		return fmt.Errorf("%w: tn is longer than %d characters", ErrLink, maxNoteLength)
	}
	for _, text := range []string{l.PayeeName, l.Ref, l.Note} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%w: pn, tr and tn must be plain UTF-8 text without line breaks", ErrLink)
		}
	}
	return nil
}

// String is the link: its fields in the specification's order, spaces as %20 (UPI apps show a +
// as it is), the amount with two decimals. Empty fields and an amount of 0 or less are left out.
// It does not check the link; [Link.Validate] does.
func (l Link) String() string {
	var b strings.Builder
	b.WriteString("upi://pay?pa=")
	// The specification's samples leave the @ as it is, and some apps look for it.
	b.WriteString(strings.Replace(escape(string(l.PayeeVPA)), "%40", "@", 1))
	field := func(key, value string) {
		if value != "" {
			b.WriteString("&" + key + "=" + escape(value))
		}
	}
	field("pn", l.PayeeName)
	field("tr", l.Ref)
	field("tn", l.Note)
	if l.Amount > 0 {
		field("am", l.Amount.Fixed())
	}
	currency := l.Currency
	if currency == "" {
		currency = money.INR
	}
	field("cu", string(currency))
	return b.String()
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// ParseLink reads a upi://pay link, such as the text of a wallet's own QR code. Fields a [Link] has
// no place for are dropped. A field it has a place for may stand only once, so that no two readers
// see different payees or amounts. The error wraps ErrLink.
func ParseLink(s string) (Link, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || !strings.EqualFold(u.Scheme, "upi") || !strings.EqualFold(u.Host, "pay") {
		return Link{}, fmt.Errorf("%w: it starts with upi://pay?", ErrLink)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Link{}, fmt.Errorf("%w: its query is malformed", ErrLink)
	}
	for _, key := range []string{"pa", "pn", "tr", "tn", "am", "cu"} {
		if len(query[key]) > 1 {
			return Link{}, fmt.Errorf("%w: %s stands more than once", ErrLink, key)
		}
	}
	l := Link{
		PayeeVPA:  VPA(strings.TrimSpace(query.Get("pa"))),
		PayeeName: query.Get("pn"),
		Ref:       query.Get("tr"),
		Note:      query.Get("tn"),
		Currency:  money.INR,
	}
	if amount := query.Get("am"); amount != "" {
		if l.Amount, err = money.Parse(amount); err != nil {
			return Link{}, fmt.Errorf("%w: am: %w", ErrLink, err)
		}
	}
	if currency := query.Get("cu"); currency != "" {
		if l.Currency, err = money.ParseCurrency(currency); err != nil {
			return Link{}, fmt.Errorf("%w: cu: %w", ErrLink, err)
		}
	}
	if err := l.Validate(); err != nil {
		return Link{}, err
	}
	return l, nil
}
