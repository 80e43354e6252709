package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/milaan/milaan/internal/audit"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// story is all there is of a payment: what it is, and what happened to it in the
// order of time.
type story struct {
	Amount   money.Paise
	State    cell
	Facts    []fact
	Acts     []act
	Events   []event
	Postings []lookup.Posting
	Body     string // what a postback says
}

type fact struct {
	Name string
	Long bool // it takes a line of its own
	cell
}

// act is something that can be done: a form where it is done at once, a link where
// its page asks first.
type act struct {
	Name, Path string
	Form       bool
	Danger     bool
}

// event is one thing that happened.
type event struct {
	At    time.Time
	Name  string
	Tone  string
	Who   string
	Why   string
	Facts []fact
	Raw   string // a text as it came
	// action is what the audit log calls it; its note tells who did it and why.
	action string
	match  *lookup.Deposit // whose match insiders are told of
}

// fact adds what is there to be said.
func (v *visit) fact(facts []fact, key string, c cell) []fact {
	if c.Empty() {
		return facts
	}
	return append(facts, fact{v.T("pay.col." + key), key == "match" || key == "reasons" || key == "doubts", c})
}

// facts are pairs of key and cell, without those that are empty.
func (v *visit) facts(pairs ...any) (facts []fact) {
	key := ""
	for _, part := range pairs {
		switch part := part.(type) {
		case string:
			key = part
		case cell:
			facts = v.fact(facts, key, part)
		}
	}
	return facts
}

// mostNotes is how much of the audit log a story tells.
const mostNotes = 200

// showStory shows a story, with what the audit log and the books say of its records.
func (d *Door) showStory(v *visit, s *story, title string, ids ...int64) error {
	ids = slices.DeleteFunc(ids, func(id int64) bool { return id == 0 })
	if v.insider() {
		notes, err := d.Store.NotesOf(v.Context(), ids, mostNotes)
		if err != nil {
			return err
		}
		s.note(v, notes)
		for i := range s.Events {
			if e := &s.Events[i]; e.match != nil {
				e.Facts = append(e.Facts, v.matched(e.match, e.Who != "")...)
			}
		}
		for _, id := range ids {
			postings, err := d.Store.PostingsOf(v.Context(), id)
			if err != nil {
				return err
			}
			s.Postings = append(s.Postings, postings...)
		}
		slices.SortStableFunc(s.Postings, func(a, b lookup.Posting) int { return a.At.Compare(b.At) })
	}
	slices.SortStableFunc(s.Events, func(a, b event) int { return a.At.Compare(b.At) })
	return v.show(page{Name: "payment", Title: title, Wide: true, Body: s})
}

// note puts notes of the audit log to the events they are about; those that are
// about none are events of their own.
func (s *story) note(v *visit, notes []audit.Entry) {
	for _, n := range notes {
		i := slices.IndexFunc(s.Events, func(e event) bool { return e.action == n.Action && e.Who == "" })
		if i < 0 {
			name := n.Action
			if v.Has("pay.action." + n.Action) {
				name = v.T("pay.action." + n.Action)
			}
			s.Events = append(s.Events, event{At: n.At, Name: name, Who: n.Actor, Why: v.why(n.Why)})
			continue
		}
		s.Events[i].Who, s.Events[i].Why = n.Actor, v.why(n.Why)
	}
}

// why says the codes of reasons in words; other texts are as somebody wrote them.
func (v *visit) why(text string) string {
	if text == "" {
		return ""
	}
	var said []string
	for _, code := range deposit.ParseReasons(text) {
		if !v.Has("pay.reason."+string(code)) && !strings.HasPrefix(string(code), "rule:") {
			return text
		}
		said = append(said, v.reason(code))
	}
	return strings.Join(said, " · ")
}

func (v *visit) reason(code deposit.Reason) string {
	if rule, own := strings.CutPrefix(string(code), "rule:"); own {
		return v.T("pay.reason.rule", "rule", rule)
	}
	return v.T("pay.reason." + string(code))
}

