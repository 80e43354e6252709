package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/access"
	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/lookup"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/postback"
	"github.com/milaan/milaan/money"
)

// testAccess plays keys, calls that are sent twice, and lists.
func testAccess(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"keys", Setup{}, func(h *House) {
			now := h.Clock.Now()
			key, token, err := access.New("ops", Shop, []string{"deposits:read", "balance:read"}, now, time.Hour)
			if err != nil {
				h.Fatal(err)
			}
			if key.ID, err = h.Store.AddKey(h.Context(), key, access.HashOf(token), "operator:asha"); err != nil {
				h.Fatal(err)
			}
			got, err := h.Store.FindKey(h.Context(), access.HashOf(token))
			if err != nil || fmt.Sprint(got) != fmt.Sprint(key) {
				h.Errorf("the key is %+v, %v, want %+v", got, err, key)
			}
			if _, err := h.Store.FindKey(h.Context(), access.HashOf("mln_another")); !errors.Is(err, access.ErrNoKey) {
				h.Errorf("another token gives %v", err)
			}
			later := now.Add(time.Minute)
			if err := h.Store.KeyUsed(h.Context(), key.ID, later); err != nil {
				h.Fatal(err)
			}
			if err := h.Store.KeyUsed(h.Context(), key.ID, now); err != nil {
				h.Fatal(err)
			}
			if err := h.Store.RevokeKey(h.Context(), key.ID, later, "operator:asha"); err != nil {
				h.Fatal(err)
			}
			for _, id := range []int64{key.ID, key.ID + 1} {
				if err := h.Store.RevokeKey(h.Context(), id, later, "operator:asha"); !errors.Is(err, access.ErrNoKey) {
					h.Errorf("revoking %d gives %v", id, err)
				}
			}
			keys, err := h.Store.Keys(h.Context())
			if err != nil || len(keys) != 1 || !keys[0].UsedAt.Equal(later) || keys[0].InForce(later) {
				h.Errorf("the keys are %+v, %v", keys, err)
			}
			var entries int
			if err := h.raw().QueryRowContext(h.Context(), `SELECT COUNT(*) FROM audit WHERE action IN ('key.created', 'key.revoked') AND subject = $1`,
				key.ID).Scan(&entries); err != nil || entries != 2 {
				h.Errorf("the audit log has %d entries, %v", entries, err)
			}
			var hash []byte
			if err := h.raw().QueryRowContext(h.Context(), `SELECT hash FROM api_keys`).Scan(&hash); err != nil || len(hash) != sha256.Size {
				h.Errorf("the hash is %x, %v", hash, err)
			}
		}},
		{"a call is done once", Setup{}, func(h *House) {
			now := h.Clock.Now()
			call := access.Call{Owner: Shop, Key: "k", Request: sha256.Sum256([]byte("a"))}
			begin := func(c access.Call, at time.Time, want error) *access.Answer {
				h.Helper()
				answer, err := h.Store.BeginCall(h.Context(), c, at)
				if !errors.Is(err, want) {
					h.Fatalf("the call gives %v, want %v", err, want)
				}
				return answer
			}
			if a := begin(call, now, nil); a != nil {
				h.Errorf("the first is answered with %+v", a)
			}
			begin(call, now, access.ErrCallRuns)
			other := call
			other.Request = sha256.Sum256([]byte("b"))
			begin(other, now, access.ErrOtherCall)
			elsewhere := call
			elsewhere.Owner = Cafe
			begin(elsewhere, now, nil)
			want := access.Answer{Status: 201, Header: map[string][]string{"Etag": {`"7"`}}, Body: []byte("a new secret")}
			if err := h.Store.EndCall(h.Context(), call, &want); err != nil {
				h.Fatal(err)
			}
			if got := begin(call, now.Add(time.Hour), nil); fmt.Sprint(got) != fmt.Sprint(&want) {
				h.Errorf("it is answered with %+v", got)
			}
			var leaks int
			if err := h.raw().QueryRowContext(h.Context(), `SELECT COUNT(*) FROM answers WHERE sealed LIKE $1`, []byte("%secret%")).Scan(&leaks); err == nil && leaks > 0 {
				h.Error("the answer is stored open")
			}
			begin(other, now.Add(time.Hour), access.ErrOtherCall)
			if a := begin(other, now.Add(access.AnswersKept), nil); a != nil {
				h.Errorf("a day later it is answered with %+v", a)
			}
			// Given up, it may be made anew; cut off, after some time.
			if err := h.Store.EndCall(h.Context(), elsewhere, nil); err != nil {
				h.Fatal(err)
			}
			begin(elsewhere, now, nil)
			begin(elsewhere, now.Add(access.CallTime), nil)
			dropped, err := h.Store.DropAnswers(h.Context(), now.Add(access.CallTime+time.Second), 10)
			if err != nil || dropped != 1 {
				h.Errorf("%d were dropped, %v", dropped, err)
			}
		}},
		{"a call at once from many", Setup{}, func(h *House) {
			call := access.Call{Owner: Shop, Key: "k", Request: sha256.Sum256([]byte("a"))}
			var group sync.WaitGroup
			var begun, runs atomic.Int64
			for range 8 {
				group.Go(func() {
					switch _, err := h.Store.BeginCall(h.Context(), call, h.Clock.Now()); {
					case err == nil:
						begun.Add(1)
					case errors.Is(err, access.ErrCallRuns):
						runs.Add(1)
					}
				})
			}
			group.Wait()
			if begun.Load() != 1 || runs.Load() != 7 {
				h.Errorf("%d began, %d were told to wait", begun.Load(), runs.Load())
			}
		}},
		{"lists", Setup{}, testLists},
		{"accounts", Setup{}, testAccounts},
		{"an account with withdrawals", desks, testAccountWithdrawals},
		{"postbacks of withdrawals", desks, testToldWithdrawals},
		{"more postbacks than a page looks at", desks, testManyTold},
	})
}

