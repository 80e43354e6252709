package server_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/deposit"
	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/store/storetest"
	"github.com/milaan/milaan/money"
)

// utr is the n-th reference of a scenario.
func utr(n int) string { return fmt.Sprintf("6277123%05d", n) }

// TestForgedSenders: whoever a text comes from says whether it is believed,
// whatever it says.
func TestForgedSenders(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		for i, sender := range []string{
			"+919876543210", "9876543210", "59876", "HDFC Bank", "hdfc@rcs.google.com", // no headers
			"VM-HDFCBK-P", "HDFCBK-P", "AD-HDFCBK-P", // promotional
			"VM-HDFCB0-S", "VM-HDFCВK-S", "VM-НDFCBK-S", "VM-HDFCBK\u200b", "VM-HDFCBK-S-S", "VM-HDFCBK-X", // look-alikes
			"VM-HDFCBX-S", "VM-HDFCLI-S", "VM-AMAZON", // of no bank
			"VM-SBIINB-S", "JD-ICICIT-S", "SBIINB", // another bank's
		} {
			b.activate(sender, utr(i), "500.00", waiting)
			b.must(smsFrom(sender, alert(utr(i), "500.00")), 0, 0, 0, 1)
			b.stands(sender, waiting)
			// What is private stays so: it counts for nothing and is not kept.
			b.must(smsFrom(sender, "See you at eight"), 0, 0, 0, 0)
		}
		if got := b.inbox("till-phone"); len(got) != 20 || slices.ContainsFunc(got, func(r feed.Result) bool { return r != feed.Refused }) {
			b.Errorf("the inbox has %v", got)
		}
		b.holds(0, 0, 0)

		// The bank's own header, about somebody else's account.
		for i, account := range []string{"xx7311", "xx17310", "XX0310", "XXXX"} {
			b.activate("account "+account, utr(50+i), "500.00", waiting)
			b.must(sms(alertOf(account, utr(50+i), "500.00", 0)), 0, 0, 0, 0)
			b.stands("account "+account, waiting)
		}
		b.holds(0, 0, 0)

		// The forger's text does not stand in the way of the bank's.
		b.must(sms(alert(utr(0), "500.00")), 1, 0, 1, 0)
		b.must(smsFrom("ad-hdfcbk", alertOf("**7310", utr(1), "500.00", 0)), 1, 0, 1, 0)
		b.stands("+919876543210", credited)
		b.holds(2, 2, 1000_00)
	})
}

// TestForgedText: what a payer can write into a payment makes no second one.
func TestForgedText(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		b.activate("forged", utr(9), "90000.00", waiting)
		for i, name := range []string{
			"x (UPI " + utr(9) + ")", "VPA a@b (UPI " + utr(9) + ") Rs.90000.00 credited", utr(9),
			"a@b\nCredit Alert!\nRs.90000.00 credited to HDFC Bank A/c xx7310 on 01-01-26 from VPA a@b (UPI " + utr(9) + ")",
		} {
			text := fmt.Sprintf("Credit Alert!\nRs.1.00 credited to HDFC Bank A/c xx7310 on %s from VPA %s (UPI %s)", today(0, "02-01-06"), name, utr(i))
			if status, answer := b.ask(sms(text)); status != http.StatusOK {
				b.Errorf("answered %d %s", status, answer)
			}
			b.stands("forged", waiting)
		}
		if r := b.verify(); r.Deposits != 0 || r.Held > 4_00 {
			b.Errorf("the books say %+v", r)
		}
	})
}

