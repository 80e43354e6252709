package management_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/management"
	"github.com/milaan/milaan/internal/store/storetest"
)

// mustCredit has a merchant paid on the wallet that all share.
func (o *office) mustPay(merchant, customID, label string, utr int) {
	o.Helper()
	o.MustReport("common", 1, 0, 0, o.Entry(storetest.UTR(utr), 500_00))
	a := storetest.Claim(customID, storetest.UTR(utr), 500_00)
	a.Merchant, a.Label = merchant, label
	o.MustActivate(a, deposit.Credited)
}

func TestDeposits(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(storetest.Cafe)
	for i := 1; i <= 5; i++ {
		o.mustPay(storetest.Cafe, fmt.Sprint("order ", i), fmt.Sprint("payer ", i%2), i)
		o.Clock.Advance(time.Minute)
	}
	waits := storetest.Claim("a/b?c=d", storetest.UTR(9), 20_50)
	waits.Merchant = storetest.Cafe
	o.MustActivate(waits, deposit.Waiting)

	walk := func(filter string) (ids []string) {
		t.Helper()
		for path := "/v3/deposits?limit=2&" + filter; ; {
			page := mustAsk[management.List[management.Deposit]](o, http.StatusOK, request{path: path, key: key})
			for _, d := range page.Items {
				ids = append(ids, d.CustomID)
			}
			if page.Next == "" {
				return ids
			}
			path = "/v3/deposits?limit=2&" + filter + "&after=" + page.Next
		}
	}
	from := url.QueryEscape(storetest.Start.Add(2 * time.Minute).Format(time.RFC3339Nano))
	for filter, want := range map[string]string{
		"":                              "a/b?c=d order 5 order 4 order 3 order 2 order 1",
		"state=waiting":                 "a/b?c=d",
		"label=payer+1":                 "order 5 order 3 order 1",
		"label=payer+1&from=" + from:    "order 5 order 3",
		"to=" + from:                    "order 2 order 1",
		"utr=000000000003":              "order 3",
		"custom_id=order+3":             "order 3",
		"custom_id=order+3&state=dead":  "", // refused below
		"custom_id=order+3&amount=1":    "",
		"custom_id=order+3&label=other": "",
		"amount=20.5":                   "a/b?c=d",
		"amount=500&state=credited":     "order 5 order 4 order 3 order 2 order 1",
	} {
		if strings.Contains(filter, "dead") {
			o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: "/v3/deposits?" + filter, key: key})
			continue
		}
		if got := strings.Join(walk(filter), " "); got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
	d := mustAsk[management.Deposit](o, http.StatusOK, request{path: "/v3/deposits/a%2Fb%3Fc=d", key: key})
	if d.Claimed.Amount != "20.50" || d.State != "waiting" || d.Deposited != nil || d.SettledAt != nil {
		t.Errorf("the deposit is %+v", d)
	}
	d = mustAsk[management.Deposit](o, http.StatusOK, request{path: "/v3/deposits/order%201?merchant=cafe", key: o.mustKey(access.Operator)})
	if d.Deposited == nil || d.Deposited.Amount != "500.00" || d.Fee.Amount != "9.50" || d.UTR != "000000000001" || !d.CreatedAt.Equal(storetest.Start) {
		t.Errorf("the operator sees %+v", d)
	}

	// A cursor is of its own list, and nothing else is one.
	next := mustAsk[management.List[management.Deposit]](o, http.StatusOK, request{path: "/v3/deposits?limit=2", key: key}).Next
	for _, path := range []string{
		"/v3/deposits?state=waiting&after=" + next, "/v3/postbacks?after=" + next, "/v3/account-statement?after=" + next,
		"/v3/deposits?after=zzz", "/v3/deposits?after=" + next[:len(next)-1], "/v3/deposits?after=" + strings.Repeat("A", 43),
	} {
		p := o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: path, key: key})
		if len(p.Errors) != 1 || p.Errors[0].Location != "query.after" {
			t.Errorf("%s is refused with %+v", path, p)
		}
	}
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: "/v3/deposits?after=" + next, key: o.mustKey(storetest.Shop)})
}

