package narration_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/milaan/milaan/internal/feed"
	"github.com/milaan/milaan/internal/feed/narration"
)

func TestRead(t *testing.T) {
	t.Parallel()
	type want = narration.Narration
	credit := func(channel narration.Channel, utr, name, vpa, note string) want {
		n := want{Kind: feed.Credit, Channel: channel, PayerName: name, PayerVPA: vpa, Note: note}
		if utr != "" {
			n.UTR = narration.Reference(utr, channel)
			if n.UTR == "" {
				t.Fatalf("%s is no reference", utr)
			}
		}
		return n
	}
	other := func(channel narration.Channel, utr, name, vpa, note, why string) want {
		n := credit(channel, utr, name, vpa, note)
		n.Kind, n.Why, n.Reversal = feed.Other, why, why == back
		return n
	}
	tests := []struct {
		bank, text string
		want       want
	}{
		// UPI
		{"hdfc", "UPI-ANITA DESAI-ANITA.D-2@OKSBI-SBIN0004321-601234567890-FLAT RENT", credit("upi", "601234567890", "ANITA DESAI", "ANITA.D-2@OKSBI", "FLAT RENT")},
		{"hdfc", "UPI-M K STORES-9812345678@YBL-YESB0YBLUPI-001234567891-UPI", credit("upi", "001234567891", "M K STORES", "9812345678@YBL", "")},
		{"sbi", "BY TRANSFER-UPI/CR/601234567892/ANITA DE/HDFC/anita.desa/rent --", credit("upi", "601234567892", "ANITA DE", "", "rent")},
		{"sbi", "DEP TFR UPI/CR/601234567893/ANITA DE/SBIN/anita.desa/UPI AT 04321 BANGALORE", credit("upi", "601234567893", "ANITA DE", "", "UPI AT 04321 BANGALORE")},
		{"axis", "UPI/P2A/601234567894/ANITA DESAI/Axis Bank/rent/PAYTM", credit("upi", "601234567894", "ANITA DESAI", "", "PAYTM")},
		{"axis", "UPI/P2M/601234567895/ANITA DESAI/HDFC/Order 17", credit("upi", "601234567895", "ANITA DESAI", "", "Order 17")},
		{"icici", "UPI/601234567896/rent may/anita@okicici/State Bank Of I", credit("upi", "601234567896", "", "anita@okicici", "rent may")},
		{"kotak", "UPI/ANITA DESAI/601234567897/rent may", credit("upi", "601234567897", "ANITA DESAI", "", "rent may")},
		{"bob", "UPI/601234567898/17:05:44/UPI/anita@oksbi/rent", credit("upi", "601234567898", "", "anita@oksbi", "rent")},
		{"boi", "UPI/601234567899/CR/ANITA DESAI/SBIN/0012", credit("upi", "601234567899", "ANITA DESAI", "", "")},
		{"central", "UPI/RRN 601234567900/ANITA DESAI", credit("upi", "601234567900", "ANITA DESAI", "", "")},
		{"", "UPI Ref No 601234567901 from ANITA", credit("upi", "601234567901", "", "", "")},
		{"", "Received via UPI RRN:601234567902", credit("upi", "601234567902", "", "", "")},
		{"union", "UPIAB/601234567918/CR/ANITA DE/HDFC/anita@oksbi", credit("upi", "601234567918", "ANITA DE", "anita@oksbi", "")},
		{"canara", "UPI/CR/601234567919/ANITA DE/HDFC/**12345@okaxis/rent//AXI0123456789/17/05/2026 10:00:00", credit("upi", "601234567919", "ANITA DE", "12345@okaxis", "AXI0123456789")},
		{"hdfc", "UPI-A/C SHOP-SHOP@YBL-YESB0YBLUPI-601234567920-1/2 OF 5/6", credit("upi", "601234567920", "A/C SHOP", "SHOP@YBL", "1/2 OF 5/6")},
		{"federal", "UPI IN/601234567921/anita@oksbi/rent/0000", credit("upi", "601234567921", "", "anita@oksbi", "rent")},
		// A number of the payer's is not the payment's.
		{"", "UPI/919812345678/ANITA DESAI", credit("upi", "919812345678", "ANITA DESAI", "", "")}, // the reference's own place
		{"", "UPI/ANITA DESAI/919812345678/rent", credit("upi", "", "ANITA DESAI", "", "rent")},
		{"", "UPI/919812345678@ybl/ANITA DESAI", credit("upi", "", "", "919812345678@ybl", "ANITA DESAI")},
		{"", "UPI/ANITA DESAI/601234567903/601234567904", credit("upi", "", "ANITA DESAI", "", "")},
		{"", "UPI/CR/6012345678/ANITA DESAI", credit("upi", "", "ANITA DESAI", "", "")},
		{"", "UPI/CR/000000000000/ANITA DESAI", credit("upi", "", "ANITA DESAI", "", "")},
		// IMPS
		{"hdfc", "IMPS-601234567905-ANITA DESAI-SBIN-XXXXXXX1234-RENT", credit("imps", "601234567905", "ANITA DESAI", "", "RENT")},
		{"icici", "MMT/IMPS/601234567906/rent may/ANITA DESAI/SBIN0004321", credit("imps", "601234567906", "ANITA DESAI", "", "rent may")},
		{"axis", "IMPS/P2A/601234567907/ANITADES/SBIN/rentmay/9100000000001234", credit("imps", "601234567907", "ANITADES", "", "rentmay")},
		{"sbi", "BY TRANSFER-INB IMPS/601234567908/ANITA DESAI/SBIN/XX1234--", credit("imps", "601234567908", "ANITA DESAI", "", "")},
		{"kotak", "Recd:IMPS/601234567909/ANITA DESAI/SBIN/X1234/rent", credit("imps", "601234567909", "ANITA DESAI", "", "rent")},
		// NEFT and RTGS
		{"sbi", "BY TRANSFER-NEFT*HDFC0000123*HDFCN52026031712345678*ANITA TRADERS--", credit("neft", "HDFCN52026031712345678", "ANITA TRADERS", "", "")},
		{"hdfc", "NEFT CR-SBIN0004321-ANITA TRADERS-OWN SHOP-SBIN126076123456", credit("neft", "SBIN126076123456", "ANITA TRADERS", "", "OWN SHOP")},
		{"icici", "NEFT-AXISP00712345678-ANITA TRADERS-INV 7", credit("neft", "AXISP00712345678", "ANITA TRADERS", "", "INV 7")},
		{"axis", "NEFT/N076261234567890/ANITA TRADERS", credit("neft", "N076261234567890", "ANITA TRADERS", "", "")},
		{"", "NEFT_IN:0811OP2112987654/ANITA TRADERS", credit("neft", "0811OP2112987654", "ANITA TRADERS", "", "")},
		{"sbi", "BY TRANSFER-RTGS UTR NO: HDFCR52026031798765432--", credit("rtgs", "HDFCR52026031798765432", "", "", "")},
		{"icici", "RTGS-ICICR42026031700112233-ANITA TRADERS", credit("rtgs", "ICICR42026031700112233", "ANITA TRADERS", "", "")},
		{"hdfc", "NEFT CR-SBIN0004321-ANITA TRADERS-OWN SHOP", credit("neft", "", "ANITA TRADERS", "", "OWN SHOP")},
		{"", "NEFT/SBIN0004321/ANITA TRADERS/INV 4711", credit("neft", "", "ANITA TRADERS", "", "INV 4711")},
		{"", "NEFT-UTR123456-ANITA TRADERS", credit("neft", "", "UTR123456", "", "ANITA TRADERS")},
		// Money in that is no payment.
		{"hdfc", "REV-UPI-50100000012345-SHOP@YBL-601234567910-UPI", other("upi", "601234567910", "", "SHOP@YBL", "", back)},
		{"sbi", "BY TRANSFER-UPI/REV/601234567911/SHOP/YESB/shop@ybl/UPI--", other("upi", "601234567911", "SHOP", "shop@ybl", "", back)},
		{"", "UPI/601234567912/REFUND", other("upi", "601234567912", "", "", "", back)},
		{"", "RETURN/NEFT/SBIN126076123457/WRONG ACCOUNT", other("neft", "SBIN126076123457", "WRONG ACCOUNT", "", "", back)},
		{"", "NEFT RETURN-SBIN126076123458-ANITA", other("neft", "SBIN126076123458", "ANITA", "", "", back)},
		{"", "UPI/CR/601234567913/SHOP/YESB/Reversal of 17 May", other("upi", "601234567913", "SHOP", "", "Reversal of 17 May", back)},
		{"", "UPI-CREDIT ADJUSTMENT-601234567922", other("upi", "601234567922", "CREDIT ADJUSTMENT", "", "", back)},
		{"", "UPI/601234567923/Payment failed refund/SHOP", other("upi", "601234567923", "SHOP", "", "", back)},
		{"", "REFUND VISA POS 412345XXXXXX1234 SHOP", other("card", "", "", "", "", back)},
		{"axis", "SB:123456789012345:Int.Pd:01-01-2026 to 31-03-2026", other("interest", "", "", "", "", "interest")},
		{"sbi", "CREDIT INTEREST", other("interest", "", "", "", "", "interest")},
		{"", "CASHBACK FOR MAY", other("", "", "", "", "", "cashback")},
		// What a payer wrote makes no reversal and no interest.
		{"", "UPI/CR/601234567914/ANITA DE/SBIN/anita@oksbi/return", credit("upi", "601234567914", "ANITA DE", "anita@oksbi", "return")},
		{"", "UPI/CR/601234567915/ANITA DE/SBIN/anita@oksbi/interest", credit("upi", "601234567915", "ANITA DE", "anita@oksbi", "interest")},
		// No payment system, no reference.
		{"sbi", "BULK POSTING-ACHCr ICIC00601000012345 DIVIDEND", credit("ach", "", "", "", "")},
		{"", "ACH/FUND HOUSE/601234567916", credit("ach", "", "", "", "")},
		{"", "BY CASH 601234567917", credit("cash", "", "", "", "")},
		{"", "TRANSFER FROM 4897736162097", credit("", "", "", "", "")},
		{"", "", credit("", "", "", "", "")},
	}
	for _, tt := range tests {
		got := narration.Read(tt.text, narration.In, tt.bank)
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q: %s", tt.text, d)
		}
	}
}

