package month

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed/statement"
	"github.com/milaan/milaan/internal/intake"
	"github.com/milaan/milaan/internal/payout"
	"github.com/milaan/milaan/internal/settlement"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// work plans what the operator's people do, and what is done by the clock.
func (w *world) work() {
	for day := range Days {
		midnight := w.midnight(day)
		for _, at := range []time.Duration{10 * time.Hour, 15 * time.Hour, 21 * time.Hour} {
			w.happen(midnight.Add(at+12*time.Minute), w.review)
		}
		if midnight.Weekday() == time.Monday && day > 0 {
			w.happen(midnight.Add(9*time.Hour+41*time.Minute), func(ctx context.Context) error {
				return w.statements(ctx, midnight.AddDate(0, 0, -min(7, day)), midnight)
			})
		}
	}
	// Postbacks that failed go out again; where nobody answers for days, few do.
	for at := w.midnight(0).Add(5 * time.Hour); at.Before(w.until); at = at.Add(3 * time.Hour) {
		w.happen(at, w.courier.round)
	}
	for _, d := range []time.Duration{4 * time.Hour, 2 * time.Hour, 80 * time.Minute, 50 * time.Minute, 30 * time.Minute, 12 * time.Minute, 5 * time.Minute} {
		w.happen(w.ago(d), w.courier.round)
	}
	w.happen(w.midnight(Days-12).Add(4*time.Hour), func(ctx context.Context) error {
		if err := w.control.Pause(ctx, w.actor(staff.Operator), "khel"); err != nil {
			return err
		}
		w.clock.pass(14 * time.Minute)
		return w.control.Resume(ctx, w.actor(staff.Operator), "khel")
	})
	w.happen(w.midnight(Days-2).Add(12*time.Hour+30*time.Minute), func(ctx context.Context) error {
		_, err := w.control.Test(ctx, w.actor(staff.Operator), "pathshala")
		return err
	})
}

// review is a reviewer's round: what came of late is left for the visitor, and
// what nobody can tell from here.
func (w *world) review(ctx context.Context) error {
	const most = 200
	list, err := w.store.PendingClaims(ctx, 0, most)
	if err != nil {
		return err
	}
	for _, r := range list {
		c := r.Claim
		if c.CreatedAt.After(w.ago(leftForPeople)) || w.clock.Now().Sub(c.CreatedAt) < 20*time.Minute || c.Reasons.Has(deposit.TooManyFailures) {
			continue
		}
		w.clock.pass(50 * time.Second)
		approve, why := verdict(c)
		if approve {
			_, err = w.desk.Approve(ctx, c.ID, 0, w.actor(staff.Reviewer), why)
		} else {
			_, err = w.desk.Reject(ctx, c.ID, w.actor(staff.Reviewer), why)
		}
		if err != nil {
			return fmt.Errorf("review claim %s: %w", c.CustomID, err)
		}
	}
	return nil
}

// verdict is what the reviewer makes of a claim.
func verdict(c *deposit.Claim) (approve bool, why string) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.CustomID)) // a hash never fails
	switch {
	case c.CreditID == 0 || c.Reasons.Has(deposit.CreditReversal):
		return false, "the bank's app does not show this money"
	case c.Reasons.Has(deposit.CreditUnverified), c.Reasons.Has("rule:large"):
		return true, "compared with the bank's app"
	case c.Reasons.Has(deposit.AmountDiffers) && h.Sum32()%4 > 0:
		return true, "the customer agrees to what arrived"
	case c.Reasons.Has(deposit.WalletNotShown):
		return true, "the payer used a QR code of last week"
	default:
		return false, "the customer asked for a new order"
	}
}

// statements imports the statements of some days, as the operator does on Mondays.
func (w *world) statements(ctx context.Context, from, to time.Time) error {
	for _, wallet := range []string{hdfc, icici} {
		a := w.accounts[wallet]
		if err := w.paidOut(ctx, a); err != nil {
			return err
		}
		w.clock.pass(3 * time.Minute)
		text, err := a.statement(from, to)
		if err != nil {
			return err
		}
		dir := w.directory.Current()
		name := fmt.Sprintf("%s_%s.csv", wallet, to.AddDate(0, 0, -1).Format("2006-01-02"))
		if _, err := w.importer.Import(ctx, dir.Feed(a.file), dir.Wallet(wallet), intake.File{
			ReaderAt: bytes.NewReader(text), Size: int64(len(text)), Name: name, Format: statement.Auto, Actor: w.actor(staff.Operator),
		}); err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
	}
	return nil
}

