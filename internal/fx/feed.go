package fx

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxFeed bounds what is read of a feed. The largest known ones are some 10 KiB.
const maxFeed = 1 << 20

// earliest and latest bound the dates believed: the euro's first rates, and a clock gone wrong.
var (
	earliest = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ParseOpenExchangeRates reads a feed in the shape of Open Exchange Rates' latest.json,
//
//	{"timestamp": 1749513600, "base": "USD", "rates": {"INR": 85.64, "EUR": 0.87}}
//
// which many free and paid services share. The base may be any currency but the feed must quote INR. Numbers
// are read by their text. Codes that are not configured are ignored, and so are members other than these
// three. At most 1 MiB is read.
//
// Its errors wrap ErrFormat, or the reader's own error with ErrUnavailable. A rate that is zero, negative or
// beyond belief, a name given twice and a missing INR refuse the feed whole.
func ParseOpenExchangeRates(r io.Reader) (*Rates, error) {
	data, err := readFeed(r)
	if err != nil {
		return nil, err
	}
	var feed struct {
		Timestamp jsontext.Value            `json:"timestamp"`
		Base      string                    `json:"base"`
		Rates     map[string]jsontext.Value `json:"rates"`
	}
	if err := json.Unmarshal(data, &feed); err != nil {
		return nil, malformed("the JSON does not parse: %v", err)
	}
	seconds, err := strconv.ParseInt(string(feed.Timestamp), 10, 64)
	if err != nil {
		return nil, malformed(`"timestamp" %q is not whole Unix seconds`, feed.Timestamp)
	}
	rates := make(map[string]string, len(feed.Rates))
	for code, literal := range feed.Rates {
		rates[code] = string(literal)
	}
	return assemble("open-exchange-rates", time.Unix(seconds, 0), feed.Base, rates)
}

// ParseECB reads the European Central Bank's daily reference rates, eurofxref-daily.xml: about thirty codes
// against the euro, INR among them, published on TARGET working days. AsOf is midnight UTC of the day the
// file names. The file of many days is refused. At most 1 MiB is read; entities of a DTD are never expanded.
//
// Errors are as for ParseOpenExchangeRates.
func ParseECB(r io.Reader) (*Rates, error) {
	data, err := readFeed(r)
	if err != nil {
		return nil, err
	}
	var envelope struct {
		XMLName xml.Name `xml:"http://www.gesmes.org/xml/2002-08-01 Envelope"`
		Days    []struct {
			Time  string `xml:"time,attr"`
			Rates []struct {
				Currency string `xml:"currency,attr"`
				Rate     string `xml:"rate,attr"`
			} `xml:"Cube"`
		} `xml:"Cube>Cube"`
	}
	if err := xml.Unmarshal(data, &envelope); err != nil {
		return nil, malformed("the XML does not parse: %v", err)
	}
	if len(envelope.Days) != 1 {
		return nil, malformed("it holds %d days: use the daily file, eurofxref-daily.xml", len(envelope.Days))
	}
	day := envelope.Days[0]
	asOf, err := time.Parse(time.DateOnly, day.Time)
	if err != nil {
		return nil, malformed("time %q is not a date", day.Time)
	}
	rates := make(map[string]string, len(day.Rates))
	for _, rate := range day.Rates {
		if _, twice := rates[rate.Currency]; twice {
			return nil, malformed("%q is quoted twice", rate.Currency)
		}
		rates[rate.Currency] = rate.Rate
	}
	return assemble("ecb", asOf, "EUR", rates)
}

// readFeed reads a whole feed, refusing one that is too long.
func readFeed(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFeed+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(data) > maxFeed {
		return nil, malformed("it is longer than %d bytes", maxFeed)
	}
	return bytes.TrimPrefix(data, []byte("\uFEFF")), nil
}

// assemble checks one feed's quotations, all against base, and makes a set of those that are configured.
func assemble(source string, asOf time.Time, base string, rates map[string]string) (*Rates, error) {
	if asOf.Before(earliest) || asOf.After(latest) {
		return nil, malformed("its date %s is not believable", asOf.UTC().Format(time.RFC3339))
	}
	if !isCode(base) {
		return nil, malformed("base %q is not a currency code", base)
	}
	if own, ok := rates[base]; !ok {
		rates[base] = "1"
	} else if one, err := scanDecimal(own); err != nil || one != "1" {
		return nil, malformed("one %s is given as %q %[1]s", base, own)
	}
	rupees, ok := rates[rupee]
	if !ok {
		return nil, malformed("it does not quote INR, from which amounts are converted")
	}
	rupees, err := scanDecimal(rupees)
	if err != nil {
		return nil, malformed("INR: %v", err)
	}
	var quotes []Quote
	for _, code := range configured {
		literal, ok := rates[code]
		if !ok || code == rupee || quotedAs(code) != code {
			continue
		}
		units, err := scanDecimal(literal)
		if err != nil {
			return nil, malformed("%s: %v", code, err)
		}
		quotes = append(quotes, Quote{Code: code, Units: units, Rupees: rupees, Base: base, Source: source, AsOf: utc(asOf)})
	}
	return build(source, asOf, time.Time{}, quotes), nil
}

// isCode reports whether s looks like a currency code: three to ten capital letters or digits.
func isCode(s string) bool {
	return len(s) >= 3 && len(s) <= 10 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// smallest and largest bound a believable rate. Between the cheapest money ever quoted and a bitcoin lie some
// seventeen digits; anything beyond fifteen either side of one is a broken feed.
var (
	smallest = big.NewRat(1, 1e15)
	largest  = big.NewRat(1e15, 1)
)

// scanDecimal checks a feed's number and returns its exact value in plain canonical form: 3.67e0 is "3.67".
// It accepts what JSON calls a number. Length and exponent are bounded before any arithmetic, since
// 1e999999999 is short to write and long to compute.
func scanDecimal(s string) (string, error) {
	const maxLength, maxExponent = 64, 40
	if len(s) > maxLength {
		return "", fmt.Errorf("a number of %d characters is too long", len(s))
	}
	if !jsontext.Value(s).IsValid() || strings.Trim(s, "+-.0123456789eE") != "" {
		return "", fmt.Errorf("%q is not a plain number", s)
	}
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		exponent, err := strconv.Atoi(s[at+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return "", fmt.Errorf("%s is not a believable rate", s)
		}
	}
	value, ok := new(big.Rat).SetString(s)
	if !ok || value.Cmp(smallest) < 0 || value.Cmp(largest) > 0 {
		return "", fmt.Errorf("%s is not a believable rate", s)
	}
	places, _ := value.FloatPrec()
	return value.FloatString(places), nil
}
