package management_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// actorOf is how the audit log names a key.
func (o *office) actorOf(key string) string {
	o.Helper()
	return fmt.Sprint("key:", mustAsk[management.Key](o, http.StatusOK, request{path: "/v3/key", key: key}).ID)
}

// mustAudit makes sure who did how many deeds by the audit log.
func (o *office) mustAudit(actor, action string, want int) {
	o.Helper()
	var got int
	err := o.Database.Raw(o).QueryRowContext(o.Context(), `SELECT COUNT(*) FROM audit WHERE actor = $1 AND action = $2`, actor, action).Scan(&got)
	if err != nil || got != want {
		o.Errorf("the audit log has %d times %s by %s, %v; want %d", got, action, actor, err, want)
	}
}

func (o *office) mustExec(statement string, args ...any) {
	o.Helper()
	if _, err := o.Database.Raw(o).ExecContext(o.Context(), statement, args...); err != nil {
		o.Fatal(err)
	}
}

func post(key, path, body string) request {
	return request{method: http.MethodPost, path: "/v3/" + path, key: key, body: body}
}

type (
	postbacks   = management.List[management.Postback]
	withdrawals = management.List[management.Withdrawal]
	endpoints   = management.List[management.Endpoint]
)

// TestPostbackIsSentAgain looks at a postback that failed, and sends it again.
func TestPostbackIsSentAgain(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	o.mustPay(storetest.Shop, "a", "55", 1)
	key := o.mustKey(storetest.Shop)
	jobs, err := o.Store.Lease(t.Context(), []postback.Want{{Merchant: storetest.Shop, Limit: 1}}, o.Clock.Now(), o.Clock.Now().Add(postback.Lease))
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	id := jobs[0].ID
	if err := o.Store.Record(t.Context(), []postback.Result{{
		EventID: id, LeasedUntil: jobs[0].LeasedUntil, State: postback.StateDead, Body: []byte("{}"),
		Attempt: postback.Attempt{Number: 1, At: storetest.Start, Latency: 1500 * time.Millisecond, Status: 500, Error: "answered 500 instead of 200", Answer: []byte("oh \xff no")},
	}}); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprint("postbacks/", id)
	p := mustAsk[management.TriedPostback](o, http.StatusOK, request{path: "/v3/" + path, key: key})
	want := management.Attempt{Number: 1, At: storetest.Start, LatencyMillis: 1500, Status: 500, Error: "answered 500 instead of 200", Answer: "oh \uFFFD no"}
	if p.State != "dead" || p.Kind != "deposit" || p.Outcome != "credited" || p.Amount.Amount != "500.00" || p.LastError == "" || !slices.Equal(p.Tries, []management.Attempt{want}) {
		t.Errorf("the postback is %+v", p)
	}
	o.mustRefuse(http.StatusForbidden, "forbidden", post(o.mustKey(storetest.Shop, access.PostbacksRead), path+"/resend", ""))
	if got := mustAsk[management.Resent](o, http.StatusOK, post(key, path+"/resend", "")); got.Resent != 1 {
		t.Errorf("sent again: %+v", got)
	}
	if got := mustAsk[management.Resent](o, http.StatusOK, post(key, path+"/resend", "")); got.Resent != 0 {
		t.Errorf("what is about to be sent is sent again: %+v", got)
	}
	if p = mustAsk[management.TriedPostback](o, http.StatusOK, request{path: "/v3/" + path, key: key}); p.State != "due" || p.Attempts != 0 || len(p.Tries) != 1 {
		t.Errorf("sent again, the postback is %+v", p)
	}
	o.mustAudit(o.actorOf(key), "postback.resent", 2)
	o.MustVerify()
}

