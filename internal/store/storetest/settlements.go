package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/directory"
	"github.com/milaan/milaan/internal/ledger"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/money"
)

// settling is desks with a registered account: its shop's balance is settled on
// weekdays at 18:00 in India, but for 100 rupees.
func settling(more func(*directory.Settlement, *directory.PayoutDesk)) Setup {
	return Setup{Change: func(c *directory.Change) {
		desks.Change(c)
		desk := c.Payouts[0]
		desk.Max, desk.MerchantDay, desk.LabelDay, desk.ApproveAbove = 1000_00, 0, 60_00, 1000_00
		s := &directory.Settlement{
			Account: "998877665544", Name: "Shop Traders", IFSC: "HDFC0000001", Method: "imps_ib", Keep: 100_00,
			Schedule:     directory.Schedule{Every: directory.Weekdays, At: 18 * 60, Since: Start.Add(-30 * 24 * time.Hour)},
			RegisteredAt: Start.Add(-30 * 24 * time.Hour),
		}
		if more != nil {
			more(s, desk)
		}
		c.Merchants[0].Settlement = s
	}}
}

// counter is an office that settles, too.
type counter struct {
	*office
	settler *settlement.Scheduler
	funds   int // deposits so far
}

func mustOpenCounter(h *House, balance money.Paise) *counter {
	h.Helper()
	o := mustOpenOffice(h, balance)
	o.bank.says(payout.Answer{Standing: payout.Paid, BankRef: string(UTR(77))}, nil)
	return &counter{office: o, settler: &settlement.Scheduler{Settler: &settlement.Settler{
		Store: h.Store, Office: o.Office, Log: slog.New(slog.DiscardHandler),
	}}}
}

// mustFund has a payer pay the shop.
func (c *counter) mustFund(amount money.Paise) {
	c.Helper()
	c.funds++
	utr := UTR(100_000 + c.funds)
	c.MustReport("till", 1, 0, 0, c.Entry(utr, amount))
	claim := Claim(fmt.Sprint("fund", c.funds), utr, amount)
	claim.Label = fmt.Sprint("payer", c.funds)
	c.MustActivate(claim, deposit.Credited)
}

// mustSettle settles on demand, and checks the payouts it comes to.
func (c *counter) mustSettle(order settlement.Order, id string, amounts ...money.Paise) (*settlement.Settlement, []*payout.Withdrawal) {
	c.Helper()
	order.Merchant, order.Actor = Shop, "operator:asha"
	made, err := c.settler.Settle(c.Context(), order)
	if err != nil || made.WithdrawalID != id {
		c.Fatalf("settled %+v, %v; want %s", made, err, id)
	}
	return made, c.mustPayOut(made, amounts...)
}

// mustPayOut checks the payouts of a settlement.
func (c *counter) mustPayOut(made *settlement.Settlement, amounts ...money.Paise) []*payout.Withdrawal {
	c.Helper()
	payouts, err := c.settler.Payouts(c.Context(), made)
	var got []money.Paise
	for _, w := range payouts {
		got = append(got, w.Amount)
		if w.Account != "998877665544" || w.Label != "settlement" || !strings.HasPrefix(w.WithdrawalID, made.WithdrawalID) {
			c.Errorf("paid by %+v", w)
		}
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(amounts) || made.Payouts != len(amounts) || made.Open() {
		c.Fatalf("%s paid %v, %v, and says %+v; want %v", made.WithdrawalID, got, err, made, amounts)
	}
	return payouts
}

func (c *counter) mustNotSettle(order settlement.Order, say string) {
	c.Helper()
	order.Merchant, order.Actor = Shop, "operator:asha"
	_, err := c.settler.Settle(c.Context(), order)
	var refusal *settlement.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, say) {
		c.Fatalf("refused with %v, want %q", err, say)
	}
}

// mustRound lets what is due be settled, and checks the newest settlement.
func (c *counter) mustRound(id, why string, amounts ...money.Paise) *settlement.Settlement {
	c.Helper()
	if err := c.settler.Round(c.Context()); err != nil {
		c.Fatalf("settle what is due: %v", err)
	}
	list, err := c.House.Store.Settlements(c.Context(), settlement.Filter{Merchant: Shop, Limit: 1})
	if err != nil || len(list) != 1 || list[0].WithdrawalID != id || !strings.Contains(list[0].Why, why) || why == "" && list[0].Why != "" {
		c.Fatalf("the newest settlement is %+v, %v; want %s because of %q", list, err, id, why)
	}
	c.mustPayOut(list[0], amounts...)
	return list[0]
}

