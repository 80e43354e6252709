package demo

import (
	"errors"
	"html/template"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
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
	mux.HandleFunc("POST /orders/{id}/method", pages.choose)
	mux.HandleFunc("POST /orders/{id}/utr", pages.claim)
	mux.HandleFunc("POST /postback", pages.postback)
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
	Step    int // of three: placed, checking, paid
	App     string
	QR      template.HTML
	Methods []method
	Typed   string // the UTR as it was typed
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
	o, err := d.Place(r.Context(), customer, r.PostFormValue("product"))
	switch {
	case errors.Is(err, ErrNoProduct):
		d.fail(w, r, http.StatusBadRequest, err)
	case err != nil:
		d.fail(w, r, http.StatusBadGateway, err)
	default:
		http.Redirect(w, r, "/orders/"+o.ID+"/pay", http.StatusSeeOther)
	}
}

func (d shopDoor) order(w http.ResponseWriter, r *http.Request) {
	o, err := d.Refresh(r.Context(), r.PathValue("id"))
	if o == nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	v := view{Title: "Your order", Data: newOrderView(o)}
	if err != nil {
		v.Error = sentence(err)
	}
	if o.State() == Checking {
		v.Refresh = 2
	}
	d.show(w, r, http.StatusOK, "order", v)
}

func (d shopDoor) pay(w http.ResponseWriter, r *http.Request) {
	o, err := d.Order(r.PathValue("id"))
	if err != nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	d.showPay(w, r, http.StatusOK, o, nil, "")
}

// showPay shows where to pay to, and the field for the UTR.
func (d shopDoor) showPay(w http.ResponseWriter, r *http.Request, status int, o *Order, problem error, typed string) {
	if o.State() == Paid {
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther) //nolint:gosec // the order's own id, and a path of this site
		return
	}
	svg, err := upi.QRSVG(o.UPILink, upi.QROptions{Label: "UPI payment of " + money.Format(o.Total, money.English) + " to " + o.Name})
	if err != nil {
		d.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	data := newOrderView(o)
	data.QR, data.Typed = template.HTML(svg), typed //nolint:gosec // drawn by upi, which escapes the label
	_, query, _ := strings.Cut(o.UPILink, "?")
	data.App = d.config.Bank + "/pay?" + query
	// Without the list of methods the page still takes the payment.
	if methods, err := d.gateway.available(r.Context()); err == nil {
		data.Methods = methods
	}
	v := view{Title: "Pay by UPI", Data: data}
	if problem != nil {
		v.Error = sentence(problem)
	}
	d.show(w, r, status, "pay", v)
}

func (d shopDoor) choose(w http.ResponseWriter, r *http.Request) {
	o, err := d.ChooseMethod(r.Context(), r.PathValue("id"), r.PostFormValue("wallet_type"))
	switch {
	case o == nil:
		d.fail(w, r, http.StatusNotFound, err)
	case err != nil:
		d.showPay(w, r, http.StatusUnprocessableEntity, o, err, "")
	default:
		http.Redirect(w, r, "/orders/"+o.ID+"/pay", http.StatusSeeOther)
	}
}

func (d shopDoor) claim(w http.ResponseWriter, r *http.Request) {
	o, err := d.Order(r.PathValue("id"))
	if err != nil {
		d.fail(w, r, http.StatusNotFound, err)
		return
	}
	typed := r.PostFormValue("utr")
	// People copy it in groups, as apps show it.
	utr, err := upi.ParseRRN(strings.Join(strings.Fields(typed), ""))
	if err != nil {
		d.showPay(w, r, http.StatusUnprocessableEntity, o, errTypeUTR, typed)
		return
	}
	o, err = d.Claim(r.Context(), o.ID, utr)
	switch {
	case err != nil:
		d.showPay(w, r, http.StatusUnprocessableEntity, o, err, typed)
	case o.State() == Awaiting && o.Last().Status == statusFail:
		d.showPay(w, r, http.StatusOK, o, errors.New(o.Last().Message), typed)
	default:
		http.Redirect(w, r, "/orders/"+o.ID, http.StatusSeeOther)
	}
}

var errTypeUTR = errors.New("type the 12 digits that your UPI app shows as UTR")

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
		case errors.Is(err, ErrPostback):
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
	p, err := VerifyPostback(r.Header, body, d.config.Keys)
	if err != nil {
		return err
	}
	_, err = d.Receive(p, string(body))
	return err
}