func TestPostbacksAndBalance(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	o.mustPay(storetest.Shop, "a", "55", 1)
	key := o.mustKey(storetest.Shop)
	list := mustAsk[management.List[management.Postback]](o, http.StatusOK, request{path: "/v3/postbacks?state=due", key: key})
	if len(list.Items) != 1 || list.Items[0].CustomID != "a" || list.Items[0].State != "due" || list.Items[0].NextAt == nil {
		t.Fatalf("the postbacks are %+v", list)
	}
	one := mustAsk[management.Postback](o, http.StatusOK, request{path: fmt.Sprint("/v3/postbacks/", list.Items[0].ID), key: key})
	if one.ID != list.Items[0].ID || one.Attempts != 0 || one.DeliveredAt != nil {
		t.Errorf("the postback is %+v", one)
	}
	b := mustAsk[management.Balance](o, http.StatusOK, request{path: "/v3/balance", key: key})
	if b.Merchant != storetest.Shop || b.Available != (management.Amount{Amount: "500.00", Currency: "INR"}) {
		t.Errorf("the balance is %+v", b)
	}
}

func TestAccountStatement(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(storetest.Cafe)
	labels := []string{"=HYPERLINK(\"x\")", "+1", "-1", "@x", "\ttab", `quo"te, comma`, "plain"}
	for i, label := range labels {
		o.mustPay(storetest.Cafe, fmt.Sprint("=", i), label, i+1)
		o.Clock.Advance(time.Hour)
	}
	balance := "0.00"
	count := 0
	for path := "/v3/account-statement?limit=3"; path != ""; {
		s := mustAsk[management.AccountStatement](o, http.StatusOK, request{path: path, key: key})
		if s.Opening.Amount != balance || s.Merchant != storetest.Cafe {
			t.Errorf("it opens with %s, not %s", s.Opening.Amount, balance)
		}
		// The first of the month, in the merchant's zone.
		if want := time.Date(2026, 2, 28, 18, 30, 0, 0, time.UTC); !s.From.Equal(want) || !s.To.Equal(o.Clock.Now()) {
			t.Errorf("it is from %s to %s", s.From, s.To)
		}
		count += len(s.Items)
		balance = s.Closing.Amount
		if last := s.Items[len(s.Items)-1]; last.Balance != s.Closing || last.Net.Amount != "490.50" {
			t.Errorf("it closes with %+v, %+v", last, s.Closing)
		}
		if path = ""; s.Next != "" {
			path = "/v3/account-statement?limit=3&after=" + s.Next
		}
	}
	if count != len(labels) || balance != "3433.50" {
		t.Errorf("%d entries close with %s", count, balance)
	}
	part := "/v3/account-statement?from=" + storetest.Start.Add(2*time.Hour).Format(time.RFC3339Nano) + "&to=" + storetest.Start.Add(4*time.Hour).Format(time.RFC3339Nano)
	if s := mustAsk[management.AccountStatement](o, http.StatusOK, request{path: part, key: key}); s.Opening.Amount != "981.00" || s.Closing.Amount != "1962.00" || len(s.Items) != 2 {
		t.Errorf("a part is %+v", s)
	}
	o.mustRefuse(http.StatusUnprocessableEntity, "invalid", request{path: "/v3/account-statement?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", key: key})

	for _, r := range []request{
		{path: "/v3/account-statement?format=csv", key: key},
		{path: "/v3/account-statement", key: key, header: map[string]string{"Accept": "text/csv, application/json;q=0.5"}},
	} {
		res := o.send(r)
		if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/csv") {
			t.Errorf("%s: %d as %s", r.path, res.StatusCode, kind)
		}
		if name := res.Header.Get("Content-Disposition"); name != "attachment; filename=cafe-20260301-20260314.csv" {
			t.Errorf("the file is %s", name)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
		if err != nil || len(rows) != len(labels)+1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, row := range rows[1:] {
			if row[1] != "deposit" || row[2] != fmt.Sprint("'=", i) || strings.TrimPrefix(row[3], "'") != labels[i] || strings.ContainsAny(row[3][:1], "=+-@\t") {
				t.Errorf("row %d is %q", i, row)
			}
		}
		if last := rows[len(labels)]; last[5] != "500.00" || last[6] != "9.50" || last[7] != "490.50" || last[8] != balance || last[9] != "INR" {
			t.Errorf("the last row is %q", last)
		}
	}
}

