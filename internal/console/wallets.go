package console

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/milaan/milaan/internal/apply"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// walletList is what the page of wallets and methods shows.
type walletList struct {
	Methods []methodRow
	Filter  filter
	Rows    []walletRow
	Next    string
	MayRun  bool
}

type methodRow struct {
	*directory.Method
	Label  string
	Status status
}

type walletRow struct {
	*directory.Wallet
	lookup.WalletBook
	Status status
	Feeds  []feedState
	Used   money.Paise // received today
	Full   bool        // nothing more is asked for today
}

// Percent is how much of the day's limit is used.
func (w walletRow) Percent() int64 {
	if w.DailyLimit <= 0 {
		return 0
	}
	return min(int64(max(w.Used, 0))*100/int64(w.DailyLimit), 100)
}

type feedState struct {
	*directory.Feed
	Status status
}

// wallets shows the ways to pay, and the accounts that are paid to.
func (d *Door) wallets(v *visit) error {
	dir := d.Directory.Current()
	search, method := v.FormValue("search"), v.FormValue("method")
	body := walletList{MayRun: v.May(staff.RunWorks)}
	choices := []string{"", v.T("works.all")}
	methods := slices.SortedFunc(slices.Values(dir.Methods), func(a, b *directory.Method) int { return cmp.Compare(a.Order, b.Order) })
	for _, m := range methods {
		if m.Retired {
			continue
		}
		body.Methods = append(body.Methods, methodRow{m, m.Label(v.Lang()), v.onOff(m.Enabled)})
		choices = append(choices, m.Type, m.Label(v.Lang())+" · "+m.Type)
	}
	body.Filter = filter{Fields: []field{
		{Name: "search", Label: v.T("wallets.search"), Type: "search", Value: search},
		{Name: "method", Label: v.T("wallets.method"), Type: "select", Options: options(method, choices...)},
	}}
	if search != "" || method != "" {
		body.Filter.Clear = address("/wallets")
	}
	var found []*directory.Wallet
	for _, w := range dir.Wallets {
		said := strings.ToLower(w.ID + "\n" + string(w.VPA) + "\n" + w.Name + "\n" + strings.Join(w.Merchants, "\n"))
		if !w.Retired && w.ID > v.FormValue("after") && (method == "" || w.Method == method) && strings.Contains(said, strings.ToLower(search)) {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *directory.Wallet) int { return cmp.Compare(a.ID, b.ID) })
	found, body.Next = cut(v, found, func(w *directory.Wallet) string { return w.ID })
	var err error
	body.Rows, err = d.walletRows(v, found)
	if err != nil {
		return err
	}
	return v.show(page{Name: "wallets", Wide: true, Body: body})
}

// walletRows adds what the books have on wallets, and how their feeds are.
func (d *Door) walletRows(v *visit, wallets []*directory.Wallet) ([]walletRow, error) {
	ids := make([]string, len(wallets))
	for i, w := range wallets {
		ids[i] = w.ID
	}
	books, err := d.Works.Store.WalletBooks(v.Context(), ids)
	if err != nil {
		return nil, err
	}
	used, err := d.Works.Store.WalletUse(v.Context(), deposit.DayOf(v.now))
	if err != nil {
		return nil, err
	}
	states, err := d.health(v)
	if err != nil {
		return nil, err
	}
	dir := d.Directory.Current()
	rows := make([]walletRow, len(wallets))
	for i, w := range wallets {
		row := walletRow{Wallet: w, WalletBook: books[w.ID], Used: used[w.ID], Status: v.onOff(w.Enabled)}
		if row.Full = w.Open() && !deposit.CanTake(w, 0, row.Used); row.Full {
			row.Status = status{v.T("wallets.full"), toneWait}
		}
		if w.Retired {
			row.Status = status{v.T("works.retired"), toneSoft}
		}
		for _, f := range dir.Feeds {
			if f.Wallet == w.ID && !f.Retired {
				row.Feeds = append(row.Feeds, feedState{f, v.feedStatus(states[f.ID])})
			}
		}
		rows[i] = row
	}
	return rows, nil
}

// ofWallet finds the wallet that the address names.
func (d *Door) ofWallet(next func(*visit, *directory.Wallet) error) func(*visit) error {
	return func(v *visit) error {
		w := d.Directory.Current().Wallet(v.PathValue("wallet"))
		if w == nil {
			return errNotFound
		}
		return next(v, w)
	}
}

// walletSheet is what the page of a wallet shows.
type walletSheet struct {
	form
	Wallet walletRow
	QR     template.HTML
	Link   string // what the QR code says
	Kept   []feed.Statement
	MayRun bool
}

// mostKept is how many of a wallet's statements its page shows.
const mostKept = 5

func (d *Door) walletPage(v *visit, w *directory.Wallet) error {
	return d.showWallet(v, http.StatusOK, w, "", w.DailyLimit.Fixed(), w.PerPaymentMax.Fixed())
}