// TestPostbacksOfSomeTimeAreSentAgain sends more again than one call takes, and
// nothing of another merchant or another time.
func TestPostbacksOfSomeTimeAreSentAgain(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	for i, merchant := range []string{storetest.Shop, storetest.Cafe, storetest.Shop} {
		o.mustPay(merchant, fmt.Sprint(i), "55", i+1)
		o.Clock.Advance(time.Hour)
	}
	const many = 501
	o.mustWithdraw(storetest.Shop, "w", "failed")
	o.mustExec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at, withdrawal_id, told)
		SELECT 900000 + i, 'shop', 'dead', 9, 0, x'', 500, 'x', $2, 0, (SELECT id FROM withdrawals), 'failed' FROM n`, many, o.Clock.Now().UnixMicro())
	o.mustExec(`UPDATE postbacks SET state = 'dead', next_at = 0`)
	key := o.mustKey(storetest.Shop)
	due := func(merchant string) (n int) {
		t.Helper()
		if err := o.Database.Raw(o).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM postbacks WHERE state = 'due' AND merchant = $1`, merchant).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	resend := func(body string, want int64) management.Resent {
		t.Helper()
		got := mustAsk[management.Resent](o, http.StatusOK, post(key, "postbacks/resend", body))
		if got.Resent != want {
			t.Errorf("%s sends %d again, want %d", body, got.Resent, want)
		}
		return got
	}
	from, later := storetest.Start.Format(time.RFC3339Nano), storetest.Start.Add(time.Hour).Format(time.RFC3339Nano)
	resend(`{"from":"`+from+`","to":"`+later+`","state":"delivered"}`, 0)
	resend(`{"from":"`+from+`","to":"`+later+`"}`, 1)
	resend(`{"from":"`+from+`","kind":"deposit"}`, 1) // the first is about to be sent
	if next := resend(`{"from":"`+from+`","state":"dead"}`, 500).Next; next == "" {
		t.Error("there is no more")
	} else if last := resend(`{"from":"`+from+`","state":"dead","after":"`+next+`"}`, 1); last.Next != "" {
		t.Error("there is still more")
	}
	if shop, cafe := due(storetest.Shop), due(storetest.Cafe); shop != many+2 || cafe != 0 {
		t.Errorf("%d of the shop and %d of the café are due", shop, cafe)
	}
	for _, bad := range []string{`{}`, `{"from":"yesterday"}`, `{"from":"` + from + `","state":"lost"}`, `{"from":"` + from + `","after":"zzz"}`} {
		o.mustRefuse(http.StatusUnprocessableEntity, "invalid", post(key, "postbacks/resend", bad))
	}
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", post(o.mustKey(access.Operator), "postbacks/resend", `{"from":"`+from+`"}`)) // whose?
	o.mustAudit(o.actorOf(key), "postback.resent", 4)
}

// TestEndpointIsTested sends tests to servers that take them, that fail, that
// answer rubbish and that are slow.
func TestEndpointIsTested(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key, operator := o.mustKey(storetest.Shop), o.mustKey(access.Operator)
	var asked []string
	o.shop.answer(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host+" "+r.Header.Get("Webhook-Id")[:5])
		return reply(http.StatusOK, `{"status":"ok"}`), nil
	})
	test := func() management.Attempt {
		t.Helper()
		return mustAsk[management.Attempt](o, http.StatusOK, post(key, "postbacks/test", ""))
	}
	if a := test(); !a.Confirmed || a.Status != http.StatusOK || a.Answer != `{"status":"ok"}` || a.Error != "" {
		t.Errorf("the test is %+v", a)
	}
	mustAsk[management.Attempt](o, http.StatusOK, post(operator, "postbacks/test?merchant=cafe", ""))
	if want := []string{"shop.example test_", "cafe.example test_"}; !slices.Equal(asked, want) {
		t.Errorf("tested were %q", asked)
	}
	o.mustAudit(o.actorOf(key), "postback.tested", 1)
	o.mustAudit(o.actorOf(operator), "postback.tested", 1)

	o.shop.answer(func(*http.Request) (*http.Response, error) {
		return reply(http.StatusTeapot, strings.Repeat("\xff", 4000)), nil
	})
	if a := test(); a.Confirmed || a.Status != http.StatusTeapot || a.Error == "" || a.Answer == "" || len([]rune(a.Answer)) > 2<<10 {
		t.Errorf("the test is %+v", a)
	}
	o.shop.answer(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })
	if a := test(); a.Confirmed || a.Status != 0 || a.Error != "no route" {
		t.Errorf("the test is %+v", a)
	}

	// One at a time.
	began, goOn := make(chan bool), make(chan bool)
	o.shop.answer(func(*http.Request) (*http.Response, error) {
		began <- true
		<-goOn
		return reply(http.StatusOK, `{"status":"ok"}`), nil
	})
	var group sync.WaitGroup
	group.Go(func() { test() })
	<-began
	o.mustRefuse(http.StatusTooManyRequests, "too-many", post(key, "postbacks/test", ""))
	close(goOn)
	group.Wait()
	o.shop.answer(nil)
	test()

	o.mustApply("merchants: [{id: bare, name: Bare}]\nwallets: []\nfeeds: []\npayouts: []\n")
	if p := o.mustRefuse(http.StatusConflict, "refused", post(operator, "postbacks/test?merchant=bare", "")); !strings.Contains(p.Detail, "no postback URL") {
		t.Errorf("nowhere is refused with %+v", p)
	}
}

