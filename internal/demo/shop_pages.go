package demo

import (
	"cmp"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/money"
)

// Product is something the sample shop sells.
type Product struct {
	ID, Name, Text string
	Price          money.Paise
	Drawing        template.HTML
}

var products = []Product{
	{
		ID: "chai", Name: "Masala chai, 250 g", Price: 499 * money.Rupee, Drawing: drawing("chai"),
		Text: "Assam leaf with cardamom, ginger and black pepper. Makes about a hundred cups.",
	},
	{
		ID: "kulhad", Name: "Kulhad cups, set of four", Price: 749*money.Rupee + 50, Drawing: drawing("kulhad"),
		Text: "Thrown by hand from river clay and fired once. They give chai its earthy taste.",
	},
}

func findProduct(id string) (Product, bool) {
	for _, p := range products {
		if p.ID == id {
			return p, true
		}
	}
	return Product{}, false
}

var shopPages = parsePages("shop.html", "products", "order", "pay", "error")

// Handler serves the shop's pages, and its postback address at /postback.
func (s *Shop) Handler() http.Handler {
	pages := shopDoor{Shop: s, site: site{pages: shopPages, log: s.config.Log}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", pages.products)
	mux.HandleFunc("POST /orders", pages.place)
	mux.HandleFunc("GET /orders/{id}", pages.order)
	mux.HandleFunc("GET /orders/{id}/pay", pages.pay)
	mux.HandleFunc("GET /orders/{id}/app", pages.app)
	mux.HandleFunc("POST /orders/{id}/refund", pages.refund)
	mux.HandleFunc("GET /return", pages.back)
	mux.HandleFunc("GET /embed.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, web, "web/embed.js")
	})
	mux.HandleFunc("POST /postback", pages.postback)
	if s.config.Others != nil {
		mux.Handle("/merchants/", s.config.Others)
	}
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		pages.fail(w, r, http.StatusNotFound, errNoPage)
	})
	return protect(mux)
}

var errNoPage = errors.New("there is no such page")

// shopDoor turns requests of browsers and of the gateway into calls of the
// shop.
type shopDoor struct {
	*Shop
	site
}

func (d shopDoor) products(w http.ResponseWriter, r *http.Request) {
	d.show(w, r, http.StatusOK, "products", view{Title: "Chai and cups", Data: struct {
		Products []Product
		Orders   []orderView
	}{products, d.views(d.OrdersOf(customerOf(r)))}})
}

// orderView is an order with its product, for a page.
type orderView struct {
	*Order
	Item    Product
	Step    int    // placed, checking, paid, being refunded, refunded
	Window  string // the link to the payment window
	Gateway string // its origin

	// Of an order that is paid.
	Balance  *client.Balance // of the shop; nil where it is not known
	Form     refundForm
	Outcomes []struct{ Ends, Text string }
	Operator string
}

func newOrderView(o *Order) orderView {
	item, _ := findProduct(o.Product) // one that is no longer sold is shown without its name
	v := orderView{Order: o, Item: item}
	switch o.State() {
	case Awaiting:
		v.Step = 1
	case Paid:
		v.Step = 3
	case Checking:
		v.Step = 2
	case Refunding:
		v.Step = 4
	case Refunded:
		v.Step = 5
	}
	return v
}

func (d shopDoor) views(orders []*Order) []orderView {
	list := make([]orderView, len(orders))
	for i, o := range orders {
		list[i] = newOrderView(o)
	}
	return list
}

const customerCookie = "customer"

var customerPattern = regexp.MustCompile(`^customer-[A-Z2-7]{12}$`)

// customerOf is who browses, as the cookie says; empty for somebody new.
func customerOf(r *http.Request) string {
	cookie, err := r.Cookie(customerCookie)
	if err != nil || !customerPattern.MatchString(cookie.Value) {
		return ""
	}
	return cookie.Value
}

func newCustomer() string { return "customer-" + randomID() }

