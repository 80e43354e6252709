package deposit

// RefusalCode says why a request was refused without a trace being kept.
type RefusalCode string

// Refusals. Each leaves everything as it was, so the caller may try again when
// the cause is gone.
const (
	MethodUnknown       RefusalCode = "method_unknown"
	MethodOff           RefusalCode = "method_off"
	CurrencyUnknown     RefusalCode = "currency_unknown"
	CustomIDUsed        RefusalCode = "custom_id_used"
	NoHeadroom          RefusalCode = "no_headroom"
	AmountTooSmall      RefusalCode = "amount_too_small"
	AmountTooLarge      RefusalCode = "amount_too_large"
	NotPending          RefusalCode = "not_pending"
	CreditNotFree       RefusalCode = "credit_not_free"
	MerchantGone        RefusalCode = "merchant_gone"
	NotAmendable        RefusalCode = "not_amendable"
	NotContested        RefusalCode = "not_contested"
	SamePerson          RefusalCode = "same_person"
	ClaimOpen           RefusalCode = "claim_open"
	NotCredited         RefusalCode = "not_credited"
	InsufficientBalance RefusalCode = "insufficient_balance"
	LabelInvalid        RefusalCode = "label_invalid"
)

// Refusal is a request that the rules of the business turn down. Its message
// is meant for whoever made the request.
type Refusal struct { //nolint:errname // an answer to the caller first, an error to Go second
	Code    RefusalCode
	Message string
}

// Error gives the message.
func (r *Refusal) Error() string { return r.Message }

func refuse(code RefusalCode, message string) *Refusal {
	return &Refusal{Code: code, Message: message}
}