// TestEndpointsAreControlled pauses, resumes and enables endpoints, as the merchant
// and as the operator.
func TestEndpointsAreControlled(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	shop, operator := o.mustKey(storetest.Shop), o.mustKey(access.Operator)
	stand := func(key, path, want string) endpoints {
		t.Helper()
		list := mustAsk[endpoints](o, http.StatusOK, request{path: "/v3/endpoints" + path, key: key})
		texts := make([]string, len(list.Items))
		for i, e := range list.Items {
			texts[i] = e.Merchant + " " + e.State
		}
		slices.Sort(texts)
		if got := strings.Join(texts, ", "); got != want {
			t.Errorf("%s lists %s, want %s", path, got, want)
		}
		return list
	}
	if list := stand(shop, "", "shop open"); !strings.HasPrefix(list.Items[0].PublicKey, "whpk_") || list.Items[0].Since != nil {
		t.Errorf("the shop's is %+v", list)
	}
	stand(operator, "", "cafe open, shop open")
	e := mustAsk[management.Endpoint](o, http.StatusOK, post(shop, "endpoints/pause", ""))
	if e.Merchant != storetest.Shop || e.State != "paused" || e.Since == nil || e.Why != "by "+o.actorOf(shop) {
		t.Errorf("paused it is %+v", e)
	}
	stand(operator, "?state=paused", "shop paused")
	stand(operator, "?state=open", "cafe open")
	stand(operator, "?merchant=cafe", "cafe open")
	o.mustRefuse(http.StatusConflict, "refused", post(shop, "endpoints/pause", "")) // paused already
	o.mustRefuse(http.StatusConflict, "refused", post(shop, "endpoints/enable", ""))
	if e = mustAsk[management.Endpoint](o, http.StatusOK, post(operator, "endpoints/resume?merchant=shop", "")); e.State != "open" {
		t.Errorf("resumed it is %+v", e)
	}
	for actor, action := range map[string]string{o.actorOf(shop): "endpoint.paused", o.actorOf(operator): "endpoint.resumed"} {
		o.mustAudit(actor, action, 1)
	}
	disabled := postback.Endpoint{Merchant: storetest.Cafe, Target: postback.Target("https://cafe.example/postback"), State: postback.EndpointDisabled, Since: storetest.Start, Why: "by operator:asha"}
	if _, err := o.Store.SetEndpoint(t.Context(), disabled, []postback.EndpointState{postback.EndpointOpen}, nil); err != nil {
		t.Fatal(err)
	}
	cafe := o.mustKey(storetest.Cafe)
	if list := stand(cafe, "", "cafe disabled"); list.Items[0].Why != "by the operator" {
		t.Errorf("the café sees %+v", list)
	}
	if list := stand(operator, "?state=disabled", "cafe disabled"); list.Items[0].Why != disabled.Why {
		t.Errorf("the operator sees %+v", list)
	}
	o.mustRefuse(http.StatusForbidden, "forbidden", post(o.mustKey(storetest.Cafe, access.PostbacksRead), "endpoints/enable", ""))
	mustAsk[management.Endpoint](o, http.StatusOK, post(cafe, "endpoints/enable", ""))
	stand(operator, "", "cafe open, shop open")
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", post(operator, "endpoints/pause", "")) // whose?
	o.mustRefuse(http.StatusNotFound, "not-found", post(operator, "endpoints/pause?merchant=nobody", ""))
	o.mustRefuse(http.StatusNotFound, "not-found", post(shop, "endpoints/pause?merchant=cafe", ""))
	o.MustVerify()
	o.mustApply("merchants: [{id: bare, name: Bare}]\nwallets: []\nfeeds: []\npayouts: []\n")
	stand(operator, "", "bare none") // and nothing of those that are gone
}

// mustAskFor has a merchant ask for a withdrawal.
func (o *office) mustAskFor(merchant, id string, amount money.Paise, by string) *payout.Withdrawal {
	o.Helper()
	w, err := o.door.Office.Create(o.Context(), payout.Request{
		Key: payout.Key{Merchant: merchant, WithdrawalID: id}, Method: "imps_ib", Label: "55", Amount: amount, Currency: money.INR,
		Beneficiary: payout.Beneficiary{Account: upi.AccountNumber("123456789"), Name: "Asha Rao", IFSC: "HDFC0000001"}, CreatedBy: by,
	})
	if err != nil {
		o.Fatal(err)
	}
	return w
}

