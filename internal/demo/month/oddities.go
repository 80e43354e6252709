package month

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/staff"
	"github.com/milaan/milaan/money"
	"github.com/milaan/milaan/upi"
)

// branches are of no bank's real branch; the banks must be known ones.
var branches = []upi.IFSC{"HDFC0999901", "ICIC0999902", "SBIN0999903", "UTIB0999904", "KKBK0999905"}

// odd makes a payment of a merchant's own to a wallet.
func (w *world) odd(merchant, wallet string, rupees money.Paise) *payment {
	for _, t := range w.trades {
		if t.merchant != merchant {
			continue
		}
		p := &payment{trade: t, from: t.customer(w.dice), asked: rupees * money.Rupee, paid: rupees * money.Rupee, place: place{wallet, "upi_l", 0}}
		if wallet == axis {
			p.place.method = "upi_ib"
		}
		return p
	}
	return nil
}

// heard has payments paid and reported, claimed by nobody yet.
func (w *world) heard(ctx context.Context, payments ...*payment) error {
	for _, p := range payments {
		w.pay(p)
	}
	w.clock.pass(8 * time.Second)
	return w.report(ctx, payments)
}

// claimed has a payment claimed, whatever comes of it.
func (w *world) claimed(ctx context.Context, p *payment) (deposit.Claim, error) {
	return w.desk.Activate(ctx, w.activation(p))
}

// oddities plans one case of each reason for review, and what feeds bring that is
// no payment.
func (w *world) oddities() {
	both := func(d time.Duration, p *payment, between func(context.Context, *payment) error) {
		w.happen(w.ago(d), func(ctx context.Context) error {
			if err := w.heard(ctx, p); err != nil {
				return err
			}
			w.clock.pass(47 * time.Second)
			if between != nil {
				if err := between(ctx, p); err != nil {
					return err
				}
			}
			if _, err := w.claimed(ctx, p); err != nil {
				return err
			}
			return nil
		})
	}

	// amount_differs
	short := w.odd("mela", hdfc, 1249)
	short.paid = 1200 * money.Rupee
	both(3*time.Hour, short, nil)

	// credit_unverified: a large one that an SMS alone tells of
	both(6*time.Hour, w.odd("mela", hdfc, 18_490), nil)

	// rule:large
	both(9*time.Hour, w.odd("mela", hdfc, 64_000), nil)

	// wallet_not_shown: shown one wallet, paid to the other
	strayed := w.odd("mela", hdfc, 899)
	both(5*time.Hour, strayed, nil)
	w.happen(w.ago(5*time.Hour+2*time.Minute), func(ctx context.Context) error {
		shown, err := w.assign(ctx, strayed)
		if shown.Wallet == hdfc {
			strayed.place.wallet = icici
		}
		return err
	})

	// credit_contested: the phone sends the text again with another amount
	both(7*time.Hour, w.odd("mela", icici, 1500), func(ctx context.Context, p *payment) error {
		again := *p
		again.paid = 15_000 * money.Rupee
		return w.tell(ctx, w.accounts[icici], line{at: w.clock.Now(), amount: again.paid, utr: p.utr, from: p.from})
	})

	w.rivals()
	w.twins()
	w.reversed()
	w.guesses()
	w.oldCredit()
	w.taken()
	w.messages()

	// A bank books what no feed could tell of: the statement's difference.
	for day := range Days {
		if w.midnight(day).Weekday() != time.Sunday {
			continue
		}
		at := w.midnight(day).Add(13 * time.Hour)
		w.happen(at, func(context.Context) error {
			a := w.accounts[icici]
			a.lines = append(a.lines, line{at: at, amount: 118 * money.Rupee, narration: "CASH DEPOSIT BY SELF COUNTER"})
			return nil
		})
		w.happen(at.Add(time.Hour), func(context.Context) error {
			a := w.accounts[hdfc]
			a.lines = append(a.lines, line{at: at, out: true, amount: 17*money.Rupee + 70, narration: "SMS CHARGES INCL GST"})
			return nil
		})
	}
}

// rivals claim one UTR, before the bank tells of it; and once more after a
// person turned a claim down.
func (w *world) rivals() {
	first, second := w.odd("khel", axis, 2000), w.odd("khel", axis, 2000)
	w.happen(w.ago(8*time.Hour), func(ctx context.Context) error {
		w.pay(first)
		second.utr = first.utr
		for _, p := range []*payment{first, second} {
			w.clock.pass(40 * time.Second)
			if _, err := w.claimed(ctx, p); err != nil {
				return err
			}
		}
		w.clock.pass(30 * time.Second)
		return w.report(ctx, []*payment{first})
	})
	doubtful, later := w.odd("mela", hdfc, 2399), w.odd("mela", hdfc, 2399)
	doubtful.asked = 2999 * money.Rupee
	w.happen(w.ago(19*time.Hour), func(ctx context.Context) error {
		if err := w.heard(ctx, doubtful); err != nil {
			return err
		}
		w.clock.pass(time.Minute)
		c, err := w.claimed(ctx, doubtful)
		if err != nil {
			return err
		}
		w.clock.pass(30 * time.Minute)
		_, err = w.desk.Reject(ctx, c.ID, w.actor(staff.Reviewer), "the payer's name is another's")
		return err
	})
	w.happen(w.ago(17*time.Hour), func(ctx context.Context) error {
		later.utr = doubtful.utr
		_, err := w.claimed(ctx, later)
		return err
	})
}