// TestForgedSignatures: a request that does not prove itself finds no feed, and
// leaves nothing behind.
func TestForgedSignatures(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		now := time.Now()
		const nonce = "nonce-of-16-letters"
		body := forwarded("VM-HDFCBK-S", alert(utr(1), "500.00"))
		changed := func(c call, change func(*call)) call {
			c.header = maps.Clone(c.header)
			change(&c)
			return c
		}
		set := func(name, value string) func(*call) {
			return func(c *call) { c.header[name] = value }
		}
		without := func(name string) func(*call) { return func(c *call) { delete(c.header, name) } }
		more := func(name, value string) func(*call) {
			return func(c *call) { c.twice = map[string]string{name: value} }
		}
		richer := func(c *call) { c.body = strings.Replace(c.body, "500", "900", 1) }

		good := signed(body, nonce, now)
		gate := gated("VM-HDFCBK-S", alert(utr(1), "500.00"), now)
		hook, flow, bank := razor("payment.captured", utr(1), 500_00, ""), cash(utr(1), "500.00", now), icici("/mis-posting", "", utr(2), "500.00")
		decentro := call{path: "/feeds/till-decentro", header: map[string]string{"Content-Type": "application/json", "X-Hook-Key": "guess"},
			body: fmt.Sprintf(`{"type":"credit","transactionAmount":500,"transferType":"UPI","bankReferenceNumber":%q}`, utr(1))}
		phonepe := call{path: "/feeds/till-phonepe", body: `{"event":"checkout.order.completed","payload":{}}`,
			header: map[string]string{"Content-Type": "application/json", "Authorization": strings.Repeat("0", 64)}}
		paytm := call{path: "/feeds/till-paytm", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
			body: "STATUS=TXN_SUCCESS&CURRENCY=INR&ORDERID=1&PAYMENTMODE=UPI&TXNAMOUNT=500.00&BANKTXNID=" + utr(1) + "&CHECKSUMHASH=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
		for name, c := range map[string]call{
			"unsigned":                   {path: good.path, body: body},
			"the token of another feed":  {path: good.path, body: body, token: "token-of-phone"},
			"another secret":             changed(good, set("X-Milaan-Signature", hexMAC("secret-of-signer", good.header["X-Milaan-Timestamp"]+"\n"+nonce+"\n", body))),
			"no signature":               changed(good, without("X-Milaan-Signature")),
			"an empty signature":         changed(good, set("X-Milaan-Signature", "")),
			"two signatures":             changed(good, more("X-Milaan-Signature", good.header["X-Milaan-Signature"])),
			"two times":                  changed(good, more("X-Milaan-Timestamp", good.header["X-Milaan-Timestamp"])),
			"a time that is not signed":  changed(good, set("X-Milaan-Timestamp", fmt.Sprint(now.Unix()+1))),
			"a nonce that is not signed": changed(good, set("X-Milaan-Nonce", nonce+"2")),
			"a body that is not signed":  changed(good, richer),
			"long ago":                   signed(body, nonce, now.Add(-10*time.Minute)),
			"ahead of time":              signed(body, nonce, now.Add(10*time.Minute)),
			"a short nonce":              signed(body, "short", now),
			"another app's signature":    changed(gate, func(c *call) { c.path = good.path }),
			"gate: a changed body":       changed(gate, richer),
			"gate: another time":         changed(gate, set("X-Timestamp", fmt.Sprint(now.Unix()-1))),
			"gate: the body alone":       changed(gate, set("X-Signature", hexMAC("secret-of-gate", gate.body))),
			"gate: long ago":             gated("VM-HDFCBK-S", alert(utr(1), "500.00"), now.Add(-time.Hour)),
			"razorpay: unsigned":         changed(hook, without("X-Razorpay-Signature")),
			"razorpay: changed":          changed(hook, func(c *call) { c.body = strings.Replace(c.body, "50000", "90000", 1) }),
			"razorpay: two signatures":   changed(hook, more("X-Razorpay-Signature", strings.Repeat("0", 64))),
			"razorpay: its token":        {path: hook.path, body: hook.body, token: "secret-of-razor"},
			"cashfree: changed":          changed(flow, richer),
			"cashfree: digits wander":    changed(flow, func(c *call) { c.header["X-Webhook-Timestamp"] += c.body[:1]; c.body = c.body[1:] }),
			"cashfree: three days ago":   cash(utr(1), "500.00", now.Add(-72*time.Hour)),
			"icici: no header":           changed(bank, without("X-Hook-Key")),
			"icici: a wrong header":      changed(bank, set("X-Hook-Key", "secret-of-icic")),
			"icici: two headers":         changed(bank, more("X-Hook-Key", "secret-of-icici")),
			"decentro":                   decentro,
			"phonepe":                    phonepe,
			"paytm":                      paytm,
			"no such feed":               {path: "/feeds/till-other", body: hook.body},
			"json without its token":     {path: "/feeds/till-json", body: report(record(utr(1), "500.00")).body},
			"json, a token in the URL":   {path: "/feeds/till-json?secret=token-of-json", body: report(record(utr(1), "500.00")).body},
		} {
			if status, answer := b.ask(c); status != http.StatusNotFound || answer != "Not found" {
				b.Errorf("%s: answered %d %s", name, status, answer)
			}
		}
		b.holds(0, 0, 0)
		if got := b.inbox(""); len(got) != 0 {
			b.Errorf("strangers left %v", got)
		}
		// None of it has spent the proof of who is no stranger.
		b.must(good, 1, 0, 0, 0)
		b.must(gate, 0, 1, 0, 0)
	})
}

// TestReplays: what was taken once counts once, whoever sends it again.
func TestReplays(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		now := time.Now()
		body := forwarded("VM-HDFCBK-S", alert(utr(1), "500.00"))
		b.must(signed(body, "nonce-number-0001", now), 1, 0, 0, 0)
		b.must(signed(body, "nonce-number-0001", now), 0, 0, 0, 0)
		b.must(signed(body, "nonce-number-0002", now), 0, 1, 0, 0)
		b.must(signed(forwarded("VM-HDFCBK-S", alert(utr(2), "900.00")), "nonce-number-0001", now), 0, 0, 0, 0) // another body under a spent nonce
		b.must(sms(alert(utr(1), "500.00")), 0, 1, 0, 0)                                                        // through another feed
		b.must(gated("VM-HDFCBK-S", alert(utr(1), "500.00"), now), 0, 1, 0, 0)
		hook := razor("payment.captured", utr(1), 500_00, "")
		for range 3 {
			b.mustAnswer(hook, http.StatusOK)
		}
		b.holds(1, 0, 0)
		b.activate("a", utr(1), "500.00", credited)
		b.must(sms(alert(utr(1), "500.00")), 0, 1, 0, 0)
		b.activateOn("upi_l", "66", "b", utr(1), "500.00", failed)
		b.holds(1, 1, 500_00)

		// An SMS of long ago, sent again or for the first time.
		b.activate("old", utr(3), "500.00", waiting)
		b.must(sms(alertOf("xx7310", utr(3), "500.00", -200)), 1, 0, 0, 0)
		b.stands("old", held)
		b.because("old", deposit.CreditTooOld)
		b.must(sms(alertOf("xx7310", utr(4), "500.00", -200)), 1, 0, 0, 0)
		b.activate("older", utr(4), "500.00", held)
		// The same payment as of today does not make it young.
		b.must(sms(alertOf("xx7310", utr(3), "500.00", 0)), 0, 1, 0, 0)
		b.stands("old", held)
		// One of tomorrow's next day is of no day that could be.
		b.must(sms(alertOf("xx7310", utr(5), "500.00", 4)), 0, 0, 0, 0)
		b.holds(3, 1, 500_00)
	})
}