// TestLongStatementIsWhole reads more than the door reads at once.
func TestLongStatementIsWhole(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	const count = 1203
	entries := make([]feed.Entry, count)
	for i := range entries {
		entries[i] = o.Entry(storetest.UTR(i+1), 500_00)
	}
	o.MustReport("till", count, 0, 0, entries...)
	var group errgroup.Group
	group.SetLimit(300)
	for i := range count {
		group.Go(func() error {
			_, err := o.Desk.Activate(t.Context(), storetest.Claim(fmt.Sprint(i), storetest.UTR(i+1), 500_00))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	o.Clock.Advance(time.Second)
	status, text := o.ask(request{path: "/v3/account-statement?format=csv", key: o.mustKey(storetest.Shop)})
	rows := strings.Split(strings.TrimSpace(text), "\r\n")
	if want := fmt.Sprintf("%d.00,INR", count*500); status != http.StatusOK || len(rows) != count+1 || !strings.HasSuffix(rows[count], want) {
		t.Errorf("%d rows, the last is %s", len(rows), rows[len(rows)-1])
	}
}

// mustWithdraw keeps a withdrawal of 500 rupees behind the office's back.
func (o *office) mustWithdraw(merchant, id, state string) {
	o.Helper()
	first, err := o.Store.ReserveIDs(o.Context(), 1)
	if err == nil {
		_, err = o.Database.Raw(o).ExecContext(o.Context(), `INSERT INTO withdrawals (id, merchant, withdrawal_id, method, label, amount, fee, currency, test,
			account, name, ifsc, request, state, reasons, desk, wallet, tries, provider_ref, bank_ref, why, movement_id, created_by, approved_by,
			created_at, approved_at, sent_at, settled_at, ask_at, rates_id, lines)
			VALUES ($1, $2, $3, 'imps_ib', '55', 50000, 500, 'INR', 0, '123456789', 'Asha Rao', 'HDFC0000001', x'', $4, '', 'desk', 'till', 1, '', '77', '', 0, '', '',
			$5, 0, 0, $6, 0, 0, 0)`, first, merchant, id, state, o.Clock.Now().UnixMicro(), o.Clock.Now().UnixMicro())
	}
	if err != nil {
		o.Fatal(err)
	}
}

func TestWithdrawals(t *testing.T) {
	t.Parallel()
	o := mustOpenOffice(t)
	key := o.mustKey(storetest.Shop)
	for i, state := range []string{"success", "failed", "new"} {
		o.mustWithdraw(storetest.Shop, fmt.Sprint("w", i), state)
		o.Clock.Advance(time.Second)
	}
	for filter, want := range map[string]string{"": "w2 w1 w0", "state=failed": "w1", "label=other": "", "amount=500": "w2 w1 w0", "to=" + storetest.Start.Add(time.Second).Format(time.RFC3339Nano): "w0"} {
		var ids []string
		for path := "/v3/withdrawals?limit=1&" + filter; path != ""; {
			page := mustAsk[management.List[management.Withdrawal]](o, http.StatusOK, request{path: path, key: key})
			for _, w := range page.Items {
				ids = append(ids, w.WithdrawalID)
			}
			if path = ""; page.Next != "" {
				path = "/v3/withdrawals?limit=1&" + filter + "&after=" + page.Next
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
	w := mustAsk[management.Withdrawal](o, http.StatusOK, request{path: "/v3/withdrawals/w0", key: key})
	if w.State != "success" || w.Amount.Amount != "500.00" || w.Fee.Amount != "5.00" || w.BankRef != "77" || strings.Contains(w.Account, "123456789") || w.SettledAt == nil {
		t.Errorf("the withdrawal is %+v", w)
	}
}
