package window

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// typed is what a payer sent with a form, to be shown again with what is wrong
// with it.
type typed struct{ text, problem string }

// look shows where the payment stands: GET /pay/{token}.
func (d *Door) look(v *visit) error { return d.show(v, typed{}) }

// show shows where the payment stands. Before there is a claim that is the
// first step that lacks something; ?step= goes back to an earlier one.
func (d *Door) show(v *visit, in typed) error {
	p := v.page(in)
	if v.claim != nil {
		if err := d.outcome(v, p); err != nil {
			return err
		}
	} else if err := d.step(v, p); err != nil {
		return err
	}
	return d.paper.write(v.w, v.Request, p)
}

// page is a page of the payment with what all of them have.
func (v *visit) page(in typed) *page {
	p := &page{
		words: v.words, Merchant: v.merchant.Name, Origins: strings.Join(v.merchant.FrameAncestors, " "), Look: v.merchant.Look,
		Here: v.here(), ID: v.payment.CustomID, Problem: in.problem, Typed: in.text,
		CanChooseMethod: !v.payment.MethodFixed, CanChooseAmount: !v.payment.AmountFixed,
	}
	if in.problem != "" {
		p.status = http.StatusUnprocessableEntity
	}
	return p
}

// step fills the page of the step that comes next.
func (d *Door) step(v *visit, p *page) error {
	methods, err := d.methods(v)
	if err != nil {
		return err
	}
	p.CanChooseMethod = p.CanChooseMethod && (len(methods) > 1 || len(methods) == 1 && methods[0].Type != v.payment.Method)
	wants := v.FormValue("step")
	if v.payment.Method == "" && len(methods) == 1 {
		v.payment.Method = methods[0].Type
		if err := d.Store.SavePayment(v.Context(), v.payment); err != nil {
			return err
		}
		p.CanChooseMethod = false
	}
	if v.payment.Method == "" || wants == "method" && p.CanChooseMethod {
		p.Step, p.State, p.Title = "method", "method", p.T("method.title")
		if v.payment.Amount > 0 {
			p.Amount = v.words.Money(v.payment.Amount)
		}
		for _, m := range methods {
			p.Methods = append(p.Methods, methodChoice{m.Type, m.Label(v.words.Tag())})
		}
		return nil
	}
	method := v.dir.Method(v.payment.Method)
	if !v.merchant.MethodOn(method) {
		p.problem(v, "problem.off", p.T("problem.off.text", "merchant", p.Merchant))
		return nil
	}
	if v.payment.Amount == 0 || wants == "amount" && p.CanChooseAmount {
		p.Step, p.State, p.Title = "amount", "amount", p.T("amount.title")
		p.Bounds = v.bounds(method)
		if p.Typed == "" && v.payment.Amount > 0 {
			p.Typed = v.payment.Amount.String()
		}
		return nil
	}
	return d.pay(v, p, method)
}

// problem fills a page that says why the payer can't go on.
func (p *page) problem(v *visit, key, text string) {
	p.Step, p.State, p.Title, p.Text = "problem", "pay", p.T(key), text
	if v.payment.Amount > 0 {
		p.Amount = v.words.Money(v.payment.Amount)
	}
}

// methods are those the payer can pay by now.
func (d *Door) methods(v *visit) ([]*directory.Method, error) {
	if v.payment.MethodFixed {
		return nil, nil
	}
	used, err := d.Store.WalletUse(v.Context(), deposit.DayOf(v.now))
	if err != nil {
		return nil, err
	}
	amount := money.Paise(0)
	if v.payment.AmountFixed {
		amount = v.payment.Amount
	}
	var open []*directory.Method
	for _, m := range v.dir.Methods {
		if !v.merchant.MethodOn(m) || amount > 0 && outOfBounds(m, amount) != "" {
			continue
		}
		for _, w := range v.dir.WalletsFor(v.merchant.ID, m.Type) {
			if deposit.CanTake(w, amount, used[w.ID]) {
				open = append(open, m)
				break
			}
		}
	}
	return open, nil
}

// outOfBounds says whether a method takes no such amount: "small", "large" or
// "".
func outOfBounds(m *directory.Method, amount money.Paise) string {
	switch {
	case amount < m.Min:
		return "small"
	case m.Max > 0 && amount > m.Max:
		return "large"
	default:
		return ""
	}
}