// TestOneCredit: a payment that every feed tells of is one, and the bank's word
// releases what an SMS alone does not.
func TestOneCredit(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		tell := map[string]func(n int){
			"sms":       func(n int) { b.ask(sms(alert(utr(n), "25,000.00"))) },
			"statement": func(n int) { b.ask(statement(csv("", false, paid(utr(n), 25_000_00)))) },
			"razorpay":  func(n int) { b.ask(razor("payment.captured", utr(n), 25_000_00, "")) },
			"cashfree":  func(n int) { b.ask(cash(utr(n), "25000", time.Now())) },
			"json":      func(n int) { b.ask(report(record(utr(n), "25000"))) },
		}
		for i, order := range [][]string{
			{"sms", "statement", "razorpay", "cashfree", "json"},
			{"json", "cashfree", "razorpay", "statement", "sms"},
			{"statement", "sms", "json", "sms", "razorpay", "cashfree"},
			{"sms", "sms", "razorpay", "statement", "cashfree", "json"},
		} {
			id := fmt.Sprint("claim ", i)
			b.activate(id, utr(i), "25000.00", waiting)
			bank := false
			for _, kind := range order {
				tell[kind](i)
				if bank = bank || kind != "sms"; bank {
					b.stands(id, credited)
					continue
				}
				b.stands(id, held)
				b.because(id, deposit.CreditUnverified)
			}
			b.holds(int64(i)+1, int64(i)+1, 25_000_00*money.Paise(i+1))
		}
		// At the limit an SMS is enough.
		b.activate("small", utr(90), "10000.00", waiting)
		b.must(sms(alert(utr(90), "10,000.00")), 1, 0, 1, 0)
		b.must(sms(alert(utr(91), "10,000.01")), 1, 0, 0, 0)
		b.activate("large", utr(91), "10000.01", held)
		// Neither another phone nor another header confirms it.
		b.must(signed(forwarded("AX-HDFCBN-T", alert(utr(91), "10,000.01")), "nonce-number-0003", time.Now()), 0, 1, 0, 0)
		b.stands("large", held)
		b.must(statement(csv("50100012347310", false, paid(utr(91), 10_000_01))), 0, 1, 1, 0)
		b.stands("large", credited)
	})
}

// TestContradictions: feeds that disagree about an amount send the credit to a
// person, whoever spoke first and whenever it is claimed.
func TestContradictions(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		tell := map[string]func(n int, small bool) call{
			"sms": func(n int, small bool) call {
				return sms(alert(utr(n), map[bool]string{true: "50.00", false: "500.00"}[small]))
			},
			"statement": func(n int, small bool) call {
				if small {
					return statement(csv("", false, paid(utr(n), 50_00)))
				}
				return statement(csv("", false, paid(utr(n), 500_00)))
			},
			"razorpay": func(n int, small bool) call {
				if small {
					return razor("payment.captured", utr(n), 50_00, "")
				}
				return razor("payment.captured", utr(n), 500_00, "")
			},
			"json": func(n int, small bool) call {
				return report(record(utr(n), map[bool]string{true: "50.00", false: "500.00"}[small]))
			},
		}
		n := 0
		for _, first := range []string{"sms", "statement", "razorpay", "json"} {
			for _, second := range []string{"sms", "statement", "razorpay", "json"} {
				for _, smallFirst := range []bool{true, false} {
					n++
					id := fmt.Sprintf("%s, %s, %v", first, second, smallFirst)
					b.mustAnswer(tell[first](n, smallFirst), http.StatusOK)
					b.mustAnswer(tell[second](n, !smallFirst), http.StatusOK)
					for _, amount := range []string{"50.00", "500.00"} {
						b.activateOn("upi_l", "label of "+amount, id+" for "+amount, utr(n), amount, held)
						if !strings.Contains(b.reasons(id+" for "+amount), string(deposit.CreditContested)) {
							b.Errorf("%s for %s is held for %s", id, amount, b.reasons(id+" for "+amount))
						}
					}
					// Nor does it settle once they agree again.
					b.mustAnswer(tell[first](n, smallFirst), http.StatusOK)
					b.stands(id+" for 50.00", held)
					b.stands(id+" for 500.00", held)
				}
			}
		}
		b.holds(int64(n), 0, 0)

		// Where it was credited before, it is marked.
		b.must(sms(alert(utr(800), "500.00")), 1, 0, 0, 0)
		b.activate("credited", utr(800), "500.00", credited)
		s := b.must(statement(csv("", false, paid(utr(800), 50_00))), 0, 0, 0, 1)
		if !strings.Contains(s.Refused[0].Error, "credited") || strings.Contains(s.Refused[0].Error, utr(800)) {
			b.Errorf("refused for %q", s.Refused[0].Error)
		}
		if list, err := b.gateway.Store().Disputes(b.Context(), 0, 10); err != nil || len(list) != 1 || list[0].Amount != 500_00 {
			b.Errorf("the disputes are %+v, %v", list, err)
		}
		b.holds(int64(n)+1, 1, 500_00)
	})
}

