package console

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// paymentRoutes are the lists of payments, their stories, and what is done about
// postbacks. Credits are no merchant's until they are bound: their pages are the
// installation's.
var paymentRoutes = []route{
	{pattern: "GET /find", name: "page.find", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /deposits", name: "page.deposits", scope: ofMerchants, needs: staff.SeePayments, menu: true},
	{pattern: "GET /deposits/export", name: "page.deposits", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /deposits/{id}", name: "page.deposit", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /credits", name: "page.credits", scope: ofInstallation, needs: staff.SeePayments, menu: true},
	{pattern: "GET /credits/export", name: "page.credits", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /credits/{id}", name: "page.credit", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /withdrawals", name: "page.withdrawals", scope: ofMerchants, needs: staff.SeePayments, menu: true},
	{pattern: "GET /withdrawals/export", name: "page.withdrawals", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /withdrawals/{id}", name: "page.withdrawal", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /postbacks", name: "page.postbacks", scope: ofMerchants, needs: staff.SeePayments, menu: true},
	{pattern: "GET /postbacks/export", name: "page.postbacks", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /postbacks/{id}", name: "page.postback", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "POST /postbacks/{id}/resend", name: "page.postback.resend", scope: ofMerchants, needs: staff.RunPostbacks},
	{pattern: "GET /merchants/{merchant}/postbacks/pause", name: "page.postbacks.pause", scope: ofMerchant, needs: staff.RunPostbacks},
	{pattern: "POST /merchants/{merchant}/postbacks/pause", name: "page.postbacks.pause", scope: ofMerchant, needs: staff.RunPostbacks},
	{pattern: "POST /merchants/{merchant}/postbacks/resume", name: "page.postbacks.resume", scope: ofMerchant, needs: staff.RunPostbacks},
	{pattern: "POST /merchants/{merchant}/postbacks/enable", name: "page.postbacks.enable", scope: ofMerchant, needs: staff.RunPostbacks},
	{pattern: "POST /views", name: "page.views", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "POST /views/remove", name: "page.views", scope: ofMerchants, needs: staff.SeePayments},
}

func (d *Door) payments() handlers {
	deposits, credits, withdrawals, postbacks := d.depositList(), d.creditList(), d.withdrawalList(), d.postbackList()
	return handlers{
		"GET /find":                   d.find,
		"GET /deposits":               deposits.page,
		"GET /deposits/export":        deposits.export,
		"GET /deposits/{id}":          ofNumber(d.depositPage),
		"GET /credits":                credits.page,
		"GET /credits/export":         credits.export,
		"GET /credits/{id}":           ofNumber(d.creditPage),
		"GET /withdrawals":            withdrawals.page,
		"GET /withdrawals/export":     withdrawals.export,
		"GET /withdrawals/{id}":       ofNumber(d.withdrawalPage),
		"GET /postbacks":              postbacks.page,
		"GET /postbacks/export":       postbacks.export,
		"GET /postbacks/{id}":         ofNumber(d.postbackPage),
		"POST /postbacks/{id}/resend": ofNumber(d.resendPostback),

		"GET /merchants/{merchant}/postbacks/pause":   d.pausePage,
		"POST /merchants/{merchant}/postbacks/pause":  d.endpointAct(d.Postbacks.Pause, "said.postbacks.paused"),
		"POST /merchants/{merchant}/postbacks/resume": d.endpointAct(d.Postbacks.Resume, "said.postbacks.resumed"),
		"POST /merchants/{merchant}/postbacks/enable": d.endpointAct(d.Postbacks.Enable, "said.postbacks.enabled"),

		"POST /views":        d.keepView,
		"POST /views/remove": d.dropView,
	}
}

// ofNumber reads the number of a record that the address names.
func ofNumber(next func(v *visit, id int64) error) func(*visit) error {
	return func(v *visit) error {
		id, err := strconv.ParseInt(v.PathValue("id"), 10, 64)
		if err != nil || id <= 0 {
			return errNotFound
		}
		return next(v, id)
	}
}

// mine fails with errNotFound on what is of a merchant whose things the page may
// not show: it looks as if it were not there.
func (v *visit) mine(merchant string) error {
	if !v.user.May(v.route.needs, merchant) {
		return errNotFound
	}
	return nil
}

// insider reports whether the user may see how the installation works: its
// wallets and credits, why a claim is held, who decided what. Merchants' users see
// what the management API tells their merchants.
func (v *visit) insider() bool { return v.user.May(staff.SeePayments, "") }

// readsRaw reports whether the user may read messages of banks as they came: those
// who have to judge them. They name payers in full.
func (v *visit) readsRaw() bool { return v.user.May(staff.Review, "") }

// sought is what a list is narrowed to, as its address says it.
type sought struct {
	Sources  []string // ids of the merchants, or wallets, whose records are listed
	Merchant string
	Wallet   string
	Method   string
	State    string
	Kind     string
	From, To string // days by the user's clock, the last one included
	lookup.Range
	Search string
	Word   lookup.Word
	// Wide looks along the list, though the search finds something at once.
	Wide bool
	// problem is a text for what can't be read of it.
	problem string
}

const mostSearch = 200 // bytes

// readWord reads what was typed into a search box as all that it may be.
func readWord(text string) (w lookup.Word) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > mostSearch {
		return w
	}
	w.CustomID, w.Label = text, text
	if utr, err := upi.ParseUTR(text); err == nil {
		w.UTR = utr
	}
	if id, err := strconv.ParseInt(text, 10, 64); err == nil && id > 0 {
		w.ID = id
	}
	if id, ok := payout.ParseReference(text); ok {
		w.ID = id
	}
	if vpa, err := upi.ParseVPA(text); err == nil {
		w.VPA = strings.ToLower(string(vpa))
	}
	if amount, err := money.ParsePositive(strings.TrimSpace(strings.TrimPrefix(text, "₹"))); err == nil {
		w.Amount = amount
	}
	return w
}

// ask reads what the address asks of a list.
func (v *visit) ask() (*sought, error) {
	q := v.URL.Query()
	a := &sought{
		Merchant: q.Get("merchant"), Wallet: q.Get("wallet"), Method: q.Get("method"), State: q.Get("state"), Kind: q.Get("kind"),
		From: q.Get("from"), To: q.Get("to"), Search: strings.TrimSpace(q.Get("q")), Wide: q.Get("wide") != "",
	}
	if !v.insider() {
		a.Wallet = ""
	}
	zone := v.user.Location()
	day := func(text string, then int) (t time.Time) {
		if text == "" {
			return t
		}
		t, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil || t.Year() < 1970 || t.Year() > 9998 {
			a.problem = v.T("pay.problem.day")
			return time.Time{}
		}
		return t.AddDate(0, 0, then)
	}
	a.Range.From, a.Range.To = day(a.From, 0), day(a.To, 1)
	if len(a.Search) > mostSearch {
		a.problem, a.Search = v.T("pay.problem.search"), ""
	}
	a.Word = readWord(a.Search)
	ids, _ := v.merchants()
	a.Sources = ids
	if a.Merchant != "" {
		if !slices.Contains(ids, a.Merchant) {
			return nil, errNotFound
		}
		a.Sources = []string{a.Merchant}
	}
	return a, nil
}

// narrowing are the parameters of a list's address that narrow it: what a view
// keeps.
var narrowing = []string{"q", "state", "kind", "method", "wallet", "merchant", "from", "to", "wide"}

// narrowed is a query with what narrows a list alone, in the order of names.
func narrowed(q url.Values) url.Values {
	kept := url.Values{}
	for _, name := range narrowing {
		if value := q.Get(name); value != "" {
			kept.Set(name, value)
		}
	}
	return kept
}

func (a *sought) during(t time.Time) bool {
	return (a.Range.From.IsZero() || !t.Before(a.Range.From)) && (a.Range.To.IsZero() || t.Before(a.Range.To))
}

// placeText and readPlace write and read a place of a list in an address.
func placeText(p lookup.Place) string {
	return strconv.FormatInt(p.At.UnixMicro(), 10) + "." + strconv.FormatInt(p.ID, 10)
}

func readPlace(text string) (*lookup.Place, error) {
	if text == "" {
		return nil, nil
	}
	at, id, _ := strings.Cut(text, ".")
	micros, errAt := strconv.ParseInt(at, 10, 64)
	number, errID := strconv.ParseInt(id, 10, 64)
	if err := errors.Join(errAt, errID); err != nil {
		return nil, errNotFound
	}
	return &lookup.Place{At: time.UnixMicro(micros).UTC(), ID: number}, nil
}

// addressOf is the address of a record's page.
func addressOf(list string, id int64) string {
	return base + "/" + list + "/" + strconv.FormatInt(id, 10)
}

// pageOf is the address of a page that another section may have, below base: of a
// record that its pattern names by {…}. It is empty where the table has no such
// row, or the user may not go there.
func (v *visit) pageOf(pattern string, merchant string, id int64) string {
	i := slices.IndexFunc(table, func(r route) bool { return r.pattern == "GET "+pattern })
	if i < 0 || table[i].scope == ofInstallation && !v.user.May(table[i].needs, "") || !v.user.May(table[i].needs, merchant) {
		return ""
	}
	path := []string{}
	for part := range strings.SplitSeq(pattern, "/") {
		if strings.HasPrefix(part, "{") {
			part = strconv.FormatInt(id, 10)
		}
		path = append(path, part)
	}
	return base + strings.Join(path, "/")
}

// found is what the search box found of one kind.
type foundList struct {
	Name string
	Path string // of the whole list, looked along
	Grid grid
}

// find is the search box: it leads to the one payment that a number, UTR or id
// names. Where there are more it lists them; where there is none, those that lie
// along the lists.
func (d *Door) find(v *visit) error {
	a, err := v.ask()
	if err != nil {
		return err
	}
	deposits, credits, withdrawals, postbacks := d.depositList(), d.creditList(), d.withdrawalList(), d.postbackList()
	var lists []foundList
	for _, along := range []bool{false, true} {
		if a.Search == "" || len(lists) > 0 {
			break
		}
		looks := []func(*visit, sought, bool) (foundList, []string, error){deposits.look, credits.look, withdrawals.look}
		if !along {
			looks = append(looks, postbacks.look) // those of payments found along are on their pages
		}
		var leads []string
		for i, look := range looks {
			found, more, err := look(v, *a, along)
			if err != nil {
				return err
			}
			// A postback that belongs to what was found is on its page, too.
			if len(more) == 0 || i == 3 && len(lists) > 0 {
				continue
			}
			lists, leads = append(lists, found), append(leads, more...)
		}
		slices.Sort(leads)
		if leads = slices.Compact(leads); len(leads) == 1 && !along {
			return v.lead(leads[0])
		}
	}
	return v.show(page{Name: "find", Wide: true, Body: struct {
		Search string
		Lists  []foundList
	}{a.Search, lists}})
}

// pausePage asks before a merchant's postbacks are held.
func (d *Door) pausePage(v *visit) error {
	merchant := v.PathValue("merchant")
	return v.show(page{Name: "confirm", Body: question{
		Text: v.T("pay.pause.text", "merchant", d.merchantName(merchant)), Button: v.T("pay.act.pause"),
		Back: base + "/postbacks?" + url.Values{"merchant": {merchant}}.Encode(),
	}})
}

// endpointAct does something with a merchant's endpoint.
func (d *Door) endpointAct(act func(ctx context.Context, actor, merchant string) error, said string) func(*visit) error {
	return func(v *visit) error {
		merchant := v.PathValue("merchant")
		switch err := act(v.Context(), staff.By(v.user), merchant); {
		case errors.Is(err, postback.ErrNothing):
			v.say("said.postbacks.nothing")
		case err != nil:
			return err
		default:
			v.say(said)
		}
		return v.lead(base + "/postbacks?" + url.Values{"merchant": {merchant}}.Encode())
	}
}

func (d *Door) resendPostback(v *visit, id int64) error {
	p, err := d.Store.Postback(v.Context(), id)
	if err != nil {
		return missing(err)
	}
	if err := v.mine(p.Merchant); err != nil {
		return err
	}
	sent, err := d.Postbacks.Resend(v.Context(), staff.By(v.user), id)
	switch {
	case err != nil:
		return missing(err)
	case sent:
		v.say("said.postback.resent")
	default:
		v.say("said.postback.soon")
	}
	return v.lead(addressOf("postbacks", id))
}

// missing makes a page that is not there of a record that is not.
func missing(err error) error {
	for _, none := range []error{lookup.ErrNone, postback.ErrNoPostback, payout.ErrNoWithdrawal, deposit.ErrNoClaim, deposit.ErrNoCredit} {
		if errors.Is(err, none) {
			return fmt.Errorf("%w: %w", errNotFound, err)
		}
	}
	return err
}

// keepView keeps what a list is narrowed to under a name of the user's.
func (d *Door) keepView(v *visit) error {
	list, q, err := v.viewOf()
	if err != nil {
		return err
	}
	name, err := staff.ParseName(v.PostFormValue("name"))
	back := base + "/" + list + "?" + q.Encode()
	switch {
	case err != nil || name == "":
		v.say("said.view.name")
		return v.lead(back)
	case len(q.Encode()) > mostView:
		return errNotFound
	}
	err = d.People.KeepView(v.Context(), v.user.ID, staff.View{List: list, Name: name, Query: q.Encode()})
	switch {
	case errors.Is(err, staff.ErrManyViews):
		v.say("said.view.many")
	case err != nil:
		return err
	default:
		v.say("said.view.kept")
	}
	return v.lead(back)
}

const mostView = 2000 // bytes of a view's query

func (d *Door) dropView(v *visit) error {
	list, q, err := v.viewOf()
	if err != nil {
		return err
	}
	if err := d.People.DropView(v.Context(), v.user.ID, list, v.PostFormValue("name")); err != nil {
		return err
	}
	v.say("said.view.gone")
	return v.lead(base + "/" + list + "?" + q.Encode())
}

// viewOf reads which list a view is of, and what it narrows that to.
func (v *visit) viewOf() (list string, q url.Values, err error) {
	list = v.PostFormValue("list")
	if !slices.Contains([]string{"deposits", "credits", "withdrawals", "postbacks"}, list) {
		return "", nil, errNotFound
	}
	q, err = url.ParseQuery(v.PostFormValue("query"))
	if err != nil {
		return "", nil, errNotFound
	}
	return list, narrowed(q), nil
}
