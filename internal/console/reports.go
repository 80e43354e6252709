package console

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/report"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
)

// reportRoutes are the reports. What is of wallets and of the operator's fees is no
// merchant's.
var reportRoutes = []route{
	{pattern: "GET /reports", name: "page.reports", scope: ofMerchants, needs: staff.SeePayments, menu: true},
	{pattern: "GET /reports/export", name: "page.reports", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /reports/settlements", name: "page.settlements", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /reports/settlements/export", name: "page.settlements", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /reports/settlement", name: "page.settlement", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /reports/settlement/export", name: "page.settlement", scope: ofMerchants, needs: staff.SeePayments},
	{pattern: "GET /reports/wallets", name: "page.walletreport", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /reports/wallets/export", name: "page.walletreport", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /reports/fees", name: "page.fees", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /reports/fees/export", name: "page.fees", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /reports/reconciliation", name: "page.reconciliation", scope: ofInstallation, needs: staff.SeePayments},
	{pattern: "GET /reports/reconciliation/export", name: "page.reconciliation", scope: ofInstallation, needs: staff.SeePayments},
}

func (d *Door) reports() handlers {
	return handlers{
		"GET /reports":                       d.statementReport,
		"GET /reports/export":                d.statementExport,
		"GET /reports/settlements":           d.settlementList,
		"GET /reports/settlements/export":    d.settlementsExport,
		"GET /reports/settlement":            d.settlementReport,
		"GET /reports/settlement/export":     d.settlementExport,
		"GET /reports/wallets":               d.walletReport,
		"GET /reports/wallets/export":        d.walletExport,
		"GET /reports/fees":                  d.feeReport,
		"GET /reports/fees/export":           d.feeExport,
		"GET /reports/reconciliation":        d.reconciliation,
		"GET /reports/reconciliation/export": d.reconciliationExport,
	}
}

// sheet heads every report: which there are, what may be chosen, and the files.
type reportHead struct {
	Tabs    []menuItem
	Filter  filter
	Problem string
	Of      string // what it is about
	// Period is its name, and From and To its ends in Zone; none where there is no
	// period.
	Period         string
	From, To       time.Time
	Zone           *time.Location
	Running        bool // the period is not over, or its report not final
	Previous, Next string
	Empty          bool // there is nothing to report on
	exports
}

// reportTabs are the reports that the user may see.
func (v *visit) reportTabs() (items []menuItem) {
	for _, r := range reportRoutes {
		if strings.HasSuffix(r.pattern, "/export") || r.pattern == "GET /reports/settlement" || !v.user.May(r.needs, "") && r.scope == ofInstallation {
			continue
		}
		here := r.pattern == v.route.pattern || r.pattern == "GET /reports/settlements" && v.route.pattern == "GET /reports/settlement"
		name := v.T(r.name)
		if r.pattern == "GET /reports" {
			name = v.T("reports.statement")
		}
		items = append(items, menuItem{name, r.path(), here})
	}
	return items
}

// Date writes the day of a time in a zone.
func (*visit) Date(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.DateOnly) }