// TestReversals: money that the bank took back is not given to anybody, wherever
// the statement lists it.
func TestReversals(t *testing.T) {
	takenBack := func(n int) row {
		return row{narration: "UPI-REVERSAL-ASHA@OKAXIS-UTIB0000123-" + utr(n) + "-RETURN", amount: -500_00}
	}
	onEveryEngine(t, func(b *branch) {
		// Before the claim.
		b.must(statement(csv("", false, paid(utr(1), 500_00))), 1, 0, 0, 0)
		b.must(statement(csv("", false, takenBack(1))), 0, 0, 0, 0)
		b.activate("before", utr(1), "500.00", held)
		b.because("before", deposit.CreditReversal)
		b.must(sms(alert(utr(1), "500.00")), 0, 1, 0, 0) // its SMS comes late
		b.stands("before", held)

		// After the deposit.
		b.must(sms(alert(utr(2), "500.00")), 1, 0, 0, 0)
		b.activate("after", utr(2), "500.00", credited)
		b.must(statement(csv("", false, paid(utr(2), 500_00), takenBack(2))), 0, 1, 0, 0)
		b.stands("after", credited)
		if list, err := b.gateway.Store().Disputes(b.Context(), 0, 10); err != nil || len(list) != 1 {
			b.Errorf("the disputes are %+v, %v", list, err)
		}

		// Both in one statement, for which a claim waits; old and new first.
		for n, newestFirst := range map[int]bool{3: false, 4: true} {
			id := fmt.Sprint("during ", newestFirst)
			b.activate(id, utr(n), "500.00", waiting)
			b.must(statement(csv("", newestFirst, paid(utr(n+20), 70_00), paid(utr(n), 500_00), takenBack(n))), 2, 0, 0, 0)
			b.stands(id, held)
			b.because(id, deposit.CreditReversal)
		}

		// Far apart in a long statement.
		rows := []row{{narration: paid(utr(5), 0).narration, amount: 500_00, days: -1}}
		for i := range 600 {
			rows = append(rows, paid(utr(1000+i), 10_00))
		}
		rows = append(rows, takenBack(5))
		b.activate("far", utr(5), "500.00", waiting)
		b.must(statement(csv("", false, rows...)), 601, 0, 0, 0)
		b.stands("far", held)

		// Told of before the credit.
		b.activate("first", utr(6), "500.00", waiting)
		b.must(statement(csv("", false, takenBack(6))), 0, 0, 0, 0)
		b.must(sms(alert(utr(6), "500.00")), 1, 0, 0, 0)
		b.stands("first", held)

		// An own payment that comes back is no payer's, in either order.
		out := row{narration: "UPI-SHOP-SHOP@YBL-YESB0YBLUPI-" + utr(7) + "-FOOD", amount: -300_00}
		back := row{narration: "REV-UPI-50100012347310-SHOP@YBL-" + utr(7) + "-FOOD", amount: 300_00}
		b.activate("own", utr(7), "300.00", waiting)
		b.must(statement(csv("", true, out, back)), 0, 0, 0, 0)
		b.stands("own", waiting)
		plain := row{narration: "UPI-SHOP-SHOP@YBL-YESB0YBLUPI-" + utr(8) + "-FOOD", amount: -300_00}
		b.activate("unmarked", utr(8), "300.00", waiting)
		unmarked := []row{{narration: "SMS CHARGES", amount: -1_00, days: -1}, plain, {narration: plain.narration, amount: 300_00}}
		b.must(statement(csv("", true, unmarked...)), 0, 0, 0, 0)
		b.stands("unmarked", waiting)
		// Two rows of one day, of which nothing tells which was first.
		plain.narration = strings.Replace(plain.narration, utr(8), utr(9), 1)
		b.activate("unclear", utr(9), "300.00", waiting)
		b.must(statement(csv("", true, plain, row{narration: plain.narration, amount: 300_00})), 1, 0, 0, 0)
		b.stands("unclear", held)
		if r := b.verify(); r.Deposits != 1 || r.Owed != 500_00 {
			b.Errorf("the books say %+v", r)
		}
	})
}

// TestStatements: the same line counts once, in whichever file it comes again,
// and another account's not at all.
func TestStatements(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		fee := row{narration: "SMS CHARGES", amount: -5_00}
		cashIn := row{narration: "CASH DEPOSIT BY SELF", amount: 900_00}
		june := csv("50100012347310", false, paid(utr(1), 500_00), fee, paid(utr(2), 600_00), cashIn)
		b.activate("a", utr(2), "600.00", waiting)
		b.must(statement(june), 2, 0, 1, 1)
		for range 2 {
			b.must(statement(june), 0, 2, 0, 1)
		}
		// One that overlaps it, newest first, with a line twice.
		overlap := csv("50100012347310", false, paid(utr(2), 600_00), cashIn, paid(utr(3), 700_00), paid(utr(3), 700_00))
		b.must(statement(overlap), 1, 2, 0, 1)
		b.holds(3, 1, 600_00)
		if r := b.verify(); r.Outflow != 5_00 {
			b.Errorf("the charge is booked as %s", r.Outflow)
		}

		kotak := ",,Account Statement\nANITA TRADERS,,,,Account No.,50100012347310\n,,,,Currency,INR\n,,,,IFSC,KKBK0000123\n\n" +
			"Sl. No.,Transaction Date,Value Date,Description,Chq / Ref No.,Debit,Credit,Balance,Dr / Cr\n" +
			`1,` + today(0, "02-01-2006") + ` 10:00:00,` + today(0, "02-01-2006") + `,UPI/Anita Desai/` + utr(50) + `/rent,UPI-1,,500.00,500.00,CR` + "\n"
		broken := strings.Replace(csv("50100012347310", false, paid(utr(60), 500_00), paid(utr(61), 50_00)), "100550.00", "100450.00", 1)
		for name, file := range map[string]string{
			"another account":   csv("50100012347311", false, paid(utr(50), 500_00)),
			"another bank":      kotak,
			"no statement":      "Dear all, I have paid. " + utr(50),
			"empty":             "",
			"a picture":         "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 200),
			"JSON":              report(record(utr(50), "500.00")).body,
			"balances that lie": broken,
		} {
			if status, answer := b.ask(statement(file)); name != "balances that lie" && status != http.StatusBadRequest {
				b.Errorf("%s: answered %d %s", name, status, answer)
			}
		}
		b.activate("other", utr(50), "500.00", waiting)
		b.activate("lie", utr(61), "50.00", waiting)
		// The same file at a wallet that does not name its bank is its business.
		b.must(call{path: "/feeds/stall-file", token: "token-of-stall-file", body: kotak}, 1, 0, 0, 0)
		b.stands("other", waiting)
	})
}

// TestOrder: it does not matter whether the payer or the bank is first.
func TestOrder(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		for i := range 6 {
			id, text := fmt.Sprint("claim ", i), alert(utr(i), "500.00")
			if i%2 == 0 {
				b.activate(id, utr(i), "500.00", waiting)
				b.must(sms(text), 1, 0, 1, 0)
			} else {
				b.must(sms(text), 1, 0, 0, 0)
			}
			b.activate(id, utr(i), "500.00", credited)
		}
		// A rupee less, another's UTR, and another method's wallet.
		b.must(sms(alert(utr(10), "500.00")), 1, 0, 0, 0)
		b.activate("less", utr(10), "499.99", held)
		b.activateOn("upi_l", "66", "thief", utr(0), "500.00", failed)
		b.must(sms(alert(utr(11), "500.00")), 1, 0, 0, 0)
		b.activateOn("upi_w", "77", "elsewhere", utr(11), "500.00", waiting)
		// Two who want the same wait both.
		b.activateOn("upi_l", "88", "first", utr(12), "500.00", waiting)
		b.activateOn("upi_l", "99", "second", utr(12), "500.00", waiting)
		b.must(sms(alert(utr(12), "500.00")), 1, 0, 0, 0)
		b.stands("first", held)
		b.stands("second", held)
		b.holds(9, 6, 3000_00)
	})
}

