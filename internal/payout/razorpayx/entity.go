package razorpayx

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// Shapes of ids.
var (
	contactID     = regexp.MustCompile(`^cont_[A-Za-z0-9]{1,40}$`)
	fundAccountID = regexp.MustCompile(`^fa_[A-Za-z0-9]{1,40}$`)
	payoutID      = regexp.MustCompile(`^pout_[A-Za-z0-9]{1,40}$`)
)

type contactRequest struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type contact struct {
	ID     string `json:"id"`
	Entity string `json:"entity"`
	Active bool   `json:"active"`
}

type bankAccount struct {
	Name          string            `json:"name"`
	IFSC          upi.IFSC          `json:"ifsc"`
	AccountNumber upi.AccountNumber `json:"account_number"`
}

type fundAccountRequest struct {
	Contact     string      `json:"contact_id"`
	AccountType string      `json:"account_type"`
	BankAccount bankAccount `json:"bank_account"`
}

type fundAccountEntity struct {
	ID          string      `json:"id"`
	Entity      string      `json:"entity"`
	Contact     string      `json:"contact_id"`
	AccountType string      `json:"account_type"`
	Active      bool        `json:"active"`
	BankAccount bankAccount `json:"bank_account"`
}

// Lengths of names (docs/api/x/contacts/create, docs/api/x/fund-accounts/create).
const (
	minName        = 3
	maxContactName = 50
	maxAccountName = 120
)

var notInNames = regexp.MustCompile(`[^A-Za-z0-9 '_/().\-]+`)

// name is the name as RazorpayX takes it: unknown characters become spaces, and
// it ends in a letter, a digit or a full stop. Transfers by IMPS go by account
// number and IFSC, not by name.
func name(s string, most int) string {
	s = strings.Join(strings.Fields(notInNames.ReplaceAllString(strings.ReplaceAll(s, "’", "'"), " ")), " ")
	return strings.TrimRight(s[:min(len(s), most)], " '_/()-")
}

// fundAccount makes sure of the order's contact and fund account, and is the id
// of the latter. RazorpayX gives back one that is there with the same details,
// so that every try pays to the same.
func (p *Provider) fundAccount(ctx context.Context, order payout.Order) (string, error) {
	var c contact
	if err := p.do(ctx, call{
		name: "contact", method: http.MethodPost, path: "/v1/contacts", beneficiary: order.Beneficiary,
		body: contactRequest{Name: name(order.Name, maxContactName), Type: "customer"},
	}, &c); err != nil {
		return "", err
	}
	switch {
	case c.Entity != "contact" || !contactID.MatchString(c.ID):
		return "", errors.New("razorpayx: contact: the answer is not a contact")
	case !c.Active:
		return "", errors.New("razorpayx: contact: the contact " + c.ID + " is inactive: activate it in the dashboard")
	}
	want := bankAccount{Name: name(order.Name, maxAccountName), IFSC: order.IFSC, AccountNumber: order.Account}
	var f fundAccountEntity
	if err := p.do(ctx, call{
		name: "fund account", method: http.MethodPost, path: "/v1/fund_accounts", beneficiary: order.Beneficiary,
		body: fundAccountRequest{Contact: c.ID, AccountType: "bank_account", BankAccount: want},
	}, &f); err != nil {
		return "", err
	}
	switch {
	case f.Entity != "fund_account" || !fundAccountID.MatchString(f.ID):
		return "", errors.New("razorpayx: fund account: the answer is not a fund account")
	case f.Contact != c.ID || f.AccountType != "bank_account" || f.BankAccount.AccountNumber != order.Account || f.BankAccount.IFSC != order.IFSC:
		return "", errors.New("razorpayx: fund account: the answer is another account than the beneficiary's")
	case !f.Active:
		return "", errors.New("razorpayx: fund account: the fund account " + f.ID + " is inactive: activate it in the dashboard")
	}
	return f.ID, nil
}

type payoutRequest struct {
	Account     string `json:"account_number"`
	FundAccount string `json:"fund_account_id"`
	Amount      int64  `json:"amount"` // paise
	Currency    string `json:"currency"`
	Mode        string `json:"mode"`
	Purpose     string `json:"purpose"`
	QueueIfLow  bool   `json:"queue_if_low_balance"`
	ReferenceID string `json:"reference_id"`
	Narration   string `json:"narration"`
}

// pay makes the payout. Header and body are the same at every try.
func (p *Provider) pay(ctx context.Context, order payout.Order, fundAccount string) (payoutEntity, error) {
	narration := strings.TrimSpace(order.Reference + " " + p.c.Label)
	var e payoutEntity
	err := p.do(ctx, call{
		name: "payout", method: http.MethodPost, path: "/v1/payouts", beneficiary: order.Beneficiary,
		// 4 to 36 letters, digits, hyphens, underscores and spaces.
		key: "milaan-" + order.Reference,
		body: payoutRequest{
			Account: p.c.Account, FundAccount: fundAccount,
			Amount: int64(order.Amount), Currency: string(order.Currency),
			Mode: "IMPS", Purpose: p.c.Purpose,
			ReferenceID: order.Reference,
			Narration:   strings.TrimSpace(narration[:min(len(narration), maxNarration)]),
		},
	}, &e)
	if err == nil && !e.sound() {
		err = errors.New("razorpayx: payout: the answer is not a payout")
	}
	return e, err
}

