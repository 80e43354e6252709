package console

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// cell is one thing that a table or a list of facts says: of Text, At, Amount and
// State the one that is set.
type cell struct {
	Text   string
	Link   string // the page it leads to
	At     time.Time
	Amount *money.Paise
	// State is a code: its text is of the key StateKey + State.
	State, StateKey string
}

func asText(s string) cell            { return cell{Text: s} }
func asNumber(n int64) cell           { return cell{Text: strconv.FormatInt(n, 10)} }
func asTime(t time.Time) cell         { return cell{At: t} }
func asMoney(p money.Paise) cell      { return cell{Amount: &p} }
func (c cell) to(address string) cell { c.Link = address; return c }
func asState(kind, code string) cell  { return cell{State: code, StateKey: "pay." + kind + "."} }
func (c cell) Num() bool              { return c.Amount != nil }
func (c cell) Empty() bool            { return c.Text == "" && c.At.IsZero() && c.Amount == nil && c.State == "" }

// part is a part of a page for its template, which speaks by the visit.
type part struct {
	Visit *visit
	Part  any
	Name  string
}

// With gives a part of the page to its template.
func (v *visit) With(what any, name string) part { return part{v, what, name} }

// Cell is what a fact says, without its name.
func (c cell) Cell() cell { return c }

// Tone is the colour in which a state is shown, besides its text.
func (c cell) Tone() string {
	switch c.State {
	case "credited", "success", "delivered", "bound", "open":
		return "ok"
	case "waiting", "pending", "new", "approved", "processing", "due", "held", "unclaimed", "paused":
		return "wait"
	case "refused", "rejected", "failed", "dead", "reversed", "contested", "failing", "disabled":
		return "bad"
	default:
		return "still"
	}
}

// plain is the cell as an export has it: codes, exact amounts, times of RFC 3339.
func (c cell) plain(zone *time.Location) string {
	switch {
	case c.Amount != nil:
		return c.Amount.Fixed()
	case !c.At.IsZero():
		return c.At.In(zone).Format(time.RFC3339)
	}
	return cmp.Or(c.State, c.Text)
}

// column is one of a list's columns. What is sparse is not on the page, but in the
// exports; what is of insiders is for them alone.
type column[T any] struct {
	key      string
	sparse   bool
	insiders bool
	of       func(*T) cell
}

// list is one of the lists of payments: what may be asked of it, where it is read,
// and its columns.
type list[T any] struct {
	door    *Door
	name    string // of its page and its texts
	states  []string
	kinds   []string
	wallets bool // they are listed wallet by wallet, not merchant by merchant
	methods bool
	columns []column[T]
	// found gives what a word names at once.
	found func(ctx context.Context, a *sought, limit int) ([]T, error)
	// read gives a page of one source's, see sought.Sources.
	read    func(ctx context.Context, a *sought, source string, after *lookup.Place, limit, look int) (lookup.Page[T], error)
	place   func(*T) lookup.Place
	address func(*T) string
	// about is what a search leads to: the payment that the record belongs to. Nil
	// for the record itself.
	about func(*T) string
}

func (l *list[T]) leads(item *T) string {
	if l.about != nil {
		return l.about(item)
	}
	return l.address(item)
}

// grid is a table of cells.
type grid struct {
	Heads []head
	Rows  [][]cell
}

type head struct {
	Name string
	Num  bool
}

// lookedAt is how many records a page looks at where its filters have no index,
// over all its sources together; each is looked at a little at least.
const (
	lookedAt      = 20_000
	leastLookedAt = 200
)

// stretch reads a stretch of the list. AtOnce tells that the search found these
// without looking along the list.
func (l *list[T]) stretch(ctx context.Context, a *sought, after *lookup.Place, limit int) (page lookup.Page[T], atOnce bool, err error) {
	if a.Word.AtOnce() && !a.Wide && after == nil {
		items, err := l.found(ctx, a, limit)
		if err != nil || len(items) > 0 {
			return lookup.Page[T]{Items: items}, true, err
		}
	}
	if len(a.Sources) == 0 {
		return page, false, nil
	}
	look := max(lookedAt/len(a.Sources), leastLookedAt)
	page, err = lookup.Merge(len(a.Sources), limit, after, l.place, func(i int, after *lookup.Place, limit int) (lookup.Page[T], error) {
		return l.read(ctx, a, a.Sources[i], after, limit, look)
	})
	return page, false, err
}