// TestStampede: however many tell of a payment and ask for it at once, it is
// one credit and one deposit.
func TestStampede(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		const many = 64
		var accepted, settled, deposits atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		now := time.Now()
		b.must(report(), 0, 0, 0, 0) // the directory is known from now on
		sameNonce := signed(forwarded("VM-HDFCBK-S", alert(utr(1), "500.00")), "nonce-number-0009", now)
		hook := razor("qr_code.credited", utr(2), 500_00, "")
		file := csv("", false, paid(utr(1), 500_00), paid(utr(2), 500_00), row{narration: "SMS CHARGES", amount: -5_00})
		text := sms(alert(utr(1), "500.00"))
		for i := range many {
			one := []call{text, sameNonce, hook, statement(file + strings.Repeat("\n", i))}[i%4]
			all.Go(func() {
				<-start
				status, answer := b.ask(one)
				if status != http.StatusOK {
					b.Errorf("%s answered %d %s", one.path, status, answer)
				}
				s := summaryIn(answer)
				accepted.Add(int64(s.Accepted))
				settled.Add(int64(s.Matched))
			})
			all.Go(func() {
				<-start
				// The same claims, of two payers, again and again.
				n := i%2 + 1
				status, answer := b.ask(call{path: "/api/v1/transaction/activate", token: "s3cret", body: fmt.Sprintf(
					`{"currency_code":"INR","wallet_type":"upi_l","label":"label %d","key1":%q,"amount":500,"custom_transaction_id":"claim %d"}`, n, utr(n), n)})
				if got := outcomeIn(answer); status != http.StatusOK || got != credited && got != waiting {
					b.Errorf("claim %d was answered with %d %s", n, status, answer)
				}
				if outcomeIn(answer) == credited {
					deposits.Add(1)
				}
			})
		}
		close(start)
		all.Wait()
		b.activateOn("upi_l", "label 1", "claim 1", utr(1), "500", credited)
		b.activateOn("upi_l", "label 2", "claim 2", utr(2), "500", credited)
		b.holds(2, 2, 1000_00)
		if r := b.verify(); r.Outflow != 5_00 {
			b.Errorf("the charge is booked as %s", r.Outflow)
		}
		if settled.Load() > 2 || accepted.Load() > 2 {
			b.Errorf("%d credits were taken for new, and %d claims for settled", accepted.Load(), settled.Load())
		}
	})
}