func (d shopDoor) place(w http.ResponseWriter, r *http.Request) {
	customer := customerOf(r)
	if customer == "" {
		customer = newCustomer()
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: a Secure cookie would not come back
			Name: customerCookie, Value: customer, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	o, err := d.Place(customer, r.PostFormValue("product"))
	switch {
	case errors.Is(err, ErrNoProduct):
		d.fail(w, r, http.StatusBadRequest, err)
	case err != nil:
		d.fail(w, r, http.StatusInternalServerError, err)
	default:
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	}
}

func (d shopDoor) order(w http.ResponseWriter, r *http.Request) {
	o, err := d.Refresh(r.Context(), r.PathValue("id"))
	if o == nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	d.showOrder(w, r, http.StatusOK, o, blankRefund(o), err)
}

func (d shopDoor) showOrder(w http.ResponseWriter, r *http.Request, status int, o *Order, f refundForm, problem error) {
	data := newOrderView(o)
	data.Window, data.Gateway = d.paymentLink(o), d.config.Gateway
	if o.paid() {
		data.Form, data.Outcomes, data.Operator = f, outcomes, d.config.Operator
		balance, x, err := d.Balance(r.Context())
		o.note(x) // shown, and not kept: it is asked anew for every page
		if err == nil {
			data.Balance = &balance
		}
		problem = cmp.Or(problem, err)
	}
	v := view{Title: "Your order", Data: data}
	if problem != nil {
		v.Error = sentence(problem)
	}
	if s := o.State(); s == Checking || s == Refunding {
		v.Refresh = 2
	}
	d.show(w, r, status, "order", v)
}

// pay shows the payment window within a page of the shop.
func (d shopDoor) pay(w http.ResponseWriter, r *http.Request) {
	o, err := d.Order(r.PathValue("id"))
	if err != nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	if o.paid() {
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
		return
	}
	data := newOrderView(o)
	data.Window, data.Gateway = d.paymentLink(o), d.config.Gateway
	// Only this page frames the gateway and runs a script, a file of its own.
	w.Header().Set("Content-Security-Policy", policy+"; frame-src "+d.config.Gateway+"; script-src 'self'")
	d.show(w, r, http.StatusOK, "pay", view{Title: "Pay by UPI", Data: data})
}

// app opens the sandbox's UPI app with the order's payment filled in.
func (d shopDoor) app(w http.ResponseWriter, r *http.Request) {
	o, err := d.Create(r.Context(), r.PathValue("id"))
	switch {
	case o == nil:
		d.fail(w, r, http.StatusNotFound, err)
	case err != nil:
		d.fail(w, r, http.StatusBadGateway, err)
	default:
		http.Redirect(w, r, d.config.Bank+"/?link="+url.QueryEscape(o.UPILink), http.StatusSeeOther)
	}
}

// back is where the payment window leads to. Its word is shown by the order's
// page, which is paid only once the postback has come.
func (d shopDoor) back(w http.ResponseWriter, r *http.Request) {
	id, kind, err := VerifyReturn(d.config.Keys.PrivateKey, r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusForbidden, err)
		return
	}
	switch o, err := d.Return(id, kind); {
	case o == nil:
		d.fail(w, r, http.StatusNotFound, err)
	case err != nil:
		d.fail(w, r, http.StatusInternalServerError, err)
	default:
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	}
}

// What a postback is answered with (protocol, section 5).
const (
	postbackOK   = `{"status":"ok"}`
	postbackFail = `{"status":"fail"}`
)

// postback takes what the gateway announces. Whatever is not genuine is
// refused, and not taken down.
func (d shopDoor) postback(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, postbackOK
	if err := d.receive(r); err != nil {
		d.config.Log.WarnContext(r.Context(), "the shop refused a postback", "error", err)
		answer = postbackFail
		switch {
		case errors.Is(err, client.ErrPostback):
			status = http.StatusForbidden
		case errors.Is(err, ErrNoOrder):
			status = http.StatusNotFound
		default:
			status = http.StatusInternalServerError
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) // a gateway that went away asks again
}

func (d shopDoor) receive(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	p, err := d.proof.Verify(r.Header, body, d.config.Now())
	if err != nil {
		return err
	}
	_, err = d.Receive(p, string(body))
	return err
}
