package fx

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// record is the stored form of a set. The number is the row's, not the record's, so that equal sets have
// equal bytes.
type record struct {
	Source    string    `json:"source"`
	AsOf      time.Time `json:"as_of"`
	FetchedAt time.Time `json:"fetched_at"`
	Quotes    []Quote   `json:"quotes"`
}

// Encode returns the set as canonical JSON for the store: quotations in the order of Codes, decimals in plain
// form, times in UTC. ID is left out. Sets that say the same encode to the same bytes.
func (r *Rates) Encode() []byte {
	data, err := json.Marshal(record{Source: r.Source, AsOf: r.AsOf, FetchedAt: r.FetchedAt, Quotes: r.quotes})
	if err != nil {
		// Only a Rates altered by hand, with a date beyond year 9999, gets here.
		panic(fmt.Sprintf("fx: rates cannot be encoded: %v", err))
	}
	return data
}

// Decode reads what Encode wrote; give it its number back with WithID. Whatever Encode would not have written
// (an unknown or repeated code or member, a rate that is not a canonical decimal) is an error wrapping
// ErrFormat: a stored set that was tampered with must not be converted with.
func Decode(data []byte) (*Rates, error) {
	var stored record
	if err := json.Unmarshal(data, &stored, json.RejectUnknownMembers(true)); err != nil {
		return nil, malformed("the stored rates do not parse: %v", err)
	}
	last := -1
	for _, q := range stored.Quotes {
		at := position(q.Code)
		if at < 0 || q.Code == rupee || quotedAs(q.Code) != q.Code {
			return nil, malformed("stored rates quote %q", q.Code)
		}
		if at <= last {
			return nil, malformed("stored rates quote %s out of order or twice", q.Code)
		}
		last = at
		for _, number := range []string{q.Units, q.Rupees} {
			if plain, err := scanDecimal(number); err != nil || plain != number {
				return nil, malformed("stored rate of %s: %q is not a canonical decimal", q.Code, number)
			}
		}
	}
	for i := range stored.Quotes {
		stored.Quotes[i].AsOf = utc(stored.Quotes[i].AsOf)
	}
	return build(stored.Source, stored.AsOf, stored.FetchedAt, slices.Clip(stored.Quotes)), nil
}

// Same reports whether two sets quote the same, however and whenever they were
// fetched.
func (r *Rates) Same(other *Rates) bool { return slices.Equal(r.quotes, other.quotes) }