// TestParts: of a report with good and bad parts the good ones are kept, of one
// that can't be read nothing.
func TestParts(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		s := b.must(report(record(utr(1), "500"), `{"utr":12345}`, record(utr(2), "-1"), `[]`, record(utr(2), "600"), record(utr(1), "501"),
			`{"utr":"`+utr(3)+`","amount":"1","currency":"USD"}`, record(utr(1), "500"), record(utr(4), "10000000000000")), 2, 1, 0, 6)
		for i, place := range []int{1, 2, 3, 5, 6, 8} {
			if s.Refused[i].Index != place {
				b.Errorf("refused %+v", s.Refused)
				break
			}
		}
		batch := "[" + strings.Join([]string{
			forwarded("VM-HDFCBK-S", alert(utr(5), "1.00")), `{"from":"VM-HDFCBK-S"}`, forwarded("+919876543210", alert(utr(6), "2.00")),
			forwarded("VM-HDFCBK-S", "Your OTP is 123456. Do not share it."), forwarded("VM-HDFCBK-S", alert(utr(7), "3.00")), `{"a":1,"a":2}`,
		}, ",") + "]"
		// A key that comes twice is a body that two readers read differently.
		b.mustAnswer(call{path: "/feeds/till-phone", token: "token-of-phone", body: batch}, http.StatusBadRequest)
		b.holds(2, 0, 0)
		batch = strings.Replace(batch, `{"a":1,"a":2}`, `7`, 1)
		b.mustAnswer(call{path: "/feeds/till-phone", token: "token-of-phone", body: batch}, http.StatusBadRequest)
		b.holds(2, 0, 0)
		batch = strings.Replace(batch, `,7]`, `]`, 1)
		s = b.must(call{path: "/feeds/till-phone", token: "token-of-phone", body: batch}, 2, 0, 0, 2)
		if s.Refused[0].Index != 1 || s.Refused[1].Index != 2 {
			b.Errorf("refused %+v", s.Refused)
		}
		b.holds(4, 0, 0)
		before := len(b.inbox(""))

		long := strings.Repeat(" ", 2<<20)
		for name, c := range map[string]call{
			"json: broken":            {path: "/feeds/till-json", token: "token-of-json", body: `{"credits":[` + record(utr(90), "1") + `,`},
			"json: two documents":     {path: "/feeds/till-json", token: "token-of-json", body: report(record(utr(90), "1")).body + report().body},
			"json: a list":            {path: "/feeds/till-json", token: "token-of-json", body: `[` + record(utr(90), "1") + `]`},
			"json: null":              {path: "/feeds/till-json", token: "token-of-json", body: `{"credits":null}`},
			"json: empty":             {path: "/feeds/till-json", token: "token-of-json"},
			"json: not UTF-8":         {path: "/feeds/till-json", token: "token-of-json", body: `{"credits":[{"utr":"` + utr(90) + `","amount":"1","note":"` + "\xff" + `"}]}`},
			"sms: broken":             {path: "/feeds/till-phone", token: "token-of-phone", body: `{"from":"VM-HDFCBK-S","text":"` + alert(utr(90), "1.00")},
			"sms: line breaks":        {path: "/feeds/till-phone", token: "token-of-phone", body: "{\"from\":\"VM-HDFCBK-S\",\"text\":\"" + alert(utr(90), "1.00") + "\"}"},
			"sms: two texts":          {path: "/feeds/till-phone", token: "token-of-phone", body: `{"from":"VM-HDFCBK-S","text":"a","message":"b"}`},
			"sms: two senders":        {path: "/feeds/till-phone", token: "token-of-phone", body: `{"from":"VM-HDFCBK-S","sender":"+91","text":"a"}`},
			"sms: an odd charset":     {path: "/feeds/till-phone", token: "token-of-phone", body: forwarded("VM-HDFCBK-S", alert(utr(90), "1.00")), header: map[string]string{"Content-Type": "application/json; charset=utf-16"}},
			"sms: no type":            {path: "/feeds/till-phone", token: "token-of-phone", body: forwarded("VM-HDFCBK-S", alert(utr(90), "1.00")), header: map[string]string{"Content-Type": ";;"}},
			"sms: a text":             {path: "/feeds/till-phone", token: "token-of-phone", body: alert(utr(90), "1.00"), header: map[string]string{"Content-Type": "text/plain"}},
			"sms: empty":              {path: "/feeds/till-phone", token: "token-of-phone"},
			"mail: no letter":         {path: "/feeds/till-mail", token: "token-of-mail", body: "paid"},
			"razorpay: broken":        signedRazor(`{"event":`),
			"razorpay: a name twice":  signedRazor(`{"event":"payment.captured","event":"payment.failed"}`),
			"icici: not for us":       {path: "/feeds/vault-icici/mis-posting", body: `{"encryptedKey":"AAAA","iv":"","encryptedData":"AAAA"}`, header: map[string]string{"X-Hook-Key": "secret-of-icici"}},
			"icici: nothing":          {path: "/feeds/vault-icici/mis-posting", body: `{}`, header: map[string]string{"X-Hook-Key": "secret-of-icici"}},
			"statement: a torn form":  {path: "/feeds/till-file", token: "token-of-file", body: "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nDate", header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}},
			"statement: no file":      {path: "/feeds/till-file", token: "token-of-file", body: "--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nDate\r\n--x--\r\n", header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}},
			"statement: no boundary":  {path: "/feeds/till-file", token: "token-of-file", body: "Date", header: map[string]string{"Content-Type": "multipart/form-data"}},
			"json: a body too large":  {path: "/feeds/till-json", token: "token-of-json", body: `{"credits":[` + long + record(utr(90), "1") + `]}`},
			"sms: a body too large":   {path: "/feeds/till-phone", token: "token-of-phone", body: long + forwarded("VM-HDFCBK-S", alert(utr(90), "1.00"))},
			"razorpay: too large":     signedRazor(long),
			"sms: a body of too many": {path: "/feeds/till-phone", token: "token-of-phone", body: "[" + strings.Repeat("{},", 500) + "{}]"},
		} {
			want := http.StatusBadRequest
			if strings.HasSuffix(name, "too large") {
				want = http.StatusRequestEntityTooLarge
			}
			if status, answer := b.ask(c); status != want {
				b.Errorf("%s: answered %d %s, want %d", name, status, answer, want)
			}
		}
		b.holds(4, 0, 0)
		if after := len(b.inbox("")); after != before {
			b.Errorf("the inbox went from %d to %d", before, after)
		}
		// JSON is read whatever it is called.
		c := sms(alert(utr(8), "1.00"))
		for i, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "text/html"} {
			c.header = map[string]string{"Content-Type": kind}
			b.must(c, btoi(i == 0), btoi(i != 0), 0, 0)
		}
		b.mustAnswer(call{path: "/feeds/till-phone", token: "token-of-phone", body: "from=VM-HDFCBK-S&text=See+you", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, http.StatusOK)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func signedRazor(body string) call {
	return call{path: "/feeds/till-razor", body: body, header: map[string]string{
		"Content-Type": "application/json", "X-Razorpay-Signature": hexMAC("secret-of-razor", body)}}
}

// TestHold: ICICI asks before it credits, in words that are all but those of a
// credit.
func TestHold(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		b.activateOn("upi_ib", "55", "a", utr(1), "500.00", waiting)
		for _, c := range []call{
			icici("/msg-hold", "", utr(1), "500.00"), icici("", "MSG HOLD", utr(1), "500.00"), icici("/msg-hold", "MSG HOLD", utr(1), "500.00"),
			icici("/mis-posting", "MSG HOLD", utr(1), "500.00"), icici("/msg-hold", "MIS POSTING", utr(1), "500.00"),
			icici("", "", utr(1), "500.00"), icici("/other", "MIS POSTING", utr(1), "500.00"),
		} {
			if answer := b.mustAnswer(c, http.StatusOK); !strings.Contains(answer, "encryptedData") {
				b.Errorf("answered %s", answer)
			}
		}
		b.stands("a", waiting)
		b.holds(0, 0, 0)
		for range 2 {
			b.mustAnswer(icici("/mis-posting", "", utr(1), "500.00"), http.StatusOK)
		}
		b.mustAnswer(icici("", "MIS-POSTING", utr(1), "500.00"), http.StatusOK)
		b.stands("a", credited)
		b.holds(1, 1, 500_00)
	})
}

// TestTwoEvents: several events of one payment are one, and those that moved no
// money none.
func TestTwoEvents(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		b.activate("a", utr(1), "500.00", waiting)
		b.mustAnswer(razor("payment.authorized", utr(1), 500_00, ""), http.StatusOK)
		b.mustAnswer(razor("payment.failed", utr(1), 500_00, ""), http.StatusOK)
		b.stands("a", waiting)
		for _, event := range []string{"payment.captured", "qr_code.credited", "order.paid", "payment.captured"} {
			b.mustAnswer(razor(event, utr(1), 500_00, ""), http.StatusOK)
		}
		b.stands("a", credited)
		b.holds(1, 1, 500_00)
	})
}

