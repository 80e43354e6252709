package bankhook

import (
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/milaan/milaan/internal/feed"
)

// readDecentro reads the account balance callback
// (docs.decentro.tech/docs/virtual_accounts-callbacks), which comes for every
// change of a virtual account's balance, out as well as in. Amounts are rupees
// as JSON numbers, times those of the callback in India. Names are in camel or
// snake case, by a setting of the account; the answer is always in snake case.
// Decentro signs nothing: its header is checked by verifyHeader.
func readDecentro(r Request, _ Secrets) (Event, error) {
	var fields map[string]scalar
	switch err := decode(r.Body, &fields); {
	case errors.Is(err, errShape):
		return unparsed("", "decentro", err.Error()), nil
	case err != nil:
		return Event{}, err
	}
	e := decentroReading(fields)
	e.Answer = Answer{Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"response_code":"CB_S00000"}`)}
	return e, nil
}

func decentroReading(fields map[string]scalar) Event {
	const template = "decentro/account-balance"
	torn := false
	get := func(camel string) scalar {
		a, b := fields[camel], fields[snake(camel)]
		torn = torn || a != "" && b != "" && a != b
		return first(a, b)
	}
	id := string(get("callbackTxnId"))
	amount, ok := rupees(get("transactionAmount"))
	mode := strings.ToUpper(string(get("transferType")))
	reading := feed.Reading{
		Amount: amount, PayerVPA: string(get("payerVpa")), PayerName: string(get("payerName")),
		AccountTail: tail(first(get("payeeAccountNumber"), get("accountNumber"))), Note: string(get("transactionMessage")),
		At: moment(get("timestamp")), Template: template,
	}
	reference := get("bankReferenceNumber")
	reading.UTR = transfer(reference)
	if mode == "UPI" || mode == "IMPS" {
		reading.UTR = rrn(reference)
	}
	kind := get("type")
	switch {
	case torn:
		return unparsed(id, template, "a field stands in it in both spellings with different values")
	case kind != "credit" && kind != "debit":
		return unparsed(id, template, "neither a credit nor a debit")
	case !ok:
		return unparsed(id, template, "the amount is not one in rupees and paise")
	case kind == "debit":
		// The other side of a debit is who was paid; the account is the payer's.
		reading.Kind, reading.Why = feed.Debit, "a debit of the virtual account"
		reading.PayerVPA, reading.PayerName = string(get("payeeVpa")), ""
		reading.AccountTail = tail(first(get("payerAccountNumber"), get("accountNumber")))
		return event(id, reading)
	case returned(reading.Note):
		// A payout that came back is a credit of the account as well.
		return unparsed(id, template, "the message speaks of a return: check whether an own payout came back")
	}
	reading.Kind, reading.Why = feed.Credit, "a credit of the virtual account"
	if reading.UTR == "" {
		reading.Why += ", without a bank reference that is certain"
	}
	return event(id, reading)
}

// returned reports whether a bank's message speaks of money sent back.
func returned(message string) bool {
	message = strings.ToLower(message)
	for _, word := range []string{"revers", "refund", "return"} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// snake is a name of camel case in snake case.
func snake(camel string) string {
	var b strings.Builder
	for _, r := range camel {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