// twins are two credits with one UTR on both wallets of a method.
func (w *world) twins() {
	one, other := w.odd("mela", hdfc, 750), w.odd("mela", icici, 750)
	other.from = one.from
	w.happen(w.ago(11*time.Hour), func(ctx context.Context) error {
		w.pay(one)
		other.utr = one.utr
		w.pay(other)
		w.clock.pass(9 * time.Second)
		if err := w.report(ctx, []*payment{one, other}); err != nil {
			return err
		}
		w.clock.pass(time.Minute)
		_, err := w.claimed(ctx, one)
		return err
	})
}

// reversed is a credit that the bank took back, claimed only later.
func (w *world) reversed() {
	p := w.odd("mela", icici, 3499)
	// The Monday statement of its week tells that it was taken back.
	at := w.midnight(0).Add(15 * time.Hour)
	for day := range Days {
		if m := w.midnight(day); m.Weekday() == time.Thursday && m.Before(w.ago(6*24*time.Hour)) {
			at = m.Add(15 * time.Hour)
		}
	}
	w.happen(at, func(ctx context.Context) error {
		if err := w.heard(ctx, p); err != nil {
			return err
		}
		a := w.accounts[icici]
		a.lines = append(a.lines, line{at: at.Add(5 * time.Hour), out: true, amount: p.paid, utr: p.utr, narration: fmt.Sprintf("UPI/%s/reversal/%s/Demo Bank", p.utr, p.from.vpa)})
		return nil
	})
	w.happen(w.ago(13*time.Hour), func(ctx context.Context) error { _, err := w.claimed(ctx, p); return err })
}

// guesses are somebody's who tries UTRs until one is there.
func (w *world) guesses() {
	const many = 104
	hit := w.odd("khel", axis, 500)
	w.happen(w.ago(4*24*time.Hour+2*time.Hour), func(ctx context.Context) error {
		if err := w.heard(ctx, hit); err != nil {
			return err
		}
		w.clock.pass(20 * time.Minute)
		var guesses errgroup.Group
		for range many {
			try := *hit
			try.utr = w.next(w.clock.Now())
			a := w.activation(&try)
			guesses.Go(func() error { _, err := w.desk.Activate(ctx, a); return err })
		}
		if err := guesses.Wait(); err != nil {
			return err
		}
		w.clock.pass(2 * time.Minute)
		_, err := w.claimed(ctx, hit)
		return err
	})
}

// oldCredit is claimed days after it came.
func (w *world) oldCredit() {
	p := w.odd("mela", hdfc, 1999)
	w.happen(w.ago(9*24*time.Hour), func(ctx context.Context) error { return w.heard(ctx, p) })
	w.happen(w.ago(4*time.Hour+20*time.Minute), func(ctx context.Context) error { _, err := w.claimed(ctx, p); return err })
}

// taken is a credit that two claim, the second in vain.
func (w *world) taken() {
	p, other := w.odd("khel", axis, 1000), w.odd("khel", axis, 1000)
	w.happen(w.ago(10*time.Hour), func(ctx context.Context) error {
		if err := w.heard(ctx, p); err != nil {
			return err
		}
		w.clock.pass(time.Minute)
		if _, err := w.claimed(ctx, p); err != nil {
			return err
		}
		other.utr = p.utr
		w.clock.pass(9 * time.Minute)
		if _, err := w.claimed(ctx, other); err != nil {
			return err
		}
		return nil
	})
}

// messages are what phones forward besides payments.
func (w *world) messages() {
	say := func(d time.Duration, id, sender, text string) {
		w.happen(w.ago(d), func(ctx context.Context) error {
			body, err := json.Marshal(map[string]string{"sender": sender, "text": text})
			if err != nil {
				return err
			}
			return w.post(ctx, id, body)
		})
	}
	say(26*time.Hour, "hdfc-phone", "VM-HDFCBK-S", "Sent Rs.340.00\nFrom HDFC Bank A/C *4821\nTo Corner Stationers\nOn 14/03/26\nRef 607312345015\nNot You?\nCall 18002586161/SMS BLOCK UPI to 7308080808")
	say(22*time.Hour, "hdfc-phone", "VM-HDFCBK-S", "Dear Customer, a payment towards A/c xx4821 could be on its way: Rs.2,000.00. Check it in the app - HDFC Bank")
	say(12*time.Hour, "hdfc-phone", "+91 90000 00417", "Credit Alert!\nRs.9,500.00 credited to HDFC Bank A/c xx4821 on 01-01-26 from VPA help.desk@demobank (UPI 600112345678)")
	say(10*time.Hour+30*time.Minute, "hdfc-phone", "VM-HDFCBK-S", "Your OTP for adding a payee is 000000. Do not share it with anyone. - HDFC Bank")
	say(2*time.Hour, "hdfc-phone", "JD-HDFCBK-P", "Get a loan in minutes! Up to Rs.5,00,000 at special rates. T&C apply. - HDFC Bank")
	say(5*24*time.Hour, "hdfc-phone", "VM-HDFCBK-S", "Update! INR 4,000.00 deposited in HDFC Bank A/c XX4821 by cash. Avl bal INR 61,204.10")
}