// TestReferences: the note that a payer's app carries leads to the payment, and
// to no other money than that which carries it.
func TestReferences(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		mine, others, third := b.pay("mine", "500"), b.pay("others", "500"), b.pay("third", "500")
		// Two references single nothing out, wherever they stand.
		b.must(report(noted(utr(1), "500", mine+" "+others)), 1, 0, 0, 0)
		b.must(report(fmt.Sprintf(`{"utr":%q,"amount":"500","note":%q,"reference":%q}`, utr(2), mine, others)), 1, 0, 0, 0)
		// Nor does half of one, one within a word, or one that nobody has.
		b.must(report(noted(utr(3), "500", mine[:11]), noted(utr(4), "500", "x"+mine), noted(utr(5), "500", mine+"7"), noted(utr(6), "500", "MLN222222222")), 4, 0, 0, 0)
		b.holds(6, 0, 0)
		// Another amount is looked at.
		b.must(report(noted(utr(7), "499.99", strings.ToLower(third))), 1, 0, 0, 0)
		b.stands("third", held)
		b.because("third", deposit.AmountDiffers)
		// Whoever typed the UTR of somebody else's payment
		// is met there.
		b.activateOn("upi_l", "thief", "thief", utr(8), "400", waiting)
		b.must(report(noted(utr(8), "500", "UPI/"+others+"/x")), 1, 0, 0, 0)
		b.stands("thief", held)
		b.stands("others", held)
		// It is credited once, in a statement's narration as in a note, and a second
		// payment of the same reference is left.
		b.must(statement(csv("", false, row{narration: "UPI-ASHA RAO-ASHA@OKAXIS-UTIB0000123-" + utr(9) + "-" + mine, amount: 500_00})), 1, 0, 1, 0)
		b.stands("mine", credited)
		b.must(report(noted(utr(10), "500", mine), noted(utr(9), "500", others)), 1, 1, 0, 0)
		b.mustAnswer(razor("payment.captured", utr(11), 500_00, mine), http.StatusOK)
		b.holds(11, 1, 500_00)
	})
}

// TestForgedReference: a note in somebody else's payment takes only that
// payment's money, and never what a payer has claimed.
func TestForgedReference(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		thief := b.pay("thief", "500")
		// The victim claims first, the bank reports a note that a thief has put
		// into the victim's link.
		b.activateOn("upi_l", "victim", "victim", utr(1), "500", waiting)
		b.mustAnswer(report(noted(utr(1), "500", thief)), http.StatusOK)
		if got := b.outcome("thief"); got == credited {
			b.Error("the thief is credited")
		}
		// The SMS was first, and the victim has it: the note comes late.
		b.must(sms(alert(utr(2), "500.00")), 1, 0, 0, 0)
		b.activateOn("upi_l", "victim", "second", utr(2), "500", credited)
		late := b.pay("late", "500")
		b.must(report(noted(utr(2), "500", late)), 0, 1, 0, 0)
		b.stands("late", failed)
		if r := b.verify(); r.Credits != 2 {
			b.Errorf("the books say %+v", r)
		}
	})
}

// TestNobodysBank: a wallet that names neither bank nor account believes banks'
// headers, and nobody else.
func TestNobodysBank(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		stall := func(sender, text string) call {
			return call{path: "/feeds/stall-phone", token: "token-of-stall", body: forwarded(sender, text)}
		}
		for i, sender := range []string{"+919876543210", "VM-AMAZON-S", "VM-HDFCBK-P", rand.Text()} {
			b.must(stall(sender, alert(utr(i), "500.00")), 0, 0, 0, 1)
		}
		b.must(stall("VM-HDFCBK-S", alert(utr(9), "500.00")), 1, 0, 0, 0)
		b.activateOn("upi_w", "55", "a", utr(9), "500.00", credited)
		// It is no credit of another wallet's.
		b.activate("b", utr(9), "500.00", waiting)
		b.must(sms(alert(utr(9), "500.00")), 1, 0, 1, 0)
		b.holds(2, 2, 1000_00)
	})
}

// TestOtherAccount: a provider's webhook about an account that is not the
// wallet's is no credit, and is not lost: a person sees it.
func TestOtherAccount(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		tell := func(n int, account string) {
			b.mustAnswer(call{path: "/feeds/till-decentro", header: map[string]string{"Content-Type": "application/json", "X-Hook-Key": "secret-of-decentro"},
				body: fmt.Sprintf(`{"type":"credit","callbackTxnId":"d%d","transactionAmount":500,"transferType":"UPI","bankReferenceNumber":%q,"payeeAccountNumber":%q}`, n, utr(n), account)}, http.StatusOK)
		}
		b.activate("a", utr(1), "500.00", waiting)
		tell(1, "462515000000SHOP")
		tell(2, "462515000000123456")
		b.stands("a", waiting)
		b.holds(0, 0, 0)
		if got := b.inbox("till-decentro"); !slices.Equal(got, []feed.Result{feed.Unread, feed.Unread}) {
			b.Errorf("the inbox has %v", got)
		}
		tell(1, "50100012347310")
		b.stands("a", credited)
		b.holds(1, 1, 500_00)
	})
}