func testLists(h *House) {
	// Some of each state, of two merchants.
	for i := 1; i <= 5; i++ {
		h.mustDeposit(Shop, i)
		h.Clock.Advance(time.Second)
	}
	h.mustDeposit(Cafe, 6)
	h.Clock.Advance(time.Second)
	a := Claim("waits", UTR(7), 100_00)
	a.Label = "77"
	h.MustActivate(a, deposit.Waiting)
	h.MustActivate(Claim("taken", UTR(1), 500_00), deposit.Refused, deposit.UTRTaken)

	customs := func(q lookup.Deposits) (ids []string) {
		h.Helper()
		q.Limit = 2
		for pages := 0; ; pages++ {
			page, err := h.Store.ListDeposits(h.Context(), q)
			if err != nil || pages > 10 {
				h.Fatalf("page %d: %v", pages, err)
			}
			for i := range page.Items {
				ids = append(ids, page.Items[i].CustomID)
			}
			if page.Next == nil {
				return ids
			}
			q.After = page.Next
		}
	}
	custom := func(n int) string { return string(UTR(n)) }
	for name, tt := range map[string]struct {
		ask  lookup.Deposits
		want []string
	}{
		"all":     {lookup.Deposits{Merchant: Shop}, []string{"taken", "waits", custom(5), custom(4), custom(3), custom(2), custom(1)}},
		"other's": {lookup.Deposits{Merchant: Cafe}, []string{custom(6)}},
		"state":   {lookup.Deposits{Merchant: Shop, State: deposit.Waiting}, []string{"waits"}},
		"label":   {lookup.Deposits{Merchant: Shop, Label: "77"}, []string{"waits"}},
		"amount":  {lookup.Deposits{Merchant: Shop, Amount: 100_00}, []string{"waits"}},
		"UTR":     {lookup.Deposits{Merchant: Shop, UTR: UTR(1)}, []string{"taken", custom(1)}},
		"waiting": {lookup.Deposits{Merchant: Shop, UTR: UTR(7)}, []string{"waits"}},
		"foreign": {lookup.Deposits{Merchant: Shop, UTR: UTR(6)}, nil},
		"times": {lookup.Deposits{Merchant: Shop, Range: lookup.Range{From: Start.Add(time.Second), To: Start.Add(3 * time.Second)}},
			[]string{custom(3), custom(2)}},
	} {
		if got := customs(tt.ask); !slices.Equal(got, tt.want) {
			h.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	one, err := h.Store.FindDeposit(h.Context(), deposit.CustomKey{Merchant: Cafe, CustomID: custom(6)})
	if err != nil || one.State != deposit.Credited || one.Fee != 9_50 {
		h.Errorf("the deposit is %+v, %v", one, err)
	}
	if _, err := h.Store.FindDeposit(h.Context(), deposit.CustomKey{Merchant: Shop, CustomID: custom(6)}); !errors.Is(err, lookup.ErrNone) {
		h.Errorf("another's deposit gives %v", err)
	}

	page, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Shop, Limit: 4})
	if err != nil || len(page.Items) != 4 || page.Next == nil || page.Items[0].CustomID != custom(5) || page.Items[0].State != postback.StateDue {
		h.Fatalf("the postbacks are %+v, %v", page, err)
	}
	rest, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Shop, Limit: 4, After: page.Next})
	if err != nil || len(rest.Items) != 1 || rest.Next != nil || rest.Items[0].CustomID != custom(1) {
		h.Errorf("the next postbacks are %+v, %v", rest, err)
	}
	if dead, err := h.Store.ListPostbacks(h.Context(), lookup.Postbacks{Merchant: Shop, Limit: 4, State: postback.StateDead}); err != nil || len(dead.Items) != 0 {
		h.Errorf("the dead postbacks are %+v, %v", dead, err)
	}
	for name, tt := range map[string]struct {
		ask  lookup.Credits
		want int
	}{
		"all": {lookup.Credits{}, 6}, "wallet": {lookup.Credits{Wallet: "common"}, 6}, "other wallet": {lookup.Credits{Wallet: "till"}, 0},
		"UTR": {lookup.Credits{UTR: UTR(3)}, 1}, "state": {lookup.Credits{State: deposit.Unclaimed}, 0},
		"times": {lookup.Credits{Wallet: "common", Range: lookup.Range{From: Start.Add(-time.Minute), To: Start.Add(-time.Minute + 2*time.Second)}}, 2},
	} {
		tt.ask.Limit = 4
		count := 0
		for last := int64(1 << 62); ; {
			page, err := h.Store.ListCredits(h.Context(), tt.ask)
			if err != nil {
				h.Fatal(err)
			}
			for _, c := range page.Items {
				if c.ID >= last {
					h.Errorf("%s: credit %d follows %d", name, c.ID, last)
				}
				last = c.ID
			}
			count += len(page.Items)
			if tt.ask.After = page.Next; page.Next == nil {
				break
			}
		}
		if count != tt.want {
			h.Errorf("%s: %d credits, want %d", name, count, tt.want)
		}
	}
}