// ask reads what is asked of the list.
func (l *list[T]) ask(v *visit) (*sought, error) {
	a, err := v.ask()
	if err != nil || !l.wallets {
		return a, err
	}
	a.Sources = nil
	for _, w := range l.door.Directory.Current().Wallets {
		if a.Wallet == "" || a.Wallet == w.ID {
			a.Sources = append(a.Sources, w.ID)
		}
	}
	return a, nil
}

// shown are the columns that the user sees: on the page, or in an export.
func (l *list[T]) shown(v *visit, all bool) (columns []column[T]) {
	insider := v.insider()
	many, _ := v.merchants()
	for _, c := range l.columns {
		switch {
		case c.insiders && !insider, c.sparse && !all, c.key == "merchant" && len(many) < 2 && !all:
		default:
			columns = append(columns, c)
		}
	}
	return columns
}

func (l *list[T]) grid(v *visit, items []T) (g grid) {
	columns := l.shown(v, false)
	for _, c := range columns {
		g.Heads = append(g.Heads, head{Name: v.T("pay.col." + c.key), Num: c.key == "amount"})
	}
	for i := range items {
		row := make([]cell, len(columns))
		for j, c := range columns {
			row[j] = c.of(&items[i])
		}
		row[0].Link = l.address(&items[i])
		g.Rows = append(g.Rows, row)
	}
	return g
}

// listBody is what the page of a list shows.
type listBody struct {
	Grid    grid
	Rows    int
	Name    string
	Filter  filter
	Problem string
	Views   []viewLink
	Query   string // what narrows the list now
	Named   string // the view that it is
	AtOnce  bool   // the search names these; Wider looks along the list
	Wider   string
	Next    string
	Short   bool // the page ends before it is full: it looked far enough
	CSV     string
	XLSX    string
	Acts    []act
}

type viewLink struct {
	Name, Path string
	Here       bool
}

