// Package fx holds exchange rates and writes the converted_amount of a postback (protocol §5): one rupee
// amount in every configured currency, at the rates of the activation.
//
// Rates are exact. A feed's numbers are kept as the decimals it printed, a conversion is a fraction of
// integers, and the only rounding is the last one: half up (away from zero) at the last shown decimal. No
// float is involved anywhere.
//
// A set of rates never changes once made. The store numbers each set, an activation remembers the number,
// and a postback repeated a month later still carries the same bytes.
package fx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	// ErrFormat is wrapped by every error about a feed's or a stored set's content: it was read, but it is
	// not rates, or holds a rate nobody should convert with. Reading it again does not help; keep the
	// rates in force.
	ErrFormat = errors.New("not usable exchange rates")

	// ErrNoRates is returned by a store that holds no such set.
	ErrNoRates = errors.New("no such exchange rates")

	// ErrUnavailable is wrapped when a feed could not be read at all: a network, HTTP or file error. Keep
	// the rates in force and try again later.
	ErrUnavailable = errors.New("exchange rates cannot be read")
)

// Quote is the rate of one code as its source gave it. Units of Code and Rupees are both worth one unit of
// Base, so one rupee is Units/Rupees of Code; keeping both numbers of the source avoids rounding a quotient.
type Quote struct {
	// Code is the quoted code, as in Codes.
	Code string `json:"code"`
	// Units is how much of Code one unit of Base buys, an exact plain decimal above zero.
	Units string `json:"units"`
	// Rupees is how many rupees one unit of Base buys in the same quotation.
	Rupees string `json:"rupees"`
	// Base is the currency the source quotes against: "EUR" for the ECB, mostly "USD" elsewhere.
	Base string `json:"base"`
	// Source names where the quotation came from, without query or credentials.
	Source string `json:"source"`
	// AsOf is the UTC time the quotation speaks of. After Merge codes differ in it.
	AsOf time.Time `json:"as_of"`
}

// Rates is an immutable set of rates. Make one with Bundled, Load, a parser, Merge or Decode; it may then be
// shared between goroutines. Its fields are to be read only.
type Rates struct {
	// ID is the set's number in the store, 0 until the store has given one (see WithID).
	ID int64
	// Source names the feed the set was last taken from.
	Source string
	// AsOf is the UTC time the newest quotation of the set speaks of.
	AsOf time.Time
	// FetchedAt is when the feed was read, UTC; zero when it came from a bare reader.
	FetchedAt time.Time

	quotes  []Quote  // in configured order, at most one a code, never the rupee
	factors []factor // one for each configured code, in order
}

// build makes a set of quotes that are valid and unique, sorting them in place.
func build(source string, asOf, fetchedAt time.Time, quotes []Quote) *Rates {
	slices.SortFunc(quotes, func(a, b Quote) int { return cmp.Compare(position(a.Code), position(b.Code)) })
	return &Rates{
		Source:    strings.ToValidUTF8(source, "�"),
		AsOf:      utc(asOf),
		FetchedAt: utc(fetchedAt),
		quotes:    quotes,
		factors:   compile(quotes),
	}
}

// position is the place of code in Codes, -1 when it is not configured.
func position(code string) int { return slices.Index(configured[:], code) }

// utc drops the zone and the monotonic reading, so that sets compare by what they say.
func utc(t time.Time) time.Time { return t.UTC().Round(0) }

// WithID returns the same set under the number the store gave it.
func (r *Rates) WithID(id int64) *Rates {
	numbered := *r
	numbered.ID = id
	return &numbered
}

// Quotes returns every quotation of the set in the order of Codes. The rupee has none: it is what the others
// are quoted in.
func (r *Rates) Quotes() []Quote { return slices.Clone(r.quotes) }

// Quote returns the quotation code is converted at; for USDTTRC20 and USDT20 that is USDT's. It reports false
// when the set has none, and the converted amount is then 0.
func (r *Rates) Quote(code string) (Quote, bool) {
	for _, q := range r.quotes {
		if q.Code == quotedAs(code) {
			return q, true
		}
	}
	return Quote{}, false
}

// Missing returns the configured codes the set has no rate for, in order; AppendConverted writes them as 0.
func (r *Rates) Missing() []string {
	var missing []string
	for _, code := range configured {
		if _, ok := r.Quote(code); !ok && code != rupee {
			missing = append(missing, code)
		}
	}
	return missing
}

// Age returns how old the set's newest quotation is at now. Older quotations kept by Merge show their own
// AsOf in Quotes.
func (r *Rates) Age(now time.Time) time.Duration { return now.Sub(r.AsOf) }

// Merge lays next over prev and returns a new, unnumbered set: a feed that quotes thirty codes does not lose
// the other hundred and fifty. Each code keeps the newer of its two quotations by AsOf, next's when they are
// of the same time, so a feed that lags or is replayed cannot push fresher rates out. Source and FetchedAt
// are next's. A nil prev is an empty set.
func Merge(prev, next *Rates) *Rates {
	asOf, quotes := next.AsOf, next.Quotes()
	if prev == nil {
		return build(next.Source, asOf, next.FetchedAt, quotes)
	}
	if prev.AsOf.After(asOf) {
		asOf = prev.AsOf
	}
	for _, old := range prev.quotes {
		at := slices.IndexFunc(quotes, func(q Quote) bool { return q.Code == old.Code })
		switch {
		case at < 0:
			quotes = append(quotes, old)
		case old.AsOf.After(quotes[at].AsOf):
			quotes[at] = old
		}
	}
	return build(next.Source, asOf, next.FetchedAt, quotes)
}

// malformed reports content that cannot be used. The text is cut short: a hostile feed must not fill a log.
func malformed(format string, args ...any) error {
	const limit = 240
	text := fmt.Sprintf(format, args...)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return fmt.Errorf("%w: %s", ErrFormat, text)
}
