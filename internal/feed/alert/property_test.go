package alert_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
	"github.com/milaan/milaan/money"
	"pgregory.net/rapid"
)

// credit is a generated alert of a payment and what stands in it.
type credit struct {
	text, utr, tail string
	amount          money.Paise
}

// phrasings are ways in which banks tell of a credit: %[1]s is the amount,
// %[2]s the account, %[3]s the date, %[4]s the payer, %[5]s the reference.
var phrasings = []string{
	"Dear Customer, %[1]s has been credited to your %[2]s on %[3]s from %[4]s. %[5]s -Some Bank",
	"%[1]s credited to %[2]s on %[3]s by %[4]s (%[5]s). Avl Bal Rs.9,99,999.99",
	"Your %[2]s is credited with %[1]s on %[3]s by %[4]s. %[5]s. Available balance is Rs. 12345.67",
	"Your %[2]s credited by %[1]s on %[3]s trf from %[4]s %[5]s. Never share OTP/PIN with anyone.",
	"Received %[1]s in your Some Bank %[2]s from %[4]s on %[3]s.%[5]s.",
	"%[1]s received in %[2]s on %[3]s from %[4]s (%[5]s). Bal: INR 7,001.20",
	"You have received a payment of %[1]s in %[2]s on %[3]s from %[4]s. %[5]s.",
	"Cr %[1]s to %[2]s on %[3]s %[4]s %[5]s Bal INR 23,838.10 -Some Bank",
	"%[2]s Credited for %[1]s on %[3]s by %[4]s %[5]s Avl Bal Rs:180416.82. Not you? Call 18001234567",
	"%[1]s deposited in Some Bank %[2]s on %[3]s from %[4]s. %[5]s. Total Bal: Rs 2,000.00CR",
	"Amount Credited: %[1]s\nAccount Number: %[2]s\nTransaction Info: %[4]s %[5]s\nDate & Time: %[3]s, 10:11:12 IST",
	"Dear UPI User: Your %[2]s is credited %[1]s on Date %[3]s from %[4]s by %[5]s",
	"Some Bank: %[2]s is credited for %[1]s on %[3]s; %[5]s; from %[4]s; Bal Rs 10",
}

var rrnLabels = []string{
	"UPI Ref No %s", "UPI Ref No. %s", "UPI:%s", "UPI: %s", "RRN %s", "RRN:%s", "UPI/CR/%s/SOMEBODY/BANK", "IMPS Ref No. %s",
	"IMPS Ref# %s", "Ref No %s", "RefNo %s", "Ref ID: %s", "UPI Ref:%s", "Info: UPI/P2A/%s/SOMEBODY", "IMPS/BANK/%s/SOMEBODY", "UPI RRN %s",
	"UTR: %s", "UPI transaction reference number is %s", "UPI/%s", "UPI Txn ID: %s", "UPI Ref ID %s",
}

var utrLabels = []string{"UTR %s", "NEFT UTR %s", "Info NEFT-%s-SOMEBODY", "NEFT/%s/SOMEBODY", "UTR:%s", "through NEFT with UTR %s", "RTGS UTR NO: %s", "NEFT Ref No %s"}