func testAccounts(h *House) {
	for i := 1; i <= 7; i++ {
		h.mustDeposit(Cafe, i)
		h.Clock.Advance(time.Hour)
	}
	h.mustDeposit(Shop, 8)
	const net = money.Paise(490_50) // 500 less 1.5 % and 2 rupees
	ask := lookup.Account{Merchant: Cafe, Range: lookup.Range{From: Start.Add(2 * time.Hour), To: Start.Add(6 * time.Hour)}, Limit: 3}
	balance := 2 * net
	for n := 0; ; {
		s, err := h.Store.ListAccount(h.Context(), ask)
		if err != nil || s.Opening != balance {
			h.Fatalf("the account opens with %s, %v, want %s", s.Opening, err, balance)
		}
		for _, e := range s.Items {
			n++
			balance += net
			if e.Balance != balance || e.Amount != 500_00 || e.Fee != 9_50 || e.UTR != UTR(2+n) {
				h.Errorf("entry %d is %+v, want the balance %s", n, e, balance)
			}
		}
		if s.Next == nil {
			if n != 4 {
				h.Errorf("the account has %d entries", n)
			}
			break
		}
		ask.After, ask.Balance = s.Next, balance
	}
	// Nobody has an account of nothing.
	if s, err := h.Store.ListAccount(h.Context(), lookup.Account{Merchant: "nobody", Limit: 3}); err != nil || s.Opening != 0 || len(s.Items) != 0 {
		h.Errorf("a stranger's account is %+v, %v", s, err)
	}
}

