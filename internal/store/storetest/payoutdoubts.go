package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// desk changes the desk of an office's house.
func desk(change func(*directory.PayoutDesk)) Setup {
	return Setup{Change: func(c *directory.Change) {
		desks.Change(c)
		change(c.Payouts[0])
	}}
}

// mustDoubt checks that a withdrawal is contested, for a reason that says so much.
func (o *office) mustDoubt(id int64, says string) {
	o.Helper()
	list, err := o.Store.ContestedWithdrawals(o.Context(), 0, 100)
	i := slices.IndexFunc(list, func(w *payout.Withdrawal) bool { return w.ID == id })
	if err != nil || i < 0 || !strings.Contains(strings.Join(list[i].Doubts, "\n"), says) {
		o.Fatalf("contested are %+v, %v; want %d for %q", list, err, id, says)
	}
}

// mustCommit does something that must not be refused.
func (o *office) mustCommit(do func() (*payout.Withdrawal, error)) {
	o.Helper()
	if _, err := do(); err != nil {
		o.Fatal(err)
	}
}

// scripted is a provider that goes by a script.
type scripted struct {
	send, ask func(payout.Order) (payout.Answer, error)
}

// Send is as the script has it.
func (s scripted) Send(_ context.Context, order payout.Order) (payout.Answer, error) {
	return s.send(order)
}

// Ask is as the script has it.
func (s scripted) Ask(_ context.Context, order payout.Order) (payout.Answer, error) {
	return s.ask(order)
}

func (o *office) follow(s scripted) {
	o.Provider = func(*directory.PayoutDesk) (payout.Provider, error) { return s, nil }
}

func absent(payout.Order) (payout.Answer, error) {
	return payout.Answer{Standing: payout.Absent}, nil
}