// TestWithdrawalsAreDecided plays an operator with a key.
func TestWithdrawalsAreDecided(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	operator, reader, shop := o.mustKey(access.Operator), o.mustKey(access.Operator, access.WithdrawalsRead), o.mustKey(storetest.Shop)
	actor := o.actorOf(operator)
	o.mustPay(storetest.Shop, "a", "55", 1)
	o.mustPay(storetest.Shop, "b", "55", 2)
	o.mustPay(storetest.Cafe, "c", "55", 3)
	first := o.mustAskFor(storetest.Shop, "w1", 300_00, "api:shop")
	o.Clock.Advance(time.Second)
	second := o.mustAskFor(storetest.Cafe, "w2", 100_00, "api:cafe")
	third := o.mustAskFor(storetest.Shop, "w3", 200_00, actor)

	var open []string
	for path := "/v3/withdrawals?limit=1"; path != ""; {
		page := mustAsk[withdrawals](o, http.StatusOK, request{path: path, key: operator})
		for _, w := range page.Items {
			open = append(open, fmt.Sprint(w.Case.ID, " ", w.Case.Merchant, " ", w.WithdrawalID, " ", w.Case.Reasons))
			if b := w.Case.Beneficiary; b == nil || *b != (management.Beneficiary{Account: "123456789", Name: "Asha Rao", IFSC: "HDFC0000001"}) || strings.Contains(w.Account, "123456789") {
				t.Errorf("it goes to %+v, masked %s", b, w.Account)
			}
		}
		if path = ""; page.Next != "" {
			path = "/v3/withdrawals?limit=1&after=" + page.Next
		}
	}
	want := []string{fmt.Sprint(first.ID, " shop w1 [above_limit]"), fmt.Sprint(second.ID, " cafe w2 [above_limit]"), fmt.Sprint(third.ID, " shop w3 [above_limit]")}
	if !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
	for _, filter := range []string{"label=55", "amount=300", "from=2020-01-01T00:00:00Z", "state=success", "after=" + mustAsk[withdrawals](o, http.StatusOK, request{path: "/v3/withdrawals?merchant=shop&limit=1", key: operator}).Next} {
		o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: "/v3/withdrawals?" + filter, key: operator})
	}
	for _, path := range []string{"/v3/withdrawals", "/v3/withdrawals?merchant=shop&state=new"} {
		status, text := o.ask(request{path: path, key: reader})
		if status != http.StatusOK || strings.Contains(text, "123456789") || strings.Contains(text, "Asha") || !strings.Contains(text, `"reasons":["above_limit"]`) {
			t.Errorf("a key that may not decide is shown %s", text)
		}
	}
	if status, text := o.ask(request{path: "/v3/withdrawals", key: shop}); status != http.StatusOK || strings.Contains(text, "case") || strings.Contains(text, "w2") || !strings.Contains(text, "w3") {
		t.Errorf("the shop is shown %d %s", status, text)
	}

	path := func(w *payout.Withdrawal, word string) string { return fmt.Sprint("withdrawals/", w.ID, "/", word) }
	for _, word := range []string{"approve", "reject", "mark-paid", "mark-failed", "clear"} {
		for _, key := range []string{shop, reader} {
			o.mustRefuse(http.StatusForbidden, "forbidden", post(key, path(first, word), `{"why":"x","bank_ref":"321323438267"}`))
		}
	}
	decide := func(w *payout.Withdrawal, word, body, state string) management.Withdrawal {
		t.Helper()
		got := mustAsk[management.Withdrawal](o, http.StatusOK, post(operator, path(w, word), body))
		if got.State != state || got.Case == nil || got.Case.ID != w.ID {
			t.Errorf("after %s it is %+v", word, got)
		}
		return got
	}
	refuse := func(w *payout.Withdrawal, word, body string) {
		t.Helper()
		o.mustRefuse(http.StatusConflict, "refused", post(operator, path(w, word), body))
	}
	paid := `{"bank_ref":"321323438267"}`
	refuse(first, "clear", `{"why":"x"}`) // nothing is doubted
	refuse(first, "mark-paid", paid)      // not approved: money left that nobody let go
	refuse(first, "approve", "")
	if got := decide(first, "clear", `{"why":"a slip of the pen"}`, "new"); got.Case.Contested || len(got.Case.Doubts) != 1 {
		t.Errorf("cleared it is %+v", got.Case)
	}
	refuse(first, "mark-failed", `{"why":"x"}`)
	refuse(third, "approve", "") // four eyes
	if got := decide(first, "approve", "", "approved"); got.Case.ApprovedBy != actor || got.Case.ApprovedAt == nil {
		t.Errorf("approved it is %+v", got.Case)
	}
	if got := decide(first, "mark-paid", paid, "success"); got.BankRef != "321323438267" || got.SettledAt == nil || got.Case.Wallet == "" {
		t.Errorf("paid it is %+v %+v", got, got.Case)
	}
	refuse(first, "reject", `{"why":"too late"}`)
	if got := decide(second, "reject", `{"why":"an odd name"}`, "canceled"); got.Case.Why != "an odd name" {
		t.Errorf("rejected it is %+v", got.Case)
	}
	o.Clock.Advance(time.Second)
	decide(first, "mark-failed", `{"why":"the bank sent it back"}`, "failed")
	for word, body := range map[string]string{"mark-paid": `{"bank_ref":"1 2 3 4 5 6"}`, "reject": `{"why":""}`, "mark-failed": `{}`} {
		o.mustRefuse(http.StatusUnprocessableEntity, "invalid", post(operator, path(third, word), body))
	}
	o.mustRefuse(http.StatusNotFound, "not-found", post(operator, "withdrawals/999999/approve", ""))
	for action, count := range map[string]int{"withdrawal.approved": 1, "withdrawal.processing": 1, "withdrawal.success": 1, "withdrawal.failed": 1, "withdrawal.canceled": 1} {
		o.mustAudit(actor, action, count)
	}
	for key, want := range map[string]string{shop: "w1 failed 300.00, w1 success 300.00", o.mustKey(storetest.Cafe): "w2 canceled 100.00"} {
		var told []string
		for _, p := range mustAsk[postbacks](o, http.StatusOK, request{path: "/v3/postbacks?kind=withdrawal", key: key}).Items {
			told = append(told, p.CustomID+" "+p.Outcome+" "+p.Amount.Amount)
		}
		if got := strings.Join(told, ", "); got != want {
			t.Errorf("told are %s, want %s", got, want)
		}
	}
	for key, balance := range map[string]string{shop: "800.00", o.mustKey(storetest.Cafe): "490.50"} {
		if b := mustAsk[management.Balance](o, http.StatusOK, request{path: "/v3/balance", key: key}); b.Available.Amount != balance {
			t.Errorf("%s has %s, want %s", b.Merchant, b.Available.Amount, balance)
		}
	}
	o.MustVerify()
}

