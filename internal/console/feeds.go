package console

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/health"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payment"
	"github.com/milaan/milaan/internal/staff"
)

// feedRow is a feed, and how it is.
type feedRow struct {
	feedState
	Health *health.Health // nil of a feed of statements
}

// Unread writes the share of items that were not understood.
func (f feedRow) Unread() string {
	return strconv.FormatInt(f.Health.UnreadRate/10, 10) + "." + strconv.FormatInt(f.Health.UnreadRate%10, 10) + " %"
}

// Lag writes how long the bank's news take.
func (f feedRow) Lag() string { return f.Health.MeanLag.Round(1e9).String() }

// feedList is what the page of feeds shows.
type feedList struct {
	Findings []feedFinding
	Rows     []feedRow
	Next     string
	MayRun   bool
}

// feedFinding is something that is wrong with a feed, and what to do.
type feedFinding struct {
	Feed, Text string
	Status     status
}

// tone orders feeds: those that need somebody come first.
var tones = []string{toneBad, toneWait, toneSoft, toneGood}

// feedsPage shows how feeds are, the worst first.
func (d *Door) feedsPage(v *visit) error {
	states, err := d.health(v)
	if err != nil {
		return err
	}
	body := feedList{MayRun: v.May(staff.RunWorks)}
	for _, f := range d.Directory.Current().Feeds {
		if !f.Retired {
			h := states[f.ID]
			body.Rows = append(body.Rows, feedRow{feedState{f, v.feedStatus(h)}, h})
		}
	}
	rank := func(f feedRow) int { return slices.Index(tones, f.Status.Tone) }
	slices.SortStableFunc(body.Rows, func(a, b feedRow) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID)) })
	from, err := strconv.Atoi(cmp.Or(v.FormValue("after"), "0"))
	if err != nil || from < 0 || from > len(body.Rows) {
		return errNotFound
	}
	body.Rows, body.Next = cut(v, body.Rows[from:], func(feedRow) string { return strconv.Itoa(from + rowsOfPage) })
	for i := range body.Rows {
		if h := body.Rows[i].Health; h != nil {
			for _, found := range h.Findings {
				body.Findings = append(body.Findings, feedFinding{h.Feed, found.Text, body.Rows[i].Status})
			}
		}
	}
	return v.show(page{Name: "feeds", Wide: true, Body: body})
}

// messageRow is a message in a list.
type messageRow struct {
	*deposit.KeptMessage
	Status status
	Text   string // its first words, without names and numbers
}

// shownWords is how many letters of a message a list shows.
const shownWords = 160

func (v *visit) messageRow(m *deposit.KeptMessage) messageRow {
	text := []rune(intake.Anonymise(string(m.Raw)))
	if len(text) > shownWords {
		text = append(text[:shownWords], '…')
	}
	return messageRow{m, v.resultStatus(m.Outcome.Result), string(text)}
}

// resultStatus is what became of a message or line.
func (v *visit) resultStatus(r feed.Result) status {
	tone := toneSoft
	switch r {
	case feed.New:
		tone = toneGood
	case feed.NoUTR, feed.Unread, feed.Refused:
		tone = toneWait
	case feed.Known, feed.Recorded, feed.NotCredit:
	}
	return status{v.T("works.result." + string(r)), tone}
}

// feedSheet is what the page of a feed shows.
type feedSheet struct {
	feedRow
	Address string // that it reports to; empty where its mailbox is read
	Rows    []messageRow
	Next    string
}

func (d *Door) feedPage(v *visit) error {
	f := d.Directory.Current().Feed(v.PathValue("feed"))
	if f == nil {
		return errNotFound
	}
	states, err := d.health(v)
	if err != nil {
		return err
	}
	after, err := v.number("after")
	if err != nil {
		return err
	}
	found, err := d.Works.Store.ListMessages(v.Context(), lookup.Messages{Feed: f.ID, After: after, Limit: rowsOfPage})
	if err != nil {
		return err
	}
	h := states[f.ID]
	body := feedSheet{feedRow: feedRow{feedState{f, v.feedStatus(h)}, h}}
	if f.Retired {
		body.Status = status{v.T("works.retired"), toneSoft}
	}
	if f.Mailbox == nil {
		body.Address = d.origin(v) + "/feeds/" + f.ID
	}
	for i := range found.Items {
		body.Rows = append(body.Rows, v.messageRow(&found.Items[i]))
	}
	if found.Next != nil {
		body.Next = address("/feeds/"+f.ID, "after", strconv.FormatInt(found.Next.ID, 10))
	}
	return v.show(page{Name: "feed", Title: v.T("feeds.title", "feed", f.ID), Wide: true, Body: body})
}

// origin is where the gateway answers, as far as the console knows: it may have a
// host of its own.
func (d *Door) origin(v *visit) string {
	if d.Host != "" {
		return "https://GATEWAY"
	}
	site, _ := v.ownSite()
	return site.Origin
}

// number reads a number of the query; 0 where there is none.
func (v *visit) number(name string) (int64, error) {
	text := v.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errNotFound
	}
	return n, nil
}

// messageList is what the inbox shows.
type messageList struct {
	Filter filter
	Rows   []messageRow
	Next   string
}

// inbox shows the messages that a person should look at, the oldest first.
func (d *Door) inbox(v *visit) error {
	of := v.FormValue("feed")
	after, err := v.number("after")
	if err != nil {
		return err
	}
	found, err := d.Works.Store.Inbox(v.Context(), of, after, rowsOfPage+1)
	if err != nil {
		return err
	}
	choices := []string{"", v.T("works.all")}
	for _, f := range d.Directory.Current().Feeds {
		choices = append(choices, f.ID, f.ID)
	}
	body := messageList{Filter: filter{Fields: []field{{Name: "feed", Label: v.T("feeds.feed"), Type: "select", Options: options(of, choices...)}}}}
	if of != "" {
		body.Filter.Clear = address("/inbox")
	}
	found, body.Next = cut(v, found, func(m deposit.KeptMessage) string { return strconv.FormatInt(m.ID, 10) })
	for i := range found {
		body.Rows = append(body.Rows, v.messageRow(&found[i]))
	}
	return v.show(page{Name: "inbox", Wide: true, Body: body})
}

// messageSheet is what the page of a message shows.
type messageSheet struct {
	messageRow
	Whole bool   // the text is shown as it came, with names and numbers
	Full  string // the text
	Payer string
	Named []deposit.Referral // payments that it names
}

// messagePage shows a message, and what was read of it. Its text as it came is
// for those who run the works: it has names and numbers of payers.
func (d *Door) messagePage(v *visit) error {
	id, err := strconv.ParseInt(v.PathValue("message"), 10, 64)
	if err != nil {
		return errNotFound
	}
	m, err := d.Works.Store.FindMessage(v.Context(), id)
	if errors.Is(err, lookup.ErrNone) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	body := messageSheet{messageRow: v.messageRow(&m), Whole: v.May(staff.RunWorks), Full: string(m.Raw), Payer: v.payer(m.PayerVPA, m.PayerName)}
	if !body.Whole {
		body.Full = intake.Anonymise(body.Full)
	}
	if ref := payment.FindReference(m.Note, m.Reference, string(m.Raw)); ref != "" {
		if body.Named, err = d.Works.Store.FindReferrals(v.Context(), []string{ref}); err != nil {
			return err
		}
	}
	return v.show(page{Name: "message", Title: v.T("feeds.message", "message", strconv.FormatInt(m.ID, 10)), Body: body})
}
