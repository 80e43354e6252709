package alert_test

import (
	"testing"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/alert"
)

// TestCreditForms are the forms of many banks, none of which has a template.
func TestCreditForms(t *testing.T) {
	t.Parallel()
	reader := newReader(t)
	tests := []struct{ text, utr, amount, tail, vpa, at string }{
		{"UPI Credit:INR Rs.1500.00 in A/c X2468. Info: UPI/TGRB/605222333444/ Sample Payer on 26-12-25 19:02:01.Final balance is Rs.34567.67 -South Indian Bank", "605222333444", "1500.00", "2468", "", "2025-12-26T19:02:01+05:30"},
		{"Dear Customer, Your A/c X7001 is credited with Rs.792.02 Info: IMPS/FDRL/605205821348/ALPHA STORE. Final balance is Rs.793.02-South Indian Bank", "605205821348", "792.02", "7001", "", ""},
		{"Cr INR 5,000.00 to A/c X4541 12-MAR-2026\nUPI/CR/607141009999/JAYA D/Y\nBal INR 23,838.10\n-AU Bank", "607141009999", "5000.00", "4541", "", "2026-03-12"},
		{"Credited INR 1,000.00 to A/c X5024 on 24-MAR-2026 Ref UPI/CR/608314507626/RAHUL K/INDB/1. Bal INR 1,000.00.", "608314507626", "1000.00", "5024", "", "2026-03-24"},
		{"INR 2,000.00 deposited to A/c XXXXXXXXXX1234 towards UPI/CR/C627613287910/JOHN DOE/u on 03-OCT-2025 . Clear Bal is INR 30,123.00 . Bandhan Bank.", "627613287910", "2000.00", "1234", "", "2025-10-03"},
		{"INR 2,500.00 credited via UPI to Equitas A/c 9012 -Ref:601856789012 on 18-01-26 from PRIYA SHAH. Avl Bal is INR 25,000.00.", "601856789012", "2500.00", "9012", "", "2026-01-18"},
		{"Rs.3160 credited to your A/c XX2172 via IMPS on 16JAN2026 10:48:12. (IMPS Ref no-601610603307) BAL-Rs.321634.31 -Federal Bank", "601610603307", "3160.00", "2172", "", "2026-01-16T10:48:12+05:30"},
		{"You have received a payment of Rs. 10.00 in a/c X3695 on 05/01/2026 20:11 from mr kiran lal thru IPPB. Info: UPI/CREDIT/600552773250.-IPPB", "600552773250", "10.00", "3695", "", "2026-01-05T20:11:00+05:30"},
		{"HSBC: A/c 074-260***-006 is credited with INR 5000.00 on 27-01-2026 with UTR CHASH00007392391 as NEFT from CHAS A/c ***6983 of John Doe . Your Avl Bal is INR 15000.50.", "CHASH00007392391", "5000.00", "006", "", "2026-01-27"},
		{"BOI - Rs 15,000.00 Credited in your Ac XX5468 on 04-02-2026 By NEFTINWARD HDFCH00778553800/ALPHA FUND .Avl Bal 18679.91", "HDFCH00778553800", "15000.00", "5468", "", "2026-02-04"},
		{"Your IndusInd Account 15XXXXX0000 has been credited for INR 116.56 towards IMPS/600200000290. Call 18602677777 to report issue-IndusInd Bank", "600200000290", "116.56", "0000", "", ""},
		{"IndusInd A/C **4103 Credited; INR 290.00 Ref-UPI/609434477527/CR/Rahu/JIOP/9000083103@upi/NO R.Bal INR 890.00.", "609434477527", "290.00", "4103", "9000083103@upi", ""},
		{"Dear Customer, your A/C ending 1177 is credited with Rs.4,200/- on 04.02.2026 through RTGS UTR No. UTIBR52026020400312345 by BETA LTD. -IDBI Bank", "UTIBR52026020400312345", "4200.00", "1177", "", "2026-02-04"},
		{"IDBI Bank A/c NN09089 credited for INR 10000.00 thru UPI. Bal INR 15220.36 (incl. of chq in clg) as of 03 AUG 16:02hr. If not used by you, call 18002094324", "", "10000.00", "09089", "", ""},
		{"Your a/c no. XXXXXXXX5555 is credited for Rs.500.00 on 03-05-2026 and debited from a/c no. XXXXXXXX6666 (UPI Ref no 612356789012) -CUB", "612356789012", "500.00", "5555", "", "2026-05-03"},
		{"Rs. 1.000 credited to your A/c xxxxxx1234 on 03/01/2026 through NEFT vide UTR No. IN22600312345624 By.BETA TECHNOLOGY PRIVATE LIMI-CBoI", "IN22600312345624", "1.00", "1234", "", "2026-01-03"},
		{"Rs 1500.00 Credited to Ac XX0592 on 19-03-26 18:17-UPI/007972996523/From:mira@ybl/To:shop@yesbank/Payment from PhonePe. Avl Bal Rs 20,000. - YES BANK", "007972996523", "1500.00", "0592", "mira@ybl", "2026-03-19T18:17:00+05:30"},
		{"Dear Customer, Acct is credited with Rs 3188.00 from ANIL SHARMA. UPI:612548874973-ICICI Bank.", "612548874973", "3188.00", "", "", ""},
		{"Your account XXXXXXX1234 is credited by Rs.54321 on 07-11-25 received from account XXXXXXX4321/MADHU (IMPS Ref no. 531156789012). Call 18602677777 to report issue-IndusInd Bank", "531156789012", "54321.00", "1234", "", "2025-11-07"},
		{"INR 10.00 is credited to A/c XXXX1234 on 24-APR-2026 - \"UPI TXN: /611453431145-Paytm/payment on Shop/one97987@axisbank\". Aval Bal is INR 36,278.92 -DhanlaxmiBank", "611453431145", "10.00", "1234", "one97987@axisbank", "2026-04-24"},
		{"Hi, Rs.1100credited in your A/c XX3223 on 15JAN2026 13:03:07 using cash deposit machine at FBL-TOWN. Current Bal: Rs.1181.90 - Federal Bank", "", "1100.00", "3223", "", "2026-01-15T13:03:07+05:30"},
		{"IndusInd A/C **4103 Credited; INR 7,000.00 Ref-371000073300 : Cash Deposit.Bal INR 10,721.00.", "", "7000.00", "4103", "", ""},
		{"Your a/c no. XXXXX92 is credited by Rs.906.00 on 2026-01-28 17, from ANAND SIN-9000019900@su(UPI Ref no 602899645381).Payer Remark - Paid via Supe -IOB", "602899645381", "906.00", "92", "", "2026-01-28"},
		{"An amount of INR 13,30,614.75 has been credited to XXXX6785 on 02/12/2025 towards RTGS by Sender ALPHA LTD, IFSC UTIB0000004, Sender A/c XXXX9108, AXIS BANK, MUMBAI BRANCH, UTR UTIBR72025120200012345", "UTIBR72025120200012345", "1330614.75", "6785", "", "2025-12-02"},
		{"A/C No **2222 Credited with Rs 5500--UPI/CR/601888265852/JOHN/HDFC/00000000000000/U (CLR BAL 30987.99CR)(13-01-2026 17:22:34)-Punjab&Sind Bank", "601888265852", "5500.00", "2222", "", "2026-01-13T17:22:34+05:30"},
		{"Your A/c No.XXXX0017 is credited with Rs.783.60 on 30-01-2026 10:37 AM and SBIN A/c linked to meena.11@oksbi is debited (UPI Ref No.603089123496).Current AVBL bal is Rs.10214.44 - TMB", "603089123496", "783.60", "0017", "meena.11@oksbi", "2026-01-30T10:37:00+05:30"},
		{"Your a/c no. XXXXXX5779 is credited for Rs.50.00 on 14-01-26 and a/c linked to mobile 9XXXXXX123 is debited (UPI Ref no 601456789012).", "601456789012", "50.00", "5779", "", "2026-01-14"},
		{"Savings No XX1234 credited with INR 500.00 towards UPI:604912345678:RAVI on 06-FEB-2026. Avl Bal 120.00 -CUB", "604912345678", "500.00", "1234", "", "2026-02-06"},
		{"Your A/c XXXXXXXX1234 is credited with Rs.500.00 on 06/02/26. Info: UPI-CR-604912345678-RAVI KUMAR. Avl Bal Rs.100.-KVB", "604912345678", "500.00", "1234", "", "2026-02-06"},
		{"Amt Rs.500.00 cr to a/c XX1234 thru UPI-RRN 604912345678", "604912345678", "500.00", "1234", "", ""},
		{"INR 500.00 credited to your RBL Bank a/c via UPI. UPI ref: 604912345678", "604912345678", "500.00", "", "", ""},
		{"RTGS of Rs 2,00,000 from ALPHA credited to your A/c XX1234 UTR HDFCR52026020612345678", "HDFCR52026020612345678", "200000.00", "1234", "", ""},
		{"Your A/c No xx1234 has been credited by Rs. 5,000.00 on 28-MAR-2026 with UPI RRN :608712345678. A/c Bal is Rs. 1,000.00CR and AVL Bal is Rs.1,000.00-MAHABANK", "608712345678", "5000.00", "1234", "", "2026-03-28"},
		{"PhonePe Received ₹500 from MEERA S. UTR: 604912345678", "604912345678", "500.00", "", "", ""},
		{"Dear Customer, We would like to inform you that your account XX4521 is credited by Rs. 2500.00 on 12-Apr-2026 for IMPS transaction. Sender Name: Test Sender Sender Mobile No: 9190XX1234 IMPS Reference No: 610202772071 Remarks : Invoice 12. If this transaction was not done by you, please call 18001234567.", "610202772071", "2500.00", "4521", "", "2026-04-12"},
	}
	for _, tt := range tests {
		t.Run(tt.text[:30], func(t *testing.T) {
			t.Parallel()
			got := reader.Read(alert.Message{Text: tt.text})
			if got.Kind != feed.Credit || string(got.UTR) != tt.utr || got.Amount.Fixed() != tt.amount || got.AccountTail != tt.tail ||
				got.PayerVPA != tt.vpa {
				t.Errorf("%q\n read %+v", tt.text, got)
			}
			at := ""
			switch {
			case got.At.IsZero():
			case got.DateOnly:
				at = got.At.In(feed.India()).Format("2006-01-02")
			default:
				at = got.At.In(feed.India()).Format("2006-01-02T15:04:05Z07:00")
			}
			if at != tt.at {
				t.Errorf("%q\n read time %q, want %q", tt.text, at, tt.at)
			}
		})
	}
}