// TestOneAccount: two wallets with one VPA are one account, on which a payment
// counts once, whichever feed and gateway tells of it.
func TestOneAccount(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		twin := call{path: "/feeds/twin-phone", token: "token-of-twin", body: forwarded("VM-HDFCBK-S", alert(utr(1), "500.00"))}
		b.must(sms(alert(utr(1), "500.00")), 1, 0, 0, 0)
		b.must(twin, 0, 1, 0, 0)
		charge := row{narration: "SMS CHARGES", amount: -5_00}
		b.must(statement(csv("", false, paid(utr(1), 500_00), charge)), 0, 1, 0, 0)
		b.must(call{path: "/feeds/twin-file", token: "token-of-twin-file", body: csv("", false, paid(utr(1), 500_00), charge)}, 0, 1, 0, 0)
		b.activateOn("upi_m", "55", "a", utr(1), "500.00", credited)
		b.activateOn("upi_l", "66", "b", utr(1), "500.00", failed)
		b.holds(1, 1, 500_00)
		if r := b.verify(); r.Outflow != 5_00 {
			b.Errorf("the charge is booked as %s", r.Outflow)
		}
	})
}

// TestTwoGateways: two gateways on one database are told of the same payments at
// once, on both wallets of one account.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	database := storetest.Postgres(t).URL
	one := openBranch(t, database)
	two := openBranch(t, database)
	const payments, rounds = 12, 6
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, b := range []*branch{one, two} {
		b.must(report(), 0, 0, 0, 0)
		all.Go(func() {
			<-start
			for round := range rounds {
				rows := []row{{narration: "SMS CHARGES", amount: -5_00}}
				for n := range payments {
					rows = append(rows, paid(utr(n), 500_00))
				}
				file := csv("", false, rows...) + strings.Repeat("\n", round)
				if b == one {
					file += "\n\n\n\n\n\n\n\n"
				}
				path := []string{"till-file", "twin-file"}[round%2]
				if status, answer := b.ask(call{path: "/feeds/" + path, token: "token-of-" + strings.TrimPrefix(path, "till-"), body: file}); status != http.StatusOK {
					b.Errorf("%s answered %d %s", path, status, answer)
				}
			}
		})
		for n := range payments {
			all.Go(func() {
				<-start
				for _, c := range []call{sms(alert(utr(n), "500.00")),
					{path: "/feeds/twin-phone", token: "token-of-twin", body: forwarded("VM-HDFCBK-S", alert(utr(n), "500.00"))},
					razor("payment.captured", utr(n), 500_00, ""),
					{path: "/api/v1/transaction/activate", token: "s3cret", body: fmt.Sprintf(
						`{"currency_code":"INR","wallet_type":"upi_l","label":"label %d","key1":%q,"amount":500,"custom_transaction_id":"claim %d"}`, n, utr(n), n)},
				} {
					if status, answer := b.ask(c); status != http.StatusOK {
						b.Errorf("%s answered %d %s", c.path, status, answer)
					}
				}
			})
		}
	}
	close(start)
	all.Wait()
	one.holds(payments, payments, 500_00*payments)
	if r := two.verify(); r.Outflow != 5_00 {
		t.Errorf("the charge is booked as %s", r.Outflow)
	}
}

// TestOddBytes: what no database keeps as text costs nobody a payment.
func TestOddBytes(t *testing.T) {
	onEveryEngine(t, func(b *branch) {
		upload := func(name, text string) call {
			return call{path: "/feeds/till-file", token: "token-of-file", header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"},
				body: "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\n\r\n" + text + "\r\n--x--\r\n"}
		}
		letter := func(from, text string) call {
			return call{path: "/feeds/till-mail", token: "token-of-mail", body: "From: " + from + "\r\nTo: accounts@shop.example\r\nSubject: x\r\nDate: " +
				time.Now().Format(time.RFC1123Z) + "\r\n\r\n" + text + "\r\n"}
		}
		mail := "Dear Customer, Rs.75.00 is successfully credited to your account **7310 by VPA asha@okaxis A%sB on 14-03-26. Your UPI transaction reference number is " + utr(40) + "."
		for name, c := range map[string]call{
			"a NUL in a sender":        smsFrom("VM-HDFCBK\x00", alert(utr(20), "1.00")),
			"a NUL in a text":          sms(alert(utr(21), "1.00") + "\x00"),
			"a NUL in a name":          report(`{"utr":"` + utr(22) + `","amount":"1","payer_name":"A\u0000B","note":"\u0000","reference":"\u0000"}`),
			"half a surrogate":         report(`{"utr":"` + utr(23) + `","amount":"1","payer_name":"\ud800"}`),
			"a file's name":            upload("caf\xe9.csv", csv("", false, paid(utr(24), 1_00))),
			"a file's name with a NUL": upload("a\x00b.csv", csv("", false, paid(utr(25), 1_00))),
			"a long name":              upload(strings.Repeat("a", 5000)+".csv", csv("", false, paid(utr(26), 1_00))),
			"a narration":              upload("a.csv", csv("", false, row{narration: "UPI-CAF\xe9-A@B-UTIB0000123-" + utr(27) + "-X", amount: 1_00})),
			"a narration with a NUL":   upload("b.csv", csv("", false, row{narration: "UPI-CAF\x00-A@B-UTIB0000123-" + utr(28) + "-X", amount: 1_00}, row{narration: "FEE\x00S", amount: -1_00})),
			"a letter":                 letter("HDFC Bank <alerts@hdfcbank.net>", fmt.Sprintf(mail, "\x00")),
			"a letter in Latin-1":      letter("HDFC Bank <alerts@hdfcbank.net>", fmt.Sprintf(mail, "\xe9")),
			"a letter's sender":        letter("\"HDFC\x00\" <alerts\xe9@hdfcbank.net>", fmt.Sprintf(mail, "x")),
			"a hook's id":              {path: "/feeds/till-razor", body: razor("payment.captured", utr(29), 1_00, "a\x00b").body, header: map[string]string{"X-Razorpay-Signature": hexMAC("secret-of-razor", razor("payment.captured", utr(29), 1_00, "a\x00b").body), "X-Razorpay-Event-Id": "\xff"}},
		} {
			if status, answer := b.ask(c); status >= http.StatusInternalServerError {
				b.Errorf("%s: answered %d %s", name, status, answer)
			}
		}
		b.must(report(record(utr(30), "1")), 1, 0, 0, 0)
	})
}
