package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
)

// activate asks for a deposit: POST /api/v1/transaction/activate.
func (d *Door) activate(c *call) (any, error) {
	body, err := c.body(maxBody)
	if err != nil {
		return nil, err
	}
	a, err := parseActivation(body)
	if err != nil {
		return nil, err
	}
	// The call comes from the merchant's server: it does not tell the payer's
	// address.
	a.Merchant, a.Via = c.merchant.ID, "api"
	claim, err := d.Desk.Activate(c.Context(), a)
	if err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	return outcomeOf(&claim)
}

// parseActivation reads the body (protocol, section 3); who asks is the
// caller's to add. The error is a *requestError.
func parseActivation(body []byte) (deposit.Activation, error) {
	f, err := readFields(body)
	if err != nil {
		return deposit.Activation{}, err
	}
	a := deposit.Activation{
		Currency: f.currency("currency_code"),
		Method:   f.text("wallet_type"),
		Label:    f.text("label"),
		UTR:      f.utr("key1"),
		Amount:   f.requiredAmount("amount"),
		CustomID: f.text("custom_transaction_id"),
	}
	return a, f.err()
}

// outcome is where a claim stands, in the protocol's words.
type outcome struct {
	Status   string        `json:"status"`
	Message  string        `json:"message,omitempty"`
	Deposit  bool          `json:"deposit,omitempty"`
	Amount   money.Paise   `json:"deposit_amount,omitempty"`
	Currency *currencySign `json:"currency,omitempty"`
}

type currencySign struct {
	Code   string `json:"code"`
	Symbol string `json:"symbol"`
}

// outcomeOf words the outcome. A refusal tells a guesser nothing about whose
// the payment is.
func outcomeOf(c *deposit.Claim) (outcome, error) {
	switch c.State {
	case deposit.Credited:
		code := string(c.Currency)
		return outcome{Status: "ok", Deposit: true, Amount: c.Deposited, Currency: &currencySign{Code: code, Symbol: code}}, nil
	case deposit.Pending:
		return outcome{Status: "pending", Message: "The deposit status check has been started. " +
			"The operation may take longer than expected. " +
			"Upon completion of the verification, the funds will be credited to your account"}, nil
	case deposit.Waiting:
		return outcome{Status: "possible_transaction_created", Message: "Transaction not found. Possible transaction created"}, nil
	case deposit.Refused:
		return outcome{Status: "fail", Message: "This UTR has already been used for another payment: check it and try again"}, nil
	case deposit.Rejected:
		return outcome{Status: "fail", Message: "This payment was checked and rejected: contact support"}, nil
	case deposit.Expired:
		return outcome{Status: "fail", Message: "No payment with this UTR arrived in time: check the UTR and try again"}, nil
	default:
		return outcome{}, fmt.Errorf("claim %d is in no state the protocol knows: %q", c.ID, c.State)
	}
}

// statusAnswer is an outcome with what names and dates it.
type statusAnswer struct {
	outcome
	CustomID    string  `json:"custom_transaction_id"`
	Label       string  `json:"label"`
	CreatedAt   string  `json:"created_datetime"`
	ActivatedAt *string `json:"activated_datetime"` // null before it is credited
}

// status tells how a claim stands: GET /api/v1/transaction/status.
func (d *Door) status(c *call) (any, error) {
	f := new(fields)
	id := f.check("custom_transaction_id", c.query.Get("custom_transaction_id"))
	if err := f.err(); err != nil {
		return nil, err
	}
	claim, err := d.Store.FindClaimByKey(c.Context(), deposit.CustomKey{Merchant: c.merchant.ID, CustomID: id})
	if errors.Is(err, deposit.ErrNoClaim) {
		return failure{Status: "fail", Message: "This custom_transaction_id is not known: activate the payment first"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the claim: %w", err)
	}
	if claim.Overdue(d.Now()) {
		claim.State = deposit.Expired // it will be: the sweep has not come by yet
	}
	out, err := outcomeOf(claim)
	if err != nil {
		return nil, err
	}
	answer := statusAnswer{
		outcome: out, CustomID: claim.CustomID, Label: claim.Label,
		CreatedAt: datetime(c.merchant, claim.CreatedAt),
	}
	if claim.State == deposit.Credited {
		activated := datetime(c.merchant, claim.SettledAt)
		answer.ActivatedAt = &activated
	}
	return answer, nil
}

// datetime is how the protocol writes times: on the merchant's clock.
func datetime(m *directory.Merchant, t time.Time) string {
	return t.In(m.Location()).Format(time.DateTime)
}
