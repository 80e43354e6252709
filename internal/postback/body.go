package postback

import (
	"crypto/md5"  //nolint:gosec // the merchants' integrations fix the algorithm (protocol §5)
	"crypto/sha1" //nolint:gosec // likewise; the Standard Webhooks signature stands beside it
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/fx"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// datetime is how merchants read times, in their own zone.
const datetime = time.DateTime

// message is a postback's content, whichever way the money went. What a kind
// of event has no use for stays empty and is sent so: every key is present.
type message struct {
	method    string // wallet_type
	amount    money.Paise
	currency  money.Currency
	label     string
	direction string

	createdAt   time.Time
	activatedAt time.Time

	payer            string // exchanger_identifier, masked
	comment          string
	stockpilingID    int64
	transactionID    string
	transactionType  int64
	customOrderID    string
	withdrawalID     string // "" is sent as null
	withdrawalStatus string // "" is sent as null
	account          account
}

// account is where a payout goes.
type account struct{ number, name, email, bankCode, branchCode string }

// message is the event in the protocol's words.
func (e *Event) message() message {
	m := message{
		method: e.Method, amount: e.Amount, currency: e.Currency, label: e.Label,
		direction: "ingoing",
		createdAt: e.CreatedAt, activatedAt: e.ActivatedAt,
		transactionID: string(e.UTR),
	}
	if p := e.Payment; p != nil {
		m.direction, m.transactionType = "outgoing", 1
		m.withdrawalID, m.withdrawalStatus = p.WithdrawalID, p.Status
		m.account = account{number: p.AccountNumber, name: p.AccountName, bankCode: p.BranchCode, branchCode: p.BranchCode}
		return m
	}
	m.payer, m.stockpilingID, m.customOrderID = upi.MaskPayer(e.Payer), e.CreditID, e.CustomID
	return m
}

// AppendBody appends the postback of an event to dst (protocol §5): compact
// JSON with every key of the protocol's example, in its order, signed with the
// merchant's legacy keys. The same event, merchant and rates give the same
// bytes.
func AppendBody(dst []byte, e *Event, merchant *directory.Merchant, rates *fx.Rates) []byte {
	m := e.message()
	return m.appendBody(dst, merchant, rates)
}

func (m *message) appendBody(dst []byte, merchant *directory.Merchant, rates *fx.Rates) []byte {
	const room = 5 << 10 // a body with all currencies takes about 4 KiB
	zone := merchant.Location()

	dst = append(slices.Grow(dst, room), `{"signature":"`...)
	signature := len(dst) // filled in once what it covers is written
	dst = append(dst, make([]byte, hex.EncodedLen(sha1.Size))...)
	dst = append(dst, `","wallet_type":`...)
	dst = appendString(dst, m.method)
	dst = append(dst, `,"amount":`...)
	dst = m.amount.AppendJSON(dst)
	dst = append(dst, `,"currency_code":`...)
	dst = appendString(dst, string(m.currency))
	dst = append(dst, `,"label":`...)
	dst = appendString(dst, m.label)
	dst = append(dst, `,"converted_amount":`...)
	dst = rates.AppendConverted(dst, m.amount)
	dst = append(dst, `,"direction":`...)
	dst = appendString(dst, m.direction)
	dst = append(dst, `,"created_datetime":"`...)
	dst = m.createdAt.In(zone).AppendFormat(dst, datetime)
	dst = append(dst, `","access_key":`...)
	dst = appendString(dst, merchant.Secrets.AccessKey.Reveal())
	dst = append(dst, `,"additional_data":`...)
	signed := len(dst)
	dst = m.appendAdditional(dst, zone)
	sum := legacySignature(merchant.Secrets, dst[signed:])
	hex.Encode(dst[signature:], sum[:])
	return append(dst, '}')
}

// appendAdditional appends additional_data. It holds no number but integers, so
// that whoever parses it and writes it again compactly gets these bytes.
func (m *message) appendAdditional(dst []byte, zone *time.Location) []byte {
	dst = append(dst, `[{"activated_datetime":"`...)
	dst = m.activatedAt.In(zone).AppendFormat(dst, datetime)
	dst = append(dst, `","exchanger_identifier":`...)
	dst = appendString(dst, m.payer)
	dst = append(dst, `,"comment":`...)
	dst = appendString(dst, m.comment)
	dst = append(dst, `,"amount":"`...)
	dst = m.amount.AppendTo(dst)
	dst = append(dst, `","currency_code":`...)
	dst = appendString(dst, string(m.currency))
	dst = append(dst, `,"wallet_type":`...)
	dst = appendString(dst, m.method)
	dst = append(dst, `,"stockpiling_id":`...)
	dst = strconv.AppendInt(dst, m.stockpilingID, 10)
	dst = append(dst, `,"transaction_id":`...)
	dst = appendString(dst, m.transactionID)
	dst = append(dst, `,"transaction_type":`...)
	dst = strconv.AppendInt(dst, m.transactionType, 10)
	dst = append(dst, `,"plugin_custom_order_id":`...)
	dst = appendString(dst, m.customOrderID)
	dst = append(dst, `,"withdrawal_id":`...)
	dst = appendNullable(dst, m.withdrawalID)
	dst = append(dst, `,"withdrawal_status":`...)
	dst = appendNullable(dst, m.withdrawalStatus)
	dst = append(dst, `,"account_number":`...)
	dst = appendString(dst, m.account.number)
	dst = append(dst, `,"account_name":`...)
	dst = appendString(dst, m.account.name)
	dst = append(dst, `,"account_email":`...)
	dst = appendString(dst, m.account.email)
	dst = append(dst, `,"bank_details":{"bank_code":`...)
	dst = appendString(dst, m.account.bankCode)
	dst = append(dst, `,"branch_code":`...)
	dst = appendString(dst, m.account.branchCode)
	return append(dst, `}}]`...)
}

// legacySignature is sha1(access_key + private_key + md5(additional_data)), the
// md5 as the hex text that PHP's md5() gives.
func legacySignature(keys directory.MerchantSecrets, additional []byte) [sha1.Size]byte {
	digest := md5.Sum(additional) //nolint:gosec // fixed by the protocol
	text := make([]byte, 0, 128+hex.EncodedLen(md5.Size))
	text = append(text, keys.AccessKey.Reveal()...)
	text = append(text, keys.PrivateKey.Reveal()...)
	text = hex.AppendEncode(text, digest[:])
	return sha1.Sum(text) //nolint:gosec // fixed by the protocol
}
