package bankhook

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/upi"
)

// What ICICI's eCollection calls are named, as the end of the URL given to the
// bank and, where the bank fills it in, as the service of the envelope.
const (
	misPosting = "mis-posting" // the money was credited
	msgHold    = "msg-hold"    // may it be? The body is the same
)

// iciciEnvelope is how both sides encrypt: a session key for AES-CBC, itself
// encrypted with RSA and PKCS #1 v1.5 for the receiver. The IV stands in its
// field or, where that is empty, before the data.
type iciciEnvelope struct {
	RequestID     string `json:"requestId"`
	Service       string `json:"service"`
	EncryptedKey  string `json:"encryptedKey"`
	OAEP          string `json:"oaepHashingAlgorithm"`
	IV            string `json:"iv"`
	EncryptedData string `json:"encryptedData"`
	ClientInfo    string `json:"clientInfo"`
	OptionalParam string `json:"optionalParam"`
}

// readICICI reads ICICI's eCollection: MSG HOLD asks whether a payment may be
// credited, MIS POSTING says it was, and both bodies are alike. So only the
// name of the call makes a credit (iciciCall). Anyone with our certificate can
// encrypt to us: what proves the bank is the header that verifyHeader checks,
// with the bank's addresses allowed alone.
func readICICI(r Request, s Secrets) (Event, error) {
	if s.Key == nil || s.BankKey == nil {
		return Event{}, fmt.Errorf("%w: the own private key and the bank's certificate", ErrSecrets)
	}
	var envelope struct {
		RequestID scalar `json:"requestId"`
		Service   scalar `json:"service"`
		Key       scalar `json:"encryptedKey"`
		IV        scalar `json:"iv"`
		Data      scalar `json:"encryptedData"`
	}
	if err := decode(r.Body, &envelope); err != nil {
		return Event{}, fmt.Errorf("%w: not the envelope of eCollection", ErrBody)
	}
	plain, err := unseal(s.Key, string(envelope.Key), string(envelope.IV), string(envelope.Data))
	if err != nil {
		return Event{}, err
	}
	var e Event
	var answer string
	switch call, known := iciciCall(r.Endpoint, string(envelope.Service)); {
	case !known:
		e = unparsed("", "icici/ecollection", "not named as MIS POSTING: give the bank the URL that ends in /"+misPosting)
		answer = `{"Response":"Success","Code":"11"}`
	case call == msgHold:
		e = ignored("", "icici/"+msgHold, "the bank asks before it credits: no money came in yet")
		// Whatever comes is taken: what nobody claims is kept for the operator.
		answer = `{"AcceptOrReject":"Y","Message":"Accept","Code":"11"}`
	default:
		if e, err = readMISPosting(plain); err != nil {
			return Event{}, err
		}
		answer = `{"Response":"Success","Code":"11"}`
	}
	sealed, err := seal(s.BankKey, []byte(answer), string(envelope.RequestID), string(envelope.Service))
	if err != nil {
		return Event{}, err
	}
	e.Answer = Answer{Status: http.StatusOK, ContentType: "application/json", Body: sealed}
	return e, nil
}

// iciciCall is which call it is. The end of the URL, given to the bank for each
// call, decides; the service of the envelope, which the bank may leave empty,
// decides where the URL has no end, and must not contradict it. Known is false
// where neither says or they contradict each other.
func iciciCall(endpoint, service string) (call string, known bool) {
	end, service := letters(endpoint), letters(service)
	posting := end == letters(misPosting) || end == "" && service == letters(misPosting)
	hold := end == letters(msgHold) || end == "" && service == letters(msgHold)
	switch {
	case posting && !strings.Contains(service, "hold"):
		return misPosting, true
	case hold && !strings.Contains(service, "posting"):
		return msgHold, true
	}
	return "", false
}

// letters are the letters of a name in lower case: it is seen with spaces,
// hyphens and underscores.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); unicode.IsLetter(r) {
			return r
		}
		return -1
	}, name)
}