// page shows the list.
func (l *list[T]) page(v *visit) error {
	a, err := l.ask(v)
	if err != nil {
		return err
	}
	after, err := readPlace(v.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	var read lookup.Page[T]
	var atOnce bool
	if a.problem == "" {
		if read, atOnce, err = l.stretch(v.Context(), a, after, rowsOfPage); err != nil {
			return err
		}
	}
	q := narrowed(v.URL.Query())
	path := base + "/" + l.name
	b := listBody{Grid: l.grid(v, read.Items), Rows: len(read.Items), Name: l.name, Problem: a.problem, Query: q.Encode(), AtOnce: atOnce, Filter: l.filter(v, a)}
	address := func(path, name, value string) string {
		more := maps.Clone(q)
		more.Set(name, value)
		return path + "?" + more.Encode()
	}
	b.CSV, b.XLSX = address(path+"/export", "as", "csv"), address(path+"/export", "as", "xlsx")
	if atOnce {
		b.Wider = address(path, "wide", "1")
	}
	if read.Next != nil {
		b.Next, b.Short = address(path, "after", placeText(*read.Next)), len(read.Items) < rowsOfPage
	}
	views, err := l.door.People.Views(v.Context(), v.user.ID, l.name)
	if err != nil {
		return err
	}
	for _, view := range views {
		here := view.Query == b.Query && b.Query != ""
		if here {
			b.Named = view.Name
		}
		b.Views = append(b.Views, viewLink{view.Name, path + "?" + view.Query, here})
	}
	if l.name == "postbacks" && a.Merchant != "" {
		if b.Acts, err = l.door.endpointActs(v, a.Merchant); err != nil {
			return err
		}
	}
	return v.show(page{Name: "payments", Wide: true, Body: b})
}

// look gives what the search box shows of a list: what it names at once, and where
// that leads; or, along the list, what else fits.
func (l *list[T]) look(v *visit, a sought, along bool) (found foundList, leads []string, err error) {
	if l.wallets {
		if !v.insider() {
			return found, nil, nil
		}
		a.Sources = nil
		for _, w := range l.door.Directory.Current().Wallets {
			a.Sources = append(a.Sources, w.ID)
		}
	}
	const few = 10
	var items []T
	if along {
		a.Wide = true
		read, _, err := l.stretch(v.Context(), &a, nil, few)
		if err != nil {
			return found, nil, err
		}
		items = read.Items
	} else if items, err = l.found(v.Context(), &a, few); err != nil {
		return found, nil, err
	}
	for i := range items {
		leads = append(leads, l.leads(&items[i]))
	}
	path := base + "/" + l.name + "?" + url.Values{"q": {a.Search}, "wide": {"1"}}.Encode()
	return foundList{Name: v.T("page." + l.name), Path: path, Grid: l.grid(v, items)}, leads, nil
}

// filter is the form that narrows the list.
func (l *list[T]) filter(v *visit, a *sought) (f filter) {
	choice := func(name, chosen string, pairs ...string) {
		f.Fields = append(f.Fields, field{
			Name: name, Label: v.T("pay.col." + name), Type: "select", Options: options(chosen, append([]string{"", v.T("pay.all")}, pairs...)...),
		})
	}
	f.Fields = append(f.Fields, field{Name: "q", Label: v.T("pay.search." + l.name), Type: "search", Value: a.Search})
	if ids, _ := v.merchants(); len(ids) > 1 && !l.wallets {
		var pairs []string
		for _, id := range ids {
			pairs = append(pairs, id, l.door.merchantName(id))
		}
		choice("merchant", a.Merchant, pairs...)
	}
	codes := func(name, chosen, key string, codes []string) {
		var pairs []string
		for _, code := range codes {
			pairs = append(pairs, code, v.T("pay."+key+"."+code))
		}
		choice(name, chosen, pairs...)
	}
	codes("state", a.State, l.name, l.states)
	if len(l.kinds) > 0 {
		codes("kind", a.Kind, "kind", l.kinds)
	}
	dir := l.door.Directory.Current()
	if l.methods {
		var pairs []string
		for _, m := range dir.Methods {
			pairs = append(pairs, m.Type, m.Type)
		}
		choice("method", a.Method, pairs...)
	}
	if l.name != "postbacks" && v.insider() {
		var pairs []string
		for _, w := range dir.Wallets {
			pairs = append(pairs, w.ID, cmp.Or(w.Name, w.ID))
		}
		choice("wallet", a.Wallet, pairs...)
	}
	f.Fields = append(f.Fields,
		field{Name: "from", Label: v.T("pay.from"), Type: "date", Value: a.From},
		field{Name: "to", Label: v.T("pay.to"), Type: "date", Value: a.To})
	if len(narrowed(v.URL.Query())) > 0 {
		f.Clear = base + "/" + l.name
	}
	return f
}

func codesOf[S ~string](list ...S) []string {
	codes := make([]string, len(list))
	for i, code := range list {
		codes[i] = string(code)
	}
	return codes
}

func (d *Door) depositList() *list[lookup.Deposit] {
	ask := func(a *sought) lookup.Deposits {
		return lookup.Deposits{State: deposit.State(a.State), Method: a.Method, Wallet: a.Wallet, Range: a.Range, Word: a.Word}
	}
	return &list[lookup.Deposit]{
		door: d, name: "deposits", methods: true,
		states: codesOf(deposit.Waiting, deposit.Pending, deposit.Credited, deposit.Refused, deposit.Rejected, deposit.Expired),
		columns: []column[lookup.Deposit]{
			{key: "created", of: func(p *lookup.Deposit) cell { return asTime(p.CreatedAt) }},
			{key: "id", sparse: true, of: func(p *lookup.Deposit) cell { return asNumber(p.ID) }},
			{key: "amount", of: func(p *lookup.Deposit) cell { return asMoney(p.Amount) }},
			{key: "state", of: func(p *lookup.Deposit) cell { return asState("deposits", string(p.State)) }},
			{key: "utr", of: func(p *lookup.Deposit) cell { return asText(string(p.UTR)) }},
			{key: "label", of: func(p *lookup.Deposit) cell { return asText(p.Label) }},
			{key: "custom", of: func(p *lookup.Deposit) cell { return asText(p.CustomID) }},
			{key: "merchant", of: func(p *lookup.Deposit) cell { return asText(p.Merchant) }},
			{key: "wallet", insiders: true, of: func(p *lookup.Deposit) cell { return asText(p.Wallet) }},
			{key: "method", sparse: true, of: func(p *lookup.Deposit) cell { return asText(p.Method) }},
			{key: "deposited", sparse: true, of: func(p *lookup.Deposit) cell { return credited(p, p.Deposited) }},
			{key: "fee", sparse: true, of: func(p *lookup.Deposit) cell { return credited(p, p.Fee) }},
			{key: "currency", sparse: true, of: func(p *lookup.Deposit) cell { return asText(string(p.Currency)) }},
			{key: "settled", sparse: true, of: func(p *lookup.Deposit) cell { return asTime(p.SettledAt) }},
			{key: "reasons", sparse: true, insiders: true, of: func(p *lookup.Deposit) cell { return asText(p.Reasons.String()) }},
			{key: "credit", sparse: true, insiders: true, of: func(p *lookup.Deposit) cell { return some(p.CreditID) }},
		},
		found: func(ctx context.Context, a *sought, limit int) ([]lookup.Deposit, error) {
			q := ask(a)
			q.Limit = limit
			return d.Store.FindDeposits(ctx, a.Sources, q)
		},
		read: func(ctx context.Context, a *sought, merchant string, after *lookup.Place, limit, look int) (lookup.Page[lookup.Deposit], error) {
			q := ask(a)
			q.Merchant, q.After, q.Limit, q.Look = merchant, after, limit, look
			return d.Store.ListDeposits(ctx, q)
		},
		place:   func(p *lookup.Deposit) lookup.Place { return lookup.Place{At: p.CreatedAt, ID: p.ID} },
		address: func(p *lookup.Deposit) string { return addressOf("deposits", p.ID) },
	}
}

// credited is an amount of a deposit, where there is one.
func credited(p *lookup.Deposit, of money.Paise) cell {
	if p.State != deposit.Credited {
		return cell{}
	}
	return asMoney(of)
}

// some is a number that is not zero.
func some(n int64) cell {
	if n == 0 {
		return cell{}
	}
	return asNumber(n)
}

func (d *Door) creditList() *list[*deposit.Credit] {
	ask := func(a *sought) lookup.Credits {
		return lookup.Credits{State: deposit.CreditState(a.State), Range: a.Range, Word: a.Word}
	}
	return &list[*deposit.Credit]{
		door: d, name: "credits", wallets: true,
		states: codesOf(deposit.Unclaimed, deposit.Bound, deposit.Reversed),
		columns: []column[*deposit.Credit]{
			{key: "booked", of: func(c **deposit.Credit) cell { return asTime((*c).At) }},
			{key: "id", sparse: true, of: func(c **deposit.Credit) cell { return asNumber((*c).ID) }},
			{key: "amount", of: func(c **deposit.Credit) cell { return asMoney((*c).Amount) }},
			{key: "state", of: func(c **deposit.Credit) cell { return asState("credits", string((*c).State)) }},
			{key: "utr", of: func(c **deposit.Credit) cell { return asText(string((*c).UTR)) }},
			{key: "payer", of: func(c **deposit.Credit) cell { return asText(upi.MaskPayer((*c).Payer())) }},
			{key: "wallet", of: func(c **deposit.Credit) cell { return asText((*c).Wallet) }},
			{key: "feed", of: func(c **deposit.Credit) cell { return asText((*c).Feed) }},
			{key: "received", sparse: true, of: func(c **deposit.Credit) cell { return asTime((*c).ReceivedAt) }},
			{key: "trust", sparse: true, of: func(c **deposit.Credit) cell { return asText(trust(*c)) }},
			{key: "contested", sparse: true, of: func(c **deposit.Credit) cell { return asText(strconv.FormatBool((*c).Contested)) }},
			{key: "deposit", sparse: true, of: func(c **deposit.Credit) cell { return some((*c).ClaimID) }},
		},
		found: func(ctx context.Context, a *sought, limit int) (credits []*deposit.Credit, err error) {
			if a.Word.UTR != "" {
				page, err := d.Store.ListCredits(ctx, lookup.Credits{UTR: a.Word.UTR, Limit: limit})
				if err != nil {
					return nil, err
				}
				credits = page.Items
			}
			if a.Word.ID != 0 {
				switch c, err := d.Store.FindCredit(ctx, a.Word.ID); {
				case err == nil:
					credits = append(credits, c)
				case !errors.Is(err, deposit.ErrNoCredit):
					return nil, err
				}
			}
			return slices.DeleteFunc(credits, func(c *deposit.Credit) bool {
				return !slices.Contains(a.Sources, c.Wallet) || a.State != "" && string(c.State) != a.State || !a.during(c.At)
			}), nil
		},
		read: func(ctx context.Context, a *sought, wallet string, after *lookup.Place, limit, look int) (lookup.Page[*deposit.Credit], error) {
			q := ask(a)
			q.Wallet, q.After, q.Limit, q.Look = wallet, after, limit, look
			return d.Store.ListCredits(ctx, q)
		},
		place:   func(c **deposit.Credit) lookup.Place { return lookup.Place{At: (*c).At, ID: (*c).ID} },
		address: func(c **deposit.Credit) string { return addressOf("credits", (*c).ID) },
		about: func(c **deposit.Credit) string {
			if (*c).ClaimID != 0 {
				return addressOf("deposits", (*c).ClaimID)
			}
			return addressOf("credits", (*c).ID)
		},
	}
}

// trust says whether the bank itself told of a credit, or an SMS alone.
func trust(c *deposit.Credit) string {
	if c.Trust >= feed.Confirmed {
		return "confirmed"
	}
	return "provisional"
}

func (d *Door) withdrawalList() *list[*payout.Withdrawal] {
	ask := func(a *sought) lookup.Withdrawals {
		return lookup.Withdrawals{State: payout.State(a.State), Method: a.Method, Wallet: a.Wallet, Range: a.Range, Word: a.Word}
	}
	type row = *payout.Withdrawal
	return &list[row]{
		door: d, name: "withdrawals",
		states: codesOf(payout.New, payout.Approved, payout.Processing, payout.Success, payout.Failed, payout.Canceled),
		columns: []column[row]{
			{key: "created", of: func(w *row) cell { return asTime((*w).CreatedAt) }},
			{key: "id", sparse: true, of: func(w *row) cell { return asNumber((*w).ID) }},
			{key: "amount", of: func(w *row) cell { return asMoney((*w).Amount) }},
			{key: "state", of: func(w *row) cell { return asState("withdrawals", string((*w).State)) }},
			{key: "custom", of: func(w *row) cell { return asText((*w).WithdrawalID) }},
			{key: "label", of: func(w *row) cell { return asText((*w).Label) }},
			{key: "bankref", of: func(w *row) cell { return asText((*w).BankRef) }},
			{key: "account", of: func(w *row) cell { return asText(upi.MaskPayer(string((*w).Account))) }},
			{key: "merchant", of: func(w *row) cell { return asText((*w).Merchant) }},
			{key: "wallet", insiders: true, of: func(w *row) cell { return asText((*w).Wallet) }},
			{key: "desk", sparse: true, insiders: true, of: func(w *row) cell { return asText((*w).Desk) }},
			{key: "ifsc", sparse: true, of: func(w *row) cell { return asText(string((*w).IFSC)) }},
			{key: "method", sparse: true, of: func(w *row) cell { return asText((*w).Method) }},
			{key: "fee", sparse: true, of: func(w *row) cell { return asMoney((*w).Fee) }},
			{key: "currency", sparse: true, of: func(w *row) cell { return asText(string((*w).Currency)) }},
			{key: "test", sparse: true, of: func(w *row) cell { return asText(strconv.FormatBool((*w).Test)) }},
			{key: "settled", sparse: true, of: func(w *row) cell { return asTime((*w).SettledAt) }},
		},
		found: func(ctx context.Context, a *sought, limit int) ([]row, error) {
			q := ask(a)
			q.Limit = limit
			return d.Store.FindWithdrawals(ctx, a.Sources, q)
		},
		read: func(ctx context.Context, a *sought, merchant string, after *lookup.Place, limit, look int) (lookup.Page[row], error) {
			q := ask(a)
			q.Merchant, q.After, q.Limit, q.Look = merchant, after, limit, look
			return d.Store.ListWithdrawalsOf(ctx, q)
		},
		place:   func(w *row) lookup.Place { return lookup.Place{At: (*w).CreatedAt, ID: (*w).ID} },
		address: func(w *row) string { return addressOf("withdrawals", (*w).ID) },
	}
}

func (d *Door) postbackList() *list[postback.Summary] {
	ask := func(a *sought) lookup.Postbacks {
		return lookup.Postbacks{Kind: postback.Kind(a.Kind), State: postback.State(a.State), Range: a.Range, Word: a.Word}
	}
	return &list[postback.Summary]{
		door: d, name: "postbacks",
		states: codesOf(postback.StateDue, postback.StateHeld, postback.StateDelivered, postback.StateDead),
		kinds:  codesOf(postback.OfDeposit, postback.OfWithdrawal),
		columns: []column[postback.Summary]{
			{key: "written", of: func(p *postback.Summary) cell { return asTime(p.CreatedAt) }},
			{key: "id", sparse: true, of: func(p *postback.Summary) cell { return asNumber(p.ID) }},
			{key: "kind", of: func(p *postback.Summary) cell { return asState("kind", string(p.Kind())) }},
			{key: "amount", of: func(p *postback.Summary) cell { return asMoney(p.Amount) }},
			{key: "state", of: func(p *postback.Summary) cell { return asState("postbacks", string(p.State)) }},
			{key: "custom", of: func(p *postback.Summary) cell { return asText(p.CustomID) }},
			{key: "attempts", of: func(p *postback.Summary) cell { return asNumber(int64(p.Attempts)) }},
			{key: "answer", of: func(p *postback.Summary) cell { return some(int64(p.LastStatus)) }},
			{key: "merchant", of: func(p *postback.Summary) cell { return asText(p.Merchant) }},
			{key: "next", sparse: true, of: func(p *postback.Summary) cell { return asTime(p.NextAt) }},
			{key: "delivered", sparse: true, of: func(p *postback.Summary) cell { return asTime(p.DeliveredAt) }},
			{key: "error", sparse: true, of: func(p *postback.Summary) cell { return asText(p.LastError) }},
		},
		found: func(ctx context.Context, a *sought, limit int) ([]postback.Summary, error) {
			deposits, err := d.Store.FindDeposits(ctx, a.Sources, lookup.Deposits{Word: a.Word, Limit: limit})
			if err != nil {
				return nil, err
			}
			withdrawals, err := d.Store.FindWithdrawals(ctx, a.Sources, lookup.Withdrawals{Word: a.Word, Limit: limit})
			if err != nil {
				return nil, err
			}
			var of []int64
			for i := range deposits {
				of = append(of, deposits[i].ID)
			}
			for _, w := range withdrawals {
				of = append(of, w.ID)
			}
			if a.Word.ID != 0 && !slices.Contains(of, a.Word.ID) {
				of = append(of, a.Word.ID) // a withdrawal's postback has a number of its own
			}
			found, err := d.Store.FindPostbacks(ctx, of)
			return slices.DeleteFunc(found, func(p postback.Summary) bool {
				return !slices.Contains(a.Sources, p.Merchant) || a.State != "" && string(p.State) != a.State ||
					a.Kind != "" && string(p.Kind()) != a.Kind || !a.during(p.CreatedAt)
			}), err
		},
		read: func(ctx context.Context, a *sought, merchant string, after *lookup.Place, limit, look int) (lookup.Page[postback.Summary], error) {
			q := ask(a)
			q.Merchant, q.After, q.Limit, q.Look = merchant, after, limit, look
			return d.Store.ListPostbacks(ctx, q)
		},
		place:   func(p *postback.Summary) lookup.Place { return lookup.Place{At: p.CreatedAt, ID: p.ID} },
		address: func(p *postback.Summary) string { return addressOf("postbacks", p.ID) },
	}
}