func (v *visit) reasons(codes deposit.Reasons) cell {
	said := make([]string, len(codes))
	for i, code := range codes {
		said[i] = v.reason(code)
	}
	return asText(strings.Join(said, " · "))
}

// depositPage tells the story of a deposit, from its claim on.
func (d *Door) depositPage(v *visit, id int64) error {
	p, err := d.Store.FindDepositByID(v.Context(), id)
	if err != nil {
		return missing(err)
	}
	if err := v.mine(p.Merchant); err != nil {
		return err
	}
	s := &story{Amount: p.Amount, State: asState("deposits", string(p.State))}
	if p.State == deposit.Credited {
		s.Amount = p.Deposited
	}
	s.Facts = v.facts("custom", asText(p.CustomID), "utr", asText(string(p.UTR)), "label", asText(p.Label), "merchant", asText(d.merchantName(p.Merchant)),
		"method", asText(p.Method), "claimed", asMoney(p.Amount), "fee", credited(&p, p.Fee), "net", credited(&p, p.Deposited-p.Fee))
	s.Events = append(s.Events, event{At: p.CreatedAt, Name: v.T("pay.event.claim"), Facts: v.facts("claimed", asMoney(p.Amount), "utr", asText(string(p.UTR)))})
	if p.State == deposit.Waiting {
		s.Facts = v.fact(s.Facts, "until", asTime(p.ExpiresAt))
	}
	if v.insider() {
		if err := d.insideDeposit(v, s, &p); err != nil {
			return err
		}
	}
	if !p.SettledAt.IsZero() {
		e := event{At: p.SettledAt, Name: v.T("pay.event." + string(p.State)), Tone: asState("", string(p.State)).Tone(), action: "claim." + string(p.State)}
		if p.State == deposit.Credited {
			e.Facts = v.facts("deposited", asMoney(p.Deposited), "fee", asMoney(p.Fee))
			e.match = &p
		}
		s.Events = append(s.Events, e)
	}
	if p.State == deposit.Credited {
		if err := d.tellPostback(v, s, id); err != nil {
			return err
		}
	}
	if path := v.pageOf("/review/claims/{claim}", p.Merchant, p.ID); path != "" && p.State == deposit.Pending {
		s.Acts = append(s.Acts, act{Name: v.T("pay.act.review"), Path: path})
	}
	return d.showStory(v, s, v.T("page.deposit")+" "+strconv.FormatInt(id, 10), p.CreditID, id)
}

// insideDeposit adds what a claim rests on: how it came, why it is held, and the
// credits of its UTR.
func (d *Door) insideDeposit(v *visit, s *story, p *lookup.Deposit) error {
	claim := &s.Events[0]
	claim.Facts = append(claim.Facts, v.facts("via", asText(p.Via), "shown", asText(strings.Join(p.History.Shown, ", ")))...)
	if p.Addr.IsValid() {
		claim.Facts = v.fact(claim.Facts, "from", asText(staff.Visitor{Addr: p.Addr}.Network()))
	}
	claim.Facts = append(claim.Facts, v.failures(p.History)...)
	s.Facts = append(s.Facts, v.facts("wallet", asText(p.Wallet), "reasons", v.reasons(p.Reasons))...)
	credits, err := d.Store.ListCredits(v.Context(), lookup.Credits{UTR: p.UTR, Limit: 10})
	if err != nil {
		return err
	}
	if p.CreditID != 0 && !slices.ContainsFunc(credits.Items, func(c *deposit.Credit) bool { return c.ID == p.CreditID }) {
		c, err := d.Store.FindCredit(v.Context(), p.CreditID) // of a UTR that was corrected since
		if err != nil {
			return err
		}
		credits.Items = append(credits.Items, c)
	}
	for _, c := range credits.Items {
		name := "pay.event.credit"
		if p.CreditID != 0 && c.ID != p.CreditID {
			name = "pay.event.othercredit"
		}
		if err := d.tellCredit(v, s, c, name); err != nil {
			return err
		}
	}
	return nil
}