func (p *Provider) payoutByID(ctx context.Context, id string) (payoutEntity, error) {
	var e payoutEntity
	err := p.do(ctx, call{name: "payout by id", method: http.MethodGet, path: "/v1/payouts/" + id}, &e)
	if err == nil && (!e.sound() || e.ID != id) {
		err = errors.New("razorpayx: payout by id: the answer is not that payout")
	}
	return e, err
}

// payoutsByReference are the payouts of the account that RazorpayX gives for a
// reference.
func (p *Provider) payoutsByReference(ctx context.Context, reference string) ([]payoutEntity, error) {
	var list struct {
		Entity string         `json:"entity"`
		Count  int            `json:"count"`
		Items  []payoutEntity `json:"items"`
	}
	err := p.do(ctx, call{
		name: "payouts by reference", method: http.MethodGet, path: "/v1/payouts",
		query: url.Values{"account_number": {p.c.Account}, "reference_id": {reference}},
	}, &list)
	switch {
	case err != nil:
		return nil, err
	case list.Entity != "collection" || list.Items == nil || list.Count != len(list.Items):
		return nil, errors.New("razorpayx: payouts by reference: the answer is not a list of payouts")
	}
	for _, e := range list.Items {
		if !e.sound() {
			return nil, errors.New("razorpayx: payouts by reference: the answer is not a list of payouts")
		}
	}
	return list.Items, nil
}

// payoutEntity is a payout (docs/api/x/payouts/entity). Fields that are not
// needed may have any shape.
type payoutEntity struct {
	ID            string         `json:"id"`
	Entity        string         `json:"entity"`
	FundAccount   string         `json:"fund_account_id"`
	Amount        int64          `json:"amount"` // paise
	Currency      string         `json:"currency"`
	Status        string         `json:"status"`
	UTR           string         `json:"utr"`
	ReferenceID   string         `json:"reference_id"`
	CreatedAt     int64          `json:"created_at"` // unix
	StatusDetails jsontext.Value `json:"status_details"`
}

// sound says that it has what every payout has.
func (e *payoutEntity) sound() bool {
	return e.Entity == "payout" && payoutID.MatchString(e.ID) && e.Status != ""
}

// maxSkew is how far RazorpayX's clock may lie behind this machine's.
const maxSkew = 15 * time.Minute

// foreign says in what a payout differs from the order it should be of; "" if
// in nothing.
func (e *payoutEntity) foreign(order payout.Order) string {
	switch {
	case e.ReferenceID != order.Reference:
		return "has another reference"
	case money.Paise(e.Amount) != order.Amount || e.Currency != string(order.Currency):
		return "is of another amount"
	case e.CreatedAt > 0 && time.Unix(e.CreatedAt, 0).Before(order.At.Add(-maxSkew)):
		return "is older than the order"
	}
	return ""
}

// standings of the statuses (docs/x/payouts/states-life-cycle). Processed may
// still become reversed, days later.
var standings = map[string]payout.Standing{
	"pending":    payout.Accepted, // waits for an approval in the dashboard
	"queued":     payout.Accepted, // waits for money, or for a bank that is down
	"scheduled":  payout.Accepted,
	"processing": payout.Accepted,
	"processed":  payout.Paid,
	"reversed":   payout.Refused,
	"rejected":   payout.Refused,
	"cancelled":  payout.Refused,
	"failed":     payout.Refused,
}

// processedReason is the reason status_details gives for a processed payout.
const processedReason = "payout_processed"

func (e *payoutEntity) answer() payout.Answer {
	var details struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(e.StatusDetails, &details) // null, or an empty list: no reason
	reason := tokenOf(details.Reason)

	a := payout.Answer{Standing: standings[e.Status], ProviderRef: e.ID, Why: tokenOf(e.Status)}
	if reason != "" {
		a.Why += ": " + reason
	}
	utr, err := upi.ParseUTR(e.UTR)
	switch {
	case a.Standing == "":
		return payout.Answer{Standing: payout.Unclear, ProviderRef: e.ID, Why: "a status that is not documented"}
	case a.Standing == payout.Refused && e.Status != "reversed" && reason == processedReason:
		return payout.Answer{Standing: payout.Unclear, ProviderRef: e.ID, Why: "the status " + e.Status + " contradicts the reason " + reason}
	case err == nil:
		a.BankRef = string(utr)
	}
	if a.Standing == payout.Paid {
		a.Why = ""
	}
	return a
}