func (d *Door) showWallet(v *visit, code int, w *directory.Wallet, problem, daily, single string) error {
	rows, err := d.walletRows(v, []*directory.Wallet{w})
	if err != nil {
		return err
	}
	body := walletSheet{Wallet: rows[0], MayRun: v.May(staff.RunWorks), form: form{Problem: problem, Fields: []field{
		{Name: "daily_limit", Label: v.T("wallets.daily"), Value: daily, Hint: v.T("works.rupees"), Wrong: problem != ""},
		{Name: "per_payment_max", Label: v.T("wallets.single"), Value: single, Hint: v.T("works.rupees"), Wrong: problem != ""},
	}}}
	if body.Kept, err = d.Works.Store.NewestStatements(v.Context(), w.ID, 0, mostKept); err != nil {
		return err
	}
	link := upi.Link{PayeeVPA: w.VPA, PayeeName: w.Name, Amount: money.Rupee, Note: "milaan test"}
	if err := link.Validate(); err == nil { // a name may be one that apps refuse
		svg, err := upi.QRSVG(link.String(), upi.QROptions{Label: v.T("wallets.qr", "vpa", string(w.VPA))})
		if err != nil {
			return err
		}
		body.QR, body.Link = template.HTML(svg), link.String() //nolint:gosec // drawn by upi, which escapes the label
	}
	return v.show(page{Status: code, Name: "wallet", Title: v.T("wallets.title", "wallet", w.ID), Wide: true, Body: body})
}

// editWallet changes a wallet that is not retired.
func (d *Door) editWallet(v *visit, id string, change func(*apply.Wallet)) error {
	return v.edit(func(c *directory.Contents) (map[string]any, error) {
		for _, w := range c.Wallets {
			if w.ID == id && !w.Retired {
				wanted := apply.WalletOf(w)
				change(&wanted)
				return map[string]any{"wallets": []apply.Wallet{wanted}}, nil
			}
		}
		return nil, errNotFound
	})
}

// setWallet changes a wallet's limits, and nothing else of it.
func (d *Door) setWallet(v *visit, w *directory.Wallet) error {
	daily, single := v.PostFormValue("daily_limit"), v.PostFormValue("per_payment_max")
	if err := d.editWallet(v, w.ID, func(want *apply.Wallet) {
		want.DailyLimit, want.PerPaymentMax = orZero(daily), orZero(single)
	}); err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showWallet(v, code, w, problem, daily, single) })
	}
	v.say("said.saved")
	return v.lead(address("/wallets/" + w.ID))
}

func (d *Door) switchWallet(v *visit, w *directory.Wallet) error {
	on, err := v.turned()
	if err == nil {
		err = d.editWallet(v, w.ID, func(want *apply.Wallet) { want.Enabled = on })
	}
	if err != nil {
		return d.again(v, err, func(code int, problem string) error {
			return d.showWallet(v, code, w, problem, w.DailyLimit.Fixed(), w.PerPaymentMax.Fixed())
		})
	}
	return v.turn(on)
}

// turn says which way a switch was turned, on the page where it was.
func (v *visit) turn(on bool) error {
	if on {
		v.say("said.on")
	} else {
		v.say("said.off")
	}
	return v.lead(safeNext(v.PostFormValue("next")))
}

// ofMethod finds the method that the address names.
func (d *Door) ofMethod(next func(*visit, *directory.Method) error) func(*visit) error {
	return func(v *visit) error {
		m := d.Directory.Current().Method(v.PathValue("method"))
		if m == nil || m.Retired {
			return errNotFound
		}
		return next(v, m)
	}
}

// methodSheet is what the page of a method shows.
type methodSheet struct {
	form
	Method methodRow
	MayRun bool
}

func (d *Door) methodPage(v *visit, m *directory.Method) error {
	return d.showMethod(v, http.StatusOK, m, "", m.Min.Fixed(), m.Max.Fixed())
}

func (*Door) showMethod(v *visit, code int, m *directory.Method, problem, least, most string) error {
	return v.show(page{Status: code, Name: "method", Title: m.Label(v.Lang()) + " · " + m.Type, Body: methodSheet{
		Method: methodRow{m, m.Label(v.Lang()), v.onOff(m.Enabled)}, MayRun: v.May(staff.RunWorks),
		form: form{Problem: problem, Fields: []field{
			{Name: "min", Label: v.T("wallets.min"), Value: least, Hint: v.T("works.rupees"), Wrong: problem != ""},
			{Name: "max", Label: v.T("wallets.max"), Value: most, Hint: v.T("works.rupees"), Wrong: problem != ""},
		}},
	}})
}

func (*Door) editMethod(v *visit, walletType string, change func(*apply.Method)) error {
	return v.edit(func(c *directory.Contents) (map[string]any, error) {
		for _, m := range c.Methods {
			if m.Type == walletType && !m.Retired {
				wanted := apply.MethodOf(m)
				change(&wanted)
				return map[string]any{"methods": []apply.Method{wanted}}, nil
			}
		}
		return nil, errNotFound
	})
}

// setMethod changes what a payer may be asked for.
func (d *Door) setMethod(v *visit, m *directory.Method) error {
	least, most := v.PostFormValue("min"), v.PostFormValue("max")
	if err := d.editMethod(v, m.Type, func(want *apply.Method) { want.Min, want.Max = orZero(least), orZero(most) }); err != nil {
		return d.again(v, err, func(code int, problem string) error { return d.showMethod(v, code, m, problem, least, most) })
	}
	v.say("said.saved")
	return v.lead(address("/methods/" + m.Type))
}

func (d *Door) switchMethod(v *visit, m *directory.Method) error {
	on, err := v.turned()
	if err == nil {
		err = d.editMethod(v, m.Type, func(want *apply.Method) { want.Enabled = on })
	}
	if err != nil {
		return d.again(v, err, func(code int, problem string) error {
			return d.showMethod(v, code, m, problem, m.Min.Fixed(), m.Max.Fixed())
		})
	}
	return v.turn(on)
}
