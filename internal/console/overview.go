package console

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
)

// overviewRoutes are the first page, and that of one merchant.
var overviewRoutes = []route{
	{pattern: "GET /{$}", name: "page.overview", scope: ofMerchants, needs: staff.SeePayments, menu: true},
	{pattern: "GET /merchants/{merchant}", name: "page.overview", scope: ofMerchant, needs: staff.SeePayments},
}

func (d *Door) overview() handlers {
	return handlers{
		"GET /{$}":                  d.overviewPage,
		"GET /merchants/{merchant}": d.overviewPage,
	}
}

// overview is what the first page shows: how everything is, and how today goes.
type overview struct {
	At       time.Time
	All      bool   // of the whole installation
	one      string // the merchant's id, where it is one's
	Merchant string // whose it is, where it is one's
	Others   []merchantLink

	Backlog   deposit.Backlog
	Contested int // bound credits that a bank contests, up to mostContested
	Outbox    lookup.Outbox
	Endpoints []postback.Endpoint // that are not simply sent to
	Feeds     []health.Health
	Wallets   []walletHolds
	Held      money.Paise // on all wallets
	Available money.Paise // a merchant's
	OnHold    money.Paise

	Until   string // the time of day up to which the days are compared
	Figures []figure
	Hours   *chart
	Days    *chart
}

// List is the address of a list, narrowed to a state and to whose overview it is.
func (o overview) List(name, state string) string {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	if o.one != "" {
		query.Set("merchant", o.one)
	}
	return (&url.URL{Path: base + "/" + name, RawQuery: query.Encode()}).String()
}

type merchantLink struct{ Name, Path string }

type walletHolds struct {
	ID, Name string
	Balance  money.Paise
}

// figure is a line of the comparison.
type figure struct {
	Name, Today, Yesterday, LastWeek string
	Change                           string // against yesterday; empty where there is nothing to compare
}

const (
	mostContested = 100
	mostHolds     = 20 // wallets that are listed
	daysShown     = 14
)

// overviewPage shows how it is: of the installation, of a user's one merchant, or of
// the one that the address names.
func (d *Door) overviewPage(v *visit) error {
	ids, all := v.merchants()
	one := v.PathValue("merchant")
	if one == "" && !all {
		one = ids[0]
	}
	o := overview{At: v.now, All: one == "", one: one}
	if one != "" {
		o.Merchant = d.merchantName(one)
	}
	for _, id := range ids {
		if id != one {
			o.Others = append(o.Others, merchantLink{d.merchantName(id), base + "/merchants/" + id})
		}
	}
	loads := []func(*visit, *overview, string) error{d.loadOpen, d.loadTold, d.loadDays}
	if o.All {
		loads = append(loads, d.loadWorks)
	}
	for _, load := range loads {
		if err := load(v, &o, one); err != nil {
			return err
		}
	}
	return v.show(page{Name: "overview", Wide: true, Body: o})
}

// loadOpen loads what is not settled yet, and a merchant's balance.
func (d *Door) loadOpen(v *visit, o *overview, merchant string) (err error) {
	if o.Backlog, err = d.Store.Backlog(v.Context(), merchant); err != nil || merchant == "" {
		return err
	}
	o.Available, o.OnHold, err = d.Store.MerchantBalance(v.Context(), merchant)
	return err
}

// loadTold loads how postbacks and webhooks are.
func (d *Door) loadTold(v *visit, o *overview, merchant string) (err error) {
	if o.Outbox, err = d.Store.Outbox(v.Context(), merchant); err != nil {
		return err
	}
	o.Endpoints, err = postback.CurrentEndpoints(v.Context(), d.Store, d.Directory.Current())
	if merchant != "" {
		o.Endpoints = slices.DeleteFunc(o.Endpoints, func(e postback.Endpoint) bool {
			return e.Merchant != merchant && !strings.HasPrefix(e.Merchant, merchant+"/")
		})
	}
	return err
}

// loadWorks loads what is the installation's alone: wallets, feeds, and credits that
// are contested.
func (d *Door) loadWorks(v *visit, o *overview, _ string) error {
	contested, err := d.Store.Disputes(v.Context(), 0, mostContested)
	if err != nil {
		return err
	}
	o.Contested = len(contested)
	balances, err := d.Store.WalletBalances(v.Context())
	if err != nil {
		return err
	}
	for _, w := range d.Directory.Current().Wallets {
		o.Held += balances[w.ID]
		if !w.Retired || balances[w.ID] != 0 {
			o.Wallets = append(o.Wallets, walletHolds{w.ID, w.Name, balances[w.ID]})
		}
	}
	slices.SortStableFunc(o.Wallets, func(a, b walletHolds) int { return cmp.Compare(b.Balance, a.Balance) })
	o.Wallets = o.Wallets[:min(len(o.Wallets), mostHolds)]
	if v.May(staff.SeeWorks) {
		o.Feeds, err = d.feeds.look(v.Context(), d, v.now)
	}
	return err
}

// pulse is how the feeds were when somebody looked last: to judge them takes weeks of
// hours, and pages ask for it over and over.
type pulse struct {
	mu    sync.Mutex
	at    time.Time
	found []health.Health
}

const pulseFor = time.Minute