// readMISPosting reads the decrypted body: amounts are rupees as text. Older
// accounts name the amount AMT, and the payer Payee.
func readMISPosting(plain []byte) (Event, error) {
	const template = "icici/" + misPosting
	var fields map[string]scalar
	switch err := decode(plain, &fields); {
	case errors.Is(err, errShape):
		return unparsed("", template, err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	torn := false
	get := func(name, older string) scalar {
		a, b := fields[name], fields[older]
		torn = torn || a != "" && b != "" && a != b
		return first(a, b)
	}
	id := string(fields["BankInternalTransactionNumber"])
	amount, ok := rupees(get("Amount", "AMT"))
	reading := feed.Reading{
		Kind: feed.Credit, Amount: amount, PayerName: string(get("PayerName", "PayeeName")),
		AccountTail: tail(fields["VirtualAccountNumber"]), Note: string(fields["SenderRemark"]),
		Reference: string(fields["VirtualAccountNumber"]), Bank: "icici", Template: template, Why: "posted to the account",
	}
	reading.At, reading.DateOnly = iciciDate(get("PayerPaymentDate", "PayeePaymentDate"))
	reading.UTR = iciciUTR(fields["Mode"], fields["UTR"])
	switch {
	case torn:
		return unparsed(id, template, "a field stands in it under both names with different values"), nil
	case !ok:
		return unparsed(id, template, "the amount is not one in rupees and paise"), nil
	case reading.UTR == "":
		reading.Why += ", without a bank reference that is certain"
	}
	return event(id, reading), nil
}

// iciciUTR is the reference of a transfer between banks. That of a transfer
// within ICICI is the bank's own.
func iciciUTR(mode, s scalar) upi.UTR {
	switch strings.ToUpper(strings.TrimSpace(string(mode))) {
	case "UPI", "IMPS":
		return rrn(s)
	case "NEFT", "RTGS":
		return transfer(s)
	}
	return ""
}

// iciciDate reads the payer's date, seen as 20260921, 21-SEP-2026 and, in
// American order, 09/21/2026. Where day and month could be either, it is not
// read.
func iciciDate(s scalar) (at time.Time, dateOnly bool) {
	text := strings.TrimSpace(string(s))
	for _, layout := range []string{"20060102", "02-Jan-2006", time.DateOnly} {
		if day, err := time.ParseInLocation(layout, text, feed.India()); err == nil {
			return day.UTC(), true
		}
	}
	american, errA := time.ParseInLocation("01/02/2006", text, feed.India())
	indian, errI := time.ParseInLocation("02/01/2006", text, feed.India())
	switch {
	case errA == nil && (errI != nil || american.Equal(indian)):
		return american.UTC(), true
	case errI == nil && errA != nil:
		return indian.UTC(), true
	}
	return moment(s), false
}

// sessionKeys are the lengths of a session key: AES-128, as documented, and
// AES-256.
var sessionKeys = []int{16, 32}

// unseal decrypts what the bank encrypted. However it fails, it fails alike, so
// that the answer does not help to guess at a session key.
func unseal(key *rsa.PrivateKey, sealedKey, iv, data string) ([]byte, error) {
	failed := fmt.Errorf("%w: cannot be decrypted: check that the bank has the certificate of this feed's key", ErrBody)
	wrapped, err1 := base64.StdEncoding.DecodeString(sealedKey)
	vector, err2 := base64.StdEncoding.DecodeString(iv)
	text, err3 := base64.StdEncoding.DecodeString(data)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, failed
	}
	if len(vector) == 0 && len(text) > aes.BlockSize {
		vector, text = text[:aes.BlockSize], text[aes.BlockSize:]
	}
	if len(vector) != aes.BlockSize || len(text) == 0 || len(text)%aes.BlockSize != 0 {
		return nil, failed
	}
	for _, size := range sessionKeys {
		session := make([]byte, size)
		_, _ = rand.Read(session)                                             // never fails; stays random where the key is not of this size
		if rsa.DecryptPKCS1v15SessionKey(nil, key, wrapped, session) != nil { //nolint:staticcheck // the bank's protocol
			return nil, failed
		}
		block, err := aes.NewCipher(session)
		if err != nil {
			return nil, failed
		}
		plain := make([]byte, len(text))
		cipher.NewCBCDecrypter(block, vector).CryptBlocks(plain, text)
		if plain, ok := unpad(plain); ok && jsontext.Value(plain).IsValid() {
			return plain, nil
		}
	}
	return nil, failed
}

// seal encrypts an answer for the bank, with the IV in its own field.
func seal(key *rsa.PublicKey, plain []byte, requestID, service string) ([]byte, error) {
	session, vector := make([]byte, sessionKeys[0]), make([]byte, aes.BlockSize)
	_, _ = rand.Read(session) // never fails (crypto/rand)
	_, _ = rand.Read(vector)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, key, session) //nolint:staticcheck // the bank's protocol
	if err != nil {
		return nil, fmt.Errorf("%w: the bank's certificate: %w", ErrSecrets, err)
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, fmt.Errorf("bankhook: encrypt the answer: %w", err)
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	text := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(text, text)
	body, err := json.Marshal(iciciEnvelope{
		RequestID: requestID, Service: service, EncryptedKey: base64.StdEncoding.EncodeToString(wrapped), OAEP: "NONE",
		IV: base64.StdEncoding.EncodeToString(vector), EncryptedData: base64.StdEncoding.EncodeToString(text),
	})
	if err != nil {
		return nil, fmt.Errorf("bankhook: write the answer: %w", err)
	}
	return body, nil
}