func testAccountWithdrawals(h *House) {
	o := mustOpenOffice(h, 2000_00)
	o.bank.says(payout.Answer{Standing: payout.Paid, ProviderRef: "p1", BankRef: string(UTR(77))}, nil)
	o.mustCreate(withdrawal("paid", 500_00), payout.Approved)
	o.mustWork()
	o.bank.says(payout.Answer{Standing: payout.Refused, Why: "account closed"}, nil)
	o.mustCreate(withdrawal("refused", 300_00), payout.Approved)
	trial := withdrawal("trial", 100_00)
	trial.Test = true
	if _, err := o.Create(h.Context(), trial); err != nil {
		h.Fatal(err)
	}
	o.mustWork()
	o.mustCreate(withdrawal("under way", 200_00), payout.Approved)
	o.mustHave(1290_00, 205_00)
	h.Clock.Advance(time.Second)

	want := []string{
		"deposit funds 2000.00 0.00 2000.00", "withdrawal paid -500.00 5.00 1495.00", "withdrawal refused -300.00 5.00 1190.00",
		"withdrawal_returned refused 300.00 -5.00 1495.00", "withdrawal under way -200.00 5.00 1290.00",
	}
	for _, limit := range []int{1, 2, 50} {
		var got []string
		ask := lookup.Account{Merchant: Shop, Range: lookup.Range{From: Start, To: h.Clock.Now()}, Limit: limit}
		for {
			s, err := h.Store.ListAccount(h.Context(), ask)
			if err != nil || ask.After == nil && s.Opening != 0 {
				h.Fatalf("the account opens with %s, %v", s.Opening, err)
			}
			for _, e := range s.Items {
				got = append(got, fmt.Sprint(e.Kind, " ", e.CustomID, " ", e.Amount.Fixed(), " ", e.Fee.Fixed(), " ", e.Balance.Fixed()))
				ask.Balance = e.Balance
			}
			if ask.After = s.Next; s.Next == nil {
				break
			}
		}
		if !slices.Equal(got, want) {
			h.Errorf("%d at once, the account is %q", limit, got)
		}
	}
	s, err := h.Store.ListAccount(h.Context(), lookup.Account{Merchant: Shop, Range: lookup.Range{From: Start.Add(30 * time.Minute)}, Limit: 1})
	if err != nil || s.Opening != 1495_00 || s.Items[0].CustomID != "refused" {
		h.Errorf("later it opens with %s, %+v, %v", s.Opening, s.Items, err)
	}
}