func (p *pulse) look(ctx context.Context, d *Door, now time.Time) ([]health.Health, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() || now.Sub(p.at).Abs() >= pulseFor {
		found, err := intake.Health(ctx, d.Store, d.Directory.Current(), now)
		if err != nil {
			return nil, err
		}
		p.at, p.found = now, found
	}
	return p.found, nil
}

// loadDays compares today with yesterday and the day a week ago, each up to the same
// time of day: to the end of the quarter of an hour that it is now.
func (d *Door) loadDays(v *visit, o *overview, merchant string) error {
	zone := v.user.Location()
	now := v.now.In(zone)
	end := time.Unix((deposit.QuarterOf(now)+1)*int64(deposit.TallyStep/time.Second), 0).In(zone)
	day := func(back int) time.Time { return time.Date(now.Year(), now.Month(), now.Day()-back, 0, 0, 0, 0, zone) }
	tallies, err := d.Store.Tallies(v.Context(), merchant, day(daysShown-1), end)
	if err != nil {
		return err
	}
	var days [daysShown]deposit.Tally // whole, today's first
	var until [8]deposit.Tally        // up to the time of day that it is now
	var hours [2][24]money.Paise      // today's and yesterday's
	for quarter, t := range tallies {
		at := time.Unix(quarter*int64(deposit.TallyStep/time.Second), 0).In(zone)
		back := 0
		for back < daysShown-1 && at.Before(day(back)) {
			back++
		}
		days[back].Add(&t)
		if back < len(until) && at.Sub(day(back)) < end.Sub(day(0)) {
			until[back].Add(&t) //nolint:gosec // it is looked at above
		}
		if back < len(hours) {
			hours[back][at.Hour()] += t.Amount //nolint:gosec // likewise
		}
	}
	o.Until = v.clock(end)
	o.Figures = v.figures(&until[0], &until[1], &until[7])

	var byHour []point
	for h := range 24 {
		p := point{When: v.clock(day(0).Add(time.Duration(h) * time.Hour)), Amount: hours[0][h], Compared: hours[1][h]}
		if h%6 == 0 {
			p.Mark = day(0).Add(time.Duration(h) * time.Hour).Format("3\u00a0pm")
		}
		byHour = append(byHour, p)
	}
	o.Hours = v.chart("hours", v.T("overview.today"), v.T("overview.yesterday"), byHour)
	var byDay []point
	for back := daysShown - 1; back >= 0; back-- {
		at := day(back)
		p := point{When: v.words.Day(at), Amount: days[back].Amount}
		if back%3 == 0 {
			p.Mark = strconv.Itoa(at.Day()) + "/" + strconv.Itoa(int(at.Month()))
		}
		byDay = append(byDay, p)
	}
	o.Days = v.chart("days", v.T("overview.amount"), "", byDay)
	return nil
}

// clock writes a time of day.
func (*visit) clock(t time.Time) string { return t.Format("3:04\u00a0pm") }

// figures are what days are compared by.
func (v *visit) figures(today, yesterday, lastWeek *deposit.Tally) []figure {
	of := func(key string, say func(t *deposit.Tally) string, count func(t *deposit.Tally) int64) figure {
		f := figure{Name: v.T(key), Today: say(today), Yesterday: say(yesterday), LastWeek: say(lastWeek)}
		if count != nil && count(yesterday) > 0 {
			f.Change = percent(count(today)-count(yesterday), count(yesterday))
		}
		return f
	}
	deposits := func(t *deposit.Tally) int64 { return t.Deposits }
	return []figure{
		of("overview.deposits", func(t *deposit.Tally) string { return v.Count(t.Deposits) }, deposits),
		of("overview.amount", func(t *deposit.Tally) string { return v.Money(t.Amount) }, func(t *deposit.Tally) int64 { return int64(t.Amount) }),
		of("overview.success", func(t *deposit.Tally) string {
			if t.Made == 0 {
				return "–"
			}
			return v.T("overview.success.of", "percent", strconv.FormatInt(t.Won*100/t.Made, 10), "made", v.Count(t.Made))
		}, nil),
		of("overview.half", func(t *deposit.Tally) string { return v.within(t, 50) }, nil),
		of("overview.most", func(t *deposit.Tally) string { return v.within(t, 95) }, nil),
	}
}

// percent writes a change, rounded towards nothing, with its sign.
func percent(change, of int64) string {
	switch n := change * 100 / of; {
	case n > 0:
		return fmt.Sprintf("+%d %%", n)
	case n < 0:
		return fmt.Sprintf("−%d %%", -n)
	default:
		return "±0 %"
	}
}

// within is the bound up to which so many in a hundred deposits took, from the claim
// on.
func (v *visit) within(t *deposit.Tally, share int64) string {
	if t.Deposits <= 0 {
		return "–"
	}
	var sum int64
	for i, n := range t.Waits {
		if sum += n; sum*100 >= t.Deposits*share && i < len(deposit.WaitBounds) {
			return v.T("overview.within", "span", v.Span(deposit.WaitBounds[i]))
		}
	}
	return v.T("overview.longer", "span", v.Span(deposit.WaitBounds[len(deposit.WaitBounds)-1]))
}

// Few writes a count that ended at lookup.MostCounted.
func (v *visit) Few(n int64) string {
	if n >= lookup.MostCounted {
		return v.Count(lookup.MostCounted) + "+"
	}
	return v.Count(n)
}