// testPayoutDoubts plays what goes wrong with withdrawals.
func testPayoutDoubts(t *testing.T, fresh Fresh) {
	t.Helper()
	within := func(balance money.Paise, tale func(o *office)) func(*House) {
		return func(h *House) { tale(mustOpenOffice(h, balance)) }
	}
	paid := payout.Answer{Standing: payout.Paid, ProviderRef: "p1", BankRef: string(UTR(77))}
	refused := payout.Answer{Standing: payout.Refused, Why: "account closed"}
	play(t, fresh, []scenario{
		{"told to be paid after it failed", desks, within(2000_00, func(o *office) {
			o.bank.says(refused, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustStand(w.ID, payout.Failed)
			for range 2 { // told twice, it is one doubt
				_, err := o.Settle(o.Context(), w.ID, paid, "operator:asha")
				o.mustTurnDown(err, payout.KeptContested)
			}
			o.mustDoubt(w.ID, "operator:asha says that it was paid, while it was failed")
			if w := o.mustStand(w.ID, payout.Failed); len(w.Doubts) != 1 {
				o.Errorf("the doubts are %q", w.Doubts)
			}
			o.mustHave(2000_00, 0)
			o.mustCommit(func() (*payout.Withdrawal, error) { return o.Clear(o.Context(), w.ID, "operator:ravi", "it came back") })
			if list, err := o.Store.ContestedWithdrawals(o.Context(), 0, 10); err != nil || len(list) != 0 {
				o.Errorf("contested are still %+v, %v", list, err)
			}
			_, err := o.Clear(o.Context(), w.ID, "operator:ravi", "again")
			o.mustTurnDown(err, payout.WrongState)
		})},
		{"a debit of what failed", desks, within(2000_00, func(o *office) {
			o.bank.says(refused, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("till", feed.Debit, 500_00, "IMPS OUT "+w.Reference(), false)
			o.mustDoubt(w.ID, "took its money out of wallet till, while it was failed")
			o.mustHave(2000_00, 0)
			o.mustHold(ledger.OutflowCode("till"), 500_00)
		})},
		{"a debit of what was not sent yet", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustExplain("till", feed.Debit, 500_00, "IMPS OUT "+w.Reference(), false)
			o.mustWork()
			o.mustStand(w.ID, payout.Approved) // it would be paid a second time
			_, err := o.Cancel(o.Context(), w.ID, "operator:asha", "paid by hand")
			o.mustTurnDown(err, payout.InDoubt)
			_, err = o.Hand(o.Context(), w.ID, "operator:asha", "by hand")
			o.mustTurnDown(err, payout.InDoubt)
			if len(o.bank.sent) > 0 {
				o.Error("it was sent")
			}
			o.mustCommit(func() (*payout.Withdrawal, error) {
				return o.Clear(o.Context(), w.ID, "operator:asha", "another's debit")
			})
			o.mustWork()
			o.mustStand(w.ID, payout.Success)
		})},
		{"a second debit", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("till", feed.Debit, 500_00, "IMPS "+w.Reference(), true)
			o.mustExplain("till", feed.Debit, 500_00, "once more "+w.Reference(), false)
			o.mustDoubt(w.ID, "while it was success")
		})},
		{"a debit of another wallet", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("spare", feed.Debit, 500_00, "IMPS "+w.Reference(), false)
			o.mustDoubt(w.ID, "out of wallet spare")
		})},
		{"back by the provider's word, and then by the statement", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustCommit(func() (*payout.Withdrawal, error) { return o.Settle(o.Context(), w.ID, refused, "operator:asha") })
			o.mustExplain("till", feed.Other, 500_00, "RETURN "+w.Reference(), true)
			o.mustExplain("till", feed.Debit, 500_00, "IMPS "+w.Reference(), true)
			o.mustHold(ledger.WalletCode("till"), 2000_00)
			o.mustHold(ledger.IncomeCode("till"), 0)
			o.mustHold(ledger.OutflowCode("till"), 0)
			o.mustHave(2000_00, 0)
			if w := o.mustStand(w.ID, payout.Failed); w.Contested {
				o.Errorf("it is contested: %q", w.Doubts)
			}
			o.mustExplain("till", feed.Other, 500_00, "RETURN again "+w.Reference(), false)
			o.mustDoubt(w.ID, "brought its money back to wallet till, while it was failed")
			o.mustHold(ledger.IncomeCode("till"), -500_00)
		})},
		{"a return that reads as a payment leaves the withdrawal's debit alone", desks, within(2000_00, func(o *office) {
			o.bank.says(paid, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustExplain("till", feed.Debit, 500_00, "IMPS without its reference", true) // by its UTR
			o.MustReport("till", 1, 0, 0, o.Entry(UTR(77), 500_00))
			if c := o.MustCredit("till", UTR(77)); c.State != deposit.Unclaimed {
				o.Errorf("the credit is %s", c.State)
			}
			o.mustStand(w.ID, payout.Success)
		})},
		{"a file does not take back what was paid", desks, within(2000_00, func(o *office) {
			o.bank.says(payout.Answer{Standing: payout.Accepted}, nil)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustCommit(func() (*payout.Withdrawal, error) { return o.Hear(o.Context(), w.ID, paid, "operator:asha") })
			_, err := o.Hear(o.Context(), w.ID, refused, "operator:asha")
			o.mustTurnDown(err, payout.KeptContested)
			o.mustStand(w.ID, payout.Success)
			o.mustDoubt(w.ID, "says that it was refused, while it was success")
			o.mustHave(1495_00, 0)
		})},
		{"a line is one withdrawal's", desks, within(5000_00, func(o *office) {
			o.bank.says(paid, nil)
			first := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			r := withdrawal("b", 500_00)
			r.Account = "987654321"
			second := o.mustCreate(r, payout.Approved)
			o.mustWork() // the bank gives both one UTR
			m := o.movement(feed.Debit, "", 500_00)
			line := payout.Movement{ID: o.mustMove("till", m, feed.Recorded).MovementID, Wallet: "till", Amount: 500_00}
			if got, err := o.Explain(o.Context(), line, "IMPS "+first.Reference()); err != nil || !got {
				o.Fatalf("explained: %v, %v", got, err)
			}
			line.UTR = UTR(77)
			if got, err := o.Explain(o.Context(), line, "IMPS"); err != nil || got {
				o.Errorf("explained again, as %d: %v, %v", second.ID, got, err)
			}
			if w := o.mustStand(second.ID, payout.Success); w.MovementID != 0 {
				o.Errorf("its line is movement %d, which is the other's", w.MovementID)
			}
		})},
		{"handed over once", desks, within(5000_00, func(o *office) {
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustCommit(func() (*payout.Withdrawal, error) {
				return o.HandFrom(o.Context(), w.ID, "till", "operator:asha", "in file 1")
			})
			_, err := o.HandFrom(o.Context(), w.ID, "till", "operator:ravi", "in file 2")
			o.mustTurnDown(err, payout.HandedOver)
			o.mustWork() // nor does the worker send it
			if w := o.mustStand(w.ID, payout.Processing); len(o.bank.sent) > 0 || w.Contested || !w.AskAt.IsZero() {
				o.Errorf("sent are %v, %+v", o.bank.sent, w)
			}
		})},
		{"what is under way can't be paid from twice", desks, within(1000_00, func(o *office) {
			o.bank.says(payout.Answer{Standing: payout.Accepted}, nil)
			a := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			o.mustStand(a.ID, payout.Processing)
			// Money that is not the shop's to withdraw, but on its wallet: 1,000 less what is under way.
			o.MustReport("bar", 1, 0, 0, o.Entry(UTR(901), 700_00))
			cafes := cafesClaim("funds", UTR(901), 700_00)
			o.MustActivate(cafes, deposit.Credited)
			r := withdrawal("b", 550_00)
			r.Merchant = Cafe
			b := o.mustCreate(r, payout.Approved)
			o.mustWork()
			o.mustStand(b.ID, payout.Approved)
			o.mustCommit(func() (*payout.Withdrawal, error) { return o.Settle(o.Context(), a.ID, refused, "operator:asha") })
			o.bank.says(paid, nil)
			o.mustWork()
			if b = o.mustStand(b.ID, payout.Success); b.Wallet != "till" {
				o.Errorf("paid from %s", b.Wallet)
			}
		})},
		{"many hands, one gets it", desks, within(5000_00, func(o *office) {
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			var group errgroup.Group
			got := make(chan string, 20)
			for i := range 20 {
				group.Go(func() error {
					_, err := o.HandFrom(o.Context(), w.ID, "till", fmt.Sprint("operator:", i), "in a file")
					if _, is := payout.IsRefusal(err); is {
						return nil
					}
					got <- fmt.Sprint(i)
					return err
				})
			}
			if err := group.Wait(); err != nil || len(got) != 1 {
				o.Errorf("%d have it, %v", len(got), err)
			}
		})},
		{"a test is never handed over", desks, within(2000_00, func(o *office) {
			r := withdrawal("a", 500_00)
			r.Test = true
			w := o.mustCreate(r, payout.Approved)
			_, err := o.Hand(o.Context(), w.ID, "operator:asha", "by hand")
			o.mustTurnDown(err, payout.TestOnly)
			o.mustStand(w.ID, payout.Approved)
		})},
		{"what does not leave is tried again, and then a person's", desks, within(2000_00, func(o *office) {
			tries := 0
			o.follow(scripted{ask: absent, send: func(payout.Order) (payout.Answer, error) {
				tries++
				return payout.Answer{}, fmt.Errorf("%w: no connection", payout.ErrNotSent)
			}})
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			for range 40 {
				o.mustWork()
			}
			w = o.mustStand(w.ID, payout.Processing)
			if tries != 20 || w.Tries != 20 || !strings.Contains(w.Why, "no connection") {
				o.Errorf("%d tries, %+v", tries, w)
			}
			o.mustDoubt(w.ID, "did not leave in 20 tries")
			o.mustHave(1495_00, 505_00)
			// A person saw to it.
			o.follow(scripted{ask: absent, send: func(payout.Order) (payout.Answer, error) { return paid, nil }})
			o.mustCommit(func() (*payout.Withdrawal, error) {
				return o.Clear(o.Context(), w.ID, "operator:asha", "the key was wrong")
			})
			o.mustWork()
			o.mustStand(w.ID, payout.Success)
		})},
		{"a provider is left alone as long as it wants", desks, within(2000_00, func(o *office) {
			calls := 0
			busy := func(payout.Order) (payout.Answer, error) {
				calls++
				return payout.Answer{}, waitError{errors.New("busy")}
			}
			o.follow(scripted{send: busy, ask: busy})
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			round := func(after time.Duration, want int) {
				o.Clock.Advance(after)
				if err := o.Round(o.Context()); err != nil || calls != want {
					o.Fatalf("%d calls, %v; want %d", calls, err, want)
				}
			}
			round(time.Second, 1)
			round(7*time.Minute-time.Second, 1)
			round(time.Second, 2)
			o.mustStand(w.ID, payout.Processing)
		})},
		{"what was taken is never sent again", desks, within(2000_00, func(o *office) {
			sent := 0
			o.follow(scripted{ask: absent, send: func(payout.Order) (payout.Answer, error) {
				sent++
				return payout.Answer{Standing: payout.Accepted}, nil
			}})
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			for range 3 {
				o.mustWork()
			}
			if o.mustStand(w.ID, payout.Processing); sent != 1 {
				o.Errorf("sent %d times", sent)
			}
			o.mustDoubt(w.ID, "said before that it has")
		})},
		{"another account can't say that it was not paid", desks, within(2000_00, func(o *office) {
			o.bank.says(payout.Answer{}, context.DeadlineExceeded)
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			moved := *o.Directory.Current().Payouts[0]
			moved.Account = "another"
			o.MustChange(directory.Change{Payouts: []*directory.PayoutDesk{&moved}})
			if err := o.Directory.Refresh(o.Context()); err != nil {
				o.Fatal(err)
			}
			other := &bankDesk{sent: make(map[string]int)}
			o.Provider = func(*directory.PayoutDesk) (payout.Provider, error) { return other, nil }
			o.mustWork()
			if o.mustStand(w.ID, payout.Processing); len(other.sent) > 0 {
				o.Error("it was sent from another account, too")
			}
			o.mustDoubt(w.ID, "its desk was changed")
		})},
		{"settled while its worker thinks", desks, within(2000_00, func(o *office) {
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			sent := 0
			o.follow(scripted{
				send: func(payout.Order) (payout.Answer, error) { sent++; return payout.Answer{}, context.DeadlineExceeded },
				ask: func(payout.Order) (payout.Answer, error) {
					_, err := o.Settle(o.Context(), w.ID, refused, "operator:asha")
					return payout.Answer{Standing: payout.Absent}, err
				},
			})
			o.mustWork()
			o.mustWork()
			if o.mustStand(w.ID, payout.Failed); sent != 1 {
				o.Errorf("sent %d times, the last after it was settled", sent)
			}
		})},
		{"a worker that slept does not send", desks, within(2000_00, func(o *office) {
			o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			sent, deep := 0, false
			var s scripted
			s.send = func(payout.Order) (payout.Answer, error) { sent++; return payout.Answer{}, context.DeadlineExceeded }
			s.ask = func(payout.Order) (payout.Answer, error) {
				if !deep { // this one sleeps, and another goes on
					deep = true
					o.Clock.Advance(2 * time.Minute)
					if err := o.Round(o.Context()); err != nil {
						o.Error(err)
					}
				}
				return payout.Answer{Standing: payout.Absent}, nil
			}
			o.follow(s)
			o.mustWork()
			o.mustWork()
			if sent != 2 {
				o.Errorf("sent %d times, want once by the first round and once by the one that went on", sent)
			}
		})},
		{"a wallet's day", desk(func(d *directory.PayoutDesk) { d.WalletDay, d.Max = 800_00, 0 }), within(5000_00, func(o *office) {
			o.bank.says(paid, nil)
			o.mustNotCreate(withdrawal("x", 800_01), payout.AmountTooLarge)
			a, b := o.mustCreate(withdrawal("a", 500_00), payout.Approved), o.mustCreate(withdrawal("b", 400_00), payout.Approved)
			o.mustWork()
			o.mustStand(a.ID, payout.Success)
			if w := o.mustStand(b.ID, payout.Approved); !strings.Contains(w.Why, "may still pay it today") {
				o.Errorf("it waits for %q", w.Why)
			}
			_, err := o.HandFrom(o.Context(), b.ID, "till", "operator:asha", "in a file")
			o.mustTurnDown(err, payout.InsufficientBalance)
			// Another of its wallets has something, too.
			o.MustReport("spare", 1, 0, 0, o.Entry(UTR(901), 450_00))
			o.mustWork()
			if w := o.mustStand(b.ID, payout.Success); w.Wallet != "spare" || w.Why != "" {
				o.Errorf("paid as %+v", w)
			}
			c := o.mustCreate(withdrawal("c", 301_00), payout.Approved)
			o.mustWork()
			o.mustStand(c.ID, payout.Approved)
			o.Clock.Advance(15 * time.Hour) // past midnight in India
			o.mustWork()
			o.mustStand(c.ID, payout.Success)
		})},
		{"a desk without wallets pays from the merchant's", desk(func(d *directory.PayoutDesk) { d.Wallets = nil }), within(500_00, func(o *office) {
			o.bank.says(paid, nil)
			// The café's account is the fullest.
			o.MustReport("bar", 1, 0, 0, o.Entry(UTR(901), 9000_00))
			o.mustExplain("till", feed.Debit, 100_00, "charges MLPZZZZZZ", false)
			w := o.mustCreate(withdrawal("a", 450_00), payout.Approved)
			o.mustWork()
			o.mustStand(w.ID, payout.Approved) // the till has 400 left
			o.MustReport("spare", 1, 0, 0, o.Entry(UTR(902), 460_00))
			o.mustWork()
			if w := o.mustStand(w.ID, payout.Success); w.Wallet != "spare" {
				o.Errorf("paid from %s", w.Wallet)
			}
		})},
		{"what can't be sent stays approved", desks, within(2000_00, func(o *office) {
			o.Provider = func(*directory.PayoutDesk) (payout.Provider, error) { return nil, errors.New("no key") }
			w := o.mustCreate(withdrawal("a", 500_00), payout.Approved)
			o.mustWork()
			if w = o.mustStand(w.ID, payout.Approved); w.Why != "no key" {
				o.Errorf("it waits for %q", w.Why)
			}
			o.mustCommit(func() (*payout.Withdrawal, error) { return o.Cancel(o.Context(), w.ID, "operator:asha", "no way") })
			o.mustHave(2000_00, 0)
		})},
		{"a statement and withdrawals at once", desks, within(9000_00, testPayoutRaces)},
	})
}