// TestNoCredits are texts that look like a credit and are none.
func TestNoCredits(t *testing.T) {
	t.Parallel()
	reader := newReader(t)
	tests := []struct {
		text string
		kind feed.Kind
	}{
		{"Rs.200.00 debited A/cXX5468 and credited to SAI M via UPI Ref No 615439383341 on 23Jan26. Call 18001031906, if not done by you. -BOI", feed.Debit},
		{"IDBI Bank Acct XX569 debited for Rs 115.00 on 09-Jan-26; Bal Rs 11631.73 SRINI R credited. UPI:602733174962. To Block UPI send SMS UPIBLOCK <Mob. No> to 07799000328", feed.Debit},
		{"Jerry J has received Rs 6000.000 from your A/c XX3343 via NEFT on 24-01-2026 22:04:04. Ref no. FDRLM4175007400 - Federal Bank", feed.Debit},
		{"HDFC Bank : NEFT money transfer Txn No HDFCN520263454560344 for Rs INR 1,500.00 has been credited to Mona P on 01-01-2026 at 08:05:30", feed.Ignored},
		{"Rs.1300.00 is credited to Kotak Bank a/c no. 2849 on 14-03-26 as a reversal of debit transaction (UPI Ref no 607344008738).", feed.Other},
		{"Dear SBI UPI User, ur A/cX1760 credited with Rs2000 on 07Feb26 against reversal of txn (Ref no 603806339509)", feed.Other},
		{"Your A/C XXXXXXX1234 is credited by INR 125.50 on 01/01/26 for monthly interest. New Bal :INR 15125.50", feed.Other},
		{"Refund of Rs 300.00 from Shop credited to your A/c XX0123 on 01-02-26. Ref 603212345678", feed.Other},
		{"Your A/c XX1234 is debited by Rs 500.00 on 06-01-26 towards reversal of credit (UPI Ref no 600612345678). -Some Bank", feed.Debit},
		{"Your A/c No.XXXX0017 is debited with Rs.783.60 on 30-01-2026 10:37 AM and UTIB A/c linked to shop.11@pineaxis is credited (UPI Ref No.603089123496). - TMB", feed.Debit},
		{"Rs 500 credited to a/c XX5678 and your a/c XX1234 is debited (UPI Ref no 601456789012)", feed.Unparsed},
		{"INR 2,000.00 credited to A/c XX5632 of RAMESH K from your A/c XX1234 on 12-01-26. IMPS Ref 601212345678", feed.Debit},
		{"Rs 3,000.00 credited to A/c XX5632 (payee: VIJAY) on 12-01-26. IMPS Ref 601212345678", feed.Unparsed},
		{"Rs 250 credited back to your A/c XX1234 for failed UPI txn to food@ybl. Ref 601212345678", feed.Unparsed},
		{"Rs 250 credited back to your A/c XX1234. UPI Ref 601212345678", feed.Other},
		{"Mini statement A/c XX1234: 10/01 DR 500.00; 11/01 CR 2,000.00; Bal Rs 12,000.00", feed.Ignored},
		{"Received payment of Rs 3,200 for Loan Account No. 40512345678. Thank you.", feed.Ignored},
		{"Dear Parent, Rs 5,000 received from RAVI (Class 5) via UPI Ref 600612345678 -Town School", feed.Unparsed},
		{"Received Rs.12,000 from RAVI KUMAR towards renewal of policy 123. UPI Ref 600612345678", feed.Ignored},
		{"Received Rs 500 from RAVI in your Mobi account. UPI Ref 600612345678", feed.Unparsed},
		{"Payment of Rs.500 credited to A/c No 123456789 (Consumer). UPI Ref 600612345678", feed.Unparsed},
		{"Rs 500 credited to your gold loan a/c XX123 by UPI Ref 600612345678", feed.Ignored},
		{"Your NEFT txn with UTR AAAAN26012345678 for Rs 500 is returned and credited to your a/c XX123", feed.Unparsed},
		{"Rs 5,000 will be credited to your A/c XX1234 by UPI Ref No 600612345678 shortly", feed.Unparsed},
		{"Rs 500 credited to A/c XX1234 by UPI Ref No 600612345678. Txn failed", feed.Unparsed},
		{"Rs 500 credited to A/c XX1234 by UPI Ref No 600612345678 and UPI Ref No 600612345679", feed.Unparsed},
		{"Rs 500 and Rs 600 credited to A/c XX1234 by UPI Ref No 600612345678", feed.Unparsed},
		{"Rs 500 credited to A/c XX1234 by UPI Ref No 60061234567", feed.Unparsed},
		{"Rs 500 credited to A/c XX1234 and A/c XX5678 by UPI Ref No 600612345678", feed.Unparsed},
		{"Rs.5OO credited to A/c XX1234 by UPI Ref No 600612345678", feed.Unparsed},
		{"Rs 500.00 credited to RAVI KUMAR by UPI Ref No 600612345678", feed.Unparsed},
		{"USD 500.00 credited to your A/c XX1234, UTR CITIN26500000123", feed.Unparsed},
		{"\uff12500 credited to your A/c XX1234, UTR CITIN26500000123", feed.Unparsed},
		{"आपके खाते XX1234 में Rs.500 जमा किए गए UPI Ref No 600612345678", feed.Unparsed},
		{"Your account has been credited with Rs. 2000.0 on 2026-01-11 07:49:26. New Balance: Rs 2311.81", feed.Unparsed},
		{"771204 is your OTP for txn of Rs.500.00 at Shop. Do not share. -SBI", feed.Ignored},
		{"MEERA has requested Rs.500.00 from you via UPI. Approve in app. Ref 600612345678", feed.Ignored},
		{"Payment of Rs.500 received towards your Credit Card XX1234 via UPI Ref No 600612345678", feed.Ignored},
		{"Your A/c XX1234 available balance is Rs.5,000.00 as on 06-01-26", feed.Ignored},
		{"Rs 500 has been added to your Some Wallet. Txn ID 600612345678", feed.Ignored},
		{"Payment of Rs 500 received towards your BSES account no 100123 vide Ref No 600612345678. Thank you", feed.Unparsed},
		{"Rs 500 credited to your Airtel account 9812345678 vide UPI Ref No 600612345678", feed.Unparsed},
		{"Rs 1,000 credited to your PPF A/c XX1234 by UPI Ref No 600612345678", feed.Ignored},
		{"Rs 1,000 received in your Dream Club account 5521, UPI Ref No 600612345678", feed.Unparsed},
		{"Rs 500 credited to your A/c XX1234 by UPI Ref No 600612345678 has been reversed", feed.Unparsed},
		{"Rs 500 credited to A/c XX1234 of RAVI K by UPI Ref No 600612345678", feed.Unparsed},
		{"Fund transfer of Rs 500 credited to A/c XX1234. IMPS Ref No 600612345678", feed.Unparsed},
		{"", feed.Ignored},
	}
	for _, tt := range tests {
		got := reader.Read(alert.Message{Text: tt.text})
		if got.Kind != tt.kind || got.Why == "" {
			t.Errorf("%q\n read %+v\n want %s", tt.text, got, tt.kind)
		}
	}
}