// Clock writes a time in a zone.
func (*visit) Clock(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

// choose reads which object and period a report is about; of is the name of the
// object's parameter, and ids what may be chosen.
func (v *visit) choose(of string, ids []string, name func(string) string, zone func(id string) *time.Location) (id string, p report.Period, head reportHead, err error) {
	q := v.URL.Query()
	head = reportHead{Tabs: v.reportTabs(), exports: v.exportsOf(strings.TrimPrefix(strings.TrimSuffix(v.URL.Path, "/export"), base) + "/export")}
	if of != "" {
		if len(ids) == 0 {
			head.Empty = true
			return "", p, head, nil
		}
		if id = q.Get(of); id == "" {
			id = ids[0]
		}
		if !slices.Contains(ids, id) {
			return "", p, head, errNotFound
		}
		choice := field{Name: of, Label: v.T("reports." + of), Type: "select"}
		for _, one := range ids {
			choice.Options = append(choice.Options, option{one, name(one), one == id})
		}
		head.Filter.Fields = append(head.Filter.Fields, choice)
		head.Of = name(id)
	}
	head.Zone = zone(id)
	every := report.Daily
	if q.Get("every") == string(report.Monthly) {
		every = report.Monthly
	}
	p = report.LastOver(every, v.now, head.Zone)
	if text := q.Get("day"); text != "" {
		asked, err := report.Parse(text)
		if err != nil {
			head.Problem = v.T("reports.problem.day")
		} else {
			from, _ := asked.In(time.UTC)
			p = report.At(every, from, time.UTC)
		}
	}
	head.From, head.To = p.In(head.Zone)
	head.Period = p.String()
	head.Running = v.now.Before(head.To.Add(report.Settled))
	first, _ := p.In(time.UTC)
	head.Filter.Fields = append(head.Filter.Fields,
		field{Name: "every", Label: v.T("reports.every"), Type: "select", Options: options(string(every),
			string(report.Daily), v.T("reports.daily"), string(report.Monthly), v.T("reports.monthly"))},
		field{Name: "day", Label: v.T("reports.day"), Type: "date", Value: first.Format(time.DateOnly)})
	lead := func(p report.Period) string {
		q := url.Values{"every": {string(every)}}
		if of != "" {
			q.Set(of, id)
		}
		first, _ := p.In(time.UTC)
		q.Set("day", first.Format(time.DateOnly))
		return v.URL.Path + "?" + q.Encode()
	}
	head.Previous = lead(p.Previous())
	if _, next := p.Next().In(head.Zone); head.From.Before(v.now) && !next.IsZero() && head.To.Before(v.now) {
		head.Next = lead(p.Next())
	}
	return id, p, head, nil
}

// zoneOf is the zone of a merchant's reports.
func (d *Door) zoneOf(merchant string) *time.Location {
	if m := d.Directory.Current().Merchant(merchant); m != nil {
		return m.Location()
	}
	return time.UTC
}

// chooseMerchant reads of which of the user's merchants a report is, and when.
func (v *visit) chooseMerchant() (string, report.Period, reportHead, error) {
	ids, _ := v.merchants()
	return v.choose("merchant", ids, v.door.merchantName, v.door.zoneOf)
}

// statementPage is a merchant's statement.
type statementPage struct {
	reportHead
	Report  *settlement.Report
	Entries []lookup.Entry
	More    string // the next entries
	Sheet   string // more of them at once, for paper
	Later   bool   // these are not the first
}

// How many entries a statement shows at once, on a page and on a sheet to be printed.
const (
	entriesOfPage  = 100
	entriesOfSheet = 5000
)

func (d *Door) statementReport(v *visit) error {
	merchant, _, head, err := v.chooseMerchant()
	if err != nil {
		return err
	}
	body := statementPage{reportHead: head}
	if head.Empty {
		return v.show(page{Name: "report", Wide: true, Body: body})
	}
	if body.Report, err = d.Admin.Settler.Period(v.Context(), merchant, head.From, head.To); err != nil {
		return err
	}
	sheet, most := v.URL.Query().Has("sheet"), entriesOfPage
	if sheet {
		most = entriesOfSheet
	}
	// What stands before the first entry is known: it need not be added up again.
	ask := lookup.Account{
		Merchant: merchant, Range: lookup.Range{From: head.From, To: head.To}, Limit: most,
		After: &lookup.Place{At: head.From.Add(-time.Microsecond), ID: 1 << 62}, Balance: body.Report.Opening,
	}
	if text := v.URL.Query().Get("after"); text != "" {
		if err := readAfter(text, &ask); err != nil {
			return err
		}
		body.Later = true
	}
	entries, err := d.Store.ListAccount(v.Context(), ask)
	if err != nil {
		return err
	}
	body.Entries = entries.Items
	if entries.Next != nil {
		q := v.URL.Query()
		q.Set("after", placeText(*entries.Next)+"."+strconv.FormatInt(int64(entries.Items[len(entries.Items)-1].Balance), 10))
		body.More = v.URL.Path + "?" + q.Encode()
	}
	if !sheet && (body.Later || body.More != "") {
		q := v.URL.Query()
		q.Del("after")
		q.Set("sheet", "1")
		body.Sheet = v.URL.Path + "?" + q.Encode()
	}
	return v.show(page{Name: "report", Wide: true, Body: body})
}

// readAfter reads where a page of entries begins, and with what balance.
func readAfter(text string, ask *lookup.Account) error {
	cut := strings.LastIndexByte(text, '.')
	if cut < 0 {
		return errNotFound
	}
	place, err := readPlace(text[:cut])
	if err != nil {
		return err
	}
	balance, err := strconv.ParseInt(text[cut+1:], 10, 64)
	if err != nil || place == nil || place.At.Before(ask.From) {
		return errNotFound
	}
	ask.After, ask.Balance = place, money.Paise(balance)
	return nil
}

func (d *Door) statementExport(v *visit) error {
	merchant, p, head, err := v.chooseMerchant()
	if err != nil {
		return err
	}
	if head.Empty || head.Problem != "" {
		return errNotFound
	}
	heads := []string{"time", "entry", "number", "id", "label", "utr", "amount", "fee", "net", "balance"}
	return v.sendTable("statement-"+merchant+"-"+p.String(), "the statement of "+merchant+" for "+p.String(), heads, func(row func(...string) error, more func() error) error {
		ask := lookup.Account{Merchant: merchant, Range: lookup.Range{From: head.From, To: head.To}, Limit: exportPage}
		balance := func(at time.Time, name string, p money.Paise) error {
			return row(at.In(head.Zone).Format(time.RFC3339), name, "", "", "", "", "", "", "", p.Fixed())
		}
		for {
			entries, err := d.Store.ListAccount(v.Context(), ask)
			if err != nil {
				return err
			}
			if ask.After == nil {
				if err := balance(head.From, "opening", entries.Opening); err != nil {
					return err
				}
				ask.Balance = entries.Opening
			}
			for i := range entries.Items {
				e := &entries.Items[i]
				if err := row(e.Place.At.In(head.Zone).Format(time.RFC3339Nano), string(e.Kind), strconv.FormatInt(e.ID, 10), e.CustomID, e.Label, string(e.UTR),
					e.Amount.Fixed(), e.Fee.Fixed(), e.Net().Fixed(), e.Balance.Fixed()); err != nil {
					return err
				}
				ask.Balance = e.Balance
			}
			if entries.Next == nil {
				return balance(head.To, "closing", ask.Balance)
			}
			if err := more(); err != nil {
				return err
			}
			ask.After = entries.Next
		}
	})
}

// settlementsPage lists settlements.
type settlementsPage struct {
	reportHead
	Rows []*settlement.Settlement
	More string
}

// ofSettlements reads which merchant's settlements are meant: the merchant's that the
// address names, or all where the user may see everybody's.
func (v *visit) ofSettlements() (merchant string, head reportHead, err error) {
	ids, all := v.merchants()
	head = reportHead{Tabs: v.reportTabs(), exports: v.exportsOf("/reports/settlements/export")}
	merchant = v.URL.Query().Get("merchant")
	if merchant == "" && !all {
		merchant = ids[0]
	}
	if merchant != "" && !slices.Contains(ids, merchant) {
		return "", head, errNotFound
	}
	choice := field{Name: "merchant", Label: v.T("reports.merchant"), Type: "select"}
	if all {
		choice.Options = append(choice.Options, option{"", v.T("reports.all"), merchant == ""})
	}
	for _, id := range ids {
		choice.Options = append(choice.Options, option{id, v.door.merchantName(id), id == merchant})
	}
	head.Filter.Fields = []field{choice}
	return merchant, head, nil
}

func (d *Door) settlementList(v *visit) error {
	merchant, head, err := v.ofSettlements()
	if err != nil {
		return err
	}
	ask := settlement.Filter{Merchant: merchant, Limit: rowsOfPage + 1}
	if text := v.URL.Query().Get("after"); text != "" {
		if ask.Before, err = strconv.ParseInt(text, 10, 64); err != nil || ask.Before <= 0 {
			return errNotFound
		}
	}
	rows, err := d.Admin.Store.Settlements(v.Context(), ask)
	if err != nil {
		return err
	}
	body := settlementsPage{reportHead: head}
	body.Rows, body.More = cut(v, rows, func(s *settlement.Settlement) string { return strconv.FormatInt(s.ID, 10) })
	return v.show(page{Name: "settlements", Wide: true, Body: body})
}

// SettlementLink is the address of a settlement's report; empty while it has none.
func (*visit) SettlementLink(s *settlement.Settlement) string {
	if s.Open() || s.Payouts == 0 {
		return ""
	}
	return base + "/reports/settlement?" + url.Values{"merchant": {s.Merchant}, "id": {s.WithdrawalID}}.Encode()
}

func (d *Door) settlementsExport(v *visit) error {
	merchant, _, err := v.ofSettlements()
	if err != nil {
		return err
	}
	heads := []string{"number", "merchant", "settlement", "due", "ended", "amount", "fee", "payouts", "account", "by", "why"}
	return v.sendTable("settlements-"+v.now.UTC().Format(time.DateOnly), "settlements", heads, func(row func(...string) error, more func() error) error {
		ask := settlement.Filter{Merchant: merchant, Limit: exportPage}
		for {
			list, err := d.Admin.Store.Settlements(v.Context(), ask)
			if err != nil {
				return err
			}
			for _, s := range list {
				zone := d.zoneOf(s.Merchant)
				ended := ""
				if !s.Open() {
					ended = s.CutAt.In(zone).Format(time.RFC3339)
				}
				if err := row(strconv.FormatInt(s.ID, 10), s.Merchant, s.WithdrawalID, s.DueAt.In(zone).Format(time.RFC3339), ended, s.Amount.Fixed(), s.Fee.Fixed(),
					strconv.Itoa(s.Payouts), s.Account.Masked(), s.CreatedBy, s.Why); err != nil {
					return err
				}
				ask.Before = s.ID
			}
			if err := more(); err != nil || len(list) < exportPage {
				return err
			}
		}
	})
}

// readSettlement makes the report of the settlement that the address names.
func (d *Door) readSettlement(v *visit) (*settlement.Report, error) {
	q := v.URL.Query()
	merchant := q.Get("merchant")
	if err := v.mine(merchant); err != nil || d.Directory.Current().Merchant(merchant) == nil {
		return nil, errNotFound
	}
	r, err := d.Admin.Settler.Of(v.Context(), payout.Key{Merchant: merchant, WithdrawalID: q.Get("id")})
	var refusal *settlement.Refusal
	if errors.Is(err, settlement.ErrNone) || errors.As(err, &refusal) {
		return nil, errNotFound
	}
	return r, err
}

func (d *Door) settlementReport(v *visit) error {
	r, err := d.readSettlement(v)
	if err != nil {
		return err
	}
	head := reportHead{
		Tabs: v.reportTabs(), Of: d.merchantName(r.Merchant), Period: r.Settlement, From: r.From, To: r.To, Zone: d.zoneOf(r.Merchant),
		exports: v.exportsOf("/reports/settlement/export"),
	}
	return v.show(page{Name: "report", Wide: true, Body: statementPage{reportHead: head, Report: r}})
}

func (d *Door) settlementExport(v *visit) error {
	r, err := d.readSettlement(v)
	if err != nil {
		return err
	}
	rows := r.Rows()
	return v.sendTable(r.Merchant+"-"+r.Settlement, r.Settlement+" of "+r.Merchant, rows[0], func(row func(...string) error, _ func() error) error {
		for _, cells := range rows[1:] {
			if err := row(cells...); err != nil {
				return err
			}
		}
		return nil
	})
}

// india is the zone of what is no merchant's: of wallets, whose banks are there.
func india(string) *time.Location { return deposit.India }

// walletPage is a wallet's statement.
type walletStatement struct {
	reportHead
	Report *report.Wallet
}

func (v *visit) chooseWallet() (string, report.Period, reportHead, error) {
	var ids []string
	for _, w := range v.door.Directory.Current().Wallets {
		ids = append(ids, w.ID)
	}
	slices.Sort(ids)
	return v.choose("wallet", ids, func(id string) string { return id }, india)
}

func (d *Door) walletReport(v *visit) error {
	wallet, _, head, err := v.chooseWallet()
	if err != nil {
		return err
	}
	body := walletStatement{reportHead: head}
	if !head.Empty {
		if body.Report, err = report.OfWallet(v.Context(), d.Admin.Store, wallet, head.From, head.To); err != nil {
			return err
		}
	}
	return v.show(page{Name: "walletreport", Wide: true, Body: body})
}

func (d *Door) walletExport(v *visit) error {
	wallet, p, head, err := v.chooseWallet()
	if err != nil || head.Empty || head.Problem != "" {
		return errors.Join(errNotFound, err)
	}
	w, err := report.OfWallet(v.Context(), d.Admin.Store, wallet, head.From, head.To)
	if err != nil {
		return err
	}
	return v.sendTable("wallet-"+wallet+"-"+p.String(), "the statement of wallet "+wallet+" for "+p.String(), w.Heads(), func(row func(...string) error, _ func() error) error {
		return w.Write(row, head.Zone)
	})
}

// feesPage is what was earned.
type feesPage struct {
	reportHead
	Report *report.Fees
	Total  report.FeeRow
}

func (v *visit) chooseFees() (report.Period, reportHead, error) {
	_, p, head, err := v.choose("", nil, nil, india)
	return p, head, err
}

func (d *Door) feeReport(v *visit) error {
	_, head, err := v.chooseFees()
	if err != nil {
		return err
	}
	f, err := report.OfFees(v.Context(), d.Admin.Store, head.From, head.To)
	if err != nil {
		return err
	}
	return v.show(page{Name: "fees", Wide: true, Body: feesPage{head, f, f.Total()}})
}

func (d *Door) feeExport(v *visit) error {
	p, head, err := v.chooseFees()
	if err != nil || head.Problem != "" {
		return errors.Join(errNotFound, err)
	}
	f, err := report.OfFees(v.Context(), d.Admin.Store, head.From, head.To)
	if err != nil {
		return err
	}
	return v.sendTable("fees-"+p.String(), "the fees of "+p.String(), f.Heads(), func(row func(...string) error, _ func() error) error {
		return f.Write(row, head.Zone)
	})
}

// reconciliationPage compares a wallet's statements with the books.
type reconciliationPage struct {
	reportHead
	Rows []reconciled
}

// reconciled is a statement, and what it and the books do not have in common.
type reconciled struct {
	*report.Reconciliation
	Apart      money.Paise
	Comparable bool // the statement has balances
	Lines      []difference
	More       bool
}

// difference is a line or a credit that is on one side alone.
type difference struct {
	Kind   string // open, unseen or contested
	Number int64  // of the line, or the credit
	At     time.Time
	Amount money.Paise
	UTR    string
	Why    string
}

// Of a wallet the last statements are compared, as milaan reconcile does, and of
// each so many differences are shown.
const (
	lastStatements  = 12
	mostDifferences = 50
)

func differences(r *report.Reconciliation) (list []difference) {
	for i := range r.Open {
		l := &r.Open[i]
		amount := l.Amount
		list = append(list, difference{"open", int64(l.Number), l.At, amount, string(l.UTR), string(l.Outcome.Result) + " " + l.Outcome.Why})
	}
	for _, c := range r.Unseen {
		list = append(list, difference{"unseen", c.ID, c.At, c.Amount, string(c.UTR), c.Feed})
	}
	for _, c := range r.Contested {
		list = append(list, difference{"contested", c.ID, c.At, c.Amount, string(c.UTR), c.Feed})
	}
	return list
}

// statementsOf reads of which wallet statements are compared.
func (v *visit) statementsOf() (wallet *directory.Wallet, head reportHead, err error) {
	head = reportHead{Tabs: v.reportTabs(), Zone: deposit.India, exports: v.exportsOf("/reports/reconciliation/export")}
	wallets := slices.Clone(v.door.Directory.Current().Wallets)
	slices.SortFunc(wallets, func(a, b *directory.Wallet) int { return strings.Compare(a.ID, b.ID) })
	if len(wallets) == 0 {
		head.Empty = true
		return nil, head, nil
	}
	id := v.URL.Query().Get("wallet")
	choice := field{Name: "wallet", Label: v.T("reports.wallet"), Type: "select"}
	for _, w := range wallets {
		if wallet == nil && (id == "" || id == w.ID) {
			wallet = w
		}
		choice.Options = append(choice.Options, option{w.ID, w.ID, wallet == w})
	}
	if wallet == nil {
		return nil, head, errNotFound
	}
	head.Of, head.Filter.Fields = wallet.ID, []field{choice}
	return wallet, head, nil
}

// reconcileEach compares a wallet's last statements with the books, the newest
// first.
func (d *Door) reconcileEach(v *visit, wallet string, each func(*report.Reconciliation) error) error {
	statements, err := d.Admin.Store.Statements(v.Context(), wallet, lastStatements)
	if err != nil {
		return err
	}
	for _, s := range statements {
		r, err := d.Admin.Store.Reconcile(v.Context(), s)
		if err != nil {
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func (d *Door) reconciliation(v *visit) error {
	wallet, head, err := v.statementsOf()
	if err != nil {
		return err
	}
	body := reconciliationPage{reportHead: head}
	if wallet != nil {
		err = d.reconcileEach(v, wallet.ID, func(r *report.Reconciliation) error {
			one := reconciled{Reconciliation: r, Lines: differences(r)}
			one.Apart, one.Comparable = r.Difference()
			if one.More = len(one.Lines) > mostDifferences || r.MoreOpen || r.MoreUnseen || r.MoreContested; len(one.Lines) > mostDifferences {
				one.Lines = one.Lines[:mostDifferences]
			}
			body.Rows = append(body.Rows, one)
			return nil
		})
	}
	if err != nil {
		return err
	}
	return v.show(page{Name: "reconciliation", Wide: true, Body: body})
}

func (d *Door) reconciliationExport(v *visit) error {
	wallet, head, err := v.statementsOf()
	if err != nil || wallet == nil {
		return errors.Join(errNotFound, err)
	}
	heads := []string{"statement", "file", "from", "to", "entry", "number", "time", "utr", "amount", "why"}
	return v.sendTable("reconciliation-"+wallet.ID, "the reconciliation of wallet "+wallet.ID, heads, func(row func(...string) error, more func() error) error {
		return d.reconcileEach(v, wallet.ID, func(r *report.Reconciliation) error {
			s := &r.Statement
			put := func(entry, number, at, utr, amount, why string) error {
				return row(strconv.FormatInt(s.ID, 10), s.Name, v.Date(s.From, head.Zone), v.Date(s.To, head.Zone), entry, number, at, utr, amount, why)
			}
			sums := []struct {
				name   string
				amount *money.Paise
			}{{"opening", s.Opening}, {"credits", &r.Credits}, {"other_income", &r.Income}, {"debits", new(-r.Debits)}, {"closing", s.Closing}}
			if apart, ok := r.Difference(); ok {
				sums = append(sums, struct {
					name   string
					amount *money.Paise
				}{"not_in_the_books", &apart})
			}
			for _, sum := range sums {
				if sum.amount == nil {
					continue
				}
				if err := put(sum.name, "", "", "", sum.amount.Fixed(), ""); err != nil {
					return err
				}
			}
			for _, l := range differences(r) {
				if err := put(l.Kind, fmt.Sprint(l.Number), l.At.In(head.Zone).Format(time.RFC3339), l.UTR, l.Amount.Fixed(), l.Why); err != nil {
					return err
				}
			}
			return more()
		})
	})
}