// testToldWithdrawals looks for postbacks of withdrawals where those of deposits
// are: in every list, by every filter, and to be sent again.
func testToldWithdrawals(h *House) {
	o := mustOpenOffice(h, 2000_00)
	h.Clock.Advance(time.Second)
	o.bank.says(payout.Answer{Standing: payout.Paid, ProviderRef: "p1", BankRef: string(UTR(77))}, nil)
	paid := o.mustCreate(withdrawal("paid", 500_00), payout.Approved)
	o.mustWork() // an hour
	h.Clock.Advance(time.Second)
	h.mustDeposit(Shop, 1)
	h.Clock.Advance(time.Second)
	if _, err := o.Settle(h.Context(), paid.ID, payout.Answer{Standing: payout.Refused, Why: "came back"}, "operator:asha"); err != nil {
		h.Fatal(err)
	}
	h.mustDeposit(Cafe, 2)
	h.mustDeposit(Shop, 3) // at the same time as the withdrawal came back

	told := func(p *postback.Summary) string {
		return fmt.Sprint(p.Kind(), " ", p.CustomID, " ", p.Told, " ", p.Amount.Fixed(), " ", p.State)
	}
	one, three := "deposit "+string(UTR(1))+"  500.00 due", "deposit "+string(UTR(3))+"  500.00 due"
	back, success, funds := "withdrawal paid failed 500.00 due", "withdrawal paid success 500.00 due", "deposit funds  2000.00 due"
	all := []string{three, back, one, success, funds}
	var newest []postback.Summary
	for name, tt := range map[string]struct {
		ask  lookup.Postbacks
		want []string
	}{
		"all":         {lookup.Postbacks{}, all},
		"deposits":    {lookup.Postbacks{Kind: postback.OfDeposit}, []string{three, one, funds}},
		"withdrawals": {lookup.Postbacks{Kind: postback.OfWithdrawal}, []string{back, success}},
		"due":         {lookup.Postbacks{State: postback.StateDue}, all},
		"dead":        {lookup.Postbacks{State: postback.StateDead}, nil},
		"an hour on":  {lookup.Postbacks{Range: lookup.Range{From: Start.Add(time.Minute), To: h.Clock.Now()}}, []string{one, success}},
	} {
		for _, limit := range []int{1, 2, 50} {
			var got []string
			tt.ask.Merchant, tt.ask.Limit, tt.ask.After = Shop, limit, nil
			for {
				page, err := h.Store.ListPostbacks(h.Context(), tt.ask)
				if err != nil || len(page.Items) > limit {
					h.Fatalf("%s: %d postbacks, %v", name, len(page.Items), err)
				}
				for i := range page.Items {
					got = append(got, told(&page.Items[i]))
				}
				if name == "all" && limit == 50 {
					newest = page.Items
				}
				if tt.ask.After = page.Next; page.Next == nil {
					break
				}
			}
			if len(got) == len(all) { // those of one time are in the order of their numbers
				slices.Sort(got[:2])
			}
			if !slices.Equal(got, tt.want) {
				h.Errorf("%s, %d at once: %q, want %q", name, limit, got, tt.want)
			}
		}
	}

	// By the command, too.
	list, err := h.Store.Postbacks(h.Context(), postback.Filter{Merchant: Shop, Limit: 50})
	if err != nil || len(list) != len(newest) {
		h.Fatalf("the command lists %+v, %v", list, err)
	}
	c := h.mustControl(&taker{})
	h.mustExec("UPDATE withdrawals SET rates_id = (SELECT MAX(id) FROM rates)")
	for i := range newest {
		d, err := c.Inspect(h.Context(), newest[i].ID)
		if err != nil || d.Summary != newest[i] || !slices.Contains(list, newest[i]) {
			h.Fatalf("postback %d is %+v, in the list %+v, %v", newest[i].ID, d, newest[i], err)
		}
		if direction := `"direction":"outgoing"`; strings.Contains(string(d.Body), direction) != (d.Kind() == postback.OfWithdrawal) {
			h.Errorf("postback %d of a %s says %s", d.ID, d.Kind(), d.Body)
		}
	}
	var ids []int64
	for i := range newest {
		if newest[i].Kind() == postback.OfWithdrawal {
			ids = append(ids, newest[i].ID)
		}
	}
	h.mustExec("UPDATE postbacks SET state = 'dead', next_at = 0 WHERE withdrawal_id <> 0")
	before := h.MustVerify().AuditEntries
	if sent, err := c.ResendPage(h.Context(), "key:7", Shop, ids); err != nil || sent != 2 {
		h.Errorf("%d withdrawals' postbacks are sent again, %v", sent, err)
	}
	if sent, err := c.ResendPage(h.Context(), "key:7", Shop, nil); err != nil || sent != 0 {
		h.Errorf("nothing is sent again as %d, %v", sent, err)
	}
	for _, id := range ids {
		h.mustRow(id, postback.StateDue, 0, h.Clock.Now(), "")
	}
	if after := h.MustVerify().AuditEntries; after != before+1 {
		h.Errorf("%d audit entries, %d before", after, before)
	}
}

// testManyTold lists postbacks of two kinds, of one more than a page looks at: what
// lies behind the end of that is for the next page, or would be listed twice.
func testManyTold(h *House) {
	o := mustOpenOffice(h, 2000_00)
	o.mustCreate(withdrawal("w", 500_00), payout.Approved)
	first, err := h.Store.ReserveIDs(h.Context(), 20005)
	if err != nil {
		h.Fatal(err)
	}
	h.mustExec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20004)
		INSERT INTO postbacks (id, merchant, state, attempts, next_at, body, last_status, last_error, created_at, delivered_at, withdrawal_id, told)
		SELECT %d + i, 'shop', 'dead', 9, 0, (SELECT body FROM postbacks WHERE withdrawal_id = 0), 500, 'x', %d + i, 0, (SELECT id FROM withdrawals), 'failed' FROM n`, first, Start.Add(time.Hour).UnixMicro()))
	h.Clock.Advance(2 * time.Hour)
	h.mustDeposit(Shop, 1)
	var got []string
	pages := 0
	for ask := (lookup.Postbacks{Merchant: Shop, State: postback.StateDue, Limit: 50}); ; pages++ {
		page, err := h.Store.ListPostbacks(h.Context(), ask)
		if err != nil || pages > 5 {
			h.Fatalf("page %d: %v", pages, err)
		}
		for i := range page.Items {
			got = append(got, page.Items[i].CustomID)
		}
		if ask.After = page.Next; page.Next == nil {
			break
		}
	}
	if !slices.Equal(got, []string{string(UTR(1)), "funds"}) || pages == 0 {
		h.Errorf("%d pages list %q", pages+1, got)
	}
}
