package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/money"
)

// bankDesk is a provider that does what a test tells it to.
type bankDesk struct {
	mu     sync.Mutex
	answer payout.Answer
	err    error
	sent   map[string]int // by reference
}

func (b *bankDesk) Send(_ context.Context, order payout.Order) (payout.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[order.Reference]++
	return b.answer, b.err
}

func (b *bankDesk) Ask(_ context.Context, order payout.Order) (payout.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && b.sent[order.Reference] == 0 {
		return payout.Answer{Standing: payout.Absent}, nil
	}
	return b.answer, b.err
}

func (b *bankDesk) says(answer payout.Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer, b.err = answer, err
}

// office is a payout office over a house.
type office struct {
	*House
	*payout.Office
	bank *bankDesk
}

// desks is a house that pays withdrawals of up to 1,000 rupees by themselves.
var desks = Setup{Change: func(c *directory.Change) {
	c.Merchants[0].Fee.WithdrawalFixed = 5 * money.Rupee
	c.Payouts = []*directory.PayoutDesk{{ID: "desk", Kind: directory.PayoutSandbox, Method: "imps_ib", Min: 10_00, Max: 50_000_00, MerchantDay: 100_000_00,
		LabelDay: 60_000_00, ApproveAbove: 1000_00, Wallets: []string{"till", "spare"}}}
}}

// mustOpenOffice opens an office whose shop has so much.
func mustOpenOffice(h *House, balance money.Paise) *office {
	h.Helper()
	o := &office{House: h, bank: &bankDesk{sent: make(map[string]int)}}
	o.Office = &payout.Office{Config: payout.Config{
		Store: h.Store, Directory: h.Directory, Now: h.Clock.Now, RatesID: func() int64 { return 1 }, Log: slog.New(slog.DiscardHandler),
		Provider: func(*directory.PayoutDesk) (payout.Provider, error) { return o.bank, nil },
	}}
	if balance > 0 {
		h.MustReport("till", 1, 0, 0, h.Entry(UTR(900), balance))
		h.MustActivate(Claim("funds", UTR(900), balance), deposit.Credited)
	}
	return o
}

func withdrawal(id string, amount money.Paise) payout.Request {
	return payout.Request{
		Key: payout.Key{Merchant: Shop, WithdrawalID: id}, Method: "imps_ib", Label: "55", Amount: amount, Currency: money.INR,
		Beneficiary: payout.Beneficiary{Account: "123456789", Name: "Asha Rao", IFSC: "HDFC0000001"}, CreatedBy: "api:shop",
	}
}

func (o *office) mustCreate(r payout.Request, want payout.State, reasons ...string) *payout.Withdrawal {
	o.Helper()
	w, err := o.Create(o.Context(), r)
	if err != nil || w.State != want || fmt.Sprint(w.Reasons) != fmt.Sprint(reasons) {
		o.Fatalf("withdrawal %s: %+v, %v; want %s for %v", r.WithdrawalID, w, err, want, reasons)
	}
	return w
}

func (o *office) mustNotCreate(r payout.Request, want payout.RefusalCode) {
	o.Helper()
	o.mustTurnDown(func() error { _, err := o.Create(o.Context(), r); return err }(), want)
}

func (o *office) mustTurnDown(err error, want payout.RefusalCode) {
	o.Helper()
	var refusal *payout.Refusal
	if !errors.As(err, &refusal) || refusal.Code != want {
		o.Fatalf("refused with %v, want %s", err, want)
	}
}

// mustStand checks where a withdrawal stands.
func (o *office) mustStand(id int64, want payout.State) *payout.Withdrawal {
	o.Helper()
	w, err := o.Store.FindWithdrawal(o.Context(), id)
	if err != nil || w.State != want {
		o.Fatalf("withdrawal %d: %+v, %v; want %s", id, w, err, want)
	}
	return w
}

// mustWork lets the worker go round once, at a time when everything is due.
func (o *office) mustWork() {
	o.Helper()
	o.Clock.Advance(time.Hour)
	if err := o.Round(o.Context()); err != nil {
		o.Fatalf("work: %v", err)
	}
}