// testSettlements plays settlements on demand, and what can stand in their way.
func testSettlements(t *testing.T, fresh Fresh) {
	t.Helper()
	within := func(balance money.Paise, tale func(c *counter)) func(*House) {
		return func(h *House) { tale(mustOpenCounter(h, balance)) }
	}
	play(t, fresh, []scenario{
		{"all there is, in as many payouts as the desk needs", settling(nil), within(2500_00, func(c *counter) {
			// 2400 less three fees of 5: a thousand, a thousand, the rest.
			_, payouts := c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 1000_00, 1000_00, 385_00)
			c.mustHave(100_00, 2400_00)
			if ids := payouts[0].WithdrawalID + payouts[1].WithdrawalID; ids != "settlement-2026-03-14-2settlement-2026-03-14-2-p2" {
				c.Errorf("the payouts are %s", ids)
			}
			// The second is as much as the first, and asked for by a person.
			if payouts[0].State != payout.Approved || fmt.Sprint(payouts[1].State, payouts[1].Reasons) != "new["+payout.ReasonDuplicate+"]" {
				c.Errorf("the payouts are %+v and %+v", payouts[0], payouts[1])
			}
			c.mustNotSettle(settlement.Order{}, "there is nothing to settle: the balance is ₹100.00, of which ₹100.00 stays")
			c.mustFund(200_00)
			c.mustSettle(settlement.Order{Amount: 50_00}, "settlement-2026-03-14-3", 50_00)
			c.mustNotSettle(settlement.Order{Amount: 140_01}, "at most ₹140.00 can now")
		})},
		{"the same id is the same settlement", settling(nil), within(2000_00, func(c *counter) {
			first, _ := c.mustSettle(settlement.Order{ID: "march", Amount: 500_00}, "settlement-march", 500_00)
			again, _ := c.mustSettle(settlement.Order{ID: "march", Amount: 500_00}, "settlement-march", 500_00)
			if first.ID != again.ID {
				c.Errorf("asked again it is settlement %d", again.ID)
			}
			c.mustNotSettle(settlement.Order{ID: "march", Amount: 400_00}, "another amount")
			c.mustNotSettle(settlement.Order{ID: "2026-03-15"}, "is no id")
			c.mustHave(1495_00, 505_00)
		})},
		{"nobody else takes a settlement's id", settling(nil), within(2000_00, func(c *counter) {
			c.mustNotCreate(withdrawal("settlement-2026-03-16", 100_00), payout.IDReserved)
			test := withdrawal("settlement-", 100_00)
			test.Test = true
			c.mustNotCreate(test, payout.IDReserved)
			odd := withdrawal("mine", 100_00)
			odd.Settles = true
			c.mustNotCreate(odd, payout.IDReserved)
		})},
		{"a new account needs a second person", settling(func(s *directory.Settlement, _ *directory.PayoutDesk) { s.RegisteredAt = Start.Add(-time.Hour) }), within(600_00, func(c *counter) {
			_, payouts := c.mustSettle(settlement.Order{Amount: 300_00}, "settlement-2026-03-14-2", 300_00)
			w := payouts[0]
			if fmt.Sprint(w.State, w.Reasons) != "new["+payout.ReasonAccount+"]" {
				c.Errorf("the payout is %s because of %v", w.State, w.Reasons)
			}
			_, err := c.Approve(c.Context(), w.ID, "operator:asha")
			c.mustTurnDown(err, payout.SamePerson)
			if _, err := c.Approve(c.Context(), w.ID, "operator:ravi"); err != nil {
				c.Fatal(err)
			}
			c.mustWork()
			c.mustStand(w.ID, payout.Success)
			c.Clock.Advance(23 * time.Hour)
			_, payouts = c.mustSettle(settlement.Order{Amount: 100_00}, "settlement-2026-03-15-2", 100_00)
			if payouts[0].State != payout.Approved {
				c.Errorf("a day later the payout is %s because of %v", payouts[0].State, payouts[0].Reasons)
			}
		})},
		{"less than the least", settling(func(s *directory.Settlement, _ *directory.PayoutDesk) { s.Least = 200_00 }), within(304_99, func(c *counter) {
			c.mustNotSettle(settlement.Order{}, "₹199.99 could be settled, and the least is ₹200.00")
			c.mustFund(1)
			c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 200_00)
			c.mustHave(100_00, 205_00)
		})},
		{"as much as the day allows", settling(func(_ *directory.Settlement, d *directory.PayoutDesk) { d.MerchantDay = 1500_00 }), within(5000_00, func(c *counter) {
			c.mustCreate(withdrawal("a", 20_00), payout.Approved)
			made, _ := c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 1000_00, 480_00)
			if made.Why != "₹3,365.00 stays: the desk's limit for a day of ₹1,500.00 is reached" {
				c.Errorf("what stays is told as %q", made.Why)
			}
			c.mustNotSettle(settlement.Order{}, "leaves ₹0.00 for today")
			c.Clock.Advance(24 * time.Hour)
			c.mustSettle(settlement.Order{}, "settlement-2026-03-15-2", 1000_00, 500_00)
		})},
		{"a rest that the desk does not pay", settling(nil), within(1118_00, func(c *counter) {
			made, _ := c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 1000_00)
			if made.Why != "₹8.00 stays: it is less than the desk pays at once, ₹10.00" {
				c.Errorf("what stays is told as %q", made.Why)
			}
		})},
		{"the record is held to the payouts", settling(nil), within(500_00, func(c *counter) {
			c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 395_00)
			for _, damage := range []struct{ do, undo, want string }{
				{`UPDATE settlements SET amount = amount + 1`, `UPDATE settlements SET amount = amount - 1`, "by its record, but its withdrawals say otherwise"},
				{`UPDATE settlements SET payouts = 0`, `UPDATE settlements SET payouts = 1`, "by its record, but its withdrawals say otherwise"},
				{`UPDATE settlements SET merchant = 'cafe'`, `UPDATE settlements SET merchant = 'shop'`, "has the id of a settlement"},
				{`UPDATE settlements SET id = id + 1000000`, `UPDATE settlements SET id = id - 1000000`, "which was given before"},
			} {
				c.mustExec(damage.do)
				report, err := c.House.Store.Verify(c.Context())
				if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), damage.want) {
					c.Errorf("after %s: %v, %v", damage.do, report.Problems, err)
				}
				c.mustExec(damage.undo)
			}
		})},
		{"nowhere to", desks, within(1000_00, func(c *counter) {
			c.mustNotSettle(settlement.Order{}, "has no registered account")
		})},
		{"a desk that is gone", settling(func(s *directory.Settlement, _ *directory.PayoutDesk) { s.Method = "imps_x" }), within(1000_00, func(c *counter) {
			c.mustNotSettle(settlement.Order{}, "switched off")
			c.Clock.Advance(3 * 24 * time.Hour)
			c.mustRound("settlement-2026-03-16", "switched off")
		})},
		{"a fee by percent", settling(func(_ *directory.Settlement, d *directory.PayoutDesk) { d.Max, d.LabelDay = 0, 0 }), within(1100_00, func(c *counter) {
			c.mustCharge("1.5")
			r := withdrawal("a", 33_33) // 49.995 paise of it, and 5 rupees
			if w := c.mustCreate(r, payout.Approved); w.Fee != 5_50 {
				c.Errorf("the fee on %s is %s", w.Amount, w.Fee)
			}
			// 961.17 are left to spend: a paisa more would cost one too many.
			_, payouts := c.mustSettle(settlement.Order{}, "settlement-2026-03-14-2", 942_04)
			if payouts[0].Fee != 19_13 || payouts[0].Amount+payouts[0].Fee != 961_17 {
				c.Errorf("the fee is %s", payouts[0].Fee)
			}
			c.mustNotCreate(withdrawal("b", 93_61), payout.InsufficientBalance)
			if w := c.mustCreate(withdrawal("b", 93_60), payout.Approved); w.Fee != 6_40 { // 6.404
				c.Errorf("the fee on %s is %s", w.Amount, w.Fee)
			}
		})},
		{"a fee that is one paisa too much", settling(func(_ *directory.Settlement, d *directory.PayoutDesk) { d.LabelDay = 0 }), within(102_00, func(c *counter) {
			c.mustCharge("2")
			c.mustNotCreate(withdrawal("a", 95_11), payout.InsufficientBalance) // and 6.9022, which is 6.90
			c.mustCreate(withdrawal("a", 95_10), payout.Approved)
			c.mustHave(0, 102_00)
		})},
		{"an amount whose fee no number holds", settling(func(_ *directory.Settlement, d *directory.PayoutDesk) { d.Max, d.LabelDay = 0, 0 }), within(102_00, func(c *counter) {
			c.mustCharge("100")
			c.mustNotCreate(withdrawal("a", 1<<62), payout.InsufficientBalance)
			c.mustNotCreate(withdrawal("a", 1<<63-1), payout.InsufficientBalance)
		})},
		{"the account is changed amid", settling(nil), within(2500_00, func(c *counter) {
			c.Clock.Advance(3 * 24 * time.Hour)
			made := c.mustLeave(true, "settlement-2026-03-17")
			m := *c.Directory.Current().Merchant(Shop)
			s := *m.Settlement
			s.Account, s.RegisteredAt = "112233445566", c.Clock.Now()
			m.Settlement = &s
			c.MustChange(directory.Change{Merchants: []*directory.Merchant{&m}})
			if err := c.Directory.Refresh(c.Context()); err != nil {
				c.Fatal(err)
			}
			c.Clock.Advance(2 * time.Minute)
			if err := c.settler.Round(c.Context()); err != nil {
				c.Fatal(err)
			}
			if made, err := c.House.Store.FindSettlement(c.Context(), made.Key); err != nil || made.Payouts != 0 || made.Why != "the registered account was changed meanwhile" {
				c.Errorf("it came to %+v, %v", made, err)
			}
			c.mustHave(2500_00, 0)
		})},
		{"left after the first payout", settling(nil), within(305_00+100_00, func(c *counter) {
			made := c.mustLeave(true, "settlement-2026-03-13")
			_, err := c.Create(c.Context(), payout.Request{
				Key: made.Key, Method: "imps_ib", Label: "settlement", Amount: 300_00, Currency: money.INR, Beneficiary: made.Beneficiary,
				CreatedBy: payout.ScheduleActor, Settles: true,
			})
			if err != nil {
				c.Fatal(err)
			}
			// What came since is the next run's: 500 less 300 and two fees are left.
			c.mustFund(900_00)
			c.Clock.Advance(2 * time.Minute)
			c.mustRound("settlement-2026-03-13", "", 300_00, 190_00)
			c.mustHave(805_00, 500_00)
		})},
		{"left amid", settling(nil), within(2500_00, func(c *counter) {
			asked := c.mustLeave(false, "settlement-april")
			c.Clock.Advance(2 * 24 * time.Hour) // Monday, before 18:00
			due := c.mustLeave(true, "settlement-2026-03-13")
			c.Clock.Advance(2 * time.Minute)
			if err := c.settler.Round(c.Context()); err != nil {
				c.Fatal(err)
			}
			// What a person asked for is not gone on with, what fell due is.
			for _, want := range []struct {
				made    *settlement.Settlement
				payouts int
			}{{asked, 0}, {due, 1}} {
				if made, err := c.House.Store.FindSettlement(c.Context(), want.made.Key); err != nil || made.Open() || made.Payouts != want.payouts {
					c.Errorf("it came to %+v, %v", made, err)
				}
			}
			c.mustHave(2000_00, 500_00)
		})},
	})
}