// bounds are the least and the most of a method, in words.
func (v *visit) bounds(m *directory.Method) string {
	least, most := v.words.Money(m.Min), v.words.Money(m.Max)
	switch {
	case m.Min > 0 && m.Max > 0:
		return v.words.Text("amount.bounds", "min", least, "max", most)
	case m.Min > 0:
		return v.words.Text("amount.least", "min", least)
	case m.Max > 0:
		return v.words.Text("amount.most", "max", most)
	default:
		return ""
	}
}

// pay fills the page that says where to pay, with a wallet that is the payer's
// for a while.
func (d *Door) pay(v *visit, p *page, method *directory.Method) error {
	pay := v.payment
	if which := outOfBounds(method, pay.Amount); which != "" {
		p.problem(v, "problem.bounds", p.T("problem."+which+".text", "min", v.words.Money(method.Min), "max", v.words.Money(method.Max)))
		return nil
	}
	wallet := v.dir.Wallet(pay.Wallet)
	if wallet == nil || !wallet.Open() || wallet.Method != pay.Method || !wallet.Serves(pay.Merchant) || !pay.ShownUntil.After(v.now) {
		shown, err := d.Desk.Assign(v.Context(), deposit.AssignmentRequest{
			Merchant: pay.Merchant, Method: pay.Method, Label: pay.Label, Currency: pay.Currency, Amount: pay.Amount,
		})
		var refusal *deposit.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Code == deposit.NoHeadroom:
			p.problem(v, "problem.busy", p.T("problem.busy.text"))
			return nil
		case errors.As(err, &refusal): // the directory moved on since the visit began
			p.problem(v, "problem.off", p.T("problem.off.text", "merchant", p.Merchant))
			return nil
		case err != nil:
			return err
		}
		pay.Wallet, pay.ShownUntil = shown.Wallet, shown.ExpiresAt
		if err := d.Store.SavePayment(v.Context(), pay); err != nil {
			return err
		}
		if wallet = d.Directory.Current().Wallet(shown.Wallet); wallet == nil {
			return fmt.Errorf("show wallet %s: it is not in the directory", shown.Wallet)
		}
	}
	p.Step, p.State = "pay", "pay"
	p.Amount = v.words.Money(pay.Amount)
	p.Title = p.T("pay.title", "amount", p.Amount)
	p.VPA, p.Payee = string(wallet.VPA), wallet.Name
	left := max(pay.ShownUntil.Sub(v.now), 0)
	p.SecondsLeft = int(left / time.Second)
	p.MinutesLeft = p.T("pay.minutes", "minutes", strconv.Itoa(minutes(left)))
	address := upi.Link{PayeeVPA: wallet.VPA, PayeeName: wallet.Name, Amount: pay.Amount, Currency: wallet.Currency}
	if !method.IgnoreReference {
		// The credit may find the payment before the payer has typed anything.
		p.Live, p.Note, address.Note = true, pay.Reference, pay.Reference
		// tr makes apps take the payment for one to a shop, which a personal
		// address is not (NPCI, OC-76A).
		if wallet.MerchantVPA {
			address.Ref = pay.Reference
		}
	}
	qr, err := upi.QRSVG(address.String(), upi.QROptions{Label: p.T("pay.qr", "amount", p.Amount, "name", wallet.Name)})
	if err != nil {
		return err
	}
	p.QR = template.HTML(qr) //nolint:gosec // drawn by upi, which escapes the label
	p.Gallery = !wallet.MerchantVPA
	p.Apps, err = appsFor(wallet, address)
	return err
}

// chooseMethod takes the payer's choice: POST /pay/{token}/method.
func (d *Door) chooseMethod(v *visit) error {
	if v.claim != nil || v.payment.MethodFixed {
		return v.toPayment()
	}
	if err := d.spend(v, d.posts, v.payment.Label); err != nil {
		return err
	}
	methods, err := d.methods(v)
	if err != nil {
		return err
	}
	for _, m := range methods {
		if m.Type != v.PostFormValue("wallet_type") {
			continue
		}
		if m.Type == v.payment.Method {
			return v.toPayment()
		}
		v.payment.Method, v.payment.Wallet, v.payment.ShownUntil = m.Type, "", time.Time{}
		if !v.payment.AmountFixed && outOfBounds(m, v.payment.Amount) != "" {
			v.payment.Amount = 0
		}
		if err := d.Store.SavePayment(v.Context(), v.payment); err != nil {
			return err
		}
		return v.toPayment()
	}
	if v.payment.Method == "" {
		return d.show(v, typed{problem: v.words.Text("error.method")})
	}
	return v.toPayment()
}