const back = "an own payment came back"

// TestReadOut: of money out, a debit whatever it says; one that takes a credit
// back names that credit.
func TestReadOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]narration.Narration{
		"UPI-SHOP-SHOP@YBL-YESB0YBLUPI-601234567890-FOOD": {Kind: feed.Debit, Channel: narration.UPI, UTR: "601234567890", PayerVPA: "SHOP@YBL", PayerName: "SHOP", Note: "FOOD"},
		"NEFT RETURN-SBIN126076123456-ANITA": {
			Kind: feed.Debit, Channel: narration.NEFT, UTR: "SBIN126076123456", PayerName: "ANITA", Reversal: true, Why: "an earlier credit was taken back",
		},
		"REV-UPI/601234567891/CR/ANITA": {
			Kind: feed.Debit, Channel: narration.UPI, UTR: "601234567891", PayerName: "UPI/601234567891/CR/ANITA", Reversal: true, Why: "an earlier credit was taken back",
		},
		"SMS ALERT CHARGES":         {Kind: feed.Debit, Channel: narration.Charges},
		"ATW-412345XXXXXX1234-PUNE": {Kind: feed.Debit, Channel: narration.Cash},
	} {
		got := narration.Read(text, narration.Out, "hdfc")
		if text[:4] == "REV-" {
			got.PayerName = want.PayerName // a form no bank is known to write; only the reference counts
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text    string
		channel narration.Channel
		want    string
	}{
		{"0000601234567890", narration.UPI, "601234567890"}, {"0000001234567890", narration.IMPS, "001234567890"}, {"601234567890", narration.UPI, "601234567890"},
		{"0000N123456789", narration.NEFT, "N123456789"}, {"sbin126076123456", narration.NEFT, "SBIN126076123456"}, {"0000000004711", narration.UPI, ""},
		{"1234601234567890", narration.UPI, ""}, {"UTR123456789", narration.NEFT, ""}, {"NEFT778899123", narration.NEFT, ""}, {"SBIN0004321", narration.NEFT, ""},
		{"000000000000", narration.UPI, ""}, {"601234567890", narration.ACH, ""}, {"601234567890", "", ""}, {"TRANSFER FROM 4897736162097", narration.NEFT, ""},
		{"4897736162097", narration.NEFT, ""}, {"", narration.UPI, ""},
	} {
		if got := narration.Reference(tt.text, tt.channel); string(got) != tt.want {
			t.Errorf("%q by %s is %q, want %q", tt.text, tt.channel, got, tt.want)
		}
	}
}