// paidOut brings the withdrawals that were paid from an account into its bank's
// book.
func (w *world) paidOut(ctx context.Context, a *account) error {
	const most = 5000
	list, err := w.store.ListWithdrawals(ctx, []payout.State{payout.Success}, "", 0, most)
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.Wallet != a.wallet || w.seen[x.ID] || x.Test {
			continue
		}
		w.seen[x.ID] = true
		a.lines = append(a.lines, line{
			at: x.PaidAt, out: true, amount: x.Amount,
			narration: fmt.Sprintf("IMPS-%s-%s-%s", x.BankRef, x.Name, x.Reference()),
		})
	}
	return nil
}

// payOut plans withdrawals and settlements.
func (w *world) payOut() {
	for day := range Days {
		midnight := w.midnight(day)
		w.happen(midnight.Add(11*time.Hour+30*time.Minute+3*time.Second), func(ctx context.Context) error {
			return w.scheduler.Round(ctx)
		})
		for range 1 + w.dice.IntN(3) {
			at := midnight.Add(time.Duration(17+w.dice.IntN(6))*time.Hour + time.Duration(w.dice.IntN(60))*time.Minute)
			w.withdrawal(at, "khel", "player-", pick(w.dice, []money.Paise{150, 300, 500, 500, 650, 900, 1500, 2500}))
		}
		if w.dice.IntN(2) == 0 {
			at := midnight.Add(time.Duration(11+w.dice.IntN(7))*time.Hour + time.Duration(w.dice.IntN(60))*time.Minute)
			w.withdrawal(at, "mela", "cust-", money.Paise(99+50*w.dice.IntN(30)))
		}
		w.happen(midnight.Add(10*time.Hour+40*time.Minute), w.approve)
		w.happen(midnight.Add(12*time.Hour+14*time.Minute), w.approve)
		w.happen(midnight.Add(20*time.Hour+5*time.Minute), w.approve)
	}
	w.byHand()
}

// withdrawal plans one of a customer's.
func (w *world) withdrawal(at time.Time, merchant, label string, rupees money.Paise) {
	// The last digits choose what the sandbox makes of it.
	ends := pick(w.dice, []string{"01", "01", "11", "27", "38", "45", "52", "60", "74", "89", "93", "03", "02"})
	to := payout.Beneficiary{
		Account: accountNumber(w.dice.IntN(1_000_000), ends), Name: pick(w.dice, given) + " " + pick(w.dice, family), IFSC: pick(w.dice, branches),
	}
	id := fmt.Sprintf("WD-%s-%d", at.In(india).Format("0102"), 1000+w.dice.IntN(9000))
	from := label + fmt.Sprint(10_000+w.dice.IntN(1500))
	w.happen(at, func(ctx context.Context) error {
		_, err := w.office.Create(ctx, payout.Request{
			Key: payout.Key{Merchant: merchant, WithdrawalID: id}, Method: "imps_ib", Label: from, Amount: rupees * money.Rupee, Currency: money.INR,
			Beneficiary: to, CreatedBy: "api:" + merchant,
		})
		if refusal, ok := payout.IsRefusal(err); ok && refusal.Code == payout.InsufficientBalance {
			return nil // the merchant tries another day
		}
		if err != nil {
			return err
		}
		return w.send(ctx)
	})
}

// approve is the operator's round of withdrawals: what was asked for of late
// waits for the visitor.
func (w *world) approve(ctx context.Context) error {
	const most = 200
	list, err := w.store.ListWithdrawals(ctx, []payout.State{payout.New}, "", 0, most)
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.CreatedAt.After(w.ago(leftForPeople)) || x.Desk == portal {
			continue
		}
		w.clock.pass(12 * time.Second)
		if _, err := w.office.Approve(ctx, x.ID, w.actor(staff.Operator)); err != nil {
			return fmt.Errorf("approve withdrawal %s: %w", x.WithdrawalID, err)
		}
	}
	return w.send(ctx)
}

// send sends what is approved and asks after it until nothing is under way, and
// has merchants told.
func (w *world) send(ctx context.Context) error {
	const rounds, pause = 8, 6 * time.Second
	for range rounds {
		if err := w.office.Round(ctx); err != nil {
			return err
		}
		due, err := w.store.DueWithdrawals(ctx, w.clock.Now().Add(2*time.Minute), 1)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			break
		}
		w.clock.pass(pause)
	}
	return w.courier.round(ctx)
}

// portal is the desk that people serve in the bank's portal.
const portal = "bank-portal"

