package sms

import (
	"errors"
	"fmt"
	"strings"
)

// Errors on senders. Their texts are for the operator.
var (
	ErrNotHeader   = errors.New("the sender is no registered SMS header, which looks like VM-HDFCBK or VM-HDFCBK-S")
	ErrPromotional = errors.New("the sender's header ends in -P: promotional messages tell of no payment")
	ErrUnknown     = errors.New("the sender's header is of no bank we know: if it is the bank's, add it to the feed's senders")
	ErrOtherBank   = errors.New("the sender's header is another bank's than the wallet's")
	ErrNoBank      = errors.New("the wallet names no bank, so that no header speaks for it: set its bank, or the feed's senders")
)

// Kind is the last letter of a header, which operators add since 6 May 2025:
// what the message was registered as.
type Kind byte

// Kinds of message (TRAI, TCCCPR 2018, second amendment of February 2025).
const (
	NoKind        Kind = 0 // before the amendment, or cut off by the phone
	Promotional   Kind = 'P'
	Service       Kind = 'S'
	Transactional Kind = 'T'
	Government    Kind = 'G'
)

// Header is the registered name a commercial SMS comes from (TRAI, TCCCPR
// 2018). Nobody but its owner can send under it through an Indian operator.
type Header struct {
	Route string // operator and circle, such as "VM"; "" where the phone leaves it out
	Name  string // in capitals, such as "HDFCBK"
	Kind  Kind
}

// Names have six letters; a few banks hold shorter ones, which are believed
// only behind a route: a contact in the phone may be called "BOB".
const (
	shortest = 3
	longest  = 6
)

// ParseHeader reads a sender: XX-HEADER, XX-HEADER-S (or T, G, P), HEADER and
// HEADER-S. Case is folded. Anything else is ErrNotHeader: numbers, short codes,
// addresses and names of RCS, and look-alikes with digits or with letters that
// are not A to Z.
func ParseHeader(sender string) (Header, error) {
	upper := []byte(strings.Trim(sender, " "))
	for i, c := range upper {
		switch {
		case 'a' <= c && c <= 'z':
			upper[i] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', c == '-':
		default:
			return Header{}, ErrNotHeader
		}
	}
	parts := strings.Split(string(upper), "-")
	var h Header
	if len(parts) > 1 && len(parts[0]) == 2 {
		h.Route, parts = parts[0], parts[1:]
	}
	h.Name = parts[0]
	least := longest
	if h.Route != "" {
		least = shortest
	}
	if len(parts) > 2 || len(h.Name) < least || len(h.Name) > longest {
		return Header{}, ErrNotHeader
	}
	if len(parts) == 2 {
		if len(parts[1]) != 1 || !strings.Contains("PSTG", parts[1]) {
			return Header{}, ErrNotHeader
		}
		h.Kind = Kind(parts[1][0])
	}
	return h, nil
}

// BankOf tells whose header a sender is, such as "hdfc". Errors: ErrNotHeader,
// ErrPromotional, ErrUnknown.
func BankOf(sender string) (bank string, err error) {
	h, err := ParseHeader(sender)
	if err != nil {
		return "", err
	}
	if h.Kind == Promotional {
		return "", ErrPromotional
	}
	bank, ok := banks()[h.Name]
	if !ok {
		return "", ErrUnknown
	}
	return bank, nil
}

// Trusted tells whether a sender may speak for an account at a bank
// (architecture, "Who gets the money"): with one of the bank's headers, or one
// of the extra that the operator gave the feed, such as "HDFCBK". Errors:
// ErrNotHeader, ErrPromotional, ErrUnknown, ErrOtherBank, and ErrNoBank for a
// known bank's header where the wallet names none.
func Trusted(sender, bank string, extra []string) error {
	h, err := ParseHeader(sender)
	if err != nil {
		return err
	}
	if h.Kind == Promotional {
		return ErrPromotional
	}
	for _, own := range extra {
		// With a route before it, so that short names are read too.
		o, err := ParseHeader(own)
		if err != nil {
			o, err = ParseHeader("XX-" + own)
		}
		if err == nil && o.Name == h.Name {
			return nil
		}
	}
	switch owner, err := BankOf(sender); {
	case err != nil:
		return err
	case bank == "":
		return ErrNoBank
	case owner != bank:
		return fmt.Errorf("%w: it is that of %s", ErrOtherBank, owner)
	}
	return nil
}
