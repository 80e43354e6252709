package bankhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/feed"
)

// Paytm's checksum: what it is encrypted with besides the key, and its parts.
const (
	paytmIV   = "@@@@&&&&####$$$$" // fixed in Paytm's open checksum libraries
	paytmSalt = 4                  // characters at the end
)

// verifyPaytm: CHECKSUMHASH is, in base64, AES-128-CBC under the merchant key of
// the SHA-256 in hexadecimal of "values|salt" and the salt itself. The values
// are all others in the order of their names, with "|" between; "null" is empty
// (github.com/Paytm-Payments, Paytm_*_Checksum).
//
// The names are not covered, and the payer's own browser carries this form: so
// a value with "|" in it, which would move the borders, is refused.
func verifyPaytm(r Request, s Secrets) error {
	values, err := form(r)
	if err != nil {
		return err
	}
	given := values.Get("CHECKSUMHASH")
	if given == "" {
		return fmt.Errorf("%w: no field CHECKSUMHASH", ErrUnsigned)
	}
	block, err := aes.NewCipher([]byte(s.Secret))
	if err != nil || len(s.Secret) != 16 {
		return fmt.Errorf("%w: the merchant key, of 16 characters", ErrSecrets)
	}
	// Through a form, + may have become a space.
	sealed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(given, " ", "+"))
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return ErrSignature
	}
	cipher.NewCBCDecrypter(block, []byte(paytmIV)).CryptBlocks(sealed, sealed)
	plain, ok := unpad(sealed)
	if !ok || len(plain) != hex.EncodedLen(sha256.Size)+paytmSalt {
		return ErrSignature
	}
	salt := plain[len(plain)-paytmSalt:]
	signed, ok := paytmValues(values)
	if !ok {
		return fmt.Errorf("%w: a value has a | in it", ErrSignature)
	}
	sum := sha256.Sum256([]byte(signed + "|" + string(salt)))
	if !hmac.Equal(plain[:len(plain)-paytmSalt], hex.AppendEncode(nil, sum[:])) {
		return ErrSignature
	}
	return nil
}

// paytmValues are the values Paytm signs, joined; ok is false where one could
// be mistaken for two.
func paytmValues(values url.Values) (joined string, ok bool) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(name)
		switch {
		case name == "CHECKSUMHASH":
			continue
		case strings.Contains(value, "|"):
			return "", false
		case strings.EqualFold(value, "null"):
			value = ""
		}
		parts = append(parts, value)
	}
	return strings.Join(parts, "|"), true
}

// unpad removes the padding of PKCS #7 (RFC 5652, 6.3).
func unpad(b []byte) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}

// readPaytm reads the callback of a payment: amounts are rupees as text, times
// of India without a zone. Paytm's own id is TXNID; BANKTXNID is the bank's
// reference, for UPI the RRN.
func readPaytm(r Request, _ Secrets) (Event, error) {
	values, err := form(r)
	if err != nil {
		return Event{}, err
	}
	get := func(name string) scalar { return scalar(values.Get(name)) }
	const template = "paytm/callback"
	id, status := string(get("TXNID")), string(get("STATUS"))
	amount, ok := rupees(get("TXNAMOUNT"))
	switch {
	case status == "":
		return unparsed(id, template, "no status is named"), nil
	case status != "TXN_SUCCESS":
		return ignored(id, template, "the status is "+status), nil
	case get("RESPCODE") != "" && get("RESPCODE") != "01":
		return unparsed(id, template, "the status and the response code disagree"), nil
	case values.Has("REFUNDID") || values.Has("REFID") || values.Has("REFUNDAMOUNT"):
		return ignored(id, template, "a refund: no money came in"), nil
	case get("CURRENCY") != "INR":
		return unparsed(id, template, "not in rupees"), nil
	case get("ORDERID") == "":
		return unparsed(id, template, "no order is named"), nil
	case !ok:
		return unparsed(id, template, "the amount is not one in rupees and paise"), nil
	}
	reading := feed.Reading{Kind: feed.Credit, Amount: amount, Reference: string(get("ORDERID")), At: moment(get("TXNDATE")),
		Template: template, Why: "successful"}
	if get("PAYMENTMODE") == "UPI" {
		reading.UTR = rrn(get("BANKTXNID"))
	}
	if reading.UTR == "" {
		reading.Why = "successful, but without a UPI reference"
	}
	return event(id, reading), nil
}