// mustCharge has the shop pay a share of withdrawals.
func (c *counter) mustCharge(percent string) {
	c.Helper()
	p, err := money.ParsePercent(percent)
	if err != nil {
		c.Fatal(err)
	}
	m := *c.Directory.Current().Merchant(Shop)
	m.Fee.WithdrawalPercent = p
	c.MustChange(directory.Change{Merchants: []*directory.Merchant{&m}})
	if err := c.Directory.Refresh(c.Context()); err != nil {
		c.Fatal(err)
	}
}

// mustLeave keeps a settlement as a gateway that went down would leave it.
func (c *counter) mustLeave(scheduled bool, id string) *settlement.Settlement {
	c.Helper()
	made := &settlement.Settlement{
		Key: payout.Key{Merchant: Shop, WithdrawalID: id}, Beneficiary: payout.Beneficiary{Account: "998877665544", Name: "Shop Traders", IFSC: "HDFC0000001"},
		Method: "imps_ib", Scheduled: scheduled, DueAt: c.Clock.Now(), CreatedBy: payout.ScheduleActor, CreatedAt: c.Clock.Now(), Budget: 500_00,
	}
	if fresh, err := c.House.Store.KeepSettlement(c.Context(), made); err != nil || !fresh {
		c.Fatalf("keep a settlement: %v, %v", fresh, err)
	}
	return made
}