// byHand plans the withdrawals that people pay, in each state that one can be in.
func (w *world) byHand() {
	operator := func() string { return w.actor(staff.Operator) }
	create := func(ctx context.Context, id string, rupees money.Paise, ends string) (*payout.Withdrawal, error) {
		return w.office.Create(ctx, payout.Request{
			Key: payout.Key{Merchant: "mela", WithdrawalID: id}, Method: "neft_ib", Label: "supplier-" + ends, Amount: rupees * money.Rupee, Currency: money.INR,
			Beneficiary: payout.Beneficiary{Account: accountNumber(int(rupees), ends), Name: "Sunrise Packaging", IFSC: branches[0]}, CreatedBy: "api:mela",
		})
	}
	approved := func(ctx context.Context, id string, rupees money.Paise, ends string) (*payout.Withdrawal, error) {
		x, err := create(ctx, id, rupees, ends)
		if err != nil {
			return nil, err
		}
		w.clock.pass(25 * time.Minute)
		return w.office.Approve(ctx, x.ID, operator())
	}
	handed := func(ctx context.Context, id string, rupees money.Paise, ends string) (*payout.Withdrawal, error) {
		x, err := approved(ctx, id, rupees, ends)
		if err != nil {
			return nil, err
		}
		w.clock.pass(8 * time.Minute)
		return w.office.Hand(ctx, x.ID, operator(), "entered in the portal")
	}
	w.happen(w.midnight(Days-8).Add(16*time.Hour), func(ctx context.Context) error {
		x, err := handed(ctx, "PO-2201", 6200, "19")
		if err != nil {
			return err
		}
		w.clock.pass(50 * time.Minute)
		_, err = w.office.MarkPaid(ctx, x.ID, "", string(w.next(w.clock.Now())), operator())
		return err
	})
	w.happen(w.ago(74*time.Hour), func(ctx context.Context) error {
		// The portal said that it was rejected; the supplier says that it came.
		x, err := handed(ctx, "PO-2207", 3150, "23")
		if err != nil {
			return err
		}
		w.clock.pass(2 * time.Hour)
		if _, err := w.office.MarkFailed(ctx, x.ID, operator(), "the portal shows it as rejected"); err != nil {
			return err
		}
		w.clock.pass(3 * time.Hour)
		_, err = w.office.Settle(ctx, x.ID, payout.Answer{Standing: payout.Paid, BankRef: string(w.next(w.clock.Now()))}, operator())
		if _, doubted := payout.IsRefusal(err); !doubted {
			return fmt.Errorf("a withdrawal that failed was paid: %w", err)
		}
		return nil
	})
	w.happen(w.ago(27*time.Hour), func(ctx context.Context) error {
		x, err := create(ctx, "PO-2212", 4800, "31")
		if err != nil {
			return err
		}
		w.clock.pass(20 * time.Minute)
		_, err = w.office.Cancel(ctx, x.ID, operator(), "the merchant asked for another account")
		return err
	})
	w.happen(w.ago(7*time.Hour), func(ctx context.Context) error { _, err := handed(ctx, "PO-2214", 2750, "42"); return err })
	w.happen(w.ago(3*time.Hour), func(ctx context.Context) error { _, err := approved(ctx, "PO-2215", 1900, "56"); return err })
	w.happen(w.ago(90*time.Minute), func(ctx context.Context) error { _, err := create(ctx, "PO-2216", 5400, "67"); return err })
	w.happen(w.ago(130*time.Minute), func(ctx context.Context) error {
		for _, x := range []struct {
			id     string
			rupees money.Paise
			test   bool
		}{{"WD-9001", 2500, false}, {"WD-9002", 500, true}} {
			if _, err := w.office.Create(ctx, payout.Request{
				Key: payout.Key{Merchant: "khel", WithdrawalID: x.id}, Method: "imps_ib", Label: "player-10344", Amount: x.rupees * money.Rupee, Currency: money.INR, Test: x.test,
				Beneficiary: payout.Beneficiary{Account: "55010012377", Name: "Nikhil Shetty", IFSC: branches[1]}, CreatedBy: "api:khel",
			}); err != nil {
				return err
			}
		}
		return w.send(ctx)
	})
	w.happen(w.midnight(Days-10).Add(17*time.Hour), func(ctx context.Context) error {
		if _, err := w.settler.Settle(ctx, settlement.Order{Merchant: "pathshala", Actor: w.actor(staff.Owner)}); err != nil {
			return err
		}
		return nil
	})
}

func accountNumber(n int, ends string) upi.AccountNumber {
	return upi.AccountNumber(fmt.Sprintf("50%08d%s", n, ends))
}