// sayAmount takes the amount the payer wants to pay: POST /pay/{token}/amount.
func (d *Door) sayAmount(v *visit) error {
	if v.claim != nil || v.payment.AmountFixed || v.payment.Method == "" {
		return v.toPayment()
	}
	if err := d.spend(v, d.posts, v.payment.Label); err != nil {
		return err
	}
	method := v.dir.Method(v.payment.Method)
	if !v.merchant.MethodOn(method) {
		return v.toPayment()
	}
	text := v.PostFormValue("amount")
	amount, problem := readAmount(text)
	if problem == "" {
		if which := outOfBounds(method, amount); which != "" {
			problem = "amount.error." + which
		}
	}
	if problem != "" {
		v.payment.Amount = 0 // for this page: it asks again
		return d.show(v, typed{clip(text), v.words.Text(problem, "min", v.words.Money(method.Min), "max", v.words.Money(method.Max))})
	}
	if amount != v.payment.Amount {
		// Another amount may be more than the wallet takes.
		v.payment.Amount, v.payment.Wallet, v.payment.ShownUntil = amount, "", time.Time{}
		if err := d.Store.SavePayment(v.Context(), v.payment); err != nil {
			return err
		}
	}
	return v.toPayment()
}

// readAmount reads rupees as people type them. When they are none it returns
// the key of the text that says why.
func readAmount(text string) (amount money.Paise, problem string) {
	text = strings.TrimSpace(strings.NewReplacer("₹", "", "\u00a0", "", " ", "", "/-", "").Replace(latinDigits(text)))
	if len(text) > maxAmount {
		return 0, "amount.error.form"
	}
	amount, err := money.ParsePositive(text)
	switch {
	case errors.Is(err, money.ErrPrecision):
		return 0, "amount.error.decimals"
	case err != nil || amount > deposit.MaxAmount:
		return 0, "amount.error.form"
	default:
		return amount, ""
	}
}

// clip bounds what is shown again of what was typed.
func clip(text string) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), maxText)])
}

// giveUTR takes the UTR, and a corrected one: POST /pay/{token}/utr.
func (d *Door) giveUTR(v *visit) error {
	if err := d.spend(v, d.posts, v.payment.Label); err != nil {
		return err
	}
	text := v.PostFormValue("utr")
	utr, problem := findUTR(text)
	if problem != "" {
		return d.show(v, typed{clip(text), v.words.Text(problem)})
	}
	a := deposit.Activation{
		Merchant: v.payment.Merchant, CustomID: v.payment.CustomID, Method: v.payment.Method, Label: v.payment.Label,
		UTR: utr, Amount: v.payment.Amount, Currency: v.payment.Currency, Addr: d.ClientAddr(v.Request), Via: "window",
	}
	if v.claim != nil {
		return d.amend(v, a)
	}
	if a.Method == "" || a.Amount == 0 {
		return v.toPayment()
	}
	_, err := d.Desk.Activate(v.Context(), a)
	var refusal *deposit.Refusal
	// A custom id that was used a moment ago was so by another device: the page
	// shows its claim. A method that was switched off says so there, too.
	if err != nil && !errors.As(err, &refusal) {
		return err
	}
	return v.toPayment()
}

// amend corrects the UTR of the claim.
func (d *Door) amend(v *visit, a deposit.Activation) error {
	if a.UTR == v.claim.UTR {
		return v.toPayment()
	}
	if !amendable(v.claim) {
		return d.show(v, typed{problem: v.words.Text("utr.error.settled")})
	}
	allowed, err := d.countAmend(v)
	if err != nil {
		return err
	}
	if !allowed {
		return d.show(v, typed{problem: v.words.Text("utr.error.spent", "merchant", v.merchant.Name)})
	}
	a.Method, a.Amount = v.claim.Method, v.claim.Amount
	_, err = d.Desk.Amend(v.Context(), a)
	var refusal *deposit.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Code == deposit.NotAmendable:
		return v.toPayment() // it was settled meanwhile
	case errors.As(err, &refusal):
		return d.show(v, typed{string(a.UTR), v.words.Text("problem.off.text", "merchant", v.merchant.Name)})
	case err != nil:
		return err
	}
	return v.toPayment()
}

// countAmend counts an amendment before it is made, one at a time, so that no
// burst of them passes the bound.
func (d *Door) countAmend(v *visit) (allowed bool, err error) {
	d.amending.Lock()
	defer d.amending.Unlock()
	if v.payment, err = d.Store.FindPayment(v.Context(), v.payment.Token); err != nil {
		return false, err
	}
	if v.payment.Amends >= mostAmends {
		return false, nil
	}
	v.payment.Amends++
	return true, d.Store.SavePayment(v.Context(), v.payment)
}