// testSettlementsBySchedule has two gateways settle for weeks, and sometimes none.
func testSettlementsBySchedule(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{
		{"missed runs are made up for once", settling(nil), func(h *House) {
			c := mustOpenCounter(h, 1000_00)
			c.mustRound("settlement-2026-03-13", "", 895_00) // Friday's, on Saturday
			c.Clock.Advance(2*24*time.Hour + 2*time.Hour)    // Monday, 17:00
			c.mustFund(300_00)
			c.mustRound("settlement-2026-03-13", "", 895_00)
			c.Clock.Advance(time.Hour)
			c.mustRound("settlement-2026-03-16", "", 295_00)
			c.mustFund(300_00)
			c.Clock.Advance(9 * 24 * time.Hour) // Wednesday of the next week
			c.mustRound("settlement-2026-03-25", "", 295_00)
			// A run that paid nothing is not made when money comes.
			c.Clock.Advance(24 * time.Hour)
			c.mustRound("settlement-2026-03-26", "there is nothing to settle")
			c.mustFund(300_00)
			c.Clock.Advance(time.Hour)
			c.mustRound("settlement-2026-03-26", "there is nothing to settle")
			branch := mustOpenCounter(h.MustOpenBranch(), 0)
			branch.mustRound("settlement-2026-03-26", "there is nothing to settle")
		}},
		{"payouts of a run repeat, and need nobody", settling(nil), func(h *House) {
			c := mustOpenCounter(h, 7100_00)
			made := c.mustRound("settlement-2026-03-13", "", 1000_00, 1000_00, 1000_00, 1000_00, 1000_00, 1000_00, 965_00)
			payouts, err := c.settler.Payouts(h.Context(), made)
			if err != nil {
				h.Fatal(err)
			}
			for _, w := range payouts {
				if w.State != payout.Approved || w.CreatedBy != payout.ScheduleActor {
					h.Errorf("%s is %s because of %v", w.WithdrawalID, w.State, w.Reasons)
				}
			}
		}},
		{"a new account waits for a run a day later", settling(func(s *directory.Settlement, _ *directory.PayoutDesk) {
			s.RegisteredAt = Start.Add(3*time.Hour - 24*time.Hour).Add(time.Second) // a second less than a day before 18:00
			s.Schedule.Every = directory.Daily
		}), func(h *House) {
			c := mustOpenCounter(h, 1000_00)
			c.Clock.Advance(4 * time.Hour)
			c.mustRound("settlement-2026-03-14", "registered less than 24 hours before")
			c.mustHave(1000_00, 0)
			c.Clock.Advance(24 * time.Hour)
			c.mustRound("settlement-2026-03-15", "", 895_00)
		}},
		{"a new schedule has missed nothing", settling(func(s *directory.Settlement, _ *directory.PayoutDesk) { s.Schedule.Since = Start }), func(h *House) {
			c := mustOpenCounter(h, 1000_00)
			if err := c.settler.Round(c.Context()); err != nil {
				c.Fatal(err)
			}
			c.mustHave(1000_00, 0)
		}},
		{"two gateways for six weeks", settling(nil), raceForWeeks},
	})
}