// TestEmail: the small print of an e-mail is not its message, but what stands
// before it is.
func TestEmail(t *testing.T) {
	t.Parallel()
	const (
		head  = "Dear Customer,\n\nRs. 160.00 is successfully credited to your account **7722 by VPA asha@ybl on 18-01-26. Your UPI transaction reference number is 601832678501.\n\n"
		small = "Warm Regards,\nSome Bank\nNever share your OTP with anyone. If a transaction failed, the amount will be refunded within 3 working days. Apply now for a credit card."
	)
	reader := newReader(t)
	got := reader.Read(alert.Message{Text: head + small, Channel: alert.Email})
	if got.Kind != feed.Credit || got.UTR != "601832678501" || got.Amount != 160_00 || got.PayerVPA != "asha@ybl" {
		t.Errorf("read %+v", got)
	}
	for _, m := range []alert.Message{
		{Text: head + small, Channel: alert.SMS},
		{Text: head + "This transaction has failed.\n\n" + small, Channel: alert.Email},
		{Text: "Your OTP is 123456. " + head + small, Channel: alert.Email},
	} {
		if got := reader.Read(m); got.Kind == feed.Credit {
			t.Errorf("%q\n read %+v", m.Text, got)
		}
	}
	long := alert.Message{Text: head + string(make([]byte, 20_000))}
	if got := reader.Read(long); got.Kind != feed.Unparsed {
		t.Errorf("a text of %d bytes read %+v", len(long.Text), got)
	}
}
