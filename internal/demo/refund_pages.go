package demo

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// refundForm is a refund as it stands in its fields.
type refundForm struct {
	Account    string // without its last two digits
	Ends       string // these two
	IFSC, Name string
	Much       bool // more than the shop has
	Typed      bool // by somebody
}

// blankRefund is a form that is filled in with what the sandbox takes.
func blankRefund(o *Order) refundForm {
	return refundForm{Account: sandboxAccount(o.nextRefund()), Ends: outcomes[0].Ends, IFSC: "HDFC0000001", Name: "Asha Rao"}
}

// outcomes are what the sandbox bank does by an account's last two digits
// (package sandbox), as far as the shop offers them.
var outcomes = []struct{ Ends, Text string }{
	{"01", "the bank pays at once"},
	{"03", "the bank pays late: after some 20 s"},
	{"02", "the bank refuses it"},
}

// Errors of the form's fields.
var (
	errAccount  = errors.New("the account number has 9 to 18 digits")
	errOutcome  = errors.New("choose what the bank does")
	errIFSC     = errors.New("the IFSC looks like HDFC0000001")
	errHolder   = errors.New("the name has 1 to 30 letters and spaces, as the protocol asks for")
	holderShape = regexp.MustCompile(`^[a-zA-Z ]{1,30}$`)
)

// payee reads the fields. The error is meant for whoever filled them in.
func (f refundForm) payee() (p Payee, err error) {
	known := false
	for _, o := range outcomes {
		known = known || o.Ends == f.Ends
	}
	if !known {
		return p, errOutcome
	}
	if p.Account, err = upi.ParseAccountNumber(strings.TrimSpace(f.Account) + f.Ends); err != nil {
		return p, errAccount
	}
	if p.IFSC, err = upi.ParseIFSC(f.IFSC); err != nil {
		return p, errIFSC
	}
	if p.Name = strings.TrimSpace(f.Name); !holderShape.MatchString(p.Name) {
		return p, errHolder
	}
	return p, nil
}

// refund sends an order's money back. What the gateway says to it stands on the
// order's page.
func (d shopDoor) refund(w http.ResponseWriter, r *http.Request) {
	f := refundForm{
		Account: r.PostFormValue("account"), Ends: r.PostFormValue("ends"), IFSC: r.PostFormValue("ifsc"),
		Name: r.PostFormValue("name"), Much: r.PostFormValue("amount") == "much", Typed: true,
	}
	o, err := d.refundBy(r.Context(), r.PathValue("id"), f)
	switch {
	case o == nil:
		d.fail(w, r, http.StatusNotFound, err)
	case err != nil:
		d.showOrder(w, r, http.StatusUnprocessableEntity, o, f, err)
	default:
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	}
}

func (d shopDoor) refundBy(ctx context.Context, id string, f refundForm) (*Order, error) {
	o, err := d.Order(id)
	if err != nil {
		return nil, err
	}
	// One that is under way is what it was asked for as, whatever the fields are.
	if r := o.Refund(); r != nil && !r.Over() {
		return d.Refund(ctx, id, r.To, r.Amount)
	}
	to, err := f.payee()
	if err != nil {
		return o, err
	}
	amount := o.Total
	if f.Much {
		balance, _, err := d.Balance(ctx)
		if err != nil {
			return o, err
		}
		amount = balance.Available + money.Rupee
	}
	return d.Refund(ctx, id, to, amount)
}