// raceForWeeks has two gateways settle at once whatever falls due, while the shop
// takes and pays money; for some days both are down.
func raceForWeeks(h *House) {
	first := mustOpenCounter(h, 0)
	gateways := []*counter{first, mustOpenCounter(h.MustOpenBranch(), 0)}
	h.Clock.Advance(2 * 24 * time.Hour)      // Monday, 15:00
	random := rand.New(rand.NewPCG(2026, 3)) //nolint:gosec // a test that can be repeated
	zone := h.Directory.Current().Merchant(Shop).Location()
	want := make(map[string]bool)
	down := false
	for range 6 * 7 * 4 {
		h.Clock.Advance(6 * time.Hour)
		if random.IntN(3) > 0 {
			first.mustFund(money.Paise(1 + random.Int64N(1500_00)))
		}
		if random.IntN(4) == 0 {
			r := withdrawal(fmt.Sprint("w", first.funds, random.Int64()), 15_00)
			if _, err := first.Create(h.Context(), r); err != nil {
				if _, refused := payout.IsRefusal(err); !refused {
					h.Fatal(err)
				}
			}
		}
		if down = random.IntN(8) == 0 || down && random.IntN(3) > 0; down {
			continue
		}
		var group errgroup.Group
		for _, g := range gateways {
			group.Go(func() error { return g.settler.Round(context.WithoutCancel(h.Context())) })
		}
		if err := group.Wait(); err != nil {
			h.Fatal(err)
		}
		if due := h.Directory.Current().Merchant(Shop).Settlement.Schedule.Last(h.Clock.Now(), zone); !due.IsZero() {
			want["settlement-"+due.In(zone).Format(time.DateOnly)] = true
		}
		if err := first.Office.Round(h.Context()); err != nil {
			h.Fatal(err)
		}
	}
	list, err := h.Store.Settlements(h.Context(), settlement.Filter{Merchant: Shop})
	if err != nil || len(list) != len(want) || len(list) < 20 {
		h.Fatalf("%d settlements, %v; want %d", len(list), err, len(want))
	}
	// Each once, the oldest first; what one leaves is what the next begins with.
	var settled, left money.Paise
	paying := 0
	for _, made := range slices.Backward(list) {
		if !want[made.WithdrawalID] || made.Open() || !made.Scheduled {
			h.Errorf("settled %+v", made)
		}
		settled += made.Amount + made.Fee
		if made.Payouts == 0 {
			continue
		}
		paying++
		r, err := first.settler.Of(h.Context(), made.Key)
		if err != nil {
			h.Fatal(err)
		}
		mustAddUp(h, r)
		if r.Opening != left || r.Closing < 100_00 && r.Closing < left || len(r.Payouts) != made.Payouts || sumOf(r, settlement.Settlements) != -made.Amount {
			h.Errorf("%s reports %+v after %s was left", made.WithdrawalID, r, left)
		}
		left = r.Closing
	}
	r, err := first.settler.Since(h.Context(), Shop)
	if err != nil {
		h.Fatal(err)
	}
	mustAddUp(h, r)
	available, held, err := h.Store.MerchantBalance(h.Context(), Shop)
	if err != nil || r.Opening != left || r.Closing != available || paying < 10 {
		h.Errorf("%d paid; the last left %s, then it reports %+v; %s is there and %s held, %v", paying, left, r, available, held, err)
	}
	all, err := first.settler.Period(h.Context(), Shop, time.UnixMicro(0), h.Clock.Now().Add(time.Second))
	if err != nil || all.Opening != 0 || all.Closing != available || sumOf(all, settlement.Settlements)+sumOf(all, settlement.SettlementFees) != -settled {
		h.Errorf("in all it reports %+v, %v; %s was settled", all, err, settled)
	}
	mustAddUp(h, all)
}