// testPayoutRaces has a statement, the worker, the desk of deposits and the
// directory at work on the same lines and balances.
func testPayoutRaces(o *office) {
	o.Helper()
	o.bank.says(payout.Answer{}, context.DeadlineExceeded)
	const n = 12
	list := make([]*payout.Withdrawal, n)
	for i := range list {
		r := withdrawal(fmt.Sprint("w", i), money.Paise(300+i)*money.Rupee)
		r.Account = "98765432" + r.Account[:1]
		w, err := o.Create(o.Context(), r)
		if err == nil && w.State == payout.New {
			w, err = o.Approve(o.Context(), w.ID, "operator:asha")
		}
		if err != nil {
			o.Fatal(err)
		}
		list[i] = w
	}
	o.mustWork()
	branch := mustOpenOffice(o.House.MustOpenBranch(), 0)
	var group errgroup.Group
	for i, w := range list {
		// The UTR is a credit's, too, which the desk would have the debit take back.
		m := o.movement(feed.Debit, UTR(500+i), w.Amount)
		m.Narration = "IMPS " + w.Reference()
		out := o.mustMove("till", m, feed.Recorded)
		tell := payout.Movement{ID: out.MovementID, Wallet: "till", UTR: m.UTR, Amount: w.Amount}
		for _, at := range []*office{o, branch} {
			group.Go(func() error { _, err := at.Explain(o.Context(), tell, m.Narration); return err })
		}
		group.Go(func() error { _, err := branch.Report("till", o.Entry(UTR(500+i), w.Amount)); return err })
	}
	group.Go(func() error {
		for i := range 10 {
			shop := *o.Directory.Current().Merchant(Shop)
			shop.Name = fmt.Sprint("Shop ", i)
			version, err := o.Store.DirectoryVersion(o.Context())
			if err == nil {
				err = o.Store.SaveDirectory(o.Context(), directory.Change{
					From: version, Merchants: []*directory.Merchant{&shop},
					Accounts: []ledger.Account{{Code: fmt.Sprint("wallet:new", i), Kind: ledger.Asset, Currency: money.INR}},
				})
			}
			if err != nil && !errors.Is(err, directory.ErrMoved) {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		o.Fatal(err)
	}
	for i, w := range list {
		at, err := o.Store.FindWithdrawal(o.Context(), w.ID)
		credit := o.MustCredit("till", UTR(500+i))
		if err != nil || (at.State == payout.Success) == (credit.State == deposit.Reversed) {
			o.Errorf("withdrawal %d is %+v, the credit with its UTR %s, %v", w.ID, at, credit.State, err)
		}
	}
	o.mustNotDeadlock()
}
