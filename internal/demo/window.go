package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"

	"github.com/milaan/milaan/money"
)

// Kind is an outcome in the words of the payment window: the kind of a hashed
// URL, and the status that a payer comes back with (protocol, section 4).
type Kind string

// The kinds of outcome.
const (
	Success Kind = "success"
	Pending Kind = "pending"
	Fail    Kind = "fail"
)

// HashURL makes the value of a link's success_url, pending_url or fail_url
// (protocol, section 4, hashed URLs). The key is the merchant's postback
// private key; label and customID are those of the link.
func HashURL(privateKey string, kind Kind, label, customID, address string) string {
	hash := sign(privateKey, string(kind)+"\n"+label+"\n"+customID+"\n"+address)
	return base64.RawURLEncoding.EncodeToString([]byte(address)) + "." + hex.EncodeToString(hash)
}

func sign(privateKey, message string) []byte {
	h := hmac.New(sha256.New, []byte(privateKey))
	h.Write([]byte(message))
	return h.Sum(nil)
}

// ErrReturn is a return from the payment window that the gateway did not sign.
var ErrReturn = errors.New("this address is not as the payment page made it: nothing was changed by it; open the shop to see how your order stands")

// VerifyReturn reads what the payment window appended to a merchant's URL
// (protocol, section 4): which payment it was and how it ended. The error is
// ErrReturn.
func VerifyReturn(privateKey string, query url.Values) (customID string, kind Kind, err error) {
	for _, name := range []string{"custom_transaction_id", "status", "signature"} {
		if len(query[name]) != 1 { // two readers of two values would see two returns
			return "", "", ErrReturn
		}
	}
	customID, kind = query.Get("custom_transaction_id"), Kind(query.Get("status"))
	signature, err := hex.DecodeString(query.Get("signature"))
	if err != nil || !hmac.Equal(signature, sign(privateKey, customID+"\n"+string(kind))) {
		return "", "", ErrReturn
	}
	switch kind {
	case Success, Pending, Fail:
		return customID, kind, nil
	default:
		return "", "", ErrReturn
	}
}

// paymentLink opens the payment window for an order. It leaves the language to
// the payer's browser.
func (s *Shop) paymentLink(o *Order) string {
	query := url.Values{
		"merchant":              {s.config.Merchant},
		"label":                 {o.Customer},
		"currency_code":         {string(money.INR)},
		"wallet_type":           {o.Method},
		"custom_transaction_id": {o.ID},
		"fixed_amount":          {o.Total.Fixed()},
	}
	for _, kind := range []Kind{Success, Pending, Fail} {
		query.Set(string(kind)+"_url", HashURL(s.config.Keys.PrivateKey, kind, o.Customer, o.ID, s.config.URL+"/return"))
	}
	return s.config.Gateway + "/pay?" + query.Encode()
}
