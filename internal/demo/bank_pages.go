package demo

import (
	"errors"
	"net/http"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

var bankPages = parsePages("bank.html", "app", "receipt", "ledger", "error")

// Handler serves the bank's pages: the UPI app and the ledger.
func (b *Bank) Handler() http.Handler {
	pages := bankDoor{Bank: b, site: site{pages: bankPages, log: b.config.Log}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", pages.app)
	mux.HandleFunc("GET /pay", pages.app)
	mux.HandleFunc("POST /pay", pages.pay)
	mux.HandleFunc("GET /transfers/{utr}", pages.receipt)
	mux.HandleFunc("POST /transfers/{utr}/report", pages.report)
	mux.HandleFunc("GET /ledger", pages.ledger)
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		pages.fail(w, r, http.StatusNotFound, errNoPage)
	})
	return protect(mux)
}

// bankDoor turns requests of browsers into calls of the bank.
type bankDoor struct {
	*Bank
	site
}

// form is the UPI app's payment as it stands in its fields.
type form struct {
	Payee, PayeeName, Note, PayerVPA, PayerName, Amount string
	How                                                 How
	When                                                When
	Soon                                                int    // seconds
	Link                                                string // that was pasted, where it could not be read
}

func (d bankDoor) blank() form {
	return form{
		PayerName: "Asha Rao", PayerVPA: "asha@sandbox", How: Asked, When: AtOnce,
		Soon: int(d.config.Soon.Seconds()),
	}
}

// app opens the UPI app: empty to be filled in by hand, or filled in from a
// upi:// link, which is pasted whole or stands in the address.
func (d bankDoor) app(w http.ResponseWriter, r *http.Request) {
	f := d.blank()
	if r.URL.RawQuery == "" {
		d.showApp(w, r, http.StatusOK, f, nil)
		return
	}
	text := "upi://pay?" + r.URL.RawQuery
	if r.URL.Query().Has("link") {
		f.Link = strings.TrimSpace(r.URL.Query().Get("link"))
		text = f.Link
	}
	link, err := upi.ParseLink(text)
	if err != nil {
		d.showApp(w, r, http.StatusBadRequest, f, errLink)
		return
	}
	f.Payee, f.PayeeName, f.Note = string(link.PayeeVPA), link.PayeeName, link.Note
	if link.Amount > 0 {
		f.Amount = link.Amount.Fixed()
	}
	d.showApp(w, r, http.StatusOK, f, nil)
}

var errLink = errors.New("this is no payment link that a UPI app can open: copy it whole, or fill in the UPI ID and the amount")

func (d bankDoor) showApp(w http.ResponseWriter, r *http.Request, status int, f form, problem error) {
	v := view{Title: "Pay", Data: f}
	if problem != nil {
		v.Error = sentence(problem)
	}
	d.show(w, r, status, "app", v)
}

func (d bankDoor) pay(w http.ResponseWriter, r *http.Request) {
	f := d.blank()
	f.Payee, f.PayeeName, f.Note = r.PostFormValue("payee"), r.PostFormValue("payee_name"), r.PostFormValue("note")
	f.PayerVPA, f.PayerName = r.PostFormValue("payer_vpa"), r.PostFormValue("payer_name")
	f.Amount, f.How, f.When = r.PostFormValue("amount"), How(r.PostFormValue("how")), When(r.PostFormValue("when"))
	p, err := f.payment()
	var t *Transfer
	if err == nil {
		t, err = d.Pay(r.Context(), p)
	}
	if err != nil {
		d.showApp(w, r, http.StatusUnprocessableEntity, f, err)
		return
	}
	http.Redirect(w, r, "/transfers/"+string(t.UTR), http.StatusSeeOther)
}

// Errors of the form's fields.
var (
	errAmount   = errors.New("type the amount in rupees, such as 499 or 499.50")
	errPayeeVPA = errors.New("the payee's UPI ID looks like name@bank")
	errPayerVPA = errors.New("your UPI ID looks like name@bank")
	errNote     = errors.New("the note has 50 characters at most")
)

// payment reads the fields. The error is meant for whoever filled them in.
func (f form) payment() (Payment, error) {
	payee, err := upi.ParseVPA(f.Payee)
	if err != nil {
		return Payment{}, errPayeeVPA
	}
	payer, err := upi.ParseVPA(f.PayerVPA)
	if err != nil {
		return Payment{}, errPayerVPA
	}
	amount, err := money.ParsePositive(strings.TrimSpace(f.Amount))
	if err != nil {
		return Payment{}, errAmount
	}
	// The link's own rules for a note that a payer sees.
	if (upi.Link{PayeeVPA: payee, PayeeName: "-", Note: f.Note}).Validate() != nil {
		return Payment{}, errNote
	}
	return Payment{Payee: payee, Note: f.Note, PayerVPA: payer, PayerName: f.PayerName, Amount: amount, How: f.How, When: f.When}, nil
}

func (d bankDoor) receipt(w http.ResponseWriter, r *http.Request) {
	t, err := d.Transfer(upi.UTR(r.PathValue("utr")))
	if err != nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	v := view{Title: "Paid", Data: t}
	// One that a stop left behind is not awaited for ever.
	if t.When == Soon && len(t.Reports) == 0 && d.config.Now().Sub(t.At) < 2*d.config.Soon {
		v.Refresh = 2
	}
	d.show(w, r, http.StatusOK, "receipt", v)
}

func (d bankDoor) report(w http.ResponseWriter, r *http.Request) {
	_, err := d.Report(r.Context(), upi.UTR(r.PathValue("utr")))
	switch {
	case errors.Is(err, ErrNoTransfer):
		d.fail(w, r, http.StatusNotFound, err)
	case err != nil:
		d.fail(w, r, http.StatusInternalServerError, err)
	default:
		http.Redirect(w, r, "/ledger", http.StatusSeeOther)
	}
}

func (d bankDoor) ledger(w http.ResponseWriter, r *http.Request) {
	d.show(w, r, http.StatusOK, "ledger", view{Title: "Bank ledger", Data: d.Transfers()})
}