func sumOf(r *settlement.Report, name settlement.LineName) money.Paise {
	for _, l := range r.Lines {
		if l.Name == name {
			return l.Amount
		}
	}
	return 0
}

// mustAddUp checks that a report's lines lead from one balance to the other.
func mustAddUp(h *House, r *settlement.Report) {
	h.Helper()
	sum := r.Opening
	for _, l := range r.Lines {
		sum += l.Amount
	}
	if sum != r.Closing {
		h.Errorf("the report comes to %s, not to %s: %+v", sum, r.Closing, r)
	}
}

// testSettlementReports does anything at all, and reports on any two moments:
// what a report says is what the ledger said then.
func testSettlementReports(t *testing.T, fresh Fresh) {
	t.Helper()
	play(t, fresh, []scenario{{"any period", Setup{Change: func(c *directory.Change) {
		settling(nil).Change(c)
		percent, err := money.ParsePercent("1.25")
		if err != nil {
			panic(err)
		}
		c.Merchants[0].Fee = directory.Fee{DepositPercent: percent, DepositFixed: 30, WithdrawalPercent: percent, WithdrawalFixed: 1_10}
		c.Payouts[0].ApproveAbove = 200_00
	}}, func(h *House) {
		c := mustOpenCounter(h, 0)
		random := rand.New(rand.NewPCG(9, 18)) //nolint:gosec // a test that can be repeated
		type moment struct {
			at      time.Time // nothing was posted at it
			balance money.Paise
			all     map[string]money.Paise
		}
		moments := []moment{{at: h.Clock.Now()}}
		var asked []int64
		mustBeAsked := func(err error) {
			h.Helper()
			var refusal *settlement.Refusal
			if _, refused := payout.IsRefusal(err); err != nil && !refused && !errors.As(err, &refusal) {
				h.Fatal(err)
			}
		}
		for i := range 160 {
			h.Clock.Advance(time.Duration(1 + random.Int64N(int64(8*time.Hour))))
			switch random.IntN(8) {
			case 0, 1, 2:
				c.mustFund(money.Paise(1 + random.Int64N(900_00)))
			case 3:
				w, err := c.Create(h.Context(), withdrawal(fmt.Sprint("w", i), money.Paise(10_00+random.Int64N(300_00))))
				if mustBeAsked(err); err == nil {
					asked = append(asked, w.ID)
				}
			case 4:
				answer := payout.Answer{Standing: payout.Paid, BankRef: string(UTR(i))}
				if random.IntN(2) == 0 {
					answer = payout.Answer{Standing: payout.Refused, Why: "closed"}
				}
				c.bank.says(answer, nil)
				if err := c.Office.Round(h.Context()); err != nil {
					h.Fatal(err)
				}
			case 5: // one that was asked for is approved, taken back, or comes back
				if len(asked) == 0 {
					continue
				}
				id := asked[random.IntN(len(asked))]
				w, err := h.Store.FindWithdrawal(h.Context(), id)
				if err != nil {
					h.Fatal(err)
				}
				switch {
				case w.State == payout.New && random.IntN(2) == 0:
					_, err = c.Approve(h.Context(), id, "operator:ravi")
				case w.State == payout.Success:
					_, err = c.Office.Settle(h.Context(), id, payout.Answer{Standing: payout.Refused, Why: "came back"}, "operator:ravi")
				default:
					_, err = c.Cancel(h.Context(), id, "operator:ravi", "a mistake")
				}
				mustBeAsked(err)
			case 6:
				made, err := c.settler.Settle(h.Context(), settlement.Order{Merchant: Shop, Amount: money.Paise(random.Int64N(2) * 50_00), Actor: "operator:asha"})
				mustBeAsked(err)
				if err == nil {
					payouts, err := c.settler.Payouts(h.Context(), made)
					if err != nil {
						h.Fatal(err)
					}
					for _, w := range payouts {
						asked = append(asked, w.ID)
					}
				}
			case 7:
				if err := c.settler.Round(h.Context()); err != nil {
					h.Fatal(err)
				}
			}
			h.Clock.Advance(time.Second)
			all := h.MustBalances()
			moments = append(moments, moment{h.Clock.Now(), -all[ledger.MerchantCode(Shop)], all})
		}
		seen := make(map[settlement.LineName]bool)
		for range 200 {
			from, to := moments[random.IntN(len(moments))], moments[random.IntN(len(moments))]
			r, err := c.settler.Period(h.Context(), Shop, from.at, to.at)
			if !from.at.Before(to.at) {
				if !errors.Is(err, settlement.ErrPeriod) {
					h.Fatalf("a period that ends before it begins gives %v", err)
				}
				continue
			}
			if err != nil || r.Opening != from.balance || r.Closing != to.balance {
				h.Fatalf("from %s to %s it reports %+v, %v; the ledger had %s and %s", from.at, to.at, r, err, from.balance, to.balance)
			}
			mustReport(h, from.at, to.at, from.all, to.all)
			mustAddUp(h, r)
			for _, l := range r.Lines {
				seen[l.Name] = seen[l.Name] || l.Count > 0 && l.Amount != 0
			}
		}
		for _, name := range []settlement.LineName{settlement.Deposits, settlement.DepositFees, settlement.Withdrawals, settlement.WithdrawalFees,
			settlement.WithdrawalsReturned, settlement.Settlements, settlement.SettlementFees, settlement.SettlementsReturned} {
			if !seen[name] {
				h.Errorf("there were no %s in any report", name)
			}
		}
	}}})
}