// failures say how often those who claim named other UTRs in vain.
func (v *visit) failures(h deposit.History) []fact {
	return v.facts("labelfailures", some(int64(h.LabelFailures)), "addressfailures", some(int64(h.AddressFailures)),
		"merchantfailures", some(int64(max(h.MerchantFailures, h.SharedFailures))))
}

// matched explains why a credit became a deposit. What the gateway decides by
// itself has no note, see lookup.Finder.
func (v *visit) matched(p *lookup.Deposit, byPerson bool) []fact {
	agrees := "pay.match.amount"
	if p.Deposited != p.Amount {
		agrees = "pay.match.actual"
	}
	said := []string{v.T("pay.match.utr"), v.T(agrees)}
	switch {
	case slices.Contains(p.History.Shown, p.Wallet):
		said = append(said, v.T("pay.match.shown"))
	case len(p.History.Shown) == 0:
		said = append(said, v.T("pay.match.vouched"))
	}
	if byPerson {
		said = append(said, v.T("pay.match.person"))
	} else {
		said = append(said, v.T("pay.match.rules"))
	}
	return v.facts("match", asText(strings.Join(said, " · ")))
}

// tellCredit adds a credit, the messages that told of it and the statements that
// show it.
func (d *Door) tellCredit(v *visit, s *story, c *deposit.Credit, name string) error {
	s.Events = append(s.Events, event{At: c.ReceivedAt, Name: v.T(name), action: "credit.received", Facts: v.facts(
		"credit", asNumber(c.ID).to(addressOf("credits", c.ID)), "amount", asMoney(c.Amount), "state", asState("credits", string(c.State)), "wallet", asText(c.Wallet),
		"booked", asTime(c.At), "payer", asText(upi.MaskPayer(c.Payer())), "feed", asText(c.Feed), "trust", asText(v.T("pay.trust."+trust(c))))})
	messages, err := d.Store.MessagesOf(v.Context(), c.ID)
	if err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		e := event{At: m.ReceivedAt, Name: v.T("pay.event.message"), Facts: v.facts("feed", asText(m.Feed), "sender", asText(m.Sender), "template", asText(m.Template))}
		switch {
		case !v.readsRaw():
		case len(m.Raw) == 0:
			e.Facts = v.fact(e.Facts, "raw", asText(v.T("pay.raw.gone")))
		default:
			e.Raw = legible(m.Raw)
		}
		s.Events = append(s.Events, e)
	}
	lines, err := d.Store.LinesOf(v.Context(), c.ID)
	if err != nil {
		return err
	}
	for _, l := range lines {
		e := event{At: l.ImportedAt, Name: v.T("pay.event.line"), Facts: v.facts("file", asText(l.Name), "line", asNumber(int64(l.Number)), "booked", asTime(l.At))}
		if v.readsRaw() {
			e.Raw = legible([]byte(l.Narration))
		}
		s.Events = append(s.Events, e)
	}
	return nil
}

// legible is a text of others as a page may show it, without signs that hide or
// turn what is written. HTML is escaped where it is shown.
func legible(raw []byte) string {
	const most = 8 << 10 // bytes: a page is small
	cut := raw[:min(len(raw), most)]
	shown := strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\u200c', r == '\u200d', unicode.IsPrint(r):
			return r
		case r == '\r':
			return -1
		case r == '\t', unicode.IsSpace(r):
			return ' '
		}
		return '\ufffd'
	}, strings.ToValidUTF8(string(cut), "\ufffd"))
	if len(cut) < len(raw) {
		shown += " …"
	}
	return shown
}