// TestDecisionIsMadeOnce sends each decision twice under one idempotency key, as a
// client does that got no answer.
func TestDecisionIsMadeOnce(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	operator := o.mustKey(access.Operator)
	o.mustPay(storetest.Shop, "a", "55", 1)
	w := o.mustAskFor(storetest.Shop, "w1", 300_00, "api:shop")
	for _, deed := range []struct{ path, body string }{
		{fmt.Sprint("withdrawals/", w.ID, "/approve"), ""},
		{fmt.Sprint("withdrawals/", w.ID, "/mark-paid"), `{"bank_ref":"321323438267"}`},
		{"endpoints/pause?merchant=shop", ""},
		{"postbacks/resend?merchant=shop", `{"from":"2020-01-01T00:00:00Z"}`},
		{"postbacks/test?merchant=shop", ""},
	} {
		before := o.MustVerify().AuditEntries
		r := post(operator, deed.path, deed.body)
		r.header = map[string]string{"Idempotency-Key": deed.path}
		status, text := o.ask(r)
		after := o.MustVerify().AuditEntries
		again, same := o.ask(r)
		if status != http.StatusOK || again != status || same != text || after == before && !strings.HasSuffix(deed.path, "resend?merchant=shop") || o.MustVerify().AuditEntries != after {
			t.Errorf("%s answers %d %s, then %d %s", deed.path, status, text, again, same)
		}
		delete(r.header, "Idempotency-Key")
	}
	if m := o.Directory.Current(); slices.ContainsFunc(m.Payouts, func(p *directory.PayoutDesk) bool { return p.Kind != directory.PayoutManual }) {
		t.Error("a desk pays by itself, and the test shows nothing")
	}
}