func (o *office) mustHave(available, held money.Paise) {
	o.Helper()
	a, h, err := o.Store.MerchantBalance(o.Context(), Shop)
	if err != nil || a != available || h != held {
		o.Fatalf("the shop may withdraw %s and %s is held, %v; want %s and %s", a, h, err, available, held)
	}
}

// testPayouts plays withdrawals from the request to the bank.
func testPayouts(t *testing.T, fresh Fresh) {
	t.Helper()
	within := func(balance money.Paise, tale func(o *office)) func(*House) {
		return func(h *House) { tale(mustOpenOffice(h, balance)) }
	}
	paid := payout.Answer{Standing: payout.Paid, ProviderRef: "p1", BankRef: string(UTR(77))}
	play(t, fresh, []scenario{
		{"paid at once", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustHave(1495_00, 505_00)
			if again := o.mustCreate(withdrawal("a", 500_00), payout.Approved); again.ID != w.ID {
				o.Errorf("asked again it is withdrawal %d", again.ID)
			}
			o.mustNotCreate(withdrawal("a", 501_00), payout.IDUsed)
			o.mustWork()
			w = o.mustStand(w.ID, payout.Success)
			if w.BankRef != string(UTR(77)) || w.Wallet != "till" || w.Tries != 1 {
				o.Errorf("paid as %+v", w)
			}
			o.mustHave(1495_00, 0)
			o.mustHold(ledger.WalletCode("till"), 1500_00)
			o.mustHold(ledger.FeesCode, -5_00)
		})},
		{"refused by the bank", desks, within(2000_00, func(o *office) {
			o.bank.says(payout.Answer{Standing: payout.Refused, Why: "account closed"}, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			if w = o.mustStand(w.ID, payout.Failed); w.Why != "account closed" {
				o.Errorf("failed because of %q", w.Why)
			}
			o.mustHave(2000_00, 0)
		})},
		{"no answer is no failure", desks, within(2000_00, func(o *office) {
			o.bank.says(payout.Answer{}, context.DeadlineExceeded)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			for range 3 {
				o.mustWork()
				o.mustStand(w.ID, payout.Processing)
			}
			o.bank.says(payout.Answer{Standing: payout.Unclear}, nil)
			o.mustWork()
			o.mustStand(w.ID, payout.Processing)
			o.mustHave(1495_00, 505_00)
			o.bank.says(paid, nil)
			o.mustWork()
			w = o.mustStand(w.ID, payout.Success)
			if o.bank.sent[w.Reference()] != 1 {
				o.Errorf("sent %d times", o.bank.sent[w.Reference()])
			}
		})},
		{"approved by another", desks, within(5000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 3000_00), payout.New, payout.ReasonAmount)
			o.mustWork()
			o.mustStand(w.ID, payout.New)
			_, err := o.Approve(o.Context(), w.ID, "api:shop")
			o.mustTurnDown(err, payout.SamePerson)
			if _, err := o.Approve(o.Context(), w.ID, "operator:asha"); err != nil {
				o.Fatal(err)
			}
			o.mustWork()
			o.mustStand(w.ID, payout.Success)
			_, err = o.Cancel(o.Context(), w.ID, "operator:asha", "too late")
			o.mustTurnDown(err, payout.WrongState)
		})},
		{"canceled", desks, within(5000_00, func(o *office) {
			w := o.mustCreate(withdrawal("a", 3000_00), payout.New, payout.ReasonAmount)
			for range 2 {
				if _, err := o.Cancel(o.Context(), w.ID, "operator:asha", "a mistake"); err != nil {
					o.Fatal(err)
				}
			}
			o.mustStand(w.ID, payout.Canceled)
			o.mustHave(5000_00, 0)
			_, err := o.Approve(o.Context(), w.ID, "operator:ravi")
			o.mustTurnDown(err, payout.WrongState)
		})},
		{"what looks odd waits for a person", desks, within(9000_00, func(o *office) {
			o.bank.says(paid, nil)
			o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustCreate(withdrawal("b", 500_00), payout.New, payout.ReasonDuplicate)
			for i := range 3 {
				o.mustCreate(withdrawal(fmt.Sprint("c", i), money.Paise(100+i)*money.Rupee), payout.Approved)
			}
			o.mustCreate(withdrawal("d", 200_00), payout.New, payout.ReasonVelocity)
			small := withdrawal("e", 20_00)
			small.Account, small.IFSC = "987654321", "ABBL0000001"
			o.mustCreate(small, payout.New, payout.ReasonBank)
		})},
		{"what can't be", desks, within(200_000_00, func(o *office) {
			o.mustNotCreate(withdrawal("a", 9_99), payout.AmountTooSmall)
			o.mustNotCreate(withdrawal("a", 50_000_01), payout.AmountTooLarge)
			odd := withdrawal("a", 100_00)
			odd.IFSC = "ZZZZ0000001"
			o.mustNotCreate(odd, payout.BankUnknown)
			odd = withdrawal("a", 100_00)
			odd.Account = "111111111"
			o.mustNotCreate(odd, payout.AccountWrong)
			odd = withdrawal("a", 100_00)
			odd.Method = "imps_x"
			o.mustNotCreate(odd, payout.MethodOff)
			o.mustCreate(withdrawal("a", 50_000_00), payout.New, payout.ReasonAmount)
			o.mustNotCreate(withdrawal("b", 10_001_00), payout.DayLimit) // of the label
			other := withdrawal("b", 45_000_00)
			other.Label = "56"
			o.mustCreate(other, payout.New, payout.ReasonAmount)
			third := withdrawal("c", 5_001_00)
			third.Label = "57"
			o.mustNotCreate(third, payout.DayLimit) // of the merchant
			o.Clock.Advance(24 * time.Hour)
			o.mustCreate(third, payout.New, payout.ReasonAmount)
		})},
		{"more than there is", desks, within(504_99, func(o *office) {
			o.mustNotCreate(withdrawal("a", 500_00), payout.InsufficientBalance) // with its fee
			o.mustCreate(withdrawal("a", 499_99), payout.Approved)
			o.mustHave(0, 504_99)
		})},
		{"marked by hand", desks, within(9000_00, func(o *office) {
			const actor = "key:7"
			w := o.mustCreate(withdrawal("a", 2000_00), payout.New, payout.ReasonAmount)
			_, err := o.MarkPaid(o.Context(), w.ID, "", string(UTR(5)), actor)
			o.mustTurnDown(err, payout.KeptContested) // nobody approved it
			if _, err := o.Clear(o.Context(), w.ID, actor, "a slip of the pen"); err != nil {
				o.Fatal(err)
			}
			if _, err := o.Approve(o.Context(), w.ID, actor); err != nil {
				o.Fatal(err)
			}
			for range 2 { // said twice, it is paid once
				if w, err = o.MarkPaid(o.Context(), w.ID, "", string(UTR(5)), actor); err != nil || w.State != payout.Success || w.BankRef != string(UTR(5)) {
					o.Fatalf("marked as paid: %+v, %v", w, err)
				}
			}
			o.mustHave(6995_00, 0)
			if w, err = o.MarkFailed(o.Context(), w.ID, actor, "came back"); err != nil || w.State != payout.Failed || w.Why != "came back" {
				o.Fatalf("marked as failed: %+v, %v", w, err)
			}
			o.mustHave(9000_00, 0)
			if _, err := o.MarkPaid(o.Context(), 99, "", "x", actor); !errors.Is(err, payout.ErrNoWithdrawal) {
				o.Errorf("none is marked: %v", err)
			}
		})},
		{"those that are open", desks, within(9000_00, func(o *office) {
			var want []int64
			for i, state := range []payout.State{payout.New, payout.Approved, payout.New, payout.New} {
				r := withdrawal(fmt.Sprint(i), money.Paise(1500-i)*money.Rupee)
				if state == payout.Approved {
					r.Amount = 900_00
				}
				w, err := o.Create(o.Context(), r)
				if err != nil || w.State != state {
					o.Fatalf("%+v, %v", w, err)
				}
				want = append(want, w.ID)
			}
			if _, err := o.Cancel(o.Context(), want[2], "key:7", "no"); err != nil {
				o.Fatal(err)
			}
			open := []payout.State{payout.New, payout.Approved, payout.Processing}
			for _, tt := range []struct {
				states []payout.State
				after  int64
				limit  int
				want   []int64
			}{
				{open, 0, 10, []int64{want[0], want[1], want[3]}}, {open, want[0], 1, want[1:2]}, {open, want[1], 10, want[3:]},
				{open[:1], 0, 10, []int64{want[0], want[3]}}, {[]payout.State{payout.New, payout.Canceled}, want[0], 10, want[2:]}, {nil, 0, 10, want},
			} {
				list, err := o.Store.ListWithdrawals(o.Context(), tt.states, "", tt.after, tt.limit)
				var got []int64
				for _, w := range list {
					got = append(got, w.ID)
				}
				if err != nil || !slices.Equal(got, tt.want) {
					o.Errorf("%v after %d: %v, %v; want %v", tt.states, tt.after, got, err, tt.want)
				}
			}
		})},
		{"a test moves nothing", desks, within(0, func(o *office) {
			r := withdrawal("a", 500_00)
			r.Test = true
			w := o.mustCreate(r, payout.Approved)
			o.mustWork()
			o.mustStand(w.ID, payout.Success)
			o.mustHave(0, 0)
			if len(o.bank.sent) > 0 {
				o.Error("a test was sent to the bank")
			}
		})},
		{"a statement settles it", desks, within(2000_00, func(o *office) {
			o.bank.says(payout.Answer{}, context.DeadlineExceeded)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("till", feed.Debit, 500_00, "IMPS OUT "+w.Reference()+" ASHA", true)
			o.mustStand(w.ID, payout.Success)
			o.mustHold(ledger.WalletCode("till"), 1500_00)
			o.mustHold(ledger.OutflowCode("till"), 0)
			// And back again.
			o.mustExplain("till", feed.Other, 500_00, "RETURN "+w.Reference(), true)
			o.mustStand(w.ID, payout.Failed)
			o.mustHold(ledger.WalletCode("till"), 2000_00)
			o.mustHold(ledger.IncomeCode("till"), 0)
			o.mustHave(2000_00, 0)
		})},
		{"a statement shows what a provider told", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("till", feed.Debit, 499_00, w.Reference(), false) // another amount
			o.mustExplain("spare", feed.Debit, 500_00, w.Reference(), false)
			o.mustExplain("till", feed.Debit, 500_00, "IMPS "+string(UTR(77)), true)
			o.mustExplain("till", feed.Debit, 500_00, "again "+w.Reference(), false) // paid once
			o.mustHold(ledger.OutflowCode("till"), 999_00)
		})},
		{"200 at once, and money for 100", desks, within(100*105_00, func(o *office) {
			var group errgroup.Group
			var mu sync.Mutex
			accepted := 0
			for i := range 200 {
				group.Go(func() error {
					r := withdrawal(fmt.Sprint("w", i), 100_00)
					r.Label = fmt.Sprint(i)
					_, err := o.Create(o.Context(), r)
					var refusal *payout.Refusal
					if errors.As(err, &refusal) && refusal.Code == payout.InsufficientBalance {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					accepted++
					return err
				})
			}
			if err := group.Wait(); err != nil || accepted != 100 {
				o.Fatalf("%d were accepted, %v", accepted, err)
			}
			o.mustHave(0, 100*105_00)
		})},
	})
}

// mustExplain has a statement show a movement, and checks whether it is a
// withdrawal's.
func (o *office) mustExplain(wallet string, kind feed.Kind, amount money.Paise, narration string, want bool) {
	o.Helper()
	r := feed.Reading{Kind: kind, Amount: amount, At: o.Clock.Now()}
	m := &feed.Movement{Kind: kind, Amount: amount, Currency: money.INR, At: r.At, Narration: narration, Key: feed.LineKey(wallet, &r, narration, nil, 0)}
	if kind == feed.Debit && len(payout.References(narration)) == 0 {
		m.UTR = UTR(77)
	}
	out := o.mustMove(wallet, m, feed.Recorded)
	got, err := o.Explain(o.Context(), payout.Movement{ID: out.MovementID, Wallet: wallet, In: kind == feed.Other, UTR: m.UTR, Amount: amount}, narration)
	if err != nil || got != want {
		o.Fatalf("movement %q is explained: %v, %v; want %v", narration, got, err, want)
	}
}