// tellPostback adds a postback and its attempts.
func (d *Door) tellPostback(v *visit, s *story, id int64) error {
	p, err := d.Store.Postback(v.Context(), id)
	if errors.Is(err, postback.ErrNoPostback) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Events = append(s.Events, event{At: p.CreatedAt, Name: v.T("pay.event.postback"), Facts: v.facts(
		"postback", asNumber(p.ID).to(addressOf("postbacks", p.ID)), "state", asState("postbacks", string(p.State)), "next", asTime(p.NextAt))})
	s.attempts(v, p)
	return nil
}

func (s *story) attempts(v *visit, p *postback.Detail) {
	for i := range p.Tries {
		t := &p.Tries[i]
		e := event{At: t.At, Tone: "ok", Name: v.T("pay.event.attempt", "number", strconv.Itoa(t.Number)), Facts: v.facts(
			"answer", some(int64(t.Status)), "latency", asText(t.Latency.Round(time.Millisecond).String()), "error", asText(t.Error))}
		if t.Error != "" {
			e.Tone = "bad"
		}
		if len(t.Answer) > 0 {
			e.Raw = legible(t.Answer)
		}
		s.Events = append(s.Events, e)
	}
}

// creditPage tells the story of a credit.
func (d *Door) creditPage(v *visit, id int64) error {
	c, err := d.Store.FindCredit(v.Context(), id)
	if err != nil {
		return missing(err)
	}
	s := &story{Amount: c.Amount, State: asState("credits", string(c.State))}
	s.Facts = v.facts("utr", asText(string(c.UTR)), "wallet", asText(c.Wallet), "booked", asTime(c.At), "payer", asText(upi.MaskPayer(c.Payer())),
		"note", asText(c.Note), "reference", asText(c.Reference), "trust", asText(v.T("pay.trust."+trust(c))))
	if c.Contested {
		s.Facts = v.fact(s.Facts, "contested", asState("credits", "contested"))
	}
	if path := v.pageOf("/review/credits/{credit}", "", id); path != "" && (c.State == deposit.Unclaimed || c.Contested) {
		s.Acts = append(s.Acts, act{Name: v.T("pay.act.review"), Path: path})
	}
	if err := d.tellCredit(v, s, c, "pay.event.credit"); err != nil {
		return err
	}
	merchants, _ := v.merchants()
	claims, err := d.Store.FindDeposits(v.Context(), merchants, lookup.Deposits{Word: lookup.Word{UTR: c.UTR, ID: c.ClaimID}, Limit: 20})
	if err != nil {
		return err
	}
	for i := range claims {
		p := &claims[i]
		s.Events = append(s.Events, event{At: p.CreatedAt, Name: v.T("pay.event.claimon"), Facts: v.facts(
			"deposit", asNumber(p.ID).to(addressOf("deposits", p.ID)), "state", asState("deposits", string(p.State)), "claimed", asMoney(p.Amount),
			"merchant", asText(d.merchantName(p.Merchant)), "label", asText(p.Label), "reasons", v.reasons(p.Reasons))})
		if p.ID == c.ClaimID && !p.SettledAt.IsZero() {
			s.Facts = v.fact(s.Facts, "deposit", asNumber(p.ID).to(addressOf("deposits", p.ID)))
			s.Events = append(s.Events, event{At: p.SettledAt, Name: v.T("pay.event.credited"), Tone: "ok", action: "claim.credited", match: p})
		}
	}
	return d.showStory(v, s, v.T("page.credit")+" "+strconv.FormatInt(id, 10), id, c.ClaimID)
}

