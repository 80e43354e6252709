//go:build unix

package soak_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/money"
)

// call is a request to whichever gateway answers.
type call struct {
	method, path, bearer, body string
	header                     map[string]string
	want                       int    // status of the answer; 200 where it is 0
	kind                       string // whose time is taken; none where it is empty
	late                       bool   // without an answer, it is tried again much later
}

// reply is an answer.
type reply struct {
	status int
	here   string // Location or Content-Location
	body   []byte
	again  bool // it was not answered at first
}

var errUnexpected = errors.New("an answer that was not expected")

// ask makes a call until it is answered: by the next gateway where one does not
// answer, or says that it can't now. That is what a load balancer and a client
// that repeats do.
func (s *soak) ask(ctx context.Context, c call) (reply, error) {
	for try := 0; ; try++ {
		g := s.choose()
		start := time.Now()
		r, err := s.once(ctx, g, c)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			s.watch.failed(ctx, err)
			g.shunned.Store(time.Now().Add(500 * time.Millisecond).UnixNano())
		case r.status == http.StatusTooManyRequests || r.status >= http.StatusInternalServerError:
			s.watch.turned(r.status)
		case r.status == c.want || c.want == 0 && r.status == http.StatusOK:
			s.watch.answered(c.kind, time.Since(start))
			r.again = try > 0
			return r, nil
		default:
			return r, fmt.Errorf("%w: %s %s answered %d %s", errUnexpected, c.method, c.path, r.status, clip(r.body))
		}
		wait := time.Duration(50+rand.IntN(200)) * time.Millisecond << min(try, 3)
		if c.late {
			wait = s.later/2 + rand.N(s.later)
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func clip(b []byte) string { return string(b[:min(len(b), 300)]) }

// choose takes turns among the gateways that answered lately.
func (s *soak) choose() *gateway {
	now := time.Now().UnixNano()
	for range s.gateways {
		g := s.gateways[int(s.turn.Add(1))%len(s.gateways)]
		if g.shunned.Load() < now {
			return g
		}
	}
	return s.gateways[int(s.turn.Add(1))%len(s.gateways)]
}

func (s *soak) once(ctx context.Context, g *gateway, c call) (r reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, "http://"+g.addr+c.path, strings.NewReader(c.body))
	if err != nil {
		return r, err
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	res, err := s.web.Do(req)
	if err != nil {
		return r, err
	}
	defer func() { _ = res.Body.Close() }()
	r.status, r.here = res.StatusCode, res.Header.Get("Location")+res.Header.Get("Content-Location")
	r.body, err = io.ReadAll(res.Body)
	return r, err
}

// pay lives a payment through.
func (s *soak) pay(ctx context.Context, o order) error {
	switch o.kind {
	case known:
		if err := s.report(ctx, o); err != nil || !s.sleep(ctx, o.pause/10) {
			return err
		}
		if err := s.claim(ctx, o, "ok"); err != nil || !o.thief {
			return err
		}
		return s.steal(ctx, o)
	case early:
		if err := s.claim(ctx, o, "possible_transaction_created"); err != nil || !s.sleep(ctx, o.pause) {
			return err
		}
		return s.report(ctx, o)
	case visited:
		if err := s.visit(ctx, o); err != nil || !s.sleep(ctx, o.pause) {
			return err
		}
		return s.report(ctx, o)
	case listed:
		err := s.claim(ctx, o, "possible_transaction_created")
		if err == nil {
			s.accounts[o.shop].list(o)
		}
		return err
	case unclaimed:
		return s.report(ctx, o)
	case mistyped:
		return s.claim(ctx, o, "possible_transaction_created")
	default:
		if err := s.forge(ctx, o); err != nil {
			return err
		}
		return s.claim(ctx, o, "possible_transaction_created")
	}
}

// sleep reports false when there is no time left.
func (s *soak) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// credit is the call by which a feed tells of a payment.
func (s *soak) credit(o order, id string) call {
	m := merchants[o.shop].id
	c := call{method: http.MethodPost, path: "/feeds/" + m + "-" + id, kind: "report", late: !o.eager}
	switch id {
	case "phone", "signed":
		c.body = forwarded("VM-HDFCBK-S", alert(o))
		if id == "signed" {
			c.header = signed(c.body)
			break
		}
		c.bearer = "token-phone"
	default:
		c.bearer = "token-" + id
		c.body = fmt.Sprintf(`{"credits":[{"utr":%q,"amount":%q,"payer_vpa":%q}]}`, o.utr(), o.amount.Fixed(), o.payer())
	}
	return c
}

// report has one feed of the account, or two at once, tell of the payment.
func (s *soak) report(ctx context.Context, o order) error {
	feeds := []string{[]string{"bank", "phone", "signed"}[o.phone]}
	if o.both {
		feeds = append(feeds, "second")
	}
	said := make([]error, len(feeds))
	var all sync.WaitGroup
	for i, id := range feeds {
		all.Go(func() {
			c := s.credit(o, id)
			sum, again, err := s.tell(ctx, c)
			// A signed message that was taken, and whose answer was lost, is answered as one
			// that brings nothing. Whether it was is looked at in the end.
			if taken := id == "signed" && again && len(sum.Refused) == 0; err == nil && sum.Accepted+sum.Duplicate != 1 && !taken {
				err = fmt.Errorf("%w: %s answered %+v of payment %d", errUnexpected, c.path, sum, o.n)
			}
			if said[i] = err; err != nil {
				return
			}
			s.books.reported(o.n)
			if id == "signed" {
				s.heard.Store(&c)
			}
		})
	}
	all.Wait()
	if err := errors.Join(said...); err != nil {
		return err
	}
	s.accounts[o.shop].book(o)
	return nil
}

// tell makes a report, and reads the summary it is answered with. Again says
// that it was not answered at first.
func (s *soak) tell(ctx context.Context, c call) (sum feed.Summary, again bool, err error) {
	r, err := s.ask(ctx, c)
	if err != nil {
		return sum, false, err
	}
	return sum, r.again, json.Unmarshal(r.body, &sum)
}

// alert is the bank's SMS of a payment.
func alert(o order) string { return alertOf(account(o.shop), o) }

func alertOf(account string, o order) string {
	return fmt.Sprintf("Credit Alert!\nRs.%s credited to HDFC Bank A/c xx%s on %s from VPA %s (UPI %s)",
		o.amount.Fixed(), account[len(account)-4:], today("02-01-06"), o.payer(), o.utr())
}

// today is the day in India.
func today(layout string) string { return time.Now().In(feed.India()).Format(layout) }

// forwarded is what a phone's app posts of an SMS.
func forwarded(sender, text string) string {
	body, err := json.Marshal(map[string]any{"from": sender, "text": text, "sentStamp": time.Now().UnixMilli()})
	if err != nil {
		panic(err) // texts always can
	}
	return string(body)
}

// signed are the headers of an app that signs, of scheme milaan.
func signed(body string) map[string]string {
	stamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), fmt.Sprintf("nonce-%020d", rand.Uint64())
	sum := hmac.New(sha256.New, []byte("secret-of-signed"))
	_, _ = io.WriteString(sum, stamp+"\n"+nonce+"\n"+body) // a hash never fails
	return map[string]string{"X-Milaan-Timestamp": stamp, "X-Milaan-Nonce": nonce, "X-Milaan-Signature": hex.EncodeToString(sum.Sum(nil))}
}

// claim names a UTR, as the merchant's server does, and checks the outcome.
func (s *soak) claim(ctx context.Context, o order, want string) error {
	return s.claimAs(ctx, o, o.id(), want, func() { s.books.claimed(o.n) })
}

// steal names a UTR that is credited already.
func (s *soak) steal(ctx context.Context, o order) error {
	return s.claimAs(ctx, o, "thief-"+o.id(), "fail", func() { s.books.count1(&s.books.thieves) })
}

func (b *books) count1(what *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*what++
}

// activation is the call by which a merchant's server names a UTR.
func (s *soak) activation(o order, id string) call {
	return call{method: http.MethodPost, path: "/api/v1/transaction/activate", bearer: "secret-" + merchants[o.shop].id, kind: "claim", late: !o.eager,
		body: fmt.Sprintf(`{"currency_code":"INR","wallet_type":"upi_l","label":%q,"key1":%q,"amount":%s,"custom_transaction_id":%q}`, o.label(), o.utr(), o.amount.Fixed(), id)}
}

func (s *soak) claimAs(ctx context.Context, o order, id, want string, done func()) error {
	c := s.activation(o, id)
	times := 1
	if o.twice {
		times = 2
		s.books.count1(&s.books.repeats)
	}
	said := make([]error, times)
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() {
			r, err := s.ask(ctx, c)
			if err == nil {
				err = s.mustSay(r.body, want, o)
			}
			said[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(said...); err != nil {
		return err
	}
	done()
	return nil
}

// mustSay checks an outcome and, where there is one, its amount.
func (s *soak) mustSay(body []byte, want string, o order) error {
	var said struct {
		Status string      `json:"status"`
		Amount money.Paise `json:"deposit_amount"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return err
	}
	if said.Status != want || want == "ok" && said.Amount != o.amount {
		return fmt.Errorf("%w: claim of payment %d (%s, %s) is answered %s, want %s", errUnexpected, o.n, kinds[o.kind], o.amount, clip(body), want)
	}
	return nil
}

// visit opens the window and types the UTR there.
func (s *soak) visit(ctx context.Context, o order) error {
	r, err := s.ask(ctx, call{method: http.MethodGet, kind: "window", late: !o.eager, path: "/pay?" + url.Values{
		"merchant": {merchants[o.shop].id}, "label": {o.label()}, "currency_code": {"INR"}, "wallet_type": {"upi_l"},
		"fixed_amount": {o.amount.Fixed()}, "custom_transaction_id": {o.id()},
	}.Encode()})
	if err != nil {
		return err
	}
	page := r.here
	if !strings.HasPrefix(page, "/pay/") {
		return fmt.Errorf("%w: the window of payment %d leads to %q", errUnexpected, o.n, page)
	}
	if !s.sleep(ctx, o.pause/4) {
		return ctx.Err()
	}
	if _, err := s.ask(ctx, call{method: http.MethodPost, path: page + "/utr", body: url.Values{"utr": {o.utr()}}.Encode(), kind: "window",
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, want: http.StatusSeeOther}); err != nil {
		return err
	}
	r, err = s.status(ctx, o)
	if err == nil {
		err = s.mustSay(r.body, "possible_transaction_created", o)
	}
	if err != nil {
		return err
	}
	s.books.claimed(o.n)
	// The payer looks on for a while; when that ends, and how, does not matter.
	looking, cancel := context.WithTimeout(ctx, 2*o.pause)
	s.looking.Go(func() {
		defer cancel()
		_, _ = s.once(looking, s.choose(), call{method: http.MethodGet, path: page + "/events"})
	})
	return nil
}

func (s *soak) status(ctx context.Context, o order) (reply, error) {
	return s.ask(ctx, call{method: http.MethodGet, bearer: "secret-" + merchants[o.shop].id,
		path: "/api/v1/transaction/status?custom_transaction_id=" + url.QueryEscape(o.id())})
}

// forge tells of money that never came, in one of a forger's ways.
func (s *soak) forge(ctx context.Context, o order) error {
	m := merchants[o.shop].id
	post := call{method: http.MethodPost, path: "/feeds/" + m + "-phone", bearer: "token-phone"}
	switch o.n % 8 {
	case 0: // a sender who is no bank
		post.body = forwarded("+919812345678", alert(o))
	case 1: // one that looks like one
		post.body = forwarded("VM-HDFC8K", alert(o))
	case 2: // a promotion
		post.body = forwarded("VM-HDFCBK-P", alert(o))
	case 3: // another account's
		post.body = forwarded("VM-HDFCBK-S", alertOf("50100012340000", o))
	case 4: // the bank's words by somebody who does not know the token
		post.body, post.bearer, post.want = forwarded("VM-HDFCBK-S", alert(o)), "token-guess", http.StatusNotFound
	case 5: // the same to the bank's own feed
		post = s.credit(o, "bank")
		post.bearer, post.want = "token-guess", http.StatusNotFound
	case 6: // signed by another key
		post = s.credit(o, "signed")
		post.header["X-Milaan-Signature"], post.want = strings.Repeat("5a", sha256.Size), http.StatusNotFound
	default: // a message that was heard on its way: changed, then replayed as it was
		heard := s.heard.Load()
		if heard == nil {
			return nil
		}
		post = *heard
		post.body, post.want = forwarded("VM-HDFCBK-S", alert(o)), http.StatusNotFound
		again, err := s.tellAnyhow(ctx, *heard)
		if err != nil {
			return err
		}
		if again.Accepted > 0 {
			return fmt.Errorf("%w: a replay to %s was answered %+v", errUnexpected, heard.path, again)
		}
		s.books.count1(&s.books.replays)
	}
	post.kind = ""
	sum, err := s.tellAnyhow(ctx, post)
	if err != nil {
		return err
	}
	if sum.Accepted+sum.Duplicate > 0 {
		return fmt.Errorf("%w: %s answered %+v of payment %d, which is forged", errUnexpected, post.path, sum, o.n)
	}
	s.books.count1(&s.books.forgeries)
	return nil
}

// tellAnyhow makes a report that may be answered as if there were no feed.
func (s *soak) tellAnyhow(ctx context.Context, c call) (sum feed.Summary, err error) {
	want := c.want
	c.want, c.kind = 0, ""
	r, err := s.ask(ctx, c)
	if errors.Is(err, errUnexpected) && r.status == http.StatusNotFound {
		return sum, nil
	}
	if err == nil && want == http.StatusNotFound {
		err = fmt.Errorf("%w: %s answered %s, and is not to be believed", errUnexpected, c.path, clip(r.body))
	}
	if err != nil {
		return sum, err
	}
	return sum, json.Unmarshal(r.body, &sum)
}

// ledger is the bank's own book of an account: what statements are made from.
type ledger struct {
	shop int

	mu      sync.Mutex
	rows    []line
	balance money.Paise
	sent    int // rows that a statement had
	charges int
}

type line struct {
	order
	amount, balance money.Paise // below zero it went out
	charge          bool
}

// book writes down what another feed told of already.
func (l *ledger) book(o order) { l.write(line{order: o, amount: o.amount}) }

// list writes down what statements alone will tell of.
func (l *ledger) list(o order) { l.write(line{order: o, amount: o.amount}) }

func (l *ledger) write(row line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance += row.amount
	row.balance = l.balance
	l.rows = append(l.rows, row)
	if len(l.rows)%200 == 0 {
		l.balance -= chargeOf
		l.rows = append(l.rows, line{charge: true, amount: -chargeOf, balance: l.balance})
	}
}

// statement is the file of what came since the last one, and of some before it,
// as HDFC Bank's site gives it.
func (l *ledger) statement() (text string, rows []line, upTo int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	upTo = len(l.rows)
	rows = l.rows[max(0, l.sent-50):upTo]
	var f strings.Builder
	f.WriteString("Date,Narration,Value Dat,Debit Amount,Credit Amount,Chq/Ref Number,Closing Balance\n")
	day := today("02/01/06")
	for _, r := range rows {
		what, out, in := "UPI-PAYER-"+strings.ToUpper(r.payer())+"-UTIB0000123-"+r.utr()+"-RENT", "0.00", r.amount.Fixed()
		if r.charge {
			what, out, in = "SMS CHARGES", (-r.amount).Fixed(), "0.00"
		}
		fmt.Fprintf(&f, "%s,%s,%s,%s,%s,0,%s\n", day, what, day, out, in, r.balance.Fixed())
	}
	return f.String(), rows, upTo
}

// send uploads a statement, sometimes at both gateways at once.
func (l *ledger) send(ctx context.Context, s *soak) error {
	text, rows, upTo := l.statement()
	if upTo == l.sent {
		return nil
	}
	c := call{method: http.MethodPost, path: "/feeds/" + merchants[l.shop].id + "-file", bearer: "token-file", body: text, kind: "statement",
		header: map[string]string{"Content-Type": "text/csv"}}
	said := make([]error, 1+rand.IntN(2))
	var all sync.WaitGroup
	for i := range said {
		all.Go(func() {
			sum, _, err := s.tell(ctx, c)
			if err == nil && len(sum.Refused) > 0 {
				err = fmt.Errorf("%w: a statement of %s is answered %+v", errUnexpected, merchants[l.shop].id, sum)
			}
			said[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(said...); err != nil {
		return err
	}
	for _, r := range rows {
		if !r.charge && r.kind == listed {
			s.books.reported(r.n)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rows[l.sent:upTo] {
		if r.charge {
			l.charges++
		}
	}
	l.sent = upTo
	return nil
}

// statements uploads every account's statement again and again.
func (s *soak) statements(ctx context.Context, every time.Duration) {
	for s.sleep(ctx, every/time.Duration(len(s.accounts))) {
		l := s.accounts[int(s.uploads.Add(1))%len(s.accounts)]
		if err := l.send(ctx, s); err != nil && ctx.Err() == nil {
			s.wrong("statement: %v", err)
		}
	}
}

// withdraw asks for a withdrawal of one of the first two merchants.
func (s *soak) withdraw(ctx context.Context, n int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(n)<<32))
	ends := []string{"01", "02", "03", "04", "05"}[pick[int](r, 70, 14, 8, 4, 4)]
	out := &payout{shop: n % 2, id: "w" + strconv.Itoa(n), amount: money.Paise(5_00 + r.Int64N(20_00)), ends: ends}
	m := merchants[out.shop].id
	for try := 0; ctx.Err() == nil; try++ {
		g := s.choose()
		c, err := client.New(client.Config{API: "http://" + g.addr, Merchant: m, Secret: "secret-" + m, WithdrawalKey: "withdraw-" + m, HTTP: s.web, Timeout: 5 * time.Second, Retries: -1})
		if err != nil {
			s.wrong("withdraw: %v", err)
			return
		}
		s.books.promise(out) // before its postback can come
		_, err = c.Withdraw(ctx, client.Withdrawal{ID: out.id, Label: "payer-" + strconv.Itoa(n), Amount: out.amount,
			AccountNumber: fmt.Sprintf("%010d%s", 1_000_000_000+n, out.ends), AccountName: "Asha Rao", IFSC: "HDFC0000001"})
		switch {
		case err == nil:
			return
		case errors.Is(err, client.ErrInsufficientBalance):
			s.books.forget(out.id)
			return
		case errors.Is(err, client.ErrUncertain):
		case isTurned(err):
		case ctx.Err() == nil:
			s.wrong("withdrawal %s: %v", out.id, err)
			return
		}
		if !s.sleep(ctx, 200*time.Millisecond<<min(try, 4)) {
			return
		}
	}
}

// isTurned says whether a call was turned away for now.
func isTurned(err error) bool {
	var said *client.Error
	return errors.As(err, &said) && (said.Status == http.StatusTooManyRequests || said.Status >= http.StatusInternalServerError)
}

func (b *books) promise(p *payout) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.payouts[p.id] = p
}

func (b *books) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.payouts, id)
}

// settle pays the second merchant some of its balance, approved by somebody else
// than who asked.
func (s *soak) settle(ctx context.Context, n int) {
	id := "s" + strconv.Itoa(n)
	out := &payout{shop: 1, id: "settlement-" + id, amount: money.Paise(100_00 + 100*int64(n)), ends: "01"}
	s.books.promise(out)
	said, err := s.command(ctx, "settle", merchants[1].id, "--amount", out.amount.Fixed(), "--id", id, "--actor", "asha")
	if err != nil {
		if strings.Contains(said, "can now") { // the balance is less
			s.books.forget(out.id)
			return
		}
		s.wrong("settle: %v", err)
		return
	}
	for line := range strings.Lines(said) {
		if number, found := strings.CutPrefix(line, "payout "); found && strings.Contains(line, "approve") {
			if _, err := s.command(ctx, "payout", "approve", strings.Fields(number)[0], "--actor", "ravi"); err != nil {
				s.wrong("approve a settlement: %v", err)
			}
		}
	}
}
