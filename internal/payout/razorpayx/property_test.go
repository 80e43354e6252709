package razorpayx_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/payout"
)

// tally counts what a property test went through.
type tally struct {
	runs, sends, asks, requests, faults, restarts           atomic.Int64
	paid, refused, reversed, absent, notSent, errs, unclear atomic.Int64
}

func (n *tally) String() string {
	return fmt.Sprintf("%d runs, %d sends, %d asks, %d requests, %d faults, %d restarts; answers: %d paid, %d refused, %d reversed, %d absent, %d not sent, %d unclear, %d other errors",
		n.runs.Load(), n.sends.Load(), n.asks.Load(), n.requests.Load(), n.faults.Load(), n.restarts.Load(),
		n.paid.Load(), n.refused.Load(), n.reversed.Load(), n.absent.Load(), n.notSent.Load(), n.unclear.Load(), n.errs.Load())
}

// withdrawal is an order as its caller keeps it.
type withdrawal struct {
	payout.Order
	done payout.Standing // the definite answer, once there is one
}

// Whatever goes wrong and however often orders are sent, no reference has two
// payouts, and nothing is called refused, absent or not sent that was, is or
// will be paid.
func TestNeverTwiceNeverLost(t *testing.T) {
	t.Parallel()
	var n tally
	rapid.Check(t, func(rt *rapid.T) {
		n.runs.Add(1)
		d := newDouble(t)
		defer d.Close()
		d.lag = rapid.SampledFrom([]time.Duration{0, time.Minute, 30 * time.Minute}).Draw(rt, "lag")
		d.status = rapid.SampledFrom([]string{"processing", "queued", "pending", "processed"}).Draw(rt, "status of new payouts")
		p := d.provider(t)
		orders := make([]*withdrawal, rapid.IntRange(1, 3).Draw(rt, "orders"))
		for i := range orders {
			orders[i] = &withdrawal{Order: d.order(i + 1)}
			if rapid.IntRange(0, 9).Draw(rt, "too much") == 0 {
				orders[i].Amount = 600_000_00
			}
		}
		anew := rapid.Bool().Draw(rt, "started anew when not sent")
		judge := func(w *withdrawal, answer payout.Answer, err error) {
			list, coming := d.of(w.Reference)
			if len(list) > 1 {
				rt.Fatalf("%s has %d payouts", w.Reference, len(list))
			}
			none := len(list) == 0 && !coming
			switch {
			case errors.Is(err, payout.ErrNotSent):
				n.notSent.Add(1)
				if !none {
					rt.Fatalf("%s was sent: %v", w.Reference, err)
				}
				if anew { // some callers start it anew
					w.At = d.clock()
				}
				return
			case err != nil:
				n.errs.Add(1)
				return
			}
			switch answer.Standing {
			case payout.Refused:
				n.refused.Add(1)
				switch {
				case len(list) == 0 && coming, len(list) == 1 && !dead[list[0].status()]:
					rt.Fatalf("%s is not refused: %+v", w.Reference, answer)
				case len(list) == 1 && list[0].status() == "reversed":
					n.reversed.Add(1)
				}
				w.done = payout.Refused
			case payout.Absent:
				n.absent.Add(1)
				if !none {
					rt.Fatalf("%s is not absent", w.Reference)
				}
			case payout.Paid:
				n.paid.Add(1)
				if len(list) != 1 || list[0].status() != "processed" {
					rt.Fatalf("%s is not paid", w.Reference)
				}
				w.done = payout.Paid
			case payout.Accepted:
				if len(list) != 1 || dead[list[0].status()] {
					rt.Fatalf("%s is not under way", w.Reference)
				}
			case payout.Unclear:
				n.unclear.Add(1)
			default:
				rt.Fatalf("standing %q", answer.Standing)
			}
			if answer.ProviderRef != "" {
				w.ProviderRef = answer.ProviderRef
			}
		}
		send := func(w *withdrawal) {
			if w.done != "" {
				return // its caller sends nothing that is paid or refused
			}
			n.sends.Add(1)
			answer, err := p.Send(t.Context(), w.Order)
			judge(w, answer, err)
		}
		ask := func(w *withdrawal) {
			n.asks.Add(1)
			answer, err := p.Ask(t.Context(), w.Order)
			if w.done == payout.Refused && err == nil && (answer.Standing == payout.Paid || answer.Standing == payout.Accepted) {
				rt.Fatalf("%s was refused, and is %s", w.Reference, answer.Standing)
			}
			judge(w, answer, err)
		}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			w := rapid.SampledFrom(orders).Draw(rt, "order")
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0, 1, 2:
				list := rapid.SliceOfN(rapid.SampledFrom(faults), 0, 5).Draw(rt, "faults")
				n.faults.Add(int64(len(list)))
				d.fail(list...)
				send(w)
				d.calm()
			case 3, 4:
				list := rapid.SliceOfN(rapid.SampledFrom(faults), 0, 2).Draw(rt, "faults")
				n.faults.Add(int64(len(list)))
				d.fail(list...)
				ask(w)
				d.calm()
			case 5, 6:
				d.advance(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Minute, 20 * time.Minute, time.Hour, 40 * time.Hour, 5 * 24 * time.Hour}).Draw(rt, "time"))
			case 7:
				proceed(rt, d, w.Reference)
			case 8:
				n.restarts.Add(1)
				p = d.provider(t)
			case 9:
				d.mu.Lock()
				d.broke = !d.broke
				d.mu.Unlock()
			}
		}

		// In the end all is well: everything comes to a definite answer, unless it is
		// too old to be sent again.
		d.mu.Lock()
		d.broke, d.lag = false, 0
		d.mu.Unlock()
		d.advance(2 * time.Hour)
		for _, w := range orders {
			if w.ProviderRef == "" {
				send(w)
			}
			for list, _ := d.of(w.Reference); len(list) == 1 && !dead[list[0].status()] && list[0].status() != "processed"; {
				proceed(rt, d, w.Reference)
			}
			ask(w)
			list, _ := d.of(w.Reference)
			old := len(list) == 0 && d.clock().Sub(w.At) > 6*24*time.Hour
			if w.done == "" && !old {
				rt.Fatalf("%s came to no end", w.Reference)
			}
		}
		n.requests.Add(int64(d.requests))
	})
	t.Log(n.String())
}

// dead are statuses of payouts that pay nobody.
var dead = map[string]bool{"reversed": true, "rejected": true, "cancelled": true, "failed": true}

// proceed moves a payout on as its life cycle allows.
func proceed(rt *rapid.T, d *double, reference string) {
	list, _ := d.of(reference)
	if len(list) == 0 {
		return
	}
	to := map[string][]string{
		"pending":    {"queued", "processing", "rejected"},
		"queued":     {"processing", "cancelled"},
		"processing": {"processed", "reversed", "failed"},
		"processed":  {"reversed"},
		"reversed":   {"failed"},
		"failed":     {"reversed"},
	}[list[0].status()]
	if len(to) == 0 {
		return
	}
	status := rapid.SampledFrom(to).Draw(rt, "status")
	reason := map[string]string{"processed": "payout_processed", "queued": "low_balance"}[status]
	if dead[status] {
		reason = "beneficiary_bank_offline"
	}
	d.turn(reference, status, reason)
}