// withdrawalPage tells the story of a withdrawal.
func (d *Door) withdrawalPage(v *visit, id int64) error {
	w, err := d.Store.FindWithdrawal(v.Context(), id)
	if err != nil {
		return missing(err)
	}
	if err := v.mine(w.Merchant); err != nil {
		return err
	}
	s := &story{Amount: w.Amount, State: asState("withdrawals", string(w.State))}
	s.Facts = v.facts("custom", asText(w.WithdrawalID), "label", asText(w.Label), "merchant", asText(d.merchantName(w.Merchant)), "method", asText(w.Method),
		"fee", asMoney(w.Fee), "account", asText(upi.MaskPayer(string(w.Account))), "holder", asText(upi.MaskPayer(w.Name)), "ifsc", asText(string(w.IFSC)), "bankref", asText(w.BankRef))
	if w.Test {
		s.Facts = v.fact(s.Facts, "test", asText(v.T("yes")))
	}
	if v.insider() {
		s.Facts = append(s.Facts, v.facts("reference", asText(w.Reference()), "desk", asText(w.Desk), "wallet", asText(w.Wallet), "providerref", asText(w.ProviderRef),
			"tries", some(int64(w.Tries)), "reasons", asText(strings.Join(w.Reasons, " · ")), "doubts", asText(strings.Join(w.Doubts, " · ")))...)
		if w.Contested {
			s.Facts = v.fact(s.Facts, "contested", asState("credits", "contested"))
		}
	}
	step := func(at time.Time, state payout.State, facts ...fact) {
		if !at.IsZero() {
			e := event{At: at, Name: v.T("pay.event.withdrawal." + string(state)), action: "withdrawal." + string(state), Facts: facts}
			if state.Final() {
				e.Tone = cell{State: string(state)}.Tone()
			}
			if state == payout.New {
				e.action = "withdrawal.created"
			}
			s.Events = append(s.Events, e)
		}
	}
	step(w.CreatedAt, payout.New, v.facts("amount", asMoney(w.Amount), "fee", asMoney(w.Fee))...)
	step(w.ApprovedAt, payout.Approved)
	var sent, end []fact
	if v.insider() {
		sent, end = v.facts("desk", asText(w.Desk), "wallet", asText(w.Wallet)), v.facts("why", asText(w.Why))
	}
	step(w.SentAt, payout.Processing, sent...)
	if w.State != payout.Success { // it came back
		step(w.PaidAt, payout.Success, v.facts("bankref", asText(w.BankRef))...)
	}
	if w.State.Final() {
		step(w.SettledAt, w.State, append(v.facts("bankref", asText(w.BankRef)), end...)...)
	}
	if v.insider() {
		for _, line := range []struct {
			id   int64
			name string
		}{{w.MovementID, "pay.event.movement"}, {w.BackID, "pay.event.back"}} {
			if err := d.tellMovement(v, s, line.id, line.name); err != nil {
				return err
			}
		}
	}
	told, err := d.Store.FindPostbacks(v.Context(), []int64{id})
	if err != nil {
		return err
	}
	for i := range told {
		if told[i].ID != id {
			if err := d.tellPostback(v, s, told[i].ID); err != nil {
				return err
			}
		}
	}
	if path := v.pageOf("/payouts/{withdrawal}", w.Merchant, id); path != "" && (!w.State.Final() || w.Contested) {
		s.Acts = append(s.Acts, act{Name: v.T("pay.act.payout"), Path: path})
	}
	return d.showStory(v, s, v.T("page.withdrawal")+" "+strconv.FormatInt(id, 10), id, w.MovementID, w.BackID)
}