func drawCredit(t *rapid.T) credit {
	var c credit
	c.amount = money.Paise(rapid.Int64Range(1, 9_999_999_99).Draw(t, "paise"))
	printed := c.amount.Fixed()
	whole, paise, _ := strings.Cut(printed, ".")
	grouped := whole
	if len(whole) > 3 && rapid.Bool().Draw(t, "grouped") {
		head, last := whole[:len(whole)-3], whole[len(whole)-3:]
		size := rapid.SampledFrom([]int{2, 3}).Draw(t, "group") // lakh or western
		var parts []string
		for len(head) > size {
			parts = append([]string{head[len(head)-size:]}, parts...)
			head = head[:len(head)-size]
		}
		grouped = strings.Join(append(append([]string{head}, parts...), last), ",")
	}
	printed = grouped + "." + paise
	if paise == "00" && rapid.Bool().Draw(t, "whole") {
		printed = grouped
	}
	printed = rapid.SampledFrom([]string{"Rs.", "Rs. ", "Rs ", "INR ", "INR", "₹", "₹ ", "Rs:"}).Draw(t, "mark") + printed
	c.tail = rapid.StringMatching(`[0-9]{3,6}`).Draw(t, "tail")
	account := rapid.SampledFrom([]string{"A/c XX", "a/c no. XXXXXX", "A/C *", "Acct XX", "Account XXXX", "A/c ...", "AC X", "a/c **", "account xx", "A/c ending "}).Draw(t, "account") + c.tail
	date := rapid.SampledFrom([]string{"06-09-26", "06/09/2026", "6-Sep-26", "06Sep26", "06-SEP-2026", "2026-09-06", "06.09.26"}).Draw(t, "date")
	payer := rapid.SampledFrom([]string{"RAVI KUMAR", "Mr A B Rao", "MEERA TRADERS", "asha.k@okaxis", "VPA 9000000106@ybl", "DR SURESH"}).Draw(t, "payer")
	var reference string
	if rapid.Bool().Draw(t, "rrn") {
		c.utr = rapid.StringMatching(`[0-9]{11}[1-9]`).Draw(t, "number")
		reference = fmt.Sprintf(rapid.SampledFrom(rrnLabels).Draw(t, "label"), c.utr)
	} else {
		c.utr = rapid.StringMatching(`(?:[A-W]{4}N[0-9]{11}|[A-W]{4}H[0-9]{11}|N[0-9]{15}|[A-W]{4}R5[0-9]{16})`).Draw(t, "number")
		reference = fmt.Sprintf(rapid.SampledFrom(utrLabels).Draw(t, "label"), c.utr)
	}
	c.text = fmt.Sprintf(rapid.SampledFrom(phrasings).Draw(t, "phrasing"), printed, account, date, payer, reference)
	return c
}

// TestCreditsAreRead: a credit that says all it should is read exactly.
func TestCreditsAreRead(t *testing.T) {
	t.Parallel()
	reader := newReader(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawCredit(t)
		got := reader.Read(alert.Message{Text: c.text})
		if got.Kind != feed.Credit || got.Amount != c.amount || string(got.UTR) != c.utr || got.AccountTail != c.tail {
			t.Fatalf("%q\n read %+v\n want %s of %s to %s", c.text, got, c.utr, c.amount, c.tail)
		}
		if got.At.In(feed.India()).Format("2006-01-02") != "2026-09-06" {
			t.Fatalf("%q\n read time %v", c.text, got.At)
		}
		if strings.Contains(c.text, "asha.k@okaxis") && got.PayerVPA != "asha.k@okaxis" {
			t.Fatalf("%q\n read payer %q", c.text, got.PayerVPA)
		}
	})
}

// denials turn a credit into something else, wherever they stand.
var denials = []string{
	"failed", "Transaction FAILED", "has been declined", "is unsuccessful", "will be reversed shortly", "This amount will be credited within 2 working days",
	"OTP is 123456", "One time password 123456", "is your OTP", "has requested money", "collect request", "Approve the request to pay", "mandate has been created",
	"not credited", "could not be processed", "on hold", "lien marked", "to your credit card", "is pending", "under process", "has been debited", "debited from your A/c XX9",
	"Dr. from A/C XX9", "sent to your beneficiary", "credited to beneficiary", "reversal", "has been reversed", "refund", "to be credited", "wallet", "by mistake, please return it",
	"subject to realisation", "fai\u200bled", "\uff26\uff21\uff29\uff2c\uff25\uff24", "f\u0430iled", "\u0905\u0938\u092b\u0932",
}