// tellMovement adds a line of a statement that is no payment; none where the
// number is zero.
func (d *Door) tellMovement(v *visit, s *story, id int64, name string) error {
	if id == 0 {
		return nil
	}
	m, err := d.Store.FindMovement(v.Context(), id)
	if errors.Is(err, lookup.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	e := event{At: m.ReceivedAt, Name: v.T(name), Facts: v.facts("wallet", asText(m.Wallet), "amount", asMoney(m.Amount), "booked", asTime(m.At))}
	if v.readsRaw() {
		e.Raw = legible([]byte(m.Narration))
	}
	s.Events = append(s.Events, e)
	return nil
}

// postbackPage tells the story of a postback.
func (d *Door) postbackPage(v *visit, id int64) error {
	p, err := d.Store.Postback(v.Context(), id)
	if err != nil {
		return missing(err)
	}
	if err := v.mine(p.Merchant); err != nil {
		return err
	}
	s := &story{Amount: p.Amount, State: asState("postbacks", string(p.State))}
	s.Facts = v.facts("kind", asState("kind", string(p.Kind())), "custom", asText(p.CustomID), "merchant", asText(d.merchantName(p.Merchant)),
		"next", asTime(p.NextAt), "delivered", asTime(p.DeliveredAt))
	about := "deposits"
	subject := p.ID
	if p.Kind() == postback.OfWithdrawal {
		about = "withdrawals"
		w, err := d.Store.FindWithdrawalByKey(v.Context(), payout.Key{Merchant: p.Merchant, WithdrawalID: p.CustomID})
		if err != nil {
			return missing(err)
		}
		subject = w.ID
		s.Facts = v.fact(s.Facts, "told", asState("withdrawals", p.Told))
	}
	s.Facts = v.fact(s.Facts, "about", asNumber(subject).to(addressOf(about, subject)))
	s.Events = append(s.Events, event{At: p.CreatedAt, Name: v.T("pay.event.postback")})
	s.attempts(v, p)
	if v.user.May(staff.RunPostbacks, p.Merchant) {
		if s.Body, err = d.bodyOf(v.Context(), id); err != nil {
			return err
		}
		s.Acts = append(s.Acts, act{Name: v.T("pay.act.resend"), Path: addressOf("postbacks", id) + "/resend", Form: true})
		more, err := d.endpointActs(v, p.Merchant)
		if err != nil {
			return err
		}
		s.Acts = append(s.Acts, more...)
	}
	notes, err := d.Store.NotesOf(v.Context(), []int64{id}, mostNotes)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if n.Action == "postback.resent" {
			e := event{At: n.At, Name: v.T("pay.action.postback.resent")}
			if v.insider() {
				e.Who = n.Actor
			}
			s.Events = append(s.Events, e)
		}
	}
	return d.showStory(v, s, v.T("page.postback")+" "+strconv.FormatInt(id, 10))
}

// bodyOf is what a postback says, without what its receiver proves it by, and
// with the number of an account masked.
func (d *Door) bodyOf(ctx context.Context, id int64) (string, error) {
	p, err := d.Postbacks.Inspect(ctx, id)
	if err != nil {
		return "", err
	}
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(p.Body)))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return "", err
	}
	delete(fields, "signature")
	delete(fields, "access_key")
	shown, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return "", err
	}
	body := string(shown)
	if w := p.Event.Payment; w != nil {
		for _, own := range []string{w.AccountNumber, w.AccountName} {
			if own != "" {
				body = strings.ReplaceAll(body, own, upi.MaskPayer(own))
			}
		}
	}
	return legible([]byte(body)), nil
}

// endpointActs are what can be done about a merchant's endpoint as it is.
func (d *Door) endpointActs(v *visit, merchant string) (acts []act, err error) {
	if !v.user.May(staff.RunPostbacks, merchant) {
		return nil, nil
	}
	endpoints, err := d.Postbacks.Endpoints(v.Context())
	if err != nil {
		return nil, err
	}
	standing := postback.EndpointOpen
	for i := range endpoints {
		if endpoints[i].Merchant == merchant {
			standing = endpoints[i].State
		}
	}
	path := base + "/merchants/" + url.PathEscape(merchant) + "/postbacks/"
	pause := act{Name: v.T("pay.act.pause"), Path: path + "pause", Danger: true}
	switch standing {
	case postback.EndpointPaused:
		return []act{{Name: v.T("pay.act.resume"), Path: path + "resume", Form: true}}, nil
	case postback.EndpointFailing, postback.EndpointDisabled:
		return []act{{Name: v.T("pay.act.enable"), Path: path + "enable", Form: true}, pause}, nil
	default:
		return []act{pause}, nil
	}
}