// TestDeniedCredits: no text with a word against a credit is one.
func TestDeniedCredits(t *testing.T) {
	t.Parallel()
	reader := newReader(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawCredit(t)
		denial := rapid.SampledFrom(denials).Draw(t, "denial")
		text := rapid.SampledFrom([]string{c.text + " " + denial, c.text + ". " + denial + ".", denial + ". " + c.text, denial + " " + c.text}).Draw(t, "text")
		if got := reader.Read(alert.Message{Text: text}); got.Kind == feed.Credit {
			t.Fatalf("%q\n read %+v", text, got)
		} else if got.Why == "" {
			t.Fatalf("%q: no reason", text)
		}
	})
}

// noises are numbers that are neither amount nor reference.
var noises = []string{
	"Call 18002586161", "SMS BLOCK 1234 to 919951860002", "Cust ID 123456789012", "mobile 919812345678", "card XX1234", "ARN:913355671547",
	"Order 408123456789012", "UMRN HDFC7020000012345678", "Avl Bal Rs.55,727.04", "A/c 123456789012", "GSTIN 29ABCDE1234F1Z5", "policy 123456789012",
	"Not you? Fwd to 9223766666", "Bal INR 1.00", "URN 123456789012",
}

// TestNoise: numbers around a credit never become its amount or its UTR.
func TestNoise(t *testing.T) {
	t.Parallel()
	reader := newReader(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawCredit(t)
		text := c.text
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(noises), 1, 3).Draw(t, "noise") {
			if rapid.Bool().Draw(t, "before") {
				text = n + ". " + text
			} else {
				text += ". " + n + "."
			}
		}
		got := reader.Read(alert.Message{Text: text})
		if got.Kind == feed.Unparsed || got.Kind == feed.Ignored {
			return
		}
		if got.Kind != feed.Credit || got.Amount != c.amount || string(got.UTR) != c.utr {
			t.Fatalf("%q\n read %+v\n want %s of %s", text, got, c.utr, c.amount)
		}
	})
}

// FuzzRead holds whatever comes to what the caller relies on.
func FuzzRead(f *testing.F) {
	reader := newReader(f)
	f.Add("Rs.451.00 credited to A/c xx7310 on 07-02-26 from VPA kiran@okaxis (UPI 603812345071)", false)
	f.Add("Dear SBI UPI User, ur A/cX4410 credited by Rs519 on 13Mar26 by  (Ref no 007233785625)", false)
	f.Add("Rs.15,OOO credited to your A/c XX12", false)
	f.Add("Your a/c XX1 is credited for Rs.35.00 and debited from a/c XX2 (UPI Ref no 605267384290)", true)
	f.Add("INR Rs.15000.00 in A/c 074-260***-006. UPI/CR/C605267384290/A", true)
	f.Fuzz(func(t *testing.T, text string, email bool) {
		m := alert.Message{Text: text}
		if email {
			m.Channel = alert.Email
		}
		got := reader.Read(m)
		if got.Kind != feed.Credit {
			if got.Why == "" {
				t.Fatal("no reason")
			}
			if (got.Kind == feed.Ignored || got.Kind == feed.Unparsed) && (got.Amount != 0 || got.UTR != "") {
				t.Fatalf("%s with fields: %+v", got.Kind, got)
			}
			return
		}
		if got.Amount <= 0 || got.Currency != money.INR {
			t.Fatalf("credit of %s", got.Amount)
		}
		digits := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, s)
		}
		rupees, _, _ := strings.Cut(got.Amount.Fixed(), ".")
		if !strings.Contains(digits(text), strings.TrimLeft(rupees, "0")) {
			t.Fatalf("amount %s is not in %q", got.Amount, text)
		}
		if got.UTR != "" && !strings.Contains(strings.ToUpper(text), string(got.UTR)) {
			t.Fatalf("UTR %s is not in %q", got.UTR, text)
		}
		if again := reader.Read(m); again != got {
			t.Fatal("read differently the second time")
		}
	})
}
